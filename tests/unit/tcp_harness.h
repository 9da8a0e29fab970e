/* A harness that lets a test of TCP read as a trace: lines in packetdrill's notation go in and are
   expected out, in exact virtual time.

       establish("mss 1000");
       in("P. 1:101(100) ack 1 win 65535");
       out(". 1:1(0) ack 101");

   One stack (10.77.0.2, port 80 listening) faces one peer (10.77.0.1, port 40000), played by the
   test. Sequence numbers are relative to the first of each side, the peer's chosen so that it wraps
   soon. In an expected line `*` stands for anything; a line without `win` or without `<options>`
   does not care for them. `$R`, `$N` and `$U`, each with an optional +n or -n, are the RCV.NXT,
   SND.NXT and SND.UNA that go_to_state() left.

   Of every frame that the stack sends the harness checks by itself: the checksums (MUST-2), that
   the MSS option stands in SYNs only (MUST-65), that the payload is what was written at that
   sequence number. ARP is answered and never shown. */
#ifndef TAPSTACK_TESTS_TCP_HARNESS_H
#define TAPSTACK_TESTS_TCP_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../tapstack/core/stack.h"
#include "../../tapstack/wire/arp.h"
#include "../../tapstack/wire/checksum.h"
#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/icmp.h"
#include "../../tapstack/wire/ipv4.h"
#include "../../tapstack/wire/tcp.h"
#include "../../tapstack/wire/text.h"

enum {
    HARNESS_STACK_V4 = 0x0a4d0002,
    HARNESS_PEER_V4 = 0x0a4d0001,
    HARNESS_PORT = 80,
    HARNESS_PEER_PORT = 40000,
    HARNESS_FLOWS = 64,
    HARNESS_QUEUE = 1024,
    HARNESS_TRACE = 1 << 16,
    MS = 1000,
    S = 1000000,
};

static const uint32_t HARNESS_PEER_ISS = 0xfffffe00U;

struct harness_flow {
    uint16_t local_port, peer_port;
    uint32_t iss, peer_iss;
    uint32_t written, read; /* bytes that the application has written and read */
    uint32_t ts_value;      /* latest of the stack's timestamps */
    uint32_t ts_echo;
};

struct harness_frame {
    uint64_t at_us;
    struct harness_flow *flow; /* NULL: not TCP */
    struct tcp_header tcp;
    struct ipv4_header ip;
    size_t payload; /* bytes */
    char line[TEXT_LINE_MAX];
};

static struct harness {
    struct stack *stack;
    uint64_t now_us;
    uint32_t memory_blocks;
    uint32_t allocations;  /* ever asked for */
    uint32_t fail_at;      /* the allocation with this number fails, the first being 1; 0: none */
    bool fail_on;          /* and so do all behind it */
    uint64_t handshake_us; /* how long establish() lets the peer's ACK of our SYN take */
    int listener, socket;  /* handles */
    uint16_t local_port, peer_port;
    uint32_t ready; /* every readiness bit that the socket has shown */
    struct harness_flow flow[HARNESS_FLOWS];
    unsigned flow_count;
    struct harness_frame queue[HARNESS_QUEUE];
    unsigned head, tail;
    uint32_t rcv_nxt, snd_nxt, snd_una; /* of $R, $N, $U */
    /* How the next segment differs from an ordinary one; cleared after it. */
    struct {
        uint32_t source_v4, destination_v4;
        bool bad_checksum, group_mac;
        uint8_t tos;
        const uint8_t *options; /* raw, replaces what the line says */
        size_t options_size;
        uint16_t frame_flags;
    } next;
    char trace[HARNESS_TRACE];
    size_t trace_size;
} h;

/* ---- Failing with the trace ---- */

static inline void harness_trace(const char *direction, const char *line)
{
    int size = snprintf(h.trace + h.trace_size, sizeof h.trace - h.trace_size, "  %12.6f %s %s\n",
                        (double)(h.now_us - 10 * S) / S, direction, line);
    if (size > 0 && (size_t)size < sizeof h.trace - h.trace_size)
        h.trace_size += (size_t)size;
}

__attribute__((format(printf, 3, 4))) static inline void harness_fail(const char *file, int at,
                                                                      const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    print_error("%s:%d: %s\n%s", file, at, text, h.trace);
    _fail(file, at);
}

/* ---- Flows and bytes ---- */

