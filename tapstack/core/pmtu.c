/* The path MTU cache.

   An entry is a destination that takes less than the interface towards it. It comes with an error
   that a protocol has checked against what it has under way (RFC 5927); it goes after
   ip.pmtu_expires, so that a larger MTU is tried again (RFC 1191, 6.3); it is never raised. When
   the cache is full the oldest entry makes room.

   Only what may be fragmented asks the cache for every datagram: `generation` changes with every
   entry, and who sees it change (TCP, before it sends) looks again. */
#include "pmtu.h"

#include "state.h"

enum {
    PMTU_LEAST = 68,         /* every link takes as much (RFC 791, 3.2) */
    PMTU_WITHOUT_ROUTE = 576 /* every host takes as much */
};

void pmtu_open(struct pmtu_cache *cache) { TAILQ_INIT(&cache->age); }

static unsigned pmtu_index(const struct stack *stack, uint32_t destination_v4)
{
    return stack_hash(stack, 1, &destination_v4, sizeof destination_v4) % PMTU_BUCKETS;
}

static struct pmtu_entry *pmtu_entry(const struct stack *stack, uint32_t destination_v4)
{
    if (stack->pmtu.count == 0)
        return NULL;
    struct pmtu_entry *entry = stack->pmtu.bucket[pmtu_index(stack, destination_v4)];
    while (entry && entry->destination_v4 != destination_v4)
        entry = entry->next;
    return entry;
}

static void pmtu_forget(struct stack *stack, struct pmtu_entry *entry)
{
    struct pmtu_entry **link = &stack->pmtu.bucket[pmtu_index(stack, entry->destination_v4)];
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    TAILQ_REMOVE(&stack->pmtu.age, entry, age);
    stack->pmtu.count--;
    stack->pmtu.generation++;
    pool_give(&stack->pool, entry, sizeof *entry);
}

void pmtu_expire(struct stack *stack, uint64_t now_us)
{
    struct pmtu_entry *oldest;
    while ((oldest = TAILQ_FIRST(&stack->pmtu.age)) != NULL && oldest->expires_at <= now_us)
        pmtu_forget(stack, oldest);
}

struct pmtu pmtu_find(const struct stack *stack, uint32_t destination_v4)
{
    const struct pmtu_entry *entry = pmtu_entry(stack, destination_v4);
    struct pmtu path = {.mtu_bytes = PMTU_WITHOUT_ROUTE};
    uint32_t source_v4;
    unsigned interface;
    if (ip_choose_source(stack, destination_v4, &source_v4, &interface) == 0)
        path.mtu_bytes = stack->interface[interface].mtu_bytes;
    if (entry && entry->mtu_bytes < path.mtu_bytes)
        path.mtu_bytes = entry->mtu_bytes;
    path.locked = entry && entry->locked;
    return path;
}

uint16_t pmtu_cached(const struct stack *stack, uint32_t destination_v4)
{
    const struct pmtu_entry *entry = pmtu_entry(stack, destination_v4);
    return entry ? entry->mtu_bytes : UINT16_MAX;
}

/* The largest MTU in common use below a datagram's size (RFC 1191, 7.1). */
static uint16_t pmtu_plateau(uint16_t bytes)
{
    static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68};
    unsigned i = 0;
    while (i + 1 < sizeof plateaus / sizeof plateaus[0] && plateaus[i] >= bytes)
        i++;
    return plateaus[i];
}

uint16_t pmtu_claimed(const struct icmp_header *icmp, const struct ipv4_header *quoted,
                      uint16_t most)
{
    uint16_t claimed = icmp->rest & 0xffff;
    uint16_t size = quoted->total_bytes < most ? quoted->total_bytes : most;
    if (claimed == 0)
        claimed = pmtu_plateau(size);
    return claimed >= PMTU_LEAST && claimed < size ? claimed : 0;
}

/* A new entry for this destination, in the place of the oldest when there are enough; NULL without
   memory. */
static struct pmtu_entry *pmtu_add(struct stack *stack, uint32_t destination_v4)
{
    struct pmtu_cache *cache = &stack->pmtu;
    while (cache->count > 0 && cache->count >= stack->settings.ip_pmtu_entries)
        pmtu_forget(stack, TAILQ_FIRST(&cache->age));
    struct pmtu_entry *entry = pool_take(&stack->pool, sizeof *entry);
    if (!entry)
        return NULL;
    struct pmtu_entry **bucket = &cache->bucket[pmtu_index(stack, destination_v4)];
    *entry = (struct pmtu_entry){.next = *bucket, .destination_v4 = destination_v4};
    *bucket = entry;
    TAILQ_INSERT_TAIL(&cache->age, entry, age);
    cache->count++;
    return entry;
}

bool pmtu_lower(struct stack *stack, uint32_t destination_v4, uint16_t mtu_bytes, uint64_t now_us)
{
    struct pmtu before = pmtu_find(stack, destination_v4);
    uint16_t least = (uint16_t)stack->settings.ip_min_pmtu;
    bool locked = mtu_bytes < least;
    if (locked)
        mtu_bytes = least;
    if (mtu_bytes >= before.mtu_bytes && locked <= before.locked)
        return false;
    struct pmtu_entry *entry = pmtu_entry(stack, destination_v4);
    if (!entry)
        entry = pmtu_add(stack, destination_v4);
    if (!entry)
        return false;
    entry->mtu_bytes = mtu_bytes < before.mtu_bytes ? mtu_bytes : before.mtu_bytes;
    entry->locked = locked || before.locked;
    entry->expires_at = now_us + stack->settings.ip_pmtu_expires_us;
    TAILQ_REMOVE(&stack->pmtu.age, entry, age);
    TAILQ_INSERT_TAIL(&stack->pmtu.age, entry, age);
    stack->pmtu.generation++;
    stack_count(stack, STACK_COUNTER_PMTU_LOWERED);
    return true;
}

/* ---- Looking in ---- */

unsigned stack_flush_pmtu(struct stack *stack)
{
    unsigned count = stack->pmtu.count;
    while (!TAILQ_EMPTY(&stack->pmtu.age))
        pmtu_forget(stack, TAILQ_FIRST(&stack->pmtu.age));
    return count;
}

/* The cursor holds the bucket in its upper half and the place in its chain in the lower. */
bool stack_next_pmtu(const struct stack *stack, uint32_t *cursor, struct stack_pmtu *pmtu,
                     uint64_t now_us)
{
    for (uint32_t bucket = *cursor >> 16; bucket < PMTU_BUCKETS; bucket++) {
        const struct pmtu_entry *entry = stack->pmtu.bucket[bucket];
        for (uint32_t place = *cursor & 0xffff; entry && place > 0; place--)
            entry = entry->next;
        if (entry) {
            *pmtu = (struct stack_pmtu){
                .destination_v4 = entry->destination_v4,
                .mtu_bytes = entry->mtu_bytes,
                .locked = entry->locked,
                .left_us = entry->expires_at > now_us ? entry->expires_at - now_us : 0,
            };
            (*cursor)++;
            return true;
        }
        *cursor = (bucket + 1) << 16;
    }
    return false;
}
