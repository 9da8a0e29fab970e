/* UDP: sockets, their names and peers, their queues and limits, ICMP errors, broadcast and multicast
   (stage S24). */
#include "net_harness.h"

#include "../../tapstack/wire/udp.h"

#define ALL_V4     UINT32_C(0xffffffff)
#define NET_ALL_V4 UINT32_C(0x0a4d00ff)
#define GROUP_V4   UINT32_C(0xef010203)
#define OTHER_V4   UINT32_C(0x0a4d0009)

static uint8_t bytes[FRAME_BYTES_MAX];
static uint8_t buffer[65536];
static const uint8_t *payload;
static size_t payload_bytes;

static struct stack_endpoint at(uint32_t v4, uint16_t port)
{
    return (struct stack_endpoint){ip_address_from_v4(v4), port};
}

static int open_udp(void)
{
    int socket = stack_open(net, IPV4_PROTOCOL_UDP);
    assert_true(socket > 0);
    return socket;
}

static int bound(uint32_t v4, uint16_t port)
{
    int socket = open_udp();
    struct stack_endpoint local = at(v4, port);
    assert_int_equal(stack_bind(net, socket, &local), 0);
    return socket;
}

static int connect_to(int socket, uint32_t v4, uint16_t port)
{
    struct stack_endpoint remote = at(v4, port);
    return stack_connect(net, socket, &remote, net_now);
}

static int set(int socket, enum stack_option option, uint64_t value)
{
    return stack_set_option(net, socket, option, value, net_now);
}

static int send_to(int socket, const void *data, size_t size, uint32_t v4, uint16_t port)
{
    struct stack_datagram with = {.remote = at(v4, port), .interface = -1};
    return stack_send_to(net, socket, data, size, &with, net_now);
}

static uint16_t local_port(int socket)
{
    struct stack_summary summary;
    assert_int_equal(stack_summary(net, socket, &summary, net_now), 0);
    return summary.local.port;
}

/* A UDP frame in `bytes`. Returns its size. */
static size_t make_udp(uint32_t source, uint16_t source_port, uint32_t destination,
                       uint16_t destination_port, const void *data, size_t size)
{
    struct udp_header header = {source_port, destination_port, (uint16_t)(UDP_HEADER_BYTES + size)};
    struct ip_address from = ip_address_from_v4(source), to = ip_address_from_v4(destination);
    uint8_t *message = bytes + IP_PAYLOAD_OFFSET;
    memcpy(message + UDP_HEADER_BYTES, data, size);
    udp_write(&header, message);
    udp_sum(message, &header, &from, &to);
    return head_datagram(bytes, IPV4_PROTOCOL_UDP, source, destination, UDP_HEADER_BYTES + size);
}

static int give_udp(uint32_t source, uint16_t source_port, uint32_t destination,
                    uint16_t destination_port, const char *text)
{
    size_t size = make_udp(source, source_port, destination, destination_port, text, strlen(text));
    return net_give(bytes, size);
}

/* The text of the next datagram; "-" without one; the error's text. */
static const char *recv_text(int socket)
{
    static char text[100];
    struct stack_datagram with;
    ptrdiff_t got = stack_recv_from(net, socket, text, sizeof text - 1, &with);
    if (got == STACK_AGAIN)
        return "-";
    if (got < 0)
        return stack_error_text((int)got);
    text[got] = 0;
    return text;
}

/* The pulled frame as UDP. */
static struct udp_header out_udp(struct ipv4_header *ip)
{
    struct udp_header header;
    *ip = out_ip(&payload, &payload_bytes);
    assert_int_equal(ip->protocol, IPV4_PROTOCOL_UDP);
    assert_int_equal(udp_parse(payload, payload_bytes, &header), 0);
    struct ip_address from = ip_address_from_v4(ip->source_v4);
    struct ip_address to = ip_address_from_v4(ip->destination_v4);
    assert_int_equal(udp_verify(payload, &header, &from, &to), 0);
    return header;
}

/* ---- Names ---- */

static void test_s24_the_most_particular_socket_receives(void **state)
{
    static const struct {
        uint32_t source;
        uint16_t source_port;
        uint16_t port;
        int expected; /* 0 any, 1 bound, 2 with a peer, 3 nobody */
    } cases[] = {
        {PEER_V4, 1000, 53, 2}, {PEER_V4, 1001, 53, 1}, {OTHER_V4, 1000, 53, 1},
        {PEER_V4, 1000, 54, 0}, {PEER_V4, 1000, 55, 3},
    };
    (void)state;
    net_open(NULL);
    learn_peer();
    int socket[3];
    for (int i = 0; i < 3; i++) {
        socket[i] = open_udp();
        set(socket[i], STACK_OPTION_REUSE_ADDRESS, 1);
    }
    struct stack_endpoint any = at(0, 53), own = at(OUR_V4, 53);
    assert_int_equal(stack_bind(net, socket[0], &any), 0);
    assert_int_equal(stack_bind(net, socket[1], &own), 0);
    assert_int_equal(stack_bind(net, socket[2], &own), 0);
    assert_int_equal(connect_to(socket[2], PEER_V4, 1000), 0);
    int other = bound(0, 54);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int result = give_udp(cases[i].source, cases[i].source_port, OUR_V4, cases[i].port, "x");
        assert_int_equal(result, cases[i].expected == 3 ? -1 : 0);
        const char *got[3] = {"-", "-", "-"};
        if (cases[i].port == 54)
            assert_string_equal(recv_text(other), "x");
        for (int s = 0; s < 3 && cases[i].port == 53; s++)
            assert_string_equal(recv_text(socket[s]), s == cases[i].expected ? "x" : got[s]);
    }
    assert_int_equal(counter(STACK_COUNTER_UDP_NO_PORTS), 1);
    assert_int_equal(counter(STACK_COUNTER_UDP_IN_DATAGRAMS), 4);
    net_close();
}

