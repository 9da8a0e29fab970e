/* A harness for the socket-like API from end to end in one process, without a device: two stacks with
   their API servers, each in a thread with a loop of its own, joined by a wire that is a Unix
   socketpair; the test is the application on both. _GNU_SOURCE must be defined. */
#ifndef TESTS_API_HARNESS_H
#define TESTS_API_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../tapstack/api/message.h"
#include "../../tapstack/api/tapstack.h"
#include "../../tapstack/host/daemon.h"
#include "../../tapstack/host/log.h"

#define UNUSED __attribute__((unused))

enum { CLIENT_SOCKETS_MAX = 200, WAIT_LIMIT_MS = 10000 };

/* ---- Two stacks ---- */

struct side {
    struct daemon daemon; /* first: the loop's hooks get the side from it */
    struct loop_watch wire;
    struct loop_watch calls; /* a function to call in the loop's thread comes by this */
    int caller;
    char dir[64];
    pthread_t thread;
};

static struct side here, there; /* 10.77.0.1 and 10.77.0.2 */

struct side_call {
    void (*function)(struct side *side, void *argument);
    void *argument;
};

UNUSED static void side_serve_call(struct loop_watch *watch, uint32_t events)
{
    struct side *side = (struct side *)(void *)((char *)watch - offsetof(struct side, calls));
    struct side_call call;
    (void)events;
    if (read(watch->fd, &call, sizeof call) != (ssize_t)sizeof call)
        return;
    call.function(side, call.argument);
    if (write(watch->fd, "", 1) != 1)
        abort();
}

/* Calls function in the side's thread, between two turns of its loop. */
UNUSED static void side_call(struct side *side, void (*function)(struct side *, void *),
                             void *argument)
{
    struct side_call call = {function, argument};
    char done;
    assert_int_equal(write(side->caller, &call, sizeof call), sizeof call);
    assert_int_equal(read(side->caller, &done, 1), 1);
}

