/* Draws a run from a seed: link, settings, connections; and says what a plan is.

   Each number is drawn in a statement of its own: C leaves the order of arguments open, and a seed
   must mean the same plan to every compiler. */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

uint64_t random_below(uint64_t *state, uint64_t limit) { return random_next(state) % limit; }

bool random_chance(uint64_t *state, unsigned percent) { return random_below(state, 100) < percent; }

uint64_t random_log(uint64_t *state, uint64_t least, uint64_t most)
{
    unsigned bits = 0;
    while (bits < 63 && least << (bits + 1) <= most)
        bits++;
    uint64_t low = least << random_below(state, bits + 1);
    uint64_t value = low + random_below(state, low);
    return value < most ? value : most;
}

/* ---- The link ---- */

__attribute__((format(printf, 2, 3))) static void line_add(struct plan *plan, const char *format,
                                                           ...)
{
    va_list arguments;
    if (plan->lines == SIM_LINES_MAX)
        return;
    va_start(arguments, format);
    vsnprintf(plan->line[plan->lines++], sizeof plan->line[0], format, arguments);
    va_end(arguments);
}

/* A share as the text has it: "1.25%". */
static const char *share_draw(uint64_t *random, uint64_t least_ppm, uint64_t most_ppm,
                              char text[16])
{
    unsigned ppm = (unsigned)random_log(random, least_ppm, most_ppm);
    snprintf(text, 16, "%u.%04u%%", ppm / 10000, ppm % 10000);
    return text;
}

/* Losses one by one, or in bursts. */
static void loss_draw(struct plan *plan, const char *way, uint64_t *random)
{
    char p[16], r[16];
    if (random_chance(random, 45)) {
        line_add(plan, "%s loss %s", way, share_draw(random, 1000, 100000, p));
    } else if (random_chance(random, 30)) {
        share_draw(random, 500, 20000, p);
        line_add(plan, "%s gemodel %s %s", way, p, share_draw(random, 500000, 1000000, r));
    }
}

static void order_draw(struct plan *plan, const char *way, uint64_t *random)
{
    char share[16];
    if (random_chance(random, 40))
        line_add(plan, "%s duplicate %s", way, share_draw(random, 1000, 100000, share));
    if (random_chance(random, 40)) {
        unsigned long long hold_us = random_log(random, 10, 10 * SIM_MS);
        line_add(plan, "%s reorder %s reorder-delay %lluus", way,
                 share_draw(random, 1000, 200000, share), hold_us);
    }
    if (random_chance(random, 30))
        line_add(plan, "%s corrupt %s", way, share_draw(random, 1000, 50000, share));
}

static void delay_draw(struct plan *plan, const char *way, uint64_t *random)
{
    static const char *const distributions[] = {"uniform", "uniform", "normal", "pareto"};
    unsigned long long delay_us = random_log(random, 10, 100 * SIM_MS);
    unsigned long long jitter_us = 1 + random_below(random, delay_us / 2 + 1);
    const char *distribution = distributions[random_below(random, 4)];
    if (random_chance(random, 10))
        return;
    if (!plan->is_clean && random_chance(random, 50))
        line_add(plan, "%s delay %lluus %lluus distribution %s", way, delay_us, jitter_us,
                 distribution);
    else
        line_add(plan, "%s delay %lluus", way, delay_us);
}

/* Accidents of the whole link for a while: a step of the delay, a black hole. */
static void while_draw(struct plan *plan, const char *way, uint64_t *random)
{
    unsigned long long after_us = random_below(random, 4 * SIM_S);
    unsigned long long for_us = random_log(random, 100 * SIM_MS, 10 * SIM_S);
    if (random_chance(random, 15))
        line_add(plan, "%s delay %lluus after %lluus for %lluus", way,
                 (unsigned long long)random_log(random, SIM_MS, 2 * SIM_S), after_us, for_us);
    if (random_chance(random, 8))
        line_add(plan, "%s blackhole after %lluus for %lluus", way, after_us, for_us);
}

