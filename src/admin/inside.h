/*
 * inside.h - what the files of admin/ share.
 *
 *     service.c   listener, visitors, their tasks        login.c    who is there
 *     talk.c      packets to and from a visitor           serve.c    COM_* one by one
 *     prepared.c  PREPARE and EXECUTE                      commands.c a text: what is it, who does it
 *     words.c     reading a command, saying what is wrong  show.c     SHOW as SELECT
 *     set.c       SET                                      operate.c  SERVER, PAUSE, KILL
 *     explain.c   EXPLAIN ROUTE
 *     select.c    SELECT: prepare, collect, step           translate.c MySQL's words to SQLite's
 *     sqlite.c    the database of a visitor                vtab.c     its tables
 *     functions.c its functions                            variables.c @@variables
 *     tables.c    the table of tables; fill_*.c, schema.c fill them
 *     rows.c      rows in memory                           answer.c   rows as packets
 *     markdown.c  docs/admin.md
 *
 * SQLite runs on a worker of its own, `admin.sql`: it wants more stack than a task has, and
 * what takes long there holds up nobody who accepts clients or judges servers.  The visitor's
 * task, on the control thread, asks that worker with worker_ask() and parks.
 */
#ifndef ADMIN_INSIDE_H
#define ADMIN_INSIDE_H

#include "admin/admin.h"

/* ---- rows.c ------------------------------------------------------------------------------ */

enum cell_kind { CELL_NULL, CELL_INT, CELL_REAL, CELL_TEXT };
struct cell {
    enum cell_kind kind;
    uint32_t len;                 /* CELL_TEXT */
    union {
        int64_t integer;
        double real;
        const char *text;         /* NUL-terminated; in the rows' arena */
    };
};

/* Rows in memory, at most ROWS_LIMIT_BYTES; what is beyond is left out and `is_full` set.  One
 * thread at a time. */
