/* Answers of the daemon as text, in tables and blocks of at most 100 columns. */
#include "show.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "answer.h"
#include "table.h"
#include "unit.h"

enum { TEXT_MAX = UNIT_TEXT_MAX };

/* ---- Values as text ---- */

/* "10.77.0.2:80"; out: TEXT_MAX bytes. */
static const char *endpoint(const json_t *object, const char *name, char *out)
{
    const json_t *value = json_object_get(object, name);
    uint64_t port = number(value, "port");
    if (port)
        snprintf(out, TEXT_MAX, "%s:%" PRIu64, text(value, "address"), port);
    else
        snprintf(out, TEXT_MAX, "%s:*", text(value, "address"));
    return out;
}

/* Number or "-"; out: TEXT_MAX bytes. */
static const char *maybe(const json_t *object, const char *name, char *out)
{
    if (!is_given(object, name))
        return "-";
    snprintf(out, TEXT_MAX, "%" PRIu64, number(object, name));
    return out;
}

static const char *member_ms(const json_t *object, const char *name, char *out)
{
    return is_given(object, name) ? unit_ms(number(object, name), out) : "-";
}

/* ---- Lists ---- */

void show_connections(FILE *out, const json_t *answer)
{
    static const char *const headings[] = {"Id",    "State",  "Recv-Q", "Send-Q",
                                           "Local", "Remote", "Process"};
    char local[TEXT_MAX], remote[TEXT_MAX], pid[TEXT_MAX];
    struct table table;
    const json_t *c;
    size_t i;
    table_open(&table, "rlrrllr", headings);
    json_array_foreach(json_object_get(answer, "connections"), i, c)
    {
        table_add(&table, "%" PRIu64, number(c, "id"));
        table_add(&table, "%s%s", strcmp(text(c, "protocol"), "udp") == 0 ? "UDP " : "",
                  text(c, "state"));
        table_add(&table, "%" PRIu64, number(c, "recv_q"));
        table_add(&table, "%" PRIu64, number(c, "send_q"));
        table_add(&table, "%s", endpoint(c, "local", local));
        table_add(&table, "%s", endpoint(c, "remote", remote));
        table_add(&table, "%s", maybe(c, "pid", pid));
    }
    table_print(&table, out);
}

static void listeners_print(FILE *out, const json_t *list)
{
    static const char *const headings[] = {"Id",      "Local",     "Waiting",
                                           "Backlog", "Embryonic", "Process"};
    char local[TEXT_MAX], pid[TEXT_MAX];
    struct table table;
    const json_t *l;
    size_t i;
    table_open(&table, "rlrrrr", headings);
    json_array_foreach(list, i, l)
    {
        table_add(&table, "%" PRIu64, number(l, "id"));
        table_add(&table, "%s", endpoint(l, "local", local));
        table_add(&table, "%" PRIu64, number(l, "waiting"));
        table_add(&table, "%" PRIu64, number(l, "backlog"));
        table_add(&table, "%" PRIu64, number(l, "embryonic"));
        table_add(&table, "%s", maybe(l, "pid", pid));
    }
    table_print(&table, out);
}

void show_listeners(FILE *out, const json_t *answer)
{
    listeners_print(out, json_object_get(answer, "listeners"));
}

/* How long ago, or "never". */
static void ago_add(struct table *table, const json_t *object, const char *name)
{
    char ago[TEXT_MAX];
    if (is_given(object, name))
        table_add(table, "%s", unit_duration(number(object, name), ago));
    else
        table_add(table, "never");
}

void show_arp(FILE *out, const json_t *answer)
{
    static const char *const headings[] = {"Address",   "MAC",  "State",     "For",  "Queued",
                                           "Interface", "Used", "Confirmed", "Flags"};
    struct table table;
    const json_t *n;
    size_t i;
    table_open(&table, "lllrrlrrl", headings);
    json_array_foreach(json_object_get(answer, "neighbors"), i, n)
    {
        table_add(&table, "%s", text(n, "address"));
        table_add(&table, "%s", text(n, "mac"));
        table_add(&table, "%s", text(n, "state"));
        ago_add(&table, n, "state_us");
        table_add(&table, "%" PRIu64, number(n, "queued"));
        table_add(&table, "%s", text(n, "interface"));
        ago_add(&table, n, "used_us");
        ago_add(&table, n, "confirmed_us");
        table_add(&table, "%s%s", flag(n, "gateway") ? "gateway " : "",
                  flag(n, "contested") ? "contested" : "");
    }
    table_print(&table, out);
}

