"""What clients hear of changes in their sessions: through Volvox the same, whatever they asked for.

Backends report everything to Volvox; a client must see the entries that its own session_track_* ask for, in
the server's order, and read back what it has set.
"""
import contextlib

import pytest

from conftest import DIRECT
from fake import FakeServer, ok_payload
from processes import free_port, wait_until
from servers import APP, Cluster, MariaDB, MySQL
from volvox import Volvox, settings_for
from wire import (COM_INIT_DB, COM_RESET, DEPRECATE_EOF, MODERN, QUERY_ATTRIBUTES, SESSION_TRACK, 
                  STATUS_STATE_CHANGED, Client, Reader, ServerError, frame, lenstr)

SYSVAR, SCHEMA, STATE, GTID, TRX_CHAR, TRX_STATE = range(6)
NAMES = ("session_track_system_variables", "session_track_schema", "session_track_state_change",
         "session_track_transaction_info")

POLICIES = {
    "nothing set": [],
    "no schema": ["set session_track_schema = off"],
    "state": ["set session_track_state_change = on"],
    "transaction state": ["set session_track_transaction_info = 'STATE'"],
    "characteristics": ["set session_track_transaction_info = 'CHARACTERISTICS'"],
    "no variables": ["set session_track_system_variables = ''"],
    "two variables": ["set session_track_system_variables = 'sql_mode,autocommit'"],
    "all": ["set session_track_system_variables = '*', session_track_state_change = 1, "
            "session_track_transaction_info = 'CHARACTERISTICS'"],
    "as drivers do": ["set autocommit = 1, session_track_schema = 1, sql_mode = concat(@@sql_mode, "
                      "',STRICT_ALL_TABLES'), session_track_system_variables = 'auto_increment_increment'"],
    "own gtids": ["set session_track_gtids = own_gtid"],
    "all gtids": ["set session_track_gtids = all_gtids"],
    "one by one": ["set session session_track_state_change = 1", "set @@session.session_track_schema = 0",
                   "set session_track_transaction_info = state"],
    "by concat": ["set session_track_system_variables = concat(@@session_track_system_variables, "
                  "',sql_mode,wait_timeout')"],
    "several at once": ["set session_track_state_change = 1; set session_track_schema = 0; select 1"],
    "in a procedure": ["call shop.track_more()"],
    "and back": ["set session_track_state_change = 1, session_track_system_variables = '*'",
                 "set session_track_state_change = default, session_track_system_variables = default"],
}

STORY = """
set autocommit = 1
set names latin1
set names utf8mb4 collate utf8mb4_bin
set sql_mode = 'ANSI', time_zone = '+01:00', auto_increment_increment = 2
set character_set_results = null
set character_set_results = utf8mb4
use shop
use test
set @a = 5
create temporary table test.mine (a int) engine=innodb
select 1
select * from test.mine
begin
select * from shop.tracked
insert into shop.tracked values (1)
select 1
commit
begin
begin
insert into shop.tracked values (1)
start transaction read only
rollback
begin
insert into shop.tracked values (1)
commit and chain
insert into shop.tracked values (1)
rollback
set transaction isolation level read committed
start transaction with consistent snapshot
commit
set session transaction isolation level serializable
set autocommit = 0
select * from shop.tracked
insert into shop.tracked values (2)
commit
set autocommit = 1
begin
lock tables shop.tracked write
unlock tables
prepare p from 'select 1'
execute p
deallocate prepare p
insert into shop.tracked values (3)
set last_insert_id = 7
set @x = 1, sql_select_limit = 5
select @@sql_mode
select * from no_such_table
set sql_select_limit = default
drop temporary table test.mine
create database tracked_db
use tracked_db
drop database tracked_db
begin; insert into shop.tracked values (8); commit; set names latin1; select 2
call shop.begin_and_set()
commit
xa start 'x'
insert into shop.tracked values (5)
xa end 'x'
xa rollback 'x'
select shop.set_time_zone()
do 1
set names utf8mb4
select 1
""".strip().splitlines()

SCHEMA_SQL = """
create table shop.tracked (a int) engine=innodb
create procedure shop.begin_and_set() begin start transaction; insert into shop.tracked values (1); set names latin1; end
create function shop.set_time_zone() returns int deterministic begin set time_zone = '+03:00'; return 1; end
create procedure shop.track_more() begin set session_track_state_change = 1; end
"""
WHO = ("tracker", "tracker-secret")


