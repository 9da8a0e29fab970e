/* Sending: what leaves when and in which pieces: initial window, Nagle, silly windows, push,
   urgent, fast retransmit and recovery (RFC 9293 3.7.4, 3.8.5, 3.8.6.2; RFC 5681; RFC 6582; RFC
   6928). */
#include "tcp_harness.h"

/* Expects segments of size bytes from first to behind_last. */
static void out_run(uint32_t first, uint32_t behind_last, uint32_t size)
{
    for (uint32_t at = first; at < behind_last; at += size) {
        char line[TEXT_LINE_MAX];
        snprintf(line, sizeof line, "*%u:%u(%u) ack 1", at, at + size, size);
        out(line);
    }
}

static void ack_to(uint32_t number)
{
    char line[TEXT_LINE_MAX];
    snprintf(line, sizeof line, ". 1:1(0) ack %u win 65535", number);
    in(line);
}

static void initial_window_is_ten(void **state)
{
    (void)state;
    establish("mss 1000");
    send_bytes(30000);
    out_run(1, 10001, 1000);
    none();
    assert_int_equal(info().cwnd, 10000);
    /* Slow start: an ACK of two segments frees two and adds two. */
    ack_to(2001);
    out_run(10001, 14001, 1000);
    none();
    ack_to(3001);
    out_run(14001, 16001, 1000);
    none();
}

/* RFC 5681 3.1: about one segment a round trip above ssthresh. */
static void congestion_avoidance_is_linear(void **state)
{
    (void)state;
    h.handshake_us = 50 * MS;
    establish("mss 1000");
    send_bytes(4000);
    ignore_all();
    harness_run_until(h.now_us + 300 * MS); /* RTO: ssthresh 2000, cwnd 1000 */
    ignore_all();
    ack_to(4001);
    send_bytes(60000);
    uint32_t una = 4001;
    uint32_t cwnd = info().cwnd;
    assert_true(cwnd <= 2000);
    for (int round = 0; round < 6; round++) {
        unsigned flight = ignore_all();
        uint32_t before = info().cwnd;
        for (unsigned i = 0; i < flight; i++)
            ack_to(una += 1000);
        uint32_t grown = info().cwnd - before;
        assert_in_range(grown, 0, 1100);
    }
    assert_true(info().cwnd > cwnd + 3000);
}

/* MUST-61 and the wire choices: PSH on the last segment of a write. */
static void push_ends_a_write(void **state)
{
    (void)state;
    establish("mss 1000");
    option(STACK_OPTION_NODELAY, 1);
    send_bytes(2500);
    out(". 1:1001(1000) ack 1");
    out(". 1001:2001(1000) ack 1");
    out("P. 2001:2501(500) ack 1");
}

/* ---- Nagle (SHLD-7, MUST-17) ---- */

static void nagle_collects_small_writes(void **state)
{
    (void)state;
    establish("mss 1000");
    send_bytes(10);
    out("P. 1:11(10) ack 1");
    send_bytes(10);
    send_bytes(10);
    none();
    ack_to(11);
    out("P. 11:31(20) ack 1");
    none();
}

static void nagle_lets_full_segments_go(void **state)
{
    (void)state;
    establish("mss 1000");
    send_bytes(10);
    out("P. 1:11(10) ack 1");
    send_bytes(990);
    none();
    send_bytes(20);
    out("*11:1011(1000) ack 1");
    none();
    ack_to(1011);
    out("P. 1011:1021(10) ack 1");
}

static void nagle_can_be_disabled(void **state)
{
    (void)state;
    establish("mss 1000");
    option(STACK_OPTION_NODELAY, 1);
    for (uint32_t i = 0; i < 5; i++) {
        send_bytes(10);
        out_run(1 + i * 10, 11 + i * 10, 10);
    }
}

/* What was held back goes out as soon as Nagle is disabled. */
static void nodelay_releases_what_is_held(void **state)
{
    (void)state;
    establish("mss 1000");
    send_bytes(10);
    send_bytes(10);
    out("P. 1:11(10) ack 1");
    none();
    option(STACK_OPTION_NODELAY, 1);
    out("P. 11:21(10) ack 1");
}

/* A FIN releases it too. */
static void close_releases_what_is_held(void **state)
{
    (void)state;
    establish("mss 1000");
    send_bytes(10);
    send_bytes(10);
    out("P. 1:11(10) ack 1");
    close_socket();
    out("FP. 11:21(10) ack 1");
}

