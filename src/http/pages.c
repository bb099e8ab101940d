/* pages.c - paths and their responses; see inside.h. */
#include "http/inside.h"

#include <limits.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/clock.h"
#include "base/mem.h"

enum { KEPT_US = 200 * 1000, DIGESTS_US = 1000 * 1000 };

static const char TEXT[] = "text/plain; charset=utf-8";
/* For everything but the dashboard: whatever a browser makes of it, it may load and run nothing. */
static const char NOTHING[] = "default-src 'none'; frame-ancestors 'none'";

/* ---- responses ---------------------------------------------------------------------- */

static void add_headers(struct MHD_Response *r, const char *type, const char *policy)
{
    const char *const headers[][2] = {
        { MHD_HTTP_HEADER_CONTENT_TYPE, type }, { MHD_HTTP_HEADER_CACHE_CONTROL, "no-store" },
        { "Content-Security-Policy", policy },  { "X-Content-Type-Options", "nosniff" },
        { "Referrer-Policy", "no-referrer" },   { "Cross-Origin-Resource-Policy", "same-origin" },
    };
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        must(MHD_add_response_header(r, headers[i][0], headers[i][1]) == MHD_YES);
}

/* Gives `text` to the response. */
static struct MHD_Response *respond(char *text, size_t len, const char *type)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
    must(r != NULL);
    add_headers(r, type, NOTHING);
    return r;
}

static struct MHD_Response *respond_line(const char *line)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(line), (void *)(uintptr_t)line,
                                                             MHD_RESPMEM_MUST_COPY);
    must(r != NULL);
    add_headers(r, TEXT, NOTHING);
    return r;
}

/* A stream into memory. */
struct printed {
    char *text;
    size_t len;
    FILE *to;
};

static FILE *print_start(struct printed *p)
{
    *p = (struct printed){ .to = NULL };
    p->to = open_memstream(&p->text, &p->len);
    must(p->to != NULL);
    return p->to;
}

static struct MHD_Response *print_end(struct printed *p, const char *type)
{
    must(fclose(p->to) == 0);
    return respond(p->text, p->len, type);
}

/* ---- the dashboard ------------------------------------------------------------------ */

/* The source expression 'sha256-...' for what stands between the two tags; false: not there. */
static bool hash_between(const char *open, const char *close, char out[64])
{
    const char *page = (const char *)dashboard_html;
    const char *from = memmem(page, dashboard_html_len, open, strlen(open));
    if (from == NULL)
        return false;
    from += strlen(open);
    const char *to = memmem(from, (size_t)(page + dashboard_html_len - from), close, strlen(close));
    if (to == NULL)
        return false;
    unsigned char sum[SHA256_DIGEST_LENGTH], base64[48];
    SHA256((const unsigned char *)from, (size_t)(to - from), sum);
    EVP_EncodeBlock(base64, sum, sizeof sum);
    snprintf(out, 64, "'sha256-%s'", (const char *)base64);
    return true;
}

static struct MHD_Response *make_dashboard(void)
{
    char script[64], style[64], policy[400];
    must(hash_between("<script>", "</script>", script) &&
         hash_between("<style>", "</style>", style));
    snprintf(policy, sizeof policy,
             "default-src 'none'; script-src %s; style-src %s; connect-src 'self'; img-src data:; "
             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
             script, style);
    struct MHD_Response *r = MHD_create_response_from_buffer(
        dashboard_html_len, (void *)(uintptr_t)dashboard_html, MHD_RESPMEM_PERSISTENT);
    must(r != NULL);
    add_headers(r, "text/html; charset=utf-8", policy);
    return r;
}

/* ---- readiness ---------------------------------------------------------------------- */

bool http_is_ready(const struct http *h, FILE *why)
{
    const struct topology *t = monitor_topology(h->host.monitor(h->host.arg));
    bool ready = true;
    if (h->host.is_stopping(h->host.arg)) {
        ready = false;
        if (why != NULL)
            fputs("volvox is stopping\n", why);
    }
    for (unsigned i = 0; i < t->n_groups; i++) {
        struct fault fault;
        if (topology_pick(t, i, PICK_PRIMARY, 0, NULL, 0, &fault) != NULL)
            continue;
        ready = false;
        if (why != NULL)
            fprintf(why, "%s\n", fault.text);
    }
    return ready;
}

