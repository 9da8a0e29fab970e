/* The stack: ARP, IP, ICMP, UDP and TCP as one pure machine.

   Bytes and time go in as arguments; bytes and a deadline come out. The stack makes no system call,
   reads no clock, draws no randomness and holds no global, so that it runs alike in a daemon,
   inside an application, in virtual time, under a fuzzer, and twice in one process as both ends of
   a link. Same configuration, same calls: the same frames, bit for bit.

       for (;;) {
           wait until a frame has come, the application wants something, or stack_deadline(stack);
           while (a frame is there)               stack_input(stack, &frame, now);
           while (stack_next_ready(stack, &r))    serve the socket r.socket;
           while (stack_output(stack, &frame, now)) send it;
       }

   Every call takes the time `now`: microseconds of a clock that never goes back. A result below
   zero is one of enum stack_error. Not thread-safe: one caller at a time for one stack. */
#ifndef TAPSTACK_CORE_STACK_H
#define TAPSTACK_CORE_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../wire/address.h"
#include "../wire/frame.h"
#include "../wire/memory.h"
#include "counters.h"
#include "events.h"
#include "settings.h"

struct stack;

enum stack_error {
    STACK_AGAIN = -1,         /* nothing now; see stack_next_ready */
    STACK_BAD_HANDLE = -2,    /* no such socket (any more) */
    STACK_INVALID = -3,       /* an argument, or the socket's state, does not fit the call */
    STACK_IN_USE = -4,        /* address and port are taken */
    STACK_NOT_AVAILABLE = -5, /* not an address of this stack, no free port, or an invalid peer */
    STACK_NOT_CONNECTED = -6,
    STACK_IS_CONNECTED = -7,
    STACK_IN_PROGRESS = -8, /* the connection is being opened */
    STACK_CLOSED = -9,      /* we have closed this direction */
    STACK_REFUSED = -10,    /* RST in answer to our SYN */
    STACK_RESET = -11,      /* RST on a standing connection */
    STACK_TIMED_OUT = -12,
    STACK_UNREACHABLE = -13,
    STACK_NO_ROUTE = -14,
    STACK_NO_MEMORY = -15,
    STACK_NOT_SUPPORTED = -16,
    STACK_ABORTED = -17,      /* killed from the console, or the listener went away */
    STACK_MESSAGE_SIZE = -18, /* a datagram larger than UDP, or the path with DF, carries */
    STACK_DENIED = -19,       /* broadcast without STACK_OPTION_BROADCAST */
    STACK_NO_PROTOCOL = -20,  /* ICMP: the peer has no such protocol */
};

/* Short text for an error ("connection reset"), for any value. */
const char *stack_error_text(int error);

/* ---- The stack as a whole ---- */

struct stack_config {
    /* Secret of this run: hash keys, initial sequence numbers, ports. Random in earnest, chosen in
       a test. */
    uint8_t seed[32];
    struct memory memory;
    struct stack_settings settings;
    uint32_t event_capacity; /* events remembered, a power of two; 0: none */
    uint64_t utc_offset_us;  /* what makes the time of the calls microseconds of Unix time; 0: not
                                known. ICMP timestamps tell it. */
};

/* Fills in every setting's default. */
void stack_settings_default(struct stack_settings *settings);

/* Number of settings, and one of them by number: its dotted name, bounds, unit and meaning. */
struct stack_setting_info {
    const char *name;
    const char *unit;
    const char *what;
    uint64_t initial;
    uint64_t least;
    uint64_t most;
};
unsigned stack_setting_count(void);
const struct stack_setting_info *stack_setting_info(unsigned index);
/* The number of a setting by its dotted name, or -1. */
int stack_setting_find(const char *name);
uint64_t stack_setting_get(const struct stack_settings *settings, unsigned index);
/* Setting tcp.profile sets those that hosts are told apart by on the wire.
   Returns 0, or STACK_INVALID when value is out of bounds. */
int stack_setting_set(struct stack_settings *settings, unsigned index, uint64_t value);

/* A new stack, or NULL without memory. config is copied. */
struct stack *stack_create(const struct stack_config *config, uint64_t now_us);

/* Gives back everything at once; nothing is sent. */
void stack_destroy(struct stack *stack);

/* The settings in force; changed through the pointer (with stack_setting_set) they hold from then
 * on. */
struct stack_settings *stack_settings(struct stack *stack);

struct stack_interface_config {
    char name[16];
    struct mac_address mac;
    uint16_t mtu_bytes;         /* largest IP datagram */
    uint32_t address_v4;        /* host order */
    uint8_t prefix_bits;        /* of its network */
    bool checksum_offload;      /* it takes frames with FRAME_CHECKSUM_PARTIAL */
    uint32_t segment_max_bytes; /* it takes TCP super-frames up to this size; 0: none */
    bool proxy_arp;             /* answers requests for hosts behind other interfaces (RFC 1027) */
};

