#include "stats/stats.h"

#include "base/clock.h"
#include "base/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* The rings are the process's: each test looks at what it added itself. */
static uint64_t newest_event(void)
{
    size_t n;
    struct happening *h = events_copy(&n);
    uint64_t number = n > 0 ? h[n - 1].number : 0;
    mem_free(h);
    return number;
}

static void an_event_is_kept_with_all_that_was_said(void **state)
{
    (void)state;
    uint64_t before = newest_event(), began = clock_wall_us();
    event_note("server", "db1", "now %s, %u ms behind", "up", 17u);
    size_t n;
    struct happening *h = events_copy(&n);
    assert_true(n > 0);
    const struct happening *last = &h[n - 1];
    assert_int_equal(last->number, before + 1);
    assert_in_range(last->wall_us, began, clock_wall_us());
    assert_string_equal(last->kind, "server");
    assert_string_equal(last->who, "db1");
    assert_string_equal(last->text, "now up, 17 ms behind");
    assert_int_equal(last->session, 0);
    assert_int_equal(last->code, 0);
    mem_free(h);
}

static void a_fault_is_kept_with_its_blame(void **state)
{
    (void)state;
    struct fault why = FAULT_NONE;
    size_t events, n, events_after;
    mem_free(events_copy(&events));
    fault_set(&why, BLAME_SERVER, 2013, "db1 is gone");
    fault_note(&why, "ann", 12);
    fault_note(&why, NULL, 13);
    struct happening *h = faults_copy(&n);
    assert_int_equal(n, 2);
    assert_string_equal(h[0].kind, "server");
    assert_string_equal(h[0].who, "ann");
    assert_string_equal(h[0].text, "db1 is gone");
    assert_int_equal(h[0].code, 2013);
    assert_int_equal(h[0].session, 12);
    assert_string_equal(h[1].who, "");
    mem_free(h);
    mem_free(events_copy(&events_after));
    assert_int_equal(events, events_after);
}

static void what_is_too_long_is_cut(void **state)
{
    (void)state;
    char word[1000];
    memset(word, 'x', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    event_note(word, word, "%s", word);
    size_t n;
    struct happening *h = events_copy(&n);
    assert_int_equal(strlen(h[n - 1].kind), sizeof(h->kind) - 1);
    assert_int_equal(strlen(h[n - 1].who), sizeof(h->who) - 1);
    assert_int_equal(strlen(h[n - 1].text), sizeof(h->text) - 1);
    mem_free(h);
}

static void the_oldest_go_first(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1300; i++)
        event_note("admin", "root", "%u", i);
    size_t n;
    struct happening *h = events_copy(&n);
    assert_int_equal(n, 512);
    for (unsigned i = 0; i < 512; i++) {
        char expected[16];
        snprintf(expected, sizeof(expected), "%u", 1300 - 512 + i);
        assert_string_equal(h[i].text, expected);
        assert_int_equal(h[i].number, h[0].number + i);
    }
    mem_free(h);
}

enum { NOTES = 5000 };

static void *note_many(void *arg)
{
    for (int i = 0; i < NOTES; i++)
        event_note("thread", arg, "%d", i);
    return NULL;
}

static void any_thread_may_note_and_copy(void **state)
{
    (void)state;
    uint64_t before = newest_event();
    pthread_t threads[2];
    char one[] = "one", two[] = "two";
    assert_int_equal(pthread_create(&threads[0], NULL, note_many, one), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, note_many, two), 0);
    for (int i = 0; i < 200; i++) {
        size_t n;
        struct happening *h = events_copy(&n);
        for (size_t at = 1; at < n; at++)
            assert_int_equal(h[at].number, h[at - 1].number + 1);
        mem_free(h);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(newest_event(), before + 2 * NOTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_kept_with_all_that_was_said),
        cmocka_unit_test(a_fault_is_kept_with_its_blame),
        cmocka_unit_test(what_is_too_long_is_cut),
        cmocka_unit_test(the_oldest_go_first),
        cmocka_unit_test(any_thread_may_note_and_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
