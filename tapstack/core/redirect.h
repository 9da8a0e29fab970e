/* Redirects: a router tells its neighbors of a better first hop, and a host believes its router
   (RFC 1122, 3.2.2.2; RFC 1812, 5.2.7.2). */
#ifndef TAPSTACK_CORE_REDIRECT_H
#define TAPSTACK_CORE_REDIRECT_H

#include "ip.h"

enum { REDIRECT_MEMORY = 64 };

/* Whom we have told, by a hash of source and destination: the same pair again a second later. */
struct redirect_memory {
    uint64_t sent_at[REDIRECT_MEMORY];
};

/* A datagram is forwarded to hop: sends its source a redirect when it could have gone there
   itself. */
void redirect_send(struct stack *stack, const struct ip_datagram *datagram,
                   const struct ip_hop *hop, uint64_t now_us);

/* from_v4 says, over interface, that datagrams to destination_v4 go by gateway_v4. Believed when it
   comes from the gateway that we use for that destination, and names a neighbor on the same
   network: then a route to that one host is kept for ip.redirect_lifetime. A router believes none.
   Returns whether it was believed. */
bool redirect_learn(struct stack *stack, unsigned interface, uint32_t from_v4,
                    uint32_t destination_v4, uint32_t gateway_v4, uint64_t now_us);

/* The next hop to a destination is dead: what a redirect said of it is forgotten. */
void redirect_forget(struct stack *stack, uint32_t destination_v4);

/* Removes the learned routes whose time is over; one comparison when there are none. */
void redirect_expire(struct stack *stack, uint64_t now_us);

/* When redirect_expire has work at the earliest; UINT64_MAX: never. */
uint64_t redirect_deadline(const struct stack *stack);

#endif