static void cable_draw(struct plan *plan, int from, uint64_t *random)
{
    const char *way = from == WORLD_A ? "out" : "in";
    delay_draw(plan, way, random);
    if (plan->is_clean)
        return;
    plan->world.cable[from].fcs = random_chance(random, 50);
    loss_draw(plan, way, random);
    order_draw(plan, way, random);
    while_draw(plan, way, random);
    unsigned long long rate_kbit = random_log(random, 500, 1000000);
    unsigned long long limit = random_log(random, 8, 1000);
    if (random_chance(random, 30))
        line_add(plan, "%s rate %llukbit limit %llu", way, rate_kbit, limit);
}

static void paths_draw(struct plan *plan, uint64_t *random)
{
    if (plan->is_clean || !random_chance(random, 20))
        return;
    /* One flipped bit is found by any checksum. Two in one segment may not be, and a segment in
       fragments has as many chances: there, only the FCS is enough. */
    plan->world.cable[WORLD_A].fcs = plan->world.cable[WORLD_B].fcs = true;
    plan->paths = (unsigned)random_log(random, 1, SIM_PATHS_MAX);
    bool has_route = random_chance(random, 80);
    for (unsigned i = 0; i < plan->paths; i++) {
        struct path_plan *path = &plan->path[i];
        path->from = (int)random_below(random, WORLD_SIDES);
        path->mtu_bytes = (uint32_t)random_log(random, 300, plan->world.mtu_bytes);
        path->after_us = random_below(random, 5 * SIM_S);
        path->for_us = random_log(random, 100 * SIM_MS, 100 * SIM_S);
        if (!has_route && i == 0) {
            path->mtu_bytes = 0;
            path->for_us = random_log(random, 100 * SIM_MS, 10 * SIM_S);
        }
    }
}

/* ---- The stacks ---- */

static void settings_draw_more(struct stack_settings *settings, bool is_clean, uint64_t *random)
{
    static const uint64_t ticks_us[] = {1, 100, 10000, 1000000};
    settings->ip_pmtu_discovery = random_chance(random, 80);
    settings->tcp_pmtu_evidence = random_below(random, 4);
    if (random_chance(random, 30))
        settings->tcp_timestamp_tick_us = ticks_us[random_below(random, 4)];
    if (random_chance(random, 30))
        settings->ip_pmtu_expires_us = random_log(random, SIM_S, 60 * SIM_S);
    if (random_chance(random, 10))
        settings->arp_reachable_us = random_log(random, SIM_S, 30 * SIM_S);
    if (random_chance(random, 20))
        settings->arp_queue_max = random_log(random, 1, 64);
    if (is_clean)
        return; /* a patient receiver makes an impatient sender repeat */
    if (random_chance(random, 20))
        settings->tcp_delayed_ack_us = random_log(random, SIM_MS, 499 * SIM_MS);
    if (random_chance(random, 10))
        settings->tcp_memory = random_log(random, 65536, 1 << 20); /* less than all would take */
    if (random_chance(random, 20))
        settings->tcp_duplicate_threshold = random_log(random, 1, 8);
}

static void settings_draw(struct stack_settings *settings, bool is_clean, uint64_t *random)
{
    settings->tcp_timestamps = random_chance(random, 70);
    settings->tcp_sack = random_chance(random, 70);
    settings->tcp_window_scaling = random_chance(random, 70);
    settings->tcp_window_scale = random_below(random, 15);
    settings->tcp_nagle = random_chance(random, 70);
    settings->tcp_delayed_ack = random_chance(random, 80);
    settings->tcp_quick_ack_segments = random_chance(random, 50) ? 16 : random_below(random, 4);
    settings->tcp_receive_buffer = random_log(random, 2048, 1 << 20);
    settings->tcp_send_buffer = random_log(random, 2048, 1 << 20);
    settings->tcp_initial_window = random_log(random, 1, 20);
    settings->tcp_slow_start_after_idle = random_chance(random, 30);
    settings->tcp_out_of_order_ranges = random_log(random, 1, 128);
    settings_draw_more(settings, is_clean, random);
}

