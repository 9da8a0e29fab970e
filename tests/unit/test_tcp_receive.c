/* Receiving: order restored, SACK blocks, the window offered, PAWS and echoes of timestamps,
   hostile segments (RFC 9293 3.8.6, 3.10.7.4; RFC 2018; RFC 2883; RFC 5961; RFC 7323). */
#include "tcp_harness.h"

/* ---- Order ---- */

/* SHLD-31: segments in any order and overlap are joined once each. */
static void any_order_is_joined(void **state)
{
    (void)state;
    static const unsigned pieces[][2] = {
        {901, 1001}, {301, 401}, {501, 701}, {351, 551}, {1, 101},     {801, 951},
        {51, 201},   {1, 301},   {650, 900}, {1, 50},    {1001, 1101}, {201, 1201},
    };
    establish("mss 1460");
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        char line[TEXT_LINE_MAX];
        snprintf(line, sizeof line, ". %u:%u(%u) ack 1 win 65535", pieces[i][0], pieces[i][1],
                 pieces[i][1] - pieces[i][0]);
        in(line);
    }
    h.head = h.tail - 1;
    out(". 1:1(0) ack 1201");
    recv_bytes(1200);
    assert_int_equal(recv_some(1), STACK_AGAIN);
    assert_int_equal(info().out_of_order_bytes, 0);
}

static void data_beyond_the_window_is_cut(void **state)
{
    (void)state;
    set("tcp.receive_buffer", 4096);
    establish("mss 1460");
    uint32_t window = info().rcv_wnd;
    char line[TEXT_LINE_MAX];
    for (uint32_t at = 1; at < 1 + window; at += 1000) {
        snprintf(line, sizeof line, ". %u:%u(1000) ack 1 win 65535", at, at + 1000);
        in(line);
    }
    ignore_all();
    ptrdiff_t got = recv_some(10000);
    assert_in_range(got, 1, window);
    assert_int_equal(info().rcv_nxt - info().irs - 1, got);
}

/* ---- SACK blocks ---- */

/* RFC 2018 4: the first block holds the segment that caused the ACK, then the most recent ones. */
static void sack_blocks_newest_first(void **state)
{
    (void)state;
    establish("mss 1460,nop,nop,sackOK");
    in(". 101:201(100) ack 1 win 65535");
    out(". 1:1(0) ack 1 win * <nop,nop,sack 101:201>");
    in(". 301:401(100) ack 1 win 65535");
    out(". 1:1(0) ack 1 win * <nop,nop,sack 301:401 101:201>");
    in(". 501:601(100) ack 1 win 65535");
    out(". 1:1(0) ack 1 win * <nop,nop,sack 501:601 301:401 101:201>");
    in(". 701:801(100) ack 1 win 65535");
    out(". 1:1(0) ack 1 win * <nop,nop,sack 701:801 501:601 301:401 101:201>");
    in(". 901:1001(100) ack 1 win 65535");
    out(". 1:1(0) ack 1 win * <nop,nop,sack 901:1001 701:801 501:601 301:401>");
    /* Joined to an older block: that one becomes the newest. */
    in(". 401:501(100) ack 1 win 65535");
    out(". 1:1(0) ack 1 win * <nop,nop,sack 301:601 901:1001 701:801 101:201>");
    /* The first hole is filled; the blocks behind the second stay. */
    in(". 1:101(100) ack 1 win 65535");
    out(". 1:1(0) ack 201 win * <nop,nop,sack 301:601 901:1001 701:801>");
    in(". 201:301(100) ack 1 win 65535");
    out(". 1:1(0) ack 601 win * <nop,nop,sack 901:1001 701:801>");
    in(". 601:701(100) ack 1 win 65535");
    out(". 1:1(0) ack 801 win * <nop,nop,sack 901:1001>");
    in(". 801:901(100) ack 1 win 65535");
    const struct harness_frame *frame = out(". 1:1(0) ack 1001");
    assert_int_equal(frame->tcp.options_present, 0);
    recv_bytes(1000);
}

