/* Impairments as text: what is read, what is written, what is refused and where. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../tapstack/link/impair_text.h"
#include "../../tapstack/wire/tcp.h"

static struct impairment read_one(const char *text)
{
    struct impair_line lines[IMPAIR_LINES_MAX];
    struct impair_error error;
    if (impair_text_parse(text, lines, &error) != 1)
        fail_msg("%s: column %u: %s", text, error.column, error.message);
    return lines[0].impairment;
}

/* What is written for what is read; NULL: the same. */
static const struct {
    const char *given, *written;
} lines_read[] = {
    {"out loss 1%", NULL},
    {"out loss 1% 25%", NULL},
    {"out loss random 1% 25%", "out loss 1% 25%"},
    {"loss 0.0001", "both loss 0.0001%"},
    {"in gemodel 1%", "in gemodel 1% 99% 100% 0%"},
    {"in loss gemodel 1% 10% 70% 0.1%", "in gemodel 1% 10% 70% 0.1%"},
    {"in loss state 1%", "in loss state 1% 99% 0% 100% 0%"},
    {"in loss state 1% 10% 20% 30% 5%", NULL},
    {"in delay 20ms", NULL},
    {"in delay 20ms 2ms distribution normal", NULL},
    {"in delay 20ms 2ms 25% distribution uniform", "in delay 20ms 2ms 25%"},
    {"in delay 1.5s 1500us", "in delay 1500ms 1500us"},
    {"in delay 20msec limit 5000", "in delay 20ms limit 5000"},
    {"out rate 10mbit limit 50", NULL},
    {"out rate 1.5mbit limit 64k", "out rate 1500kbit limit 65536b"},
    {"out rate 100kbps", "out rate 800kbit"},
    {"out rate 10mbit 24", NULL},
    {"out rate 10mbit 8 48 5", NULL},
    {"out rate 10mbit -14", NULL},
    {"out rate 10mbit codel", "out rate 10mbit codel target 5ms interval 100ms"},
    {"out rate 10mbit codel interval 50ms ecn",
     "out rate 10mbit codel target 5ms interval 50ms ecn"},
    {"out rate 10mbit red min 5 max 15 prob 10% ecn limit 100",
     "out rate 10mbit red min 5 max 15 prob 10% limit 100 ecn"},
    {"out rate 10mbit red min 10kb max 30kb", "out rate 10mbit red min 10240b max 30720b prob 2%"},
    {"out rate 10mbit stall 8ms every 50ms", NULL},
    {"out rate 10mbit stall 8ms every 50ms at 500kbit", NULL},
    {"both delay 10ms reorder 25% 50% gap 5", NULL},
    {"both reorder 25% reorder-delay 2ms", NULL},
    {"both duplicate 1% 10%", NULL},
    {"both corrupt 0.1%", NULL},
    {"both biterror 1e-6", NULL},
    {"both biterror 0.0025%", "both biterror 25e-6"},
    {"both biterror 0.00000025", "both biterror 25e-8"},
    {"both blackhole for 5s", NULL},
    {"both mtu 1400", NULL},
    {"in match arp drop", NULL},
    {"in match tcp port 80 flags S drop nth 1", "in match tcp port 80 flags S nth 1 drop"},
    {"in match ip protocol 6 flags S. drop", "in match ip tcp flags S. drop"},
    {"out match from 10.77.0.2 to 10.0.0.0/8 dport 8000-8999 delay 1ms", NULL},
    {"out host 10.77.0.2/32 udp sport 53 loss 5% once",
     "out match udp host 10.77.0.2 sport 53 loss 5% once"},
    {"out match length 1000-1514 every 10 drop count 5", NULL},
    {"out match ethertype 34958 drop", NULL},
    {"out match ethertype 0x88cc drop", "out match ethertype 35020 drop"},
    {"out drop seq 1000 retransmits 2", "out match seq 1000 drop retransmits 2"},
    {"out drop rawseq 4000000000", "out match rawseq 4000000000 drop retransmits 0"},
    {"both match port 22 exempt", NULL},
    {"out drop once after 10s", "out drop after 10s once"},
    {"out loss 1% ecn", NULL},
    {"  out \t loss   1%  ", "out loss 1%"},
};

static void test_lines_are_written_as_they_are_read(void **state)
{
    char written[IMPAIR_TEXT_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof lines_read / sizeof lines_read[0]; i++) {
        struct impair_line lines[IMPAIR_LINES_MAX], again[IMPAIR_LINES_MAX];
        struct impair_error error;
        if (impair_text_parse(lines_read[i].given, lines, &error) != 1)
            fail_msg("%s: column %u: %s", lines_read[i].given, error.column, error.message);
        size_t length = impair_text_format(&lines[0], written);
        assert_int_equal(length, strlen(written));
        assert_string_equal(written,
                            lines_read[i].written ? lines_read[i].written : lines_read[i].given);
        assert_int_equal(impair_text_parse(written, again, &error), 1);
        assert_memory_equal(&lines[0], &again[0], sizeof lines[0]);
    }
}

