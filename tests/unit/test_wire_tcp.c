/* TCP headers: options as peers lay them out, options as attackers do, and what tcp_write makes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../tapstack/wire/checksum.h"
#include "../../tapstack/wire/tcp.h"

enum {
    MSS = TCP_OPTION_MSS,
    WSCALE = TCP_OPTION_WINDOW_SCALE,
    SACK_OK = TCP_OPTION_SACK_PERMITTED,
    TS = TCP_OPTION_TIMESTAMPS,
    SACK = TCP_OPTION_SACK,
    BAD = TCP_OPTION_MALFORMED,
};

/* Parses a segment with these options in a block of exactly its size. */
static int parse_with_options(unsigned flags, const void *options, size_t size,
                              struct tcp_header *header)
{
    size_t padded = (size + 3) / 4 * 4;
    uint8_t *bytes = calloc(1, TCP_HEADER_BYTES + padded);
    assert_non_null(bytes);
    bytes[12] = (uint8_t)((TCP_HEADER_BYTES + padded) / 4 << 4);
    bytes[13] = (uint8_t)flags;
    memcpy(bytes + TCP_HEADER_BYTES, options, size);
    int result = tcp_parse(bytes, TCP_HEADER_BYTES + padded, header);
    free(bytes);
    return result;
}

static void fixed_fields_both_ways(void **state)
{
    struct tcp_header header = {
        .source_port = 0x1234,
        .destination_port = 80,
        .sequence = 0xdeadbeef,
        .acknowledgment = 0x01020304,
        .window = 0xfedc,
        .urgent_pointer = 0x5678,
        .flags = 0xff & ~TCP_SYN,
    };
    static const uint8_t expected[] = {0x12, 0x34,   0,    80,   0xde, 0xad, 0xbe, 0xef, 1,   2, 3,
                                       4,    5 << 4, 0xfd, 0xfe, 0xdc, 0,    0,    0x56, 0x78};
    struct tcp_header read;
    uint8_t bytes[TCP_HEADER_MAX];
    (void)state;
    assert_int_equal(tcp_write(&header, bytes), TCP_HEADER_BYTES);
    assert_int_equal(header.header_bytes, TCP_HEADER_BYTES);
    assert_memory_equal(bytes, expected, sizeof expected);
    assert_int_equal(tcp_parse(bytes, TCP_HEADER_BYTES, &read), 0);
    assert_memory_equal(&read, &header, sizeof read);
}

static void data_offset_lies(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 64; size++)
        for (unsigned words = 0; words < 16; words++) {
            uint8_t *bytes = calloc(1, size + 1);
            struct tcp_header header;
            if (size > 12)
                bytes[12] = (uint8_t)(words << 4);
            int expected = size < 20                       ? TCP_TRUNCATED
                           : words < 5 || words * 4 > size ? TCP_BAD_DATA_OFFSET
                                                           : 0;
            assert_int_equal(tcp_parse(bytes, size, &header), expected);
            free(bytes);
        }
}

#define OPTIONS(text) text, sizeof text - 1

