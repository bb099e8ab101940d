/*
 * inside.h - what the files of session/ share: a command on its way from left to right.
 *
 *   command_read ─► decide ─► obtain ─► align ─► relay ─► settle
 */
#ifndef SESSION_INSIDE_H
#define SESSION_INSIDE_H

#include "session/session.h"

/* Sessions by their ids (ids.c): a word for each, and some room. */
struct id_table {
    struct session **slots;
    uint32_t count, cap;          /* cap is 0 or a power of two */
};

struct sessions {
    struct worker *worker;
    struct sessions_shared *shared;
    struct list logging_in, idle, busy;
    struct list all;              /* of session.all and of bookmarks                      */
    struct id_table ids;
    struct pin_table *pins;
    struct paces *paces;          /* follow.c                                             */
    struct map routines;          /* of servers, as far as is known: routines.c           */
    unsigned routines_as_of;
    struct list gates;            /* paused groups, pause.c                               */
    struct list arriving;         /* wait until fewer are logging in                      */
    unsigned n_logging_in;        /* with a task                                          */
    bool is_admitting;            /* those who wait are being let in                       */
    uint64_t turn_us;             /* in the loop's turn of this time ...                   */
    unsigned n_begun;             /* ... so many logins have begun                         */
    struct list starved;          /* readable, but no stack was free                      */
    atomic_uint count;
    unsigned peak;                /* of shared->open, since memory was returned           */
    struct timeouts idle_timeouts;
    ev_timer again;               /* tries the starved, and those arriving                */
    ev_timer forget;              /* old accounts                                         */
    struct worker *const *workers;
    unsigned n_workers;
    bool draining;
};
static inline struct sessions *worker_sessions(const struct worker *w)
{
    return worker_part(w, PART_SESSIONS);
}
static inline struct worker *session_worker(const struct session *s)
{
    return s->home->worker;
}

/* A command of at most max_packet bytes is read whole, and so much that comes behind it; a longer
 * one streams, see PIN_LONG_TEXT. */
enum { LOOK_AHEAD = 64 << 10 };

/* Rare members of a session. */
#define ID_NOT_KNOWN UINT64_MAX
struct session_more {
    struct map statements;        /* client's id (4 bytes) -> struct stmt                 */
    uint32_t last_stmt_id;
    unsigned n_cursors, n_long_data; /* statements with one open                          */
    uint64_t id_before;           /* LAST_INSERT_ID() of the lease before it was in doubt    */
    ev_timer wait;                /* while IDLE, see idle.c                               */
    uint32_t last_prepared;       /* by the last PREPARE, 0 if that failed: what MariaDB's
                                     clients call 0xFFFFFFFF                              */
    struct ends *ends;            /* NULL: as the socket says; stays to the end, proxied.c */
    struct tracking *tracking;    /* counted; as the client set session_track_*, NULL: it did not */
    struct untold *untold;        /* see tell.c                                           */
    struct diagnostics *diagnostics; /* of the last statement, when its connection was given away */
    struct fault *told;           /* the error that was Volvox's answer to it: no server knows that */
    struct holdings *holdings;    /* see holdings.c                                       */
    struct unread *unread;        /* see routines.c; NULL: nothing                        */
    uint16_t n_warnings;          /* what MySQL says of those with commands that are none    */
    bool diagnostics_in_doubt;    /* what SHOW WARNINGS says can't be known                 */
    bool has_mark;                /* see diagnostics_mark()                               */
};

struct session_more *session_more(struct session *s);   /* made when first needed */

/* A client's prepared statement. */
struct stmt {
    uint32_t id;                  /* the client's                                         */
    struct stmt_text *text;       /* counted                                              */
    struct statement st;          /* without its hint's view                              */
    char *hint_server;            /* owned, or NULL                                       */
    uint16_t params, columns;
    struct definitions *definitions; /* as the client was sent them last, if it keeps them
                                     (CACHE_METADATA); counted                             */
    uint8_t *types;               /* 2 bytes a parameter as last sent, or NULL            */
    uint64_t types_number;        /* identifies them for backend_stmt.bound; 0 = none     */
    uint64_t first_types;         /* as backend_stmt's                                    */
    bool has_cursor, has_long_data;
    bool has_own_id;              /* see own_id.c                                         */
    bool is_only_here;            /* its text was not kept, the session stays             */
    struct fault long_data_fault; /* of SEND_LONG_DATA, told at EXECUTE                   */
};

/* ---- command.c: what each COM_* means here ------------------------------------------- */

/* LAST_INSERT_ID(), with or without an argument: the session's value must be there before. */
#define EFFECT_INSERT_ID (EFFECT_USES_INSERT_ID | EFFECT_SETS_INSERT_ID)

/* ROW_COUNT() or FOUND_ROWS() of the statement before: nothing of ours may run in between. */
#define EFFECT_COUNTS (EFFECT_USES_FOUND_ROWS | EFFECT_USES_ROW_COUNT)

enum action {
    ACTION_FORWARD,               /* to a backend, its response to the client             */
    ACTION_EXECUTE,               /* likewise, of a prepared statement                    */
    ACTION_KILL,                  /* by us or like the two above: kill.c                  */
    ACTION_ANSWER,                /* answered by us (command->answer)                     */
    ACTION_QUIT
};

