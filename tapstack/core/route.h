/* The routing table: longest prefix first, then the lowest metric.

   Routes hang in a hash by network and prefix length, those to the same network in the order of
   their metrics. A lookup tries one bucket for each prefix length that is in use, from the longest
   on: with 10,000 routes of two dozen lengths as with two. */
#ifndef TAPSTACK_CORE_ROUTE_H
#define TAPSTACK_CORE_ROUTE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "pool.h"
#include "stack.h"

enum {
    ROUTE_BUCKETS_MIN = 16,
    ROUTE_BUCKETS_MAX = 32768,
    ROUTE_PREFIXES = 33,
    ROUTE_GATEWAY_COUNTS = 256,
};

struct route {
    struct route *next;     /* in its bucket */
    TAILQ_ENTRY(route) age; /* among the learned ones */
    uint32_t network;
    uint32_t gateway; /* 0: connected, the destination itself is the next hop */
    uint32_t metric;
    uint16_t interface;
    uint8_t prefix_bits;
    uint8_t kind;        /* enum stack_route_kind */
    uint64_t expires_at; /* a learned one */
};

TAILQ_HEAD(route_ages, route);

struct route_table {
    struct pool *pool;
    struct route **bucket;
    uint32_t bucket_count; /* a power of two; 0: there was no route yet */
    uint32_t count;
    uint32_t of_length[ROUTE_PREFIXES];
    uint64_t lengths;          /* bit n: there are routes with a prefix of n bits */
    uint64_t factor;           /* of the hash: from the seed, so that nobody chooses his bucket */
    struct route_ages learned; /* the oldest first */
    uint32_t learned_count;
    uint32_t gateways[ROUTE_GATEWAY_COUNTS]; /* routes by a hash of their gateway */
};

/* pool: where the memory comes from. factor: a secret number. */
void route_open(struct route_table *table, struct pool *pool, uint64_t factor);
void route_close(struct route_table *table);

/* Adds a copy of a route; next and age are ignored. A learned one must expire last of all. most:
   routes that there may be. Errors: STACK_INVALID (prefix above 32, bits set behind it), STACK_IN_USE (there is one of this
   network, prefix and metric), STACK_NO_MEMORY (no memory, or most routes already). */
int route_add(struct route_table *table, const struct route *route, uint32_t most);

/* Takes a route of this table out and frees it. */
void route_remove(struct route_table *table, struct route *route);

/* The route to exactly this network with this metric, or NULL. metric ROUTE_ANY_METRIC: the best. */
#define ROUTE_ANY_METRIC UINT32_MAX
struct route *route_get(const struct route_table *table, uint32_t network, unsigned prefix_bits,
                        uint32_t metric);

/* The route to a destination, or NULL. next_hop: the neighbor to send to. */
const struct route *route_find(const struct route_table *table, uint32_t destination_v4,
                               uint32_t *next_hop);

/* The next best route to the same network, or NULL. */
const struct route *route_worse(const struct route *route);

/* The same as route_find among the routes over one interface. */
const struct route *route_find_on(const struct route_table *table, uint32_t destination_v4,
                                  unsigned interface, uint32_t *next_hop);

/* Walks all routes, in no order: cursor 0 at first. Returns NULL behind the last. The route that
   was returned may be removed; then the cursor goes one back. */
struct route *route_next(const struct route_table *table, uint32_t *cursor);

/* Does a route lead over this neighbor? Cheap when none does. */
bool route_uses_gateway(const struct route_table *table, uint32_t gateway, unsigned interface);

#endif