static inline uint8_t harness_pattern(uint32_t offset, bool from_stack)
{
    return (uint8_t)(offset * 31 + (offset >> 8) * 7 + (from_stack ? 100 : 0));
}

static inline struct harness_flow *harness_flow(uint16_t local_port, uint16_t peer_port)
{
    for (unsigned i = 0; i < h.flow_count; i++)
        if (h.flow[i].local_port == local_port && h.flow[i].peer_port == peer_port)
            return &h.flow[i];
    if (h.flow_count == HARNESS_FLOWS)
        harness_fail(__FILE__, __LINE__, "too many flows");
    struct harness_flow *flow = &h.flow[h.flow_count++];
    *flow = (struct harness_flow){local_port, peer_port, 0, HARNESS_PEER_ISS, 0, 0, 0, 0};
    return flow;
}

static inline struct harness_flow *harness_here(void)
{
    return harness_flow(h.local_port, h.peer_port);
}

/* ---- What the stack sends ---- */

static inline void harness_inject(const uint8_t *bytes, size_t size, uint8_t flags)
{
    struct frame frame = {.flags = flags, .piece_count = 1, .piece = {{bytes, size}}};
    stack_input(h.stack, &frame, h.now_us);
}

static inline void harness_answer_arp(const uint8_t *bytes, size_t size)
{
    struct arp_packet arp;
    if (arp_parse(bytes + ETHERNET_HEADER_BYTES, size - ETHERNET_HEADER_BYTES, &arp) < 0 ||
        arp.operation != ARP_REQUEST || arp.target_v4 == arp.sender_v4)
        return;
    uint8_t reply[ETHERNET_MIN_BYTES] = {0};
    struct mac_address mac = {{2, 0, 0, 0, 0, 1}};
    struct ethernet_header ethernet = {arp.sender_mac, mac, ETHERTYPE_ARP};
    struct arp_packet answer = {ARP_REPLY, mac, arp.sender_mac, arp.target_v4, arp.sender_v4};
    ethernet_write(&ethernet, reply);
    arp_write(&answer, reply + ETHERNET_HEADER_BYTES);
    harness_inject(reply, sizeof reply, 0);
}

static inline void harness_check_payload(const struct harness_flow *flow, uint32_t sequence,
                                         const uint8_t *payload, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint32_t offset = sequence - flow->iss - 1 + (uint32_t)i;
        if (offset < flow->written && payload[i] != harness_pattern(offset, true))
            harness_fail(__FILE__, __LINE__, "wrong payload sent at offset %u", offset);
    }
}

static inline void harness_take_tcp(struct harness_frame *frame, const uint8_t *bytes, size_t whole)
{
    const uint8_t *segment = bytes + ETHERNET_HEADER_BYTES + frame->ip.header_bytes;
    size_t size = (size_t)frame->ip.total_bytes - frame->ip.header_bytes;
    struct ip_address source = ip_address_from_v4(frame->ip.source_v4);
    struct ip_address destination = ip_address_from_v4(frame->ip.destination_v4);
    struct tcp_header *tcp = &frame->tcp;
    if (tcp_parse(segment, size, tcp) < 0 || tcp_verify(segment, size, &source, &destination) < 0)
        harness_fail(__FILE__, __LINE__, "the stack sent a malformed segment (MUST-2)");
    if ((tcp->options_present & TCP_OPTION_MSS) && !(tcp->flags & TCP_SYN))
        harness_fail(__FILE__, __LINE__, "MSS option outside a SYN (MUST-65)");
    struct harness_flow *flow = harness_flow(tcp->source_port, tcp->destination_port);
    if (tcp->flags & TCP_SYN)
        flow->iss = tcp->sequence;
    if (tcp->options_present & TCP_OPTION_TIMESTAMPS) {
        flow->ts_value = tcp->timestamp_value;
        flow->ts_echo = tcp->timestamp_echo;
    }
    frame->flow = flow;
    frame->payload = size - tcp->header_bytes;
    char line[TEXT_LINE_MAX];
    text_format_frame(bytes, whole, flow->iss, flow->peer_iss, line, sizeof line);
    const char *behind_addresses = strchr(strchr(line, '>') + 2, ' ') + 1;
    snprintf(frame->line, sizeof frame->line, "%s", behind_addresses);
    harness_trace(">", frame->line);
    harness_check_payload(flow, tcp->sequence, segment + tcp->header_bytes, frame->payload);
}

