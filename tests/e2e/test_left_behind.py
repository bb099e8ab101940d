"""What a session leaves in its connection, when others take that one: it is put back, or taken along, or
nobody else sees it."""
import contextlib
import threading

import pytest

from servers import OTHER
from volvox import settings_for
from wire import Client, ServerError


@pytest.fixture
def one(place, start_volvox):
    """One worker, and one connection to the server: every session gets the same."""
    settings = settings_for(place.cluster, server_limit=1, workers=1)
    settings["group main"]["reads"] = "primary"
    return start_volvox(settings)


def visit(volvox):
    """Somebody else of the same account uses the connection."""
    with Client(volvox.port, db="shop") as other:
        return other.query("select @a, @@auto_increment_increment, @@sql_notes, @@time_zone").rows[0]


# ---- variables that MariaDB does not report (see test_unreported.py, too) ------------------------

def test_an_insert_id_set_ahead_is_used_by_the_sessions_own_insert(place, one):
    place.primary.query("create table shop.ahead (id int primary key auto_increment, a int)")
    try:
        with Client(one.port, db="shop") as c:
            c.query("set @@insert_id = 200")
            done = threading.Thread(target=lambda: Client(one.port, db="shop").query(
                "insert into ahead (a) values (1)"))
            done.start()
            assert c.query("insert into ahead (a) values (2)").insert_id == 200
            c.quit()
            done.join()
        assert place.primary.query("select id from shop.ahead where a = 1") != [(200,)]
    finally:
        place.primary.query("drop table shop.ahead")


# ---- user variables --------------------------------------------------------------------------------

VALUES = ["5", "-7", "18446744073709551615", "cast(5 as unsigned)", "1.50", "cast(5 as decimal(10,0))",
          "1e10", "0.1e0 + 0.2e0", "1e-300", "'text'", "''", "_latin1 'abc' collate latin1_bin", "x'00ff'",
          "true", "curdate()", "json_object('a', 1)", "1/3", "pi()", "'quo''te \\\\ back'", "null"]


def image(client, name):
    """A variable with its type, and what it becomes in a table."""
    shown = client.query(f"select @{name}, charset(@{name}), collation(@{name}), coercibility(@{name})")
    client.query("drop temporary table if exists image_of")
    client.query(f"create temporary table image_of as select @{name} as x")
    table = client.query("show create table image_of").rows[0][1]
    client.query("drop temporary table image_of")
    return [c.raw for c in shown.columns], shown.rows, table


@pytest.mark.parametrize("value", VALUES)
def test_a_user_variable_comes_back_with_value_and_type(place, one, value):
    with place.direct(db="shop") as alone, Client(one.port, db="shop") as c:
        for client in (alone, c):
            client.query(f"set @v = {value}")
        assert visit(one)[0] is None
        for sql in ("select @v", "select @v is null"):
            a, b = alone.query(sql), c.query(sql)
            assert (a.rows, [x.raw for x in a.columns]) == (b.rows, [x.raw for x in b.columns])
        visit(one)
        assert image(alone, "v") == image(c, "v")


@pytest.mark.parametrize("before,value", [("5", b"\x08"), ("1.5e0", b"\x05"), ("1.5", b"\xf6")])
def test_null_keeps_the_type_that_the_variable_had(place, one, before, value):
    with place.direct(db="shop") as alone, Client(one.port, db="shop") as c:
        for client in (alone, c):
            client.query(f"set @v = {before}")
            client.query("set @v = null")
        visit(one)
        a, b = alone.query("select @v"), c.query("select @v")
        assert a.columns[0].raw == b.columns[0].raw and bytes([b.columns[0].type]) == value


@pytest.mark.parametrize("sql", ["select @V := 7", "select 7 into @v", "set @`v` = 7, @w = 8",
                                 "select 1; set @v = 7"])
def test_however_a_variable_is_set_it_stays_the_sessions_own(one, sql):
    with Client(one.port, db="shop") as c:
        c.query(sql)
        assert visit(one)[0] is None
        assert c.query("select @v").value() == b"7"
        with Client(one.port, db="shop") as other:
            assert other.query("select @v, @w").rows == [[None, None]]


def test_a_variable_that_others_had_is_as_if_nobody_had_set_it(place, one):
    with place.direct(db="shop") as alone, Client(one.port, db="shop") as c:
        with Client(one.port, db="shop") as other:
            other.query("set @v = 5, @w = 6")
            assert c.query("select @w is null").value() == b"1"
        a, b = alone.query("select @V, @`w`"), c.query("select @V, @`w`")
        assert [x.raw for x in a.columns] == [x.raw for x in b.columns] and a.rows == b.rows


