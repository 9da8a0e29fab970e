/* Reassembly (stage S22): fragments in every order and shape, the attacks that are known, the limits
   and the time. The module is called as IP calls it, so that the whole can be looked at. */
#include "net_harness.h"

#include "../../tapstack/core/reassembly.h"
#include "../../tapstack/core/state.h"

enum {
    PAYLOAD_MAX = 65535,
    TIMEOUT_US = 30000000,
    MORE = 1, /* more fragments follow */
    LAST = 0,
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static uint8_t pattern[PAYLOAD_MAX + 512]; /* what each datagram carries */

/* One fragment. Fields that are 0 take what peer() says. */
struct piece {
    size_t offset;
    size_t size;
    int more;
    uint32_t source;
    uint32_t destination;
    uint16_t identification;
    uint8_t protocol;
    uint8_t tos;
    uint8_t option_bytes; /* record route and no-operations in the header */
    uint16_t interface;
    bool to_group;
    bool dont_fragment;
    uint8_t changed; /* added to every byte of the payload */
};

/* What came of the last datagram that became whole. */
static uint8_t whole_bytes[PAYLOAD_MAX + 1];
static struct ipv4_header whole_header;
static size_t whole_payload_bytes;
static bool whole_to_group;

static size_t write_fragment(const struct piece *piece, uint8_t *bytes)
{
    size_t header_bytes = (size_t)IPV4_HEADER_BYTES + piece->option_bytes;
    struct ipv4_header header = {
        .tos = piece->tos,
        .ttl = 64,
        .protocol = piece->protocol ? piece->protocol : IPV4_PROTOCOL_UDP,
        .total_bytes = (uint16_t)(header_bytes + piece->size),
        .identification = piece->identification ? piece->identification : 7,
        .fragment_offset = (uint16_t)piece->offset,
        .more_fragments = piece->more,
        .dont_fragment = piece->dont_fragment,
        .source_v4 = piece->source ? piece->source : PEER_V4,
        .destination_v4 = piece->destination ? piece->destination : OUR_V4,
    };
    ipv4_write(&header, bytes);
    memset(bytes + IPV4_HEADER_BYTES, 1, piece->option_bytes);
    bytes[0] = (uint8_t)(4 << 4 | header_bytes / 4);
    ipv4_write_checksum(bytes);
    for (size_t i = 0; i < piece->size; i++)
        bytes[header_bytes + i] = (uint8_t)(pattern[piece->offset + i] + piece->changed);
    return header_bytes + piece->size;
}

static void keep_whole(struct reassembly_whole *whole)
{
    const struct ip_datagram *datagram = &whole->datagram;
    assert_ptr_equal(datagram->frame, &whole->frame);
    assert_int_equal(whole->frame.flags, 0);
    assert_ptr_equal(datagram->packet, whole->bytes);
    assert_ptr_equal(datagram->payload, whole->bytes + datagram->header.header_bytes);
    assert_int_equal(datagram->payload_bytes,
                     datagram->header.total_bytes - datagram->header.header_bytes);
    assert_int_equal(ip_address_to_v4(&datagram->source), datagram->header.source_v4);
    assert_int_equal(ip_address_to_v4(&datagram->destination), datagram->header.destination_v4);
    memcpy(whole_bytes, whole->bytes, datagram->header.total_bytes);
    assert_int_equal(ipv4_parse(whole_bytes, datagram->header.total_bytes, &whole_header), 0);
    assert_int_equal(whole_header.fragment_offset, 0);
    assert_false(whole_header.more_fragments);
    whole_payload_bytes = datagram->payload_bytes;
    whole_to_group = datagram->to_group;
    reassembly_release(net, whole);
}

/* Returns what reassembly_input says; a whole is kept above. */
static int give(const struct piece *piece)
{
    static uint8_t bytes[2 * PAYLOAD_MAX];
    size_t size = write_fragment(piece, bytes);
    uint8_t *exact = malloc(size);
    memcpy(exact, bytes, size);
    struct frame frame = {
        .interface = piece->interface,
        .flags = FRAME_CHECKSUM_VALID,
        .piece_count = 1,
        .piece = {{exact, size}},
    };
    struct ip_datagram datagram = {.frame = &frame, .packet = exact, .to_group = piece->to_group};
    struct reassembly_whole whole;
    /* A fragment that ends beyond the longest datagram can't tell so in its total length. */
    assert_int_equal(ipv4_parse(exact, size, &datagram.header), 0);
    datagram.payload = exact + datagram.header.header_bytes;
    datagram.payload_bytes = size - datagram.header.header_bytes;
    int result = reassembly_input(net, &datagram, &whole, net_now);
    free(exact);
    if (result == 1)
        keep_whole(&whole);
    return result;
}

/* The whole that came last is the pattern of so many bytes, and nothing else is held. */
static void expect_whole(size_t size)
{
    assert_int_equal(whole_payload_bytes, size);
    assert_memory_equal(whole_bytes + whole_header.header_bytes, pattern, size);
}

static void expect_nothing_held(void)
{
    struct stack_reassembly entry;
    uint32_t cursor = 0;
    assert_int_equal(net->reassembly.used_bytes, 0);
    assert_int_equal(net->reassembly.count, 0);
    assert_false(stack_next_reassembly(net, &cursor, &entry, net_now));
    assert_true(reassembly_deadline(net) == UINT64_MAX);
}

static uint32_t random_state = 1;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % below;
}

