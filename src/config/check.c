/* What only shows when the whole configuration is seen together. */
#include "config/inside.h"

#include "base/str.h"

static bool asks_servers(const struct config *c)
{
    return c->settings.monitor_user[0] != '\0';
}

static void check_monitor(const struct config *c, struct draft *d)
{
    const struct draft_section *s = draft_section_of(d, KIND_VOLVOX, 0);
    if (!asks_servers(c) && c->n_servers > 0)
        warn(d, s != NULL ? s->place : 0,
             "no monitor_user: roles come from this file only, lag is not known, and a server is "
             "up if it accepts a connection and greets");
    if (asks_servers(c) && c->settings.monitor_password[0] == '\0')
        warn(d, draft_place(s, "monitor_user"), "monitor_user has no password");
}

/* ---- listeners -------------------------------------------------------------------------- */

static bool same_port(const struct address *a, const struct address *b)
{
    return (a->any.sa_family == AF_INET || a->any.sa_family == AF_INET6) &&
           a->any.sa_family == b->any.sa_family && a->in4.sin_port == b->in4.sin_port &&
           a->in4.sin_port != 0;
}

static bool is_any_host(const struct address *a)
{
    if (a->any.sa_family == AF_INET)
        return a->in4.sin_addr.s_addr == INADDR_ANY;
    return IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

/* Could both be bound? */
static bool collide(const struct address *a, const struct address *b)
{
    if (a->len == 0 || b->len == 0)
        return false;
    if (a->any.sa_family == AF_UNIX || !same_port(a, b))
        return a->any.sa_family == AF_UNIX && address_equal(a, b);
    return address_equal(a, b) || is_any_host(a) || is_any_host(b);
}

/* A place where we listen. */
struct door {
    const struct address *address;
    const struct draft_section *section; /* NULL: where we listen by default */
    const char *header;
};

/* The listeners first, then the operators' doors. */
static struct door door_at(const struct config *c, const struct draft *d, unsigned i)
{
    struct door door = { &c->http.resolved, draft_section_of(d, KIND_HTTP, 0), "http" };
    if (i < c->n_listeners) {
        door.address = &c->listeners[i].resolved;
        door.section = draft_section_of(d, KIND_LISTENER, i);
        door.header = door.section->header;
    } else if (i == c->n_listeners) {
        static const struct address closed;
        door.address = c->n_admin_users > 0 ? &c->admin.resolved : &closed;
        door.section = draft_section_of(d, KIND_ADMIN, 0);
        door.header = "admin";
    }
    return door;
}

static void door_is_taken(struct draft *d, const struct door *door, const struct door *first)
{
    char place[PLACE_BYTES];
    unsigned mine = draft_place(door->section, "address");
    unsigned theirs = draft_place(first->section, "address");
    if (theirs == 0)
        snprintf(place, sizeof(place), "where it is by default");
    else
        place_words(d, theirs, place);
    if (mine != 0)
        complain(d, mine, "the address is taken by [%s]%s%s", first->header,
                 theirs != 0 ? " in " : ", ", place);
    else
        complain(d, 0, "the default address of [%s] is taken by [%s]%s%s", door->header,
                 first->header, theirs != 0 ? " in " : ", ", place);
}

static void check_doors(const struct config *c, struct draft *d)
{
    if (c->n_listeners == 0)
        warn(d, 0, "no [listener]: clients can't connect");
    for (unsigned i = 0; i < c->n_listeners + 2; i++)
        for (unsigned j = 0; j < i; j++) {
            struct door door = door_at(c, d, i), first = door_at(c, d, j);
            if (!collide(door.address, first.address))
                continue;
            door_is_taken(d, &door, &first);
            break;
        }
}

/* ---- groups and servers ----------------------------------------------------------------- */

/* Lines in complaints about a group. */
static unsigned group_line(const struct draft *d, unsigned group)
{
    return draft_place(draft_section_of(d, KIND_GROUP, group), "");
}

struct members {
    unsigned count, primaries, autos;
    const struct draft_section *primary;
};

static void second_primary(struct draft *d, const struct draft_section *s,
                           const struct draft_section *first, const char *group)
{
    char place[PLACE_BYTES];
    complain(d, draft_place(s, "role"),
             "[%s] is a second primary of group \"%s\", beside [%s] in %s", s->header, group,
             first->header, place_words(d, draft_place(first, "role"), place));
}

static struct members count_members(const struct config *c, struct draft *d, unsigned group)
{
    struct members m = { 0, 0, 0, NULL };
    for (unsigned i = 0; i < c->n_servers; i++) {
        if (c->servers[i].group != group)
            continue;
        m.count++;
        m.autos += c->servers[i].role == SERVER_AUTO;
        if (c->servers[i].role != SERVER_PRIMARY)
            continue;
        const struct draft_section *s = draft_section_of(d, KIND_SERVER, i);
        if (m.primaries++ == 0)
            m.primary = s;
        else
            second_primary(d, s, m.primary, c->groups[group].name);
    }
    return m;
}

static void check_group(const struct config *c, struct draft *d, unsigned group)
{
    const char *name = c->groups[group].name;
    struct members m = count_members(c, d, group);
    if (m.count == 0 && c->n_listeners > 0)
        complain(d, group_line(d, group), "group \"%s\" has no [server]", name);
    else if (m.count == 0)
        warn(d, group_line(d, group), "group \"%s\" has no [server]", name);
    else if (m.primaries == 0 && m.autos == 0)
        warn(d, group_line(d, group), "group \"%s\" has replicas only: nothing can be written",
             name);
    else if (!asks_servers(c) && m.autos > (m.primaries == 0))
        complain(d, group_line(d, group),
                 "group \"%s\" has servers with role = auto, and without monitor_user nobody can "
                 "ask them: set role = primary or role = replica",
                 name);
}

static void check_server_addresses(const struct config *c, struct draft *d)
{
    for (unsigned i = 0; i < c->n_servers; i++)
        for (unsigned j = 0; j < i; j++) {
            const struct server_config *a = &c->servers[i], *b = &c->servers[j];
            if (a->resolved.len == 0 || !address_equal(&a->resolved, &b->resolved))
                continue;
            const struct draft_section *first = draft_section_of(d, KIND_SERVER, j);
            unsigned at = draft_place(draft_section_of(d, KIND_SERVER, i), "address");
            char place[PLACE_BYTES];
            place_words(d, draft_place(first, "address"), place);
            /* In two groups it may be meant; within one it would count twice. */
            if (a->group == b->group)
                complain(d, at, "the address is that of [%s] in %s", first->header, place);
            else
                warn(d, at, "the address is also that of [%s] in %s", first->header, place);
            break;
        }
}

/* ---- users ------------------------------------------------------------------------------ */

/* A password may look like anything, so this is only a guess; but hardly one looks like this. */
static void check_password_is_no_hash(struct draft *d, const struct draft_section *s)
{
    const struct draft_value *v = draft_value(s, "password");
    struct secret hash;
    if (v == NULL || !secret_from_hash(&hash, bytes_str(v->text)))
        return;
    if ((hash.forms & KNOWN_ED25519) == 0) /* 43 letters may well be a password */
        warn(d, v->place, "[%s]: the password looks like what a server stores of one; if it is, the "
             "option is password_hash", s->header);
    secret_release(&hash);
}

static void check_user(const struct config *c, struct draft *d, const struct draft_section *s,
                       const struct user_config *u)
{
    check_password_is_no_hash(d, s);
    if (strcmp(u->name, ANY_USER) == 0 && c->groups[u->group].auth != AUTH_SERVERS)
        complain(d, draft_place(s, "group"), "[user *] needs a group with auth = servers");
    if (u->asks_servers)
        return;
    /* A file that can't be read has its own complaint. */
    if (!u->secret.has_password && (draft_value(s, "password_file") == NULL || d->out->errors == 0))
        warn(d, draft_place(s, "password"), "[%s] has no password: anybody can log in as it",
             s->header);
    if (u->secret.forms == KNOWN_ED25519 && !u->has_server_password)
        warn(d, draft_place(s, "password_hash"),
             "[%s]: nobody can log in to the servers with an ed25519 key, so clients are asked for the "
             "password itself (caching_sha2_password); with server_password they are not",
             s->header);
}

static void check_users(const struct config *c, struct draft *d)
{
    if (c->n_users == 0)
        warn(d, 0, "no [user]: nobody can log in");
    /* The sections of users stand in the order of config.users until those are sorted. */
    for (unsigned i = 0, n = 0; i < d->n_sections; i++)
        if (d->sections[i]->kind == KIND_USER)
            check_user(c, d, d->sections[i], &c->users[n++]);
}

static bool asks_for_certificates(const struct config *c)
{
    for (unsigned i = 0; i < c->n_listeners; i++)
        if (c->listeners[i].tls != TLS_DISABLED &&
            (c->listeners[i].tls_files.ca[0] != '\0' || c->settings.tls_files.ca[0] != '\0'))
            return true;
    return false;
}

static bool offers_tls(const struct config *c)
{
    for (unsigned i = 0; i < c->n_listeners; i++)
        if (c->listeners[i].tls != TLS_DISABLED)
            return true;
    return false;
}

/* Could never log in? */
static void check_user_tls(const struct config *c, struct draft *d, const struct user_config *u,
                           const struct draft_section *s)
{
    bool by_name = u->tls_subject[0] != '\0' || u->tls_issuer[0] != '\0';
    const char *option = u->tls != USER_TLS_ANY       ? "tls"
                         : u->tls_subject[0] != '\0' ? "tls_subject"
                                                      : "tls_issuer";
    if ((u->tls == USER_TLS_X509 || by_name) && !asks_for_certificates(c))
        warn(d, draft_place(s, option),
             "[%s] can't log in: no listener has tls_ca to believe its certificate", s->header);
    else if (u->tls != USER_TLS_ANY && !offers_tls(c))
        warn(d, draft_place(s, option),
             "[%s] can't log in but over a unix socket: no listener offers TLS", s->header);
}

/* The sections of users stand in the order of config.users until those are sorted. */
static void check_users_tls(const struct config *c, struct draft *d)
{
    for (unsigned i = 0, n = 0; i < d->n_sections && c->n_listeners > 0; i++)
        if (d->sections[i]->kind == KIND_USER)
            check_user_tls(c, d, &c->users[n++], d->sections[i]);
}

static void check_admin_users(const struct config *c, struct draft *d)
{
    if (c->n_admin_users == 0 && c->admin.address[0] != '\0')
        warn(d, draft_place(draft_section_of(d, KIND_ADMIN, 0), "address"),
             "no [admin_user]: the admin port stays closed");
    for (unsigned i = 0; i < c->n_admin_users; i++) {
        /* Built in the draft's order, and not sorted yet. */
        const struct draft_section *s = draft_section_of(d, KIND_ADMIN_USER, i);
        if (!c->admin_users[i].secret.has_password &&
            (draft_value(s, "password_file") == NULL || d->out->errors == 0))
            complain(d, draft_place(s, "password"), "[%s] needs a password", s->header);
    }
}

void check_config(const struct config *c, struct draft *d)
{
    check_monitor(c, d);
    check_doors(c, d);
    for (unsigned i = 0; i < c->n_groups; i++)
        check_group(c, d, i);
    check_server_addresses(c, d);
    check_users(c, d);
    check_users_tls(c, d);
    check_admin_users(c, d);
}
