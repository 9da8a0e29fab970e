/* `interface` of the control socket: the switches of one card, and its place in service. */
#include <errno.h>
#include <string.h>

#include "control.h"
#include "device.h"
#include "log.h"

/* What a request asks for; each may be left out. */
struct wish {
    int promiscuous, allmulti, up; /* 0, 1, or -1: as it is */
    uint64_t ring, budget;         /* 0: as it is */
};

/* "on" or "off"; left out is -1. Returns 0, or -1 when the request was answered with an error. */
static int switch_read(struct control_client *client, const char *name, int *value)
{
    const char *word = control_text(client, name);
    *value = !word ? -1 : strcmp(word, "on") == 0;
    if (!word || *value == 1 || strcmp(word, "off") == 0)
        return 0;
    control_fail(client, "bad-argument", "%s is on or off, not \"%.20s\"", name, word);
    return -1;
}

static int length_read(struct control_client *client, const char *name, uint64_t *value)
{
    bool given = json_object_get(client->arguments, name) != NULL;
    *value = control_number(client, name, 0);
    if (!given || (*value >= 1 && *value <= CONFIG_RING_MAX))
        return 0;
    control_fail(client, "out-of-bounds", "%s must be 1 to %d", name, CONFIG_RING_MAX);
    return -1;
}

static int wish_read(struct control_client *client, struct wish *wish)
{
    bool up = control_flag(client, "up"), down = control_flag(client, "down");
    if (up && down) {
        control_fail(client, "bad-argument", "up or down, not both");
        return -1;
    }
    wish->up = up ? 1 : down ? 0 : -1;
    if (switch_read(client, "promiscuous", &wish->promiscuous) < 0 ||
        switch_read(client, "allmulti", &wish->allmulti) < 0 ||
        length_read(client, "ring", &wish->ring) < 0)
        return -1;
    return length_read(client, "budget", &wish->budget);
}

static struct device *device_find(const struct daemon *daemon, const char *name)
{
    for (unsigned i = 0; i < daemon->device_count; i++)
        if (strcmp(device_name(daemon->device[i]), name) == 0)
            return daemon->device[i];
    return NULL;
}

/* First what can fail. Returns 0 or a negative errno. */
static int wish_grant(const struct wish *wish, struct device *device)
{
    struct nic *nic = device_nic(device);
    int error = wish->up >= 0 ? device_set_up(device, wish->up == 1) : 0;
    if (error == 0 && wish->ring > 0)
        error = device_set_ring(device, (uint32_t)wish->ring);
    if (error)
        return error;
    if (wish->promiscuous >= 0)
        nic->promiscuous = wish->promiscuous == 1;
    if (wish->allmulti >= 0)
        nic->allmulti = wish->allmulti == 1;
    if (wish->budget > 0)
        nic->budget = (uint32_t)wish->budget;
    return 0;
}

enum control_progress control_act_interface(struct control_client *client)
{
    const char *name = control_text(client, "name");
    struct device *device = device_find(client->daemon, name);
    struct wish wish;
    if (!device)
        return control_fail(client, "not-found", "no interface \"%.20s\"", name);
    if (wish_read(client, &wish) < 0)
        return CONTROL_DONE;
    int error = wish_grant(&wish, device);
    if (error)
        return control_fail(client, "failed", "%s: %s", name, strerror(-error));
    log_info("control: uid %u changed interface %s", (unsigned)client->uid, name);
    json_t *json = json_pack("{s:s}", "name", name);
    control_device(json, device);
    return control_end(client, json_pack("{s:o}", "interface", json));
}
