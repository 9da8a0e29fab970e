/* The world of the lab: time that jumps, frames that arrive, runs that repeat. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../tapstack/lab/world.h"
#include "../../tapstack/wire/ipv4.h"

static const uint64_t SECOND_US = 1000000;

struct exchange {
    struct world *world;
    int client, listener, server;
    size_t received;
};

/* A connects to B's port 80. */
static void exchange_open(struct exchange *exchange)
{
    struct stack *a = world_stack(exchange->world, WORLD_A);
    struct stack *b = world_stack(exchange->world, WORLD_B);
    struct stack_endpoint local = {.port = 80};
    struct stack_endpoint remote = {ip_address_from_v4(world_address(WORLD_B)), 80};
    exchange->listener = stack_open(b, IPV4_PROTOCOL_TCP);
    assert_int_equal(stack_bind(b, exchange->listener, &local), 0);
    assert_int_equal(stack_listen(b, exchange->listener, 1), 0);
    exchange->client = stack_open(a, IPV4_PROTOCOL_TCP);
    assert_int_equal(stack_connect(a, exchange->client, &remote, world_now(exchange->world)),
                     STACK_IN_PROGRESS);
}

/* Runs until B has received size bytes from A, or the limit. */
static void exchange_run(struct exchange *exchange, size_t size, uint64_t limit_us)
{
    static uint8_t bytes[65536];
    struct stack *a = world_stack(exchange->world, WORLD_A);
    struct stack *b = world_stack(exchange->world, WORLD_B);
    size_t sent = 0;
    while (exchange->received < size && world_now(exchange->world) < limit_us) {
        uint64_t now_us = world_now(exchange->world);
        if (exchange->server <= 0)
            exchange->server = stack_accept(b, exchange->listener);
        if (sent < size) {
            size_t chunk = size - sent < sizeof bytes ? size - sent : sizeof bytes;
            ptrdiff_t taken = stack_send(a, exchange->client, bytes, chunk, 0, now_us);
            sent += taken > 0 ? (size_t)taken : 0;
        }
        ptrdiff_t got = stack_recv(b, exchange->server, bytes, sizeof bytes, now_us);
        exchange->received += got > 0 ? (size_t)got : 0;
        world_step(exchange->world, limit_us);
    }
}

/* ---- Time ---- */

static void clock_starts_where_it_is_told(void **state)
{
    (void)state;
    struct world_config config;
    world_config_default(&config);
    config.start_us = 42 * SECOND_US;
    struct world *world = world_create(&config);
    assert_non_null(world);
    assert_int_equal(world_now(world), 42 * SECOND_US);
    world_destroy(world);
}

/* Nothing to happen: the clock goes to the limit at once. */
static void idle_world_jumps_to_the_limit(void **state)
{
    (void)state;
    struct world_config config;
    world_config_default(&config);
    struct world *world = world_create(&config);
    uint64_t limit_us = config.start_us + 10 * SECOND_US;
    for (int steps = 0; steps < 100 && world_step(world, limit_us); steps++)
        assert_true(world_now(world) <= limit_us);
    assert_int_equal(world_now(world), limit_us);
    assert_false(world_step(world, limit_us));
    world_destroy(world);
}

/* A step moves to the next event and not beyond: a frame is under way for exactly its delay. */
static void steps_stop_at_each_event(void **state)
{
    (void)state;
    struct world_config config;
    world_config_default(&config);
    config.cable[WORLD_A].delay_us = 3000;
    config.cable[WORLD_B].delay_us = 5000;
    struct exchange exchange = {world_create(&config), 0, 0, 0, 0};
    while (world_step(exchange.world, config.start_us + SECOND_US))
        ; /* the announcements of both sides */
    exchange_open(&exchange);
    /* ARP there and back, SYN there, SYN-ACK back */
    static const uint64_t at_us[] = {3000, 8000, 11000, 16000};
    uint64_t last_us = 0;
    for (size_t i = 0; i < sizeof at_us / sizeof at_us[0];) {
        assert_true(world_step(exchange.world, config.start_us + 2 * SECOND_US));
        last_us = world_now(exchange.world) - config.start_us - SECOND_US;
        if (last_us == at_us[i])
            i++;
        assert_true(i == sizeof at_us / sizeof at_us[0] || last_us < at_us[i]);
    }
    struct stack_summary summary;
    assert_int_equal(stack_summary(world_stack(exchange.world, WORLD_A), exchange.client, &summary,
                                   world_now(exchange.world)),
                     0);
    assert_int_equal(summary.state, TCP_ESTABLISHED);
    world_destroy(exchange.world);
}

/* ---- Frames ---- */

