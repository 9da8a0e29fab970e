/* Impairments as text: one table of words, each with what it reads.

   A line is a direction, then words in any order, each once. What no word can tell alone is checked
   when all are read. */
#include "impair_text.h"

#include <string.h>

#include "../wire/ethernet.h"
#include "../wire/ipv4.h"
#include "../wire/tcp.h"
#include "impair_quantity.h"

enum {
    WORDS_MAX = 64, /* of the table */
    NEAR_WORD_MAX = 16,
    MTU_LEAST = 68, /* RFC 791 */
};

static const char flag_letters[] = "FSRP.UEW"; /* bit 0 first, as tcpdump has them */

const struct impair_preset impair_presets[] = {
    {"wifi", "rate 54mbit limit 300 stall 8ms every 50ms delay 2ms loss 0.1%",
     "rate 54mbit limit 300 stall 8ms every 50ms delay 2ms loss 0.1%",
     "a busy wireless network: 54 Mbit/s, silent for 8 of each 50 ms"},
    {"dsl", "rate 16mbit 24 48 5 limit 100 delay 15ms", "rate 1mbit 24 48 5 limit 50 delay 15ms",
     "ADSL with its ATM cells: 16 Mbit/s down, 1 Mbit/s up, 30 ms"},
    {"lte", "rate 30mbit limit 500 stall 10ms every 100ms delay 25ms loss 0.01%",
     "rate 10mbit limit 500 stall 10ms every 100ms delay 25ms loss 0.01%",
     "a mobile network: 30 Mbit/s down, 10 Mbit/s up, 50 ms, with deep queues"},
    {"satellite", "rate 25mbit limit 1000 delay 300ms gemodel 0.01% 10%",
     "rate 3mbit limit 500 delay 300ms gemodel 0.01% 10%",
     "a geostationary satellite: 25 Mbit/s down, 3 Mbit/s up, 600 ms, losses in bursts"},
    {NULL, NULL, NULL, NULL},
};

/* ---- The reader ---- */

struct reader {
    const char *text, *at;
    struct impair_word word; /* the one being read; length 0: none is left */
    struct impair_line *line;
    struct impair_error *error;
    unsigned columns[WORDS_MAX]; /* where each word of the table stood; 0: nowhere */
    bool preset;
};

struct keyword {
    const char *name;
    bool (*read)(struct reader *reader, unsigned argument); /* the word is the one behind it */
    unsigned argument;
};

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static void next(struct reader *reader)
{
    while (is_blank(*reader->at))
        reader->at++;
    reader->word = (struct impair_word){reader->at, 0};
    for (; *reader->at && !is_blank(*reader->at); reader->at++)
        reader->word.length++;
}

static bool at_number(const struct reader *reader)
{
    return reader->word.length > 0 &&
           ((*reader->word.text >= '0' && *reader->word.text <= '9') || *reader->word.text == '-');
}

static unsigned column(const struct reader *reader)
{
    return (unsigned)(reader->word.text - reader->text) + 1;
}

/* What the text holds must not play tricks on a terminal. */
static void append_quoted(struct append *to, struct impair_word word)
{
    append_char(to, '"');
    for (size_t i = 0; i < word.length && i < 40; i++)
        append_char(to, word.text[i] >= ' ' && word.text[i] < 0x7f ? word.text[i] : '?');
    append_char(to, '"');
}

/* Complains of the word at hand. */
static bool refuse(struct reader *reader, const char *wants)
{
    struct append to = append_start(reader->error->message, sizeof reader->error->message);
    reader->error->column = column(reader);
    append_string(&to, wants);
    if (reader->word.length > 0) {
        append_string(&to, ", not ");
        append_quoted(&to, reader->word);
    }
    return false;
}

static bool refuse_at(struct reader *reader, unsigned at, const char *what)
{
    struct append to = append_start(reader->error->message, sizeof reader->error->message);
    reader->error->column = at;
    append_string(&to, what);
    return false;
}

/* ---- Values ---- */

static bool take_number(struct reader *reader, uint64_t least, uint64_t most, uint64_t *number,
                        const char *wants)
{
    if (!impair_read_number(reader->word, number) || *number < least || *number > most)
        return refuse(reader, wants);
    next(reader);
    return true;
}

static bool take_share(struct reader *reader, uint32_t *ppm)
{
    if (!impair_read_share(reader->word, ppm))
        return refuse(reader, "here stands a share of at most 100%, such as 0.5%");
    next(reader);
    return true;
}

