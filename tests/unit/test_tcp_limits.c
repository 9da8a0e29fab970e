/* At the limits: no memory at any moment, thousands of connections, every port taken, too many in
   TIME-WAIT, and calls with handles and arguments that cannot be. */
#include "tcp_harness.h"

#include "../../tapstack/lab/world.h"

/* ---- Memory ---- */

/* A stack with the n-th allocation failing; false: not even created. */
static bool start_failing(uint32_t fail_at, bool fail_on)
{
    memset(&h, 0, sizeof h);
    h.now_us = 10 * S;
    h.local_port = HARNESS_PORT;
    h.peer_port = HARNESS_PEER_PORT;
    h.fail_at = fail_at;
    h.fail_on = fail_on;
    struct stack_config config = {.memory = {harness_allocate, harness_release, NULL},
                                  .event_capacity = 64};
    stack_settings_default(&config.settings);
    h.stack = stack_create(&config, h.now_us);
    struct stack_interface_config interface = {.name = "lab0",
                                               .mac = {{2, 0, 0, 0, 0, 2}},
                                               .mtu_bytes = 1500,
                                               .address_v4 = HARNESS_STACK_V4,
                                               .prefix_bits = 24};
    if (h.stack && stack_add_interface(h.stack, &interface, h.now_us) != 0) {
        stack_destroy(h.stack);
        h.stack = NULL;
    }
    return h.stack != NULL;
}

/* A conversation in which every call may fail and every segment may be lost. */
static void converse(void)
{
    struct stack_endpoint local = {.port = HARNESS_PORT}, other = {.port = 5000};
    struct stack_endpoint remote = {ip_address_from_v4(HARNESS_PEER_V4), 4000};
    h.listener = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    stack_bind(h.stack, h.listener, &local);
    stack_listen(h.stack, h.listener, 4);
    in("S 0:0(0) win 65535 <mss 1000,sackOK,TS val 1 ecr 0>");
    in(". 1:1(0) ack 1 win 65535 <nop,nop,TS val 1000 ecr *>");
    h.socket = stack_accept(h.stack, h.listener);
    in("P. 1001:2001(1000) ack 1 win 65535 <nop,nop,TS val 1001 ecr *>");
    in("P. 3001:4001(1000) ack 1 win 65535 <nop,nop,TS val 1001 ecr *>");
    in("P. 1:1001(1000) ack 1 win 65535 <nop,nop,TS val 1001 ecr *>");
    send_flags(20000, 0);
    int active = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    stack_bind(h.stack, active, &other);
    stack_connect(h.stack, active, &remote, h.now_us);
    harness_pump();
    harness_run_until(h.now_us + 2 * S);
    char bytes[5000];
    stack_recv(h.stack, h.socket, bytes, sizeof bytes, h.now_us);
    stack_close(h.stack, h.socket, h.now_us);
    stack_close(h.stack, active, h.now_us);
    in("F. 4001:4001(0) ack 1 win 65535 <nop,nop,TS val 1002 ecr *>");
    harness_run_until(h.now_us + 100 * S);
}

/* Every allocation fails once, and once it is the first of all that fail: nothing crashes, nothing
   is lost from view, and all memory is given back. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (int fail_on = 0; fail_on < 2; fail_on++) {
        uint32_t number = 1;
        for (; number < 10000; number++) {
            if (start_failing(number, fail_on)) {
                converse();
                stack_destroy(h.stack);
            }
            assert_int_equal(h.memory_blocks, 0);
            if (h.allocations < number)
                break;
        }
        assert_in_range(number, 5, 9999);
    }
    h.stack = NULL;
}

/* ---- Numbers ---- */

enum { MANY = 6000 };

struct many {
    struct world *world;
    int listener;
    int client[MANY], server[MANY];
    unsigned accepted;
};

static void many_step(struct many *many, uint64_t for_us)
{
    uint64_t until_us = world_now(many->world) + for_us;
    while (world_step(many->world, until_us))
        ;
}

