"""A statement that writes comes in one text with what restores its session's state: no packet of its answer shows
that, and none of them waits."""
import contextlib
import uuid

import pytest

from processes import wait_until
from volvox import settings_for
from wire import (COM_STMT_EXECUTE, DEPRECATE_EOF, LOCAL_FILES, MODERN, MULTI_STATEMENTS, QUERY_ATTRIBUTES,
                  Client, ServerError)

pytestmark = pytest.mark.all_kinds

OURS, THEIRS = "joined_a", "joined_b"
TABLES = ("create table {}.t (id int primary key auto_increment, a varchar(40), n int) character set utf8mb4",
          "create table {}.g (a varchar(20) character set gbk)",
          "create table {}.s (a varchar(20) character set sjis)",
          "create procedure {}.two(in x int) begin insert into t (n) values (x); select x; select n from t limit 1; end")
SINGLE = MODERN & ~MULTI_STATEMENTS


@pytest.fixture
def one(place, start_volvox):
    """One worker, and one connection: every session gets the same."""
    settings = settings_for(place.cluster, server_limit=1, workers=1, queue_timeout="2s")
    settings["group main"]["reads"] = "primary"
    return start_volvox(settings)


@pytest.fixture
def schemas(place):
    """Twins: what happens in the one through Volvox happens in the other on the server itself."""
    for schema in (OURS, THEIRS):
        place.primary.query(f"create database {schema}")
        place.primary.query(f"grant all on {schema}.* to app")
        for sql in TABLES:
            place.primary.query(sql.format(schema))
    yield
    for schema in (OURS, THEIRS):
        place.primary.query(f"drop database {schema}")


class Pair:
    """A session through Volvox and one on the server itself, that hear the same."""

    def __init__(self, place, volvox, caps, **more):
        self.volvox, self.stack = volvox, contextlib.ExitStack()
        self.ours = self.stack.enter_context(Client(volvox.port, db=OURS, caps=caps, **more))
        self.other = self.stack.enter_context(Client(volvox.port, db="test", caps=caps, charset=8))
        self.theirs = self.stack.enter_context(place.direct(db=THEIRS, caps=caps, **more))
        self.other.query("set sql_mode = 'ANSI', time_zone = '-07:00'")
        for c in (self.ours, self.theirs):
            c.local_file = lambda name: b"1,one\n2,two;three\n"

    def _hear(self, c, call):
        c.heard = []
        with contextlib.suppress(ServerError):
            call(c)
        return [(seq, packet.replace(OURS.encode(), THEIRS.encode())) for seq, packet in c.heard]

    def same(self, call, in_between=True):
        if in_between:
            self.other.query("do 1")
        assert self._hear(self.ours, call) == self._hear(self.theirs, call)

    def query(self, sql, in_between=True, **attributes):
        self.same(lambda c: c.query(sql, **attributes), in_between)

    def settings(self, sql):
        for c in (self.ours, self.theirs):
            c.query(sql)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()


@pytest.fixture
def pair(place, one, schemas):
    return lambda caps=MODERN, **more: Pair(place, one, caps, **more)


def joined(volvox, call):
    with volvox.counting() as counts:
        call()
    return counts["restores_joined"], counts["restores_awaited"]


# Those in one bracket have their connection for themselves in between.
WRITES = (
    "insert into t (a) values ('1'), ('2')",
    "insert into t (a) values ('a;b') ; ; ",
    "insert into t (a, n) values ('x', 'x')",
    "show warnings",
    "insert into t (id) values (1)",
    "insert into t (a) values (@@time_zone), (database()), (@@sql_mode)",
    "insert into t (a, nosuch) values (1)",
    "insert into nosuch values (1)",
    "insert into t\n\n values values 'no'",
    "insert into t values (",
    "insert into t (a) values ('abc",
    "insert into t (a) values ('one'); insert into t (a) values ('two')",
    "insert into t (a) values ('one'); -- and no more",
    "insert into t (n) values (last_insert_id())",
    "insert into t (n) values (last_insert_id(17))",
    "update t set n = 5 where a = '1'",
    "update t set n = 5",
    "replace into t (id, a) values (1, 'again')",
    "delete from t where id = 2",
    "select a, n from t order by id for update",
    "create table if not exists t (a int)",
    ("create temporary table temp (a int)", "insert into temp values (1)", "drop temporary table temp"),
    ("start transaction", "insert into t (a) values ('in it')", "rollback"),
    "set @x = 1, time_zone = '+03:00'",
    "do @x",
    "alter table t comment 'changed'",
    "select * from t",
    ("call two(5)", "select * from t"),
)


