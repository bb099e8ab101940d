"""Many clients on few server connections: nothing of one is ever seen by another."""
import collections
import random
import threading
import time

import pytest

from processes import wait_until
from servers import APP, OTHER
from volvox import Volvox, settings_for
from wire import (BASE, COM_QUERY, COM_RESET, FOUND_ROWS, MODERN, Client, ServerError)

# An account of our own for tests that count connections.
POOLED = ("pooled", "pooled-secret")

# What a client may leave behind: how, and what others must find instead.
STATE = {
    "a variable": (["set sql_mode = 'ANSI_QUOTES'"], "select @@sql_mode like '%ANSI_QUOTES%'", b"0"),
    "the time zone": (["set time_zone = '+07:00'"], "select @@time_zone", b"SYSTEM"),
    "a limit": (["set sql_select_limit = 1"], "select count(*) from (select 1 union select 2) x", b"2"),
    "several variables at once": (["set sql_safe_updates = 1, max_join_size = 10000, sql_big_selects = 0"],
                                  "select @@sql_safe_updates + (@@max_join_size = 10000)", b"0"),
    "the isolation level": (["set session transaction isolation level serializable"],
                            "select @@{isolation}", b"REPEATABLE-READ"),
    "read only": (["set session transaction read only"], "select @@{read_only}", b"0"),
    "autocommit": (["set autocommit = 0"], "select @@autocommit", b"1"),
    "the schema": (["use shop"], "select database()", b"test"),
    "the character set": (["set names latin1"], "select @@character_set_client", b"utf8mb4"),
    "a character set for results": (["set character_set_results = null"],
                                    "select @@character_set_results", b"utf8mb4"),
    "the collation": (["set collation_connection = utf8mb4_bin"],
                      "select @@collation_connection = 'utf8mb4_bin'", b"0"),
    "a user variable": (["set @mine = 5"], "select @mine", None),
    "a user variable set by SELECT": (["select @mine := 5"], "select @mine", None),
    "a user variable set by INTO": (["select 5 into @mine"], "select @mine", None),
    "a temporary table": (["create temporary table test.tmp_of_mine (a int)"],
                          "select count(*) from test.tmp_of_mine", 1146),
    "a named lock": (["select get_lock('lock of mine', 0)"], "select get_lock('lock of mine', 1)", b"1"),
    "a table lock": (["lock tables shop.items write"], "select count(*) > 0 from shop.items", b"1"),
    "a transaction": (["begin", "insert into shop.items (name) values ('mine')"],
                      "select count(*) from shop.items where name = 'mine'", b"0"),
    "a read only transaction": (["start transaction read only", "select 1"],
                                "update shop.items set price = price where id = 1", "ok"),
    "a text-protocol statement": (["prepare mine from 'select 1'"], "execute mine", 1243),
    "the last insert id": (["set last_insert_id = 77"], "select last_insert_id()", b"0"),
    "the insert id of a new row": (["insert into shop.items (name) values ('short-lived')",
                                    "delete from shop.items where name = 'short-lived'"],
                                   "select last_insert_id()", b"0"),
    "an insert id to come": (["set insert_id = 777"], "select @@insert_id", b"0"),
    "a handler": (["handler shop.items open as h"], "handler h read first", 1109),
    "a timestamp": (["set timestamp = 1000000000"], "select now() > '2020-01-01'", b"1"),
    "a one-shot isolation level": (["set transaction isolation level serializable"],
                                   "select @@{isolation}", b"REPEATABLE-READ"),
    "found rows": (["select sql_calc_found_rows * from shop.items limit 1"], "select 1", b"1"),
    "profiling": (["set profiling = 1"], "select @@profiling", b"0"),
}

# The id that the server has for the connection; CONNECTION_ID() alone is what Volvox told the client.
SERVERS_ID = ("/* volvox: primary */ select id from information_schema.processlist "
              "where id = connection_id()")


def names_of(place):
    if place.family == "mariadb":
        return {"isolation": "tx_isolation", "read_only": "tx_read_only"}
    return {"isolation": "transaction_isolation", "read_only": "transaction_read_only"}


def finds(client, sql, expected):
    """The client finds what a fresh connection finds."""
    if isinstance(expected, int):
        with pytest.raises(ServerError) as caught:
            client.query(sql)
        assert caught.value.code == expected
    elif expected == "ok":
        assert client.query(sql).rows is None
    else:
        assert client.query(sql).value() == expected


