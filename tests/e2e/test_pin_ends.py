"""A session keeps its connection while it has something there, and no longer."""
import pytest

from processes import free_port, wait_until
from talk import ADMIN
from volvox import settings_for
from wire import COM_RESET, Client, ServerError


def settings_of(place, **user):
    settings = settings_for(place.cluster, workers=1)
    settings["admin"] = {"address": f"127.0.0.1:{free_port()}"}
    settings["admin_user admin"] = {"password": ADMIN[1]}
    settings["user app"].update(user)
    return settings


@pytest.fixture
def own(place, start_volvox):
    return start_volvox(settings_of(place))


def reason(volvox):
    """Why the one session keeps its connection; None: it has given it back."""
    port = int(volvox.settings["admin"]["address"].rsplit(":", 1)[1])
    with Client(port, *ADMIN) as c:
        rows = c.query("select reason from pins where now = 1").rows
    return rows[0][0].decode() if rows else None


def said(client, sql):
    try:
        client.query(sql)
    except ServerError:
        pass


TABLE, HANDLER, TEXT, LOCK = "temporary table", "HANDLER", "PREPARE as text", "named lock"
IS_NULL = "sql_auto_is_null"

CREATE = "create temporary table shop.own (a int)"
COURSES = {
    "dropped": [(CREATE, TABLE), ("insert into shop.own values (1)", TABLE), ("drop temporary table shop.own", None)],
    "dropped by its other name": [(CREATE, TABLE), ("drop table `own`", None)],
    "one of two is dropped": [(CREATE, TABLE), ("create temporary table own2 select 1 as a", TABLE),
                              ("drop table if exists own", TABLE), ("drop table nothing, own2", TABLE),
                              ("drop temporary tables if exists own, own2", None)],
    "never made": [("create temporary table own (a nonsense)", None)],
    "dropped from another schema": [(CREATE, TABLE), ("use test", TABLE), ("drop temporary table if exists own", TABLE),
                                    ("drop temporary table shop.own", None)],
    "renamed": [(CREATE, TABLE), ("alter table own rename to owned", TABLE), ("drop table owned", TABLE)],
    "a handler is closed": [("handler items open as h", HANDLER), ("handler h read first", HANDLER),
                            ("handler h close", None)],
    "a handler is not opened": [("handler nothing open", None)],
    "two handlers": [("handler items open", HANDLER), ("handler shop.items open as h", HANDLER),
                     ("handler items close", HANDLER), ("handler h close", None)],
    "a text is deallocated": [("prepare s from 'select 1 as a'", TEXT), ("execute s", TEXT),
                              ("deallocate prepare s", None)],
    "a text is replaced": [("prepare s from 'select 1'", TEXT), ("prepare s from 'selekt'", None)],
    "a text is dropped": [("prepare s from 'select 1'", TEXT), ("prepare z from 'select 2'", TEXT),
                          ("drop prepare s", TEXT), ("drop prepare z", None)],
    "a text that may do anything": [("prepare s from 'select get_lock(''a'', 0)'", TEXT), ("execute s", TEXT),
                                    ("deallocate prepare s", TEXT)],
    "a lock is released": [("select get_lock('one', 0)", LOCK), ("select 1", LOCK), ("do release_lock('one')", None)],
    "a lock is taken twice": [("select get_lock('one', 0)", LOCK), ("select get_lock('one', 0)", LOCK),
                              ("select release_lock('one')", LOCK), ("select release_lock('one')", None)],
    "two locks": [("select get_lock('one', 0), get_lock('two', 0)", LOCK), ("select release_lock('one')", LOCK),
                  ("select release_lock('two')", None)],
    "a lock of unknown name": [("select get_lock(concat('on', 'e'), 0)", LOCK), ("select release_lock('one')", LOCK),
                               ("select release_all_locks()", None)],
    "a lock in a transaction": [("begin", "transaction"), ("select get_lock('one', 0)", "transaction"),
                                ("select release_lock('one')", "transaction"), ("commit", None)],
    "a lock beyond a transaction": [("begin", "transaction"), ("select get_lock('one', 0)", "transaction"),
                                    ("commit", LOCK), ("select release_lock('one')", None)],
    "IS NULL may ask for the last insert": [("set sql_auto_is_null = 1", IS_NULL), ("select 1", IS_NULL),
                                            ("set sql_auto_is_null = default", None)],
    "in a chain": [("select get_lock('one', 0); select 2", LOCK), ("select release_lock('one')", LOCK)],
}


@pytest.mark.parametrize("course", COURSES)
def test_a_pin_ends_with_what_it_is_for(own, course):
    with Client(own.port, db="shop") as c:
        for sql, expected in COURSES[course]:
            said(c, sql)
            said(c, "select count(*) from shop.items")          # (diagnostics of the one before are a pin, too)
            assert reason(own) == expected, sql


