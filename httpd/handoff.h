/* Handing a connected socket from the waiting module to a communication module (S7): the descriptor
   travels over a Unix socket pair, with both addresses beside it. */
#ifndef TAPSTACK_HTTPD_HANDOFF_H
#define TAPSTACK_HTTPD_HANDOFF_H

#include <netinet/in.h>

enum { HANDOFF_BATCH = 16 };

/* The four pieces that make a connection (S11). fd is the receiver's number. */
struct handoff {
    int fd;
    struct sockaddr_in peer;
    struct sockaddr_in local;
};

/* Makes the pair: ends[0] for the listener, ends[1] for the worker; both non-blocking and closed on
   exec. 0, or -1 with errno. */
int handoff_open(int ends[2]);

/* Sends one connection; the sender still has to close its descriptor. 0, or -1 with errno: EAGAIN
   when the worker's queue is full. */
int handoff_send(int end, const struct handoff *handoff);

/* Takes up to HANDOFF_BATCH waiting connections with one system call. Returns how many; 0: none
   waits; -1: error. A message that lost its descriptor on the way has fd -1. */
int handoff_receive(int end, struct handoff batch[HANDOFF_BATCH]);

#endif
