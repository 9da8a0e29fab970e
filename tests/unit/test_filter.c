/* Stage S21, the packet filter: its text, its rules against packets, its place in the stack. */
#include "net_harness.h"

#include <stdio.h>

#include "../../tapstack/core/filter_text.h"
#include "../../tapstack/core/state.h"
#include "../../tapstack/wire/tcp.h"

static struct stack_filter_error problem;

/* ---- Text ---- */

/* Reads one line; fails when it has an error. */
static struct filter_rule read_rule(const char *line)
{
    struct stack_filter_error error = {0};
    struct filter_rule rule;
    const char *at = line, *end = line + strlen(line);
    if (filter_text_read(&at, end, FILTER_TEXT_LINE, &rule, &error) != FILTER_LINE_RULE)
        fail_msg("%s: column %u: %s", line, error.column, error.message);
    assert_true(at == end);
    return rule;
}

static void test_S21_rule_to_text_and_back(void **state)
{
    static const struct {
        const char *given, *written; /* NULL: the same */
    } rows[] = {
        {"input accept", NULL},
        {"output drop", NULL},
        {"forward log", NULL},
        {"  input\taccept  ", "input accept"},
        {"input reject", NULL},
        {"input reject with host-prohibited proto udp", NULL},
        {"input reject with tcp-reset", "input reject with tcp-reset proto tcp"},
        {"input accept in tap0", NULL},
        {"forward accept in not tap0 out tap1", NULL},
        {"output drop out not tap1", NULL},
        {"input accept from 10.77.0.0/24", NULL},
        {"input accept from not 10.77.0.1 to 10.77.0.2", NULL},
        {"input accept from any to any", "input accept"},
        {"input accept from 0.0.0.0/0", "input accept"},
        {"input accept from 0.0.0.0", NULL},
        {"input accept from 128.0.0.0/1", NULL},
        {"input accept port 80", NULL},
        {"input accept proto tcp to 10.77.0.2 port 80 state new",
         "input accept proto tcp to 10.77.0.2 port 80 state new"},
        {"input accept to 10.77.0.2 port 80 proto tcp",
         "input accept proto tcp to 10.77.0.2 port 80"},
        {"input accept from any port 53", NULL},
        {"input accept from any port 53 to any port 1024-65535", NULL},
        {"input accept from 10.77.0.1 port 53 port 54",
         "input accept from 10.77.0.1 port 53 to any port 54"},
        {"input accept from 10.77.0.1 proto tcp port 22",
         "input accept proto tcp from 10.77.0.1 to any port 22"},
        {"input accept port not 1-1023", NULL},
        {"input accept port 0-65535", NULL},
        {"input drop proto 47", NULL},
        {"input drop proto 6", "input drop proto tcp"},
        {"input drop proto igmp", NULL},
        {"input drop flags S/SA", "input drop proto tcp flags S/SA"},
        {"input drop flags syn/syn,ack,fin,rst", "input drop proto tcp flags S/FSRA"},
        {"input drop flags none/FSRPAUEW", "input drop proto tcp flags none/FSRPAUEW"},
        {"input drop proto tcp flags FPU", "input drop proto tcp flags FPU/FPU"},
        {"input accept type echo-request", "input accept proto icmp type echo-request"},
        {"input accept proto icmp type 3 code 4",
         "input accept proto icmp type unreachable code 4"},
        {"input accept proto icmp type 42", NULL},
        {"input accept state related,established", "input accept state established,related"},
        {"input drop state invalid name \"bad ones; # not a comment\"", NULL},
        {"input drop name web", "input drop name \"web\""},
        {"input accept # a comment", "input accept"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[STACK_FILTER_TEXT_MAX];
        struct filter_rule rule = read_rule(rows[i].given), again;
        filter_text_write(&rule, text, sizeof text);
        assert_string_equal(text, rows[i].written ? rows[i].written : rows[i].given);
        again = read_rule(text);
        assert_memory_equal(&rule, &again, sizeof rule);
    }
}

static void test_S21_longest_rule_fits_its_text(void **state)
{
    char text[STACK_FILTER_TEXT_MAX];
    struct filter_rule rule = read_rule(
        "forward reject with tcp-reset in not abcdefghijklmno out not abcdefghijklmno proto tcp "
        "from not 255.255.255.254/31 port not 10000-65534 to not 255.255.255.254/31 port not "
        "10000-65534 flags FSRPAUEW/FSRPAUEW state new,established,related,invalid name "
        "\"1234567890123456789012345678901\"");
    (void)state;
    filter_text_write(&rule, text, sizeof text);
    assert_true(strlen(text) < sizeof text - 1);
    struct filter_rule again = read_rule(text);
    assert_memory_equal(&rule, &again, sizeof rule);
}

static const struct {
    const char *text;
    unsigned line, column;
    const char *message; /* how it begins */
} error_rows[] = {
    {"inptu accept", 1, 1, "no such chain: \"inptu\"; did you mean \"input\"?"},
    {"input acept", 1, 7, "no such target: \"acept\"; did you mean \"accept\"?"},
    {"input", 1, 6, "what to do is missing"},
    {"input accept\ninput drop prot tcp", 2, 12,
     "no such criterion: \"prot\"; did you mean \"proto\"?"},
    {"input accept; output drop ;forward dorp", 1, 36, "no such target: \"dorp\""},
    {"# one\n\n  input accept state old", 3, 22, "no such state: \"old\""},
    {"input policy reject", 1, 14, "a policy is accept or drop, not \"reject\""},
    {"input policy drop all", 1, 19, "nothing follows a policy"},
    {"input policy", 1, 13, "accept or drop is missing"},
    {"input accept with tcp-reset", 1, 14, "only reject answers"},
    {"input reject with rst", 1, 19, "no such answer: \"rst\""},
    {"input accept in", 1, 16, "an interface's name is missing"},
    {"input accept in abcdefghijklmnop", 1, 17, "not the name of an interface"},
    {"input accept out tap0", 1, 14, "what is for the stack leaves by no interface"},
    {"output accept in tap0", 1, 15, "what the stack sends came in by no interface"},
    {"input accept from 10.77.0.256", 1, 19, "not an address"},
    {"input accept from 10.77.0.1/33", 1, 19, "not an address"},
    {"input accept from 10.77.0.1/24", 1, 19, "bits are set behind the prefix"},
    {"input accept from not any", 1, 23, "not any address"},
    {"input accept from", 1, 18, "an address is missing"},
    {"input accept port 65536", 1, 19, "not a port"},
    {"input accept port 80-79", 1, 19, "not a port"},
    {"input accept port http", 1, 19, "not a port"},
    {"input accept port not 0-65535", 1, 23, "not any port"},
    {"input accept port 80 port 81", 1, 22, "given twice: \"port\""},
    {"input accept proto icmp port 80", 1, 32, "only TCP and UDP have ports"},
    {"input accept proto 256", 1, 20, "no such protocol"},
    {"input accept proto tpc", 1, 20, "no such protocol: \"tpc\"; did you mean \"tcp\"?"},
    {"input accept flags S/A", 1, 20, "flags that the mask leaves out"},
    {"input accept flags X", 1, 20, "no such TCP flag"},
    {"input accept flags none", 1, 20, "no flag is asked for"},
    {"input accept flags S type 8", 1, 28, "ICMP types and TCP"},
    {"input accept proto udp flags S", 1, 31, "flags and tcp-reset need proto tcp"},
    {"input accept proto tcp type 8", 1, 30, "a type needs proto icmp"},
    {"input accept code 1", 1, 14, "a code needs a type"},
    {"input accept type 8 code x", 1, 26, "not an ICMP code"},
    {"input accept type echo-requst", 1, 19,
     "no such ICMP type: \"echo-requst\"; did you mean \"echo-request\"?"},
    {"input accept state new,,related", 1, 20, "no such state: \"\""},
    {"input accept name \"open", 1, 19, "the quote is not closed"},
    {"input accept name \"\"", 1, 19, "a name has 1 to 31 bytes"},
    {"input accept name 12345678901234567890123456789012", 1, 19, "a name has 1 to 31 bytes"},
    {"input accept name \"a\tb\"", 1, 19, "a name is made of printable"},
    {"input accept name a name b", 1, 21, "given twice"},
    {"input accept \x1b[2J", 1, 14, "no such criterion: \"?[2J\""},
    {"input accept aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1, 14,
     "this word is too long"},
};

static void test_S21_errors_have_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof error_rows / sizeof error_rows[0]; i++) {
        struct stack_filter_error error = {0};
        int result = stack_filter_check(error_rows[i].text, strlen(error_rows[i].text), &error);
        if (result != STACK_INVALID || error.line != error_rows[i].line ||
            error.column != error_rows[i].column ||
            strncmp(error.message, error_rows[i].message, strlen(error_rows[i].message)) != 0)
            fail_msg("%s\n%u:%u: %s, wanted %u:%u: %s", error_rows[i].text, error.line,
                     error.column, error.message, error_rows[i].line, error_rows[i].column,
                     error_rows[i].message);
    }
    struct stack_filter_error error = {0};
    assert_int_equal(stack_filter_check("input\0accept", 12, &error), STACK_INVALID);
    assert_int_equal(stack_filter_check("", 0, &error), 0);
    assert_int_equal(stack_filter_check("\n ; # nothing\n", 14, &error), 0);
}

