/* ICMP: answers echo and timestamp requests, sends errors at a bounded rate, passes errors up to
 * the protocol they quote. */
#ifndef TAPSTACK_CORE_ICMP_H
#define TAPSTACK_CORE_ICMP_H

#include "../wire/icmp.h"
#include "ip.h"

enum { ICMP_LIMITER_HOSTS = 256 };

/* A token bucket of one second's worth. All zero: nothing spent yet. */
struct icmp_bucket {
    uint64_t refilled_at;
    uint64_t spent_millionth; /* a token is 1,000,000 */
};

/* The limits of errors sent: one for all, and one for each host, so that one that asks for many
   leaves something to the others. Hosts share a bucket when their keyed hashes meet. */
struct icmp_limiter {
    struct icmp_bucket all;
    struct icmp_bucket host[ICMP_LIMITER_HOSTS];
};

/* Takes a datagram with an ICMP message. Returns 0, or -1 when it was dropped. */
int icmp_input(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us);

/* The next hop of a datagram of ours does not answer: its protocol is told as by an ICMP error, host
   unreachable, from ourselves. */
void icmp_unreachable(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us);

/* The time as ICMP and IP timestamps have it: milliseconds since midnight UT; with the upper bit set,
   by a clock of our own (RFC 792). */
uint32_t icmp_timestamp_now(const struct stack *stack, uint64_t now_us);

/* Answers a datagram with an error: its header and as much of it as fits 576 octets in all (RFC
   1812, 4.3.2.3), from the address that was asked, or where that is not ours from the one towards
   the sender (4.3.2.4). rest: second word of the header. Nothing is sent about an ICMP error, a
   broadcast or multicast of either layer, a later fragment, a source that is no single host (RFC
   1122, 3.2.2), nor beyond icmp.error_rate and icmp.error_rate_host. Needs of the datagram: header,
   packet, payload, to_group. */
void icmp_send_error(struct stack *stack, const struct ip_datagram *datagram, uint8_t type,
                     uint8_t code, uint32_t rest, uint64_t now_us);

#endif