/* Beside timestamps there is room for three. */
static void sack_beside_timestamps(void **state)
{
    (void)state;
    establish("mss 1460,sackOK,TS val 900 ecr 0");
    for (unsigned at = 101; at < 1001; at += 200) {
        char line[TEXT_LINE_MAX];
        snprintf(line, sizeof line, ". %u:%u(100) ack 1 win 65535 <nop,nop,TS val 1001 ecr *>", at,
                 at + 100);
        in(line);
    }
    h.head = h.tail - 1;
    out(". 1:1(0) ack 1 win * <nop,nop,TS val * ecr 1000,nop,nop,sack 901:1001 701:801 501:601>");
}

/* RFC 2883: the first block tells what came twice. */
static void dsack_tells_duplicates(void **state)
{
    (void)state;
    establish("mss 1460,nop,nop,sackOK");
    in(". 1:101(100) ack 1 win 65535");
    out(". 1:1(0) ack 101");
    in(". 1:101(100) ack 1 win 65535");
    out(". 1:1(0) ack 101 win * <nop,nop,sack 1:101>");
    assert_int_equal(count_of(STACK_COUNTER_TCP_DSACK_OLD_SENT), 1);
    /* Once only. */
    in(". 101:201(100) ack 1 win 65535");
    const struct harness_frame *frame = out(". 1:1(0) ack 201");
    assert_int_equal(frame->tcp.options_present, 0);
    /* A duplicate above the hole: itself, then the block that holds it. */
    in(". 301:401(100) ack 1 win 65535");
    out(". 1:1(0) ack 201 win * <nop,nop,sack 301:401>");
    in(". 401:501(100) ack 1 win 65535");
    out(". 1:1(0) ack 201 win * <nop,nop,sack 301:501>");
    in(". 301:401(100) ack 1 win 65535");
    out(". 1:1(0) ack 201 win * <nop,nop,sack 301:401 301:501>");
}

static void no_sack_unless_agreed(void **state)
{
    (void)state;
    establish("mss 1460");
    in(". 101:201(100) ack 1 win 65535");
    const struct harness_frame *frame = out(". 1:1(0) ack 1");
    assert_int_equal(frame->tcp.options_present, 0);
}

/* ---- The window that we offer ---- */

/* SHLD-14: its right edge never moves left; S34: what is not fetched stays and closes it. */
static void window_closes_and_opens(void **state)
{
    (void)state;
    set("tcp.receive_buffer", 8192);
    establish("mss 1000");
    uint32_t offered = info().rcv_wnd;
    assert_in_range(offered, 1000, 65535);
    uint32_t edge = 1 + offered, at = 1;
    char line[TEXT_LINE_MAX];
    while (at + 1000 <= edge) {
        snprintf(line, sizeof line, ". %u:%u(1000) ack 1 win 65535", at, at + 1000);
        in(line);
        at += 1000;
        snprintf(line, sizeof line, ". 1:1(0) ack %u", at);
        const struct harness_frame *frame = out(line);
        assert_true(at + frame->tcp.window >= edge);
        edge = at + frame->tcp.window;
    }
    if (at < edge) {
        snprintf(line, sizeof line, ". %u:%u(%u) ack 1 win 65535", at, edge, edge - at);
        in(line);
        at = edge;
    }
    harness_run_until(h.now_us + 50 * MS);
    h.head = h.tail - 1;
    snprintf(line, sizeof line, ". 1:1(0) ack %u win 0", at);
    out(line);
    /* MUST-39: a few bytes read open nothing. */
    recv_bytes(100);
    none();
    /* A window probe of one byte is answered and not taken. */
    snprintf(line, sizeof line, ". %u:%u(1) ack 1 win 65535", at, at + 1);
    in(line);
    snprintf(line, sizeof line, ". 1:1(0) ack %u win 0", at);
    out(line);
    /* Half the buffer does. */
    recv_bytes(5000);
    snprintf(line, sizeof line, ". 1:1(0) ack %u", at);
    const struct harness_frame *frame = out(line);
    assert_true(frame->tcp.window >= 1000);
    assert_true(count_of(STACK_COUNTER_TCP_TO_ZERO_WINDOW_ADV) >= 1);
    assert_true(count_of(STACK_COUNTER_TCP_FROM_ZERO_WINDOW_ADV) >= 1);
}