struct command {
    uint8_t code;
    enum action action;
    enum response_kind response;
    uint8_t *head;                /* its first bytes, command byte included; in client.in  */
    size_t head_len;
    uint32_t first_frame;         /* payload length of the first frame                    */
    bool whole;                   /* head is all of it                                    */
    size_t wire_len;              /* of what lies in client.in (the whole, if whole)      */
    size_t text_at;               /* where its text begins in `head`: behind attributes     */
    struct bytes wire;            /* what to send of that: as it lies there, unless rewritten */
    size_t inserted;              /* bytes by which `wire` is longer                       */
    uint8_t next_seq;             /* of what the client expects next                       */
    uint8_t server_seq;           /* of what the server sends next                         */
    uint8_t error_seq;            /* of an ERR of ours, if not next_seq                    */
    bool taken;                   /* its bytes are no longer in client.in                  */
    bool ends_session;            /* if it fails                                           */
    struct statement st;          /* what it is, as the router reads it                   */
    struct stmt *stmt;            /* EXECUTE, FETCH, ...                                  */
    struct bytes rewritten;       /* the text that the server gets, if not the client's: own_id.c */
    struct bytes stripped;        /* to be sent instead of `wire`: without query attributes */
    struct bytes joined;          /* statements of ours in front of its text, or nothing: joined.c */
    bool has_own_id;              /* what comes back may show that                        */
    bool (*answer)(struct task *t, struct session *s, struct command *cmd, struct fault *why);
};

/* The text of a QUERY or PREPARE, as far as it is in sight. */
static inline struct bytes command_text(const struct command *cmd)
{
    return bytes_skip(bytes_of(cmd->head, cmd->head_len), cmd->text_at);
}

/* What became of a command. */
struct outcome {
    struct fault why;
    uint64_t started_us;
    bool done;
    bool sent;                    /* the backend may have taken bytes of it               */
    bool answered;                /* the client got bytes of a response                   */
    bool learned;                 /* something in the response changed the session        */
    uint64_t answer_at;           /* where in the client's stream the response begins      */
    bool may_share;               /* its lease is new and for it alone: see follow.c       */
    bool is_followed;             /* ... and came with the command sent behind others      */
    bool was_followed;            /* ... once                                             */
    bool was_recalled;            /* others have run on its connection since               */
    bool goes_alone, is_alone;    /* ... to be run again by itself; it is being            */
    bool over;                    /* the response has ended                               */
    bool got_error;               /* ... with the server's ERR                            */
    uint8_t tries;                /* times it was sent again                              */
    bool drained;                 /* the client's command has been read to its end        */
    bool tunnelled;               /* there is no conversation any more                    */
    bool diagnostics_taken;       /* diagnostics.c has them, the connection does not      */
    bool released;                /* the server ends the connection: COMMIT RELEASE       */
    uint16_t warnings;
    uint16_t error;               /* the server's, if got_error                           */
    enum served_by by;
    uint64_t wait_us;             /* for a backend                                        */
    uint64_t bytes;               /* of the response                                      */
    uint64_t rows;
};

/* The text that a command is about: that of its prepared statement, or its own; empty for others. */
struct bytes command_statement_text(const struct command *cmd);
/* Read the next command of the client; waits for it.  Parks. */
bool command_read(struct task *t, struct session *s, struct command *cmd, struct fault *why);
/* What the text of a command is, as far as it is in sight. */
void command_statement(const struct session *s, struct command *cmd, struct bytes text);
/* The client's bytes are no such command: the server's words. */
bool malformed_command(const struct session *s, struct fault *why);
/* Find out once more what it means, now that it is known how the servers read it. */
void command_read_again(struct session *s, struct command *cmd);
/* Forget the command's bytes; reads and throws away what had not come yet.  Parks. */
bool command_drop(struct task *t, struct session *s, struct command *cmd, struct outcome *out);

/* ---- decide.c -------------------------------------------------------------------------- */

/* Write down the facts, ask the router.  Never waits, changes nothing. */
bool decide(const struct session *s, const struct command *cmd, struct plan *plan, struct fault *why);

/* ---- obtain.c, align.c ------------------------------------------------------------------- */

/* Lease what the plan needs; keeps what is held if it serves.  Servers that failed before for
 * this command are passed over. */
struct attempt {
    struct server *avoid[4];
    unsigned n_avoid;
    unsigned n_again;             /* attempts begun before                                  */
    struct command *may_follow;   /* it may be sent behind others, see follow.c; or NULL     */
};
bool obtain(struct task *t, struct session *s, const struct command *cmd, const struct plan *plan,
            struct attempt *attempt, struct outcome *out);
/* The group whose servers serve this session, or NULL if the topology does not have it (any more). */
const struct group_state *session_group(const struct session *s, const struct topology *topology);
/* Its index in the session's configuration: the listener's, else the user's. */
static inline unsigned session_group_index(const struct session *s, const struct user_config *u)
{
    return s->listener_group >= 0 ? (unsigned)s->listener_group : u->group;
}
/* The same group's state. */
const struct group_state *group_state_of(const struct session *s, unsigned index,
                                         const struct topology *topology);
