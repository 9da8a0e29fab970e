/* Descriptors that other processes pass along with their messages (SCM_RIGHTS).

   Dropping the last reference to a descriptor may take the one who drops it a long time: a TCP
   socket with SO_LINGER and bytes that nobody acknowledges waits as long as its owner has chosen.
   The kernel drops what came along and was not asked for, or did not fit, or was still queued at a
   socket that is closed, and it does so in the process that reads or closes. So whoever can send us
   a message could stop us. Hence every reading has room for all the descriptors that a message can
   carry, each is closed here with its lingering switched off, and a socket is read empty before it
   is closed.

   Left out: descriptors that arrive inside of others, queued at a Unix socket that was passed (it
   cannot be read empty, as it may be somebody's who still wants its messages), and file systems
   whose close itself waits (NFS, FUSE); and what the kernel drops because our table is full. */
#define _GNU_SOURCE
#include "passed.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    PASSED_MAX = 253, /* a message carries no more (the kernel's SCM_MAX_FD) */
    DRAIN_BYTES = 16 * 1024,
};

/* Descriptors, and the credentials that the emptying of a socket asks for. */
union passed_control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(PASSED_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

void passed_close(int fd)
{
    static const struct linger none;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(fd);
}

/* Takes the descriptors of one control message; returns the last one or what was there before. */
static int passed_take(const struct cmsghdr *c, int last)
{
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        if (last >= 0)
            passed_close(last);
        memcpy(&last, CMSG_DATA(c) + i * sizeof last, sizeof last);
    }
    return last;
}

ssize_t passed_receive(int socket, struct iovec *iov, size_t pieces, int flags, int *taken,
                       bool *more)
{
    union passed_control control;
    struct msghdr m = {.msg_iov = iov,
                       .msg_iovlen = pieces,
                       .msg_control = &control,
                       .msg_controllen = sizeof control.bytes};
    int last = -1;
    ssize_t got = recvmsg(socket, &m, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0)
        m.msg_controllen = 0;
    if (more)
        *more = m.msg_controllen > 0 || (m.msg_flags & MSG_CTRUNC);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            last = passed_take(c, last);
    }
    if (taken)
        *taken = last;
    else if (last >= 0)
        passed_close(last);
    return got;
}

/* Among messages one without bytes looks like the end, were it not for the credentials that come
   with each once they are asked for. */
static void passed_ask_credentials(int socket)
{
    int type = 0, on = 1;
    socklen_t size = sizeof type;
    if (getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET)
        setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
}

void passed_close_socket(int socket)
{
    char bytes[DRAIN_BYTES];
    struct iovec iov = {bytes, sizeof bytes};
    bool more;
    shutdown(socket, SHUT_RDWR); /* nothing can come any more */
    passed_ask_credentials(socket);
    while (passed_receive(socket, &iov, 1, 0, NULL, &more) > 0 || more)
        ;
    close(socket);
}
