/*
 * fuzz_settings.c - any text as SET on the admin port: what is taken can be loaded or there are complaints,
 * and what is saved is read back as it was.
 *
 * Input: lines, "name = value"; a line without "=" takes one back.
 */
#include "config/config.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];

static struct config *begin(void)
{
    static const char text[] = "[volvox]\nmonitor_user=m\n[admin]\naddress=127.0.0.1:1\n[admin_user root]\n"
                               "password=p\n[listener main]\n[group main]\n[server db1]\naddress=127.0.0.1\n"
                               "[server db2]\naddress=127.0.0.2\n[user u]\npassword=p\n";
    struct complaints told;
    struct config *c = config_parse(bytes_str(text), "fuzz.ini", &told);
    complaints_release(&told);
    must(c != NULL);
    /* in memory: a file is written for each input */
    snprintf(path, sizeof path, "%s/volvox-fuzz-%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
             (int)getpid());
    return c;
}

static void forget_file(void)
{
    unlink(path);
}

static void set_line(struct overrides *o, const struct config *c, struct bytes line)
{
    struct fault why = FAULT_NONE;
    struct setting_name name;
    const uint8_t *sign = line.len > 0 ? memchr(line.data, '=', line.len) : NULL;
    struct bytes left = str_trim(bytes_of(line.data, sign != NULL ? (size_t)(sign - line.data) : line.len));
    if (!setting_name_read(c, left, &name, &why)) {
        must(why.blame == BLAME_POLICY && why.code != 0 && why.text[0] != '\0');
        return;
    }
    unsigned before = o->count;
    if (sign == NULL) {
        must(overrides_remove(o, &name) == (o->count < before));
        return;
    }
    struct bytes value = str_trim(bytes_skip(line, (size_t)(sign + 1 - line.data)));
    if (!overrides_set(o, c, &name, value, &why))
        must(why.blame == BLAME_POLICY && why.code != 0 && why.text[0] != '\0' && o->count == before);
}

static void loads_or_complains(const struct config *c, const struct overrides *o)
{
    struct complaints out;
    struct config *changed = config_change(c, o, &out);
    must((changed == NULL) == (out.errors > 0));
    if (changed != NULL) {
        char *difference = config_diff(changed, changed);
        must(difference[0] == '\0');
        free(difference);
    }
    config_drop(changed);
    complaints_release(&out);
}

static bool has(const struct overrides *o, const struct override *x)
{
    for (unsigned i = 0; i < o->count; i++) {
        const struct override *y = &o->items[i];
        if (strcmp(x->section, y->section) == 0 && strcmp(x->name, y->name) == 0 &&
            strcmp(x->key, y->key) == 0)
            return strcmp(x->value, y->value) == 0;
    }
    return false;
}

static void comes_back(const struct overrides *o)
{
    struct overrides again;
    struct fault why = FAULT_NONE;
    if (!overrides_save(o, path, &why))
        return; /* the disk is full: none of the input's doing */
    if (!overrides_load(&again, path, &why)) {
        fprintf(stderr, "%s\n", why.text);
        must(!"what was saved can't be read");
    }
    must(again.count == o->count);
    for (unsigned i = 0; i < o->count; i++)
        must(has(&again, &o->items[i]));
    overrides_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config *c;
    struct overrides o = OVERRIDES_NONE;
    struct bytes text = bytes_of(data, size);
    if (c == NULL) {
        c = begin();
        atexit(forget_file);
    }
    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t n = end != NULL ? (size_t)(end - text.data) : text.len;
        set_line(&o, c, bytes_of(text.data, n));
        text = bytes_skip(text, MIN(n + 1, text.len));
    }
    loads_or_complains(c, &o);
    comes_back(&o);
    overrides_release(&o);
    return 0;
}
