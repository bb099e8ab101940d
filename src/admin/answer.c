/* answer.c - rows as packets, in the text and in the binary format; see inside.h. */
#include "admin/inside.h"

#include <stdarg.h>

#include "base/mem.h"
#include "base/str.h"

void answer_init(struct answer *a)
{
    *a = (struct answer){ .n_columns = 0 };
}

void answer_release(struct answer *a)
{
    if (a->has_rows)
        rows_release(&a->rows);
    mem_free(a->columns);
    answer_init(a);
}

void answer_begin(struct answer *a, unsigned n_columns)
{
    answer_release(a);
    a->has_rows = true;
    a->n_columns = n_columns;
    a->columns = mem_zalloc(n_columns * sizeof *a->columns);
    rows_init(&a->rows, n_columns);
}

void answer_column(struct answer *a, unsigned i, struct bytes name, enum column_type type)
{
    must(i < a->n_columns);
    str_copy(a->columns[i].name, sizeof a->columns[i].name, name);
    a->columns[i].type = type;
}

void answer_say(struct answer *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(a->info, sizeof a->info, fmt, args);
    va_end(args);
}

void answer_lines(struct answer *a, const char *column, const char *text)
{
    answer_begin(a, 1);
    answer_column(a, 0, bytes_str(column), COLUMN_TEXT);
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        put_text(&a->rows, bytes_of(text, len));
        text += len + (text[len] == '\n');
    }
}

/* ---- packets ----------------------------------------------------------------------------- */

void column_definition_write(struct buf *out, uint8_t *seq, const char *table, const char *name,
                             enum column_type type)
{
    bool is_text = type == COLUMN_TEXT;
    struct column c = {
        .schema = BYTES_LITERAL("volvox"),
        .table = bytes_str(table),
        .org_table = bytes_str(table),
        .name = bytes_str(name),
        .org_name = bytes_str(name),
        .charset = is_text ? ADMIN_COLLATION : BINARY_COLLATION,
        .length = is_text ? 4096 : 21,
        .type = is_text ? TYPE_VAR_STRING : type == COLUMN_INT ? TYPE_LONGLONG : TYPE_DOUBLE,
        .flags = is_text ? 0 : FLAG_BINARY,
        .decimals = type == COLUMN_REAL ? 31 : 0,
    };
    column_write(out, seq, &c);
}

static void write_text_row(struct buf *out, uint8_t *seq, const struct rows *r, size_t row)
{
    size_t mark = packet_begin(out);
    char space[40];
    for (unsigned i = 0; i < r->n_columns; i++) {
        const struct cell *c = rows_cell(r, row, i);
        if (c->kind == CELL_NULL)
            write_u8(out, 0xFB);
        else
            write_lenenc_bytes(out, cell_text(c, space, sizeof space));
    }
    packet_end(out, mark, seq);
}

static int64_t cell_integer(const struct cell *c)
{
    if (c->kind == CELL_INT)
        return c->integer;
    return c->kind == CELL_TEXT ? strtoll(c->text, NULL, 10) : 0;
}

static double cell_real(const struct cell *c)
{
    if (c->kind == CELL_REAL)
        return c->real;
    return c->kind == CELL_INT ? (double)c->integer : c->kind == CELL_TEXT ? strtod(c->text, NULL) : 0;
}

static void write_binary_value(struct buf *out, const struct cell *c, enum column_type type)
{
    char space[40];
    double real;
    uint64_t bits;
    switch (type) {
    case COLUMN_INT:
        write_u64(out, (uint64_t)cell_integer(c));
        break;
    case COLUMN_REAL:
        real = cell_real(c);
        memcpy(&bits, &real, sizeof bits);
        write_u64(out, bits);
        break;
    case COLUMN_TEXT:
        write_lenenc_bytes(out, cell_text(c, space, sizeof space));
        break;
    }
}

static void write_binary_row(struct buf *out, uint8_t *seq, const struct answer *a, size_t row)
{
    size_t mark = packet_begin(out);
    write_u8(out, 0x00);
    for (unsigned byte = 0; byte < (a->n_columns + 9) / 8; byte++) {
        uint8_t nulls = 0;
        for (unsigned bit = 0; bit < 8; bit++) {
            unsigned i = byte * 8 + bit;       /* the first two bits stand for no column */
            if (i >= 2 && i - 2 < a->n_columns && rows_cell(&a->rows, row, i - 2)->kind == CELL_NULL)
                nulls |= (uint8_t)(1u << bit);
        }
        write_u8(out, nulls);
    }
    for (unsigned i = 0; i < a->n_columns; i++) {
        const struct cell *c = rows_cell(&a->rows, row, i);
        if (c->kind != CELL_NULL)
            write_binary_value(out, c, a->columns[i].type);
    }
    packet_end(out, mark, seq);
}

void answer_write(struct buf *out, uint8_t *seq, const struct answer *a, struct dialect d)
{
    struct ok ok = { .status = d.status, .info = bytes_str(a->info) };
    if (!a->has_rows) {
        ok_write(out, seq, &ok, 0x00, d.caps);
        return;
    }
    ok.info = BYTES_NONE;
    column_count_write(out, seq, a->n_columns);
    for (unsigned i = 0; i < a->n_columns; i++)
        column_definition_write(out, seq, "", a->columns[i].name, a->columns[i].type);
    if ((d.caps & CAP_DEPRECATE_EOF) == 0)
        eof_write(out, seq, d.status, 0);
    for (size_t row = 0; row < rows_count(&a->rows); row++) {
        if (d.binary)
            write_binary_row(out, seq, a, row);
        else
            write_text_row(out, seq, &a->rows, row);
    }
    end_of_rows_write(out, seq, &ok, d.caps);
}