/* Make a leased backend the session's. */
void lease_hold(struct session *s, struct backend *be);
/* Let go of the lease. */
void let_go(struct session *s, enum put how);

/* ---- follow.c: short reads that share a busy connection ---------------------------------- */

struct boarding {
    struct task *t;
    struct session *s;
    struct command *cmd;
};
/* Is it one of those, and needs nothing on this connection but itself? */
bool follow_suits(const struct session *s, const struct command *cmd, const struct backend *be);
/* The terms of a lease that may come with the command sent behind others. */
void follow_begin(struct follow *f, struct boarding *b);
/* The command has been sent: others may follow, if it is one of those. */
void follow_lead(struct session *s, const struct command *cmd, const struct outcome *out);
/* The answer has been read, and nothing else has been written.  False: it is to be run again by itself
 * (out->goes_alone), or the connection is lost.  `before`: the session's state when it was sent.  Parks. */
bool follow_settle(struct task *t, struct session *s, struct command *cmd, struct outcome *out,
                   const struct state *before);
/* Is it?  Then as if nothing had been sent, and the lease is gone. */
bool follow_alone(struct session *s, struct outcome *out);
/* A command is over. */
void pace_note(const struct session *s, const struct command *cmd, const struct outcome *out);
struct paces *paces_new(void);    /* the caller frees with mem_free() */

/* Make the backend's state ours.  What it writes is sent together with the command when the
 * command only reads, or becomes part of its text; otherwise the server's consent is awaited. */
bool align(struct task *t, struct session *s, struct command *cmd, const struct plan *plan,
           struct fault *why);
/* A statement that leaves no diagnostics.  (MariaDB keeps warnings across those that use no table, like DO 0.) */
#define CLEARS_DIAGNOSTICS BYTES_LITERAL("DO (SELECT 1 FROM (SELECT 1) x)")
/* MySQL's OK for these has the warnings of the statement before. */
bool tells_of_before(const struct backend *be, const struct command *cmd);
/* A schema's name means the same in every character set that a client can have. */
bool name_is_ascii(struct bytes name);
/* Texts that come in this state are in UTF-8. */
bool state_is_utf8(const struct state *state);
/* The backend's LAST_INSERT_ID() is now the session's. */
void give_insert_id(const struct session *s, struct backend *be);
/* Read the server's consent, if any is owed. */
bool align_settle(struct task *t, struct session *s, struct fault *why);
/* The same as align() for any state, awaited. */
bool align_to(struct task *t, struct session *s, struct state *wanted, struct fault *why);
/* The fault is that the account's password has expired?  What the server lets pass then needs no state. */
bool is_sandboxed(struct backend *be, struct fault *why);
/* Write COM_SET_OPTION. */
void write_option(struct backend *be, bool multi_statements);

/* ---- joined.c: what is said to a server before a command --------------------------------------- */

struct before {
    struct buf texts;             /* one behind the other; of OWED_SCHEMA the name        */
    unsigned n;
    struct {
        enum owed what;
        size_t end;               /* in `texts`                                           */
    } parts[6];
};
void before_add(struct before *b, enum owed what, struct bytes text);
/* As commands of their own. */
void before_send(struct before *b, struct backend *be);
/* In one text with the command, which then runs only if all of them have gone well.  False, and nothing is
 * changed, if that can't be (or there is nothing to be said). */
bool before_join(struct before *b, struct session *s, struct command *cmd);
/* The server owes one more answer. */
void owe(struct backend *be, enum owed what);
/* Is there anything behind a semicolon in a command's text?  In doubt, yes. */
bool has_tail(const struct session *s, const struct command *cmd);

/* ---- relay.c -------------------------------------------------------------------------------- */

/* A response on its way. */
struct relay {
    struct session *s;
    struct backend *be;
    struct command *cmd;
    struct outcome *out;
    struct response r;
    bool insert_eof;              /* the client expects an EOF after definitions           */
    uint64_t eof_end;             /* where in the client's stream the last of these ends   */
    uint64_t eof_rows;            /* how many rows came before that one                    */
    bool client_is_ahead;         /* it has sent more commands: not watched any more       */
    bool drop_eof;                /* the server sends one that the client does not expect  */
    /* definitions.c */
    uint64_t missing;             /* dialects that the client speaks and the server does not */
    struct stmt *keeps;           /* whose definitions both sides keep, or NULL            */
    uint64_t n_params;            /* definitions of parameters to come                     */
    uint64_t n_due;               /* definitions to come that are to be kept               */
    bool has_columns;             /* a result set has begun                               */
    struct buf kept;              /* definitions that came                                */
};
bool relay_put(struct task *t, struct relay *x, struct bytes data);
/* Send the command, stream the response, learn from it. */
bool relay(struct task *t, struct session *s, struct command *cmd, struct outcome *out);
/* response_begin() for what this server answers. */
void expect_answer(struct response *r, const struct backend *be, enum response_kind kind,
                   uint8_t first_seq);
/* Read a response to its end without passing it on (of a PREPARE that we sent ourselves):
 * QUERY with the server's error if it is one.  Definitions of columns go to `definitions`. */
