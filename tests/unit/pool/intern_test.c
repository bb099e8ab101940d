/* Equal things are the same pointer, from any thread, and gone with the last reference. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>

#include "base/mem.h"
#include "pool/inside.h"

struct thing {
    struct interned in;
    char key[8];
};

static atomic_int made, freed;

static void free_thing(struct interned *in)
{
    atomic_fetch_add(&freed, 1);
    mem_free(container_of(in, struct thing, in));
}

static struct intern_table things = INTERN_TABLE(free_thing);

static struct interned *make_thing(void *arg, struct bytes key)
{
    struct thing *x = mem_zalloc(sizeof *x);
    (void)arg;
    must(key.len <= sizeof x->key);
    memcpy(x->key, key.data, key.len);
    x->in.key = bytes_of(x->key, key.len);
    atomic_fetch_add(&made, 1);
    return &x->in;
}

static struct interned *get(const char *key)
{
    return intern_get(&things, bytes_str(key), make_thing, NULL);
}

static int begin(void **state)
{
    (void)state;
    atomic_store(&made, 0);
    atomic_store(&freed, 0);
    return 0;
}

static void equal_keys_are_one_thing(void **state)
{
    (void)state;
    struct interned *a = get("a"), *again = get("a"), *b = get("b");
    assert_ptr_equal(a, again);
    assert_ptr_not_equal(a, b);
    assert_int_equal(atomic_load(&made), 2);
    intern_drop(a);
    intern_drop(again);
    intern_drop(b);
}

static void the_last_reference_frees(void **state)
{
    (void)state;
    struct interned *a = get("a");
    intern_take(a);
    intern_drop(a);
    assert_int_equal(atomic_load(&freed), 0);
    intern_drop(a);
    assert_int_equal(atomic_load(&freed), 1);
    assert_int_equal(things.map.count, 0);
}

static void what_was_freed_is_made_anew(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        intern_drop(get("a"));
    assert_int_equal(atomic_load(&made), 3);
    assert_int_equal(atomic_load(&freed), 3);
}

/* Threads get, hold for a moment and drop few keys, so that last drops and gets meet. */
static void *churn(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    struct interned *held[4] = { NULL };
    for (int i = 0; i < 50000; i++) {
        seed = seed * 1103515245 + 12345;
        char key[2] = { (char)('a' + (seed >> 16) % 3), '\0' };
        struct interned **slot = &held[(seed >> 20) % 4];
        if (*slot != NULL)
            intern_drop(*slot);
        *slot = (seed >> 24) % 4 != 0 ? get(key) : NULL;
        if (*slot != NULL && (*slot)->key.data[0] != (uint8_t)key[0])
            return &things;
    }
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        if (held[i] != NULL)
            intern_drop(held[i]);
    return NULL;
}

static void threads_may_meet_at_the_last_reference(void **state)
{
    pthread_t threads[4];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *trouble;
        pthread_join(threads[i], &trouble);
        assert_null(trouble);
    }
    assert_int_equal(atomic_load(&made), atomic_load(&freed));
    assert_int_equal(things.map.count, 0);
    assert_true(atomic_load(&made) > 0);
}

/* The same through what is built on it: a text refers to a state, each with a table of its own. */
static void *churn_texts(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        struct state *s = state_at_login(i % 2 ? 45 : 8, 45);
        struct stmt_text *x =
            stmt_text_get(i % 3 ? BYTES_LITERAL("one") : BYTES_LITERAL("two"), s, 0);
        state_drop(s);
        if (x->state != s)
            return arg;
        stmt_text_drop(x);
    }
    return NULL;
}

static void texts_and_their_states_go_together(void **state)
{
    pthread_t threads[4];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn_texts, &things), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *trouble;
        pthread_join(threads[i], &trouble);
        assert_null(trouble);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(equal_keys_are_one_thing, begin),
        cmocka_unit_test_setup(the_last_reference_frees, begin),
        cmocka_unit_test_setup(what_was_freed_is_made_anew, begin),
        cmocka_unit_test_setup(threads_may_meet_at_the_last_reference, begin),
        cmocka_unit_test_setup(texts_and_their_states_go_together, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