static void many_open(struct many *many)
{
    struct stack *a = world_stack(many->world, WORLD_A), *b = world_stack(many->world, WORLD_B);
    struct stack_endpoint local = {.port = 80};
    struct stack_endpoint remote = {ip_address_from_v4(world_address(WORLD_B)), 80};
    many->listener = stack_open(b, IPV4_PROTOCOL_TCP);
    assert_int_equal(stack_bind(b, many->listener, &local), 0);
    assert_int_equal(stack_listen(b, many->listener, 1000), 0);
    for (int i = 0; i < MANY; i++) {
        many->client[i] = stack_open(a, IPV4_PROTOCOL_TCP);
        assert_int_equal(stack_connect(a, many->client[i], &remote, world_now(many->world)),
                         STACK_IN_PROGRESS);
        if (i != 0 && i % 500 != 499) /* the first alone: it resolves the neighbor */
            continue;
        many_step(many, 10 * MS);
        int socket;
        while ((socket = stack_accept(b, many->listener)) > 0)
            many->server[many->accepted++] = socket;
    }
    assert_int_equal(many->accepted, MANY);
}

/* A number goes there and back over each, in no particular order. */
static void many_talk(struct many *many)
{
    struct stack *a = world_stack(many->world, WORLD_A), *b = world_stack(many->world, WORLD_B);
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t at = i * 7919 % MANY;
        uint64_t now_us = world_now(many->world);
        assert_int_equal(stack_send(a, many->client[at], &at, sizeof at, 0, now_us), sizeof at);
        if (i % 100 == 99)
            many_step(many, 1 * MS);
    }
    many_step(many, 1 * S);
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t number;
        uint64_t now_us = world_now(many->world);
        assert_int_equal(stack_recv(b, many->server[i], &number, sizeof number, now_us),
                         sizeof number);
        assert_int_equal(stack_send(b, many->server[i], &number, sizeof number, 0, now_us),
                         sizeof number);
        if (i % 100 == 99)
            many_step(many, 1 * MS);
    }
    many_step(many, 1 * S);
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t number = 0;
        assert_int_equal(
            stack_recv(a, many->client[i], &number, sizeof number, world_now(many->world)),
            sizeof number);
        assert_int_equal(number, i);
    }
}

/* Thousands at once: the tables grow, ports are drawn, each connection keeps its own bytes, an idle
   one holds no buffer, and all are forgotten in the end. */
static void thousands_of_connections(void **state)
{
    (void)state;
    static struct many many;
    struct world_config config;
    struct stack_usage usage;
    world_config_default(&config);
    many.world = world_create(&config);
    many_open(&many);
    many_talk(&many);
    for (int side = 0; side < WORLD_SIDES; side++) {
        stack_usage(world_stack(many.world, side), &usage);
        assert_true(usage.sockets >= MANY);
        assert_int_equal(usage.buffer_bytes, 0);
    }
    for (int i = 0; i < MANY; i++) {
        stack_close(world_stack(many.world, WORLD_A), many.client[i], world_now(many.world));
        stack_close(world_stack(many.world, WORLD_B), many.server[i], world_now(many.world));
        if (i % 100 == 99)
            many_step(&many, 1 * MS);
    }
    many_step(&many, 200 * S);
    for (int side = 0; side < WORLD_SIDES; side++) {
        stack_usage(world_stack(many.world, side), &usage);
        assert_int_equal(usage.sockets, side == WORLD_B);
        assert_int_equal(usage.time_wait, 0);
        assert_int_equal(usage.buffer_bytes, 0);
    }
    world_destroy(many.world);
}

/* ---- Ports ---- */

static int connect_to(uint16_t port)
{
    struct stack_endpoint remote = {ip_address_from_v4(HARNESS_PEER_V4), port};
    int socket = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    int result = stack_connect(h.stack, socket, &remote, h.now_us);
    if (result != STACK_IN_PROGRESS)
        stack_close(h.stack, socket, h.now_us);
    return result;
}