static void open_net(void)
{
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 31 + i / 251);
    pattern[12] = 5 << 4; /* as a TCP header: of 20 bytes */
    net_open(NULL);
    learn_peer();
}

/* ---- Whole ---- */

/* Fragments of different lengths, the last not a multiple of 8. */
static void cut_pieces(struct piece *pieces, unsigned count)
{
    static const size_t sizes[] = {1480, 8, 24, 4096, 1480};
    size_t offset = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t size = i + 1 < count ? sizes[i] : 13;
        pieces[i] = (struct piece){.offset = offset, .size = size, .more = i + 1 < count};
        offset += size;
    }
}

static size_t pieces_size(const struct piece *pieces, unsigned count)
{
    return pieces[count - 1].offset + pieces[count - 1].size;
}

/* The number-th order of count things. */
static void make_order(unsigned number, unsigned count, unsigned *order)
{
    unsigned left[8];
    for (unsigned i = 0; i < count; i++)
        left[i] = i;
    for (unsigned i = 0; i < count; i++) {
        unsigned at = number % (count - i);
        number /= count - i;
        order[i] = left[at];
        memmove(left + at, left + at + 1, (count - i - at - 1) * sizeof left[0]);
    }
}

static unsigned factorial(unsigned n) { return n < 2 ? 1 : n * factorial(n - 1); }

/* Gives the fragments in an order; the twin-th of them comes again before the last one. */
static void give_in_order(const struct piece *pieces, unsigned count, const unsigned *order,
                          unsigned twin)
{
    uint64_t duplicates = counter(STACK_COUNTER_IP_REASM_DUPLICATES);
    for (unsigned i = 0; i + 1 < count; i++)
        assert_int_equal(give(&pieces[order[i]]), 0);
    if (twin + 1 < count) {
        assert_int_equal(give(&pieces[order[twin]]), -1);
        assert_int_equal(counter(STACK_COUNTER_IP_REASM_DUPLICATES), duplicates + 1);
    }
    assert_int_equal(give(&pieces[order[count - 1]]), 1);
    expect_whole(pieces_size(pieces, count));
    expect_nothing_held();
}

static void test_s22_every_order_of_up_to_five_fragments(void **state)
{
    uint64_t wholes = 0;
    (void)state;
    open_net();
    for (unsigned count = 2; count <= 5; count++) {
        struct piece pieces[5];
        cut_pieces(pieces, count);
        for (unsigned number = 0; number < factorial(count); number++) {
            unsigned order[5];
            make_order(number, count, order);
            for (unsigned twin = 0; twin < count; twin++, wholes++)
                give_in_order(pieces, count, order, twin);
        }
    }
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_OKS), wholes);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_FAILS), 0);
    net_close();
}