/* ---- The stack ---- */

static void load(const char *text)
{
    if (stack_filter_load(net, text, strlen(text), &problem, net_now) != 0)
        fail_msg("%u:%u: %s", problem.line, problem.column, problem.message);
}

/* The rule that decides on a packet in words: "input 2" or, for the policy, "input 0". */
static const char *decides(const char *packet)
{
    static char text[32];
    struct stack_filter_rule rule;
    uint32_t logs;
    if (stack_filter_test(net, packet, strlen(packet), &rule, &logs, &problem) != 0)
        fail_msg("%s: %u: %s", packet, problem.column, problem.message);
    snprintf(text, sizeof text, "%s %u", rule.chain, rule.number);
    return text;
}

/* One rule against a packet that matches and one that does not. */
static void test_S21_every_criterion(void **state)
{
    static const struct {
        const char *rule, *hit, *miss;
    } rows[] = {
        {"input drop", "input", "output"},
        {"input drop in tap0", "input in tap0", "input"},
        {"input drop in tap0", "input in tap0", "input in tap1"},
        {"input drop in not tap0", "input", "input in tap0"},
        {"output drop out tap0", "output out tap0", "output"},
        {"forward drop in tap0 out not tap0", "forward in tap0", "forward in tap0 out tap0"},
        {"input drop from 10.77.0.1", "input from 10.77.0.1", "input from 10.77.0.2"},
        {"input drop from 10.77.0.0/24", "input from 10.77.0.255", "input from 10.77.1.0"},
        {"input drop from not 10.77.0.0/24", "input from 10.77.1.0", "input from 10.77.0.255"},
        {"input drop to 10.77.0.2", "input to 10.77.0.2", "input to 10.77.0.3"},
        {"input drop to not 10.77.0.2", "input to 10.77.0.3", "input to 10.77.0.2"},
        {"input drop from 0.0.0.0", "input from 0.0.0.0", "input from 0.0.0.1"},
        {"input drop proto tcp", "input proto tcp", "input proto udp"},
        {"input drop proto 47", "input proto 47", "input proto tcp"},
        {"input drop port 80", "input proto tcp port 80", "input proto tcp port 81"},
        {"input drop port 80", "input proto udp port 80", "input proto udp from any port 80"},
        {"input drop port 0", "input proto tcp port 0", "input proto icmp"},
        {"input drop port 0-65535", "input proto udp port 9", "input proto icmp"},
        {"input drop port 10-20", "input proto tcp port 10", "input proto tcp port 9"},
        {"input drop port 10-20", "input proto tcp port 20", "input proto tcp port 21"},
        {"input drop port not 10-20", "input proto tcp port 21", "input proto tcp port 10"},
        {"input drop port not 10-20", "input proto tcp port 9", "input proto tcp port 20"},
        {"input drop port not 0", "input proto tcp port 1", "input proto tcp port 0"},
        {"input drop port not 65535", "input proto tcp port 0", "input proto tcp port 65535"},
        {"input drop port not 22", "input proto tcp port 23", "input proto icmp"},
        {"input drop from any port 53", "input proto udp from any port 53",
         "input proto udp port 53"},
        {"input drop flags S/SA", "input flags S", "input flags SA"},
        {"input drop flags S/SA", "input flags SE", "input flags A"},
        {"input drop flags none/FSRPAUEW", "input proto tcp", "input flags U"},
        {"input drop flags S/S", "input flags SA", "input proto udp"},
        {"input drop type echo-request", "input type 8", "input type 0"},
        {"input drop type 0", "input type 0", "input proto udp"},
        {"input drop type 3 code 4", "input type 3 code 4", "input type 3 code 3"},
        {"input drop state new", "input", "input state established"},
        {"input drop state established,related", "input state related", "input state invalid"},
        {"input drop state invalid", "input state invalid", "input state new"},
    };
    (void)state;
    net_open(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        load(rows[i].rule);
        if (decides(rows[i].hit)[strlen(decides(rows[i].hit)) - 1] != '1')
            fail_msg("%s misses %s", rows[i].rule, rows[i].hit);
        if (decides(rows[i].miss)[strlen(decides(rows[i].miss)) - 1] != '0')
            fail_msg("%s hits %s", rows[i].rule, rows[i].miss);
    }
    net_close();
}

