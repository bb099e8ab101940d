/* pool.c - idle lists, the nearest fit, limits, ages; see pool.h. */
#include "pool/inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

/* ---- pools by key ------------------------------------------------------------------- */

/* Another password is another account: what it opened is not for the old one.  And who is told to the
 * server as another client is another one to it. */
static void write_key(const struct lease_terms *terms, uint8_t key[POOL_KEY_BYTES])
{
    struct bytes ip = terms->client != NULL ? address_ip(&terms->client->from) : BYTES_NONE;
    memset(key, 0, POOL_KEY_BYTES);
    memcpy(key, &terms->server->number, 4);
    memcpy(key + 4, &terms->fit, 8);
    memcpy(key + 12, terms->account->key, ACCOUNT_KEY_BYTES);
    key[12 + ACCOUNT_KEY_BYTES] = terms->client != NULL;
    key[13 + ACCOUNT_KEY_BYTES] = (uint8_t)ip.len;
    if (ip.len > 0)
        memcpy(key + 14 + ACCOUNT_KEY_BYTES, ip.data, ip.len);
}

/* Where the pool for these terms would be among the recent ones. */
static struct pool **recent_slot(struct pools *ps, const struct server *server,
                                 const struct account *account, uint64_t fit)
{
    uint64_t mixed = server->number * 31 + ((uintptr_t)account >> 6) + fit;
    return &ps->recent[(mixed ^ mixed >> 8) % ARRAY_LEN(ps->recent)];
}

static bool is_for(const struct pool *p, const struct lease_terms *terms)
{
    return p->server == terms->server && p->account == terms->account && p->fit == terms->fit &&
           p->client == NULL && terms->client == NULL;
}

static struct pool *find_or_make(struct pools *ps, const struct lease_terms *terms)
{
    uint8_t key[POOL_KEY_BYTES];
    write_key(terms, key);
    struct pool *p = map_get(&ps->by_key, bytes_of(key, sizeof key));
    if (p == NULL) {
        p = mem_zalloc(sizeof *p);
        p->pools = ps;
        p->server = server_take(terms->server);
        p->account = account_take(terms->account);
        p->fit = terms->fit;
        if (terms->client != NULL) {
            p->client = mem_alloc(sizeof *p->client);
            *p->client = *terms->client;
        }
        p->retired = p->account->is_relayed;
        memcpy(p->key, key, sizeof key);
        list_init(&p->idle);
        list_init(&p->leaders);
        list_init(&p->killings);
        list_init(&p->wants);
        map_put(&ps->by_key, bytes_of(p->key, sizeof p->key), p);
    }
    return p;
}

struct pool *pool_get(struct pools *ps, const struct lease_terms *terms)
{
    struct pool **recent = recent_slot(ps, terms->server, terms->account, terms->fit);
    struct pool *p = *recent;
    if (p == NULL || !is_for(p, terms))
        *recent = p = find_or_make(ps, terms);
    p->used_us = worker_now_us(ps->worker);
    pool_follow_tls(p, worker_config(ps->worker));
    return p;
}

static bool pool_is_empty(const struct pool *p)
{
    return p->n_idle + p->n_held + p->n_taking + p->warming == 0;
}

static void pool_free(struct pool *p)
{
    for (unsigned i = 0; i < ARRAY_LEN(p->pools->recent); i++)
        if (p->pools->recent[i] == p)
            p->pools->recent[i] = NULL;
    map_remove(&p->pools->by_key, bytes_of(p->key, sizeof p->key));
    server_drop(p->server);
    tls_context_drop(p->tls);
    account_drop(p->account);
    mem_free(p->client);
    mem_free(p);
}

/* Longer ones, unasked, are no error packets. */
enum { LAST_WORDS_MAX = 4096 };

/* ---- idle backends --------------------------------------------------------------------- */

static struct backend *idle_entry(struct list *link)
{
    return list_entry(link, struct backend, link);
}

/* Has the server, unasked, said all that it is going to say?  False while that is on its way, and for
 * what TLS says for itself (tickets). */
static bool is_over(struct backend *be)
{
    struct packet p;
    size_t need;
    struct fault why = FAULT_NONE;
    ssize_t n = stream_fill(&be->stream, FRAME_HEADER);
    return n < 0 || (n > 0 && (packet_find(buf_bytes(&be->stream.in), LAST_WORDS_MAX, &p, &need, &why) ||
                               need == 0));
}