static void test_binding(void **state)
{
    static const struct {
        uint32_t v4;
        uint16_t port;
        int reuse_first, reuse_second;
        int expected; /* of binding it beside a socket on any:53 */
    } cases[] = {
        {0, 53, 0, 0, STACK_IN_USE},
        {OUR_V4, 53, 0, 0, STACK_IN_USE},
        {OUR_V4, 53, 1, 0, STACK_IN_USE},
        {OUR_V4, 53, 0, 1, STACK_IN_USE},
        {OUR_V4, 53, 1, 1, 0},
        {0, 54, 0, 0, 0},
        {GROUP_V4, 54, 0, 0, 0},
        {NET_ALL_V4, 54, 0, 0, 0},
        {PEER_V4, 54, 0, 0, STACK_NOT_AVAILABLE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        net_open(NULL);
        int first = open_udp(), second = open_udp();
        struct stack_endpoint taken = at(0, 53), wanted = at(cases[i].v4, cases[i].port);
        set(first, STACK_OPTION_REUSE_ADDRESS, (uint64_t)cases[i].reuse_first);
        set(second, STACK_OPTION_REUSE_ADDRESS, (uint64_t)cases[i].reuse_second);
        assert_int_equal(stack_bind(net, first, &taken), 0);
        assert_int_equal(stack_bind(net, second, &wanted), cases[i].expected);
        assert_int_equal(stack_bind(net, first, &wanted), STACK_INVALID);
        net_close();
    }
}

static void two_ports(struct stack_config *config)
{
    config->settings.tcp_port_first = 40000;
    config->settings.tcp_port_last = 40001;
}

static void test_ports_are_drawn_until_none_is_left(void **state)
{
    (void)state;
    net_open(two_ports);
    int a = bound(0, 0), b = bound(OUR_V4, 0), c = open_udp();
    struct stack_endpoint any = at(0, 0);
    assert_int_equal(local_port(a) + local_port(b), 80001);
    assert_int_equal(stack_bind(net, c, &any), STACK_NOT_AVAILABLE);
    assert_int_equal(connect_to(c, PEER_V4, 9), STACK_NOT_AVAILABLE);
    assert_int_equal(send_to(c, "x", 1, PEER_V4, 9), STACK_NOT_AVAILABLE);
    assert_int_equal(local_port(c), 0);
    stack_close(net, a, net_now);
    assert_int_equal(connect_to(c, PEER_V4, 9), 0);
    net_close();
}

static void test_a_peer_comes_and_goes(void **state)
{
    static const struct stack_endpoint none;
    struct stack_summary summary;
    (void)state;
    net_open(NULL);
    int socket = open_udp();
    assert_int_equal(stack_send_to(net, socket, "x", 1, NULL, net_now), STACK_NOT_CONNECTED);
    assert_int_equal(connect_to(socket, PEER_V4, 7), 0);
    stack_summary(net, socket, &summary, net_now);
    assert_int_equal(summary.protocol, 17);
    assert_int_equal(summary.state, TCP_ESTABLISHED);
    assert_int_equal(ip_address_to_v4(&summary.local.address), OUR_V4);
    uint16_t port = summary.local.port;
    assert_int_equal(give_udp(OTHER_V4, 7, OUR_V4, port, "stranger"), -1);
    assert_int_equal(give_udp(PEER_V4, 7, OUR_V4, port, "peer"), 0);
    assert_string_equal(recv_text(socket), "peer");
    assert_int_equal(connect_to(socket, OTHER_V4, 8), 0); /* another one, from the same port */
    assert_int_equal(local_port(socket), port);
    assert_int_equal(stack_connect(net, socket, &none, net_now), 0);
    stack_summary(net, socket, &summary, net_now);
    assert_int_equal(summary.state, TCP_CLOSED);
    assert_int_equal(summary.local.port, 0);
    assert_true(ip_address_is_unspecified(&summary.local.address));
    int named = bound(OUR_V4, 99); /* what bind gave stays */
    assert_int_equal(connect_to(named, PEER_V4, 7), 0);
    assert_int_equal(stack_connect(net, named, &none, net_now), 0);
    assert_int_equal(give_udp(OTHER_V4, 7, OUR_V4, 99, "any"), 0);
    net_close();
}

static void test_peers_that_cannot_be(void **state)
{
    static const struct {
        uint32_t v4;
        int expected;
    } cases[] = {
        {OUR_V4, STACK_NOT_AVAILABLE},
        {UINT32_C(0x7f000001), STACK_NOT_AVAILABLE},
        {0, STACK_NOT_AVAILABLE},
        {UINT32_C(0xf0000001), STACK_NOT_AVAILABLE},
        {ALL_V4, STACK_DENIED},
        {NET_ALL_V4, STACK_DENIED},
        {UINT32_C(0x08080808), STACK_NO_ROUTE},
        {GROUP_V4, 0},
    };
    (void)state;
    net_open(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int socket = open_udp();
        assert_int_equal(send_to(socket, "x", 1, cases[i].v4, 9), cases[i].expected);
        assert_int_equal(connect_to(socket, cases[i].v4, 9), cases[i].expected);
    }
    net_close();
}

static void test_handles_of_the_two_kinds(void **state)
{
    struct stack_room room[2];
    struct frame_piece piece[2];
    struct stack_datagram with;
    (void)state;
    net_open(NULL);
    int udp = bound(0, 5), tcp = stack_open(net, IPV4_PROTOCOL_TCP);
    struct ip_address group = ip_address_from_v4(GROUP_V4);
    assert_int_equal(stack_listen(net, udp, 1), STACK_NOT_SUPPORTED);
    assert_int_equal(stack_accept(net, udp), STACK_NOT_SUPPORTED);
    assert_int_equal(stack_send(net, udp, "x", 1, 0, net_now), STACK_NOT_SUPPORTED);
    assert_int_equal(stack_send_reserve(net, udp, 1, room), STACK_NOT_SUPPORTED);
    assert_int_equal(stack_recv_peek(net, udp, piece), STACK_NOT_SUPPORTED);
    assert_int_equal(stack_recv_consume(net, udp, 0, 0, net_now), STACK_NOT_SUPPORTED);
    assert_int_equal(stack_shutdown(net, udp, STACK_SHUTDOWN_WRITE, net_now), STACK_NOT_SUPPORTED);
    assert_int_equal(set(udp, STACK_OPTION_NODELAY, 1), STACK_NOT_SUPPORTED);
    assert_int_equal(send_to(tcp, "x", 1, PEER_V4, 5), STACK_NOT_SUPPORTED);
    assert_int_equal(stack_recv_from(net, tcp, buffer, 1, &with), STACK_NOT_SUPPORTED);
    assert_int_equal(stack_recv_from_consume(net, tcp, 0), STACK_NOT_SUPPORTED);
    assert_int_equal(stack_send_check(net, tcp), STACK_NOT_SUPPORTED);
    assert_int_equal(stack_join_group(net, tcp, &group, -1, net_now), STACK_NOT_SUPPORTED);
    assert_int_equal(set(tcp, STACK_OPTION_BROADCAST, 1), STACK_NOT_SUPPORTED);
    assert_int_equal(stack_close(net, udp, net_now), 0);
    assert_int_equal(stack_close(net, udp, net_now), STACK_BAD_HANDLE);
    assert_int_equal(send_to(udp, "x", 1, PEER_V4, 5), STACK_BAD_HANDLE);
    assert_int_equal(stack_recv_from_consume(net, bound(0, 6), 0), STACK_INVALID);
    assert_int_not_equal(open_udp(), udp);
    net_close();
}

/* ---- Sending ---- */

static void test_what_a_datagram_looks_like(void **state)
{
    struct ipv4_header ip;
    (void)state;
    net_open(NULL);
    learn_peer();
    int socket = bound(0, 1234);
    assert_int_equal(set(socket, STACK_OPTION_TTL, 9), 0);
    assert_int_equal(set(socket, STACK_OPTION_TOS, 0xb8), 0);
    assert_int_equal(send_to(socket, "hello", 5, PEER_V4, 53), 0);
    assert_true(net_pull());
    struct udp_header header = out_udp(&ip);
    assert_int_equal(header.source_port, 1234);
    assert_int_equal(header.destination_port, 53);
    assert_memory_equal(payload + UDP_HEADER_BYTES, "hello", 5);
    assert_int_equal(ip.ttl, 9);
    assert_int_equal(ip.tos, 0xb8);
    assert_true(ip.dont_fragment);
    assert_int_equal(ip.source_v4, OUR_V4);
    assert_memory_equal(out_bytes, peer_mac.octets, 6);
    assert_false(net_pull());
    assert_int_equal(send_to(socket, "", 0, PEER_V4, 53), 0); /* empty ones are datagrams, too */
    assert_true(net_pull());
    assert_int_equal(out_udp(&ip).length, UDP_HEADER_BYTES);
    assert_int_equal(counter(STACK_COUNTER_UDP_OUT_DATAGRAMS), 2);
    assert_int_equal(set(socket, STACK_OPTION_NO_CHECKSUM, 1), 0);
    assert_int_equal(send_to(socket, "hello", 5, PEER_V4, 53), 0);
    assert_true(net_pull());
    out_udp(&ip);
    assert_int_equal(bytes_get16(payload + 6), 0);
    net_close();
}

/* RFC 768: a sum that comes out as zero is sent as ffff; zero means there is none. */
static void test_checksum_zero(void **state)
{
    struct ipv4_header ip;
    unsigned found = 0;
    (void)state;
    net_open(NULL);
    learn_peer();
    int socket = bound(0, 1234);
    for (unsigned value = 0; value < 65536; value++) {
        uint8_t word[2] = {(uint8_t)(value >> 8), (uint8_t)value};
        assert_int_equal(send_to(socket, word, 2, PEER_V4, 53), 0);
        assert_true(net_pull());
        out_udp(&ip);
        assert_int_not_equal(bytes_get16(payload + 6), 0);
        found += bytes_get16(payload + 6) == 0xffff;
    }
    assert_true(found >= 1);
    size_t size = make_udp(PEER_V4, 1, OUR_V4, 1234, "unsummed", 8);
    bytes_put16(bytes + IP_PAYLOAD_OFFSET + 6, 0);
    assert_int_equal(net_give(bytes, size), 0);
    assert_string_equal(recv_text(socket), "unsummed");
    size = make_udp(PEER_V4, 1, OUR_V4, 1234, "damaged", 7);
    bytes[IP_PAYLOAD_OFFSET + UDP_HEADER_BYTES] ^= 1;
    assert_int_equal(net_give(bytes, size), -1);
    assert_int_equal(counter(STACK_COUNTER_UDP_IN_CSUM_ERRORS), 1);
    assert_string_equal(recv_text(socket), "-");
    net_close();
}

static void test_what_is_too_large(void **state)
{
    static const struct {
        enum stack_path_mtu_discovery discovery;
        size_t size;
        int expected;
    } cases[] = {
        {STACK_PATH_MTU_WANT, 65508, STACK_MESSAGE_SIZE}, {STACK_PATH_MTU_DO, 1472, 0},
        {STACK_PATH_MTU_DO, 1473, STACK_MESSAGE_SIZE},    {STACK_PATH_MTU_PROBE, 1472, 0},
        {STACK_PATH_MTU_PROBE, 1473, STACK_MESSAGE_SIZE}, {STACK_PATH_MTU_DONT, 1472, 0},
    };
    struct ipv4_header ip;
    (void)state;
    net_open(NULL);
    learn_peer();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int socket = open_udp();
        set(socket, STACK_OPTION_PATH_MTU_DISCOVERY, cases[i].discovery);
        assert_int_equal(send_to(socket, buffer, cases[i].size, PEER_V4, 9), cases[i].expected);
        assert_int_equal(net_pull(), cases[i].expected == 0);
        if (cases[i].expected == 0) {
            out_udp(&ip);
            assert_int_equal(ip.dont_fragment, cases[i].discovery != STACK_PATH_MTU_DONT);
        }
    }
    net_close();
}

