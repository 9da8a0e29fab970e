/* The cable: how often each accident happens, that it happens again alike, and when frames come. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../tapstack/link/cable.h"
#include "../../tapstack/wire/fcs.h"

enum { MANY = 100000, FRAME_BYTES = 64 };

/* ---- an allocator that knows what is out, and can run dry ---- */

struct heap {
    size_t blocks;
    size_t bytes;
    size_t allocations_left;
};

static void *heap_allocate(void *context, size_t size)
{
    struct heap *heap = context;
    if (heap->allocations_left == 0)
        return NULL;
    heap->allocations_left--;
    heap->blocks++;
    heap->bytes += size;
    return malloc(size);
}

static void heap_release(void *context, void *block, size_t size)
{
    struct heap *heap = context;
    heap->blocks--;
    heap->bytes -= size;
    free(block);
}

static struct heap heap = {0, 0, SIZE_MAX};
static const struct memory memory = {heap_allocate, heap_release, &heap};

static int reset_heap(void **state)
{
    (void)state;
    heap = (struct heap){0, 0, SIZE_MAX};
    return 0;
}

static int check_heap(void **state)
{
    (void)state;
    return heap.blocks == 0 && heap.bytes == 0 ? 0 : -1;
}

/* ---- frames that carry their number ---- */

static int send_number(struct cable *cable, uint32_t number, uint64_t now_us)
{
    uint8_t bytes[FRAME_BYTES] = {0};
    memcpy(bytes, &number, sizeof number);
    return cable_send(cable, bytes, sizeof bytes, now_us);
}

/* The number of the next frame that is due, or -1. */
static int64_t receive_number(struct cable *cable, uint64_t now_us)
{
    uint8_t bytes[FRAME_BYTES + FCS_BYTES];
    uint32_t number;
    if (cable_receive(cable, bytes, sizeof bytes, now_us) == 0)
        return -1;
    memcpy(&number, bytes, sizeof number);
    return number;
}

static struct cable *open_cable(struct cable_settings settings, uint64_t seed)
{
    struct cable *cable = cable_create(&settings, seed, &memory);
    assert_non_null(cable);
    return cable;
}

/* Sends MANY frames 10 us apart, taking out what is due. Stores the order in which numbers came
   out; returns how many came. */
static size_t run(struct cable *cable, uint32_t *order)
{
    uint64_t now_us = 0;
    size_t count = 0;
    for (uint32_t i = 0; i < MANY; i++, now_us += 10) {
        send_number(cable, i, now_us);
        for (int64_t number; (number = receive_number(cable, now_us)) >= 0;)
            order[count++] = (uint32_t)number;
    }
    while (cable_deadline(cable) != UINT64_MAX) {
        int64_t number = receive_number(cable, cable_deadline(cable));
        assert_true(number >= 0);
        order[count++] = (uint32_t)number;
    }
    return count;
}

static uint32_t order[2 * MANY], order2[2 * MANY];

/* ---- tests ---- */

static void no_settings_pass_at_once_in_order(void **state)
{
    struct cable *cable = open_cable((struct cable_settings){0}, 1);
    (void)state;
    assert_int_equal(run(cable, order), MANY);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(order[i], i);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(send_number(cable, i, 5), 0);
    assert_int_equal(cable_deadline(cable), 5);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(receive_number(cable, 5), i);
    assert_int_equal(receive_number(cable, 5), -1);
    assert_int_equal(cable_counters(cable)->frames_in, MANY + 1000);
    assert_int_equal(cable_counters(cable)->frames_out, MANY + 1000);
    cable_destroy(cable);
}

/* Within five standard deviations: sqrt(100000 * 0.05 * 0.95) is 69. */
static void assert_about(uint64_t count, uint64_t expected)
{
    assert_in_range(count, expected - 350, expected + 350);
}

static void accidents_are_as_frequent_as_asked(void **state)
{
    struct cable_settings settings = {.loss_ppm = 50000,
                                      .duplicate_ppm = 30000,
                                      .corrupt_ppm = 20000,
                                      .reorder_ppm = 40000,
                                      .delay_us = 1000};
    struct cable *cable = open_cable(settings, 42);
    const struct cable_counters *counters = cable_counters(cable);
    (void)state;
    size_t count = run(cable, order);
    assert_int_equal(counters->frames_in, MANY);
    assert_int_equal(counters->frames_out, count);
    assert_int_equal(count, MANY - counters->lost + counters->duplicated);
    assert_int_equal(counters->overrun, 0);
    assert_about(counters->lost, 5000);
    assert_about(counters->duplicated, 2850);
    /* 95000 are not lost, 2850 of them come twice. */
    assert_about(counters->corrupted, 97850 / 50);
    assert_about(counters->reordered, 97850 / 25);
    cable_destroy(cable);
}