/* ---- what was printed a moment ago -------------------------------------------------- */

static bool is_fresh(uint64_t made_us, uint64_t for_us)
{
    return made_us != 0 && clock_us() - made_us < for_us;
}

const struct digest_rows *http_digests(struct http *h)
{
    if (is_fresh(h->digests_us, DIGESTS_US))
        return &h->digests;
    digest_rows_release(&h->digests);
    digests_collect(h->counted, h->n_counted, &h->digests);
    h->digests_us = clock_us();
    return &h->digests;
}

static void forget(struct kept *k)
{
    if (k->response != NULL)
        MHD_destroy_response(k->response);
    *k = (struct kept){ .response = NULL };
}

static void keep(struct kept *k, struct MHD_Response *r)
{
    forget(k);
    *k = (struct kept){ .response = r, .made_us = clock_us() };
}

static struct answer kept_answer(struct kept *k)
{
    return (struct answer){ .response = k->response, .status = MHD_HTTP_OK, .is_kept = true };
}

/* ---- paths -------------------------------------------------------------------------- */

static struct answer line(unsigned status, const char *words)
{
    return (struct answer){ .response = respond_line(words), .status = status };
}

static struct answer metrics(struct http *h)
{
    struct printed p;
    if (!is_fresh(h->metrics.made_us, KEPT_US)) {
        metrics_print(h, print_start(&p));
        keep(&h->metrics, print_end(&p, "text/plain; version=0.0.4; charset=utf-8"));
    }
    return kept_answer(&h->metrics);
}

static struct answer data(struct http *h, const char *by)
{
    enum digest_order order = BY_TIME;
    struct printed p;
    if (by != NULL && !digest_order_parse(by, &order))
        return line(MHD_HTTP_BAD_REQUEST, "there is no such column to order by\n");
    if (!is_fresh(h->data[order].made_us, KEPT_US)) {
        data_print(h, order, print_start(&p));
        keep(&h->data[order], print_end(&p, "application/json"));
    }
    return kept_answer(&h->data[order]);
}

static struct answer readiness(struct http *h)
{
    struct printed p;
    FILE *to = print_start(&p);
    bool ready = http_is_ready(h, to);
    if (ready)
        fputs("ready\n", to);
    return (struct answer){
        .response = print_end(&p, TEXT),
        .status = ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
    };
}

struct answer page_answer(struct http *h, const char *path, const char *by)
{
    if (strcmp(path, "/metrics") == 0)
        return metrics(h);
    if (strcmp(path, "/data.json") == 0)
        return data(h, by);
    /* The control loop runs, or nobody would answer. */
    if (strcmp(path, "/healthz") == 0)
        return line(MHD_HTTP_OK, "ok\n");
    if (strcmp(path, "/readyz") == 0)
        return readiness(h);
    if (strcmp(path, "/") == 0)
        return (struct answer){ .response = h->dashboard, .status = MHD_HTTP_OK, .is_kept = true };
    return line(MHD_HTTP_NOT_FOUND,
                "not found; there are /, /metrics, /healthz, /readyz and /data.json\n");
}

struct answer page_refuse_method(void)
{
    struct answer a = line(MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    must(MHD_add_response_header(a.response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES);
    return a;
}

/* ---- life --------------------------------------------------------------------------- */

void pages_init(struct http *h)
{
    h->started_us = clock_wall_us();
    h->n_counted = h->host.n_workers + 1;
    h->counted = mem_alloc(h->n_counted * sizeof *h->counted);
    for (unsigned i = 0; i < h->host.n_workers; i++)
        h->counted[i] = h->host.workers[i];
    h->counted[h->host.n_workers] = h->host.control;
    h->dashboard = make_dashboard();
}

void pages_release(struct http *h)
{
    MHD_destroy_response(h->dashboard);
    forget(&h->metrics);
    for (unsigned i = 0; i < DIGEST_ORDERS; i++)
        forget(&h->data[i]);
    digest_rows_release(&h->digests);
    mem_free(h->counted);
}
