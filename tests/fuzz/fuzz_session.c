/*
 * fuzz_session.c - a client and servers that say anything: a whole worker between them stays alive, serves
 * every command to an end, and forgets everything when the client has left.
 *
 * One thread: the worker's loop is turned by hand, and between its turns this file plays both ends, over
 * real sockets.  What is checked is what must hold whatever was said: the session ends with its client, no
 * connection to a server stays leased, no buffer stays held.
 *
 * Input: a byte of choices, then pieces, each a byte of kind, two of length, and its bytes:
 *   0   the client sends them as one packet          1   the client sends them as they are
 *   2   the answer to a command to come, packets     3   the same, as it is
 *   4   the client's last piece: it shuts down writing
 */
#include "servers/inside.h"
#include "session/session.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"

enum { SERVERS = 2, CONNECTIONS = 32, ANSWERS = 64, TURNS_MOST = 4000, INPUT_MOST = 64 << 10 };

enum choice {
    CLIENT_IS_OLD = 1,
    SERVER_IS_MYSQL = 2,
    ANSWERS_OURS = 4,             /* what Volvox says for itself is answered by the input */
    ANSWERS_LOGINS = 8,           /* ... and its logins are                               */
    CLIENT_STAYS_OUT = 16         /* the client's login is the input's                    */
};

/* A connection that the worker has made. */
struct connection {
    int fd;                       /* -1: free */
    bool logged_in, takes_file;
    struct buf in, out;
};

static struct worker *worker;
static struct topology *topology;
static struct sessions_shared shared;
static struct server_state states[SERVERS];
static int listeners[SERVERS];
static char directory[64];
static struct connection connections[CONNECTIONS];
static unsigned choices;

/* Answers to come, in turn. */
static struct {
    struct bytes data;
    bool framed;
} answers[ANSWERS];
static unsigned n_answers, next_answer;

/* ---- the house, built once ----------------------------------------------------------------- */

static int listen_at(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd >= 0);
    str_copy(at.sun_path, sizeof at.sun_path, bytes_str(path));
    must(bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 64) == 0);
    return fd;
}

static void clean_up(void)
{
    char path[96];
    for (unsigned i = 0; i < SERVERS; i++) {
        snprintf(path, sizeof path, "%s/db%u", directory, i + 1);
        unlink(path);
    }
    rmdir(directory);
}

static struct config *make_config(void)
{
    char text[1024];
    struct complaints told;
    snprintf(text, sizeof text,
             "[volvox]\nmonitor_user=m\nlinger=0\nqueue_timeout=50ms\nconnect_timeout=1s\nmax_packet=64K\n"
             "login_failures=0\naccounts_recheck=0\n"
             "[listener main]\n[group main]\nreads=all\nauth=servers\n"
             "[server db1]\naddress=%s/db1\nmax_connections=4\n"
             "[server db2]\naddress=%s/db2\nmax_connections=4\n"
             "[user u]\npassword=\nmax_connections=9\n[user v]\npassword=\n"
             "[user n]\npassword_hash=*14E65567ABDB5135D0CFD9A70B3032C179A49EE7\n"
             "[user e]\npassword_hash=ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY\nserver_password=x\n"
             "[user a]\npassword_hash=$A$001$01234567890123456789"
             "012345678901234567890123456789012345678901.\n",
             directory, directory);
    struct config *c = config_parse(bytes_str(text), "fuzz.ini", &told);
    for (unsigned i = 0; c == NULL && i < told.count; i++)
        fprintf(stderr, "line %u: %s\n", told.items[i].line, told.items[i].text);
    must(c != NULL);
    complaints_release(&told);
    return c;
}

static void describe_server(struct server_state *s, bool writable)
{
    s->health = HEALTH_UP;
    s->writable = writable;
    s->replicates = s->lag_known = !writable;
    s->weight = 100;
    s->max_allowed_packet = 1 << 24;
    s->collation = UTF8MB4_GENERAL;
    s->caps = CAPS_KNOWN & ~CAP_LONG_PASSWORD;
}