UNUSED static void side_receive(struct loop_watch *watch, uint32_t events)
{
    struct side *side = (struct side *)(void *)((char *)watch - offsetof(struct side, wire));
    uint8_t bytes[2048];
    ssize_t size;
    (void)events;
    for (int i = 0; i < 64 && (size = recv(watch->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;
         i++) {
        struct frame frame = {.piece_count = 1, .piece[0] = {bytes, (size_t)size}};
        stack_input(side->daemon.stack, &frame, side->daemon.loop.now_us);
    }
}

UNUSED static bool side_tail(struct loop *loop)
{
    struct side *side = (struct side *)(void *)loop;
    struct stack_ready ready;
    while (stack_next_ready(side->daemon.stack, &ready))
        api_server_ready(side->daemon.api, &ready);
    struct frame frame;
    uint8_t bytes[2048];
    while (stack_output(side->daemon.stack, &frame, loop->now_us) > 0) {
        size_t size = frame_copy(&frame, bytes);
        if (send(side->wire.fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            break; /* a lossy wire: TCP sends it again */
    }
    return false;
}

UNUSED static uint64_t side_deadline(struct loop *loop)
{
    return stack_deadline(((struct side *)(void *)loop)->daemon.stack);
}

UNUSED static void *side_run(void *argument)
{
    loop_run(&((struct side *)argument)->daemon.loop);
    return NULL;
}

UNUSED static void *heap_allocate(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

UNUSED static void heap_release(void *context, void *block, size_t size)
{
    (void)context;
    (void)size;
    free(block);
}

UNUSED static void side_make_stack(struct side *side, uint8_t last_octet)
{
    struct stack_config config = {.memory = {heap_allocate, heap_release, NULL}};
    struct stack_interface_config interface = {.name = "wire",
                                               .mac = {{2, 0, 0, 0, 0, last_octet}},
                                               .mtu_bytes = 1500,
                                               .address_v4 = 0x0a4d0000U + last_octet,
                                               .prefix_bits = 24};
    stack_settings_default(&config.settings);
    config.seed[0] = last_octet;
    side->daemon.stack = stack_create(&config, side->daemon.loop.now_us);
    assert_non_null(side->daemon.stack);
    stack_add_interface(side->daemon.stack, &interface, side->daemon.loop.now_us);
}

UNUSED static void side_start(struct side *side, uint8_t last_octet, int wire)
{
    int ends[2];
    assert_int_equal(loop_open(&side->daemon.loop), 0);
    side->daemon.loop.tail = side_tail;
    side->daemon.loop.deadline = side_deadline;
    side->daemon.config.client_sockets_max = CLIENT_SOCKETS_MAX;
    side_make_stack(side, last_octet);
    strcpy(side->dir, "/tmp/test_api.XXXXXX");
    assert_non_null(mkdtemp(side->dir));
    side->daemon.api = api_server_create(&side->daemon, side->dir);
    assert_non_null(side->daemon.api);
    side->wire = (struct loop_watch){wire, EPOLLIN, side_receive};
    assert_int_equal(loop_add(&side->daemon.loop, &side->wire), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    side->calls = (struct loop_watch){ends[0], EPOLLIN, side_serve_call};
    side->caller = ends[1];
    assert_int_equal(loop_add(&side->daemon.loop, &side->calls), 0);
    assert_int_equal(pthread_create(&side->thread, NULL, side_run, side), 0);
}

UNUSED static void stop_now(struct side *side, void *argument)
{
    (void)argument;
    side->daemon.loop.stop = true;
}

UNUSED static void side_stop(struct side *side)
{
    side_call(side, stop_now, NULL);
    pthread_join(side->thread, NULL);
    api_server_destroy(side->daemon.api);
    stack_destroy(side->daemon.stack);
    loop_close(&side->daemon.loop);
    close(side->wire.fd);
    close(side->calls.fd);
    close(side->caller);
    assert_int_equal(rmdir(side->dir), 0); /* the socket is gone */
}

UNUSED static int start(void **state)
{
    int wire[2], bytes = 1 << 20;
    (void)state;
    log_set_level(LOG_LEVEL_ERROR);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire), 0);
    for (int i = 0; i < 2; i++)
        setsockopt(wire[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    side_start(&here, 1, wire[0]);
    side_start(&there, 2, wire[1]);
    return 0;
}

UNUSED static int stop(void **state)
{
    (void)state;
    side_stop(&here);
    side_stop(&there);
    return 0;
}

/* ---- What the tests are made of ---- */

static void use(struct side *side) { assert_int_equal(ts_init(side->dir), 0); }

UNUSED static void read_usage(struct side *side, void *usage)
{
    api_server_usage(side->daemon.api, usage);
}

UNUSED static struct api_usage usage_of(struct side *side)
{
    struct api_usage usage;
    side_call(side, read_usage, &usage);
    return usage;
}

UNUSED static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

UNUSED static void wait_until_unused(struct side *side)
{
    uint64_t limit = clock_ms() + WAIT_LIMIT_MS;
    struct api_usage usage;
    do {
        usage = usage_of(side);
        assert_true(clock_ms() < limit);
    } while (usage.connections + usage.listeners > 0);
}

UNUSED static struct sockaddr_in address_of(uint32_t v4, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    in.sin_addr.s_addr = htonl(v4);
    return in;
}

UNUSED static int listen_there(uint16_t port, int backlog)
{
    struct sockaddr_in local = address_of(0, port);
    use(&there);
    int fd = ts_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(ts_bind(fd, (struct sockaddr *)&local, sizeof local), 0);
    assert_int_equal(ts_listen(fd, backlog), 0);
    return fd;
}

UNUSED static int connect_there(uint16_t port)
{
    struct sockaddr_in remote = address_of(0x0a4d0002, port);
    use(&here);
    int fd = ts_socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (ts_connect(fd, (struct sockaddr *)&remote, sizeof remote) == 0)
        return fd;
    int error = errno;
    ts_close(fd);
    errno = error;
    return -1;
}

/* A connection from here to there: [0] is our end here, [1] the accepted one there. */
struct line {
    int listener, opener, taker;
};

UNUSED static struct line line_open(uint16_t port)
{
    struct line line;
    line.listener = listen_there(port, 16);
    line.opener = connect_there(port);
    assert_true(line.opener >= 0);
    line.taker = ts_accept(line.listener, NULL, NULL);
    assert_true(line.taker >= 0);
    return line;
}

UNUSED static void line_close(struct line *line)
{
    ts_close(line->opener);
    ts_close(line->taker);
    ts_close(line->listener);
    wait_until_unused(&here);
    wait_until_unused(&there);
}

UNUSED static void expect_error(ssize_t result, int error)
{
    int is = errno;
    assert_int_equal(result, -1);
    if (is != error)
        print_message("expected %s, got %s\n", strerrorname_np(error), strerrorname_np(is));
    assert_int_equal(is, error);
}

/* Waits until a reading would not block. */
UNUSED static void wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    assert_int_equal(poll(&p, 1, WAIT_LIMIT_MS), 1);
}

UNUSED static int open_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

#endif
