/* TCP's control block, its tables, and the calls by which its files reach each other.

   tcp_table    finds a connection by its four-tuple, a socket by its id, a listener by its port
   tcp_socket   makes, copies and ends sockets; readiness
   tcp_in       a segment arrives (RFC 9293, 3.10.7)
   tcp_receive  received data: buffer, out-of-order ranges, window, when to acknowledge
   tcp_out      the next segment to send
   tcp_timer    retransmission, persist, delayed ACK, keep-alive, end of TIME-WAIT and FIN-WAIT-2
   tcp_recovery round-trip time, loss recovery
   tcp_mtu      how large a segment may be on its path
   tcp_wait     the compact remnant of a connection in TIME-WAIT
   tcp_reset    resets, and ICMP errors */
#ifndef TAPSTACK_CORE_TCP_H
#define TAPSTACK_CORE_TCP_H

#include <sys/queue.h>

#include "../wire/icmp.h"
#include "../wire/tcp.h"
#include "congestion.h"
#include "ip.h"
#include "ring.h"
#include "seq.h"
#include "stack.h"
#include "wheel.h"

#define TCP_NEVER UINT64_MAX

/* What the tables hold: a socket of TCP or UDP, or the compact remnant of one in TIME-WAIT. */
struct tcp_entry {
    struct tcp_entry *next; /* in its hash chain */
    struct ip_address local_address;
    struct ip_address remote_address;
    uint16_t local_port;
    uint16_t remote_port;
    uint32_t hash; /* of the four-tuple */
    uint32_t id;   /* of the console, and the application's handle */
    uint8_t state; /* enum tcp_state */
    bool compact;  /* a struct tcp_wait, not a struct tcp_socket */
    bool datagram; /* a struct udp_socket: state and compact mean nothing */
    bool in_table; /* reachable by its four-tuple */
};

struct tcp_wait {
    struct tcp_entry entry;
    TAILQ_ENTRY(tcp_wait) age;
    uint64_t expires_at;
    uint64_t ts_recent_at;
    uint32_t snd_nxt;
    uint32_t rcv_nxt;
    uint32_t rcv_wnd;
    uint32_t ts_recent;
    uint32_t ts_offset;
    uint32_t challenges_since_s;
    uint16_t challenges; /* ACKs sent, limited like a connection's */
    bool timestamps;
    uint8_t ttl;
    uint8_t tos;
};

/* Why a connection does not send more just now (RFC 4898, SndLim). */
enum tcp_limit { TCP_LIMIT_NONE, TCP_LIMIT_BUSY, TCP_LIMIT_RECEIVER, TCP_LIMIT_SENDER };

/* What an application may set; a connection starts with its listener's. */
struct tcp_options_set {
    uint32_t keepidle_ms;
    uint32_t keepintvl_ms;
    uint32_t user_timeout_ms; /* 0: by tcp.retries2 */
    uint32_t defer_ms;        /* of a listener: first byte awaited before stack_accept */
    uint32_t receive_buffer;  /* bytes at most */
    uint32_t send_buffer;     /* bytes at most */
    uint16_t maximum_segment; /* 0: by the MTU */
    uint8_t keepcnt;
    uint8_t syn_retries;
    uint8_t ttl;
    uint8_t tos;
    bool nodelay;
    bool cork;
    bool keepalive;
    bool linger_reset;
    bool no_quick_ack;
};

struct tcp_range {
    uint32_t left;
    uint32_t right;
};

struct tcp_socket {
    struct tcp_entry entry;

    /* Lists it may stand in. */
    TAILQ_ENTRY(tcp_socket) out;    /* has something to send */
    TAILQ_ENTRY(tcp_socket) ready;  /* the application has something to learn */
    LIST_ENTRY(tcp_socket) sibling; /* not yet accepted connections of one listener; free list */
    union {
        TAILQ_ENTRY(tcp_socket) waiting; /* in its listener's accept queue */
        LIST_ENTRY(tcp_socket) port;     /* bound to a port, which no copy of a listener is */
    };
    struct tcp_socket *listener; /* made from; NULL once accepted */
    void *user;

    struct wheel_timer timer;
    uint64_t deadline[TCP_TIMER_COUNT];

