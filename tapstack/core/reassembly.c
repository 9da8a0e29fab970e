/* Reassembly: fragments wait until their datagram is whole, within a bounded memory.

   A datagram is known by its source, destination, protocol and identification (RFC 791, 3.2),
   whatever interface its fragments come by. Each fragment is kept as it came, in a block of its
   own, so that what a sender makes us hold is what he sent, plus a bounded price. RFC 815's list of
   holes is not needed: as no two fragments kept ever overlap, the datagram is whole when the bytes
   held are as many as the last fragment says there are.

   The fragments of a datagram lie in 32 drawers of 2 KiB by where they start, each drawer sorted
   from high to low. One search answers every question about a newcomer: the fragment that starts
   last before the newcomer's end is the only one that can overlap it, or be the same. The search
   looks at 32 drawers and 256 fragments at most, however small and in whatever order they come.

   What does not fit together is refused with its whole datagram, and what comes of it later too,
   until its time is over (RFC 5722, which RFC 8200 4.5 made the rule): overlapping fragments, other
   bytes for the same place, two ends, ECN marks that contradict each other. Only an exact
   duplicate, which networks do make, is ignored. Fragments that are wrong by themselves are
   refused without any memory spent on them.

   Everything held is charged by the block that the pool gave, to all of us and to the source.
   At a limit a newcomer takes the place of the oldest datagrams of its own source; when that
   is not enough it is dropped. So nobody can drive out the fragments of another by sending more,
   and nothing is ever searched for a victim.

   A datagram is given up 30 seconds after its first fragment came (ip.reassembly_timeout), as in
   Linux. RFC 1122 3.3.2 would have 60 to 120, from a time when a fragment could be on its way so
   long; today an identification comes round much sooner (RFC 4963), and every second more is memory
   that somebody can keep from others. */
#include "reassembly.h"

#include <assert.h>
#include <string.h>
#include <sys/queue.h>

#include "../wire/tcp.h"
#include "../wire/udp.h"
#include "state.h"

enum {
    DATAGRAM_BYTES_MAX = 65535,
    DRAWERS = 32,
    DRAWER_BYTES = (DATAGRAM_BYTES_MAX + 1) / DRAWERS,
    OFFSET_UNIT = 8,
    TRANSPORT_BYTES_MIN = 8, /* of UDP's and ICMP's header */
    ECN_BITS = 3,            /* the field in the TOS byte (RFC 3168, 5) */
    ECN_CE = 3,
};

struct reassembly_fragment {
    struct reassembly_fragment *next; /* in its drawer, starting earlier */
    uint16_t offset;
    uint16_t size;
    uint8_t header_bytes; /* of the IP header in front of the payload: the first fragment's is kept,
                             others have 0 */
    bool last;
    uint8_t bytes[];
};

struct reassembly_key {
    uint32_t source_v4;
    uint32_t destination_v4;
    uint16_t identification;
    uint8_t protocol;
    uint8_t zero;
};

struct reassembly_datagram {
    struct wheel_timer timer;
    struct reassembly_datagram *next; /* in its bucket */
    struct reassembly_source *source;
    TAILQ_ENTRY(reassembly_datagram) of_source;
    struct reassembly_key key;
    uint64_t began_at;
    uint32_t used_bytes;     /* blocks of its fragments */
    uint32_t received_bytes; /* of payload */
    uint32_t total_bytes;    /* of payload; 0: the last fragment has not come */
    uint32_t extent_bytes;   /* where the highest fragment ends */
    uint32_t fragment_count;
    uint16_t interface; /* of the first fragment that came */
    bool to_group;
    bool refused;                      /* nothing of it is kept, nothing of it is taken */
    uint8_t ecn_seen;                  /* a bit for each of the four marks */
    struct reassembly_fragment *first; /* at offset 0, or NULL */
    struct reassembly_fragment *drawer[DRAWERS];
};

TAILQ_HEAD(datagram_list, reassembly_datagram);

struct reassembly_source {
    struct reassembly_source *next; /* in its bucket */
    struct datagram_list datagrams; /* the oldest first */
    size_t used_bytes;
    uint32_t v4;
};

