/* Probes: echo requests and UDP datagrams sent to see what comes back, as ping and traceroute do.

   A prober is one who asks: it has an ICMP identifier (from which its UDP port follows) that nobody
   can guess, and slots for its probes under way, by sequence number. An answer is matched by
   identifier or port, sequence number and destination, timed, and put into the prober's ring of
   answers until it is fetched. A slot keeps what was asked until another probe needs it, so that a
   duplicate or a late answer is known as such. Timeouts are found when answers are fetched: they
   need no timer. */
#include "probe.h"

#include <string.h>

#include "../wire/checksum.h"
#include "state.h"

enum { PAYLOAD_BYTES_MAX = 65535 - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES };

/* ---- Probers ---- */

static struct prober *probe_prober(const struct stack *stack, int handle)
{
    return handle > 0 && handle <= PROBERS_MAX ? stack->probes.prober[handle - 1] : NULL;
}

static bool probe_identifier_taken(const struct stack *stack, uint16_t identifier)
{
    for (unsigned i = 0; i < PROBERS_MAX; i++) {
        const struct prober *prober = stack->probes.prober[i];
        if (prober && ((prober->identifier ^ identifier) | PROBE_OUR_PORT) == PROBE_OUR_PORT)
            return true;
    }
    return false;
}

int stack_probe_open(struct stack *stack)
{
    int free = 0;
    while (free < PROBERS_MAX && stack->probes.prober[free])
        free++;
    struct prober *prober = free < PROBERS_MAX ? pool_take(&stack->pool, sizeof *prober) : NULL;
    if (!prober)
        return STACK_NO_MEMORY;
    memset(prober, 0, sizeof *prober);
    do
        prober->identifier = (uint16_t)stack_random32(stack);
    while (probe_identifier_taken(stack, prober->identifier));
    stack->probes.prober[free] = prober;
    return free + 1;
}

void stack_probe_close(struct stack *stack, int handle)
{
    struct prober *prober = probe_prober(stack, handle);
    if (!prober)
        return;
    stack->probes.prober[handle - 1] = NULL;
    pool_give(&stack->pool, prober, sizeof *prober);
}

void probe_close_all(struct stack *stack)
{
    for (int handle = 1; handle <= PROBERS_MAX; handle++)
        stack_probe_close(stack, handle);
}

static struct probe_slot *probe_slot(struct prober *prober, uint16_t sequence)
{
    return &prober->slot[sequence % PROBE_SLOTS];
}

/* ---- Answers ---- */

/* Puts an answer to a slot's probe into the ring. Returns false when the ring is full. */
static bool probe_answer_add(struct prober *prober, const struct probe_slot *slot,
                             struct stack_probe_answer answer, uint64_t now_us)
{
    if (prober->answer_count == PROBE_ANSWERS)
        return false;
    answer.sequence = slot->sequence;
    answer.probe_ttl = slot->ttl;
    answer.rtt_us = now_us - slot->sent_at;
    answer.late = slot->state == PROBE_LOST;
    prober->answer[(prober->answer_first + prober->answer_count++) % PROBE_ANSWERS] = answer;
    return true;
}

static uint8_t probe_pattern(const struct probe_slot *slot, size_t at)
{
    return slot->pattern < 0 ? (uint8_t)at : (uint8_t)slot->pattern;
}

static bool probe_is_damaged(const struct probe_slot *slot, const uint8_t *payload, size_t size)
{
    if (size != slot->payload_bytes)
        return true;
    for (size_t i = 0; i < size; i++)
        if (payload[i] != probe_pattern(slot, i))
            return true;
    return false;
}

/* The prober's probe of this kind to this destination in the slot of a sequence number, or NULL. */
static struct probe_slot *probe_find(struct prober *prober, uint16_t sequence,
                                     enum stack_probe_kind kind, uint32_t destination_v4)
{
    struct probe_slot *slot = probe_slot(prober, sequence);
    return slot->state != PROBE_FREE && slot->kind == kind && slot->destination_v4 == destination_v4
               ? slot
               : NULL;
}

