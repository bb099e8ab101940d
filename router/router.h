/*
 * router.h - SQL text and facts in, a plan out.  No I/O, no clock, no event loop.
 *
 * Two steps.  statement_read() looks at the text alone, once: what it is, what it
 * does to its session, which hints it carries.  route() adds the facts of the
 * moment and decides.  Both are pure and reentrant: any thread.  What the router does
 * not know: which server is up (servers/topology.c says), and what the servers
 * report by themselves about a session's state (session/vars.c).
 *
 * The rule of doubt: text that is not understood for certain goes to the primary.
 */
#ifndef ROUTER_ROUTER_H
#define ROUTER_ROUTER_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/fault.h"

/* ---- lexer.c ------------------------------------------------------------------- */

/* What of a character set matters here (charset.c). */
enum lexer_charset {
    LEXER_UTF8,                   /* bytes from 0x80 are parts of letters                    */
    LEXER_PLAIN,                  /* ... or letters, or nothing at all                       */
    LEXER_A0, LEXER_FF,           /* ... but for this one, which is a blank                  */
    LEXER_SWE7,                   /* brackets and others are letters                         */
    LEXER_GBK, LEXER_SJIS, LEXER_BIG5, LEXER_GB18030, /* second bytes may be ASCII           */
    LEXER_UNKNOWN                 /* like any of them                                        */
};
/* By the server's name of it. */
enum lexer_charset lexer_charset(struct bytes name);
struct lexer_mode;
/* What a value of sql_mode means here; combinations (ANSI, ORACLE) are known, too. */
void mode_take(struct lexer_mode *mode, struct bytes sql_mode);

/* How the server would read the text. */
struct lexer_mode {
    bool ansi_quotes : 1;         /* sql_mode: "x" is an identifier                  */
    bool no_backslash_escapes : 1; /* sql_mode: \ is an ordinary character in strings */
    bool ignore_space : 1;        /* sql_mode: COUNT (*) is what COUNT(*) is          */
    bool quotes_unknown : 1;      /* sql_mode is: the first two may be or not        */
    uint8_t charset : 4;          /* enum lexer_charset of character_set_client      */
    bool is_mariadb : 1;          /* also reads M! comments and its own versions     */
    uint32_t version : 20;        /* e.g. 101119, 90704; 0 = unknown                 */
};

enum token_kind {
    TOKEN_END, TOKEN_WORD, TOKEN_QUOTED_NAME, TOKEN_STRING, TOKEN_NUMBER, TOKEN_USER_VAR,
    TOKEN_SYSTEM_VAR, TOKEN_PARAM, TOKEN_PUNCT, TOKEN_SEMICOLON, TOKEN_HINT, TOKEN_BROKEN
};
struct token {
    enum token_kind kind;
    uint16_t keyword;             /* TOKEN_WORD: enum keyword or 0                    */
    char punct;                   /* TOKEN_PUNCT: the character; of := the ':'        */
    struct bytes text;            /* with its quotes; @ and @@ not included           */
    uint64_t head;                /* TOKEN_WORD: its first 8 bytes, folded (word_fold()) */
};
/* Reads forward through a statement.  Ordinary comments are skipped; the contents of
 * versioned comments that the server would execute are read as text; a comment whose
 * first word is "volvox:" is given as TOKEN_HINT (text after the colon). */
struct lexer {
    const uint8_t *begin, *at, *end;
    struct lexer_mode mode;
    bool in_versioned;            /* inside an executed comment; they don't nest      */
    bool after_dot;               /* a word here is a name, not a keyword             */
    const uint8_t *name_end;      /* of the newest bare name                          */
    bool in_doubt;                /* somewhere a server could read other tokens       */
};
void lexer_begin(struct lexer *lx, struct bytes sql, const struct lexer_mode *mode);
/* TOKEN_BROKEN at an unterminated string, name or comment; it stays there. */
enum token_kind lexer_next(struct lexer *lx, struct token *out);