static void shuffle(unsigned *order, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        order[i] = i;
    for (unsigned i = count; i > 1; i--) {
        unsigned other = draw(i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

/* The longest datagram in the smallest fragments there can be, forwards, backwards and mixed. */
static void test_s22_the_longest_datagram_in_the_smallest_fragments(void **state)
{
    enum { SIZE = 65515, COUNT = (SIZE + 7) / 8 };
    static unsigned order[COUNT];
    (void)state;
    open_net();
    for (unsigned way = 0; way < 4; way++) {
        shuffle(order, COUNT);
        for (unsigned i = 0; i < COUNT; i++) {
            unsigned number = way == 0 ? i : way == 1 ? COUNT - 1 - i : order[i];
            struct piece piece = {number * 8U, number + 1 < COUNT ? 8 : SIZE % 8,
                                  number + 1 < COUNT};
            assert_int_equal(give(&piece), i + 1 == COUNT);
        }
        expect_whole(SIZE);
        expect_nothing_held();
    }
    net_close();
}

static void test_s22_the_datagrams_name_has_four_parts(void **state)
{
    static const struct piece first[] = {
        {0, 8, MORE},
        {0, 8, MORE, .source = PEER_V4 + 8},
        {0, 8, MORE, .destination = OUR_V4 + 1},
        {0, 8, MORE, .identification = 8},
        {0, 8, MORE, .protocol = IPV4_PROTOCOL_ICMP},
    };
    (void)state;
    open_net();
    for (size_t i = 0; i < COUNT_OF(first); i++)
        assert_int_equal(give(&first[i]), 0);
    assert_int_equal(net->reassembly.count, COUNT_OF(first));
    for (size_t i = 0; i < COUNT_OF(first); i++) {
        struct piece last = first[i];
        last.offset = 8;
        last.more = LAST;
        last.interface = 3; /* is no part of it */
        assert_int_equal(give(&last), 1);
        expect_whole(16);
        assert_int_equal(whole_header.protocol,
                         first[i].protocol ? first[i].protocol : IPV4_PROTOCOL_UDP);
    }
    expect_nothing_held();
    net_close();
}

/* The first fragment's header is that of the whole, whatever others say; a group is remembered. */
static void test_s22_the_whole_has_the_first_fragments_header(void **state)
{
    (void)state;
    open_net();
    give(&(struct piece){8, 8, LAST, .tos = 0x20, .to_group = true, .option_bytes = 40});
    assert_int_equal(give(&(struct piece){0, 8, MORE, .tos = 0xb8, .option_bytes = 12}), 1);
    expect_whole(16);
    assert_int_equal(whole_header.header_bytes, 32);
    assert_int_equal(whole_bytes[20], 1);
    assert_int_equal(whole_header.tos, 0xb8);
    assert_int_equal(whole_header.total_bytes, 48);
    assert_false(whole_header.dont_fragment);
    assert_true(whole_to_group);
    give(&(struct piece){0, 8, MORE, .dont_fragment = true});
    assert_int_equal(give(&(struct piece){8, 8, LAST}), 1);
    assert_true(whole_header.dont_fragment);
    assert_false(whole_to_group);
    net_close();
}

/* ---- What does not fit ---- */

/* What happens to a fragment beside [16, 48), which waits. */
static void test_s22_every_shape_of_overlap(void **state)
{
    static const struct {
        const char *name;
        struct piece piece;
        enum stack_counter counter; /* STACK_COUNTER_COUNT: it is kept */
    } rows[] = {
        {"the same", {16, 32, MORE}, STACK_COUNTER_IP_REASM_DUPLICATES},
        {"the same place, other bytes",
         {16, 32, MORE, .changed = 1},
         STACK_COUNTER_IP_REASM_OVERLAPS},
        {"the same, but the last", {16, 32, LAST}, STACK_COUNTER_IP_REASM_OVERLAPS},
        {"same start, longer", {16, 40, MORE}, STACK_COUNTER_IP_REASM_OVERLAPS},
        {"same start, shorter", {16, 24, MORE}, STACK_COUNTER_IP_REASM_OVERLAPS},
        {"same end, shorter", {24, 24, MORE}, STACK_COUNTER_IP_REASM_OVERLAPS},
        {"same end, longer", {8, 40, MORE}, STACK_COUNTER_IP_REASM_OVERLAPS},
        {"inside", {24, 16, MORE}, STACK_COUNTER_IP_REASM_OVERLAPS},
        {"around", {8, 48, MORE}, STACK_COUNTER_IP_REASM_OVERLAPS},
        {"around from 0", {0, 4096, MORE}, STACK_COUNTER_IP_REASM_OVERLAPS},
        {"over the start", {8, 16, MORE}, STACK_COUNTER_IP_REASM_OVERLAPS},
        {"over the end", {40, 16, MORE}, STACK_COUNTER_IP_REASM_OVERLAPS},
        {"one byte over the start", {8, 9, LAST}, STACK_COUNTER_IP_REASM_OVERLAPS},
        {"its last block, and the last", {40, 5, LAST}, STACK_COUNTER_IP_REASM_OVERLAPS},
        {"up to the start", {8, 8, MORE}, STACK_COUNTER_COUNT},
        {"from the end", {48, 8, MORE}, STACK_COUNTER_COUNT},
        {"from the end, and the last", {48, 3, LAST}, STACK_COUNTER_COUNT},
        {"far off", {60000, 8, MORE}, STACK_COUNTER_COUNT},
    };
    (void)state;
    open_net();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct piece piece = rows[i].piece;
        enum stack_counter why = rows[i].counter;
        uint64_t before = why < STACK_COUNTER_COUNT ? counter(why) : 0;
        uint64_t fails = counter(STACK_COUNTER_IP_REASM_FAILS);
        piece.identification = (uint16_t)(100 + i);
        give(&(struct piece){16, 32, MORE, .identification = piece.identification});
        if (give(&piece) != (why == STACK_COUNTER_COUNT ? 0 : -1) ||
            (why < STACK_COUNTER_COUNT && counter(why) != before + 1))
            fail_msg("%s", rows[i].name);
        assert_int_equal(counter(STACK_COUNTER_IP_REASM_FAILS) - fails,
                         why == STACK_COUNTER_IP_REASM_OVERLAPS);
    }
    net_close();
}

/* RFC 5722: what comes later of a datagram that was dropped is dropped too, until its time is
   over; then the name is free again. */
static void test_s22_the_rest_of_a_refused_datagram_is_dropped(void **state)
{
    struct stack_reassembly entry;
    uint32_t cursor = 0;
    (void)state;
    open_net();
    give(&(struct piece){0, 800, MORE});
    give(&(struct piece){792, 800, MORE});
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_OVERLAPS), 1);
    assert_true(stack_next_reassembly(net, &cursor, &entry, net_now));
    assert_true(entry.refused);
    assert_int_equal(entry.memory_bytes, pool_block_bytes(entry.memory_bytes));
    assert_true(net->reassembly.used_bytes < 1024);
    assert_int_equal(give(&(struct piece){0, 800, MORE}), -1);
    assert_int_equal(give(&(struct piece){800, 800, LAST}), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_REFUSED), 2);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_FAILS), 1);
    assert_int_equal(net_wait(TIMEOUT_US), 0);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_TIMEOUT), 0);
    expect_nothing_held();
    give(&(struct piece){0, 800, MORE});
    assert_int_equal(give(&(struct piece){800, 800, LAST}), 1);
    expect_whole(1600);
    net_close();
}

