/* Fuzzes the text of the packet filter's rules.

   What was read is written and read again, and must be the same; an error must have a place inside
   the text; a stack must take what the check takes, list it as a text that loads again to the same
   list, and leave nothing behind. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../tapstack/core/filter_text.h"
#include "../../tapstack/core/stack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 8192, LISTING_MAX = INPUT_MAX * 64 };

static size_t allocated;

/* assert may be compiled out; a fuzzer's must not. */
static void require(int condition)
{
    if (!condition)
        abort();
}

static void *allocate(void *context, size_t size)
{
    (void)context;
    allocated += size;
    return malloc(size);
}

static void release(void *context, void *block, size_t size)
{
    (void)context;
    allocated -= size;
    free(block);
}

static int is_printable(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return 0;
    return 1;
}

static void fuzz_lines(const char *text, size_t size)
{
    const char *at = text, *end = text + size;
    struct stack_filter_error error;
    struct filter_rule rule, again;
    char line[STACK_FILTER_TEXT_MAX];
    while (at < end) {
        const char *start = at;
        enum filter_line found = filter_text_read(&at, end, FILTER_TEXT_LINE, &rule, &error);
        if (found == FILTER_LINE_ERROR) {
            require(at == start && error.column >= 1 && error.column <= size + 1);
            require(is_printable(error.message) && error.message[0]);
            return;
        }
        require(at > start && at <= end);
        if (found != FILTER_LINE_RULE)
            continue;
        filter_text_write(&rule, line, sizeof line);
        require(strlen(line) < sizeof line - 1 && is_printable(line));
        const char *from = line;
        require(filter_text_read(&from, line + strlen(line), FILTER_TEXT_LINE, &again, &error) ==
                FILTER_LINE_RULE);
        require(memcmp(&rule, &again, sizeof rule) == 0);
    }
}

/* All rules in force as one text. Returns its size. */
static size_t list_rules(const struct stack *stack, char *text)
{
    struct stack_filter_rule rule;
    uint32_t cursor = 0;
    size_t used = 0;
    while (stack_next_filter_rule(stack, &cursor, &rule)) {
        size_t length = strlen(rule.text);
        require(used + length + 1 <= LISTING_MAX);
        memcpy(text + used, rule.text, length);
        text[used + length] = '\n';
        used += length + 1;
    }
    return used;
}

static struct stack *open_stack(void)
{
    struct stack_config config = {.memory = {allocate, release, NULL}};
    stack_settings_default(&config.settings);
    config.settings.filter_flows_max = 16;
    struct stack *stack = stack_create(&config, 0);
    require(stack != NULL);
    return stack;
}

static void fuzz_stack(struct stack *stack, const char *text, size_t size)
{
    static char listed[LISTING_MAX], again[LISTING_MAX];
    struct stack_filter_error error;
    struct stack_filter_rule rule;
    uint32_t logs;
    int checked = stack_filter_check(text, size, &error);
    require(stack_filter_load(stack, text, size, &error, 0) == checked);
    if (checked == 0) {
        size_t listed_size = list_rules(stack, listed);
        require(stack_filter_load(stack, listed, listed_size, &error, 0) == 0);
        require(list_rules(stack, again) == listed_size);
        require(memcmp(listed, again, listed_size) == 0);
    } else {
        require(error.line >= 1 && error.line <= size + 1);
    }
    stack_filter_test(stack, text, size, &rule, &logs, &error);
    require(stack_filter_load(stack, "", 0, &error, 0) == 0);
}

/* One stack for many inputs: making one costs more than an input does. */
static void fuzz_some_stack(const char *text, size_t size)
{
    enum { INPUTS = 1024 };
    static struct stack *stack;
    static unsigned inputs;
    if (!stack)
        stack = open_stack();
    fuzz_stack(stack, text, size);
    if (++inputs % INPUTS != 0)
        return;
    stack_destroy(stack);
    stack = NULL;
    require(allocated == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_MAX)
        return 0;
    char *text = malloc(size ? size : 1); /* of exactly its size, without a NUL */
    require(text != NULL);
    memcpy(text, data, size);
    fuzz_lines(text, size);
    fuzz_some_stack(text, size);
    free(text);
    return 0;
}
