/*
 * greeting.c - the server's greeting, the client's login and change of user.
 */
#include "protocol/inside.h"

#include "base/str.h"

#include <openssl/rand.h>
#include <sodium.h>

enum { GREETING_VERSION = 10, LOGIN_FIXED_BYTES = 32 };
enum { SCRAMBLE_FIRST = 8, SCRAMBLE_SECOND = SCRAMBLE_BYTES - SCRAMBLE_FIRST };

static bool malformed_greeting(struct fault *why)
{
    return fault_set(why, BLAME_SERVER, ER_MALFORMED_PACKET, "volvox: malformed greeting");
}

/* Also for what can't be read, as servers say. */
static bool bad_handshake(struct fault *why)
{
    return fault_set(why, BLAME_CLIENT, ER_HANDSHAKE_ERROR, "Bad handshake");
}

/* Strings at the end of a packet may lack their NUL, and servers accept that. */
static struct bytes read_text(struct cursor *c)
{
    struct cursor try = *c;
    struct bytes text = read_nul_bytes(&try);
    if (try.bad)
        return read_rest(c);
    *c = try;
    return text;
}

/* ---- greeting ---- */

static bool refused(struct bytes payload, struct fault *why)
{
    struct err err;
    if (!err_read(payload, &err, why))
        return false;
    return fault_set_state(why, BLAME_SERVER, err.code,
                           err.sqlstate[0] != 0 ? err.sqlstate : sqlstate_of(err.code), "%.*s",
                           (int)MIN(err.text.len, sizeof why->text), (const char *)err.text.data);
}

/* Behind the fixed part: the rest of the scramble and the plugin's name. */
static void read_plugin(struct cursor *c, uint8_t auth_len, struct greeting *out)
{
    struct bytes second = read_bytes(c, SCRAMBLE_SECOND);
    if (c->bad)
        return;
    memcpy(out->scramble + SCRAMBLE_FIRST, second.data, SCRAMBLE_SECOND);

    /* max(13, auth_len - 8) bytes in all, the last of them NUL. */
    size_t padding = auth_len > SCRAMBLE_BYTES + 1 ? (size_t)auth_len - SCRAMBLE_BYTES : 1;
    read_bytes(c, MIN(padding, cursor_left(c)));
    if (out->caps & CAP_PLUGIN_AUTH)
        out->plugin = read_text(c);
    else
        out->plugin = auth_plugin_name(AUTH_NATIVE);
}

bool greeting_read(struct bytes payload, struct greeting *out, struct fault *why)
{
    const uint32_t needed = CAP_PROTOCOL_41 | CAP_SECURE_CONNECTION;
    *out = (struct greeting){ 0 };
    if (payload.len > 0 && payload.data[0] == ERR_HEADER)
        return refused(payload, why);

    struct cursor c = cursor_of(payload);
    uint8_t version = read_u8(&c);
    if (!c.bad && version != GREETING_VERSION)
        return fault_set(why, BLAME_SERVER, ER_HANDSHAKE_ERROR,
                         "volvox: the server speaks protocol version %u, not %d", version,
                         GREETING_VERSION);
    out->version = read_nul_bytes(&c);
    out->thread_id = read_u32(&c);
    struct bytes first = read_bytes(&c, SCRAMBLE_FIRST);
    read_u8(&c);
    out->caps = read_u16(&c);
    out->collation = read_u8(&c);
    out->status = read_u16(&c);
    out->caps |= (uint32_t)read_u16(&c) << 16;
    uint8_t auth_len = read_u8(&c);
    read_bytes(&c, 6);
    uint32_t extended = read_u32(&c);
    if (c.bad)
        return malformed_greeting(why);
    if ((out->caps & needed) != needed)
        return fault_set(why, BLAME_SERVER, ER_HANDSHAKE_ERROR,
                         "volvox: the server is too old: it lacks the 4.1 protocol");
    if (!(out->caps & CAP_LONG_PASSWORD))
        out->caps |= (uint64_t)extended << 32;
    memcpy(out->scramble, first.data, SCRAMBLE_FIRST);
    read_plugin(&c, auth_len, out);
    return !c.bad || malformed_greeting(why);
}

