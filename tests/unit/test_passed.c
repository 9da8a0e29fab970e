/* Descriptors passed along with messages: none stays, none lingers. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "../../tapstack/host/passed.h"

enum { MOST = 253 };

/* A message of so many bytes with so many duplicates of fd. */
static void message_send(int socket, size_t bytes, int fd, size_t count)
{
    static const char text[64];
    char control[CMSG_SPACE(MOST * sizeof(int))] = {0};
    struct iovec iov = {(void *)(uintptr_t)text, bytes};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count > 0) {
        struct cmsghdr *c = (struct cmsghdr *)(void *)control;
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE(count * sizeof(int));
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        for (size_t i = 0; i < count; i++)
            memcpy(CMSG_DATA(c) + i * sizeof fd, &fd, sizeof fd);
    }
    assert_int_equal(sendmsg(socket, &m, MSG_DONTWAIT), bytes);
}

/* A TCP socket that would linger. It sees no network. */
static int lingerer(void)
{
    struct linger on = {1, 1000};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &on, sizeof on), 0);
    return fd;
}

static void expect_no_lingering(int fd)
{
    struct linger is = {1, 1};
    socklen_t size = sizeof is;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_LINGER, &is, &size), 0);
    assert_int_equal(is.l_onoff, 0);
    close(fd);
}

static unsigned descriptors_open(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_a_reading_takes_all_and_keeps_one(void **state)
{
    static const struct {
        int type;
        size_t count;
        bool keep;
    } cases[] = {{SOCK_STREAM, 0, true},        {SOCK_STREAM, 1, true},
                 {SOCK_STREAM, 5, false},       {SOCK_STREAM, MOST, true},
                 {SOCK_SEQPACKET, 1, false},    {SOCK_SEQPACKET, 5, true},
                 {SOCK_SEQPACKET, MOST, false}, {SOCK_SEQPACKET, MOST, true}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int ends[2], taken = -2, ours = lingerer();
        bool more;
        char bytes[16];
        struct iovec iov = {bytes, sizeof bytes};
        assert_int_equal(socketpair(AF_UNIX, cases[i].type, 0, ends), 0);
        message_send(ends[1], 7, ours, cases[i].count);
        unsigned before = descriptors_open();
        int *place = cases[i].keep ? &taken : NULL;
        assert_int_equal(passed_receive(ends[0], &iov, 1, 0, place, &more), 7);
        assert_int_equal(more, cases[i].count > 0);
        bool kept = cases[i].keep && cases[i].count > 0;
        assert_int_equal(descriptors_open(), before + kept);
        if (cases[i].keep)
            assert_int_equal(taken >= 0, kept);
        if (kept)
            passed_close(taken);
        if (cases[i].count > 0)
            expect_no_lingering(ours);
        else
            close(ours);
        close(ends[0]);
        close(ends[1]);
    }
}

/* The last of the messages carries the descriptor; empty ones before it are not the end. */
static void test_a_socket_is_read_empty_before_it_is_closed(void **state)
{
    static const struct {
        int type;
        size_t messages, bytes;
        bool writer_gone;
    } cases[] = {{SOCK_STREAM, 1, 1, false},    {SOCK_STREAM, 60, 64, true},
                 {SOCK_STREAM, 60, 64, false},  {SOCK_SEQPACKET, 1, 0, false},
                 {SOCK_SEQPACKET, 20, 0, true}, {SOCK_SEQPACKET, 20, 0, false},
                 {SOCK_SEQPACKET, 20, 9, true}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int ends[2], ours = lingerer();
        assert_int_equal(socketpair(AF_UNIX, cases[i].type, 0, ends), 0);
        for (size_t n = 1; n < cases[i].messages; n++)
            message_send(ends[1], cases[i].bytes, -1, 0);
        message_send(ends[1], cases[i].bytes, ours, 3);
        if (cases[i].writer_gone)
            close(ends[1]);
        passed_close_socket(ends[0]);
        expect_no_lingering(ours);
        assert_int_equal(fcntl(ends[0], F_GETFD), -1);
        if (!cases[i].writer_gone)
            close(ends[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reading_takes_all_and_keeps_one),
        cmocka_unit_test(test_a_socket_is_read_empty_before_it_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
