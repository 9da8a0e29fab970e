/* IGMP, the host's side: joins, queries, reports, leaves (RFC 3376; RFC 2236 and 1112 for their
   routers). */
#include "net_harness.h"

#include "../../tapstack/core/state.h"
#include "../../tapstack/wire/igmp.h"

#define GROUP_V4   UINT32_C(0xef010203)
#define OTHER_V4   UINT32_C(0xef010204)
#define SYSTEMS_V4 UINT32_C(0xe0000001)
#define ROUTERS_V4 UINT32_C(0xe0000002)
#define V3_ROUTERS UINT32_C(0xe0000016)

enum { TENTH_US = 100000, OLDER_QUERIER_US = 260000000 };

static uint8_t bytes[200];

static int member_of(uint32_t v4)
{
    int socket = stack_open(net, IPV4_PROTOCOL_UDP);
    struct ip_address group = ip_address_from_v4(v4);
    assert_int_equal(stack_join_group(net, socket, &group, 0, net_now), 0);
    return socket;
}

static int give_igmp(uint8_t type, uint8_t code, uint32_t group_v4, size_t size,
                     uint32_t destination_v4)
{
    uint8_t *message = bytes + IP_PAYLOAD_OFFSET;
    memset(message, 0, size);
    message[0] = type;
    message[1] = code;
    bytes_put32(message + 4, group_v4);
    bytes_put16(message + 2, checksum_finish(checksum_add(0, message, size)));
    return net_give(bytes, head_datagram(bytes, IPV4_PROTOCOL_IGMP, PEER_V4, destination_v4, size));
}

/* The pulled frame as IGMP, with all that RFC 2236 asks of it. */
static struct igmp_header out_igmp(uint32_t *destination_v4)
{
    static const uint8_t router_alert[4] = {0x94, 4, 0, 0};
    const uint8_t *payload;
    size_t payload_bytes;
    struct igmp_header header;
    struct ipv4_header ip = out_ip(&payload, &payload_bytes);
    assert_int_equal(ip.protocol, IPV4_PROTOCOL_IGMP);
    assert_int_equal(ip.ttl, 1);
    assert_int_equal(ip.header_bytes, 24);
    assert_memory_equal(payload - 4, router_alert, 4);
    assert_int_equal(out_bytes[0], 1);
    assert_int_equal(bytes_get32(out_bytes + 2) & 0x7fffff, ip.destination_v4 & 0x7fffff);
    assert_int_equal(igmp_parse(payload, payload_bytes, &header), 0);
    assert_int_equal(payload_bytes, header.type == IGMP_REPORT_V3 ? 16 : IGMP_BYTES);
    *destination_v4 = ip.destination_v4;
    return header;
}

/* Opens a stack on whose link a router of this version has just asked. */
static void open_with_router(unsigned version)
{
    net_open(NULL);
    assert_int_equal(
        give_igmp(IGMP_QUERY, version == 1 ? 0 : 1, 0, version == 3 ? 12 : 8, SYSTEMS_V4), 0);
    assert_int_equal(net_wait(TENTH_US), 0);
}

/* The pulled frame is a report of version 3 with one record. */
static void expect_record(enum igmp_record record, uint32_t group_v4)
{
    const uint8_t *payload;
    size_t payload_bytes;
    uint32_t destination;
    assert_int_equal(out_igmp(&destination).type, IGMP_REPORT_V3);
    assert_int_equal(destination, V3_ROUTERS);
    out_ip(&payload, &payload_bytes);
    assert_int_equal(bytes_get16(payload + 6), 1);
    assert_int_equal(payload[8], record);
    assert_int_equal(bytes_get16(payload + 10), 0);
    assert_int_equal(bytes_get32(payload + 12), group_v4);
}

