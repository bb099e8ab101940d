"""Servers and clients that go at the worst moment: nothing is lost count of, nothing hangs."""
import contextlib
import random
import signal
import threading
import time

import pytest

from fake import FakeServer, error_payload, frame, ok_payload, result_set
from processes import free_port, wait_until
from servers import MariaDB
from volvox import settings_for
from wire import (COM_QUERY, COM_STMT_EXECUTE, FULL, LONG_DATA, Client, Closed, ServerError)

GONE = (ServerError, ConnectionError, TimeoutError, OSError, ValueError)
LIMIT = 3


def all_places_are_free(volvox, limit=LIMIT):
    """As many transactions as the limit allows can be open at once on the primary, no more."""
    clients = []
    try:
        for _ in range(limit):
            c = Client(volvox.port, timeout=15)
            clients.append(c)
            c.query("begin")
            c.query("select 1 for update")
    finally:
        for c in clients:
            c.close()


def nobody_is_left(volvox):
    def empty():
        status = volvox.status()
        return status["sessions"] == status["backends_leased"] == 0 and status["sessions_pinned"] == 0

    wait_until(empty, 15, "no session and no leased connection", every=0.2)


@pytest.fixture
def own(start_cluster, start_volvox):
    """A server of our own, few connections, four workers."""
    cluster = start_cluster(replicas=0)
    cluster.primary.query("create table test.t (a int auto_increment primary key, b longtext) engine=innodb")
    settings = settings_for(cluster, server_limit=LIMIT, workers=4, connect_timeout="1s", queue_timeout="3s",
                            linger="200ms", drain_timeout="1s", statements_per_backend=5)
    volvox = start_volvox(settings)
    return cluster, volvox


def busy_clients(volvox, stop, trouble, leave_rudely=True, count=16):
    """Threads that do a bit of everything until told to stop; what they see must be consistent."""

    def talk(c, r, number):
        what = r.randrange(10)
        if what == 0:
            value = str(r.random())
            assert c.query(f"select '{value}'").value() == value.encode()
        elif what == 1:
            c.query("begin")
            c.query(f"insert into test.t (b) values ('{number}')")
            mine = c.query("select b from test.t where a = last_insert_id()").rows
            assert mine == [[str(number).encode()]], mine
            c.query(r.choice(["commit", "rollback"]))
        elif what == 2:
            s = c.prepare(f"select ?, {r.randrange(12)}")
            assert c.execute(s, [number]).rows[0][0] == number
            assert c.execute(s, [number + 1], types=False).rows[0][0] == number + 1
            if r.random() < .5:
                c.close_statement(s)
        elif what == 3:
            c.query(f"set @mine = {number}")
            assert c.query("select @mine").value() == str(number).encode()
            c.simple(31)
        elif what == 4:
            c.query(f"use {r.choice(['shop', 'test'])}")
        elif what == 5:
            c.query(f"set sql_select_limit = {number + 1000}")
            assert c.query("select @@sql_select_limit").value() == str(number + 1000).encode()
        elif what == 6:
            s = c.prepare("select length(?)")
            c.long_data(s, 0, b"x" * 100000)
            assert c.execute(s, [LONG_DATA]).rows == [[100000]]
        elif what == 7:
            s = c.prepare("select 1 union select 2 union select 3")
            c.execute(s, cursor=1)
            assert c.fetch(s, 2).rows == [[1], [2]]
        elif what == 8:
            with contextlib.suppress(ServerError):
                c.query("selekt")
        else:
            assert c.query("select repeat('y', 300000)").value() == b"y" * 300000

    def work(number):
        r = random.Random(number)
        while not stop.is_set():
            try:
                with Client(volvox.port, db=r.choice(["shop", "test"]), timeout=20) as c:
                    for _ in range(r.randrange(1, 12)):
                        talk(c, r, number)
                    if leave_rudely:
                        c.command(COM_QUERY, r.choice([b"select sleep(0.2)", b"insert into test.t (b) select sleep(0.1)",
                                                       b"begin", b"select repeat('z', 3000000)"]))
            except AssertionError as e:
                trouble.append(f"client {number}: {e!r}")
            except GONE:
                time.sleep(0.01)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for t in threads:
        t.start()
    return threads


