/* The path MTU cache: bounded, forgetful, never raised by an error (RFC 1191, RFC 5927). */
#include "net_harness.h"

#include "../../tapstack/core/state.h"

static struct stack_pmtu entry_of(uint32_t destination_v4)
{
    struct stack_pmtu pmtu;
    uint32_t cursor = 0;
    while (stack_next_pmtu(net, &cursor, &pmtu, net_now))
        if (pmtu.destination_v4 == destination_v4)
            return pmtu;
    return (struct stack_pmtu){0};
}

static unsigned entries(void)
{
    struct stack_pmtu pmtu;
    uint32_t cursor = 0;
    unsigned count = 0;
    while (stack_next_pmtu(net, &cursor, &pmtu, net_now))
        count++;
    return count;
}

static void what_an_error_claims(void **state)
{
    static const struct {
        const char *name;
        uint32_t rest;
        uint16_t quoted, most, claimed;
    } rows[] = {
        {"the next hop's MTU", 900, 1500, 1500, 900},
        {"its unused half is nobody's", 0xffff0384, 1500, 1500, 900},
        {"as large as what was sent", 1500, 1500, 1500, 0},
        {"larger", 1501, 1500, 1500, 0},
        {"larger than we ever sent", 900, 1500, 800, 0},
        {"larger than what it quotes", 900, 800, 1500, 0},
        {"the least there is", 68, 1500, 1500, 68},
        {"less than can be", 67, 1500, 1500, 0},
        {"a super-frame is quoted", 900, 64000, 1500, 900},
        {"old: below 65535", 0, 65535, 65535, 32000},
        {"old: below 32000", 0, 32000, 65535, 17914},
        {"old: below 9000", 0, 9000, 9000, 8166},
        {"old: below 4352", 0, 4352, 9000, 2002},
        {"old: below 1500", 0, 1500, 1500, 1492},
        {"old: below 1492", 0, 1492, 1500, 1006},
        {"old: below 1006", 0, 1006, 1500, 508},
        {"old: below 508", 0, 508, 1500, 296},
        {"old: below 296", 0, 296, 1500, 68},
        {"old: below 68", 0, 68, 1500, 0},
        {"old: a super-frame is quoted", 0, 64000, 1500, 1492},
        {"nothing sent", 68, 1500, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct icmp_header icmp = {ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_FRAGMENTATION_NEEDED,
                                   rows[i].rest};
        struct ipv4_header quoted = {.total_bytes = rows[i].quoted};
        uint16_t claimed = pmtu_claimed(&icmp, &quoted, rows[i].most);
        if (claimed != rows[i].claimed)
            fail_msg("%s: %u, not %u", rows[i].name, claimed, rows[i].claimed);
    }
}

static void it_only_falls(void **state)
{
    (void)state;
    net_open(NULL);
    assert_int_equal(pmtu_find(net, PEER_V4).mtu_bytes, 1500);
    assert_true(pmtu_lower(net, PEER_V4, 1400, net_now));
    assert_false(pmtu_lower(net, PEER_V4, 1400, net_now));
    assert_false(pmtu_lower(net, PEER_V4, 1450, net_now));
    assert_int_equal(pmtu_find(net, PEER_V4).mtu_bytes, 1400);
    assert_true(pmtu_lower(net, PEER_V4, 600, net_now));
    assert_int_equal(pmtu_find(net, PEER_V4).mtu_bytes, 600);
    assert_false(pmtu_find(net, PEER_V4).locked);
    assert_int_equal(pmtu_find(net, PEER_V4 + 5).mtu_bytes, 1500); /* a path of its own */
    assert_false(pmtu_lower(net, PEER_V4 + 5, 1500, net_now));     /* as the interface */
    assert_int_equal(entries(), 1);
    assert_int_equal(counter(STACK_COUNTER_PMTU_LOWERED), 2);
    net_close();
}

static void below_the_least_it_is_locked(void **state)
{
    (void)state;
    net_open(NULL);
    assert_true(pmtu_lower(net, PEER_V4, 100, net_now));
    assert_int_equal(entry_of(PEER_V4).mtu_bytes, 552);
    assert_true(pmtu_find(net, PEER_V4).locked);
    assert_false(pmtu_lower(net, PEER_V4, 99, net_now));
    stack_settings(net)->ip_min_pmtu = 68;
    assert_true(pmtu_lower(net, PEER_V4, 99, net_now));
    assert_int_equal(pmtu_find(net, PEER_V4).mtu_bytes, 99);
    assert_true(pmtu_find(net, PEER_V4).locked); /* until it is forgotten */
    net_close();
}

static void it_is_forgotten_in_time(void **state)
{
    (void)state;
    net_open(NULL);
    pmtu_lower(net, PEER_V4, 1400, net_now);
    net_now += 300000000;
    pmtu_lower(net, PEER_V4 + 2, 1400, net_now);
    uint32_t generation = net->pmtu.generation;
    assert_int_equal(entry_of(PEER_V4).left_us, 300000000);
    net_now += 299999999;
    net_drain();
    assert_int_equal(entries(), 2);
    assert_int_equal(net->pmtu.generation, generation);
    net_now += 1;
    net_drain();
    assert_int_equal(entries(), 1);
    assert_int_not_equal(net->pmtu.generation, generation);
    assert_int_equal(pmtu_find(net, PEER_V4).mtu_bytes, 1500);
    net_now += 300000000;
    net_drain();
    assert_int_equal(entries(), 0);
    net_close();
}

static void hundred(struct stack_config *config) { config->settings.ip_pmtu_entries = 100; }

/* However many destinations there are, the oldest makes room. */
static void it_is_bounded(void **state)
{
    (void)state;
    net_open(hundred);
    for (uint32_t i = 1; i <= 1000; i++)
        pmtu_lower(net, 0x0a4d0000 + (i % 200) + 3, 1400 - (uint16_t)(i / 200), net_now + i);
    assert_int_equal(entries(), 100);
    assert_int_equal(net->pmtu.count, 100);
    assert_true(entry_of(0x0a4d0003).mtu_bytes != 0); /* the last */
    assert_int_equal(stack_flush_pmtu(net), 100);
    assert_int_equal(entries(), 0);
    stack_settings(net)->ip_pmtu_entries = 1;
    pmtu_lower(net, PEER_V4, 1400, net_now);
    pmtu_lower(net, PEER_V4 + 2, 1400, net_now);
    assert_int_equal(entries(), 1);
    assert_int_equal(entry_of(PEER_V4 + 2).mtu_bytes, 1400);
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_error_claims),
        cmocka_unit_test(it_only_falls),
        cmocka_unit_test(below_the_least_it_is_locked),
        cmocka_unit_test(it_is_forgotten_in_time),
        cmocka_unit_test(it_is_bounded),
    };
    return cmocka_run_group_tests_name("pmtu", tests, NULL, NULL);
}
