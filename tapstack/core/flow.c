/* Connection tracking: who talks with whom, so that the packet filter can ask for a packet's state.

   The table is open-addressed with linear probing and is never more than half full; what is taken
   out is closed up behind, so there are no tombstones. The hash is keyed (SipHash), so that nobody
   outside can aim at one place.

   Memory is bounded by filter.flows_max. A flow is assured once it is more than an attempt: a TCP
   connection when its handshake is complete, UDP when the originator goes on after an answer. At
   the limit the oldest flow that is not assured makes way, so a flood of openings loses only other
   openings; when all are assured, nothing new passes.

   A timer is moved only when it must fire earlier: otherwise it fires, finds that the flow was used
   meanwhile, and is armed again. So a packet of a busy flow touches no timer. */
#include "flow.h"

#include <sodium/crypto_shorthash_siphash24.h>
#include <string.h>

#include "../wire/bytes.h"
#include "../wire/icmp.h"
#include "../wire/ipv4.h"
#include "../wire/tcp.h"
#include "../wire/udp.h"

enum {
    SLOTS_MIN = 64,
    QUOTED_PAYLOAD_MIN = 8, /* octets that every ICMP error quotes (RFC 792) */
};

/* ---- Packets ---- */

void flow_packet_read(struct flow_packet *packet)
{
    const uint8_t *bytes = packet->transport;
    size_t size = packet->later_fragment ? 0 : packet->readable_bytes;
    switch (packet->protocol) {
    case IPV4_PROTOCOL_TCP:
        packet->readable = size >= TCP_HEADER_BYTES;
        if (packet->readable)
            packet->tcp_flags = bytes[13];
        break;
    case IPV4_PROTOCOL_UDP:
        packet->readable = size >= UDP_HEADER_BYTES;
        break;
    case IPV4_PROTOCOL_ICMP:
        packet->readable = size >= ICMP_HEADER_BYTES;
        if (packet->readable) {
            packet->icmp_type = bytes[0];
            packet->icmp_code = bytes[1];
        }
        return;
    default:
        return;
    }
    if (packet->readable) {
        packet->source_port = bytes_get16(bytes);
        packet->destination_port = bytes_get16(bytes + 2);
    }
}

/* The query that an ICMP message asks or answers; -1 when it is neither. */
static int icmp_query(uint8_t type, bool *is_reply)
{
    *is_reply = false;
    switch (type) {
    case ICMP_ECHO_REQUEST:
    case ICMP_TIMESTAMP_REQUEST:
    case ICMP_INFORMATION_REQUEST:
    case ICMP_ADDRESS_MASK_REQUEST:
        return type;
    case ICMP_ECHO_REPLY:
        *is_reply = true;
        return ICMP_ECHO_REQUEST;
    case ICMP_TIMESTAMP_REPLY:
    case ICMP_INFORMATION_REPLY:
    case ICMP_ADDRESS_MASK_REPLY:
        *is_reply = true;
        return type - 1;
    default:
        return -1;
    }
}

/* ---- Keys ---- */

static uint32_t key_hash(const struct flow_table *table, const struct flow_key *key)
{
    uint8_t out[crypto_shorthash_siphash24_BYTES];
    crypto_shorthash_siphash24(out, (const uint8_t *)key, sizeof *key, table->key);
    uint32_t hash;
    memcpy(&hash, out, sizeof hash);
    return hash;
}

/* Puts the two ends in order. Returns which of them is the source. */
static uint8_t key_order(struct flow_key *key, uint8_t protocol, uint32_t source,
                         uint16_t source_port, uint32_t destination, uint16_t destination_port)
{
    uint8_t at = source > destination || (source == destination && source_port > destination_port);
    key->protocol = protocol;
    key->address[at] = source;
    key->port[at] = source_port;
    key->address[!at] = destination;
    key->port[!at] = destination_port;
    return at;
}

/* The key of a packet of which the first eight bytes of payload are there. Returns which end is the
   source, or -1: such a packet belongs to no flow. is_reply: it can only answer.

   The two ends of an ICMP query have the identifier and the type of the question for their ports,
   so that both may ask each other at once. */
