/* The words of an impairment: one table, and what each of them reads. */
#include <string.h>

#include "../wire/ethernet.h"
#include "../wire/ipv4.h"
#include "impair_reader.h"

enum { MTU_LEAST = 68 /* RFC 791 */ };

const char impair_flag_letters[] = "FSRP.UEW";
const char *const impair_distributions[] = {"uniform", "normal", "pareto", "paretonormal"};

/* ---- Values ---- */

static bool at_number(const struct impair_reader *reader)
{
    return reader->word.length > 0 &&
           ((*reader->word.text >= '0' && *reader->word.text <= '9') || *reader->word.text == '-');
}

static bool take_number(struct impair_reader *reader, uint64_t least, uint64_t most,
                        uint64_t *number, const char *wants)
{
    if (!impair_read_number(reader->word, number) || *number < least || *number > most)
        return impair_refuse(reader, wants);
    impair_next(reader);
    return true;
}

static bool take_share(struct impair_reader *reader, uint32_t *ppm)
{
    if (!impair_read_share(reader->word, ppm))
        return impair_refuse(reader, "here stands a share of at most 100%, such as 0.5%");
    impair_next(reader);
    return true;
}

static bool take_share_if_any(struct impair_reader *reader, uint32_t *ppm)
{
    return !at_number(reader) || take_share(reader, ppm);
}

static bool take_time(struct impair_reader *reader, uint64_t *us)
{
    if (!impair_read_time(reader->word, us))
        return impair_refuse(reader, "here stands a time with its unit, such as 20ms");
    impair_next(reader);
    return true;
}

static bool take_positive_time(struct impair_reader *reader, uint64_t *us)
{
    if (!impair_read_time(reader->word, us) || *us == 0)
        return impair_refuse(reader, "here stands a time above 0 with its unit, such as 20ms");
    impair_next(reader);
    return true;
}

static bool take_amount(struct impair_reader *reader, struct impairment_amount *amount)
{
    if (!impair_read_amount(reader->word, amount))
        return impair_refuse(
            reader, "here stands a number of frames, such as 50, or of bytes, such as 64k");
    impair_next(reader);
    return true;
}

/* ---- Conditions ---- */

static struct match *match_of(struct impair_reader *reader)
{
    return &reader->line->impairment.match;
}

static bool read_match(struct impair_reader *reader, unsigned argument)
{
    (void)reader, (void)argument; /* the word only reads well */
    return true;
}

static bool set_ethertype(struct impair_reader *reader, unsigned ethertype)
{
    struct match *match = match_of(reader);
    match->asks |= MATCH_ETHERTYPE;
    match->ethertype = (uint16_t)ethertype;
    return true;
}

static bool set_protocol(struct impair_reader *reader, unsigned protocol)
{
    struct match *match = match_of(reader);
    match->asks |= MATCH_PROTOCOL;
    match->protocol = (uint8_t)protocol;
    return true;
}

static bool read_ethertype(struct impair_reader *reader, unsigned argument)
{
    uint64_t number;
    (void)argument;
    return take_number(reader, 0, UINT16_MAX, &number,
                       "here stands an EtherType, such as 0x88cc") &&
           set_ethertype(reader, (unsigned)number);
}

static bool read_protocol(struct impair_reader *reader, unsigned argument)
{
    uint64_t number;
    (void)argument;
    return take_number(reader, 0, UINT8_MAX, &number,
                       "here stands a protocol's number, 0 to 255") &&
           set_protocol(reader, (unsigned)number);
}

/* "10.77.0.2" or "10.77.0.0/24". */
static bool parse_network(struct impair_word word, struct match_network *network)
{
    char quad[IP_ADDRESS_TEXT_MAX];
    struct ip_address address;
    uint64_t bits = 32;
    const char *slash = memchr(word.text, '/', word.length);
    size_t length = slash ? (size_t)(slash - word.text) : word.length;
    if (length >= sizeof quad)
        return false;
    memcpy(quad, word.text, length);
    quad[length] = '\0';
    struct impair_word rest = {word.text + length + 1, word.length - length - 1};
    if (slash && (!impair_read_number(rest, &bits) || bits < 1 || bits > 32))
        return false;
    if (ip_address_parse(quad, &address) != 0)
        return false;
    network->v4 = ip_address_to_v4(&address);
    network->prefix_bits = (uint8_t)bits;
    return true;
}

