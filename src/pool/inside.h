/*
 * inside.h - what the files of pool/ share.
 */
#ifndef POOL_INSIDE_H
#define POOL_INSIDE_H

#include "pool/pool.h"

/* ---- intern.c ---- */

struct intern_table {
    pthread_mutex_t lock;
    struct map map;               /* key -> struct interned */
    void (*free_one)(struct interned *in);
};
#define INTERN_TABLE(free_fn) { PTHREAD_MUTEX_INITIALIZER, { NULL, 0, 0 }, free_fn }

/* The interned thing with this key and a reference, or what make(arg, key) gives (with
 * `count` and `table` still unset and a `key` of its own). */
struct interned *intern_get(struct intern_table *t, struct bytes key,
                            struct interned *(*make)(void *arg, struct bytes key), void *arg);
void intern_take(struct interned *in);
void intern_drop(struct interned *in);

/* ---- state.c ---- */

/* What a session begins with that logged in with this flag, instead of the global value. */
struct flag_default {
    uint64_t cap;
    const char *name, *sql;
};
extern const struct flag_default flag_defaults[2];

/* ---- pool.c ---- */

enum { POOL_KEY_BYTES = 12 + ACCOUNT_KEY_BYTES + 18 };

/* The connections of one worker to one server for one account and fit; and for one client's address,
 * if the server is told that. */
struct pool {
    struct pools *pools;
    struct server *server;        /* counted                                              */
    struct account *account;      /* counted                                              */
    uint64_t fit;
    struct tls_context *tls;      /* counted; as the server's section says now, NULL: in clear */
    uint64_t config_number;       /* that of `now`                                        */
    struct ends *client;          /* of the client it was made for; NULL: for all         */
    bool retired;                 /* its server or account is gone: nothing goes back      */
    struct list idle;             /* most recently used first                             */
    struct list leaders;          /* connections that may be followed: pipeline.c          */
    uint64_t unpiped_until_us;    /* ... but not before                                   */
    unsigned n_idle, n_held;      /* idle / leased, opening or being reset                 */
    struct list wants;            /* those of server->wants that are of this pool; under its mutex */
    unsigned n_taking;            /* tasks inside pool_take()                             */
    uint16_t collation;           /* of the last login, for connections kept in reserve    */
    unsigned warming;             /* tasks opening connections for min_idle                */
    bool is_killing;              /* a task does ...                                       */
    struct list killings;         /* ... what is to be ended on the server: kill.c         */
    uint64_t used_us;             /* when somebody last wanted a backend                  */
    uint8_t key[POOL_KEY_BYTES];  /* in pools->by_key                                     */
};

/* All pools of one worker. */
struct pools {
    struct worker *worker;
    struct worker *const *workers;
    unsigned n_workers;
    struct map by_key;
    struct pool *recent[32];      /* what was found last, by a rough hash of the terms     */
    struct map welcomes;          /* server's number -> struct welcome                    */
    struct list all;              /* of backend.all: every backend of this worker         */
    uint64_t last_ticket;
    ev_timer sweep;
    struct list unsent;           /* of backend.unsent: to be sent at the end of this turn  */
    ev_timer tick;                /* while connections are scarce                           */
    unsigned quiet_ticks;         /* since nobody found one                               */
    bool draining;
};

static inline struct pools *worker_pools(const struct worker *w)
{
    return worker_part(w, PART_POOL);
}
struct pool *pool_get(struct pools *ps, const struct lease_terms *terms);
/* Of the same server, account and fit, maybe of another worker? */
static inline bool pool_is_same(const struct pool *a, const struct pool *b)
{
    return memcmp(a->key, b->key, sizeof a->key) == 0;
}
/* As pool_take(), from one pool; `collation` to log in with. */
struct backend *pool_take_from(struct task *t, struct pool *p, const struct lease_terms *terms,
                               double deadline, struct fault *why);
/* Without a queue: an idle one, or one made in the caller's place, if he has one (that is gone then); where
 * the limit allows no more, one in addition, which backend_close_extra() ends. */
struct backend *pool_take_at_once(struct task *t, struct pool *p, const struct lease_terms *terms,
                                  bool *has_place, bool *is_extra, struct fault *why);
/* Put a backend that fits the next session to its idle list, or close it if it is of no
 * more use; nobody waits for it. */
void pool_keep(struct backend *be);
/* Ask idle holders of this worker that can do without, until nobody waits for the server. */
void pool_ask_holders(struct pools *ps, struct server *server);
/* Take the longest idle backend of this worker to the server (OPENING then), or NULL. */
struct backend *pool_oldest_idle(struct pools *ps, struct server *server);

/* ---- backend.c ---- */

void backend_move(struct backend *be, enum backend_place to);
/* Close and free; the server's queue is told that a connection may be made as soon as the server has
 * closed its end (now, or soon).  The caller holds it. */
void backend_close(struct backend *be, const char *why);
/* Of one that was over the limit: nobody may open another. */
void backend_close_extra(struct backend *be);
/* The same without a goodbye, in the middle of whatever it is doing; its place at the server stays
 * taken: the caller's now. */
