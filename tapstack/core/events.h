/* Every event of the stack and every reason for a segment, written once.

   EVENT(id, name, first, second, third, fourth argument's name). An argument name that ends in
   `_at` or `_us` is a time in microseconds, one that is `reason` is an enum stack_reason, `counter`
   an enum stack_counter, `timer` an enum tcp_timer, `from` and `to` are enum tcp_state, for a
   neighbor enum neighbor_state, for an address enum address_state; `mac_first` and `mac_last` are
   the halves of a MAC address; one that ends in `v4` is an address, `rule` a chain of the filter
   (upper eight bits: 0 input, 1 forward, 2 output) and a rule's number in it, `ports` two ports of
   sixteen bits. Empty: not used. */
#ifndef TAPSTACK_CORE_EVENTS_H
#define TAPSTACK_CORE_EVENTS_H

#include <stdint.h>

#define STACK_EVENTS(EVENT)                                                                        \
    EVENT(STATE, "state", "from", "to", "", "")                                                    \
    EVENT(SENT, "sent", "reason", "sequence", "bytes", "flags")                                    \
    EVENT(RETRANSMITTED, "retransmitted", "reason", "sequence", "bytes", "flags")                  \
    EVENT(RECEIVED, "received", "flags", "sequence", "bytes", "acknowledgment")                    \
    EVENT(CWND, "cwnd", "reason", "cwnd", "ssthresh", "inflight")                                  \
    EVENT(RTT, "rtt", "sample_us", "srtt_us", "rttvar_us", "rto_us")                               \
    EVENT(TIMER_SET, "timer-set", "timer", "after_us", "", "")                                     \
    EVENT(TIMER_FIRED, "timer-fired", "timer", "count", "", "")                                    \
    EVENT(DROP, "drop", "counter", "bytes", "", "")                                                \
    EVENT(RESET, "reset", "reason", "sequence", "", "")                                            \
    EVENT(WINDOW, "window", "reason", "window", "held", "")                                        \
    EVENT(ACCEPT_QUEUE, "accept-queue", "length", "backlog", "", "")                               \
    EVENT(URGENT, "urgent", "pointer", "", "", "")                                                 \
    EVENT(SOFT_ERROR, "soft-error", "type", "code", "", "")                                        \
    EVENT(PATH_MTU, "path-mtu", "before", "after", "", "")                                         \
    EVENT(NEIGHBOR, "neighbor", "from", "to", "v4", "")                                            \
    EVENT(ADDRESS, "address", "from", "to", "v4", "")                                              \
    EVENT(CONFLICT, "conflict", "v4", "defended", "mac_first", "mac_last")                         \
    EVENT(FILTER, "filter", "rule", "source_v4", "destination_v4", "ports")

/* Why a segment was sent, retransmitted or reset, why cwnd or the window changed. */
#define STACK_REASONS(REASON)                                                                      \
    REASON(NONE, "none")                                                                           \
    REASON(OPEN, "open")               /* SYN, active */                                           \
    REASON(OPEN_ANSWER, "open-answer") /* SYN-ACK */                                               \
    REASON(DATA, "data")                                                                           \
    REASON(CLOSE, "close") /* FIN */                                                               \
    REASON(ACK_EVERY_SECOND, "ack-second-segment")                                                 \
    REASON(ACK_QUICK, "ack-quick") /* first segments, or PSH at window end */                      \
    REASON(ACK_DELAYED, "ack-delayed")                                                             \
    REASON(ACK_OUT_OF_ORDER, "ack-out-of-order")                                                   \
    REASON(ACK_HOLE_FILLED, "ack-hole-filled")                                                     \
    REASON(ACK_DUPLICATE, "ack-duplicate")                                                         \
    REASON(ACK_UNACCEPTABLE, "ack-unacceptable") /* RFC 9293 3.10.7.4, first check */              \
    REASON(ACK_CHALLENGE, "ack-challenge")       /* RFC 5961 */                                    \
    REASON(ACK_FIN, "ack-fin")                                                                     \
    REASON(ACK_HANDSHAKE, "ack-handshake")                                                         \
    REASON(ACK_PAWS, "ack-paws")                                                                   \
    REASON(ACK_TIME_WAIT, "ack-time-wait")                                                         \
    REASON(WINDOW_UPDATE, "window-update")                                                         \
    REASON(WINDOW_PROBE, "window-probe")                                                           \
    REASON(KEEP_ALIVE, "keep-alive")                                                               \
    REASON(RTO, "rto")                                                                             \
    REASON(FAST_RETRANSMIT, "fast-retransmit")                                                     \
    REASON(PARTIAL_ACK, "partial-ack")                                                             \
    REASON(PATH_MTU, "path-mtu") /* what was too big for the path, in smaller pieces */            \
    REASON(RECOVERY_END, "recovery-end")                                                           \
    REASON(SLOW_START, "slow-start")                                                               \
    REASON(CONGESTION_AVOIDANCE, "congestion-avoidance")                                           \
    REASON(IDLE_RESTART, "idle-restart")                                                           \
    REASON(NO_SOCKET, "no-socket")                                                                 \
    REASON(BAD_ACK, "bad-ack")                                                                     \
    REASON(ABORT, "abort")             /* by the application */                                    \
    REASON(UNREAD_DATA, "unread-data") /* closed with data unread */                               \
    REASON(DATA_AFTER_CLOSE, "data-after-close")                                                   \
    REASON(LISTENER_CLOSED, "listener-closed")                                                     \
    REASON(TIMED_OUT, "timed-out")                                                                 \
    REASON(PEER_RESET, "peer-reset")                                                               \
    REASON(KILLED, "killed") /* by the operator */                                                 \
    REASON(FILTER, "filter") /* a rule rejects */

/* The timers of a connection. */
#define STACK_TIMERS(TIMER)                                                                        \
    TIMER(RETRANSMIT, "retransmit")   /* something is outstanding (RFC 6298, 5) */                 \
    TIMER(PERSIST, "persist")         /* something waits for a window (RFC 9293, 3.8.6.1) */       \
    TIMER(DELAYED_ACK, "delayed-ack") /* an ACK may wait this long (3.8.6.3) */                    \
    TIMER(KEEPALIVE, "keepalive")     /* nothing was heard for long (3.8.4) */                     \
    TIMER(CORK, "cork")               /* a held-back partial segment leaves */                     \
    TIMER(END,                                                                                     \
          "end") /* TIME-WAIT is over, FIN-WAIT-2 or a deferred accept has lasted long enough */

enum stack_event_kind {
#define STACK_EVENT_ID(id, name, a, b, c, d) STACK_EVENT_##id,
    STACK_EVENTS(STACK_EVENT_ID)
#undef STACK_EVENT_ID
        STACK_EVENT_COUNT
};

enum tcp_timer {
#define STACK_TIMER_ID(id, name) TCP_TIMER_##id,
    STACK_TIMERS(STACK_TIMER_ID)
#undef STACK_TIMER_ID
        TCP_TIMER_COUNT
};

enum stack_reason {
#define STACK_REASON_ID(id, name) STACK_REASON_##id,
    STACK_REASONS(STACK_REASON_ID)
#undef STACK_REASON_ID
        STACK_REASON_COUNT
};

struct stack_event {
    uint64_t at_us;
    uint32_t id;   /* of the connection, as the console shows it; 0: none */
    uint16_t kind; /* enum stack_event_kind */
    uint16_t reserved;
    uint32_t argument[4]; /* as STACK_EVENTS names them */
};

#endif