@pytest.mark.parametrize("sql", ["set @a = repeat('x', 2000)", "set @`o'dd` = 1"])
def test_what_cannot_be_put_back_stays_with_its_connection(one, sql):
    with Client(one.port, db="shop") as c:
        c.query(sql)
        with pytest.raises((TimeoutError, ServerError)):
            Client(one.port, *OTHER, db="shop", timeout=1)
        c.query("select 1")


def test_variables_end_with_a_reset(one):
    with Client(one.port, db="shop") as c:
        c.query("set @a = 5")
        c.simple(31)
        assert c.query("select @a").value() is None
        assert visit(one)[0] is None


# ---- diagnostics -----------------------------------------------------------------------------------

WARNS = ["selec", "select * from nowhere", "drop table if exists nowhere, nowhere2",
         "select cast('x1' as signed), cast('y' as signed)"]
ASKS = ["show warnings", "show errors", "show warnings limit 1", "show warnings limit 1, 5",
        "show count(*) warnings", "show count(*) errors", "select @@warning_count", "select @@error_count",
        "select @@session.warning_count, @@error_count"]


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("sql", WARNS)
def test_warnings_are_the_last_statements_although_others_took_the_connection(place, one, sql, ask):
    with place.direct(db="shop") as alone, Client(one.port, db="shop") as c:
        answers = []
        for client in (alone, c):
            try:
                client.query(sql)
            except ServerError:
                pass
            if client is c:
                visit(one)
            answers.append(client.query(ask))
        a, b = answers
        assert (a.rows, a.warnings, a.status) == (b.rows, b.warnings, b.status)
        assert [x.raw for x in a.columns] == [x.raw for x in b.columns]


def test_a_later_statement_ends_them(one):
    with Client(one.port, db="shop") as c:
        with pytest.raises(ServerError):
            c.query("selec")
        visit(one)
        c.query("select count(*) from items")
        assert c.query("show warnings").rows == []


# ---- prepared statements ---------------------------------------------------------------------------------

def test_types_that_others_sent_are_not_ours(place, one):
    """Only the server knows what it makes of parameters whose types nobody has sent."""
    with place.direct(db="shop") as alone, Client(one.port, db="shop") as c, Client(one.port, db="shop") as other:
        s = other.prepare("select ? as v")
        other.execute(s, ["text"])
        said = []
        for client in (alone, c):
            s = client.prepare("select ? as v")
            result = client.execute(s, [None], types=False)
            with pytest.raises(ServerError) as caught:
                client.execute(s, [3], types=False)
            said.append((result.columns[0].raw, result.rows, caught.value.code, caught.value.message))
        assert said[0] == said[1]
        assert other.execute(s, ["text"]).rows == [[b"text"]]


# ---- LAST_INSERT_ID() ------------------------------------------------------------------------------------

INSERTS = [
    "insert into k (a) values (5)", "insert into k set a = 5", "insert into k (id, a) values (77, 5)",
    "insert into k values (null, 78)", "insert into k values (70 + 9, 1)", "insert into k values ('80', 1)",
    "insert into k (a) values (81), (82), (83)", "insert into k (id, a) values (84, 1), (null, 2), (90, 3)",
    "insert into k (a) select id from k limit 2", "insert into k (id, a) select 100 + id, a from k limit 1",
    "insert into k (id, a) values (1, 1) on duplicate key update a = a + 1",
    "insert into k (id, a) values (1, 1) on duplicate key update id = last_insert_id(id), a = 9",
    "insert ignore into k (id, a) values (1, 1)", "replace into k (id, a) values (1, 7)", "replace into k (a) values (7)",
    "update k set a = last_insert_id(a + 1000) where id = 1", "insert into k (a) values (unix_timestamp())",
    "insert into k (a) values ('not a number')", "insert into k (u) values (1)", "insert into k (u) values (1)",
    "delete from k where a = 0", "do last_insert_id(4711)", "set last_insert_id = 4712",
    "select last_insert_id(4713)", "set @@last_insert_id = 4714", "insert into k (a) values (now() > 0)",
]


@pytest.fixture
def ids(place):
    def fresh():
        place.primary.query("drop table if exists shop.k")
        place.primary.query("create table shop.k (id int primary key auto_increment, a int, u int unique)")
        place.primary.query("insert into shop.k (a) values (0), (0), (0)")
    fresh()
    yield fresh
    place.primary.query("drop table shop.k")


def error_or_result(client, sql):
    try:
        r = client.query(sql)
    except ServerError as e:
        return e.code
    return r.affected, r.insert_id


