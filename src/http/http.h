/*
 * http.h - for browsers and Prometheus: /metrics, /healthz, /readyz, /, /data.json.
 *
 * libmicrohttpd in the control thread's loop (its epoll descriptor, no threads of its own).
 * Everything served comes from counters that any thread may read, from the present topology
 * and from the digests; nothing waits for a worker.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "servers/servers.h"
#include "stats/stats.h"

struct http_host {
    struct worker *control;
    struct worker *const *workers;
    unsigned n_workers;
    struct monitor *(*monitor)(void *arg);
    bool (*is_stopping)(void *arg);
    void *arg;
};

struct http;
struct http *http_new(const struct http_host *host);
/* Listen as the configuration says ([http]); follow a changed one.  False with `why`. */
bool http_configure(struct http *h, const struct config *c, struct fault *why);
void http_free(struct http *h);

/* docs/metrics.md: every metric with type, labels and help, as Markdown. */
void http_print_markdown(FILE *to);

#endif
