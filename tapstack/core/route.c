/* The routing table: longest prefix first, then the lowest metric. */
#include "route.h"

#include <string.h>

#include "address.h"

static uint32_t bucket_of(const struct route_table *table, uint32_t network, unsigned prefix_bits)
{
    uint64_t key = (uint64_t)prefix_bits << 32 | network;
    uint64_t hash = (key ^ key >> 29) * table->factor;
    return (uint32_t)(hash >> 40) & (table->bucket_count - 1);
}

static unsigned gateway_hash(uint32_t gateway, unsigned interface)
{
    return (gateway + interface) * UINT32_C(0x9e3779b1) >> 24; /* ROUTE_GATEWAY_COUNTS */
}

void route_open(struct route_table *table, struct pool *pool, uint64_t factor)
{
    memset(table, 0, sizeof *table);
    table->pool = pool;
    table->factor = (factor ^ UINT64_C(0x9e3779b97f4a7c15)) | 1;
    TAILQ_INIT(&table->learned);
}

void route_close(struct route_table *table)
{
    struct route *route;
    uint32_t cursor = 0;
    while ((route = route_next(table, &cursor))) {
        route_remove(table, route);
        cursor--;
    }
    pool_give(table->pool, table->bucket, table->bucket_count * sizeof *table->bucket);
    table->bucket = NULL;
    table->bucket_count = 0;
}

/* ---- The hash ---- */

/* Puts a route in front of those to the same network that are worse, or at its chain's end. */
static void link_route(struct route_table *table, struct route *route)
{
    struct route **link = &table->bucket[bucket_of(table, route->network, route->prefix_bits)];
    while (*link && ((*link)->network != route->network ||
                     (*link)->prefix_bits != route->prefix_bits || (*link)->metric < route->metric))
        link = &(*link)->next;
    route->next = *link;
    *link = route;
}

/* Doubles the buckets. Without memory the chains just grow longer. */
static void grow_buckets(struct route_table *table)
{
    uint32_t old_count = table->bucket_count;
    uint32_t count = old_count ? old_count * 2 : ROUTE_BUCKETS_MIN;
    struct route **old = table->bucket, *route;
    if (count > ROUTE_BUCKETS_MAX)
        return;
    struct route **bucket = pool_take(table->pool, count * sizeof *bucket);
    if (!bucket)
        return;
    memset(bucket, 0, count * sizeof *bucket);
    table->bucket = bucket;
    table->bucket_count = count;
    for (uint32_t i = 0; i < old_count; i++)
        while ((route = old[i])) {
            old[i] = route->next;
            link_route(table, route);
        }
    pool_give(table->pool, old, old_count * sizeof *old);
}

int route_add(struct route_table *table, const struct route *route, uint32_t most)
{
    if (route->prefix_bits > 32 || (route->network & ~address_mask(route->prefix_bits)) != 0)
        return STACK_INVALID;
    if (route_get(table, route->network, route->prefix_bits, route->metric))
        return STACK_IN_USE;
    if (table->count >= table->bucket_count)
        grow_buckets(table);
    struct route *copy =
        table->count < most && table->bucket ? pool_take(table->pool, sizeof *copy) : NULL;
    if (!copy)
        return STACK_NO_MEMORY;
    *copy = *route;
    link_route(table, copy);
    table->count++;
    table->lengths |= UINT64_C(1) << copy->prefix_bits;
    table->of_length[copy->prefix_bits]++;
    table->gateways[gateway_hash(copy->gateway, copy->interface)]++;
    if (copy->kind == STACK_ROUTE_LEARNED) {
        TAILQ_INSERT_TAIL(&table->learned, copy, age);
        table->learned_count++;
    }
    return 0;
}

void route_remove(struct route_table *table, struct route *route)
{
    struct route **link = &table->bucket[bucket_of(table, route->network, route->prefix_bits)];
    while (*link != route)
        link = &(*link)->next;
    *link = route->next;
    table->count--;
    if (--table->of_length[route->prefix_bits] == 0)
        table->lengths &= ~(UINT64_C(1) << route->prefix_bits);
    table->gateways[gateway_hash(route->gateway, route->interface)]--;
    if (route->kind == STACK_ROUTE_LEARNED) {
        TAILQ_REMOVE(&table->learned, route, age);
        table->learned_count--;
    }
    pool_give(table->pool, route, sizeof *route);
}

/* ---- Looking up ---- */

struct route *route_get(const struct route_table *table, uint32_t network, unsigned prefix_bits,
                        uint32_t metric)
{
    if (table->bucket_count == 0)
        return NULL;
    struct route *route = table->bucket[bucket_of(table, network, prefix_bits)];
    while (route && (route->network != network || route->prefix_bits != prefix_bits ||
                     (metric != ROUTE_ANY_METRIC && route->metric != metric)))
        route = route->next;
    return route;
}

/* interface: -1 for any. */
static inline const struct route *find_route(const struct route_table *table,
                                             uint32_t destination_v4, int interface,
                                             uint32_t *next_hop)
{
    for (uint64_t lengths = table->lengths; lengths != 0;) {
        unsigned bits = 63 - (unsigned)__builtin_clzll(lengths);
        uint32_t network = destination_v4 & address_mask(bits);
        const struct route *route = table->bucket[bucket_of(table, network, bits)];
        while (route && (route->network != network || route->prefix_bits != bits ||
                         (interface >= 0 && route->interface != interface)))
            route = route->next;
        if (route) {
            *next_hop = route->gateway ? route->gateway : destination_v4;
            return route;
        }
        lengths &= ~(UINT64_C(1) << bits);
    }
    return NULL;
}

const struct route *route_find(const struct route_table *table, uint32_t destination_v4,
                               uint32_t *next_hop)
{
    return find_route(table, destination_v4, -1, next_hop);
}

const struct route *route_find_on(const struct route_table *table, uint32_t destination_v4,
                                  unsigned interface, uint32_t *next_hop)
{
    return find_route(table, destination_v4, (int)interface, next_hop);
}

const struct route *route_worse(const struct route *route)
{
    const struct route *worse = route->next;
    while (worse && (worse->network != route->network || worse->prefix_bits != route->prefix_bits))
        worse = worse->next;
    return worse;
}

/* The cursor holds the bucket in its upper half and the place in the chain in the lower. */
struct route *route_next(const struct route_table *table, uint32_t *cursor)
{
    for (uint32_t bucket = *cursor >> 16; bucket < table->bucket_count; bucket++) {
        struct route *route = table->bucket[bucket];
        for (uint32_t place = *cursor & 0xffff; route && place > 0; place--)
            route = route->next;
        if (route) {
            (*cursor)++;
            return route;
        }
        *cursor = (bucket + 1) << 16;
    }
    return NULL;
}

/* The count by hash spares the walk for nearly all that are none. */
bool route_uses_gateway(const struct route_table *table, uint32_t gateway, unsigned interface)
{
    const struct route *route;
    uint32_t cursor = 0;
    if (table->gateways[gateway_hash(gateway, interface)] == 0)
        return false;
    while ((route = route_next(table, &cursor)))
        if (route->gateway == gateway && route->interface == interface)
            return true;
    return false;
}