@pytest.mark.parametrize("caps", [MODERN, SINGLE, MODERN & ~DEPRECATE_EOF], ids=["multi", "single", "eof"])
def test_the_answer_is_that_of_a_connection_of_ones_own(pair, caps):
    with pair(caps) as p:
        p.settings("set time_zone = '+01:00'")
        for held in WRITES:
            for i, sql in enumerate((held,) if isinstance(held, str) else held):
                p.query(sql, in_between=i == 0)


def test_no_text_waits(pair, one):
    with pair(SINGLE) as p:
        def writes():
            for sql in ("insert into t (a) values ('a;b')", "update t set n = 1", "begin", "do sleep(0)"):
                p.query(sql)
            for sql in ("delete from t where n = 1", "commit"):
                p.query(sql, in_between=False)
        p.settings("set time_zone = '+01:00'")
        assert joined(one, writes) == (6, 0)


def test_texts_are_read_in_the_state_that_was_restored(pair):
    """Quotes, backslashes and bytes mean what they mean in the session, not in the one before."""
    with pair() as p:
        for mode, texts in (("ANSI_QUOTES", ['insert into t ("a") values (\'x\')', 'insert into t (a) values ("x;")']),
                            ("", ['insert into t (a) values ("x;y")', 'insert into t ("a") values (1)']),
                            ("NO_BACKSLASH_ESCAPES", ["insert into t (a) values ('q\\')"]),
                            ("", ["insert into t (a) values ('q\\';')", "insert into t (a) values ('q\\')"])):
            p.settings(f"set sql_mode = '{mode}'")
            for sql in texts:
                p.query(sql)
        for charset, table in (("gbk", "g"), ("sjis", "s")):
            p.settings(f"set names {charset}")
            p.query(b"insert into %s values ('\x81\x5c\x83\x5c'), ('\x81\x5c;')" % table.encode())
            p.query(f"select hex(a) from {table}")
        p.settings("set names utf8mb4")
        p.query("insert into t (a) values ('\u20ac')")
        p.query("select a, hex(a) from t order by id")


def test_a_schema_of_any_name_is_entered(place, one):
    """(Connections report their schema in UTF-8, whatever the client's character set.)"""
    name = f"a`b;ä {uuid.uuid4().hex[:6]}"
    quoted = name.replace("`", "``")
    place.primary.query(f"create database `{quoted}`")
    place.primary.query(f"grant all on `{quoted}`.* to app")
    place.primary.query(f"create table `{quoted}`.t (a varchar(100) character set utf8mb4)")
    try:
        with Client(one.port) as c, Client(one.port, db="test") as other:
            c.query(f"use `{quoted}`")
            c.query("set names latin1")
            other.query("set names gbk")
            other.query("do 1")
            counts = joined(one, lambda: c.query(b"insert into t values (concat(database(), '\xe4'))"))
            assert counts == (1, 0)
            c.query("set names utf8mb4")
            assert c.query("select a from t").value().decode() == name + "ä"
    finally:
        place.primary.query(f"drop database `{quoted}`")


def test_rows_that_a_write_returns(pair, place):
    if place.family == "mysql":
        pytest.skip("MariaDB's")
    with pair() as p:
        p.settings("set time_zone = '+01:00'")
        p.query("insert into t (a) values ('x'), ('y') returning id, a")
        p.query("delete from t returning a")
        p.query("insert into t (a) select seq from seq_1_to_1000 returning *")


def test_a_file_is_loaded(pair):
    with pair(MODERN | LOCAL_FILES) as p:
        p.settings("set time_zone = '+01:00'")
        p.query("load data local infile 'x' into table t fields terminated by ',' (n, a)")
        p.query("select n, a from t order by n")