static void test_an_unknown_neighbor_is_asked_first(void **state)
{
    struct ipv4_header ip;
    struct ethernet_header ethernet;
    (void)state;
    net_open(NULL);
    int socket = bound(0, 1234);
    assert_int_equal(send_to(socket, "early", 5, PEER_V4, 53), 0);
    assert_true(net_pull());
    assert_int_equal(out_arp(&ethernet).target_v4, PEER_V4);
    assert_false(net_pull());
    give_arp(ARP_REPLY, &peer_mac, PEER_V4, &our_mac, OUR_V4);
    assert_true(net_pull());
    assert_int_equal(out_udp(&ip).destination_port, 53);
    net_close();
}

static void test_a_full_send_buffer(void **state)
{
    struct stack_ready ready;
    (void)state;
    net_open(NULL);
    learn_peer();
    int socket = bound(0, 1234);
    assert_int_equal(set(socket, STACK_OPTION_SEND_BUFFER, 4096), 0);
    assert_int_equal(send_to(socket, buffer, 1000, PEER_V4, 53), 0);
    assert_int_equal(send_to(socket, buffer, 1000, PEER_V4, 53), 0);
    assert_int_equal(send_to(socket, buffer, 1000, PEER_V4, 53), STACK_AGAIN);
    assert_int_equal(stack_send_check(net, socket), STACK_AGAIN);
    assert_false(stack_next_ready(net, &ready));
    assert_true(net_pull());
    assert_true(stack_next_ready(net, &ready));
    assert_int_equal(ready.socket, socket);
    assert_int_equal(ready.what, STACK_READY_SEND);
    assert_int_equal(stack_send_check(net, socket), 0);
    assert_int_equal(stack_deadline(net), 0);
    stack_close(net, socket, net_now); /* what was sent still leaves */
    assert_int_equal(net_drain(), 1);
    net_close();
}

