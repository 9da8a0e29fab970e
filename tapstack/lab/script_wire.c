/* Packets of a script on the wire: frames built and read.

   A script counts the sequence numbers of either side from where it likes; the first packet of ours
   that is expected in a flow fixes what is to be added (struct run_flow). The numbers of the other
   side are its own invention and go onto the wire as they are. Timestamps of ours are fixed
   likewise by the first that is expected; after that they need to be right only to the
   tolerance, and only if the script says how long their tick is. */
#include <string.h>

#include "../wire/bytes.h"
#include "../wire/checksum.h"
#include "../wire/ethernet.h"
#include "../wire/icmp.h"
#include "../wire/ipv4.h"
#include "../wire/tcp.h"
#include "../wire/tcp_option.h"
#include "../wire/udp.h"
#include "script_state.h"

enum {
    ECN_BITS = 3,
    OPTIONS_BYTES_MAX = 40,
    PAYLOAD_OFFSET = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES,
    QUOTED_TCP_BYTES = 8, /* enough of a header for what a router must quote */
};

/* ---- Flows ---- */

struct run_flow *flow_find(struct run *run, uint16_t local_port, uint16_t remote_port)
{
    for (unsigned i = 0; i < run->flow_count; i++)
        if (run->flow[i].local_port == local_port && run->flow[i].remote_port == remote_port)
            return &run->flow[i];
    if (run->flow_count == RUN_FLOWS_MAX)
        run_fail(run, run->event->place, "more than %d connections", RUN_FLOWS_MAX);
    struct run_flow *flow = &run->flow[run->flow_count++];
    *flow = (struct run_flow){.local_port = local_port, .remote_port = remote_port};
    return flow;
}

/* A SYN of ours that no event has asked for yet says how a flow counts, too. */
static void learn_queued(struct run *run)
{
    struct script_packet packet;
    for (size_t i = 0; i < run->sent_count; i++)
        packet_read(run, &run->sent[run->sent_head + i], NULL, &packet);
}

/* Whose packet it is. The first SYN without ports makes a connection to the bound port. */
static struct run_flow *inbound_flow(struct run *run, const struct script_packet *packet)
{
    struct run_flow *flow = run->current;
    if (packet->source_port >= 0)
        flow = flow_find(run, (uint16_t)packet->destination_port, (uint16_t)packet->source_port);
    else if (!flow)
        flow = run->current = flow_find(run, run->bind_port, run->next_remote_port++);
    if (!flow->local_known)
        learn_queued(run);
    return flow;
}

/* ---- Building ---- */

/* A timestamp of ours as the script has it, echoed: what was on the wire when it was expected. */
uint32_t flow_wire_stamp(const struct run_flow *flow, uint32_t stamp)
{
    for (unsigned i = 0; i < flow->stamp_count && i < RUN_STAMPS_MAX; i++) {
        unsigned last = (flow->stamp_count - 1 - i) % RUN_STAMPS_MAX;
        if (flow->stamp[last].script == stamp)
            return flow->stamp[last].wire;
    }
    return stamp ? stamp + flow->stamp_base : 0;
}

static size_t put_option(const struct run_flow *flow, const struct script_option *option,
                         uint8_t *at)
{
    uint8_t *start = at;
    if (option->raw) {
        memcpy(at, option->bytes, option->size);
        return option->size;
    }
    *at++ = option->kind;
    if (option->kind == TCP_KIND_END || option->kind == TCP_KIND_NOP)
        return 1;
    at++;
    switch (option->numbered ? UINT8_MAX : option->kind) {
    case TCP_KIND_MSS:
        bytes_put16(at, (uint16_t)option->value[0]);
        at += 2;
        break;
    case TCP_KIND_WINDOW_SCALE:
        *at++ = (uint8_t)option->value[0];
        break;
    case TCP_KIND_SACK:
        for (unsigned i = 0; i < option->value_count; i++, at += 4)
            bytes_put32(at, option->value[i] + flow->local_base);
        break;
    case TCP_KIND_TIMESTAMPS:
        bytes_put32(at, option->value[0]);
        bytes_put32(at + 4, flow_wire_stamp(flow, option->value[1]));
        at += 8;
        break;
    default:
        memcpy(at, option->bytes, option->size);
        at += option->size;
    }
    start[1] = (uint8_t)(at - start);
    return (size_t)(at - start);
}