/* ---- what a statement is (verb.c, effects.c, hint.c) ------------------------------ */

enum verb {
    VERB_EMPTY,                   /* only comments or white space                     */
    VERB_SELECT,                  /* SELECT, TABLE, VALUES, WITH ... SELECT           */
    VERB_WRITE,                   /* INSERT UPDATE DELETE REPLACE LOAD, WITH ... UPDATE */
    VERB_DDL,
    VERB_BEGIN,                   /* BEGIN, START TRANSACTION                         */
    VERB_COMMIT, VERB_ROLLBACK, VERB_SAVEPOINT, VERB_XA,
    VERB_SET, VERB_USE,
    VERB_SHOW,                    /* SHOW, DESCRIBE, HELP                             */
    VERB_EXPLAIN,                 /* not executed, or of something that only reads    */
    VERB_CALL,
    VERB_LOCK,                    /* LOCK/UNLOCK TABLES, FLUSH ... WITH READ LOCK, LOCK INSTANCE */
    VERB_PREPARE,                 /* PREPARE, EXECUTE, DEALLOCATE as SQL text         */
    VERB_HANDLER, VERB_DO, VERB_KILL,
    VERB_ADMIN,                   /* GRANT, FLUSH, ANALYZE TABLE, CHANGE MASTER, ...  */
    VERB_OTHER                    /* not recognised                                   */
};

/* Effects that servers do not report, or not in time; bits. */
#define EFFECT_LOCKING_READ 0x00000001u  /* FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE       */
#define EFFECT_INTO_FILE 0x00000002u     /* INTO OUTFILE / DUMPFILE                         */
#define EFFECT_USER_VAR 0x00000004u      /* @x := ..., SET @x, INTO @x, LOAD ... (@x)       */
#define EFFECT_NAMED_LOCK 0x00000008u    /* GET_LOCK                                        */
#define EFFECT_RELEASE_LOCK 0x00000010u  /* RELEASE_LOCK, RELEASE_ALL_LOCKS                 */
#define EFFECT_SEQUENCE 0x00000020u      /* NEXTVAL, NEXT VALUE FOR, SETVAL, LASTVAL...     */
#define EFFECT_HANDLER 0x00000040u
#define EFFECT_CALC_FOUND_ROWS 0x00000080u
#define EFFECT_USES_FOUND_ROWS 0x00000100u
#define EFFECT_USES_ROW_COUNT 0x00000200u
#define EFFECT_USES_INSERT_ID 0x00000400u /* LAST_INSERT_ID(), @@last_insert_id, @@identity */
#define EFFECT_SETS_INSERT_ID 0x00000800u /* LAST_INSERT_ID(expr)                           */
#define EFFECT_DIAGNOSTICS 0x00001000u   /* SHOW WARNINGS/ERRORS, GET DIAGNOSTICS, @@warning_count,
                                            @@error_count: about the statement before      */
#define EFFECT_PROCEDURE 0x00002000u     /* CALL                                            */
#define EFFECT_ROLE 0x00004000u          /* SET ROLE                                        */
#define EFFECT_RESOURCE_GROUP 0x00008000u
#define EFFECT_SET_STATEMENT 0x00010000u /* SET STATEMENT ... FOR                           */
#define EFFECT_TEMP_TABLE 0x00020000u    /* CREATE TEMPORARY TABLE                          */
#define EFFECT_TEXT_PREPARE 0x00040000u  /* PREPARE name / DEALLOCATE                       */
#define EFFECT_TABLE_LOCK 0x00080000u
#define EFFECT_UNKNOWN_FUNCTION 0x00100000u /* a call that is no built-in function, or another
                                               thing that may do anything (EXECUTE, VERB_OTHER) */
#define EFFECT_READ_ONLY_TRX 0x00200000u /* START TRANSACTION READ ONLY                     */
#define EFFECT_MULTI 0x00400000u         /* several statements in the text                  */
#define EFFECT_SERVER_STATE 0x00800000u  /* reads what differs between servers by nature: @@global,
                                            @@hostname, SHOW ... STATUS, PROCESSLIST        */
