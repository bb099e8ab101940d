/*
 * protocol.h - the MySQL wire, both ends.  No I/O, no clock, no event loop.
 *
 * Whatever a peer sends is a view (struct bytes) until one of the readers below
 * has parsed it through a cursor that cannot leave its bounds.  Readers return
 * false and fill `why` when the bytes make no sense; they never guess.  Views in
 * what they give point into what they were given.
 *
 * Sources: the protocol chapters of the MySQL Internals documentation
 * (dev.mysql.com/doc/dev/mysql-server, PAGE_PROTOCOL) and of the MariaDB
 * Knowledge Base ("Client/Server Protocol").
 */
#ifndef PROTOCOL_PROTOCOL_H
#define PROTOCOL_PROTOCOL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/fault.h"

/* ---- wire.c: integers, length-encoded values, strings ------------------------ */

/* Reads forward; a read past the end gives 0 / an empty view and sets `bad`,
 * which stays: check once at the end. */
struct cursor {
    const uint8_t *at, *end;
    bool bad;
};

static inline struct cursor cursor_of(struct bytes b)
{
    return (struct cursor){ b.data, b.data != NULL ? b.data + b.len : NULL, false };
}
static inline size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}
uint8_t read_u8(struct cursor *c);
uint16_t read_u16(struct cursor *c);
uint32_t read_u24(struct cursor *c);
uint32_t read_u32(struct cursor *c);
uint64_t read_u64(struct cursor *c);
/* 0xFB (NULL) and 0xFF are bad here. */
uint64_t read_lenenc(struct cursor *c);
struct bytes read_bytes(struct cursor *c, size_t n);
struct bytes read_lenenc_bytes(struct cursor *c);
/* Up to a NUL, which is consumed; bad if there is none. */
struct bytes read_nul_bytes(struct cursor *c);
struct bytes read_rest(struct cursor *c);

void write_u8(struct buf *out, uint8_t v);
void write_u16(struct buf *out, uint16_t v);
void write_u24(struct buf *out, uint32_t v);
void write_u32(struct buf *out, uint32_t v);
void write_u64(struct buf *out, uint64_t v);
void write_lenenc(struct buf *out, uint64_t v);
void write_lenenc_bytes(struct buf *out, struct bytes b);
void write_nul_bytes(struct buf *out, struct bytes b);

/* ---- frame.c: frames and packets ---------------------------------------------- */

enum { FRAME_HEADER = 4, FRAME_MAX = 0xFFFFFF };

static inline uint32_t frame_len(const uint8_t *header)
{
    return header[0] | (uint32_t)header[1] << 8 | (uint32_t)header[2] << 16;
}
static inline uint8_t frame_seq(const uint8_t *header)
{
    return header[3];
}
static inline void frame_set_header(uint8_t *header, uint32_t len, uint8_t seq)
{
    header[0] = len & 0xFF, header[1] = len >> 8 & 0xFF, header[2] = len >> 16 & 0xFF;
    header[3] = seq;
}

/* A small packet written in place: begin, write_*(), end.  `mark` is what begin
 * returned.  end() fills in the header(s), splitting if the payload reached 16 MiB
 * - 1, and advances *seq. */
size_t packet_begin(struct buf *out);
void packet_end(struct buf *out, size_t mark, uint8_t *seq);
/* A whole packet from a payload that lies elsewhere; splits as needed. */
void packet_write(struct buf *out, uint8_t *seq, struct bytes payload);

/* Find the logical packet that begins at the window's front. */
struct packet {
    size_t wire_len;          /* with all headers                                  */
    size_t payload_len;       /* joined                                            */
    unsigned frames;
    uint8_t seq;              /* of the first frame                                */
    uint8_t next_seq;         /* after the last frame                              */
};
/* True when the packet is complete in the window; otherwise *need is how many
 * bytes the window must have before it is worth looking again.  False with
 * need = 0 and `why` filled (blame CLIENT: a caller that reads from a server changes it)
 * when frames are out of sequence or payload_len would pass max_payload (code 1153). */
bool packet_find(struct bytes window, size_t max_payload, struct packet *out, size_t *need,
                 struct fault *why);
/* The payload: a view into the window if there is one frame, else joined in the
 * arena. */
struct bytes packet_payload(struct bytes window, const struct packet *p, struct arena *a);

/* Number frames anew as they stream by, in parts of any size.  The first part begins where a frame does;
 * until then all but `seq`, the number of the next one, is zero. */
struct renumbering {
    uint8_t seq, header_bytes; /* how much of a header's length has been seen       */
    uint32_t length;           /* ... and what it says so far                       */
    uint32_t left;             /* payload of the present frame                      */
};
void renumber(struct renumbering *r, uint8_t *part, size_t len);

/* Reframing: insert bytes into a logical payload that streams by in frames and is too
 * large to hold.  Fed frame by frame; see frame.c for the picture. */
struct reframe {
    uint8_t carry[4096];      /* bytes pushed from one frame into the next          */
    uint32_t carried;
    uint32_t growth;          /* inserted bytes, until the first frame counts them  */
    uint32_t room;            /* bytes that still fit into the frame that leaves    */
    size_t tail_len;          /* length of an additional last frame, else SIZE_MAX  */
    uint8_t seq;              /* of the next frame that leaves                      */
};
/* Begin: `inserted` (at most sizeof carry) is what the payload grows by. */
void reframe_begin(struct reframe *r, size_t inserted, uint8_t seq);
/* A frame of in_len arrives: append the header of the frame that leaves, and what was
 * carried. */
void reframe_frame(struct reframe *r, size_t in_len, struct buf *out);
/* Append bytes of the arriving frame's payload, in parts of any size.  The bytes to
 * insert are passed likewise, at their place in the first frame. */
