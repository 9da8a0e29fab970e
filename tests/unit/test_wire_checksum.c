/* The checksum against a naive one that adds 16 bits at a time, and the FCS against a known one. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../tapstack/wire/checksum.h"
#include "../../tapstack/wire/fcs.h"

static uint32_t next_random(uint32_t *state) { return *state = *state * 1664525 + 1013904223; }

/* RFC 1071, 1, word by word. */
static uint16_t naive_checksum(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i++) {
        sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

static void random_strings_of_all_sizes_and_alignments(void **state)
{
    static uint8_t buffer[300 + 16];
    uint32_t seed = 1;
    (void)state;
    for (size_t size = 0; size <= 300; size++)
        for (size_t align = 0; align < 16; align++) {
            for (size_t i = 0; i < sizeof buffer; i++)
                buffer[i] = (uint8_t)(next_random(&seed) >> 24);
            assert_int_equal(checksum_finish(checksum_add(0, buffer + align, size)),
                             naive_checksum(buffer + align, size));
        }
}

static void carries_of_a_full_frame_are_kept(void **state)
{
    static uint8_t buffer[65535];
    (void)state;
    memset(buffer, 0xff, sizeof buffer);
    for (size_t size = sizeof buffer; size > sizeof buffer - 40; size--)
        assert_int_equal(checksum_finish(checksum_add(0xffffffff, buffer, size)),
                         naive_checksum(buffer, size));
}

static void pieces_add_up(void **state)
{
    static uint8_t buffer[257];
    uint32_t seed = 2;
    (void)state;
    for (size_t i = 0; i < sizeof buffer; i++)
        buffer[i] = (uint8_t)(next_random(&seed) >> 24);
    uint16_t whole = naive_checksum(buffer, sizeof buffer);
    for (size_t cut = 0; cut <= sizeof buffer; cut++)
        for (size_t cut2 = cut; cut2 <= sizeof buffer; cut2++) {
            uint32_t sum = checksum_add(0, buffer, cut);
            sum = checksum_add_at(sum, buffer + cut, cut2 - cut, cut);
            sum = checksum_add_at(sum, buffer + cut2, sizeof buffer - cut2, cut2);
            assert_int_equal(checksum_finish(sum), whole);
        }
}

static void zero_length_piece_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(checksum_fold(checksum_add(0x1234, "", 0)), 0x1234);
    assert_int_equal(checksum_fold(checksum_add_at(0x1234, "", 0, 1)), 0x1234);
}

/* The example of RFC 1071, 3. */
static void rfc_example(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    (void)state;
    assert_int_equal(checksum_fold(checksum_add(0, bytes, sizeof bytes)), 0xddf2);
}

static void pseudo_header_of_both_families(void **state)
{
    static const uint8_t v4[] = {10, 77, 0, 1, 10, 77, 0, 2, 0, 6, 0x12, 0x34};
    static const uint8_t v6[] = {0x20, 1, 0x0d, 0xb8, 0,    0,    0,    0,    0, 0, 0, 0, 0, 0,
                                 0,    1, 0x20, 1,    0x0d, 0xb8, 0,    0,    0, 0, 0, 0, 0, 0,
                                 0xff, 0, 0,    2,    0,    1,    0x23, 0x45, 0, 0, 0, 17};
    struct ip_address source = ip_address_from_v4(0x0a4d0001);
    struct ip_address destination = ip_address_from_v4(0x0a4d0002);
    (void)state;
    uint32_t sum = checksum_add_pseudo(0, &source, &destination, 6, 0x1234);
    assert_int_equal(checksum_finish(sum), naive_checksum(v4, sizeof v4));
    memcpy(source.octets, v6, 16);
    memcpy(destination.octets, v6 + 16, 16);
    sum = checksum_add_pseudo(0, &source, &destination, 17, 0x12345);
    assert_int_equal(checksum_finish(sum), naive_checksum(v6, sizeof v6));
}

/* "123456789" is the usual check value of CRC-32: cbf43926. */
static void fcs_known_value_stands_lowest_byte_first(void **state)
{
    uint8_t bytes[9 + FCS_BYTES] = "123456789";
    (void)state;
    fcs_append(bytes, 9);
    assert_memory_equal(bytes + 9, "\x26\x39\xf4\xcb", 4);
    assert_true(fcs_check(bytes, sizeof bytes));
}

static void fcs_finds_every_flipped_bit(void **state)
{
    uint8_t bytes[60 + FCS_BYTES] = {1, 2, 3};
    (void)state;
    fcs_append(bytes, 60);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(fcs_check(bytes, sizeof bytes));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t size = 0; size < FCS_BYTES; size++)
        assert_false(fcs_check(bytes, size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_strings_of_all_sizes_and_alignments),
        cmocka_unit_test(carries_of_a_full_frame_are_kept),
        cmocka_unit_test(pieces_add_up),
        cmocka_unit_test(zero_length_piece_changes_nothing),
        cmocka_unit_test(rfc_example),
        cmocka_unit_test(pseudo_header_of_both_families),
        cmocka_unit_test(fcs_known_value_stands_lowest_byte_first),
        cmocka_unit_test(fcs_finds_every_flipped_bit),
    };
    return cmocka_run_group_tests_name("wire checksum and fcs", tests, NULL, NULL);
}
