/* The packet filter: rules against packets, and what becomes of those that may not pass.

   A packet is read once into a key of four words (struct filter_key); a rule is an entry of one
   cache line that says which bits of each word it cares for, and which it wants:

       traits       one bit each for the interface in, the interface out and the state. An entry
                    has the bits that it refuses, so that sets and their opposites cost nothing
       source, destination       under a mask; the outcome is turned round for `not`
       kind         protocol, TCP flags or ICMP type, ICMP code, and two bits: the transport header
                    could be read, and it has ports. Under a mask
       ports        as a first one and a width, in 16-bit arithmetic that wraps; so the opposite of
                    a range is a range too

   A criterion that is not given is a mask of zero or a width of 65535, and all are computed without
   a branch. A short list is tried entry by entry; a longer one has an index (filter_index.c) that
   leaves the few entries worth trying. */
#include "filter.h"

#include <string.h>

#include "../wire/ethernet.h"
#include "../wire/icmp.h"
#include "state.h"

enum {
    TRAIT_IN = 0,    /* first bit of the interfaces in */
    TRAIT_OUT = 30,  /* ... out */
    TRAIT_NONE = 29, /* in the place of an interface: there is none */
    TRAIT_STATE = 60,
    KIND_READABLE = 1 << 24, /* the transport header is whole */
    KIND_PORTS = 1 << 25,    /* and has ports */
    KIND_DETAIL = 8,         /* shift of TCP flags or ICMP type */
    KIND_CODE = 16,          /* shift of the ICMP code */
    PORTS_ALL = 65535,
};

_Static_assert((int)STACK_INTERFACES_MAX <= (int)TRAIT_NONE, "an interface has a bit");

struct filter_entry {
    uint64_t refused; /* traits */
    uint32_t source, source_mask;
    uint32_t destination, destination_mask;
    uint32_t kind, kind_mask;
    uint16_t source_port, source_ports; /* first, and how many more */
    uint16_t destination_port, destination_ports;
    uint8_t not_source, not_destination; /* 0 or 1 */
    uint8_t target, answer;
    uint32_t reserved;
    uint64_t packets, bytes;
};

_Static_assert(sizeof(struct filter_entry) == 64, "an entry is a cache line");

size_t filter_entries_bytes(uint32_t count) { return count * sizeof(struct filter_entry); }

void filter_counters(const struct filter_list *list, uint32_t at, uint64_t *packets,
                     uint64_t *bytes)
{
    *packets = list->entry[at].packets;
    *bytes = list->entry[at].bytes;
}

/* ---- From a rule to an entry ---- */

/* The interfaces that a criterion refuses, as bits from 0 on. */
static uint64_t refused_interfaces(const struct stack *stack, const char *name, bool negated)
{
    uint64_t named = 0, all = (UINT64_C(1) << (TRAIT_OUT - TRAIT_IN)) - 1;
    for (unsigned i = 0; i < stack->interface_count; i++)
        if (strcmp(stack->interface[i].name, name) == 0)
            named |= UINT64_C(1) << i;
    return negated ? named : all & ~named;
}

static uint64_t refused_traits(const struct stack *stack, const struct filter_rule *rule)
{
    uint64_t refused = 0;
    if (rule->given & FILTER_HAS_IN)
        refused |= refused_interfaces(stack, rule->in, rule->negated & FILTER_HAS_IN) << TRAIT_IN;
    if (rule->given & FILTER_HAS_OUT)
        refused |= refused_interfaces(stack, rule->out, rule->negated & FILTER_HAS_OUT)
                   << TRAIT_OUT;
    if (rule->given & FILTER_HAS_STATE)
        refused |= (uint64_t)(FLOW_STATES_ALL & ~rule->states) << TRAIT_STATE;
    return refused;
}

