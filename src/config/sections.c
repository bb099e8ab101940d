/* From the draft's sections to the structs of the configuration. */
#include "config/inside.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

/* Defaults everywhere, then what the section says. */
static void fill(struct draft *d, enum kind kind, const struct draft_section *s, void *base)
{
    char problem[PROBLEM_BYTES];
    for_each_field(o, kind) {
        const struct draft_value *v = draft_value(s, o->name);
        value_init(o, base);
        if (v == NULL && o->fallback == NULL)
            complain(d, s->place, "[%s] needs \"%s\"", s->header, o->name);
        else if (v != NULL && !value_set(o, base, bytes_str(v->text), problem))
            complain(d, v->place, "%s: %s", o->name, problem);
    }
}

/* ---- passwords -------------------------------------------------------------------------- */

/* The file's first line, or NULL with errno. */
static char *read_first_line(const char *path)
{
    char text[1024];
    size_t len = 0;
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    while (len < sizeof(text) && (n = read(fd, text + len, sizeof(text) - len)) > 0)
        len += (size_t)n;
    close(fd);
    const char *end = memchr(text, '\n', len);
    char *line = NULL;
    if (n < 0) {
        /* errno is read()'s */
    } else if (end == NULL && len == sizeof(text)) {
        errno = EFBIG;
    } else {
        size_t keep = end != NULL ? (size_t)(end - text) : len;
        if (keep > 0 && text[keep - 1] == '\r')
            keep--;
        line = mem_strndup(text, keep);
    }
    explicit_bzero(text, len);
    return line;
}

/* NULL when only a hash is known. */
static char *clear_of(const struct secret *s)
{
    return (s->forms & KNOWN_CLEAR) != 0 ? mem_strndup(s->clear, s->clear_len) : NULL;
}

static bool is_text(const char *path, const struct draft_value *file)
{
    return strcmp(path, file->text) == 0;
}

/* The password that the same file gave the same section before, or NULL. */
static char *known_password(const struct config *known, const struct draft_section *s,
                            const struct draft_value *file)
{
    struct bytes name = bytes_str(s->name);
    const struct settings *settings = &known->settings;
    const struct user_config *u = config_user(known, name);
    const struct admin_user_config *a = config_admin_user(known, name);
    if (s->kind == KIND_VOLVOX && is_text(settings->monitor_password_file, file))
        return mem_strdup(settings->monitor_password);
    if (s->kind == KIND_ADMIN_USER && a != NULL && is_text(a->password_file, file))
        return clear_of(&a->secret);
    if (s->kind != KIND_USER || u == NULL)
        return NULL;
    if (strcmp(file->option->name, "password_file") == 0)
        return is_text(u->password_file, file) ? clear_of(&u->secret) : NULL;
    if (u->account == NULL)
        return NULL;
    return is_text(u->server_password_file, file) ? clear_of(&u->account->secret) : NULL;
}

static char *password_in_file(struct draft *d, const struct draft_section *s,
                              const struct draft_value *file)
{
    char *known = d->known != NULL ? known_password(d->known, s, file) : NULL;
    if (known != NULL)
        return known;
    if (!d->has_io) {
        complain(d, file->place, "%s: files are not read here", file->option->name);
        return NULL;
    }
    char *path = beside_file(d->files[SOURCE_FILE], file->text);
    char *password = read_first_line(path);
    if (password == NULL)
        complain(d, file->place, "%s: can't read \"%.100s\": %s", file->option->name, path,
                 strerror(errno));
    mem_free(path);
    return password;
}

/* The password that the section gives by option `name` or `name`_file; NULL when it gives
 * none.  The caller wipes and frees it. */
static char *password_of(struct draft *d, const struct draft_section *s, const char *name)
{
    char file_name[64];
    snprintf(file_name, sizeof(file_name), "%s_file", name);
    const struct draft_value *clear = draft_value(s, name), *file = draft_value(s, file_name);
    if (clear != NULL && file != NULL)
        complain(d, file->place, "either \"%s\" or \"%s\", not both", name, file_name);
    if (clear != NULL && clear->is_risky)
        complain(d, clear->place,
                 "%s: put quotes around the value; without them it ends before a \" ;\" or a "
                 "backslash at the end of the line",
                 name);
    if (file != NULL)
        return password_in_file(d, s, file);
    return clear != NULL ? mem_strdup(clear->text) : NULL;
}

static void password_free(char *password)
{
    if (password != NULL)
        mem_free_secret(password, strlen(password));
}

