/* Answers of the control socket that show: each step adds one piece of the answer's object.

   Lists are walked with the stack's cursors, WALK_STEP entries a step, and every step's line
   carries the next part of the list under the same name. */
#include "control.h"

#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "device.h"

enum {
    WALK_STEP = 128, /* sockets looked at in one step */
    TOP_DROPS = 5,
};

json_t *control_integer(uint64_t value) { return json_integer((json_int_t)value); }

static json_t *address_json(const struct ip_address *address)
{
    char text[IP_ADDRESS_TEXT_MAX];
    ip_address_format(address, text);
    return json_string(text);
}

json_t *control_v4(uint32_t v4)
{
    struct ip_address address = ip_address_from_v4(v4);
    return address_json(&address);
}

json_t *control_endpoint(const struct stack_endpoint *endpoint)
{
    return json_pack("{s:o, s:i}", "address", address_json(&endpoint->address), "port",
                     (int)endpoint->port);
}

json_t *control_mac(const struct mac_address *mac)
{
    char text[MAC_ADDRESS_TEXT_MAX];
    mac_address_format(mac, text);
    return json_string(text);
}

static json_t *network_json(uint32_t network, unsigned prefix_bits)
{
    char text[IP_ADDRESS_TEXT_MAX + 4];
    snprintf(text, sizeof text, "%u.%u.%u.%u/%u", network >> 24, network >> 16 & 255,
             network >> 8 & 255, network & 255, prefix_bits);
    return json_string(text);
}

/* ---- Sockets ---- */

static json_t *owner_json(const struct control_client *client, int socket)
{
    const struct api_server *api = client->daemon->api;
    int pid = api && socket ? api_server_owner(api, socket) : 0;
    return pid ? json_integer(pid) : json_null();
}

/* A datagram socket with a peer is called as `ss` does, and one without, too. */
static const char *state_name(const struct stack_summary *summary)
{
    bool unconnected = summary->protocol == IPPROTO_UDP && summary->state == TCP_CLOSED;
    return unconnected ? "UNCONN" : tcp_state_name(summary->state);
}

static json_t *summary_json(const struct control_client *client,
                            const struct stack_summary *summary)
{
    json_t *json = json_pack(
        "{s:I, s:s, s:s, s:I, s:I, s:o, s:o, s:o}", "id", (json_int_t)summary->id, "protocol",
        summary->protocol == IPPROTO_UDP ? "udp" : "tcp", "state", state_name(summary), "recv_q",
        (json_int_t)summary->receive_queue, "send_q", (json_int_t)summary->send_queue, "local",
        control_endpoint(&summary->local), "remote", control_endpoint(&summary->remote), "pid",
        owner_json(client, summary->socket));
    if (json && summary->state == TCP_TIME_WAIT)
        json_object_set_new(json, "time_wait_left_us", control_integer(summary->time_wait_left_us));
    return json;
}

/* A listener in words of its own: what its accept queue holds and may hold. */
static json_t *listener_json(const struct control_client *client,
                             const struct stack_summary *summary)
{
    struct stack_info info;
    uint64_t now = client->daemon->loop.now_us;
    if (stack_info_by_id(client->daemon->stack, summary->id, &info, now) != 0)
        return NULL;
    return json_pack(
        "{s:I, s:o, s:I, s:I, s:I, s:o}", "id", (json_int_t)summary->id, "local",
        control_endpoint(&summary->local), "waiting", (json_int_t)info.listener_waiting, "backlog",
        (json_int_t)info.listener_backlog, "embryonic", (json_int_t)info.listener_embryonic, "pid",
        owner_json(client, summary->socket));
}

/* State names compare without regard to case, '_' is '-'. */
static bool state_matches(const char *wanted, const char *name)
{
    for (; *wanted && *name; wanted++, name++)
        if (toupper((unsigned char)*wanted) != *name && !(*wanted == '_' && *name == '-'))
            return false;
    return *wanted == *name;
}

static int state_find(const char *wanted)
{
    for (int state = TCP_CLOSED; state < TCP_STATE_COUNT; state++)
        if (state_matches(wanted, tcp_state_name((unsigned)state)))
            return state;
    return -1;
}

struct filter {
    int state;     /* -1: all */
    uint64_t port; /* 0: all */
    bool by_peer;
    struct ip_address peer;
};

