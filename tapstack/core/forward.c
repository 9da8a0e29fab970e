/* Forwarding: datagrams of other hosts on their way to other hosts, as a router does (RFC 1812,
   5.2; stage S20). */
#include "forward.h"

#include "state.h"

int forward_datagram(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us)
{
    return stack_drop(stack, STACK_COUNTER_IP_IN_ADDR_ERRORS, 0, datagram->header.total_bytes,
                      now_us);
}
