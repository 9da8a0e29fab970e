/* Reading impairments: what its parts share.

     impair_text.c    a line: its words, what is said of a wrong one, what no word can tell alone
     impair_word.c    the words and what each reads
     impair_format.c  a line written */
#ifndef TAPSTACK_LINK_IMPAIR_READER_H
#define TAPSTACK_LINK_IMPAIR_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "impair_quantity.h"
#include "impair_text.h"

enum { IMPAIR_WORDS_MAX = 64 /* of the table */ };

struct impair_reader {
    const char *text, *at;
    struct impair_word word; /* the one being read; length 0: none is left */
    struct impair_line *line;
    struct impair_error *error;
    unsigned columns[IMPAIR_WORDS_MAX]; /* where each word of the table stood; 0: nowhere */
    bool preset;                        /* one that differs by direction */
};

/* ---- impair_text.c ---- */

/* Goes on to the next word. */
void impair_next(struct impair_reader *reader);

/* Column of the word at hand, from 1. */
unsigned impair_column(const struct impair_reader *reader);

/* Complain of the word at hand, or of a column. Both return false. */
bool impair_refuse(struct impair_reader *reader, const char *wants);
bool impair_refuse_at(struct impair_reader *reader, unsigned at, const char *what);

/* Reads the words of impair_presets[index] in the place of its name. */
bool impair_read_preset(struct impair_reader *reader, unsigned index);

/* ---- impair_word.c ---- */

struct impair_keyword {
    const char *name;
    /* The word at hand is the one behind it. Returns false with the error written. */
    bool (*read)(struct impair_reader *reader, unsigned argument);
    unsigned argument;
};

/* In the order of a written line; ended by one without a name. */
extern const struct impair_keyword impair_keywords[];

/* The word that stands for an EtherType or a protocol, or NULL. */
const char *impair_ethertype_word(uint16_t ethertype);
const char *impair_protocol_word(uint8_t protocol);

/* TCP's flags, bit 0 first, as tcpdump has them. */
extern const char impair_flag_letters[];
/* By enum impairment_distribution. */
extern const char *const impair_distributions[];

#endif
