/* The inside of struct stack: what the files of core share. */
#ifndef TAPSTACK_CORE_STATE_H
#define TAPSTACK_CORE_STATE_H

#include "address.h"
#include "conflict.h"
#include "filter.h"
#include "forward.h"
#include "icmp.h"
#include "igmp.h"
#include "neighbor.h"
#include "packet.h"
#include "pmtu.h"
#include "pool.h"
#include "probe.h"
#include "reassembly.h"
#include "redirect.h"
#include "route.h"
#include "stack.h"
#include "tcp.h"
#include "udp.h"

enum {
    STACK_INTERFACES_MAX = 8,
    IP_IDENTIFICATION_COUNTS = 1024,
    STACK_POOL_CACHE_BYTES = 16 << 20,
    STACK_TRIM_US = 1000000,          /* of what is kept for reuse, half goes back this often ... */
    STACK_TRIM_KEEP_BYTES = 64 << 10, /* ... down to this */
};

struct stack {
    struct stack_settings settings;
    struct pool pool;

    struct stack_interface_config interface[STACK_INTERFACES_MAX];
    unsigned interface_count;
    struct address_table addresses;
    struct redirect_memory redirects;
    struct forward forward;
    struct route_table routes;
    uint16_t identification[IP_IDENTIFICATION_COUNTS];
    struct neighbor_table neighbors;
    struct conflict_table conflicts;
    struct icmp_limiter icmp_limiter;
    struct pmtu_cache pmtu;
    struct reassembly reassembly;
    struct probes probes;
    uint64_t utc_offset_us; /* 0: not known */
    struct filter filter;
    struct packet_queue out; /* finished frames: ARP, ICMP, resets, released neighbor queues */
    struct packet *lent;     /* the packet that the last stack_output handed out */

    struct tcp tcp;
    struct udp udp;
    struct igmp igmp;
    unsigned turn; /* who may send first: forwarding, UDP or TCP */

    uint64_t counters[STACK_COUNTER_COUNT];
    struct stack_event *events; /* a ring of event_capacity, or NULL */
    uint32_t event_capacity;
    uint64_t event_count;

    uint64_t trim_at; /* when memory goes back next; UINT64_MAX: there is none to speak of */

    uint8_t seed[32];
    uint64_t random_drawn; /* numbers drawn: the counter behind stack_random32 */
};

/* Counts. */
static inline void stack_count(struct stack *stack, enum stack_counter counter)
{
    stack->counters[counter]++;
}

/* Drops a frame: counts the reason and tells it as an event. id: of the connection, or 0.
   bytes: of the frame or what is lost of it. Returns -1, for `return stack_drop(...)`. */
int stack_drop(struct stack *stack, enum stack_counter counter, uint32_t id, size_t bytes,
               uint64_t now_us);

/* Adds an event with its arguments in the order of STACK_EVENTS. */
void stack_event_add(struct stack *stack, enum stack_event_kind kind, uint32_t id, uint64_t now_us,
                     uint32_t a, uint32_t b, uint32_t c, uint32_t d);

/* Queues a finished packet for stack_output; takes it over. */
static inline void stack_queue_packet(struct stack *stack, struct packet *packet)
{
    packet_queue_push(&stack->out, packet);
}

/* The next number of the seeded generator (SipHash of a counter). */
uint32_t stack_random32(struct stack *stack);

/* A keyed hash (SipHash-2-4) of bytes; which: separates the uses of the seed, 0 or 1. */
uint64_t stack_hash(const struct stack *stack, unsigned which, const void *bytes, size_t size);

#endif
