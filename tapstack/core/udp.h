/* UDP: checks datagrams; without a socket the sender gets port unreachable (stage S24). */
#ifndef TAPSTACK_CORE_UDP_H
#define TAPSTACK_CORE_UDP_H

#include "ip.h"

/* Takes a datagram with a UDP message. Returns -1: it was dropped, and counted. */
int udp_input(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us);

#endif