/* Every ephemeral port is taken; a connection to elsewhere has ports of its own. */
static void ports_run_out(void **state)
{
    (void)state;
    set("tcp.port_first", 50000);
    set("tcp.port_last", 50009);
    for (int i = 0; i < 10; i++)
        assert_int_equal(connect_to(4000), STACK_IN_PROGRESS);
    assert_int_equal(connect_to(4000), STACK_NOT_AVAILABLE);
    struct stack_summary summary;
    unsigned seen = 0;
    for (uint32_t cursor = 0; stack_next_summary(h.stack, &cursor, &summary, h.now_us);)
        seen |= 1U << (summary.local.port - 50000);
    assert_int_equal(seen, 1023);
    harness_pump();
    ignore_all();
}

/* ---- TIME-WAIT ---- */

static void go_to_time_wait_from(uint16_t port)
{
    h.peer_port = port;
    establish("mss 1000");
    close_socket();
    in("F. 1:1(0) ack 2 win 65535");
    ignore_all();
}

/* The oldest gives way. */
static void time_wait_is_bounded(void **state)
{
    (void)state;
    struct stack_usage usage;
    set("tcp.time_wait_max", 3);
    for (uint16_t port = 40000; port < 40005; port++)
        go_to_time_wait_from(port);
    stack_usage(h.stack, &usage);
    assert_int_equal(usage.time_wait, 3);
    assert_int_equal(count_of(STACK_COUNTER_TW_OVERFLOW), 2);
    h.peer_port = 40000;
    state_is(TCP_CLOSED);
    h.peer_port = 40004;
    state_is(TCP_TIME_WAIT);
}

static void time_wait_can_be_none(void **state)
{
    (void)state;
    set("tcp.time_wait_max", 0);
    go_to_time_wait_from(40000);
    state_is(TCP_CLOSED);
}

/* ---- Listening ---- */

/* Embryonic connections are bounded too; those that stand are not touched by a flood of SYNs. */
static void syn_flood_is_bounded(void **state)
{
    (void)state;
    struct stack_usage usage;
    set("tcp.backlog_max", 50);
    establish("mss 1000");
    uint16_t standing = h.peer_port;
    for (h.peer_port = 41000; h.peer_port < 41000 + HARNESS_FLOWS - 2; h.peer_port++)
        in("S 0:0(0) win 65535 <mss 1000>");
    ignore_all();
    stack_usage(h.stack, &usage);
    assert_true(usage.connections_by_state[TCP_SYN_RECEIVED] <= 50);
    assert_true(count_of(STACK_COUNTER_LISTEN_DROPS) + count_of(STACK_COUNTER_LISTEN_OVERFLOWS) >
                0);
    h.peer_port = standing;
    in("P. 1:11(10) ack 1 win 65535");
    out(". 1:1(0) ack 11");
}

/* ---- Handles and arguments ---- */

static void bad_handles_are_told(void **state)
{
    (void)state;
    static const int handles[] = {0, -1, 12345, INT32_MAX};
    struct stack_endpoint any = {.port = 99};
    struct stack_info information;
    struct stack_summary summary;
    struct stack_room room[2];
    struct frame_piece piece[2];
    uint64_t value;
    char byte;
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++) {
        int bad = handles[i];
        assert_int_equal(stack_bind(h.stack, bad, &any), STACK_BAD_HANDLE);
        assert_int_equal(stack_listen(h.stack, bad, 1), STACK_BAD_HANDLE);
        assert_int_equal(stack_accept(h.stack, bad), STACK_BAD_HANDLE);
        assert_int_equal(stack_connect(h.stack, bad, &any, h.now_us), STACK_BAD_HANDLE);
        assert_int_equal(stack_send(h.stack, bad, "x", 1, 0, h.now_us), STACK_BAD_HANDLE);
        assert_int_equal(stack_send_reserve(h.stack, bad, 1, room), STACK_BAD_HANDLE);
        assert_int_equal(stack_recv(h.stack, bad, &byte, 1, h.now_us), STACK_BAD_HANDLE);
        assert_int_equal(stack_recv_peek(h.stack, bad, piece), STACK_BAD_HANDLE);
        assert_int_equal(stack_shutdown(h.stack, bad, STACK_SHUTDOWN_WRITE, h.now_us),
                         STACK_BAD_HANDLE);
        assert_int_equal(stack_abort(h.stack, bad, h.now_us), STACK_BAD_HANDLE);
        assert_int_equal(stack_set_option(h.stack, bad, STACK_OPTION_NODELAY, 1, h.now_us),
                         STACK_BAD_HANDLE);
        assert_int_equal(stack_get_option(h.stack, bad, STACK_OPTION_NODELAY, &value),
                         STACK_BAD_HANDLE);
        assert_int_equal(stack_info(h.stack, bad, &information, h.now_us), STACK_BAD_HANDLE);
        assert_int_equal(stack_summary(h.stack, bad, &summary, h.now_us), STACK_BAD_HANDLE);
    }
    assert_int_equal(stack_kill(h.stack, 9999, h.now_us), STACK_BAD_HANDLE);
}