static void test_sockets_take_turns(void **state)
{
    struct ipv4_header ip;
    (void)state;
    net_open(NULL);
    learn_peer();
    int a = bound(0, 1), b = bound(0, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_to(a, "a", 1, PEER_V4, 53), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_to(b, "b", 1, PEER_V4, 53), 0);
    for (int i = 0; i < 6; i++) {
        assert_true(net_pull());
        assert_int_equal(out_udp(&ip).source_port, 1 + i % 2);
    }
    net_close();
}

static void little_memory(struct stack_config *config) { config->settings.udp_memory = 65536; }

static void test_memory_is_bounded(void **state)
{
    (void)state;
    net_open(little_memory);
    learn_peer();
    int out = bound(0, 2);
    bound(0, 1);
    int result = 0;
    for (int i = 0; i < 100 && result == 0; i++)
        result = send_to(out, buffer, 1400, PEER_V4, 9);
    assert_int_equal(result, STACK_NO_MEMORY);
    assert_int_equal(counter(STACK_COUNTER_UDP_SNDBUF_ERRORS), 1);
    size_t size = make_udp(PEER_V4, 9, OUR_V4, 1, buffer, 1400);
    assert_int_equal(net_give(bytes, size), -1);
    assert_int_equal(counter(STACK_COUNTER_UDP_MEM_ERRORS), 1);
    assert_true(net_drain() > 0);
    assert_int_equal(net_give(bytes, size), 0);
    net_close();
}