/* A buffer smaller than one unit of the window's scale: the window must still open again. */
static void window_of_less_than_a_unit_opens(void **state)
{
    (void)state;
    set("tcp.receive_buffer", 2048);
    set("tcp.window_scale", 14);
    establish("mss 1000,nop,wscale 0");
    char line[TEXT_LINE_MAX];
    for (uint32_t at = 1; info().rcv_wnd > 0;) {
        uint32_t size = info().rcv_wnd < 1000 ? info().rcv_wnd : 1000;
        snprintf(line, sizeof line, ". %u:%u(%u) ack 1 win 65535", at, at + size, size);
        in(line);
        at += size;
    }
    while (recv_some(1000) > 0)
        ;
    harness_run_until(h.now_us + 1 * S);
    assert_true(info().rcv_wnd > 0);
}

/* 3.10.7.4: with a closed window valid ACKs, URGs and RSTs are still taken (MUST-66). */
static void zero_window_still_takes_acks_and_resets(void **state)
{
    (void)state;
    set("tcp.receive_buffer", 4096);
    establish("mss 1000");
    send_bytes(100);
    out("P. 1:101(100) ack 1");
    char line[TEXT_LINE_MAX];
    uint32_t at = 1;
    for (int i = 0; i < 100 && info().rcv_wnd > 0; i++) {
        uint32_t size = info().rcv_wnd < 500 ? info().rcv_wnd : 500;
        snprintf(line, sizeof line, ". %u:%u(%u) ack 1 win 65535", at, at + size, size);
        in(line);
        at += size;
    }
    ignore_all();
    assert_int_equal(info().rcv_wnd, 0);
    snprintf(line, sizeof line, ". %u:%u(0) ack 101 win 65535", at, at);
    in(line);
    none();
    assert_int_equal(info().snd_una, info().snd_nxt);
    snprintf(line, sizeof line, "R %u:%u(0)", at, at);
    in(line);
    none();
    state_is(TCP_CLOSED);
}

/* Bytes that the application holds unread count as receive buffer. */
static void held_bytes_count(void **state)
{
    (void)state;
    set("tcp.receive_buffer", 8192);
    establish("mss 1000");
    uint32_t offered = info().rcv_wnd;
    char line[TEXT_LINE_MAX];
    uint32_t at = 1;
    for (; at + 1000 <= 1 + offered; at += 1000) {
        snprintf(line, sizeof line, ". %u:%u(1000) ack 1 win 65535", at, at + 1000);
        in(line);
        struct frame_piece piece[2];
        ptrdiff_t size = stack_recv_peek(h.stack, h.socket, piece);
        assert_int_equal(size, 1000);
        assert_int_equal(stack_recv_consume(h.stack, h.socket, 1000, at + 999, h.now_us), 0);
        harness_pump();
    }
    ignore_all();
    assert_true(info().rcv_wnd < 1000 + 192);
    assert_int_equal(stack_recv_held(h.stack, h.socket, 0, h.now_us), 0);
    harness_pump();
    const struct harness_frame *frame = out(". 1:1(0) ack *");
    assert_true(frame->tcp.window >= 4000);
}

/* RFC 7323 2.4: the offered window is what the field says, scaled; a shift above 14 is taken as
   14. */
static void shift_above_14_is_14(void **state)
{
    (void)state;
    establish("mss 1000,nop,wscale 15");
    assert_int_equal(info().snd_wscale, 14);
    assert_int_equal(info().rcv_wscale, 8);
}

/* ---- Timestamps ---- */

