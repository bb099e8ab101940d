"""KILL with the ids that Volvox gives, and clients that leave in the middle."""
import contextlib
import struct
import threading
import time

import pytest

from processes import wait_until
from servers import APP, OTHER
from volvox import settings_for
from wire import COM_STMT_EXECUTE, MODERN, Client, ServerError

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
    odd = ["kill 0", "kill -1", "kill null", "kill 'abc'", "kill 4000000000", "kill 99999999999999999999",
           "kill 0x7ffffff", "kill query 99999999", "kill connection 1e8", "kill (select 99999999)", "kill",
           "kill hard 99999999", "kill soft query 99999999", "kill query id 99999999", "kill user",
           "kill query", "kill 1 2", "kill 'it''s'", "kill user 'no\\'body'", "kill 99999999; select 1",
           "select 1; kill 99999999"]
    with place.client() as ours, place.direct() as direct:
        for sql in odd:
            assert outcome(ours, sql) == outcome(direct, sql), sql
        assert ours.query("select 1").value() == b"1"


def outcome(client, sql):
    try:
        result = client.query(sql)
        return "ok" if result.rows is None else result.rows
    except ServerError as e:
        return e.args


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


# ---- as on a connection of one's own ----------------------------------------------------------------

def in_peace(client):
    pass


def in_transaction(client):
    client.query("begin")
    client.query("insert into shop.items (name) values ('killed')")


def runs(client):
    client.command(3, b"select sleep(30) for update")


def runs_in_transaction(client):
    in_transaction(client)
    runs(client)


def runs_prepared(client):
    statement = client.prepare("select sleep(30) from shop.items where id = ? for update")
    client.command(COM_STMT_EXECUTE, struct.pack("<IBI", statement.id, 0, 1) + b"\0\1\x08\0"
                   + struct.pack("<q", 1))


SITUATIONS = [in_peace, in_transaction, runs, runs_in_transaction, runs_prepared]


def is_running(place):
    return place.primary.value("select count(*) from information_schema.processlist "
                               "where info like 'select sleep(30)%'") > 0


def what_the_victim_sees(victim, situation):
    """EOF, or the answer to what ran, and that it goes on."""
    seen = []
    try:
        if situation in (runs, runs_in_transaction, runs_prepared):
            try:
                seen.append(victim.read_result(binary=situation is runs_prepared).rows)
            except ServerError as e:
                seen.append(e.args)
        if situation is in_peace or situation is in_transaction:
            victim.sock.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                seen.append(victim._exactly(1))
            victim.sock.settimeout(10)
        seen.append(victim.query("select 'goes on'").rows)
        seen.append(victim.query("select count(*) from shop.items where name = 'killed'").rows)
    except (ConnectionError, OSError):
        seen.append("the end")
    return seen


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.__name__)
@pytest.mark.parametrize("how", ["kill {}", "kill connection {}", "kill query {}", "kill soft {}",
                                 "kill hard query {}", "kill '{}'", "kill {} + 0", "kill query (select {})"])
def test_killer_and_victim_see_what_servers_show(place, how, situation):
    if place.family == "mysql" and ("soft" in how or "hard" in how):
        pytest.skip("MySQL has no such words")
    seen = []
    for connect in (place.client, place.direct):
        with connect() as killer, connect() as victim:
            situation(victim)
            if situation.__name__.startswith("runs"):
                wait_until(lambda: is_running(place), 5, "it runs")
            did = outcome(killer, how.format(victim.greeting.thread_id))
            seen.append((did, what_the_victim_sees(victim, situation)))
            assert killer.query("select 1").value() == b"1"
        wait_until(lambda: not is_running(place), 10, "it has ended on the server")
    assert seen[0] == seen[1]
    assert place.primary.query("select count(*) from shop.items where name = 'killed'") == [(0,)]


@pytest.mark.parametrize("how", ["kill {}", "kill query {}", "kill connection_id()", "kill query connection_id()",
                                 "kill connection (select connection_id())", "kill @@pseudo_thread_id",
                                 "select 1; kill 99999999"])
def test_who_kills_itself_sees_what_servers_show(place, how):
    seen = []
    for connect in (place.client, place.direct):
        with connect() as c:
            said = outcome(c, how.format(c.greeting.thread_id))
            try:
                after = c.query("select 1").rows
            except (ConnectionError, OSError):
                after = "the end"
            seen.append((said, after))
    assert seen[0] == seen[1]


