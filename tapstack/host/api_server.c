/* The API server: the socket DIR/api, its clients, and the reading and answering of requests.

   No client is trusted and none can hold the daemon up: a request has one size, every descriptor
   that came with it is closed after it, answers are sent without waiting. A client whose request is
   malformed, or who does not read its answers, is disconnected; its sockets live on as long as
   somebody holds their descriptors. */
#define _GNU_SOURCE
#include "api_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

enum {
    REQUESTS_A_TURN = 16,
    CLIENTS_A_TURN = 16,
    DESCRIPTORS_MAX = 4, /* looked for with a request; the kernel closes what is above */
};

/* ---- Clients ---- */

void api_client_release(struct api_client *client)
{
    if (client->watch.fd < 0 && client->sockets == 0)
        free(client);
}

static void client_disconnect(struct api_client *client)
{
    struct api_server *server = client->server;
    loop_remove(&server->daemon->loop, &client->watch);
    close(client->watch.fd);
    client->watch.fd = -1;
    *(client->previous ? &client->previous->next : &server->clients) = client->next;
    if (client->next)
        client->next->previous = client->previous;
    server->client_count--;
    api_client_release(client);
}

static void client_refuse(struct api_client *client, const char *why)
{
    client->server->refused_requests++;
    log_warning("api: client with pid %d disconnected: %s", client->pid, why);
    client_disconnect(client);
}

/* Returns false when the client does not take it. */
static bool client_answer(struct api_client *client, struct ts_reply *reply, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {{0}};
    struct iovec iov = {reply, sizeof *reply};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = &control;
        m.msg_controllen = sizeof control.bytes;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    }
    return sendmsg(client->watch.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof *reply;
}

/* ---- Requests ---- */

/* A descriptor may be the last of a foreign socket whose close would linger: not here. */
static void descriptor_close(int fd)
{
    static const struct linger none;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(fd);
}

/* The descriptor that came with a request, or -1; all others are closed. */
static int message_descriptor(struct msghdr *m)
{
    int first = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (first < 0)
                first = fd;
            else
                descriptor_close(fd);
        }
    }
    return first;
}

/* Bytes of the request, 0 at the end, -1 with errno. A longer message is told by its whole size. */
static ssize_t client_receive(struct api_client *client, struct ts_request *request, int *fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    } control;
    struct iovec iov = {request, sizeof *request};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control.bytes};
    ssize_t got = recvmsg(client->watch.fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
    *fd = got >= 0 ? message_descriptor(&m) : -1;
    return got;
}

/* What is wrong with the form of a request, or NULL. */
static const char *request_fault(const struct api_client *client, const struct ts_request *request,
                                 size_t size)
{
    if (size != sizeof *request)
        return "request of a wrong size";
    if (request->magic != TS_MAGIC)
        return "request without the magic number";
    if (request->version != TS_VERSION)
        return "request of another version";
    if (!client->greeted && request->op != TS_OP_HELLO)
        return "request before the greeting";
    return NULL;
}

/* Serves one request. Returns false when the client is gone. */
static bool client_serve(struct api_client *client, const struct ts_request *request, size_t size,
                         int fd)
{
    struct ts_reply reply = {.serial = size >= 12 ? request->serial : 0};
    struct api_call call = {client, request, &reply, fd, 0, NULL, -1};
    const char *fault = request_fault(client, request, size);
    reply.error = fault ? EPROTO : api_request_serve(&call);
    bool taken = client_answer(client, &reply, call.reply_fd);
    if (call.reply_fd >= 0)
        close(call.reply_fd);
    if (fault)
        client_refuse(client, fault);
    else if (!taken)
        client_refuse(client, "does not read its answers");
    return !fault && taken;
}

static void client_ready(struct loop_watch *watch, uint32_t events)
{
    struct api_client *client = (struct api_client *)(void *)watch; /* watch is its first member */
    (void)events;
    for (int i = 0; i < REQUESTS_A_TURN; i++) {
        struct ts_request request = {0};
        int fd;
        ssize_t got = client_receive(client, &request, &fd);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            if (fd >= 0)
                descriptor_close(fd);
            client_disconnect(client);
            return;
        }
        bool alive = client_serve(client, &request, (size_t)got, fd);
        if (fd >= 0)
            descriptor_close(fd);
        if (!alive)
            return;
    }
}

static void client_create(struct api_server *server, int fd)
{
    struct api_client *client = calloc(1, sizeof *client);
    struct ucred peer = {0};
    socklen_t length = sizeof peer;
    if (client && server->client_count < API_CLIENTS_MAX) {
        client->watch = (struct loop_watch){fd, EPOLLIN, client_ready};
        client->server = server;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0)
            client->pid = peer.pid;
        if (loop_add(&server->daemon->loop, &client->watch) == 0) {
            client->next = server->clients;
            if (client->next)
                client->next->previous = client;
            server->clients = client;
            server->client_count++;
            return;
        }
    }
    server->refused_requests++;
    log_warning("api: client refused: %s", client ? "too many clients" : "no memory");
    free(client);
    close(fd);
}

