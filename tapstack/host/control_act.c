/* Answers of the control socket that change something: each is written to the log with who asked.
 */
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

enum control_progress control_act_write(struct control_client *client)
{
    if (!control_may_write(client))
        return control_fail(client, "permission",
                            "uid %u may look only: writing is for root, the daemon's own user "
                            "and the configured one",
                            (unsigned)client->uid);
    client->writes = true;
    return control_end(client, NULL);
}

enum control_progress control_act_kill(struct control_client *client)
{
    uint64_t id = control_number(client, "id", 0);
    if (id == 0 || id > UINT32_MAX ||
        stack_kill(client->daemon->stack, (uint32_t)id, client->daemon->loop.now_us) != 0)
        return control_fail(client, "not-found", "no connection %llu", (unsigned long long)id);
    log_info("control: uid %u killed connection %llu", (unsigned)client->uid,
             (unsigned long long)id);
    return control_end(client, NULL);
}

/* ---- Settings ---- */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit time_units[] = {{"us", 1},       {"ms", 1000},      {"s", 1000000},
                                         {"m", 60000000}, {"min", 60000000}, {"h", 3600000000},
                                         {NULL, 0}};
static const struct unit byte_units[] = {{"B", 1},         {"K", 1 << 10},   {"KiB", 1 << 10},
                                         {"M", 1 << 20},   {"MiB", 1 << 20}, {"G", 1 << 30},
                                         {"GiB", 1 << 30}, {NULL, 0}};

static uint64_t unit_factor(const char *suffix, const char *unit)
{
    if (suffix[0] == '\0')
        return 1;
    if (strcmp(unit, "us") != 0 && strcmp(unit, "bytes") != 0)
        return 0;
    const struct unit *known = unit[0] == 'u' ? time_units : byte_units;
    while (known->name && strcmp(known->name, suffix) != 0)
        known++;
    return known->factor;
}

int control_value_parse(const json_t *json, const char *unit, uint64_t *value)
{
    if (json_is_integer(json)) {
        *value = (uint64_t)json_integer_value(json);
        return 0;
    }
    const char *text = json_string_value(json);
    if (!text || text[0] < '0' || text[0] > '9')
        return -1;
    char *suffix;
    errno = 0;
    unsigned long long number = strtoull(text, &suffix, 10);
    uint64_t factor = unit_factor(suffix, unit);
    if (errno || factor == 0 || number > UINT64_MAX / factor)
        return -1;
    *value = number * factor;
    return 0;
}

enum control_progress control_act_set(struct control_client *client)
{
    const char *name = control_text(client, "name");
    int index = stack_setting_find(name);
    if (index < 0)
        return control_fail(client, "not-found", "no setting \"%.60s\"", name);
    const struct stack_setting_info *info = stack_setting_info((unsigned)index);
    struct stack_settings *settings = stack_settings(client->daemon->stack);
    uint64_t before = stack_setting_get(settings, (unsigned)index), value;
    if (control_value_parse(json_object_get(client->arguments, "value"), info->unit, &value) != 0)
        return control_fail(client, "bad-argument", "%s: a number%s is wanted", name,
                            strcmp(info->unit, "us") == 0      ? " with us, ms, s, m or h"
                            : strcmp(info->unit, "bytes") == 0 ? " with K, M or G"
                                                               : "");
    if (stack_setting_set(settings, (unsigned)index, value) != 0)
        return control_fail(client, "out-of-bounds", "%s must be %llu to %llu %s", name,
                            (unsigned long long)info->least, (unsigned long long)info->most,
                            info->unit);
    log_info("control: uid %u set %s from %llu to %llu", (unsigned)client->uid, name,
             (unsigned long long)before, (unsigned long long)value);
    return control_end(client,
                       json_pack("{s:s, s:I, s:I, s:s}", "name", name, "before", (json_int_t)before,
                                 "value", (json_int_t)value, "unit", info->unit));
}

/* ---- Capture ---- */

static json_t *capture_json(const struct capture *capture)
{
    struct capture_status status;
    capture_status(capture, &status);
    return json_pack("{s:b, s:I, s:I, s:I, s:s}", "running", status.running, "frames",
                     (json_int_t)status.frames, "lost", (json_int_t)status.lost, "bytes",
                     (json_int_t)status.bytes, "ended", status.ended);
}

enum control_progress control_act_capture_start(struct control_client *client)
{
    if (client->descriptor < 0)
        return control_fail(client, "no-descriptor",
                            "pass the file's descriptor along with the request (SCM_RIGHTS)");
    int fd = client->descriptor;
    client->descriptor = -1;
    int error = capture_start(client->daemon->capture, fd, control_number(client, "limit", 0));
    if (error == -EBUSY)
        return control_fail(client, "busy", "a capture is running already");
    if (error)
        return control_fail(client, "bad-descriptor", "cannot write there: %s", strerror(-error));
    log_info("control: uid %u started a capture", (unsigned)client->uid);
    return control_end(client, NULL);
}

enum control_progress control_act_capture_stop(struct control_client *client)
{
    uint64_t frames, lost;
    if (!capture_is_running(client->daemon->capture))
        return control_fail(client, "not-running", "no capture is running");
    capture_stop(client->daemon->capture, &frames, &lost);
    log_info("control: uid %u stopped the capture: %llu frames, %llu lost", (unsigned)client->uid,
             (unsigned long long)frames, (unsigned long long)lost);
    return control_end(client, capture_json(client->daemon->capture));
}

enum control_progress control_act_capture_status(struct control_client *client)
{
    return control_end(client, capture_json(client->daemon->capture));
}
