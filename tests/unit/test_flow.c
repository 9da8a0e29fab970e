/* Stage S21, connection tracking: what is new, established, related, invalid; limits and times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../tapstack/core/flow.h"
#include "../../tapstack/wire/bytes.h"
#include "../../tapstack/wire/icmp.h"
#include "../../tapstack/wire/ipv4.h"
#include "../../tapstack/wire/tcp.h"

enum { N = FLOW_NEW, E = FLOW_ESTABLISHED, R = FLOW_RELATED, I = FLOW_INVALID };

#define CLIENT UINT32_C(0x0a4d0001)
#define SERVER UINT32_C(0x0a4d0002)
#define SECOND UINT64_C(1000000)

static struct flow_table table;
static struct pool pool;
static struct stack_settings settings;
static uint64_t now;
static size_t allocated;

static void *allocate(void *context, size_t size)
{
    (void)context;
    allocated += size;
    return malloc(size);
}

static void release(void *context, void *block, size_t size)
{
    (void)context;
    allocated -= size;
    free(block);
}

static int open_table(void **state)
{
    static const uint8_t key[16] = {1, 2, 3};
    struct memory memory = {allocate, release, NULL};
    (void)state;
    now = 10 * SECOND;
    stack_settings_default(&settings);
    settings.filter_flows_max = 100;
    pool_open(&pool, &memory, 1 << 20);
    flow_open(&table, &pool, &settings, key, now);
    return flow_start(&table);
}

static int close_table(void **state)
{
    (void)state;
    flow_stop(&table);
    pool_close(&pool);
    return allocated == 0 ? 0 : -1;
}

/* ---- Packets ---- */

static int commit_result;

/* Judges a packet, and commits it unless it is invalid. */
static int pass(struct flow_packet *packet)
{
    struct flow_look look;
    flow_packet_read(packet);
    int judged = flow_judge(&table, packet, false, &look);
    assert_int_equal(look.state, judged);
    commit_result = judged == I ? 0 : flow_commit(&table, packet, &look, now);
    return judged;
}

/* A segment; from_server: the other way. window_scale: in a SYN, -1: no option. */
struct segment {
    bool from_server;
    uint8_t flags;
    uint32_t sequence, acknowledgment;
    uint32_t data;
    uint16_t window;
    int window_scale;
};

static uint16_t client_port = 40000;

static int give_segment(const struct segment *segment)
{
    uint8_t bytes[TCP_HEADER_MAX];
    struct tcp_header header = {
        .source_port = segment->from_server ? 80 : client_port,
        .destination_port = segment->from_server ? client_port : 80,
        .sequence = segment->sequence,
        .acknowledgment = segment->acknowledgment,
        .window = segment->window,
        .flags = segment->flags,
    };
    if (segment->flags & TCP_SYN && segment->window_scale >= 0) {
        header.options_present = TCP_OPTION_WINDOW_SCALE;
        header.window_scale = (uint8_t)segment->window_scale;
    }
    size_t size = tcp_write(&header, bytes);
    struct flow_packet packet = {
        .source_v4 = segment->from_server ? SERVER : CLIENT,
        .destination_v4 = segment->from_server ? CLIENT : SERVER,
        .protocol = IPV4_PROTOCOL_TCP,
        .transport = bytes,
        .readable_bytes = size,
        .transport_bytes = size + segment->data,
    };
    return pass(&packet);
}

static const struct flow *only_flow(void)
{
    assert_int_equal(table.count, 1);
    for (uint32_t i = 0; i < table.capacity; i++)
        if (table.slot[i])
            return table.slot[i];
    return NULL;
}

/* ---- TCP, every sequence as a table ---- */

struct row {
    bool from_server;
    uint8_t flags;
    uint32_t sequence, acknowledgment, data;
    int state;       /* what it is judged */
    int tcp;         /* and the flow's state behind it; -1: there is none */
    uint16_t window; /* 0: 1000 */
};

enum { F = TCP_FIN, S = TCP_SYN, X = TCP_RST, A = TCP_ACK, P = TCP_PSH };

#define SENT   FLOW_TCP_SYN_SENT
#define RCVD   FLOW_TCP_SYN_RECEIVED
#define ESTAB  FLOW_TCP_ESTABLISHED
#define FWAIT  FLOW_TCP_FIN_WAIT
#define CWAIT  FLOW_TCP_CLOSE_WAIT
#define LACK   FLOW_TCP_LAST_ACK
#define TWAIT  FLOW_TCP_TIME_WAIT
#define CLOSED FLOW_TCP_CLOSED