@contextlib.contextmanager
def load(volvox, **more):
    stop, trouble = threading.Event(), []
    threads = busy_clients(volvox, stop, trouble, **more)
    try:
        yield
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert trouble == []


@pytest.mark.slow
def test_clients_that_leave_at_any_moment_leave_nothing_behind(own):
    cluster, volvox = own
    with load(volvox):
        time.sleep(5)
    nobody_is_left(volvox)
    all_places_are_free(volvox)


@pytest.mark.slow
def test_connections_that_are_killed_at_any_moment_are_counted_right(own):
    cluster, volvox = own
    with load(volvox):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            for (number,) in cluster.primary.query(
                    "select id from information_schema.processlist where user = 'app' order by rand() limit 1"):
                with contextlib.suppress(Exception):
                    cluster.primary.query(f"kill connection {number}")
            time.sleep(0.05)
    nobody_is_left(volvox)
    all_places_are_free(volvox)


@pytest.mark.slow
def test_a_server_that_dies_under_load_is_used_again(own):
    cluster, volvox = own
    with load(volvox):
        for _ in range(2):
            time.sleep(1)
            cluster.primary.kill()
            time.sleep(0.5)
            cluster.primary.start()
            time.sleep(1)
    nobody_is_left(volvox)
    wait_until(lambda: all_places_are_free(volvox) is None, 15, "all places are free")


@pytest.mark.slow
def test_a_server_that_freezes_under_load_is_used_again(own):
    cluster, volvox = own
    with load(volvox):
        time.sleep(1)
        cluster.primary.freeze()
        time.sleep(4)
        cluster.primary.thaw()
        time.sleep(2)
    nobody_is_left(volvox)
    wait_until(lambda: all_places_are_free(volvox) is None, 15, "all places are free")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGQUIT])
def test_a_stop_under_load_with_transactions_open_is_clean(own, how):
    cluster, volvox = own
    with load(volvox):
        held = [Client(volvox.port, timeout=10) for _ in range(2)]
        for c in held:
            c.query("begin")
            c.query("insert into test.t (b) values ('held')")
        time.sleep(1)
        volvox.stop(how, 15)
    assert cluster.primary.value("select count(*) from test.t where b = 'held'") == 0


@pytest.mark.slow
def test_a_stop_while_the_server_is_frozen_is_clean(own):
    cluster, volvox = own
    with load(volvox):
        time.sleep(1)
        cluster.primary.freeze()
        time.sleep(0.5)
        try:
            volvox.stop(signal.SIGTERM, 20)
        finally:
            cluster.primary.thaw()


@pytest.mark.slow
def test_reloads_under_load_that_take_away_what_is_in_use(own):
    """Users and groups come, go and change their names while their sessions hold connections."""
    cluster, volvox = own
    full = {k: dict(v) for k, v in volvox.settings.items()}
    without_user = {k: v for k, v in full.items() if k != "user other"}
    other_group = {("group second" if k == "group main" else k): v for k, v in full.items()}
    with load(volvox):
        held = Client(volvox.port, "other", "other-secret")
        held.query("begin")
        for settings in (without_user, full, other_group, full, without_user, other_group, full):
            assert volvox.reload(settings)["event"] == "reloaded"
            time.sleep(0.4)
        held.close()
    nobody_is_left(volvox)
    all_places_are_free(volvox)


# ---- one thing at a time ----------------------------------------------------------------------

def test_a_raised_limit_serves_those_who_wait(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster, server_limit=1, workers=1, queue_timeout="20s")
    volvox = start_volvox(settings)
    with Client(volvox.port) as holder, Client(volvox.port, timeout=10) as waiter:
        holder.query("begin")
        holder.query("select 1 for update")
        waiter.command(COM_QUERY, b"select 2 for update")
        time.sleep(0.3)
        settings["server db1"]["max_connections"] = 2
        volvox.reload(settings)
        assert waiter.read_result().value() == b"2"


