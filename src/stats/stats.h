/*
 * stats.h - counting.
 *
 * Counters belong to one worker: one thread writes (relaxed), any thread reads.
 * Every counter stands once in the catalogue below; whoever prints them (the log's
 * status lines now, admin and metrics later) walks it.
 */
#ifndef STATS_STATS_H
#define STATS_STATS_H

#include <stdatomic.h>

#include "base/bytes.h"
#include "base/fault.h"
#include "run/run.h"

/* ---- histogram.c: latencies ------------------------------------------------------------- */

/* Log-linear: 4 steps an octave from 1 us to over four hours, the last bucket takes what is longer;
 * one writer, any reader (relaxed). */
enum { HISTOGRAM_BUCKETS = 132 };
struct histogram {
    atomic_ullong count, sum_us, max_us;
    atomic_ullong buckets[HISTOGRAM_BUCKETS];
};
void histogram_add(struct histogram *h, uint64_t us);
/* into += from; `into` belongs to the caller. */
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The value below which a share q (0..1) of what was added lies, in us; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *h, double q);
/* The longest time in us that a bucket takes, for Prometheus. */
uint64_t histogram_bound_us(unsigned bucket);

enum served_by { SERVED_PRIMARY, SERVED_REPLICA, SERVED_HERE };

/* X(name, help) */
#define STATS_COUNTERS(X)                                                            \
    X(clients_accepted, "client connections given to a worker")                      \
    X(clients_refused, "clients refused because a limit was reached")                \
    X(clients_closed, "client connections closed")                                   \
    X(logins_ok, "logins that succeeded")                                            \
    X(logins_denied, "logins refused: user, password or schema")                     \
    X(logins_delayed, "logins that had to wait because of failures from their address") \
    X(logins_refused, "logins refused because too many of a slowed address waited")  \
    X(logins_at_servers, "logins for which the servers were asked about the account") \
    X(logins_aborted, "clients that left or broke the protocol before logging in")   \
    X(tls_from_clients, "TLS handshakes with clients that succeeded")                \
    X(tls_from_clients_resumed, "of those, that went on with an earlier session")    \
    X(tls_from_clients_failed, "TLS handshakes with clients that failed")            \
    X(commands, "commands served")                                                   \
    X(commands_primary, "commands sent to a primary")                                \
    X(commands_replica, "commands sent to a replica")                                \
    X(commands_answered, "commands that Volvox answered by itself")                  \
    X(commands_failed, "commands that ended with an error of Volvox's own")          \
    X(server_errors, "commands that the server answered with ERR")                   \
    X(bytes_to_clients, "bytes sent to clients")                                     \
    X(bytes_from_clients, "bytes received from clients")                             \
    X(compressed_clients_clear, "bytes to and from clients that compress, before compression") \
    X(compressed_clients_wire, "the same bytes as they travelled, to and from clients") \
    X(compressed_servers_clear, "bytes to and from servers that compress, before compression") \
    X(compressed_servers_wire, "the same bytes as they travelled, to and from servers") \
    X(backends_opened, "connections to servers opened and logged in")                \
    X(backends_failed, "connections to servers that could not be made")              \
    X(accounts_refused, "logins that servers refused because of the account")        \
    X(backends_closed, "connections to servers closed")                              \
    X(tls_to_servers, "TLS handshakes with servers that succeeded")                  \
    X(tls_to_servers_resumed, "of those, that went on with an earlier session")      \
    X(tls_to_servers_failed, "TLS handshakes with servers that failed")              \
    X(backends_lost, "connections to servers that died")                             \
    X(backends_reset, "connections to servers reset before another session")         \
    X(leases, "times a session leased a connection to a server")                     \
    X(leases_waited, "leases that had to wait in the queue")                         \
    X(leases_timed_out, "leases given up at the queue's deadline")                   \
    X(pipelined, "reads written onto a busy connection behind others of their kind") \
    X(pipelined_again, "of those, sent again elsewhere: the connection was needed, slow or lost") \
    X(pipelined_alone, "of those, run again by themselves: their answer had warnings or an error") \
    X(lent, "idle connections given to another worker")                              \
    X(restores, "commands that needed session state restored first")                 \
    X(restores_joined, "commands that were sent in one text with what restores, or with a BEGIN") \
    X(restores_awaited, "commands that were sent only when what restores had been answered") \
    X(begins_deferred, "BEGIN and SET autocommit = 0 that were left for the next statement") \
    X(retries, "commands sent again after a dead connection took no byte")           \
    X(pins, "times a session was pinned to its connection")                          \
    X(prepares, "statements prepared on servers")                                    \
    X(tunnels, "streams passed through: binary log dumps, clones")

struct counters {
#define X(name, help) atomic_ullong name;
    STATS_COUNTERS(X)
#undef X
    /* gauges */
    atomic_uint sessions, sessions_busy, sessions_pinned, backends_idle, backends_leased;
    struct histogram latency[3];  /* by enum served_by                                     */
    struct histogram wait;        /* for a backend                                         */
};