/* ---- The connections ---- */

static void end_draw_options(struct end_plan *end, uint64_t *random)
{
    end->nodelay = random_chance(random, 30);
    end->zero_copy = random_chance(random, 30);
    end->cork = random_chance(random, 10);
    end->delays_all_acks = random_chance(random, 10);
    if (random_chance(random, 10))
        end->more_percent = (unsigned)random_below(random, 100);
    if (random_chance(random, 15))
        end->urgent_percent = (unsigned)random_below(random, 50);
    if (random_chance(random, 15))
        end->keepalive_us = random_log(random, SIM_S, 20 * SIM_S);
    if (random_chance(random, 15))
        end->maximum_segment = (uint32_t)random_log(random, 88, 9000);
    if (random_chance(random, 30))
        end->receive_buffer = (uint32_t)random_log(random, 2048, 1 << 18);
    if (random_chance(random, 10))
        end->later_receive_buffer = (uint32_t)random_log(random, 2048, 1 << 18);
    if (random_chance(random, 30))
        end->send_buffer = (uint32_t)random_log(random, 2048, 1 << 18);
}

static void end_draw(struct end_plan *end, uint32_t bytes_max, uint64_t *random)
{
    *end = (struct end_plan){0};
    end_draw_options(end, random);
    if (random_chance(random, 90))
        end->bytes = (uint32_t)random_log(random, 1, bytes_max);
    end->until_bytes = (uint32_t)random_below(random, end->bytes + 1);
    /* Not more than some hundred calls, however much there is to send. */
    end->write_max = (uint32_t)random_log(random, end->bytes / 200 + 1, 65536);
    end->read_max = (uint32_t)random_log(random, 1000, 65536);
    if (random_chance(random, 40))
        end->pause_max_us = random_log(random, 10, 200 * SIM_MS);
    if (random_chance(random, 10))
        end->linger_us = random_log(random, SIM_MS, 100 * SIM_S);
}

static void endings_draw(struct connection_plan *plan, uint64_t *random)
{
    for (int side = 0; side < WORLD_SIDES; side++) {
        static const enum ending endings[] = {ENDING_SHUTDOWN_THEN_READ,
                                              ENDING_CLOSE_WHEN_DONE,
                                              ENDING_SHUTDOWN_THEN_READ,
                                              ENDING_CLOSE_WHEN_DONE,
                                              ENDING_SHUTDOWN_THEN_READ,
                                              ENDING_CLOSE_WHEN_DONE,
                                              ENDING_CLOSE_EARLY,
                                              ENDING_ABORT,
                                              ENDING_DEAF};
        plan->end[side].ending = endings[random_below(random, 9)];
    }
    /* Two ends that wait for each other's end would wait for ever. */
    int side = (int)random_below(random, WORLD_SIDES);
    if (plan->end[1 - side].ending == ENDING_SHUTDOWN_THEN_READ && random_chance(random, 30))
        plan->end[side].ending = ENDING_READ_THEN_SEND;
}

static bool loses_nothing(enum ending ending)
{
    return ending == ENDING_SHUTDOWN_THEN_READ || ending == ENDING_READ_THEN_SEND ||
           ending == ENDING_CLOSE_WHEN_DONE;
}

static bool is_orderly(const struct connection_plan *plan)
{
    return loses_nothing(plan->end[WORLD_A].ending) && loses_nothing(plan->end[WORLD_B].ending);
}

/* FIN-WAIT-2 of a closed socket ends by itself after a minute: who closes later than that meets a
   RST. */
static bool closes_in_time(const struct connection_plan *plan)
{
    const uint64_t most_us = 50 * SIM_S;
    return plan->end[WORLD_A].linger_us < most_us && plan->end[WORLD_B].linger_us < most_us;
}

/* Who opens from both sides may come too late or too early to meet the other. */
bool plan_is_strict(const struct plan *plan, unsigned connection)
{
    const struct connection_plan *it = &plan->connection[connection];
    return is_orderly(it) && closes_in_time(it) && !(it->opens[WORLD_A] && it->opens[WORLD_B]) &&
           !plan->memory_fails_ppm;
}