static void certain_and_impossible_are_exact(void **state)
{
    struct cable *cable = open_cable((struct cable_settings){.duplicate_ppm = 1000000}, 3);
    (void)state;
    assert_int_equal(run(cable, order), 2 * MANY);
    for (uint32_t i = 0; i < 2 * MANY; i++)
        assert_int_equal(order[i], i / 2);
    cable_configure(cable, &(struct cable_settings){.loss_ppm = 1000000});
    assert_int_equal(run(cable, order), 0);
    assert_int_equal(cable_counters(cable)->lost, MANY);
    assert_int_equal(send_number(cable, 0, 0), -1);
    cable_destroy(cable);
}

static void same_seed_same_accidents(void **state)
{
    struct cable_settings settings = {.loss_ppm = 50000,
                                      .duplicate_ppm = 50000,
                                      .corrupt_ppm = 50000,
                                      .reorder_ppm = 50000,
                                      .delay_us = 500,
                                      .jitter_us = 300};
    struct cable *first = open_cable(settings, 7), *second = open_cable(settings, 7);
    struct cable *other = open_cable(settings, 8);
    (void)state;
    size_t count = run(first, order);
    assert_int_equal(run(second, order2), count);
    assert_memory_equal(order, order2, count * sizeof order[0]);
    assert_memory_equal(cable_counters(first), cable_counters(second),
                        sizeof(struct cable_counters));
    size_t other_count = run(other, order2);
    assert_true(other_count != count || memcmp(order, order2, count * sizeof order[0]) != 0);
    cable_destroy(first);
    cable_destroy(second);
    cable_destroy(other);
}

/* Which frames are lost does not depend on what else happens to them. */
static void accidents_do_not_disturb_each_other(void **state)
{
    static uint8_t lost[MANY];
    struct cable *calm = open_cable((struct cable_settings){.loss_ppm = 100000}, 9);
    struct cable *wild = open_cable((struct cable_settings){.loss_ppm = 100000,
                                                            .duplicate_ppm = 500000,
                                                            .corrupt_ppm = 500000,
                                                            .reorder_ppm = 500000,
                                                            .delay_us = 10,
                                                            .jitter_us = 5},
                                    9);
    (void)state;
    for (uint32_t i = 0; i < MANY; i++) {
        lost[i] = send_number(calm, i, i) != 0;
        assert_int_equal(send_number(wild, i, i) != 0, lost[i]);
        while (receive_number(calm, i) >= 0)
            ;
        while (receive_number(wild, i) >= 0)
            ;
    }
    cable_destroy(calm);
    cable_destroy(wild);
}

static void corruption_flips_one_bit_somewhere(void **state)
{
    static unsigned flips[FRAME_BYTES * 8];
    struct cable *cable = open_cable((struct cable_settings){.corrupt_ppm = 1000000}, 5);
    (void)state;
    for (uint32_t i = 0; i < MANY; i++) {
        uint8_t bytes[FRAME_BYTES] = {0};
        unsigned bits = 0;
        cable_send(cable, bytes, sizeof bytes, i);
        assert_int_equal(cable_receive(cable, bytes, sizeof bytes, i), sizeof bytes);
        for (unsigned bit = 0; bit < sizeof bytes * 8; bit++)
            if (bytes[bit / 8] >> bit % 8 & 1) {
                bits++;
                flips[bit]++;
            }
        assert_int_equal(bits, 1);
    }
    for (unsigned bit = 0; bit < FRAME_BYTES * 8; bit++)
        assert_in_range(flips[bit], 100, 300); /* 195 each, five deviations are 70 */
    cable_destroy(cable);
}

static void fcs_stands_before_the_damage(void **state)
{
    struct cable_settings settings = {.fcs = true};
    struct cable *cable = open_cable(settings, 5);
    uint8_t bytes[60 + FCS_BYTES] = {1, 2, 3};
    (void)state;
    cable_send(cable, bytes, 60, 0);
    assert_int_equal(cable_receive(cable, bytes, sizeof bytes, 0), 64);
    assert_true(fcs_check(bytes, 64));
    settings.corrupt_ppm = 1000000;
    cable_configure(cable, &settings);
    for (int i = 0; i < 1000; i++) {
        cable_send(cable, bytes, 60, 0);
        assert_int_equal(cable_receive(cable, bytes, sizeof bytes, 0), 64);
        assert_false(fcs_check(bytes, 64));
    }
    cable_destroy(cable);
}

