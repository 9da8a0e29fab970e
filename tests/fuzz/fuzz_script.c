/* Fuzzes packet scripts: the parser, and runs of what it takes.

   An error must have a place inside of the text and words; a run ends, with a report unless it
   passed. A run that passed is traced, and its trace must run again and pass, with nothing sent that
   it does not tell of. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../tapstack/lab/script_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 4096 };

static void require(int condition)
{
    if (!condition)
        abort();
}

static void replay(const char *trace)
{
    const struct script_options strict = {.strict = true};
    struct script_error error;
    struct script_outcome outcome;
    struct script *script = script_parse("trace", trace, strlen(trace), &error);
    if (!script)
        fprintf(stderr, "%s\n%d:%d %s\n", trace, error.place.line, error.place.column, error.text);
    require(script != NULL);
    script_run(script, &strict, &outcome);
    if (!outcome.passed)
        fprintf(stderr, "%s\n%s", trace, outcome.report);
    require(outcome.passed);
    script_outcome_release(&outcome);
    script_destroy(script);
}

/* Waiting for hours costs too much here. */
static int is_long(const struct script *script)
{
    const int64_t most_us = 60000000;
    int64_t sum_us = 0;
    for (const struct script_event *event = script->events; event; event = event->next) {
        sum_us += event->time.at_us + (event->time.ends_us > 0 ? event->time.ends_us : 0) +
                  (event->time.until_us > 0 ? event->time.until_us : 0);
        if (event->time.kind == SCRIPT_ANYTIME || sum_us > most_us)
            return 1;
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct script_options traced = {.trace = true};
    struct script_error error = {{0, 0}, ""};
    struct script_outcome outcome;
    if (size > INPUT_MAX)
        return 0;
    char *text = malloc(size ? size : 1); /* of exactly its size, without a NUL */
    require(text != NULL);
    memcpy(text, data, size);
    struct script *script = script_parse("fuzz", text, size, &error);
    free(text);
    if (!script) {
        require(error.place.line >= 1 && error.place.column >= 1 && error.text[0]);
        return 0;
    }
    if (!is_long(script)) {
        script_run(script, &traced, &outcome);
        require(outcome.passed == (outcome.report[0] == '\0'));
        if (outcome.passed && !strstr(outcome.trace, "has not returned"))
            replay(outcome.trace);
        script_outcome_release(&outcome);
    }
    script_destroy(script);
    return 0;
}