/* All options, filled up with zeros to whole words as packetdrill does. */
static size_t put_options(struct run *run, const struct run_flow *flow,
                          const struct script_packet *packet, uint8_t *at)
{
    uint8_t bytes[SCRIPT_OPTIONS_MAX * 40];
    size_t size = 0;
    for (unsigned i = 0; i < packet->option_count && size <= OPTIONS_BYTES_MAX; i++)
        size += put_option(flow, &packet->option[i], bytes + size);
    while (size % 4 != 0)
        bytes[size++] = 0;
    if (size > OPTIONS_BYTES_MAX)
        run_fail(run, run->event->place, "these options need %zu bytes, a header has 40", size);
    memcpy(at, bytes, size);
    return size;
}

static size_t build_tcp(struct run *run, const struct script_packet *packet, uint8_t *at)
{
    const struct run_flow *flow = inbound_flow(run, packet);
    size_t header = TCP_HEADER_BYTES + put_options(run, flow, packet, at + TCP_HEADER_BYTES);
    size_t size = header + packet->payload_bytes;
    bytes_put16(at, flow->remote_port);
    bytes_put16(at + 2, flow->local_port);
    bytes_put32(at + 4, packet->sequence + flow->remote_base);
    bytes_put32(at + 8, packet->flags & TCP_ACK ? packet->ack + flow->local_base : 0);
    at[12] = (uint8_t)(header / 4 << 4 | (packet->flags & SCRIPT_FLAG_AE ? 1 : 0));
    at[13] = (uint8_t)packet->flags;
    bytes_put16(at + 14, packet->window < 0 ? 0 : (uint16_t)packet->window);
    bytes_put16(at + 16, 0);
    bytes_put16(at + 18, packet->urgent < 0 ? 0 : (uint16_t)packet->urgent);
    memset(at + header, 0, packet->payload_bytes);
    struct ip_address source = ip_address_from_v4(run->remote_v4);
    struct ip_address destination = ip_address_from_v4(run->local_v4);
    uint32_t sum = checksum_add_pseudo(0, &source, &destination, IPV4_PROTOCOL_TCP, size);
    bytes_put16(at + 16, checksum_finish(checksum_add(sum, at, size)));
    return size;
}

static size_t build_udp(struct run *run, const struct script_packet *packet, uint8_t *at)
{
    const struct run_flow *flow = inbound_flow(run, packet);
    size_t size = UDP_HEADER_BYTES + packet->payload_bytes;
    bytes_put16(at, flow->remote_port);
    bytes_put16(at + 2, flow->local_port);
    bytes_put16(at + 4, (uint16_t)size);
    bytes_put16(at + 6, 0);
    memset(at + UDP_HEADER_BYTES, 0, packet->payload_bytes);
    struct ip_address source = ip_address_from_v4(run->remote_v4);
    struct ip_address destination = ip_address_from_v4(run->local_v4);
    uint32_t sum = checksum_add_pseudo(0, &source, &destination, IPV4_PROTOCOL_UDP, size);
    uint16_t checksum = checksum_finish(checksum_add(sum, at, size));
    bytes_put16(at + 6, checksum ? checksum : UINT16_MAX);
    return size;
}

/* The packet of ours that an ICMP error is about: its IP header and the first eight bytes. */
static size_t build_quote(struct run *run, const struct script_packet *packet, uint8_t *at)
{
    const struct run_flow *flow = inbound_flow(run, packet);
    size_t headers = packet->quotes_udp ? UDP_HEADER_BYTES : TCP_HEADER_BYTES;
    uint8_t *transport = at + IPV4_HEADER_BYTES;
    ipv4_write(
        &(struct ipv4_header){
            .ttl = 63,
            .protocol = packet->quotes_udp ? IPV4_PROTOCOL_UDP : IPV4_PROTOCOL_TCP,
            .total_bytes = (uint16_t)(IPV4_HEADER_BYTES + headers + packet->quoted_bytes),
            .dont_fragment = true,
            .source_v4 = run->local_v4,
            .destination_v4 = run->remote_v4,
        },
        at);
    bytes_put16(transport, flow->local_port);
    bytes_put16(transport + 2, flow->remote_port);
    if (packet->quotes_udp)
        bytes_put32(transport + 4, (uint32_t)(headers + packet->quoted_bytes) << 16);
    else
        bytes_put32(transport + 4, packet->quoted_sequence + flow->local_base);
    return IPV4_HEADER_BYTES + QUOTED_TCP_BYTES;
}