static void delay_and_jitter_keep_their_bounds(void **state)
{
    struct cable *cable =
        open_cable((struct cable_settings){.delay_us = 1000, .jitter_us = 300}, 11);
    uint64_t least = UINT64_MAX, most = 0, sum = 0;
    (void)state;
    for (uint64_t i = 0; i < MANY; i++) {
        uint64_t now_us = i * 10000;
        send_number(cable, 0, now_us);
        uint64_t late = cable_deadline(cable) - now_us;
        least = late < least ? late : least;
        most = late > most ? late : most;
        sum += late;
        assert_int_equal(receive_number(cable, now_us + late - 1), -1);
        assert_int_equal(receive_number(cable, now_us + late), 0);
    }
    assert_int_equal(least, 700);
    assert_int_equal(most, 1300);
    assert_in_range(sum / MANY, 997, 1003);
    cable_destroy(cable);
}

/* The second copy of a frame has a way of its own. */
static void copies_are_late_each_in_its_way(void **state)
{
    struct cable *cable = open_cable(
        (struct cable_settings){.duplicate_ppm = 1000000, .delay_us = 500, .jitter_us = 500}, 12);
    unsigned alike = 0;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        send_number(cable, 0, 0);
        uint64_t first = cable_deadline(cable);
        assert_int_equal(receive_number(cable, first), 0);
        alike += cable_deadline(cable) == first;
        assert_int_equal(receive_number(cable, cable_deadline(cable)), 0);
    }
    assert_in_range(alike, 0, 10); /* one in 1001 by chance */
    cable_destroy(cable);
}

static void jitter_above_the_delay_never_goes_back_in_time(void **state)
{
    struct cable *cable = open_cable((struct cable_settings){.delay_us = 10, .jitter_us = 100}, 1);
    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        send_number(cable, 0, 5);
        assert_in_range(cable_deadline(cable), 5, 115);
        assert_int_equal(receive_number(cable, 115), 0);
    }
    cable_destroy(cable);
}

static void reordered_frames_skip_the_delay(void **state)
{
    struct cable_settings settings = {.delay_us = 1000};
    struct cable *cable = open_cable(settings, 1);
    (void)state;
    send_number(cable, 0, 0);
    settings.reorder_ppm = 1000000;
    cable_configure(cable, &settings);
    send_number(cable, 1, 10);
    assert_int_equal(cable_deadline(cable), 10);
    assert_int_equal(receive_number(cable, 10), 1);
    assert_int_equal(cable_deadline(cable), 1000);
    assert_int_equal(receive_number(cable, 1000), 0);
    assert_int_equal(cable_counters(cable)->reordered, 1);
    cable_destroy(cable);
}

static void reordered_frames_are_held_where_there_is_no_delay(void **state)
{
    static const struct {
        uint64_t reorder_us, held_us;
    } cases[] = {{0, 500}, {70, 70}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct cable *cable = open_cable(
            (struct cable_settings){.reorder_ppm = 1000000, .reorder_us = cases[i].reorder_us}, 1);
        send_number(cable, 0, 10);
        cable_configure(cable, &(struct cable_settings){0});
        send_number(cable, 1, 20);
        assert_int_equal(receive_number(cable, 20), 1);
        assert_int_equal(cable_deadline(cable), 10 + cases[i].held_us);
        assert_int_equal(receive_number(cable, 10 + cases[i].held_us), 0);
        cable_destroy(cable);
    }
}

/* 64 bytes at 512 kbit/s take 1 ms each. */
static void rate_puts_frames_one_behind_the_other(void **state)
{
    struct cable *cable = open_cable((struct cable_settings){.rate_kbps = 512, .delay_us = 100}, 1);
    (void)state;
    for (uint32_t i = 0; i < 10; i++)
        send_number(cable, i, 0);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(cable_deadline(cable), 1000 * (i + 1) + 100);
        assert_int_equal(receive_number(cable, cable_deadline(cable)), i);
    }
    send_number(cable, 0, 50000); /* the cable was idle */
    assert_int_equal(cable_deadline(cable), 51100);
    cable_destroy(cable);
}

