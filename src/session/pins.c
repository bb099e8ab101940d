/*
 * pins.c - why sessions can't leave their backends, and what that costs; see session.h.
 *
 * A table per worker, by reason and digest of the statement that began it, of bounded size: when it is
 * full, further digests of a reason are counted together.  The time of a pin goes to what
 * began it, whatever is added while that lasts; then to what is left.
 */
#include "session/inside.h"

#include "base/log.h"
#include "base/mem.h"
#include "session/reader.h"

static const struct {
    uint32_t pin;
    const char *name;
} pin_names[] = {
    { PIN_TRANSACTION, "transaction" },
    { PIN_DIAGNOSTICS, "diagnostics" },
    { PIN_COUNTS, "row counts" },
    { PIN_TABLE_LOCK, "table lock" },
    { PIN_ONE_SHOT, "SET TRANSACTION" },
    { PIN_IS_NULL, "sql_auto_is_null" },
    { PIN_TEMP_TABLE, "temporary table" },
    { PIN_USER_VAR, "user variable" },
    { PIN_USER_VAR_HELD, "user variable that can't be replayed" },
    { PIN_NAMED_LOCK, "named lock" },
    { PIN_HANDLER, "HANDLER" },
    { PIN_TEXT_PREPARE, "PREPARE as text" },
    { PIN_PROCEDURE, "procedure" },
    { PIN_UNKNOWN, "unknown change of state" },
    { PIN_ROLE, "role" },
    { PIN_RESOURCE_GROUP, "resource group" },
    { PIN_VARIABLE, "variable that can't be replayed" },
    { PIN_REPLICATION, "replication" },
    { PIN_EXPIRED, "expired password" },
    { PIN_PASSWORD, "expired password changed" },
    { PIN_TRACKING, "session_track_* changed" },
    { PIN_UNTRACKED, "server without trackers" },
    { PIN_LONG_TEXT, "statement too long to read" },
    { PIN_INSTANCE_LOCK, "instance lock" },
    { PIN_DOUBT, "statement not read for certain" },
    { PIN_ACCOUNT, "account whose password is not known" },
    { PIN_CURSOR, "open cursor" },
    { PIN_LONG_DATA, "long data" },
};

enum { REASONS = ARRAY_LEN(pin_names), ENTRIES = 512 };

struct pin_entry {
    uint64_t digest, count;
    uint64_t held_us;             /* less the times at which those of now began             */
    unsigned now;
    uint8_t reason;               /* index in pin_names                                    */
    bool used;
};

/* The first REASONS entries take what finds no place of its own, one for each reason; the
 * others are a hash table with linear probing over a few places. */
struct pin_table {
    struct pin_entry entries[REASONS + ENTRIES];
};

struct pin_table *pin_table_new(void)
{
    struct pin_table *t = mem_zalloc(sizeof *t);
    for (unsigned i = 0; i < REASONS; i++)
        t->entries[i] = (struct pin_entry){ .reason = (uint8_t)i, .used = true };
    return t;
}

void pin_table_free(struct pin_table *t)
{
    mem_free(t);
}

void pins_print(uint32_t pins, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < REASONS && at < size; i++)
        if ((pins & pin_names[i].pin) != 0)
            at += (size_t)snprintf(out + at, size - at, "%s%s", at > 0 ? ", " : "", pin_names[i].name);
}

