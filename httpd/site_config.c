/* Reading the configuration.

   libconfuse knows the grammar and the values, but neither columns nor what a misspelt key was
   meant to be. So a scan of our own goes first and notes where every key and value stands; errors
   of either pass then get their place from these notes. */
#define _GNU_SOURCE
#include "site_config.h"

#include <arpa/inet.h>
#include <confuse.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 64 * 1024, KEY_BYTES = 64, NOTES_MAX = 256 };

static const char *const KEYS[] = {
#define X(name, initial, least, greatest) #name,
    SITE_NUMBERS(X)
#undef X
#define X(name, initial) #name,
        SITE_TEXTS(X)
#undef X
};

enum { KEY_COUNT = sizeof(KEYS) / sizeof(*KEYS) };

void site_config_default(struct site_config *config)
{
    memset(config, 0, sizeof(*config));
#define X(name, initial, least, greatest) config->name = initial;
    SITE_NUMBERS(X)
#undef X
#define X(name, initial) memcpy(config->name, initial, sizeof(initial));
    SITE_TEXTS(X)
#undef X
}

/* ---- the scan: where things stand ---- */

struct place {
    int line;
    int column;
};

struct note {
    char key[KEY_BYTES];
    struct place key_at;
    struct place value_at;
};

struct scan {
    const char *at;
    struct place place;
    int count;
    struct note notes[NOTES_MAX];
};

static void step(struct scan *scan)
{
    if (*scan->at == '\n')
        scan->place = (struct place){scan->place.line + 1, 0};
    scan->place.column++;
    scan->at++;
}

/* White space and the three kinds of comment. */
static void skip_blank(struct scan *scan)
{
    for (;;) {
        while (isspace((unsigned char)*scan->at))
            step(scan);
        if (*scan->at == '#' || strncmp(scan->at, "//", 2) == 0) {
            while (*scan->at && *scan->at != '\n')
                step(scan);
        } else if (strncmp(scan->at, "/*", 2) == 0) {
            while (*scan->at && strncmp(scan->at, "*/", 2) != 0)
                step(scan);
            for (int i = 0; i < 2 && *scan->at; i++)
                step(scan);
        } else {
            return;
        }
    }
}

static void skip_value(struct scan *scan)
{
    char quote = *scan->at;
    if (quote != '"' && quote != '\'') {
        while (*scan->at && !isspace((unsigned char)*scan->at) && !strchr("#={}", *scan->at))
            step(scan);
        return;
    }
    for (step(scan); *scan->at && *scan->at != quote; step(scan))
        if (*scan->at == '\\' && scan->at[1])
            step(scan);
    if (*scan->at)
        step(scan);
}

/* Notes "KEY = VALUE" after "KEY = VALUE"; stops where the text is something else, for libconfuse
   to complain about. */
static void scan_text(struct scan *scan, const char *text)
{
    *scan = (struct scan){.at = text, .place = {1, 1}};
    for (skip_blank(scan); scan->count < NOTES_MAX; skip_blank(scan)) {
        struct note *note = &scan->notes[scan->count];
        size_t size = 0;
        note->key_at = scan->place;
        while (isalnum((unsigned char)*scan->at) || *scan->at == '_' || *scan->at == '-') {
            if (size < KEY_BYTES - 1)
                note->key[size++] = *scan->at;
            step(scan);
        }
        note->key[size] = 0;
        if (size == 0)
            return;
        scan->count++;
        skip_blank(scan);
        note->value_at = scan->place;
        if (*scan->at != '=')
            return;
        step(scan);
        skip_blank(scan);
        note->value_at = scan->place;
        skip_value(scan);
    }
}

static const struct note *note_of(const struct scan *scan, const char *key)
{
    for (int i = scan->count - 1; i >= 0; i--)
        if (strcmp(scan->notes[i].key, key) == 0)
            return &scan->notes[i];
    return NULL;
}

/* ---- unknown keys ---- */

static int least(int a, int b) { return a < b ? a : b; }

