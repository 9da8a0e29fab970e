/* The console's commands: one table, from which parsing, help and completion are made. */
#ifndef TAPSTACK_CLI_COMMAND_H
#define TAPSTACK_CLI_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
    COMMAND_WORDS_MAX = 64, /* of a line */
    COMMAND_ARGUMENTS_MAX = 8,
};

struct console;

/* arguments, as help shows them: `WORD` must be given, `[WORD]` may be, `[key WORD]` is a pair that
   may stand anywhere, `[key]` is a flag, `WORD...` is all the rest of the line, as one text. The
   request gets them under the key's name, or under the word's in small letters. */
struct command {
    const char *words; /* "show connections" */
    const char *arguments;
    const char *help;
    const char *request;                            /* of the control protocol; NULL: none */
    bool writes;                                    /* the right to change is asked for first */
    void (*print)(FILE *out, const json_t *answer); /* as text */
    /* Does it in its own way; arguments stay the caller's. NULL: ask, and print. Returns 0, or -1
       with remote.error. */
    int (*run)(struct console *console, const struct command *command, json_t *arguments);
};

extern const struct command command_list[]; /* console.c; ended by one without words */

/* One argument of a command, read from its text. */
struct command_slot {
    char key[16];  /* "" for a positional one */
    char word[16]; /* "" for a flag */
    bool optional;
    bool rest; /* takes all words that are left */
};
/* slots: COMMAND_ARGUMENTS_MAX. Returns how many there are. */
int command_slots(const struct command *command, struct command_slot *slots);

/* Cuts a line into words, in place: spaces separate, quotes hold together, a word that starts with
   # ends the line. Returns how many, or -1 with error (error_size bytes) filled in. */
int command_split(char *line, char **words, int max, char *error, size_t error_size);

/* Finds the command that the words start with; each word may be cut short as long as it is clear.
   Returns NULL with error filled in. used: how many words were the command's. */
const struct command *command_find(char *const *words, int count, int *used, char *error,
                                   size_t error_size);

/* Reads a command's arguments. Returns an object, or NULL with error filled in. */
json_t *command_arguments(const struct command *command, char *const *words, int count, char *error,
                          size_t error_size);

/* What may come behind these words: literal words (pointing into text: room of text_size bytes)
   into list, and the name of a value to be given (WORD of a slot, static) into value, or NULL.
   Returns how many literal words. */
int command_candidates(char *const *words, int count, const char **list, int max, char *text,
                       size_t text_size, char *value, size_t value_size);

#endif