/* ---- What is wrong with a fragment by itself ---- */

/* Does the first fragment show what filters and ports need of the transport header (RFC 1858, 3)?
   TCP's must be there with its options. */
static bool holds_transport_header(const struct ip_datagram *fragment)
{
    size_t size = fragment->payload_bytes;
    switch (fragment->header.protocol) {
    case IPV4_PROTOCOL_TCP:
        return size >= TCP_HEADER_BYTES && size >= (fragment->payload[12] >> 4) * 4U;
    case IPV4_PROTOCOL_UDP:
    case IPV4_PROTOCOL_ICMP:
        return size >= TRANSPORT_BYTES_MIN;
    default:
        return true;
    }
}

enum stack_counter reassembly_refusal(const struct ip_datagram *fragment)
{
    const struct ipv4_header *header = &fragment->header;
    if (fragment->payload_bytes == 0)
        return STACK_COUNTER_IP_REASM_EMPTY;
    if (header->more_fragments && fragment->payload_bytes % OFFSET_UNIT != 0)
        return STACK_COUNTER_IP_REASM_UNALIGNED;
    if (header->header_bytes + header->fragment_offset + fragment->payload_bytes >
        DATAGRAM_BYTES_MAX)
        return STACK_COUNTER_IP_REASM_TOO_LONG;
    if (header->fragment_offset == 0 && !holds_transport_header(fragment))
        return STACK_COUNTER_IP_REASM_TINY;
    if (header->fragment_offset == OFFSET_UNIT && header->protocol == IPV4_PROTOCOL_TCP)
        return STACK_COUNTER_IP_REASM_TCP_OFFSET;
    return STACK_COUNTER_COUNT;
}

/* ---- The tables ---- */

static struct reassembly_datagram **find_bucket(struct stack *stack,
                                                const struct reassembly_key *key)
{
    uint64_t hash = stack_hash(stack, 0, key, sizeof *key);
    return &stack->reassembly.bucket[hash % REASSEMBLY_BUCKETS];
}

static struct reassembly_datagram *find_datagram(struct stack *stack,
                                                 const struct reassembly_key *key)
{
    struct reassembly_datagram *datagram = *find_bucket(stack, key);
    while (datagram && memcmp(&datagram->key, key, sizeof *key) != 0)
        datagram = datagram->next;
    return datagram;
}

static struct reassembly_source **find_source_bucket(struct stack *stack, uint32_t v4)
{
    uint64_t hash = stack_hash(stack, 0, &v4, sizeof v4);
    return &stack->reassembly.source_bucket[hash % REASSEMBLY_BUCKETS];
}

static struct reassembly_source *find_source(struct stack *stack, uint32_t v4)
{
    struct reassembly_source *source = *find_source_bucket(stack, v4);
    while (source && source->v4 != v4)
        source = source->next;
    return source;
}

/* A block charged to its source and to all, or NULL. */
static void *take_block(struct stack *stack, struct reassembly_source *source, size_t size)
{
    void *block = pool_take(&stack->pool, size);
    if (block) {
        source->used_bytes += pool_block_bytes(size);
        stack->reassembly.used_bytes += pool_block_bytes(size);
    }
    return block;
}

static void give_block(struct stack *stack, struct reassembly_source *source, void *block,
                       size_t size)
{
    source->used_bytes -= pool_block_bytes(size);
    stack->reassembly.used_bytes -= pool_block_bytes(size);
    pool_give(&stack->pool, block, size);
}

/* The source, made when it is not known yet; NULL without memory. */
static struct reassembly_source *open_source(struct stack *stack, uint32_t v4)
{
    struct reassembly_source *source = find_source(stack, v4);
    if (source)
        return source;
    source = pool_take(&stack->pool, sizeof *source);
    if (!source)
        return NULL;
    struct reassembly_source **bucket = find_source_bucket(stack, v4);
    *source = (struct reassembly_source){
        .next = *bucket,
        .v4 = v4,
        .used_bytes = pool_block_bytes(sizeof *source),
    };
    TAILQ_INIT(&source->datagrams);
    *bucket = source;
    stack->reassembly.used_bytes += source->used_bytes;
    return source;
}

