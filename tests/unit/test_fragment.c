/* Fragmentation (stage S22): what is larger than the MTU leaves in pieces that are the datagram when
   put together again, all of them or none. */
#include "net_harness.h"

#include "../../tapstack/core/fragment.h"
#include "../../tapstack/core/state.h"

enum { MAX = 65535, FAR_V4 = PEER_V4 + 9 };

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static uint8_t sent[14 + MAX + 1]; /* the frame that is cut */

/* What a plain receiver makes of the fragments pulled. */
static uint8_t got[MAX + 1];
static uint8_t got_at[MAX + 1]; /* times that each byte of the payload came */
static size_t got_end;          /* 0: the last fragment has not come */
static unsigned got_fragments;
static struct ipv4_header got_first;
static uint8_t got_first_header[IPV4_HEADER_MAX], got_later_header[IPV4_HEADER_MAX];

struct datagram {
    size_t payload_bytes;
    size_t option_bytes;
    const uint8_t *options;
    uint16_t offset; /* it is a fragment itself */
    bool more;
    uint8_t protocol;
};

/* Writes the frame to be cut. Returns its size. */
static size_t write_datagram(const struct datagram *datagram)
{
    size_t header_bytes = IPV4_HEADER_BYTES + datagram->option_bytes;
    uint8_t *ip = sent + ETHERNET_HEADER_BYTES;
    struct ethernet_header ethernet = {no_mac, our_mac, ETHERTYPE_IPV4};
    struct ipv4_header header = {
        .tos = 0xb9,
        .ttl = 63,
        .protocol = datagram->protocol ? datagram->protocol : IPV4_PROTOCOL_ICMP,
        .total_bytes = (uint16_t)(header_bytes + datagram->payload_bytes),
        .identification = 4711,
        .fragment_offset = datagram->offset,
        .more_fragments = datagram->more,
        .source_v4 = OUR_V4,
        .destination_v4 = PEER_V4,
    };
    ethernet_write(&ethernet, sent);
    ipv4_write(&header, ip);
    if (datagram->option_bytes > 0)
        memcpy(ip + IPV4_HEADER_BYTES, datagram->options, datagram->option_bytes);
    ip[0] = (uint8_t)(4 << 4 | header_bytes / 4);
    ipv4_write_checksum(ip);
    for (size_t i = 0; i < datagram->payload_bytes; i++)
        ip[header_bytes + i] = (uint8_t)(i * 31 + i / 251);
    return ETHERNET_HEADER_BYTES + header_bytes + datagram->payload_bytes;
}

/* The frame in so many pieces, the first just with the headers. */
static struct frame make_frame(size_t size, unsigned pieces)
{
    size_t head = ETHERNET_HEADER_BYTES + (sent[ETHERNET_HEADER_BYTES] & 15) * 4U;
    size_t half = (size - head) / 2 | 1;
    struct frame frame = {.piece_count = (uint8_t)pieces};
    frame.piece[0] = (struct frame_piece){sent, pieces == 1 ? size : head};
    if (pieces == 2)
        frame.piece[1] = (struct frame_piece){sent + head, size - head};
    if (pieces == 3) {
        frame.piece[1] = (struct frame_piece){sent + head, half};
        frame.piece[2] = (struct frame_piece){sent + head + half, size - head - half};
    }
    return frame;
}

/* Takes the fragment that was pulled. */
static void take_fragment(size_t mtu)
{
    struct ipv4_header ip;
    const uint8_t *payload;
    size_t size;
    ip = out_ip(&payload, &size);
    assert_true(ip.total_bytes <= mtu);
    assert_true(size > 0);
    assert_memory_equal(out_bytes, peer_mac.octets, 6);
    if (ip.more_fragments)
        assert_int_equal(size % 8, 0);
    else
        got_end = ip.fragment_offset + size;
    uint8_t *header = got_fragments == 0 ? got_first_header : got_later_header;
    memcpy(header, out_bytes + ETHERNET_HEADER_BYTES, ip.header_bytes);
    if (got_fragments == 0)
        got_first = ip;
    assert_int_equal(ip.identification, 4711);
    assert_int_equal(ip.tos, 0xb9);
    assert_int_equal(ip.ttl, 63);
    assert_int_equal(ip.protocol, got_first.protocol);
    memcpy(got + ip.fragment_offset, payload, size);
    for (size_t i = 0; i < size; i++)
        got_at[ip.fragment_offset + i]++;
    got_fragments++;
}

