/*
 * pool.h - connections to servers: opened, kept idle, leased, lent, reset, closed.
 *
 * Runs on workers.  A backend has one holder at a time: an idle list of its worker, a
 * session's lease, or a mail on its way to another worker.  Each worker keeps its own
 * backends; the limit per server holds across workers because `server.open` is raised
 * before a connection is made.  When the limit is reached, who needs a backend queues at
 * the server (one queue for all workers, oldest first), and whoever puts one back looks
 * at that queue first.
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include "accounts/accounts.h"
#include "base/map.h"
#include "net/net.h"
#include "servers/servers.h"
#include "stats/stats.h"

/* ---- intern.c: equal things are the same pointer, on all threads --------------------- */

struct intern_table;
struct interned {                 /* first member of what is interned */
    atomic_uint count;
    struct intern_table *table;
    struct bytes key;
};

/* ---- state.c: what a session or a backend is in ----------------------------------- */

/* Schema and session variables, as servers report them, and user variables: interned, immutable, counted;
 * equal sets are the same pointer, on all threads.  A variable that is not in the set has the server's
 * global value.  A user variable's name begins with @ and is in small letters; its value is what to write
 * behind "SET @name=", or STATE_UNKNOWN: it was set, but nobody has looked to what. */
#define STATE_UNKNOWN BYTES_LITERAL("?")
struct state_var {
    struct bytes name, value;
};
struct state {
    struct interned in;
    struct bytes schema;          /* "" = none                                             */
    unsigned n_vars;
    unsigned wait_s;              /* wait_timeout, if it is in the set                      */
    struct state_var *vars;       /* sorted by name                                        */
};
/* What column definitions show of character_set_results; no variable of any server, and not always
 * known. */
#define COLLATION_RESULTS "collation_results"
/* After a login with this collation and no schema; unknown collations are taken as `fallback`. */
struct state *state_at_login(unsigned collation, unsigned fallback);
struct state *state_take(struct state *s);
void state_drop(struct state *s);                 /* NULL is fine */

/* Can a variable of this name be set by SQL of ours?  (Names come from servers.) */
bool state_takes(struct bytes name);
/* A set made from another by changes; `schema` NULL = unchanged.  A later change of the same
 * variable wins; one without a value (data NULL) takes it out of the set.  Gives a reference. */
struct state *state_changed(const struct state *from, const struct bytes *schema,
                            const struct state_var *changes, unsigned n);
/* The same without user variables: statements are prepared in the same way whatever these are. */
struct state *state_of_texts(const struct state *s);
/* The state to prepare a text in that was first prepared in `then`, on a backend that is in `now`: as
 * `then`, but autocommit stays (setting it could end a transaction), and so do user variables, and the
 * schema if there was none (the text named all of its own).  Gives a reference. */
struct state *state_to_prepare_in(const struct state *then, const struct state *now);
/* The value, or data NULL. */
struct bytes state_value(const struct state *s, struct bytes name);

/* How many things differ; SIZE_MAX when `to` can't be reached by SETs and USE (it has no schema and
 * `from` has one). */
size_t state_distance(const struct state *from, const struct state *to);
/* Is there a variable in `from` that is not in `to`? */
bool state_undoes(const struct state *from, const struct state *to);
/* "SET a=1,b='x'" that leads from one to the other (schema apart), and last_insert_id if
 * `insert_id` is not NULL; nothing is written when nothing differs.  `caps` are the connection's: some
 * flags change what a session begins with.  Returns whether it wrote. */
bool state_write_set(const struct state *from, const struct state *to, uint64_t caps,
                     const uint64_t *insert_id, struct buf *sql);

/* Append a value as a literal that means the same under every sql_mode and character set. */
void state_write_value(struct buf *sql, struct bytes value);

/* ---- tracking.c: what a server is told to report of a session's changes ---------- */

/* The session_track_* variables of a server connection: interned, immutable, counted, any thread. */
enum track_gtids { TRACK_NO_GTIDS, TRACK_OWN_GTIDS, TRACK_ALL_GTIDS };
enum track_transactions { TRACK_NO_TRANSACTIONS, TRACK_STATE_ONLY, TRACK_CHARACTERISTICS };
struct tracking {
    struct interned in;
    struct bytes variables;       /* a list with commas, or "*"; as the server shows it     */
    bool schema, state_change;
    enum track_gtids gtids;       /* MySQL */
    enum track_transactions transactions;
};
enum { TRACKING_VARIABLES = 5 };
extern const char tracking_names[TRACKING_VARIABLES][32];
/* The last one is MySQL's. */
static inline unsigned tracking_count(bool is_mariadb)
{
    return is_mariadb ? TRACKING_VARIABLES - 1 : TRACKING_VARIABLES;
}
/* By the variables' values in that order; as a server of this family begins; with one of them
 * changed.  All give references. */
