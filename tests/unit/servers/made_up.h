/* Topologies without servers: states that a test makes up. */
#ifndef TESTS_SERVERS_MADE_UP_H
#define TESTS_SERVERS_MADE_UP_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "servers/inside.h"

#include "base/mem.h"
#include "base/str.h"

enum { MADE_UP_SERVERS = 8 };

/* Servers db1, db2, ... of one group. */
struct made_up {
    struct config *config;
    struct server_state states[MADE_UP_SERVERS];
    unsigned n;
    struct topology *topology;
};

/* `group` are lines for [group main]; all servers are up, db1 is writable, the others read-only
 * replicas without lag. */
static inline void make_up(struct made_up *m, unsigned n, const char *group)
{
    struct complaints out;
    char text[1000];
    *m = (struct made_up){ .n = n };
    int used = snprintf(text, sizeof(text), "[volvox]\nmonitor_user=m\n[group main]\n%s\n", group);
    for (unsigned i = 1; i <= n; i++)
        used += snprintf(text + used, sizeof(text) - (size_t)used,
                         "[server db%u]\naddress=127.0.0.%u\n", i, i);
    m->config = config_parse(bytes_str(text), "made up", &out);
    complaints_release(&out);
    assert_non_null(m->config);
    for (unsigned i = 0; i < n; i++) {
        struct server_state *s = &m->states[i];
        s->server = server_new(&m->config->servers[i]);
        s->health = HEALTH_UP;
        s->writable = i == 0;
        s->replicates = s->lag_known = i > 0;
        s->weight = 100;
        s->max_allowed_packet = 1 << 24;
        str_copy(s->version, sizeof(s->version), bytes_str("8.4.0"));
        s->caps = CAPS_KNOWN;
    }
}

/* The states as they are now become the topology. */
static inline const struct group_state *rebuild(struct made_up *m)
{
    struct topology *old = m->topology;
    m->topology = topology_build(m->config, m->states, m->n, old);
    topology_drop(old);
    return &m->topology->groups[0];
}

static inline void unmake(struct made_up *m)
{
    topology_drop(m->topology);
    for (unsigned i = 0; i < m->n; i++)
        server_drop(m->states[i].server);
    config_drop(m->config);
}

/* The same numbers in every run. */
static inline uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

#endif
