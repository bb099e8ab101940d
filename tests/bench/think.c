/*
 * think.c - clients that think between statements, for benchmarks; one thread.
 *
 *     think PAUSE_MS WARMUP_S SECONDS WRITES_PERCENT TABLES ROWS  <descriptors
 *
 * Takes over connections that somebody has logged in (with DEPRECATE_EOF): their descriptors
 * are read from stdin, separated by white space.  Each sends a statement, a point SELECT or an
 * UPDATE by primary key on sysbench's tables, reads the answer, pauses, and so on.  What ends
 * in the SECONDS after the warm-up is counted; all of it, when the connections are idle again,
 * is printed as a line of JSON, latencies in us.
 *
 *     thinking ──(pause is over)──► asking ──(answer is whole)──► thinking
 *
 * All pauses take the same time, so who began to think first is the first to have thought.
 */
#include "figures.h"

#include <err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { PACKET_OK = 0x00, PACKET_END = 0xfe, PACKET_ERR = 0xff, COM_QUERY = 3 };
/* A packet's length and number, and the first byte of what is in it; none we get is empty. */
enum { HEAD_BYTES = 5 };
/* When all is over: how long the answers still due are waited for. */
enum { LAST_ANSWER_MS = 15000 };

struct client {
    int fd;
    bool is_asking;
    uint64_t asked_us;        /* when the statement was sent                        */
    uint64_t due_us;          /* when the next one will be                          */
    uint8_t head[HEAD_BYTES]; /* of the packet that is coming in                    */
    unsigned n_head;          /* bytes of it that are here                          */
    size_t left;              /* bytes of that packet behind the head, still to come */
    unsigned n_packets;       /* of the answer so far                               */
};

/* A ring with place for all. */
struct thinkers {
    struct client **places;
    unsigned size, first, count;
};

struct load {
    struct client *clients;
    unsigned n_clients, n_asking;
    struct thinkers thinkers;
    unsigned writes_percent, tables, rows;
    uint64_t pause_us;
    uint64_t warm_us, end_us; /* what is answered between these counts              */
    uint32_t *taken_us;       /* of each statement that counts                      */
    size_t n_taken, max_taken;
    uint64_t n_statements, n_errors; /* from the first to the last                  */
};

static void *zeroed(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (p == NULL)
        err(1, "out of memory");
    return p;
}

static void think(struct load *l, struct client *c, uint64_t until_us)
{
    struct thinkers *q = &l->thinkers;
    c->due_us = until_us;
    q->places[(q->first + q->count++) % q->size] = c;
}

static struct client *first_thinker(const struct load *l)
{
    return l->thinkers.count > 0 ? l->thinkers.places[l->thinkers.first] : NULL;
}

static void ask(struct load *l, struct client *c)
{
    char packet[128];
    unsigned table = (unsigned)lrand48() % l->tables + 1, id = (unsigned)lrand48() % l->rows + 1;
    bool writes = (unsigned)lrand48() % 100 < l->writes_percent;
    int n = snprintf(packet + HEAD_BYTES, sizeof packet - HEAD_BYTES,
                     writes ? "UPDATE sbtest%u SET k = k + 1 WHERE id = %u"
                            : "SELECT c FROM sbtest%u WHERE id = %u",
                     table, id);
    packet[0] = (char)(n + 1), packet[1] = packet[2] = packet[3] = 0, packet[4] = COM_QUERY;
    c->asked_us = now_us();
    c->n_packets = c->n_head = 0;
    c->is_asking = true;
    l->n_asking++;
    if (send(c->fd, packet, (size_t)n + HEAD_BYTES, MSG_NOSIGNAL) != n + HEAD_BYTES)
        err(1, "send");
}

static void ask_who_thought(struct load *l)
{
    struct thinkers *q = &l->thinkers;
    uint64_t now = now_us();
    struct client *c;
    if (now >= l->end_us)
        return;
    while ((c = first_thinker(l)) != NULL && c->due_us <= now) {
        q->first = (q->first + 1) % q->size;
        q->count--;
        ask(l, c);
    }
}

static void answered(struct load *l, struct client *c)
{
    uint64_t now = now_us();
    c->is_asking = false;
    l->n_asking--;
    l->n_statements++;
    if (now >= l->warm_us && now < l->end_us && l->n_taken < l->max_taken)
        l->taken_us[l->n_taken++] = (uint32_t)(now - c->asked_us);
    think(l, c, now + l->pause_us);
}

/* Does a packet that begins so end the answer?  Rows begin with a value that is never empty. */
static bool ends_answer(uint8_t kind, bool is_first)
{
    return kind == PACKET_ERR || kind == PACKET_END || (is_first && kind == PACKET_OK);
}

static void packet_over(struct load *l, struct client *c)
{
    uint8_t kind = c->head[HEAD_BYTES - 1];
    c->n_head = 0;
    if (kind == PACKET_ERR)
        l->n_errors++;
    if (ends_answer(kind, c->n_packets++ == 0))
        answered(l, c);
}

