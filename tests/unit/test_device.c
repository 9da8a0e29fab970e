/* The daemon's devices on socket pairs in a TAP's place: who waits for whom, what is dropped, bridges,
   cables, rings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../tapstack/host/device.h"
#include "../../tapstack/host/heap.h"
#include "../../tapstack/host/log.h"
#include "../../tapstack/wire/bytes.h"
#include "../../tapstack/wire/ethernet.h"
#include "../../tapstack/wire/fcs.h"

enum { FRAME = 60, QUEUE_BYTES = 64 << 10 };

struct house {
    struct daemon daemon;
    int far[2]; /* the other side of each device */
    bool more;  /* what device_serve said last */
    bool ended; /* the loop was told to stop */
};

static bool one_turn(struct loop *loop)
{
    struct house *house = (struct house *)(void *)loop;
    house->ended = loop->stop;
    house->more = false;
    for (unsigned i = 0; i < house->daemon.device_count; i++)
        house->more |= device_serve(house->daemon.device[i]);
    loop->stop = true;
    return false;
}

static uint64_t at_once(struct loop *loop) { return loop->now_us; }

static void turn(struct house *house)
{
    house->daemon.loop.stop = false;
    loop_run(&house->daemon.loop);
}

static void make_stack(struct daemon *daemon)
{
    struct stack_config config = {.memory = heap_memory};
    stack_settings_default(&config.settings);
    daemon->stack = stack_create(&config, daemon->loop.now_us);
    assert_non_null(daemon->stack);
}

static void make_device(struct house *house, unsigned index)
{
    struct tap tap = {.offload = TAP_OFFLOAD_CHECKSUM_TSO, .name = "tapN"};
    struct stack_interface_config interface;
    int ends[2], bytes = QUEUE_BYTES;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    tap.fd = ends[0];
    tap.name[3] = (char)('0' + index);
    house->far[index] = ends[1];
    house->daemon.config.interface[index].address_v4 = 0x0a4d0002 + (index << 16);
    house->daemon.config.interface[index].prefix_bits = 24;
    house->daemon.device[index] = device_create(&house->daemon, index, &tap);
    assert_non_null(house->daemon.device[index]);
    house->daemon.device_count++;
    device_describe(house->daemon.device[index], &interface);
    assert_int_equal(stack_add_interface(house->daemon.stack, &interface, 0), index);
}

static int open_house(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    struct daemon *daemon = &house->daemon;
    log_set_level(LOG_LEVEL_ERROR - 1);
    assert_int_equal(loop_open(&daemon->loop), 0);
    daemon->loop.tail = one_turn;
    daemon->loop.deadline = at_once;
    config_default(&daemon->config);
    daemon->config.interface_count = 2;
    daemon->capture = capture_create(daemon);
    make_stack(daemon);
    for (unsigned i = 0; i < 2; i++)
        make_device(house, i);
    *state = house;
    return 0;
}

static int close_house(void **state)
{
    struct house *house = *state;
    for (unsigned i = 0; i < 2; i++) {
        device_destroy(house->daemon.device[i]);
        close(house->far[i]);
    }
    capture_destroy(house->daemon.capture);
    stack_destroy(house->daemon.stack);
    loop_close(&house->daemon.loop);
    free(house);
    return 0;
}

static struct nic_counters *counters(struct house *house, unsigned index)
{
    return &device_nic(house->daemon.device[index])->counters;
}

static void make_bytes(uint8_t *bytes, size_t size, uint8_t mark)
{
    struct ethernet_header header = {
        .destination = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
        .source = {{2, 0, 0, 0, 0, 9}},
        .type = ETHERTYPE_IPV4,
    };
    memset(bytes, 0, size);
    ethernet_write(&header, bytes);
    bytes[14] = mark;
}

/* Puts a frame on the far side of a device. */
static void say(struct house *house, unsigned index, const uint8_t *bytes, size_t size)
{
    struct virtio_net_hdr header = {0};
    struct iovec pieces[2] = {{&header, sizeof header}, {(void *)(uintptr_t)bytes, size}};
    assert_int_equal(writev(house->far[index], pieces, 2), sizeof header + size);
}