static inline void harness_take(const uint8_t *bytes, size_t size)
{
    struct ethernet_header ethernet;
    if (ethernet_parse(bytes, size, &ethernet) < 0)
        harness_fail(__FILE__, __LINE__, "the stack sent a frame of %zu bytes", size);
    if (ethernet.type == ETHERTYPE_ARP) {
        harness_answer_arp(bytes, size);
        return;
    }
    struct harness_frame *frame = &h.queue[h.tail++ % HARNESS_QUEUE];
    if (h.tail - h.head > HARNESS_QUEUE)
        harness_fail(__FILE__, __LINE__, "the stack floods");
    *frame = (struct harness_frame){.at_us = h.now_us};
    const uint8_t *packet = bytes + ETHERNET_HEADER_BYTES;
    if (ipv4_parse(packet, size - ETHERNET_HEADER_BYTES, &frame->ip) < 0)
        harness_fail(__FILE__, __LINE__, "the stack sent a malformed datagram");
    if (frame->ip.protocol == IPV4_PROTOCOL_TCP) {
        harness_take_tcp(frame, bytes, size);
        return;
    }
    text_format_frame(bytes, size, 0, 0, frame->line, sizeof frame->line);
    harness_trace(">", frame->line);
}

static inline void harness_pump(void)
{
    static uint8_t bytes[FRAME_BYTES_MAX];
    struct frame frame;
    while (stack_output(h.stack, &frame, h.now_us) > 0) {
        struct frame_splitter splitter;
        size_t size;
        frame_split_start(&splitter, &frame);
        while ((size = frame_split_next(&splitter, bytes, sizeof bytes)) > 0)
            harness_take(bytes, size);
    }
    struct stack_ready ready;
    while (stack_next_ready(h.stack, &ready))
        if (ready.socket == h.socket)
            h.ready |= ready.what;
}

/* Moves the clock to an instant, serving every deadline on the way. */
static inline void harness_run_until(uint64_t until_us)
{
    harness_pump();
    for (uint64_t next; (next = stack_deadline(h.stack)) <= until_us;) {
        h.now_us = next > h.now_us ? next : h.now_us + 1;
        harness_pump();
    }
    h.now_us = until_us > h.now_us ? until_us : h.now_us;
    harness_pump();
}

/* ---- Expecting ---- */

static inline bool harness_glob(const char *pattern, const char *text)
{
    for (; *pattern; pattern++, text++) {
        if (*pattern == '*') {
            for (; *text; text++)
                if (harness_glob(pattern + 1, text))
                    return true;
            return harness_glob(pattern + 1, text);
        }
        if (*pattern != *text)
            return false;
    }
    return *text == 0;
}

/* Copies a line with $R, $N and $U, each with +n or -n, replaced by their numbers. */
static inline void harness_substitute(const char *line, char *text, size_t capacity)
{
    size_t size = 0;
    while (*line && size + 16 < capacity) {
        if (*line != '$') {
            text[size++] = *line++;
            continue;
        }
        uint32_t value = line[1] == 'R' ? h.rcv_nxt : line[1] == 'N' ? h.snd_nxt : h.snd_una;
        line += 2;
        if (*line == '+' || *line == '-') {
            char *end;
            value += (uint32_t)strtol(line, &end, 10);
            line = end;
        }
        size += (size_t)snprintf(text + size, capacity - size, "%u", value);
    }
    text[size] = 0;
}

static inline bool harness_matches(const char *wanted, const char *line)
{
    char text[TEXT_LINE_MAX];
    snprintf(text, sizeof text, "%s", line);
    char *options = strchr(text, '<');
    if (options && !strchr(wanted, '<'))
        *(options > text ? options - 1 : options) = 0;
    char *window = strstr(text, " win ");
    if (window && !strstr(wanted, " win ")) {
        char *rest = strchr(window + 5, ' ');
        memmove(window, rest ? rest : "", rest ? strlen(rest) + 1 : 1);
    }
    return harness_glob(wanted, text);
}