static void compile_kind(const struct filter_rule *rule, struct filter_entry *entry)
{
    if (rule->given & FILTER_HAS_PROTOCOL) {
        entry->kind |= rule->protocol;
        entry->kind_mask |= 0xff;
    }
    if (rule->given & FILTER_HAS_FLAGS) {
        entry->kind |= (uint32_t)rule->flags << KIND_DETAIL;
        entry->kind_mask |= (uint32_t)rule->flags_mask << KIND_DETAIL;
    }
    if (rule->given & FILTER_HAS_TYPE) {
        entry->kind |= (uint32_t)rule->type << KIND_DETAIL;
        entry->kind_mask |= UINT32_C(0xff) << KIND_DETAIL;
    }
    if (rule->given & FILTER_HAS_CODE) {
        entry->kind |= (uint32_t)rule->code << KIND_CODE;
        entry->kind_mask |= UINT32_C(0xff) << KIND_CODE;
    }
    uint32_t needs = 0;
    if (rule->given & (FILTER_HAS_FLAGS | FILTER_HAS_TYPE))
        needs |= KIND_READABLE;
    if (rule->given & (FILTER_HAS_SOURCE_PORT | FILTER_HAS_DESTINATION_PORT))
        needs |= KIND_PORTS;
    entry->kind |= needs;
    entry->kind_mask |= needs;
}

static void compile_ports(bool given, bool negated, const struct filter_ports *ports,
                          uint16_t *first, uint16_t *more)
{
    uint16_t width = (uint16_t)(ports->last - ports->first);
    *first = 0;
    *more = PORTS_ALL;
    if (given && !negated) {
        *first = ports->first;
        *more = width;
    } else if (given && width < PORTS_ALL) {
        *first = (uint16_t)(ports->last + 1);
        *more = (uint16_t)(PORTS_ALL - width - 1);
    }
}

static uint32_t prefix_mask(const struct filter_address *address)
{
    return address->prefix_bits ? UINT32_MAX << (32 - address->prefix_bits) : 0;
}

void filter_compile(const struct stack *stack, struct filter_list *list, uint32_t at, bool fresh)
{
    const struct filter_rule *rule = &list->rule[at];
    struct filter_entry *entry = &list->entry[at];
    uint64_t packets = fresh ? 0 : entry->packets, bytes = fresh ? 0 : entry->bytes;
    *entry = (struct filter_entry){
        .refused = refused_traits(stack, rule),
        .target = rule->target,
        .answer = rule->answer,
        .packets = packets,
        .bytes = bytes,
    };
    if (rule->given & FILTER_HAS_SOURCE) {
        entry->source = rule->source.v4;
        entry->source_mask = prefix_mask(&rule->source);
        entry->not_source = (rule->negated & FILTER_HAS_SOURCE) != 0;
    }
    if (rule->given & FILTER_HAS_DESTINATION) {
        entry->destination = rule->destination.v4;
        entry->destination_mask = prefix_mask(&rule->destination);
        entry->not_destination = (rule->negated & FILTER_HAS_DESTINATION) != 0;
    }
    compile_kind(rule, entry);
    compile_ports(rule->given & FILTER_HAS_SOURCE_PORT, rule->negated & FILTER_HAS_SOURCE_PORT,
                  &rule->source_port, &entry->source_port, &entry->source_ports);
    compile_ports(rule->given & FILTER_HAS_DESTINATION_PORT,
                  rule->negated & FILTER_HAS_DESTINATION_PORT, &rule->destination_port,
                  &entry->destination_port, &entry->destination_ports);
}

/* ---- Matching ---- */

void filter_key_make(struct filter_key *key, const struct flow_packet *packet, int in, int out,
                     enum flow_state state)
{
    bool icmp = packet->protocol == IPV4_PROTOCOL_ICMP;
    bool ports = packet->protocol == IPV4_PROTOCOL_TCP || packet->protocol == IPV4_PROTOCOL_UDP;
    *key = (struct filter_key){
        .traits = (uint64_t)state << TRAIT_STATE,
        .source = packet->source_v4,
        .destination = packet->destination_v4,
        .kind = packet->protocol,
        .source_port = packet->source_port,
        .destination_port = packet->destination_port,
    };
    key->traits |= UINT64_C(1) << (TRAIT_IN + (in >= 0 ? in : TRAIT_NONE));
    key->traits |= UINT64_C(1) << (TRAIT_OUT + (out >= 0 ? out : TRAIT_NONE));
    key->kind |= (uint32_t)(icmp ? packet->icmp_type : packet->tcp_flags) << KIND_DETAIL;
    key->kind |= (uint32_t)packet->icmp_code << KIND_CODE;
    if (packet->readable)
        key->kind |= ports ? KIND_READABLE | KIND_PORTS : KIND_READABLE;
}

