/* Timers, to the microsecond: retransmission (RFC 6298, MUST-18, MUST-20), delayed ACK, zero-window
   probes, keep-alive, and giving up. */
#include "tcp_harness.h"

/* ---- Retransmission ---- */

/* RFC 6298 2.2: SRTT <- R, RTTVAR <- R/2, RTO <- SRTT + 4 RTTVAR; 5.5: doubled. */
static void rto_after_the_first_sample(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    establish("mss 1000");
    assert_int_equal(info().srtt_us, 100 * MS);
    assert_int_equal(info().rttvar_us, 50 * MS);
    assert_int_equal(info().rto_us, 300 * MS);
    send_bytes(10);
    out("P. 1:11(10) ack 1");
    out_after(300 * MS, "P. 1:11(10) ack 1");
    out_after(600 * MS, "P. 1:11(10) ack 1");
    out_after(1200 * MS, "P. 1:11(10) ack 1");
    in(". 1:1(0) ack 11 win 65535");
    quiet(100 * S);
}

/* RFC 6298 2.3: RTTVAR <- 3/4 RTTVAR + 1/4 |SRTT - R|, SRTT <- 7/8 SRTT + 1/8 R, in that order. */
static void rto_of_later_samples(void **state)
{
    (void)state;
    static const struct {
        uint64_t sample_us, srtt_us, rttvar_us;
    } rows[] = {
        {100 * MS, 100 * MS, 37500},
        {180 * MS, 110 * MS, 48125},
        {110 * MS, 110 * MS, 36093},
    };
    h.handshake_us = 100 * MS;
    establish("mss 1000");
    uint32_t at = 1;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[TEXT_LINE_MAX];
        send_bytes(10);
        harness_run_until(h.now_us + rows[i].sample_us);
        assert_int_equal(ignore_all(), 1);
        at += 10;
        snprintf(line, sizeof line, ". 1:1(0) ack %u win 65535", at);
        in(line);
        assert_in_range(info().srtt_us, rows[i].srtt_us - 2, rows[i].srtt_us + 2);
        assert_in_range(info().rttvar_us, rows[i].rttvar_us - 2, rows[i].rttvar_us + 2);
    }
}

/* A peer next door: not below 200 ms above the round trip. */
static void rto_has_a_floor(void **state)
{
    (void)state;
    h.handshake_us = 1 * MS;
    establish("mss 1000");
    assert_int_equal(info().rto_us, 201 * MS);
    send_bytes(10);
    out("P. 1:11(10) ack 1");
    out_after(201 * MS, "P. 1:11(10) ack 1");
}

/* A steady round trip of 200 ms lets RTTVAR shrink to nothing; an ACK that the peer delays by its
   40 ms must still not look like a loss: as in Linux, 200 ms is the least that is added to SRTT. */
static void delayed_ack_is_no_loss(void **state)
{
    (void)state;
    h.handshake_us = 200 * MS;
    establish("mss 1000");
    for (uint32_t at = 1; at < 401; at += 10) {
        char line[TEXT_LINE_MAX];
        send_bytes(10);
        assert_int_equal(ignore_all(), 1);
        quiet(200 * MS);
        snprintf(line, sizeof line, ". 1:1(0) ack %u win 65535", at + 10);
        in(line);
    }
    send_bytes(10);
    out("P. 401:411(10) ack 1");
    quiet(240 * MS);
}

/* RFC 6298 2.5: and not above the greatest. */
static void rto_has_a_ceiling(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    set("tcp.rto_max", 1 * S);
    establish("mss 1000");
    send_bytes(10);
    out("P. 1:11(10) ack 1");
    out_after(300 * MS, "P. 1:11(10) ack 1");
    out_after(600 * MS, "P. 1:11(10) ack 1");
    out_after(1 * S, "P. 1:11(10) ack 1");
    out_after(1 * S, "P. 1:11(10) ack 1");
}

/* RFC 6298 3 (Karn): what was retransmitted gives no sample. */
static void retransmission_gives_no_sample(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    establish("mss 1000");
    send_bytes(10);
    out("P. 1:11(10) ack 1");
    out_after(300 * MS, "P. 1:11(10) ack 1");
    quiet(50 * MS);
    in(". 1:1(0) ack 11 win 65535");
    assert_int_equal(info().srtt_us, 100 * MS);
}

