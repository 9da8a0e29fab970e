/* Datagram sockets of the applications: whole datagrams between a descriptor and the stack.

   An application holds one end of a Unix SEQPACKET pair, this file the other. Each message is a
   struct ts_datagram and the payload behind it. Towards the application the payload goes from the
   stack's queue straight into the pair; from it one message at a time is read into a buffer that all
   sockets share, and from there into a frame.

   Back-pressure. While the stack takes no more of a socket's datagrams (its send buffer is full),
   nothing is read from the application (`paused`): the pair fills, and the application waits or is
   told EAGAIN. What it has not read yet counts as received: `held` is an estimate of it from above,
   set right by SIOCOUTQ when it grows large. At the receive buffer's limit the pair gets no more
   (`blocked`), the stack's own queue fills, and then datagrams are dropped and counted. A slow
   reader loses its own datagrams, nobody else's.

   Errors go to the application as messages, in front of the datagrams that come later. POSIX keeps
   one error a socket; here another is put only into an empty pair once one has been (`error_told`),
   so that a stream of errors that nobody reads costs one message.

   After the application's close what it had sent before is still read, and sent. */
#include "api_server.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "passed.h"

enum {
    DATAGRAMS_A_TURN = 64,   /* read from one application before the others' turn */
    HELD_CHECK = 16 * 1024,  /* smaller estimates are not worth a system call */
    PAIR_BYTES = 106496,     /* SO_SNDBUF, doubled by the kernel: the largest datagram fits */
    MESSAGE_OVERHEAD = 1024, /* what the kernel charges for a message besides its bytes, at most */
};
_Static_assert(2 * PAIR_BYTES > TS_DATAGRAM_MAX + (int)sizeof(struct ts_datagram) + 32, "it fits");

void api_datagram_prepare(const int ends[2])
{
    int bytes = PAIR_BYTES, mark = TS_DATAGRAMS;
    for (int i = 0; i < 2; i++)
        setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    setsockopt(ends[1], SOL_SOCKET, SO_PRIORITY, &mark, sizeof mark);
}

static void datagram_watch(struct api_socket *s, bool room_wanted)
{
    uint32_t events = EPOLLET | EPOLLIN | EPOLLRDHUP | (room_wanted ? EPOLLOUT : 0);
    if (events != s->watch.events)
        loop_change(&s->server->daemon->loop, &s->watch, events);
}

static void datagram_close(struct api_socket *s)
{
    stack_close(api_stack(s), s->socket, api_now(s));
    api_socket_destroy(s);
}

/* ---- From the stack to the application ---- */

static void datagram_measure(struct api_socket *s)
{
    int unread = 0;
    if (ioctl(s->watch.fd, SIOCOUTQ, &unread) == 0 && (uint32_t)unread < s->held)
        s->held = (uint32_t)unread;
    if (s->held == 0)
        s->error_told = false;
}

void api_datagram_refresh(struct api_socket *s)
{
    if (s->held == 0)
        return;
    datagram_measure(s);
    stack_recv_held(api_stack(s), s->socket, s->held, api_now(s));
}