/* Returns 0, or -1 when the request was answered with an error. */
static int filter_read(struct control_client *client, struct filter *filter)
{
    const char *state = control_text(client, "state"), *peer = control_text(client, "peer");
    *filter = (struct filter){.state = -1, .port = control_number(client, "port", 0)};
    if (state && (filter->state = state_find(state)) < 0) {
        control_fail(client, "bad-argument", "\"%.20s\" is no state of TCP", state);
        return -1;
    }
    if (filter->port > UINT16_MAX) {
        control_fail(client, "bad-argument", "a port is at most %d", UINT16_MAX);
        return -1;
    }
    filter->by_peer = peer != NULL;
    if (peer && ip_address_parse(peer, &filter->peer) != 0) {
        control_fail(client, "bad-argument", "\"%.40s\" is no IPv4 address", peer);
        return -1;
    }
    return 0;
}

static bool filter_passes(const struct filter *filter, const struct stack_summary *summary)
{
    if (filter->state >= 0 && summary->state != filter->state)
        return false;
    if (filter->port && summary->local.port != filter->port && summary->remote.port != filter->port)
        return false;
    return !filter->by_peer || ip_address_equal(&summary->remote.address, &filter->peer);
}

typedef json_t *summary_writer(const struct control_client *, const struct stack_summary *);

/* One step of a walk over the sockets that pass: the list's next part, under name. */
static enum control_progress sockets_step(struct control_client *client, const char *name,
                                          const struct filter *filter, summary_writer *writer)
{
    struct stack_summary summary;
    json_t *list = json_array();
    bool more = true;
    for (int i = 0; i < WALK_STEP && more; i++) {
        more = stack_next_summary(client->daemon->stack, &client->cursor, &summary,
                                  client->daemon->loop.now_us);
        if (more && filter_passes(filter, &summary))
            json_array_append_new(list, writer(client, &summary));
    }
    json_t *part = json_pack("{s:o}", name, list);
    if (!more)
        return control_end(client, part);
    if (json_array_size(list) > 0 || client->steps == 0)
        control_put(client, part);
    else
        json_decref(part);
    return CONTROL_MORE;
}

enum control_progress control_show_connections(struct control_client *client)
{
    struct filter filter;
    if (filter_read(client, &filter) != 0)
        return CONTROL_DONE;
    if (client->steps == 0 && client->daemon->api)
        api_server_refresh(client->daemon->api, 0);
    return sockets_step(client, "connections", &filter, summary_json);
}

enum control_progress control_show_listeners(struct control_client *client)
{
    static const struct filter listeners = {.state = TCP_LISTEN};
    return sockets_step(client, "listeners", &listeners, listener_json);
}

/* ---- One connection ---- */

enum field_kind {
    FIELD_NUMBER,
    FIELD_FLAG,
    FIELD_MAYBE, /* a number; all bits set: none */
};

struct field {
    const char *name;
    size_t offset, size;
    enum field_kind kind;
};

#define FIELD(name, member, kind)                                                                  \
    {                                                                                              \
        name, offsetof(struct stack_info, member), sizeof(((struct stack_info *)0)->member), kind  \
    }
#define NUMBER(name, member) FIELD(name, member, FIELD_NUMBER)
#define SAME(member)         FIELD(#member, member, FIELD_NUMBER)
#define FLAG(member)         FIELD(#member, member, FIELD_FLAG)
#define MAYBE(member)        FIELD(#member, member, FIELD_MAYBE)

