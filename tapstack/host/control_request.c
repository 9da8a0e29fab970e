/* The requests of the control socket: their table, and one line read against it. */
#include "control.h"

#include <stdio.h>
#include <string.h>

static enum control_progress request_help(struct control_client *client);
static enum control_progress request_stop(struct control_client *client);

const struct control_command control_commands[] = {
    {.name = "show",
     .what = "the daemon, its interface, and how the connections stand",
     .step = control_show_overview},
    {.name = "show.connections",
     .what = "connections, TIME-WAIT included, and listeners",
     .arguments = {{"state", CONTROL_TEXT, false},
                   {"port", CONTROL_NUMBER, false},
                   {"peer", CONTROL_TEXT, false}},
     .step = control_show_connections},
    {.name = "show.connection",
     .what = "all of one connection's control block",
     .arguments = {{"id", CONTROL_NUMBER, true}},
     .step = control_show_connection},
    {.name = "show.listeners",
     .what = "listening sockets with their accept queues",
     .step = control_show_listeners},
    {.name = "show.arp", .what = "the neighbor cache", .step = control_neighbor_show},
    {.name = "show.reassembly",
     .what = "datagrams whose fragments wait for the rest",
     .step = control_show_reassembly},
    {.name = "show.routes", .what = "the routing table", .step = control_route_show},
    {.name = "show.addresses", .what = "our addresses", .step = control_address_show},
    {.name = "route.get",
     .what = "the route that would be taken",
     .arguments = {{"address", CONTROL_TEXT, true}},
     .step = control_route_get},
    {.name = "show.interfaces",
     .what = "interfaces with the counters of card and cable",
     .step = control_show_interfaces},
    {.name = "show.settings", .what = "settings with their bounds", .step = control_show_settings},
    {.name = "counters",
     .what = "counters that are not zero, or all",
     .arguments = {{"all", CONTROL_FLAG, false}},
     .step = control_show_counters},
    {.name = "events",
     .what = "the last events, and with follow those that come",
     .arguments = {{"count", CONTROL_NUMBER, false}, {"follow", CONTROL_FLAG, false}},
     .step = control_event_show,
     .end = control_event_end},
    {.name = "ping",
     .what = "echo requests, a stream of what comes back",
     .arguments = {{"address", CONTROL_TEXT, true},
                   {"count", CONTROL_NUMBER, false},
                   {"size", CONTROL_NUMBER, false},
                   {"ttl", CONTROL_NUMBER, false},
                   {"interval", CONTROL_SCALAR, false},
                   {"timeout", CONTROL_SCALAR, false},
                   {"df", CONTROL_FLAG, false}},
     .step = control_probe_ping,
     .end = control_probe_end_ping},
    {.name = "traceroute",
     .what = "the routers on the way to an address, a line each",
     .arguments = {{"address", CONTROL_TEXT, true},
                   {"max", CONTROL_NUMBER, false},
                   {"queries", CONTROL_NUMBER, false},
                   {"timeout", CONTROL_SCALAR, false},
                   {"icmp", CONTROL_FLAG, false},
                   {"udp", CONTROL_FLAG, false}},
     .step = control_probe_trace,
     .end = control_probe_end_trace},
    {.name = "show.pmtu", .what = "the path MTUs that ICMP has told", .step = control_pmtu_show},
    {.name = "pmtu.flush", .what = "forget them", .write = true, .step = control_pmtu_flush},
    {.name = "stop", .what = "end a stream (so does any request)", .step = request_stop},
    {.name = "write", .what = "ask for the right to change", .step = control_act_write},
    {.name = "kill",
     .what = "reset a connection, or close a listener",
     .write = true,
     .arguments = {{"id", CONTROL_NUMBER, true}},
     .step = control_act_kill},
    {.name = "set",
     .what = "change a setting",
     .write = true,
     .arguments = {{"name", CONTROL_TEXT, true}, {"value", CONTROL_SCALAR, true}},
     .step = control_act_set},
    {.name = "interface",
     .what = "change an interface's card",
     .write = true,
     .arguments = {{"name", CONTROL_TEXT, true},
                   {"up", CONTROL_FLAG, false},
                   {"down", CONTROL_FLAG, false},
                   {"promiscuous", CONTROL_TEXT, false},
                   {"allmulti", CONTROL_TEXT, false},
                   {"ring", CONTROL_NUMBER, false},
                   {"budget", CONTROL_NUMBER, false}},
     .step = control_act_interface},
    {.name = "arp.add",
     .what = "set a neighbor by hand",
     .write = true,
     .arguments = {{"address", CONTROL_TEXT, true}, {"mac", CONTROL_TEXT, true}},
     .step = control_neighbor_add},
    {.name = "arp.delete",
     .what = "forget a neighbor, set by hand or not",
     .write = true,
     .arguments = {{"address", CONTROL_TEXT, true}},
     .step = control_neighbor_delete},
    {.name = "arp.flush",
     .what = "forget the neighbors, of an interface or all, but those set by hand",
     .write = true,
     .arguments = {{"interface", CONTROL_TEXT, false}},
     .step = control_neighbor_flush},
    {.name = "arp.probe",
     .what = "ask for a neighbor now",
     .write = true,
     .arguments = {{"address", CONTROL_TEXT, true}},
     .step = control_neighbor_probe},
    {.name = "route.add",
     .what = "add a route such as 10.9.0.0/16 via 10.77.0.9 metric 10",
     .write = true,
     .arguments = {{"route", CONTROL_TEXT, true}},
     .step = control_route_add},
    {.name = "route.del",
     .what = "delete a route by its network, and its metric",
     .write = true,
     .arguments = {{"route", CONTROL_TEXT, true}},
     .step = control_route_delete},
    {.name = "address.add",
     .what = "one more address for an interface, or for the first",
     .write = true,
     .arguments = {{"address", CONTROL_TEXT, true}, {"interface", CONTROL_TEXT, false}},
     .step = control_address_add},
    {.name = "address.del",
     .what = "take an address away",
     .write = true,
     .arguments = {{"address", CONTROL_TEXT, true}, {"interface", CONTROL_TEXT, false}},
     .step = control_address_delete},
    {.name = "filter.show",
     .what = "policies and rules of the packet filter, with their counters",
     .step = control_filter_show},
    {.name = "filter.add",
     .what = "add a rule at the end of a chain, or before a number",
     .write = true,
     .arguments = {{"chain", CONTROL_TEXT, true},
                   {"at", CONTROL_NUMBER, false},
                   {"rule", CONTROL_TEXT, true}},
     .step = control_filter_add},
    {.name = "filter.delete",
     .what = "delete a rule by its number",
     .write = true,
     .arguments = {{"chain", CONTROL_TEXT, true}, {"number", CONTROL_NUMBER, true}},
     .step = control_filter_delete},
    {.name = "filter.policy",
     .what = "what becomes of packets that no rule decides on: accept or drop",
     .write = true,
     .arguments = {{"chain", CONTROL_TEXT, true}, {"policy", CONTROL_TEXT, true}},
     .step = control_filter_policy},
    {.name = "filter.load",
     .what = "put new rules in the place of all, from a text or a memfd passed along",
     .write = true,
     .arguments = {{"text", CONTROL_TEXT, false}},
     .step = control_filter_load},
    {.name = "filter.flush",
     .what = "let everything pass",
     .write = true,
     .step = control_filter_flush},
    {.name = "filter.test",
     .what = "the rule that would decide on a packet",
     .arguments = {{"chain", CONTROL_TEXT, true}, {"packet", CONTROL_TEXT, true}},
     .step = control_filter_test},
    {.name = "show.flows", .what = "the flows that the filter tracks", .step = control_show_flows},
    {.name = "flows.flush", .what = "forget all flows", .write = true, .step = control_flows_flush},
    {.name = "impair.add",
     .what = "impair the frames of an interface's cable",
     .write = true,
     .arguments = {{"rule", CONTROL_TEXT, true}, {"interface", CONTROL_TEXT, false}},
     .step = control_impair_add},
    {.name = "impair.list",
     .what = "impairments, and what each has done",
     .arguments = {{"interface", CONTROL_TEXT, false}},
     .step = control_impair_list},
    {.name = "impair.del",
     .what = "take an impairment away",
     .write = true,
     .arguments = {{"number", CONTROL_NUMBER, true}, {"interface", CONTROL_TEXT, false}},
     .step = control_impair_del},
    {.name = "impair.clear",
     .what = "take all impairments away",
     .write = true,
     .arguments = {{"interface", CONTROL_TEXT, false}},
     .step = control_impair_clear},
    {.name = "impair.presets",
     .what = "networks that one word stands for",
     .step = control_impair_presets},
    {.name = "capture.start",
     .what = "write frames as pcapng to the descriptor passed along",
     .write = true,
     .arguments = {{"limit", CONTROL_NUMBER, false}},
     .step = control_act_capture_start},
    {.name = "capture.stop",
     .what = "end the capture",
     .write = true,
     .step = control_act_capture_stop},
    {.name = "capture.status",
     .what = "whether a capture runs, and what it has written",
     .step = control_act_capture_status},
    {.name = "help", .what = "this list", .step = request_help},
    {.name = NULL},
};