static inline const struct harness_frame *harness_out(const char *line, const char *file, int at)
{
    char wanted[TEXT_LINE_MAX];
    harness_substitute(line, wanted, sizeof wanted);
    if (h.head == h.tail)
        harness_fail(file, at, "expected `%s`, but nothing was sent", wanted);
    const struct harness_frame *frame = &h.queue[h.head++ % HARNESS_QUEUE];
    if (!harness_matches(wanted, frame->line))
        harness_fail(file, at, "expected `%s`, but the stack sent `%s`", wanted, frame->line);
    if (frame->flow && frame->flow != harness_here())
        harness_fail(file, at, "`%s` belongs to ports %u > %u", frame->line,
                     frame->flow->local_port, frame->flow->peer_port);
    return frame;
}

static inline void harness_none(const char *file, int at)
{
    if (h.head != h.tail)
        harness_fail(file, at, "expected nothing, but the stack sent `%s`",
                     h.queue[h.head % HARNESS_QUEUE].line);
}

/* The next frame must be sent exactly after_us from now. */
static inline const struct harness_frame *harness_out_after(uint64_t after_us, const char *line,
                                                            const char *file, int at)
{
    harness_none(file, at);
    uint64_t due_at = h.now_us + after_us;
    while (h.head == h.tail && h.now_us < due_at) {
        uint64_t next = stack_deadline(h.stack);
        h.now_us = next > h.now_us ? next : h.now_us + 1;
        h.now_us = h.now_us > due_at ? due_at : h.now_us;
        harness_pump();
    }
    uint64_t sent_at = h.now_us;
    const struct harness_frame *frame = harness_out(line, file, at);
    if (sent_at != due_at)
        harness_fail(file, at, "`%s` was sent %.6f s too early", frame->line,
                     (double)(due_at - sent_at) / S);
    return frame;
}

/* Nothing may be sent in this time. */
static inline void harness_quiet(uint64_t for_us, const char *file, int at)
{
    harness_none(file, at);
    harness_run_until(h.now_us + for_us);
    harness_none(file, at);
}

#define out(line)                 harness_out(line, __FILE__, __LINE__)
#define out_after(after_us, line) harness_out_after(after_us, line, __FILE__, __LINE__)
#define none()                    harness_none(__FILE__, __LINE__)
#define quiet(for_us)             harness_quiet(for_us, __FILE__, __LINE__)

/* Throws away what was sent up to now; returns how many frames. */
static inline unsigned ignore_all(void)
{
    unsigned count = h.tail - h.head;
    h.head = h.tail;
    return count;
}

/* ---- Injecting ---- */

static inline uint8_t harness_flag(char letter)
{
    static const char letters[] = "FSRPUEW.";
    static const uint8_t flags[] = {TCP_FIN, TCP_SYN, TCP_RST, TCP_PSH,
                                    TCP_URG, TCP_ECE, TCP_CWR, TCP_ACK};
    const char *found = letter ? strchr(letters, letter) : NULL;
    return found ? flags[found - letters] : 0;
}

static inline void harness_parse_option(struct tcp_header *tcp, const char *option)
{
    unsigned a, b;
    char echo[16] = "";
    if (sscanf(option, "mss %u", &a) == 1) {
        tcp->options_present |= TCP_OPTION_MSS;
        tcp->mss = (uint16_t)a;
    } else if (sscanf(option, "wscale %u", &a) == 1) {
        tcp->options_present |= TCP_OPTION_WINDOW_SCALE;
        tcp->window_scale = (uint8_t)a;
    } else if (strcmp(option, "sackOK") == 0) {
        tcp->options_present |= TCP_OPTION_SACK_PERMITTED;
    } else if (sscanf(option, "TS val %u ecr %15s", &a, echo) == 2) {
        tcp->options_present |= TCP_OPTION_TIMESTAMPS;
        tcp->timestamp_value = a;
        tcp->timestamp_echo =
            echo[0] == '*' ? harness_here()->ts_value : (uint32_t)strtoul(echo, NULL, 10);
    } else if (strncmp(option, "sack ", 5) == 0) {
        tcp->options_present |= TCP_OPTION_SACK;
        int used = 0;
        for (const char *at = option + 5; sscanf(at, "%u:%u%n", &a, &b, &used) == 2;
             at += used + (at[used] == ' '))
            tcp->sack[tcp->sack_count++] =
                (struct tcp_sack_block){harness_here()->iss + a, harness_here()->iss + b};
    } else if (strcmp(option, "nop") != 0) {
        harness_fail(__FILE__, __LINE__, "unknown option `%s`", option);
    }
}

