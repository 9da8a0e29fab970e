/* Finds the rules that may match a packet without trying each.

   A packet has bytes that rules ask about. For each byte and each of its 256 values there is a row
   of bits, one a rule: set when the rule could still match a packet with this value there. The
   packet's rows, one for each byte, are combined with `and`, 64 rules at a time; what is left is
   tried in order (filter_find). So the first match is found with a few operations for 64 rules
   instead of for one (the scheme is Lakshman's and Stiliadis's, SIGCOMM 1998).

   The index only ever leaves too many: what does not fit bytes (an address or port with `not`, a
   range of ports that crosses a multiple of 256) sets the bit in every row. Bytes that no rule asks
   about have no rows. Memory: 2 KiB for each byte in use and 64 rules. */
#include "filter_index.h"

#include <string.h>

#include "filter.h"

enum {
    BYTE_SOURCE = 0,
    BYTE_DESTINATION = 4,
    BYTE_PROTOCOL = 8,
    BYTE_DETAIL = 9, /* TCP flags or ICMP type */
    BYTE_SOURCE_PORT = 10,
    BYTE_DESTINATION_PORT = 12,
    BYTE_IN = 14, /* interface in, interface out, state: filter_trait_values */
};

/* The values of a byte that a rule takes: a bit each. */
struct values {
    uint64_t bits[FILTER_INDEX_VALUES / 64];
};

/* ---- What a rule takes ---- */

static void take_all(struct values *values) { memset(values, 0xff, sizeof *values); }

static bool values_are_all(const struct values *values)
{
    return (values->bits[0] & values->bits[1] & values->bits[2] & values->bits[3]) == UINT64_MAX;
}

static void take_range(struct values *values, uint8_t first, uint8_t last)
{
    memset(values, 0, sizeof *values);
    for (unsigned value = first; value <= last; value++)
        values->bits[value / 64] |= UINT64_C(1) << value % 64;
}

/* Those that are the same as value in the bits of the mask. */
static void take_masked(struct values *values, uint8_t value, uint8_t mask)
{
    memset(values, 0, sizeof *values);
    for (unsigned other = 0; other < FILTER_INDEX_VALUES; other++)
        if (((other ^ value) & mask) == 0)
            values->bits[other / 64] |= UINT64_C(1) << other % 64;
}

/* at: 0 to 3, the octets of an address. */
static void take_octet(struct values *values, const struct filter_rule *rule,
                       enum filter_criterion has, const struct filter_address *address, unsigned at)
{
    uint32_t mask = address->prefix_bits ? UINT32_MAX << (32 - address->prefix_bits) : 0;
    unsigned shift = 24 - 8 * at;
    uint8_t octet_mask = (uint8_t)(mask >> shift);
    if (!(rule->given & has) || rule->negated & has || octet_mask == 0)
        take_all(values);
    else
        take_masked(values, (uint8_t)(address->v4 >> shift), octet_mask);
}

/* at: 0 the upper byte of a port, 1 the lower. */
static void take_port(struct values *values, const struct filter_rule *rule,
                      enum filter_criterion has, const struct filter_ports *ports, unsigned at)
{
    uint8_t first = (uint8_t)(ports->first >> 8), last = (uint8_t)(ports->last >> 8);
    if (!(rule->given & has) || rule->negated & has || (at == 1 && first != last))
        take_all(values);
    else if (at == 0)
        take_range(values, first, last);
    else
        take_range(values, (uint8_t)ports->first, (uint8_t)ports->last);
}

static void take_detail(struct values *values, const struct filter_rule *rule)
{
    if (rule->given & FILTER_HAS_FLAGS)
        take_masked(values, rule->flags, rule->flags_mask);
    else if (rule->given & FILTER_HAS_TYPE)
        take_range(values, rule->type, rule->type);
    else
        take_all(values);
}

static void take_protocol(struct values *values, const struct filter_rule *rule)
{
    if (rule->given & FILTER_HAS_PROTOCOL)
        take_range(values, rule->protocol, rule->protocol);
    else
        take_all(values);
}

/* The values of a byte that rule number at of a list takes. */
static void take_byte(struct values *values, const struct filter_list *list, uint32_t at,
                      unsigned byte)
{
    const struct filter_rule *rule = &list->rule[at];
    if (byte < BYTE_DESTINATION)
        take_octet(values, rule, FILTER_HAS_SOURCE, &rule->source, byte - BYTE_SOURCE);
    else if (byte < BYTE_PROTOCOL)
        take_octet(values, rule, FILTER_HAS_DESTINATION, &rule->destination,
                   byte - BYTE_DESTINATION);
    else if (byte == BYTE_PROTOCOL)
        take_protocol(values, rule);
    else if (byte == BYTE_DETAIL)
        take_detail(values, rule);
    else if (byte < BYTE_DESTINATION_PORT)
        take_port(values, rule, FILTER_HAS_SOURCE_PORT, &rule->source_port,
                  byte - BYTE_SOURCE_PORT);
    else if (byte < BYTE_IN)
        take_port(values, rule, FILTER_HAS_DESTINATION_PORT, &rule->destination_port,
                  byte - BYTE_DESTINATION_PORT);
    else
        filter_trait_values(list, at, byte - BYTE_IN, values->bits);
}

