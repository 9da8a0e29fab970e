/* The neighbor cache on the control socket: shown, and changed by hand. */
#include "control.h"

#include <string.h>

#include "log.h"

enum { WALK_STEP = 128 /* neighbors shown in one step */ };

static json_t *time_json(uint64_t us)
{
    return us == UINT64_MAX ? json_null() : control_integer(us);
}

static json_t *neighbor_json(const struct stack *stack, const struct stack_neighbor *neighbor)
{
    const struct stack_interface_config *interface = stack_interface(stack, neighbor->interface);
    bool known = neighbor->state != NEIGHBOR_INCOMPLETE && neighbor->state != NEIGHBOR_FAILED;
    return json_pack(
        "{s:o, s:o, s:s, s:I, s:s, s:I, s:i, s:b, s:b, s:o, s:o}", "address",
        control_v4(neighbor->v4), "mac", known ? control_mac(&neighbor->mac) : json_null(), "state",
        neighbor_state_name(neighbor->state), "state_us", (json_int_t)neighbor->state_us,
        "interface", interface ? interface->name : "?", "queued", (json_int_t)neighbor->queued,
        "requests", (int)neighbor->requests, "gateway", neighbor->gateway, "contested",
        neighbor->contested, "used_us", time_json(neighbor->used_us), "confirmed_us",
        time_json(neighbor->confirmed_us));
}

enum control_progress control_neighbor_show(struct control_client *client)
{
    struct stack *stack = client->daemon->stack;
    struct stack_neighbor neighbor;
    json_t *list = json_array();
    bool more = true;
    for (int i = 0; i < WALK_STEP && more; i++) {
        more = stack_next_neighbor(stack, &client->cursor, &neighbor, client->daemon->loop.now_us);
        if (more)
            json_array_append_new(list, neighbor_json(stack, &neighbor));
    }
    json_t *part = json_pack("{s:o}", "neighbors", list);
    if (!more)
        return control_end(client, part);
    control_put(client, part);
    return CONTROL_MORE;
}

/* ---- Changing ---- */

/* Reads the argument `address`. Returns 0, or -1 when it is no address. */
static int read_address(const struct control_client *client, uint32_t *v4)
{
    struct ip_address address;
    if (ip_address_parse(control_text(client, "address"), &address) < 0)
        return -1;
    *v4 = ip_address_to_v4(&address);
    return 0;
}

static enum control_progress refuse_address(struct control_client *client)
{
    return control_fail(client, "bad-argument", "\"%.40s\" is no address",
                        control_text(client, "address"));
}

/* The answer to a change of the address's entry that the stack has made or refused. */
static enum control_progress answer(struct control_client *client, int result, const char *done)
{
    const char *address = control_text(client, "address");
    switch (result) {
    case 0:
        log_info("control: uid %u %s neighbor %s", (unsigned)client->uid, done, address);
        return control_end(client, NULL);
    case STACK_NO_ROUTE:
        return control_fail(client, "bad-argument", "%s is on no network of ours", address);
    case STACK_NOT_AVAILABLE:
        return control_fail(client, "not-found", "no neighbor %s", address);
    case STACK_INVALID:
        return control_fail(client, "bad-argument", "%s cannot be such a neighbor", address);
    default:
        return control_fail(client, "busy", "%s: %s", address, stack_error_text(result));
    }
}

enum control_progress control_neighbor_add(struct control_client *client)
{
    uint32_t v4;
    struct mac_address mac;
    if (read_address(client, &v4) != 0)
        return refuse_address(client);
    if (mac_address_parse(control_text(client, "mac"), &mac) != 0)
        return control_fail(client, "bad-argument", "\"%.40s\" is no MAC address",
                            control_text(client, "mac"));
    return answer(client,
                  stack_set_neighbor(client->daemon->stack, v4, &mac, client->daemon->loop.now_us),
                  "set");
}

enum control_progress control_neighbor_delete(struct control_client *client)
{
    uint32_t v4;
    if (read_address(client, &v4) != 0)
        return refuse_address(client);
    return answer(client,
                  stack_delete_neighbor(client->daemon->stack, v4, client->daemon->loop.now_us),
                  "deleted");
}

enum control_progress control_neighbor_probe(struct control_client *client)
{
    uint32_t v4;
    if (read_address(client, &v4) != 0)
        return refuse_address(client);
    return answer(client,
                  stack_probe_neighbor(client->daemon->stack, v4, client->daemon->loop.now_us),
                  "probed");
}

/* The interface with this name, or -1. */
static int find_interface(const struct stack *stack, const char *name)
{
    const struct stack_interface_config *interface;
    for (unsigned i = 0; (interface = stack_interface(stack, i)) != NULL; i++)
        if (strcmp(interface->name, name) == 0)
            return (int)i;
    return -1;
}

enum control_progress control_neighbor_flush(struct control_client *client)
{
    struct stack *stack = client->daemon->stack;
    const char *name = control_text(client, "interface");
    int interface = name ? find_interface(stack, name) : -1;
    if (name && interface < 0)
        return control_fail(client, "not-found", "no interface \"%.40s\"", name);
    unsigned removed = stack_flush_neighbors(stack, interface, client->daemon->loop.now_us);
    log_info("control: uid %u flushed %u neighbors", (unsigned)client->uid, removed);
    return control_end(client, json_pack("{s:i}", "removed", (int)removed));
}

/* ---- Our own addresses ---- */

json_t *control_neighbor_address(const struct stack *stack, unsigned interface, uint32_t v4,
                                 uint64_t now_us)
{
    struct stack_address_state address;
    if (!stack_address_state(stack, interface, v4, &address, now_us))
        return json_null();
    return json_pack("{s:s, s:I, s:o, s:o}", "state", address_state_name(address.state),
                     "conflicts", (json_int_t)address.conflicts, "conflict_by",
                     address.conflicts ? control_mac(&address.conflict_by) : json_null(),
                     "conflict_us", time_json(address.conflict_us));
}
