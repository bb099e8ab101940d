/*
 * crowd.c - many clients that come, ask once and go, or stay; for benchmarks; one thread.
 *
 *     crowd PORT USER PASSWORD SCHEMA SQL CLIENTS AT_ONCE SECONDS
 *
 * Each client connects from one of several loopback addresses, logs in with mysql_native_password,
 * in SCHEMA unless it is empty, sends SQL, in which %u is a random number, and reads the answer. No
 * more than AT_ONCE are on that way at the same time.
 *
 * SECONDS > 0: each then quits and closes, as drivers do, and comes again, until the time is over.
 * 0: each does so once and stays, idle.  When all have been served or refused, figures are printed
 * as a line of JSON; those who stay leave when stdin ends, which is a second line: how many were
 * still connected.
 *
 *     GREETING ──► WELCOME ──► ANSWER ──► (STAYING ──►) GONE, or AWAY and GREETING again
 *         └───────────┴───────────┴── refused with 1040, or broken ──┘
 */
#include "figures.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PACKET_OK = 0x00, PACKET_END = 0xfe, PACKET_ERR = 0xff, COM_QUIT = 1, COM_QUERY = 3 };
enum { HEADER_BYTES = 4, SCRAMBLE_BYTES = 20, ROOM_BYTES = 1024, UTF8MB4 = 45, TOO_MANY = 1040 };
enum { ADDRESSES = 16, MOST_CLIENTS = 1000000, MOST_IN_A_TURN = 64 };
/* When nobody got an answer for so long, nobody will: longer than the kernel pauses between
 * attempts. */
enum { PATIENCE_MS = 35000 };

/* As wire.py's clients have it, so that Volvox can serve both with the same server connections:
 * LONG_PASSWORD, LONG_FLAG, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION; MULTI_STATEMENTS,
 * MULTI_RESULTS, PS_MULTI_RESULTS, PLUGIN_AUTH, SESSION_TRACK, DEPRECATE_EOF. */
enum {
    CAP_SCHEMA = 0x8,
    CAPS = 0xa205 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 19 | 1 << 23 | 1 << 24
};

enum place { AWAY, GREETING, WELCOME, ANSWER, STAYING, GONE };

struct client {
    int fd;
    enum place place;
    uint64_t came_us;
    unsigned n_packets;       /* of the answer so far                                    */
    unsigned n_room;          /* bytes in ...                                            */
    uint8_t room[ROOM_BYTES]; /* ... what has come and is not a whole packet             */
};

struct crowd {
    struct client *clients;
    unsigned n_clients, at_once, n_started, n_busy, n_staying;
    struct sockaddr_in where;
    const char *user, *schema, *sql;
    uint8_t hashed[SHA_DIGEST_LENGTH], hashed_twice[SHA_DIGEST_LENGTH];
    bool comes_again;
    uint64_t end_us;
    uint32_t *taken_us; /* from connect to the answer's end                        */
    size_t n_taken, max_taken;
    uint64_t n_served, n_refused, n_broken;
    int epoll;
};

static void *zeroed(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (p == NULL)
        err(1, "out of memory");
    return p;
}

/* ---- coming and going --------------------------------------------------------------------- */

static bool is_busy(enum place place)
{
    return place == GREETING || place == WELCOME || place == ANSWER;
}

static void move(struct crowd *w, struct client *c, enum place to)
{
    w->n_busy += is_busy(to) - is_busy(c->place);
    w->n_staying += (to == STAYING) - (c->place == STAYING);
    c->place = to;
}

static void come(struct crowd *w, struct client *c)
{
    int on = 1;
    struct sockaddr_in from = { .sin_family = AF_INET };
    struct epoll_event wanted = { .events = EPOLLIN, .data.ptr = c };
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(c - w->clients) % ADDRESSES);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->came_us = now_us();
    c->n_room = c->n_packets = 0;
    if (c->fd < 0 || setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        bind(c->fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(c->fd, (struct sockaddr *)&w->where, sizeof w->where) != 0 &&
         errno != EINPROGRESS))
        err(1, "connect");
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, c->fd, &wanted) != 0)
        err(1, "epoll_ctl");
    move(w, c, GREETING);
}

static void go(struct crowd *w, struct client *c)
{
    close(c->fd);
    move(w, c, w->comes_again ? AWAY : GONE);
}

static void broke(struct crowd *w, struct client *c, const char *how)
{
    static const char *const during[] = { "", "greeting", "login", "query", "stay", "" };
    if (w->n_broken++ < 10)
        warnx("broken: %s during %s", how, during[c->place]);
    go(w, c);
}