def test_the_last_insert_id_is_the_sessions_whoever_used_the_connection(place, one, ids):
    ask = "/* volvox: primary */ select last_insert_id() + 0 from items limit 1"
    told = []
    for port in (place.primary.port, one.port):
        ids()
        with Client(port, db="shop") as c, Client(port, db="shop") as other:
            told.append([])
            for i, sql in enumerate(INSERTS):
                other.query(f"select last_insert_id({5000 + i})")
                answer = error_or_result(c, sql)
                other.query("/* volvox: primary */ select 1")
                told[-1].append((sql, answer, c.query(ask).value()))
    assert told[0] == told[1]


@pytest.mark.parametrize("value", [None, 5, 77, "78", "x"])
def test_the_last_insert_id_behind_parameters(place, one, ids, value):
    told = []
    for port in (place.primary.port, one.port):
        ids()
        with Client(port, db="shop") as c, Client(port, db="shop") as other:
            other.query("select last_insert_id(5000)")
            s, q = c.prepare("insert into k (id, a) values (?, 1)"), c.prepare("select last_insert_id()")
            try:
                told.append([c.execute(s, [value]).insert_id])
            except ServerError as e:
                told.append([e.code])
            other.query("/* volvox: primary */ select last_insert_id(5001)")
            told[-1].append(c.execute(q).rows)
    assert told[0] == told[1]


# ---- ROW_COUNT() and FOUND_ROWS() --------------------------------------------------------------------------

COUNTED = ["select 1 union select 2 union select 3", "select id from counted where id < 0", "show tables",
           "show variables like 'auto%'", "set @a = 1", "set names utf8mb4", "commit", "selec",
           "select * from nowhere", "select row_count()", "select found_rows()"]
ROWS = ["update counted set price = price", "insert into counted (name) values ('counted'), ('counted')",
        "delete from counted where name = 'counted'", "select id from counted limit 1, 2", "do 1",
        "update counted set price = 'x' where id = 1", "explain select * from counted", "replace into counted (id) values (0)",
        "delete from counted where id = 0 or name = ''"]


def counts_after(port, statements, ask):
    seen = []
    with Client(port, db="shop") as c, Client(port, db="shop") as other:
        for sql in statements:
            c.query("/* volvox: primary */ select 1 union select 2 union select 3 union select 4")
            error_or_result(c, sql)
            other.query("/* volvox: primary */ select 1 union select 2")
            r = c.query(ask)
            seen.append((sql, [x.raw for x in r.columns], r.rows, r.status))
            assert c.query("select row_count()").value() == b"-1"
    return seen


@pytest.fixture
def counted(place):
    place.primary.query("create table shop.counted (id int primary key auto_increment, name text, price int)")
    place.primary.query("insert into shop.counted (name) values ('a'), ('b'), ('c')")
    yield
    place.primary.query("drop table shop.counted")


@pytest.mark.parametrize("sql", ["select row_count(), Found_Rows( ) as n", "select found_rows() found, row_count();"])
def test_counts_are_answered_whoever_used_the_connection(place, one, counted, sql):
    assert counts_after(one.port, COUNTED, sql) == counts_after(place.primary.port, COUNTED, sql)


def test_row_counts_are_answered_whoever_used_the_connection(place, one, counted):
    told = [counts_after(port, ROWS, "select row_count()") for port in (one.port, place.primary.port)]
    assert told[0] == told[1]


def test_counts_that_only_the_connection_knows_are_refused_when_it_is_gone(one):
    with Client(one.port, db="shop") as c:
        c.query("/* volvox: primary */ select 1 union select 2 limit 1, 5")
        visit(one)
        with pytest.raises(ServerError) as caught:
            c.query("/* volvox: primary */ select found_rows() + 1")
        assert caught.value.code == 1105 and "FOUND_ROWS()" in caught.value.message
        # ... and from now on the user's sessions keep their connections for that
        c.query("/* volvox: primary */ select sql_calc_found_rows 1 union select 2 limit 1")
        assert c.query("/* volvox: primary */ select found_rows() + 1").value() == b"3"


def test_an_id_that_was_in_doubt_is_not_the_next_sessions(one):
    """Who left was not asked what its failed INSERT had done."""
    with Client(one.port, db="shop") as first:
        first.query("insert into items (name) values ('in doubt')")
        said_id = first.query("select last_insert_id()").value()
        with pytest.raises(ServerError):
            first.query("insert into items (id, name) values (1, 'twice')")
        first.quit()
    for sql in ("insert into nowhere values (1)", "replace into items (id, name) values (1000, 'given')"):
        with Client(one.port, db="shop") as c:
            with contextlib.suppress(ServerError):
                c.query(sql)
            assert c.query("select last_insert_id()").value() == b"0" != said_id
            c.query("delete from items where name in ('in doubt', 'given')")
