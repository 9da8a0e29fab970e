/* Carries out a packet script against one stack, in exact virtual time.

   Time stands still but for the events: before each one the clock moves to the event's time, from
   one deadline of the stack to the next, and what the stack sends on the way is queued with its
   time. An inbound packet is handed to the stack at its time; a call is made at its time; an
   outbound packet is compared with the head of the queue, for which the clock may move on, but not
   beyond the latest time that the event allows.

   A call that has to wait is kept and tried again whenever something has happened; the events behind
   it go on meanwhile, as if it were made by a second thread.

   The remote address is reached by a gateway that the neighbor cache knows beforehand, so scripts
   never see ARP. */
#define _GNU_SOURCE
#include "script_run.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../wire/ethernet.h"
#include "../wire/pcapng.h"
#include "script_state.h"

enum {
    EVENTS_KEPT = 1024,
    ROUNDS_MAX = 100000, /* of a stack that finds work without time going on */
};

static const uint64_t FOREVER_US = 36000000000; /* `*` waits this long in virtual time: 10 h */

static const struct mac_address local_mac = {{2, 0, 0, 0, 0, 2}};
static const struct mac_address remote_mac = {{2, 0, 0, 0, 0, 1}};

/* ---- Frames ---- */

void *run_grow(struct run *run, void *block, size_t size)
{
    static const struct script_place head = {1, 1};
    void *larger = realloc(block, size);
    if (!larger)
        run_fail(run, run->event ? run->event->place : head, "out of memory");
    return larger;
}

static void capture_reserve(struct run *run, size_t size)
{
    size_t wanted = run->capture_size + size;
    if (wanted <= run->capture_capacity)
        return;
    run->capture = run_grow(run, run->capture, wanted * 2);
    run->capture_capacity = wanted * 2;
}

static void capture_start(struct run *run)
{
    capture_reserve(run, 4096);
    run->capture_size = pcapng_write_section(run->capture, run->capture_capacity, "tapstack-lab",
                                             run->script->name);
    run->capture_size +=
        pcapng_write_interface(run->capture + run->capture_size,
                               run->capture_capacity - run->capture_size, "script", 65536);
}

static void capture(struct run *run, const uint8_t *bytes, size_t size, int direction)
{
    capture_reserve(run, size + PCAPNG_BLOCK_OVERHEAD);
    struct pcapng_packet packet = {.at_ns = (run->now_us - run->start_us) * 1000,
                                   .direction = direction,
                                   .data = bytes,
                                   .size = size,
                                   .wire_size = size};
    run->capture_size += pcapng_write_packet(run->capture + run->capture_size,
                                             run->capture_capacity - run->capture_size, &packet);
}

static void queue_sent(struct run *run, const uint8_t *bytes, size_t size)
{
    if (run->sent_head + run->sent_count == run->sent_capacity) {
        size_t capacity = run->sent_capacity ? run->sent_capacity * 2 : 64;
        run->sent = run_grow(run, run->sent, capacity * sizeof *run->sent);
        run->sent_capacity = capacity;
    }
    struct run_sent *sent = &run->sent[run->sent_head + run->sent_count];
    *sent = (struct run_sent){.at_us = run->now_us,
                              .size = size,
                              .bytes = run_grow(run, NULL, size),
                              .trace = trace_outbound(run)};
    memcpy(sent->bytes, bytes, size);
    run->sent_count++;
}

static void drop_sent(struct run *run)
{
    free(run->sent[run->sent_head].bytes);
    run->sent_count--;
    run->sent_head = run->sent_count ? run->sent_head + 1 : 0;
}

