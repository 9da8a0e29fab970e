/* The cable does what it says: shares, bursts, delays and rates measured over a million frames.

   A share p measured over n frames has the deviation sqrt(p (1 - p) / n); three of them are allowed.
   The seeds are fixed, so a test that passes passes always. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../tapstack/link/cable.h"
#include "../../tapstack/wire/bytes.h"
#include "../../tapstack/wire/checksum.h"
#include "../../tapstack/wire/fcs.h"

enum { MILLION = 1000000, FRAME_BYTES = 60, FIRST_US = 1000 };

static void *heap_allocate(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void heap_release(void *context, void *block, size_t size)
{
    (void)context;
    (void)size;
    free(block);
}

static const struct memory memory = {heap_allocate, heap_release, NULL};

static struct cable *lay(const struct impairment *impairment, uint64_t seed)
{
    static const struct cable_settings plain;
    struct cable *cable = cable_create(&plain, seed, &memory);
    assert_non_null(cable);
    assert_int_equal(cable_add_rule(cable, 1, impairment, 0), 0);
    return cable;
}

static const struct cable_rule_counters *did(const struct cable *cable)
{
    struct cable_rule_info info;
    uint32_t cursor = 0;
    assert_true(cable_next_rule(cable, &cursor, &info, 0));
    return info.counters;
}

static double root(double n)
{
    double guess = n > 1 ? n : 1;
    for (int i = 0; i < 60; i++)
        guess = (guess + n / guess) / 2;
    return guess;
}

/* Is a count of happenings among n within three deviations? A correlation c makes the deviation
   wider by sqrt((1 + c) / (1 - c)). */
static void assert_share(double count, double n, double share, double correlation)
{
    double deviation = root(n * share * (1 - share) * (1 + correlation) / (1 - correlation));
    double off = count - n * share;
    if (off < 0)
        off = -off;
    if (off > 3 * deviation)
        fail_msg("%.0f of %.0f instead of %.1f: %.2f deviations", count, n, n * share,
                 off / deviation);
}

static void assert_within(double value, double expected, double part)
{
    double off = value > expected ? value - expected : expected - value;
    double size = expected > 0 ? expected : -expected;
    if (off > size * part)
        fail_msg("%f instead of %f", value, expected);
}

static int send(struct cable *cable, uint64_t now_us)
{
    uint8_t bytes[FRAME_BYTES] = {0};
    return cable_send(cable, bytes, sizeof bytes, now_us);
}

static unsigned receive_all(struct cable *cable, uint64_t now_us)
{
    uint8_t bytes[2048];
    unsigned count = 0;
    while (cable_receive(cable, bytes, sizeof bytes, now_us) > 0)
        count++;
    return count;
}

/* ---- Losses ---- */

static void S16_loss_is_as_frequent_as_asked(void **state)
{
    static const struct impairment_chance cases[] = {
        {10000, 0}, {500000, 0}, {100, 0}, {10000, 250000}, {100000, 900000}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct impairment rule = {.does = IMPAIRMENT_LOSS, .loss = cases[i]};
        struct cable *cable = lay(&rule, 17 + i);
        unsigned lost = 0, pairs = 0, last = 0;
        for (int n = 0; n < MILLION; n++) {
            unsigned now = send(cable, FIRST_US) < 0;
            receive_all(cable, FIRST_US);
            lost += now;
            pairs += now & last;
            last = now;
        }
        double p = cases[i].ppm / 1e6, c = cases[i].correlation_ppm / 1e6;
        assert_share(lost, MILLION, p, c);
        assert_share(pairs, lost, p + c * (1 - p), 0); /* one loss after the other */
        assert_int_equal(did(cable)->lost, lost);
        assert_int_equal(cable_counters(cable)->lost, lost);
        cable_destroy(cable);
    }
}

static void S16_bursts_are_as_gilbert_and_elliott_say(void **state)
{
    struct impairment rule = {.does = IMPAIRMENT_GEMODEL, .gemodel = {10000, 100000, 700000, 1000}};
    struct impairment simple = {.does = IMPAIRMENT_GEMODEL, .gemodel = {10000, 250000, 1000000, 0}};
    struct cable *cable = lay(&rule, 1);
    unsigned lost = 0, bursts = 0, last = 0;
    (void)state;
    for (int n = 0; n < MILLION; n++) {
        lost += send(cable, FIRST_US) < 0;
        receive_all(cable, FIRST_US);
    }
    /* Bad for p / (p + r) of the frames; neighbors are alike with 1 - p - r, which is what makes
       the deviation wider (the losses themselves are less alike: a bound). */
    double bad = 0.01 / 0.11;
    assert_share(lost, MILLION, bad * 0.7 + (1 - bad) * 0.001, 0.89);
    cable_destroy(cable);

    cable = lay(&simple, 2);
    for (int n = lost = 0; n < MILLION; n++) {
        unsigned now = send(cable, FIRST_US) < 0;
        receive_all(cable, FIRST_US);
        lost += now;
        bursts += now && !last;
        last = now;
    }
    assert_share(lost, MILLION, 0.01 / 0.26, 0.74);
    assert_within((double)lost / bursts, 1 / 0.25, 3 * root(0.75) / root(bursts));
    cable_destroy(cable);
}

