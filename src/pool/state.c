/* state.c - sets of session state; see pool.h.
 *
 * The key of a set is its contents in one piece: schema, then each name and value, every
 * string with its length in four bytes before it.  The set's views point into the key.
 */
#include "pool/inside.h"

#include <limits.h>

#include "base/mem.h"
#include "base/str.h"

static void free_state(struct interned *in)
{
    struct state *s = container_of(in, struct state, in);
    mem_free(s->vars);
    mem_free((void *)in->key.data);
    mem_free(s);
}

static struct intern_table states = INTERN_TABLE(free_state);

static void key_add(struct buf *key, struct bytes b)
{
    write_u32(key, (uint32_t)b.len);
    buf_add(key, b);
}

static struct bytes key_next(struct cursor *c)
{
    uint32_t n = read_u32(c);
    return read_bytes(c, n);
}

static unsigned wait_timeout_of(const struct state *s)
{
    uint64_t seconds;
    struct bytes value = state_value(s, BYTES_LITERAL("wait_timeout"));
    return str_to_u64(value, &seconds) ? (unsigned)MIN(seconds, (uint64_t)UINT_MAX) : 0;
}

static struct interned *make_state(void *arg, struct bytes key)
{
    const unsigned *n_vars = arg;
    struct state *s = mem_zalloc(sizeof *s);
    s->in.key = bytes_of(mem_strndup(key.data, key.len), key.len);
    s->n_vars = *n_vars;
    s->vars = mem_alloc(s->n_vars * sizeof *s->vars);
    struct cursor c = cursor_of(s->in.key);
    s->schema = key_next(&c);
    for (unsigned i = 0; i < s->n_vars; i++) {
        s->vars[i].name = key_next(&c);
        s->vars[i].value = key_next(&c);
    }
    must(!c.bad && cursor_left(&c) == 0);
    s->wait_s = wait_timeout_of(s);
    return &s->in;
}

static struct state *intern_state(struct bytes schema, const struct state_var *vars, unsigned n)
{
    struct buf key = { 0 };
    key_add(&key, schema);
    for (unsigned i = 0; i < n; i++) {
        key_add(&key, vars[i].name);
        key_add(&key, vars[i].value);
    }
    struct interned *in = intern_get(&states, buf_bytes(&key), make_state, &n);
    buf_release(&key);
    return container_of(in, struct state, in);
}

/* Servers silently take their default for ids they don't know. */
static const struct collation *client_collation(unsigned id)
{
    const struct collation *c = collation_by_id(id);
    return c != NULL && charset_is_for_clients(c->charset) ? c : NULL;
}

struct state *state_at_login(unsigned collation, unsigned fallback)
{
    const struct collation *c = client_collation(collation);
    if (c == NULL)
        c = client_collation(fallback);
    if (c == NULL)
        return intern_state(BYTES_NONE, NULL, 0);
    struct bytes charset = bytes_str(c->charset);
    const struct state_var vars[] = {
        { BYTES_LITERAL("character_set_client"), charset },
        { BYTES_LITERAL("character_set_connection"), charset },
        { BYTES_LITERAL("character_set_results"), charset },
        { BYTES_LITERAL("collation_connection"), bytes_str(c->name) },
        { BYTES_LITERAL(COLLATION_RESULTS), bytes_str(c->name) },
    };
    return intern_state(BYTES_NONE, vars, ARRAY_LEN(vars));
}

struct state *state_take(struct state *s)
{
    intern_take(&s->in);
    return s;
}

void state_drop(struct state *s)
{
    if (s != NULL)
        intern_drop(&s->in);
}

static bool is_name_byte(uint8_t c)
{
    uint8_t lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || ascii_digit(c) || c == '_';
}

/* Words, with dots between them. */
bool state_takes(struct bytes name)
{
    bool in_word = false;
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_byte(name.data[i]) && (name.data[i] != '.' || !in_word))
            return false;
        in_word = name.data[i] != '.';
    }
    return in_word;
}

struct state *state_changed(const struct state *from, const struct bytes *schema,
                            const struct state_var *changes, unsigned n)
{
    struct state_var *vars = mem_alloc((from->n_vars + n) * sizeof *vars);
    unsigned count = from->n_vars;
    if (count > 0)
        memcpy(vars, from->vars, count * sizeof *vars);
    for (unsigned i = 0; i < n; i++) {
        unsigned at = 0;
        while (at < count && bytes_compare(vars[at].name, changes[i].name) < 0)
            at++;
        bool is_there = at < count && bytes_equal(vars[at].name, changes[i].name);
        if (changes[i].value.data == NULL) {
            count -= is_there;
            memmove(vars + at, vars + at + is_there, (count - at) * sizeof *vars);
            continue;
        }
        if (!is_there) {
            memmove(vars + at + 1, vars + at, (count - at) * sizeof *vars);
            count++;
        }
        vars[at] = changes[i];
    }
    struct state *s = intern_state(schema != NULL ? *schema : from->schema, vars, count);
    mem_free(vars);
    return s;
}

