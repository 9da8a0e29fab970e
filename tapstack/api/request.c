/* The process's connection to the daemon, and requests over it, one at a time.

   The connection is made by the first request. A fork gives the child none (its requests make its
   own), as answers to two processes on one connection would mix. Before each request the descriptor
   is looked at: a program that closes all its descriptors, as daemons do when they start, may have
   closed ours and given its number to something else. */
#define _GNU_SOURCE
#include "request.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tapstack.h"

static struct {
    pthread_mutex_t mutex;
    pthread_once_t once;
    int fd;          /* -1: not connected */
    uint64_t cookie; /* of fd, as the kernel numbers sockets */
    uint32_t serial;
    char dir[sizeof((struct sockaddr_un *)0)->sun_path]; /* "": not chosen yet */
} daemon_link = {.mutex = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT, .fd = -1};

static uint64_t link_cookie(void)
{
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    return getsockopt(daemon_link.fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 ? cookie : 0;
}

static void link_close(void)
{
    if (daemon_link.fd >= 0 && link_cookie() == daemon_link.cookie)
        close(daemon_link.fd);
    daemon_link.fd = -1;
}

static void fork_prepare(void) { pthread_mutex_lock(&daemon_link.mutex); }

static void fork_parent(void) { pthread_mutex_unlock(&daemon_link.mutex); }

static void fork_child(void)
{
    link_close();
    pthread_mutex_unlock(&daemon_link.mutex);
}

static void link_prepare(void) { pthread_atfork(fork_prepare, fork_parent, fork_child); }

int ts_message_descriptor(struct msghdr *message)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    int fd = -1;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len >= CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

static ssize_t link_send(struct ts_request *request, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {{0}};
    struct iovec iov = {request, sizeof *request};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = &control;
        m.msg_controllen = sizeof control.bytes;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    }
    ssize_t sent;
    do
        sent = sendmsg(daemon_link.fd, &m, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent;
}

static ssize_t link_receive(struct ts_reply *reply, int *reply_fd, int flags)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {reply, sizeof *reply};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (reply_fd) {
        m.msg_control = &control;
        m.msg_controllen = sizeof control.bytes;
    }
    ssize_t got;
    do
        got = recvmsg(daemon_link.fd, &m, flags);
    while (got < 0 && errno == EINTR);
    if (reply_fd)
        *reply_fd = got > 0 ? ts_message_descriptor(&m) : -1;
    return got;
}

/* One request and its answer on the connection as it is. Returns 0 when an answer came; else -1
   with errno, ECONNRESET when the connection is no use any more. */
static int link_exchange(struct ts_request *request, int fd, struct ts_reply *reply, int *reply_fd,
                         int flags)
{
    request->magic = TS_MAGIC;
    request->version = TS_VERSION;
    request->serial = ++daemon_link.serial;
    if (link_send(request, fd) < 0) {
        if (errno == EPIPE || errno == ENOTCONN)
            errno = ECONNRESET;
        return -1;
    }
    ssize_t got = link_receive(reply, reply_fd, flags);
    if (got == (ssize_t)sizeof *reply && reply->serial == request->serial &&
        reply->length <= sizeof reply->value)
        return 0;
    int error = got > 0 ? EPROTO : got == 0 ? ECONNRESET : errno;
    link_close();
    errno = error;
    return -1;
}

static void link_choose_dir(void)
{
    const char *dir = getenv("TAPSTACK_DIR");
    if (daemon_link.dir[0] != 0)
        return;
    snprintf(daemon_link.dir, sizeof daemon_link.dir, "%s", dir && *dir ? dir : TS_DIR_DEFAULT);
}

static int link_open(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    link_choose_dir();
    if (strlen(daemon_link.dir) + sizeof "/" TS_API_SOCKET > sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    stpcpy(stpcpy(address.sun_path, daemon_link.dir), "/" TS_API_SOCKET);
    daemon_link.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (daemon_link.fd < 0)
        return -1;
    daemon_link.cookie = link_cookie();
    struct ts_request hello = {.op = TS_OP_HELLO};
    struct ts_reply reply = {0};
    int result = connect(daemon_link.fd, (struct sockaddr *)&address, sizeof address);
    if (result == 0)
        result = link_exchange(&hello, -1, &reply, NULL, 0);
    if (result == 0 && reply.error != 0) {
        errno = reply.error;
        result = -1;
    }
    if (result < 0) {
        int error = errno;
        link_close();
        errno = error;
    }
    return result;
}

static int link_ready(void)
{
    if (daemon_link.fd >= 0 && link_cookie() == daemon_link.cookie)
        return 0;
    daemon_link.fd = -1; /* not ours any more: not closed */
    return link_open();
}

int ts_request_exchange(struct ts_request *request, int fd, struct ts_reply *reply, int *reply_fd,
                        int flags)
{
    pthread_once(&daemon_link.once, link_prepare);
    pthread_mutex_lock(&daemon_link.mutex);
    int result = -1;
    for (int attempt = 0; result < 0 && attempt < 2; attempt++) {
        if (link_ready() < 0)
            break;
        result = link_exchange(request, fd, reply, reply_fd, flags);
        if (result < 0 && errno != ECONNRESET)
            break;
        if (result < 0)
            link_close();
    }
    int error = result < 0 ? errno : reply->error;
    pthread_mutex_unlock(&daemon_link.mutex);
    errno = error;
    return error == 0 ? 0 : -1;
}

int ts_request_simple(struct ts_request *request, int fd)
{
    struct ts_reply reply;
    return ts_request_exchange(request, fd, &reply, NULL, 0);
}

int ts_init(const char *where)
{
    pthread_once(&daemon_link.once, link_prepare);
    if (where && strlen(where) >= sizeof daemon_link.dir) {
        errno = ENAMETOOLONG;
        return -1;
    }
    pthread_mutex_lock(&daemon_link.mutex);
    link_close();
    snprintf(daemon_link.dir, sizeof daemon_link.dir, "%s", where ? where : "");
    int result = link_open();
    int error = errno;
    pthread_mutex_unlock(&daemon_link.mutex);
    errno = error;
    return result;
}