/* Names of struct tcp_info, without tcpi_, where meaning and unit are the same; else RFC names. */
static const struct field info_fields[] = {
    FLAG(passive),
    FLAG(nodelay),
    FLAG(cork),
    FLAG(keepalive),
    FLAG(window_scaling),
    FLAG(timestamps),
    FLAG(sack),
    FLAG(in_recovery),
    FLAG(in_loss),
    FLAG(fin_sent),
    FLAG(fin_received),
    SAME(snd_wscale),
    SAME(rcv_wscale),
    SAME(ttl),
    SAME(tos),
    SAME(iss),
    SAME(irs),
    SAME(snd_una),
    SAME(snd_nxt),
    SAME(snd_max),
    SAME(snd_wnd),
    SAME(snd_wl1),
    SAME(snd_wl2),
    SAME(rcv_nxt),
    SAME(rcv_wnd),
    SAME(snd_mss),
    SAME(rcv_mss),
    SAME(pmtu),
    SAME(advmss),
    SAME(cwnd),
    MAYBE(ssthresh),
    SAME(inflight),
    SAME(recover),
    SAME(duplicate_acks),
    SAME(receive_buffer),
    SAME(send_buffer),
    SAME(receive_memory),
    SAME(send_memory),
    SAME(out_of_order_bytes),
    SAME(out_of_order_ranges),
    SAME(held),
    NUMBER("notsent_bytes", not_sent),
    NUMBER("rtt", srtt_us),
    NUMBER("rttvar", rttvar_us),
    NUMBER("rto", rto_us),
    NUMBER("min_rtt", min_rtt_us),
    SAME(backoff),
    SAME(retransmits),
    SAME(probes),
    SAME(ts_recent),
    MAYBE(rto_left_us),
    MAYBE(persist_left_us),
    MAYBE(delayed_ack_left_us),
    MAYBE(keepalive_left_us),
    MAYBE(time_wait_left_us),
    SAME(age_us),
    MAYBE(last_sent_us),
    MAYBE(last_received_us),
    MAYBE(last_ack_received_us),
    SAME(bytes_sent),
    NUMBER("bytes_retrans", bytes_retransmitted),
    SAME(bytes_acked),
    SAME(bytes_received),
    SAME(segs_out),
    SAME(segs_in),
    SAME(data_segs_out),
    SAME(data_segs_in),
    NUMBER("total_retrans", total_retransmits),
    NUMBER("total_rto", timeouts),
    NUMBER("busy_time", busy_us),
    NUMBER("rwnd_limited", rwnd_limited_us),
    NUMBER("sndbuf_limited", sndbuf_limited_us),
    SAME(listener_backlog),
    SAME(listener_waiting),
    SAME(listener_embryonic),
    SAME(drops),
};

static uint64_t field_value(const struct stack_info *info, const struct field *field, bool *none)
{
    const uint8_t *at = (const uint8_t *)info + field->offset;
    uint64_t value = 0;
    memcpy(&value, at, field->size); /* little-endian, as every machine this is built for */
    uint64_t all = field->size == 8 ? UINT64_MAX : (UINT64_C(1) << field->size * 8) - 1;
    *none = field->kind == FIELD_MAYBE && value == all;
    return value;
}

static void fields_write(json_t *object, const struct stack_info *info)
{
    for (size_t i = 0; i < sizeof info_fields / sizeof info_fields[0]; i++) {
        const struct field *field = &info_fields[i];
        bool none;
        uint64_t value = field_value(info, field, &none);
        json_t *json = none ? json_null() : control_integer(value);
        if (field->kind == FIELD_FLAG) {
            json_decref(json);
            json = json_boolean(value != 0);
        }
        json_object_set_new(object, field->name, json);
    }
}

/* Returns 0, or an error when there is no such connection. */
static int connection_look(const struct daemon *daemon, uint64_t id, struct stack_info *info)
{
    uint64_t now = daemon->loop.now_us;
    int error = id > UINT32_MAX ? STACK_BAD_HANDLE
                                : stack_info_by_id(daemon->stack, (uint32_t)id, info, now);
    if (error || !daemon->api || info->summary.socket == 0)
        return error;
    api_server_refresh(daemon->api, info->summary.socket);
    return stack_info_by_id(daemon->stack, (uint32_t)id, info, now);
}

enum control_progress control_show_connection(struct control_client *client)
{
    struct stack_info info;
    uint64_t id = control_number(client, "id", 0);
    if (connection_look(client->daemon, id, &info) != 0)
        return control_fail(client, "not-found", "no connection %llu", (unsigned long long)id);
    json_t *json = summary_json(client, &info.summary);
    fields_write(json, &info);
    json_object_set_new(json, "congestion", json_string(info.congestion ? info.congestion : ""));
    json_object_set_new(json, "outcome",
                        info.error ? json_string(stack_error_text(info.error)) : json_null());
    return control_end(client, json_pack("{s:o}", "connection", json));
}

/* ---- Routes, interfaces, settings ---- */

static void counter_append(json_t *list, const char *name, uint64_t value, const char *what)
{
    json_array_append_new(
        list, json_pack("{s:s, s:I, s:s}", "name", name, "value", (json_int_t)value, "what", what));
}

static json_t *nic_json(const struct nic *nic)
{
    json_t *list = json_array();
#define NIC_APPEND(field, name, what) counter_append(list, name, nic->counters.field, what);
    NIC_COUNTERS(NIC_APPEND)
#undef NIC_APPEND
    return list;
}