def test_is_null_finds_the_sessions_own_last_insert(place, own):
    """(MariaDB once, MySQL again and again.)"""
    for table in ("counted", "counted2"):
        place.primary.query(f"create table shop.{table} (id int primary key auto_increment, a int)")
    try:
        with Client(own.port, db="shop") as c, Client(own.port, db="shop") as other, place.direct(db="shop") as d:
            def both(sql):
                seen = c.query(sql.format("counted")).rows
                assert seen == d.query(sql.format("counted2")).rows
                return seen
            both("set sql_auto_is_null = 1")
            for i in range(3):
                both(f"insert into {{}} (a) values ({i})")
                other.query("insert into counted (a) values (10)")
                assert both("select a from {} where id is null") == [[str(i).encode()]]
                both("select a from {} where id is null")
                assert other.query("select a from counted where id is null").rows == []
            c.simple(COM_RESET), d.simple(COM_RESET)
            both("insert into {} (a) values (5)")
            assert both("select a from {} where id is null") == []
            wait_until(lambda: reason(own) is None, 5)
    finally:
        for table in ("counted", "counted2"):
            place.primary.query(f"drop table shop.{table}")


def test_a_lock_that_others_have_is_no_reason(own):
    with Client(own.port) as first, Client(own.port) as second:
        assert first.query("select get_lock('one', 0)").value() == b"1"
        assert second.query("select get_lock('one', 0)").value() == b"0"
        wait_until(lambda: own.status()["sessions_pinned"] == 1, 5, "the second is free")
        assert second.query("select row_count()").value() == b"-1"


def test_a_prepared_statement_takes_and_drops(own):
    with Client(own.port, db="shop") as c:
        c.execute(c.prepare(CREATE))
        assert reason(own) == TABLE
        c.execute(c.prepare("drop temporary table own"))
        assert reason(own) is None


def test_nobody_finds_what_ended_and_all_finds_what_did_not(place, start_volvox):
    """By the one connection there is."""
    settings = settings_for(place.cluster, server_limit=1, workers=1)
    settings["group main"]["reads"] = "primary"
    volvox = start_volvox(settings)
    with Client(volvox.port, db="shop") as c, Client(volvox.port, db="shop") as other:
        c.query("create temporary table items (b int)")
        c.query("drop table items")
        assert other.query("select count(name) from items").rows
        c.query("select get_lock('one', 0)")
        c.query("select release_lock('one')")
        assert other.query("select is_free_lock('one')").value() == b"1"


def test_a_pin_ends_when_the_session_does(own):
    with Client(own.port, db="shop") as c:
        c.query(CREATE)
        c.simple(COM_RESET)
        assert reason(own) is None
        c.query("select get_lock('one', 0)")
    wait_until(lambda: own.status()["sessions_pinned"] == 0, 5, "no pin is left")


# ---- pin = deny, pin = log ----------------------------------------------------------------------------

@pytest.fixture
def strict(place, start_volvox):
    return start_volvox(settings_of(place, pin="deny"))


PINS = [(CREATE, TABLE), ("select get_lock('one', 0)", LOCK), ("handler shop.items open", HANDLER),
        ("prepare s from 'select 1'", TEXT), ("call shop.two_results()", "procedure"), ("lock tables shop.items read", "table lock"),
        ("set role none", "role")]


@pytest.mark.parametrize("sql, why", PINS)
def test_who_may_not_pin_is_refused(strict, sql, why):
    with Client(strict.port, db="shop") as c:
        with pytest.raises(ServerError) as caught:
            c.query(sql)
        assert caught.value.args[0] == 1105
        assert caught.value.args[2] == f"volvox: user 'app' may not keep a connection (pin = deny): {why}"
        assert strict.status()["sessions_pinned"] == 0


def test_who_may_not_pin_may_prepare_but_not_execute(strict):
    with Client(strict.port, db="shop") as c:
        s = c.prepare("select get_lock(?, 0)")
        with pytest.raises(ServerError, match="pin = deny"):
            c.execute(s, ["one"])
        assert strict.status()["sessions_pinned"] == 0


def test_who_may_not_pin_may_do_all_the_rest(strict):
    with Client(strict.port, db="shop") as c:
        for sql in ("begin", "select count(*) from items", "commit", "set @a = 1", "set time_zone = '+01:00'",
                    "select sql_calc_found_rows name from items limit 1", "unlock tables", "select release_lock('one')"):
            c.query(sql)


def test_pins_are_logged_where_that_is_wanted(place, start_volvox):
    volvox = start_volvox(settings_of(place, pin="log"))
    with Client(volvox.port, db="shop") as c:
        c.query("begin")
        c.query("commit")
        c.query(CREATE)
    told = volvox.events("session pinned")
    assert [(e["user"], e["reason"]) for e in told] == [("app", TABLE)]
