/* Options and readiness of the sockets of a script. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "script_state.h"

/* What POSIX says for an error of the stack. */
int run_errno(int stack_error)
{
    static const int errnos[] = {
        [-STACK_AGAIN] = EAGAIN,
        [-STACK_BAD_HANDLE] = EBADF,
        [-STACK_INVALID] = EINVAL,
        [-STACK_IN_USE] = EADDRINUSE,
        [-STACK_NOT_AVAILABLE] = EADDRNOTAVAIL,
        [-STACK_NOT_CONNECTED] = ENOTCONN,
        [-STACK_IS_CONNECTED] = EISCONN,
        [-STACK_IN_PROGRESS] = EALREADY,
        [-STACK_CLOSED] = EPIPE,
        [-STACK_REFUSED] = ECONNREFUSED,
        [-STACK_RESET] = ECONNRESET,
        [-STACK_TIMED_OUT] = ETIMEDOUT,
        [-STACK_UNREACHABLE] = EHOSTUNREACH,
        [-STACK_NO_ROUTE] = ENETUNREACH,
        [-STACK_NO_MEMORY] = ENOBUFS,
        [-STACK_NOT_SUPPORTED] = EOPNOTSUPP,
        [-STACK_ABORTED] = ECONNABORTED,
        [-STACK_MESSAGE_SIZE] = EMSGSIZE,
        [-STACK_DENIED] = EACCES,
        [-STACK_NO_PROTOCOL] = ENOPROTOOPT,
    };
    size_t number = (size_t)-stack_error;
    return number < sizeof errnos / sizeof *errnos && errnos[number] ? errnos[number] : EINVAL;
}

/* ---- Readiness ---- */

static bool is_urgent(struct run *run, const struct run_fd *fd)
{
    struct stack_info info;
    return stack_info(run->stack, fd->handle, &info, run->now_us) == 0 && info.urgent > 0;
}

static uint32_t stream_ready(struct run *run, const struct run_fd *fd)
{
    struct stack_summary summary;
    struct frame_piece piece[2];
    struct stack_room room[2];
    uint32_t ready = 0;
    if (stack_summary(run->stack, fd->handle, &summary, run->now_us) < 0)
        return POLLHUP;
    if (summary.state == TCP_LISTEN)
        return summary.receive_queue > 0 ? POLLIN : 0;
    if (stack_socket_error(run->stack, fd->handle) < 0)
        return POLLIN | POLLOUT | POLLHUP | POLLRDHUP | (fd->failed_once ? 0 : POLLERR);
    if (summary.state == TCP_SYN_SENT || summary.state == TCP_SYN_RECEIVED)
        return 0;
    ptrdiff_t there = stack_recv_peek(run->stack, fd->handle, piece);
    ptrdiff_t fits = stack_send_reserve(run->stack, fd->handle, 1, room);
    stack_send_commit(run->stack, fd->handle, 0, 0, run->now_us);
    bool read_over = there == 0 || summary.state >= TCP_CLOSE_WAIT; /* a FIN has come */
    if (there >= 0)
        ready |= POLLIN;
    if (read_over)
        ready |= POLLIN | POLLRDHUP;
    if (fits != STACK_AGAIN)
        ready |= POLLOUT;
    if (summary.state == TCP_CLOSED || (read_over && fits == STACK_CLOSED))
        ready |= POLLHUP;
    return ready | (is_urgent(run, fd) ? POLLPRI : 0);
}

/* The datagram that a read would take, without taking the pending error as the stack's call does. */
static bool peek_datagram(struct run *run, const struct run_fd *fd, struct frame_piece *piece)
{
    struct stack_datagram with;
    struct stack_info info;
    return stack_info(run->stack, fd->handle, &info, run->now_us) == 0 && info.error == 0 &&
           stack_recv_from_peek(run->stack, fd->handle, piece, &with) == 0;
}

uint32_t fd_next_datagram(struct run *run, const struct run_fd *fd)
{
    struct frame_piece piece;
    return peek_datagram(run, fd, &piece) ? (uint32_t)piece.size : 0;
}

static uint32_t datagram_ready(struct run *run, const struct run_fd *fd)
{
    struct frame_piece piece;
    struct stack_info info;
    if (stack_info(run->stack, fd->handle, &info, run->now_us) == 0 && info.error)
        return POLLERR | POLLIN | POLLOUT;
    return (stack_send_check(run->stack, fd->handle) == 0 ? POLLOUT : 0) |
           (peek_datagram(run, fd, &piece) ? POLLIN : 0);
}

uint32_t fd_ready(struct run *run, const struct run_fd *fd)
{
    if (fd->kind == FD_STREAM)
        return stream_ready(run, fd);
    return fd->kind == FD_DATAGRAM ? datagram_ready(run, fd) : 0;
}

/* ---- Options ---- */

