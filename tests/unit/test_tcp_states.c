/* SEGMENT ARRIVES of RFC 9293, 3.10.7: one row a check and state, in the order of the text.

   Every row starts a stack of its own, brings it into the state, lets one segment arrive and says
   what must be sent and which state follows. `answer` NULL: nothing may be sent. ACK_OR_NOTHING:
   the text leaves it open whether an ACK is sent. */
#include "tcp_harness.h"

static const char ACK_OR_NOTHING[] = "an ACK or nothing";
static const char ACK_NOW[] = ". $N:$N(0) ack $R";

struct row {
    const char *name;
    unsigned state;
    const char *segment;
    const char *answer;
    unsigned next;
};

#define EACH_SYNCHRONIZED(name, segment, answer)                                                   \
    {name, TCP_ESTABLISHED, segment, answer, TCP_ESTABLISHED},                                     \
        {name, TCP_FIN_WAIT_1, segment, answer, TCP_FIN_WAIT_1},                                   \
        {name, TCP_FIN_WAIT_2, segment, answer, TCP_FIN_WAIT_2},                                   \
        {name, TCP_CLOSE_WAIT, segment, answer, TCP_CLOSE_WAIT},                                   \
        {name, TCP_CLOSING, segment, answer, TCP_CLOSING},                                         \
    {                                                                                              \
        name, TCP_LAST_ACK, segment, answer, TCP_LAST_ACK                                          \
    }
#define EACH_WITH_TIME_WAIT(name, segment, answer)                                                 \
    EACH_SYNCHRONIZED(name, segment, answer),                                                      \
    {                                                                                              \
        name, TCP_TIME_WAIT, segment, answer, TCP_TIME_WAIT                                        \
    }
#define EACH_FROM_SYN_RECEIVED(name, segment, answer)                                              \
    EACH_WITH_TIME_WAIT(name, segment, answer),                                                    \
    {                                                                                              \
        name, TCP_SYN_RECEIVED, segment, answer, TCP_SYN_RECEIVED                                  \
    }

