/* The configuration file, read with libconfuse.

   Every key is a string for libconfuse, and its callback (config_set) reads the string by the key's
   row in a table. The keys of the section `settings` are those of the stack's own list of settings.

   libconfuse knows the line but not the column, and it miscounts the lines of files with comments.
   So the file is read here, comments are blanked out before it is parsed, and the column is found
   by looking for the offending word in the line. libconfuse hands no pointer of ours to its
   callbacks; config_reading is where they find the reader. */
#include "config.h"

#include <confuse.h>
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../api/message.h"
#include "log.h"
#include "quantity.h"

enum {
    CONFIG_FILE_MAX = 1 << 20,
    CONFIG_KEYS_MAX = 128, /* of one section, its end mark included */
    CONFIG_WORD_MAX = 64,
};

struct config_reader {
    struct config config; /* what has been read so far */
    const char *path;
    char *text; /* the file, comments blanked out */
    char *error;
    unsigned error_bytes;
    uint8_t host_prefix_bits; /* given with host_address; 0: none */
};

static struct config_reader *config_reading;

/* ---- The keys ---- */

struct config_key {
    const char *name;
    int (*read)(const struct config_key *key, const char *word); /* 0, or -1: not as `wants` says */
    size_t offset;                                               /* in struct config */
    size_t size;
    enum quantity_kind kind; /* for config_read_quantity */
    uint64_t least, most;
    const char *wants; /* for the others: what the value has to be */
};

static void *config_field(const struct config_key *key)
{
    return (char *)&config_reading->config + key->offset;
}

static int config_read_text(const struct config_key *key, const char *word)
{
    if (strlen(word) >= key->size)
        return -1;
    snprintf(config_field(key), key->size, "%s", word);
    return 0;
}

static int config_read_name(const struct config_key *key, const char *word)
{
    return word[0] == '\0' ? -1 : config_read_text(key, word);
}

static int config_read_mac(const struct config_key *key, const char *word)
{
    struct mac_address mac;
    if (mac_address_parse(word, &mac) < 0 || mac_address_is_group(&mac))
        return -1;
    memcpy(config_field(key), &mac, sizeof mac);
    return 0;
}

/* "none" or "a.b.c.d" or "a.b.c.d/bits"; bits 0: none were given. */
static int config_parse_address(const char *word, uint32_t *v4, uint8_t *bits)
{
    char quad[CONFIG_WORD_MAX];
    struct ip_address address;
    const char *slash = strchr(word, '/');
    size_t length = slash ? (size_t)(slash - word) : strlen(word);
    uint64_t number = 0;

    *v4 = 0;
    *bits = 0;
    if (strcmp(word, "none") == 0)
        return 0;
    if (length >= sizeof quad)
        return -1;
    memcpy(quad, word, length);
    quad[length] = '\0';
    if (ip_address_parse(quad, &address) < 0)
        return -1;
    if (slash &&
        (quantity_parse(slash + 1, QUANTITY_COUNT, &number) < 0 || number < 1 || number > 31))
        return -1;
    *v4 = ip_address_to_v4(&address);
    *bits = (uint8_t)number;
    return *v4 != 0 ? 0 : -1;
}

static int config_read_address(const struct config_key *key, const char *word)
{
    uint32_t v4;
    uint8_t bits;
    (void)key;
    if (config_parse_address(word, &v4, &bits) < 0 || v4 == 0 || bits == 0)
        return -1;
    config_reading->config.address_v4 = v4;
    config_reading->config.prefix_bits = bits;
    return 0;
}

static int config_read_host_address(const struct config_key *key, const char *word)
{
    (void)key;
    return config_parse_address(word, &config_reading->config.host_address_v4,
                                &config_reading->host_prefix_bits);
}

static int config_read_gateway(const struct config_key *key, const char *word)
{
    uint8_t bits;
    (void)key;
    return config_parse_address(word, &config_reading->config.gateway_v4, &bits) < 0 || bits ? -1
                                                                                             : 0;
}

static int config_read_log_level(const struct config_key *key, const char *word)
{
    static const char *const levels[] = {"error", "warning", "info", "debug"};
    (void)key;
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
        if (strcmp(word, levels[level]) == 0) {
            config_reading->config.log_level = level;
            return 0;
        }
    }
    return -1;
}

static int config_read_quantity(const struct config_key *key, const char *word);