/* Takes a frame from the far side of a device. Returns its size, 0: none is there. */
static size_t hear(struct house *house, unsigned index, uint8_t *bytes, size_t capacity)
{
    struct virtio_net_hdr header;
    struct iovec pieces[2] = {{&header, sizeof header}, {bytes, capacity}};
    ssize_t size = readv(house->far[index], pieces, 2);
    return size < (ssize_t)sizeof header ? 0 : (size_t)size - sizeof header;
}

static void send_frame(struct house *house, unsigned index, size_t size, uint8_t mark)
{
    static uint8_t bytes[2048];
    struct frame frame = {.interface = (uint16_t)index, .piece_count = 1};
    make_bytes(bytes, size, mark);
    frame.piece[0] = (struct frame_piece){bytes, size};
    device_send(house->daemon.device[index], &frame);
}

/* ---- Waiting ---- */

static void a_full_device_holds_up_no_other(void **state)
{
    struct house *house = *state;
    uint8_t bytes[2048];
    unsigned sent = 0, heard = 0;
    while (device_has_room(house->daemon.device[0]))
        send_frame(house, 0, 1500, (uint8_t)sent++);
    for (int i = 0; i < 5; i++)
        send_frame(house, 0, 1500, (uint8_t)sent++);
    send_frame(house, 1, FRAME, 77);
    assert_true(device_has_room(house->daemon.device[1]));
    assert_int_equal(hear(house, 1, bytes, sizeof bytes), FRAME);
    assert_int_equal(bytes[14], 77);

    for (int turns = 0; turns < 1000 && heard < sent; turns++) { /* all come, in their order */
        while (hear(house, 0, bytes, sizeof bytes) == 1500)
            assert_int_equal(bytes[14], (uint8_t)heard++);
        turn(house);
    }
    assert_int_equal(heard, sent);
    assert_true(device_has_room(house->daemon.device[0]));
    assert_int_equal(counters(house, 0)->tx_packets, sent);
    assert_int_equal(counters(house, 0)->tx_dropped, 0);
}

static void what_waits_is_bounded_and_counted(void **state)
{
    struct house *house = *state;
    uint8_t bytes[2048];
    unsigned heard = 0;
    for (unsigned i = 0; i < 4000; i++)
        send_frame(house, 0, 1500, 0);
    uint64_t dropped = counters(house, 0)->tx_dropped;
    assert_true(dropped > 500 && dropped < 2000);
    for (int turns = 0; turns < 1000 && heard + dropped < 4000; turns++) {
        while (hear(house, 0, bytes, sizeof bytes) > 0)
            heard++;
        turn(house);
    }
    assert_int_equal(heard + dropped, 4000);
}

/* A TAP that is removed reports an error; so does a pair whose other end goes without having
   read. */
static void the_last_device_ends_the_daemon(void **state)
{
    struct house *house = *state;
    for (unsigned i = 0; i < 2; i++) {
        send_frame(house, i, FRAME, 0);
        close(house->far[i]);
        house->far[i] = -1;
        turn(house);
        assert_false(device_is_up(house->daemon.device[i]));
        assert_int_equal(house->ended, i == 1);
        send_frame(house, i, FRAME, 0);
        assert_int_equal(counters(house, i)->tx_carrier_errors, 1);
        assert_int_equal(device_set_up(house->daemon.device[i], true), -ENODEV);
    }
}

/* ---- The card's ring and its driver ---- */

static void s16_batch_overruns_a_short_ring(void **state)
{
    struct house *house = *state;
    uint8_t bytes[FRAME];
    assert_int_equal(device_set_ring(house->daemon.device[0], 3), 0);
    make_bytes(bytes, sizeof bytes, 0);
    for (int i = 0; i < 10; i++)
        say(house, 0, bytes, sizeof bytes);
    turn(house);
    assert_int_equal(counters(house, 0)->rx_packets, 3);
    assert_int_equal(counters(house, 0)->rx_missed, 7);
    assert_int_equal(counters(house, 0)->interrupts, 1);
}

