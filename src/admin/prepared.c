/* prepared.c - PREPARE and EXECUTE: texts kept with the types of their parameters; see inside.h. */
#include "admin/inside.h"

#include "base/mem.h"

struct statement_kept {
    struct list link;             /* visitor->statements */
    uint32_t id;
    unsigned n_params;
    char *text;
    size_t len;
    uint8_t *types;               /* 2 bytes a parameter, as last sent; NULL: never */
    struct long_data {
        struct buf data;
        bool came;
    } *long_data;                 /* a parameter each, NULL: none came */
};

enum { STATEMENTS_LIMIT = 256, PARAMS_LIMIT = 1000, LONG_DATA_LIMIT = 1 << 20 };

static struct statement_kept *find(const struct visitor *v, uint32_t id)
{
    list_for_each(link, &v->statements)
    {
        struct statement_kept *st = list_entry(link, struct statement_kept, link);
        if (st->id == id)
            return st;
    }
    return NULL;
}

static bool unknown(uint32_t id, const char *where, struct fault *why)
{
    return fault_set(why, BLAME_QUERY, ER_UNKNOWN_STMT,
                     "Unknown prepared statement handler (%u) given to %s", id, where);
}

static void forget_long_data(struct statement_kept *st)
{
    for (unsigned i = 0; st->long_data != NULL && i < st->n_params; i++)
        buf_release(&st->long_data[i].data);
    mem_free(st->long_data);
    st->long_data = NULL;
}

static void free_statement(struct visitor *v, struct statement_kept *st)
{
    list_leave(&st->link);
    v->n_statements--;
    forget_long_data(st);
    mem_free(st->text);
    mem_free(st->types);
    mem_free(st);
}

void statements_close(struct visitor *v)
{
    struct list *link;
    while ((link = list_first(&v->statements)) != NULL)
        free_statement(v, list_entry(link, struct statement_kept, link));
}

void statement_close(struct visitor *v, struct bytes payload)
{
    struct cursor c = cursor_of(payload);
    struct statement_kept *st = find(v, read_u32(&c));
    if (st != NULL && !c.bad)
        free_statement(v, st);
}

bool statement_reset(struct visitor *v, struct bytes payload, struct fault *why)
{
    struct cursor c = cursor_of(payload);
    uint32_t id = read_u32(&c);
    struct statement_kept *st = find(v, id);
    if (c.bad || st == NULL)
        return unknown(id, "mysqld_stmt_reset", why);
    forget_long_data(st);
    visitor_ok(v, "");
    return true;
}

/* ---- PREPARE ------------------------------------------------------------------------------- */

static void write_prepared(struct visitor *v, const struct statement_kept *st, const struct answer *columns)
{
    struct buf *out = &v->stream.out;
    size_t mark = packet_begin(out);
    bool eofs = (v->caps & CAP_DEPRECATE_EOF) == 0;
    write_u8(out, 0x00);
    write_u32(out, st->id);
    write_u16(out, (uint16_t)columns->n_columns);
    write_u16(out, (uint16_t)st->n_params);
    write_u8(out, 0);
    write_u16(out, 0);
    packet_end(out, mark, &v->seq);
    for (unsigned i = 0; i < st->n_params; i++)
        column_definition_write(out, &v->seq, "", "?", COLUMN_TEXT);
    if (st->n_params > 0 && eofs)
        eof_write(out, &v->seq, v->status, 0);
    for (unsigned i = 0; i < columns->n_columns; i++)
        column_definition_write(out, &v->seq, "", columns->columns[i].name, columns->columns[i].type);
    if (columns->n_columns > 0 && eofs)
        eof_write(out, &v->seq, v->status, 0);
}

