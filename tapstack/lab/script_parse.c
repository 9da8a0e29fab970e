/* A script's text, read into its settings and events. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script_token.h"

/* ---- Times ---- */

enum { SECONDS_DIGITS_MAX = 7 }; /* four months */

/* Seconds, with or without a point, in microseconds. */
static int64_t parse_seconds(struct reader *reader)
{
    const struct token *token = &reader->token;
    char text[64];
    if (token->kind != TOKEN_INTEGER && token->kind != TOKEN_DECIMAL)
        script_fail(reader, token->place, "a time in seconds is meant here, not %s",
                    token_describe(token, text, sizeof text));
    const char *point = memchr(token->text, '.', token->size);
    size_t whole = point ? (size_t)(point - token->text) : token->size;
    int64_t microseconds = 0, unit = 100000;
    if (whole > SECONDS_DIGITS_MAX)
        script_fail(reader, token->place, "this time is too far away");
    for (size_t i = 0; i < whole; i++)
        if (token->text[i] >= '0' && token->text[i] <= '9')
            microseconds = microseconds * 10 + (token->text[i] - '0');
        else
            script_fail(reader, token->place, "a time in seconds is meant here, not %s",
                        token_describe(token, text, sizeof text));
    microseconds *= 1000000;
    for (size_t i = whole + 1; i < token->size; i++, unit /= 10)
        microseconds += (token->text[i] - '0') * unit;
    token_next(reader);
    return microseconds;
}

static void parse_time(struct reader *reader, struct script_time *time)
{
    time->until_us = time->ends_us = -1;
    time->kind = SCRIPT_AT;
    if (token_accept(reader, "*")) {
        time->kind = SCRIPT_ANYTIME;
        return;
    }
    if (token_accept(reader, "+"))
        time->kind = SCRIPT_AFTER;
    time->at_us = parse_seconds(reader);
    struct script_place place = reader->token.place;
    if (token_accept(reader, "~")) {
        token_accept(reader, "+");
        time->until_us = parse_seconds(reader);
    } else if (reader->token.kind == TOKEN_ELLIPSIS) {
        token_next(reader);
        token_accept(reader, "+");
        time->ends_us = parse_seconds(reader);
    }
    if ((time->until_us >= 0 && time->until_us < time->at_us) ||
        (time->ends_us >= 0 && time->ends_us < time->at_us))
        script_fail(reader, place, "the end is before the beginning");
}

/* ---- Calls ---- */

/* The text up to the token before this one, in one line. */
static const char *one_line(struct reader *reader, const char *from)
{
    const char *to = reader->last_end;
    char *text = script_allocate(reader, (size_t)(to - from) + 1), *at = text;
    for (; from < to; from++) {
        bool space = *from == '\n' || *from == '\t' || *from == ' ';
        if (!space)
            *at++ = *from;
        else if (at > text && at[-1] != ' ')
            *at++ = ' ';
    }
    while (at > text && at[-1] == ' ')
        at--;
    *at = '\0';
    return text;
}

/* (flags O_RDWR), (Connection refused): a note for the reader. */
static void parse_note(struct reader *reader)
{
    struct script_place place = reader->token.place;
    if (!token_is(reader, "("))
        return;
    while (!token_is(reader, ")")) {
        if (reader->token.kind == TOKEN_END)
            script_fail(reader, place, "this parenthesis is not closed");
        token_next(reader);
    }
    token_next(reader);
}

/* Behind a result of -1. */
static void parse_errno(struct reader *reader, struct script_call *call)
{
    if (reader->token.kind != TOKEN_WORD)
        return;
    if (!script_constant(reader->token.text, reader->token.size, &call->error_number))
        script_fail(reader, reader->token.place, "unknown errno `%.*s`", (int)reader->token.size,
                    reader->token.text);
    token_next(reader);
}

static const struct {
    const char *name;
    unsigned least, most;
} calls[] = {
#define CALL_ENTRY(name, function, least, most) {name, least, most},
    SCRIPT_CALLS(CALL_ENTRY)
#undef CALL_ENTRY
};

static void parse_name(struct reader *reader, struct script_call *call)
{
    while (call->number < sizeof calls / sizeof *calls &&
           !token_is_word(reader, calls[call->number].name))
        call->number++;
    if (call->number == sizeof calls / sizeof *calls)
        script_fail(reader, reader->token.place, "unknown call `%.*s`", (int)reader->token.size,
                    reader->token.text);
    call->name = calls[call->number].name;
    token_next(reader);
}

static void parse_arguments(struct reader *reader, struct script_call *call)
{
    struct script_place place = reader->token.place;
    token_expect(reader, "(");
    struct script_value **end = &call->arguments;
    while (!token_is(reader, ")")) {
        *end = script_parse_value(reader);
        end = &(*end)->next;
        call->argument_count++;
        if (!token_accept(reader, ","))
            break;
    }
    token_expect(reader, ")");
    unsigned least = calls[call->number].least, most = calls[call->number].most;
    if (call->argument_count < least || call->argument_count > most)
        script_fail(reader, place, "%s takes %u arguments, not %u", call->name,
                    call->argument_count < least ? least : most, call->argument_count);
}

