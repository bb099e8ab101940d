/* prepared.c - statement texts, column definitions, and ids on a backend; see pool.h. */
#include "pool/inside.h"

#include "base/mem.h"

static void free_text(struct interned *in)
{
    struct stmt_text *x = container_of(in, struct stmt_text, in);
    state_drop(x->state);
    mem_free((void *)in->key.data);
    mem_free(x);
}

static struct intern_table texts = INTERN_TABLE(free_text);

/* The state's address is unique as long as a text refers to it. */
static struct interned *make_text(void *arg, struct bytes key)
{
    struct stmt_text *x = mem_zalloc(sizeof *x);
    x->state = state_take(arg);
    x->in.key = bytes_of(mem_strndup(key.data, key.len), key.len);
    x->text = bytes_skip(x->in.key, sizeof(void *) + sizeof(uint64_t));
    return &x->in;
}

struct stmt_text *stmt_text_get(struct bytes text, struct state *state, uint64_t nonce)
{
    struct buf key = { 0 };
    buf_add(&key, bytes_of(&state, sizeof(void *)));
    buf_add(&key, bytes_of(&nonce, sizeof nonce));
    buf_add(&key, text);
    struct interned *in = intern_get(&texts, buf_bytes(&key), make_text, state);
    buf_release(&key);
    return container_of(in, struct stmt_text, in);
}

struct stmt_text *stmt_text_take(struct stmt_text *x)
{
    intern_take(&x->in);
    return x;
}

void stmt_text_drop(struct stmt_text *x)
{
    if (x != NULL)
        intern_drop(&x->in);
}

static void free_definitions(struct interned *in)
{
    mem_free((void *)in->key.data);
    mem_free(container_of(in, struct definitions, in));
}

static struct intern_table definitions = INTERN_TABLE(free_definitions);

static struct interned *make_definitions(void *arg, struct bytes key)
{
    (void)arg;
    struct definitions *d = mem_zalloc(sizeof *d);
    d->in.key = bytes_of(mem_strndup(key.data, key.len), key.len);
    return &d->in;
}

struct definitions *definitions_get(struct bytes packets)
{
    return container_of(intern_get(&definitions, packets, make_definitions, NULL),
                        struct definitions, in);
}

struct definitions *definitions_take(struct definitions *d)
{
    intern_take(&d->in);
    return d;
}

void definitions_drop(struct definitions *d)
{
    if (d != NULL)
        intern_drop(&d->in);
}

/* On a backend the key is the text's address, kept in the value. */
static struct bytes text_key(struct stmt_text *const *text)
{
    return bytes_of(text, sizeof *text);
}

struct backend_stmt *backend_stmt_find(struct backend *be, struct stmt_text *text)
{
    struct backend_stmt *bs = map_get(&be->statements, text_key(&text));
    if (bs != NULL) {
        list_leave(&bs->used);
        list_push_front(&be->statements_used, &bs->used);
    }
    return bs;
}

static void forget(struct backend *be, struct backend_stmt *bs)
{
    map_remove(&be->statements, text_key(&bs->text));
    list_leave(&bs->used);
    stmt_text_drop(bs->text);
    definitions_drop(bs->definitions);
    mem_free(bs);
}

void backend_stmt_close(struct backend *be, struct backend_stmt *bs)
{
    const uint8_t id[4] = { bs->id & 0xFF, bs->id >> 8 & 0xFF, bs->id >> 16 & 0xFF, bs->id >> 24 };
    backend_write(be, COM_STMT_CLOSE, bytes_of(id, sizeof id));
    forget(be, bs);
}

static struct backend_stmt *oldest_closed(struct backend *be)
{
    for (struct list *link = be->statements_used.prev; link != &be->statements_used; link = link->prev) {
        struct backend_stmt *bs = list_entry(link, struct backend_stmt, used);
        if (!bs->is_open)
            return bs;
    }
    return NULL;
}

struct backend_stmt *backend_stmt_add(struct backend *be, struct stmt_text *text, uint32_t id,
                                      unsigned limit)
{
    struct backend_stmt *old = backend_stmt_find(be, text);
    if (old != NULL)
        backend_stmt_close(be, old);
    while (be->statements.count >= limit && (old = oldest_closed(be)) != NULL)
        backend_stmt_close(be, old);
    struct backend_stmt *bs = mem_zalloc(sizeof *bs);
    bs->text = stmt_text_take(text);
    bs->id = id;
    map_put(&be->statements, text_key(&bs->text), bs);
    list_push_front(&be->statements_used, &bs->used);
    return bs;
}

void backend_statements_forget(struct backend *be)
{
    while (!list_empty(&be->statements_used))
        forget(be, list_entry(list_first(&be->statements_used), struct backend_stmt, used));
    map_release(&be->statements);
}