static json_t *cable_json(struct device *device, int direction)
{
    const struct cable *cable = device_cable(device, direction);
    struct cable_counters counters;
    if (!cable)
        return json_null();
    device_cable_totals(device, direction, &counters);
    json_t *list = json_array();
#define CABLE_APPEND(field, name, what) counter_append(list, name, counters.field, what);
    CABLE_COUNTERS(CABLE_APPEND)
#undef CABLE_APPEND
    struct cable_load load;
    cable_load(cable, &load);
    counter_append(list, "under_way", load.frames, "frames in the cable now");
    counter_append(list, "waiting", load.waiting_frames, "of these waiting for the rate");
    counter_append(list, "waiting_bytes", load.waiting_bytes, "their bytes");
    return list;
}

static json_t *interface_json(const struct daemon *daemon, unsigned index)
{
    const struct stack_interface_config *interface = stack_interface(daemon->stack, index);
    return json_pack(
        "{s:s, s:o, s:o, s:i, s:b, s:I, s:b, s:o}", "name", interface->name, "mac",
        control_mac(&interface->mac), "address",
        network_json(interface->address_v4, interface->prefix_bits), "mtu",
        (int)interface->mtu_bytes, "checksum_offload", interface->checksum_offload, "segment_max",
        (json_int_t)interface->segment_max_bytes, "proxy_arp", interface->proxy_arp, "link",
        control_neighbor_address(daemon->stack, index, interface->address_v4, daemon->loop.now_us));
}

void control_device(json_t *json, struct device *device)
{
    const struct nic *nic = device_nic(device);
    const struct device *peer = device_peer(device);
    json_object_set_new(json, "device", json_string(device_name(device)));
    json_object_set_new(json, "offload", json_string(device_offload(device)));
    json_object_set_new(json, "up", json_boolean(device_is_up(device)));
    json_object_set_new(json, "promiscuous", json_boolean(nic->promiscuous));
    json_object_set_new(json, "allmulti", json_boolean(nic->allmulti));
    json_object_set_new(json, "vlan", nic->vlan ? json_integer(nic->vlan) : json_null());
    json_object_set_new(json, "ring", control_integer(nic->slot_count));
    json_object_set_new(json, "budget", control_integer(nic->budget));
    json_object_set_new(json, "bridged_with", peer ? json_string(device_name(peer)) : json_null());
    json_object_set_new(json, "counters", nic_json(nic));
    json_object_set_new(json, "cable_in", cable_json(device, DEVICE_IN));
    json_object_set_new(json, "cable_out", cable_json(device, DEVICE_OUT));
}

/* A bridged device has no interface of the stack. */
static json_t *bridged_json(struct device *device)
{
    const struct nic *nic = device_nic(device);
    return json_pack("{s:s, s:o, s:n, s:i}", "name", device_name(device), "mac",
                     control_mac(&nic->mac), "address", "mtu", (int)nic->mtu_bytes);
}

enum control_progress control_show_interfaces(struct control_client *client)
{
    const struct daemon *daemon = client->daemon;
    json_t *list = json_array();
    for (unsigned i = 0; stack_interface(daemon->stack, i) || i < daemon->device_count; i++) {
        json_t *json = stack_interface(daemon->stack, i) ? interface_json(daemon, i)
                                                         : bridged_json(daemon->device[i]);
        if (i < daemon->device_count)
            control_device(json, daemon->device[i]);
        json_array_append_new(list, json);
    }
    return control_end(client, json_pack("{s:o}", "interfaces", list));
}

enum control_progress control_show_settings(struct control_client *client)
{
    const struct stack_settings *settings = stack_settings(client->daemon->stack);
    json_t *list = json_array();
    for (unsigned i = 0; i < stack_setting_count(); i++) {
        const struct stack_setting_info *info = stack_setting_info(i);
        json_array_append_new(
            list, json_pack("{s:s, s:I, s:s, s:I, s:I, s:I, s:s}", "name", info->name, "value",
                            (json_int_t)stack_setting_get(settings, i), "unit", info->unit,
                            "default", (json_int_t)info->initial, "least", (json_int_t)info->least,
                            "most", (json_int_t)info->most, "what", info->what));
    }
    return control_end(client, json_pack("{s:o}", "settings", list));
}

/* ---- Counters and the overview ---- */

enum control_progress control_show_counters(struct control_client *client)
{
    const uint64_t *counters = stack_counters(client->daemon->stack);
    bool all = control_flag(client, "all");
    json_t *list = json_array();
    for (unsigned i = 0; i < STACK_COUNTER_COUNT; i++)
        if (all || counters[i] != 0)
            counter_append(list, stack_counter_name(i), counters[i], stack_counter_what(i));
    return control_end(client, json_pack("{s:o}", "counters", list));
}

