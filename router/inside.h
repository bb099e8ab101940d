/*
 * inside.h - what the files of router/ tell each other.
 *
 *     text --lexer.c--> tokens --verb.c--> parts of a statement
 *                                 |
 *                                 +--effects.c: sees each token of a part
 *                                 +--digest.c:  hashes each token of the text
 *                                 +--hint.c:    reads the comments meant for us
 */
#ifndef ROUTER_INSIDE_H
#define ROUTER_INSIDE_H

#include "router/router.h"

#include <endian.h>

/* ---- keywords.c ------------------------------------------------------------------ */

/* May stand directly in front of '(' without being a call.  Only words that no
 * server takes for the name of a stored function there. */
#define KEYWORD_OPENS 1u
/* The same, but on MariaDB the word can be the name of a stored function. */
#define KEYWORD_OPENS_ON_MYSQL 2u
/* Begins a statement and has no place inside a SELECT (INSERT( and REPLACE( are
 * functions, and FOR UPDATE is looked at first). */
#define KEYWORD_WRITES 4u
/* keywords.c: the words that see_keyword() and the digest look at. */
#define KEYWORD_HAS_EFFECT 8u
#define KEYWORD_IN_DIGEST 16u

/* By first letter, frequent ones first: K(NAME, "name", flags). */
#define KEYWORDS_A(K)                                                                      \
    K(AND, "and", KEYWORD_OPENS)                                                           \
    K(AS, "as", KEYWORD_OPENS)                                                             \
    K(ALL, "all", KEYWORD_OPENS)                                                           \
    K(ANY, "any", KEYWORD_OPENS)                                                           \
    K(ALTER, "alter", KEYWORD_WRITES)                                                      \
    K(ANALYZE, "analyze", 0)
#define KEYWORDS_B(K)                                                                      \
    K(BY, "by", KEYWORD_OPENS)                                                             \
    K(BETWEEN, "between", KEYWORD_OPENS)                                                   \
    K(BEGIN, "begin", 0)                                                                   \
    K(BACKUP, "backup", 0)                                                                 \
    K(BIGINT, "bigint", KEYWORD_OPENS)                                                     \
    K(BINARY, "binary", KEYWORD_OPENS)                                                     \
    K(BINLOG, "binlog", 0)                                                                 \
    K(BIT, "bit", KEYWORD_OPENS)
#define KEYWORDS_C(K)                                                                      \
    K(CASE, "case", KEYWORD_OPENS)                                                         \
    K(COMMIT, "commit", 0)                                                                 \
    K(CREATE, "create", KEYWORD_WRITES)                                                    \
    K(CALL, "call", KEYWORD_WRITES)                                                        \
    K(CACHE, "cache", 0)                                                                   \
    K(CHAIN, "chain", 0)                                                                   \
    K(CHANGE, "change", KEYWORD_WRITES)                                                    \
    K(CHARACTER, "character", KEYWORD_OPENS)                                               \
    K(CHARSET, "charset", 0)                                                               \
    K(CHECK, "check", 0)                                                                   \
    K(CHECKSUM, "checksum", 0)                                                             \
    K(CLONE, "clone", 0)                                                                   \
    K(CONNECTION, "connection", 0)
#define KEYWORDS_D(K)                                                                      \
    K(DISTINCT, "distinct", KEYWORD_OPENS)                                                 \
    K(DESC, "desc", 0)                                                                     \
    K(DELETE, "delete", KEYWORD_WRITES)                                                    \
    K(DATETIME, "datetime", KEYWORD_OPENS)                                                 \
    K(DEALLOCATE, "deallocate", 0)                                                         \
    K(DEC, "dec", KEYWORD_OPENS)                                                           \
    K(DECIMAL, "decimal", KEYWORD_OPENS)                                                   \
    K(DEFAULT, "default", KEYWORD_OPENS)                                                   \
    K(DESCRIBE, "describe", 0)                                                             \
    K(DIAGNOSTICS, "diagnostics", 0)                                                       \
    K(DISTINCTROW, "distinctrow", KEYWORD_OPENS)                                           \
    K(DIV, "div", KEYWORD_OPENS)                                                           \
    K(DO, "do", 0)                                                                         \
    K(DOUBLE, "double", KEYWORD_OPENS)                                                     \
    K(DROP, "drop", KEYWORD_WRITES)                                                        \
    K(DUMPFILE, "dumpfile", 0)