static bool read_network(struct impair_reader *reader, unsigned place)
{
    if (!parse_network(reader->word, &match_of(reader)->network[place]))
        return impair_refuse(reader, "here stands an address such as 10.77.0.2, or 10.77.0.0/24");
    impair_next(reader);
    return true;
}

/* "80" or "8000-8999". */
static bool parse_range(struct impair_word word, uint64_t most, uint64_t *first, uint64_t *last)
{
    const char *dash = word.length > 0 ? memchr(word.text, '-', word.length) : NULL;
    size_t length = dash ? (size_t)(dash - word.text) : word.length;
    if (!impair_read_number((struct impair_word){word.text, length}, first))
        return false;
    *last = *first;
    if (dash && !impair_read_number((struct impair_word){dash + 1, word.length - length - 1}, last))
        return false;
    return *first <= *last && *last <= most;
}

static bool read_ports(struct impair_reader *reader, unsigned place)
{
    uint64_t first, last;
    if (!parse_range(reader->word, UINT16_MAX, &first, &last) || first == 0)
        return impair_refuse(reader, "here stands a port, such as 80, or ports, such as 8000-8999");
    match_of(reader)->ports[place] = (struct match_ports){(uint16_t)first, (uint16_t)last};
    impair_next(reader);
    return true;
}

static bool read_length(struct impair_reader *reader, unsigned argument)
{
    uint64_t first, last;
    struct match *match = match_of(reader);
    (void)argument;
    if (!parse_range(reader->word, 1 << 20, &first, &last))
        return impair_refuse(reader,
                             "here stands a frame's length in bytes, such as 60 or 1000-1514");
    match->asks |= MATCH_LENGTH;
    match->length_first = (uint32_t)first;
    match->length_last = (uint32_t)last;
    impair_next(reader);
    return true;
}

static bool read_flags(struct impair_reader *reader, unsigned argument)
{
    struct match *match = match_of(reader);
    (void)argument;
    for (size_t i = 0; i < reader->word.length; i++) {
        const char *letter =
            memchr(impair_flag_letters, reader->word.text[i], strlen(impair_flag_letters));
        if (!letter)
            return impair_refuse(reader,
                                 "here stand flags as tcpdump shows them (S, S., F., R, P., .)");
        match->flags |= (uint8_t)(1U << (letter - impair_flag_letters));
    }
    if (reader->word.length == 0)
        return impair_refuse(reader,
                             "here stand flags as tcpdump shows them (S, S., F., R, P., .)");
    match->asks |= MATCH_FLAGS;
    impair_next(reader);
    return true;
}

static bool read_nth(struct impair_reader *reader, unsigned asks)
{
    match_of(reader)->asks |= asks;
    return take_number(reader, 1, UINT64_MAX, &match_of(reader)->nth,
                       "here stands a number from 1");
}

static bool read_sequence(struct impair_reader *reader, unsigned asks)
{
    uint64_t number;
    match_of(reader)->asks |= MATCH_SEQUENCE | asks;
    if (!take_number(reader, 0, UINT32_MAX, &number,
                     "here stands a sequence number (the first byte's is 1)"))
        return false;
    match_of(reader)->sequence = (uint32_t)number;
    return true;
}

/* ---- Effects ---- */

static bool set_effect(struct impair_reader *reader, unsigned does)
{
    reader->line->impairment.does |= does;
    return true;
}

static bool read_mtu(struct impair_reader *reader, unsigned does)
{
    uint64_t number;
    if (!take_number(reader, MTU_LEAST, UINT16_MAX, &number,
                     "here stands an MTU of 68 to 65535 bytes"))
        return false;
    reader->line->impairment.mtu_bytes = (uint32_t)number;
    return set_effect(reader, does);
}

static bool take_chance(struct impair_reader *reader, struct impairment_chance *chance)
{
    return take_share(reader, &chance->ppm) && take_share_if_any(reader, &chance->correlation_ppm);
}

/* netem's defaults: r = 1 - p, 1-h = 100%, 1-k = 0. */
static bool read_gemodel(struct impair_reader *reader, unsigned does)
{
    struct impairment_gemodel *model = &reader->line->impairment.gemodel;
    if (!take_share(reader, &model->p_ppm))
        return false;
    *model = (struct impairment_gemodel){model->p_ppm, 1000000 - model->p_ppm, 1000000, 0};
    return take_share_if_any(reader, &model->r_ppm) &&
           take_share_if_any(reader, &model->bad_loss_ppm) &&
           take_share_if_any(reader, &model->good_loss_ppm) && set_effect(reader, does);
}