/* Adds an interface with its first address and the connected route of that, and announces it, with
   arp.address_probes once nobody has answered these (RFC 5227).
   Returns its index (0, 1, ...). Errors: STACK_INVALID, STACK_NO_MEMORY. */
int stack_add_interface(struct stack *stack, const struct stack_interface_config *config,
                        uint64_t now_us);

/* The interface by index, or NULL. address_v4 and prefix_bits tell its primary address, zero when
   it has none. */
const struct stack_interface_config *stack_interface(const struct stack *stack, unsigned index);

/* Gives an interface one more address, likewise.
   The first one an interface has is its primary: what is sent to networks of which it has no
   address comes from there. Errors: STACK_INVALID (no address for a host, no such interface),
   STACK_IN_USE (it is ours already, or its network is another interface's), STACK_NO_MEMORY. */
int stack_add_address(struct stack *stack, unsigned interface, uint32_t v4, unsigned prefix_bits,
                      uint64_t now_us);

/* Takes an address away; the next one becomes the primary. Its connected route goes with the last
   address of a network, and with that the routes over gateways there. Connections from the address
   stay, and time out. Errors: STACK_NOT_AVAILABLE (it has no such address). */
int stack_remove_address(struct stack *stack, unsigned interface, uint32_t v4, uint64_t now_us);

struct stack_address {
    uint32_t v4; /* host order */
    uint16_t interface;
    uint8_t prefix_bits;
    bool primary;
};
/* Walks all addresses, each interface's in the order they were added: cursor 0 at first. */
bool stack_next_address(const struct stack *stack, uint32_t *cursor, struct stack_address *address);

/* Adds a route to network/prefix_bits by gateway (0: the network is connected) over interface. Of
   several routes to one network the one with the lowest metric is taken; without one it is 0.
   Errors: STACK_INVALID (bits behind the prefix, a gateway that is no neighbor), STACK_IN_USE
   (network, prefix and metric are there), STACK_NO_MEMORY (ip.routes_max reached). */
int stack_add_route(struct stack *stack, uint32_t network, unsigned prefix_bits, uint32_t gateway,
                    unsigned interface);
int stack_add_route_metric(struct stack *stack, uint32_t network, unsigned prefix_bits,
                           uint32_t gateway, unsigned interface, uint32_t metric);

/* Takes a static or learned route away. metric UINT32_MAX: the best to this network. Errors:
   STACK_NO_ROUTE (there is none), STACK_INVALID (connected: it goes with its address). */
int stack_remove_route(struct stack *stack, uint32_t network, unsigned prefix_bits,
                       uint32_t metric);

/* One frame arrived: contiguous, in frame->piece[0], from its Ethernet header on, without FCS. The
   bytes are not needed after the call. A frame that is not wanted is dropped and counted.
   Returns 0, or -1 when it was dropped. */
int stack_input(struct stack *stack, const struct frame *frame, uint64_t now_us);

/* Pulls the next frame to send; expired timers are served first. Its pieces point into the stack
   and are valid until the next call on it. Returns the frame's bytes, or 0: nothing now. */
size_t stack_output(struct stack *stack, struct frame *frame, uint64_t now_us);

/* When to call stack_output again at the latest; UINT64_MAX: never. 0 or past: at once. */
uint64_t stack_deadline(const struct stack *stack);

/* ---- Sockets ----
   A handle is a number above zero. A handle that was closed is never taken for another socket. */

struct stack_endpoint {
    struct ip_address address; /* unspecified: any */
    uint16_t port;             /* host order; 0: none, or choose one */
};

/* A new socket in CLOSED. protocol: 6 (TCP) or 17 (UDP: see below). Returns its handle.
   Errors: STACK_NOT_SUPPORTED, STACK_NO_MEMORY. */
int stack_open(struct stack *stack, int protocol);

/* Gives it a local address; port 0 draws one. Errors: STACK_INVALID (bound), STACK_IN_USE,
   STACK_NOT_AVAILABLE. */
int stack_bind(struct stack *stack, int socket, const struct stack_endpoint *local);

/* Passive OPEN (RFC 9293, 3.9.1.1). backlog: connections that may wait for stack_accept.
   Errors: STACK_INVALID (not bound, or connected), STACK_IN_USE. */
int stack_listen(struct stack *stack, int socket, int backlog);

/* Takes the oldest connection that stands from a listener: its handle. Its addresses are told by
   stack_summary. Errors: STACK_AGAIN, STACK_INVALID. */
int stack_accept(struct stack *stack, int listener);

/* Active OPEN. Returns STACK_IN_PROGRESS; readiness tells the outcome. Errors: STACK_IS_CONNECTED,
   STACK_INVALID, STACK_NOT_AVAILABLE (invalid peer: MUST-46; no port), STACK_NO_ROUTE. */
int stack_connect(struct stack *stack, int socket, const struct stack_endpoint *remote,
                  uint64_t now_us);

enum stack_send_flags {
    STACK_SEND_MORE = 1,   /* more follows at once: hold back a segment that is not full */
    STACK_SEND_URGENT = 2, /* the urgent pointer points behind these bytes (RFC 9293 3.8.5) */
};

