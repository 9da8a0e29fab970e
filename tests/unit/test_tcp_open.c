/* Opening: passive, active and simultaneous; options in the SYN; MSS; ISN; backlog; retransmitted
   SYNs (RFC 9293 3.4, 3.5, 3.7.1; RFC 6528; RFC 7323 2; wire choices). */
#include "tcp_harness.h"

/* ---- What a SYN-ACK answers to what a SYN offered ---- */

struct offer {
    const char *setting; /* switched off, or NULL */
    const char *options;
    const char *answer;
};

static const struct offer offers[] = {
    {NULL, "", "mss 1460"},
    {NULL, "mss 1460", "mss 1460"},
    {NULL, "mss 9000", "mss 1460"},
    {NULL, "mss 1460,nop,nop,sackOK", "mss 1460,nop,nop,sackOK"},
    {NULL, "mss 1460,nop,wscale 7", "mss 1460,nop,wscale 8"},
    {NULL, "mss 1460,nop,nop,sackOK,nop,wscale 7", "mss 1460,nop,nop,sackOK,nop,wscale 8"},
    {NULL, "mss 1460,nop,nop,TS val 5 ecr 0", "mss 1460,nop,nop,TS val * ecr 5"},
    {NULL, "mss 1460,sackOK,TS val 5 ecr 0", "mss 1460,sackOK,TS val * ecr 5"},
    {NULL, "mss 1460,sackOK,TS val 5 ecr 0,nop,wscale 7",
     "mss 1460,sackOK,TS val * ecr 5,nop,wscale 8"},
    {"tcp.sack", "mss 1460,sackOK,TS val 5 ecr 0,nop,wscale 7",
     "mss 1460,nop,nop,TS val * ecr 5,nop,wscale 8"},
    {"tcp.timestamps", "mss 1460,sackOK,TS val 5 ecr 0,nop,wscale 7",
     "mss 1460,nop,nop,sackOK,nop,wscale 8"},
    {"tcp.window_scaling", "mss 1460,sackOK,TS val 5 ecr 0,nop,wscale 7",
     "mss 1460,sackOK,TS val * ecr 5"},
};

static void syn_ack_echoes_the_offer(void **state)
{
    const struct offer *offer = *state;
    char line[TEXT_LINE_MAX];
    listen_on(16);
    if (offer->setting)
        set(offer->setting, 0);
    snprintf(line, sizeof line, "S 0:0(0) win 65535%s%s%s", *offer->options ? " <" : "",
             offer->options, *offer->options ? ">" : "");
    in(line);
    snprintf(line, sizeof line, "S. 0:0(0) ack 1 <%s>", offer->answer);
    out(line);
    none();
}

/* ---- Passive ---- */

/* S24 to S29, in the order of the stages. */
static void passive_open(void **state)
{
    (void)state;
    listen_on(16);
    in("S 0:0(0) win 65535 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>");
    out("S. 0:0(0) ack 1 win * <mss 1460,sackOK,TS val * ecr 100,nop,wscale 8>");
    state_is(TCP_SYN_RECEIVED);
    assert_int_equal(stack_accept(h.stack, h.listener), STACK_AGAIN);
    in(". 1:1(0) ack 1 win 512 <nop,nop,TS val 101 ecr *>");
    none();
    accept_one();
    state_is(TCP_ESTABLISHED);
    assert_int_equal(info().passive, 1);
    assert_int_equal(info().snd_wnd, 512 << 7);
    assert_true(info().timestamps && info().sack && info().window_scaling);
    assert_int_equal(stack_accept(h.stack, h.listener), STACK_AGAIN);
    send_bytes(10);
    out("P. 1:11(10) ack 1 win * <nop,nop,TS val * ecr 101>");
}

/* S6, S11: the listener goes on; two copies share its port and are told apart by the peer's. */
static void copies_share_the_port(void **state)
{
    (void)state;
    listen_on(16);
    for (h.peer_port = 40000; h.peer_port < 40010; h.peer_port++) {
        establish("mss 1000");
        struct stack_summary summary;
        assert_int_equal(stack_summary(h.stack, h.socket, &summary, h.now_us), 0);
        assert_int_equal(summary.local.port, HARNESS_PORT);
        assert_int_equal(summary.remote.port, h.peer_port);
        assert_int_equal(ip_address_to_v4(&summary.local.address), HARNESS_STACK_V4);
        assert_int_equal(ip_address_to_v4(&summary.remote.address), HARNESS_PEER_V4);
    }
    h.peer_port = 40003;
    in("P. 1:11(10) ack 1 win 65535");
    out(". 1:1(0) ack 11");
}

