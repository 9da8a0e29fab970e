/* IPv4: checks what comes in and hands it to its protocol; heads and routes what goes out.

   A host, not a router: what is not for us is dropped. Options are skipped, never obeyed (RFC 9293
   3.9.2, MUST-50), source routes included; fragments are dropped and counted. */
#include "ip.h"

#include "../wire/checksum.h"
#include "../wire/ethernet.h"
#include "../wire/icmp.h"
#include "state.h"
#include "tcp.h"
#include "udp.h"

#define ALL_SYSTEMS UINT32_C(0xe0000001) /* 224.0.0.1 (RFC 1112, 4) */

enum {
    TOTAL_BYTES_MAX = 65535,
    TCP_CHECKSUM_OFFSET = 16, /* of the field in the TCP header (RFC 9293, 3.1) */
};

bool ip_is_local(const struct stack *stack, uint32_t v4)
{
    for (unsigned i = 0; i < stack->interface_count; i++)
        if (stack->interface[i].address_v4 == v4)
            return true;
    return false;
}

bool ip_is_broadcast(const struct stack *stack, uint32_t v4)
{
    if (v4 == UINT32_MAX)
        return true;
    for (unsigned i = 0; i < stack->interface_count; i++) {
        const struct stack_interface_config *interface = &stack->interface[i];
        /* A network of one or two addresses has no broadcast address (RFC 3021). */
        if (interface->prefix_bits <= 30 &&
            v4 == (interface->address_v4 | UINT32_MAX >> interface->prefix_bits))
            return true;
    }
    return false;
}

/* Can another host have sent this (RFC 1122, 3.2.1.3)? */
static bool is_foreign_source(const struct stack *stack, uint32_t v4)
{
    return ipv4_is_valid_source(v4) && !ip_is_local(stack, v4) && !ip_is_broadcast(stack, v4);
}

static enum stack_counter parse_error_counter(int error)
{
    switch (error) {
    case IPV4_TRUNCATED:
        return STACK_COUNTER_IP_IN_TRUNCATED;
    case IPV4_BAD_CHECKSUM:
        return STACK_COUNTER_IP_IN_CSUM_ERRORS;
    default:
        return STACK_COUNTER_IP_IN_HDR_ERRORS;
    }
}

static int deliver(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us)
{
    stack_count(stack, STACK_COUNTER_IP_IN_DELIVERS);
    switch (datagram->header.protocol) {
    case IPV4_PROTOCOL_TCP:
        return tcp_input(stack, datagram, now_us);
    case IPV4_PROTOCOL_ICMP:
        return icmp_input(stack, datagram, now_us);
    default:
        return udp_input(stack, datagram, now_us);
    }
}

static bool is_known_protocol(uint8_t protocol)
{
    return protocol == IPV4_PROTOCOL_TCP || protocol == IPV4_PROTOCOL_ICMP ||
           protocol == IPV4_PROTOCOL_UDP;
}

int ip_input(struct stack *stack, const struct frame *frame, const uint8_t *bytes, size_t size,
             bool to_group, uint64_t now_us)
{
    struct ip_datagram datagram = {.frame = frame, .packet = bytes};
    struct ipv4_header *header = &datagram.header;
    stack_count(stack, STACK_COUNTER_IP_IN_RECEIVES);
    int error = ipv4_parse(bytes, size, header);
    if (error)
        return stack_drop(stack, parse_error_counter(error), 0, size, now_us);

    bool group =
        ip_is_broadcast(stack, header->destination_v4) || header->destination_v4 == ALL_SYSTEMS;
    if (!is_foreign_source(stack, header->source_v4) ||
        !(group || ip_is_local(stack, header->destination_v4)))
        return stack_drop(stack, STACK_COUNTER_IP_IN_ADDR_ERRORS, 0, size, now_us);
    if (!conflict_may_use(stack, header->destination_v4))
        return stack_drop(stack, STACK_COUNTER_ARP_ADDRESS_UNUSABLE, 0, size, now_us);
    if (header->fragment_offset != 0 || header->more_fragments)
        return stack_drop(stack, STACK_COUNTER_IP_IN_FRAGMENTS, 0, size, now_us);

    datagram.payload = bytes + header->header_bytes;
    datagram.payload_bytes = header->total_bytes - header->header_bytes;
    datagram.source = ip_address_from_v4(header->source_v4);
    datagram.destination = ip_address_from_v4(header->destination_v4);
    datagram.to_group = to_group || group;
    if (is_known_protocol(header->protocol))
        return deliver(stack, &datagram, now_us);
    icmp_send_error(stack, &datagram, ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_PROTOCOL_UNREACHABLE,
                    0, now_us);
    return stack_drop(stack, STACK_COUNTER_IP_IN_UNKNOWN_PROTOS, 0, size, now_us);
}