/* ---- names ------------------------------------------------------------------------------ */

static int group_find(const struct config *c, const char *name)
{
    for (unsigned i = 0; i < c->n_groups; i++)
        if (strcmp(c->groups[i].name, name) == 0)
            return (int)i;
    return -1;
}

static void unknown_group(struct draft *d, const struct config *c, const struct draft_value *v)
{
    struct suggestion g;
    suggest_begin(&g, bytes_str(v->text));
    for (unsigned i = 0; i < c->n_groups; i++)
        suggest_offer(&g, c->groups[i].name);
    complain(d, v->place, "there is no [group %.60s]%s", v->text, g.hint);
}

/* The group the section names, or -1: it names none, or nonsense. */
static int group_named(struct draft *d, const struct config *c, const struct draft_section *s)
{
    const struct draft_value *v = draft_value(s, "group");
    if (v == NULL || v->text[0] == '\0')
        return -1;
    int index = group_find(c, v->text);
    if (index < 0)
        unknown_group(d, c, v);
    return index;
}

/* The same where there must be one. */
static unsigned group_of(struct draft *d, const struct config *c, const struct draft_section *s)
{
    int index = group_named(d, c, s);
    const struct draft_value *v = draft_value(s, "group");
    bool names_one = v != NULL && v->text[0] != '\0';
    if (index < 0 && !names_one && c->n_groups > 1)
        complain(d, draft_place(s, "group"), "[%s] needs \"group\": there are %u groups", s->header,
                 c->n_groups);
    return index < 0 ? 0 : (unsigned)index;
}

/* What the same section's same address meant before, or NULL. */
static const struct address *known_address(const struct draft *d, const struct draft_section *s,
                                           const char *text)
{
    if (d->known == NULL || s == NULL)
        return NULL;
    struct shelf shelf = shelf_of(d->known, s->kind);
    unsigned i = shelf_find(&shelf, bytes_str(s->name));
    if (i == UINT_MAX)
        return NULL;
    if (s->kind == KIND_SERVER && strcmp(d->known->servers[i].address, text) == 0)
        return &d->known->servers[i].resolved;
    if (s->kind == KIND_LISTENER && strcmp(d->known->listeners[i].address, text) == 0)
        return &d->known->listeners[i].resolved;
    if (s->kind == KIND_ADMIN && strcmp(d->known->admin.address, text) == 0)
        return &d->known->admin.resolved;
    if (s->kind == KIND_HTTP && strcmp(d->known->http.address, text) == 0)
        return &d->known->http.resolved;
    return NULL;
}

static void resolve(struct draft *d, const struct draft_section *s, const char *text,
                    uint16_t default_port, struct address *out)
{
    struct fault why = FAULT_NONE;
    const struct address *known = known_address(d, s, text);
    if (known != NULL) {
        *out = *known;
        return;
    }
    if (text[0] == '\0') {
        if (draft_value(s, "address") != NULL)
            complain(d, draft_place(s, "address"), "address: is empty");
        return;
    }
    bool found = d->has_io ? address_resolve(bytes_str(text), default_port, out, &why)
                           : address_parse(bytes_str(text), default_port, out, &why);
    if (!found)
        complain(d, draft_place(s, "address"), "address: %s", why.text);
}

/* ---- sections --------------------------------------------------------------------------- */

static void set_log_areas(struct settings *settings, struct draft *d, const struct draft_section *s)
{
    struct bytes wrong;
    if (!log_areas_parse(bytes_str(settings->log_areas_text), &settings->log_areas, &wrong))
        complain(d, draft_place(s, "log_areas"),
                 "log_areas: \"%.*s\" is not area=level, once for each area; areas are main, base, "
                 "protocol, router, run, stats, net, config, servers, pool, session, admin and "
                 "http; levels error, warn, info and debug",
                 (int)MIN(wrong.len, 60), (const char *)wrong.data);
}

static void build_settings(struct config *c, struct draft *d)
{
    const struct draft_section *s = draft_section_of(d, KIND_VOLVOX, 0);
    fill(d, KIND_VOLVOX, s, &c->settings);
    set_log_areas(&c->settings, d, s);
    char *password = password_of(d, s, "monitor_password");
    if (password == NULL)
        return;
    password_free(c->settings.monitor_password);
    c->settings.monitor_password = password;
}

static void build_admin(struct config *c, struct draft *d)
{
    const struct draft_section *s = draft_section_of(d, KIND_ADMIN, 0);
    fill(d, KIND_ADMIN, s, &c->admin);
    if (c->admin.address[0] != '\0')
        resolve(d, s, c->admin.address, 6032, &c->admin.resolved);
}

