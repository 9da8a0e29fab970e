/* The waiting module: create, wait, accept, hand over, and wait again (S3 to S8).

   The listening socket stays in the waiting state all the time (S6); what is accepted is its copy,
   which goes to a worker of the pool (S7), an idle one first (S8). If the daemon goes away, the
   listener creates its socket anew as soon as there is a daemon again. */
#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../tapstack/api/tapstack.h"
#include "errorlog.h"
#include "handoff.h"

enum { RETRY_FIRST_MS = 50, RETRY_LAST_MS = 2000, FULL_WAIT_MS = 100, ACCEPTS_A_WAKE = 256 };

struct listener {
    const struct site_config *config;
    struct scoreboard *board;
    const int *ends;
    int signal_fd;
    int fd;        /* the waiting socket, or -1 */
    unsigned turn; /* where the next pick among equals begins */
};

/* Sleeps until SIGTERM or the time is over. True: SIGTERM. */
static bool told_to_stop(const struct listener *listener, int wait_ms)
{
    struct pollfd poll_fd = {listener->signal_fd, POLLIN, 0};
    return poll(&poll_fd, 1, wait_ms) > 0;
}

/* Create (S3) and wait (S4). -1 with errno. */
static int create(const struct listener *listener)
{
    const struct site_config *config = listener->config;
    const struct sockaddr *address = (const struct sockaddr *)(const void *)&config->listen_address;
    int error, on = 1, off = 0, defer_s = 1, exempt = (int)config->exempt, fd;
    if (ts_init(*config->stack ? config->stack : NULL) < 0)
        return -1;
    fd = ts_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    ts_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* An answer is written whole; waiting for more of it would only delay its end. */
    ts_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    /* The client speaks first: a connection is worth waking up for once its request is there. */
    ts_setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer_s, sizeof(defer_s));
    /* And it is answered at once: the ACK of the request rides on the answer. */
    ts_setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off));
    ts_setsockopt(fd, TS_SOL_TAPSTACK, TS_EXEMPT, &exempt, sizeof(exempt));
    if (ts_bind(fd, address, sizeof(config->listen_address)) == 0 &&
        ts_listen(fd, (int)config->backlog) == 0)
        return fd;
    error = errno;
    ts_close(fd);
    errno = error;
    return -1;
}

/* Why not: with the place where the stack was looked for when that is the trouble. */
static void tell_failure(const struct listener *listener, int error, int wait_ms)
{
    const char *dir = listener->config->stack;
    if (error != ENOENT && error != ECONNREFUSED) {
        errorlog_write(ERRORLOG_WARNING, "cannot listen on %s: %s; again in %d ms",
                       listener->config->listen, strerror(error), wait_ms);
        return;
    }
    if (!*dir)
        dir = getenv("TAPSTACK_DIR") ? getenv("TAPSTACK_DIR") : "/run/tapstack";
    errorlog_write(ERRORLOG_WARNING, "cannot listen on %s: no tapstackd at %s (%s); again in %d ms",
                   listener->config->listen, dir, strerror(error), wait_ms);
}

/* Creates the socket, again and again if need be. False: told to stop. */
static bool create_until_done(struct listener *listener)
{
    int wait_ms = RETRY_FIRST_MS;
    while ((listener->fd = create(listener)) < 0) {
        tell_failure(listener, errno, wait_ms);
        if (told_to_stop(listener, wait_ms))
            return false;
        wait_ms = wait_ms * 2 < RETRY_LAST_MS ? wait_ms * 2 : RETRY_LAST_MS;
    }
    errorlog_write(ERRORLOG_INFO, "listening on %s", listener->config->listen);
    return true;
}

/* Every worker's queue is full: wait until one has room. False: told to stop. */
static bool wait_for_room(const struct listener *listener)
{
    struct pollfd fds[SITE_WORKERS_MAX + 1];
    unsigned count = listener->board->count;
    for (unsigned i = 0; i < count; i++)
        fds[i] = (struct pollfd){listener->ends[i], POLLOUT, 0};
    fds[count] = (struct pollfd){listener->signal_fd, POLLIN, 0};
    poll(fds, count + 1, FULL_WAIT_MS);
    return !(fds[count].revents & POLLIN);
}

/* Hands the connection to a worker (S7): an idle one, else the least loaded, else the next. */
static bool deal(struct listener *listener, const struct handoff *handoff)
{
    struct scoreboard *board = listener->board;
    uint64_t tried = 0;
    for (;;) {
        int place = scoreboard_pick(board, &listener->turn, tried);
        if (place < 0) {
            if (!wait_for_room(listener))
                return false;
            tried = 0;
            continue;
        }
        atomic_fetch_add(&board->places[place].handed, 1);
        if (handoff_send(listener->ends[place], handoff) == 0)
            return true;
        atomic_fetch_sub(&board->places[place].handed, 1);
        tried |= 1ull << place;
    }
}

enum accepted { ACCEPTED_ONE, ACCEPTED_NONE, ACCEPTED_LATER, ACCEPTED_FAILED };

/* Accept (S5): the copy of the waiting socket comes as a descriptor of its own, with the addresses
   that make the four pieces whole (S11, S12). */
static enum accepted accept_one(struct listener *listener)
{
    struct handoff handoff;
    bool dealt;
    handoff.fd = ts_accept_both(listener->fd, &handoff.peer, &handoff.local, SOCK_CLOEXEC);
    if (handoff.fd < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return ACCEPTED_NONE;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            return ACCEPTED_LATER;
        return ACCEPTED_FAILED;
    }
    dealt = deal(listener, &handoff);
    ts_close(handoff.fd); /* the worker has its own copy now */
    return dealt ? ACCEPTED_ONE : ACCEPTED_NONE;
}

/* Waits and accepts until told to stop (false) or the socket has become useless (true). */
static bool serve(struct listener *listener)
{
    for (;;) {
        struct pollfd fds[] = {{listener->fd, POLLIN, 0}, {listener->signal_fd, POLLIN, 0}};
        enum accepted accepted = ACCEPTED_ONE;
        poll(fds, 2, -1);
        if (fds[1].revents)
            return false;
        for (int i = 0; i < ACCEPTS_A_WAKE && accepted == ACCEPTED_ONE; i++)
            accepted = accept_one(listener);
        if (accepted == ACCEPTED_FAILED)
            return true;
        if (accepted == ACCEPTED_LATER) {
            errorlog_write(ERRORLOG_WARNING, "cannot accept: %s", strerror(errno));
            if (told_to_stop(listener, FULL_WAIT_MS))
                return false;
        }
    }
}

int listener_run(const struct site_config *config, struct scoreboard *board, const int *ends)
{
    struct listener listener = {.config = config, .board = board, .ends = ends, .fd = -1};
    sigset_t signals;
    bool again = true;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    listener.signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (listener.signal_fd < 0)
        return 1;
    while (again && create_until_done(&listener)) {
        again = serve(&listener);
        if (again) {
            errorlog_write(ERRORLOG_WARNING, "the waiting socket is gone: %s", strerror(errno));
            again = !told_to_stop(&listener, RETRY_FIRST_MS);
        }
        ts_close(listener.fd);
    }
    return 0;
}
