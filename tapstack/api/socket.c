/* The calls of tapstack.h: requests to the daemon to set a socket up, plain system calls to use
   it. */
#define _GNU_SOURCE
#include "tapstack.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "datagram.h"
#include "request.h"

static int fail(int error)
{
    errno = error;
    return -1;
}

/* ---- Addresses ---- */

int ts_endpoint_from(struct ts_endpoint *to, const struct sockaddr *from, socklen_t length)
{
    struct sockaddr_in in;
    if (!from || length < sizeof in)
        return fail(EINVAL);
    memcpy(&in, from, sizeof in);
    if (in.sin_family != AF_INET)
        return fail(EAFNOSUPPORT);
    memset(to, 0, sizeof *to);
    to->port = ntohs(in.sin_port);
    if (in.sin_addr.s_addr != htonl(INADDR_ANY)) {
        to->address[10] = to->address[11] = 0xff;
        memcpy(to->address + 12, &in.sin_addr, 4);
    }
    return 0;
}

struct sockaddr_in ts_endpoint_to(const struct ts_endpoint *from)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(from->port)};
    memcpy(&in.sin_addr, from->address + 12, 4);
    return in;
}

/* As accept(2): cut to the caller's room, with the full length told. */
static void address_give(const struct sockaddr_in *in, struct sockaddr *address, socklen_t *length)
{
    if (!address || !length)
        return;
    memcpy(address, in, *length < sizeof *in ? *length : sizeof *in);
    *length = sizeof *in;
}

/* ---- What a descriptor is ---- */

/* A connected descriptor is a stream; an unconnected or listening one carries messages. */
static int require_stream(int fd)
{
    int type = 0;
    socklen_t length = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
        return -1;
    return type == SOCK_STREAM ? 0 : fail(ENOTCONN);
}

static int require_listening(int fd)
{
    int mark = 0;
    socklen_t length = sizeof mark;
    if (getsockopt(fd, SOL_SOCKET, SO_PRIORITY, &mark, &length) < 0)
        return -1;
    return mark == TS_LISTENING ? 0 : fail(EINVAL);
}

/* How the connection ended: 0 in good order, or not yet; else an errno. */
static int connection_status(int fd)
{
    struct ts_request request = {.op = TS_OP_STATUS};
    struct ts_reply reply;
    int status;
    if (ts_request_exchange(&request, fd, &reply, NULL, 0) < 0)
        return errno == ENOTCONN ? ENOTCONN : ECONNABORTED; /* it went with its daemon */
    memcpy(&status, reply.value, sizeof status);
    return status;
}

static int connection_is_gone(int fd)
{
    struct pollfd p = {.fd = fd};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

/* ---- Opening ---- */

int ts_socket(int domain, int type, int protocol)
{
    struct ts_request request = {.op = TS_OP_SOCKET,
                                 .level = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)};
    struct ts_reply reply;
    int fd;
    if (domain != AF_INET)
        return fail(EAFNOSUPPORT);
    if (request.level != SOCK_STREAM && request.level != SOCK_DGRAM)
        return fail(EPROTONOSUPPORT);
    if (protocol != 0 && protocol != (request.level == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP))
        return fail(EPROTONOSUPPORT);
    int flags = type & SOCK_CLOEXEC ? MSG_CMSG_CLOEXEC : 0;
    if (ts_request_exchange(&request, -1, &reply, &fd, flags) < 0)
        return -1;
    if (fd < 0) /* the kernel had no room for it in our table */
        return fail(EMFILE);
    if (type & SOCK_NONBLOCK)
        fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
    if (request.level == SOCK_DGRAM)
        ts_datagram_note(fd);
    return fd;
}

int ts_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    struct ts_request request = {.op = TS_OP_BIND};
    if (ts_endpoint_from(&request.endpoint, address, length) < 0)
        return -1;
    return ts_request_simple(&request, fd);
}

int ts_listen(int fd, int backlog)
{
    struct ts_request request = {.op = TS_OP_LISTEN, .level = backlog};
    return ts_request_simple(&request, fd);
}

int ts_accept_both(int fd, struct sockaddr_in *peer, struct sockaddr_in *local, int flags)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct ts_accepted message;
    struct iovec iov = {&message, sizeof message};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control.bytes};
    if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
        return fail(EINVAL);
    if (require_listening(fd) < 0)
        return -1;
    ssize_t got = recvmsg(fd, &m, flags & SOCK_CLOEXEC ? MSG_CMSG_CLOEXEC : 0);
    if (got < 0)
        return -1;
    int connection = ts_message_descriptor(&m);
    if (got != (ssize_t)sizeof message || message.magic != TS_MAGIC)
        return fail(ECONNABORTED);
    if (connection < 0)
        return fail(EMFILE);
    if (flags & SOCK_NONBLOCK)
        fcntl(connection, F_SETFL, O_RDWR | O_NONBLOCK);
    if (peer)
        *peer = ts_endpoint_to(&message.peer);
    if (local)
        *local = ts_endpoint_to(&message.local);
    return connection;
}

int ts_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    struct sockaddr_in peer;
    int connection = ts_accept_both(fd, &peer, NULL, flags);
    if (connection >= 0)
        address_give(&peer, address, length);
    return connection;
}

int ts_accept(int fd, struct sockaddr *address, socklen_t *length)
{
    return ts_accept4(fd, address, length, 0);
}

