/* UDP: checks datagrams; without a socket the sender gets port unreachable (stage S24). */
#ifndef TAPSTACK_CORE_UDP_H
#define TAPSTACK_CORE_UDP_H

#include "ip.h"

int udp_input(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us);

#endif