void reframe_pass(struct reframe *r, struct bytes part, struct buf *out);

/* ---- shape.c: capabilities ----------------------------------------------------- */

#define CAP_LONG_PASSWORD 0x00000001ull /* MariaDB calls this bit CLIENT_MYSQL */
#define CAP_FOUND_ROWS 0x00000002ull
#define CAP_LONG_FLAG 0x00000004ull
#define CAP_CONNECT_WITH_DB 0x00000008ull
#define CAP_NO_SCHEMA 0x00000010ull
#define CAP_COMPRESS 0x00000020ull
#define CAP_ODBC 0x00000040ull
#define CAP_LOCAL_FILES 0x00000080ull
#define CAP_IGNORE_SPACE 0x00000100ull
#define CAP_PROTOCOL_41 0x00000200ull
#define CAP_INTERACTIVE 0x00000400ull
#define CAP_SSL 0x00000800ull
#define CAP_IGNORE_SIGPIPE 0x00001000ull
#define CAP_TRANSACTIONS 0x00002000ull
#define CAP_RESERVED 0x00004000ull
#define CAP_SECURE_CONNECTION 0x00008000ull
#define CAP_MULTI_STATEMENTS 0x00010000ull
#define CAP_MULTI_RESULTS 0x00020000ull
#define CAP_PS_MULTI_RESULTS 0x00040000ull
#define CAP_PLUGIN_AUTH 0x00080000ull
#define CAP_CONNECT_ATTRS 0x00100000ull
#define CAP_PLUGIN_AUTH_LENENC 0x00200000ull
#define CAP_EXPIRED_PASSWORDS 0x00400000ull
#define CAP_SESSION_TRACK 0x00800000ull
#define CAP_DEPRECATE_EOF 0x01000000ull
#define CAP_OPTIONAL_METADATA 0x02000000ull
#define CAP_ZSTD 0x04000000ull
#define CAP_QUERY_ATTRIBUTES 0x08000000ull
#define CAP_MFA 0x10000000ull
#define CAP_CAPABILITY_EXTENSION 0x20000000ull
#define CAP_SSL_VERIFY 0x40000000ull
#define CAP_REMEMBER_OPTIONS 0x80000000ull
/* MariaDB's extended capabilities.  On the wire they have a field of their own, which is there
 * if bit 0 is not set; in memory they follow the others. */
#define CAP_PROGRESS (1ull << 32)
#define CAP_BULK (1ull << 34)
#define CAP_EXTENDED_METADATA (1ull << 35)
#define CAP_CACHE_METADATA (1ull << 36)
#define CAP_BULK_UNIT_RESULTS (1ull << 37)
#define CAPS_MARIADB 0xffffffff00000000ull

/* What Volvox itself understands on either hop today. */
#define CAPS_KNOWN                                                                           \
    (CAP_LONG_PASSWORD | CAP_FOUND_ROWS | CAP_LONG_FLAG | CAP_CONNECT_WITH_DB | CAP_NO_SCHEMA | \
     CAP_ODBC | CAP_LOCAL_FILES | CAP_IGNORE_SPACE | CAP_PROTOCOL_41 | CAP_INTERACTIVE |      \
     CAP_IGNORE_SIGPIPE | CAP_TRANSACTIONS | CAP_RESERVED | CAP_SECURE_CONNECTION |           \
     CAP_MULTI_STATEMENTS | CAP_MULTI_RESULTS | CAP_PS_MULTI_RESULTS | CAP_PLUGIN_AUTH |      \
     CAP_CONNECT_ATTRS | CAP_PLUGIN_AUTH_LENENC | CAP_SESSION_TRACK | CAP_DEPRECATE_EOF |     \
     CAP_REMEMBER_OPTIONS | CAP_EXPIRED_PASSWORDS | CAPS_FAMILY)
/* What only one family has; offered only for servers that have been seen to have it. */
#define CAPS_FAMILY                                                                            \
    (CAP_OPTIONAL_METADATA | CAP_QUERY_ATTRIBUTES | CAP_PROGRESS | CAP_BULK |                  \
     CAP_EXTENDED_METADATA | CAP_CACHE_METADATA | CAP_BULK_UNIT_RESULTS)
/* Part of a backend's fit: flags that change what statements mean, and dialects whose
 * translation would cost every result something (docs/decisions/20-dialects.md). */
#define CAPS_FIT                                                                               \
    (CAP_FOUND_ROWS | CAP_NO_SCHEMA | CAP_ODBC | CAP_LOCAL_FILES | CAP_IGNORE_SPACE |          \
     CAP_INTERACTIVE | CAP_MULTI_RESULTS | CAP_PS_MULTI_RESULTS | CAP_EXPIRED_PASSWORDS |      \
     CAP_OPTIONAL_METADATA | CAP_QUERY_ATTRIBUTES | CAP_EXTENDED_METADATA | CAP_CACHE_METADATA)

/* What to offer clients when the servers behind have `server_caps` (0: none was seen yet). */
uint64_t shape_offer(uint64_t server_caps);
/* What to ask a server that offered `server_caps`, for a session whose client asked for
 * `client_caps`: the richest dialect both ends know, plus the client's fit flags. */
uint64_t shape_ask(uint64_t server_caps, uint64_t client_caps);
enum compression { COMPRESSION_OFF = 0, COMPRESSION_ZLIB = 1, COMPRESSION_ZSTD = 2 };
/* The flags that offer a set (bits) of them; and which one flags agree on: zlib comes first, as with
 * servers. */
uint64_t compression_caps(unsigned algorithms);
enum compression compression_agreed(uint64_t caps);