static inline void harness_parse_options(struct tcp_header *tcp, const char *list)
{
    char options[TEXT_LINE_MAX];
    snprintf(options, sizeof options, "%s", list);
    options[strcspn(options, ">")] = 0;
    char *rest = options;
    for (char *option; (option = strtok_r(rest, ",", &rest)) != NULL;)
        harness_parse_option(tcp, option);
}

/* Reads a line into a header; returns the payload's bytes. */
static inline size_t harness_parse(const char *line, struct tcp_header *tcp)
{
    unsigned first, last, size, number;
    int used = 0;
    char flags[16];
    *tcp = (struct tcp_header){.source_port = h.peer_port, .destination_port = h.local_port};
    if (sscanf(line, "%15s %u:%u(%u)%n", flags, &first, &last, &size, &used) != 4 ||
        last - first != size)
        harness_fail(__FILE__, __LINE__, "not a segment: `%s`", line);
    for (const char *letter = flags; *letter; letter++)
        tcp->flags |= harness_flag(*letter);
    const struct harness_flow *flow = harness_here();
    tcp->sequence = flow->peer_iss + first;
    const char *at;
    if ((at = strstr(line + used, " ack ")) && sscanf(at, " ack %u", &number) == 1)
        tcp->acknowledgment = flow->iss + number;
    if ((at = strstr(line + used, " win ")) && sscanf(at, " win %u", &number) == 1)
        tcp->window = (uint16_t)number;
    if ((at = strstr(line + used, " urg ")) && sscanf(at, " urg %u", &number) == 1)
        tcp->urgent_pointer = (uint16_t)number;
    if ((at = strchr(line, '<')))
        harness_parse_options(tcp, at + 1);
    return size;
}

static inline size_t harness_write_tcp(struct tcp_header *tcp, size_t payload, uint8_t *bytes)
{
    size_t header = tcp_write(tcp, bytes);
    if (h.next.options) {
        header = TCP_HEADER_BYTES + (h.next.options_size + 3) / 4 * 4;
        memset(bytes + TCP_HEADER_BYTES, 0, header - TCP_HEADER_BYTES);
        memcpy(bytes + TCP_HEADER_BYTES, h.next.options, h.next.options_size);
        bytes[12] = (uint8_t)(header / 4 << 4);
    }
    uint32_t offset = tcp->sequence - harness_here()->peer_iss - 1;
    for (size_t i = 0; i < payload; i++)
        bytes[header + i] = harness_pattern(offset + (uint32_t)i, false);
    return header + payload;
}

/* Puts the segment at bytes + 34 into a whole frame from the peer; returns its size. */
static inline size_t harness_write_ip(uint8_t *bytes, size_t size, uint8_t protocol)
{
    struct mac_address ours = {{2, 0, 0, 0, 0, 2}}, peer = {{2, 0, 0, 0, 0, 1}};
    struct mac_address all = {{255, 255, 255, 255, 255, 255}};
    struct ethernet_header ethernet = {h.next.group_mac ? all : ours, peer, ETHERTYPE_IPV4};
    struct ipv4_header ip = {
        .header_bytes = IPV4_HEADER_BYTES,
        .tos = h.next.tos,
        .ttl = 64,
        .protocol = protocol,
        .total_bytes = (uint16_t)(IPV4_HEADER_BYTES + size),
        .dont_fragment = true,
        .source_v4 = h.next.source_v4 ? h.next.source_v4 : (uint32_t)HARNESS_PEER_V4,
        .destination_v4 =
            h.next.destination_v4 ? h.next.destination_v4 : (uint32_t)HARNESS_STACK_V4,
    };
    ethernet_write(&ethernet, bytes);
    ipv4_write(&ip, bytes + ETHERNET_HEADER_BYTES);
    if (protocol == IPV4_PROTOCOL_TCP) {
        uint8_t *segment = bytes + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES;
        struct ip_address source = ip_address_from_v4(ip.source_v4);
        struct ip_address destination = ip_address_from_v4(ip.destination_v4);
        bytes_put16(segment + 16, 0);
        uint32_t sum = checksum_add_pseudo(0, &source, &destination, protocol, size);
        uint16_t value = checksum_finish(checksum_add(sum, segment, size));
        bytes_put16(segment + 16, h.next.bad_checksum ? (uint16_t)(value ^ 0x0101) : value);
    }
    return ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES + size;
}