#define EFFECT_CONNECTION_ID 0x01000000u /* CONNECTION_ID(), @@pseudo_thread_id             */
#define EFFECT_SET_GLOBAL 0x02000000u    /* SET GLOBAL / PERSIST                            */
#define EFFECT_INSTANCE_LOCK 0x04000000u /* FLUSH TABLES WITH READ LOCK, LOCK INSTANCE, BACKUP STAGE */

#define EFFECT_SETS_UNREPORTED 0x08000000u /* SET @@x = ... on MariaDB, whose trackers leave it out     */
#define EFFECT_TRACKING 0x20000000u      /* reads or sets session_track_*, as all session variables do */
#define EFFECT_LIMIT 0x40000000u         /* FOUND_ROWS() may be another number than that of its rows */
#define EFFECT_SETS_ONE_SHOT 0x10000000u /* SET insert_id: the next INSERT uses it, no tracker tells */

enum hint_kind { HINT_NONE, HINT_PRIMARY, HINT_REPLICA, HINT_SERVER, HINT_BAD };
struct hint {
    enum hint_kind kind;
    struct bytes server;          /* HINT_SERVER: its name, a view into the text; HINT_BAD:
                                     what was not understood                             */
};

/* Does it end the connection?  COMMIT and ROLLBACK do so if completion_type says it, or RELEASE. */
enum release { RELEASE_NONE, RELEASE_USUAL, RELEASE_YES, RELEASE_NO };

/* All that the text says.  Plain data; `hint` has views into the text. */
struct statement {
    enum verb verb;               /* of the strictest part when there are several        */
    uint32_t effects;             /* union over the parts                                */
    bool reads_only;              /* every part only reads tables (or nothing)           */
    bool is_broken;               /* the lexer could not read it to the end, or not for
                                     certain as this server would                        */
    bool changes_reading;         /* a SET in it has servers read what follows it differently */
    bool only_autocommit;         /* SET autocommit = <literal>, and nothing else         */
    enum release release : 8;     /* of the last part                                     */
    struct hint hint;
    uint64_t digest;              /* of the normal form: equal for statements that differ only in
                                     literals, white space, comments and letter case of keywords */
};

/* Never fails: what can't be read is VERB_OTHER, is_broken. */
void statement_read(struct bytes sql, const struct lexer_mode *mode, struct statement *out);

/* A system variable's name without its scope; is it a global one, that is, are these its first words or its
 * first piece?  (effects.c) */
struct bytes system_var_name(struct bytes text);
bool system_var_is_global(struct bytes text);

/* tables.c: does it, of this verb and with these effects, read or write any table? */
enum tables { TABLES_NONE, TABLES_MAYBE, TABLES_SURE };
enum tables statement_tables(struct bytes sql, const struct lexer_mode *mode, enum verb verb, uint32_t effects);
/* Likewise, in doubt yes. */
bool statement_uses_tables(struct bytes sql, const struct lexer_mode *mode, enum verb verb);

/* tables.c: the user variables that a text mentions, in the order of the text, quotes and @ not included; a
 * name may come twice.  At most `max`; how many there are. */
unsigned statement_user_vars(struct bytes sql, const struct lexer_mode *mode, struct bytes *names,
                             unsigned max);

/* Likewise the system variables that are set as @@name, without a scope. */
unsigned statement_unscoped_vars(struct bytes sql, const struct lexer_mode *mode, struct bytes *names,
                                 unsigned max);

/* calls.c: what looks like calls of functions that are not built in, in the order of the text: the names as they
 * are written, without quotes; a call may come twice.  At most `max`; how many there are.  What is none, a table
 * with its columns for instance, may be among them. */