static bool take_share_if_any(struct reader *reader, uint32_t *ppm)
{
    return !at_number(reader) || take_share(reader, ppm);
}

static bool take_time(struct reader *reader, uint64_t *us)
{
    if (!impair_read_time(reader->word, us))
        return refuse(reader, "here stands a time with its unit, such as 20ms");
    next(reader);
    return true;
}

static bool take_positive_time(struct reader *reader, uint64_t *us)
{
    if (!impair_read_time(reader->word, us) || *us == 0)
        return refuse(reader, "here stands a time above 0 with its unit, such as 20ms");
    next(reader);
    return true;
}

static bool take_amount(struct reader *reader, struct impairment_amount *amount)
{
    if (!impair_read_amount(reader->word, amount))
        return refuse(reader,
                      "here stands a number of frames, such as 50, or of bytes, such as 64k");
    next(reader);
    return true;
}

/* ---- Conditions ---- */

static struct match *match_of(struct reader *reader) { return &reader->line->impairment.match; }

static bool read_match(struct reader *reader, unsigned argument)
{
    (void)reader, (void)argument; /* the word only reads well */
    return true;
}

static bool set_ethertype(struct reader *reader, unsigned ethertype)
{
    struct match *match = match_of(reader);
    match->asks |= MATCH_ETHERTYPE;
    match->ethertype = (uint16_t)ethertype;
    return true;
}

static bool set_protocol(struct reader *reader, unsigned protocol)
{
    struct match *match = match_of(reader);
    match->asks |= MATCH_PROTOCOL;
    match->protocol = (uint8_t)protocol;
    return true;
}

static bool read_ethertype(struct reader *reader, unsigned argument)
{
    uint64_t number;
    (void)argument;
    return take_number(reader, 0, UINT16_MAX, &number,
                       "here stands an EtherType, such as 0x88cc") &&
           set_ethertype(reader, (unsigned)number);
}

static bool read_protocol(struct reader *reader, unsigned argument)
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