#define STATUS_IN_TRANS 0x0001u
#define STATUS_AUTOCOMMIT 0x0002u
#define STATUS_MORE_RESULTS 0x0008u
#define STATUS_CURSOR_EXISTS 0x0040u
#define STATUS_LAST_ROW_SENT 0x0080u
#define STATUS_DB_DROPPED 0x0100u
#define STATUS_NO_BACKSLASH_ESCAPES 0x0200u
#define STATUS_METADATA_CHANGED 0x0400u
#define STATUS_PS_OUT_PARAMS 0x1000u
#define STATUS_IN_TRANS_READONLY 0x2000u
#define STATUS_SESSION_STATE_CHANGED 0x4000u
#define STATUS_ANSI_QUOTES 0x8000u    /* MariaDB */
/* Those about the session, not about one statement. */
#define STATUS_LASTING                                                                          \
    (STATUS_IN_TRANS | STATUS_AUTOCOMMIT | STATUS_NO_BACKSLASH_ESCAPES | STATUS_IN_TRANS_READONLY | \
     STATUS_ANSI_QUOTES)

/* ---- greeting.c ---------------------------------------------------------------- */

enum { SCRAMBLE_BYTES = 20 };

struct greeting {
    struct bytes version;     /* as on the wire: MariaDB's "5.5.5-" stays         */
    uint32_t thread_id;
    uint8_t scramble[SCRAMBLE_BYTES];
    uint64_t caps;
    uint8_t collation;
    uint16_t status;
    struct bytes plugin;      /* name                                             */
};
/* Payload of a server's first packet.  An ERR packet there (1040, 1129; without
 * SQLSTATE, since nothing is negotiated) becomes a fault of SERVER with its code. */
bool greeting_read(struct bytes payload, struct greeting *out, struct fault *why);
void greeting_write(struct buf *out, uint8_t *seq, const struct greeting *g);
bool greeting_is_mariadb(const struct greeting *g);
/* "5.5.5-10.11.19-MariaDB" -> 101119, "9.7.4-2" -> 90704; 0 if it begins with no number. */
uint32_t version_number(struct bytes version, bool is_mariadb);
/* Random bytes without NUL and '$', as servers make them. */
void scramble_make(uint8_t out[SCRAMBLE_BYTES]);
/* Random bytes, for ed25519. */
void nonce_make(uint8_t out[32]);
/* The same from a secret of the process and a number that is used once: who keeps the secret need not
 * keep the scramble. */
void scramble_derive(const uint8_t secret[32], uint64_t number, uint8_t out[SCRAMBLE_BYTES]);

struct login {
    uint64_t caps;
    uint32_t max_packet;
    uint8_t collation;
    bool is_ssl_request;      /* only the fixed part came, with the flag for TLS,
                                 offered or not                                   */
    struct bytes user, auth, schema, plugin;
    struct bytes attributes;  /* the key/value block, raw; at most 64 KiB         */
    uint8_t zstd_level;       /* with CAP_ZSTD                                    */
};
/* `offered` are the capabilities of our greeting: what the client claims beyond
 * them is taken out of out->caps.  A client without PROTOCOL_41 is refused (1043). */
bool login_read(struct bytes payload, uint64_t offered, struct login *out, struct fault *why);
/* Does the first packet ask for TLS?  Then `out` has its fixed part.  Servers go by the flag,
 * whatever else is in the packet, and read all of it again after the handshake. */
bool login_asks_for_tls(struct bytes payload, uint64_t offered, struct login *out);
void login_write(struct buf *out, uint8_t *seq, const struct login *l);

/* COM_CHANGE_USER: payload without the command byte; caps are the session's. */
struct change_user {
    struct bytes user, auth, schema, plugin, attributes;
    uint16_t collation;       /* 0 when not sent */
};
bool change_user_read(struct bytes payload, uint64_t caps, struct change_user *out,
                      struct fault *why);

/* Walk a block of attributes; false at its end or when malformed (at->bad). */
bool attribute_next(struct cursor *at, struct bytes *name, struct bytes *value);

/* ---- secret.c: what is known of a password ------------------------------------------ */

enum auth_plugin {
    AUTH_NATIVE,              /* mysql_native_password                             */
    AUTH_CACHING_SHA2,        /* caching_sha2_password                             */
    AUTH_SHA256,              /* sha256_password                                   */
    AUTH_CLEAR,               /* mysql_clear_password                              */
    AUTH_ED25519,             /* MariaDB's client_ed25519                          */
    AUTH_PARSEC,              /* MariaDB's parsec                                  */
    AUTH_UNKNOWN
};
enum auth_plugin auth_plugin_by_name(struct bytes name);
struct bytes auth_plugin_name(enum auth_plugin p);

/* SHA256-crypt, as servers store passwords for caching_sha2_password and sha256_password. */
enum { CRYPT_SALT_BYTES = 20, ED25519_KEY_BYTES = 32 };
struct sha_crypt {
    uint32_t rounds;
    uint8_t salt[CRYPT_SALT_BYTES];
    uint8_t digest[32];
};

/* Bits of secret.forms. */
#define KNOWN_CLEAR 0x01u
#define KNOWN_SHA1 0x02u              /* enough to log in with native                     */
#define KNOWN_SHA1_TWICE 0x04u        /* enough to check native                           */
#define KNOWN_SHA256_TWICE 0x08u      /* enough to check caching_sha2's fast way          */
#define KNOWN_CRYPT 0x10u             /* enough to check a password that comes itself     */
#define KNOWN_ED25519 0x20u           /* enough to check ed25519                          */

