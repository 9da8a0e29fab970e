/* The neighbor cache under load: floods of forged packets, a full table, queues that fill, and a
   thousand dead neighbors beside a live one. */
#include "net_harness.h"

#include <time.h>

#include "../../tapstack/core/neighbor.h"
#include "../../tapstack/core/state.h"
#include "../../tapstack/lab/world.h"

enum { SECOND = 1000000, FLOOD = 1000000, USED = 8 };
static const struct mac_address other_mac = {{2, 0, 0, 0, 0, 9}};

/* Networks that are connected beside the harness's own. */
#define WIDE    UINT32_C(0x0b000000) /* 11.0.0.0/8 */
#define GATEWAY (WIDE + 1)

static double seconds_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void open_wide(void (*change)(struct stack_config *config))
{
    net_open(change);
    assert_int_equal(stack_add_route(net, WIDE, 8, 0, 0), 0);
}

static struct mac_address mac_of(uint32_t v4)
{
    return (struct mac_address){
        {6, 0, (uint8_t)(v4 >> 24), (uint8_t)(v4 >> 16), (uint8_t)(v4 >> 8), (uint8_t)v4}};
}

/* Answers every request that the stack sends for these hosts. */
static void answer_for(uint32_t first, unsigned count)
{
    struct ethernet_header ethernet;
    while (net_pull()) {
        ethernet_parse(out_bytes, out_size, &ethernet);
        if (ethernet.type != ETHERTYPE_ARP)
            continue;
        struct arp_packet arp = out_arp(&ethernet);
        struct mac_address mac = mac_of(arp.target_v4);
        if (arp.operation == ARP_REQUEST && arp.target_v4 - first < count)
            give_arp(ARP_REPLY, &mac, arp.target_v4, &our_mac, OUR_V4);
    }
}

/* Eight hosts that we send to, the first of them asked and answered now, all confirmed. */
static void make_used(void)
{
    for (uint32_t i = 0; i < USED; i++)
        give_echo(WIDE + 10 + i, OUR_V4);
    answer_for(WIDE + 10, USED);
}

static void expect_used_unchanged(void)
{
    for (uint32_t i = 0; i < USED; i++) {
        struct neighbor *used = neighbor_table_find(net, 0, WIDE + 10 + i);
        struct mac_address mac = mac_of(WIDE + 10 + i);
        assert_non_null(used);
        assert_memory_equal(used->mac.octets, mac.octets, MAC_ADDRESS_BYTES);
        assert_true(used->state == NEIGHBOR_REACHABLE || used->state == NEIGHBOR_DELAY ||
                    used->state == NEIGHBOR_STALE || used->state == NEIGHBOR_PROBE);
    }
}

/* ---- Floods ---- */

/* S18: unsolicited replies and announcements, a tenth of them for neighbors that we use. */
static void test_million_forged_replies_change_nothing(void **state)
{
    (void)state;
    open_wide(NULL);
    make_used();
    size_t allocated = net_allocated;
    double began = seconds_now();
    for (uint32_t i = 0; i < FLOOD; i++) {
        uint32_t sender = i % 10 ? WIDE + 1000 + i : WIDE + 10 + i / 10 % USED;
        bool request = i % 3 == 0;
        give_arp(request ? ARP_REQUEST : ARP_REPLY, &other_mac, sender, &our_mac,
                 request ? sender : OUR_V4);
        net_now += 10; /* ten seconds in all */
        answer_for(WIDE + 10, USED);
    }
    print_message("%d forged replies: %.2f s\n", FLOOD, seconds_now() - began);
    expect_used_unchanged();
    assert_int_equal(net->neighbors.count, USED);
    assert_int_equal(net_allocated, allocated);
    assert_int_equal(counter(STACK_COUNTER_ARP_CLAIMS), FLOOD / 10);
    assert_int_equal(counter(STACK_COUNTER_ARP_IN_IGNORED), FLOOD - FLOOD / 10);
    /* eight resolved, and at most one question a second each */
    assert_in_range(counter(STACK_COUNTER_ARP_OUT_REQUESTS), USED, 1 + USED + 11 * USED);
    net_close();
}

/* Each asker is answered; the table stays at its limit, and who we use stays in it. */
static void test_million_askers_stay_within_the_limit(void **state)
{
    (void)state;
    open_wide(NULL);
    make_used();
    size_t allocated = 0;
    double began = seconds_now();
    for (uint32_t i = 0; i < FLOOD; i++) {
        assert_int_equal(give_arp(ARP_REQUEST, &other_mac, WIDE + 1000 + i, &no_mac, OUR_V4), 0);
        answer_for(WIDE + 10, USED);
        assert_true(net->neighbors.count <= 1024);
        if (i == 2000)
            allocated = net_allocated;
    }
    print_message("%d askers: %.2f s\n", FLOOD, seconds_now() - began);
    expect_used_unchanged();
    assert_int_equal(net->neighbors.count, 1024);
    assert_int_equal(net_allocated, allocated);
    assert_int_equal(counter(STACK_COUNTER_ARP_OUT_REPLIES), FLOOD);
    net_close();
}