static uint32_t random_state;

static unsigned draw(unsigned below)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % below;
}

/* A criterion with values that collide often; "" as often as not. */
static const char *draw_criterion(void)
{
    static const char *const criteria[] = {
        "from 10.77.0.1",
        "from 10.77.0.0/23",
        "from not 10.77.0.2",
        "from 128.0.0.0/1",
        "to 10.77.0.2",
        "to not 10.0.0.0/8",
        "to 10.78.0.0/15",
        "port 80",
        "port 79-81",
        "port 200-300",
        "port not 80",
        "port not 1-300",
        "proto tcp",
        "proto udp",
        "proto icmp",
        "proto 47",
        "flags S/SA",
        "flags none/FSR",
        "type 8",
        "type 3 code 4",
        "in tap0",
        "in not tap0",
        "in tap1",
        "state new",
        "state invalid,related",
        "from 10.77.0.2 port 256-511",
    };
    enum { COUNT = sizeof criteria / sizeof criteria[0] };
    unsigned which = draw(2 * COUNT);
    return which < COUNT ? criteria[which] : "";
}

/* Rules at random, those that make no sense left out. */
static size_t draw_rules(char *text, size_t capacity, unsigned count)
{
    struct stack_filter_error error;
    size_t used = 0;
    for (unsigned i = 0; i < count;) {
        int size = snprintf(text + used, capacity - used, "input drop %s %s %s\n", draw_criterion(),
                            draw_criterion(), draw_criterion());
        if (stack_filter_check(text + used, (size_t)size, &error) != 0)
            continue;
        used += (size_t)size;
        i++;
    }
    return used;
}

static void draw_key(struct filter_key *key)
{
    static const uint32_t addresses[] = {0x0a4d0001, 0x0a4d0002, 0x0a4d0101, 0x0a4e0002,
                                         0xc0000201};
    static const uint16_t ports[] = {0, 79, 80, 81, 200, 255, 256, 300, 301, 511, 65535};
    static const uint8_t protocols[] = {1, 6, 17, 47};
    struct flow_packet packet = {
        .source_v4 = addresses[draw(5)],
        .destination_v4 = addresses[draw(5)],
        .protocol = protocols[draw(4)],
        .readable = draw(8) > 0,
        .source_port = ports[draw(11)],
        .destination_port = ports[draw(11)],
        .tcp_flags = (uint8_t)draw(32),
        .icmp_type = draw(2) ? 8 : 3,
        .icmp_code = (uint8_t)(3 + draw(2)),
    };
    filter_key_make(key, &packet, (int)draw(3) - 1, -1, (enum flow_state)(1 << draw(4)));
}

