/* TCP's corners: batches, wraps, old state, forged ACKs. Each test names the clause it holds. */
#include "tcp_harness.h"

#include "../../tapstack/core/state.h"

static struct tcp_socket *block(void)
{
    return (struct tcp_socket *)tcp_table_by_id(h.stack, (uint32_t)h.socket);
}

/* A SYN and the ACK of our SYN-ACK in one batch: nothing but the first SYN is ever sent without ACK
   (RFC 9293, 3.10.7.4; 3.1: the ACK bit is always set once a connection is established). */
static void repeated_syn_and_ack_in_one_batch(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_RECEIVED);
    in_queued("S 0:0(0) win 65535 <mss 1000>");
    in_queued(". 1:1(0) ack 1 win 65535");
    harness_pump();
    state_is(TCP_ESTABLISHED);
    while (h.head != h.tail)
        out("*. *");
}

/* The same with the timer: the SYN is due again when its SYN-ACK has just been read. */
static void syn_timer_and_syn_ack_in_simultaneous_open(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_SENT);
    in_queued("S 0:0(0) win 65535 <mss 1000>");
    in_queued(". 1:1(0) ack 1 win 65535");
    harness_pump();
    state_is(TCP_ESTABLISHED);
    while (h.head != h.tail)
        out("*. *");
}

/* Sends wanted bytes of full segments; every segment is acknowledged. */
static void send_bulk(uint64_t wanted, uint32_t mss)
{
    static uint8_t bytes[60 << 10]; /* less than the least send buffer takes */
    struct harness_flow *flow = harness_here();
    struct tcp_header ack = {.source_port = h.peer_port,
                             .destination_port = h.local_port,
                             .sequence = flow->peer_iss + 1,
                             .flags = TCP_ACK,
                             .window = 65000};
    uint8_t packet[128];
    while (wanted > 0) {
        size_t size = sizeof bytes / mss * mss;
        size = size < wanted ? size : wanted;
        ptrdiff_t taken = stack_send(h.stack, h.socket, bytes, size, 0, h.now_us);
        assert_int_equal(taken, size);
        wanted -= size;
        while (block()->send.used > 0) {
            struct frame frame;
            while (stack_output(h.stack, &frame, h.now_us) > 0)
                ;
            h.now_us += 10;
            ack.acknowledgment = block()->snd.max;
            size_t head = tcp_write(&ack, packet + 34);
            head = harness_write_ip(packet, head, IPV4_PROTOCOL_TCP);
            harness_inject(packet, head, FRAME_CHECKSUM_VALID);
        }
    }
    struct stack_ready ready;
    while (stack_next_ready(h.stack, &ready))
        ;
}

/* RFC 9293, 3.7.4 (Nagle): with nothing outstanding a small segment leaves at once; also when the
   last small one is 2^31 bytes ago. */
static void small_segment_after_two_gib(void **state)
{
    (void)state;
    establish("mss 1460");
    send_bulk(100, 1460);
    send_bulk((1ULL << 31) / 1460 * 1460 + 1460 * 10, 1460);
    assert_int_equal(block()->snd.una, block()->snd.max);
    static const uint8_t bytes[100];
    assert_int_equal(stack_send(h.stack, h.socket, bytes, 100, 0, h.now_us), 100);
    harness_run_until(h.now_us + 1 * S);
    assert_int_equal(block()->snd.max - block()->snd.una, 100);
}

/* RFC 5681, 3.2 and RFC 6582, 3.2 step 2: three duplicate ACKs start a fast retransmit; also 2^31
   bytes after `recover` was set. */
static void fast_retransmit_after_two_gib(void **state)
{
    (void)state;
    establish("mss 1460");
    send_bulk((1ULL << 31) / 1460 * 1460 + 1460 * 10, 1460);
    static const uint8_t bytes[1460 * 8];
    assert_int_equal(stack_send(h.stack, h.socket, bytes, sizeof bytes, 0, h.now_us), sizeof bytes);
    struct frame frame;
    while (stack_output(h.stack, &frame, h.now_us) > 0)
        ;
    struct tcp_header ack = {.source_port = h.peer_port,
                             .destination_port = h.local_port,
                             .sequence = harness_here()->peer_iss + 1,
                             .acknowledgment = block()->snd.una,
                             .flags = TCP_ACK,
                             .window = 65000};
    uint8_t packet[128];
    for (int i = 0; i < 3; i++) {
        size_t head = tcp_write(&ack, packet + 34);
        head = harness_write_ip(packet, head, IPV4_PROTOCOL_TCP);
        harness_inject(packet, head, FRAME_CHECKSUM_VALID);
    }
    assert_int_equal(block()->in_recovery, 1);
}