def test_who_kills_itself_prepared_does_so_too(place):
    for connect in (place.client, place.direct):
        with connect() as c:
            statement = c.prepare("kill connection_id()")
            with pytest.raises(ServerError) as caught:
                c.execute(statement)
            assert caught.value.code == (1927 if place.family == "mariadb" else 1317)
            assert c.is_closed(5)


def test_com_process_kill_of_itself(mariadb):
    for connect in (mariadb.client, mariadb.direct):
        with connect() as c:
            with pytest.raises(ServerError) as caught:
                c.simple(COM_PROCESS_KILL, struct.pack("<I", c.greeting.thread_id))
            assert caught.value.args == (1927, "70100", "Connection was killed")
            assert c.is_closed(5)


def test_com_process_kill_of_nobody(place):
    with place.client() as ours, place.direct() as direct:
        said = []
        for c in (ours, direct):
            with pytest.raises(ServerError) as caught:
                c.simple(COM_PROCESS_KILL, struct.pack("<I", 99999999))
            said.append(caught.value.args)
        assert said[0] == said[1]


@pytest.mark.parametrize("ways", ["a variable", "a prepared parameter", "prepared text"])
def test_an_id_that_the_server_has_to_work_out(place, ways):
    with place.client() as killer, place.client() as victim:
        number = victim.greeting.thread_id
        if ways == "a variable":
            killer.query(f"set @id = {number}")
            killer.query("kill @id")
        elif ways == "prepared text":
            killer.execute(killer.prepare(f"kill {number}"))
        elif place.family == "mysql":
            pytest.skip("MySQL prepares no KILL ?")
        else:
            killer.execute(killer.prepare("kill ?"), [number])
        assert victim.is_closed(5)
        assert killer.query("select 1").value() == b"1"


def test_among_several_statements_it_is_refused_in_clear_words(place):
    with place.client() as killer, place.client() as victim:
        with pytest.raises(ServerError) as caught:
            killer.query(f"select 1; kill {victim.greeting.thread_id}")
        assert caught.value.code == 1235 and caught.value.message.startswith("volvox: KILL")
        assert victim.query("select 1").value() == b"1"
        assert killer.query("select 2").value() == b"2"


# ---- whose it is -------------------------------------------------------------------------------------------

@pytest.fixture
def with_operators(place, start_volvox):
    """A Volvox whose users include two that may kill: by privilege, and by a role."""
    admin, by_role = ("admin1", "admin-secret"), ("admin2", "admin-secret")
    privilege = "connection admin" if place.family == "mariadb" else "connection_admin"
    for sql in ("drop user if exists admin1, admin2", "drop role if exists killers", "create role killers",
                f"grant {privilege} on *.* to killers", "create user admin1@'%' identified by 'admin-secret'",
                "create user admin2@'%' identified by 'admin-secret'",
                f"grant {privilege} on *.* to admin1@'%'", "grant killers to admin2@'%'",
                "set default role killers for admin2@'%'" if place.family == "mariadb"
                else "set default role killers to admin2@'%'"):
        place.primary.query(sql)
    place.cluster.sync()
    return start_volvox(settings_for(place.cluster, users=(APP, OTHER, admin, by_role)))


def test_others_can_be_killed_by_whom_the_server_lets(place, with_operators):
    port = with_operators.port
    for name in ("admin1", "admin2"):
        with Client(port, name, "admin-secret") as killer, Client(port, *OTHER) as idle, \
                Client(port, *OTHER) as busy:
            busy.command(3, b"select sleep(30) for update")
            wait_until(lambda: is_running(place), 5, "it runs")
            killer.query(f"kill query {busy.greeting.thread_id}")
            with contextlib.suppress(ServerError):
                busy.read_result()
            assert busy.query("select 1").value() == b"1"
            killer.query(f"kill {idle.greeting.thread_id}")
            assert idle.is_closed(5)
            killer.query(f"kill {busy.greeting.thread_id}")
            assert busy.is_closed(5)