/* One message. Returns 0 or an errno. */
static int datagram_put(struct api_socket *s, struct ts_datagram *header, const void *payload,
                        size_t size)
{
    struct iovec iov[2] = {{header, sizeof *header}, {(void *)(uintptr_t)payload, size}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    header->magic = TS_MAGIC;
    if (sendmsg(s->watch.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return errno;
    s->held += (uint32_t)(sizeof *header + size + MESSAGE_OVERHEAD);
    return 0;
}

static void datagram_tell(struct api_socket *s, int error)
{
    struct ts_datagram header = {.flags = TS_DATAGRAM_ERROR, .error = error};
    if (s->error_told)
        datagram_measure(s);
    if (!s->error_told)
        s->error_told = datagram_put(s, &header, NULL, 0) == 0;
}

static bool datagram_is_full(struct api_socket *s)
{
    uint64_t limit = 0;
    stack_get_option(api_stack(s), s->socket, STACK_OPTION_RECEIVE_BUFFER, &limit);
    if (s->held > HELD_CHECK || s->held > limit / 4)
        datagram_measure(s);
    return s->held >= limit;
}

static void endpoint_write(struct ts_endpoint *to, const struct stack_endpoint *from)
{
    memcpy(to->address, from->address.octets, sizeof to->address);
    to->port = from->port;
}

static int datagram_pass(struct api_socket *s, const struct frame_piece *piece,
                         const struct stack_datagram *with)
{
    struct ts_datagram header = {
        .flags = (uint16_t)((s->pktinfo ? TS_DATAGRAM_PKTINFO : 0) |
                            (s->receive_ttl ? TS_DATAGRAM_TTL : 0) |
                            (with->to_group ? TS_DATAGRAM_GROUP : 0)),
        .ttl = with->ttl,
        .interface = (uint32_t)with->interface + 1,
    };
    endpoint_write(&header.peer, &with->remote);
    endpoint_write(&header.local, &with->local);
    return datagram_put(s, &header, piece->data, piece->size);
}

/* Returns false when the socket is gone. */
static bool datagram_deliver(struct api_socket *s)
{
    struct frame_piece piece;
    struct stack_datagram with;
    int result = STACK_AGAIN, error = 0;
    s->blocked = datagram_is_full(s);
    while (!s->blocked &&
           (result = stack_recv_from_peek(api_stack(s), s->socket, &piece, &with)) != STACK_AGAIN) {
        if (result == STACK_ABORTED) {
            datagram_close(s);
            return false;
        }
        if (result < 0) {
            datagram_tell(s, api_errno(result));
            continue;
        }
        error = datagram_pass(s, &piece, &with);
        s->blocked = error == EAGAIN || error == ENOBUFS || error == ENOMEM;
        if (!s->blocked) { /* with EPIPE nobody will read it */
            stack_recv_from_consume(api_stack(s), s->socket, s->held);
            s->blocked = datagram_is_full(s);
        }
    }
    stack_recv_held(api_stack(s), s->socket, s->held, api_now(s));
    datagram_watch(s, s->blocked);
    if (error == ENOBUFS || error == ENOMEM) /* the kernel's trouble: again in the next turn */
        loop_change(&s->server->daemon->loop, &s->watch, s->watch.events);
    return true;
}

/* ---- From the application to the stack ---- */

static int datagram_send(struct api_socket *s, const struct ts_datagram *header, size_t size)
{
    struct stack_datagram with = {
        .remote.port = header->peer.port,
        .interface = header->interface == 0 || header->interface > INT32_MAX
                         ? -1
                         : (int)header->interface - 1,
    };
    memcpy(with.remote.address.octets, header->peer.address, sizeof header->peer.address);
    memcpy(with.local.address.octets, header->local.address, sizeof header->local.address);
    if (header->magic != TS_MAGIC)
        return EINVAL;
    if (size > TS_DATAGRAM_MAX)
        return EMSGSIZE;
    int result =
        stack_send_to(api_stack(s), s->socket, s->server->datagram, size, &with, api_now(s));
    return result == STACK_NOT_CONNECTED ? EDESTADDRREQ : api_errno(result);
}

enum step { STEP_MORE, STEP_DONE, STEP_GONE };

/* One message. */
static enum step datagram_take(struct api_socket *s)
{
    struct ts_datagram header;
    struct iovec iov[2] = {{&header, sizeof header},
                           {s->server->datagram, sizeof s->server->datagram}};
    if (stack_send_check(api_stack(s), s->socket) == STACK_AGAIN) {
        s->paused = true;
        return STEP_DONE;
    }
    ssize_t got = passed_receive(s->watch.fd, iov, 2, MSG_TRUNC, NULL, NULL);
    if (got < 0 && errno == EAGAIN && !s->hung_up)
        return STEP_DONE;
    if (got <= 0) {
        /* Nothing behind the end; before it an empty message is none, and ECONNRESET tells of
           datagrams that the application left unread. */
        bool more = got < 0 ? errno == EINTR || errno == ECONNRESET : !s->end_seen;
        if (!more && s->hung_up) {
            datagram_close(s);
            return STEP_GONE;
        }
        return more ? STEP_MORE : STEP_DONE;
    }
    int error = got < (ssize_t)sizeof header
                    ? EINVAL
                    : datagram_send(s, &header, (size_t)got - sizeof header);
    if (error)
        datagram_tell(s, error);
    return STEP_MORE;
}

static void datagram_collect(struct api_socket *s)
{
    enum step step = STEP_MORE;
    if (s->paused)
        return;
    for (int i = 0; i < DATAGRAMS_A_TURN && step == STEP_MORE; i++)
        step = datagram_take(s);
    if (step == STEP_MORE)
        loop_change(&s->server->daemon->loop, &s->watch, s->watch.events);
}

/* ---- Events ---- */

void api_datagram_serve(struct api_socket *s, uint32_t what)
{
    if ((what & (STACK_READY_RECV | STACK_READY_ERROR)) && !datagram_deliver(s))
        return;
    if ((what & STACK_READY_SEND) && s->paused) {
        s->paused = false;
        datagram_collect(s);
    }
}

void api_datagram_ready(struct loop_watch *watch, uint32_t events)
{
    struct api_socket *s = (struct api_socket *)(void *)watch; /* watch is its first member */
    if (events & (EPOLLRDHUP | EPOLLHUP))
        s->end_seen = true;
    if (events & (EPOLLHUP | EPOLLERR))
        s->hung_up = true;
    if ((events & EPOLLOUT) && !s->hung_up && !datagram_deliver(s))
        return;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        datagram_collect(s);
}
