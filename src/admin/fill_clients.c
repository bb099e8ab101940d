/* fill_clients.c - rows about clients, pins and statements; see inside.h. */
#include "admin/inside.h"

#include "base/mem.h"

/* ---- clients ------------------------------------------------------------------------------ */

const struct table_column clients_columns[] = {
    { "id", COLUMN_INT, "what CONNECTION_ID() tells it; for KILL" },
    { "worker", COLUMN_INT, "which worker serves it" },
    { "user", COLUMN_TEXT, "its account; NULL before the login" },
    { "host", COLUMN_TEXT, "where it comes from" },
    { "tls", COLUMN_TEXT, "version of TLS; NULL: in clear" },
    { "cipher", COLUMN_TEXT, "its cipher" },
    { "group_name", COLUMN_TEXT, "whose servers it uses" },
    { "schema_name", COLUMN_TEXT, "its current schema" },
    { "phase", COLUMN_TEXT, "`login`, `idle`, `busy` or `paused`" },
    { "since_ms", COLUMN_INT, "how long it has been in that phase" },
    { "command", COLUMN_TEXT, "the command it runs or ran last" },
    { "digest", COLUMN_TEXT, "of the statement it runs or ran last, as in `digests`" },
    { "server", COLUMN_TEXT, "of the server connection it holds; NULL: none" },
    { "server_thread", COLUMN_INT, "id of that connection on the server" },
    { "pins", COLUMN_TEXT, "why it can't leave that connection; NULL: it can" },
    { "commands", COLUMN_INT, "commands so far" },
    { "bytes_in", COLUMN_INT, "received from it" },
    { "bytes_out", COLUMN_INT, "sent to it" },
    { "compression", COLUMN_TEXT, "`zlib` or `zstd`; NULL: none. The bytes are those before it" },
    { "through", COLUMN_TEXT, "the load balancer that named its host in a PROXY header; NULL: none" },
    { 0 },
};

enum { CLIENTS_A_TIME = 256 };

struct clients_ask {
    struct session_bookmark mark;
    struct session_row rows[CLIENTS_A_TIME];
    size_t count;
};

static void ask_clients(struct worker *w, void *arg)
{
    struct clients_ask *ask = arg;
    ask->count = sessions_copy(w, &ask->mark, ask->rows, CLIENTS_A_TIME);
}

static void drop_mark(struct worker *w, void *arg)
{
    struct clients_ask *ask = arg;
    sessions_copy_drop(w, &ask->mark);
}

static void put_unless_empty(struct rows *r, const char *text)
{
    put_str(r, text != NULL && text[0] != '\0' ? text : NULL);
}

static void put_client(struct rows *r, const struct session_row *s)
{
    char pins[256];
    pins_print(s->pins, pins, sizeof pins);
    put_int(r, s->id);
    put_int(r, s->worker);
    put_unless_empty(r, s->user);
    put_str(r, s->host);
    put_unless_empty(r, s->tls);
    put_unless_empty(r, s->cipher);
    put_unless_empty(r, s->group);
    put_unless_empty(r, s->schema);
    put_str(r, s->phase);
    put_u64(r, s->since_us / 1000);
    put_str(r, s->command);
    put_hex(r, s->digest);
    put_unless_empty(r, s->server);
    if (s->server[0] != '\0')
        put_int(r, s->server_thread);
    else
        put_null(r);
    put_unless_empty(r, pins);
    put_u64(r, s->commands);
    put_u64(r, s->bytes_in);
    put_u64(r, s->bytes_out);
    put_str(r, s->compression);
    put_unless_empty(r, s->through);
}

/* In pieces, so that a worker with many clients is never held up for long. */
static void fill_clients_of(struct gather *g, struct worker *w, struct clients_ask *ask)
{
    memset(ask, 0, sizeof *ask);
    do {
        ask->count = 0;
        if (!worker_ask(g->t, w, ask_clients, ask))
            return;
        for (size_t i = 0; i < ask->count; i++)
            put_client(g->rows, &ask->rows[i]);
        if (ask->count > 0 && (g->rows->is_full || task_is_cancelled(g->t))) {
            if (!worker_ask(g->t, w, drop_mark, ask))
                return;
            break;
        }
        task_breathe(g->t);
    } while (ask->count > 0);
}

void fill_clients(struct gather *g)
{
    struct clients_ask *ask = mem_alloc(sizeof *ask);
    for (unsigned w = 0; w < g->host->n_workers; w++)
        fill_clients_of(g, g->host->workers[w], ask);
    mem_free(ask);
}

