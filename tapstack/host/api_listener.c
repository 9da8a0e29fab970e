/* Listening descriptors: connections that stand leave the stack's accept queue as descriptors.

   A listening descriptor is one end of a SEQPACKET pair. Each connection is made a STREAM pair
   whose one end travels through the other (struct ts_accepted). The pair holds only a few: when it
   is full the rest waits in the stack, so that the backlog means what the application asked for.
   One connection may have been taken from the stack and not have fitted: it is kept (`waiting`) and
   goes first. */
#include "api_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"

enum {
    ACCEPTS_A_TURN = 64,
    IN_FLIGHT_MAX = 32,
    IN_FLIGHT_BYTES =
        400, /* half of what one message occupies, as SO_SNDBUF doubles its argument */
};

static void listener_watch_room(struct api_socket *s, bool wanted)
{
    uint32_t events = EPOLLET | EPOLLRDHUP | (wanted ? EPOLLOUT : 0);
    if (wanted || s->watch.events != events)
        loop_change(&s->server->daemon->loop, &s->watch, events);
}

/* ---- Exempt from impairments ---- */

static uint16_t listener_port(struct api_socket *s)
{
    struct stack_summary summary;
    return stack_summary(api_stack(s), s->socket, &summary, api_now(s)) < 0 ? 0
                                                                            : summary.local.port;
}

static int exempt_add(struct cable_exempt *exempt, uint16_t port)
{
    if (exempt->count == CABLE_EXEMPT_MAX)
        return ENOBUFS;
    exempt->port[exempt->count++] = port;
    return 0;
}

static void exempt_remove(struct cable_exempt *exempt, uint16_t port)
{
    for (unsigned i = 0; i < exempt->count; i++) {
        if (exempt->port[i] == port) {
            exempt->port[i] = exempt->port[--exempt->count];
            return;
        }
    }
}

int api_listener_exempt(struct api_socket *s, bool exempt)
{
    struct cable_exempt *ports = &s->server->daemon->exempt;
    int error = 0;
    if (s->kind == API_LISTENER && exempt && !s->exempt)
        error = exempt_add(ports, listener_port(s));
    else if (s->kind == API_LISTENER && !exempt && s->exempt)
        exempt_remove(ports, listener_port(s));
    if (error == 0)
        s->exempt = exempt;
    return error;
}

/* ---- Opening ---- */

int api_listener_open(struct api_socket *s, int subject, int backlog)
{
    static const struct stack_endpoint any;
    int error = 0;
    if (!s->bound)
        error = stack_bind(api_stack(s), s->socket, &any);
    if (error < 0)
        return api_errno(error);
    s->bound = true;
    int places = backlog < 1 ? 1 : backlog;
    error = stack_listen(api_stack(s), s->socket, places);
    if (error < 0)
        return api_errno(error);
    if (s->exempt && s->kind != API_LISTENER &&
        exempt_add(&s->server->daemon->exempt, listener_port(s)) != 0)
        s->exempt = false;
    int bytes = (places < IN_FLIGHT_MAX ? places : IN_FLIGHT_MAX) * IN_FLIGHT_BYTES;
    setsockopt(s->watch.fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    int mark = TS_LISTENING;
    setsockopt(subject, SOL_SOCKET, SO_PRIORITY, &mark, sizeof mark);
    if (s->kind != API_LISTENER)
        api_socket_become(s, API_LISTENER);
    return 0;
}

/* ---- Accepting ---- */

static bool listener_send(struct api_socket *s, int fd, struct ts_accepted *message)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {message, sizeof *message};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control.bytes};
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    if (sendmsg(s->watch.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return true;
    if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
        return false;
    /* The application has closed the listener (EPIPE): the connection sees its descriptor
       closed. */
    if (errno != EPIPE)
        log_warning("api: connection not handed to the application: %s", strerror(errno));
    return true;
}

/* Hands the descriptor to the application, now or when there is room. */
static void listener_pass(struct api_socket *s, int fd, struct ts_accepted *message)
{
    if (!listener_send(s, fd, message)) {
        s->waiting = malloc(sizeof *s->waiting);
        if (s->waiting) {
            *s->waiting = (struct api_waiting){fd, *message};
            listener_watch_room(s, true);
            return;
        }
    }
    close(fd);
}

static struct ts_accepted listener_message(struct api_socket *s, int handle)
{
    struct ts_accepted message = {.magic = TS_MAGIC};
    struct stack_summary summary;
    if (stack_summary(api_stack(s), handle, &summary, api_now(s)) < 0)
        return message;
    message.id = summary.id;
    memcpy(message.local.address, summary.local.address.octets, sizeof message.local.address);
    message.local.port = summary.local.port;
    memcpy(message.peer.address, summary.remote.address.octets, sizeof message.peer.address);
    message.peer.port = summary.remote.port;
    return message;
}

static void listener_take(struct api_socket *s, int handle)
{
    int ends[2];
    struct api_socket *c = NULL;
    struct ts_accepted message = listener_message(s, handle);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0) {
        c = api_socket_create(s->server, API_CONNECTED, ends, handle, s->user);
        if (!c) {
            close(ends[0]);
            close(ends[1]);
        }
    }
    if (!c) {
        log_warning("api: connection refused, no descriptor or memory: %s", strerror(errno));
        stack_abort(api_stack(s), handle, api_now(s));
        return;
    }
    c->owner_pid = s->owner_pid;
    api_connection_widen(c, ends[1]);
    api_connection_start(
        c); /* before it is handed over: what has come is there at the first read */
    listener_pass(s, ends[1], &message);
}

void api_listener_accept(struct api_socket *s)
{
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        if (s->waiting)
            return;
        int handle = stack_accept(api_stack(s), s->socket);
        if (handle < 0) {
            listener_watch_room(s, false);
            return;
        }
        listener_take(s, handle);
    }
    listener_watch_room(s, true); /* called again in the next turn */
}

void api_listener_close(struct api_socket *s)
{
    if (s->kind == API_LISTENER)
        api_listener_exempt(s, false);
    if (s->kind == API_LISTENER && s->waiting) {
        close(s->waiting->fd);
        free(s->waiting);
    }
    if (s->socket != 0)
        stack_close(api_stack(s), s->socket, api_now(s));
    api_socket_destroy(s);
}

void api_listener_ready(struct loop_watch *watch, uint32_t events)
{
    struct api_socket *s = (struct api_socket *)(void *)watch; /* watch is its first member */
    if (events & (EPOLLHUP | EPOLLERR)) {
        api_listener_close(s);
        return;
    }
    if (s->kind != API_LISTENER || !(events & EPOLLOUT))
        return;
    struct api_waiting *waiting = s->waiting;
    if (waiting) {
        s->waiting = NULL;
        listener_pass(s, waiting->fd, &waiting->message);
        free(waiting);
    }
    api_listener_accept(s);
}
