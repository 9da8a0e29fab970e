/* The messages between libtapstack and the daemon: programs and daemons of one version agree on
   every byte, so sizes and places may change with TS_VERSION only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../tapstack/api/message.h"

static void sizes_are_those_of_version_1(void **state)
{
    (void)state;
    assert_int_equal(TS_VERSION, 1);
    assert_int_equal(sizeof(struct ts_endpoint), 20);
    assert_int_equal(sizeof(struct ts_request), 300);
    assert_int_equal(sizeof(struct ts_reply), 308);
    assert_int_equal(sizeof(struct ts_accepted), 48);
}

static void places_are_those_of_version_1(void **state)
{
    (void)state;
    assert_int_equal(offsetof(struct ts_request, op), 6);
    assert_int_equal(offsetof(struct ts_request, serial), 8);
    assert_int_equal(offsetof(struct ts_request, endpoint), 24);
    assert_int_equal(offsetof(struct ts_request, value), 44);
    assert_int_equal(offsetof(struct ts_reply, error), 4);
    assert_int_equal(offsetof(struct ts_reply, local), 12);
    assert_int_equal(offsetof(struct ts_reply, value), 52);
    assert_int_equal(offsetof(struct ts_accepted, local), 8);
    assert_int_equal(offsetof(struct ts_accepted, peer), 28);
}

static void operations_keep_their_numbers(void **state)
{
    (void)state;
    assert_int_equal(TS_OP_HELLO, 1);
    assert_int_equal(TS_OP_LISTEN, 4);
    assert_int_equal(TS_OP_STATUS, 6);
    assert_int_equal(TS_OP_SETOPT, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_version_1),
        cmocka_unit_test(places_are_those_of_version_1),
        cmocka_unit_test(operations_keep_their_numbers),
    };
    return cmocka_run_group_tests_name("api message", tests, NULL, NULL);
}