/* RFC 7323 5: PAWS drops what is older, and acknowledges. */
static void paws_drops_the_old(void **state)
{
    (void)state;
    establish("mss 1000,nop,nop,TS val 900 ecr 0");
    in("P. 1:101(100) ack 1 win 65535 <nop,nop,TS val 2000 ecr *>");
    out(". 1:1(0) ack 101 win * <nop,nop,TS val * ecr 2000>");
    in("P. 101:201(100) ack 1 win 65535 <nop,nop,TS val 1999 ecr *>");
    out(". 1:1(0) ack 101 win * <nop,nop,TS val * ecr 2000>");
    assert_int_equal(count_of(STACK_COUNTER_PAWS_ESTAB), 1);
    in("P. 101:201(100) ack 1 win 65535 <nop,nop,TS val 2000 ecr *>");
    out(". 1:1(0) ack 201");
    recv_bytes(200);
}

/* 5.3, R1: a reset is exempt. */
static void paws_spares_resets(void **state)
{
    (void)state;
    establish("mss 1000,nop,nop,TS val 900 ecr 0");
    in("R. 1:1(0) ack 1 win 0 <nop,nop,TS val 5 ecr 0>");
    none();
    state_is(TCP_CLOSED);
}

/* 4.3: the echo is of the segment at the left edge that was acknowledged last; what is out of order
   does not count, and of two under one delayed ACK the first does. */
static void echo_is_of_the_left_edge(void **state)
{
    (void)state;
    set("tcp.quick_ack_segments", 0);
    establish("mss 1000,nop,nop,TS val 900 ecr 0");
    in(". 1:1001(1000) ack 1 win 65535 <nop,nop,TS val 1010 ecr *>");
    none();
    in(". 1001:2001(1000) ack 1 win 65535 <nop,nop,TS val 1020 ecr *>");
    out(". 1:1(0) ack 2001 win * <nop,nop,TS val * ecr 1010>");
    in(". 3001:4001(1000) ack 1 win 65535 <nop,nop,TS val 1040 ecr *>");
    out(". 1:1(0) ack 2001 win * <nop,nop,TS val * ecr 1010>");
    in(". 2001:3001(1000) ack 1 win 65535 <nop,nop,TS val 1050 ecr *>");
    out(". 1:1(0) ack 4001 win * <nop,nop,TS val * ecr 1050>");
}

/* The clock of timestamps ticks as the setting says. */
static void timestamps_tick_in_milliseconds(void **state)
{
    (void)state;
    establish("mss 1000,nop,nop,TS val 900 ecr 0");
    send_bytes(10);
    out("P. 1:11(10) ack 1");
    in(". 1:1(0) ack 11 win 65535 <nop,nop,TS val 1001 ecr *>");
    uint32_t before = harness_here()->ts_value;
    quiet(5 * S);
    send_bytes(10);
    out("P. 11:21(10) ack 1");
    assert_int_equal(harness_here()->ts_value - before, 5000);
}

/* ---- Options that lie (MUST-5 to MUST-7, MUST-64, MUST-68) ---- */

struct raw_options {
    const char *name;
    uint8_t bytes[40];
    size_t size;
    unsigned mss; /* in force afterwards; 0: whatever */
};

static const struct raw_options raw_options[] = {
    {"end of list first", {0}, 1, 536},
    {"end of list hides what follows", {0, 2, 4, 1, 0}, 5, 536},
    {"only NOPs", {1, 1, 1, 1, 1, 1, 1, 1}, 8, 536},
    {"MSS not on a word boundary (MUST-64)", {1, 2, 4, 1, 0}, 5, 256},
    {"unknown option skipped by its length (MUST-6)", {254, 5, 9, 9, 9, 2, 4, 1, 0}, 9, 256},
    {"unknown option of length 2", {200, 2, 2, 4, 1, 0}, 6, 256},
    {"length 0 (MUST-7)", {2, 0, 1, 0}, 4, 0},
    {"length 1", {2, 1, 1, 0}, 4, 0},
    {"length beyond the header", {2, 40, 1, 0}, 4, 0},
    {"unknown option of length 0", {254, 0, 2, 4, 1, 0}, 6, 0},
    {"MSS of length 3", {2, 3, 1, 0}, 4, 0},
    {"window scale of length 4", {3, 4, 1, 1, 2, 4, 1, 0}, 8, 0},
    {"timestamps of length 2", {8, 2, 1, 1}, 4, 0},
    {"kind alone at the end", {1, 1, 1, 2}, 4, 0},
    {"forty bytes of rubbish", {255, 40, 1, 2, 3, 4, 5, 6, 7, 8}, 40, 536},
};