/* ---- Receiving ---- */

static void test_what_is_told_of_a_datagram(void **state)
{
    struct stack_datagram with;
    struct frame_piece piece;
    struct stack_ready ready;
    (void)state;
    net_open(NULL);
    int socket = bound(0, 53), mark;
    stack_set_user(net, socket, &mark);
    assert_int_equal(give_udp(PEER_V4, 1000, OUR_V4, 53, "first"), 0);
    assert_int_equal(give_udp(PEER_V4, 1001, OUR_V4, 53, ""), 0);
    assert_true(stack_next_ready(net, &ready));
    assert_ptr_equal(ready.user, &mark);
    assert_int_equal(ready.what, STACK_READY_RECV);
    assert_false(stack_next_ready(net, &ready));
    assert_int_equal(stack_recv_from_peek(net, socket, &piece, &with), 0);
    assert_int_equal(piece.size, 5);
    assert_int_equal(stack_recv_from(net, socket, buffer, 3, &with), 3); /* cut, and told */
    assert_int_equal(with.size, 5);
    assert_int_equal(with.ttl, 64);
    assert_int_equal(with.interface, 0);
    assert_int_equal(ip_address_to_v4(&with.remote.address), PEER_V4);
    assert_int_equal(with.remote.port, 1000);
    assert_int_equal(ip_address_to_v4(&with.local.address), OUR_V4);
    assert_int_equal(with.local.port, 53);
    assert_int_equal(stack_recv_from(net, socket, buffer, 100, &with), 0);
    assert_int_equal(with.remote.port, 1001);
    assert_int_equal(stack_recv_from(net, socket, buffer, 100, &with), STACK_AGAIN);
    net_close();
}

static void test_a_full_receive_buffer_drops(void **state)
{
    struct stack_info info;
    unsigned taken = 0;
    (void)state;
    net_open(NULL);
    int socket = bound(0, 53), other = bound(0, 54);
    assert_int_equal(set(socket, STACK_OPTION_RECEIVE_BUFFER, 4096), 0);
    while (give_udp(PEER_V4, 1, OUR_V4, 53, "datagram") == 0)
        taken++;
    assert_true(taken >= 4096 / 256 && taken <= 4096 / 64);
    assert_int_equal(give_udp(PEER_V4, 1, OUR_V4, 54, "other"), 0); /* disturbs nobody else */
    assert_string_equal(recv_text(other), "other");
    assert_int_equal(counter(STACK_COUNTER_UDP_RCVBUF_ERRORS), 1);
    assert_int_equal(stack_info(net, socket, &info, net_now), 0);
    assert_int_equal(info.drops, 1);
    assert_int_equal(info.segs_in, taken);
    assert_false(net_pull()); /* nobody is told */
    recv_text(socket);
    assert_int_equal(give_udp(PEER_V4, 1, OUR_V4, 53, "datagram"), 0);
    while (strcmp(recv_text(socket), "-") != 0)
        ;
    assert_int_equal(stack_recv_held(net, socket, 4096, net_now), 0); /* taken but unread counts */
    assert_int_equal(give_udp(PEER_V4, 1, OUR_V4, 53, "datagram"), -1);
    assert_int_equal(stack_recv_held(net, socket, 0, net_now), 0);
    assert_int_equal(give_udp(PEER_V4, 1, OUR_V4, 53, "datagram"), 0);
    net_close();
}