    struct {
        uint32_t una, nxt, max; /* max: highest sent; nxt goes back to una after a timeout */
        uint32_t wnd, wl1, wl2, iss;
        uint32_t up;      /* urgent pointer */
        uint32_t max_wnd; /* largest window the peer ever offered */
        uint32_t push;    /* end of the last write: where PSH belongs */
        uint32_t small;   /* end of the last segment that was not full (Nagle, Minshall) */
        uint32_t recover; /* RFC 6582: snd.max when recovery began */
        uint32_t timed;   /* the sequence number whose ACK is the next RTT sample */
    } snd;
    struct {
        uint32_t nxt, irs;
        uint32_t edge; /* right edge of the window we have offered: never moves left (SHLD-14) */
        uint32_t up;
        uint32_t acked; /* rcv.nxt as last sent in an ACK: Last.ACK.sent of RFC 7323 */
        uint32_t fin;   /* sequence number of the peer's FIN, with fin_known */
    } rcv;

    struct ring send;    /* from snd.una on (behind the SYN) */
    struct ring receive; /* from the first unread byte to rcv.nxt, then the ranges out of order */
    struct tcp_range *ranges; /* out of order, ascending, apart; a block of the pool or NULL */
    union {
        struct {
            struct tcp_range recent[TCP_SACK_BLOCKS_MAX]; /* ranges as reported: newest first */
            struct tcp_range duplicate; /* to report as D-SACK with the next ACK (RFC 2883) */
        };
        struct {                              /* a listener's */
            LIST_HEAD(, tcp_socket) children; /* not accepted yet, through sibling */
            TAILQ_HEAD(tcp_socket_queue, tcp_socket) accept_queue;
            uint32_t backlog, waiting_count, embryonic_count;
        };
    };
    uint16_t range_count;
    uint16_t range_capacity;
    uint8_t recent_count;
    uint16_t rcv_mss; /* largest segment the peer has sent */
    uint32_t out_of_order_bytes;
    uint32_t held;      /* bytes taken out of `receive` that the application has not read */
    uint32_t not_acked; /* received and not acknowledged bytes */

    uint16_t snd_mss;  /* payload of a full segment: Eff.snd.MSS of RFC 9293, 3.7.1 */
    uint16_t peer_mss; /* MSS option received, or 536 */
    uint16_t pmtu;
    uint16_t advmss; /* what our MSS option says, by the interface's MTU */
    struct {
        uint32_t generation;       /* of the path MTU cache when we looked */
        uint16_t size_sent;        /* largest datagram sent at this MTU; 0: none ... */
        uint16_t size_proven;      /* ... and known to have arrived */
        uint32_t size_end;         /* sequence number behind the first of size_sent */
        uint16_t doubted;          /* an MTU that was claimed; 0: none */
        uint32_t doubted_sequence; /* of the segment that was too big, they say */
        bool locked;               /* the path may take less than pmtu: no DF */
    } mtu;
    uint8_t snd_wscale;                    /* shift of windows we receive */
    uint8_t rcv_wscale;                    /* shift of windows we send */
    bool window_scaling, timestamps, sack; /* negotiated */

    uint32_t ts_recent;
    uint32_t ts_offset;
    uint64_t ts_recent_at;

    struct congestion congestion;
    uint32_t srtt_us, rttvar_us, rto_us, min_rtt_us;
    uint64_t timed_at; /* when snd.timed was sent; 0: no sample under way */
    uint16_t duplicate_acks;
    uint8_t backoff;         /* doublings of the RTO */
    uint8_t persist_backoff; /* of the pause between window probes */
    uint8_t retransmits;     /* of the segment at snd.una, by timeout */
    uint8_t probes;          /* unanswered: persist or keep-alive */
    uint8_t quick_acks;
    uint8_t limit;       /* enum tcp_limit */
    uint16_t challenges; /* challenge ACKs in the running five seconds */
    uint32_t challenges_since_s;

    /* What tcp_out has been asked for. */
    bool syn_wanted;
    bool ack_wanted;
    bool retransmit_wanted;
    bool probe_wanted;
    bool hold_partial;         /* the application has said that more follows */
    bool force_partial;        /* the persist or cork timer allows a segment that is not full */
    uint8_t ack_reason;        /* enum stack_reason */
    uint8_t retransmit_reason; /* enum stack_reason */