static bool say(const struct client *c, const uint8_t *packet, size_t n)
{
    return send(c->fd, packet, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static void quit(struct crowd *w, struct client *c)
{
    static const uint8_t packet[] = { 1, 0, 0, 0, COM_QUIT };
    if (say(c, packet, sizeof packet))
        go(w, c);
    else
        broke(w, c, "can't send");
}

/* ---- what it says ------------------------------------------------------------------------- */

static uint8_t *put(uint8_t *to, const void *from, size_t n)
{
    memcpy(to, from, n);
    return to + n;
}

static uint8_t *put_token(const struct crowd *w, uint8_t *to, const uint8_t *scramble)
{
    uint8_t both[SCRAMBLE_BYTES + SHA_DIGEST_LENGTH], mixed[SHA_DIGEST_LENGTH];
    put(put(both, scramble, SCRAMBLE_BYTES), w->hashed_twice, SHA_DIGEST_LENGTH);
    SHA1(both, sizeof both, mixed);
    *to++ = SHA_DIGEST_LENGTH;
    for (int i = 0; i < SHA_DIGEST_LENGTH; i++)
        *to++ = mixed[i] ^ w->hashed[i];
    return to;
}

static bool log_in(const struct crowd *w, const struct client *c, const uint8_t *scramble)
{
    uint8_t packet[512] = { 0 }, *to = packet + HEADER_BYTES;
    uint32_t most = 1 << 24;
    uint32_t caps = CAPS | (w->schema[0] != '\0' ? CAP_SCHEMA : 0);
    to = put(put(to, &caps, 4), &most, 4);
    *to = UTF8MB4;
    to = put(to + 24, w->user, strlen(w->user) + 1);
    to = put_token(w, to, scramble);
    if (w->schema[0] != '\0')
        to = put(to, w->schema, strlen(w->schema) + 1);
    to = put(to, "mysql_native_password", sizeof "mysql_native_password");
    size_t n = (size_t)(to - packet);
    packet[0] = (uint8_t)(n - HEADER_BYTES), packet[1] = (uint8_t)((n - HEADER_BYTES) >> 8);
    packet[3] = 1;
    return say(c, packet, n);
}

static bool ask(const struct crowd *w, const struct client *c)
{
    char packet[512];
    int n = snprintf(packet + HEADER_BYTES + 1, sizeof packet - HEADER_BYTES - 1, w->sql,
                     (unsigned)lrand48() % 10000 + 1);
    packet[0] = (char)(n + 1), packet[1] = (char)((n + 1) >> 8), packet[2] = packet[3] = 0;
    packet[4] = COM_QUERY;
    return say(c, (const uint8_t *)packet, (size_t)n + HEADER_BYTES + 1);
}

/* ---- what it hears ------------------------------------------------------------------------ */

/* The scramble comes in two parts: behind the version and the thread id, and behind 19 bytes more.
 */
static bool find_scramble(const uint8_t *p, size_t n, uint8_t *scramble)
{
    const uint8_t *end = memchr(p, '\0', n);
    if (p[0] != 10 || end == NULL || (size_t)(p + n - end) < 1 + 4 + 8 + 19 + 12)
        return false;
    memcpy(scramble, end + 5, 8);
    memcpy(scramble + 8, end + 5 + 8 + 19, 12);
    return true;
}

static void served(struct crowd *w, struct client *c)
{
    w->n_served++;
    if (w->n_taken < w->max_taken)
        w->taken_us[w->n_taken++] = (uint32_t)(now_us() - c->came_us);
    if (w->comes_again)
        quit(w, c);
    else
        move(w, c, STAYING);
}

static void failed(struct crowd *w, struct client *c, const uint8_t *p, size_t n)
{
    unsigned code = n >= 3 ? p[1] | (unsigned)p[2] << 8 : 0;
    if (code != TOO_MANY) {
        char how[200];
        snprintf(how, sizeof how, "error %u %.*s", code, n > 3 ? (int)n - 3 : 0,
                 (const char *)p + 3);
        broke(w, c, how);
        return;
    }
    w->n_refused++;
    go(w, c);
}

/* Does a packet that begins so end the answer?  Rows begin with a value that is never empty. */
static bool ends_answer(uint8_t kind, bool is_first)
{
    return kind == PACKET_END || (is_first && kind == PACKET_OK);
}

static void hear(struct crowd *w, struct client *c, const uint8_t *p, size_t n)
{
    uint8_t scramble[SCRAMBLE_BYTES];
    if (n > 0 && p[0] == PACKET_ERR) {
        failed(w, c, p, n);
    } else if (c->place == GREETING && n > 0 && find_scramble(p, n, scramble)) {
        move(w, c, WELCOME);
        if (!log_in(w, c, scramble))
            broke(w, c, "can't send");
    } else if (c->place == WELCOME && n > 0 && p[0] == PACKET_OK) {
        move(w, c, ANSWER);
        if (!ask(w, c))
            broke(w, c, "can't send");
    } else if (c->place == ANSWER && n > 0) {
        if (ends_answer(p[0], c->n_packets++ == 0))
            served(w, c);
    } else {
        broke(w, c, "an unknown packet");
    }
}

static void hear_packets(struct crowd *w, struct client *c)
{
    unsigned at = 0;
    while (c->place != AWAY && c->place != GONE && c->n_room - at >= HEADER_BYTES) {
        const uint8_t *p = c->room + at;
        size_t n = p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16;
        if (c->n_room - at < HEADER_BYTES + n)
            break;
        at += HEADER_BYTES + (unsigned)n;
        hear(w, c, p + HEADER_BYTES, n);
    }
    memmove(c->room, c->room + at, c->n_room - at);
    c->n_room -= at;
}

static void on_readable(struct crowd *w, struct client *c)
{
    ssize_t n = recv(c->fd, c->room + c->n_room, sizeof c->room - c->n_room, 0);
    if (n <= 0) {
        broke(w, c, n == 0 ? "closed, or a packet too long" : strerror(errno));
    } else {
        c->n_room += (unsigned)n;
        hear_packets(w, c);
    }
}

/* ---- the whole ---------------------------------------------------------------------------- */

static void start_some(struct crowd *w)
{
    while (w->n_started < w->n_clients && w->n_busy < w->at_once)
        come(w, &w->clients[w->n_started++]);
}

static bool is_over(const struct crowd *w)
{
    bool no_more = w->comes_again ? now_us() >= w->end_us : w->n_started == w->n_clients;
    return no_more && w->n_busy == 0;
}

static void give_up(struct crowd *w)
{
    w->comes_again = false;
    w->n_clients = w->n_started;
    for (unsigned i = 0; i < w->n_clients; i++)
        if (is_busy(w->clients[i].place))
            broke(w, &w->clients[i], "no answer");
}

static void turn(struct crowd *w)
{
    struct epoll_event events[MOST_IN_A_TURN];
    int n = epoll_wait(w->epoll, events, MOST_IN_A_TURN, PATIENCE_MS);
    if (n < 0)
        err(1, "epoll_wait");
    if (n == 0)
        give_up(w);
    for (int i = 0; i < n; i++) {
        struct client *c = events[i].data.ptr;
        on_readable(w, c);
        if (c->place == AWAY && now_us() < w->end_us)
            come(w, c);
    }
}

static void serve_all(struct crowd *w)
{
    start_some(w);
    while (!is_over(w)) {
        turn(w);
        if (!w->comes_again || now_us() < w->end_us)
            start_some(w);
    }
}

static void report(struct crowd *w, uint64_t began_us)
{
    double cpu = cpu_seconds();
    sort_times(w->taken_us, w->n_taken);
    printf(
        "{\"served\": %lu, \"refused\": %lu, \"broken\": %lu, \"seconds\": %.3f, \"p50_us\": %u, "
        "\"p99_us\": %u, \"max_us\": %u, \"cpu_seconds\": %.3f}\n",
        (unsigned long)w->n_served, (unsigned long)w->n_refused, (unsigned long)w->n_broken,
        (double)(now_us() - began_us) / 1e6, quantile(w->taken_us, w->n_taken, 0.5),
        quantile(w->taken_us, w->n_taken, 0.99), quantile(w->taken_us, w->n_taken, 1), cpu);
    fflush(stdout);
}

/* Those who stay must be left in peace until somebody tells us to go. */
static void stay(struct crowd *w)
{
    struct epoll_event in = { .events = EPOLLIN }, event;
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &in) != 0)
        err(1, "stdin must be a pipe");
    while (epoll_wait(w->epoll, &event, 1, -1) == 1 && event.data.ptr != NULL)
        broke(w, event.data.ptr, "a word or a close that nobody asked for");
    epoll_ctl(w->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    printf("{\"stayed\": %u}\n", w->n_staying);
    for (unsigned i = 0; i < w->n_clients; i++)
        if (w->clients[i].place == STAYING)
            quit(w, &w->clients[i]);
}

static unsigned number(const char *text, unsigned least, unsigned most)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*end != '\0' || n < least || n > most)
        errx(2, "%s: not a number from %u to %u", text, least, most);
    return (unsigned)n;
}

