/* The socket calls of a script, on the stack's own calls.

   A call is tried; what it needs may not be there yet. On a non-blocking descriptor it then fails
   with EAGAIN, else it waits and is tried again whenever something has happened, until it succeeds.
   A call that waits must say in the script when it ends (`0.1...0.2`), and must end then. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

#include "script_call.h"

/* ---- Arguments ---- */

/* The parser has seen to their number. */
const struct script_value *call_argument(const struct call *call, unsigned number)
{
    const struct script_value *value = call->script->arguments;
    while (number-- > 0)
        value = value->next;
    return value;
}

int64_t call_integer(const struct call *call, unsigned number)
{
    const struct script_value *value = call_argument(call, number);
    if (value->kind != SCRIPT_INTEGER)
        run_fail(call->run, value->place, "%s: a number is meant here", call->script->name);
    return value->integer;
}

size_t call_length(const struct call *call, unsigned number)
{
    int64_t size = call_integer(call, number);
    if (size < 0 || size > TRANSFER_BYTES_MAX)
        run_fail(call->run, call_argument(call, number)->place, "%s: this length is out of bounds",
                 call->script->name);
    return (size_t)size;
}

struct run_fd *call_fd_at(const struct call *call, int64_t number)
{
    static struct run_fd none;
    if (number < 0 || number >= RUN_FDS_MAX || call->run->fd[number].kind == FD_NONE)
        return memset(&none, 0, sizeof none);
    return &call->run->fd[number];
}

/* The descriptor that the first argument names; one that is none has kind FD_NONE. */
struct run_fd *call_fd(const struct call *call) { return call_fd_at(call, call_integer(call, 0)); }

enum call_status call_done(struct call *call, int64_t value)
{
    call->result = (struct call_result){value, 0};
    return CALL_DONE;
}

enum call_status call_failed(struct call *call, int error)
{
    call->result = (struct call_result){-1, error};
    return CALL_DONE;
}

/* Nothing can be done now: EAGAIN, or wait. */
enum call_status call_again(struct call *call, const struct run_fd *fd)
{
    if (fd->nonblocking || call->nonblocking)
        return call_failed(call, EAGAIN);
    return CALL_WAITS;
}

void call_expect_value(const struct call *call, const struct script_value *expected, int64_t actual)
{
    const struct script_value *value = expected->kind == SCRIPT_LIST ? expected->first : expected;
    if (!value || value->kind == SCRIPT_ANY)
        return;
    if (value->kind != SCRIPT_INTEGER || value->integer != actual)
        run_differs(call->run, expected->place, "%s: the value is %lld", call->script->name,
                    (long long)actual);
}

/* ---- Options and controls ---- */

enum call_status call_setoption(struct call *call)
{
    struct run_fd *fd = call_fd(call);
    if (fd->kind == FD_NONE)
        return call_failed(call, EBADF);
    call_setsockopt(call->run, call->script, fd, &call->result);
    return CALL_DONE;
}

enum call_status call_getoption(struct call *call)
{
    struct run_fd *fd = call_fd(call);
    if (fd->kind == FD_NONE)
        return call_failed(call, EBADF);
    call_getsockopt(call->run, call->script, fd, &call->result);
    return CALL_DONE;
}

enum call_status call_fcntl(struct call *call)
{
    struct run_fd *fd = call_fd(call);
    if (fd->kind == FD_NONE)
        return call_failed(call, EBADF);
    if (call_integer(call, 1) == F_GETFL)
        return call_done(call, O_RDWR | (fd->nonblocking ? O_NONBLOCK : 0));
    if (call_integer(call, 1) != F_SETFL)
        run_fail(call->run, call_argument(call, 1)->place,
                 "fcntl: only F_GETFL and F_SETFL are known");
    fd->nonblocking = call_integer(call, 2) & O_NONBLOCK;
    return call_done(call, 0);
}

enum call_status call_ioctl(struct call *call)
{
    struct run_fd *fd = call_fd(call);
    struct stack_summary summary;
    int64_t request = call_integer(call, 1);
    if (fd->kind == FD_NONE)
        return call_failed(call, EBADF);
    if (request != SIOCINQ && request != SIOCOUTQ)
        run_fail(call->run, call_argument(call, 1)->place,
                 "ioctl: only SIOCINQ, FIONREAD and SIOCOUTQ are known");
    if (stack_summary(call->run->stack, fd->handle, &summary, call->run->now_us) < 0)
        return call_failed(call, EINVAL);
    uint32_t unread =
        fd->kind == FD_DATAGRAM ? fd_next_datagram(call->run, fd) : summary.receive_queue;
    call_expect_value(call, call_argument(call, 2),
                      request == SIOCINQ ? unread : summary.send_queue);
    return call_done(call, 0);
}