def test_preparing_again_does_not_end_a_transaction(place, start_volvox):
    """The statement was prepared with autocommit off; now there is a transaction with it on."""
    volvox = start_volvox(settings_for(place.cluster, workers=1))
    place.primary.query("drop table if exists test.kept")
    place.primary.query("create table test.kept (a int) engine=innodb")
    with Client(volvox.port) as c:
        c.query("set autocommit = 0")
        s = c.prepare("select count(*) from test.kept")
        c.query("commit")
        c.query("set autocommit = 1")
        for (number,) in place.primary.query(
                "select id from information_schema.processlist where user = 'app'"):
            place.primary.query(f"kill connection {number}")
        time.sleep(0.2)
        c.query("begin")
        c.query("insert into test.kept values (1)")
        assert c.execute(s).rows == [[1]]
        c.query("rollback")
    assert place.primary.value("select count(*) from test.kept") == 0
    place.primary.query("drop table test.kept")


@pytest.fixture
def two_fakes(start_volvox):
    primary, replica = FakeServer(), FakeServer()
    volvox = start_volvox({
        "volvox": {"workers": 1, "connect_timeout": "500ms", "queue_timeout": "2s"},
        "listener main": {"address": f"127.0.0.1:{free_port()}"},
        "group main": {},
        "server primary": {"address": f"127.0.0.1:{primary.port}", "role": "primary", "max_connections": 2},
        "server replica": {"address": f"127.0.0.1:{replica.port}", "role": "replica", "max_connections": 2},
        "user app": {"password": "app-secret"}})
    yield primary, replica, volvox
    primary.close()
    replica.close()


def test_a_read_does_not_fail_because_one_server_is_too_slow_to_greet(two_fakes):
    primary, replica, volvox = two_fakes
    replica.script = lambda connection: time.sleep(60)
    primary.answer = lambda c, code, p: result_set([[b"primary"]]) if b"where" in p else None
    with Client(volvox.port, timeout=5) as c:
        assert c.query("select 'where'").value() == b"primary"


def test_an_interrupted_transaction_is_not_continued_elsewhere(two_fakes):
    """The server's half of an answer ends the connection, whoever is to blame."""
    primary, replica, volvox = two_fakes
    said = []

    def answer(connection, code, payload):
        said.append(payload)
        if payload == b"begin":
            return frame(1, ok_payload(status=3))
        if payload == b"nonsense":
            return frame(7, b"\x33")
        return None

    primary.answer = answer
    with Client(volvox.port, timeout=5) as c:
        c.query("begin")
        with pytest.raises(GONE):
            c.query("nonsense")
        with pytest.raises(GONE):
            c.query("insert after")
    assert b"insert after" not in said


def test_a_refused_restore_is_told_and_the_connection_is_not_used_again(two_fakes):
    primary, replica, volvox = two_fakes
    ran = []

    def answer(connection, code, payload):
        if code == 2 and payload == b"refused":
            return frame(1, error_payload(1049, "Unknown database", "42000"))
        if code == 3 and not payload.startswith(b"SET NAMES"):
            ran.append(payload)
        return None

    with Client(volvox.port, db="refused", timeout=5) as c, Client(volvox.port, db="fine", timeout=5) as d:
        primary.answer = replica.answer = answer
        d.query("insert 1")
        with pytest.raises(ServerError) as caught:
            c.query("insert 2")
        assert caught.value.code == 1049
        with pytest.raises(ServerError) as caught:
            c.query("select 3")
        assert caught.value.code == 1049
        d.query("insert 4")
        with pytest.raises(ServerError):
            c.query("insert 5")
    assert [p for p in ran if p.startswith(b"insert")] == [b"insert 1", b"insert 4"]


