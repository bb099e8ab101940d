/* The snapshot: loading it, sharing it, finding things in it. */
#include "config/inside.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <unistd.h>

/* Room for some hundred thousand users. */
enum { FILE_LIMIT_BYTES = 64 * 1024 * 1024 };
enum { COMPLAINTS_LISTED = 100 };

static void add_complaint(struct draft *d, unsigned place, bool is_error, const char *fmt,
                          va_list args)
{
    struct complaints *out = d->out;
    unsigned at = out->count;
    out->errors += is_error;
    if (out->count == COMPLAINTS_LISTED)
        return;
    if (out->count == out->cap) {
        out->cap = MAX(2 * out->cap, 8);
        out->items = mem_realloc(out->items, out->cap * sizeof(*out->items));
    }
    /* In the order of the files; what is about the file as a whole comes last. */
    while (at > 0 && out->items[at - 1].order - 1 > place - 1)
        at--;
    memmove(out->items + at + 1, out->items + at, (out->count++ - at) * sizeof(*out->items));
    struct complaint *c = &out->items[at];
    bool has_line = place_source(place) != SOURCE_RUNTIME;
    *c = (struct complaint){ .line = has_line ? place_line(place) : 0,
                             .order = place,
                             .is_error = is_error };
    str_copy(c->file, sizeof(c->file), bytes_str(d->files[place_source(place)]));
    vsnprintf(c->text, sizeof(c->text), fmt, args);
}

void complain(struct draft *d, unsigned place, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add_complaint(d, place, true, fmt, args);
    va_end(args);
}

void warn(struct draft *d, unsigned place, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add_complaint(d, place, false, fmt, args);
    va_end(args);
}

void complaints_release(struct complaints *c)
{
    mem_free(c->items);
    *c = (struct complaints){ NULL, 0, 0, 0 };
}

/* ---- life ------------------------------------------------------------------------------- */

static void release_entry(const struct shelf *s, unsigned i)
{
    void *entry = shelf_entry(s, i);
    for_each_field(o, s->kind)
        value_release(o, entry);
    mem_free(*shelf_origins(s, i));
    if (kind_has_name(s->kind))
        mem_free(*(char **)entry);
}

static void release_secrets(struct config *c)
{
    for (unsigned i = 0; i < c->n_users; i++) {
        secret_release(&c->users[i].secret);
        account_drop(c->users[i].account);
    }
    for (unsigned i = 0; i < c->n_admin_users; i++)
        secret_release(&c->admin_users[i].secret);
}

static void text_release(struct config_text *t)
{
    if (t->text != NULL)
        mem_free_secret(t->text, t->len);
}

static void config_free(struct config *c)
{
    release_secrets(c);
    tls_release(c);
    for (unsigned k = 0; k < KINDS; k++) {
        struct shelf s = shelf_of(c, (enum kind)k);
        for (unsigned i = 0; i < s.count; i++)
            release_entry(&s, i);
    }
    map_release(&c->accounts);
    for (unsigned i = 0; i < c->n_listeners; i++)
        mem_free(c->listeners[i].proxies);
    mem_free(c->groups);
    mem_free(c->servers);
    mem_free(c->users);
    mem_free(c->listeners);
    mem_free(c->admin_users);
    text_release(&c->main_text);
    text_release(&c->runtime_text);
    mem_free(c->runtime_file);
    mem_free(c->file);
    mem_free(c);
}

struct config *config_take(struct config *c)
{
    ref_take(&c->ref);
    return c;
}

void config_drop(struct config *c)
{
    if (c != NULL && ref_drop(&c->ref))
        config_free(c);
}

