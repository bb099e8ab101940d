/*
 * fuzz_admin.c - any bytes as a statement on the admin port: translating, preparing and reading commands
 * ends, stays inside, changes nothing, and says what is wrong.
 *
 * The first byte chooses: a SELECT for SQLite, a command of a visitor who may only look, or the
 * parameters of an EXECUTE.
 */
#include "admin/inside.h"

#include "base/clock.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config *config;

static struct config *the_config(void *arg)
{
    (void)arg;
    return config;
}

static bool never_set(void *arg, struct bytes name, struct bytes value, struct fault *why)
{
    (void)arg, (void)name, (void)value, (void)why;
    must(!"a visitor who may only look has changed something");
}

static void read_config(void)
{
    static const char text[] = "[volvox]\nmonitor_user=m\n[admin_user looker]\npassword=p\naccess=read\n"
                               "[listener main]\n[server db1]\naddress=127.0.0.1\n[user u]\npassword=p\n";
    struct complaints told;
    config = config_parse(bytes_str(text), "fuzz.ini", &told);
    complaints_release(&told);
    must(config != NULL);
}

static void translate_and_step(struct bytes sql)
{
    static struct database *db;
    struct translated tr;
    struct fault why = FAULT_NONE;
    const struct database_facts facts = { .id = 1, .user = "looker", .host = "h" };
    struct database_shape shape;
    struct rows *none[MAX_TABLES] = { NULL };
    atomic_bool cancel = false;
    struct answer a;
    if (db == NULL)
        db = database_open();
    must(db != NULL);
    answer_init(&a);
    bool ok = translate(sql, &tr, &why) && database_prepare(db, &tr, &facts, &shape, &why);
    if (ok) {
        struct database_run run = { .rows = none, .deadline_us = clock_us() + 20000, .cancel = &cancel,
                                    .max_rows = 100 };
        must(shape.n_params == tr.n_params);
        ok = database_step(db, &run, &a, &why);
    }
    must(ok || (why.code != 0 && why.text[0] != '\0'));
    database_finish(db);
    answer_release(&a);
    translated_release(&tr);
}

/* What never needs a task: SHOW becomes a SELECT, SET is refused or means nothing. */
static void read_command(struct bytes text)
{
    struct admin admin = { .host = { .config = the_config, .set = never_set } };
    struct visitor v = { .admin = &admin, .facts.user = "looker" };
    struct arena arena;
    struct words w;
    struct answer a;
    struct bytes select = BYTES_NONE;
    struct fault why = FAULT_NONE;
    bool ok;
    list_init(&admin.visitors);
    arena_init(&arena);
    answer_init(&a);
    words_begin(&w, text);
    if (word_take(&w, "show"))
        ok = show_read(&w, &v, &arena, &select, &a, &why);
    else if (word_take(&w, "describe"))
        ok = describe_read(&w, &arena, &select, &why);
    else if (word_take(&w, "server"))
        ok = server_run(&w, &v, &a, &why);
    else
        ok = set_run(&w, &v, &a, &why);
    must(ok || (why.code != 0 && why.text[0] != '\0'));
    if (ok && select.data != NULL)
        translate_and_step(select);
    answer_release(&a);
    arena_release(&arena);
}

static void read_params(struct bytes data)
{
    uint8_t types[16], nulls[1];
    struct cell cells[8] = { 0 };
    struct arena arena;
    struct fault why = FAULT_NONE;
    if (data.len < sizeof types + sizeof nulls)
        return;
    memcpy(types, data.data, sizeof types);
    memcpy(nulls, data.data + sizeof types, sizeof nulls);
    struct cursor c = cursor_of(bytes_skip(data, sizeof types + sizeof nulls));
    arena_init(&arena);
    must(params_read(&c, nulls, types, ARRAY_LEN(cells), &arena, cells, &why) || why.code != 0);
    for (size_t i = 0; i < ARRAY_LEN(cells); i++)
        must(cells[i].kind != CELL_TEXT || strlen(cells[i].text) <= cells[i].len);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 20000)
        return 0;
    if (config == NULL)
        read_config();
    uint8_t *exact = mem_alloc(size - 1);
    memcpy(exact, data + 1, size - 1);
    struct bytes text = bytes_of(exact, size - 1);
    switch (data[0] % 3) {
    case 0:
        translate_and_step(text);
        break;
    case 1:
        read_command(text);
        break;
    default:
        read_params(text);
    }
    mem_free(exact);
    return 0;
}