static struct prober *probe_by_identifier(const struct stack *stack, uint16_t identifier)
{
    for (unsigned i = 0; i < PROBERS_MAX; i++)
        if (stack->probes.prober[i] && stack->probes.prober[i]->identifier == identifier)
            return stack->probes.prober[i];
    return NULL;
}

static struct prober *probe_by_port(const struct stack *stack, uint16_t port)
{
    for (unsigned i = 0; i < PROBERS_MAX; i++)
        if (stack->probes.prober[i] &&
            (stack->probes.prober[i]->identifier | PROBE_OUR_PORT) == port)
            return stack->probes.prober[i];
    return NULL;
}

/* The answer that a probe wanted. Returns false when it cannot be kept. */
static bool probe_reply(struct prober *prober, struct probe_slot *slot,
                        const struct ip_datagram *datagram, bool damaged, uint64_t now_us)
{
    bool again = slot->state == PROBE_ANSWERED;
    struct stack_probe_answer answer = {
        .outcome = again ? STACK_PROBE_DUPLICATE : STACK_PROBE_REPLY,
        .from_v4 = datagram->header.source_v4,
        .ttl = datagram->header.ttl,
        .bytes = (uint16_t)datagram->payload_bytes,
        .damaged = damaged,
    };
    bool added = probe_answer_add(prober, slot, answer, now_us);
    slot->state = PROBE_ANSWERED;
    return added;
}

int probe_echo_reply(struct stack *stack, const struct ip_datagram *datagram,
                     const struct icmp_header *icmp, uint64_t now_us)
{
    uint16_t sequence = icmp->rest & 0xffff;
    struct prober *prober = probe_by_identifier(stack, (uint16_t)(icmp->rest >> 16));
    struct probe_slot *slot =
        prober ? probe_find(prober, sequence, STACK_PROBE_ECHO, datagram->header.source_v4) : NULL;
    bool damaged = slot && probe_is_damaged(slot, datagram->payload + ICMP_HEADER_BYTES,
                                            datagram->payload_bytes - ICMP_HEADER_BYTES);
    if (!slot || slot->sequence != sequence ||
        !probe_reply(prober, slot, datagram, damaged, now_us))
        return stack_drop(stack, STACK_COUNTER_ICMP_IN_IGNORED, 0, datagram->payload_bytes, now_us);
    return 0;
}

bool probe_udp_reply(struct stack *stack, const struct ip_datagram *datagram,
                     const struct udp_header *header, uint64_t now_us)
{
    uint16_t sequence = (uint16_t)(header->source_port - PROBE_UDP_PORT);
    struct prober *prober = probe_by_port(stack, header->destination_port);
    struct probe_slot *slot =
        prober && sequence < PROBE_SLOTS
            ? probe_find(prober, sequence, STACK_PROBE_UDP, datagram->header.source_v4)
            : NULL;
    return slot && probe_reply(prober, slot, datagram, false, now_us);
}

/* The probe that a quoted datagram of ours is, or NULL. */
static struct probe_slot *probe_quoted(const struct stack *stack, const struct ipv4_header *quoted,
                                       const uint8_t *payload, struct prober **prober)
{
    bool udp = quoted->protocol == IPV4_PROTOCOL_UDP;
    if (!udp && (quoted->protocol != IPV4_PROTOCOL_ICMP || payload[0] != ICMP_ECHO_REQUEST))
        return NULL;
    *prober = udp ? probe_by_port(stack, bytes_get16(payload))
                  : probe_by_identifier(stack, bytes_get16(payload + 4));
    uint16_t number = bytes_get16(payload + (udp ? 2 : 6));
    if (udp)
        number = (uint16_t)(number - PROBE_UDP_PORT);
    if (!*prober || (udp && number >= PROBE_SLOTS))
        return NULL;
    struct probe_slot *slot = probe_find(*prober, number, udp ? STACK_PROBE_UDP : STACK_PROBE_ECHO,
                                         quoted->destination_v4);
    return slot && (udp || slot->sequence == number) ? slot : NULL;
}