bool backend_last_words(const struct backend *be, struct fault *why)
{
    struct bytes in = buf_bytes(&be->stream.in);
    struct packet p;
    size_t need;
    struct err err;
    if (in.len == 0 || !packet_find(in, LAST_WORDS_MAX, &p, &need, NULL) || p.frames != 1 ||
        p.payload_len == 0 || in.data[FRAME_HEADER] != 0xFF ||
        !err_read(bytes_of(in.data + FRAME_HEADER, p.payload_len), &err, NULL))
        return false;
    const char *sqlstate = err.sqlstate[0] != '\0' ? err.sqlstate : sqlstate_of(err.code);
    fault_set_state(why, BLAME_SERVER, err.code, sqlstate, "%.*s", BYTES_FMT(err.text));
    return true;
}

static void idle_lost(struct backend *be)
{
    struct fault why;
    const char *reason = backend_last_words(be, &why) ? why.text : "closed by the server";
    count(be->pool->pools->worker, backends_lost);
    log_info("idle connection lost", "server=%s thread=%u idle_ms=%llu why=%s", be->server->name,
             be->thread_id, (unsigned long long)(clock_us() - be->idle_since_us) / 1000,
             log_quote(bytes_str(reason)));
    backend_move(be, BACKEND_OPENING);
    backend_close(be, reason);
}

/* Readable while nobody asked anything: the server closed it, or says why it is about to. */
static void on_idle_readable(struct watch *watch)
{
    struct backend *be = container_of(watch, struct backend, stream.watch);
    if (!is_over(be))
        return;
    if (be->place != BACKEND_LEASED) {
        idle_lost(be);
        return;
    }
    void (*lost)(struct backend *) = be->lost;
    backend_watch(be, NULL);
    lost(be);
}

static const struct settings *settings_of(const struct pools *ps)
{
    return &worker_config(ps->worker)->settings;
}

void pool_keep(struct backend *be)
{
    struct pool *p = be->pool;
    const struct settings *limits = settings_of(p->pools);
    if (p->n_idle >= limits->pool_max_idle || !backend_is_fresh(be, limits)) {
        backend_close(be, "enough idle ones");
        return;
    }
    be->idle_since_us = worker_now_us(p->pools->worker);
    stream_rest(&be->stream);
    backend_move(be, BACKEND_IDLE);
    watch_idle(p->pools->worker, &be->stream.watch, on_idle_readable);
}

static struct backend *take_from_idle(struct backend *be)
{
    watch_idle(be->pool->pools->worker, &be->stream.watch, NULL);
    backend_move(be, BACKEND_OPENING);
    return be;
}

struct backend *pool_oldest_idle(struct pools *ps, struct server *server)
{
    struct backend *oldest = NULL;
    uint32_t at = 0;
    for (struct pool *p; (p = map_next(&ps->by_key, &at)) != NULL;) {
        struct list *last = p->server == server ? list_last(&p->idle) : NULL;
        if (last != NULL &&
            (oldest == NULL || idle_entry(last)->idle_since_us < oldest->idle_since_us))
            oldest = idle_entry(last);
    }
    return oldest != NULL ? take_from_idle(oldest) : NULL;
}

/* How many idle ones to look at: the most recent are the likeliest to fit, and the search must
 * not grow with the pool. */
enum { LOOK_AT = 16 };

static struct backend *nearest_idle(struct pool *p, const struct state *wanted)
{
    struct backend *best = NULL;
    size_t best_distance = SIZE_MAX;
    unsigned looked = 0;
    list_for_each(link, &p->idle) {
        struct backend *be = idle_entry(link);
        size_t d = state_distance(be->state, wanted);
        if (d < best_distance) {
            best = be;
            best_distance = d;
        }
        if (d == 0 || ++looked >= LOOK_AT)
            break;
    }
    return best;
}

static struct backend *take_idle(struct pool *p, const struct lease_terms *terms)
{
    for (;;) {
        struct backend *be = nearest_idle(p, terms->state);
        if (be == NULL)
            return NULL;
        take_from_idle(be);
        /* (the watcher tells of a dead one, but only when the loop comes round) */
        if (!terms->sure || stream_peer(&be->stream) == PEER_QUIET)
            return be;
        count(p->pools->worker, backends_lost);
        backend_close(be, "found dead");
    }
}

static struct backend *lease(struct backend *be)
{
    backend_move(be, BACKEND_LEASED);
    be->ticket = ++be->pool->pools->last_ticket;
    count(be->pool->pools->worker, leases);
    return be;
}

struct backend *pool_take_again(struct worker *w, uint64_t ticket)
{
    uint32_t at = 0;
    for (struct pool *p; (p = map_next(&worker_pools(w)->by_key, &at)) != NULL;)
        list_for_each(link, &p->idle)
            if (idle_entry(link)->ticket == ticket && ticket != 0)
                return lease(take_from_idle(idle_entry(link)));
    return NULL;
}