/* TCP_DEFER_ACCEPT: a connection is shown once its first byte is there, ... */
static void deferred_until_the_first_byte(void **state)
{
    (void)state;
    listen_on(16);
    stack_set_option(h.stack, h.listener, STACK_OPTION_DEFER_ACCEPT_US, 1 * S, h.now_us);
    in("S 0:0(0) win 65535 <mss 1000>");
    out("S. 0:0(0) ack 1");
    in(". 1:1(0) ack 1 win 65535");
    none();
    assert_int_equal(stack_accept(h.stack, h.listener), STACK_AGAIN);
    in("P. 1:11(10) ack 1 win 65535");
    out(". 1:1(0) ack 11");
    accept_one();
    recv_bytes(10);
}

/* ... or has closed, or has been silent for long enough. */
static void deferred_no_longer_than_asked(void **state)
{
    (void)state;
    listen_on(16);
    stack_set_option(h.stack, h.listener, STACK_OPTION_DEFER_ACCEPT_US, 1 * S, h.now_us);
    in("S 0:0(0) win 65535 <mss 1000>");
    out("S. 0:0(0) ack 1");
    in(". 1:1(0) ack 1 win 65535");
    harness_run_until(h.now_us + 999 * MS);
    assert_int_equal(stack_accept(h.stack, h.listener), STACK_AGAIN);
    harness_run_until(h.now_us + 2 * MS);
    accept_one();
}

/* The final ACK was lost: the peer's first data completes the opening (3.10.7.4, fifth). */
static void data_completes_the_opening(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_RECEIVED);
    in("P. 1:11(10) ack 1 win 65535");
    out(". 1:1(0) ack 11");
    accept_one();
    recv_bytes(10);
}

/* 1, 2, 4, 8, 16 s apart, and the copy is given up after another 32 s. */
static void syn_ack_is_repeated(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_RECEIVED);
    for (int seconds = 1; seconds <= 16; seconds *= 2)
        out_after((uint64_t)seconds * S, "S. 0:0(0) ack 1 win * <mss 1460>");
    quiet(32 * S + 1);
    state_is(TCP_CLOSED);
}

static void backlog_limits_what_waits(void **state)
{
    (void)state;
    listen_on(2);
    for (h.peer_port = 40000; h.peer_port < 40002; h.peer_port++) {
        in("S 0:0(0) win 65535 <mss 1000>");
        out("S. 0:0(0) ack 1");
        in(". 1:1(0) ack 1 win 65535");
        none();
    }
    in("S 0:0(0) win 65535 <mss 1000>");
    none();
    state_is(TCP_CLOSED);
    assert_true(count_of(STACK_COUNTER_LISTEN_OVERFLOWS) > 0);
    h.peer_port = 40000;
    accept_one();
    h.peer_port = 40002;
    in("S 0:0(0) win 65535 <mss 1000>");
    out("S. 0:0(0) ack 1");
    in(". 1:1(0) ack 1 win 65535");
    accept_one();
    accept_one();
    assert_int_equal(stack_accept(h.stack, h.listener), STACK_AGAIN);
}

static void accept_keeps_the_order(void **state)
{
    (void)state;
    listen_on(8);
    for (h.peer_port = 40000; h.peer_port < 40005; h.peer_port++) {
        in("S 0:0(0) win 65535 <mss 1000>");
        out("S. 0:0(0) ack 1");
    }
    static const uint16_t order[] = {40003, 40000, 40004, 40001, 40002};
    for (int i = 0; i < 5; i++) {
        h.peer_port = order[i];
        in(". 1:1(0) ack 1 win 65535");
    }
    for (int i = 0; i < 5; i++) {
        struct stack_summary summary;
        accept_one();
        assert_int_equal(stack_summary(h.stack, h.socket, &summary, h.now_us), 0);
        assert_int_equal(summary.remote.port, order[i]);
    }
}

