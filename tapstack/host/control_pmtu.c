/* The path MTU cache for consoles. */
#include "control.h"

#include "log.h"

enum { ENTRIES_PER_LINE = 64 };

static json_t *entry_json(const struct stack_pmtu *pmtu)
{
    char text[IP_ADDRESS_TEXT_MAX];
    struct ip_address address = ip_address_from_v4(pmtu->destination_v4);
    ip_address_format(&address, text);
    return json_pack("{s:s, s:i, s:b, s:I}", "destination", text, "mtu", (int)pmtu->mtu_bytes,
                     "locked", pmtu->locked, "left_us", (json_int_t)pmtu->left_us);
}

enum control_progress control_pmtu_show(struct control_client *client)
{
    struct stack_pmtu pmtu;
    json_t *list = json_array();
    bool more = true;
    for (int i = 0; i < ENTRIES_PER_LINE && more; i++) {
        more = stack_next_pmtu(client->daemon->stack, &client->cursor, &pmtu,
                               client->daemon->loop.now_us);
        if (more)
            json_array_append_new(list, entry_json(&pmtu));
    }
    json_t *part = json_pack("{s:o}", "pmtu", list);
    if (!more)
        return control_end(client, part);
    control_put(client, part);
    return CONTROL_MORE;
}

enum control_progress control_pmtu_flush(struct control_client *client)
{
    unsigned count = stack_flush_pmtu(client->daemon->stack);
    log_info("control: uid %u flushed %u path MTUs", (unsigned)client->uid, count);
    return control_end(client, json_pack("{s:i}", "flushed", (int)count));
}