static const struct {
    const char *what;
    const char *options;
    size_t size;
    unsigned syn_present;  /* what a SYN with these options holds */
    unsigned data_present; /* what another segment holds */
} option_cases[] = {
    {"none", OPTIONS(""), 0, 0},
    {"Linux SYN", OPTIONS("\2\4\5\xb4\4\2\10\12\0\0\0\1\0\0\0\2\1\3\3\7"),
     MSS | SACK_OK | TS | WSCALE, TS},
    {"nop,nop,TS", OPTIONS("\1\1\10\12\0\0\0\1\0\0\0\2"), TS, TS},
    {"TS,nop,nop", OPTIONS("\10\12\0\0\0\1\0\0\0\2\1\1"), TS, TS},
    {"nop,TS,eol: not aligned", OPTIONS("\1\10\12\0\0\0\1\0\0\0\2\0"), TS, TS},
    {"end of options hides the rest", OPTIONS("\0\2\4\5\xb4"), 0, 0},
    {"forty nops",
     OPTIONS("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
             "\1\1\1\1"),
     0, 0},
    {"unknown skipped", OPTIONS("\xfe\6abcd\2\4\5\xb4\1\1"), MSS, 0},
    {"unknown of 2", OPTIONS("\x22\2\2\4\5\xb4\1\1"), MSS, 0},
    {"authentication option", OPTIONS("\x1d\4\1\1\2\4\5\xb4"), MSS, 0},
    {"kind without length at the end", OPTIONS("\1\1\1\2"), BAD, BAD},
    {"MSS length 0", OPTIONS("\2\0\5\xb4\4\2\1\1"), BAD, BAD},
    {"MSS length 1", OPTIONS("\2\1\5\xb4\4\2\1\1"), BAD, BAD},
    {"MSS length 2", OPTIONS("\2\2\4\2"), BAD | SACK_OK, BAD},
    {"MSS length 3", OPTIONS("\2\3\5\4\2\1\1\1"), BAD | SACK_OK, BAD},
    {"MSS length 5", OPTIONS("\2\5\5\xb4\0\4\2\1"), BAD | SACK_OK, BAD},
    {"MSS past the end", OPTIONS("\1\1\2\4"), BAD, BAD},
    {"unknown length 0", OPTIONS("\xfe\0\2\4\5\xb4\1\1"), BAD, BAD},
    {"unknown length 1", OPTIONS("\xfe\1\2\4\5\xb4\1\1"), BAD, BAD},
    {"unknown past the end", OPTIONS("\xfe\11\2\4\5\xb4\1\1"), BAD, BAD},
    {"unknown of 255", OPTIONS("\xfe\xff\2\4\5\xb4\1\1"), BAD, BAD},
    {"good before bad stays", OPTIONS("\4\2\2\0"), SACK_OK | BAD, BAD},
    {"wscale length 2", OPTIONS("\3\2\4\2"), BAD | SACK_OK, BAD},
    {"wscale length 4", OPTIONS("\3\4\7\0\4\2\1\1"), BAD | SACK_OK, BAD},
    {"sackOK length 3", OPTIONS("\4\3\0\1\2\4\5\xb4"), BAD | MSS, BAD},
    {"TS length 9", OPTIONS("\1\1\1\10\11\0\0\0\1\0\0\0"), BAD, BAD},
    {"TS length 11", OPTIONS("\1\10\13\0\0\0\1\0\0\0\2\0"), BAD, BAD},
    {"TS past the end", OPTIONS("\1\1\10\12\0\0\0\1"), BAD, BAD},
    {"SACK without blocks", OPTIONS("\5\2\4\2"), BAD | SACK_OK, BAD},
    {"SACK length 3", OPTIONS("\5\3\0\1"), BAD, BAD},
    {"SACK length 9", OPTIONS("\5\11\0\0\0\0\0\0\0\1\1\1"), BAD, BAD},
    {"SACK length 11", OPTIONS("\5\13\0\0\0\0\0\0\0\0\0\1"), BAD, BAD},
    {"SACK length 40",
     OPTIONS("\5\50\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
             "\0\0\0\0\0\0\0\0"),
     BAD, BAD},
    {"SACK one block", OPTIONS("\1\1\5\12\0\0\0\1\0\0\0\2"), SACK, SACK},
};

static void options_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof option_cases / sizeof option_cases[0]; i++) {
        struct tcp_header header;
        for (int syn = 0; syn < 2; syn++) {
            unsigned expected = syn ? option_cases[i].syn_present : option_cases[i].data_present;
            int result = parse_with_options(syn ? TCP_SYN : TCP_ACK, option_cases[i].options,
                                            option_cases[i].size, &header);
            if (result != 0 || header.options_present != expected)
                fail_msg("%s, syn %d: %d, %02x", option_cases[i].what, syn, result,
                         header.options_present);
        }
    }
}