static bool read_network(struct reader *reader, unsigned place)
{
    if (!parse_network(reader->word, &match_of(reader)->network[place]))
        return refuse(reader, "here stands an address such as 10.77.0.2, or 10.77.0.0/24");
    next(reader);
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

static bool read_ports(struct reader *reader, unsigned place)
{
    uint64_t first, last;
    if (!parse_range(reader->word, UINT16_MAX, &first, &last) || first == 0)
        return refuse(reader, "here stands a port, such as 80, or ports, such as 8000-8999");
    match_of(reader)->ports[place] = (struct match_ports){(uint16_t)first, (uint16_t)last};
    next(reader);
    return true;
}

static bool read_length(struct reader *reader, unsigned argument)
{
    uint64_t first, last;
    struct match *match = match_of(reader);
    (void)argument;
    if (!parse_range(reader->word, 1 << 20, &first, &last))
        return refuse(reader, "here stands a frame's length in bytes, such as 60 or 1000-1514");
    match->asks |= MATCH_LENGTH;
    match->length_first = (uint32_t)first;
    match->length_last = (uint32_t)last;
    next(reader);
    return true;
}

static bool read_flags(struct reader *reader, unsigned argument)
{
    struct match *match = match_of(reader);
    (void)argument;
    for (size_t i = 0; i < reader->word.length; i++) {
        const char *letter = memchr(flag_letters, reader->word.text[i], sizeof flag_letters - 1);
        if (!letter)
            return refuse(reader, "here stand flags as tcpdump shows them (S, S., F., R, P., .)");
        match->flags |= (uint8_t)(1U << (letter - flag_letters));
    }
    if (reader->word.length == 0)
        return refuse(reader, "here stand flags as tcpdump shows them (S, S., F., R, P., .)");
    match->asks |= MATCH_FLAGS;
    next(reader);
    return true;
}

static bool read_nth(struct reader *reader, unsigned asks)
{
    match_of(reader)->asks |= asks;
    return take_number(reader, 1, UINT64_MAX, &match_of(reader)->nth,
                       "here stands a number from 1");
}

static bool read_sequence(struct reader *reader, unsigned asks)
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

static bool set_effect(struct reader *reader, unsigned does)
{
    reader->line->impairment.does |= does;
    return true;
}

static bool read_mtu(struct reader *reader, unsigned does)
{
    uint64_t number;
    if (!take_number(reader, MTU_LEAST, UINT16_MAX, &number,
                     "here stands an MTU of 68 to 65535 bytes"))
        return false;
    reader->line->impairment.mtu_bytes = (uint32_t)number;
    return set_effect(reader, does);
}

static bool take_chance(struct reader *reader, struct impairment_chance *chance)
{
    return take_share(reader, &chance->ppm) && take_share_if_any(reader, &chance->correlation_ppm);
}

/* netem's defaults: r = 1 - p, 1-h = 100%, 1-k = 0. */
static bool read_gemodel(struct reader *reader, unsigned does)
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
static bool read_states(struct reader *reader)
{
    struct impairment_states *states = &reader->line->impairment.states;
    unsigned at = column(reader);
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
        return refuse_at(reader, at, "p13 + p14, and p31 + p32, are at most 100%");
    return set_effect(reader, IMPAIRMENT_STATE);
}

static bool read_loss(struct reader *reader, unsigned does)
{
    bool random = impair_word_is(reader->word, "random");
    if (random || impair_word_is(reader->word, "gemodel") ||
        impair_word_is(reader->word, "state")) {
        bool gemodel = impair_word_is(reader->word, "gemodel");
        next(reader);
        if (!random)
            return gemodel ? read_gemodel(reader, IMPAIRMENT_GEMODEL) : read_states(reader);
    }
    return take_chance(reader, &reader->line->impairment.loss) && set_effect(reader, does);
}

static bool read_duplicate(struct reader *reader, unsigned does)
{
    return take_chance(reader, &reader->line->impairment.duplicate) && set_effect(reader, does);
}

static bool read_corrupt(struct reader *reader, unsigned does)
{
    return take_chance(reader, &reader->line->impairment.corrupt) && set_effect(reader, does);
}

static bool read_biterror(struct reader *reader, unsigned does)
{
    if (!impair_read_biterror(reader->word, &reader->line->impairment.biterror_ppt))
        return refuse(reader, "here stands a share of bits from 1e-12 to 0.1, such as 1e-6");
    next(reader);
    return set_effect(reader, does);
}

static bool read_limit(struct reader *reader, unsigned argument)
{
    (void)argument;
    return take_amount(reader, &reader->line->impairment.limit);
}

/* A number that may be negative. */
static bool take_bytes_if_any(struct reader *reader, int64_t least, int32_t *bytes)
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
        return refuse(reader, "here stands a number of bytes (overhead, cell size, cell overhead)");
    *bytes = negative ? -(int32_t)number : (int32_t)number;
    next(reader);
    return true;
}

static bool read_rate(struct reader *reader, unsigned does)
{
    struct impairment_rate *rate = &reader->line->impairment.rate;
    int32_t cell_bytes = 0;
    if (!impair_read_rate(reader->word, &rate->bits_per_second))
        return refuse(reader, "here stands a rate such as 10mbit");
    next(reader);
    if (!take_bytes_if_any(reader, INT16_MIN, &rate->overhead_bytes) ||
        !take_bytes_if_any(reader, 0, &cell_bytes))
        return false;
    if (cell_bytes == 0 && at_number(reader))
        return refuse(reader, "without a cell size there is no cell overhead");
    if (!take_bytes_if_any(reader, -cell_bytes, &rate->cell_overhead_bytes))
        return false;
    rate->cell_bytes = (uint32_t)cell_bytes;
    return set_effect(reader, does);
}

static bool read_codel(struct reader *reader, unsigned argument)
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
        next(reader);
        if (!take_positive_time(reader, target ? &rate->codel_target_us : &rate->codel_interval_us))
            return false;
    }
}

static bool read_red(struct reader *reader, unsigned argument)
{
    struct impairment_rate *rate = &reader->line->impairment.rate;
    unsigned at = column(reader);
    (void)argument;
    rate->discipline = IMPAIRMENT_RED;
    rate->red_ppm = IMPAIRMENT_RED_PPM;
    for (;;) {
        bool least = impair_word_is(reader->word, "min"),
             most = impair_word_is(reader->word, "max");
        if (!least && !most && !impair_word_is(reader->word, "prob"))
            break;
        next(reader);
        if (least || most ? !take_amount(reader, least ? &rate->red_min : &rate->red_max)
                          : !take_share(reader, &rate->red_ppm))
            return false;
    }
    if (rate->red_min.count == 0 || rate->red_max.count <= rate->red_min.count ||
        rate->red_min.in_bytes != rate->red_max.in_bytes)
        return refuse_at(reader, at,
                         "red wants min and a larger max, both in frames or both in bytes: "
                         "red min 5 max 15 prob 2%");
    return true;
}