struct tracking *tracking_of(const struct bytes values[TRACKING_VARIABLES]);
struct tracking *tracking_by_default(bool is_mariadb);
struct tracking *tracking_changed(const struct tracking *from, struct bytes name, struct bytes value);
struct tracking *tracking_take(struct tracking *x);   /* NULL is fine */
void tracking_drop(struct tracking *x);               /* likewise */
/* Append the assignments that bring it about (what follows SET), but for session_track_gtids: that
 * can't be set in a transaction, and is the session's on every backend it uses. */
void tracking_write_set(const struct tracking *x, struct buf *sql);
const char *track_gtids_name(enum track_gtids gtids);
/* Is the variable to be reported? */
bool tracking_has_name(const struct tracking *x, struct bytes name);

/* ---- prepared.c: texts, and their ids on a backend ---------------------------------- */

/* A statement's text with the state it was prepared in: interned, counted, any thread. */
struct stmt_text {
    struct interned in;
    struct state *state;          /* counted */
    struct bytes text;
};
/* Gives a reference.  Another `nonce` makes another text of the same words: its ids are not shared. */
struct stmt_text *stmt_text_get(struct bytes text, struct state *state, uint64_t nonce);
struct stmt_text *stmt_text_take(struct stmt_text *x);
void stmt_text_drop(struct stmt_text *x);

/* Column definitions as a server sent them, one packet after the other: interned, counted, any
 * thread.  They are the key. */
struct definitions {
    struct interned in;
};
/* Gives a reference. */
struct definitions *definitions_get(struct bytes packets);
struct definitions *definitions_take(struct definitions *d);
void definitions_drop(struct definitions *d);     /* NULL is fine */

struct backend_stmt {
    struct list used;             /* in the backend's list, most recent first */
    struct stmt_text *text;
    struct definitions *definitions; /* under CACHE_METADATA: those that the server has sent last,
                                     and leaves out as long as they stay the same; counted   */
    uint32_t id;                  /* on the server */
    uint64_t bound;               /* whose parameter types the server remembers, 0 = nobody's */
    uint64_t first_types;         /* on MySQL: those that it was first executed with, hashed; 0 = it was not */
    bool is_open;                 /* a cursor or long data: not to be closed for want of room */
    bool is_executed;             /* it has been; the first time to open a cursor             */
    bool is_for_cursors;
};

/* ---- pipeline.c: short reads of several sessions on one busy connection ---------------- */

struct backend;

/* How a statement may be written onto a connection that is busy with others of its kind, instead of
 * waiting for an idle one: a plain read outside of transactions that is known to be short, and may be run
 * again.  Answers come in the order of the statements; the session whose turn it is holds the lease. */
struct follow {
    /* May it?  Then sets `deepest`.  Asked when connections are scarce. */
    bool (*may)(struct follow *f);
    /* Append the statement to be->stream.out, if it needs nothing else there.  Never parks; called
     * from other tasks, too, while its own is parked in pool_take(). */
    bool (*board)(void *arg, struct backend *be);
    void *arg;
    unsigned deepest;             /* at most so many before it                             */
    bool is_sent;                 /* out: the statement is; its answer is what comes next  */
    bool was_lost;                /* out: it was, and its answer will never come           */
};

/* The holder's statement is of that kind and has been sent: others may follow it, until the lease is put
 * back.  Does nothing while connections can still be made. */
void backend_lead(struct backend *be);
/* Were connections scarce on this worker lately?  Else nobody leads or follows. */
bool pool_is_scarce(const struct worker *w);
/* Do any, or did some whose answers are still to come?  Then the holder must not write, nor keep the
 * connection. */
bool backend_is_followed(const struct backend *be);
/* The holder, whose answer has been read, needs the connection for more than that: those who follow are
 * sent away, to run elsewhere, and their answers thrown away.  Parks.  False as for backend_ask(). */
bool backend_recall(struct task *t, struct backend *be, double deadline, struct fault *why);

/* ---- backends --------------------------------------------------------------------- */

/* What a lease must fit besides the session's state. */
struct lease_terms {
    struct server *server;
    struct account *account;          /* on the servers; the caller holds it */
    uint64_t fit;                     /* CAPS_FIT flags of the session */
    struct state *state;              /* wanted: the nearest is preferred */
    uint16_t collation;               /* to log in with, when a connection has to be made */
    const struct ends *client;        /* to be told to the server; NULL: it does not ask   */
    bool sure;                        /* look at the socket before giving an idle one: the command
                                         can't be sent twice                               */
    struct follow *follow;            /* NULL: it needs a connection for itself            */
};

