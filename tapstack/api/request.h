/* Private to the library: one question to the daemon and its answer. */
#ifndef TAPSTACK_API_REQUEST_H
#define TAPSTACK_API_REQUEST_H

#include "message.h"

#define TS_PRIVATE __attribute__((visibility("hidden")))

/* Asks the daemon, with magic, version and serial filled in here, and waits for the answer.
   fd: goes with the request, or -1. reply_fd: where a descriptor of the answer goes (-1: none
   came); NULL when none is expected. flags: MSG_CMSG_CLOEXEC for it, or 0. Connects first where
   that is needed, and once again when the daemon was restarted. Returns 0, or -1 with errno: the
   daemon's answer, or why there is none. */
TS_PRIVATE int ts_request_exchange(struct ts_request *request, int fd, struct ts_reply *reply,
                                   int *reply_fd, int flags);

/* The same for an operation that has no answer but its errno. */
TS_PRIVATE int ts_request_simple(struct ts_request *request, int fd);

/* The first descriptor in a received message, or -1. The message has room for one. */
struct msghdr;
TS_PRIVATE int ts_message_descriptor(struct msghdr *message);

#endif
