/* The option table.  docs/configuration.md is made from it. */
#include "config/inside.h"

#include "base/str.h"

const char *const kind_names[KINDS] = { "volvox", "admin", "http",  "listener",
                                        "group",  "server", "user", "admin_user" };

static const char *const log_level_words[] = { "error", "warn", "info", "debug", NULL };
static const char *const balance_words[] = { "round-robin", "weighted", "least-outstanding",
                                             "first-available", NULL };
static const char *const reads_words[] = { "replicas", "all", "primary", NULL };
static const char *const no_replica_words[] = { "primary", "error", NULL };
static const char *const access_words[] = { "read", "full", NULL };
static const char *const auth_words[] = { "file", "servers", NULL };
static const char *const pipelining_words[] = { "auto", "off", NULL };
static const char *const offer_words[] = { "off", "zlib", "zstd", "zlib,zstd", "servers", NULL };
static const char *const compression_words[] = { "off", "zlib", "zstd", NULL };
static const char *const proxy_words[] = { "off", "v1", "v2", NULL };
static const char *const pin_words[] = { "allow", "log", "deny", NULL };
static const char *const role_words[] = { "auto", "primary", "replica", NULL };

static const char *const tls_version_words[] = { "TLSv1.2", "TLSv1.3", NULL };
static const char *const tls_words[] = { "disabled", "preferred", "required", NULL };
static const char *const group_tls_words[] = { "disabled",  "preferred",       "required",
                                               "verify-ca", "verify-identity", NULL };
static const char *const server_tls_words[] = { "group",    "disabled",  "preferred",
                                                "required", "verify-ca", "verify-identity",
                                                NULL };
static const char *const user_tls_words[] = { "any", "required", "x509", NULL };

#define SECOND 1000u
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY_S 86400u
#define MIB (1024ull * 1024)

#define IN_SETTINGS(field) offsetof(struct settings, field)
#define IN_LISTENER(field) offsetof(struct listener_config, field)
#define IN_GROUP(field) offsetof(struct group_config, field)
#define IN_SERVER(field) offsetof(struct server_config, field)
#define IN_USER(field) offsetof(struct user_config, field)
#define IN_ADMIN(field) offsetof(struct admin_config, field)
#define IN_HTTP(field) offsetof(struct http_config, field)
#define IN_ADMIN_USER(field) offsetof(struct admin_user_config, field)

/* Rows by type; `reload` says whether a reload may change it. */
#define UINT(section, name, at, fallback, min, max, reload, help) \
    { section, name, OPTION_UINT, at, fallback, min, max, NULL, reload, help }
#define SIZE(section, name, at, fallback, min, max, reload, help) \
    { section, name, OPTION_SIZE, at, fallback, min, max, NULL, reload, help }
#define MS(section, name, at, fallback, min, max, reload, help) \
    { section, name, OPTION_TIME_MS, at, fallback, min, max, NULL, reload, help }
#define SECONDS(section, name, at, fallback, min, max, reload, help) \
    { section, name, OPTION_TIME_S, at, fallback, min, max, NULL, reload, help }
#define TEXT(section, name, at, fallback, reload, help) \
    { section, name, OPTION_TEXT, at, fallback, 0, 0, NULL, reload, help }
#define SECRET(section, name, at, help) \
    { section, name, OPTION_SECRET, at, "", 0, 0, NULL, true, help }
#define WORD(section, name, at, fallback, words, help) \
    { section, name, OPTION_ENUM, at, fallback, 0, 0, words, true, help }
#define BOOL(section, name, at, fallback, help) \
    { section, name, OPTION_BOOL, at, fallback, 0, 0, NULL, true, help }

