/* User calls of RFC 9293, 3.10.1 to 3.10.5, in every state: one row a call and state.

   RESULT_ERROR: any error will do. SYN-RECEIVED is the one of a simultaneous open, as a passive one
   has no handle yet. `answer` NULL: nothing may be sent. */
#include "tcp_harness.h"

enum call {
    CALL_OPEN,
    CALL_LISTEN,
    CALL_SEND,
    CALL_RECEIVE,
    CALL_SHUTDOWN,
    CALL_CLOSE,
    CALL_ABORT
};

enum { RESULT_ERROR = -1000, RESULT_ANY, SIZE = 10 };

struct row {
    enum call call;
    unsigned state;
    int result;
    const char *answer;
    unsigned next;
};

/* clang-format off */
static const struct row rows[] = {
    /* 3.10.1 OPEN: a connection exists already */
    {CALL_OPEN, TCP_LISTEN, RESULT_ERROR, NULL, TCP_LISTEN},
    {CALL_OPEN, TCP_SYN_SENT, RESULT_ERROR, NULL, TCP_SYN_SENT},
    {CALL_OPEN, TCP_SYN_RECEIVED, RESULT_ERROR, NULL, TCP_SYN_RECEIVED},
    {CALL_OPEN, TCP_ESTABLISHED, RESULT_ERROR, NULL, TCP_ESTABLISHED},
    {CALL_OPEN, TCP_FIN_WAIT_1, RESULT_ERROR, NULL, TCP_FIN_WAIT_1},
    {CALL_OPEN, TCP_FIN_WAIT_2, RESULT_ERROR, NULL, TCP_FIN_WAIT_2},
    {CALL_OPEN, TCP_CLOSE_WAIT, RESULT_ERROR, NULL, TCP_CLOSE_WAIT},
    {CALL_OPEN, TCP_CLOSING, RESULT_ERROR, NULL, TCP_CLOSING},
    {CALL_OPEN, TCP_LAST_ACK, RESULT_ERROR, NULL, TCP_LAST_ACK},
    {CALL_OPEN, TCP_TIME_WAIT, RESULT_ERROR, NULL, TCP_TIME_WAIT},
    {CALL_LISTEN, TCP_SYN_SENT, RESULT_ERROR, NULL, TCP_SYN_SENT},
    {CALL_LISTEN, TCP_ESTABLISHED, RESULT_ERROR, NULL, TCP_ESTABLISHED},
    {CALL_LISTEN, TCP_TIME_WAIT, RESULT_ERROR, NULL, TCP_TIME_WAIT},

    /* 3.10.2 SEND */
    {CALL_SEND, TCP_CLOSED, STACK_NOT_CONNECTED, NULL, TCP_CLOSED},
    {CALL_SEND, TCP_LISTEN, RESULT_ERROR, NULL, TCP_LISTEN},
    {CALL_SEND, TCP_SYN_SENT, STACK_IN_PROGRESS, NULL, TCP_SYN_SENT},
    {CALL_SEND, TCP_SYN_RECEIVED, STACK_IN_PROGRESS, NULL, TCP_SYN_RECEIVED},
    {CALL_SEND, TCP_ESTABLISHED, SIZE, "P. $N:$N+10(10) ack $R", TCP_ESTABLISHED},
    {CALL_SEND, TCP_CLOSE_WAIT, SIZE, "P. $N:$N+10(10) ack $R", TCP_CLOSE_WAIT},
    {CALL_SEND, TCP_FIN_WAIT_1, STACK_CLOSED, NULL, TCP_FIN_WAIT_1},
    {CALL_SEND, TCP_FIN_WAIT_2, STACK_CLOSED, NULL, TCP_FIN_WAIT_2},
    {CALL_SEND, TCP_CLOSING, STACK_CLOSED, NULL, TCP_CLOSING},
    {CALL_SEND, TCP_LAST_ACK, STACK_CLOSED, NULL, TCP_LAST_ACK},
    {CALL_SEND, TCP_TIME_WAIT, STACK_CLOSED, NULL, TCP_TIME_WAIT},

    /* 3.10.3 RECEIVE: nothing has come, or nothing more will */
    {CALL_RECEIVE, TCP_CLOSED, STACK_NOT_CONNECTED, NULL, TCP_CLOSED},
    {CALL_RECEIVE, TCP_LISTEN, RESULT_ERROR, NULL, TCP_LISTEN},
    {CALL_RECEIVE, TCP_SYN_SENT, RESULT_ERROR, NULL, TCP_SYN_SENT},
    {CALL_RECEIVE, TCP_SYN_RECEIVED, RESULT_ERROR, NULL, TCP_SYN_RECEIVED},
    {CALL_RECEIVE, TCP_ESTABLISHED, STACK_AGAIN, NULL, TCP_ESTABLISHED},
    {CALL_RECEIVE, TCP_FIN_WAIT_1, STACK_AGAIN, NULL, TCP_FIN_WAIT_1},
    {CALL_RECEIVE, TCP_FIN_WAIT_2, STACK_AGAIN, NULL, TCP_FIN_WAIT_2},
    {CALL_RECEIVE, TCP_CLOSE_WAIT, 0, NULL, TCP_CLOSE_WAIT},
    {CALL_RECEIVE, TCP_CLOSING, 0, NULL, TCP_CLOSING},
    {CALL_RECEIVE, TCP_LAST_ACK, 0, NULL, TCP_LAST_ACK},
    {CALL_RECEIVE, TCP_TIME_WAIT, 0, NULL, TCP_TIME_WAIT},

    /* 3.10.4 CLOSE, of which shutdown keeps the handle */
    {CALL_SHUTDOWN, TCP_CLOSED, RESULT_ERROR, NULL, TCP_CLOSED},
    {CALL_SHUTDOWN, TCP_ESTABLISHED, 0, "F. $N:$N(0) ack $R", TCP_FIN_WAIT_1},
    {CALL_SHUTDOWN, TCP_CLOSE_WAIT, 0, "F. $N:$N(0) ack $R", TCP_LAST_ACK},
    {CALL_SHUTDOWN, TCP_FIN_WAIT_1, RESULT_ANY, NULL, TCP_FIN_WAIT_1},
    {CALL_SHUTDOWN, TCP_FIN_WAIT_2, RESULT_ANY, NULL, TCP_FIN_WAIT_2},
    {CALL_SHUTDOWN, TCP_CLOSING, RESULT_ANY, NULL, TCP_CLOSING},
    {CALL_SHUTDOWN, TCP_LAST_ACK, RESULT_ANY, NULL, TCP_LAST_ACK},
    {CALL_SHUTDOWN, TCP_TIME_WAIT, RESULT_ANY, NULL, TCP_TIME_WAIT},
    {CALL_CLOSE, TCP_CLOSED, 0, NULL, TCP_CLOSED},
    {CALL_CLOSE, TCP_LISTEN, 0, NULL, TCP_CLOSED},
    {CALL_CLOSE, TCP_SYN_SENT, 0, NULL, TCP_CLOSED},
    /* The FIN waits for the handshake even when there is no data, where the RFC sends it at once: one
       segment in flight with the SYN is not worth a second base for the send buffer. */
    {CALL_CLOSE, TCP_SYN_RECEIVED, 0, NULL, TCP_SYN_RECEIVED},
    {CALL_CLOSE, TCP_ESTABLISHED, 0, "F. $N:$N(0) ack $R", TCP_FIN_WAIT_1},
    {CALL_CLOSE, TCP_FIN_WAIT_1, 0, NULL, TCP_FIN_WAIT_1},
    {CALL_CLOSE, TCP_FIN_WAIT_2, 0, NULL, TCP_FIN_WAIT_2},
    {CALL_CLOSE, TCP_CLOSE_WAIT, 0, "F. $N:$N(0) ack $R", TCP_LAST_ACK},
    {CALL_CLOSE, TCP_CLOSING, 0, NULL, TCP_CLOSING},
    {CALL_CLOSE, TCP_LAST_ACK, 0, NULL, TCP_LAST_ACK},
    {CALL_CLOSE, TCP_TIME_WAIT, 0, NULL, TCP_TIME_WAIT},

    /* 3.10.5 ABORT */
    {CALL_ABORT, TCP_CLOSED, 0, NULL, TCP_CLOSED},
    {CALL_ABORT, TCP_LISTEN, 0, NULL, TCP_CLOSED},
    {CALL_ABORT, TCP_SYN_SENT, 0, NULL, TCP_CLOSED},
    {CALL_ABORT, TCP_SYN_RECEIVED, 0, "R* $N:$N(0)*", TCP_CLOSED},
    {CALL_ABORT, TCP_ESTABLISHED, 0, "R* $N:$N(0)*", TCP_CLOSED},
    {CALL_ABORT, TCP_FIN_WAIT_1, 0, "R* $N:$N(0)*", TCP_CLOSED},
    {CALL_ABORT, TCP_FIN_WAIT_2, 0, "R* $N:$N(0)*", TCP_CLOSED},
    {CALL_ABORT, TCP_CLOSE_WAIT, 0, "R* $N:$N(0)*", TCP_CLOSED},
    {CALL_ABORT, TCP_CLOSING, 0, NULL, TCP_CLOSED},
    {CALL_ABORT, TCP_LAST_ACK, 0, NULL, TCP_CLOSED},
    {CALL_ABORT, TCP_TIME_WAIT, 0, NULL, TCP_CLOSED},
};
/* clang-format on */