@pytest.fixture(scope="module")
def narrow(request):
    """For each family a Volvox with one worker and at most two connections to each server."""
    running = {}

    def of(place):
        if place.volvox is None:
            return place.port
        if place.family not in running:
            running[place.family] = Volvox(settings_for(place.cluster, server_limit=2, workers=1)).start()
        volvox = running[place.family]
        assert volvox.is_running() and not volvox.sanitizer_report(), volvox.log_tail()
        return volvox.port

    yield of
    for volvox in running.values():
        volvox.stop()


@pytest.mark.parametrize("what", STATE)
def test_what_a_client_leaves_behind_is_gone(place, narrow, what):
    """The connection is closed with the state in place; the next clients use what it used."""
    statements, look, expected = STATE[what]
    look = look.format(**names_of(place))
    port = narrow(place)
    for leave in ("quit", "close"):
        first = Client(port, *APP, db="test")
        for sql in statements:
            first.query(sql)
        getattr(first, leave)()
        for before in ("", "/* volvox: primary */ "):
            with Client(port, *APP, db="test") as second:
                finds(second, before + look, expected)
                if "get_lock" in look:
                    second.query("select release_lock('lock of mine')")


@pytest.mark.parametrize("what", [w for w in STATE if w not in ("a named lock", "a table lock")])
def test_what_a_client_keeps_is_its_own(place, narrow, what):
    """The client stays connected; others come and go meanwhile and do not see it."""
    statements, look, expected = STATE[what]
    look = look.format(**names_of(place))
    port = narrow(place)
    with Client(port, *APP, db="test") as first:
        for sql in statements:
            first.query(sql)
        for before in ("", "/* volvox: primary */ "):
            with Client(port, *APP, db="test") as second:
                second.query("set innodb_lock_wait_timeout = 2")
                finds(second, before + look, expected)


def test_a_lock_is_given_to_one_client_only(place):
    with place.client() as a, place.client() as b:
        assert a.query("select get_lock('only one', 0)").value() == b"1"
        for _ in range(5):
            assert b.query("select get_lock('only one', 0)").value() == b"0"
            assert a.query("select 1").value() == b"1"
        assert a.query("select release_lock('only one')").value() == b"1"
        assert b.query("select get_lock('only one', 1)").value() == b"1"
        b.query("select release_lock('only one')")


def test_found_rows_instead_of_changed_rows_is_a_matter_of_the_client(place):
    with place.client(db="shop") as changed, place.client(db="shop", caps=MODERN | FOUND_ROWS) as found:
        for _ in range(5):
            sql = "update items set price = price where id in (1, 2)"
            assert changed.query(sql).affected == 0
            assert found.query(sql).affected == 2


def test_state_follows_its_client(place):
    """What was set holds for this client's later statements, wherever they run."""
    with place.client(db="test") as c:
        c.query("set @a = 5, time_zone = '+03:00'")
        c.query("set sql_mode = 'ANSI_QUOTES'")
        c.query("use shop")
        for i in range(20):
            with place.client() as other:
                other.query("select 1")
            row = c.query('select @a, @@time_zone, @@sql_mode, database(), count(*) from "items"').rows[0]
            assert row[:4] == [b"5", b"+03:00", b"ANSI_QUOTES", b"shop"]


# ---- the same talk, directly and through a narrow pool -----------------------------------------