int main(int argc, char **argv)
{
    if (argc != 9)
        errx(2, "usage: crowd PORT USER PASSWORD SCHEMA SQL CLIENTS AT_ONCE SECONDS");
    double seconds = atof(argv[8]);
    struct crowd w = { .where = { .sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)number(argv[1], 1, UINT16_MAX)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
                       .user = argv[2],
                       .schema = argv[4],
                       .sql = argv[5],
                       .n_clients = number(argv[6], 1, MOST_CLIENTS),
                       .at_once = number(argv[7], 1, MOST_CLIENTS),
                       .comes_again = seconds > 0 };
    if (strlen(w.user) + strlen(w.schema) > 200 || strlen(w.sql) > 400)
        errx(2, "USER, SCHEMA or SQL is too long");
    SHA1((const uint8_t *)argv[3], strlen(argv[3]), w.hashed);
    SHA1(w.hashed, sizeof w.hashed, w.hashed_twice);
    w.epoll = epoll_create1(EPOLL_CLOEXEC);
    w.clients = zeroed(w.n_clients, sizeof *w.clients);
    w.max_taken = w.comes_again ? 1000000 : w.n_clients;
    w.taken_us = zeroed(w.max_taken, sizeof *w.taken_us);
    uint64_t began_us = now_us();
    w.end_us = began_us + (uint64_t)(seconds * 1e6);
    serve_all(&w);
    report(&w, began_us);
    if (!w.comes_again)
        stay(&w);
    return 0;
}
