/*
 * engine.c - zlib and zstd behind one face.
 *
 * What compresses is needed for the length of a call only, so that a thread needs one of each
 * kind.  What decompresses lives as long as its frame: one is kept for the next frame, and frames
 * that arrive in parts on several connections at a time have their own.
 */
#include "protocol/inside.h"

#include "base/mem.h"

#include <zlib.h>
#include <zstd.h>

enum { ZLIB_LEVEL_USUAL = 6, ZLIB_LEVEL_MAX = 9 };

struct engine {
    enum compression algorithm;
    z_stream zlib;
    ZSTD_DCtx *zstd;
};

struct compress_tools {
    z_stream zlib;
    int zlib_level; /* that it is set up for; 0: not at all */
    ZSTD_CCtx *zstd;
    struct engine *spare_zlib, *spare_zstd;
};

struct compress_tools *compress_tools_new(void)
{
    return mem_zalloc(sizeof(struct compress_tools));
}

void compress_tools_free(struct compress_tools *tools)
{
    if (tools == NULL)
        return;
    if (tools->zlib_level != 0)
        deflateEnd(&tools->zlib);
    ZSTD_freeCCtx(tools->zstd);
    engine_free(tools->spare_zlib);
    engine_free(tools->spare_zstd);
    mem_free(tools);
}

/* ---- compressing ---- */

static bool set_up_zlib(struct compress_tools *tools, int level)
{
    z_stream *z = &tools->zlib;
    if (tools->zlib_level == 0) {
        memset(z, 0, sizeof *z);
        if (deflateInit(z, level) != Z_OK)
            return false;
        tools->zlib_level = level;
        return true;
    }
    if (deflateReset(z) != Z_OK || deflateParams(z, level, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    tools->zlib_level = level;
    return true;
}

static size_t zlib_compress(struct compress_tools *tools, unsigned level, struct bytes data,
                            uint8_t *to, size_t room)
{
    z_stream *z = &tools->zlib;
    if (!set_up_zlib(tools,
                     level == 0 ? ZLIB_LEVEL_USUAL : (int)MIN(level, (unsigned)ZLIB_LEVEL_MAX)))
        return 0;
    z->next_in = (Bytef *)data.data, z->avail_in = (uInt)data.len;
    z->next_out = to, z->avail_out = (uInt)room;
    return deflate(z, Z_FINISH) == Z_STREAM_END ? room - z->avail_out : 0;
}

static size_t zstd_compress(struct compress_tools *tools, unsigned level, struct bytes data,
                            uint8_t *to, size_t room)
{
    if (tools->zstd == NULL && (tools->zstd = ZSTD_createCCtx()) == NULL)
        return 0;
    size_t n = ZSTD_compressCCtx(tools->zstd, to, room, data.data, data.len,
                                 level == 0 ? ZSTD_LEVEL_USUAL : (int)level);
    return ZSTD_isError(n) ? 0 : n;
}

size_t engine_compress(struct compress_tools *tools, enum compression algorithm, unsigned level,
                       struct bytes data, uint8_t *to, size_t room)
{
    return algorithm == COMPRESSION_ZLIB ? zlib_compress(tools, level, data, to, room)
                                         : zstd_compress(tools, level, data, to, room);
}

/* ---- decompressing ---- */

static struct engine **spare_of(struct compress_tools *tools, enum compression algorithm)
{
    return algorithm == COMPRESSION_ZLIB ? &tools->spare_zlib : &tools->spare_zstd;
}

struct engine *engine_take(struct compress_tools *tools, enum compression algorithm)
{
    struct engine **spare = spare_of(tools, algorithm), *e = *spare;
    *spare = NULL;
    if (e != NULL)
        return e;
    e = mem_zalloc(sizeof *e);
    e->algorithm = algorithm;
    if (algorithm == COMPRESSION_ZLIB)
        must(inflateInit(&e->zlib) == Z_OK);
    else
        must((e->zstd = ZSTD_createDCtx()) != NULL);
    return e;
}

void engine_free(struct engine *e)
{
    if (e == NULL)
        return;
    if (e->algorithm == COMPRESSION_ZLIB)
        inflateEnd(&e->zlib);
    else
        ZSTD_freeDCtx(e->zstd);
    mem_free(e);
}

/* A window that had to be large is not kept. */
enum { SPARE_MOST = 1 << 20 };

void engine_give(struct compress_tools *tools, struct engine *e)
{
    struct engine **spare = spare_of(tools, e->algorithm);
    if (*spare != NULL || (e->zstd != NULL && ZSTD_sizeof_DCtx(e->zstd) > SPARE_MOST)) {
        engine_free(e);
        return;
    }
    if (e->algorithm == COMPRESSION_ZLIB)
        inflateReset(&e->zlib);
    else
        ZSTD_DCtx_reset(e->zstd, ZSTD_reset_session_only);
    *spare = e;
}

bool engine_may_go_on(const struct engine *e)
{
    return e->algorithm == COMPRESSION_ZSTD;
}

static bool zlib_decompress(z_stream *z, struct engine_run *run, bool *ended)
{
    z->next_in = (Bytef *)run->in.data, z->avail_in = (uInt)run->in.len;
    z->next_out = run->to, z->avail_out = (uInt)run->room;
    int result = inflate(z, Z_NO_FLUSH);
    run->in = bytes_skip(run->in, run->in.len - z->avail_in);
    run->made = run->room - z->avail_out;
    *ended = result == Z_STREAM_END;
    return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR;
}

/* A frame may ask for a window that is larger than all it holds (128 MiB is zstd's limit).  That is
 * only address space: the window is written as far as the frame gives bytes, so 16 MiB at most. */
static bool zstd_decompress(ZSTD_DCtx *zstd, struct engine_run *run, bool *ended)
{
    ZSTD_inBuffer in = { run->in.data, run->in.len, 0 };
    ZSTD_outBuffer out = { run->to, run->room, 0 };
    size_t left = ZSTD_decompressStream(zstd, &out, &in);
    run->in = bytes_skip(run->in, in.pos);
    run->made = out.pos;
    *ended = left == 0;
    return !ZSTD_isError(left);
}

bool engine_decompress(struct engine *e, struct engine_run *run, bool *ended)
{
    run->made = 0;
    return e->algorithm == COMPRESSION_ZLIB ? zlib_decompress(&e->zlib, run, ended)
                                            : zstd_decompress(e->zstd, run, ended);
}
