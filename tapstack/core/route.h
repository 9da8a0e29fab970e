/* The routing table: longest prefix first. */
#ifndef TAPSTACK_CORE_ROUTE_H
#define TAPSTACK_CORE_ROUTE_H

#include <stdint.h>

enum { ROUTES_MAX = 64 };

struct route {
    uint32_t network;
    uint32_t mask;
    uint32_t gateway; /* 0: connected, the destination itself is the next hop */
    uint16_t interface;
    uint8_t prefix_bits;
};

struct route_table {
    struct route route[ROUTES_MAX]; /* longest prefix first, then as added */
    unsigned count;
};

/* Returns 0, STACK_INVALID (prefix above 32, bits set behind it), STACK_IN_USE (network and prefix
   are there) or STACK_NO_MEMORY. */
int route_add(struct route_table *table, uint32_t network, unsigned prefix_bits, uint32_t gateway,
              unsigned interface);

/* The route to a destination, or NULL. next_hop: the neighbor to send to. */
const struct route *route_find(const struct route_table *table, uint32_t destination_v4,
                               uint32_t *next_hop);

#endif