/* MUST-60: corked data waits, but not for ever. */
static void cork_holds_for_200_ms(void **state)
{
    (void)state;
    establish("mss 1000");
    option(STACK_OPTION_CORK, 1);
    send_bytes(10);
    quiet(100 * MS);
    send_bytes(1500);
    out("*1:1001(1000) ack 1");
    none();
    ack_to(1001);
    harness_run_until(h.now_us + 200 * MS);
    out("P. 1001:1511(510) ack 1");
}

static void uncorking_releases(void **state)
{
    (void)state;
    establish("mss 1000");
    option(STACK_OPTION_CORK, 1);
    send_bytes(10);
    none();
    option(STACK_OPTION_CORK, 0);
    out("P. 1:11(10) ack 1");
}

static void more_holds_a_small_tail(void **state)
{
    (void)state;
    establish("mss 1000");
    assert_int_equal(send_flags(100, STACK_SEND_MORE), 100);
    none();
    send_bytes(100);
    out("P. 1:201(200) ack 1");
}

/* ---- The peer's window ---- */

/* MUST-38: no small segment just because the window's end is near. */
static void silly_windows_are_not_filled(void **state)
{
    (void)state;
    establish("mss 1000");
    option(STACK_OPTION_NODELAY, 1);
    in(". 1:1(0) ack 1 win 2500");
    send_bytes(5000);
    out_run(1, 2001, 1000);
    none();
    in(". 1:1(0) ack 2001 win 2500");
    out_run(2001, 4001, 1000);
    none();
    /* A window smaller than any segment is used after a while. */
    in(". 1:1(0) ack 4001 win 300");
    none();
    harness_run_until(h.now_us + 5 * S);
    assert_true(h.tail > h.head);
    out("*4001:*");
}

/* A window of half the largest ever seen is worth a segment (3.8.6.2.1, rule 3). */
static void half_of_a_small_window_is_used(void **state)
{
    (void)state;
    listen_on(1);
    in("S 0:0(0) win 600 <mss 1000>");
    out("S. 0:0(0) ack 1");
    in(". 1:1(0) ack 1 win 600");
    accept_one();
    send_bytes(2000);
    out("*1:601(600) ack 1");
    none();
    in(". 1:1(0) ack 601 win 300");
    out("*601:901(300) ack 1");
    none();
}

/* MUST-1, RFC 7323 2.3: the window is unsigned, and scaled outside SYNs. */
static void window_is_scaled(void **state)
{
    (void)state;
    establish("mss 1000,nop,wscale 3");
    in(". 1:1(0) ack 1 win 65535");
    assert_int_equal(info().snd_wnd, 65535 << 3);
    in(". 1:1(0) ack 1 win 250");
    assert_int_equal(info().snd_wnd, 2000);
    send_bytes(5000);
    out_run(1, 2001, 1000);
    none();
}

/* RFC 9293 3.10.7.4: an old segment does not change the window (SND.WL1, SND.WL2). */
static void old_segments_do_not_move_the_window(void **state)
{
    (void)state;
    establish("mss 1000");
    in("P. 1:101(100) ack 1 win 3000");
    out(". 1:1(0) ack 101");
    in("P. 1:101(100) ack 1 win 9000");
    ignore_all();
    assert_int_equal(info().snd_wnd, 3000);
    in(". 101:101(0) ack 1 win 5000");
    assert_int_equal(info().snd_wnd, 5000);
}

/* A retransmission brings an old sequence number with a new ACK: its window belongs to that ACK.
   Taking the ACK without the window would move the edge that the peer has offered. */
static void newer_ack_brings_its_window(void **state)
{
    (void)state;
    establish("mss 1000");
    in(". 101:101(0) ack 1 win 3000"); /* 1:101 was lost */
    send_bytes(6000);
    out_run(1, 3001, 1000);
    none();
    in("P. 1:101(100) ack 3001 win 0");
    assert_int_equal(info().snd_wnd, 0);
    for (unsigned i = h.tail - h.head; i > 0; i--)
        assert_int_equal(out(". *")->payload, 0);
}

/* ---- The buffer ---- */

static void full_buffer_says_again(void **state)
{
    (void)state;
    establish("mss 1000");
    option(STACK_OPTION_SEND_BUFFER, 8192);
    in(". 1:1(0) ack 1 win 0");
    uint32_t total = 0;
    ptrdiff_t taken;
    while ((taken = send_flags(1000, 0)) > 0)
        total += (uint32_t)taken;
    assert_int_equal(taken, STACK_AGAIN);
    assert_in_range(total, 4096, 16384);
    h.ready = 0;
    in(". 1:1(0) ack 1 win 65535");
    assert_int_equal(h.tail - h.head, (total + 999) / 1000 < 10 ? (total + 999) / 1000 : 10);
    ignore_all();
    ack_to(4001);
    assert_true(h.ready & STACK_READY_SEND);
    assert_true(send_flags(1000, 0) > 0);
}