/* The index finds what trying one by one finds: every match, in order. */
static void test_S21_index_against_one_by_one(void **state)
{
    static char text[40000];
    static const unsigned counts[] = {15, 16, 63, 64, 65, 128, 300};
    (void)state;
    net_open(NULL);
    random_state = 1;
    for (unsigned round = 0; round < 70; round++) {
        unsigned count = counts[round % 7];
        size_t size = draw_rules(text, sizeof text, count);
        assert_int_equal(stack_filter_load(net, text, size, &problem, net_now), 0);
        const struct filter_list *list = &net->filter.set.chain[FILTER_INPUT];
        struct filter_list plain = *list;
        assert_int_equal(list->index.rows != NULL, count >= FILTER_INDEX_LEAST);
        plain.index.rows = NULL;
        for (unsigned i = 0; i < 300; i++) {
            struct filter_key key;
            draw_key(&key);
            uint32_t at = 0, expected;
            do {
                expected = filter_find(&plain, at, &key);
                at = filter_find(list, at, &key);
                assert_int_equal(at, expected);
            } while (at++ < count);
        }
    }
    net_close();
}

static void test_S21_first_match_decides(void **state)
{
    (void)state;
    net_open(NULL);
    load("input policy drop\n"
         "input log port 80\n"
         "input accept proto tcp port 80\n"
         "output drop\n"
         "input drop proto tcp\n"
         "input accept from 10.77.0.1\n");
    assert_string_equal(decides("input proto tcp port 80"), "input 2");
    assert_string_equal(decides("input proto tcp port 81"), "input 3");
    assert_string_equal(decides("input proto udp port 80 from 10.77.0.1"), "input 4");
    assert_string_equal(decides("input proto udp port 80"), "input 0");
    assert_string_equal(decides("output"), "output 1");
    assert_string_equal(decides("forward"), "forward 0");
    net_close();
}

static void test_S21_test_packets_are_single(void **state)
{
    static const char *const rows[] = {
        "",        "input from 10.0.0.0/8", "input port 1-2",    "input state new,related",
        "nowhere", "input accept",          "input in not tap0",
    };
    struct stack_filter_rule rule;
    uint32_t logs;
    (void)state;
    net_open(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(stack_filter_test(net, rows[i], strlen(rows[i]), &rule, &logs, &problem),
                         STACK_INVALID);
    net_close();
}

static struct stack_filter_rule listed(const char *chain, uint32_t number)
{
    struct stack_filter_rule rule;
    uint32_t cursor = 0;
    while (stack_next_filter_rule(net, &cursor, &rule))
        if (strcmp(rule.chain, chain) == 0 && rule.number == number)
            return rule;
    return (struct stack_filter_rule){.text = "none"};
}

static void test_S21_drop_is_silent_and_counted(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    load("input drop proto icmp type echo-request");
    assert_int_equal(give_echo(PEER_V4, OUR_V4), -1);
    assert_int_equal(net_drain(), 0);
    assert_int_equal(counter(STACK_COUNTER_FILTER_IN_DROPS), 1);
    assert_int_equal(listed("input", 1).packets, 1);
    assert_int_equal(listed("input", 1).bytes, 36);
    assert_int_equal(listed("input", 0).packets, 0);
    load("");
    assert_int_equal(give_echo(PEER_V4, OUR_V4), 0);
    assert_int_equal(net_drain(), 1);
    net_close();
}

static void test_S21_policy_drop(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    load("input policy drop");
    assert_int_equal(give_echo(PEER_V4, OUR_V4), -1);
    assert_int_equal(listed("input", 0).packets, 1);
    assert_int_equal(stack_filter_set_policy(net, "input", "accept", &problem, net_now), 0);
    assert_int_equal(give_echo(PEER_V4, OUR_V4), 0);
    assert_int_equal(stack_filter_set_policy(net, "input", "log", &problem, net_now),
                     STACK_INVALID);
    assert_int_equal(stack_filter_set_policy(net, "inpt", "drop", &problem, net_now),
                     STACK_INVALID);
    net_close();
}

static void test_S21_output_chain(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    load("output reject out tap0 proto icmp type echo-reply");
    give_echo(PEER_V4, OUR_V4);
    assert_int_equal(net_drain(), 0);
    assert_int_equal(counter(STACK_COUNTER_FILTER_OUT_REJECTS), 1);
    net_close();
}

static void test_S21_reject_answers(void **state)
{
    static const struct {
        const char *rule;
        uint8_t code;
    } rows[] = {
        {"input reject proto icmp", 3},
        {"input reject with net-unreachable proto icmp", 0},
        {"input reject with host-unreachable proto icmp", 1},
        {"input reject with protocol-unreachable proto icmp", 2},
        {"input reject with net-prohibited proto icmp", 9},
        {"input reject with host-prohibited proto icmp", 10},
        {"input reject with admin-prohibited proto icmp", 13},
    };
    (void)state;
    net_open(NULL);
    learn_peer();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const uint8_t *payload;
        size_t payload_bytes;
        load(rows[i].rule);
        assert_int_equal(stack_filter_set_policy(net, "output", "drop", &problem, net_now), 0);
        assert_int_equal(give_echo(PEER_V4, OUR_V4), -1);
        assert_true(net_pull());
        assert_int_equal(out_ip(&payload, &payload_bytes).protocol, IPV4_PROTOCOL_ICMP);
        assert_int_equal(payload[0], ICMP_DESTINATION_UNREACHABLE);
        assert_int_equal(payload[1], rows[i].code);
        assert_false(net_pull());
    }
    assert_int_equal(counter(STACK_COUNTER_FILTER_IN_REJECTS), 7);
    net_close();
}

