/* The ts_* calls on the kernel's own sockets: for developing and measuring a program of libtapstack
   without a daemon. Link this file instead of the library. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../tapstack/api/tapstack.h"

int ts_init(const char *where)
{
    (void)where;
    return 0;
}

int ts_socket(int domain, int type, int protocol) { return socket(domain, type, protocol); }

int ts_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    return bind(fd, address, length);
}

int ts_listen(int fd, int backlog) { return listen(fd, backlog); }

int ts_accept(int fd, struct sockaddr *address, socklen_t *length)
{
    return accept(fd, address, length);
}

int ts_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    return accept4(fd, address, length, flags);
}

int ts_accept_both(int fd, struct sockaddr_in *peer, struct sockaddr_in *local, int flags)
{
    socklen_t peer_bytes = sizeof(*peer), local_bytes = sizeof(*local);
    int accepted = accept4(fd, (struct sockaddr *)(void *)peer, &peer_bytes, flags);
    if (accepted >= 0)
        getsockname(accepted, (struct sockaddr *)(void *)local, &local_bytes);
    return accepted;
}

int ts_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    return connect(fd, address, length);
}

ssize_t ts_send(int fd, const void *bytes, size_t size, int flags)
{
    return send(fd, bytes, size, flags | MSG_NOSIGNAL);
}

ssize_t ts_recv(int fd, void *bytes, size_t size, int flags)
{
    return recv(fd, bytes, size, flags);
}

ssize_t ts_sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *address,
                  socklen_t length)
{
    return sendto(fd, bytes, size, flags | MSG_NOSIGNAL, address, length);
}

ssize_t ts_recvfrom(int fd, void *bytes, size_t size, int flags, struct sockaddr *address,
                    socklen_t *length)
{
    return recvfrom(fd, bytes, size, flags, address, length);
}

ssize_t ts_recvfrom_both(int fd, void *bytes, size_t size, int flags, struct sockaddr_in *peer,
                         struct sockaddr_in *local)
{
    socklen_t peer_bytes = sizeof(*peer), local_bytes = sizeof(*local);
    ssize_t got = recvfrom(fd, bytes, size, flags, (struct sockaddr *)(void *)peer, &peer_bytes);
    if (got >= 0 && local) /* the name of a socket bound to any address tells less */
        getsockname(fd, (struct sockaddr *)(void *)local, &local_bytes);
    return got;
}

ssize_t ts_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return sendmsg(fd, message, flags | MSG_NOSIGNAL);
}

ssize_t ts_recvmsg(int fd, struct msghdr *message, int flags)
{
    return recvmsg(fd, message, flags);
}

int ts_shutdown(int fd, int how) { return shutdown(fd, how); }

int ts_close(int fd) { return close(fd); }

int ts_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    return getsockname(fd, address, length);
}

int ts_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
    return getpeername(fd, address, length);
}

int ts_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    return getsockopt(fd, level, name, value, length);
}

int ts_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    return setsockopt(fd, level, name, value, length);
}
