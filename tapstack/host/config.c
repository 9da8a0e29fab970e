/* The configuration file, read with libconfuse.

   Every key is a string for libconfuse, and its callback (config_set) reads the string by the key's
   row in a table. The keys of the section `settings` are those of the stack's own list of settings.

   The keys of an interface stand before all sections for the first one, which is not there if
   sections `interface` are and none of its keys is. libconfuse reads the sections one after the
   other, so what a callback in one of them sets belongs to the last one that there is so far.

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
#include "../link/nic.h"
#include "log.h"
#include "quantity.h"

enum {
    CONFIG_FILE_MAX = 1 << 20,
    CONFIG_KEYS_MAX = 128, /* of one section, its end mark included */
    CONFIG_WORD_MAX = 64,
    CONFIG_DEPTH_MAX = 8, /* of sections in sections */
};

struct config_reader {
    struct config config; /* what has been read so far */
    const char *path;
    char *text; /* the file, comments blanked out */
    char *error;
    unsigned error_bytes;
    cfg_t *file;                        /* while libconfuse reads */
    struct config_interface *interface; /* that the key being read is of */
    bool first_given;                   /* a key of the interface before the sections was */
};

static struct config_reader *config_reading;

/* ---- The keys ---- */

struct config_key {
    const char *name;
    int (*read)(const struct config_key *key, const char *word); /* 0, or -1: not as `wants` says */
    size_t offset; /* in struct config, or struct config_interface */
    size_t size;
    bool of_interface;
    enum quantity_kind kind; /* for config_read_quantity */
    uint64_t least, most;
    const char *wants; /* for the others: what the value has to be */
    bool list;         /* { word, word, ... }: read is called for each */
};

static void *config_field(const struct config_key *key)
{
    char *base =
        key->of_interface ? (char *)config_reading->interface : (char *)&config_reading->config;
    return base + key->offset;
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
    config_reading->interface->address_v4 = v4;
    config_reading->interface->prefix_bits = bits;
    return 0;
}

static int config_read_host_address(const struct config_key *key, const char *word)
{
    (void)key;
    return config_parse_address(word, &config_reading->interface->host_address_v4,
                                &config_reading->interface->host_prefix_bits);
}

static int config_read_gateway(const struct config_key *key, const char *word)
{
    uint8_t bits;
    (void)key;
    return config_parse_address(word, &config_reading->config.gateway_v4, &bits) < 0 || bits ? -1
                                                                                             : 0;
}

/* One more address of an interface. */
static int config_read_more_addresses(const struct config_key *key, const char *word)
{
    struct config_interface *interface = config_reading->interface;
    struct config_address *address = &interface->addresses[interface->address_count];
    (void)key;
    if (interface->address_count == CONFIG_ADDRESSES_MAX ||
        config_parse_address(word, &address->v4, &address->prefix_bits) < 0 ||
        address->prefix_bits == 0)
        return -1;
    interface->address_count++;
    return 0;
}

static int config_read_route(const struct config_key *key, const char *word)
{
    struct config *config = &config_reading->config;
    char error[ROUTE_TEXT_MAX];
    (void)key;
    if (config->route_count == CONFIG_ROUTES_MAX ||
        route_text_parse(word, &config->routes[config->route_count], error) < 0)
        return -1;
    config->route_count++;
    return 0;
}

/* "10.77.0.9 02:00:00:00:00:09": one more neighbor. */
static int config_read_neighbor(const struct config_key *key, const char *word)
{
    struct config *config = &config_reading->config;
    struct config_neighbor neighbor;
    char quad[CONFIG_WORD_MAX];
    uint8_t bits;
    size_t length = strcspn(word, " \t");
    const char *mac = word + length + strspn(word + length, " \t");
    (void)key;
    if (config->neighbor_count == CONFIG_NEIGHBORS_MAX || length >= sizeof quad)
        return -1;
    memcpy(quad, word, length);
    quad[length] = '\0';
    if (config_parse_address(quad, &neighbor.v4, &bits) < 0 || neighbor.v4 == 0 || bits != 0 ||
        mac_address_parse(mac, &neighbor.mac) < 0 || mac_address_is_group(&neighbor.mac))
        return -1;
    config->neighbors[config->neighbor_count++] = neighbor;
    return 0;
}