class Scene:
    def __init__(self, family, global_sql=()):
        self.cluster = Cluster(0, family).start()
        self.primary = self.cluster.primary
        for sql in SCHEMA_SQL.strip().splitlines():
            self.primary.query(sql)
        self.primary.query(f"create user '{WHO[0]}'@'%' identified by '{WHO[1]}'")
        self.primary.query(f"grant all on *.* to '{WHO[0]}'@'%'")
        for sql in global_sql:
            self.primary.query(sql)
        self.volvox = None if DIRECT else Volvox(settings_for(self.cluster, users=(WHO, APP))).start()

    @property
    def family(self):
        return self.primary.family

    def client(self, **more):
        return Client(self.primary.port if DIRECT else self.volvox.port, *WHO, db="test", **more)

    def direct(self, **more):
        return Client(self.primary.port, *WHO, db="test", **more)

    def stop(self):
        try:
            if self.volvox:
                self.volvox.stop()
        finally:
            self.cluster.stop()


def make_scene(request, *more):
    if request.param is MySQL and MySQL.objection():
        pytest.skip(MySQL.objection())
    return Scene(request.param, *more)


@pytest.fixture(scope="module", params=[MariaDB, MySQL], ids=["mariadb", "mysql"])
def scene(request):
    found = make_scene(request)
    yield found
    found.stop()


# ---- what is told of a statement ----------------------------------------------------------------

def comparable(result):
    """Entries without what differs from time to time, and what the flags say of them."""
    entries = []
    for kind, data in result.track:
        if kind == SYSVAR and Reader(data).lenstr() in (b"statement_id", b"last_gtid"):
            data = Reader(data).lenstr()
        entries.append((kind, b"" if kind == GTID else data))
    return entries, result.status & STATUS_STATE_CHANGED


def told(client, sql):
    try:
        first = client.query(sql)
    except ServerError as e:
        return e.code
    return [comparable(r) for r in (first, *first.more)]


def tell_story(client, policy):
    story = [("login", comparable(client.login_ok))]
    story += [(sql, told(client, sql)) for sql in [*policy, *STORY]]
    story.append(("reset", comparable(client.simple(COM_RESET))))
    story.append(("init db", comparable(client.simple(COM_INIT_DB, b"shop"))))
    story.append(("change user", comparable(client.change_user(*WHO, db="shop"))))
    story.append(("change user, no schema", comparable(client.change_user(*WHO))))
    return story


def applies(scene, policy):
    return scene.family == "mysql" or not any("gtid" in sql for sql in POLICIES[policy])


def in_any_order(story):
    """MariaDB's order of variables is that of a hash table of addresses: by chance."""
    def sort(answer):
        if not isinstance(answer, list):
            return answer
        return [(sorted(e for e in entries if e[0] == SYSVAR) + [e for e in entries if e[0] != SYSVAR], flag)
                for entries, flag in answer]
    return [(sql, sort(answer)) for sql, answer in story]


SHAPES = {"modern": MODERN, "with EOF": MODERN & ~DEPRECATE_EOF, "no trackers": MODERN & ~SESSION_TRACK}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_is_told_as_by_the_server(scene, policy, shape):
    if not applies(scene, policy):
        pytest.skip("MySQL's")
    with scene.client(caps=SHAPES[shape]) as ours, scene.direct(caps=SHAPES[shape]) as theirs:
        expected, got = tell_story(theirs, POLICIES[policy]), tell_story(ours, POLICIES[policy])
    if scene.family == "mariadb":
        expected, got = in_any_order(expected), in_any_order(got)
    if policy == "all gtids":              # MySQL tells them at once, but only who never asked for any
        del expected[1], got[1]
    for mine, true in zip(got, expected):
        assert mine == true


# ---- what is read back, and what it costs ---------------------------------------------------------

def values(client):
    names = NAMES + (() if b"MariaDB" in client.greeting.version else ("session_track_gtids",))
    selected = client.query("select " + ", ".join(f"@@{name}" for name in names)).rows
    shown = client.query("show variables like 'session\\_track%'").rows
    prepared = client.execute(client.prepare("show session variables where variable_name like '%track%'"))
    return selected, shown, prepared.rows


