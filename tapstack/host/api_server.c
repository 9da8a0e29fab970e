/* The API server: the socket DIR/api, its clients, and the reading and answering of requests.

   No client is trusted and none can hold the daemon up: a request has one size, every descriptor
   that came with it is closed after it (passed.c), answers are sent without waiting. A client whose
   request is malformed, or who does not read its answers, is disconnected; its sockets live on as
   long as somebody holds their descriptors. */
#define _GNU_SOURCE
#include "api_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "passed.h"

enum { REQUESTS_A_TURN = 16 };

/* ---- Clients ---- */

static void client_disconnect(struct api_client *client)
{
    struct api_server *server = client->server;
    loop_forget(&server->daemon->loop, &client->watch);
    passed_close_socket(client->watch.fd);
    *(client->previous ? &client->previous->next : &server->clients) = client->next;
    if (client->next)
        client->next->previous = client->previous;
    server->client_count--;
    client->user->clients--;
    api_user_release(server, client->user);
    free(client);
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

/* Bytes of the request, 0 at the end, -1 with errno. A longer message is told by its whole size.
 *fd: the descriptor that came with it, or -1. */
static ssize_t client_receive(struct api_client *client, struct ts_request *request, int *fd)
{
    struct iovec iov = {request, sizeof *request};
    return passed_receive(client->watch.fd, &iov, 1, MSG_TRUNC, fd, NULL);
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
                passed_close(fd);
            client_disconnect(client);
            return;
        }
        bool alive = client_serve(client, &request, (size_t)got, fd);
        if (fd >= 0)
            passed_close(fd);
        if (!alive)
            return;
    }
}

/* Returns NULL without memory. */
static struct api_client *client_create(struct api_server *server, const struct visitor *visitor,
                                        struct api_user *user)
{
    struct api_client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->watch = (struct loop_watch){visitor->fd, EPOLLIN, client_ready};
    client->server = server;
    client->pid = visitor->pid;
    client->user = user;
    if (loop_add(&server->daemon->loop, &client->watch) < 0) {
        free(client);
        return NULL;
    }
    client->next = server->clients;
    if (client->next)
        client->next->previous = client;
    server->clients = client;
    server->client_count++;
    user->clients++;
    return client;
}

static void server_enter(struct door *door, const struct visitor *visitor, bool room)
{
    struct api_server *server = (struct api_server *)(void *)door; /* door is its first member */
    struct api_user *user = room ? api_user_get(server, visitor->uid) : NULL;
    if (user) {
        struct door_share share = {API_CLIENTS_MAX, server->client_count, user->clients};
        bool place = door_has_place(&share, visitor->uid);
        if (place && client_create(server, visitor, user))
            return;
        log_warning("api: client of uid %u refused: %s", (unsigned)visitor->uid,
                    place ? "no memory" : "too many clients");
        api_user_release(server, user);
    }
    server->refused_requests++;
    passed_close_socket(visitor->fd);
}

/* ---- The server ---- */

struct api_server *api_server_create(struct daemon *daemon, const char *dir)
{
    struct api_server *server = calloc(1, sizeof *server);
    if (!server) {
        log_error("api: no memory");
        return NULL;
    }
    server->daemon = daemon;
    int error =
        door_open(&server->door, &daemon->loop, dir, TS_API_SOCKET, SOCK_SEQPACKET, server_enter);
    if (error) {
        log_error("api: %s/%s: %s", dir, TS_API_SOCKET, strerror(-error));
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
    else if (s->kind == API_DATAGRAM)
        api_datagram_serve(s, ready->what);
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
    api_user_trim(server, 0);
    door_close(&server->door);
    free(server->by_cookie.buckets);
    free(server->by_handle.buckets);
    free(server);
}

void api_server_usage(const struct api_server *server, struct api_usage *usage)
{
    usage->clients = server->client_count;
    usage->listeners = server->kinds[API_LISTENER];
    usage->connections = server->kinds[API_CONNECTING] + server->kinds[API_CONNECTED];
    usage->datagrams = server->kinds[API_DATAGRAM];
    usage->refused_requests = server->refused_requests;
}

int api_server_owner(const struct api_server *server, int socket)
{
    const struct api_socket *s = api_socket_of_handle(server, socket);
    return s ? s->owner_pid : 0;
}

static void socket_refresh(struct api_socket *s)
{
    if (s->kind == API_CONNECTED)
        api_connection_refresh(s);
    else if (s->kind == API_DATAGRAM)
        api_datagram_refresh(s);
}

void api_server_refresh(struct api_server *server, int socket)
{
    struct api_socket *s = socket ? api_socket_of_handle(server, socket) : NULL;
    if (s)
        socket_refresh(s);
    else if (socket == 0)
        api_socket_each(server, socket_refresh);
}
