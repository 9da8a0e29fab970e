/* The neighbor cache as the embedding program sees and changes it. */
#include "ip.h"
#include "neighbor.h"
#include "state.h"

/* The interface of the connected network that a neighbor belongs to, or STACK_NO_ROUTE. */
static int find_link(const struct stack *stack, uint32_t v4)
{
    uint32_t next_hop;
    const struct route *route = route_find(&stack->routes, v4, &next_hop);
    return route && next_hop == v4 ? route->interface : STACK_NO_ROUTE;
}

/* The interface of an address that a neighbor can have, or an error. */
static int find_place(const struct stack *stack, uint32_t v4)
{
    if (!ipv4_is_valid_source(v4) || address_find(&stack->addresses, v4, NULL) != ADDRESS_FOREIGN)
        return STACK_INVALID;
    return find_link(stack, v4);
}

static struct neighbor *find_or_create(struct stack *stack, int interface, uint32_t v4,
                                       uint64_t now_us)
{
    struct neighbor *neighbor = neighbor_table_find(stack, (unsigned)interface, v4);
    return neighbor ? neighbor
                    : neighbor_table_create(stack, (unsigned)interface, v4, true, now_us);
}

int stack_set_neighbor(struct stack *stack, uint32_t v4, const struct mac_address *mac,
                       uint64_t now_us)
{
    static const struct mac_address none = {{0}};
    int interface = find_place(stack, v4);
    if (interface < 0)
        return interface;
    if (mac_address_is_group(mac) || mac_address_equal(mac, &none) ||
        mac_address_equal(mac, &stack->interface[interface].mac))
        return STACK_INVALID;
    struct neighbor *neighbor = find_or_create(stack, interface, v4, now_us);
    if (!neighbor)
        return STACK_NO_MEMORY;
    neighbor->mac = *mac;
    neighbor->contested = false;
    neighbor_table_set_state(stack, neighbor, NEIGHBOR_PERMANENT, now_us);
    neighbor_release_queue(stack, neighbor);
    return 0;
}

int stack_delete_neighbor(struct stack *stack, uint32_t v4, uint64_t now_us)
{
    int interface = find_link(stack, v4);
    if (interface < 0)
        return interface;
    struct neighbor *neighbor = neighbor_table_find(stack, (unsigned)interface, v4);
    if (!neighbor)
        return STACK_NOT_AVAILABLE;
    neighbor_table_remove(stack, neighbor, STACK_COUNTER_ARP_FAILED, now_us);
    return 0;
}

unsigned stack_flush_neighbors(struct stack *stack, int interface, uint64_t now_us)
{
    unsigned removed = 0;
    for (unsigned bucket = 0; bucket < NEIGHBOR_BUCKETS; bucket++) {
        struct neighbor *next = NULL;
        for (struct neighbor *n = stack->neighbors.bucket[bucket]; n; n = next) {
            next = n->next;
            if (n->state == NEIGHBOR_PERMANENT || (interface >= 0 && n->interface != interface))
                continue;
            neighbor_table_remove(stack, n, STACK_COUNTER_ARP_FAILED, now_us);
            removed++;
        }
    }
    return removed;
}

int stack_probe_neighbor(struct stack *stack, uint32_t v4, uint64_t now_us)
{
    int interface = find_place(stack, v4);
    if (interface < 0)
        return interface;
    struct neighbor *neighbor = find_or_create(stack, interface, v4, now_us);
    if (!neighbor)
        return STACK_NO_MEMORY;
    if (neighbor->state == NEIGHBOR_PERMANENT)
        return STACK_INVALID;
    neighbor_ask(stack, neighbor, now_us);
    return 0;
}

/* ---- Looking in ---- */

static uint64_t time_since(uint64_t at_us, uint64_t now_us)
{
    return at_us ? now_us - at_us : UINT64_MAX;
}

static void describe_neighbor(const struct stack *stack, const struct neighbor *found,
                              struct stack_neighbor *neighbor, uint64_t now_us)
{
    *neighbor = (struct stack_neighbor){
        .v4 = found->v4,
        .mac = found->mac,
        .state = found->state,
        .interface = found->interface,
        .gateway = neighbor_table_is_gateway(stack, found),
        .contested = found->contested,
        .requests = found->requests,
        .queued = found->queue.count,
        .state_us = now_us - found->changed_at,
        .used_us = time_since(found->used_at, now_us),
        .confirmed_us = time_since(found->confirmed_at, now_us),
    };
}

/* The cursor holds the bucket in its upper half and the place in the bucket's chain in the
   lower. */
bool stack_next_neighbor(const struct stack *stack, uint32_t *cursor,
                         struct stack_neighbor *neighbor, uint64_t now_us)
{
    for (uint32_t bucket = *cursor >> 16; bucket < NEIGHBOR_BUCKETS; bucket++) {
        uint32_t place = *cursor & 0xffff;
        const struct neighbor *found = stack->neighbors.bucket[bucket];
        for (uint32_t i = 0; found && i < place; i++)
            found = found->next;
        if (found) {
            describe_neighbor(stack, found, neighbor, now_us);
            (*cursor)++;
            return true;
        }
        *cursor = (bucket + 1) << 16;
    }
    return false;
}