static bool is_user_var(const struct state_var *v)
{
    return v->name.len > 0 && v->name.data[0] == '@';
}

static bool is_autocommit(const struct state_var *v)
{
    return bytes_equal(v->name, BYTES_LITERAL("autocommit"));
}

struct state *state_of_texts(const struct state *s)
{
    unsigned n = 0;
    while (n < s->n_vars && is_user_var(&s->vars[n]))   /* '@' sorts before all letters */
        n++;
    return intern_state(s->schema, s->vars + n, s->n_vars - n);
}

struct state *state_to_prepare_in(const struct state *then, const struct state *now)
{
    struct state_var *vars = mem_alloc((then->n_vars + now->n_vars + 1) * sizeof *vars);
    unsigned n = 0;
    for (unsigned i = 0; i < then->n_vars; i++)
        if (!is_user_var(&then->vars[i]) && !is_autocommit(&then->vars[i]))
            vars[n++] = then->vars[i];
    struct state *s = intern_state(then->schema.len > 0 ? then->schema : now->schema, vars, n);
    n = 0;
    for (unsigned i = 0; i < now->n_vars; i++)
        if (is_user_var(&now->vars[i]) || is_autocommit(&now->vars[i]))
            vars[n++] = now->vars[i];
    struct state *with = state_changed(s, NULL, vars, n);
    mem_free(vars);
    state_drop(s);
    return with;
}

struct bytes state_value(const struct state *s, struct bytes name)
{
    for (unsigned i = 0; i < s->n_vars; i++)
        if (bytes_equal(s->vars[i].name, name))
            return s->vars[i].value;
    return BYTES_NONE;
}

/* Walk two sorted sets side by side.  Gives each difference: from or to is NULL where the
 * variable is missing. */
struct difference {
    const struct state *a, *b;
    unsigned i, j;
    const struct state_var *from, *to;
};

static bool next_difference(struct difference *d)
{
    while (d->i < d->a->n_vars || d->j < d->b->n_vars) {
        const struct state_var *x = d->i < d->a->n_vars ? &d->a->vars[d->i] : NULL;
        const struct state_var *y = d->j < d->b->n_vars ? &d->b->vars[d->j] : NULL;
        int order = x == NULL ? 1 : y == NULL ? -1 : bytes_compare(x->name, y->name);
        d->from = order <= 0 ? x : NULL;
        d->to = order >= 0 ? y : NULL;
        d->i += order <= 0;
        d->j += order >= 0;
        if (order != 0 || !bytes_equal(x->value, y->value))
            return true;
    }
    return false;
}

size_t state_distance(const struct state *from, const struct state *to)
{
    if (from == to)
        return 0;
    if (to->schema.len == 0 && from->schema.len > 0)
        return SIZE_MAX;
    size_t n = !bytes_equal(from->schema, to->schema);
    for (struct difference d = { .a = from, .b = to }; next_difference(&d);)
        n++;
    return n;
}

bool state_undoes(const struct state *from, const struct state *to)
{
    for (struct difference d = { .a = from, .b = to }; next_difference(&d);)
        if (d.to == NULL)
            return true;
    return false;
}

static bool is_number(struct bytes v)
{
    size_t digits = 0, dots = 0, i = v.len > 0 && v.data[0] == '-';
    for (; i < v.len; i++) {
        digits += ascii_digit(v.data[i]);
        dots += v.data[i] == '.';
        if (!ascii_digit(v.data[i]) && v.data[i] != '.')
            return false;
    }
    return digits > 0 && digits < 40 && dots <= 1;
}

void state_write_value(struct buf *sql, struct bytes v)
{
    static const char hex[] = "0123456789abcdef";
    if (is_number(v)) {
        buf_add(sql, v);
        return;
    }
    bool plain = true;
    for (size_t i = 0; i < v.len; i++)
        plain &= v.data[i] >= ' ' && v.data[i] < 0x7F && v.data[i] != '\'' && v.data[i] != '\\';
    if (plain) {
        buf_add_u8(sql, '\'');
        buf_add(sql, v);
        buf_add_u8(sql, '\'');
        return;
    }
    buf_add(sql, BYTES_LITERAL("_utf8 0x"));
    for (size_t i = 0; i < v.len; i++) {
        buf_add_u8(sql, (uint8_t)hex[v.data[i] >> 4]);
        buf_add_u8(sql, (uint8_t)hex[v.data[i] & 15]);
    }
}

/* MySQL takes DEFAULT for OFF here, whatever the global value is (seen with 9.7). */
static bool has_a_wrong_default(struct bytes name)
{
    return bytes_equal(name, BYTES_LITERAL("foreign_key_checks")) ||
           bytes_equal(name, BYTES_LITERAL("unique_checks"));
}