static void close_source_unless_used(struct stack *stack, struct reassembly_source *source)
{
    if (!TAILQ_EMPTY(&source->datagrams))
        return;
    struct reassembly_source **link = find_source_bucket(stack, source->v4);
    while (*link != source)
        link = &(*link)->next;
    *link = source->next;
    stack->reassembly.used_bytes -= pool_block_bytes(sizeof *source);
    pool_give(&stack->pool, source, sizeof *source);
}

static size_t fragment_block_size(size_t header_bytes, size_t size)
{
    return sizeof(struct reassembly_fragment) + header_bytes + size;
}

static void release_fragments(struct stack *stack, struct reassembly_datagram *datagram)
{
    for (unsigned i = 0; i < DRAWERS; i++) {
        struct reassembly_fragment *fragment;
        while ((fragment = datagram->drawer[i])) {
            datagram->drawer[i] = fragment->next;
            give_block(stack, datagram->source, fragment,
                       fragment_block_size(fragment->header_bytes, fragment->size));
        }
    }
    datagram->first = NULL;
    datagram->used_bytes = 0;
}

/* Forgets a datagram; its source stays. */
static void remove_datagram(struct stack *stack, struct reassembly_datagram *datagram)
{
    struct reassembly_datagram **link = find_bucket(stack, &datagram->key);
    while (*link != datagram)
        link = &(*link)->next;
    *link = datagram->next;
    stack->reassembly.count--;
    wheel_cancel(&stack->reassembly.wheel, &datagram->timer);
    release_fragments(stack, datagram);
    TAILQ_REMOVE(&datagram->source->datagrams, datagram, of_source);
    give_block(stack, datagram->source, datagram, sizeof *datagram);
}

static void close_datagram(struct stack *stack, struct reassembly_datagram *datagram)
{
    struct reassembly_source *source = datagram->source;
    remove_datagram(stack, datagram);
    close_source_unless_used(stack, source);
}

/* Counts a failure of reassembly: why, and the bytes that it costs. Returns -1. */
static int count_failure(struct stack *stack, enum stack_counter why, size_t bytes, uint64_t now_us)
{
    stack_count(stack, STACK_COUNTER_IP_REASM_FAILS);
    return stack_drop(stack, why, 0, bytes, now_us);
}

/* ---- Room ---- */

static bool has_room(const struct stack *stack, const struct reassembly_source *source,
                     size_t bytes, unsigned datagrams)
{
    const struct stack_settings *settings = &stack->settings;
    return source->used_bytes + bytes <= settings->ip_reassembly_per_source &&
           stack->reassembly.used_bytes + bytes <= settings->ip_reassembly_memory &&
           stack->reassembly.count + datagrams <= settings->ip_reassembly_datagrams;
}

/* Makes room for so many bytes and datagrams more: the oldest of the source go, but not keep. */
static bool make_room(struct stack *stack, struct reassembly_source *source,
                      const struct reassembly_datagram *keep, size_t bytes, unsigned datagrams,
                      uint64_t now_us)
{
    while (!has_room(stack, source, bytes, datagrams)) {
        struct reassembly_datagram *oldest = TAILQ_FIRST(&source->datagrams);
        if (oldest && oldest == keep)
            oldest = TAILQ_NEXT(oldest, of_source);
        if (!oldest)
            return false;
        if (!oldest->refused)
            count_failure(stack, STACK_COUNTER_IP_REASM_EVICTED, oldest->received_bytes, now_us);
        remove_datagram(stack, oldest);
    }
    return true;
}

/* The IP header in front of the first fragment is kept: for the whole, and for errors about it. */
static size_t kept_header_bytes(const struct ip_datagram *fragment)
{
    return fragment->header.fragment_offset == 0 ? fragment->header.header_bytes : 0;
}

static size_t block_size_for(const struct ip_datagram *fragment)
{
    return fragment_block_size(kept_header_bytes(fragment), fragment->payload_bytes);
}

