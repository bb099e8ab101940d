/* Sections as they are in a configuration, whatever their kind. */
#include "config/inside.h"

#include "base/mem.h"

#include <limits.h>

/* Every section's struct with a name begins with it. */
_Static_assert(offsetof(struct group_config, name) == 0, "name first");
_Static_assert(offsetof(struct server_config, name) == 0, "name first");
_Static_assert(offsetof(struct user_config, name) == 0, "name first");
_Static_assert(offsetof(struct listener_config, name) == 0, "name first");
_Static_assert(offsetof(struct admin_user_config, name) == 0, "name first");

#define SHELF(kind, first, count) \
    (struct shelf){ kind, first, count, sizeof(*(first)), \
                    offsetof(__typeof__(*(first)), origins) }

struct shelf shelf_of(const struct config *c, enum kind kind)
{
    struct config *at = (struct config *)c;
    switch (kind) {
    case KIND_VOLVOX:
        return SHELF(kind, &at->settings, 1);
    case KIND_ADMIN:
        return SHELF(kind, &at->admin, 1);
    case KIND_HTTP:
        return SHELF(kind, &at->http, 1);
    case KIND_LISTENER:
        return SHELF(kind, at->listeners, at->n_listeners);
    case KIND_GROUP:
        return SHELF(kind, at->groups, at->n_groups);
    case KIND_SERVER:
        return SHELF(kind, at->servers, at->n_servers);
    case KIND_USER:
        return SHELF(kind, at->users, at->n_users);
    case KIND_ADMIN_USER:
        return SHELF(kind, at->admin_users, at->n_admin_users);
    case KINDS:
        break;
    }
    must(!"a kind");
}

void *shelf_entry(const struct shelf *s, unsigned i)
{
    return (char *)s->first + i * s->size;
}

const char *shelf_name(const struct shelf *s, unsigned i)
{
    return kind_has_name(s->kind) ? *(char **)shelf_entry(s, i) : "";
}

struct origins **shelf_origins(const struct shelf *s, unsigned i)
{
    return (struct origins **)((char *)shelf_entry(s, i) + s->origins);
}

static bool is_sorted(enum kind kind)
{
    return kind == KIND_USER || kind == KIND_ADMIN_USER;
}

static unsigned find_sorted(const struct shelf *s, struct bytes name)
{
    unsigned low = 0, high = s->count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int order = bytes_compare(name, bytes_str(shelf_name(s, middle)));
        if (order == 0)
            return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return UINT_MAX;
}

unsigned shelf_find(const struct shelf *s, struct bytes name)
{
    if (is_sorted(s->kind))
        return find_sorted(s, name);
    for (unsigned i = 0; i < s->count; i++)
        if (bytes_equal(name, bytes_str(shelf_name(s, i))))
            return i;
    return UINT_MAX;
}

/* ---- where options were set ------------------------------------------------------------- */

unsigned option_ordinal(const struct option *o)
{
    unsigned ordinal = 0;
    for (const struct option *at = options; at < o; at++)
        ordinal += strcmp(at->section, o->section) == 0;
    return ordinal;
}

struct origins *origins_new(enum kind kind, const struct draft_section *s)
{
    unsigned n = 0;
    for_each_option(o, kind)
        n++;
    struct origins *w = mem_zalloc(sizeof(*w) + n * sizeof(w->places[0]));
    w->n = n;
    for (unsigned i = 0; s != NULL && i < s->n_values; i++)
        w->places[option_ordinal(s->values[i].option)] = s->values[i].place;
    return w;
}
