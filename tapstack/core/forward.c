/* Forwarding: datagrams of other hosts on their way to other hosts, as a router does (RFC 1812,
   5.2; stage S20).

   What comes here has a good header, a source that another host can have, well-formed options, and
   came in a frame to our own MAC; multicast and broadcast do not come here, and to a host that
   does not forward only what has it as a stop of its source route. The way on:

       may it be forwarded   ip.forward; time to live; a route; with ip.reverse_path a route back
       the filter            its forward chain; before it has looked, fragments are put together
       a copy                of the datagram into a packet, the only one that is made of it
       what a router writes  TTL less one, record route, timestamp, the next stop of a source route
       the way out           ip_transmit: fragments where it is too large, and the neighbor's MAC
       the queue             bounded in bytes; stack_output takes from it in turn with TCP

   What a card left undone stays undone: a frame with a partial checksum, or a super-frame of TCP,
   leaves as it came, and the device that cannot finish it has it done in software. A super-frame is
   as large as its segments: when these fit the next link, it is forwarded whole.

   Left out: routing of multicast, and the TOS as a part of the route (RFC 2474 has made it
   something else). */
#include "forward.h"

#include <string.h>

#include "../wire/ethernet.h"
#include "../wire/icmp.h"
#include "ip_option.h"
#include "state.h"

enum {
    FLAGS_OFFSET =
        6, /* of the octet with the fragmentation flags in the IP header (RFC 791, 3.1) */
    DONT_FRAGMENT = 0x40,
};

/* A datagram on its way through. */
struct transit {
    const struct ip_datagram *datagram;
    struct ip_hop hop;
    uint32_t next_stop; /* of its source route; 0: it has none */
    uint64_t now_us;
};

static int refuse(struct stack *stack, const struct transit *transit, enum stack_counter counter)
{
    return stack_drop(stack, counter, 0, transit->datagram->header.total_bytes, transit->now_us);
}

static int refuse_with(struct stack *stack, const struct transit *transit,
                       enum stack_counter counter, uint8_t type, uint8_t code, uint32_t rest)
{
    icmp_send_error(stack, transit->datagram, type, code, rest, transit->now_us);
    return refuse(stack, transit, counter);
}

/* ---- May it, and where to? ---- */

/* Would an answer to its source leave by the interface that it came by (RFC 1812, 5.3.8)? */
static bool is_reverse_path(const struct stack *stack, const struct ip_datagram *datagram)
{
    struct ip_hop back;
    return ip_find_hop(stack, datagram->header.source_v4, 0, &back) == 0 &&
           back.interface == datagram->frame->interface;
}

/* Fills in the hop. Returns 0, or -1 when the datagram was dropped. */
static int find_way(struct stack *stack, struct transit *transit)
{
    const struct ip_datagram *datagram = transit->datagram;
    bool routed = transit->next_stop != 0;
    uint32_t to_v4 = routed ? transit->next_stop : datagram->header.destination_v4;
    bool found = ip_find_hop(stack, to_v4, 0, &transit->hop) == 0;
    if (!found && !routed)
        return refuse_with(stack, transit, STACK_COUNTER_IP_FORW_NO_ROUTES,
                           ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_NET_UNREACHABLE, 0);
    /* A strict route names every router: the next one must be a neighbor. It binds the datagram on
       the way to a stop, too, so one that is not ours should not have come here. */
    bool strict = datagram->options.source_route != 0 && datagram->options.strict;
    if (!found || (strict && (!routed || transit->hop.v4 != to_v4)))
        return refuse_with(stack, transit, STACK_COUNTER_IP_FORW_ROUTE_FAILED,
                           ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_SOURCE_ROUTE_FAILED, 0);
    return 0;
}

/* The largest datagram that will be on the wire of a frame. */
static size_t datagram_bytes(const struct ip_datagram *datagram)
{
    const struct frame *frame = datagram->frame;
    size_t bytes = datagram->header.total_bytes;
    if (frame->segment_bytes == 0)
        return bytes;
    size_t segment = (size_t)frame->header_bytes - ETHERNET_HEADER_BYTES + frame->segment_bytes;
    return segment < bytes ? segment : bytes;
}

