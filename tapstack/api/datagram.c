/* Datagram sockets: every message on their descriptor is a struct ts_datagram and the payload behind
   it, which travel as two pieces, so that nothing is copied here.

   An error is a message of its own; it comes to the call that finds it in front: every receiving
   call, and every sending one, which looks first. Of two threads that find the same one, one may
   take a datagram for it and lose it: datagrams may be lost.

   ts_send and ts_recv serve streams, too, and shall not cost them a system call more. So the numbers
   of datagram descriptors are remembered, and only these are asked about: a number may have been
   closed behind our back and stand for something else. */
#define _GNU_SOURCE
#include "datagram.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "tapstack.h"

enum { NUMBERS_MAX = 1 << 20, WORD_BITS = 64 };

static uint64_t known_numbers[NUMBERS_MAX / WORD_BITS]; /* a bit a descriptor */

static int fail(int error)
{
    errno = error;
    return -1;
}

/* ---- What a descriptor is ---- */

void ts_datagram_note(int fd)
{
    if (fd >= 0 && fd < NUMBERS_MAX)
        __atomic_fetch_or(&known_numbers[fd / WORD_BITS], UINT64_C(1) << fd % WORD_BITS,
                          __ATOMIC_RELAXED);
}

bool ts_datagram_is(int fd)
{
    int mark = 0;
    socklen_t length = sizeof mark;
    bool is = getsockopt(fd, SOL_SOCKET, SO_PRIORITY, &mark, &length) == 0 && mark == TS_DATAGRAMS;
    if (is)
        ts_datagram_note(fd);
    return is;
}

bool ts_datagram_known(int fd)
{
    if (fd < 0)
        return false;
    if (fd < NUMBERS_MAX &&
        !(__atomic_load_n(&known_numbers[fd / WORD_BITS], __ATOMIC_RELAXED) >> fd % WORD_BITS & 1))
        return false;
    return ts_datagram_is(fd);
}

/* ---- Errors ---- */

int ts_datagram_take_error(int fd)
{
    struct ts_datagram header;
    ssize_t got = recv(fd, &header, sizeof header, MSG_PEEK | MSG_DONTWAIT);
    if (got != (ssize_t)sizeof header || !(header.flags & TS_DATAGRAM_ERROR))
        return 0;
    got = recv(fd, &header, sizeof header, MSG_DONTWAIT);
    return got == (ssize_t)sizeof header && header.flags & TS_DATAGRAM_ERROR ? header.error : 0;
}

/* ---- Sending ---- */

/* IP_PKTINFO: from which address, by which interface. */
static int take_control(struct ts_datagram *header, const struct msghdr *message)
{
    struct msghdr copy = *message; /* CMSG_NXTHDR wants it writable */
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c; c = CMSG_NXTHDR(&copy, c)) {
        struct in_pktinfo info;
        if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO ||
            c->cmsg_len < CMSG_LEN(sizeof info))
            return fail(EINVAL);
        memcpy(&info, CMSG_DATA(c), sizeof info);
        header->interface = (uint32_t)info.ipi_ifindex;
        struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr = info.ipi_spec_dst};
        ts_endpoint_from(&header->local, (struct sockaddr *)&source, sizeof source);
    }
    return 0;
}

static size_t message_bytes(const struct msghdr *message)
{
    size_t bytes = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        bytes += message->msg_iov[i].iov_len;
    return bytes;
}

/* The header as the first piece, the caller's pieces behind it. Returns the pieces, or -1. */
static int prepend(struct iovec *iov, struct ts_datagram *header, const struct msghdr *message)
{
    if (message->msg_iovlen > IOV_MAX - 1)
        return fail(EMSGSIZE);
    iov[0] = (struct iovec){header, sizeof *header};
    if (message->msg_iovlen > 0)
        memcpy(iov + 1, message->msg_iov, message->msg_iovlen * sizeof *iov);
    return (int)message->msg_iovlen + 1;
}