static void build_http(struct config *c, struct draft *d)
{
    const struct draft_section *s = draft_section_of(d, KIND_HTTP, 0);
    fill(d, KIND_HTTP, s, &c->http);
    if (c->http.address[0] != '\0')
        resolve(d, s, c->http.address, 6080, &c->http.resolved);
    if (c->http.resolved.any.sa_family == AF_UNIX)
        complain(d, draft_place(s, "address"), "address: HTTP has no use for a unix socket");
}

static void build_group(struct config *c, struct draft *d, const struct draft_section *s,
                        const char *name)
{
    struct group_config *g = &c->groups[c->n_groups];
    g->index = c->n_groups++;
    g->name = mem_strdup(name);
    fill(d, KIND_GROUP, s, g);
}

static void build_server(struct config *c, struct draft *d, const struct draft_section *s)
{
    struct server_config *server = &c->servers[c->n_servers++];
    server->name = mem_strdup(s->name);
    fill(d, KIND_SERVER, s, server);
    server->group = group_of(d, c, s);
    resolve(d, s, server->address, 3306, &server->resolved);
}

static void add_proxy(struct listener_config *l, struct draft *d, const struct draft_section *s,
                      struct bytes word)
{
    struct network n;
    if (!network_parse(word, &n)) {
        complain(d, draft_place(s, "proxy_protocol"),
                 "proxy_protocol: \"%.*s\" is not a network (10.0.0.0/8), an IP address, localhost or *",
                 (int)MIN(word.len, (size_t)60), (const char *)word.data);
        return;
    }
    l->proxies = mem_realloc(l->proxies, (l->n_proxies + 1) * sizeof(*l->proxies));
    l->proxies[l->n_proxies++] = n;
}

/* Words with commas or blanks between them. */
static void read_proxies(struct listener_config *l, struct draft *d, const struct draft_section *s)
{
    static const char between[] = ", \t";
    const char *at = l->proxy_protocol;
    for (at += strspn(at, between); *at != '\0'; at += strspn(at, between)) {
        struct bytes word = bytes_of(at, strcspn(at, between));
        add_proxy(l, d, s, word);
        at += word.len;
    }
}

static void build_listener(struct config *c, struct draft *d, const struct draft_section *s)
{
    struct listener_config *l = &c->listeners[c->n_listeners++];
    l->name = mem_strdup(s->name);
    fill(d, KIND_LISTENER, s, l);
    l->group = group_named(d, c, s);
    read_proxies(l, d, s);
    resolve(d, s, l->address, 6033, &l->resolved);
}

/* What the client must prove, if the section says so. */
static void build_secret(struct draft *d, const struct draft_section *s, const char *hash,
                         struct secret *secret)
{
    const struct draft_value *v = draft_value(s, "password_hash");
    char *password = password_of(d, s, "password");
    if (v != NULL && v->text[0] != '\0' && password != NULL)
        complain(d, v->place, "either \"password\" or \"password_hash\", not both");
    if (hash[0] == '\0')
        secret_from_clear(secret, bytes_str(password));
    else if (!secret_from_hash(secret, bytes_str(hash)))
        complain(d, v->place,
                 "password_hash: is none of *HEX (mysql_native_password), $A$... or 0xHEX "
                 "(caching_sha2_password), $5$... (sha256_password), 43 characters (ed25519)");
    password_free(password);
}

static void build_secrets(struct draft *d, const struct draft_section *s, struct user_config *u)
{
    struct secret other;
    char *on_server = password_of(d, s, "server_password");
    build_secret(d, s, u->password_hash, &u->secret);
    u->has_server_password = on_server != NULL;
    if (on_server != NULL)
        secret_from_clear(&other, bytes_str(on_server));
    u->account = account_new(u->name, u->server_user, on_server != NULL ? &other : &u->secret, false);
    if (on_server != NULL)
        secret_release(&other);
    password_free(on_server);
}

/* Without any password, where the servers' accounts may come in. */
static bool is_left_to_servers(const struct config *c, struct draft *d, const struct draft_section *s,
                               const struct user_config *u)
{
    static const char *const ways[] = { "password", "password_file", "password_hash" };
    bool is_any = strcmp(u->name, ANY_USER) == 0;
    for (unsigned i = 0; i < ARRAY_LEN(ways); i++) {
        const struct draft_value *v = draft_value(s, ways[i]);
        if (v != NULL && is_any)
            complain(d, v->place, "[user *] is for accounts whose password the servers know");
        else if (v != NULL)
            return false;
    }
    return is_any || c->groups[u->group].auth == AUTH_SERVERS;
}

