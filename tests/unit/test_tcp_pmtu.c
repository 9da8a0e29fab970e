/* TCP and the path's MTU: what "fragmentation needed" may do to a connection, and what it may not
   (RFC 1191, RFC 5927; RFC 9293 MUST-54 to MUST-57). */
#include "tcp_harness.h"

#include "../../tapstack/core/state.h"

/* Expects all of first to behind_last in segments of size bytes, the last one shorter. */
static void out_run(uint32_t first, uint32_t behind_last, uint32_t size)
{
    for (uint32_t at = first; at < behind_last; at += size) {
        char line[TEXT_LINE_MAX];
        uint32_t end = at + size < behind_last ? at + size : behind_last;
        snprintf(line, sizeof line, "*%u:%u(%u) ack 1", at, end, end - at);
        out(line);
    }
}

static void ack_to(uint32_t number)
{
    char line[TEXT_LINE_MAX];
    snprintf(line, sizeof line, ". 1:1(0) ack %u win 65535", number);
    in(line);
}

static void too_big(uint32_t mtu, uint32_t sequence)
{
    in_icmp(ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_FRAGMENTATION_NEEDED, mtu, sequence);
}

static struct stack_pmtu known(void)
{
    struct stack_pmtu pmtu = {0};
    uint32_t cursor = 0;
    stack_next_pmtu(h.stack, &cursor, &pmtu, h.now_us);
    return pmtu;
}

/* What was too big goes at once in smaller pieces, and the window is not cut for it. */
static void s20_what_was_too_big_goes_again_at_once(void **state)
{
    (void)state;
    establish("mss 1460");
    send_bytes(20000);
    out_run(1, 14601, 1460);
    assert_int_equal(info().cwnd, 14600);
    too_big(900, 1);
    assert_int_equal(info().pmtu, 900);
    assert_int_equal(info().snd_mss, 860);
    out_run(1, 8601, 860); /* as from an initial window: nothing paces it yet */
    none();
    assert_int_equal(info().ssthresh, UINT32_MAX);
    assert_int_equal(info().timeouts, 0);
    for (int i = 1; i < 10; i++)
        too_big(900, 1 + 1460 * (uint32_t)i); /* the errors about the others teach nothing new */
    none();
    assert_int_equal(count_of(STACK_COUNTER_PMTU_LOWERED), 1);
    assert_int_equal(count_of(STACK_COUNTER_PMTU_IGNORED), 9);
    ack_to(8601);
    out_run(8601, 18921, 860);
    assert_int_equal(known().mtu_bytes, 900);
    assert_int_equal(known().destination_v4, HARNESS_PEER_V4);
}

static void the_old_window_is_soon_reached_again(void **state)
{
    (void)state;
    establish("mss 1460");
    send_bytes(60000);
    ignore_all();
    ack_to(14601);
    ignore_all();
    uint32_t cwnd = info().cwnd;
    assert_true(cwnd > 14600);
    set("tcp.pmtu_evidence", 0);
    too_big(900, 14601);
    assert_int_equal(info().cwnd, 8600);
    assert_true(info().ssthresh >= cwnd);
}

/* Nothing that a stranger can send lowers an MTU. */
static void errors_that_are_not_believed(void **state)
{
    static const struct {
        const char *name;
        uint32_t mtu, sequence;
        bool ignored; /* by the MTU; else it quotes nothing in flight */
    } rows[] = {
        {"quotes what was acknowledged", 900, 1, false},
        {"quotes what was never sent", 900, 30000, false},
        {"claims the MTU that is", 1500, 1461, true},
        {"claims more", 1501, 1461, true},
        {"claims more than all", 65535, 1461, true},
        {"claims less than can be", 67, 1461, true},
        {"claims one byte", 1, 1461, true},
    };
    (void)state;
    establish("mss 1460");
    send_bytes(1460);
    ignore_all();
    ack_to(1461);
    send_bytes(2920);
    ignore_all();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t ignored = count_of(STACK_COUNTER_PMTU_IGNORED);
        uint64_t errors = count_of(STACK_COUNTER_ICMP_IN_ERRORS);
        too_big(rows[i].mtu, rows[i].sequence);
        none();
        if (info().pmtu != 1500 ||
            count_of(STACK_COUNTER_PMTU_IGNORED) != ignored + rows[i].ignored ||
            count_of(STACK_COUNTER_ICMP_IN_ERRORS) != errors + !rows[i].ignored)
            fail_msg("%s", rows[i].name);
    }
    set("ip.pmtu_discovery", 0);
    too_big(900, 1461);
    none();
    assert_int_equal(info().pmtu, 1500);
}

