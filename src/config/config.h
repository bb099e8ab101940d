/*
 * config.h - from INI text to one immutable snapshot.
 *
 * Loaded on the control thread (blocking file reads); a loaded snapshot is
 * never changed and is shared by counted reference: config_take()/config_drop()
 * on any thread.  Every worker points to the one in force and swaps the pointer
 * between loop turns when mail brings a newer one; commands under way keep
 * theirs.
 *
 * Three sources, later ones win: the file; the file that its runtime_file names, written by
 * SAVE CONFIG; overrides, set by SET and kept in memory.
 *
 * All options stand in one table (options.c): name, type, default, bounds, whether a
 * reload may change it, help.  Validation, `volvox --help-config`, docs/configuration.md
 * and the admin port's `settings` come from that table.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "accounts/accounts.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/ref.h"
#include "net/net.h"
#include "protocol/protocol.h"

/* ---- sections ------------------------------------------------------------------ */

/* Where each option of a section was set; config_setting() reads it. */
struct origins;

/* Files in PEM, as written; "" = none. */
struct tls_files {
    char *certificate, *key;            /* our own, and its key ("" = in the same file)  */
    char *ca, *crl;                     /* who signs the others', and what they revoked  */
};

/* [volvox].  Sizes in bytes, times in the unit of the name; 0 means "no limit" or
 * "off" where the option's help says so. */
struct settings {
    unsigned workers;                   /* 0: one per core                               */
    unsigned max_connections;           /* clients, all listeners together               */
    unsigned backlog;
    char *log_file;                     /* "" = stderr                                   */
    enum log_level log_level;
    char *log_areas_text;               /* as written: "pool=debug,servers=warn"         */
    struct log_areas log_areas;         /* the same for log_areas_set()                  */
    bool audit;                         /* log every login and every refusal             */
    char *pid_file;
    char *runtime_file;                 /* as written; "" = none: config_save() refuses  */
    char *server_version;               /* greeting as long as no server has answered    */
    char *rsa_key_file;                 /* "" = a key made at start                      */
    unsigned login_timeout_ms, idle_timeout_s, linger_ms, drain_timeout_s;
    unsigned max_sessions_logging_in;   /* per worker                                    */
    unsigned login_failures;            /* of an address, before it is slowed; 0: never  */
    unsigned login_failures_window_s, login_delay_ms;
    unsigned accounts_recheck_s;        /* auth = servers: ask the servers again         */
    unsigned accounts_lifetime_s;       /* learnt from logins: forget when unused        */
    unsigned accounts_remembered;
    uint64_t max_packet_bytes;          /* what is read whole: the text of a statement to
                                           be routed may be longer, it streams           */
    uint64_t memory_limit_bytes;
    unsigned max_statements;            /* prepared, per session                         */
    unsigned statements_per_backend;

    unsigned slow_query_ms;             /* 0: no slow log                                */
    unsigned slow_query_sample;         /* log one of so many; 1: all                    */
    unsigned digests;                   /* per worker; 0: none                           */
    unsigned digest_text_bytes;

    char *monitor_user, *monitor_password, *monitor_password_file;
    unsigned monitor_interval_ms, monitor_timeout_ms, monitor_fall, monitor_rise, probe_threads;

    unsigned connect_timeout_ms;        /* dial and log in to a server                   */
    unsigned queue_timeout_ms;          /* wait for a backend                            */
    unsigned pool_min_idle;             /* per server and user in use                    */
    unsigned pool_max_idle;             /* per server and user and worker                */
    unsigned pool_idle_timeout_s, pool_max_age_s, pool_max_commands, pool_jitter_percent;
    struct keepalive server_keepalive, client_keepalive;

    struct tls_files tls_files;         /* towards clients                               */
    enum tls_version tls_min_version;   /* this and the next two: on both hops           */
    char *tls_ciphers, *tls_ciphersuites;
    struct tls_context *tls_context;    /* for listeners without files, and operators; NULL =
                                           no file was read (config_parse())              */
    struct origins *origins;
};

struct admin_config {                   /* [admin] */
    char *address;                      /* "" = no admin port                            */
    struct address resolved;            /* len 0 = no admin port                         */
    unsigned max_connections;
    unsigned statement_timeout_ms;
    enum tls_want tls;                  /* as of a listener                              */
    struct origins *origins;
};

