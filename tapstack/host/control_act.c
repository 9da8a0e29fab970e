/* Answers of the control socket that change something: each is written to the log with who
   asked. */
#include "control.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "quantity.h"

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

/* A number counts in the setting's own unit; a text is read as in the configuration file. */
static int value_read(const struct stack_setting_info *info, const json_t *json, uint64_t *value)
{
    if (!json_is_integer(json))
        return quantity_parse(json_string_value(json), quantity_kind_of(info->unit, info->most),
                              value);
    *value = (uint64_t)json_integer_value(json);
    return 0;
}

static enum control_progress set_refuse(struct control_client *client,
                                        const struct stack_setting_info *info)
{
    char least[QUANTITY_TEXT_MAX], most[QUANTITY_TEXT_MAX];
    enum quantity_kind kind = quantity_kind_of(info->unit, info->most);
    quantity_format(info->least, kind, least);
    quantity_format(info->most, kind, most);
    return control_fail(client, "out-of-bounds", "%s must be %s to %s", info->name, least, most);
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
    if (value_read(info, json_object_get(client->arguments, "value"), &value) != 0)
        return control_fail(client, "bad-argument", "%s wants %s", name,
                            quantity_describe(quantity_kind_of(info->unit, info->most)));
    if (stack_setting_set(settings, (unsigned)index, value) != 0)
        return set_refuse(client, info);
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
