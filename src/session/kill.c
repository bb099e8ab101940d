/*
 * kill.c - KILL from a client; see inside.h.
 *
 *   KILL [HARD | SOFT] [CONNECTION | QUERY] id        COM_PROCESS_KILL id
 *   KILL [HARD | SOFT] [CONNECTION | QUERY] USER name     (MariaDB)
 *
 * By its number an id is one of ours or a server's (ids.c).  Ours: the worker that has the session
 * acts on its own thread; one's own user's sessions, or those that the server lets one kill.
 * Everything else is the server's: its own ids, ids that it has to work out first (KILL @a, KILL ?
 * prepared), and nonsense. If it then says that it has no such thread, and the number that it names
 * is one of ours, it was meant for us.
 *
 * Killer and victim see what servers show: the victim's connection ends without a word.
 */
#include "session/inside.h"

#include "base/mem.h"
#include "base/str.h"

enum kill_outcome { KILL_UNKNOWN, KILL_FOREIGN, KILL_DONE };

/* One that is meant, on its way to the worker that has it. */
struct kill {
    uint32_t id;
    bool query_only;
    bool is_allowed;  /* whoever it belongs to                                */
    const char *user; /* the killer's                                         */
    enum kill_outcome outcome;
    /* of a foreign victim, to ask the server with: */
    struct account *victim; /* counted                                              */
    uint64_t fit;
};

static void kill_release(struct kill *k)
{
    account_drop(k->victim);
    k->victim = NULL;
}

/* ---- sessions ---------------------------------------------------------------------------- */

static void end_one(struct session *s, bool query_only)
{
    if (query_only)
        session_interrupt(s);
    else
        session_dismiss(s, 0, NULL);
}

static void note_victim(struct kill *k, const struct session *s)
{
    if (k->victim != NULL)
        return;
    k->victim = account_take(s->account);
    k->fit = s->caps & CAPS_FIT;
}

static void kill_here(struct worker *w, void *arg)
{
    struct kill *k = arg;
    struct session *s = id_find(worker_sessions(w), k->id);
    k->outcome = KILL_UNKNOWN;
    if (s == NULL || s->account == NULL || s->phase == SESSION_CLOSING)
        return;
    if (!k->is_allowed && strcmp(s->account->name, k->user) != 0) {
        k->outcome = KILL_FOREIGN;
        note_victim(k, s);
        return;
    }
    k->outcome = KILL_DONE;
    end_one(s, k->query_only);
}

static bool forbidden(const struct kill *k, struct fault *why)
{
    return fault_set(why, BLAME_POLICY, ER_KILL_DENIED, "You are not owner of thread %u", k->id);
}

/* The killer's own connection, to the server where the statement would run. */
static bool obtain_own(struct task *t, struct session *s, const struct command *cmd,
                       struct outcome *out)
{
    struct plan plan;
    struct attempt attempt = { .n_avoid = 0 };
    return s->lease != NULL ||
           (decide(s, cmd, &plan, &out->why) && obtain(t, s, cmd, &plan, &attempt, out));
}

/* May the killer's account kill what the victim's runs?  Nobody but the server knows (privileges,
 * roles, who is protected), so it is asked with a connection that runs nothing. */
static bool ask_server(struct task *t, struct session *s, const struct command *cmd,
                       const struct kill *k, struct outcome *out)
{
    char sql[32];
    double now = worker_now(task_worker(t));
    if (!obtain_own(t, s, cmd, out))
        return false;
    struct lease_terms terms = { .server = s->lease->server,
                                 .account = k->victim,
                                 .fit = k->fit,
                                 .state = s->lease->state,
                                 .collation = s->collation,
                                 .client = session_ends_for(s, s->lease->server) };
    struct backend *idle =
        pool_take(t, &terms, now + s->config->settings.queue_timeout_ms / 1000.0, &out->why);
    if (idle == NULL)
        return false;
    int n = snprintf(sql, sizeof sql, "KILL QUERY %u", idle->thread_id);
    bool ok = backend_ask(t, s->lease, COM_QUERY, bytes_of(sql, (size_t)n), now + 10, &out->why);
    pool_put(idle, PUT_CLOSE); /* an interruption may hit it later */
    out->got_error = !ok && out->why.blame == BLAME_QUERY;
    return ok || (out->why.code == ER_KILL_DENIED ? forbidden(k, &out->why) : false);
}

/* What a killer of itself hears. */
static bool kill_self(struct session *s, struct command *cmd, const struct kill *k,
                      struct fault *why)
{
    cmd->ends_session = !k->query_only;
    if (!k->query_only && s->mode.is_mariadb)
        return fault_set(why, BLAME_POLICY, ER_CONNECTION_KILLED, "Connection was killed");
    return fault_set(why, BLAME_POLICY, ER_QUERY_INTERRUPTED, "Query execution was interrupted");
}