/* A TCP segment from the peer. Returns what stack_input says. */
static int give_tcp(uint8_t flags, uint32_t sequence, uint32_t acknowledgment, bool sum_it)
{
    uint8_t bytes[IP_PAYLOAD_OFFSET + TCP_HEADER_MAX];
    struct tcp_header header = {.source_port = 40000,
                                .destination_port = 22,
                                .sequence = sequence,
                                .acknowledgment = acknowledgment,
                                .window = 1000,
                                .flags = flags};
    struct ip_address source = ip_address_from_v4(PEER_V4), to = ip_address_from_v4(OUR_V4);
    uint8_t *tcp = bytes + IP_PAYLOAD_OFFSET;
    size_t size = tcp_write(&header, tcp);
    uint32_t sum = checksum_add_pseudo(0, &source, &to, IPV4_PROTOCOL_TCP, size);
    bytes_put16(tcp + 16, checksum_finish(checksum_add(sum, tcp, size)) ^ (sum_it ? 0 : 1));
    return net_give(bytes, head_datagram(bytes, IPV4_PROTOCOL_TCP, PEER_V4, OUR_V4, size));
}

static void test_S21_tcp_is_rejected_with_a_reset(void **state)
{
    const uint8_t *payload;
    size_t payload_bytes;
    struct tcp_header header;
    (void)state;
    net_open(NULL);
    learn_peer();
    load("input reject proto tcp port 22; output policy drop");
    assert_int_equal(give_tcp(TCP_SYN, 1000, 0, true), -1);
    assert_true(net_pull());
    assert_int_equal(out_ip(&payload, &payload_bytes).protocol, IPV4_PROTOCOL_TCP);
    assert_int_equal(tcp_parse(payload, payload_bytes, &header), 0);
    assert_int_equal(header.flags, TCP_RST | TCP_ACK);
    assert_int_equal(header.acknowledgment, 1001);
    assert_int_equal(give_tcp(TCP_ACK, 1000, 5000, true), -1);
    assert_true(net_pull());
    out_ip(&payload, &payload_bytes);
    assert_int_equal(tcp_parse(payload, payload_bytes, &header), 0);
    assert_int_equal(header.flags, TCP_RST);
    assert_int_equal(header.sequence, 5000);
    /* Neither a reset nor a segment that was damaged is answered. */
    assert_int_equal(give_tcp(TCP_RST, 1000, 0, true), -1);
    assert_int_equal(give_tcp(TCP_SYN, 1000, 0, false), -1);
    assert_false(net_pull());
    assert_int_equal(counter(STACK_COUNTER_FILTER_IN_REJECTS), 4);
    load("input reject with admin-prohibited proto tcp");
    assert_int_equal(give_tcp(TCP_SYN, 1000, 0, true), -1);
    assert_true(net_pull());
    assert_int_equal(out_ip(&payload, &payload_bytes).protocol, IPV4_PROTOCOL_ICMP);
    net_close();
}

static void set_error_rate(struct stack_config *config) { config->settings.icmp_error_rate = 5; }

static void test_S21_rejects_are_limited(void **state)
{
    (void)state;
    net_open(set_error_rate);
    learn_peer();
    load("input reject proto icmp");
    for (int i = 0; i < 100; i++)
        give_echo(PEER_V4, OUR_V4);
    unsigned answers = net_drain();
    assert_in_range(answers, 1, 5);
    assert_int_equal(counter(STACK_COUNTER_FILTER_IN_REJECTS), 100);
    net_close();
}

static void test_S21_log_tells_and_goes_on(void **state)
{
    struct stack_event event;
    uint64_t cursor = 0;
    bool told = false;
    (void)state;
    net_open(NULL);
    learn_peer();
    load("input accept proto tcp\ninput log proto icmp\n");
    assert_int_equal(give_echo(PEER_V4, OUR_V4), 0);
    while (stack_next_event(net, &cursor, &event, NULL))
        if (event.kind == STACK_EVENT_FILTER) {
            told = true;
            assert_int_equal(event.argument[0], 2);
            assert_int_equal(event.argument[1], PEER_V4);
            assert_int_equal(event.argument[2], OUR_V4);
        }
    assert_true(told);
    assert_int_equal(listed("input", 2).packets, 1);
    assert_int_equal(listed("input", 0).packets, 1);
    net_close();
}

static void test_S21_rules_are_swapped_as_a_whole(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    load("input drop proto icmp\n");
    give_echo(PEER_V4, OUR_V4);
    assert_int_equal(listed("input", 1).packets, 1);
    /* An error changes nothing, not even a counter. */
    const char *bad = "input accept\noutput accept\ninput policy drop\nforward accept stat new\n";
    assert_int_equal(stack_filter_load(net, bad, strlen(bad), &problem, net_now), STACK_INVALID);
    assert_int_equal(problem.line, 4);
    assert_int_equal(problem.column, 16);
    assert_string_equal(listed("input", 1).text, "input drop proto icmp");
    assert_int_equal(listed("input", 1).packets, 1);
    load("output accept\ninput drop proto icmp\n");
    assert_int_equal(listed("input", 1).packets, 0);
    assert_string_equal(listed("output", 1).text, "output accept");
    net_close();
}

