/* Connection tracking: who talks with whom, so that the packet filter can ask for a packet's state.

   A flow is what goes between two ends in both directions: a TCP connection, UDP datagrams between
   two ports, ICMP queries of one identifier, or all else of one protocol between two addresses. A
   packet is judged first (flow_judge) and taken into account only when it passed the filter
   (flow_commit): what was dropped leaves no trace.

   Later fragments carry no ports, so they belong to no flow: they are FLOW_INVALID. */
#ifndef TAPSTACK_CORE_FLOW_H
#define TAPSTACK_CORE_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "pool.h"
#include "stack.h"
#include "wheel.h"

/* What a packet is to the flows; bits, so that a rule can name several. */
enum flow_state {
    FLOW_NEW = 1,         /* opens a flow, or repeats the opening nobody has answered yet */
    FLOW_ESTABLISHED = 2, /* belongs to a flow that was answered, or answers it */
    FLOW_RELATED = 4,     /* an ICMP error about a flow */
    FLOW_INVALID = 8,     /* fits nothing known, and cannot begin anything */
    FLOW_STATES_ALL = 15,
};

/* A packet as filter and flows look at it, read once by flow_packet_read. */
struct flow_packet {
    uint32_t source_v4; /* host order */
    uint32_t destination_v4;
    uint8_t protocol;
    bool later_fragment;      /* no transport header in it */
    const uint8_t *transport; /* the transport header's first byte */
    size_t readable_bytes;    /* that lie there in one piece */
    size_t transport_bytes;   /* of the whole payload */

    /* Filled in by flow_packet_read; zero where there is no such thing. */
    bool readable; /* the header of TCP, UDP or ICMP is whole */
    uint8_t tcp_flags;
    uint8_t icmp_type;
    uint8_t icmp_code;
    uint16_t source_port;
    uint16_t destination_port;
};

/* Reads ports, flags, type and code from the transport header, as far as it is there. */
void flow_packet_read(struct flow_packet *packet);

/* The states of TCP as seen from the middle; RFC 9293's names for the nearest meaning. */
enum flow_tcp_state {
    FLOW_TCP_NONE, /* not TCP */
    FLOW_TCP_SYN_SENT,
    FLOW_TCP_SYN_RECEIVED, /* SYN both ways */
    FLOW_TCP_ESTABLISHED,
    FLOW_TCP_FIN_WAIT,   /* one side has sent FIN */
    FLOW_TCP_CLOSE_WAIT, /* and the other has acknowledged it */
    FLOW_TCP_LAST_ACK,   /* both have */
    FLOW_TCP_TIME_WAIT,  /* and both are acknowledged */
    FLOW_TCP_CLOSED,     /* reset */
};

/* What one side of a flow has done. The second half is TCP's. */
struct flow_side {
    uint64_t packets;
    uint64_t bytes;     /* of IP payload */
    uint32_t iss;       /* first sequence number */
    uint32_t end;       /* behind the last that it has sent */
    uint32_t limit;     /* the right edge that the other side has offered it */
    uint32_t window;    /* the largest that it has offered, bytes */
    uint32_t acked;     /* its highest acknowledgment */
    uint32_t fin_end;   /* behind its FIN */
    uint8_t scale;      /* of its windows */
    bool scale_offered; /* its SYN had the option */
    bool heard, has_acked, has_fin;
};

/* Both directions have the same key: the end with the lower address (then port) stands first. */
struct flow_key {
    uint32_t address[2];
    uint16_t port[2];
    uint32_t protocol;
};

struct flow {
    struct flow_key key;
    uint32_t hash;
    uint8_t originator; /* 0 or 1: the end in the key that has begun */
    uint8_t tcp;        /* enum flow_tcp_state */
    bool replied;       /* the other side has answered */
    bool assured;       /* stands: not given up for a newer one */
    bool liberal;       /* joined under way: its windows are not known */
    uint64_t expires_at;
    struct wheel_timer timer; /* at expires_at, or earlier: then it is armed again */
    TAILQ_ENTRY(flow) age;    /* among those not assured, oldest first */
    struct flow_side side[2]; /* of the originator, of the answerer */
};

TAILQ_HEAD(flow_list, flow);

/* All flows: an open-addressed table of pointers, at most half full. */
struct flow_table {
    struct pool *pool;
    const struct stack_settings *settings;
    const uint8_t *key; /* of the hash, 16 bytes */
    struct flow **slot; /* NULL: nothing is tracked */
    uint32_t capacity;  /* a power of two */
    uint32_t count;     /* flows */
    struct wheel wheel;
    struct flow_list unassured;
};

/* A table that tracks nothing yet. pool, settings and key (16 bytes) must outlive it. */
void flow_open(struct flow_table *table, struct pool *pool, const struct stack_settings *settings,
               const uint8_t *key, uint64_t now_us);

/* Makes room for filter.flows_max flows; those that are there stay. Returns 0 or
   STACK_NO_MEMORY. */
int flow_start(struct flow_table *table);

/* Forgets all flows. */
void flow_clear(struct flow_table *table);

/* Forgets all flows and gives the table back. */
void flow_stop(struct flow_table *table);

/* A TCP segment's numbers. */
struct flow_segment {
    uint32_t sequence;
    uint32_t end; /* behind data, SYN and FIN */
    uint32_t acknowledgment;
    uint32_t window; /* as on the wire */
    uint8_t flags;
};

/* What flow_judge has found; flow_commit wants it back with nothing changed in between. */
struct flow_look {
    struct flow *flow; /* NULL: none */
    struct flow_key key;
    uint32_t hash;
    uint8_t source; /* 0 or 1: the end in the key that has sent the packet */
    uint8_t way;    /* 0: from the flow's originator; 1: from the other side */
    uint8_t state;  /* one of enum flow_state */
    bool renews;    /* a SYN that takes the place of a connection that has ended */
    struct flow_segment segment;
};

/* Judges a packet that flow_packet_read has read. from_us: the stack itself sends it; its ICMP
   errors are FLOW_RELATED whatever they quote, since they answer something. Changes nothing.
   Returns one of enum flow_state, which also stands in look. */
enum flow_state flow_judge(const struct flow_table *table, const struct flow_packet *packet,
                           bool from_us, struct flow_look *look);

/* The packet passes: the flow is made, or moved on. Returns 0; 1 when the oldest flow that was not
   assured made way for a new one; -1 when there was no room and so the packet must be dropped. */
int flow_commit(struct flow_table *table, const struct flow_packet *packet,
                const struct flow_look *look, uint64_t now_us);

/* Takes in a TCP connection that stands already; nothing is done when there is no room. first: the
   side that has opened it. */
void flow_adopt(struct flow_table *table, const struct stack_endpoint *first,
                const struct stack_endpoint *second, uint64_t now_us);

/* Forgets the flows whose time is over. */
void flow_expire(struct flow_table *table, uint64_t now_us);

/* ---- flow_tcp.c ---- */

/* Judges a segment of the flow in look (or of none), and reads it into look->segment. */
enum flow_state flow_tcp_judge(const struct flow_table *table, const struct flow_packet *packet,
                               struct flow_look *look);

/* Moves the connection on by a segment that passes. */
void flow_tcp_commit(struct flow *flow, const struct flow_packet *packet,
                     const struct flow_look *look);

#endif