struct http_config {                    /* [http] */
    char *address;                      /* "" = no HTTP listener                         */
    struct address resolved;            /* len 0 = no HTTP listener                      */
    struct origins *origins;
};

enum admin_access { ADMIN_READ,         /* may look                                      */
                    ADMIN_FULL };       /* may change things                             */

struct admin_user_config {              /* [admin_user NAME] */
    char *name;
    struct secret secret;
    char *password_file, *password_hash; /* as written                                   */
    enum admin_access access;
    struct origins *origins;
};

enum balance { BALANCE_ROUND_ROBIN, BALANCE_WEIGHTED, BALANCE_LEAST_OUTSTANDING,
               BALANCE_FIRST_AVAILABLE };
enum reads { READS_REPLICAS,            /* plain reads go to replicas                    */
             READS_ALL,                 /* ... and to the primary as well                */
             READS_PRIMARY };           /* no split                                      */
enum no_replica { NO_REPLICA_PRIMARY,   /* then reads go to the primary                  */
                  NO_REPLICA_ERROR };   /* then they fail                                */
enum pipelining { PIPELINING_AUTO,      /* short reads share busy connections            */
                  PIPELINING_OFF };
enum auth_source { AUTH_FILE,           /* users are those of this file                  */
                   AUTH_SERVERS };      /* others are the servers' accounts              */
enum server_role { SERVER_AUTO,         /* the probe's read_only decides                 */
                   SERVER_PRIMARY, SERVER_REPLICA };

struct group_config {                   /* [group NAME] */
    char *name;
    enum balance balance;
    enum reads reads;
    enum no_replica no_replica;
    unsigned max_lag_ms;                /* 0: any lag will do                            */
    enum pipelining pipelining;
    enum auth_source auth;
    enum tls_want tls;                  /* for servers that say nothing else             */
    struct tls_files tls_files;
    unsigned index;                     /* in config.groups                              */
    struct origins *origins;
};

/* TLS_AS_GROUP, else one more than the enum tls_want. */
enum server_tls { TLS_AS_GROUP };

struct server_config {                  /* [server NAME] */
    char *name;
    char *address;                      /* as written: host:port or a socket's path      */
    struct address resolved;            /* at load time                                  */
    enum server_role role;
    unsigned weight;                    /* 0: only when nothing else is left             */
    unsigned max_connections;
    enum compression compression;
    unsigned compression_level;         /* 0: the algorithm's usual one                  */
    enum proxy_version proxy_protocol;
    unsigned group;                     /* index in config.groups                        */
    enum server_tls tls;
    struct tls_files tls_files;         /* its group's where they are empty              */
    char *tls_server_name;              /* to verify; "" = the host in `address`         */
    struct tls_context *tls_context;    /* NULL: without TLS                             */
    char *tls_certificate_path, *tls_key_path; /* in force, for the client library; or NULL */
    struct origins *origins;
};

#define ANY_USER "*"                    /* [user *]: accounts of the servers that have no
                                           section of their own                          */
enum user_tls { USER_TLS_ANY,           /* with or without                               */
                USER_TLS_REQUIRED,
                USER_TLS_X509 };        /* and with a certificate that we believe        */

enum user_pins { USER_PINS_ALLOWED,     /* its sessions may keep a connection            */
                 USER_PINS_LOGGED,      /* ... the log says so                           */
                 USER_PINS_DENIED };    /* statements that would make them are refused   */

struct user_config {                    /* [user NAME] */
    char *name;
    bool asks_servers;                  /* the servers know the password, not this file: no
                                           secret and no account                         */
    struct secret secret;               /* what the client must prove                    */
    char *server_user;                  /* name on the servers (default: the same)       */
    struct account *account;            /* on the servers                                */
    bool has_server_password;           /* else it is the client's                       */
    char *schema;                       /* when the client names none; may be ""         */
    unsigned group;
    unsigned max_connections;           /* 0: no limit of its own                        */
    bool split_reads;
    enum user_pins pins;
    enum user_tls tls;
    char *tls_subject, *tls_issuer;     /* of its certificate; "" = any                  */
    char *password_file, *password_hash, *server_password_file; /* as written            */
    struct origins *origins;
};

enum { COMPRESSION_OF_SERVERS = 4 };    /* what the servers offer                        */

