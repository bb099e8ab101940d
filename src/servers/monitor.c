/*
 * The control thread's side: when to probe, what the findings mean, and the topology that
 * follows from them.
 */
#include "servers/inside.h"
#include "servers/sql.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#include <limits.h>

/* Servers count a look at the greeting as a connection error, so don't look often. */
enum { GREETING_INTERVAL_MS = 10000 };
/* Suspicion makes a probe come early, but no earlier than this after the last began. */
enum { SUSPICION_INTERVAL_MS = 500 };

/* One server under watch, in the configuration's order. */
struct watched {
    struct monitor *monitor;
    struct probe *probe;      /* ours; with the prober while it is out           */
    bool is_out;
    bool again;               /* probe once more as soon as this one is back     */
    ev_timer timer;           /* the next probe; not while one is out            */
    struct pulse pulse;
    struct server_state state; /* holds a reference to its server                */
    bool read_only;
    bool was_probed;          /* a finding came since it is watched              */
    uint64_t began_us;        /* last probe; monotonic                           */
    uint64_t cut_off_us;      /* since when its source is out of reach, or 0     */
    bool told_refused, told_mute; /* said so in the log: once is enough           */
};

struct monitor {
    struct worker *control;
    struct config *config;    /* a reference                                     */
    struct topology *topology; /* a reference                                    */
    void (*publish)(void *arg, struct topology *t);
    void *arg;
    struct prober *prober;
    struct watched **watched;
    unsigned n_watched;
    struct mail bell;         /* from the probe threads: findings wait           */
    atomic_bool bell_is_out;
};

/* ---- when ------------------------------------------------------------------------------- */

static void send_probe(struct watched *w)
{
    must(!w->is_out && w->state.operated != OPERATED_DISABLED);
    w->is_out = true, w->again = false;
    w->began_us = clock_us();
    prober_submit(w->monitor->prober, w->probe, w->monitor->config);
}

static void timer_fired(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    send_probe(container_of(timer, struct watched, timer));
}

/* Probe in so many milliseconds, unless one is out. */
static void probe_in(struct watched *w, unsigned ms)
{
    struct ev_loop *loop = worker_loop(w->monitor->control);
    if (w->is_out || w->state.operated == OPERATED_DISABLED)
        return;
    ev_now_update(loop);
    ev_timer_stop(loop, &w->timer);
    ev_timer_set(&w->timer, ms / 1000.0, 0.);
    ev_timer_start(loop, &w->timer);
}

static unsigned since_last_ms(const struct watched *w)
{
    uint64_t ms = (clock_us() - w->began_us) / 1000;
    return (unsigned)MIN(ms, UINT_MAX);
}

/* Soon, but not more often than suspicion allows. */
static void probe_soon(struct watched *w)
{
    unsigned ms = since_last_ms(w);
    if (w->is_out)
        w->again = true;
    else
        probe_in(w, ms < SUSPICION_INTERVAL_MS ? SUSPICION_INTERVAL_MS - ms : 0);
}

static void plan_next(struct watched *w)
{
    const struct settings *s = &w->monitor->config->settings;
    unsigned interval = s->monitor_interval_ms, ms = since_last_ms(w);
    if (s->monitor_user[0] == '\0' && w->probe->found.alive)
        interval = MAX(interval, GREETING_INTERVAL_MS);
    if (w->again)
        probe_soon(w);
    else
        probe_in(w, ms < interval ? interval - ms : 0);
}

/* ---- what the findings mean ------------------------------------------------------------- */

static const char *name_of(const struct watched *w)
{
    return w->state.server->name;
}

static const char *group_of(const struct watched *w)
{
    return w->monitor->config->groups[w->state.group].name;
}

/* Things an operator should know once, and again after they were well meanwhile. */
static void tell_refusals(struct watched *w, const struct finding *f)
{
    bool is_mute = f->alive && !f->answered && w->monitor->config->settings.monitor_user[0] != '\0';
    if (f->lag_refused && !w->told_refused)
        tell_lag_unknown(name_of(w));
    if (is_mute && !w->told_mute)
        tell_monitor_refused(name_of(w), f->why);
    if (f->answered)
        w->told_refused = f->lag_refused, w->told_mute = false;
    w->told_mute |= is_mute;
}

static void learn_greeting(struct server_state *s, const struct finding *f)
{
    str_copy(s->version, sizeof(s->version), bytes_str(f->version));
    s->is_mariadb = f->is_mariadb;
    s->version_number = f->version_number;
    s->caps = f->caps;
    s->collation = f->collation;
    s->utf8mb3_collation = f->utf8mb3_collation;
    s->utf8mb4_collation = f->utf8mb4_collation;
    s->globals = f->globals;
    atomic_store_explicit(&s->server->has_init_connect, f->globals.init_connect[0] != '\0',
                          memory_order_relaxed);
}