static void pull_all(size_t mtu)
{
    memset(got_at, 0, sizeof got_at);
    got_end = got_fragments = 0;
    while (net_pull())
        take_fragment(mtu);
}

/* Bytes from to end came once each, others not at all. */
static void expect_bytes_once(size_t from, size_t end)
{
    for (size_t i = 0; i < sizeof got_at; i++)
        assert_int_equal(got_at[i], i >= from && i < end);
}

static void expect_payload(size_t header_bytes, size_t size)
{
    assert_int_equal(got_end, size);
    expect_bytes_once(0, size);
    assert_memory_equal(got, sent + ETHERNET_HEADER_BYTES + header_bytes, size);
}

/* Cuts the frame for a link of this MTU. */
static int cut(const struct frame *frame, size_t mtu, uint32_t next_hop)
{
    struct ip_hop hop = {.v4 = next_hop};
    net->interface[0].mtu_bytes = (uint16_t)mtu;
    return fragment_output(net, frame, mtu, &hop, net_now);
}

static void open_net(void)
{
    net_open(NULL);
    learn_peer();
}

static void test_s22_cut_at_every_mtu(void **state)
{
    static const size_t sizes[] = {100, 1473, 1480, 1481, 2960, 2961, 4000, 60008, 65515};
    static const size_t mtus[] = {68, 75, 76, 296, 576, 900, 1006, 1492, 1499, 1500, 9000};
    (void)state;
    open_net();
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (size_t k = 0; k < COUNT_OF(mtus); k++) {
            size_t room = (mtus[k] - IPV4_HEADER_BYTES) / 8 * 8;
            if (sizes[i] + IPV4_HEADER_BYTES <= mtus[k] || sizes[i] / room >= PACKET_QUEUE_MAX)
                continue;
            size_t size = write_datagram(&(struct datagram){sizes[i]});
            struct frame frame = make_frame(size, 1 + (unsigned)(i + k) % 3);
            uint64_t creates = counter(STACK_COUNTER_IP_FRAG_CREATES);
            assert_int_equal(cut(&frame, mtus[k], PEER_V4), 0);
            pull_all(mtus[k]);
            expect_payload(IPV4_HEADER_BYTES, sizes[i]);
            assert_int_equal(counter(STACK_COUNTER_IP_FRAG_CREATES), creates + got_fragments);
            /* No more fragments than needed: the last may be longer than a multiple of 8. */
            assert_true((got_fragments - 1) * room < sizes[i]);
            assert_true((got_fragments - 1) * room + mtus[k] - IPV4_HEADER_BYTES >= sizes[i]);
        }
    }
    assert_true(counter(STACK_COUNTER_IP_FRAG_OKS) > 50);
    assert_int_equal(counter(STACK_COUNTER_IP_FRAG_FAILS), 0);
    net_close();
}

/* Options with the copied flag stand in every fragment, the others in the first only. */
static void test_s22_options_are_copied_by_their_flag(void **state)
{
    static const uint8_t ladder[] = {7, 7, 4, 1, 2, 3, 4, 1, 148, 4, 0, 0, 131, 3, 4, 0};
    static const struct {
        const char *name;
        const uint8_t *options;
        size_t option_bytes;
        const char *later; /* as the other fragments have them */
        size_t later_bytes;
    } rows[] = {
        {"record route, alert, loose route", ladder, 16, "\x94\x04\0\0\x83\x03\x04\0", 8},
        {"not copied", (const uint8_t *)"\x44\x04\x05\0", 4, "", 0},
        {"ended early", (const uint8_t *)"\x01\x00\x94\x04\0\0\0\0", 8, "", 0},
        {"of length 0", (const uint8_t *)"\x94\x00\x94\x04\0\0\0\0", 8, "", 0},
        {"longer than the header", (const uint8_t *)"\x94\x09\x94\x04\0\0\0\0", 8, "", 0},
        {"cut at its type", (const uint8_t *)"\x01\x01\x01\x94", 4, "", 0},
    };
    (void)state;
    open_net();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct datagram datagram = {3000, rows[i].option_bytes, rows[i].options};
        struct frame frame = make_frame(write_datagram(&datagram), 3);
        assert_int_equal(cut(&frame, 576, PEER_V4), 0);
        pull_all(576);
        expect_payload(IPV4_HEADER_BYTES + rows[i].option_bytes, 3000);
        assert_int_equal(got_first.header_bytes, IPV4_HEADER_BYTES + rows[i].option_bytes);
        assert_memory_equal(got_first_header + 20, rows[i].options, rows[i].option_bytes);
        assert_int_equal((got_later_header[0] & 15) * 4, 20 + rows[i].later_bytes);
        assert_memory_equal(got_later_header + 20, rows[i].later, rows[i].later_bytes);
    }
    net_close();
}