static bool read_ecn(struct reader *reader, unsigned argument)
{
    (void)argument;
    reader->line->impairment.ecn = true;
    return true;
}

static bool read_stall(struct reader *reader, unsigned argument)
{
    struct impairment_rate *rate = &reader->line->impairment.rate;
    unsigned at = column(reader);
    (void)argument;
    if (!take_positive_time(reader, &rate->stall_us))
        return false;
    if (!impair_word_is(reader->word, "every"))
        return refuse(reader, "here stands every: stall 10ms every 100ms");
    next(reader);
    if (!take_positive_time(reader, &rate->stall_every_us))
        return false;
    if (rate->stall_us >= rate->stall_every_us)
        return refuse_at(reader, at, "a stall is shorter than its period");
    if (!impair_word_is(reader->word, "at"))
        return true;
    next(reader);
    if (!impair_read_rate(reader->word, &rate->stall_bits_per_second))
        return refuse(reader, "here stands a rate such as 1mbit");
    next(reader);
    return true;
}

static bool read_delay(struct reader *reader, unsigned does)
{
    struct impairment_delay *delay = &reader->line->impairment.delay;
    return take_time(reader, &delay->delay_us) &&
           (!at_number(reader) || take_time(reader, &delay->jitter_us)) &&
           take_share_if_any(reader, &delay->correlation_ppm) && set_effect(reader, does);
}

static const char *const distributions[] = {"uniform", "normal", "pareto", "paretonormal"};

static bool read_distribution(struct reader *reader, unsigned argument)
{
    (void)argument;
    for (unsigned i = 0; i <= IMPAIRMENT_PARETONORMAL; i++) {
        if (!impair_word_is(reader->word, distributions[i]))
            continue;
        reader->line->impairment.delay.distribution = (enum impairment_distribution)i;
        next(reader);
        return true;
    }
    return refuse(reader, "here stands uniform, normal, pareto or paretonormal");
}

static bool read_reorder(struct reader *reader, unsigned does)
{
    return take_chance(reader, &reader->line->impairment.reorder.chance) &&
           set_effect(reader, does);
}

static bool read_gap(struct reader *reader, unsigned argument)
{
    uint64_t number;
    (void)argument;
    if (!take_number(reader, 1, UINT32_MAX, &number, "here stands a number from 1"))
        return false;
    reader->line->impairment.reorder.gap = (uint32_t)number;
    return true;
}

static bool read_hold(struct reader *reader, unsigned argument)
{
    (void)argument;
    return take_positive_time(reader, &reader->line->impairment.reorder.hold_us);
}

/* ---- The rule's life ---- */

static bool read_for(struct reader *reader, unsigned argument)
{
    (void)argument;
    return take_positive_time(reader, &reader->line->impairment.for_us);
}

static bool read_after(struct reader *reader, unsigned argument)
{
    (void)argument;
    return take_positive_time(reader, &reader->line->impairment.after_us);
}

static bool read_once(struct reader *reader, unsigned argument)
{
    (void)argument;
    reader->line->impairment.count = 1;
    return true;
}

static bool read_count(struct reader *reader, unsigned more)
{
    if (!take_number(reader, 1 - more, UINT32_MAX, &reader->line->impairment.count,
                     more ? "here stands a number" : "here stands a number from 1"))
        return false;
    reader->line->impairment.count += more;
    return true;
}

/* ---- The words ---- */

static bool read_words(struct reader *reader);
static unsigned column_of(const struct reader *reader, const char *name);

/* A preset's own words, in the direction's place; none of them may stand in the line besides. */
static bool read_preset(struct reader *reader, unsigned index)
{
    const struct impair_preset *preset = &impair_presets[index];
    unsigned at = column_of(reader, preset->name);
    struct reader own = *reader;
    own.text = own.at = reader->line->direction == IMPAIR_IN ? preset->in : preset->out;
    next(&own);
    if (!read_words(&own))
        return refuse_at(reader, at, "this preset and a word before it say the same");
    for (unsigned i = 0; i < WORDS_MAX; i++)
        if (own.columns[i] && !reader->columns[i])
            reader->columns[i] = at;
    reader->preset = strcmp(preset->in, preset->out) != 0;
    return true;
}