/* What only some connections bear: without TIME-WAIT, ports must rest between two connections; and
   only who may fail may be impatient. */
static void connection_draw_more(struct connection_plan *plan, uint64_t *random)
{
    bool both_open = plan->opens[WORLD_A] && plan->opens[WORLD_B];
    if (is_orderly(plan) && !both_open && random_chance(random, 15))
        plan->repeats = 1 + (unsigned)random_below(random, 3);
    if (plan->repeats > 0) /* FIN-WAIT-2 ends by itself, and the next connection meets a half */
        plan->end[WORLD_A].linger_us = plan->end[WORLD_B].linger_us = 0;
    for (int side = 0; side < WORLD_SIDES; side++) {
        struct end_plan *end = &plan->end[side];
        if (!is_orderly(plan) && random_chance(random, 15))
            end->user_timeout_us = random_log(random, SIM_S, 60 * SIM_S);
        if (!plan->opens[side] && random_chance(random, 10))
            end->defer_accept_us = random_log(random, SIM_MS, 10 * SIM_S);
    }
}

static void connection_draw(struct connection_plan *plan, bool is_one_of_many, uint64_t *random)
{
    *plan = (struct connection_plan){0};
    int opener = (int)random_below(random, WORLD_SIDES);
    plan->opens[opener] = true;
    plan->start_us[opener] = random_below(random, 2 * SIM_S);
    if (random_chance(random, 15)) {
        plan->opens[1 - opener] = true;
        plan->start_us[1 - opener] = plan->start_us[opener] + random_log(random, 1, 20 * SIM_MS);
    }
    for (int side = 0; side < WORLD_SIDES; side++) {
        uint32_t bytes_max = random_chance(random, 20) ? 300000 : 30000;
        end_draw(&plan->end[side], is_one_of_many ? 10000 : bytes_max, random);
    }
    endings_draw(plan, random);
    connection_draw_more(plan, random);
}

void plan_default(struct plan *plan)
{
    *plan = (struct plan){.seed = 1};
    world_config_default(&plan->world);
    for (int side = 0; side < WORLD_SIDES; side++) {
        struct stack_settings *settings = &plan->world.settings[side];
        /* A link that loses every tenth frame, or all for ten seconds, must not end a connection. */
        settings->tcp_syn_retries = settings->tcp_synack_retries = 25;
        settings->tcp_retries2 = 20;
        settings->arp_retries = 20;
    }
}

void plan_draw(struct plan *plan, uint64_t seed)
{
    static const uint16_t mtus[] = {1500, 1500, 1500, 576, 1280, 9000, 1001};
    uint64_t random = seed;
    plan_default(plan);
    plan->seed = seed;
    plan->world.seed = random_next(&random);
    plan->world.mtu_bytes = mtus[random_below(&random, sizeof mtus / sizeof mtus[0])];
    plan->world.super_frames = random_chance(&random, 50);
    plan->is_clean = random_chance(&random, 10);
    for (int side = 0; side < WORLD_SIDES; side++) {
        cable_draw(plan, side, &random);
        settings_draw(&plan->world.settings[side], plan->is_clean, &random);
    }
    paths_draw(plan, &random);
    bool many = random_chance(&random, 10);
    plan->connections =
        (unsigned)(many ? random_log(&random, 8, SIM_CONNECTIONS_MAX) : random_log(&random, 1, 8));
    for (unsigned i = 0; i < plan->connections; i++)
        connection_draw(&plan->connection[i], many, &random);
    if (!plan->is_clean && random_chance(&random, 4))
        plan->memory_fails_ppm = (uint32_t)random_log(&random, 1000, 100000);
}

/* ---- Printing ---- */

static void option_print(const char *name, uint64_t value, FILE *to)
{
    if (value)
        fprintf(to, ", %s %llu", name, (unsigned long long)value);
}