/* ---- The table, and calls that wait ---- */

static enum call_status (*const functions[])(struct call *) = {
#define CALL_ENTRY(name, function, least, most) function,
    SCRIPT_CALLS(CALL_ENTRY)
#undef CALL_ENTRY
};

const char *call_describe_result(const struct call_result *result, char *text, size_t size)
{
    if (result->value != -1)
        snprintf(text, size, "%lld", (long long)result->value);
    else
        snprintf(text, size, "-1 %s (%s)",
                 script_errno_name(result->error) ? script_errno_name(result->error) : "?",
                 strerror(result->error));
    return text;
}

/* The call has ended: as the script says? */
static void check_result(struct run *run, const struct script_event *event,
                         const struct call_result *result)
{
    const struct script_call *call = &event->call;
    char text[160];
    bool errno_differs =
        call->error_number && result->value == -1 && result->error != call->error_number;
    if (call->result_any)
        return;
    if (call->result->integer != result->value || errno_differs)
        run_differs(run, event->place, "%s() returned %s", call->name,
                    call_describe_result(result, text, sizeof text));
}

static enum call_status try_call(struct run *run, struct run_pending *pending)
{
    struct call call = {
        .run = run, .event = pending->event, .script = &pending->event->call, .pending = pending};
    enum call_status status = functions[call.script->number](&call);
    pending->begun = true;
    if (status == CALL_WAITS)
        return status;
    const struct script_event *event = pending->event;
    uint64_t ends_at = pending->ends_at;
    pending->event = NULL;
    trace_call_end(run, event, &call.result);
    bool early = ends_at != UINT64_MAX && run->now_us + run->tolerance_us < ends_at;
    check_result(run, event, &call.result);
    if (early)
        run_differs(run, event->place, "%s() returned at %.6f s, not at %.6f s", event->call.name,
                    run_seconds(run, run->now_us), run_seconds(run, ends_at));
    return status;
}

void call_begin(struct run *run, const struct script_event *event, uint64_t ends_at)
{
    struct run_pending *pending = run->pending;
    while (pending < run->pending + RUN_PENDING_MAX && pending->event)
        pending++;
    if (pending == run->pending + RUN_PENDING_MAX)
        run_fail(run, event->place, "more than %d calls wait", RUN_PENDING_MAX);
    *pending = (struct run_pending){.event = event, .ends_at = ends_at, .times_out_at = UINT64_MAX};
    if (try_call(run, pending) == CALL_WAITS && ends_at == UINT64_MAX)
        run_differs(run, event->place,
                    "%s() has to wait: the script must say until when (start...end)",
                    event->call.name);
}

void call_retry(struct run *run)
{
    for (int i = 0; i < RUN_PENDING_MAX; i++)
        if (run->pending[i].event)
            try_call(run, &run->pending[i]);
}

/* The latest time at which a call may return. */
static uint64_t last_end(const struct run *run, const struct run_pending *pending)
{
    return pending->ends_at == UINT64_MAX ? UINT64_MAX : pending->ends_at + run->tolerance_us;
}

void call_check_end(struct run *run)
{
    for (int i = 0; i < RUN_PENDING_MAX; i++) {
        struct run_pending *pending = &run->pending[i];
        if (!pending->event || run->now_us <= last_end(run, pending))
            continue;
        run_differs(run, pending->event->place, "%s() has not returned until %.6f s",
                    pending->event->call.name, run_seconds(run, run->now_us));
        pending->ends_at = UINT64_MAX;
    }
}

uint64_t call_deadline(const struct run *run)
{
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < RUN_PENDING_MAX; i++) {
        const struct run_pending *pending = &run->pending[i];
        if (!pending->event)
            continue;
        uint64_t end = last_end(run, pending);
        uint64_t at = end == UINT64_MAX ? end : end + 1;
        if (pending->times_out_at < at)
            at = pending->times_out_at;
        if (at > run->now_us && at < first)
            first = at;
    }
    return first;
}
