/* The socket calls of a script, on the stack's own calls.

   A call is tried; what it needs may not be there yet. On a non-blocking descriptor it then fails
   with EAGAIN, else it waits and is tried again whenever something has happened, until it succeeds.
   A call that waits must say in the script when it ends (`0.1...0.2`), and must end then. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <fcntl.h>

#include "script_state.h"

enum { FIRST_FD = 3, TRANSFER_BYTES_MAX = 1 << 26 };

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

/* ---- Arguments ---- */

/* The parser has seen to their number. */
static const struct script_value *argument(const struct call *call, unsigned number)
{
    const struct script_value *value = call->script->arguments;
    while (number-- > 0)
        value = value->next;
    return value;
}

static int64_t integer(const struct call *call, unsigned number)
{
    const struct script_value *value = argument(call, number);
    if (value->kind != SCRIPT_INTEGER)
        run_fail(call->run, value->place, "%s: a number is meant here", call->script->name);
    return value->integer;
}

static size_t length(const struct call *call, unsigned number)
{
    int64_t size = integer(call, number);
    if (size < 0 || size > TRANSFER_BYTES_MAX)
        run_fail(call->run, argument(call, number)->place, "%s: this length is out of bounds",
                 call->script->name);
    return (size_t)size;
}

static struct run_fd *fd_at(const struct call *call, int64_t number)
{
    static struct run_fd none;
    if (number < 0 || number >= RUN_FDS_MAX || call->run->fd[number].kind == FD_NONE)
        return memset(&none, 0, sizeof none);
    return &call->run->fd[number];
}

/* The descriptor that the first argument names; one that is none has kind FD_NONE. */
static struct run_fd *fd_of(const struct call *call) { return fd_at(call, integer(call, 0)); }

static enum call_status done(struct call *call, int64_t value)
{
    call->result = (struct call_result){value, 0};
    return CALL_DONE;
}

static enum call_status failed(struct call *call, int error)
{
    call->result = (struct call_result){-1, error};
    return CALL_DONE;
}

/* Nothing can be done now: EAGAIN, or wait. */
static enum call_status again(struct call *call, const struct run_fd *fd)
{
    if (fd->nonblocking || call->nonblocking)
        return failed(call, EAGAIN);
    return CALL_WAITS;
}

/* ---- Descriptors ---- */

/* The number that the script expects, else the lowest free one. */
static int64_t fd_open(struct call *call, enum run_fd_kind kind, int handle, bool nonblocking)
{
    const struct script_value *expected = call->script->result;
    int64_t number = FIRST_FD;
    if (expected && expected->kind == SCRIPT_INTEGER && expected->integer >= 0)
        number = expected->integer;
    else
        while (number < RUN_FDS_MAX && call->run->fd[number].kind != FD_NONE)
            number++;
    if (number >= RUN_FDS_MAX || call->run->fd[number].kind != FD_NONE)
        run_fail(call->run, call->event->place, "descriptor %lld is open already",
                 (long long)number);
    call->run->fd[number] =
        (struct run_fd){.kind = kind, .handle = handle, .nonblocking = nonblocking};
    return number;
}

static enum call_status call_socket(struct call *call)
{
    const struct script_value *domain = argument(call, 0);
    int64_t type = integer(call, 1), base = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (domain->kind == SCRIPT_INTEGER && domain->integer != AF_INET)
        return failed(call, EAFNOSUPPORT);
    if (base != SOCK_STREAM && base != SOCK_DGRAM)
        return failed(call, EPROTONOSUPPORT);
    int handle = stack_open(call->run->stack, base == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP);
    if (handle < 0)
        return failed(call, run_errno(handle));
    return done(call, fd_open(call, base == SOCK_STREAM ? FD_STREAM : FD_DATAGRAM, handle,
                              type & SOCK_NONBLOCK));
}