/* At 1 Gbit/s a frame of 64 bytes takes 0.512 us: the parts of a microsecond must add up. */
static void rate_is_exact_below_a_microsecond(void **state)
{
    struct cable *cable =
        open_cable((struct cable_settings){.rate_kbps = 1000000, .queue_frames = MANY}, 1);
    uint64_t last = 0;
    (void)state;
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(send_number(cable, i, 0), 0);
    assert_int_equal(cable_deadline(cable), 1); /* not before it has wholly arrived */
    for (uint32_t i = 0; i < MANY; i++) {
        last = cable_deadline(cable);
        assert_int_equal(receive_number(cable, last), i);
    }
    assert_int_equal(last, 51200);
    cable_destroy(cable);
}

static void full_queue_loses_the_new_frame(void **state)
{
    static const struct {
        uint32_t setting, limit;
    } cases[] = {{5, 5}, {0, 1000}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct cable *cable = open_cable(
            (struct cable_settings){.delay_us = 10, .queue_frames = cases[i].setting}, 1);
        for (uint32_t n = 0; n < cases[i].limit + 3; n++)
            assert_int_equal(send_number(cable, n, 0), n < cases[i].limit ? 0 : -1);
        assert_int_equal(cable_counters(cable)->overrun, 3);
        for (uint32_t n = 0; n < cases[i].limit; n++)
            assert_int_equal(receive_number(cable, 10), n);
        cable_destroy(cable);
    }
}

/* The heap against the obvious: whatever is due earliest comes out, equal times in order. */
static void frames_come_out_by_time_and_turn(void **state)
{
    struct cable *cable = open_cable(
        (struct cable_settings){.delay_us = 50, .jitter_us = 50, .queue_frames = 600}, 2);
    uint64_t seen[101] = {0};
    (void)state;
    for (uint32_t i = 0; i < 600; i++)
        assert_int_equal(send_number(cable, i, 0), 0);
    uint64_t before = 0;
    for (uint32_t i = 0; i < 600; i++) {
        uint64_t due = cable_deadline(cable);
        assert_true(due >= before && due <= 100);
        uint64_t number = (uint64_t)receive_number(cable, due);
        assert_true(seen[due] <= number); /* numbers of equal times rise */
        seen[due] = number + 1;
        before = due;
    }
    assert_int_equal(cable_deadline(cable), UINT64_MAX);
    assert_int_equal(receive_number(cable, UINT64_MAX), -1);
    cable_destroy(cable);
}

static void no_memory_is_a_loss_and_no_leak(void **state)
{
    struct cable_settings settings = {.duplicate_ppm = 500000, .delay_us = 1000};
    (void)state;
    for (size_t allocations = 0; allocations < 200; allocations++) {
        heap.allocations_left = allocations;
        struct cable *cable = cable_create(&settings, 1, &memory);
        if (!cable) {
            assert_int_equal(allocations, 0);
            continue;
        }
        uint64_t sent = 0;
        for (uint32_t i = 0; i < 200; i++)
            sent += send_number(cable, i, 0) == 0;
        const struct cable_counters *counters = cable_counters(cable);
        assert_true(counters->overrun > 0 && sent + counters->overrun >= 200);
        cable_destroy(cable);
        assert_int_equal(heap.blocks, 0);
    }
    cable_destroy(NULL);
}

#define CABLE_TEST(name) cmocka_unit_test_setup_teardown(name, reset_heap, check_heap)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CABLE_TEST(no_settings_pass_at_once_in_order),
        CABLE_TEST(accidents_are_as_frequent_as_asked),
        CABLE_TEST(certain_and_impossible_are_exact),
        CABLE_TEST(same_seed_same_accidents),
        CABLE_TEST(accidents_do_not_disturb_each_other),
        CABLE_TEST(corruption_flips_one_bit_somewhere),
        CABLE_TEST(fcs_stands_before_the_damage),
        CABLE_TEST(delay_and_jitter_keep_their_bounds),
        CABLE_TEST(copies_are_late_each_in_its_way),
        CABLE_TEST(jitter_above_the_delay_never_goes_back_in_time),
        CABLE_TEST(reordered_frames_skip_the_delay),
        CABLE_TEST(reordered_frames_are_held_where_there_is_no_delay),
        CABLE_TEST(rate_puts_frames_one_behind_the_other),
        CABLE_TEST(rate_is_exact_below_a_microsecond),
        CABLE_TEST(full_queue_loses_the_new_frame),
        CABLE_TEST(frames_come_out_by_time_and_turn),
        CABLE_TEST(no_memory_is_a_loss_and_no_leak),
    };
    return cmocka_run_group_tests_name("cable", tests, NULL, NULL);
}