enum { ROWS = sizeof rows / sizeof rows[0] };

static const char *const call_names[] = {"open",     "listen", "send", "receive",
                                         "shutdown", "close",  "abort"};

static void go_with_handle(unsigned state)
{
    if (state == TCP_SYN_RECEIVED) {
        go_to_state(TCP_SYN_SENT);
        in("S 0:0(0) win 65535 <mss 1000>");
        out("S. 0:0(0) ack 1");
        go_numbers(1, 0, 1);
        return;
    }
    go_to_state(state);
    if (state == TCP_CLOSED)
        h.socket = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    else if (state == TCP_LISTEN)
        h.socket = h.listener;
}

static int call_now(enum call call)
{
    struct stack_endpoint remote = {ip_address_from_v4(HARNESS_PEER_V4), 4711};
    char bytes[SIZE];
    switch (call) {
    case CALL_OPEN:
        return stack_connect(h.stack, h.socket, &remote, h.now_us);
    case CALL_LISTEN:
        return stack_listen(h.stack, h.socket, 5);
    case CALL_SEND:
        return (int)send_flags(SIZE, 0);
    case CALL_RECEIVE:
        return (int)stack_recv(h.stack, h.socket, bytes, sizeof bytes, h.now_us);
    case CALL_SHUTDOWN:
        return stack_shutdown(h.stack, h.socket, STACK_SHUTDOWN_WRITE, h.now_us);
    case CALL_CLOSE:
        return stack_close(h.stack, h.socket, h.now_us);
    default:
        return stack_abort(h.stack, h.socket, h.now_us);
    }
}