/* RFC 7323 4.1: with timestamps it does, by the echo. */
static void timestamps_sample_retransmissions(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    establish("mss 1000,nop,nop,TS val 900 ecr 0");
    assert_int_equal(info().srtt_us / MS, 100);
    send_bytes(10);
    out("P. 1:11(10) ack 1");
    out_after(300 * MS, "P. 1:11(10) ack 1");
    quiet(20 * MS);
    in(". 1:1(0) ack 11 win 65535 <nop,nop,TS val 1001 ecr *>");
    assert_in_range(info().srtt_us, 89 * MS, 91 * MS); /* 7/8 * 100 + 1/8 * 20 */
}

/* RFC 6298 5.3: an ACK of new data starts the timer anew; 5.2: when all is acknowledged it
   stops. */
static void ack_restarts_the_timer(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    set("tcp.nagle", 0);
    establish("mss 1000");
    send_bytes(1000);
    send_bytes(1000);
    out("P. 1:1001(1000) ack 1");
    out("P. 1001:2001(1000) ack 1");
    quiet(100 * MS);
    in(". 1:1(0) ack 1001 win 65535");
    none();
    /* SRTT 100 ms, and four RTTVAR of 37.5 ms are less than the least of 200 ms */
    assert_int_equal(info().rto_us, 300 * MS);
    assert_int_equal(info().rto_left_us, 300 * MS);
    out_after(300 * MS, "P. 1001:2001(1000) ack 1");
    in(". 1:1(0) ack 2001 win 65535");
    assert_true(info().rto_left_us == UINT64_MAX);
}

/* RFC 6298 5.4, RFC 5681 3.1: one segment after a timeout, then slow start. */
static void timeout_collapses_the_window(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    establish("mss 1000");
    send_bytes(8000);
    assert_int_equal(ignore_all(), 8);
    out_after(300 * MS, ". 1:1001(1000) ack 1");
    none();
    assert_int_equal(info().cwnd, 1000);
    assert_int_equal(info().ssthresh, 4000); /* half of what was in flight */
    in(". 1:1(0) ack 1001 win 65535");
    out(". 1001:2001(1000) ack 1");
    out(". 2001:3001(1000) ack 1");
    none();
    in(". 1:1(0) ack 8001 win 65535");
    none();
    assert_true(info().cwnd <= 4000);
}

/* MUST-20: R1 is told (SHLD-9, SHLD-10), R2 ends the connection. */
static void retransmissions_are_given_up(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    set("tcp.retries2", 5);
    establish("mss 1000");
    send_bytes(10);
    out("P. 1:11(10) ack 1");
    uint64_t rto_us = 300 * MS;
    h.ready = 0;
    for (int i = 1; i <= 5; i++, rto_us *= 2) {
        out_after(rto_us, "P. 1:11(10) ack 1");
        if (i < 3)
            assert_false(h.ready & STACK_READY_SOFT_ERROR);
    }
    assert_true(h.ready & STACK_READY_SOFT_ERROR);
    state_is(TCP_ESTABLISHED);
    harness_run_until(h.now_us + rto_us + 1);
    ignore_all();
    state_is(TCP_CLOSED);
    assert_int_equal(stack_socket_error(h.stack, h.socket), STACK_TIMED_OUT);
    assert_int_equal(send_flags(1, 0), STACK_TIMED_OUT);
}

/* SHLD-11: by default for at least 100 s. */
static void default_r2_is_long(void **state)
{
    (void)state;
    h.handshake_us = 1 * MS;
    establish("mss 1000");
    send_bytes(10);
    harness_run_until(h.now_us + 100 * S);
    state_is(TCP_ESTABLISHED);
    harness_run_until(h.now_us + 2000 * S);
    state_is(TCP_CLOSED);
    ignore_all();
}

/* MUST-21: R2 as a time. */
static void user_timeout(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    establish("mss 1000");
    option(STACK_OPTION_USER_TIMEOUT_US, 5 * S);
    send_bytes(10);
    harness_run_until(h.now_us + 5 * S - 100 * MS);
    state_is(TCP_ESTABLISHED);
    harness_run_until(h.now_us + 6 * S);
    state_is(TCP_CLOSED);
    assert_int_equal(stack_socket_error(h.stack, h.socket), STACK_TIMED_OUT);
    ignore_all();
}

/* ---- Delayed ACK (RFC 9293 3.8.6.3) ---- */

static void ack_is_delayed_40_ms(void **state)
{
    (void)state;
    set("tcp.quick_ack_segments", 0);
    establish("mss 1000");
    in("P. 1:101(100) ack 1 win 65535");
    none();
    out_after(40 * MS, ". 1:1(0) ack 101");
    assert_int_equal(count_of(STACK_COUNTER_DELAYED_ACKS), 1);
}

