/*
 * session.h - one client: login, commands, goodbye.
 *
 * Runs on workers; a session never changes its worker.  An idle session is plain data: no
 * task, no buffers.  While a command (or the login) is served, a task holds the session and
 * is the only one that may free it; others ask it to end with task_cancel().
 *
 * Begin reading with session.c: serve_command() is the product in one page.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "pool/pool.h"
#include "router/router.h"

/* What all workers' sessions share; filled by main before the workers start. */
struct sessions_shared {
    const struct rsa_key *rsa;
    uint8_t scramble_secret[32];
    atomic_uint open;             /* clients, logged in or not, all workers               */
    atomic_ullong next_turn;      /* of thread ids, see ids.c                             */
    struct habits {
        atomic_ullong bits[16];   /* by hash of the user's name                           */
    } counts;                     /* its sessions ask for ROW_COUNT() or FOUND_ROWS()       */
    pthread_mutex_t quota_lock;
    struct map quotas;            /* user name -> struct quota, only users with a limit    */
    struct account_store learnt;  /* what logins told of accounts                         */
    struct throttle *throttle;    /* failed logins by address                             */
    atomic_uint routines_changed; /* how often, routines.c                                */
};
void sessions_shared_init(struct sessions_shared *shared, const struct rsa_key *rsa);
void sessions_shared_release(struct sessions_shared *shared);

/* What a listener's sessions need of it; lives until the process ends. */
struct session_door {
    const char *listener;         /* its name in the configuration                        */
    atomic_uint open;             /* sessions that came through it                        */
};

/* An accepted client on its way to a worker (MAIL_CLIENT); the acceptor has raised
 * shared->open, the session lowers it when it ends. */
struct client_mail {
    struct mail mail;
    int fd;
    int group;                    /* of the listener, -1: the user's */
    struct session_door *door;    /* of its listener: `open` is raised as well */
};

enum session_phase {
    SESSION_LOGIN,                /* sessions->logging_in, a task serves it               */
    SESSION_IDLE,                 /* sessions->idle, no task; may hold a lease            */
    SESSION_BUSY,                 /* sessions->busy, a task serves it                     */
    SESSION_CLOSING,              /* no list; freed when its task returns                 */
};

/* Why a session can't leave its backend; bits.  The first group ends by itself. */
#define PIN_TRANSACTION 0x00000001u    /* ends with it                                    */
#define PIN_DIAGNOSTICS 0x00000002u    /* warnings or an error may be asked for           */
#define PIN_COUNTS 0x00000004u         /* FOUND_ROWS() or ROW_COUNT() may be asked for    */
#define PIN_TABLE_LOCK 0x00000008u     /* LOCK TABLES, until UNLOCK                       */
#define PIN_ONE_SHOT 0x00000010u       /* SET TRANSACTION for the next one                */
#define PIN_IS_NULL 0x00000020u        /* while sql_auto_is_null is on: IS NULL may be about its INSERT */
#define PIN_EXPIRED 0x04000000u        /* it must change its password first               */
/* Held only in case the client asks about its last statement, or goes on in the same way: who wants to
 * leave may. */