/* Puts bytes into the send buffer (copied). Returns the bytes taken, at least 1. Errors:
   STACK_AGAIN (buffer full), STACK_IN_PROGRESS, STACK_NOT_CONNECTED, STACK_CLOSED, STACK_RESET,
   STACK_TIMED_OUT, STACK_UNREACHABLE. */
ptrdiff_t stack_send(struct stack *stack, int socket, const void *bytes, size_t size, int flags,
                     uint64_t now_us);

/* The same without the copy: room in the send buffer to be filled by the caller (readv).
   wanted: bytes; room: two pieces, the second may be empty. Returns the room's size, at least 1,
   or an error as stack_send. Nothing is sent before stack_send_commit. The room is valid until the
   next call on this stack. */
struct stack_room {
    uint8_t *data;
    size_t size;
};
ptrdiff_t stack_send_reserve(struct stack *stack, int socket, size_t wanted,
                             struct stack_room room[2]);

/* The first size bytes of the reserved room are filled. size 0 gives the room back. Returns 0. */
int stack_send_commit(struct stack *stack, int socket, size_t size, int flags, uint64_t now_us);

/* Takes received bytes out. Returns the bytes, or 0 when the peer has closed and all is read.
   Errors: STACK_AGAIN, STACK_NOT_CONNECTED, STACK_RESET, STACK_TIMED_OUT, ... */
ptrdiff_t stack_recv(struct stack *stack, int socket, void *bytes, size_t size, uint64_t now_us);

/* The same without the copy: the received bytes where they lie, at most two pieces. Returns their
   size, 0 at the end, or an error as stack_recv. Valid until the next call on this stack. */
ptrdiff_t stack_recv_peek(struct stack *stack, int socket, struct frame_piece piece[2]);

/* Takes size of the bytes that stack_recv_peek showed out of the buffer; the window may open.
   held: bytes taken out before (these included) that the application has still not read: they go on
   counting as receive buffer until stack_recv_held says otherwise. Returns 0. */
int stack_recv_consume(struct stack *stack, int socket, size_t size, size_t held, uint64_t now_us);
int stack_recv_held(struct stack *stack, int socket, size_t held, uint64_t now_us);

enum stack_shutdown {
    STACK_SHUTDOWN_READ = 1,  /* what comes from now on is thrown away */
    STACK_SHUTDOWN_WRITE = 2, /* FIN behind what was sent: CLOSE of RFC 9293, 3.9.1.4 */
};
int stack_shutdown(struct stack *stack, int socket, int how, uint64_t now_us);

/* CLOSE, and the handle is given up: the connection goes on by itself until it is closed. With
   unread data a RST instead (RFC 9293 3.6.1, SHLD-3). A listener takes its waiting connections
   with it. Returns 0 or STACK_BAD_HANDLE. */
int stack_close(struct stack *stack, int socket, uint64_t now_us);

/* ABORT (RFC 9293, 3.9.1.5): RST, and the handle is given up. */
int stack_abort(struct stack *stack, int socket, uint64_t now_us);

/* RST by the operator: works on any id that stack_next_summary shows; the owner's handle stays and
   reads STACK_ABORTED. Returns 0 or STACK_BAD_HANDLE. */
int stack_kill(struct stack *stack, uint32_t id, uint64_t now_us);

enum stack_option {
    STACK_OPTION_NODELAY,   /* 0 or 1 (MUST-17) */
    STACK_OPTION_CORK,      /* 0 or 1: only full segments, for 200 ms at most */
    STACK_OPTION_KEEPALIVE, /* 0 or 1 (MUST-24, MUST-25) */
    STACK_OPTION_KEEPIDLE_US,
    STACK_OPTION_KEEPINTVL_US,
    STACK_OPTION_KEEPCNT,
    STACK_OPTION_USER_TIMEOUT_US, /* R2 as a time; 0: by tcp.retries2 (MUST-21) */
    STACK_OPTION_SYN_RETRIES,
    STACK_OPTION_RECEIVE_BUFFER,  /* bytes */
    STACK_OPTION_SEND_BUFFER,     /* bytes */
    STACK_OPTION_MAXIMUM_SEGMENT, /* bytes: limits the MSS offered and used */
    STACK_OPTION_TTL,             /* 1..255 (MUST-49) */
    STACK_OPTION_TOS,             /* the Diffserv byte (MUST-48) */
    STACK_OPTION_LINGER_RESET,    /* 1: stack_close resets */
    STACK_OPTION_DEFER_ACCEPT_US, /* a listener's connections wait for their first byte this long
                                     before stack_accept shows them; 0: not at all */
    STACK_OPTION_QUICK_ACK, /* 0: ACKs are delayed from the first segment on, to ride on the answer;
                               1: the next segments are ACKed at once (tcp.quick_ack_segments) */
    STACK_OPTION_REUSE_ADDRESS, /* 0 or 1: bind beside connections in TIME-WAIT (always allowed
                                     here); UDP: beside others that have it set, too */
    /* UDP's alone. Besides these it has RECEIVE_BUFFER, SEND_BUFFER, TTL, TOS and REUSE_ADDRESS. */
    STACK_OPTION_BROADCAST,           /* 0 or 1: may send to broadcast addresses */
    STACK_OPTION_MULTICAST_TTL,       /* 0..255, 1 at first (RFC 1112, 6.1) */
    STACK_OPTION_MULTICAST_LOOP,      /* 0 or 1: members on this host hear it, too; 1 at first */
    STACK_OPTION_MULTICAST_INTERFACE, /* 1 + the interface by which groups are sent; 0: by route */
    STACK_OPTION_PATH_MTU_DISCOVERY,  /* enum stack_path_mtu_discovery */
    STACK_OPTION_NO_CHECKSUM,         /* 0 or 1: sends zero checksums (RFC 768) */
};
/* When UDP sets the DF bit; the numbers are Linux' IP_MTU_DISCOVER's. What the path takes is known
   from the path MTU cache. */