/* `...` or {sa_family = AF_INET, sin_port = htons(8080), sin_addr = inet_addr("...")}. */
static struct stack_endpoint endpoint(const struct call *call, unsigned number, uint32_t usual_v4,
                                      uint16_t usual_port)
{
    const struct script_value *value = argument(call, number);
    uint32_t v4 = usual_v4;
    uint16_t port = usual_port;
    if (value->kind == SCRIPT_RECORD) {
        const struct script_value *p = script_field(value, "sin_port", 1);
        const struct script_value *a = script_field(value, "sin_addr", 2);
        if (!p || !a || p->kind != SCRIPT_INTEGER || a->kind != SCRIPT_INTEGER)
            run_fail(call->run, value->place,
                     "{sa_family = AF_INET, sin_port = ..., sin_addr = ...} is meant");
        port = (uint16_t)p->integer;
        v4 = (uint32_t)a->integer;
    } else if (value->kind != SCRIPT_ANY) {
        run_fail(call->run, value->place, "an address or `...` is meant here");
    }
    struct stack_endpoint end = {.port = port};
    if (v4 != INADDR_ANY)
        end.address = ip_address_from_v4(v4);
    return end;
}

static enum call_status call_bind(struct call *call)
{
    struct run_fd *fd = fd_of(call);
    struct stack_endpoint local = endpoint(call, 1, call->run->local_v4, call->run->bind_port);
    int error = stack_bind(call->run->stack, fd->handle, &local);
    if (error < 0)
        return failed(call, run_errno(error));
    if (local.port)
        call->run->bind_port = local.port;
    return done(call, 0);
}

static enum call_status call_listen(struct call *call)
{
    int error = stack_listen(call->run->stack, fd_of(call)->handle, (int)integer(call, 1));
    return error < 0 ? failed(call, run_errno(error)) : done(call, 0);
}

/* An address that the script gives where a call leaves one. */
static void expect_address(const struct call *call, unsigned number,
                           const struct stack_endpoint *actual)
{
    if (argument(call, number)->kind == SCRIPT_ANY ||
        argument(call, number)->kind == SCRIPT_INTEGER)
        return;
    struct stack_endpoint expected = endpoint(call, number, 0, 0);
    uint32_t v4 = ip_address_to_v4(&actual->address);
    if (expected.port != actual->port || ip_address_to_v4(&expected.address) != v4)
        run_differs(call->run, argument(call, number)->place, "%s: the address is %u.%u.%u.%u:%u",
                    call->script->name, v4 >> 24, v4 >> 16 & 255, v4 >> 8 & 255, v4 & 255,
                    actual->port);
}

static enum call_status accept_one(struct call *call, int64_t flags)
{
    struct run_fd *fd = fd_of(call);
    struct stack_summary summary;
    int handle = stack_accept(call->run->stack, fd->handle);
    if (handle == STACK_AGAIN)
        return again(call, fd);
    if (handle < 0)
        return failed(call, run_errno(handle));
    stack_summary(call->run->stack, handle, &summary, call->run->now_us);
    expect_address(call, 1, &summary.remote);
    return done(call, fd_open(call, FD_STREAM, handle, flags & SOCK_NONBLOCK));
}

static enum call_status call_accept(struct call *call) { return accept_one(call, 0); }
static enum call_status call_accept4(struct call *call)
{
    return accept_one(call, integer(call, 3));
}

/* The outcome of an active OPEN. */
static enum call_status connect_outcome(struct call *call, struct run_fd *fd)
{
    struct stack_summary summary;
    int error = stack_socket_error(call->run->stack, fd->handle);
    if (error < 0) {
        fd->connecting = false;
        fd->failed_once = true;
        return failed(call, run_errno(error));
    }
    stack_summary(call->run->stack, fd->handle, &summary, call->run->now_us);
    if (summary.state == TCP_SYN_SENT || summary.state == TCP_SYN_RECEIVED)
        return CALL_WAITS;
    bool first = fd->connecting;
    fd->connecting = false;
    return first ? done(call, 0) : failed(call, EISCONN);
}

