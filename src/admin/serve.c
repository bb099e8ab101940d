/* serve.c - one command of a visitor, whichever COM_* it is; see inside.h. */
#include "admin/inside.h"

#include "base/str.h"

static bool run_text(struct task *t, struct visitor *v, struct bytes text, bool *ends, struct fault *why)
{
    struct answer a;
    answer_init(&a);
    bool ok = admin_run(t, v, text, NULL, 0, &a, why);
    *ends = a.ends;
    ok = ok && visitor_answer(t, v, &a, false, why);
    answer_release(&a);
    return ok;
}

/* table NUL [wildcard]: its columns, in the form of old. */
static bool field_list(struct visitor *v, struct bytes payload, struct fault *why)
{
    struct cursor c = cursor_of(payload);
    struct bytes name = read_nul_bytes(&c);
    struct ok ok = { .status = v->status };
    int index = c.bad ? -1 : table_find(name);
    if (index < 0)
        return fault_set(why, BLAME_QUERY, 1146, "Table '%.*s' doesn't exist", (int)MIN(name.len, (size_t)64),
                         name.data != NULL ? (const char *)name.data : "");
    for (const struct table_column *col = admin_tables[index].columns; col->name != NULL; col++) {
        struct buf *out = &v->stream.out;
        size_t mark = packet_begin(out);
        struct bytes table = bytes_str(admin_tables[index].name), column = bytes_str(col->name);
        bool is_text = col->type == COLUMN_TEXT;
        const struct bytes parts[] = { BYTES_LITERAL("def"), BYTES_LITERAL("volvox"), table, table, column,
                                       column };
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
            write_lenenc_bytes(out, parts[i]);
        write_lenenc(out, 12);
        write_u16(out, is_text ? ADMIN_COLLATION : BINARY_COLLATION);
        write_u32(out, is_text ? 4096 : 21);
        write_u8(out, is_text ? TYPE_VAR_STRING : TYPE_LONGLONG);
        write_u16(out, 0);
        write_u8(out, 0);
        write_u16(out, 0);
        write_u8(out, 0xFB);      /* the default: none */
        packet_end(out, mark, &v->seq);
    }
    end_of_rows_write(&v->stream.out, &v->seq, &ok, v->caps);
    return true;
}

static void statistics(struct visitor *v)
{
    const struct admin_host *host = &v->admin->host;
    char text[200];
    size_t offset = offsetof(struct counters, commands);
    int n = snprintf(text, sizeof text, "Clients: %u  Workers: %u  Commands: %llu  Servers: %u",
                     atomic_load(&host->shared->open), host->n_workers,
                     counters_sum(host->workers, host->n_workers, offset),
                     host->config(host->arg)->n_servers);
    packet_write(&v->stream.out, &v->seq, bytes_of(text, (size_t)n));
}

static bool set_option(struct visitor *v, struct bytes payload, struct fault *why)
{
    struct ok ok = { .status = v->status };
    struct cursor c = cursor_of(payload);
    if (read_u16(&c) > 1 || c.bad)
        return fault_set(why, BLAME_QUERY, ER_UNKNOWN_COM, "Unknown command");
    end_of_rows_write(&v->stream.out, &v->seq, &ok, v->caps);
    return true;
}

static bool say_ok(struct visitor *v)
{
    visitor_ok(v, "");
    return true;
}

static bool run(struct task *t, struct visitor *v, struct bytes payload, bool *ends, struct fault *why)
{
    struct bytes rest = bytes_skip(payload, 1);
    switch (payload.data[0]) {
    case COM_QUERY:
        return run_text(t, v, rest, ends, why);
    case COM_PING:
        return say_ok(v);
    case COM_INIT_DB:
        return use_schema(v, rest, why) && say_ok(v);
    case COM_FIELD_LIST:
        return field_list(v, rest, why);
    case COM_STATISTICS:
        statistics(v);
        return true;
    case COM_SET_OPTION:
        return set_option(v, rest, why);
    case COM_RESET_CONNECTION:
        statements_close(v);
        visitor_begin(v);
        return say_ok(v);
    case COM_CHANGE_USER:
        *ends = true;             /* unless it goes well */
        if (!visitor_change_user(t, v, rest, why))
            return false;
        *ends = false;
        return true;
    case COM_STMT_PREPARE:
        return statement_prepare(t, v, rest, why);
    case COM_STMT_EXECUTE:
        return statement_execute(t, v, payload, why);
    case COM_STMT_SEND_LONG_DATA:
        return statement_long_data(v, rest);
    case COM_STMT_CLOSE:
        statement_close(v, rest);
        return true;
    case COM_STMT_RESET:
        return statement_reset(v, rest, why);
    default:
        return fault_set(why, BLAME_QUERY, ER_UNKNOWN_COM, "Unknown command");
    }
}

/* The account may have gone or changed since the last command. */
static bool still_welcome(struct visitor *v, struct fault *why)
{
    const struct admin_user_config *u = visitor_account(v);
    bool same = u != NULL && memcmp(u->secret.mark, v->proven, sizeof v->proven) == 0;
    return same || fault_set(why, BLAME_POLICY, ER_ACCESS_DENIED,
                             "The account '%s' has been changed or removed; please log in again",
                             v->facts.user);
}

/* Say what is wrong; false when that is the last word. */
static bool complain(struct task *t, struct visitor *v, const struct fault *why)
{
    struct fault broken = FAULT_NONE;
    if (why->blame == BLAME_CLIENT && why->code == 0)
        return false;
    visitor_err(v, why);
    return visitor_flush(t, v, worker_now(task_worker(t)) + 10, &broken) && why->blame != BLAME_CLIENT;
}

bool visitor_serve(struct task *t, struct visitor *v)
{
    struct fault why = FAULT_NONE;
    struct bytes payload;
    bool ends = false;
    arena_reset(task_arena(t));
    stream_rest(&v->stream);
    v->seq = 0;
    task_describe(t, "admin idle");
    if (!visitor_read(t, v, &payload, 0, &why))
        return why.code != 0 && complain(t, v, &why) && false;
    task_describe(t, "admin command");
    if (payload.len == 0) {
        fault_set(&why, BLAME_CLIENT, ER_MALFORMED_PACKET, "Malformed packet: no command");
        return complain(t, v, &why);
    }
    if (payload.data[0] == COM_QUIT)
        return false;
    if (!still_welcome(v, &why)) {
        complain(t, v, &why);
        return false;
    }
    if (!run(t, v, payload, &ends, &why))
        return complain(t, v, &why) && !ends;
    return visitor_flush(t, v, worker_now(task_worker(t)) + 10, &why) && !ends;
}