void show_flushed(FILE *out, const json_t *answer)
{
    fprintf(out, "%" PRIu64 " neighbors forgotten\n", number(answer, "removed"));
}

static void waiting_add(struct table *table, const json_t *waiting)
{
    char age[TEXT_MAX], total[TEXT_MAX];
    table_add(table, "%s", text(waiting, "source"));
    table_add(table, "%s", text(waiting, "destination"));
    table_add(table, "%" PRIu64, number(waiting, "protocol"));
    table_add(table, "%" PRIu64, number(waiting, "identification"));
    table_add(table, "%s", flag(waiting, "refused") ? "refused" : "waiting");
    table_add(table, "%" PRIu64, number(waiting, "fragments"));
    table_add(table, "%" PRIu64, number(waiting, "received_bytes"));
    table_add(table, "%s", maybe(waiting, "total_bytes", total));
    table_add(table, "%" PRIu64, number(waiting, "memory_bytes"));
    table_add(table, "%s", unit_duration(number(waiting, "age_us"), age));
}

void show_reassembly(FILE *out, const json_t *answer)
{
    static const char *const headings[] = {"Source",    "Destination", "Proto", "Id",     "State",
                                           "Fragments", "Bytes",       "Of",    "Memory", "Age"};
    struct table table;
    const json_t *waiting;
    size_t i;
    table_open(&table, "llrrlrrrrr", headings);
    json_array_foreach(json_object_get(answer, "reassembly"), i, waiting)
        waiting_add(&table, waiting);
    table_print(&table, out);
    fprintf(out, "%" PRIu64 " of %" PRIu64 " bytes of memory held\n",
            number(answer, "memory_bytes"), number(answer, "memory_max"));
}

void show_counter_list(FILE *out, const json_t *list, const char *heading)
{
    const char *const headings[] = {heading, "Value", "What it counts"};
    struct table table;
    const json_t *c;
    size_t i;
    table_open(&table, "lrl", headings);
    json_array_foreach(list, i, c)
    {
        table_add(&table, "%s", text(c, "name"));
        table_add(&table, "%" PRIu64, number(c, "value"));
        table_add(&table, "%s", text(c, "what"));
    }
    table_print(&table, out);
}

void show_counters(FILE *out, const json_t *answer)
{
    show_counter_list(out, json_object_get(answer, "counters"), "Counter");
}

void show_settings(FILE *out, const json_t *answer)
{
    static const char *const headings[] = {"Setting", "Value", "", "What it means"};
    char value[TEXT_MAX];
    struct table table;
    const json_t *s;
    size_t i;
    table_open(&table, "lrll", headings);
    json_array_foreach(json_object_get(answer, "settings"), i, s)
    {
        table_add(&table, "%s", text(s, "name"));
        table_add(&table, "%s", unit_setting(number(s, "value"), text(s, "unit"), value));
        table_add(&table, "%s", number(s, "value") != number(s, "default") ? "*" : "");
        table_add(&table, "%s", text(s, "what"));
    }
    table_print(&table, out);
}

void show_set(FILE *out, const json_t *answer)
{
    char before[TEXT_MAX], value[TEXT_MAX];
    const char *unit = text(answer, "unit");
    fprintf(out, "%s: %s (was %s)\n", text(answer, "name"),
            unit_setting(number(answer, "value"), unit, value),
            unit_setting(number(answer, "before"), unit, before));
}

void show_capture(FILE *out, const json_t *answer)
{
    char size[TEXT_MAX];
    const char *ended = text(answer, "ended");
    fprintf(out, "%s: %" PRIu64 " frames, %s, %" PRIu64 " lost%s%s\n",
            flag(answer, "running") ? "running" : "not running", number(answer, "frames"),
            unit_bytes(number(answer, "bytes"), size), number(answer, "lost"),
            ended[0] ? "; ended: " : "", ended);
}