static enum call_status call_connect(struct call *call)
{
    struct run_fd *fd = fd_of(call);
    if (fd->connecting) {
        enum call_status status = connect_outcome(call, fd);
        return status == CALL_WAITS && fd->nonblocking ? failed(call, EALREADY) : status;
    }
    struct stack_endpoint remote = endpoint(call, 1, call->run->remote_v4, call->run->connect_port);
    int error = stack_connect(call->run->stack, fd->handle, &remote, call->run->now_us);
    if (error == 0)
        return done(call, 0);
    if (error != STACK_IN_PROGRESS)
        return failed(call, run_errno(error));
    fd->connecting = true;
    return fd->nonblocking ? failed(call, EINPROGRESS) : CALL_WAITS;
}

static enum call_status call_close(struct call *call)
{
    struct run_fd *fd = fd_of(call);
    if (fd->kind == FD_NONE)
        return failed(call, EBADF);
    if (fd->kind != FD_EPOLL)
        stack_close(call->run->stack, fd->handle, call->run->now_us);
    fd->kind = FD_NONE;
    return done(call, 0);
}

static enum call_status call_shutdown(struct call *call)
{
    static const int how[] = {[SHUT_RD] = STACK_SHUTDOWN_READ,
                              [SHUT_WR] = STACK_SHUTDOWN_WRITE,
                              [SHUT_RDWR] = STACK_SHUTDOWN_READ | STACK_SHUTDOWN_WRITE};
    int64_t which = integer(call, 1);
    if (which < SHUT_RD || which > SHUT_RDWR)
        return failed(call, EINVAL);
    int error =
        stack_shutdown(call->run->stack, fd_of(call)->handle, how[which], call->run->now_us);
    return error < 0 ? failed(call, run_errno(error)) : done(call, 0);
}

/* ---- Bytes ---- */

static bool is_null(const struct script_value *value)
{
    return value->kind == SCRIPT_INTEGER && value->integer == 0;
}

/* All lengths of [{..., 1000}, {..., 500}]. */
static size_t vector_length(const struct call *call, const struct script_value *list)
{
    size_t sum = 0;
    if (list->kind != SCRIPT_LIST)
        run_fail(call->run, list->place, "[{..., size}] is meant here");
    for (const struct script_value *piece = list->first; piece; piece = piece->next) {
        const struct script_value *size =
            piece->kind == SCRIPT_RECORD ? script_field(piece, "iov_len", 1) : NULL;
        if (!size || size->kind != SCRIPT_INTEGER || size->integer < 0 ||
            size->integer > TRANSFER_BYTES_MAX)
            run_fail(call->run, piece->place, "{..., size} is meant here");
        sum += (size_t)size->integer;
    }
    return sum < TRANSFER_BYTES_MAX ? sum : TRANSFER_BYTES_MAX;
}

static size_t message_length(const struct call *call)
{
    const struct script_value *message = argument(call, 1);
    const struct script_value *vector =
        message->kind == SCRIPT_RECORD ? script_field(message, "msg_iov", 1) : NULL;
    if (!vector)
        run_fail(call->run, message->place, "{msg_name = ..., msg_iov = [...], ...} is meant");
    return vector_length(call, vector);
}

/* The bytes of a stream are a pattern that repeats only late. */
static void fill(uint8_t *bytes, size_t size, size_t from)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)((from + i) * 31 + ((from + i) >> 8) * 7);
}

static int send_flags(int64_t flags)
{
    return (flags & MSG_MORE ? STACK_SEND_MORE : 0) | (flags & MSG_OOB ? STACK_SEND_URGENT : 0);
}

/* The errno of a send that failed: the connection's error is told once, then the pipe is broken. */
static int failure(struct call *call, struct run_fd *fd, int error)
{
    bool told = fd->failed_once;
    if (stack_socket_error(call->run->stack, fd->handle) == 0)
        return run_errno(error);
    fd->failed_once = true;
    return told ? EPIPE : run_errno(error);
}

