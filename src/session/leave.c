/*
 * leave.c - what a session takes along when it leaves a connection; see inside.h.
 *
 * As long as nobody else needs the connection, what the session left in it stays there, at no cost.
 */
#include "session/inside.h"

bool take_along(struct task *t, struct session *s, bool diagnostics, struct fault *why)
{
    if (s->lease->sandbox == SANDBOX_IN)
        return true;              /* (it answers nothing before the password has been changed) */
    /* In this order: what looks up the others clears the diagnostics. */
    if (diagnostics && (s->pins & PIN_DIAGNOSTICS) != 0 && !diagnostics_take(t, s, why))
        return false;
    if (!settle_insert_id(t, s, why)) {
        why->blame = BLAME_SERVER;
        return false;
    }
    return (s->pins & PIN_USER_VAR) == 0 || user_vars_take(t, s, why);
}

void leave_for_others(struct task *t, struct session *s)
{
    struct fault why = FAULT_NONE;
    bool taken = take_along(t, s, true, &why);
    s->is_wanted = false;
    s->is_stuck = !taken && why.blame == BLAME_OURS;
    if (s->is_stuck) {
        backend_keep(s->lease);
        return;
    }
    counts_spoiled(s);
    if (!taken && (s->pins & PIN_USER_VAR) != 0)
        return; /* as when a server dies: the next command finds out */
    session_pin(s, 0);
    let_go(s, taken ? PUT_CLEAN : PUT_CLOSE);
}
