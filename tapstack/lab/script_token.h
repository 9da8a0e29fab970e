/* Private to the script parser: characters to tokens, and the memory of a script. */
#ifndef TAPSTACK_LAB_SCRIPT_TOKEN_H
#define TAPSTACK_LAB_SCRIPT_TOKEN_H

#include <setjmp.h>

#include "script.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,     /* letters, digits, `_` */
    TOKEN_INTEGER,  /* decimal, 0x..., 'c' */
    TOKEN_DECIMAL,  /* with a point: seconds */
    TOKEN_TEXT,     /* "quoted" */
    TOKEN_COMMAND,  /* `quoted` */
    TOKEN_CODE,     /* %{ ... }% */
    TOKEN_OPTION,   /* --name=value, at the start of a line */
    TOKEN_ELLIPSIS, /* ... */
    TOKEN_SIGN,     /* one character, or two as << >> */
};

struct token {
    enum token_kind kind;
    struct script_place place;
    const char *text; /* into the script's text */
    size_t size;
    int64_t integer; /* of TOKEN_INTEGER */
};

struct reader {
    struct script *script;
    const char *at, *end, *line_start;
    int line;
    struct token token;   /* the one to look at */
    const char *last_end; /* where the token before it ends */
    unsigned depth;       /* of values in values */
    struct script_error *error;
    jmp_buf failed;
};

/* Fails: fills in the error and leaves the parser. */
__attribute__((noreturn, format(printf, 3, 4))) void
script_fail(struct reader *reader, struct script_place place, const char *format, ...);

/* Reads the next token. */
void token_next(struct reader *reader);

/* Reads on from a place inside of the text as words of TCP flags: letters, `.` and `-`. */
struct token token_flags(struct reader *reader);

/* In the place of token_next: reads letters and digits, though they may look like a number. */
struct token token_hexadecimal(struct reader *reader);

bool token_is(const struct reader *reader, const char *sign);      /* a sign */
bool token_is_word(const struct reader *reader, const char *word); /* a word */
bool token_accept(struct reader *reader, const char *sign);        /* and reads on */
void token_expect(struct reader *reader, const char *sign);

/* "`name`" or what else stands there, for messages. */
const char *token_describe(const struct token *token, char *text, size_t size);

/* Zeroed memory of the script, and a copy of text with a NUL. */
void *script_allocate(struct reader *reader, size_t size);
const char *script_copy(struct reader *reader, const char *text, size_t size);

/* Private to the parser's files. */
struct script_value *script_parse_value(struct reader *reader);
struct script_value *script_parse_result(struct reader *reader);
int64_t script_parse_integer(struct reader *reader, int64_t least, int64_t most, const char *what);
void script_parse_packet(struct reader *reader, struct script_packet *packet);

#endif