static void run(const char *name, const struct row *row, size_t count)
{
    for (size_t i = 0; i < count; i++, row++) {
        struct segment segment = {.from_server = row->from_server,
                                  .flags = row->flags,
                                  .sequence = row->sequence,
                                  .acknowledgment = row->acknowledgment,
                                  .data = row->data,
                                  .window = row->window ? row->window : 1000,
                                  .window_scale = -1};
        int state = give_segment(&segment);
        int tcp = table.count ? only_flow()->tcp : -1;
        if (state != row->state || tcp != row->tcp)
            fail_msg("%s, row %zu: judged %d, state %d; wanted %d, %d", name, i + 1, state, tcp,
                     row->state, row->tcp);
    }
}

#define RUN(name, ...)                                                                             \
    do {                                                                                           \
        static const struct row rows[] = {__VA_ARGS__};                                            \
        flow_clear(&table);                                                                        \
        run(name, rows, sizeof rows / sizeof rows[0]);                                             \
    } while (0)

#define OPEN                                                                                       \
    {0, S, 100, 0, 0, N, SENT}, {1, S | A, 500, 101, 0, E, RCVD}, { 0, A, 101, 501, 0, E, ESTAB }

static void test_S21_tcp_open_and_close(void **state)
{
    (void)state;
    RUN("client closes first", OPEN, {0, P | A, 101, 501, 50, E, ESTAB},
        {1, A, 501, 151, 500, E, ESTAB}, {0, F | A, 151, 1001, 0, E, FWAIT},
        {1, A, 1001, 152, 0, E, CWAIT}, {1, A, 1001, 152, 100, E, CWAIT},
        {1, F | A, 1101, 152, 0, E, LACK}, {0, A, 152, 1102, 0, E, TWAIT},
        {1, F | A, 1101, 152, 0, E, TWAIT});
    RUN("server closes first", OPEN, {1, F | A, 501, 101, 0, E, FWAIT},
        {0, A, 101, 502, 0, E, CWAIT}, {0, F | A, 101, 502, 0, E, LACK},
        {1, A, 502, 102, 0, E, TWAIT});
    RUN("both at once", OPEN, {0, F | A, 101, 501, 0, E, FWAIT}, {1, F | A, 501, 101, 0, E, LACK},
        {0, A, 102, 502, 0, E, LACK}, {1, A, 502, 102, 0, E, TWAIT});
    RUN("FIN with the handshake's ACK", {0, S, 100, 0, 0, N, SENT},
        {1, S | A, 500, 101, 0, E, RCVD}, {0, F | A, 101, 501, 10, E, FWAIT});
    RUN("simultaneous open", {0, S, 100, 0, 0, N, SENT}, {1, S, 500, 0, 0, E, RCVD},
        {0, S | A, 100, 501, 0, E, ESTAB}, {1, S | A, 500, 101, 0, E, ESTAB});
    RUN("data in the SYN", {0, S, 100, 0, 10, N, SENT}, {1, S | A, 500, 111, 0, E, RCVD},
        {0, A, 111, 501, 0, E, ESTAB});
}

static void test_S21_tcp_retransmissions_of_the_opening(void **state)
{
    (void)state;
    RUN("SYN again", {0, S, 100, 0, 0, N, SENT}, {0, S, 100, 0, 0, N, SENT},
        {1, S | A, 500, 101, 0, E, RCVD}, {1, S | A, 500, 101, 0, E, RCVD},
        {0, S, 100, 0, 0, E, RCVD}, {0, A, 101, 501, 0, E, ESTAB}, {0, A, 101, 501, 0, E, ESTAB});
    RUN("another SYN", {0, S, 100, 0, 0, N, SENT}, {0, S, 900000, 0, 0, N, SENT},
        {1, S | A, 500, 101, 0, I, SENT}, {1, S | A, 500, 900001, 0, E, RCVD});
    RUN("SYN-ACK of nothing", {0, S, 100, 0, 0, N, SENT}, {1, S | A, 500, 100, 0, I, SENT},
        {1, S | A, 500, 102, 0, I, SENT});
}