enum stack_path_mtu_discovery {
    STACK_PATH_MTU_DONT = 0, /* never */
    STACK_PATH_MTU_WANT =
        1, /* to the peer, for what fits the path; the rest is fragmented. Default */
    STACK_PATH_MTU_DO = 2,    /* always; what does not fit the path is STACK_MESSAGE_SIZE */
    STACK_PATH_MTU_PROBE = 3, /* always; only the interface's MTU limits */
};
/* Errors: STACK_INVALID (out of bounds), STACK_BAD_HANDLE, STACK_NOT_SUPPORTED. */
int stack_set_option(struct stack *stack, int socket, enum stack_option option, uint64_t value,
                     uint64_t now_us);
int stack_get_option(struct stack *stack, int socket, enum stack_option option, uint64_t *value);

/* Readiness is pulled. A socket appears once a change, with all that holds for it now. */
enum stack_ready_bits {
    STACK_READY_ACCEPT = 1,       /* a connection waits */
    STACK_READY_RECV = 2,         /* bytes, or the end, can be read */
    STACK_READY_SEND = 4,         /* there is room to send again */
    STACK_READY_CONNECTED = 8,    /* the active OPEN has succeeded */
    STACK_READY_END = 16,         /* the peer's FIN has come and stands behind the bytes */
    STACK_READY_ERROR = 32,       /* the connection is gone: stack_socket_error tells why */
    STACK_READY_URGENT = 64,      /* urgent data is announced (MUST-32) */
    STACK_READY_SOFT_ERROR = 128, /* delivery trouble: R1 reached or ICMP (MUST-47, SHLD-9) */
};
struct stack_ready {
    int socket;
    uint32_t what;
    void *user; /* of stack_set_user */
};
bool stack_next_ready(struct stack *stack, struct stack_ready *ready);

/* A pointer of the caller's that readiness hands back. */
int stack_set_user(struct stack *stack, int socket, void *user);

/* Why the connection ended: 0 (it has not, or in good order) or an enum stack_error. UDP: the pending
   error (what ICMP said about a datagram sent to the peer), which the call clears. */
int stack_socket_error(struct stack *stack, int socket);

/* ---- Probes ----
   What ping and traceroute do: echo requests, or UDP datagrams to ports where nobody should be, and
   what comes back, timed by the clock of the calls. */

enum stack_probe_kind {
    STACK_PROBE_ECHO,
    STACK_PROBE_UDP, /* to port 33434 and the 255 behind it, a new one each time */
};

struct stack_probe {
    uint32_t destination_v4;
    uint8_t kind; /* enum stack_probe_kind */
    uint8_t ttl;  /* 0: ip.ttl */
    uint8_t tos;
    bool dont_fragment;
    uint16_t payload_bytes; /* behind the ICMP or UDP header, 65507 at most */
    int16_t pattern;        /* the byte it consists of; -1: 0, 1, 2, ... */
    uint64_t timeout_us;    /* not 0 */
};

enum stack_probe_outcome {
    STACK_PROBE_REPLY,     /* what was asked for */
    STACK_PROBE_DUPLICATE, /* and once more */
    STACK_PROBE_ERROR,     /* an ICMP error by from_v4, or by ourselves */
    STACK_PROBE_TIMED_OUT,
};

struct stack_probe_answer {
    uint16_t sequence;  /* as stack_probe_send returned it */
    uint8_t outcome;    /* enum stack_probe_outcome */
    uint8_t probe_ttl;  /* what the probe was sent with */
    uint32_t from_v4;   /* 0: this stack */
    uint8_t ttl;        /* of the datagram that answered */
    uint8_t type, code; /* of an error */
    bool late;          /* after its timeout was told */
    bool damaged;       /* the echoed bytes are not those that were sent */
    uint16_t bytes;     /* of a reply, from its ICMP or UDP header on */
    uint16_t mtu;       /* claimed by fragmentation needed */
    uint64_t rtt_us;
};