#define KEYWORDS_E(K)                                                                      \
    K(ELSE, "else", KEYWORD_OPENS)                                                         \
    K(EXISTS, "exists", KEYWORD_OPENS)                                                     \
    K(EVENT, "event", 0)                                                                   \
    K(ERRORS, "errors", 0)                                                                 \
    K(EXCEPT, "except", KEYWORD_OPENS)                                                     \
    K(EXECUTE, "execute", 0)                                                               \
    K(EXPLAIN, "explain", 0)                                                               \
    K(EXPORT, "export", 0)                                                                 \
    K(EXTENDED, "extended", 0)
#define KEYWORDS_F(K)                                                                      \
    K(FROM, "from", KEYWORD_OPENS)                                                         \
    K(FOR, "for", 0)                                                                       \
    K(FLOAT, "float", KEYWORD_OPENS)                                                       \
    K(FLUSH, "flush", 0)                                                                   \
    K(FALSE, "false", 0)                                                                   \
    K(FORMAT, "format", 0)                                                                 \
    K(FUNCTION, "function", 0)
#define KEYWORDS_G(K)                                                                      \
    K(GROUP, "group", KEYWORD_OPENS)                                                       \
    K(GET, "get", 0)                                                                       \
    K(GLOBAL, "global", 0)                                                                 \
    K(GRANT, "grant", KEYWORD_WRITES)
#define KEYWORDS_H(K)                                                                      \
    K(HAVING, "having", KEYWORD_OPENS)                                                     \
    K(HANDLER, "handler", 0)                                                               \
    K(HELP, "help", 0)
#define KEYWORDS_I(K)                                                                      \
    K(IN, "in", KEYWORD_OPENS)                                                             \
    K(INTO, "into", 0)                                                                     \
    K(INSERT, "insert", KEYWORD_WRITES)                                                    \
    K(INTERVAL, "interval", KEYWORD_OPENS)                                                 \
    K(INDEX, "index", KEYWORD_OPENS)                                                       \
    K(IMPORT, "import", 0)                                                                 \
    K(INSTALL, "install", 0)                                                               \
    K(INSTANCE, "instance", 0)                                                             \
    K(INT, "int", KEYWORD_OPENS)                                                           \
    K(INTEGER, "integer", KEYWORD_OPENS)                                                   \
    K(INTERSECT, "intersect", KEYWORD_OPENS)
/* A stored function called json_table is beyond doubt enough. */
#define KEYWORDS_J(K)                                                                      \
    K(JOIN, "join", KEYWORD_OPENS)                                                         \
    K(JSON_TABLE, "json_table", KEYWORD_OPENS)
#define KEYWORDS_K(K)                                                                      \
    K(KEY, "key", KEYWORD_OPENS)                                                           \
    K(KILL, "kill", KEYWORD_WRITES)
#define KEYWORDS_L(K)                                                                      \
    K(LIKE, "like", KEYWORD_OPENS)                                                         \
    K(LIMIT, "limit", 0)                                                                   \
    K(LOCK, "lock", 0)                                                                     \
    K(LATERAL, "lateral", KEYWORD_OPENS_ON_MYSQL)                                          \
    K(LOAD, "load", KEYWORD_WRITES)                                                        \
    K(LOCAL, "local", 0)
#define KEYWORDS_M(K) K(MATCH, "match", KEYWORD_OPENS)
#define KEYWORDS_N(K)                                                                      \
    K(NOT, "not", KEYWORD_OPENS)                                                           \
    K(NULL, "null", 0)                                                                     \
    K(NAMES, "names", 0)                                                                   \
    K(NCHAR, "nchar", KEYWORD_OPENS)                                                       \
    K(NEXT, "next", 0)                                                                     \
    K(NO, "no", 0)                                                                         \
    K(NUMERIC, "numeric", KEYWORD_OPENS)                                                   \
    K(NO_WRITE_TO_BINLOG, "no_write_to_binlog", 0)
#define KEYWORDS_O(K)                                                                      \
    K(ON, "on", KEYWORD_OPENS)                                                             \
    K(OR, "or", KEYWORD_OPENS)                                                             \
    K(OF, "of", KEYWORD_OPENS_ON_MYSQL)                                                    \
    K(ONLY, "only", 0)                                                                     \
    K(OPTIMIZE, "optimize", KEYWORD_WRITES)                                                \
    K(OUTFILE, "outfile", 0)                                                               \
    K(OVER, "over", KEYWORD_OPENS)
