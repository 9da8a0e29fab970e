/* Private to script_*.c: the state of a run.

   script_run.c    time, the stack, events in their order
   script_report.c what is told when the stack does something else
   script_trace.c  the run itself as a script
   script_setup.c  the settings at a script's head
   script_wire.c   script packets to frames and back (script_compare.c: how two differ;
                   script_text.c: how they are written)
   script_call.c   socket calls: how one is made, waits and ends (script_open.c, script_bytes.c,
                   script_poll.c are the calls themselves)
   script_socket.c options and readiness of the sockets behind them
   script_code.c   assertions */
#ifndef TAPSTACK_LAB_SCRIPT_STATE_H
#define TAPSTACK_LAB_SCRIPT_STATE_H

#include <setjmp.h>
#include <stdio.h>

#include "../core/stack.h"
#include "script.h"
#include "script_run.h"

enum {
    RUN_FLOWS_MAX = 64,
    RUN_FDS_MAX = 256,
    RUN_PENDING_MAX = 8,
    RUN_WATCHES_MAX = 16,
    RUN_LINE_MAX = 768,
    RUN_STAMPS_MAX = 16,
};

/* A connection as the script numbers it: what is added to the script's numbers on the wire. */
struct run_flow {
    uint16_t local_port, remote_port;
    bool local_known;     /* our first sequence number has been seen */
    uint32_t local_base;  /* on the wire = in the script + base */
    uint32_t remote_base; /* of the other side's numbers */
    bool stamp_known;
    uint32_t stamp_base; /* of our timestamps */
    struct {
        uint32_t script, wire;
    } stamp[RUN_STAMPS_MAX]; /* the last ones that were expected, and what came */
    unsigned stamp_count;
    uint32_t id; /* of the connection in the stack; 0: none yet */
};

/* A frame that the stack has sent and no event has asked for yet. */
struct run_sent {
    uint64_t at_us;
    uint8_t *bytes;
    size_t size;
    size_t trace; /* its line there */
};

struct run_watch { /* of an epoll descriptor */
    int fd;
    uint32_t events;
    int64_t data;
    uint32_t shown; /* edge-triggered: what was reported */
};

enum run_fd_kind { FD_NONE, FD_STREAM, FD_DATAGRAM, FD_EPOLL };

struct run_fd {
    enum run_fd_kind kind;
    int handle; /* of the stack */
    bool nonblocking;
    bool connecting;
    bool failed_once; /* the error of the connection was told */
    struct run_watch watch[RUN_WATCHES_MAX];
    unsigned watch_count;
};

/* A call that has begun and not ended. */
struct run_pending {
    const struct script_event *event; /* NULL: none */
    uint64_t ends_at;
    uint64_t times_out_at; /* of poll; UINT64_MAX: never */
    size_t progress;       /* bytes done so far */
    bool begun;
};

struct trace_line;

struct run {
    const struct script *script;
    const struct script_options *options;
    struct script_outcome *outcome;
    const struct script_event *event; /* under way */
    FILE *report;
    unsigned differences; /* of which the first is in the report */
    jmp_buf failed;

    /* settings */
    uint32_t local_v4, remote_v4, gateway_v4;
    uint8_t prefix_bits;
    uint16_t bind_port, connect_port, mtu_bytes;
    uint64_t tolerance_us, stamp_tick_us;
    uint64_t seed;
    struct stack_settings settings;

    struct stack *stack;
    uint64_t start_us, now_us;
    int64_t base_us; /* script time that `+` counts from */

    struct run_sent *sent; /* a queue */
    size_t sent_head, sent_count, sent_capacity;
    struct run_flow flow[RUN_FLOWS_MAX];
    unsigned flow_count;
    struct run_flow *current; /* that packets without ports belong to */
    uint16_t next_remote_port;
    struct run_fd fd[RUN_FDS_MAX];
    struct run_pending pending[RUN_PENDING_MAX];

    uint8_t *capture;
    size_t capture_size, capture_capacity;

    struct trace_line *trace;
    size_t trace_count, trace_capacity;
    bool ports_said; /* by a packet of the script */
};

enum packet_field {
    FIELD_NONE,
    FIELD_KIND,
    FIELD_PORTS,
    FIELD_IP,
    FIELD_FLAGS,
    FIELD_SEQUENCE,
    FIELD_ACK,
    FIELD_WINDOW,
    FIELD_URGENT,
    FIELD_OPTIONS,
    FIELD_COUNT
};