const struct flag_default flag_defaults[2] = {
    { CAP_IGNORE_SPACE, "sql_mode", "CONCAT_WS(',',NULLIF(@@global.sql_mode,''),'IGNORE_SPACE')" },
    { CAP_INTERACTIVE, "wait_timeout", "@@global.interactive_timeout" },
};

static void write_default(struct buf *sql, struct bytes name, uint64_t caps)
{
    for (size_t i = 0; i < ARRAY_LEN(flag_defaults); i++)
        if ((caps & flag_defaults[i].cap) != 0 && bytes_equal(name, bytes_str(flag_defaults[i].name))) {
            buf_add(sql, bytes_str(flag_defaults[i].sql));
            return;
        }
    if (!has_a_wrong_default(name)) {
        buf_add(sql, BYTES_LITERAL("DEFAULT"));
        return;
    }
    buf_add(sql, BYTES_LITERAL("@@global."));
    buf_add(sql, name);
}

/* (What nobody has looked at is only ever gone away from: no state that is wanted has it.) */
static void write_user_var(struct buf *sql, struct bytes name, const struct bytes *value)
{
    must(value == NULL || !bytes_equal(*value, STATE_UNKNOWN));
    buf_add(sql, BYTES_LITERAL("@`"));
    buf_add(sql, bytes_skip(name, 1));
    buf_add(sql, BYTES_LITERAL("`="));
    buf_add(sql, value != NULL ? *value : BYTES_LITERAL("NULL"));
}

static void write_assignment(struct buf *sql, struct bytes name, const struct bytes *value, uint64_t caps)
{
    buf_add(sql, buf_len(sql) > 0 ? BYTES_LITERAL(",") : BYTES_LITERAL("SET "));
    if (name.data[0] == '@') {
        write_user_var(sql, name, value);
        return;
    }
    buf_add(sql, BYTES_LITERAL("@@session."));
    buf_add(sql, name);
    buf_add_u8(sql, '=');
    if (value == NULL)
        write_default(sql, name, caps);
    else if (value->len == 0 && bytes_equal(name, BYTES_LITERAL("character_set_results")))
        buf_add(sql, BYTES_LITERAL("NULL"));
    else
        state_write_value(sql, *value);
}

/* Only SET NAMES can say the collation of the results: with it, if that has to be said.  What is left is
 * what leads on from the state that is returned (a reference). */
static struct state *write_names(const struct state *from, const struct state *to, struct buf *sql)
{
    const struct bytes results = BYTES_LITERAL("character_set_results");
    const struct bytes collation = BYTES_LITERAL(COLLATION_RESULTS);
    struct bytes r = state_value(to, results), c = state_value(to, collation);
    const struct state_var named[] = {
        { BYTES_LITERAL("character_set_client"), r },
        { BYTES_LITERAL("character_set_connection"), r },
        { BYTES_LITERAL("collation_connection"), c },
        { results, r },
        { collation, c },
    };
    if (r.len == 0 || c.len == 0 ||
        (bytes_equal(state_value(from, results), r) && bytes_equal(state_value(from, collation), c)))
        return state_changed(from, NULL, NULL, 0);
    buf_add(sql, BYTES_LITERAL("SET NAMES "));
    state_write_value(sql, r);
    buf_add(sql, BYTES_LITERAL(" COLLATE "));
    state_write_value(sql, c);
    return state_changed(from, NULL, named, ARRAY_LEN(named));
}

bool state_write_set(const struct state *from, const struct state *to, uint64_t caps,
                     const uint64_t *insert_id, struct buf *sql)
{
    static const struct bytes collation = BYTES_LITERAL("collation_connection");
    static const struct bytes charset = BYTES_LITERAL("character_set_connection");
    bool charset_moved = false, collation_written = false;
    struct state *named = write_names(from, to, sql);
    for (struct difference d = { .a = named, .b = to }; next_difference(&d);) {
        struct bytes name = d.to != NULL ? d.to->name : d.from->name;
        if (bytes_equal(name, BYTES_LITERAL(COLLATION_RESULTS)))
            continue;
        charset_moved |= bytes_equal(name, charset);
        collation_written |= bytes_equal(name, collation);
        write_assignment(sql, name, d.to != NULL ? &d.to->value : NULL, caps);
    }
    state_drop(named);
    /* Setting the character set also sets its default collation. */
    struct bytes wanted = state_value(to, collation);
    if (charset_moved && !collation_written && wanted.data != NULL)
        write_assignment(sql, collation, &wanted, caps);
    if (insert_id != NULL) {
        char digits[24];
        int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)*insert_id);
        struct bytes value = bytes_of(digits, (size_t)n);
        write_assignment(sql, BYTES_LITERAL("last_insert_id"), &value, caps);
    }
    return buf_len(sql) > 0;
}