void greeting_write(struct buf *out, uint8_t *seq, const struct greeting *g)
{
    static const uint8_t reserved[6];
    bool with_plugin = g->caps & CAP_PLUGIN_AUTH;
    uint64_t caps = g->caps & CAPS_MARIADB ? g->caps & ~CAP_LONG_PASSWORD : g->caps;
    size_t mark = packet_begin(out);
    write_u8(out, GREETING_VERSION);
    write_nul_bytes(out, g->version);
    write_u32(out, g->thread_id);
    buf_add(out, bytes_of(g->scramble, SCRAMBLE_FIRST));
    write_u8(out, 0);
    write_u16(out, caps & 0xFFFF);
    write_u8(out, g->collation);
    write_u16(out, g->status);
    write_u16(out, caps >> 16 & 0xFFFF);
    write_u8(out, with_plugin ? SCRAMBLE_BYTES + 1 : 0);
    buf_add(out, bytes_of(reserved, sizeof reserved));
    write_u32(out, (uint32_t)(caps >> 32));
    write_nul_bytes(out, bytes_of(g->scramble + SCRAMBLE_FIRST, SCRAMBLE_SECOND));
    if (with_plugin)
        write_nul_bytes(out, g->plugin);
    packet_end(out, mark, seq);
}

static bool contains_nocase(struct bytes text, struct bytes word)
{
    for (size_t at = 0; at + word.len <= text.len; at++)
        if (bytes_equal_nocase(bytes_of(text.data + at, word.len), word))
            return true;
    return false;
}

bool greeting_is_mariadb(const struct greeting *g)
{
    /* The prefix was for old replicas, which could not read "10."; no MySQL release
     * is called 5.5.5-<digit>. */
    static const char prefix[] = "5.5.5-";
    size_t n = sizeof prefix - 1;
    if ((g->caps & CAPS_MARIADB) != 0 || contains_nocase(g->version, BYTES_LITERAL("mariadb")))
        return true;
    return g->version.len > n && memcmp(g->version.data, prefix, n) == 0 &&
           ascii_digit(g->version.data[n]);
}

uint32_t version_number(struct bytes version, bool is_mariadb)
{
    static const char disguise[] = "5.5.5-";
    size_t n = sizeof disguise - 1, at = 0;
    uint32_t number = 0;
    if (is_mariadb && version.len > n && memcmp(version.data, disguise, n) == 0)
        version = bytes_skip(version, n);
    if (version.len == 0 || !ascii_digit(version.data[0]))
        return 0;
    for (int part = 0; part < 3; part++) {
        unsigned value = 0;
        for (; at < version.len && ascii_digit(version.data[at]) && value < 100; at++)
            value = value * 10 + version.data[at] - '0';
        number = number * 100 + MIN(value, 99u);
        at += at < version.len && version.data[at] == '.';
    }
    return number;
}

static void avoid_special_bytes(uint8_t scramble[SCRAMBLE_BYTES])
{
    for (size_t i = 0; i < SCRAMBLE_BYTES; i++) {
        scramble[i] &= 0x7F;
        if (scramble[i] == 0 || scramble[i] == '$')
            scramble[i]++;
    }
}

void scramble_make(uint8_t out[SCRAMBLE_BYTES])
{
    must(RAND_bytes(out, SCRAMBLE_BYTES) == 1);
    avoid_special_bytes(out);
}

void nonce_make(uint8_t out[32])
{
    must(RAND_bytes(out, 32) == 1);
}

void scramble_derive(const uint8_t secret[32], uint64_t number, uint8_t out[SCRAMBLE_BYTES])
{
    uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    _Static_assert(crypto_stream_chacha20_KEYBYTES == 32 && sizeof nonce == sizeof number,
                   "what chacha20 takes");
    memcpy(nonce, &number, sizeof nonce);
    crypto_stream_chacha20(out, SCRAMBLE_BYTES, nonce, secret);
    avoid_special_bytes(out);
}

/* ---- login ---- */

static struct bytes read_attributes(struct cursor *c)
{
    struct bytes block = read_lenenc_bytes(c);
    if (block.len > ATTRIBUTES_MAX)
        c->bad = true;
    return block;
}

static struct bytes read_login_auth(struct cursor *c, uint64_t caps)
{
    if (caps & CAP_PLUGIN_AUTH_LENENC)
        return read_lenenc_bytes(c);
    if (caps & CAP_SECURE_CONNECTION)
        return read_bytes(c, read_u8(c));
    return read_nul_bytes(c);
}

/* In MySQL's words; a level that is missing is a wrong one there, too. */
static bool read_zstd_level(struct cursor *c, uint8_t *level, struct fault *why)
{
    *level = read_u8(c);
    return (*level >= 1 && *level <= ZSTD_LEVEL_MAX) ||
           fault_set(why, BLAME_CLIENT, ER_WRONG_COMPRESSION_LEVEL,
                     "Invalid zstd compression level for algorithm 'zstd'.");
}