bool swallow_prepare(struct task *t, struct backend *be, struct prepared *out,
                     struct buf *definitions, struct fault *why);

/* ---- definitions.c: column definitions where the hops speak of them in different ways ---------- */

/* Before the response: does it have to be told of definitions? */
bool definitions_matter(struct relay *x);
/* The answer to the client's PREPARE was `p`, and made this statement. */
bool on_prepared_columns(struct task *t, struct relay *x, struct stmt *st, const struct prepared *p,
                         const struct response_found *f);
bool on_columns(struct task *t, struct relay *x, const struct response_found *f);
bool on_definition(struct task *t, struct relay *x, const struct response_found *f);
/* Append one to those that are kept. */
bool definition_keep(struct buf *kept, struct bytes definition, struct fault *why);
/* infile.c: pass the server's request for a file to the client, and the file back. */
struct upload {
    uint8_t server_seq;           /* of the next frame to the server, then of what it says next  */
    uint8_t client_seq;           /* of what the client expects then                             */
};
bool infile(struct task *t, struct session *s, struct backend *be, struct bytes request,
            struct upload *up, struct fault *why);

/* tunnel.c: the server has begun to stream: pass bytes both ways until either closes.  Always false. */
bool tunnel(struct task *t, struct session *s, struct command *cmd, struct outcome *out);

/* ---- upload.c --------------------------------------------------------------------------------- */

/* Make of the command what the leased server understands.  Parks, to prepare a statement. */
bool command_ready(struct task *t, struct session *s, struct command *cmd, struct fault *why);
bool send_command(struct task *t, struct session *s, struct command *cmd, struct outcome *out);
/* Copy bytes as they come from one stream to the other. */
bool copy_bytes(struct task *t, struct stream *from, struct stream *to, uint64_t n,
                struct fault *why);
/* When to give up a peer that stalls in the middle of a command. */
double stall_deadline(struct task *t);

/* ---- vars.c: what replies teach ---------------------------------------------------------------- */

/* Status flags, tracked variables, schema, insert id; pins where something can't be replayed.
 * The lease's backend follows along. */
void learn_ok(struct session *s, const struct command *cmd, const struct ok *ok);
/* The effects that servers do not report, once a command has been sent. */
void learn_effects(struct session *s, const struct command *cmd);
/* Variables of the session were looked up: as if the server had reported them. */
void learn_variables(struct session *s, const struct command *cmd, const struct state_var *vars,
                     unsigned n);
/* A statement that could not be read for certain has run: what it left behind is nobody else's. */
void learn_doubt(struct session *s, const struct command *cmd);
bool variable_cannot_be_replayed(struct bytes name);
/* Set the session's state (takes over the reference) and what follows from it. */
void session_set_state(struct session *s, struct state *state);
void session_pin(struct session *s, uint32_t pins);
/* What statements with these effects (router.h) keep a connection for, which their answers don't show. */
uint32_t pins_of_effects(uint32_t effects);
/* False, with the error that says so, if the user may not keep a connection and the command would. */
bool pins_allow(const struct session *s, const struct command *cmd, struct fault *why);

/* ---- unclear.c: reports that leave something open ------------------------------------------------ */

enum clarity {
    REPORT_IS_CLEAR,              /* means what it says                                    */
    REPORT_IS_PART,               /* means what it says, and maybe more                    */
    REPORT_IS_UNCLEAR,            /* stands for some other variable                        */
};
/* Does a report of this variable leave something open?  Then s->unclear says what. */
enum clarity note_unclear(struct session *s, const struct command *cmd, struct bytes name);
/* Ask the lease's server what s->unclear says.  Parks. */
bool learn_unclear(struct task *t, struct session *s, struct fault *why);
/* Likewise what a command that has ended set and no server reports: SET @@x = ... on MariaDB (10.11) gives
 * neither name nor STATE.  What can't be asked for pins.  Parks. */
bool learn_unreported(struct task *t, struct session *s, const struct command *cmd, struct fault *why);

/* ---- tell.c: what the client hears of changes ------------------------------------------------- */

/* Append to `kept` those of an OK's entries that the client would have heard on a connection of its
 * own, with those held back before; at the end of rows that will not be told there they are held back.
 * True if it would have been told that something changed, which may be without an entry. */
bool tell(struct session *s, const struct ok *ok, bool end_of_rows, struct buf *kept);
/* Is something being held back? */
static inline bool has_untold(const struct session *s)
{
    return s->more != NULL && s->more->untold != NULL;
}
void untold_free(struct untold *u);
/* The entries of the OK that ends a login, COM_CHANGE_USER or COM_RESET_CONNECTION. */
enum welcome_kind { WELCOME_LOGIN, WELCOME_CHANGED, WELCOME_RESET };
void tell_welcome(const struct session *s, enum welcome_kind kind, struct buf *kept);
/* What the session asks for, or its server's usual. */
const struct tracking *tracking_in_force(const struct session *s);

/* ---- tracking.c: session_track_* as the client has them ------------------------------------------ */

/* A statement that reads or sets them is about to run: they are the client's on the lease until
 * tracking_end().  Parks. */
