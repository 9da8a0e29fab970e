/* Draws a run from a seed: link, settings, connections. */
#include "sim.h"

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

static void cable_draw(struct cable_settings *cable, bool clean, uint64_t *random)
{
    *cable = (struct cable_settings){0};
    if (random_chance(random, 90))
        cable->delay_us = random_log(random, 10, 100 * SIM_MS);
    if (clean)
        return;
    if (random_chance(random, 50))
        cable->jitter_us = random_below(random, cable->delay_us / 2 + 1);
    if (random_chance(random, 60))
        cable->loss_ppm = (uint32_t)random_log(random, 1000, 100000);
    if (random_chance(random, 40))
        cable->duplicate_ppm = (uint32_t)random_log(random, 1000, 100000);
    if (random_chance(random, 40)) {
        cable->reorder_ppm = (uint32_t)random_log(random, 1000, 200000);
        cable->reorder_us = random_log(random, 10, 10 * SIM_MS);
    }
    if (random_chance(random, 30)) {
        cable->corrupt_ppm = (uint32_t)random_log(random, 1000, 50000);
        cable->fcs = true;
    }
    if (random_chance(random, 30))
        cable->rate_kbps = (uint32_t)random_log(random, 500, 1000000);
    if (random_chance(random, 30))
        cable->queue_frames = (uint32_t)random_log(random, 8, 1000);
}

static void settings_draw(struct stack_settings *settings, uint64_t *random)
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
    /* A link that loses every tenth frame must not end a connection by bad luck. */
    settings->tcp_syn_retries = settings->tcp_synack_retries = 12;
    settings->arp_retries = 12;
}

static void end_draw(struct end_plan *end, uint64_t *random)
{
    *end = (struct end_plan){.nodelay = random_chance(random, 30),
                             .zero_copy = random_chance(random, 30)};
    if (random_chance(random, 90))
        end->bytes = (uint32_t)random_log(random, 1, random_chance(random, 25) ? 300000 : 30000);
    end->until_bytes = (uint32_t)random_below(random, end->bytes + 1);
    /* Not more than some hundred calls, however much there is to send. */
    end->write_max = (uint32_t)random_log(random, end->bytes / 200 + 1, 65536);
    end->read_max = (uint32_t)random_log(random, 1000, 65536);
    if (random_chance(random, 40))
        end->pause_max_us = random_log(random, 10, 200 * SIM_MS);
    if (random_chance(random, 30))
        end->receive_buffer = (uint32_t)random_log(random, 2048, 1 << 18);
    if (random_chance(random, 30))
        end->send_buffer = (uint32_t)random_log(random, 2048, 1 << 18);
}

static void endings_draw(struct connection_plan *plan, uint64_t *random)
{
    for (int side = 0; side < WORLD_SIDES; side++) {
        static const enum ending endings[] = {ENDING_SHUTDOWN_THEN_READ, ENDING_CLOSE_WHEN_DONE,
                                              ENDING_SHUTDOWN_THEN_READ, ENDING_CLOSE_WHEN_DONE,
                                              ENDING_CLOSE_EARLY,        ENDING_ABORT};
        plan->end[side].ending = endings[random_below(random, 6)];
    }
    /* Two ends that wait for each other's end would wait for ever. */
    int side = (int)random_below(random, WORLD_SIDES);
    if (plan->end[1 - side].ending == ENDING_SHUTDOWN_THEN_READ && random_chance(random, 30))
        plan->end[side].ending = ENDING_READ_THEN_SEND;
}

static void connection_draw(struct connection_plan *plan, uint64_t *random)
{
    *plan = (struct connection_plan){0};
    int opener = (int)random_below(random, WORLD_SIDES);
    plan->opens[opener] = true;
    plan->start_us[opener] = random_below(random, 2 * SIM_S);
    if (random_chance(random, 15)) {
        plan->opens[1 - opener] = true;
        plan->start_us[1 - opener] = plan->start_us[opener] + random_log(random, 1, 50 * SIM_MS);
    }
    for (int side = 0; side < WORLD_SIDES; side++)
        end_draw(&plan->end[side], random);
    endings_draw(plan, random);
}