static void learn_lag(struct watched *w, const struct finding *f)
{
    struct server_state *s = &w->state;
    uint64_t now = clock_us();
    s->replicates = f->replicates;
    s->lag_known = f->lag_known;
    s->is_cut_off = f->is_cut_off;
    if (!f->is_cut_off) {
        w->cut_off_us = 0;
        s->lag_ms = f->lag_ms;
        return;
    }
    /* What it had not applied when the source was lost is applied by now, or will be: what
     * counts is how long ago that was. */
    if (w->cut_off_us == 0)
        w->cut_off_us = now;
    s->lag_ms = MAX(f->lag_ms, (uint32_t)MIN((now - w->cut_off_us) / 1000, UINT32_MAX - 1));
}

static bool is_writable(const struct watched *w)
{
    if (w->state.role == SERVER_AUTO)
        return w->state.max_allowed_packet != 0 && !w->read_only;
    return w->state.role == SERVER_PRIMARY;
}

static void set_writable(struct watched *w)
{
    bool writable = is_writable(w);
    if (writable != w->state.writable)
        w->state.since_us = clock_wall_us();
    w->state.writable = writable;
}

/* A finding into the state. */
static void learn(struct watched *w)
{
    const struct settings *settings = &w->monitor->config->settings;
    const struct finding *f = &w->probe->found;
    struct server_state *s = &w->state;
    bool changed = pulse_judge(&w->pulse, f->alive, settings->monitor_fall, settings->monitor_rise,
                               clock_us());
    str_copy(s->why, sizeof(s->why), bytes_str(f->why));
    if (f->greeted)
        learn_greeting(s, f);
    if (f->answered) {
        w->read_only = f->read_only;
        s->max_allowed_packet = f->max_allowed_packet;
        learn_lag(w, f);
    }
    w->was_probed = true;
    s->health = w->pulse.health;
    if (changed) {
        s->since_us = clock_wall_us();
        tell_health(s, group_of(w));
    }
    set_writable(w);
    tell_refusals(w, f);
}

/* ---- the topology ----------------------------------------------------------------------- */

/* The snapshot of what is known now becomes the present one. */
static void rebuild(struct monitor *m)
{
    struct server_state *states = mem_zalloc(m->n_watched * sizeof(*states));
    struct topology *old = m->topology;
    for (unsigned i = 0; i < m->n_watched; i++)
        states[i] = m->watched[i]->state;
    m->topology = topology_build(m->config, states, m->n_watched, old);
    for (unsigned i = 0; i < m->n_watched; i++) {
        bool was = m->watched[i]->state.lagging;
        m->watched[i]->state.lagging = states[i].lagging;
        if (was != states[i].lagging)
            tell_lag(&states[i], was);
    }
    for (unsigned i = 0; i < m->topology->n_groups; i++)
        tell_group(m->topology, &m->topology->groups[i], old);
    topology_drop(old);
    mem_free(states);
}

static bool globals_equal(const struct globals *a, const struct globals *b)
{
    return a->is_known == b->is_known && strcmp(a->sql_mode, b->sql_mode) == 0 &&
           strcmp(a->charset_client, b->charset_client) == 0 &&
           strcmp(a->charset_connection, b->charset_connection) == 0 &&
           strcmp(a->charset_results, b->charset_results) == 0 &&
           strcmp(a->collation_connection, b->collation_connection) == 0 &&
           strcmp(a->init_connect, b->init_connect) == 0;
}

static bool state_equal(const struct server_state *a, const struct server_state *b)
{
    return a->server == b->server && a->health == b->health && a->operated == b->operated &&
           a->writable == b->writable &&
           a->replicates == b->replicates && a->lag_known == b->lag_known &&
           a->lag_ms == b->lag_ms && a->is_cut_off == b->is_cut_off && a->role == b->role &&
           a->weight == b->weight && a->group == b->group && a->caps == b->caps &&
           a->collation == b->collation &&
           a->utf8mb3_collation == b->utf8mb3_collation &&
           a->utf8mb4_collation == b->utf8mb4_collation &&
           globals_equal(&a->globals, &b->globals) &&
           a->max_allowed_packet == b->max_allowed_packet && strcmp(a->why, b->why) == 0 &&
           strcmp(a->version, b->version) == 0;
}

/* Would the next topology tell anything new? */
static bool has_news(const struct monitor *m)
{
    for (unsigned i = 0; i < m->n_watched; i++)
        if (!state_equal(&m->watched[i]->state, &m->topology->servers[i]))
            return true;
    return false;
}

