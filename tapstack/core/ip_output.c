/* IPv4, the way out: source and next hop are chosen, the headers written, and the frame handed to
   the neighbor cache.

   Our own datagrams come through ip_output, forwarded ones from forward.c; both leave by
   ip_transmit. With ip.strong_host a datagram leaves by the interface that has its source address
   (RFC 1122, 3.3.4.2), else by the one that the routes name. A route over a gateway that does not
   answer gives way to the next best to the same network, if there is one (3.3.1.5). */
#include <string.h>

#include "../wire/checksum.h"
#include "../wire/ethernet.h"
#include "../wire/icmp.h"
#include "fragment.h"
#include "ip.h"
#include "state.h"
#include "tcp.h"

enum {
    TOTAL_BYTES_MAX = 65535,
    UNCUT_BYTES = 576,        /* links that take less are gone */
    TCP_CHECKSUM_OFFSET = 16, /* of the field in the TCP header (RFC 9293, 3.1) */
};

/* ---- Where to ---- */

/* What takes the place of a route whose gateway does not answer: the best one whose gateway is known;
   and one that was never tried, when the gateway has been asked more than once. So a gateway that
   comes back is found with one datagram a minute, when its failure is forgotten. */
static const struct route *find_alternative(const struct stack *stack, const struct route *dead,
                                            unsigned by_interface)
{
    const struct route *untried = NULL;
    for (const struct route *route = route_worse(dead); route; route = route_worse(route)) {
        if (by_interface != 0 && route->interface != by_interface - 1U)
            continue;
        const struct neighbor *gateway =
            neighbor_table_find(stack, route->interface, route->gateway);
        if (gateway && neighbor_is_known(gateway))
            return route;
        if (!gateway && !untried)
            untried = route;
    }
    return untried && neighbor_is_silent(stack, dead->interface, dead->gateway) ? untried : dead;
}

const struct route *ip_find_route(const struct stack *stack, uint32_t destination_v4,
                                  unsigned by_interface)
{
    uint32_t next_hop;
    const struct route *route =
        by_interface == 0
            ? route_find(&stack->routes, destination_v4, &next_hop)
            : route_find_on(&stack->routes, destination_v4, by_interface - 1, &next_hop);
    if (!route || route->gateway == 0 || !neighbor_table_has_unanswered(&stack->neighbors))
        return route;
    const struct neighbor *gateway = neighbor_table_find(stack, route->interface, route->gateway);
    return !gateway || neighbor_is_known(gateway) ? route
                                                  : find_alternative(stack, route, by_interface);
}

int ip_find_hop(const struct stack *stack, uint32_t destination_v4, unsigned by_interface,
                struct ip_hop *hop)
{
    if (!ipv4_is_valid_source(destination_v4) ||
        address_find(&stack->addresses, destination_v4, NULL) != ADDRESS_FOREIGN)
        return STACK_NO_ROUTE;
    const struct route *route = ip_find_route(stack, destination_v4, by_interface);
    if (!route)
        return STACK_NO_ROUTE;
    hop->v4 = route->gateway ? route->gateway : destination_v4;
    hop->interface = route->interface;
    hop->group = false;
    return 0;
}

/* A group is on the interface that was asked for; a network's broadcast on the network's; others
   where the route to the group leads, or else on the first one. */
static int find_group_hop(const struct stack *stack, const struct ip_send *send, struct ip_hop *hop)
{
    unsigned interface = 0;
    if (!send->to_group || stack->interface_count == 0)
        return STACK_NO_ROUTE;
    if (send->by_interface != 0) {
        interface = send->by_interface - 1U;
    } else if (address_find(&stack->addresses, send->destination_v4, &interface) ==
               ADDRESS_FOREIGN) {
        uint32_t next_hop;
        const struct route *route = route_find(&stack->routes, send->destination_v4, &next_hop);
        if (route)
            interface = route->interface;
    }
    *hop = (struct ip_hop){send->destination_v4, (uint16_t)interface, true};
    return interface < stack->interface_count ? 0 : STACK_NO_ROUTE;
}

/* The interface that a source address binds a datagram to, as in struct ip_send. */
static unsigned bound_interface(const struct stack *stack, const struct ip_send *send)
{
    unsigned interface;
    if (send->by_interface != 0)
        return send->by_interface;
    if (!stack->settings.ip_strong_host || stack->settings.ip_forward ||
        address_find(&stack->addresses, send->source_v4, &interface) != ADDRESS_LOCAL)
        return 0;
    return interface + 1;
}