static void test_s22_a_datagram_has_one_end(void **state)
{
    static const struct piece rows[][2] = {
        {{32, 8, LAST}, {40, 8, MORE}},  {{32, 8, LAST}, {48, 8, LAST}},
        {{32, 8, LAST}, {8, 8, LAST}},   {{48, 8, MORE}, {32, 8, LAST}},
        {{48, 8, MORE}, {32, 16, LAST}}, {{32, 3, LAST}, {40, 8, MORE}},
    };
    (void)state;
    open_net();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (unsigned k = 0; k < 2; k++) {
            struct piece piece = rows[i][k];
            piece.identification = (uint16_t)(100 + i);
            assert_int_equal(give(&piece), k == 0 ? 0 : -1);
        }
        assert_int_equal(counter(STACK_COUNTER_IP_REASM_BAD_ENDS), i + 1);
    }
    net_close();
}

/* RFC 3168, 5.3. Marks: 0 not-ECT, 1 ECT(1), 2 ECT(0), 3 CE. */
static void test_s22_ecn_of_the_whole(void **state)
{
    static const int expected[4][4] = {
        {0, -1, -1, -1}, {-1, 1, 1, 3}, {-1, 2, 2, 3}, {-1, 3, 3, 3}}; /* first, second fragment */
    (void)state;
    open_net();
    for (uint8_t first = 0; first < 4; first++) {
        for (uint8_t second = 0; second < 4; second++) {
            uint16_t id = (uint16_t)(100 + first * 4 + second);
            give(&(struct piece){0, 8, MORE, .identification = id, .tos = 0xb8 | first});
            int result = give(&(struct piece){8, 8, LAST, .identification = id, .tos = second});
            assert_int_equal(result, expected[first][second] < 0 ? -1 : 1);
            if (result == 1)
                assert_int_equal(whole_header.tos, 0xb8 | expected[first][second]);
        }
    }
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_BAD_ECN), 6);
    net_close();
}

/* ---- Attacks ---- */

static void test_s22_fragments_that_are_wrong_by_themselves(void **state)
{
    static const struct {
        const char *name;
        struct piece piece;
        enum stack_counter counter;
    } rows[] = {
        {"ping of death", {65528, 8, LAST}, STACK_COUNTER_IP_REASM_TOO_LONG},
        {"ping of death, by one byte", {65512, 4, LAST}, STACK_COUNTER_IP_REASM_TOO_LONG},
        {"by one byte of options",
         {65472, 4, LAST, .option_bytes = 40},
         STACK_COUNTER_IP_REASM_TOO_LONG},
        {"jolt2", {65520, 29, LAST, .protocol = 1}, STACK_COUNTER_IP_REASM_TOO_LONG},
        {"no payload", {0, 0, MORE}, STACK_COUNTER_IP_REASM_EMPTY},
        {"no payload at the end", {800, 0, LAST}, STACK_COUNTER_IP_REASM_EMPTY},
        {"length 9, more to come", {0, 9, MORE}, STACK_COUNTER_IP_REASM_UNALIGNED},
        {"length 1479, more to come", {1480, 1479, MORE}, STACK_COUNTER_IP_REASM_UNALIGNED},
        {"TCP's ports alone", {0, 8, MORE, .protocol = 6}, STACK_COUNTER_IP_REASM_TINY},
        {"TCP without its urgent pointer",
         {0, 16, MORE, .protocol = 6},
         STACK_COUNTER_IP_REASM_TINY},
        {"inside TCP's header", {8, 64, MORE, .protocol = 6}, STACK_COUNTER_IP_REASM_TCP_OFFSET},
        {"inside TCP's header, last",
         {8, 12, LAST, .protocol = 6},
         STACK_COUNTER_IP_REASM_TCP_OFFSET},
    };
    (void)state;
    open_net();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t before = counter(rows[i].counter);
        uint64_t fails = counter(STACK_COUNTER_IP_REASM_FAILS);
        if (give(&rows[i].piece) != -1 || counter(rows[i].counter) != before + 1)
            fail_msg("%s", rows[i].name);
        assert_int_equal(counter(STACK_COUNTER_IP_REASM_FAILS), fails + 1);
        expect_nothing_held();
    }
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_REQDS), COUNT_OF(rows));
    net_close();
}

