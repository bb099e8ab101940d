#include "base/buf.h"

#include "death.h"

#include <pthread.h>

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

enum { LIMIT = 1 << 20 };

/* In place of the system: refuse the next pieces this big. */
static size_t refuse_from = SIZE_MAX;

void *__real_malloc(size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size)
{
    return size >= refuse_from ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return size >= refuse_from ? NULL : __real_realloc(p, size);
}

static int begin(void **state)
{
    static struct buf b;
    b = (struct buf){ 0 };
    *state = &b;
    return 0;
}

static int end(void **state)
{
    buf_release(*state);
    buf_set_total_limit(0);
    refuse_from = SIZE_MAX;
    buf_drop_spares();
    assert_int_equal(buf_total(), 0);
    return 0;
}

static void reserve(struct buf *b, size_t n, size_t limit)
{
    struct fault why = FAULT_NONE;
    if (!buf_reserve(b, n, limit, &why))
        fail_msg("%s", why.text);
    assert_true(buf_room(b) >= n);
}

static void assert_refused(struct buf *b, size_t n, size_t limit)
{
    struct buf before = *b;
    struct fault why = FAULT_NONE;
    assert_false(buf_reserve(b, n, limit, &why));
    assert_int_equal(why.blame, BLAME_OURS);
    assert_int_equal(why.code, 1041);
    assert_non_null(strstr(why.text, "out of memory"));
    assert_memory_equal(b, &before, sizeof(before));
    assert_false(buf_reserve(b, n, limit, NULL));
}

/* Bytes with a pattern by their place since the beginning. */
static void write_pattern(struct buf *b, size_t *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_end(b)[i] = (uint8_t)(*at + i) ^ (uint8_t)((*at + i) >> 8);
    buf_wrote(b, n);
    *at += n;
}

static void assert_pattern(const struct buf *b, size_t at)
{
    for (size_t i = 0; i < buf_len(b); i++)
        if (buf_head(b)[i] != ((uint8_t)(at + i) ^ (uint8_t)((at + i) >> 8)))
            fail_msg("byte %zu of %zu differs", i, buf_len(b));
}

static void an_empty_buf_has_no_memory(void **state)
{
    struct buf *b = *state;
    assert_int_equal(buf_len(b), 0);
    assert_int_equal(buf_bytes(b).len, 0);
    assert_null(buf_head(b));
    assert_int_equal(buf_room(b), 0);
    buf_give_up(b);
    reserve(b, 0, 0);
    assert_null(b->mem);
}

static void what_is_written_is_read_in_order(void **state)
{
    struct buf *b = *state;
    buf_add(b, bytes_str("hello "));
    buf_add(b, BYTES_NONE);
    buf_add(b, bytes_str("world"));
    buf_add_u8(b, '!');
    assert_true(bytes_equal(buf_bytes(b), bytes_str("hello world!")));
    buf_skip(b, 6);
    assert_true(bytes_equal(buf_bytes(b), bytes_str("world!")));
    buf_skip(b, 6);
    assert_int_equal(b->head, 0);
    assert_int_equal(b->tail, 0);
}

static void growing_starts_at_4_kib_and_doubles(void **state)
{
    struct buf *b = *state;
    reserve(b, 1, LIMIT);
    assert_int_equal(b->cap, 4096);
    buf_wrote(b, 4096);
    reserve(b, 1, LIMIT);
    assert_int_equal(b->cap, 8192);
    reserve(b, 20000, LIMIT);
    assert_int_equal(b->cap, 32768);
}

static void sliding_makes_room_without_growing(void **state)
{
    struct buf *b = *state;
    size_t written = 0;
    reserve(b, 4096, LIMIT);
    write_pattern(b, &written, 4096);
    buf_skip(b, 100);
    reserve(b, 100, LIMIT);
    assert_int_equal(b->cap, 4096);
    assert_int_equal(b->head, 0);
    assert_pattern(b, 100);
    reserve(b, 101, LIMIT);
    assert_int_equal(b->cap, 8192);
    assert_pattern(b, 100);
}