/* netem's defaults: p31 = 1 - p13, p32 = 0, p23 = 100%, p14 = 0. */
static bool read_states(struct impair_reader *reader)
{
    struct impairment_states *states = &reader->line->impairment.states;
    unsigned at = impair_column(reader);
    if (!take_share(reader, &states->p13_ppm))
        return false;
    states->p31_ppm = 1000000 - states->p13_ppm;
    states->p23_ppm = 1000000;
    if (!take_share_if_any(reader, &states->p31_ppm) ||
        !take_share_if_any(reader, &states->p32_ppm) ||
        !take_share_if_any(reader, &states->p23_ppm) ||
        !take_share_if_any(reader, &states->p14_ppm))
        return false;
    if (states->p13_ppm + states->p14_ppm > 1000000 || states->p31_ppm + states->p32_ppm > 1000000)
        return impair_refuse_at(reader, at, "p13 + p14, and p31 + p32, are at most 100%");
    return set_effect(reader, IMPAIRMENT_STATE);
}

static bool read_loss(struct impair_reader *reader, unsigned does)
{
    bool random = impair_word_is(reader->word, "random");
    if (random || impair_word_is(reader->word, "gemodel") ||
        impair_word_is(reader->word, "state")) {
        bool gemodel = impair_word_is(reader->word, "gemodel");
        impair_next(reader);
        if (!random)
            return gemodel ? read_gemodel(reader, IMPAIRMENT_GEMODEL) : read_states(reader);
    }
    return take_chance(reader, &reader->line->impairment.loss) && set_effect(reader, does);
}

static bool read_duplicate(struct impair_reader *reader, unsigned does)
{
    return take_chance(reader, &reader->line->impairment.duplicate) && set_effect(reader, does);
}

static bool read_corrupt(struct impair_reader *reader, unsigned does)
{
    return take_chance(reader, &reader->line->impairment.corrupt) && set_effect(reader, does);
}

static bool read_biterror(struct impair_reader *reader, unsigned does)
{
    if (!impair_read_biterror(reader->word, &reader->line->impairment.biterror_ppt))
        return impair_refuse(reader, "here stands a share of bits from 1e-12 to 0.1, such as 1e-6");
    impair_next(reader);
    return set_effect(reader, does);
}

static bool read_limit(struct impair_reader *reader, unsigned argument)
{
    (void)argument;
    return take_amount(reader, &reader->line->impairment.limit);
}

/* A number that may be negative. */
static bool take_bytes_if_any(struct impair_reader *reader, int64_t least, int32_t *bytes)
{
    uint64_t number;
    struct impair_word word = reader->word;
    bool negative = word.length > 0 && *word.text == '-';
    if (!at_number(reader))
        return true;
    word.text += negative;
    word.length -= negative;
    if (!impair_read_number(word, &number) || number > UINT16_MAX ||
        (negative ? -(int64_t)number : (int64_t)number) < least)
        return impair_refuse(reader,
                             "here stands a number of bytes (overhead, cell size, cell overhead)");
    *bytes = negative ? -(int32_t)number : (int32_t)number;
    impair_next(reader);
    return true;
}

static bool read_rate(struct impair_reader *reader, unsigned does)
{
    struct impairment_rate *rate = &reader->line->impairment.rate;
    int32_t cell_bytes = 0;
    if (!impair_read_rate(reader->word, &rate->bits_per_second))
        return impair_refuse(reader, "here stands a rate such as 10mbit");
    impair_next(reader);
    if (!take_bytes_if_any(reader, INT16_MIN, &rate->overhead_bytes) ||
        !take_bytes_if_any(reader, 0, &cell_bytes))
        return false;
    if (cell_bytes == 0 && at_number(reader))
        return impair_refuse(reader, "without a cell size there is no cell overhead");
    if (!take_bytes_if_any(reader, -cell_bytes, &rate->cell_overhead_bytes))
        return false;
    rate->cell_bytes = (uint32_t)cell_bytes;
    return set_effect(reader, does);
}

