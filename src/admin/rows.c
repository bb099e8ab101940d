/* rows.c - rows in memory: what tables are filled with and answers are made of; see inside.h. */
#include "admin/inside.h"

#include <inttypes.h>
#include <stdarg.h>
#include <time.h>

#include "base/mem.h"

void rows_init(struct rows *r, unsigned n_columns)
{
    *r = (struct rows){ .n_columns = n_columns };
    arena_init(&r->arena);
}

void rows_release(struct rows *r)
{
    mem_free(r->cells);
    arena_release(&r->arena);
    *r = (struct rows){ .n_columns = 0 };
}

/* The limit is looked at between rows, so that none is left unfinished. */
static struct cell *next_cell(struct rows *r, size_t bytes)
{
    if (r->n_columns > 0 && r->n_cells % r->n_columns == 0 && r->bytes > ROWS_LIMIT_BYTES)
        r->is_full = true;
    if (r->is_full)
        return NULL;
    if (r->n_cells == r->cap) {
        r->cap = r->cap > 0 ? r->cap * 2 : 64;
        r->cells = mem_realloc(r->cells, r->cap * sizeof *r->cells);
    }
    r->bytes += sizeof(struct cell) + bytes;
    return &r->cells[r->n_cells++];
}

static void put(struct rows *r, struct cell value)
{
    struct cell *c = next_cell(r, 0);
    if (c != NULL)
        *c = value;
}

void put_null(struct rows *r)
{
    put(r, (struct cell){ .kind = CELL_NULL });
}

void put_int(struct rows *r, int64_t v)
{
    put(r, (struct cell){ .kind = CELL_INT, .integer = v });
}

void put_u64(struct rows *r, uint64_t v)
{
    put_int(r, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

void put_real(struct rows *r, double v)
{
    put(r, (struct cell){ .kind = CELL_REAL, .real = v });
}

void put_text(struct rows *r, struct bytes text)
{
    struct cell *c = next_cell(r, text.len);
    if (c == NULL)
        return;
    struct bytes copy = arena_copy(&r->arena, text);
    *c = (struct cell){ .kind = CELL_TEXT, .len = (uint32_t)copy.len, .text = (const char *)copy.data };
}

void put_str(struct rows *r, const char *text)
{
    if (text == NULL)
        put_null(r);
    else
        put_text(r, bytes_str(text));
}

void put_format(struct rows *r, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    put_str(r, text);
}

void put_hex(struct rows *r, uint64_t v)
{
    if (v == 0)
        put_null(r);
    else
        put_format(r, "%016" PRIx64, v);
}

void put_wall(struct rows *r, uint64_t wall_us)
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;
    if (wall_us == 0 || gmtime_r(&seconds, &tm) == NULL) {
        put_null(r);
        return;
    }
    put_format(r, "%04d-%02d-%02d %02d:%02d:%02d.%03u", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
               tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(wall_us % 1000000 / 1000));
}

struct bytes cell_text(const struct cell *c, char *space, size_t size)
{
    int n = 0;
    switch (c->kind) {
    case CELL_NULL:
        return BYTES_NONE;
    case CELL_TEXT:
        return bytes_of(c->text, c->len);
    case CELL_INT:
        n = snprintf(space, size, "%" PRId64, c->integer);
        break;
    case CELL_REAL:
        n = snprintf(space, size, "%.15g", c->real);
        break;
    }
    return bytes_of(space, MIN((size_t)n, size - 1));
}
