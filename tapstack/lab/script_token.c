/* Private to the script parser: characters to tokens, and the memory of a script. */
#include "script_token.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct script_block {
    struct script_block *next;
    max_align_t bytes[];
};

void *script_allocate(struct reader *reader, size_t size)
{
    struct script_block *block = calloc(1, sizeof *block + size);
    if (!block)
        script_fail(reader, reader->token.place, "out of memory");
    block->next = reader->script->blocks;
    reader->script->blocks = block;
    return block->bytes;
}

const char *script_copy(struct reader *reader, const char *text, size_t size)
{
    char *copy = script_allocate(reader, size + 1);
    memcpy(copy, text, size);
    return copy;
}

void script_destroy(struct script *script)
{
    if (!script)
        return;
    while (script->blocks) {
        struct script_block *block = script->blocks;
        script->blocks = block->next;
        free(block);
    }
    free(script);
}

void script_fail(struct reader *reader, struct script_place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reader->error->text, sizeof reader->error->text, format, arguments);
    va_end(arguments);
    reader->error->place = place;
    longjmp(reader->failed, 1);
}

/* ---- Characters ---- */

static struct script_place place_of(const struct reader *reader, const char *at)
{
    return (struct script_place){reader->line, (int)(at - reader->line_start) + 1};
}

static bool starts(const struct reader *reader, const char *text)
{
    size_t size = strlen(text);
    return (size_t)(reader->end - reader->at) >= size && memcmp(reader->at, text, size) == 0;
}

/* Moves over size characters, counting lines. */
static void advance(struct reader *reader, size_t size)
{
    for (; size > 0; size--)
        if (*reader->at++ == '\n') {
            reader->line++;
            reader->line_start = reader->at;
        }
}

/* Moves behind the next `closing`; the place is of what it would close. */
static void advance_behind(struct reader *reader, const char *closing, struct script_place place,
                           const char *what)
{
    while (!starts(reader, closing)) {
        if (reader->at == reader->end)
            script_fail(reader, place, "this %s is not closed by %s", what, closing);
        advance(reader, 1);
    }
    advance(reader, strlen(closing));
}

/* White space and the three kinds of comments: #, // and slash-star. */
static void skip_space(struct reader *reader)
{
    while (reader->at < reader->end) {
        if (isspace((unsigned char)*reader->at)) {
            advance(reader, 1);
        } else if (*reader->at == '#' || starts(reader, "//")) {
            while (reader->at < reader->end && *reader->at != '\n')
                advance(reader, 1);
        } else if (starts(reader, "/*")) {
            struct script_place place = place_of(reader, reader->at);
            advance(reader, 2);
            advance_behind(reader, "*/", place, "comment");
        } else {
            return;
        }
    }
}

/* ---- Tokens ---- */

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

static void read_quoted(struct reader *reader, struct token *token, enum token_kind kind,
                        const char *opening, const char *closing, const char *what)
{
    token->kind = kind;
    advance(reader, strlen(opening));
    token->text = reader->at;
    advance_behind(reader, closing, token->place, what);
    token->size = (size_t)(reader->at - token->text) - strlen(closing);
}

/* A number; `1...2` is a number and an ellipsis. */
static void read_number(struct reader *reader, struct token *token)
{
    const char *at = reader->at;
    bool hexadecimal = starts(reader, "0x") || starts(reader, "0X");
    token->kind = TOKEN_INTEGER;
    if (hexadecimal)
        at += 2;
    while (at < reader->end &&
           (hexadecimal ? isxdigit((unsigned char)*at) : isdigit((unsigned char)*at)))
        at++;
    bool point = !hexadecimal && at < reader->end && *at == '.' &&
                 !(reader->end - at >= 3 && memcmp(at, "...", 3) == 0);
    if (point && (at + 1 == reader->end || !is_word(at[1]) || isdigit((unsigned char)at[1]))) {
        token->kind = TOKEN_DECIMAL;
        for (at++; at < reader->end && isdigit((unsigned char)*at); at++)
            ;
    }
    token->text = reader->at;
    token->size = (size_t)(at - reader->at);
    if (at < reader->end && is_word(*at))
        script_fail(reader, token->place, "`%.*s` is not a number", (int)(token->size + 1),
                    token->text);
    if (token->size > 20 || (hexadecimal && token->size < 3))
        script_fail(reader, token->place, "this number is not one");
    token->integer = (int64_t)strtoull(script_copy(reader, token->text, token->size), NULL,
                                       hexadecimal ? 16 : 10);
    advance(reader, token->size);
}