static void follow_up(struct monitor *m, bool may_publish)
{
    if (!has_news(m))
        return;
    rebuild(m);
    if (may_publish)
        m->publish(m->arg, topology_take(m->topology));
}

/* ---- the prober's answers --------------------------------------------------------------- */

static void ring(void *arg)
{
    struct monitor *m = arg;
    if (!atomic_exchange(&m->bell_is_out, true))
        (void)!worker_post(m->control, &m->bell);
}

/* Take one probe back. */
static void receive(struct monitor *m, struct probe *p)
{
    struct watched *w = p->owner;
    if (w == NULL) {
        prober_dismiss(m->prober, p);
        return;
    }
    w->is_out = false;
    atomic_store_explicit(&w->state.server->probed_us, clock_wall_us(), memory_order_relaxed);
    atomic_store_explicit(&w->state.server->probe_us, p->found.took_us, memory_order_relaxed);
    learn(w);
    plan_next(w);
}

static void bell_rang(struct worker *control, struct mail *mail)
{
    struct monitor *m = container_of(mail, struct monitor, bell);
    struct probe *p;
    (void)control;
    atomic_store(&m->bell_is_out, false);
    while ((p = prober_collect(m->prober, 0)) != NULL)
        receive(m, p);
    follow_up(m, true);
}

static bool all_probed(const struct monitor *m)
{
    for (unsigned i = 0; i < m->n_watched; i++)
        if (!m->watched[i]->was_probed)
            return false;
    return true;
}

/* Until everybody has been probed, or that time has come. */
static void collect_until(struct monitor *m, uint64_t deadline_us)
{
    while (!all_probed(m)) {
        struct probe *p = prober_collect(m->prober, deadline_us);
        if (p == NULL)
            break;
        receive(m, p);
    }
    follow_up(m, false);
}

static bool has_primaries(const struct monitor *m)
{
    for (unsigned i = 0; i < m->topology->n_groups; i++)
        if (m->topology->groups[i].primary == UINT_MAX)
            return false;
    return true;
}

bool monitor_first_round(struct monitor *m, double timeout_s, double patience_s)
{
    enum { LOOK_EVERY_US = 100000 };
    uint64_t begin_us = clock_us();
    collect_until(m, begin_us + (uint64_t)(timeout_s * 1e6));
    while (!all_probed(m) && !has_primaries(m) && clock_us() < begin_us + (uint64_t)(patience_s * 1e6))
        collect_until(m, clock_us() + LOOK_EVERY_US);
    for (unsigned i = 0; i < m->topology->n_groups; i++)
        if (m->topology->groups[i].primary == UINT_MAX)
            tell_no_primary(m->topology->groups[i].name);
    return all_probed(m);
}

/* ---- who is watched --------------------------------------------------------------------- */

static void set_operated(struct watched *w, enum operator_state state)
{
    w->state.operated = state;
    atomic_store(&w->state.server->draining, state != OPERATED_NORMAL);
}

static struct watched *watched_new(struct monitor *m, const struct server_config *c)
{
    struct watched *w = mem_zalloc(sizeof(*w));
    w->monitor = m;
    w->pulse = PULSE_NONE;
    w->state.server = server_new(c);
    w->state.since_us = clock_wall_us();
    w->state.weight = c->weight;
    w->probe = probe_new(w->state.server, w);
    ev_timer_init(&w->timer, timer_fired, 0., 0.);
    return w;
}

/* Not in the file any more: its connections end as they are released. */
static void watched_retire(struct watched *w)
{
    ev_timer_stop(worker_loop(w->monitor->control), &w->timer);
    atomic_store(&w->state.server->draining, true);
    tell_retired(name_of(w));
    if (w->is_out)
        w->probe->owner = NULL;
    else
        prober_dismiss(w->monitor->prober, w->probe);
    server_drop(w->state.server);
    mem_free(w);
}

/* What the file says of it. */
static void watched_configure(struct watched *w, const struct server_config *c)
{
    server_configure(w->state.server, c);
    w->state.role = c->role;
    /* What the operator has set stays until the file says something new. */
    if (w->state.weight != c->weight)
        tell_weight(name_of(w), w->state.weight, c->weight);
    w->state.weight = c->weight;
    w->state.group = c->group;
    set_writable(w);
}

/* The one that stands for this server, taken out of the list; NULL if there is none.  A new
 * address makes a new server, because a struct server never moves. */
static struct watched *take_watched(struct watched **list, unsigned n,
                                    const struct server_config *c)
{
    for (unsigned i = 0; i < n; i++) {
        struct watched *w = list[i];
        if (w == NULL || strcmp(name_of(w), c->name) != 0 ||
            !address_equal(&w->state.server->address, &c->resolved))
            continue;
        list[i] = NULL;
        return w;
    }
    return NULL;
}

