/* Lines of text: every kind of frame, what cannot be read, and buffers that are too small. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../tapstack/wire/checksum.h"
#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/icmp.h"
#include "../../tapstack/wire/ipv4.h"
#include "../../tapstack/wire/text.h"

enum {
    MSS = TCP_OPTION_MSS,
    WSCALE = TCP_OPTION_WINDOW_SCALE,
    SACK_OK = TCP_OPTION_SACK_PERMITTED,
    TS = TCP_OPTION_TIMESTAMPS,
    SACK = TCP_OPTION_SACK,
};

static const struct {
    struct tcp_header header;
    size_t payload_bytes;
    uint32_t sequence_base, ack_base;
    const char *line;
} tcp_cases[] = {
    {{.flags = TCP_SYN,
      .window = 64240,
      .options_present = MSS | SACK_OK | TS | WSCALE,
      .mss = 1460,
      .timestamp_value = 1,
      .window_scale = 7},
     0,
     0,
     0,
     "S 0:0(0) win 64240 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>"},
    {{.flags = TCP_SYN | TCP_ACK,
      .sequence = 5000,
      .acknowledgment = 101,
      .window = 65535,
      .options_present = MSS | SACK_OK | WSCALE,
      .mss = 1460,
      .window_scale = 8},
     0,
     5000,
     100,
     "S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 8>"},
    {{.flags = TCP_ACK,
      .sequence = 1,
      .acknowledgment = 1,
      .window = 256,
      .options_present = TS,
      .timestamp_value = 2,
      .timestamp_echo = 1},
     1460,
     0,
     0,
     ". 1:1461(1460) ack 1 win 256 <nop,nop,TS val 2 ecr 1>"},
    {{.flags = TCP_ACK | TCP_PSH, .sequence = 0xffffffff, .acknowledgment = 1, .window = 0},
     2,
     0,
     0,
     "P. 4294967295:1(2) ack 1 win 0"},
    {{.flags = TCP_ACK | TCP_FIN | TCP_PSH, .sequence = 1, .acknowledgment = 2, .window = 9},
     0,
     0,
     0,
     "FP. 1:1(0) ack 2 win 9"},
    {{.flags = TCP_RST, .sequence = 7}, 0, 0, 0, "R 7:7(0) win 0"},
    {{.flags = TCP_RST | TCP_ACK, .acknowledgment = 3}, 0, 0, 0, "R. 0:0(0) ack 3 win 0"},
    {{.flags = TCP_SYN | TCP_ECE | TCP_CWR, .window = 1}, 0, 0, 0, "SEW 0:0(0) win 1"},
    {{.flags = TCP_SYN | TCP_ACK | TCP_ECE, .window = 1}, 0, 0, 0, "S.E 0:0(0) ack 0 win 1"},
    {{.flags = TCP_ACK | TCP_URG, .urgent_pointer = 5, .window = 1},
     10,
     0,
     0,
     ".U 0:10(10) ack 0 win 1 urg 5"},
    {{.flags = 0, .window = 1}, 0, 0, 0, "- 0:0(0) win 1"},
    {{.flags = 0xff, .window = 1}, 0, 0, 0, "FSRP.UEW 0:0(0) ack 0 win 1 urg 0"},
    {{.flags = TCP_ACK,
      .sequence = 11,
      .acknowledgment = 101,
      .window = 1,
      .options_present = TS | SACK,
      .sack_count = 2,
      .sack = {{101, 103}, {105, 107}}},
     0,
     10,
     100,
     ". 1:1(0) ack 1 win 1 <nop,nop,TS val 0 ecr 0,nop,nop,sack 1:3 5:7>"},
};

static void tcp_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tcp_cases / sizeof tcp_cases[0]; i++) {
        char line[TEXT_LINE_MAX];
        size_t length =
            text_format_tcp(&tcp_cases[i].header, tcp_cases[i].payload_bytes,
                            tcp_cases[i].sequence_base, tcp_cases[i].ack_base, line, sizeof line);
        assert_string_equal(line, tcp_cases[i].line);
        assert_int_equal(length, strlen(line));
    }
}

/* ---- whole frames ---- */

static uint8_t frame[200];

/* Makes an IPv4 frame around size bytes. Returns its size. */
static size_t make_ipv4(uint8_t protocol, const void *payload, size_t size)
{
    struct ethernet_header ethernet = {{{2, 0, 0, 0, 0, 2}}, {{2, 0, 0, 0, 0, 1}}, ETHERTYPE_IPV4};
    struct ipv4_header ip = {
        .ttl = 64,
        .protocol = protocol,
        .total_bytes = (uint16_t)(IPV4_HEADER_BYTES + size),
        .identification = 7,
        .source_v4 = 0x0a4d0001,
        .destination_v4 = 0x0a4d0002,
    };
    size_t at = ethernet_write(&ethernet, frame);
    at += ipv4_write(&ip, frame + at);
    memcpy(frame + at, payload, size);
    return at + size;
}