/* A segment arrives; what it causes is not pulled yet. */
static inline void in_queued(const char *line)
{
    static uint8_t bytes[FRAME_BYTES_MAX + 128];
    char text[TEXT_LINE_MAX];
    struct tcp_header tcp;
    harness_substitute(line, text, sizeof text);
    harness_trace("<", text);
    size_t payload = harness_parse(text, &tcp);
    size_t size =
        harness_write_tcp(&tcp, payload, bytes + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES);
    size = harness_write_ip(bytes, size, IPV4_PROTOCOL_TCP);
    harness_inject(bytes, size, (uint8_t)h.next.frame_flags);
    memset(&h.next, 0, sizeof h.next);
}

static inline void in(const char *line)
{
    in_queued(line);
    harness_pump();
}

/* The same with these option bytes instead of what the line says. */
static inline void in_options(const char *line, const void *options, size_t size)
{
    h.next.options = options;
    h.next.options_size = size;
    in(line);
}

/* An ICMP error that quotes a segment of ours with this relative sequence number. */
static inline void in_icmp(uint8_t type, uint8_t code, uint32_t rest, uint32_t sequence)
{
    uint8_t bytes[128] = {0};
    uint8_t *message = bytes + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES;
    struct ipv4_header quoted = {
        .header_bytes = IPV4_HEADER_BYTES,
        .ttl = 1,
        .protocol = IPV4_PROTOCOL_TCP,
        .total_bytes = 1500,
        .dont_fragment = true,
        .source_v4 = HARNESS_STACK_V4,
        .destination_v4 = HARNESS_PEER_V4,
    };
    ipv4_write(&quoted, message + ICMP_HEADER_BYTES);
    uint8_t *tcp = message + ICMP_HEADER_BYTES + IPV4_HEADER_BYTES;
    bytes_put16(tcp, h.local_port);
    bytes_put16(tcp + 2, h.peer_port);
    bytes_put32(tcp + 4, harness_here()->iss + sequence);
    struct icmp_header icmp = {type, code, rest};
    icmp_write(&icmp, message, IPV4_HEADER_BYTES + 8);
    size_t size =
        harness_write_ip(bytes, ICMP_HEADER_BYTES + IPV4_HEADER_BYTES + 8, IPV4_PROTOCOL_ICMP);
    harness_trace("<", "icmp error");
    harness_inject(bytes, size, 0);
    memset(&h.next, 0, sizeof h.next);
    harness_pump();
}

/* ---- Socket calls ---- */

static inline void set(const char *name, uint64_t value)
{
    int index = stack_setting_find(name);
    if (index < 0 || stack_setting_set(stack_settings(h.stack), (unsigned)index, value) < 0)
        harness_fail(__FILE__, __LINE__, "no setting %s = %llu", name, (unsigned long long)value);
}

static inline void listen_on(int backlog)
{
    struct stack_endpoint local = {.port = HARNESS_PORT};
    h.listener = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    assert_true(h.listener > 0);
    assert_int_equal(stack_bind(h.stack, h.listener, &local), 0);
    assert_int_equal(stack_listen(h.stack, h.listener, backlog), 0);
}

static inline void accept_one(void)
{
    h.socket = stack_accept(h.stack, h.listener);
    assert_true(h.socket > 0);
    harness_pump();
}

/* Opens a socket of ours to the peer's port 40000 from port 5000. */
static inline void connect_out(void)
{
    struct stack_endpoint local = {.port = 5000};
    struct stack_endpoint remote = {ip_address_from_v4(HARNESS_PEER_V4), HARNESS_PEER_PORT};
    h.local_port = 5000;
    h.socket = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    assert_int_equal(stack_bind(h.stack, h.socket, &local), 0);
    harness_trace("|", "connect");
    assert_int_equal(stack_connect(h.stack, h.socket, &remote, h.now_us), STACK_IN_PROGRESS);
    harness_pump();
}

/* Writes size bytes of the pattern with flags; returns the bytes taken or the error. */
static inline ptrdiff_t send_flags(size_t size, int flags)
{
    struct harness_flow *flow = harness_here();
    uint8_t *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = harness_pattern(flow->written + (uint32_t)i, true);
    char text[64];
    snprintf(text, sizeof text, "send %zu", size);
    harness_trace("|", text);
    ptrdiff_t taken = stack_send(h.stack, h.socket, bytes, size, flags, h.now_us);
    free(bytes);
    if (taken > 0)
        flow->written += (uint32_t)taken;
    harness_pump();
    return taken;
}

