/* Redirects: a router tells its neighbors of a better first hop, and a host believes its router
   (RFC 1122, 3.2.2.2; RFC 1812, 5.2.7.2). */
#include "redirect.h"

#include "../wire/icmp.h"
#include "state.h"

enum { REPEAT_US = 1000000 };

/* ---- Sending ---- */

/* Takes note that the pair is told now. Returns false when it was a moment ago. */
static bool remember_pair(struct stack *stack, const struct ipv4_header *header, uint64_t now_us)
{
    uint32_t pair[2] = {header->source_v4, header->destination_v4};
    uint64_t slot = stack_hash(stack, 0, pair, sizeof pair) % REDIRECT_MEMORY;
    uint64_t *sent_at = &stack->redirects.sent_at[slot];
    if (*sent_at != 0 && now_us - *sent_at < REPEAT_US)
        return false;
    *sent_at = now_us;
    return true;
}

/* Whoever chose his route himself is not told of a better one. */
void redirect_send(struct stack *stack, const struct ip_datagram *datagram,
                   const struct ip_hop *hop, uint64_t now_us)
{
    const struct ipv4_header *header = &datagram->header;
    int interface = hop->interface;
    if (hop->interface != datagram->frame->interface || !stack->settings.ip_send_redirects ||
        datagram->options.source_route != 0)
        return;
    const struct address *own = address_network_of(&stack->addresses, interface, hop->v4);
    if (!own || address_network_of(&stack->addresses, interface, header->source_v4) != own ||
        !remember_pair(stack, header, now_us))
        return;
    icmp_send_error(stack, datagram, ICMP_REDIRECT, ICMP_CODE_REDIRECT_HOST, hop->v4, now_us);
}

/* ---- Believing ---- */

static bool is_believable(const struct stack *stack, unsigned interface, uint32_t from_v4,
                          uint32_t destination_v4, uint32_t gateway_v4)
{
    struct ip_hop hop;
    if (stack->settings.ip_forward || ip_find_hop(stack, destination_v4, 0, &hop) != 0 ||
        hop.interface != interface || hop.v4 != from_v4 || gateway_v4 == from_v4)
        return false;
    const struct address *own = address_network_of(&stack->addresses, (int)interface, gateway_v4);
    return own && ipv4_is_valid_source(gateway_v4) &&
           address_find(&stack->addresses, gateway_v4, NULL) == ADDRESS_FOREIGN;
}

bool redirect_learn(struct stack *stack, unsigned interface, uint32_t from_v4,
                    uint32_t destination_v4, uint32_t gateway_v4, uint64_t now_us)
{
    struct route_table *table = &stack->routes;
    struct route learned = {
        .network = destination_v4,
        .gateway = gateway_v4 != destination_v4 ? gateway_v4 : 0,
        .interface = (uint16_t)interface,
        .prefix_bits = 32,
        .kind = STACK_ROUTE_LEARNED,
        .expires_at = now_us + stack->settings.ip_redirect_lifetime_us,
    };
    if (!is_believable(stack, interface, from_v4, destination_v4, gateway_v4))
        return false;
    struct route *old = route_get(table, destination_v4, 32, ROUTE_ANY_METRIC);
    if (old && old->kind != STACK_ROUTE_LEARNED)
        return false; /* what a person has set stands */
    if (!old && table->learned_count >= stack->settings.ip_redirects_max)
        old = TAILQ_FIRST(&table->learned);
    if (old)
        route_remove(table, old);
    return stack->settings.ip_redirects_max > 0 &&
           route_add(table, &learned, (uint32_t)stack->settings.ip_routes_max) == 0;
}

void redirect_forget(struct stack *stack, uint32_t destination_v4)
{
    struct route *route = route_get(&stack->routes, destination_v4, 32, ROUTE_ANY_METRIC);
    if (route && route->kind == STACK_ROUTE_LEARNED)
        route_remove(&stack->routes, route);
}

void redirect_expire(struct stack *stack, uint64_t now_us)
{
    struct route *route;
    while ((route = TAILQ_FIRST(&stack->routes.learned)) && route->expires_at <= now_us)
        route_remove(&stack->routes, route);
}

uint64_t redirect_deadline(const struct stack *stack)
{
    const struct route *route = TAILQ_FIRST(&stack->routes.learned);
    return route ? route->expires_at : UINT64_MAX;
}