/* A blocking send waits until all is in the buffer; another takes what fits. */
static enum call_status transfer_out(struct call *call, struct run_fd *fd, size_t size,
                                     int64_t flags)
{
    size_t *progress = &call->pending->progress, left = size - *progress;
    uint8_t *bytes = malloc(left + 1);
    if (!bytes)
        return failed(call, ENOMEM);
    fill(bytes, left, *progress);
    ptrdiff_t sent =
        stack_send(call->run->stack, fd->handle, bytes, left, send_flags(flags), call->run->now_us);
    free(bytes);
    if (sent >= 0) {
        *progress += (size_t)sent;
        bool whole = *progress == size || fd->nonblocking || call->nonblocking;
        return whole ? done(call, (int64_t)*progress) : CALL_WAITS;
    }
    if (sent == STACK_AGAIN || sent == STACK_IN_PROGRESS)
        return again(call, fd);
    if (*progress > 0)
        return done(call, (int64_t)*progress);
    return failed(call, failure(call, fd, (int)sent));
}

static enum call_status datagram_out(struct call *call, struct run_fd *fd, size_t size,
                                     const struct stack_endpoint *to)
{
    uint8_t *bytes = malloc(size + 1);
    struct stack_datagram with = {.remote = *to, .interface = -1};
    if (!bytes)
        return failed(call, ENOMEM);
    fill(bytes, size, 0);
    int error = stack_send_to(call->run->stack, fd->handle, bytes, size, to->port ? &with : NULL,
                              call->run->now_us);
    free(bytes);
    if (error == STACK_AGAIN)
        return again(call, fd);
    if (error == STACK_NOT_CONNECTED)
        return failed(call, EDESTADDRREQ);
    return error < 0 ? failed(call, run_errno(error)) : done(call, (int64_t)size);
}

static enum call_status send_bytes(struct call *call, size_t size, int64_t flags,
                                   const struct stack_endpoint *to)
{
    static const struct stack_endpoint peer;
    struct run_fd *fd = fd_of(call);
    call->nonblocking = flags & MSG_DONTWAIT;
    if (fd->kind == FD_NONE)
        return failed(call, EBADF);
    if (is_null(argument(call, 1)) && size > 0)
        return failed(call, EFAULT);
    if (fd->kind == FD_DATAGRAM)
        return datagram_out(call, fd, size, to ? to : &peer);
    return transfer_out(call, fd, size, flags);
}

static enum call_status call_write(struct call *call)
{
    return send_bytes(call, length(call, 2), 0, NULL);
}

static enum call_status call_writev(struct call *call)
{
    return send_bytes(call, vector_length(call, argument(call, 1)), 0, NULL);
}

static enum call_status call_send(struct call *call)
{
    return send_bytes(call, length(call, 2), integer(call, 3), NULL);
}

static enum call_status call_sendto(struct call *call)
{
    struct stack_endpoint to = endpoint(call, 4, call->run->remote_v4, call->run->connect_port);
    return send_bytes(call, length(call, 2), integer(call, 3), &to);
}

static enum call_status call_sendmsg(struct call *call)
{
    return send_bytes(call, message_length(call), integer(call, 2), NULL);
}

static ptrdiff_t peek(struct call *call, const struct run_fd *fd, size_t size)
{
    struct frame_piece piece[2];
    ptrdiff_t there = stack_recv_peek(call->run->stack, fd->handle, piece);
    return there > 0 && (size_t)there > size ? (ptrdiff_t)size : there;
}