static void s17_budget_spreads_a_burst_over_turns(void **state)
{
    struct house *house = *state;
    uint8_t bytes[FRAME];
    device_nic(house->daemon.device[0])->budget = 4;
    make_bytes(bytes, sizeof bytes, 0);
    for (int i = 0; i < 10; i++)
        say(house, 0, bytes, sizeof bytes);
    turn(house);
    assert_int_equal(counters(house, 0)->rx_packets, 4);
    assert_true(house->more);
    turn(house);
    turn(house);
    assert_int_equal(counters(house, 0)->rx_packets, 10);
    assert_false(house->more);
    assert_int_equal(counters(house, 0)->polls, 3);
    assert_int_equal(counters(house, 0)->budget_exhausted, 2);
}

static void s16_another_ring_loses_nothing(void **state)
{
    struct house *house = *state;
    uint8_t bytes[FRAME];
    device_nic(house->daemon.device[0])->budget = 1;
    make_bytes(bytes, sizeof bytes, 0);
    for (int i = 0; i < 10; i++)
        say(house, 0, bytes, sizeof bytes);
    turn(house);
    assert_int_equal(device_set_ring(house->daemon.device[0], 2), 0);
    assert_int_equal(counters(house, 0)->rx_packets, 10);
}

static void s15_groups_of_the_stack_pass(void **state)
{
    struct house *house = *state;
    struct ip_address group = ip_address_from_v4(0xe0010203);
    uint8_t bytes[FRAME];
    turn(house);
    for (int joined = 0; joined < 2; joined++) {
        make_bytes(bytes, sizeof bytes, 0);
        memcpy(bytes, "\x01\x00\x5e\x01\x02\x03", 6);
        say(house, 0, bytes, sizeof bytes);
        turn(house);
        assert_int_equal(counters(house, 0)->rx_multicast, joined);
        int socket = stack_open(house->daemon.stack, 17);
        assert_int_equal(stack_join_group(house->daemon.stack, socket, &group, 0, 0), 0);
        turn(house);
    }
    assert_int_equal(counters(house, 0)->rx_filtered, 1);
}

/* ---- Bridge and cable ---- */

static void join_devices(struct house *house)
{
    for (unsigned i = 0; i < 2; i++) {
        device_nic(house->daemon.device[i])->transparent = true;
        device_nic(house->daemon.device[i])->promiscuous = true;
    }
    device_join(house->daemon.device[0], house->daemon.device[1]);
}

static void a_bridge_joins_two(void **state)
{
    struct house *house = *state;
    uint8_t bytes[FRAME], got[2048];
    join_devices(house);
    make_bytes(bytes, sizeof bytes, 42);
    bytes[0] = 2; /* to somebody */
    bytes_put16(bytes + 12, 0x1234);
    for (unsigned i = 0; i < 2; i++) {
        say(house, i, bytes, sizeof bytes);
        turn(house);
        assert_int_equal(hear(house, 1 - i, got, sizeof got), FRAME);
        assert_memory_equal(got, bytes, FRAME);
        assert_int_equal(hear(house, i, got, sizeof got), 0);
    }
}

