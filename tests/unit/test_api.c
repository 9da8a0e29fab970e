/* The socket-like API: streams, from one stack to another. */
#define _GNU_SOURCE
#include "api_harness.h"

/* ---- Setting up and talking ---- */

static void s5_a_connection_is_accepted_and_talks(void **state)
{
    char bytes[16];
    struct sockaddr_in peer, local;
    (void)state;
    int listener = listen_there(80, 8);
    int opener = connect_there(80);
    int taker = ts_accept_both(listener, &peer, &local, SOCK_CLOEXEC);
    assert_true(taker >= 0);
    assert_int_equal(ntohl(local.sin_addr.s_addr), 0x0a4d0002); /* S11: the listener's port */
    assert_int_equal(ntohs(local.sin_port), 80);
    assert_int_equal(ntohl(peer.sin_addr.s_addr), 0x0a4d0001);
    assert_int_equal(ts_send(opener, "question", 8, 0), 8);
    assert_int_equal(ts_recv(taker, bytes, 8, MSG_WAITALL), 8);
    assert_memory_equal(bytes, "question", 8);
    assert_int_equal(ts_send(taker, "answer", 6, MSG_MORE), 6);
    assert_int_equal(ts_recv(opener, bytes, 6, MSG_WAITALL), 6);
    assert_memory_equal(bytes, "answer", 6);
    line_close(&(struct line){listener, opener, taker});
}

static void names_are_those_of_both_ends(void **state)
{
    struct line line = line_open(81);
    struct sockaddr_in ours, theirs;
    socklen_t length = sizeof ours;
    (void)state;
    use(&there);
    assert_int_equal(ts_getsockname(line.listener, (struct sockaddr *)&ours, &length), 0);
    assert_int_equal(ntohs(ours.sin_port), 81);
    expect_error(ts_getpeername(line.listener, (struct sockaddr *)&theirs, &length), ENOTCONN);
    assert_int_equal(ts_getpeername(line.taker, (struct sockaddr *)&theirs, &length), 0);
    use(&here);
    assert_int_equal(ts_getsockname(line.opener, (struct sockaddr *)&ours, &length), 0);
    assert_int_equal(ours.sin_port, theirs.sin_port);
    assert_int_equal(ts_getpeername(line.opener, (struct sockaddr *)&theirs, &length), 0);
    assert_int_equal(ntohs(theirs.sin_port), 81);
    length = 4; /* too small: cut, and told how long it is */
    assert_int_equal(ts_getpeername(line.opener, (struct sockaddr *)&ours, &length), 0);
    assert_int_equal(length, sizeof ours);
    line_close(&line);
}

/* A listener's port is exempt from impairments from its listening on, and as long. */
static void listeners_are_exempt_as_long_as_they_listen(void **state)
{
    const struct cable_exempt *ports = &there.daemon.exempt;
    int on = 1, off = 0, value = -1;
    socklen_t length = sizeof value;
    struct line line = line_open(82);
    (void)state;
    use(&there);
    assert_int_equal(ports->count, 0);
    assert_int_equal(ts_setsockopt(line.listener, TS_SOL_TAPSTACK, TS_EXEMPT, &on, sizeof on), 0);
    assert_int_equal(ts_setsockopt(line.listener, TS_SOL_TAPSTACK, TS_EXEMPT, &on, sizeof on), 0);
    assert_int_equal(ports->count, 1);
    assert_int_equal(ports->port[0], 82);
    assert_int_equal(ts_getsockopt(line.listener, TS_SOL_TAPSTACK, TS_EXEMPT, &value, &length), 0);
    assert_int_equal(value, 1);
    assert_int_equal(ts_setsockopt(line.listener, TS_SOL_TAPSTACK, TS_EXEMPT, &off, sizeof off), 0);
    assert_int_equal(ports->count, 0);
    expect_error(ts_setsockopt(line.taker, TS_SOL_TAPSTACK, TS_EXEMPT, &on, sizeof on), EINVAL);
    expect_error(ts_setsockopt(line.listener, TS_SOL_TAPSTACK, 2, &on, sizeof on), ENOPROTOOPT);

    int other = ts_socket(AF_INET, SOCK_STREAM, 0); /* before it listens */
    assert_int_equal(ts_setsockopt(other, TS_SOL_TAPSTACK, TS_EXEMPT, &on, sizeof on), 0);
    assert_int_equal(ports->count, 0);
    assert_int_equal(ts_listen(other, 1), 0);
    assert_int_equal(ts_listen(other, 2), 0);
    assert_int_equal(ports->count, 1);
    ts_close(other);
    line_close(&line);
    wait_until_unused(&there);
    assert_int_equal(ports->count, 0);
}