enum { ROWS_LIMIT_BYTES = 64 << 20 };
struct rows {
    struct arena arena;
    struct cell *cells;
    size_t n_cells, cap, bytes;
    unsigned n_columns;
    bool is_full;
};
void rows_init(struct rows *r, unsigned n_columns);
void rows_release(struct rows *r);
/* The next cell, row by row from left to right. */
void put_null(struct rows *r);
void put_int(struct rows *r, int64_t v);
void put_u64(struct rows *r, uint64_t v);        /* cut at the largest signed one */
void put_real(struct rows *r, double v);
void put_text(struct rows *r, struct bytes text);
void put_str(struct rows *r, const char *text);  /* NULL is NULL */
void put_format(struct rows *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
void put_hex(struct rows *r, uint64_t v);        /* 16 digits; 0 is NULL */
void put_wall(struct rows *r, uint64_t wall_us); /* date and time, UTC; 0 is NULL */
static inline size_t rows_count(const struct rows *r)
{
    return r->n_columns > 0 ? r->n_cells / r->n_columns : 0;
}
static inline const struct cell *rows_cell(const struct rows *r, size_t row, unsigned column)
{
    return &r->cells[row * r->n_columns + column];
}
/* A cell as text, in `space` (at least 32 bytes) unless it is text already. */
struct bytes cell_text(const struct cell *c, char *space, size_t size);

/* ---- answer.c ------------------------------------------------------------------------------ */

enum column_type { COLUMN_TEXT, COLUMN_INT, COLUMN_REAL };

/* Columns with rows, or (n_columns 0) an OK with a few words. */
struct answer {
    unsigned n_columns;
    struct answer_column {
        char name[65];
        enum column_type type;
    } *columns;
    struct rows rows;
    char info[512];
    bool has_rows;                /* rows was initialised: a result set, perhaps of no row */
    bool ends;                    /* the visitor is to be let go after it */
};
void answer_init(struct answer *a);
void answer_release(struct answer *a);
/* Make it a result set; then answer_column() for each, then put_*() into a->rows. */
void answer_begin(struct answer *a, unsigned n_columns);
void answer_column(struct answer *a, unsigned i, struct bytes name, enum column_type type);
/* Make it an OK that says something. */
void answer_say(struct answer *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* One column of text, a row a line. */
void answer_lines(struct answer *a, const char *column, const char *text);
/* Append the packets. */
struct dialect {
    uint64_t caps;
    uint16_t status;
    bool binary;
};
void answer_write(struct buf *out, uint8_t *seq, const struct answer *a, struct dialect d);
void column_definition_write(struct buf *out, uint8_t *seq, const char *table, const char *name,
                             enum column_type type);

/* ---- tables.c ------------------------------------------------------------------------------ */

struct visitor;
struct gather {
    struct task *t;
    struct visitor *v;
    const struct admin_host *host;
    struct rows *rows;
};
struct table_column {
    const char *name;
    enum column_type type;
    const char *help;
};
struct table {
    const char *name;
    bool is_ours;                 /* schema "volvox"; else "information_schema" */
    const char *help;
    const struct table_column *columns;   /* up to one without a name */
    void (*fill)(struct gather *g);    /* parks; NULL: has no rows */
};
extern const struct table admin_tables[];
extern const unsigned n_admin_tables;
enum { MAX_TABLES = 64 };

/* Index, or -1; without regard to letter case. */
int table_find(struct bytes name);
/* One of ours whose name is like that, or NULL. */
const char *table_like(struct bytes name);
unsigned table_width(const struct table *table);

#define OUR_TABLES(X)                                                                         \
    X(servers) X(backends) X(clients) X(pools) X(users) X(groups) X(listeners) X(workers)     \
    X(tasks) X(digests) X(pins) X(settings) X(faults) X(events) X(counters)
#define SCHEMA_TABLES(X)                                                                      \
    X(schemata) X(schema_tables) X(schema_columns) X(schema_engines) X(schema_charsets)       \
    X(schema_collations) X(schema_applicability) X(schema_variables) X(schema_processlist)
#define X(name)                                        \
    extern const struct table_column name##_columns[]; \
    void fill_##name(struct gather *g);
OUR_TABLES(X)
SCHEMA_TABLES(X)
#undef X
/* Those that are there for tools and always empty. */
extern const struct table_column schema_statistics_columns[], schema_key_columns[],
    schema_constraints_columns[], schema_referential_columns[], schema_check_columns[],
    schema_routines_columns[], schema_parameters_columns[], schema_views_columns[],
    schema_triggers_columns[], schema_events_columns[], schema_partitions_columns[],
    schema_plugins_columns[], schema_privileges_columns[];

/* Name of something that there is and that is most like `name`, or NULL: feed candidates. */
struct guess {
    struct bytes name;
    const char *best;
    unsigned distance;
};
void guess_begin(struct guess *g, struct bytes name);
void guess_try(struct guess *g, const char *candidate);
/* ": did you mean 'x'?" or "", into out. */
const char *guess_words(const struct guess *g, char *out, size_t size);

/* ---- sqlite.c, vtab.c, functions.c: on the SQL worker -------------------------------------------- */

/* What functions like USER() say. */
struct database_facts {
    uint32_t id;
    char user[81], host[ADDRESS_TEXT_BYTES], schema[65];
};
struct database;
struct sqlite3;
/* NULL when SQLite can't. */
struct database *database_open(void);
void database_close(struct database *sql);
/* Prepare translated text; names the tables to collect. */
struct database_shape {
    uint64_t tables;              /* bits, by index in admin_tables */
    unsigned n_params, n_columns;
};
struct translated;
bool database_prepare(struct database *sql, const struct translated *tr, const struct database_facts *facts,
                 struct database_shape *shape, struct fault *why);
/* The names of what was prepared, as columns of `out`, without rows. */
void database_columns(struct database *sql, struct answer *out);
/* Step what was prepared over rows[] (by table index), until `deadline_us` (clock_us()) or *cancel. */
struct database_run {
    struct rows *const *rows;
    const struct cell *params;
    unsigned n_params;
    uint64_t deadline_us;
    uint64_t max_rows;            /* rows beyond are left out; 0 = all */
    const atomic_bool *cancel;
};
bool database_step(struct database *sql, const struct database_run *run, struct answer *out, struct fault *why);
/* Forget what was prepared. */
void database_finish(struct database *sql);

/* vtab.c */
bool database_add_tables(struct database *sql, struct sqlite3 *db);
const struct rows *database_rows(const struct database *sql, unsigned table);
/* functions.c */
bool database_add_functions(struct database *sql, struct sqlite3 *db);
const struct database_facts *database_facts(const struct database *sql);

/* ---- translate.c ---------------------------------------------------------------------------------- */

/* SQLite's text, and where each part of it came from. */
struct translated {
    char *text;                   /* NUL-terminated; owned */
    size_t len;
    struct origin {
        uint32_t at, from;
    } *origins;                   /* by `at`, owned */
    unsigned n_origins, cap_origins;
    unsigned n_params;
    uint64_t tables;              /* whose names occur, bits by index in admin_tables */
    bool has_limit;               /* LIMIT occurs */
};
/* One statement; a second one behind a semicolon is a fault. */
bool translate(struct bytes sql, struct translated *out, struct fault *why);
void translated_release(struct translated *tr);
/* Where (byte) in the original something at `at` of the translation stood. */
size_t translated_origin(const struct translated *tr, size_t at);
/* A string token's value, into out (at least text.len bytes); the length. */
size_t string_value(struct bytes token, char *out);

/* ---- variables.c ------------------------------------------------------------------------------------ */

struct variable {
    const char *name, *value;
};
/* Server variables that tools ask for. */
extern const struct variable variables[];
extern const unsigned n_variables;
/* Value of "sql_mode" or "session.sql_mode", or NULL. */
const char *variable_value(struct bytes name);
/* May a client SET it, because here it means nothing? */
bool variable_is_idle(struct bytes name);
#define ADMIN_VERSION "8.0.36-volvox-" VOLVOX_VERSION
enum { ADMIN_MAX_PACKET = 16 << 20, ADMIN_COLLATION = 45, BINARY_COLLATION = 63 };

/* ---- visitors ------------------------------------------------------------------------------------------ */

struct admin {
    struct admin_host host;
    struct worker *sql;           /* its thread runs SQLite */
    struct listener listener;
    char *address;                /* where it listens, as configured; NULL = nowhere */
    struct list visitors;
    unsigned n_visitors, n_refusals;
    uint32_t last_id;             /* of a visitor; clients' ids are far above              */
    bool is_closing;
};

/* An admin client. */
struct visitor {
    struct list link;             /* admin->visitors */
    struct admin *admin;
    struct stream stream;
    struct task *task;
    struct database *sql;
    struct database_facts facts;
    struct list statements;       /* prepared.c */
    unsigned n_statements;
    uint32_t last_statement;
    uint64_t caps;
    uint64_t select_limit;        /* SET sql_select_limit; 0 = none */
    uint16_t status;              /* flags that drivers go by: nothing here is transactional */
    uint8_t seq;                  /* of our next packet */
    uint8_t scramble[SCRAMBLE_BYTES];
    uint8_t proven[32];           /* mark of the secret that it logged in with */
    atomic_bool is_interrupted;   /* KILL: what SQLite steps for it is to end */
};
/* Its account now: NULL when a reload took it away. */
const struct admin_user_config *visitor_account(const struct visitor *v);
/* 1227 unless its account has full access. */
bool visitor_may_change(const struct visitor *v, struct fault *why);
/* event_note("admin", ...) in its name. */
void visitor_note(const struct visitor *v, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- talk.c, login.c, serve.c, prepared.c -------------------------------------------------------------- */

/* The next packet, copied into the task's arena, numbered v->seq (0 for a command). */
bool visitor_read(struct task *t, struct visitor *v, struct bytes *payload, double deadline,
                  struct fault *why);
bool visitor_flush(struct task *t, struct visitor *v, double deadline, struct fault *why);
void visitor_ok(struct visitor *v, const char *info);
/* The fault as an ERR packet, into the stream. */
void visitor_err(struct visitor *v, const struct fault *why);
/* Greeting to OK.  False: say `why` unless its code is 0, and leave. */
bool visitor_login(struct task *t, struct visitor *v, struct fault *why);
bool visitor_change_user(struct task *t, struct visitor *v, struct bytes payload, struct fault *why);
/* One command; false when the visit is over. */
bool visitor_serve(struct task *t, struct visitor *v);
/* Answer with what a text gives, as packets. */
bool visitor_answer(struct task *t, struct visitor *v, struct answer *a, bool binary, struct fault *why);

bool statement_prepare(struct task *t, struct visitor *v, struct bytes text, struct fault *why);
bool statement_execute(struct task *t, struct visitor *v, struct bytes payload, struct fault *why);
bool statement_long_data(struct visitor *v, struct bytes payload);
bool statement_reset(struct visitor *v, struct bytes payload, struct fault *why);
void statement_close(struct visitor *v, struct bytes payload);
void statements_close(struct visitor *v);
/* Read `n` parameters behind an EXECUTE's types; types has 2 bytes each. */
bool params_read(struct cursor *c, const uint8_t *nulls, const uint8_t *types, unsigned n,
                 struct arena *arena, struct cell *out, struct fault *why);

/* ---- words.c: reading a command -------------------------------------------------------------------------- */

struct words {
    struct bytes text;
    struct lexer lx;
    struct token now;             /* not taken yet */
};
/* False (1064) when the text can't be read: an unfinished string. */
void words_begin(struct words *w, struct bytes text);
bool words_at_end(const struct words *w);            /* or at a semicolon */
/* Is the next one this word?  Takes it if so. */
bool word_take(struct words *w, const char *word);
bool word_is(const struct words *w, const char *word);
bool punct_take(struct words *w, char punct);
/* A name: bare (db-1.a), or quoted in any way. */
bool name_take(struct words *w, const char *what, char *out, size_t size, struct fault *why);
bool number_take(struct words *w, const char *what, uint64_t max, uint64_t *out, struct fault *why);
/* 1064 unless nothing more follows. */
bool words_end(struct words *w, const char *or_what, struct fault *why);
/* "at character 8: expected DRAIN, but found 'DRIAN'"; false. */
bool words_expected(const struct words *w, const char *what, struct fault *why);
/* Everything from the next token on. */
struct bytes words_rest(const struct words *w);

/* ---- commands ------------------------------------------------------------------------------------------------ */

struct command_help {
    const char *usage, *help;
};
extern const struct command_help admin_commands[];
extern const unsigned n_admin_commands;

/* Do what the text says. */
bool admin_run(struct task *t, struct visitor *v, struct bytes text, const struct cell *params,
               unsigned n_params, struct answer *out, struct fault *why);
/* Is the text a SELECT (perhaps as a SHOW)?  Then what PREPARE has to tell. */
bool admin_describe(struct task *t, struct visitor *v, struct bytes text, struct answer *columns,
                    unsigned *n_params, struct fault *why);
bool select_run(struct task *t, struct visitor *v, struct bytes text, const struct cell *params,
                unsigned n_params, struct answer *out, struct fault *why);
bool select_describe(struct task *t, struct visitor *v, struct bytes text, struct answer *columns,
                     unsigned *n_params, struct fault *why);

/* SHOW and DESCRIBE, behind that word: a SELECT in the arena, or (data NULL, true) the answer itself. */
bool show_read(struct words *w, struct visitor *v, struct arena *a, struct bytes *select,
               struct answer *out, struct fault *why);
bool describe_read(struct words *w, struct arena *a, struct bytes *select, struct fault *why);
/* What tools may SET in their session: remembered where drivers look at it. */
bool set_run(struct words *w, struct visitor *v, struct answer *out, struct fault *why);
/* operate.c */
bool kill_run(struct task *t, struct words *w, struct visitor *v, struct answer *out, struct fault *why);
bool pause_run(struct task *t, struct words *w, struct visitor *v, bool paused, struct answer *out,
               struct fault *why);
bool server_run(struct words *w, struct visitor *v, struct answer *out, struct fault *why);
bool explain_route(struct words *w, struct visitor *v, struct answer *out, struct fault *why);
/* As after a login: flags and limits. */
void visitor_begin(struct visitor *v);
/* True for "" and the names of our two schemas; keeps it as the visitor's. */
bool use_schema(struct visitor *v, struct bytes name, struct fault *why);

#endif
