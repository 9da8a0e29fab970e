/* Runs simulations by seed, and the exhaustive ones: every frame of a short exchange lost once, and
   every frame repeated once.

       sim                        seeds 1 to 1000 and the exhaustive runs
       sim --seeds FIRST COUNT    these seeds only
       sim --seed N [--verbose]   one; verbose: the plan and every frame as a line

   A seed that fails is printed with what broke and run again for a pcapng in the folder $SIM_OUT.
   The last line is `N passed, N failed`. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 1000, TWICE_EVERY = 10, EXHAUSTIVE_MAX = 1000 };

struct tally {
    unsigned passed, failed;
    uint64_t frames;
};

static void keep_capture(const struct plan *plan, const char *name)
{
    const char *folder = getenv("SIM_OUT");
    struct run_result again;
    char path[512];
    if (!folder)
        return;
    snprintf(path, sizeof path, "%s/%s.pcapng", folder, name);
    run_plan(plan, false, path, &again);
    printf("    frames: %s\n", path);
}

static void count(struct tally *tally, const struct plan *plan, const char *name,
                  const struct run_result *result)
{
    tally->frames += result->frames;
    if (!result->failure[0]) {
        tally->passed++;
        return;
    }
    tally->failed++;
    printf("FAIL %s: %s\n", name, result->failure);
    keep_capture(plan, name);
}

static void run_seed(struct tally *tally, uint64_t seed, bool verbose)
{
    static struct plan plan;
    struct run_result result, again;
    char name[64];
    snprintf(name, sizeof name, "seed-%llu", (unsigned long long)seed);
    plan_draw(&plan, seed);
    if (verbose)
        plan_print(&plan);
    run_plan(&plan, verbose, NULL, &result);
    if (seed % TWICE_EVERY == 0 && !result.failure[0]) {
        run_plan(&plan, false, NULL, &again);
        if (again.hash != result.hash || again.frames != result.frames)
            snprintf(result.failure, sizeof result.failure, "two runs differ");
    }
    if (verbose)
        printf("%llu frames in %.6f s\n", (unsigned long long)result.frames,
               (double)result.duration_us / (double)SIM_S);
    count(tally, &plan, name, &result);
}

/* ---- Every frame once ---- */

enum shape { SHAPE_PLAIN, SHAPE_OPTIONS_OFF, SHAPE_SUPER_FRAMES, SHAPE_BOTH_OPEN, SHAPES };

static const char *const shape_names[] = {"plain", "options off", "super-frames", "both open"};

/* A few segments each way and an orderly end from both sides. */
static void shape_plan(struct plan *plan, enum shape shape)
{
    *plan = (struct plan){.seed = 1, .drop = -1, .duplicate = -1, .connections = 1};
    world_config_default(&plan->world);
    plan->world.super_frames = shape == SHAPE_SUPER_FRAMES;
    for (int side = 0; side < WORLD_SIDES; side++) {
        plan->world.cable[side].delay_us = 10 * SIM_MS;
        plan->world.settings[side].tcp_timestamps = shape != SHAPE_OPTIONS_OFF;
        plan->world.settings[side].tcp_sack = shape != SHAPE_OPTIONS_OFF;
        plan->world.settings[side].tcp_window_scaling = shape != SHAPE_OPTIONS_OFF;
        plan->connection[0].end[side] = (struct end_plan){.ending = ENDING_SHUTDOWN_THEN_READ,
                                                          .bytes = 6000,
                                                          .write_max = 4000,
                                                          .read_max = 4000};
    }
    plan->connection[0].opens[WORLD_A] = true;
    plan->connection[0].opens[WORLD_B] = shape == SHAPE_BOTH_OPEN;
    plan->connection[0].start_us[WORLD_A] = plan->connection[0].start_us[WORLD_B] = SIM_S;
}

/* Numbers are tried until a run ends before it meets its number. */
static void run_exhaustive(struct tally *tally, enum shape shape, bool duplicate)
{
    static struct plan plan;
    struct run_result result;
    for (int64_t number = 0; number < EXHAUSTIVE_MAX; number++) {
        char name[64];
        shape_plan(&plan, shape);
        *(duplicate ? &plan.duplicate : &plan.drop) = number;
        snprintf(name, sizeof name, "%s-%s-%lld", shape_names[shape],
                 duplicate ? "duplicate" : "drop", (long long)number);
        run_plan(&plan, false, NULL, &result);
        count(tally, &plan, name, &result);
        if (!result.touched)
            return;
    }
    tally->failed++;
    printf("FAIL %s: an exchange of 12,000 bytes takes %d frames\n", shape_names[shape],
           EXHAUSTIVE_MAX);
}

static void run_all(struct tally *tally)
{
    for (int shape = 0; shape < SHAPES; shape++) {
        run_exhaustive(tally, (enum shape)shape, false);
        run_exhaustive(tally, (enum shape)shape, true);
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_seed(tally, seed, false);
}

int main(int argument_count, char **arguments)
{
    struct tally tally = {0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argument_count == 1) {
        run_all(&tally);
    } else if (argument_count == 4 && strcmp(arguments[1], "--seeds") == 0) {
        uint64_t first = strtoull(arguments[2], NULL, 10);
        for (uint64_t i = 0; i < strtoull(arguments[3], NULL, 10); i++)
            run_seed(&tally, first + i, false);
    } else if (argument_count >= 3 && strcmp(arguments[1], "--seed") == 0) {
        bool verbose = argument_count > 3 && strcmp(arguments[3], "--verbose") == 0;
        run_seed(&tally, strtoull(arguments[2], NULL, 10), verbose);
    } else {
        fprintf(stderr, "usage: sim [--seeds FIRST COUNT | --seed N [--verbose]]\n");
        return 2;
    }
    printf("%llu frames\n", (unsigned long long)tally.frames);
    printf("%u passed, %u failed\n", tally.passed, tally.failed);
    return tally.failed != 0;
}
