/* The door: who may enter, and what happens when there are no descriptors. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../tapstack/host/door.h"
#include "../../tapstack/host/log.h"

static void test_places_are_shared(void **state)
{
    const uid_t own = geteuid(), other = own + 1000;
    const struct {
        uid_t uid;
        struct door_share share;
        bool place;
    } cases[] = {
        {0, {64, 63, 63}, true},          {0, {64, 64, 0}, false},
        {own, {64, 63, 63}, true},        {own, {64, 64, 3}, false},
        {other, {64, 0, 0}, true},        {other, {64, 31, 31}, true},
        {other, {64, 32, 32}, false},     {other, {64, 55, 0}, true},
        {other, {64, 56, 0}, false},      {other, {1024, 512, 511}, true},
        {other, {1024, 512, 512}, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (door_has_place(&cases[i].share, cases[i].uid) != cases[i].place)
            fail_msg("case %zu", i);
}

/* ---- A loop with nothing but the door ---- */

struct house {
    struct loop loop; /* first */
    struct door door;
    char dir[64];
    unsigned admitted, refused, turns, turns_most;
};

static struct house house;

static void enter(struct door *door, const struct visitor *visitor, bool room)
{
    assert_ptr_equal(door, &house.door);
    assert_int_equal(visitor->pid, getpid());
    assert_int_equal(visitor->uid, geteuid());
    house.admitted += room;
    house.refused += !room;
    close(visitor->fd);
}

static bool tail(struct loop *loop)
{
    loop->stop = ++house.turns >= house.turns_most;
    return false;
}

static uint64_t after_a_while(struct loop *loop) { return loop->now_us + 250000; }

static void turns(unsigned most)
{
    house.turns = 0;
    house.turns_most = most;
    house.loop.stop = false;
    loop_run(&house.loop);
}

static int visit(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/door", house.dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int house_open(void **state)
{
    (void)state;
    house = (struct house){.dir = "/tmp/test_door.XXXXXX"};
    log_set_level(-1);
    assert_non_null(mkdtemp(house.dir));
    assert_int_equal(loop_open(&house.loop), 0);
    house.loop.tail = tail;
    house.loop.deadline = after_a_while;
    return door_open(&house.door, &house.loop, house.dir, "door", SOCK_STREAM, enter);
}

static int house_close(void **state)
{
    (void)state;
    door_close(&house.door);
    loop_close(&house.loop);
    return rmdir(house.dir); /* the file is gone */
}

/* Not one descriptor more from now on. Returns what to restore. */
static struct rlimit descriptors_end(void)
{
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    close(next);
    none = (struct rlimit){(rlim_t)next, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    return before;
}

static void test_a_visitor_is_refused_with_the_reserve(void **state)
{
    (void)state;
    int fd = visit();
    struct rlimit before = descriptors_end();
    turns(1);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(house.refused, 1);
    assert_true(house.door.spare_fd >= 0);
    close(fd);
    fd = visit();
    turns(1);
    assert_int_equal(house.admitted, 1);
    close(fd);
}

static void test_the_door_pauses_without_a_reserve(void **state)
{
    (void)state;
    int spare = house.door.spare_fd, fd = visit();
    struct rlimit before = descriptors_end();
    house.door.spare_fd = -1; /* as if another program had taken its place */
    turns(1);
    assert_int_equal(house.door.watch.events, 0); /* it would spin */
    assert_int_equal(house.admitted + house.refused, 0);
    setrlimit(RLIMIT_NOFILE, &before);
    close(spare);
    turns(2); /* the timer rings; the visitor comes in */
    assert_int_equal(house.admitted, 1);
    assert_true(house.door.spare_fd >= 0);
    close(fd);
}

static void test_a_door_that_answers_is_not_taken(void **state)
{
    struct door second = {0};
    (void)state;
    assert_int_equal(door_open(&second, &house.loop, house.dir, "door", SOCK_STREAM, enter),
                     -EADDRINUSE);
    door_close(&second);
    close(visit()); /* the first one is still there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_are_shared),
        cmocka_unit_test_setup_teardown(test_a_visitor_is_refused_with_the_reserve, house_open,
                                        house_close),
        cmocka_unit_test_setup_teardown(test_the_door_pauses_without_a_reserve, house_open,
                                        house_close),
        cmocka_unit_test_setup_teardown(test_a_door_that_answers_is_not_taken, house_open,
                                        house_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