    bool out_queued, ready_queued, in_accept_queue;
    bool application;             /* holds the handle */
    bool ended;                   /* had a connection: a socket serves for one */
    bool passive;                 /* opened by the peer (MUST-11) */
    bool bound, listed;           /* in the port table */
    bool fin_wanted, fin_sent;    /* ours */
    bool fin_known, fin_received; /* the peer's: seen; reached in order */
    bool read_shutdown;
    bool in_recovery, in_loss;
    bool cwnd_limited;
    bool window_closed;           /* the last window we offered was zero */
    bool send_full;               /* the application was told STACK_AGAIN: READY_SEND is owed */
    uint8_t soft_type, soft_code; /* the last ICMP soft error */
    int8_t error;                 /* enum stack_error */
    uint16_t news;                /* of enum stack_ready_bits, not yet told */

    struct tcp_options_set options;

    uint64_t created_at, last_sent_at, last_received_at, last_ack_at, silent_since;
    uint64_t limit_since, busy_us, rwnd_limited_us, sndbuf_limited_us;
    uint64_t bytes_sent, bytes_retransmitted, bytes_acked, bytes_received;
    uint32_t segs_out, segs_in, data_segs_out, data_segs_in, total_retransmits, timeouts;
};

enum { TCP_PORT_BUCKETS = 256 };

struct tcp {
    struct wheel wheel;
    /* By four-tuple: chains; while it grows, buckets below `moved` of the old table are empty. */
    struct tcp_entry **bucket, **old_bucket;
    uint32_t bucket_count, old_bucket_count, moved, entries;
    /* By id: slot id mod capacity; an id whose slot is taken is skipped. */
    struct tcp_entry **slot;
    uint32_t slot_capacity, slot_used, next_id;
    LIST_HEAD(, tcp_socket) port[TCP_PORT_BUCKETS]; /* bound sockets */
    struct tcp_socket_queue out, ready;
    TAILQ_HEAD(, tcp_wait) waits; /* oldest first: the next to expire */
    uint32_t wait_count;
    LIST_HEAD(, tcp_socket) free_sockets; /* kept for reuse, through sibling */
    uint32_t free_count, socket_count;
    uint32_t by_state[TCP_STATE_COUNT];
};

/* One segment on its way in. */
struct tcp_segment {
    const struct ip_datagram *datagram;
    struct tcp_header header;
    const uint8_t *data;
    uint32_t size;     /* of data; tcp_in cuts what lies outside the window */
    uint32_t sequence; /* of the first byte (or of the SYN) */
    uint32_t length;   /* SEG.LEN: data, SYN and FIN */
    uint32_t wnd;      /* SEG.WND, scaled */
    uint16_t unit;     /* payload of one wire segment of a super-frame, else size */
    uint8_t flags;
    bool reopens;       /* a SYN that ended a TIME-WAIT ... */
    uint32_t iss_least; /* ... whose successor's ISN is at least this */
};

/* ---- tcp_table.c ---- */
int tcp_table_open(struct stack *stack);
void tcp_table_close(struct stack *stack);
struct tcp_entry *tcp_table_find(const struct stack *stack, const struct ip_address *local,
                                 uint16_t local_port, const struct ip_address *remote,
                                 uint16_t remote_port);
/* The same for UDP, where several entries may have one four-tuple; the address and port of a socket
   without a peer are unspecified and 0. next: the one behind an entry found. */
struct tcp_entry *tcp_table_find_datagram(const struct stack *stack, const struct ip_address *local,
                                          uint16_t local_port, const struct ip_address *remote,
                                          uint16_t remote_port);
struct tcp_entry *tcp_table_next_datagram(const struct tcp_entry *entry);
/* Makes the entry reachable by its four-tuple; 0 or STACK_NO_MEMORY. */
int tcp_table_insert(struct stack *stack, struct tcp_entry *entry);
void tcp_table_remove(struct stack *stack, struct tcp_entry *entry);
/* Puts one entry in the place of another with the same four-tuple and id. */
void tcp_table_replace(struct stack *stack, struct tcp_entry *old, struct tcp_entry *entry);
/* Gives the entry an id; 0 or STACK_NO_MEMORY. */
int tcp_table_number(struct stack *stack, struct tcp_entry *entry);
void tcp_table_unnumber(struct stack *stack, struct tcp_entry *entry);
struct tcp_entry *tcp_table_by_id(const struct stack *stack, uint32_t id);
struct tcp_socket *tcp_table_find_listener(const struct stack *stack,
                                           const struct ip_address *local, uint16_t local_port);