static unsigned state_of_row(const struct row *row)
{
    struct stack_summary summary;
    if (row->state != TCP_LISTEN && row->state != TCP_CLOSED)
        return state_now();
    return stack_summary(h.stack, h.socket, &summary, h.now_us) == 0 ? summary.state
                                                                     : (unsigned)TCP_CLOSED;
}

static void row_runs(void **state)
{
    const struct row *row = *state;
    go_with_handle(row->state);
    int result = call_now(row->call);
    harness_pump();
    if (row->result == RESULT_ERROR)
        assert_true(result < 0);
    else if (row->result != RESULT_ANY)
        assert_int_equal(result, row->result);
    if (row->answer)
        out(row->answer);
    none();
    assert_int_equal(state_of_row(row), row->next);
    if (row->call == CALL_CLOSE || row->call == CALL_ABORT)
        assert_int_equal(stack_close(h.stack, h.socket, h.now_us), STACK_BAD_HANDLE);
}

/* 3.10.2, ESTABLISHED: what is in the buffer is sent before the connection is closed. */
static void close_sends_what_was_written(void **state)
{
    (void)state;
    establish("mss 1000");
    send_bytes(25000);
    close_socket();
    uint32_t acked = 1;
    for (int i = 0; i < 100 && state_now() == TCP_FIN_WAIT_1; i++) {
        char line[TEXT_LINE_MAX];
        bool fin = false;
        while (h.head != h.tail) {
            const struct harness_frame *frame = out("*");
            acked = frame->tcp.sequence - harness_here()->iss + (uint32_t)frame->payload;
            fin |= (frame->tcp.flags & TCP_FIN) != 0;
        }
        snprintf(line, sizeof line, ". 1:1(0) ack %u win 65535", acked + fin);
        in(line);
    }
    assert_int_equal(acked, 25001);
    state_is(TCP_FIN_WAIT_2);
}

/* 3.10.6 STATUS */
static void status_tells_the_connection(void **state)
{
    (void)state;
    h.handshake_us = 20 * MS;
    establish("mss 1000,sackOK,TS val 900 ecr 0,nop,wscale 5");
    send_bytes(100);
    in("P. 1:51(50) ack 1 win 1000 <nop,nop,TS val 1001 ecr *>");
    ignore_all();
    struct stack_info status = info();
    assert_int_equal(status.summary.state, TCP_ESTABLISHED);
    assert_int_equal(status.summary.receive_queue, 50);
    assert_int_equal(status.summary.send_queue, 100);
    assert_int_equal(status.snd_nxt - status.snd_una, 100);
    assert_int_equal(status.snd_wnd, 32000);
    assert_int_equal(status.rcv_nxt - status.irs, 51);
    assert_int_equal(status.bytes_received, 50);
    assert_int_equal(status.bytes_sent, 100);
    assert_int_equal(status.snd_mss, 988);
    assert_int_equal(status.snd_wscale, 5);
    assert_int_equal(status.ts_recent, 1001);
    assert_int_equal(status.inflight, 100);
    assert_true(status.rto_left_us > 0 && status.rto_left_us <= status.rto_us);
}

int main(void)
{
    static struct CMUnitTest tests[ROWS];
    static char names[ROWS][64];
    for (int i = 0; i < ROWS; i++) {
        snprintf(names[i], sizeof names[i], "%s in %s", call_names[rows[i].call],
                 tcp_state_name(rows[i].state));
        tests[i] = (struct CMUnitTest){names[i], row_runs, harness_setup, harness_teardown,
                                       (void *)(uintptr_t)&rows[i]};
    }
    const struct CMUnitTest stories[] = {
        harness_test(close_sends_what_was_written),
        harness_test(status_tells_the_connection),
    };
    int failed = _cmocka_run_group_tests("RFC 9293 3.10, user calls", tests, ROWS, NULL, NULL);
    return failed + cmocka_run_group_tests_name("user calls", stories, NULL, NULL);
}