/* clang-format off */
static const struct row rows[] = {
    /* 3.10.7.1: CLOSED; 3.5.2: sequence and acknowledgment of the reset. S24. */
    {"closed: RST is dropped", TCP_CLOSED, "R 7:7(0)", NULL, TCP_CLOSED},
    {"closed: RST with ACK is dropped", TCP_CLOSED, "R. 7:7(0) ack 9", NULL, TCP_CLOSED},
    {"closed: S24 SYN is reset", TCP_CLOSED, "S 0:0(0) win 100", "R. 0:0(0) ack 1 win 0", TCP_CLOSED},
    {"closed: SYN with text counts both", TCP_CLOSED, "S 0:10(10) win 100", "R. 0:0(0) ack 11 win 0", TCP_CLOSED},
    {"closed: SYN and FIN count both", TCP_CLOSED, "SF 0:5(5)", "R. 0:0(0) ack 7", TCP_CLOSED},
    {"closed: FIN without ACK", TCP_CLOSED, "F 4:4(0)", "R. 0:0(0) ack 5", TCP_CLOSED},
    {"closed: text without ACK", TCP_CLOSED, "P 4:14(10)", "R. 0:0(0) ack 14", TCP_CLOSED},
    {"closed: no flag at all", TCP_CLOSED, "- 4:4(0)", "R. 0:0(0) ack 4", TCP_CLOSED},
    {"closed: ACK names the sequence number", TCP_CLOSED, ". 5:5(0) ack 777", "R 777:777(0) win 0", TCP_CLOSED},
    {"closed: SYN-ACK names it too", TCP_CLOSED, "S. 0:0(0) ack 777", "R 777:777(0)", TCP_CLOSED},
    {"closed: FIN-ACK with text names it too", TCP_CLOSED, "FP. 0:9(9) ack 777", "R 777:777(0)", TCP_CLOSED},

    /* 3.10.7.2: LISTEN */
    {"listen: first, RST is ignored", TCP_LISTEN, "R 0:0(0)", NULL, TCP_CLOSED},
    {"listen: first, RST with SYN is ignored", TCP_LISTEN, "SR 0:0(0)", NULL, TCP_CLOSED},
    {"listen: first, RST with ACK is ignored", TCP_LISTEN, "R. 0:0(0) ack 5", NULL, TCP_CLOSED},
    {"listen: second, ACK is reset", TCP_LISTEN, ". 1:1(0) ack 5", "R 5:5(0) win 0", TCP_CLOSED},
    {"listen: second, SYN-ACK is reset", TCP_LISTEN, "S. 0:0(0) ack 5", "R 5:5(0)", TCP_CLOSED},
    {"listen: second, FIN-ACK is reset", TCP_LISTEN, "F. 0:0(0) ack 5", "R 5:5(0)", TCP_CLOSED},
    {"listen: third, S25 S27 SYN is answered", TCP_LISTEN, "S 0:0(0) win 65535", "S. 0:0(0) ack 1", TCP_SYN_RECEIVED},
    {"listen: fourth, FIN alone is dropped", TCP_LISTEN, "F 0:0(0)", NULL, TCP_CLOSED},
    {"listen: fourth, text alone is dropped", TCP_LISTEN, "P 0:10(10)", NULL, TCP_CLOSED},
    {"listen: fourth, nothing set is dropped", TCP_LISTEN, "- 0:0(0)", NULL, TCP_CLOSED},

    /* 3.10.7.3: SYN-SENT */
    {"syn-sent: first, ACK of ISS is reset", TCP_SYN_SENT, ". 0:0(0) ack 0", "R 0:0(0) win 0", TCP_SYN_SENT},
    {"syn-sent: first, ACK beyond SND.NXT is reset", TCP_SYN_SENT, ". 0:0(0) ack 2", "R 2:2(0)", TCP_SYN_SENT},
    {"syn-sent: first, SYN-ACK with a bad ACK is reset", TCP_SYN_SENT, "S. 0:0(0) ack 2", "R 2:2(0)", TCP_SYN_SENT},
    {"syn-sent: first, old SYN-ACK is reset", TCP_SYN_SENT, "S. 0:0(0) ack 4294967000", "R 4294967000:4294967000(0)", TCP_SYN_SENT},
    {"syn-sent: first, RST with a bad ACK is dropped", TCP_SYN_SENT, "R. 0:0(0) ack 2", NULL, TCP_SYN_SENT},
    {"syn-sent: first, RST acknowledging ISS is dropped", TCP_SYN_SENT, "R. 0:0(0) ack 0", NULL, TCP_SYN_SENT},
    {"syn-sent: second, RST with a good ACK refuses", TCP_SYN_SENT, "R. 0:0(0) ack 1", NULL, TCP_CLOSED},
    {"syn-sent: second, RST without ACK is dropped", TCP_SYN_SENT, "R 0:0(0)", NULL, TCP_SYN_SENT},
    {"syn-sent: fourth, SYN-ACK completes", TCP_SYN_SENT, "S. 0:0(0) ack 1 win 65535", ". 1:1(0) ack 1", TCP_ESTABLISHED},
    {"syn-sent: fourth, SYN alone crosses (MUST-10)", TCP_SYN_SENT, "S 0:0(0) win 65535", "S. 0:0(0) ack 1", TCP_SYN_RECEIVED},
    {"syn-sent: fifth, good ACK alone is dropped", TCP_SYN_SENT, ". 0:0(0) ack 1", NULL, TCP_SYN_SENT},
    {"syn-sent: fifth, FIN-ACK is dropped", TCP_SYN_SENT, "F. 5:5(0) ack 1", NULL, TCP_SYN_SENT},
    {"syn-sent: fifth, text is dropped", TCP_SYN_SENT, "P 5:15(10)", NULL, TCP_SYN_SENT},

    /* 3.10.7.4, first: the sequence number */
    EACH_FROM_SYN_RECEIVED("first, empty segment below the window", ". $R-10:$R-10(0) ack $N win 65535", ACK_NOW),
    EACH_FROM_SYN_RECEIVED("first, empty segment beyond the window", ". $R+7000000:$R+7000000(0) ack $N win 65535", ACK_NOW),
    EACH_FROM_SYN_RECEIVED("first, text below the window", "P. $R-20:$R-10(10) ack $N win 65535", ACK_NOW),
    EACH_FROM_SYN_RECEIVED("first, text beyond the window", "P. $R+7000000:$R+7000010(10) ack $N win 65535", ACK_NOW),
    EACH_FROM_SYN_RECEIVED("first, FIN below the window", "F. $R-10:$R-10(0) ack $N win 65535", ACK_NOW),
    EACH_FROM_SYN_RECEIVED("first, RST below the window is dropped", "R $R-10:$R-10(0)", NULL),
    EACH_FROM_SYN_RECEIVED("first, RST just below the window is dropped", "R $R-1:$R-1(0)", NULL),
    EACH_FROM_SYN_RECEIVED("first, RST beyond the window is dropped", "R $R+7000000:$R+7000000(0)", NULL),
    EACH_FROM_SYN_RECEIVED("first, RST-ACK beyond the window is dropped", "R. $R+7000000:$R+7000000(0) ack $N", NULL),

    /* second: the RST bit (RFC 5961, 3) */
    {"second, RST at RCV.NXT: back to LISTEN", TCP_SYN_RECEIVED, "R $R:$R(0)", NULL, TCP_CLOSED},
    {"second, RST-ACK at RCV.NXT", TCP_SYN_RECEIVED, "R. $R:$R(0) ack 1", NULL, TCP_CLOSED},
    {"second, RST at RCV.NXT", TCP_ESTABLISHED, "R $R:$R(0)", NULL, TCP_CLOSED},
    {"second, RST-ACK at RCV.NXT", TCP_ESTABLISHED, "R. $R:$R(0) ack $N", NULL, TCP_CLOSED},
    {"second, RST with a wrong ACK at RCV.NXT", TCP_ESTABLISHED, "R. $R:$R(0) ack $N+9999", NULL, TCP_CLOSED},
    {"second, RST with text at RCV.NXT (SHLD-2)", TCP_ESTABLISHED, "RP. $R:$R+5(5) ack $N", NULL, TCP_CLOSED},
    {"second, RST at RCV.NXT", TCP_FIN_WAIT_1, "R $R:$R(0)", NULL, TCP_CLOSED},
    {"second, RST at RCV.NXT", TCP_FIN_WAIT_2, "R $R:$R(0)", NULL, TCP_CLOSED},
    {"second, RST at RCV.NXT", TCP_CLOSE_WAIT, "R $R:$R(0)", NULL, TCP_CLOSED},
    {"second, RST at RCV.NXT", TCP_CLOSING, "R $R:$R(0)", NULL, TCP_CLOSED},
    {"second, RST at RCV.NXT", TCP_LAST_ACK, "R $R:$R(0)", NULL, TCP_CLOSED},
    {"second, RST at RCV.NXT", TCP_TIME_WAIT, "R $R:$R(0)", NULL, TCP_CLOSED},
    EACH_SYNCHRONIZED("second, RST inside the window is challenged", "R $R+1:$R+1(0)", ACK_NOW),
    {"second, RST inside the window is challenged", TCP_SYN_RECEIVED, "R $R+1:$R+1(0)", ACK_NOW, TCP_SYN_RECEIVED},

    /* fourth: the SYN bit (RFC 5961, 4) */
    {"fourth, SYN in the window: back to LISTEN", TCP_SYN_RECEIVED, "S $R+1:$R+1(0) win 65535", NULL, TCP_CLOSED},
    EACH_SYNCHRONIZED("fourth, SYN at RCV.NXT is challenged", "S $R:$R(0) win 65535", ACK_NOW),
    EACH_SYNCHRONIZED("fourth, SYN in the window is challenged", "S $R+100:$R+100(0) win 65535", ACK_NOW),
    EACH_SYNCHRONIZED("fourth, SYN beyond the window is challenged", "S $R+7000000:$R+7000000(0) win 65535", ACK_NOW),
    EACH_SYNCHRONIZED("fourth, SYN-ACK of the opening again is challenged", "S. 0:0(0) ack 1 win 65535", ACK_NOW),
    EACH_SYNCHRONIZED("fourth, SYN with a good ACK is challenged", "S. $R:$R(0) ack $N win 65535", ACK_NOW),

    /* fifth: the ACK field */
    EACH_FROM_SYN_RECEIVED("fifth, without ACK text is dropped", "P $R:$R+10(10) win 65535", NULL),
    EACH_FROM_SYN_RECEIVED("fifth, without ACK a FIN is dropped", "F $R:$R(0) win 65535", NULL),
    {"fifth, S28 good ACK completes", TCP_SYN_RECEIVED, ". $R:$R(0) ack 1 win 65535", NULL, TCP_ESTABLISHED},
    {"fifth, ACK beyond SND.NXT is reset", TCP_SYN_RECEIVED, ". $R:$R(0) ack 5", "R 5:5(0) win 0", TCP_SYN_RECEIVED},
    {"fifth, ACK of ISS is reset", TCP_SYN_RECEIVED, ". $R:$R(0) ack 0", "R 0:0(0) win 0", TCP_SYN_RECEIVED},
    {"fifth, ACK completes and its text is taken", TCP_SYN_RECEIVED, "P. $R:$R+10(10) ack 1 win 65535", ". $N:$N(0) ack $R+10", TCP_ESTABLISHED},
    {"fifth, ACK completes and its FIN is taken", TCP_SYN_RECEIVED, "F. $R:$R(0) ack 1 win 65535", ". $N:$N(0) ack $R+1", TCP_CLOSE_WAIT},
    EACH_SYNCHRONIZED("fifth, ACK beyond SND.NXT is answered and dropped", ". $R:$R(0) ack $N+1 win 65535", ACK_NOW),
    EACH_SYNCHRONIZED("fifth, text with an ACK beyond SND.NXT is dropped", "P. $R:$R+10(10) ack $N+1 win 65535", ACK_NOW),
    EACH_SYNCHRONIZED("fifth, ACK older than any window is challenged (MAY-12)", ". $R:$R(0) ack $U-70000 win 65535", ACK_NOW),
    EACH_SYNCHRONIZED("fifth, ACK below SND.UNA is a duplicate", ". $R:$R(0) ack $U-1 win 65535", NULL),
    EACH_SYNCHRONIZED("fifth, ACK of SND.UNA changes nothing", ". $R:$R(0) ack $U win 65535", NULL),
    {"fifth, our FIN is acknowledged", TCP_FIN_WAIT_1, ". $R:$R(0) ack $N win 65535", NULL, TCP_FIN_WAIT_2},
    {"fifth, our FIN is acknowledged", TCP_CLOSING, ". $R:$R(0) ack $N win 65535", NULL, TCP_TIME_WAIT},
    {"fifth, our FIN is acknowledged", TCP_LAST_ACK, ". $R:$R(0) ack $N win 65535", NULL, TCP_CLOSED},
    {"fifth, the peer's FIN again", TCP_TIME_WAIT, "F. $R-1:$R-1(0) ack $N win 65535", ACK_NOW, TCP_TIME_WAIT},

    /* seventh: the text */
    {"seventh, S32 S33 text is taken", TCP_ESTABLISHED, "P. $R:$R+10(10) ack $N win 65535", ". $N:$N(0) ack $R+10", TCP_ESTABLISHED},
    {"seventh, text is taken", TCP_FIN_WAIT_1, "P. $R:$R+10(10) ack $U win 65535", ". $N:$N(0) ack $R+10", TCP_FIN_WAIT_1},
    {"seventh, text is taken", TCP_FIN_WAIT_2, "P. $R:$R+10(10) ack $N win 65535", ". $N:$N(0) ack $R+10", TCP_FIN_WAIT_2},
    {"seventh, text and the ACK of our FIN", TCP_FIN_WAIT_1, "P. $R:$R+10(10) ack $N win 65535", ". $N:$N(0) ack $R+10", TCP_FIN_WAIT_2},
    {"seventh, half old text is trimmed", TCP_ESTABLISHED, "P. $R-1:$R+10(11) ack $N win 65535", ". $N:$N(0) ack $R+10", TCP_ESTABLISHED},
    {"seventh, text behind the FIN is ignored", TCP_CLOSE_WAIT, "P. $R:$R+10(10) ack $U win 65535", ACK_OR_NOTHING, TCP_CLOSE_WAIT},
    {"seventh, text behind the FIN is ignored", TCP_CLOSING, "P. $R:$R+10(10) ack $U win 65535", ACK_OR_NOTHING, TCP_CLOSING},
    {"seventh, text behind the FIN is ignored", TCP_LAST_ACK, "P. $R:$R+10(10) ack $U win 65535", ACK_OR_NOTHING, TCP_LAST_ACK},
    {"seventh, text behind the FIN is ignored", TCP_TIME_WAIT, "P. $R:$R+10(10) ack $U win 65535", ACK_OR_NOTHING, TCP_TIME_WAIT},

    /* eighth: the FIN bit */
    {"eighth, FIN", TCP_ESTABLISHED, "F. $R:$R(0) ack $N win 65535", ". $N:$N(0) ack $R+1", TCP_CLOSE_WAIT},
    {"eighth, FIN behind text", TCP_ESTABLISHED, "FP. $R:$R+10(10) ack $N win 65535", ". $N:$N(0) ack $R+11", TCP_CLOSE_WAIT},
    {"eighth, FIN behind a hole waits", TCP_ESTABLISHED, "F. $R+5:$R+5(0) ack $N win 65535", ACK_NOW, TCP_ESTABLISHED},
    {"eighth, FIN that crosses ours", TCP_FIN_WAIT_1, "F. $R:$R(0) ack $U win 65535", ". $N:$N(0) ack $R+1", TCP_CLOSING},
    {"eighth, FIN with the ACK of ours", TCP_FIN_WAIT_1, "F. $R:$R(0) ack $N win 65535", ". $N:$N(0) ack $R+1", TCP_TIME_WAIT},
    {"eighth, FIN, text and the ACK of ours", TCP_FIN_WAIT_1, "FP. $R:$R+10(10) ack $N win 65535", ". $N:$N(0) ack $R+11", TCP_TIME_WAIT},
    {"eighth, FIN", TCP_FIN_WAIT_2, "F. $R:$R(0) ack $N win 65535", ". $N:$N(0) ack $R+1", TCP_TIME_WAIT},
    {"eighth, FIN again", TCP_CLOSE_WAIT, "F. $R-1:$R-1(0) ack $U win 65535", ACK_NOW, TCP_CLOSE_WAIT},
    {"eighth, FIN again", TCP_CLOSING, "F. $R-1:$R-1(0) ack $U win 65535", ACK_NOW, TCP_CLOSING},
    {"eighth, FIN again", TCP_LAST_ACK, "F. $R-1:$R-1(0) ack $U win 65535", ACK_NOW, TCP_LAST_ACK},
};
/* clang-format on */