static struct reassembly_datagram *add_datagram(struct stack *stack,
                                                struct reassembly_source *source,
                                                const struct reassembly_key *key,
                                                const struct ip_datagram *fragment, uint64_t now_us)
{
    struct reassembly_datagram *datagram = take_block(stack, source, sizeof *datagram);
    if (!datagram)
        return NULL;
    struct reassembly_datagram **bucket = find_bucket(stack, key);
    *datagram = (struct reassembly_datagram){
        .next = *bucket,
        .source = source,
        .key = *key,
        .began_at = now_us,
        .interface = fragment->frame->interface,
    };
    *bucket = datagram;
    TAILQ_INSERT_TAIL(&source->datagrams, datagram, of_source);
    stack->reassembly.count++;
    wheel_arm(&stack->reassembly.wheel, &datagram->timer,
              now_us + stack->settings.ip_reassembly_timeout_us);
    return datagram;
}

/* A new datagram, with room for its first fragment to come; NULL when there is none. */
static struct reassembly_datagram *open_datagram(struct stack *stack,
                                                 const struct reassembly_key *key,
                                                 const struct ip_datagram *fragment,
                                                 uint64_t now_us)
{
    struct reassembly_source *source = open_source(stack, key->source_v4);
    if (!source)
        return NULL;
    size_t bytes = pool_block_bytes(sizeof(struct reassembly_datagram)) +
                   pool_block_bytes(block_size_for(fragment));
    struct reassembly_datagram *datagram = NULL;
    if (make_room(stack, source, NULL, bytes, 1, now_us))
        datagram = add_datagram(stack, source, key, fragment, now_us);
    close_source_unless_used(stack, source);
    return datagram;
}

/* ---- Fitting a fragment in ---- */

/* The fragment that starts last of those that start before a place, or NULL. */
static const struct reassembly_fragment *
find_fragment_before(const struct reassembly_datagram *datagram, size_t end)
{
    for (size_t drawer = (end - 1) / DRAWER_BYTES + 1; drawer-- > 0;)
        for (const struct reassembly_fragment *f = datagram->drawer[drawer]; f; f = f->next)
            if (f->offset < end)
                return f;
    return NULL;
}

static bool is_duplicate(const struct reassembly_fragment *kept, const struct ip_datagram *fragment)
{
    return kept->offset == fragment->header.fragment_offset &&
           kept->size == fragment->payload_bytes &&
           kept->last == !fragment->header.more_fragments &&
           memcmp(kept->bytes + kept->header_bytes, fragment->payload, kept->size) == 0;
}

/* Two ends, or something behind the end? Overlaps have been ruled out. */
static bool contradicts_end(const struct reassembly_datagram *datagram,
                            const struct ip_datagram *fragment)
{
    size_t end = fragment->header.fragment_offset + fragment->payload_bytes;
    if (!fragment->header.more_fragments)
        return datagram->total_bytes != 0 || datagram->extent_bytes > end;
    return datagram->total_bytes != 0 && end > datagram->total_bytes;
}

/* RFC 3168, 5.3: fragments of one datagram are all able to carry ECN, or none is. */
static bool contradicts_ecn(const struct reassembly_datagram *datagram,
                            const struct ip_datagram *fragment)
{
    unsigned seen = datagram->ecn_seen | 1U << (fragment->header.tos & ECN_BITS);
    return (seen & 1) != 0 && seen != 1;
}

/* Why the fragment does not fit what is there, or STACK_COUNTER_COUNT when it does. */
static enum stack_counter find_conflict(const struct reassembly_datagram *datagram,
                                        const struct ip_datagram *fragment)
{
    size_t offset = fragment->header.fragment_offset;
    const struct reassembly_fragment *before =
        find_fragment_before(datagram, offset + fragment->payload_bytes);
    if (before && is_duplicate(before, fragment))
        return STACK_COUNTER_IP_REASM_DUPLICATES;
    if (before && before->offset + before->size > offset)
        return STACK_COUNTER_IP_REASM_OVERLAPS;
    if (contradicts_end(datagram, fragment))
        return STACK_COUNTER_IP_REASM_BAD_ENDS;
    if (contradicts_ecn(datagram, fragment))
        return STACK_COUNTER_IP_REASM_BAD_ECN;
    return STACK_COUNTER_COUNT;
}