#define CONFIG_FIELD(field) offsetof(struct config, field), sizeof((struct config *)0)->field
#define CONFIG_WORD(name, read, field, wants)                                                      \
    {                                                                                              \
        name, read, CONFIG_FIELD(field), 0, 0, 0, wants                                            \
    }
#define CONFIG_QUANTITY(name, field, kind, least, most)                                            \
    {                                                                                              \
        name, config_read_quantity, CONFIG_FIELD(field), kind, least, most, NULL                   \
    }

static const struct config_key config_keys[] = {
    CONFIG_WORD("dir", config_read_name, dir, "a folder's name of at most 95 bytes"),
    CONFIG_WORD("device", config_read_name, device, "a device name of at most 15 bytes"),
    CONFIG_WORD("mac", config_read_mac, mac,
                "the MAC address of one card, such as 02:00:00:4d:00:02"),
    CONFIG_WORD("address", config_read_address, address_v4,
                "an address with its prefix, such as 10.77.0.2/24"),
    CONFIG_WORD("host_address", config_read_host_address, host_address_v4,
                "an address such as 10.77.0.1/24, or none"),
    CONFIG_WORD("gateway", config_read_gateway, gateway_v4,
                "an address such as 10.77.0.1, or none"),
    CONFIG_QUANTITY("mtu", mtu_bytes, QUANTITY_BYTES, 576, 65535),
    CONFIG_QUANTITY("offload", offload, QUANTITY_SWITCH, 0, 1),
    CONFIG_WORD("user", config_read_text, user, "a user's name, or \"\" to stay root"),
    CONFIG_WORD("log_level", config_read_log_level, log_level, "error, warning, info or debug"),
    CONFIG_QUANTITY("shutdown", shutdown_us, QUANTITY_TIME, 0, 3600000000),
    CONFIG_QUANTITY("spin", spin_us, QUANTITY_TIME, 0, 1000000),
    CONFIG_QUANTITY("client_sockets_max", client_sockets_max, QUANTITY_COUNT, 1, 1000000),
    CONFIG_QUANTITY("control_uid", control_uid, QUANTITY_COUNT, 0, UINT32_MAX),
    CONFIG_QUANTITY("events", event_capacity, QUANTITY_COUNT, 0, 1 << 24),
    {NULL},
};

static const struct config_key config_cable_keys[] = {
    CONFIG_QUANTITY("loss", cable.loss_ppm, QUANTITY_SHARE, 0, 1000000),
    CONFIG_QUANTITY("duplicate", cable.duplicate_ppm, QUANTITY_SHARE, 0, 1000000),
    CONFIG_QUANTITY("corrupt", cable.corrupt_ppm, QUANTITY_SHARE, 0, 1000000),
    CONFIG_QUANTITY("reorder", cable.reorder_ppm, QUANTITY_SHARE, 0, 1000000),
    CONFIG_QUANTITY("delay", cable.delay_us, QUANTITY_TIME, 0, 3600000000),
    CONFIG_QUANTITY("jitter", cable.jitter_us, QUANTITY_TIME, 0, 3600000000),
    CONFIG_QUANTITY("reorder_hold", cable.reorder_us, QUANTITY_TIME, 0, 3600000000),
    CONFIG_QUANTITY("rate", cable.rate_kbps, QUANTITY_RATE, 0, UINT32_MAX),
    CONFIG_QUANTITY("queue", cable.queue_frames, QUANTITY_COUNT, 0, 1000000),
    CONFIG_QUANTITY("fcs", cable.fcs, QUANTITY_SWITCH, 0, 1),
    CONFIG_QUANTITY("seed", cable_seed, QUANTITY_COUNT, 0, UINT64_MAX),
    {NULL},
};

/* ---- Errors and their places ---- */

/* The start of a line (from 1) of the file. */
static const char *config_line(int line)
{
    const char *at = config_reading->text;
    while (line-- > 1) {
        const char *end = strchr(at, '\n');
        if (!end)
            break;
        at = end + 1;
    }
    return at;
}

/* Finds word as a whole between start and end; NULL: it is not there. */
static const char *config_find_word(const char *start, const char *end, const char *word)
{
    static const char separators[] = " \t\r\n={}\"',;";
    size_t length = strlen(word);
    for (const char *at = start; length > 0 && at + length <= end; at++)
        if (strncmp(at, word, length) == 0 && (at == start || strchr(separators, at[-1])) &&
            strchr(separators, at[length]))
            return at;
    return NULL;
}

