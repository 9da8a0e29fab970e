/* Private to the library: what a datagram descriptor carries (struct ts_datagram), put on and taken
   off. */
#ifndef TAPSTACK_API_DATAGRAM_H
#define TAPSTACK_API_DATAGRAM_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "request.h"

/* Is it a datagram socket of ours? Asks the kernel. */
TS_PRIVATE bool ts_datagram_is(int fd);

/* The same without a system call for what is none: known are the numbers that this process, or
   before a fork its parent, has seen to be datagram sockets. */
TS_PRIVATE bool ts_datagram_known(int fd);

/* This number stands for a datagram socket now. */
TS_PRIVATE void ts_datagram_note(int fd);

/* Takes the error out that waits in front of the datagrams. Returns it, or 0: there is none. */
TS_PRIVATE int ts_datagram_take_error(int fd);

/* sendmsg(2) and recvmsg(2) on a datagram socket. local: where it came to, with its interface's
   index; may be NULL. */
TS_PRIVATE ssize_t ts_datagram_send(int fd, const struct msghdr *message, int flags);
TS_PRIVATE ssize_t ts_datagram_receive(int fd, struct msghdr *message, int flags,
                                       struct sockaddr_in *local);

/* Addresses (socket.c). endpoint_from: returns -1 with errno when it is no IPv4 address. */
TS_PRIVATE int ts_endpoint_from(struct ts_endpoint *to, const struct sockaddr *from,
                                socklen_t length);
TS_PRIVATE struct sockaddr_in ts_endpoint_to(const struct ts_endpoint *from);

#endif
