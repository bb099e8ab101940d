"""Clients that send nothing: wait_timeout as the session has it, while pooled connections live on."""
import contextlib
import time

import pytest

from conftest import DIRECT
from volvox import settings_for
from wire import COM_RESET, Client


def last_words(client, seconds=10):
    """All that comes until the other side closes."""
    client.sock.settimeout(seconds)
    data = client.buffer
    with contextlib.suppress(ConnectionError):
        while piece := client.sock.recv(65536):
            data += piece
    return data


def test_an_idle_client_is_closed_after_its_own_wait_timeout(place):
    with place.client() as ours, place.direct() as theirs:
        began = time.monotonic()
        for client in (ours, theirs):
            client.query("set wait_timeout = 1")
        expected = last_words(theirs)
        assert last_words(ours) == expected
        assert 0.9 < time.monotonic() - began < 8


@pytest.mark.parametrize("sql", ["set interactive_timeout = 1", "set global wait_timeout = 28800"])
def test_what_is_no_wait_timeout_of_the_session_closes_nobody(place, sql):
    if place.primary and "global" in sql:
        place.primary.query(sql)
    with place.client() as c:
        if "global" not in sql:
            c.query(sql)
        time.sleep(1.5)
        assert c.query("select 1").value() == b"1"


def test_a_busy_client_is_not_idle(place):
    with place.client() as c:
        c.query("set wait_timeout = 1")
        for _ in range(5):
            time.sleep(0.4)
            c.query("select 1")
        c.query("select sleep(1.5)")
        assert c.query("select @@wait_timeout").value() == b"1"
        assert c.is_closed(10)


def test_a_reset_session_waits_as_usual(place):
    with place.client() as c:
        c.query("set wait_timeout = 1")
        c.simple(COM_RESET)
        time.sleep(1.5)
        assert c.query("select @@wait_timeout").value() == b"28800"


def test_a_transaction_that_idles_too_long_ends_as_on_the_server(place):
    with place.client(db="shop") as ours, place.direct(db="shop") as theirs:
        words = []
        for client, row in ((ours, 1), (theirs, 2)):
            client.query("set wait_timeout = 1")
            client.query("begin")
            client.query(f"update items set price = 99999 where id = {row}")
        for client in (ours, theirs):
            words.append(last_words(client))
        assert words[0] == words[1]
    with place.direct(db="shop") as c:        # neither holds its lock
        c.query("set innodb_lock_wait_timeout = 5")
        assert c.query("select count(*) from items where price = 99999 for update").value() == b"0"


def test_an_idle_transactions_own_timeout_is_the_servers(mariadb):
    with mariadb.client(db="shop") as c:
        c.query("set idle_transaction_timeout = 1")
        c.query("begin")
        c.query("update items set price = 99999 where id = 1")
        assert last_words(c) == b""
    assert mariadb.primary.value("select count(*) from shop.items where price = 99999") == 0


@pytest.mark.skipif(DIRECT, reason="needs Volvox")
def test_pooled_connections_outlive_a_sessions_wait_timeout(place, start_volvox):
    volvox = start_volvox(settings_for(place.cluster, workers=1))
    with Client(volvox.port) as c:
        c.query("set wait_timeout = 1")
        for _ in range(3):
            assert c.query("select @@wait_timeout").value() == b"1"
            c.query("do 0")
        with Client(volvox.port) as other:
            assert other.query("select @@wait_timeout").value() == b"28800"
        assert c.is_closed(10)
    lost = volvox.status()["backends_lost"]
    time.sleep(1.5)
    status = volvox.status()
    assert status["backends_lost"] == lost == 0
    assert status["backends_idle"] >= 1
    with Client(volvox.port) as c:
        assert c.query("select @@wait_timeout").value() == b"28800"
    assert volvox.status()["backends_opened"] == status["backends_opened"]


@pytest.mark.skipif(DIRECT, reason="needs Volvox")
def test_a_session_may_wait_longer_than_the_limit_for_others(place, start_volvox):
    volvox = start_volvox(settings_for(place.cluster, idle_timeout="1s"))
    with Client(volvox.port) as patient, Client(volvox.port) as other, Client(volvox.port) as third:
        patient.query("set wait_timeout = 100")
        third.query("set wait_timeout = 2")
        other.query("select 1")
        words = last_words(other)
        assert (b"inactivity" in words) == (place.family == "mysql")
        last_words(third)
        time.sleep(1)
        assert patient.query("select 1").value() == b"1"
        volvox.reload({**volvox.settings, "volvox": {**volvox.settings["volvox"], "idle_timeout": "0s"}})
        time.sleep(0.2)
        assert patient.query("select 1").value() == b"1"


@pytest.mark.skipif(DIRECT, reason="needs Volvox")
def test_who_holds_a_connection_that_the_server_kills_hears_of_it_at_once(place):
    """Not only with the next command: drivers look whether something has arrived."""
    def killed(client, kill):
        client.query("begin")
        kill(int(client.query("select connection_id()").value()))
        return last_words(client)

    def kill(thread):
        with contextlib.suppress(Exception):
            place.primary.query(f"kill {thread}")

    with place.direct() as theirs:
        expected = killed(theirs, kill)
    with place.client() as ours:
        ours.query("begin")
        ours.query("insert into shop.blobs values (77, 'x')")
        [row] = place.primary.query("select trx_mysql_thread_id from information_schema.innodb_trx "
                                    "where trx_rows_modified > 0")
        kill(row[0])
        assert last_words(ours) == expected
