/* What changed, for operators: one line in the log and one event each. */
#include "servers/inside.h"

#include "stats/stats.h"

#include <limits.h>

const char *operator_state_name(enum operator_state state)
{
    switch (state) {
    case OPERATED_NORMAL:
        return "normal";
    case OPERATED_DRAIN:
        return "draining";
    case OPERATED_DISABLED:
        return "disabled";
    }
    must(!"an operator's state");
}

/* ---- servers ---------------------------------------------------------------------------- */

void tell_health(const struct server_state *s, const char *group)
{
    const char *name = s->server->name;
    if (s->health == HEALTH_UP) {
        log_info("server up", "server=%s group=%s version=%s", name, group,
                 log_quote(bytes_str(s->version)));
        event_note("server", name, "up (%s)", s->version);
    } else {
        log_warn("server down", "server=%s group=%s why=%s", name, group,
                 log_quote(bytes_str(s->why)));
        event_note("server", name, "down: %s", s->why);
    }
}

void tell_lag(const struct server_state *s, bool was_lagging)
{
    const char *name = s->server->name;
    if (s->lagging && s->lag_ms == UINT32_MAX) {
        log_warn("replica lags", "server=%s lag=broken", name);
        event_note("server", name, "lags: replication is broken");
    } else if (s->lagging) {
        log_warn("replica lags", "server=%s lag_ms=%u", name, s->lag_ms);
        event_note("server", name, "lags: %u ms behind", s->lag_ms);
    } else if (was_lagging) {
        log_info("replica caught up", "server=%s lag_ms=%u", name, s->lag_ms);
        event_note("server", name, "caught up: %u ms behind", s->lag_ms);
    }
}

void tell_lag_unknown(const char *server)
{
    static const char why[] = "the monitor's account may not see the replication status";
    log_warn("lag unknown", "server=%s why=%s", server, log_quote(bytes_str(why)));
    event_note("server", server, "lag unknown: %s", why);
}

void tell_monitor_refused(const char *server, const char *why)
{
    log_error("monitor refused", "server=%s why=%s", server, log_quote(bytes_str(why)));
    event_note("server", server, "monitor refused: %s", why);
}

void tell_retired(const char *server)
{
    log_info("server retired", "server=%s", server);
    event_note("server", server, "retired: not in the configuration any more");
}

void tell_operated(const char *server, enum operator_state was, enum operator_state is)
{
    const char *old = operator_state_name(was), *new = operator_state_name(is);
    log_info("server operated", "server=%s state=%s was=%s", server, new, old);
    event_note("server", server, "%s, was %s", new, old);
}

void tell_weight(const char *server, unsigned was, unsigned is)
{
    log_info("server operated", "server=%s weight=%u was=%u", server, is, was);
    event_note("server", server, "weight %u, was %u", is, was);
}

/* ---- groups ----------------------------------------------------------------------------- */

static const char *primary_name(const struct topology *t, const struct group_state *g)
{
    return g == NULL || g->primary == UINT_MAX ? "none" : t->servers[g->primary].server->name;
}

static bool has_primary(const struct group_state *g)
{
    return g != NULL && g->primary != UINT_MAX;
}

static void tell_primary(const char *group, const char *was, const char *is)
{
    log_info("primary", "group=%s server=%s was=%s", group, is, was);
    event_note("group", group, "primary is %s, was %s", is, was);
}

static void tell_lost_primary(const char *group, const char *was)
{
    log_error("no primary", "group=%s was=%s", group, was);
    event_note("group", group, "no primary, was %s", was);
}

static void tell_split_brain(const char *group, const char *primary)
{
    static const char why[] = "several servers are writable and could be the primary";
    log_error("split brain", "group=%s primary=%s why=%s", group, primary,
              log_quote(bytes_str(why)));
    event_note("group", group, "split brain: %s; taken is %s", why, primary);
}

void tell_no_primary(const char *group)
{
    log_error("no primary", "group=%s", group);
    event_note("group", group, "no primary");
}

void tell_group(const struct topology *t, const struct group_state *g,
                const struct topology *before)
{
    const struct group_state *old = topology_group(before, g->name);
    const char *was = primary_name(before, old), *is = primary_name(t, g);
    if (has_primary(g) && (!has_primary(old) || strcmp(was, is) != 0))
        tell_primary(g->name, was, is);
    else if (has_primary(old) && !has_primary(g))
        tell_lost_primary(g->name, was);
    if (g->split_brain && (old == NULL || !old->split_brain))
        tell_split_brain(g->name, is);
}
