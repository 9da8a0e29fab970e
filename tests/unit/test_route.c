/* Routes: longest prefix first, and what may be added; interfaces likewise. */
#include "../../tapstack/core/state.h"
#include "net_harness.h"

#include <time.h>

#define V4(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

static struct route_table table;
static struct pool pool;

enum { ROUTES_MAX = 10000 };

static void open_table(void)
{
    static const struct memory memory = {net_allocate, net_release, NULL};
    net_allocated = 0;
    pool_open(&pool, &memory, 1 << 20);
    route_open(&table, &pool, 12345);
}

static void close_table(void)
{
    route_close(&table);
    pool_close(&pool);
    assert_int_equal(net_allocated, 0);
}

static int add(uint32_t network, unsigned prefix_bits, uint32_t gateway, unsigned interface,
               uint32_t metric)
{
    struct route route = {
        .network = network,
        .gateway = gateway,
        .metric = metric,
        .interface = (uint16_t)interface,
        .prefix_bits = (uint8_t)prefix_bits,
        .kind = STACK_ROUTE_STATIC,
    };
    return route_add(&table, &route, ROUTES_MAX);
}

static void test_s20_longest_prefix_wins(void **state)
{
    static const struct {
        uint32_t destination, next_hop;
        int interface;
    } rows[] = {
        {V4(10, 77, 0, 1), V4(10, 77, 0, 1), 0}, {V4(10, 77, 1, 1), V4(10, 77, 0, 9), 0},
        {V4(10, 78, 0, 1), V4(10, 77, 0, 8), 1}, {V4(192, 0, 2, 1), V4(10, 77, 0, 254), 0},
        {V4(10, 77, 1, 7), V4(10, 77, 1, 7), 2},
    };
    uint32_t next_hop;
    (void)state;
    open_table();
    assert_null(route_find(&table, V4(10, 77, 0, 1), &next_hop));
    assert_int_equal(add(0, 0, V4(10, 77, 0, 254), 0, 0), 0);
    assert_int_equal(add(V4(10, 77, 0, 0), 16, V4(10, 77, 0, 9), 0, 0), 0);
    assert_int_equal(add(V4(10, 77, 1, 7), 32, 0, 2, 0), 0);
    assert_int_equal(add(V4(10, 77, 0, 0), 24, 0, 0, 0), 0);
    assert_int_equal(add(V4(10, 0, 0, 0), 8, V4(10, 77, 0, 8), 1, 0), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct route *route = route_find(&table, rows[i].destination, &next_hop);
        assert_non_null(route);
        assert_int_equal(next_hop, rows[i].next_hop);
        assert_int_equal(route->interface, rows[i].interface);
    }
    close_table();
}

static void test_s20_lowest_metric_wins(void **state)
{
    uint32_t next_hop;
    (void)state;
    open_table();
    assert_int_equal(add(V4(10, 9, 0, 0), 16, 2, 0, 20), 0);
    assert_int_equal(add(V4(10, 9, 0, 0), 16, 1, 1, 10), 0);
    assert_int_equal(add(V4(10, 9, 0, 0), 16, 3, 0, 30), 0);
    assert_int_equal(add(V4(10, 9, 0, 0), 16, 4, 0, 20), STACK_IN_USE);
    assert_int_equal(route_find(&table, V4(10, 9, 1, 1), &next_hop)->metric, 10);
    assert_int_equal(route_find_on(&table, V4(10, 9, 1, 1), 0, &next_hop)->metric, 20);
    assert_null(route_find_on(&table, V4(10, 9, 1, 1), 2, &next_hop));
    route_remove(&table, route_get(&table, V4(10, 9, 0, 0), 16, ROUTE_ANY_METRIC));
    assert_int_equal(route_find(&table, V4(10, 9, 1, 1), &next_hop)->metric, 20);
    assert_int_equal(next_hop, 2);
    route_remove(&table, route_get(&table, V4(10, 9, 0, 0), 16, 30));
    assert_null(route_get(&table, V4(10, 9, 0, 0), 16, 30));
    assert_true(route_uses_gateway(&table, 2, 0));
    route_remove(&table, route_get(&table, V4(10, 9, 0, 0), 16, ROUTE_ANY_METRIC));
    assert_null(route_find(&table, V4(10, 9, 1, 1), &next_hop));
    assert_false(route_uses_gateway(&table, 2, 0));
    assert_true(table.lengths == 0);
    close_table();
}