static void take_bytes(struct load *l, struct client *c, const uint8_t *data, size_t n)
{
    while (n > 0) {
        if (!c->is_asking)
            errx(1, "bytes that nobody asked for");
        if (c->n_head < HEAD_BYTES) {
            c->head[c->n_head++] = *data++;
            n--;
            if (c->n_head < HEAD_BYTES)
                continue;
            size_t len = c->head[0] | (size_t)c->head[1] << 8 | (size_t)c->head[2] << 16;
            if (len == 0)
                errx(1, "an empty packet");
            c->left = len - 1;
        }
        size_t here = n < c->left ? n : c->left;
        data += here, n -= here, c->left -= here;
        if (c->left == 0)
            packet_over(l, c);
    }
}

static void hear(struct load *l, struct client *c)
{
    uint8_t data[16384];
    ssize_t n = recv(c->fd, data, sizeof data, 0);
    if (n == 0)
        errx(1, "a connection was closed");
    if (n < 0)
        err(1, "recv");
    take_bytes(l, c, data, (size_t)n);
}

/* How long epoll may wait: until somebody has thought, or all is over. */
static int wait_ms(const struct load *l)
{
    const struct client *c = first_thinker(l);
    uint64_t now = now_us(), until = c != NULL && c->due_us < l->end_us ? c->due_us : l->end_us;
    if (now >= l->end_us)
        return LAST_ANSWER_MS;
    return until <= now ? 0 : (int)((until - now) / 1000 + 1);
}

static void run(struct load *l, int epoll)
{
    while (now_us() < l->end_us || l->n_asking > 0) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll, events, sizeof events / sizeof events[0], wait_ms(l));
        if (n < 0)
            err(1, "epoll_wait");
        if (n == 0 && now_us() >= l->end_us + LAST_ANSWER_MS * 1000)
            errx(1, "%u statements have no answer", l->n_asking);
        for (int i = 0; i < n; i++)
            hear(l, events[i].data.ptr);
        ask_who_thought(l);
    }
}

static void take_clients(struct load *l, int epoll)
{
    unsigned room = 1024;
    int *fds = zeroed(room, sizeof *fds);
    for (int fd; scanf("%d", &fd) == 1;) {
        if (l->n_clients == room && (fds = realloc(fds, (room *= 2) * sizeof *fds)) == NULL)
            err(1, "out of memory");
        fds[l->n_clients++] = fd;
    }
    if (l->n_clients == 0)
        errx(1, "no descriptors");
    l->clients = zeroed(l->n_clients, sizeof *l->clients);
    l->thinkers.places = zeroed(l->n_clients, sizeof *l->thinkers.places);
    l->thinkers.size = l->n_clients;
    for (unsigned i = 0; i < l->n_clients; i++) {
        struct epoll_event wanted = { .events = EPOLLIN, .data.ptr = &l->clients[i] };
        l->clients[i].fd = fds[i];
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &wanted) != 0)
            err(1, "descriptor %d", fds[i]);
    }
    free(fds);
}

static void report(struct load *l, double seconds)
{
    double cpu = cpu_seconds();
    sort_times(l->taken_us, l->n_taken);
    printf("{\"per_second\": %.1f, \"p50_us\": %u, \"p99_us\": %u, \"max_us\": %u, "
           "\"statements\": %lu, \"errors\": %lu, \"cpu_seconds\": %.3f}\n",
           (double)l->n_taken / seconds, quantile(l->taken_us, l->n_taken, 0.5),
           quantile(l->taken_us, l->n_taken, 0.99), quantile(l->taken_us, l->n_taken, 1),
           (unsigned long)l->n_statements, (unsigned long)l->n_errors, cpu);
}

int main(int argc, char **argv)
{
    if (argc != 7)
        errx(2, "usage: think PAUSE_MS WARMUP_S SECONDS WRITES_PERCENT TABLES ROWS <descriptors");
    struct load l = { .writes_percent = (unsigned)atoi(argv[4]),
                      .tables = (unsigned)atoi(argv[5]),
                      .rows = (unsigned)atoi(argv[6]),
                      .pause_us = (uint64_t)(atof(argv[1]) * 1e3) };
    double warmup = atof(argv[2]), seconds = atof(argv[3]);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        err(1, "epoll_create1");
    if (l.pause_us == 0 || l.tables == 0 || l.rows == 0 || seconds <= 0)
        errx(2, "PAUSE_MS, SECONDS, TABLES and ROWS must be more than 0");
    take_clients(&l, epoll);
    l.max_taken = l.n_clients * ((size_t)(seconds * 1e6 / (double)l.pause_us) + 2);
    l.taken_us = zeroed(l.max_taken, sizeof *l.taken_us);
    uint64_t start = now_us();
    l.warm_us = start + (uint64_t)(warmup * 1e6);
    l.end_us = l.warm_us + (uint64_t)(seconds * 1e6);
    for (unsigned i = 0; i < l.n_clients; i++)
        think(&l, &l.clients[i], start + l.pause_us * i / l.n_clients);
    run(&l, epoll);
    report(&l, seconds);
    return 0;
}