enum backend_place {
    BACKEND_OPENING,              /* a task makes or resets it; in no list                */
    BACKEND_IDLE,                 /* pool->idle                                           */
    BACKEND_LEASED,               /* a session holds it                                   */
    BACKEND_IN_MAIL,              /* on its way to another worker                         */
    BACKEND_CLOSING,              /* in no list; its holder frees it                      */
};

/* An account whose password has expired may log in, but the server lets nothing pass then except what
 * changes it.  Such a connection is for one session, also when that has changed the password. */
enum sandbox { SANDBOX_NONE, SANDBOX_IN, SANDBOX_LEFT };

/* An answer that the server owes and no client will see. */
enum owed { OWED_SET, OWED_SCHEMA, OWED_OPTION, OWED_CLEAR, OWED_SIGNAL, OWED_BEGIN };

struct pool;
struct backend {
    struct stream stream;
    struct list link;             /* pool->idle while IDLE; pool->leaders while it leads   */
    enum backend_place place;
    struct pool *pool;            /* of the worker that owns it now                       */
    struct server *server;        /* counted                                              */
    struct state *state;          /* counted; see state_in_doubt                          */
    struct tracking *usual;       /* what it reports unless told otherwise; counted. NULL: nothing */
    struct state *fresh;          /* counted; as it was after the login or the last reset  */
    uint64_t caps;                /* negotiated                                           */
    uint16_t collation;           /* of the login, restored by a reset                     */
    uint64_t tls_number;          /* of the context that it was made with                  */
    uint32_t thread_id;           /* on the server                                        */
    bool is_mariadb;
    bool has_greeted;
    bool reports_vaguely;         /* its reports of variables may mean others: session/unclear.c */
    bool state_in_doubt;          /* a restore was refused or not answered: not for reuse  */
    bool interrupted;             /* see backend_interrupt()                              */
    enum sandbox sandbox : 8;
    enum track_gtids gtids : 8;   /* its session_track_gtids                               */
    bool reports_as_asked;        /* its session_track_* are the client's, not ours         */
    bool redirects;               /* MariaDB: it has a redirect_url                         */
    bool multi_statements;        /* as COM_SET_OPTION last said; no reset changes it     */
    bool schema_is_old;           /* its collation was reset or may be another by now: enter it
                                     again before a session that is in it goes on          */
    bool insert_id_in_doubt;
    bool had_user_vars;           /* some were set to NULL to be gone: not the same as never set */
    bool has_diagnostics;         /* the last statement left warnings or an error         */
    bool undoes;                  /* the SET it owes takes back what another session had set */
    bool joined_refused;          /* a text ended at a statement of ours: what it was for has not run */
    uint32_t max_packet_bytes;    /* max_allowed_packet; 0 = not known                     */
    uint8_t n_owed;               /* answers before that of the command                   */
    uint8_t n_joined;             /* the last ones of these are of statements in its own text */
    enum owed owed[8];
    uint64_t opened_us, idle_since_us;
    uint64_t expires_us;          /* age limit with its jitter; 0 = none                  */
    uint64_t commands;
    uint64_t ticket;              /* of the present or the last lease, unique on its worker */
    struct list all;              /* pools->all of the worker that owns it                 */
    uint32_t holder_id;           /* of the session, for operators                        */
    uint64_t insert_id;           /* LAST_INSERT_ID() there, if it is known               */
    void *holder;                 /* the session that leases it                           */
    void (*lost)(struct backend *be); /* see backend_watch()                              */
    void (*wanted)(struct backend *be); /* see backend_offer()                            */
    struct map statements;        /* stmt_text pointer -> backend_stmt                    */
    struct list statements_used;
    /* pipeline.c */
    struct list unsent;           /* in pools->unsent                                      */
    struct list followers;        /* those whose answers come next, in that order          */
    uint16_t n_followers;
    uint16_t n_stale;             /* answers to come that nobody waits for                 */
    uint16_t n_turns, turns_seen; /* of this lease; as the last tick saw it                */
    uint8_t still_ticks;
    bool leads;
};

/* Lease a backend, waiting in the queue until `deadline` (loop time) if none is free.  The caller
 * holds it until pool_put().  Parks.  NULL with `why`: SERVER (could not connect; the server's own
 * error code if it sent one), TIME (the queue's deadline; 1040), OURS. */
struct backend *pool_take(struct task *t, const struct lease_terms *terms, double deadline,
                          struct fault *why);