#define KEYWORDS_P(K)                                                                      \
    K(PACKAGE, "package", 0)                                                               \
    K(PARTITION, "partition", KEYWORD_OPENS)                                               \
    K(PARTITIONS, "partitions", 0)                                                         \
    K(PASSWORD, "password", 0)                                                             \
    K(PERSIST, "persist", 0)                                                               \
    K(PERSIST_ONLY, "persist_only", 0)                                                     \
    K(PREPARE, "prepare", 0)                                                               \
    K(PREVIOUS, "previous", 0)                                                             \
    K(PROCEDURE, "procedure", 0)                                                           \
    K(PROCESSLIST, "processlist", 0)                                                       \
    K(PURGE, "purge", 0)
#define KEYWORDS_R(K)                                                                      \
    K(ROW, "row", KEYWORD_OPENS)                                                           \
    K(READ, "read", 0)                                                                     \
    K(REAL, "real", KEYWORD_OPENS)                                                         \
    K(RECURSIVE, "recursive", 0)                                                           \
    K(REGEXP, "regexp", KEYWORD_OPENS)                                                     \
    K(RELEASE, "release", 0)                                                               \
    K(RENAME, "rename", KEYWORD_WRITES)                                                    \
    K(REPAIR, "repair", 0)                                                                 \
    K(REPLACE, "replace", KEYWORD_WRITES)                                                  \
    K(RESET, "reset", 0)                                                                   \
    K(RESOURCE, "resource", 0)                                                             \
    K(RESTART, "restart", 0)                                                               \
    K(REVOKE, "revoke", KEYWORD_WRITES)                                                    \
    K(RLIKE, "rlike", KEYWORD_OPENS)                                                       \
    K(ROLE, "role", 0)                                                                     \
    K(ROLLBACK, "rollback", 0)
#define KEYWORDS_S(K)                                                                      \
    K(SELECT, "select", KEYWORD_OPENS)                                                     \
    K(SET, "set", 0)                                                                       \
    K(SHOW, "show", 0)                                                                     \
    K(SAVEPOINT, "savepoint", 0)                                                           \
    K(SESSION, "session", 0)                                                               \
    K(SHARE, "share", 0)                                                                   \
    K(SHUTDOWN, "shutdown", 0)                                                             \
    K(SMALLINT, "smallint", KEYWORD_OPENS)                                                 \
    K(SOME, "some", KEYWORD_OPENS)                                                         \
    K(SQL_CALC_FOUND_ROWS, "sql_calc_found_rows", KEYWORD_OPENS)                           \
    K(SQL_NO_CACHE, "sql_no_cache", KEYWORD_OPENS)                                         \
    K(STAGE, "stage", 0)                                                                   \
    K(START, "start", 0)                                                                   \
    K(STATEMENT, "statement", 0)                                                           \
    K(STATUS, "status", 0)                                                                 \
    K(STOP, "stop", 0)                                                                     \
    K(STRAIGHT_JOIN, "straight_join", KEYWORD_OPENS)
#define KEYWORDS_T(K)                                                                      \
    K(TABLE, "table", 0)                                                                   \
    K(THEN, "then", KEYWORD_OPENS)                                                         \
    K(TO, "to", KEYWORD_OPENS)                                                             \
    K(TABLES, "tables", 0)                                                                 \
    K(TEMPORARY, "temporary", 0)                                                           \
    K(TINYINT, "tinyint", KEYWORD_OPENS)                                                   \
    K(TRANSACTION, "transaction", 0)                                                       \
    K(TRIGGER, "trigger", 0)                                                               \
    K(TRUE, "true", 0)                                                                     \
    K(TRUNCATE, "truncate", 0)             
#define KEYWORDS_U(K)                                                                      \
    K(USE, "use", 0)                                                                       \
    K(UPDATE, "update", KEYWORD_WRITES)                                                    \
    K(USING, "using", KEYWORD_OPENS)                                                       \
    K(UNION, "union", KEYWORD_OPENS)                                                       \
    K(UNINSTALL, "uninstall", 0)                                                           \
    K(UNLOCK, "unlock", 0)
