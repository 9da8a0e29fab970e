/* The calls of a script that send and receive. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "script_call.h"

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
    const struct script_value *message = call_argument(call, 1);
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
        return call_failed(call, ENOMEM);
    fill(bytes, left, *progress);
    ptrdiff_t sent =
        stack_send(call->run->stack, fd->handle, bytes, left, send_flags(flags), call->run->now_us);
    free(bytes);
    if (sent >= 0) {
        *progress += (size_t)sent;
        bool whole = *progress == size || fd->nonblocking || call->nonblocking;
        return whole ? call_done(call, (int64_t)*progress) : CALL_WAITS;
    }
    if (sent == STACK_AGAIN || sent == STACK_IN_PROGRESS)
        return call_again(call, fd);
    if (*progress > 0)
        return call_done(call, (int64_t)*progress);
    return call_failed(call, failure(call, fd, (int)sent));
}

static enum call_status datagram_out(struct call *call, struct run_fd *fd, size_t size,
                                     const struct stack_endpoint *to)
{
    uint8_t *bytes = malloc(size + 1);
    struct stack_datagram with = {.remote = *to, .interface = -1};
    if (!bytes)
        return call_failed(call, ENOMEM);
    fill(bytes, size, 0);
    int error = stack_send_to(call->run->stack, fd->handle, bytes, size, to->port ? &with : NULL,
                              call->run->now_us);
    free(bytes);
    if (error == STACK_AGAIN)
        return call_again(call, fd);
    if (error == STACK_NOT_CONNECTED)
        return call_failed(call, EDESTADDRREQ);
    return error < 0 ? call_failed(call, run_errno(error)) : call_done(call, (int64_t)size);
}

static enum call_status send_bytes(struct call *call, size_t size, int64_t flags,
                                   const struct stack_endpoint *to)
{
    static const struct stack_endpoint peer;
    struct run_fd *fd = call_fd(call);
    call->nonblocking = flags & MSG_DONTWAIT;
    if (fd->kind == FD_NONE)
        return call_failed(call, EBADF);
    if (is_null(call_argument(call, 1)) && size > 0)
        return call_failed(call, EFAULT);
    if (fd->kind == FD_DATAGRAM)
        return datagram_out(call, fd, size, to ? to : &peer);
    return transfer_out(call, fd, size, flags);
}

enum call_status call_write(struct call *call)
{
    return send_bytes(call, call_length(call, 2), 0, NULL);
}

enum call_status call_writev(struct call *call)
{
    return send_bytes(call, vector_length(call, call_argument(call, 1)), 0, NULL);
}

enum call_status call_send(struct call *call)
{
    return send_bytes(call, call_length(call, 2), call_integer(call, 3), NULL);
}

enum call_status call_sendto(struct call *call)
{
    struct stack_endpoint to =
        call_endpoint(call, 4, call->run->remote_v4, call->run->connect_port);
    return send_bytes(call, call_length(call, 2), call_integer(call, 3), &to);
}

enum call_status call_sendmsg(struct call *call)
{
    return send_bytes(call, message_length(call), call_integer(call, 2), NULL);
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
            return call_again(call, fd);
        }
        if (got < 0 && *progress == 0) {
            bool told = fd->failed_once;
            fd->failed_once = true;
            return told ? call_done(call, 0) : call_failed(call, run_errno((int)got));
        }
        if (got <= 0)
            break;
        *progress += (size_t)got;
        if (flags & MSG_PEEK)
            break;
    }
    return call_done(call, (int64_t)*progress);
}

static enum call_status datagram_in(struct call *call, struct run_fd *fd, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    struct stack_datagram with;
    if (!bytes)
        return call_failed(call, ENOMEM);
    ptrdiff_t got = stack_recv_from(call->run->stack, fd->handle, bytes, size, &with);
    free(bytes);
    if (got == STACK_AGAIN)
        return call_again(call, fd);
    if (got < 0)
        return call_failed(call, run_errno((int)got));
    if (call->sender)
        call_expect_address(call, call->sender, &with.remote);
    return call_done(call, got);
}

static enum call_status receive_bytes(struct call *call, size_t size, int64_t flags)
{
    struct run_fd *fd = call_fd(call);
    call->nonblocking = flags & MSG_DONTWAIT;
    if (fd->kind == FD_NONE)
        return call_failed(call, EBADF);
    if (is_null(call_argument(call, 1)) && size > 0)
        return call_failed(call, EFAULT);
    return fd->kind == FD_DATAGRAM ? datagram_in(call, fd, size)
                                   : transfer_in(call, fd, size, flags);
}

enum call_status call_read(struct call *call)
{
    return receive_bytes(call, call_length(call, 2), 0);
}

enum call_status call_readv(struct call *call)
{
    return receive_bytes(call, vector_length(call, call_argument(call, 1)), 0);
}

enum call_status call_recv(struct call *call)
{
    return receive_bytes(call, call_length(call, 2), call_integer(call, 3));
}

enum call_status call_recvfrom(struct call *call)
{
    call->sender = 4;
    return receive_bytes(call, call_length(call, 2), call_integer(call, 3));
}

enum call_status call_recvmsg(struct call *call)
{
    return receive_bytes(call, message_length(call), call_integer(call, 2));
}