/* Who has sent only small segments was not too big for anybody. */
static void small_segments_cannot_be_too_big(void **state)
{
    (void)state;
    establish("mss 1460");
    send_bytes(500);
    out("P. 1:501(500) ack 1");
    too_big(552, 1);
    too_big(540, 1);
    none();
    assert_int_equal(info().pmtu, 1500);
    send_bytes(600);
    ack_to(501);
    out("P. 501:1101(600) ack 1");
    too_big(600, 501);
    out("*501:1061(560) ack 1");
    out("*1061:1101(40) ack 1");
    assert_int_equal(info().pmtu, 600);
}

static void a_syn_cannot_be_too_big(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_SENT);
    too_big(68, 0);
    none();
    in("S. 0:0(0) ack 1 win 65535 <mss 1460>");
    out(". 1:1(0) ack 1");
    assert_int_equal(info().pmtu, 1500);
}

/* Routers from before RFC 1191 leave the field empty: the plateaus of its section 7.1. */
static void old_routers_are_guessed(void **state)
{
    static const uint16_t plateaus[] = {1492, 1006, 552, 552};
    (void)state;
    establish("mss 1460");
    send_bytes(14600);
    ignore_all();
    for (size_t i = 0; i < sizeof plateaus / sizeof plateaus[0]; i++) {
        too_big(0, 1);
        ignore_all();
        assert_int_equal(info().pmtu, plateaus[i]);
    }
    assert_true(known().locked); /* 508 lies below ip.min_pmtu */
}

/* RFC 5927, 7.2: a path that has taken 1500 bytes is not believed to take 900 until something is
   lost. */
static void less_than_was_proven_waits_for_a_timeout(void **state)
{
    (void)state;
    establish("mss 1460");
    send_bytes(1460);
    ignore_all();
    ack_to(1461);
    send_bytes(2920);
    ignore_all();
    too_big(900, 1461);
    none();
    assert_int_equal(info().pmtu, 1500);
    assert_int_equal(count_of(STACK_COUNTER_PMTU_DOUBTED), 1);
    harness_run_until(h.now_us + 300 * MS);
    out("*1461:2321(860) ack 1");
    assert_int_equal(info().pmtu, 900);
    assert_int_equal(info().timeouts, 1);
}

static void a_doubted_error_is_forgotten_when_its_segment_arrives(void **state)
{
    (void)state;
    establish("mss 1460");
    send_bytes(1460);
    ignore_all();
    ack_to(1461);
    send_bytes(2920);
    ignore_all();
    too_big(900, 1461);
    ack_to(2921);
    harness_run_until(h.now_us + 300 * MS);
    out("*2921:4381(1460) ack 1");
    assert_int_equal(info().pmtu, 1500);
}

static void without_evidence_it_is_believed_at_once(void **state)
{
    (void)state;
    set("tcp.pmtu_evidence", 0);
    establish("mss 1460");
    send_bytes(1460);
    ignore_all();
    ack_to(1461);
    send_bytes(2920);
    ignore_all();
    too_big(900, 1461);
    out_run(1461, 4381, 860);
    assert_int_equal(info().pmtu, 900);
}

static void below_the_least_mtu_fragments_are_allowed(void **state)
{
    (void)state;
    establish("mss 1460");
    send_bytes(2920);
    assert_true(out("*1:1461(1460)*")->ip.dont_fragment);
    assert_true(out("*1461:2921(1460)*")->ip.dont_fragment);
    too_big(300, 1);
    assert_int_equal(info().pmtu, 552);
    assert_int_equal(known().mtu_bytes, 552);
    assert_true(known().locked);
    const struct harness_frame *frame = out("*1:513(512)*");
    assert_false(frame->ip.dont_fragment);
    out_run(513, 2921, 512);
    too_big(300, 1);
    none();
    assert_int_equal(info().pmtu, 552);
}

