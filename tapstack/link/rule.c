/* One rule of a cable: is it for this frame, and what does chance say?

   Lots are hashes of the rule's key, the frame's number and the question (link/lot.h). The models of
   bursts, and correlations, remember one state more; bit errors are drawn as distances, so that
   bits without an error cost nothing. */
#include "rule.h"

#include "distribution.h"
#include "lot.h"

enum {
    LOTS_PER_FRAME = 32,
    STATE_GOOD = 0, /* Gilbert and Elliott; netem's state 1 */
    STATE_BAD = 1,
    STATE_BURST_GOOD = 2, /* netem's state 2 */
    STATE_BURST_LOSS = 3,
    STATE_LONE_LOSS = 4,
};

/* The questions; one with a correlation has two lots. */
enum question {
    ASK_LOSS = 0,
    ASK_MOVE = 2,
    ASK_STATE_LOSS = 3,
    ASK_DUPLICATE = 4,
    ASK_CORRUPT = 6,
    ASK_CORRUPT_BIT = 8,
    ASK_REORDER = 10,
    ASK_DELAY = 12,
    ASK_QUEUE = 14,
};

static uint64_t lot_of(const struct cable_rule *rule, const struct cable_frame *frame,
                       unsigned question)
{
    uint64_t key = frame->copy ? lot_hash(rule->key, UINT64_MAX - frame->copy) : rule->key;
    return lot_hash(key, frame->serial * LOTS_PER_FRAME + question);
}

/* With a correlation of c, a frame meets what the last one met with probability c: the share stays
   the one asked for, and c is the correlation of neighbors. */
static bool happens(const struct cable_rule *rule, const struct cable_frame *frame,
                    const struct impairment_chance *chance, enum rule_last *last, unsigned question)
{
    if (chance->correlation_ppm > 0 && *last != RULE_LAST_UNKNOWN &&
        lot_happens(lot_of(rule, frame, question + 1), chance->correlation_ppm))
        return *last == RULE_LAST_YES;
    bool now = lot_happens(lot_of(rule, frame, question), chance->ppm);
    *last = now ? RULE_LAST_YES : RULE_LAST_NO;
    return now;
}

/* ---- The rule ---- */

static void draw_good_bits(struct cable_rule *rule)
{
    uint64_t lot = lot_hash(~rule->key, rule->errors++);
    rule->good_bits = distribution_gap(rule->impairment.biterror_ppt, lot);
}

void rule_start(struct cable_rule *rule, const struct impairment *impairment, uint32_t place,
                uint64_t seed, uint64_t now_us)
{
    *rule = (struct cable_rule){
        .impairment = *impairment,
        .place = place,
        .key = lot_hash(seed, place),
        .from_us = now_us + impairment->after_us,
        .until_us = UINT64_MAX,
        .left = impairment->count ? impairment->count : UINT64_MAX,
    };
    if (impairment->for_us)
        rule->until_us = rule->from_us + impairment->for_us;
    if (impairment->does & IMPAIRMENT_BITERROR)
        draw_good_bits(rule);
}

bool rule_applies(struct cable_rule *rule, const struct cable_frame *frame)
{
    if (rule->ended || frame->at_us < rule->from_us || frame->at_us >= rule->until_us ||
        !match_frame(&rule->impairment.match, &rule->match, &frame->view))
        return false;
    rule->counters.matched++;
    return true;
}

void rule_acted(struct cable_rule *rule)
{
    if (rule->left != UINT64_MAX && --rule->left == 0)
        rule->ended = true;
}

/* ---- Losses ---- */

/* The frame's fate is that of the state it finds; then the state may change. */
static bool gemodel_loses(struct cable_rule *rule, const struct cable_frame *frame)
{
    const struct impairment_gemodel *model = &rule->impairment.gemodel;
    bool bad = rule->loss_state == STATE_BAD;
    if (lot_happens(lot_of(rule, frame, ASK_MOVE), bad ? model->r_ppm : model->p_ppm))
        rule->loss_state = bad ? STATE_GOOD : STATE_BAD;
    return lot_happens(lot_of(rule, frame, ASK_STATE_LOSS),
                       bad ? model->bad_loss_ppm : model->good_loss_ppm);
}

/* The state moves, and the frame's fate is that of the new one. */
static bool states_lose(struct cable_rule *rule, const struct cable_frame *frame)
{
    const struct impairment_states *states = &rule->impairment.states;
    uint64_t lot = lot_below(lot_of(rule, frame, ASK_MOVE), LOT_MILLION);
    switch (rule->loss_state) {
    case STATE_GOOD:
        rule->loss_state = lot < states->p14_ppm                     ? STATE_LONE_LOSS
                           : lot < states->p14_ppm + states->p13_ppm ? STATE_BURST_LOSS
                                                                     : STATE_GOOD;
        break;
    case STATE_BURST_GOOD:
        rule->loss_state = lot < states->p23_ppm ? STATE_BURST_LOSS : STATE_BURST_GOOD;
        break;
    case STATE_BURST_LOSS:
        rule->loss_state = lot < states->p32_ppm                     ? STATE_BURST_GOOD
                           : lot < states->p32_ppm + states->p31_ppm ? STATE_GOOD
                                                                     : STATE_BURST_LOSS;
        break;
    default:
        rule->loss_state = STATE_GOOD;
        break;
    }
    return rule->loss_state == STATE_BURST_LOSS || rule->loss_state == STATE_LONE_LOSS;
}