struct call {
    struct bytes schema;          /* data NULL: the session's                              */
    struct bytes name;
};
unsigned statement_calls(struct bytes sql, const struct lexer_mode *mode, struct call *calls, unsigned max);
/* What a stored function with this text may do to named locks, apart from what functions do that it calls. */
enum routine_acts {
    ROUTINE_LOCKS = 1,            /* it may take one, or do what can't be seen              */
    ROUTINE_RELEASES = 2
};
unsigned routine_acts(struct bytes sql, const struct lexer_mode *mode);

/* values.c: an OK reported `id` for this text.  Certainly none of the values that the text itself gave (its
 * parameters apart), but one that the server made? */
bool statement_gives_no_id(struct bytes sql, const struct lexer_mode *mode, uint64_t id);

/* ---- the normal form (digest.c) -------------------------------------------------------- */

/* Writes the text behind a statement's digest, for people: literals as ?, lists of them as
 * IN (?+) and VALUES (...), reserved words in capitals.  What can't be read is "...", and a text that
 * does not fit is cut with "...".  NUL-terminated if size > 0; returns its length. */
size_t digest_text(struct bytes sql, const struct lexer_mode *mode, char *out, size_t size);

/* ---- the thread id that a client knows (thread_id.c) ------------------------------------- */

/* A text with EFFECT_CONNECTION_ID, as a server is to get it: with `id` (of ten digits) where it asks for
 * the id of its connection.  Not where that is compared with ids that servers show (the process list,
 * performance_schema, IS_USED_LOCK()), nor in what is stored (views, routines) or only explained, nor
 * behind a SET pseudo_thread_id.  `sql` itself if there is nothing to do. */
struct bytes thread_id_put(struct bytes sql, const struct lexer_mode *mode, struct bytes schema,
                           uint32_t id, struct arena *arena);
/* The reverse, for the name of a column or the text of an error. */
struct bytes thread_id_take_back(struct bytes text, uint32_t id, struct arena *arena);

/* ---- the decision (route.c) --------------------------------------------------------- */

enum role {
    ROLE_ANY,                     /* whatever is at hand; primary if nothing is          */
    ROLE_PRIMARY,
    ROLE_REPLICA,                 /* a replica; what if there is none is the group's setting */
    ROLE_SAME,                    /* where the statement before ran (diagnostics)        */
};

/* Why; route_why_name() says it in words. */
enum route_why {
    WHY_PLAIN_READ, WHY_WRITE, WHY_DDL, WHY_LOCKING_READ, WHY_SIDE_EFFECT, WHY_TRANSACTION,
    WHY_READ_ONLY_TRANSACTION, WHY_AUTOCOMMIT_OFF, WHY_SESSION_COMMAND, WHY_SHOW, WHY_ADMIN,
    WHY_DIAGNOSTICS, WHY_HINT, WHY_NOT_UNDERSTOOD, WHY_MULTI, WHY_PINNED, WHY_NO_SPLIT, WHY_EMPTY
};
const char *route_why_name(enum route_why why);   /* "plain read", "locking read", ... */
const char *verb_name(enum verb v);
const char *role_name(enum role r);
/* Effects in words, comma separated, into out. */
void effects_print(uint32_t effects, char *out, size_t size);

/* What the router is told about a session. */
struct facts {
    bool in_transaction;          /* as the server's status flags and trackers say        */
    bool in_read_only_transaction;
    bool autocommit;
    bool splits_reads;            /* the user's group has reads on replicas at all        */
    bool begins, begins_read_only; /* a transaction begins with the statement              */
    bool pinned;                  /* the session holds a backend it can't leave           */
};

struct plan {
    enum role role;
    enum route_why why;
    struct bytes server;          /* a hint's server name, or empty                        */
    bool stays;                   /* must run on the backend that the session holds        */
};
/* Complete: nothing later in the command asks again.  False (POLICY) for a hint that
 * makes no sense. */
bool route(const struct facts *facts, const struct statement *st, struct plan *out,
           struct fault *why);

#endif