static void test_refusals(void **state)
{
    (void)state;
    open_table();
    assert_int_equal(add(V4(10, 0, 0, 0), 33, 0, 0, 0), STACK_INVALID);
    assert_int_equal(add(V4(10, 0, 0, 1), 24, 0, 0, 0), STACK_INVALID);
    assert_int_equal(add(1, 0, 0, 0, 0), STACK_INVALID);
    assert_int_equal(add(V4(10, 0, 0, 0), 24, 0, 0, 0), 0);
    assert_int_equal(add(V4(10, 0, 0, 0), 24, 1, 1, 0), STACK_IN_USE);
    assert_int_equal(add(V4(10, 0, 0, 0), 25, 0, 0, 0), 0);
    for (unsigned i = 2; i < ROUTES_MAX; i++)
        assert_int_equal(add(V4(11, 0, 0, 0) + (i << 8), 24, 0, 0, 0), 0);
    assert_int_equal(add(V4(10, 2, 0, 0), 16, 0, 0, 0), STACK_NO_MEMORY);
    assert_int_equal(table.count, ROUTES_MAX);
    close_table();
}

/* Random tables that change give what the plainest search gives. */
static void test_against_plain_search(void **state)
{
    (void)state;
    srand(11);
    open_table();
    struct route plain[60];
    unsigned count = 0;
    for (int i = 0; i < 20000; i++) {
        unsigned bits = (unsigned)rand() % 33;
        uint32_t mask = bits ? ~UINT32_C(0) << (32 - bits) : 0;
        uint32_t network = (V4(10, 77, 0, 0) | (uint32_t)rand() % 4096) & mask;
        uint32_t metric = (uint32_t)rand() % 3;
        if (count == 60 || (count > 0 && rand() % 3 == 0)) {
            unsigned at = (unsigned)rand() % count;
            struct route *gone =
                route_get(&table, plain[at].network, plain[at].prefix_bits, plain[at].metric);
            assert_non_null(gone);
            route_remove(&table, gone);
            plain[at] = plain[--count];
        } else if (add(network, bits, 0, (unsigned)i & 0xffff, metric) == 0) {
            plain[count++] = (struct route){.network = network,
                                            .metric = metric,
                                            .prefix_bits = (uint8_t)bits,
                                            .interface = (uint16_t)i};
        }
        uint32_t v4 = V4(10, 77, 0, 0) | (uint32_t)rand() % 4096, next_hop;
        const struct route *best = NULL;
        for (unsigned j = 0; j < count; j++)
            if ((v4 & address_mask(plain[j].prefix_bits)) == plain[j].network &&
                (!best || plain[j].prefix_bits > best->prefix_bits ||
                 (plain[j].prefix_bits == best->prefix_bits && plain[j].metric < best->metric)))
                best = &plain[j];
        const struct route *found = route_find(&table, v4, &next_hop);
        assert_int_equal(found != NULL, best != NULL);
        if (found)
            assert_int_equal(found->interface, best->interface);
    }
    close_table();
}

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static double lookup_ns(unsigned lookups)
{
    uint32_t next_hop, v4 = 1;
    uint64_t start = clock_ns(), found = 0;
    for (unsigned i = 0; i < lookups; i++) {
        v4 = v4 * 1664525 + 1013904223;
        found += route_find(&table, V4(11, 0, 0, 0) | v4 >> 8, &next_hop) != NULL;
    }
    assert_true(found == lookups);
    return (double)(clock_ns() - start) / lookups;
}

/* What 10,000 routes of the lengths that a provider has cost against two. The bound is wide: it is
   to catch a walk over the table, not a slow machine. */
static void test_ten_thousand_routes_are_quick(void **state)
{
    (void)state;
    srand(12);
    open_table();
    add(0, 0, 1, 0, 0);
    add(V4(10, 77, 0, 0), 24, 0, 0, 0);
    double few_ns = lookup_ns(200000);
    while (table.count < ROUTES_MAX) {
        unsigned bits = 8 + (unsigned)rand() % 17;
        add((V4(11, 0, 0, 0) | ((uint32_t)rand() & 0xffffff)) & address_mask(bits), bits, 1, 0, 0);
    }
    double many_ns = lookup_ns(200000);
    print_message("a lookup takes %.0f ns with 2 routes, %.0f ns with %u\n", few_ns, many_ns,
                  table.count);
    assert_true(many_ns < few_ns * 100 + 2000);
    close_table();
}