/* SHLD-19 */
static void every_second_full_segment_is_acked(void **state)
{
    (void)state;
    set("tcp.quick_ack_segments", 0);
    establish("mss 1460");
    char line[TEXT_LINE_MAX];
    for (unsigned i = 0; i < 10; i++) {
        snprintf(line, sizeof line, ". %u:%u(1460) ack 1 win 65535", 1 + i * 1460, 1461 + i * 1460);
        in(line);
        if (i % 2 == 0)
            none();
        else
            out(". 1:1(0) ack *");
    }
}

static void first_segments_are_acked_at_once(void **state)
{
    (void)state;
    set("tcp.quick_ack_segments", 2);
    establish("mss 1460");
    in(". 1:1461(1460) ack 1 win 65535");
    out(". 1:1(0) ack 1461");
    in(". 1461:2921(1460) ack 1 win 65535");
    out(". 1:1(0) ack 2921");
    in(". 2921:4381(1460) ack 1 win 65535");
    none();
    out_after(40 * MS, ". 1:1(0) ack 4381");
}

static void delay_can_be_switched_off(void **state)
{
    (void)state;
    set("tcp.quick_ack_segments", 0);
    set("tcp.delayed_ack", 0);
    establish("mss 1000");
    in("P. 1:101(100) ack 1 win 65535");
    out(". 1:1(0) ack 101");
    in("P. 101:201(100) ack 1 win 65535");
    out(". 1:1(0) ack 201");
}

/* MUST-58: the ACK rides on data. */
static void data_carries_the_ack(void **state)
{
    (void)state;
    set("tcp.quick_ack_segments", 0);
    establish("mss 1000");
    in("P. 1:101(100) ack 1 win 65535");
    none();
    quiet(10 * MS);
    send_bytes(10);
    out("P. 1:11(10) ack 101");
    in(". 101:101(0) ack 11 win 65535");
    quiet(1 * S);
}

/* RFC 5681 4.2: at once on a hole, on what fills it, and on a duplicate. */
static void disorder_is_acked_at_once(void **state)
{
    (void)state;
    set("tcp.quick_ack_segments", 0);
    establish("mss 1000");
    in("P. 101:201(100) ack 1 win 65535");
    out(". 1:1(0) ack 1");
    in("P. 301:401(100) ack 1 win 65535");
    out(". 1:1(0) ack 1");
    in("P. 1:101(100) ack 1 win 65535");
    out(". 1:1(0) ack 201");
    in("P. 1:101(100) ack 1 win 65535");
    out(". 1:1(0) ack 201");
    in("P. 201:301(100) ack 1 win 65535");
    out(". 1:1(0) ack 401");
}

/* MUST-59: what came in one go is acknowledged together. */
static void queued_segments_share_an_ack(void **state)
{
    (void)state;
    establish("mss 1000");
    in_queued(". 1:1001(1000) ack 1 win 65535");
    in_queued(". 1001:2001(1000) ack 1 win 65535");
    in_queued(". 2001:3001(1000) ack 1 win 65535");
    in(". 3001:4001(1000) ack 1 win 65535");
    out(". 1:1(0) ack 4001");
    none();
}

/* ---- Zero window (RFC 9293 3.8.6.1) ---- */

/* SHLD-29, SHLD-30, MUST-35 to MUST-37: first after an RTO, then doubled, for ever while
   answered. */
static void zero_window_is_probed(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    set("tcp.retries2", 5);
    set("tcp.rto_max", 10 * S);
    establish("mss 1000");
    in(". 1:1(0) ack 1 win 0");
    send_bytes(500);
    none();
    uint64_t pause_us = 300 * MS;
    for (int i = 0; i < 40; i++) {
        out_after(pause_us, "*");
        in(". 1:1(0) ack 1 win 0");
        none();
        pause_us = pause_us * 2 < 10 * S ? pause_us * 2 : 10 * S;
    }
    state_is(TCP_ESTABLISHED);
    assert_true(count_of(STACK_COUNTER_TCP_WIN_PROBE) >= 40);
    in(". 1:1(0) ack 1 win 65535");
    out("P. 1:501(500) ack 1");
    in(". 1:1(0) ack 501 win 65535");
    quiet(100 * S);
}

/* A probe at SND.NXT-1 is no acceptable segment: its receiver answers it and drops its ACK field
   with it (3.10.7.4, first). So it does not carry an ACK that is owed: that one still has to be
   sent. */