/* What is known of an account's password.  Immutable once made; release it. */
struct secret {
    uint32_t forms;
    bool has_password;        /* false: the account's password is empty           */
    uint8_t mark[32];         /* equal if the same is known of the same password  */
    uint8_t sha1[20];         /* SHA1(password)                                   */
    uint8_t sha1_twice[20];   /* SHA1(SHA1(password))                             */
    uint8_t sha256_twice[32]; /* SHA256(SHA256(password))                         */
    uint8_t ed25519[ED25519_KEY_BYTES]; /* public key                             */
    struct sha_crypt crypt;
    char *clear;              /* NUL-terminated; owned, secret_release() wipes it */
    size_t clear_len;
};
void secret_from_clear(struct secret *s, struct bytes password);
/* From what a server stores: "*40HEX", "$A$005$...", "$5$..." (both also as 0xHEX, as their salts may
 * hold any byte) or an ed25519 key of 43 characters.  False when it is none of them. */
bool secret_from_hash(struct secret *s, struct bytes text);
void secret_copy(struct secret *to, const struct secret *from);
bool secret_equal(const struct secret *a, const struct secret *b);
void secret_release(struct secret *s);
/* "its mysql_native_password hash", for messages. */
const char *secret_words(const struct secret *s);

/* SHA256 of the one part and the other. */
void sha256_of(struct bytes a, struct bytes b, uint8_t out[32]);

/* Can a client prove it by this plugin, without sending the password itself? */
bool secret_checks(const struct secret *s, enum auth_plugin p);
/* Is enough known to log in at a server by this plugin? */
bool secret_logs_in(const struct secret *s, enum auth_plugin p);
/* A client's native token that matches tells SHA1(password) to who knows SHA1(SHA1(password)). */
void secret_learn_native(struct secret *s, const uint8_t scramble[SCRAMBLE_BYTES],
                         const uint8_t token[20]);

/* ---- auth*.c: proofs ------------------------------------------------------------------ */

enum { ED25519_NONCE_BYTES = 32, ED25519_SIGNATURE_BYTES = 64 };

/* Does the client's token (native, or caching_sha2's first) prove the password?  Constant time; for an
 * account that does not exist pass a secret like those that do and ignore the answer. */
bool auth_token_matches(enum auth_plugin p, const uint8_t scramble[SCRAMBLE_BYTES],
                        struct bytes token, const struct secret *secret);
bool auth_signature_matches(const uint8_t nonce[ED25519_NONCE_BYTES], struct bytes signature,
                            const struct secret *secret);
/* The same for a password that came itself (TLS, RSA).  With KNOWN_CRYPT alone it takes milliseconds,
 * so it is done in pieces: begin, then step until it says true, then `matches` is the answer. */
struct clear_proof {
    bool matches;
    const struct secret *secret;
    struct bytes password;    /* the caller's */
    struct sha_crypt_work {
        uint32_t done;
        uint8_t digest[32], salt_sequence[CRYPT_SALT_BYTES], password_sequence[256];
    } work;
};
void clear_proof_begin(struct clear_proof *c, struct bytes password, const struct secret *secret);
bool clear_proof_step(struct clear_proof *c);
/* Longer ones are refused, as servers do. */
enum { PASSWORD_MAX_BYTES = 256 };

/* Our token as a client, for native and caching_sha2's first: at most 32 bytes, returns the length (0 for
 * an empty password, or when too little is known). */
size_t auth_token_make(enum auth_plugin p, const uint8_t scramble[SCRAMBLE_BYTES],
                       const struct secret *secret, uint8_t out[32]);
/* Our signature.  False when the password is not known. */
bool auth_sign(const uint8_t nonce[ED25519_NONCE_BYTES], const struct secret *secret,
               uint8_t out[ED25519_SIGNATURE_BYTES]);

/* AuthSwitchRequest: 0xFE plugin NUL data; most plugins' data is a scramble and a NUL. */
void auth_switch_write(struct buf *out, uint8_t *seq, struct bytes plugin, struct bytes data);
void auth_switch_write_scramble(struct buf *out, uint8_t *seq, enum auth_plugin p,
                                const uint8_t scramble[SCRAMBLE_BYTES]);
/* As received: false for the pre-4.1 form (a lone 0xFE), nonsense, and too little data for a plugin that
 * we know. */
bool auth_switch_read(struct bytes payload, struct bytes *plugin, struct bytes *data,
                      struct fault *why);
/* 0x01 more-data. */
void auth_more_write(struct buf *out, uint8_t *seq, struct bytes data);

enum { SHA2_REQUEST_KEY = 2, SHA2_FAST_OK = 3, SHA2_FULL_AUTH = 4, SHA256_REQUEST_KEY = 1 };

/* ---- auth_client.c: our side of a login at a server ------------------------------------ */

struct auth_client {
    const struct secret *secret;
    bool is_private;          /* nobody between can read along: passwords may go in clear */
    enum auth_plugin plugin;
    uint8_t scramble[32];     /* 20 bytes, or a nonce of 32                               */
    enum { AUTH_ANSWERED, AUTH_WANTS_KEY, AUTH_WANTS_SALT } stage;
};
/* The server's greeting names a plugin and has a scramble: our first answer to `token` (not more than 64
 * bytes), for the plugin that c->plugin then names. */
void auth_client_begin(struct auth_client *c, const struct secret *secret, bool is_private,
                       struct bytes plugin, const uint8_t scramble[SCRAMBLE_BYTES],
                       struct buf *token);
/* A payload that is neither OK (0x00) nor ERR (0xFF): our answer, unless `has_answer` says that none is
 * due.  False (POLICY: too little is known of the password, or it must not be sent; SERVER: nonsense). */