static void test_interfaces_that_are_refused(void **state)
{
    static const struct {
        const char *why;
        struct stack_interface_config config;
    } rows[] = {
        {"prefix above 32", {"a", {{2, 1}}, 1500, V4(10, 1, 0, 1), 33}},
        {"MTU below 68", {"a", {{2, 1}}, 67, V4(10, 1, 0, 1), 24}},
        {"no address", {"a", {{2, 1}}, 1500, 0, 24}},
        {"network address", {"a", {{2, 1}}, 1500, V4(10, 1, 0, 0), 24}},
        {"broadcast address", {"a", {{2, 1}}, 1500, V4(10, 1, 0, 255), 24}},
        {"loopback", {"a", {{2, 1}}, 1500, V4(127, 0, 0, 1), 8}},
        {"multicast", {"a", {{2, 1}}, 1500, V4(224, 0, 0, 5), 24}},
        {"group MAC", {"a", {{3, 1}}, 1500, V4(10, 1, 0, 1), 24}},
        {"no MAC", {"a", {{0}}, 1500, V4(10, 1, 0, 1), 24}},
        {"address taken", {"a", {{2, 1}}, 1500, OUR_V4, 30}},
        {"network taken", {"a", {{2, 1}}, 1500, V4(10, 77, 0, 3), 24}},
    };
    (void)state;
    net_open(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (stack_add_interface(net, &rows[i].config, net_now) != STACK_INVALID)
            fail_msg("accepted: %s", rows[i].why);
    assert_int_equal(net_drain(), 0);
    net_close();
}

static void test_interface_is_announced_and_listed(void **state)
{
    struct stack_interface_config second = {"tap1", {{2, 1}}, 9000, V4(10, 88, 0, 2), 31};
    struct stack_route route;
    struct ethernet_header ethernet;
    uint32_t cursor = 0;
    (void)state;
    net_open(NULL);
    assert_int_equal(stack_add_interface(net, &second, net_now), 1);
    assert_true(net_pull());
    struct arp_packet arp = out_arp(&ethernet);
    assert_int_equal(out_frame.interface, 1);
    assert_int_equal(arp.operation, ARP_REQUEST);
    assert_int_equal(arp.sender_v4, second.address_v4);
    assert_int_equal(arp.target_v4, second.address_v4);
    assert_true(mac_address_is_broadcast(&ethernet.destination));
    assert_string_equal(stack_interface(net, 1)->name, "tap1");
    assert_null(stack_interface(net, 2));
    uint32_t networks = 0;
    while (stack_next_route(net, &cursor, &route, net_now)) {
        assert_int_equal(route.kind, STACK_ROUTE_CONNECTED);
        assert_true(route.expires_us == UINT64_MAX);
        networks += route.network + route.prefix_bits;
    }
    assert_int_equal(networks, V4(10, 88, 0, 2) + 31 + V4(10, 77, 0, 0) + 24);
    net_close();
}

static void test_addresses_come_and_go_with_their_routes(void **state)
{
    struct stack_interface_config second = {"tap1", {{2, 1}}, 1500, V4(10, 88, 0, 2), 24};
    struct stack_address address;
    struct stack_route route;
    uint32_t cursor = 0, next_hop, source;
    (void)state;
    net_open(NULL);
    assert_int_equal(stack_add_interface(net, &second, net_now), 1);
    assert_int_equal(stack_add_address(net, 0, V4(10, 77, 0, 3), 24, net_now), 0);
    assert_int_equal(stack_add_address(net, 0, V4(10, 79, 0, 1), 16, net_now), 0);
    assert_int_equal(stack_add_address(net, 0, V4(10, 79, 0, 1), 16, net_now), STACK_IN_USE);
    assert_int_equal(stack_add_address(net, 0, V4(10, 88, 0, 9), 24, net_now), STACK_IN_USE);
    assert_int_equal(stack_add_address(net, 0, V4(10, 80, 0, 0), 24, net_now), STACK_INVALID);
    assert_int_equal(stack_add_address(net, 2, V4(10, 80, 0, 1), 24, net_now), STACK_INVALID);
    assert_int_equal(net_drain(), 3); /* announcements */
    assert_int_equal(stack_add_route(net, V4(10, 9, 0, 0), 16, V4(10, 79, 0, 7), 0), 0);
    assert_int_equal(stack_find_route(net, V4(10, 9, 1, 1), &route, &next_hop, &source, net_now),
                     0);
    assert_int_equal(next_hop, V4(10, 79, 0, 7));
    assert_int_equal(source, V4(10, 79, 0, 1)); /* that of the gateway's network */

    assert_int_equal(stack_remove_address(net, 1, V4(10, 79, 0, 1), net_now), STACK_NOT_AVAILABLE);
    assert_int_equal(stack_remove_address(net, 0, V4(10, 79, 0, 1), net_now), 0);
    assert_int_equal(stack_find_route(net, V4(10, 9, 1, 1), &route, &next_hop, &source, net_now),
                     STACK_NO_ROUTE);
    assert_int_equal(stack_remove_address(net, 0, OUR_V4, net_now), 0);
    assert_int_equal(stack_interface(net, 0)->address_v4, V4(10, 77, 0, 3));
    assert_int_equal(stack_find_route(net, PEER_V4, &route, &next_hop, &source, net_now), 0);
    assert_int_equal(source, V4(10, 77, 0, 3));
    assert_true(stack_next_address(net, &cursor, &address));
    assert_int_equal(address.v4, V4(10, 88, 0, 2));
    assert_true(stack_next_address(net, &cursor, &address));
    assert_int_equal(address.v4, V4(10, 77, 0, 3));
    assert_true(address.primary);
    assert_false(stack_next_address(net, &cursor, &address));
    assert_int_equal(stack_remove_address(net, 0, V4(10, 77, 0, 3), net_now), 0);
    assert_int_equal(stack_find_route(net, PEER_V4, &route, &next_hop, &source, net_now),
                     STACK_NO_ROUTE);
    net_close();
}

/* As many addresses as there may be, in and out again: the hash says what a plain list says. */
static void test_many_addresses(void **state)
{
    (void)state;
    net_open(NULL);
    for (unsigned i = 1; i < ADDRESSES_MAX; i++)
        assert_int_equal(stack_add_address(net, 0, V4(10, 78, i, 1), 24, net_now), 0);
    assert_int_equal(stack_add_address(net, 0, V4(10, 200, 0, 1), 24, net_now), STACK_NO_MEMORY);
    for (unsigned i = 1; i < ADDRESSES_MAX; i += 2)
        assert_int_equal(stack_remove_address(net, 0, V4(10, 78, i, 1), net_now), 0);
    for (unsigned i = 1; i < ADDRESSES_MAX; i++) {
        assert_int_equal(ip_is_local(net, V4(10, 78, i, 1)), i % 2 == 0);
        assert_int_equal(ip_is_broadcast(net, V4(10, 78, i, 255)), i % 2 == 0);
        assert_false(ip_is_local(net, V4(10, 78, i, 2)));
    }
    net_drain();
    net_close();
}

static void test_gateways(void **state)
{
    static const struct {
        uint32_t gateway;
        unsigned interface;
        int result;
    } rows[] = {
        {V4(10, 99, 0, 1), 0, STACK_INVALID}, /* not a neighbor */
        {OUR_V4, 0, STACK_INVALID},           {V4(10, 77, 0, 255), 0, STACK_INVALID},
        {PEER_V4, 1, STACK_INVALID},          {PEER_V4, 0, 0},
        {PEER_V4, 0, STACK_IN_USE},
    };
    (void)state;
    net_open(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(stack_add_route(net, 0, 0, rows[i].gateway, rows[i].interface),
                         rows[i].result);
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s20_longest_prefix_wins),
        cmocka_unit_test(test_s20_lowest_metric_wins),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_against_plain_search),
        cmocka_unit_test(test_ten_thousand_routes_are_quick),
        cmocka_unit_test(test_interfaces_that_are_refused),
        cmocka_unit_test(test_interface_is_announced_and_listed),
        cmocka_unit_test(test_addresses_come_and_go_with_their_routes),
        cmocka_unit_test(test_many_addresses),
        cmocka_unit_test(test_gateways),
    };
    return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
