/* Probes: what ping and traceroute see, matched, timed and told once (stage S23). */
#include "net_harness.h"

static uint8_t bytes[FRAME_BYTES_MAX];
static int prober;
static const uint8_t *message;
static size_t message_bytes;

static const struct stack_probe echo_56 = {
    .destination_v4 = PEER_V4,
    .kind = STACK_PROBE_ECHO,
    .payload_bytes = 56,
    .pattern = -1,
    .timeout_us = 1000000,
};

static int open_probe(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    prober = stack_probe_open(net);
    return prober > 0 ? 0 : -1;
}

static int close_probe(void **state)
{
    (void)state;
    stack_probe_close(net, prober);
    net_close();
    return 0;
}

static int send_probe(struct stack_probe probe)
{
    return stack_probe_send(net, prober, &probe, net_now);
}

static struct stack_probe_answer answer(void)
{
    struct stack_probe_answer answer;
    assert_true(stack_probe_next(net, prober, &answer, net_now));
    return answer;
}

static void no_answer(void)
{
    struct stack_probe_answer answer;
    assert_false(stack_probe_next(net, prober, &answer, net_now));
}

/* Pulls the probe that was sent. */
static struct ipv4_header pull_probe(void)
{
    assert_true(net_pull());
    return out_ip(&message, &message_bytes);
}

/* The echo reply to the message that was pulled. Returns the frame's size. */
static size_t make_reply(uint32_t from_v4)
{
    return make_icmp(bytes, ICMP_ECHO_REPLY, 0, bytes_get32(message + 4), message + 8,
                     message_bytes - 8, from_v4, OUR_V4);
}

/* An error that quotes the whole header and the first 8 bytes of the datagram that was pulled. */
static size_t make_error(uint8_t type, uint8_t code, uint32_t rest, uint32_t from_v4)
{
    return make_icmp(bytes, type, code, rest, out_bytes + ETHERNET_HEADER_BYTES,
                     IPV4_HEADER_BYTES + 8, from_v4, OUR_V4);
}

static void an_echo_comes_back(void **state)
{
    (void)state;
    struct icmp_header icmp;
    for (int sequence = 0; sequence < 3; sequence++) {
        assert_int_equal(send_probe(echo_56), sequence);
        struct ipv4_header ip = pull_probe();
        assert_int_equal(ip.protocol, IPV4_PROTOCOL_ICMP);
        assert_int_equal(ip.source_v4, OUR_V4);
        assert_int_equal(ip.ttl, 64);
        assert_int_equal(icmp_parse(message, message_bytes, &icmp), 0);
        assert_int_equal(icmp.type, ICMP_ECHO_REQUEST);
        assert_int_equal(icmp.rest & 0xffff, sequence);
        assert_int_equal(message_bytes, 64);
        no_answer();
        net_now += 1234;
        assert_int_equal(net_give(bytes, make_reply(PEER_V4)), 0);
        struct stack_probe_answer got = answer();
        assert_int_equal(got.outcome, STACK_PROBE_REPLY);
        assert_int_equal(got.sequence, sequence);
        assert_int_equal(got.from_v4, PEER_V4);
        assert_int_equal(got.rtt_us, 1234);
        assert_int_equal(got.bytes, 64);
        assert_int_equal(got.ttl, 64);
        assert_false(got.damaged || got.late);
        no_answer();
    }
    net_now += 10000000;
    no_answer();
    assert_int_equal(counter(STACK_COUNTER_ICMP_OUT_ECHOS), 3);
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_ECHO_REPS), 3);
}