#define KEYWORDS_V(K)                                                                      \
    K(VALUES, "values", KEYWORD_OPENS)                                                     \
    K(VALUE, "value", 0)                                                                   \
    K(VARBINARY, "varbinary", KEYWORD_OPENS)                                               \
    K(VARCHAR, "varchar", KEYWORD_OPENS)
#define KEYWORDS_W(K)                                                                      \
    K(WHERE, "where", KEYWORD_OPENS)                                                       \
    K(WHEN, "when", KEYWORD_OPENS)                                                         \
    K(WITH, "with", 0)                                                                     \
    K(WARNINGS, "warnings", 0)                                                             \
    K(WINDOW, "window", 0)                                                                 \
    K(WORK, "work", 0)                                                                     \
    K(WRITE, "write", 0)
#define KEYWORDS_X(K)                                                                      \
    K(XA, "xa", 0)                                                                         \
    K(XOR, "xor", KEYWORD_OPENS)
#define KEYWORDS(K)                                                                        \
    KEYWORDS_A(K) KEYWORDS_B(K) KEYWORDS_C(K) KEYWORDS_D(K) KEYWORDS_E(K) KEYWORDS_F(K)    \
    KEYWORDS_G(K) KEYWORDS_H(K) KEYWORDS_I(K) KEYWORDS_J(K) KEYWORDS_K(K) KEYWORDS_L(K)    \
    KEYWORDS_M(K) KEYWORDS_N(K) KEYWORDS_O(K) KEYWORDS_P(K) KEYWORDS_R(K) KEYWORDS_S(K)    \
    KEYWORDS_T(K) KEYWORDS_U(K) KEYWORDS_V(K) KEYWORDS_W(K) KEYWORDS_X(K)

enum keyword {
    KEYWORD_NONE,
#define K(name, text, flags) KEYWORD_##name,
    KEYWORDS(K)
#undef K
    KEYWORD_COUNT
};

/* Eight bytes of a word with ASCII letters in lower case.  Other bytes of names stay what they
 * are but '_', which becomes a byte that no name has. */
static inline uint64_t word_fold(uint64_t bytes)
{
    return bytes | (~bytes & 0x8080808080808080u) >> 2;
}
/* The first eight bytes, the first one lowest. */
static inline uint64_t word_bytes(const uint8_t *from)
{
    uint64_t bytes;
    memcpy(&bytes, from, sizeof(bytes));
    return le64toh(bytes);
}
/* The first bytes of a word of `len` > 0 folded, with zeros behind its end; `room` bytes can be
 * read. */
static inline uint64_t word_load(const uint8_t *from, size_t len, size_t room)
{
    uint64_t bytes = 0;
    unsigned unused = len < sizeof(bytes) ? 64 - 8 * (unsigned)len : 0;
    if (room >= sizeof(bytes)) {
        bytes = word_bytes(from);
    } else {
        for (size_t i = 0; i < room; i++)
            bytes |= (uint64_t)from[i] << (8 * i);
    }
    return word_fold(bytes << unused) >> unused;
}

/* KEYWORD_NONE when `word` is none; case does not matter. */
enum keyword keyword_find(struct bytes word);
/* Fill in the keyword of a word whose text and head are known; returns TOKEN_WORD. */
enum token_kind keyword_give(struct token *word);
extern const uint8_t keyword_flag_bits[KEYWORD_COUNT];
static inline unsigned keyword_flags(enum keyword k)
{
    return keyword_flag_bits[k];
}

/* ---- charset.c ------------------------------------------------------------------------ */

/* Of the character at p, which begins with a byte from 0x80, in a character set whose second bytes may be
 * ASCII; 1 if it is none. */
size_t charset_length(enum lexer_charset charset, const uint8_t *p, const uint8_t *end);
/* Could the server see more than one token in this name, because of its bytes from 0x80?  (Of those with
 * charset_length(): unless it was used to find the name's end.) */
bool charset_is_in_doubt(enum lexer_charset charset, const uint8_t *from, const uint8_t *to);

/* ---- comments.c -------------------------------------------------------------------- */

/* The byte n further on; 0 behind the end, as the servers' buffers have it. */
static inline uint8_t peek(const struct lexer *lx, const uint8_t *p, size_t n)
{
    return (size_t)(lx->end - p) > n ? p[n] : 0;
}

