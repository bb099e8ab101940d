/*
 * fuzz_auth_client.c - a server that asks anything of a client that wants to log in: the password
 * goes out as it is only where nobody can read along, and nothing goes out that is not an answer.
 *
 * Input: four bytes of choices, then packets, each a byte of length and its payload.
 */
#include "fuzz.h"

#define PASSWORD "the password that nobody may see"

static void make_secret(struct secret *s, unsigned choice)
{
    static const char *const hashes[] = {
        "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7",
        "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY",
        "$A$001$01234567890123456789012345678901234567890123456789012345678901.",
    };
    if (choice % 8 < ARRAY_LEN(hashes))
        must(secret_from_hash(s, bytes_str(hashes[choice % 8])));
    else
        secret_from_clear(s, choice % 8 == 3 ? BYTES_NONE : BYTES_LITERAL(PASSWORD));
}

static bool contains(struct bytes text, struct bytes word)
{
    return text.len >= word.len && memmem(text.data, text.len, word.data, word.len) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const plugins[] = { "mysql_native_password", "caching_sha2_password",
                                           "sha256_password", "client_ed25519", "dialog" };
    uint8_t choices[4];
    struct secret secret;
    struct auth_client c;
    struct buf answer = { 0 };
    if (!fuzz_choices(&data, &size, choices) ||
        contains(bytes_of(data, size), BYTES_LITERAL(PASSWORD)))
        return 0; /* (what the server says itself is no secret) */
    bool is_private = choices[0] & 1;
    make_secret(&secret, choices[1]);
    auth_client_begin(&c, &secret, is_private, bytes_str(plugins[choices[2] % ARRAY_LEN(plugins)]),
                      (const uint8_t *)"abcdefghijklmnopqrst", &answer);
    struct cursor at = cursor_of(bytes_of(data, size));
    while (cursor_left(&at) > 0) {
        struct fault why = FAULT_NONE;
        bool has_answer = false;
        must(buf_len(&answer) <= 1024);
        must(is_private || !contains(buf_bytes(&answer), BYTES_LITERAL(PASSWORD)));
        buf_release(&answer);
        struct bytes payload = read_bytes(&at, MIN((size_t)read_u8(&at), cursor_left(&at)));
        if (!auth_client_next(&c, payload, &answer, &has_answer, &why)) {
            must(why.blame == BLAME_POLICY || why.blame == BLAME_SERVER || why.blame == BLAME_OURS);
            must(strstr(why.text, PASSWORD) == NULL);
            break;
        }
        must(has_answer || buf_len(&answer) == 0);
    }
    must(is_private || !contains(buf_bytes(&answer), BYTES_LITERAL(PASSWORD)));
    buf_release(&answer);
    secret_release(&secret);
    return 0;
}