static void insert(const char *text, uint32_t at, int expected)
{
    assert_int_equal(stack_filter_insert(net, text, strlen(text), at, &problem, net_now), expected);
}

static void test_S21_rules_change_one_by_one(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    insert("input accept proto icmp name b", 0, 0);
    give_echo(PEER_V4, OUR_V4);
    insert("input accept proto tcp name c\n", 2, 0);
    insert("input accept proto udp name a", 1, 0);
    assert_non_null(strstr(listed("input", 1).text, "\"a\""));
    assert_non_null(strstr(listed("input", 2).text, "\"b\""));
    assert_non_null(strstr(listed("input", 3).text, "\"c\""));
    assert_int_equal(listed("input", 2).packets, 1);
    insert("input drop", 5, STACK_INVALID);
    insert("input policy drop", 0, STACK_INVALID);
    insert("", 0, STACK_INVALID);
    insert("input drop\ninput drop", 0, STACK_INVALID);
    insert("input drpo", 0, STACK_INVALID);
    assert_int_equal(problem.column, 7);
    assert_int_equal(stack_filter_delete(net, "input", 1, &problem, net_now), 0);
    assert_int_equal(stack_filter_delete(net, "input", 3, &problem, net_now), STACK_INVALID);
    assert_int_equal(stack_filter_delete(net, "input", 0, &problem, net_now), STACK_INVALID);
    assert_int_equal(listed("input", 1).packets, 1);
    assert_int_equal(stack_filter_delete(net, "input", 2, &problem, net_now), 0);
    assert_int_equal(stack_filter_delete(net, "input", 1, &problem, net_now), 0);
    assert_string_equal(listed("input", 1).text, "none");
    net_close();
}

static void set_rules_max(struct stack_config *config) { config->settings.filter_rules_max = 3; }

static void test_S21_rules_are_bounded(void **state)
{
    (void)state;
    net_open(set_rules_max);
    load("input drop;output drop;forward drop");
    insert("input drop", 0, STACK_INVALID);
    const char *four = "input drop\ninput drop\ninput drop\ninput drop\n";
    assert_int_equal(stack_filter_load(net, four, strlen(four), &problem, net_now), STACK_INVALID);
    assert_int_equal(problem.line, 4);
    net_close();
}

/* A name in a rule is an interface that may come later. */
static void test_S21_interfaces_are_found_by_name(void **state)
{
    struct stack_interface_config interface = {.name = "tap1",
                                               .mac = {{2, 0, 0, 0, 0, 9}},
                                               .mtu_bytes = 1500,
                                               .address_v4 = 0x0a4e0002,
                                               .prefix_bits = 24};
    (void)state;
    net_open(NULL);
    load("output drop out tap1; output accept out not tap1");
    assert_string_equal(decides("output out tap0"), "output 2");
    assert_int_equal(stack_add_interface(net, &interface, net_now), 1);
    assert_string_equal(decides("output out tap1"), "output 1");
    assert_string_equal(decides("output out tap0"), "output 2");
    net_close();
}

static void test_S21_groups_are_not_answered(void **state)
{
    uint8_t bytes[100];
    (void)state;
    net_open(NULL);
    learn_peer();
    load("input reject");
    size_t size = make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, "x", 1, PEER_V4, 0x0a4d00ff);
    assert_int_equal(net_give(bytes, size), -1);
    assert_int_equal(net_drain(), 0);
    net_close();
}

/* ---- Forwarding ---- */

#define FAR_V4 UINT32_C(0x0a4e0009)

static void set_forward(struct stack_config *config) { config->settings.ip_forward = 1; }

/* A router between tap0 (10.77.0.0/24) and tap1 (10.78.0.0/24) that knows both neighbors. */
static void open_router(void)
{
    struct stack_interface_config interface = {.name = "tap1",
                                               .mac = our_mac,
                                               .mtu_bytes = 1500,
                                               .address_v4 = 0x0a4e0002,
                                               .prefix_bits = 24};
    net_open(set_forward);
    assert_int_equal(stack_add_interface(net, &interface, net_now), 1);
    assert_int_equal(stack_set_neighbor(net, FAR_V4, &peer_mac, net_now), 0);
    assert_int_equal(stack_set_neighbor(net, PEER_V4, &peer_mac, net_now), 0);
    net_drain();
}

/* A UDP datagram of size bytes to the far host, in two fragments when it is cut. */
static void forward_udp(uint16_t port, size_t size, size_t cut)
{
    uint8_t udp[4000] = {0}, bytes[4100];
    bytes_put16(udp, 5000);
    bytes_put16(udp + 2, port);
    bytes_put16(udp + 4, (uint16_t)size);
    for (size_t at = 0; at < size; at += cut) {
        size_t part = size - at < cut ? size - at : cut;
        memcpy(bytes + IP_PAYLOAD_OFFSET, udp + at, part);
        size_t whole = head_datagram(bytes, IPV4_PROTOCOL_UDP, PEER_V4, FAR_V4, part);
        bytes_put16(bytes + ETHERNET_HEADER_BYTES + 6,
                    (uint16_t)(at / 8 | (at + part < size ? 0x2000 : 0)));
        sum_ip_header(bytes);
        net_give(bytes, whole);
    }
}