bool tracking_begin(struct task *t, struct session *s, const struct command *cmd, struct fault *why);
/* It has run: learn what it set, and report to Volvox again; or never again, and the session is pinned. */
bool tracking_end(struct task *t, struct session *s, const struct command *cmd,
                  const struct outcome *out, struct fault *why);
/* The server reported a change of one of them that its statement did not show. */
void tracking_changed_unseen(struct session *s, const struct track *track);

/* ---- settle.c ------------------------------------------------------------------------------------ */

/* Who is to blame; keep, put back or close; what the client hears.  Returns whether the session
 * goes on.  Parks (to tell the client). */
bool settle(struct task *t, struct session *s, struct command *cmd, struct outcome *out);
/* What the session needs its connection for when a command's response is over; 0: it is put back. */
uint32_t pins_behind(const struct session *s, const struct command *cmd, const struct outcome *out);
/* Its last statement has so many (an error is one). */
void note_warnings(struct session *s, unsigned n);
/* Are the diagnostics of the statement before still there after this command, if it brings none of its own? */
enum keeping { DIAGNOSTICS_GO, DIAGNOSTICS_MAY_STAY, DIAGNOSTICS_STAY };
enum keeping keeps_diagnostics(const struct session *s, const struct command *cmd);
/* Does it leave them there even if it does? */
bool adds_to_diagnostics(const struct session *s, const struct command *cmd);
/* Has nothing of what has come of an answer gone out yet?  Then it can be forgotten. */
bool answer_is_unsent(const struct session *s, const struct outcome *out);
void answer_take_back(struct session *s, struct outcome *out);
/* May a failed command be sent again, on another connection?  Then lets go of this one. */
bool try_again(struct session *s, const struct command *cmd, struct outcome *out);
/* An ERR packet for the client. */
bool tell_error(struct task *t, struct session *s, const struct fault *why, uint8_t seq,
                struct fault *broken);

/* ---- habits.c --------------------------------------------------------------------------------- */

/* What a user's sessions have been seen to ask for. */
bool habit_is_known(const struct session *s, const struct habits *h);
void habit_note(const struct session *s, struct habits *h);

#define CAPS_SAY_WHETHER (CAP_CACHE_METADATA | CAP_OPTIONAL_METADATA)

/* ---- result.c: result sets of our own -------------------------------------------------------------- */

/* In this order: how many columns, each of them; the rows' packets follow result_rows(). */
void result_begin(struct session *s, uint8_t *seq, uint64_t columns);
void result_column(struct session *s, uint8_t *seq, const struct column *c);
void result_rows(struct session *s, uint8_t *seq, uint16_t warnings);
void result_end(struct session *s, uint8_t *seq, uint16_t warnings);

/* ---- counts.c ---------------------------------------------------------------------------------- */

/* A response has ended: with an OK for so many rows, with a result set of so many, with an error. */
void counts_changed(struct session *s, const struct command *cmd, uint64_t affected);
void counts_read(struct session *s, const struct command *cmd, uint64_t rows);
void counts_failed(struct session *s, const struct command *cmd, unsigned code);
/* Does it ask the connection for them, about the statement before it?  (Of several the first may.) */
bool counts_are_asked(const struct session *s, const struct command *cmd);
/* A query of ours has run there since, or they were never there. */
void counts_spoiled(struct session *s);
/* False, with the error, if the command asks for them and the connection can't know. */
bool counts_are_there(const struct session *s, const struct command *cmd, struct fault *why);
/* The error if the connection can't know any more.  False. */
bool counts_are_gone(const struct session *s, struct fault *why);
/* Something ended that nothing is known of. */
void counts_forget(struct session *s);
/* The session was reset. */
void counts_reset(struct session *s);
/* It begins, in its schema. */
void counts_begin(struct session *s);
/* Can the command, a text that asks for ROW_COUNT() or FOUND_ROWS(), be answered without a server? */
bool counts_can_answer(const struct session *s, const struct command *cmd);
bool counts_answer(struct task *t, struct session *s, struct command *cmd, struct fault *why);

/* ---- insert_id.c ------------------------------------------------------------------------------- */

/* Does it ask for LAST_INSERT_ID(), or can't that be known? */
bool uses_insert_id(const struct command *cmd);
/* A command's OK reported this id (0: none). */
void note_insert_id(struct session *s, const struct command *cmd, uint64_t id);
/* SET last_insert_id = ... */
void set_insert_id(struct session *s, struct bytes value);
/* A command that may have changed it has ended without an OK that says so. */
void note_any_insert_id(struct session *s);
/* Make s->insert_id certain, if it is not, by asking the lease.  Parks. */
bool settle_insert_id(struct task *t, struct session *s, struct fault *why);

/* ---- diagnostics.c: what SHOW WARNINGS says, without the connection ------------------------------ */

/* Does it ask for them?  (Not with a command about a statement that does.) */
static inline bool diagnostics_are_asked(const struct command *cmd)
{
    return (cmd->st.effects & EFFECT_DIAGNOSTICS) != 0 &&
           (cmd->code == COM_QUERY || cmd->code == COM_STMT_EXECUTE);
}
/* Read them out of the leased backend, whose last command was the session's.  False with OURS: there are
 * too many, the backend is sound; else it is lost.  Parks. */