/* netem's four states: the share of state 3 and 4 in the long run, from the balance of flows. */
static void S16_four_states_lose_what_their_chain_says(void **state)
{
    struct impairment rule = {.does = IMPAIRMENT_STATE,
                              .states = {.p13_ppm = 20000,
                                         .p31_ppm = 300000,
                                         .p32_ppm = 200000,
                                         .p23_ppm = 400000,
                                         .p14_ppm = 5000}};
    struct cable *cable = lay(&rule, 3);
    double lost = 0;
    (void)state;
    for (int n = 0; n < MILLION; n++) {
        lost += send(cable, FIRST_US) < 0;
        receive_all(cable, FIRST_US);
    }
    double s3 = 0.02 / 0.3, s2 = s3 * 0.2 / 0.4, s4 = 0.005; /* for s1 = 1 */
    assert_share(lost, MILLION, (s3 + s4) / (1 + s2 + s3 + s4), 0.6);
    cable_destroy(cable);
}

static void every_nth_and_the_nth_are_exact(void **state)
{
    struct impairment every = {.does = IMPAIRMENT_DROP, .match = {.asks = MATCH_EVERY, .nth = 7}};
    struct impairment nth = {.does = IMPAIRMENT_DROP, .match = {.asks = MATCH_NTH, .nth = 5000}};
    struct cable *cable = lay(&every, 1);
    (void)state;
    assert_int_equal(cable_add_rule(cable, 2, &nth, 0), 0);
    /* Rule 2 sees what rule 1 leaves: six of seven. Its 5000th is the 5834th that is sent. */
    for (int n = 1; n <= 7000; n++) {
        assert_int_equal(send(cable, FIRST_US) < 0, n % 7 == 0 || n == 5833);
        receive_all(cable, FIRST_US);
    }
    cable_destroy(cable);
}

/* ---- Copies, order, damage ---- */

static void S16_duplication_and_corruption_are_as_frequent_as_asked(void **state)
{
    struct impairment rule = {.does = IMPAIRMENT_DUPLICATE | IMPAIRMENT_CORRUPT,
                              .duplicate = {30000, 500000},
                              .corrupt = {2000, 0}};
    struct cable *cable = lay(&rule, 5);
    const struct cable_counters *counters = cable_counters(cable);
    (void)state;
    for (int n = 0; n < MILLION; n++) {
        send(cable, FIRST_US);
        receive_all(cable, FIRST_US);
    }
    assert_share((double)counters->duplicated, MILLION, 0.03, 0.5);
    assert_int_equal(counters->frames_out, MILLION + counters->duplicated);
    assert_share((double)counters->corrupted, (double)counters->frames_out, 0.002, 0);
    cable_destroy(cable);
}

/* A gap of g: g - 1 frames in turn, then each is asked. One in g - 1 + 1/p is reordered. */
static void S16_reordering_is_as_frequent_as_asked(void **state)
{
    static const struct {
        uint32_t gap;
        double share;
    } cases[] = {{1, 0.25}, {5, 1 / (4 + 1 / 0.25)}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct impairment rule = {.does = IMPAIRMENT_DELAY | IMPAIRMENT_REORDER,
                                  .delay.delay_us = 100,
                                  .reorder = {.chance.ppm = 250000, .gap = cases[i].gap}};
        struct cable *cable = lay(&rule, 6);
        uint8_t bytes[FRAME_BYTES];
        uint32_t early = 0;
        for (uint32_t n = 0; n < MILLION; n++) {
            uint32_t number;
            memcpy(bytes, &n, sizeof n);
            cable_send(cable, bytes, sizeof bytes, FIRST_US + n);
            while (cable_receive(cable, bytes, sizeof bytes, FIRST_US + n) > 0) {
                memcpy(&number, bytes, sizeof number);
                early += number == n;
            }
        }
        assert_share(early, MILLION, cases[i].share, 0);
        assert_int_equal(early, did(cable)->reordered);
        cable_destroy(cable);
    }
}

static unsigned ones(const uint8_t *bytes, size_t size)
{
    unsigned count = 0;
    for (size_t i = 0; i < size; i++)
        count += (unsigned)__builtin_popcount(bytes[i]);
    return count;
}

static void S14_bit_errors_are_as_frequent_as_asked(void **state)
{
    static const struct {
        uint64_t ppt;
        int frames;
    } cases[] = {{1000000, MILLION}, {1000000000, MILLION / 4}, {100000000000, 20000}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct impairment rule = {.does = IMPAIRMENT_BITERROR, .biterror_ppt = cases[i].ppt};
        struct cable *cable = lay(&rule, 8);
        double flips = 0, damaged = 0, clean = 1, p = (double)cases[i].ppt / 1e12;
        for (int n = 0; n < cases[i].frames; n++) {
            uint8_t bytes[FRAME_BYTES] = {0};
            cable_send(cable, bytes, sizeof bytes, FIRST_US);
            cable_receive(cable, bytes, sizeof bytes, FIRST_US);
            unsigned flipped = ones(bytes, sizeof bytes);
            flips += flipped;
            damaged += flipped > 0;
        }
        for (int bit = 0; bit < FRAME_BYTES * 8; bit++)
            clean *= 1 - p;
        assert_share(flips, cases[i].frames * FRAME_BYTES * 8.0, p, 0);
        assert_share(damaged, cases[i].frames, 1 - clean, 0);
        assert_int_equal((uint64_t)damaged, cable_counters(cable)->corrupted);
        cable_destroy(cable);
    }
}