static void parse_call(struct reader *reader, struct script_call *call)
{
    const char *from = reader->token.text;
    parse_name(reader, call);
    parse_arguments(reader, call);
    call->source = one_line(reader, from);
    call->result_any = true;
    if (!token_accept(reader, "="))
        return;
    if (token_accept(reader, "?"))
        return;
    call->result = script_parse_result(reader);
    call->result_any = call->result->kind == SCRIPT_ANY;
    if (call->result->kind != SCRIPT_INTEGER && !call->result_any)
        script_fail(reader, call->result->place, "a result is a number");
    if (call->result->integer == -1 && !call->result_any)
        parse_errno(reader, call);
    parse_note(reader);
}

/* ---- Events ---- */

static struct script_event *parse_event(struct reader *reader)
{
    struct script_event *event = script_allocate(reader, sizeof *event);
    const char *from = reader->token.text;
    char text[64];
    event->place = reader->token.place;
    if (reader->token.kind == TOKEN_CODE || reader->token.kind == TOKEN_COMMAND)
        event->time = (struct script_time){SCRIPT_AFTER, 0, -1, -1};
    else
        parse_time(reader, &event->time);
    if (token_is(reader, "<") || token_is(reader, ">")) {
        event->kind = SCRIPT_PACKET;
        script_parse_packet(reader, &event->packet);
    } else if (reader->token.kind == TOKEN_CODE || reader->token.kind == TOKEN_COMMAND) {
        event->kind = reader->token.kind == TOKEN_CODE ? SCRIPT_CODE : SCRIPT_COMMAND;
        event->text = script_copy(reader, reader->token.text, reader->token.size);
        event->place = reader->token.place;
        token_next(reader);
    } else if (reader->token.kind == TOKEN_WORD) {
        event->kind = SCRIPT_CALL;
        parse_call(reader, &event->call);
    } else {
        script_fail(reader, reader->token.place,
                    "a packet, a call, code or a command is meant here, not %s",
                    token_describe(&reader->token, text, sizeof text));
    }
    if (event->time.ends_us >= 0 && event->kind != SCRIPT_CALL)
        script_fail(reader, event->place, "only a call takes its time");
    bool exact = event->time.kind != SCRIPT_ANYTIME && event->time.until_us < 0;
    if (!exact && (event->kind != SCRIPT_PACKET || event->packet.inbound))
        script_fail(reader, event->place, "only a packet of the stack's may come at any time");
    event->source = one_line(reader, from);
    return event;
}

static struct script_setting *parse_setting(struct reader *reader)
{
    struct script_setting *setting = script_allocate(reader, sizeof *setting);
    const struct token *token = &reader->token;
    const char *equals = memchr(token->text, '=', token->size);
    size_t name = equals ? (size_t)(equals - token->text) : token->size;
    setting->place = token->place;
    setting->name = script_copy(reader, token->text + 2, name - 2);
    setting->value = equals ? script_copy(reader, equals + 1, token->size - name - 1) : "";
    token_next(reader);
    return setting;
}

/* NAME=value of a --define, kept for the values that follow. */
static void parse_define(struct reader *reader, const struct script_setting *setting)
{
    const char *equals = strchr(setting->value, '=');
    if (!equals || equals == setting->value)
        script_fail(reader, setting->place, "--define=NAME=VALUE is meant");
    struct script_define *define = script_allocate(reader, sizeof *define);
    char *end;
    define->name = script_copy(reader, setting->value, (size_t)(equals - setting->value));
    define->value = strtoll(equals + 1, &end, 0);
    if ((*end || end == equals + 1) &&
        !script_constant(equals + 1, strlen(equals + 1), &define->value))
        script_fail(reader, setting->place, "--define: \"%s\" is neither a number nor a constant",
                    equals + 1);
    define->next = reader->script->defines;
    reader->script->defines = define;
}

static void parse_all(struct reader *reader)
{
    struct script_setting **setting = &reader->script->settings;
    struct script_event **event = &reader->script->events;
    token_next(reader);
    while (reader->token.kind == TOKEN_OPTION) {
        *setting = parse_setting(reader);
        if (strcmp((*setting)->name, "define") == 0)
            parse_define(reader, *setting);
        setting = &(*setting)->next;
    }
    for (; reader->token.kind != TOKEN_END; event = &(*event)->next) {
        if (reader->token.kind == TOKEN_OPTION)
            script_fail(reader, reader->token.place, "settings stand in front of the first event");
        *event = parse_event(reader);
    }
}

struct script *script_parse(const char *name, const char *text, size_t size,
                            struct script_error *error)
{
    struct reader reader = {.at = text,
                            .end = text + size,
                            .line_start = text,
                            .line = 1,
                            .error = error,
                            .script = calloc(1, sizeof *reader.script)};
    struct script *volatile script = reader.script;
    if (!script) {
        snprintf(error->text, sizeof error->text, "out of memory");
        return NULL;
    }
    if (setjmp(reader.failed)) {
        script_destroy(script);
        return NULL;
    }
    reader.script->name = script_copy(&reader, name, strlen(name));
    parse_all(&reader);
    return script;
}
