/*
 * net.h - a stream of bytes, whatever is below it; listeners; addresses.
 *
 * A stream belongs to one worker and is embedded in what it serves (a session,
 * a backend).  Its two buffers are borrowed while in use: an idle stream holds
 * none.  Functions that take a task park until they can go on, fail or pass
 * the deadline; the others never park.
 *
 * Faults name the peer's side: the creator says with `blame` who is at the other
 * end (BLAME_CLIENT or BLAME_SERVER); a passed deadline is BLAME_TIME.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>

#include "base/buf.h"
#include "base/fault.h"
#include "protocol/protocol.h"
#include "run/run.h"

/* ---- addresses ------------------------------------------------------------ */

/* A socket address: IPv4, IPv6 or unix. */
struct address {
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
};

enum { ADDRESS_TEXT_BYTES = 128 };

/* "10.0.0.1:3306", "[::1]:3306", "/run/mysqld.sock"; port may be missing when
 * default_port is not 0.  Only numeric hosts; false for names (address_resolve)
 * and for nonsense. */
bool address_parse(struct bytes text, uint16_t default_port, struct address *out,
                   struct fault *why);
/* Also resolves names, BLOCKING: control and probe threads only.  The first
 * address found. */
bool address_resolve(struct bytes text, uint16_t default_port, struct address *out,
                     struct fault *why);
/* The host of "host:port", as written; "" for a path and for nonsense. */
enum { ADDRESS_HOST_BYTES = 256 };
void address_host(struct bytes text, char out[ADDRESS_HOST_BYTES]);
/* As parsed; the IP without port when !with_port ("localhost" for unix sockets). */
void address_print(const struct address *a, bool with_port, char out[ADDRESS_TEXT_BYTES]);
bool address_equal(const struct address *a, const struct address *b);
/* Write an IPv4 address that came as IPv6 (::ffff:10.0.0.1) as such. */
void address_unmap(struct address *a);

/* Addresses: "10.0.0.0/8", "2001:db8::/32", "10.0.0.1", "localhost" (unix sockets), "*" (all). */
struct network {
    int family;               /* AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC: all */
    unsigned bits;
    uint8_t ip[16];
};
bool network_parse(struct bytes text, struct network *out);
bool network_has(const struct network *n, const struct address *a);

/* Both ends of a client's connection: the client, and where it connected to. */
struct ends {
    struct address from, to;
};
bool ends_of_socket(int fd, struct ends *out);       /* false: it is not connected any more */
/* False, unchanged, if the header says nothing of the client. */
bool ends_from_header(const struct proxy_header *h, struct ends *out);
void ends_to_header(const struct ends *ends, struct proxy_header *out);
/* The bytes of the IP; none for a unix socket. */
struct bytes address_ip(const struct address *a);

/* ---- streams -------------------------------------------------------------- */

struct layer;
struct stream {
    struct watch watch;       /* fd is watch.on_read.fd; -1 when closed */
    struct worker *worker;
    struct buf in, out;
    struct layer *top;        /* what it reads and writes through; NULL: the socket. Owned */
    uint32_t in_limit_bytes;  /* most that stream_need() may ask for; 16 MiB at first */
    enum blame blame : 8;     /* whom a failure is laid to */
    bool peer_closed : 1;     /* recv returned 0 */
    bool broken : 1;          /* send or recv failed: nothing more can be sent */
    bool unreadable : 1;      /* recv failed; after a failed send what has come can be read */
    bool passed_on : 1;       /* its socket ends at a load balancer, not at the client */
    bool in_filled : 1;       /* there is, or may be, more to receive that the loop won't tell of:
                                 the last recv() took all the room it was offered, or a layer holds it */
    uint64_t received, sent;  /* bytes, ever, as they lie in the buffers */
};

static inline int stream_fd(const struct stream *st)
{
    return st->watch.on_read.fd;
}

/* Take over a connected, non-blocking descriptor. */
void stream_open(struct stream *st, struct worker *w, int fd, enum blame blame);
/* Close the descriptor (if any) and give up buffers and watchers; also of a stream
 * that is zeroed, closed already, or between two workers. */
void stream_close(struct stream *st);
/* `to` (not open) takes over descriptor, buffers and layers; `from` is closed then. */
void stream_move(struct stream *to, struct stream *from);
/* Take the stream out of this worker / into that one (lending): buffers, layers and the
 * descriptor move along. */
void stream_leave_worker(struct stream *st);
void stream_join_worker(struct stream *st, struct worker *w);

