/* Descriptors over a socket pair (SCM_RIGHTS), many a wake-up. */
#define _GNU_SOURCE /* recvmmsg */
#include "handoff.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct addresses {
    struct sockaddr_in peer;
    struct sockaddr_in local;
};

union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

int handoff_open(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
}

int handoff_send(int end, const struct handoff *handoff)
{
    struct addresses addresses = {handoff->peer, handoff->local};
    struct iovec vector = {&addresses, sizeof(addresses)};
    union control control = {0};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &handoff->fd, sizeof(int));
    return sendmsg(end, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -1 : 0;
}

static int descriptor_of(struct msghdr *message)
{
    struct cmsghdr *head = CMSG_FIRSTHDR(message);
    int fd = -1;
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(head), sizeof(fd));
    return fd;
}

int handoff_receive(int end, struct handoff batch[HANDOFF_BATCH])
{
    struct mmsghdr messages[HANDOFF_BATCH];
    struct addresses addresses[HANDOFF_BATCH];
    struct iovec vectors[HANDOFF_BATCH];
    union control controls[HANDOFF_BATCH];
    int count;
    for (int i = 0; i < HANDOFF_BATCH; i++) {
        vectors[i] = (struct iovec){&addresses[i], sizeof(addresses[i])};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i],
                                              .msg_iovlen = 1,
                                              .msg_control = controls[i].bytes,
                                              .msg_controllen = sizeof(controls[i].bytes)};
    }
    count = recvmmsg(end, messages, HANDOFF_BATCH, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    for (int i = 0; i < count; i++) {
        if (messages[i].msg_len == 0) /* the other end is closed, and says so without end */
            return i;
        batch[i].fd = descriptor_of(&messages[i].msg_hdr);
        batch[i].peer = addresses[i].peer;
        batch[i].local = addresses[i].local;
    }
    return count;
}
