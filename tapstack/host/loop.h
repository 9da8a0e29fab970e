/* The event loop: descriptors on epoll, and the order of work in a turn.

   One turn: wait (until a descriptor is ready or the deadline), call every ready watch, then the
   turn's tail that the daemon registered: readiness of sockets, output of frames. Every watch
   handles a bounded batch and is called again in the next turn, so that nobody starves. */
#ifndef TAPSTACK_HOST_LOOP_H
#define TAPSTACK_HOST_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop_watch {
    int fd;
    uint32_t events; /* EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLET, ... */
    void (*ready)(struct loop_watch *watch, uint32_t events);
};

struct loop {
    int epoll_fd;
    uint64_t now_us; /* CLOCK_MONOTONIC, read once after every wait */
    bool stop;
    uint32_t spin_us; /* look again this long before sleeping; 0: sleep at once */
    /* The tail of a turn. Returns true when more work is left that needs no waiting. */
    bool (*tail)(struct loop *loop);
    /* When to wake at the latest: CLOCK_MONOTONIC microseconds, UINT64_MAX: never. */
    uint64_t (*deadline)(struct loop *loop);
    struct epoll_event *ready; /* events of this turn still to be served */
    int ready_count;
};

int loop_open(struct loop *loop);
void loop_close(struct loop *loop);

/* Watches watch->fd for watch->events; the watch is the caller's and must live until it is removed.
   Returns 0 or a negative errno. */
int loop_add(struct loop *loop, struct loop_watch *watch);
int loop_change(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* After this the watch is not called any more, not even for an event already fetched. Does not
   close the descriptor; call it before closing. */
void loop_remove(struct loop *loop, struct loop_watch *watch);

/* The same without a system call, where closing the descriptor follows at once and is the end of
   it: nobody else has a duplicate, with which the kernel would go on reporting. */
void loop_forget(struct loop *loop, const struct loop_watch *watch);

/* Turns until loop->stop. */
void loop_run(struct loop *loop);

#endif