ssize_t ts_datagram_send(int fd, const struct msghdr *message, int flags)
{
    struct ts_datagram header = {.magic = TS_MAGIC};
    struct iovec iov[IOV_MAX];
    if (message_bytes(message) > TS_DATAGRAM_MAX)
        return fail(EMSGSIZE);
    if (message->msg_name &&
        ts_endpoint_from(&header.peer, message->msg_name, message->msg_namelen) < 0)
        return -1;
    if (message->msg_name && header.peer.port == 0)
        return fail(EINVAL);
    if (take_control(&header, message) < 0)
        return -1;
    int pieces = prepend(iov, &header, message);
    if (pieces < 0)
        return -1;
    int error = ts_datagram_take_error(fd);
    if (error)
        return fail(error);
    struct msghdr inner = {.msg_iov = iov, .msg_iovlen = (size_t)pieces};
    ssize_t sent = sendmsg(fd, &inner, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
    if (sent >= 0)
        return sent - (ssize_t)sizeof header;
    if (errno == EPIPE || errno == ECONNRESET)
        errno = ECONNABORTED; /* ended at the console, or with its daemon */
    return -1;
}

/* ---- Receiving ---- */

static void give_name(struct msghdr *message, const struct ts_endpoint *peer)
{
    struct sockaddr_in in = ts_endpoint_to(peer);
    if (!message->msg_name)
        return;
    memcpy(message->msg_name, &in,
           message->msg_namelen < sizeof in ? message->msg_namelen : sizeof in);
    message->msg_namelen = sizeof in;
}

/* One control message, or the flag that there was no room for it. */
static void give_control(struct msghdr *message, size_t *used, int type, const void *data,
                         size_t size)
{
    if (!message->msg_control || message->msg_controllen - *used < CMSG_SPACE(size)) {
        message->msg_flags |= MSG_CTRUNC;
        return;
    }
    struct cmsghdr header = {
        .cmsg_level = IPPROTO_IP, .cmsg_type = type, .cmsg_len = CMSG_LEN(size)};
    uint8_t *at = (uint8_t *)message->msg_control + *used;
    memset(at, 0, CMSG_SPACE(size));
    memcpy(at, &header, sizeof header);
    memcpy(at + CMSG_LEN(0), data, size);
    *used += CMSG_SPACE(size);
}

static void give_controls(struct msghdr *message, const struct ts_datagram *header)
{
    size_t used = 0;
    if (header->flags & TS_DATAGRAM_PKTINFO) {
        struct in_pktinfo info = {.ipi_ifindex = (int)header->interface};
        info.ipi_addr = ts_endpoint_to(&header->local).sin_addr;
        /* Where an answer should come from; a group's address is nobody's source. */
        if (!(header->flags & TS_DATAGRAM_GROUP))
            info.ipi_spec_dst = info.ipi_addr;
        give_control(message, &used, IP_PKTINFO, &info, sizeof info);
    }
    if (header->flags & TS_DATAGRAM_TTL) {
        int ttl = header->ttl;
        give_control(message, &used, IP_TTL, &ttl, sizeof ttl);
    }
    message->msg_controllen = used;
}

/* The end of file: the daemon has closed, or we have shut down reading ourselves. */
static ssize_t receive_end(int fd)
{
    struct pollfd p = {.fd = fd};
    return poll(&p, 1, 0) == 1 && p.revents & POLLHUP ? fail(ECONNABORTED) : 0;
}

ssize_t ts_datagram_receive(int fd, struct msghdr *message, int flags, struct sockaddr_in *local)
{
    struct ts_datagram header;
    struct iovec iov[IOV_MAX];
    int pieces = prepend(iov, &header, message);
    if (pieces < 0)
        return -1;
    if (flags & MSG_ERRQUEUE)
        return fail(EAGAIN);
    struct msghdr inner = {.msg_iov = iov, .msg_iovlen = (size_t)pieces};
    ssize_t got = recvmsg(fd, &inner, flags & (MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC));
    if (got == 0)
        return receive_end(fd);
    if (got < 0)
        return errno == ECONNRESET ? fail(ECONNABORTED) : -1;
    if (got < (ssize_t)sizeof header || header.magic != TS_MAGIC)
        return fail(EPROTO);
    if (header.flags & TS_DATAGRAM_ERROR) {
        if (flags & MSG_PEEK)
            ts_datagram_take_error(fd);
        return fail(header.error);
    }
    message->msg_flags = inner.msg_flags & MSG_TRUNC;
    give_name(message, &header.peer);
    give_controls(message, &header);
    if (local)
        *local = ts_endpoint_to(&header.local);
    return got - (ssize_t)sizeof header;
}

/* ---- The calls ---- */

ssize_t ts_sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (ts_datagram_is(fd))
        return ts_datagram_send(fd, message, flags);
    return sendmsg(fd, message, (flags & ~MSG_MORE) | MSG_NOSIGNAL);
}

ssize_t ts_recvmsg(int fd, struct msghdr *message, int flags)
{
    return ts_datagram_is(fd) ? ts_datagram_receive(fd, message, flags, NULL)
                              : recvmsg(fd, message, flags);
}

ssize_t ts_sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *address,
                  socklen_t length)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, size};
    struct msghdr message = {.msg_name = (void *)(uintptr_t)address,
                             .msg_namelen = length,
                             .msg_iov = &iov,
                             .msg_iovlen = 1};
    return ts_datagram_is(fd) ? ts_datagram_send(fd, &message, flags)
                              : ts_send(fd, bytes, size, flags);
}

ssize_t ts_recvfrom_both(int fd, void *bytes, size_t size, int flags, struct sockaddr_in *peer,
                         struct sockaddr_in *local)
{
    struct iovec iov = {bytes, size};
    struct msghdr message = {
        .msg_name = peer, .msg_namelen = peer ? sizeof *peer : 0, .msg_iov = &iov, .msg_iovlen = 1};
    if (!ts_datagram_is(fd))
        return fail(EOPNOTSUPP);
    return ts_datagram_receive(fd, &message, flags, local);
}

ssize_t ts_recvfrom(int fd, void *bytes, size_t size, int flags, struct sockaddr *address,
                    socklen_t *length)
{
    struct iovec iov = {bytes, size};
    struct msghdr message = {.msg_name = address,
                             .msg_namelen = address && length ? *length : 0,
                             .msg_iov = &iov,
                             .msg_iovlen = 1};
    if (!ts_datagram_is(fd)) {
        if (length)
            *length = 0; /* as recvfrom(2) on a stream */
        return ts_recv(fd, bytes, size, flags);
    }
    ssize_t got = ts_datagram_receive(fd, &message, flags, NULL);
    if (got >= 0 && length)
        *length = message.msg_namelen;
    return got;
}
