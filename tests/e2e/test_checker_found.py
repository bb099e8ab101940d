"""What the checker of random sessions (tests/checker) found: kept as short stories."""
import struct

import pytest

from processes import wait_until
from volvox import settings_for
from wire import (COM_INIT_DB, COM_RESET, COM_SET_OPTION, COM_STMT_FETCH, COM_STMT_RESET, LONG_DATA, Client,
                  ServerError)


@pytest.fixture
def one(place, start_volvox):
    """One worker, and one connection to the server: every session gets the same."""
    settings = settings_for(place.cluster, server_limit=1, workers=1)
    settings["group main"]["reads"] = "primary"
    volvox = start_volvox(settings)
    wait_until(lambda: knows_its_servers(volvox), 30, "Volvox knows the primary")
    return volvox


def knows_its_servers(volvox):
    try:
        visit(volvox, "select 1 for update")
        return True
    except ServerError:
        return False


def visit(volvox, *texts):
    """Somebody else uses the connection."""
    with Client(volvox.port, db="shop") as other:
        for text in texts:
            other.query(text)


def error_of(ask, *args):
    with pytest.raises(ServerError) as e:
        ask(*args)
    return e.value.code


def both(place, one, story):
    """The story's result directly, and through Volvox."""
    results = []
    for port in place.primary.port, one.port:
        with Client(port, db="shop") as c:
            results.append(story(c, (lambda *texts: visit(one, *texts)) if port == one.port else lambda *texts: None))
    return results


def shown(result):
    return [c.raw for c in result.columns], result.rows


def test_results_in_no_character_set_stay_so_on_another_connection(place, one):
    def story(c, others):
        c.query("set @@character_set_results = null")
        others("select 1")
        return shown(c.query("select @@character_set_results, repeat('y', 7)"))
    direct, through = both(place, one, story)
    assert through == direct and direct[1][0][0] is None


def test_a_user_variable_that_others_set_is_unset_beside_an_error_to_ask_for(place, one):
    def story(c, others):
        others("set @never = 5, @ever = 1.5")
        error_of(c.query, "select * from nowhere")
        return shown(c.query("select @never, @ever")), shown(c.query("show warnings"))
    direct, through = both(place, one, story)
    assert through[0] == direct[0]
    assert len(through[1][1]) == len(direct[1][1])


def test_errors_that_volvox_makes_are_shown_like_the_servers(place, one):
    def story(c, others):
        s = c.prepare("select 1")
        error_of(c.fetch, s, 1)
        others("select 1")
        shows = [[row[:2] for row in c.query(q).rows] for q in ("show warnings", "show errors")]
        counts = c.query("select @@error_count").rows
        error_of(c.simple, 0x77)
        shows.append(c.query("show warnings").rows)
        c.query("select count(*) from information_schema.schemata")
        return shows, counts, c.query("show warnings").rows
    direct, through = both(place, one, story)
    assert through == direct
    assert direct[0][2][0][1] == b"1047" and direct[2] == []


def test_row_counts_are_refused_where_an_insert_id_would_have_to_be_asked_for(place, one):
    place.primary.query("create table shop.counted (id int primary key auto_increment, a int)")
    question = "select row_count(), found_rows(), last_insert_id()"
    try:
        def story(c, others):
            others("select last_insert_id(7)")
            c.query("begin")
            c.query("select 1 union select 2 union select 3")
            c.query("insert into counted (id, a) values (5, 1)")
            try:
                return c.query(question).rows
            except ServerError as e:
                assert e.message.startswith("volvox: FOUND_ROWS()")
                return None
            finally:
                c.query("rollback")
        direct, through = both(place, one, story)
        assert through in (None, direct)
    finally:
        place.primary.query("drop table shop.counted")


