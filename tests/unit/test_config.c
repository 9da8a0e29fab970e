/* The configuration file: what it sets, and what it says about every kind of mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../tapstack/host/config.h"
#include "../../tapstack/host/log.h"
#include "../../tapstack/host/quantity.h"

static char path[] = "/tmp/test_config.XXXXXX";

static int make_file(void **state)
{
    int fd = mkstemp(path);
    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_file(const char *text, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
}

/* Reads text as a file over the defaults. error: 512 bytes, without the file's name. */
static int read_text(const char *text, struct config *config, char *error)
{
    char whole[512];
    config_default(config);
    write_file(text, strlen(text));
    int result = config_read(config, path, whole, sizeof whole);
    if (result != 0)
        assert_memory_equal(whole, path, strlen(path));
    snprintf(error, 512, "%s", result != 0 ? whole + strlen(path) + 1 : "");
    return result;
}

static void test_defaults(void **state)
{
    struct config config;
    char error[512];
    (void)state;
    assert_int_equal(read_text("", &config, error), 0);
    assert_string_equal(config.dir, "/run/tapstack");
    assert_string_equal(config.interface[0].device, "tap0");
    assert_int_equal(config.interface[0].address_v4, 0x0a4d0002);
    assert_int_equal(config.interface[0].prefix_bits, 24);
    assert_int_equal(config.interface[0].host_address_v4, 0x0a4d0001);
    assert_int_equal(config.gateway_v4, 0);
    assert_int_equal(config.interface[0].mtu_bytes, 1500);
    assert_true(config.interface[0].offload);
    assert_false(config.interface[0].cable_present);
    assert_int_equal(config.log_level, LOG_LEVEL_INFO);
    assert_int_equal(config.settings.tcp_rto_min_us, 200000);
}

static void test_every_key(void **state)
{
    static const char text[] =
        "# a comment with \"one quote\n"
        "dir = '/tmp/a//b' // and another\n"
        "device = \"tap%d\" /* over\n two lines */ mac = 02:00:00:00:00:07\n"
        "address = 192.168.7.2/25\nhost_address = 192.168.7.1\ngateway = 192.168.7.126\n"
        "mtu = 9000\noffload = off\nuser = \"\"\nlog_level = debug\nshutdown = 1.5s\n"
        "client_sockets_max = 7\ncontrol_uid = 1000\nevents = 64\n"
        "cable {\n  loss = 1% duplicate = 0.5%\n  corrupt = 0.0001%\n  reorder = 100%\n"
        "  delay = 10ms\n  jitter = 250us\n  reorder_hold = 1ms\n  rate = 1.5mbit\n"
        "  queue = 50\n  fcs = on\n  seed = 42\n}\n"
        "settings {\n  tcp.rto_min = \"40ms\"\n  tcp.sack = off\n  tcp.receive_buffer = 64k\n}\n";
    struct config config;
    char error[512];
    (void)state;
    assert_int_equal(read_text(text, &config, error), 0);
    assert_string_equal(config.dir, "/tmp/a//b");
    assert_string_equal(config.interface[0].device, "tap%d");
    assert_int_equal(config.interface[0].mac.octets[5], 7);
    assert_int_equal(config.interface[0].address_v4, 0xc0a80702);
    assert_int_equal(config.interface[0].prefix_bits, 25);
    assert_int_equal(config.interface[0].host_address_v4, 0xc0a80701);
    assert_int_equal(config.gateway_v4, 0xc0a8077e);
    assert_int_equal(config.interface[0].mtu_bytes, 9000);
    assert_false(config.interface[0].offload);
    assert_string_equal(config.user, "");
    assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(config.shutdown_us, 1500000);
    assert_int_equal(config.client_sockets_max, 7);
    assert_int_equal(config.control_uid, 1000);
    assert_int_equal(config.event_capacity, 64);
    assert_true(config.interface[0].cable_present);
    assert_int_equal(config.interface[0].cable.loss_ppm, 10000);
    assert_int_equal(config.interface[0].cable.duplicate_ppm, 5000);
    assert_int_equal(config.interface[0].cable.corrupt_ppm, 1);
    assert_int_equal(config.interface[0].cable.reorder_ppm, 1000000);
    assert_int_equal(config.interface[0].cable.delay_us, 10000);
    assert_int_equal(config.interface[0].cable.jitter_us, 250);
    assert_int_equal(config.interface[0].cable.reorder_us, 1000);
    assert_int_equal(config.interface[0].cable.rate_kbps, 1500);
    assert_int_equal(config.interface[0].cable.queue_frames, 50);
    assert_true(config.interface[0].cable.fcs);
    assert_int_equal(config.interface[0].cable_seed, 42);
    assert_int_equal(config.settings.tcp_rto_min_us, 40000);
    assert_int_equal(config.settings.tcp_sack, 0);
    assert_int_equal(config.settings.tcp_receive_buffer, 65536);
}

