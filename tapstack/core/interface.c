/* Interfaces and routes as the embedding program adds them, and the tables it may walk over. */
#include "state.h"

enum {
    IPV4_MTU_MIN = 68,          /* RFC 791, 3.2 */
    POINT_TO_POINT_PREFIX = 31, /* from here on a network has no broadcast address (RFC 3021) */
};

static uint32_t host_bits(unsigned prefix_bits)
{
    return prefix_bits < 32 ? UINT32_MAX >> prefix_bits : 0;
}

/* Can a host of this network have this address? */
static bool is_host_address(uint32_t v4, unsigned prefix_bits)
{
    if (!ipv4_is_valid_source(v4))
        return false;
    uint32_t host = v4 & host_bits(prefix_bits);
    return prefix_bits >= POINT_TO_POINT_PREFIX || (host != 0 && host != host_bits(prefix_bits));
}

static bool is_station_address(const struct mac_address *mac)
{
    static const struct mac_address none = {{0}};
    return !mac_address_is_group(mac) && !mac_address_equal(mac, &none);
}

int stack_add_interface(struct stack *stack, const struct stack_interface_config *config,
                        uint64_t now_us)
{
    if (config->prefix_bits > 32 || config->mtu_bytes < IPV4_MTU_MIN ||
        !is_host_address(config->address_v4, config->prefix_bits) ||
        !is_station_address(&config->mac) || ip_is_local(stack, config->address_v4))
        return STACK_INVALID;
    if (stack->interface_count == STACK_INTERFACES_MAX)
        return STACK_NO_MEMORY;
    unsigned index = stack->interface_count;
    uint32_t network = config->address_v4 & ~host_bits(config->prefix_bits);
    int error = route_add(&stack->routes, network, config->prefix_bits, 0, index);
    if (error)
        return error == STACK_NO_MEMORY ? STACK_NO_MEMORY : STACK_INVALID;
    stack->interface[index] = *config;
    stack->interface_count++;
    conflict_start(stack, index, config->address_v4, now_us);
    return (int)index;
}

const struct stack_interface_config *stack_interface(const struct stack *stack, unsigned index)
{
    return index < stack->interface_count ? &stack->interface[index] : NULL;
}

int stack_add_route(struct stack *stack, uint32_t network, unsigned prefix_bits, uint32_t gateway,
                    unsigned interface)
{
    if (interface >= stack->interface_count)
        return STACK_INVALID;
    const struct stack_interface_config *config = &stack->interface[interface];
    if (gateway != 0) {
        /* A gateway must be a neighbor, and another host (RFC 1122, 3.3.1.2). */
        bool on_link = ((gateway ^ config->address_v4) & ~host_bits(config->prefix_bits)) == 0;
        if (!on_link || !is_host_address(gateway, config->prefix_bits) ||
            ip_is_local(stack, gateway))
            return STACK_INVALID;
    }
    return route_add(&stack->routes, network, prefix_bits, gateway, interface);
}

bool stack_next_route(const struct stack *stack, uint32_t *cursor, struct stack_route *route)
{
    if (*cursor >= stack->routes.count)
        return false;
    const struct route *found = &stack->routes.route[(*cursor)++];
    *route = (struct stack_route){
        .network = found->network,
        .prefix_bits = found->prefix_bits,
        .gateway = found->gateway,
        .interface = found->interface,
    };
    return true;
}