/* ---- A full table ---- */

static void small_table(struct stack_config *config)
{
    config->settings.arp_table_max = USED;
    config->settings.arp_reachable_us = SECOND;
}

static void test_asker_displaces_nobody_that_we_have_used(void **state)
{
    (void)state;
    open_wide(small_table);
    make_used();
    net_wait(2 * SECOND); /* all are STALE, all were used */
    assert_int_equal(give_arp(ARP_REQUEST, &other_mac, WIDE + 99, &no_mac, OUR_V4), 0);
    assert_int_equal(net_drain(), 1); /* answered, not remembered */
    assert_int_equal(counter(STACK_COUNTER_ARP_NOT_LEARNED), 1);
    expect_used_unchanged();
    give_echo(WIDE + 99, OUR_V4); /* but when we want to send, the longest idle one goes */
    assert_non_null(neighbor_table_find(net, 0, WIDE + 99));
    unsigned left = 0;
    for (uint32_t i = 0; i < USED; i++)
        left += neighbor_table_find(net, 0, WIDE + 10 + i) != NULL;
    assert_int_equal(left, USED - 1);
    net_close();
}

static void test_gateway_and_confirmed_never_go(void **state)
{
    (void)state;
    open_wide(small_table);
    assert_int_equal(stack_add_route(net, 0x0c000000, 8, OUR_V4 - 1, 0), 0);
    make_used();
    stack_delete_neighbor(net, WIDE + 10, net_now);
    learn_peer(); /* the gateway, never used */
    net_wait(2 * SECOND);
    for (uint32_t i = 1; i < USED; i++) /* the others are confirmed again */
        neighbor_confirm(net, 0, WIDE + 10 + i, net_now);
    give_echo(WIDE + 99, OUR_V4);
    assert_null(neighbor_table_find(net, 0, WIDE + 99));
    assert_int_equal(counter(STACK_COUNTER_ARP_TABLE_FULL), 1);
    assert_non_null(neighbor_table_find(net, 0, PEER_V4));
    net_close();
}

/* A scan through us can't lock the table: who has not answered twice makes room. */
static void test_unanswered_make_room_before_idle(void **state)
{
    (void)state;
    open_wide(small_table);
    for (uint32_t i = 0; i < USED; i++)
        give_echo(WIDE + 50 + i, OUR_V4);
    answer_for(WIDE + 50, 1);
    net_wait(SECOND); /* the first is idle after a while, the others are asked again */
    give_echo(WIDE + 99, OUR_V4);
    assert_non_null(neighbor_table_find(net, 0, WIDE + 99));
    assert_non_null(neighbor_table_find(net, 0, WIDE + 50));
    assert_null(neighbor_table_find(net, 0, WIDE + 51));
    assert_int_equal(counter(STACK_COUNTER_ARP_QUEUE_DROPS), 1);
    net_close();
}

/* ---- Frames that wait ---- */

static void small_memory(struct stack_config *config)
{
    config->settings.arp_queue_memory = 16384;
    config->settings.arp_queue_max = 8;
}

static void give_large_echo(uint32_t source)
{
    static const uint8_t body[1400];
    uint8_t bytes[1600];
    net_give(bytes, make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, body, sizeof body, source, OUR_V4));
}

/* A frame of 1442 bytes takes 2048: eight fit. Who waits longest loses first. */
static void test_waiting_frames_are_bounded_in_memory(void **state)
{
    (void)state;
    open_wide(small_memory);
    for (int i = 0; i < 8; i++)
        give_large_echo(WIDE + 50);
    for (int i = 0; i < 5; i++)
        give_large_echo(WIDE + 51);
    assert_int_equal(net->neighbors.queued_bytes, 16384);
    assert_int_equal(neighbor_table_find(net, 0, WIDE + 50)->queue.count, 3);
    assert_int_equal(neighbor_table_find(net, 0, WIDE + 51)->queue.count, 5);
    for (int i = 0; i < 8; i++)
        give_large_echo(WIDE + 52);
    assert_int_equal(neighbor_table_find(net, 0, WIDE + 50)->queue.count, 0);
    assert_int_equal(neighbor_table_find(net, 0, WIDE + 51)->queue.count, 0);
    assert_int_equal(neighbor_table_find(net, 0, WIDE + 52)->queue.count, 8);
    assert_int_equal(counter(STACK_COUNTER_ARP_QUEUE_DROPS), 13);
    answer_for(WIDE + 52, 1);
    assert_int_equal(net->neighbors.queued_bytes, 0);
    net_wait(10 * SECOND);
    assert_int_equal(counter(STACK_COUNTER_ARP_FAILED), 0); /* the others had nothing left */
    net_close();
}

