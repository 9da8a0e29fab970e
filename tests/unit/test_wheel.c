/* The timer wheel against a sorted list: every timer at its microsecond, in order, never early. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../tapstack/core/wheel.h"

static uint64_t random_state;

/* xorshift64*: the same run every time */
static uint64_t next_random(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(2685821657736338717);
}

static void test_empty_wheel(void **state)
{
    struct wheel wheel;
    struct wheel_timer timer = {0};
    (void)state;
    wheel_open(&wheel, 1000);
    assert_true(wheel_deadline(&wheel) == UINT64_MAX);
    assert_null(wheel_expire(&wheel, 5000));
    assert_true(wheel.now_us == 5000);
    wheel_cancel(&wheel, &timer);
    assert_false(wheel_is_armed(&timer));
    assert_null(wheel_expire(&wheel, UINT64_MAX));
}

static void test_past_and_present_fire_at_once(void **state)
{
    struct wheel wheel;
    struct wheel_timer past = {0}, present = {0};
    (void)state;
    wheel_open(&wheel, 1000);
    wheel_arm(&wheel, &past, 3);
    wheel_arm(&wheel, &present, 1000);
    assert_true(wheel_deadline(&wheel) == 1000);
    assert_ptr_equal(wheel_expire(&wheel, 1000), &past);
    assert_ptr_equal(wheel_expire(&wheel, 1000), &present);
    assert_null(wheel_expire(&wheel, 1000));
}

static void test_one_microsecond_keeps_the_order_of_arming(void **state)
{
    enum { COUNT = 20 };
    struct wheel wheel;
    struct wheel_timer timer[COUNT];
    (void)state;
    memset(timer, 0, sizeof timer);
    wheel_open(&wheel, 0);
    for (int i = 0; i < COUNT; i++) {
        wheel_arm(&wheel, &timer[i], 1000000);
        assert_null(wheel_expire(&wheel, (uint64_t)i * 50000)); /* cascades in between */
    }
    for (int i = 0; i < COUNT; i++)
        assert_ptr_equal(wheel_expire(&wheel, 1000000), &timer[i]);
}

/* Exactly then, and not a microsecond before, however far away. */
static void test_exact_at_every_distance(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int off = -1; off <= 1; off++) {
            uint64_t start = UINT64_C(0x3f), at = start + (UINT64_C(1) << bit) + (uint64_t)off;
            struct wheel wheel;
            struct wheel_timer timer = {0};
            wheel_open(&wheel, start);
            wheel_arm(&wheel, &timer, at);
            if (at > start)
                assert_null(wheel_expire(&wheel, at - 1));
            assert_true(wheel_deadline(&wheel) == at);
            assert_ptr_equal(wheel_expire(&wheel, at), &timer);
            assert_true(wheel_deadline(&wheel) == UINT64_MAX);
        }
    }
}

static void test_following_deadlines_reaches_a_timer_soon(void **state)
{
    struct wheel wheel;
    struct wheel_timer timer = {0};
    uint64_t at = UINT64_C(0x7edcba9876543210);
    int steps = 0;
    (void)state;
    wheel_open(&wheel, 12345);
    wheel_arm(&wheel, &timer, at);
    for (;;) {
        uint64_t deadline = wheel_deadline(&wheel);
        assert_true(deadline <= at);
        steps++;
        if (wheel_expire(&wheel, deadline)) {
            assert_true(deadline == at);
            break;
        }
    }
    assert_in_range(steps, 1, WHEEL_LEVELS);
}

/* ---- the model ---- */

enum { TIMERS = 300, STEPS = 200000 };

struct entry {
    struct wheel_timer timer;
    uint64_t at_us;
    uint64_t order; /* of arming; 0: not armed */
};

static struct entry entries[TIMERS];

/* The entry that must fire next, or NULL. */
static struct entry *model_first(void)
{
    struct entry *first = NULL;
    for (int i = 0; i < TIMERS; i++) {
        struct entry *e = &entries[i];
        if (e->order && (!first || e->at_us < first->at_us ||
                         (e->at_us == first->at_us && e->order < first->order)))
            first = e;
    }
    return first;
}

/* A distance of any magnitude, the near ones more often. */
static uint64_t random_distance(void)
{
    unsigned bits = (unsigned)(next_random() % 4 ? next_random() % 28 : next_random() % 62);
    return next_random() & ((UINT64_C(1) << bits) - 1);
}

static void check_expiry(struct wheel *wheel, uint64_t now_us)
{
    for (;;) {
        struct entry *first = model_first();
        struct wheel_timer *fired = wheel_expire(wheel, now_us);
        if (!first || first->at_us > now_us) {
            assert_null(fired);
            return;
        }
        assert_ptr_equal(fired, &first->timer);
        assert_false(wheel_is_armed(fired));
        first->order = 0;
    }
}

static void arm_both(struct wheel *wheel, struct entry *e, uint64_t at_us, uint64_t order)
{
    wheel_arm(wheel, &e->timer, at_us);
    e->at_us = at_us > wheel->now_us ? at_us : wheel->now_us;
    e->order = order;
}

static void test_against_model(void **state)
{
    struct wheel wheel;
    uint64_t now_us = 987654321;
    (void)state;
    random_state = 42;
    wheel_open(&wheel, now_us);
    for (uint64_t step = 1; step <= STEPS; step++) {
        struct entry *e = &entries[next_random() % TIMERS];
        switch (next_random() % 8) {
        case 0:
        case 1:
        case 2:
            arm_both(&wheel, e, now_us + random_distance(), step);
            break;
        case 3: /* in the past */
            arm_both(&wheel, e, now_us - next_random() % 1000, step);
            break;
        case 4:
            wheel_cancel(&wheel, &e->timer);
            e->order = 0;
            break;
        case 5: /* exactly to the deadline */
            if (wheel_deadline(&wheel) != UINT64_MAX && wheel_deadline(&wheel) < now_us + (1 << 28))
                now_us = wheel_deadline(&wheel) > now_us ? wheel_deadline(&wheel) : now_us;
            check_expiry(&wheel, now_us);
            break;
        case 6:
            now_us += next_random() % 5000;
            check_expiry(&wheel, now_us);
            break;
        default: /* a jump */
            now_us += next_random() % 64 ? next_random() % 64 : random_distance() >> 20;
            check_expiry(&wheel, now_us);
        }
        struct entry *first = model_first();
        uint64_t deadline = wheel_deadline(&wheel);
        if (first)
            assert_true(deadline <= first->at_us);
        else
            assert_true(deadline == UINT64_MAX);
    }
    check_expiry(&wheel, UINT64_MAX - 1);
    assert_null(model_first());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_wheel),
        cmocka_unit_test(test_past_and_present_fire_at_once),
        cmocka_unit_test(test_one_microsecond_keeps_the_order_of_arming),
        cmocka_unit_test(test_exact_at_every_distance),
        cmocka_unit_test(test_following_deadlines_reaches_a_timer_soon),
        cmocka_unit_test(test_against_model),
    };
    return cmocka_run_group_tests_name("wheel", tests, NULL, NULL);
}
