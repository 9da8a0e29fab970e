/* The data path: bytes between a connected descriptor and the stack.

   An application holds one end of a Unix STREAM pair, this file the other. It moves bytes both ways
   without a buffer of its own: from the pair straight into the stack's send buffer (reserve,
   recvmsg, commit), and from the stack's receive buffer straight into the pair (peek, sendmsg,
   consume).

   Back-pressure. A full send buffer pauses the reading (`paused`) until STACK_READY_SEND; then the
   pair fills and the application blocks. A full pair blocks the writing (`blocked`) until EPOLLOUT;
   then the receive buffer fills and the window closes. What lies unread in the pair counts as
   receive buffer too: `held` is an estimate from above, bytes written since the pair was known to
   be empty, set right by SIOCOUTQ only when it grows so large that the window depends on it.

   Watching is edge-triggered: a descriptor is read until it has no more. EPOLLOUT is asked for only
   while it is wanted, as otherwise every read of the application would wake us. A batch that is cut
   short for the others' sake is continued in the next turn: changing a watch reports it again.

   Ends. The application's shutdown(SHUT_WR) shows as end of file without EPOLLHUP: FIN. Its close
   shows as EPOLLHUP: the stack's socket is closed, or reset when bytes were left unread in the pair
   (EPOLLERR, ECONNRESET) or in the stack (RFC 9293 3.6.1, SHLD-3). EPOLLHUP also comes when
   both directions were shut down one by one; that is an end as well. The peer's FIN becomes our
   shutdown(SHUT_WR) behind the last byte. When the stack has lost the connection our end is closed
   and the reason remembered.

   An active OPEN begins with a pair whose application end is full of our own bytes, so that it is
   not writable; they are taken out when the connection stands, and only then the rest is read. */
#include "api_server.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "passed.h"

enum {
    READ_LEAST = 16 * 1024,
    READ_MOST = 1024 * 1024,
    TURN_BYTES = 512 * 1024, /* read from one application before the others' turn */
    HELD_CHECK = 16 * 1024,  /* smaller estimates are not worth a system call */
    /* SO_SNDBUF of the application's end; the kernel doubles it, up to its limit for all (of
       net.core.wmem_max): enough that a stream goes on being written while we are at the device. */
    WIDE_BYTES = 512 * 1024,
};