static void test_neighbors(void **state)
{
    static const struct mac_address mac = {{2, 0, 0, 0, 0, 9}};
    static const char *const wrong[] = {
        "10.77.0.9",
        "02:00:00:00:00:09",
        "10.77.0.9/24 02:00:00:00:00:09",
        "none 02:00:00:00:00:09",
        "0.0.0.0 02:00:00:00:00:09",
        "10.77.0.9 ff:ff:ff:ff:ff:ff",
        "10.77.0.9 02:00:00:00:00",
        "10.77.0.9 02:00:00:00:00:09 x",
        "",
    };
    struct config config;
    char error[512], text[4096];
    (void)state;
    assert_int_equal(read_text("neighbors = {\n  \"10.77.0.9 02:00:00:00:00:09\",\n"
                               "  \"10.77.0.8\t 02:00:00:00:00:08\"\n}\nproxy_arp = on\n",
                               &config, error),
                     0);
    assert_int_equal(config.neighbor_count, 2);
    assert_int_equal(config.neighbors[0].v4, 0x0a4d0009);
    assert_memory_equal(&config.neighbors[0].mac, &mac, sizeof mac);
    assert_int_equal(config.neighbors[1].v4, 0x0a4d0008);
    assert_true(config.interface[0].proxy_arp);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(text, sizeof text, "neighbors = {\"%s\"}\n", wrong[i]);
        assert_int_equal(read_text(text, &config, error), -1);
    }
    strcpy(text, "neighbors = {");
    for (int i = 0; i < 65; i++)
        strcat(text, i ? ",\"10.77.0.9 02:00:00:00:00:09\"" : "\"10.77.0.9 02:00:00:00:00:09\"");
    strcat(text, "}\n");
    assert_int_equal(read_text(text, &config, error), -1);
}

static void test_filter(void **state)
{
    struct config config;
    char error[512];
    (void)state;
    assert_int_equal(read_text("filter = /etc/rules\nfilter_rules = {\"input policy drop\", "
                               "'input accept name \"# web\" port 80'}\n",
                               &config, error),
                     0);
    assert_string_equal(config.filter, "/etc/rules");
    assert_string_equal(config.filter_rules,
                        "input policy drop\ninput accept name \"# web\" port 80\n");
}

static void test_routes_and_addresses(void **state)
{
    static const char *const wrong[] = {
        "",
        "10.9.0.0/33 via 10.77.0.9",
        "10.9.0.1/16 via 10.77.0.9",
        "ten via 10.77.0.9",
        "default via",
        "default by 10.77.0.9",
        "default via 10.77.0.9/24",
        "default via 0.0.0.0",
        "default via 10.77.0.9 metric ten",
        "default via 10.77.0.9 metric -1",
        "default via 10.77.0.9 metric 4294967295",
        "default dev a-name-that-is-too-long",
    };
    static const char *const no_address[] = {"10.79.0.2", "10.79.0.2/32", "none", "x/24", ""};
    struct config config;
    char error[512], text[4096];
    (void)state;
    assert_int_equal(read_text("routes = {\n  \"10.9.0.0/16 via 10.77.0.9 metric 10\",\n"
                               "  \"default metric 3  via 10.77.0.1 dev tap0\",\n"
                               "  \"192.0.2.7 dev tap0\"\n}\n"
                               "addresses = {\"10.79.0.2/24\", \"10.80.0.2/16\"}\n",
                               &config, error),
                     0);
    assert_int_equal(config.route_count, 3);
    assert_int_equal(config.routes[0].network, 0x0a090000);
    assert_int_equal(config.routes[0].prefix_bits, 16);
    assert_int_equal(config.routes[0].gateway_v4, 0x0a4d0009);
    assert_int_equal(config.routes[0].metric, 10);
    assert_string_equal(config.routes[0].interface, "");
    assert_int_equal(config.routes[1].prefix_bits, 0);
    assert_int_equal(config.routes[1].metric, 3);
    assert_string_equal(config.routes[1].interface, "tap0");
    assert_int_equal(config.routes[2].prefix_bits, 32);
    assert_int_equal(config.routes[2].gateway_v4, 0);
    assert_int_equal(config.interface[0].address_count, 2);
    assert_int_equal(config.interface[0].addresses[1].v4, 0x0a500002);
    assert_int_equal(config.interface[0].addresses[1].prefix_bits, 16);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(text, sizeof text, "routes = {\"%s\"}\n", wrong[i]);
        assert_int_equal(read_text(text, &config, error), -1);
    }
    for (size_t i = 0; i < sizeof no_address / sizeof no_address[0]; i++) {
        snprintf(text, sizeof text, "addresses = {\"%s\"}\n", no_address[i]);
        assert_int_equal(read_text(text, &config, error), -1);
    }
}

