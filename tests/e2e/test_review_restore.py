"""What is put back before a command: it is right, or the command has not run."""
import contextlib
import struct
import threading
import time

import pytest

from processes import wait_until
from servers import APP
from volvox import settings_for
from wire import COM_INIT_DB, Client, Closed, ServerError

pytestmark = pytest.mark.all_kinds

SLEEPY = "/* volvox: primary */ "


def error_of(call, *args):
    with pytest.raises(ServerError) as caught:
        call(*args)
    return caught.value.code


@pytest.fixture
def one(place, start_volvox):
    """One worker, and one connection to each server: every session gets the same."""
    settings = settings_for(place.cluster, server_limit=1, workers=1)
    settings["group main"]["reads"] = "primary"
    return start_volvox(settings)


def make_schema(place, name):
    place.primary.query(f"create database {name}")
    place.primary.query(f"create table {name}.t (a int)")


def test_a_write_does_not_run_in_anothers_schema_when_its_own_has_been_dropped(place, one):
    place.primary.query("create or replace table shop.t (a int)" if place.family == "mariadb"
                        else "create table if not exists shop.t (a int)")
    make_schema(place, "gone")
    with Client(one.port, db="gone") as c, Client(one.port, db="shop") as other:
        c.query("insert into t values (1)")
        place.primary.query("drop database gone")
        for _ in range(3):
            other.query("select count(*) from t")
            for _ in range(3):
                assert error_of(c.query, "insert into t values (2)") in (1049, 1046)
            assert error_of(c.query, "select * from t") in (1049, 1046)
        assert other.query("select count(*) from t").value() == b"0"
        c.query("use shop")
        c.query("insert into t values (3)")
        assert other.query("select a from t").rows == [[b"3"]]
    place.primary.query("drop table shop.t")


@pytest.mark.parametrize("how", ["query", "init_db"])
def test_a_session_whose_schema_was_dropped_can_go_to_another(place, one, how):
    make_schema(place, "gone")
    with Client(one.port, db="gone") as c, Client(one.port, db="test") as other:
        c.query("insert into t values (1)")
        place.primary.query("drop database gone")
        other.query("do 1")
        with pytest.raises(ServerError):
            c.query("use still_not_there")
        if how == "query":
            c.query("use shop")
        else:
            c.simple(COM_INIT_DB, b"shop")
        assert c.query("select database(), count(*) from items").rows == [[b"shop", b"4"]]
        assert other.query("select database()").value() == b"test"


def test_a_dropped_schema_of_ones_own_is_no_schema(place, one):
    make_schema(place, "gone")
    with Client(one.port, db="gone") as c, Client(one.port, db="shop") as other:
        c.query("drop database gone")
        other.query("do 1")
        assert c.query("select database()").value() is None
        other.query("do 1")
        assert error_of(c.query, "insert into items (name) values ('lost')") == 1046


def test_a_statement_prepared_without_a_schema_runs_in_one(place, one):
    with Client(one.port) as c, Client(one.port, db="shop") as other:
        s = c.prepare("select count(*) from shop.items where id > ?")
        assert c.execute(s, [0]).rows == [[4]]
        c.query("use shop")
        for number in one_by_one(place):
            place.primary.query(f"kill connection {number}")
        other.query("select 1")
        assert c.execute(s, [0]).rows == [[4]]


def one_by_one(place):
    return [n for (n,) in place.primary.query(
        "select id from information_schema.processlist where user = 'app'")]


def test_a_time_that_was_set_and_given_up_goes_on(place, start_volvox):
    volvox = start_volvox(settings_for(place.cluster))
    with Client(volvox.port) as c:
        c.query("set timestamp = 1000000000")
        c.query("set timestamp = default")
        seen = {c.query(sql + "select now(6) > '2020-01-01', now(6)").rows[0][1]
                for sql in (SLEEPY, "", SLEEPY, "") if time.sleep(0.05) is None}
        assert len(seen) == 4


def test_the_last_insert_id_can_be_set(place, start_volvox):
    volvox = start_volvox(settings_for(place.cluster))
    with Client(volvox.port) as c:
        c.query("set last_insert_id = 77")
        with Client(volvox.port) as other:
            other.query("do 1")
        assert c.query("select last_insert_id()").value() == b"77"


def test_another_account_does_not_get_the_connection_of_the_one_before(place, start_volvox):
    volvox = start_volvox(settings_for(place.cluster, workers=1))
    with Client(volvox.port) as c:
        c.query("select 1")
        c.change_user("other", "other-secret")
        for sql in ("select current_user(), row_count()", "select current_user(), found_rows()",
                    "select current_user() /* @@warning_count */", "select current_user(), @@warning_count"):
            assert c.query(sql).rows[0][0] == b"other@%"


def test_warnings_outlive_a_ping_and_the_close_of_their_statement(place, start_volvox):
    volvox = start_volvox(settings_for(place.cluster, workers=1))
    with Client(volvox.port) as c:
        s = c.prepare("select cast('x' as signed)")
        assert c.execute(s).warnings == 1
        c.close_statement(s)
        c.ping()
        with Client(volvox.port) as other:
            for _ in range(3):
                other.query("select cast('abc' as signed), 1")
                other.query("do 1")
        rows = c.query("show warnings").rows
        assert len(rows) == 1 and b"'x'" in rows[0][2]


@pytest.mark.parametrize("with_warnings", [False, True], ids=["no warnings", "warnings"])
@pytest.mark.parametrize("what", ["statistics", "twice", "field list", "field list of nothing"])
def test_warnings_outlive_other_commands_as_on_the_server(place, start_volvox, what, with_warnings):
    volvox = start_volvox(settings_for(place.cluster, workers=1))
    commands = {"statistics": Client.statistics, "twice": lambda c: (c.statistics(), c.statistics()),
                "field list": lambda c: c.field_list("items"), "field list of nothing": lambda c: c.field_list("nothing")}

    def warnings(port, meanwhile=lambda: None):
        with Client(port, db="shop") as c:
            if with_warnings:
                assert c.query("select cast('x' as signed)").warnings == 1
            with contextlib.suppress(ServerError):
                commands[what](c)
            meanwhile()
            return c.query("show warnings").rows

    def others():
        with Client(volvox.port) as other:
            other.query("select cast('abc' as signed), 1")
            other.query("do 1")

    others()
    assert warnings(volvox.port, others) == warnings(place.primary.port)


def test_preparing_does_not_do_what_running_would(place, start_volvox):
    """PREPARE of a statement that would pin the session does not."""
    volvox = start_volvox(settings_for(place.cluster, workers=1))
    with Client(volvox.port) as c:
        c.prepare("select get_lock('a lock', ?)")
        assert volvox.status()["sessions_pinned"] == 0


def test_warnings_that_died_with_their_connection_are_not_anothers(place, start_volvox):
    volvox = start_volvox(settings_for(place.cluster, workers=1))
    with Client(volvox.port) as c, Client(volvox.port) as other:
        c.query(SLEEPY + "select cast('mine' as signed)")
        for number in one_by_one(place):
            place.primary.query(f"kill connection {number}")
        time.sleep(0.3)
        other.query(SLEEPY + "select cast('not yours' as signed)")
        other.query("select 1")
        assert c.query("show warnings").rows == []


def test_warnings_of_a_client_are_not_anothers(place, one):
    """MariaDB keeps them across statements that use no table, and reports none with those."""
    with Client(one.port) as c, Client(one.port) as other:
        c.query("select cast('mine' as signed)")
        c.query("select 1")
        other.query("select 2")
        assert other.query("show warnings").rows == []
