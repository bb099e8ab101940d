/* What logins taught: found again, bounded, forgotten, wiped. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "accounts/accounts.h"
#include "base/mem.h"

enum { MOST = 3, LIFETIME_S = 10 };
#define SECOND 1000000ull

static struct account_store store;
static size_t used_before;

static int set_up(void **state)
{
    (void)state;
    used_before = mem_secret_used();
    account_store_init(&store);
    account_store_limits(&store, MOST, LIFETIME_S);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    account_store_release(&store);
    return mem_secret_used() == used_before ? 0 : -1;
}

static struct account *account_of(const char *name, const char *password)
{
    struct secret s;
    secret_from_clear(&s, bytes_str(password));
    struct account *a = account_new(name, name, &s, true);
    secret_release(&s);
    return a;
}

static void put(const char *name, const char *password, uint64_t now_us)
{
    struct account *a = account_of(name, password);
    account_store_put(&store, bytes_str(name), a, now_us);
    account_drop(a);
}

/* The password that is known for the name, "" if none is. */
static const char *known(const char *name, uint64_t now_us)
{
    static char password[32];
    uint64_t proven_us;
    struct account *a = account_store_find(&store, bytes_str(name), now_us, &proven_us);
    snprintf(password, sizeof password, "%s", a != NULL ? a->secret.clear : "");
    account_drop(a);
    return password;
}

static void what_was_learnt_is_found(void **state)
{
    (void)state;
    uint64_t proven_us = 0;
    put("anna", "one", 5 * SECOND);
    struct account *a = account_store_find(&store, BYTES_LITERAL("anna"), 7 * SECOND, &proven_us);
    assert_non_null(a);
    assert_string_equal(a->secret.clear, "one");
    assert_int_equal(proven_us, 5 * SECOND);
    account_drop(a);
    assert_string_equal(known("bert", 7 * SECOND), "");
}

static void the_latest_counts(void **state)
{
    (void)state;
    put("anna", "one", 1 * SECOND);
    put("anna", "two", 2 * SECOND);
    assert_string_equal(known("anna", 2 * SECOND), "two");
    assert_int_equal(account_store_count(&store), 1);
}

static void who_holds_an_account_keeps_it(void **state)
{
    (void)state;
    uint64_t proven_us;
    put("anna", "one", 1 * SECOND);
    struct account *a = account_store_find(&store, BYTES_LITERAL("anna"), SECOND, &proven_us);
    put("anna", "two", 2 * SECOND);
    assert_string_equal(a->secret.clear, "one");
    account_drop(a);
}

static void the_least_recently_used_makes_room(void **state)
{
    (void)state;
    put("a", "1", SECOND);
    put("b", "2", SECOND);
    put("c", "3", SECOND);
    assert_string_equal(known("a", SECOND), "1");
    put("d", "4", SECOND);
    assert_int_equal(account_store_count(&store), MOST);
    assert_string_equal(known("b", SECOND), "");
    assert_string_equal(known("a", SECOND), "1");
    account_store_limits(&store, 1, LIFETIME_S);
    assert_int_equal(account_store_count(&store), 1);
    assert_string_equal(known("a", SECOND), "1");
}

static void what_nobody_asks_for_is_forgotten(void **state)
{
    (void)state;
    put("anna", "one", 1 * SECOND);
    put("bert", "two", 1 * SECOND);
    assert_string_equal(known("anna", 9 * SECOND), "one");
    account_store_sweep(&store, 12 * SECOND);
    assert_int_equal(account_store_count(&store), 1);
    assert_string_equal(known("anna", 18 * SECOND), "one");
    assert_string_equal(known("anna", 29 * SECOND), "");
    assert_int_equal(account_store_count(&store), 0);
}

/* Threads' clocks differ by a loop turn. */
static void a_clock_that_is_behind_forgets_nothing(void **state)
{
    (void)state;
    put("anna", "one", 20 * SECOND);
    account_store_sweep(&store, 20 * SECOND - 1);
    assert_string_equal(known("anna", 20 * SECOND - 1), "one");
}

static void only_what_was_refused_is_forgotten(void **state)
{
    (void)state;
    uint64_t proven_us;
    put("anna", "one", SECOND);
    struct account *old = account_store_find(&store, BYTES_LITERAL("anna"), SECOND, &proven_us);
    put("anna", "two", SECOND);
    account_store_forget(&store, BYTES_LITERAL("anna"), old);
    assert_string_equal(known("anna", SECOND), "two");
    account_drop(old);
    struct account *now = account_store_find(&store, BYTES_LITERAL("anna"), SECOND, &proven_us);
    account_store_forget(&store, BYTES_LITERAL("anna"), now);
    assert_string_equal(known("anna", SECOND), "");
    account_drop(now);
}

static void accounts_are_told_apart_by_name_and_by_what_is_known(void **state)
{
    (void)state;
    struct account *a = account_of("anna", "one"), *same = account_of("anna", "one"),
                   *other = account_of("anna", "two"), *bert = account_of("bert", "one"),
                   *relayed = account_new("anna", "anna", NULL, true);
    assert_memory_equal(a->key, same->key, sizeof a->key);
    assert_memory_not_equal(a->key, other->key, sizeof a->key);
    assert_memory_not_equal(a->key, bert->key, sizeof a->key);
    assert_memory_not_equal(a->key, relayed->key, sizeof a->key);
    assert_true(account_is_usable(a));
    assert_false(account_is_usable(relayed));
    account_drop(a);
    account_drop(same);
    account_drop(other);
    account_drop(bert);
    account_drop(relayed);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        test(what_was_learnt_is_found),
        test(the_latest_counts),
        test(who_holds_an_account_keeps_it),
        test(the_least_recently_used_makes_room),
        test(what_nobody_asks_for_is_forgotten),
        test(a_clock_that_is_behind_forgets_nothing),
        test(only_what_was_refused_is_forgotten),
        test(accounts_are_told_apart_by_name_and_by_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