/* The order is that of help and of a written line. */
static const struct keyword keywords[] = {
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
    {"wifi", read_preset, 0},
    {"dsl", read_preset, 1},
    {"lte", read_preset, 2},
    {"satellite", read_preset, 3},
};
#define KEYWORDS (sizeof keywords / sizeof keywords[0])

_Static_assert(KEYWORDS <= WORDS_MAX, "every word has its place");

static int keyword_find(struct impair_word word)
{
    for (unsigned i = 0; i < KEYWORDS; i++)
        if (impair_word_is(word, keywords[i].name))
            return (int)i;
    return -1;
}

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

/* Letters to change, add or take away that lead from a word to a name. */
static unsigned distance(struct impair_word word, const char *name)
{
    unsigned row[NEAR_WORD_MAX + 1];
    size_t width = strlen(name);
    for (unsigned j = 0; j <= width; j++)
        row[j] = j;
    for (unsigned i = 1; i <= word.length; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= width; j++) {
            unsigned above = row[j];
            row[j] =
                least(least(above, row[j - 1]) + 1, diagonal + (word.text[i - 1] != name[j - 1]));
            diagonal = above;
        }
    }
    return row[width];
}

static bool refuse_unknown(struct reader *reader)
{
    struct append to = append_start(reader->error->message, sizeof reader->error->message);
    const char *nearest = NULL;
    unsigned best = (unsigned)(reader->word.length / 3) + 2;
    for (unsigned i = 0; i < KEYWORDS && reader->word.length <= NEAR_WORD_MAX; i++) {
        unsigned steps = distance(reader->word, keywords[i].name);
        if (steps < best) {
            best = steps;
            nearest = keywords[i].name;
        }
    }
    reader->error->column = column(reader);
    append_string(&to, "unknown word ");
    append_quoted(&to, reader->word);
    if (nearest) {
        append_string(&to, "; did you mean ");
        append_string(&to, nearest);
        append_char(&to, '?');
    }
    return false;
}

static bool read_words(struct reader *reader)
{
    while (reader->word.length > 0) {
        int index = keyword_find(reader->word);
        if (index < 0)
            return refuse_unknown(reader);
        if (reader->columns[index])
            return refuse_at(reader, column(reader), "this word stands here twice");
        reader->columns[index] = column(reader);
        next(reader);
        if (!keywords[index].read(reader, keywords[index].argument))
            return false;
    }
    return true;
}

/* ---- What no word can tell alone ---- */

/* Column of a word of the line, or 0. */
static unsigned column_of(const struct reader *reader, const char *name)
{
    return reader->columns[keyword_find((struct impair_word){name, strlen(name)})];
}

/* Words that are nothing without others. */
static const struct {
    const char *word;
    uint32_t wants; /* one of these effects */
    const char *message;
} wants[] = {
    {"codel", IMPAIRMENT_RATE, "codel wants a rate in the same rule"},
    {"red", IMPAIRMENT_RATE, "red wants a rate in the same rule"},
    {"stall", IMPAIRMENT_RATE, "stall wants a rate in the same rule"},
    {"distribution", IMPAIRMENT_DELAY, "distribution wants a delay with its jitter"},
    {"gap", IMPAIRMENT_REORDER, "gap wants reorder in the same rule"},
    {"reorder-delay", IMPAIRMENT_REORDER, "reorder-delay wants reorder in the same rule"},
    {"limit", IMPAIRMENT_RATE | IMPAIRMENT_DELAY | IMPAIRMENT_REORDER,
     "limit wants a rate, delay or reorder in the same rule"},
};

/* Words of which a line has one at most, as pairs. */
static const char *const exclusive[][2] = {
    {"nth", "every"},  {"seq", "rawseq"},       {"codel", "red"},
    {"once", "count"}, {"once", "retransmits"}, {"count", "retransmits"},
};

static bool check_pairs(struct reader *reader)
{
    for (size_t i = 0; i < sizeof exclusive / sizeof exclusive[0]; i++) {
        unsigned first = column_of(reader, exclusive[i][0]);
        unsigned second = column_of(reader, exclusive[i][1]);
        if (first && second)
            return refuse_at(reader, first > second ? first : second,
                             "this word and one before it exclude each other");
    }
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++)
        if (column_of(reader, wants[i].word) && !(reader->line->impairment.does & wants[i].wants))
            return refuse_at(reader, column_of(reader, wants[i].word), wants[i].message);
    return true;
}