static void bad_arguments_are_told(void **state)
{
    (void)state;
    assert_int_equal(stack_open(h.stack, IPV4_PROTOCOL_ICMP), STACK_NOT_SUPPORTED);
    int socket = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    struct stack_endpoint foreign = {ip_address_from_v4(0x08080808), 99}, local = {.port = 99};
    assert_int_equal(stack_bind(h.stack, socket, &foreign), STACK_NOT_AVAILABLE);
    assert_int_equal(stack_bind(h.stack, socket, &local), 0);
    assert_int_equal(stack_bind(h.stack, socket, &local), STACK_INVALID);
    assert_int_equal(stack_accept(h.stack, socket), STACK_INVALID);
    int unbound = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    assert_int_equal(stack_listen(h.stack, unbound, 1), STACK_INVALID);
    static const struct {
        enum stack_option option;
        uint64_t value;
    } bad[] = {
        {STACK_OPTION_NODELAY, 2},        {STACK_OPTION_TTL, 256},
        {STACK_OPTION_TOS, 256},          {STACK_OPTION_KEEPCNT, 0},
        {STACK_OPTION_KEEPIDLE_US, 0},    {STACK_OPTION_KEEPINTVL_US, 0},
        {STACK_OPTION_RECEIVE_BUFFER, 1}, {STACK_OPTION_SEND_BUFFER, 1ULL << 40},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(stack_set_option(h.stack, socket, bad[i].option, bad[i].value, h.now_us),
                         STACK_INVALID);
    assert_true(stack_set_option(h.stack, socket, (enum stack_option)999, 1, h.now_us) < 0);
}

/* What is set can be read back. */
static void options_are_read_back(void **state)
{
    (void)state;
    static const struct {
        enum stack_option option;
        uint64_t value;
    } rows[] = {
        {STACK_OPTION_NODELAY, 1},
        {STACK_OPTION_CORK, 1},
        {STACK_OPTION_KEEPALIVE, 1},
        {STACK_OPTION_KEEPIDLE_US, 5000000},
        {STACK_OPTION_KEEPINTVL_US, 6000000},
        {STACK_OPTION_KEEPCNT, 7},
        {STACK_OPTION_USER_TIMEOUT_US, 8000000},
        {STACK_OPTION_SYN_RETRIES, 9},
        {STACK_OPTION_RECEIVE_BUFFER, 10000},
        {STACK_OPTION_SEND_BUFFER, 11000},
        {STACK_OPTION_MAXIMUM_SEGMENT, 1200},
        {STACK_OPTION_TTL, 13},
        {STACK_OPTION_TOS, 0x28},
        {STACK_OPTION_LINGER_RESET, 1},
        {STACK_OPTION_REUSE_ADDRESS, 1},
    };
    h.socket = stack_open(h.stack, IPV4_PROTOCOL_TCP);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 0;
        option(rows[i].option, rows[i].value);
        assert_int_equal(stack_get_option(h.stack, h.socket, rows[i].option, &value), 0);
        assert_int_equal(value, rows[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(thousands_of_connections),
        harness_test(ports_run_out),
        harness_test(time_wait_is_bounded),
        harness_test(time_wait_can_be_none),
        harness_test(syn_flood_is_bounded),
        harness_test(bad_handles_are_told),
        harness_test(bad_arguments_are_told),
        harness_test(options_are_read_back),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
