/* The settings' table: defaults, names, bounds; and the names of everything else that is listed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../tapstack/core/stack.h"

static void test_defaults_are_the_lists(void **state)
{
    struct stack_settings settings;
    (void)state;
    memset(&settings, 0xff, sizeof settings);
    stack_settings_default(&settings);
    for (unsigned i = 0; i < stack_setting_count(); i++)
        assert_true(stack_setting_get(&settings, i) == stack_setting_info(i)->initial);
    assert_int_equal(settings.ip_ttl, 64);
    assert_int_equal(settings.tcp_port_last, 60999);
    assert_int_equal(settings.tcp_segmentation_offload, 1);
    assert_int_equal(stack_setting_count() * sizeof(uint64_t), sizeof settings);
}

static void test_every_row_makes_sense(void **state)
{
    (void)state;
    for (unsigned i = 0; i < stack_setting_count(); i++) {
        const struct stack_setting_info *info = stack_setting_info(i);
        assert_true(info->least <= info->initial && info->initial <= info->most);
        assert_non_null(strchr(info->name, '.'));
        assert_true(strlen(info->what) > 5);
        assert_int_equal(stack_setting_find(info->name), i);
    }
    assert_null(stack_setting_info(stack_setting_count()));
    assert_int_equal(stack_setting_find("tcp.no_such_thing"), -1);
    assert_int_equal(stack_setting_find(""), -1);
}

static void test_bounds(void **state)
{
    struct stack_settings settings;
    (void)state;
    stack_settings_default(&settings);
    for (unsigned i = 0; i < stack_setting_count(); i++) {
        const struct stack_setting_info *info = stack_setting_info(i);
        stack_settings_default(&settings); /* one of them sets others */
        if (info->least > 0)
            assert_int_equal(stack_setting_set(&settings, i, info->least - 1), STACK_INVALID);
        assert_int_equal(stack_setting_set(&settings, i, info->most + 1), STACK_INVALID);
        assert_true(stack_setting_get(&settings, i) == info->initial);
        assert_int_equal(stack_setting_set(&settings, i, info->least), 0);
        assert_true(stack_setting_get(&settings, i) == info->least);
        assert_int_equal(stack_setting_set(&settings, i, info->most), 0);
        assert_true(stack_setting_get(&settings, i) == info->most);
    }
    assert_int_equal(stack_setting_set(&settings, stack_setting_count(), 1), STACK_INVALID);
    assert_int_equal(stack_setting_get(&settings, stack_setting_count()), 0);
}

static void test_set_reaches_its_field(void **state)
{
    struct stack_settings settings;
    (void)state;
    stack_settings_default(&settings);
    assert_int_equal(
        stack_setting_set(&settings, (unsigned)stack_setting_find("tcp.rto_min"), 5000), 0);
    assert_int_equal(settings.tcp_rto_min_us, 5000);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(tcp_state_name(TCP_ESTABLISHED), "ESTABLISHED");
    assert_string_equal(tcp_state_name(TCP_STATE_COUNT), "?");
    assert_string_equal(neighbor_state_name(NEIGHBOR_PERMANENT), "PERMANENT");
    assert_string_equal(neighbor_state_name(99), "?");
    assert_string_equal(stack_event_name(STACK_EVENT_NEIGHBOR), "neighbor");
    assert_string_equal(stack_event_name(STACK_EVENT_COUNT), "?");
    assert_string_equal(stack_event_argument_name(STACK_EVENT_RTT, 3), "rto_us");
    assert_string_equal(stack_event_argument_name(STACK_EVENT_STATE, 2), "");
    assert_string_equal(stack_event_argument_name(STACK_EVENT_STATE, 4), "");
    assert_string_equal(stack_event_argument_name(STACK_EVENT_COUNT, 0), "");
    assert_string_equal(stack_reason_name(STACK_REASON_KEEP_ALIVE), "keep-alive");
    assert_string_equal(stack_reason_name(STACK_REASON_COUNT), "?");
    assert_string_equal(stack_counter_name(STACK_COUNTER_FRAMES_DROPPED), "StackFramesDropped");
    assert_string_equal(stack_counter_name(STACK_COUNTER_COUNT), "?");
    assert_string_equal(stack_counter_what(STACK_COUNTER_ARP_IN_REQUESTS), "requests received");
    for (unsigned i = 0; i < TCP_STATE_COUNT; i++)
        assert_string_not_equal(tcp_state_name(i), "?");
    for (unsigned i = 0; i < NEIGHBOR_STATE_COUNT; i++)
        assert_string_not_equal(neighbor_state_name(i), "?");
}

static void test_error_texts(void **state)
{
    (void)state;
    assert_string_equal(stack_error_text(STACK_RESET), "connection reset");
    for (int error = STACK_NO_PROTOCOL; error <= 0; error++)
        assert_string_not_equal(stack_error_text(error), "unknown error");
    assert_string_equal(stack_error_text(STACK_NO_PROTOCOL - 1), "unknown error");
    assert_string_equal(stack_error_text(1), "unknown error");
    assert_string_equal(stack_error_text(INT32_MIN), "unknown error");
}

static void test_profile_sets_others(void **state)
{
    struct stack_settings settings, linux_like;
    unsigned profile = (unsigned)stack_setting_find("tcp.profile");
    unsigned buffer = (unsigned)stack_setting_find("tcp.receive_buffer");
    (void)state;
    stack_settings_default(&settings);
    linux_like = settings;
    assert_int_equal(stack_setting_set(&settings, profile, 1), 0);
    assert_int_equal(settings.tcp_quick_ack_segments, 0);
    assert_int_equal(settings.tcp_receive_buffer, 65536);
    assert_int_equal(settings.tcp_window_scale, 6);
    assert_int_equal(settings.tcp_syn_slack_us, 200000);
    assert_int_equal(stack_setting_set(&settings, buffer, 100000), 0);
    assert_int_equal(settings.tcp_receive_buffer, 100000);
    assert_int_equal(stack_setting_set(&settings, profile, 0), 0);
    assert_memory_equal(&settings, &linux_like, sizeof settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_the_lists),
        cmocka_unit_test(test_every_row_makes_sense),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_set_reaches_its_field),
        cmocka_unit_test(test_profile_sets_others),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_error_texts),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
