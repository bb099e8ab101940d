/* Which response a path gets. */
#include "unit/http/house.h"

#include "base/clock.h"

static const char *header(struct answer a, const char *name)
{
    const char *value = MHD_get_response_header(a.response, name);
    return value != NULL ? value : "";
}

static void drop(struct answer a)
{
    if (!a.is_kept)
        MHD_destroy_response(a.response);
}

static unsigned status_of(struct house *h, const char *path, const char *by)
{
    struct answer a = page_answer(h->http, path, by);
    drop(a);
    return a.status;
}

static void every_path_has_its_status(void **state)
{
    struct house h;
    (void)state;
    house_open(&h, 2);
    assert_int_equal(status_of(&h, "/", NULL), 200);
    assert_int_equal(status_of(&h, "/metrics", NULL), 200);
    assert_int_equal(status_of(&h, "/healthz", NULL), 200);
    assert_int_equal(status_of(&h, "/readyz", NULL), 200);
    assert_int_equal(status_of(&h, "/data.json", NULL), 200);
    assert_int_equal(status_of(&h, "/data.json", "p95"), 200);
    assert_int_equal(status_of(&h, "/data.json", "drop table"), 400);
    assert_int_equal(status_of(&h, "/metrics/", NULL), 404);
    assert_int_equal(status_of(&h, "/../etc/passwd", NULL), 404);
    assert_int_equal(status_of(&h, "", NULL), 404);
    house_close(&h);
}

static void readiness_follows_the_primary_and_the_end(void **state)
{
    struct house h;
    (void)state;
    house_open(&h, 2);
    h.servers.states[0].health = HEALTH_DOWN;
    rebuild(&h.servers);
    assert_int_equal(status_of(&h, "/readyz", NULL), 503);
    assert_int_equal(status_of(&h, "/healthz", NULL), 200);
    h.servers.states[0].health = HEALTH_UP;
    rebuild(&h.servers);
    assert_int_equal(status_of(&h, "/readyz", NULL), 200);
    h.is_stopping = true;
    assert_int_equal(status_of(&h, "/readyz", NULL), 503);
    house_close(&h);
}

static void every_response_is_guarded(void **state)
{
    static const char *const paths[] = {
        "/", "/metrics", "/healthz", "/readyz", "/data.json", "/no"
    };
    struct house h;
    (void)state;
    house_open(&h, 1);
    for (size_t i = 0; i <= ARRAY_LEN(paths); i++) {
        struct answer a =
            i < ARRAY_LEN(paths) ? page_answer(h.http, paths[i], NULL) : page_refuse_method();
        assert_string_equal(header(a, "Cache-Control"), "no-store");
        assert_string_equal(header(a, "X-Content-Type-Options"), "nosniff");
        assert_non_null(strstr(header(a, "Content-Security-Policy"), "default-src 'none'"));
        assert_null(strstr(header(a, "Content-Security-Policy"), "unsafe"));
        drop(a);
    }
    house_close(&h);
}

static void the_dashboard_may_run_its_own_script_only(void **state)
{
    struct house h;
    (void)state;
    house_open(&h, 1);
    struct answer a = page_answer(h.http, "/", NULL);
    const char *policy = header(a, "Content-Security-Policy");
    assert_non_null(strstr(policy, "script-src 'sha256-"));
    assert_non_null(strstr(policy, "style-src 'sha256-"));
    assert_non_null(strstr(policy, "connect-src 'self'"));
    assert_null(memmem(dashboard_html, dashboard_html_len, "@SCRIPT@", 8));
    assert_null(memmem(dashboard_html, dashboard_html_len, "innerHTML", 9));
    house_close(&h);
}

static void other_methods_are_told_which_there_are(void **state)
{
    (void)state;
    struct answer a = page_refuse_method();
    assert_int_equal(a.status, 405);
    assert_string_equal(header(a, "Allow"), "GET, HEAD");
    drop(a);
}

static void a_page_is_kept_for_those_who_ask_at_the_same_time(void **state)
{
    struct house h;
    (void)state;
    house_open(&h, 1);
    struct answer first = page_answer(h.http, "/metrics", NULL);
    assert_true(first.is_kept);
    h.http->metrics.made_us = clock_us(); /* however slow this machine is */
    assert_ptr_equal(page_answer(h.http, "/metrics", NULL).response, first.response);
    uint64_t made_us = h.http->metrics.made_us -= 60 * 1000000;
    page_answer(h.http, "/metrics", NULL);
    assert_true(h.http->metrics.made_us > made_us);
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_has_its_status),
        cmocka_unit_test(readiness_follows_the_primary_and_the_end),
        cmocka_unit_test(every_response_is_guarded),
        cmocka_unit_test(the_dashboard_may_run_its_own_script_only),
        cmocka_unit_test(other_methods_are_told_which_there_are),
        cmocka_unit_test(a_page_is_kept_for_those_who_ask_at_the_same_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
