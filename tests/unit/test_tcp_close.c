/* Closing: in order from either side and both, half-closed, aborted, with data lost, TIME-WAIT
   (RFC 9293 3.6, 3.9.1.4, 3.9.1.5; RFC 6191). */
#include "tcp_harness.h"

/* RFC 9293, figure 12; MUST-13: two MSL of 30 s. */
static void active_close(void **state)
{
    (void)state;
    establish("mss 1000");
    send_bytes(100);
    out("P. 1:101(100) ack 1");
    close_socket();
    out("F. 101:101(0) ack 1");
    state_is(TCP_FIN_WAIT_1);
    in(". 1:1(0) ack 102 win 65535");
    state_is(TCP_FIN_WAIT_2);
    in("F. 1:1(0) ack 102 win 65535");
    out(". 102:102(0) ack 2");
    state_is(TCP_TIME_WAIT);
    quiet(60 * S - 1);
    state_is(TCP_TIME_WAIT);
    quiet(1);
    state_is(TCP_CLOSED);
}

/* The FIN goes behind everything that was written. */
static void fin_waits_for_the_data(void **state)
{
    (void)state;
    establish("mss 1000");
    in(". 1:1(0) ack 1 win 2000");
    send_bytes(3000);
    close_socket();
    out(". 1:1001(1000) ack 1");
    out(". 1001:2001(1000) ack 1");
    none();
    state_is(TCP_FIN_WAIT_1);
    in(". 1:1(0) ack 2001 win 2000");
    const struct harness_frame *frame = out("*2001:3001(1000) ack 1");
    if (!(frame->tcp.flags & TCP_FIN))
        out("F. 3001:3001(0) ack 1");
    in(". 1:1(0) ack 3002 win 2000");
    state_is(TCP_FIN_WAIT_2);
}

/* MUST-12: an orderly close reads as the end, without error. */
static void passive_close(void **state)
{
    (void)state;
    establish("mss 1000");
    in("FP. 1:51(50) ack 1 win 65535");
    out(". 1:1(0) ack 52");
    state_is(TCP_CLOSE_WAIT);
    assert_true(h.ready & STACK_READY_END);
    recv_bytes(50);
    recv_bytes(0);
    assert_int_equal(stack_socket_error(h.stack, h.socket), 0);
    close_socket();
    out("F. 1:1(0) ack 52");
    state_is(TCP_LAST_ACK);
    in(". 52:52(0) ack 2 win 65535");
    none();
    state_is(TCP_CLOSED);
}

/* We have closed; the peer goes on sending and we go on reading. */
static void half_close_by_us(void **state)
{
    (void)state;
    establish("mss 1000");
    shutdown_write();
    out("F. 1:1(0) ack 1");
    assert_int_equal(send_flags(10, 0), STACK_CLOSED);
    in(". 1:1(0) ack 2 win 65535");
    state_is(TCP_FIN_WAIT_2);
    quiet(300 * S); /* the handle is held: no limit */
    state_is(TCP_FIN_WAIT_2);
    in("P. 1:1001(1000) ack 2 win 65535");
    out(". 2:2(0) ack 1001");
    recv_bytes(1000);
    in("F. 1001:1001(0) ack 2 win 65535");
    out(". 2:2(0) ack 1002");
    recv_bytes(0);
    state_is(TCP_TIME_WAIT);
}

/* The peer has closed; we go on sending. */
static void half_close_by_the_peer(void **state)
{
    (void)state;
    establish("mss 1000");
    in("F. 1:1(0) ack 1 win 65535");
    out(". 1:1(0) ack 2");
    send_bytes(3000);
    out(". 1:1001(1000) ack 2");
    out(". 1001:2001(1000) ack 2");
    out("P. 2001:3001(1000) ack 2");
    in(". 2:2(0) ack 3001 win 65535");
    close_socket();
    out("F. 3001:3001(0) ack 2");
    in(". 2:2(0) ack 3002 win 65535");
    state_is(TCP_CLOSED);
}

/* RFC 9293, figure 13 */
static void simultaneous_close(void **state)
{
    (void)state;
    establish("mss 1000");
    close_socket();
    out("F. 1:1(0) ack 1");
    in("F. 1:1(0) ack 1 win 65535");
    out(". 2:2(0) ack 2");
    state_is(TCP_CLOSING);
    in(". 2:2(0) ack 2 win 65535");
    none();
    state_is(TCP_TIME_WAIT);
    quiet(60 * S + 1);
    state_is(TCP_CLOSED);
}