/* RFC 3376, 5.1: joining and leaving are told twice, within a second. */
static void test_version_3_tells_changes_twice(void **state)
{
    (void)state;
    net_open(NULL);
    for (unsigned i = 0; i < 2; i++) {
        int socket = member_of(GROUP_V4);
        assert_true(net_pull());
        expect_record(IGMP_CHANGE_TO_EXCLUDE, GROUP_V4);
        assert_int_equal(net_wait(1000000), 1);
        expect_record(IGMP_CHANGE_TO_EXCLUDE, GROUP_V4);
        assert_int_equal(net_wait(100000000), 0);
        stack_close(net, socket, net_now);
        assert_false(ip_is_joined(net, 0, GROUP_V4));
        assert_true(net_pull());
        expect_record(IGMP_CHANGE_TO_INCLUDE, GROUP_V4);
        assert_int_equal(net_wait(1000000), 1);
        expect_record(IGMP_CHANGE_TO_INCLUDE, GROUP_V4);
        assert_int_equal(net_wait(100000000), 0);
    }
    /* Joined again before it has been said twice: the last word counts. */
    int socket = member_of(GROUP_V4);
    stack_close(net, socket, net_now);
    struct stack_group group;
    uint32_t cursor = 0;
    assert_false(stack_next_group(net, &cursor, &group));
    member_of(GROUP_V4);
    assert_int_equal(net_drain(), 3);
    expect_record(IGMP_CHANGE_TO_EXCLUDE, GROUP_V4);
    assert_int_equal(net_wait(1000000), 1);
    expect_record(IGMP_CHANGE_TO_EXCLUDE, GROUP_V4);
    assert_true(ip_is_joined(net, 0, GROUP_V4));
    net_close();
}

/* RFC 3376, 5.2: what is, not what has changed; other hosts' reports spare us nothing. */
static void test_version_3_answers_queries(void **state)
{
    (void)state;
    net_open(NULL);
    member_of(GROUP_V4);
    net_wait(20000000);
    give_igmp(IGMP_QUERY, 50, 0, 12, SYSTEMS_V4);
    give_igmp(IGMP_REPORT_V2, 0, GROUP_V4, 8, GROUP_V4);
    assert_int_equal(net_wait(5000000), 1);
    expect_record(IGMP_MODE_IS_EXCLUDE, GROUP_V4);
    give_igmp(IGMP_QUERY, 0, GROUP_V4, 12, GROUP_V4);
    assert_int_equal(net_wait(TENTH_US), 1);
    expect_record(IGMP_MODE_IS_EXCLUDE, GROUP_V4);
    net_close();
}

/* RFC 3376, 7.2.1: as long as an older router was heard lately, its version is spoken. */
static void test_older_routers_are_spoken_to(void **state)
{
    static const uint8_t types[] = {0, IGMP_REPORT_V1, IGMP_REPORT_V2, IGMP_REPORT_V3};
    uint32_t destination;
    (void)state;
    for (unsigned version = 1; version <= 3; version++) {
        open_with_router(version);
        int first = member_of(GROUP_V4);
        assert_int_equal(net_wait(20000000), 2);
        assert_int_equal(out_igmp(&destination).type, types[version]);
        stack_close(net, first, net_now);
        /* No leave in version 1, one in version 2, two in version 3. */
        assert_int_equal(net_wait(20000000), version - 1);
        net_wait(OLDER_QUERIER_US);
        member_of(GROUP_V4);
        assert_int_equal(net_wait(20000000), 2);
        expect_record(IGMP_CHANGE_TO_EXCLUDE, GROUP_V4);
        net_close();
    }
}

/* What was to be said in one version is not said in another; a query for one group changes no
   version. */
static void test_a_change_of_version_forgets(void **state)
{
    (void)state;
    net_open(NULL);
    stack_close(net, member_of(GROUP_V4), net_now);
    member_of(OTHER_V4);
    net_drain();
    give_igmp(IGMP_QUERY, 50, GROUP_V4, 8, SYSTEMS_V4);
    give_igmp(IGMP_QUERY, 50, OTHER_V4 + 1, 8, SYSTEMS_V4);
    assert_int_equal(net_wait(1000000), 2);
    expect_record(IGMP_CHANGE_TO_EXCLUDE, OTHER_V4);
    stack_close(net, member_of(GROUP_V4), net_now);
    net_drain();
    give_igmp(IGMP_QUERY, 10, 0, 8, SYSTEMS_V4);
    assert_int_equal(net_wait(1000000), 1); /* the answer of the one that is still joined */
    assert_int_equal(net->igmp.left_count, 0);
    net_close();
}

