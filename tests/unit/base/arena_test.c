#include "base/arena.h"

#include "death.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN
#endif
#endif

static int begin(void **state)
{
    static struct arena a;
    arena_init(&a);
    *state = &a;
    return 0;
}

static int end(void **state)
{
    arena_release(*state);
    return 0;
}

static void pieces_are_aligned_and_do_not_overlap(void **state)
{
    struct arena *a = *state;
    uint8_t *pieces[400];
    for (unsigned i = 0; i < 400; i++) {
        pieces[i] = arena_alloc(a, i * 7);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)(i & 0xff), i * 7);
    }
    for (unsigned i = 0; i < 400; i++)
        for (unsigned j = 0; j < i * 7; j++)
            assert_int_equal(pieces[i][j], i & 0xff);
}

static void empty_pieces_differ(void **state)
{
    assert_ptr_not_equal(arena_alloc(*state, 0), arena_alloc(*state, 0));
}

static void zalloc_gives_zeros_where_others_wrote(void **state)
{
    struct arena *a = *state;
    memset(arena_alloc(a, 1000), 0xaa, 1000);
    arena_reset(a);
    const uint8_t *p = arena_zalloc(a, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(p[i], 0);
}

static void a_copy_ends_with_nul_that_its_length_does_not_count(void **state)
{
    struct bytes copy = arena_copy(*state, bytes_str("abc"));
    assert_int_equal(copy.len, 3);
    assert_string_equal((const char *)copy.data, "abc");
    assert_string_equal(arena_strdup(*state, BYTES_NONE), "");
}

static void printf_takes_any_length(void **state)
{
    char *text = arena_printf(*state, "%d-%0*d", 7, 20000, 5);
    assert_int_equal(strlen(text), 20002);
    assert_memory_equal(text, "7-000", 5);
    assert_int_equal(text[20001], '5');
    assert_string_equal(arena_printf(*state, "%s", ""), "");
}

static void rewinding_frees_what_came_after_and_keeps_what_came_before(void **state)
{
    struct arena *a = *state;
    char *before = arena_strdup(a, bytes_str("before"));
    struct arena_mark mark = arena_mark(a);
    size_t used = a->used_bytes;
    for (int i = 0; i < 50; i++)
        memset(arena_alloc(a, 1000), 0xaa, 1000);
    memset(arena_alloc(a, 100000), 0xaa, 100000);
    arena_rewind(a, mark);
    assert_int_equal(a->used_bytes, used);
    assert_string_equal(before, "before");
    assert_ptr_equal(a->blocks, mark.block);
    memset(arena_alloc(a, 5000), 0xaa, 5000);
    assert_string_equal(before, "before");
}

static void rewinding_to_a_mark_behind_a_big_piece_keeps_it(void **state)
{
    struct arena *a = *state;
    char *small = arena_strdup(a, bytes_str("small"));
    char *big = arena_zalloc(a, 50000);
    struct arena_mark mark = arena_mark(a);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++)
            memset(arena_alloc(a, 900), 0xaa, 900);
        arena_rewind(a, mark);
    }
    assert_string_equal(small, "small");
    for (int i = 0; i < 50000; i++)
        assert_int_equal(big[i], 0);
    /* What is free now is behind the small piece, not in the big one. */
    memset(arena_alloc(a, 1500), 0xaa, 1500);
    assert_int_equal(big[49999], 0);
    assert_string_equal(small, "small");
}

static void rewinding_to_the_beginning_frees_all(void **state)
{
    struct arena *a = *state;
    struct arena_mark mark = arena_mark(a);
    memset(arena_alloc(a, 3000), 1, 3000);
    arena_rewind(a, mark);
    assert_null(a->blocks);
    memset(arena_alloc(a, 100), 1, 100);
    assert_int_equal(a->used_bytes, 112);
}

static void a_reset_arena_has_nothing_in_use_and_works_on(void **state)
{
    struct arena *a = *state;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 100; i++)
            memset(arena_alloc(a, 500), round, 500);
        memset(arena_alloc(a, 90000), round, 90000);
        assert_int_equal(a->used_bytes, 100 * 512 + 90000);
        arena_reset(a);
        assert_int_equal(a->used_bytes, 0);
    }
    arena_release(a);
    assert_null(a->blocks);
}

#ifdef HAS_ASAN
static void write_past_the_end(void)
{
    struct arena a;
    arena_init(&a);
    volatile char *p = arena_alloc(&a, 24);
    arena_alloc(&a, 24);
    p[24] = 'x';
}

static void an_overrun_is_seen(void **state)
{
    (void)state;
    char said[4096];
    dies(write_past_the_end, said, sizeof(said));
    assert_non_null(strstr(said, "heap-buffer-overflow"));
}
#else
static void what_was_rewound_is_handed_out_again(void **state)
{
    struct arena *a = *state;
    arena_alloc(a, 10);
    struct arena_mark mark = arena_mark(a);
    void *first = arena_alloc(a, 100);
    arena_alloc(a, 50000);
    arena_rewind(a, mark);
    assert_ptr_equal(arena_alloc(a, 100), first);
}

static void reset_keeps_one_block_of_ordinary_size(void **state)
{
    struct arena *a = *state;
    for (int i = 0; i < 100; i++)
        arena_alloc(a, 1000);
    arena_alloc(a, 90000);
    arena_reset(a);
    struct arena_block *kept = a->blocks;
    assert_non_null(kept);
    assert_in_range(a->end - a->at, 8192 - 64, 8192);
    arena_alloc(a, 1000);
    assert_ptr_equal(a->blocks, kept);
}
#endif

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(pieces_are_aligned_and_do_not_overlap),
        TEST(empty_pieces_differ),
        TEST(zalloc_gives_zeros_where_others_wrote),
        TEST(a_copy_ends_with_nul_that_its_length_does_not_count),
        TEST(printf_takes_any_length),
        TEST(rewinding_frees_what_came_after_and_keeps_what_came_before),
        TEST(rewinding_to_a_mark_behind_a_big_piece_keeps_it),
        TEST(rewinding_to_the_beginning_frees_all),
        TEST(a_reset_arena_has_nothing_in_use_and_works_on),
#ifdef HAS_ASAN
        TEST(an_overrun_is_seen),
#else
        TEST(what_was_rewound_is_handed_out_again),
        TEST(reset_keeps_one_block_of_ordinary_size),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
