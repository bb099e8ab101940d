/* TLS: from the files that sections name to a context for each listener and each server. */
#include "config/inside.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <time.h>

/* What a context is made from, as written.  Views. */
struct recipe {
    bool is_server;
    enum tls_want want;
    const struct tls_files *identity, *believed; /* of the first: certificate and key; of the
                                                    second: ca and crl                        */
    const struct draft_section *identity_section, *believed_section;
    const struct settings *settings;
    char peer[ADDRESS_HOST_BYTES];
};

/* What was read for it. */
struct ingredients {
    struct config_text certificate, key, ca, crl;
};

/* ---- complaints ---------------------------------------------------------------------- */

/* Several listeners or servers may have the same files. */
static bool is_told(const struct draft *d, unsigned place, const char *text)
{
    for (unsigned i = 0; i < d->out->count; i++)
        if (d->out->items[i].order == place && strcmp(d->out->items[i].text, text) == 0)
            return true;
    return false;
}

static void tell(struct draft *d, bool is_error, unsigned place, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

static void tell(struct draft *d, bool is_error, unsigned place, const char *fmt, ...)
{
    char text[sizeof(d->out->items[0].text)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (is_told(d, place, text))
        return;
    if (is_error)
        complain(d, place, "%s", text);
    else
        warn(d, place, "%s", text);
}

/* ---- files --------------------------------------------------------------------------- */

static bool read_pem(struct draft *d, const struct draft_section *s, const char *option,
                     const char *name, struct config_text *out)
{
    unsigned place = draft_place(s, option);
    if (name[0] == '\0')
        return true;
    if (!d->has_io) {
        tell(d, true, place, "%s: files are not read here", option);
        return false;
    }
    char *path = beside_file(d->files[SOURCE_FILE], name);
    out->text = file_read(path, &out->len);
    if (out->text == NULL)
        tell(d, true, place, "%s: can't read \"%.150s\": %s", option, path, strerror(errno));
    else if (out->len == 0)
        tell(d, true, place, "%s: \"%.150s\" is empty", option, path);
    mem_free(path);
    return out->text != NULL && out->len > 0;
}

static bool read_all(struct draft *d, const struct recipe *r, struct ingredients *in)
{
    const struct tls_files *own = r->identity, *others = r->believed;
    bool ok = true;
    ok &= read_pem(d, r->identity_section, "tls_certificate", own->certificate, &in->certificate);
    ok &= read_pem(d, r->identity_section, "tls_key", own->key, &in->key);
    ok &= read_pem(d, r->believed_section, "tls_ca", others->ca, &in->ca);
    ok &= read_pem(d, r->believed_section, "tls_crl", others->crl, &in->crl);
    if (own->key[0] != '\0' && own->certificate[0] == '\0') {
        tell(d, true, draft_place(r->identity_section, "tls_key"),
             "tls_key: there is no tls_certificate that it could belong to");
        ok = false;
    }
    return ok;
}

static void wipe(struct config_text *t)
{
    if (t->text != NULL)
        mem_free_secret(t->text, t->len);
}

static void wipe_all(struct ingredients *in)
{
    wipe(&in->certificate);
    wipe(&in->key);
    wipe(&in->ca);
    wipe(&in->crl);
}

static struct bytes bytes_in(const struct config_text *t)
{
    return bytes_of(t->text, t->text != NULL ? t->len : 0);
}

/* ---- one context --------------------------------------------------------------------- */

static void tell_wrong(struct draft *d, const struct recipe *r, enum tls_part part,
                       const struct fault *why)
{
    const struct draft_section *process = draft_section_of(d, KIND_VOLVOX, 0);
    const struct draft_section *own = r->identity_section, *others = r->believed_section;
    bool has_key = r->identity->key[0] != '\0';
    const struct {
        const struct draft_section *section;
        const char *option, *value;
    } parts[] = {
        [TLS_PART_CERTIFICATE] = { own, "tls_certificate", r->identity->certificate },
        [TLS_PART_KEY] = { own, has_key ? "tls_key" : "tls_certificate",
                           has_key ? r->identity->key : r->identity->certificate },
        [TLS_PART_CA] = { others, "tls_ca", r->believed->ca },
        [TLS_PART_CRL] = { others, "tls_crl", r->believed->crl },
        [TLS_PART_CIPHERS] = { process, "tls_ciphers", r->settings->tls_ciphers },
        [TLS_PART_CIPHERSUITES] = { process, "tls_ciphersuites", r->settings->tls_ciphersuites },
    };
    tell(d, true, draft_place(parts[part].section, parts[part].option), "%s: \"%.150s\": %.150s",
         parts[part].option, parts[part].value, why->text);
}

static void tell_validity(struct draft *d, const struct recipe *r, const struct tls_context *c)
{
    int64_t from, until, now = (int64_t)time(NULL);
    char day[32];
    if (r->identity->certificate[0] == '\0' || !tls_context_validity(c, &from, &until) ||
        (now >= from && now <= until))
        return;
    time_t at = now < from ? (time_t)from : (time_t)until;
    struct tm tm;
    strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&at, &tm));
    tell(d, false, draft_place(r->identity_section, "tls_certificate"),
         now < from ? "tls_certificate: \"%.150s\" is not valid before %s"
                    : "tls_certificate: \"%.150s\" has expired on %s",
         r->identity->certificate, day);
}