/* Opens a prober. Returns its handle (above zero, given out again once closed), or
   STACK_NO_MEMORY: also when 64 are open. */
int stack_probe_open(struct stack *stack);

/* Sends a probe. Returns its sequence number: 0, 1, ..., 65535, 0, ... Errors: STACK_BAD_HANDLE,
   STACK_INVALID, STACK_NO_ROUTE, STACK_NO_MEMORY, STACK_AGAIN (256 are under way). */
int stack_probe_send(struct stack *stack, int prober, const struct stack_probe *probe,
                     uint64_t now_us);

/* Fetches the next answer; false: none now. */
bool stack_probe_next(struct stack *stack, int prober, struct stack_probe_answer *answer,
                      uint64_t now_us);

void stack_probe_close(struct stack *stack, int prober);
/* ---- Datagrams (RFC 768, RFC 1122 4.1) ----
   A datagram socket is made, named and closed by the calls above. stack_bind also takes a broadcast
   or multicast address, to receive what comes to it. stack_connect gives the socket a peer (it
   returns 0 at once): only the peer's datagrams are received, and ICMP errors about what was sent to
   it become the pending error, which the next call on the socket returns and clears. Connecting to
   port 0 takes the peer away. */

/* What goes with a datagram's bytes. */
struct stack_datagram {
    struct stack_endpoint remote; /* in: who sent it. Out: where to; port 0: to the peer */
    struct stack_endpoint local;  /* in: where it came to, perhaps a group. Out: the source address,
                                     unspecified: chosen; its port is not looked at */
    int interface;                /* in: it came by this one. Out: where a broadcast or multicast
                                     leaves; -1: as the socket's options and the routes say */
    uint8_t ttl;                  /* out: 0: the socket's */
    uint8_t tos;                  /* in only */
    bool to_group;                /* in only: local is a broadcast or multicast address */
    uint32_t size;                /* in only: payload bytes */
};

/* Sends size bytes (copied), 0 to 65507. with: NULL to the peer. A socket without a port draws one.
   Returns 0. Errors: the pending one; STACK_AGAIN (the send buffer is full: STACK_READY_SEND
   follows), STACK_MESSAGE_SIZE, STACK_NOT_CONNECTED (no peer), STACK_NO_ROUTE, STACK_NOT_AVAILABLE
   (an address of this stack, or one that cannot be sent to or from), STACK_DENIED, STACK_NO_MEMORY,
   STACK_ABORTED. */
int stack_send_to(struct stack *stack, int socket, const void *bytes, size_t size,
                  const struct stack_datagram *with, uint64_t now_us);

/* Would stack_send_to take a datagram now? Returns 0, STACK_AGAIN (STACK_READY_SEND follows) or
   STACK_BAD_HANDLE. */
int stack_send_check(struct stack *stack, int socket);

/* Takes the oldest datagram. Returns the bytes copied, which are fewer than with->size when the
   buffer was too small: the rest is lost. Errors: the pending one, STACK_AGAIN, STACK_ABORTED. */
ptrdiff_t stack_recv_from(struct stack *stack, int socket, void *bytes, size_t size,
                          struct stack_datagram *with);

/* The same without the copy: the oldest datagram where it lies, until the next call on the stack.
   Returns 0 or an error. */
int stack_recv_from_peek(struct stack *stack, int socket, struct frame_piece *piece,
                         struct stack_datagram *with);

/* Takes the datagram out that stack_recv_from_peek showed. held: as stack_recv_consume. */
int stack_recv_from_consume(struct stack *stack, int socket, size_t held);

/* Becomes a member of a group (RFC 1112, 7.1) on an interface; -1: where the routes lead to it. A
   socket receives only the groups it is a member of. Leaving undoes it, and so does closing.
   Errors: STACK_INVALID (no multicast address), STACK_IN_USE (is a member), STACK_NOT_AVAILABLE (no
   such interface; leaving: no member), STACK_NO_MEMORY (too many groups). */
int stack_join_group(struct stack *stack, int socket, const struct ip_address *group, int interface,
                     uint64_t now_us);
int stack_leave_group(struct stack *stack, int socket, const struct ip_address *group,
                      int interface, uint64_t now_us);

/* The groups that the host is a member of, for the card's filter: walked as neighbors are. */
struct stack_group {
    uint32_t v4;
    uint16_t interface;
    uint32_t members; /* sockets */
};
bool stack_next_group(const struct stack *stack, uint32_t *cursor, struct stack_group *group);
/* Changes whenever that list does. */
uint64_t stack_group_generation(const struct stack *stack);

/* ---- Looking in ---- */

/* RFC 9293, 3.3.2; the numbers are Linux' and RFC 4022's order does not matter here. */
enum tcp_state {
    TCP_CLOSED = 0,
    TCP_LISTEN,
    TCP_SYN_SENT,
    TCP_SYN_RECEIVED,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT_1,
    TCP_FIN_WAIT_2,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_LAST_ACK,
    TCP_TIME_WAIT,
    TCP_STATE_COUNT
};
/* "ESTABLISHED", ...; "?" for no state. */
const char *tcp_state_name(unsigned state);