#define PIN_PASSING (PIN_DIAGNOSTICS | PIN_COUNTS | PIN_EXPIRED)
#define PIN_USER_VAR 0x00000200u       /* until its value has been looked up               */
/* A session with no others may leave once it has taken along what these are about (leave.c). */
#define PIN_LEAVABLE (PIN_PASSING | PIN_USER_VAR)
/* These end with the last of what they are for, where that can be told (holdings.c), else as the following. */
#define PIN_TEMP_TABLE 0x00000100u
#define PIN_NAMED_LOCK 0x00000400u
#define PIN_HANDLER 0x00000800u
#define PIN_TEXT_PREPARE 0x00001000u
#define PIN_INSTANCE_LOCK 0x00400000u  /* FLUSH TABLES WITH READ LOCK, LOCK INSTANCE, BACKUP STAGE */
/* These last until the session is reset or ends. */
#define PIN_USER_VAR_HELD 0x00000040u  /* one that can't be put back elsewhere             */
#define PIN_PROCEDURE 0x00002000u      /* CALL: what it did can't be seen                 */
#define PIN_UNKNOWN 0x00004000u        /* the server reported a change without saying what */
#define PIN_ROLE 0x00008000u
#define PIN_RESOURCE_GROUP 0x00010000u
#define PIN_VARIABLE 0x00020000u       /* a variable that can't be replayed               */
#define PIN_REPLICATION 0x00040000u    /* registered as a replica, or reads the binary log */
#define PIN_PASSWORD 0x08000000u       /* it changed an expired one: nobody else's connection */
#define PIN_TRACKING 0x00080000u       /* it reports as the client asked, see tracking.c   */
#define PIN_UNTRACKED 0x00100000u      /* the server has no trackers                      */
#define PIN_LONG_TEXT 0x00200000u      /* a statement too long to be read whole           */
#define PIN_DOUBT 0x10000000u          /* a statement that could not be read for certain   */
#define PIN_ACCOUNT 0x00800000u        /* its password is not known: there is no other connection
                                          for it; lasts until the session ends              */
/* These end with the prepared statement that caused them. */
#define PIN_CURSOR 0x01000000u
#define PIN_LONG_DATA 0x02000000u

/* What the client believes done and no server has heard of; from the third on: a BEGIN. */
enum deferred { DEFERRED_NOTHING, DEFERRED_AUTOCOMMIT, DEFERRED_BEGIN, DEFERRED_READ_ONLY };

/* "temporary table, user variable", into out. */
void pins_print(uint32_t pins, char *out, size_t size);

struct sessions;
struct session_more;
struct session {
    struct list link;             /* by phase                                             */
    struct list all;              /* sessions->all, oldest first                          */
    struct sessions *home;        /* the worker's                                         */
    struct stream client;
    struct timeout idle;          /* while IDLE                                           */
    struct task *task;            /* who serves it, or NULL                               */
    struct config *config;        /* counted; `user` lies in it                           */
    const struct user_config *user; /* options that hold for it; NULL before the login    */
    struct account *account;      /* counted; NULL before the login                       */
    struct state *state;          /* counted                                              */
    struct backend *lease;        /* held                                                 */
    struct session_door *door;    /* its listener's                                       */
    struct session_more *more;    /* rare things; NULL until needed                       */
    uint64_t since_us;            /* of the phase                                         */
    uint64_t digest;              /* of the statement served last                         */
    int32_t row_count;            /* see counts.c                                         */
    uint32_t found_rows;
    uint64_t insert_id;           /* what LAST_INSERT_ID() is, as far as is certain       */
    uint64_t last_ticket;         /* of the lease that served the last command            */
    uint64_t caps;                /* agreed with the client                               */
    enum session_phase phase : 8;
    int listener_group : 24;      /* -1: the user's                                       */
    uint32_t id;                  /* the thread id in its greeting                        */
    uint32_t pins;
    uint32_t commands;
    uint16_t status;              /* flags of the last OK: transaction, autocommit, ...   */
    uint16_t collation;           /* as the client asked at login                         */
    uint16_t pin_entry;           /* see pins.c                                           */
    uint8_t code;                 /* of the command served last                           */
    bool multi_statements : 1;
    bool counts_lost : 1;         /* a query of ours came behind the last command's: what
                                     ROW_COUNT() and FOUND_ROWS() say is not about it      */
    bool has_select_limit : 1;    /* sql_select_limit is set                              */
    bool used_found_rows : 1;     /* we answered its last statement, FOUND_ROWS(): MySQL would have warned */
    bool knows_row_count : 1;
    bool knows_found_rows : 1;
    bool has_found_rows : 1;      /* ... the connection of `last_ticket` does             */
    bool is_wanted : 1;           /* somebody waits for the connection it holds           */
    bool is_stuck : 1;            /* ... and waits on: it has too much to take along       */
    bool is_paused : 1;           /* waits in pause.c                                     */
    bool is_held_back : 1;        /* waits in login_throttle.c                            */
    bool has_new_id : 1;          /* insert_id is in doubt: its lease may have another one  */
    bool has_quota : 1;           /* counts in the user's max_connections                 */
    bool explicit_transaction : 1; /* as told: see tell.c                                    */
    bool explicit_snapshot : 1;
    bool knows_status : 1;        /* `status` was said by a server                         */
    uint8_t unclear : 4;          /* reports of the last command left this open: unclear.c */
    bool is_waiting : 1;          /* for a backend                                         */
    bool is_killed : 1;           /* ends without a word                                   */
    bool is_interrupted : 1;      /* its task is cancelled, but only for this command       */
    bool reads_anew : 1;          /* `mode` has changed since its command was read         */
    bool says_own_id : 1;         /* the client has set pseudo_thread_id: own_id.c         */
    bool in_tunnel : 1;           /* see tunnel.c                                         */
    bool tracking_unseen : 1;     /* see tracking_changed_unseen()                         */
    bool asks_for_gtids : 1;      /* it has set session_track_gtids                        */
    uint8_t deferred : 2;         /* enum deferred: answered, and not yet run               */
    uint8_t failed_changes : 2;   /* of user                                              */
    uint8_t id_round;             /* how often ids came round before this one was given   */
    struct lexer_mode mode;       /* how the servers read its statements                  */
};