/* A FIN ahead of missing data counts only when the hole is filled. */
static void fin_out_of_order(void **state)
{
    (void)state;
    establish("mss 1000");
    in("FP. 1001:2001(1000) ack 1 win 65535");
    out(". 1:1(0) ack 1");
    state_is(TCP_ESTABLISHED);
    in(". 1:1001(1000) ack 1 win 65535");
    out(". 1:1(0) ack 2002");
    state_is(TCP_CLOSE_WAIT);
    recv_bytes(2000);
    recv_bytes(0);
}

/* Closed while the handshake of a simultaneous open is under way: the FIN goes out once, at its
   place, and the connection ends in order. */
static void close_in_a_simultaneous_open(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_SENT);
    in("S 0:0(0) win 65535 <mss 1000>");
    out("S. 0:0(0) ack 1");
    close_socket();
    in(". 1:1(0) ack 1 win 65535");
    out("F. 1:1(0) ack 1");
    none();
    state_is(TCP_FIN_WAIT_1);
    in("F. 1:1(0) ack 2 win 65535");
    out(". 2:2(0) ack 2");
    state_is(TCP_TIME_WAIT);
}

/* Bytes behind the FIN, in whichever order they come, do not exist. */
static void bytes_behind_the_fin_are_cut(void **state)
{
    (void)state;
    establish("mss 1000");
    in("F. 101:101(0) ack 1 win 65535");
    out(". 1:1(0) ack 1");
    in(". 151:201(50) ack 1 win 65535");
    ignore_all();
    in("P. 1:201(200) ack 1 win 65535");
    out(". 1:1(0) ack 102");
    state_is(TCP_CLOSE_WAIT);
    recv_bytes(100);
    recv_bytes(0);
}

/* SHLD-3: closed with data unread. */
static void close_with_unread_data_resets(void **state)
{
    (void)state;
    establish("mss 1000");
    in("P. 1:101(100) ack 1 win 65535");
    out(". 1:1(0) ack 101");
    close_socket();
    out("R. 1:1(0) ack 101");
    none();
    state_is(TCP_CLOSED);
    assert_int_equal(count_of(STACK_COUNTER_TCP_ABORT_ON_CLOSE), 1);
}

/* SHLD-3: data that comes after CLOSE can reach nobody. */
static void data_after_close_resets(void **state)
{
    (void)state;
    establish("mss 1000");
    close_socket();
    out("F. 1:1(0) ack 1");
    in(". 1:1(0) ack 2 win 65535");
    state_is(TCP_FIN_WAIT_2);
    in("P. 1:101(100) ack 2 win 65535");
    out("R*2:2(0)*");
    none();
    state_is(TCP_CLOSED);
    assert_int_equal(count_of(STACK_COUNTER_TCP_ABORT_ON_DATA), 1);
}

/* A peer that never closes does not hold a closed socket for ever. */
static void fin_wait_2_ends(void **state)
{
    (void)state;
    establish("mss 1000");
    close_socket();
    out("F. 1:1(0) ack 1");
    in(". 1:1(0) ack 2 win 65535");
    quiet(60 * S - 1);
    state_is(TCP_FIN_WAIT_2);
    harness_run_until(h.now_us + 2);
    state_is(TCP_CLOSED);
}

/* The FIN is retransmitted as data is. */
static void fin_is_repeated(void **state)
{
    (void)state;
    h.handshake_us = 100 * MS;
    establish("mss 1000");
    close_socket();
    out("F. 1:1(0) ack 1");
    out_after(300 * MS, "F. 1:1(0) ack 1");
    out_after(600 * MS, "F. 1:1(0) ack 1");
    in(". 1:1(0) ack 2 win 65535");
    state_is(TCP_FIN_WAIT_2);
}

/* In LAST-ACK too, and it is given up in the end. */
static void last_ack_is_given_up(void **state)
{
    (void)state;
    set("tcp.retries2", 4);
    go_to_state(TCP_LAST_ACK);
    harness_run_until(h.now_us + 300 * S);
    assert_in_range(ignore_all(), 3, 6);
    state_is(TCP_CLOSED);
}

static void abort_resets(void **state)
{
    (void)state;
    establish("mss 1000");
    send_bytes(10);
    out("P. 1:11(10) ack 1");
    abort_socket();
    out("R. 11:11(0) ack 1");
    none();
    state_is(TCP_CLOSED);
    assert_int_equal(stack_recv(h.stack, h.socket, "", 0, h.now_us), STACK_BAD_HANDLE);
}

static void abort_in_syn_sent_is_silent(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_SENT);
    abort_socket();
    none();
    state_is(TCP_CLOSED);
}