static void test_S21_tcp_beginnings_that_are_none(void **state)
{
    static const uint8_t flags[] = {
        0,     A,     F, F | A,   S | A,           X,         X | A,     P | A,     S | F,
        S | X, F | X, P, TCP_URG, F | P | TCP_URG, S | F | A, S | X | A, F | X | A, 0xff};
    (void)state;
    for (size_t i = 0; i < sizeof flags; i++) {
        struct segment segment = {.flags = flags[i], .sequence = 5, .window_scale = -1};
        assert_int_equal(give_segment(&segment), I);
        assert_int_equal(table.count, 0);
    }
    struct segment syn = {.flags = S | P | TCP_ECE | TCP_CWR, .window_scale = -1};
    assert_int_equal(give_segment(&syn), N);
}

static void test_S21_tcp_opener_before_the_answer(void **state)
{
    (void)state;
    RUN("ACK without an answer", {0, S, 100, 0, 0, N, SENT}, {0, A, 101, 501, 0, I, SENT},
        {0, P | A, 101, 501, 5, I, SENT});
    RUN("answers without SYN", {0, S, 100, 0, 0, N, SENT}, {1, X, 0, 0, 0, I, SENT},
        {1, F | A, 500, 101, 0, E, SENT});
    RUN("half-open connection found out", {0, S, 100, 0, 0, N, SENT}, {1, A, 77, 99999, 0, E, SENT},
        {0, X, 99999, 0, 0, N, CLOSED}, {0, S, 100, 0, 0, N, SENT});
}

static void test_S21_tcp_resets(void **state)
{
    (void)state;
    RUN("refused", {0, S, 100, 0, 0, N, SENT}, {1, X | A, 0, 101, 0, E, CLOSED},
        {0, S, 300, 0, 0, N, SENT});
    RUN("refused by another", {0, S, 100, 0, 0, N, SENT}, {1, X | A, 0, 99, 0, I, SENT});
    RUN("at the exact number", OPEN, {1, X, 501, 0, 0, E, CLOSED});
    RUN("with ACK", OPEN, {0, X | A, 101, 501, 0, E, CLOSED});
    RUN("in the window only: a challenge may follow", OPEN, {1, X, 502, 0, 0, E, ESTAB},
        {0, A, 101, 501, 0, E, ESTAB}, {1, X, 501, 0, 0, E, CLOSED});
    RUN("outside", OPEN, {1, X, 501 + 1001, 0, 0, I, ESTAB}, {1, X, 501 - 1001, 0, 0, I, ESTAB},
        {1, X | A, 501, 102, 0, I, ESTAB});
    RUN("the rest passes, and a new one may come", OPEN, {1, X, 501, 0, 0, E, CLOSED},
        {0, A, 101, 501, 0, E, CLOSED}, {0, S, 5000, 0, 0, N, SENT});
}

static void test_S21_tcp_windows(void **state)
{
    (void)state;
    RUN("data to the edge, and beyond", OPEN, {0, P | A, 101, 501, 1000, E, ESTAB},
        {0, P | A, 1102, 501, 1, I, ESTAB}, {0, P | A, 1101, 501, 1, E, ESTAB});
    RUN("retransmission of old data", OPEN, {0, A, 101, 501, 500, E, ESTAB},
        {1, A, 501, 601, 0, E, ESTAB}, {0, A, 101, 501, 500, E, ESTAB});
    RUN("far too old", OPEN, {0, A, 101, 501, 1000, E, ESTAB}, {1, A, 501, 1101, 0, E, ESTAB},
        {0, A, 1101, 501, 1000, E, ESTAB}, {1, A, 501, 2101, 0, E, ESTAB},
        {0, A, 101, 501, 500, I, ESTAB});
    RUN("ACK of what was not sent", OPEN, {0, A, 101, 502, 0, I, ESTAB},
        {0, A, 101, 501, 0, E, ESTAB});
    RUN("ACK from long ago", OPEN, {0, A, 101, 501 - 66001, 0, I, ESTAB},
        {0, A, 101, 501 - 65999, 0, E, ESTAB});
    RUN("keep-alive", OPEN, {0, A, 100, 501, 0, E, ESTAB}, {1, A, 500, 101, 0, E, ESTAB});
    RUN("numbers that wrap", {0, S, UINT32_MAX, 0, 0, N, SENT},
        {1, S | A, UINT32_MAX - 5, 0, 0, E, RCVD}, {0, A, 0, UINT32_MAX - 4, 0, E, ESTAB},
        {1, A, UINT32_MAX - 4, 0, 100, E, ESTAB}, {0, A, 0, 95, 0, E, ESTAB});
    RUN("a probe of the closed window", {0, S, 100, 0, 0, N, SENT},
        {1, S | A, 500, 101, 0, E, RCVD}, {0, A, 101, 501, 0, E, ESTAB},
        {0, A, 101, 501, 1000, E, ESTAB}, {0, A, 1101, 501, 1, E, ESTAB});
}