/* How a connection is logged in when the password is not known: whoever knows it is asked. */
struct login_relay {
    /* The server has sent this (its header included), neither OK nor ERR: append the answer's
     * payload, if one is due.  `is_private`: nobody between us and the server can read along.  False:
     * there will be none.  Parks. */
    bool (*answer)(struct task *t, struct login_relay *r, struct bytes payload, bool is_private,
                   struct buf *answer, bool *has_answer, struct fault *why);
};
/* Lease a connection made now, as proof that the account holds: with what is known of it, or
 * (relay not NULL) as somebody else answers.  An idle one of the account makes place.  Parks.  NULL
 * with `why`: as pool_take(); POLICY also when too little is known of the password. */
struct backend *pool_open(struct task *t, const struct lease_terms *terms, struct login_relay *relay,
                          double deadline, struct fault *why);
/* This leased backend's account, of which nothing was known, turned out to be this one. */
void backend_adopt(struct backend *be, struct account *account);

/* Did the server refuse the account (locked, another password, too many connections, ...)?  Then it is
 * as well as before. */
bool fault_is_about_account(const struct fault *why);

/* Lease again the backend that this worker leased with this ticket, if nobody has had it since.
 * NULL otherwise.  Never parks. */
struct backend *pool_take_again(struct worker *w, uint64_t ticket);

enum put {
    PUT_CLEAN,                    /* fit for anybody once its state is aligned             */
    PUT_RESET,                    /* holds what SETs can't undo: reset it first            */
    PUT_CLOSE,                    /* its conversation can't be trusted                     */
    PUT_DROP,                     /* it is no conversation any more: close without a goodbye */
    PUT_KILL,                     /* nobody waits any more for what it runs: close it and have
                                     the server end it                                    */
};
/* Give a leased backend back: to the oldest want, else to idle, or reset or close it.  Never parks
 * (a reset runs as a task of its own). */
void pool_put(struct backend *be, enum put how);

/* While the holder of a lease is idle: `lost` is called on the loop, once, when the server has closed
 * the connection or says why it does.  NULL ends the watch, as the holder must before it uses the
 * connection. */
void backend_watch(struct backend *be, void (*lost)(struct backend *be));
/* Of a connection that was lost so: the server's error, if it sent one. */
bool backend_last_words(const struct backend *be, struct fault *why);
/* Besides, an idle holder that could do without may be asked for it, once, when somebody has to wait:
 * `wanted` puts it back, now or soon, or says backend_keep().  (NULL: it can't.)  Ends with the watch. */
void backend_offer(struct backend *be, void (*wanted)(struct backend *be));
/* The holder was asked and can't do without: another one is asked. */
void backend_keep(struct backend *be);

/* Have the server interrupt the command that this leased backend runs (KILL QUERY from another connection
 * of the same account).  Never parks: a task of its own does it.  The backend will not serve another
 * session: by then the interruption might hit that one. */
void backend_interrupt(struct backend *be);

/* Reset now and keep the lease: COM_RESET_CONNECTION and our trackers.  The state is then that of
 * a login (with the schema kept).  False: the backend must be put back with PUT_CLOSE. */
bool backend_reset(struct task *t, struct backend *be, double deadline, struct fault *why);

/* Send one command and read its one-packet answer (OK, or ERR as a fault of QUERY with the
 * server's code and text; the backend stays usable).  For commands of our own. */
bool backend_ask(struct task *t, struct backend *be, uint8_t command, struct bytes argument,
                 double deadline, struct fault *why);
/* The same, and what the OK says (copies in the task's arena). */
bool backend_ask_ok(struct task *t, struct backend *be, uint8_t command, struct bytes argument,
                    struct ok *ok, double deadline, struct fault *why);
/* A query of our own that gives one row of n values (copies in the task's arena, NULL as data
 * NULL); as backend_ask() otherwise. */
bool backend_ask_row(struct task *t, struct backend *be, struct bytes sql, struct bytes *values,
                     size_t n, struct fault *why);
/* Rows of text that are asked for: values row by row (copies in the task's arena, NULL as data NULL). */
struct ask_rows {
    struct bytes *values;
    size_t n_columns, max_rows;
    size_t n_rows;                /* out                                                  */
    uint16_t charset;             /* out: of the last column's definition; 0 if there was none */
};
/* Likewise, of any number of rows up to max_rows. */
bool backend_ask_rows(struct task *t, struct backend *be, struct bytes sql, struct ask_rows *rows,
                      struct fault *why);
/* Likewise, of exactly one row: as backend_ask_row(), for who wants to know the charset, too. */
bool backend_ask_one(struct task *t, struct backend *be, struct bytes sql, struct ask_rows *row,
                     struct fault *why);