static void test_s22_the_first_fragment_holds_tcps_options(void **state)
{
    (void)state;
    open_net();
    pattern[12] = 8 << 4;
    assert_int_equal(give(&(struct piece){0, 24, MORE, .protocol = 6}), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_TINY), 1);
    assert_int_equal(give(&(struct piece){0, 32, MORE, .protocol = 6}), 0);
    assert_int_equal(give(&(struct piece){32, 8, LAST, .protocol = 6}), 1);
    expect_whole(40);
    pattern[12] = 5 << 4;
    net_close();
}

/* The programs of the nineties as they went over the wire. Nothing is delivered, each is counted
   for what it is, and when the time is over nothing is left. */
static void test_s22_attacks_by_name(void **state)
{
    static const struct {
        const char *name;
        enum stack_counter counter;
        struct piece pieces[4]; /* up to one of size 0 */
    } rows[] = {
        {"teardrop", STACK_COUNTER_IP_REASM_UNALIGNED, {{0, 36, MORE}, {24, 4, LAST}}},
        {"teardrop, aligned", STACK_COUNTER_IP_REASM_OVERLAPS, {{0, 40, MORE}, {24, 4, LAST}}},
        {"newtear", STACK_COUNTER_IP_REASM_OVERLAPS, {{0, 48, MORE}, {24, 4, LAST}}},
        {"syndrop",
         STACK_COUNTER_IP_REASM_OVERLAPS,
         {{0, 40, MORE, .protocol = 6}, {24, 4, LAST, .protocol = 6}}},
        {"bonk", STACK_COUNTER_IP_REASM_OVERLAPS, {{32, 4, LAST}, {0, 40, MORE}}},
        {"boink", STACK_COUNTER_IP_REASM_OVERLAPS, {{0, 48, MORE}, {40, 24, LAST}}},
        {"nestea",
         STACK_COUNTER_IP_REASM_OVERLAPS,
         {{0, 16, MORE}, {48, 108, LAST}, {0, 264, MORE, .option_bytes = 40}}},
        {"jolt",
         STACK_COUNTER_IP_REASM_TOO_LONG,
         {{0, 380 + 4, MORE, .protocol = 1}, {65504, 380, LAST, .protocol = 1}}},
        {"rose", STACK_COUNTER_IP_REASM_TIMEOUT, {{0, 32, MORE}, {64800, 32, LAST}}},
        {"rose, without the first", STACK_COUNTER_IP_REASM_TIMEOUT, {{64800, 32, LAST}}},
        {"RFC 1858, overlapping",
         STACK_COUNTER_IP_REASM_OVERLAPS,
         {{0, 40, MORE, .protocol = 6}, {16, 24, LAST, .protocol = 6}}},
        {"RFC 3128",
         STACK_COUNTER_IP_REASM_TCP_OFFSET,
         {{0, 24, MORE, .protocol = 6}, {8, 16, LAST, .protocol = 6}}},
    };
    (void)state;
    open_net();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t before = counter(rows[i].counter);
        for (unsigned k = 0; k < 4 && rows[i].pieces[k].size > 0; k++)
            assert_int_not_equal(give(&rows[i].pieces[k]), 1);
        net_wait(TIMEOUT_US);
        if (counter(rows[i].counter) != before + 1)
            fail_msg("%s", rows[i].name);
        expect_nothing_held();
    }
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_OKS), 0);
    net_close();
}

