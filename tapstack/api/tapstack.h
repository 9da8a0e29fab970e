/* libtapstack: the socket-like API of a tapstack daemon.

   The calls are POSIX's with `ts_` in front: the same arguments, the same results, -1 and errno.
   Every descriptor is a real one: poll, epoll, read, write, sendfile, fcntl, dup, close and passing
   it to another process (SCM_RIGHTS) work on it, in any process, whether it links this library or
   not. A connected socket is a stream of bytes; a listening socket becomes readable when a
   connection waits to be accepted.

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
   domain: AF_INET. type: SOCK_STREAM, or'ed with SOCK_NONBLOCK and SOCK_CLOEXEC. protocol: 0 or
   IPPROTO_TCP. Returns the descriptor; close it with ts_close (or close).
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
   Errors: ENOPROTOOPT (unknown), EINVAL (value out of range, or length too small). */
int ts_getsockopt(int fd, int level, int name, void *value, socklen_t *length);
int ts_setsockopt(int fd, int level, int name, const void *value, socklen_t length);

/* poll(2) and epoll(7) work on the descriptors as they are; there are no calls of our own. */

#ifdef __cplusplus
}
#endif

#endif