static void test_malformed_datagrams_are_counted(void **state)
{
    (void)state;
    net_open(NULL);
    bound(0, 53);
    for (unsigned length = 0; length < 20; length++) {
        size_t size = make_udp(PEER_V4, 1, OUR_V4, 53, "datagram", 8);
        bytes_put16(bytes + IP_PAYLOAD_OFFSET + 4, (uint16_t)length);
        bytes_put16(bytes + IP_PAYLOAD_OFFSET + 6, 0);
        assert_int_equal(net_give(bytes, size), length >= 8 && length <= 16 ? 0 : -1);
    }
    assert_int_equal(counter(STACK_COUNTER_UDP_IN_ERRORS), 11);
    net_close();
}

/* ---- ICMP errors ---- */

/* An ICMP error about the frame pulled last. */
static int give_error(uint8_t type, uint8_t code, uint32_t rest)
{
    uint8_t quote[28], error[200];
    memcpy(quote, out_bytes + ETHERNET_HEADER_BYTES, sizeof quote);
    size_t size = make_icmp(error, type, code, rest, quote, sizeof quote, PEER_V4, OUR_V4);
    return net_give(error, size);
}

static void test_icmp_errors_reach_a_socket_with_a_peer(void **state)
{
    static const struct {
        uint8_t type, code;
        int expected;
    } cases[] = {
        {3, 0, 0},
        {3, 1, 0},
        {3, 2, STACK_NO_PROTOCOL},
        {3, 3, STACK_REFUSED},
        {3, 5, 0},
        {3, 6, STACK_NO_ROUTE},
        {3, 7, STACK_UNREACHABLE},
        {3, 9, STACK_NO_ROUTE},
        {3, 10, STACK_UNREACHABLE},
        {3, 12, 0},
        {3, 13, STACK_UNREACHABLE},
        {3, 200, 0},
        {11, 0, 0},
    };
    struct stack_ready ready;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        net_open(NULL);
        learn_peer();
        int socket = open_udp(), free_one = open_udp();
        assert_int_equal(connect_to(socket, PEER_V4, 9), 0);
        assert_int_equal(stack_send_to(net, socket, "x", 1, NULL, net_now), 0);
        assert_true(net_pull());
        assert_int_equal(give_error(cases[i].type, cases[i].code, 0), 0);
        assert_true(stack_next_ready(net, &ready));
        assert_int_equal(ready.what,
                         cases[i].expected ? STACK_READY_ERROR : STACK_READY_SOFT_ERROR);
        /* The next call tells it, once. */
        assert_int_equal(stack_send_to(net, socket, "x", 1, NULL, net_now), cases[i].expected);
        assert_int_equal(stack_send_to(net, socket, "x", 1, NULL, net_now), 0);
        net_drain();
        assert_int_equal(give_error(cases[i].type, cases[i].code, 0), 0);
        assert_int_equal(stack_socket_error(net, socket), cases[i].expected);
        assert_int_equal(stack_socket_error(net, socket), 0);
        /* Who has no peer is told nothing. */
        assert_int_equal(send_to(free_one, "x", 1, PEER_V4, 9), 0);
        assert_true(net_pull());
        assert_int_equal(give_error(cases[i].type, cases[i].code, 0), 0);
        assert_string_equal(recv_text(free_one), "-");
        net_close();
    }
}

static void test_icmp_about_nothing_of_ours_is_refused(void **state)
{
    (void)state;
    net_open(NULL);
    learn_peer();
    int socket = open_udp();
    assert_int_equal(send_to(socket, "x", 1, PEER_V4, 9), 0);
    assert_true(net_pull());
    stack_close(net, socket, net_now);
    assert_int_equal(give_error(3, 3, 0), -1);
    assert_int_equal(counter(STACK_COUNTER_ICMP_IN_ERRORS), 1);
    net_close();
}

static void test_fragmentation_needed(void **state)
{
    struct ipv4_header ip;
    (void)state;
    net_open(NULL);
    learn_peer();
    int socket = open_udp();
    assert_int_equal(connect_to(socket, PEER_V4, 9), 0);
    assert_int_equal(stack_send_to(net, socket, buffer, 1400, NULL, net_now), 0);
    assert_true(net_pull());
    assert_int_equal(give_error(3, 4, 1000), 0);
    assert_int_equal(stack_send_to(net, socket, "x", 1, NULL, net_now), STACK_MESSAGE_SIZE);
    assert_int_equal(stack_send_to(net, socket, buffer, 972, NULL, net_now), 0);
    assert_true(net_pull());
    out_udp(&ip);
    assert_true(ip.dont_fragment);
    assert_int_equal(set(socket, STACK_OPTION_PATH_MTU_DISCOVERY, STACK_PATH_MTU_DO), 0);
    assert_int_equal(stack_send_to(net, socket, buffer, 973, NULL, net_now), STACK_MESSAGE_SIZE);
    assert_int_equal(set(socket, STACK_OPTION_PATH_MTU_DISCOVERY, STACK_PATH_MTU_PROBE), 0);
    assert_int_equal(stack_send_to(net, socket, buffer, 1400, NULL, net_now), 0);
    net_close();
}