static bool read_codel(struct impair_reader *reader, unsigned argument)
{
    struct impairment_rate *rate = &reader->line->impairment.rate;
    (void)argument;
    rate->discipline = IMPAIRMENT_CODEL;
    rate->codel_target_us = IMPAIRMENT_CODEL_TARGET_US;
    rate->codel_interval_us = IMPAIRMENT_CODEL_INTERVAL_US;
    for (;;) {
        bool target = impair_word_is(reader->word, "target");
        if (!target && !impair_word_is(reader->word, "interval"))
            return true;
        impair_next(reader);
        if (!take_positive_time(reader, target ? &rate->codel_target_us : &rate->codel_interval_us))
            return false;
    }
}

static bool read_red(struct impair_reader *reader, unsigned argument)
{
    struct impairment_rate *rate = &reader->line->impairment.rate;
    unsigned at = impair_column(reader);
    (void)argument;
    rate->discipline = IMPAIRMENT_RED;
    rate->red_ppm = IMPAIRMENT_RED_PPM;
    for (;;) {
        bool least = impair_word_is(reader->word, "min"),
             most = impair_word_is(reader->word, "max");
        if (!least && !most && !impair_word_is(reader->word, "prob"))
            break;
        impair_next(reader);
        if (least || most ? !take_amount(reader, least ? &rate->red_min : &rate->red_max)
                          : !take_share(reader, &rate->red_ppm))
            return false;
    }
    if (rate->red_min.count == 0 || rate->red_max.count <= rate->red_min.count ||
        rate->red_min.in_bytes != rate->red_max.in_bytes)
        return impair_refuse_at(reader, at,
                                "red wants min and a larger max, both in frames or both in bytes: "
                                "red min 5 max 15 prob 2%");
    return true;
}

static bool read_ecn(struct impair_reader *reader, unsigned argument)
{
    (void)argument;
    reader->line->impairment.ecn = true;
    return true;
}

static bool read_stall(struct impair_reader *reader, unsigned argument)
{
    struct impairment_rate *rate = &reader->line->impairment.rate;
    unsigned at = impair_column(reader);
    (void)argument;
    if (!take_positive_time(reader, &rate->stall_us))
        return false;
    if (!impair_word_is(reader->word, "every"))
        return impair_refuse(reader, "here stands every: stall 10ms every 100ms");
    impair_next(reader);
    if (!take_positive_time(reader, &rate->stall_every_us))
        return false;
    if (rate->stall_us >= rate->stall_every_us)
        return impair_refuse_at(reader, at, "a stall is shorter than its period");
    if (!impair_word_is(reader->word, "at"))
        return true;
    impair_next(reader);
    if (!impair_read_rate(reader->word, &rate->stall_bits_per_second))
        return impair_refuse(reader, "here stands a rate such as 1mbit");
    impair_next(reader);
    return true;
}

static bool read_delay(struct impair_reader *reader, unsigned does)
{
    struct impairment_delay *delay = &reader->line->impairment.delay;
    return take_time(reader, &delay->delay_us) &&
           (!at_number(reader) || take_time(reader, &delay->jitter_us)) &&
           take_share_if_any(reader, &delay->correlation_ppm) && set_effect(reader, does);
}

static bool read_distribution(struct impair_reader *reader, unsigned argument)
{
    (void)argument;
    for (unsigned i = 0; i <= IMPAIRMENT_PARETONORMAL; i++) {
        if (!impair_word_is(reader->word, impair_distributions[i]))
            continue;
        reader->line->impairment.delay.distribution = (enum impairment_distribution)i;
        impair_next(reader);
        return true;
    }
    return impair_refuse(reader, "here stands uniform, normal, pareto or paretonormal");
}

static bool read_reorder(struct impair_reader *reader, unsigned does)
{
    return take_chance(reader, &reader->line->impairment.reorder.chance) &&
           set_effect(reader, does);
}

static bool read_gap(struct impair_reader *reader, unsigned argument)
{
    uint64_t number;
    (void)argument;
    if (!take_number(reader, 1, UINT32_MAX, &number, "here stands a number from 1"))
        return false;
    reader->line->impairment.reorder.gap = (uint32_t)number;
    return true;
}

static bool read_hold(struct impair_reader *reader, unsigned argument)
{
    (void)argument;
    return take_positive_time(reader, &reader->line->impairment.reorder.hold_us);
}

/* ---- The rule's life ---- */