/* The accept queue fills up while handshakes are under way: the ACK that finds it full is dropped,
   and the connection stands as soon as there is room and the peer is heard again. */
static void full_queue_drops_the_last_ack(void **state)
{
    (void)state;
    listen_on(1);
    for (h.peer_port = 40000; h.peer_port < 40002; h.peer_port++) {
        in("S 0:0(0) win 65535 <mss 1000>");
        out("S. 0:0(0) ack 1");
    }
    h.peer_port = 40000;
    in(". 1:1(0) ack 1 win 65535");
    h.peer_port = 40001;
    in(". 1:1(0) ack 1 win 65535");
    none();
    state_is(TCP_SYN_RECEIVED);
    assert_int_equal(count_of(STACK_COUNTER_LISTEN_OVERFLOWS), 1);
    accept_one();
    in("P. 1:11(10) ack 1 win 65535");
    out(". 1:1(0) ack 11");
    state_is(TCP_ESTABLISHED);
    accept_one();
    recv_bytes(10);
}

/* ---- Active ---- */

static void active_open(void **state)
{
    (void)state;
    connect_out();
    out("S 0:0(0) win * <mss 1460,sackOK,TS val * ecr 0,nop,wscale 8>");
    assert_int_equal(send_flags(10, 0), STACK_IN_PROGRESS);
    quiet(100 * MS);
    in("S. 0:0(0) ack 1 win 1000 <mss 1000,sackOK,TS val 7 ecr *,nop,wscale 3>");
    out(". 1:1(0) ack 1 win * <nop,nop,TS val * ecr 7>");
    state_is(TCP_ESTABLISHED);
    assert_true(h.ready & STACK_READY_CONNECTED);
    assert_int_equal(info().passive, 0);
    /* RFC 7323, 2.2: the window of a SYN is never scaled. */
    assert_int_equal(info().snd_wnd, 1000);
    assert_int_equal(info().srtt_us / MS, 100);
}

/* What the peer does not offer is not used. */
static void active_open_to_a_plain_peer(void **state)
{
    (void)state;
    connect_out();
    out("S 0:0(0) win * <mss 1460,sackOK,TS val * ecr 0,nop,wscale 8>");
    in("S. 0:0(0) ack 1 win 60000 <mss 500>");
    out(". 1:1(0) ack 1");
    send_bytes(500);
    const struct harness_frame *frame = out("P. 1:501(500) ack 1");
    assert_int_equal(frame->tcp.options_present, 0);
    in("P. 1001:1011(10) ack 1 win 60000");
    frame = out(". *:*(0) ack 1");
    assert_int_equal(frame->tcp.options_present, 0);
    assert_int_equal(info().snd_wscale, 0);
    assert_int_equal(info().rcv_wscale, 0);
}

/* RFC 6298 2.1: 1 s at first, doubled; R2 for a SYN is at least three minutes (MUST-22,
   MUST-23). */
static void syn_is_repeated_for_three_minutes(void **state)
{
    (void)state;
    connect_out();
    out("S 0:0(0) win * <mss 1460,*>");
    uint64_t started_at = h.now_us;
    for (int seconds = 1; seconds <= 32; seconds *= 2)
        out_after((uint64_t)seconds * S, "S 0:0(0) win * <mss 1460,*>");
    harness_run_until(started_at + 180 * S);
    state_is(TCP_SYN_SENT);
    harness_run_until(started_at + 1000 * S);
    state_is(TCP_CLOSED);
    assert_int_equal(stack_socket_error(h.stack, h.socket), STACK_TIMED_OUT);
    assert_true(h.ready & STACK_READY_ERROR);
}

static void syn_retries_are_an_option(void **state)
{
    (void)state;
    set("tcp.syn_retries", 2);
    connect_out();
    out("S 0:0(0)");
    out_after(1 * S, "S 0:0(0)");
    out_after(2 * S, "S 0:0(0)");
    quiet(4 * S - 1);
    state_is(TCP_SYN_SENT);
    quiet(1);
    state_is(TCP_CLOSED);
    assert_int_equal(stack_socket_error(h.stack, h.socket), STACK_TIMED_OUT);
}