def test_row_count_of_a_statement_that_has_to_be_prepared_anew_is_right_or_refused(place, one):
    def story(c, others):
        s = c.prepare("select row_count(), found_rows()")
        others("create temporary table leaves_a_reset (a int)")
        c.query("set sql_mode = 'ANSI_QUOTES'")
        c.query("select 1 union select 2 union select 3")
        try:
            s.columns = c.execute(s, [], 1).columns
            return c.fetch(s, 1).rows
        except ServerError as e:
            assert e.message.startswith("volvox: FOUND_ROWS()")
            return None
    direct, through = both(place, one, story)
    assert through in (None, direct)


def test_a_statement_first_executed_for_a_cursor_can_be_executed_without_by_others(place, one):
    """MySQL does not end the rows of such a statement."""
    with Client(one.port, db="shop", timeout=20) as c, Client(one.port, db="shop") as other:
        s = c.prepare("select 5, 6")
        theirs = other.prepare("select 5, 6")
        theirs.columns = other.execute(theirs, [], 1).columns
        assert other.fetch(theirs, 9).rows == [[5, 6]]
        assert c.execute(s).rows == [[5, 6]]
        assert c.query("select 7").rows == [[b"7"]]


def test_the_warnings_of_the_statement_before_come_with_init_db_on_another_connection(place, one):
    def story(c, others):
        error_of(c.simple, COM_INIT_DB, b"nowhere")
        others("select 1")
        return c.simple(COM_INIT_DB, b"shop").warnings
    direct, through = both(place, one, story)
    assert through == direct


def test_found_rows_of_a_new_connection_is_not_of_volvoxs_questions(place, one):
    def story(c, others):
        c.query("create temporary table first_of_all (a int)")
        try:
            return c.query("select found_rows(), 1").rows
        except ServerError as e:
            assert e.message.startswith("volvox: FOUND_ROWS()")
            return None
    direct, through = both(place, one, story)
    assert through in (None, direct)


def counts_behind(c, code, *args):
    """FOUND_ROWS() and ROW_COUNT() behind a command, and its error."""
    try:
        error = code(*args) and 0
    except ServerError as e:
        error = e.code
    return error, c.query("select row_count(), found_rows()").rows


def test_found_rows_stays_behind_what_is_no_statement(place, one):
    """Also where Volvox answered the statement before, or there was none: then MariaDB has the number of some
    other session, from a thread that it kept."""
    firsts = [None] if place.family == "mysql" else []

    def story(c, others):
        told = []
        for before in [*firsts, "select 1 union select 2 union select 3", "select found_rows()"]:
            for command in ((c.prepare, "begin"), (c.prepare, "selec"), (c.prepare, "select 1"), (c.field_list, "nowhere"),
                            (c.simple, 0x77), (c.simple, COM_SET_OPTION, b"\0\0"), (c.query, "kill 1")):
                if before:
                    c.query(before)
                others("select 1 union select 2")
                told.append((before, command[1], counts_behind(c, *command)))
        return told
    direct, through = both(place, one, story)
    assert through == direct


def test_row_count_behind_a_kill_that_volvox_answers(place, one):
    place.primary.query("create table shop.killed (a int)")
    try:
        with Client(one.port, db="shop") as c, Client(one.port, db="shop") as victim:
            c.query("insert into killed values (1), (2), (3)")
            c.query(f"kill {victim.greeting.thread_id}")
            assert c.query("select row_count()").rows == [[b"0"]]
    finally:
        place.primary.query("drop table shop.killed")


def test_table_locks_stay_the_sessions_when_it_drops_a_temporary_table(place, start_volvox):
    """MySQL reports that they are gone."""
    volvox = start_volvox(settings_for(place.cluster, server_limit=2, workers=1))
    wait_until(lambda: knows_its_servers(volvox), 30, "Volvox knows the primary")
    place.primary.query("create table shop.kept_locked (a int)")
    try:
        with Client(volvox.port, db="shop") as c:
            c.query("create temporary table dropped (a int)")
            c.query("lock tables kept_locked write")
            c.query("drop table dropped")
            visit(volvox, "select 1")
            assert c.query("insert into kept_locked values (1)").affected == 1
            with Client(volvox.port, db="shop") as other:
                other.query("set lock_wait_timeout = 1")
                assert error_of(other.query, "insert into kept_locked values (2)") == 1205
            c.query("unlock tables")
            visit(volvox, "insert into kept_locked values (3)")
    finally:
        place.primary.query("drop table shop.kept_locked")


