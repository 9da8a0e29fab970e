/* A cable, one direction of it: a frame's way past the rules.

   A frame that is put in meets one rule after the other: the settings' accidents (which are rules
   too, in the first places), then those that were added, by their ids. All that needs no waiting is
   decided at once, a delay included: it moves the frame's own clock, at_us. Only a rule with a rate
   is a place where the frame itself has to wait for its turn, because what happens there depends on
   the frames before it, and with an active queue on those behind it. So a frame is in one of three
   places:

       cable_send -> rules -> arrivals (a heap by time) -> cable_receive
                      |  ^
                      |  +--- sent: goes on behind the rule
                      v  |
                    a rule's bottleneck
                      ^
                      later (a heap by time): frames whose own clock says that they reach a
                      bottleneck in the future, because a rule before it has delayed them

   Before anything else, each call makes up for the time since the last (advance): bottlenecks and
   the heap of later frames are served in the order of their times, so that calls may come as late
   as they like. cable_deadline knows when the next frame can come out at the earliest.

   A frame in a heap counts for the limit of the rule that delayed it last (held_by). A rule that
   has ended stays until it holds no frame. */
#include "cable.h"

#include <assert.h>
#include <string.h>

#include "../wire/fcs.h"
#include "bottleneck.h"
#include "frame_store.h"
#include "lot.h"
#include "mark.h"
#include "rule.h"

/* Places of the settings' rules; those that are added have CABLE_PLACES + id. */
enum place {
    PLACE_MTU,
    PLACE_LOSS,
    PLACE_DUPLICATE,
    PLACE_CORRUPT,
    PLACE_RATE,
    PLACE_DELAY,
    CABLE_PLACES = 8,
};

struct cable {
    struct cable_settings settings;
    struct cable_counters counters;
    struct frame_store store;
    uint64_t seed;
    uint64_t order;  /* of the next frame in a heap */
    uint64_t now_us; /* up to here all is made up for */
    uint64_t unheld; /* frames in the heaps that no rule holds */
    uint64_t bytes;  /* of all frames in the cable */
    uint64_t frames;
    struct frame_heap arrivals, later;
    struct cable_rule *rules; /* by place */
    struct cable_rule plain[CABLE_PLACES];
    unsigned rule_count; /* that were added and have not ended */
    unsigned places;     /* taken by rules that were added, those that hold frames yet included */
    unsigned rates;      /* rules in the list that have a rate */
    unsigned exempts;    /* ... that exempt frames */
    const struct cable_exempt *exempt; /* NULL: no ports */
    enum match_place exempt_place;
    uint64_t expires_at; /* when the first rule's time ends */
    bool sweeps;         /* a rule has ended */
    struct cable_ended ended[CABLE_ENDED_MAX];
    unsigned ended_first, ended_count; /* a ring */
};

static void pass(struct cable *cable, struct cable_frame *frame, struct cable_rule *rule);

/* ---- Frames ---- */

static struct cable_frame *take_frame(struct cable *cable, size_t size)
{
    struct cable_frame *frame = frame_store_take(&cable->store, size);
    if (!frame) {
        cable->counters.overrun++;
        return NULL;
    }
    cable->frames++;
    cable->bytes += size;
    return frame;
}

static void give_frame(struct cable *cable, struct cable_frame *frame)
{
    cable->frames--;
    cable->bytes -= frame->size;
    frame_store_give(&cable->store, frame);
}

static struct cable_frame *new_frame(struct cable *cable, const uint8_t *bytes, size_t size,
                                     uint64_t now_us)
{
    size_t wire_size = size + (cable->settings.fcs ? FCS_BYTES : 0);
    struct cable_frame *frame = take_frame(cable, wire_size);
    if (!frame)
        return NULL;
    frame->held_by = NULL;
    frame->at_us = now_us;
    frame->serial = cable->counters.frames_in;
    frame->copy = 0;
    frame->size = (uint32_t)wire_size;
    frame->has_fcs = cable->settings.fcs;
    frame->damaged = false;
    memcpy(frame->bytes, bytes, size);
    if (frame->has_fcs)
        fcs_append(frame->bytes, size);
    match_look(&frame->view, bytes, size);
    return frame;
}

