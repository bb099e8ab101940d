"""KILL with the ids that Volvox gives, and clients that leave in the middle."""
import contextlib
import struct
import threading
import time

import pytest

from processes import wait_until
from servers import OTHER
from wire import Client, ServerError

pytestmark = pytest.mark.all_kinds

COM_PROCESS_KILL = 0x0C


def running(server, text):
    return server.value("select count(*) from information_schema.processlist "
                        f"where command in ('Query', 'Execute') and info like '{text}%'")


class Sleeper(threading.Thread):
    """A client that runs one long statement; what came of it."""

    def __init__(self, place, sql):
        super().__init__()
        self.client, self.sql, self.outcome = place.client(timeout=40), sql, None

    def run(self):
        try:
            self.outcome = self.client.query(self.sql).rows
        except ServerError as e:
            self.outcome = e.code
        except (ConnectionError, EOFError, OSError) as e:
            self.outcome = type(e).__name__


def asleep(place, mark):
    sleeper = Sleeper(place, f"select sleep(30) /* {mark} */ for update")
    sleeper.start()
    wait_until(lambda: running(place.primary, f"select sleep(30) /* {mark}"), 5, "it runs")
    return sleeper


def test_kill_query_ends_the_statement_and_the_connection_goes_on(place):
    sleeper = asleep(place, "kill query")
    with place.client() as c:
        c.query(f"kill query {sleeper.client.greeting.thread_id}")
    sleeper.join(10)
    # an interrupted SLEEP() returns 1; MariaDB ends the statement with 1317 or 1969
    assert sleeper.outcome in ([[b"1"]], 1317, 1969)
    assert sleeper.client.query("select 7").value() == b"7"
    sleeper.client.close()
    assert running(place.primary, "select sleep(30) /* kill query") == 0


def test_kill_query_leaves_the_transaction_alone(place):
    with place.client() as victim, place.client() as killer:
        victim.query("create table if not exists test.killed (a int)")
        victim.query("delete from test.killed")
        victim.query("begin")
        victim.query("insert into test.killed values (1)")
        long = "select benchmark(100000000000, 1 + 1)"
        began = time.monotonic()

        def run():
            with contextlib.suppress(ServerError):      # one family ends it with 1317, one with NULL
                victim.query(long)

        thread = threading.Thread(target=run)
        thread.start()
        wait_until(lambda: running(place.primary, long), 5, "it runs")
        killer.query(f"kill query {victim.greeting.thread_id}")
        thread.join(20)
        assert not thread.is_alive() and time.monotonic() - began < 20
        assert victim.query("select count(*) from test.killed").value() == b"1"
        victim.query("commit")
        assert killer.query("/* volvox: primary */ select count(*) from test.killed").value() == b"1"


@pytest.mark.parametrize("how", ["kill {}", "kill connection {}", "COM_PROCESS_KILL"])
def test_kill_ends_the_connection_and_what_it_runs(place, how):
    sleeper = asleep(place, "kill " + how.format("n"))
    with place.client() as c:
        if how == "COM_PROCESS_KILL":
            c.simple(COM_PROCESS_KILL, struct.pack("<I", sleeper.client.greeting.thread_id))
        else:
            c.query(how.format(sleeper.client.greeting.thread_id))
    sleeper.join(10)
    assert not sleeper.is_alive()
    wait_until(lambda: running(place.primary, "select sleep(30) /* kill") == 0, 10, "the server has ended it")
    assert sleeper.client.is_closed(5)


def test_an_idle_connection_can_be_killed(place):
    with place.client() as idle, place.client() as c:
        c.query(f"kill {idle.greeting.thread_id}")
        time.sleep(0.1)
        with pytest.raises((ServerError, ConnectionError, EOFError, OSError, ValueError)):
            idle.query("select 1")


def test_what_cannot_be_killed_is_an_error_as_on_the_server(place):
    with place.client() as c, place.client(*OTHER) as others:
        with pytest.raises(ServerError) as unknown:
            c.query("kill 4000000000")
        assert unknown.value.code == 1094
        with pytest.raises(ServerError) as foreign:
            c.query(f"kill {others.greeting.thread_id}")
        assert foreign.value.code == 1095
        assert others.query("select 1").value() == b"1"
        with pytest.raises(ServerError) as odd:
            c.query("kill user 'app'")
        assert odd.value.code == 1235
        assert c.query("select 1").value() == b"1"


def test_nobody_else_is_hit_by_a_kill_that_comes_late(place):
    """The victim's connection to the server goes on to others; they must not notice."""
    with place.client() as victim, place.client() as killer, place.client() as bystander:
        for _ in range(30):
            victim.query("select 1 for update")
            with pytest.raises(ServerError):
                killer.query("kill query 4000000000")
            killer.query(f"kill query {victim.greeting.thread_id}")
            assert bystander.query("select sleep(0.01) for update").value() == b"0"


def test_a_client_that_leaves_has_its_statement_ended(place):
    client = place.client(timeout=10)
    client.command(3, b"select sleep(25) /* left */ for update")
    wait_until(lambda: running(place.primary, "select sleep(25) /* left"), 5, "it runs")
    client.sock.close()
    wait_until(lambda: running(place.primary, "select sleep(25) /* left") == 0, 10, "the server has ended it")