/* The bits of the traits that stand for a byte's values. */
static uint64_t trait_bits(uint64_t traits, unsigned byte)
{
    static const uint8_t first[] = {TRAIT_IN, TRAIT_OUT, TRAIT_STATE};
    static const uint8_t width[] = {TRAIT_OUT - TRAIT_IN, TRAIT_STATE - TRAIT_OUT,
                                    64 - TRAIT_STATE};
    return traits >> first[byte] & ((UINT64_C(1) << width[byte]) - 1);
}

void filter_trait_values(const struct filter_list *list, uint32_t at, unsigned byte,
                         uint64_t bits[4])
{
    uint64_t refused = trait_bits(list->entry[at].refused, byte);
    bits[0] = ~refused;
    bits[1] = bits[2] = bits[3] = UINT64_MAX;
}

void filter_trait_bytes(const struct filter_key *key, uint8_t bytes[3])
{
    for (unsigned byte = 0; byte < 3; byte++) {
        uint64_t set = trait_bits(key->traits, byte);
        bytes[byte] = set ? (uint8_t)__builtin_ctzll(set) : UINT8_MAX;
    }
}

static bool entry_matches(const struct filter_entry *entry, const struct filter_key *key)
{
    uint32_t source = (key->source ^ entry->source) & entry->source_mask;
    uint32_t destination = (key->destination ^ entry->destination) & entry->destination_mask;
    unsigned misses = ((source != 0) ^ entry->not_source) |
                      ((destination != 0) ^ entry->not_destination) |
                      (((key->kind ^ entry->kind) & entry->kind_mask) != 0) |
                      ((key->traits & entry->refused) != 0);
    misses |= (uint16_t)(key->source_port - entry->source_port) > entry->source_ports;
    misses |=
        (uint16_t)(key->destination_port - entry->destination_port) > entry->destination_ports;
    return !misses;
}

static uint32_t find_among_all(const struct filter_list *list, uint32_t from,
                               const struct filter_key *key)
{
    while (from < list->count && !entry_matches(&list->entry[from], key))
        from++;
    return from;
}

uint32_t filter_find(const struct filter_list *list, uint32_t from, const struct filter_key *key)
{
    struct filter_rows rows;
    if (!list->index.rows)
        return find_among_all(list, from, key);
    filter_index_look(&list->index, key, &rows);
    uint64_t wanted = UINT64_MAX << from % 64;
    for (uint32_t word = from / 64; word < list->index.words; word++) {
        uint64_t candidates = filter_index_candidates(&rows, word) & wanted;
        for (; candidates; candidates &= candidates - 1) {
            uint32_t at = word * 64 + (uint32_t)__builtin_ctzll(candidates);
            if (entry_matches(&list->entry[at], key))
                return at;
        }
        wanted = UINT64_MAX;
    }
    return list->count;
}

/* ---- Deciding ---- */

/* A packet on its way through a chain. */
struct passage {
    enum filter_chain chain;
    int in, out;                        /* interfaces; -1: none */
    const struct ip_datagram *datagram; /* to be answered; NULL: it is our own */
    size_t bytes;                       /* of the IP datagram */
    struct flow_packet packet;
    enum filter_answer answer; /* of the rule that rejects */
};

