/* Private to the API server's files (api_*.c): its objects, and who calls whom.

   api_server.c      the socket DIR/api, clients, the reading and answering of requests
   api_user.c        what a user has taken, and how its connections ended
   api_request.c     one function an operation
   api_option.c      socket options and TCP_INFO
   api_socket.c      every socket that an application may hold, found by cookie or by stack handle
   api_listener.c    from the stack's accept queue into the listening descriptor
   api_connection.c  bytes between a connected descriptor and the stack
   api_datagram.c    datagrams between a descriptor and the stack */
#ifndef TAPSTACK_HOST_API_SERVER_H
#define TAPSTACK_HOST_API_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../api/message.h"
#include "../core/stack.h"
#include "daemon.h"
#include "door.h"
#include "loop.h"

enum {
    API_CLIENTS_MAX = 1024,
    API_ENDED_MAX = 16384, /* ends of a user's connections remembered */
    API_USERS_IDLE_MAX = 16,
};

/* A place in a table: a part of the object that is found by it. */
struct api_node {
    struct api_node *next;
    uint64_t key;
};

/* Chained, grows by doubling. Its keys come from the kernel and the stack, not from outside. */
struct api_table {
    struct api_node **buckets;
    uint32_t bucket_count; /* a power of two, or 0 */
    uint32_t count;
};

struct api_ended {
    uint64_t cookie;
    int error; /* an errno */
};

/* All processes of one user ID. There as long as it has a client or a socket, and then for a while:
   its processes may still ask how connections ended. */
struct api_user {
    struct api_user *next;
    uid_t uid;
    uint32_t references; /* of clients and sockets */
    uint32_t clients;
    uint32_t sockets;        /* that it asked for; accepted ones are not charged */
    struct api_ended *ended; /* API_ENDED_MAX of them, or NULL: none yet */
};

/* One process that makes requests. */
struct api_client {
    struct loop_watch watch;
    struct api_server *server;
    struct api_user *user;
    struct api_client *next, *previous;
    int pid;
    bool greeted;
};

enum api_kind {
    API_UNCONNECTED,
    API_LISTENER,
    API_CONNECTING,
    API_CONNECTED,
    API_DATAGRAM,
    API_REPLACED, /* its stack socket went over to the descriptor that TS_OP_CONNECT made */
    API_KIND_COUNT
};

/* A listener's connection that did not fit into the listening descriptor yet. */
struct api_waiting {
    int fd; /* the application's end */
    struct ts_accepted message;
};

/* One socket of the applications: our end of its pair, and its socket in the stack. */
struct api_socket {
    struct loop_watch watch;
    struct api_server *server;
    struct api_user *user;
    struct api_node by_cookie; /* of the application's end */
    struct api_node by_handle;
    int socket; /* the stack's handle; 0: none */
    int owner_pid;
    uint8_t kind;     /* enum api_kind */
    bool charged : 1; /* counted in user->sockets */
    bool exempt : 1;  /* a listener's port is, or will be, in daemon->exempt */
    bool bound : 1;
    bool narrow : 1;   /* the application's end still has the small send buffer of an opening */
    bool paused : 1;   /* the stack takes no more bytes: nothing is read from the application */
    bool blocked : 1;  /* the pair takes no more bytes: nothing is written to it */
    bool urgent : 1;   /* an urgent byte of the application is among those to read */
    bool end_seen : 1; /* the application's end of file was reported: to be read behind its bytes */
    bool read_ended : 1;  /* the application's last byte and its end are with the stack */
    bool write_ended : 1; /* the peer's last byte and its end are with the application */
    bool hung_up : 1;     /* the application has closed, or both directions are shut down */
    bool reset : 1;       /* it closed with bytes of ours unread */
    bool pktinfo : 1;     /* a datagram socket's: the application wants IP_PKTINFO, ... */
    bool receive_ttl : 1; /* ... IP_RECVTTL */
    bool error_told : 1; /* an error lies in the pair, or did since it was last known to be empty */
    union {
        struct api_waiting *waiting; /* a listener's */
        struct {
            uint32_t held;       /* bytes in the pair that may be unread; datagrams with overhead */
            uint32_t read_bytes; /* room to reserve for the next read, or bytes of an opening to
                                    take out */
        };
    };
};

struct api_server {
    struct door door; /* first: the door's hook gets the server from it */
    struct daemon *daemon;
    struct api_user *users;
    struct api_client *clients;
    uint32_t client_count;
    struct api_table by_cookie;
    struct api_table by_handle;
    uint32_t kinds[API_KIND_COUNT]; /* sockets of each kind */
    uint64_t refused_requests;
    bool stopping;
    uint8_t datagram[TS_DATAGRAM_MAX]; /* the one that is just being read from an application */
};

static inline struct stack *api_stack(const struct api_socket *s)
{
    return s->server->daemon->stack;
}
static inline uint64_t api_now(const struct api_socket *s)
{
    return s->server->daemon->loop.now_us;
}