bool statement_prepare(struct task *t, struct visitor *v, struct bytes text, struct fault *why)
{
    struct answer columns;
    unsigned n_params;
    if (v->n_statements >= STATEMENTS_LIMIT)
        return fault_set(why, BLAME_POLICY, 1461, "Can't create more than %d prepared statements",
                         STATEMENTS_LIMIT);
    answer_init(&columns);
    bool ok = admin_describe(t, v, text, &columns, &n_params, why) &&
              (n_params <= PARAMS_LIMIT ||
               fault_set(why, BLAME_QUERY, 1390, "Prepared statement contains too many placeholders"));
    if (ok) {
        struct statement_kept *st = mem_zalloc(sizeof *st);
        st->id = ++v->last_statement;
        st->n_params = n_params;
        st->text = mem_strndup(text.data, text.len);
        st->len = text.len;
        list_push_back(&v->statements, &st->link);
        v->n_statements++;
        write_prepared(v, st, &columns);
    }
    answer_release(&columns);
    return ok;
}

/* ---- parameters ------------------------------------------------------------------------------ */

enum { TYPE_DECIMAL = 0, TYPE_NULL = 6, TYPE_TIMESTAMP = 7, TYPE_INT24 = 9, TYPE_DATE = 10, TYPE_TIME = 11,
       TYPE_DATETIME = 12, TYPE_YEAR = 13, TYPE_UNSIGNED = 0x80 };

static struct cell text_cell(struct arena *arena, struct bytes text)
{
    struct bytes copy = arena_copy(arena, text);
    return (struct cell){ .kind = CELL_TEXT, .len = (uint32_t)copy.len, .text = (const char *)copy.data };
}

/* Missing parts at the end are zero. */
static struct cell read_date(struct cursor *c, struct arena *arena)
{
    struct bytes raw = read_bytes(c, read_u8(c));
    struct cursor in = cursor_of(raw);
    unsigned year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
    if (raw.len >= 4)
        year = read_u16(&in), month = read_u8(&in), day = read_u8(&in);
    if (raw.len >= 7)
        hour = read_u8(&in), minute = read_u8(&in), second = read_u8(&in);
    return text_cell(arena, bytes_str(arena_printf(arena, "%04u-%02u-%02u %02u:%02u:%02u", year, month, day,
                                                   hour, minute, second)));
}

static struct cell read_time(struct cursor *c, struct arena *arena)
{
    struct bytes raw = read_bytes(c, read_u8(c));
    struct cursor in = cursor_of(raw);
    unsigned negative = 0, days = 0, hour = 0, minute = 0, second = 0;
    if (raw.len >= 8)
        negative = read_u8(&in), days = read_u32(&in), hour = read_u8(&in), minute = read_u8(&in),
        second = read_u8(&in);
    return text_cell(arena, bytes_str(arena_printf(arena, "%s%02llu:%02u:%02u", negative ? "-" : "",
                                                   days * 24ull + hour, minute, second)));
}

static struct cell integer_cell(int64_t v)
{
    return (struct cell){ .kind = CELL_INT, .integer = v };
}

static struct cell real_cell(double v)
{
    return (struct cell){ .kind = CELL_REAL, .real = v };
}

static struct cell read_param(struct cursor *c, uint8_t type, bool is_unsigned, struct arena *arena)
{
    uint64_t bits;
    uint32_t word;
    float real4;
    double real8;
    switch (type) {
    case TYPE_TINY:
        return integer_cell(is_unsigned ? read_u8(c) : (int8_t)read_u8(c));
    case TYPE_SHORT:
    case TYPE_YEAR:
        return integer_cell(is_unsigned ? read_u16(c) : (int16_t)read_u16(c));
    case TYPE_LONG:
    case TYPE_INT24:
        word = read_u32(c);
        return integer_cell(is_unsigned ? (int64_t)word : (int32_t)word);
    case TYPE_LONGLONG:
        bits = read_u64(c);
        return is_unsigned && bits > INT64_MAX ? real_cell((double)bits) : integer_cell((int64_t)bits);
    case TYPE_FLOAT:
        word = read_u32(c);
        memcpy(&real4, &word, sizeof real4);
        return real_cell(real4);
    case TYPE_DOUBLE:
        bits = read_u64(c);
        memcpy(&real8, &bits, sizeof real8);
        return real_cell(real8);
    case TYPE_DATE:
    case TYPE_DATETIME:
    case TYPE_TIMESTAMP:
        return read_date(c, arena);
    case TYPE_TIME:
        return read_time(c, arena);
    case TYPE_NULL:
        return (struct cell){ .kind = CELL_NULL };
    default:                      /* DECIMAL, texts, blobs, JSON, ENUM, ...: with a length */
        return text_cell(arena, read_lenenc_bytes(c));
    }
}