/* Levenshtein's distance. */
static int distance(const char *a, const char *b)
{
    int row[KEY_BYTES + 1], size = (int)strlen(b);
    for (int j = 0; j <= size; j++)
        row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= size; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(change, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[size];
}

static const char *nearest_key(const char *key)
{
    const char *best = NULL;
    int best_distance = (int)strlen(key) / 3 + 2;
    for (int i = 0; i < KEY_COUNT; i++) {
        int this_distance = distance(key, KEYS[i]);
        if (this_distance < best_distance) {
            best_distance = this_distance;
            best = KEYS[i];
        }
    }
    return best;
}

static bool key_is_known(const char *key)
{
    for (int i = 0; i < KEY_COUNT; i++)
        if (strcmp(KEYS[i], key) == 0)
            return true;
    return false;
}

static int place_error(char *error, const char *name, struct place place, const char *text)
{
    snprintf(error, SITE_ERROR_BYTES, "%s:%d:%d: %s", name, place.line, place.column, text);
    return -1;
}

static int check_keys(const struct scan *scan, const char *name, char *error)
{
    for (int i = 0; i < scan->count; i++) {
        const struct note *note = &scan->notes[i];
        const char *near = nearest_key(note->key);
        char text[256];
        if (key_is_known(note->key))
            continue;
        if (near)
            snprintf(text, sizeof(text), "unknown key '%s'; did you mean '%s'?", note->key, near);
        else
            snprintf(text, sizeof(text), "unknown key '%s'", note->key);
        return place_error(error, name, note->key_at, text);
    }
    return 0;
}

/* ---- libconfuse ---- */

/* libconfuse hands its error function no context; a configuration is read by one thread. */
static struct {
    const char *name;
    const struct scan *scan;
    char *error;
} reading;

/* The place of an error in a line: its value where the scan saw one, else where the scan
   stopped. */
static struct place place_of_line(int line)
{
    for (int i = reading.scan->count - 1; i >= 0; i--)
        if (reading.scan->notes[i].value_at.line == line)
            return reading.scan->notes[i].value_at;
    if (reading.scan->place.line == line)
        return reading.scan->place;
    return (struct place){line, 1};
}

static void on_error(cfg_t *cfg, const char *format, va_list arguments)
{
    char text[256];
    if (*reading.error)
        return; /* the first error is the one to tell */
    vsnprintf(text, sizeof(text), format, arguments);
    place_error(reading.error, reading.name, place_of_line(cfg->line), text);
}

struct number_rule {
    const char *name;
    size_t offset;
    long least, greatest;
};

struct text_rule {
    const char *name;
    size_t offset;
};

static const struct number_rule NUMBERS[] = {
#define X(name, initial, least, greatest)                                                          \
    {#name, offsetof(struct site_config, name), least, greatest},
    SITE_NUMBERS(X)
#undef X
};

static const struct text_rule TEXTS[] = {
#define X(name, initial) {#name, offsetof(struct site_config, name)},
    SITE_TEXTS(X)
#undef X
};

static int take_number(struct site_config *config, cfg_t *cfg, const struct number_rule *rule)
{
    char text[160];
    long value;
    if (cfg_size(cfg, rule->name) == 0)
        return 0;
    value = cfg_getint(cfg, rule->name);
    if (value < rule->least || value > rule->greatest) {
        const struct note *note = note_of(reading.scan, rule->name);
        snprintf(text, sizeof(text), "%s must be between %ld and %ld, not %ld", rule->name,
                 rule->least, rule->greatest, value);
        return place_error(reading.error, reading.name,
                           note ? note->value_at : (struct place){1, 1}, text);
    }
    *(uint32_t *)(void *)((char *)config + rule->offset) = (uint32_t)value;
    return 0;
}

static int check_text(const char *key, const char *value, char *text, size_t size)
{
    struct sockaddr_in address;
    if (strlen(value) >= SITE_TEXT_BYTES)
        snprintf(text, size, "%s is too long", key);
    else if (strcmp(key, "listen") == 0 && !site_config_address(value, &address))
        snprintf(text, size, "listen must be ADDRESS:PORT, such as 10.77.0.2:80");
    else if (strcmp(key, "index") == 0 &&
             (!*value || strlen(value) > 63 || strchr(value, '/') || *value == '.'))
        snprintf(text, size, "index must be a file's name, without slash or leading dot");
    else
        return 0;
    return -1;
}

static int take_text(struct site_config *config, cfg_t *cfg, const struct text_rule *rule)
{
    char text[160];
    const char *value;
    if (cfg_size(cfg, rule->name) == 0)
        return 0;
    value = cfg_getstr(cfg, rule->name);
    if (check_text(rule->name, value, text, sizeof(text)) < 0) {
        const struct note *note = note_of(reading.scan, rule->name);
        return place_error(reading.error, reading.name,
                           note ? note->value_at : (struct place){1, 1}, text);
    }
    strcpy((char *)config + rule->offset, value);
    return 0;
}

static int take_values(struct site_config *config, cfg_t *cfg)
{
    for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(*NUMBERS); i++)
        if (take_number(config, cfg, &NUMBERS[i]) < 0)
            return -1;
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(*TEXTS); i++)
        if (take_text(config, cfg, &TEXTS[i]) < 0)
            return -1;
    return 0;
}

static int parse_values(struct site_config *config, const char *text)
{
    cfg_opt_t options[] = {
#define X(name, initial, least, greatest) CFG_INT(#name, 0, CFGF_NODEFAULT),
        SITE_NUMBERS(X)
#undef X
#define X(name, initial) CFG_STR(#name, NULL, CFGF_NODEFAULT),
            SITE_TEXTS(X)
#undef X
                CFG_END()};
    cfg_t *cfg = cfg_init(options, CFGF_NONE);
    int result = -1;
    cfg_set_error_function(cfg, on_error);
    if (cfg_parse_buf(cfg, text) == CFG_SUCCESS && !*reading.error)
        result = take_values(config, cfg);
    else if (!*reading.error)
        place_error(reading.error, reading.name, reading.scan->place, "cannot be parsed");
    cfg_free(cfg);
    return result;
}