/* Returns 0, or -1 when it was dropped. */
static int check_transit(struct stack *stack, struct transit *transit)
{
    const struct ip_datagram *datagram = transit->datagram;
    if (datagram->header.ttl <= 1)
        return refuse_with(stack, transit, STACK_COUNTER_IP_FORW_TTL_EXCEEDED, ICMP_TIME_EXCEEDED,
                           ICMP_CODE_TTL_EXCEEDED, 0);
    if (stack->settings.ip_reverse_path && !is_reverse_path(stack, datagram))
        return refuse(stack, transit, STACK_COUNTER_IP_FORW_REVERSE_PATH);
    if (find_way(stack, transit) != 0)
        return -1;
    uint16_t mtu_bytes = stack->interface[transit->hop.interface].mtu_bytes;
    if (datagram->header.dont_fragment && datagram_bytes(datagram) > mtu_bytes)
        return refuse_with(stack, transit, STACK_COUNTER_IP_FORW_TOO_BIG,
                           ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_FRAGMENTATION_NEEDED, mtu_bytes);
    return 0;
}

/* ---- The copy ---- */

static uint32_t own_address(const struct stack *stack, const struct ip_hop *hop)
{
    const struct address *address = address_choose(&stack->addresses, hop->interface, hop->v4);
    return address ? address->v4 : 0;
}

/* What a router writes into the header. */
static void rewrite_header(const struct stack *stack, const struct transit *transit,
                           uint8_t *header)
{
    const struct ipv4_options *options = &transit->datagram->options;
    ipv4_decrement_ttl(header);
    if ((options->record_route | options->timestamp | options->source_route) == 0)
        return;
    uint32_t own_v4 = own_address(stack, &transit->hop);
    ip_option_record(stack, header, options, own_v4, transit->now_us);
    if (transit->next_stop != 0)
        ip_option_advance(header, options, own_v4);
    ipv4_write_checksum(header);
}

/* A packet with the datagram and room for the Ethernet header, or NULL without room for it. What
   stood behind the datagram to fill the frame stays behind. */
static struct packet *copy_datagram(struct stack *stack, const struct ip_datagram *datagram)
{
    const struct frame *frame = datagram->frame;
    size_t size = (size_t)ETHERNET_HEADER_BYTES + datagram->header.total_bytes;
    struct forward *forward = &stack->forward;
    if (forward->queued_bytes + pool_block_bytes(sizeof(struct packet) + size) >
        stack->settings.ip_forward_queue)
        return NULL;
    struct packet *packet = packet_create(&stack->pool, size);
    if (!packet)
        return NULL;
    packet->frame.flags = frame->flags & FRAME_CHECKSUM_PARTIAL;
    packet->frame.checksum_start = frame->checksum_start;
    packet->frame.checksum_offset = frame->checksum_offset;
    packet->frame.segment_bytes = frame->segment_bytes;
    packet->frame.header_bytes = frame->header_bytes;
    ethernet_write(&(struct ethernet_header){.type = ETHERTYPE_IPV4}, packet->bytes);
    memcpy(packet->bytes + ETHERNET_HEADER_BYTES, datagram->packet, datagram->header.total_bytes);
    return packet;
}

/* ---- The queue ---- */

static size_t block_bytes(const struct packet *packet)
{
    return pool_block_bytes(sizeof *packet + packet->capacity);
}

struct packet *forward_take(struct stack *stack)
{
    struct packet *packet = packet_queue_pop(&stack->forward.queue);
    if (packet)
        stack->forward.queued_bytes -= block_bytes(packet);
    return packet;
}

void forward_close(struct stack *stack)
{
    packet_queue_clear(&stack->forward.queue, &stack->pool);
    stack->forward.queued_bytes = 0;
}

/* Sends the packet on as it is; takes it over. Whoever sends to a neighbor that has failed is told
   each time, and not only when the failure was found. Returns 0, or -1 when it was dropped. */