def test_query_attributes_reach_the_statement(pair, place):
    if place.family != "mysql":
        pytest.skip("MySQL's")
    place.primary.query("install component 'file://component_query_attributes'")
    try:
        with pair(MODERN | QUERY_ATTRIBUTES) as p:
            p.settings("set time_zone = '+01:00'")
            p.query("insert into t (a) values (mysql_query_attribute_string('k'))", k="v", other="w")
            p.query("select a from t")
    finally:
        place.primary.query("uninstall component 'file://component_query_attributes'")


def test_the_last_insert_id_comes_along(pair, place):
    with pair() as p:
        p.query("insert into t (a) values ('x')")
        p.other.query(f"insert into {OURS}.t (a) values ('y')")
        place.primary.query(f"insert into {THEIRS}.t (a) values ('y')")
        p.query("insert into t (n) values (last_insert_id())")
        p.query("select n from t order by id")


def test_a_prepared_write_waits_and_a_prepared_read_does_not(pair, one):
    with pair() as p:
        statements = {}

        def prepare(name, sql):
            p.other.query("do 1")
            for c in (p.ours, p.theirs):        # (MariaDB does not always begin with 1)
                statements[c, name] = c.prepare(sql)

        def execute(name):
            p.same(lambda c: c.execute(statements[c, name]))
        p.settings("set time_zone = '+01:00'")
        prepare("read", "select @@time_zone, count(*) from t")
        prepare("write", "insert into t (a) values (@@time_zone)")
        assert joined(one, lambda: execute("read")) == (1, 0)        # (the one is the other's DO)
        assert joined(one, lambda: execute("write")) == (1, 1)
        assert joined(one, lambda: prepare("more", "delete from t where a = @@time_zone")) == (1, 0)
        execute("more")
        execute("read")


def test_a_write_that_is_too_long_for_both_waits(place, start_volvox, schemas):
    before = place.primary.value("select @@global.max_allowed_packet")
    place.primary.query("set global max_allowed_packet = 16384")
    try:
        settings = settings_for(place.cluster, server_limit=1, workers=1)
        volvox = start_volvox(settings)
        with Client(volvox.port, db=OURS) as c, Client(volvox.port, db="test") as other:
            c.query("set time_zone = '+01:00'")
            for length, expected in ((10000, (1, 0)), (16384 - 100, (0, 1))):
                other.query("do 1")
                sql = f"insert into t (n) values (length('{'x' * (length - 50)}'))"
                assert joined(volvox, lambda: c.query(sql)) == expected
            assert c.query("select n from t order by n").rows == [[b"9950"], [str(16384 - 150).encode()]]
    finally:
        place.primary.query(f"set global max_allowed_packet = {before}")


def test_a_refused_setting_keeps_the_statement_from_running(place, one, schemas):
    """It was set while that was allowed."""
    with Client(one.port, db=OURS) as c, Client(one.port, db="test") as other:
        place.primary.query(f"create database gone")
        place.primary.query("grant all on gone.* to app")
        c.query("use gone")
        other.query("do 1")
        place.primary.query("drop database gone")
        for sql in (f"create temporary table {OURS}.temp (a int)", f"insert into {OURS}.t (a) values ('no')",
                    f"insert into {OURS}.t (a) values (get_lock('a', 0))"):
            with pytest.raises(ServerError) as caught:
                c.query(sql)
            assert caught.value.code in (1049, 1044)
            assert one.status()["sessions_pinned"] == 0
            other.query("do 1")
        c.query(f"use {OURS}")
        assert c.query("select count(*) from t").value() == b"0"


def test_somebody_interrupts_the_statement_and_not_what_comes_before(place, one, schemas):
    with Client(one.port, db=OURS) as c, Client(one.port, db="test") as other:
        c.query("set time_zone = '+01:00'")
        other.query("do 1")
        c.command(3, b"insert into t (n) select sleep(20)")
        rows = wait_until(lambda: place.primary.query(
            "select id, info from information_schema.processlist where info like 'insert into t (n) select sleep%'"))
        assert rows[0][1] == "insert into t (n) select sleep(20)"
        place.primary.query(f"kill query {rows[0][0]}")
        with contextlib.suppress(ServerError):      # (SLEEP() says 1 on some)
            c.read_result()
        assert c.query("select @@time_zone").value() == b"+01:00"