/* Every setting of the stack can be written, at both of its bounds. */
static void test_every_setting(void **state)
{
    struct config config;
    char error[512], text[256], value[QUANTITY_TEXT_MAX];
    (void)state;
    for (unsigned i = 0; i < stack_setting_count(); i++) {
        const struct stack_setting_info *info = stack_setting_info(i);
        for (int most = 0; most < 2; most++) {
            quantity_format(most ? info->most : info->least,
                            quantity_kind_of(info->unit, info->most), value);
            snprintf(text, sizeof text, "settings { %s = %s }", info->name, value);
            int result = read_text(text, &config, error);
            if (result != 0 && strstr(error, "is below"))
                continue; /* tcp.port_first, tcp.rto_min: must fit their partners */
            assert_string_equal(error, "");
            assert_true(stack_setting_get(&config.settings, i) ==
                        (most ? info->most : info->least));
        }
    }
}

/* Sections add interfaces; the keys of the first one stand before them all. */
static void test_more_interfaces(void **state)
{
    static const char text[] =
        "vlan = 7\nring = 16\nbudget = 8\npromiscuous = on\ngateway = 10.78.0.1\n"
        "cable { seed = 3 impair = {\"out loss 1%\", \"both dsl for 30s\"} }\n"
        "interface \"tap1\" {\n address = 10.78.0.2/16\n mtu = 900\n netns = b\n"
        " cable { loss = 2%\n fcs = on }\n allmulti = on\n}\n"
        "interface tap2 { cable { loss = 4% } address = 10.79.0.2/24 mac = 02:00:00:00:00:07 }\n";
    struct config config;
    char error[512];
    (void)state;
    read_text(text, &config, error);
    assert_string_equal(error, "");
    assert_int_equal(config.interface_count, 3);
    assert_false(config_has_bridge(&config));
    const struct config_interface *i = config.interface;
    assert_string_equal(i[0].device, "tap0");
    assert_int_equal(i[0].vlan, 7);
    assert_int_equal(i[0].ring_slots, 16);
    assert_int_equal(i[0].budget_frames, 8);
    assert_true(i[0].promiscuous && !i[0].allmulti);
    assert_true(i[0].cable_present);
    assert_int_equal(i[0].cable_seed, 3);
    assert_int_equal(i[0].impair_count, 3);
    assert_int_equal(i[0].impair[0].impairment.loss.ppm, 10000);
    assert_int_equal(i[0].impair[1].direction, IMPAIR_IN);
    assert_int_equal(i[0].impair[2].impairment.for_us, 30000000);
    assert_int_equal(i[0].address_v4, 0x0a4d0002);
    assert_string_equal(i[1].device, "tap1");
    assert_string_equal(i[1].netns, "b");
    assert_int_equal(i[1].address_v4, 0x0a4e0002);
    assert_int_equal(i[1].prefix_bits, 16);
    assert_int_equal(i[1].host_address_v4, 0);
    assert_int_equal(i[1].mtu_bytes, 900);
    assert_int_equal(i[1].mac.octets[4], 1);
    assert_int_equal(i[1].cable.loss_ppm, 20000);
    assert_true(i[1].cable.fcs && i[1].allmulti && i[1].offload);
    assert_int_equal(i[2].cable.loss_ppm, 40000);
    assert_int_equal(i[2].mac.octets[5], 7);
    assert_int_equal(i[2].vlan, 0);
    assert_int_equal(config_gateway_interface(&config), 1);
}

static void test_sections_alone(void **state)
{
    struct config config;
    char error[512];
    (void)state;
    read_text("spin = 0us\ninterface eth { address = 10.1.0.1/30 }", &config, error);
    assert_string_equal(error, "");
    assert_int_equal(config.interface_count, 1);
    assert_string_equal(config.interface[0].device, "eth");
    assert_int_equal(config.interface[0].prefix_bits, 30);
}

