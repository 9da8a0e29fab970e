/* ICMP messages of all kinds, most of them quoting what the stack has just sent: standing TCP
   connections, one that is being opened, a UDP socket, and probes under way.

   Whatever comes, no standing connection ends (RFC 9293, MUST-56), no path MTU rises by an error or
   falls below its least, tables stay within their bounds, nothing is sent about an error, and what
   the stack sends is well formed. The input is a program: an operation a byte, its arguments
   follow. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../tapstack/core/stack.h"
#include "../../tapstack/wire/arp.h"
#include "../../tapstack/wire/checksum.h"
#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/icmp.h"
#include "../../tapstack/wire/ipv4.h"
#include "../../tapstack/wire/tcp.h"

enum {
    STACK_V4 = 0x0a4d0002,
    GATEWAY_V4 = 0x0a4d0001,
    FAR_V4 = 0x0a4e0005, /* behind the gateway */
    MTU_BYTES = 1500,
    CONNECTIONS = 4,
    SENT = 16, /* datagrams of the stack's that are kept to be quoted */
    QUOTE_MAX = 576,
    PATHS_MAX = 8,
    ROUTES_MAX = 6,
    OPERATIONS_MAX = 400,
    SEGMENT_AT = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES,
};

struct sent {
    size_t size;
    uint8_t bytes[QUOTE_MAX]; /* from the IP header on */
};

struct connection {
    int socket;
    uint32_t remote_v4;
    uint16_t port;
    uint32_t next, acknowledged; /* the peer's, and what it has of ours */
    uint16_t pmtu;
};

static struct fuzz {
    const uint8_t *data;
    size_t size, at;
    struct stack *stack;
    uint64_t now_us;
    struct connection connection[CONNECTIONS];
    int udp, prober;
    struct sent sent[SENT];
    unsigned sent_count;
    bool flushed;    /* path MTUs may rise from now on */
    bool error_came; /* the message just given was an ICMP error */
} fuzz;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert may be compiled out; a fuzzer's must not. */
static void require(int condition)
{
    if (!condition)
        abort();
}

static void *allocate(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void release(void *context, void *block, size_t size)
{
    (void)context;
    (void)size;
    free(block);
}

/* ---- The input ---- */

static uint8_t take8(void) { return fuzz.at < fuzz.size ? fuzz.data[fuzz.at++] : 0; }

static uint16_t take16(void)
{
    uint16_t high = take8();
    return (uint16_t)(high << 8 | take8());
}

static uint32_t take_address(void)
{
    static const uint32_t addresses[] = {GATEWAY_V4, FAR_V4,     0x0a4d0009, STACK_V4,
                                         0xffffffff, 0xe0000001, 0x0a4d00ff, 0x7f000001};
    uint8_t choice = take8();
    return choice < 248 ? addresses[choice % 8] : (uint32_t)take16() << 16 | take16();
}

/* ---- What the stack sends ---- */

static void give(uint8_t *frame, size_t size)
{
    uint8_t *exact = malloc(size);
    memcpy(exact, frame, size);
    struct frame given = {.piece_count = 1, .piece = {{exact, size}}};
    stack_input(fuzz.stack, &given, fuzz.now_us);
    free(exact);
}

/* Everybody is at home, and has the same MAC address. */
static void answer_arp(const uint8_t *packet, size_t size)
{
    uint8_t frame[ETHERNET_MIN_BYTES] = {0};
    struct arp_packet arp;
    struct mac_address mac = {{2, 0, 0, 0, 0, 1}};
    if (arp_parse(packet, size, &arp) != 0 || arp.operation != ARP_REQUEST ||
        arp.target_v4 == arp.sender_v4)
        return;
    ethernet_write(&(struct ethernet_header){arp.sender_mac, mac, ETHERTYPE_ARP}, frame);
    arp_write(&(struct arp_packet){ARP_REPLY, mac, arp.sender_mac, arp.target_v4, arp.sender_v4},
              frame + ETHERNET_HEADER_BYTES);
    give(frame, sizeof frame);
}

static void note_tcp(const struct ipv4_header *ip, const uint8_t *segment, size_t size)
{
    struct tcp_header tcp;
    require(tcp_parse(segment, size, &tcp) == 0);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &fuzz.connection[i];
        uint32_t end = tcp.sequence + (uint32_t)(size - tcp.header_bytes) + !!(tcp.flags & TCP_SYN);
        if (c->remote_v4 == ip->destination_v4 && c->port == tcp.destination_port &&
            (int32_t)(end - c->acknowledged) > 0)
            c->acknowledged = end;
        if (c->remote_v4 == ip->destination_v4 && c->port == tcp.destination_port &&
            tcp.flags & TCP_SYN)
            c->acknowledged = end;
    }
}