/* Adds an event: which rule, counted from 1, has seen a packet from whom to whom. */
static void log_packet(struct stack *stack, const struct passage *passage, uint32_t rule,
                       uint64_t now_us)
{
    uint32_t ports = (uint32_t)passage->packet.source_port << 16 | passage->packet.destination_port;
    stack_event_add(stack, STACK_EVENT_FILTER, 0, now_us,
                    (uint32_t)passage->chain << 24 | (rule + 1), passage->packet.source_v4,
                    passage->packet.destination_v4, ports);
}

/* Tries the rules of the chain; counts. */
static enum filter_target decide(struct stack *stack, struct passage *passage,
                                 enum flow_state state, uint64_t now_us)
{
    struct filter_list *list = &stack->filter.set.chain[passage->chain];
    struct filter_key key;
    filter_key_make(&key, &passage->packet, passage->in, passage->out, state);
    for (uint32_t at = 0; (at = filter_find(list, at, &key)) < list->count; at++) {
        struct filter_entry *entry = &list->entry[at];
        entry->packets++;
        entry->bytes += passage->bytes;
        passage->answer = entry->answer;
        if (entry->target != FILTER_LOG)
            return entry->target;
        log_packet(stack, passage, at, now_us);
    }
    list->packets++;
    list->bytes += passage->bytes;
    return list->policy;
}

static void answer_with_reset(struct stack *stack, const struct passage *passage, uint64_t now_us)
{
    const struct flow_packet *packet = &passage->packet;
    struct ip_datagram datagram = *passage->datagram;
    struct tcp_segment segment = {.datagram = &datagram};
    bool summed = datagram.frame->flags & (FRAME_CHECKSUM_PARTIAL | FRAME_CHECKSUM_VALID);
    datagram.source = ip_address_from_v4(packet->source_v4);
    datagram.destination = ip_address_from_v4(packet->destination_v4);
    if (datagram.to_group || !packet->readable ||
        tcp_parse(packet->transport, packet->transport_bytes, &segment.header) != 0)
        return;
    if (!summed && tcp_verify(packet->transport, packet->transport_bytes, &datagram.source,
                              &datagram.destination) != 0)
        return;
    segment.flags = segment.header.flags;
    segment.length = (uint32_t)(packet->transport_bytes - segment.header.header_bytes) +
                     ((segment.flags & TCP_SYN) != 0) + ((segment.flags & TCP_FIN) != 0);
    tcp_reset_answer(stack, &segment, STACK_REASON_FILTER, now_us);
}

static void answer(struct stack *stack, const struct passage *passage, uint64_t now_us)
{
    static const uint8_t code[FILTER_ANSWERS] = {
        [FILTER_ANSWER_DEFAULT] = ICMP_CODE_PORT_UNREACHABLE,
        [FILTER_ANSWER_NET_UNREACHABLE] = ICMP_CODE_NET_UNREACHABLE,
        [FILTER_ANSWER_HOST_UNREACHABLE] = ICMP_CODE_HOST_UNREACHABLE,
        [FILTER_ANSWER_PROTOCOL_UNREACHABLE] = ICMP_CODE_PROTOCOL_UNREACHABLE,
        [FILTER_ANSWER_PORT_UNREACHABLE] = ICMP_CODE_PORT_UNREACHABLE,
        [FILTER_ANSWER_NET_PROHIBITED] = ICMP_CODE_NET_PROHIBITED,
        [FILTER_ANSWER_HOST_PROHIBITED] = ICMP_CODE_HOST_PROHIBITED,
        [FILTER_ANSWER_ADMIN_PROHIBITED] = ICMP_CODE_PROHIBITED,
    };
    bool tcp = passage->packet.protocol == IPV4_PROTOCOL_TCP;
    if (!passage->datagram)
        return;
    stack->filter.answering = true;
    if (passage->answer == FILTER_ANSWER_TCP_RESET ||
        (passage->answer == FILTER_ANSWER_DEFAULT && tcp))
        answer_with_reset(stack, passage, now_us);
    else
        icmp_send_error(stack, passage->datagram, ICMP_DESTINATION_UNREACHABLE,
                        code[passage->answer], 0, now_us);
    stack->filter.answering = false;
}

