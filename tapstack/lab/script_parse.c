/* A script's text, read into its settings and events. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script_token.h"

/* ---- Times ---- */

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
    for (size_t i = 0; i < whole; i++)
        microseconds = microseconds * 10 + (token->text[i] - '0');
    if (whole > 9)
        script_fail(reader, token->place, "this time is too far away");
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

/* Behind the result: an errno, and what strerror(3) says of it in parentheses. */
static void parse_errno(struct reader *reader, struct script_call *call)
{
    if (reader->token.kind != TOKEN_WORD)
        return;
    if (!script_constant(reader->token.text, reader->token.size, &call->error_number))
        script_fail(reader, reader->token.place, "unknown errno `%.*s`", (int)reader->token.size,
                    reader->token.text);
    token_next(reader);
    if (!token_is(reader, "("))
        return;
    struct script_place place = reader->token.place;
    while (!token_is(reader, ")")) {
        if (reader->token.kind == TOKEN_END)
            script_fail(reader, place, "this parenthesis is not closed");
        token_next(reader);
    }
    token_next(reader);
}

static void parse_call(struct reader *reader, struct script_call *call)
{
    call->name = script_copy(reader, reader->token.text, reader->token.size);
    token_next(reader);
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
    call->result_any = true;
    if (!token_accept(reader, "="))
        return;
    if (token_accept(reader, "?"))
        return;
    call->result = script_parse_result(reader);
    call->result_any = call->result->kind == SCRIPT_ANY;
    if (call->result->kind != SCRIPT_INTEGER && !call->result_any)
        script_fail(reader, call->result->place, "a result is a number");
    if (call->result->integer == -1)
        parse_errno(reader, call);
}

/* ---- Events ---- */

/* The event's own text in one line: of its lines the first, unless it is short. */
static const char *event_source(struct reader *reader, const char *from)
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
    event->source = event_source(reader, from);
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

static void parse_all(struct reader *reader)
{
    struct script_setting **setting = &reader->script->settings;
    struct script_event **event = &reader->script->events;
    token_next(reader);
    for (; reader->token.kind == TOKEN_OPTION; setting = &(*setting)->next)
        *setting = parse_setting(reader);
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
