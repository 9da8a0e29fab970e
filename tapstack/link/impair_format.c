/* Impairments as text, written: the line that reads to the same. */
#include "impair_reader.h"

#include "../wire/address.h"

static const char *const network_words[] =
    {[MATCH_SOURCE] = "from", [MATCH_DESTINATION] = "to", [MATCH_EITHER] = "host"};
static const char *const port_words[] =
    {[MATCH_SOURCE] = "sport", [MATCH_DESTINATION] = "dport", [MATCH_EITHER] = "port"};

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

/* A short word for a number, or the long one with the number. */
static void append_named(struct append *to, const char *word, uint32_t number,
                         const char *otherwise)
{
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
        append_word(to, network_words[i]);
        ip_address_format(&address, text);
        append_word(to, network->v4 ? text : "0.0.0.0");
        if (network->prefix_bits < 32)
            append_field(to, "/", network->prefix_bits);
    }
    for (unsigned i = 0; i < MATCH_PLACES; i++) {
        const struct match_ports *ports = &match->ports[i];
        if (ports->first == 0)
            continue;
        append_number(to, port_words[i], ports->first);
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
        append_named(to, impair_ethertype_word(match->ethertype), match->ethertype, "ethertype");
    if (match->asks & MATCH_PROTOCOL)
        append_named(to, impair_protocol_word(match->protocol), match->protocol, "protocol");
    append_places(to, match);
    if (match->asks & MATCH_FLAGS)
        append_word(to, "flags ");
    for (unsigned i = 0; i < 8; i++)
        if (match->asks & MATCH_FLAGS && match->flags & 1U << i)
            append_char(to, impair_flag_letters[i]);
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
            append_word(to, "distribution "),
                append_string(to, impair_distributions[delay->distribution]);
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
