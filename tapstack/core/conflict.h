/* Our own addresses on their links: probed before use, announced, defended (RFC 5227).

   Every address of every interface has a record here. It says whether the address may be used, and
   what other hosts have done to it. */
#ifndef TAPSTACK_CORE_CONFLICT_H
#define TAPSTACK_CORE_CONFLICT_H

#include <stdbool.h>
#include <stdint.h>

#include "../wire/arp.h"
#include "address.h"
#include "stack.h"

enum { CONFLICT_ADDRESSES_MAX = ADDRESSES_MAX };

struct conflict_address {
    uint32_t v4;
    uint16_t interface;
    uint8_t state;    /* enum address_state */
    uint8_t sent;     /* probes, then announcements */
    uint64_t due_at;  /* the next step; UINT64_MAX: none */
    uint64_t seen_at; /* the last conflict; 0: never */
    uint64_t defended_at;
    uint32_t conflicts;
    struct mac_address by; /* who caused the last */
};

struct conflict_table {
    struct conflict_address address[CONFLICT_ADDRESSES_MAX];
    unsigned count;
    unsigned unusable; /* of them TENTATIVE or GIVEN_UP */
    uint64_t due_at;   /* the earliest step of all */
};

void conflict_open(struct conflict_table *table);

/* An address becomes ours: it is probed first where arp.address_probes says so, then announced.
   Returns 0, STACK_IN_USE (it is ours there already) or STACK_NO_MEMORY. */
int conflict_start(struct stack *stack, unsigned interface, uint32_t v4, uint64_t now_us);

/* An address is not ours any more. */
void conflict_stop(struct stack *stack, unsigned interface, uint32_t v4, uint64_t now_us);

/* An ARP packet with a possible sender, not from our own MAC: does it use an address of ours, or
   ask for one that we are still probing? Then it has been acted upon, and the result is true. */
bool conflict_input(struct stack *stack, unsigned interface, const struct arp_packet *arp,
                    uint64_t now_us);

/* Takes the steps that are due. */
void conflict_serve(struct stack *stack, uint64_t now_us);

/* Is it an address of ours on this interface, and in use? */
bool conflict_is_own(const struct stack *stack, unsigned interface, uint32_t v4);

/* May frames come and go with this address? True for every address that is not ours: only one that
   is being probed or was given up is refused. */
bool conflict_may_use(const struct stack *stack, uint32_t v4);

#endif