static void check_frame(const uint8_t *bytes, size_t size)
{
    struct ethernet_header ethernet;
    struct ipv4_header ip;
    struct icmp_header icmp;
    require(size <= MTU_BYTES + ETHERNET_HEADER_BYTES);
    require(ethernet_parse(bytes, size, &ethernet) == 0);
    bytes += ETHERNET_HEADER_BYTES;
    size -= ETHERNET_HEADER_BYTES;
    if (ethernet.type == ETHERTYPE_ARP)
        answer_arp(bytes, size);
    if (ethernet.type != ETHERTYPE_IPV4)
        return;
    require(ipv4_parse(bytes, size, &ip) == 0 && ip.source_v4 == STACK_V4);
    struct sent *sent = &fuzz.sent[fuzz.sent_count++ % SENT];
    sent->size = ip.total_bytes < QUOTE_MAX ? ip.total_bytes : QUOTE_MAX;
    memcpy(sent->bytes, bytes, sent->size);
    bytes += ip.header_bytes;
    size = ip.total_bytes - ip.header_bytes;
    if (ip.protocol == IPV4_PROTOCOL_TCP)
        note_tcp(&ip, bytes, size);
    if (ip.protocol != IPV4_PROTOCOL_ICMP || ip.fragment_offset != 0 || ip.more_fragments)
        return;
    require(icmp_parse(bytes, size, &icmp) == 0);
    if (icmp_type_is_error(icmp.type))
        require(!fuzz.error_came && ip.total_bytes <= 576);
}

static void pull(void)
{
    static uint8_t bytes[FRAME_BYTES_MAX];
    struct frame frame;
    for (unsigned frames = 0; stack_output(fuzz.stack, &frame, fuzz.now_us) > 0; frames++) {
        require(frames < 20000);
        check_frame(bytes, frame_copy(&frame, bytes));
    }
}

/* ---- What the peers send ---- */

static size_t write_heads(uint8_t *frame, uint8_t protocol, uint32_t from_v4, uint32_t to_v4,
                          size_t payload_bytes)
{
    struct ethernet_header ethernet = {{{2, 0, 0, 0, 0, 2}}, {{2, 0, 0, 0, 0, 1}}, ETHERTYPE_IPV4};
    ethernet_write(&ethernet, frame);
    ipv4_write(
        &(struct ipv4_header){
            .ttl = 64,
            .protocol = protocol,
            .total_bytes = (uint16_t)(IPV4_HEADER_BYTES + payload_bytes),
            .source_v4 = from_v4,
            .destination_v4 = to_v4,
        },
        frame + ETHERNET_HEADER_BYTES);
    return SEGMENT_AT + payload_bytes;
}

static void give_segment(struct connection *connection, uint8_t flags)
{
    uint8_t frame[SEGMENT_AT + TCP_HEADER_MAX];
    struct tcp_header tcp = {
        .source_port = connection->port,
        .destination_port = 80,
        .sequence = connection->next,
        .acknowledgment = flags & TCP_ACK ? connection->acknowledged : 0,
        .flags = flags,
        .window = 65535,
        .mss = 1460,
        .options_present = flags & TCP_SYN ? TCP_OPTION_MSS : 0,
    };
    struct ip_address from = ip_address_from_v4(connection->remote_v4);
    struct ip_address to = ip_address_from_v4(STACK_V4);
    size_t size = tcp_write(&tcp, frame + SEGMENT_AT);
    uint32_t sum = checksum_add_pseudo(0, &from, &to, IPV4_PROTOCOL_TCP, size);
    bytes_put16(frame + SEGMENT_AT + 16,
                checksum_finish(checksum_add(sum, frame + SEGMENT_AT, size)));
    connection->next += !!(flags & TCP_SYN);
    give(frame, write_heads(frame, IPV4_PROTOCOL_TCP, connection->remote_v4, STACK_V4, size));
    pull();
}

