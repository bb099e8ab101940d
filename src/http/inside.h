/*
 * inside.h - http's own: visitors, pages, and what they are printed from.
 *
 *   listener ─accepted─► MHD_add_connection ─► on_request ─► page (kept for a moment) ─► response
 *   MHD's epoll descriptor and its timeout ─► the control loop ─► MHD_run
 *
 * All on the control thread.
 */
#ifndef HTTP_INSIDE_H
#define HTTP_INSIDE_H

#include "http/http.h"

#include <microhttpd.h>

/* ---- pages.c: from a path to a response --------------------------------------------- */

/* Rows of /data.json's digests by this column, the largest first. */
enum digest_order { BY_TIME, BY_COUNT, BY_ERRORS, BY_ROWS, BY_AVERAGE, BY_MAX, BY_P95, BY_P99,
                    BY_SEEN, DIGEST_ORDERS };

/* Printed once for all who ask within a moment: what visitors can cost the control thread does
 * not grow with how often they ask. */
struct kept {
    struct MHD_Response *response;
    uint64_t made_us;
};

struct http {
    struct http_host host;
    struct worker **counted;      /* the workers, then the control thread: it counts too       */
    unsigned n_counted;
    uint64_t started_us;          /* wall clock                                              */
    /* server.c */
    char *address;                /* as configured; NULL = not listening                     */
    struct listener listener;
    struct MHD_Daemon *daemon;
    ev_io ready;
    ev_timer due;
    struct timeouts visitors;     /* of struct visitor; whose last answer is oldest goes first */
    unsigned n_visitors;
    /* pages.c */
    struct MHD_Response *dashboard;
    struct kept metrics, data[DIGEST_ORDERS];
    struct digest_rows digests;   /* as of digests_us                                        */
    uint64_t digests_us;
};

struct answer {
    struct MHD_Response *response;
    unsigned status;
    bool is_kept;                 /* it is ours; else the caller's, to destroy                */
};
void pages_init(struct http *h);
void pages_release(struct http *h);
/* `by` is the value of ?by=, or NULL. */
struct answer page_answer(struct http *h, const char *path, const char *by);
struct answer page_refuse_method(void);

/* src/http/dashboard.*, made into one file by embed.cmake. */
extern const unsigned char dashboard_html[];
extern const size_t dashboard_html_len;

/* The digests, at most a second old; borrowed until the next call. */
const struct digest_rows *http_digests(struct http *h);
/* May clients be served?  Else false, with one line for each reason in `why` (may be NULL). */
bool http_is_ready(const struct http *h, FILE *why);

/* ---- metrics.c, data.c: what is printed --------------------------------------------- */

void metrics_print(struct http *h, FILE *to);
void data_print(struct http *h, enum digest_order by, FILE *to);
/* False: there is no such order. */
bool digest_order_parse(const char *word, enum digest_order *out);

/* ---- json.c ------------------------------------------------------------------------- */

/* With its quotes; what is not UTF-8 becomes U+FFFD. */
void json_text(FILE *to, struct bytes text);
/* "name": , with a comma in front unless it is the object's first. */
void json_key(FILE *to, bool *is_first, const char *name);

#endif