/* The connected descriptor takes the number of the unconnected one, and its flags. */
static int descriptor_replace(int fd, int connection, int status_flags)
{
    int descriptor_flags = fcntl(fd, F_GETFD);
    int result = dup3(connection, fd, descriptor_flags & FD_CLOEXEC ? O_CLOEXEC : 0);
    int error = errno;
    close(connection);
    if (result < 0)
        return fail(error);
    return status_flags & O_NONBLOCK ? fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) : 0;
}

/* A peer for a datagram socket; AF_UNSPEC takes it away. */
static int connect_datagram(int fd, const struct sockaddr *address, socklen_t length)
{
    struct ts_request request = {.op = TS_OP_CONNECT};
    bool none = address && length >= sizeof address->sa_family && address->sa_family == AF_UNSPEC;
    if (!none && ts_endpoint_from(&request.endpoint, address, length) < 0)
        return -1;
    if (!none && request.endpoint.port == 0)
        return fail(EINVAL);
    return ts_request_simple(&request, fd);
}

int ts_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    struct ts_request request = {.op = TS_OP_CONNECT};
    struct ts_reply reply;
    int connection;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -1;
    if (ts_datagram_is(fd))
        return connect_datagram(fd, address, length);
    if (ts_endpoint_from(&request.endpoint, address, length) < 0)
        return -1;
    if (ts_request_exchange(&request, fd, &reply, &connection, MSG_CMSG_CLOEXEC) < 0)
        return -1;
    if (connection < 0)
        return fail(EMFILE);
    if (descriptor_replace(fd, connection, flags) < 0)
        return -1;
    if (flags & O_NONBLOCK)
        return fail(EINPROGRESS);
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    if (poll(&writable, 1, -1) < 0)
        return -1;
    int status = connection_status(fd);
    return status == 0 ? 0 : fail(status);
}

/* ---- Sending and receiving ---- */

ssize_t ts_send(int fd, const void *bytes, size_t size, int flags)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, size};
    if (ts_datagram_known(fd))
        return ts_datagram_send(fd, &(struct msghdr){.msg_iov = &iov, .msg_iovlen = 1}, flags);
    ssize_t sent = send(fd, bytes, size, (flags & ~MSG_MORE) | MSG_NOSIGNAL);
    if (sent >= 0 || (errno != EPIPE && errno != ECONNRESET))
        return sent;
    if (require_stream(fd) < 0)
        return -1;
    int status = connection_is_gone(fd) ? connection_status(fd) : 0;
    return fail(status ? status : EPIPE);
}

ssize_t ts_recv(int fd, void *bytes, size_t size, int flags)
{
    struct iovec iov = {bytes, size};
    if (ts_datagram_known(fd))
        return ts_datagram_receive(fd, &(struct msghdr){.msg_iov = &iov, .msg_iovlen = 1}, flags,
                                   NULL);
    ssize_t got = recv(fd, bytes, size, flags);
    if (got > 0 || size == 0 || (got < 0 && errno != ECONNRESET))
        return got;
    int reset = got < 0;
    int status = reset || connection_is_gone(fd) ? connection_status(fd) : 0;
    if (status == 0 && !reset)
        return 0;
    return fail(status ? status : ECONNRESET);
}

/* ---- Ending ---- */

int ts_shutdown(int fd, int how)
{
    if (!ts_datagram_is(fd) && require_stream(fd) < 0)
        return -1;
    return shutdown(fd, how);
}

int ts_close(int fd) { return close(fd); }

/* ---- Names and options ---- */

int ts_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    struct ts_request request = {.op = TS_OP_NAMES};
    struct ts_reply reply;
    if (ts_request_exchange(&request, fd, &reply, NULL, 0) < 0)
        return -1;
    struct sockaddr_in in = ts_endpoint_to(&reply.local);
    address_give(&in, address, length);
    return 0;
}

int ts_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
    struct ts_request request = {.op = TS_OP_NAMES};
    struct ts_reply reply;
    if (ts_request_exchange(&request, fd, &reply, NULL, 0) < 0)
        return -1;
    if (reply.peer.port == 0)
        return fail(ENOTCONN);
    struct sockaddr_in in = ts_endpoint_to(&reply.peer);
    address_give(&in, address, length);
    return 0;
}

/* What the daemon has already told by the descriptor comes first. */
static void take_datagram_error(int fd, struct ts_reply *reply)
{
    int error = ts_datagram_take_error(fd);
    if (error)
        memcpy(reply->value, &error, sizeof error);
}

int ts_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    struct ts_request request = {.op = TS_OP_GETOPT, .level = level, .name = name};
    struct ts_reply reply;
    if (!value || !length)
        return fail(EFAULT);
    if (ts_request_exchange(&request, fd, &reply, NULL, 0) < 0)
        return -1;
    if (level == SOL_SOCKET && name == SO_ERROR && ts_datagram_known(fd))
        take_datagram_error(fd, &reply);
    if (reply.length == sizeof(int) && *length < sizeof(int))
        return fail(EINVAL);
    if (*length > reply.length)
        *length = reply.length;
    memcpy(value, reply.value, *length);
    return 0;
}

int ts_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    struct ts_request request = {
        .op = TS_OP_SETOPT, .level = level, .name = name, .length = length};
    if (!value)
        return fail(EFAULT);
    if (length > sizeof request.value)
        return fail(EINVAL);
    memcpy(request.value, value, length);
    return ts_request_simple(&request, fd);
}