/* Opens a connection from a peer. */
static void connection_open(struct connection *connection, int listener, unsigned number)
{
    *connection = (struct connection){
        .remote_v4 = number % 2 ? FAR_V4 : GATEWAY_V4 + 7,
        .port = (uint16_t)(40000 + number),
        .next = 0xfffffff0,
        .pmtu = MTU_BYTES,
    };
    give_segment(connection, TCP_SYN);
    give_segment(connection, TCP_ACK);
    connection->socket = stack_accept(fuzz.stack, listener);
    require(connection->socket > 0);
}

/* ---- Operations ---- */

/* What an error says about something that was sent: half of the time as it is, else changed in a few
   places or cut. Returns the body's size. */
static size_t write_quote(uint8_t *body, bool honest)
{
    const struct sent *sent = &fuzz.sent[(fuzz.sent_count - 1 - take8() % SENT) % SENT];
    size_t size = sent->size;
    memcpy(body, sent->bytes, size);
    if (honest)
        return size;
    for (unsigned changes = take8() % 8; changes >= 6 && size > 0; changes--)
        body[take16() % size] ^= take8();
    return take8() % 4 ? size : take16() % (size + 1);
}

static void operation_message(void)
{
    static const uint8_t errors[] = {ICMP_DESTINATION_UNREACHABLE, ICMP_TIME_EXCEEDED,
                                     ICMP_PARAMETER_PROBLEM, ICMP_REDIRECT, ICMP_SOURCE_QUENCH};
    uint8_t frame[SEGMENT_AT + ICMP_HEADER_BYTES + QUOTE_MAX];
    uint8_t choice = take8(), *message = frame + SEGMENT_AT;
    bool honest = take8() % 2; /* what a real router may send */
    struct icmp_header icmp = {.type = choice < 192 ? errors[choice % 5] : take8() % 20,
                               .code = take8() % 18};
    uint8_t kind = take8() % 4;
    icmp.rest = kind == 0 ? 0 : kind == 1 ? take_address() : take16();
    if (honest && icmp.type == ICMP_REDIRECT) {
        icmp.code %= 4;
        icmp.rest = GATEWAY_V4 + 1 + take8() % 16;
    }
    size_t size = write_quote(message + ICMP_HEADER_BYTES, honest);
    uint32_t from_v4 = honest ? GATEWAY_V4 : take_address();
    uint32_t to_v4 = honest ? STACK_V4 : take_address();
    icmp_write(&icmp, message, size);
    if (!honest && take8() == 255)
        message[2] ^= 1;
    fuzz.error_came = icmp_type_is_error(icmp.type);
    give(frame, write_heads(frame, IPV4_PROTOCOL_ICMP, from_v4, to_v4, ICMP_HEADER_BYTES + size));
    pull();
    fuzz.error_came = false;
}

static void operation_probe(void)
{
    struct stack_probe_answer answer;
    struct stack_probe probe = {
        .destination_v4 = take8() % 2 ? FAR_V4 : GATEWAY_V4,
        .kind = take8() % 2 ? STACK_PROBE_UDP : STACK_PROBE_ECHO,
        .ttl = take8(),
        .dont_fragment = take8() % 2,
        .payload_bytes = take16() % 3000,
        .pattern = -1,
        .timeout_us = 1 + take16() * 100U,
    };
    stack_probe_send(fuzz.stack, fuzz.prober, &probe, fuzz.now_us);
    while (stack_probe_next(fuzz.stack, fuzz.prober, &answer, fuzz.now_us))
        require(answer.outcome <= STACK_PROBE_TIMED_OUT);
    pull();
}

static void operation_udp(void)
{
    static const uint8_t bytes[2000];
    stack_send_to(fuzz.stack, fuzz.udp, bytes, take16() % sizeof bytes, NULL, fuzz.now_us);
    stack_socket_error(fuzz.stack, fuzz.udp);
    pull();
}

static void operation_write(struct connection *connection)
{
    static const uint8_t bytes[4000];
    stack_send(fuzz.stack, connection->socket, bytes, 1 + take16() % sizeof bytes, 0, fuzz.now_us);
    pull();
}

