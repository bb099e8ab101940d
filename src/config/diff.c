/* What a reload changes, in words. */
#include "config/inside.h"

#include <limits.h>

/* ---- words ------------------------------------------------------------------------------ */

static void say_field(FILE *out, const char *before, const struct option *o, const void *now,
                      const void *next)
{
    char was[VALUE_BYTES], is[VALUE_BYTES];
    value_print(o, now, was);
    value_print(o, next, is);
    if (o->type == OPTION_SECRET)
        fprintf(out, "%s%s changes\n", before, o->name);
    else
        fprintf(out, "%s%s: %s -> %s\n", before, o->name, was, is);
}

/* A setting that can't change keeps its value, and the place that value came from. */
static void keep_old(const struct option *o, struct settings *next, const struct settings *now)
{
    unsigned at = option_ordinal(o);
    value_copy(o, next, now);
    next->origins->places[at] = now->origins->places[at];
}

static void diff_settings(FILE *out, const struct settings *now, struct settings *next)
{
    for_each_field(o, KIND_VOLVOX) {
        if (value_equal(o, now, next))
            continue;
        say_field(out, o->reloadable ? "" : "needs a restart: ", o, now, next);
        if (!o->reloadable)
            keep_old(o, next, now);
    }
}

static void diff_only(FILE *out, enum kind kind, const struct config *now,
                      const struct config *next)
{
    char before[32];
    struct shelf old = shelf_of(now, kind), new = shelf_of(next, kind);
    snprintf(before, sizeof(before), "[%s]: ", kind_names[kind]);
    for_each_field(o, kind)
        if (!value_equal(o, old.first, new.first))
            say_field(out, before, o, old.first, new.first);
}

/* ---- what has no field in the table ----------------------------------------------------- */

static const char *group_name(const struct config *c, int group)
{
    return group < 0 ? "" : c->groups[group].name;
}

static void diff_group(FILE *out, const char *before, const char *was, const char *is)
{
    if (strcmp(was, is) != 0)
        fprintf(out, "%sgroup: \"%s\" -> \"%s\"\n", before, was, is);
}

static void diff_files(FILE *out, const char *before, bool changed)
{
    if (changed)
        fprintf(out, "%sthe files of its tls options have changed\n", before);
}

static void diff_server(FILE *out, const char *before, const struct server_config *now,
                        const struct server_config *next)
{
    char was[ADDRESS_TEXT_BYTES], is[ADDRESS_TEXT_BYTES];
    if (strcmp(now->address, next->address) != 0 || address_equal(&now->resolved, &next->resolved))
        return;
    address_print(&now->resolved, true, was);
    address_print(&next->resolved, true, is);
    fprintf(out, "%saddress: \"%s\" now means %s, not %s\n", before, now->address, is, was);
}

static bool account_equal(const struct account *a, const struct account *b)
{
    return a == NULL || b == NULL ? a == b : secret_equal(&a->secret, &b->secret);
}

static void diff_user(FILE *out, const char *before, const struct user_config *now,
                      const struct user_config *next)
{
    if (!secret_equal(&now->secret, &next->secret))
        fprintf(out, "%spassword changes\n", before);
    if (!account_equal(now->account, next->account))
        fprintf(out, "%sserver_password changes\n", before);
}

/* ---- sections --------------------------------------------------------------------------- */

static void diff_entry(FILE *out, enum kind kind, const char *name, const struct config *a,
                       const void *now, const struct config *b, const void *next)
{
    char before[192];
    snprintf(before, sizeof(before), "[%s %s]: ", kind_names[kind], name);
    for_each_field(o, kind)
        if (!value_equal(o, now, next))
            say_field(out, before, o, now, next);
    if (kind == KIND_SERVER) {
        const struct server_config *x = now, *y = next;
        diff_group(out, before, group_name(a, (int)x->group), group_name(b, (int)y->group));
        diff_server(out, before, x, y);
        diff_files(out, before, tls_server_files_changed(a, x, b, y));
    } else if (kind == KIND_USER) {
        const struct user_config *x = now, *y = next;
        diff_group(out, before, group_name(a, (int)x->group), group_name(b, (int)y->group));
        diff_user(out, before, x, y);
    } else if (kind == KIND_LISTENER) {
        const struct listener_config *x = now, *y = next;
        diff_group(out, before, group_name(a, x->group), group_name(b, y->group));
        diff_files(out, before, tls_listener_files_changed(a, x, b, y));
    } else if (kind == KIND_ADMIN_USER) {
        const struct admin_user_config *x = now, *y = next;
        if (!secret_equal(&x->secret, &y->secret))
            fprintf(out, "%spassword changes\n", before);
    }
}

static void diff_kind(FILE *out, enum kind kind, const struct config *now,
                      const struct config *next)
{
    struct shelf old = shelf_of(now, kind), new = shelf_of(next, kind);
    for (unsigned i = 0; i < old.count; i++) {
        const char *name = shelf_name(&old, i);
        unsigned at = shelf_find(&new, bytes_str(name));
        if (at == UINT_MAX)
            fprintf(out, "[%s %s] is gone\n", kind_names[kind], name);
        else
            diff_entry(out, kind, name, now, shelf_entry(&old, i), next, shelf_entry(&new, at));
    }
    for (unsigned i = 0; i < new.count; i++) {
        const char *name = shelf_name(&new, i);
        if (shelf_find(&old, bytes_str(name)) == UINT_MAX)
            fprintf(out, "[%s %s] is new\n", kind_names[kind], name);
    }
}

char *config_diff(const struct config *now, struct config *next)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    must(out != NULL);
    diff_settings(out, &now->settings, &next->settings);
    diff_files(out, "[volvox]: ", tls_own_files_changed(now, next));
    diff_only(out, KIND_ADMIN, now, next);
    diff_only(out, KIND_HTTP, now, next);
    diff_kind(out, KIND_LISTENER, now, next);
    diff_kind(out, KIND_GROUP, now, next);
    diff_kind(out, KIND_SERVER, now, next);
    diff_kind(out, KIND_USER, now, next);
    diff_kind(out, KIND_ADMIN_USER, now, next);
    must(fclose(out) == 0);
    return text;
}