const char *stack_event_name(unsigned kind);                           /* "sent" */
const char *stack_event_argument_name(unsigned kind, unsigned number); /* "" when not used */
const char *stack_reason_name(unsigned reason);
const char *stack_timer_name(unsigned timer);     /* "retransmit" */
const char *stack_counter_name(unsigned counter); /* "TcpInSegs" */
const char *stack_counter_what(unsigned counter);
/* STACK_COUNTER_COUNT of them, in their list's order. */
const uint64_t *stack_counters(const struct stack *stack);

/* Events are kept in a ring. cursor: number of the next event wanted, 0 at first; moved on by the
   call. lost: how many were overwritten before they were read (added to; may be NULL).
   Returns false when there is none. */
bool stack_next_event(const struct stack *stack, uint64_t *cursor, struct stack_event *event,
                      uint64_t *lost);
/* Events that ever happened: the cursor of one who wants only what comes. */
uint64_t stack_event_count(const struct stack *stack);

/* One line about a socket, for lists. */
struct stack_summary {
    uint32_t id;      /* small number, stable for the connection's life */
    int socket;       /* handle, or 0 when no application holds it */
    uint8_t protocol; /* 6 (TCP) or 17 (UDP) */
    uint8_t state;    /* enum tcp_state; UDP: ESTABLISHED with a peer, else CLOSED */
    struct stack_endpoint local;
    struct stack_endpoint remote;
    uint32_t receive_queue; /* bytes unread; a listener: connections waiting */
    uint32_t send_queue;    /* bytes not acknowledged or not sent; a listener: backlog */
    uint64_t time_wait_left_us;
};
/* Walks all sockets: cursor 0 at first. Returns false behind the last. */
bool stack_next_summary(const struct stack *stack, uint32_t *cursor, struct stack_summary *summary,
                        uint64_t now_us);
int stack_summary(const struct stack *stack, int socket, struct stack_summary *summary,
                  uint64_t now_us);

/* All of a connection's control block. RFC names; bytes and microseconds. */
struct stack_info {
    struct stack_summary summary;
    uint8_t passive; /* opened by the peer (MUST-11) */
    uint8_t nodelay;
    uint8_t cork;
    uint8_t keepalive;
    uint8_t window_scaling, timestamps, sack; /* negotiated */
    uint8_t snd_wscale, rcv_wscale;
    uint8_t in_recovery, in_loss;
    uint8_t fin_sent, fin_received;
    uint8_t ttl, tos;
    uint32_t iss, irs;
    uint32_t snd_una, snd_nxt, snd_max, snd_wnd, snd_wl1, snd_wl2;
    uint32_t rcv_nxt, rcv_wnd;
    uint32_t snd_mss, rcv_mss, pmtu, advmss;
    uint32_t cwnd, ssthresh, inflight, recover; /* bytes; ssthresh UINT32_MAX: not set yet */
    uint32_t duplicate_acks;
    uint32_t receive_buffer, send_buffer; /* limits */
    uint32_t receive_memory, send_memory; /* allocated now */
    uint32_t out_of_order_bytes, out_of_order_ranges;
    uint32_t held;   /* taken out but unread */
    uint32_t urgent; /* unread bytes up to the end of urgent data, come or not (MUST-33); 0: none */
    uint32_t not_sent;
    uint64_t srtt_us, rttvar_us, rto_us, min_rtt_us; /* min_rtt 0: no sample */
    uint32_t backoff, retransmits, probes;
    uint32_t ts_recent;
    const char *congestion; /* name of the algorithm */
    /* deadlines as time left, microseconds; UINT64_MAX: not running */
    uint64_t rto_left_us, persist_left_us, delayed_ack_left_us, keepalive_left_us,
        time_wait_left_us;
    uint64_t age_us, last_sent_us, last_received_us, last_ack_received_us; /* ago */
    uint64_t bytes_sent, bytes_retransmitted, bytes_acked, bytes_received;
    uint32_t segs_out, segs_in, data_segs_out, data_segs_in, total_retransmits, timeouts;
    uint64_t busy_us, rwnd_limited_us, sndbuf_limited_us; /* why it is slow (RFC 4898 SndLim) */
    int error;                                            /* 0 or enum stack_error */
    uint32_t listener_backlog, listener_waiting, listener_embryonic;
    uint32_t drops; /* UDP: datagrams for which there was no room; segs_in and segs_out count
                       datagrams */
};
/* By handle, or by id (what a list showed). Errors: STACK_BAD_HANDLE. */
int stack_info(const struct stack *stack, int socket, struct stack_info *info, uint64_t now_us);
int stack_info_by_id(const struct stack *stack, uint32_t id, struct stack_info *info,
                     uint64_t now_us);