static int find_hop(const struct stack *stack, const struct ip_send *send, struct ip_hop *hop)
{
    if (ipv4_is_multicast(send->destination_v4) || ip_is_broadcast(stack, send->destination_v4))
        return find_group_hop(stack, send, hop);
    return ip_find_hop(stack, send->destination_v4, bound_interface(stack, send), hop);
}

/* ---- From where ---- */

int ip_choose_source(const struct stack *stack, uint32_t destination_v4, uint32_t *source_v4,
                     unsigned *interface)
{
    struct ip_hop hop;
    if (ip_find_hop(stack, destination_v4, 0, &hop) != 0)
        return STACK_NO_ROUTE;
    const struct address *address = address_choose(&stack->addresses, hop.interface, hop.v4);
    if (!address)
        return STACK_NO_ROUTE;
    *interface = hop.interface;
    *source_v4 = address->v4;
    return 0;
}

/* A table of counts, shared by the pairs that fall on the same one; where each pair's count starts
   is a secret. */
uint16_t ip_identification(struct stack *stack, uint32_t source_v4, uint32_t destination_v4,
                           uint8_t protocol)
{
    struct {
        char use[4];
        uint32_t source_v4, destination_v4, protocol;
    } key = {"id", source_v4, destination_v4, protocol};
    uint64_t hash = stack_hash(stack, 0, &key, sizeof key);
    uint16_t *count = &stack->identification[(hash >> 16) % IP_IDENTIFICATION_COUNTS];
    return (uint16_t)(hash + (*count)++);
}

uint16_t ip_message_identification(struct stack *stack, uint32_t source_v4, uint32_t destination_v4,
                                   uint8_t protocol, size_t ip_bytes)
{
    return ip_bytes <= UNCUT_BYTES ? (uint16_t)stack_random32(stack)
                                   : ip_identification(stack, source_v4, destination_v4, protocol);
}

/* ---- The headers ---- */

/* Sums a TCP segment, or leaves it to the device where that can. */
static void finish_tcp_checksum(const struct stack *stack, struct frame *frame, uint8_t *header,
                                const struct ip_send *send)
{
    size_t start = (size_t)IP_PAYLOAD_OFFSET + send->option_bytes;
    uint8_t *field = header + start + TCP_CHECKSUM_OFFSET;
    struct ip_address source = ip_address_from_v4(send->source_v4);
    struct ip_address destination = ip_address_from_v4(send->destination_v4);
    uint32_t sum =
        checksum_add_pseudo(0, &source, &destination, send->protocol, frame_size(frame) - start);
    if (stack->interface[frame->interface].checksum_offload || frame->segment_bytes != 0) {
        frame->flags |= FRAME_CHECKSUM_PARTIAL;
        frame->checksum_start = (uint16_t)start;
        frame->checksum_offset = TCP_CHECKSUM_OFFSET;
        bytes_put16(field, checksum_fold(sum));
        return;
    }
    bytes_put16(field, 0);
    size_t offset = frame->piece[0].size - start;
    sum = checksum_add(sum, header + start, offset);
    for (unsigned i = 1; i < frame->piece_count; i++) {
        sum = checksum_add_at(sum, frame->piece[i].data, frame->piece[i].size, offset);
        offset += frame->piece[i].size;
    }
    bytes_put16(field, checksum_finish(sum));
}

static void write_ip_header(const struct frame *frame, uint8_t *ip, const struct ip_send *send)
{
    ipv4_write(
        &(struct ipv4_header){
            .tos = send->tos,
            .ttl = send->ttl,
            .protocol = send->protocol,
            .total_bytes = (uint16_t)(frame_size(frame) - ETHERNET_HEADER_BYTES),
            .identification = send->identification,
            .dont_fragment = send->dont_fragment,
            .source_v4 = send->source_v4,
            .destination_v4 = send->destination_v4,
        },
        ip);
    if (send->option_bytes == 0)
        return;
    memcpy(ip + IPV4_HEADER_BYTES, send->options, send->option_bytes);
    ip[0] = (uint8_t)(4 << 4 | (IPV4_HEADER_BYTES + send->option_bytes) / 4);
    ipv4_write_checksum(ip);
}

/* Is this frame too large for its link, or for the path? A super-frame is as large as its segments. */
static bool is_too_big(const struct frame *frame, uint16_t mtu_bytes)
{
    size_t size = frame->segment_bytes != 0 ? (size_t)frame->header_bytes + frame->segment_bytes
                                            : frame_size(frame);
    return size > (size_t)ETHERNET_HEADER_BYTES + mtu_bytes;
}

