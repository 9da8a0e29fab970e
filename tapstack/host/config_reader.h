/* Reading the configuration file: what its parts (config*.c) share.

     config.c        the file, its sections, interfaces and the bridge, what holds without a file
     config_key.c    the keys, what each reads, and what is said of one that is wrong
     config_place.c  the text: comments, sections, and the place of an error in it
     config_check.c  what no key can tell alone */
#ifndef TAPSTACK_HOST_CONFIG_READER_H
#define TAPSTACK_HOST_CONFIG_READER_H

#include <confuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "quantity.h"

enum {
    CONFIG_WORD_MAX = 64,
    CONFIG_ELSEWHERE = CONFIG_INTERFACES_MAX, /* a section that is no interface */
};

struct config_reader {
    struct config config; /* what has been read so far */
    const char *path;
    char *text; /* the file, comments blanked out */
    char *error;
    unsigned error_bytes;
    cfg_t *file;                        /* while libconfuse reads */
    struct config_interface *interface; /* that the key being read is of */
    bool first_given;                   /* a key of the interface before the sections was */
};

/* The reader at work: libconfuse hands no pointer of ours to its callbacks. */
extern struct config_reader *config_reading;

/* ---- config_key.c ---- */

struct config_key {
    const char *name;
    int (*read)(const struct config_key *key, const char *word); /* 0, or -1: not as `wants` says */
    size_t offset; /* in struct config, or struct config_interface */
    size_t size;
    bool of_interface;
    enum quantity_kind kind; /* for quantities */
    uint64_t least, most;
    const char *wants; /* for the others: what the value has to be */
    bool list;         /* { word, word, ... }: read is called for each */
};

/* Of the first level alone; of an interface, there or in a section of its own; of a cable. Each ends
   with a row without a name. */
extern const struct config_key config_keys[], config_interface_keys[], config_cable_keys[];

/* The row of a key, or NULL. */
const struct config_key *config_table_find(const struct config_key *key, const char *name);

/* Reads the value of a key of a section, into the reader's configuration. Returns 0, or -1 with the
   error written. */
int config_set_key(const cfg_t *section, const char *name, const char *word);

/* libconfuse's own errors. */
void config_parse_error(cfg_t *section, const char *format, va_list arguments);

/* ---- config_place.c ---- */

/* Puts blanks in the place of comments; lines and columns stay. */
void config_blank_comments(char *text);

/* libconfuse takes the end of the file for the end of a section. Complains when one is not closed and
   returns -1. Comments are gone, and quotes are closed, or it would have complained. */
int config_check_braces(void);

/* The line that sets a key, for errors that show only when all is read; 0 when none does. name
   NULL: where the section begins. section: 0 before all sections, else the number of a section
   `interface`, its cable included, or CONFIG_ELSEWHERE. */
int config_line_of(unsigned section, const char *name);

/* The key to blame: the second one, where the file leaves the first at its default. */
const char *config_blame(unsigned section, const char *key, const char *other);

/* Writes the place and the text, unless an earlier error stands there. key and word: where the
   error is; word is looked for behind key. NULL or not found: the first thing in the line. */
__attribute__((format(printf, 4, 5))) void
config_complain(int line, const char *key, const char *word, const char *format, ...);

/* Complains where the key is set, or else of the whole section. */
#define CONFIG_REFUSE_IN(section, key, ...)                                                        \
    (config_complain(config_line_of(section, config_line_of(section, key) ? key : NULL), key,      \
                     NULL, __VA_ARGS__),                                                           \
     -1)
#define CONFIG_REFUSE(key, ...) CONFIG_REFUSE_IN(0, key, __VA_ARGS__)

/* ---- config_check.c ---- Each returns 0, or -1 with the error written. ---- */

/* What no key can tell alone. */
int config_check(const struct config *config);

/* The same of one interface. section: its number in the file. */
int config_check_interface(const struct config *config, unsigned index, unsigned section);

bool config_same_place(const struct config_interface *a, const struct config_interface *b);

#endif