/* ---- Broadcast and multicast ---- */

static void test_broadcast_needs_permission(void **state)
{
    static const uint32_t addresses[] = {ALL_V4, NET_ALL_V4};
    struct ipv4_header ip;
    (void)state;
    net_open(NULL);
    int socket = bound(0, 67);
    for (int i = 0; i < 2; i++) {
        set(socket, STACK_OPTION_BROADCAST, 0);
        assert_int_equal(send_to(socket, "x", 1, addresses[i], 67), STACK_DENIED);
        assert_int_equal(connect_to(socket, addresses[i], 67), STACK_DENIED);
        set(socket, STACK_OPTION_BROADCAST, 1);
        assert_int_equal(send_to(socket, "all", 3, addresses[i], 67), 0);
        assert_true(net_pull());
        out_udp(&ip);
        assert_int_equal(ip.destination_v4, addresses[i]);
        assert_int_equal(ip.source_v4, OUR_V4);
        assert_memory_equal(out_bytes, all_macs.octets, 6);
        assert_string_equal(recv_text(socket), "all"); /* heard on this host, too */
    }
    net_close();
}

static void test_broadcast_comes_to_everybody_at_the_port(void **state)
{
    (void)state;
    net_open(NULL);
    int socket[3] = {open_udp(), open_udp(), open_udp()};
    static const uint32_t local[3] = {0, NET_ALL_V4, OUR_V4};
    for (int i = 0; i < 3; i++) {
        struct stack_endpoint name = at(local[i], 68);
        set(socket[i], STACK_OPTION_REUSE_ADDRESS, 1);
        assert_int_equal(stack_bind(net, socket[i], &name), 0);
    }
    assert_int_equal(give_udp(PEER_V4, 1, NET_ALL_V4, 68, "all"), 0);
    assert_string_equal(recv_text(socket[0]), "all");
    assert_string_equal(recv_text(socket[1]), "all");
    assert_string_equal(recv_text(socket[2]), "-"); /* wants only what is sent to it */
    assert_int_equal(give_udp(PEER_V4, 1, NET_ALL_V4, 69, "nobody"), -1);
    assert_false(net_pull()); /* no error about a broadcast (RFC 1122, 3.2.2) */
    net_close();
}

static int join(int socket, uint32_t group, bool in)
{
    struct ip_address address = ip_address_from_v4(group);
    return in ? stack_join_group(net, socket, &address, -1, net_now)
              : stack_leave_group(net, socket, &address, -1, net_now);
}

static void test_multicast_comes_to_members(void **state)
{
    (void)state;
    net_open(NULL);
    int member = open_udp(), stranger = open_udp(), all = open_udp();
    int sockets[3] = {member, stranger, all};
    struct stack_endpoint name = at(0, 5353);
    for (int i = 0; i < 3; i++) {
        set(sockets[i], STACK_OPTION_REUSE_ADDRESS, 1);
        assert_int_equal(stack_bind(net, sockets[i], &name), 0);
    }
    assert_int_equal(give_udp(PEER_V4, 5353, GROUP_V4, 5353, "early"), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_IN_NOT_JOINED), 1);
    assert_int_equal(join(member, GROUP_V4, true), 0);
    assert_int_equal(join(member, GROUP_V4, true), STACK_IN_USE);
    assert_int_equal(join(all, GROUP_V4 + 1, true), 0);
    net_drain();
    assert_int_equal(give_udp(PEER_V4, 5353, GROUP_V4, 5353, "group"), 0);
    assert_string_equal(recv_text(member), "group");
    assert_string_equal(recv_text(stranger), "-");
    assert_string_equal(recv_text(all), "-");
    assert_int_equal(give_udp(PEER_V4, 5353, GROUP_V4, 5354, "nobody"), -1);
    assert_false(net_pull());
    assert_int_equal(join(member, GROUP_V4, false), 0);
    assert_int_equal(join(member, GROUP_V4, false), STACK_NOT_AVAILABLE);
    assert_int_equal(join(member, PEER_V4, true), STACK_INVALID);
    assert_int_equal(give_udp(PEER_V4, 5353, GROUP_V4, 5353, "late"), -1);
    assert_int_equal(give_udp(PEER_V4, 5353, UINT32_C(0xe0000001), 5353, "hosts"), 0);
    assert_string_equal(recv_text(stranger), "hosts"); /* everybody is a member of 224.0.0.1 */
    net_close();
}