static void test_S21_forward_chain(void **state)
{
    const uint8_t *payload;
    size_t payload_bytes;
    (void)state;
    open_router();
    load("forward drop in tap0 out tap1 proto udp port 9\n"
         "forward drop in tap1\n"
         "forward reject proto udp port 8\n"
         "input policy drop\noutput policy drop\n");
    forward_udp(9, 100, 100);
    assert_int_equal(net_drain(), 0);
    assert_int_equal(counter(STACK_COUNTER_FILTER_FORWARD_DROPS), 1);
    forward_udp(10, 100, 100);
    assert_int_equal(net_drain(), 1);
    assert_int_equal(out_frame.interface, 1);
    forward_udp(8, 100, 100);
    assert_true(net_pull());
    assert_int_equal(out_frame.interface, 0);
    assert_int_equal(out_ip(&payload, &payload_bytes).source_v4, OUR_V4);
    assert_int_equal(payload[0], ICMP_DESTINATION_UNREACHABLE);
    assert_int_equal(counter(STACK_COUNTER_FILTER_FORWARD_REJECTS), 1);
    net_close();
}

static void test_S21_forwarded_fragments_are_seen_whole(void **state)
{
    (void)state;
    open_router();
    load("forward drop proto udp port 9");
    forward_udp(9, 2400, 1200);
    assert_int_equal(net_drain(), 0);
    assert_int_equal(counter(STACK_COUNTER_FILTER_FORWARD_DROPS), 1);
    assert_int_equal(listed("forward", 1).bytes, 2420);
    forward_udp(10, 2400, 1200);
    assert_int_equal(net_drain(), 2); /* cut again by the MTU of the next link */
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_OKS), 2);
    load("");
    forward_udp(9, 2400, 1200); /* nobody looks: they pass as they are */
    assert_int_equal(net_drain(), 2);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_OKS), 2);
    net_close();
}

/* A segment between the peer and the far host, either way. Returns what stack_input says. */
static int forward_tcp(bool back, uint8_t flags, uint32_t sequence, uint32_t acknowledgment)
{
    uint8_t bytes[IP_PAYLOAD_OFFSET + TCP_HEADER_MAX], *tcp = bytes + IP_PAYLOAD_OFFSET;
    uint32_t source = back ? FAR_V4 : PEER_V4, destination = back ? PEER_V4 : FAR_V4;
    struct tcp_header header = {.source_port = back ? 80 : 40000,
                                .destination_port = back ? 40000 : 80,
                                .sequence = sequence,
                                .acknowledgment = acknowledgment,
                                .window = 1000,
                                .flags = flags};
    struct ip_address from = ip_address_from_v4(source), to = ip_address_from_v4(destination);
    size_t size = tcp_write(&header, tcp);
    uint32_t sum = checksum_add_pseudo(0, &from, &to, IPV4_PROTOCOL_TCP, size);
    bytes_put16(tcp + 16, checksum_finish(checksum_add(sum, tcp, size)));
    size = head_datagram(bytes, IPV4_PROTOCOL_TCP, source, destination, size);
    struct frame frame = {.interface = back, .piece_count = 1, .piece = {{bytes, size}}};
    return stack_input(net, &frame, net_now);
}

/* Only the peer may open; the far host may answer. */
static void test_S21_state_of_forwarded_connections(void **state)
{
    (void)state;
    open_router();
    load("forward policy drop\n"
         "forward accept state established,related\n"
         "forward accept in tap0 state new\n");
    assert_int_equal(forward_tcp(true, TCP_SYN, 1, 0), -1);
    assert_int_equal(forward_tcp(true, TCP_SYN | TCP_ACK, 500, 101), -1);
    assert_int_equal(forward_tcp(false, TCP_SYN, 100, 0), 0);
    assert_int_equal(forward_tcp(true, TCP_SYN | TCP_ACK, 500, 101), 0);
    assert_int_equal(forward_tcp(false, TCP_ACK, 101, 501), 0);
    assert_int_equal(forward_tcp(true, TCP_RST, 99999, 0), -1); /* a blind reset */
    assert_int_equal(forward_tcp(true, TCP_FIN | TCP_ACK, 501, 101), 0);
    assert_int_equal(forward_tcp(false, TCP_FIN | TCP_ACK, 101, 502), 0);
    assert_int_equal(forward_tcp(true, TCP_ACK, 502, 102), 0);
    assert_int_equal(net_drain(), 6);
    assert_int_equal(listed("forward", 1).packets, 5);
    assert_int_equal(listed("forward", 2).packets, 1);
    net_close();
}

/* The reset comes from the host that was asked. */
static void test_S21_forwarded_tcp_is_rejected_with_a_reset(void **state)
{
    const uint8_t *payload;
    size_t payload_bytes;
    struct tcp_header header;
    (void)state;
    open_router();
    load("forward reject proto tcp port 80");
    assert_int_equal(forward_tcp(false, TCP_SYN, 100, 0), -1);
    assert_true(net_pull());
    assert_int_equal(out_frame.interface, 0);
    assert_int_equal(out_ip(&payload, &payload_bytes).source_v4, FAR_V4);
    assert_int_equal(tcp_parse(payload, payload_bytes, &header), 0);
    assert_int_equal(header.flags, TCP_RST | TCP_ACK);
    assert_int_equal(header.acknowledgment, 101);
    net_close();
}