/* Writes the place and the text, unless an earlier error stands there. key and word: where the
   error is; word is looked for behind key. NULL or not found: the first thing in the line. */
__attribute__((format(printf, 4, 5))) static void
config_complain(int line, const char *key, const char *word, const char *format, ...)
{
    struct config_reader *reader = config_reading;
    va_list arguments;
    if (reader->error[0] != '\0')
        return;
    if (line < 1)
        line = 1;
    const char *start = config_line(line);
    const char *end = start + strcspn(start, "\n");
    const char *place = start + strspn(start, " \t");
    const char *found = key ? config_find_word(start, end, key) : NULL;
    if (found)
        place = found;
    found = word ? config_find_word(found ? found + strlen(key) : start, end, word) : NULL;
    if (found)
        place = found;
    int length = snprintf(reader->error, reader->error_bytes, "%s:%d:%d: ", reader->path, line,
                          (int)(place - start) + 1);
    if (length < 0 || (unsigned)length >= reader->error_bytes)
        return;
    va_start(arguments, format);
    vsnprintf(reader->error + length, reader->error_bytes - (unsigned)length, format, arguments);
    va_end(arguments);
    for (char *at = reader->error; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?'; /* what the file holds must not play tricks on a terminal */
}

static unsigned config_least(unsigned a, unsigned b) { return a < b ? a : b; }

/* Steps that lead from a to b: a letter more, less or changed, or two neighbors swapped. */
static unsigned config_distance(const char *a, const char *b)
{
    unsigned steps[3][CONFIG_WORD_MAX + 1]; /* rows of the table, three in turn */
    size_t height = strlen(a), width = strlen(b);

    if (width > CONFIG_WORD_MAX)
        return UINT32_MAX;
    for (unsigned j = 0; j <= width; j++)
        steps[0][j] = j;
    for (unsigned i = 1; i <= height; i++) {
        unsigned *row = steps[i % 3], *above = steps[(i + 2) % 3], *above2 = steps[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= width; j++) {
            row[j] = config_least(above[j], row[j - 1]) + 1;
            row[j] = config_least(row[j], above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = config_least(row[j], above2[j - 2] + 1);
        }
    }
    return steps[height % 3][width];
}

/* The known key nearest to an unknown one, or NULL when none is near. */
static const char *config_nearest(const cfg_t *section, const char *name)
{
    const char *nearest = NULL;
    unsigned best = (unsigned)strlen(name) / 3 + 2;
    for (const cfg_opt_t *option = section->opts; option->name; option++) {
        unsigned distance = config_distance(name, option->name);
        if (distance < best) {
            best = distance;
            nearest = option->name;
        }
    }
    return nearest;
}

static bool config_table_has(const struct config_key *key, const char *name)
{
    while (key->name && strcmp(key->name, name) != 0)
        key++;
    return key->name != NULL;
}

static void config_complain_unknown(const cfg_t *section, const char *name)
{
    bool top = strcmp(section->name, "root") == 0;
    const char *nearest = config_nearest(section, name);
    const char *home = stack_setting_find(name) >= 0               ? "settings"
                       : config_table_has(config_cable_keys, name) ? "cable"
                       : config_table_has(config_keys, name)       ? "root"
                                                                   : NULL;
    if (home && strcmp(home, "root") == 0)
        config_complain(section->line, name, NULL,
                        "\"%s\" belongs before the sections, not in \"%s\"", name, section->name);
    else if (home)
        config_complain(section->line, name, NULL, "\"%s\" belongs in the section \"%s\"", name,
                        home);
    else
        config_complain(section->line, name, NULL, "unknown key \"%s\"%s%s%s%s%s%s", name,
                        top ? "" : " in the section \"", top ? "" : section->name, top ? "" : "\"",
                        nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                        nearest ? "\"?" : "");
}

/* libconfuse's own errors: `no such option 'x'`, `unexpected token 'x'`, `missing equal sign
   ...`. */
static void config_parse_error(cfg_t *section, const char *format, va_list arguments)
{
    char text[256];
    char word[CONFIG_WORD_MAX] = "";
    vsnprintf(text, sizeof text, format, arguments);
    const char *quote = strchr(text, '\'');
    size_t length = quote ? strcspn(quote + 1, "'") : 0;
    if (length > 0 && length < sizeof word)
        memcpy(word, quote + 1, length);
    if (strncmp(text, "no such option", 14) == 0 && word[0] != '\0')
        config_complain_unknown(section, word);
    else
        config_complain(section->line, word, NULL, "%s", text);
}

/* ---- Values ---- */

static void config_store(void *field, size_t size, uint64_t value)
{
    switch (size) {
    case 1:
        *(uint8_t *)field = (uint8_t)value;
        break;
    case 2:
        *(uint16_t *)field = (uint16_t)value;
        break;
    case 4:
        *(uint32_t *)field = (uint32_t)value;
        break;
    case 8:
        *(uint64_t *)field = value;
        break;
    }
}

static int config_read_quantity(const struct config_key *key, const char *word)
{
    uint64_t value;
    if (quantity_parse(word, key->kind, &value) < 0 || value < key->least || value > key->most)
        return -1;
    config_store(config_field(key), key->size, value);
    return 0;
}

static void config_complain_value(int line, const struct config_key *key, const char *word)
{
    char least[QUANTITY_TEXT_MAX], most[QUANTITY_TEXT_MAX];
    uint64_t value;
    if (key->wants) {
        config_complain(line, key->name, word, "%s wants %s, not \"%s\"", key->name, key->wants,
                        word);
    } else if (quantity_parse(word, key->kind, &value) < 0) {
        config_complain(line, key->name, word, "%s wants %s, not \"%s\"", key->name,
                        quantity_describe(key->kind), word);
    } else {
        quantity_format(key->least, key->kind, least);
        quantity_format(key->most, key->kind, most);
        config_complain(line, key->name, word, "%s must be from %s to %s, not %s", key->name, least,
                        most, word);
    }
}

static int config_read_setting(const struct config_key *key, const char *word)
{
    uint64_t value;
    if (quantity_parse(word, key->kind, &value) < 0)
        return -1;
    return stack_setting_set(&config_reading->config.settings, (unsigned)key->offset, value);
}

/* The row of a setting of the stack, in the form of the other keys; offset is the setting's
   number. */
static struct config_key config_setting_key(unsigned index)
{
    const struct stack_setting_info *info = stack_setting_info(index);
    return (struct config_key){.name = info->name,
                               .read = config_read_setting,
                               .offset = index,
                               .kind = quantity_kind_of(info->unit, info->most),
                               .least = info->least,
                               .most = info->most};
}

static struct config_key config_key_of(const cfg_t *section, const char *name)
{
    if (strcmp(section->name, "settings") == 0)
        return config_setting_key((unsigned)stack_setting_find(name));
    const struct config_key *key =
        strcmp(section->name, "cable") == 0 ? config_cable_keys : config_keys;
    while (strcmp(key->name, name) != 0)
        key++;
    return *key;
}

/* libconfuse has read `key = word`. */
static int config_set(cfg_t *section, cfg_opt_t *option, const char *word, void *result)
{
    struct config_key key = config_key_of(section, option->name);
    *(const char **)result = word;
    if (key.read(&key, word) == 0)
        return 0;
    config_complain_value(section->line, &key, word);
    return -1;
}

/* ---- The whole file ---- */

/* The end of a comment that starts at text, or NULL when none does. `//` only counts where a word
   may start, so that it can stand inside of one. */
static char *config_comment_end(const char *file, char *text)
{
    bool word_start = text == file || strchr(" \t\r\n", text[-1]);
    if (*text == '#' || (text[0] == '/' && text[1] == '/' && word_start))
        return text + strcspn(text, "\n");
    if (text[0] != '/' || text[1] != '*' || !word_start)
        return NULL;
    char *end = strstr(text + 2, "*/");
    return end ? end + 2 : text + strlen(text);
}

/* Puts blanks in the place of comments; lines and columns stay. */
static void config_blank_comments(char *text)
{
    const char *file = text;
    char quote = '\0';

    for (; *text != '\0'; text++) {
        char *end = quote ? NULL : config_comment_end(file, text);
        if (end) {
            for (; text < end; text++)
                if (*text != '\n')
                    *text = ' ';
            text--;
        } else if (quote && *text == '\\' && text[1] != '\0') {
            text++;
        } else if (quote ? *text == quote : *text == '"' || *text == '\'') {
            quote = quote ? '\0' : *text;
        }
    }
}

/* libconfuse takes the end of the file for the end of a section. Complains when one is not closed.
   Comments are gone, and quotes are closed, or it would have complained. */
static int config_check_braces(void)
{
    int line = 1, open_line = 0;
    char quote = '\0';
    for (const char *at = config_reading->text; *at != '\0'; at++) {
        if (*at == '\n')
            line++;
        else if (quote && *at == '\\' && at[1] != '\0')
            at++;
        else if (quote ? *at == quote : *at == '"' || *at == '\'')
            quote = quote ? '\0' : *at;
        else if (!quote && (*at == '{' || *at == '}'))
            open_line = *at == '{' ? line : 0; /* sections do not nest */
    }
    if (open_line != 0)
        config_complain(open_line, NULL, NULL, "this section is not closed");
    return open_line != 0 ? -1 : 0;
}

/* The file as a string, the caller's to free; NULL with the reason in error. */
static char *config_load(const char *path, char *error, unsigned error_bytes)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "re");
    if (file) {
        text = malloc(CONFIG_FILE_MAX + 1);
        size = text ? fread(text, 1, CONFIG_FILE_MAX + 1, file) : 0;
    }
    if (!file || !text || ferror(file))
        snprintf(error, error_bytes, "%s: %s", path, strerror(errno));
    else if (size > CONFIG_FILE_MAX)
        snprintf(error, error_bytes, "%s: larger than 1 MiB", path);
    else if (memchr(text, '\0', size))
        snprintf(error, error_bytes, "%s: not a text: it holds a NUL byte", path);
    else
        text[size] = '\0';
    if (file)
        fclose(file);
    if (error[0] != '\0') {
        free(text);
        return NULL;
    }
    return text;
}