def test_a_transaction_stays_the_sessions_when_it_drops_a_temporary_table(place, start_volvox):
    """MySQL reports that it is over; its flags say that it is not."""
    volvox = start_volvox(settings_for(place.cluster, server_limit=2, workers=1))
    wait_until(lambda: knows_its_servers(volvox), 30, "Volvox knows the primary")
    place.primary.query("create table shop.kept_open (a int)")
    try:
        with Client(volvox.port, db="shop") as c:
            c.query("set autocommit = 0")
            c.query("create temporary table dropped (a int)")
            c.query("select * from kept_open")
            c.query("drop temporary table dropped")
        # nobody is left who could hold it
        with Client(place.primary.port, db="shop") as other:
            other.query("set lock_wait_timeout = 3")
            other.query("alter table kept_open comment 'x'")
    finally:
        volvox.stop()
        place.primary.query("drop table shop.kept_open")


def tried(ask, *args):
    """What it answers, or the error's number."""
    try:
        result = ask(*args)
        return [r.warnings for r in [result, *result.more]]
    except ServerError as e:
        return None if e.message.startswith("volvox: the connection that had the diagnostics") else e.code


def listed(c):
    return [tuple(row[:2]) for row in c.query("show warnings").rows], c.simple(COM_SET_OPTION, b"\0\0").warnings


def procedures(place, *bodies):
    for i, body in enumerate(bodies):
        place.primary.query(f"drop procedure if exists shop.checked{i}")
        place.primary.query(f"create procedure shop.checked{i}() {body}")


@pytest.mark.parametrize("moves", [False, True])
def test_warnings_stay_behind_statements_that_may_use_no_table(place, one, moves):
    """MariaDB keeps them; whether CALL, SHOW or a function uses a table can't be read from the text."""
    procedures(place, "select 1 as a", "select count(*) from items", "set @p = 7")
    between = ["call shop.checked0()", "call shop.checked1()", "call shop.checked2()", "show grants", "show tables",
               "select trim('a' from 'ab')", "select (select max(id) from items)", "prepare p from 'select 1'",
               "flush status", "drop temporary table if exists shop.nowhere", "select @@warning_count from items limit 1",
               "set @a = 1; select 1; set @b = 2", "select @@warning_count", "show count(*) errors",
               "set session session_track_schema = 1", "start transaction", "get diagnostics @c = number"]

    def story(c, others):
        told = []
        for sql in between:
            c.query("set @n = 1")
            error_of(c.query, "select * from nowhere")
            if moves:
                others("select 1")
            is_refused = tried(c.query, sql) is None
            try:
                rows = c.query("show warnings").rows
                told.append((sql, None if is_refused else [tuple(row[:2]) for row in rows]))
            except ServerError as e:
                assert moves and e.message.startswith("volvox: the connection that had the diagnostics"), (sql, e)
                told.append((sql, None))
            c.simple(COM_RESET)
        return told
    direct, through = both(place, one, story)
    for a, b in zip(direct, through):
        assert b == a or (moves and b[1] is None)
    refused = [sql for sql, rows in through if rows is None]
    assert set(refused) <= {"select @@warning_count from items limit 1", "get diagnostics @c = number"}


