/* The event loop: who is called, in which order, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../tapstack/host/clock.h"
#include "../../tapstack/host/loop.h"

enum { WATCHES = 4 };

/* A loop with watches on event counters, and what happened. */
struct fixture {
    struct loop loop; /* first */
    struct loop_watch watch[WATCHES];
    unsigned calls[WATCHES];
    unsigned tails, turns; /* tails: calls of the tail; turns: when to stop */
    uint64_t deadline;
    uint64_t woken_at;
    bool more;
    int remove_by_first; /* what the first watch that is called removes; -1: nothing */
};

static struct fixture fixture;

static void watch_ready(struct loop_watch *watch, uint32_t events)
{
    long number = watch - fixture.watch;
    uint64_t count;
    assert_true(events & (EPOLLIN | EPOLLOUT));
    fixture.calls[number]++;
    if (watch->events & EPOLLIN)
        assert_int_equal(read(watch->fd, &count, sizeof count), sizeof count);
    for (int i = 0; fixture.remove_by_first == -2 && i < WATCHES; i++)
        loop_remove(&fixture.loop, &fixture.watch[i]);
    if (fixture.remove_by_first >= 0)
        loop_remove(&fixture.loop, &fixture.watch[fixture.remove_by_first]);
    fixture.remove_by_first = -1;
}

static bool tail(struct loop *loop)
{
    assert_ptr_equal(loop, &fixture.loop);
    fixture.woken_at = loop->now_us;
    loop->stop = ++fixture.tails >= fixture.turns;
    return fixture.more;
}

static uint64_t deadline(struct loop *loop)
{
    (void)loop;
    return fixture.deadline;
}

static int open_fixture(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.deadline = UINT64_MAX;
    fixture.remove_by_first = -1;
    fixture.turns = 1;
    if (loop_open(&fixture.loop) < 0)
        return -1;
    fixture.loop.tail = tail;
    fixture.loop.deadline = deadline;
    for (int i = 0; i < WATCHES; i++) {
        fixture.watch[i] =
            (struct loop_watch){eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), EPOLLIN, watch_ready};
        if (loop_add(&fixture.loop, &fixture.watch[i]) < 0)
            return -1;
    }
    return 0;
}

static int close_fixture(void **state)
{
    (void)state;
    for (int i = 0; i < WATCHES; i++)
        close(fixture.watch[i].fd);
    loop_close(&fixture.loop);
    return 0;
}

static void signal_watch(int number)
{
    uint64_t one = 1;
    assert_int_equal(write(fixture.watch[number].fd, &one, sizeof one), sizeof one);
}

static unsigned calls_of_all(void)
{
    unsigned all = 0;
    for (int i = 0; i < WATCHES; i++)
        all += fixture.calls[i];
    return all;
}

static void test_ready_watches_then_tail(void **state)
{
    (void)state;
    signal_watch(1);
    signal_watch(3);
    loop_run(&fixture.loop);
    assert_int_equal(fixture.calls[0], 0);
    assert_int_equal(fixture.calls[1], 1);
    assert_int_equal(fixture.calls[3], 1);
    assert_int_equal(fixture.tails, 1);
}

static void test_removed_in_the_same_turn(void **state)
{
    (void)state;
    for (int i = 0; i < WATCHES; i++)
        signal_watch(i);
    fixture.remove_by_first = -2; /* all, itself too */
    loop_run(&fixture.loop);
    assert_int_equal(calls_of_all(), 1);
}

static void test_removing_one_leaves_the_others(void **state)
{
    (void)state;
    for (int i = 0; i < WATCHES; i++)
        signal_watch(i);
    fixture.remove_by_first = 2;
    loop_run(&fixture.loop);
    assert_int_equal(calls_of_all() + (fixture.calls[2] == 0), WATCHES);
    signal_watch(0);
    fixture.turns = 2;
    fixture.loop.stop = false;
    loop_run(&fixture.loop);
    assert_int_equal(fixture.calls[0], 2);
}

static void test_more_work_does_not_wait(void **state)
{
    (void)state;
    fixture.more = true; /* there is no event and no deadline: waiting would last for ever */
    fixture.turns = 100;
    fixture.deadline = 0; /* for the first turn */
    loop_run(&fixture.loop);
    assert_int_equal(fixture.tails, 100);
}

static void test_deadline_is_kept(void **state)
{
    uint64_t start = clock_monotonic_us();
    (void)state;
    fixture.deadline = start + 1500;
    loop_run(&fixture.loop);
    assert_int_equal(fixture.tails, 1);
    assert_true(fixture.woken_at >= fixture.deadline); /* never early: no turn without work */
    assert_int_equal(calls_of_all(), 0);
}

static void test_change_events(void **state)
{
    (void)state;
    assert_int_equal(loop_change(&fixture.loop, &fixture.watch[0], EPOLLOUT), 0);
    loop_run(&fixture.loop);
    assert_int_equal(fixture.calls[0], 1);
    assert_int_equal(fixture.watch[0].events, EPOLLOUT);
}

static void test_errors_are_told(void **state)
{
    struct loop_watch bad = {-1, EPOLLIN, watch_ready};
    (void)state;
    assert_true(loop_add(&fixture.loop, &bad) < 0);
    assert_true(loop_add(&fixture.loop, &fixture.watch[0]) < 0); /* twice */
}

#define LOOP_TEST(function) cmocka_unit_test_setup_teardown(function, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_ready_watches_then_tail),
        LOOP_TEST(test_removed_in_the_same_turn),
        LOOP_TEST(test_removing_one_leaves_the_others),
        LOOP_TEST(test_more_work_does_not_wait),
        LOOP_TEST(test_deadline_is_kept),
        LOOP_TEST(test_change_events),
        LOOP_TEST(test_errors_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