static bool has_one_of(const struct reader *reader, const char *const *names, size_t count)
{
    unsigned found = 0;
    for (size_t i = 0; i < count; i++)
        found += column_of(reader, names[i]) > 0;
    return found <= 1;
}

static bool check_line(struct reader *reader)
{
    static const char *const types[] = {"arp", "ip", "ipv6", "ethertype"};
    static const char *const protocols[] = {"icmp", "tcp", "udp", "protocol"};
    static const uint32_t losses = IMPAIRMENT_LOSS | IMPAIRMENT_GEMODEL | IMPAIRMENT_STATE;
    struct impairment *impairment = &reader->line->impairment;
    unsigned end = (unsigned)strlen(reader->text) + 1;
    if (!check_pairs(reader))
        return false;
    if (impairment->does == 0)
        return refuse_at(reader, end, "the line says which frames, but not what happens to them");
    if ((impairment->does & IMPAIRMENT_EXEMPT) && impairment->does != IMPAIRMENT_EXEMPT)
        return refuse_at(reader, column_of(reader, "exempt"), "exempt frames meet nothing else");
    if (!has_one_of(reader, types, 4) || !has_one_of(reader, protocols, 4))
        return refuse_at(reader, end, "a frame has one EtherType and one protocol");
    if (impairment->ecn && !(impairment->does & losses) &&
        impairment->rate.discipline == IMPAIRMENT_TAIL_DROP)
        return refuse_at(reader, column_of(reader, "ecn"),
                         "ecn wants loss, codel or red in the same rule");
    if (column_of(reader, "distribution") && impairment->delay.jitter_us == 0)
        return refuse_at(reader, column_of(reader, "distribution"),
                         "distribution wants a delay with its jitter");
    if (column_of(reader, "retransmits") && !(impairment->match.asks & MATCH_SEQUENCE))
        return refuse_at(reader, column_of(reader, "retransmits"), "retransmits wants seq");
    if ((impairment->match.asks & MATCH_SEQUENCE) && impairment->count == 0)
        impairment->count = 1; /* the segment, and none of its retransmissions */
    return true;
}

/* ---- A line ---- */

static bool read_line(const char *text, const char *words, struct impair_line *line,
                      struct impair_error *error, bool *preset)
{
    enum impair_direction direction = line->direction;
    struct reader reader = {.text = text, .at = words, .line = line, .error = error};
    memset(line, 0, sizeof *line);
    line->direction = direction;
    next(&reader);
    bool good = read_words(&reader) && check_line(&reader);
    *preset = reader.preset;
    return good;
}

int impair_text_parse(const char *text, struct impair_line lines[IMPAIR_LINES_MAX],
                      struct impair_error *error)
{
    static const char *const names[] = {"in", "out", "both"};
    struct reader reader = {.text = text, .at = text, .error = error};
    enum impair_direction direction = IMPAIR_BOTH;
    bool preset;
    next(&reader);
    const char *words = reader.word.text;
    for (unsigned i = 0; i < 3; i++) {
        if (!impair_word_is(reader.word, names[i]))
            continue;
        direction = (enum impair_direction)(i + 1);
        words = reader.at;
    }
    lines[0].direction = direction;
    if (!read_line(text, words, &lines[0], error, &preset))
        return -1;
    if (direction != IMPAIR_BOTH || !preset)
        return 1;
    for (int i = 0; i < 2; i++) {
        lines[i].direction = i == 0 ? IMPAIR_IN : IMPAIR_OUT;
        if (!read_line(text, words, &lines[i], error, &preset))
            return -1;
    }
    return 2;
}

/* ---- Writing ---- */

static void append_word(struct append *to, const char *word)
{
    append_char(to, ' ');
    append_string(to, word);
}

static void append_number(struct append *to, const char *word, uint64_t number)
{
    append_word(to, word);
    append_char(to, ' ');
    append_decimal(to, number);
}

static void append_share(struct append *to, uint32_t ppm)
{
    append_char(to, ' ');
    impair_append_share(to, ppm);
}