@pytest.mark.parametrize("policy", POLICIES)
def test_what_was_set_is_read_back(scene, policy):
    if not applies(scene, policy):
        pytest.skip("MySQL's")
    with scene.client() as ours, scene.direct() as theirs:
        for client in (ours, theirs):
            for sql in POLICIES[policy]:
                client.query(sql)
        assert values(ours) == values(theirs)
        for client in (ours, theirs):
            client.simple(COM_RESET)
        assert values(ours) == values(theirs)


def test_a_reset_in_a_transaction_forgets_that_it_was_told(scene):
    with scene.client() as ours, scene.direct() as theirs:
        outcomes = []
        for client in (ours, theirs):
            outcomes.append([told(client, "begin"), comparable(client.simple(COM_RESET)), told(client, "begin"),
                             comparable(client.change_user(*WHO, db="shop")), told(client, "begin"),
                             told(client, "commit")])
        assert outcomes[0] == outcomes[1]


def test_reading_in_a_transaction_does_not_disturb_it(scene):
    story = ["set session_track_transaction_info = 'CHARACTERISTICS'", "begin",
             "insert into tracked values (1)", "select @@session_track_schema", "select 1",
             "show variables like 'session_track_schema'", "rollback",
             "set autocommit = 0", "select @@session_track_schema", "select * from tracked", "commit"]
    with scene.client() as ours, scene.direct() as theirs:
        for client in (ours, theirs):
            client.query("use shop")
        got, expected = ([(sql, told(c, sql), c.query("select 1").in_transaction) for sql in story]
                         for c in (ours, theirs))
    assert got == expected


@pytest.mark.parametrize("sql", ["set session_track_schema = 2", "set session_track_schema = 'perhaps'",
                                 "set session_track_transaction_info = nonsense",
                                 "set session_track_system_variables = 'no_such_variable'",
                                 "set session_track_system_variables = 5",
                                 "set session_track_state_change = 1, no_such_variable = 5"])
def test_a_wrong_value_is_refused_in_the_servers_words(scene, sql):
    def outcome(client):
        try:
            result = client.query(sql)
            return comparable(result), result.warnings, client.query("show warnings").rows
        except ServerError as e:
            return e.args

    with scene.client() as ours, scene.direct() as theirs:
        assert outcome(ours) == outcome(theirs)
        assert values(ours) == values(theirs)
        assert told(ours, "set names latin1") == told(theirs, "set names latin1")


@pytest.mark.skipif(DIRECT, reason="needs Volvox")
@pytest.mark.parametrize("policy", ["no schema", "state", "characteristics", "as drivers do", "one by one", "and back"])
def test_setting_them_pins_nobody(scene, policy):
    before = scene.volvox.status()["pins"]
    with scene.client() as c:
        for sql in POLICIES[policy]:
            c.query(sql)
        for _ in range(3):
            c.query("select @@session_track_schema")
            c.query("show variables like 'session_track%'")
            c.query("set sql_mode = 'ANSI'")
        assert c.query('select "a" from (select 1 as a) x').rows == [[b"1"]]
    assert scene.volvox.status()["pins"] == before


def test_what_is_set_beside_them_goes_along_to_other_connections(scene):
    """The other variables of such a SET are not reported, and must be known nevertheless."""
    sql = ("set session_track_schema = 0, sql_mode = 'ANSI_QUOTES', @@session.time_zone = '+04:00', "
           "names latin1 collate latin1_bin, session_track_system_variables = 'time_zone', "
           "sql_select_limit = 77, autocommit = 1")
    with contextlib.ExitStack() as stack:
        c = stack.enter_context(scene.client())
        c.query(sql)
        others = [stack.enter_context(scene.client()) for _ in range(3)]
        for other in others:                  # take its connection away
            other.query("begin")
            other.query("select 1")
        assert c.query('select @@sql_mode, @@time_zone, @@collation_connection, @@sql_select_limit, '
                       '@@session_track_schema, @@session_track_system_variables, "x"'
                       " from (select 1 as x) y").rows == \
            [[b"ANSI_QUOTES", b"+04:00", b"latin1_bin", b"77", b"0", b"time_zone", b"1"]]
        assert comparable(c.query("set time_zone = '+05:00', sql_mode = ''"))[0] == \
            [(SYSVAR, lenstr(b"time_zone") + lenstr(b"+05:00"))]