static void test_sending_to_a_group(void **state)
{
    static const uint8_t group_mac[6] = {0x01, 0x00, 0x5e, 0x01, 0x02, 0x03};
    struct ipv4_header ip;
    (void)state;
    net_open(NULL);
    int sender = bound(0, 1), member = bound(0, 5353);
    assert_int_equal(join(member, GROUP_V4, true), 0);
    net_drain();
    assert_int_equal(send_to(sender, "one", 3, GROUP_V4 | 0x800000, 5353), 0); /* 23 bits count */
    assert_true(net_pull());
    assert_memory_equal(out_bytes, group_mac, 6);
    assert_int_equal(send_to(sender, "two", 3, GROUP_V4, 5353), 0);
    assert_true(net_pull());
    out_udp(&ip);
    assert_int_equal(ip.ttl, 1);
    assert_false(ip.dont_fragment);
    assert_memory_equal(out_bytes, group_mac, 6);
    assert_string_equal(recv_text(member), "two");
    assert_int_equal(set(sender, STACK_OPTION_MULTICAST_LOOP, 0), 0);
    assert_int_equal(set(sender, STACK_OPTION_MULTICAST_TTL, 32), 0);
    assert_int_equal(send_to(sender, "three", 5, GROUP_V4, 5353), 0);
    assert_true(net_pull());
    out_udp(&ip);
    assert_int_equal(ip.ttl, 32);
    assert_string_equal(recv_text(member), "-");
    assert_int_equal(set(sender, STACK_OPTION_MULTICAST_INTERFACE, 1), 0);
    assert_int_equal(set(sender, STACK_OPTION_MULTICAST_INTERFACE, 2), STACK_INVALID);
    net_close();
}

/* ---- The end ---- */

static void test_kill(void **state)
{
    struct stack_ready ready;
    struct stack_usage usage;
    (void)state;
    net_open(NULL);
    int socket = bound(0, 53);
    assert_int_equal(join(socket, GROUP_V4, true), 0);
    assert_int_equal(give_udp(PEER_V4, 1, OUR_V4, 53, "unread"), 0);
    while (stack_next_ready(net, &ready))
        ;
    assert_int_equal(stack_kill(net, (uint32_t)socket, net_now), 0);
    assert_true(stack_next_ready(net, &ready));
    assert_int_equal(ready.what, STACK_READY_ERROR);
    assert_int_equal(stack_socket_error(net, socket), STACK_ABORTED);
    assert_string_equal(recv_text(socket), stack_error_text(STACK_ABORTED));
    assert_int_equal(send_to(socket, "x", 1, PEER_V4, 1), STACK_ABORTED);
    assert_int_equal(connect_to(socket, PEER_V4, 1), STACK_ABORTED);
    assert_int_equal(join(socket, GROUP_V4, true), STACK_ABORTED);
    assert_int_equal(give_udp(PEER_V4, 1, OUR_V4, 53, "late"), -1);
    bound(0, 53); /* its port is free */
    assert_int_equal(stack_close(net, socket, net_now), 0);
    stack_usage(net, &usage);
    assert_int_equal(usage.datagram_sockets, 1);
    net_close();
}

static void test_nothing_is_left_behind(void **state)
{
    struct stack_usage before, after;
    (void)state;
    net_open(NULL);
    learn_peer();
    stack_usage(net, &before);
    for (int i = 0; i < 500; i++) {
        int socket = bound(0, (uint16_t)(1000 + i));
        assert_int_equal(join(socket, GROUP_V4, true), 0);
        assert_int_equal(give_udp(PEER_V4, 1, OUR_V4, (uint16_t)(1000 + i), "x"), 0);
        assert_int_equal(send_to(socket, "x", 1, PEER_V4, 9), 0);
        assert_int_equal(stack_close(net, socket, net_now), 0);
        net_drain();
    }
    stack_usage(net, &after);
    assert_int_equal(after.buffer_bytes, before.buffer_bytes);
    assert_int_equal(after.datagram_sockets, 0);
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s24_the_most_particular_socket_receives),
        cmocka_unit_test(test_binding),
        cmocka_unit_test(test_ports_are_drawn_until_none_is_left),
        cmocka_unit_test(test_a_peer_comes_and_goes),
        cmocka_unit_test(test_peers_that_cannot_be),
        cmocka_unit_test(test_handles_of_the_two_kinds),
        cmocka_unit_test(test_what_a_datagram_looks_like),
        cmocka_unit_test(test_checksum_zero),
        cmocka_unit_test(test_what_is_too_large),
        cmocka_unit_test(test_an_unknown_neighbor_is_asked_first),
        cmocka_unit_test(test_a_full_send_buffer),
        cmocka_unit_test(test_sockets_take_turns),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_what_is_told_of_a_datagram),
        cmocka_unit_test(test_a_full_receive_buffer_drops),
        cmocka_unit_test(test_malformed_datagrams_are_counted),
        cmocka_unit_test(test_icmp_errors_reach_a_socket_with_a_peer),
        cmocka_unit_test(test_icmp_about_nothing_of_ours_is_refused),
        cmocka_unit_test(test_fragmentation_needed),
        cmocka_unit_test(test_broadcast_needs_permission),
        cmocka_unit_test(test_broadcast_comes_to_everybody_at_the_port),
        cmocka_unit_test(test_multicast_comes_to_members),
        cmocka_unit_test(test_sending_to_a_group),
        cmocka_unit_test(test_kill),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