/* Drops all of a datagram; the refusal is remembered until its time is over. */
static int refuse_datagram(struct stack *stack, struct reassembly_datagram *datagram,
                           enum stack_counter why, size_t bytes, uint64_t now_us)
{
    bytes += datagram->received_bytes;
    release_fragments(stack, datagram);
    datagram->refused = true;
    return count_failure(stack, why, bytes, now_us);
}

static void place_fragment(struct reassembly_datagram *datagram,
                           struct reassembly_fragment *fragment)
{
    struct reassembly_fragment **link = &datagram->drawer[fragment->offset / DRAWER_BYTES];
    while (*link && (*link)->offset > fragment->offset)
        link = &(*link)->next;
    fragment->next = *link;
    *link = fragment;
    if (fragment->offset == 0)
        datagram->first = fragment;
}

/* Copies a fragment that fits. Returns 0, or -1 without memory. */
static int keep_fragment(struct stack *stack, struct reassembly_datagram *datagram,
                         const struct ip_datagram *fragment)
{
    size_t size = block_size_for(fragment);
    struct reassembly_fragment *kept = take_block(stack, datagram->source, size);
    if (!kept)
        return -1;
    *kept = (struct reassembly_fragment){
        .offset = fragment->header.fragment_offset,
        .size = (uint16_t)fragment->payload_bytes,
        .header_bytes = (uint8_t)kept_header_bytes(fragment),
        .last = !fragment->header.more_fragments,
    };
    memcpy(kept->bytes, fragment->packet, kept->header_bytes);
    memcpy(kept->bytes + kept->header_bytes, fragment->payload, kept->size);
    place_fragment(datagram, kept);
    uint32_t end = (uint32_t)kept->offset + kept->size;
    if (end > datagram->extent_bytes)
        datagram->extent_bytes = end;
    if (kept->last)
        datagram->total_bytes = end;
    datagram->used_bytes += (uint32_t)pool_block_bytes(size);
    datagram->received_bytes += kept->size;
    datagram->fragment_count++;
    datagram->ecn_seen |= (uint8_t)(1U << (fragment->header.tos & ECN_BITS));
    datagram->to_group |= fragment->to_group;
    return 0;
}

/* ---- The whole ---- */

/* Makes the first fragment's header that of the whole. CE in one fragment marks all of it. */
static void adapt_header(uint8_t *header, size_t total_bytes, unsigned ecn_seen)
{
    enum { DONT_FRAGMENT = 0x4000 };
    if (ecn_seen & 1U << ECN_CE)
        header[1] |= ECN_CE;
    bytes_put16(header + 2, (uint16_t)total_bytes);
    bytes_put16(header + 6, bytes_get16(header + 6) & DONT_FRAGMENT);
    ipv4_write_checksum(header);
}

static void copy_fragments(const struct reassembly_datagram *datagram, uint8_t *payload)
{
    for (unsigned i = 0; i < DRAWERS; i++)
        for (const struct reassembly_fragment *f = datagram->drawer[i]; f; f = f->next)
            memcpy(payload + f->offset, f->bytes + f->header_bytes, f->size);
}

/* bytes: a header that has been adapted, and its payload. */
static void describe_whole(const uint8_t *bytes, size_t size, const struct frame *frame,
                           bool to_group, struct ip_datagram *datagram)
{
    *datagram = (struct ip_datagram){.frame = frame, .packet = bytes, .to_group = to_group};
    int error = ipv4_parse(bytes, size, &datagram->header);
    assert(error == 0);
    (void)error;
    datagram->payload = bytes + datagram->header.header_bytes;
    datagram->payload_bytes = size - datagram->header.header_bytes;
    datagram->source = ip_address_from_v4(datagram->header.source_v4);
    datagram->destination = ip_address_from_v4(datagram->header.destination_v4);
    /* Those of the first fragment, which has been refused if they were malformed. */
    uint8_t pointer;
    if (datagram->header.header_bytes > IPV4_HEADER_BYTES)
        ipv4_options_parse(bytes, datagram->header.header_bytes, &datagram->options, &pointer);
}