/* What the output chain drops is lost to TCP, which sends it again in its own time. */
static void test_S21_dropped_output_is_retransmitted(void **state)
{
    struct stack_endpoint peer = {ip_address_from_v4(PEER_V4), 80};
    (void)state;
    net_open(NULL);
    learn_peer();
    load("output drop proto tcp port 80");
    int socket = stack_open(net, IPV4_PROTOCOL_TCP);
    assert_int_equal(stack_connect(net, socket, &peer, net_now), STACK_IN_PROGRESS);
    assert_int_equal(net_drain(), 0);
    assert_int_equal(counter(STACK_COUNTER_FILTER_OUT_DROPS), 1);
    load("");
    assert_int_equal(net_drain(), 0);
    assert_int_equal(net_wait(1000000), 1);
    net_close();
}

/* ---- State, through the stack ---- */

static unsigned flow_count(void)
{
    uint32_t flows, most;
    stack_flow_usage(net, &flows, &most);
    return flows;
}

static void test_S21_flows_live_while_a_rule_asks(void **state)
{
    struct stack_flow flow;
    uint32_t cursor = 0;
    (void)state;
    net_open(NULL);
    learn_peer();
    load("input accept proto icmp");
    give_echo(PEER_V4, OUR_V4);
    assert_int_equal(flow_count(), 0);
    load("input accept state new");
    give_echo(PEER_V4, OUR_V4);
    net_drain();
    assert_int_equal(flow_count(), 1);
    assert_true(stack_next_flow(net, &cursor, &flow, net_now));
    assert_string_equal(flow.state, "REPLIED");
    assert_int_equal(flow.protocol, IPV4_PROTOCOL_ICMP);
    assert_int_equal(flow.packets[0], 1);
    assert_int_equal(flow.packets[1], 1);
    assert_int_equal(flow.left_us, 30000000);
    assert_false(stack_next_flow(net, &cursor, &flow, net_now));
    load("input accept state established"); /* another set: flows stay */
    assert_int_equal(flow_count(), 1);
    net_wait(30000001);
    assert_int_equal(flow_count(), 0);
    give_echo(PEER_V4, OUR_V4);
    stack_flush_flows(net, net_now);
    assert_int_equal(flow_count(), 0);
    give_echo(PEER_V4, OUR_V4);
    load("input accept");
    assert_int_equal(flow_count(), 0);
    net_close();
}

static void test_S21_dropped_packets_leave_no_flow(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    load("input policy drop\ninput accept state established,related");
    assert_int_equal(give_echo(PEER_V4, OUR_V4), -1);
    assert_int_equal(flow_count(), 0);
    net_close();
}

/* Connections of the stack are known to a filter that comes later. */
static void test_S21_standing_connections_are_adopted(void **state)
{
    struct stack_endpoint peer = {ip_address_from_v4(PEER_V4), 22};
    struct stack_flow flow;
    uint32_t cursor = 0;
    (void)state;
    net_open(NULL);
    learn_peer();
    load("output accept state new");
    int socket = stack_open(net, IPV4_PROTOCOL_TCP);
    assert_int_equal(stack_connect(net, socket, &peer, net_now), STACK_IN_PROGRESS);
    assert_true(net_pull());
    assert_true(stack_next_flow(net, &cursor, &flow, net_now));
    assert_string_equal(flow.state, "SYN-SENT");
    assert_int_equal(flow.to.port, 22);
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_S21_rule_to_text_and_back),
        cmocka_unit_test(test_S21_longest_rule_fits_its_text),
        cmocka_unit_test(test_S21_errors_have_their_place),
        cmocka_unit_test(test_S21_every_criterion),
        cmocka_unit_test(test_S21_index_against_one_by_one),
        cmocka_unit_test(test_S21_first_match_decides),
        cmocka_unit_test(test_S21_test_packets_are_single),
        cmocka_unit_test(test_S21_drop_is_silent_and_counted),
        cmocka_unit_test(test_S21_policy_drop),
        cmocka_unit_test(test_S21_output_chain),
        cmocka_unit_test(test_S21_reject_answers),
        cmocka_unit_test(test_S21_tcp_is_rejected_with_a_reset),
        cmocka_unit_test(test_S21_rejects_are_limited),
        cmocka_unit_test(test_S21_log_tells_and_goes_on),
        cmocka_unit_test(test_S21_rules_are_swapped_as_a_whole),
        cmocka_unit_test(test_S21_rules_change_one_by_one),
        cmocka_unit_test(test_S21_rules_are_bounded),
        cmocka_unit_test(test_S21_interfaces_are_found_by_name),
        cmocka_unit_test(test_S21_groups_are_not_answered),
        cmocka_unit_test(test_S21_forward_chain),
        cmocka_unit_test(test_S21_forwarded_fragments_are_seen_whole),
        cmocka_unit_test(test_S21_state_of_forwarded_connections),
        cmocka_unit_test(test_S21_forwarded_tcp_is_rejected_with_a_reset),
        cmocka_unit_test(test_S21_dropped_output_is_retransmitted),
        cmocka_unit_test(test_S21_flows_live_while_a_rule_asks),
        cmocka_unit_test(test_S21_dropped_packets_leave_no_flow),
        cmocka_unit_test(test_S21_standing_connections_are_adopted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