/* The second copy of a frame that the rule doubles; it meets the rules behind on its own. */
static struct cable_frame *copy_frame(struct cable *cable, const struct cable_rule *rule,
                                      const struct cable_frame *frame)
{
    struct cable_frame *copy = take_frame(cable, frame->size);
    if (!copy)
        return NULL;
    uint32_t capacity = copy->capacity;
    memcpy(copy, frame, sizeof *frame + frame->size);
    copy->capacity = capacity;
    copy->copy = rule->place + 1;
    cable->counters.corrupted += frame->damaged;
    return copy;
}

/* ---- Waiting ---- */

static void hold(struct cable_frame *frame, int64_t sign, uint64_t *unheld)
{
    struct cable_rule *rule = frame->held_by;
    if (!rule) {
        *unheld += (uint64_t)sign;
        return;
    }
    rule->held_frames += (uint64_t)sign;
    rule->held_bytes += (uint64_t)(sign * (int64_t)frame->size);
}

static bool can_hold(const struct cable *cable, const struct cable_frame *frame)
{
    uint32_t limit = cable->settings.queue_frames;
    if (frame->held_by)
        return rule_can_hold(frame->held_by, frame->size);
    return cable->unheld < (limit > 0 ? limit : IMPAIRMENT_LIMIT_FRAMES);
}

static void put(struct cable *cable, struct frame_heap *heap, struct cable_frame *frame)
{
    frame->order = cable->order++;
    if (!can_hold(cable, frame) || !frame_heap_push(heap, frame, &cable->store.memory)) {
        if (frame->held_by)
            frame->held_by->counters.overrun++;
        cable->counters.overrun++;
        give_frame(cable, frame);
        return;
    }
    hold(frame, 1, &cable->unheld);
}

static struct cable_frame *pull(struct cable *cable, struct frame_heap *heap)
{
    struct cable_frame *frame = frame_heap_pop(heap);
    hold(frame, -1, &cable->unheld);
    frame->held_by = NULL;
    return frame;
}

/* ---- A frame at a rule ---- */

static void acted(struct cable *cable, struct cable_rule *rule)
{
    rule_acted(rule);
    cable->sweeps |= rule->ended;
}

static void lose(struct cable *cable, struct cable_rule *rule, struct cable_frame *frame)
{
    rule->counters.lost++;
    acted(cable, rule);
    give_frame(cable, frame);
}

/* A mark instead of a loss, where the rule wants that and the frame can carry it. */
static bool mark(struct cable *cable, struct cable_rule *rule, struct cable_frame *frame)
{
    if (!rule->impairment.ecn || !mark_congestion(frame))
        return false;
    cable->counters.marked++;
    rule->counters.marked++;
    acted(cable, rule);
    return true;
}

static bool is_oversize(const struct cable_rule *rule, const struct cable_frame *frame)
{
    return (rule->impairment.does & IMPAIRMENT_MTU) &&
           frame->view.size > frame->view.ip_offset + rule->impairment.mtu_bytes;
}

/* Returns true when the frame is gone. */
static bool loses(struct cable *cable, struct cable_rule *rule, struct cable_frame *frame)
{
    if (rule->impairment.does & IMPAIRMENT_BLACKHOLE)
        cable->counters.blackholed++;
    else if (is_oversize(rule, frame))
        cable->counters.oversize++;
    else if (rule_loses(rule, frame) && !mark(cable, rule, frame))
        cable->counters.lost++;
    else
        return false;
    lose(cable, rule, frame);
    return true;
}

static void damage(struct cable *cable, struct cable_rule *rule, struct cable_frame *frame)
{
    if (!rule_damages(rule, frame))
        return;
    cable->counters.corrupted += !frame->damaged;
    frame->damaged = true;
    rule->counters.corrupted++;
    acted(cable, rule);
}

static void delay(struct cable *cable, struct cable_rule *rule, struct cable_frame *frame)
{
    bool reordered;
    if (!(rule->impairment.does & (IMPAIRMENT_DELAY | IMPAIRMENT_REORDER)))
        return;
    uint64_t late_us = rule_lateness(rule, frame, &reordered);
    bool queued = rule->impairment.does & IMPAIRMENT_RATE; /* counted already */
    frame->at_us += late_us;
    if (late_us > 0)
        frame->held_by = rule;
    rule->counters.delayed += late_us > 0 && !queued;
    rule->counters.reordered += reordered;
    cable->counters.reordered += reordered;
    if (!queued && (reordered || rule->impairment.does & IMPAIRMENT_DELAY))
        acted(cable, rule);
}

