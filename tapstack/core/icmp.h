/* ICMP: answers echo, sends errors at a bounded rate, passes errors up to the connection they
 * quote. */
#ifndef TAPSTACK_CORE_ICMP_H
#define TAPSTACK_CORE_ICMP_H

#include "ip.h"

/* The limit of errors sent: a token bucket of one second's worth. All zero: nothing spent yet. */
struct icmp_limiter {
    uint64_t refilled_at;
    uint64_t spent_millionth; /* a token is 1,000,000 */
};

/* Takes a datagram with an ICMP message. Returns 0, or -1 when it was dropped. */
int icmp_input(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us);

/* Answers a datagram with an error: its header and as much of it as fits 576 octets in all (RFC
   1812, 4.3.2.3). Never for a group address, a later fragment, an invalid source or an ICMP error
   (RFC 1122, 3.2.2). rest: second word of the header. */
void icmp_send_error(struct stack *stack, const struct ip_datagram *datagram, uint8_t type,
                     uint8_t code, uint32_t rest, uint64_t now_us);

#endif