/* RFC 9293, 3.8.5, MUST-32: urgent data is announced, however many bytes came since the last: the
   mark moves along with what is read, and lies there when nothing is urgent. */
static void urgent_mark_moves_along(void **state)
{
    (void)state;
    establish("mss 1460");
    in("P. 1:1001(1000) ack 1 win 65535");
    recv_bytes(1000);
    in("P. 1001:1101(100) ack 1 win 65535");
    ignore_all();
    assert_int_equal(block()->rcv.up, block()->rcv.nxt - 100);
    in("PU. 1101:1111(10) ack 1 win 65535 urg 10");
    assert_true(h.ready & STACK_READY_URGENT);
}

/* RFC 6298, 5 (behind 5.7) and 3, Karn: the backed-off RTO stays until there is a sample of a
   segment that was not retransmitted. Without timestamps, a path that has become slow. */
static void backed_off_rto_stays_until_a_sample(void **state)
{
    (void)state;
    establish("mss 1000");
    send_bytes(100);
    out("P. 1:101(100) ack 1");
    quiet(10 * MS);
    in(". 1:1(0) ack 101 win 65535");
    unsigned at = 101, spurious = 0;
    char line[128];
    for (int i = 0; i < 20; i++) { /* each ACK now takes 500 ms */
        send_bytes(100);
        snprintf(line, sizeof line, "P. %u:%u(100) ack 1", at, at + 100);
        out(line);
        harness_run_until(h.now_us + 500 * MS);
        spurious += ignore_all() > 0;
        at += 100;
        snprintf(line, sizeof line, ". 1:1(0) ack %u win 65535", at);
        in(line);
    }
    print_message("%u of 20 segments sent again without need\n", spurious);
    assert_true(spurious <= 2);
}

/* RFC 6298, 5.1: data sent after the window has opened is watched by RTO, not by the persist
   timer's back-off (RFC 9293, 3.8.6.1). */
static void loss_after_the_window_opens(void **state)
{
    (void)state;
    establish("mss 1000");
    in(". 1:1(0) ack 1 win 0");
    send_bytes(1000);
    harness_run_until(h.now_us + 100 * S);
    assert_true(ignore_all() > 3);
    in(". 1:1(0) ack 1 win 65535");
    out("P. 1:1001(1000) ack 1");
    print_message("rto %u ms, armed for %u ms\n", (unsigned)info().rto_us / 1000,
                  (unsigned)(info().rto_left_us / 1000));
    harness_run_until(h.now_us + 300 * MS);
    out("P. 1:1001(1000) ack 1");
}

/* RFC 5681, 3.2: a retransmission answers a loss; here the ACK for all came in the same batch. */
static void recovery_that_ends_in_the_same_batch(void **state)
{
    (void)state;
    establish("mss 1000");
    send_bytes(5000);
    assert_int_equal(ignore_all(), 5);
    for (int i = 0; i < 3; i++)
        in_queued(". 1:1(0) ack 1 win 65535");
    in_queued(". 1:1(0) ack 5001 win 65535");
    harness_pump();
    none();
    send_bytes(1000);
    out("P. 5001:6001(1000) ack 1");
    none();
}

/* RFC 9293, 3.6.1, MAY-2 (1): reopening from TIME-WAIT takes an ISN beyond any number of the
   previous incarnation. A fast connection uses more numbers than the 250,000 a second of MUST-8's
   clock. */
static void reopened_isn_lies_beyond_the_old_connection(void **state)
{
    (void)state;
    establish("mss 1000");
    for (unsigned at = 1; at < 3000001; at += 10000) {
        char line[128];
        send_bytes(10000);
        ignore_all();
        h.now_us += 100;
        snprintf(line, sizeof line, ". 1:1(0) ack %u win 65535", at + 10000);
        in(line);
    }
    uint32_t last = block()->snd.max;
    close_socket();
    out("F. 3000001:3000001(0)*");
    in("F. 1:1(0) ack 3000002 win 65535");
    out(". 3000002:3000002(0) ack 2");
    state_is(TCP_TIME_WAIT);
    harness_run_until(h.now_us + 1 * S);
    harness_here()->written = 0;
    in("S 1000:1000(0) win 65535 <mss 1000>");
    out("S. *");
    print_message("old snd.max %u, new ISN %u\n", last, harness_here()->iss);
    assert_true((int32_t)(harness_here()->iss - last) > 0);
}