static enum call_status transfer_in(struct call *call, struct run_fd *fd, size_t size,
                                    int64_t flags)
{
    uint8_t bytes[4096];
    size_t *progress = &call->pending->progress;
    while (*progress < size) {
        size_t piece = size - *progress < sizeof bytes ? size - *progress : sizeof bytes;
        ptrdiff_t got = flags & MSG_PEEK ? peek(call, fd, size)
                                         : stack_recv(call->run->stack, fd->handle, bytes, piece,
                                                      call->run->now_us);
        if (got == STACK_AGAIN || got == STACK_IN_PROGRESS) {
            if (*progress > 0 && !(flags & MSG_WAITALL))
                break;
            return again(call, fd);
        }
        if (got < 0 && *progress == 0) {
            bool told = fd->failed_once;
            fd->failed_once = true;
            return told ? done(call, 0) : failed(call, run_errno((int)got));
        }
        if (got <= 0)
            break;
        *progress += (size_t)got;
        if (flags & MSG_PEEK)
            break;
    }
    return done(call, (int64_t)*progress);
}

static enum call_status datagram_in(struct call *call, struct run_fd *fd, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    struct stack_datagram with;
    if (!bytes)
        return failed(call, ENOMEM);
    ptrdiff_t got = stack_recv_from(call->run->stack, fd->handle, bytes, size, &with);
    free(bytes);
    if (got == STACK_AGAIN)
        return again(call, fd);
    if (got < 0)
        return failed(call, run_errno((int)got));
    if (call->sender)
        expect_address(call, call->sender, &with.remote);
    return done(call, got);
}

static enum call_status receive_bytes(struct call *call, size_t size, int64_t flags)
{
    struct run_fd *fd = fd_of(call);
    call->nonblocking = flags & MSG_DONTWAIT;
    if (fd->kind == FD_NONE)
        return failed(call, EBADF);
    if (is_null(argument(call, 1)) && size > 0)
        return failed(call, EFAULT);
    return fd->kind == FD_DATAGRAM ? datagram_in(call, fd, size)
                                   : transfer_in(call, fd, size, flags);
}

static enum call_status call_read(struct call *call)
{
    return receive_bytes(call, length(call, 2), 0);
}

static enum call_status call_readv(struct call *call)
{
    return receive_bytes(call, vector_length(call, argument(call, 1)), 0);
}

static enum call_status call_recv(struct call *call)
{
    return receive_bytes(call, length(call, 2), integer(call, 3));
}

static enum call_status call_recvfrom(struct call *call)
{
    call->sender = 4;
    return receive_bytes(call, length(call, 2), integer(call, 3));
}

static enum call_status call_recvmsg(struct call *call)
{
    return receive_bytes(call, message_length(call), integer(call, 2));
}

/* ---- Options and controls ---- */

static enum call_status call_setoption(struct call *call)
{
    struct run_fd *fd = fd_of(call);
    if (fd->kind == FD_NONE)
        return failed(call, EBADF);
    call_setsockopt(call->run, call->script, fd, &call->result);
    return CALL_DONE;
}

static enum call_status call_getoption(struct call *call)
{
    struct run_fd *fd = fd_of(call);
    if (fd->kind == FD_NONE)
        return failed(call, EBADF);
    call_getsockopt(call->run, call->script, fd, &call->result);
    return CALL_DONE;
}

static enum call_status call_fcntl(struct call *call)
{
    struct run_fd *fd = fd_of(call);
    if (fd->kind == FD_NONE)
        return failed(call, EBADF);
    if (integer(call, 1) == F_GETFL)
        return done(call, O_RDWR | (fd->nonblocking ? O_NONBLOCK : 0));
    if (integer(call, 1) != F_SETFL)
        run_fail(call->run, argument(call, 1)->place, "fcntl: only F_GETFL and F_SETFL are known");
    fd->nonblocking = integer(call, 2) & O_NONBLOCK;
    return done(call, 0);
}

/* [N]: the value that the call leaves there. */
static void expect_value(const struct call *call, const struct script_value *expected,
                         int64_t actual)
{
    const struct script_value *value = expected->kind == SCRIPT_LIST ? expected->first : expected;
    if (!value || value->kind == SCRIPT_ANY)
        return;
    if (value->kind != SCRIPT_INTEGER || value->integer != actual)
        run_differs(call->run, expected->place, "%s: the value is %lld", call->script->name,
                    (long long)actual);
}

