/* The calls of a script that make, name, join and close sockets. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "script_call.h"

enum { FIRST_FD = 3 };

/* The number that the script expects, else the lowest free one. */
int64_t call_fd_open(struct call *call, enum run_fd_kind kind, int handle, bool nonblocking)
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

enum call_status call_socket(struct call *call)
{
    const struct script_value *domain = call_argument(call, 0);
    int64_t type = call_integer(call, 1), base = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (domain->kind == SCRIPT_INTEGER && domain->integer != AF_INET)
        return call_failed(call, EAFNOSUPPORT);
    if (base != SOCK_STREAM && base != SOCK_DGRAM)
        return call_failed(call, EPROTONOSUPPORT);
    int handle = stack_open(call->run->stack, base == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP);
    if (handle < 0)
        return call_failed(call, run_errno(handle));
    return call_done(call, call_fd_open(call, base == SOCK_STREAM ? FD_STREAM : FD_DATAGRAM, handle,
                                        type & SOCK_NONBLOCK));
}

/* `...` or {sa_family = AF_INET, sin_port = htons(8080), sin_addr = inet_addr("...")}. */
struct stack_endpoint call_endpoint(const struct call *call, unsigned number, uint32_t usual_v4,
                                    uint16_t usual_port)
{
    const struct script_value *value = call_argument(call, number);
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

enum call_status call_bind(struct call *call)
{
    struct run_fd *fd = call_fd(call);
    struct stack_endpoint local = call_endpoint(call, 1, call->run->local_v4, call->run->bind_port);
    int error = stack_bind(call->run->stack, fd->handle, &local);
    if (error < 0)
        return call_failed(call, run_errno(error));
    if (local.port)
        call->run->bind_port = local.port;
    return call_done(call, 0);
}

enum call_status call_listen(struct call *call)
{
    int error = stack_listen(call->run->stack, call_fd(call)->handle, (int)call_integer(call, 1));
    return error < 0 ? call_failed(call, run_errno(error)) : call_done(call, 0);
}

/* An address that the script gives where a call leaves one. */
void call_expect_address(const struct call *call, unsigned number,
                         const struct stack_endpoint *actual)
{
    if (call_argument(call, number)->kind == SCRIPT_ANY ||
        call_argument(call, number)->kind == SCRIPT_INTEGER)
        return;
    struct stack_endpoint expected = call_endpoint(call, number, 0, 0);
    uint32_t v4 = ip_address_to_v4(&actual->address);
    if (expected.port != actual->port || ip_address_to_v4(&expected.address) != v4)
        run_differs(call->run, call_argument(call, number)->place,
                    "%s: the address is %u.%u.%u.%u:%u", call->script->name, v4 >> 24,
                    v4 >> 16 & 255, v4 >> 8 & 255, v4 & 255, actual->port);
}

static enum call_status accept_one(struct call *call, int64_t flags)
{
    struct run_fd *fd = call_fd(call);
    struct stack_summary summary;
    int handle = stack_accept(call->run->stack, fd->handle);
    if (handle == STACK_AGAIN)
        return call_again(call, fd);
    if (handle < 0)
        return call_failed(call, run_errno(handle));
    stack_summary(call->run->stack, handle, &summary, call->run->now_us);
    call_expect_address(call, 1, &summary.remote);
    return call_done(call, call_fd_open(call, FD_STREAM, handle, flags & SOCK_NONBLOCK));
}

enum call_status call_accept(struct call *call) { return accept_one(call, 0); }
enum call_status call_accept4(struct call *call) { return accept_one(call, call_integer(call, 3)); }

/* The outcome of an active OPEN. */
static enum call_status connect_outcome(struct call *call, struct run_fd *fd)
{
    struct stack_summary summary;
    int error = stack_socket_error(call->run->stack, fd->handle);
    if (error < 0) {
        fd->connecting = false;
        fd->failed_once = true;
        return call_failed(call, run_errno(error));
    }
    stack_summary(call->run->stack, fd->handle, &summary, call->run->now_us);
    if (summary.state == TCP_SYN_SENT || summary.state == TCP_SYN_RECEIVED)
        return CALL_WAITS;
    bool first = fd->connecting;
    fd->connecting = false;
    return first ? call_done(call, 0) : call_failed(call, EISCONN);
}

enum call_status call_connect(struct call *call)
{
    struct run_fd *fd = call_fd(call);
    if (fd->connecting) {
        enum call_status status = connect_outcome(call, fd);
        return status == CALL_WAITS && fd->nonblocking ? call_failed(call, EALREADY) : status;
    }
    struct stack_endpoint remote =
        call_endpoint(call, 1, call->run->remote_v4, call->run->connect_port);
    int error = stack_connect(call->run->stack, fd->handle, &remote, call->run->now_us);
    if (error == 0)
        return call_done(call, 0);
    if (error != STACK_IN_PROGRESS)
        return call_failed(call, run_errno(error));
    fd->connecting = true;
    return fd->nonblocking ? call_failed(call, EINPROGRESS) : CALL_WAITS;
}

enum call_status call_close(struct call *call)
{
    struct run_fd *fd = call_fd(call);
    if (fd->kind == FD_NONE)
        return call_failed(call, EBADF);
    if (fd->kind != FD_EPOLL)
        stack_close(call->run->stack, fd->handle, call->run->now_us);
    fd->kind = FD_NONE;
    return call_done(call, 0);
}

enum call_status call_shutdown(struct call *call)
{
    static const int how[] = {[SHUT_RD] = STACK_SHUTDOWN_READ,
                              [SHUT_WR] = STACK_SHUTDOWN_WRITE,
                              [SHUT_RDWR] = STACK_SHUTDOWN_READ | STACK_SHUTDOWN_WRITE};
    int64_t which = call_integer(call, 1);
    if (which < SHUT_RD || which > SHUT_RDWR)
        return call_failed(call, EINVAL);
    int error =
        stack_shutdown(call->run->stack, call_fd(call)->handle, how[which], call->run->now_us);
    return error < 0 ? call_failed(call, run_errno(error)) : call_done(call, 0);
}