static int key_make(const struct flow_packet *packet, struct flow_key *key, bool *is_reply)
{
    const uint8_t *bytes = packet->transport;
    uint16_t source_port = 0, destination_port = 0;
    *is_reply = false;
    if (packet->protocol == IPV4_PROTOCOL_TCP || packet->protocol == IPV4_PROTOCOL_UDP) {
        source_port = bytes_get16(bytes);
        destination_port = bytes_get16(bytes + 2);
    } else if (packet->protocol == IPV4_PROTOCOL_ICMP) {
        int query = icmp_query(bytes[0], is_reply);
        if (query < 0)
            return -1;
        source_port = *is_reply ? (uint16_t)query : bytes_get16(bytes + 4);
        destination_port = *is_reply ? bytes_get16(bytes + 4) : (uint16_t)query;
    }
    return key_order(key, packet->protocol, packet->source_v4, source_port, packet->destination_v4,
                     destination_port);
}

/* ---- The table ---- */

static struct flow *table_find(const struct flow_table *table, const struct flow_key *key,
                               uint32_t hash)
{
    uint32_t mask = table->capacity - 1;
    struct flow *flow;
    for (uint32_t at = hash & mask; (flow = table->slot[at]) != NULL; at = (at + 1) & mask)
        if (flow->hash == hash && memcmp(&flow->key, key, sizeof *key) == 0)
            return flow;
    return NULL;
}

static void table_place(struct flow_table *table, struct flow *flow)
{
    uint32_t mask = table->capacity - 1, at = flow->hash & mask;
    while (table->slot[at])
        at = (at + 1) & mask;
    table->slot[at] = flow;
}

/* Closes the gap: every flow behind it that may stand there moves up. */
static void table_remove(struct flow_table *table, const struct flow *flow)
{
    uint32_t mask = table->capacity - 1, hole = flow->hash & mask;
    struct flow *other;
    while (table->slot[hole] != flow)
        hole = (hole + 1) & mask;
    for (uint32_t at = (hole + 1) & mask; (other = table->slot[at]) != NULL; at = (at + 1) & mask)
        if (((at - other->hash) & mask) >= ((at - hole) & mask)) {
            table->slot[hole] = other;
            hole = at;
        }
    table->slot[hole] = NULL;
}

static void flow_destroy(struct flow_table *table, struct flow *flow)
{
    table_remove(table, flow);
    wheel_cancel(&table->wheel, &flow->timer);
    if (!flow->assured)
        TAILQ_REMOVE(&table->unassured, flow, age);
    table->count--;
    pool_give(table->pool, flow, sizeof *flow);
}

static struct flow *flow_create(struct flow_table *table, const struct flow_key *key, uint32_t hash,
                                uint8_t originator)
{
    struct flow *flow = pool_take(table->pool, sizeof *flow);
    if (!flow)
        return NULL;
    memset(flow, 0, sizeof *flow);
    flow->key = *key;
    flow->hash = hash;
    flow->originator = originator;
    table_place(table, flow);
    TAILQ_INSERT_TAIL(&table->unassured, flow, age);
    table->count++;
    return flow;
}

static bool table_is_full(const struct flow_table *table)
{
    return table->count >= table->settings->filter_flows_max || table->count >= table->capacity / 2;
}

void flow_open(struct flow_table *table, struct pool *pool, const struct stack_settings *settings,
               const uint8_t *key, uint64_t now_us)
{
    table->pool = pool;
    table->settings = settings;
    table->key = key;
    table->slot = NULL;
    table->capacity = table->count = 0;
    wheel_open(&table->wheel, now_us);
    TAILQ_INIT(&table->unassured);
}

int flow_start(struct flow_table *table)
{
    uint32_t wanted = SLOTS_MIN, old_capacity = table->capacity;
    while (wanted / 2 < table->settings->filter_flows_max || wanted / 2 < table->count)
        wanted *= 2;
    if (wanted == old_capacity)
        return 0;
    struct flow **old = table->slot, **slot = pool_take(table->pool, wanted * sizeof(*slot));
    if (!slot)
        return STACK_NO_MEMORY;
    memset(slot, 0, wanted * sizeof(*slot));
    table->slot = slot;
    table->capacity = wanted;
    for (uint32_t i = 0; i < old_capacity; i++)
        if (old[i])
            table_place(table, old[i]);
    pool_give(table->pool, old, old_capacity * sizeof(*slot));
    return 0;
}

