/* The keys of the configuration file: what each reads, and what is said of one that is wrong.

   Every key is a string for libconfuse; its row in a table says what to make of it. The keys of the
   section `settings` are those of the stack's own list of settings. */
#include "config_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../link/nic.h"
#include "log.h"

/* ---- What they read ---- */

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
    struct config_neighbor neighbor = {0}; /* its padding too: reloads are compared */
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

/* ---- The tables ---- */

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

const struct config_key config_keys[] = {
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
const struct config_key config_interface_keys[] = {
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

const struct config_key config_cable_keys[] = {
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

const struct config_key *config_table_find(const struct config_key *key, const char *name)
{
    while (key->name && strcmp(key->name, name) != 0)
        key++;
    return key->name ? key : NULL;
}

/* ---- Keys that are not known ---- */

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

/* `no such option 'x'`, `unexpected token 'x'`, `missing equal sign ...`. */
void config_parse_error(cfg_t *section, const char *format, va_list arguments)
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

int config_set_key(const cfg_t *section, const char *name, const char *word)
{
    struct config_key key = config_key_of(section, name);
    if (key.read(&key, word) == 0)
        return 0;
    config_complain_value(section->line, &key, word);
    return -1;
}