static void queue(struct cable *cable, struct cable_rule *rule, struct cable_frame *frame)
{
    if (frame->at_us > cable->now_us) {
        frame->place = rule->place;
        put(cable, &cable->later, frame);
        return;
    }
    enum bottleneck_verdict verdict =
        bottleneck_put(&rule->bottleneck, &rule->impairment, frame, rule_queue_lot(rule, frame));
    if (verdict == BOTTLENECK_EARLY && mark(cable, rule, frame)) {
        bottleneck_append(&rule->bottleneck, frame);
        verdict = BOTTLENECK_TAKEN;
    }
    if (verdict == BOTTLENECK_TAKEN) {
        rule->counters.delayed++;
        return;
    }
    bool early = verdict == BOTTLENECK_EARLY;
    if (!early)
        rule->counters.overrun++;
    else
        rule->counters.lost++;
    cable->counters.early += early;
    cable->counters.overrun += !early;
    give_frame(cable, frame);
}

/* What the rule does to each copy of a frame. Returns whether the frame goes on at once. */
static bool treat(struct cable *cable, struct cable_rule *rule, struct cable_frame *frame)
{
    damage(cable, rule, frame);
    if (rule->impairment.does & IMPAIRMENT_RATE) {
        queue(cable, rule, frame);
        return false;
    }
    delay(cable, rule, frame);
    return true;
}

/* Returns whether the frame goes on at once; else it has been taken care of. */
static bool meet(struct cable *cable, struct cable_rule *rule, struct cable_frame *frame)
{
    if (loses(cable, rule, frame))
        return false;
    if (!rule_duplicates(rule, frame))
        return treat(cable, rule, frame);
    struct cable_frame *copy = copy_frame(cable, rule, frame);
    if (treat(cable, rule, frame))
        pass(cable, frame, rule->next);
    if (!copy)
        return false;
    cable->counters.duplicated++;
    rule->counters.duplicated++;
    acted(cable, rule);
    if (treat(cable, rule, copy))
        pass(cable, copy, rule->next);
    return false;
}

/* The frame meets this rule and those behind it. Those that exempt have been asked already. */
static void pass(struct cable *cable, struct cable_frame *frame, struct cable_rule *rule)
{
    for (; rule; rule = rule->next)
        if (!(rule->impairment.does & IMPAIRMENT_EXEMPT) && rule_applies(rule, frame) &&
            !meet(cable, rule, frame))
            return;
    put(cable, &cable->arrivals, frame);
}

/* ---- The list of rules ---- */

static struct cable_rule **rule_at(struct cable *cable, uint32_t place)
{
    struct cable_rule **at = &cable->rules;
    while (*at && (*at)->place < place)
        at = &(*at)->next;
    return at;
}

/* Keeps count of what kinds of rules there are. */
static void survey(struct cable *cable)
{
    cable->rates = cable->exempts = cable->rule_count = cable->places = 0;
    cable->expires_at = UINT64_MAX;
    cable->sweeps = false;
    for (const struct cable_rule *rule = cable->rules; rule; rule = rule->next) {
        cable->rates += (rule->impairment.does & IMPAIRMENT_RATE) != 0;
        cable->exempts += (rule->impairment.does & IMPAIRMENT_EXEMPT) != 0;
        cable->rule_count += rule->place >= CABLE_PLACES && !rule->ended;
        cable->places += rule->place >= CABLE_PLACES;
        cable->sweeps |= rule->ended;
        if (!rule->ended && rule->until_us < cable->expires_at)
            cable->expires_at = rule->until_us;
    }
}

static void link_rule(struct cable *cable, struct cable_rule *rule)
{
    struct cable_rule **at = rule_at(cable, rule->place);
    rule->next = *at;
    rule->linked = true;
    *at = rule;
    survey(cable);
}

static bool is_plain(const struct cable_rule *rule) { return rule->place < CABLE_PLACES; }

static void note_end(struct cable *cable, const struct cable_rule *rule)
{
    unsigned at = (cable->ended_first + cable->ended_count) % CABLE_ENDED_MAX;
    cable->ended[at] = (struct cable_ended){rule->place - CABLE_PLACES, rule->counters};
    if (cable->ended_count < CABLE_ENDED_MAX)
        cable->ended_count++;
    else
        cable->ended_first = (cable->ended_first + 1) % CABLE_ENDED_MAX;
}