static inline bool is_quote(uint8_t c)
{
    return c == '`' || c == '\'' || c == '"';
}

enum comment {
    COMMENT_NONE,                 /* the mark is a mark                                     */
    COMMENT_PASSED,               /* or stepped into, when the server executes it           */
    COMMENT_OURS,                 /* "volvox:": what follows that is the text               */
    COMMENT_BROKEN                /* has no end                                             */
};
/* *p stands at a mark that comments begin or end with; goes on behind the comment. */
enum comment comment_pass(struct lexer *lx, const uint8_t **p, struct bytes *text);

/* ---- functions.c ------------------------------------------------------------------- */

#define FUNCTION_KNOWN 1u         /* built in: the server does not look for a stored one    */
#define FUNCTION_PRIMARY 2u       /* does something, or reads what only the primary has     */
#define FUNCTION_INSERT_ID 4u     /* LAST_INSERT_ID: depends on whether it has an argument  */

struct function_facts {
    unsigned flags;               /* FUNCTION_*; 0 = not built in as far as we know         */
    uint32_t effects;
};
/* What `name(` calls.  `adjacent`: nothing stands between the name and its '('. */
struct function_facts function_find(struct bytes name, const struct lexer_mode *mode,
                                    bool adjacent);

/* For the tests: binary search needs it. */
bool functions_are_sorted(void);

/* ---- digest.c ------------------------------------------------------------------------ */

/* The hash of what has been seen, and how long its text is, for whoever writes one. */
struct digest_place {
    uint64_t hash;
    size_t text;
};

enum digest_prev { PREV_NONE, PREV_OPERAND, PREV_STRING, PREV_MARK, PREV_SIGN };
enum digest_in { IN_NONE, IN_EXPECTED, IN_OPEN, IN_VALUES };
enum digest_rows { ROWS_NONE, ROWS_EXPECTED, ROWS_INSIDE, ROWS_BEHIND, ROWS_COMMA };

/* A list whose members turn out to be literals is taken back and put in as one thing. */
struct digest {
    struct digest_place at;
    struct digest_place sign;     /* in front of a + or - that may belong to a number       */
    struct digest_place list;     /* behind the '(' of IN (                                 */
    struct digest_place row;      /* in front of the row's '('                              */
    struct digest_place comma;    /* in front of the comma before it                        */
    uint64_t last_row;            /* hash of the row before; 0 = this is the first          */
    unsigned depth, values;       /* in the row                                             */
    uint8_t prev;                 /* enum digest_prev                                       */
    uint8_t in;                   /* enum digest_in                                         */
    uint8_t rows;                 /* enum digest_rows                                       */
    bool is_plain;                /* only values in the row so far                          */
    bool has_gap;                 /* a semicolon, if something follows                      */
    bool is_broken;
};

/* What the text gets where `at` is now, for the token just seen. */
enum digest_piece { PIECE_NONE, PIECE_TOKEN, PIECE_VALUE, PIECE_VALUES, PIECE_ROW };

void digest_begin(struct digest *d);
static inline uint64_t digest_mix(uint64_t hash, uint64_t v)
{
    hash = (hash ^ v) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 32;
}
/* Kind and length go in front, so that no two words make another. */
static inline uint64_t digest_mix_head(uint64_t hash, unsigned kind, size_t len, uint64_t head)
{
    return digest_mix(hash + (uint64_t)len * 0xA24BAED4963EE407u + kind, head);
}

/* The next token; `end` is the end of what can be read. */
enum digest_piece digest_see_closely(struct digest *d, const struct token *t, const uint8_t *end);
static inline enum digest_piece digest_see(struct digest *d, const struct token *t,
                                           const uint8_t *end)
{
    unsigned flags = keyword_flags((enum keyword)t->keyword);
    if (t->kind != TOKEN_WORD || t->text.len > 8 || (d->in | d->rows | d->has_gap) != 0 ||
        (flags & KEYWORD_IN_DIGEST) != 0)
        return digest_see_closely(d, t, end);
    d->prev = (flags & KEYWORD_OPENS) != 0 ? PREV_NONE : PREV_OPERAND;
    d->at.hash = digest_mix_head(d->at.hash, TOKEN_WORD, t->text.len, t->head);
    return PIECE_TOKEN;
}
uint64_t digest_end(const struct digest *d);

