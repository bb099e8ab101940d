/*
 * inside.h - what the files of servers/ say to each other.
 *
 *   monitor.c ──submit──► probes.c (queue, threads) ──► ask.c (blocking: SQL) ──► visit.c (a look)
 *       ▲                     │
 *       └──── collect ◄───────┘      judge.c and topology.c: pure, what it all means
 */
#ifndef SERVERS_INSIDE_H
#define SERVERS_INSIDE_H

#include "servers/servers.h"

/* ---- server.c --------------------------------------------------------------------------- */

/* A new one with a number of its own; the caller holds the reference. */
struct server *server_new(const struct server_config *c);
/* What the file says of it and a reload may change. */
void server_configure(struct server *s, const struct server_config *c);

/* ---- what one probe found --------------------------------------------------------------- */

struct finding {
    bool alive;               /* it took our connection                                */
    unsigned took_us;         /* until it was known to live; 0: it is not              */
    bool answered;            /* ... and our questions: what follows is known          */
    bool read_only, replicates;
    bool lag_known;
    bool is_cut_off, is_broken; /* a source is out of reach; replication from it is stopped */
    uint32_t lag_ms;
    bool lag_refused;         /* the account lacks the privilege to see the lag        */
    uint64_t max_allowed_packet;
    bool greeted;             /* what follows is known                                 */
    char version[64];
    bool is_mariadb;
    uint32_t version_number;
    uint64_t caps;
    uint16_t collation, utf8mb3_collation, utf8mb4_collation;
    struct globals globals;
    char why[120];            /* unless all went well                                  */
};

/* ---- judge.c: pure ---------------------------------------------------------------------- */

/* Health over time. */
struct pulse {
    enum health health;
    unsigned good, failed;    /* in a row                                              */
    unsigned patience;        /* 1, 2, 4 or 8: so many times `rise`, after flapping    */
    uint64_t changed_us;      /* monotonic                                             */
};
#define PULSE_NONE ((struct pulse){ .health = HEALTH_UNKNOWN, .patience = 1 })
/* True if the health changed. */
bool pulse_judge(struct pulse *p, bool alive, unsigned fall, unsigned rise, uint64_t now_us);

/* Too far behind?  Once it is, until below 80 % of the limit. */
bool lag_judge(bool was_lagging, bool known, uint32_t lag_ms, uint32_t limit_ms);

/* Which of the members is the primary: index in `states`, or UINT_MAX.  `current` is the
 * server that was until now, or NULL. */
unsigned primary_judge(const struct server_state *states, const unsigned *members,
                       unsigned n_members, const struct server *current, bool *split_brain);

/* ---- topology.c ------------------------------------------------------------------------- */

/* A snapshot of the states, in the order of the configuration's servers (each with its role,
 * weight, group and server).  `before` (may be NULL) says who was primary.  The judgement on
 * lag is also written back to the states. */
struct topology *topology_build(struct config *c, struct server_state *states, unsigned n,
                                const struct topology *before);
/* The group of that name, or NULL. */
const struct group_state *topology_group(const struct topology *t, const char *name);

/* ---- tell.c: to the log and the events -------------------------------------------------- */

void tell_health(const struct server_state *s, const char *group);
void tell_lag(const struct server_state *s, bool was_lagging);
void tell_lag_unknown(const char *server);
void tell_monitor_refused(const char *server, const char *why);
void tell_retired(const char *server);
void tell_operated(const char *server, enum operator_state was, enum operator_state is);
void tell_weight(const char *server, unsigned was, unsigned is);
void tell_no_primary(const char *group);
/* What differs from the group in `before` (may be NULL). */
void tell_group(const struct topology *t, const struct group_state *g,
                const struct topology *before);

/* ---- probes.c: threads ------------------------------------------------------------------ */

struct sql;

enum probe_place {
    PROBE_AT_HOME,            /* with its owner, on the control thread                 */
    PROBE_QUEUED,             /* prober's queue                                        */
    PROBE_RUNNING,            /* a probe thread has it                                 */
    PROBE_DONE,               /* prober's list of those to be collected                */
};

/* One server's probe.  While it is not at home only the prober touches it, but for
 * `owner`, which is the control thread's. */
struct probe {
    struct list link;
    enum probe_place place;   /* prober's lock                                         */
    struct server *server;
    struct config *config;    /* whose account and timeouts to use: a reference        */
    struct sql *connection;   /* kept open between probes                           */
    struct config *connected_as; /* whose account it was opened with: a reference      */
    bool asks_mariadb;        /* what the connection leads to                           */
    uint64_t connected_by;    /* number of the TLS context, likewise                   */
    bool is_last;             /* close the connection and free the probe               */
    struct finding found;
    void *owner;              /* NULL: not wanted any more                             */
};
struct probe *probe_new(struct server *s, void *owner);
/* At home; closes the connection (BLOCKING for a moment). */
void probe_free(struct probe *p);

struct prober;
/* `ring` is called on a probe thread when there is something to collect. */
struct prober *prober_new(unsigned threads, void (*ring)(void *arg), void *arg);
/* At home -> queued. */
void prober_submit(struct prober *pr, struct probe *p, struct config *c);
/* Give a probe at home away for good. */
void prober_dismiss(struct prober *pr, struct probe *p);
/* The next one that is done, now at home, or NULL: none is done, or none came until the
 * deadline (clock_us(); 0 = don't wait). */
struct probe *prober_collect(struct prober *pr, uint64_t deadline_us);
/* Joins the threads; frees dismissed probes and all that have no owner.  The others are the
 * caller's to free. */
void prober_free(struct prober *pr);

/* ---- ask.c: blocking -------------------------------------------------------------------- */

/* Ask p->server as p->config says; fills p->found. */
void probe_ask(struct probe *p);
void probe_hang_up(struct probe *p);

/* ---- visit.c: blocking ------------------------------------------------------------------ */

/* Look at the greeting and leave. */
void probe_greet(struct probe *p, unsigned timeout_ms);
/* The server speaks TLS and is believed, as the configuration wants it; its certificate. */
bool probe_meet(struct probe *p, struct tls_fingerprint *found);
/* The configuration's context for it, or NULL. */
struct tls_context *probe_tls(const struct probe *p);
/* The finding says why; returns false. */
bool probe_failed(struct finding *f, const char *text);
/* Is this an error by which a server shows that it lives, although it does not let us ask? */
bool probe_shows_life(unsigned code);

#endif