static struct backend *open_for_lease(struct task *t, struct pool *p, const struct lease_terms *terms,
                                      double deadline, struct fault *why)
{
    p->collation = terms->collation;
    struct backend *be = backend_open(t, p, terms, NULL, deadline, why);
    if (be == NULL)
        lend_slot(p->server, task_worker(t));
    return be;
}

/* May a connection be made now?  If need be an idle one of another account, fit or schema goes: its place
 * comes free when the server has closed it, so mostly the caller has to queue. */
static bool make_place(struct pool *p)
{
    if (server_may_open(p->server))
        return true;
    if (atomic_load_explicit(&p->server->wanted, memory_order_relaxed) !=
        atomic_load_explicit(&p->server->leaving, memory_order_relaxed))
        return false;             /* others are first, or a place is on its way already */
    struct backend *other = pool_oldest_idle(p->pools, p->server);
    if (other == NULL)
        return false;
    backend_close(other, "its place was needed");
    return server_may_open(p->server);
}

static struct backend *wait_in_queue(struct task *t, struct pool *p, const struct lease_terms *terms,
                                     struct follow *follow, double deadline, struct fault *why)
{
    struct want want = { .state = terms->state, .follow = follow };
    count(task_worker(t), leases_waited);
    if (!want_wait(t, p, &want, deadline, why)) {
        count(task_worker(t), leases_timed_out);
        return NULL;
    }
    if (want.got != NULL)
        return want.got;
    if (want.may_open)
        return open_for_lease(t, p, terms, deadline, why);
    return pipeline_outcome(&want.follower, follow);
}

static struct backend *take(struct task *t, struct pool *p, const struct lease_terms *terms,
                            double deadline, struct fault *why)
{
    struct follow *follow = terms->follow;
    for (;;) {
        struct backend *be = take_idle(p, terms);
        if (be != NULL)
            return be;
        if (make_place(p))
            return open_for_lease(t, p, terms, deadline, why);
        pipeline_scarce(p->pools);
        if (follow != NULL && !follow->may(follow))
            follow = NULL;
        if (follow != NULL)
            be = pipeline_follow(t, p, terms);
        if (be == NULL && (follow == NULL || !follow->was_lost))
            be = wait_in_queue(t, p, terms, follow, deadline, why);
        if (be != NULL || follow == NULL || !follow->was_lost)
            return be;
        follow = NULL;            /* once more, for one to itself */
    }
}

struct backend *pool_take_from(struct task *t, struct pool *p, const struct lease_terms *terms,
                               double deadline, struct fault *why)
{
    p->n_taking++;
    struct backend *be = take(t, p, terms, deadline, why);
    p->n_taking--;
    if (be == NULL || be->place == BACKEND_LEASED)
        return be;                /* (our turn in a line) */
    return lease(be);
}

static struct backend *open_extra(struct task *t, struct pool *p, const struct lease_terms *terms,
                                  struct fault *why)
{
    atomic_fetch_add_explicit(&p->server->open, 1, memory_order_relaxed);
    struct backend *be = backend_open(t, p, terms, NULL, 0, why);
    if (be == NULL)
        server_closed(p->server);
    return be;
}

struct backend *pool_take_at_once(struct task *t, struct pool *p, const struct lease_terms *terms,
                                  bool *has_place, bool *is_extra, struct fault *why)
{
    p->n_taking++;
    struct backend *be = take_idle(p, terms);
    bool may_open = be == NULL && (*has_place || make_place(p));
    *is_extra = be == NULL && !may_open;
    *has_place &= !may_open;
    if (be == NULL)
        be = *is_extra ? open_extra(t, p, terms, why) : open_for_lease(t, p, terms, 0, why);
    p->n_taking--;
    return be != NULL ? lease(be) : NULL;
}

struct backend *pool_take(struct task *t, const struct lease_terms *terms, double deadline,
                          struct fault *why)
{
    return pool_take_from(t, pool_get(worker_pools(task_worker(t)), terms), terms, deadline, why);
}

/* ---- connections that prove an account -------------------------------------------------------- */

/* A place for one more connection to the server, whoever must give his. */
static bool wait_for_place(struct task *t, struct pool *p, const struct lease_terms *terms,
                           double deadline, struct fault *why)
{
    struct want want = { .state = terms->state, .opens = true };
    count(task_worker(t), leases_waited);
    bool has_place = want_wait(t, p, &want, deadline, why);
    if (!has_place)
        count(task_worker(t), leases_timed_out);
    return has_place;
}