/* ---- A thousand dead neighbors beside a live one ---- */

enum { DEAD = 1000, TRANSFER_BYTES = 4 << 20 };

/* Fills the queues of hosts that never answer: replies to echoes in their names. */
static void fill_dead(struct world *world, size_t *most_queued)
{
    static const uint8_t body[1400];
    uint8_t bytes[1600];
    struct stack *a = world_stack(world, WORLD_A);
    assert_int_equal(stack_add_route(a, WIDE, 8, 0, 0), 0);
    for (int round = 0; round < 64; round++) {
        for (uint32_t i = 0; i < DEAD; i++) {
            size_t size = make_icmp(bytes, ICMP_ECHO_REQUEST, 0, 1, body, sizeof body, WIDE + 2 + i,
                                    world_address(WORLD_A));
            struct frame frame = {.piece_count = 1, .piece = {{bytes, size}}};
            assert_int_equal(stack_input(a, &frame, world_now(world)), 0);
        }
        if (a->neighbors.queued_bytes > *most_queued)
            *most_queued = a->neighbors.queued_bytes;
    }
}

/* Sends 4 MiB from A to B. Returns the virtual time it took. */
static uint64_t transfer(bool with_dead, size_t *most_queued)
{
    static uint8_t bytes[65536];
    struct world_config config;
    world_config_default(&config);
    config.cable[WORLD_A].rate_kbps = config.cable[WORLD_B].rate_kbps = 100000;
    config.cable[WORLD_A].queue_frames = config.cable[WORLD_B].queue_frames = 5000;
    config.cable[WORLD_A].delay_us = config.cable[WORLD_B].delay_us = 2000;
    struct world *world = world_create(&config);
    struct stack *a = world_stack(world, WORLD_A), *b = world_stack(world, WORLD_B);
    int listener = stack_open(b, IPV4_PROTOCOL_TCP), client = stack_open(a, IPV4_PROTOCOL_TCP);
    struct stack_endpoint local = {.port = 80};
    struct stack_endpoint remote = {ip_address_from_v4(world_address(WORLD_B)), 80};
    uint64_t limit_us = config.start_us + 60 * UINT64_C(1000000), now_us;
    size_t received = 0, sent = 0;
    int server = 0;
    stack_bind(b, listener, &local);
    stack_listen(b, listener, 1);
    stack_connect(a, client, &remote, world_now(world));
    while (server <= 0 && world_step(world, limit_us))
        server = stack_accept(b, listener);
    uint64_t began_us = world_now(world);
    if (with_dead)
        fill_dead(world, most_queued);
    while (received < TRANSFER_BYTES && (now_us = world_now(world)) < limit_us) {
        size_t left = TRANSFER_BYTES - sent;
        ptrdiff_t taken = left == 0
                              ? 0
                              : stack_send(a, client, bytes,
                                           left < sizeof bytes ? left : sizeof bytes, 0, now_us);
        sent += taken > 0 ? (size_t)taken : 0;
        ptrdiff_t got = stack_recv(b, server, bytes, sizeof bytes, now_us);
        received += got > 0 ? (size_t)got : 0;
        world_step(world, limit_us);
    }
    uint64_t took_us = world_now(world) - began_us;
    assert_int_equal(received, TRANSFER_BYTES);
    if (with_dead)
        while (a->neighbors.queued_bytes > 0)
            assert_true(world_step(world, limit_us));
    world_destroy(world);
    return took_us;
}

static void test_thousand_dead_neighbors_slow_nobody(void **state)
{
    size_t most_queued = 0;
    (void)state;
    uint64_t alone_us = transfer(false, &most_queued);
    uint64_t beside_us = transfer(true, &most_queued);
    print_message("4 MiB alone: %.3f s, beside %d dead neighbors: %.3f s, %zu KiB waited\n",
                  (double)alone_us / 1e6, DEAD, (double)beside_us / 1e6, most_queued >> 10);
    assert_in_range(beside_us, 0, alone_us + alone_us / 20);
    assert_in_range(most_queued, (16 << 20) - 2048, 16 << 20); /* arp.queue_memory */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_million_forged_replies_change_nothing),
        cmocka_unit_test(test_million_askers_stay_within_the_limit),
        cmocka_unit_test(test_asker_displaces_nobody_that_we_have_used),
        cmocka_unit_test(test_gateway_and_confirmed_never_go),
        cmocka_unit_test(test_unanswered_make_room_before_idle),
        cmocka_unit_test(test_waiting_frames_are_bounded_in_memory),
        cmocka_unit_test(test_thousand_dead_neighbors_slow_nobody),
    };
    return cmocka_run_group_tests_name("neighbor limits", tests, NULL, NULL);
}