static int send_packet(struct stack *stack, struct packet *packet, const struct ip_hop *hop,
                       uint64_t now_us)
{
    int sent = ip_transmit(stack, &packet->frame, packet->bytes, hop, now_us);
    if (sent == 1) {
        stack->forward.queued_bytes += block_bytes(packet);
        packet_queue_push(&stack->forward.queue, packet);
        return 0;
    }
    if (sent < 0 && neighbor_has_failed(stack, hop->interface, hop->v4))
        ip_undeliverable(stack, &packet->frame, now_us);
    packet_destroy(&stack->pool, packet);
    return sent < 0 ? -1 : 0;
}

/* A super-frame whose segments are too large for the next link, and may be fragmented: each becomes
   a frame, which ip_transmit cuts. Takes the packet over. */
static int send_segments(struct stack *stack, struct packet *whole, const struct ip_hop *hop,
                         uint64_t now_us)
{
    size_t size = (size_t)whole->frame.header_bytes + whole->frame.segment_bytes;
    struct frame_splitter splitter;
    struct packet *packet = NULL;
    int result = 0;
    frame_split_start(&splitter, &whole->frame);
    while (result == 0) {
        packet = packet_create(&stack->pool, size);
        size_t written = packet ? frame_split_next(&splitter, packet->bytes, packet->capacity) : 0;
        if (written == 0)
            break;
        packet->frame.piece[0].size = written;
        result = send_packet(stack, packet, hop, now_us);
        packet = NULL;
    }
    if (!splitter.done && result == 0)
        result = stack_drop(stack, STACK_COUNTER_IP_FORW_QUEUE_DROPS, 0, frame_size(&whole->frame),
                            now_us);
    packet_destroy(&stack->pool, packet);
    packet_destroy(&stack->pool, whole);
    return result;
}

/* The filter sees whole datagrams only. What came in fragments may leave in fragments again,
   whatever its sender has forbidden others. */
static int forward_fragment(struct stack *stack, const struct ip_datagram *fragment,
                            uint64_t now_us)
{
    struct reassembly_whole whole;
    int result = reassembly_input(stack, fragment, &whole, now_us);
    if (result != 1)
        return result;
    whole.bytes[FLAGS_OFFSET] &= (uint8_t)~DONT_FRAGMENT;
    whole.datagram.header.dont_fragment = false;
    ipv4_write_checksum(whole.bytes);
    result = forward_datagram(stack, &whole.datagram, now_us);
    reassembly_release(stack, &whole);
    return result;
}

int forward_datagram(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us)
{
    struct transit transit = {
        .datagram = datagram,
        .next_stop = ip_is_local(stack, datagram->header.destination_v4)
                         ? ip_option_next_stop(datagram->packet, &datagram->options)
                         : 0,
        .now_us = now_us,
    };
    /* A host that was named as a stop of a source route (RFC 1122, 3.3.5). */
    if (!stack->settings.ip_forward)
        return refuse_with(stack, &transit, STACK_COUNTER_IP_FORW_ROUTE_FAILED,
                           ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_SOURCE_ROUTE_FAILED, 0);
    if (stack->filter.watches[FILTER_FORWARD] &&
        (datagram->header.fragment_offset != 0 || datagram->header.more_fragments))
        return forward_fragment(stack, datagram, now_us);
    if (check_transit(stack, &transit) != 0)
        return -1;
    if (stack->filter.watches[FILTER_FORWARD] &&
        filter_forward(stack, datagram, transit.hop.interface, now_us) < 0)
        return -1;
    struct packet *packet = copy_datagram(stack, datagram);
    if (!packet)
        return refuse(stack, &transit, STACK_COUNTER_IP_FORW_QUEUE_DROPS);
    redirect_send(stack, datagram, &transit.hop, now_us);
    rewrite_header(stack, &transit, packet->bytes + ETHERNET_HEADER_BYTES);
    stack_count(stack, STACK_COUNTER_IP_FORW_DATAGRAMS);
    if (packet->frame.segment_bytes != 0 &&
        datagram_bytes(datagram) > stack->interface[transit.hop.interface].mtu_bytes)
        return send_segments(stack, packet, &transit.hop, now_us);
    return send_packet(stack, packet, &transit.hop, now_us);
}