static void df_follows_its_setting(void **state)
{
    (void)state;
    establish("mss 1460");
    send_bytes(10);
    assert_true(out("P. 1:11(10) ack 1")->ip.dont_fragment);
    set("ip.pmtu_discovery", 0);
    ack_to(11);
    send_bytes(10);
    assert_false(out("P. 11:21(10) ack 1")->ip.dont_fragment);
}

/* What one connection has learned the next one knows; what it offers to take stays the interface's.
 */
static void connections_share_what_is_known(void **state)
{
    (void)state;
    establish("mss 1460");
    send_bytes(14600);
    ignore_all();
    int first = h.socket;
    h.peer_port = 40001;
    establish("mss 1460");
    send_bytes(2920);
    out_run(1, 2921, 1460);
    h.peer_port = 40000;
    too_big(900, 1);
    ignore_all();
    h.peer_port = 40001;
    in("P. 1:11(10) ack 1 win 65535"); /* it speaks again, and what was too big goes with it */
    ignore_all();
    assert_int_equal(info().pmtu, 900);
    h.peer_port = 40002;
    in("S 0:0(0) win 65535 <mss 1460>");
    assert_int_equal(out("S. 0:0(0) ack 1")->tcp.mss, 1460);
    in(". 1:1(0) ack 1 win 65535");
    accept_one();
    assert_int_equal(info().pmtu, 900);
    assert_int_equal(info().snd_mss, 860);
    assert_int_equal(info().advmss, 1460);
    stack_close(h.stack, first, h.now_us);
}

static void in_time_more_is_tried_again(void **state)
{
    (void)state;
    establish("mss 1460");
    send_bytes(14600);
    ignore_all();
    too_big(900, 1);
    ignore_all();
    ack_to(14601);
    quiet(599 * S);
    send_bytes(2000);
    out("*14601:15461(860)*");
    ignore_all();
    ack_to(16601);
    quiet(1 * S);
    send_bytes(2000);
    out("*16601:18061(1460)*");
    assert_int_equal(info().pmtu, 1500);
    assert_int_equal(known().mtu_bytes, 0);
}

/* What a loss among small segments has taught holds two of the larger ones: a recovery that ends
   after the path's MTU has risen must leave a window that something fits. */
static void ssthresh_grows_with_the_segments(void **state)
{
    (void)state;
    establish("mss 1460");
    send_bytes(1460);
    ignore_all();
    too_big(600, 1);
    ignore_all();
    ack_to(1461);
    send_bytes(560); /* duplicate ACKs count from behind what went again */
    ignore_all();
    ack_to(2021);
    send_bytes(4 * 560);
    ignore_all();
    for (int i = 0; i < 3; i++)
        ack_to(2021);
    ignore_all();
    ack_to(4261);
    assert_int_equal(info().ssthresh, 2 * 560);
    quiet(601 * S);
    send_bytes(1460);
    out("*4261:5721(1460)*");
    assert_int_equal(info().ssthresh, 2 * 1460);
}

/* The way out has changed to a link that takes less: what was made for the old one is lost, once. */
static void a_smaller_link_is_noticed(void **state)
{
    (void)state;
    establish("mss 1460");
    h.stack->interface[0].mtu_bytes = 900;
    send_bytes(8000);
    out_run(1, 8001, 860);
    assert_int_equal(info().pmtu, 900);
    assert_int_equal(info().timeouts, 0);
    assert_int_equal(count_of(STACK_COUNTER_IP_FRAG_FAILS), 1);
}

static void a_flush_forgets(void **state)
{
    (void)state;
    establish("mss 1460");
    send_bytes(1460);
    ignore_all();
    too_big(900, 1);
    ignore_all();
    ack_to(1461);
    assert_int_equal(stack_flush_pmtu(h.stack), 1);
    assert_int_equal(stack_flush_pmtu(h.stack), 0);
    send_bytes(1460);
    out("*1461:2921(1460)*");
}

