/*
 * servers.h - the servers, their roles and health.
 *
 *   probe threads ──(MAIL_PROBED)──► control thread: monitor judges ──► new topology
 *                                                   └─(MAIL_TOPOLOGY)─► every worker
 *
 * `struct server` is shared by all threads: its address and name never change,
 * its counters are atomics, its queue of wants has a mutex (pool/lend.c is the only
 * user).  `struct topology` is an immutable snapshot of what the probes found.
 */
#ifndef SERVERS_SERVERS_H
#define SERVERS_SERVERS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/ref.h"
#include "config/config.h"

/* ---- server: one per [server NAME], lives across reloads -------------------------- */

struct server {
    struct ref ref;
    char *name;
    struct address address;
    unsigned number;              /* 1, 2, ...; never used again                        */
    atomic_uint max_open;         /* connection limit, from the configuration           */
    atomic_uint compression, compression_level, proxy_protocol; /* of new connections: enums   */
    atomic_bool told_no_compression; /* the log has been told that it can't do that        */
    atomic_bool has_init_connect; /* as the last probe found                              */
    atomic_bool draining;         /* gone from the file, told to drain or disabled:
                                     nothing new, idle connections are closed            */
    atomic_uint open;             /* backends open or opening, all workers, and those that */
    atomic_uint leaving;          /* ... have said goodbye: the server holds them until it closes */
    atomic_uint in_use;           /* leased backends, all workers: "outstanding"        */
    atomic_uint wanted;           /* wants in the queue                                 */
    pthread_mutex_t wants_lock;
    struct list wants;            /* oldest first; pool/lend.c                          */
    atomic_ullong connects, connect_failures, commands;
    atomic_ullong served_us, slowest_us; /* of all commands together; of the slowest one   */
    atomic_ullong last_failure_us; /* clock_us() of the last failed connect, 0 = none    */
    /* Of the last probe.  Here and not in server_state because they change with each probe,
     * which makes no new topology. */
    atomic_ullong probed_us;      /* wall clock when its result came, 0 = never probed   */
    atomic_uint probe_us;         /* how long it took, if it was answered; else 0        */
};

struct server *server_take(struct server *s);
void server_drop(struct server *s);
/* One more connection, if the limit allows: raises `open`. */
bool server_may_open(struct server *s);
void server_closed(struct server *s);          /* lowers it */
/* How many wait for a connection for whom no place is on its way. */
unsigned server_unmet(struct server *s);

/* ---- what probes find --------------------------------------------------------------- */

enum health { HEALTH_UNKNOWN,     /* not probed yet: usable if nothing better is         */
              HEALTH_UP, HEALTH_DOWN };

/* What the operator has told us to do with it; stays across reloads. */
enum operator_state {
    OPERATED_NORMAL,
    OPERATED_DRAIN,               /* no new work; leased connections finish, idle ones close */
    OPERATED_DISABLED,            /* likewise, and it is not probed                       */
};

/* Global values that sessions begin with.  sql_mode[0] is 0 as well when it is empty: is_known says. */
struct globals {
    bool is_known;
    char sql_mode[768];
    char charset_client[32], charset_connection[32], charset_results[32], collation_connection[64];
    char init_connect[2048];      /* "": none, or longer than that                       */
};

struct server_state {
    struct server *server;        /* counted by the topology                             */
    enum health health;
    enum operator_state operated;
    bool writable;                /* read_only is off (or role = primary in the file)     */
    bool replicates;              /* has a replication source configured                  */
    bool lag_known;
    uint32_t lag_ms;              /* behind its source; UINT32_MAX: replication is broken */
    bool is_cut_off;              /* its source is out of reach: the lag is the time since */
    bool lagging;                 /* over the group's max_lag, and not yet below 80 % of it */
    uint8_t read_rank;            /* among those that plain reads go to: 1 is taken before 2;
                                     0 is none of them (topology.c)                       */
    unsigned weight;
    unsigned group;
    enum server_role role;        /* as configured                                        */
    char why[120];                /* reason for the state, for operators                  */
    uint64_t since_us;            /* wall clock of the last change of health, role or
                                     operator's state                                     */
    /* as the server said at login and by query; version[0] == 0 if it never answered */
    char version[64];             /* as in the greeting, with MariaDB's 5.5.5- if sent     */
    bool is_mariadb;
    uint32_t version_number;      /* 101119, 90704                                        */
    uint64_t caps;
    uint16_t collation;           /* of the greeting (collation_server's id)              */
    uint16_t utf8mb3_collation, utf8mb4_collation; /* MariaDB: the character sets' defaults; else 0 */
    struct globals globals;
    uint64_t max_allowed_packet;
};