/* ---- capitals.c ------------------------------------------------------------------------ */

/* Is `word`, in lower case, one that stands out in a normal form? */
bool word_is_capital(const char *word);
/* For the tests: binary search needs it. */
bool capitals_are_sorted(void);

/* ---- effects.c ---------------------------------------------------------------------- */

/* How far the names in front of '(' are calls. */
enum calls {
    CALLS_ALL,
    CALLS_AFTER_NAMES,            /* INSERT: the table's column list comes first            */
    CALLS_AFTER_SELECT,           /* DDL: definitions, until a SELECT                       */
    CALLS_NONE
};

enum expecting {
    EXPECT_ANYTHING,
    EXPECT_CALL,                  /* INSERT, REPLACE, ...: only as a function               */
    EXPECT_INSERT_ID_END          /* after LAST_INSERT_ID(                                  */
};

/* One statement of the text being read. */
struct part {
    struct lexer lexer;           /* this and the next three are of the whole text          */
    struct lexer_mode next_mode;  /* of the part behind this one: SET may change it         */
    struct digest *digest;
    struct hint *hint;
    struct token token;           /* the current one                                        */
    struct token last, before;    /* the two tokens that came before `token`                */
    enum verb verb;
    uint32_t effects;
    bool reads_only;
    bool in_doubt;                /* could mean what we don't see                           */
    enum calls calls;
    enum expecting expecting;
    bool in_cte_head;             /* between WITH and the verb, at this depth:              */
    unsigned head_depth;
    bool has_body;                /* CREATE PROCEDURE ...: semicolons may be inside         */
    bool needs_primary;           /* more than a read, in a way that no effect names        */
    bool fills_vars;              /* in a list of INTO @a, @b                               */
    bool fills_all_vars;          /* CALL, LOAD DATA, GET DIAGNOSTICS: any @a is written    */
    unsigned autocommits;         /* SET: assignments of a literal to it                    */
    bool only_autocommit;         /* see struct statement                                   */
    enum release release;
    unsigned depth;               /* of parentheses                                         */
};

/* The part ends at a semicolon, the end, or what can't be read. */
static inline bool part_at_end(const struct part *p)
{
    const unsigned ends = 1u << TOKEN_END | 1u << TOKEN_SEMICOLON | 1u << TOKEN_BROKEN;
    return (ends >> p->token.kind & 1) != 0;
}
/* Go to the next token, never behind the part's end; hints are taken aside.  False
 * at the end. */
bool part_next(struct part *p);
/* Look at the current token with those before it. */
void part_see_closely(struct part *p);
static inline void part_see(struct part *p)
{
    if (p->token.kind == TOKEN_WORD && p->expecting == EXPECT_ANYTHING && p->last.punct != '.' &&
        (keyword_flags((enum keyword)p->token.keyword) & (KEYWORD_HAS_EFFECT | KEYWORD_WRITES)) == 0)
        return;
    part_see_closely(p);
}
/* See it and all that follow, to the part's end. */
void part_see_rest(struct part *p);

/* Is the current token this keyword? */
static inline bool part_at(const struct part *p, enum keyword k)
{
    return p->token.keyword == (uint16_t)k;
}
/* Without the quotes around it, if there are any. */
struct bytes name_unquoted(struct bytes name);
/* Is `name` the word `word` (lower case), in quotes or not, whatever its case? */
bool name_is(struct bytes name, const char *word);
/* Of scope.name, as far as the lexer took it for one piece: is that its scope? */
bool name_has_scope(struct bytes text, const char *scope);

/* Of the session_track_* variables? */
bool name_is_tracker(struct bytes name);

/* ---- front.c, set.c ------------------------------------------------------------------- */

struct front {
    bool explains, executes;      /* EXPLAIN; and with ANALYZE                              */
    bool is_done;                 /* it was no front but all of the statement               */
};
/* Pass one thing in front of a statement; false when there is none. */
bool pass_front(struct part *p, struct front *f);

/* Behind SET; the current token is the first after it.  True when it was SET
 * STATEMENT ... FOR and the statement itself comes next. */
bool set_read(struct part *p);

/* ---- hint.c ------------------------------------------------------------------------- */

/* A hint's text (behind "volvox:"); what contradicts an earlier one is HINT_BAD. */
void hint_read(struct bytes text, struct hint *hint);

#endif