/* Out of descriptors: the waiting client is turned away with the one kept for this. */
static void server_turn_away(struct api_server *server)
{
    close(server->spare_fd);
    int fd = accept4(server->watch.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    server->refused_requests++;
    log_warning("api: client refused: no descriptor left");
}

static void server_accept(struct loop_watch *watch, uint32_t events)
{
    struct api_server *server =
        (struct api_server *)(void *)((char *)watch - offsetof(struct api_server, watch));
    (void)events;
    for (int i = 0; i < CLIENTS_A_TURN; i++) {
        int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            client_create(server, fd);
            continue;
        }
        if ((errno == EMFILE || errno == ENFILE) && server->spare_fd >= 0)
            server_turn_away(server);
        return;
    }
}

/* ---- The server ---- */

/* Removes the socket of a daemon that is gone. Returns false when one is answering. */
static bool server_path_is_free(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    int result = connect(fd, (const struct sockaddr *)address, sizeof *address);
    int error = errno;
    close(fd);
    if (result == 0) {
        errno = EADDRINUSE;
        return false;
    }
    return error == ENOENT || unlink(address->sun_path) == 0;
}

static int server_listen(struct api_server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, server->path, strlen(server->path) + 1);
    if (!server_path_is_free(&address))
        return -1;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    server->watch = (struct loop_watch){fd, EPOLLIN, server_accept};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        chmod(server->path, 0666) == 0 && listen(fd, SOMAXCONN) == 0 &&
        loop_add(&server->daemon->loop, &server->watch) == 0)
        return 0;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

struct api_server *api_server_create(struct daemon *daemon, const char *dir)
{
    struct api_server *server = calloc(1, sizeof *server);
    if (!server) {
        log_error("api: no memory");
        return NULL;
    }
    server->daemon = daemon;
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int length = snprintf(server->path, sizeof server->path, "%s/%s", dir, TS_API_SOCKET);
    errno = ENAMETOOLONG;
    if (length >= (int)sizeof server->path || server_listen(server) < 0) {
        log_error("api: %s/%s: %s", dir, TS_API_SOCKET, strerror(errno));
        close(server->spare_fd);
        free(server);
        return NULL;
    }
    return server;
}

void api_server_ready(struct api_server *server, const struct stack_ready *ready)
{
    struct api_socket *s = ready->user;
    (void)server;
    if (!s)
        return;
    if (s->kind == API_CONNECTING || s->kind == API_CONNECTED)
        api_connection_serve(s, ready->what);
    else if (s->kind == API_LISTENER && (ready->what & STACK_READY_ACCEPT))
        api_listener_accept(s);
}

static void socket_stop(struct api_socket *s)
{
    if (s->kind == API_CONNECTING || s->kind == API_CONNECTED)
        api_connection_stop(s);
    else
        api_listener_close(s);
}

void api_server_shutdown(struct api_server *server)
{
    if (server->stopping)
        return;
    server->stopping = true; /* questions are still answered: how did my connection end? */
    api_socket_each(server, socket_stop);
}

bool api_server_idle(const struct api_server *server) { return server->by_cookie.count == 0; }

static void socket_abort(struct api_socket *s)
{
    if (s->kind == API_CONNECTING || s->kind == API_CONNECTED) {
        stack_abort(api_stack(s), s->socket, api_now(s));
        api_socket_destroy(s);
    } else {
        api_listener_close(s);
    }
}

void api_server_destroy(struct api_server *server)
{
    if (!server)
        return;
    api_socket_each(server, socket_abort);
    while (server->clients)
        client_disconnect(server->clients);
    loop_remove(&server->daemon->loop, &server->watch);
    close(server->watch.fd);
    unlink(server->path);
    if (server->spare_fd >= 0)
        close(server->spare_fd);
    free(server->by_cookie.buckets);
    free(server->by_handle.buckets);
    free(server);
}

void api_server_usage(const struct api_server *server, struct api_usage *usage)
{
    usage->clients = server->client_count;
    usage->listeners = server->kinds[API_LISTENER];
    usage->connections = server->kinds[API_CONNECTING] + server->kinds[API_CONNECTED];
    usage->refused_requests = server->refused_requests;
}

int api_server_owner(const struct api_server *server, int socket)
{
    const struct api_socket *s = api_socket_of_handle(server, socket);
    return s ? s->owner_pid : 0;
}