/* ---- Building ---- */

/* Chooses the bytes that rules ask about, the one that most of them ask about first. */
static void choose_bytes(struct filter_index *index, const struct filter_list *list)
{
    uint32_t asked[FILTER_INDEX_BYTES];
    struct values values;
    for (unsigned byte = 0; byte < FILTER_INDEX_BYTES; byte++) {
        uint32_t rules = 0;
        for (uint32_t i = 0; i < list->count; i++) {
            take_byte(&values, list, i, byte);
            rules += !values_are_all(&values);
        }
        if (rules == 0)
            continue;
        unsigned at = index->count++;
        for (; at > 0 && asked[at - 1] < rules; at--) {
            asked[at] = asked[at - 1];
            index->byte[at] = index->byte[at - 1];
        }
        asked[at] = rules;
        index->byte[at] = (uint8_t)byte;
    }
}

static uint64_t *index_row(const struct filter_index *index, unsigned at, unsigned value)
{
    return index->rows + ((size_t)at * FILTER_INDEX_VALUES + value) * index->words;
}

/* Sets a rule's bit in the rows of the values it takes. */
static void set_values(const struct filter_index *index, unsigned at, const struct values *values,
                       uint32_t rule)
{
    uint64_t bit = UINT64_C(1) << rule % 64;
    for (unsigned word = 0; word < FILTER_INDEX_VALUES / 64; word++)
        for (uint64_t bits = values->bits[word]; bits; bits &= bits - 1)
            index_row(index, at, word * 64 + (unsigned)__builtin_ctzll(bits))[rule / 64] |= bit;
}

/* Fills the rows of one byte: the rules that take all values stand in every row. */
static void fill_rows(const struct filter_index *index, unsigned at, const struct filter_list *list)
{
    uint64_t *first = index_row(index, at, 0);
    size_t row_bytes = index->words * sizeof *first;
    struct values values;
    memset(first, 0, row_bytes);
    for (uint32_t i = 0; i < list->count; i++) {
        take_byte(&values, list, i, index->byte[at]);
        if (values_are_all(&values))
            first[i / 64] |= UINT64_C(1) << i % 64;
    }
    for (unsigned value = 1; value < FILTER_INDEX_VALUES; value++)
        memcpy(index_row(index, at, value), first, row_bytes);
    for (uint32_t i = 0; i < list->count; i++) {
        take_byte(&values, list, i, index->byte[at]);
        if (!values_are_all(&values))
            set_values(index, at, &values, i);
    }
}

static size_t index_bytes(const struct filter_index *index)
{
    return (size_t)index->count * FILTER_INDEX_VALUES * index->words * sizeof *index->rows;
}

int filter_index_open(struct filter_index *index, struct pool *pool, const struct filter_list *list)
{
    *index = (struct filter_index){.words = (list->count + 63) / 64};
    if (list->count < FILTER_INDEX_LEAST)
        return 0;
    choose_bytes(index, list);
    if (index->count == 0)
        return 0;
    index->rows = pool_take(pool, index_bytes(index));
    if (!index->rows)
        return STACK_NO_MEMORY;
    for (unsigned at = 0; at < index->count; at++)
        fill_rows(index, at, list);
    return 0;
}

void filter_index_refill(struct filter_index *index, const struct filter_list *list)
{
    for (unsigned at = 0; at < index->count; at++)
        if (index->byte[at] >= BYTE_IN)
            fill_rows(index, at, list);
}

void filter_index_close(struct filter_index *index, struct pool *pool)
{
    pool_give(pool, index->rows, index_bytes(index));
    *index = (struct filter_index){0};
}

/* ---- Looking ---- */

void filter_index_look(const struct filter_index *index, const struct filter_key *key,
                       struct filter_rows *rows)
{
    uint8_t byte[FILTER_INDEX_BYTES] = {
        (uint8_t)(key->source >> 24),
        (uint8_t)(key->source >> 16),
        (uint8_t)(key->source >> 8),
        (uint8_t)key->source,
        (uint8_t)(key->destination >> 24),
        (uint8_t)(key->destination >> 16),
        (uint8_t)(key->destination >> 8),
        (uint8_t)key->destination,
        (uint8_t)key->kind,
        (uint8_t)(key->kind >> 8),
        (uint8_t)(key->source_port >> 8),
        (uint8_t)key->source_port,
        (uint8_t)(key->destination_port >> 8),
        (uint8_t)key->destination_port,
    };
    unsigned at = 0;
    filter_trait_bytes(key, byte + BYTE_IN);
    for (; at < index->count; at++)
        rows->row[at] = index_row(index, at, byte[index->byte[at]]);
    rows->row[at] = NULL;
}