bool auth_client_next(struct auth_client *c, struct bytes payload, struct buf *answer,
                      bool *has_answer, struct fault *why);

/* ---- auth_rsa.c ------------------------------------------------------------------------- */

/* A 2048 bit RSA key pair for full authentication without TLS.  Immutable once made;
 * any thread. */
struct rsa_key;
struct rsa_key *rsa_key_new(struct fault *why);               /* takes some 100 ms */
struct rsa_key *rsa_key_load(const char *pem_file, struct fault *why);
void rsa_key_free(struct rsa_key *k);
struct bytes rsa_key_public_pem(const struct rsa_key *k);
/* The client's encrypted (password NUL) XOR scramble -> password (without NUL) into
 * `password` (size bytes); returns its length or -1 when it does not decrypt. */
int rsa_key_decrypt(const struct rsa_key *k, struct bytes cipher,
                    const uint8_t scramble[SCRAMBLE_BYTES], uint8_t *password, size_t size);
/* The client's side: encrypt for a server whose public key came as PEM. */
bool rsa_encrypt_password(struct bytes pem, const uint8_t scramble[SCRAMBLE_BYTES],
                          const struct secret *secret, struct buf *out, struct fault *why);

/* ---- command.c -------------------------------------------------------------------- */

enum command_code {
    COM_SLEEP = 0x00, COM_QUIT = 0x01, COM_INIT_DB = 0x02, COM_QUERY = 0x03,
    COM_FIELD_LIST = 0x04, COM_CREATE_DB = 0x05, COM_DROP_DB = 0x06, COM_REFRESH = 0x07,
    COM_SHUTDOWN = 0x08, COM_STATISTICS = 0x09, COM_PROCESS_INFO = 0x0A, COM_CONNECT = 0x0B,
    COM_PROCESS_KILL = 0x0C, COM_DEBUG = 0x0D, COM_PING = 0x0E, COM_TIME = 0x0F,
    COM_DELAYED_INSERT = 0x10, COM_CHANGE_USER = 0x11, COM_BINLOG_DUMP = 0x12,
    COM_TABLE_DUMP = 0x13, COM_CONNECT_OUT = 0x14, COM_REGISTER_SLAVE = 0x15,
    COM_STMT_PREPARE = 0x16, COM_STMT_EXECUTE = 0x17, COM_STMT_SEND_LONG_DATA = 0x18,
    COM_STMT_CLOSE = 0x19, COM_STMT_RESET = 0x1A, COM_SET_OPTION = 0x1B, COM_STMT_FETCH = 0x1C,
    COM_DAEMON = 0x1D, COM_BINLOG_DUMP_GTID = 0x1E, COM_RESET_CONNECTION = 0x1F,
    COM_CLONE = 0x20, COM_SUBSCRIBE_GROUP_STREAM = 0x21, /* MySQL */
    COM_STMT_BULK_EXECUTE = 0xFA
};
const char *command_name(uint8_t code);      /* "Query", "Execute", ... as SHOW PROCESSLIST; or NULL */

/* What answers a command. */
enum response_kind {
    RESPONSE_NONE,            /* nothing: STMT_CLOSE, SEND_LONG_DATA, QUIT             */
    RESPONSE_OK,              /* one OK, EOF or ERR packet                             */
    RESPONSE_RESULT,          /* OK, ERR, LOCAL INFILE, result sets, more results      */
    RESPONSE_PREPARE,         /* prepare OK with definitions, or ERR                   */
    RESPONSE_FIELDS,          /* column definitions until EOF, or ERR                  */
    RESPONSE_ROWS,            /* rows until EOF, or ERR (FETCH)                        */
    RESPONSE_STRING,          /* one packet, free text, or ERR (STATISTICS)            */
    RESPONSE_STREAM,          /* ERR, or the end of commands and answers (BINLOG_DUMP) */
};
/* CHANGE_USER is called RESPONSE_OK, but an authentication may come before. */
enum response_kind command_response(uint8_t code);

/* ---- reply.c: OK, ERR, EOF ---------------------------------------------------------- */

struct ok {
    uint64_t affected, insert_id;
    uint16_t status, warnings;
    struct bytes info;        /* human-readable                                    */
    struct bytes track;       /* session state block without its length, maybe empty */
};
/* Payload of an OK packet, header 0x00 or 0xFE; caps as negotiated where it came from. */
bool ok_read(struct bytes payload, uint64_t caps, struct ok *out, struct fault *why);
/* As an OK packet of the given header (0x00, or 0xFE at the end of rows under
 * DEPRECATE_EOF); fields as `caps` allow.  (STATE_CHANGED may stand without any entry.) */
void ok_write(struct buf *out, uint8_t *seq, const struct ok *ok, uint8_t header, uint64_t caps);
void eof_write(struct buf *out, uint8_t *seq, uint16_t status, uint16_t warnings);
/* The end of rows in the client's dialect: ok_write(0xFE) or eof_write. */
void end_of_rows_write(struct buf *out, uint8_t *seq, const struct ok *ok, uint64_t caps);

struct err {
    uint16_t code;
    char sqlstate[6];         /* "" when none was sent */
    struct bytes text;
};
bool err_read(struct bytes payload, struct err *out, struct fault *why);
void err_write(struct buf *out, uint8_t *seq, unsigned code, const char *sqlstate,
               struct bytes text, uint64_t caps);

/* Session state changes, one after the other. */
enum track_type { TRACK_SYSVAR, TRACK_SCHEMA, TRACK_STATE, TRACK_GTID, TRACK_TRX_CHARACTERISTICS,
                  TRACK_TRX_STATE };
