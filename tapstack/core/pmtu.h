/* The path MTU cache: what "fragmentation needed" has told of each destination (RFC 1191), for all
 * protocols. */
#ifndef TAPSTACK_CORE_PMTU_H
#define TAPSTACK_CORE_PMTU_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "../wire/icmp.h"

struct stack;

enum { PMTU_BUCKETS = 256 };

struct pmtu_entry {
    struct pmtu_entry *next; /* in its bucket */
    TAILQ_ENTRY(pmtu_entry) age;
    uint64_t expires_at;
    uint32_t destination_v4;
    uint16_t mtu_bytes;
    bool locked; /* the path takes less than we go down to: datagrams must be fragmentable */
};

struct pmtu_cache {
    struct pmtu_entry *bucket[PMTU_BUCKETS];
    TAILQ_HEAD(, pmtu_entry) age; /* the next to expire first */
    uint32_t count;
    uint32_t generation; /* changes whenever a path's MTU may have changed */
};

struct pmtu {
    uint16_t mtu_bytes; /* largest datagram for this path */
    bool locked;        /* send without DF: the path may take even less */
};

void pmtu_open(struct pmtu_cache *cache);

/* What is known of the path to a destination: at most the MTU of the interface that leads there;
   576 where none does. */
struct pmtu pmtu_find(const struct stack *stack, uint32_t destination_v4);

/* What the cache alone says of a destination, which may be a group's; UINT16_MAX: nothing. */
uint16_t pmtu_cached(const struct stack *stack, uint32_t destination_v4);

/* The MTU that an error claims, by its field or, when an old router left that empty, by the plateau
   below the datagram that was too big (RFC 1191, 5 and 7.1). most: bytes of what we send at most.
   Returns 0 when it claims nothing: an MTU that cannot be (below 68), or that already holds. */
uint16_t pmtu_claimed(const struct icmp_header *icmp, const struct ipv4_header *quoted,
                      uint16_t most);

/* Takes over a claim that the caller believes. Returns whether the MTU of this path fell. */
bool pmtu_lower(struct stack *stack, uint32_t destination_v4, uint16_t mtu_bytes, uint64_t now_us);

/* Forgets what has expired; one comparison when nothing has. */
void pmtu_expire(struct stack *stack, uint64_t now_us);

#endif
