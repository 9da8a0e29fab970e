/* Forwarding: datagrams of other hosts on their way to other hosts, as a router does (RFC 1812,
   5.2; stage S20). */
#ifndef TAPSTACK_CORE_FORWARD_H
#define TAPSTACK_CORE_FORWARD_H

#include "ip.h"

/* Takes a datagram that has passed all checks and is not for us. Returns 0, or -1 when it was
   dropped. */
int forward_datagram(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us);

#endif