struct track {
    uint8_t type;             /* enum track_type, or one we don't know             */
    struct bytes name;        /* SYSVAR only                                       */
    struct bytes value;       /* SYSVAR value, schema, "1"/"0", gtid, text, flags  */
    struct bytes raw;         /* the whole entry, to forward it                    */
};
/* False at the end or when malformed (at->bad).  A SYSVAR entry may hold several
 * name/value pairs; each is given on its own (`raw` only with the first, else empty). */
struct track_walk {
    struct cursor at;         /* entries              */
    struct cursor pairs;      /* inside a SYSVAR entry */
};
void track_begin(struct track_walk *w, struct bytes track);
bool track_next(struct track_walk *w, struct track *out);
/* Append one entry of name and value / of one value. */
void track_write_sysvar(struct buf *out, struct bytes name, struct bytes value);
void track_write(struct buf *out, enum track_type type, struct bytes value);

/* ---- response.c: where a response ends ---------------------------------------------- */

/* Follows the bytes that a server sends for one command, frame by frame, without
 * holding them.  The caller shows it what lies in its buffer; the machine says how much
 * of that is of no interest (rows, definitions: pass on as they are) and stops at every
 * packet that means something. */
struct response {
    uint8_t kind;             /* enum response_kind                               */
    uint8_t stage;            /* inside response.c                                */
    uint8_t seq_shift;        /* added to the sequence number of what passes; the caller
                                 raises it when it inserts a packet              */
    uint8_t next_seq;         /* expected from the server                         */
    bool long_packet;         /* the last frame was full: the packet goes on      */
    bool tells_definitions;   /* the caller, after response_begin(), wants them one by one */
    bool no_definitions;      /* the server leaves them out                        */
    bool any_seq;             /* set after response_begin(): the server's numbers say nothing, as
                                 within compressed frames, where they jump       */
    uint64_t caps;            /* negotiated with the server                       */
    uint64_t frame_left;      /* bytes of the present frame still to pass         */
    uint64_t definitions_left;
    uint16_t prepare_columns; /* definitions after those of the parameters        */
    uint32_t columns;         /* of the last result set that began                */
    uint64_t rows;            /* of all result sets                               */
    uint64_t bytes;           /* of the whole response                            */
};

enum response_step {
    STEP_MORE,                /* the window must have `need` bytes                         */
    STEP_PASS,                /* `len` bytes: pass on as they are (headers are already
                                 renumbered in place by seq_shift)                         */
    STEP_COLUMNS,             /* only if tells_definitions: the column count               */
    STEP_DEFINITION,          /* likewise: a definition, of FIELDS too                     */
    STEP_COLUMNS_END,         /* definitions are over; under DEPRECATE_EOF nothing was sent
                                 (len 0), else `len` bytes of EOF packet.  Not told when a
                                 cursor was opened: then END_OF_ROWS follows at once       */
    STEP_OK,                  /* an OK packet, `len` bytes: end of the response, or of one
                                 result if STATUS_MORE_RESULTS                             */
    STEP_END_OF_ROWS,         /* OK (0xFE) or EOF at the end of rows; as above.  Trust `last`,
                                 not the status: without DEPRECATE_EOF MySQL leaves out
                                 MORE_RESULTS behind OUT parameters                        */
    STEP_ERR,                 /* the end                                                   */
    STEP_PROGRESS,            /* MariaDB's report of progress; the response goes on        */
    STEP_INFILE,              /* the server asks for a file; the payload is 0xFB name.  The
                                 response goes on after the upload: response_after_infile() */
    STEP_PREPARED,            /* prepare OK: payload is 0x00 id columns params 0 warnings  */
    STEP_STREAM,              /* what lies in the window and all that comes, both ways, is no
                                 command or response any more                              */
    STEP_BAD,                 /* the server broke the protocol: `why` says how             */
};
struct response_found {
    size_t len;               /* bytes at the front of the window this step is about */
    size_t need;              /* with STEP_MORE                                      */
    uint8_t *payload;         /* of a packet that means something: inside the window */
    size_t payload_len;
    uint8_t seq;              /* the packet's number, seq_shift included             */
    bool last;                /* after this step the response is over                */
};

/* `caps` as negotiated with the server; first_seq is 1 for an ordinary command. */
void response_begin(struct response *r, enum response_kind kind, uint64_t caps, uint8_t first_seq);
/* Look at the window (len may be 0).  Packets that mean something are required
 * whole in the window, up to 1 MiB; longer ones are STEP_BAD.  After any step but
 * STEP_MORE the caller drops `len` bytes from the window and calls again unless
 * `last`.  For one-packet answers that end with OK/EOF/ERR the step is STEP_OK or
 * STEP_ERR; RESPONSE_STRING passes its packet with STEP_PASS and last. */
enum response_step response_next(struct response *r, uint8_t *window, size_t len,
                                 struct response_found *found, struct fault *why);
/* How much of what comes next, beyond a window that is empty, will pass whatever it is: the frame under way,
 * but for its last byte.  The caller may pass `n` of it on by itself, and says so. */
uint64_t response_blind(const struct response *r);
void response_passed(struct response *r, uint64_t n);
/* The upload is done, the server's next packet has this number. */
void response_after_infile(struct response *r, uint8_t next_seq);

/* ---- rows.c: definitions and rows, for answers of our own and for tests --------------- */

enum { TYPE_TINY = 0x01, TYPE_SHORT = 0x02, TYPE_LONG = 0x03, TYPE_FLOAT = 0x04, TYPE_DOUBLE = 0x05,
       TYPE_LONGLONG = 0x08, TYPE_NEWDECIMAL = 0xF6, TYPE_VAR_STRING = 0xFD };
