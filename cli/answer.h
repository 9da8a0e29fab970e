/* Reading an answer: members of a JSON object, with something to show where there is none. */
#ifndef TAPSTACK_CLI_ANSWER_H
#define TAPSTACK_CLI_ANSWER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

static inline uint64_t number(const json_t *object, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(object, name));
}

/* "-" where there is no text. */
static inline const char *text(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value ? value : "-";
}

static inline bool flag(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

static inline bool is_given(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return value && !json_is_null(value);
}

#endif