static struct backend *open_anew(struct task *t, struct pool *p, const struct lease_terms *terms,
                                 struct login_relay *relay, double deadline, struct fault *why)
{
    struct list *oldest = list_last(&p->idle);
    if (oldest != NULL)           /* or each proof would leave one more behind */
        backend_close(take_from_idle(idle_entry(oldest)), "the account is proven anew");
    if (!make_place(p) && !wait_for_place(t, p, terms, deadline, why))
        return NULL;
    p->collation = terms->collation;
    struct backend *be = backend_open(t, p, terms, relay, deadline, why);
    if (be == NULL)
        lend_slot(p->server, task_worker(t));
    return be;
}

struct backend *pool_open(struct task *t, const struct lease_terms *terms, struct login_relay *relay,
                          double deadline, struct fault *why)
{
    struct pool *p = pool_get(worker_pools(task_worker(t)), terms);
    p->n_taking++;
    struct backend *be = open_anew(t, p, terms, relay, deadline, why);
    p->n_taking--;
    return be != NULL ? lease(be) : NULL;
}

void backend_adopt(struct backend *be, struct account *account)
{
    struct pool *old = be->pool;
    struct lease_terms terms = {
        .server = be->server, .account = account, .fit = old->fit, .client = old->client
    };
    must(be->place == BACKEND_LEASED);
    be->pool = pool_get(old->pools, &terms);
    old->n_held--;
    be->pool->n_held++;
}

/* ---- holders that are idle ---------------------------------------------------------------------- */

void backend_watch(struct backend *be, void (*lost)(struct backend *be))
{
    must(be->place == BACKEND_LEASED);
    be->lost = lost;
    be->wanted = NULL;
    watch_idle(be->pool->pools->worker, &be->stream.watch, lost != NULL ? on_idle_readable : NULL);
}

void backend_offer(struct backend *be, void (*wanted)(struct backend *be))
{
    must(be->place == BACKEND_LEASED && be->lost != NULL);
    be->wanted = wanted;
    if (wanted != NULL && server_unmet(be->server) > 0)
        wanted(be);
}

static struct backend *find_offered(const struct pools *ps, const struct server *server)
{
    list_for_each(link, &ps->all) {
        struct backend *be = list_entry(link, struct backend, all);
        if (be->server == server && be->place == BACKEND_LEASED && be->wanted != NULL)
            return be;
    }
    return NULL;
}

/* (Who is asked may run a task: others of the list may be gone afterwards.) */
static bool ask_a_holder(struct pools *ps, struct server *server)
{
    struct backend *be = find_offered(ps, server);
    if (be == NULL)
        return false;
    void (*wanted)(struct backend *) = be->wanted;
    be->wanted = NULL;
    wanted(be);
    return true;
}

/* One for each that waits. */
void pool_ask_holders(struct pools *ps, struct server *server)
{
    unsigned asked = 0;
    while (asked < server_unmet(server) && ask_a_holder(ps, server))
        asked++;
}

void backend_keep(struct backend *be)
{
    if (server_unmet(be->server) > 0)
        ask_a_holder(be->pool->pools, be->server);
}

/* ---- the sweep: ages, reserves, pools of no more use ---------------------------------------- */

static unsigned share_of_reserve(const struct pools *ps)
{
    unsigned min = settings_of(ps)->pool_min_idle, index = (unsigned)worker_index(ps->worker);
    return min / ps->n_workers + (index < min % ps->n_workers);
}

/* Accounts that the configuration does not name come and go: none is kept ready for those that nobody
 * uses, nor for the clients of one address. */
static bool has_reserve(const struct pool *p, uint64_t now_us)
{
    uint64_t long_us = (uint64_t)settings_of(p->pools)->pool_idle_timeout_s * 1000000;
    return !p->retired && p->client == NULL && !p->pools->draining && p->collation != 0 &&
           (!p->account->is_learnt || now_us < p->used_us + long_us);
}

static void sweep_idle(struct pool *p, uint64_t now_us)
{
    const struct settings *limits = settings_of(p->pools);
    unsigned keep = has_reserve(p, now_us) ? share_of_reserve(p->pools) : 0;
    uint64_t idle_limit_us = (uint64_t)limits->pool_idle_timeout_s * 1000000;
    list_for_each_safe(link, &p->idle) {
        struct backend *be = idle_entry(link);
        bool stale = !backend_is_fresh(be, limits);
        bool surplus = idle_limit_us > 0 && p->n_idle > keep && now_us - be->idle_since_us > idle_limit_us;
        if (stale || surplus)
            backend_close(take_from_idle(be), stale ? "not fresh" : "idle for too long");
    }
}


