/* The event loop on epoll.

   A watch hands its own address to the kernel and gets it back with its events. A turn fetches up
   to LOOP_EVENTS_MAX of them; a watch that is removed while events of the turn are still to be
   served is struck out of those, so a watch may remove any other, and itself, and free it at once.

   The wait is exact to the microsecond (epoll_pwait2, Linux 5.11), rounded up on older kernels to
   the millisecond of epoll_wait. The clock is read once, after the wait: all that happens in a turn
   happens at one instant. */
#include "loop.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

enum { LOOP_EVENTS_MAX = 256, LOOP_SPIN_EVENTS_MAX = 2, LOOP_TIMER_SLACK_NS = 1000 };

int loop_open(struct loop *loop)
{
    memset(loop, 0, sizeof *loop);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return -errno;
    /* The kernel adds 50 us to every wait otherwise. */
    prctl(PR_SET_TIMERSLACK, LOOP_TIMER_SLACK_NS);
    loop->now_us = clock_monotonic_us();
    return 0;
}

void loop_close(struct loop *loop)
{
    close(loop->epoll_fd);
    loop->epoll_fd = -1;
}

static int loop_control(struct loop *loop, int operation, struct loop_watch *watch)
{
    struct epoll_event event = {.events = watch->events, .data.ptr = watch};
    return epoll_ctl(loop->epoll_fd, operation, watch->fd, &event) < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, struct loop_watch *watch)
{
    return loop_control(loop, EPOLL_CTL_ADD, watch);
}

int loop_change(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    if (watch->events == events && !(events & (EPOLLET | EPOLLONESHOT)))
        return 0;
    watch->events = events;
    return loop_control(loop, EPOLL_CTL_MOD, watch);
}

void loop_forget(struct loop *loop, const struct loop_watch *watch)
{
    for (int i = 0; i < loop->ready_count; i++)
        if (loop->ready[i].data.ptr == watch)
            loop->ready[i].data.ptr = NULL;
}

void loop_remove(struct loop *loop, struct loop_watch *watch)
{
    loop_control(loop, EPOLL_CTL_DEL, watch);
    loop_forget(loop, watch);
}

static int loop_wait_coarse(struct loop *loop, struct epoll_event *events, uint64_t wait_us)
{
    const uint64_t day_ms = 86400000;
    uint64_t wait_ms = wait_us / 1000 + (wait_us % 1000 != 0);
    if (wait_us == UINT64_MAX)
        return epoll_wait(loop->epoll_fd, events, LOOP_EVENTS_MAX, -1);
    return epoll_wait(loop->epoll_fd, events, LOOP_EVENTS_MAX,
                      (int)(wait_ms < day_ms ? wait_ms : day_ms));
}

/* wait_us: at most this long; UINT64_MAX: until a descriptor is ready. */
static int loop_wait(struct loop *loop, struct epoll_event *events, uint64_t wait_us)
{
    struct timespec limit = {.tv_sec = (time_t)(wait_us / 1000000),
                             .tv_nsec = (long)(wait_us % 1000000) * 1000};
    int count = epoll_pwait2(loop->epoll_fd, events, LOOP_EVENTS_MAX,
                             wait_us == UINT64_MAX ? NULL : &limit, NULL);
    if (count < 0 && errno == ENOSYS)
        count = loop_wait_coarse(loop, events, wait_us);
    return count < 0 ? 0 : count; /* EINTR alone is left: a turn without events */
}

static uint64_t loop_time_left(struct loop *loop)
{
    uint64_t deadline = loop->deadline ? loop->deadline(loop) : UINT64_MAX;
    if (deadline == UINT64_MAX)
        return UINT64_MAX;
    uint64_t now = clock_monotonic_us();
    return deadline > now ? deadline - now : 0;
}

static void loop_serve(struct loop *loop, struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        struct loop_watch *watch = events[i].data.ptr;
        loop->ready = events + i + 1;
        loop->ready_count = count - i - 1;
        if (watch)
            watch->ready(watch, events[i].events);
    }
}

/* An answer that is waited for often comes within microseconds, and to sleep and be woken takes
   longer. So after a turn with little to do the loop looks again a few times before it sleeps. Busy
   turns show that others want the processor. */
static bool loop_looks_again(const struct loop *loop, int last_count)
{
    return loop->spin_us > 0 && last_count > 0 && last_count <= LOOP_SPIN_EVENTS_MAX &&
           clock_monotonic_us() - loop->now_us < loop->spin_us;
}

void loop_run(struct loop *loop)
{
    struct epoll_event events[LOOP_EVENTS_MAX];
    bool more = false;
    int last_count = 0;

    while (!loop->stop) {
        uint64_t left = more ? 0 : loop_time_left(loop);
        bool again = left > 0 && loop_looks_again(loop, last_count);
        int count = loop_wait(loop, events, again ? 0 : left);
        if (again && count == 0)
            continue;
        last_count = count;
        loop->now_us = clock_monotonic_us();
        loop_serve(loop, events, count);
        more = loop->tail && loop->tail(loop);
    }
}
