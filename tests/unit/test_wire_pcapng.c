/* pcapng blocks, byte for byte, and what does not fit. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../tapstack/wire/pcapng.h"

#define BYTES(text) (const uint8_t *)text, sizeof text - 1

static uint8_t block[70000 + PCAPNG_BLOCK_OVERHEAD];

static void assert_block(size_t size, const uint8_t *expected, size_t expected_size)
{
    assert_int_equal(size, expected_size);
    assert_memory_equal(block, expected, expected_size);
}

static void section(void **state)
{
    (void)state;
    assert_block(pcapng_write_section(block, sizeof block, "tapstack 1", "a note"),
                 BYTES("\x0a\x0d\x0d\x0a\x3c\0\0\0\x4d\x3c\x2b\x1a\1\0\0\0"
                       "\xff\xff\xff\xff\xff\xff\xff\xff"
                       "\4\0\x0a\0tapstack 1\0\0\1\0\6\0a note\0\0\0\0\0\0\x3c\0\0\0"));
    assert_block(pcapng_write_section(block, sizeof block, "t", NULL),
                 BYTES("\x0a\x0d\x0d\x0a\x28\0\0\0\x4d\x3c\x2b\x1a\1\0\0\0"
                       "\xff\xff\xff\xff\xff\xff\xff\xff\4\0\1\0t\0\0\0\0\0\0\0\x28\0\0\0"));
}

static void interface(void **state)
{
    (void)state;
    assert_block(pcapng_write_interface(block, sizeof block, "tap0", 65535),
                 BYTES("\1\0\0\0\x28\0\0\0\1\0\0\0\xff\xff\0\0"
                       "\2\0\4\0tap0\x09\0\1\0\x09\0\0\0\0\0\0\0\x28\0\0\0"));
}

static void packet(void **state)
{
    struct pcapng_packet packet = {
        .interface = 1,
        .at_ns = 0x0102030405060708,
        .direction = PCAPNG_OUTBOUND,
        .data = (const uint8_t *)"frame",
        .size = 5,
        .wire_size = 1514,
        .comment = "why",
    };
    (void)state;
    assert_block(pcapng_write_packet(block, sizeof block, &packet),
                 BYTES("\6\0\0\0\x3c\0\0\0\1\0\0\0\4\3\2\1\x08\7\6\5\5\0\0\0\xea\5\0\0frame\0\0\0"
                       "\2\0\4\0\2\0\0\0\1\0\3\0why\0\0\0\0\0\x3c\0\0\0"));
    packet.direction = 0;
    packet.comment = NULL;
    packet.size = 4;
    packet.wire_size = 0;
    assert_block(pcapng_write_packet(block, sizeof block, &packet),
                 BYTES("\6\0\0\0\x28\0\0\0\1\0\0\0\4\3\2\1\x08\7\6\5\4\0\0\0\4\0\0\0fram"
                       "\0\0\0\0\x28\0\0\0"));
}

static void statistics(void **state)
{
    const struct pcapng_statistics statistics = {
        .interface = 1, .at_ns = 0x0102030405060708, .received = 258, .dropped = 3};
    (void)state;
    assert_block(pcapng_write_statistics(block, sizeof block, &statistics),
                 BYTES("\5\0\0\0\x34\0\0\0\1\0\0\0\4\3\2\1\x08\7\6\5"
                       "\4\0\x08\0\2\1\0\0\0\0\0\0\5\0\x08\0\3\0\0\0\0\0\0\0\0\0\0\0\x34\0\0\0"));
}

static void a_block_is_whole_or_nothing(void **state)
{
    const struct pcapng_packet packet = {
        .data = (const uint8_t *)"frame", .size = 5, .direction = 1, .comment = "why"};
    (void)state;
    for (size_t capacity = 0; capacity <= 60; capacity++) {
        uint8_t *bytes = malloc(capacity + (capacity == 0));
        assert_non_null(bytes);
        assert_int_equal(pcapng_write_packet(bytes, capacity, &packet), capacity < 60 ? 0 : 60);
        free(bytes);
    }
}

/* The length of an option has 16 bits. The cut falls between characters: 65532 is in the middle of
   one of two bytes here. */
static void long_comment_is_cut_between_characters(void **state)
{
    static char comment[70001];
    const struct pcapng_packet packet = {.data = block, .size = 0, .comment = comment};
    (void)state;
    comment[0] = 'x';
    for (size_t i = 1; i + 1 < sizeof comment; i += 2)
        memcpy(comment + i, "\xc3\xa9", 2);
    comment[sizeof comment - 1] = 0;
    size_t size = pcapng_write_packet(block, sizeof block, &packet);
    assert_int_equal(size, 28 + 4 + 65532 + 4 + 4);
    assert_int_equal(block[30] | block[31] << 8, 65531);
    assert_memory_equal(block + 32 + 65529, "\xc3\xa9\0", 3);
}

static void overhead_is_as_promised(void **state)
{
    static char comment[1001];
    static const uint8_t data[1515];
    struct pcapng_packet packet = {.data = data, .direction = 1, .comment = comment};
    (void)state;
    memset(comment, 'x', 1000);
    for (size_t size = 1500; size < sizeof data; size++) {
        packet.size = size;
        size_t needed = pcapng_write_packet(block, sizeof block, &packet);
        assert_true(needed > 0 && needed <= size + 1000 + PCAPNG_BLOCK_OVERHEAD);
        assert_int_equal(needed % 4, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(section),
        cmocka_unit_test(interface),
        cmocka_unit_test(packet),
        cmocka_unit_test(statistics),
        cmocka_unit_test(a_block_is_whole_or_nothing),
        cmocka_unit_test(long_comment_is_cut_between_characters),
        cmocka_unit_test(overhead_is_as_promised),
    };
    return cmocka_run_group_tests_name("wire pcapng", tests, NULL, NULL);
}