def test_commands_of_all_kinds_in_one_segment_are_answered_in_order(place):
    import struct
    from wire import frame as one
    with place.client(db="shop") as c:
        s = c.prepare("select ?")
        number = struct.pack("<I", s.id)
        execute = b"\x17" + number + b"\0\1\0\0\0" + b"\0\1\x08\0" + struct.pack("<q", 7)
        c.send_raw(b"".join(one(0, p) for p in (
            b"\x03select 1", b"\x0e", execute, b"\x18" + number + b"\0\0" + b"long", b"\x1a" + number, execute,
            b"\x03begin", b"\x17" + number + b"\0\1\0\0\0" + b"\0\0" + struct.pack("<q", 8), b"\x03rollback",
            b"\x02test", b"\x03select database()", b"\x03selekt", b"\x03show errors", b"\x19" + number, execute,
            b"\x1f", b"\x03select 2")))

        def next_result(binary=False):
            c.seq = 1
            return c.read_result(binary)

        assert next_result().value() == b"1"
        next_result()
        assert next_result(True).rows == [[7]]
        next_result()
        assert next_result(True).rows == [[7]]
        assert next_result().in_transaction
        assert next_result(True).rows == [[8]]
        assert not next_result().in_transaction
        next_result()
        assert next_result().value() == b"test"
        with pytest.raises(ServerError):
            next_result()
        assert next_result().rows[0][1] == b"1064"
        with pytest.raises(ServerError) as caught:
            next_result(True)
        assert caught.value.code == 1243
        next_result()
        assert next_result().value() == b"2"


@pytest.mark.slow
def test_a_long_queue_of_clients_that_left_while_they_waited_is_worked_off(mariadb, start_volvox):
    """Each login ends before it begins; the next must not be started on top of it."""
    import socket
    volvox = start_volvox(settings_for(mariadb.cluster, workers=1, max_sessions_logging_in=2, login_timeout="3s"))
    silent = [Client(volvox.port, login=False) for _ in range(2)]
    for _ in range(6000):
        with contextlib.suppress(OSError), socket.socket() as s:
            s.connect(("127.0.0.1", volvox.port))
    for c in silent:
        c.close()
    with Client(volvox.port, timeout=20) as c:
        assert c.query("select 1").value() == b"1"
    nobody_is_left(volvox)


def test_a_listeners_group_is_the_same_after_a_reload_that_moves_it(start_volvox):
    """Groups are known by their place in the file, which a reload may change."""
    first, second = FakeServer(), FakeServer()
    for fake, name in ((first, b"first"), (second, b"second")):
        fake.answer = lambda c, code, p, name=name: result_set([[name]]) if b"where" in p else None

    def settings(*groups):
        port = settings.port
        return {
            "volvox": {"workers": 1},
            "listener main": {"address": f"127.0.0.1:{port}", "group": "second"},
            **{f"group {g}": {} for g in groups},
            "server one": {"address": f"127.0.0.1:{first.port}", "role": "primary", "group": "first"},
            "server two": {"address": f"127.0.0.1:{second.port}", "role": "primary", "group": "second"},
            "user app": {"password": "app-secret", "group": "first"}}

    settings.port = free_port()
    volvox = start_volvox(settings("first", "second"))
    with Client(volvox.port, timeout=5) as c, Client(volvox.port, timeout=5) as d:
        assert c.query("select 'where'").value() == b"second"
        volvox.reload(settings("second", "first"))
        assert c.query("select 'where'").value() == b"second"
        d.change_user("app", "app-secret")
        assert d.query("select 'where'").value() == b"second"
    first.close()
    second.close()


def test_a_command_of_a_transaction_can_be_interrupted_more_than_once(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, workers=2))
    with Client(volvox.port, timeout=10) as c, Client(volvox.port, timeout=10) as killer:
        c.query("begin")
        for _ in range(3):
            c.command(COM_QUERY, b"update shop.items set price = price + sleep(8) where id = 1")
            time.sleep(0.3)
            began = time.monotonic()
            killer.query(f"kill query {c.greeting.thread_id}")
            with pytest.raises(ServerError) as caught:
                c.read_result()
            assert caught.value.code == 1317
            assert time.monotonic() - began < 5
        assert c.query("select 1").in_transaction