static void end_print(const struct end_plan *end, char name, FILE *to)
{
    static const char *const endings[] = {"shutdown then read", "read then send", "close when done",
                                          "close early",        "abort",          "deaf"};
    fprintf(to, "    %c: %u bytes, %s", name, end->bytes, endings[end->ending]);
    if (end->ending >= ENDING_CLOSE_EARLY)
        fprintf(to, " after %u", end->until_bytes);
    fprintf(to, ", writes %u, reads %u", end->write_max, end->read_max);
    option_print("pause_us", end->pause_max_us, to);
    option_print("linger_us", end->linger_us, to);
    option_print("receive_buffer", end->receive_buffer, to);
    option_print("later", end->later_receive_buffer, to);
    option_print("send_buffer", end->send_buffer, to);
    option_print("maximum_segment", end->maximum_segment, to);
    option_print("keepalive_us", end->keepalive_us, to);
    option_print("user_timeout_us", end->user_timeout_us, to);
    option_print("defer_accept_us", end->defer_accept_us, to);
    option_print("urgent_percent", end->urgent_percent, to);
    option_print("more_percent", end->more_percent, to);
    fprintf(to, "%s%s%s%s\n", end->nodelay ? ", nodelay" : "", end->cork ? ", cork" : "",
            end->delays_all_acks ? ", delays all ACKs" : "", end->zero_copy ? ", zero copy" : "");
}

/* The settings that are not as every plan has them. */
static void settings_print(const struct plan *plan, int side, FILE *to)
{
    struct plan usual;
    plan_default(&usual);
    fprintf(to, "  stack %c:%s", "AB"[side], plan -> world.cable[side].fcs ? " sends FCS" : "");
    for (unsigned i = 0; i < stack_setting_count(); i++) {
        uint64_t value = stack_setting_get(&plan->world.settings[side], i);
        if (value != stack_setting_get(&usual.world.settings[side], i))
            fprintf(to, " %s=%llu", stack_setting_info(i)->name, (unsigned long long)value);
    }
    fputc('\n', to);
}

static void connection_print(const struct connection_plan *connection, unsigned number, FILE *to)
{
    fprintf(to, "  connection %u:", number);
    if (connection->repeats)
        fprintf(to, " %u times,", 1 + connection->repeats);
    for (int side = 0; side < WORLD_SIDES; side++)
        if (connection->opens[side])
            fprintf(to, " opened by %c at %llu us", "AB"[side],
                    (unsigned long long)connection -> start_us[side]);
    fputc('\n', to);
    for (int side = 0; side < WORLD_SIDES; side++)
        end_print(&connection->end[side], "AB"[side], to);
}

void plan_print(const struct plan *plan, FILE *to)
{
    static const char *const accidents[] = {"", "lost", "repeated", "overtaken", "damaged"};
    fprintf(to, "seed %llu: MTU %u%s%s\n", (unsigned long long)plan->seed, plan->world.mtu_bytes,
            plan->world.super_frames ? ", super-frames" : "",
            plan->is_clean ? ", a link without faults" : "");
    if (plan->memory_fails_ppm)
        fprintf(to, "  %u of a million allocations fail\n", plan->memory_fails_ppm);
    for (unsigned i = 0; i < plan->lines; i++)
        fprintf(to, "  %s\n", plan->line[i]);
    for (unsigned i = 0; i < plan->paths; i++)
        fprintf(to, "  the path from %c carries %u bytes after %llu us for %llu us\n",
                "AB"[plan->path[i].from], plan -> path[i].mtu_bytes,
                (unsigned long long)plan->path[i].after_us,
                (unsigned long long)plan->path[i].for_us);
    for (int i = 0; i < SIM_ACCIDENTS_MAX; i++)
        if (plan->accident[i].what)
            fprintf(to, "  frame %lld is %s\n", (long long)plan->accident[i].frame,
                    accidents[plan->accident[i].what]);
    for (int side = 0; side < WORLD_SIDES; side++)
        settings_print(plan, side, to);
    for (unsigned i = 0; i < plan->connections; i++)
        if (!plan->connection[i].absent)
            connection_print(&plan->connection[i], i, to);
}