enum { FLAG_NOT_NULL = 0x0001, FLAG_UNSIGNED = 0x0020, FLAG_BINARY = 0x0080 };
struct column {
    struct bytes schema, table, org_table, name, org_name;
    uint16_t charset;
    uint32_t length;
    uint8_t type;
    uint16_t flags;
    uint8_t decimals;
};
bool column_read(struct bytes payload, uint64_t caps, struct column *out, struct fault *why);
/* Where in a definition CAP_EXTENDED_METADATA has its description of the type. */
bool column_extension_at(struct bytes payload, size_t *at, struct fault *why);
void column_write(struct buf *out, uint8_t *seq, const struct column *c);
void column_count_write(struct buf *out, uint8_t *seq, uint64_t count);
struct column_count {
    uint64_t count;
    bool follow;              /* the definitions; not always under CAP_CACHE_METADATA and
                                 CAP_OPTIONAL_METADATA, where a byte says so       */
};
bool column_count_read(struct bytes payload, uint64_t caps, struct column_count *out);
/* A text row; values with data NULL are NULL. */
void text_row_write(struct buf *out, uint8_t *seq, const struct bytes *values, size_t count);
/* At most `count` values; false if the row has not exactly that many. */
bool text_row_read(struct bytes payload, struct bytes *values, size_t count, struct fault *why);

/* ---- prepare.c: PREPARE and EXECUTE ------------------------------------------------------ */

struct prepared {
    uint32_t id;
    uint16_t columns, params, warnings;
    bool follow;              /* their definitions                                    */
};
bool prepared_read(struct bytes payload, uint64_t caps, struct prepared *out, struct fault *why);

/* The front of COM_STMT_EXECUTE's and COM_STMT_BULK_EXECUTE's payload (command byte included). */
struct execute {
    uint32_t id;
    uint16_t flags;           /* EXECUTE: cursor type; BULK_EXECUTE: BULK_*              */
    uint64_t n_values;        /* the parameters', and behind them those of attributes    */
    bool has_names;           /* a name behind each type (CAP_QUERY_ATTRIBUTES)          */
    bool types_sent;
    size_t nulls_at;          /* offsets, 0 if there is nothing: the NULL bitmap,        */
    size_t flag_at;           /* the byte whose `flag` says that types are sent,         */
    size_t types_at;          /* where they are, or would be,                            */
    size_t values_at;
    uint8_t flag;
};
/* `payload` may be only the first part of a long packet, as long as the fixed part, the NULL
 * bitmap and the types are in it; `caps` are the sender's. */
bool execute_read(struct bytes payload, unsigned params, uint64_t caps, struct execute *out,
                  struct fault *why);
/* The parameters' types, which were sent: 2 bytes each into `types`. */
void execute_types(struct bytes payload, const struct execute *x, unsigned params, uint8_t *types);
enum { EXECUTE_FIXED_BYTES = 10 };     /* command, id, flags, iterations */
enum { EXECUTE_CURSOR = 0x07, EXECUTE_HAS_COUNT = 0x08 };  /* flags of COM_STMT_EXECUTE */
enum { BULK_UNIT_RESULTS = 0x40, BULK_TYPES = 0x80 };      /* flags of COM_STMT_BULK_EXECUTE */

/* ---- attributes.c: query attributes -------------------------------------------------------- */

/* Where the text begins in COM_QUERY's payload (command byte included), or its first part. */
bool query_read(struct bytes payload, uint64_t caps, size_t *text_at, struct fault *why);
/* A COM_STMT_EXECUTE for a server that knows no attributes: at most payload.len bytes to `to`;
 * returns how many, 0 if it is malformed.  If there are attributes the payload must be whole and
 * no parameter sent as long data. */
size_t execute_strip(struct bytes payload, const struct execute *x, unsigned params, uint8_t *to,
                     struct fault *why);

/* ---- charset.c --------------------------------------------------------------------------- */

enum { UTF8MB3_GENERAL = 33, UTF8MB4_GENERAL = 45 };   /* all servers have them */
struct collation {
    uint16_t id;
    uint8_t servers;          /* which have it: charset.c                             */
    const char *charset, *name;
};
/* NULL when unknown. */
const struct collation *collation_by_id(unsigned id);
const struct collation *collation_by_name(struct bytes name);
/* Does a server of this family and version have it?  Servers silently take their default for a
 * login with an id that they don't have. */
bool collation_known(unsigned id, bool is_mariadb, uint32_t version);
/* Can a client's text be in it?  Not with two or four bytes to each character: servers refuse a login with
 * such a collation. */
bool charset_is_for_clients(const char *charset);
/* Bytes that an ASCII character has in it. */
size_t charset_width(struct bytes charset);

/* ---- sqlstate.c --------------------------------------------------------------------------- */

/* Error numbers we send, by the server's own names. */
enum {
    ER_CON_COUNT_ERROR = 1040, ER_OUT_OF_RESOURCES = 1041, ER_HANDSHAKE_ERROR = 1043,
    ER_DBACCESS_DENIED = 1044, ER_ACCESS_DENIED = 1045, ER_NO_DB = 1046, ER_UNKNOWN_COM = 1047,
    ER_BAD_DB = 1049, ER_SERVER_SHUTDOWN = 1053, ER_PARSE_ERROR = 1064, ER_NO_SUCH_THREAD = 1094,
    ER_KILL_DENIED = 1095, ER_UNKNOWN_ERROR = 1105, ER_HOST_IS_BLOCKED = 1129,
    ER_PACKET_TOO_LARGE = 1153, ER_PACKETS_OUT_OF_ORDER = 1156, ER_NET_READ_ERROR = 1158,
    ER_NEW_ABORTING_CONNECTION = 1184, ER_WRONG_VALUE_FOR_VAR = 1231, ER_UNKNOWN_STMT = 1243,
    ER_NOT_SUPPORTED_AUTH_MODE = 1251, ER_QUERY_INTERRUPTED = 1317,
    ER_MUST_CHANGE_PASSWORD = 1820, ER_MALFORMED_PACKET = 1835, ER_MUST_CHANGE_PASSWORD_LOGIN = 1862,
    ER_CONNECTION_KILLED = 1927, CR_SERVER_LOST = 2013, CR_SSL_CONNECTION_ERROR = 2026, CR_AUTH_PLUGIN_CANNOT_LOAD = 2059,
    ER_WRONG_COMPRESSION_LEVEL = 3923, ER_CLIENT_INTERACTION_TIMEOUT = 4031
};
/* "HY000" for those not in the table. */
const char *sqlstate_of(unsigned code);