/* Is the port bound to this address (or either of them to any) by a socket that listens or may? A
   connection does not count: MUST-42. */
bool tcp_table_port_taken(const struct stack *stack, const struct ip_address *local,
                          uint16_t local_port);
/* Do these addresses exclude each other at one port: equal, or one of them any? */
bool tcp_table_addresses_meet(const struct ip_address *a, const struct ip_address *b);
/* A port from the ephemeral range for which is_free holds, the search starting at a random one (RFC
   6056, algorithm 1); 0: none. */
uint16_t tcp_table_draw_port(struct stack *stack, const struct tcp_entry *entry,
                             bool (*is_free)(const struct stack *stack,
                                             const struct tcp_entry *entry, uint16_t port));
void tcp_table_bind(struct stack *stack, struct tcp_socket *socket);
void tcp_table_unbind(struct stack *stack, struct tcp_socket *socket);

/* ---- tcp_socket.c ---- */
/* A new socket in CLOSED with an id, in no list; NULL without memory. */
struct tcp_socket *tcp_socket_create(struct stack *stack, uint64_t now_us);
/* Gives memory of sockets kept for reuse back, but for `keep` of them. */
void tcp_socket_trim(struct stack *stack, uint32_t keep);
/* The socket that the application holds under this handle, or NULL. */
struct tcp_socket *tcp_socket_get(const struct stack *stack, int handle);
void tcp_socket_set_state(struct stack *stack, struct tcp_socket *socket, enum tcp_state state,
                          uint64_t now_us);
/* Ends the connection: error is told to the application; buffers, timers and table entry are given
   back; the socket itself goes when no application holds it. Afterwards it must not be touched. */
void tcp_socket_end(struct stack *stack, struct tcp_socket *socket, int error, uint64_t now_us);
/* Frees it wholly, whatever it is in. */
void tcp_socket_destroy(struct stack *stack, struct tcp_socket *socket);
void tcp_socket_signal(struct stack *stack, struct tcp_socket *socket, unsigned ready);
/* Puts it into the list of those that have something to send. */
void tcp_socket_want_output(struct stack *stack, struct tcp_socket *socket);
/* The application gives up the handle; the connection goes on by itself. */
void tcp_socket_let_go(struct stack *stack, struct tcp_socket *socket);
/* Takes a child out of its listener's books. */
void tcp_socket_leave_listener(struct tcp_socket *socket);
/* Fills in MSS, ISN, timestamp offset, windows and congestion state from addresses and settings. */
void tcp_socket_prepare(struct stack *stack, struct tcp_socket *socket, uint64_t now_us);
/* Sets the initial sequence number and all that starts from it. */
void tcp_socket_set_iss(struct tcp_socket *socket, uint32_t iss);

/* ---- tcp_in.c ---- */
int tcp_input(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us);

/* ---- tcp_listen.c ---- */
int tcp_listen_input(struct stack *stack, struct tcp_socket *listener, struct tcp_segment *segment,
                     uint64_t now_us);
/* Takes over what a SYN's options offer. */
void tcp_listen_negotiate(struct stack *stack, struct tcp_socket *socket,
                          const struct tcp_segment *segment, uint64_t now_us);
/* The handshake is complete: into the accept queue. Returns 0, or -1 when it is full. */
int tcp_listen_complete(struct stack *stack, struct tcp_socket *socket, uint64_t now_us);
/* A deferred connection (STACK_OPTION_DEFER_ACCEPT_US) has its first byte, or has waited long
 * enough. */
void tcp_listen_offer(struct stack *stack, struct tcp_socket *socket, uint64_t now_us);

/* ---- tcp_receive.c ---- */
/* The receive window now, bytes, by silly-window avoidance (RFC 9293, 3.8.6.2.2). */
uint32_t tcp_receive_window(const struct stack *stack, const struct tcp_socket *socket);
/* Data of a segment, already cut to the window. Returns 0, or -1 when it was dropped. */
int tcp_receive_data(struct stack *stack, struct tcp_socket *socket, struct tcp_segment *segment,
                     uint64_t now_us);
