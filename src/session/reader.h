/* reader.h - read a short statement word by word, for answers of our own. */
#ifndef SESSION_READER_H
#define SESSION_READER_H

#include "base/str.h"
#include "router/router.h"

struct reader {
    struct lexer lexer;
    struct token token;           /* the current one                                       */
    const uint8_t *end;           /* of the one before                                     */
};

static inline void reader_next(struct reader *r)
{
    r->end = r->token.text.data + r->token.text.len;
    while (lexer_next(&r->lexer, &r->token) == TOKEN_HINT)
        continue;
}

static inline void reader_begin(struct reader *r, struct bytes text, const struct lexer_mode *mode)
{
    *r = (struct reader){ .token = { .text = bytes_of(text.data, 0) } };
    lexer_begin(&r->lexer, text, mode);
    reader_next(r);
}

static inline bool reader_at(const struct reader *r, const char *word)
{
    return r->token.kind == TOKEN_WORD && bytes_equal_nocase(r->token.text, bytes_str(word));
}

static inline bool reader_pass(struct reader *r, const char *word)
{
    bool is = reader_at(r, word);
    if (is)
        reader_next(r);
    return is;
}

static inline bool reader_pass_punct(struct reader *r, char punct)
{
    bool is = r->token.kind == TOKEN_PUNCT && r->token.punct == punct;
    if (is)
        reader_next(r);
    return is;
}

static inline bool reader_pass_number(struct reader *r, uint64_t *out)
{
    bool is = r->token.kind == TOKEN_NUMBER && str_to_u64(r->token.text, out);
    if (is)
        reader_next(r);
    return is;
}

/* But for semicolons. */
static inline bool reader_at_end(struct reader *r)
{
    while (r->token.kind == TOKEN_SEMICOLON)
        reader_next(r);
    return r->token.kind == TOKEN_END;
}

#endif
