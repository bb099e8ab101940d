/*
 * inside.h - what the files of config/ say to each other.
 *
 *   file ──────────ini.c──► draft ──sections.c──► config ──check.c──► complaints, or none
 *   runtime file ──ini.c──► draft ─┤
 *   overrides ─────────────────────┘ draft.c
 *
 * A draft is the files as written: sections and values, each with its place.
 */
#ifndef CONFIG_INSIDE_H
#define CONFIG_INSIDE_H

#include "config/config.h"

#include "base/map.h"

/* ---- draft ------------------------------------------------------------------------------ */

enum kind { KIND_VOLVOX, KIND_ADMIN, KIND_HTTP, /* one of each, without a name             */
            KIND_LISTENER, KIND_GROUP, KIND_SERVER, KIND_USER, KIND_ADMIN_USER, KINDS };
extern const char *const kind_names[KINDS];
static inline bool kind_has_name(enum kind kind)
{
    return kind >= KIND_LISTENER;
}

/* Where something stands: a source and a line in one number, so that places compare as sources
 * win.  0: nowhere, it is only implied. */
enum source { SOURCE_FILE, SOURCE_RUNTIME_FILE, SOURCE_RUNTIME, SOURCES };
enum { PLACE_LINE_BITS = 30 };     /* more than FILE_LIMIT_BYTES */
static inline unsigned place_of(enum source source, unsigned line)
{
    return (unsigned)source << PLACE_LINE_BITS | line;
}
static inline unsigned place_line(unsigned place)
{
    return place & ((1u << PLACE_LINE_BITS) - 1);
}
static inline enum source place_source(unsigned place)
{
    return (enum source)(place >> PLACE_LINE_BITS);
}
/* Of everything set at run time: there are no lines. */
#define PLACE_RUNTIME place_of(SOURCE_RUNTIME, 1)

struct draft_value {
    const struct option *option;
    char *text;               /* without quotes; may be a secret                    */
    unsigned place;
    bool is_risky;            /* without quotes, and a comment or a backslash behind */
};

struct draft_section {
    enum kind kind;
    char *header;             /* "server db1", "volvox": unique in the draft        */
    const char *name;         /* in header; "" for [volvox]                         */
    unsigned place;
    unsigned index;           /* in config's array of the kind                      */
    unsigned n_values;
    struct draft_value *values; /* at most one for each option                      */
};

struct draft {
    const char *files[SOURCES]; /* for complaints                                   */
    enum source source;       /* what draft_read() reads                            */
    bool has_io;              /* names may be resolved, files read                  */
    const struct config *known; /* NULL, or what needn't be looked up again         */
    struct draft_section **sections; /* in the file's order                         */
    unsigned n_sections;
    struct map by_header;
    struct complaints *out;
};

/* Read the text, complaining about what makes no sense in itself: syntax, unknown and
 * repeated names.  draft_release() wipes what it held. */
void draft_read(struct draft *d, struct bytes text);
void draft_release(struct draft *d);
/* Put another source over it.  Sections that it does not have are only warned of. */
void draft_merge(struct draft *d, const struct draft *over);
void draft_override(struct draft *d, const struct overrides *overrides);

/* The section of that header, without brackets, or NULL. */
struct draft_section *draft_find(const struct draft *d, enum kind kind, struct bytes name);
struct draft_section *draft_add_section(struct draft *d, enum kind kind, struct bytes name,
                                        unsigned place);
struct draft_value *draft_add_value(struct draft_section *s, const struct option *o,
                                    unsigned place);
void draft_append(struct draft_value *v, struct bytes piece);
/* The section's value for the option, or NULL. */
const struct draft_value *draft_value(const struct draft_section *s, const char *option);
/* The value's place, the section's when the value is not in the file, 0 without a section. */
unsigned draft_place(const struct draft_section *s, const char *option);
/* The section that made entry `index` of its kind; NULL for what is only implied. */
const struct draft_section *draft_section_of(const struct draft *d, enum kind kind,
                                             unsigned index);
/* "dir/of/config.ini" and "secret" make "dir/of/secret"; the caller frees. */
char *beside_file(const char *file, const char *path);
/* "line 5", or with another file's name when that is not the main one. */
enum { PLACE_BYTES = 300 };
const char *place_words(const struct draft *d, unsigned place, char out[PLACE_BYTES]);