static void test_S21_tcp_window_scale(void **state)
{
    static const struct {
        int client, server;
        uint32_t data;
        int state;
    } rows[] = {
        {7, 7, 128000, E},  {7, 7, 128002, I}, {-1, 7, 128000, I},
        {7, -1, 128000, I}, {0, 7, 128000, E}, {7, 20, 1000, E}, /* more than 14 counts as 14 */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct segment syn = {
            .flags = S, .sequence = 100, .window = 1000, .window_scale = rows[i].client};
        struct segment answer = {.from_server = true,
                                 .flags = S | A,
                                 .sequence = 500,
                                 .acknowledgment = 101,
                                 .window = 1000,
                                 .window_scale = rows[i].server};
        struct segment ack = {.flags = A, .sequence = 101, .acknowledgment = 501, .window = 1000};
        struct segment open = {.from_server = true,
                               .flags = A,
                               .sequence = 501,
                               .acknowledgment = 101,
                               .window = 1000};
        struct segment data = {.flags = A,
                               .sequence = 101 + rows[i].data - 1,
                               .acknowledgment = 501,
                               .data = 1,
                               .window = 1000};
        flow_clear(&table);
        assert_int_equal(give_segment(&syn), N);
        assert_int_equal(give_segment(&answer), E);
        assert_int_equal(give_segment(&ack), E);
        assert_int_equal(give_segment(&open), E);
        int judged = give_segment(&data);
        assert_int_equal(judged, rows[i].state);
    }
}

static void test_S21_tcp_syn_on_a_standing_connection(void **state)
{
    (void)state;
    RUN("a peer that crashed", OPEN, {0, S, 900000, 0, 0, E, ESTAB}, {1, A, 501, 101, 0, E, ESTAB},
        {0, X, 101, 0, 0, E, CLOSED}, {0, S, 900000, 0, 0, N, SENT});
    RUN("reopened from the other side", OPEN, {0, F | A, 101, 501, 0, E, FWAIT},
        {1, F | A, 501, 102, 0, E, LACK}, {0, A, 102, 502, 0, E, TWAIT},
        {1, S, 7000, 0, 0, N, SENT}, {0, S | A, 8000, 7001, 0, E, RCVD},
        {1, A, 7001, 8001, 0, E, ESTAB});
}

static void test_S21_tcp_loose(void **state)
{
    (void)state;
    settings.filter_tcp_loose = 1;
    RUN("joined under way", {0, A, 5000, 6000, 10, N, ESTAB}, {1, A, 6000, 5010, 5000, E, ESTAB},
        {0, A, 900000, 1, 10, E, ESTAB}, {1, F | A, 11000, 900010, 0, E, FWAIT});
    RUN("not by a reset", {0, X, 5000, 0, 0, I, -1});
}

static void test_S21_tcp_short_headers(void **state)
{
    uint8_t bytes[TCP_HEADER_BYTES] = {1, 2, 3, 4};
    struct flow_packet packet = {.source_v4 = CLIENT,
                                 .destination_v4 = SERVER,
                                 .protocol = IPV4_PROTOCOL_TCP,
                                 .transport = bytes,
                                 .readable_bytes = 19,
                                 .transport_bytes = 19};
    (void)state;
    bytes[13] = TCP_SYN;
    assert_int_equal(pass(&packet), I);
    packet.readable_bytes = packet.transport_bytes = 20;
    bytes[12] = 4 << 4;
    assert_int_equal(pass(&packet), I);
    bytes[12] = 6 << 4;
    assert_int_equal(pass(&packet), I);
    bytes[12] = 5 << 4;
    assert_int_equal(pass(&packet), N);
    packet.later_fragment = true;
    packet.readable = false;
    assert_int_equal(pass(&packet), I);
}