static void build(void)
{
    log_level = LOG_ERROR;
    snprintf(directory, sizeof directory, "/tmp/volvox-fuzz-XXXXXX");
    must(mkdtemp(directory) != NULL);
    atexit(clean_up);
    struct config *c = make_config();
    for (unsigned i = 0; i < SERVERS; i++) {
        listeners[i] = listen_at(c->servers[i].address);
        states[i].server = server_new(&c->servers[i]);
        describe_server(&states[i], i == 0);
    }
    for (unsigned i = 0; i < CONNECTIONS; i++)
        connections[i].fd = -1;
    topology = topology_build(c, states, SERVERS, NULL);
    worker = worker_new(0);
    stats_worker_init(worker);
    config_worker_init(worker, c);
    topology_worker_init(worker, topology);
    pools_worker_init(worker, &worker, 1);
    sessions_shared_init(&shared, NULL);
    sessions_worker_init(worker, &shared, &worker, 1);
}

/* ---- the servers' ends --------------------------------------------------------------------- */

static bool is_mysql(void)
{
    return (choices & SERVER_IS_MYSQL) != 0;
}

static void greet(struct connection *c)
{
    static unsigned id;
    struct greeting g = {
        .version = is_mysql() ? BYTES_LITERAL("9.7.4") : BYTES_LITERAL("5.5.5-10.11.19-MariaDB"),
        .thread_id = ++id,
        .caps = CAPS_KNOWN & ~(is_mysql() ? 0 : CAP_LONG_PASSWORD),
        .collation = UTF8MB4_GENERAL,
        .status = STATUS_AUTOCOMMIT,
        .plugin = is_mysql() ? BYTES_LITERAL("caching_sha2_password") : BYTES_LITERAL("mysql_native_password"),
    };
    uint8_t seq = 0;
    memset(g.scramble, 's', sizeof g.scramble);
    greeting_write(&c->out, &seq, &g);
}

static void say_ok(struct connection *c, uint8_t seq)
{
    const struct ok ok = { .status = STATUS_AUTOCOMMIT };
    ok_write(&c->out, &seq, &ok, 0x00, CAPS_KNOWN);
}

static void drop(struct connection *c)
{
    if (c->fd < 0)
        return;
    close(c->fd);
    buf_release(&c->in);
    buf_release(&c->out);
    *c = (struct connection){ .fd = -1 };
}

static void drop_all(void)
{
    for (unsigned i = 0; i < CONNECTIONS; i++)
        drop(&connections[i]);
}

/* Statements that Volvox makes up are answered as they expect, unless the input says otherwise. */
static bool is_ours(struct bytes payload)
{
    static const char *const ours[] = { "\3SET NAMES", "\3SET @@session.", "\3DO (SELECT 1", "\3KILL " };
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        size_t n = strlen(ours[i]);
        if (payload.len >= n && memcmp(payload.data, ours[i], n) == 0)
            return (choices & ANSWERS_OURS) == 0;
    }
    return false;
}

static bool expects_nothing(uint8_t code)
{
    return code == COM_STMT_CLOSE || code == COM_STMT_SEND_LONG_DATA;
}

/* Pieces of a framed answer are length-prefixed payloads. */
static void write_framed(struct connection *c, uint8_t seq, struct bytes data)
{
    struct cursor at = cursor_of(data);
    while (cursor_left(&at) > 0) {
        size_t n = read_u8(&at);
        packet_write(&c->out, &seq, read_bytes(&at, MIN(n, cursor_left(&at))));
    }
}

/* Its first byte says what it is; -1: nothing was written. */
static int write_next_answer(struct connection *c, uint8_t seq)
{
    size_t before = buf_len(&c->out);
    if (next_answer == n_answers)
        say_ok(c, seq);
    else if (answers[next_answer].framed)
        write_framed(c, seq, answers[next_answer++].data);
    else
        buf_add(&c->out, answers[next_answer++].data);
    struct bytes written = bytes_skip(buf_bytes(&c->out), before);
    return written.len > FRAME_HEADER ? written.data[FRAME_HEADER] : -1;
}