enum neighbor_state {
    NEIGHBOR_NONE = 0, /* slot not used */
    NEIGHBOR_INCOMPLETE,
    NEIGHBOR_REACHABLE,
    NEIGHBOR_STALE,
    NEIGHBOR_DELAY,
    NEIGHBOR_PROBE,
    NEIGHBOR_FAILED,
    NEIGHBOR_PERMANENT,
    NEIGHBOR_STATE_COUNT
};
const char *neighbor_state_name(unsigned state);

struct stack_neighbor {
    uint32_t v4; /* host order */
    struct mac_address mac;
    uint8_t state; /* enum neighbor_state */
    uint16_t interface;
    bool gateway;          /* routes lead through it */
    bool contested;        /* another MAC claims the address: the one we have is being checked */
    uint8_t requests;      /* sent without an answer */
    uint32_t queued;       /* frames waiting for it */
    uint64_t state_us;     /* in this state for */
    uint64_t used_us;      /* we sent to it last, ago; UINT64_MAX: never */
    uint64_t confirmed_us; /* ago; UINT64_MAX: never */
};
bool stack_next_neighbor(const struct stack *stack, uint32_t *cursor,
                         struct stack_neighbor *neighbor, uint64_t now_us);

/* Sets a neighbor by hand: nothing that comes from the network changes it. Its interface is that of
   the connected network it belongs to. Errors: STACK_NO_ROUTE (on no such network), STACK_INVALID
   (an address of ours or of a group, a MAC that is not of one card), STACK_NO_MEMORY. */
int stack_set_neighbor(struct stack *stack, uint32_t v4, const struct mac_address *mac,
                       uint64_t now_us);

/* Forgets a neighbor, set by hand or not, with the frames that wait for it. Errors: STACK_NO_ROUTE,
   STACK_NOT_AVAILABLE (not in the cache). */
int stack_delete_neighbor(struct stack *stack, uint32_t v4, uint64_t now_us);

/* Forgets the neighbors on an interface (-1: on all) but those set by hand. Returns how many. */
unsigned stack_flush_neighbors(struct stack *stack, int interface, uint64_t now_us);

/* Asks for a neighbor now: by unicast when its MAC is known, else everybody. Errors:
   STACK_NO_ROUTE, STACK_INVALID (as stack_set_neighbor, or set by hand), STACK_NO_MEMORY. */
int stack_probe_neighbor(struct stack *stack, uint32_t v4, uint64_t now_us);

/* An address of ours on its link (RFC 5227). */
enum address_state {
    ADDRESS_NONE = 0,  /* not ours */
    ADDRESS_TENTATIVE, /* being probed, not used yet */
    ADDRESS_ANNOUNCED, /* in use, announcements are still to be sent */
    ADDRESS_IN_USE,
    ADDRESS_GIVEN_UP, /* another host uses it; probed again after arp.recheck */
    ADDRESS_STATE_COUNT
};
const char *address_state_name(unsigned state); /* "IN-USE" */

struct stack_address_state {
    uint8_t state;                  /* enum address_state */
    uint32_t conflicts;             /* packets of others that use it */
    struct mac_address conflict_by; /* the last of them */
    uint64_t conflict_us;           /* ago; UINT64_MAX: never */
};
/* How an address stands on an interface. Returns false when it is not one of ours there. */
bool stack_address_state(const struct stack *stack, unsigned interface, uint32_t v4,
                         struct stack_address_state *state, uint64_t now_us);
enum stack_route_kind {
    STACK_ROUTE_CONNECTED, /* the network of an address of ours */
    STACK_ROUTE_STATIC,    /* set by hand */
    STACK_ROUTE_LEARNED,   /* to one host, from a redirect that was believed; expires */
    STACK_ROUTE_KIND_COUNT
};
const char *stack_route_kind_name(unsigned kind); /* "connected" */

/* A datagram whose fragments are waiting for the rest. */
struct stack_reassembly {
    uint32_t source_v4;      /* host order */
    uint32_t destination_v4; /* host order */
    uint16_t identification;
    uint8_t protocol;
    bool refused;       /* dropped for a contradiction; its name is kept to drop the rest too */
    bool first_is_here; /* the fragment at offset 0 */
    uint16_t interface; /* by which its first fragment came */
    uint32_t fragments;
    uint32_t received_bytes; /* of payload */
    uint32_t total_bytes;    /* of payload; 0: not known yet */
    uint32_t memory_bytes;   /* charged for it */
    uint64_t age_us, left_us;
};
bool stack_next_reassembly(const struct stack *stack, uint32_t *cursor,
                           struct stack_reassembly *entry, uint64_t now_us);

struct stack_route {
    uint32_t network;
    uint8_t prefix_bits;
    uint8_t kind;     /* enum stack_route_kind */
    uint32_t gateway; /* 0: connected */
    uint32_t metric;
    uint16_t interface;
    uint64_t expires_us; /* from now; UINT64_MAX: never */
};
/* Walks all routes, in no order: cursor 0 at first. */
bool stack_next_route(const struct stack *stack, uint32_t *cursor, struct stack_route *route,
                      uint64_t now_us);

/* What would be taken to send to a destination: the route, the neighbor to send to, and the source
   address. Errors: STACK_NO_ROUTE (also: it is ours, or a group's). */