# ---- servers that report something else by default -------------------------------------------------

GLOBALS = {
    MariaDB: ["set global session_track_state_change = 1",
              "set global session_track_transaction_info = 'CHARACTERISTICS'",
              "set global session_track_system_variables = 'sql_mode,last_gtid,time_zone'"],
    MySQL: ["set global session_track_state_change = 1", "set global session_track_gtids = own_gtid",
            "set global session_track_transaction_info = 'STATE'",
            "set global session_track_schema = 0",
            "set global session_track_system_variables = 'sql_mode,time_zone'"],
}


@pytest.fixture(scope="module", params=[MariaDB, MySQL], ids=["mariadb", "mysql"])
def other_scene(request):
    found = make_scene(request, GLOBALS[request.param])
    yield found
    found.stop()


@pytest.mark.parametrize("policy", ["nothing set", "no schema", "as drivers do", "and back"])
def test_the_servers_own_settings_are_followed(other_scene, policy):
    with other_scene.client() as first:       # what a server says is known from its first connection on
        first.query("select 1")
    with other_scene.client() as ours, other_scene.direct() as theirs:
        expected, got = tell_story(theirs, POLICIES[policy]), tell_story(ours, POLICIES[policy])
        assert values(ours) == values(theirs)
    if other_scene.family == "mariadb":
        expected, got = in_any_order(expected), in_any_order(got)
    for mine, true in zip(got, expected):
        assert mine == true


# ---- servers that send clients elsewhere -------------------------------------------------------------

def sysvar(name, value):
    data = lenstr(name) + lenstr(value)
    return bytes([SYSVAR]) + lenstr(data)


def ok_with(entries, status=2):
    return ok_payload(status=status | STATUS_STATE_CHANGED) + lenstr(b"") + lenstr(entries)


@pytest.fixture
def redirecting(start_volvox):
    """A server like MariaDB 11.8 with a redirect_url, and what it was asked."""
    asked = []

    def script(connection):
        connection.greet()
        connection.recv()
        connection.send(ok_with(sysvar(b"autocommit", b"ON") + sysvar(b"redirect_url", b"mysql://away:3306")))

        def answer(_, code, payload):
            asked.append(payload)
            if payload == b"set redirecting":
                return frame(1, ok_with(sysvar(b"time_zone", b"UTC")
                                        + sysvar(b"redirect_url", b"mysql://elsewhere:3306")))
            return None
        connection.serve(answer)

    fake = FakeServer(script)
    volvox = start_volvox({
        "volvox": {"workers": 1},
        "listener main": {"address": f"127.0.0.1:{free_port()}"},
        "group main": {},
        "server fake": {"address": f"127.0.0.1:{fake.port}", "role": "primary"},
        "user app": {"password": "app-secret"},
    })
    yield volvox, asked
    fake.close()


def test_clients_are_not_sent_past_volvox(redirecting):
    volvox, asked = redirecting
    with Client(volvox.port) as c:
        wait_until(lambda: c.query("select 1").rows is None, 10, "the server is used")
        assert b"SET @@session.redirect_url=''" in asked
        assert c.query("set redirecting").track == [(SYSVAR, lenstr(b"time_zone") + lenstr(b"UTC"))]
    with Client(volvox.port) as c:
        assert c.login_ok.track == [(SYSVAR, lenstr(b"autocommit") + lenstr(b"ON")),
                                    (SYSVAR, lenstr(b"redirect_url") + lenstr(b""))]
        c.query("create temporary table own (a int)")
        asked.clear()
        c.simple(COM_RESET)                   # its connection has then the server's own value again
        assert asked[-1] == b"SET @@session.redirect_url=''"


def test_a_set_with_query_attributes_is_read_like_any_other(mysql_place, start_volvox):
    volvox = start_volvox(settings_for(mysql_place.cluster, workers=1))
    with Client(volvox.port, caps=MODERN | QUERY_ATTRIBUTES) as c:
        c.query("set session session_track_schema = 0")
        c.query("select 1")
        assert volvox.status()["sessions_pinned"] == 0