void plan_draw(struct plan *plan, uint64_t seed)
{
    static const uint16_t mtus[] = {1500, 1500, 1500, 576, 1280, 9000, 1001};
    uint64_t random = seed * 0x2545f4914f6cdd1dU;
    *plan = (struct plan){.seed = seed, .drop = -1, .duplicate = -1};
    world_config_default(&plan->world);
    plan->world.seed = random_next(&random);
    plan->world.start_us = random_log(&random, 1000, 1ULL << 43); /* timestamps may wrap */
    plan->world.mtu_bytes = mtus[random_below(&random, sizeof mtus / sizeof mtus[0])];
    plan->world.super_frames = random_chance(&random, 50);
    bool clean = random_chance(&random, 10);
    for (int side = 0; side < WORLD_SIDES; side++) {
        cable_draw(&plan->world.cable[side], clean, &random);
        settings_draw(&plan->world.settings[side], &random);
    }
    plan->connections = (unsigned)random_log(&random, 1, SIM_CONNECTIONS_MAX);
    for (unsigned i = 0; i < plan->connections; i++)
        connection_draw(&plan->connection[i], &random);
}

static bool loses_nothing(enum ending ending)
{
    return ending == ENDING_SHUTDOWN_THEN_READ || ending == ENDING_READ_THEN_SEND ||
           ending == ENDING_CLOSE_WHEN_DONE;
}

/* Who opens from both sides may come too late or too early to meet the other. */
bool plan_is_strict(const struct connection_plan *plan)
{
    return loses_nothing(plan->end[WORLD_A].ending) && loses_nothing(plan->end[WORLD_B].ending) &&
           !(plan->opens[WORLD_A] && plan->opens[WORLD_B]);
}

static void end_print(const struct end_plan *end, char name)
{
    static const char *const endings[] = {"shutdown then read", "read then send", "close when done",
                                          "close early", "abort"};
    printf(
        "    %c: %u bytes, %s (until %u), writes %u, reads %u, pause %llu us, buffers %u %u%s%s\n",
        name, end->bytes, endings[end->ending], end->until_bytes, end->write_max, end->read_max,
        (unsigned long long)end->pause_max_us, end->receive_buffer, end->send_buffer,
        end->nodelay ? ", nodelay" : "", end->zero_copy ? ", zero copy" : "");
}

static void side_print(const struct plan *plan, int side)
{
    const struct cable_settings *cable = &plan->world.cable[side];
    const struct stack_settings *settings = &plan->world.settings[side];
    printf("  from %c: delay %llu us, jitter %llu us, loss %u, duplicate %u, reorder %u, corrupt "
           "%u ppm, "
           "rate %u kbps, queue %u\n",
           "AB"[side], (unsigned long long)cable -> delay_us,
           (unsigned long long)cable -> jitter_us, cable -> loss_ppm, cable -> duplicate_ppm,
           cable -> reorder_ppm, cable -> corrupt_ppm, cable -> rate_kbps, cable -> queue_frames);
    printf("  stack %c: timestamps %d, sack %d, scaling %d by %d, buffers %llu %llu\n", "AB"[side],
           (int)settings -> tcp_timestamps, (int)settings -> tcp_sack,
           (int)settings -> tcp_window_scaling, (int)settings -> tcp_window_scale,
           (unsigned long long)settings -> tcp_receive_buffer,
           (unsigned long long)settings -> tcp_send_buffer);
}

void plan_print(const struct plan *plan)
{
    printf("seed %llu: MTU %u%s\n", (unsigned long long)plan->seed, plan->world.mtu_bytes,
           plan->world.super_frames ? ", super-frames" : "");
    for (int side = 0; side < WORLD_SIDES; side++)
        side_print(plan, side);
    for (unsigned i = 0; i < plan->connections; i++) {
        const struct connection_plan *connection = &plan->connection[i];
        printf("  connection %u: opened by %s%s at %llu, %llu us\n", i,
               connection->opens[WORLD_A] ? "A" : "", connection->opens[WORLD_B] ? "B" : "",
               (unsigned long long)connection->start_us[WORLD_A],
               (unsigned long long)connection->start_us[WORLD_B]);
        for (int side = 0; side < WORLD_SIDES; side++)
            end_print(&connection->end[side], "AB"[side]);
    }
}
