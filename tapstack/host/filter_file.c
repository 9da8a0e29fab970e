/* The packet filter's rules as the configuration gives them: a file, and lines of its own. */
#include "filter_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All of a file behind size bytes of text; NULL with errno. */
static char *file_append(FILE *file, char *text, size_t *size)
{
    size_t got;
    do {
        size_t step = 64 << 10;
        char *grown = realloc(text, *size + step + 1);
        if (!grown)
            return free(text), NULL;
        text = grown;
        got = fread(text + *size, 1, step, file);
        *size += got;
    } while (got > 0 && *size <= FILTER_FILE_MAX);
    text[*size] = '\0';
    if (!ferror(file) && *size <= FILTER_FILE_MAX)
        return text;
    errno = ferror(file) ? errno : EFBIG;
    free(text);
    return NULL;
}

static char *file_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    char *text = file_append(file, NULL, size);
    int error = errno;
    fclose(file);
    errno = error;
    return text;
}

/* Returns 0, or -1 with the error's place behind the source's name. */
static int text_check(const char *source, const char *text, size_t size, char *error,
                      size_t error_bytes)
{
    struct stack_filter_error found;
    if (stack_filter_check(text, size, &found) == 0)
        return 0;
    snprintf(error, error_bytes, "%s:%u:%u: %s", source, found.line, found.column, found.message);
    return -1;
}

char *filter_file_text(const struct config *config, char *error, size_t error_bytes)
{
    size_t size = 0, own = strlen(config->filter_rules);
    char *text = config->filter[0] ? file_read(config->filter, &size) : calloc(1, 1);
    if (!text) {
        snprintf(error, error_bytes, "%s: %s", config->filter, strerror(errno));
        return NULL;
    }
    char *whole = NULL;
    if (text_check(config->filter, text, size, error, error_bytes) == 0 &&
        text_check("filter_rules", config->filter_rules, own, error, error_bytes) == 0) {
        whole = realloc(text, size + 1 + own + 1);
        if (!whole)
            snprintf(error, error_bytes, "no memory for the rules of the filter");
    }
    if (!whole) {
        free(text);
        return NULL;
    }
    whole[size] = '\n';
    memcpy(whole + size + 1, config->filter_rules, own + 1);
    return whole;
}

int filter_file_load(struct stack *stack, const char *text, uint64_t now_us, char *error,
                     size_t error_bytes)
{
    struct stack_filter_error found;
    if (stack_filter_load(stack, text, strlen(text), &found, now_us) == 0)
        return 0;
    snprintf(error, error_bytes, "filter: %s", found.message);
    return -1;
}
