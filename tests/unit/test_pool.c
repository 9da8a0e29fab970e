/* The pool against a model of its accounting: sizes, reuse, the cache's limit, failing memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../tapstack/core/pool.h"

/* An allocator that knows what is out, and fails on request. */
struct ledger {
    size_t bytes;
    size_t blocks;
    size_t allocations;
    int failing;
};

static void *ledger_allocate(void *context, size_t size)
{
    struct ledger *ledger = context;
    if (ledger->failing)
        return NULL;
    ledger->bytes += size;
    ledger->blocks++;
    ledger->allocations++;
    return malloc(size);
}

static void ledger_release(void *context, void *block, size_t size)
{
    struct ledger *ledger = context;
    ledger->bytes -= size;
    ledger->blocks--;
    free(block);
}

static struct pool open_pool(struct ledger *ledger, size_t cache_max_bytes)
{
    struct memory memory = {ledger_allocate, ledger_release, ledger};
    struct pool pool;
    pool_open(&pool, &memory, cache_max_bytes);
    return pool;
}

static void test_block_bytes(void **state)
{
    static const struct {
        size_t size, block;
    } rows[] = {
        {0, 64},
        {1, 64},
        {63, 64},
        {64, 64},
        {65, 128},
        {128, 128},
        {129, 256},
        {4096, 4096},
        {4097, 8192},
        {65535, 65536},
        {(1 << 30) - 1, 1 << 30},
        {1 << 30, 1 << 30},
        {((size_t)1 << 30) + 1, 0},
        {SIZE_MAX, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(pool_block_bytes(rows[i].size), rows[i].block);
}

static void test_reuses_a_block_of_the_same_order(void **state)
{
    struct ledger ledger = {0};
    struct pool pool = open_pool(&ledger, 1 << 20);
    (void)state;
    void *block = pool_take(&pool, 100);
    pool_give(&pool, block, 100);
    assert_int_equal(pool.cached_bytes, 128);
    assert_ptr_equal(pool_take(&pool, 128), block);
    assert_int_equal(pool.cached_bytes, 0);
    assert_int_equal(ledger.allocations, 1);
    void *other = pool_take(&pool, 64);
    assert_int_equal(ledger.allocations, 2);
    pool_give(&pool, block, 65);
    pool_give(&pool, other, 0);
    assert_int_equal(pool.used_bytes, 0);
    pool_close(&pool);
    assert_int_equal(ledger.blocks, 0);
}

static void test_failing_memory_changes_nothing(void **state)
{
    struct ledger ledger = {.failing = 1};
    struct pool pool = open_pool(&ledger, 1 << 20);
    (void)state;
    assert_null(pool_take(&pool, 1000));
    assert_null(pool_take(&pool, SIZE_MAX));
    assert_int_equal(pool.used_bytes, 0);
    pool_give(&pool, NULL, 1000);
    assert_int_equal(pool.cached_bytes, 0);
    pool_close(&pool);
}

static void test_cache_limit(void **state)
{
    struct ledger ledger = {0};
    struct pool pool = open_pool(&ledger, 1000);
    void *block[4];
    (void)state;
    for (int i = 0; i < 4; i++)
        block[i] = pool_take(&pool, 256);
    for (int i = 0; i < 4; i++)
        pool_give(&pool, block[i], 256);
    assert_int_equal(pool.cached_bytes, 768);
    assert_int_equal(ledger.bytes, 768);
    void *big = pool_take(&pool, 4096);
    pool_give(&pool, big, 4096);
    assert_int_equal(ledger.bytes, 768);
    pool_close(&pool);
    assert_int_equal(ledger.bytes, 0);
}

/* 100,000 random steps: what is out is what the model says, and no two blocks overlap. */
static void test_against_model(void **state)
{
    enum { HELD = 64, STEPS = 100000, CACHE = 32768 };
    struct ledger ledger = {0};
    struct pool pool = open_pool(&ledger, CACHE);
    struct {
        uint8_t *block;
        size_t size;
        uint8_t mark;
    } held[HELD] = {{0}};
    size_t used = 0;
    unsigned random = 1;
    (void)state;
    for (int step = 0; step < STEPS; step++) {
        random = random * 1103515245 + 12345;
        unsigned i = (random >> 16) % HELD;
        if (held[i].block) {
            size_t bytes = pool_block_bytes(held[i].size);
            assert_int_equal(held[i].block[0], held[i].mark);
            assert_int_equal(held[i].block[bytes - 1], held[i].mark);
            pool_give(&pool, held[i].block, held[i].size);
            held[i].block = NULL;
            used -= bytes;
        } else {
            held[i].size = (random >> 8) % 5000;
            held[i].mark = (uint8_t)step;
            held[i].block = pool_take(&pool, held[i].size);
            size_t bytes = pool_block_bytes(held[i].size);
            memset(held[i].block, held[i].mark, bytes);
            used += bytes;
        }
        assert_int_equal(pool.used_bytes, used);
        assert_int_equal(ledger.bytes, used + pool.cached_bytes);
        assert_in_range(pool.cached_bytes, 0, CACHE);
    }
    for (int i = 0; i < HELD; i++)
        pool_give(&pool, held[i].block, held[i].size);
    pool_close(&pool);
    assert_int_equal(ledger.bytes, 0);
    assert_int_equal(ledger.blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_bytes),
        cmocka_unit_test(test_reuses_a_block_of_the_same_order),
        cmocka_unit_test(test_failing_memory_changes_nothing),
        cmocka_unit_test(test_cache_limit),
        cmocka_unit_test(test_against_model),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