/* RFC 3376, 7.1: a query of no version. RFC 4541, 2.1.1: one without a source. */
static void test_queries_that_are_odd(void **state)
{
    (void)state;
    net_open(NULL);
    member_of(GROUP_V4);
    net_wait(20000000);
    for (size_t size = 9; size < 12; size++)
        assert_int_equal(give_igmp(IGMP_QUERY, 1, 0, size, SYSTEMS_V4), -1);
    assert_int_equal(counter(STACK_COUNTER_IGMP_IN_ERRORS), 3);
    give_igmp(IGMP_QUERY, 1, 0, 8, SYSTEMS_V4);
    net_wait(TENTH_US);
    bytes_put32(bytes + ETHERNET_HEADER_BYTES + 12, 0);
    sum_ip_header(bytes);
    assert_int_equal(net_give(bytes, IP_PAYLOAD_OFFSET + 8), 0);
    assert_int_equal(net_wait(TENTH_US), 1);
    assert_int_equal(make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, "", 0, 0, SYSTEMS_V4), 42);
    assert_int_equal(net_give(bytes, 42), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_IN_MARTIAN_SOURCES), 1);
    net_close();
}

static void expect_report(uint32_t group_v4)
{
    uint32_t destination;
    struct igmp_header header = out_igmp(&destination);
    assert_int_equal(header.type, IGMP_REPORT_V2);
    assert_int_equal(header.group_v4, group_v4);
    assert_int_equal(destination, group_v4);
}

static void test_joining_reports_twice(void **state)
{
    (void)state;
    open_with_router(2);
    int first = member_of(GROUP_V4);
    assert_true(net_pull());
    expect_report(GROUP_V4);
    int second = member_of(GROUP_V4); /* the group is joined already */
    assert_false(net_pull());
    assert_int_equal(net_wait(10000000), 1); /* once more, as the first may be lost */
    expect_report(GROUP_V4);
    assert_int_equal(net_wait(100000000), 0);
    stack_close(net, first, net_now);
    assert_int_equal(net_drain(), 0);
    stack_close(net, second, net_now);
    uint32_t destination;
    assert_int_equal(net_drain(), 1);
    struct igmp_header header = out_igmp(&destination);
    assert_int_equal(header.type, IGMP_LEAVE);
    assert_int_equal(header.group_v4, GROUP_V4);
    assert_int_equal(destination, ROUTERS_V4);
    assert_int_equal(counter(STACK_COUNTER_IGMP_OUT_REPORTS), 2);
    assert_int_equal(counter(STACK_COUNTER_IGMP_OUT_LEAVES), 1);
    net_close();
}