#define KEEPALIVE(who, whom)                                                                   \
    SECONDS("volvox", #who "_keepalive_idle", IN_SETTINGS(who##_keepalive.idle_s), "60s", 0,   \
            DAY_S, true,                                                                       \
            "TCP keepalive towards " whom ": probe a connection that was quiet for this long; " \
            "0 leaves it to the system, as for the next three."),                              \
    SECONDS("volvox", #who "_keepalive_interval", IN_SETTINGS(who##_keepalive.interval_s),     \
            "10s", 0, DAY_S, true, "Time between two keepalive probes."),                      \
    UINT("volvox", #who "_keepalive_count", IN_SETTINGS(who##_keepalive.count), "6", 0, 100,   \
         true, "Unanswered probes after which the connection counts as dead."),                \
    MS("volvox", #who "_keepalive_user_timeout",                                               \
       IN_SETTINGS(who##_keepalive.user_timeout_ms), "0", 0, HOUR, true,                       \
       "TCP_USER_TIMEOUT: sent data may stay unacknowledged for this long.")

#define TLS_FILE(section, in, what, help) \
    TEXT(section, "tls_" #what, in(tls_files.what), "", true, help)
#define TLS_FILES(section, in, certificate_help, key_help, ca_help, crl_help) \
    TLS_FILE(section, in, certificate, certificate_help),                     \
    TLS_FILE(section, in, key, key_help), TLS_FILE(section, in, ca, ca_help), \
    TLS_FILE(section, in, crl, crl_help)

const struct option options[] = {
    /* ---- the process ---- */
    UINT("volvox", "workers", IN_SETTINGS(workers), "0", 0, 1024, false,
         "Worker threads; 0 makes one per core."),
    UINT("volvox", "max_connections", IN_SETTINGS(max_connections), "10000", 1, 10000000, true,
         "Clients at the same time, all listeners together; one more is told error 1040."),
    UINT("volvox", "backlog", IN_SETTINGS(backlog), "4096", 1, 65535, false,
         "Connections the kernel keeps waiting for each listener until they are accepted."),
    TEXT("volvox", "log_file", IN_SETTINGS(log_file), "", false,
         "File for the log, opened again on SIGUSR1; empty is stderr."),
    WORD("volvox", "log_level", IN_SETTINGS(log_level), "info", log_level_words,
         "The least important lines that are still logged."),
    TEXT("volvox", "log_areas", IN_SETTINGS(log_areas_text), "", true,
         "Levels of their own for parts of Volvox: pool=debug,servers=warn. Parts are the folders "
         "of the source: main, base, protocol, router, run, stats, net, config, servers, pool, "
         "session, admin, http."),
    BOOL("volvox", "audit", IN_SETTINGS(audit), "no",
         "Log every login and every refusal: who came from where, and why not."),
    TEXT("volvox", "pid_file", IN_SETTINGS(pid_file), "", false,
         "File that holds the process id while Volvox runs; empty is none."),
    TEXT("volvox", "runtime_file", IN_SETTINGS(runtime_file), "", true,
         "File that SAVE CONFIG writes, with what was changed at run time. It is read after this "
         "one, at start and at each reload, and its values win; it may be absent. A path is "
         "relative to the directory of this file; Volvox must be able to create files beside it. "
         "Empty: nothing can be saved."),
    TEXT("volvox", "server_version", IN_SETTINGS(server_version), "8.4.0-volvox", true,
         "Version told to clients as long as no server of their group has answered; afterwards "
         "the primary's own."),
    TEXT("volvox", "rsa_key_file", IN_SETTINGS(rsa_key_file), "", false,
         "PEM file with the RSA private key for caching_sha2_password without TLS; empty makes "
         "a new key at each start."),
    SIZE("volvox", "max_packet", IN_SETTINGS(max_packet_bytes), "1M", 64 * 1024, 15 * MIB, true,
         "Longest command that is read whole. Longer ones are streamed to the primary."),
    SIZE("volvox", "memory_limit", IN_SETTINGS(memory_limit_bytes), "0", 0, UINT64_MAX, true,
         "Memory for the buffers of all connections together; 0 is no limit."),
    SECONDS("volvox", "drain_timeout", IN_SETTINGS(drain_timeout_s), "30s", 0, DAY_S, true,
            "How long a stop (SIGTERM) waits for transactions to end."),

    /* ---- clients ---- */
    MS("volvox", "login_timeout", IN_SETTINGS(login_timeout_ms), "10s", 100, HOUR, true,
       "A client must have logged in within this time."),
    UINT("volvox", "max_sessions_logging_in", IN_SETTINGS(max_sessions_logging_in), "1000", 1,
         1000000, true, "Clients that may be logging in at the same time, per worker."),
    UINT("volvox", "login_failures", IN_SETTINGS(login_failures), "20", 0, 1000000, true,
         "Failed logins from one address (of IPv6 the first 64 bits) within login_failures_window, "
         "after which further logins from there wait for login_delay before their password is "
         "looked at, 32 at a time; more are refused with error 1129. Users that have logged in from "
         "that address before only wait if they fail themselves. 0: never. Behind a balancer that "
         "hides the clients' addresses all of them are one."),
    SECONDS("volvox", "login_failures_window", IN_SETTINGS(login_failures_window_s), "60s", 1, DAY_S,
            true, "See login_failures; they are forgotten one by one over this time."),
    MS("volvox", "login_delay", IN_SETTINGS(login_delay_ms), "1s", 0, MINUTE, true,
       "See login_failures."),
    SECONDS("volvox", "accounts_recheck", IN_SETTINGS(accounts_recheck_s), "10s", 0, DAY_S, true,
            "With auth = servers: an account that logs in is asked for at the servers, unless that "
            "was done within this time. A changed password works at once; an old one, a lock or a "
            "dropped account may go unnoticed for so long. 0: each login asks."),
    SECONDS("volvox", "accounts_lifetime", IN_SETTINGS(accounts_lifetime_s), "1h", 1, 30 * DAY_S,
            true, "What logins told about an account (auth = servers, password_hash) is forgotten when "
            "nobody has logged in to it for this long."),
    UINT("volvox", "accounts_remembered", IN_SETTINGS(accounts_remembered), "10000", 1, 10000000, true,
         "Of so many accounts at most; the least recently used goes first."),
    SECONDS("volvox", "idle_timeout", IN_SETTINGS(idle_timeout_s), "8h", 0, 365 * DAY_S, true,
            "Close a client that has sent no command for this long; 0 is never.  A wait_timeout "
            "that the client has set goes before."),
    MS("volvox", "linger", IN_SETTINGS(linger_ms), "2s", 0, MINUTE, true,
       "After a last word, wait this long for the client to close first."),
    UINT("volvox", "max_statements", IN_SETTINGS(max_statements), "16382", 1, 1000000, true,
         "Prepared statements that one session may hold."),
    UINT("volvox", "statements_per_backend", IN_SETTINGS(statements_per_backend), "1000", 1,
         1000000, true,
         "Prepared statements kept on one connection to a server; the least recently used goes "
         "first."),

    /* ---- what was asked ---- */
    MS("volvox", "slow_query", IN_SETTINGS(slow_query_ms), "0", 0, DAY_S * SECOND, true,
       "Log statements that took this long or longer, without their literals; 0 is none."),
    UINT("volvox", "slow_query_sample", IN_SETTINGS(slow_query_sample), "1", 1, 1000000, true,
         "Log only one of so many slow statements."),
    UINT("volvox", "digests", IN_SETTINGS(digests), "2000", 0, 1000000, true,
         "Kinds of statements (equal but for their literals) that each worker keeps numbers of; "
         "the least recently used goes first; 0 keeps none."),
    UINT("volvox", "digest_text_bytes", IN_SETTINGS(digest_text_bytes), "1024", 64, 65536, true,
         "So much is kept of the text of each of them."),

    /* ---- monitor ---- */
    TEXT("volvox", "monitor_user", IN_SETTINGS(monitor_user), "", true,
         "Account for the probes of all servers. It needs no privilege but REPLICATION CLIENT "
         "(MariaDB: SLAVE MONITOR), for the replicas' lag. Empty: roles come from this file only, "
         "and a server is up if it accepts a connection and greets; this is asked at most every "
         "10s, because servers log such visits as denied logins (of volvox-probe)."),
    SECRET("volvox", "monitor_password", IN_SETTINGS(monitor_password),
           "Its password on the servers."),
    TEXT("volvox", "monitor_password_file", IN_SETTINGS(monitor_password_file), "", true,
         "File whose first line is that password."),
    MS("volvox", "monitor_interval", IN_SETTINGS(monitor_interval_ms), "2s", 100, HOUR, true,
       "Time between two probes of a server."),
    MS("volvox", "monitor_timeout", IN_SETTINGS(monitor_timeout_ms), "2s", SECOND, MINUTE, true,
       "A probe fails if the server takes longer to connect or to answer; counted in whole "
       "seconds, rounded up."),
    UINT("volvox", "monitor_fall", IN_SETTINGS(monitor_fall), "2", 1, 100, true,
         "A server is down after so many failed probes in a row."),
    UINT("volvox", "monitor_rise", IN_SETTINGS(monitor_rise), "1", 1, 100, true,
         "A server that was down is up again after so many good probes in a row; up to eight "
         "times as many if it keeps going up and down."),
    UINT("volvox", "probe_threads", IN_SETTINGS(probe_threads), "4", 1, 64, false,
         "Threads for probes. Servers that hang hold one each, for monitor_timeout."),

    /* ---- connections to servers ---- */
    MS("volvox", "connect_timeout", IN_SETTINGS(connect_timeout_ms), "5s", 100, 5 * MINUTE, true,
       "Time to connect and log in to a server."),
    MS("volvox", "queue_timeout", IN_SETTINGS(queue_timeout_ms), "10s", 0, HOUR, true,
       "How long a command waits for a connection to a server."),
    UINT("volvox", "pool_min_idle", IN_SETTINGS(pool_min_idle), "0", 0, 100000, true,
         "Idle connections kept, per server and user in use, although pool_idle_timeout passed."),
    UINT("volvox", "pool_max_idle", IN_SETTINGS(pool_max_idle), "1000", 0, 100000, true,
         "Idle connections kept at most, per server, user and worker."),
    SECONDS("volvox", "pool_idle_timeout", IN_SETTINGS(pool_idle_timeout_s), "10m", 0, 30 * DAY_S,
            true, "Close a connection to a server that was idle for this long; 0 is never."),
    SECONDS("volvox", "pool_max_age", IN_SETTINGS(pool_max_age_s), "1h", 0, 30 * DAY_S, true,
            "Close a connection to a server, when it is free, at this age; 0 is never."),
    UINT("volvox", "pool_max_commands", IN_SETTINGS(pool_max_commands), "0", 0, UINT32_MAX, true,
         "Close a connection to a server, when it is free, after so many commands; 0 is never."),
    UINT("volvox", "pool_jitter_percent", IN_SETTINGS(pool_jitter_percent), "10", 0, 50, true,
         "Spread the ages by so much in either direction, so that connections that were opened "
         "together do not end together."),
    KEEPALIVE(server, "servers"),
    KEEPALIVE(client, "clients"),

    /* ---- TLS ---- */
    TLS_FILES("volvox", IN_SETTINGS,
              "PEM file with the certificate shown to clients, and those that lead from it to an "
              "authority. Empty: one is made at each start, which no authority has signed.",
              "PEM file with its private key, without a pass phrase; empty: it is in the same file.",
              "PEM file with the authorities that clients' certificates must come from. Empty: no "
              "client is asked for one.",
              "PEM file with the lists of certificates that those authorities have revoked. With "
              "it, a certificate of an authority that has no list there is refused, too."),
    WORD("volvox", "tls_min_version", IN_SETTINGS(tls_min_version), "TLSv1.2", tls_version_words,
         "Lowest version of TLS, towards clients and servers."),
    TEXT("volvox", "tls_ciphers", IN_SETTINGS(tls_ciphers), "", true,
         "Ciphers for TLS 1.2, in OpenSSL's words and order, on both sides; empty is OpenSSL's own "
         "list."),
    TEXT("volvox", "tls_ciphersuites", IN_SETTINGS(tls_ciphersuites), "", true,
         "The same for TLS 1.3."),

    /* ---- for operators ---- */
    TEXT("admin", "address", IN_ADMIN(address), "127.0.0.1:6032", true,
         "Where operators connect, with any MySQL client: host:port (port 6032 when left out), "
         "[IPv6]:port, or the path of a unix socket; empty is no admin port. Keep it away from "
         "networks that are not trusted."),
    UINT("admin", "max_connections", IN_ADMIN(max_connections), "16", 1, 1000, true,
         "Operators at the same time."),
    MS("admin", "statement_timeout", IN_ADMIN(statement_timeout_ms), "10s", 10, HOUR, true,
       "A statement on the admin port that computes for longer is ended with an error."),
    WORD("admin", "tls", IN_ADMIN(tls), "preferred", tls_words,
         "Whether operators may, or must, use TLS, with [volvox]'s certificate. Over a unix socket "
         "nobody must."),
    TEXT("http", "address", IN_HTTP(address), "", true,
         "Where browsers and Prometheus connect: host:port (port 6080 when left out) or "
         "[IPv6]:port; empty is none. Everybody who can connect sees the numbers and the kinds of "
         "statements: keep it away from networks that are not trusted."),
    SECRET("admin_user", "password", OPTION_NO_FIELD, "What the operator must prove."),
    TEXT("admin_user", "password_file", IN_ADMIN_USER(password_file), "", true,
         "File whose first line is the password."),
    SECRET("admin_user", "password_hash", IN_ADMIN_USER(password_hash),
           "Instead of the password what a server stores of it, as for users."),
    WORD("admin_user", "access", IN_ADMIN_USER(access), "read", access_words,
         "read: may look at everything; full: may also change settings, end sessions and stop "
         "Volvox."),

    /* ---- listener ---- */
    TEXT("listener", "address", IN_LISTENER(address), "127.0.0.1:6033", true,
         "Where clients connect: host:port (port 6033 when left out), [IPv6]:port, or the path of "
         "a unix socket."),
    UINT("listener", "max_connections", IN_LISTENER(max_connections), "0", 0, 10000000, true,
         "Clients of this listener at the same time; 0 is only the limit of all together."),
    TEXT("listener", "group", OPTION_NO_FIELD, "", true,
         "Group of servers for the clients of this listener; empty is the user's."),
    WORD("listener", "compression", IN_LISTENER(compression), "servers", offer_words,
         "What clients are offered: the same that their servers offer, or exactly this, which has "
         "nothing to do with the servers: clients' connections are compressed by themselves. Who asks "
         "for both gets zlib."),
    UINT("listener", "compression_level", IN_LISTENER(compression_level), "6", 1, 15, true,
         "How hard Volvox compresses for clients: zlib's level (9 at most); for zstd, whose level the "
         "client names, the highest that it gets."),
    TEXT("listener", "proxy_protocol", IN_LISTENER(proxy_protocol), "", true,
         "Load balancers: networks (10.0.0.0/8), addresses, localhost for unix sockets, or * for all, "
         "with commas between them. A connection from there may begin with a header of the PROXY "
         "protocol (version 1 or 2), and the client's address is the one it names; without a header "
         "it is a client like others. From elsewhere a header is an error."),

    WORD("listener", "tls", IN_LISTENER(tls), "preferred", tls_words,
         "Whether clients may, or must, use TLS. Over a unix socket nobody must."),
    TLS_FILES("listener", IN_LISTENER,
              "PEM file with the certificate shown to the clients of this listener; empty: "
              "[volvox]'s, with its tls_key.",
              "PEM file with its private key; empty: it is in the same file.",
              "PEM file with the authorities that their certificates must come from; empty: "
              "[volvox]'s, with its tls_crl.",
              "PEM file with what those authorities have revoked."),

    /* ---- group ---- */
    WORD("group", "balance", IN_GROUP(balance), "least-outstanding", balance_words,
         "How one of several replicas is chosen: in turn; at random by weight; the less busy "
         "(busy connections by weight) of two chosen at random; the first in this file that is "
         "usable."),
    WORD("group", "reads", IN_GROUP(reads), "replicas", reads_words,
         "Where plain reads go: to the replicas; to the replicas and the primary; to the primary."),
    WORD("group", "no_replica", IN_GROUP(no_replica), "primary", no_replica_words,
         "What happens to plain reads when no replica is usable: the primary serves them, or they "
         "fail."),
    MS("group", "max_lag", IN_GROUP(max_lag_ms), "10s", 0, 24 * HOUR, true,
       "A replica that is further behind gets no reads until it is below 80 % of this; 0: any lag "
       "will do. A replica whose replication is broken counts as infinitely far behind."),
    WORD("group", "pipelining", IN_GROUP(pipelining), "auto", pipelining_words,
         "auto: once all connections to a server are busy and no more may be made, plain reads outside of "
         "transactions whose digest is known to be short are sent behind others of their kind, instead of "
         "waiting for an idle connection. off: each has a connection to itself while it runs."),
    WORD("group", "auth", IN_GROUP(auth), "file", auth_words,
         "file: clients must be users of this file. servers: clients that are not in this file, or "
         "without a password there, are checked against the accounts of the group's servers, as whose "
         "clients they then work. [user *] has options for those without a section of their own."),

    WORD("group", "tls", IN_GROUP(tls), "preferred", group_tls_words,
         "TLS to the servers: never; if the server offers it; always; always, and the server's "
         "certificate must come from an authority of tls_ca; and it must be made out to the host "
         "in the server's address. It holds for the probes, too. Over unix sockets there is none."),
    TLS_FILES("group", IN_GROUP,
              "PEM file with a certificate to show to the servers, for accounts that require one.",
              "PEM file with its private key, without a pass phrase; empty: it is in the same file.",
              "PEM file with the authorities that the servers' certificates must come from; empty: "
              "those that this system believes.",
              "PEM file with the lists of certificates that those authorities have revoked."),

    /* ---- server ---- */
    TEXT("server", "address", IN_SERVER(address), NULL, true,
         "host:port (port 3306 when left out), [IPv6]:port, or the path of a unix socket. Names "
         "are resolved when the file is loaded."),
    WORD("server", "role", IN_SERVER(role), "auto", role_words,
         "primary or replica, whatever the server says; auto: the one whose read_only is off is "
         "the primary (needs monitor_user, or no other server in the group)."),
    UINT("server", "weight", IN_SERVER(weight), "100", 0, 65535, true,
         "Its share of the reads, relative to the others of the group; 0: only when no other is "
         "usable."),
    UINT("server", "max_connections", IN_SERVER(max_connections), "100", 1, 1000000, true,
         "Connections of Volvox to this server at most; keep it below the server's own "
         "max_connections."),
    TEXT("server", "group", OPTION_NO_FIELD, "", true,
         "The group it belongs to; may be left out if there is only one."),
    WORD("server", "compression", IN_SERVER(compression), "off", compression_words,
         "Compress connections to this server, if it can. For servers far away: it costs more time "
         "than it saves within a machine room."),
    UINT("server", "compression_level", IN_SERVER(compression_level), "0", 0, ZSTD_LEVEL_MAX, true,
         "1 to 9 for zlib, to 22 for zstd; 0 is 6 for zlib and 3 for zstd."),
    WORD("server", "proxy_protocol", IN_SERVER(proxy_protocol), "off", proxy_words,
         "Tell the server each client's address with a header of the PROXY protocol, so that accounts "
         "bound to hosts work and logs name the client. Connections are shared only among the clients "
         "of one address then. The server must expect headers from Volvox (MariaDB: "
         "proxy_protocol_networks)."),

    WORD("server", "tls", IN_SERVER(tls), "group", server_tls_words,
         "TLS to this server, as for its group; group: as the group says."),
    TLS_FILES("server", IN_SERVER,
              "PEM file with a certificate to show to this server; empty: the group's, with its "
              "tls_key.",
              "PEM file with its private key; empty: it is in the same file.",
              "PEM file with the authorities that its certificate must come from; empty: the "
              "group's, with its tls_crl.",
              "PEM file with what those authorities have revoked."),
    TEXT("server", "tls_server_name", IN_SERVER(tls_server_name), "", true,
         "Name or IP address that the server's certificate must be made out to, with tls = "
         "verify-identity; empty: the host in address."),

    /* ---- user ---- */
    SECRET("user", "password", OPTION_NO_FIELD,
           "What the client must prove; empty is none. Left out where auth = servers, the servers "
           "check it."),
    TEXT("user", "password_file", IN_USER(password_file), "", true,
         "File whose first line is the password."),
    SECRET("user", "password_hash", IN_USER(password_hash),
           "Instead of the password what a server stores of it: *HEX (mysql_native_password), $A$... "
           "(caching_sha2_password) or $5$... (sha256_password), both also as 0xHEX, or the 43 "
           "characters of an ed25519 key. What is needed to log in at the servers the clients' logins "
           "tell; docs/authentication.md says when they can't."),
    TEXT("user", "group", OPTION_NO_FIELD, "", true,
         "The group of servers this user works with; may be left out if there is only one."),
    TEXT("user", "schema", IN_USER(schema), "", true,
         "Default schema for a client that names none."),
    UINT("user", "max_connections", IN_USER(max_connections), "0", 0, 10000000, true,
         "Clients of this user at the same time; 0 is no limit of its own."),
    BOOL("user", "split_reads", IN_USER(split_reads), "yes",
         "Whether plain reads of this user may go to replicas."),
    WORD("user", "pin", IN_USER(pins), "allow", pin_words,
         "What becomes of statements that make a session keep its connection until it ends what it "
         "began or is reset: temporary tables, named locks, LOCK TABLES, HANDLER, PREPARE as text, CALL, SET "
         "ROLE and the like, not transactions. allow: they run; log: they run, and the log says "
         "whose session keeps its connection, and why; deny: they are refused. What shows only in the "
         "server's answer is logged then, too."),
    WORD("user", "tls", IN_USER(tls), "any", user_tls_words,
         "any: with TLS or without; required: only with TLS, or over a unix socket, else the "
         "password is refused; x509: only with TLS and a certificate that tls_ca believes."),
    TEXT("user", "tls_subject", IN_USER(tls_subject), "", true,
         "Subject that the client's certificate must have, as servers write it: "
         "/C=SE/O=Volvox/CN=alice. It implies x509."),
    TEXT("user", "tls_issuer", IN_USER(tls_issuer), "", true,
         "Issuer that the client's certificate must have, written likewise. It implies x509."),
    TEXT("user", "server_user", IN_USER(server_user), "", true,
         "Account on the servers; empty is the same name."),
    SECRET("user", "server_password", OPTION_NO_FIELD,
           "That account's password; left out, it is the same as the client's."),
    TEXT("user", "server_password_file", IN_USER(server_password_file), "", true,
         "File whose first line is that account's password."),
};
const unsigned n_options = ARRAY_LEN(options);

bool kind_find(struct bytes word, enum kind *out)
{
    for (unsigned k = 0; k < KINDS; k++)
        if (bytes_equal(word, bytes_str(kind_names[k]))) {
            *out = (enum kind)k;
            return true;
        }
    return false;
}

enum kind option_kind(const struct option *o)
{
    enum kind kind = KINDS;
    must(kind_find(bytes_str(o->section), &kind));
    return kind;
}

const struct option *option_find(enum kind kind, struct bytes name)
{
    for (const struct option *o = options; o < options + n_options; o++)
        if (bytes_equal(name, bytes_str(o->name)) && strcmp(o->section, kind_names[kind]) == 0)
            return o;
    return NULL;
}

void suggest_begin(struct suggestion *g, struct bytes wrong)
{
    g->wrong = wrong;
    g->distance = MIN((unsigned)wrong.len / 3 + 1, 4) + 1;
    g->hint[0] = '\0';
}

void suggest_offer(struct suggestion *g, const char *right)
{
    enum { SANE_BYTES = 64 };
    if (g->wrong.len > SANE_BYTES || g->wrong.len == 0)
        return;
    unsigned distance = str_distance(g->wrong, bytes_str(right));
    if (distance >= g->distance)
        return;
    g->distance = distance;
    snprintf(g->hint, sizeof(g->hint), "; did you mean \"%.64s\"?", right);
}
