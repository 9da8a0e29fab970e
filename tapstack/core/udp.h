/* UDP (RFC 768, RFC 1122 4.1): datagram sockets, their queues, and port unreachable without one
   (stage S24).

   udp         datagrams in and out, ICMP errors
   udp_socket  the socket calls and options */
#ifndef TAPSTACK_CORE_UDP_H
#define TAPSTACK_CORE_UDP_H

#include <sys/queue.h>

#include "../wire/icmp.h"
#include "../wire/udp.h"
#include "ip.h"
#include "packet.h"
#include "tcp.h"

enum {
    UDP_PORT_BUCKETS = 256,
    UDP_MEMBERSHIPS_MAX = 20, /* groups of one socket: Linux' igmp_max_memberships */
    UDP_PAYLOAD_MAX = 65535 - IPV4_HEADER_BYTES - UDP_HEADER_BYTES,
};

/* A datagram received: a block of the pool with its payload behind it. */
struct udp_datagram {
    STAILQ_ENTRY(udp_datagram) next;
    struct stack_datagram with;
    uint8_t bytes[];
};

struct udp_membership {
    uint32_t v4; /* 0: the place is free */
    uint16_t interface;
};

struct udp_options_set {
    uint32_t receive_buffer; /* bytes with overhead */
    uint32_t send_buffer;
    uint8_t ttl;
    uint8_t tos;
    uint8_t multicast_ttl;
    uint8_t multicast_interface; /* 1 + index; 0: by route */
    uint8_t path_mtu_discovery;  /* enum stack_path_mtu_discovery */
    bool multicast_loop;
    bool broadcast;
    bool reuse_address;
    bool no_checksum;
};

struct udp_socket {
    struct tcp_entry entry; /* remote_port 0: no peer */
    LIST_ENTRY(udp_socket) port;
    TAILQ_ENTRY(udp_socket) ready; /* the application has something to learn */
    TAILQ_ENTRY(udp_socket) out;   /* has datagrams to send */
    void *user;

    STAILQ_HEAD(, udp_datagram) received; /* oldest first */
    uint32_t received_bytes;              /* blocks of the pool in it */
    uint32_t held;                        /* taken out, but unread */
    struct packet_queue send;             /* headed and resolved: may leave */
    uint32_t send_bytes;                  /* blocks of the pool in it */
    struct udp_membership *memberships;   /* UDP_MEMBERSHIPS_MAX of them, or NULL: none yet */

    uint16_t largest_df; /* bytes of the largest datagram sent with DF: what ICMP may be about */
    uint16_t news;       /* of enum stack_ready_bits, not yet told */
    int8_t error;        /* the pending enum stack_error */
    bool ended;          /* killed: only good for stack_close */
    bool listed;         /* in the list of its port */
    bool port_given;     /* by stack_bind: stays when the peer goes */
    bool address_given;  /* likewise */
    bool ready_queued, out_queued;
    bool send_full; /* the application was told STACK_AGAIN: STACK_READY_SEND is owed */

    struct udp_options_set options;
    uint64_t created_at, last_sent_at, last_received_at; /* 0: never */
    uint64_t bytes_sent, bytes_received;
    uint32_t datagrams_sent, datagrams_received, dropped;
};

TAILQ_HEAD(udp_socket_queue, udp_socket);

struct udp {
    LIST_HEAD(, udp_socket) port[UDP_PORT_BUCKETS]; /* bound sockets */
    struct udp_socket_queue out, ready;
    struct packet_queue orphans; /* left to send by sockets that were closed */
    uint64_t memory_bytes;       /* of all datagrams, in and out: udp.memory bounds it */
    uint32_t socket_count;
};

/* ---- udp.c ---- */

/* Takes a datagram with a UDP message. Returns 0, or -1: it was dropped, and counted. */
int udp_input(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us);

/* ICMP quotes a datagram of ours. Returns 0, or -1 when it is about no socket. */
int udp_icmp_error(struct stack *stack, const struct ip_datagram *datagram,
                   const struct icmp_header *icmp, const struct ipv4_header *quoted,
                   const uint8_t *quoted_udp, uint64_t now_us);

/* Heads, sums and routes a datagram, and queues it. Returns 0 or an enum stack_error. */
int udp_send(struct stack *stack, struct udp_socket *socket, const void *bytes, size_t size,
             const struct stack_datagram *with, uint64_t now_us);

/* The next datagram to send, or NULL; the caller destroys it. */
struct packet *udp_output(struct stack *stack);
bool udp_has_output(const struct stack *stack);

/* Frees a datagram received, which is in no queue any more. */
void udp_release(struct stack *stack, struct udp_datagram *datagram);

/* The interface by which a socket sends to a broadcast or multicast address, or STACK_NO_ROUTE. */
int udp_group_interface(const struct stack *stack, const struct udp_socket *socket, uint32_t v4,
                        int wanted);

/* ---- udp_socket.c: what the calls of stack.h do for datagram sockets ---- */

/* The socket that the application holds under this handle, or NULL. */
struct udp_socket *udp_get(const struct stack *stack, int handle);
/* STACK_NOT_SUPPORTED when it is a datagram socket, else STACK_BAD_HANDLE. */
int udp_refuse(const struct stack *stack, int handle);
int udp_open(struct stack *stack);
int udp_bind(struct stack *stack, int handle, const struct stack_endpoint *local);
/* Binds a socket that has no port to one drawn; STACK_NOT_AVAILABLE without a free one. */
int udp_bind_any(struct stack *stack, struct udp_socket *socket);
int udp_connect(struct stack *stack, int handle, const struct stack_endpoint *remote);
int udp_recv_held(struct stack *stack, int handle, size_t held);
int udp_close(struct stack *stack, int handle, uint64_t now_us);
void udp_kill(struct stack *stack, struct udp_socket *socket, uint64_t now_us);
/* Frees it and all it holds; nothing is sent any more. */
void udp_destroy(struct stack *stack, struct udp_socket *socket);
int udp_set_option(struct stack *stack, int handle, enum stack_option option, uint64_t value);
int udp_get_option(struct stack *stack, int handle, enum stack_option option, uint64_t *value);
int udp_set_user(struct stack *stack, int handle, void *user);
int udp_take_error(struct stack *stack, int handle);
bool udp_next_ready(struct stack *stack, struct stack_ready *ready);
void udp_signal(struct stack *stack, struct udp_socket *socket, unsigned ready);
bool udp_is_member(const struct udp_socket *socket, uint32_t v4, unsigned interface);
void udp_summarize(const struct udp_socket *socket, struct stack_summary *summary);
void udp_fill_info(const struct udp_socket *socket, struct stack_info *info, uint64_t now_us);

#endif
