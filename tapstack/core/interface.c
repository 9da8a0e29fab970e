/* Interfaces, addresses and routes as the embedding program adds and removes them, and the tables
   it may walk over. */
#include "state.h"

enum {
    IPV4_MTU_MIN = 68,          /* RFC 791, 3.2 */
    POINT_TO_POINT_PREFIX = 31, /* from here on a network has no broadcast address (RFC 3021) */
};

/* Can a host of this network have this address? */
static bool is_host_address(uint32_t v4, unsigned prefix_bits)
{
    if (prefix_bits > 32 || !ipv4_is_valid_source(v4))
        return false;
    uint32_t host_bits = ~address_mask(prefix_bits), host = v4 & host_bits;
    return prefix_bits >= POINT_TO_POINT_PREFIX || (host != 0 && host != host_bits);
}

static bool is_station_address(const struct mac_address *mac)
{
    static const struct mac_address none = {{0}};
    return !mac_address_is_group(mac) && !mac_address_equal(mac, &none);
}

/* ---- Addresses ---- */

static struct route *connected_route(struct stack *stack, uint32_t v4, unsigned prefix_bits)
{
    return route_get(&stack->routes, v4 & address_mask(prefix_bits), prefix_bits, 0);
}

/* The connected route of a new address: there already when the interface has another one on the
   same network. */
static int add_connected_route(struct stack *stack, unsigned interface, uint32_t v4,
                               unsigned prefix_bits)
{
    const struct route *present = connected_route(stack, v4, prefix_bits);
    struct route route = {
        .network = v4 & address_mask(prefix_bits),
        .interface = (uint16_t)interface,
        .prefix_bits = (uint8_t)prefix_bits,
        .kind = STACK_ROUTE_CONNECTED,
    };
    if (present)
        return present->interface == interface && present->kind == STACK_ROUTE_CONNECTED
                   ? 0
                   : STACK_IN_USE;
    return route_add(&stack->routes, &route, (uint32_t)stack->settings.ip_routes_max);
}

/* The first address of an interface is also told by stack_interface. */
static void set_primary(struct stack *stack, unsigned interface)
{
    struct stack_interface_config *config = &stack->interface[interface];
    const struct address *address = address_choose(&stack->addresses, interface, 0);
    config->address_v4 = address ? address->v4 : 0;
    config->prefix_bits = address ? address->prefix_bits : 0;
}

int stack_add_address(struct stack *stack, unsigned interface, uint32_t v4, unsigned prefix_bits,
                      uint64_t now_us)
{
    if (interface >= stack->interface_count || prefix_bits == 0 ||
        !is_host_address(v4, prefix_bits))
        return STACK_INVALID;
    if (ip_is_local(stack, v4))
        return STACK_IN_USE;
    if (stack->addresses.count == ADDRESSES_MAX)
        return STACK_NO_MEMORY;
    int error = add_connected_route(stack, interface, v4, prefix_bits);
    if (error)
        return error;
    address_add(&stack->addresses, v4, prefix_bits, interface);
    set_primary(stack, interface);
    return conflict_start(stack, interface, v4, now_us);
}

static bool is_on_link(const struct stack *stack, unsigned interface, uint32_t v4)
{
    return address_network_of(&stack->addresses, (int)interface, v4) != NULL;
}

/* Takes away the routes that an interface has lost the way to: connected and learned ones without an
   address, and those over gateways that are no neighbors any more. */
static void remove_lost_routes(struct stack *stack, unsigned interface)
{
    struct route *route;
    uint32_t cursor = 0;
    while ((route = route_next(&stack->routes, &cursor))) {
        uint32_t neighbor = route->gateway ? route->gateway : route->network;
        bool by_us = route->kind != STACK_ROUTE_STATIC || route->gateway != 0;
        if (route->interface != interface || !by_us || is_on_link(stack, interface, neighbor))
            continue;
        route_remove(&stack->routes, route);
        cursor--;
    }
}

int stack_remove_address(struct stack *stack, unsigned interface, uint32_t v4, uint64_t now_us)
{
    int error = address_remove(&stack->addresses, v4, interface);
    if (error)
        return error;
    conflict_stop(stack, interface, v4, now_us);
    set_primary(stack, interface);
    remove_lost_routes(stack, interface);
    return 0;
}