/* The line that sets a key, for errors that show only when all is read; 0 when none does. */
static int config_line_of(const char *name)
{
    int line = 1;
    for (const char *at = config_reading->text; *at != '\0'; line++) {
        const char *end = at + strcspn(at, "\n");
        if (config_find_word(at, end, name) == at + strspn(at, " \t"))
            return line;
        at = *end ? end + 1 : end;
    }
    return 0;
}

static bool config_same_network(const struct config *config, uint32_t v4)
{
    uint32_t mask = ~(uint32_t)0 << (32 - config->prefix_bits);
    return (v4 & mask) == (config->address_v4 & mask);
}

/* The key to blame: the second one, where the file leaves the first at its default. */
static const char *config_blame(const char *key, const char *other)
{
    return config_line_of(key) != 0 ? key : other;
}

#define CONFIG_REFUSE(key, ...) (config_complain(config_line_of(key), key, NULL, __VA_ARGS__), -1)

static int config_check_addresses(const struct config *config)
{
    uint32_t host_mask = ~(~(uint32_t)0 << (32 - config->prefix_bits));
    uint32_t host_part = config->address_v4 & host_mask;
    uint8_t host_bits = config_reading->host_prefix_bits;

    if (!ipv4_is_valid_source(config->address_v4) ||
        (config->prefix_bits < 31 && (host_part == 0 || host_part == host_mask)))
        return CONFIG_REFUSE("address", "address is not one that a host can have");
    if (host_bits != 0 && host_bits != config->prefix_bits)
        return CONFIG_REFUSE("host_address", "host_address has the prefix /%u, address has /%u",
                             host_bits, config->prefix_bits);
    if (config->host_address_v4 != 0 && !config_same_network(config, config->host_address_v4))
        return CONFIG_REFUSE(config_blame("host_address", "address"),
                             "host_address is not in the network of address; set both");
    if (config->host_address_v4 == config->address_v4)
        return CONFIG_REFUSE(config_blame("host_address", "address"),
                             "host_address is the stack's own address");
    if (config->gateway_v4 != 0 && !config_same_network(config, config->gateway_v4))
        return CONFIG_REFUSE("gateway", "gateway is not in the network of address");
    if (config->gateway_v4 == config->address_v4)
        return CONFIG_REFUSE("gateway", "gateway is the stack's own address");
    return 0;
}