/* Puts a datagram together and forgets its fragments. Returns 1, or -1 when it was dropped. */
static int assemble(struct stack *stack, struct reassembly_datagram *datagram,
                    const struct frame *frame, struct reassembly_whole *whole, uint64_t now_us)
{
    size_t header_bytes = datagram->first->header_bytes;
    size_t size = header_bytes + datagram->total_bytes;
    if (size > DATAGRAM_BYTES_MAX)
        return refuse_datagram(stack, datagram, STACK_COUNTER_IP_REASM_TOO_LONG, 0, now_us);
    whole->bytes = pool_take(&stack->pool, size);
    if (!whole->bytes) {
        close_datagram(stack, datagram);
        return count_failure(stack, STACK_COUNTER_IP_REASM_NO_ROOM, size, now_us);
    }
    memcpy(whole->bytes, datagram->first->bytes, header_bytes);
    copy_fragments(datagram, whole->bytes + header_bytes);
    adapt_header(whole->bytes, size, datagram->ecn_seen);
    whole->frame = *frame;
    whole->frame.flags = 0;
    whole->frame.segment_bytes = whole->frame.header_bytes = 0;
    describe_whole(whole->bytes, size, &whole->frame, datagram->to_group, &whole->datagram);
    close_datagram(stack, datagram);
    stack_count(stack, STACK_COUNTER_IP_REASM_OKS);
    return 1;
}

void reassembly_release(struct stack *stack, struct reassembly_whole *whole)
{
    pool_give(&stack->pool, whole->bytes, whole->datagram.header.total_bytes);
    whole->bytes = NULL;
}

/* ---- The way in ---- */

/* Takes a fragment into its datagram. Returns 0, or -1 when it was dropped. */
static int take_fragment(struct stack *stack, struct reassembly_datagram *datagram,
                         const struct ip_datagram *fragment, uint64_t now_us)
{
    size_t size = fragment->payload_bytes;
    if (datagram->refused)
        return stack_drop(stack, STACK_COUNTER_IP_REASM_REFUSED, 0, size, now_us);
    enum stack_counter conflict = find_conflict(datagram, fragment);
    if (conflict == STACK_COUNTER_IP_REASM_DUPLICATES)
        return stack_drop(stack, conflict, 0, size, now_us);
    if (conflict != STACK_COUNTER_COUNT)
        return refuse_datagram(stack, datagram, conflict, size, now_us);
    if (make_room(stack, datagram->source, datagram, pool_block_bytes(block_size_for(fragment)), 0,
                  now_us) &&
        keep_fragment(stack, datagram, fragment) == 0)
        return 0;
    if (datagram->fragment_count == 0)
        close_datagram(stack, datagram);
    return count_failure(stack, STACK_COUNTER_IP_REASM_NO_ROOM, size, now_us);
}

int reassembly_input(struct stack *stack, const struct ip_datagram *fragment,
                     struct reassembly_whole *whole, uint64_t now_us)
{
    size_t size = fragment->payload_bytes;
    stack_count(stack, STACK_COUNTER_IP_REASM_REQDS);
    enum stack_counter refusal = reassembly_refusal(fragment);
    if (refusal != STACK_COUNTER_COUNT)
        return count_failure(stack, refusal, size, now_us);
    struct reassembly_key key = {
        .source_v4 = fragment->header.source_v4,
        .destination_v4 = fragment->header.destination_v4,
        .identification = fragment->header.identification,
        .protocol = fragment->header.protocol,
    };
    struct reassembly_datagram *datagram = find_datagram(stack, &key);
    if (!datagram)
        datagram = open_datagram(stack, &key, fragment, now_us);
    if (!datagram)
        return count_failure(stack, STACK_COUNTER_IP_REASM_NO_ROOM, size, now_us);
    if (take_fragment(stack, datagram, fragment, now_us) < 0)
        return -1;
    if (datagram->total_bytes == 0 || datagram->received_bytes < datagram->total_bytes)
        return 0;
    return assemble(stack, datagram, fragment->frame, whole, now_us);
}