static void descriptors_have_the_flags_asked_for(void **state)
{
    (void)state;
    use(&there);
    int fd = ts_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(ts_listen(fd, 4), 0); /* not bound: a port is drawn */
    expect_error(ts_accept(fd, NULL, NULL), EAGAIN);
    struct sockaddr_in local;
    socklen_t length = sizeof local;
    assert_int_equal(ts_getsockname(fd, (struct sockaddr *)&local, &length), 0);
    assert_int_not_equal(local.sin_port, 0);
    int opener = connect_there(ntohs(local.sin_port));
    assert_false(fcntl(opener, F_GETFL) & O_NONBLOCK);
    assert_false(fcntl(opener, F_GETFD) & FD_CLOEXEC);
    wait_for(fd, POLLIN);
    int taker = ts_accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fcntl(taker, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(taker, F_GETFD) & FD_CLOEXEC);
    char byte;
    expect_error(ts_recv(taker, &byte, 1, 0), EAGAIN);
    line_close(&(struct line){fd, opener, taker});
}

static uint8_t pattern(size_t at) { return (uint8_t)(at * 2654435761U >> 13); }

struct stream {
    int fd;
    size_t size;
};

static void *send_stream(void *argument)
{
    struct stream *stream = argument;
    static _Thread_local uint8_t bytes[65536];
    for (size_t at = 0; at < stream->size;) {
        size_t size = stream->size - at < sizeof bytes ? stream->size - at : sizeof bytes;
        for (size_t i = 0; i < size; i++)
            bytes[i] = pattern(at + i);
        for (size_t sent = 0; sent < size;) {
            ssize_t more = ts_send(stream->fd, bytes + sent, size - sent, 0);
            if (more < 0)
                return (void *)"send failed";
            sent += (size_t)more;
        }
        at += size;
    }
    ts_shutdown(stream->fd, SHUT_WR);
    return NULL;
}

static void receive_stream(int fd, size_t size)
{
    static uint8_t bytes[65536];
    size_t at = 0, wrong = 0;
    ssize_t got;
    while ((got = ts_recv(fd, bytes, sizeof bytes, 0)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            wrong += bytes[i] != pattern(at + (size_t)i);
        at += (size_t)got;
    }
    assert_int_equal(got, 0);
    assert_int_equal(at, size);
    assert_int_equal(wrong, 0);
}

static void a_large_stream_arrives_each_way_and_ends(void **state)
{
    struct line line = line_open(82);
    pthread_t sender;
    void *failure;
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct stream stream = {i ? line.taker : line.opener, 24 << 20};
        pthread_create(&sender, NULL, send_stream, &stream);
        receive_stream(i ? line.opener : line.taker, stream.size);
        pthread_join(sender, &failure);
        assert_null(failure);
    }
    line_close(&line);
}