/* RFC 9293, 3.10.7.4 (trimming to the window) and 3.8.6: data of a SYN-ACK beyond the window we
 * offered. */
static void syn_ack_with_more_than_the_window(void **state)
{
    (void)state;
    struct stack_endpoint local = {.port = 5000};
    struct stack_endpoint remote = {ip_address_from_v4(HARNESS_PEER_V4), HARNESS_PEER_PORT};
    h.local_port = 5000;
    h.socket = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    assert_int_equal(stack_bind(h.stack, h.socket, &local), 0);
    option(STACK_OPTION_RECEIVE_BUFFER, 4096);
    assert_int_equal(stack_connect(h.stack, h.socket, &remote, h.now_us), STACK_IN_PROGRESS);
    harness_pump();
    out("S 0:0(0) win 4096 <*>");
    in("S. 0:8000(8000) ack 1 win 65535 <mss 1000,nop,wscale 7>");
    const struct harness_frame *answer = out("*. *");
    print_message("rcv_wnd %u, window field %u << 8, queue %u of 4096\n", info().rcv_wnd,
                  answer->tcp.window, info().summary.receive_queue);
    assert_true(info().summary.receive_queue <= 4096);
    assert_true(info().rcv_wnd <= 4096 + 256);
}

/* RFC 7323, 5.5 with 5.3 R3: an outdated TS.Recent is replaced by that of the accepted segment. */
static void outdated_timestamp_is_replaced(void **state)
{
    (void)state;
    establish("mss 1000,nop,nop,TS val 1000 ecr 0");
    harness_run_until(h.now_us + 26ULL * 86400 * S);
    ignore_all();
    in("P. 1:101(100) ack 1 win 65535 <nop,nop,TS val 2246401000 ecr *>");
    const struct harness_frame *answer = out(". 1:1(0) ack 101*");
    print_message("echo %u\n", answer->tcp.timestamp_echo);
    assert_int_equal(answer->tcp.timestamp_echo, 2246401000U);
}

/* RFC 5681, 2: a duplicate ACK "carries no data". Window probes of the peer carry some. */
static void window_probes_are_no_duplicate_acks(void **state)
{
    (void)state;
    set("tcp.receive_buffer", 2048);
    set("tcp.window_scaling", 0);
    establish("mss 1000");
    in("P. 1:1001(1000) ack 1 win 65535");
    in("P. 1001:2001(1000) ack 1 win 65535");
    in("P. 2001:2049(48) ack 1 win 65535");
    send_bytes(3000);
    ignore_all();
    print_message("window %u\n", info().rcv_wnd);
    for (int i = 0; i < 3; i++)
        in("P. 2049:2050(1) ack 1 win 65535");
    print_message("%u duplicate ACKs\n", info().duplicate_acks);
    assert_int_equal(count_of(STACK_COUNTER_TCP_FAST_RETRANS), 0);
}

/* RFC 1191, 6.4 and RFC 9293, 3.7.2: "fragmentation needed" in SYN-SENT; data must still be
   sent. */
static void fragmentation_needed_for_a_syn(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_SENT);
    in_icmp(ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_FRAGMENTATION_NEEDED, 1000, 0);
    ignore_all();
    in("S. 0:0(0) ack 1 win 65535 <mss 1000>");
    out(". 1:1(0) ack 1");
    send_bytes(100);
    harness_run_until(h.now_us + 3600ULL * S);
    out("P. 1:101(100) ack 1*");
}

/* stack.h: stack_connect on a connection that has ended in good order: refused, or a fresh
   start. */