static void warm_one(struct task *t, void *arg)
{
    struct pool *p = arg;
    struct fault why = FAULT_NONE;
    const struct lease_terms terms = { .collation = p->collation };
    struct backend *be = backend_open(t, p, &terms, NULL, 0, &why);
    p->warming--;
    if (be == NULL)
        lend_slot(p->server, task_worker(t));
    else if (!lend_backend(be))
        pool_keep(be);
}

/* One connection a second at most per pool: a server that comes back is not stormed. */
static void keep_reserve(struct pool *p, uint64_t now_us)
{
    if (!has_reserve(p, now_us) || p->warming > 0 || p->n_idle >= share_of_reserve(p->pools) ||
        !server_may_open(p->server))
        return;
    p->warming++;
    if (!task_start(p->pools->worker, "warm", warm_one, p)) {
        p->warming--;
        lend_slot(p->server, p->pools->worker);
    }
}

/* Empty pools cost little, but there may be one for each account that ever came. */
static bool is_of_no_use(const struct pool *p, uint64_t now_us)
{
    enum { LATELY_US = 10 * 1000000 };
    if (!pool_is_empty(p))
        return false;
    return p->retired || ((share_of_reserve(p->pools) == 0 || !has_reserve(p, now_us)) &&
                          now_us > p->used_us + LATELY_US);
}

static void sweep(struct pools *ps)
{
    enum { FREED_AT_ONCE = 64 };
    uint64_t now_us = clock_us();
    struct pool *useless[FREED_AT_ONCE];
    unsigned n = 0;
    uint32_t at = 0;
    for (struct pool *p; (p = map_next(&ps->by_key, &at)) != NULL;) {
        sweep_idle(p, now_us);
        if (n < FREED_AT_ONCE && is_of_no_use(p, now_us))
            useless[n++] = p;
    }
    for (unsigned i = 0; i < n; i++)
        pool_free(useless[i]);
    at = 0;
    for (struct pool *p; (p = map_next(&ps->by_key, &at)) != NULL;)
        keep_reserve(p, now_us);
}

static void on_sweep(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    sweep(container_of(timer, struct pools, sweep));
}

/* ---- configuration and topology ---------------------------------------------------------------- */

/* A server that wants to be told of clients, and one that does not, have different pools. */
static bool is_told_as_wanted(const struct pool *p)
{
    return (p->client != NULL) == (atomic_load(&p->server->proxy_protocol) != PROXY_OFF);
}

void pools_configured(struct worker *w, const struct config *now)
{
    struct pools *ps = worker_pools(w);
    uint32_t at = 0;
    for (struct pool *p; (p = map_next(&ps->by_key, &at)) != NULL;) {
        p->retired = p->account->is_relayed || atomic_load(&p->server->draining) ||
                     !is_told_as_wanted(p) ||
                     (!p->account->is_learnt && !config_has_account(now, p->account));
        pool_follow_tls(p, now);
    }
    sweep(ps);
}

/* Also after each reload, when the servers have their new limits and marks. */
void pools_topology(struct worker *w, const struct topology *now)
{
    struct pools *ps = worker_pools(w);
    uint32_t at = 0;
    (void)now;
    for (struct pool *p; (p = map_next(&ps->by_key, &at)) != NULL;)
        lend_room(p->server, w);
    pools_configured(w, worker_config(w));
}

void pools_worker_init(struct worker *w, struct worker *const *workers, unsigned n_workers)
{
    struct pools *ps = mem_zalloc(sizeof *ps);
    ps->worker = w;
    ps->workers = workers;
    ps->n_workers = n_workers;
    list_init(&ps->all);
    worker_set_part(w, PART_POOL, ps);
    lend_worker_init(w);
    ev_timer_init(&ps->sweep, on_sweep, 1., 1.);
    ev_timer_start(worker_loop(w), &ps->sweep);
    pipeline_worker_init(ps);
}

void pools_worker_drain(struct worker *w)
{
    struct pools *ps = worker_pools(w);
    ps->draining = true;
    sweep(ps);
}

void pools_worker_release(struct worker *w)
{
    struct pools *ps = worker_pools(w);
    ev_timer_stop(worker_loop(w), &ps->sweep);
    pipeline_worker_release(ps);
    uint32_t at = 0;
    for (struct pool *p; (p = map_next(&ps->by_key, &at)) != NULL; at = 0) {
        must(p->n_idle == 0);
        pool_free(p);
    }
    map_release(&ps->by_key);
    welcomes_release(ps);
    mem_free(ps);
    worker_set_part(w, PART_POOL, NULL);
}