static void answer(struct connection *c, struct bytes payload, uint8_t next_seq)
{
    uint8_t code = payload.len > 0 ? payload.data[0] : 0;
    if (c->takes_file && payload.len > 0)
        return; /* a piece of it */
    if (c->takes_file || !expects_nothing(code)) {
        c->takes_file = false;
        if (is_ours(payload))
            say_ok(c, 1);
        else
            c->takes_file = write_next_answer(c, next_seq) == 0xFB;
    }
}

/* Is that the end of it? */
static bool answer_login(struct connection *c, uint8_t next_seq)
{
    if ((choices & ANSWERS_LOGINS) != 0)
        return write_next_answer(c, next_seq) == 0x00;
    say_ok(c, next_seq);
    return true;
}

/* False: it said goodbye. */
static bool hear(struct connection *c)
{
    struct packet p;
    struct arena arena;
    size_t need;
    struct fault why;
    bool stays = true;
    arena_init(&arena);
    while (stays && packet_find(buf_bytes(&c->in), SIZE_MAX, &p, &need, &why)) {
        struct bytes payload = packet_payload(buf_bytes(&c->in), &p, &arena);
        if (!c->logged_in) {
            c->logged_in = answer_login(c, p.next_seq);
        } else if (payload.len == 1 && payload.data[0] == COM_QUIT) {
            stays = false;
        } else {
            answer(c, payload, p.next_seq);
        }
        buf_skip(&c->in, p.wire_len);
    }
    arena_release(&arena);
    /* what is no packet (a file, say, out of turn) is not waited for */
    if (stays && need == 0)
        buf_skip(&c->in, buf_len(&c->in));
    return stays;
}