/* RFC 9293 3.10.4, SYN-SENT */
static void close_in_syn_sent_is_silent(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_SENT);
    close_socket();
    none();
    state_is(TCP_CLOSED);
    in("S. 0:0(0) ack 1 win 65535");
    out("R 1:1(0)");
}

static void linger_option_resets(void **state)
{
    (void)state;
    establish("mss 1000");
    option(STACK_OPTION_LINGER_RESET, 1);
    close_socket();
    out("R. 1:1(0) ack 1");
    state_is(TCP_CLOSED);
}

static void kill_resets_and_keeps_the_handle(void **state)
{
    (void)state;
    establish("mss 1000");
    struct stack_summary summary;
    assert_true(harness_summary(&summary));
    assert_int_equal(stack_kill(h.stack, summary.id, h.now_us), 0);
    harness_pump();
    out("R. 1:1(0) ack 1");
    assert_int_equal(stack_socket_error(h.stack, h.socket), STACK_ABORTED);
    assert_int_equal(recv_some(1), STACK_ABORTED);
    close_socket();
    none();
}

/* A closed listener takes what waits with it. */
static void listener_takes_its_connections(void **state)
{
    (void)state;
    listen_on(5);
    in("S 0:0(0) win 65535 <mss 1000>");
    out("S. 0:0(0) ack 1");
    in(". 1:1(0) ack 1 win 65535");
    assert_int_equal(stack_close(h.stack, h.listener, h.now_us), 0);
    harness_pump();
    out("R. 1:1(0) ack 1");
    state_is(TCP_CLOSED);
    h.peer_port++;
    in("S 0:0(0) win 65535 <mss 1000>");
    out("R. 0:0(0) ack 1");
}

/* But not those that were accepted (MUST-41). */
static void accepted_outlives_the_listener(void **state)
{
    (void)state;
    establish("mss 1000");
    assert_int_equal(stack_close(h.stack, h.listener, h.now_us), 0);
    harness_pump();
    none();
    in("P. 1:11(10) ack 1 win 65535");
    out(". 1:1(0) ack 11");
    recv_bytes(10);
}

/* Reading shut down: what comes is acknowledged and thrown away. */
static void shutdown_of_reading(void **state)
{
    (void)state;
    establish("mss 1000");
    assert_int_equal(stack_shutdown(h.stack, h.socket, STACK_SHUTDOWN_READ, h.now_us), 0);
    harness_pump();
    none();
    in("P. 1:101(100) ack 1 win 65535");
    out(". 1:1(0) ack 101");
    assert_int_equal(recv_some(10), 0);
    send_bytes(10);
    out("P. 1:11(10) ack 101");
    close_socket();
    out("F. 11:11(0) ack 101");
}

/* 3.10.7.4, second, TIME-WAIT: both directions are closed in order already, so a late reset (of a
   peer that has forgotten the connection) is no news to the application, which may still be
   reading. */
static void reset_in_time_wait_is_not_told(void **state)
{
    (void)state;
    establish("mss 1000");
    in("P. 1:101(100) ack 1 win 65535");
    out(". 1:1(0) ack 101");
    shutdown_write();
    out("F. 1:1(0) ack 101");
    in("F. 101:101(0) ack 2 win 65535");
    out(". 2:2(0) ack 102");
    state_is(TCP_TIME_WAIT);
    in("R 102:102(0)");
    none();
    assert_int_equal(stack_socket_error(h.stack, h.socket), 0);
    recv_bytes(100);
    recv_bytes(0);
    assert_int_equal(stack_socket_error(h.stack, h.socket), 0);
}

/* ---- TIME-WAIT and a new SYN (RFC 6191; MAY-2, SHLD-4) ---- */

static void go_to_time_wait(const char *options)
{
    bool timestamps = strstr(options, "TS") != NULL;
    establish(options);
    close_socket();
    out("F. 1:1(0) ack 1");
    in(timestamps ? "F. 1:1(0) ack 2 win 65535 <nop,nop,TS val 1100 ecr *>"
                  : "F. 1:1(0) ack 2 win 65535");
    out(". 2:2(0) ack 2");
    state_is(TCP_TIME_WAIT);
    quiet(2 * S);
}

/* A greater sequence number reopens; ours must be greater than any we used. */
static void time_wait_reopens_on_greater_sequence(void **state)
{
    (void)state;
    go_to_time_wait("mss 1000");
    uint32_t old_iss = harness_here()->iss;
    in("S 1000:1000(0) win 65535 <mss 1000>");
    out("S. 0:0(0) ack 1001");
    assert_true((int32_t)(harness_here()->iss - old_iss) > 2);
    state_is(TCP_SYN_RECEIVED);
    in(". 1001:1001(0) ack 1 win 65535");
    accept_one();
    state_is(TCP_ESTABLISHED);
}