static void probe_does_not_carry_the_ack(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    set("tcp.quick_ack_segments", 0);
    establish("mss 1000");
    in(". 1:1(0) ack 1 win 0");
    send_bytes(10);
    quiet(280 * MS);
    in("P. 1:101(100) ack 1 win 0");
    none();
    const struct harness_frame *probe = out_after(20 * MS, "*");
    if (probe->payload > 0)
        return; /* new data: acceptable, and so is its ACK */
    out_after(20 * MS, ". 1:1(0) ack 101");
}

/* Without answers it is given up as retransmissions are. */
static void silent_zero_window_is_given_up(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    set("tcp.retries2", 5);
    establish("mss 1000");
    in(". 1:1(0) ack 1 win 0");
    send_bytes(500);
    harness_run_until(h.now_us + 300 * S);
    assert_in_range(ignore_all(), 4, 8);
    state_is(TCP_CLOSED);
    assert_int_equal(stack_socket_error(h.stack, h.socket), STACK_TIMED_OUT);
}

/* A FIN alone has to wait for a zero window as well, or may go: but it must arrive in the end. */
static void fin_passes_a_zero_window(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    establish("mss 1000");
    in(". 1:1(0) ack 1 win 0");
    close_socket();
    ignore_all();
    harness_run_until(h.now_us + 1 * S);
    ignore_all();
    in(". 1:1(0) ack 1 win 65535");
    harness_run_until(h.now_us + 1 * S);
    assert_true(h.tail > h.head);
    out("F. 1:1(0) ack 1");
}

/* 3.8.6.2.1 is about new data: a small segment that was sent and lost is sent again, however small
   the window is against the largest one seen. */
static void lost_small_segment_is_sent_again(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    establish("mss 1000");
    in(". 1:1(0) ack 1 win 700");
    send_bytes(5000);
    none();
    harness_run_until(h.now_us + 300 * MS);
    out("*1:701(700) ack 1");
    none();
    harness_run_until(h.now_us + 2 * S);
    out("*1:701(700) ack 1");
}

/* MUST-34, SHLD-16, SHLD-17: the window shrinks below what is in flight. */
static void window_shrinks_under_flight(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    establish("mss 1000");
    send_bytes(6000);
    assert_int_equal(ignore_all(), 6);
    in(". 1:1(0) ack 1001 win 0");
    none();
    harness_run_until(h.now_us + 20 * S);
    assert_true(ignore_all() >= 2);
    state_is(TCP_ESTABLISHED);
    in(". 1:1(0) ack 6001 win 65535");
    send_bytes(10);
    out("P. 6001:6011(10) ack 1");
}

/* SHLD-17: as long as the peer answers, what lies beyond its shrunken window does not end the
   connection, however often it is sent again. */
static void shrunken_window_does_not_time_out(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    set("tcp.retries2", 3);
    set("tcp.rto_max", 5 * S);
    establish("mss 1000");
    send_bytes(3000);
    ignore_all();
    in(". 1:1(0) ack 1 win 0");
    for (int i = 0; i < 300; i++) {
        harness_run_until(h.now_us + 500 * MS);
        if (ignore_all() > 0)
            in(". 1:1(0) ack 1 win 0");
    }
    state_is(TCP_ESTABLISHED);
    ignore_all();
    in(". 1:1(0) ack 3001 win 65535");
    send_bytes(10);
    out("P. 3001:3011(10) ack 1");
}

/* R2 as a time holds for a closed window too: it ends the connection when the peer is silent, and
   not when it answers the probes. */
static void user_timeout_of_a_closed_window(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    establish("mss 1000");
    option(STACK_OPTION_USER_TIMEOUT_US, 4 * S);
    in(". 1:1(0) ack 1 win 0");
    send_bytes(100);
    for (int i = 0; i < 20; i++) {
        harness_run_until(h.now_us + 1 * S);
        ignore_all();
        in(". 1:1(0) ack 1 win 0");
    }
    state_is(TCP_ESTABLISHED);
    harness_run_until(h.now_us + 60 * S);
    ignore_all();
    state_is(TCP_CLOSED);
    assert_int_equal(stack_socket_error(h.stack, h.socket), STACK_TIMED_OUT);
}

/* ---- Keep-alive (RFC 9293 3.8.4) ---- */

/* MUST-25 */
static void keep_alive_is_off(void **state)
{
    (void)state;
    establish("mss 1000");
    quiet(3 * 3600 * (uint64_t)S);
    state_is(TCP_ESTABLISHED);
}