static void operation_time(void)
{
    fuzz.now_us += take16() * 4U;
    pull();
}

static void operation(void)
{
    uint8_t what = take8();
    struct connection *connection = &fuzz.connection[what / 16 % CONNECTIONS];
    switch (what % 16) {
    case 0:
        return operation_probe();
    case 1:
        return operation_udp();
    case 2:
    case 3:
        return operation_write(connection);
    case 4:
    case 5:
        return give_segment(connection, TCP_ACK);
    case 6:
        return operation_time();
    case 7:
        if (what >= 240) {
            stack_flush_pmtu(fuzz.stack);
            fuzz.flushed = true;
        }
        return;
    default:
        return operation_message();
    }
}

/* ---- What must hold ---- */

static void check_connections(void)
{
    struct stack_info info;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &fuzz.connection[i];
        require(stack_info(fuzz.stack, c->socket, &info, fuzz.now_us) == 0);
        require(info.summary.state == TCP_ESTABLISHED && info.error == 0);
        require(info.pmtu >= 552 && info.pmtu <= c->pmtu);
        require(info.snd_mss == info.pmtu - 40 && info.advmss == 1460);
        c->pmtu = fuzz.flushed ? MTU_BYTES : (uint16_t)info.pmtu;
    }
}

static void check_tables(void)
{
    struct stack_pmtu pmtu;
    struct stack_route route;
    uint32_t cursor = 0;
    unsigned paths = 0, routes = 0;
    while (stack_next_pmtu(fuzz.stack, &cursor, &pmtu, fuzz.now_us)) {
        require(pmtu.mtu_bytes >= 552 && pmtu.mtu_bytes < MTU_BYTES + !!pmtu.locked);
        paths++;
    }
    cursor = 0;
    while (stack_next_route(fuzz.stack, &cursor, &route, fuzz.now_us))
        routes++;
    require(paths <= PATHS_MAX && routes <= ROUTES_MAX);
}

/* ---- One run ---- */

static void open_stack(void)
{
    struct stack_config config = {.memory = {allocate, release, NULL}, .event_capacity = 64};
    struct stack_interface_config interface = {.name = "tap0",
                                               .mac = {{2, 0, 0, 0, 0, 2}},
                                               .mtu_bytes = MTU_BYTES,
                                               .address_v4 = STACK_V4,
                                               .prefix_bits = 24};
    stack_settings_default(&config.settings);
    config.settings.ip_pmtu_entries = PATHS_MAX;
    config.settings.ip_redirects_max = ROUTES_MAX - 2;
    config.settings.tcp_pmtu_evidence = take8() % 3;
    fuzz.stack = stack_create(&config, fuzz.now_us);
    require(fuzz.stack && stack_add_interface(fuzz.stack, &interface, fuzz.now_us) == 0);
    require(stack_add_route(fuzz.stack, 0, 0, GATEWAY_V4, 0) == 0);
    pull();
}

static void open_sockets(void)
{
    struct stack_endpoint here = {.port = 80}, there = {ip_address_from_v4(FAR_V4), 53};
    int listener = stack_open(fuzz.stack, IPV4_PROTOCOL_TCP);
    require(stack_bind(fuzz.stack, listener, &here) == 0 &&
            stack_listen(fuzz.stack, listener, 16) == 0);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        connection_open(&fuzz.connection[i], listener, i);
    int opening = stack_open(fuzz.stack, IPV4_PROTOCOL_TCP);
    stack_connect(fuzz.stack, opening, &there, fuzz.now_us);
    fuzz.udp = stack_open(fuzz.stack, IPV4_PROTOCOL_UDP);
    require(stack_connect(fuzz.stack, fuzz.udp, &there, fuzz.now_us) == 0);
    fuzz.prober = stack_probe_open(fuzz.stack);
    pull();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&fuzz, 0, sizeof fuzz);
    fuzz.data = data;
    fuzz.size = size;
    fuzz.now_us = 1000000;
    open_stack();
    open_sockets();
    for (unsigned i = 0; i < OPERATIONS_MAX && fuzz.at < fuzz.size; i++) {
        operation();
        check_connections();
        check_tables();
    }
    stack_destroy(fuzz.stack);
    return 0;
}
