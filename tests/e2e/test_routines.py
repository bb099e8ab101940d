"""Named locks that stored functions take are seen, and functions that take none cost nothing."""
import contextlib

import pytest

from processes import free_port, wait_until
from servers import APP
from talk import ADMIN
from volvox import settings_for
from wire import Client, ServerError

LOCK = "named lock"
FUNCTIONS = (
    "create function {s}.lock_f(n varchar(60)) returns int no sql begin return get_lock(n, 0); end",
    "create function {s}.call_f(n varchar(60)) returns int no sql begin declare x varchar(60) default n; "
    "return {s}.lock_f(x); end",
    "create function {s}.unlock_f(n varchar(60)) returns int no sql begin return release_lock(n); end",
    "create function {s}.plain_f(n int) returns varchar(60) deterministic begin declare x int default abs(n); "
    "return concat(x, '!'); end",
    "create function {s}.mentions() returns varchar(60) deterministic begin /* get_lock() */ return 'get_lock(1, 0)'; end",
)
READER = ("reader", "reader-secret")


@pytest.fixture(scope="module")
def functions(places):
    made = set()

    def make(place):
        if place.kind in made:
            return
        made.add(place.kind)
        place.primary.query("set global log_bin_trust_function_creators = 1")
        place.primary.query("create database routines")
        for sql in FUNCTIONS:
            place.primary.query(sql.format(s="routines"))
        place.primary.query(f"create user reader identified by '{READER[1]}'")
        place.primary.query("grant select, insert, create on routines.* to reader")
        place.primary.query("create table routines.t (a varchar(60))")
        for name in ("plain_f", "lock_f"):
            place.primary.query(f"grant execute on function routines.{name} to reader")
        place.cluster.sync()
    return make


@pytest.fixture
def own(place, functions, start_volvox):
    functions(place)
    settings = settings_for(place.cluster, workers=1, users=(APP, READER))
    settings["group main"]["reads"] = "primary"
    settings["admin"] = {"address": f"127.0.0.1:{free_port()}"}
    settings["admin_user admin"] = {"password": ADMIN[1]}
    return start_volvox(settings)


def reason(volvox):
    port = int(volvox.settings["admin"]["address"].rsplit(":", 1)[1])
    with Client(port, *ADMIN) as c:
        rows = c.query("select reason from pins where now = 1").rows
    return rows[0][0].decode() if rows else None


def is_kept(volvox, why=LOCK):
    """(What was called is looked at while the client reads its answer.)"""
    wait_until(lambda: reason(volvox) == why, 5, f"it is kept for {why}")


def shows(place):
    return int(place.primary.status("Com_show_create_func"))


CALLS = ("select lock_f('one')", "select routines.LOCK_F('one')", "select call_f('one')", "select `lock_f` ('one')",
         "insert into t values (lock_f('one'))", "do lock_f('one')", "select a from t where lock_f('one') = 5",
         "select 'x', lock_f('one') from t where 1 = 0 union select 1, lock_f('one')")


@pytest.mark.parametrize("sql", CALLS)
def test_a_lock_that_a_function_takes_is_its_sessions(place, own, sql):
    with Client(own.port, db="routines") as c, Client(own.port, db="routines") as other:
        other.query("insert into t values ('x')")
        c.query(sql)
        is_kept(own)
        for _ in range(3):
            assert other.query("select get_lock('one', 0)").value() == b"0"
        assert int(c.query("select release_all_locks()").value()) > 0
        wait_until(lambda: reason(own) is None, 5, "it lets go")
        assert other.query("select is_free_lock('one')").value() == b"1"


def test_also_by_a_prepared_statement(place, own):
    with Client(own.port, db="routines") as c, Client(own.port) as other:
        s = c.prepare("select lock_f(?)")
        assert c.execute(s, ["one"]).rows == [[1]]
        is_kept(own)
        assert other.query("select is_free_lock('one')").value() == b"0"
    with Client(own.port, db="routines") as c:
        c.query("prepare s from 'select lock_f(1)'")
        c.query("execute s")
        c.query("deallocate prepare s")
        assert reason(own) == "PREPARE as text"


def test_what_was_called_in_a_transaction_is_looked_at_when_that_ends(place, own):
    with Client(own.port, db="routines") as c:
        before = shows(place)
        for call, why in (("lock_f('one')", LOCK), ("plain_f(1)", None)):
            c.query("begin")
            c.query(f"select {call}")
            assert reason(own) == "transaction"
            c.query("commit")
            wait_until(lambda: reason(own) == why, 5)
            c.query("do release_all_locks()")
        assert shows(place) == before + 2


def test_what_others_unlock_may_be_gone(place, own):
    with Client(own.port, db="routines") as c:
        c.query("do get_lock('one', 0)")
        is_kept(own)
        assert c.query("select unlock_f('one')").value() == b"1"
        wait_until(lambda: reason(own) is None, 5, "it lets go")


@pytest.mark.parametrize("call", ["plain_f(5)", "mentions()", "routines.plain_f(5)"])
def test_a_harmless_function_is_looked_at_once(place, own, call):
    with Client(own.port, db="routines") as c, Client(own.port, db="routines") as other:
        before = shows(place)
        for client in (c, other) * 3:
            client.query(f"select {call}")
        wait_until(lambda: shows(place) == before + 1, 5)
        assert own.status()["sessions_pinned"] == 0


def test_what_is_no_stored_function_is_left_alone(place, own):
    with contextlib.ExitStack() as stack:
        for schema in ("routines", None):
            c, d = (stack.enter_context(Client(port, db=schema)) for port in (own.port, place.primary.port))
            for client in (c, d):
                with pytest.raises(ServerError):
                    client.query("select nosuch(1)")
            assert c.query("show warnings").rows == d.query("show warnings").rows != []
            c.query("select count(*) from routines.t")
        with Client(own.port, db="routines") as other:
            assert other.query("show warnings").rows == []
        assert own.status()["sessions_pinned"] == 0


def test_warnings_stay_where_a_function_is_looked_at(place, own):
    def talk(port):
        with Client(port, db="routines") as c:
            seen = []
            for sql in ("select cast('y' as signed), plain_f(1)", "select cast('z' as signed)", "select mentions()"):
                seen += [c.query(sql).warnings, c.query("show warnings").rows, c.query("select @@warning_count").rows]
            return seen
    assert talk(own.port) == talk(place.primary.port)


def test_a_function_that_comes_to_lock_is_seen(place, own):
    with Client(own.port, db="routines") as c:
        c.query("create function changing() returns int deterministic begin return 1; end")
        c.query("select changing()")
        wait_until(lambda: reason(own) is None, 5)
        c.query("drop function changing")
        c.query("create function changing() returns int deterministic begin return get_lock('one', 0); end")
        c.query("select changing()")
        is_kept(own)
        c.query("drop function changing")


def test_what_may_not_be_read_may_lock(place, own):
    """An account that may call a function and not see its text."""
    with Client(own.port, *READER, db="routines") as c:
        c.query("select plain_f(1)")
        is_kept(own)
        assert c.query("select release_all_locks()").value() == b"0"
        wait_until(lambda: reason(own) is None, 5, "it lets go")