/* ---- loading ---------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_by_name(void *first, unsigned count, size_t size)
{
    if (count > 0)
        qsort(first, count, size, by_name);
}

static struct bytes bytes_of_text(const struct config_text *t)
{
    return bytes_of(t->text, t->len);
}

static void copy_text(struct config_text *to, struct bytes from)
{
    to->text = mem_strndup(from.data, from.len);
    to->len = from.len;
}

static struct config *config_new(const char *file)
{
    struct config *c = mem_zalloc(sizeof(*c));
    ref_init(&c->ref);
    c->file = mem_strdup(file);
    return c;
}

char *file_read(const char *file, size_t *len)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    size_t cap = 4096;
    ssize_t n = -1;
    char *text;
    if (fd < 0)
        return NULL;
    text = mem_alloc(cap);
    *len = 0;
    while ((n = read(fd, text + *len, cap - *len)) > 0) {
        *len += (size_t)n;
        if (*len < cap)
            continue;
        if (cap >= FILE_LIMIT_BYTES) {
            errno = EFBIG;
            n = -1;
            break;
        }
        /* Not realloc: the file holds secrets. */
        char *larger = mem_alloc(2 * cap);
        memcpy(larger, text, *len);
        mem_free_secret(text, cap);
        text = larger, cap *= 2;
    }
    close(fd);
    if (n == 0)
        return text;
    mem_free_secret(text, *len);
    return NULL;
}

/* The path of the runtime file, and its text if there is such a file already. */
static void read_runtime_file(struct config *c, struct draft *d)
{
    const struct draft_value *v =
        draft_value(draft_find(d, KIND_VOLVOX, BYTES_NONE), "runtime_file");
    if (v == NULL || v->text[0] == '\0')
        return;
    c->runtime_file = beside_file(c->file, v->text);
    c->runtime_text.text = file_read(c->runtime_file, &c->runtime_text.len);
    if (c->runtime_text.text == NULL && errno != ENOENT)
        complain(d, v->place, "runtime_file: can't read \"%.100s\": %s", c->runtime_file,
                 strerror(errno));
}

static void merge_runtime_text(struct config *c, struct draft *d)
{
    struct draft over = { .source = SOURCE_RUNTIME_FILE, .out = d->out };
    if (c->runtime_file == NULL)
        return;
    d->files[SOURCE_RUNTIME_FILE] = over.files[SOURCE_RUNTIME_FILE] = c->runtime_file;
    over.files[SOURCE_FILE] = c->file;
    if (c->runtime_text.text != NULL)
        draft_read(&over, bytes_of_text(&c->runtime_text));
    draft_merge(d, &over);
    draft_release(&over);
}

/* What only the file's users decide: their accounts by key, and who plays whom. */
static void index_accounts(struct config *c)
{
    for (unsigned i = 0; i < c->n_users; i++) {
        struct account *a = c->users[i].account;
        if (a == NULL)
            continue;
        map_put(&c->accounts, bytes_of(a->key, sizeof(a->key)), a);
        sha256_of(bytes_of(c->decoy_key, sizeof(c->decoy_key)),
                  bytes_of(c->users[i].secret.mark, sizeof(c->users[i].secret.mark)),
                  c->decoy_key);
    }
}

/* Make the rest of `c`, which has its main text, or free it and give NULL. */
static struct config *build(struct config *c, struct draft *d, const struct overrides *overrides)
{
    static atomic_uint loaded;
    d->files[SOURCE_FILE] = c->file;
    d->files[SOURCE_RUNTIME] = "runtime";
    draft_read(d, bytes_of_text(&c->main_text));
    if (d->has_io && d->known == NULL)
        read_runtime_file(c, d);
    merge_runtime_text(c, d);
    draft_override(d, overrides);
    sections_build(c, d);
    tls_build(c, d);
    check_config(c, d);
    sort_by_name(c->users, c->n_users, sizeof(*c->users));
    sort_by_name(c->admin_users, c->n_admin_users, sizeof(*c->admin_users));
    index_accounts(c);
    draft_release(d);
    if (d->out->errors > 0) {
        config_free(c);
        return NULL;
    }
    c->number = atomic_fetch_add(&loaded, 1) + 1;
    return c;
}