/* Room was made: tells the peer if it is worth it. */
void tcp_receive_window_opened(struct stack *stack, struct tcp_socket *socket);
/* Forgets what has come out of order behind this sequence number. */
void tcp_receive_end_at(struct tcp_socket *socket, uint32_t end);
/* The sequence number of the first byte that the application has not read. */
uint32_t tcp_receive_unread(const struct tcp_socket *socket);
/* Asks for an ACK now. */
void tcp_receive_ack_now(struct stack *stack, struct tcp_socket *socket, enum stack_reason reason);
/* From now on a number of segments is acknowledged at once, unless the application wants none. */
void tcp_receive_start_quick_acks(const struct stack *stack, struct tcp_socket *socket);
/* Counts data for which no ACK was sent, and decides: now or delayed (RFC 9293, 3.8.6.3). */
void tcp_receive_schedule_ack(struct stack *stack, struct tcp_socket *socket,
                              const struct tcp_segment *segment, uint64_t now_us);
void tcp_receive_release(struct stack *stack, struct tcp_socket *socket);

/* ---- tcp_out.c ---- */
/* Builds the next frame of any connection. Returns 1: frame is ready; 0: nothing to send. */
int tcp_output(struct stack *stack, struct frame *frame, uint64_t now_us);
/* Bytes in the send buffer that were never sent. */
uint32_t tcp_out_unsent(const struct tcp_socket *socket);
/* Bytes the send buffer may hold just now. */
uint32_t tcp_out_send_limit(const struct stack *stack, const struct tcp_socket *socket);
/* Our timestamp clock for this connection. */
uint32_t tcp_out_timestamp(const struct stack *stack, uint32_t offset, uint64_t now_us);
/* Recomputes snd_mss from pmtu, peer_mss and options. */
void tcp_out_update_mss(struct stack *stack, struct tcp_socket *socket);

/* ---- tcp_timer.c ---- */
void tcp_timer_set(struct stack *stack, struct tcp_socket *socket, enum tcp_timer timer,
                   uint64_t now_us, uint64_t after_us);
void tcp_timer_clear(struct tcp_socket *socket, enum tcp_timer timer);
/* Sets retransmission or persist as what is outstanding demands; called after sending and ACKs. */
void tcp_timer_update(struct stack *stack, struct tcp_socket *socket, uint64_t now_us);
/* Restarts the keep-alive timer (MUST-26): something was heard. */
void tcp_timer_heard(struct stack *stack, struct tcp_socket *socket, uint64_t now_us);
/* Serves all that is due. */
void tcp_timer_expire(struct stack *stack, uint64_t now_us);
uint64_t tcp_timer_deadline(const struct stack *stack);

/* ---- tcp_recovery.c ---- */
void tcp_recovery_sample_rtt(struct stack *stack, struct tcp_socket *socket, uint32_t rtt_us,
                             uint64_t now_us);
/* snd.una moves on by acked bytes of sequence space; called before it does. */
void tcp_recovery_acked(struct stack *stack, struct tcp_socket *socket,
                        const struct tcp_segment *segment, uint32_t acked, uint64_t now_us);
void tcp_recovery_duplicate_ack(struct stack *stack, struct tcp_socket *socket, uint64_t now_us);
void tcp_recovery_timeout(struct stack *stack, struct tcp_socket *socket, uint64_t now_us);
/* Bytes that may be sent now by the congestion window alone. */
uint32_t tcp_recovery_room(const struct tcp_socket *socket);
void tcp_recovery_open(struct stack *stack, struct tcp_socket *socket);
/* The handshake is done: what a repeated SYN has taught. */
void tcp_recovery_established(struct tcp_socket *socket);
/* What is in flight was too big for the path and is lost: it goes again from snd.una on, paced as by
   slow start, but the window of before is soon reached again (RFC 1191, 6.4: no congestion). */
void tcp_recovery_resend(struct stack *stack, struct tcp_socket *socket, uint64_t now_us);
/* Nothing was sent for an RTO: restart from the initial window when set so (RFC 5681, 4.1). */
void tcp_recovery_idle(struct stack *stack, struct tcp_socket *socket, uint64_t now_us);

