/*
 * keywords.c - the words that routing looks at, by first letter.
 *
 * The table is constant: the ranges of the letters are counted by the compiler
 * from the lists in inside.h, so there is nothing to keep in step.
 */
#include "router/inside.h"

#include "base/str.h"

enum { LONGEST = 22 };

static const char names[KEYWORD_COUNT][LONGEST] = {
#define K(id, text, flag_bits) [KEYWORD_##id] = text,
    KEYWORDS(K)
#undef K
};

/* Effects belong to the words of see_keyword() that are not KEYWORD_WRITES anyway; the digest's
 * are those of digest.c's see_special(). */
const uint8_t keyword_flag_bits[KEYWORD_COUNT] = {
#define K(id, text, flag_bits)                                                                     \
    [KEYWORD_##id] = (flag_bits) | (HAS_EFFECT(KEYWORD_##id) ? KEYWORD_HAS_EFFECT : 0) |           \
                     (IN_DIGEST(KEYWORD_##id) ? KEYWORD_IN_DIGEST : 0),
#define HAS_EFFECT(k)                                                                              \
    ((k) == KEYWORD_SHARE || (k) == KEYWORD_IN || (k) == KEYWORD_OUTFILE ||                        \
     (k) == KEYWORD_DUMPFILE || (k) == KEYWORD_INTO || (k) == KEYWORD_VALUE ||                     \
     (k) == KEYWORD_SQL_CALC_FOUND_ROWS || (k) == KEYWORD_PROCESSLIST || (k) == KEYWORD_SELECT ||  \
     (k) == KEYWORD_VALUES || (k) == KEYWORD_SET || (k) == KEYWORD_LIMIT)
#define IN_DIGEST(k)                                                                               \
    ((k) == KEYWORD_IN || (k) == KEYWORD_VALUES || (k) == KEYWORD_VALUE || (k) == KEYWORD_ROW ||   \
     (k) == KEYWORD_NULL || (k) == KEYWORD_TRUE || (k) == KEYWORD_FALSE)
    KEYWORDS(K)
#undef K
};

/* The first eight letters as word_load() gives them; of what goes on behind them, with its
 * length, so that a short word is known by its key alone. */
#define BYTE(padded, i)   ((uint64_t)(uint8_t)(padded)[i] << (8 * (i)))
#define FOLDED(padded, i) (BYTE(padded, i) | ((padded)[i] != 0 ? (uint64_t)0x20 << (8 * (i)) : 0))
#define HEAD(padded)                                                                               \
    (FOLDED(padded, 0) | FOLDED(padded, 1) | FOLDED(padded, 2) | FOLDED(padded, 3) |               \
     FOLDED(padded, 4) | FOLDED(padded, 5) | FOLDED(padded, 6) | FOLDED(padded, 7))
static const uint64_t keys[KEYWORD_COUNT] = {
#define K(id, text, flag_bits)                                                                     \
    [KEYWORD_##id] = HEAD(text "\0\0\0\0\0\0\0") ^ (sizeof(text) > 9 ? sizeof(text) - 1 : 0),
    KEYWORDS(K)
#undef K
};

#define ONE(name, text, flags) +1
enum {
    FROM_A = 1,
    FROM_B = FROM_A KEYWORDS_A(ONE),
    FROM_C = FROM_B KEYWORDS_B(ONE),
    FROM_D = FROM_C KEYWORDS_C(ONE),
    FROM_E = FROM_D KEYWORDS_D(ONE),
    FROM_F = FROM_E KEYWORDS_E(ONE),
    FROM_G = FROM_F KEYWORDS_F(ONE),
    FROM_H = FROM_G KEYWORDS_G(ONE),
    FROM_I = FROM_H KEYWORDS_H(ONE),
    FROM_J = FROM_I KEYWORDS_I(ONE),
    FROM_K = FROM_J KEYWORDS_J(ONE),
    FROM_L = FROM_K KEYWORDS_K(ONE),
    FROM_M = FROM_L KEYWORDS_L(ONE),
    FROM_N = FROM_M KEYWORDS_M(ONE),
    FROM_O = FROM_N KEYWORDS_N(ONE),
    FROM_P = FROM_O KEYWORDS_O(ONE),
    FROM_R = FROM_P KEYWORDS_P(ONE),
    FROM_S = FROM_R KEYWORDS_R(ONE),
    FROM_T = FROM_S KEYWORDS_S(ONE),
    FROM_U = FROM_T KEYWORDS_T(ONE),
    FROM_V = FROM_U KEYWORDS_U(ONE),
    FROM_W = FROM_V KEYWORDS_V(ONE),
    FROM_X = FROM_W KEYWORDS_W(ONE),
    FROM_END = FROM_X KEYWORDS_X(ONE)
};
_Static_assert((int)FROM_END == (int)KEYWORD_COUNT, "a letter is missing");
_Static_assert(KEYWORD_COUNT <= 255, "ranges are bytes");

/* Letter n has the rows [n] up to [n + 1]; q, y and z have none. */
static const uint8_t ranges[27] = {
    FROM_A, FROM_B, FROM_C, FROM_D, FROM_E, FROM_F, FROM_G,   FROM_H,   FROM_I,
    FROM_J, FROM_K, FROM_L, FROM_M, FROM_N, FROM_O, FROM_P,   FROM_R,   FROM_R,
    FROM_S, FROM_T, FROM_U, FROM_V, FROM_W, FROM_X, FROM_END, FROM_END, FROM_END,
};

/* Which lengths the words of a letter have, one bit each: most names stop here. */
#define LENGTH(name, text, flags) | 1u << (sizeof(text) - 1)
static const uint32_t lengths[26] = {
    0 KEYWORDS_A(LENGTH),
    0 KEYWORDS_B(LENGTH),
    0 KEYWORDS_C(LENGTH),
    0 KEYWORDS_D(LENGTH),
    0 KEYWORDS_E(LENGTH),
    0 KEYWORDS_F(LENGTH),
    0 KEYWORDS_G(LENGTH),
    0 KEYWORDS_H(LENGTH),
    0 KEYWORDS_I(LENGTH),
    0 KEYWORDS_J(LENGTH),
    0 KEYWORDS_K(LENGTH),
    0 KEYWORDS_L(LENGTH),
    0 KEYWORDS_M(LENGTH),
    0 KEYWORDS_N(LENGTH),
    0 KEYWORDS_O(LENGTH),
    0 KEYWORDS_P(LENGTH),
    0,
    0 KEYWORDS_R(LENGTH),
    0 KEYWORDS_S(LENGTH),
    0 KEYWORDS_T(LENGTH),
    0 KEYWORDS_U(LENGTH),
    0 KEYWORDS_V(LENGTH),
    0 KEYWORDS_W(LENGTH),
    0 KEYWORDS_X(LENGTH),
    0,
    0,
};

/* Which second letters they have; a test finds every keyword and so checks these. */
#define L(c) (1u << ((c)&31))
static const uint32_t second_letters[26] = {
    ['a' - 'a'] = L('l') | L('n') | L('s'),
    ['b' - 'a'] = L('a') | L('e') | L('i') | L('y'),
    ['c' - 'a'] = L('a') | L('h') | L('l') | L('o') | L('r'),
    ['d' - 'a'] = L('a') | L('e') | L('i') | L('o') | L('r') | L('u'),
    ['e' - 'a'] = L('l') | L('r') | L('v') | L('x'),
    ['f' - 'a'] = L('a') | L('l') | L('o') | L('r') | L('u'),
    ['g' - 'a'] = L('e') | L('l') | L('r'),
    ['h' - 'a'] = L('a') | L('e'),
    ['i' - 'a'] = L('m') | L('n'),
    ['j' - 'a'] = L('o') | L('s'),
    ['k' - 'a'] = L('e') | L('i'),
    ['l' - 'a'] = L('a') | L('i') | L('o'),
    ['m' - 'a'] = L('a'),
    ['n' - 'a'] = L('a') | L('c') | L('e') | L('o') | L('u'),
    ['o' - 'a'] = L('f') | L('n') | L('p') | L('r') | L('u') | L('v'),
    ['p' - 'a'] = L('a') | L('e') | L('r') | L('u'),
    ['r' - 'a'] = L('e') | L('l') | L('o'),
    ['s' - 'a'] = L('a') | L('e') | L('h') | L('m') | L('o') | L('q') | L('t'),
    ['t' - 'a'] = L('a') | L('e') | L('h') | L('i') | L('o') | L('r'),
    ['u' - 'a'] = L('n') | L('p') | L('s'),
    ['v' - 'a'] = L('a'),
    ['w' - 'a'] = L('a') | L('h') | L('i') | L('o') | L('r'),
    ['x' - 'a'] = L('a') | L('o'),
};

/* Is a word of the length of keyword k that keyword? */
static bool is_word(const uint8_t *word, enum keyword k)
{
    for (size_t i = 0; names[k][i] != '\0'; i++) {
        if (ascii_lower(word[i]) != (uint8_t)names[k][i])
            return false;
    }
    return true;
}

static inline enum keyword find_key(unsigned letter, uint64_t key)
{
    for (unsigned k = ranges[letter], end = ranges[letter + 1]; k < end; k++) {
        if (keys[k] == key)
            return (enum keyword)k;
    }
    return KEYWORD_NONE;
}

/* No two keywords have the same eight letters and the same length. */
static __attribute__((noinline)) enum keyword find_long(struct bytes word, unsigned letter,
                                                        uint64_t head)
{
    enum keyword k = find_key(letter, head ^ word.len);
    return k != KEYWORD_NONE && is_word(word.data, k) ? k : KEYWORD_NONE;
}

static inline enum keyword find(struct bytes word, uint64_t head)
{
    unsigned letter = (unsigned)(head & 0xff) - 'a';
    if (letter >= 26 || word.len >= LONGEST ||
        (lengths[letter] >> word.len & second_letters[letter] >> (head >> 8 & 31) & 1) == 0)
        return KEYWORD_NONE;
    return word.len > 8 ? find_long(word, letter, head) : find_key(letter, head);
}

enum token_kind keyword_give(struct token *word)
{
    word->keyword = (uint16_t)find(word->text, word->head);
    return TOKEN_WORD;
}

enum keyword keyword_find(struct bytes word)
{
    return word.len > 0 ? find(word, word_load(word.data, word.len, word.len)) : KEYWORD_NONE;
}
