/* report.c - what operators see of pools and backends; see pool.h. */
#include "pool/inside.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/str.h"

static void copy_client_host(const struct pool *p, char *out, size_t size)
{
    char host[ADDRESS_TEXT_BYTES] = "";
    if (p->client != NULL)
        address_print(&p->client->from, false, host);
    str_copy(out, size, bytes_str(host));
}

static void copy_backend(const struct backend *be, struct backend_row *row, uint64_t now_us)
{
    static const char *const places[] = {
        [BACKEND_OPENING] = "opening", [BACKEND_IDLE] = "idle", [BACKEND_LEASED] = "leased",
        [BACKEND_IN_MAIL] = "lent", [BACKEND_CLOSING] = "closing",
    };
    *row = (struct backend_row){
        .worker = (unsigned)worker_index(be->pool->pools->worker),
        .place = places[be->place],
        .thread_id = be->thread_id,
        .age_us = now_us - be->opened_us,
        .idle_us = be->place == BACKEND_IDLE ? now_us - be->idle_since_us : 0,
        .n_statements = be->statements.count,
        .commands = be->commands,
        .session = be->holder_id,
        .followers = be->n_followers,
        .compression = stream_compression(&be->stream),
    };
    str_copy(row->server, sizeof row->server, bytes_str(be->server->name));
    str_copy(row->user, sizeof row->user, bytes_str(be->pool->account->server_user));
    struct tls_facts tls;
    if (stream_tls(&be->stream, &tls)) {
        str_copy(row->tls, sizeof row->tls, bytes_str(tls.version));
        str_copy(row->cipher, sizeof row->cipher, bytes_str(tls.cipher));
    }
    copy_client_host(be->pool, row->client_host, sizeof row->client_host);
    if (be->state == NULL)
        return;
    str_copy(row->schema, sizeof row->schema, be->state->schema);
    row->n_vars = be->state->n_vars;
    row->state = hash_bytes(be->state->in.key);
}

size_t backends_copy(struct worker *w, struct backend_row *rows, size_t max)
{
    uint64_t now_us = clock_us();
    size_t n = 0;
    list_for_each(link, &worker_pools(w)->all)
        if (n < max)
            copy_backend(list_entry(link, struct backend, all), &rows[n++], now_us);
    return n;
}

size_t pools_copy(struct worker *w, struct pool_row *rows, size_t max)
{
    size_t n = 0;
    uint32_t at = 0;
    for (struct pool *p; n < max && (p = map_next(&worker_pools(w)->by_key, &at)) != NULL; n++) {
        rows[n] = (struct pool_row){
            .worker = (unsigned)worker_index(w),
            .idle = p->n_idle,
            .held = p->n_held,
            .waiting = p->n_taking,
            .fit = p->fit,
        };
        str_copy(rows[n].server, sizeof rows[n].server, bytes_str(p->server->name));
        str_copy(rows[n].user, sizeof rows[n].user, bytes_str(p->account->server_user));
        copy_client_host(p, rows[n].client_host, sizeof rows[n].client_host);
    }
    return n;
}