class Talker:
    """A random but repeatable series of statements of one client, with what came back."""

    def __init__(self, seed, port):
        self.random = random.Random(seed)
        self.number = seed
        self.port = port
        self.heard = []

    def statement(self):
        r, n = self.random, self.number
        return r.choice([
            lambda: f"select {r.randrange(1000)} + {n}",
            lambda: f"set @v = {r.randrange(1000)}",
            lambda: "select @v, @w",
            lambda: f"select @w := {r.randrange(1000)}",
            lambda: f"set time_zone = '+0{r.randrange(1, 9)}:00'",
            lambda: "select @@time_zone, @@sql_select_limit, @@autocommit, database()",
            lambda: f"set sql_select_limit = {r.randrange(2, 50)}",
            lambda: "set sql_select_limit = default",
            lambda: r.choice(["use shop", "use test"]),
            lambda: r.choice(["begin", "commit", "rollback"]),
            lambda: f"insert into test.talk_{n} (a) values ({r.randrange(1000)})",
            lambda: f"update test.talk_{n} set b = b + 1 where a < {r.randrange(1000)}",
            lambda: f"/* volvox: primary */ select count(*), sum(a), sum(b) from test.talk_{n}",
            lambda: "create temporary table if not exists test.tmp_t (a int)",
            lambda: f"insert into test.tmp_t values ({r.randrange(1000)})",
            lambda: "select count(*), sum(a) from test.tmp_t",
            lambda: "drop temporary table if exists test.tmp_t",
            lambda: r.choice(["set autocommit = 0", "set autocommit = 1"]),
            lambda: "select last_insert_id() > 0, 1",
            lambda: "prepare p from 'select ? + 1'",
            lambda: "execute p using @v",
            lambda: "set names " + r.choice(["latin1", "utf8mb4"]),
            lambda: "select @@character_set_client",
            lambda: "select * from nowhere",
        ])()

    def talk(self, count):
        with Client(self.port, *APP, db="test", timeout=60) as c:
            c.query(f"create table if not exists test.talk_{self.number} "
                    "(id int primary key auto_increment, a int, b int default 0)")
            c.query(f"truncate table test.talk_{self.number}")
            for _ in range(count):
                if self.random.random() < 0.02:
                    c.simple(COM_RESET)
                    self.heard.append("reset")
                    continue
                sql = self.statement()
                try:
                    result = c.query(sql)
                    self.heard.append((sql, result.rows, result.affected, result.status & 3, result.warnings))
                except ServerError as e:
                    self.heard.append((sql, e.code))
            c.query("rollback")


def talk_of_all(port, clients, count):
    talkers = [Talker(n, port) for n in range(clients)]
    trouble = []

    def run(talker):
        try:
            talker.talk(count)
        except Exception as e:
            trouble.append(f"client {talker.number}: {e!r} after {talker.heard[-3:]}")

    threads = [threading.Thread(target=run, args=(t,)) for t in talkers]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert trouble == []
    return [t.heard for t in talkers]


@pytest.mark.slow
def test_many_clients_on_few_connections_hear_what_they_would_hear_directly(place, start_volvox):
    volvox = start_volvox(settings_for(place.cluster, server_limit=12, queue_timeout="60s"))
    expected = talk_of_all(place.primary.port, 12, 150)
    heard = talk_of_all(volvox.port, 12, 150)
    for number, (ours, theirs) in enumerate(zip(heard, expected)):
        for i, (a, b) in enumerate(zip(ours, theirs)):
            assert a == b, f"client {number}, statement {i}, after {theirs[max(0, i - 5):i]}"


# ---- the pool itself ---------------------------------------------------------------------------

def pooled_connections(server):
    return server.value("select count(*) from information_schema.processlist where user = 'pooled'")


@pytest.fixture
def pooled(mariadb):
    """pooled(limit, ...) -> settings for the account whose connections are ours alone."""
    mariadb.primary.query(f"create user if not exists pooled@'%' identified by '{POOLED[1]}'")
    mariadb.primary.query("grant select, insert, process on *.* to pooled@'%'")
    mariadb.cluster.sync()
    wait_until(lambda: pooled_connections(mariadb.primary) == 0, 10, "connections of an earlier test are gone")

    def settings(limit=100, **volvox):
        return settings_for(mariadb.cluster, users=[POOLED], server_limit=limit, **volvox)
    return settings


def test_connections_are_used_again(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster))
    with Client(volvox.port) as c:
        c.query("select 1 for update")
    before = mariadb.primary.status("Connections")
    for _ in range(100):
        c = Client(volvox.port)
        assert c.query("select 1 for update").value() == b"1"
        c.quit()
    # The probes and this question come on top.
    assert mariadb.primary.status("Connections") - before < 20


def test_clients_share_connections_between_transactions(mariadb, start_volvox, pooled):
    volvox = start_volvox(pooled(2))
    clients = [Client(volvox.port, *POOLED) for _ in range(20)]
    for turn in range(5):
        for c in clients:
            c.query("begin")
            assert c.query("select 1").value() == b"1"
            c.query("commit")
    assert pooled_connections(mariadb.primary) <= 2
    for c in clients:
        c.close()


