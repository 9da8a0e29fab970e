/* The operations that applications request, one function each. */
#define _GNU_SOURCE
#include "api_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct stack_endpoint endpoint_read(const struct ts_endpoint *from)
{
    struct stack_endpoint to;
    memcpy(to.address.octets, from->address, sizeof to.address.octets);
    to.port = from->port;
    return to;
}

static struct ts_endpoint endpoint_write(const struct stack_endpoint *from)
{
    struct ts_endpoint to = {.port = from->port};
    memcpy(to.address, from->address.octets, sizeof to.address);
    return to;
}

/* A new pair and its object. type: SOCK_STREAM or SOCK_SEQPACKET. The application's end goes with
   the reply. Returns NULL with *error set. */
static struct api_socket *call_make_socket(struct api_call *call, int type, enum api_kind kind,
                                           int handle, int *error)
{
    struct api_server *server = call->client->server;
    int ends[2];
    *error = ENOBUFS;
    if (call->client->user->sockets >= server->daemon->config.client_sockets_max) {
        server->refused_requests++;
        return NULL;
    }
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0) {
        *error = errno;
        return NULL;
    }
    struct api_socket *s = api_socket_create(server, kind, ends, handle, call->client->user);
    if (!s) {
        close(ends[0]);
        close(ends[1]);
        return NULL;
    }
    s->owner_pid = call->client->pid;
    s->charged = true;
    s->user->sockets++;
    if (kind == API_DATAGRAM)
        api_datagram_prepare(ends);
    call->reply_fd = ends[1];
    *error = 0;
    return s;
}

static int call_socket(struct api_call *call)
{
    struct stack *stack = call->client->server->daemon->stack;
    if (call->client->server->stopping)
        return ENETDOWN;
    if (call->request->level != 0 && call->request->level != SOCK_STREAM &&
        call->request->level != SOCK_DGRAM)
        return EPROTONOSUPPORT;
    bool datagram = call->request->level == SOCK_DGRAM;
    int handle = stack_open(stack, datagram ? IPPROTO_UDP : IPPROTO_TCP);
    if (handle < 0)
        return api_errno(handle);
    int error;
    struct api_socket *s = call_make_socket(
        call, SOCK_SEQPACKET, datagram ? API_DATAGRAM : API_UNCONNECTED, handle, &error);
    if (!s) {
        stack_close(stack, handle, call->client->server->daemon->loop.now_us);
        return error;
    }
    if (!datagram)
        shutdown(s->watch.fd, SHUT_RD); /* what it writes here is refused by the kernel */
    return 0;
}

static int call_bind(struct api_call *call)
{
    struct api_socket *s = call->socket;
    struct stack_endpoint local = endpoint_read(&call->request->endpoint);
    if (s->kind != API_DATAGRAM && (s->kind != API_UNCONNECTED || s->bound))
        return EINVAL;
    int result = stack_bind(api_stack(s), s->socket, &local);
    s->bound = result >= 0;
    return result < 0 ? api_errno(result) : 0;
}

static int call_listen(struct api_call *call)
{
    struct api_socket *s = call->socket;
    if (s->kind == API_DATAGRAM)
        return EOPNOTSUPP;
    if (s->kind != API_UNCONNECTED && s->kind != API_LISTENER)
        return EINVAL;
    return api_listener_open(s, call->fd, call->request->level);
}

static int call_connect(struct api_call *call)
{
    struct api_socket *s = call->socket;
    struct stack_endpoint remote = endpoint_read(&call->request->endpoint);
    if (s->kind == API_DATAGRAM)
        return api_errno(stack_connect(api_stack(s), s->socket, &remote, api_now(s)));
    if (s->kind != API_UNCONNECTED)
        return s->kind == API_CONNECTING ? EALREADY : EISCONN;
    int error;
    struct api_socket *c = call_make_socket(call, SOCK_STREAM, API_CONNECTING, 0, &error);
    if (!c)
        return error;
    c->read_bytes = api_connection_fill(call->reply_fd);
    c->narrow = true;
    int result = stack_connect(api_stack(s), s->socket, &remote, api_now(s));
    if (result < 0 && result != STACK_IN_PROGRESS) {
        api_socket_destroy(c);
        close(call->reply_fd);
        call->reply_fd = -1;
        return api_errno(result);
    }
    api_socket_hand_over(s, c);
    api_socket_become(s, API_REPLACED);
    return 0;
}