/* Wait until at least n bytes are in st->in.  Parks only if they are not there
 * and recv() has nothing.  One recv() reads what is there: 4 KiB at first, from
 * 64 KiB up when the one before was filled, so that memory follows what arrives and
 * not what a length field promises.  False: peer closed, error, deadline (loop time,
 * 0 none), cancelled; n beyond in_limit_bytes (the peer's blame, code 1153). */
bool stream_need(struct task *t, struct stream *st, size_t n, double deadline, struct fault *why);
/* One recv() without waiting: how many bytes came; 0 none yet; -1 closed or
 * error (peer_closed, broken say which; broken also when memory was refused or
 * in_limit_bytes and 64 KiB more lie there unread). */
ssize_t stream_fill(struct stream *st, size_t at_least);

/* Park until there is something to receive; false at the deadline or when cancelled (TIME). */
bool stream_wait_readable(struct task *t, struct stream *st, double deadline, struct fault *why);

/* Append to st->out; parks only while more than 256 KiB are unsent (then until
 * at most 64 KiB are).  Large data (16 KiB) is sent directly from where it lies,
 * behind what st->out holds, copying only what the socket did not take. */
bool stream_put(struct task *t, struct stream *st, struct bytes data, double deadline,
                struct fault *why);
/* Send all of st->out.  False as above. */
bool stream_flush(struct task *t, struct stream *st, double deadline, struct fault *why);
/* Try to send st->out once, never parking; false only if the stream broke. */
bool stream_try_flush(struct stream *st);

/* Something that was put has not left yet (in `out`, or in a layer): stream_flush() is due. */
bool stream_has_unsent(const struct stream *st);

/* Bytes that nobody has to look at, from socket to socket without a copy in between (splice).  May be tried
 * if there are no layers, nothing lies in from->in, and n is large enough for it to pay. */
enum { SPLICE_LEAST = 64 << 10 };
enum spliced { SPLICE_MOVED,      /* some: *n was lowered by so many                                   */
               SPLICE_EMPTY,      /* nothing is there yet: wait until `from` is readable               */
               SPLICE_NOT,        /* not now, or the sender is lost: receive and put, and you will see */
               SPLICE_FAILED };   /* the receiver failed: `why`; what had come from the sender is lost */
bool stream_may_splice(const struct stream *from, const struct stream *to, uint64_t n);
/* At most *n bytes, as many as are there, once to->out has been sent.  Parks while `to` takes nothing. */
enum spliced stream_splice(struct task *t, struct stream *from, struct stream *to, uint64_t *n,
                           double deadline, struct fault *why);

/* What the other end has done since the last byte in `in`, without receiving it. */
enum presence { PEER_QUIET,       /* there, and silent                                  */
                PEER_SPOKE,           /* something has arrived                              */
                PEER_GONE };         /* closed, or lost (peer_closed, broken say which)    */
enum presence stream_peer(struct stream *st);

/* Nobody between the two ends can read along: a unix socket (that is not passed on), or TLS. */
bool stream_is_private(const struct stream *st);

/* Pass on what each of the two sends to the other, beginning with what lies in their `in`, until one of
 * them closes or breaks or the task is cancelled: `why` says which (the blame of that stream, or TIME).
 * What had come from the one that closed has been sent to the other, if that took it within
 * 10 s.  For what is slow to take it, 128 KiB wait; its sender is not read from meanwhile.  No other
 * timeouts.  What b sends gets its frames numbered anew, unless `of_b` is NULL. */
void pump(struct task *t, struct stream *a, struct stream *b, struct renumbering *of_b,
          struct fault *why);

/* Give up empty buffers; call when going idle. */
void stream_rest(struct stream *st);

/* After our last word, at most linger_s: send what is unsent, then wait until the
 * peer closes, throwing away what it sends, so that TIME_WAIT is the peer's and it
 * reads our word before a reset.  A peer that has not closed after half of the time
 * may be waiting for our end: shut down writing, and wait the other half.  The caller
 * closes afterwards; a cancelled task that wants to linger calls task_forgive(). */
void stream_linger(struct task *t, struct stream *st, double linger_s);
/* The same with a peer that has said goodbye: mostly its close is already here, and if not it waits for
 * our end, as for a server's. */
void stream_linger_shortly(struct task *t, struct stream *st, double linger_s);
/* Have the close (the caller's, next) reset a TCP connection, so that the peer's next send fails
 * at once, unless something that we sent is still on its way: a reset would overtake it. */
void stream_reset(struct stream *st);

/* TCP keepalive and user timeout as configured; 0 leaves the system's value. */
struct keepalive {
    unsigned idle_s, interval_s, count, user_timeout_ms;
};
void socket_keepalive(int fd, const struct keepalive *k);