/* What a socket option is to the stack, and how many of its units one of the option's is. */
static const struct option {
    int level, name;
    enum stack_option option;
    uint32_t unit;
} options[] = {
    {IPPROTO_TCP, TCP_NODELAY, STACK_OPTION_NODELAY, 1},
    {IPPROTO_TCP, TCP_CORK, STACK_OPTION_CORK, 1},
    {IPPROTO_TCP, TCP_MAXSEG, STACK_OPTION_MAXIMUM_SEGMENT, 1},
    {IPPROTO_TCP, TCP_KEEPIDLE, STACK_OPTION_KEEPIDLE_US, 1000000},
    {IPPROTO_TCP, TCP_KEEPINTVL, STACK_OPTION_KEEPINTVL_US, 1000000},
    {IPPROTO_TCP, TCP_KEEPCNT, STACK_OPTION_KEEPCNT, 1},
    {IPPROTO_TCP, TCP_SYNCNT, STACK_OPTION_SYN_RETRIES, 1},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, STACK_OPTION_USER_TIMEOUT_US, 1000},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, STACK_OPTION_DEFER_ACCEPT_US, 1000000},
    {IPPROTO_TCP, TCP_QUICKACK, STACK_OPTION_QUICK_ACK, 1},
    {SOL_SOCKET, SO_KEEPALIVE, STACK_OPTION_KEEPALIVE, 1},
    {SOL_SOCKET, SO_RCVBUF, STACK_OPTION_RECEIVE_BUFFER, 1},
    {SOL_SOCKET, SO_SNDBUF, STACK_OPTION_SEND_BUFFER, 1},
    {SOL_SOCKET, SO_REUSEADDR, STACK_OPTION_REUSE_ADDRESS, 1},
    {IPPROTO_IP, IP_TTL, STACK_OPTION_TTL, 1},
    {IPPROTO_IP, IP_TOS, STACK_OPTION_TOS, 1},
};

static const struct script_value *option_argument(struct run *run, const struct script_call *call,
                                                  unsigned number)
{
    const struct script_value *value = call->arguments;
    for (; value && number > 0; number--)
        value = value->next;
    if (!value)
        run_fail(run, run->event->place, "%s: an argument is missing", call->name);
    return value;
}

static const struct option *find_option(struct run *run, const struct script_call *call,
                                        int64_t *level, int64_t *name)
{
    const struct script_value *l = option_argument(run, call, 1), *n = l->next;
    if (l->kind != SCRIPT_INTEGER || !n || n->kind != SCRIPT_INTEGER)
        run_fail(run, run->event->place, "%s: a level and an option are meant", call->name);
    *level = l->integer;
    *name = n->integer;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (options[i].level == *level && options[i].name == *name)
            return &options[i];
    return NULL;
}

/* [1], 1 or {onoff=1, linger=0}: the element at a position. */
static bool element(const struct script_value *value, const char *name, unsigned position,
                    int64_t *number)
{
    const struct script_value *found = value;
    if (value->kind == SCRIPT_RECORD || value->kind == SCRIPT_LIST)
        found = script_field(value, name, position);
    if (!found || found->kind != SCRIPT_INTEGER)
        return false;
    *number = found->integer;
    return true;
}

static void result_set(struct call_result *result, int error)
{
    *result = (struct call_result){error ? -1 : 0, error};
}

void call_setsockopt(struct run *run, const struct script_call *call, struct run_fd *fd,
                     struct call_result *result)
{
    int64_t level, name, value = 0, seconds = 0;
    const struct option *option = find_option(run, call, &level, &name);
    const struct script_value *argument = option_argument(run, call, 3);
    bool linger = level == SOL_SOCKET && name == SO_LINGER;
    if (!element(argument, linger ? "onoff" : "", 0, &value))
        run_fail(run, argument->place, "setsockopt: a value is meant here");
    if (linger) {
        /* With a time above zero only close(2) itself would wait: the connection does the same. */
        if (!element(argument, "linger", 1, &seconds))
            run_fail(run, argument->place, "setsockopt: {onoff=1, linger=0} is meant");
        result_set(result, stack_set_option(run->stack, fd->handle, STACK_OPTION_LINGER_RESET,
                                            value && seconds == 0, run->now_us)
                               ? EINVAL
                               : 0);
        return;
    }
    if (!option)
        run_fail(run, option_argument(run, call, 2)->place,
                 "setsockopt: this stack has no such option");
    int error = value < 0 ? STACK_INVALID
                          : stack_set_option(run->stack, fd->handle, option->option,
                                             (uint64_t)value * option->unit, run->now_us);
    result_set(result, error ? run_errno(error) : 0);
}

static int64_t read_option(struct run *run, struct run_fd *fd, const struct option *option)
{
    uint64_t value = 0;
    stack_get_option(run->stack, fd->handle, option->option, &value);
    return (int64_t)(value / option->unit);
}

/* The pending error, which reading takes away. */
static int64_t take_error(struct run *run, struct run_fd *fd)
{
    int error = fd->failed_once ? 0 : stack_socket_error(run->stack, fd->handle);
    fd->failed_once = fd->failed_once || error < 0;
    return error < 0 ? run_errno(error) : 0;
}

void call_getsockopt(struct run *run, const struct script_call *call, struct run_fd *fd,
                     struct call_result *result)
{
    int64_t level, name, expected, actual;
    const struct option *option = find_option(run, call, &level, &name);
    const struct script_value *argument = option_argument(run, call, 3);
    bool info = level == IPPROTO_TCP && name == TCP_INFO;
    result_set(result, 0);
    if (info)
        return; /* its fields are for the assertions */
    if (level == SOL_SOCKET && name == SO_ERROR)
        actual = take_error(run, fd);
    else if (level == SOL_SOCKET && name == SO_TYPE)
        actual = fd->kind == FD_STREAM ? SOCK_STREAM : SOCK_DGRAM;
    else if (option)
        actual = read_option(run, fd, option);
    else
        run_fail(run, option_argument(run, call, 2)->place,
                 "getsockopt: this stack has no such option");
    if (element(argument, "", 0, &expected) && expected != actual)
        run_differs(run, argument->place, "getsockopt: the value is %lld", (long long)actual);
}
