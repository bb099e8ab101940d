/* An http of its own: workers that only count, a topology that a test makes up. */
#ifndef TESTS_HTTP_HOUSE_H
#define TESTS_HTTP_HOUSE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "http/inside.h"

#include "unit/servers/made_up.h"

/* In place of the real one, which would probe: its object file is not linked. */
struct monitor {
    struct topology *topology;
};
struct topology *monitor_topology(struct monitor *m);
struct topology *monitor_topology(struct monitor *m)
{
    return m->topology;
}

enum { HOUSE_WORKERS = 2 };

struct house {
    struct made_up servers;
    struct monitor monitor;
    struct worker *control, *workers[HOUSE_WORKERS];
    bool is_stopping;
    struct http *http;
};

static struct monitor *house_monitor(void *arg)
{
    struct house *h = arg;
    h->monitor.topology = h->servers.topology;
    return &h->monitor;
}

static bool house_is_stopping(void *arg)
{
    return ((struct house *)arg)->is_stopping;
}

/* So many servers as made_up.h has them: db1 is the primary, the others its replicas. */
static inline void house_open(struct house *h, unsigned servers)
{
    *h = (struct house){ .control = worker_new(-1) };
    stats_worker_init(h->control);
    for (unsigned i = 0; i < HOUSE_WORKERS; i++) {
        h->workers[i] = worker_new((int)i);
        stats_worker_init(h->workers[i]);
    }
    make_up(&h->servers, servers, "");
    rebuild(&h->servers);
    const struct http_host host = {
        .control = h->control,
        .workers = h->workers,
        .n_workers = HOUSE_WORKERS,
        .monitor = house_monitor,
        .is_stopping = house_is_stopping,
        .arg = h,
    };
    h->http = http_new(&host);
}

static inline void house_close(struct house *h)
{
    http_free(h->http);
    for (unsigned i = 0; i < h->servers.n; i++)
        h->servers.states[i].server->open = 0;
    unmake(&h->servers);
    for (unsigned i = 0; i < HOUSE_WORKERS; i++) {
        stats_worker_release(h->workers[i]);
        worker_free(h->workers[i]);
    }
    stats_worker_release(h->control);
    worker_free(h->control);
}

/* http's configuration, made from text. */
static inline struct config *config_with_http(const char *address)
{
    char text[300];
    struct complaints out;
    snprintf(text, sizeof text,
             "[volvox]\nmonitor_user=m\n[http]\naddress=%s\n[group main]\n"
             "[server db1]\naddress=127.0.0.1\n",
             address);
    struct config *c = config_parse(bytes_str(text), "test.ini", &out);
    if (c == NULL)
        fail_msg("%s", out.items[out.count - 1].text);
    complaints_release(&out);
    return c;
}

/* What `print` says, as text; the caller frees. */
#define printed(text, to, ...)                                                                     \
    do {                                                                                           \
        size_t printed_len;                                                                        \
        FILE *to = open_memstream(&(text), &printed_len);                                          \
        assert_non_null(to);                                                                       \
        __VA_ARGS__;                                                                               \
        fclose(to);                                                                                \
    } while (0)

#endif