struct listener_config {                /* [listener NAME] */
    char *name;
    char *address;
    struct address resolved;
    unsigned max_connections;           /* 0: only the global limit                      */
    unsigned compression;               /* offered: bits of enum compression, or ...     */
    unsigned compression_level;
    char *proxy_protocol;               /* as written                                    */
    struct network *proxies;            /* whose PROXY headers are believed              */
    unsigned n_proxies;
    int group;                          /* index, or -1: the user's                      */
    enum tls_want tls;                  /* disabled, preferred or required               */
    struct tls_files tls_files;         /* [volvox]'s where they are empty               */
    struct tls_context *tls_context;    /* NULL: disabled                                */
    struct origins *origins;
};

struct config {
    struct ref ref;
    uint64_t number;                    /* 1, 2, ... in order of loading                 */
    char *file;
    char *runtime_file;                 /* its path; NULL = none is named                */
    struct config_text {                /* what was read: secrets, for config_change()   */
        char *text;
        size_t len;
    } main_text, runtime_text;
    struct settings settings;
    struct admin_config admin;
    struct http_config http;
    struct group_config *groups;        /* in the file's order                           */
    struct server_config *servers;
    struct user_config *users;          /* sorted by name                                */
    struct listener_config *listeners;
    struct admin_user_config *admin_users; /* sorted by name                             */
    unsigned n_groups, n_servers, n_users, n_listeners, n_admin_users;
    struct map accounts;                /* of the users: account key -> account          */
    uint8_t decoy_key[32];              /* see config_decoy()                            */
};

/* ---- loading --------------------------------------------------------------------- */

/* Complaints, all of them, in the order of the file. */
struct complaint {
    char file[256];                     /* "runtime": about what was set at run time     */
    unsigned line;                      /* 0: about the file as a whole                  */
    unsigned order;                     /* of the list: main file, runtime file, runtime */
    bool is_error;                      /* else a warning                                */
    char text[400];                     /* no secrets                                    */
};
struct complaints {
    struct complaint *items;
    unsigned count, errors, cap;
};
void complaints_release(struct complaints *c);

/* What was set at run time, in the order of the first SET of each; see overrides.c. */
struct override {
    char *section, *name, *key, *value; /* name "" for [volvox], [admin], [http]         */
};
struct overrides {
    struct override *items;
    unsigned count;
};
#define OVERRIDES_NONE ((struct overrides){ NULL, 0 })

/* Read `file` and its runtime_file, put `overrides` (NULL = none) on top, resolve addresses
 * (BLOCKING), check everything.  NULL if there is any error; `out` (initialised here) holds
 * errors and warnings either way, release it.  An override of a section that is gone is only
 * warned of. */
struct config *config_load_with(const char *file, const struct overrides *overrides,
                                struct complaints *out);
struct config *config_load(const char *file, struct complaints *out);
/* For SET: what `now` was read from, as it was then, with these overrides instead of those it
 * has.  No file is read again and no name resolved again but those that the change brings. */
struct config *config_change(const struct config *now, const struct overrides *overrides,
                             struct complaints *out);
/* From text and without I/O, for tests and fuzzing: an address that is not numeric or a
 * password in a file is an error, runtime_file is not read. */
struct config *config_parse(struct bytes text, const char *file, struct complaints *out);
struct config *config_parse_with(struct bytes text, const char *file,
                                 const struct overrides *overrides, struct complaints *out);

struct config *config_take(struct config *c);
void config_drop(struct config *c);     /* NULL is fine; the last one frees */

/* NULL: not in the file. */
const struct user_config *config_user(const struct config *c, struct bytes name);
/* What holds for the servers' accounts that are not in the file; NULL: they may not come in. */
const struct user_config *config_any_user(const struct config *c);
/* The user whose part an unknown name plays at login, so that the packets and the work are those that
 * some user would see: always the same one for a name, as long as the file's users and passwords are the
 * same.  NULL: no user has a password. */
const struct user_config *config_decoy(const struct config *c, struct bytes name);
bool config_has_account(const struct config *c, const struct account *a);
const struct server_config *config_server(const struct config *c, struct bytes name);
const struct listener_config *config_listener(const struct config *c, struct bytes name);
const struct admin_user_config *config_admin_user(const struct config *c, struct bytes name);

/* What a reload from `now` to `next` changes, in words, one sentence a line; and what
 * can't change without a restart ("needs a restart: ..."), which keeps the old value:
 * such settings are copied from `now` into `next`.  The caller frees the text. */
char *config_diff(const struct config *now, struct config *next);