def test_the_limit_of_a_server_is_exact_across_workers(mariadb, start_volvox, pooled):
    volvox = start_volvox(pooled(3, workers=4, queue_timeout="30s"))
    worst, done = [], threading.Event()

    def watch():
        while not done.is_set():
            worst.append(pooled_connections(mariadb.primary))
            time.sleep(0.01)

    def work():
        with Client(volvox.port, *POOLED, timeout=60) as c:
            for _ in range(20):
                assert c.query("select sleep(0.005) for update").value() == b"0"

    watcher = threading.Thread(target=watch)
    watcher.start()
    threads = [threading.Thread(target=work) for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    done.set()
    watcher.join()
    assert 0 < max(worst) <= 3


def test_waiting_for_a_connection_ends_at_the_deadline(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, server_limit=1, queue_timeout="500ms"))
    with Client(volvox.port) as holder, Client(volvox.port) as waiting:
        holder.query("begin")
        holder.query("select 1")
        began = time.monotonic()
        with pytest.raises(ServerError) as caught:
            waiting.query("begin")
            waiting.query("select 1")
        assert 0.4 < time.monotonic() - began < 5
        assert caught.value.code == 1040
        holder.query("commit")
        assert waiting.query("select 1 for update").value() == b"1"


def test_waiting_ends_when_a_connection_becomes_free(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, server_limit=1, queue_timeout="20s"))
    with Client(volvox.port) as holder, Client(volvox.port) as waiting:
        holder.query("begin")
        holder.query("select 1")
        answer = []

        def wait():
            answer.append(waiting.query("select 5 for update").value())

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.3)
        assert answer == []
        holder.query("commit")
        thread.join(5)
        assert answer == [b"5"]


def test_idle_connections_that_the_server_closed_are_noticed_and_replaced(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster))
    with Client(volvox.port) as c:
        for _ in range(10):
            assert c.query("select 1 for update").value() == b"1"
            for (number,) in mariadb.primary.query(
                    "select id from information_schema.processlist where user = 'app'"):
                mariadb.primary.query(f"kill connection {number}")
            assert c.query("select 2 for update").value() == b"2"
            assert {int(c.query("select 3").value()) for _ in range(3)} == {3}


def test_a_statement_is_not_run_twice_when_a_connection_dies_under_it(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster))
    mariadb.primary.query("create or replace table test.once (a int)")
    with Client(volvox.port) as c:
        c.command(3, b"insert into test.once select sleep(1)")
        number = wait_until(lambda: mariadb.primary.query(
            "select id from information_schema.processlist where info like 'insert into test.once%'"),
            5, "the insert runs")[0][0]
        mariadb.primary.query(f"kill connection {number}")
        with pytest.raises(ServerError):
            c.read_result()
        assert c.query("select 1").value() == b"1"
    assert mariadb.primary.value("select count(*) from test.once") == 0
    mariadb.primary.query("drop table test.once")


def test_a_transaction_whose_connection_died_is_not_continued(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster))
    with Client(volvox.port) as c:
        c.query("begin")
        number = c.query(SERVERS_ID).value().decode()
        mariadb.primary.query(f"kill connection {number}")
        time.sleep(0.2)
        with pytest.raises((ServerError, ConnectionError)):
            c.query("update shop.items set price = 1000000 where id = 1")
    assert mariadb.primary.value("select count(*) from shop.items where price = 1000000") == 0


def test_idle_connections_are_closed_after_a_while(mariadb, start_volvox, pooled):
    volvox = start_volvox(pooled(pool_idle_timeout="1s"))
    clients = [Client(volvox.port, *POOLED) for _ in range(5)]
    for c in clients:
        c.query("begin")
        c.query("select 1")
    assert pooled_connections(mariadb.primary) == 5
    for c in clients:
        c.query("commit")
    wait_until(lambda: pooled_connections(mariadb.primary) == 0, 6, "no idle connection is left")
    assert clients[0].query("select 1").value() == b"1"
    for c in clients:
        c.close()


def test_old_connections_are_replaced(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, pool_max_age="1s"))
    with Client(volvox.port) as c:
        seen, end = set(), time.monotonic() + 4
        while time.monotonic() < end:
            seen.add(c.query(SERVERS_ID).value())
            time.sleep(0.05)
        assert 2 <= len(seen) <= 8, seen


