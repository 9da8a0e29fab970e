/* A run written down as a script, so that it can be run again.

   Lines stand in the order of what happened, each at its own absolute time: settings and commands
   first, then calls with the results they had and, where they waited, with the time they ended;
   packets that came in; and every packet that the stack has sent, one a line, also those that no
   event asked for. Ports are told when there is more than one connection. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "../wire/tcp_option.h"
#include "script_state.h"

enum trace_kind { TRACE_CALL, TRACE_CODE, TRACE_COMMAND, TRACE_PACKET, TRACE_PRINTED };

struct trace_line {
    enum trace_kind kind;
    uint64_t at_us, ends_at;          /* of a call: UINT64_MAX: it never ended */
    const struct script_event *event; /* of a call, code or a command */
    char *printed;                    /* by code; owned */
    struct call_result result;
    struct script_packet packet;
    bool known; /* the packet's numbers are */
    const struct run_flow
        *flow; /* whose stamps of ours are as on the wire; NULL: as in the script */
};

/* Our timestamp in a packet: what it tells, or what it echoes. */
static uint32_t *own_stamp(struct script_packet *packet)
{
    for (unsigned i = 0; i < packet->option_count; i++)
        if (packet->option[i].kind == TCP_KIND_TIMESTAMPS && packet->option[i].value_count == 2)
            return &packet->option[i].value[packet->inbound ? 1 : 0];
    return NULL;
}

static struct trace_line *add_line(struct run *run, enum trace_kind kind)
{
    if (run->trace_count == run->trace_capacity) {
        size_t capacity = run->trace_capacity ? run->trace_capacity * 2 : 64;
        run->trace = run_grow(run, run->trace, capacity * sizeof *run->trace);
        run->trace_capacity = capacity;
    }
    struct trace_line *line = &run->trace[run->trace_count++];
    *line = (struct trace_line){.kind = kind, .at_us = run->now_us, .ends_at = UINT64_MAX};
    return line;
}

void trace_event(struct run *run, const struct script_event *event)
{
    enum trace_kind kind = event->kind == SCRIPT_CALL   ? TRACE_CALL
                           : event->kind == SCRIPT_CODE ? TRACE_CODE
                                                        : TRACE_COMMAND;
    if (run->options->trace)
        add_line(run, kind)->event = event;
}

void trace_inbound(struct run *run, const struct script_packet *packet)
{
    const struct run_flow *flow = run->current;
    if (!run->options->trace)
        return;
    struct trace_line *line = add_line(run, TRACE_PACKET);
    line->packet = *packet;
    line->known = true;
    run->ports_said |= packet->source_port >= 0;
    if (packet->source_port >= 0)
        flow = flow_find(run, (uint16_t)packet->destination_port, (uint16_t)packet->source_port);
    if (!flow)
        return;
    line->packet.source_port = flow->remote_port;
    line->packet.destination_port = flow->local_port;
    uint32_t *stamp = own_stamp(&line->packet);
    if (!stamp || !*stamp || !flow->stamp_known)
        return;
    *stamp = flow_wire_stamp(flow, *stamp);
    line->flow = flow;
}

void trace_call_end(struct run *run, const struct script_event *event,
                    const struct call_result *result)
{
    size_t i = run->trace_count;
    while (i > 0 && (run->trace[i - 1].kind != TRACE_CALL || run->trace[i - 1].event != event))
        i--;
    if (i == 0)
        return;
    run->trace[i - 1].ends_at = run->now_us;
    run->trace[i - 1].result = *result;
}

size_t trace_outbound(struct run *run)
{
    if (run->options->trace)
        add_line(run, TRACE_PACKET);
    return run->trace_count;
}

void trace_outbound_known(struct run *run, size_t number, const struct script_packet *packet)
{
    if (!run->options->trace)
        return;
    struct trace_line *line = &run->trace[number - 1];
    line->packet = *packet;
    line->known = true;
    uint32_t *stamp = own_stamp(&line->packet);
    if (!stamp)
        return;
    line->flow = flow_find(run, (uint16_t)packet->source_port, (uint16_t)packet->destination_port);
    *stamp += line->flow->stamp_base;
}

void trace_printed(struct run *run, const char *text)
{
    add_line(run, TRACE_PRINTED)->printed = strdup(text);
}

/* ---- Writing ---- */

static void write_head(const struct run *run, FILE *to)
{
    for (const struct script_setting *setting = run->script->settings; setting;
         setting = setting->next)
        fprintf(to, "--%s%s%s\n", setting->name, setting->value[0] ? "=" : "", setting->value);
}

static void write_call(const struct run *run, FILE *to, const struct trace_line *line)
{
    const char *call = line->event->call.source;
    char result[160];
    if (line->ends_at == UINT64_MAX) {
        fprintf(to, "// %.6f %s has not returned\n", run_seconds(run, line->at_us), call);
        return;
    }
    fprintf(to, "%.6f", run_seconds(run, line->at_us));
    if (line->ends_at != line->at_us)
        fprintf(to, "...%.6f", run_seconds(run, line->ends_at));
    fprintf(to, " %s = %s\n", call, call_describe_result(&line->result, result, sizeof result));
}

static void write_packet(const struct run *run, FILE *to, const struct trace_line *line)
{
    struct packet_line text;
    struct script_packet packet = line->packet;
    if (!line->known)
        return;
    if (line->flow)
        *own_stamp(&packet) -= line->flow->stamp_base;
    packet_format(&packet, run->ports_said || run->flow_count > 1, &text);
    fprintf(to, "%.6f %s\n", run_seconds(run, line->at_us), text.text);
}

static void write_line(const struct run *run, FILE *to, const struct trace_line *line)
{
    switch (line->kind) {
    case TRACE_CALL:
        write_call(run, to, line);
        return;
    case TRACE_CODE:
        fprintf(to, "%.6f %%{%s}%%\n", run_seconds(run, line->at_us), line->event->text);
        return;
    case TRACE_COMMAND:
        fprintf(to, "%.6f `%s`\n", run_seconds(run, line->at_us), line->event->text);
        return;
    case TRACE_PACKET:
        write_packet(run, to, line);
        return;
    case TRACE_PRINTED:
        fprintf(to, "// %s\n", line->printed ? line->printed : "");
        return;
    }
}

void trace_write(struct run *run, FILE *to)
{
    if (run->options->trace)
        write_head(run, to);
    for (size_t i = 0; i < run->trace_count; i++)
        write_line(run, to, &run->trace[i]);
}

void trace_release(struct run *run)
{
    for (size_t i = 0; i < run->trace_count; i++)
        free(run->trace[i].printed);
    free(run->trace);
}