void flow_clear(struct flow_table *table)
{
    for (uint32_t i = 0; i < table->capacity; i++)
        while (table->slot[i]) /* another may move up */
            flow_destroy(table, table->slot[i]);
}

void flow_stop(struct flow_table *table)
{
    flow_clear(table);
    pool_give(table->pool, table->slot, table->capacity * sizeof(*table->slot));
    table->slot = NULL;
    table->capacity = 0;
}

/* ---- Judging ---- */

static bool icmp_is_error(const struct flow_packet *packet)
{
    return packet->protocol == IPV4_PROTOCOL_ICMP && icmp_type_is_error(packet->icmp_type);
}

/* An ICMP error is related when it quotes a packet of a known flow and goes to who sent that. */
static enum flow_state judge_error(const struct flow_table *table, const struct flow_packet *error)
{
    const uint8_t *quote = error->transport + ICMP_HEADER_BYTES;
    size_t size = error->readable_bytes - ICMP_HEADER_BYTES;
    struct flow_key key;
    bool is_reply;
    if (size < IPV4_HEADER_BYTES || quote[0] >> 4 != 4 || (bytes_get16(quote + 6) & 0x1fff) != 0)
        return FLOW_INVALID;
    size_t header_bytes = (quote[0] & 15) * 4U;
    if (header_bytes < IPV4_HEADER_BYTES || size < header_bytes + QUOTED_PAYLOAD_MIN)
        return FLOW_INVALID;
    struct flow_packet quoted = {
        .source_v4 = bytes_get32(quote + 12),
        .destination_v4 = bytes_get32(quote + 16),
        .protocol = quote[9],
        .transport = quote + header_bytes,
    };
    if (quoted.source_v4 != error->destination_v4 || key_make(&quoted, &key, &is_reply) < 0 ||
        !table_find(table, &key, key_hash(table, &key)))
        return FLOW_INVALID;
    return FLOW_RELATED;
}

static enum flow_state judge_query(const struct flow_look *look, bool is_reply)
{
    if (!look->flow)
        return is_reply ? FLOW_INVALID : FLOW_NEW;
    return look->flow->replied || look->way == 1 ? FLOW_ESTABLISHED : FLOW_NEW;
}

static bool packet_has_key(const struct flow_packet *packet)
{
    bool needs_header = packet->protocol == IPV4_PROTOCOL_TCP ||
                        packet->protocol == IPV4_PROTOCOL_UDP ||
                        packet->protocol == IPV4_PROTOCOL_ICMP;
    return !packet->later_fragment && (packet->readable || !needs_header);
}

static enum flow_state judge_packet(const struct flow_table *table,
                                    const struct flow_packet *packet, bool from_us,
                                    struct flow_look *look)
{
    bool is_reply;
    if (!packet_has_key(packet))
        return FLOW_INVALID;
    if (icmp_is_error(packet))
        return from_us ? FLOW_RELATED : judge_error(table, packet);
    int source = key_make(packet, &look->key, &is_reply);
    if (source < 0)
        return FLOW_INVALID;
    look->source = (uint8_t)source;
    look->hash = key_hash(table, &look->key);
    look->flow = table_find(table, &look->key, look->hash);
    look->way = look->flow && look->flow->originator != look->source;
    if (packet->protocol == IPV4_PROTOCOL_TCP)
        return flow_tcp_judge(table, packet, look);
    return judge_query(look, is_reply);
}

enum flow_state flow_judge(const struct flow_table *table, const struct flow_packet *packet,
                           bool from_us, struct flow_look *look)
{
    memset(look, 0, sizeof *look);
    look->state = (uint8_t)judge_packet(table, packet, from_us, look);
    return look->state;
}

/* ---- Committing ---- */

static uint64_t tcp_timeout(const struct stack_settings *settings, uint8_t state)
{
    switch (state) {
    case FLOW_TCP_SYN_SENT:
    case FLOW_TCP_SYN_RECEIVED:
        return settings->filter_tcp_opening_us;
    case FLOW_TCP_ESTABLISHED:
        return settings->filter_tcp_established_us;
    case FLOW_TCP_CLOSED:
        return settings->filter_tcp_reset_us;
    default:
        return settings->filter_tcp_closing_us;
    }
}