/* MUST-28: two hours; SHLD-12: no data; MUST-24. */
static void keep_alive_defaults(void **state)
{
    (void)state;
    establish("mss 1000");
    option(STACK_OPTION_KEEPALIVE, 1);
    out_after(7200 * (uint64_t)S, ". 0:0(0) ack 1");
    out_after(75 * (uint64_t)S, ". 0:0(0) ack 1");
    in(". 1:1(0) ack 1 win 65535");
    none();
    out_after(7200 * (uint64_t)S, ". 0:0(0) ack 1");
    option(STACK_OPTION_KEEPALIVE, 0);
    quiet(3 * 3600 * (uint64_t)S);
}

/* MUST-27, MUST-29: several unanswered ones end it. */
static void keep_alive_finds_a_dead_peer(void **state)
{
    (void)state;
    establish("mss 1000");
    option(STACK_OPTION_KEEPIDLE_US, 10 * S);
    option(STACK_OPTION_KEEPINTVL_US, 2 * S);
    option(STACK_OPTION_KEEPCNT, 3);
    option(STACK_OPTION_KEEPALIVE, 1);
    out_after(10 * S, ". 0:0(0) ack 1");
    out_after(2 * S, ". 0:0(0) ack 1");
    out_after(2 * S, ". 0:0(0) ack 1");
    harness_run_until(h.now_us + 2 * S - 1);
    none();
    state_is(TCP_ESTABLISHED);
    harness_run_until(h.now_us + 1);
    ignore_all();
    state_is(TCP_CLOSED);
    assert_int_equal(stack_socket_error(h.stack, h.socket), STACK_TIMED_OUT);
}

/* MUST-26: only when nothing is outstanding and nothing was received for the time. */
static void traffic_puts_keep_alive_off(void **state)
{
    (void)state;
    establish("mss 1000");
    option(STACK_OPTION_KEEPIDLE_US, 10 * S);
    option(STACK_OPTION_KEEPALIVE, 1);
    quiet(6 * S);
    in("P. 1:11(10) ack 1 win 65535");
    out(". 1:1(0) ack 11");
    quiet(10 * S - 1);
    out_after(1, ". 0:0(0) ack 11");
}

/* MUST-26: while something is outstanding, retransmissions find out about the peer. */
static void no_keep_alive_beside_retransmissions(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    establish("mss 1000");
    option(STACK_OPTION_KEEPIDLE_US, 1 * S);
    option(STACK_OPTION_KEEPINTVL_US, 1 * S);
    option(STACK_OPTION_KEEPCNT, 2);
    option(STACK_OPTION_KEEPALIVE, 1);
    send_bytes(10);
    harness_run_until(h.now_us + 30 * S);
    for (unsigned i = h.tail - h.head; i > 0; i--)
        out("P. 1:11(10) ack 1");
    state_is(TCP_ESTABLISHED);
    assert_int_equal(count_of(STACK_COUNTER_TCP_KEEP_ALIVE), 0);
    /* An answer that acknowledges makes it idle: now they come. */
    in(". 1:1(0) ack 11 win 65535");
    harness_run_until(h.now_us + 1500 * MS);
    out(". 10:10(0) ack 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(rto_after_the_first_sample),
        harness_test(rto_of_later_samples),
        harness_test(rto_has_a_floor),
        harness_test(delayed_ack_is_no_loss),
        harness_test(rto_has_a_ceiling),
        harness_test(retransmission_gives_no_sample),
        harness_test(timestamps_sample_retransmissions),
        harness_test(ack_restarts_the_timer),
        harness_test(timeout_collapses_the_window),
        harness_test(retransmissions_are_given_up),
        harness_test(default_r2_is_long),
        harness_test(user_timeout),
        harness_test(ack_is_delayed_40_ms),
        harness_test(every_second_full_segment_is_acked),
        harness_test(first_segments_are_acked_at_once),
        harness_test(delay_can_be_switched_off),
        harness_test(data_carries_the_ack),
        harness_test(disorder_is_acked_at_once),
        harness_test(queued_segments_share_an_ack),
        harness_test(zero_window_is_probed),
        harness_test(silent_zero_window_is_given_up),
        harness_test(fin_passes_a_zero_window),
        harness_test(window_shrinks_under_flight),
        harness_test(keep_alive_is_off),
        harness_test(keep_alive_defaults),
        harness_test(keep_alive_finds_a_dead_peer),
        harness_test(traffic_puts_keep_alive_off),
        harness_test(lost_small_segment_is_sent_again),
        harness_test(shrunken_window_does_not_time_out),
        harness_test(user_timeout_of_a_closed_window),
        harness_test(no_keep_alive_beside_retransmissions),
        harness_test(probe_does_not_carry_the_ack),
    };
    return cmocka_run_group_tests_name("timers", tests, NULL, NULL);
}