static void assert_line(size_t size, const char *expected)
{
    char line[TEXT_LINE_MAX];
    uint8_t *exact = malloc(size + (size == 0));
    assert_non_null(exact);
    memcpy(exact, frame, size);
    size_t length = text_format_frame(exact, size, 0, 0, line, sizeof line);
    free(exact);
    assert_string_equal(line, expected);
    assert_int_equal(length, strlen(expected));
}

static void tcp_frames(void **state)
{
    struct tcp_header header = {
        .source_port = 40000,
        .destination_port = 80,
        .sequence = 1234,
        .window = 64240,
        .flags = TCP_SYN,
        .options_present = MSS | SACK_OK,
        .mss = 1460,
    };
    uint8_t bytes[TCP_HEADER_MAX];
    (void)state;
    size_t size = tcp_write(&header, bytes);
    assert_line(make_ipv4(6, bytes, size),
                "10.77.0.1:40000 > 10.77.0.2:80 S 1234:1234(0) win 64240 "
                "<mss 1460,nop,nop,sackOK>");
    assert_line(make_ipv4(6, bytes, 19), "10.77.0.1 > 10.77.0.2 tcp, truncated, 19 bytes");
    assert_line(make_ipv4(6, bytes, 20), "10.77.0.1 > 10.77.0.2 tcp, bad data offset, 20 bytes");
}