/* False with nothing in `why`: there is no such session. */
static bool kill_ours(struct task *t, struct session *s, struct command *cmd, struct kill *k,
                      struct outcome *out)
{
    struct worker *w = id_worker(s->home, k->id);
    k->user = s->account->name;
    if (k->id == s->id)
        return kill_self(s, cmd, k, &out->why);
    worker_ask(t, w, kill_here, k);
    if (k->outcome == KILL_FOREIGN && (k->is_allowed = ask_server(t, s, cmd, k, out)))
        worker_ask(t, w, kill_here, k);
    kill_release(k);
    return k->outcome == KILL_DONE;
}

/* ---- by user ------------------------------------------------------------------------------- */

/* Sessions of a user, as many as a worker has. */
struct kill_user {
    struct kill k; /* k.outcome: FOREIGN if there are some that are not the killer's */
    const struct session *killer;
    struct bytes name, host; /* host: of the client's address; none = any             */
    bool only_looks;
    uint64_t ended;
};

static bool is_meant(const struct kill_user *ku, const struct session *s)
{
    char host[ADDRESS_TEXT_BYTES];
    bool is_bookmark = s->home == NULL;
    if (is_bookmark || s == ku->killer || s->account == NULL || s->phase == SESSION_CLOSING ||
        s->is_killed || !bytes_equal(ku->name, bytes_str(s->account->name)))
        return false;
    session_host(s, host);
    return ku->host.len == 0 || bytes_equal(ku->host, bytes_str(host));
}

static void kill_user_here(struct worker *w, void *arg)
{
    struct kill_user *ku = arg;
    list_for_each_safe(link, &worker_sessions(w)->all) {
        struct session *s = list_entry(link, struct session, all);
        if (!is_meant(ku, s))
            continue;
        if (ku->only_looks) {
            note_victim(&ku->k, s);
            return;
        }
        ku->ended++;
        end_one(s, ku->k.query_only);
    }
}

static void ask_all(struct task *t, struct session *s, struct kill_user *ku)
{
    for (unsigned i = 0; i < s->home->n_workers; i++)
        worker_ask(t, s->home->workers[i], kill_user_here, ku);
}

/* First the server, which says whether the killer may, and ends what it knows of; then ours. */
static bool kill_user(struct task *t, struct session *s, struct command *cmd, struct kill_user *ku,
                      struct outcome *out)
{
    uint8_t seq = 1;
    struct bytes text = command_text(cmd);
    bool is_own = bytes_equal(ku->name, bytes_str(s->account->name));
    if (!obtain_own(t, s, cmd, out) ||
        !backend_ask(t, s->lease, COM_QUERY, text, stall_deadline(t), &out->why)) {
        out->got_error = out->why.blame == BLAME_QUERY;
        return false;
    }
    s->lease->interrupted |= is_own; /* perhaps itself: for nobody else */
    ku->killer = s;
    ku->only_looks = !is_own;
    if (ku->only_looks)
        ask_all(t, s, ku);
    bool may = is_own || ku->k.victim == NULL || ask_server(t, s, cmd, &ku->k, out);
    kill_release(&ku->k);
    if (!may)
        return out->why.code != ER_KILL_DENIED
                   ? false
                   : fault_set(&out->why, BLAME_POLICY, ER_KILL_DENIED,
                               "Operation KILL USER failed for %.*s@%%", BYTES_FMT(ku->name));
    ku->only_looks = false;
    ask_all(t, s, ku);
    bool ends = is_own && !ku->k.query_only;
    struct ok ok = { .affected = ku->ended + is_own, .status = s->status };
    ok_write(&s->client.out, &seq, &ok, 0x00, s->caps);
    s->is_killed |= ends;
    return stream_flush(t, &s->client, stall_deadline(t), &out->why);
}

/* ---- reading it -------------------------------------------------------------------------------
 */

enum target { TARGET_SERVERS, TARGET_OURS, TARGET_USER };

struct reader {
    struct lexer lexer;
    struct token token;
};

static bool at_word(const struct reader *r, const char *word)
{
    return r->token.kind == TOKEN_WORD && bytes_equal_nocase(r->token.text, bytes_str(word));
}

static bool pass_word(struct reader *r, const char *word)
{
    bool is_there = at_word(r, word);
    if (is_there)
        lexer_next(&r->lexer, &r->token);
    return is_there;
}

static bool at_end(struct reader *r)
{
    while (r->token.kind == TOKEN_SEMICOLON)
        lexer_next(&r->lexer, &r->token);
    return r->token.kind == TOKEN_END;
}

/* A name in quotes, without them; empty if quotes or escapes inside would have to be read as well.
 */
static struct bytes plain_name(struct bytes name)
{
    bool has_quotes = name.len >= 2 && strchr("'`\"", name.data[0]) != NULL;
    if (has_quotes)
        name = bytes_of(name.data + 1, name.len - 2);
    for (size_t i = 0; i < name.len; i++)
        if (strchr("'`\"\\", name.data[i]) != NULL)
            return BYTES_NONE;
    return name;
}