static void connect_again_after_the_end(void **state)
{
    (void)state;
    go_to_state(TCP_ESTABLISHED);
    shutdown_write();
    out("F. 1:1(0)*");
    in("F. 1:1(0) ack 2 win 65535");
    out(". 2:2(0) ack 2");
    harness_run_until(h.now_us + 61 * S);
    state_is(TCP_CLOSED);
    struct stack_endpoint remote = {ip_address_from_v4(HARNESS_PEER_V4), 7};
    h.peer_port = 7;
    int result = stack_connect(h.stack, h.socket, &remote, h.now_us);
    harness_pump();
    if (result != STACK_IN_PROGRESS)
        return;
    out("S 0:0(0)*");
    in("S. 0:0(0) ack 1 win 65535 <mss 1000>");
    out(". 1:1(0) ack 1");
    state_is(TCP_ESTABLISHED);
}

/* stack.h: a socket that listens gets connections, or stack_listen refuses. */
static void listen_after_the_end(void **state)
{
    (void)state;
    listen_on(16);
    h.peer_port = 7;
    struct stack_endpoint local = {.port = 5000};
    struct stack_endpoint remote = {ip_address_from_v4(HARNESS_PEER_V4), 7};
    h.local_port = 5000;
    h.socket = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    assert_int_equal(stack_bind(h.stack, h.socket, &local), 0);
    assert_int_equal(stack_connect(h.stack, h.socket, &remote, h.now_us), STACK_IN_PROGRESS);
    harness_pump();
    out("S 0:0(0)*");
    in("S. 0:0(0) ack 1 win 65535 <mss 1000>");
    out(". 1:1(0) ack 1");
    in("F. 1:1(0) ack 1 win 65535");
    out(". 1:1(0) ack 2");
    shutdown_write();
    out("F. 1:1(0)*");
    in(". 2:2(0) ack 2 win 65535");
    state_is(TCP_CLOSED);
    if (stack_listen(h.stack, h.socket, 5) < 0)
        return;
    h.peer_port = 9;
    in("S 0:0(0) win 65535 <mss 1000>");
    out("S. 0:0(0) ack 1");
}

/* RFC 9293, 3.6, MUST-13: the closer lingers in TIME-WAIT; CLOSE with unread bytes there too. */
static void close_in_time_wait_with_unread_data(void **state)
{
    (void)state;
    go_to_state(TCP_FIN_WAIT_2);
    in("FP. 1:101(100) ack 2 win 65535");
    out(". 2:2(0) ack 102");
    state_is(TCP_TIME_WAIT);
    close_socket();
    state_is(TCP_TIME_WAIT);
}

/* RFC 5681, 3.2 and its section 5: dup ACKs inflate cwnd by no more than the segments in flight. */
static void forged_duplicate_acks(void **state)
{
    (void)state;
    establish("mss 1000");
    assert_true(send_flags(60000, 0) == 60000);
    unsigned first = ignore_all();
    for (int i = 0; i < 200; i++)
        in(". 1:1(0) ack 1 win 65535");
    print_message("%u segments in flight, then %u more; cwnd %u\n", first, ignore_all(),
                  info().cwnd);
    assert_true(info().cwnd <= 5000 + 3000 + 2 * 10000);
}

/* RFC 3465, 2.3: in the slow start that follows a timeout an ACK counts for one segment. */
static void slow_start_after_a_timeout(void **state)
{
    (void)state;
    set("tcp.initial_window", 60);
    establish("mss 1000");
    assert_true(send_flags(60000, 0) == 60000);
    ignore_all();
    assert_true(send_flags(60000, 0) == 60000);
    harness_run_until(h.now_us + 1 * S);
    ignore_all();
    in(". 1:1(0) ack 60001 win 65535"); /* only the first was lost */
    print_message("cwnd %u, burst of %u\n", info().cwnd, ignore_all());
    assert_true(info().cwnd <= 3000);
}

/* attacks.md and settings.h (tcp.memory): one early byte must not take a whole buffer, or some 128
   connections of two segments each close every window of the stack. */
static void early_byte_takes_little_memory(void **state)
{
    (void)state;
    establish("mss 1000,nop,wscale 7");
    in("P. 1:2(1) ack 1 win 65535");
    ignore_all();
    struct stack_usage before, after;
    stack_usage(h.stack, &before);
    char line[128];
    snprintf(line, sizeof line, "P. %u:%u(1) ack 1 win 65535", info().rcv_wnd, info().rcv_wnd + 1);
    in(line);
    stack_usage(h.stack, &after);
    print_message("%llu bytes for one\n",
                  (unsigned long long)(after.buffer_bytes - before.buffer_bytes));
    assert_true(after.buffer_bytes - before.buffer_bytes <= 65536);
}

