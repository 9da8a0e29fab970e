/* What a run tells when the stack does something else than the script says.

   A report stands for itself: the place in the script, what was expected and what came in the same
   notation with the differing field marked, the virtual time, and what the stack did last, with our
   sequence numbers as the script counts them. A run that only traces (struct script_options,
   overlook) tells of its first difference and goes on. */
#include <stdarg.h>
#include <string.h>

#include "../wire/tcp.h"
#include "script_state.h"

enum { EVENTS_SHOWN = 12 };

double run_seconds(const struct run *run, uint64_t at_us)
{
    return (double)(int64_t)(at_us - run->start_us) / 1e6;
}

/* ---- Events of the stack ---- */

/* What is to be taken from our sequence numbers in a connection's events. */
static uint32_t local_base(const struct run *run, uint32_t id)
{
    for (unsigned i = 0; i < run->flow_count; i++)
        if (run->flow[i].id == id && run->flow[i].local_known)
            return run->flow[i].local_base;
    return 0;
}

static void print_range(FILE *to, uint32_t flags, uint32_t first, uint32_t bytes)
{
    char letters[16];
    packet_flags((uint16_t)flags, letters);
    fprintf(to, " %s %u:%u(%u)", letters, first, first + bytes, bytes);
}

/* The ones that stand for segments, as a script writes these. Returns whether it is one. */
static bool print_segment(FILE *to, const struct stack_event *event, uint32_t base)
{
    const uint32_t *argument = event->argument;
    switch (event->kind) {
    case STACK_EVENT_SENT:
    case STACK_EVENT_RETRANSMITTED:
        print_range(to, argument[3], argument[1] - base, argument[2]);
        fprintf(to, " (%s)", stack_reason_name(argument[0]));
        return true;
    case STACK_EVENT_RECEIVED:
        print_range(to, argument[0], argument[1], argument[2]);
        if (argument[0] & TCP_ACK)
            fprintf(to, " ack %u", argument[3] - base);
        return true;
    default:
        return false;
    }
}

static const char *state_name(unsigned kind, uint32_t state)
{
    if (kind == STACK_EVENT_NEIGHBOR)
        return neighbor_state_name(state);
    return kind == STACK_EVENT_ADDRESS ? address_state_name(state) : tcp_state_name(state);
}

static bool names_state(const char *name)
{
    return strcmp(name, "from") == 0 || strcmp(name, "to") == 0;
}

static bool names_address(const char *name)
{
    size_t size = strlen(name);
    return size >= 2 && strcmp(name + size - 2, "v4") == 0;
}

static void print_argument(FILE *to, const struct stack_event *event, unsigned number,
                           uint32_t base)
{
    const char *name = stack_event_argument_name(event->kind, number);
    uint32_t value = event->argument[number];
    if (name[0] == '\0')
        return;
    if (strcmp(name, "reason") == 0)
        fprintf(to, " (%s)", stack_reason_name(value));
    else if (strcmp(name, "counter") == 0)
        fprintf(to, " %s", stack_counter_name(value));
    else if (strcmp(name, "timer") == 0)
        fprintf(to, " %s", stack_timer_name(value));
    else if (names_state(name))
        fprintf(to, " %s %s", name, state_name(event->kind, value));
    else if (names_address(name))
        fprintf(to, " %s %u.%u.%u.%u", name, value >> 24, value >> 16 & 255, value >> 8 & 255,
                value & 255);
    else if (strcmp(name, "sequence") == 0)
        fprintf(to, " %s %u", name, value - base);
    else
        fprintf(to, " %s %u", name, value);
}

static void print_event(const struct run *run, const struct stack_event *event)
{
    uint32_t base = local_base(run, event->id);
    fprintf(run->report, "    %12.6f  #%u %s", run_seconds(run, event->at_us), event->id,
            stack_event_name(event->kind));
    if (!print_segment(run->report, event, base))
        for (unsigned i = 0; i < 4; i++)
            print_argument(run->report, event, i, base);
    fputc('\n', run->report);
}

static void print_events(const struct run *run)
{
    if (!run->stack)
        return;
    uint64_t count = stack_event_count(run->stack);
    uint64_t cursor = count > EVENTS_SHOWN ? count - EVENTS_SHOWN : 0, lost = 0;
    struct stack_event event;
    if (count > 0)
        fprintf(run->report, "  what the stack did last:\n");
    while (stack_next_event(run->stack, &cursor, &event, &lost))
        print_event(run, &event);
}

/* ---- Reports ---- */

static void report_head(struct run *run, struct script_place place)
{
    fprintf(run->report, "%s:%d:%d: ", run->script->name, place.line, place.column);
    run->outcome->place = place;
}

static void report_end(struct run *run, uint64_t at_us)
{
    fprintf(run->report, "  at:     %.6f s\n", run_seconds(run, at_us));
    print_events(run);
}

/* The event that a place is in: a call that ends late is not the one under way. */
static const struct script_event *event_at(const struct run *run, struct script_place place)
{
    const struct script_event *found = run->event;
    for (const struct script_event *event = run->script->events; event; event = event->next)
        if (event->place.line < place.line ||
            (event->place.line == place.line && event->place.column <= place.column))
            found = event;
    return found;
}

static void report_text(struct run *run, struct script_place place, const char *format,
                        va_list arguments)
{
    report_head(run, place);
    vfprintf(run->report, format, arguments);
    fputc('\n', run->report);
    if (!run->event || !run->stack)
        return;
    fprintf(run->report, "  script: %s\n", event_at(run, place)->source);
    report_end(run, run->now_us);
}

void run_fail(struct run *run, struct script_place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (run->differences == 0)
        report_text(run, place, format, arguments);
    va_end(arguments);
    longjmp(run->failed, 1);
}

static bool is_first_difference(struct run *run) { return run->differences++ == 0; }

static void end_unless_overlooked(struct run *run)
{
    if (!run->options->overlook)
        longjmp(run->failed, 1);
}

void run_differs(struct run *run, struct script_place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (is_first_difference(run))
        report_text(run, place, format, arguments);
    va_end(arguments);
    end_unless_overlooked(run);
}

static void print_mark(struct run *run, const struct packet_line *line, enum packet_field field)
{
    bool there = line->to[field] > line->from[field];
    int from = there ? line->from[field] : (int)strlen(line->text);
    int to = there ? line->to[field] : from + 1;
    fprintf(run->report, "          %*s", from, "");
    for (int i = from; i < to; i++)
        fputc('^', run->report);
    fputc('\n', run->report);
}

void run_packet_differs(struct run *run, const struct script_event *event,
                        const struct script_packet *actual, enum packet_field field, uint64_t at_us)
{
    struct packet_line expected, line;
    bool ports = field == FIELD_PORTS || event->packet.source_port >= 0;
    if (is_first_difference(run)) {
        packet_format(&event->packet, ports, &expected);
        packet_format(actual, ports, &line);
        report_head(run, event->place);
        fprintf(run->report, "%s: the packet differs\n", packet_field_name(field));
        fprintf(run->report, "  script: %s\n  actual: %s\n", expected.text, line.text);
        print_mark(run, &line, field);
        report_end(run, at_us);
    }
    end_unless_overlooked(run);
}