/* A router on the way has no room for this probe: all learn of it. */
static uint16_t probe_too_big(struct stack *stack, const struct probe_slot *slot,
                              const struct icmp_header *icmp, const struct ipv4_header *quoted,
                              uint64_t now_us)
{
    uint16_t sent = (uint16_t)(IPV4_HEADER_BYTES + ICMP_HEADER_BYTES + slot->payload_bytes);
    uint16_t claimed = pmtu_claimed(icmp, quoted, sent);
    if (claimed && slot->dont_fragment && stack->settings.ip_pmtu_discovery)
        pmtu_lower(stack, slot->destination_v4, claimed, now_us);
    return claimed;
}

bool probe_error(struct stack *stack, uint32_t from_v4, uint8_t ttl, const struct icmp_header *icmp,
                 const struct ipv4_header *quoted, const uint8_t *quoted_payload, uint64_t now_us)
{
    struct prober *prober;
    struct probe_slot *slot = probe_quoted(stack, quoted, quoted_payload, &prober);
    if (!slot || slot->state == PROBE_ANSWERED)
        return false;
    struct stack_probe_answer answer = {
        .outcome = STACK_PROBE_ERROR,
        .from_v4 = from_v4,
        .ttl = ttl,
        .type = icmp->type,
        .code = icmp->code,
    };
    if (icmp->type == ICMP_DESTINATION_UNREACHABLE && icmp->code == ICMP_CODE_FRAGMENTATION_NEEDED)
        answer.mtu = probe_too_big(stack, slot, icmp, quoted, now_us);
    bool added = probe_answer_add(prober, slot, answer, now_us);
    slot->state = PROBE_ANSWERED;
    return added;
}

/* ---- Sending ---- */

/* Writes header and payload of the message of a slot. */
static void probe_write(const struct prober *prober, const struct probe_slot *slot,
                        uint32_t source_v4, uint8_t *message)
{
    size_t size = slot->payload_bytes;
    for (size_t i = 0; i < size; i++)
        message[ICMP_HEADER_BYTES + i] = probe_pattern(slot, i);
    if (slot->kind == STACK_PROBE_ECHO) {
        uint32_t rest = (uint32_t)prober->identifier << 16 | slot->sequence;
        icmp_write(&(struct icmp_header){.type = ICMP_ECHO_REQUEST, .rest = rest}, message, size);
        return;
    }
    struct ip_address source = ip_address_from_v4(source_v4);
    struct ip_address destination = ip_address_from_v4(slot->destination_v4);
    bytes_put16(message, prober->identifier | PROBE_OUR_PORT);
    bytes_put16(message + 2, (uint16_t)(PROBE_UDP_PORT + slot->sequence % PROBE_SLOTS));
    bytes_put16(message + 4, (uint16_t)(UDP_HEADER_BYTES + size));
    bytes_put16(message + 6, 0);
    uint32_t sum =
        checksum_add_pseudo(0, &source, &destination, IPV4_PROTOCOL_UDP, UDP_HEADER_BYTES + size);
    uint16_t checksum = checksum_finish(checksum_add(sum, message, UDP_HEADER_BYTES + size));
    bytes_put16(message + 6, checksum ? checksum : 0xffff);
}

static int probe_transmit(struct stack *stack, const struct prober *prober,
                          const struct probe_slot *slot, uint8_t tos, uint32_t source_v4,
                          uint64_t now_us)
{
    struct packet *packet = NULL;
    if (stack->out.count < PACKET_QUEUE_MAX)
        packet = packet_create(&stack->pool,
                               IP_PAYLOAD_OFFSET + ICMP_HEADER_BYTES + slot->payload_bytes);
    if (!packet)
        return STACK_NO_MEMORY;
    bool echo = slot->kind == STACK_PROBE_ECHO;
    struct ip_send send = {
        .source_v4 = source_v4,
        .destination_v4 = slot->destination_v4,
        .protocol = echo ? IPV4_PROTOCOL_ICMP : IPV4_PROTOCOL_UDP,
        .ttl = slot->ttl,
        .tos = tos,
        .dont_fragment = slot->dont_fragment,
    };
    send.identification = ip_message_identification(
        stack, source_v4, slot->destination_v4, send.protocol,
        IPV4_HEADER_BYTES + ICMP_HEADER_BYTES + (size_t)slot->payload_bytes);
    probe_write(prober, slot, source_v4, packet->bytes + IP_PAYLOAD_OFFSET);
    stack_count(stack, echo ? STACK_COUNTER_ICMP_OUT_ECHOS : STACK_COUNTER_UDP_OUT_DATAGRAMS);
    if (echo)
        stack_count(stack, STACK_COUNTER_ICMP_OUT_MSGS);
    if (ip_output(stack, &packet->frame, packet->bytes, &send, now_us) == 1)
        stack_queue_packet(stack, packet);
    else
        packet_destroy(&stack->pool, packet); /* a copy waits, or it is lost as on a wire */
    return 0;
}