/* What an FCS finds and the Internet checksum does not: its sum does not see two bits of equal
   weight that flip in opposite directions, nor words that change places. */
static void S14_the_fcs_finds_what_the_checksum_cannot(void **state)
{
    uint8_t bytes[100 + FCS_BYTES], changed[100 + FCS_BYTES];
    (void)state;
    for (int i = 0; i < 100; i++)
        bytes[i] = (uint8_t)(i * 37);
    bytes[10] = 0x40;
    bytes[20] = 0x00;
    fcs_append(bytes, 100);
    memcpy(changed, bytes, sizeof bytes);
    changed[10] ^= 0x40; /* 64 less here, 64 more there */
    changed[20] ^= 0x40;
    assert_int_equal(checksum_finish(checksum_add(0, bytes, 100)),
                     checksum_finish(checksum_add(0, changed, 100)));
    assert_false(fcs_check(changed, sizeof changed));
    memcpy(changed, bytes, sizeof bytes);
    memcpy(changed + 30, bytes + 40, 2);
    memcpy(changed + 40, bytes + 30, 2);
    assert_int_equal(checksum_finish(checksum_add(0, bytes, 100)),
                     checksum_finish(checksum_add(0, changed, 100)));
    assert_false(fcs_check(changed, sizeof changed));
}

/* ---- Times ---- */