static void build_user(struct config *c, struct draft *d, const struct draft_section *s)
{
    struct user_config *u = &c->users[c->n_users++];
    u->name = mem_strdup(s->name);
    fill(d, KIND_USER, s, u);
    u->group = group_of(d, c, s);
    if (u->server_user[0] == '\0' && strcmp(u->name, ANY_USER) != 0) {
        mem_free(u->server_user);
        u->server_user = mem_strdup(u->name);
    }
    if (is_left_to_servers(c, d, s, u))
        u->asks_servers = true;
    else
        build_secrets(d, s, u);
}

/* The servers' accounts may come in though [user *] is not in the file: the usual options hold. */
static void imply_any_user(struct config *c, struct draft *d)
{
    unsigned group = 0;
    while (group < c->n_groups && c->groups[group].auth != AUTH_SERVERS)
        group++;
    if (group == c->n_groups || draft_find(d, KIND_USER, bytes_str(ANY_USER)) != NULL)
        return;
    struct user_config *u = &c->users[c->n_users++];
    u->name = mem_strdup(ANY_USER);
    fill(d, KIND_USER, NULL, u);
    u->group = group;
    u->asks_servers = true;
}

static void build_admin_user(struct config *c, struct draft *d, const struct draft_section *s)
{
    struct admin_user_config *u = &c->admin_users[c->n_admin_users++];
    u->name = mem_strdup(s->name);
    fill(d, KIND_ADMIN_USER, s, u);
    build_secret(d, s, u->password_hash, &u->secret);
}

/* Number the sections of each kind, so that arrays can be made at once. */
static void count_sections(struct draft *d, unsigned counts[KINDS])
{
    for (unsigned i = 0; i < d->n_sections; i++)
        d->sections[i]->index = counts[d->sections[i]->kind]++;
}

static void build_kind(struct config *c, struct draft *d, enum kind kind)
{
    for (unsigned i = 0; i < d->n_sections; i++) {
        const struct draft_section *s = d->sections[i];
        if (s->kind != kind)
            continue;
        if (kind == KIND_GROUP)
            build_group(c, d, s, s->name);
        else if (kind == KIND_SERVER)
            build_server(c, d, s);
        else if (kind == KIND_LISTENER)
            build_listener(c, d, s);
        else if (kind == KIND_USER)
            build_user(c, d, s);
        else
            build_admin_user(c, d, s);
    }
}

/* In the order of the entries as they were built, which is the draft's. */
static void note_origins(struct config *c, const struct draft *d)
{
    for (unsigned k = 0; k < KINDS; k++) {
        struct shelf s = shelf_of(c, (enum kind)k);
        for (unsigned i = 0; i < s.count; i++)
            *shelf_origins(&s, i) = origins_new(s.kind, NULL);
    }
    for (unsigned i = 0; i < d->n_sections; i++) {
        const struct draft_section *from = d->sections[i];
        struct shelf s = shelf_of(c, from->kind);
        struct origins **to = shelf_origins(&s, from->index);
        mem_free(*to);
        *to = origins_new(from->kind, from);
    }
}

void sections_build(struct config *c, struct draft *d)
{
    unsigned counts[KINDS] = { 0 };
    count_sections(d, counts);
    c->groups = mem_zalloc(MAX(counts[KIND_GROUP], 1) * sizeof(*c->groups));
    c->servers = mem_zalloc(counts[KIND_SERVER] * sizeof(*c->servers));
    c->listeners = mem_zalloc(counts[KIND_LISTENER] * sizeof(*c->listeners));
    c->users = mem_zalloc((counts[KIND_USER] + 1) * sizeof(*c->users));
    c->admin_users = mem_zalloc(counts[KIND_ADMIN_USER] * sizeof(*c->admin_users));
    build_settings(c, d);
    build_admin(c, d);
    build_http(c, d);
    build_kind(c, d, KIND_GROUP);
    if (c->n_groups == 0)
        build_group(c, d, NULL, "main");
    build_kind(c, d, KIND_SERVER);
    build_kind(c, d, KIND_LISTENER);
    build_kind(c, d, KIND_USER);
    imply_any_user(c, d);
    build_kind(c, d, KIND_ADMIN_USER);
    note_origins(c, d);
}
