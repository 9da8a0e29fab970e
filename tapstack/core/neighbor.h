/* The neighbor cache (ARP): IPv4 address to MAC address, and the frames that wait for one.

   States and their names are those of RFC 4861, 7.3.2. An entry is made when we have something to
   send, or when somebody asks for us; nothing else creates one (no learning from strangers), but an
   existing entry is updated by any packet of its neighbor (RFC 826; gratuitous ARP, RFC 5227 3). */
#ifndef TAPSTACK_CORE_NEIGHBOR_H
#define TAPSTACK_CORE_NEIGHBOR_H

#include <stdint.h>

#include "../wire/arp.h"
#include "../wire/frame.h"
#include "packet.h"
#include "stack.h"
#include "wheel.h"

struct neighbor {
    struct neighbor *next; /* in its hash chain */
    struct wheel_timer timer;
    struct packet_queue queue; /* frames waiting, Ethernet destination still open */
    uint64_t confirmed_at;     /* 0: never */
    uint64_t used_at;          /* last time we had something to send; 0: never */
    uint64_t changed_at;       /* when it came into its state */
    uint32_t v4;
    uint16_t interface;
    uint8_t state;    /* enum neighbor_state */
    uint8_t requests; /* sent without an answer */
    struct mac_address mac;
};

enum { NEIGHBOR_BUCKETS = 256 };

struct neighbor_table {
    struct neighbor *bucket[NEIGHBOR_BUCKETS];
    uint32_t count;
    struct wheel wheel; /* timers of the entries; served by stack_output with neighbor_timer */
};

/* Resolves the next hop of a frame whose Ethernet header is written but for the destination.
   destination: where the destination belongs, the frame's first six bytes. Known: fills in the
   destination and returns 1. Not known: the frame is copied into the neighbor's queue (oldest
   dropped when full), a request goes out, returns 0. Failed or no room: the frame is dropped and
   counted, returns -1. */
int neighbor_resolve(struct stack *stack, const struct frame *frame, uint8_t *destination,
                     uint32_t next_hop, uint64_t now_us);

/* An ARP packet came in (bytes behind the Ethernet header). Returns 0, or -1 when it was
   dropped. */
int neighbor_input(struct stack *stack, unsigned interface, const uint8_t *bytes, size_t size,
                   uint64_t now_us);

/* TCP has seen progress: the neighbor is alive (RFC 4861, 7.3.1). */
void neighbor_confirm(struct stack *stack, unsigned interface, uint32_t next_hop, uint64_t now_us);

/* The timer of an entry fired: next request, failure, or going stale. */
void neighbor_timer(struct stack *stack, struct neighbor *neighbor, uint64_t now_us);

/* Announces our address on an interface (gratuitous ARP request, RFC 5227, 2.3). */
void neighbor_announce(struct stack *stack, unsigned interface, uint64_t now_us);

/* Frees all entries and what they hold. */
void neighbor_close(struct stack *stack);

#endif