static void a_cable_comes_and_goes(void **state)
{
    struct house *house = *state;
    struct cable_settings slow = {.delay_us = 60000000, .fcs = true};
    uint8_t bytes[FRAME], got[2048];
    join_devices(house);
    make_bytes(bytes, sizeof bytes, 42);
    assert_int_equal(device_cable_insert(house->daemon.device[1], &slow, 1), 0);
    assert_true(device_nic(house->daemon.device[1])->carries_fcs);
    say(house, 0, bytes, 42); /* is padded on a link with FCS */
    say(house, 1, bytes, sizeof bytes);
    turn(house);
    assert_int_equal(hear(house, 0, got, sizeof got) + hear(house, 1, got, sizeof got), 0);
    assert_true(device_deadline(house->daemon.device[1]) < UINT64_MAX);
    device_cable_remove(house->daemon.device[1]); /* what was under way arrives */
    assert_null(device_cable(house->daemon.device[1], DEVICE_OUT));
    assert_int_equal(hear(house, 0, got, sizeof got), FRAME);
    assert_int_equal(hear(house, 1, got, sizeof got), ETHERNET_MIN_BYTES);
    assert_false(device_nic(house->daemon.device[1])->carries_fcs);
    assert_true(device_deadline(house->daemon.device[1]) == UINT64_MAX);
}

/* The TAP takes a part of what is under way; the rest waits, and what does not fit is counted. */
static void a_cable_taken_out_before_a_full_tap_loses_nothing_uncounted(void **state)
{
    struct house *house = *state;
    struct device *device = house->daemon.device[0];
    struct cable_settings slow = {.delay_us = 60000000, .queue_frames = 4000};
    struct cable_counters totals;
    uint8_t bytes[2048];
    unsigned heard = 0;
    assert_int_equal(device_cable_insert(device, &slow, 1), 0);
    for (unsigned i = 0; i < 4000; i++)
        send_frame(house, 0, 1500, 0);
    device_cable_remove(device);
    assert_false(device_has_room(device));
    uint64_t dropped = counters(house, 0)->tx_dropped;
    for (int turns = 0; turns < 1000 && heard + dropped < 4000; turns++) {
        while (hear(house, 0, bytes, sizeof bytes) > 0)
            heard++;
        turn(house);
    }
    assert_int_equal(heard + dropped, 4000);
    assert_true(heard > 2000);
    device_cable_totals(device, DEVICE_OUT, &totals);
    assert_int_equal(totals.frames_in, 4000);
    assert_int_equal(totals.frames_out, 4000);
}

static void a_tag_is_put_in_and_taken_off(void **state)
{
    struct house *house = *state;
    uint8_t got[2048];
    device_nic(house->daemon.device[0])->vlan = 5;
    send_frame(house, 0, FRAME, 9);
    assert_int_equal(hear(house, 0, got, sizeof got), FRAME + 4);
    assert_int_equal(bytes_get16(got + 12), ETHERTYPE_VLAN);
    assert_int_equal(bytes_get16(got + 14), 5);
    assert_int_equal(got[18], 9);
    say(house, 0, got, FRAME + 4);
    turn(house);
    assert_int_equal(counters(house, 0)->rx_packets, 1);
    assert_int_equal(stack_counters(house->daemon.stack)[STACK_COUNTER_IP_IN_RECEIVES], 1);
}

static void down_takes_and_gives_nothing(void **state)
{
    struct house *house = *state;
    uint8_t bytes[FRAME], got[2048];
    make_bytes(bytes, sizeof bytes, 0);
    assert_true(device_is_up(house->daemon.device[0]));
    assert_int_equal(device_set_up(house->daemon.device[0], false), -ENOTTY); /* no TAP */
    assert_true(device_is_up(house->daemon.device[0]));
    send_frame(house, 0, FRAME, 0);
    assert_int_equal(hear(house, 0, got, sizeof got), FRAME);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_house, close_house)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_full_device_holds_up_no_other),
        TEST(what_waits_is_bounded_and_counted),
        TEST(the_last_device_ends_the_daemon),
        TEST(s16_batch_overruns_a_short_ring),
        TEST(s17_budget_spreads_a_burst_over_turns),
        TEST(s16_another_ring_loses_nothing),
        TEST(s15_groups_of_the_stack_pass),
        TEST(a_bridge_joins_two),
        TEST(a_cable_comes_and_goes),
        TEST(a_cable_taken_out_before_a_full_tap_loses_nothing_uncounted),
        TEST(a_tag_is_put_in_and_taken_off),
        TEST(down_takes_and_gives_nothing),
    };
    return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