/* ---- Events ---- */

static void event_time(FILE *out, uint64_t us)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm broken;
    localtime_r(&seconds, &broken);
    fprintf(out, "%02d:%02d:%02d.%06u", broken.tm_hour, broken.tm_min, broken.tm_sec,
            (unsigned)(us % 1000000));
}

static void event_print(FILE *out, json_t *event)
{
    const char *name;
    json_t *value;
    event_time(out, number(event, "time_us"));
    fprintf(out, "  %4" PRIu64 "  %-13s", number(event, "id"), text(event, "event"));
    json_object_foreach(event, name, value)
    {
        if (strcmp(name, "time_us") == 0 || strcmp(name, "id") == 0 || strcmp(name, "event") == 0)
            continue;
        if (json_is_string(value))
            fprintf(out, " %s=%s", name, json_string_value(value));
        else
            fprintf(out, " %s=%" PRIu64, name, (uint64_t)json_integer_value(value));
    }
    fputc('\n', out);
}

void show_events(FILE *out, const json_t *answer)
{
    size_t i;
    json_t *event;
    json_array_foreach(json_object_get(answer, "events"), i, event) event_print(out, event);
    if (number(answer, "lost"))
        fprintf(out, "(%" PRIu64 " events were overwritten before they could be read)\n",
                number(answer, "lost"));
}

/* ---- Interfaces ---- */

static void interface_line(FILE *out, const json_t *interface)
{
    struct block block;
    block_open(&block, out, "Interface");
    block_add(&block, "%s", text(interface, "name"));
    block_add(&block, "%s", text(interface, "address"));
    block_add(&block, "mac %s", text(interface, "mac"));
    block_add(&block, "mtu %" PRIu64, number(interface, "mtu"));
    if (is_given(interface, "device")) {
        block_add(&block, "device %s", text(interface, "device"));
        block_add(&block, "offload %s", text(interface, "offload"));
    }
    if (flag(interface, "promiscuous"))
        block_add(&block, "promiscuous");
    block_close(&block);
}

/* ---- The overview ---- */

static void traffic_line(FILE *out, const json_t *interface, const char *name, const char *prefix)
{
    char key[TEXT_MAX], size[TEXT_MAX], speed[TEXT_MAX];
    struct block block;
    block_open(&block, out, name);
    snprintf(key, sizeof key, "%s_packets", prefix);
    block_add(&block, "%" PRIu64 " frames", number(interface, key));
    snprintf(key, sizeof key, "%s_bytes", prefix);
    block_add(&block, "%s", unit_bytes(number(interface, key), size));
    snprintf(key, sizeof key, "%s_bits_per_s", prefix);
    block_add(&block, "%s on average",
              unit_rate(json_real_value(json_object_get(interface, key)), speed));
    block_close(&block);
}

static void states_line(FILE *out, json_t *states)
{
    struct block block;
    const char *state;
    json_t *count;
    block_open(&block, out, "Connections");
    json_object_foreach(states, state, count)
        block_add(&block, "%s %" PRIu64, state, (uint64_t)json_integer_value(count));
    if (json_object_size(states) == 0)
        block_add(&block, "none");
    block_close(&block);
}

static void memory_line(FILE *out, const json_t *memory)
{
    char total[TEXT_MAX], buffers[TEXT_MAX], cached[TEXT_MAX];
    struct block block;
    block_open(&block, out, "Memory");
    block_add(&block, "%s", unit_bytes(number(memory, "bytes"), total));
    block_add(&block, "in buffers %s", unit_bytes(number(memory, "buffers"), buffers));
    block_add(&block, "kept for reuse %s", unit_bytes(number(memory, "cached"), cached));
    block_add(&block, "sockets %" PRIu64, number(memory, "sockets"));
    block_add(&block, "time-wait %" PRIu64, number(memory, "time_wait"));
    block_close(&block);
}

static void clients_line(FILE *out, const json_t *api)
{
    struct block block;
    block_open(&block, out, "API");
    block_add(&block, "clients %" PRIu64, number(api, "clients"));
    block_add(&block, "listeners %" PRIu64, number(api, "listeners"));
    block_add(&block, "connections %" PRIu64, number(api, "connections"));
    block_add(&block, "datagram sockets %" PRIu64, number(api, "datagrams"));
    block_add(&block, "requests refused %" PRIu64, number(api, "refused_requests"));
    block_close(&block);
}