/* realloc that ends the run without memory. */
void *run_grow(struct run *run, void *block, size_t size);

/* ---- script_report.c ---- */

/* Ends the run with a report that starts with the place and the sentence. */
__attribute__((noreturn, format(printf, 3, 4))) void
run_fail(struct run *run, struct script_place place, const char *format, ...);

/* The same for what only differs from the script: a run that overlooks such things goes on. */
__attribute__((format(printf, 3, 4))) void run_differs(struct run *run, struct script_place place,
                                                       const char *format, ...);
void run_packet_differs(struct run *run, const struct script_event *event,
                        const struct script_packet *actual, enum packet_field field,
                        uint64_t at_us);

/* Seconds since the script began. */
double run_seconds(const struct run *run, uint64_t at_us);

/* ---- script_setup.c ---- */

void run_setup(struct run *run);
/* A command in backquotes: sysctl lines become settings. */
void run_command(struct run *run, const struct script_event *event);

/* ---- script_wire.c ---- */

const char *packet_field_name(enum packet_field field);

struct packet_line {
    char text[RUN_LINE_MAX];
    int from[FIELD_COUNT], to[FIELD_COUNT]; /* columns of the fields */
};

/* Flags as letters: "FP.". letters: room for 16. */
void packet_flags(uint16_t flags, char *letters);

/* In the script's notation. ports: with them. */
void packet_format(const struct script_packet *packet, bool ports, struct packet_line *line);

/* Builds the frame of an inbound packet. bytes: room for a frame. Returns its size. */
size_t packet_build(struct run *run, const struct script_packet *packet, uint8_t *bytes);

/* Reads a frame that the stack sent, in the script's numbers. expected: NULL, or whose numbers the
   first packet of a flow takes over. */
void packet_read(struct run *run, const struct run_sent *sent, const struct script_packet *expected,
                 struct script_packet *packet);

/* The first field in which an outbound packet differs from what is expected. */
enum packet_field packet_compare(struct run *run, const struct script_packet *expected,
                                 const struct script_packet *actual);

/* Does the second packet only continue the first (an expected one may be larger than what a
   segment holds)? If so `whole` grows by it. */
bool packet_join(struct script_packet *whole, const struct script_packet *next);

/* What an echoed timestamp of ours is on the wire. */
uint32_t flow_wire_stamp(const struct run_flow *flow, uint32_t stamp);
struct run_flow *flow_find(struct run *run, uint16_t local_port, uint16_t remote_port);

/* ---- script_call.c ---- */

/* Begins a call; ends it too, unless it waits. */
void call_begin(struct run *run, const struct script_event *event, uint64_t ends_at);
/* Tries again what waits. */
void call_retry(struct run *run);
/* Something new about a socket: edge-triggered descriptors tell it again. */
void call_wake(struct run *run, const struct stack_ready *ready);
/* Fails for a call that should have ended by now. */
void call_check_end(struct run *run);
/* When something that waits is to be looked at again by itself. */
uint64_t call_deadline(const struct run *run);

struct call_result {
    int64_t value;
    int error; /* errno when value is -1 */
};
enum call_status { CALL_DONE, CALL_WAITS };
const char *call_describe_result(const struct call_result *result, char *text, size_t size);

/* ---- script_trace.c ---- */

void trace_event(struct run *run, const struct script_event *event); /* a call, code, a command */
void trace_call_end(struct run *run, const struct script_event *event,
                    const struct call_result *result);
void trace_inbound(struct run *run, const struct script_packet *packet);
/* A frame of the stack's: the number of its line, which trace_outbound_known fills in. */
size_t trace_outbound(struct run *run);
void trace_outbound_known(struct run *run, size_t line, const struct script_packet *packet);
void trace_printed(struct run *run, const char *text);
void trace_write(struct run *run, FILE *to);
void trace_release(struct run *run);

/* ---- script_socket.c ---- */

int run_errno(int stack_error);
uint32_t fd_ready(struct run *run, const struct run_fd *fd); /* POLL* */
/* Bytes of the datagram that a read would take; 0 without one. */
uint32_t fd_next_datagram(struct run *run, const struct run_fd *fd);
void call_setsockopt(struct run *run, const struct script_call *call, struct run_fd *fd,
                     struct call_result *result);
void call_getsockopt(struct run *run, const struct script_call *call, struct run_fd *fd,
                     struct call_result *result);

/* ---- script_code.c ---- */

void code_run(struct run *run, const struct script_event *event);

#endif