bool diagnostics_take(struct task *t, struct session *s, struct fault *why);
/* Have they been? */
bool diagnostics_were_taken(const struct session *s);
/* Likewise what a command has added to those that were taken. */
bool diagnostics_take_more(struct task *t, struct session *s, struct fault *why);
/* The last statement's only one is this error, of Volvox. */
void diagnostics_tell(struct session *s, const struct fault *why);
/* It comes behind those of the statement before.  Parks. */
void diagnostics_tell_more(struct task *t, struct session *s, const struct command *cmd,
                           const struct fault *why);
/* MariaDB only knows behind it whether a command keeps those of before, and these have been taken along: have the
 * lease's server note an error of ours before the command, and see behind it whether that is still there.  The
 * latter parks, and is to be asked for if has_mark. */
void diagnostics_mark(struct session *s, struct backend *be);
bool diagnostics_see_mark(struct task *t, struct session *s, struct fault *why);
/* What there are depends on what nobody has seen. */
void diagnostics_doubt(struct session *s);
bool diagnostics_are_in_doubt(const struct session *s);
/* Is there such an error?  Then have the lease's server make it its own: there it stays. */
bool diagnostics_were_told(const struct session *s);
void diagnostics_signal(struct session *s, struct backend *be);
/* How many MySQL says that there are, with commands that are no statements. */
uint16_t diagnostics_count(const struct session *s);
/* What was taken is no longer of the last statement. */
void diagnostics_forget(struct session *s);
/* False, with the error that says so, if a command asks about what was taken. */
bool diagnostics_are_here(const struct session *s, const struct command *cmd, struct fault *why);
/* Answer a text command that asks about what was taken (session_more.diagnostics is there). */
bool diagnostics_answer(struct task *t, struct session *s, struct command *cmd, struct fault *why);

/* ---- uservars.c ---------------------------------------------------------------------------------- */

/* A command that may set user variables is about to be sent. */
void user_vars_note(struct session *s, const struct command *cmd);
/* Has the one set variables that the other has not? */
bool user_vars_go(const struct state *from, const struct state *to);
/* Does a command ask about variables that the session never set and the lease's backend has, from others?  Set
 * to NULL they would not be as they were: only a reset undoes that. */
bool user_vars_are_others(const struct session *s, const struct command *cmd);
/* Look up those that were noted.  False with OURS: one can't be put back elsewhere (and has pinned the
 * session for good); else the backend is lost.  Clears the backend's diagnostics.  Parks. */
bool user_vars_take(struct task *t, struct session *s, struct fault *why);

/* ---- holdings.c -------------------------------------------------------------------------------- */

/* A command has ended: what it took, or gave back, of what has a name at the server; pins end with the
 * last of these. */
void holdings_note(struct session *s, const struct command *cmd, bool failed);
/* Are named locks all that keeps the session there, and may they be gone? */
bool holdings_are_in_doubt(const struct session *s);
/* Then: ask the lease.  Clears its diagnostics.  Parks. */
bool holdings_ask(struct task *t, struct session *s, struct fault *why);
/* There may be a named lock that no text shows; some may be gone. */
void holdings_lock_unseen(struct session *s);
void holdings_doubt_locks(struct session *s);
void holdings_forget(struct session *s);

/* ---- routines.c: named locks that stored functions take ------------------------------------------ */

/* A command with EFFECT_UNKNOWN_FUNCTION has ended; one that defined something has. */
void routines_note(struct session *s, const struct command *cmd);
void routines_changed(struct session *s, const struct command *cmd);
/* Has the session called functions that have not been looked at?  They must be before it lets go. */
bool routines_are_unread(const struct session *s);
/* Would it let go with these pins, or but for locks that may be gone? */
static inline bool routines_matter(uint32_t pins)
{
    return (pins & ~(PIN_LEAVABLE | PIN_NAMED_LOCK)) == 0;
}
/* Then: ask the lease.  Clears its diagnostics.  Parks. */
bool routines_read(struct task *t, struct session *s, struct fault *why);
void routines_forget(struct session *s);
void routines_release(struct sessions *ss);

/* ---- leave.c ---------------------------------------------------------------------------------- */

/* Take along what PIN_LEAVABLE pins are about; of the diagnostics only if wanted.  False with OURS: the
 * session can't leave; else the backend is lost.  Parks. */
bool take_along(struct task *t, struct session *s, bool diagnostics, struct fault *why);
/* Somebody waits for the lease of this session, which is idle otherwise: give it back, if possible. */
void leave_for_others(struct task *t, struct session *s);

/* ---- stmts.c ----------------------------------------------------------------------------------------- */

/* Find out what a COM_STMT_* means: its statement, action and response. */
bool stmt_command(struct session *s, struct command *cmd, struct fault *why);
/* Make the leased backend know the statement, put its id there into the command, types too. */
bool stmt_ready(struct task *t, struct session *s, struct command *cmd, struct fault *why);
/* Is the statement prepared on this backend, so that its execution may be sent as it is?  Puts the id there
 * into the command, as stmt_ready() does. */