def test_others_can_not_be_killed_by_anybody_else(place):
    with place.client() as killer, place.client(*OTHER) as victim:
        number = victim.greeting.thread_id
        for how in ("kill {}", "kill query {}", "kill '{}'"):
            with pytest.raises(ServerError) as caught:
                killer.query(how.format(number))
            assert caught.value.args == (1095, "HY000", f"You are not owner of thread {number}")
        with pytest.raises(ServerError) as caught:
            killer.simple(COM_PROCESS_KILL, struct.pack("<I", number))
        assert caught.value.code == 1095
        killer.query("begin")         # what it holds can ask the server as well
        with pytest.raises(ServerError):
            killer.query(f"kill {number}")
        assert killer.query("select 1").in_transaction
        killer.query("rollback")
        assert victim.query("select 1").value() == b"1"


def test_who_is_protected_by_the_server_stays(mysql_place, with_operators_of_mysql):
    """CONNECTION_ADMIN is not enough against SYSTEM_USER; only the server knows."""
    volvox = with_operators_of_mysql
    with Client(volvox.port, "admin1", "admin-secret") as killer, Client(volvox.port, *OTHER) as victim:
        mysql_place.primary.query("grant system_user on *.* to other@'%'")
        try:
            with Client(volvox.port, *OTHER) as protected:
                with pytest.raises(ServerError) as caught:
                    killer.query(f"kill {protected.greeting.thread_id}")
                assert caught.value.code in (1095, 1227)
                assert protected.query("select 1").value() == b"1"
        finally:
            mysql_place.primary.query("revoke system_user on *.* from other@'%'")
        assert victim.query("select 1").value() == b"1"


@pytest.fixture
def with_operators_of_mysql(mysql_place, start_volvox):
    for sql in ("drop user if exists admin1", "create user admin1@'%' identified by 'admin-secret'",
                "grant connection_admin on *.* to admin1@'%'"):
        mysql_place.primary.query(sql)
    mysql_place.cluster.sync()
    return start_volvox(settings_for(mysql_place.cluster, users=(APP, OTHER, ("admin1", "admin-secret"))))


# ---- by user (MariaDB) ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("whom", ["other", "'other'", "`other`@'%'", "other@'127.0.0.1'", "current_user",
                                  "current_user()"])
def test_kill_user(mariadb, start_volvox, whom):
    volvox = start_volvox(settings_for(mariadb.cluster, users=(APP, OTHER)))
    with Client(volvox.port, *OTHER) as killer, Client(volvox.port, *OTHER) as idle, \
            Client(volvox.port, *OTHER) as busy, Client(volvox.port, *APP) as bystander:
        busy.command(3, b"select sleep(30) for update")
        wait_until(lambda: is_running(mariadb), 5, "it runs")
        result = killer.query(f"kill user {whom}")
        assert result.affected == 3
        assert killer.is_closed(5) and idle.is_closed(5) and busy.is_closed(5)
        assert bystander.query("select 1").value() == b"1"
        wait_until(lambda: not is_running(mariadb), 10, "it has ended on the server")
        with Client(volvox.port, *OTHER) as again:
            assert again.query("select 1 for update").value() == b"1"


def test_kill_query_of_a_user(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, users=(APP, OTHER)))
    with Client(volvox.port, *OTHER) as killer, Client(volvox.port, *OTHER) as busy:
        busy.command(3, b"select sleep(30) for update")
        wait_until(lambda: is_running(mariadb), 5, "it runs")
        killer.query("kill query user other")
        with pytest.raises(ServerError) as caught:
            busy.read_result()
        assert caught.value.code == 1317
        assert busy.query("select 1").value() == b"1" and killer.query("select 2").value() == b"2"


def test_kill_user_asks_the_server_who_may(place, with_operators):
    if place.family == "mysql":
        pytest.skip("MySQL has no KILL USER")
    port = with_operators.port
    with Client(port, *APP) as unprivileged, Client(port, "admin1", "admin-secret") as killer, \
            Client(port, *OTHER) as victim:
        for sql in ("kill user other", "kill query user other", "kill user 'other'@'%'"):
            with pytest.raises(ServerError) as caught:
                unprivileged.query(sql)
            assert caught.value.args == (1095, "HY000", "Operation KILL USER failed for other@%")
        assert victim.query("select 1").value() == b"1"
        assert killer.query("kill user other@'10.1.2.3'").affected == 0
        assert killer.query("kill user nobody").affected == 0
        assert victim.query("select 1").value() == b"1"
        assert killer.query("kill user other").affected == 1
        assert victim.is_closed(5)