static void append_time(struct append *to, const char *word, uint64_t us)
{
    append_word(to, word);
    append_char(to, ' ');
    impair_append_time(to, us);
}

static void append_amount(struct append *to, const char *word,
                          const struct impairment_amount *amount)
{
    append_word(to, word);
    append_char(to, ' ');
    impair_append_amount(to, amount);
}

static void append_chance(struct append *to, const char *word,
                          const struct impairment_chance *chance)
{
    append_word(to, word);
    append_share(to, chance->ppm);
    if (chance->correlation_ppm)
        append_share(to, chance->correlation_ppm);
}

/* The word that reads to this function and argument, or NULL. */
static const char *word_of(bool (*read)(struct reader *, unsigned), unsigned argument)
{
    for (unsigned i = 0; i < KEYWORDS; i++)
        if (keywords[i].read == read && keywords[i].argument == argument)
            return keywords[i].name;
    return NULL;
}

/* A short word for a number, or the long one with the number. */
static void append_named(struct append *to, bool (*set)(struct reader *, unsigned), uint32_t number,
                         const char *otherwise)
{
    const char *word = word_of(set, number);
    if (word)
        append_word(to, word);
    else
        append_number(to, otherwise, number);
}

static void append_places(struct append *to, const struct match *match)
{
    for (unsigned i = 0; i < MATCH_PLACES; i++) {
        char text[IP_ADDRESS_TEXT_MAX];
        const struct match_network *network = &match->network[i];
        struct ip_address address = ip_address_from_v4(network->v4);
        if (network->prefix_bits == 0)
            continue;
        append_word(to, word_of(read_network, i));
        ip_address_format(&address, text);
        append_word(to, network->v4 ? text : "0.0.0.0");
        if (network->prefix_bits < 32)
            append_field(to, "/", network->prefix_bits);
    }
    for (unsigned i = 0; i < MATCH_PLACES; i++) {
        const struct match_ports *ports = &match->ports[i];
        if (ports->first == 0)
            continue;
        append_number(to, word_of(read_ports, i), ports->first);
        if (ports->last != ports->first)
            append_field(to, "-", ports->last);
    }
}

static void append_match(struct append *to, const struct match *match)
{
    size_t before = to->length;
    append_word(to, "match");
    size_t begin = to->length;
    if (match->asks & MATCH_ETHERTYPE)
        append_named(to, set_ethertype, match->ethertype, "ethertype");
    if (match->asks & MATCH_PROTOCOL)
        append_named(to, set_protocol, match->protocol, "protocol");
    append_places(to, match);
    if (match->asks & MATCH_FLAGS)
        append_word(to, "flags ");
    for (unsigned i = 0; i < 8; i++)
        if (match->asks & MATCH_FLAGS && match->flags & 1U << i)
            append_char(to, flag_letters[i]);
    if (match->asks & MATCH_LENGTH) {
        append_number(to, "length", match->length_first);
        if (match->length_last != match->length_first)
            append_field(to, "-", match->length_last);
    }
    if (match->asks & MATCH_SEQUENCE)
        append_number(to, match->asks & MATCH_RAW_NUMBER ? "rawseq" : "seq", match->sequence);
    if (match->asks & (MATCH_NTH | MATCH_EVERY))
        append_number(to, match->asks & MATCH_NTH ? "nth" : "every", match->nth);
    if (to->length == begin) {
        to->length = before;
        to->text[before] = '\0';
    }
}

static void append_losses(struct append *to, const struct impairment *impairment)
{
    if (impairment->does & IMPAIRMENT_LOSS)
        append_chance(to, "loss", &impairment->loss);
    if (impairment->does & IMPAIRMENT_GEMODEL) {
        const struct impairment_gemodel *model = &impairment->gemodel;
        append_word(to, "gemodel");
        append_share(to, model->p_ppm);
        append_share(to, model->r_ppm);
        append_share(to, model->bad_loss_ppm);
        append_share(to, model->good_loss_ppm);
    }
    if (impairment->does & IMPAIRMENT_STATE) {
        const struct impairment_states *states = &impairment->states;
        append_word(to, "loss state");
        append_share(to, states->p13_ppm);
        append_share(to, states->p31_ppm);
        append_share(to, states->p32_ppm);
        append_share(to, states->p23_ppm);
        append_share(to, states->p14_ppm);
    }
}

static void append_signed(struct append *to, int32_t number)
{
    append_string(to, number < 0 ? " -" : " ");
    append_decimal(to, (uint64_t)(number < 0 ? -(int64_t)number : number));
}

