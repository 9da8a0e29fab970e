/* libtapstack: the socket-like API of a tapstack daemon.

   The calls are POSIX's with `ts_` in front: the same arguments, the same results, -1 and errno.
   Every descriptor is a real one: poll, epoll, read, write, sendfile, fcntl, dup, close and passing
   it to another process (SCM_RIGHTS) work on it, in any process, whether it links this library or
   not. A connected socket is a stream of bytes; a listening socket becomes readable when a
   connection waits to be accepted. A datagram socket carries a header before each datagram, which
   only the calls below put on and take off: poll and epoll work on it, plain read and write do not.

   Errors that every call may give besides its own: EBADF (no descriptor), ENOTSOCK (not one of
   ours), ENOTCONN with errno ECONNREFUSED or ENOENT when the daemon is not there, EPROTO (daemon of
   another version).

   Threads: all calls may be made from several threads at once. After fork the child may use every
   call; its connection to the daemon is its own. */
#ifndef TAPSTACK_H
#define TAPSTACK_H

#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Chooses the stack that later ts_socket calls use.
   where: folder of the daemon's sockets; NULL: $TAPSTACK_DIR, or /run/tapstack without it.
   Optional: the first call that needs the daemon does ts_init(NULL) by itself.
   Returns 0. Errors: ENAMETOOLONG; those of connect(2) when no daemon answers; EPROTO. */
int ts_init(const char *where);

/* A new socket (RFC 9293, 3.9.1.1 without the connection).
   domain: AF_INET. type: SOCK_STREAM (TCP) or SOCK_DGRAM (UDP), or'ed with SOCK_NONBLOCK and
   SOCK_CLOEXEC. protocol: 0, or IPPROTO_TCP or IPPROTO_UDP as it fits. Returns the descriptor; close it with ts_close (or close).
   Errors: EAFNOSUPPORT, EPROTONOSUPPORT, EMFILE, ENOBUFS (the client's quota is used up),
   ENETDOWN (the daemon is about to end). */
int ts_socket(int domain, int type, int protocol);

/* Gives the socket its local address; port 0 draws one, INADDR_ANY listens on every address.
   Errors: EINVAL (already bound), EADDRINUSE, EADDRNOTAVAIL (not an address of the stack),
   EAFNOSUPPORT. */
int ts_bind(int fd, const struct sockaddr *address, socklen_t length);

/* Passive OPEN: waits for connections (RFC 9293, 3.9.1.1; system stages Create and Wait).
   backlog: connections that may wait to be accepted; at least 1, cut to the stack's limit.
   The descriptor turns from an unconnected socket into a listening one and stays the same number.
   Errors: EINVAL (connected), EADDRINUSE. */
int ts_listen(int fd, int backlog);

/* Takes the first waiting connection; blocks unless the listener is non-blocking.
   Several processes may accept on one listening descriptor. address, length: the peer, as in
   accept(2); both may be NULL. flags: SOCK_NONBLOCK, SOCK_CLOEXEC.
   Returns the connected descriptor. Errors: EAGAIN, EINVAL (not listening), EMFILE, ECONNABORTED
   (the daemon is gone). */
int ts_accept(int fd, struct sockaddr *address, socklen_t *length);
int ts_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);

/* The same, and the address that the peer connected to, without asking the daemon. */
int ts_accept_both(int fd, struct sockaddr_in *peer, struct sockaddr_in *local, int flags);

/* Active OPEN (RFC 9293, 3.9.1.1): blocks until the connection stands or fails. Non-blocking: -1
   with EINPROGRESS; the descriptor becomes writable when it stands, ts_getsockopt(SO_ERROR) tells
   how it went. Register it with epoll after this call, which replaces what the number stands for.
   Errors: ECONNREFUSED (RST), ETIMEDOUT, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL (broadcast or
   multicast, MUST-46; no free port), EISCONN, EALREADY. */
int ts_connect(int fd, const struct sockaddr *address, socklen_t length);

/* Sends bytes (RFC 9293, 3.9.1.2). flags: MSG_DONTWAIT, MSG_OOB, MSG_NOSIGNAL (always on),
   MSG_MORE (taken, without effect: use TCP_CORK).
   Returns the bytes taken. Errors: EAGAIN, EPIPE (we shut down), ECONNRESET, ETIMEDOUT. */
ssize_t ts_send(int fd, const void *bytes, size_t size, int flags);

/* Receives bytes (RFC 9293, 3.9.1.3). flags: MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL.
   Returns the bytes, or 0 when the peer has closed in good order. After an abort it says which:
   ECONNRESET (RST), ETIMEDOUT, EHOSTUNREACH, ... (MUST-12). Errors: EAGAIN, ENOTCONN. */
ssize_t ts_recv(int fd, void *bytes, size_t size, int flags);