static void option_values(void **state)
{
    struct tcp_header header;
    (void)state;
    parse_with_options(TCP_SYN, OPTIONS("\2\4\5\xb4\4\2\10\12\1\2\3\4\5\6\7\10\1\3\3\xff"),
                       &header);
    assert_int_equal(header.mss, 1460);
    assert_int_equal(header.timestamp_value, 0x01020304);
    assert_int_equal(header.timestamp_echo, 0x05060708);
    assert_int_equal(header.window_scale, 255);
    parse_with_options(TCP_ACK, OPTIONS("\1\1\10\12\1\2\3\4\5\6\7\10"), &header);
    assert_int_equal(header.timestamp_value, 0x01020304);
    assert_int_equal(header.timestamp_echo, 0x05060708);
}

static void mss_is_stored_as_received(void **state)
{
    static const uint16_t values[] = {0, 1, 64, 536, 65535};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint8_t option[] = {2, 4, (uint8_t)(values[i] >> 8), (uint8_t)values[i]};
        struct tcp_header header;
        parse_with_options(TCP_SYN, option, sizeof option, &header);
        assert_int_equal(header.options_present, MSS);
        assert_int_equal(header.mss, values[i]);
    }
}

/* Blocks that make no sense are for the sender to judge; here they are only numbers. */
static void sack_blocks_are_stored_as_received(void **state)
{
    uint8_t option[34] = {5, 34};
    struct tcp_header header;
    (void)state;
    for (unsigned count = 1; count <= 4; count++) {
        option[1] = (uint8_t)(2 + 8 * count);
        for (unsigned i = 0; i < 2 * count; i++)
            bytes_put32(option + 2 + 4 * i, 0xffffffff - i);
        parse_with_options(TCP_ACK, option, option[1], &header);
        assert_int_equal(header.options_present, SACK);
        assert_int_equal(header.sack_count, count);
        for (unsigned i = 0; i < count; i++) {
            assert_int_equal(header.sack[i].left, 0xffffffff - 2 * i);
            assert_int_equal(header.sack[i].right, 0xfffffffe - 2 * i);
        }
    }
}

static void urgent_pointer_is_stored_as_received(void **state)
{
    static const uint16_t values[] = {0, 1, 10, 11, 65535};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        for (int urgent = 0; urgent < 2; urgent++) {
            uint8_t bytes[30] = {[12] = 5 << 4};
            struct tcp_header header;
            bytes[13] = urgent ? TCP_URG | TCP_ACK : TCP_ACK;
            bytes_put16(bytes + 18, values[i]);
            assert_int_equal(tcp_parse(bytes, sizeof bytes, &header), 0);
            assert_int_equal(header.urgent_pointer, values[i]);
            assert_int_equal(header.flags, bytes[13]);
        }
}