bool stmt_is_ready(struct task *t, struct session *s, struct backend *be, struct command *cmd);
/* A PREPARE went well: note it. */
struct stmt *stmt_prepared(struct session *s, struct command *cmd, const struct prepared *p);
/* The response to a COM_STMT_* ended with these flags; with an error. */
void stmt_executed(struct session *s, const struct command *cmd, uint16_t status);
void stmt_failed(struct session *s, const struct command *cmd, unsigned error);
/* The flag METADATA_CHANGED of an EXECUTE's answer with so many columns: have they been others so far? */
uint16_t stmt_metadata_flag(const struct command *cmd, uint32_t columns);
/* SEND_LONG_DATA failed; there is no answer to it, so EXECUTE will say. */
void stmt_long_data_failed(struct command *cmd, const struct fault *why);
void statements_forget(struct session *s);

/* ---- ids.c: the thread ids that clients see ------------------------------------------------- */

void ids_begin(struct sessions_shared *shared);
void ids_release(struct id_table *x);             /* empty by then */
/* A session of this worker gets the next free one; gives it back. */
void id_take(struct session *s);
void id_drop(struct session *s);
/* NULL if this worker has none with this id. */
struct session *id_find(const struct sessions *ss, uint32_t id);
/* Volvox's or a server's?  Ours: the worker whose session it is, if there is one. */
bool id_is_ours(uint64_t id);
struct worker *id_worker(const struct sessions *ss, uint32_t id);

/* ---- init_connect.c ----------------------------------------------------------------------------- */

/* Run the servers' init_connect for a session that has just logged in.  Parks. */
bool init_connect_run(struct task *t, struct session *s, const struct group_state *g, struct fault *why);

/* ---- own_id.c: CONNECTION_ID() is what the greeting said ------------------------------------ */

/* Have a text that asks for the id of its connection ask for the client's. */
void own_id_put(struct session *s, struct command *cmd);
/* Of such a command: a column's definition for the client; the text of an error. */
struct bytes own_id_column(const struct session *s, struct bytes definition);
struct bytes own_id_text(const struct session *s, struct bytes error);

/* ---- kill.c ------------------------------------------------------------------------------------ */

/* Carry it out, or leave it to a server; if that does not know the thread, relay() puts its error into
 * out->why and not before the client.  Parks. */
bool kill_command(struct task *t, struct session *s, struct command *cmd, struct outcome *out);

/* ---- login.c -------------------------------------------------------------------------------------------- */

/* Greeting to OK, under one deadline.  False: the session is to be closed (what the client had to
 * be told has been told).  Parks. */
bool log_in(struct task *t, struct session *s);
/* In the words of the servers.  Returns false. */
bool access_denied(const struct session *s, struct bytes user, bool with_password, struct fault *why);
bool change_user(struct task *t, struct session *s, struct command *cmd, struct fault *why);
bool reset_connection(struct task *t, struct session *s, struct command *cmd, struct fault *why);

/* ---- begin.c: the state that a session begins in -------------------------------------------- */

enum beginning { AT_LOGIN, AT_CHANGE_USER, AT_RESET };
/* Forget what the session's statements have changed. */
void begin_state(struct session *s, unsigned collation, const struct group_state *g, enum beginning when);
/* Do the servers take a login with that collation?  They look at this before the password.  False in
 * their words. */
bool begin_accepts(unsigned collation, const struct group_state *g, struct fault *why);

/* ---- deferred.c: BEGIN and SET autocommit = 0, answered by us, run with what follows ------- */

/* May this text be one of them? */
bool deferred_takes(const struct session *s, const struct command *cmd);
bool deferred_answer(struct task *t, struct session *s, struct command *cmd, struct fault *why);
/* Is there a transaction to begin? */
static inline bool deferred_begins(const struct session *s)
{
    return s->deferred >= DEFERRED_BEGIN;
}
/* The statement that begins it. */
struct bytes deferred_text(const struct session *s);
/* The server has consented. */
void deferred_has_run(struct session *s);
/* Does the command ask about the statement before, which has not run yet?  Then it must first. */
bool deferred_must_run_first(const struct session *s, const struct command *cmd);
/* Run it and nothing else, awaited; the lease is the session's.  Parks. */
bool deferred_run(struct task *t, struct session *s, struct outcome *out);

/* ---- idle.c: how long a client may say nothing ------------------------------------------- */

void idle_init(struct sessions *ss, double timeout_s);
/* The session has become idle, or is it no longer (or never was). */
void idle_begins(struct session *s);
void idle_ends(struct session *s);

/* ---- login_servers.c: accounts of the servers ----------------------------------------------------------- */

/* Who asks for what at login, whichever packet said so. */
struct claim {
    struct bytes user, schema;
    struct offer offer;
    unsigned collation;
};

/* auth = servers: find out from the group's servers whether the client is who it claims to be.  True: the
 * account (a reference).  If nothing but the client can log in to it, the session holds the connection
 * that it was asked through.  False: what the server said.  Parks. */
bool ask_servers(struct talk *k, const struct claim *r, const struct user_config *u,
                 struct account **account, struct fault *why);
/* The servers refused the session's account: has somebody logged in to it since with something better?
 * Then the session goes on with that. */
bool account_renew(struct session *s);

/* ---- login_tls.c: TLS with clients --------------------------------------------------------------------- */