static enum call_status call_ioctl(struct call *call)
{
    struct run_fd *fd = fd_of(call);
    struct stack_summary summary;
    int64_t request = integer(call, 1);
    if (fd->kind == FD_NONE)
        return failed(call, EBADF);
    if (request != SIOCINQ && request != SIOCOUTQ)
        run_fail(call->run, argument(call, 1)->place,
                 "ioctl: only SIOCINQ, FIONREAD and SIOCOUTQ are known");
    if (stack_summary(call->run->stack, fd->handle, &summary, call->run->now_us) < 0)
        return failed(call, EINVAL);
    uint32_t unread =
        fd->kind == FD_DATAGRAM ? fd_next_datagram(call->run, fd) : summary.receive_queue;
    expect_value(call, argument(call, 2), request == SIOCINQ ? unread : summary.send_queue);
    return done(call, 0);
}

/* ---- Readiness ---- */

/* The bits that a field names, 0 without it. */
static int64_t field_bits(const struct script_value *record, const char *name, unsigned position)
{
    const struct script_value *field = script_field(record, name, position);
    return field && field->kind == SCRIPT_INTEGER ? field->integer : 0;
}

/* poll([{fd=3, events=POLLIN, revents=POLLIN}], 1, timeout) */
static enum call_status call_poll(struct call *call)
{
    const struct script_value *list = argument(call, 0);
    int64_t timeout_ms = integer(call, 2);
    int ready = 0;
    for (const struct script_value *one = list->first; one; one = one->next) {
        const struct run_fd *fd = fd_at(call, field_bits(one, "fd", 0));
        uint32_t wanted = (uint32_t)field_bits(one, "events", 1) | POLLERR | POLLHUP;
        if ((fd->kind == FD_NONE ? POLLNVAL : fd_ready(call->run, fd)) & (wanted | POLLNVAL))
            ready++;
    }
    if (!call->pending->begun && timeout_ms >= 0)
        call->pending->times_out_at = call->run->now_us + (uint64_t)timeout_ms * 1000;
    if (ready == 0 && timeout_ms != 0 && call->run->now_us < call->pending->times_out_at)
        return CALL_WAITS;
    for (const struct script_value *one = list->first; one; one = one->next) {
        const struct run_fd *fd = fd_at(call, field_bits(one, "fd", 0));
        uint32_t wanted = (uint32_t)field_bits(one, "events", 1) | POLLERR | POLLHUP;
        const struct script_value *expected = script_field(one, "revents", 2);
        if (expected && expected->kind == SCRIPT_INTEGER)
            expect_value(call, expected, fd_ready(call->run, fd) & wanted);
    }
    return done(call, ready);
}

static enum call_status call_epoll_create(struct call *call)
{
    return done(call, fd_open(call, FD_EPOLL, 0, false));
}

static struct run_watch *find_watch(struct run_fd *epoll, int64_t fd)
{
    for (unsigned i = 0; i < epoll->watch_count; i++)
        if (epoll->watch[i].fd == fd)
            return &epoll->watch[i];
    return NULL;
}

/* {events=EPOLLIN, fd=4}, also with u32 or u64 or ptr for the data. */
static void set_watch(const struct script_value *event, struct run_watch *watch)
{
    static const char *const names[] = {"fd", "u32", "u64", "ptr"};
    watch->events = (uint32_t)field_bits(event, "events", 0);
    watch->data = watch->fd;
    watch->shown = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (script_field(event, names[i], 1))
            watch->data = field_bits(event, names[i], 1);
}