/* A probe with DF that is too big for what is known of the path never leaves. */
static bool probe_fits(const struct stack *stack, const struct probe_slot *slot, uint16_t *mtu)
{
    *mtu = pmtu_find(stack, slot->destination_v4).mtu_bytes;
    return !slot->dont_fragment ||
           IPV4_HEADER_BYTES + ICMP_HEADER_BYTES + (size_t)slot->payload_bytes <= *mtu;
}

int stack_probe_send(struct stack *stack, int handle, const struct stack_probe *probe,
                     uint64_t now_us)
{
    uint32_t source_v4;
    unsigned interface;
    uint16_t mtu;
    struct prober *prober = probe_prober(stack, handle);
    if (!prober)
        return STACK_BAD_HANDLE;
    if (probe->payload_bytes > PAYLOAD_BYTES_MAX || probe->timeout_us == 0 || probe->pattern > 255)
        return STACK_INVALID;
    if (ip_choose_source(stack, probe->destination_v4, &source_v4, &interface) != 0)
        return STACK_NO_ROUTE;
    struct probe_slot *slot = probe_slot(prober, prober->next_sequence);
    if (slot->state == PROBE_WAITING && slot->expires_at > now_us)
        return STACK_AGAIN;
    *slot = (struct probe_slot){
        .sent_at = now_us,
        .expires_at = now_us + probe->timeout_us,
        .destination_v4 = probe->destination_v4,
        .sequence = prober->next_sequence++,
        .payload_bytes = probe->payload_bytes,
        .state = PROBE_WAITING,
        .kind = probe->kind,
        .ttl = probe->ttl ? probe->ttl : (uint8_t)stack->settings.ip_ttl,
        .pattern = probe->pattern,
        .dont_fragment = probe->dont_fragment,
    };
    if (probe_fits(stack, slot, &mtu)) {
        int error = probe_transmit(stack, prober, slot, probe->tos, source_v4, now_us);
        if (error)
            slot->state = PROBE_FREE;
        return error ? error : slot->sequence;
    }
    slot->state = PROBE_ANSWERED;
    probe_answer_add(prober, slot,
                     (struct stack_probe_answer){
                         .outcome = STACK_PROBE_ERROR,
                         .type = ICMP_DESTINATION_UNREACHABLE,
                         .code = ICMP_CODE_FRAGMENTATION_NEEDED,
                         .mtu = mtu,
                     },
                     now_us);
    return slot->sequence;
}

/* ---- Fetching ---- */

/* Marks what has waited long enough; the oldest first. */
static void probe_expire(struct prober *prober, uint64_t now_us)
{
    for (unsigned i = 0; i < PROBE_SLOTS; i++) {
        struct probe_slot *slot = probe_slot(prober, (uint16_t)(prober->next_sequence + i));
        if (slot->state != PROBE_WAITING || slot->expires_at > now_us)
            continue;
        if (!probe_answer_add(prober, slot,
                              (struct stack_probe_answer){.outcome = STACK_PROBE_TIMED_OUT},
                              now_us))
            return;
        slot->state = PROBE_LOST;
    }
}

bool stack_probe_next(struct stack *stack, int handle, struct stack_probe_answer *answer,
                      uint64_t now_us)
{
    struct prober *prober = probe_prober(stack, handle);
    if (!prober)
        return false;
    if (prober->answer_count == 0)
        probe_expire(prober, now_us);
    if (prober->answer_count == 0)
        return false;
    *answer = prober->answer[prober->answer_first];
    prober->answer_first = (prober->answer_first + 1) % PROBE_ANSWERS;
    prober->answer_count--;
    return true;
}