static void a_big_buf_grows_rather_than_slide_for_little(void **state)
{
    struct buf *b = *state;
    size_t written = 0;
    reserve(b, 256 * 1024, LIMIT);
    write_pattern(b, &written, 256 * 1024);
    buf_skip(b, 10);
    reserve(b, 10, LIMIT);
    assert_int_equal(b->cap, 512 * 1024);
    assert_pattern(b, 10);
    /* At the limit it has to slide. */
    reserve(b, 262144, 512 * 1024);
    write_pattern(b, &written, buf_room(b));
    buf_skip(b, 5);
    reserve(b, 5, 512 * 1024);
    assert_int_equal(b->cap, 512 * 1024);
    assert_pattern(b, 15);
}

static void a_big_buf_slides_when_growing_is_refused(void **state)
{
    struct buf *b = *state;
    size_t written = 0;
    reserve(b, 256 * 1024, LIMIT);
    write_pattern(b, &written, 256 * 1024);
    buf_skip(b, 10);
    buf_set_total_limit(300 * 1024);
    reserve(b, 10, LIMIT);
    assert_int_equal(b->cap, 256 * 1024);
    assert_int_equal(buf_total(), 256 * 1024);
    assert_pattern(b, 10);
}

static void the_limit_counts_unread_bytes(void **state)
{
    struct buf *b = *state;
    reserve(b, 10000, 10000);
    assert_int_equal(b->cap, 10000);
    buf_wrote(b, 10000);
    assert_refused(b, 1, 10000);
    reserve(b, 0, 10000);
    buf_skip(b, 1);
    reserve(b, 1, 10000);
    assert_refused(b, 2, 10000);
    assert_refused(b, 0, 5000);
}

static void sizes_near_the_end_of_numbers_are_refused(void **state)
{
    struct buf *b = *state;
    buf_add(b, bytes_str("abc"));
    assert_refused(b, SIZE_MAX, SIZE_MAX);
    assert_refused(b, SIZE_MAX - 2, SIZE_MAX);
    assert_refused(b, UINT32_MAX, SIZE_MAX);
    assert_refused(b, (size_t)UINT32_MAX + 1, SIZE_MAX);
    /* These fit; only the system says no. */
    refuse_from = 1 << 30;
    assert_refused(b, UINT32_MAX - 3, UINT32_MAX);
    assert_refused(b, 0x80000000u, UINT32_MAX);
    assert_true(bytes_equal(buf_bytes(b), bytes_str("abc")));
}

/* With bufs that claim more than they have: growing fails before it copies. */
static void doubling_stops_at_32_bits(void **state)
{
    struct buf *b = *state;
    refuse_from = 0;
    *b = (struct buf){ .head = 0, .tail = 0xc0000000u, .cap = 0xc0000000u };
    struct fault why = FAULT_NONE;
    assert_false(buf_reserve(b, 0x30000000u, UINT32_MAX, &why));
    assert_non_null(strstr(why.text, "refuses 4294967295 bytes"));
    *b = (struct buf){ 0 };
}

static void refused_memory_is_a_fault_and_changes_nothing(void **state)
{
    struct buf *b = *state;
    size_t written = 0;
    reserve(b, 4096, LIMIT);
    write_pattern(b, &written, 4096);
    refuse_from = 8192;
    assert_refused(b, 1, LIMIT);
    buf_skip(b, 7);
    assert_refused(b, 100, LIMIT);
    assert_int_equal(buf_total(), 4096);
    assert_pattern(b, 7);
}

static void the_process_limit_holds_for_all_bufs_together(void **state)
{
    struct buf *b = *state, other = { 0 };
    buf_set_total_limit(16384);
    reserve(b, 8192, LIMIT);
    reserve(&other, 8192, LIMIT);
    assert_int_equal(buf_total(), 16384);
    assert_refused(b, 8193, LIMIT);
    /* What we choose ourselves gets through, and counts. */
    buf_wrote(b, 8192);
    buf_add_u8(b, 0);
    assert_int_equal(buf_total(), 24576);
    assert_refused(&other, 8193, LIMIT);
    buf_release(b);
    buf_drop_spares();
    assert_int_equal(buf_total(), 8192);
    reserve(b, 8192, LIMIT);
    buf_release(&other);
}