/* ---- Other protocols ---- */

static int give_udp(uint32_t source, uint16_t source_port, uint32_t destination,
                    uint16_t destination_port)
{
    uint8_t bytes[8] = {0};
    bytes_put16(bytes, source_port);
    bytes_put16(bytes + 2, destination_port);
    struct flow_packet packet = {.source_v4 = source,
                                 .destination_v4 = destination,
                                 .protocol = IPV4_PROTOCOL_UDP,
                                 .transport = bytes,
                                 .readable_bytes = 8,
                                 .transport_bytes = 8};
    return pass(&packet);
}

static int give_icmp(uint32_t source, uint32_t destination, uint8_t type, uint16_t id)
{
    uint8_t bytes[ICMP_HEADER_BYTES] = {type};
    bytes_put16(bytes + 4, id);
    struct flow_packet packet = {.source_v4 = source,
                                 .destination_v4 = destination,
                                 .protocol = IPV4_PROTOCOL_ICMP,
                                 .transport = bytes,
                                 .readable_bytes = sizeof bytes,
                                 .transport_bytes = sizeof bytes};
    return pass(&packet);
}

static void pass_time(uint64_t us)
{
    now += us;
    flow_expire(&table, now);
}

static void test_S21_udp(void **state)
{
    (void)state;
    assert_int_equal(give_udp(CLIENT, 1000, SERVER, 53), N);
    assert_int_equal(give_udp(CLIENT, 1000, SERVER, 53), N);
    assert_int_equal(give_udp(SERVER, 53, CLIENT, 1001), N);
    assert_int_equal(table.count, 2);
    assert_int_equal(give_udp(SERVER, 53, CLIENT, 1000), E);
    pass_time(30 * SECOND - 1);
    assert_int_equal(table.count, 2);
    assert_int_equal(give_udp(CLIENT, 1000, SERVER, 53), E); /* now it is assured */
    pass_time(1);
    assert_int_equal(only_flow()->assured, true);
    pass_time(180 * SECOND - 2);
    assert_int_equal(table.count, 1);
    pass_time(1);
    assert_int_equal(table.count, 0);
    assert_int_equal(give_udp(SERVER, 53, CLIENT, 1000), N);
}

static void test_S21_icmp_queries(void **state)
{
    static const struct {
        uint8_t request, reply;
    } rows[] = {{8, 0}, {13, 14}, {15, 16}, {17, 18}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t request = rows[i].request, reply = rows[i].reply;
        flow_clear(&table);
        assert_int_equal(give_icmp(SERVER, CLIENT, reply, 5), I);
        assert_int_equal(give_icmp(CLIENT, SERVER, request, 5), N);
        assert_int_equal(give_icmp(CLIENT, SERVER, request, 5), N);
        assert_int_equal(give_icmp(SERVER, CLIENT, reply, 6), I);
        assert_int_equal(give_icmp(CLIENT, SERVER, reply, 5), I);   /* not its own answer */
        assert_int_equal(give_icmp(SERVER, CLIENT, request, 5), N); /* the other asks too */
        assert_int_equal(table.count, 2);
        assert_int_equal(give_icmp(SERVER, CLIENT, reply, 5), E);
        assert_int_equal(give_icmp(CLIENT, SERVER, request, 5), E);
        pass_time(30 * SECOND);
        assert_int_equal(table.count, 0);
    }
    assert_int_equal(give_icmp(CLIENT, SERVER, 9, 0), I);
    assert_int_equal(give_icmp(CLIENT, SERVER, 42, 0), I);
}

static void test_S21_other_protocols(void **state)
{
    struct flow_packet packet = {
        .source_v4 = CLIENT, .destination_v4 = SERVER, .protocol = 47, .transport_bytes = 10};
    (void)state;
    assert_int_equal(pass(&packet), N);
    packet.source_v4 = SERVER;
    packet.destination_v4 = CLIENT;
    assert_int_equal(pass(&packet), E);
    packet.protocol = 50;
    assert_int_equal(pass(&packet), N);
    assert_int_equal(table.count, 2);
    pass_time(600 * SECOND);
    assert_int_equal(table.count, 0);
}