/* Linux since 6.5 sends the first four a second apart. */
static void first_syns_can_be_linear(void **state)
{
    (void)state;
    set("tcp.syn_linear_timeouts", 4);
    connect_out();
    out("S 0:0(0)");
    for (int i = 0; i < 4; i++)
        out_after(1 * S, "S 0:0(0)");
    out_after(1 * S, "S 0:0(0)");
    out_after(2 * S, "S 0:0(0)");
}

/* RFC 6298 5.7: a SYN that timed out means 3 s for the first data; no sample (Karn). */
static void lost_syn_makes_rto_three_seconds(void **state)
{
    (void)state;
    set("tcp.timestamps", 0);
    connect_out();
    out("S 0:0(0)");
    out_after(1 * S, "S 0:0(0)");
    quiet(10 * MS);
    in("S. 0:0(0) ack 1 win 65535 <mss 1000>");
    out(". 1:1(0) ack 1");
    assert_int_equal(info().srtt_us, 0);
    send_bytes(10);
    out("P. 1:11(10) ack 1");
    out_after(3 * S, "P. 1:11(10) ack 1");
}

/* RFC 5681 3.1: after a lost SYN the initial window is one segment. */
static void lost_syn_makes_the_initial_window_one(void **state)
{
    (void)state;
    connect_out();
    out("S 0:0(0)");
    out_after(1 * S, "S 0:0(0)");
    in("S. 0:0(0) ack 1 win 65535 <mss 1000>");
    out(". 1:1(0) ack 1");
    send_bytes(5000);
    out(". 1:1001(1000) ack 1");
    none();
}

/* MUST-46 */
static void invalid_peers_are_rejected(void **state)
{
    (void)state;
    static const uint32_t peers[] = {0xffffffff, 0x0a4d00ff, 0xe0000001, 0};
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
        struct stack_endpoint remote = {ip_address_from_v4(peers[i]), 80};
        int socket = stack_open(h.stack, IPV4_PROTOCOL_TCP);
        int result = stack_connect(h.stack, socket, &remote, h.now_us);
        assert_true(result == STACK_NOT_AVAILABLE || result == STACK_INVALID);
        stack_close(h.stack, socket, h.now_us);
    }
    harness_pump();
    none();
}

static void no_route_is_told(void **state)
{
    (void)state;
    struct stack_endpoint remote = {ip_address_from_v4(0x08080808), 80};
    int socket = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    assert_int_equal(stack_connect(h.stack, socket, &remote, h.now_us), STACK_NO_ROUTE);
}

/* MUST-42: LISTEN on a port from which a connection is just being opened. */
static void listen_beside_syn_sent(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_SENT);
    struct stack_endpoint local = {.port = 5000};
    int listener = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    stack_set_option(h.stack, listener, STACK_OPTION_REUSE_ADDRESS, 1, h.now_us);
    assert_int_equal(stack_bind(h.stack, listener, &local), 0);
    assert_int_equal(stack_listen(h.stack, listener, 5), 0);
    state_is(TCP_SYN_SENT);
    in("S. 0:0(0) ack 1 win 65535");
    out(". 1:1(0) ack 1");
}

static void two_listeners_collide(void **state)
{
    (void)state;
    listen_on(5);
    struct stack_endpoint local = {.port = HARNESS_PORT};
    int second = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    int result = stack_bind(h.stack, second, &local);
    if (result == 0)
        result = stack_listen(h.stack, second, 5);
    assert_int_equal(result, STACK_IN_USE);
}

/* ---- Simultaneous (MUST-10; RFC 9293, figure 7) ---- */

static void simultaneous_open(void **state)
{
    (void)state;
    connect_out();
    out("S 0:0(0) win * <mss 1460,sackOK,TS val * ecr 0,nop,wscale 8>");
    in("S 0:0(0) win 65535 <mss 1000,sackOK,TS val 7 ecr 0,nop,wscale 3>");
    out("S. 0:0(0) ack 1 win * <mss 1460,sackOK,TS val * ecr 7,nop,wscale 8>");
    state_is(TCP_SYN_RECEIVED);
    in("S. 0:0(0) ack 1 win 65535 <mss 1000,sackOK,TS val 8 ecr *,nop,wscale 3>");
    state_is(TCP_ESTABLISHED);
    assert_true(h.ready & STACK_READY_CONNECTED);
    ignore_all();
    send_bytes(10);
    out("P. 1:11(10) ack 1 win * <nop,nop,TS val * ecr *>");
}