/* Two fragments, each possible by itself, whose whole is not: the first has options. */
static void test_s22_a_whole_that_would_be_too_long(void **state)
{
    (void)state;
    open_net();
    give(&(struct piece){32768, 32747, LAST});
    assert_int_equal(give(&(struct piece){0, 32768, MORE, .option_bytes = 4}), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_TOO_LONG), 1);
    net_wait(TIMEOUT_US);
    expect_nothing_held();
    give(&(struct piece){32768, 32747, LAST});
    assert_int_equal(give(&(struct piece){0, 32768, MORE}), 1);
    expect_whole(65515);
    assert_int_equal(whole_header.total_bytes, 65535);
    net_close();
}

/* ---- Time ---- */

static void test_s22_the_time_begins_with_the_first_to_come(void **state)
{
    (void)state;
    open_net();
    give(&(struct piece){800, 800, MORE});
    net_wait(TIMEOUT_US - 1);
    give(&(struct piece){1600, 800, MORE});
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_TIMEOUT), 0);
    net_wait(1);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_TIMEOUT), 1);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_FAILS), 1);
    expect_nothing_held();
    stack_settings(net)->ip_reassembly_timeout_us = 2000000;
    give(&(struct piece){800, 800, MORE});
    assert_true(stack_deadline(net) <= net_now + 2000000);
    net_wait(2000000);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_TIMEOUT), 2);
    net_close();
}

/* RFC 792, RFC 1122 3.3.2: the error quotes the first fragment as it came. */
static void test_s22_time_exceeded_quotes_the_first_fragment(void **state)
{
    struct piece first = {0, 800, MORE, .option_bytes = 8, .tos = 0x20};
    uint8_t sent[2000];
    const uint8_t *payload;
    size_t size, quoted;
    struct icmp_header icmp;
    (void)state;
    open_net();
    give(&(struct piece){1600, 800, LAST, .tos = 0x20});
    give(&first);
    assert_int_equal(net_wait(TIMEOUT_US), 1);
    struct ipv4_header ip = out_ip(&payload, &size);
    assert_int_equal(ip.protocol, IPV4_PROTOCOL_ICMP);
    assert_int_equal(ip.source_v4, OUR_V4);
    assert_int_equal(ip.destination_v4, PEER_V4);
    assert_int_equal(icmp_parse(payload, size, &icmp), 0);
    assert_int_equal(icmp.type, ICMP_TIME_EXCEEDED);
    assert_int_equal(icmp.code, ICMP_CODE_REASSEMBLY_EXCEEDED);
    assert_int_equal(icmp.rest, 0);
    write_fragment(&first, sent);
    quoted = size - ICMP_HEADER_BYTES;
    assert_int_equal(quoted, 576 - 28);
    assert_memory_equal(payload + ICMP_HEADER_BYTES, sent, quoted);
    net_close();
}

static void test_s22_no_error_without_the_first_fragment_or_to_a_group(void **state)
{
    static const struct piece silent[] = {
        {800, 800, MORE},
        {0, 800, MORE, .to_group = true},
        {0, 800, MORE, .destination = PEER_V4 + 7},    /* a router's */
        {0, 64, MORE, .protocol = IPV4_PROTOCOL_ICMP}, /* about an ICMP error: see the pattern */
    };
    (void)state;
    open_net();
    pattern[0] = ICMP_DESTINATION_UNREACHABLE;
    for (size_t i = 0; i < COUNT_OF(silent); i++) {
        give(&silent[i]);
        assert_int_equal(net_wait(TIMEOUT_US), 0);
        assert_int_equal(counter(STACK_COUNTER_IP_REASM_TIMEOUT), i + 1);
    }
    net_close();
}

/* ---- Limits ---- */

static uint32_t block_of(size_t payload)
{
    return (uint32_t)pool_block_bytes(sizeof(void *) * 2 + payload);
}

/* What one datagram with one such fragment, not the first, costs. */
static size_t cost_of(size_t payload)
{
    size_t cost;
    give(&(struct piece){8, payload, MORE, .source = 0x0a4d0099});
    cost = net->reassembly.used_bytes;
    net_wait(TIMEOUT_US);
    return cost;
}

static unsigned count_waiting(uint32_t source)
{
    struct stack_reassembly entry;
    uint32_t cursor = 0;
    unsigned count = 0;
    while (stack_next_reassembly(net, &cursor, &entry, net_now))
        count += entry.source_v4 == source;
    return count;
}

static bool waits(uint16_t identification)
{
    struct stack_reassembly entry;
    uint32_t cursor = 0;
    while (stack_next_reassembly(net, &cursor, &entry, net_now))
        if (entry.identification == identification)
            return true;
    return false;
}

