/* Routes and addresses on the control socket: shown, asked for, and changed. */
#include "control.h"

#include "log.h"
#include "route_text.h"

enum { WALK_STEP = 128 /* routes shown in one step */ };

static json_t *network_json(uint32_t network, uint8_t prefix_bits)
{
    char text[ROUTE_TEXT_MAX];
    route_text_format_network(network, prefix_bits, text);
    return json_string(text);
}

static json_t *interface_json(const struct stack *stack, unsigned index)
{
    const struct stack_interface_config *interface = stack_interface(stack, index);
    return json_string(interface ? interface->name : "?");
}

/* ---- Looking ---- */

static json_t *route_json(const struct stack *stack, const struct stack_route *route)
{
    return json_pack("{s:o, s:o, s:o, s:I, s:s, s:o}", "network",
                     network_json(route->network, route->prefix_bits), "gateway",
                     route->gateway ? control_v4(route->gateway) : json_null(), "interface",
                     interface_json(stack, route->interface), "metric", (json_int_t)route->metric,
                     "kind", stack_route_kind_name(route->kind), "expires_us",
                     route->expires_us == UINT64_MAX ? json_null()
                                                     : control_integer(route->expires_us));
}

enum control_progress control_route_show(struct control_client *client)
{
    struct stack *stack = client->daemon->stack;
    struct stack_route route;
    json_t *list = json_array();
    bool more = true;
    for (int i = 0; i < WALK_STEP && more; i++) {
        more = stack_next_route(stack, &client->cursor, &route, client->daemon->loop.now_us);
        if (more)
            json_array_append_new(list, route_json(stack, &route));
    }
    json_t *part = json_pack("{s:o}", "routes", list);
    if (!more)
        return control_end(client, part);
    control_put(client, part);
    return CONTROL_MORE;
}

enum control_progress control_route_get(struct control_client *client)
{
    struct stack *stack = client->daemon->stack;
    const char *text = control_text(client, "address");
    struct stack_route route;
    struct ip_address address;
    uint32_t next_hop, source_v4;
    if (ip_address_parse(text, &address) < 0)
        return control_fail(client, "bad-argument", "\"%.40s\" is no address", text);
    if (stack_find_route(stack, ip_address_to_v4(&address), &route, &next_hop, &source_v4,
                         client->daemon->loop.now_us) != 0)
        return control_fail(client, "not-found", "no route to %s", text);
    json_t *part = route_json(stack, &route);
    json_object_set_new(part, "destination", json_string(text));
    json_object_set_new(part, "next_hop", control_v4(next_hop));
    json_object_set_new(part, "source", control_v4(source_v4));
    return control_end(client, part);
}

enum control_progress control_address_show(struct control_client *client)
{
    struct stack *stack = client->daemon->stack;
    struct stack_address address;
    json_t *list = json_array();
    uint32_t cursor = 0;
    while (stack_next_address(stack, &cursor, &address))
        json_array_append_new(
            list,
            json_pack("{s:o, s:o, s:b, s:o}", "address",
                      network_json(address.v4, address.prefix_bits), "interface",
                      interface_json(stack, address.interface), "primary", address.primary, "link",
                      control_neighbor_address(stack, address.interface, address.v4,
                                               client->daemon->loop.now_us)));
    return control_end(client, json_pack("{s:o}", "addresses", list));
}

/* ---- Changing ---- */

/* Reads the argument `route`. Returns 0, or -1 when the request has been refused. */
static int read_route(struct control_client *client, struct route_text *route)
{
    char error[ROUTE_TEXT_MAX];
    if (route_text_parse(control_text(client, "route"), route, error) == 0)
        return 0;
    control_fail(client, "bad-argument", "%s", error);
    return -1;
}

static enum control_progress note(struct control_client *client, const char *done, const char *what)
{
    log_info("control: uid %u %s %s", (unsigned)client->uid, done, what);
    return control_end(client, NULL);
}

enum control_progress control_route_add(struct control_client *client)
{
    struct route_text route;
    char error[ROUTE_TEXT_MAX];
    if (read_route(client, &route) < 0)
        return CONTROL_DONE;
    int result = route_text_add(client->daemon->stack, &route, error);
    if (result == 0)
        return note(client, "added route", control_text(client, "route"));
    return control_fail(client, result == STACK_NO_MEMORY ? "busy" : "bad-argument", "%s", error);
}

enum control_progress control_route_delete(struct control_client *client)
{
    struct route_text route;
    if (read_route(client, &route) < 0)
        return CONTROL_DONE;
    if (route.gateway_v4 != 0 || route.interface[0] != '\0')
        return control_fail(client, "bad-argument", "a route is deleted by network and metric");
    switch (
        stack_remove_route(client->daemon->stack, route.network, route.prefix_bits, route.metric)) {
    case 0:
        return note(client, "deleted route", control_text(client, "route"));
    case STACK_INVALID:
        return control_fail(client, "bad-argument", "a connected route goes with its address");
    default:
        return control_fail(client, "not-found", "there is no such route");
    }
}

/* Reads the arguments `address` and `interface`. Returns the interface, or -1 when the request has
   been refused. */
static int read_address(struct control_client *client, uint32_t *v4, uint8_t *prefix_bits)
{
    const char *text = control_text(client, "address"), *name = control_text(client, "interface");
    if (route_text_parse_network(text, v4, prefix_bits) < 0) {
        control_fail(client, "bad-argument", "\"%.40s\" is no address such as 10.79.0.2/24", text);
        return -1;
    }
    int interface = name ? route_text_find_interface(client->daemon->stack, name) : 0;
    if (interface < 0)
        control_fail(client, "not-found", "there is no interface \"%.40s\"", name);
    return interface;
}

enum control_progress control_address_add(struct control_client *client)
{
    uint32_t v4;
    uint8_t prefix_bits;
    int interface = read_address(client, &v4, &prefix_bits);
    if (interface < 0)
        return CONTROL_DONE;
    switch (stack_add_address(client->daemon->stack, (unsigned)interface, v4, prefix_bits,
                              client->daemon->loop.now_us)) {
    case 0:
        return note(client, "added address", control_text(client, "address"));
    case STACK_IN_USE:
        return control_fail(client, "bad-argument", "%s, or its network, is there already",
                            control_text(client, "address"));
    case STACK_INVALID:
        return control_fail(client, "bad-argument", "%s is not one that a host can have",
                            control_text(client, "address"));
    default:
        return control_fail(client, "busy", "there is no room for more addresses");
    }
}

enum control_progress control_address_delete(struct control_client *client)
{
    uint32_t v4;
    uint8_t prefix_bits;
    int interface = read_address(client, &v4, &prefix_bits);
    if (interface < 0)
        return CONTROL_DONE;
    if (stack_remove_address(client->daemon->stack, (unsigned)interface, v4,
                             client->daemon->loop.now_us) != 0)
        return control_fail(client, "not-found", "the interface has no address %s",
                            control_text(client, "address"));
    return note(client, "deleted address", control_text(client, "address"));
}