# ---- ids of servers --------------------------------------------------------------------------------------------

def own_threads(server, user="app"):
    return [row[0] for row in server.query(
        f"select id from information_schema.processlist where user = '{user}'")]


def test_a_servers_id_is_the_servers(place, start_volvox):
    volvox = start_volvox(settings_for(place.cluster, users=(APP, OTHER)))
    of_before = own_threads(place.primary, "other")     # of another Volvox
    with Client(volvox.port, *APP) as killer, Client(volvox.port, *APP) as victim, \
            Client(volvox.port, *OTHER) as other:
        other.query("begin")
        [of_other] = set(own_threads(place.primary, "other")) - set(of_before)
        with pytest.raises(ServerError) as caught:
            killer.query(f"kill {of_other}")
        assert caught.value.args == (1095, "HY000", f"You are not owner of thread {of_other}")

        # what runs there ends as on the server, and its session hears of it
        victim.command(3, b"select sleep(30) for update")
        wait_until(lambda: is_running(place), 5, "it runs")
        [thread] = [row[0] for row in place.primary.query(
            "select id from information_schema.processlist where info like 'select sleep(30)%'")]
        assert thread < 1 << 30
        killer.query(f"kill query {thread}")
        with contextlib.suppress(ServerError):
            victim.read_result()
        assert victim.query("select 1").value() == b"1"

        victim.command(3, b"insert into shop.items (name) select 'never' from (select sleep(30)) x")
        wait_until(lambda: place.primary.value("select count(*) from information_schema.processlist "
                                               "where info like 'insert into shop.items%'"), 5, "it runs")
        [thread] = [row[0] for row in place.primary.query(
            "select id from information_schema.processlist where info like 'insert into shop.items%'")]
        killer.query(f"kill {thread}")
        with pytest.raises(ServerError) as caught:
            victim.read_result()
        assert caught.value.code in (2013, 1317, 1927)
        assert victim.query("select 1").value() == b"1"        # nothing of it was bound to that connection
        other.query("rollback")


def test_a_connection_of_the_pool_that_is_killed_harms_nobody(place, start_volvox):
    volvox = start_volvox(settings_for(place.cluster, users=(APP,), workers=1))
    with Client(volvox.port, *APP) as killer, Client(volvox.port, *APP) as other:
        for _ in range(5):
            other.query("select 1 for update")
            killer.query("begin")
            mine = int(killer.query("select id from information_schema.processlist where id = connection_id()").value())
            for thread in own_threads(place.primary):
                if thread != mine:
                    killer.query(f"kill {thread}")
            killer.query("commit")
            assert other.query("select 2 for update").value() == b"2"
            assert killer.query("select 3 for update").value() == b"3"


def test_a_transaction_that_is_killed_on_the_server_ends_its_session(place, start_volvox):
    volvox = start_volvox(settings_for(place.cluster, users=(APP,)))
    with Client(volvox.port, *APP) as killer, Client(volvox.port, *APP) as victim:
        victim.query("begin")
        thread = int(victim.query("select id from information_schema.processlist where id = connection_id()").value())
        killer.query(f"kill {thread}")
        with pytest.raises((ServerError, ConnectionError, OSError)):
            victim.query("insert into shop.items (name) values ('lost')")
        assert victim.is_closed(5)
    assert place.primary.value("select count(*) from shop.items where name = 'lost'") == 0


# ---- who waits, and who is left waiting ------------------------------------------------------------------

def test_who_waits_for_a_connection_can_be_interrupted(place, start_volvox):
    volvox = start_volvox(settings_for(place.cluster, users=(APP,), server_limit=1, queue_timeout="60s"))
    with Client(volvox.port, *APP) as holder, Client(volvox.port, *APP, timeout=20) as waiter, \
            Client(volvox.port, *APP) as killer:
        holder.query("begin")
        holder.query("select 1 for update")
        for _ in range(3):
            waiter.command(3, b"insert into shop.items (name) values ('waits')")
            time.sleep(0.1)
            killer.query(f"kill query {waiter.greeting.thread_id}")
            with pytest.raises(ServerError) as caught:
                waiter.read_result()
            assert caught.value.args == (1317, "70100", "Query execution was interrupted")
        waiter.command(3, b"insert into shop.items (name) values ('waits')")
        time.sleep(0.1)
        killer.query(f"kill {waiter.greeting.thread_id}")
        assert waiter.is_closed(5)
        holder.query("commit")
    assert place.primary.value("select count(*) from shop.items where name = 'waits'") == 0