/* ---- overrides (overrides.c) ---------------------------------------------------------- */

/* A setting by one name, as SET has it: "queue_timeout" (of [volvox]), "admin.max_connections",
 * "server db1.weight".  Views of the name.  False (POLICY) with a suggestion if `c` has no such
 * section or the section no such option. */
struct setting_name {
    struct bytes section, name, key;
};
bool setting_name_read(const struct config *c, struct bytes text, struct setting_name *out,
                       struct fault *why);

/* Set one, or replace its value.  False (POLICY), unchanged: unknown, not to be changed without a
 * restart, a value that no file could hold or that makes no sense in itself.  What it means for
 * the rest only config_change() finds out: set it in a copy, and keep that if it can be loaded. */
bool overrides_set(struct overrides *o, const struct config *c, const struct setting_name *setting,
                   struct bytes value, struct fault *why);
/* Forget one; false if there was none. */
bool overrides_remove(struct overrides *o, const struct setting_name *setting);
void overrides_copy(struct overrides *to, const struct overrides *from);
void overrides_release(struct overrides *o);

/* BLOCKING.  Read a file that overrides_save() wrote: `o` (initialised here) is empty when there
 * is no such file.  False (OURS) when it can't be read or makes no sense. */
bool overrides_load(struct overrides *o, const char *path, struct fault *why);
/* BLOCKING.  Write the file whole or not at all: a temporary file beside it (mode 0600), fsync,
 * rename, fsync of the directory. */
bool overrides_save(const struct overrides *o, const char *path, struct fault *why);
/* SAVE CONFIG: put the overrides over what c's runtime_file holds.  The path written (the
 * caller frees), or NULL: there is none (POLICY: says which option to set), or OURS.  The file
 * then has them: the caller may release them and load the configuration again. */
char *config_save(const struct config *c, const struct overrides *o, struct fault *why);

/* ---- the option table -------------------------------------------------------------- */

enum option_type { OPTION_UINT, OPTION_BOOL, OPTION_TEXT, OPTION_SECRET, OPTION_ENUM, OPTION_SIZE,
                   OPTION_TIME_MS, OPTION_TIME_S };
struct option {
    const char *section;                /* "volvox", "listener", "group", "server", "user",
                                           "admin", "admin_user", "http"                   */
    const char *name;
    enum option_type type;
    size_t offset;                      /* in the section's struct, or OPTION_NO_FIELD     */
    const char *fallback;               /* default as written; NULL = required             */
    uint64_t min, max;
    const char *const *words;           /* OPTION_ENUM: names in the enum's order, NULL-ended */
    bool reloadable;
    const char *help;
};
/* Of options that name something else (a group, a file, the password behind a struct
 * secret): the loader puts what they name where it belongs. */
#define OPTION_NO_FIELD SIZE_MAX
extern const struct option options[];
extern const unsigned n_options;

/* One option of one section as it is in force. */
struct setting {
    const struct option *option;
    const char *name;                   /* of the section's object; "" for [volvox], ...    */
    char value[512];                    /* as it would stand in a file, without quotes;
                                           secrets as "***" unless empty; long ones cut     */
    char where[300];                    /* "default", "file FILE:LINE" or "runtime"         */
};
/* Option `option_index` of the table in the section_index-th section of its kind (its index in
 * config.users, ...; 0 for [volvox], ...).  False if there is no such section. */
bool config_setting(const struct config *c, unsigned option_index, unsigned section_index,
                    struct setting *out);
/* All of them, section by section; views end with the call. */
void config_walk_settings(const struct config *c,
                          void (*row)(void *arg, const struct setting *s), void *arg);

/* The reference as Markdown (docs/configuration.md) to a stream. */
void options_print_markdown(FILE *to);

/* ---- publication: the snapshot in force, per worker ----------------------------------- */

/* The control thread announces a new snapshot: every worker gets a reference by mail and
 * swaps.  `swapped` (may be NULL) was registered by the folders above and runs on each
 * worker after its swap. */
void config_publish(struct config *c, struct worker **workers, unsigned n);
void config_worker_init(struct worker *w, struct config *c);      /* before worker_start */
void config_worker_release(struct worker *w);                     /* after worker_join   */
void config_on_swap(void (*swapped)(struct worker *w, const struct config *now));
/* The worker's present snapshot; take a reference to keep it across a park. */
struct config *worker_config(const struct worker *w);

#endif
