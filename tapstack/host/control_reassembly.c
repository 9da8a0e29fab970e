/* The console's look at reassembly: the datagrams whose fragments wait, and the memory they hold. */
#include "control.h"

enum { WALK_STEP = 64 }; /* datagrams a line */

static json_t *v4_json(uint32_t v4)
{
    struct ip_address address = ip_address_from_v4(v4);
    char text[IP_ADDRESS_TEXT_MAX];
    ip_address_format(&address, text);
    return json_string(text);
}

static json_t *waiting_json(const struct stack *stack, const struct stack_reassembly *entry)
{
    const struct stack_interface_config *interface = stack_interface(stack, entry->interface);
    json_t *total = entry->total_bytes ? control_integer(entry->total_bytes) : json_null();
    return json_pack("{s:o, s:o, s:i, s:i, s:s, s:b, s:b, s:I, s:I, s:o, s:I, s:I, s:I}", "source",
                     v4_json(entry->source_v4), "destination", v4_json(entry->destination_v4),
                     "protocol", (int)entry->protocol, "identification", (int)entry->identification,
                     "interface", interface ? interface->name : "?", "refused", entry->refused,
                     "first", entry->first_is_here, "fragments", (json_int_t)entry->fragments,
                     "received_bytes", (json_int_t)entry->received_bytes, "total_bytes", total,
                     "memory_bytes", (json_int_t)entry->memory_bytes, "age_us",
                     (json_int_t)entry->age_us, "left_us", (json_int_t)entry->left_us);
}

/* What is held in all, in front of the list. */
static void put_sums(struct control_client *client)
{
    const struct stack_settings *settings = stack_settings(client->daemon->stack);
    struct stack_usage usage;
    stack_usage(client->daemon->stack, &usage);
    control_put(client, json_pack("{s:I, s:I}", "memory_bytes", (json_int_t)usage.reassembly_bytes,
                                  "memory_max", (json_int_t)settings->ip_reassembly_memory));
}

enum control_progress control_show_reassembly(struct control_client *client)
{
    struct stack *stack = client->daemon->stack;
    struct stack_reassembly entry;
    json_t *list = json_array();
    bool more = true;
    if (client->steps == 0)
        put_sums(client);
    for (int i = 0; i < WALK_STEP && more; i++) {
        more = stack_next_reassembly(stack, &client->cursor, &entry, client->daemon->loop.now_us);
        if (more)
            json_array_append_new(list, waiting_json(stack, &entry));
    }
    json_t *part = json_pack("{s:o}", "reassembly", list);
    if (!more)
        return control_end(client, part);
    control_put(client, part);
    return CONTROL_MORE;
}