/* The capability to offer: CAP_SSL, or nothing. */
uint32_t login_tls_offer(const struct session *s);
/* The client asked for it: shake hands.  False with what it has to be told, in clear.  Parks. */
bool login_tls_start(struct task *t, struct session *s, double deadline, struct fault *why);
/* Does the listener insist on TLS, and the client has not got it? */
bool login_tls_required(const struct session *s);
/* What servers say then (always false). */
bool login_tls_missing(const struct group_state *g, struct fault *why);
/* May this user come in over this connection?  (REQUIRE SSL, X509, SUBJECT, ISSUER of servers) */
bool login_tls_allows(const struct session *s, const struct user_config *u);
/* How a client of MariaDB 11.4 or later, which has a password but no authority that it believes, sees that
 * nobody stands between us: 0x01 and in hex SHA256(what a server stores of the password, scramble, SHA256
 * of our certificate), as the text of the OK.  Its length; 0 without TLS, or if nothing is known
 * (talk_note_stored()). */
enum { TLS_PROOF_BYTES = 66 };
size_t login_tls_proof(const struct talk *k, char out[TLS_PROOF_BYTES]);

/* ---- pins.c ------------------------------------------------------------------------------------ */

struct pin_table;
struct pin_table *pin_table_new(void);
void pin_table_free(struct pin_table *t);

/* ---- pause.c ----------------------------------------------------------------------------------- */

/* Wait while the session's group is paused.  Parks.  False (TIME) at the deadline. */
bool wait_while_paused(struct task *t, struct session *s, struct fault *why);
void gates_release(struct sessions *ss);

/* ---- quota.c: max_connections of a user, all workers ------------------------------------------------------ */

struct quota {
    unsigned used;
    char name[];
};
bool quota_take(struct sessions_shared *shared, struct bytes name, unsigned most);
void quota_drop(struct sessions_shared *shared, struct bytes name);

/* ---- former.c: who a session was before COM_CHANGE_USER ---------------------------------- */

struct former {
    struct account *account;      /* this and what follows: references                    */
    struct config *config;
    struct state *state;
    const struct user_config *user;
    struct backend *lease;        /* the only connection that the account has, or NULL    */
    int listener_group;
    bool had_quota;
    bool is_lost;                 /* ... is gone                                          */
};
/* The session, which has been reset, is nobody; its configuration is `now`.  False: its group is
 * gone, and nothing has been done. */
bool former_leave(struct session *s, struct former *f, struct config *now, struct fault *why);
/* It is somebody else now, or will end. */
void former_forget(struct former *f);
/* It is who it was.  Its state is the caller's to set, and f->state to drop. */
void former_return(struct session *s, struct former *f);

/* ---- session.c ---------------------------------------------------------------------------------------------- */

/* End a session: an idle one with a last word (code 0: without), one that is served by cancelling its
 * task. */
void session_dismiss(struct session *s, unsigned code, const char *text);
/* End an idle session without a word. */
void session_abandon(struct session *s);
/* Have the command end that the session runs or wants to run, on the server too; false if there is
 * none. */
bool session_interrupt(struct session *s);
/* Obtain, align, relay, as often as it takes. */
bool carry_out(struct task *t, struct session *s, struct command *cmd, const struct plan *plan,
               struct outcome *out);
/* A client was accepted; those who could not be served at once are looked at again. */
void sessions_on_client(struct worker *w, struct mail *mail);
void sessions_on_again(struct ev_loop *loop, ev_timer *timer, int revents);
/* The flags for answers of our own. */
uint16_t session_status(const struct session *s);
/* Write an OK packet with the session's status. */
bool answer_ok(struct task *t, struct session *s, uint8_t seq, struct fault *why);

/* ---- reload.c -------------------------------------------------------------------------------------------- */

/* Change over to the configuration in force; false if the account is not in it any more.  Commands under
 * way keep theirs, so this happens when the session is idle or becomes so. */
bool session_follow_config(struct session *s);
/* NULL: it was closed while the client was on its way. */
const struct listener_config *session_listener(const struct session *s);
/* The same group of the listener's, by its name, in another configuration; false if it is gone. */
bool session_follow_group(struct session *s, const struct config *now);

/* ---- proxied.c ------------------------------------------------------------------------------------------------ */

/* Before the login packet there may be a PROXY header: believe it, or refuse it.  False as in the
 * login: POLICY to be told, CLIENT without a word.  Parks. */
bool proxied_read(struct task *t, struct session *s, double deadline, struct fault *why);
/* Where the client comes from, for a server that is told; NULL for others. */
const struct ends *session_ends_for(struct session *s, const struct server *server);
/* Its IP, if servers of the group that this user works with are told; else empty.  Lives as the session. */
struct bytes session_told_ip(struct session *s, const struct user_config *u);
void session_ends_forget(struct session *s);
/* The same, of the client only. */
void session_address(const struct session *s, struct address *out);
/* Printable address of the client, without port; of the load balancer that named it, "" = none. */
void session_host(const struct session *s, char out[ADDRESS_TEXT_BYTES]);
void session_through(const struct session *s, char out[ADDRESS_TEXT_BYTES]);

#endif