/* What the operator told us of the server of this name before it had this address. */
static enum operator_state operated_before(struct watched **list, unsigned n, const char *name)
{
    for (unsigned i = 0; i < n; i++)
        if (list[i] != NULL && strcmp(name_of(list[i]), name) == 0)
            return list[i]->state.operated;
    return OPERATED_NORMAL;
}

static void adopt(struct monitor *m, struct config *c)
{
    struct watched **old = m->watched;
    unsigned n_old = m->n_watched;
    config_take(c);
    config_drop(m->config);
    m->config = c;
    m->n_watched = c->n_servers;
    m->watched = mem_zalloc(c->n_servers * sizeof(*m->watched));
    for (unsigned i = 0; i < c->n_servers; i++) {
        const struct server_config *sc = &c->servers[i];
        struct watched *w = take_watched(old, n_old, sc);
        bool is_new = w == NULL;
        if (is_new) {
            w = watched_new(m, sc);
            set_operated(w, operated_before(old, n_old, sc->name));
        }
        m->watched[i] = w;
        watched_configure(w, sc);
        if (is_new && w->state.operated != OPERATED_DISABLED)
            send_probe(w);
        else
            probe_soon(w);
    }
    for (unsigned i = 0; i < n_old; i++)
        if (old[i] != NULL)
            watched_retire(old[i]);
    mem_free(old);
    rebuild(m);
}

struct monitor *monitor_new(struct worker *control, struct config *c,
                            void (*publish)(void *arg, struct topology *t), void *arg)
{
    struct monitor *m = mem_zalloc(sizeof(*m));
    sql_start();
    m->control = control;
    m->publish = publish, m->arg = arg;
    m->bell.kind = MAIL_PROBED;
    worker_on_mail(control, MAIL_PROBED, bell_rang);
    m->prober = prober_new(c->settings.probe_threads, ring, m);
    adopt(m, c);
    return m;
}

void monitor_configure(struct monitor *m, struct config *c)
{
    adopt(m, c);
    m->publish(m->arg, topology_take(m->topology));
}

void monitor_suspect(struct monitor *m, struct server *s)
{
    for (unsigned i = 0; i < m->n_watched; i++)
        if (m->watched[i]->state.server == s)
            probe_soon(m->watched[i]);
}

/* ---- what operators say ----------------------------------------------------------------- */

static struct watched *watched_find(struct monitor *m, struct bytes name, struct fault *why)
{
    for (unsigned i = 0; i < m->n_watched; i++)
        if (bytes_equal(name, bytes_str(name_of(m->watched[i]))))
            return m->watched[i];
    fault_set(why, BLAME_POLICY, ER_UNKNOWN_ERROR, "there is no server \"%.*s\"",
              (int)MIN(name.len, 64), (const char *)name.data);
    return NULL;
}

/* Forget the probe that is out, and hang up: nobody may be connected to what is disabled. */
static void end_probing(struct watched *w)
{
    struct server *s = w->state.server;
    ev_timer_stop(worker_loop(w->monitor->control), &w->timer);
    if (w->is_out)
        w->probe->owner = NULL;
    else
        prober_dismiss(w->monitor->prober, w->probe);
    w->probe = probe_new(s, w);
    w->is_out = w->again = false;
}

/* What was found before says nothing of a server that was not looked at meanwhile. */
static void begin_probing(struct watched *w)
{
    w->pulse = PULSE_NONE;
    w->state.health = HEALTH_UNKNOWN;
    w->state.why[0] = '\0';
    w->cut_off_us = 0;
    send_probe(w);
}

bool monitor_operate(struct monitor *m, struct bytes server, enum operator_state state,
                     struct fault *why)
{
    struct watched *w = watched_find(m, server, why);
    if (w == NULL)
        return false;
    enum operator_state was = w->state.operated;
    if (was == state)
        return true;
    set_operated(w, state);
    w->state.since_us = clock_wall_us();
    if (state == OPERATED_DISABLED)
        end_probing(w);
    else if (was == OPERATED_DISABLED)
        begin_probing(w);
    tell_operated(name_of(w), was, state);
    follow_up(m, true);
    return true;
}

struct topology *monitor_topology(struct monitor *m)
{
    return m->topology;
}

void monitor_stop(struct monitor *m)
{
    prober_free(m->prober);
    for (unsigned i = 0; i < m->n_watched; i++) {
        struct watched *w = m->watched[i];
        ev_timer_stop(worker_loop(m->control), &w->timer);
        probe_free(w->probe);
        server_drop(w->state.server);
        mem_free(w);
    }
    mem_free(m->watched);
    topology_drop(m->topology);
    config_drop(m->config);
    mem_free(m);
}