void backend_discard(struct backend *be);
/* Worth keeping: neither too old nor used up, its server not draining, its pool not retired. */
bool backend_is_fresh(const struct backend *be, const struct settings *limits);
void backend_statements_forget(struct backend *be);
/* Read the answer to what has been written and flushed: as backend_ask_ok() (`ok` NULL if it does not
 * matter); as backend_ask_rows(), where an
 * OK in place of rows is no rows. */
bool backend_read_answer(struct task *t, struct backend *be, struct ok *ok, double deadline,
                         struct fault *why);
bool backend_read_rows(struct task *t, struct backend *be, struct ask_rows *rows, double deadline,
                       struct fault *why);

/* ---- connect.c ---- */

/* Dial and log in (relay NULL: with what is known of the account).  Of the terms only the collation and
 * the client count (NULL: the one that the pool was made for).  The caller raised server.open
 * (server_may_open) and keeps that right when this fails.  Leased to nobody yet: OPENING. */
struct backend *backend_open(struct task *t, struct pool *p, const struct lease_terms *terms,
                             struct login_relay *relay, double deadline, struct fault *why);
/* What its login says but for the proof.  (MySQL takes the flags from the request for TLS, so that one
 * tells of the schema, too.) */
struct login backend_login(const struct backend *be);
/* Switch our trackers on; the answer is owed when !wait. */
bool backend_track(struct task *t, struct backend *be, double deadline, struct fault *why);

/* ---- tls.c ---- */

/* Take the server's context from the configuration (a server that is gone keeps its own). */
void pool_follow_tls(struct pool *p, const struct config *now);
/* After the greeting, before the login: TLS if the server has it, or the configuration insists. Parks. */
bool backend_start_tls(struct task *t, struct backend *be, const struct greeting *g, uint8_t *seq,
                       double deadline, struct fault *why);
/* ---- welcome.c ---- */

/* A connection to the server has been made, and its login OK had these entries. */
void welcome_note(struct pools *ps, const struct server *server, struct tracking *usual,
                  struct bytes at_login);
void welcomes_release(struct pools *ps);

/* ---- pipeline.c ---- */

enum follower_place { FOLLOWER_NONE,  /* it has not been written anywhere                      */
                      FOLLOWER_WAITS, FOLLOWER_HAS_TURN, FOLLOWER_LOST };

/* A statement that was written behind others; lives on the stack of its task. */
struct follower {
    struct list link;             /* in be->followers while it waits                       */
    struct task *task;
    struct backend *be;
    enum follower_place place;
};
/* Somebody finds neither an idle connection nor the right to open one. */
void pipeline_scarce(struct pools *ps);
/* Write it behind those of `be`, which leads; false if it can't be. */
bool pipeline_board(struct backend *be, struct follower *f, struct follow *follow);
/* Find a connection of the pool to follow, and wait for our turn: the backend, LEASED.  NULL: there is
 * none, or (follow->was_lost) it was lost.  Parks. */
struct backend *pipeline_follow(struct task *t, struct pool *p, const struct lease_terms *terms);
/* The waiting is over. */
struct backend *pipeline_outcome(const struct follower *f, struct follow *follow);
/* Who waits was cancelled: it is forgiven, for what was written is answered; but when the worker ends. */
void pipeline_wait_on(struct task *t, struct follower *f);
/* Its lease is put back: true if somebody follows, who has it now. */
bool pipeline_put(struct backend *be, enum put how);
/* Whoever follows looks for another connection; the answers that are still to come here are nobody's. */
void pipeline_break_up(struct backend *be, const char *why);
void pipeline_worker_init(struct pools *ps);
void pipeline_worker_release(struct pools *ps);

/* ---- lend.c ---- */

/* Who waits for a connection to a server; lives on the waiting task's stack, linked in
 * server->wants under its mutex. */
struct want {
    struct list link;
    struct list in_pool;          /* pool->wants, likewise                                 */
    struct worker *worker;
    struct task *task;
    struct pool *pool;            /* of its worker                                        */
    struct state *state;          /* reachable from what it is given                      */
    struct backend *got;          /* filled ...                                           */
    bool may_open;                /* ... or the right to open one (server.open is raised) */
    bool answered;                /* set under the mutex when it left the queue            */
    bool opens;                   /* a connection that was made before is of no use to it  */
    uint8_t passed;               /* how often others behind were served before it         */
    struct follow *follow;        /* it may follow others ...                             */
    struct follower follower;     /* ... and does                                         */
};
/* Let those of this worker that wait for the server follow `be`, which leads, as far as they may. */
void want_board(struct backend *be);
/* Queue, ask other workers, park until answered.  True with w->got, w->may_open, or w->follower at the
 * end of its way. */
bool want_wait(struct task *t, struct pool *p, struct want *w, double deadline, struct fault *why);
/* Give this fit, unleased backend (place OPENING) to a want of its server, the oldest or one soon behind
 * it; or close it, if its place is of more use to who waits.  False if nobody needs it: the caller keeps
 * it. */
bool lend_backend(struct backend *be);
/* A connection to the server has been closed at both ends: the oldest want may open one. */
void lend_slot(struct server *server, struct worker *from);
/* The server's limit may have been raised: let those who wait open what it allows. */
void lend_room(struct server *server, struct worker *from);
void lend_worker_init(struct worker *w);

/* ---- kill.c ---- */

/* Close the connection and end on the server what it was running; only then its place is free. */
void backend_kill(struct backend *be);

#endif