static inline void send_bytes(size_t size)
{
    assert_int_equal(send_flags(size, 0), (ptrdiff_t)size);
}

/* Reads up to size bytes and checks them; returns the bytes or the error. */
static inline ptrdiff_t recv_some(size_t size)
{
    struct harness_flow *flow = harness_here();
    uint8_t *bytes = malloc(size + 1);
    ptrdiff_t got = stack_recv(h.stack, h.socket, bytes, size, h.now_us);
    for (ptrdiff_t i = 0; i < got; i++)
        if (bytes[i] != harness_pattern(flow->read + (uint32_t)i, false))
            harness_fail(__FILE__, __LINE__, "wrong byte received at offset %u",
                         flow->read + (uint32_t)i);
    free(bytes);
    if (got > 0)
        flow->read += (uint32_t)got;
    char text[64];
    snprintf(text, sizeof text, "recv %zu = %td", size, got);
    harness_trace("|", text);
    harness_pump();
    return got;
}

static inline void recv_bytes(size_t size) { assert_int_equal(recv_some(size), (ptrdiff_t)size); }

static inline void shutdown_write(void)
{
    harness_trace("|", "shutdown");
    assert_int_equal(stack_shutdown(h.stack, h.socket, STACK_SHUTDOWN_WRITE, h.now_us), 0);
    harness_pump();
}

static inline void close_socket(void)
{
    harness_trace("|", "close");
    assert_int_equal(stack_close(h.stack, h.socket, h.now_us), 0);
    harness_pump();
}

static inline void abort_socket(void)
{
    harness_trace("|", "abort");
    assert_int_equal(stack_abort(h.stack, h.socket, h.now_us), 0);
    harness_pump();
}

static inline void option(enum stack_option name, uint64_t value)
{
    assert_int_equal(stack_set_option(h.stack, h.socket, name, value, h.now_us), 0);
    harness_pump();
}

/* ---- Looking ---- */

/* Finds the connection between our two ports; false: there is none. */
static inline bool harness_summary(struct stack_summary *summary)
{
    for (uint32_t cursor = 0; stack_next_summary(h.stack, &cursor, summary, h.now_us);)
        if (summary->local.port == h.local_port && summary->remote.port == h.peer_port)
            return true;
    return false;
}

/* The state of the connection between our two ports; CLOSED when there is none. */
static inline unsigned state_now(void)
{
    struct stack_summary summary;
    return harness_summary(&summary) ? summary.state : (unsigned)TCP_CLOSED;
}

static inline void harness_state_is(unsigned wanted, const char *file, int at)
{
    unsigned state = state_now();
    if (state != wanted)
        harness_fail(file, at, "expected state %s, but it is %s", tcp_state_name(wanted),
                     tcp_state_name(state));
}
#define state_is(wanted) harness_state_is(wanted, __FILE__, __LINE__)

static inline struct stack_info info(void)
{
    struct stack_info information;
    assert_int_equal(stack_info(h.stack, h.socket, &information, h.now_us), 0);
    return information;
}

static inline uint64_t count_of(enum stack_counter counter)
{
    return stack_counters(h.stack)[counter];
}

/* ---- Setting up ---- */

static inline void *harness_allocate(void *context, size_t size)
{
    (void)context;
    h.allocations++;
    if (h.fail_at && (h.allocations == h.fail_at || (h.fail_on && h.allocations > h.fail_at)))
        return NULL;
    h.memory_blocks++;
    return malloc(size);
}

static inline void harness_release(void *context, void *block, size_t size)
{
    (void)context;
    (void)size;
    h.memory_blocks--;
    free(block);
}