enum { ROWS = sizeof rows / sizeof rows[0] };

static void row_runs(void **state)
{
    const struct row *row = *state;
    go_to_state(row->state);
    in(row->segment);
    if (row->answer == ACK_OR_NOTHING) {
        if (h.head != h.tail)
            out(ACK_NOW);
    } else if (row->answer) {
        out(row->answer);
    }
    none();
    state_is(row->next);
}

/* What the application learns of a reset, by state: MUST-12, 3.10.7.4 second. */
static void reset_is_told(void **state)
{
    (void)state;
    static const unsigned states[] = {TCP_ESTABLISHED, TCP_FIN_WAIT_1, TCP_FIN_WAIT_2,
                                      TCP_CLOSE_WAIT};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (i > 0)
            harness_start(1, 10 * S);
        go_to_state(states[i]);
        in("R $R:$R(0)");
        none();
        assert_int_equal(stack_socket_error(h.stack, h.socket), STACK_RESET);
        assert_true(h.ready & STACK_READY_ERROR);
        assert_int_equal(recv_some(10), STACK_RESET);
        assert_int_equal(send_flags(10, 0), STACK_RESET);
        harness_stop();
    }
}

static void refusal_is_told(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_SENT);
    in("R. 0:0(0) ack 1");
    none();
    assert_true(h.ready & STACK_READY_ERROR);
    assert_int_equal(stack_socket_error(h.stack, h.socket), STACK_REFUSED);
}