/* The peer's SYN-ACK may be lost: its bare ACK completes just as well. */
static void simultaneous_open_by_ack(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_SENT);
    in("S 0:0(0) win 65535 <mss 1000>");
    out("S. 0:0(0) ack 1");
    out_after(1 * S, "S. 0:0(0) ack 1");
    in(". 1:1(0) ack 1 win 65535");
    state_is(TCP_ESTABLISHED);
}

/* ---- MSS ---- */

struct mss_case {
    const char *options;
    unsigned least, most; /* bytes of the first segment of many */
};

static const struct mss_case mss_cases[] = {
    {"nop", 536, 536}, /* MUST-15 */
    {"mss 1460", 1460, 1460},
    {"mss 1000", 1000, 1000},
    {"mss 65535", 1460, 1460},                     /* MUST-16: our MTU */
    {"mss 1000,nop,nop,TS val 1 ecr 0", 988, 988}, /* MUST-16: options go off */
    {"mss 1460,sackOK,TS val 1 ecr 0", 1448, 1448},
    {"mss 64", 1, 64},
    {"mss 1", 1, 536},
    {"mss 0", 1, 536},
};

static void peer_mss_is_obeyed(void **state)
{
    const struct mss_case *row = *state;
    establish(row->options);
    send_bytes(5000);
    assert_true(h.tail > h.head);
    const struct harness_frame *frame = out(". 1:*");
    assert_in_range(frame->payload, row->least, row->most);
    assert_true(h.tail - h.head < 64);
}

/* MUST-14, MUST-67: what we offer follows from the interface's MTU, or less by option. */
static void our_mss_can_be_limited(void **state)
{
    (void)state;
    h.socket = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    struct stack_endpoint remote = {ip_address_from_v4(HARNESS_PEER_V4), HARNESS_PEER_PORT};
    struct stack_endpoint local = {.port = 5000};
    h.local_port = 5000;
    option(STACK_OPTION_MAXIMUM_SEGMENT, 700);
    assert_int_equal(stack_bind(h.stack, h.socket, &local), 0);
    stack_connect(h.stack, h.socket, &remote, h.now_us);
    harness_pump();
    out("S 0:0(0) win * <mss 700,*>");
    in("S. 0:0(0) ack 1 win 65535 <mss 1460>");
    out(". 1:1(0) ack 1");
    send_bytes(2000);
    out(". 1:701(700) ack 1");
}

/* ---- Initial sequence numbers (RFC 6528; MUST-8, MUST-9, SHLD-1) ---- */

static uint32_t iss_of_a_syn(void)
{
    in("S 0:0(0) win 65535 <mss 1000>");
    out("S. 0:0(0) ack 1");
    uint32_t iss = harness_here()->iss;
    in("R 1:1(0)");
    none();
    return iss;
}

static void isn_follows_a_clock(void **state)
{
    (void)state;
    listen_on(5);
    uint32_t first = iss_of_a_syn();
    harness_run_until(h.now_us + 10 * S);
    uint32_t second = iss_of_a_syn();
    /* Every four microseconds or so. */
    assert_in_range(second - first, 10 * S / 8, 10 * S / 2);
}

static void isn_differs_by_connection_and_secret(void **state)
{
    (void)state;
    listen_on(5);
    uint32_t first = iss_of_a_syn();
    h.peer_port++;
    uint32_t neighbor = iss_of_a_syn();
    assert_true(neighbor - first + 100000 > 200000);
    harness_stop();
    harness_start(2, 10 * S);
    listen_on(5);
    uint32_t other_secret = iss_of_a_syn();
    assert_true(other_secret - first + 100000 > 200000);
    harness_stop();
    harness_start(1, 10 * S);
    listen_on(5);
    assert_int_equal(iss_of_a_syn(), first);
}

/* ---- Addresses that cannot be ---- */

/* MUST-57: a SYN to a broadcast or multicast address. */
static void syn_to_a_group_is_discarded(void **state)
{
    (void)state;
    static const uint32_t groups[] = {0xffffffff, 0x0a4d00ff, 0xe0000001};
    listen_on(5);
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        h.next.destination_v4 = groups[i];
        h.next.group_mac = true;
        in("S 0:0(0) win 65535");
        none();
    }
    h.next.group_mac = true;
    in("S 0:0(0) win 65535");
    none();
}

