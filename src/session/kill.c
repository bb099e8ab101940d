/*
 * kill.c - KILL from a client: the id is one that Volvox gave; see inside.h.
 *
 *   KILL [HARD | SOFT] [CONNECTION | QUERY] id        COM_PROCESS_KILL id
 *
 * The session with that id may live on any worker: each is asked in turn, with worker_ask(), and
 * the one that has it acts on its own thread.  As on a server, one's own user's sessions only.
 */
#include "session/inside.h"

#include "base/str.h"

struct kill {
    uint32_t id;
    bool query_only;
    const char *user;
    enum { KILL_UNKNOWN, KILL_FORBIDDEN, KILL_DONE } outcome;
};

static bool is_word(const struct token *token, const char *word)
{
    return token->kind == TOKEN_WORD && bytes_equal_nocase(token->text, bytes_str(word));
}

/* False when it is not of the form above (MariaDB also kills by user and by query id). */
static bool read_kill(struct bytes text, const struct lexer_mode *mode, struct kill *out)
{
    struct lexer lx;
    struct token token;
    uint64_t id;
    lexer_begin(&lx, text, mode);
    lexer_next(&lx, &token);
    if (!is_word(&token, "KILL"))
        return false;
    lexer_next(&lx, &token);
    if (is_word(&token, "HARD") || is_word(&token, "SOFT"))
        lexer_next(&lx, &token);
    out->query_only = is_word(&token, "QUERY");
    if (out->query_only || is_word(&token, "CONNECTION"))
        lexer_next(&lx, &token);
    if (token.kind != TOKEN_NUMBER || !str_to_u64(token.text, &id) || id > UINT32_MAX)
        return false;
    out->id = (uint32_t)id;
    do
        lexer_next(&lx, &token);
    while (token.kind == TOKEN_SEMICOLON);
    return token.kind == TOKEN_END;
}

static void kill_here(struct worker *w, void *arg)
{
    struct kill *k = arg;
    const char *user = session_user(w, k->id);
    if (user == NULL)
        return;
    k->outcome = strcmp(user, k->user) == 0 ? KILL_DONE : KILL_FORBIDDEN;
    if (k->outcome == KILL_DONE)
        session_kill(w, k->id, k->query_only);
}

static bool carry_out_kill(struct task *t, struct session *s, struct kill *k, struct fault *why)
{
    struct sessions *ss = s->home;
    k->user = s->user->name;
    for (unsigned i = 0; i < ss->n_workers && k->outcome == KILL_UNKNOWN; i++)
        worker_ask(t, ss->workers[i], kill_here, k);
    if (k->outcome == KILL_FORBIDDEN)
        return fault_set(why, BLAME_POLICY, 1095, "You are not owner of thread %u", k->id);
    if (k->outcome == KILL_UNKNOWN)
        return fault_set(why, BLAME_POLICY, 1094, "Unknown thread id: %u", k->id);
    return true;
}

bool kill_statement(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    struct kill k = { .outcome = KILL_UNKNOWN };
    if (!read_kill(command_text(cmd), &s->mode, &k))
        return fault_set_state(why, BLAME_POLICY, 1235, "42000",
                               "volvox: of KILL only KILL [CONNECTION | QUERY] id is supported, with the "
                               "id that Volvox gave the connection");
    return carry_out_kill(t, s, &k, why) && answer_ok(t, s, 1, why);
}

bool kill_process(struct task *t, struct session *s, struct command *cmd, struct fault *why)
{
    struct cursor c = cursor_of(bytes_of(cmd->head + 1, cmd->head_len - 1));
    struct kill k = { .id = read_u32(&c), .outcome = KILL_UNKNOWN };
    if (c.bad)
        return fault_set(why, BLAME_POLICY, ER_MALFORMED_PACKET, "Malformed communication packet");
    return carry_out_kill(t, s, &k, why) && answer_ok(t, s, 1, why);
}