/* ---- api_socket.c ---- */

/* A new object for ends[0] with the stack's socket `handle` (0: none yet), found by the cookie of
   ends[1]. Takes ends[0] over, not ends[1]. Returns NULL on failure: both ends are still the
   caller's. */
struct api_socket *api_socket_create(struct api_server *server, enum api_kind kind,
                                     const int ends[2], int handle, struct api_user *user);
/* Closes our end and forgets the object; the stack's socket is the caller's business. */
void api_socket_destroy(struct api_socket *s);
void api_socket_become(struct api_socket *s, enum api_kind kind);
/* Moves the stack's socket from one object to another. */
void api_socket_hand_over(struct api_socket *from, struct api_socket *to);
/* The socket of this descriptor's cookie, or NULL. */
struct api_socket *api_socket_find(struct api_server *server, uint64_t cookie);
struct api_socket *api_socket_of_handle(const struct api_server *server, int handle);
/* Calls visit for every socket; it may destroy the socket it is called with, and no other. */
void api_socket_each(struct api_server *server, void (*visit)(struct api_socket *s));
/* The kernel's number of a socket; 0 when fd is none. */
uint64_t api_cookie(int fd);

/* The errno that says the same as an enum stack_error. */
int api_errno(int stack_error);

/* ---- api_user.c ---- */

/* The user, made when it is new; to be released. NULL without memory. */
struct api_user *api_user_get(struct api_server *server, uid_t uid);
void api_user_release(struct api_server *server, struct api_user *user);
/* Forgets users without clients and sockets, but for this many that came last. */
void api_user_trim(struct api_server *server, unsigned kept);

/* How connections ended, for later questions. */
void api_ended_remember(struct api_user *user, uint64_t cookie, int error);
int api_ended_find(const struct api_server *server, uint64_t cookie);
/* Forgets it: SO_ERROR clears what it tells. */
void api_ended_clear(struct api_server *server, uint64_t cookie);

/* ---- api_request.c ---- */

/* One request while it is served. */
struct api_call {
    struct api_client *client;
    const struct ts_request *request;
    struct ts_reply *reply;
    int fd;          /* the descriptor that came with it, or -1; the caller closes it */
    uint64_t cookie; /* of fd, or 0 */
    struct api_socket
        *socket;  /* whose descriptor that is, or NULL: none, or of a connection that is gone */
    int reply_fd; /* goes with the reply, then closed; -1: none */
};

/* Serves the request. Returns 0 or an errno for the reply. */
int api_request_serve(struct api_call *call);

/* ---- api_option.c ---- */

int api_option_get(struct api_call *call);
int api_option_set(struct api_call *call);

/* ---- api_listener.c ---- */

/* TS_EXEMPT: on a listener it holds at once, on another socket from its api_listener_open on. Returns
   0 or an errno. */
int api_listener_exempt(struct api_socket *s, bool exempt);

/* subject: the application's descriptor. Returns 0 or an errno. */
int api_listener_open(struct api_socket *s, int subject, int backlog);
/* Connections wait in the stack. */
void api_listener_accept(struct api_socket *s);
/* Ends an unconnected socket, a listener or a replaced one. */
void api_listener_close(struct api_socket *s);
/* An event of the pair of an unconnected, listening or replaced socket. */
void api_listener_ready(struct loop_watch *watch, uint32_t events);

/* ---- api_connection.c ---- */

/* Prepares a fresh pair for an active OPEN: fills the application's end, so that it is not
   writable. Returns the bytes put in, to be stored in read_bytes. */
uint32_t api_connection_fill(int application_end);
/* The application's end gets a send buffer for a stream, once the connection stands. */
void api_connection_widen(struct api_socket *c, int application_end);
/* A connection begins: moves what is there already. May destroy it. */
void api_connection_start(struct api_socket *c);
/* Tells the stack how much of what it gave out the application has still not read. */
void api_connection_refresh(struct api_socket *c);
/* Readiness in the stack (enum stack_ready_bits). May destroy it. */
void api_connection_serve(struct api_socket *c, uint32_t what);
/* Orderly end by us: what the application has written goes out, then a FIN. May destroy it. */
void api_connection_stop(struct api_socket *c);
/* An event of the pair. */
void api_connection_ready(struct loop_watch *watch, uint32_t events);

/* ---- api_datagram.c ---- */

/* A fresh pair becomes one for datagrams; ends[1] is the application's. */
void api_datagram_prepare(const int ends[2]);
/* Tells the stack how much of what it gave out the application has still not read. */
void api_datagram_refresh(struct api_socket *s);
/* Readiness in the stack (enum stack_ready_bits). May destroy it. */
void api_datagram_serve(struct api_socket *s, uint32_t what);
/* An event of the pair. */
void api_datagram_ready(struct loop_watch *watch, uint32_t events);

#endif
