/* An admin port without a network: a visitor in a task, and a made-up host. */
#ifndef TESTS_ADMIN_VISIT_H
#define TESTS_ADMIN_VISIT_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "admin/inside.h"

#include <unistd.h>

#include "base/mem.h"

struct house {
    struct worker *control;
    struct config *config;
    struct sessions_shared shared;
    struct monitor *monitor;
    struct admin *admin;
    struct visitor visitor;
    char set_name[100], set_value[100];
    bool was_shut_down;
    void (*body)(struct task *t, struct house *h);
};

static struct config *house_config(void *arg)
{
    return ((struct house *)arg)->config;
}

static struct monitor *house_monitor(void *arg)
{
    return ((struct house *)arg)->monitor;
}

static char *house_reload(void *arg, bool dry_run, struct fault *why)
{
    (void)arg, (void)why;
    return mem_strdup(dry_run ? "" : "weight of db1: 100 -> 5\nand more\n");
}

static bool house_set(void *arg, struct bytes name, struct bytes value, struct fault *why)
{
    struct house *h = arg;
    snprintf(h->set_name, sizeof h->set_name, "%.*s", BYTES_FMT(name));
    snprintf(h->set_value, sizeof h->set_value, "%.*s", BYTES_FMT(value));
    return !bytes_equal(value, BYTES_LITERAL("bad")) || fault_set(why, BLAME_QUERY, 0, "bad value");
}

static char *house_save(void *arg, struct fault *why)
{
    (void)arg;
    fault_set(why, BLAME_QUERY, 0, "no runtime_file");
    return NULL;
}

static void house_shutdown(void *arg, bool graceful, unsigned seconds)
{
    (void)graceful, (void)seconds;
    ((struct house *)arg)->was_shut_down = true;
}

static void house_listeners(void *arg, void (*row)(void *row_arg, const char *name, const char *address,
                                                   unsigned open, unsigned limit, uint64_t accepts,
                                                   uint64_t refusals), void *row_arg)
{
    (void)arg;
    row(row_arg, "main", "127.0.0.1:6033", 3, 100, UINT64_MAX, 0);
    row(row_arg, "other", "/run/volvox.sock", 0, 0, 1, 2);
}

static const char house_ini[] =
    "[volvox]\nmonitor_user = m\nmonitor_password = topsecret\nmonitor_interval = 1h\n"
    "[admin]\nstatement_timeout = 300ms\n"
    "[admin_user admin]\npassword = adminsecret\naccess = full\n"
    "[admin_user looker]\npassword = looksecret\naccess = read\n"
    "[listener main]\n[group main]\n"
    "[server db1]\naddress = 127.0.0.1:1\n[server db-2]\naddress = 127.0.0.1:2\n"
    "[user app]\npassword = appsecret\n";

static inline void house_body(struct task *t, void *arg)
{
    struct house *h = arg;
    h->body(t, h);
    if (h->visitor.sql != NULL)
        database_close(h->visitor.sql);
    statements_close(&h->visitor);
    worker_stop(task_worker(t));
}

static inline void no_publish(void *arg, struct topology *t)
{
    (void)arg;
    topology_drop(t);
}

/* Run a test's body as a visitor's task. */
static inline void visiting(const char *user, void (*body)(struct task *t, struct house *h))
{
    struct house h = { .body = body };
    struct complaints told;
    h.config = config_parse(bytes_str(house_ini), "test.ini", &told);
    complaints_release(&told);
    assert_non_null(h.config);
    h.control = worker_new(-1);
    stats_worker_init(h.control);
    sessions_shared_init(&h.shared, NULL);
    h.monitor = monitor_new(h.control, h.config, no_publish, NULL);
    const struct admin_host host = {
        .control = h.control, .shared = &h.shared, .arg = &h, .config = house_config,
        .monitor = house_monitor, .reload = house_reload, .set = house_set, .save = house_save,
        .shutdown = house_shutdown, .listeners = house_listeners,
    };
    h.admin = admin_new(&host);
    h.visitor.admin = h.admin;
    h.visitor.caps = CAP_PROTOCOL_41 | CAP_DEPRECATE_EOF;
    h.visitor.facts.id = 7;
    list_init(&h.visitor.statements);
    snprintf(h.visitor.facts.user, sizeof h.visitor.facts.user, "%s", user);
    snprintf(h.visitor.facts.host, sizeof h.visitor.facts.host, "here");
    alarm(60);
    assert_true(task_start(h.control, "test", house_body, &h));
    worker_run(h.control);
    alarm(0);
    admin_free(h.admin);
    monitor_stop(h.monitor);
    sessions_shared_release(&h.shared);
    stats_worker_release(h.control);
    worker_free(h.control);
    config_drop(h.config);
}

/* Everything that a statement gives, as "a|b\n" with the columns first, "ok: words", or
 * "code: text"; the caller frees. */
static inline char *said(struct task *t, struct house *h, const char *sql)
{
    struct answer a;
    struct fault why = FAULT_NONE;
    char *text = NULL, space[40];
    size_t len;
    FILE *out = open_memstream(&text, &len);
    answer_init(&a);
    if (!admin_run(t, &h->visitor, bytes_str(sql), NULL, 0, &a, &why)) {
        fprintf(out, "%u: %s", why.code, why.text);
    } else if (!a.has_rows) {
        fprintf(out, "ok: %s", a.info);
    } else {
        for (unsigned i = 0; i < a.n_columns; i++)
            fprintf(out, "%s%s", i > 0 ? "|" : "", a.columns[i].name);
        fputs("\n", out);
        for (size_t row = 0; row < rows_count(&a.rows); row++)
            for (unsigned i = 0; i < a.n_columns; i++) {
                struct bytes v = cell_text(rows_cell(&a.rows, row, i), space, sizeof space);
                fprintf(out, "%.*s%s", v.data != NULL ? (int)v.len : 4, v.data != NULL ? (const char *)v.data : "NULL",
                        i + 1 < a.n_columns ? "|" : "\n");
            }
    }
    fclose(out);
    answer_release(&a);
    return text;
}

#define expect(sql, what)                  \
    do {                                   \
        char *said_ = said(t, h, sql);     \
        assert_string_equal(said_, what);  \
        free(said_);                       \
    } while (0)
#define expect_part(sql, what)                                                \
    do {                                                                      \
        char *said_ = said(t, h, sql);                                        \
        if (strstr(said_, what) == NULL)                                      \
            fail_msg("%s: no \"%s\" in: %s", sql, what, said_);               \
        free(said_);                                                          \
    } while (0)

#endif