/* A router cuts fragments too: offset and more-fragments go on (RFC 791, 3.2). */
static void test_s22_fragments_of_a_fragment(void **state)
{
    static const struct datagram rows[] = {
        {1480, .offset = 0, .more = true},
        {1480, .offset = 1480, .more = true},
        {1480, .offset = 64000, .more = true},
        {1003, .offset = 2960, .more = false},
    };
    (void)state;
    open_net();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t end = rows[i].offset + rows[i].payload_bytes;
        struct frame frame = make_frame(write_datagram(&rows[i]), 1);
        assert_int_equal(cut(&frame, 576, PEER_V4), 0);
        pull_all(576);
        assert_int_equal(got_end, rows[i].more ? 0 : end);
        expect_bytes_once(rows[i].offset, end);
        assert_memory_equal(got + rows[i].offset, sent + IP_PAYLOAD_OFFSET, rows[i].payload_bytes);
    }
    net_close();
}

/* A checksum left to the device can't be left to it any more, wherever its field lies. */
static void test_s22_the_checksum_is_filled_in_first(void **state)
{
    static const struct {
        uint8_t protocol, field;
    } rows[] = {{IPV4_PROTOCOL_UDP, 6}, {IPV4_PROTOCOL_TCP, 16}};
    static const size_t mtus[] = {68, 576, 1500};
    struct ip_address source = ip_address_from_v4(OUR_V4),
                      destination = ip_address_from_v4(PEER_V4);
    (void)state;
    open_net();
    for (unsigned i = 0; i < 18; i++) {
        size_t bytes = 2000 + i % 2;
        uint8_t protocol = rows[i / 9].protocol, field = rows[i / 9].field;
        size_t size = write_datagram(&(struct datagram){bytes, .protocol = protocol});
        uint32_t pseudo = checksum_add_pseudo(0, &source, &destination, protocol, bytes);
        bytes_put16(sent + IP_PAYLOAD_OFFSET + field, checksum_fold(pseudo));
        struct frame frame = make_frame(size, 1 + i % 3);
        frame.flags = FRAME_CHECKSUM_PARTIAL;
        frame.checksum_start = IP_PAYLOAD_OFFSET;
        frame.checksum_offset = field;
        assert_int_equal(cut(&frame, mtus[i / 3 % 3], PEER_V4), 0);
        pull_all(1500);
        assert_int_equal(out_frame.flags, 0);
        assert_int_equal(got_end, bytes);
        assert_int_equal(checksum_finish(checksum_add(pseudo, got, bytes)), 0);
    }
    net_close();
}

/* When the out queue has no room for all fragments, none is queued. */
static void test_s22_all_fragments_or_none(void **state)
{
    struct frame frame;
    (void)state;
    open_net();
    frame = make_frame(write_datagram(&(struct datagram){65515}), 1);
    assert_int_equal(cut(&frame, 68, PEER_V4), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_FRAG_FAILS), 1);
    assert_int_equal(net_drain(), 0);
    frame = make_frame(write_datagram(&(struct datagram){60000}), 1);
    for (unsigned i = 0; i < PACKET_QUEUE_MAX / 41; i++)
        assert_int_equal(cut(&frame, 1500, PEER_V4), 0);
    uint32_t queued = net->out.count;
    assert_int_equal(queued, PACKET_QUEUE_MAX / 41 * 41);
    assert_int_equal(cut(&frame, 1500, PEER_V4), -1);
    assert_int_equal(net->out.count, queued);
    assert_int_equal(counter(STACK_COUNTER_IP_FRAG_FAILS), 2);
    assert_int_equal(counter(STACK_COUNTER_IP_FRAG_CREATES), queued);
    net_close();
}