void complain(struct draft *d, unsigned place, const char *fmt, ...) PRINTF_LIKE(3, 4);
void warn(struct draft *d, unsigned place, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* What operators are told, beside protocol.h's. */
enum { ER_UNKNOWN_VARIABLE = 1193, ER_WRONG_VALUE = 1231, ER_NOT_AT_RUN_TIME = 1238 };

/* ---- options and their values ----------------------------------------------------------- */

const struct option *option_find(enum kind kind, struct bytes name);
enum kind option_kind(const struct option *o);
bool kind_find(struct bytes word, enum kind *out);

enum { HINT_BYTES = 96 };
/* Words to put behind a complaint about an unknown word: "; did you mean "x"?" or "".
 * Offer each right word, then look at hint. */
struct suggestion {
    struct bytes wrong;
    unsigned distance;
    char hint[HINT_BYTES];
};
void suggest_begin(struct suggestion *g, struct bytes wrong);
void suggest_offer(struct suggestion *g, const char *right);

/* Parse the text into the field of `base`, which holds a valid value that is replaced (texts
 * are freed).  False with `problem` in words when it makes no sense. */
enum { PROBLEM_BYTES = 256 };
bool value_set(const struct option *o, void *base, struct bytes text,
               char problem[PROBLEM_BYTES]);
/* Would value_set() take it? */
bool value_check(const struct option *o, struct bytes text, char problem[PROBLEM_BYTES]);
/* The default into a field that holds nothing yet. */
void value_init(const struct option *o, void *base);
void value_release(const struct option *o, void *base);
bool value_equal(const struct option *o, const void *a, const void *b);
/* Copy b's value over a's. */
void value_copy(const struct option *o, void *a, const void *b);
/* As it would stand in a file; secrets as "***". */
enum { VALUE_BYTES = 160 };
void value_print(const struct option *o, const void *base, char out[VALUE_BYTES]);
/* The same without quotes; a secret that is empty is shown so. */
void value_text(const struct option *o, const void *base, char *out, size_t size);

#define for_each_option(o, kind)                                                     \
    for (const struct option *o = options; o < options + n_options; o++)             \
        if (strcmp(o->section, kind_names[kind]) == 0)
/* All options of the kind that have a field. */
#define for_each_field(o, kind)                                                      \
    for (const struct option *o = options; o < options + n_options; o++)             \
        if (o->offset != OPTION_NO_FIELD && strcmp(o->section, kind_names[kind]) == 0)

/* ---- entries (entries.c): sections as they are in a config -------------------------------- */

/* Places by option, in the table's order of the kind; 0 = default. */
struct origins {
    unsigned n;
    unsigned places[];
};

/* All sections of one kind: an array, or the only one. */
struct shelf {
    enum kind kind;
    void *first;
    unsigned count;
    size_t size;              /* of a section's struct                              */
    size_t origins;           /* offset of its `origins`                            */
};
struct shelf shelf_of(const struct config *c, enum kind kind);
void *shelf_entry(const struct shelf *s, unsigned i);
/* "" where there is only one. */
const char *shelf_name(const struct shelf *s, unsigned i);
struct origins **shelf_origins(const struct shelf *s, unsigned i);
/* The entry's index, or UINT_MAX. */
unsigned shelf_find(const struct shelf *s, struct bytes name);
/* From the places in the draft's section (NULL: all defaults). */
struct origins *origins_new(enum kind kind, const struct draft_section *s);
/* Index in `places` */
unsigned option_ordinal(const struct option *o);

/* ---- overrides --------------------------------------------------------------------------- */

enum { OVERRIDE_MAX_BYTES = 4096 };
/* Two of "password", "password_file", "password_hash"?  One takes the other's place. */
bool is_other_way(const char *a, const char *b);
/* Set without any check. */
void overrides_put(struct overrides *o, const struct setting_name *s, struct bytes value);
/* Set all of `from`. */
void overrides_add(struct overrides *to, const struct overrides *from);
/* Is there such an option in such a section of `c`? */
bool setting_check(const struct config *c, const struct setting_name *name, struct fault *why);

/* The whole file for the caller to wipe and free; NULL with errno. */
char *file_read(const char *file, size_t *len);

/* ---- the later stages ------------------------------------------------------------------- */

/* Fill the config from the draft; what is wrong has its default. */
void sections_build(struct config *c, struct draft *d);
/* tls.c: the contexts of listeners and servers, from the files they name. */
void tls_build(struct config *c, struct draft *d);
void tls_release(struct config *c);
/* Have the files changed, although no option has? */
bool tls_own_files_changed(const struct config *now, const struct config *next);
bool tls_listener_files_changed(const struct config *a, const struct listener_config *now,
                                const struct config *b, const struct listener_config *next);
bool tls_server_files_changed(const struct config *a, const struct server_config *now,
                              const struct config *b, const struct server_config *next);
/* What only shows when everything is seen together. */
void check_config(const struct config *c, struct draft *d);

#endif