/* 3.10.7.4, second: SYN-RECEIVED remembers that it came from an active OPEN (MUST-11). */
static void reset_in_simultaneous_open_refuses(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_SENT);
    in("S 0:0(0) win 65535");
    out("S. 0:0(0) ack 1");
    assert_int_equal(info().passive, 0);
    in("R 1:1(0)");
    none();
    state_is(TCP_CLOSED);
    assert_int_equal(stack_socket_error(h.stack, h.socket), STACK_REFUSED);
}

/* The same with a SYN inside the window: challenged as in the synchronized states. */
static void syn_in_simultaneous_open_is_challenged(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_SENT);
    in("S 0:0(0) win 65535");
    out("S. 0:0(0) ack 1");
    in("S 5:5(0) win 65535");
    out(". 1:1(0) ack 1");
    state_is(TCP_SYN_RECEIVED);
}

/* A listener survives what happens to its copies (MUST-41, S6). */
static void listener_survives_reset_of_its_copy(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_RECEIVED);
    in("R 1:1(0)");
    none();
    in("S 0:0(0) win 65535");
    out("S. 0:0(0) ack 1");
    in(". 1:1(0) ack 1 win 65535");
    accept_one();
    state_is(TCP_ESTABLISHED);
}

/* The peer has not heard our SYN-ACK and repeats its SYN: it must hear an answer that acknowledges
   it, and the opening must still succeed. */