static bool counter_is_drop(unsigned counter)
{
    return strncmp(stack_counter_what(counter), "dropped:", 8) == 0;
}

/* The reasons why frames were dropped, the most frequent first. */
static json_t *drops_json(const uint64_t *counters)
{
    unsigned top[TOP_DROPS];
    unsigned count = 0;
    for (unsigned i = 0; i < STACK_COUNTER_COUNT; i++) {
        if (counters[i] == 0 || !counter_is_drop(i))
            continue;
        unsigned at = count;
        while (at > 0 && counters[top[at - 1]] < counters[i])
            at--;
        if (at == TOP_DROPS)
            continue;
        count += count < TOP_DROPS;
        memmove(top + at + 1, top + at, (count - at - 1) * sizeof top[0]);
        top[at] = i;
    }
    json_t *list = json_array();
    for (unsigned i = 0; i < count; i++)
        counter_append(list, stack_counter_name(top[i]), counters[top[i]],
                       stack_counter_what(top[i]));
    return list;
}

static json_t *states_json(const struct stack_usage *usage)
{
    json_t *states = json_object();
    for (unsigned state = TCP_CLOSED; state < TCP_STATE_COUNT; state++)
        if (usage->connections_by_state[state] != 0)
            json_object_set_new(states, tcp_state_name(state),
                                control_integer(usage->connections_by_state[state]));
    return states;
}

static json_t *rates_json(const struct daemon *daemon)
{
    const struct nic_counters *c = &device_nic(daemon->device[0])->counters;
    double seconds = (double)(daemon->loop.now_us - daemon->started_at) / 1e6;
    if (seconds <= 0)
        seconds = 1e-6;
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "rx_packets", (json_int_t)c->rx_packets,
        "rx_bytes", (json_int_t)c->rx_bytes, "tx_packets", (json_int_t)c->tx_packets, "tx_bytes",
        (json_int_t)c->tx_bytes, "rx_packets_per_s", (double)c->rx_packets / seconds,
        "rx_bits_per_s", (double)c->rx_bytes * 8 / seconds, "tx_packets_per_s",
        (double)c->tx_packets / seconds, "tx_bits_per_s", (double)c->tx_bytes * 8 / seconds);
}

static json_t *overview_interface(const struct daemon *daemon)
{
    if (!stack_interface(daemon->stack, 0))
        return json_null();
    json_t *json = interface_json(daemon, 0);
    if (daemon->device_count > 0) {
        json_object_set_new(json, "device", json_string(device_name(daemon->device[0])));
        json_object_set_new(json, "offload", json_string(device_offload(daemon->device[0])));
        json_object_update_missing_new(json, rates_json(daemon));
    }
    return json;
}

static json_t *memory_json(const struct stack_usage *usage)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "bytes", (json_int_t)usage->memory_bytes,
                     "buffers", (json_int_t)usage->buffer_bytes, "cached",
                     (json_int_t)usage->cached_bytes, "sockets", (json_int_t)usage->sockets,
                     "time_wait", (json_int_t)usage->time_wait);
}

static json_t *clients_json(const struct daemon *daemon)
{
    struct api_usage usage = {0};
    if (daemon->api)
        api_server_usage(daemon->api, &usage);
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "clients", (json_int_t)usage.clients, "listeners",
                     (json_int_t)usage.listeners, "connections", (json_int_t)usage.connections,
                     "datagrams", (json_int_t)usage.datagrams, "refused_requests",
                     (json_int_t)usage.refused_requests);
}

/* First all but the accept queues, then those: finding the listeners is a walk. */
enum control_progress control_show_overview(struct control_client *client)
{
    static const struct filter listeners = {.state = TCP_LISTEN};
    const struct daemon *daemon = client->daemon;
    struct stack_usage usage;
    if (client->steps > 0)
        return sockets_step(client, "accept_queues", &listeners, listener_json);
    stack_usage(daemon->stack, &usage);
    control_put(client,
                json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:b}", "program", "tapstackd",
                          "version", TAPSTACK_VERSION, "uptime_us",
                          (json_int_t)(daemon->loop.now_us - daemon->started_at), "interface",
                          overview_interface(daemon), "connections", states_json(&usage), "drops",
                          drops_json(stack_counters(daemon->stack)), "memory", memory_json(&usage),
                          "api", clients_json(daemon), "capturing",
                          daemon->capture && capture_is_running(daemon->capture)));
    return CONTROL_MORE;
}