static void test_queries_are_answered_in_time(void **state)
{
    static const struct {
        uint8_t code;
        uint32_t group_v4, destination_v4;
        size_t size;
        uint64_t within_us;
        unsigned reports;
    } cases[] = {
        {10, 0, SYSTEMS_V4, 8, 10 * TENTH_US, 2},
        {1, 0, SYSTEMS_V4, 8, TENTH_US, 2},
        {0, 0, SYSTEMS_V4, 8, 100 * TENTH_US, 2}, /* of version 1 */
        {255, 0, SYSTEMS_V4, 8, 255 * TENTH_US, 2},
        {20, GROUP_V4, GROUP_V4, 8, 20 * TENTH_US, 1},
        {20, GROUP_V4 + 9, SYSTEMS_V4, 8, 20 * TENTH_US, 0},
        {10, 0, SYSTEMS_V4, 12, 10 * TENTH_US, 2},    /* of version 3 */
        {0x80, 0, SYSTEMS_V4, 12, 128 * TENTH_US, 2}, /* its floating-point times */
        {0x9f, 0, SYSTEMS_V4, 12, 496 * TENTH_US, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        net_open(NULL);
        member_of(GROUP_V4);
        member_of(OTHER_V4);
        member_of(SYSTEMS_V4); /* never reported */
        net_wait(20000000);
        assert_int_equal(give_igmp(IGMP_QUERY, cases[i].code, cases[i].group_v4, cases[i].size,
                                   cases[i].destination_v4),
                         0);
        assert_int_equal(net_wait(cases[i].within_us), cases[i].reports);
        assert_int_equal(net_wait(100000000), 0);
        net_close();
    }
}

/* RFC 2236, 3: a query does not put off a report that is due sooner. */
static void test_a_running_timer_is_only_shortened(void **state)
{
    (void)state;
    net_open(NULL);
    member_of(GROUP_V4);
    net_wait(20000000);
    give_igmp(IGMP_QUERY, 10, 0, 8, SYSTEMS_V4);
    give_igmp(IGMP_QUERY, 255, 0, 8, SYSTEMS_V4);
    assert_int_equal(net_wait(1000000), 1);
    give_igmp(IGMP_QUERY, 255, 0, 8, SYSTEMS_V4);
    give_igmp(IGMP_QUERY, 1, 0, 8, SYSTEMS_V4);
    assert_int_equal(net_wait(TENTH_US), 1);
    net_close();
}

static void test_another_report_makes_ours_superfluous(void **state)
{
    (void)state;
    net_open(NULL);
    int socket = member_of(GROUP_V4);
    net_wait(20000000);
    give_igmp(IGMP_QUERY, 100, 0, 8, SYSTEMS_V4);
    assert_int_equal(give_igmp(IGMP_REPORT_V2, 0, GROUP_V4, 8, GROUP_V4), 0);
    assert_int_equal(net_wait(20000000), 0);
    stack_close(net, socket, net_now); /* somebody else is known to be there: no leave */
    assert_int_equal(net_drain(), 0);
    net_close();
}

static void test_what_is_refused(void **state)
{
    (void)state;
    net_open(NULL);
    member_of(GROUP_V4);
    net_wait(20000000);
    assert_int_equal(give_igmp(IGMP_QUERY, 1, 0, 7, SYSTEMS_V4), -1);
    assert_int_equal(counter(STACK_COUNTER_IGMP_IN_ERRORS), 1);
    give_igmp(IGMP_QUERY, 1, 0, 8, SYSTEMS_V4);
    bytes[IP_PAYLOAD_OFFSET + 1] = 2;
    assert_int_equal(net_give(bytes, IP_PAYLOAD_OFFSET + 8), -1);
    assert_int_equal(counter(STACK_COUNTER_IGMP_IN_ERRORS), 2);
    assert_int_equal(give_igmp(0x22, 0, 0, 8, SYSTEMS_V4), -1);
    assert_int_equal(give_igmp(IGMP_REPORT_V2, 0, GROUP_V4 + 5, 8, SYSTEMS_V4), -1);
    assert_int_equal(counter(STACK_COUNTER_IGMP_IN_IGNORED), 2);
    net_close();
}

static void two_groups(struct stack_config *config) { config->settings.igmp_groups_max = 2; }

static void test_the_list_of_groups(void **state)
{
    (void)state;
    net_open(two_groups);
    uint64_t generation = stack_group_generation(net);
    int a = member_of(GROUP_V4);
    assert_int_not_equal(stack_group_generation(net), generation);
    generation = stack_group_generation(net);
    member_of(GROUP_V4);
    assert_int_equal(stack_group_generation(net), generation);
    member_of(OTHER_V4);
    struct ip_address third = ip_address_from_v4(GROUP_V4 + 7);
    assert_int_equal(stack_join_group(net, a, &third, 0, net_now), STACK_NO_MEMORY);
    assert_int_equal(stack_join_group(net, a, &third, 1, net_now), STACK_NOT_AVAILABLE);
    struct stack_group group;
    uint32_t cursor = 0;
    unsigned seen = 0;
    while (stack_next_group(net, &cursor, &group)) {
        assert_int_equal(group.interface, 0);
        assert_int_equal(group.members, group.v4 == GROUP_V4 ? 2 : 1);
        seen++;
    }
    assert_int_equal(seen, 2);
    net_close();
}

static void test_a_socket_has_twenty_groups(void **state)
{
    (void)state;
    open_with_router(2);
    int socket = stack_open(net, IPV4_PROTOCOL_UDP);
    for (uint32_t i = 0; i < 21; i++) {
        struct ip_address group = ip_address_from_v4(GROUP_V4 + i);
        assert_int_equal(stack_join_group(net, socket, &group, 0, net_now),
                         i < 20 ? 0 : STACK_NO_MEMORY);
    }
    net_drain();
    stack_close(net, socket, net_now);
    assert_int_equal(net_drain(), 20);
    assert_int_equal(counter(STACK_COUNTER_IGMP_OUT_LEAVES), 20);
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_3_tells_changes_twice),
        cmocka_unit_test(test_version_3_answers_queries),
        cmocka_unit_test(test_older_routers_are_spoken_to),
        cmocka_unit_test(test_a_change_of_version_forgets),
        cmocka_unit_test(test_queries_that_are_odd),
        cmocka_unit_test(test_joining_reports_twice),
        cmocka_unit_test(test_queries_are_answered_in_time),
        cmocka_unit_test(test_a_running_timer_is_only_shortened),
        cmocka_unit_test(test_another_report_makes_ours_superfluous),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_the_list_of_groups),
        cmocka_unit_test(test_a_socket_has_twenty_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
