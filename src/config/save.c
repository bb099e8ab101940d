/* What was set at run time: to a file that is read after the main one, and back. */
#include "config/inside.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- back ------------------------------------------------------------------------------- */

static void collect(struct overrides *o, const struct draft *d)
{
    for (unsigned i = 0; i < d->n_sections; i++) {
        const struct draft_section *s = d->sections[i];
        for (unsigned j = 0; j < s->n_values; j++) {
            struct setting_name name = { bytes_str(kind_names[s->kind]), bytes_str(s->name),
                                         bytes_str(s->values[j].option->name) };
            overrides_put(o, &name, bytes_str(s->values[j].text));
        }
    }
}

static bool parse(struct overrides *o, struct bytes text, const char *path, struct fault *why)
{
    struct complaints out = { NULL, 0, 0, 0 };
    struct draft d = { .files = { path }, .out = &out };
    draft_read(&d, text);
    bool good = out.errors == 0;
    if (good)
        collect(o, &d);
    else
        fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR, "%.100s, line %u: %.120s", path,
                  out.items[0].line, out.items[0].text);
    draft_release(&d);
    complaints_release(&out);
    return good;
}

bool overrides_load(struct overrides *o, const char *path, struct fault *why)
{
    size_t len;
    *o = OVERRIDES_NONE;
    char *text = file_read(path, &len);
    if (text == NULL && errno == ENOENT)
        return true;
    if (text == NULL)
        return fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR, "can't read \"%.150s\": %s", path,
                         strerror(errno));
    bool good = parse(o, bytes_of(text, len), path, why);
    mem_free_secret(text, len);
    return good;
}

/* ---- words ------------------------------------------------------------------------------ */

/* Lines of the file must be short; what is longer goes on behind a backslash. */
enum { PIECE_BYTES = 120 };

static void write_value(FILE *f, const char *key, const char *value)
{
    unsigned used = 0;
    fprintf(f, "%s = \"", key);
    for (const char *at = value; *at != '\0'; at++) {
        if (used >= PIECE_BYTES) {
            fputs("\"\\\n    \"", f);
            used = 0;
        }
        if (*at == '"' || *at == '\\')
            fputc('\\', f), used++;
        fputc(*at, f), used++;
    }
    fputs("\"\n", f);
}

static bool same_section(const struct override *a, const struct override *b)
{
    return strcmp(a->section, b->section) == 0 && strcmp(a->name, b->name) == 0;
}

static bool is_first_of_section(const struct overrides *o, unsigned index)
{
    for (unsigned i = 0; i < index; i++)
        if (same_section(&o->items[i], &o->items[index]))
            return false;
    return true;
}

static void write_section(FILE *f, const struct overrides *o, unsigned first)
{
    const struct override *head = &o->items[first];
    fprintf(f, "\n[%s%s%s]\n", head->section, head->name[0] != '\0' ? " " : "", head->name);
    for (unsigned i = first; i < o->count; i++)
        if (same_section(&o->items[i], head))
            write_value(f, o->items[i].key, o->items[i].value);
}

static void write_all(FILE *f, const struct overrides *o)
{
    char when[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    fprintf(f,
            "# Written by Volvox on SAVE CONFIG, %s: what was set at run time.\n"
            "# It is read after the main configuration file, and its values win.\n",
            when);
    for (unsigned i = 0; i < o->count; i++)
        if (is_first_of_section(o, i))
            write_section(f, o, i);
}

/* ---- the file ---------------------------------------------------------------------------- */

/* All of it to the disk; false with errno. */
static bool fill(int fd, const struct overrides *o)
{
    char buffer[1024];
    FILE *f = fdopen(fd, "w");
    if (f == NULL) {
        close(fd);
        return false;
    }
    setvbuf(f, buffer, _IOFBF, sizeof(buffer)); /* ours, to wipe: there may be secrets in it */
    write_all(f, o);
    bool written = fflush(f) == 0 && !ferror(f) && fsync(fd) == 0;
    int error = errno;
    written = fclose(f) == 0 && written;
    explicit_bzero(buffer, sizeof(buffer));
    errno = error;
    return written;
}

/* The new name of a file is on the disk when its directory is. */
static bool sync_directory(const char *path)
{
    char *dir = beside_file(path, "");
    int fd = open(dir[0] != '\0' ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    mem_free(dir);
    errno = error;
    return synced;
}

static bool replace(const char *path, const char *temporary, int fd, const struct overrides *o)
{
    if (fd < 0)
        return false;
    if (fill(fd, o) && rename(temporary, path) == 0)
        return sync_directory(path);
    int error = errno;
    unlink(temporary);
    errno = error;
    return false;
}

bool overrides_save(const struct overrides *o, const char *path, struct fault *why)
{
    static const char suffix[] = ".XXXXXX";
    size_t size = strlen(path) + sizeof(suffix);
    char *temporary = mem_alloc(size);
    snprintf(temporary, size, "%s%s", path, suffix);
    bool saved = replace(path, temporary, mkostemp(temporary, O_CLOEXEC), o);
    if (!saved)
        fault_set(why, BLAME_OURS, ER_UNKNOWN_ERROR, "can't write \"%.150s\": %s", path,
                  strerror(errno));
    mem_free(temporary);
    return saved;
}

char *config_save(const struct config *c, const struct overrides *o, struct fault *why)
{
    struct overrides all;
    if (c->runtime_file == NULL) {
        fault_set(why, BLAME_POLICY, ER_NOT_AT_RUN_TIME,
                  "set runtime_file in [volvox] of %.120s to a path, and reload: it names the file "
                  "to save to", c->file);
        return NULL;
    }
    bool saved = overrides_load(&all, c->runtime_file, why);
    if (saved) {
        overrides_add(&all, o);
        saved = overrides_save(&all, c->runtime_file, why);
    }
    overrides_release(&all);
    return saved ? mem_strdup(c->runtime_file) : NULL;
}