bool stack_next_address(const struct stack *stack, uint32_t *cursor, struct stack_address *address)
{
    if (*cursor >= stack->addresses.count)
        return false;
    const struct address *found = &stack->addresses.address[(*cursor)++];
    *address = (struct stack_address){
        .v4 = found->v4,
        .interface = found->interface,
        .prefix_bits = found->prefix_bits,
        .primary = stack->interface[found->interface].address_v4 == found->v4,
    };
    return true;
}

/* ---- Interfaces ---- */

int stack_add_interface(struct stack *stack, const struct stack_interface_config *config,
                        uint64_t now_us)
{
    if (config->mtu_bytes < IPV4_MTU_MIN || !is_station_address(&config->mac))
        return STACK_INVALID;
    if (stack->interface_count == STACK_INTERFACES_MAX)
        return STACK_NO_MEMORY;
    unsigned index = stack->interface_count++;
    stack->interface[index] = *config;
    int error = stack_add_address(stack, index, config->address_v4, config->prefix_bits, now_us);
    if (error == 0) {
        filter_interfaces_changed(stack);
        return (int)index;
    }
    stack->interface_count--;
    return error == STACK_NO_MEMORY ? STACK_NO_MEMORY : STACK_INVALID;
}

const struct stack_interface_config *stack_interface(const struct stack *stack, unsigned index)
{
    return index < stack->interface_count ? &stack->interface[index] : NULL;
}

/* ---- Routes ---- */

/* A gateway must be a neighbor, and another host (RFC 1122, 3.3.1.2). */
static bool is_gateway_address(const struct stack *stack, unsigned interface, uint32_t v4)
{
    const struct address *own = address_network_of(&stack->addresses, (int)interface, v4);
    return own && is_host_address(v4, own->prefix_bits) && !ip_is_local(stack, v4);
}

int stack_add_route_metric(struct stack *stack, uint32_t network, unsigned prefix_bits,
                           uint32_t gateway, unsigned interface, uint32_t metric)
{
    if (interface >= stack->interface_count || prefix_bits > 32 || metric == ROUTE_ANY_METRIC ||
        (gateway != 0 && !is_gateway_address(stack, interface, gateway)))
        return STACK_INVALID;
    struct route route = {
        .network = network,
        .gateway = gateway,
        .metric = metric,
        .interface = (uint16_t)interface,
        .prefix_bits = (uint8_t)prefix_bits,
        .kind = STACK_ROUTE_STATIC,
    };
    return route_add(&stack->routes, &route, (uint32_t)stack->settings.ip_routes_max);
}

int stack_add_route(struct stack *stack, uint32_t network, unsigned prefix_bits, uint32_t gateway,
                    unsigned interface)
{
    return stack_add_route_metric(stack, network, prefix_bits, gateway, interface, 0);
}

int stack_remove_route(struct stack *stack, uint32_t network, unsigned prefix_bits, uint32_t metric)
{
    struct route *route =
        prefix_bits <= 32 ? route_get(&stack->routes, network, prefix_bits, metric) : NULL;
    if (!route)
        return STACK_NO_ROUTE;
    if (route->kind == STACK_ROUTE_CONNECTED)
        return STACK_INVALID;
    route_remove(&stack->routes, route);
    return 0;
}

static void describe_route(const struct route *found, struct stack_route *route, uint64_t now_us)
{
    *route = (struct stack_route){
        .network = found->network,
        .prefix_bits = found->prefix_bits,
        .gateway = found->gateway,
        .interface = found->interface,
        .metric = found->metric,
        .kind = found->kind,
        .expires_us = UINT64_MAX,
    };
    if (found->kind == STACK_ROUTE_LEARNED)
        route->expires_us = found->expires_at > now_us ? found->expires_at - now_us : 0;
}

bool stack_next_route(const struct stack *stack, uint32_t *cursor, struct stack_route *route,
                      uint64_t now_us)
{
    const struct route *found = route_next(&stack->routes, cursor);
    if (found)
        describe_route(found, route, now_us);
    return found != NULL;
}

int stack_find_route(const struct stack *stack, uint32_t destination_v4, struct stack_route *route,
                     uint32_t *next_hop, uint32_t *source_v4, uint64_t now_us)
{
    unsigned interface;
    int error = ip_choose_source(stack, destination_v4, source_v4, &interface);
    if (error)
        return error;
    const struct route *found = ip_find_route(stack, destination_v4, 0);
    *next_hop = found->gateway ? found->gateway : destination_v4;
    describe_route(found, route, now_us);
    return 0;
}
