/* The socket-like API: datagrams, from one stack to another. */
#define _GNU_SOURCE
#include "api_harness.h"

#define HERE_V4  UINT32_C(0x0a4d0001)
#define THERE_V4 UINT32_C(0x0a4d0002)
#define GROUP_V4 UINT32_C(0xef010203)

static int open_at(struct side *side, uint16_t port)
{
    struct sockaddr_in local = address_of(0, port);
    use(side);
    int fd = ts_socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (port != 0)
        assert_int_equal(ts_bind(fd, (struct sockaddr *)&local, sizeof local), 0);
    return fd;
}

static ssize_t send_to(struct side *side, int fd, const void *bytes, size_t size, uint32_t v4,
                       uint16_t port)
{
    struct sockaddr_in to = address_of(v4, port);
    use(side);
    return ts_sendto(fd, bytes, size, 0, (struct sockaddr *)&to, sizeof to);
}

static int connect_to(struct side *side, int fd, uint32_t v4, uint16_t port)
{
    struct sockaddr_in to = address_of(v4, port);
    use(side);
    return ts_connect(fd, (struct sockaddr *)&to, sizeof to);
}

static void set(struct side *side, int fd, int level, int name, int value)
{
    use(side);
    assert_int_equal(ts_setsockopt(fd, level, name, &value, sizeof value), 0);
}

static int get(struct side *side, int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;
    use(side);
    assert_int_equal(ts_getsockopt(fd, level, name, &value, &length), 0);
    return value;
}

static void expect_text(int fd, const char *text)
{
    char bytes[100];
    wait_for(fd, POLLIN);
    ssize_t got = ts_recv(fd, bytes, sizeof bytes, 0);
    assert_int_equal(got, strlen(text));
    assert_memory_equal(bytes, text, (size_t)got);
}

static void close_all(int a, int b)
{
    ts_close(a);
    ts_close(b);
    uint64_t limit = clock_ms() + WAIT_LIMIT_MS;
    while (usage_of(&here).datagrams + usage_of(&there).datagrams > 0)
        assert_true(clock_ms() < limit);
}

/* ---- Talking ---- */

