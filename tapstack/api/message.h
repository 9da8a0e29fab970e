/* What libtapstack and the daemon say to each other: fixed-size messages over SOCK_SEQPACKET.

   A process connects to DIR/api and sends TS_OP_HELLO. Then every request is one struct ts_request,
   with the descriptor it is about attached (SCM_RIGHTS): whoever holds a socket's descriptor may
   act on the socket, nobody else can. The daemon knows its sockets by the kernel's cookie of the
   descriptor (SO_COOKIE). Each request is answered by one struct ts_reply with the same serial,
   in order, with a descriptor attached where the operation makes one.

   TS_OP_SOCKET  makes an unconnected socket: one end of a SEQPACKET pair
   TS_OP_LISTEN  turns it into a listener, marked by SO_PRIORITY TS_LISTENING; the same descriptor
                 then delivers one struct ts_accepted with a connected descriptor a connection
   TS_OP_CONNECT answers at once with a connected descriptor (one end of a STREAM pair) that takes
   the place of the first (dup3). It becomes writable when the connection stands or has failed:
   until then the daemon keeps it full with bytes of its own, which it takes out again TS_OP_STATUS
   how the connection ended, as an int in value: 0 in good order (or not yet), else an errno

   Every request may fail with EPROTO (malformed, of another version), EINVAL (no such operation or
   length), ENOTSOCK (the descriptor is none of the daemon's) or ENOTCONN (its connection is gone).

   Ends of a connection, as the descriptor shows them: after the peer's FIN the daemon shuts down
   its sending half (EOF); after an abort it closes its end altogether (EOF with POLLHUP), and
   remembers why for TS_OP_STATUS. In the other direction the application's shutdown and close of
   the descriptor are all there is; no request says the same. */
#ifndef TAPSTACK_API_MESSAGE_H
#define TAPSTACK_API_MESSAGE_H

#include <stdint.h>

#define TS_DIR_DEFAULT    "/run/tapstack"
#define TS_API_SOCKET     "api"     /* below the folder */
#define TS_CONTROL_SOCKET "control" /* below the folder */

enum {
    TS_VERSION = 1,
    TS_MAGIC = 0x54535430, /* "TST0" */
    TS_OPTION_BYTES = 256,
    TS_LISTENING = 1, /* SO_PRIORITY of a listening descriptor */
};

enum ts_op {
    TS_OP_HELLO = 1,
    TS_OP_SOCKET,
    TS_OP_BIND,
    TS_OP_LISTEN,
    TS_OP_CONNECT,
    TS_OP_STATUS,
    TS_OP_NAMES, /* local and peer address */
    TS_OP_GETOPT,
    TS_OP_SETOPT,
};

/* An endpoint: IPv4 as ::ffff:a.b.c.d; port in host order. */
struct ts_endpoint {
    uint8_t address[16];
    uint16_t port;
    uint16_t reserved;
};

struct ts_request {
    uint32_t magic;
    uint16_t version;
    uint16_t op;
    uint32_t serial;
    int32_t level; /* options; backlog of TS_OP_LISTEN */
    int32_t name;
    uint32_t length; /* of value, at most TS_OPTION_BYTES */
    struct ts_endpoint endpoint;
    uint8_t value[TS_OPTION_BYTES];
};

struct ts_reply {
    uint32_t serial;
    int32_t error;   /* 0, or an errno */
    uint32_t length; /* of value */
    struct ts_endpoint local;
    struct ts_endpoint peer;
    uint8_t value[TS_OPTION_BYTES];
};

/* Comes with a connected descriptor through a listening one. */
struct ts_accepted {
    uint32_t magic;
    uint32_t id; /* as the console shows it */
    struct ts_endpoint local;
    struct ts_endpoint peer;
};

#endif
