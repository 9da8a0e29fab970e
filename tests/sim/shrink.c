/* Makes a failing plan smaller: takes something away, and keeps what still fails in the same way.

   Each kind of simplification is a function that says how many there are of it in a plan and makes
   the n-th; all are tried over and over until none helps. Because what chance does changes with
   every frame, each candidate gets a few seeds for its link. The same way means: the same sentence,
   whatever the numbers in it. */
#include <ctype.h>
#include <string.h>

#include "sim.h"

enum { SEEDS_TRIED = 4, RUNS_MAX = 20000 };

/* ---- Simplifications: each makes the n-th of its kind and returns false when there is none ---- */

static bool less_connections(struct plan *plan, unsigned n)
{
    if (n >= plan->connections)
        return false;
    plan->connection[n].absent = true;
    return true;
}

static bool less_lines(struct plan *plan, unsigned n)
{
    if (n >= plan->lines)
        return false;
    plan->lines--;
    memmove(plan->line[n], plan->line[n + 1], (plan->lines - n) * sizeof plan->line[0]);
    return true;
}

static bool less_paths(struct plan *plan, unsigned n)
{
    if (n >= plan->paths)
        return false;
    plan->paths--;
    memmove(plan->path + n, plan->path + n + 1, (plan->paths - n) * sizeof *plan->path);
    return true;
}

static bool usual_settings(struct plan *plan, unsigned n)
{
    struct plan usual;
    unsigned setting = n / WORLD_SIDES, side = n % WORLD_SIDES;
    if (setting >= stack_setting_count())
        return false;
    plan_default(&usual);
    stack_setting_set(&plan->world.settings[side], setting,
                      stack_setting_get(&usual.world.settings[side], setting));
    return true;
}

static bool usual_world(struct plan *plan, unsigned n)
{
    switch (n) {
    case 0:
        plan->world.super_frames = false;
        return true;
    case 1:
        plan->world.mtu_bytes = 1500;
        return true;
    case 2:
    case 3:
        plan->world.cable[n - 2].fcs = false;
        return true;
    case 4:
        plan->memory_fails_ppm = 0;
        return true;
    default:
        return false;
    }
}

/* Fewer bytes: none, half of them, a tenth less. */
static bool less_bytes(struct plan *plan, unsigned n)
{
    unsigned how = n % 3, side = n / 3 % WORLD_SIDES, number = n / 3 / WORLD_SIDES;
    if (number >= plan->connections)
        return false;
    struct end_plan *end = &plan->connection[number].end[side];
    end->bytes = how == 0 ? 0 : how == 1 ? end->bytes / 2 : end->bytes - end->bytes / 10;
    end->until_bytes = end->until_bytes < end->bytes ? end->until_bytes : end->bytes;
    return true;
}

static void option_take(struct end_plan *end, unsigned which)
{
    uint32_t *const numbers[] = {&end->receive_buffer, &end->later_receive_buffer,
                                 &end->send_buffer, &end->maximum_segment};
    if (which < 4)
        *numbers[which] = 0;
    switch (which) {
    case 4:
        end->pause_max_us = 0;
        break;
    case 5:
        end->keepalive_us = 0;
        break;
    case 6:
        end->urgent_percent = end->more_percent = 0;
        break;
    case 7:
        end->nodelay = end->cork = end->delays_all_acks = false;
        break;
    case 8:
        end->zero_copy = false;
        break;
    case 9:
        end->write_max = end->read_max = 65536;
        break;
    case 10:
        end->linger_us = end->user_timeout_us = end->defer_accept_us = 0;
        break;
    case 11:
        end->ending = ENDING_SHUTDOWN_THEN_READ;
        break;
    default:
        break;
    }
}

static bool less_options(struct plan *plan, unsigned n)
{
    unsigned which = n % 12, side = n / 12 % WORLD_SIDES, number = n / 12 / WORLD_SIDES;
    if (number >= plan->connections)
        return false;
    option_take(&plan->connection[number].end[side], which);
    return true;
}

static bool less_repetition(struct plan *plan, unsigned n)
{
    if (n >= plan->connections)
        return false;
    plan->connection[n].repeats = 0;
    for (int side = 0; side < WORLD_SIDES; side++)
        plan->connection[n].start_us[side] = 0;
    return true;
}

/* ---- Trying ---- */

/* Do two failures say the same, but for numbers and the side? The time stands before the first
   space. */
static bool is_same_way(const char *a, const char *b)
{
    const char *at[2] = {strchr(a, ':'), strchr(b, ':')};
    if (!at[0] || !at[1])
        return false;
    for (;;) {
        for (int i = 0; i < 2; i++)
            while (isdigit((unsigned char)*at[i]) || *at[i] == 'A' || *at[i] == 'B')
                at[i]++;
        if (*at[0] != *at[1])
            return false;
        if (!*at[0]++)
            return true;
        at[1]++;
    }
}

static bool fails_still(struct plan *candidate, struct run_result *result, unsigned *runs)
{
    uint64_t seed = candidate->world.seed;
    struct run_result again;
    for (int i = 0; i < SEEDS_TRIED; i++) {
        candidate->world.seed = seed + (uint64_t)i;
        run_plan(candidate, NULL, &again);
        ++*runs;
        if (again.failure[0] && is_same_way(again.failure, result->failure)) {
            *result = again;
            return true;
        }
    }
    return false;
}

/* Tries all of one kind. Returns whether any helped. */
static bool shrink_by(bool (*simplify)(struct plan *plan, unsigned n), struct plan *plan,
                      struct run_result *result, unsigned *runs)
{
    static struct plan candidate;
    bool helped = false;
    for (unsigned n = 0; *runs < RUNS_MAX;) {
        candidate = *plan;
        if (!simplify(&candidate, n))
            break;
        bool is_other = memcmp(&candidate, plan, sizeof candidate) != 0;
        if (is_other && fails_still(&candidate, result, runs)) {
            *plan = candidate;
            helped = true; /* and the n-th is another now */
        } else {
            n++;
        }
    }
    return helped;
}

unsigned shrink_plan(struct plan *plan, struct run_result *result)
{
    static bool (*const kinds[])(struct plan *, unsigned) = {
        less_connections, less_lines,     less_paths,  less_bytes,
        less_options,     usual_settings, usual_world, less_repetition};
    unsigned runs = 0;
    bool helped = true;
    while (helped && runs < RUNS_MAX) {
        helped = false;
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            helped |= shrink_by(kinds[i], plan, result, &runs);
    }
    return runs;
}