def test_kill_query_does_not_queue_behind_what_it_is_to_end(place, start_volvox):
    """All connections to the server are taken by what is to be interrupted."""
    volvox = start_volvox(settings_for(place.cluster, users=(APP,), server_limit=2, queue_timeout="60s"))
    with Client(volvox.port, *APP) as killer, contextlib.ExitStack() as stack:
        busy = [stack.enter_context(Client(volvox.port, *APP, timeout=20)) for _ in range(3)]
        for c in busy:
            c.command(3, b"select sleep(30) for update")
        wait_until(lambda: running_count(place) == 2, 5, "two run, one waits")
        began = time.monotonic()
        for c in busy:
            killer.query(f"kill query {c.greeting.thread_id}")
        for c in busy:
            with contextlib.suppress(ServerError):
                c.read_result()
            assert c.query("select 1 for update").value() == b"1"
        assert time.monotonic() - began < 15
        wait_until(lambda: len(own_threads(place.primary)) <= 2, 10, "the limit holds again")


def running_count(place):
    return place.primary.value("select count(*) from information_schema.processlist "
                               "where info like 'select sleep(30)%'")


def test_kill_query_before_and_after_a_statement_hits_nothing(place):
    with place.client() as killer, place.client() as victim:
        for _ in range(20):
            killer.query(f"kill query {victim.greeting.thread_id}")
            assert victim.query("select 1 for update").value() == b"1"


# ---- clients that leave --------------------------------------------------------------------------------------

def leave_text(client):
    client.command(3, b"select sleep(25) from shop.items where id = 1 for update")


def leave_prepared(client):
    statement = client.prepare("select sleep(25) from shop.items where id = ? for update")
    client.command(COM_STMT_EXECUTE, struct.pack("<IBI", statement.id, 0, 1) + b"\0\1\x08\0"
                   + struct.pack("<q", 1))


def leave_transaction(client):
    client.query("begin")
    client.query("update shop.items set price = price + 1 where id = 2")
    leave_text(client)


def leave_several(client):
    client.command(3, b"select 1; select sleep(25) from shop.items where id = 1 for update; select 3")


def leave_streaming(client):
    """Rows come, and nobody takes them."""
    client.command(3, b"select repeat('x', 100000) from shop.items a, shop.items b, shop.items c, shop.items d, "
                      b"shop.items e, shop.items f where sleep(0.01) = 0 for update")
    client.recv()
    client.recv()


@pytest.mark.parametrize("how", [leave_text, leave_prepared, leave_transaction, leave_several, leave_streaming],
                         ids=lambda f: f.__name__)
@pytest.mark.parametrize("way", ["closes", "resets", "says goodbye first"])
def test_a_client_that_leaves_has_what_it_runs_ended(place, how, way):
    if way == "says goodbye first" and how is not leave_streaming:
        pytest.skip("a client that has sent more is taken to be there, by servers too")
    client = place.client(timeout=10, caps=MODERN, receive_buffer=4096)
    marks = "(info like '%shop.items where id%' or info like 'select repeat%') and info not like '%processlist%'"
    there = f"select count(*) from information_schema.processlist where {marks}"
    how(client)
    wait_until(lambda: place.primary.value(there), 5, "it runs")
    if way == "says goodbye first":
        client.seq = 0
        client.send(b"\1")
    if way == "resets":
        client.sock.setsockopt(1, 13, struct.pack("ii", 1, 0))      # SO_LINGER: RST
    client.sock.close()
    wait_until(lambda: not place.primary.value(there), 10, "the server has ended it")
    # nothing of it is left locked
    with place.client() as c:
        c.query("set innodb_lock_wait_timeout = 5")
        wait_until(lambda: c.query("update shop.items set price = price where id in (1, 2)").rows is None, 10,
                   "its locks are gone")