bool login_read(struct bytes payload, uint64_t offered, struct login *out, struct fault *why)
{
    *out = (struct login){ 0 };
    struct cursor c = cursor_of(payload);
    uint16_t low = read_u16(&c);
    if (c.bad || !(low & CAP_PROTOCOL_41))
        return bad_handshake(why);
    uint64_t claimed = low | (uint64_t)read_u16(&c) << 16;
    out->max_packet = read_u32(&c);
    out->collation = read_u8(&c);
    read_bytes(&c, 19);
    uint32_t extended = read_u32(&c);
    if (c.bad)
        return bad_handshake(why);
    if (!(claimed & CAP_LONG_PASSWORD))
        claimed |= (uint64_t)extended << 32;
    out->caps = claimed & offered;
    if (cursor_left(&c) == 0) {
        out->is_ssl_request = claimed & CAP_SSL;
        return out->is_ssl_request || bad_handshake(why);
    }

    out->user = read_nul_bytes(&c);
    out->auth = read_login_auth(&c, out->caps);
    if (out->caps & CAP_CONNECT_WITH_DB)
        out->schema = read_text(&c);
    if (out->caps & CAP_PLUGIN_AUTH)
        out->plugin = read_text(&c);
    if (out->caps & CAP_CONNECT_ATTRS)
        out->attributes = read_attributes(&c);
    if (!c.bad && out->caps & CAP_ZSTD)
        return read_zstd_level(&c, &out->zstd_level, why);
    return !c.bad || bad_handshake(why);
}

bool login_asks_for_tls(struct bytes payload, uint64_t offered, struct login *out)
{
    struct bytes fixed = bytes_of(payload.data, MIN(payload.len, (size_t)LOGIN_FIXED_BYTES));
    return login_read(fixed, offered, out, NULL) && (out->caps & CAP_SSL) != 0;
}

static void write_login_auth(struct buf *out, uint64_t caps, struct bytes auth)
{
    if (caps & CAP_PLUGIN_AUTH_LENENC) {
        write_lenenc_bytes(out, auth);
    } else if (caps & CAP_SECURE_CONNECTION) {
        must(auth.len <= UINT8_MAX);
        write_u8(out, (uint8_t)auth.len);
        buf_add(out, auth);
    } else {
        write_nul_bytes(out, auth);
    }
}

void login_write(struct buf *out, uint8_t *seq, const struct login *l)
{
    static const uint8_t reserved[19];
    uint64_t caps = l->caps | CAP_PROTOCOL_41 | CAP_LONG_PASSWORD;
    if (caps & CAPS_MARIADB)
        caps &= ~CAP_LONG_PASSWORD;
    if (l->schema.len == 0)
        caps &= ~CAP_CONNECT_WITH_DB;
    must(l->attributes.len <= ATTRIBUTES_MAX);

    size_t mark = packet_begin(out);
    write_u32(out, caps & 0xFFFFFFFF);
    write_u32(out, l->max_packet);
    write_u8(out, l->collation);
    buf_add(out, bytes_of(reserved, sizeof reserved));
    write_u32(out, (uint32_t)(caps >> 32));
    if (!l->is_ssl_request) {
        write_nul_bytes(out, l->user);
        write_login_auth(out, caps, l->auth);
        if (caps & CAP_CONNECT_WITH_DB)
            write_nul_bytes(out, l->schema);
        if (caps & CAP_PLUGIN_AUTH)
            write_nul_bytes(out, l->plugin);
        if (caps & CAP_CONNECT_ATTRS)
            write_lenenc_bytes(out, l->attributes);
        if (caps & CAP_ZSTD)
            write_u8(out, l->zstd_level);
    }
    packet_end(out, mark, seq);
}

bool change_user_read(struct bytes payload, uint64_t caps, struct change_user *out,
                      struct fault *why)
{
    *out = (struct change_user){ 0 };
    struct cursor c = cursor_of(payload);
    out->user = read_nul_bytes(&c);
    /* Never length-encoded here, whatever PLUGIN_AUTH_LENENC says. */
    out->auth = caps & CAP_SECURE_CONNECTION ? read_bytes(&c, read_u8(&c)) : read_nul_bytes(&c);
    if (!c.bad && cursor_left(&c) == 0)
        c.bad = true;
    out->schema = read_text(&c);
    /* Old clients end after the schema, or after the collation; a lone byte there is
     * ignored by servers. */
    if (cursor_left(&c) < 2)
        read_rest(&c);
    else
        out->collation = read_u16(&c);
    if ((caps & CAP_PLUGIN_AUTH) && cursor_left(&c) > 0)
        out->plugin = read_text(&c);
    if ((caps & CAP_CONNECT_ATTRS) && cursor_left(&c) > 0)
        out->attributes = read_attributes(&c);
    return !c.bad || fault_set(why, BLAME_CLIENT, ER_UNKNOWN_COM, "Unknown command"); /* as servers say */
}

bool attribute_next(struct cursor *at, struct bytes *name, struct bytes *value)
{
    if (at->bad || cursor_left(at) == 0)
        return false;
    *name = read_lenenc_bytes(at);
    *value = read_lenenc_bytes(at);
    return !at->bad;
}