void sessions_worker_init(struct worker *w, struct sessions_shared *shared,
                          struct worker *const *workers, unsigned n_workers);
void sessions_worker_release(struct worker *w);
unsigned sessions_count(const struct worker *w);       /* any thread, for balancing */

/* Stop taking commands: idle sessions end now, busy ones after their command or transaction.
 * sessions_count() reaches 0 when all are gone. */
void sessions_drain(struct worker *w);
/* End all of them now: busy ones are cancelled. */
void sessions_end(struct worker *w);
/* Hook for config_on_swap(): sessions whose user has vanished or changed end. */
void sessions_configured(struct worker *w, const struct config *now);

/* "Too many connections" on a socket that gets no session; never blocks, does not close it. */
void session_refuse(int fd, unsigned code, const char *text);

/* ---- passwords (login_auth.c): for the admin port, too ------------------------------------ */

/* A login under way, or a change of user. */
struct talk {
    struct task *t;
    struct session *s;            /* NULL on the admin port                               */
    struct stream *client;
    const struct rsa_key *rsa;
    double deadline;
    uint64_t caps;                /* agreed with the client, once it has spoken           */
    enum auth_plugin usual;       /* of the greeting                                      */
    uint8_t seq;                  /* of our next packet                                   */
    uint8_t scramble[SCRAMBLE_BYTES]; /* of the greeting                                   */
    uint8_t n_stored;             /* of what follows; 0: nothing                          */
    uint8_t stored[ED25519_KEY_BYTES], stored_scramble[SCRAMBLE_BYTES];
};
/* The client proved its password, of which servers store this, with that scramble. */
void talk_note_stored(struct talk *k, struct bytes stored, const uint8_t scramble[SCRAMBLE_BYTES]);
/* Read the client's next packet into the task's arena.  Parks. */
bool talk_read(struct talk *k, struct bytes *payload, struct fault *why);
bool talk_flush(struct talk *k, struct fault *why);

/* What a client says first. */
struct offer {
    struct bytes plugin, token;
    bool is_change;               /* COM_CHANGE_USER: made for a scramble of long ago     */
};

/* What the client has to prove, and how that went. */
struct proof {
    const struct secret *secret;  /* of an account that does not exist: of another one    */
    bool exists;                  /* else the answer is no                                */
    bool must_tell;               /* only the password itself will do: what is known, and what
                                     tokens tell, is not enough to log in at servers      */
    bool is_right;                /* the answer                                           */
    bool was_empty;               /* it came without a password                           */
    struct secret learnt;         /* more than was known, if it is right: forms is 0 otherwise;
                                     proof_release() wipes it                             */
};
void proof_release(struct proof *p);
/* Have the client prove its password, with the plugin that it begins with if that will do, else
 * with another.  False: the conversation broke off, or there is no plugin that both can (POLICY).
 * Parks. */