static void read_character(struct reader *reader, struct token *token)
{
    if (reader->end - reader->at < 3 || reader->at[2] != '\'')
        script_fail(reader, token->place, "a character in quotes is meant: 'c'");
    token->kind = TOKEN_INTEGER;
    token->text = reader->at;
    token->size = 3;
    token->integer = (unsigned char)reader->at[1];
    advance(reader, 3);
}

static void read_option(struct reader *reader, struct token *token)
{
    token->kind = TOKEN_OPTION;
    token->text = reader->at;
    while (reader->at < reader->end && !isspace((unsigned char)*reader->at))
        advance(reader, 1);
    token->size = (size_t)(reader->at - token->text);
}

static void read_sign(struct reader *reader, struct token *token)
{
    size_t size = starts(reader, "<<") || starts(reader, ">>") ? 2 : 1;
    token->kind = TOKEN_SIGN;
    token->text = reader->at;
    token->size = size;
    advance(reader, size);
}

static bool starts_number(const struct reader *reader)
{
    bool point =
        *reader->at == '.' && reader->end - reader->at > 1 && isdigit((unsigned char)reader->at[1]);
    return isdigit((unsigned char)*reader->at) || point;
}

void token_next(struct reader *reader)
{
    struct token *token = &reader->token;
    reader->last_end = reader->at;
    skip_space(reader);
    *token = (struct token){.place = place_of(reader, reader->at), .text = reader->at};
    if (reader->at == reader->end) {
        token->kind = TOKEN_END;
    } else if (starts(reader, "%{")) {
        read_quoted(reader, token, TOKEN_CODE, "%{", "}%", "code");
    } else if (*reader->at == '"') {
        read_quoted(reader, token, TOKEN_TEXT, "\"", "\"", "text");
    } else if (*reader->at == '`') {
        read_quoted(reader, token, TOKEN_COMMAND, "`", "`", "command");
    } else if (starts(reader, "...")) {
        token->kind = TOKEN_ELLIPSIS;
        token->size = 3;
        advance(reader, 3);
    } else if (starts(reader, "--") && reader->at == reader->line_start) {
        read_option(reader, token);
    } else if (starts_number(reader)) {
        read_number(reader, token);
    } else if (*reader->at == '\'') {
        read_character(reader, token);
    } else if (is_word(*reader->at)) {
        token->kind = TOKEN_WORD;
        while (reader->at < reader->end && is_word(*reader->at))
            advance(reader, 1);
        token->size = (size_t)(reader->at - token->text);
    } else {
        read_sign(reader, token);
    }
}

struct token token_flags(struct reader *reader)
{
    struct token flags = {.kind = TOKEN_WORD, .place = reader->token.place};
    const char *at = reader->at = flags.text = reader->token.text;
    while (at < reader->end && *at && strchr("FSRP.UAEWC-", *at))
        at++;
    flags.size = (size_t)(at - flags.text);
    advance(reader, flags.size);
    token_next(reader);
    return flags;
}

struct token token_hexadecimal(struct reader *reader)
{
    skip_space(reader);
    struct token digits = {
        .kind = TOKEN_WORD, .place = place_of(reader, reader->at), .text = reader->at};
    while (reader->at < reader->end && isalnum((unsigned char)*reader->at))
        advance(reader, 1);
    digits.size = (size_t)(reader->at - digits.text);
    token_next(reader);
    return digits;
}

bool token_is(const struct reader *reader, const char *sign)
{
    return reader->token.kind == TOKEN_SIGN && reader->token.size == strlen(sign) &&
           memcmp(reader->token.text, sign, reader->token.size) == 0;
}

bool token_is_word(const struct reader *reader, const char *word)
{
    return reader->token.kind == TOKEN_WORD && reader->token.size == strlen(word) &&
           memcmp(reader->token.text, word, reader->token.size) == 0;
}

bool token_accept(struct reader *reader, const char *sign)
{
    if (!token_is(reader, sign))
        return false;
    token_next(reader);
    return true;
}

void token_expect(struct reader *reader, const char *sign)
{
    char text[64];
    if (!token_accept(reader, sign))
        script_fail(reader, reader->token.place, "`%s` is meant here, not %s", sign,
                    token_describe(&reader->token, text, sizeof text));
}

const char *token_describe(const struct token *token, char *text, size_t size)
{
    int shown = token->size < 40 ? (int)token->size : 40;
    if (token->kind == TOKEN_END)
        snprintf(text, size, "the end");
    else
        snprintf(text, size, "`%.*s`", shown, token->text);
    return text;
}
