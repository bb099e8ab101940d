/* Failed logins by address: who is slowed, who is not, for how long. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>

#include "accounts/accounts.h"

#define SECOND 1000000ull
static const struct throttle_limits limits = { .failures = 5, .window_s = 50, .delay_ms = 1000 };
static struct throttle *throttle;

static int set_up(void **state)
{
    (void)state;
    throttle = throttle_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    throttle_free(throttle);
    return 0;
}

static struct address at(const char *host)
{
    struct address a = { .len = sizeof a.in4 };
    if (inet_pton(AF_INET, host, &a.in4.sin_addr) == 1) {
        a.in4.sin_family = AF_INET;
        return a;
    }
    a = (struct address){ .len = sizeof a.in6 };
    assert_int_equal(inet_pton(AF_INET6, host, &a.in6.sin6_addr), 1);
    a.in6.sin6_family = AF_INET6;
    return a;
}

static bool failed(const char *host, const char *user, uint64_t now_us)
{
    struct address from = at(host);
    return throttle_failed(throttle, &limits, &from, bytes_str(user), now_us);
}

static void succeed(const char *host, const char *user, uint64_t now_us)
{
    struct address from = at(host);
    throttle_succeeded(throttle, &from, bytes_str(user), now_us);
}

static enum throttle_verdict ask(const char *host, const char *user, uint64_t now_us)
{
    struct address from = at(host);
    return throttle_ask(throttle, &limits, &from, bytes_str(user), now_us);
}

static void waited(const char *host)
{
    struct address from = at(host);
    throttle_waited(throttle, &from);
}

/* Asks, and is done with waiting at once. */
static bool is_slow(const char *host, const char *user, uint64_t now_us)
{
    enum throttle_verdict v = ask(host, user, now_us);
    if (v == THROTTLE_WAIT)
        waited(host);
    return v != THROTTLE_PASS;
}

static void make_slow(const char *host, uint64_t now_us)
{
    for (int i = 0; i < 5; i++)
        failed(host, "guess", now_us);
}

static void an_address_that_fails_too_often_is_slowed(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_false(failed("10.0.0.1", "root", SECOND));
        assert_false(is_slow("10.0.0.1", "root", SECOND));
    }
    assert_true(failed("10.0.0.1", "root", SECOND));  /* told once */
    assert_false(failed("10.0.0.1", "root", SECOND));
    assert_true(is_slow("10.0.0.1", "root", SECOND));
    assert_true(is_slow("10.0.0.1", "other", SECOND));
}

static void nobody_else_is_slowed(void **state)
{
    (void)state;
    make_slow("10.0.0.1", SECOND);
    assert_false(is_slow("10.0.0.2", "guess", SECOND));
    assert_false(is_slow("2001:db8::1", "guess", SECOND));
}

static void whoever_has_64_bits_of_ipv6_is_one(void **state)
{
    (void)state;
    make_slow("2001:db8::1", SECOND);
    assert_true(is_slow("2001:db8::ffff:1", "guess", SECOND));
    assert_false(is_slow("2001:db8:0:1::1", "guess", SECOND));
}

static void failures_are_forgotten_over_the_window(void **state)
{
    (void)state;
    make_slow("10.0.0.1", SECOND);
    assert_true(is_slow("10.0.0.1", "x", 5 * SECOND));
    assert_false(is_slow("10.0.0.1", "x", 12 * SECOND)); /* one of five in ten seconds */
    assert_true(failed("10.0.0.1", "x", 12 * SECOND));
    assert_false(is_slow("10.0.0.1", "x", 70 * SECOND));
    for (int i = 0; i < 4; i++)
        assert_false(failed("10.0.0.1", "x", 70 * SECOND));
}

static void a_long_attack_is_forgotten_soon_after_its_end(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++)
        failed("10.0.0.1", "x", SECOND);
    assert_true(is_slow("10.0.0.1", "x", 60 * SECOND));
    assert_false(is_slow("10.0.0.1", "x", 62 * SECOND));
}