/* What no key can tell alone. */
static int config_check(const struct config *config)
{
    const struct stack_settings *settings = &config->settings;
    if (config_check_addresses(config) < 0)
        return -1;
    if ((config->event_capacity & (config->event_capacity - 1)) != 0)
        return CONFIG_REFUSE("events", "events must be a power of two, or 0");
    if (config->user[0] != '\0' && !getpwnam(config->user))
        return CONFIG_REFUSE("user", "there is no user \"%s\"", config->user);
    if (settings->tcp_port_first > settings->tcp_port_last)
        return CONFIG_REFUSE(config_blame("tcp.port_last", "tcp.port_first"),
                             "tcp.port_last is below tcp.port_first");
    if (settings->tcp_rto_min_us > settings->tcp_rto_max_us)
        return CONFIG_REFUSE(config_blame("tcp.rto_max", "tcp.rto_min"),
                             "tcp.rto_max is below tcp.rto_min");
    return 0;
}

/* Fills options with one string option a key. */
static cfg_opt_t *config_add_keys(cfg_opt_t *option, const struct config_key *key)
{
    for (; key->name; key++)
        *option++ = (cfg_opt_t)CFG_STR_CB(key->name, 0, CFGF_NODEFAULT, config_set);
    return option;
}

static cfg_opt_t *config_add_settings(cfg_opt_t *option)
{
    for (unsigned i = 0; i < stack_setting_count(); i++)
        *option++ =
            (cfg_opt_t)CFG_STR_CB(stack_setting_info(i)->name, 0, CFGF_NODEFAULT, config_set);
    return option;
}

