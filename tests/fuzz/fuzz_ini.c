/* Any text as a configuration: it is taken or there are complaints, with lines that exist. */
#include "config/config.h"

#include "base/mem.h"

static unsigned lines_of(struct bytes text)
{
    unsigned lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    return lines;
}

/* What was taken is whole: every index leads somewhere, and it differs in nothing from itself. */
static void check_config(struct config *c)
{
    must(c->n_groups > 0);
    for (unsigned i = 0; i < c->n_servers; i++) {
        must(c->servers[i].group < c->n_groups);
        must(c->servers[i].resolved.len > 0);
        must(config_server(c, bytes_str(c->servers[i].name)) == &c->servers[i]);
    }
    for (unsigned i = 0; i < c->n_users; i++) {
        must(c->users[i].group < c->n_groups);
        must(config_user(c, bytes_str(c->users[i].name)) == &c->users[i]);
    }
    for (unsigned i = 0; i < c->n_listeners; i++)
        must(c->listeners[i].group < (int)c->n_groups);
    for (unsigned i = 0; i < c->n_admin_users; i++)
        must(config_admin_user(c, bytes_str(c->admin_users[i].name)) == &c->admin_users[i]);
    char *difference = config_diff(c, c);
    must(difference[0] == '\0');
    free(difference);
}

static void check_setting(void *arg, const struct setting *s)
{
    unsigned *seen = arg;
    must(s->where[0] != '\0');
    must(s->option->type != OPTION_SECRET || s->value[0] == '\0' || strcmp(s->value, "***") == 0);
    (*seen)++;
}

/* What was read makes the same configuration again, and what is put over it wins. */
static void check_change(const struct config *c)
{
    struct complaints out;
    char section[] = "volvox", name[] = "", key[] = "linger", value[] = "17ms";
    struct override linger = { section, name, key, value };
    struct overrides over = { &linger, 1 };
    unsigned seen = 0;
    config_walk_settings(c, check_setting, &seen);
    must(seen >= 50);
    struct config *again = config_change(c, NULL, &out);
    must(again != NULL);
    complaints_release(&out);
    char *difference = config_diff(c, again);
    must(difference[0] == '\0');
    free(difference);
    config_drop(again);
    again = config_change(c, &over, &out);
    must(again != NULL && again->settings.linger_ms == 17);
    complaints_release(&out);
    config_drop(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct complaints out;
    struct bytes text = bytes_of(data, size);
    struct config *c = config_parse(text, "fuzz.ini", &out);
    must((c == NULL) == (out.errors > 0));
    for (unsigned i = 0; i < out.count; i++) {
        must(out.items[i].line <= lines_of(text));
        must(out.items[i].text[0] != '\0');
    }
    if (c != NULL) {
        check_config(c);
        check_change(c);
    }
    config_drop(c);
    complaints_release(&out);
    return 0;
}