static void test_bridge(void **state)
{
    struct config config;
    char error[512];
    (void)state;
    read_text("bridge = {\"a\", b}\ninterface a { netns = x }\n"
              "interface b { host_address = 10.1.0.1/24 }\ninterface c { address = 10.2.0.1/24 }",
              &config, error);
    assert_string_equal(error, "");
    assert_int_equal(config.interface_count, 3);
    assert_true(config_has_bridge(&config));
    assert_string_equal(config.interface[0].device, "c");
    assert_false(config.interface[0].bridged);
    assert_string_equal(config.interface[1].device, "a");
    assert_string_equal(config.interface[2].device, "b");
    assert_int_equal(config.interface[2].host_prefix_bits, 24);
}

static void test_bridge_of_the_command_line(void **state)
{
    static const char *const wrong[] = {
        "", "tap0", "tap0,", ",tap1", "a,a", "a@x,a@x", "sixteen_letters_,b"};
    struct config config;
    char error[512] = "";
    (void)state;
    config_default(&config);
    assert_int_equal(config_bridge(&config, "tap0@a,tap0@b", error, sizeof error), 0);
    assert_int_equal(config.interface_count, 2);
    assert_string_equal(config.interface[0].device, "tap0");
    assert_string_equal(config.interface[0].netns, "a");
    assert_string_equal(config.interface[1].netns, "b");
    assert_int_equal(config.interface[0].address_v4, 0);
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        error[0] = '\0';
        assert_int_equal(config_bridge(&config, wrong[i], error, sizeof error), -1);
        assert_true(strlen(error) > 20);
    }
}

