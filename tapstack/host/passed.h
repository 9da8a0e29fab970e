/* Descriptors that other processes pass along with their messages (SCM_RIGHTS). */
#ifndef TAPSTACK_HOST_PASSED_H
#define TAPSTACK_HOST_PASSED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* recvmsg(2) into the pieces, without waiting. taken: NULL, or where the last descriptor that came
   goes, -1 when there is none; every other one is closed. more: set when the message may have ended
   early because descriptors came with it; may be NULL. */
ssize_t passed_receive(int socket, struct iovec *iov, size_t pieces, int flags, int *taken,
                       bool *more);

/* Closes a descriptor that somebody passed. */
void passed_close(int fd);

/* Closes a Unix socket that may hold messages unread, and with them descriptors. */
void passed_close_socket(int socket);

#endif
