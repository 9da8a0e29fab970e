/* Private to the socket calls of a script: a call under way, and what they share. */
#ifndef TAPSTACK_LAB_SCRIPT_CALL_H
#define TAPSTACK_LAB_SCRIPT_CALL_H

#include "script_state.h"

enum { TRANSFER_BYTES_MAX = 1 << 26 };

/* A call under way: its arguments, and how far it is. */
struct call {
    struct run *run;
    const struct script_event *event;
    const struct script_call *script;
    struct run_pending *pending;
    bool nonblocking;
    unsigned sender; /* the argument where recvfrom leaves an address; 0: none */
    struct call_result result;
};

/* The calls themselves. */
#define CALL_PROTOTYPE(name, function, least, most) enum call_status function(struct call *call);
SCRIPT_CALLS(CALL_PROTOTYPE)
#undef CALL_PROTOTYPE

/* ---- script_call.c ---- */

/* Arguments, from 0; one of another kind than is meant ends the run. */
const struct script_value *call_argument(const struct call *call, unsigned number);
int64_t call_integer(const struct call *call, unsigned number);
size_t call_length(const struct call *call, unsigned number);

/* A descriptor, or the one that the first argument names; what is none has kind FD_NONE. */
struct run_fd *call_fd_at(const struct call *call, int64_t number);
struct run_fd *call_fd(const struct call *call);

/* Ends of a call. */
enum call_status call_done(struct call *call, int64_t value);
enum call_status call_failed(struct call *call, int error);
enum call_status call_again(struct call *call, const struct run_fd *fd); /* EAGAIN, or it waits */

/* [N]: the value that the call leaves there. */
void call_expect_value(const struct call *call, const struct script_value *expected,
                       int64_t actual);

/* ---- script_open.c ---- */

/* A new descriptor: the number that the script expects, else the lowest free one. */
int64_t call_fd_open(struct call *call, enum run_fd_kind kind, int handle, bool nonblocking);

/* `...` for the usual address, or {sa_family = AF_INET, sin_port = ..., sin_addr = ...}. */
struct stack_endpoint call_endpoint(const struct call *call, unsigned number, uint32_t usual_v4,
                                    uint16_t usual_port);
/* An address that the script gives where a call leaves one. */
void call_expect_address(const struct call *call, unsigned number,
                         const struct stack_endpoint *actual);

#endif