static bool accept_all(void)
{
    bool moved = false;
    for (unsigned i = 0; i < SERVERS; i++)
        for (int fd; (fd = accept4(listeners[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
            unsigned free_one = 0;
            while (free_one < CONNECTIONS && connections[free_one].fd >= 0)
                free_one++;
            must(free_one < CONNECTIONS);
            connections[free_one].fd = fd;
            greet(&connections[free_one]);
            moved = true;
        }
    return moved;
}

/* As much as the socket takes; whether any went. */
static bool send_some(int fd, struct buf *out)
{
    ssize_t n = buf_len(out) > 0 ? send(fd, buf_head(out), buf_len(out), MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    if (n > 0)
        buf_skip(out, (size_t)n);
    return n > 0;
}

static bool serve(struct connection *c)
{
    uint8_t window[16384];
    if (c->fd < 0)
        return false;
    bool moved = send_some(c->fd, &c->out);
    ssize_t n = recv(c->fd, window, sizeof window, MSG_DONTWAIT);
    if (n > 0)
        buf_add(&c->in, bytes_of(window, (size_t)n));
    if (n == 0 || (n > 0 && !hear(c))) {
        drop(c);
        return true;
    }
    return moved || n > 0;
}

/* ---- the client's end ---------------------------------------------------------------------- */

struct client {
    int fd;
    struct buf out;
    size_t received;
    bool closed;                  /* by Volvox */
};

static void arrive(struct client *c, struct session_door *door)
{
    int ends[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    *c = (struct client){ .fd = ends[0] };
    struct client_mail *m = mem_zalloc(sizeof *m);
    m->mail.kind = MAIL_CLIENT;
    m->fd = ends[1];
    m->group = -1;
    m->door = door;
    atomic_fetch_add(&door->open, 1);
    atomic_fetch_add(&shared.open, 1);
    must(worker_post(worker, &m->mail));
}

static bool tend(struct client *c)
{
    uint8_t window[16384];
    if (c->closed)
        return false;
    bool moved = send_some(c->fd, &c->out);
    ssize_t n = recv(c->fd, window, sizeof window, MSG_DONTWAIT);
    c->closed = n == 0;
    c->received += n > 0 ? (size_t)n : 0;
    return moved || n >= 0;
}

/* ---- turning the loop ---------------------------------------------------------------------- */

static bool turn(struct client *c)
{
    bool moved = c != NULL && tend(c);
    moved |= accept_all();
    for (unsigned i = 0; i < CONNECTIONS; i++)
        moved |= serve(&connections[i]);
    ev_run(worker_loop(worker), EVRUN_NOWAIT);
    return moved;
}

/* Until nothing moves any more. */
static void settle(struct client *c)
{
    unsigned quiet = 0;
    for (unsigned i = 0; i < TURNS_MOST && quiet < 3; i++)
        quiet = turn(c) ? 0 : quiet + 1;
}

static bool is_over(const struct session_door *door)
{
    struct task_figures tasks;
    unsigned open = 0;
    worker_task_figures(worker, &tasks);
    for (unsigned i = 0; i < SERVERS; i++)
        open += atomic_load(&states[i].server->open);
    return sessions_count(worker) == 0 && tasks.running == 0 && open == 0 && atomic_load(&door->open) == 0;
}

/* Everybody has left: what still waits has a deadline, the longest is that of a goodbye. */
static void must_end(const struct session_door *door)
{
    for (unsigned i = 0; !is_over(door); i++) {
        must(i < 8000);
        if (turn(NULL))
            continue;
        drop_all();
        if (i > 20)
            usleep(1000);
    }
    drop_all();
    must(atomic_load(&shared.open) == 0);
    account_store_limits(&shared.learnt, 0, 3600); /* the next input finds nothing learnt */
    account_store_limits(&shared.learnt, 100, 3600);
    for (unsigned i = 0; i < SERVERS; i++)
        must(atomic_load(&states[i].server->in_use) == 0 && atomic_load(&states[i].server->wanted) == 0);
    must(buf_total() == 0);
}

/* ---- one input ----------------------------------------------------------------------------- */

static void log_in(struct client *c)
{
    uint32_t caps = CAP_LONG_PASSWORD | CAP_PROTOCOL_41 | CAP_SECURE_CONNECTION | CAP_PLUGIN_AUTH |
                    CAP_TRANSACTIONS | CAP_LOCAL_FILES | CAP_MULTI_STATEMENTS | CAP_MULTI_RESULTS;
    if ((choices & CLIENT_IS_OLD) == 0)
        caps |= CAP_DEPRECATE_EOF | CAP_SESSION_TRACK | CAP_PS_MULTI_RESULTS;
    struct login l = { .caps = caps, .max_packet = 1 << 24, .collation = UTF8MB4_GENERAL,
                       .user = BYTES_LITERAL("u"), .plugin = BYTES_LITERAL("mysql_native_password") };
    uint8_t seq = 1;
    login_write(&c->out, &seq, &l);
}

static void play(struct client *c, unsigned kind, struct bytes data)
{
    uint8_t seq = 0;
    switch (kind % 5) {
    case 0:
        packet_write(&c->out, &seq, data);
        break;
    case 1:
        buf_add(&c->out, data);
        break;
    case 2:
    case 3:
        if (n_answers < ANSWERS) {
            answers[n_answers].framed = kind % 5 == 2;
            answers[n_answers++].data = data;
        }
        return;
    default:
        settle(c);
        shutdown(c->fd, SHUT_WR);
        break;
    }
    settle(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client client;
    struct session_door door = { .listener = "main" };
    if (size < 1 || size > INPUT_MOST)
        return 0;
    if (worker == NULL)
        build();
    choices = data[0];
    n_answers = next_answer = 0;
    for (unsigned i = 0; i < topology->n_groups; i++) {
        struct group_state *g = &topology->groups[i];
        g->is_mariadb = !is_mysql();
        g->version_number = is_mysql() ? 90704 : 101119;
        str_copy(g->version, sizeof g->version,
                 is_mysql() ? BYTES_LITERAL("9.7.4") : BYTES_LITERAL("5.5.5-10.11.19-MariaDB"));
        g->caps = CAPS_KNOWN & ~CAP_LONG_PASSWORD;
    }
    arrive(&client, &door);
    settle(&client);
    if ((choices & CLIENT_STAYS_OUT) == 0)
        log_in(&client);
    settle(&client);
    struct cursor at = cursor_of(bytes_of(data + 1, size - 1));
    while (cursor_left(&at) >= 3) {
        unsigned kind = read_u8(&at);
        size_t n = read_u16(&at);
        play(&client, kind, read_bytes(&at, MIN(n, cursor_left(&at))));
    }
    settle(&client);
    close(client.fd);
    buf_release(&client.out);
    must_end(&door);
    return 0;
}