void show_overview(FILE *out, const json_t *answer)
{
    char uptime[TEXT_MAX];
    json_t *interface = json_object_get(answer, "interface");
    fprintf(out, "%s %s, up %s%s\n", text(answer, "program"), text(answer, "version"),
            unit_duration(number(answer, "uptime_us"), uptime),
            flag(answer, "capturing") ? ", capturing" : "");
    if (json_is_object(interface)) {
        interface_line(out, interface);
        traffic_line(out, interface, "Received", "rx");
        traffic_line(out, interface, "Sent", "tx");
    }
    states_line(out, json_object_get(answer, "connections"));
    memory_line(out, json_object_get(answer, "memory"));
    clients_line(out, json_object_get(answer, "api"));
    if (json_array_size(json_object_get(answer, "accept_queues"))) {
        fputs("\nAccept queues\n", out);
        listeners_print(out, json_object_get(answer, "accept_queues"));
    }
    if (json_array_size(json_object_get(answer, "drops"))) {
        fputs("\nMost frequent drops\n", out);
        show_counter_list(out, json_object_get(answer, "drops"), "Reason");
    }
}

/* ---- One connection ---- */

/* Distance of a sequence number from the first of its direction, modulo 2^32. */
static uint32_t relative(const json_t *c, const char *name, const char *first)
{
    return (uint32_t)number(c, name) - (uint32_t)number(c, first);
}

static void state_block(FILE *out, const json_t *c)
{
    char local[TEXT_MAX], remote[TEXT_MAX], time[TEXT_MAX], pid[TEXT_MAX];
    struct block block;
    fprintf(out, "Connection %" PRIu64 "  %s  %s %s %s\n", number(c, "id"), text(c, "state"),
            endpoint(c, "local", local), flag(c, "passive") ? "<-" : "->",
            endpoint(c, "remote", remote));
    block_open(&block, out, "Open");
    block_add(&block, "%s", flag(c, "passive") ? "by the peer" : "from here");
    block_add(&block, "age %s", unit_duration(number(c, "age_us"), time));
    block_add(&block, "process %s", maybe(c, "pid", pid));
    if (flag(c, "fin_sent"))
        block_add(&block, "FIN sent");
    if (flag(c, "fin_received"))
        block_add(&block, "FIN received");
    if (is_given(c, "outcome"))
        block_add(&block, "ended: %s", text(c, "outcome"));
    block_close(&block);
    block_open(&block, out, "Last");
    block_add(&block, "sent %s ago", member_ms(c, "last_sent_us", time));
    block_add(&block, "received %s ago", member_ms(c, "last_received_us", time));
    block_add(&block, "ACK received %s ago", member_ms(c, "last_ack_received_us", time));
    block_close(&block);
}

static void sequence_block(FILE *out, const json_t *c)
{
    struct block block;
    block_open(&block, out, "Sequence out");
    block_add(&block, "iss %" PRIu64, number(c, "iss"));
    block_add(&block, "snd.una +%" PRIu32, relative(c, "snd_una", "iss"));
    block_add(&block, "snd.nxt +%" PRIu32, relative(c, "snd_nxt", "iss"));
    block_add(&block, "snd.max +%" PRIu32, relative(c, "snd_max", "iss"));
    block_add(&block, "recover +%" PRIu32, relative(c, "recover", "iss"));
    block_add(&block, "snd.wl2 +%" PRIu32, relative(c, "snd_wl2", "iss"));
    block_close(&block);
    block_open(&block, out, "Sequence in");
    block_add(&block, "irs %" PRIu64, number(c, "irs"));
    block_add(&block, "rcv.nxt +%" PRIu32, relative(c, "rcv_nxt", "irs"));
    block_add(&block, "snd.wl1 +%" PRIu32, relative(c, "snd_wl1", "irs"));
    block_close(&block);
}