/* A source at its limit loses its own oldest datagram; nobody else loses anything. */
static void test_s22_a_source_displaces_only_its_own(void **state)
{
    (void)state;
    open_net();
    size_t cost = cost_of(1000);
    stack_settings(net)->ip_reassembly_per_source = 3 * cost;
    give(&(struct piece){8, 1000, MORE, .source = PEER_V4 + 50, .identification = 50});
    for (uint16_t id = 1; id <= 3; id++)
        assert_int_equal(give(&(struct piece){8, 1000, MORE, .identification = id}), 0);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_EVICTED), 0);
    assert_int_equal(give(&(struct piece){8, 1000, MORE, .identification = 4}), 0);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_EVICTED), 1);
    assert_false(waits(1));
    assert_true(waits(2) && waits(3) && waits(4) && waits(50));
    /* The oldest one's own fragment does not displace it, but the next one. */
    assert_int_equal(give(&(struct piece){1008, 1000, MORE, .identification = 2}), 0);
    assert_true(waits(2) && !waits(3) && waits(4) && waits(50));
    net_close();
}

static void test_s22_a_datagram_alone_can_not_exceed_its_source(void **state)
{
    (void)state;
    open_net();
    stack_settings(net)->ip_reassembly_per_source = 8192;
    for (size_t i = 1; i < 20; i++)
        give(&(struct piece){i * 1000, 1000, MORE});
    assert_true(net->reassembly.used_bytes <= 8192);
    assert_true(counter(STACK_COUNTER_IP_REASM_NO_ROOM) > 10);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_EVICTED), 0);
    assert_int_equal(net->reassembly.count, 1);
    net_close();
}

/* When others hold all the memory, a newcomer without anything of its own is dropped. */
static void test_s22_at_the_limit_in_all_strangers_are_dropped(void **state)
{
    (void)state;
    open_net();
    size_t cost = cost_of(1000);
    stack_settings(net)->ip_reassembly_memory = 4 * cost;
    for (uint32_t i = 0; i < 4; i++)
        give(&(struct piece){8, 1000, MORE, .source = PEER_V4 + 50 + i});
    assert_int_equal(give(&(struct piece){8, 1000, MORE}), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_NO_ROOM), 1);
    assert_int_equal(net->reassembly.count, 4);
    assert_int_equal(count_waiting(PEER_V4), 0);
    /* One that has something takes its place. */
    assert_int_equal(
        give(&(struct piece){8, 1000, MORE, .source = PEER_V4 + 50, .identification = 9}), 0);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_EVICTED), 1);
    assert_true(net->reassembly.used_bytes <= 4 * cost);
    net_close();
}

static void test_s22_the_number_of_datagrams_is_limited(void **state)
{
    (void)state;
    open_net();
    stack_settings(net)->ip_reassembly_datagrams = 3;
    for (uint16_t id = 1; id <= 5; id++)
        assert_int_equal(give(&(struct piece){8, 8, MORE, .identification = id}), 0);
    assert_int_equal(net->reassembly.count, 3);
    assert_true(!waits(2) && waits(3) && waits(4) && waits(5));
    assert_int_equal(give(&(struct piece){8, 8, MORE, .source = PEER_V4 + 9}), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_NO_ROOM), 1);
    net_close();
}

static void test_s22_switched_off_by_no_memory(void **state)
{
    (void)state;
    open_net();
    stack_settings(net)->ip_reassembly_memory = 0;
    assert_int_equal(give(&(struct piece){0, 8, MORE}), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_REASM_NO_ROOM), 1);
    expect_nothing_held();
    net_close();
}

/* 100,000 datagrams that never become whole: the memory of the setting, and nothing when their
   time is over. sources: how many they come from. */
static void flood(uint32_t sources, size_t size)
{
    size_t allocated = net_allocated;
    size_t limit = stack_settings(net)->ip_reassembly_memory;
    for (uint32_t i = 0; i < 100000; i++) {
        struct piece piece = {draw(8000) * 8, size, MORE, .source = 0x0a000001 + draw(sources)};
        piece.identification = (uint16_t)(1 + draw(65535));
        if (piece.offset + size < PAYLOAD_MAX)
            give(&piece);
        assert_true(net->reassembly.used_bytes <= limit);
    }
    assert_true(net_allocated - allocated <= limit);
    assert_true(net->reassembly.used_bytes > limit / 8);
    stack_settings(net)->icmp_error_rate = 0;
    net_wait(TIMEOUT_US);
    expect_nothing_held();
    net_wait(60000000); /* what was kept for reuse goes too */
    assert_true(net_allocated <= allocated + (64 << 10));
}

static void test_s22_100000_incomplete_datagrams_cost_the_setting(void **state)
{
    static const uint32_t sources[] = {1, 3, 1000, 1 << 24};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sources); i++) {
        open_net();
        flood(sources[i], i % 2 ? 8 : 1480);
        net_close();
    }
}

/* ---- Memory that runs out ---- */

static unsigned allocations_left;