static void giving_up_frees_only_what_nobody_has_to_read(void **state)
{
    struct buf *b = *state;
    buf_add_u8(b, 'x');
    buf_give_up(b);
    assert_int_equal(buf_len(b), 1);
    buf_skip(b, 1);
    assert_non_null(b->mem);
    buf_give_up(b);
    assert_null(b->mem);
    buf_drop_spares();
    assert_int_equal(buf_total(), 0);
}

/* (With sanitizers nothing is kept.) */
static void a_block_given_up_serves_the_next_buf(void **state)
{
    struct buf *b = *state, other = { 0 };
    buf_add_u8(b, 'x');
    buf_add_u8(&other, 'y');
    buf_release(b);
    size_t total = buf_total();
    refuse_from = total == 2 * 4096 ? 0 : SIZE_MAX;
    reserve(b, 4096, LIMIT);
    assert_int_equal(buf_len(b), 0);
    assert_int_equal(buf_room(b), 4096);
    assert_int_equal(buf_total(), 2 * 4096);
    buf_release(&other);
}

static void few_blocks_are_kept(void **state)
{
    struct buf many[200] = { { 0 } };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        buf_add_u8(&many[i], 0);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        buf_release(&many[i]);
    assert_in_range(buf_total(), 0, 64 * 4096);
    buf_drop_spares();
    assert_int_equal(buf_total(), 0);
}

static void any_order_of_writes_and_reads_keeps_the_bytes(void **state)
{
    struct buf *b = *state;
    size_t written = 0, read = 0;
    uint64_t dice = 7;
    for (int step = 0; step < 3000; step++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        size_t n = (dice >> 40) % 9000;
        if (dice >> 33 & 1 && n <= 200000 - buf_len(b)) {
            reserve(b, n, 200000);
            write_pattern(b, &written, n);
        } else {
            n = MIN(n, buf_len(b));
            buf_skip(b, n);
            read += n;
        }
        assert_int_equal(buf_len(b), written - read);
        assert_true(b->cap <= 200000);
        if (step % 50 == 0)
            assert_pattern(b, read);
    }
    assert_true(written > 1000000);
}

static void write_past_the_room(void)
{
    struct buf b = { 0 };
    buf_wrote(&b, 1);
}

static void skip_past_the_data(void)
{
    struct buf b = { 0 };
    buf_add_u8(&b, 1);
    buf_skip(&b, 2);
}

static void cursors_can_not_leave_the_memory(void **state)
{
    (void)state;
    char said[512];
    assert_true(dies(write_past_the_room, said, sizeof(said)));
    assert_true(dies(skip_past_the_data, said, sizeof(said)));
}

/* Returns how often it was refused. */
static void *grow_and_release(void *unused)
{
    size_t refused = 0;
    (void)unused;
    for (int i = 0; i < 2000; i++) {
        struct buf b = { 0 };
        for (size_t size = 4096; size <= 65536; size *= 2) {
            refused += !buf_reserve(&b, size, LIMIT, NULL);
            must(buf_total() <= 100000 + 4 * 65536);
        }
        buf_release(&b);
    }
    return (void *)refused;
}

static void threads_count_together(void **state)
{
    (void)state;
    pthread_t threads[4];
    buf_set_total_limit(100000);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, grow_and_release, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(buf_total(), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(an_empty_buf_has_no_memory),
        TEST(what_is_written_is_read_in_order),
        TEST(growing_starts_at_4_kib_and_doubles),
        TEST(sliding_makes_room_without_growing),
        TEST(a_big_buf_grows_rather_than_slide_for_little),
        TEST(a_big_buf_slides_when_growing_is_refused),
        TEST(the_limit_counts_unread_bytes),
        TEST(sizes_near_the_end_of_numbers_are_refused),
        TEST(doubling_stops_at_32_bits),
        TEST(refused_memory_is_a_fault_and_changes_nothing),
        TEST(the_process_limit_holds_for_all_bufs_together),
        TEST(giving_up_frees_only_what_nobody_has_to_read),
        TEST(a_block_given_up_serves_the_next_buf),
        TEST(few_blocks_are_kept),
        TEST(any_order_of_writes_and_reads_keeps_the_bytes),
        TEST(cursors_can_not_leave_the_memory),
        TEST(threads_count_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