static void append_rate(struct append *to, const struct impairment_rate *rate)
{
    append_word(to, "rate ");
    impair_append_rate(to, rate->bits_per_second);
    if (rate->overhead_bytes || rate->cell_bytes)
        append_signed(to, rate->overhead_bytes);
    if (rate->cell_bytes) {
        append_signed(to, (int32_t)rate->cell_bytes);
        append_signed(to, rate->cell_overhead_bytes);
    }
    if (rate->discipline == IMPAIRMENT_CODEL) {
        append_time(to, "codel target", rate->codel_target_us);
        append_time(to, "interval", rate->codel_interval_us);
    } else if (rate->discipline == IMPAIRMENT_RED) {
        append_amount(to, "red min", &rate->red_min);
        append_amount(to, "max", &rate->red_max);
        append_word(to, "prob");
        append_share(to, rate->red_ppm);
    }
    if (rate->stall_us) {
        append_time(to, "stall", rate->stall_us);
        append_time(to, "every", rate->stall_every_us);
    }
    if (rate->stall_bits_per_second) {
        append_word(to, "at ");
        impair_append_rate(to, rate->stall_bits_per_second);
    }
}

static void append_times(struct append *to, const struct impairment *impairment)
{
    const struct impairment_delay *delay = &impairment->delay;
    if (impairment->does & IMPAIRMENT_DELAY) {
        append_time(to, "delay", delay->delay_us);
        if (delay->jitter_us || delay->correlation_ppm) {
            append_char(to, ' ');
            impair_append_time(to, delay->jitter_us);
        }
        if (delay->correlation_ppm)
            append_share(to, delay->correlation_ppm);
        if (delay->distribution != IMPAIRMENT_UNIFORM)
            append_word(to, "distribution "), append_string(to, distributions[delay->distribution]);
    }
    if (!(impairment->does & IMPAIRMENT_REORDER))
        return;
    append_chance(to, "reorder", &impairment->reorder.chance);
    if (impairment->reorder.gap)
        append_number(to, "gap", impairment->reorder.gap);
    if (impairment->reorder.hold_us)
        append_time(to, "reorder-delay", impairment->reorder.hold_us);
}

static void append_life(struct append *to, const struct impairment *impairment)
{
    if (impairment->after_us)
        append_time(to, "after", impairment->after_us);
    if (impairment->for_us)
        append_time(to, "for", impairment->for_us);
    if (impairment->count == 0)
        return;
    if (impairment->match.asks & MATCH_SEQUENCE)
        append_number(to, "retransmits", impairment->count - 1);
    else if (impairment->count == 1)
        append_word(to, "once");
    else
        append_number(to, "count", impairment->count);
}

size_t impair_text_format(const struct impair_line *line, char *text)
{
    static const char *const names[] = {"", "in", "out", "both"};
    const struct impairment *impairment = &line->impairment;
    struct append to = append_start(text, IMPAIR_TEXT_MAX);
    append_string(&to, names[line->direction]);
    append_match(&to, &impairment->match);
    if (impairment->does & IMPAIRMENT_EXEMPT)
        append_word(&to, "exempt");
    if (impairment->does & IMPAIRMENT_BLACKHOLE)
        append_word(&to, "blackhole");
    if (impairment->does & IMPAIRMENT_MTU)
        append_number(&to, "mtu", impairment->mtu_bytes);
    if (impairment->does & IMPAIRMENT_DROP)
        append_word(&to, "drop");
    append_losses(&to, impairment);
    if (impairment->does & IMPAIRMENT_DUPLICATE)
        append_chance(&to, "duplicate", &impairment->duplicate);
    if (impairment->does & IMPAIRMENT_CORRUPT)
        append_chance(&to, "corrupt", &impairment->corrupt);
    if (impairment->does & IMPAIRMENT_BITERROR) {
        append_word(&to, "biterror ");
        impair_append_biterror(&to, impairment->biterror_ppt);
    }
    if (impairment->does & IMPAIRMENT_RATE)
        append_rate(&to, &impairment->rate);
    append_times(&to, impairment);
    if (impairment->limit.count)
        append_amount(&to, "limit", &impairment->limit);
    if (impairment->ecn)
        append_word(&to, "ecn");
    append_life(&to, impairment);
    return to.length;
}