/* In the middle of a fast recovery the recovery is over: everything goes again anyway. */
static void a_recovery_ends(void **state)
{
    (void)state;
    set("tcp.pmtu_evidence", 0);
    establish("mss 1460");
    send_bytes(14600);
    ignore_all();
    for (int i = 0; i < 3; i++)
        ack_to(1);
    ignore_all();
    assert_true(info().in_recovery);
    uint32_t ssthresh = info().ssthresh;
    too_big(900, 1);
    assert_false(info().in_recovery);
    assert_true(info().cwnd <= ssthresh);
    out("*1:861(860)*");
    ignore_all();
    for (int i = 0; i < 5; i++)
        ack_to(1); /* echoes of what did get through */
    assert_false(info().in_recovery);
}

/* FIN and all: nothing is lost when the whole of a short answer was too big. */
static void fin_goes_again(void **state)
{
    (void)state;
    establish("mss 1460");
    send_bytes(1400);
    out("P. 1:1401(1400) ack 1");
    shutdown_write();
    out("F. 1401:1401(0) ack 1");
    too_big(900, 1);
    out("*1:861(860) ack 1");
    out("FP. 861:1401(540) ack 1");
    in(". 1:1(0) ack 1402 win 65535");
    state_is(TCP_FIN_WAIT_2);
}

/* Whatever else comes, a standing connection stands (MUST-56), and is told (SHLD-25). */
static void no_error_ends_a_standing_connection(void **state)
{
    (void)state;
    establish("mss 1460");
    send_bytes(2920);
    ignore_all();
    for (unsigned type = 0; type < 20; type++)
        for (unsigned code = 0; code < 18; code++)
            if (!(type == ICMP_DESTINATION_UNREACHABLE && code == ICMP_CODE_FRAGMENTATION_NEEDED))
                in_icmp((uint8_t)type, (uint8_t)code, 0, 1);
    ignore_all();
    state_is(TCP_ESTABLISHED);
    assert_true(h.ready & STACK_READY_SOFT_ERROR);
    assert_int_equal(stack_socket_error(h.stack, h.socket), 0);
}

/* SHLD-26 and the prohibitions of RFC 1812, 5.2.7.1, while opening. */
static void which_errors_end_an_opening(void **state)
{
    (void)state;
    for (uint8_t code = 0; code < 18; code++) {
        bool refused = code == ICMP_CODE_PROTOCOL_UNREACHABLE || code == ICMP_CODE_PORT_UNREACHABLE;
        bool prohibited = code == ICMP_CODE_NET_PROHIBITED || code == ICMP_CODE_HOST_PROHIBITED ||
                          code == ICMP_CODE_PROHIBITED;
        go_to_state(TCP_SYN_SENT);
        in_icmp(ICMP_DESTINATION_UNREACHABLE, code, 0, 0);
        state_is(refused || prohibited ? TCP_CLOSED : TCP_SYN_SENT);
        if (refused || prohibited)
            assert_int_equal(stack_socket_error(h.stack, h.socket),
                             refused ? STACK_REFUSED : STACK_UNREACHABLE);
        harness_stop();
        harness_start(1, 10 * S);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(s20_what_was_too_big_goes_again_at_once),
        harness_test(the_old_window_is_soon_reached_again),
        harness_test(errors_that_are_not_believed),
        harness_test(small_segments_cannot_be_too_big),
        harness_test(a_syn_cannot_be_too_big),
        harness_test(old_routers_are_guessed),
        harness_test(less_than_was_proven_waits_for_a_timeout),
        harness_test(a_doubted_error_is_forgotten_when_its_segment_arrives),
        harness_test(without_evidence_it_is_believed_at_once),
        harness_test(below_the_least_mtu_fragments_are_allowed),
        harness_test(df_follows_its_setting),
        harness_test(connections_share_what_is_known),
        harness_test(in_time_more_is_tried_again),
        harness_test(ssthresh_grows_with_the_segments),
        harness_test(a_smaller_link_is_noticed),
        harness_test(a_flush_forgets),
        harness_test(a_recovery_ends),
        harness_test(fin_goes_again),
        harness_test(no_error_ends_a_standing_connection),
        harness_test(which_errors_end_an_opening),
    };
    return cmocka_run_group_tests_name("tcp_pmtu", tests, NULL, NULL);
}