static void every_option_layout_as_linux_writes_it(void **state)
{
    static const struct {
        unsigned flags, present;
        uint8_t sack_count;
        const char *options;
        size_t size;
    } cases[] = {
        {TCP_SYN, 0, 0, OPTIONS("")},
        {TCP_SYN, MSS, 0, OPTIONS("\2\4\5\xb4")},
        {TCP_SYN, MSS | SACK_OK | TS | WSCALE, 0,
         OPTIONS("\2\4\5\xb4\4\2\10\12\0\0\0\1\0\0\0\2\1\3\3\7")},
        {TCP_SYN, MSS | SACK_OK | WSCALE, 0, OPTIONS("\2\4\5\xb4\1\1\4\2\1\3\3\7")},
        {TCP_SYN, MSS | WSCALE, 0, OPTIONS("\2\4\5\xb4\1\3\3\7")},
        {TCP_SYN, MSS | SACK_OK, 0, OPTIONS("\2\4\5\xb4\1\1\4\2")},
        {TCP_SYN, MSS | SACK_OK | TS, 0, OPTIONS("\2\4\5\xb4\4\2\10\12\0\0\0\1\0\0\0\2")},
        {TCP_SYN, MSS | TS | WSCALE, 0, OPTIONS("\2\4\5\xb4\1\1\10\12\0\0\0\1\0\0\0\2\1\3\3\7")},
        {TCP_SYN, MSS | SACK, 1, OPTIONS("\2\4\5\xb4")},
        {TCP_ACK, MSS | SACK_OK | WSCALE, 0, OPTIONS("")},
        {TCP_ACK, TS, 0, OPTIONS("\1\1\10\12\0\0\0\1\0\0\0\2")},
        {TCP_ACK, SACK, 0, OPTIONS("")},
        {TCP_ACK, SACK, 1, OPTIONS("\1\1\5\12\0\0\0\3\0\0\0\5")},
        {TCP_ACK, SACK, 4,
         OPTIONS("\1\1\5\42\0\0\0\3\0\0\0\5\0\0\0\7\0\0\0\11\0\0\0\13\0\0\0\15\0\0\0\17\0\0\0\21")},
        {TCP_ACK, SACK, 9,
         OPTIONS("\1\1\5\42\0\0\0\3\0\0\0\5\0\0\0\7\0\0\0\11\0\0\0\13\0\0\0\15\0\0\0\17\0\0\0\21")},
        {TCP_ACK, TS | SACK, 1, OPTIONS("\1\1\10\12\0\0\0\1\0\0\0\2\1\1\5\12\0\0\0\3\0\0\0\5")},
        {TCP_ACK, TS | SACK, 4,
         OPTIONS(
             "\1\1\10\12\0\0\0\1\0\0\0\2\1\1\5\32\0\0\0\3\0\0\0\5\0\0\0\7\0\0\0\11\0\0\0\13\0\0\0"
             "\15")},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tcp_header header = {
            .flags = (uint8_t)cases[i].flags,
            .options_present = (uint8_t)cases[i].present,
            .mss = 1460,
            .window_scale = 7,
            .timestamp_value = 1,
            .timestamp_echo = 2,
            .sack_count = cases[i].sack_count,
            .sack = {{3, 5}, {7, 9}, {11, 13}, {15, 17}},
        };
        uint8_t bytes[TCP_HEADER_MAX];
        size_t size = tcp_write(&header, bytes);
        if (size != TCP_HEADER_BYTES + cases[i].size || header.header_bytes != size ||
            bytes[12] >> 4 != (int)size / 4 ||
            memcmp(bytes + TCP_HEADER_BYTES, cases[i].options, cases[i].size) != 0)
            fail_msg("case %zu: %zu bytes", i, size);
    }
}

static void checksum_is_checked(void **state)
{
    struct ip_address source = ip_address_from_v4(0x0a4d0001);
    struct ip_address destination = ip_address_from_v4(0x0a4d0002);
    (void)state;
    for (size_t payload = 0; payload <= 3; payload++) {
        struct tcp_header header = {.source_port = 1, .destination_port = 2, .flags = TCP_ACK};
        uint8_t bytes[TCP_HEADER_MAX + 3] = {0};
        size_t size = tcp_write(&header, bytes) + payload;
        memset(bytes + header.header_bytes, 'x', payload);
        uint32_t sum = checksum_add_pseudo(0, &source, &destination, 6, size);
        bytes_put16(bytes + 16, checksum_finish(checksum_add(sum, bytes, size)));
        assert_int_equal(tcp_verify(bytes, size, &source, &destination), 0);
        assert_int_equal(tcp_verify(bytes, size, &source, &source), TCP_BAD_CHECKSUM);
        for (size_t bit = 0; bit < size * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(tcp_verify(bytes, size, &source, &destination), TCP_BAD_CHECKSUM);
            bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_fields_both_ways),
        cmocka_unit_test(data_offset_lies),
        cmocka_unit_test(options_table),
        cmocka_unit_test(option_values),
        cmocka_unit_test(mss_is_stored_as_received),
        cmocka_unit_test(sack_blocks_are_stored_as_received),
        cmocka_unit_test(urgent_pointer_is_stored_as_received),
        cmocka_unit_test(every_option_layout_as_linux_writes_it),
        cmocka_unit_test(checksum_is_checked),
    };
    return cmocka_run_group_tests_name("wire tcp", tests, NULL, NULL);
}