static void bytes_cross(void **state)
{
    (void)state;
    for (int super_frames = 0; super_frames < 2; super_frames++) {
        struct world_config config;
        world_config_default(&config);
        config.super_frames = super_frames;
        config.cable[WORLD_A].fcs = config.cable[WORLD_B].fcs = true;
        struct exchange exchange = {world_create(&config), 0, 0, 0, 0};
        exchange_open(&exchange);
        exchange_run(&exchange, 1000000, config.start_us + 60 * SECOND_US);
        assert_int_equal(exchange.received, 1000000);
        /* Every segment was cut to the MTU before it entered the cable. */
        assert_true(world_frames(exchange.world) > 1000000 / 1460);
        world_destroy(exchange.world);
    }
}

struct counted {
    uint64_t frames, largest;
    int lose; /* frames still to lose */
};

static bool count_and_lose(void *context, int from, const uint8_t *bytes, size_t size,
                           uint64_t now_us)
{
    struct counted *counted = context;
    (void)from;
    (void)bytes;
    (void)now_us;
    counted->frames++;
    counted->largest = size > counted->largest ? size : counted->largest;
    return counted->lose-- <= 0;
}

/* The hook sees every frame, none longer than the MTU, and may lose it: that is not counted. */
static void filter_sees_and_loses(void **state)
{
    (void)state;
    struct counted counted = {0, 0, 4};
    struct world_config config;
    world_config_default(&config);
    config.super_frames = true;
    config.mtu_bytes = 1000;
    config.filter = count_and_lose;
    config.context = &counted;
    struct exchange exchange = {world_create(&config), 0, 0, 0, 0};
    exchange_open(&exchange);
    exchange_run(&exchange, 20000, config.start_us + 600 * SECOND_US);
    assert_int_equal(exchange.received, 20000);
    assert_int_equal(counted.largest, 1014);
    assert_int_equal(counted.frames, world_frames(exchange.world) + 4);
    world_destroy(exchange.world);
}

/* ---- Repetition ---- */

static uint64_t hash_of_run(uint64_t seed)
{
    struct world_config config;
    world_config_default(&config);
    config.seed = seed;
    for (int side = 0; side < WORLD_SIDES; side++)
        config.cable[side] = (struct cable_settings){.loss_ppm = 50000,
                                                     .duplicate_ppm = 10000,
                                                     .reorder_ppm = 10000,
                                                     .corrupt_ppm = 10000,
                                                     .delay_us = 10000,
                                                     .jitter_us = 3000,
                                                     .fcs = true};
    struct exchange exchange = {world_create(&config), 0, 0, 0, 0};
    exchange_open(&exchange);
    exchange_run(&exchange, 100000, config.start_us + 3600 * SECOND_US);
    assert_int_equal(exchange.received, 100000);
    uint64_t hash = world_hash(exchange.world);
    world_destroy(exchange.world);
    return hash;
}

static void same_seed_same_frames(void **state)
{
    (void)state;
    uint64_t hash = hash_of_run(7);
    assert_true(hash == hash_of_run(7));
    assert_true(hash != hash_of_run(8));
}

/* ---- Capture ---- */

static uint32_t word_at(const uint8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* One section, an interface a side, and one block a frame: their lengths lead exactly to the
   end. */
static void capture_holds_every_frame(void **state)
{
    (void)state;
    struct world_config config;
    world_config_default(&config);
    struct exchange exchange = {world_create(&config), 0, 0, 0, 0};
    size_t size = 1;
    assert_null(world_capture_bytes(exchange.world, &size));
    assert_int_equal(size, 0);
    world_capture(exchange.world);
    exchange_open(&exchange);
    exchange_run(&exchange, 300000, config.start_us + 60 * SECOND_US);
    const uint8_t *bytes = world_capture_bytes(exchange.world, &size);
    uint64_t sections = 0, interfaces = 0, packets = 0;
    size_t at = 0;
    while (at + 12 <= size) {
        uint32_t type = word_at(bytes + at), length = word_at(bytes + at + 4);
        assert_true(length >= 12 && length % 4 == 0 && at + length <= size);
        assert_int_equal(word_at(bytes + at + length - 4), length);
        sections += type == 0x0a0d0d0a;
        interfaces += type == 1;
        packets += type == 6;
        at += length;
    }
    assert_int_equal(at, size);
    assert_int_equal(sections, 1);
    assert_int_equal(interfaces, 2);
    assert_int_equal(packets, world_frames(exchange.world));
    world_destroy(exchange.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_starts_where_it_is_told),
        cmocka_unit_test(idle_world_jumps_to_the_limit),
        cmocka_unit_test(steps_stop_at_each_event),
        cmocka_unit_test(bytes_cross),
        cmocka_unit_test(filter_sees_and_loses),
        cmocka_unit_test(same_seed_same_frames),
        cmocka_unit_test(capture_holds_every_frame),
    };
    return cmocka_run_group_tests_name("world", tests, NULL, NULL);
}