static const struct {
    const char *text;
    const char *error; /* behind the file's name */
} mistakes[] = {
    {"interface tap1 {\n mtu = 900\n}\n",
     "1:1: interface \"tap1\" needs an address, or a place in the bridge"},
    {"\ninterface tap1 {\n  adress = 10.1.0.1/24\n}\n",
     "3:3: unknown key \"adress\" in the section \"interface\"; did you mean \"address\"?"},
    {"interface tap1 {\n  gateway = 10.1.0.1\n}\n",
     "2:3: \"gateway\" belongs before the sections, not in \"interface\""},
    {"interface tap1 {\n  address = 10.1.0.1/24\n  cable {\n    loss = 101%\n  }\n}\n",
     "4:12: loss must be from 0% to 100%, not 101%"},
    {"interface tap1 {\n  vlan = 4095\n}\n", "2:10: vlan must be from 0 to 4094, not 4095"},
    {"mtu = 900\nfilter_rules = {\"input drop\",\n  \"input dorp\"}\n",
     "2:1: filter_rules: 2:7: no such target: \"dorp\"; did you mean \"drop\"?"},
    {"ring = 0\n", "1:8: ring must be from 1 to 4096, not 0"},
    {"address = 10.1.0.1/24\nhost_address = none\ninterface a {\n address = 10.1.0.0/24\n}",
     "4:2: address is not one that a host can have"},
    {"address = 10.1.0.1/24\nhost_address = none\ninterface a {\n address = 10.1.0.1/24\n}",
     "4:2: address is that of interface \"tap0\" too"},
    {"interface a {\n address = 10.1.0.1/24\n host_address = 10.2.0.1\n}",
     "3:2: host_address is not in the network of address; set both"},
    {"mtu = 1500\ninterface tap0 {\n address = 10.1.0.1/24\n}",
     "2:1: interface \"tap0\" is there twice"},
    {"interface a { address = 10.1.0.1/24 }\ninterface a { address = 10.1.0.2/24 }\n",
     "2:11: found duplicate title 'a'"},
    {"interface sixteen_letters_ { }", "1:1: interface wants a device name of at most 15 bytes"},
    {"interface a { }\ninterface b { }\nbridge = {a, b}\ngateway = 10.9.0.1\n",
     "4:1: gateway is not in the network of address"},
    {"interface a { }\ninterface b { }\nbridge = {a, c}\n",
     "3:1: bridge: there is no interface \"c\""},
    {"interface a { }\nbridge = {a, a}\n", "2:1: bridge joins two interfaces, not \"a\" twice"},
    {"interface a { }\n bridge = {a}\n",
     "2:2: bridge joins two interfaces, such as {\"tap0\", \"tap1\"}, not 1"},
    {"bridge = {a, b}\ninterface a { }\ninterface b {\n address = 10.1.0.1/24\n}",
     "4:2: an end of the bridge has no address"},
    {"bridge = {a, b}\ninterface a { }\ninterface b { vlan = 3 }",
     "3:15: an end of the bridge lets all VLANs pass"},
    {"bridge = {a, b}\ninterface a { }\ninterface b { host_address = 10.1.0.1 }",
     "3:15: host_address of an end of the bridge needs its prefix"},
    {"interface a {\n address = 10.1.0.1/24\n cable {\n loss = 1%\n}\n",
     "1:1: this section is not closed"},
    {"mut = 3\n", "1:1: unknown key \"mut\"; did you mean \"mtu\"?"},
    {"# a\n\n  adress = 10.0.0.1/8\n", "3:3: unknown key \"adress\"; did you mean \"address\"?"},
    {"xyzzy = 1\n", "1:1: unknown key \"xyzzy\""},
    {"settings {\n tcp.rtomin = 1ms\n}",
     "2:2: unknown key \"tcp.rtomin\" in the section \"settings\"; did you mean \"tcp.rto_min\"?"},
    {"tcp.rto_min = 3ms\n", "1:1: \"tcp.rto_min\" belongs in the section \"settings\""},
    {"loss = 3%\n", "1:1: \"loss\" belongs in the section \"cable\""},
    {"cable { vlan = 3 }", "1:9: \"vlan\" belongs before the sections, not in \"cable\""},
    {"/* c\nd */ mtu = 99999999\n", "2:12: mtu must be from 576 to 65535, not 99999999"},
    {"mtu = \"12ms\"\n", "1:8: mtu wants a size in bytes, such as 1500, 64k or 4M, not \"12ms\""},
    {"mtu = 1.5\n", "1:7: mtu wants a size in bytes, such as 1500, 64k or 4M, not \"1.5\""},
    {"offload = maybe\n", "1:11: offload wants on or off, not \"maybe\""},
    {"shutdown = 5\n",
     "1:12: shutdown wants a time with its unit, such as 40ms or 1.5s, not \"5\""},
    {"shutdown = 99999999999999999999s\n",
     "1:12: shutdown wants a time with its unit, such as 40ms or 1.5s, not "
     "\"99999999999999999999s\""},
    {"cable {\n  loss = 3\n}\n", "2:10: loss wants a share in percent, such as 0.5%, not \"3\""},
    {"cable {\n  impair = {\"out loss 1%\",\n \"out los 2%\"}\n}\n",
     "3:7: impair: unknown word \"los\"; did you mean loss?"},
    {"cable { impair = \"out delay 20\" }",
     "1:29: impair: here stands a time with its unit, such as 20ms, not \"20\""},
    {"cable {\n  loss = 101%\n}\n", "2:10: loss must be from 0% to 100%, not 101%"},
    {"settings { tcp.rto_min = 1us }", "1:26: tcp.rto_min must be from 1ms to 1min, not 1us"},
    {"mac = 01:00:00:00:00:00",
     "1:7: mac wants the MAC address of one card, such as 02:00:00:4d:00:02, not "
     "\"01:00:00:00:00:00\""},
    {"device = sixteen_letters_", "1:10: device wants a device name of at most 15 bytes, not "
                                  "\"sixteen_letters_\""},
    {"log_level = loud", "1:13: log_level wants error, warning, info or debug, not \"loud\""},
    {"address = 10.77.0.2",
     "1:11: address wants an address with its prefix, such as 10.77.0.2/24, not \"10.77.0.2\""},
    {"address = 10.77.0.255/24", "1:1: address is not one that a host can have"},
    {"\naddress = 10.9.0.1/24\n", "2:1: host_address is not in the network of address; set both"},
    {"host_address = 10.77.0.1/16\n", "1:1: host_address has the prefix /16, address has /24"},
    {"host_address = 10.77.0.2\n", "1:1: host_address is the stack's own address"},
    {"\n\n gateway = 10.78.0.1", "3:2: gateway is not in the network of address"},
    {"user = no-such-user-here", "1:1: there is no user \"no-such-user-here\""},
    {"mtu = 1400\nneighbors = {\"10.77.0.9 02:00:00:00:00:09\", \"10.77.0.8\"}",
     "2:46: neighbors wants at most 64 neighbors such as \"10.77.0.9 02:00:00:00:00:09\", not "
     "\"10.77.0.8\""},
    {"events = 3", "1:1: events must be a power of two, or 0"},
    {"settings {\n tcp.port_first = 60000\n tcp.port_last = 5\n}",
     "3:2: tcp.port_last is below tcp.port_first"},
    {"mtu 3\n", "1:1: missing equal sign after option 'mtu'"},
    {"mtu = \"abc\n", "2:1: premature end of file"},
    {"\n cable {\n loss = 1%\n", "2:2: this section is not closed"},
    {"cable { }\n}\n", "2:1: unexpected closing brace"},
};