static void delays_have_the_mean_and_deviation_asked_for(void **state)
{
    static const struct {
        enum impairment_distribution distribution;
        uint32_t correlation_ppm;
        double deviation; /* in jitters */
    } cases[] = {{IMPAIRMENT_UNIFORM, 0, 0.57735},
                 {IMPAIRMENT_NORMAL, 0, 1},
                 {IMPAIRMENT_PARETO, 0, 1},
                 {IMPAIRMENT_PARETONORMAL, 0, 1},
                 {IMPAIRMENT_NORMAL, 250000, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct impairment rule = {.does = IMPAIRMENT_DELAY,
                                  .delay = {.delay_us = 20000,
                                            .jitter_us = 2000,
                                            .correlation_ppm = cases[i].correlation_ppm,
                                            .distribution = cases[i].distribution}};
        struct cable *cable = lay(&rule, 9);
        double sum = 0, squares = 0, products = 0, last = 0;
        for (int n = 0; n < MILLION; n++) {
            uint64_t now_us = FIRST_US + (uint64_t)n * 1000000;
            send(cable, now_us);
            double late = (double)(cable_deadline(cable) - now_us) - 20000;
            assert_int_equal(receive_all(cable, now_us + 900000), 1);
            sum += late;
            squares += late * late;
            products += late * last;
            last = late;
        }
        double mean = sum / MILLION, variance = squares / MILLION - mean * mean;
        assert_within(20000 + mean, 20000, 0.01);
        assert_within(mean + 2000, 2000, 0.01);
        assert_within(root(variance), 2000 * cases[i].deviation, 0.01);
        double correlation = products / squares, asked = cases[i].correlation_ppm / 1e6;
        assert_true(correlation > asked - 0.01 && correlation < asked + 0.01);
        cable_destroy(cable);
    }
}

/* Frames as fast as the queue takes them: the last one's time tells the rate, to the microsecond. */
static void rates_are_exact(void **state)
{
    static const struct {
        uint64_t bits_per_second;
        int32_t overhead, cell_overhead;
        uint32_t cell, wire_bytes;
    } cases[] = {{1000000000, 0, 0, 0, 60}, {999999937, 0, 0, 0, 60},
                 {7, 0, 0, 0, 60},          {10000000, 24, 0, 0, 84},
                 {2000000, 8, 5, 48, 106},  {UINT64_C(123456789012), -20, 0, 0, 40}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct impairment rule = {.does = IMPAIRMENT_RATE,
                                  .rate = {.bits_per_second = cases[i].bits_per_second,
                                           .overhead_bytes = cases[i].overhead,
                                           .cell_bytes = cases[i].cell,
                                           .cell_overhead_bytes = cases[i].cell_overhead},
                                  .limit.count = 1000};
        struct cable *cable = lay(&rule, 1);
        uint8_t bytes[FRAME_BYTES];
        uint64_t at_us = FIRST_US, sent = 0, received = 0;
        while (received < MILLION / 2) {
            while (sent < MILLION / 2 && sent < received + 900) {
                assert_int_equal(send(cable, at_us), 0);
                sent++;
            }
            at_us = cable_deadline(cable);
            while (cable_receive(cable, bytes, sizeof bytes, at_us) > 0)
                received++;
        }
        unsigned __int128 bits = (unsigned __int128)cases[i].wire_bytes * 8 * (MILLION / 2);
        uint64_t rate = cases[i].bits_per_second;
        assert_int_equal(at_us - FIRST_US, (uint64_t)((bits * 1000000 + rate - 1) / rate));
        cable_destroy(cable);
    }
}

static void stalls_keep_their_hours(void **state)
{
    struct impairment rule = {.does = IMPAIRMENT_RATE,
                              .rate = {.bits_per_second = 480000000, /* a frame a microsecond */
                                       .stall_us = 2000,
                                       .stall_every_us = 10000}};
    struct cable *cable = lay(&rule, 1);
    (void)state;
    uint64_t out[10] = {0};
    for (uint64_t at_us = 0; at_us < 100000; at_us++) {
        if (at_us % 2 == 0)
            send(cable, at_us);
        out[at_us % 10000 / 1000] += receive_all(cable, at_us);
    }
    assert_int_equal(out[9], 0);
    assert_in_range(out[8], 0, 10); /* what was being sent */
    assert_true(out[0] > 9000);     /* what had waited, as fast as it goes */
    assert_in_range(out[5], 4990, 5010);
    cable_destroy(cable);
}

/* A frame each two microseconds meets one each microsecond, and one each ten while it stalls. */
static void stalls_may_have_a_rate(void **state)
{
    struct impairment rule = {.does = IMPAIRMENT_RATE,
                              .rate = {.bits_per_second = 480000000,
                                       .stall_us = 2000,
                                       .stall_every_us = 10000,
                                       .stall_bits_per_second = 48000000}};
    struct cable *cable = lay(&rule, 1);
    uint64_t out[10] = {0};
    (void)state;
    for (uint64_t at_us = 0; at_us < 100000; at_us++) {
        if (at_us % 2 == 0)
            send(cable, at_us);
        out[at_us % 10000 / 1000] += receive_all(cable, at_us);
    }
    assert_in_range(out[8], 990, 1010);
    assert_in_range(out[9], 990, 1010);
    assert_true(out[0] > 9000);
    assert_in_range(out[5], 4990, 5010);
    assert_int_equal(cable_counters(cable)->overrun, 0);
    cable_destroy(cable);
}

/* ---- Queues ---- */

enum { ETHERNET = 14, IP_BYTES = 1000 };

/* A TCP segment, ECN-capable or not. */
static size_t write_segment(uint8_t *bytes, bool ecn, uint32_t sequence, uint8_t flags)
{
    memset(bytes, 0, ETHERNET + IP_BYTES);
    bytes_put16(bytes + 12, 0x0800);
    uint8_t *ip = bytes + ETHERNET, *tcp = ip + 20;
    ip[0] = 0x45;
    ip[1] = ecn ? 2 : 0;
    bytes_put16(ip + 2, IP_BYTES);
    ip[8] = 64;
    ip[9] = 6;
    bytes_put32(ip + 12, 0x0a4d0001);
    bytes_put32(ip + 16, 0x0a4d0002);
    bytes_put16(ip + 10, checksum_finish(checksum_add(0, ip, 20)));
    bytes_put16(tcp, 40000);
    bytes_put16(tcp + 2, 80);
    bytes_put32(tcp + 4, sequence);
    tcp[12] = 0x50;
    tcp[13] = flags;
    return ETHERNET + IP_BYTES;
}

struct load_result {
    uint64_t delivered, marked;
    double waiting; /* mean microseconds from in to out in the second half */
};

/* An aggressive source: one frame every gap_us for seconds. */
static struct load_result load(struct cable *cable, uint64_t gap_us, uint64_t seconds, bool ecn)
{
    struct load_result result = {0};
    uint8_t bytes[ETHERNET + IP_BYTES + FCS_BYTES];
    double frames = 0;
    for (uint64_t at_us = FIRST_US; at_us < FIRST_US + seconds * 1000000; at_us += gap_us) {
        size_t size = write_segment(bytes, ecn, (uint32_t)at_us, 0x10);
        cable_send(cable, bytes, size, at_us);
        while ((size = cable_receive(cable, bytes, sizeof bytes, at_us)) > 0) {
            result.delivered++;
            result.marked += (bytes[ETHERNET + 1] & 3) == 3;
            assert_int_equal(checksum_finish(checksum_add(0, bytes + ETHERNET, 20)), 0);
            if (at_us < FIRST_US + seconds * 500000)
                continue;
            frames++;
            result.waiting += (double)((uint32_t)at_us - bytes_get32(bytes + ETHERNET + 24));
        }
    }
    result.waiting /= frames > 0 ? frames : 1;
    return result;
}

/* 1014 bytes at 8.112 Mbit/s take 1 ms. */
static struct impairment bottleneck(enum impairment_discipline discipline)
{
    return (struct impairment){
        .does = IMPAIRMENT_RATE,
        .rate = {.bits_per_second = 8112000,
                 .discipline = discipline,
                 .red_min = {5, false},
                 .red_max = {50, false},
                 .red_ppm = 100000,
                 .codel_target_us = IMPAIRMENT_CODEL_TARGET_US,
                 .codel_interval_us = IMPAIRMENT_CODEL_INTERVAL_US},
        .limit.count = 200,
    };
}

static void tail_drop_fills_the_queue_and_the_rest_is_lost(void **state)
{
    struct impairment rule = bottleneck(IMPAIRMENT_TAIL_DROP);
    struct cable *cable = lay(&rule, 1);
    (void)state;
    struct load_result result = load(cable, 900, 20, false);
    assert_within((double)result.delivered, 20000, 0.002);
    assert_within(result.waiting, 200500, 0.01);
    assert_int_equal(did(cable)->overrun, cable_counters(cable)->overrun);
    assert_within((double)did(cable)->overrun, 20e6 / 900 - 20000 - 200, 0.02);
    cable_destroy(cable);
}

static void codel_keeps_the_queue_short(void **state)
{
    struct impairment rule = bottleneck(IMPAIRMENT_CODEL);
    struct cable *cable = lay(&rule, 1);
    (void)state;
    /* 2 % too much: CoDel needs 20 drops a second for it, that is count 4, within a second. */
    struct load_result result = load(cable, 980, 20, false);
    assert_within((double)result.delivered, 19990, 0.005);
    assert_true(result.waiting < 12000);
    assert_int_equal(cable_counters(cable)->overrun, 0);
    assert_in_range(cable_counters(cable)->early, 300, 500);
    cable_destroy(cable);

    /* Not too much: a queue of one frame is left alone. */
    cable = lay(&rule, 1);
    load(cable, 1000, 5, false);
    assert_int_equal(cable_counters(cable)->early, 0);
    cable_destroy(cable);
}

/* RFC 8289, 5.6: the n-th drop comes interval / sqrt(n) after the one before it. */
static void codel_drops_by_the_control_law(void **state)
{
    struct impairment rule = bottleneck(IMPAIRMENT_CODEL);
    struct cable *cable = lay(&rule, 1);
    uint64_t seen = 0, last_us = 0, number = 0;
    uint8_t bytes[ETHERNET + IP_BYTES];
    (void)state;
    for (uint64_t at_us = 0; at_us < 2000000 && number < 10; at_us += 500) {
        if (cable_counters(cable)->frames_in < 190 || at_us % 1000 == 0)
            cable_send(cable, bytes, write_segment(bytes, false, 1, 0x10), at_us);
        receive_all(cable, at_us);
        if (cable_counters(cable)->early == seen)
            continue;
        seen = cable_counters(cable)->early;
        if (number > 0)
            assert_within((double)(at_us - last_us), 100000 / root((double)number), 0.05);
        last_us = at_us;
        number++;
    }
    assert_int_equal(number, 10);
    cable_destroy(cable);
}

static void ecn_marks_instead_of_dropping(void **state)
{
    (void)state;
    for (int discipline = IMPAIRMENT_RED; discipline <= IMPAIRMENT_CODEL; discipline++) {
        struct impairment rule = bottleneck((enum impairment_discipline)discipline);
        rule.ecn = true;
        struct cable *cable = lay(&rule, 1);
        struct load_result result = load(cable, 990, 5, true);
        assert_int_equal(cable_counters(cable)->early, 0);
        assert_in_range(cable_counters(cable)->marked, 10, 2000);
        assert_in_range(result.marked, cable_counters(cable)->marked - 200,
                        cable_counters(cable)->marked);
        cable_destroy(cable);
        cable = lay(&rule, 1);
        load(cable, 990, 5, false); /* a sender that does not understand ECN is dropped */
        assert_int_equal(cable_counters(cable)->marked, 0);
        assert_true(cable_counters(cable)->early > 0);
        cable_destroy(cable);
    }
}

/* Between min and max the average queue settles where the drops balance the excess. */
static void red_drops_with_the_average_queue(void **state)
{
    struct impairment rule = bottleneck(IMPAIRMENT_RED);
    struct cable *cable = lay(&rule, 1);
    (void)state;
    struct load_result result = load(cable, 980, 40, false);
    assert_within((double)result.delivered, 39980, 0.01);
    /* Uniform spacing makes every gap 1/pb on average half: 2 % wants pb near 1 %, at 9.5 frames. */
    assert_true(result.waiting > 5000 && result.waiting < 20000);
    assert_int_equal(cable_counters(cable)->overrun, 0);
    assert_within((double)cable_counters(cable)->early, 40e6 / 980 - 40000, 0.05);
    cable_destroy(cable);
}

/* ---- Repeatable, bounded, fast ---- */

static const struct impairment everything = {
    .does = IMPAIRMENT_LOSS | IMPAIRMENT_DUPLICATE | IMPAIRMENT_CORRUPT | IMPAIRMENT_BITERROR |
            IMPAIRMENT_DELAY | IMPAIRMENT_REORDER,
    .loss = {50000, 300000},
    .duplicate = {50000, 0},
    .corrupt = {50000, 0},
    .biterror_ppt = 10000000,
    .delay = {1000, 300, 200000, IMPAIRMENT_NORMAL},
    .reorder = {.chance = {50000, 0}},
};

static uint64_t run_and_hash(struct cable *cable)
{
    uint64_t hash = 0xcbf29ce484222325U;
    uint8_t bytes[FRAME_BYTES];
    for (uint32_t n = 0; n < 100000; n++) {
        size_t size = sizeof bytes;
        memset(bytes, 0, size);
        memcpy(bytes, &n, sizeof n);
        cable_send(cable, bytes, size, FIRST_US + n);
        while ((size = cable_receive(cable, bytes, sizeof bytes, FIRST_US + n)) > 0)
            for (size_t i = 0; i <= size; i++)
                hash = (hash ^ (i < size ? bytes[i] : n & 0xff)) * 0x100000001b3U;
    }
    cable_destroy(cable);
    return hash;
}

static void same_seed_same_frames(void **state)
{
    struct impairment rate = {.does = IMPAIRMENT_RATE, .rate.bits_per_second = 490000000};
    struct cable *cables[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        cables[i] = lay(&everything, i == 2 ? 8 : 7);
        assert_int_equal(cable_add_rule(cables[i], 2, &rate, 0), 0);
    }
    uint64_t first = run_and_hash(cables[0]);
    assert_true(first == run_and_hash(cables[1]));
    assert_true(first != run_and_hash(cables[2]));
}

/* Another rule does not change which frames a rule chooses, whether it comes before or behind. */
static void rules_do_not_disturb_each_other(void **state)
{
    struct impairment loss = {.does = IMPAIRMENT_LOSS, .loss.ppm = 100000};
    struct impairment more = everything;
    struct cable *alone, *between;
    static const struct cable_settings plain;
    (void)state;
    more.does &= ~(uint32_t)IMPAIRMENT_LOSS;
    alone = cable_create(&plain, 4, &memory);
    between = cable_create(&plain, 4, &memory);
    assert_int_equal(cable_add_rule(alone, 2, &loss, 0), 0);
    assert_int_equal(cable_add_rule(between, 1, &more, 0), 0);
    assert_int_equal(cable_add_rule(between, 2, &loss, 0), 0);
    assert_int_equal(cable_add_rule(between, 3, &more, 0), 0);
    struct cable_rule_info info;
    for (uint64_t n = 0; n < 100000; n++) {
        uint32_t cursor = 1;
        cable_next_rule(between, &cursor, &info, n);
        uint64_t before = info.counters->lost;
        bool lost = send(alone, n) < 0;
        send(between, n);
        uint64_t now = info.counters->lost - before; /* a copy has a fate of its own */
        assert_true(now >= lost);
        receive_all(alone, n);
        receive_all(between, n);
    }
    cable_destroy(alone);
    cable_destroy(between);
}

static void rules_live_as_long_as_they_are_told(void **state)
{
    static const struct {
        struct impairment rule;
        uint64_t first, last; /* sends, one a millisecond, that are lost */
    } cases[] = {
        {{.does = IMPAIRMENT_BLACKHOLE, .for_us = 5000}, 0, 4},
        {{.does = IMPAIRMENT_BLACKHOLE, .after_us = 3000, .for_us = 2000}, 3, 4},
        {{.does = IMPAIRMENT_DROP, .after_us = 10000, .count = 1}, 10, 10},
        {{.does = IMPAIRMENT_DROP, .count = 3}, 0, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cable *cable = lay(&cases[i].rule, 1);
        for (uint64_t n = 0; n < 20; n++) {
            bool lost = send(cable, n * 1000) < 0;
            assert_int_equal(lost, n >= cases[i].first && n <= cases[i].last);
            receive_all(cable, n * 1000);
        }
        assert_int_equal(cable_rule_count(cable), 0);
        assert_true(cable_deadline(cable) == UINT64_MAX);
        cable_destroy(cable);
    }
}

/* The byte's segment and its first retransmissions, of the first connection that begins. */
static void S33_drop_seq_finds_the_byte_again(void **state)
{
    static const struct {
        uint32_t sequence;
        uint8_t flags;
        bool lost;
    } sent[] = {
        {4294967000U, 2, false}, /* SYN: byte n is 4294967000 + n, across the wrap */
        {4294967001U, 0x10, false}, {665, 0x10, true}, /* bytes 961 to 1920 */
        {4294967001U, 0x10, false}, {665, 0x10, true},  {665, 0x18, true},
        {665, 0x10, false},         {665, 0x10, false},
    };
    struct impairment rule = {
        .does = IMPAIRMENT_DROP, .match = {.asks = MATCH_SEQUENCE, .sequence = 1200}, .count = 3};
    struct cable *cable = lay(&rule, 1);
    uint8_t bytes[ETHERNET + IP_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++) {
        size_t size = write_segment(bytes, false, sent[i].sequence, sent[i].flags);
        assert_int_equal(cable_send(cable, bytes, size, FIRST_US) < 0, sent[i].lost);
        receive_all(cable, FIRST_US);
    }
    cable_destroy(cable);
}

static void limits_in_bytes_and_frames_hold(void **state)
{
    struct impairment frames = {
        .does = IMPAIRMENT_RATE, .rate.bits_per_second = 1000, .limit = {50, false}};
    struct impairment bytes = {
        .does = IMPAIRMENT_RATE, .rate.bits_per_second = 1000, .limit = {3000, true}};
    struct impairment delay = {
        .does = IMPAIRMENT_DELAY, .delay.delay_us = 1000, .limit = {20, false}};
    const struct impairment *cases[] = {&frames, &bytes, &delay};
    static const unsigned taken[] = {51, 51, 20}; /* one is being sent */
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct cable *cable = lay(cases[i], 1);
        struct cable_load load;
        unsigned good = 0;
        for (int n = 0; n < 100; n++)
            good += send(cable, FIRST_US) == 0;
        assert_int_equal(good, taken[i]);
        cable_load(cable, &load);
        assert_int_equal(load.frames, taken[i]);
        assert_int_equal(did(cable)->overrun, 100 - taken[i]);
        cable_destroy(cable);
    }
}

/* A delay before a rate, and a rate that is removed while frames wait for it. */
static void frames_keep_their_way_when_rules_go(void **state)
{
    struct impairment delay = {.does = IMPAIRMENT_DELAY, .delay.delay_us = 1000};
    struct impairment rate = {.does = IMPAIRMENT_RATE, .rate.bits_per_second = 480000};
    struct cable *cable = lay(&delay, 1);
    (void)state;
    assert_int_equal(cable_add_rule(cable, 2, &rate, 0), 0);
    assert_int_equal(cable_add_rule(cable, 3, &delay, 0), 0);
    for (int n = 0; n < 4; n++)
        send(cable, 0);
    assert_int_equal(receive_all(cable, 2999), 0);
    assert_int_equal(receive_all(cable, 3000), 1); /* 1 ms each: delay, sending, delay */
    assert_int_equal(receive_all(cable, 4000), 1);
    assert_int_equal(cable_remove_rule(cable, 2), 0);
    assert_int_equal(cable_remove_rule(cable, 2), -1);
    send(cable, 4000);
    assert_int_equal(receive_all(cable, 5000), 1);
    assert_int_equal(receive_all(cable, 6000), 2); /* the fourth, and the new one without rate */
    assert_int_equal(cable_remove_rule(cable, 1), 0);
    assert_int_equal(cable_remove_rule(cable, 3), 0);
    assert_int_equal(cable_rule_count(cable), 0);
    assert_true(cable_deadline(cable) == UINT64_MAX);
    cable_destroy(cable);
}

static void exempt_frames_pass_everything(void **state)
{
    struct impairment all = {.does = IMPAIRMENT_BLACKHOLE};
    struct impairment web = {.does = IMPAIRMENT_EXEMPT, .match.ports[MATCH_EITHER] = {80, 80}};
    struct cable *cable = lay(&all, 1);
    uint8_t bytes[ETHERNET + IP_BYTES];
    (void)state;
    assert_int_equal(cable_add_rule(cable, 2, &web, 0), 0);
    assert_int_equal(send(cable, 1), -1);
    size_t size = write_segment(bytes, false, 1, 0x10);
    assert_int_equal(cable_send(cable, bytes, size, 1), 0);
    cable_destroy(cable);
}

/* write_segment's go to port 80; the owner changes the ports while the cable lies there. */
static void exempt_ports_pass_everything(void **state)
{
    static const struct cable_settings all = {.loss_ppm = 1000000};
    struct cable_exempt ports = {{22, 80}, 2};
    struct cable *cable = cable_create(&all, 1, &memory);
    uint8_t bytes[ETHERNET + IP_BYTES];
    (void)state;
    size_t size = write_segment(bytes, false, 1, 0x10);
    assert_int_equal(cable_send(cable, bytes, size, 1), -1);
    cable_set_exempt(cable, &ports, MATCH_DESTINATION);
    assert_int_equal(cable_send(cable, bytes, size, 1), 0);
    ports.count = 1;
    assert_int_equal(cable_send(cable, bytes, size, 1), -1);
    ports = (struct cable_exempt){{80}, 1};
    cable_set_exempt(cable, &ports, MATCH_SOURCE);
    assert_int_equal(cable_send(cable, bytes, size, 1), -1);
    cable_destroy(cable);
}

/* A rule that exempts counts a frame once, and ends when it has exempted so many. */
static void exempting_counts_like_other_effects(void **state)
{
    struct impairment all = {.does = IMPAIRMENT_BLACKHOLE};
    struct impairment even = {
        .does = IMPAIRMENT_EXEMPT, .match = {.asks = MATCH_EVERY, .nth = 2}, .count = 3};
    struct cable *cable = lay(&even, 1);
    (void)state;
    assert_int_equal(cable_add_rule(cable, 2, &all, 0), 0);
    for (int n = 1; n <= 10; n++)
        assert_int_equal(send(cable, FIRST_US), n % 2 == 0 && n <= 6 ? 0 : -1);
    assert_int_equal(cable_rule_count(cable), 1);
    assert_int_equal(receive_all(cable, FIRST_US), 3);
    cable_destroy(cable);
}

/* What has ended is told once, when it holds nothing any more. */
static void rules_that_ended_leave_their_counters(void **state)
{
    struct impairment drop = {.does = IMPAIRMENT_DROP, .after_us = FIRST_US + 1, .for_us = 999};
    struct impairment delay = {.does = IMPAIRMENT_DELAY, .delay.delay_us = 5000};
    struct cable *cable = lay(&drop, 1);
    struct cable_ended ended;
    (void)state;
    assert_int_equal(cable_add_rule(cable, 7, &delay, 0), 0);
    send(cable, FIRST_US);
    for (int n = 0; n < 3; n++)
        send(cable, FIRST_US + 1);
    assert_int_equal(cable_remove_rule(cable, 7), 0);
    assert_false(cable_next_ended(cable, &ended));
    assert_int_equal(receive_all(cable, FIRST_US + 1000), 0);
    assert_true(cable_next_ended(cable, &ended));
    assert_int_equal(ended.id, 1);
    assert_int_equal(ended.did.lost, 3);
    assert_false(cable_next_ended(cable, &ended)); /* the other holds a frame yet */
    assert_int_equal(receive_all(cable, FIRST_US + 5000), 1);
    receive_all(cable, FIRST_US + 5000);
    assert_true(cable_next_ended(cable, &ended));
    assert_int_equal(ended.id, 7);
    assert_int_equal(ended.did.delayed, 1);

    for (uint32_t id = 10; id < 10 + 2 * CABLE_ENDED_MAX; id++) {
        assert_int_equal(cable_add_rule(cable, id, &delay, FIRST_US), 0);
        assert_int_equal(cable_remove_rule(cable, id), 0);
    }
    assert_true(cable_next_ended(cable, &ended));
    assert_int_equal(ended.id, 10 + CABLE_ENDED_MAX);
    cable_destroy(cable);
}

/* Rules that come and go, each leaving a frame behind that it holds for an hour. */
static void rules_that_ended_hold_a_bounded_number_of_frames(void **state)
{
    static const struct cable_settings plain;
    struct impairment hour = {.does = IMPAIRMENT_DELAY, .delay.delay_us = 3600000000};
    struct cable *cable = cable_create(&plain, 1, &memory);
    uint32_t added = 0;
    (void)state;
    while (added < 1000 && cable_add_rule(cable, added + 1, &hour, FIRST_US) == 0) {
        assert_int_equal(send(cable, FIRST_US), 0);
        assert_int_equal(cable_remove_rule(cable, ++added), 0);
    }
    assert_int_equal(added, 2 * CABLE_RULES_MAX);
    assert_false(cable_has_place(cable));
    assert_int_equal(receive_all(cable, FIRST_US + 3600000000), added);
    assert_true(cable_has_place(cable));
    cable_destroy(cable);
}

/* The pure part's own cost: frames of 1500 bytes at 1 Gbit/s. The bound is a tenth of what one core
   does, so that a loaded machine and the sanitizers pass. */
static void a_frame_costs_little(void **state)
{
    struct impairment rule = {.does = IMPAIRMENT_RATE, .rate.bits_per_second = 1000000000};
    struct cable *cable = lay(&rule, 1);
    uint8_t bytes[1514] = {0};
    struct timespec start, end;
    (void)state;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    for (uint64_t n = 0; n < MILLION / 4; n++) {
        uint64_t at_us = FIRST_US + n * 12112 / 1000;
        assert_int_equal(cable_send(cable, bytes, sizeof bytes, at_us), 0);
        while (cable_receive(cable, bytes, sizeof bytes, at_us) > 0)
            ;
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    double seconds =
        (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    print_message("%.2f million frames/s\n", MILLION / 4 / seconds / 1e6);
    assert_true(MILLION / 4 / seconds > 100000);
    cable_destroy(cable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(S16_loss_is_as_frequent_as_asked),
        cmocka_unit_test(S16_bursts_are_as_gilbert_and_elliott_say),
        cmocka_unit_test(S16_four_states_lose_what_their_chain_says),
        cmocka_unit_test(every_nth_and_the_nth_are_exact),
        cmocka_unit_test(S16_duplication_and_corruption_are_as_frequent_as_asked),
        cmocka_unit_test(S16_reordering_is_as_frequent_as_asked),
        cmocka_unit_test(S14_bit_errors_are_as_frequent_as_asked),
        cmocka_unit_test(S14_the_fcs_finds_what_the_checksum_cannot),
        cmocka_unit_test(delays_have_the_mean_and_deviation_asked_for),
        cmocka_unit_test(rates_are_exact),
        cmocka_unit_test(stalls_keep_their_hours),
        cmocka_unit_test(stalls_may_have_a_rate),
        cmocka_unit_test(tail_drop_fills_the_queue_and_the_rest_is_lost),
        cmocka_unit_test(codel_keeps_the_queue_short),
        cmocka_unit_test(codel_drops_by_the_control_law),
        cmocka_unit_test(ecn_marks_instead_of_dropping),
        cmocka_unit_test(red_drops_with_the_average_queue),
        cmocka_unit_test(same_seed_same_frames),
        cmocka_unit_test(rules_do_not_disturb_each_other),
        cmocka_unit_test(rules_live_as_long_as_they_are_told),
        cmocka_unit_test(S33_drop_seq_finds_the_byte_again),
        cmocka_unit_test(limits_in_bytes_and_frames_hold),
        cmocka_unit_test(frames_keep_their_way_when_rules_go),
        cmocka_unit_test(exempt_frames_pass_everything),
        cmocka_unit_test(exempt_ports_pass_everything),
        cmocka_unit_test(exempting_counts_like_other_effects),
        cmocka_unit_test(rules_that_ended_leave_their_counters),
        cmocka_unit_test(rules_that_ended_hold_a_bounded_number_of_frames),
        cmocka_unit_test(a_frame_costs_little),
    };
    return cmocka_run_group_tests_name("cable_honest", tests, NULL, NULL);
}