static void options_are_survived(void **state)
{
    const struct raw_options *row = *state;
    listen_on(5);
    in_options("S 0:0(0) win 65535", row->bytes, row->size);
    if (row->mss == 0 && (h.head == h.tail || !strstr(h.queue[h.head % HARNESS_QUEUE].line, "S.")))
        return; /* refused, with a reset or without: it is survived */
    out("S. 0:0(0) ack 1");
    in_options(". 1:1(0) ack 1 win 65535", row->bytes, row->size);
    if (row->mss == 0)
        return;
    accept_one();
    send_bytes(600);
    const struct harness_frame *frame = out(". 1:*");
    assert_int_equal(frame->payload, row->mss);
}

/* The same options on a standing connection: MSS counts only in a SYN. */
static void options_are_survived_later(void **state)
{
    const struct raw_options *row = *state;
    establish("mss 1000");
    in_options("P. 1:11(10) ack 1 win 65535", row->bytes, row->size);
    if (row->mss == 0)
        return;
    out(". 1:1(0) ack 11");
    send_bytes(2000);
    out(". 1:1001(1000) ack 11");
}

/* ---- Damage and attack ---- */

/* MUST-3 */
static void bad_checksum_is_dropped(void **state)
{
    (void)state;
    establish("mss 1000");
    h.next.bad_checksum = true;
    in("P. 1:11(10) ack 1 win 65535");
    none();
    assert_int_equal(count_of(STACK_COUNTER_TCP_IN_CSUM_ERRORS), 1);
    in("P. 1:11(10) ack 1 win 65535");
    out(". 1:1(0) ack 11");
}

/* A device that has verified the checksum is believed; one that was left undone is not looked
   at. */
static void verified_checksum_is_believed(void **state)
{
    (void)state;
    establish("mss 1000");
    h.next.bad_checksum = true;
    h.next.frame_flags = FRAME_CHECKSUM_VALID;
    in("P. 1:11(10) ack 1 win 65535");
    out(". 1:1(0) ack 11");
}

/* RFC 5961 7: challenge ACKs are limited, and the limit is lifted again. */
static void challenges_are_limited(void **state)
{
    (void)state;
    establish("mss 1000");
    for (int i = 0; i < 50; i++)
        in("R 100:100(0)");
    assert_int_equal(ignore_all(), 10);
    state_is(TCP_ESTABLISHED);
    assert_int_equal(count_of(STACK_COUNTER_TCP_CHALLENGE_ACK), 10);
    assert_int_equal(count_of(STACK_COUNTER_TCP_ACK_SKIPPED_CHALLENGE), 40);
    quiet(10 * S);
    in("S 100:100(0) win 65535");
    out(". 1:1(0) ack 1");
}

/* RFC 5961 3: and the peer that really reset answers the challenge exactly. */
static void challenged_reset_comes_back(void **state)
{
    (void)state;
    establish("mss 1000");
    in("R 100:100(0)");
    out(". 1:1(0) ack 1");
    in("R 1:1(0)");
    none();
    state_is(TCP_CLOSED);
}

/* ---- ICMP (MUST-54 to MUST-56; RFC 5927) ---- */

