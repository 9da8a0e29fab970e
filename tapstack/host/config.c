/* The configuration file, read with libconfuse.

   Every key is a string for libconfuse, and its callback (config_set) reads the string by the key's
   row in a table (config_key.c).

   The keys of an interface stand before all sections for the first one, which is not there if
   sections `interface` are and none of its keys is. libconfuse reads the sections one after the
   other, so what a callback in one of them sets belongs to the last one that there is so far.
   Neither its lines nor its errors are good enough, so the text is read here (config_place.c). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../api/message.h"
#include "../link/nic.h"
#include "config_reader.h"
#include "log.h"

enum {
    CONFIG_FILE_MAX = 1 << 20,
    CONFIG_KEYS_MAX = 128, /* of one section, its end mark included */
};

struct config_reader *config_reading;

/* ---- Keys ---- */

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