static void what_is_asked_is_sent(void **state)
{
    (void)state;
    struct stack_probe probe = echo_56;
    probe.ttl = 3;
    probe.tos = 0x10;
    probe.dont_fragment = true;
    probe.pattern = 0xa5;
    probe.payload_bytes = 1472;
    assert_int_equal(send_probe(probe), 0);
    struct ipv4_header ip = pull_probe();
    assert_int_equal(ip.ttl, 3);
    assert_int_equal(ip.tos, 0x10);
    assert_true(ip.dont_fragment);
    assert_int_equal(ip.total_bytes, 1500);
    for (size_t i = 8; i < message_bytes; i++)
        assert_int_equal(message[i], 0xa5);
    assert_int_equal(net_give(bytes, make_reply(PEER_V4)), 0);
    assert_false(answer().damaged);
}

static void duplicates_and_late_answers_are_known(void **state)
{
    (void)state;
    send_probe(echo_56);
    pull_probe();
    size_t size = make_reply(PEER_V4);
    net_give(bytes, size);
    net_give(bytes, size);
    assert_int_equal(answer().outcome, STACK_PROBE_REPLY);
    assert_int_equal(answer().outcome, STACK_PROBE_DUPLICATE);
    send_probe(echo_56);
    pull_probe();
    net_now += 999999;
    no_answer();
    net_now += 1;
    struct stack_probe_answer lost = answer();
    assert_int_equal(lost.outcome, STACK_PROBE_TIMED_OUT);
    assert_int_equal(lost.sequence, 1);
    no_answer();
    net_give(bytes, make_reply(PEER_V4));
    struct stack_probe_answer late = answer();
    assert_int_equal(late.outcome, STACK_PROBE_REPLY);
    assert_true(late.late);
}

static void what_is_damaged_is_told(void **state)
{
    (void)state;
    send_probe(echo_56);
    pull_probe();
    uint8_t body[56];
    memcpy(body, message + 8, sizeof body);
    body[55] ^= 1;
    net_give(bytes, make_icmp(bytes, ICMP_ECHO_REPLY, 0, bytes_get32(message + 4), body, 56,
                              PEER_V4, OUR_V4));
    assert_true(answer().damaged);
    send_probe(echo_56);
    pull_probe();
    net_give(bytes, make_icmp(bytes, ICMP_ECHO_REPLY, 0, bytes_get32(message + 4), message + 8, 55,
                              PEER_V4, OUR_V4));
    assert_true(answer().damaged);
}

static void strangers_answers_are_dropped(void **state)
{
    (void)state;
    send_probe(echo_56);
    pull_probe();
    uint32_t rest = bytes_get32(message + 4);
    static const struct {
        const char *name;
        uint32_t change, from_v4;
    } rows[] = {
        {"another identifier", 0x00010000, PEER_V4},
        {"another sequence number", 1, PEER_V4},
        {"the same slot's other sequence number", 256, PEER_V4},
        {"another host", 0, 0x0a4d0003},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t size = make_icmp(bytes, ICMP_ECHO_REPLY, 0, rest ^ rows[i].change, message + 8, 56,
                                rows[i].from_v4, OUR_V4);
        if (net_give(bytes, size) != -1)
            fail_msg("taken: %s", rows[i].name);
        no_answer();
    }
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_IGNORED), sizeof rows / sizeof rows[0]);
}

static void errors_are_told_with_their_sender(void **state)
{
    static const struct {
        uint8_t type, code;
    } rows[] = {{ICMP_TIME_EXCEEDED, 0},
                {ICMP_DESTINATION_UNREACHABLE, 1},
                {ICMP_DESTINATION_UNREACHABLE, 13},
                {ICMP_PARAMETER_PROBLEM, 0}};
    (void)state;
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        struct stack_probe probe = echo_56;
        probe.kind = i % 2 ? STACK_PROBE_UDP : STACK_PROBE_ECHO;
        int sequence = send_probe(probe);
        pull_probe();
        net_now += 77;
        size_t size = make_error(rows[i / 2].type, rows[i / 2].code, 0, 0x0a4d0009);
        assert_int_equal(net_give(bytes, size), 0);
        struct stack_probe_answer got = answer();
        assert_int_equal(got.outcome, STACK_PROBE_ERROR);
        assert_int_equal(got.sequence, sequence);
        assert_int_equal(got.from_v4, 0x0a4d0009);
        assert_int_equal(got.type, rows[i / 2].type);
        assert_int_equal(got.code, rows[i / 2].code);
        assert_int_equal(got.rtt_us, 77);
        net_give(bytes, size); /* once is enough */
        no_answer();
    }
}