int stack_find_route(const struct stack *stack, uint32_t destination_v4, struct stack_route *route,
                     uint32_t *next_hop, uint32_t *source_v4, uint64_t now_us);

/* What ICMP has told of the MTU on the way to a destination (RFC 1191). */
struct stack_pmtu {
    uint32_t destination_v4;
    uint16_t mtu_bytes;
    bool locked;      /* less than ip.min_pmtu: sent without DF */
    uint64_t left_us; /* until it is forgotten */
};
bool stack_next_pmtu(const struct stack *stack, uint32_t *cursor, struct stack_pmtu *pmtu,
                     uint64_t now_us);
/* Forgets them all, so that the interfaces' MTUs are tried again. Returns how many they were. */
unsigned stack_flush_pmtu(struct stack *stack);

/* ---- The packet filter ----
   Rules are text, one a line, as tapstackd.conf(5) describes them; `;` ends a line as well. Chains
   are named "input", "forward" and "output". Rules are numbered from 1 in each chain. */

/* What is wrong with a text, and where, both counted from 1. */
struct stack_filter_error {
    uint32_t line;
    uint32_t column; /* 0: nothing in particular */
    char message[160];
};

/* Reads a text and forgets it. Returns 0, or STACK_INVALID with error filled in. */
int stack_filter_check(const char *text, size_t size, struct stack_filter_error *error);

/* Puts the rules and policies of a text in the place of all there are, between two packets: all of
   them, or none when there is an error. Counters start anew; known flows stay as long as a rule
   asks for a state. An empty text lets everything pass.
   Returns 0, or STACK_INVALID or STACK_NO_MEMORY with error filled in. */
int stack_filter_load(struct stack *stack, const char *text, size_t size,
                      struct stack_filter_error *error, uint64_t now_us);

/* Adds one rule to its chain, before rule number at (0: at the end). Errors as stack_filter_load. */
int stack_filter_insert(struct stack *stack, const char *text, size_t size, uint32_t at,
                        struct stack_filter_error *error, uint64_t now_us);

/* Errors of both: STACK_INVALID (no such chain or rule; no policy), and with them error. */
int stack_filter_delete(struct stack *stack, const char *chain, uint32_t number,
                        struct stack_filter_error *error, uint64_t now_us);
int stack_filter_set_policy(struct stack *stack, const char *chain, const char *policy,
                            struct stack_filter_error *error, uint64_t now_us);

enum { STACK_FILTER_TEXT_MAX = 512 };
struct stack_filter_rule {
    const char *chain;
    uint32_t number; /* 0: the chain's policy */
    uint64_t packets;
    uint64_t bytes;                   /* of IP datagrams */
    char text[STACK_FILTER_TEXT_MAX]; /* as stack_filter_load takes it */
};

/* Chain by chain: the policy, then the rules in their order. cursor: 0 at first. */
bool stack_next_filter_rule(const struct stack *stack, uint32_t *cursor,
                            struct stack_filter_rule *rule);

/* Which rule decides about a packet, described as a rule without target: "input in tap0 proto tcp
   from 10.77.0.1 to 10.77.0.2 port 80". Without a state it is new. Counts nothing, sends nothing.
   logs: how many log rules it passes. Returns 0, or STACK_INVALID with error filled in. */
int stack_filter_test(const struct stack *stack, const char *text, size_t size,
                      struct stack_filter_rule *rule, uint32_t *logs,
                      struct stack_filter_error *error);

/* A flow that the filter tracks. Ports of ICMP are the query's identifier and its type. */
struct stack_flow {
    uint8_t protocol;  /* of IP */
    const char *state; /* "ESTABLISHED", ...; without TCP "NEW" or "REPLIED" */
    bool assured;      /* not given up for a newer one */
    struct stack_endpoint from, to;
    uint64_t packets[2]; /* of who began, of the other side */
    uint64_t bytes[2];   /* of IP payload */
    uint64_t left_us;    /* until it is forgotten when nothing comes */
};
bool stack_next_flow(const struct stack *stack, uint32_t *cursor, struct stack_flow *flow,
                     uint64_t now_us);
void stack_flow_usage(const struct stack *stack, uint32_t *flows, uint32_t *most);
/* Forgets all flows; the stack's own connections are taken in again. */
void stack_flush_flows(struct stack *stack, uint64_t now_us);

/* Bytes allocated now, and the sockets by kind. */
struct stack_usage {
    uint64_t memory_bytes;
    uint64_t buffer_bytes;     /* of them in socket buffers and queues, in use */
    uint64_t cached_bytes;     /* of them kept for reuse */
    uint64_t reassembly_bytes; /* of them for fragments that wait */
    uint32_t sockets;          /* full control blocks */
    uint32_t time_wait;        /* compact ones */
    uint32_t datagram_sockets;
    uint32_t connections_by_state[TCP_STATE_COUNT];
};
void stack_usage(const struct stack *stack, struct stack_usage *usage);

#endif