static bool read_for(struct impair_reader *reader, unsigned argument)
{
    (void)argument;
    return take_positive_time(reader, &reader->line->impairment.for_us);
}

static bool read_after(struct impair_reader *reader, unsigned argument)
{
    (void)argument;
    return take_positive_time(reader, &reader->line->impairment.after_us);
}

static bool read_once(struct impair_reader *reader, unsigned argument)
{
    (void)argument;
    reader->line->impairment.count = 1;
    return true;
}

static bool read_count(struct impair_reader *reader, unsigned more)
{
    if (!take_number(reader, 1 - more, UINT32_MAX, &reader->line->impairment.count,
                     more ? "here stands a number" : "here stands a number from 1"))
        return false;
    reader->line->impairment.count += more;
    return true;
}

/* ---- The table ---- */

/* The order is that of help and of a written line. */
const struct impair_keyword impair_keywords[] = {
    {"match", read_match, 0},
    {"arp", set_ethertype, ETHERTYPE_ARP},
    {"ip", set_ethertype, ETHERTYPE_IPV4},
    {"ipv6", set_ethertype, ETHERTYPE_IPV6},
    {"ethertype", read_ethertype, 0},
    {"icmp", set_protocol, IPV4_PROTOCOL_ICMP},
    {"tcp", set_protocol, IPV4_PROTOCOL_TCP},
    {"udp", set_protocol, IPV4_PROTOCOL_UDP},
    {"protocol", read_protocol, 0},
    {"from", read_network, MATCH_SOURCE},
    {"to", read_network, MATCH_DESTINATION},
    {"host", read_network, MATCH_EITHER},
    {"sport", read_ports, MATCH_SOURCE},
    {"dport", read_ports, MATCH_DESTINATION},
    {"port", read_ports, MATCH_EITHER},
    {"flags", read_flags, 0},
    {"length", read_length, 0},
    {"nth", read_nth, MATCH_NTH},
    {"every", read_nth, MATCH_EVERY},
    {"seq", read_sequence, 0},
    {"rawseq", read_sequence, MATCH_RAW_NUMBER},
    {"exempt", set_effect, IMPAIRMENT_EXEMPT},
    {"blackhole", set_effect, IMPAIRMENT_BLACKHOLE},
    {"mtu", read_mtu, IMPAIRMENT_MTU},
    {"drop", set_effect, IMPAIRMENT_DROP},
    {"loss", read_loss, IMPAIRMENT_LOSS},
    {"gemodel", read_gemodel, IMPAIRMENT_GEMODEL},
    {"duplicate", read_duplicate, IMPAIRMENT_DUPLICATE},
    {"corrupt", read_corrupt, IMPAIRMENT_CORRUPT},
    {"biterror", read_biterror, IMPAIRMENT_BITERROR},
    {"rate", read_rate, IMPAIRMENT_RATE},
    {"codel", read_codel, 0},
    {"red", read_red, 0},
    {"stall", read_stall, 0},
    {"delay", read_delay, IMPAIRMENT_DELAY},
    {"distribution", read_distribution, 0},
    {"reorder", read_reorder, IMPAIRMENT_REORDER},
    {"gap", read_gap, 0},
    {"reorder-delay", read_hold, 0},
    {"limit", read_limit, 0},
    {"ecn", read_ecn, 0},
    {"after", read_after, 0},
    {"for", read_for, 0},
    {"once", read_once, 0},
    {"count", read_count, 0},
    {"retransmits", read_count, 1},
    {"wifi", impair_read_preset, 0},
    {"dsl", impair_read_preset, 1},
    {"lte", impair_read_preset, 2},
    {"satellite", impair_read_preset, 3},
    {NULL},
};

_Static_assert(sizeof impair_keywords / sizeof impair_keywords[0] <= IMPAIR_WORDS_MAX + 1,
               "every word has its place");

/* The word that reads to this function and argument, or NULL. */
static const char *word_of(bool (*read)(struct impair_reader *, unsigned), unsigned argument)
{
    for (const struct impair_keyword *word = impair_keywords; word->name; word++)
        if (word->read == read && word->argument == argument)
            return word->name;
    return NULL;
}

const char *impair_ethertype_word(uint16_t ethertype) { return word_of(set_ethertype, ethertype); }

const char *impair_protocol_word(uint8_t protocol) { return word_of(set_protocol, protocol); }