static void take_frame(struct run *run, const struct frame *frame)
{
    static _Thread_local uint8_t bytes[FRAME_BYTES_MAX];
    struct frame_splitter splitter;
    size_t size;
    frame_split_start(&splitter, frame);
    while ((size = frame_split_next(&splitter, bytes, sizeof bytes)) > 0) {
        struct ethernet_header header;
        ethernet_parse(bytes, size, &header);
        if (header.type != ETHERTYPE_IPV4)
            continue;
        capture(run, bytes, size, PCAPNG_OUTBOUND);
        queue_sent(run, bytes, size);
    }
}

/* ---- Time ---- */

/* Everything that can happen at this instant. */
static void settle(struct run *run)
{
    struct frame frame;
    for (unsigned rounds = 0;; rounds++) {
        bool moved = false;
        while (stack_output(run->stack, &frame, run->now_us) > 0) {
            take_frame(run, &frame);
            moved = true;
        }
        struct stack_ready ready;
        while (stack_next_ready(run->stack, &ready)) {
            call_wake(run, &ready);
            moved = true;
        }
        call_retry(run);
        if (!moved && stack_deadline(run->stack) > run->now_us)
            return;
        if (rounds == ROUNDS_MAX)
            run_fail(run, run->event->place, "the stack never comes to rest");
    }
}

/* Which connections of the stack the flows are, for reports. */
static void identify_flows(struct run *run)
{
    struct stack_summary summary;
    uint32_t cursor = 0;
    while (stack_next_summary(run->stack, &cursor, &summary, run->now_us))
        for (unsigned i = 0; i < run->flow_count && summary.state != TCP_LISTEN; i++)
            if (run->flow[i].local_port == summary.local.port &&
                run->flow[i].remote_port == summary.remote.port)
                run->flow[i].id = summary.id;
}

static uint64_t next_deadline(const struct run *run)
{
    uint64_t stack = stack_deadline(run->stack), call = call_deadline(run);
    return stack < call ? stack : call;
}

/* Moves the clock on to the next deadline, but not beyond `to`. Returns whether it is there. */
static bool step(struct run *run, uint64_t to)
{
    settle(run);
    uint64_t next = next_deadline(run);
    run->now_us = next < to ? next : to;
    settle(run);
    call_check_end(run);
    return run->now_us >= to;
}

static void advance(struct run *run, uint64_t to)
{
    settle(run);
    while (run->now_us < to && !step(run, to))
        ;
}

/* ---- Events ---- */

static uint64_t event_time(const struct run *run, int64_t at_us, enum script_time_kind kind)
{
    return run->start_us + (uint64_t)(kind == SCRIPT_AFTER ? run->base_us + at_us : at_us);
}

static void set_base(struct run *run, uint64_t at_us)
{
    run->base_us = (int64_t)(at_us - run->start_us);
}

static void serve_inbound(struct run *run, const struct script_event *event)
{
    static _Thread_local uint8_t bytes[FRAME_BYTES_MAX];
    size_t size = packet_build(run, &event->packet, bytes);
    struct frame frame = {.piece_count = 1, .piece = {{bytes, size}}};
    trace_inbound(run, &event->packet);
    capture(run, bytes, size, PCAPNG_INBOUND);
    stack_input(run->stack, &frame, run->now_us);
    settle(run);
}

/* The earliest and the latest time that an outbound packet may have. */
static void packet_times(const struct run *run, const struct script_event *event, uint64_t *first,
                         uint64_t *last)
{
    const struct script_time *time = &event->time;
    if (time->kind == SCRIPT_ANYTIME) {
        *first = 0;
        *last = run->now_us + FOREVER_US;
        return;
    }
    uint64_t from = event_time(run, time->at_us, time->kind);
    uint64_t to = time->until_us < 0 ? from : event_time(run, time->until_us, time->kind);
    *first = from > run->tolerance_us ? from - run->tolerance_us : 0;
    *last = to + run->tolerance_us;
}

/* The head of the queue, for which the clock may move on. NULL: none until `last`. */
static const struct run_sent *await_sent(struct run *run, uint64_t last)
{
    settle(run);
    while (run->sent_count == 0)
        if (run->now_us >= last || (step(run, last) && run->sent_count == 0))
            return NULL;
    return &run->sent[run->sent_head];
}