static size_t build_icmp(struct run *run, const struct script_packet *packet, uint8_t *at)
{
    size_t body = packet->quotes ? build_quote(run, packet, at + ICMP_HEADER_BYTES) : 0;
    struct icmp_header header = {
        .type = packet->icmp_type,
        .code = packet->icmp_code,
        .rest = (packet->icmp_mtu < 0 ? 0 : (uint32_t)packet->icmp_mtu) |
                (packet->icmp_id < 0 ? 0 : (uint32_t)packet->icmp_id << 16),
    };
    return icmp_write(&header, at, body) + body;
}

static uint8_t tos_of(const struct script_packet *packet)
{
    unsigned tos = packet->tos < 0 ? 0 : (unsigned)packet->tos;
    if (packet->ecn == SCRIPT_ECN_ECT01)
        tos |= SCRIPT_ECN_ECT0;
    else if (packet->ecn > 0)
        tos |= (unsigned)packet->ecn;
    return (uint8_t)tos;
}

size_t packet_build(struct run *run, const struct script_packet *packet, uint8_t *bytes)
{
    static const uint8_t protocols[] = {[SCRIPT_TCP] = IPV4_PROTOCOL_TCP,
                                        [SCRIPT_UDP] = IPV4_PROTOCOL_UDP,
                                        [SCRIPT_ICMP] = IPV4_PROTOCOL_ICMP};
    uint8_t *payload = bytes + PAYLOAD_OFFSET;
    size_t size = packet->kind == SCRIPT_TCP   ? build_tcp(run, packet, payload)
                  : packet->kind == SCRIPT_UDP ? build_udp(run, packet, payload)
                                               : build_icmp(run, packet, payload);
    if (IPV4_HEADER_BYTES + size > 65535)
        run_fail(run, run->event->place, "this packet is larger than 65535 bytes");
    const struct stack_interface_config *interface = stack_interface(run->stack, 0);
    ethernet_write(
        &(struct ethernet_header){
            .destination = interface->mac,
            .source = {{2, 0, 0, 0, 0, 1}},
            .type = ETHERTYPE_IPV4,
        },
        bytes);
    ipv4_write(
        &(struct ipv4_header){
            .tos = tos_of(packet),
            .ttl = packet->ttl < 0 ? 64 : (uint8_t)packet->ttl,
            .protocol = protocols[packet->kind],
            .total_bytes = (uint16_t)(IPV4_HEADER_BYTES + size),
            .dont_fragment = true,
            .source_v4 = run->remote_v4,
            .destination_v4 = run->local_v4,
        },
        bytes + ETHERNET_HEADER_BYTES);
    return PAYLOAD_OFFSET + size;
}

/* ---- Reading ---- */

static void read_option(const struct run_flow *flow, const uint8_t *at, size_t length,
                        struct script_option *option)
{
    *option = (struct script_option){.kind = at[0]};
    switch (length > 1 ? at[0] : TCP_KIND_NOP) {
    case TCP_KIND_MSS:
        option->value[option->value_count++] = bytes_get16(at + 2);
        break;
    case TCP_KIND_WINDOW_SCALE:
        option->value[option->value_count++] = at[2];
        break;
    case TCP_KIND_SACK:
        for (size_t i = 2; i < length; i += 4)
            option->value[option->value_count++] = bytes_get32(at + i) - flow->remote_base;
        break;
    case TCP_KIND_TIMESTAMPS:
        option->value[0] = bytes_get32(at + 2) - flow->stamp_base;
        option->value[1] = bytes_get32(at + 6);
        option->value_count = 2;
        break;
    case TCP_KIND_SACK_PERMITTED:
    case TCP_KIND_NOP:
        break;
    default:
        option->size = (uint8_t)(length - 2);
        memcpy(option->bytes, at + 2, length - 2);
    }
}

static const struct script_option *find_option(const struct script_packet *packet, uint8_t kind)
{
    for (unsigned i = 0; i < packet->option_count; i++)
        if (packet->option[i].kind == kind)
            return &packet->option[i];
    return NULL;
}

/* The first packet of ours that the script speaks of says how it counts. */
static void learn_bases(struct run_flow *flow, const struct tcp_header *header,
                        const struct script_packet *expected)
{
    if ((header->flags & TCP_SYN) && (expected || !flow->local_known)) {
        flow->local_base = header->sequence - (expected ? expected->sequence : 0);
        flow->local_known = true;
    }
    const struct script_option *stamp =
        expected ? find_option(expected, TCP_KIND_TIMESTAMPS) : NULL;
    if (!stamp || stamp->value_count < 2 || !(header->options_present & TCP_OPTION_TIMESTAMPS))
        return;
    if (!flow->stamp_known)
        flow->stamp_base = header->timestamp_value - stamp->value[0];
    flow->stamp_known = true;
    unsigned next = flow->stamp_count++ % RUN_STAMPS_MAX;
    flow->stamp[next].script = stamp->value[0];
    flow->stamp[next].wire = header->timestamp_value;
}