int site_config_parse(struct site_config *config, const char *name, const char *text,
                      char error[SITE_ERROR_BYTES])
{
    struct site_config fresh = *config;
    struct scan *scan = malloc(sizeof(*scan));
    int result = -1;
    *error = 0;
    if (!scan) {
        snprintf(error, SITE_ERROR_BYTES, "%s: out of memory", name);
        return -1;
    }
    scan_text(scan, text);
    reading.name = name;
    reading.scan = scan;
    reading.error = error;
    if (check_keys(scan, name, error) == 0)
        result = parse_values(&fresh, text);
    if (result == 0)
        *config = fresh;
    free(scan);
    return result;
}

int site_config_read(struct site_config *config, const char *path, char error[SITE_ERROR_BYTES])
{
    FILE *file = fopen(path, "re");
    char *text = malloc(FILE_BYTES_MAX + 1);
    size_t size = 0;
    int result = -1;
    if (!file || !text) {
        snprintf(error, SITE_ERROR_BYTES, "%s: %s", path, strerror(errno));
    } else {
        size = fread(text, 1, FILE_BYTES_MAX + 1, file);
        if (ferror(file))
            snprintf(error, SITE_ERROR_BYTES, "%s: %s", path, strerror(errno));
        else if (size > FILE_BYTES_MAX || memchr(text, 0, size))
            snprintf(error, SITE_ERROR_BYTES, "%s:1:1: not a text of at most %d bytes", path,
                     FILE_BYTES_MAX);
        else
            result = 0;
    }
    if (result == 0) {
        text[size] = 0;
        result = site_config_parse(config, path, text, error);
    }
    if (file)
        fclose(file);
    free(text);
    return result;
}

/* ---- what follows from the keys ---- */

bool site_config_address(const char *text, struct sockaddr_in *address)
{
    const char *colon = strrchr(text, ':');
    char host[INET_ADDRSTRLEN] = "0.0.0.0", *end;
    unsigned long port;
    if (!colon || (size_t)(colon - text) >= sizeof(host) || !isdigit((unsigned char)colon[1]))
        return false;
    if (colon > text) {
        memcpy(host, text, (size_t)(colon - text));
        host[colon - text] = 0;
    }
    port = strtoul(colon + 1, &end, 10);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return !*end && port >= 1 && port <= 65535 && inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

int site_config_finish(struct site_config *config, char error[SITE_ERROR_BYTES])
{
    if (!*config->root) {
        snprintf(error, SITE_ERROR_BYTES, "no root: name it with -r DIR or 'root' in the file");
        return -1;
    }
    if (!site_config_address(config->listen, &config->listen_address)) {
        snprintf(error, SITE_ERROR_BYTES, "'%.100s' is not ADDRESS:PORT", config->listen);
        return -1;
    }
    config->request_limits =
        (struct request_limits){config->line_bytes, config->header_bytes, config->fields};
    config->body_limits = (struct body_limits){config->body_bytes, config->header_bytes};
    return 0;
}

static int override(struct site_config *config, const struct site_source *source, char *error)
{
    char *end;
    unsigned long workers;
    if (source->root)
        snprintf(config->root, sizeof(config->root), "%s", source->root);
    if (source->listen)
        snprintf(config->listen, sizeof(config->listen), "%s", source->listen);
    if (!source->workers)
        return 0;
    workers = strtoul(source->workers, &end, 10);
    if (*end || workers < 1 || workers > SITE_WORKERS_MAX) {
        snprintf(error, SITE_ERROR_BYTES, "-w: the number of workers is 1 to %d, not '%.32s'",
                 SITE_WORKERS_MAX, source->workers);
        return -1;
    }
    config->workers = (uint32_t)workers;
    return 0;
}

/* What would fail in every worker is better told at once. */
static int check_paths(const struct site_config *config, char *error)
{
    struct stat root;
    errno = 0;
    if (stat(config->root, &root) < 0 || !S_ISDIR(root.st_mode)) {
        snprintf(error, SITE_ERROR_BYTES, "root '%.256s': %s", config->root,
                 strerror(errno ? errno : ENOTDIR));
        return -1;
    }
    if (strcmp(config->access_log, "off") != 0 && strcmp(config->access_log, "-") != 0) {
        int fd = open(config->access_log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0) {
            snprintf(error, SITE_ERROR_BYTES, "access_log '%.256s': %s", config->access_log,
                     strerror(errno));
            return -1;
        }
        close(fd);
    }
    return 0;
}

int site_config_load(const struct site_source *source, struct site_config *config,
                     char error[SITE_ERROR_BYTES])
{
    struct site_config fresh;
    site_config_default(&fresh);
    if ((source->file && site_config_read(&fresh, source->file, error) < 0) ||
        override(&fresh, source, error) < 0 || site_config_finish(&fresh, error) < 0 ||
        check_paths(&fresh, error) < 0)
        return -1;
    *config = fresh;
    return 0;
}