/* The route to another host, or NULL: what is ours, loopback or a group is never sent. */
static const struct route *find_route(const struct stack *stack, uint32_t destination_v4,
                                      uint32_t *next_hop)
{
    if (!is_foreign_source(stack, destination_v4))
        return NULL;
    return route_find(&stack->routes, destination_v4, next_hop);
}

int ip_choose_source(const struct stack *stack, uint32_t destination_v4, uint32_t *source_v4,
                     unsigned *interface)
{
    uint32_t next_hop;
    const struct route *route = find_route(stack, destination_v4, &next_hop);
    if (!route)
        return STACK_NO_ROUTE;
    *interface = route->interface;
    *source_v4 = stack->interface[route->interface].address_v4;
    return 0;
}

/* Sums a TCP segment, or leaves it to the device where that can. */
static void finish_tcp_checksum(const struct stack *stack, struct frame *frame, uint8_t *header,
                                const struct ip_send *send)
{
    uint8_t *field = header + IP_PAYLOAD_OFFSET + TCP_CHECKSUM_OFFSET;
    struct ip_address source = ip_address_from_v4(send->source_v4);
    struct ip_address destination = ip_address_from_v4(send->destination_v4);
    uint32_t sum = checksum_add_pseudo(0, &source, &destination, send->protocol,
                                       frame_size(frame) - IP_PAYLOAD_OFFSET);
    if (stack->interface[frame->interface].checksum_offload || frame->segment_bytes != 0) {
        frame->flags |= FRAME_CHECKSUM_PARTIAL;
        frame->checksum_start = IP_PAYLOAD_OFFSET;
        frame->checksum_offset = TCP_CHECKSUM_OFFSET;
        bytes_put16(field, checksum_fold(sum));
        return;
    }
    bytes_put16(field, 0);
    sum = checksum_add(sum, header + IP_PAYLOAD_OFFSET, frame->piece[0].size - IP_PAYLOAD_OFFSET);
    size_t offset = frame->piece[0].size - IP_PAYLOAD_OFFSET;
    for (unsigned i = 1; i < frame->piece_count; i++) {
        sum = checksum_add_at(sum, frame->piece[i].data, frame->piece[i].size, offset);
        offset += frame->piece[i].size;
    }
    bytes_put16(field, checksum_finish(sum));
}

/* Writes both headers; the Ethernet destination stays open. */
static void write_headers(const struct stack *stack, const struct frame *frame, uint8_t *header,
                          const struct ip_send *send)
{
    ethernet_write(
        &(struct ethernet_header){
            .source = stack->interface[frame->interface].mac,
            .type = ETHERTYPE_IPV4,
        },
        header);
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
        header + ETHERNET_HEADER_BYTES);
}

int ip_output(struct stack *stack, struct frame *frame, uint8_t *header, const struct ip_send *send,
              uint64_t now_us)
{
    size_t size = frame_size(frame);
    uint32_t next_hop;
    stack_count(stack, STACK_COUNTER_IP_OUT_REQUESTS);
    const struct route *route = find_route(stack, send->destination_v4, &next_hop);
    if (!route)
        return stack_drop(stack, STACK_COUNTER_IP_OUT_NO_ROUTES, 0, size, now_us);
    if (!conflict_may_use(stack, send->source_v4))
        return stack_drop(stack, STACK_COUNTER_ARP_ADDRESS_UNUSABLE, 0, size, now_us);
    if (size - ETHERNET_HEADER_BYTES > TOTAL_BYTES_MAX)
        return stack_drop(stack, STACK_COUNTER_IP_OUT_DISCARDS, 0, size, now_us);
    frame->interface = route->interface;
    write_headers(stack, frame, header, send);
    if (send->protocol == IPV4_PROTOCOL_TCP)
        finish_tcp_checksum(stack, frame, header, send);
    return neighbor_resolve(stack, frame, header, next_hop, now_us);
}

void ip_undeliverable(struct stack *stack, const struct frame *frame, uint64_t now_us)
{
    struct ipv4_header header;
    const uint8_t *packet = frame->piece[0].data + ETHERNET_HEADER_BYTES;
    size_t size = frame->piece[0].size - ETHERNET_HEADER_BYTES;
    if (ipv4_parse(packet, size, &header) == 0 && header.protocol == IPV4_PROTOCOL_TCP &&
        ip_is_local(stack, header.source_v4))
        tcp_unreachable(stack, &header, packet + header.header_bytes, now_us);
}