/* What the rules say is checked when all are read. */
static int config_read_rule(const struct config_key *key, const char *word)
{
    char *rules = config_reading->config.filter_rules;
    size_t used = strlen(rules), room = sizeof config_reading->config.filter_rules - used;
    (void)key;
    return (size_t)snprintf(rules + used, room, "%s\n", word) < room ? 0 : -1;
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

/* One rule of a cable; where a preset differs by direction, two. */
static int config_read_impair(const struct config_key *key, const char *word)
{
    struct config_interface *interface = config_reading->interface;
    struct impair_line lines[IMPAIR_LINES_MAX];
    struct impair_error error;
    int count = impair_text_parse(word, lines, &error);
    (void)key;
    if (count < 0 || interface->impair_count + (unsigned)count > CONFIG_IMPAIR_MAX)
        return -1;
    for (int i = 0; i < count; i++)
        interface->impair[interface->impair_count++] = lines[i];
    return 0;
}

#define CONFIG_FIELD(field) offsetof(struct config, field), sizeof((struct config *)0)->field, false
#define CONFIG_INTERFACE_FIELD(field)                                                              \
    offsetof(struct config_interface, field), sizeof((struct config_interface *)0)->field, true
#define CONFIG_WORD(name, read, place, wants)                                                      \
    {                                                                                              \
        name, read, place, 0, 0, 0, wants                                                          \
    }
#define CONFIG_QUANTITY(name, place, kind, least, most)                                            \
    {                                                                                              \
        name, config_read_quantity, place, kind, least, most, NULL                                 \
    }

static const struct config_key config_keys[] = {
    CONFIG_WORD("dir", config_read_name, CONFIG_FIELD(dir), "a folder's name of at most 95 bytes"),
    CONFIG_WORD("device", config_read_name, CONFIG_INTERFACE_FIELD(device),
                "a device name of at most 15 bytes"),
    CONFIG_WORD("gateway", config_read_gateway, CONFIG_FIELD(gateway_v4),
                "an address such as 10.77.0.1, or none"),
    {.name = "routes",
     .read = config_read_route,
     .wants = "at most 1024 routes such as \"10.9.0.0/16 via 10.77.0.9 metric 10\"",
     .list = true},
    {.name = "neighbors",
     .read = config_read_neighbor,
     .wants = "at most 64 neighbors such as \"10.77.0.9 02:00:00:00:00:09\"",
     .list = true},
    CONFIG_WORD("filter", config_read_text, CONFIG_FIELD(filter),
                "the name of a file with rules, at most 255 bytes"),
    {.name = "filter_rules",
     .read = config_read_rule,
     .wants = "rules of the packet filter, at most 8191 bytes in all",
     .list = true},
    CONFIG_WORD("user", config_read_text, CONFIG_FIELD(user),
                "a user's name, or \"\" to stay root"),
    CONFIG_WORD("log_level", config_read_log_level, CONFIG_FIELD(log_level),
                "error, warning, info or debug"),
    CONFIG_QUANTITY("shutdown", CONFIG_FIELD(shutdown_us), QUANTITY_TIME, 0, 3600000000),
    CONFIG_QUANTITY("spin", CONFIG_FIELD(spin_us), QUANTITY_TIME, 0, 1000000),
    CONFIG_QUANTITY("client_sockets_max", CONFIG_FIELD(client_sockets_max), QUANTITY_COUNT, 1,
                    1000000),
    CONFIG_QUANTITY("control_uid", CONFIG_FIELD(control_uid), QUANTITY_COUNT, 0, UINT32_MAX),
    CONFIG_QUANTITY("events", CONFIG_FIELD(event_capacity), QUANTITY_COUNT, 0, 1 << 24),
    {NULL},
};

/* Of each interface: before the sections for the first, in a section `interface` for the others. */
static const struct config_key config_interface_keys[] = {
    CONFIG_WORD("mac", config_read_mac, CONFIG_INTERFACE_FIELD(mac),
                "the MAC address of one card, such as 02:00:00:4d:00:02"),
    CONFIG_WORD("address", config_read_address, CONFIG_INTERFACE_FIELD(address_v4),
                "an address with its prefix, such as 10.77.0.2/24"),
    {.name = "addresses",
     .read = config_read_more_addresses,
     .of_interface = true,
     .wants = "at most 16 more addresses such as \"10.79.0.2/24\"",
     .list = true},
    CONFIG_WORD("host_address", config_read_host_address, CONFIG_INTERFACE_FIELD(host_address_v4),
                "an address such as 10.77.0.1/24, or none"),
    CONFIG_WORD("netns", config_read_text, CONFIG_INTERFACE_FIELD(netns),
                "the name or path of a network namespace, at most 95 bytes"),
    CONFIG_QUANTITY("mtu", CONFIG_INTERFACE_FIELD(mtu_bytes), QUANTITY_BYTES, 576, 65535),
    CONFIG_QUANTITY("offload", CONFIG_INTERFACE_FIELD(offload), QUANTITY_SWITCH, 0, 1),
    CONFIG_QUANTITY("vlan", CONFIG_INTERFACE_FIELD(vlan), QUANTITY_COUNT, 0, NIC_VLAN_MAX),
    CONFIG_QUANTITY("promiscuous", CONFIG_INTERFACE_FIELD(promiscuous), QUANTITY_SWITCH, 0, 1),
    CONFIG_QUANTITY("proxy_arp", CONFIG_INTERFACE_FIELD(proxy_arp), QUANTITY_SWITCH, 0, 1),
    CONFIG_QUANTITY("allmulti", CONFIG_INTERFACE_FIELD(allmulti), QUANTITY_SWITCH, 0, 1),
    CONFIG_QUANTITY("ring", CONFIG_INTERFACE_FIELD(ring_slots), QUANTITY_COUNT, 1, CONFIG_RING_MAX),
    CONFIG_QUANTITY("budget", CONFIG_INTERFACE_FIELD(budget_frames), QUANTITY_COUNT, 1,
                    CONFIG_RING_MAX),
    {NULL},
};

#define CONFIG_CABLE_FIELD(field) CONFIG_INTERFACE_FIELD(cable.field)

static const struct config_key config_cable_keys[] = {
    CONFIG_QUANTITY("loss", CONFIG_CABLE_FIELD(loss_ppm), QUANTITY_SHARE, 0, 1000000),
    CONFIG_QUANTITY("duplicate", CONFIG_CABLE_FIELD(duplicate_ppm), QUANTITY_SHARE, 0, 1000000),
    CONFIG_QUANTITY("corrupt", CONFIG_CABLE_FIELD(corrupt_ppm), QUANTITY_SHARE, 0, 1000000),
    CONFIG_QUANTITY("reorder", CONFIG_CABLE_FIELD(reorder_ppm), QUANTITY_SHARE, 0, 1000000),
    CONFIG_QUANTITY("delay", CONFIG_CABLE_FIELD(delay_us), QUANTITY_TIME, 0, 3600000000),
    CONFIG_QUANTITY("jitter", CONFIG_CABLE_FIELD(jitter_us), QUANTITY_TIME, 0, 3600000000),
    CONFIG_QUANTITY("reorder_hold", CONFIG_CABLE_FIELD(reorder_us), QUANTITY_TIME, 0, 3600000000),
    CONFIG_QUANTITY("rate", CONFIG_CABLE_FIELD(rate_kbps), QUANTITY_RATE, 0, UINT32_MAX),
    CONFIG_QUANTITY("queue", CONFIG_CABLE_FIELD(queue_frames), QUANTITY_COUNT, 0, 1000000),
    CONFIG_QUANTITY("mtu", CONFIG_CABLE_FIELD(mtu_bytes), QUANTITY_BYTES, 0, 65535),
    CONFIG_QUANTITY("fcs", CONFIG_CABLE_FIELD(fcs), QUANTITY_SWITCH, 0, 1),
    {.name = "impair", .read = config_read_impair, .list = true},
    CONFIG_QUANTITY("seed", CONFIG_INTERFACE_FIELD(cable_seed), QUANTITY_COUNT, 0, UINT64_MAX),
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

/* The row of a key, or NULL. */
static const struct config_key *config_table_find(const struct config_key *key, const char *name)
{
    while (key->name && strcmp(key->name, name) != 0)
        key++;
    return key->name ? key : NULL;
}

static void config_complain_unknown(const cfg_t *section, const char *name)
{
    bool top = strcmp(section->name, "root") == 0;
    const char *nearest = config_nearest(section, name);
    const char *home = stack_setting_find(name) >= 0                    ? "settings"
                       : config_table_find(config_cable_keys, name)     ? "cable"
                       : config_table_find(config_interface_keys, name) ? "root"
                       : config_table_find(config_keys, name)           ? "root"
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

/* The column is that of the word within the line that the impairment does not understand. */
static void config_complain_impair(int line, const struct config_key *key, const char *text)
{
    struct impair_line lines[IMPAIR_LINES_MAX];
    struct impair_error error;
    char word[CONFIG_WORD_MAX] = "";
    if (impair_text_parse(text, lines, &error) >= 0) {
        config_complain(line, key->name, text, "%s: more than %d lines", key->name,
                        CONFIG_IMPAIR_MAX);
        return;
    }
    const char *at = text + error.column - 1;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(at, " \t"), at);
    config_complain(line, key->name, word, "%s: %s", key->name, error.message);
}

static void config_complain_value(int line, const struct config_key *key, const char *word)
{
    char least[QUANTITY_TEXT_MAX], most[QUANTITY_TEXT_MAX];
    uint64_t value;
    if (key->read == config_read_impair) {
        config_complain_impair(line, key, word);
    } else if (key->wants) {
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
    if (strcmp(section->name, "cable") == 0)
        return *config_table_find(config_cable_keys, name);
    const struct config_key *key = config_table_find(config_interface_keys, name);
    return key ? *key : *config_table_find(config_keys, name);
}

static int config_set_key(const cfg_t *section, const char *name, const char *word)
{
    struct config_key key = config_key_of(section, name);
    if (key.read(&key, word) == 0)
        return 0;
    config_complain_value(section->line, &key, word);
    return -1;
}

/* libconfuse has read `key = word`, in the file's first level, its cable or its settings. */
static int config_set(cfg_t *section, cfg_opt_t *option, const char *word, void *result)
{
    struct config_reader *reader = config_reading;
    *(const char **)result = word;
    reader->interface = &reader->config.interface[0];
    if (config_table_find(config_interface_keys, option->name) ||
        strcmp(option->name, "device") == 0 || strcmp(option->name, "gateway") == 0)
        reader->first_given = true;
    return config_set_key(section, option->name, word);
}

/* The same in a section `interface` or its cable. */
static int config_set_interface(cfg_t *section, cfg_opt_t *option, const char *word, void *result)
{
    struct config_reader *reader = config_reading;
    unsigned number = cfg_size(reader->file, "interface");
    *(const char **)result = word;
    if (number >= CONFIG_INTERFACES_MAX) {
        config_complain(section->line, NULL, NULL, "more than %d interfaces",
                        CONFIG_INTERFACES_MAX - 1);
        return -1;
    }
    reader->interface = &reader->config.interface[number];
    return config_set_key(section, option->name, word);
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
    int line = 1, open_line[CONFIG_DEPTH_MAX];
    unsigned depth = 0;
    char quote = '\0';
    for (const char *at = config_reading->text; *at != '\0'; at++) {
        if (*at == '\n')
            line++;
        else if (quote && *at == '\\' && at[1] != '\0')
            at++;
        else if (quote ? *at == quote : *at == '"' || *at == '\'')
            quote = quote ? '\0' : *at;
        else if (!quote && *at == '{' && depth < CONFIG_DEPTH_MAX)
            open_line[depth++] = line;
        else if (!quote && *at == '}' && depth > 0)
            depth--;
    }
    if (depth > 0)
        config_complain(open_line[depth - 1], NULL, NULL, "this section is not closed");
    return depth > 0 ? -1 : 0;
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

enum { CONFIG_ELSEWHERE = CONFIG_INTERFACES_MAX }; /* in a section of another kind */

/* Does `name =` stand here, behind other than a word? */
static bool config_is_key(const char *at, const char *name)
{
    size_t length = strlen(name);
    if (at > config_reading->text && !strchr(" \t\r\n{};", at[-1]))
        return false;
    return strncmp(at, name, length) == 0 && at[length + strspn(at + length, " \t\r\n")] == '=';
}

/* The line that sets a key, for errors that show only when all is read; 0 when none does. name
   NULL: where the section begins. section: 0 before all sections, else the number of a section
   `interface`, its cable included. */
static int config_line_of(unsigned section, const char *name)
{
    const char *since = config_reading->text;
    unsigned depth = 0, count = 0, inside = 0;
    int line = 1;
    char quote = '\0';
    for (const char *at = since; *at != '\0'; at++) {
        if (!quote && name && inside == section && config_is_key(at, name))
            return line;
        if (*at == '\n')
            line++;
        else if (quote && *at == '\\' && at[1] != '\0')
            at++;
        else if (quote ? *at == quote : *at == '"' || *at == '\'')
            quote = quote ? '\0' : *at;
        else if (!quote && *at == '{' && depth++ == 0) {
            bool interface = config_find_word(since, at, "interface") != NULL;
            inside = interface ? ++count : CONFIG_ELSEWHERE;
            if (!name && inside == section)
                return line;
        } else if (!quote && *at == '}' && depth > 0 && --depth == 0) {
            inside = 0;
            since = at;
        }
    }
    return 0;
}

/* The key to blame: the second one, where the file leaves the first at its default. */
static const char *config_blame(unsigned section, const char *key, const char *other)
{
    return config_line_of(section, key) != 0 ? key : other;
}

/* Complains where the key is set, or else of the whole section. */
#define CONFIG_REFUSE_IN(section, key, ...)                                                        \
    (config_complain(config_line_of(section, config_line_of(section, key) ? key : NULL), key,      \
                     NULL, __VA_ARGS__),                                                           \
     -1)
#define CONFIG_REFUSE(key, ...) CONFIG_REFUSE_IN(0, key, __VA_ARGS__)

static bool config_same_network(const struct config_interface *interface, uint32_t v4)
{
    uint32_t mask = ~(uint32_t)0 << (32 - interface->prefix_bits);
    return interface->address_v4 != 0 && (v4 & mask) == (interface->address_v4 & mask);
}

static int config_check_own_address(const struct config_interface *interface, unsigned section)
{
    uint32_t host_bits = UINT32_MAX >> interface->prefix_bits;
    uint32_t host = interface->address_v4 & host_bits;

    if (interface->address_v4 == 0)
        return CONFIG_REFUSE_IN(section, "interface",
                                "interface \"%s\" needs an address, or a place in the bridge",
                                interface->device);
    if (!ipv4_is_valid_source(interface->address_v4) ||
        (interface->prefix_bits < 31 && (host == 0 || host == host_bits)))
        return CONFIG_REFUSE_IN(section, "address", "address is not one that a host can have");
    return 0;
}

static int config_check_host_address(const struct config_interface *interface, unsigned section)
{
    if (interface->host_address_v4 == 0)
        return 0;
    if (interface->host_prefix_bits != 0 && interface->host_prefix_bits != interface->prefix_bits)
        return CONFIG_REFUSE_IN(section, "host_address",
                                "host_address has the prefix /%u, address has /%u",
                                interface->host_prefix_bits, interface->prefix_bits);
    if (!config_same_network(interface, interface->host_address_v4))
        return CONFIG_REFUSE_IN(section, config_blame(section, "host_address", "address"),
                                "host_address is not in the network of address; set both");
    if (interface->host_address_v4 == interface->address_v4)
        return CONFIG_REFUSE_IN(section, config_blame(section, "host_address", "address"),
                                "host_address is the stack's own address");
    return 0;
}

/* An end of the bridge has no place in the stack. */
static int config_check_bridged(const struct config_interface *interface, unsigned section)
{
    if (interface->address_v4 != 0 && config_line_of(section, "address") != 0)
        return CONFIG_REFUSE_IN(section, "address", "an end of the bridge has no address");
    if (interface->vlan != 0)
        return CONFIG_REFUSE_IN(section, "vlan", "an end of the bridge lets all VLANs pass");
    if (interface->host_address_v4 != 0 && interface->host_prefix_bits == 0)
        return CONFIG_REFUSE_IN(section, "host_address",
                                "host_address of an end of the bridge needs its prefix");
    return 0;
}

static bool config_same_place(const struct config_interface *a, const struct config_interface *b)
{
    return strcmp(a->device, b->device) == 0 && strcmp(a->netns, b->netns) == 0;
}

/* Once more against those before it. */
static int config_check_others(const struct config *config, unsigned index, unsigned section)
{
    const struct config_interface *interface = &config->interface[index];
    for (unsigned i = 0; i < index; i++) {
        const struct config_interface *other = &config->interface[i];
        if (config_same_place(other, interface))
            return CONFIG_REFUSE_IN(section, "interface", "interface \"%s\" is there twice",
                                    interface->device);
        if (!interface->bridged && other->address_v4 == interface->address_v4)
            return CONFIG_REFUSE_IN(section, "address", "address is that of interface \"%s\" too",
                                    other->device);
    }
    return 0;
}

static int config_check_interface(const struct config *config, unsigned index, unsigned section)
{
    const struct config_interface *interface = &config->interface[index];
    if (config_check_others(config, index, section) < 0)
        return -1;
    if (interface->bridged)
        return config_check_bridged(interface, section);
    if (config_check_own_address(interface, section) < 0)
        return -1;
    return config_check_host_address(interface, section);
}

int config_gateway_interface(const struct config *config)
{
    for (unsigned i = 0; i < config->interface_count; i++)
        if (config_same_network(&config->interface[i], config->gateway_v4))
            return (int)i;
    return -1;
}

static int config_check_gateway(const struct config *config)
{
    if (config->gateway_v4 == 0)
        return 0;
    int index = config_gateway_interface(config);
    if (index < 0)
        return CONFIG_REFUSE("gateway", "gateway is not in the network of address");
    if (config->gateway_v4 == config->interface[index].address_v4)
        return CONFIG_REFUSE("gateway", "gateway is the stack's own address");
    return 0;
}

/* What no key can tell alone. */
static int config_check(const struct config *config)
{
    const struct stack_settings *settings = &config->settings;
    if (config_check_gateway(config) < 0)
        return -1;
    struct stack_filter_error error;
    if (stack_filter_check(config->filter_rules, strlen(config->filter_rules), &error) != 0)
        return CONFIG_REFUSE("filter_rules", "filter_rules: %u:%u: %s", error.line, error.column,
                             error.message);
    if ((config->event_capacity & (config->event_capacity - 1)) != 0)
        return CONFIG_REFUSE("events", "events must be a power of two, or 0");
    if (config->user[0] != '\0' && !getpwnam(config->user))
        return CONFIG_REFUSE("user", "there is no user \"%s\"", config->user);
    if (settings->tcp_port_first > settings->tcp_port_last)
        return CONFIG_REFUSE_IN(CONFIG_ELSEWHERE,
                                config_blame(CONFIG_ELSEWHERE, "tcp.port_last", "tcp.port_first"),
                                "tcp.port_last is below tcp.port_first");
    if (settings->tcp_rto_min_us > settings->tcp_rto_max_us)
        return CONFIG_REFUSE_IN(CONFIG_ELSEWHERE,
                                config_blame(CONFIG_ELSEWHERE, "tcp.rto_max", "tcp.rto_min"),
                                "tcp.rto_max is below tcp.rto_min");
    return 0;
}

/* ---- Interfaces and the bridge ---- */

static struct config_interface *config_find_interface(struct config *config, const char *device)
{
    for (unsigned i = 0; i < config->interface_count; i++)
        if (strcmp(config->interface[i].device, device) == 0)
            return &config->interface[i];
    return NULL;
}

static int config_read_bridge(struct config *config, cfg_t *file)
{
    unsigned count = cfg_size(file, "bridge");
    if (count == 0)
        return 0;
    for (unsigned i = 0; i < count && count == 2; i++) {
        const char *device = cfg_getnstr(file, "bridge", i);
        struct config_interface *interface = config_find_interface(config, device);
        if (!interface)
            return CONFIG_REFUSE("bridge", "bridge: there is no interface \"%s\"", device);
        if (interface->bridged)
            return CONFIG_REFUSE("bridge", "bridge joins two interfaces, not \"%s\" twice", device);
        interface->bridged = true;
        interface->promiscuous = true;
    }
    return count == 2 ? 0
                      : CONFIG_REFUSE("bridge",
                                      "bridge joins two interfaces, such as "
                                      "{\"tap0\", \"tap1\"}, not %u",
                                      count);
}

/* What the sections `interface` say by being there. */
static int config_read_sections(struct config_reader *reader, cfg_t *file)
{
    struct config *config = &reader->config;
    unsigned count = cfg_size(file, "interface");
    config->interface[0].cable_present = cfg_size(file, "cable") > 0;
    for (unsigned i = 0; i < count; i++) {
        cfg_t *section = cfg_getnsec(file, "interface", i);
        struct config_interface *interface = &config->interface[i + 1];
        if (strlen(cfg_title(section)) >= sizeof interface->device || !*cfg_title(section))
            return CONFIG_REFUSE_IN(i + 1, "interface",
                                    "interface wants a device name of at most 15 bytes");
        snprintf(interface->device, sizeof interface->device, "%s", cfg_title(section));
        interface->cable_present = cfg_size(section, "cable") > 0;
    }
    config->interface_count = count + 1;
    return 0;
}

/* Puts the bridged ones last, so that what is left are the stack's interfaces by their numbers. */
static void config_sort_interfaces(struct config *config)
{
    struct config_interface sorted[CONFIG_INTERFACES_MAX];
    unsigned count = 0;
    for (int bridged = 0; bridged < 2; bridged++)
        for (unsigned i = 0; i < config->interface_count; i++)
            if (config->interface[i].bridged == (bridged != 0))
                sorted[count++] = config->interface[i];
    memcpy(config->interface, sorted, count * sizeof sorted[0]);
}

/* Takes away the first interface where the file means the others alone. */
static void config_drop_first(struct config *config)
{
    config->interface_count--;
    memmove(config->interface, config->interface + 1,
            config->interface_count * sizeof config->interface[0]);
}

static int config_read_interfaces(struct config_reader *reader, cfg_t *file)
{
    struct config *config = &reader->config;
    if (config_read_sections(reader, file) < 0)
        return -1;
    unsigned first =
        config->interface_count > 1 && !reader->first_given && !config->interface[0].cable_present;
    if (first)
        config_drop_first(config);
    if (config_read_bridge(config, file) < 0)
        return -1;
    for (unsigned i = 0; i < config->interface_count; i++)
        if (config_check_interface(config, i, i + first) < 0)
            return -1;
    config_sort_interfaces(config);
    return 0;
}

bool config_has_bridge(const struct config *config)
{
    return config->interface[config->interface_count - 1].bridged;
}

/* ---- The whole file ---- */

/* Fills options with one string option a key. */
static cfg_opt_t *config_add_keys(cfg_opt_t *option, const struct config_key *key,
                                  cfg_callback_t set)
{
    for (; key->name; key++) {
        *option = (cfg_opt_t)CFG_STR_CB(key->name, 0, CFGF_NODEFAULT, set);
        if (key->list)
            option->flags |= CFGF_LIST;
        option++;
    }
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
    cfg_opt_t interface[CONFIG_KEYS_MAX], interface_cable[CONFIG_KEYS_MAX];
    cfg_opt_t *end;

    *config_add_keys(cable, config_cable_keys, config_set) = (cfg_opt_t)CFG_END();
    *config_add_keys(interface_cable, config_cable_keys, config_set_interface) =
        (cfg_opt_t)CFG_END();
    *config_add_settings(settings) = (cfg_opt_t)CFG_END();
    end = config_add_keys(interface, config_interface_keys, config_set_interface);
    *end++ = (cfg_opt_t)CFG_SEC("cable", interface_cable, CFGF_NODEFAULT);
    *end = (cfg_opt_t)CFG_END();
    end = config_add_keys(top, config_keys, config_set);
    end = config_add_keys(end, config_interface_keys, config_set);
    *end++ = (cfg_opt_t)CFG_STR_LIST("bridge", 0, CFGF_NODEFAULT);
    *end++ =
        (cfg_opt_t)CFG_SEC("interface", interface, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
    *end++ = (cfg_opt_t)CFG_SEC("cable", cable, CFGF_NODEFAULT);
    *end++ = (cfg_opt_t)CFG_SEC("settings", settings, CFGF_NODEFAULT);
    *end = (cfg_opt_t)CFG_END();

    cfg_t *file = reader->file = cfg_init(top, CFGF_NONE);
    if (!file)
        return -1;
    cfg_set_error_function(file, config_parse_error);
    int result = cfg_parse_buf(file, reader->text) == CFG_SUCCESS ? 0 : -1;
    if (result == 0)
        result = config_check_braces();
    if (result == 0)
        result = config_read_interfaces(reader, file);
    cfg_free(file);
    return result;
}

int config_read(struct config *config, const char *path, char *error, unsigned error_bytes)
{
    struct config_reader reader = {
        .config = *config, .path = path, .error = error, .error_bytes = error_bytes};
    error[0] = '\0';
    reader.config.neighbor_count = 0; /* a list is whole in one file */
    reader.config.route_count = 0;
    for (unsigned i = 0; i < CONFIG_INTERFACES_MAX; i++)
        reader.config.interface[i].address_count = 0;
    reader.text = config_load(path, error, error_bytes);
    if (!reader.text)
        return -1;
    config_blank_comments(reader.text);
    config_reading = &reader;
    int result = config_parse(&reader);
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

/* The n-th interface as it is without any key. */
static void config_default_interface(struct config_interface *interface, unsigned n)
{
    *interface = (struct config_interface){
        .mac = {{0x02, 0x00, 0x00, 0x4d, (uint8_t)n, 0x02}},
        .mtu_bytes = 1500,
        .offload = true,
        .ring_slots = CONFIG_RING_DEFAULT,
        .budget_frames = NIC_BUDGET,
        .cable_seed = 1,
    };
}

/* Reads "DEVICE" or "DEVICE@NETNS", length bytes of text. */
static int config_read_end(struct config_interface *interface, const char *text, size_t length)
{
    const char *at = memchr(text, '@', length);
    size_t device = at ? (size_t)(at - text) : length;
    size_t netns = at ? length - device - 1 : 0;
    if (device == 0 || device >= sizeof interface->device || netns >= sizeof interface->netns)
        return -1;
    snprintf(interface->device, sizeof interface->device, "%.*s", (int)device, text);
    if (at)
        snprintf(interface->netns, sizeof interface->netns, "%.*s", (int)netns, at + 1);
    interface->bridged = interface->promiscuous = true;
    return 0;
}

int config_bridge(struct config *config, const char *text, char *error, unsigned error_bytes)
{
    size_t comma = strcspn(text, ",");
    config_default_interface(&config->interface[0], 0);
    config_default_interface(&config->interface[1], 1);
    config->interface_count = 2;
    config->gateway_v4 = 0;
    if (text[comma] == ',' && config_read_end(&config->interface[0], text, comma) == 0 &&
        config_read_end(&config->interface[1], text + comma + 1, strlen(text + comma + 1)) == 0 &&
        !config_same_place(&config->interface[0], &config->interface[1]))
        return 0;
    snprintf(error, error_bytes, "a bridge wants two devices, such as tap0@a,tap1@b, not \"%s\"",
             text);
    return -1;
}

void config_default(struct config *config)
{
    memset(config, 0, sizeof *config);
    snprintf(config->dir, sizeof config->dir, "%s", TS_DIR_DEFAULT);
    snprintf(config->user, sizeof config->user, "nobody");
    for (unsigned i = 0; i < CONFIG_INTERFACES_MAX; i++)
        config_default_interface(&config->interface[i], i);
    struct config_interface *first = &config->interface[0];
    snprintf(first->device, sizeof first->device, "tap0");
    first->address_v4 = 0x0a4d0002; /* 10.77.0.2 */
    first->prefix_bits = 24;
    first->host_address_v4 = 0x0a4d0001; /* 10.77.0.1 */
    config->interface_count = 1;
    config->client_sockets_max = 16384;
    config->event_capacity = 16384;
    config->shutdown_us = 5000000;
    config->spin_us = 50;
    config->log_level = LOG_LEVEL_INFO;
    stack_settings_default(&config->settings);
}