bool params_read(struct cursor *c, const uint8_t *nulls, const uint8_t *types, unsigned n,
                 struct arena *arena, struct cell *out, struct fault *why)
{
    for (unsigned i = 0; i < n; i++) {
        if (out[i].kind != CELL_NULL)      /* came as long data */
            continue;
        if ((nulls[i / 8] >> i % 8 & 1) == 0)
            out[i] = read_param(c, types[2 * i], (types[2 * i + 1] & TYPE_UNSIGNED) != 0, arena);
        if (c->bad)
            break;
    }
    return !c->bad ||
           fault_set(why, BLAME_CLIENT, ER_MALFORMED_PACKET, "Malformed COM_STMT_EXECUTE");
}

bool statement_long_data(struct visitor *v, struct bytes payload)
{
    struct cursor c = cursor_of(payload);
    struct statement_kept *st = find(v, read_u32(&c));
    unsigned param = read_u16(&c);
    struct bytes data = read_rest(&c);
    if (c.bad || st == NULL || param >= st->n_params)
        return true;              /* no answer is due, and none can be given */
    if (st->long_data == NULL)
        st->long_data = mem_zalloc(st->n_params * sizeof *st->long_data);
    struct long_data *ld = &st->long_data[param];
    ld->came = true;
    if (buf_len(&ld->data) + data.len <= LONG_DATA_LIMIT)
        buf_add(&ld->data, data);
    return true;
}

/* ---- EXECUTE ------------------------------------------------------------------------------------ */

static bool read_params(struct statement_kept *st, struct bytes payload, const struct execute *x,
                        struct arena *arena, struct cell *cells, struct fault *why)
{
    struct cursor c = cursor_of(bytes_skip(payload, x->values_at));
    const uint8_t *nulls = payload.data + x->nulls_at;
    if (x->types_sent && st->types == NULL)
        st->types = mem_alloc(2 * (size_t)st->n_params);
    if (x->types_sent)
        execute_types(payload, x, st->n_params, st->types);
    if (st->types == NULL)
        return fault_set(why, BLAME_CLIENT, ER_MALFORMED_PACKET, "Malformed COM_STMT_EXECUTE");
    for (unsigned i = 0; i < st->n_params; i++) {
        cells[i] = (struct cell){ .kind = CELL_NULL };
        if (st->long_data != NULL && st->long_data[i].came)
            cells[i] = text_cell(arena, buf_bytes(&st->long_data[i].data));
    }
    return params_read(&c, nulls, st->types, st->n_params, arena, cells, why);
}

bool statement_execute(struct task *t, struct visitor *v, struct bytes payload, struct fault *why)
{
    struct cursor c = cursor_of(payload);
    struct arena *arena = task_arena(t);
    struct execute x;
    struct answer a;
    read_u8(&c);
    uint32_t id = read_u32(&c);
    struct statement_kept *st = find(v, id);
    if (c.bad || st == NULL)
        return unknown(id, "mysqld_stmt_execute", why);
    if (!execute_read(payload, st->n_params, v->caps, &x, why))
        return false;
    struct cell *cells = arena_zalloc(arena, (st->n_params + 1) * sizeof *cells);
    if (st->n_params > 0 && !read_params(st, payload, &x, arena, cells, why))
        return false;
    forget_long_data(st);
    answer_init(&a);
    bool ok = admin_run(t, v, bytes_of(st->text, st->len), cells, st->n_params, &a, why) &&
              visitor_answer(t, v, &a, true, why);
    answer_release(&a);
    return ok;
}