static void udp_goes_to_a_new_port_each_time(void **state)
{
    (void)state;
    struct stack_probe probe = echo_56;
    probe.kind = STACK_PROBE_UDP;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_probe(probe), i);
        assert_int_equal(pull_probe().protocol, IPV4_PROTOCOL_UDP);
        assert_int_equal(bytes_get16(message + 2), 33434 + i);
        assert_int_equal(bytes_get16(message + 4), 64);
        struct ip_address from = ip_address_from_v4(OUR_V4), to = ip_address_from_v4(PEER_V4);
        uint32_t sum = checksum_add_pseudo(0, &from, &to, IPV4_PROTOCOL_UDP, message_bytes);
        assert_int_equal(checksum_finish(checksum_add(sum, message, message_bytes)), 0);
    }
}

/* Somebody is at the port after all: that is an answer, too. */
static void a_udp_reply_is_an_answer(void **state)
{
    (void)state;
    struct stack_probe probe = echo_56;
    probe.kind = STACK_PROBE_UDP;
    send_probe(probe);
    pull_probe();
    uint8_t *udp = bytes + IP_PAYLOAD_OFFSET;
    bytes_put16(udp, bytes_get16(message + 2));
    bytes_put16(udp + 2, bytes_get16(message));
    bytes_put32(udp + 4, 8 << 16); /* no sum */
    net_now += 50;
    assert_int_equal(net_give(bytes, head_datagram(bytes, IPV4_PROTOCOL_UDP, PEER_V4, OUR_V4, 8)),
                     0);
    struct stack_probe_answer got = answer();
    assert_int_equal(got.outcome, STACK_PROBE_REPLY);
    assert_int_equal(got.rtt_us, 50);
    assert_int_equal(counter(STACK_COUNTER_UDP_NO_PORTS), 0);
    assert_false(net_pull());
}

static void a_dead_neighbor_is_told_by_ourselves(void **state)
{
    (void)state;
    for (int kind = STACK_PROBE_ECHO; kind <= STACK_PROBE_UDP; kind++) {
        struct stack_probe probe = echo_56;
        probe.kind = (uint8_t)kind;
        probe.destination_v4 = 0x0a4d0020 + (uint32_t)kind;
        probe.timeout_us = 20000000;
        assert_int_equal(send_probe(probe), kind);
        net_wait(19000000);
        struct stack_probe_answer got = answer();
        assert_int_equal(got.outcome, STACK_PROBE_ERROR);
        assert_int_equal(got.from_v4, 0);
        assert_int_equal(got.type, ICMP_DESTINATION_UNREACHABLE);
        assert_int_equal(got.code, ICMP_CODE_HOST_UNREACHABLE);
        no_answer();
    }
}

static void too_big_teaches_the_path_mtu(void **state)
{
    (void)state;
    struct stack_probe probe = echo_56;
    probe.payload_bytes = 1472;
    probe.dont_fragment = true;
    send_probe(probe);
    pull_probe();
    net_give(bytes, make_error(ICMP_DESTINATION_UNREACHABLE, ICMP_CODE_FRAGMENTATION_NEEDED, 900,
                               0x0a4d0009));
    assert_int_equal(answer().mtu, 900);
    struct stack_pmtu pmtu;
    uint32_t cursor = 0;
    assert_true(stack_next_pmtu(net, &cursor, &pmtu, net_now));
    assert_int_equal(pmtu.destination_v4, PEER_V4);
    assert_int_equal(pmtu.mtu_bytes, 900);
    send_probe(probe); /* it is known by now: nothing leaves */
    assert_false(net_pull());
    struct stack_probe_answer got = answer();
    assert_int_equal(got.from_v4, 0);
    assert_int_equal(got.code, ICMP_CODE_FRAGMENTATION_NEEDED);
    assert_int_equal(got.mtu, 900);
    probe.payload_bytes = 900 - 28;
    send_probe(probe);
    pull_probe();
}