static enum control_progress request_stop(struct control_client *client)
{
    return control_end(client, NULL);
}

static const char *kind_name(enum control_kind kind)
{
    static const char *const names[] = {"number", "text", "flag", "number or text"};
    return names[kind];
}

static json_t *help_arguments(const struct control_command *command)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < CONTROL_ARGUMENTS_MAX && command->arguments[i].name; i++) {
        const struct control_argument *argument = &command->arguments[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:b}", "name", argument->name, "kind",
                                        kind_name(argument->kind), "required", argument->required));
    }
    return list;
}

static enum control_progress request_help(struct control_client *client)
{
    json_t *list = json_array();
    for (const struct control_command *c = control_commands; c->name; c++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:b, s:o}", "do", c->name, "what", c->what,
                                        "write", c->write, "arguments", help_arguments(c)));
    return control_end(client, json_pack("{s:o}", "commands", list));
}

/* ---- Reading a line ---- */

#define REFUSE(error, its_code, ...)                                                               \
    ((error)->code = (its_code),                                                                   \
     (void)snprintf((error)->message, sizeof(error)->message, __VA_ARGS__), -1)

static const struct control_command *command_find(const char *name)
{
    const struct control_command *command = control_commands;
    while (command->name && strcmp(command->name, name) != 0)
        command++;
    return command->name ? command : NULL;
}

