/* The sockets that applications hold, found by the kernel's cookie or by the stack's handle. */
#include "api_server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "passed.h"

#define SOCKET_OF(node, member)                                                                    \
    ((struct api_socket *)(void *)((char *)(node)-offsetof(struct api_socket, member)))

enum { TABLE_BUCKETS_LEAST = 64 };

static struct api_node **table_bucket(const struct api_table *table, uint64_t key)
{
    return &table->buckets[key & (table->bucket_count - 1)];
}

static bool table_grow(struct api_table *table)
{
    uint32_t count = table->bucket_count ? table->bucket_count * 2 : TABLE_BUCKETS_LEAST;
    struct api_table larger = {calloc(count, sizeof(struct api_node *)), count, table->count};
    if (!larger.buckets)
        return table->bucket_count != 0; /* longer chains will do */
    for (uint32_t i = 0; i < table->bucket_count; i++) {
        while (table->buckets[i]) {
            struct api_node *node = table->buckets[i];
            table->buckets[i] = node->next;
            struct api_node **bucket = table_bucket(&larger, node->key);
            node->next = *bucket;
            *bucket = node;
        }
    }
    free(table->buckets);
    *table = larger;
    return true;
}

/* There is room for one more node. */
static bool table_prepare(struct api_table *table)
{
    return table->count < table->bucket_count || table_grow(table);
}

static void table_add(struct api_table *table, struct api_node *node, uint64_t key)
{
    struct api_node **bucket = table_bucket(table, key);
    *node = (struct api_node){*bucket, key};
    *bucket = node;
    table->count++;
}

static void table_remove(struct api_table *table, struct api_node *node)
{
    struct api_node **at = table_bucket(table, node->key);
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    table->count--;
}

static struct api_node *table_find(const struct api_table *table, uint64_t key)
{
    if (table->bucket_count == 0)
        return NULL;
    struct api_node *node = *table_bucket(table, key);
    while (node && node->key != key)
        node = node->next;
    return node;
}

uint64_t api_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 ? cookie : 0;
}

static void socket_give_handle(struct api_socket *s, int handle)
{
    s->socket = handle;
    if (handle == 0)
        return;
    table_add(&s->server->by_handle, &s->by_handle, (uint64_t)handle);
    stack_set_user(api_stack(s), handle, s);
}

static void socket_take_handle(struct api_socket *s)
{
    if (s->socket != 0)
        table_remove(&s->server->by_handle, &s->by_handle);
    s->socket = 0;
}

struct api_socket *api_socket_create(struct api_server *server, enum api_kind kind,
                                     const int ends[2], int handle, struct api_user *user)
{
    if (!table_prepare(&server->by_cookie) || !table_prepare(&server->by_handle))
        return NULL;
    struct api_socket *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    bool connected = kind == API_CONNECTING || kind == API_CONNECTED;
    bool datagram = kind == API_DATAGRAM;
    s->server = server;
    s->watch.fd = ends[0];
    s->watch.events =
        EPOLLET | EPOLLRDHUP | (connected || datagram ? EPOLLIN : 0) | (connected ? EPOLLPRI : 0);
    s->watch.ready = connected  ? api_connection_ready
                     : datagram ? api_datagram_ready
                                : api_listener_ready;
    if (loop_add(&server->daemon->loop, &s->watch) < 0) {
        free(s);
        return NULL;
    }
    s->kind = (uint8_t)kind;
    server->kinds[kind]++;
    table_add(&server->by_cookie, &s->by_cookie, api_cookie(ends[1]));
    socket_give_handle(s, handle);
    s->user = user;
    user->references++;
    return s;
}

/* May bytes of the application lie unread in our end? */
static bool socket_may_hold(const struct api_socket *s)
{
    return s->kind == API_DATAGRAM ||
           ((s->kind == API_CONNECTING || s->kind == API_CONNECTED) && !s->read_ended);
}

void api_socket_destroy(struct api_socket *s)
{
    struct api_server *server = s->server;
    loop_forget(&server->daemon->loop, &s->watch);
    if (socket_may_hold(s))
        passed_close_socket(s->watch.fd);
    else
        close(s->watch.fd);
    socket_take_handle(s);
    table_remove(&server->by_cookie, &s->by_cookie);
    server->kinds[s->kind]--;
    if (s->charged)
        s->user->sockets--;
    api_user_release(server, s->user);
    free(s);
}

void api_socket_become(struct api_socket *s, enum api_kind kind)
{
    s->server->kinds[s->kind]--;
    s->kind = (uint8_t)kind;
    s->server->kinds[kind]++;
}

void api_socket_hand_over(struct api_socket *from, struct api_socket *to)
{
    int handle = from->socket;
    socket_take_handle(from);
    socket_give_handle(to, handle);
    to->bound = from->bound;
}

struct api_socket *api_socket_find(struct api_server *server, uint64_t cookie)
{
    struct api_node *node = cookie ? table_find(&server->by_cookie, cookie) : NULL;
    return node ? SOCKET_OF(node, by_cookie) : NULL;
}

struct api_socket *api_socket_of_handle(const struct api_server *server, int handle)
{
    struct api_node *node = handle > 0 ? table_find(&server->by_handle, (uint64_t)handle) : NULL;
    return node ? SOCKET_OF(node, by_handle) : NULL;
}

void api_socket_each(struct api_server *server, void (*visit)(struct api_socket *s))
{
    for (uint32_t i = 0; i < server->by_cookie.bucket_count; i++) {
        struct api_node *next;
        for (struct api_node *node = server->by_cookie.buckets[i]; node; node = next) {
            next = node->next;
            visit(SOCKET_OF(node, by_cookie));
        }
    }
}

int api_errno(int stack_error)
{
    switch (stack_error) {
    case 0:
        return 0;
    case STACK_AGAIN:
        return EAGAIN;
    case STACK_BAD_HANDLE:
    case STACK_NOT_CONNECTED:
        return ENOTCONN;
    case STACK_IN_USE:
        return EADDRINUSE;
    case STACK_NOT_AVAILABLE:
        return EADDRNOTAVAIL;
    case STACK_IS_CONNECTED:
        return EISCONN;
    case STACK_IN_PROGRESS:
        return EALREADY;
    case STACK_CLOSED:
        return EPIPE;
    case STACK_REFUSED:
        return ECONNREFUSED;
    case STACK_RESET:
        return ECONNRESET;
    case STACK_TIMED_OUT:
        return ETIMEDOUT;
    case STACK_UNREACHABLE:
        return EHOSTUNREACH;
    case STACK_NO_ROUTE:
        return ENETUNREACH;
    case STACK_NO_MEMORY:
        return ENOBUFS;
    case STACK_NOT_SUPPORTED:
        return EOPNOTSUPP;
    case STACK_ABORTED:
        return ECONNABORTED;
    case STACK_MESSAGE_SIZE:
        return EMSGSIZE;
    case STACK_DENIED:
        return EACCES;
    case STACK_NO_PROTOCOL:
        return ENOPROTOOPT;
    default:
        return EINVAL;
    }
}