static void soft_errors_do_not_abort(void **state)
{
    (void)state;
    static const uint8_t errors[][2] = {{3, 0}, {3, 1}, {3, 5}, {11, 0}, {11, 1}, {12, 0}, {4, 0}};
    establish("mss 1000");
    send_bytes(10);
    out("P. 1:11(10) ack 1");
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        h.ready = 0;
        in_icmp(errors[i][0], errors[i][1], 0, 1);
        none();
        state_is(TCP_ESTABLISHED);
        if (errors[i][0] != ICMP_SOURCE_QUENCH)
            assert_true(h.ready & STACK_READY_SOFT_ERROR); /* MUST-47, SHLD-25 */
    }
    in(". 1:1(0) ack 11 win 65535");
    quiet(10 * S);
}

static void soft_errors_do_not_abort_an_opening(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_SENT);
    in_icmp(3, 1, 0, 0);
    state_is(TCP_SYN_SENT);
    in("S. 0:0(0) ack 1 win 65535");
    out(". 1:1(0) ack 1");
}

/* SHLD-26: while opening, port unreachable ends the attempt. */
static void hard_error_ends_an_opening(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_SENT);
    in_icmp(3, 3, 0, 0);
    none();
    state_is(TCP_CLOSED);
    int error = stack_socket_error(h.stack, h.socket);
    assert_true(error == STACK_REFUSED || error == STACK_UNREACHABLE);
}

/* RFC 5927 4.1: an error that quotes a sequence number not in flight is forged. */
static void forged_errors_are_ignored(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_SENT);
    in_icmp(3, 3, 0, 77777);
    none();
    state_is(TCP_SYN_SENT);
}

/* TCP_QUICKACK off: the ACK waits for an answer to ride on, from the first segment on. */
static void no_quick_ack_when_the_application_says_so(void **state)
{
    (void)state;
    listen_on(16);
    stack_set_option(h.stack, h.listener, STACK_OPTION_QUICK_ACK, 0, h.now_us);
    establish("mss 1000");
    in("P. 1:101(100) ack 1 win 65535");
    none();
    send_bytes(10);
    out("P. 1:11(10) ack 101");
    in("P. 101:201(100) ack 11 win 65535");
    out_after(40 * MS, ". 11:11(0) ack 201");
}

int main(void)
{
    enum { RAW = sizeof raw_options / sizeof raw_options[0] };
    static struct CMUnitTest raw[2 * RAW];
    for (int i = 0; i < RAW; i++) {
        void *row = (void *)(uintptr_t)&raw_options[i];
        raw[i] = (struct CMUnitTest){raw_options[i].name, options_are_survived, harness_setup,
                                     harness_teardown, row};
        raw[RAW + i] = (struct CMUnitTest){raw_options[i].name, options_are_survived_later,
                                           harness_setup, harness_teardown, row};
    }
    const struct CMUnitTest tests[] = {
        harness_test(no_quick_ack_when_the_application_says_so),
        harness_test(any_order_is_joined),
        harness_test(data_beyond_the_window_is_cut),
        harness_test(sack_blocks_newest_first),
        harness_test(sack_beside_timestamps),
        harness_test(dsack_tells_duplicates),
        harness_test(no_sack_unless_agreed),
        harness_test(window_closes_and_opens),
        harness_test(zero_window_still_takes_acks_and_resets),
        harness_test(held_bytes_count),
        harness_test(shift_above_14_is_14),
        harness_test(paws_drops_the_old),
        harness_test(paws_spares_resets),
        harness_test(echo_is_of_the_left_edge),
        harness_test(timestamps_tick_in_milliseconds),
        harness_test(bad_checksum_is_dropped),
        harness_test(verified_checksum_is_believed),
        harness_test(challenges_are_limited),
        harness_test(challenged_reset_comes_back),
        harness_test(soft_errors_do_not_abort),
        harness_test(soft_errors_do_not_abort_an_opening),
        harness_test(hard_error_ends_an_opening),
        harness_test(forged_errors_are_ignored),
        harness_test(window_of_less_than_a_unit_opens),
    };
    int failed = _cmocka_run_group_tests("options that lie", raw, 2 * RAW, NULL, NULL);
    return failed + cmocka_run_group_tests_name("receiving", tests, NULL, NULL);
}
