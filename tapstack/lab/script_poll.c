/* The calls of a script that ask what is ready: poll, and epoll with its edges. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "script_call.h"

/* The bits that a field names, 0 without it. */
static int64_t field_bits(const struct script_value *record, const char *name, unsigned position)
{
    const struct script_value *field = script_field(record, name, position);
    return field && field->kind == SCRIPT_INTEGER ? field->integer : 0;
}

/* poll([{fd=3, events=POLLIN, revents=POLLIN}], 1, timeout) */
enum call_status call_poll(struct call *call)
{
    const struct script_value *list = call_argument(call, 0);
    int64_t timeout_ms = call_integer(call, 2);
    int ready = 0;
    for (const struct script_value *one = list->first; one; one = one->next) {
        const struct run_fd *fd = call_fd_at(call, field_bits(one, "fd", 0));
        uint32_t wanted = (uint32_t)field_bits(one, "events", 1) | POLLERR | POLLHUP;
        if ((fd->kind == FD_NONE ? POLLNVAL : fd_ready(call->run, fd)) & (wanted | POLLNVAL))
            ready++;
    }
    if (!call->pending->begun && timeout_ms >= 0)
        call->pending->times_out_at = call->run->now_us + (uint64_t)timeout_ms * 1000;
    if (ready == 0 && timeout_ms != 0 && call->run->now_us < call->pending->times_out_at)
        return CALL_WAITS;
    for (const struct script_value *one = list->first; one; one = one->next) {
        const struct run_fd *fd = call_fd_at(call, field_bits(one, "fd", 0));
        uint32_t wanted = (uint32_t)field_bits(one, "events", 1) | POLLERR | POLLHUP;
        const struct script_value *expected = script_field(one, "revents", 2);
        if (expected && expected->kind == SCRIPT_INTEGER)
            call_expect_value(call, expected, fd_ready(call->run, fd) & wanted);
    }
    return call_done(call, ready);
}

enum call_status call_epoll_create(struct call *call)
{
    return call_done(call, call_fd_open(call, FD_EPOLL, 0, false));
}

static struct run_watch *find_watch(struct run_fd *epoll, int64_t fd)
{
    for (unsigned i = 0; i < epoll->watch_count; i++)
        if (epoll->watch[i].fd == fd)
            return &epoll->watch[i];
    return NULL;
}

/* {events=EPOLLIN, fd=4}, also with u32 or u64 or ptr for the data. */
static void set_watch(const struct script_value *event, struct run_watch *watch)
{
    static const char *const names[] = {"fd", "u32", "u64", "ptr"};
    watch->events = (uint32_t)field_bits(event, "events", 0);
    watch->data = watch->fd;
    watch->shown = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (script_field(event, names[i], 1))
            watch->data = field_bits(event, names[i], 1);
}

enum call_status call_epoll_ctl(struct call *call)
{
    struct run_fd *epoll = call_fd(call);
    int64_t what = call_integer(call, 1), fd = call_integer(call, 2);
    if (epoll->kind != FD_EPOLL || call_fd_at(call, fd)->kind == FD_NONE)
        return call_failed(call, EBADF);
    struct run_watch *watch = find_watch(epoll, fd);
    if (what == EPOLL_CTL_ADD) {
        if (watch)
            return call_failed(call, EEXIST);
        if (epoll->watch_count == RUN_WATCHES_MAX)
            return call_failed(call, ENOMEM);
        watch = &epoll->watch[epoll->watch_count++];
        watch->fd = (int)fd;
    } else if (!watch) {
        return call_failed(call, ENOENT);
    }
    if (what == EPOLL_CTL_DEL)
        *watch = epoll->watch[--epoll->watch_count];
    else
        set_watch(call_argument(call, 3), watch);
    return call_done(call, 0);
}

/* What is to be reported of a watched descriptor now. */
static uint32_t watch_ready(struct call *call, struct run_watch *watch, bool report)
{
    const struct run_fd *fd = call_fd_at(call, watch->fd);
    uint32_t now =
        fd->kind == FD_NONE ? 0 : fd_ready(call->run, fd) & (watch->events | EPOLLERR | EPOLLHUP);
    uint32_t fresh = watch->events & EPOLLET ? now & ~watch->shown : now;
    if (report || (watch->events & EPOLLET && now < watch->shown))
        watch->shown = now;
    if (report && fresh && (watch->events & EPOLLONESHOT))
        watch->events = 0;
    return fresh ? now : 0;
}

void call_wake(struct run *run, const struct stack_ready *ready)
{
    enum { NEWS = STACK_READY_SOFT_ERROR - 1 };
    for (struct run_fd *epoll = run->fd; epoll < run->fd + RUN_FDS_MAX; epoll++)
        for (unsigned i = 0; epoll->kind == FD_EPOLL && i < epoll->watch_count; i++) {
            const struct run_fd *fd = &run->fd[epoll->watch[i].fd];
            if (fd->kind != FD_NONE && fd->handle == ready->socket && (ready->what & NEWS))
                epoll->watch[i].shown = 0;
        }
}

static void expect_watch(struct call *call, const struct script_value *expected,
                         const struct run_watch *watch, uint32_t ready)
{
    static const char *const names[] = {"fd", "u32", "u64", "ptr"};
    if (!expected || expected->kind != SCRIPT_RECORD)
        return;
    const struct script_value *events = script_field(expected, "events", 0);
    if (events && events->kind == SCRIPT_INTEGER)
        call_expect_value(call, events, ready);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct script_value *data = script_field(expected, names[i], 1);
        if (data && data->kind == SCRIPT_INTEGER)
            call_expect_value(call, data, watch->data);
    }
}

/* epoll_wait(5, {events=EPOLLIN, fd=4}, 1, timeout): one record, or a list of them. */
enum call_status call_epoll_wait(struct call *call)
{
    struct run_fd *epoll = call_fd(call);
    const struct script_value *expected = call_argument(call, 1);
    int64_t most = call_integer(call, 2), timeout_ms = call_integer(call, 3), ready = 0;
    if (epoll->kind != FD_EPOLL)
        return call_failed(call, EBADF);
    for (unsigned i = 0; i < epoll->watch_count; i++)
        ready += watch_ready(call, &epoll->watch[i], false) != 0;
    if (!call->pending->begun && timeout_ms >= 0)
        call->pending->times_out_at = call->run->now_us + (uint64_t)timeout_ms * 1000;
    if (ready == 0 && timeout_ms != 0 && call->run->now_us < call->pending->times_out_at)
        return CALL_WAITS;
    if (expected->kind == SCRIPT_LIST)
        expected = expected->first;
    ready = 0;
    for (unsigned i = 0; i < epoll->watch_count && ready < most; i++) {
        uint32_t now = watch_ready(call, &epoll->watch[i], true);
        if (!now)
            continue;
        expect_watch(call, expected, &epoll->watch[i], now);
        expected = expected ? expected->next : NULL;
        ready++;
    }
    return call_done(call, ready);
}