static void window_block(FILE *out, const json_t *c)
{
    struct block block;
    block_open(&block, out, "Windows");
    block_add(&block, "snd.wnd %" PRIu64, number(c, "snd_wnd"));
    block_add(&block, "rcv.wnd %" PRIu64, number(c, "rcv_wnd"));
    block_add(&block, "mss out %" PRIu64 ", in %" PRIu64 ", told %" PRIu64, number(c, "snd_mss"),
              number(c, "rcv_mss"), number(c, "advmss"));
    block_add(&block, "pmtu %" PRIu64, number(c, "pmtu"));
    block_close(&block);
}

static void time_block(FILE *out, const json_t *c)
{
    char time[TEXT_MAX];
    struct block block;
    block_open(&block, out, "Round trip");
    block_add(&block, "srtt %s", member_ms(c, "rtt", time));
    block_add(&block, "rttvar %s", member_ms(c, "rttvar", time));
    block_add(&block, "min %s", number(c, "min_rtt") ? member_ms(c, "min_rtt", time) : "-");
    block_add(&block, "rto %s", member_ms(c, "rto", time));
    block_add(&block, "backoff %" PRIu64, number(c, "backoff"));
    block_close(&block);
}

static void congestion_block(FILE *out, const json_t *c)
{
    char threshold[TEXT_MAX];
    struct block block;
    block_open(&block, out, "Congestion");
    block_add(&block, "%s", text(c, "congestion"));
    block_add(&block, "%s",
              flag(c, "in_loss")       ? "loss"
              : flag(c, "in_recovery") ? "recovery"
                                       : "open");
    block_add(&block, "cwnd %" PRIu64, number(c, "cwnd"));
    block_add(&block, "ssthresh %s", maybe(c, "ssthresh", threshold));
    block_add(&block, "inflight %" PRIu64, number(c, "inflight"));
    block_add(&block, "duplicate ACKs %" PRIu64, number(c, "duplicate_acks"));
    block_close(&block);
}

static void queue_block(FILE *out, const json_t *c)
{
    struct block block;
    block_open(&block, out, "Queue in");
    block_add(&block, "%" PRIu64 " bytes of %" PRIu64, number(c, "recv_q"),
              number(c, "receive_buffer"));
    block_add(&block, "held by the application %" PRIu64, number(c, "held"));
    block_add(&block, "out of order %" PRIu64 " in %" PRIu64 " ranges",
              number(c, "out_of_order_bytes"), number(c, "out_of_order_ranges"));
    block_add(&block, "memory %" PRIu64, number(c, "receive_memory"));
    block_close(&block);
    block_open(&block, out, "Queue out");
    block_add(&block, "%" PRIu64 " bytes of %" PRIu64, number(c, "send_q"),
              number(c, "send_buffer"));
    block_add(&block, "not sent %" PRIu64, number(c, "notsent_bytes"));
    block_add(&block, "memory %" PRIu64, number(c, "send_memory"));
    block_close(&block);
}

static void timer_block(FILE *out, const json_t *c)
{
    static const struct {
        const char *key, *name;
    } timers[] = {{"rto_left_us", "retransmission"},
                  {"persist_left_us", "persist"},
                  {"delayed_ack_left_us", "delayed ACK"},
                  {"keepalive_left_us", "keep-alive"},
                  {"time_wait_left_us", "TIME-WAIT"}};
    char time[TEXT_MAX];
    struct block block;
    bool any = false;
    block_open(&block, out, "Timers");
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        if (!is_given(c, timers[i].key))
            continue;
        block_add(&block, "%s in %s", timers[i].name, member_ms(c, timers[i].key, time));
        any = true;
    }
    if (!any)
        block_add(&block, "none runs");
    block_close(&block);
}

static void limit_block(FILE *out, const json_t *c)
{
    char time[TEXT_MAX];
    struct block block;
    uint64_t busy = number(c, "busy_time");
    double percent = busy ? 100.0 / (double)busy : 0;
    block_open(&block, out, "Limits");
    block_add(&block, "busy %s", unit_ms(busy, time));
    block_add(&block, "by the peer's window %s (%.0f %%)", member_ms(c, "rwnd_limited", time),
              percent * (double)number(c, "rwnd_limited"));
    block_add(&block, "by the send buffer %s (%.0f %%)", member_ms(c, "sndbuf_limited", time),
              percent * (double)number(c, "sndbuf_limited"));
    block_close(&block);
}