static bool same_recipe(const struct recipe *a, const struct recipe *b)
{
    const struct settings *x = a->settings, *y = b->settings;
    return a->want == b->want && strcmp(a->peer, b->peer) == 0 &&
           strcmp(a->identity->certificate, b->identity->certificate) == 0 &&
           strcmp(a->identity->key, b->identity->key) == 0 &&
           strcmp(a->believed->ca, b->believed->ca) == 0 &&
           strcmp(a->believed->crl, b->believed->crl) == 0 &&
           x->tls_min_version == y->tls_min_version &&
           strcmp(x->tls_ciphers, y->tls_ciphers) == 0 &&
           strcmp(x->tls_ciphersuites, y->tls_ciphersuites) == 0;
}

/* NULL after complaints. */
static struct tls_context *make(struct draft *d, const struct recipe *r)
{
    struct ingredients in = { .key = { NULL, 0 } };
    struct tls_context *c = NULL;
    struct fault why = FAULT_NONE;
    enum tls_part wrong;
    if (read_all(d, r, &in)) {
        const struct tls_terms terms = {
            .is_server = r->is_server,
            .want = r->want,
            .certificate = bytes_in(&in.certificate),
            .key = bytes_in(in.key.text != NULL ? &in.key : &in.certificate),
            .ca = bytes_in(&in.ca),
            .crl = bytes_in(&in.crl),
            .min_version = r->settings->tls_min_version,
            .ciphers = r->settings->tls_ciphers,
            .ciphersuites = r->settings->tls_ciphersuites,
            .peer = r->peer,
        };
        c = tls_context_get(&terms, &wrong, &why);
        if (c == NULL)
            tell_wrong(d, r, wrong, &why);
        else
            tell_validity(d, r, c);
    }
    wipe_all(&in);
    return c;
}

/* `was` (NULL = none) gave `known`: then no file is read again. */
static struct tls_context *make_or_keep(struct draft *d, const struct recipe *r,
                                        const struct recipe *was, struct tls_context *known)
{
    if (known != NULL && was != NULL && same_recipe(r, was))
        return tls_context_take(known);
    /* (without files to read, as in tests and fuzzers, there is no TLS) */
    bool is_wanted = d->has_io || r->identity->certificate[0] != '\0' ||
                     r->believed->ca[0] != '\0' || r->identity->key[0] != '\0' ||
                     r->believed->crl[0] != '\0';
    return is_wanted ? make(d, r) : NULL;
}

/* ---- towards clients ----------------------------------------------------------------- */

/* `l` NULL: the process's own. */
static struct recipe for_clients(const struct config *c, const struct listener_config *l,
                                 const struct draft *d, unsigned index)
{
    const struct settings *all = &c->settings;
    const struct draft_section *s = d != NULL ? draft_section_of(d, KIND_VOLVOX, 0) : NULL;
    const struct draft_section *own = d != NULL ? draft_section_of(d, KIND_LISTENER, index) : NULL;
    struct recipe r = { .is_server = true,
                        .want = TLS_PREFERRED,
                        .settings = all,
                        .identity = &all->tls_files,
                        .believed = &all->tls_files,
                        .identity_section = s,
                        .believed_section = s };
    if (l != NULL && (l->tls_files.certificate[0] != '\0' || l->tls_files.key[0] != '\0')) {
        r.identity = &l->tls_files;
        r.identity_section = own;
    }
    if (l != NULL && (l->tls_files.ca[0] != '\0' || l->tls_files.crl[0] != '\0')) {
        r.believed = &l->tls_files;
        r.believed_section = own;
    }
    return r;
}

static void build_own(struct config *c, struct draft *d)
{
    struct recipe r = for_clients(c, NULL, d, 0), was;
    if (d->known != NULL)
        was = for_clients(d->known, NULL, NULL, 0);
    c->settings.tls_context =
        make_or_keep(d, &r, d->known != NULL ? &was : NULL,
                     d->known != NULL ? d->known->settings.tls_context : NULL);
}

static void build_listener(struct config *c, struct draft *d, unsigned i)
{
    struct listener_config *l = &c->listeners[i];
    const struct listener_config *known =
        d->known != NULL ? config_listener(d->known, bytes_str(l->name)) : NULL;
    if (l->tls == TLS_DISABLED)
        return;
    struct recipe r = for_clients(c, l, d, i), was;
    if (known != NULL)
        was = for_clients(d->known, known, NULL, 0);
    if (r.identity == &c->settings.tls_files && r.believed == &c->settings.tls_files)
        l->tls_context = tls_context_take(c->settings.tls_context);
    else
        l->tls_context = make_or_keep(d, &r, known != NULL ? &was : NULL,
                                      known != NULL ? known->tls_context : NULL);
}

