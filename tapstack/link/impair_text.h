/* Impairments as text: "out loss 1% 25%", "in delay 20ms 2ms distribution normal", "both match tcp port
   80 flags S nth 1 drop". The words are those of tc-netem(8) where it has one; all are listed in
   tapctl(8). */
#ifndef TAPSTACK_LINK_IMPAIR_TEXT_H
#define TAPSTACK_LINK_IMPAIR_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "impairment.h"

enum impair_direction {
    IMPAIR_IN = 1,  /* towards the stack */
    IMPAIR_OUT = 2, /* away from it */
    IMPAIR_BOTH = 3,
};

enum {
    IMPAIR_TEXT_MAX = 768, /* of one line, with its NUL */
    IMPAIR_LINES_MAX = 2,  /* that one text stands for */
    IMPAIR_ERROR_MAX = 160,
};

struct impair_line {
    enum impair_direction direction;
    struct impairment impairment;
};

struct impair_error {
    unsigned column; /* from 1: where the text goes wrong */
    char message[IMPAIR_ERROR_MAX];
};

/* Reads a text. It stands for one line, or for two, where a preset differs by direction.
   Returns how many were written to lines, or -1 with error filled in. */
int impair_text_parse(const char *text, struct impair_line lines[IMPAIR_LINES_MAX],
                      struct impair_error *error);

/* Writes a line so that reading it gives the same line again, with its NUL. text: IMPAIR_TEXT_MAX
   bytes. Returns its length. */
size_t impair_text_format(const struct impair_line *line, char *text);

/* A network that many people know, as one rule each way. */
struct impair_preset {
    const char *name, *in, *out, *what;
};

/* The presets, ended by one without a name. */
extern const struct impair_preset impair_presets[];

#endif
