/* tracking.c - what a server is told to report of a session's changes; see pool.h. */
#include "pool/inside.h"

#include "base/mem.h"
#include "base/str.h"

static void free_tracking(struct interned *in)
{
    struct tracking *x = container_of(in, struct tracking, in);
    mem_free((void *)in->key.data);
    mem_free(x);
}

static struct intern_table trackings = INTERN_TABLE(free_tracking);

enum { FLAGS = 4 };

/* The key: what is on, a byte each, then the list of variables. */
static struct interned *make_tracking(void *arg, struct bytes key)
{
    struct tracking *x = mem_zalloc(sizeof *x);
    (void)arg;
    x->in.key = bytes_of(mem_strndup(key.data, key.len), key.len);
    const uint8_t *flags = x->in.key.data;
    x->schema = flags[0] != 0;
    x->state_change = flags[1] != 0;
    x->gtids = (enum track_gtids)flags[2];
    x->transactions = (enum track_transactions)flags[3];
    x->variables = bytes_skip(x->in.key, FLAGS);
    return &x->in;
}

static struct tracking *intern_tracking(const struct tracking *like)
{
    struct buf key = { 0 };
    buf_add_u8(&key, like->schema);
    buf_add_u8(&key, like->state_change);
    buf_add_u8(&key, (uint8_t)like->gtids);
    buf_add_u8(&key, (uint8_t)like->transactions);
    buf_add(&key, like->variables);
    struct interned *in = intern_get(&trackings, buf_bytes(&key), make_tracking, NULL);
    buf_release(&key);
    return container_of(in, struct tracking, in);
}

struct tracking *tracking_take(struct tracking *x)
{
    if (x != NULL)
        intern_take(&x->in);
    return x;
}

void tracking_drop(struct tracking *x)
{
    if (x != NULL)
        intern_drop(&x->in);
}

/* ---- values ----------------------------------------------------------------------------------- */

static const char *const gtids_words[] = { "OFF", "OWN_GTID", "ALL_GTIDS" };
static const char *const transactions_words[] = { "OFF", "STATE", "CHARACTERISTICS" };

static unsigned word_index(struct bytes value, const char *const *words, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (bytes_equal_nocase(value, bytes_str(words[i])))
            return i;
    return 0;
}

/* SELECT says 1, SHOW and the trackers say ON. */
static bool is_on(struct bytes value)
{
    return bytes_equal_nocase(value, BYTES_LITERAL("ON")) || bytes_equal(value, BYTES_LITERAL("1"));
}

struct tracking *tracking_changed(const struct tracking *from, struct bytes name,
                                  struct bytes value)
{
    /* (without its count, which others change meanwhile) */
    struct tracking x = { .variables = from->variables,
                          .schema = from->schema,
                          .state_change = from->state_change,
                          .gtids = from->gtids,
                          .transactions = from->transactions };
    if (bytes_equal(name, BYTES_LITERAL("session_track_system_variables")))
        x.variables = value;
    else if (bytes_equal(name, BYTES_LITERAL("session_track_schema")))
        x.schema = is_on(value);
    else if (bytes_equal(name, BYTES_LITERAL("session_track_state_change")))
        x.state_change = is_on(value);
    else if (bytes_equal(name, BYTES_LITERAL("session_track_gtids")))
        x.gtids = (enum track_gtids)word_index(value, gtids_words, ARRAY_LEN(gtids_words));
    else if (bytes_equal(name, BYTES_LITERAL("session_track_transaction_info")))
        x.transactions = (enum track_transactions)word_index(value, transactions_words,
                                                             ARRAY_LEN(transactions_words));
    return intern_tracking(&x);
}

struct tracking *tracking_by_default(bool is_mariadb)
{
    static const struct bytes lists[] = {
        BYTES_LITERAL("time_zone,autocommit,character_set_client,character_set_results,"
                      "character_set_connection"),
        BYTES_LITERAL("autocommit,character_set_client,character_set_connection,"
                      "character_set_results,time_zone"),
    };
    return intern_tracking(&(struct tracking){ .schema = true, .variables = lists[is_mariadb] });
}

const char tracking_names[TRACKING_VARIABLES][32] = {
    "session_track_system_variables", "session_track_schema", "session_track_state_change",
    "session_track_transaction_info", "session_track_gtids",
};

struct tracking *tracking_of(const struct bytes values[TRACKING_VARIABLES])
{
    struct tracking *x = intern_tracking(&(struct tracking){ .schema = false });
    for (unsigned i = 0; i < TRACKING_VARIABLES; i++) {
        struct tracking *next = tracking_changed(x, bytes_str(tracking_names[i]), values[i]);
        tracking_drop(x);
        x = next;
    }
    return x;
}

void tracking_write_set(const struct tracking *x, struct buf *sql)
{
    const char *const words[] = { "", x->schema ? "ON" : "OFF", x->state_change ? "ON" : "OFF",
                                  transactions_words[x->transactions] };
    buf_add(sql, BYTES_LITERAL("@@session.session_track_system_variables="));
    state_write_value(sql, x->variables);
    for (unsigned i = 1; i < ARRAY_LEN(words); i++) {
        buf_add(sql, BYTES_LITERAL(",@@session."));
        buf_add(sql, bytes_str(tracking_names[i]));
        buf_add_u8(sql, '=');
        buf_add(sql, bytes_str(words[i]));
    }
}

const char *track_gtids_name(enum track_gtids gtids)
{
    return gtids_words[gtids];
}

/* Take the next name off the front of the list. */
static bool next_name(struct bytes *list, struct bytes *name)
{
    while (list->len > 0) {
        const uint8_t *comma = memchr(list->data, ',', list->len);
        size_t len = comma != NULL ? (size_t)(comma - list->data) : list->len;
        *name = str_trim(bytes_of(list->data, len));
        *list = bytes_skip(*list, MIN(len + 1, list->len));
        if (name->len > 0)
            return true;
    }
    return false;
}

bool tracking_has_name(const struct tracking *x, struct bytes wanted)
{
    struct bytes list = x->variables, name;
    while (next_name(&list, &name))
        if (bytes_equal_nocase(name, wanted))
            return true;
    return bytes_equal(str_trim(x->variables), BYTES_LITERAL("*"));
}