static enum call_status call_epoll_ctl(struct call *call)
{
    struct run_fd *epoll = fd_of(call);
    int64_t what = integer(call, 1), fd = integer(call, 2);
    if (epoll->kind != FD_EPOLL || fd_at(call, fd)->kind == FD_NONE)
        return failed(call, EBADF);
    struct run_watch *watch = find_watch(epoll, fd);
    if (what == EPOLL_CTL_ADD) {
        if (watch)
            return failed(call, EEXIST);
        if (epoll->watch_count == RUN_WATCHES_MAX)
            return failed(call, ENOMEM);
        watch = &epoll->watch[epoll->watch_count++];
        watch->fd = (int)fd;
    } else if (!watch) {
        return failed(call, ENOENT);
    }
    if (what == EPOLL_CTL_DEL)
        *watch = epoll->watch[--epoll->watch_count];
    else
        set_watch(argument(call, 3), watch);
    return done(call, 0);
}

/* What is to be reported of a watched descriptor now. */
static uint32_t watch_ready(struct call *call, struct run_watch *watch, bool report)
{
    const struct run_fd *fd = fd_at(call, watch->fd);
    uint32_t now =
        fd->kind == FD_NONE ? 0 : fd_ready(call->run, fd) & (watch->events | EPOLLERR | EPOLLHUP);
    uint32_t fresh = watch->events & EPOLLET ? now & ~watch->shown : now;
    if (report || (watch->events & EPOLLET && now < watch->shown))
        watch->shown = now;
    if (report && fresh && (watch->events & EPOLLONESHOT))
        watch->events = 0;
    return fresh ? now : 0;
}

void call_wake(struct run *run, const struct stack_ready *ready)
{
    enum { NEWS = STACK_READY_SOFT_ERROR - 1 };
    for (struct run_fd *epoll = run->fd; epoll < run->fd + RUN_FDS_MAX; epoll++)
        for (unsigned i = 0; epoll->kind == FD_EPOLL && i < epoll->watch_count; i++) {
            const struct run_fd *fd = &run->fd[epoll->watch[i].fd];
            if (fd->kind != FD_NONE && fd->handle == ready->socket && (ready->what & NEWS))
                epoll->watch[i].shown = 0;
        }
}

static void expect_watch(struct call *call, const struct script_value *expected,
                         const struct run_watch *watch, uint32_t ready)
{
    static const char *const names[] = {"fd", "u32", "u64", "ptr"};
    if (!expected || expected->kind != SCRIPT_RECORD)
        return;
    const struct script_value *events = script_field(expected, "events", 0);
    if (events && events->kind == SCRIPT_INTEGER)
        expect_value(call, events, ready);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct script_value *data = script_field(expected, names[i], 1);
        if (data && data->kind == SCRIPT_INTEGER)
            expect_value(call, data, watch->data);
    }
}

/* epoll_wait(5, {events=EPOLLIN, fd=4}, 1, timeout): one record, or a list of them. */
static enum call_status call_epoll_wait(struct call *call)
{
    struct run_fd *epoll = fd_of(call);
    const struct script_value *expected = argument(call, 1);
    int64_t most = integer(call, 2), timeout_ms = integer(call, 3), ready = 0;
    if (epoll->kind != FD_EPOLL)
        return failed(call, EBADF);
    for (unsigned i = 0; i < epoll->watch_count; i++)
        ready += watch_ready(call, &epoll->watch[i], false) != 0;
    if (!call->pending->begun && timeout_ms >= 0)
        call->pending->times_out_at = call->run->now_us + (uint64_t)timeout_ms * 1000;
    if (ready == 0 && timeout_ms != 0 && call->run->now_us < call->pending->times_out_at)
        return CALL_WAITS;
    if (expected->kind == SCRIPT_LIST)
        expected = expected->first;
    ready = 0;
    for (unsigned i = 0; i < epoll->watch_count && ready < most; i++) {
        uint32_t now = watch_ready(call, &epoll->watch[i], true);
        if (!now)
            continue;
        expect_watch(call, expected, &epoll->watch[i], now);
        expected = expected ? expected->next : NULL;
        ready++;
    }
    return done(call, ready);
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