/* The fault of a server whose answer to a question of ours can't be one.  False. */
bool backend_nonsense(const struct backend *be, struct fault *why);
/* A whole small result set (copies in the task's arena): the definitions' packets as they came, the
 * rows' payloads, the warnings its end told of.  No columns: it was an OK.  `columns` is NULL then, and when
 * the session has switched definitions off. */
struct result_set {
    unsigned n_columns;
    size_t n_rows;
    struct bytes *columns, *rows;
    uint16_t warnings;
};
/* Read the result set of a query that backend_write() has appended and that was flushed.  False as above;
 * OURS (nothing of it is left in the stream) when it has more than max_rows rows. */
bool backend_read_result(struct task *t, struct backend *be, size_t max_rows, double deadline,
                         struct result_set *out, struct fault *why);
/* The next step of a response that is read here and passed on to nobody; what it found lies in the stream, the
 * caller skips it.  Parks.  STEP_BAD with `why`; never STEP_MORE. */
enum response_step backend_step(struct task *t, struct backend *be, struct response *r,
                                struct response_found *f, double deadline, struct fault *why);
/* Have it report what Volvox wants to hear (`as` NULL), or something else.  As backend_ask(). */
bool backend_report(struct task *t, struct backend *be, const struct tracking *as, struct fault *why);
/* It is in this state now (a reference of its own is taken). */
void backend_set_state(struct backend *be, struct state *state);
/* Append a command to the stream without sending it. */
void backend_write(struct backend *be, uint8_t command, struct bytes argument);
/* Read and check the owed answers.  False: QUERY when the server refused one (all are read then, and there will
 * be no other if that was in the command's own text, see `joined_refused`; the backend's state is in doubt and
 * it will be closed when it is put back), else SERVER or TIME.  SERVER also when taking back another session's
 * settings was refused: on another connection it may go well. */
bool backend_settle_owed(struct task *t, struct backend *be, double deadline, struct fault *why);

/* Statements prepared on a backend. */
struct backend_stmt *backend_stmt_find(struct backend *be, struct stmt_text *text);
/* Add (an older id of the same text is closed); over the limit the least recently used one is
 * closed, in the same send as the next command. */
struct backend_stmt *backend_stmt_add(struct backend *be, struct stmt_text *text, uint32_t id,
                                      unsigned limit);
/* Close on the server (no answer comes) and forget. */
void backend_stmt_close(struct backend *be, struct backend_stmt *bs);

/* What a server told Volvox when it last logged in from this worker (welcome.c); NULL when it has not. */
struct welcome {
    unsigned number;              /* the server's                                         */
    struct tracking *usual;       /* counted; may be NULL                                 */
    struct bytes at_login;        /* the entries of its OK                                */
};
const struct welcome *pool_welcome(const struct worker *w, const struct server *server);

/* ---- per worker --------------------------------------------------------------------- */

void pools_worker_init(struct worker *w, struct worker *const *workers, unsigned n_workers);
/* Close what is idle; leased ones must have been put back.  Before the loop ends. */
void pools_worker_drain(struct worker *w);
void pools_worker_release(struct worker *w);
/* Hooks for config_on_swap() and topology_on_swap(): close what must not be used any more. */
void pools_configured(struct worker *w, const struct config *now);
void pools_topology(struct worker *w, const struct topology *now);

/* ---- for operators (report.c) ---------------------------------------------------------- */

struct backend_row {
    unsigned followers;           /* statements that were written behind the holder's      */
    char server[65], user[81];
    unsigned worker;
    const char *place;            /* "idle", "leased", "opening"                          */
    uint32_t thread_id;           /* on the server                                        */
    uint64_t age_us, idle_us;     /* durations; idle_us only while idle                   */
    uint64_t state;               /* fingerprint: equal states have equal numbers         */
    char tls[12], cipher[48];     /* "TLSv1.3", ...; "" = in clear                        */
    char schema[65];
    unsigned n_vars, n_statements;
    uint64_t commands;
    uint32_t session;             /* id of the session that holds it, 0 = none            */
    const char *compression;      /* "zlib", "zstd"; NULL = none                          */
    char client_host[64];         /* that the server was told of; "" = none                */
};
struct pool_row {
    char server[65], user[81];
    unsigned worker, idle, held, waiting;
    uint64_t fit;
    char client_host[64];         /* as above                                              */
};
/* The worker's own thread (through worker_ask()); at most `max` rows each. */
size_t backends_copy(struct worker *w, struct backend_row *rows, size_t max);
size_t pools_copy(struct worker *w, struct pool_row *rows, size_t max);

#endif