static void reserve_and_commit(void **state)
{
    (void)state;
    establish("mss 1000");
    struct stack_room room[2];
    ptrdiff_t size = stack_send_reserve(h.stack, h.socket, 500, room);
    assert_true(size >= 500);
    harness_pump();
    none();
    assert_int_equal(stack_send_commit(h.stack, h.socket, 0, 0, h.now_us), 0);
    harness_pump();
    none();
    size = stack_send_reserve(h.stack, h.socket, 500, room);
    assert_true(size >= 500);
    for (uint32_t i = 0; i < 500; i++) {
        uint8_t *at = i < room[0].size ? room[0].data + i : room[1].data + (i - room[0].size);
        *at = harness_pattern(i, true);
    }
    assert_int_equal(stack_send_commit(h.stack, h.socket, 500, 0, h.now_us), 0);
    harness_here()->written = 500;
    harness_pump();
    out("P. 1:501(500) ack 1");
}

/* ---- Loss (RFC 5681 3.2, RFC 6582) ---- */

static void third_duplicate_retransmits(void **state)
{
    (void)state;
    establish("mss 1000");
    send_bytes(10000);
    out_run(1, 10001, 1000);
    ack_to(1);
    ack_to(1);
    none();
    ack_to(1);
    out("*1:1001(1000) ack 1");
    none();
    assert_int_equal(info().ssthresh, 5000);
    assert_true(info().in_recovery);
    ack_to(10001);
    none();
    assert_false(info().in_recovery);
    assert_true(info().cwnd <= 5000);
    assert_int_equal(count_of(STACK_COUNTER_TCP_TIMEOUTS), 0);
}

/* RFC 6582 3.2: a partial ACK retransmits the next hole at once and stays in recovery. */
static void partial_ack_retransmits_the_next(void **state)
{
    (void)state;
    establish("mss 1000");
    send_bytes(10000);
    out_run(1, 10001, 1000);
    for (int i = 0; i < 3; i++)
        ack_to(1);
    out("*1:1001(1000) ack 1");
    ack_to(3001);
    out("*3001:4001(1000) ack 1");
    assert_true(info().in_recovery);
    ack_to(7001);
    out("*7001:8001(1000) ack 1");
    ack_to(10001);
    none();
    assert_false(info().in_recovery);
}

/* RFC 5681 3.2 step 4: further duplicates let new data out once the window allows. */
static void window_inflates_in_recovery(void **state)
{
    (void)state;
    establish("mss 1000");
    send_bytes(20000);
    out_run(1, 10001, 1000);
    for (int i = 0; i < 3; i++)
        ack_to(1);
    unsigned sent = ignore_all(); /* one retransmission, and limited transmit may add two */
    assert_in_range(sent, 1, 3);
    for (int i = 0; i < 6; i++)
        ack_to(1);
    unsigned more = ignore_all();
    assert_in_range(more, 2, 6);
    /* never beyond what the halved window allows */
    assert_true(info().snd_nxt - info().snd_una <= 17000);
}

/* RFC 5681 2: what is not a duplicate ACK. */
static void these_are_no_duplicates(void **state)
{
    (void)state;
    establish("mss 1000");
    send_bytes(5000);
    out_run(1, 5001, 1000);
    in(". 1:1(0) ack 1 win 60000"); /* window changed */
    in(". 1:1(0) ack 1 win 61000");
    in(". 1:1(0) ack 1 win 62000");
    in(". 1:1(0) ack 1 win 63000");
    none();
    in("P. 1:11(10) ack 1 win 63000"); /* data */
    in("P. 11:21(10) ack 1 win 63000");
    in("P. 21:31(10) ack 1 win 63000");
    in("P. 31:41(10) ack 1 win 63000");
    for (unsigned i = h.tail - h.head; i > 0; i--)
        out(". 5001:5001(0)*");
    assert_false(info().in_recovery);
}

/* Nothing in flight: no duplicates to count. */
/* RFC 5681, 4.1, where one frame holds many segments: the first one obeys the restarted window. */
static void idle_restart_bounds_a_super_frame(void **state)
{
    (void)state;
    harness_stop();
    harness_start_with(1, 10 * S, 65535);
    stack_settings(h.stack)->tcp_slow_start_after_idle = 1;
    h.handshake_us = 50 * MS;
    establish("mss 1000");
    send_bytes(20000);
    out_run(1, 10001, 1000);
    ack_to(10001);
    out_run(10001, 20001, 1000);
    ack_to(20001);
    assert_int_equal(info().cwnd, 20000);
    harness_run_until(h.now_us + S);
    send_bytes(20000);
    out_run(20001, 30001, 1000);
    none();
}