static void test_mistakes(void **state)
{
    struct config config, defaults;
    char error[512];
    (void)state;
    config_default(&defaults);
    for (unsigned i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        assert_int_equal(read_text(mistakes[i].text, &config, error), -1);
        assert_string_equal(error, mistakes[i].error);
        assert_memory_equal(&config, &defaults, sizeof config);
    }
}

static void test_no_text(void **state)
{
    struct config config;
    char error[512];
    (void)state;
    config_default(&config);
    write_file("mtu = 1\0", 8);
    assert_int_equal(config_read(&config, path, error, sizeof error), -1);
    assert_non_null(strstr(error, "it holds a NUL byte"));
    assert_int_equal(config_read(&config, "/nonexistent/file", error, sizeof error), -1);
    assert_string_equal(error, "/nonexistent/file: No such file or directory");
    assert_int_equal(config_read(&config, "/tmp", error, sizeof error), -1);
    assert_string_equal(error, "/tmp: Is a directory");
}

static const struct {
    enum quantity_kind kind;
    const char *text;
    int64_t value;     /* -1: refused */
    const char *again; /* as quantity_format writes it; NULL: the same text */
} quantities[] = {
    {QUANTITY_COUNT, "0", 0, NULL},
    {QUANTITY_COUNT, "007", 7, "7"},
    {QUANTITY_COUNT, "", -1, NULL},
    {QUANTITY_COUNT, "-1", -1, NULL},
    {QUANTITY_COUNT, "1k", -1, NULL},
    {QUANTITY_COUNT, "18446744073709551616", -1, NULL},
    {QUANTITY_TIME, "0", 0, NULL},
    {QUANTITY_TIME, "1", -1, NULL},
    {QUANTITY_TIME, "250us", 250, NULL},
    {QUANTITY_TIME, "1000us", 1000, "1ms"},
    {QUANTITY_TIME, "1.5s", 1500000, "1500ms"},
    {QUANTITY_TIME, "2min", 120000000, NULL},
    {QUANTITY_TIME, "1h", 3600000000, NULL},
    {QUANTITY_TIME, "0.5us", -1, NULL},
    {QUANTITY_TIME, "1.s", -1, NULL},
    {QUANTITY_TIME, ".5s", -1, NULL},
    {QUANTITY_TIME, "1 s", -1, NULL},
    {QUANTITY_BYTES, "1500", 1500, NULL},
    {QUANTITY_BYTES, "64k", 65536, NULL},
    {QUANTITY_BYTES, "1.5M", 1572864, "1536k"},
    {QUANTITY_SHARE, "1%", 10000, NULL},
    {QUANTITY_SHARE, "0.05%", 500, NULL},
    {QUANTITY_SHARE, "0.00001%", -1, NULL},
    {QUANTITY_RATE, "100mbit", 100000, NULL},
    {QUANTITY_RATE, "2.5gbit", 2500000, "2500mbit"},
    {QUANTITY_SWITCH, "yes", 1, "on"},
    {QUANTITY_SWITCH, "off", 0, NULL},
    {QUANTITY_SWITCH, "2", -1, NULL},
};

static void test_quantities(void **state)
{
    char again[QUANTITY_TEXT_MAX];
    uint64_t value;
    (void)state;
    for (unsigned i = 0; i < sizeof quantities / sizeof quantities[0]; i++) {
        const char *text = quantities[i].text;
        int result = quantity_parse(text, quantities[i].kind, &value);
        if (quantities[i].value < 0) {
            assert_int_equal(result, -1);
            continue;
        }
        assert_int_equal(result, 0);
        assert_true(value == (uint64_t)quantities[i].value);
        quantity_format(value, quantities[i].kind, again);
        assert_string_equal(again, quantities[i].again ? quantities[i].again : text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_neighbors),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_routes_and_addresses),
        cmocka_unit_test(test_every_setting),
        cmocka_unit_test(test_more_interfaces),
        cmocka_unit_test(test_sections_alone),
        cmocka_unit_test(test_bridge),
        cmocka_unit_test(test_bridge_of_the_command_line),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_no_text),
        cmocka_unit_test(test_quantities),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