/* Options are shown as they stand on the wire, the illegal ones too. */
static void foreign_options(void **state)
{
    static const struct {
        const char *options, *line;
    } cases[] = {
        {"\3\3\6\1\2\4\5\xb4", "<wscale 6,nop,mss 1460>"},
        {"\xfe\4\1\1\4\2\0\0", "<kind 254 len 4,sackOK,eol>"},
        {"\2\3\1\4\2\1\1\1", "<malformed kind 2 len 3,sackOK,nop,nop,nop>"},
        {"\2\0\1\4\2\1\1\1", "<malformed kind 2 len 0>"},
        {"\1\1\1\1\1\1\1\2", "<nop,nop,nop,nop,nop,nop,nop,malformed kind 2>"},
        {"\5\12\0\0\0\1\0\0", "<malformed kind 5 len 10>"},
        {"\0\1\1\1\1\1\1\1", "<eol>"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[28] = {0, 1, 0, 2, [12] = 7 << 4, TCP_SYN};
        char expected[TEXT_LINE_MAX] = "10.77.0.1:1 > 10.77.0.2:2 S 0:0(0) win 0 ";
        memcpy(bytes + 20, cases[i].options, 8);
        strcat(expected, cases[i].line);
        assert_line(make_ipv4(6, bytes, sizeof bytes), expected);
    }
}

static void arp_frames(void **state)
{
    static const uint8_t arp[] = {0,  1,  8, 0, 6, 4, 0, 1, 2, 0, 0,  0,  0, 1,
                                  10, 77, 0, 1, 0, 0, 0, 0, 0, 0, 10, 77, 0, 2};
    (void)state;
    memset(frame, 0, sizeof frame);
    frame[12] = 8, frame[13] = 6;
    memcpy(frame + 14, arp, sizeof arp);
    assert_line(60, "arp who-has 10.77.0.2 tell 10.77.0.1");
    frame[14 + 7] = 2;
    assert_line(42, "arp reply 10.77.0.1 is-at 02:00:00:00:00:01");
    frame[14 + 7] = 3;
    assert_line(42, "arp, bad operation, 28 bytes");
    frame[14 + 4] = 8;
    assert_line(42, "arp, bad format, 28 bytes");
    assert_line(41, "arp, truncated, 27 bytes");
}

static void icmp_frames(void **state)
{
    static const struct {
        struct icmp_header header;
        const char *line;
    } cases[] = {
        {{8, 0, 0x00010002}, "icmp echo_request id 1 seq 2 (4)"},
        {{0, 0, 0x00010002}, "icmp echo_reply id 1 seq 2 (4)"},
        {{3, 3, 0}, "icmp unreachable port_unreachable (4)"},
        {{3, 4, 1400}, "icmp unreachable frag_needed mtu 1400 (4)"},
        {{3, 0, 0}, "icmp unreachable net_unreachable (4)"},
        {{3, 13, 0}, "icmp unreachable admin_prohibited (4)"},
        {{3, 16, 0}, "icmp unreachable code 16 (4)"},
        {{13, 0, 0}, "icmp timestamp_request (4)"},
        {{11, 0, 0}, "icmp time_exceeded (4)"},
        {{11, 1, 0}, "icmp time_exceeded code 1 (4)"},
        {{42, 0, 0}, "icmp type 42 (4)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[12] = {0};
        char expected[TEXT_LINE_MAX] = "10.77.0.1 > 10.77.0.2 ";
        icmp_write(&cases[i].header, bytes, 4);
        strcat(expected, cases[i].line);
        assert_line(make_ipv4(1, bytes, sizeof bytes), expected);
    }
    assert_line(make_ipv4(1, "\x08\0\0\0\0\0\0\0", 8),
                "10.77.0.1 > 10.77.0.2 icmp, bad checksum, 8 bytes");
    assert_line(make_ipv4(1, "\x08", 1), "10.77.0.1 > 10.77.0.2 icmp, truncated, 1 bytes");
}

static void other_datagrams(void **state)
{
    (void)state;
    assert_line(make_ipv4(17, "\0\1\0\2\0\12\0\0ab", 10), "10.77.0.1:1 > 10.77.0.2:2 udp (2)");
    assert_line(make_ipv4(17, "\0\1\0\2\0\13\0\0ab", 10),
                "10.77.0.1 > 10.77.0.2 udp, bad length, 10 bytes");
    assert_line(make_ipv4(17, "\0", 1), "10.77.0.1 > 10.77.0.2 udp, truncated, 1 bytes");
    assert_line(make_ipv4(4, "abc", 3), "10.77.0.1 > 10.77.0.2 ip protocol 4 (3)");
}

static void fragments(void **state)
{
    (void)state;
    size_t size = make_ipv4(17, "01234567", 8);
    bytes_put16(frame + 14 + 6, 0x2000 | 185);
    bytes_put16(frame + 14 + 10, 0);
    bytes_put16(frame + 14 + 10, checksum_finish(checksum_add(0, frame + 14, 20)));
    assert_line(size, "10.77.0.1 > 10.77.0.2 ip protocol 17 fragment id 7 1480:1488(8)+");
    bytes_put16(frame + 14 + 6, 185);
    bytes_put16(frame + 14 + 10, 0);
    bytes_put16(frame + 14 + 10, checksum_finish(checksum_add(0, frame + 14, 20)));
    assert_line(size, "10.77.0.1 > 10.77.0.2 ip protocol 17 fragment id 7 1480:1488(8)");
}

static void unreadable_frames(void **state)
{
    (void)state;
    size_t size = make_ipv4(6, "", 0);
    assert_line(0, "ethernet, truncated, 0 bytes");
    assert_line(13, "ethernet, truncated, 13 bytes");
    assert_line(size - 1, "ipv4, truncated, 19 bytes");
    frame[14 + 8] ^= 1;
    assert_line(size, "ipv4, bad checksum, 20 bytes");
    frame[14] = 0x65;
    assert_line(size, "ipv4, bad version, 20 bytes");
    frame[14] = 0x44;
    assert_line(size, "ipv4, bad header length, 20 bytes");
    frame[12] = 0x86, frame[13] = 0xdd;
    assert_line(size, "ethertype 0x86dd (20)");
}

static void small_buffers_are_kept(void **state)
{
    const char *whole = tcp_cases[0].line;
    (void)state;
    for (size_t capacity = 1; capacity <= strlen(whole) + 2; capacity++) {
        char *line = malloc(capacity);
        assert_non_null(line);
        size_t length = text_format_tcp(&tcp_cases[0].header, 0, 0, 0, line, capacity);
        size_t expected = capacity - 1 < strlen(whole) ? capacity - 1 : strlen(whole);
        assert_int_equal(length, expected);
        assert_memory_equal(line, whole, expected);
        assert_int_equal(line[expected], 0);
        free(line);
    }
}

/* The longest line of options that are known and legal: forty nops, all numbers as wide as can
   be. */
static void longest_legal_line_fits(void **state)
{
    uint8_t bytes[60];
    char line[TEXT_LINE_MAX];
    (void)state;
    memset(bytes, 0xff, sizeof bytes);
    memset(bytes + 20, 1, 40);
    size_t size = make_ipv4(6, bytes, sizeof bytes);
    memset(frame + 14 + 12, 0xff, 8);
    bytes_put16(frame + 14 + 10, 0);
    bytes_put16(frame + 14 + 10, checksum_finish(checksum_add(0, frame + 14, 20)));
    size_t length = text_format_frame(frame, size, 0, 0, line, sizeof line);
    assert_true(length < sizeof line - 1);
    assert_int_equal(line[length - 1], '>');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_lines),
        cmocka_unit_test(tcp_frames),
        cmocka_unit_test(foreign_options),
        cmocka_unit_test(arp_frames),
        cmocka_unit_test(icmp_frames),
        cmocka_unit_test(other_datagrams),
        cmocka_unit_test(fragments),
        cmocka_unit_test(unreadable_frames),
        cmocka_unit_test(small_buffers_are_kept),
        cmocka_unit_test(longest_legal_line_fits),
    };
    return cmocka_run_group_tests_name("wire text", tests, NULL, NULL);
}