/* MUST-63: a SYN from an address that no host has. */
static void syn_from_nowhere_is_discarded(void **state)
{
    (void)state;
    static const uint32_t sources[] = {0xffffffff, 0x0a4d00ff, 0xe0000001, 0x7f000001, 0x00000001};
    listen_on(5);
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        h.next.source_v4 = sources[i];
        in("S 0:0(0) win 65535");
        none();
    }
}

/* The same for segments that would draw a reset. */
static void no_reset_to_a_group(void **state)
{
    (void)state;
    h.next.group_mac = true;
    in("S 0:0(0) win 65535");
    none();
    h.next.source_v4 = 0xe0000001;
    in(". 0:0(0) ack 5");
    none();
}

/* MUST-48, MUST-49, SHLD-22 */
static void ttl_and_tos_are_options(void **state)
{
    (void)state;
    establish("mss 1000");
    option(STACK_OPTION_TTL, 17);
    option(STACK_OPTION_TOS, 0x20);
    send_bytes(10);
    const struct harness_frame *frame = out("P. 1:11(10) ack 1");
    assert_int_equal(frame->ip.ttl, 17);
    assert_int_equal(frame->ip.tos, 0x20);
    assert_int_equal(stack_set_option(h.stack, h.socket, STACK_OPTION_TTL, 0, h.now_us),
                     STACK_INVALID);
}

static int run_table(const char *name, CMUnitTestFunction run, const void *rows, size_t row_bytes,
                     size_t count, const char *const *names)
{
    struct CMUnitTest *tests = calloc(count, sizeof *tests);
    for (size_t i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){names[i], run, harness_setup, harness_teardown,
                                       (void *)((uintptr_t)rows + i * row_bytes)};
    int failed = _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    free(tests);
    return failed;
}

int main(void)
{
    enum {
        OFFERS = sizeof offers / sizeof offers[0],
        MSS_CASES = sizeof mss_cases / sizeof mss_cases[0]
    };
    const char *offer_names[OFFERS], *mss_names[MSS_CASES];
    for (int i = 0; i < OFFERS; i++)
        offer_names[i] = *offers[i].options ? offers[i].options : "no option";
    for (int i = 0; i < MSS_CASES; i++)
        mss_names[i] = mss_cases[i].options;
    const struct CMUnitTest tests[] = {
        harness_test(passive_open),
        harness_test(copies_share_the_port),
        harness_test(data_completes_the_opening),
        harness_test(deferred_until_the_first_byte),
        harness_test(deferred_no_longer_than_asked),
        harness_test(syn_ack_is_repeated),
        harness_test(backlog_limits_what_waits),
        harness_test(accept_keeps_the_order),
        harness_test(active_open),
        harness_test(active_open_to_a_plain_peer),
        harness_test(syn_is_repeated_for_three_minutes),
        harness_test(syn_retries_are_an_option),
        harness_test(first_syns_can_be_linear),
        harness_test(lost_syn_makes_rto_three_seconds),
        harness_test(lost_syn_makes_the_initial_window_one),
        harness_test(invalid_peers_are_rejected),
        harness_test(no_route_is_told),
        harness_test(listen_beside_syn_sent),
        harness_test(two_listeners_collide),
        harness_test(simultaneous_open),
        harness_test(simultaneous_open_by_ack),
        harness_test(our_mss_can_be_limited),
        harness_test(isn_follows_a_clock),
        harness_test(isn_differs_by_connection_and_secret),
        harness_test(syn_to_a_group_is_discarded),
        harness_test(syn_from_nowhere_is_discarded),
        harness_test(no_reset_to_a_group),
        harness_test(ttl_and_tos_are_options),
        harness_test(full_queue_drops_the_last_ack),
    };
    int failed = run_table("options of a SYN-ACK", syn_ack_echoes_the_offer, offers,
                           sizeof offers[0], OFFERS, offer_names);
    failed += run_table("MSS of the peer", peer_mss_is_obeyed, mss_cases, sizeof mss_cases[0],
                        MSS_CASES, mss_names);
    return failed + cmocka_run_group_tests_name("opening", tests, NULL, NULL);
}
