/* What libtapstack and the daemon say to each other: fixed-size messages over SOCK_SEQPACKET.

   A process connects to DIR/api and sends TS_OP_HELLO. Then every request is one struct ts_request,
   with the descriptor it is about attached (SCM_RIGHTS): whoever holds a socket's descriptor may
   act on the socket, nobody else can. The daemon knows its sockets by the kernel's cookie of the
   descriptor (SO_COOKIE). Each request is answered by one struct ts_reply with the same serial,
   in order, with a descriptor attached where the operation makes one.

   TS_OP_SOCKET  makes an unconnected socket: one end of a SEQPACKET pair. level: SOCK_STREAM (or 0),
                 or SOCK_DGRAM: then the descriptor is marked by SO_PRIORITY TS_DATAGRAMS, and stays
                 what it is; TS_OP_CONNECT on it answers without another one
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
   the descriptor are all there is; no request says the same.

   On a datagram descriptor every message, both ways, is one struct ts_datagram with the payload
   behind it. What the daemon has to say about a message it could not send comes back as an error,
   in front of the datagrams that come later. */
#ifndef TAPSTACK_API_MESSAGE_H
#define TAPSTACK_API_MESSAGE_H

#include <stdint.h>

#include "tapstack.h" /* our own options */

#define TS_DIR_DEFAULT    "/run/tapstack"
#define TS_API_SOCKET     "api"     /* below the folder */
#define TS_CONTROL_SOCKET "control" /* below the folder */

enum {
    TS_VERSION = 1,
    TS_MAGIC = 0x54535430, /* "TST0" */
    TS_OPTION_BYTES = 256,
    TS_LISTENING = 1,        /* SO_PRIORITY of a listening descriptor */
    TS_DATAGRAMS = 2,        /* SO_PRIORITY of a datagram descriptor */
    TS_DATAGRAM_MAX = 65507, /* largest payload of a datagram */
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

enum ts_datagram_flags {
    TS_DATAGRAM_ERROR = 1,   /* from the daemon: no datagram, but an errno for the next call */
    TS_DATAGRAM_PKTINFO = 2, /* from the daemon: the application has asked for IP_PKTINFO, ... */
    TS_DATAGRAM_TTL = 4,     /* ... for IP_RECVTTL */
    TS_DATAGRAM_GROUP = 8,   /* from the daemon: local is a broadcast or multicast address */
};

/* Stands before the payload of every message on a datagram descriptor, both ways. */
struct ts_datagram {
    uint32_t magic;
    uint16_t flags; /* of enum ts_datagram_flags */
    uint8_t ttl;    /* from the daemon */
    uint8_t reserved;
    int32_t error;            /* with TS_DATAGRAM_ERROR */
    uint32_t interface;       /* 1 + index; to the daemon: by which a group is sent, 0: any */
    struct ts_endpoint peer;  /* who sent it; to the daemon: where to, port 0: to the peer */
    struct ts_endpoint local; /* where it came to; to the daemon: the source address, 0: any */
};

/* Comes with a connected descriptor through a listening one. */
struct ts_accepted {
    uint32_t magic;
    uint32_t id; /* as the console shows it */
    struct ts_endpoint local;
    struct ts_endpoint peer;
};

#endif