static void *allocate_some(void *context, size_t size)
{
    if (allocations_left == 0)
        return NULL;
    allocations_left--;
    return net_allocate(context, size);
}

static void use_allocate_some(struct stack_config *config)
{
    config->memory.allocate = allocate_some;
}

static void test_s22_every_allocation_may_fail(void **state)
{
    unsigned budget = 0;
    bool done = false;
    (void)state;
    for (; !done; budget++) {
        allocations_left = 1000;
        net_open(use_allocate_some);
        pool_trim(&net->pool, 0);
        allocations_left = budget;
        give(&(struct piece){0, 800, MORE});
        give(&(struct piece){800, 800, MORE});
        done = give(&(struct piece){1600, 800, LAST}) == 1;
        assert_true(done || counter(STACK_COUNTER_IP_REASM_NO_ROOM) > 0);
        allocations_left = 1000;
        net_wait(TIMEOUT_US);
        expect_nothing_held();
        net_close();
    }
    assert_int_equal(budget,
                     7); /* source, datagram, three fragments, the whole; and none failing */
}

/* ---- Looking in ---- */

static void test_s22_the_walk_tells_what_waits(void **state)
{
    struct stack_reassembly entry;
    uint32_t cursor = 0;
    (void)state;
    open_net();
    give(&(struct piece){800, 800, MORE, .identification = 9, .protocol = 6});
    net_wait(5000000);
    give(&(struct piece){1600, 21, LAST, .identification = 9, .protocol = 6});
    assert_true(stack_next_reassembly(net, &cursor, &entry, net_now));
    assert_int_equal(entry.source_v4, PEER_V4);
    assert_int_equal(entry.destination_v4, OUR_V4);
    assert_int_equal(entry.identification, 9);
    assert_int_equal(entry.protocol, 6);
    assert_int_equal(entry.fragments, 2);
    assert_int_equal(entry.received_bytes, 821);
    assert_int_equal(entry.total_bytes, 1621);
    assert_false(entry.first_is_here || entry.refused);
    assert_int_equal(entry.age_us, 5000000);
    assert_int_equal(entry.left_us, TIMEOUT_US - 5000000);
    assert_int_equal(entry.memory_bytes, 512 + block_of(800) + block_of(21));
    assert_false(stack_next_reassembly(net, &cursor, &entry, net_now));
    for (uint16_t id = 100; id < 1100; id++)
        give(&(struct piece){8, 8, MORE, .identification = id});
    assert_int_equal(count_waiting(PEER_V4), 1001);
    net_close();
}

/* The stack can end with fragments waiting. */
static void test_s22_nothing_is_left_behind_at_the_end(void **state)
{
    (void)state;
    open_net();
    for (uint16_t id = 1; id < 100; id++)
        give(&(struct piece){id % 3 * 8U, 8, MORE, .identification = id, .source = id % 7 + 9U});
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s22_every_order_of_up_to_five_fragments),
        cmocka_unit_test(test_s22_the_longest_datagram_in_the_smallest_fragments),
        cmocka_unit_test(test_s22_the_datagrams_name_has_four_parts),
        cmocka_unit_test(test_s22_the_whole_has_the_first_fragments_header),
        cmocka_unit_test(test_s22_every_shape_of_overlap),
        cmocka_unit_test(test_s22_the_rest_of_a_refused_datagram_is_dropped),
        cmocka_unit_test(test_s22_a_datagram_has_one_end),
        cmocka_unit_test(test_s22_ecn_of_the_whole),
        cmocka_unit_test(test_s22_fragments_that_are_wrong_by_themselves),
        cmocka_unit_test(test_s22_the_first_fragment_holds_tcps_options),
        cmocka_unit_test(test_s22_attacks_by_name),
        cmocka_unit_test(test_s22_a_whole_that_would_be_too_long),
        cmocka_unit_test(test_s22_the_time_begins_with_the_first_to_come),
        cmocka_unit_test(test_s22_time_exceeded_quotes_the_first_fragment),
        cmocka_unit_test(test_s22_no_error_without_the_first_fragment_or_to_a_group),
        cmocka_unit_test(test_s22_a_source_displaces_only_its_own),
        cmocka_unit_test(test_s22_a_datagram_alone_can_not_exceed_its_source),
        cmocka_unit_test(test_s22_at_the_limit_in_all_strangers_are_dropped),
        cmocka_unit_test(test_s22_the_number_of_datagrams_is_limited),
        cmocka_unit_test(test_s22_switched_off_by_no_memory),
        cmocka_unit_test(test_s22_100000_incomplete_datagrams_cost_the_setting),
        cmocka_unit_test(test_s22_every_allocation_may_fail),
        cmocka_unit_test(test_s22_the_walk_tells_what_waits),
        cmocka_unit_test(test_s22_nothing_is_left_behind_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
