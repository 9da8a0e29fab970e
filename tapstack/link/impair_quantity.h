/* Private to impair_text*: numbers with their units, read from a word and written behind a text. */
#ifndef TAPSTACK_LINK_IMPAIR_QUANTITY_H
#define TAPSTACK_LINK_IMPAIR_QUANTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../wire/append.h"
#include "impairment.h"

/* A word: length bytes, not closed. */
struct impair_word {
    const char *text;
    size_t length;
};

bool impair_word_is(struct impair_word word, const char *text);

/* Each returns false when the word is none of its kind, or does not come out whole. */
bool impair_read_number(struct impair_word word, uint64_t *number); /* 12, 0x88cc */
bool impair_read_share(struct impair_word word, uint32_t *ppm);     /* 0.5%, at most 100% */
bool impair_read_time(struct impair_word word, uint64_t *us);       /* 20ms, at most a day */
bool impair_read_rate(struct impair_word word, uint64_t *bits);     /* 10mbit, 100kbps (bytes) */
bool impair_read_biterror(struct impair_word word, uint64_t *ppt);  /* 1e-6, 0.0001% */
bool impair_read_amount(struct impair_word word, struct impairment_amount *amount); /* 50, 64k */

void impair_append_share(struct append *to, uint32_t ppm);
void impair_append_time(struct append *to, uint64_t us);
void impair_append_rate(struct append *to, uint64_t bits);
void impair_append_biterror(struct append *to, uint64_t ppt);
void impair_append_amount(struct append *to, const struct impairment_amount *amount);

#endif