static int config_parse(struct config_reader *reader)
{
    cfg_opt_t top[CONFIG_KEYS_MAX], cable[CONFIG_KEYS_MAX], settings[CONFIG_KEYS_MAX];
    cfg_opt_t *end = config_add_keys(top, config_keys);

    *config_add_keys(cable, config_cable_keys) = (cfg_opt_t)CFG_END();
    *config_add_settings(settings) = (cfg_opt_t)CFG_END();
    *end++ = (cfg_opt_t)CFG_SEC("cable", cable, CFGF_NODEFAULT);
    *end++ = (cfg_opt_t)CFG_SEC("settings", settings, CFGF_NODEFAULT);
    *end = (cfg_opt_t)CFG_END();

    cfg_t *file = cfg_init(top, CFGF_NONE);
    if (!file)
        return -1;
    cfg_set_error_function(file, config_parse_error);
    int result = cfg_parse_buf(file, reader->text) == CFG_SUCCESS ? 0 : -1;
    if (result == 0)
        reader->config.cable_present = cfg_size(file, "cable") > 0;
    cfg_free(file);
    return result;
}

int config_read(struct config *config, const char *path, char *error, unsigned error_bytes)
{
    struct config_reader reader = {
        .config = *config, .path = path, .error = error, .error_bytes = error_bytes};
    error[0] = '\0';
    reader.text = config_load(path, error, error_bytes);
    if (!reader.text)
        return -1;
    config_blank_comments(reader.text);
    config_reading = &reader;
    int result = config_parse(&reader);
    if (result == 0)
        result = config_check_braces();
    if (result == 0)
        result = config_check(&reader.config);
    if (result != 0 && error[0] == '\0')
        snprintf(error, error_bytes, "%s: cannot be read", path);
    config_reading = NULL;
    free(reader.text);
    if (result == 0)
        *config = reader.config;
    return result;
}

void config_default(struct config *config)
{
    memset(config, 0, sizeof *config);
    snprintf(config->dir, sizeof config->dir, "%s", TS_DIR_DEFAULT);
    snprintf(config->device, sizeof config->device, "tap0");
    snprintf(config->user, sizeof config->user, "nobody");
    config->mac = (struct mac_address){{0x02, 0x00, 0x00, 0x4d, 0x00, 0x02}};
    config->address_v4 = 0x0a4d0002; /* 10.77.0.2 */
    config->prefix_bits = 24;
    config->host_address_v4 = 0x0a4d0001; /* 10.77.0.1 */
    config->mtu_bytes = 1500;
    config->offload = true;
    config->cable_seed = 1;
    config->client_sockets_max = 16384;
    config->event_capacity = 16384;
    config->shutdown_us = 5000000;
    config->spin_us = 50;
    config->log_level = LOG_LEVEL_INFO;
    stack_settings_default(&config->settings);
}