static void users_who_have_been_there_before_are_not_slowed_by_others(void **state)
{
    (void)state;
    succeed("10.0.0.1", "app", SECOND);
    make_slow("10.0.0.1", 2 * SECOND);
    assert_false(is_slow("10.0.0.1", "app", 2 * SECOND));
    assert_true(is_slow("10.0.0.1", "new", 2 * SECOND));
    make_slow("10.0.0.2", 2 * SECOND);
    assert_true(is_slow("10.0.0.2", "app", 2 * SECOND)); /* it came from elsewhere */
}

static void they_are_slowed_by_their_own_failures(void **state)
{
    (void)state;
    succeed("10.0.0.1", "app", SECOND);
    make_slow("10.0.0.1", 2 * SECOND);
    for (int i = 0; i < 5; i++)
        failed("10.0.0.1", "app", 2 * SECOND);
    assert_true(is_slow("10.0.0.1", "app", 2 * SECOND));
}

static void a_success_does_not_wash_the_address_clean(void **state)
{
    (void)state;
    make_slow("10.0.0.1", SECOND);
    succeed("10.0.0.1", "mine", SECOND);
    assert_true(is_slow("10.0.0.1", "guess", SECOND));
}

static void after_a_day_nobody_is_known_any_more(void **state)
{
    (void)state;
    succeed("10.0.0.1", "app", SECOND);
    make_slow("10.0.0.1", 100000 * SECOND);
    assert_true(is_slow("10.0.0.1", "app", 100000 * SECOND));
}

static void only_so_many_of_an_address_wait(void **state)
{
    (void)state;
    make_slow("10.0.0.1", SECOND);
    unsigned waiting = 0;
    while (waiting < 1000 && ask("10.0.0.1", "x", SECOND) == THROTTLE_WAIT)
        waiting++;
    assert_int_equal(waiting, 32);
    assert_int_equal(ask("10.0.0.1", "x", SECOND), THROTTLE_REFUSE);
    waited("10.0.0.1");
    assert_int_equal(ask("10.0.0.1", "x", SECOND), THROTTLE_WAIT);
    for (unsigned i = 0; i < 32; i++)
        waited("10.0.0.1");
}

static void without_a_limit_nobody_is_slowed(void **state)
{
    (void)state;
    const struct throttle_limits none = { .failures = 0, .window_s = 60 };
    struct address from = at("10.0.0.1");
    for (int i = 0; i < 1000; i++)
        assert_false(throttle_failed(throttle, &none, &from, BYTES_LITERAL("x"), SECOND));
    assert_int_equal(throttle_ask(throttle, &none, &from, BYTES_LITERAL("x"), SECOND), THROTTLE_PASS);
}

/* Those who wait hold on to their entry, whatever else comes. */
static void many_addresses_take_no_more_room(void **state)
{
    (void)state;
    make_slow("10.0.0.1", SECOND);
    assert_int_equal(ask("10.0.0.1", "x", SECOND), THROTTLE_WAIT);
    for (unsigned i = 0; i < 200000; i++) {
        struct address from = at("11.0.0.0");
        from.in4.sin_addr.s_addr = htonl(0x0B000000u + i);
        throttle_failed(throttle, &limits, &from, BYTES_LITERAL("x"), SECOND + i);
    }
    waited("10.0.0.1");
    assert_true(is_slow("10.0.0.1", "x", 2 * SECOND));
}

static void names_of_any_length_do(void **state)
{
    (void)state;
    char name[1000];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    succeed("10.0.0.1", name, SECOND);
    succeed("10.0.0.1", "", SECOND);
    make_slow("10.0.0.1", SECOND);
    assert_false(is_slow("10.0.0.1", name, SECOND));
    assert_false(is_slow("10.0.0.1", "", SECOND));
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        test(an_address_that_fails_too_often_is_slowed),
        test(nobody_else_is_slowed),
        test(whoever_has_64_bits_of_ipv6_is_one),
        test(failures_are_forgotten_over_the_window),
        test(a_long_attack_is_forgotten_soon_after_its_end),
        test(users_who_have_been_there_before_are_not_slowed_by_others),
        test(they_are_slowed_by_their_own_failures),
        test(a_success_does_not_wash_the_address_clean),
        test(after_a_day_nobody_is_known_any_more),
        test(only_so_many_of_an_address_wait),
        test(without_a_limit_nobody_is_slowed),
        test(many_addresses_take_no_more_room),
        test(names_of_any_length_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