static void test_words_mean_what_they_say(void **state)
{
    (void)state;
    struct impairment loss = read_one("out loss 0.3% 25%");
    assert_int_equal(loss.loss.ppm, 3000);
    assert_int_equal(loss.loss.correlation_ppm, 250000);
    struct impairment delay = read_one("in delay 20ms 2ms distribution paretonormal");
    assert_int_equal(delay.delay.delay_us, 20000);
    assert_int_equal(delay.delay.jitter_us, 2000);
    assert_int_equal(delay.delay.distribution, IMPAIRMENT_PARETONORMAL);
    struct impairment syn = read_one("match tcp port 80 flags S. drop nth 3");
    assert_int_equal(syn.match.asks, MATCH_PROTOCOL | MATCH_FLAGS | MATCH_NTH);
    assert_int_equal(syn.match.flags, TCP_SYN | TCP_ACK);
    assert_int_equal(syn.match.ports[MATCH_EITHER].first, 80);
    struct impairment seq = read_one("drop seq 1000 retransmits 2");
    assert_int_equal(seq.count, 3);
    assert_int_equal(seq.match.sequence, 1000);
    struct impairment bits = read_one("biterror 1e-6");
    assert_int_equal(bits.biterror_ppt, 1000000);
    struct impairment life = read_one("blackhole after 2min for 1h");
    assert_int_equal(life.after_us, 120000000);
    assert_int_equal(life.for_us, 3600000000);
}

static void test_wrong_lines_are_refused_with_their_place(void **state)
{
    static const struct {
        const char *text;
        unsigned column;
        const char *says; /* part of the message */
    } cases[] = {
        {"", 1, "not what happens"},
        {"out", 4, "not what happens"},
        {"both match tcp port 80", 23, "not what happens"},
        {"out los 1%", 5, "did you mean loss?"},
        {"out dealy 1ms", 5, "did you mean delay?"},
        {"out duplicat 1%", 5, "did you mean duplicate?"},
        {"out loss", 9, "share"},
        {"out loss 101%", 10, "not \"101%\""},
        {"out loss 1%%", 10, "share"},
        {"out loss 1% loss 2%", 13, "twice"},
        {"out loss 0.00001%", 10, "share"},
        {"out delay 20", 11, "unit"},
        {"out delay 20ms 2", 16, "unit"},
        {"out delay 20ms distribution gauss", 29, "paretonormal"},
        {"out delay 20ms distribution normal", 16, "jitter"},
        {"out rate fast", 10, "rate such as"},
        {"out rate 0mbit", 10, "rate such as"},
        {"out rate 1mbit 0 0 5", 20, "cell size"},
        {"out rate 1mbit lte", 16, "this preset"},
        {"out lte rate 1mbit", 9, "twice"},
        {"out codel", 5, "wants a rate"},
        {"out rate 1mbit red min 15 max 5", 20, "larger max"},
        {"out rate 1mbit red min 5 max 15k", 20, "both in bytes"},
        {"out rate 1mbit codel red min 1 max 2", 22, "exclude"},
        {"out rate 1mbit stall 10ms every 5ms", 22, "shorter"},
        {"out rate 1mbit stall 10ms 50ms", 27, "every"},
        {"out rate 1mbit stall 10ms every 50ms at once", 41, "rate"},
        {"out limit 50 loss 1%", 5, "limit wants"},
        {"out loss 1% gap 5", 13, "reorder"},
        {"out delay 1ms ecn", 15, "ecn wants"},
        {"out match port 0 drop", 16, "port"},
        {"out match port 90-80 drop", 16, "port"},
        {"out match port 65536 drop", 16, "port"},
        {"out match from 10.77.0 drop", 16, "address"},
        {"out match from 10.77.0.0/33 drop", 16, "address"},
        {"out match flags X drop", 17, "tcpdump"},
        {"out match nth 0 drop", 15, "from 1"},
        {"out match nth 1 every 2 drop", 17, "exclude"},
        {"out match tcp udp drop", 23, "one protocol"},
        {"out match arp ip drop", 22, "one EtherType"},
        {"out drop retransmits 2", 10, "seq"},
        {"out drop once count 2", 15, "exclude"},
        {"out mtu 20", 9, "MTU"},
        {"out biterror 1", 14, "bits"},
        {"out biterror 1e-13", 14, "bits"},
        {"out biterror 1e6", 14, "bits"},
        {"out exempt loss 1%", 5, "nothing else"},
        {"out loss state 60% 60% 60%", 16, "100%"},
        {"out blackhole for", 18, "time"},
        {"out blackhole for 0s", 19, "above 0"},
        {"out bl\x1b[ckhole", 5, "?["},
        {"upwards loss 1%", 1, "unknown word"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct impair_line lines[IMPAIR_LINES_MAX];
        struct impair_error error;
        if (impair_text_parse(cases[i].text, lines, &error) != -1)
            fail_msg("%s: is taken", cases[i].text);
        if (error.column != cases[i].column || !strstr(error.message, cases[i].says))
            fail_msg("%s: column %u: %s", cases[i].text, error.column, error.message);
    }
}

static void test_presets_are_good_lines(void **state)
{
    struct impair_line lines[IMPAIR_LINES_MAX];
    struct impair_error error;
    char text[IMPAIR_TEXT_MAX];
    (void)state;
    for (const struct impair_preset *preset = impair_presets; preset->name; preset++) {
        int wanted = strcmp(preset->in, preset->out) == 0 ? 1 : 2;
        assert_int_equal(impair_text_parse(preset->name, lines, &error), wanted);
    }
    assert_int_equal(impair_text_parse("both dsl match tcp for 30s", lines, &error), 2);
    impair_text_format(&lines[0], text);
    assert_string_equal(text, "in match tcp rate 16mbit 24 48 5 delay 15ms limit 100 for 30s");
    impair_text_format(&lines[1], text);
    assert_string_equal(text, "out match tcp rate 1mbit 24 48 5 delay 15ms limit 50 for 30s");
    assert_int_equal(impair_text_parse("out dsl", lines, &error), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_written_as_they_are_read),
        cmocka_unit_test(test_words_mean_what_they_say),
        cmocka_unit_test(test_wrong_lines_are_refused_with_their_place),
        cmocka_unit_test(test_presets_are_good_lines),
    };
    return cmocka_run_group_tests_name("impair_text", tests, NULL, NULL);
}
