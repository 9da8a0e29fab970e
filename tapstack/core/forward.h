/* Forwarding: datagrams of other hosts on their way to other hosts, as a router does (RFC 1812,
   5.2; stage S20). */
#ifndef TAPSTACK_CORE_FORWARD_H
#define TAPSTACK_CORE_FORWARD_H

#include "ip.h"
#include "packet.h"

/* Frames on their way, each in the one copy that forwarding makes. */
struct forward {
    struct packet_queue queue;
    size_t queued_bytes; /* blocks of the pool that they hold */
};

/* Takes a datagram that has passed all checks and is not for us, or is for us only as a stop of its
   source route. Returns 0, or -1 when it was dropped. */
int forward_datagram(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us);

/* Takes the next frame out of the queue, for the caller to destroy; NULL: there is none. */
struct packet *forward_take(struct stack *stack);

/* Throws away what waits. */
void forward_close(struct stack *stack);

#endif