/* Counts what may not pass. */
static int refuse(struct stack *stack, const struct passage *passage, enum filter_target target,
                  uint64_t now_us)
{
    static const enum stack_counter counter[FILTER_CHAINS][2] = {
        {STACK_COUNTER_FILTER_IN_DROPS, STACK_COUNTER_FILTER_IN_REJECTS},
        {STACK_COUNTER_FILTER_FORWARD_DROPS, STACK_COUNTER_FILTER_FORWARD_REJECTS},
        {STACK_COUNTER_FILTER_OUT_DROPS, STACK_COUNTER_FILTER_OUT_REJECTS},
    };
    bool rejects = target == FILTER_REJECT;
    if (rejects)
        answer(stack, passage, now_us);
    return stack_drop(stack, counter[passage->chain][rejects], 0, passage->bytes, now_us);
}

/* The flow moves on, now that the packet passes. */
static int commit(struct stack *stack, const struct passage *passage, const struct flow_look *look,
                  uint64_t now_us)
{
    int result = flow_commit(&stack->filter.flows, &passage->packet, look, now_us);
    if (result < 0)
        return stack_drop(stack, STACK_COUNTER_FILTER_FLOWS_FULL, 0, passage->bytes, now_us);
    if (result > 0)
        stack_count(stack, STACK_COUNTER_FILTER_FLOWS_EARLY);
    return 0;
}

static int pass(struct stack *stack, struct passage *passage, uint64_t now_us)
{
    struct filter *filter = &stack->filter;
    struct flow_look look;
    enum flow_state state = 0;
    flow_packet_read(&passage->packet);
    if (filter->tracks)
        state = flow_judge(&filter->flows, &passage->packet, !passage->datagram, &look);
    enum filter_target target = decide(stack, passage, state, now_us);
    if (target != FILTER_ACCEPT)
        return refuse(stack, passage, target, now_us);
    return filter->tracks ? commit(stack, passage, &look, now_us) : 0;
}

/* ---- The three places ---- */

static int pass_datagram(struct stack *stack, const struct ip_datagram *datagram,
                         enum filter_chain chain, int out, uint64_t now_us)
{
    const struct ipv4_header *header = &datagram->header;
    size_t payload_bytes = header->total_bytes - header->header_bytes;
    struct passage passage = {
        .chain = chain,
        .in = datagram->frame->interface,
        .out = out,
        .datagram = datagram,
        .bytes = header->total_bytes,
        .packet = {.source_v4 = header->source_v4,
                   .destination_v4 = header->destination_v4,
                   .protocol = header->protocol,
                   .later_fragment = header->fragment_offset != 0,
                   .transport = datagram->packet + header->header_bytes,
                   .readable_bytes = payload_bytes,
                   .transport_bytes = payload_bytes},
    };
    return pass(stack, &passage, now_us);
}

int filter_input(struct stack *stack, const struct ip_datagram *datagram, uint64_t now_us)
{
    return pass_datagram(stack, datagram, FILTER_INPUT, -1, now_us);
}

int filter_forward(struct stack *stack, const struct ip_datagram *datagram, unsigned out,
                   uint64_t now_us)
{
    return pass_datagram(stack, datagram, FILTER_FORWARD, (int)out, now_us);
}

int filter_output(struct stack *stack, const struct frame *frame, const struct ip_send *send,
                  uint64_t now_us)
{
    size_t size = frame_size(frame), head = (size_t)IP_PAYLOAD_OFFSET + send->option_bytes;
    struct passage passage = {
        .chain = FILTER_OUTPUT,
        .in = -1,
        .out = frame->interface,
        .bytes = size - ETHERNET_HEADER_BYTES,
        .packet = {.source_v4 = send->source_v4,
                   .destination_v4 = send->destination_v4,
                   .protocol = send->protocol,
                   .transport = frame->piece[0].data + head,
                   .readable_bytes = frame->piece[0].size - head,
                   .transport_bytes = size - head},
    };
    if (stack->filter.answering)
        return 0;
    return pass(stack, &passage, now_us);
}