static const struct control_argument *argument_find(const struct control_command *command,
                                                    const char *name)
{
    for (unsigned i = 0; i < CONTROL_ARGUMENTS_MAX && command->arguments[i].name; i++)
        if (strcmp(command->arguments[i].name, name) == 0)
            return &command->arguments[i];
    return NULL;
}

static bool kind_fits(enum control_kind kind, const json_t *value)
{
    bool number = json_is_integer(value) && json_integer_value(value) >= 0;
    switch (kind) {
    case CONTROL_NUMBER:
        return number;
    case CONTROL_TEXT:
        return json_is_string(value);
    case CONTROL_FLAG:
        return json_is_boolean(value);
    case CONTROL_SCALAR:
        return number || json_is_string(value);
    }
    return false;
}

/* Every member is an argument of the command and of its kind. */
static int arguments_check(const struct control_command *command, json_t *object,
                           struct control_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (strcmp(name, "do") == 0)
            continue;
        const struct control_argument *argument = argument_find(command, name);
        if (!argument)
            return REFUSE(error, "unknown-argument", "%s takes no argument \"%.60s\"",
                          command->name, name);
        if (!kind_fits(argument->kind, value))
            return REFUSE(error, "bad-argument", "%s: \"%s\" must be a %s", command->name, name,
                          kind_name(argument->kind));
    }
    for (unsigned i = 0; i < CONTROL_ARGUMENTS_MAX && command->arguments[i].name; i++)
        if (command->arguments[i].required && !json_object_get(object, command->arguments[i].name))
            return REFUSE(error, "missing-argument", "%s needs \"%s\"", command->name,
                          command->arguments[i].name);
    return 0;
}

static int object_check(json_t *object, struct control_request *request,
                        struct control_error *error)
{
    if (!json_is_object(object)) {
        error->column = 1;
        return REFUSE(error, "no-object", "a request is an object: {\"do\": \"show\"}");
    }
    const char *name = json_string_value(json_object_get(object, "do"));
    if (!name)
        return REFUSE(error, "no-command", "\"do\" must name the command, as a text");
    request->command = command_find(name);
    if (!request->command)
        return REFUSE(error, "unknown-command",
                      "no command \"%.60s\"; {\"do\": \"help\"} lists them", name);
    return arguments_check(request->command, object, error);
}

int control_request_parse(const char *line, size_t size, struct control_request *request,
                          struct control_error *error)
{
    json_error_t place;
    *error = (struct control_error){0};
    json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES, &place);
    if (!object) {
        error->column = place.column > 0 ? place.column : 1;
        return REFUSE(error, "syntax", "column %d: %s", error->column, place.text);
    }
    if (object_check(object, request, error) != 0) {
        json_decref(object);
        return -1;
    }
    request->arguments = object;
    return 0;
}