static void time_wait_refuses_old_sequence(void **state)
{
    (void)state;
    go_to_time_wait("mss 1000");
    in("S 0:0(0) win 65535 <mss 1000>");
    out(". 2:2(0) ack 2");
    state_is(TCP_TIME_WAIT);
}

/* With timestamps the greater timestamp decides, whatever the sequence number. */
static void time_wait_reopens_on_greater_timestamp(void **state)
{
    (void)state;
    go_to_time_wait("mss 1000,nop,nop,TS val 1000 ecr 0");
    in("S 0:0(0) win 65535 <mss 1000,nop,nop,TS val 3000 ecr 0>");
    out("S. 0:0(0) ack 1");
    state_is(TCP_SYN_RECEIVED);
}

static void time_wait_refuses_old_timestamp(void **state)
{
    (void)state;
    go_to_time_wait("mss 1000,nop,nop,TS val 1000 ecr 0");
    in("S 0:0(0) win 65535 <mss 1000,nop,nop,TS val 900 ecr 0>");
    out(". 2:2(0) ack 2");
    state_is(TCP_TIME_WAIT);
}

/* ---- Nothing is left behind ---- */

/* RFC 9293 3.6.1: the buffers are not needed in TIME-WAIT already. */
static void buffers_are_given_back(void **state)
{
    (void)state;
    struct stack_usage usage;
    establish("mss 1000");
    send_bytes(5000);
    in("P. 1:101(100) ack 1 win 65535");
    recv_bytes(100);
    stack_usage(h.stack, &usage);
    assert_true(usage.buffer_bytes > 0);
    in(". 101:101(0) ack 5001 win 65535");
    ignore_all();
    stack_usage(h.stack, &usage);
    assert_int_equal(usage.buffer_bytes, 0);
    close_socket();
    in("F. 101:101(0) ack 5002 win 65535");
    ignore_all();
    stack_usage(h.stack, &usage);
    assert_int_equal(usage.time_wait, 1);
    assert_int_equal(usage.buffer_bytes, 0);
    harness_run_until(h.now_us + 61 * S);
    stack_usage(h.stack, &usage);
    assert_int_equal(usage.time_wait, 0);
    assert_int_equal(usage.sockets, 1); /* the listener */
}

static void handles_are_not_reused(void **state)
{
    (void)state;
    int first = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    assert_int_equal(stack_close(h.stack, first, h.now_us), 0);
    int second = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    assert_int_not_equal(first, second);
    assert_int_equal(stack_close(h.stack, first, h.now_us), STACK_BAD_HANDLE);
    assert_int_equal(stack_close(h.stack, second, h.now_us), 0);
    assert_int_equal(stack_close(h.stack, 0, h.now_us), STACK_BAD_HANDLE);
    assert_int_equal(stack_close(h.stack, -1, h.now_us), STACK_BAD_HANDLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(active_close),
        harness_test(fin_waits_for_the_data),
        harness_test(passive_close),
        harness_test(half_close_by_us),
        harness_test(half_close_by_the_peer),
        harness_test(simultaneous_close),
        harness_test(fin_out_of_order),
        harness_test(close_with_unread_data_resets),
        harness_test(data_after_close_resets),
        harness_test(fin_wait_2_ends),
        harness_test(fin_is_repeated),
        harness_test(last_ack_is_given_up),
        harness_test(abort_resets),
        harness_test(abort_in_syn_sent_is_silent),
        harness_test(close_in_syn_sent_is_silent),
        harness_test(linger_option_resets),
        harness_test(kill_resets_and_keeps_the_handle),
        harness_test(listener_takes_its_connections),
        harness_test(accepted_outlives_the_listener),
        harness_test(shutdown_of_reading),
        harness_test(time_wait_reopens_on_greater_sequence),
        harness_test(time_wait_refuses_old_sequence),
        harness_test(time_wait_reopens_on_greater_timestamp),
        harness_test(time_wait_refuses_old_timestamp),
        harness_test(buffers_are_given_back),
        harness_test(handles_are_not_reused),
        harness_test(reset_in_time_wait_is_not_told),
        harness_test(close_in_a_simultaneous_open),
        harness_test(bytes_behind_the_fin_are_cut),
    };
    return cmocka_run_group_tests_name("closing", tests, NULL, NULL);
}