/* An ICMP error from a router to `to` that quotes eight bytes of a datagram. */
static int give_error(uint8_t type, uint32_t to, uint8_t protocol, uint32_t source,
                      uint32_t destination, const uint8_t *payload, bool from_us)
{
    uint8_t bytes[ICMP_HEADER_BYTES + IPV4_HEADER_BYTES + 8] = {type};
    struct ipv4_header quoted = {.protocol = protocol,
                                 .total_bytes = 100,
                                 .source_v4 = source,
                                 .destination_v4 = destination};
    struct flow_look look;
    ipv4_write(&quoted, bytes + ICMP_HEADER_BYTES);
    memcpy(bytes + ICMP_HEADER_BYTES + IPV4_HEADER_BYTES, payload, 8);
    struct flow_packet packet = {.source_v4 = 0x0a4d00fe,
                                 .destination_v4 = to,
                                 .protocol = IPV4_PROTOCOL_ICMP,
                                 .transport = bytes,
                                 .readable_bytes = sizeof bytes,
                                 .transport_bytes = sizeof bytes};
    flow_packet_read(&packet);
    int judged = flow_judge(&table, &packet, from_us, &look);
    assert_int_equal(flow_commit(&table, &packet, &look, now), 0);
    /* Each byte that is missing makes it invalid. */
    packet.readable_bytes--;
    assert_int_equal(flow_judge(&table, &packet, false, &look), I);
    return judged;
}

static void test_S21_icmp_errors_are_related(void **state)
{
    static const uint8_t types[] = {3, 4, 5, 11, 12};
    const uint8_t udp[8] = {1000 >> 8, 1000 & 255, 0, 53}, echo[8] = {8, 0, 0, 0, 0, 5};
    (void)state;
    give_udp(CLIENT, 1000, SERVER, 53);
    give_icmp(CLIENT, SERVER, 8, 5);
    for (size_t i = 0; i < sizeof types; i++) {
        assert_int_equal(give_error(types[i], CLIENT, 17, CLIENT, SERVER, udp, false), R);
        assert_int_equal(give_error(types[i], CLIENT, 1, CLIENT, SERVER, echo, false), R);
        assert_int_equal(give_error(types[i], SERVER, 17, CLIENT, SERVER, udp, false), I);
        assert_int_equal(give_error(types[i], CLIENT, 6, CLIENT, SERVER, udp, false), I);
        assert_int_equal(give_error(types[i], CLIENT, 6, CLIENT, SERVER, udp, true), R);
    }
    assert_int_equal(table.count, 2);
    pass_time(30 * SECOND); /* errors keep nothing alive */
    assert_int_equal(table.count, 0);
}

/* ---- Times and limits ---- */

static void test_S21_tcp_times(void **state)
{
    static const struct row open[] = {OPEN, {0, F | A, 101, 501, 0, E, FWAIT}};
    const uint64_t times[] = {120 * SECOND, 120 * SECOND, 432000 * SECOND, 120 * SECOND};
    (void)state;
    for (size_t count = 1; count <= 4; count++) {
        flow_clear(&table);
        run("times", open, count);
        pass_time(times[count - 1] - 1);
        assert_int_equal(table.count, 1);
        pass_time(1);
        assert_int_equal(table.count, 0);
    }
    RUN("reset", OPEN, {1, X, 501, 0, 0, E, CLOSED});
    pass_time(9 * SECOND);
    run("a straggler", (const struct row[]){{0, A, 101, 501, 0, E, CLOSED}}, 1);
    pass_time(SECOND);
    assert_int_equal(table.count, 0);
}

static void test_S21_use_keeps_a_flow(void **state)
{
    (void)state;
    give_udp(CLIENT, 1, SERVER, 2);
    for (int i = 0; i < 100; i++) {
        pass_time(29 * SECOND);
        assert_int_equal(give_udp(CLIENT, 1, SERVER, 2), N);
    }
    pass_time(30 * SECOND);
    assert_int_equal(table.count, 0);
}