static void call_set_value(struct api_call *call, int value)
{
    memcpy(call->reply->value, &value, sizeof value);
    call->reply->length = sizeof value;
}

static int call_status(struct api_call *call)
{
    struct api_socket *s = call->socket;
    if (!s)
        call_set_value(call, api_ended_find(call->client->server, call->cookie));
    else if (s->kind == API_CONNECTING || s->kind == API_CONNECTED)
        call_set_value(call, api_errno(stack_socket_error(api_stack(s), s->socket)));
    else
        return ENOTCONN;
    return 0;
}

static int call_names(struct api_call *call)
{
    struct api_socket *s = call->socket;
    struct stack_summary summary;
    if (s->socket == 0 || stack_summary(api_stack(s), s->socket, &summary, api_now(s)) < 0)
        return ENOTCONN;
    call->reply->local = endpoint_write(&summary.local);
    call->reply->peer = endpoint_write(&summary.remote);
    return 0;
}

static int call_hello(struct api_call *call)
{
    call->client->greeted = true;
    return 0;
}

/* What an operation needs: a descriptor of the daemon's, and one that still stands for a socket. */
enum need { NEED_NOTHING, NEED_DESCRIPTOR, NEED_SOCKET };

static const struct {
    int (*serve)(struct api_call *call);
    enum need need;
} operations[] = {
    [TS_OP_HELLO] = {call_hello, NEED_NOTHING},
    [TS_OP_SOCKET] = {call_socket, NEED_NOTHING},
    [TS_OP_BIND] = {call_bind, NEED_SOCKET},
    [TS_OP_LISTEN] = {call_listen, NEED_SOCKET},
    [TS_OP_CONNECT] = {call_connect, NEED_SOCKET},
    [TS_OP_STATUS] = {call_status, NEED_DESCRIPTOR},
    [TS_OP_NAMES] = {call_names, NEED_SOCKET},
    [TS_OP_GETOPT] = {api_option_get, NEED_DESCRIPTOR},
    [TS_OP_SETOPT] = {api_option_set, NEED_SOCKET},
};

/* Was this descriptor made by this process? That is how a connection that is gone is known. */
static bool descriptor_is_ours(int fd)
{
    struct ucred maker = {0};
    socklen_t length = sizeof maker;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &maker, &length) == 0 && maker.pid == getpid();
}

static int call_find_socket(struct api_call *call)
{
    call->cookie = api_cookie(call->fd);
    call->socket = api_socket_find(call->client->server, call->cookie);
    if (!call->socket)
        return descriptor_is_ours(call->fd) ? 0 : ENOTSOCK;
    if (call->socket->narrow && call->socket->kind == API_CONNECTED)
        api_connection_widen(call->socket, call->fd);
    return 0;
}

int api_request_serve(struct api_call *call)
{
    unsigned op = call->request->op;
    if (op >= sizeof operations / sizeof operations[0] || !operations[op].serve ||
        call->request->length > TS_OPTION_BYTES) {
        call->client->server->refused_requests++;
        return EINVAL;
    }
    if (operations[op].need == NEED_NOTHING)
        return operations[op].serve(call);
    if (call->fd < 0) {
        call->client->server->refused_requests++;
        return EPROTO;
    }
    int error = call_find_socket(call);
    if (error == 0 && !call->socket && operations[op].need == NEED_SOCKET)
        error = ENOTCONN;
    return error ? error : operations[op].serve(call);
}