/* Takes out rules that have ended and hold nothing. */
static void sweep(struct cable *cable)
{
    struct cable_rule **at = &cable->rules;
    while (*at) {
        struct cable_rule *rule = *at;
        if (!rule->ended || rule->held_frames > 0 || rule->bottleneck.head) {
            at = &rule->next;
            continue;
        }
        *at = rule->next;
        rule->linked = false;
        if (is_plain(rule))
            continue;
        note_end(cable, rule);
        memory_release(&cable->store.memory, rule, sizeof *rule);
    }
    survey(cable);
}

static void expire(struct cable *cable, uint64_t now_us)
{
    for (struct cable_rule *rule = cable->rules; rule; rule = rule->next)
        rule->ended |= rule->until_us <= now_us;
    survey(cable);
}

/* ---- Time ---- */

/* The rule whose bottleneck sends next, and when. */
static struct cable_rule *next_sender(const struct cable *cable, uint64_t *start_us)
{
    struct cable_rule *next = NULL;
    *start_us = UINT64_MAX;
    if (cable->rates == 0)
        return NULL;
    for (struct cable_rule *rule = cable->rules; rule; rule = rule->next) {
        uint64_t rule_us = bottleneck_start(&rule->bottleneck, &rule->impairment, rule->from_us);
        if (rule_us < *start_us) {
            *start_us = rule_us;
            next = rule;
        }
    }
    return next;
}

/* The next frame of a rule's queue begins to be sent: its way behind the rule is decided now. */
static void send_next(struct cable *cable, struct cable_rule *rule, uint64_t start_us)
{
    enum bottleneck_verdict verdict;
    struct cable_frame *frame =
        bottleneck_take(&rule->bottleneck, &rule->impairment, start_us, &verdict);
    if (verdict == BOTTLENECK_EARLY && !mark(cable, rule, frame)) {
        cable->counters.early++;
        lose(cable, rule, frame);
        return;
    }
    bottleneck_send(&rule->bottleneck, &rule->impairment, start_us, rule->from_us, frame);
    acted(cable, rule);
    frame->held_by = rule;
    delay(cable, rule, frame);
    pass(cable, frame, rule->next);
}

/* A delayed frame has reached the bottleneck that it was on its way to; where that is gone, the
   next rule. */
static void reach(struct cable *cable)
{
    struct cable_frame *frame = pull(cable, &cable->later);
    struct cable_rule *rule = *rule_at(cable, frame->place);
    if (rule && rule->place == frame->place && !rule->ended)
        queue(cable, rule, frame);
    else
        pass(cable, frame, rule);
}

/* Makes up for the time that has passed. */
static void advance(struct cable *cable, uint64_t now_us)
{
    for (;;) {
        uint64_t start_us, due_us = frame_heap_due(&cable->later);
        struct cable_rule *sender = next_sender(cable, &start_us);
        uint64_t next_us = start_us <= due_us ? start_us : due_us;
        if (next_us == UINT64_MAX || next_us > now_us)
            break;
        if (next_us > cable->now_us)
            cable->now_us = next_us;
        if (start_us <= due_us)
            send_next(cable, sender, start_us);
        else
            reach(cable);
    }
    if (now_us > cable->now_us)
        cable->now_us = now_us;
    if (now_us >= cable->expires_at)
        expire(cable, now_us);
    if (cable->sweeps)
        sweep(cable);
}

uint64_t cable_deadline(const struct cable *cable)
{
    uint64_t deadline = frame_heap_due(&cable->arrivals);
    if (frame_heap_due(&cable->later) < deadline)
        deadline = frame_heap_due(&cable->later);
    if (cable->expires_at < deadline)
        deadline = cable->expires_at;
    if (cable->rates == 0)
        return deadline;
    for (const struct cable_rule *rule = cable->rules; rule; rule = rule->next) {
        uint64_t sent_us = bottleneck_finish(&rule->bottleneck, &rule->impairment, rule->from_us);
        if (sent_us < deadline)
            deadline = sent_us;
    }
    return deadline;
}

/* ---- In and out ---- */

static bool has_exempt_port(const struct cable *cable, const struct match_view *view)
{
    const struct cable_exempt *exempt = cable->exempt;
    uint16_t port =
        cable->exempt_place == MATCH_SOURCE ? view->source_port : view->destination_port;
    for (unsigned i = 0; exempt && view->is_tcp && i < exempt->count; i++)
        if (exempt->port[i] == port)
            return true;
    return false;
}

