/* Frames, time and socket calls in any order into one stack.

   The input is a program: each operation is a byte, its arguments follow. Most operations build a
   frame that is right but for what the input chooses (addresses, checksums, a sequence number near
   the one expected), because random bytes alone die in the first check; the fuzzer plays eight
   peers and reads what the stack sends, so that it knows the numbers. Everything that the stack
   sends must be well formed, and every control block must hold together after every operation. */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../tapstack/core/seq.h"
#include "../../tapstack/core/stack.h"
#include "../../tapstack/wire/arp.h"
#include "../../tapstack/wire/checksum.h"
#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/icmp.h"
#include "../../tapstack/wire/ipv4.h"
#include "../../tapstack/wire/tcp.h"

enum {
    STACK_V4 = 0x0a4d0002,
    PEER_V4 = 0x0a4d0001,
    MTU_BYTES = 1500,
    FLOWS = 8,
    HANDLES = 16,
    SEGMENT_AT = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES,
    FRAME_MAX = 4096,
    FLOOD = 20000, /* frames that one operation may cause at most */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern uint64_t fuzz_frames;
uint64_t fuzz_frames; /* frames given to stacks, for the driver's report */

struct flow {
    uint16_t local_port, peer_port;
    uint32_t next;     /* the peer's next sequence number */
    uint32_t expected; /* the stack's next, as seen */
};

struct fuzz {
    const uint8_t *data;
    size_t size, at;
    struct stack *stack;
    uint64_t now_us;
    int listener;
    int handle[HANDLES];
    struct flow flow[FLOWS];
    uint8_t frame[FRAME_MAX];
    size_t frame_bytes; /* of the last one built, for replays */
};

/* ---- Reading the input ---- */

static uint8_t take8(struct fuzz *fuzz)
{
    return fuzz->at < fuzz->size ? fuzz->data[fuzz->at++] : 0;
}

static uint32_t take16(struct fuzz *fuzz)
{
    uint32_t high = take8(fuzz);
    return high << 8 | take8(fuzz);
}

static uint32_t take32(struct fuzz *fuzz)
{
    uint32_t high = take16(fuzz);
    return high << 16 | take16(fuzz);
}

/* Copies size bytes of the input; behind its end zeros. */
static void take_bytes(struct fuzz *fuzz, uint8_t *bytes, size_t size)
{
    size_t left = fuzz->size - fuzz->at;
    size_t taken = size < left ? size : left;
    memcpy(bytes, fuzz->data + fuzz->at, taken);
    memset(bytes + taken, 0, size - taken);
    fuzz->at += taken;
}

/* A number near base: mostly exact, sometimes a little or a window off, sometimes anything. */
static uint32_t take_near(struct fuzz *fuzz, uint32_t base)
{
    static const int32_t steps[] = {0, 0, 0, 1, -1, 10, -10, 1000, -1000, 1460, 65535, -65536};
    uint8_t choice = take8(fuzz) % 16;
    if (choice < sizeof steps / sizeof steps[0])
        return base + (uint32_t)steps[choice];
    return choice == 12 ? take32(fuzz) : base + take16(fuzz) - 0x8000;
}

/* ---- What the stack sends ---- */

static void learn(struct fuzz *fuzz, const struct tcp_header *tcp, size_t payload)
{
    for (int i = 0; i < FLOWS; i++) {
        struct flow *flow = &fuzz->flow[i];
        if (flow->local_port != tcp->source_port || flow->peer_port != tcp->destination_port)
            continue;
        flow->expected = tcp->sequence + (uint32_t)payload + ((tcp->flags & TCP_SYN) != 0) +
                         ((tcp->flags & TCP_FIN) != 0);
        if (tcp->flags & TCP_ACK)
            flow->next = tcp->acknowledgment;
    }
}

static void check_frame(struct fuzz *fuzz, const uint8_t *bytes, size_t size)
{
    struct ethernet_header ethernet;
    struct ipv4_header ip;
    assert(size <= MTU_BYTES + ETHERNET_HEADER_BYTES);
    assert(ethernet_parse(bytes, size, &ethernet) == 0);
    if (ethernet.type != ETHERTYPE_IPV4)
        return;
    assert(ipv4_parse(bytes + ETHERNET_HEADER_BYTES, size - ETHERNET_HEADER_BYTES, &ip) == 0);
    assert(ip.source_v4 == STACK_V4);
    if (ip.protocol != IPV4_PROTOCOL_TCP)
        return;
    struct tcp_header tcp;
    struct ip_address source = ip_address_from_v4(ip.source_v4);
    struct ip_address destination = ip_address_from_v4(ip.destination_v4);
    const uint8_t *segment = bytes + ETHERNET_HEADER_BYTES + ip.header_bytes;
    size_t segment_bytes = (size_t)ip.total_bytes - ip.header_bytes;
    assert(tcp_parse(segment, segment_bytes, &tcp) == 0);
    assert(tcp_verify(segment, segment_bytes, &source, &destination) == 0);
    assert(!(tcp.options_present & TCP_OPTION_MALFORMED));
    learn(fuzz, &tcp, segment_bytes - tcp.header_bytes);
}

static void check_sockets(struct fuzz *fuzz)
{
    struct stack_summary summary;
    for (uint32_t cursor = 0; stack_next_summary(fuzz->stack, &cursor, &summary, fuzz->now_us);) {
        struct stack_info info;
        assert(stack_info_by_id(fuzz->stack, summary.id, &info, fuzz->now_us) == 0);
        assert(summary.state < TCP_STATE_COUNT);
        if (summary.state == TCP_LISTEN || summary.state == TCP_CLOSED ||
            summary.state == TCP_TIME_WAIT)
            continue;
        assert(seq_le(info.snd_una, info.snd_nxt) && seq_le(info.snd_nxt, info.snd_max));
        assert(info.cwnd >= 1 || summary.state < TCP_ESTABLISHED);
        assert(info.snd_una == info.snd_max || info.rto_left_us != UINT64_MAX ||
               info.persist_left_us != UINT64_MAX);
    }
}

static void pump(struct fuzz *fuzz)
{
    static uint8_t bytes[FRAME_BYTES_MAX];
    struct frame frame;
    unsigned sent = 0;
    while (stack_output(fuzz->stack, &frame, fuzz->now_us) > 0) {
        struct frame_splitter splitter;
        size_t size;
        assert(++sent < FLOOD);
        frame_split_start(&splitter, &frame);
        while ((size = frame_split_next(&splitter, bytes, sizeof bytes)) > 0)
            check_frame(fuzz, bytes, size);
    }
    assert(stack_deadline(fuzz->stack) > fuzz->now_us);
    struct stack_ready ready;
    while (stack_next_ready(fuzz->stack, &ready))
        assert(ready.socket > 0);
}

/* ---- Frames ---- */

/* The bytes are handed over in a block of their own size, so that a read behind them is found. */
static void input(struct fuzz *fuzz, size_t size, uint8_t flags)
{
    uint8_t *exact = malloc(size ? size : 1);
    memcpy(exact, fuzz->frame, size);
    struct frame frame = {.flags = flags, .piece_count = 1, .piece = {{exact, size}}};
    fuzz->frame_bytes = size;
    fuzz_frames++;
    stack_input(fuzz->stack, &frame, fuzz->now_us);
    free(exact);
}

static void write_ethernet(struct fuzz *fuzz, uint16_t type)
{
    struct ethernet_header ethernet = {{{2, 0, 0, 0, 0, 2}}, {{2, 0, 0, 0, 0, 1}}, type};
    ethernet_write(&ethernet, fuzz->frame);
}

/* Heads size bytes at SEGMENT_AT; returns the frame's size. */
static size_t write_ip(struct fuzz *fuzz, uint8_t protocol, size_t size)
{
    struct ipv4_header ip = {.header_bytes = IPV4_HEADER_BYTES,
                             .ttl = 64,
                             .protocol = protocol,
                             .total_bytes = (uint16_t)(IPV4_HEADER_BYTES + size),
                             .source_v4 = PEER_V4,
                             .destination_v4 = STACK_V4};
    write_ethernet(fuzz, ETHERTYPE_IPV4);
    ipv4_write(&ip, fuzz->frame + ETHERNET_HEADER_BYTES);
    return SEGMENT_AT + size;
}

static size_t write_tcp_frame(struct fuzz *fuzz, size_t segment_bytes)
{
    uint8_t *segment = fuzz->frame + SEGMENT_AT;
    struct ip_address source = ip_address_from_v4(PEER_V4);
    struct ip_address destination = ip_address_from_v4(STACK_V4);
    bytes_put16(segment + 16, 0);
    uint32_t sum = checksum_add_pseudo(0, &source, &destination, IPV4_PROTOCOL_TCP, segment_bytes);
    bytes_put16(segment + 16, checksum_finish(checksum_add(sum, segment, segment_bytes)));
    return write_ip(fuzz, IPV4_PROTOCOL_TCP, segment_bytes);
}

static struct flow *take_flow(struct fuzz *fuzz) { return &fuzz->flow[take8(fuzz) % FLOWS]; }

static void take_options(struct fuzz *fuzz, struct tcp_header *tcp)
{
    static const uint16_t sizes[] = {1460, 536, 0, 1, 64, 65535, 100, 1000};
    tcp->options_present = take8(fuzz) & 31;
    tcp->mss = sizes[take8(fuzz) % 8];
    tcp->window_scale = take8(fuzz) % 20;
    tcp->timestamp_value = (uint32_t)(fuzz->now_us / 1000) + take_near(fuzz, 0);
    tcp->timestamp_echo = take_near(fuzz, (uint32_t)(fuzz->now_us / 1000));
    tcp->sack_count = tcp->options_present & TCP_OPTION_SACK ? take8(fuzz) % 5 : 0;
    for (int i = 0; i < tcp->sack_count; i++) {
        tcp->sack[i].left = take_near(fuzz, tcp->acknowledgment);
        tcp->sack[i].right = take_near(fuzz, tcp->sack[i].left);
    }
}

static void do_segment(struct fuzz *fuzz)
{
    static const uint8_t flags[] = {TCP_ACK,           TCP_ACK | TCP_PSH, TCP_ACK | TCP_FIN,
                                    TCP_SYN,           TCP_RST,           TCP_RST | TCP_ACK,
                                    TCP_SYN | TCP_ACK, TCP_ACK | TCP_URG};
    static const uint16_t windows[] = {65535, 0, 1, 100, 1460, 5000, 65535, 65535};
    struct flow *flow = take_flow(fuzz);
    uint8_t kind = take8(fuzz);
    uint8_t shape = take8(fuzz);
    struct tcp_header tcp = {
        .source_port = flow->peer_port,
        .destination_port = flow->local_port,
        .sequence = take_near(fuzz, flow->next),
        .acknowledgment = take_near(fuzz, flow->expected),
        .flags = kind & 128 ? kind & 63 : flags[kind % 8],
        .window = windows[shape % 8],
        .urgent_pointer = (uint16_t)(kind & TCP_URG ? take16(fuzz) : 0),
    };
    if (shape & 64)
        take_options(fuzz, &tcp);
    size_t header = tcp_write(&tcp, fuzz->frame + SEGMENT_AT);
    size_t payload = shape & 128 ? take16(fuzz) % 1461 : 0;
    take_bytes(fuzz, fuzz->frame + SEGMENT_AT + header, payload);
    input(fuzz, write_tcp_frame(fuzz, header + payload), 0);
}

/* A TCP segment whose header and options are the input's own. */
static void do_raw_segment(struct fuzz *fuzz)
{
    uint8_t *segment = fuzz->frame + SEGMENT_AT;
    struct flow *flow = take_flow(fuzz);
    size_t size = take8(fuzz);
    take_bytes(fuzz, segment, size);
    if (size >= TCP_HEADER_BYTES) {
        bytes_put16(segment, flow->peer_port);
        bytes_put16(segment + 2, flow->local_port);
        bytes_put32(segment + 4, take_near(fuzz, flow->next));
        bytes_put32(segment + 8, take_near(fuzz, flow->expected));
    }
    if (size >= 18)
        input(fuzz, write_tcp_frame(fuzz, size), 0);
    else
        input(fuzz, write_ip(fuzz, IPV4_PROTOCOL_TCP, size), 0);
}

static void do_raw_frame(struct fuzz *fuzz)
{
    size_t size = take16(fuzz) % 1600;
    uint8_t flags = take8(fuzz) & FRAME_CHECKSUM_VALID;
    take_bytes(fuzz, fuzz->frame, size);
    input(fuzz, size, flags);
}

/* An Ethernet header that is right in front of a datagram that need not be. */
static void do_raw_datagram(struct fuzz *fuzz)
{
    size_t size = take16(fuzz) % 1501;
    write_ethernet(fuzz, take8(fuzz) % 2 ? ETHERTYPE_IPV4 : ETHERTYPE_ARP);
    take_bytes(fuzz, fuzz->frame + ETHERNET_HEADER_BYTES, size);
    input(fuzz, ETHERNET_HEADER_BYTES + size, 0);
}

/* A message of another protocol: UDP, ICMP, or one that nobody handles. */
static void do_message(struct fuzz *fuzz)
{
    static const uint8_t protocols[] = {IPV4_PROTOCOL_UDP, IPV4_PROTOCOL_ICMP, 99};
    uint8_t protocol = protocols[take8(fuzz) % 3];
    size_t size = take16(fuzz) % 600;
    uint8_t *message = fuzz->frame + SEGMENT_AT;
    take_bytes(fuzz, message, size);
    if (protocol == IPV4_PROTOCOL_ICMP && size >= ICMP_HEADER_BYTES) {
        bytes_put16(message + 2, 0);
        bytes_put16(message + 2, checksum_finish(checksum_add(0, message, size)));
    }
    input(fuzz, write_ip(fuzz, protocol, size), 0);
}

/* An ICMP error about a segment of a connection. */
static void do_icmp_error(struct fuzz *fuzz)
{
    struct flow *flow = take_flow(fuzz);
    struct icmp_header icmp = {take8(fuzz) % 16, take8(fuzz) % 16, take32(fuzz)};
    uint8_t *message = fuzz->frame + SEGMENT_AT;
    size_t quoted_bytes = IPV4_HEADER_BYTES + take8(fuzz) % 24;
    struct ipv4_header quoted = {.header_bytes = IPV4_HEADER_BYTES,
                                 .ttl = 1,
                                 .protocol = IPV4_PROTOCOL_TCP,
                                 .total_bytes = 60,
                                 .source_v4 = STACK_V4,
                                 .destination_v4 = PEER_V4};
    memset(message, 0, 128);
    ipv4_write(&quoted, message + ICMP_HEADER_BYTES);
    uint8_t *tcp = message + ICMP_HEADER_BYTES + IPV4_HEADER_BYTES;
    bytes_put16(tcp, flow->local_port);
    bytes_put16(tcp + 2, flow->peer_port);
    bytes_put32(tcp + 4, take_near(fuzz, flow->expected));
    icmp_write(&icmp, message, quoted_bytes);
    input(fuzz, write_ip(fuzz, IPV4_PROTOCOL_ICMP, ICMP_HEADER_BYTES + quoted_bytes), 0);
}

static void do_arp(struct fuzz *fuzz)
{
    struct mac_address mac = {{2, 0, 0, 0, 0, take8(fuzz) % 4}};
    struct arp_packet arp = {take8(fuzz) % 3, mac, mac, PEER_V4 + take8(fuzz) % 4,
                             STACK_V4 + take8(fuzz) % 2};
    write_ethernet(fuzz, ETHERTYPE_ARP);
    arp_write(&arp, fuzz->frame + ETHERNET_HEADER_BYTES);
    input(fuzz, ETHERNET_HEADER_BYTES + ARP_BYTES - take8(fuzz) % 2, 0);
}

/* The last frame again, up to seven bytes changed. */
static void do_replay(struct fuzz *fuzz)
{
    unsigned changes = take8(fuzz) % 8;
    for (unsigned i = 0; i < changes && fuzz->frame_bytes; i++) {
        size_t at = take16(fuzz) % fuzz->frame_bytes;
        fuzz->frame[at] ^= take8(fuzz);
    }
    input(fuzz, fuzz->frame_bytes, take8(fuzz) & FRAME_CHECKSUM_VALID);
}

static void segment_plain(struct fuzz *fuzz, const struct flow *flow, uint8_t flags)
{
    struct tcp_header tcp = {
        .source_port = flow->peer_port,
        .destination_port = flow->local_port,
        .sequence = flow->next,
        .acknowledgment = flags & TCP_ACK ? flow->expected : 0,
        .flags = flags,
        .window = 65535,
        .options_present = TCP_OPTION_MSS | TCP_OPTION_SACK_PERMITTED,
        .mss = 1460,
    };
    size_t size = tcp_write(&tcp, fuzz->frame + SEGMENT_AT);
    input(fuzz, write_tcp_frame(fuzz, size), 0);
}

/* A whole opening, so that the operations behind it find a connection that stands. */
static void do_open(struct fuzz *fuzz)
{
    struct flow *flow = take_flow(fuzz);
    segment_plain(fuzz, flow, TCP_SYN);
    pump(fuzz);
    segment_plain(fuzz, flow, TCP_ACK);
    pump(fuzz);
    int handle = stack_accept(fuzz->stack, fuzz->listener);
    int *slot = &fuzz->handle[flow - fuzz->flow];
    if (handle > 0) {
        stack_close(fuzz->stack, *slot, fuzz->now_us);
        *slot = handle;
    }
}

/* ---- Time and calls ---- */

static void do_time(struct fuzz *fuzz)
{
    static const uint64_t steps[] = {1,       1000,    10000,    40000,    200000,
                                     1000000, 3000000, 60000000, 600000000};
    uint8_t choice = take8(fuzz);
    uint64_t deadline = stack_deadline(fuzz->stack);
    if (choice >= 128 && deadline != UINT64_MAX)
        fuzz->now_us = deadline > fuzz->now_us ? deadline : fuzz->now_us + 1;
    else
        fuzz->now_us += steps[choice % (sizeof steps / sizeof steps[0])];
}

static void call_connect(struct fuzz *fuzz, int *slot, uint8_t number)
{
    struct flow *flow = &fuzz->flow[number % FLOWS];
    struct stack_endpoint local = {.port = flow->local_port};
    struct stack_endpoint remote = {ip_address_from_v4(PEER_V4), flow->peer_port};
    stack_close(fuzz->stack, *slot, fuzz->now_us);
    *slot = stack_open(fuzz->stack, IPV4_PROTOCOL_TCP);
    if (stack_bind(fuzz->stack, *slot, &local) == 0)
        stack_connect(fuzz->stack, *slot, &remote, fuzz->now_us);
}

static void call_zero_copy(struct fuzz *fuzz, int socket, uint8_t number)
{
    struct stack_room room[2];
    struct frame_piece piece[2];
    ptrdiff_t size = stack_send_reserve(fuzz->stack, socket, (size_t)number * 16 + 1, room);
    if (size > 0) {
        memset(room[0].data, number, room[0].size);
        if (room[1].size)
            memset(room[1].data, number, room[1].size);
        stack_send_commit(fuzz->stack, socket, number & 1 ? (size_t)size : 0, 0, fuzz->now_us);
    }
    size = stack_recv_peek(fuzz->stack, socket, piece);
    if (size > 0)
        stack_recv_consume(fuzz->stack, socket, (size_t)(size + 1) / 2, number, fuzz->now_us);
}

static void do_call(struct fuzz *fuzz)
{
    static uint8_t bytes[16384];
    int *slot = &fuzz->handle[take8(fuzz) % HANDLES];
    uint8_t call = take8(fuzz) % 12, number = take8(fuzz);
    struct stack *stack = fuzz->stack;
    switch (call) {
    case 0:
    case 1:
        stack_send(stack, *slot, bytes, (size_t)number * 64 + 1, number & 3, fuzz->now_us);
        break;
    case 2:
    case 3:
        stack_recv(stack, *slot, bytes, (size_t)number * 64, fuzz->now_us);
        break;
    case 4:
        call_zero_copy(fuzz, *slot, number);
        break;
    case 5:
        stack_shutdown(stack, *slot, number % 4, fuzz->now_us);
        break;
    case 6:
        stack_close(stack, *slot, fuzz->now_us);
        break;
    case 7:
        stack_abort(stack, *slot, fuzz->now_us);
        break;
    case 8:
        stack_set_option(stack, *slot, number % 16, take32(fuzz) >> number % 32, fuzz->now_us);
        break;
    case 9:
        call_connect(fuzz, slot, number);
        break;
    case 10:
        stack_kill(stack, number, fuzz->now_us);
        break;
    default:
        stack_recv_held(stack, *slot, (size_t)number * 256, fuzz->now_us);
    }
}

/* ---- The program ---- */

static void run_operation(struct fuzz *fuzz)
{
    static void (*const operations[])(struct fuzz *) = {
        do_segment, do_segment,   do_segment,    do_segment,      do_segment,     do_segment,
        do_open,    do_time,      do_call,       do_call,         do_raw_segment, do_replay,
        do_message, do_raw_frame, do_icmp_error, do_raw_datagram, do_arp,
    };
    operations[take8(fuzz) % (sizeof operations / sizeof operations[0])](fuzz);
    pump(fuzz);
    check_sockets(fuzz);
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

static void start(struct fuzz *fuzz)
{
    struct stack_config config = {.memory = {allocate, release, NULL}};
    struct stack_interface_config interface = {.name = "fuzz0",
                                               .mac = {{2, 0, 0, 0, 0, 2}},
                                               .mtu_bytes = MTU_BYTES,
                                               .address_v4 = STACK_V4,
                                               .prefix_bits = 24};
    struct stack_endpoint local = {.port = 80};
    uint8_t shape = take8(fuzz);
    stack_settings_default(&config.settings);
    config.settings.tcp_receive_buffer = shape & 1 ? 8192 : config.settings.tcp_receive_buffer;
    config.settings.tcp_send_buffer = shape & 2 ? 8192 : 262144;
    config.settings.tcp_time_wait_max = shape & 4 ? 2 : 100;
    interface.checksum_offload = shape & 8;
    interface.segment_max_bytes = shape & 8 ? 65535 : 0;
    fuzz->stack = stack_create(&config, fuzz->now_us);
    assert(fuzz->stack);
    assert(stack_add_interface(fuzz->stack, &interface, fuzz->now_us) == 0);
    fuzz->listener = stack_open(fuzz->stack, IPV4_PROTOCOL_TCP);
    assert(stack_bind(fuzz->stack, fuzz->listener, &local) == 0);
    assert(stack_listen(fuzz->stack, fuzz->listener, 4) == 0);
    for (int i = 0; i < FLOWS; i++)
        fuzz->flow[i] = (struct flow){i < 6 ? 80 : (uint16_t)(5000 + i), (uint16_t)(40000 + i),
                                      0xfffffff0U + (uint32_t)i, 0};
}

/* The neighbor is known from the start: it has asked for us. */
static void introduce(struct fuzz *fuzz)
{
    struct mac_address peer = {{2, 0, 0, 0, 0, 1}}, none = {{0}};
    struct arp_packet arp = {ARP_REQUEST, peer, none, PEER_V4, STACK_V4};
    write_ethernet(fuzz, ETHERTYPE_ARP);
    arp_write(&arp, fuzz->frame + ETHERNET_HEADER_BYTES);
    input(fuzz, ETHERNET_HEADER_BYTES + ARP_BYTES, 0);
    pump(fuzz);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz fuzz;
    memset(&fuzz, 0, sizeof fuzz);
    fuzz.data = data;
    fuzz.size = size;
    fuzz.now_us = 1000000;
    start(&fuzz);
    introduce(&fuzz);
    while (fuzz.at < fuzz.size)
        run_operation(&fuzz);
    stack_destroy(fuzz.stack);
    return 0;
}