bool rule_loses(struct cable_rule *rule, const struct cable_frame *frame)
{
    const struct impairment *impairment = &rule->impairment;
    if (impairment->does & IMPAIRMENT_DROP)
        return true;
    if ((impairment->does & IMPAIRMENT_LOSS) &&
        happens(rule, frame, &impairment->loss, &rule->lost, ASK_LOSS))
        return true;
    if ((impairment->does & IMPAIRMENT_GEMODEL) && gemodel_loses(rule, frame))
        return true;
    return (impairment->does & IMPAIRMENT_STATE) && states_lose(rule, frame);
}

bool rule_duplicates(struct cable_rule *rule, const struct cable_frame *frame)
{
    return (rule->impairment.does & IMPAIRMENT_DUPLICATE) && frame->copy == 0 &&
           happens(rule, frame, &rule->impairment.duplicate, &rule->duplicated, ASK_DUPLICATE);
}

/* ---- Damage ---- */

static void flip(struct cable_frame *frame, uint64_t bit)
{
    frame->bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
}

/* Every bit that passes is counted down to the next bad one. */
static bool make_bit_errors(struct cable_rule *rule, struct cable_frame *frame)
{
    uint64_t bits = (uint64_t)frame->size * 8, at = 0;
    bool any = false;
    while (rule->good_bits < bits - at) {
        at += rule->good_bits;
        flip(frame, at++);
        any = true;
        draw_good_bits(rule);
    }
    rule->good_bits -= bits - at;
    return any;
}

bool rule_damages(struct cable_rule *rule, struct cable_frame *frame)
{
    const struct impairment *impairment = &rule->impairment;
    bool any = false;
    if ((impairment->does & IMPAIRMENT_CORRUPT) &&
        happens(rule, frame, &impairment->corrupt, &rule->corrupted, ASK_CORRUPT)) {
        flip(frame, lot_below(lot_of(rule, frame, ASK_CORRUPT_BIT), (uint64_t)frame->size * 8));
        any = true;
    }
    if (impairment->does & IMPAIRMENT_BITERROR)
        any |= make_bit_errors(rule, frame);
    return any;
}

/* ---- Time ---- */

/* netem's gap: the first gap - 1 frames after a reordered one are not asked. */
static bool reorders(struct cable_rule *rule, const struct cable_frame *frame)
{
    const struct impairment_reorder *reorder = &rule->impairment.reorder;
    if (!(rule->impairment.does & IMPAIRMENT_REORDER))
        return false;
    bool asked = ++rule->in_turn >= reorder->gap;
    if (!asked || !happens(rule, frame, &reorder->chance, &rule->reordered, ASK_REORDER))
        return false;
    rule->in_turn = 0;
    return true;
}

static uint64_t draw_delay(struct cable_rule *rule, const struct cable_frame *frame)
{
    const struct impairment_delay *delay = &rule->impairment.delay;
    if (!(rule->impairment.does & IMPAIRMENT_DELAY))
        return 0;
    if (delay->jitter_us == 0)
        return delay->delay_us;
    bool again = delay->correlation_ppm > 0 && rule->knows_deviation &&
                 lot_happens(lot_of(rule, frame, ASK_DELAY + 1), delay->correlation_ppm);
    if (!again)
        rule->deviation_us = distribution_draw(delay->distribution, delay->jitter_us,
                                               lot_of(rule, frame, ASK_DELAY));
    rule->knows_deviation = true;
    int64_t late_us = (int64_t)delay->delay_us + rule->deviation_us;
    return late_us > 0 ? (uint64_t)late_us : 0;
}

uint64_t rule_lateness(struct cable_rule *rule, const struct cable_frame *frame, bool *reordered)
{
    uint64_t hold_us = rule->impairment.reorder.hold_us;
    *reordered = reorders(rule, frame);
    if (!*reordered)
        return draw_delay(rule, frame);
    if (hold_us > 0)
        return draw_delay(rule, frame) + hold_us;
    return rule->impairment.does & IMPAIRMENT_DELAY ? 0 : IMPAIRMENT_HOLD_US;
}

uint64_t rule_queue_lot(const struct cable_rule *rule, const struct cable_frame *frame)
{
    return lot_of(rule, frame, ASK_QUEUE);
}

bool rule_can_hold(const struct cable_rule *rule, uint32_t size)
{
    struct impairment_amount limit = rule->impairment.limit;
    bool has_queue = rule->impairment.does & IMPAIRMENT_RATE;
    if (limit.in_bytes && !has_queue)
        return rule->held_bytes + size <= limit.count;
    if (limit.in_bytes || limit.count == 0 || (has_queue && limit.count < IMPAIRMENT_LIMIT_FRAMES))
        limit.count = IMPAIRMENT_LIMIT_FRAMES;
    return rule->held_frames < limit.count;
}