/* RFC 9293, 3.8.6.2.1: what can be sent is sent; after a loss with a small MSS, then a larger
   one. */
static void raised_mss_after_a_loss(void **state)
{
    (void)state;
    establish("mss 1460");
    option(STACK_OPTION_MAXIMUM_SEGMENT, 100);
    send_bytes(100);
    out("P. 1:101(100) ack 1");
    harness_run_until(h.now_us + info().rto_left_us);

    ignore_all();
    option(STACK_OPTION_MAXIMUM_SEGMENT, 1460);
    in(". 1:1(0) ack 101 win 65535");
    print_message("cwnd %u, mss %u\n", info().cwnd, info().snd_mss);
    send_bytes(5000);
    harness_run_until(h.now_us + 3600ULL * S);
    print_message("%u segments in an hour\n", ignore_all());
    assert_true(info().not_sent < 5000);
}

/* RFC 9293, 3.8.6, MUST-34: robust against a window that shrinks. Our ACK of the peer's data must
   lie where the peer takes it. */
static void ack_after_the_window_has_shrunk(void **state)
{
    (void)state;
    establish("mss 1000");
    send_bytes(3000);
    ignore_all();
    in(". 1:1(0) ack 1001 win 0");
    in("P. 1:101(100) ack 1001 win 0");
    const struct harness_frame *answer = out(". *");
    assert_int_equal(answer->tcp.sequence - harness_here()->iss, 1001);
}

/* RFC 9293, 3.10.5 with 3.10.4: before our FIN has been formed the RFC is still in CLOSE-WAIT,
   where an ABORT sends a reset. */
static void kill_with_unsent_data_behind_the_peers_fin(void **state)
{
    (void)state;
    go_to_state(TCP_CLOSE_WAIT);
    in(". 2:2(0) ack 1 win 1000");
    send_bytes(5000);
    out(". 1:1001(1000) ack 2");
    shutdown_write();
    state_is(TCP_LAST_ACK);
    assert_int_equal(stack_kill(h.stack, (uint32_t)h.socket, h.now_us), 0);
    harness_pump();
    out("R. 1001:1001(0) ack 2");
}

/* RFC 6675, 2: an ACK that brings SACK is a duplicate whatever its window; a receiver that keeps data out
   of order moves its window. */
static void duplicate_acks_with_another_window(void **state)
{
    (void)state;
    establish("mss 1000,nop,nop,sackOK");
    send_bytes(6000);
    assert_int_equal(ignore_all(), 6);
    in(". 1:1(0) ack 1 win 64000 <nop,nop,sack 1001:2001>");
    in(". 1:1(0) ack 1 win 63000 <nop,nop,sack 1001:3001>");
    none();
    in(". 1:1(0) ack 1 win 62000 <nop,nop,sack 1001:4001>");
    out(". 1:1001(1000) ack 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(repeated_syn_and_ack_in_one_batch),
        harness_test(duplicate_acks_with_another_window),
        harness_test(syn_timer_and_syn_ack_in_simultaneous_open),
        harness_test(small_segment_after_two_gib),
        harness_test(fast_retransmit_after_two_gib),
        harness_test(urgent_mark_moves_along),
        harness_test(backed_off_rto_stays_until_a_sample),
        harness_test(loss_after_the_window_opens),
        harness_test(recovery_that_ends_in_the_same_batch),
        harness_test(reopened_isn_lies_beyond_the_old_connection),
        harness_test(syn_ack_with_more_than_the_window),
        harness_test(outdated_timestamp_is_replaced),
        harness_test(window_probes_are_no_duplicate_acks),
        harness_test(fragmentation_needed_for_a_syn),
        harness_test(connect_again_after_the_end),
        harness_test(listen_after_the_end),
        harness_test(close_in_time_wait_with_unread_data),
        harness_test(forged_duplicate_acks),
        harness_test(slow_start_after_a_timeout),
        harness_test(early_byte_takes_little_memory),
        harness_test(raised_mss_after_a_loss),
        harness_test(ack_after_the_window_has_shrunk),
        harness_test(kill_with_unsent_data_behind_the_peers_fin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