static void test_s22_fragments_wait_for_their_neighbor(void **state)
{
    struct ethernet_header ethernet;
    (void)state;
    open_net();
    struct frame frame = make_frame(write_datagram(&(struct datagram){60000}), 2);
    assert_int_equal(cut(&frame, 1500, FAR_V4), 0);
    assert_int_equal(neighbor_of(FAR_V4).queued, 41);
    assert_true(net_pull());
    assert_int_equal(out_arp(&ethernet).target_v4, FAR_V4);
    assert_false(net_pull());
    give_arp(ARP_REPLY, &peer_mac, FAR_V4, &our_mac, OUR_V4);
    pull_all(1500);
    expect_payload(IPV4_HEADER_BYTES, 60000);
    net_close();
}

/* More fragments than may wait would push out their own first ones: none is sent, but the neighbor
   is asked for, and the next datagram finds it. */
static void test_s22_more_fragments_than_may_wait(void **state)
{
    struct ethernet_header ethernet;
    (void)state;
    open_net();
    stack_settings(net)->arp_queue_max = 40;
    struct frame frame = make_frame(write_datagram(&(struct datagram){60000}), 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(cut(&frame, 1500, FAR_V4), -1);
        assert_int_equal(neighbor_of(FAR_V4).queued, 0);
        assert_true(net_pull());
        assert_int_equal(out_arp(&ethernet).target_v4, FAR_V4);
        net_wait(4000000);
        assert_int_equal(neighbor_of(FAR_V4).state, NEIGHBOR_FAILED);
    }
    assert_int_equal(cut(&frame, 1500, FAR_V4), -1);
    assert_int_equal(counter(STACK_COUNTER_IP_FRAG_FAILS), 3);
    assert_int_equal(counter(STACK_COUNTER_IP_FRAG_CREATES), 0);
    give_arp(ARP_REPLY, &peer_mac, FAR_V4, &our_mac, OUR_V4);
    net_drain();
    assert_int_equal(cut(&frame, 1500, FAR_V4), 0);
    pull_all(1500);
    expect_payload(IPV4_HEADER_BYTES, 60000);
    net_close();
}

/* A neighbor that has just failed takes no fragment: one drop, not 41. */
static void test_s22_a_dead_neighbor_costs_one_drop(void **state)
{
    (void)state;
    open_net();
    struct frame frame = make_frame(write_datagram(&(struct datagram){60000}), 2);
    cut(&frame, 1500, FAR_V4);
    while (neighbor_of(FAR_V4).state != NEIGHBOR_FAILED)
        net_wait(100000);
    uint64_t dropped = counter(STACK_COUNTER_FRAMES_DROPPED);
    assert_int_equal(cut(&frame, 1500, FAR_V4), -1);
    assert_int_equal(counter(STACK_COUNTER_FRAMES_DROPPED), dropped + 1);
    net_close();
}

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
    (void)state;
    for (unsigned budget = 0; budget < 41; budget++) {
        allocations_left = 1000;
        net_open(use_allocate_some);
        learn_peer();
        pool_trim(&net->pool, 0);
        allocations_left = budget;
        struct frame frame = make_frame(write_datagram(&(struct datagram){60000}), 2);
        assert_int_equal(cut(&frame, 1500, PEER_V4), -1);
        assert_int_equal(counter(STACK_COUNTER_IP_FRAG_FAILS), 1);
        assert_int_equal(net_drain(), 0);
        net_close();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s22_cut_at_every_mtu),
        cmocka_unit_test(test_s22_options_are_copied_by_their_flag),
        cmocka_unit_test(test_s22_fragments_of_a_fragment),
        cmocka_unit_test(test_s22_the_checksum_is_filled_in_first),
        cmocka_unit_test(test_s22_all_fragments_or_none),
        cmocka_unit_test(test_s22_fragments_wait_for_their_neighbor),
        cmocka_unit_test(test_s22_more_fragments_than_may_wait),
        cmocka_unit_test(test_s22_a_dead_neighbor_costs_one_drop),
        cmocka_unit_test(test_s22_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