struct topology {
    struct ref ref;
    uint64_t number;
    unsigned n_servers, n_groups;
    struct server_state *servers; /* in the file's order                                  */
    struct group_state {
        const char *name;         /* the configuration's, which the topology holds        */
        unsigned primary;         /* index in servers, or UINT_MAX                        */
        bool split_brain;         /* more than one member could be the primary            */
        unsigned n_members;
        unsigned *members;        /* indexes                                              */
        enum balance balance;
        enum reads reads;
        enum no_replica no_replica;
        unsigned max_lag_ms;
        atomic_uint turn;         /* for round robin                                      */
        /* what we tell clients: of the primary, else of any member that ever answered;
         * capabilities are those that all that answered have in common */
        char version[64];
        bool is_mariadb;
        uint32_t version_number;
        uint64_t caps;
        uint16_t collation, utf8mb3_collation, utf8mb4_collation;
        struct globals globals;
        uint64_t max_allowed_packet;
    } *groups;
    struct config *config;
};

struct topology *topology_take(struct topology *t);
void topology_drop(struct topology *t);
const struct server_state *topology_server(const struct topology *t, struct bytes name,
                                           unsigned group);

/* ---- choosing ------------------------------------------------------------------------- */

enum pick_role { PICK_PRIMARY, PICK_REPLICA, PICK_ANY };

/* A server of the group for the role, or NULL with `why` (SERVER; code and text for the
 * client, says what was missing).  `random` is 64 fresh random bits.  Servers in `avoid`
 * (may be NULL, n_avoid) are passed over: they just failed for this command.
 * PICK_REPLICA falls back to the primary where the group allows.  Draining and disabled
 * servers, those down and those lagging are never picked. */
struct server *topology_pick(const struct topology *t, unsigned group, enum pick_role role,
                             uint64_t random, struct server *const *avoid, unsigned n_avoid,
                             struct fault *why);
/* May this server be used for the role now?  NULL if so, else the reason in words. */
const char *topology_objection(const struct topology *t, unsigned server_index, enum pick_role role);

/* ---- registry and monitor: control thread ----------------------------------------------- */

/* Owns the servers and the present topology; starts the probe threads.  `publish` gets each
 * new topology (a reference of its own) on the control thread, from its loop or from
 * monitor_configure(); never from monitor_new() or monitor_first_round(). */
struct monitor;
struct monitor *monitor_new(struct worker *control, struct config *c,
                            void (*publish)(void *arg, struct topology *t), void *arg);
/* BLOCKING, before the control loop runs: wait until every server has been probed once, so
 * that the first topology knows the roles.  False if `timeout_s` passed first. */
bool monitor_first_round(struct monitor *m, double timeout_s);
/* New configuration: registry and topology follow at once. */
void monitor_configure(struct monitor *m, struct config *c);
/* SERVER name DRAIN | DISABLE | ENABLE: the new topology is published before it returns.  False
 * (POLICY) if there is no such server.  Control thread, from its loop. */
bool monitor_operate(struct monitor *m, struct bytes server, enum operator_state state,
                     struct fault *why);
/* "normal", "draining", "disabled" */
const char *operator_state_name(enum operator_state state);
/* A worker could not connect or lost a backend: probe this server now (rate-limited). */
void monitor_suspect(struct monitor *m, struct server *s);
/* The present one, borrowed. */
struct topology *monitor_topology(struct monitor *m);
/* Joins the probe threads (waits for hanging probes: some monitor_timeouts), frees.  Only when
 * the control loop runs no more: a probe's mail may still lie in its mailbox. */
void monitor_stop(struct monitor *m);

/* ---- topology per worker ------------------------------------------------------------------ */

void topology_publish(struct topology *t, struct worker **workers, unsigned n);
void topology_worker_init(struct worker *w, struct topology *t);
void topology_worker_release(struct worker *w);
void topology_on_swap(void (*swapped)(struct worker *w, const struct topology *now));
struct topology *worker_topology(const struct worker *w);

#endif