bool check_password(struct talk *k, const struct offer *offer, struct proof *p, struct fault *why);
/* Have the client tell its password, with the plugin that it begins with if that tells, else with
 * caching_sha2_password, which the clients of both families have.  `told`, initialised here: what it is;
 * forms is 0 if what came makes no sense; release it.  False as above.  Parks. */
bool ask_password(struct talk *k, const struct offer *offer, struct secret *told, struct fault *why);
/* Does it begin with a plugin that tells the password? */
bool offer_tells(const struct talk *k, const struct offer *offer);
/* Does it, without more ado, prove this? */
bool offer_proves(struct talk *k, const struct offer *offer, const struct secret *secret);

/* Somebody at the door (login_throttle.c). */
struct comer {
    struct throttle *throttle;
    struct throttle_limits limits;
    struct address from;
    struct bytes user;            /* the caller's */
    char host[ADDRESS_TEXT_BYTES];
};
void comer_init(struct comer *c, struct sessions_shared *shared, const struct settings *settings,
                const struct address *from, struct bytes user);
/* Before the password is looked at: wait if the address has failed too often.  Parks.  False: too many
 * of it wait (POLICY), or the worker is stopping (TIME). */
bool comer_wait(struct talk *k, const struct comer *c, struct fault *why);
void comer_failed(struct talk *k, const struct comer *c);
void comer_succeeded(struct talk *k, const struct comer *c);

/* ---- for operators (report.c) ---------------------------------------------------------- */

/* One session as it is now. */
struct session_row {
    uint32_t id;
    unsigned worker;
    char user[81], host[64], schema[65], group[65];
    const char *phase;            /* "login", "idle", "busy", "paused"                    */
    const char *command;          /* COM_* it serves or served last, as SHOW PROCESSLIST says */
    uint64_t since_us;            /* in this phase, a duration                            */
    uint64_t digest;              /* of the statement it serves or served last            */
    char tls[12], cipher[48];     /* "TLSv1.3", ...; "" = in clear                        */
    char server[65];              /* of the backend it holds; "" = none                   */
    uint32_t server_thread;
    uint32_t pins;
    uint64_t commands, bytes_in, bytes_out;
    const char *compression;      /* "zlib", "zstd"; NULL = none                          */
    char through[64];             /* the load balancer that named `host`; "" = none        */
};
/* Copy sessions of this worker, at most `max`, those that follow the bookmark; returns how many (0 at
 * the end).  The worker's own thread (through worker_ask()): in pieces, so that a worker with
 * many sessions is never held up for long.  Begin with a zeroed bookmark; one walked to its end, or
 * dropped, is free again. */
struct session_bookmark {
    struct session place;         /* in the list of all sessions, recognised by having no home */
    bool at_end;
};
size_t sessions_copy(struct worker *w, struct session_bookmark *mark, struct session_row *rows,
                     size_t max);
void sessions_copy_drop(struct worker *w, struct session_bookmark *mark);

/* End a session, or (query_only) only the command that it has running, on the server too.  False if this
 * worker has no such session, or nothing running.  The worker's own thread. */
bool session_kill(struct worker *w, uint32_t id, bool query_only);

/* While a group (NULL: all) is paused, new commands of sessions outside of a transaction wait, at most
 * the configuration's queue_timeout; running ones finish.  The worker's own thread. */
void sessions_pause(struct worker *w, const char *group, bool paused);

/* Why sessions held backends: by reason and by the digest that began it. */
struct pin_row {
    const char *reason;
    uint64_t digest;              /* 0: others, beyond the table's bound                  */
    uint64_t count;               /* how often                                            */
    uint64_t held_us;             /* backend time, until now                              */
    unsigned now;                 /* pinned so at present                                 */
};
/* The worker's own thread; at most `max` rows. */
size_t pins_copy(struct worker *w, struct pin_row *rows, size_t max);

#endif