/* ---- pins -------------------------------------------------------------------------------------- */

const struct table_column pins_columns[] = {
    { "reason", COLUMN_TEXT, "what kept sessions on their server connection" },
    { "digest", COLUMN_TEXT, "of the statement that began it, as in `digests`; NULL: others" },
    { "worker", COLUMN_INT, "on which worker" },
    { "count", COLUMN_INT, "how often" },
    { "now", COLUMN_INT, "sessions that are pinned so at present" },
    { "held_seconds", COLUMN_REAL, "of server connections held, by those that have ended" },
    { 0 },
};

enum { PINS_LIMIT = 4096 };

struct pins_ask {
    size_t count;
    struct pin_row rows[PINS_LIMIT];
};

static void ask_pins(struct worker *w, void *arg)
{
    struct pins_ask *ask = arg;
    ask->count = pins_copy(w, ask->rows, PINS_LIMIT);
}

void fill_pins(struct gather *g)
{
    struct pins_ask *ask = mem_alloc(sizeof *ask);
    for (unsigned w = 0; w < g->host->n_workers; w++) {
        ask->count = 0;
        if (!worker_ask(g->t, g->host->workers[w], ask_pins, ask))
            continue;
        for (size_t i = 0; i < ask->count; i++) {
            put_str(g->rows, ask->rows[i].reason);
            put_hex(g->rows, ask->rows[i].digest);
            put_int(g->rows, w);
            put_u64(g->rows, ask->rows[i].count);
            put_int(g->rows, ask->rows[i].now);
            put_real(g->rows, (double)ask->rows[i].held_us / 1e6);
        }
    }
    mem_free(ask);
}

/* ---- digests --------------------------------------------------------------------------------------- */

const struct table_column digests_columns[] = {
    { "digest", COLUMN_TEXT, "of the normal form" },
    { "text", COLUMN_TEXT, "the normal form: literals are `?`; cut at digest_text_bytes" },
    { "schema_name", COLUMN_TEXT, "of the last one" },
    { "user", COLUMN_TEXT, "of the last one" },
    { "server", COLUMN_TEXT, "where the last one ran; NULL: answered by Volvox" },
    { "count", COLUMN_INT, "how many" },
    { "errors", COLUMN_INT, "of those, answered by an error" },
    { "rows_sent", COLUMN_INT, "rows sent to clients" },
    { "bytes_sent", COLUMN_INT, "bytes sent to clients" },
    { "on_primary", COLUMN_INT, "how many went to a primary" },
    { "on_replica", COLUMN_INT, "how many went to a replica" },
    { "answered_here", COLUMN_INT, "how many Volvox answered by itself" },
    { "sum_us", COLUMN_INT, "time, from the first byte of the command to the last of the answer" },
    { "min_us", COLUMN_INT, "the shortest" },
    { "avg_us", COLUMN_INT, "on average" },
    { "max_us", COLUMN_INT, "the longest" },
    { "p50_us", COLUMN_INT, "half took no longer" },
    { "p95_us", COLUMN_INT, "95 % took no longer" },
    { "p99_us", COLUMN_INT, "99 % took no longer" },
    { "first_seen", COLUMN_TEXT, "when (UTC)" },
    { "last_seen", COLUMN_TEXT, "when (UTC)" },
    { 0 },
};

static void put_digest(struct rows *r, const struct digest_row *d)
{
    const uint64_t counts[] = { d->count, d->errors, d->rows, d->bytes, d->on_primary, d->on_replica,
                                d->answered_here, d->sum_us, d->min_us,
                                d->count > 0 ? d->sum_us / d->count : 0, d->max_us, d->p50_us,
                                d->p95_us, d->p99_us };
    put_hex(r, d->digest);
    put_unless_empty(r, d->text);
    put_unless_empty(r, d->schema);
    put_unless_empty(r, d->user);
    put_unless_empty(r, d->server);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        put_u64(r, counts[i]);
    put_wall(r, d->first_seen_us);
    put_wall(r, d->last_seen_us);
}

void fill_digests(struct gather *g)
{
    struct digest_rows found;
    digests_collect(g->host->workers, g->host->n_workers, &found);
    for (size_t i = 0; i < found.count; i++)
        put_digest(g->rows, &found.rows[i]);
    digest_rows_release(&found);
}
