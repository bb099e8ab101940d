#include "base/map.h"

#include "base/hash.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

enum { MANY = 5000 };

struct item {
    char key[16];
    bool is_in;
};

static struct item items[MANY];

static int begin(void **state)
{
    static struct map m;
    m = MAP_EMPTY;
    for (int i = 0; i < MANY; i++) {
        snprintf(items[i].key, sizeof(items[i].key), "key%d", i);
        items[i].is_in = false;
    }
    *state = &m;
    return 0;
}

static int end(void **state)
{
    map_release(*state);
    return 0;
}

static struct bytes key_of(const struct item *item)
{
    return bytes_str(item->key);
}

static void an_empty_map_has_nothing(void **state)
{
    struct map *m = *state;
    uint32_t at = 0;
    assert_null(map_get(m, bytes_str("x")));
    assert_null(map_remove(m, bytes_str("x")));
    assert_null(map_next(m, &at));
    assert_null(m->slots);
}

static void what_is_put_is_found_until_it_is_removed(void **state)
{
    struct map *m = *state;
    assert_null(map_put(m, key_of(&items[1]), &items[1]));
    assert_null(map_put(m, key_of(&items[2]), &items[2]));
    assert_ptr_equal(map_get(m, bytes_str("key1")), &items[1]);
    assert_null(map_get(m, bytes_str("key3")));
    assert_null(map_get(m, bytes_str("KEY1")));
    assert_ptr_equal(map_remove(m, bytes_str("key1")), &items[1]);
    assert_null(map_get(m, bytes_str("key1")));
    assert_null(map_remove(m, bytes_str("key1")));
    assert_ptr_equal(map_get(m, bytes_str("key2")), &items[2]);
    assert_int_equal(m->count, 1);
}

static void replacing_gives_the_old_value_and_lets_its_key_go(void **state)
{
    struct map *m = *state;
    struct item *old = malloc(sizeof(*old));
    *old = items[1];
    map_put(m, key_of(old), old);
    assert_ptr_equal(map_put(m, key_of(&items[1]), &items[1]), old);
    free(old);
    assert_int_equal(m->count, 1);
    assert_ptr_equal(map_get(m, bytes_str("key1")), &items[1]);
}

static void the_empty_key_and_keys_with_nul_are_keys(void **state)
{
    struct map *m = *state;
    map_put(m, BYTES_NONE, &items[0]);
    map_put(m, BYTES_LITERAL("a\0b"), &items[1]);
    assert_ptr_equal(map_get(m, bytes_str("")), &items[0]);
    assert_ptr_equal(map_get(m, BYTES_LITERAL("a\0b")), &items[1]);
    assert_null(map_get(m, BYTES_LITERAL("a")));
}

static void assert_map_is_right(const struct map *m)
{
    uint32_t count = 0, walked = 0, at = 0;
    for (int i = 0; i < MANY; i++) {
        void *expected = items[i].is_in ? &items[i] : NULL;
        assert_ptr_equal(map_get(m, key_of(&items[i])), expected);
        count += items[i].is_in;
    }
    for (struct item *item; (item = map_next(m, &at)) != NULL; walked++)
        assert_true(item->is_in);
    assert_int_equal(m->count, count);
    assert_int_equal(walked, count);
}

/* Against the flags in the items, in an order that repeats in every run. */
static void any_order_of_puts_and_removes_comes_out_right(void **state)
{
    struct map *m = *state;
    uint64_t dice = 1;
    for (int step = 0; step < 40000; step++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        /* Few keys at first, so that the table is small and full of runs. */
        struct item *item = &items[(dice >> 33) % (step < 20000 ? 40 : MANY)];
        if (dice >> 32 & 1)
            map_put(m, key_of(item), item), item->is_in = true;
        else
            map_remove(m, key_of(item)), item->is_in = false;
        if (step % 1000 == 0)
            assert_map_is_right(m);
    }
    assert_map_is_right(m);
}

static void a_quarter_at_least_stays_empty(void **state)
{
    struct map *m = *state;
    for (int i = 0; i < MANY; i++) {
        map_put(m, key_of(&items[i]), &items[i]);
        assert_true(m->count * 4 <= m->cap * 3);
        assert_int_equal(m->cap & (m->cap - 1), 0);
    }
    assert_int_equal(m->cap, 8192);
}

static void removing_all_leaves_every_slot_empty(void **state)
{
    struct map *m = *state;
    for (int i = 0; i < MANY; i++)
        map_put(m, key_of(&items[i]), &items[i]);
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(map_remove(m, key_of(&items[i])), &items[i]);
    for (uint32_t i = 0; i < m->cap; i++)
        assert_null(m->slots[i].value);
    assert_int_equal(m->count, 0);
}

static int seed(void **state)
{
    (void)state;
    hash_seed();
    return 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(an_empty_map_has_nothing),
        TEST(what_is_put_is_found_until_it_is_removed),
        TEST(replacing_gives_the_old_value_and_lets_its_key_go),
        TEST(the_empty_key_and_keys_with_nul_are_keys),
        TEST(any_order_of_puts_and_removes_comes_out_right),
        TEST(a_quarter_at_least_stays_empty),
        TEST(removing_all_leaves_every_slot_empty),
    };
    int failed = cmocka_run_group_tests_name("fixed seed", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("random seed", tests, seed, NULL);
}