static void test_S21_attempts_make_way_for_newer_ones(void **state)
{
    (void)state;
    RUN("one that stands", OPEN);
    for (unsigned i = 0; i < 99; i++)
        assert_int_equal(give_udp(CLIENT, (uint16_t)i, SERVER, 53), N);
    assert_int_equal(table.count, 100);
    for (unsigned i = 99; i < 50000; i++) {
        assert_int_equal(give_udp(CLIENT, (uint16_t)i, SERVER, 53), N);
        assert_int_equal(commit_result, 1);
        assert_int_equal(table.count, 100);
    }
    assert_int_equal(give_udp(SERVER, 53, CLIENT, 49901), E); /* the oldest that is left */
    assert_int_equal(give_udp(SERVER, 53, CLIENT, 49900), N);
    struct segment data = {.flags = A, .sequence = 101, .acknowledgment = 501, .data = 5};
    assert_int_equal(give_segment(&data), E);
}

static void test_S21_nothing_new_when_all_stand(void **state)
{
    (void)state;
    settings.filter_flows_max = 5;
    for (uint16_t i = 0; i < 5; i++) {
        give_udp(CLIENT, i, SERVER, 53);
        give_udp(SERVER, 53, CLIENT, i);
        give_udp(CLIENT, i, SERVER, 53);
    }
    assert_int_equal(give_udp(CLIENT, 5, SERVER, 53), N);
    assert_int_equal(commit_result, -1);
    assert_int_equal(table.count, 5);
    settings.filter_flows_max = 100;
    assert_int_equal(give_udp(CLIENT, 5, SERVER, 53), N);
    assert_int_equal(commit_result, 0);
}

/* The table against a plain array: every flow is found until it is gone, through growth. */
static void test_S21_table_against_a_model(void **state)
{
    enum { PORTS = 1000 };
    static uint64_t expires_at[PORTS];
    uint32_t random = 1;
    (void)state;
    memset(expires_at, 0, sizeof expires_at);
    settings.filter_flows_max = PORTS / 2;
    assert_int_equal(flow_start(&table), 0);
    for (int step = 0; step < 200000; step++) {
        random = random * 1664525 + 1013904223;
        uint16_t port = (uint16_t)(random >> 16) % PORTS;
        if (step == 100000) {
            settings.filter_flows_max = PORTS;
            assert_int_equal(flow_start(&table), 0);
        }
        if (random % 7 == 0)
            pass_time(random % (SECOND / 4));
        bool known = expires_at[port] > now;
        unsigned before = table.count;
        bool full = before >= settings.filter_flows_max;
        if (full && !known)
            continue; /* which one makes way is another test's */
        assert_int_equal(give_udp(CLIENT, port, SERVER, 53), N);
        assert_int_equal(table.count, before + !known);
        expires_at[port] = now + 30 * SECOND;
    }
    unsigned left = 0;
    for (int i = 0; i < PORTS; i++)
        left += expires_at[i] > now;
    assert_int_equal(table.count, left);
}

static void test_S21_adopted_connections(void **state)
{
    struct stack_endpoint client = {ip_address_from_v4(CLIENT), client_port};
    struct stack_endpoint server = {ip_address_from_v4(SERVER), 80};
    (void)state;
    flow_adopt(&table, &client, &server, now);
    flow_adopt(&table, &client, &server, now);
    assert_int_equal(table.count, 1);
    run("goes on",
        (const struct row[]){{1, A, 77777, 5, 5000, E, ESTAB},
                             {0, A, 5, 82777, 0, E, ESTAB},
                             {0, F | A, 5, 82777, 0, E, FWAIT}},
        3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_table, close_table)
    const struct CMUnitTest tests[] = {
        TEST(test_S21_tcp_open_and_close),
        TEST(test_S21_tcp_retransmissions_of_the_opening),
        TEST(test_S21_tcp_beginnings_that_are_none),
        TEST(test_S21_tcp_opener_before_the_answer),
        TEST(test_S21_tcp_resets),
        TEST(test_S21_tcp_windows),
        TEST(test_S21_tcp_window_scale),
        TEST(test_S21_tcp_syn_on_a_standing_connection),
        TEST(test_S21_tcp_loose),
        TEST(test_S21_tcp_short_headers),
        TEST(test_S21_udp),
        TEST(test_S21_icmp_queries),
        TEST(test_S21_other_protocols),
        TEST(test_S21_icmp_errors_are_related),
        TEST(test_S21_tcp_times),
        TEST(test_S21_use_keeps_a_flow),
        TEST(test_S21_attempts_make_way_for_newer_ones),
        TEST(test_S21_nothing_new_when_all_stand),
        TEST(test_S21_table_against_a_model),
        TEST(test_S21_adopted_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