/* ---- towards servers ----------------------------------------------------------------- */

static enum tls_want want_of(const struct config *c, const struct server_config *s)
{
    return s->tls == TLS_AS_GROUP ? c->groups[s->group].tls : (enum tls_want)(s->tls - 1);
}

static struct recipe for_server(const struct config *c, const struct server_config *s,
                                const struct draft *d, unsigned index)
{
    const struct group_config *g = &c->groups[s->group];
    const struct draft_section *ours = d != NULL ? draft_section_of(d, KIND_GROUP, s->group) : NULL;
    const struct draft_section *own = d != NULL ? draft_section_of(d, KIND_SERVER, index) : NULL;
    struct recipe r = { .want = want_of(c, s),
                        .settings = &c->settings,
                        .identity = &g->tls_files,
                        .believed = &g->tls_files,
                        .identity_section = ours,
                        .believed_section = ours };
    if (s->tls_files.certificate[0] != '\0' || s->tls_files.key[0] != '\0') {
        r.identity = &s->tls_files;
        r.identity_section = own;
    }
    if (s->tls_files.ca[0] != '\0' || s->tls_files.crl[0] != '\0') {
        r.believed = &s->tls_files;
        r.believed_section = own;
    }
    if (s->tls_server_name[0] != '\0')
        str_copy(r.peer, sizeof(r.peer), bytes_str(s->tls_server_name));
    else
        address_host(bytes_str(s->address), r.peer);
    return r;
}

static void warn_of_unused_ca(struct draft *d, const struct recipe *r)
{
    static const char *const words[] = { "disabled", "preferred", "required" };
    if (r->want < TLS_VERIFY_CA && r->believed->ca[0] != '\0')
        tell(d, false, draft_place(r->believed_section, "tls_ca"),
             "tls_ca: nothing is verified with tls = %s; verify-ca and verify-identity do",
             words[r->want]);
}

/* The client library, which serves the probes, reads these files itself. */
static void note_paths(const struct draft *d, const struct recipe *r, struct server_config *s)
{
    const char *certificate = r->identity->certificate, *key = r->identity->key;
    if (certificate[0] == '\0')
        return;
    s->tls_certificate_path = beside_file(d->files[SOURCE_FILE], certificate);
    s->tls_key_path = beside_file(d->files[SOURCE_FILE], key[0] != '\0' ? key : certificate);
}

static void build_server(struct config *c, struct draft *d, unsigned i)
{
    struct server_config *s = &c->servers[i];
    const struct server_config *known =
        d->known != NULL ? config_server(d->known, bytes_str(s->name)) : NULL;
    struct recipe r = for_server(c, s, d, i), was;
    warn_of_unused_ca(d, &r);
    if (r.want == TLS_DISABLED || s->resolved.any.sa_family == AF_UNIX)
        return;
    if (known != NULL)
        was = for_server(d->known, known, NULL, 0);
    s->tls_context =
        make_or_keep(d, &r, known != NULL ? &was : NULL, known != NULL ? known->tls_context : NULL);
    note_paths(d, &r, s);
}

/* ---- all of them --------------------------------------------------------------------- */

void tls_build(struct config *c, struct draft *d)
{
    build_own(c, d);
    for (unsigned i = 0; i < c->n_listeners; i++)
        build_listener(c, d, i);
    for (unsigned i = 0; i < c->n_servers; i++)
        build_server(c, d, i);
}

void tls_release(struct config *c)
{
    tls_context_drop(c->settings.tls_context);
    for (unsigned i = 0; i < c->n_listeners; i++)
        tls_context_drop(c->listeners[i].tls_context);
    for (unsigned i = 0; i < c->n_servers; i++) {
        struct server_config *s = &c->servers[i];
        tls_context_drop(s->tls_context);
        mem_free(s->tls_certificate_path);
        mem_free(s->tls_key_path);
    }
}

/* ---- what a reload changes ----------------------------------------------------------- */

static bool other_files(const struct recipe *was, const struct recipe *is,
                        const struct tls_context *now, const struct tls_context *next)
{
    return now != NULL && next != NULL && now != next && same_recipe(was, is);
}

bool tls_own_files_changed(const struct config *now, const struct config *next)
{
    struct recipe was = for_clients(now, NULL, NULL, 0), is = for_clients(next, NULL, NULL, 0);
    return other_files(&was, &is, now->settings.tls_context, next->settings.tls_context);
}

bool tls_listener_files_changed(const struct config *a, const struct listener_config *now,
                                const struct config *b, const struct listener_config *next)
{
    struct recipe was = for_clients(a, now, NULL, 0), is = for_clients(b, next, NULL, 0);
    return next->tls_context != b->settings.tls_context &&
           other_files(&was, &is, now->tls_context, next->tls_context);
}

bool tls_server_files_changed(const struct config *a, const struct server_config *now,
                              const struct config *b, const struct server_config *next)
{
    struct recipe was = for_server(a, now, NULL, 0), is = for_server(b, next, NULL, 0);
    return other_files(&was, &is, now->tls_context, next->tls_context);
}