static void repeated_syn_is_answered(void **state)
{
    (void)state;
    go_to_state(TCP_SYN_RECEIVED);
    in("S 0:0(0) win 65535 <mss 1000>");
    out("*:*(0) ack 1");
    state_is(TCP_SYN_RECEIVED);
    in(". 1:1(0) ack 1 win 65535");
    none();
    state_is(TCP_ESTABLISHED);
}

/* 3.10.7.4, fifth, TIME-WAIT: the peer's FIN again restarts the two MSL (MUST-13). */
static void repeated_fin_restarts_time_wait(void **state)
{
    (void)state;
    go_to_state(TCP_TIME_WAIT);
    quiet(40 * S);
    in("F. $R-1:$R-1(0) ack $N win 65535");
    out(". $N:$N(0) ack $R");
    quiet(60 * S - 1);
    state_is(TCP_TIME_WAIT);
    quiet(1);
    state_is(TCP_CLOSED);
}

int main(void)
{
    static struct CMUnitTest tests[ROWS];
    static char names[ROWS][128];
    for (int i = 0; i < ROWS; i++) {
        snprintf(names[i], sizeof names[i], "%s: %s", tcp_state_name(rows[i].state), rows[i].name);
        tests[i] = (struct CMUnitTest){names[i], row_runs, harness_setup, harness_teardown,
                                       (void *)(uintptr_t)&rows[i]};
    }
    const struct CMUnitTest stories[] = {
        harness_test(reset_is_told),
        harness_test(refusal_is_told),
        harness_test(reset_in_simultaneous_open_refuses),
        harness_test(syn_in_simultaneous_open_is_challenged),
        harness_test(listener_survives_reset_of_its_copy),
        harness_test(repeated_syn_is_answered),
        harness_test(repeated_fin_restarts_time_wait),
    };
    int failed = _cmocka_run_group_tests("RFC 9293 3.10.7, rows", tests, ROWS, NULL, NULL);
    return failed + cmocka_run_group_tests_name("RFC 9293 3.10.7, stories", stories, NULL, NULL);
}