uint32_t api_connection_fill(int application_end)
{
    static const char nothing[4096];
    int least = 1; /* the kernel makes its minimum of it: an opening holds some KiB, not 208 */
    setsockopt(application_end, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    uint32_t filled = 0;
    ssize_t sent;
    while ((sent = send(application_end, nothing, sizeof nothing, MSG_DONTWAIT)) > 0)
        filled += (uint32_t)sent;
    return filled;
}

void api_connection_widen(struct api_socket *c, int application_end)
{
    int bytes = WIDE_BYTES;
    setsockopt(application_end, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    c->narrow = false;
}

static void connection_watch(struct api_socket *c, bool room_wanted)
{
    uint32_t events = EPOLLET | EPOLLIN | EPOLLPRI | EPOLLRDHUP | (room_wanted ? EPOLLOUT : 0);
    if (events != c->watch.events)
        loop_change(&c->server->daemon->loop, &c->watch, events);
}

/* The application is done with it. */
static void connection_close(struct api_socket *c)
{
    if (c->reset)
        stack_abort(api_stack(c), c->socket, api_now(c));
    else
        stack_close(api_stack(c), c->socket, api_now(c));
    api_socket_destroy(c);
}

/* The stack has lost it. */
static void connection_fail(struct api_socket *c, int stack_error)
{
    api_ended_remember(c->user, c->by_cookie.key, api_errno(stack_error));
    stack_close(api_stack(c), c->socket, api_now(c));
    api_socket_destroy(c);
}

/* ---- From the application to the peer ---- */

enum step { STEP_MORE, STEP_DONE, STEP_GONE };

/* The application sends no more. */
static enum step connection_end_reading(struct api_socket *c)
{
    bool first = !c->read_ended;
    c->read_ended = true;
    if (c->hung_up || (c->server->stopping && c->write_ended)) {
        connection_close(c);
        return STEP_GONE;
    }
    if (first)
        stack_shutdown(api_stack(c), c->socket, STACK_SHUTDOWN_WRITE, api_now(c));
    return STEP_DONE;
}

static bool connection_at_mark(const struct api_socket *c)
{
    int at_mark = 0;
    return c->urgent && ioctl(c->watch.fd, SIOCATMARK, &at_mark) == 0 && at_mark;
}

/* Reads more at once while the stream fills what is offered. */
static void connection_adapt(struct api_socket *c, bool filled)
{
    if (!filled)
        c->read_bytes = READ_LEAST;
    else if (c->read_bytes < READ_MOST)
        c->read_bytes *= 4;
}

/* One read into the send buffer. *moved: bytes, added to. */
static enum step connection_read(struct api_socket *c, size_t *moved)
{
    struct stack_room room[2] = {{0}};
    bool urgent = connection_at_mark(c);
    ptrdiff_t size = stack_send_reserve(api_stack(c), c->socket, urgent ? 1 : c->read_bytes, room);
    if (size == STACK_AGAIN) {
        c->paused = true;
        return STEP_DONE;
    }
    if (size < 0) {
        connection_fail(c, (int)size);
        return STEP_GONE;
    }
    struct iovec iov[2] = {{room[0].data, room[0].size}, {room[1].data, room[1].size}};
    bool more;
    ssize_t got = passed_receive(c->watch.fd, iov, room[1].size ? 2 : 1, 0, NULL, &more);
    int error = errno;
    stack_send_commit(api_stack(c), c->socket, got > 0 ? (size_t)got : 0,
                      urgent ? STACK_SEND_URGENT : 0, api_now(c));
    if (got > 0) {
        *moved += (size_t)got;
        connection_adapt(c, got == size);
        /* Less than asked for: drained, unless the kernel stopped at a mark, or at descriptors that
           somebody passed. Behind an end that was reported already nothing can come. */
        if (got == size || c->urgent || more)
            return STEP_MORE;
        return c->end_seen ? connection_end_reading(c) : STEP_DONE;
    }
    c->urgent = false;
    if (got < 0 && error == EINTR)
        return STEP_MORE;
    if (got < 0 && error == EAGAIN)
        return STEP_DONE;
    c->reset = c->reset || got < 0; /* ECONNRESET: closed with bytes unread */
    c->hung_up = c->hung_up || got < 0;
    return connection_end_reading(c);
}

/* Returns false when the connection is gone. */
static bool connection_collect(struct api_socket *c)
{
    if (c->read_ended)
        return connection_end_reading(c) != STEP_GONE;
    if (c->paused)
        return true;
    enum step step = STEP_MORE;
    size_t moved = 0;
    while (step == STEP_MORE && moved < TURN_BYTES)
        step = connection_read(c, &moved);
    if (step == STEP_MORE)
        loop_change(&c->server->daemon->loop, &c->watch, c->watch.events);
    return step != STEP_GONE;
}

/* ---- From the peer to the application ---- */

static uint32_t connection_receive_buffer(const struct api_socket *c)
{
    uint64_t bytes = 0;
    stack_get_option(api_stack(c), c->socket, STACK_OPTION_RECEIVE_BUFFER, &bytes);
    return bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
}

/* Asks the kernel how much the application has still not read. What it tells includes overhead. */
static void connection_measure(struct api_socket *c)
{
    int unread = 0;
    if (ioctl(c->watch.fd, SIOCOUTQ, &unread) == 0 && (uint32_t)unread < c->held)
        c->held = (uint32_t)unread;
}

void api_connection_refresh(struct api_socket *c)
{
    if (c->held == 0)
        return;
    connection_measure(c);
    stack_recv_held(api_stack(c), c->socket, c->held, api_now(c));
}

/* The application takes no more bytes. Returns the errno's meaning: go on later, or not at all. */
static void connection_refused(struct api_socket *c, int error)
{
    if (error == EAGAIN || error == EINTR) {
        c->blocked = true;
        return;
    }
    if (error == ENOBUFS || error == ENOMEM) { /* the kernel's trouble: again in the next turn */
        c->blocked = true;
        loop_change(&c->server->daemon->loop, &c->watch, c->watch.events | EPOLLOUT);
        return;
    }
    /* EPIPE. After a close the event of it is on its way, and bytes left in the stack must be seen
       unread; after a mere shutdown(SHUT_RD) they are thrown away, as Linux does. */
    struct pollfd hang_up = {.fd = c->watch.fd};
    poll(&hang_up, 1, 0);
    c->write_ended = true;
    if (!(hang_up.revents & (POLLHUP | POLLERR)))
        stack_shutdown(api_stack(c), c->socket, STACK_SHUTDOWN_READ, api_now(c));
}

/* One write of what lies in the receive buffer. */
static enum step connection_write(struct api_socket *c)
{
    struct frame_piece piece[2] = {{0}};
    ptrdiff_t size = stack_recv_peek(api_stack(c), c->socket, piece);
    if (size == STACK_AGAIN)
        return STEP_DONE;
    if (size < 0) {
        connection_fail(c, (int)size);
        return STEP_GONE;
    }
    if (size == 0) {
        shutdown(c->watch.fd, SHUT_WR);
        c->write_ended = true;
        return STEP_DONE;
    }
    struct iovec iov[2];
    for (int i = 0; i < 2; i++)
        iov[i] = (struct iovec){(void *)(uintptr_t)piece[i].data, piece[i].size};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = piece[1].size ? 2 : 1};
    ssize_t sent = sendmsg(c->watch.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
        connection_refused(c, errno);
        return STEP_DONE;
    }
    c->held += (uint32_t)sent;
    if (c->held > HELD_CHECK || c->held > connection_receive_buffer(c) / 4)
        connection_measure(c);
    stack_recv_consume(api_stack(c), c->socket, (size_t)sent, c->held, api_now(c));
    c->blocked = sent < size;
    return c->blocked ? STEP_DONE : STEP_MORE;
}

/* Returns false when the connection is gone. */
static bool connection_deliver(struct api_socket *c)
{
    enum step step = STEP_MORE;
    while (step == STEP_MORE && !c->write_ended)
        step = connection_write(c);
    if (step == STEP_GONE)
        return false;
    if (c->server->stopping && c->write_ended && c->read_ended) {
        connection_close(c);
        return false;
    }
    bool window_waits = c->held > 0 && c->held > connection_receive_buffer(c) / 4;
    connection_watch(c, (c->blocked || window_waits) && !c->write_ended);
    return true;
}

/* The application has read some of what lies in the pair. */
static bool connection_drained(struct api_socket *c)
{
    api_connection_refresh(c);
    c->blocked = false;
    return connection_deliver(c);
}

/* ---- Events ---- */

static bool connection_begin(struct api_socket *c)
{
    int on = 1; /* an urgent byte is read in its place and never skipped */
    setsockopt(c->watch.fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
    c->read_bytes = READ_LEAST;
    return connection_deliver(c);
}

void api_connection_start(struct api_socket *c) { connection_begin(c); }

/* The active OPEN has succeeded: takes out the bytes that kept the application waiting. */
static void connection_established(struct api_socket *c)
{
    char nothing[4096];
    while (c->read_bytes > 0) {
        size_t size = c->read_bytes < sizeof nothing ? c->read_bytes : sizeof nothing;
        ssize_t got = recv(c->watch.fd, nothing, size, MSG_DONTWAIT);
        if (got <= 0)
            break;
        c->read_bytes -= (uint32_t)got;
    }
    api_socket_become(c, API_CONNECTED);
    if (connection_begin(c))
        connection_collect(c); /* what came meanwhile was not looked at */
}

void api_connection_serve(struct api_socket *c, uint32_t what)
{
    if (what & STACK_READY_ERROR) {
        connection_fail(c, stack_socket_error(api_stack(c), c->socket));
        return;
    }
    if (c->kind == API_CONNECTING) {
        if (what & STACK_READY_CONNECTED)
            connection_established(c);
        return;
    }
    if ((what & (STACK_READY_RECV | STACK_READY_END)) && !c->blocked && !connection_deliver(c))
        return;
    if ((what & STACK_READY_SEND) && c->paused) {
        c->paused = false;
        connection_collect(c);
    }
}

void api_connection_stop(struct api_socket *c)
{
    if (c->kind == API_CONNECTING) {
        connection_close(c);
        return;
    }
    shutdown(c->watch.fd,
             SHUT_RD); /* what is there can still be read, then comes the end of file */
    connection_collect(c);
}

void api_connection_ready(struct loop_watch *watch, uint32_t events)
{
    struct api_socket *c = (struct api_socket *)(void *)watch; /* watch is its first member */
    if (events & EPOLLPRI)
        c->urgent = true;
    if (events & EPOLLRDHUP)
        c->end_seen = true;
    if (events & EPOLLHUP)
        c->hung_up = true;
    if (events & EPOLLERR)
        c->reset = true;
    if (c->reset || (c->hung_up && c->kind == API_CONNECTING)) {
        connection_close(c);
        return;
    }
    if (c->kind == API_CONNECTING)
        return;
    if ((events & EPOLLOUT) && !c->write_ended && !connection_drained(c))
        return;
    if (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP))
        connection_collect(c);
}