static unsigned find_entry(struct pin_table *t, unsigned reason, uint64_t digest)
{
    uint64_t h = (digest ^ reason * 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
    for (unsigned i = 0; i < 8; i++) {
        unsigned at = REASONS + (unsigned)((h >> 32) + i) % ENTRIES;
        struct pin_entry *e = &t->entries[at];
        if (!e->used)
            *e = (struct pin_entry){ .digest = digest, .reason = (uint8_t)reason, .used = true };
        if (e->digest == digest && e->reason == reason)
            return at;
    }
    return reason;
}

static unsigned first_reason(uint32_t pins)
{
    for (unsigned i = 0; i < REASONS; i++)
        if ((pins & pin_names[i].pin) != 0)
            return i;
    must(!"a pin without a name");
    return 0;
}

static void begin(struct session *s, uint32_t pins)
{
    struct pin_table *t = s->home->pins;
    s->pin_entry = (uint16_t)find_entry(t, first_reason(pins), s->digest);
    t->entries[s->pin_entry].held_us -= worker_now_us(session_worker(s));
    t->entries[s->pin_entry].count++;
    t->entries[s->pin_entry].now++;
    gauge_add(&worker_counters(session_worker(s))->sessions_pinned, 1);
}

static void end(struct session *s)
{
    struct pin_entry *e = &s->home->pins->entries[s->pin_entry];
    e->held_us += worker_now_us(session_worker(s));
    e->now--;
    gauge_add(&worker_counters(session_worker(s))->sessions_pinned, -1);
}

uint32_t pins_of_effects(uint32_t effects)
{
    static const struct {
        uint32_t effect, pin;
    } unseen[] = {
        { EFFECT_NAMED_LOCK, PIN_NAMED_LOCK },   { EFFECT_HANDLER, PIN_HANDLER },
        { EFFECT_CALC_FOUND_ROWS, PIN_COUNTS },  { EFFECT_PROCEDURE, PIN_PROCEDURE },
        { EFFECT_ROLE, PIN_ROLE },               { EFFECT_TEMP_TABLE, PIN_TEMP_TABLE },
        { EFFECT_TEXT_PREPARE, PIN_TEXT_PREPARE }, { EFFECT_RESOURCE_GROUP, PIN_RESOURCE_GROUP },
        { EFFECT_INSTANCE_LOCK, PIN_INSTANCE_LOCK }, { EFFECT_SETS_ONE_SHOT, PIN_VARIABLE },
    };
    uint32_t pins = 0;
    if (effects == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(unseen); i++)
        if ((effects & unseen[i].effect) != 0)
            pins |= unseen[i].pin;
    return pins;
}

static bool unlocks(const struct session *s, const struct command *cmd)
{
    struct reader r;
    reader_begin(&r, command_statement_text(cmd), &s->mode);
    return reader_pass(&r, "unlock") || (reader_pass(&r, "backup") && reader_at(&r, "unlock"));
}

bool pins_allow(const struct session *s, const struct command *cmd, struct fault *why)
{
    if (s->user->pins != USER_PINS_DENIED || cmd->code == COM_STMT_PREPARE)
        return true;
    uint32_t pins = pins_of_effects(cmd->st.effects) & ~PIN_LEAVABLE;
    char words[256];
    if ((cmd->st.effects & EFFECT_TABLE_LOCK) != 0)
        pins |= PIN_TABLE_LOCK;
    if ((pins & ~s->pins) == 0 || unlocks(s, cmd))
        return true;
    pins_print(pins & ~s->pins, words, sizeof words);
    return fault_set(why, BLAME_POLICY, ER_UNKNOWN_ERROR,
                     "volvox: user '%s' may not keep a connection (pin = deny): %s", s->user->name, words);
}

static bool is_logged(const struct session *s)
{
    return s->user != NULL && s->user->pins != USER_PINS_ALLOWED;
}

/* The one that is over can't be what the session is counted under. */
static bool is_over(const struct session *s, uint32_t pins)
{
    return (pins & pin_names[s->home->pins->entries[s->pin_entry].reason].pin) == 0;
}

void session_pin(struct session *s, uint32_t pins)
{
    uint32_t added = pins & ~s->pins;
    if (pins == s->pins)
        return;
    if (s->pins == 0)
        begin(s, pins);
    else if (pins == 0)
        end(s);
    else if (is_over(s, pins))
        end(s), begin(s, pins);
    s->pins = pins;
    if ((added & ~(PIN_TRANSACTION | PIN_PASSING)) == 0)
        return;
    char words[256];
    pins_print(added, words, sizeof words);
    count(session_worker(s), pins);
    if (is_logged(s) && (added & ~(PIN_TRANSACTION | PIN_LEAVABLE)) != 0)
        log_info("session pinned", "session=%u user=%s reason=%s digest=%016llx", s->id,
                 log_quote(bytes_str(s->user->name)), log_quote(bytes_str(words)),
                 (unsigned long long)s->digest);
    else
        log_debug("session pinned", "session=%u reason=%s", s->id, log_quote(bytes_str(words)));
}

size_t pins_copy(struct worker *w, struct pin_row *rows, size_t max)
{
    const struct pin_table *t = worker_sessions(w)->pins;
    size_t n = 0;
    for (unsigned i = 0; i < REASONS + ENTRIES && n < max; i++) {
        const struct pin_entry *e = &t->entries[i];
        if (e->count > 0)
            rows[n++] = (struct pin_row){ pin_names[e->reason].name, e->digest, e->count,
                                          e->held_us + e->now * worker_now_us(w), e->now };
    }
    return n;
}
