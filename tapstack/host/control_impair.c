/* `impair` of the control socket: rules of the cables, added, listed and taken away while frames pass. */
#include <errno.h>
#include <string.h>

#include "control.h"
#include "device.h"
#include "log.h"

static const enum impair_direction directions[] =
    {[DEVICE_IN] = IMPAIR_IN, [DEVICE_OUT] = IMPAIR_OUT};

/* The device that the request names, or the first. NULL: it was answered with an error. */
static struct device *device_named(struct control_client *client)
{
    const struct daemon *daemon = client->daemon;
    const char *name = control_text(client, "interface");
    for (unsigned i = 0; i < daemon->device_count; i++)
        if (!name || strcmp(device_name(daemon->device[i]), name) == 0)
            return daemon->device[i];
    control_fail(client, "not-found", "no interface \"%.20s\"", name ? name : "");
    return NULL;
}

/* ---- What there is ---- */

static json_t *counters_json(const struct cable_rule_counters *counters)
{
    json_t *json = json_object();
#define RULE_SET(field, name, what)                                                                \
    json_object_set_new(json, name, control_integer(counters->field));
    CABLE_RULE_COUNTERS(RULE_SET)
#undef RULE_SET
    return json;
}

static json_t *rule_json(const struct device *device, int direction,
                         const struct cable_rule_info *info)
{
    struct impair_line line = {directions[direction], *info->impairment};
    char text[IMPAIR_TEXT_MAX];
    impair_text_format(&line, text);
    return json_pack("{s:I, s:s, s:s, s:I, s:o, s:I, s:I, s:o}", "number", (json_int_t)info->id,
                     "interface", device_name(device), "rule", text, "starts_in_us",
                     (json_int_t)info->starts_in_us, "ends_in_us",
                     info->ends_in_us == UINT64_MAX ? json_null()
                                                    : control_integer(info->ends_in_us),
                     "waiting", (json_int_t)info->waiting_frames, "waiting_bytes",
                     (json_int_t)info->waiting_bytes, "did", counters_json(info->counters));
}

static void rules_append(json_t *list, struct device *device, uint64_t now_us)
{
    for (int i = DEVICE_IN; i <= DEVICE_OUT; i++) {
        const struct cable *cable = device_cable(device, i);
        struct cable_rule_info info;
        uint32_t cursor = 0;
        while (cable && cable_next_rule(cable, &cursor, &info, now_us))
            json_array_append_new(list, rule_json(device, i, &info));
    }
}

/* At most CONFIG_INTERFACES_MAX * 2 * CABLE_RULES_MAX rules: a device a step. */
enum control_progress control_impair_list(struct control_client *client)
{
    const struct daemon *daemon = client->daemon;
    const char *name = control_text(client, "interface");
    json_t *list = json_array();
    if (name) {
        struct device *device = device_named(client);
        if (!device) {
            json_decref(list);
            return CONTROL_DONE;
        }
        rules_append(list, device, daemon->loop.now_us);
    } else if (client->cursor < daemon->device_count) {
        rules_append(list, daemon->device[client->cursor++], daemon->loop.now_us);
        if (client->cursor < daemon->device_count) {
            control_put(client, json_pack("{s:o}", "impairments", list));
            return CONTROL_MORE;
        }
    }
    return control_end(client, json_pack("{s:o}", "impairments", list));
}

enum control_progress control_impair_presets(struct control_client *client)
{
    json_t *list = json_array();
    for (const struct impair_preset *preset = impair_presets; preset->name; preset++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", preset->name, "what",
                                              preset->what, "in", preset->in, "out", preset->out));
    return control_end(client, json_pack("{s:o}", "presets", list));
}

/* ---- Changing it ---- */

enum control_progress control_impair_add(struct control_client *client)
{
    const char *text = control_text(client, "rule");
    struct impair_line lines[IMPAIR_LINES_MAX];
    struct impair_error error;
    int count = impair_text_parse(text, lines, &error);
    if (count < 0)
        return control_fail(client, "bad-argument", "column %u: %s", error.column, error.message);
    struct device *device = device_named(client);
    if (!device)
        return CONTROL_DONE;
    int number = device_impair(device, lines, (unsigned)count);
    if (number == -ENOSPC)
        return control_fail(client, "busy", "%s has %d impairments, more it cannot have",
                            device_name(device), CABLE_RULES_MAX);
    if (number < 0)
        return control_fail(client, "failed", "%s", strerror(-number));
    log_info("control: uid %u added impairment %d of %s: %s", (unsigned)client->uid, number,
             device_name(device), text);
    return control_end(client,
                       json_pack("{s:i, s:s}", "number", number, "interface", device_name(device)));
}

enum control_progress control_impair_del(struct control_client *client)
{
    uint64_t id = control_number(client, "number", 0);
    struct device *device = device_named(client);
    if (!device)
        return CONTROL_DONE;
    if (id == 0 || id > INT32_MAX || device_unimpair(device, (uint32_t)id) != 0)
        return control_fail(client, "not-found", "%s has no impairment %llu", device_name(device),
                            (unsigned long long)id);
    log_info("control: uid %u removed impairment %llu of %s", (unsigned)client->uid,
             (unsigned long long)id, device_name(device));
    return control_end(client, NULL);
}

/* Returns how many rules are gone; one for both directions is one. */
static int device_clear(struct device *device)
{
    struct cable_rule_info info;
    int count = 0;
    for (int i = DEVICE_IN; i <= DEVICE_OUT; i++) {
        uint32_t cursor = 0;
        const struct cable *cable = device_cable(device, i);
        while (cable && cable_next_rule(cable, &cursor, &info, 0)) {
            device_unimpair(device, info.id);
            count++;
        }
    }
    return count;
}

enum control_progress control_impair_clear(struct control_client *client)
{
    const struct daemon *daemon = client->daemon;
    int count = 0;
    if (control_text(client, "interface")) {
        struct device *device = device_named(client);
        if (!device)
            return CONTROL_DONE;
        count = device_clear(device);
    } else {
        for (unsigned i = 0; i < daemon->device_count; i++)
            count += device_clear(daemon->device[i]);
    }
    log_info("control: uid %u cleared %d impairments", (unsigned)client->uid, count);
    return control_end(client, json_pack("{s:i}", "cleared", count));
}
