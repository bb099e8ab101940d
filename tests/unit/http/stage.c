/*
 * stage.c - the dashboard with made-up traffic, for people who change it.
 *
 *     http_stage ADDRESS [calm|trouble]
 *
 * Some traffic is over at start, so that percentiles mean something; then it goes on until SIGTERM.
 */
#include "unit/http/house.h"

#include <math.h>
#include <signal.h>

#include "base/clock.h"

struct stage {
    struct house house;
    bool trouble;
    uint64_t seed;
    double clock;
    ev_timer tick;
    ev_signal end;
};

static const struct {
    const char *text;
    unsigned share, us, rows;
    enum served_by by;
} acts[] = {
    { "SELECT name, price FROM items WHERE id = ?", 500, 240, 1, SERVED_REPLICA },
    { "SELECT * FROM orders WHERE customer = ? ORDER BY created DESC LIMIT ?", 180, 900, 18,
      SERVED_REPLICA },
    { "SELECT o.id, o.total, c.name, c.city, SUM(l.amount * l.price) AS turnover FROM orders o "
      "JOIN "
      "customers c ON c.id = o.customer JOIN lines l ON l.order_id = o.id WHERE o.created BETWEEN "
      "? "
      "AND ? AND c.country IN (?+) GROUP BY o.id, o.total, c.name, c.city HAVING turnover > ? "
      "ORDER "
      "BY turnover DESC LIMIT ?",
      6, 48000, 210, SERVED_REPLICA },
    { "UPDATE stock SET amount = amount - ? WHERE item = ?", 90, 1300, 0, SERVED_PRIMARY },
    { "INSERT INTO orders (customer, total, created) VALUES (...)", 60, 1700, 0, SERVED_PRIMARY },
    { "COMMIT", 120, 2100, 0, SERVED_PRIMARY },
    { "BEGIN", 120, 35, 0, SERVED_HERE },
    { "SET NAMES utf8mb4", 40, 12, 0, SERVED_HERE },
    { "SELECT '<script>alert(document.domain)</script>' AS \"<b>\" FROM t WHERE a = ?", 3, 500, 1,
      SERVED_PRIMARY },
    { "CALL nightly_report(?, ?)", 1, 390000, 1, SERVED_PRIMARY },
};

static double chance(struct stage *s)
{
    return (double)(next_random(&s->seed) >> 11) / 9007199254740992.;
}

static void play(struct stage *s, struct worker *w, unsigned act)
{
    double slow = exp(1.6 * (chance(s) + chance(s) + chance(s) - 1.5));
    struct served v = {
        .digest = 0x9E3779B97F4A7C15u * (act + 1),
        .text = bytes_str(acts[act].text),
        .user = "shop",
        .schema = bytes_str("shop"),
        .server = acts[act].by == SERVED_HERE      ? NULL
                  : acts[act].by == SERVED_PRIMARY ? "db1"
                                                   : "db2",
        .by = acts[act].by,
        .total_us = (uint64_t)(acts[act].us * slow * (s->trouble ? 3 : 1)),
        .rows = acts[act].rows,
        .bytes = acts[act].rows * 90,
        .error = chance(s) < (s->trouble ? .02 : .0005) ? 1205 : 0,
    };
    v.wait_us = chance(s) < .1 ? (uint64_t)(200 * slow) : 0;
    served_record(w, &v);
    count(w, commands);
    count_add(acts[act].by == SERVED_PRIMARY   ? &worker_counters(w)->commands_primary
              : acts[act].by == SERVED_REPLICA ? &worker_counters(w)->commands_replica
                                               : &worker_counters(w)->commands_answered,
              1);
    count_add(&worker_counters(w)->bytes_to_clients, v.bytes);
    if (v.error)
        count(w, server_errors);
}

static void set_gauges(struct stage *s, double load)
{
    struct counters *c = worker_counters(s->house.workers[0]);
    unsigned busy = (unsigned)(load * 40);
    c->sessions = (unsigned)(300 + 60 * load);
    c->sessions_busy = busy;
    c->sessions_pinned = (unsigned)(6 + 5 * chance(s));
    for (unsigned i = 0; i < s->house.servers.n; i++) {
        struct server *db = s->house.servers.states[i].server;
        bool is_down = s->trouble && i == 2;
        db->in_use = is_down ? 0 : busy / 3 + (unsigned)(4 * chance(s));
        db->open = is_down ? 0 : 24 + db->in_use;
        db->wanted = s->trouble && i == 0 ? (unsigned)(load * 9) : 0;
        db->commands += is_down ? 0 : (unsigned)(load * (90 + 70 * i) * (.9 + .2 * chance(s)));
        db->connects = 40 + i;
        db->connect_failures += is_down;
    }
    if (chance(s) < .3)
        count(s->house.workers[0], pins);
}

/* A fifth of a second of traffic. */
static void pass(struct stage *s)
{
    double load = 1 + .35 * sin(s->clock / 23) + .15 * sin(s->clock / 5) + .1 * chance(s);
    s->clock += .2;
    for (unsigned act = 0; act < ARRAY_LEN(acts); act++)
        for (double n = acts[act].share * load / 5; n > chance(s); n--)
            play(s, s->house.workers[next_random(&s->seed) % HOUSE_WORKERS], act);
    set_gauges(s, load);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    pass(timer->data);
}

static void on_end(struct ev_loop *loop, ev_signal *end, int revents)
{
    (void)loop, (void)revents;
    worker_stop(((struct stage *)end->data)->house.control);
}

static void dress(struct stage *s)
{
    struct made_up *m = &s->house.servers;
    for (unsigned i = 0; i < m->n; i++) {
        m->states[i].lag_ms = i * 130;
        m->states[i].since_us = clock_wall_us() - 7000000000ull * (i + 1);
        m->states[i].server->max_open = 100;
    }
    if (s->trouble) {
        m->states[0].health = m->states[2].health = HEALTH_DOWN;
        str_copy(m->states[0].why, sizeof m->states[0].why,
                 bytes_str("probe: no answer within 2 s"));
        str_copy(m->states[2].why, sizeof m->states[2].why,
                 bytes_str("connect: connection refused"));
        m->states[1].lag_ms = 74000;
        m->states[3].lag_ms = UINT32_MAX;
    }
    rebuild(m);
}

int main(int argc, char **argv)
{
    struct stage s = { .seed = 1 };
    struct fault why;
    if (argc < 2) {
        fprintf(stderr, "usage: http_stage ADDRESS [calm|trouble]\n");
        return 2;
    }
    s.trouble = argc > 2 && strcmp(argv[2], "trouble") == 0;
    served_set_limits(&(struct served_limits){ .digests = 1000, .digest_text_bytes = 1024 });
    house_open(&s.house, 4);
    dress(&s);
    for (unsigned i = 0; i < 100; i++)
        pass(&s);
    struct config *c = config_with_http(argv[1]);
    if (!http_configure(s.house.http, c, &why)) {
        fprintf(stderr, "%s\n", why.text);
        return 1;
    }
    ev_timer_init(&s.tick, on_tick, .2, .2);
    ev_signal_init(&s.end, on_end, SIGTERM);
    s.tick.data = s.end.data = &s;
    ev_timer_start(worker_loop(s.house.control), &s.tick);
    ev_signal_start(worker_loop(s.house.control), &s.end);
    worker_run(s.house.control);
    http_free(s.house.http);
    s.house.http = NULL;
    house_close(&s.house);
    config_drop(c);
    return 0;
}