/* segment_max_bytes: of the super-frames that the interface takes; 0: none. */
static inline void harness_start_with(uint8_t seed, uint64_t start_us, uint32_t segment_max_bytes)
{
    memset(&h, 0, sizeof h);
    h.now_us = start_us;
    h.local_port = HARNESS_PORT;
    h.peer_port = HARNESS_PEER_PORT;
    struct stack_config config = {.memory = {harness_allocate, harness_release, NULL},
                                  .event_capacity = 1024};
    memset(config.seed, seed, sizeof config.seed);
    stack_settings_default(&config.settings);
    h.stack = stack_create(&config, h.now_us);
    assert_non_null(h.stack);
    struct stack_interface_config interface = {
        .name = "lab0",
        .mac = {{2, 0, 0, 0, 0, 2}},
        .mtu_bytes = 1500,
        .address_v4 = HARNESS_STACK_V4,
        .prefix_bits = 24,
        .checksum_offload = segment_max_bytes > 0,
        .segment_max_bytes = segment_max_bytes,
    };
    assert_int_equal(stack_add_interface(h.stack, &interface, h.now_us), 0);
    harness_pump();
}

static inline void harness_start(uint8_t seed, uint64_t start_us)
{
    harness_start_with(seed, start_us, 0);
}

static inline void harness_stop(void)
{
    stack_destroy(h.stack);
    h.stack = NULL;
    assert_int_equal(h.memory_blocks, 0);
}

static inline int harness_setup(void **state)
{
    (void)state;
    harness_start(1, 10 * S);
    return 0;
}

static inline int harness_teardown(void **state)
{
    (void)state;
    if (h.stack)
        harness_stop();
    return 0;
}

#define harness_test(function)                                                                     \
    cmocka_unit_test_setup_teardown(function, harness_setup, harness_teardown)

/* ---- Ways into each state ---- */

/* The peer opens with these options ("mss 1000"), the application accepts. */
static inline void establish(const char *options)
{
    char line[TEXT_LINE_MAX];
    if (h.listener == 0)
        listen_on(16);
    snprintf(line, sizeof line, "S 0:0(0) win 65535 <%s>", options);
    in(line);
    out("S. 0:0(0) ack 1");
    quiet(h.handshake_us);
    snprintf(line, sizeof line, ". 1:1(0) ack 1 win 65535%s",
             strstr(options, "TS val") ? " <nop,nop,TS val 1000 ecr *>" : "");
    in(line);
    none();
    accept_one();
}

static inline void go_numbers(uint32_t rcv_nxt, uint32_t snd_una, uint32_t snd_nxt)
{
    h.rcv_nxt = rcv_nxt;
    h.snd_una = snd_una;
    h.snd_nxt = snd_nxt;
}

/* From ESTABLISHED into one of the states of closing. */
static inline void harness_go_closing(unsigned wanted)
{
    bool peer_first = wanted == TCP_CLOSE_WAIT || wanted == TCP_LAST_ACK;
    if (peer_first) {
        in("F. 1:1(0) ack 1 win 65535");
        out(". 1:1(0) ack 2");
        go_numbers(2, 1, 1);
    }
    if (wanted == TCP_CLOSE_WAIT)
        return;
    shutdown_write();
    out("F. 1:1(0)*");
    go_numbers(peer_first ? 2 : 1, 1, 2);
    if (wanted == TCP_CLOSING) {
        in("F. 1:1(0) ack 1 win 65535");
        out(". 2:2(0) ack 2");
        go_numbers(2, 1, 2);
    } else if (wanted == TCP_FIN_WAIT_2 || wanted == TCP_TIME_WAIT) {
        in(". 1:1(0) ack 2 win 65535");
        none();
        go_numbers(1, 2, 2);
    }
    if (wanted == TCP_TIME_WAIT) {
        in("F. 1:1(0) ack 2 win 65535");
        out(". 2:2(0) ack 2");
        go_numbers(2, 2, 2);
    }
}

/* Brings a fresh stack into a state, with `mss 1000` and no other option; nothing in flight but
   what the state implies. SYN-RECEIVED is reached by a passive open. */
static inline void go_to_state(unsigned wanted)
{
    go_numbers(1, 0, 1);
    switch (wanted) {
    case TCP_CLOSED:
        break;
    case TCP_LISTEN:
        listen_on(16);
        break;
    case TCP_SYN_SENT:
        connect_out();
        out("S 0:0(0) win * <*>");
        break;
    case TCP_SYN_RECEIVED:
        listen_on(16);
        in("S 0:0(0) win 65535 <mss 1000>");
        out("S. 0:0(0) ack 1");
        break;
    default:
        establish("mss 1000");
        go_numbers(1, 1, 1);
        if (wanted != TCP_ESTABLISHED)
            harness_go_closing(wanted);
    }
    if (wanted != TCP_LISTEN)
        state_is(wanted);
}

#endif