static uint64_t flow_timeout(const struct flow_table *table, const struct flow *flow)
{
    const struct stack_settings *settings = table->settings;
    switch (flow->key.protocol) {
    case IPV4_PROTOCOL_TCP:
        return tcp_timeout(settings, flow->tcp);
    case IPV4_PROTOCOL_UDP:
        return flow->assured ? settings->filter_udp_assured_us : settings->filter_udp_us;
    case IPV4_PROTOCOL_ICMP:
        return settings->filter_icmp_us;
    default:
        return settings->filter_other_us;
    }
}

static void flow_set_expiry(struct flow_table *table, struct flow *flow, uint64_t now_us)
{
    flow->expires_at = now_us + flow_timeout(table, flow);
    if (!wheel_is_armed(&flow->timer) || flow->expires_at < flow->timer.at_us)
        wheel_arm(&table->wheel, &flow->timer, flow->expires_at);
}

static void flow_assure(struct flow_table *table, struct flow *flow)
{
    if (flow->assured)
        return;
    flow->assured = true;
    TAILQ_REMOVE(&table->unassured, flow, age);
}

/* Makes room for another flow. Returns as flow_commit. */
static int table_make_room(struct flow_table *table)
{
    if (!table_is_full(table))
        return 0;
    struct flow *oldest = TAILQ_FIRST(&table->unassured);
    if (!oldest)
        return -1;
    flow_destroy(table, oldest);
    return 1;
}

/* Moves an existing flow on by a packet. */
static void flow_use(struct flow_table *table, struct flow *flow, const struct flow_packet *packet,
                     const struct flow_look *look, uint64_t now_us)
{
    struct flow_side *side = &flow->side[look->way];
    bool answered_before = flow->replied;
    bool was_closed = flow->tcp == FLOW_TCP_CLOSED;
    side->packets++;
    side->bytes += packet->transport_bytes;
    if (look->way == 1)
        flow->replied = true;
    if (packet->protocol == IPV4_PROTOCOL_TCP) {
        flow_tcp_commit(flow, packet, look);
        if (flow->tcp >= FLOW_TCP_ESTABLISHED && flow->tcp != FLOW_TCP_CLOSED)
            flow_assure(table, flow);
        if (was_closed)
            return; /* the rest of a connection that was reset keeps nothing alive */
    } else if (packet->protocol == IPV4_PROTOCOL_UDP && look->way == 0 && answered_before) {
        flow_assure(table, flow);
    }
    flow_set_expiry(table, flow, now_us);
}

int flow_commit(struct flow_table *table, const struct flow_packet *packet,
                const struct flow_look *look, uint64_t now_us)
{
    struct flow *flow = look->flow;
    int result = 0;
    if (look->state != FLOW_NEW && (look->state != FLOW_ESTABLISHED || !flow))
        return 0;
    if (flow && look->renews) {
        flow_destroy(table, flow);
        flow = NULL;
    }
    if (!flow) {
        result = table_make_room(table);
        flow = result >= 0 ? flow_create(table, &look->key, look->hash, look->source) : NULL;
        if (!flow)
            return -1;
    }
    flow_use(table, flow, packet, look, now_us);
    return result;
}

void flow_adopt(struct flow_table *table, const struct stack_endpoint *first,
                const struct stack_endpoint *second, uint64_t now_us)
{
    struct flow_key key;
    uint8_t originator = key_order(&key, IPV4_PROTOCOL_TCP, ip_address_to_v4(&first->address),
                                   first->port, ip_address_to_v4(&second->address), second->port);
    uint32_t hash = key_hash(table, &key);
    if (table_is_full(table) || table_find(table, &key, hash))
        return;
    struct flow *flow = flow_create(table, &key, hash, originator);
    if (!flow)
        return;
    flow->tcp = FLOW_TCP_ESTABLISHED;
    flow->replied = flow->liberal = true;
    flow_assure(table, flow);
    flow_set_expiry(table, flow, now_us);
}

void flow_expire(struct flow_table *table, uint64_t now_us)
{
    struct wheel_timer *timer;
    while ((timer = wheel_expire(&table->wheel, now_us)) != NULL) {
        struct flow *flow = (struct flow *)((char *)timer - offsetof(struct flow, timer));
        if (flow->expires_at > now_us)
            wheel_arm(&table->wheel, &flow->timer, flow->expires_at);
        else
            flow_destroy(table, flow);
    }
}