/* The head of the queue in the script's numbers; it is not taken away. */
static void read_head(struct run *run, const struct script_packet *expected,
                      struct script_packet *packet)
{
    const struct run_sent *sent = &run->sent[run->sent_head];
    packet_read(run, sent, expected, packet);
    trace_outbound_known(run, sent->trace, packet);
}

/* Takes the packet at the head; where the script has one for several segments, all of these. */
static void take_packet(struct run *run, const struct script_event *event,
                        struct script_packet *actual)
{
    read_head(run, &event->packet, actual);
    drop_sent(run);
    while (run->sent_count > 0 && actual->payload_bytes < event->packet.payload_bytes) {
        struct script_packet next;
        read_head(run, &event->packet, &next);
        if (!packet_join(actual, &next))
            break;
        drop_sent(run);
    }
}

/* Returns when it came, or UINT64_MAX: it did not, which is overlooked. */
static uint64_t expect_packet(struct run *run, const struct script_event *event,
                              struct script_packet *actual)
{
    uint64_t first, last;
    packet_times(run, event, &first, &last);
    const struct run_sent *sent = await_sent(run, last);
    if (!sent) {
        run_differs(run, event->place, "no packet came, where one was expected until %.6f s",
                    run_seconds(run, last));
        return UINT64_MAX;
    }
    uint64_t at_us = sent->at_us;
    take_packet(run, event, actual);
    enum packet_field field = packet_compare(run, &event->packet, actual);
    if (field != FIELD_NONE)
        run_packet_differs(run, event, actual, field, at_us);
    if (at_us < first || at_us > last)
        run_differs(run, event->place, "the packet came at %.6f s, not at %.6f s",
                    run_seconds(run, at_us),
                    run_seconds(run, event_time(run, event->time.at_us, event->time.kind)));
    return at_us;
}

static void serve_outbound(struct run *run, const struct script_event *event)
{
    struct script_packet actual;
    uint64_t at_us = expect_packet(run, event, &actual);
    bool exact = event->time.kind != SCRIPT_ANYTIME && event->time.until_us < 0;
    if (at_us == UINT64_MAX)
        at_us = run->now_us;
    else if (actual.kind != SCRIPT_ICMP && (!run->current || event->packet.source_port >= 0))
        run->current =
            flow_find(run, (uint16_t)actual.source_port, (uint16_t)actual.destination_port);
    set_base(run, exact ? event_time(run, event->time.at_us, event->time.kind) : at_us);
}

static void serve_call(struct run *run, const struct script_event *event)
{
    const struct script_time *time = &event->time;
    trace_event(run, event);
    call_begin(run, event,
               time->ends_us < 0 ? UINT64_MAX : event_time(run, time->ends_us, time->kind));
    settle(run);
}

static void serve_event(struct run *run, const struct script_event *event)
{
    run->event = event;
    identify_flows(run);
    if (event->kind == SCRIPT_PACKET && !event->packet.inbound) {
        serve_outbound(run, event);
        return;
    }
    uint64_t at_us = run->now_us;
    if (event->time.kind != SCRIPT_ANYTIME)
        at_us = event_time(run, event->time.at_us, event->time.kind);
    if (at_us + run->tolerance_us < run->now_us)
        run_fail(run, event->place, "it is %.6f s already", run_seconds(run, run->now_us));
    if (at_us > run->now_us)
        advance(run, at_us);
    if (event->kind == SCRIPT_PACKET) {
        serve_inbound(run, event);
    } else if (event->kind == SCRIPT_CALL) {
        serve_call(run, event);
    } else {
        trace_event(run, event);
        (event->kind == SCRIPT_CODE ? code_run : run_command)(run, event);
    }
    set_base(run, at_us);
}