@pytest.mark.parametrize("moves", [False, True])
def test_errors_of_commands_that_are_no_statements_add_to_those_before(place, one, moves):
    """On MySQL; on MariaDB they take their place.  How many MySQL tells with the next such command is another number."""
    def story(c, others):
        s = c.prepare("select id from items order by id")
        commands = {
            "init_db": (c.simple, COM_INIT_DB, b"nowhere"), "unknown": (c.simple, 0x77), "ping": (c.ping,),
            "field_list": (c.field_list, "items"), "no_fields": (c.field_list, "nowhere"),
            "option": (c.simple, COM_SET_OPTION, b"\7\0"), "fetch": (c.simple, COM_STMT_FETCH, b"\x77\0\0\0\1\0\0\0"),
            "reset": (c.simple, COM_STMT_RESET, struct.pack("<I", s.id)), "use": (c.simple, COM_INIT_DB, b"shop"),
            "show": (c.query, "show warnings"), "count": (c.query, "show count(*) warnings"),
            "select": (c.query, "select @@warning_count"), "get": (c.query, "get diagnostics @c = number")}
        told = []
        for first in "init_db", "unknown", "field_list", "show", "select", "count", "fetch", "use", "reset":
            for name, command in commands.items():
                tried(c.query, "selec 1")
                if moves:
                    others("select 1")
                answers = [first, tried(*commands[first]) if first != "field_list" else len(c.field_list("items"))]
                if moves:
                    others("select 2")
                if name == "field_list":
                    answers += [name, len(c.field_list("items"))]
                elif name != "no_fields":
                    answers += [name, tried(*command)]
                told.append((answers, c.simple(COM_SET_OPTION, b"\0\0").warnings, *listed(c)))
        return told
    direct, through = both(place, one, story)
    for a, b in zip(direct, through):
        assert b == a or (a[0][2] == "get" and b[0][3] is None)


def test_found_rows_outlasts_what_clears_the_warnings_of_others(place, one):
    """A session that keeps its connection, where there was an error before."""
    def story(c, others):
        others("select 1")
        c.query("set rand_seed1 = 5")
        error_of(c.query, "insert into nowhere values (1)")
        c.query("select id from items order by id")
        c.query("show errors")
        try:
            return c.query("select row_count(), found_rows(), last_insert_id(), 1").rows
        except ServerError as e:
            assert e.message.startswith("volvox: FOUND_ROWS()")
            return None
    direct, through = both(place, one, story)
    assert through in (None, direct)


def test_a_session_that_settles_finds_nothing_of_variables_that_it_never_set(place, one):
    """(In a transaction a variable that others have set is NULL with their type and collation.)"""
    procedures(place, "select 1 as a")

    def story(c, others):
        told = []
        for sql in "call shop.checked0()", "create temporary table settled (a int)", "prepare p from 'select 1'":
            others("set @never = _latin1 'x' collate latin1_bin, @ever = 1.5")
            c.query(sql)
            told.append(shown(c.query("select @never, @ever, collation(@never)")))
            c.simple(COM_RESET)
        return told
    direct, through = both(place, one, story)
    assert through == direct


def test_an_error_about_a_statement_that_asks_for_errors_is_asked_for(place, one):
    """(MySQL prepares no SHOW WARNINGS.)"""
    def story(c, others):
        if place.family == "mysql":
            return None
        s = c.prepare("show warnings")
        tried(c.simple, 0x77)
        others("select 1")
        return error_of(c.fetch, s, 1), [row[:2] for row in c.execute(s).rows]
    direct, through = both(place, one, story)
    assert through == direct


def test_found_rows_of_rows_that_a_cursor_has_yet_to_give(place, one):
    def story(c, others):
        s = c.prepare("select 1 union select 2 union select 3")
        told = []
        for ask in (lambda: c.fetch(s, 1), lambda: c.fetch(s, 9), lambda: None):
            s.columns = c.execute(s, [], 1).columns
            told.append(c.query("select found_rows()").rows)
            ask()
            s.columns = c.execute(s, [], 1).columns
            ask()
            told.append(c.query("select found_rows()").rows)
        return told
    direct, through = both(place, one, story)
    assert through == direct


def test_a_question_about_errors_that_has_to_be_prepared_anew_is_about_the_error(place, one):
    """(MySQL prepares none.)  MariaDB warns of a SET big_tables, so that Volvox's SETs are seen."""
    def story(c, others):
        if place.family == "mysql":
            return None
        s = c.prepare("show warnings")
        c.query("set big_tables = 1")
        others("create temporary table leaves_a_reset (a int)")
        error_of(c.simple, 0x77)
        return [row[:2] for row in c.execute(s).rows]
    direct, through = both(place, one, story)
    assert through == direct