/* ---- Time ---- */

/* Tells the sender, which only the first fragment allows (RFC 792, RFC 1122 3.3.2). What a router
   wanted to look into before forwarding is not ours to tell about. */
static void send_time_exceeded(struct stack *stack, const struct reassembly_datagram *datagram,
                               uint64_t now_us)
{
    const struct reassembly_fragment *first = datagram->first;
    struct frame frame = {.interface = datagram->interface};
    struct ip_datagram quoted;
    if (!first || !ip_is_local(stack, datagram->key.destination_v4))
        return;
    describe_whole(first->bytes, (size_t)first->header_bytes + first->size, &frame,
                   datagram->to_group, &quoted);
    icmp_send_error(stack, &quoted, ICMP_TIME_EXCEEDED, ICMP_CODE_REASSEMBLY_EXCEEDED, 0, now_us);
}

static struct reassembly_datagram *datagram_of(struct wheel_timer *timer)
{
    return (struct reassembly_datagram *)((char *)timer -
                                          offsetof(struct reassembly_datagram, timer));
}

void reassembly_expire(struct stack *stack, uint64_t now_us)
{
    struct wheel_timer *timer;
    while (stack->reassembly.count > 0 &&
           (timer = wheel_expire(&stack->reassembly.wheel, now_us)) != NULL) {
        struct reassembly_datagram *datagram = datagram_of(timer);
        if (!datagram->refused) {
            send_time_exceeded(stack, datagram, now_us);
            count_failure(stack, STACK_COUNTER_IP_REASM_TIMEOUT, datagram->received_bytes, now_us);
        }
        close_datagram(stack, datagram);
    }
}

uint64_t reassembly_deadline(const struct stack *stack)
{
    return stack->reassembly.count > 0 ? wheel_deadline(&stack->reassembly.wheel) : UINT64_MAX;
}

void reassembly_close(struct stack *stack)
{
    for (unsigned i = 0; i < REASSEMBLY_BUCKETS; i++)
        while (stack->reassembly.bucket[i])
            close_datagram(stack, stack->reassembly.bucket[i]);
}

/* ---- Looking in ---- */

static uint64_t time_left(uint64_t at_us, uint64_t now_us)
{
    return at_us > now_us ? at_us - now_us : 0;
}

static void describe_waiting(const struct reassembly_datagram *datagram,
                             struct stack_reassembly *entry, uint64_t now_us)
{
    *entry = (struct stack_reassembly){
        .source_v4 = datagram->key.source_v4,
        .destination_v4 = datagram->key.destination_v4,
        .identification = datagram->key.identification,
        .protocol = datagram->key.protocol,
        .interface = datagram->interface,
        .refused = datagram->refused,
        .first_is_here = datagram->first != NULL,
        .fragments = datagram->fragment_count,
        .received_bytes = datagram->received_bytes,
        .total_bytes = datagram->total_bytes,
        .memory_bytes = (uint32_t)pool_block_bytes(sizeof *datagram) + datagram->used_bytes,
        .age_us = now_us - datagram->began_at,
        .left_us = time_left(datagram->timer.at_us, now_us),
    };
}

/* The cursor holds the bucket in its upper half and the place in the bucket's chain in the
   lower. */
bool stack_next_reassembly(const struct stack *stack, uint32_t *cursor,
                           struct stack_reassembly *entry, uint64_t now_us)
{
    for (uint32_t bucket = *cursor >> 16; bucket < REASSEMBLY_BUCKETS; bucket++) {
        const struct reassembly_datagram *found = stack->reassembly.bucket[bucket];
        for (uint32_t place = *cursor & 0xffff; found && place > 0; place--)
            found = found->next;
        if (found) {
            describe_waiting(found, entry, now_us);
            (*cursor)++;
            return true;
        }
        *cursor = (bucket + 1) << 16;
    }
    return false;
}
