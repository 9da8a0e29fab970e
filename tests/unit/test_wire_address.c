/* Addresses: text both ways, and the classes of addresses. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../tapstack/wire/address.h"

static void ipv4_text_reads_and_writes(void **state)
{
    static const struct {
        const char *text;
        uint32_t v4;
    } cases[] = {
        {"10.77.0.2", 0x0a4d0002},       {"0.0.0.1", 1},
        {"255.255.255.255", 0xffffffff}, {"127.0.0.1", 0x7f000001},
        {"192.168.100.200", 0xc0a864c8},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ip_address address;
        char text[IP_ADDRESS_TEXT_MAX];
        assert_int_equal(ip_address_parse(cases[i].text, &address), 0);
        assert_int_equal(ip_address_to_v4(&address), cases[i].v4);
        assert_int_equal(ip_address_format(&address, text), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
    }
}

static void ipv4_text_refuses(void **state)
{
    static const char *const cases[] = {
        "",         "10",         "10.77.0",    "10.77.0.2.", "10.77.0.2 ", " 10.77.0.2",
        "10.77..2", "256.0.0.1",  "1.2.3.1000", "1.2.3.-4",   "01.2.3.4",   "0x1.2.3.4",
        "1.2.3.a",  "1.2.3.4:80", "1.2.3.4.5",  ".1.2.3.4",   "1.2.3.00",   "*",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ip_address address = ip_address_from_v4(7);
        if (ip_address_parse(cases[i], &address) != -1)
            fail_msg("accepted \"%s\"", cases[i]);
        assert_int_equal(ip_address_to_v4(&address), 7);
    }
}

static void unspecified_is_a_star(void **state)
{
    (void)state;
    struct ip_address any;
    char text[IP_ADDRESS_TEXT_MAX];
    assert_int_equal(ip_address_parse("0.0.0.0", &any), 0);
    assert_true(ip_address_is_unspecified(&any));
    assert_int_equal(ip_address_format(&any, text), 1);
    assert_string_equal(text, "*");
}

static void ipv6_text_is_written_in_full(void **state)
{
    (void)state;
    struct ip_address address = {{0x20, 0x01, 0x0d, 0xb8, [14] = 0xab, 0xcd}};
    char text[IP_ADDRESS_TEXT_MAX];
    assert_int_equal(ip_address_format(&address, text), 39);
    assert_string_equal(text, "2001:0db8:0000:0000:0000:0000:0000:abcd");
}

static void mac_text_reads_and_writes(void **state)
{
    (void)state;
    struct mac_address mac;
    char text[MAC_ADDRESS_TEXT_MAX];
    assert_int_equal(mac_address_parse("02:aB:00:9f:FF:01", &mac), 0);
    assert_memory_equal(mac.octets, "\x02\xab\x00\x9f\xff\x01", 6);
    assert_int_equal(mac_address_format(&mac, text), 17);
    assert_string_equal(text, "02:ab:00:9f:ff:01");
}

static void mac_text_refuses(void **state)
{
    static const char *const cases[] = {
        "",
        "02",
        "02:ab:00:9f:ff",
        "02:ab:00:9f:ff:",
        "02:ab:00:9f:ff:0",
        "02:ab:00:9f:ff:01:02",
        "02:ab:00:9f:ff:01 ",
        "02-ab-00-9f-ff-01",
        "02:ab:00:9f:ff:0g",
        "2:ab:00:9f:ff:01",
        "02ab009fff01",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mac_address mac = {{7}};
        if (mac_address_parse(cases[i], &mac) != -1)
            fail_msg("accepted \"%s\"", cases[i]);
        assert_int_equal(mac.octets[0], 7);
    }
}

static void sources_are_judged(void **state)
{
    static const struct {
        uint32_t v4;
        bool valid;
    } cases[] = {
        {0x0a4d0002, true},  {0x00000000, false}, {0x00ffffff, false}, {0x01000000, true},
        {0x7effffff, true},  {0x7f000001, false}, {0x80000000, true},  {0xdfffffff, true},
        {0xe0000001, false}, {0xf0000001, false}, {0xffffffff, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(ipv4_is_valid_source(cases[i].v4), cases[i].valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_text_reads_and_writes),
        cmocka_unit_test(ipv4_text_refuses),
        cmocka_unit_test(unspecified_is_a_star),
        cmocka_unit_test(ipv6_text_is_written_in_full),
        cmocka_unit_test(mac_text_reads_and_writes),
        cmocka_unit_test(mac_text_refuses),
        cmocka_unit_test(sources_are_judged),
    };
    return cmocka_run_group_tests_name("wire address", tests, NULL, NULL);
}