static void what_cannot_be_sent(void **state)
{
    (void)state;
    struct stack_probe probe = echo_56;
    probe.payload_bytes = 65508;
    assert_int_equal(send_probe(probe), STACK_INVALID);
    probe = echo_56;
    probe.timeout_us = 0;
    assert_int_equal(send_probe(probe), STACK_INVALID);
    probe = echo_56;
    probe.destination_v4 = 0x08080808;
    assert_int_equal(send_probe(probe), STACK_NO_ROUTE);
    probe.destination_v4 = OUR_V4;
    assert_int_equal(send_probe(probe), STACK_NO_ROUTE);
    assert_int_equal(stack_probe_send(net, 64, &echo_56, net_now), STACK_BAD_HANDLE);
    assert_int_equal(stack_probe_send(net, 0, &echo_56, net_now), STACK_BAD_HANDLE);
    for (int i = 0; i < 256; i++)
        assert_int_equal(send_probe(echo_56), i);
    assert_int_equal(send_probe(echo_56), STACK_AGAIN);
    net_drain();
    net_now += 1000000;
    assert_int_equal(send_probe(echo_56), 256);
    for (int i = 1; i < 256; i++) { /* 0 made room */
        struct stack_probe_answer got = answer();
        assert_int_equal(got.outcome, STACK_PROBE_TIMED_OUT);
        assert_int_equal(got.sequence, i);
    }
    no_answer();
}

static void probers_are_apart(void **state)
{
    (void)state;
    int others[64], count = 0;
    while ((others[count] = stack_probe_open(net)) > 0)
        count++;
    assert_int_equal(others[count], STACK_NO_MEMORY);
    assert_int_equal(count, 63);
    send_probe(echo_56);
    pull_probe();
    net_give(bytes, make_reply(PEER_V4));
    struct stack_probe_answer got;
    for (int i = 0; i < count; i++) {
        assert_false(stack_probe_next(net, others[i], &got, net_now));
        stack_probe_close(net, others[i]);
    }
    assert_int_equal(answer().outcome, STACK_PROBE_REPLY);
    assert_true(stack_probe_open(net) > 0); /* left open: the stack gives it back */
}

/* Nobody who floods us with duplicates makes anything grow. */
static void answers_are_bounded(void **state)
{
    (void)state;
    unsigned kept = 0;
    send_probe(echo_56);
    pull_probe();
    size_t size = make_reply(PEER_V4);
    for (int i = 0; i < 1000; i++)
        kept += net_give(bytes, size) == 0;
    assert_int_equal(kept, 256);
    struct stack_probe_answer got;
    for (unsigned i = 0; i < kept; i++)
        assert_true(stack_probe_next(net, prober, &got, net_now));
    no_answer();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_probe, close_probe)
    const struct CMUnitTest tests[] = {
        TEST(an_echo_comes_back),
        TEST(what_is_asked_is_sent),
        TEST(duplicates_and_late_answers_are_known),
        TEST(what_is_damaged_is_told),
        TEST(strangers_answers_are_dropped),
        TEST(errors_are_told_with_their_sender),
        TEST(udp_goes_to_a_new_port_each_time),
        TEST(a_udp_reply_is_an_answer),
        TEST(a_dead_neighbor_is_told_by_ourselves),
        TEST(too_big_teaches_the_path_mtu),
        TEST(what_cannot_be_sent),
        TEST(probers_are_apart),
        TEST(answers_are_bounded),
    };
    return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