struct counter_row {
    const char *name, *help;
    size_t offset;                /* of the atomic_ullong in struct counters */
};
extern const struct counter_row counter_rows[];
extern const unsigned n_counter_rows;

/* Counters and an empty digest table. */
void stats_worker_init(struct worker *w);
void stats_worker_release(struct worker *w);
static inline struct counters *worker_counters(const struct worker *w)
{
    return worker_part(w, PART_STATS);
}

/* One writer: no locked instruction. */
static inline void count_add(atomic_ullong *c, unsigned long long n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
#define count(w, name) count_add(&worker_counters(w)->name, 1)
static inline void gauge_add(atomic_uint *g, int n)
{
    atomic_store_explicit(g, atomic_load_explicit(g, memory_order_relaxed) + (unsigned)n,
                          memory_order_relaxed);
}

/* Sum of one counter over workers. */
unsigned long long counters_sum(struct worker *const *workers, unsigned n, size_t offset);

/* ---- commands that were served: digests, latencies, the slow log (digests.c) ------------- */

struct lexer_mode;

/* What is recorded of one command, once it is over.  Views are the caller's. */
struct served {
    uint64_t digest;              /* router's; 0 = no statement (PING, ...)                  */
    struct bytes text;            /* of the statement; may be cut; empty = unknown           */
    const struct lexer_mode *mode; /* how `text` is read; NULL = as by default               */
    const char *user, *server;    /* server NULL = answered by Volvox                        */
    struct bytes schema;
    enum served_by by;
    uint64_t total_us;            /* from the command's first byte to the answer's last      */
    uint64_t wait_us;             /* of that, waiting for a backend                          */
    uint64_t rows, bytes;         /* sent to the client                                      */
    unsigned error;               /* MySQL error number of the answer, 0 = none              */
    uint32_t session;
};

/* Limits of the digest table and the slow log, from the configuration; any thread.  Until they are
 * set there are no digests and no slow log. */
struct served_limits {
    unsigned digests;             /* entries per worker; 0 = no digests                      */
    unsigned digest_text_bytes;
    unsigned slow_ms;             /* 0 = no slow log                                         */
    unsigned slow_sample;         /* log one of so many slow statements; 1 = all             */
};
void served_set_limits(const struct served_limits *limits);
/* Count it: digest, histograms, slow log.  The worker's own thread; never parks. */
void served_record(struct worker *w, const struct served *s);

/* One digest, merged over workers. */
struct digest_row {
    uint64_t digest;
    char *text;                   /* normal form, cut; owned by the row                      */
    char schema[65], user[81];    /* of the last one (the first of the last loop turn's)     */
    char server[65];              /* where the last one ran                                  */
    uint64_t count, errors, rows, bytes, on_primary, on_replica, answered_here;
    uint64_t sum_us, min_us, max_us, p50_us, p95_us, p99_us;
    uint64_t first_seen_us, last_seen_us;   /* wall clock */
};
struct digest_rows {
    struct digest_row *rows;
    size_t count;
    uint64_t evicted;             /* digests that had to go to make place, ever              */
};
/* Copy and merge; holds each worker's table for a short time only.  The caller releases. */
void digests_collect(struct worker *const *workers, unsigned n, struct digest_rows *out);
void digest_rows_release(struct digest_rows *rows);
void digests_reset(struct worker *const *workers, unsigned n);

/* ---- rings.c: what happened lately --------------------------------------------------------- */

/* Events: state changes of servers, reloads, admin commands with who gave them.  Faults: commands
 * that failed by something else than the server's own error, with blame.  Both bounded (512 each),
 * oldest go first; any thread. */
struct happening {
    uint64_t number;              /* 1, 2, ...                                               */
    uint64_t wall_us;
    char kind[32];                /* events: "server", "reload", "admin", ...; faults: blame */
    char who[81];                 /* user, server, ...                                       */
    uint32_t session;             /* 0 = none                                                */
    unsigned code;                /* faults: error number                                    */
    char text[256];
};
void event_note(const char *kind, const char *who, const char *fmt, ...) PRINTF_LIKE(3, 4);
void fault_note(const struct fault *why, const char *user, uint32_t session);
/* Copies of those kept, oldest first; the caller frees with mem_free(). */
struct happening *events_copy(size_t *count);
struct happening *faults_copy(size_t *count);

/* ---- catalog.c: every metric once --------------------------------------------------------------- */

/* Counters and gauges as rows of Prometheus' kind, for /metrics and SHOW STATS: walks all of them. */
struct metric {
    const char *name;             /* "volvox_commands_total", unit in the name               */
    const char *help;
    const char *type;             /* "counter", "gauge", "histogram"                         */
    const char *labels;           /* "role=\"primary\"" or ""                                */
    double value;                 /* counter, gauge                                          */
    const struct histogram *histogram;
};
void metrics_walk(struct worker *const *workers, unsigned n,
                  void (*row)(void *arg, const struct metric *m), void *arg);

#endif
