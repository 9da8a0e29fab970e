/* Finds the rules that may match a packet without trying each: a set of rules, as bits, for every
   value of every byte that the rules ask about. */
#ifndef TAPSTACK_CORE_FILTER_INDEX_H
#define TAPSTACK_CORE_FILTER_INDEX_H

#include <stdint.h>

#include "pool.h"

struct filter_list;
struct filter_key;

enum {
    FILTER_INDEX_BYTES = 17, /* addresses, protocol, flags or type, ports, interfaces, state */
    FILTER_INDEX_VALUES = 256,
    FILTER_INDEX_LEAST = 16, /* rules; fewer are tried one by one */
};

/* All zero: there is none. */
struct filter_index {
    uint64_t *rows; /* for each byte in use and each value of it, words of 64 rules */
    uint32_t words; /* of a row */
    uint8_t count;  /* bytes in use */
    uint8_t byte[FILTER_INDEX_BYTES]; /* which; the one that tells most rules apart first */
};

/* Makes the index of a list whose entries are compiled. Returns 0 or STACK_NO_MEMORY. */
int filter_index_open(struct filter_index *index, struct pool *pool,
                      const struct filter_list *list);

/* The entries have been compiled anew for other interfaces; the criteria are the same. */
void filter_index_refill(struct filter_index *index, const struct filter_list *list);

void filter_index_close(struct filter_index *index, struct pool *pool);

/* Where a packet's rows begin; NULL behind the last. */
struct filter_rows {
    const uint64_t *row[FILTER_INDEX_BYTES + 1];
};
void filter_index_look(const struct filter_index *index, const struct filter_key *key,
                       struct filter_rows *rows);

/* The rules from 64 * word on that may match: those whose bit is missing do not. */
static inline uint64_t filter_index_candidates(const struct filter_rows *rows, uint32_t word)
{
    uint64_t candidates = UINT64_MAX;
    for (const uint64_t *const *row = rows->row; *row && candidates; row++)
        candidates &= (*row)[word];
    return candidates;
}

#endif
