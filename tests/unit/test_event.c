/* The ring of events, the counters of drops, and the numbers drawn from the seed. */
#include "net_harness.h"

#include "../../tapstack/core/state.h"

static void four_events(struct stack_config *config) { config->event_capacity = 4; }
static void no_events(struct stack_config *config) { config->event_capacity = 0; }

static void add_events(uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        stack_event_add(net, STACK_EVENT_URGENT, 5, net_now + i, first + i, 0, 0, 0);
}

static void test_reader_in_time_loses_nothing(void **state)
{
    struct stack_event event;
    uint64_t lost = 0;
    (void)state;
    net_open(four_events);
    uint64_t cursor = stack_event_count(net);
    for (uint32_t i = 0; i < 100; i++) {
        add_events(i, 1);
        assert_true(stack_next_event(net, &cursor, &event, &lost));
        assert_int_equal(event.argument[0], i);
        assert_int_equal(event.id, 5);
        assert_false(stack_next_event(net, &cursor, &event, &lost));
    }
    assert_int_equal(lost, 0);
    net_close();
}

static void test_late_reader_is_told_what_he_lost(void **state)
{
    struct stack_event event;
    uint64_t lost = 0;
    (void)state;
    net_open(four_events);
    uint64_t cursor = stack_event_count(net);
    add_events(0, 11);
    for (uint32_t i = 7; i < 11; i++) {
        assert_true(stack_next_event(net, &cursor, &event, &lost));
        assert_int_equal(event.argument[0], i);
        assert_true(event.at_us == net_now + i);
    }
    assert_int_equal(lost, 7);
    assert_false(stack_next_event(net, &cursor, &event, NULL));
    net_close();
}

static void test_without_a_ring_events_are_only_counted(void **state)
{
    struct stack_event event;
    uint64_t cursor = 0;
    (void)state;
    net_open(no_events);
    uint64_t before = stack_event_count(net);
    add_events(0, 3);
    assert_int_equal(stack_event_count(net), before + 3);
    assert_false(stack_next_event(net, &cursor, &event, NULL));
    net_close();
}

static void test_drop_counts_twice_and_tells_why(void **state)
{
    struct stack_event event;
    (void)state;
    net_open(NULL);
    uint64_t cursor = stack_event_count(net);
    assert_int_equal(stack_drop(net, STACK_COUNTER_TCP_NO_ACK, 9, 60, net_now), -1);
    assert_int_equal(counter(STACK_COUNTER_TCP_NO_ACK), 1);
    assert_int_equal(counter(STACK_COUNTER_FRAMES_DROPPED), 1);
    assert_true(stack_next_event(net, &cursor, &event, NULL));
    assert_int_equal(event.kind, STACK_EVENT_DROP);
    assert_int_equal(event.id, 9);
    assert_int_equal(event.argument[0], STACK_COUNTER_TCP_NO_ACK);
    assert_int_equal(event.argument[1], 60);
    net_close();
}

/* The same seed gives the same numbers; they are spread, and the two keys are not one. */
static void test_numbers_of_the_seed(void **state)
{
    uint32_t drawn[64];
    unsigned ones = 0;
    (void)state;
    net_open(NULL);
    for (int i = 0; i < 64; i++) {
        drawn[i] = stack_random32(net);
        ones += (unsigned)__builtin_popcount(drawn[i]);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(drawn[i], drawn[j]);
    }
    assert_in_range(ones, 900, 1150); /* of 2048 */
    uint64_t hash = stack_hash(net, 0, "four-tuple", 10);
    assert_true(hash != stack_hash(net, 1, "four-tuple", 10));
    assert_true(hash != stack_hash(net, 0, "four-tuplf", 10));
    net_close();
    net_open(NULL);
    for (int i = 0; i < 64; i++)
        assert_int_equal(stack_random32(net), drawn[i]);
    assert_true(hash == stack_hash(net, 0, "four-tuple", 10));
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_in_time_loses_nothing),
        cmocka_unit_test(test_late_reader_is_told_what_he_lost),
        cmocka_unit_test(test_without_a_ring_events_are_only_counted),
        cmocka_unit_test(test_drop_counts_twice_and_tells_why),
        cmocka_unit_test(test_numbers_of_the_seed),
    };
    return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