static void idle_duplicates_mean_nothing(void **state)
{
    (void)state;
    establish("mss 1000");
    for (int i = 0; i < 5; i++)
        ack_to(1);
    none();
    send_bytes(1000);
    out("P. 1:1001(1000) ack 1");
    none();
}

/* The window of recovery is not opened twice for one flight (RFC 6582, recover). */
static void old_duplicates_do_not_reenter(void **state)
{
    (void)state;
    h.handshake_us = 50 * MS;
    establish("mss 1000");
    send_bytes(10000);
    out_run(1, 10001, 1000);
    harness_run_until(h.now_us + 260 * MS);
    ignore_all(); /* RTO: everything up to 10001 may be sent again */
    uint32_t ssthresh = info().ssthresh;
    ack_to(1001);
    ignore_all();
    for (int i = 0; i < 4; i++)
        ack_to(1001);
    assert_false(info().in_recovery);
    assert_int_equal(info().ssthresh, ssthresh);
}

/* ---- Urgent data (MUST-30, MUST-31, MUST-62) ---- */

static void urgent_points_behind_its_data(void **state)
{
    (void)state;
    establish("mss 1000");
    assert_int_equal(send_flags(10, STACK_SEND_URGENT), 10);
    const struct harness_frame *frame = out("P.U 1:11(10) ack 1 win * urg 10*");
    assert_int_equal(frame->tcp.urgent_pointer, 10);
    ack_to(11);
    send_bytes(10);
    out("P. 11:21(10) ack 1");
}

/* More than a segment of it: every segment before the pointer carries URG. */
static void urgent_of_any_length(void **state)
{
    (void)state;
    establish("mss 1000");
    assert_int_equal(send_flags(2500, STACK_SEND_URGENT), 2500);
    out(".U 1:1001(1000) ack 1 win * urg 2500*");
    out(".U 1001:2001(1000) ack 1 win * urg 1500*");
    ack_to(2001);
    out("P.U 2001:2501(500) ack 1 win * urg 500*");
}

static uint32_t urgent_bytes(void)
{
    struct stack_info info;
    assert_int_equal(stack_info(h.stack, h.socket, &info, h.now_us), 0);
    return info.urgent;
}

/* MUST-32, MUST-33, MUST-66: told at once, with how much of it there is to read. */
static void urgent_is_told(void **state)
{
    (void)state;
    establish("mss 1000");
    h.ready = 0;
    assert_int_equal(urgent_bytes(), 0);
    in("P.U 1:11(10) ack 1 win 65535 urg 10");
    assert_true(h.ready & STACK_READY_URGENT);
    assert_int_equal(urgent_bytes(), 10);
    h.ready = 0;
    in("P.U 11:21(10) ack 1 win 65535 urg 500"); /* advances */
    assert_true(h.ready & STACK_READY_URGENT);
    assert_int_equal(urgent_bytes(), 510);
    ignore_all();
    recv_bytes(20);
    assert_int_equal(urgent_bytes(), 490);
    in("P. 21:521(500) ack 1 win 65535");
    recv_bytes(489);
    assert_int_equal(urgent_bytes(), 1);
    recv_bytes(11);
    assert_int_equal(urgent_bytes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(initial_window_is_ten),
        harness_test(congestion_avoidance_is_linear),
        harness_test(push_ends_a_write),
        harness_test(nagle_collects_small_writes),
        harness_test(nagle_lets_full_segments_go),
        harness_test(nagle_can_be_disabled),
        harness_test(nodelay_releases_what_is_held),
        harness_test(close_releases_what_is_held),
        harness_test(cork_holds_for_200_ms),
        harness_test(uncorking_releases),
        harness_test(more_holds_a_small_tail),
        harness_test(silly_windows_are_not_filled),
        harness_test(half_of_a_small_window_is_used),
        harness_test(window_is_scaled),
        harness_test(old_segments_do_not_move_the_window),
        harness_test(full_buffer_says_again),
        harness_test(reserve_and_commit),
        harness_test(third_duplicate_retransmits),
        harness_test(partial_ack_retransmits_the_next),
        harness_test(window_inflates_in_recovery),
        harness_test(these_are_no_duplicates),
        harness_test(idle_duplicates_mean_nothing),
        harness_test(idle_restart_bounds_a_super_frame),
        harness_test(old_duplicates_do_not_reenter),
        harness_test(urgent_points_behind_its_data),
        harness_test(urgent_of_any_length),
        harness_test(urgent_is_told),
        harness_test(newer_ack_brings_its_window),
    };
    return cmocka_run_group_tests_name("sending", tests, NULL, NULL);
}