static void s24_a_datagram_goes_there_and_back(void **state)
{
    struct sockaddr_in peer, local;
    socklen_t length = sizeof peer;
    char bytes[100];
    (void)state;
    int server = open_at(&there, 7), client = open_at(&here, 1000);
    assert_int_equal(send_to(&here, client, "hello", 5, THERE_V4, 7), 5);
    wait_for(server, POLLIN);
    assert_int_equal(ts_recvfrom_both(server, bytes, sizeof bytes, 0, &peer, &local), 5);
    assert_memory_equal(bytes, "hello", 5);
    assert_int_equal(ntohl(peer.sin_addr.s_addr), HERE_V4);
    assert_int_equal(ntohs(peer.sin_port), 1000);
    assert_int_equal(ntohl(local.sin_addr.s_addr), THERE_V4);
    assert_int_equal(ntohs(local.sin_port), 7);
    use(&there);
    assert_int_equal(ts_sendto(server, "world", 5, 0, (struct sockaddr *)&peer, sizeof peer), 5);
    wait_for(client, POLLIN);
    assert_int_equal(ts_recvfrom(client, bytes, sizeof bytes, 0, (struct sockaddr *)&peer, &length),
                     5);
    assert_int_equal(length, sizeof peer);
    assert_int_equal(ntohs(peer.sin_port), 7);
    assert_int_equal(get(&here, client, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    close_all(server, client);
}

static void datagrams_keep_their_borders(void **state)
{
    static const size_t sizes[] = {0, 1, 1472, 3, 0, 100};
    char bytes[2000] = {0};
    (void)state;
    int server = open_at(&there, 7), client = open_at(&here, 0);
    assert_int_equal(connect_to(&here, client, THERE_V4, 7), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_int_equal(ts_send(client, bytes, sizes[i], 0), sizes[i]);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        wait_for(server, POLLIN);
        assert_int_equal(ts_recv(server, bytes, sizeof bytes, 0), sizes[i]);
    }
    expect_error(ts_recv(server, bytes, sizeof bytes, MSG_DONTWAIT), EAGAIN);
    close_all(server, client);
}

static void peeking_and_truncating(void **state)
{
    char bytes[100];
    struct iovec iov[2] = {{bytes, 2}, {bytes + 50, 3}};
    struct sockaddr_in peer;
    struct msghdr m = {
        .msg_name = &peer, .msg_namelen = sizeof peer, .msg_iov = iov, .msg_iovlen = 2};
    (void)state;
    int server = open_at(&there, 7), client = open_at(&here, 0);
    assert_int_equal(send_to(&here, client, "abcdefgh", 8, THERE_V4, 7), 8);
    assert_int_equal(send_to(&here, client, "next", 4, THERE_V4, 7), 4);
    wait_for(server, POLLIN);
    assert_int_equal(ts_recv(server, bytes, 3, MSG_PEEK), 3);
    assert_int_equal(ts_recv(server, bytes, 3, MSG_PEEK | MSG_TRUNC), 8);
    assert_int_equal(ts_recvmsg(server, &m, 0), 5);
    assert_true(m.msg_flags & MSG_TRUNC);
    assert_memory_equal(bytes, "ab", 2);
    assert_memory_equal(bytes + 50, "cde", 3);
    assert_int_equal(m.msg_namelen, sizeof peer);
    expect_text(server, "next"); /* what was cut is lost */
    close_all(server, client);
}

static void packet_information(void **state)
{
    char bytes[100];
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {bytes, sizeof bytes};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    (void)state;
    int server = open_at(&there, 7), client = open_at(&here, 0);
    set(&there, server, IPPROTO_IP, IP_PKTINFO, 1);
    set(&there, server, IPPROTO_IP, IP_RECVTTL, 1);
    set(&here, client, IPPROTO_IP, IP_TTL, 33);
    assert_int_equal(get(&there, server, IPPROTO_IP, IP_PKTINFO), 1);
    send_to(&here, client, "x", 1, THERE_V4, 7);
    send_to(&here, client, "y", 1, THERE_V4, 7);
    wait_for(server, POLLIN);
    m.msg_control = &control;
    m.msg_controllen = sizeof control;
    assert_int_equal(ts_recvmsg(server, &m, 0), 1);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    struct in_pktinfo info;
    int ttl;
    assert_non_null(c);
    assert_int_equal(c->cmsg_type, IP_PKTINFO);
    memcpy(&info, CMSG_DATA(c), sizeof info);
    assert_int_equal(ntohl(info.ipi_addr.s_addr), THERE_V4);
    assert_int_equal(ntohl(info.ipi_spec_dst.s_addr), THERE_V4);
    assert_int_equal(info.ipi_ifindex, 1);
    assert_non_null(c = CMSG_NXTHDR(&m, c));
    assert_int_equal(c->cmsg_type, IP_TTL);
    memcpy(&ttl, CMSG_DATA(c), sizeof ttl);
    assert_int_equal(ttl, 33);
    m.msg_controllen = 8;
    wait_for(server, POLLIN);
    assert_int_equal(ts_recvmsg(server, &m, 0), 1);
    assert_true(m.msg_flags & MSG_CTRUNC);
    close_all(server, client);
}

/* The source address of a datagram can be asked for, but only one of ours. */
static void the_source_can_be_chosen(void **state)
{
    static const struct {
        uint32_t source;
        int error;
    } cases[] = {{HERE_V4, 0}, {0, 0}, {THERE_V4, EADDRNOTAVAIL}};
    char bytes[10];
    (void)state;
    int server = open_at(&there, 7), client = open_at(&here, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        union {
            struct cmsghdr header;
            char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
        } control = {{0}};
        struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(cases[i].source)};
        struct sockaddr_in to = address_of(THERE_V4, 7);
        struct iovec iov = {bytes, 1};
        struct msghdr m = {.msg_name = &to,
                           .msg_namelen = sizeof to,
                           .msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control.bytes};
        control.header = (struct cmsghdr){CMSG_LEN(sizeof info), IPPROTO_IP, IP_PKTINFO};
        memcpy(CMSG_DATA(&control.header), &info, sizeof info);
        assert_int_equal(ts_sendmsg(client, &m, 0), 1);
        if (cases[i].error) {
            wait_for(client, POLLIN);
            expect_error(ts_recv(client, bytes, sizeof bytes, 0), cases[i].error);
        } else {
            wait_for(server, POLLIN);
            assert_int_equal(ts_recv(server, bytes, sizeof bytes, 0), 1);
        }
    }
    close_all(server, client);
}

/* ---- Peers and errors ---- */

static void s24_a_refused_peer_is_told(void **state)
{
    char bytes[10];
    (void)state;
    int client = open_at(&here, 0);
    assert_int_equal(connect_to(&here, client, THERE_V4, 9), 0);
    assert_int_equal(ts_send(client, "x", 1, 0), 1);
    wait_for(client, POLLIN);
    expect_error(ts_recv(client, bytes, sizeof bytes, 0), ECONNREFUSED);
    expect_error(ts_recv(client, bytes, sizeof bytes, MSG_DONTWAIT), EAGAIN); /* once */
    assert_int_equal(ts_send(client, "x", 1, 0), 1);
    wait_for(client, POLLIN);
    expect_error(ts_send(client, "x", 1, 0), ECONNREFUSED);
    assert_int_equal(ts_send(client, "x", 1, 0), 1);
    wait_for(client, POLLIN);
    assert_int_equal(get(&here, client, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    assert_int_equal(get(&here, client, SOL_SOCKET, SO_ERROR), 0);
    close_all(client, -1);
}

static void a_peer_comes_and_goes(void **state)
{
    struct sockaddr_in name;
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    socklen_t length = sizeof name;
    (void)state;
    int server = open_at(&there, 7), client = open_at(&here, 1000);
    use(&here);
    expect_error(ts_getpeername(client, (struct sockaddr *)&name, &length), ENOTCONN);
    assert_int_equal(ts_send(client, "x", 1, 0), 1); /* handed over, and refused there */
    wait_for(client, POLLIN);
    expect_error(ts_send(client, "x", 1, 0), EDESTADDRREQ);
    assert_int_equal(connect_to(&here, client, THERE_V4, 7), 0);
    assert_int_equal(ts_getpeername(client, (struct sockaddr *)&name, &length), 0);
    assert_int_equal(ntohs(name.sin_port), 7);
    assert_int_equal(ts_getsockname(client, (struct sockaddr *)&name, &length), 0);
    assert_int_equal(ntohl(name.sin_addr.s_addr), HERE_V4);
    assert_int_equal(ntohs(name.sin_port), 1000);
    assert_int_equal(ts_send(client, "peer", 4, 0), 4);
    expect_text(server, "peer");
    use(&here);
    assert_int_equal(ts_connect(client, &none, sizeof none), 0);
    expect_error(ts_getpeername(client, (struct sockaddr *)&name, &length), ENOTCONN);
    close_all(server, client);
}

static void what_cannot_be_sent_is_told(void **state)
{
    static const struct {
        uint32_t v4;
        int error;
    } cases[] = {
        {0xffffffff, EACCES},
        {0x0a4d00ff, EACCES},
        {0x08080808, ENETUNREACH},
        {HERE_V4, EADDRNOTAVAIL},
    };
    static char large[65508];
    char bytes[10];
    (void)state;
    int client = open_at(&here, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(send_to(&here, client, "x", 1, cases[i].v4, 9), 1);
        wait_for(client, POLLIN);
        expect_error(ts_recv(client, bytes, sizeof bytes, 0), cases[i].error);
    }
    expect_error(send_to(&here, client, large, sizeof large, THERE_V4, 9), EMSGSIZE);
    expect_error(send_to(&here, client, "x", 1, THERE_V4, 0), EINVAL);
    expect_error(ts_listen(client, 1), EOPNOTSUPP);
    expect_error(ts_accept(client, NULL, NULL), EINVAL);
    close_all(client, -1);
}

/* Errors that nobody reads do not pile up. */
static void one_error_is_kept(void **state)
{
    char bytes[10];
    (void)state;
    int client = open_at(&here, 0);
    set(&here, client, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    struct ts_datagram header = {.magic = TS_MAGIC, .peer.port = 9};
    for (int i = 0; i < 1000; i++) /* past the library, which would take each error first */
        assert_int_equal(send(client, &header, sizeof header, 0), sizeof header);
    wait_for(client, POLLIN);
    usage_of(&here); /* a turn of the loop has passed */
    while (usage_of(&here).datagrams == 1 && ts_recv(client, bytes, 1, MSG_DONTWAIT) < 0 &&
           errno != EAGAIN)
        ;
    expect_error(ts_recv(client, bytes, 1, MSG_DONTWAIT), EAGAIN);
    close_all(client, -1);
}

static void messages_without_a_header_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {{"short", 5}, {"", 0}, {0, 56}, {0, 60}};
    static char zeros[100];
    char bytes[10];
    (void)state;
    int client = open_at(&here, 0);
    assert_int_equal(sizeof(struct ts_datagram), 56);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *from = cases[i].bytes ? cases[i].bytes : zeros;
        assert_int_equal(send(client, from, cases[i].size, 0), cases[i].size);
        if (cases[i].size == 0)
            continue;
        wait_for(client, POLLIN);
        expect_error(ts_recv(client, bytes, 1, 0), EINVAL);
    }
    close_all(client, -1);
}

/* ---- Limits ---- */

static void drop_count(struct side *side, void *count)
{
    *(uint64_t *)count = stack_counters(side->daemon.stack)[STACK_COUNTER_UDP_RCVBUF_ERRORS];
}

static void a_slow_reader_loses_its_own_datagrams(void **state)
{
    static char bytes[1400];
    uint64_t drops = 0, limit = clock_ms() + WAIT_LIMIT_MS;
    unsigned got = 0;
    (void)state;
    int slow = open_at(&there, 7), quick = open_at(&there, 8), client = open_at(&here, 0);
    set(&there, slow, SOL_SOCKET, SO_RCVBUF, 20000);
    for (int i = 0; i < 200; i++)
        assert_int_equal(send_to(&here, client, bytes, sizeof bytes, THERE_V4, 7), sizeof bytes);
    send_to(&here, client, "quick", 5, THERE_V4, 8);
    expect_text(quick, "quick");
    side_call(&there, drop_count, &drops);
    assert_true(drops > 150);
    while (ts_recv(slow, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        got++;
    assert_true(got >= 5 && got <= 30);
    while (got < 200 - drops) { /* what lay in the stack comes behind what lay in the pair */
        assert_true(clock_ms() < limit);
        got += ts_recv(slow, bytes, sizeof bytes, MSG_DONTWAIT) > 0;
    }
    send_to(&here, client, "again", 5, THERE_V4, 7);
    expect_text(slow, "again");
    ts_close(quick);
    close_all(slow, client);
}

static void a_quota_holds_for_datagrams(void **state)
{
    int fds[CLIENT_SOCKETS_MAX];
    (void)state;
    for (int i = 0; i < CLIENT_SOCKETS_MAX; i++)
        fds[i] = open_at(&here, 0);
    expect_error(ts_socket(AF_INET, SOCK_DGRAM, 0), ENOBUFS);
    for (int i = 2; i < CLIENT_SOCKETS_MAX; i++)
        ts_close(fds[i]);
    close_all(fds[0], fds[1]);
}

static void what_was_sent_before_the_close_arrives(void **state)
{
    (void)state;
    int server = open_at(&there, 7);
    for (int i = 0; i < 20; i++) {
        int client = open_at(&here, 0);
        for (int k = 0; k < 3; k++)
            send_to(&here, client, "last", 4, THERE_V4, 7);
        ts_close(client);
        for (int k = 0; k < 3; k++)
            expect_text(server, "last");
    }
    close_all(server, -1);
}

/* ---- Multicast ---- */

static void groups_are_joined_and_left(void **state)
{
    struct ip_mreqn group = {.imr_multiaddr.s_addr = htonl(GROUP_V4)};
    struct in_addr interface;
    socklen_t length = sizeof interface;
    (void)state;
    int member = open_at(&there, 5353), client = open_at(&here, 0);
    use(&there);
    assert_int_equal(
        ts_setsockopt(member, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(struct ip_mreq)), 0);
    expect_error(ts_setsockopt(member, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group),
                 EADDRINUSE);
    send_to(&here, client, "group", 5, GROUP_V4, 5353);
    expect_text(member, "group");
    use(&there);
    assert_int_equal(ts_setsockopt(member, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group),
                     0);
    expect_error(ts_setsockopt(member, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group),
                 EADDRNOTAVAIL);
    group.imr_ifindex = 2;
    expect_error(ts_setsockopt(member, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group),
                 ENODEV);
    group = (struct ip_mreqn){.imr_address.s_addr = htonl(THERE_V4)};
    expect_error(ts_setsockopt(member, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group),
                 EINVAL);
    assert_int_equal(ts_setsockopt(member, IPPROTO_IP, IP_MULTICAST_IF, &group.imr_address, 4), 0);
    assert_int_equal(ts_getsockopt(member, IPPROTO_IP, IP_MULTICAST_IF, &interface, &length), 0);
    assert_int_equal(ntohl(interface.s_addr), THERE_V4);
    set(&here, client, SOL_SOCKET, SO_BROADCAST, 1);
    send_to(&here, client, "all", 3, 0xffffffff, 5353);
    expect_text(member, "all");
    close_all(member, client);
}

static void options_are_checked(void **state)
{
    static const struct {
        int level, name, value, error;
    } cases[] = {
        {SOL_SOCKET, SO_BROADCAST, 1, 0},
        {SOL_SOCKET, SO_RCVBUF, 4096, 0},
        {SOL_SOCKET, SO_SNDBUF, 4096, 0},
        {SOL_SOCKET, SO_REUSEADDR, 1, 0},
        {SOL_SOCKET, SO_RCVBUF, 1, EINVAL},
        {IPPROTO_IP, IP_TTL, 64, 0},
        {IPPROTO_IP, IP_TTL, 256, EINVAL},
        {IPPROTO_IP, IP_TTL, 0, EINVAL},
        {IPPROTO_IP, IP_TOS, 0x10, 0},
        {IPPROTO_IP, IP_MULTICAST_TTL, 0, 0},
        {IPPROTO_IP, IP_MULTICAST_LOOP, 0, 0},
        {IPPROTO_IP, IP_MTU_DISCOVER, 2, 0},
        {IPPROTO_IP, IP_MTU_DISCOVER, 9, EINVAL},
        {SOL_SOCKET, SO_NO_CHECK, 1, 0},
        {SOL_SOCKET, SO_KEEPALIVE, 1, ENOPROTOOPT},
        {IPPROTO_TCP, 1, 1, ENOPROTOOPT},
        {SOL_SOCKET, SO_LINGER, 1, ENOPROTOOPT},
    };
    (void)state;
    int fd = open_at(&here, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int result = ts_setsockopt(fd, cases[i].level, cases[i].name, &cases[i].value, sizeof(int));
        if (cases[i].error) {
            expect_error(result, cases[i].error);
            continue;
        }
        assert_int_equal(result, 0);
        assert_int_equal(get(&here, fd, cases[i].level, cases[i].name), cases[i].value);
    }
    int stream = ts_socket(AF_INET, SOCK_STREAM, 0), one = 1;
    expect_error(ts_setsockopt(stream, SOL_SOCKET, SO_BROADCAST, &one, sizeof one), ENOPROTOOPT);
    expect_error(ts_recvfrom_both(stream, &one, 1, 0, NULL, NULL), EOPNOTSUPP);
    ts_close(stream);
    close_all(fd, -1);
}

/* ---- The end ---- */

static void kill_first(struct side *side, void *argument)
{
    struct stack_summary summary;
    uint32_t cursor = 0;
    (void)argument;
    while (stack_next_summary(side->daemon.stack, &cursor, &summary, side->daemon.loop.now_us))
        if (summary.protocol == IPPROTO_UDP)
            stack_kill(side->daemon.stack, summary.id, side->daemon.loop.now_us);
}

static void the_operator_ends_it(void **state)
{
    char bytes[10];
    (void)state;
    int fd = open_at(&here, 1000);
    side_call(&here, kill_first, NULL);
    wait_for(fd, POLLIN);
    expect_error(ts_recv(fd, bytes, sizeof bytes, 0), ECONNABORTED);
    expect_error(ts_send(fd, "x", 1, 0), ECONNABORTED);
    close_all(fd, -1);
    fd = open_at(&here, 1000); /* the port is free */
    close_all(fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s24_a_datagram_goes_there_and_back),
        cmocka_unit_test(datagrams_keep_their_borders),
        cmocka_unit_test(peeking_and_truncating),
        cmocka_unit_test(packet_information),
        cmocka_unit_test(the_source_can_be_chosen),
        cmocka_unit_test(s24_a_refused_peer_is_told),
        cmocka_unit_test(a_peer_comes_and_goes),
        cmocka_unit_test(what_cannot_be_sent_is_told),
        cmocka_unit_test(one_error_is_kept),
        cmocka_unit_test(messages_without_a_header_are_refused),
        cmocka_unit_test(a_slow_reader_loses_its_own_datagrams),
        cmocka_unit_test(a_quota_holds_for_datagrams),
        cmocka_unit_test(what_was_sent_before_the_close_arrives),
        cmocka_unit_test(groups_are_joined_and_left),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(the_operator_ends_it),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