/* Datagrams (RFC 768). A datagram socket sends and receives without a connection; ts_connect gives it
   a peer, ts_connect with AF_UNSPEC takes it away, and ts_send and ts_recv work as the calls here.
   On a stream these calls are ts_send and ts_recv, without looking at the address.

   A datagram is handed to the daemon and leaves from there. What is wrong with it (no route, no
   permission, no peer), and what ICMP says about a datagram sent to the peer, is told by the next
   call. Errors: EMSGSIZE (more than 65507 bytes, at once; or more than the path takes with
   IP_PMTUDISC_DO), EACCES (broadcast without SO_BROADCAST), ENETUNREACH, EADDRNOTAVAIL (the address
   is one of the stack's, or none that can be sent to), EDESTADDRREQ (no address and no peer),
   ECONNREFUSED (nobody at the peer's port), EHOSTUNREACH, EAGAIN, ENOBUFS, ECONNABORTED (ended at
   the console, or with the daemon).

   ts_send and ts_recv know the datagram descriptors that ts_socket or one of these calls has seen in
   this process or, before a fork, in its parent. On one that was passed in use these calls first. */
ssize_t ts_sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *address,
                  socklen_t length);

/* flags: MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC (tells the full size of a datagram that was cut). */
ssize_t ts_recvfrom(int fd, void *bytes, size_t size, int flags, struct sockaddr *address,
                    socklen_t *length);

/* The same, and the address that it came to, perhaps a broadcast or multicast address. Either may be
   NULL. Errors: EOPNOTSUPP (a stream). */
ssize_t ts_recvfrom_both(int fd, void *bytes, size_t size, int flags, struct sockaddr_in *peer,
                         struct sockaddr_in *local);

/* Control messages: IP_PKTINFO both ways, IP_TTL received; both only when their option is set. The
   interface is 1 + its index in the stack. */
ssize_t ts_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t ts_recvmsg(int fd, struct msghdr *message, int flags);

/* how: SHUT_RD, SHUT_WR (sends a FIN behind what was sent) or SHUT_RDWR. Errors: ENOTCONN. */
int ts_shutdown(int fd, int how);

/* Closes the descriptor; with its last copy the connection: a FIN behind what was sent, or a RST
   when received bytes were left unread (RFC 9293 3.6.1, SHLD-3). */
int ts_close(int fd);

/* The socket's own and the peer's address. Errors: ENOTCONN (ts_getpeername). */
int ts_getsockname(int fd, struct sockaddr *address, socklen_t *length);
int ts_getpeername(int fd, struct sockaddr *address, socklen_t *length);

/* Options. level and name as in socket(7), ip(7) and tcp(7):
   SOL_SOCKET   SO_ERROR (get, clears), SO_TYPE, SO_ACCEPTCONN (get), SO_REUSEADDR, SO_KEEPALIVE,
                SO_LINGER, SO_RCVBUF, SO_SNDBUF (the stack's buffers, bytes)
   IPPROTO_IP   IP_TTL, IP_TOS
   IPPROTO_TCP  TCP_NODELAY, TCP_CORK, TCP_QUICKACK, TCP_MAXSEG, TCP_KEEPIDLE, TCP_KEEPINTVL (s),
                TCP_KEEPCNT, TCP_USER_TIMEOUT (ms), TCP_SYNCNT, TCP_DEFER_ACCEPT (s),
                TCP_INFO (get: struct tcp_info of <linux/tcp.h>), TCP_CONGESTION (a name)
   Set on a listener they hold for the connections accepted from it.
   Of a datagram socket:
   SOL_SOCKET   SO_ERROR, SO_TYPE, SO_REUSEADDR (others that have it set may have the same name),
                SO_BROADCAST, SO_RCVBUF, SO_SNDBUF, SO_NO_CHECK
   IPPROTO_IP   IP_TTL, IP_TOS, IP_MTU_DISCOVER, IP_PKTINFO, IP_RECVTTL, IP_MULTICAST_TTL,
                IP_MULTICAST_LOOP, IP_MULTICAST_IF, IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP (struct
                ip_mreq or ip_mreqn, whose interface is 1 + its index in the stack). A socket
                receives the groups that it is a member of, and no others.
   Errors: ENOPROTOOPT (unknown), EINVAL (value out of range, or length too small). */
/* And one of ours: TS_SOL_TAPSTACK, TS_EXEMPT. TCP frames to and from the port of a listener that has
   it set pass the impairments of the daemon's cables by, for as long as it listens. Set it before or
   behind ts_listen. Errors: EINVAL (a connection, a datagram socket), ENOBUFS (64 have it). */
enum { TS_SOL_TAPSTACK = 0x7473, TS_EXEMPT = 1 };

int ts_getsockopt(int fd, int level, int name, void *value, socklen_t *length);
int ts_setsockopt(int fd, int level, int name, const void *value, socklen_t length);

/* poll(2) and epoll(7) work on the descriptors as they are; there are no calls of our own. */

#ifdef __cplusplus
}
#endif

#endif