int ip_output(struct stack *stack, struct frame *frame, uint8_t *header, const struct ip_send *send,
              uint64_t now_us)
{
    size_t size = frame_size(frame);
    struct ip_hop hop;
    stack_count(stack, STACK_COUNTER_IP_OUT_REQUESTS);
    if (find_hop(stack, send, &hop) != 0)
        return stack_drop(stack, STACK_COUNTER_IP_OUT_NO_ROUTES, 0, size, now_us);
    if (!conflict_may_use(stack, send->source_v4))
        return stack_drop(stack, STACK_COUNTER_ARP_ADDRESS_UNUSABLE, 0, size, now_us);
    if (size - ETHERNET_HEADER_BYTES > TOTAL_BYTES_MAX)
        return stack_drop(stack, STACK_COUNTER_IP_OUT_DISCARDS, 0, size, now_us);
    frame->interface = hop.interface;
    if (stack->filter.watches[FILTER_OUTPUT] && filter_output(stack, frame, send, now_us) < 0)
        return -1;
    write_ip_header(frame, header + ETHERNET_HEADER_BYTES, send);
    if (send->protocol == IPV4_PROTOCOL_TCP)
        finish_tcp_checksum(stack, frame, header, send);
    /* No larger than the path takes, or a router would have to cut it (RFC 1122, 3.3.3). */
    uint16_t path_bytes =
        send->dont_fragment ? UINT16_MAX : pmtu_cached(stack, send->destination_v4);
    if (frame->segment_bytes == 0 && is_too_big(frame, path_bytes))
        return fragment_output(stack, frame, path_bytes, &hop, now_us);
    return ip_transmit(stack, frame, header, &hop, now_us);
}

/* ---- The last step ---- */

/* RFC 1112, 6.4: the lower 23 bits of the group behind 01:00:5e. */
static void write_group_mac(uint32_t group_v4, uint8_t *mac)
{
    memset(mac, 0xff, MAC_ADDRESS_BYTES);
    if (!ipv4_is_multicast(group_v4))
        return;
    bytes_put16(mac, 0x0100);
    bytes_put32(mac + 2, 0x5e000000 | (group_v4 & 0x7fffff));
}

/* What may not be fragmented, or is a super-frame, was made for a larger link: its route has changed
   since, and who keeps a path's MTU shall look again. */
static int send_too_big(struct stack *stack, const struct frame *frame, const uint8_t *header,
                        const struct ip_hop *hop, uint64_t now_us)
{
    enum { DONT_FRAGMENT = 0x40 };
    if ((header[ETHERNET_HEADER_BYTES + 6] & DONT_FRAGMENT) || frame->segment_bytes != 0) {
        stack->pmtu.generation++;
        return stack_drop(stack, STACK_COUNTER_IP_FRAG_FAILS, 0, frame_size(frame), now_us);
    }
    return fragment_output(stack, frame, stack->interface[hop->interface].mtu_bytes, hop, now_us);
}

int ip_transmit(struct stack *stack, struct frame *frame, uint8_t *header, const struct ip_hop *hop,
                uint64_t now_us)
{
    frame->interface = hop->interface;
    ethernet_write(
        &(struct ethernet_header){
            .source = stack->interface[hop->interface].mac,
            .type = ETHERTYPE_IPV4,
        },
        header);
    if (is_too_big(frame, stack->interface[hop->interface].mtu_bytes))
        return send_too_big(stack, frame, header, hop, now_us);
    if (!hop->group)
        return neighbor_resolve(stack, frame, header, hop->v4, now_us);
    write_group_mac(hop->v4, header);
    return 1;
}

/* ---- When nobody answers ---- */

void ip_undeliverable(struct stack *stack, const struct frame *frame, uint64_t now_us)
{
    struct ip_datagram datagram = {.frame = frame,
                                   .packet = frame->piece[0].data + ETHERNET_HEADER_BYTES};
    struct ipv4_header *header = &datagram.header;
    if (ipv4_parse(datagram.packet, frame->piece[0].size - ETHERNET_HEADER_BYTES, header) != 0)
        return;
    datagram.payload = datagram.packet + header->header_bytes;
    datagram.payload_bytes = header->total_bytes - header->header_bytes;
    redirect_forget(stack, header->destination_v4);
    if (!ip_is_local(stack, header->source_v4))
        icmp_send_error(stack, &datagram, ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_HOST_UNREACHABLE,
                        0, now_us);
    else
        icmp_unreachable(stack, &datagram, now_us);
}