/* Is the frame one that passes all rules by? */
static bool is_exempt(struct cable *cable, const struct cable_frame *frame)
{
    if (has_exempt_port(cable, &frame->view))
        return true;
    if (cable->exempts == 0)
        return false;
    for (struct cable_rule *rule = cable->rules; rule; rule = rule->next) {
        if ((rule->impairment.does & IMPAIRMENT_EXEMPT) && rule_applies(rule, frame)) {
            acted(cable, rule);
            return true;
        }
    }
    return false;
}

int cable_send(struct cable *cable, const uint8_t *bytes, size_t size, uint64_t now_us)
{
    assert(size > 0);
    advance(cable, now_us);
    cable->counters.frames_in++;
    uint64_t before = cable->frames;
    struct cable_frame *frame = new_frame(cable, bytes, size, now_us);
    if (!frame)
        return -1;
    pass(cable, frame, is_exempt(cable, frame) ? NULL : cable->rules);
    int result = cable->frames > before ? 0 : -1;
    if (cable->rates > 0 || cable->sweeps)
        advance(cable, now_us);
    return result;
}

size_t cable_receive(struct cable *cable, uint8_t *bytes, size_t capacity, uint64_t now_us)
{
    advance(cable, now_us);
    if (frame_heap_due(&cable->arrivals) > now_us || cable->arrivals.count == 0)
        return 0;
    struct cable_frame *frame = pull(cable, &cable->arrivals);
    size_t size = frame->size;
    assert(size <= capacity);
    memcpy(bytes, frame->bytes, size);
    give_frame(cable, frame);
    cable->counters.frames_out++;
    return size;
}

/* ---- Settings ---- */

static void set_plain(struct cable *cable, enum place place, const struct impairment *impairment)
{
    struct cable_rule *rule = &cable->plain[place];
    if (impairment->does == 0) {
        rule->ended = true;
    } else if (rule->linked) {
        rule->impairment = *impairment;
        rule->ended = false;
    } else {
        rule_start(rule, impairment, place, cable->seed, 0);
        link_rule(cable, rule);
    }
}

static void set_accidents(struct cable *cable, const struct cable_settings *settings)
{
    struct impairment mtu = {.does = settings->mtu_bytes ? IMPAIRMENT_MTU : 0,
                             .mtu_bytes = settings->mtu_bytes};
    struct impairment loss = {.does = settings->loss_ppm ? IMPAIRMENT_LOSS : 0,
                              .loss.ppm = settings->loss_ppm};
    struct impairment duplicate = {.does = settings->duplicate_ppm ? IMPAIRMENT_DUPLICATE : 0,
                                   .duplicate.ppm = settings->duplicate_ppm};
    struct impairment corrupt = {.does = settings->corrupt_ppm ? IMPAIRMENT_CORRUPT : 0,
                                 .corrupt.ppm = settings->corrupt_ppm};
    set_plain(cable, PLACE_MTU, &mtu);
    set_plain(cable, PLACE_LOSS, &loss);
    set_plain(cable, PLACE_DUPLICATE, &duplicate);
    set_plain(cable, PLACE_CORRUPT, &corrupt);
}

static void set_times(struct cable *cable, const struct cable_settings *settings)
{
    struct impairment rate = {
        .does = settings->rate_kbps ? IMPAIRMENT_RATE : 0,
        .rate.bits_per_second = (uint64_t)settings->rate_kbps * 1000,
        .limit.count = settings->queue_frames,
    };
    struct impairment delay = {
        .delay = {.delay_us = settings->delay_us, .jitter_us = settings->jitter_us},
        .reorder = {.chance.ppm = settings->reorder_ppm},
        .limit.count = settings->queue_frames,
    };
    if (settings->delay_us > 0 || settings->jitter_us > 0)
        delay.does |= IMPAIRMENT_DELAY;
    else
        delay.reorder.hold_us = settings->reorder_us;
    if (settings->reorder_ppm > 0)
        delay.does |= IMPAIRMENT_REORDER;
    set_plain(cable, PLACE_RATE, &rate);
    set_plain(cable, PLACE_DELAY, &delay);
}