/* Dial: a new non-blocking socket, connected, TCP_NODELAY set, or -1 with `why`
 * (BLAME_SERVER, or BLAME_TIME at the deadline). */
int stream_dial(struct task *t, const struct address *to, double deadline, struct fault *why);

/* ---- layers: TLS, compression ------------------------------------------------ */

/* What lies between a stream's buffers and its socket.  Layers are stacked, compression on top of
 * TLS; each owns the one below.  Kinds are in files of net/; they embed this struct. */
struct layer {
    const struct layer_kind *kind;
    struct layer *below;          /* NULL: the socket                                   */
    int fd;
    struct buf early;             /* received before the layer began; read before `below` */
};
/* Never park.  receive and send behave as recv() and send() on a non-blocking socket: 0 from receive
 * means closed; -1 with EAGAIN means: wait for the socket, to read or to write respectively. */
struct layer_kind {
    const char *name;             /* "TLS", "zlib", ... */
    bool is_private;              /* encrypted          */
    ssize_t (*receive)(struct layer *l, void *to, size_t room);
    /* May keep what it took: holds() until flush() has passed it on. */
    ssize_t (*send)(struct layer *l, struct bytes data);
    /* 0: nothing is held any more; else -1, errno. */
    int (*flush)(struct layer *l);
    bool (*holds)(const struct layer *l);
    /* Has received what receive() will give although the socket stays silent. */
    bool (*has_more)(const struct layer *l);
    void (*rest)(struct layer *l); /* give up empty buffers; NULL: has none */
    /* What receive() would give now, without giving it: 1 something, else as recv(); may receive from
     * below.  NULL: has_more(), else what the layer below says. */
    ssize_t (*peek)(struct layer *l);
    /* Tell the peer that nothing more comes, as far as that does not block. */
    void (*goodbye)(struct layer *l);
    void (*free)(struct layer *l);
};
/* Put a layer on top (gives it to the stream).  All that has been put must have been flushed; what
 * lies unread in `in` becomes the layer's to read: those bytes are of its format. */
void stream_push_layer(struct stream *st, struct layer *l);
/* The layer of this kind in the stream, or NULL. */
struct layer *stream_layer(const struct stream *st, const struct layer_kind *kind);

/* For kinds: read from, look at and write to what is below.  As recv() and send(). */
ssize_t layer_receive_below(struct layer *l, void *to, size_t room);
ssize_t layer_peek_below(struct layer *l);
ssize_t layer_send_below(struct layer *l, struct bytes data);

/* ---- compression (compressed.c) ---------------------------------------------- */

/* From here on both ways; pushed as the last layer, when the OK of the login has been flushed or read.
 * Level 0 is the algorithm's usual one. */
void stream_compress(struct stream *st, enum compression algorithm, unsigned level);
/* Before the first byte of a command is read: the client's next frame must be numbered 0. */
void stream_begin_command(struct stream *st);
/* Were the client's frames numbered wrongly?  Then *due is the number that should have come, and nothing more
 * can be read; an error may be sent, in a frame with the next number. */
bool stream_is_out_of_order(const struct stream *st, uint8_t *due);
void stream_skip_numbers(struct stream *st, uint8_t n);
/* Has a frame begun that has not come to its end?  (It needs memory until then.) */
bool stream_has_begun(const struct stream *st);
/* "zlib", "zstd", or NULL: none. */
const char *stream_compression(const struct stream *st);
/* Bytes since then, before and after compression; all 0 without. */
struct traffic {
    uint64_t received, sent, wire_received, wire_sent;
};
void stream_traffic(const struct stream *st, struct traffic *out);
/* ---- TLS: contexts (tls_context.c, tls_keys.c), handshakes (tls.c) ------------- */

/* What is asked of a hop.  The last two make sense towards servers only. */
enum tls_want { TLS_DISABLED, TLS_PREFERRED, TLS_REQUIRED, TLS_VERIFY_CA, TLS_VERIFY_IDENTITY };
enum tls_version { TLS_1_2, TLS_1_3 };

/* What a context is made from; PEM texts, empty = none.  Views. */
struct tls_terms {
    bool is_server;               /* we are the server of this hop, clients shake hands with us   */
    enum tls_want want;
    struct bytes certificate, key; /* ours, with its chain; a server that has none gets one made    */
    struct bytes ca, crl;         /* who signs the other side's; a client without: the system's    */
    enum tls_version min_version;
    const char *ciphers, *ciphersuites; /* up to TLS 1.2; of TLS 1.3; "" = the library's           */
    const char *peer;             /* the server's name or IP address: to be verified, if wanted;
                                     each has a context of its own                                 */
};
/* Which of the terms made no sense. */
enum tls_part { TLS_PART_CERTIFICATE, TLS_PART_KEY, TLS_PART_CA, TLS_PART_CRL, TLS_PART_CIPHERS,
                TLS_PART_CIPHERSUITES };

