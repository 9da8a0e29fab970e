/* The byte ring against a plain array: order, gaps, growth that keeps them, wrapping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../tapstack/core/ring.h"

static int allocations_left = -1; /* below 0: no limit */

static void *test_allocate(void *context, size_t size)
{
    (void)context;
    if (allocations_left == 0)
        return NULL;
    allocations_left -= allocations_left > 0;
    return malloc(size);
}

static void test_release(void *context, void *block, size_t size)
{
    (void)context;
    (void)size;
    free(block);
}

static const struct memory test_memory = {test_allocate, test_release, NULL};

static void test_empty_ring_holds_no_memory(void **state)
{
    struct pool pool;
    struct ring ring = {0};
    struct frame_piece piece[2];
    (void)state;
    pool_open(&pool, &test_memory, 0);
    assert_int_equal(ring_grow(&ring, &pool, 0, 0), 0);
    assert_null(ring.data);
    ring_write_at(&ring, 0, NULL, 0);
    ring_read_at(&ring, 0, NULL, 0);
    ring_consume(&ring, 0);
    ring_append(&ring, 0);
    assert_int_equal(ring_pieces(&ring, 0, 0, piece), 0);
    ring_release(&ring, &pool);
    assert_int_equal(pool.used_bytes, 0);
}

static void test_without_memory_nothing_changes(void **state)
{
    struct pool pool;
    struct ring ring = {0};
    char text[6];
    (void)state;
    pool_open(&pool, &test_memory, 0);
    allocations_left = 1;
    assert_int_equal(ring_grow(&ring, &pool, 10, 0), 0);
    ring_write_at(&ring, 0, "hello", 6);
    ring_append(&ring, 6);
    assert_int_equal(ring_grow(&ring, &pool, 1000, 6), -1);
    assert_int_equal(ring_grow(&ring, &pool, UINT32_MAX, 6), -1);
    assert_int_equal(ring.capacity, 64);
    assert_int_equal(ring.used, 6);
    ring_read_at(&ring, 0, text, 6);
    assert_string_equal(text, "hello");
    allocations_left = -1;
    ring_release(&ring, &pool);
}

static void test_gap_survives_growth_and_wrap(void **state)
{
    struct pool pool;
    struct ring ring = {0};
    char text[32] = {0};
    (void)state;
    pool_open(&pool, &test_memory, 0);
    ring_grow(&ring, &pool, 64, 0);
    ring_append(&ring, 60);
    ring_consume(&ring, 60);              /* the head stands 4 before the end */
    ring_write_at(&ring, 10, "later", 5); /* beyond a gap, behind the wrap */
    assert_int_equal(ring_grow(&ring, &pool, 200, 15), 0);
    assert_int_equal(ring.capacity, 256);
    ring_write_at(&ring, 0, "and now,  ", 10); /* fills it */
    ring_append(&ring, 15);
    ring_read_at(&ring, 0, text, 15);
    assert_string_equal(text, "and now,  later");
    ring_release(&ring, &pool);
    assert_int_equal(pool.used_bytes, 0);
}

static void test_pieces_split_at_the_end_of_memory(void **state)
{
    static const struct {
        uint32_t offset, size;
        unsigned pieces;
        size_t first;
    } rows[] = {
        {0, 1, 1, 1}, {0, 4, 1, 4}, {0, 5, 2, 4}, {3, 2, 2, 1}, {4, 10, 1, 10}, {0, 64, 2, 4},
    };
    struct pool pool;
    struct ring ring = {0};
    struct frame_piece piece[2];
    (void)state;
    pool_open(&pool, &test_memory, 0);
    ring_grow(&ring, &pool, 64, 0);
    ring_append(&ring, 60);
    ring_consume(&ring, 60);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(ring_pieces(&ring, rows[i].offset, rows[i].size, piece), rows[i].pieces);
        assert_int_equal(piece[0].size, rows[i].first);
        if (rows[i].pieces == 2) {
            assert_ptr_equal(piece[1].data, ring.data);
            assert_int_equal(piece[0].size + piece[1].size, rows[i].size);
        }
    }
    ring_release(&ring, &pool);
}

/* The model: the bytes behind head as an array, known[] telling which were ever written. */
enum { MODEL_MAX = 20000 };
static uint8_t model[MODEL_MAX];
static uint8_t known[MODEL_MAX];

static void check_against_model(const struct ring *ring)
{
    static uint8_t copy[MODEL_MAX];
    struct frame_piece piece[2];
    ring_read_at(ring, 0, copy, ring->capacity);
    for (uint32_t i = 0; i < ring->capacity; i++)
        if (known[i])
            assert_int_equal(copy[i], model[i]);
    unsigned pieces = ring_pieces(ring, 0, ring->used, piece);
    size_t at = 0;
    for (unsigned i = 0; i < pieces; at += piece[i++].size)
        for (size_t j = 0; j < piece[i].size; j++)
            if (known[at + j])
                assert_int_equal(piece[i].data[j], model[at + j]);
    assert_int_equal(at, ring->used);
}

static void test_against_model(void **state)
{
    enum { STEPS = 60000 };
    struct pool pool;
    struct ring ring = {0};
    uint8_t bytes[300];
    srand(7);
    (void)state;
    pool_open(&pool, &test_memory, 65536);
    for (int step = 0; step < STEPS; step++) {
        uint32_t size = (uint32_t)rand() % sizeof bytes;
        uint32_t offset = (uint32_t)rand() % 500 * (rand() % 50 == 0 ? 30 : 1);
        switch (rand() % 4) {
        case 0: /* data anywhere: grow for it, keeping all that was written */
            assert_int_equal(ring_grow(&ring, &pool, offset + size, ring.capacity), 0);
            for (uint32_t i = 0; i < size; i++)
                bytes[i] = model[offset + i] = (uint8_t)rand();
            memset(known + offset, 1, size);
            ring_write_at(&ring, offset, bytes, size);
            break;
        case 1: /* what stands behind the bytes in use comes into use */
            size = size < ring.capacity - ring.used ? size : ring.capacity - ring.used;
            ring_append(&ring, size);
            break;
        case 2:
            size = size < ring.used ? size : ring.used;
            ring_consume(&ring, size);
            memmove(model, model + size, MODEL_MAX - size);
            memmove(known, known + size, MODEL_MAX - size);
            memset(known + MODEL_MAX - size, 0, size);
            /* the ring's own memory wraps: what was consumed may be overwritten */
            memset(known + ring.capacity - size, 0, size);
            break;
        default:
            if (rand() % 200 == 0) {
                ring_release(&ring, &pool);
                memset(known, 0, sizeof known);
                assert_int_equal(pool.used_bytes, 0);
            }
        }
        if (step % 16 == 0 && ring.capacity)
            check_against_model(&ring);
    }
    ring_release(&ring, &pool);
    pool_close(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_ring_holds_no_memory),
        cmocka_unit_test(test_without_memory_nothing_changes),
        cmocka_unit_test(test_gap_survives_growth_and_wrap),
        cmocka_unit_test(test_pieces_split_at_the_end_of_memory),
        cmocka_unit_test(test_against_model),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