static void read_tcp(struct run *run, const uint8_t *at, size_t size,
                     const struct script_packet *expected, struct script_packet *packet)
{
    struct tcp_header header;
    if (tcp_parse(at, size, &header) < 0)
        run_fail(run, run->event->place, "the stack has sent a malformed TCP header");
    struct run_flow *flow = flow_find(run, header.source_port, header.destination_port);
    learn_bases(flow, &header, expected);
    packet->kind = SCRIPT_TCP;
    packet->source_port = header.source_port;
    packet->destination_port = header.destination_port;
    packet->flags = (uint16_t)(header.flags | (at[12] & 1 ? SCRIPT_FLAG_AE : 0));
    packet->sequence = header.sequence - flow->local_base;
    packet->ack = header.acknowledgment - flow->remote_base;
    packet->payload_bytes = (uint32_t)(size - header.header_bytes);
    packet->window = header.window;
    packet->urgent = header.flags & TCP_URG ? header.urgent_pointer : -1;
    const uint8_t *end = at + header.header_bytes;
    for (const uint8_t *option = at + TCP_HEADER_BYTES; option < end;) {
        bool fits;
        size_t length = tcp_option_length(option, end, &fits);
        if (length == 0 || !fits || packet->option_count == SCRIPT_OPTIONS_MAX)
            run_fail(run, run->event->place, "the stack has sent a malformed TCP option");
        read_option(flow, option, length, &packet->option[packet->option_count++]);
        option += length;
    }
}

static void read_other(struct run *run, const uint8_t *at, size_t size, uint8_t protocol,
                       struct script_packet *packet)
{
    struct udp_header udp;
    struct icmp_header icmp;
    if (protocol == IPV4_PROTOCOL_UDP && udp_parse(at, size, &udp) == 0) {
        packet->kind = SCRIPT_UDP;
        packet->source_port = udp.source_port;
        packet->destination_port = udp.destination_port;
        packet->payload_bytes = udp.length - UDP_HEADER_BYTES;
    } else if (protocol == IPV4_PROTOCOL_ICMP && icmp_parse(at, size, &icmp) == 0) {
        packet->kind = SCRIPT_ICMP;
        packet->icmp_type = icmp.type;
        packet->icmp_code = icmp.code;
        if (icmp.type == ICMP_DESTINATION_UNREACHABLE &&
            icmp.code == ICMP_CODE_FRAGMENTATION_NEEDED)
            packet->icmp_mtu = icmp.rest & 0xffff;
        if (icmp.type == ICMP_ECHO_REPLY || icmp.type == ICMP_ECHO_REQUEST)
            packet->icmp_id = icmp.rest >> 16;
    } else {
        run_fail(run, run->event->place, "the stack has sent a malformed packet");
    }
}

void packet_read(struct run *run, const struct run_sent *sent, const struct script_packet *expected,
                 struct script_packet *packet)
{
    struct ipv4_header ip;
    const uint8_t *at = sent->bytes + ETHERNET_HEADER_BYTES;
    if (ipv4_parse(at, sent->size - ETHERNET_HEADER_BYTES, &ip) < 0)
        run_fail(run, run->event->place, "the stack has sent a malformed IP header");
    *packet = (struct script_packet){
        .ecn = ip.tos & ECN_BITS,
        .ttl = ip.ttl,
        .tos = ip.tos & ~ECN_BITS,
        .source_port = -1,
        .destination_port = -1,
        .window = -1,
        .urgent = -1,
        .icmp_mtu = -1,
        .icmp_id = -1,
    };
    size_t size = (size_t)ip.total_bytes - ip.header_bytes;
    at += ip.header_bytes;
    struct ip_address source = ip_address_from_v4(ip.source_v4);
    struct ip_address destination = ip_address_from_v4(ip.destination_v4);
    if (ip.protocol != IPV4_PROTOCOL_TCP)
        read_other(run, at, size, ip.protocol, packet);
    else if (tcp_verify(at, size, &source, &destination) < 0)
        run_fail(run, run->event->place, "the stack has sent a wrong TCP checksum");
    else
        read_tcp(run, at, size, expected, packet);
}