def test_a_connection_is_replaced_after_its_number_of_commands(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, workers=1, pool_max_commands=10,
                                       pool_jitter_percent=0))
    with Client(volvox.port) as c:
        counts = collections.Counter(c.query(SERVERS_ID).value() for _ in range(100))
        assert max(counts.values()) <= 10


def test_a_minimum_of_idle_connections_is_kept(mariadb, start_volvox, pooled):
    volvox = start_volvox(pooled(workers=1, pool_min_idle=3))
    with Client(volvox.port, *POOLED) as c:
        c.query("select 1 for update")
        wait_until(lambda: pooled_connections(mariadb.primary) >= 3, 10, "three connections")


def test_users_do_not_get_each_others_connections(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, workers=1))
    for _ in range(10):
        for who in (APP, OTHER):
            with Client(volvox.port, *who) as c:
                assert c.query("select current_user() for update").value().startswith(who[0].encode())


def test_a_client_that_leaves_in_the_middle_of_a_long_query_frees_its_connection(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, server_limit=1, queue_timeout="20s"))
    c = Client(volvox.port)
    c.command(3, b"select sleep(30) for update")
    wait_until(lambda: mariadb.primary.query(
        "select 1 from information_schema.processlist where info like 'select sleep(30)%'"), 5, "it runs")
    c.close()
    with Client(volvox.port) as other:
        assert other.query("select 1 for update").value() == b"1"


def test_clients_of_different_shapes_share_connections(mariadb, start_volvox, pooled):
    volvox = start_volvox(pooled(1))
    shapes = (BASE, MODERN)
    clients = [Client(volvox.port, *POOLED, caps=shapes[i % 2]) for i in range(6)]
    for turn in range(10):
        for c in clients:
            assert c.query(f"select {turn} for update").rows == [[b"%d" % turn]]
    assert pooled_connections(mariadb.primary) <= 1
    for c in clients:
        c.close()


def test_idle_clients_with_an_error_do_not_starve_the_others(mariadb, start_volvox, pooled):
    """They keep their connection for SHOW WARNINGS, but not while others have to wait."""
    volvox = start_volvox(pooled(2, queue_timeout="3s"))
    failed = [Client(volvox.port, *POOLED) for _ in range(6)]
    for c in failed:
        with pytest.raises(ServerError) as caught:
            c.query("insert into test.nowhere values (1)")
        assert caught.value.code == 1146
    with Client(volvox.port, *POOLED) as other:
        for _ in range(5):
            assert other.query("select 5 for update").value() == b"5"
    # the last ones still have theirs, or hear that it is gone; nobody hears somebody else's
    for c in failed:
        try:
            assert c.query("show warnings").rows == [[b"Error", b"1146", b"Table 'test.nowhere' doesn't exist"]]
        except ServerError as e:
            assert e.code == 1105 and "diagnostics" in str(e)
        assert c.query("select 6 for update").value() == b"6"
        c.close()


def test_a_session_pinned_on_a_replica_does_not_write_there(mariadb):
    with mariadb.client(db="test") as c:
        c.query("start transaction read only")
        c.query("select 1")
        c.query("set @mine = 5")
        c.query("commit")
        with pytest.raises(ServerError) as caught:
            c.query("insert into test.nowhere values (1)")
        assert caught.value.code in (1105, 1146)     # refused by us, or there was no need to
        assert c.query("select @mine").value() == b"5"


def test_a_connection_goes_to_who_needs_nothing_restored(mariadb, start_volvox):
    """Of those who wait, if that is soon behind the oldest."""
    settings = settings_for(mariadb.cluster, server_limit=1, workers=1)
    volvox = start_volvox(settings)
    with Client(volvox.port) as holder, Client(volvox.port) as other, Client(volvox.port) as alike:
        for c in (alike, holder):
            c.query("set time_zone = '+02:00'")
        holder.query("begin")
        holder.query("select 1 for update")
        for c in (other, alike):
            c.command(COM_QUERY, b"select @@time_zone for update")
            time.sleep(0.3)
        with volvox.counting() as counted:
            holder.query("commit")
            assert alike.read_result().value() == b"+02:00"
            assert other.read_result().value() == b"SYSTEM"
        assert counted["restores"] == 1