/* Packets that nobody asked for, which packetdrill overlooks. */
static void finish_sent(struct run *run)
{
    while (run->sent_count > 0) {
        struct script_packet packet;
        struct packet_line line;
        uint64_t at_us = run->sent[run->sent_head].at_us;
        read_head(run, NULL, &packet);
        drop_sent(run);
        packet_format(&packet, run->flow_count > 1, &line);
        if (run->options->strict)
            run_differs(run, run->event->place,
                        "no event asks for what the stack sent at %.6f s: %s",
                        run_seconds(run, at_us), line.text);
    }
}

/* Behind the last event calls may still be under way. */
static void finish(struct run *run)
{
    while (call_deadline(run) != UINT64_MAX)
        step(run, call_deadline(run));
    call_check_end(run);
    finish_sent(run);
}

/* ---- The stack ---- */

static void *allocate(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void release(void *context, void *block, size_t size)
{
    (void)context;
    (void)size;
    free(block);
}

static void open_stack(struct run *run)
{
    struct stack_config config = {.memory = {allocate, release, NULL},
                                  .settings = run->settings,
                                  .event_capacity = EVENTS_KEPT};
    struct stack_interface_config interface = {.name = "script",
                                               .mac = local_mac,
                                               .mtu_bytes = run->mtu_bytes,
                                               .segment_max_bytes = 65535,
                                               .address_v4 = run->local_v4,
                                               .prefix_bits = run->prefix_bits};
    struct script_place head = {1, 1};
    uint32_t mask = UINT32_MAX << (32 - run->prefix_bits);
    memcpy(config.seed, &run->seed, sizeof run->seed);
    run->stack = stack_create(&config, run->now_us);
    if (!run->stack || stack_add_interface(run->stack, &interface, run->now_us) != 0)
        run_fail(run, head, "these addresses or this MTU cannot be");
    uint32_t next_hop = run->remote_v4;
    if ((run->remote_v4 ^ run->local_v4) & mask) {
        next_hop = run->gateway_v4 ? run->gateway_v4 : (run->local_v4 & mask) | (~mask - 1);
        if (stack_add_route(run->stack, 0, 0, next_hop, 0) < 0)
            run_fail(run, head, "the gateway is not on the stack's network");
    }
    stack_set_neighbor(run->stack, next_hop, &remote_mac, run->now_us);
}

static void run_all(struct run *run)
{
    run_setup(run);
    run->now_us = run->start_us;
    const struct script_event *event = run->script->events;
    for (; event && event->kind == SCRIPT_COMMAND; event = event->next) {
        trace_event(run, event);
        run_command(run, event);
    }
    capture_start(run);
    open_stack(run);
    for (; event; event = event->next)
        serve_event(run, event);
    finish(run);
}

void script_run(const struct script *script, const struct script_options *options,
                struct script_outcome *outcome)
{
    *outcome = (struct script_outcome){0};
    size_t report_size, trace_size;
    struct run *run = calloc(1, sizeof *run);
    if (!run)
        return;
    run->script = script;
    run->options = options;
    run->outcome = outcome;
    run->report = open_memstream(&outcome->report, &report_size);
    if (setjmp(run->failed) == 0) {
        run_all(run);
        outcome->passed = run->differences == 0;
    }
    outcome->duration_us = run->now_us - run->start_us;
    outcome->capture = run->capture;
    outcome->capture_size = run->capture_size;
    fclose(run->report);
    FILE *trace = open_memstream(&outcome->trace, &trace_size);
    trace_write(run, trace);
    fclose(trace);
    trace_release(run);
    while (run->sent_count > 0)
        drop_sent(run);
    free(run->sent);
    stack_destroy(run->stack);
    free(run);
}

void script_outcome_release(struct script_outcome *outcome)
{
    free(outcome->report);
    free(outcome->trace);
    free(outcome->capture);
    *outcome = (struct script_outcome){0};
}