void cable_configure(struct cable *cable, const struct cable_settings *settings)
{
    cable->settings = *settings;
    set_accidents(cable, settings);
    set_times(cable, settings);
    survey(cable);
}

struct cable *cable_create(const struct cable_settings *settings, uint64_t seed,
                           const struct memory *memory)
{
    struct cable *cable = memory_allocate(memory, sizeof *cable);
    if (!cable)
        return NULL;
    *cable = (struct cable){.store.memory = *memory, .seed = lot_hash(seed, 1)};
    cable_configure(cable, settings);
    return cable;
}

void cable_destroy(struct cable *cable)
{
    if (!cable)
        return;
    const struct memory memory = cable->store.memory;
    while (cable->rules) {
        struct cable_rule *rule = cable->rules;
        cable->rules = rule->next;
        while (rule->bottleneck.head) {
            struct cable_frame *frame = rule->bottleneck.head;
            rule->bottleneck.head = frame->next;
            frame_store_give(&cable->store, frame);
        }
        if (!is_plain(rule))
            memory_release(&memory, rule, sizeof *rule);
    }
    frame_heap_close(&cable->arrivals, &cable->store);
    frame_heap_close(&cable->later, &cable->store);
    frame_store_close(&cable->store);
    memory_release(&memory, cable, sizeof *cable);
}

/* ---- Rules ---- */

int cable_add_rule(struct cable *cable, uint32_t id, const struct impairment *impairment,
                   uint64_t now_us)
{
    assert(id > 0 && id <= UINT32_MAX - CABLE_PLACES - 1);
    if (!cable_has_place(cable))
        return -1;
    struct cable_rule *rule = memory_allocate(&cable->store.memory, sizeof *rule);
    if (!rule)
        return -1;
    rule_start(rule, impairment, id + CABLE_PLACES, cable->seed, now_us);
    link_rule(cable, rule);
    return 0;
}

int cable_remove_rule(struct cable *cable, uint32_t id)
{
    struct cable_rule *rule = *rule_at(cable, id + CABLE_PLACES);
    if (!rule || rule->place != id + CABLE_PLACES || rule->ended)
        return -1;
    rule->ended = true;
    sweep(cable);
    return 0;
}

bool cable_has_place(const struct cable *cable)
{
    return cable->rule_count < CABLE_RULES_MAX && cable->places < 2 * CABLE_RULES_MAX;
}

unsigned cable_rule_count(const struct cable *cable) { return cable->rule_count; }

bool cable_next_rule(const struct cable *cable, uint32_t *cursor, struct cable_rule_info *info,
                     uint64_t now_us)
{
    const struct cable_rule *rule = cable->rules;
    while (rule && (rule->place < CABLE_PLACES + *cursor + 1 || rule->ended))
        rule = rule->next;
    if (!rule)
        return false;
    *cursor = rule->place - CABLE_PLACES;
    *info = (struct cable_rule_info){
        .id = *cursor,
        .impairment = &rule->impairment,
        .counters = &rule->counters,
        .starts_in_us = rule->from_us > now_us ? rule->from_us - now_us : 0,
        .ends_in_us = rule->until_us,
        .waiting_frames = rule->bottleneck.frames,
        .waiting_bytes = rule->bottleneck.bytes,
    };
    if (rule->until_us != UINT64_MAX)
        info->ends_in_us = rule->until_us > now_us ? rule->until_us - now_us : 0;
    return true;
}

bool cable_next_ended(struct cable *cable, struct cable_ended *ended)
{
    if (cable->ended_count == 0)
        return false;
    *ended = cable->ended[cable->ended_first];
    cable->ended_first = (cable->ended_first + 1) % CABLE_ENDED_MAX;
    cable->ended_count--;
    return true;
}

void cable_set_exempt(struct cable *cable, const struct cable_exempt *exempt,
                      enum match_place place)
{
    cable->exempt = exempt;
    cable->exempt_place = place;
}

void cable_load(const struct cable *cable, struct cable_load *load)
{
    *load = (struct cable_load){.frames = cable->frames, .bytes = cable->bytes};
    for (const struct cable_rule *rule = cable->rules; rule; rule = rule->next) {
        load->waiting_frames += rule->bottleneck.frames;
        load->waiting_bytes += rule->bottleneck.bytes;
    }
}

const struct cable_counters *cable_counters(const struct cable *cable) { return &cable->counters; }