static void counter_block(FILE *out, const json_t *c)
{
    static const char *const names[] = {"bytes_sent",     "bytes_acked",  "bytes_retrans",
                                        "bytes_received", "segs_out",     "data_segs_out",
                                        "segs_in",        "data_segs_in", "total_retrans",
                                        "total_rto",      "retransmits",  "probes"};
    struct block block;
    block_open(&block, out, "Counters");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        block_add(&block, "%s %" PRIu64, names[i], number(c, names[i]));
    block_close(&block);
}

static void option_block(FILE *out, const json_t *c)
{
    static const char *const flags[] = {"sack", "nodelay", "cork", "keepalive"};
    struct block block;
    block_open(&block, out, "Options");
    if (flag(c, "timestamps"))
        block_add(&block, "timestamps (recent %" PRIu64 ")", number(c, "ts_recent"));
    if (flag(c, "window_scaling"))
        block_add(&block, "wscale %" PRIu64 ",%" PRIu64, number(c, "snd_wscale"),
                  number(c, "rcv_wscale"));
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (flag(c, flags[i]))
            block_add(&block, "%s", flags[i]);
    block_add(&block, "ttl %" PRIu64, number(c, "ttl"));
    block_add(&block, "tos 0x%02x", (unsigned)number(c, "tos"));
    block_close(&block);
}

static void listener_block(FILE *out, const json_t *c)
{
    char local[TEXT_MAX], pid[TEXT_MAX];
    struct block block;
    fprintf(out, "Listener %" PRIu64 "  %s\n", number(c, "id"), endpoint(c, "local", local));
    block_open(&block, out, "Queue");
    block_add(&block, "waiting %" PRIu64, number(c, "listener_waiting"));
    block_add(&block, "backlog %" PRIu64, number(c, "listener_backlog"));
    block_add(&block, "embryonic %" PRIu64, number(c, "listener_embryonic"));
    block_add(&block, "process %s", maybe(c, "pid", pid));
    block_close(&block);
}

static void datagram_block(FILE *out, const json_t *c)
{
    char local[TEXT_MAX], remote[TEXT_MAX], time[TEXT_MAX], pid[TEXT_MAX];
    struct block block;
    fprintf(out, "Datagram socket %" PRIu64 "  %s  %s -> %s\n", number(c, "id"), text(c, "state"),
            endpoint(c, "local", local), endpoint(c, "remote", remote));
    block_open(&block, out, "Open");
    block_add(&block, "age %s", unit_duration(number(c, "age_us"), time));
    block_add(&block, "process %s", maybe(c, "pid", pid));
    block_close(&block);
    block_open(&block, out, "Queues");
    block_add(&block, "in %" PRIu64 " bytes of %" PRIu64, number(c, "recv_q"),
              number(c, "receive_buffer"));
    block_add(&block, "dropped %" PRIu64, number(c, "drops"));
    block_add(&block, "out %" PRIu64 " bytes of %" PRIu64, number(c, "send_q"),
              number(c, "send_buffer"));
    block_close(&block);
    block_open(&block, out, "Counters");
    block_add(&block, "datagrams_sent %" PRIu64, number(c, "segs_out"));
    block_add(&block, "bytes_sent %" PRIu64, number(c, "bytes_sent"));
    block_add(&block, "datagrams_received %" PRIu64, number(c, "segs_in"));
    block_add(&block, "bytes_received %" PRIu64, number(c, "bytes_received"));
    block_close(&block);
}

void show_connection(FILE *out, const json_t *answer)
{
    static void (*const blocks[])(FILE *, const json_t *) = {
        state_block, sequence_block, window_block, time_block,    congestion_block,
        queue_block, timer_block,    limit_block,  counter_block, option_block,
    };
    const json_t *c = json_object_get(answer, "connection");
    if (strcmp(text(c, "state"), "LISTEN") == 0) {
        listener_block(out, c);
        return;
    }
    if (strcmp(text(c, "protocol"), "udp") == 0) {
        datagram_block(out, c);
        return;
    }
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        blocks[i](out, c);
}