def test_what_is_wrong_with_an_execution_is_told_before_what_is_wrong_with_its_text(place, one):
    def story(c, others):
        s = c.prepare("select name from items where id = ?")
        others("create temporary table leaves_a_reset (a int)")
        c.query("create temporary table items (z int)")
        return error_of(c.execute, s, [4], 0, False)
    direct, through = both(place, one, story)
    assert through == direct == 1210


def test_found_rows_of_a_table_made_of_a_select(place, one):
    def story(c, others):
        c.query("select 1")
        c.query("create temporary table made select id from items")
        try:
            return c.query("select found_rows()").rows
        except ServerError as e:
            assert e.message.startswith("volvox: FOUND_ROWS()")
            return None
    direct, through = both(place, one, story)
    assert through in (None, direct)


def test_found_rows_is_not_of_what_volvox_asks_about_trackers(place, one):
    """An UPDATE that can't find anything: 0, but only the server knows that.  The session keeps its connection."""
    def story(c, others):
        c.query("set rand_seed1 = 5")
        c.query("select 1 union select 2 union select 3")
        c.query("update items set price = 1 where id = null")
        c.query("set session session_track_schema = 1")
        try:
            return c.query("select found_rows(), row_count(), 1").rows
        except ServerError as e:
            assert e.message.startswith("volvox: FOUND_ROWS()")
            return None
    direct, through = both(place, one, story)
    assert through in (None, direct)


def test_autocommit_is_off_where_another_session_had_put_that_off(place, one):
    """It had a user variable to take along, and its own SET autocommit = 0 had not been run."""
    place.primary.query("create table shop.rolled_back (a int)")
    try:
        with Client(one.port, db="shop") as c, Client(one.port, db="shop") as other:
            other.query("select 1")
            other.query("set autocommit = 0")
            c.query("set @taken_along = 1")
            c.query("set autocommit = 0")
            other.query("insert into rolled_back values (1)")
            other.query("rollback")
            assert other.query("select count(*) from rolled_back").rows == [[b"0"]]
    finally:
        place.primary.query("drop table shop.rolled_back")


def test_the_types_of_anothers_first_execution_are_not_ones_own(place, one):
    """MySQL casts what comes later to these: 'abc' to 0, which every text is equal to."""
    text = "select name from items where name = ?"
    with Client(one.port, db="shop") as other:
        def story(c, others):
            s = c.prepare(text)
            other.execute(other.prepare(text), [5])
            return c.execute(s, ["pear"]).rows, c.execute(s, ["nothing"]).rows
        direct, through = both(place, one, story)
    assert through == direct == ([[b"pear"]], [])


def test_long_data_is_not_of_the_type_that_another_statement_of_the_text_had(place, one):
    """MariaDB would show the address of the text."""
    def story(c, others):
        first, second = c.prepare("select concat(?, 'x')"), c.prepare("select concat(?, 'x')")
        c.execute(first, [1])
        c.long_data(second, 0, b"long")
        return c.execute(second, [LONG_DATA]).rows
    direct, through = both(place, one, story)
    assert through == direct == [[b"longx"]]


def test_an_error_of_a_statement_that_has_to_be_prepared_anew_can_be_asked_for(place, one):
    def story(c, others):
        s = c.prepare("update items set price = ? where id = ?")
        error_of(c.query, "xa commit 'x' one phase")
        others("create temporary table leaves_a_reset (a int)")
        c.query("start transaction read only")
        c.query("unlock tables")
        c.query("set auto_increment_increment = 5")
        errors = [error_of(c.execute, s, ["1", "2"]) for _ in range(2)]
        return errors, [row[:2] for row in c.query("show warnings").rows]
    direct, through = both(place, one, story)
    assert through == direct
