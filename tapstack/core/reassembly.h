/* Reassembly: fragments wait until their datagram is whole, within a bounded memory. */
#ifndef TAPSTACK_CORE_REASSEMBLY_H
#define TAPSTACK_CORE_REASSEMBLY_H

#include "ip.h"
#include "wheel.h"

enum { REASSEMBLY_BUCKETS = 1024 };

struct reassembly {
    struct wheel wheel; /* when each datagram is given up */
    struct reassembly_datagram *bucket[REASSEMBLY_BUCKETS];
    struct reassembly_source *source_bucket[REASSEMBLY_BUCKETS];
    uint32_t count;    /* datagrams, the refused ones included */
    size_t used_bytes; /* blocks of the pool that all of this holds */
};

/* A datagram that has become whole, as if it had arrived so; its options are those of the first
   fragment. */
struct reassembly_whole {
    struct ip_datagram datagram;
    struct frame frame; /* of the last fragment to come, without what a device said of it: that says
                           nothing of the whole */
    uint8_t *bytes;     /* the datagram's memory */
};

/* A fragment for this host arrived: more_fragments is set, or fragment_offset is not 0. Its bytes
   are copied. Returns 1: its datagram is whole and to be given back with reassembly_release;
   0: it waits; -1: it was dropped and counted, perhaps with all of its datagram. */
int reassembly_input(struct stack *stack, const struct ip_datagram *fragment,
                     struct reassembly_whole *whole, uint64_t now_us);
void reassembly_release(struct stack *stack, struct reassembly_whole *whole);

/* What is wrong with a fragment by itself, whatever came before it: the counter that says why it is
   refused (RFC 791, 1858, 3128), or STACK_COUNTER_COUNT when it is in order. A router that filters
   can ask the same of what it forwards. */
enum stack_counter reassembly_refusal(const struct ip_datagram *fragment);

/* Gives up the datagrams whose time is over (RFC 1122, 3.3.2). */
void reassembly_expire(struct stack *stack, uint64_t now_us);

/* When reassembly_expire has work at the earliest; UINT64_MAX: never. */
uint64_t reassembly_deadline(const struct stack *stack);

/* Forgets everything; nothing is counted or sent. */
void reassembly_close(struct stack *stack);

#endif
