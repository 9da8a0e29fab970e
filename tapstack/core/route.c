/* The routing table: longest prefix first. */
#include "route.h"

#include <string.h>

#include "stack.h"

static uint32_t prefix_mask(unsigned prefix_bits)
{
    return prefix_bits ? ~UINT32_C(0) << (32 - prefix_bits) : 0;
}

int route_add(struct route_table *table, uint32_t network, unsigned prefix_bits, uint32_t gateway,
              unsigned interface)
{
    if (prefix_bits > 32 || (network & ~prefix_mask(prefix_bits)) != 0)
        return STACK_INVALID;
    unsigned at = 0;
    while (at < table->count && table->route[at].prefix_bits >= prefix_bits) {
        const struct route *route = &table->route[at++];
        if (route->prefix_bits == prefix_bits && route->network == network)
            return STACK_IN_USE;
    }
    if (table->count == ROUTES_MAX)
        return STACK_NO_MEMORY;
    struct route *place = &table->route[at];
    memmove(place + 1, place, (table->count - at) * sizeof *place);
    *place = (struct route){
        .network = network,
        .mask = prefix_mask(prefix_bits),
        .gateway = gateway,
        .interface = (uint16_t)interface,
        .prefix_bits = (uint8_t)prefix_bits,
    };
    table->count++;
    return 0;
}

const struct route *route_find(const struct route_table *table, uint32_t destination_v4,
                               uint32_t *next_hop)
{
    for (unsigned i = 0; i < table->count; i++) {
        const struct route *route = &table->route[i];
        if ((destination_v4 & route->mask) == route->network) {
            *next_hop = route->gateway ? route->gateway : destination_v4;
            return route;
        }
    }
    return NULL;
}
