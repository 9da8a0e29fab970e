/* The events of the stack for consoles: the last ones, and those that come. */
#include "control.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"

enum {
    EVENTS_PER_LINE = 32,
    EVENTS_DEFAULT = 20,
};

/* The letters that tcpdump uses; "." is ACK. */
static json_t *flags_json(uint32_t flags)
{
    static const char letters[] = "FSRP.UEW";
    char text[sizeof letters];
    unsigned length = 0;
    for (unsigned bit = 0; bit < 8; bit++)
        if (flags & 1U << bit)
            text[length++] = letters[bit];
    return json_stringn(text, length);
}

/* Half a MAC address: "02:00:00". */
static json_t *mac_half_json(uint32_t value)
{
    char text[16];
    snprintf(text, sizeof text, "%02x:%02x:%02x", value >> 16 & 255, value >> 8 & 255, value & 255);
    return json_string(text);
}

/* The states of what this event is about. */
static const char *state_name(unsigned kind, uint32_t value)
{
    switch (kind) {
    case STACK_EVENT_NEIGHBOR:
        return neighbor_state_name(value);
    case STACK_EVENT_ADDRESS:
        return address_state_name(value);
    default:
        return tcp_state_name(value);
    }
}

/* A chain of the filter and a rule's number in it. */
static json_t *rule_json(uint32_t value)
{
    static const char *const chains[] = {"input", "forward", "output"};
    return json_sprintf("%s %u", chains[value >> 24 < 3 ? value >> 24 : 0], value & 0xffffff);
}

/* The lists of events say by an argument's name what its number means. */
static json_t *argument_json(unsigned kind, const char *name, uint32_t value)
{
    if (strcmp(name, "reason") == 0)
        return json_string(stack_reason_name(value));
    if (strcmp(name, "counter") == 0)
        return json_string(stack_counter_name(value));
    if (strcmp(name, "flags") == 0)
        return flags_json(value);
    if (strcmp(name, "timer") == 0)
        return json_string(stack_timer_name(value));
    if (strcmp(name, "rule") == 0)
        return rule_json(value);
    if (strcmp(name, "ports") == 0)
        return json_sprintf("%u>%u", value >> 16, value & 0xffff);
    size_t length = strlen(name);
    if (length >= 2 && strcmp(name + length - 2, "v4") == 0)
        return control_v4(value);
    if (strcmp(name, "from") == 0 || strcmp(name, "to") == 0)
        return json_string(state_name(kind, value));
    if (strcmp(name, "mac_first") == 0 || strcmp(name, "mac_last") == 0)
        return mac_half_json(value);
    return control_integer(value);
}

static json_t *event_json(const struct stack_event *event, uint64_t epoch_offset_us)
{
    json_t *json =
        json_pack("{s:I, s:I, s:s}", "time_us", (json_int_t)(event->at_us + epoch_offset_us), "id",
                  (json_int_t)event->id, "event", stack_event_name(event->kind));
    for (unsigned i = 0; i < 4; i++) {
        const char *name = stack_event_argument_name(event->kind, i);
        if (name[0])
            json_object_set_new(json, name, argument_json(event->kind, name, event->argument[i]));
    }
    return json;
}

static void events_begin(struct control_client *client)
{
    bool follow = control_flag(client, "follow");
    uint64_t happened = stack_event_count(client->daemon->stack);
    uint64_t count = control_number(client, "count", follow ? 0 : EVENTS_DEFAULT);
    if (count > happened)
        count = happened;
    client->event_cursor = happened - count;
    client->events_left = count;
    client->events_lost = 0;
}

/* Adds events to a list until a line is full or no more is wanted. */
static json_t *events_take(struct control_client *client, bool follow)
{
    const struct stack *stack = client->daemon->stack;
    uint64_t offset = clock_realtime_ns() / 1000 - clock_monotonic_us();
    uint64_t end = client->event_cursor + client->events_left;
    struct stack_event event;
    json_t *list = json_array();
    for (int i = 0; i < EVENTS_PER_LINE && (follow || client->event_cursor < end); i++) {
        if (!stack_next_event(stack, &client->event_cursor, &event, &client->events_lost))
            break;
        json_array_append_new(list, event_json(&event, offset));
    }
    client->events_left = end > client->event_cursor ? end - client->event_cursor : 0;
    return list;
}

enum control_progress control_event_show(struct control_client *client)
{
    bool follow = control_flag(client, "follow");
    if (client->steps == 0)
        events_begin(client);
    uint64_t lost_before = client->events_lost;
    json_t *list = events_take(client, follow);
    size_t taken = json_array_size(list);
    json_t *part = json_pack("{s:o}", "events", list);
    if (client->events_lost > lost_before)
        json_object_set_new(part, "lost", control_integer(client->events_lost));
    if (!follow && taken < EVENTS_PER_LINE)
        return control_end(client, part);
    if (taken > 0)
        control_put(client, part);
    else
        json_decref(part);
    return taken == EVENTS_PER_LINE ? CONTROL_MORE : CONTROL_STREAM;
}

void control_event_end(struct control_client *client)
{
    control_end(client, json_pack("{s:I}", "lost", (json_int_t)client->events_lost));
}