/* name, 'name', name@host, CURRENT_USER, CURRENT_USER() */
static bool read_user(struct reader *r, const struct session *s, struct kill_user *ku)
{
    if (pass_word(r, "CURRENT_USER")) {
        while (r->token.kind == TOKEN_PUNCT)
            lexer_next(&r->lexer, &r->token);
        ku->name = bytes_str(s->account->name);
        return at_end(r);
    }
    if (r->token.kind != TOKEN_WORD && r->token.kind != TOKEN_STRING &&
        r->token.kind != TOKEN_QUOTED_NAME)
        return false;
    ku->name = plain_name(r->token.text);
    lexer_next(&r->lexer, &r->token);
    if (r->token.kind == TOKEN_USER_VAR) {
        struct bytes host = plain_name(r->token.text);
        ku->host = bytes_equal(host, BYTES_LITERAL("%")) ? BYTES_NONE : host;
        lexer_next(&r->lexer, &r->token);
    }
    return ku->name.len > 0 && at_end(r);
}

/* What is not understood is for the server. */
static enum target read_text(const struct session *s, struct bytes text, struct kill_user *ku)
{
    struct reader r;
    uint64_t id;
    lexer_begin(&r.lexer, text, &s->mode);
    lexer_next(&r.lexer, &r.token);
    if (!pass_word(&r, "KILL"))
        return TARGET_SERVERS;
    if (s->mode.is_mariadb && !pass_word(&r, "HARD"))
        pass_word(&r, "SOFT");
    ku->k.query_only = pass_word(&r, "QUERY");
    if (!ku->k.query_only)
        pass_word(&r, "CONNECTION");
    if (s->mode.is_mariadb && pass_word(&r, "USER"))
        return read_user(&r, s, ku) ? TARGET_USER : TARGET_SERVERS;
    bool is_number = r.token.kind == TOKEN_NUMBER && str_to_u64(r.token.text, &id);
    if (is_number)
        lexer_next(&r.lexer, &r.token);
    if (!is_number || !at_end(&r) || !id_is_ours(id))
        return TARGET_SERVERS;
    ku->k.id = (uint32_t)id;
    return TARGET_OURS;
}

static enum target read_kill(const struct session *s, const struct command *cmd,
                             struct kill_user *ku)
{
    struct bytes rest = bytes_of(cmd->head + 1, cmd->head_len - 1);
    if (cmd->code == COM_QUERY)
        return read_text(s, command_text(cmd), ku);
    if (cmd->stmt != NULL)
        return read_text(s, cmd->stmt->text->text, ku);
    struct cursor c = cursor_of(rest);
    ku->k.id = read_u32(&c);
    return !c.bad && id_is_ours(ku->k.id) ? TARGET_OURS : TARGET_SERVERS;
}

/* "Unknown thread id: 1073741825", in whatever language. */
static bool names_ours(const struct fault *why, uint32_t *id)
{
    struct bytes text = bytes_str(why->text);
    size_t from = text.len;
    uint64_t number;
    while (from > 0 && ascii_digit(text.data[from - 1]))
        from--;
    if (why->code != ER_NO_SUCH_THREAD || !str_to_u64(bytes_skip(text, from), &number) ||
        !id_is_ours(number))
        return false;
    *id = (uint32_t)number;
    return true;
}

/* ---- the command ----------------------------------------------------------------------------- */

/* The server's error is the answer after all. */
static bool pass_error(struct task *t, struct session *s, struct command *cmd, struct outcome *out)
{
    struct fault why = out->why;
    out->why = FAULT_NONE;
    return tell_error(t, s, &why, cmd->error_seq, &out->why);
}

static bool leave_to_server(struct task *t, struct session *s, struct command *cmd, struct kill *k,
                            struct outcome *out)
{
    struct plan plan;
    if (!decide(s, cmd, &plan, &out->why) || !carry_out(t, s, cmd, &plan, out))
        return false;
    if (out->why.blame == BLAME_NONE)
        return true; /* it has its answer */
    if (!names_ours(&out->why, &k->id))
        return pass_error(t, s, cmd, out);
    if ((cmd->st.effects & EFFECT_MULTI) != 0) {
        fault_set_state(
            &out->why, BLAME_POLICY, 1235, "42000",
            "volvox: KILL with the id of a client of Volvox must be a statement of its own");
        return pass_error(t, s, cmd, out);
    }
    struct outcome ours = { .by = SERVED_HERE };
    if (!kill_ours(t, s, cmd, k, &ours)) {
        if (ours.why.blame != BLAME_NONE)
            out->why = ours.why;
        return ours.why.blame != BLAME_NONE ? false : pass_error(t, s, cmd, out);
    }
    out->why = FAULT_NONE;
    out->error = 0;
    return answer_ok(t, s, cmd->error_seq, &out->why);
}

bool kill_command(struct task *t, struct session *s, struct command *cmd, struct outcome *out)
{
    struct kill_user ku = { .name = BYTES_NONE };
    switch (read_kill(s, cmd, &ku)) {
    case TARGET_USER:
        return kill_user(t, s, cmd, &ku, out);
    case TARGET_OURS:
        if (kill_ours(t, s, cmd, &ku.k, out))
            return answer_ok(t, s, 1, &out->why);
        if (out->why.blame != BLAME_NONE)
            return false;
        break; /* the server says so in its own words */
    case TARGET_SERVERS:
        break;
    }
    return leave_to_server(t, s, cmd, &ku.k, out);
}