/* ---- tcp_mtu.c ---- */
/* Sets pmtu and advmss from the cache and the route. */
void tcp_mtu_open(struct stack *stack, struct tcp_socket *socket);
/* The cache has changed since we looked: takes over what it says. */
void tcp_mtu_refresh(struct stack *stack, struct tcp_socket *socket, uint64_t now_us);
/* A segment leaves in a datagram of size bytes; end: the sequence number behind it. */
void tcp_mtu_sent(struct tcp_socket *socket, uint32_t size, uint32_t end);
/* Everything before ack has arrived. */
void tcp_mtu_acked(struct tcp_socket *socket, uint32_t ack);
/* The retransmission timer has fired; after tcp_recovery_timeout. */
void tcp_mtu_timeout(struct stack *stack, struct tcp_socket *socket, uint64_t now_us);
/* "Fragmentation needed" about the segment at sequence, which is in flight. Returns 0, or -1 when it
   is not to be believed. */
int tcp_mtu_too_big(struct stack *stack, struct tcp_socket *socket, const struct icmp_header *icmp,
                    const struct ipv4_header *quoted, uint32_t sequence, uint64_t now_us);

/* ---- tcp_wait.c ---- */
/* Enters TIME-WAIT; a socket that no application holds is exchanged for its compact remnant and
   must not be touched afterwards. */
void tcp_wait_enter(struct stack *stack, struct tcp_socket *socket, uint64_t now_us);
/* The application has let go of a socket in TIME-WAIT: the remnant takes its place. */
void tcp_wait_compact(struct stack *stack, struct tcp_socket *socket, uint64_t now_us);
/* Returns 0, -1 when dropped, 1 when the remnant made way for a new SYN to be handled. */
int tcp_wait_input(struct stack *stack, struct tcp_wait *wait, struct tcp_segment *segment,
                   uint64_t now_us);
/* This SYN reopens: the new ISN must lie beyond what the old connection used (RFC 9293 3.6.1). */
void tcp_wait_note_reopening(struct tcp_segment *segment, uint32_t snd_nxt);
void tcp_wait_destroy(struct stack *stack, struct tcp_wait *wait);
void tcp_wait_expire(struct stack *stack, uint64_t now_us);
/* Is this the peer's FIN once more, which begins the time anew (RFC 9293, 3.10.7.4)? */
bool tcp_wait_is_fin_again(const struct tcp_segment *segment, uint32_t rcv_nxt);
/* May this SYN reopen a connection from TIME-WAIT (MAY-2; RFC 6191), and does anybody listen? */
bool tcp_wait_may_reopen(const struct stack *stack, const struct tcp_segment *segment,
                         bool timestamps, uint32_t ts_recent, uint32_t rcv_nxt);

/* ---- tcp_reset.c ---- */
/* Answers a segment that fits no connection with a reset (RFC 9293, 3.10.7.1); never a reset. */
void tcp_reset_answer(struct stack *stack, const struct tcp_segment *segment,
                      enum stack_reason reason, uint64_t now_us);
/* Sends a reset on a connection; the caller ends it. */
void tcp_reset_send(struct stack *stack, struct tcp_socket *socket, enum stack_reason reason,
                    uint64_t now_us);
/* Sends a header-only segment at once, outside any send buffer. */
void tcp_reset_bare(struct stack *stack, const struct tcp_entry *entry, struct tcp_header *header,
                    uint8_t ttl, uint8_t tos, uint64_t now_us);
/* A segment of ours (header, first bytes) found no next hop: an attempt to connect ends, a standing
   connection only remembers it. */
void tcp_unreachable(struct stack *stack, const struct ipv4_header *header, const uint8_t *segment,
                     uint64_t now_us);
/* Is this a segment of ours (header, first bytes) that has not been acknowledged? */
bool tcp_is_in_flight(const struct stack *stack, const struct ipv4_header *header,
                      const uint8_t *segment);
/* May another challenge ACK go (RFC 5961, 7)? Counts both outcomes. */
bool tcp_reset_may_challenge(struct stack *stack, uint16_t *sent, uint32_t *since_s,
                             uint64_t now_us);
/* An ICMP error in datagram quotes a segment of ours, its first 8 bytes at least. Returns 0, or -1
   when it was dropped: it quotes nothing in flight, or is not to be believed (RFC 5927). */
int tcp_icmp_error(struct stack *stack, const struct ip_datagram *datagram,
                   const struct icmp_header *icmp, const struct ipv4_header *quoted,
                   const uint8_t *quoted_tcp, uint64_t now_us);

#endif