struct config *config_parse_with(struct bytes text, const char *file,
                                 const struct overrides *overrides, struct complaints *out)
{
    struct draft d = { .out = out };
    struct config *c = config_new(file);
    *out = (struct complaints){ NULL, 0, 0, 0 };
    copy_text(&c->main_text, text);
    return build(c, &d, overrides);
}

struct config *config_parse(struct bytes text, const char *file, struct complaints *out)
{
    return config_parse_with(text, file, NULL, out);
}

struct config *config_load_with(const char *file, const struct overrides *overrides,
                                struct complaints *out)
{
    struct draft d = { .files = { file }, .has_io = true, .out = out };
    struct config *c = config_new(file);
    *out = (struct complaints){ NULL, 0, 0, 0 };
    c->main_text.text = file_read(file, &c->main_text.len);
    if (c->main_text.text != NULL)
        return build(c, &d, overrides);
    complain(&d, 0, "can't read the file: %s", strerror(errno));
    config_free(c);
    return NULL;
}

struct config *config_load(const char *file, struct complaints *out)
{
    return config_load_with(file, NULL, out);
}

struct config *config_change(const struct config *now, const struct overrides *overrides,
                             struct complaints *out)
{
    struct draft d = { .has_io = true, .known = now, .out = out };
    struct config *c = config_new(now->file);
    *out = (struct complaints){ NULL, 0, 0, 0 };
    copy_text(&c->main_text, bytes_of_text(&now->main_text));
    if (now->runtime_file != NULL)
        c->runtime_file = mem_strdup(now->runtime_file);
    if (now->runtime_text.text != NULL)
        copy_text(&c->runtime_text, bytes_of_text(&now->runtime_text));
    return build(c, &d, overrides);
}

/* ---- finding ---------------------------------------------------------------------------- */

static const struct user_config *find_user(const struct config *c, struct bytes name)
{
    struct shelf s = shelf_of(c, KIND_USER);
    unsigned i = shelf_find(&s, name);
    return i != UINT_MAX ? &c->users[i] : NULL;
}

const struct user_config *config_user(const struct config *c, struct bytes name)
{
    return bytes_equal(name, bytes_str(ANY_USER)) ? NULL : find_user(c, name);
}

const struct user_config *config_any_user(const struct config *c)
{
    return find_user(c, bytes_str(ANY_USER));
}

/* Users without a password are no model: a wrong one is refused in another way. */
const struct user_config *config_decoy(const struct config *c, struct bytes name)
{
    uint8_t digest[32];
    uint32_t start;
    sha256_of(bytes_of(c->decoy_key, sizeof(c->decoy_key)), name, digest);
    memcpy(&start, digest, sizeof(start));
    for (unsigned i = 0; i < c->n_users; i++) {
        const struct user_config *u = &c->users[(start + i) % c->n_users];
        if (u->secret.has_password)
            return u;
    }
    return NULL;
}

bool config_has_account(const struct config *c, const struct account *a)
{
    return map_get(&c->accounts, bytes_of(a->key, sizeof(a->key))) != NULL;
}

const struct server_config *config_server(const struct config *c, struct bytes name)
{
    struct shelf s = shelf_of(c, KIND_SERVER);
    unsigned i = shelf_find(&s, name);
    return i != UINT_MAX ? &c->servers[i] : NULL;
}

const struct listener_config *config_listener(const struct config *c, struct bytes name)
{
    struct shelf s = shelf_of(c, KIND_LISTENER);
    unsigned i = shelf_find(&s, name);
    return i != UINT_MAX ? &c->listeners[i] : NULL;
}

const struct admin_user_config *config_admin_user(const struct config *c, struct bytes name)
{
    struct shelf s = shelf_of(c, KIND_ADMIN_USER);
    unsigned i = shelf_find(&s, name);
    return i != UINT_MAX ? &c->admin_users[i] : NULL;
}