/* Sends until the descriptor takes no more for a while. Returns the bytes taken. */
static size_t send_until_full(int fd)
{
    static char bytes[65536];
    size_t total = 0;
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    while (poll(&writable, 1, 300) == 1) {
        ssize_t sent = ts_send(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (sent > 0)
            total += (size_t)sent;
    }
    return total;
}

static void a_slow_reader_stops_the_sender(void **state)
{
    struct line line = line_open(83);
    int small = 65536;
    (void)state;
    use(&here);
    assert_int_equal(ts_setsockopt(line.opener, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    use(&there);
    assert_int_equal(ts_setsockopt(line.taker, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    size_t taken = send_until_full(line.opener);
    /* Two stack buffers, a pair of the kernel's each side. */
    assert_in_range(taken, 65536, 1000000);
    static char bytes[65536];
    for (size_t got = 0; got < taken;) {
        ssize_t more = ts_recv(line.taker, bytes, sizeof bytes, 0);
        assert_true(more > 0);
        got += (size_t)more;
    }
    assert_true(send_until_full(line.opener) > 65536); /* and reading starts it again */
    line_close(&line);
}

static void bytes_unread_in_the_pair_hold_the_window(void **state)
{
    int listener = listen_there(84, 4), small = 8192;
    (void)state;
    assert_int_equal(ts_setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    int opener = connect_there(84);
    int taker = ts_accept(listener, NULL, NULL);
    use(&here);
    assert_int_equal(ts_setsockopt(opener, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    size_t taken = send_until_full(opener);
    int unread = 0;
    ioctl(taker, FIONREAD, &unread);
    assert_in_range(unread, 1, 16384); /* not the 200 KB that the pair would hold */
    static char bytes[65536];
    for (size_t got = 0; got < taken;) { /* and it opens again as it is read */
        wait_for(taker, POLLIN);
        ssize_t more = ts_recv(taker, bytes, 1000, 0);
        assert_true(more > 0);
        got += (size_t)more;
    }
    line_close(&(struct line){listener, opener, taker});
}

/* Bytes that the stack counts as unread, as the console shows them. */
static void read_receive_queue(struct side *side, void *bytes)
{
    struct stack_summary summary;
    uint32_t cursor = 0;
    *(uint32_t *)bytes = 0;
    api_server_refresh(side->daemon.api, 0);
    while (stack_next_summary(side->daemon.stack, &cursor, &summary, side->daemon.loop.now_us))
        if (summary.state == TCP_ESTABLISHED)
            *(uint32_t *)bytes += summary.receive_queue;
}

static void bytes_read_are_not_shown_as_held(void **state)
{
    struct line line = line_open(84);
    static char bytes[8000];
    uint32_t queue;
    (void)state;
    assert_int_equal(ts_send(line.opener, bytes, sizeof bytes, 0), sizeof bytes);
    wait_for(line.taker, POLLIN);
    side_call(&there, read_receive_queue, &queue);
    assert_true(queue >= 1);
    assert_int_equal(ts_recv(line.taker, bytes, sizeof bytes, MSG_WAITALL), sizeof bytes);
    side_call(&there, read_receive_queue, &queue);
    assert_int_equal(queue, 0);
    line_close(&line);
}

/* ---- Ends ---- */

static void after_half_a_close_the_other_half_works(void **state)
{
    struct line line = line_open(85);
    char bytes[8];
    (void)state;
    assert_int_equal(ts_send(line.opener, "last", 4, 0), 4);
    assert_int_equal(ts_shutdown(line.opener, SHUT_WR), 0);
    assert_int_equal(ts_recv(line.taker, bytes, 8, MSG_WAITALL), 4);
    assert_int_equal(ts_recv(line.taker, bytes, 8, 0), 0);
    assert_int_equal(ts_send(line.taker, "reply", 5, 0), 5);
    ts_shutdown(line.taker, SHUT_WR);
    assert_int_equal(ts_recv(line.opener, bytes, 8, MSG_WAITALL), 5);
    use(&here);
    assert_int_equal(ts_recv(line.opener, bytes, 8, 0), 0);
    expect_error(ts_send(line.opener, "x", 1, 0), EPIPE);
    line_close(&line);
}

static void closing_with_bytes_unread_resets(void **state)
{
    struct line line = line_open(86);
    char byte;
    (void)state;
    assert_int_equal(ts_send(line.opener, "unread", 6, 0), 6);
    wait_for(line.taker, POLLIN);
    ts_close(line.taker);
    use(&here);
    expect_error(ts_recv(line.opener, &byte, 1, 0), ECONNRESET); /* MUST-12 */
    expect_error(ts_send(line.opener, "x", 1, 0), ECONNRESET);
    int error = 0;
    socklen_t length = sizeof error;
    assert_int_equal(ts_getsockopt(line.opener, SOL_SOCKET, SO_ERROR, &error, &length), 0);
    assert_int_equal(error, ECONNRESET);
    assert_int_equal(ts_getsockopt(line.opener, SOL_SOCKET, SO_ERROR, &error, &length), 0);
    assert_int_equal(error, 0);
    line.taker = dup(line.opener);
    line_close(&line);
}

/* The end of a connection as its descriptor and the daemon tell it: reset by the other side. */
static void line_reset(int opener, int taker)
{
    assert_int_equal(ts_send(opener, "unread", 6, 0), 6);
    wait_for(taker, POLLIN);
    ts_close(taker);
    wait_for(opener, POLLHUP);
}

static void a_reset_is_not_forgotten_over_many_others(void **state)
{
    enum { OTHERS = 5000 };
    struct line line = line_open(86);
    char byte;
    (void)state;
    line_reset(line.opener, line.taker);
    for (int i = 0; i < OTHERS; i++) {
        int opener = connect_there(86);
        line_reset(opener, ts_accept(line.listener, NULL, NULL));
        ts_close(opener);
    }
    use(&here);
    expect_error(ts_recv(line.opener, &byte, 1, 0), ECONNRESET);
    line.taker = dup(line.opener);
    line_close(&line);
}

static void a_linger_time_of_zero_resets(void **state)
{
    struct line line = line_open(87);
    struct linger linger = {1, 0};
    char byte;
    (void)state;
    use(&there);
    assert_int_equal(ts_setsockopt(line.taker, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    memset(&linger, 0, sizeof linger);
    socklen_t length = sizeof linger;
    assert_int_equal(ts_getsockopt(line.taker, SOL_SOCKET, SO_LINGER, &linger, &length), 0);
    assert_int_equal(linger.l_onoff, 1);
    ts_close(line.taker);
    use(&here);
    expect_error(ts_recv(line.opener, &byte, 1, 0), ECONNRESET);
    line.taker = dup(line.opener);
    line_close(&line);
}

static void all_is_sent_before_a_close_takes_effect(void **state)
{
    struct line line = line_open(88);
    struct stream stream = {line.opener,
                            1 << 20}; /* more than the pair holds, less than the stack */
    (void)state;
    assert_null(send_stream(&stream));
    ts_close(line.opener);
    receive_stream(line.taker, stream.size);
    line.opener = dup(line.taker);
    line_close(&line);
}

static void a_refused_connection_says_so(void **state)
{
    struct sockaddr_in remote = address_of(0x0a4d0002, 9);
    (void)state;
    expect_error(connect_there(9), ECONNREFUSED);
    int fd = ts_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    expect_error(ts_connect(fd, (struct sockaddr *)&remote, sizeof remote), EINPROGRESS);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    wait_for(fd, POLLOUT);
    int error = 0;
    socklen_t length = sizeof error;
    assert_int_equal(ts_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
    assert_int_equal(error, ECONNREFUSED);
    remote = address_of(0xe0000001, 9);
    ts_close(fd);
    fd = ts_socket(AF_INET, SOCK_STREAM, 0);
    expect_error(ts_connect(fd, (struct sockaddr *)&remote, sizeof remote), EADDRNOTAVAIL);
    ts_close(fd);
    wait_until_unused(&here);
}

static void a_non_blocking_connect_becomes_writable_when_it_stands(void **state)
{
    struct sockaddr_in remote = address_of(0x0a4d0002, 89);
    struct sockaddr_in nobody = address_of(0x0a4d004d, 89);
    char bytes[4];
    (void)state;
    int listener = listen_there(89, 4);
    use(&here);
    int fd = ts_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    expect_error(ts_connect(fd, (struct sockaddr *)&remote, sizeof remote), EINPROGRESS);
    wait_for(fd, POLLOUT);
    expect_error(ts_connect(fd, (struct sockaddr *)&remote, sizeof remote), EISCONN);
    assert_int_equal(ts_send(fd, "mine", 4, 0), 4);
    int taker = ts_accept(listener, NULL, NULL);
    assert_int_equal(ts_recv(taker, bytes, 4, MSG_WAITALL), 4);
    assert_memory_equal(bytes, "mine", 4); /* and nothing of the daemon's before it */
    int waiting = ts_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    expect_error(ts_connect(waiting, (struct sockaddr *)&nobody, sizeof nobody), EINPROGRESS);
    expect_error(ts_send(waiting, "x", 1, 0), EAGAIN);
    expect_error(ts_connect(waiting, (struct sockaddr *)&nobody, sizeof nobody), EALREADY);
    ts_close(waiting);
    line_close(&(struct line){listener, fd, taker});
}

static void a_process_that_dies_closes_its_sockets(void **state)
{
    int listener = listen_there(90, 4);
    char byte;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        int fd = connect_there(90); /* over a connection of its own to the daemon */
        _exit(fd >= 0 && ts_send(fd, "x", 1, 0) == 1 ? 0 : 1);
    }
    int taker = ts_accept(listener, NULL, NULL);
    assert_int_equal(ts_recv(taker, &byte, 1, 0), 1);
    assert_int_equal(ts_recv(taker, &byte, 1, 0), 0);
    int status = -1;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    use(&here);
    line_close(&(struct line){listener, dup(taker), taker});
}

static void the_rest_waits_when_the_listening_descriptor_is_full(void **state)
{
    enum { COUNT = 100 };
    int openers[COUNT], takers[COUNT];
    int listener = listen_there(91, 128);
    (void)state;
    for (int i = 0; i < COUNT; i++)
        assert_true((openers[i] = connect_there(91)) >= 0);
    use(&there);
    struct tcp_info info;
    socklen_t length = sizeof info;
    assert_int_equal(ts_getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    for (int i = 0; i < COUNT; i++)
        assert_true((takers[i] = ts_accept(listener, NULL, NULL)) >= 0);
    for (int i = 0; i < COUNT; i++) {
        char byte = 0;
        assert_int_equal(ts_send(openers[i], "c", 1, 0), 1);
        assert_int_equal(ts_recv(takers[i], &byte, 1, 0), 1);
        close(openers[i]);
        close(takers[i]);
    }
    for (int i = 0; i < COUNT; i++) /* some in the descriptor, some in the stack */
        assert_true((openers[i] = connect_there(91)) >= 0);
    close(listener);
    for (int i = 0; i < COUNT; i++) {
        char byte;
        assert_true(ts_recv(openers[i], &byte, 1, 0) <= 0); /* ended, one way or the other */
        close(openers[i]);
    }
    wait_until_unused(&there);
    wait_until_unused(&here);
}

static void an_urgent_byte_is_sent_in_its_place(void **state)
{
    struct line line = line_open(92);
    char bytes[8] = "";
    (void)state;
    assert_int_equal(ts_send(line.opener, "ab", 2, 0), 2);
    assert_int_equal(ts_send(line.opener, "!", 1, MSG_OOB), 1);
    assert_int_equal(ts_send(line.opener, "cd", 2, 0), 2);
    assert_int_equal(ts_recv(line.taker, bytes, 5, MSG_WAITALL), 5);
    assert_string_equal(bytes, "ab!cd");
    line_close(&line);
}

/* ---- Options ---- */

static void options_are_set_and_told(void **state)
{
    static const struct {
        int level, name, value, expected;
    } cases[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 7, 1},
        {SOL_SOCKET, SO_REUSEADDR, 1, 1},
        {SOL_SOCKET, SO_RCVBUF, 100000, 100000},
        {SOL_SOCKET, SO_SNDBUF, 100000, 100000},
        {IPPROTO_IP, IP_TTL, 17, 17},
        {IPPROTO_IP, IP_TOS, 0x10, 0x10},
        {IPPROTO_TCP, TCP_NODELAY, 1, 1},
        {IPPROTO_TCP, TCP_CORK, 1, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60, 60},
        {IPPROTO_TCP, TCP_KEEPINTVL, 5, 5},
        {IPPROTO_TCP, TCP_KEEPCNT, 3, 3},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 30000, 30000},
        {IPPROTO_TCP, TCP_SYNCNT, 2, 2},
    };
    (void)state;
    use(&here);
    int fd = ts_socket(AF_INET, SOCK_STREAM, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int value = cases[i].value;
        socklen_t length = sizeof value;
        assert_int_equal(ts_setsockopt(fd, cases[i].level, cases[i].name, &value, sizeof value), 0);
        value = -1;
        assert_int_equal(ts_getsockopt(fd, cases[i].level, cases[i].name, &value, &length), 0);
        assert_int_equal(value, cases[i].expected);
        assert_int_equal(length, sizeof value);
    }
    ts_close(fd);
}

static void wrong_options_are_refused(void **state)
{
    int value = 300;
    socklen_t length = sizeof value;
    char large[TS_OPTION_BYTES + 1] = "";
    (void)state;
    use(&here);
    int fd = ts_socket(AF_INET, SOCK_STREAM, 0);
    expect_error(ts_setsockopt(fd, IPPROTO_IP, IP_TTL, &value, sizeof value), EINVAL);
    value = -1;
    expect_error(ts_setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, sizeof value), EINVAL);
    expect_error(ts_setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, 2), EINVAL);
    expect_error(ts_setsockopt(fd, SOL_SOCKET, SO_RCVBUF, large, sizeof large), EINVAL);
    expect_error(ts_setsockopt(fd, SOL_SOCKET, 9999, &value, sizeof value), ENOPROTOOPT);
    expect_error(ts_getsockopt(fd, IPPROTO_TCP, 9999, &value, &length), ENOPROTOOPT);
    length = 1;
    expect_error(ts_getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &length), EINVAL);
    expect_error(ts_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8), ENOENT);
    ts_close(fd);
}

static void tcp_info_is_linux_layout(void **state)
{
    struct line line = line_open(93);
    struct tcp_info info;
    socklen_t length = sizeof info;
    int value = -1;
    (void)state;
    use(&there);
    memset(&info, 0xff, sizeof info);
    assert_int_equal(ts_getsockopt(line.taker, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    assert_int_equal(length, sizeof info);
    assert_int_equal(info.tcpi_state, 1); /* ESTABLISHED */
    assert_true(info.tcpi_snd_mss >= 1400);
    length = 1;
    assert_int_equal(ts_getsockopt(line.listener, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    assert_int_equal(length, 1);
    assert_int_equal(info.tcpi_state, 10); /* LISTEN */
    length = sizeof value;
    assert_int_equal(ts_getsockopt(line.taker, SOL_SOCKET, SO_ACCEPTCONN, &value, &length), 0);
    assert_int_equal(value, 0);
    assert_int_equal(ts_getsockopt(line.listener, SOL_SOCKET, SO_ACCEPTCONN, &value, &length), 0);
    assert_int_equal(value, 1);
    assert_int_equal(ts_getsockopt(line.listener, SOL_SOCKET, SO_TYPE, &value, &length), 0);
    assert_int_equal(value, SOCK_STREAM);
    line_close(&line);
}

/* ---- Misuse ---- */

static void misuse_gives_the_errno_of_posix(void **state)
{
    struct sockaddr_in local = address_of(0, 94);
    char byte;
    (void)state;
    use(&there);
    expect_error(ts_socket(AF_INET6, SOCK_STREAM, 0), EAFNOSUPPORT);
    expect_error(ts_socket(AF_INET, SOCK_RAW, 0), EPROTONOSUPPORT);
    int fd = ts_socket(AF_INET, SOCK_STREAM, 0), other = ts_socket(AF_INET, SOCK_STREAM, 0);
    expect_error(ts_send(fd, "x", 1, 0), ENOTCONN);
    expect_error(ts_shutdown(fd, SHUT_RDWR), ENOTCONN);
    expect_error(ts_accept(fd, NULL, NULL), EINVAL);
    expect_error(ts_bind(fd, (struct sockaddr *)&local, 4), EINVAL);
    assert_int_equal(ts_bind(fd, (struct sockaddr *)&local, sizeof local), 0);
    expect_error(ts_bind(fd, (struct sockaddr *)&local, sizeof local), EINVAL);
    assert_int_equal(ts_listen(fd, 1), 0);
    if (ts_bind(other, (struct sockaddr *)&local, sizeof local) == 0)
        expect_error(ts_listen(other, 1), EADDRINUSE);
    else
        assert_int_equal(errno, EADDRINUSE);
    ts_close(fd);
    ts_close(other);
    expect_error(ts_listen(fd, 1), EBADF);
    int file = open("/dev/null", O_RDONLY);
    expect_error(ts_listen(file, 1), ENOTSOCK);
    expect_error(ts_recv(file, &byte, 1, 0), ENOTSOCK);
    close(file);
    int foreign = socket(AF_INET, SOCK_STREAM, 0);
    expect_error(ts_listen(foreign, 1), ENOTSOCK);
    close(foreign);
    wait_until_unused(&there);
}

static void without_a_daemon_the_errno_says_so(void **state)
{
    (void)state;
    expect_error(ts_init("/tmp/nobody-lives-here"), ENOENT);
    expect_error(ts_socket(AF_INET, SOCK_STREAM, 0), ENOENT);
    char long_path[200];
    memset(long_path, 'a', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = 0;
    expect_error(ts_init(long_path), ENAMETOOLONG);
    use(&here);
}

static void a_program_may_close_all_its_descriptors(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        use(&here);
        closefrom(3);
        int intruder = open("/dev/null", O_RDWR); /* takes the number of the library's connection */
        int fd = ts_socket(AF_INET, SOCK_STREAM, 0);
        _exit(fd >= 0 && write(intruder, "x", 1) == 1 ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static void a_user_gets_no_more_than_its_quota(void **state)
{
    int fds[CLIENT_SOCKETS_MAX];
    (void)state;
    use(&here);
    for (int i = 0; i < CLIENT_SOCKETS_MAX; i++)
        assert_true((fds[i] = ts_socket(AF_INET, SOCK_STREAM, 0)) >= 0);
    expect_error(ts_socket(AF_INET, SOCK_STREAM, 0), ENOBUFS);
    use(&here); /* another client of the same user */
    expect_error(ts_socket(AF_INET, SOCK_STREAM, 0), ENOBUFS);
    ts_close(fds[0]);
    uint64_t limit = clock_ms() + WAIT_LIMIT_MS;
    while ((fds[0] = ts_socket(AF_INET, SOCK_STREAM, 0)) < 0)
        assert_true(clock_ms() < limit);
    for (int i = 0; i < CLIENT_SOCKETS_MAX; i++)
        ts_close(fds[i]);
}

/* ---- Clients that do not keep to the rules ---- */

static int raw_client(bool greet)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/api", here.dir);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    if (greet) {
        struct ts_request hello = {TS_MAGIC, TS_VERSION, TS_OP_HELLO, 1, 0, 0, 0, {{0}, 0, 0}, {0}};
        struct ts_reply reply;
        assert_int_equal(send(fd, &hello, sizeof hello, 0), sizeof hello);
        assert_int_equal(recv(fd, &reply, sizeof reply, 0), sizeof reply);
        assert_int_equal(reply.error, 0);
    }
    return fd;
}

static void a_malformed_request_ends_its_client_only(void **state)
{
    static const struct {
        bool greet;
        size_t size;
        struct ts_request request;
    } cases[] = {
        {true, 0, {0}}, /* the end of file of a SEQPACKET socket */
        {true, 1, {0}},
        {true, sizeof(struct ts_request) - 1, {TS_MAGIC, TS_VERSION, TS_OP_SOCKET}},
        {true, sizeof(struct ts_request), {0x12345678, TS_VERSION, TS_OP_SOCKET}},
        {true, sizeof(struct ts_request), {TS_MAGIC, TS_VERSION + 1, TS_OP_SOCKET}},
        {false, sizeof(struct ts_request), {TS_MAGIC, TS_VERSION, TS_OP_SOCKET}},
        {false, sizeof(struct ts_request), {TS_MAGIC, 77, TS_OP_HELLO}},
    };
    uint64_t before = usage_of(&here).refused_requests;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ts_reply reply;
        int fd = raw_client(cases[i].greet);
        send(fd, &cases[i].request, cases[i].size, MSG_NOSIGNAL);
        if (cases[i].size > 0) {
            assert_int_equal(recv(fd, &reply, sizeof reply, 0), sizeof reply);
            assert_int_equal(reply.error, EPROTO);
        }
        assert_int_equal(recv(fd, &reply, sizeof reply, 0), 0);
        close(fd);
    }
    assert_int_equal(usage_of(&here).refused_requests - before, 6);
    use(&here); /* the others are served */
}

static void a_request_that_makes_no_sense_is_answered(void **state)
{
    static const struct {
        uint16_t op;
        int error;
        uint32_t length;
    } cases[] = {{0, EINVAL},
                 {1000, EINVAL},
                 {65535, EINVAL},
                 {TS_OP_BIND, EPROTO},
                 {TS_OP_STATUS, EPROTO},
                 {TS_OP_SETOPT, EINVAL, TS_OPTION_BYTES + 1},
                 {TS_OP_SETOPT, EINVAL, UINT32_MAX}};
    int fd = raw_client(true);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ts_request request = {TS_MAGIC, TS_VERSION, cases[i].op, 7};
        request.length = cases[i].length;
        struct ts_reply reply;
        assert_int_equal(send(fd, &request, sizeof request, 0), sizeof request);
        assert_int_equal(recv(fd, &reply, sizeof reply, 0), sizeof reply);
        assert_int_equal(reply.error, cases[i].error);
        assert_int_equal(reply.serial, 7);
    }
    close(fd);
}

static void descriptors_that_come_along_are_closed(void **state)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(20 * sizeof(int))];
    } control = {{0}};
    struct ts_request request = {TS_MAGIC, TS_VERSION, TS_OP_STATUS, 1};
    struct iovec iov = {&request, sizeof request};
    struct msghdr m = {&(char){0}, 0, &iov, 1, &control, sizeof control.bytes, 0};
    int fd = raw_client(true), file = open("/dev/null", O_RDONLY);
    (void)state;
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(20 * sizeof(int));
    for (int i = 0; i < 20; i++)
        memcpy(CMSG_DATA(&control.header) + i * sizeof file, &file, sizeof file);
    int before = open_descriptors();
    for (int i = 0; i < 50; i++) {
        struct ts_reply reply;
        assert_int_equal(sendmsg(fd, &m, 0), sizeof request);
        assert_int_equal(recv(fd, &reply, sizeof reply, 0), sizeof reply);
        assert_int_equal(reply.error, ENOTSOCK);
    }
    usage_of(&here); /* the last one's turn is over */
    assert_int_equal(open_descriptors(), before);
    close(fd);
    close(file);
}

static void a_client_that_does_not_read_its_answers_is_disconnected(void **state)
{
    struct ts_request request = {TS_MAGIC, TS_VERSION, TS_OP_SOCKET, 1};
    uint64_t limit = clock_ms() + WAIT_LIMIT_MS;
    int fd = raw_client(true);
    (void)state;
    request.op = 1000; /* costs nothing but the answer */
    while (send(fd, &request, sizeof request, MSG_DONTWAIT | MSG_NOSIGNAL) > 0 || errno == EAGAIN)
        assert_true(clock_ms() < limit);
    assert_true(errno == EPIPE || errno == ECONNRESET);
    close(fd);
    use(&here);
}

static void nothing_is_left_over(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        int before = open_descriptors();
        for (int k = 0; k < 50; k++) {
            struct line line = line_open((uint16_t)(100 + k));
            line_close(&line);
        }
        assert_int_equal(open_descriptors(), before);
    }
}

/* ---- The daemon's end ---- */

static void shut_down(struct side *side, void *argument)
{
    (void)argument;
    api_server_shutdown(side->daemon.api);
}

static void read_idle(struct side *side, void *idle)
{
    *(bool *)idle = api_server_idle(side->daemon.api);
}

static void shutting_down_ends_in_order(void **state)
{
    struct line line = line_open(95);
    uint64_t limit = clock_ms() + WAIT_LIMIT_MS;
    bool idle = false;
    char bytes[8];
    (void)state;
    assert_int_equal(ts_send(line.taker, "last", 4, 0), 4);
    side_call(&there, shut_down, NULL);
    expect_error(ts_accept(line.listener, NULL, NULL), ECONNABORTED);
    use(&there);
    expect_error(ts_socket(AF_INET, SOCK_STREAM, 0), ENETDOWN);
    assert_int_equal(ts_recv(line.opener, bytes, 8, MSG_WAITALL), 4);
    assert_int_equal(ts_recv(line.opener, bytes, 8, 0), 0);
    expect_error(ts_send(line.taker, "x", 1, 0), EPIPE);
    ts_close(line.opener);
    assert_int_equal(ts_recv(line.taker, bytes, 8, 0), 0);
    while (!idle) {
        side_call(&there, read_idle, &idle);
        assert_true(clock_ms() < limit);
    }
    ts_close(line.taker);
    ts_close(line.listener);
    wait_until_unused(&here);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s5_a_connection_is_accepted_and_talks),
        cmocka_unit_test(names_are_those_of_both_ends),
        cmocka_unit_test(listeners_are_exempt_as_long_as_they_listen),
        cmocka_unit_test(descriptors_have_the_flags_asked_for),
        cmocka_unit_test(a_large_stream_arrives_each_way_and_ends),
        cmocka_unit_test(a_slow_reader_stops_the_sender),
        cmocka_unit_test(bytes_unread_in_the_pair_hold_the_window),
        cmocka_unit_test(bytes_read_are_not_shown_as_held),
        cmocka_unit_test(after_half_a_close_the_other_half_works),
        cmocka_unit_test(closing_with_bytes_unread_resets),
        cmocka_unit_test(a_reset_is_not_forgotten_over_many_others),
        cmocka_unit_test(a_linger_time_of_zero_resets),
        cmocka_unit_test(all_is_sent_before_a_close_takes_effect),
        cmocka_unit_test(a_refused_connection_says_so),
        cmocka_unit_test(a_non_blocking_connect_becomes_writable_when_it_stands),
        cmocka_unit_test(a_process_that_dies_closes_its_sockets),
        cmocka_unit_test(the_rest_waits_when_the_listening_descriptor_is_full),
        cmocka_unit_test(an_urgent_byte_is_sent_in_its_place),
        cmocka_unit_test(options_are_set_and_told),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(tcp_info_is_linux_layout),
        cmocka_unit_test(misuse_gives_the_errno_of_posix),
        cmocka_unit_test(without_a_daemon_the_errno_says_so),
        cmocka_unit_test(a_program_may_close_all_its_descriptors),
        cmocka_unit_test(a_user_gets_no_more_than_its_quota),
        cmocka_unit_test(a_malformed_request_ends_its_client_only),
        cmocka_unit_test(a_request_that_makes_no_sense_is_answered),
        cmocka_unit_test(descriptors_that_come_along_are_closed),
        cmocka_unit_test(a_client_that_does_not_read_its_answers_is_disconnected),
        cmocka_unit_test(nothing_is_left_over),
        cmocka_unit_test(shutting_down_ends_in_order),
    };
    return cmocka_run_group_tests_name("api", tests, start, stop);
}
