/* Says wrong things to the daemon's API socket, and tells how it took them.

   badapi SOCKET: every case of the table on a connection of its own. A malformed message must be
   answered with the error of the table, or by closing the connection where no answer is possible;
   never with silence. Prints a line a case; ends with 1 when one was taken in another way. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../tapstack/api/message.h"

enum { CLOSED = -1 }; /* instead of an errno: the daemon hangs up */

/* One wrong message; the rest of its fields are right. after_hello: in an open conversation. */
struct wrong {
    const char *name;
    bool after_hello;
    uint32_t magic;
    uint16_t version;
    uint16_t op;
    uint32_t length;
    size_t size; /* of the datagram */
    int fd;      /* attached; -1: none */
    int first;   /* the daemon's answer: an errno, or CLOSED */
    int second;  /* also right */
};

enum { WHOLE = sizeof(struct ts_request) };

static const struct wrong table[] = {
    {"one byte", false, TS_MAGIC, TS_VERSION, TS_OP_HELLO, 0, 1, -1, CLOSED, EPROTO},
    {"cut short", true, TS_MAGIC, TS_VERSION, TS_OP_SOCKET, 0, WHOLE - 1, -1, CLOSED, EPROTO},
    {"too long", true, TS_MAGIC, TS_VERSION, TS_OP_SOCKET, 0, WHOLE + 1, -1, CLOSED, EPROTO},
    {"wrong magic", false, 0x20544547, TS_VERSION, TS_OP_HELLO, 0, WHOLE, -1, CLOSED, EPROTO},
    {"wrong version", false, TS_MAGIC, 99, TS_OP_HELLO, 0, WHOLE, -1, EPROTO, CLOSED},
    {"no greeting", false, TS_MAGIC, TS_VERSION, TS_OP_SOCKET, 0, WHOLE, -1, EPROTO, CLOSED},
    {"operation 0", true, TS_MAGIC, TS_VERSION, 0, 0, WHOLE, -1, EINVAL, EOPNOTSUPP},
    {"operation 999", true, TS_MAGIC, TS_VERSION, 999, 0, WHOLE, -1, EINVAL, EOPNOTSUPP},
    {"length of 4 GB", true, TS_MAGIC, TS_VERSION, TS_OP_SETOPT, UINT32_MAX, WHOLE, 0, EINVAL,
     EPROTO},
    {"listen on nothing", true, TS_MAGIC, TS_VERSION, TS_OP_LISTEN, 0, WHOLE, -1, EBADF, EPROTO},
    {"listen on a file", true, TS_MAGIC, TS_VERSION, TS_OP_LISTEN, 0, WHOLE, 0, ENOTSOCK, EBADF},
    {"bind a file", true, TS_MAGIC, TS_VERSION, TS_OP_BIND, 0, WHOLE, 0, ENOTSOCK, EBADF},
    {"status of a file", true, TS_MAGIC, TS_VERSION, TS_OP_STATUS, 0, WHOLE, 0, ENOTSOCK, EBADF},
};

static int api_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 5};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

static ssize_t api_send(int fd, const void *bytes, size_t size, int attached)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec piece = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

    if (attached >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &attached, sizeof(attached));
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* The error of the next reply, CLOSED, or EAGAIN for silence. */
static int api_answer(int fd)
{
    struct ts_reply reply;
    ssize_t size = recv(fd, &reply, sizeof(reply), 0);

    if (size == 0 || (size < 0 && errno == ECONNRESET))
        return CLOSED;
    if (size < 0)
        return errno;
    return size == (ssize_t)sizeof(reply) ? reply.error : EMSGSIZE;
}

static const char *answer_text(int answer)
{
    return answer == CLOSED ? "closed" : answer == 0 ? "success" : strerror(answer);
}

static bool say_wrong(const char *path, const struct wrong *wrong)
{
    struct {
        struct ts_request request;
        char more[8];
    } message = {.request = {.magic = TS_MAGIC, .version = TS_VERSION, .op = TS_OP_HELLO}};
    int fd = api_connect(path);
    int answer = 0;
    bool right;

    if (fd < 0)
        return perror(path), false;
    if (wrong->after_hello) {
        api_send(fd, &message.request, sizeof(message.request), -1);
        answer = api_answer(fd);
    }
    message.request.magic = wrong->magic;
    message.request.version = wrong->version;
    message.request.op = wrong->op;
    message.request.length = wrong->length;
    message.request.serial = 7;
    if (answer == 0) {
        api_send(fd, &message, wrong->size, wrong->fd);
        answer = api_answer(fd);
    }
    close(fd);
    right = answer == wrong->first || answer == wrong->second;
    printf("%s: %s%s\n", wrong->name, answer_text(answer), right ? "" : "  WRONG");
    return right;
}

int main(int argc, char **argv)
{
    bool right = true;

    if (argc != 2)
        return fprintf(stderr, "usage: badapi SOCKET\n"), 2;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        right &= say_wrong(argv[1], &table[i]);
    return right ? 0 : 1;
}