/* ---- compress.c, engine.c: the compressed protocol ------------------------------------------ */

enum {
    COMPRESSED_HEADER = 7,
    COMPRESSED_MIN = 50,      /* up to here a piece is stored, not compressed           */
    COMPRESSED_PIECE = 64 << 10, /* most that compressed_write() puts into one frame      */
    ZSTD_LEVEL_USUAL = 3, ZSTD_LEVEL_MAX = 22,
};

/* One connection, both ways. */
struct compressed {
    enum compression algorithm;
    uint8_t level;            /* 0: the algorithm's usual one                           */
    bool is_client;           /* of this connection: what is written are commands       */
    uint8_t seq;              /* of the next compressed frame, whoever sends it         */
    /* where we are among the ordinary frames of the client: written, or read by its server */
    uint8_t last_seq;         /* of the last one                                        */
    uint8_t header[FRAME_HEADER], header_len; /* of one that came in parts             */
    uint32_t plain_left;
    bool heard;               /* writing: something has been read since the last one    */
    /* reading, from a client */
    bool goes_on;             /* the last ordinary frame was full: another one follows  */
    bool begins;              /* see compressed_begin()                                 */
    bool is_out_of_order;     /* see compressed_read()                                  */
    uint8_t in_seq;           /* of the frame under way                                 */
    /* reading */
    bool in_frame, is_stored;
    bool is_unchecked;        /* what is left of the frame is to be skipped             */
    bool is_full;             /* the engine may have more to give                       */
    uint32_t in_left;         /* of the frame under way: bytes not read yet             */
    uint32_t due;             /* ... and uncompressed bytes not given yet               */
    struct engine *engine;    /* that decompresses it, or NULL                          */
};
void compressed_init(struct compressed *c, enum compression algorithm, unsigned level,
                     bool is_client);
void compressed_release(struct compressed *c);

/* What the connections of one thread share. */
struct compress_tools;
struct compress_tools *compress_tools_new(void);
void compress_tools_free(struct compress_tools *tools);       /* NULL is fine */

/* Append one compressed frame, made of the front of `data` (not empty; ordinary frames in any parts, but as
 * a client a command's first header whole): how many bytes of it went in, never more than COMPRESSED_PIECE;
 * 0 when memory was refused. */
size_t compressed_write(struct compressed *c, struct compress_tools *tools, struct bytes data,
                        struct buf *out);
/* Read on: what was taken from the front of `in`, how many bytes were given (at most `room`).  Stops in front
 * of a frame numbered 0 once it has given something, so that what is sent next answers what
 * was read.  False when the peer's frames make no sense; they hold exactly what they say.
 *
 * A client's frames must count on within a packet, and those of a command from 0: else
 * is_out_of_order is set as well.  About the numbers of the ordinary frames servers do not care: they
 * are made right. */
bool compressed_read(struct compressed *c, struct compress_tools *tools, struct bytes in,
                     size_t *taken, uint8_t *to, size_t room, size_t *given);
/* All that was read has been served, so the client's next frame must begin a command. */
void compressed_begin(struct compressed *c);
/* Nothing will be read for a while: what a frame that has been read still holds is given back.  False if
 * there is a frame that has begun. */
bool compressed_rest(struct compressed *c, struct compress_tools *tools);
/* Would it give something, when in_len bytes that it has not taken are at hand? */
bool compressed_has_more(const struct compressed *c, size_t in_len);
/* All that a frame holds has been given; its trailer has not been read. */
bool compressed_is_ending(const struct compressed *c);

/* ---- proxy_header.c: the PROXY protocol ------------------------------------------------------ */

enum proxy_version { PROXY_OFF, PROXY_V1, PROXY_V2 };
/* UNKNOWN: nothing is said of the client (v1 UNKNOWN, v2 LOCAL or unspecified): the connection's own
 * address counts. */
enum proxy_family { PROXY_UNKNOWN, PROXY_IP4, PROXY_IP6, PROXY_UNIX };
struct proxy_header {
    enum proxy_family family;
    struct proxy_end {
        uint8_t ip[16];       /* 4 bytes of it for IP4; network order                   */
        uint16_t port;
    } from, to;               /* the client; where it connected to                      */
    size_t wire_len;
};
/* Might these be the first bytes of a header?  Of a client's first frame they can't be: neither version
 * has its number, 1, in the right place. */
bool proxy_header_begins(const uint8_t first[FRAME_HEADER]);
/* As packet_find(): false with *need when more bytes are needed, or with need 0 and `why`
 * (POLICY: in the words of MariaDB, to be told to the client). */
bool proxy_header_read(struct bytes window, struct proxy_header *out, size_t *need,
                       struct fault *why);
void proxy_header_write(struct buf *out, enum proxy_version version, const struct proxy_header *h);

#endif
