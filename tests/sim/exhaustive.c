/* Every frame of open, transfer both ways and close meets every accident once; then every pair of
   frames of a shorter exchange. Numbers are tried until a run ends before it meets its number. */
#include "sim.h"

enum { FRAMES_MAX = 1000, BITS_TRIED = 3 };

enum shape {
    SHAPE_PLAIN,
    SHAPE_OPTIONS_OFF,
    SHAPE_SUPER_FRAMES,
    SHAPE_BOTH_OPEN,
    SHAPE_BOTH_CLOSE,
    SHAPE_SMALL_BUFFERS, /* windows close, and must be told to have opened */
    SHAPES
};

static const char *const shape_names[] = {"plain",     "options-off", "super-frames",
                                          "both-open", "both-close",  "small-buffers"};
static const char *const accident_names[] = {"", "drop", "duplicate", "delay", "corrupt"};

static void shape_settings(struct stack_settings *settings, enum shape shape)
{
    bool options = shape != SHAPE_OPTIONS_OFF;
    settings->tcp_timestamps = settings->tcp_sack = settings->tcp_window_scaling = options;
    if (shape == SHAPE_SMALL_BUFFERS) {
        settings->tcp_receive_buffer = settings->tcp_send_buffer = 2048;
        settings->tcp_quick_ack_segments = 0;
    }
}

/* Some bytes each way and an orderly end from both sides. */
static void shape_plan(struct plan *plan, enum shape shape, uint32_t bytes)
{
    plan_default(plan);
    plan->connections = 1;
    plan->world.super_frames = shape == SHAPE_SUPER_FRAMES;
    for (int side = 0; side < WORLD_SIDES; side++) {
        shape_settings(&plan->world.settings[side], shape);
        plan->connection[0].start_us[side] = SIM_S;
        plan->connection[0].end[side] =
            (struct end_plan){.ending = shape == SHAPE_BOTH_CLOSE ? ENDING_CLOSE_WHEN_DONE
                                                                  : ENDING_SHUTDOWN_THEN_READ,
                              .bytes = bytes,
                              .write_max = 4000,
                              .read_max = 4000,
                              .pause_max_us = shape == SHAPE_SMALL_BUFFERS ? 100 * SIM_MS : 0};
    }
    plan->connection[0].opens[WORLD_A] = true;
    plan->connection[0].opens[WORLD_B] = shape == SHAPE_BOTH_OPEN;
    snprintf(plan->line[plan->lines++], sizeof plan->line[0], "both delay 10ms");
}

/* Returns whether the run has met the number of its last accident. */
static bool run_one(struct tally *tally, struct plan *plan, enum shape shape)
{
    struct run_result result;
    char name[128];
    int size = snprintf(name, sizeof name, "%s", shape_names[shape]);
    for (int i = 0; i < SIM_ACCIDENTS_MAX && plan->accident[i].what; i++)
        size +=
            snprintf(name + size, sizeof name - (size_t)size, "-%s-%lld",
                     accident_names[plan->accident[i].what], (long long)plan->accident[i].frame);
    tally_run(tally, plan, name, &result);
    return result.touched;
}

static void fail_endless(struct tally *tally, enum shape shape)
{
    tally->failed++;
    printf("FAIL %s: a short exchange takes %d frames\n", shape_names[shape], FRAMES_MAX);
}

static void run_singles(struct tally *tally, enum shape shape, enum accident what, uint64_t seed)
{
    static struct plan plan;
    for (int64_t number = 0; number < FRAMES_MAX; number++) {
        shape_plan(&plan, shape, 6000);
        plan.world.seed = seed;
        plan.accident[0] = (struct accident_plan){what, number};
        if (!run_one(tally, &plan, shape))
            return;
    }
    fail_endless(tally, shape);
}

/* The second accident meets a later frame. Returns whether the first one was met. */
static bool run_pairs_of(struct tally *tally, enum shape shape, enum accident first, int64_t number,
                         enum accident second)
{
    static struct plan plan;
    shape_plan(&plan, shape, 600);
    plan.accident[0] = (struct accident_plan){first, number};
    if (!run_one(tally, &plan, shape))
        return false;
    for (int64_t later = number + 1; later < FRAMES_MAX; later++) {
        plan.accident[1] = (struct accident_plan){second, later};
        if (!run_one(tally, &plan, shape))
            return true;
    }
    fail_endless(tally, shape);
    return true;
}

static void run_pairs(struct tally *tally, enum shape shape, enum accident first,
                      enum accident second)
{
    int64_t number = 0;
    while (number < FRAMES_MAX && run_pairs_of(tally, shape, first, number, second))
        number++;
}

void exhaustive_run(struct tally *tally)
{
    static const enum accident pairs[][2] = {{ACCIDENT_DROP, ACCIDENT_DROP},
                                             {ACCIDENT_DROP, ACCIDENT_DELAY},
                                             {ACCIDENT_DELAY, ACCIDENT_DROP},
                                             {ACCIDENT_DELAY, ACCIDENT_DELAY},
                                             {ACCIDENT_DUPLICATE, ACCIDENT_DROP}};
    for (int shape = 0; shape < SHAPES; shape++) {
        for (int what = ACCIDENT_DROP; what <= ACCIDENT_DELAY; what++)
            run_singles(tally, (enum shape)shape, (enum accident)what, 1);
        for (uint64_t bit = 0; bit < BITS_TRIED; bit++)
            run_singles(tally, (enum shape)shape, ACCIDENT_CORRUPT, bit);
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
            run_pairs(tally, (enum shape)shape, pairs[i][0], pairs[i][1]);
    }
}
