/*
 * front.c - what can stand in front of a statement: EXPLAIN, ANALYZE, SET STATEMENT.
 *
 * Some statements begin with the same words and are complete by themselves; they are
 * read here to their end.
 */
#include "router/inside.h"

static bool at_explainable(const struct part *p)
{
    switch ((unsigned)p->token.keyword) {
    case KEYWORD_SELECT:
    case KEYWORD_WITH:
    case KEYWORD_TABLE:
    case KEYWORD_VALUES:
    case KEYWORD_INSERT:
    case KEYWORD_REPLACE:
    case KEYWORD_UPDATE:
    case KEYWORD_DELETE:
        return true;
    default:
        return p->token.punct == '(';
    }
}

/* EXPLAIN of a table's columns, or of what another connection does. */
static void read_description(struct part *p, struct front *f)
{
    f->is_done = true;
    p->verb = VERB_SHOW;
    p->reads_only = true;
    part_see_rest(p);
}

/* FOR CONNECTION n is all of a statement; FOR SCHEMA name goes on. */
static void pass_explain_for(struct part *p, struct front *f)
{
    part_next(p);
    if (part_at(p, KEYWORD_CONNECTION)) {
        p->effects |= EFFECT_SERVER_STATE;
        read_description(p, f);
        return;
    }
    part_next(p);
    part_next(p);
}

/* Options of EXPLAIN and ANALYZE, up to the statement. */
static void pass_explain(struct part *p, struct front *f)
{
    f->explains = true;
    while (!f->is_done && !at_explainable(p)) {
        if (part_at(p, KEYWORD_ANALYZE)) {
            f->executes = true;
            part_next(p);
        } else if (part_at(p, KEYWORD_EXTENDED) || part_at(p, KEYWORD_PARTITIONS)) {
            part_next(p);
        } else if (part_at(p, KEYWORD_FORMAT)) {
            part_next(p); /* = */
            part_next(p); /* JSON, TREE, ... */
            part_next(p);
        } else if (part_at(p, KEYWORD_INTO)) {
            part_next(p);
            p->effects |= EFFECT_USER_VAR;
            part_next(p);
        } else if (part_at(p, KEYWORD_FOR)) {
            pass_explain_for(p, f);
        } else {
            read_description(p, f);
        }
    }
}

/* ANALYZE [FORMAT=JSON] SELECT executes it (MariaDB); ANALYZE TABLE is something else. */
static bool is_analyze_of_statement(struct part *p)
{
    part_next(p);
    return part_at(p, KEYWORD_FORMAT) || (at_explainable(p) && !part_at(p, KEYWORD_TABLE));
}

static void pass_analyze(struct part *p, struct front *f)
{
    if (is_analyze_of_statement(p)) {
        f->executes = true;
        pass_explain(p, f);
        return;
    }
    f->is_done = true;
    p->verb = VERB_ADMIN;
    p->calls = CALLS_NONE;
    part_see_rest(p);
}

static void pass_set(struct part *p, struct front *f)
{
    part_next(p);
    if (set_read(p))
        p->effects |= EFFECT_SET_STATEMENT;
    else
        f->is_done = true;
}

bool pass_front(struct part *p, struct front *f)
{
    switch ((unsigned)p->token.keyword) {
    case KEYWORD_EXPLAIN:
    case KEYWORD_DESCRIBE:
    case KEYWORD_DESC:
        part_next(p);
        pass_explain(p, f);
        return true;
    case KEYWORD_ANALYZE:
        pass_analyze(p, f);
        return true;
    case KEYWORD_SET:
        pass_set(p, f);
        return true;
    default:
        return false;
    }
}