/* Immutable and counted, any thread.  Sessions to resume are kept in it: a client's own here, a
 * server's with its clients, encrypted with keys of the process. */
struct tls_context;
/* Equal terms give the same context, as long as it is in use.  NULL with `wrong` and `why` (POLICY). */
struct tls_context *tls_context_get(const struct tls_terms *terms, enum tls_part *wrong,
                                    struct fault *why);
struct tls_context *tls_context_take(struct tls_context *c);
void tls_context_drop(struct tls_context *c);           /* NULL is fine */
enum tls_want tls_context_want(const struct tls_context *c); /* of NULL: TLS_DISABLED */
/* Never that of another context; 0: none. */
uint64_t tls_context_number(const struct tls_context *c);
/* Of the certificate that we show: wall clock in seconds.  False: we show none. */
bool tls_context_validity(const struct tls_context *c, int64_t *from, int64_t *until);

/* Shake hands as the context says and go on in TLS.  What lies unread in `in` is the other side's part
 * of that, and of nothing else.  Parks.  False with the layer taken away: the stream is in clear again
 * and good for last words only.  Blame and code: the peer's, 1043 or 2026, 0 if it left; TIME. */
bool stream_start_tls(struct task *t, struct stream *st, struct tls_context *c, double deadline,
                      struct fault *why);

struct tls_facts {
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_256_GCM_SHA384"; live as long as the stream */
    bool was_resumed;
};
/* False: no TLS. */
bool stream_tls(const struct stream *st, struct tls_facts *out);
/* Has the other side shown a certificate that we believe, with these names, written as servers write
 * them ("/C=SE/CN=alice"); "" = any? */
bool stream_tls_peer_is(const struct stream *st, const char *subject, const char *issuer);
/* SHA256 of the certificate that we have shown; false: none. */
bool stream_tls_fingerprint(const struct stream *st, uint8_t sha256[32]);

/* BLOCKING, for probe threads, on a connected, non-blocking descriptor; deadlines are of clock_us().
 * tls_meet() shakes hands with a server, believed or not, so that the conversation can be brought to its
 * end: servers count those that are broken off.  NULL with `why` (as above) when there is no handshake;
 * why->blame is BLAME_NONE when the server is to be believed, and says why not otherwise. */
struct tls_line;
struct tls_fingerprint {          /* of the server's certificate */
    uint8_t sha1[20], sha256[32];
};
struct tls_line *tls_meet(struct tls_context *c, int fd, uint64_t deadline_us,
                          struct tls_fingerprint *out, struct fault *why);
/* Bytes received, 0 closed, -1 errno (ETIMEDOUT at the deadline). */
ssize_t tls_line_receive(struct tls_line *l, void *to, size_t room, uint64_t deadline_us);
bool tls_line_send(struct tls_line *l, struct bytes data, uint64_t deadline_us);
void tls_line_close(struct tls_line *l); /* not the descriptor */

/* ---- listeners ------------------------------------------------------------ */

struct listener {
    struct watch watch;
    struct worker *worker;
    struct address address;   /* as bound: the port is known even if 0 was asked */
    int reserve_fd;           /* the classic fix for EMFILE */
    bool is_paused;
    ev_timer retry;           /* when not even the reserve helps, 0.1 s later */
    void (*accepted)(struct listener *l, int fd, const struct address *from);
    void (*refused)(struct listener *l, int fd); /* descriptors ran out: say so on fd, then
                                                    it is closed; must not block */
    void *owner;
    uint64_t accepts, refusals;
};

/* Bind and listen (SO_REUSEADDR; unix sockets replace a stale file, and every user
 * may connect to them).  IPv4 clients of an IPv6 socket have IPv4 addresses.  The
 * caller set accepted/refused/owner; accepted owns the descriptor (non-blocking,
 * close-on-exec, TCP_NODELAY).  False with `why` (OURS). */
bool listener_open(struct listener *l, struct worker *w, const struct address *at, int backlog,
                   struct fault *why);
/* Of those that are accepted from now on. */
void listener_keepalive(struct listener *l, const struct keepalive *k);
void listener_pause(struct listener *l, bool paused); /* stop accepting for a while */
/* Also removes the file of a unix socket.  Not from within accepted or refused. */
void listener_close(struct listener *l);

#endif
