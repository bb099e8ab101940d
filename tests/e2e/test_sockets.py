"""Thousands of short connections, who closes first, and running out of descriptors."""
import os
import threading
import time

import pytest

from processes import open_sockets, tcp_count, wait_until
from volvox import is_sanitized, settings_for
from wire import COM_QUERY, COM_QUIT, Client, ServerError

THREADS = 8


def short_connection(port):
    """Connect, log in, one query, quit."""
    c = Client(port)
    assert c.query("select 5").value() == b"5"
    c.quit()


def many_short_connections(port, count):
    trouble = []

    def work(share):
        try:
            for _ in range(share):
                short_connection(port)
        except Exception as e:
            trouble.append(repr(e))

    threads = [threading.Thread(target=work, args=(count // THREADS,)) for _ in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert trouble == []


def connections_made(cluster):
    return sum(s.status("Connections") for s in cluster.servers)


@pytest.mark.slow
def test_short_connections_leave_nothing_on_our_side(mariadb, start_volvox, release_program):
    count = int(os.environ.get("VOLVOX_SHORT_CONNECTIONS", 2000 if is_sanitized(release_program) else 20000))
    volvox = start_volvox(settings_for(mariadb.cluster, monitor_interval="2s"), program=release_program)
    ports = [s.port for s in mariadb.cluster.servers]
    many_short_connections(volvox.port, 80)               # the pool fills
    made = connections_made(mariadb.cluster)
    before = sum(tcp_count("TIME-WAIT", remote=p) for p in ports)

    many_short_connections(volvox.port, count)

    # Our side of the clients' hop has the listener's port as its own.
    assert tcp_count("TIME-WAIT", local=volvox.port) <= count // 1000
    # Our side of the servers' hop has the server's port as the other one.
    assert sum(tcp_count("TIME-WAIT", remote=p) for p in ports) - before <= 20
    # The clients, who closed first, do collect them: the count itself works.
    assert tcp_count("TIME-WAIT", remote=volvox.port) > 0
    # Connections to servers were opened by the pool, not by clients; our own questions and
    # the probes come on top.
    assert connections_made(mariadb.cluster) - made <= 60
    wait_until(lambda: tcp_count("ESTAB", local=volvox.port) == 0, 10, "all clients gone")
    assert tcp_count("CLOSE-WAIT", local=volvox.port) == 0


def test_a_server_connection_is_closed_by_the_server_first(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, workers=1, pool_max_commands=1,
                                       pool_jitter_percent=0, monitor_interval="5s"))
    port = mariadb.primary.port
    ours, theirs = tcp_count("TIME-WAIT", remote=port), tcp_count("TIME-WAIT", local=port)
    with Client(volvox.port) as c:
        for _ in range(100):
            c.query("select 1 for update")
    wait_until(lambda: tcp_count("TIME-WAIT", local=port) - theirs > 80, 10, "the server's side waits")
    assert tcp_count("TIME-WAIT", remote=port) - ours <= 10


def test_who_waits_for_the_close_after_quit_does_not_wait_for_long(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, linger="20s"))
    with Client(volvox.port) as c:
        c.query("select 1")
        c.command(COM_QUIT)
        assert c.is_closed(9)                             # long before half of that is over


def test_after_a_refusal_the_client_closes_first(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, login_failures=0))

    def refused():
        with Client(volvox.port, login=False) as c:
            c.password = b"wrong"
            c.send(c.login_payload())
            with pytest.raises(ServerError):
                c.finish_login(c.greeting.scramble)

    before = tcp_count("TIME-WAIT", local=volvox.port)
    for _ in range(50):
        refused()
    assert tcp_count("TIME-WAIT", local=volvox.port) - before <= 2


def test_a_client_that_never_closes_after_a_refusal_is_given_up(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, linger="500ms"))
    wait_until(lambda: tcp_count("ESTAB", local=volvox.port) == 0, 5, "nobody else is there")
    time.sleep(0.3)                                       # what the start needed is closed
    with Client(volvox.port, login=False) as c:
        before = open_sockets(volvox.child.pid)
        c.password = b"wrong"
        c.send(c.login_payload())
        with pytest.raises(ServerError):
            c.finish_login(c.greeting.scramble)
        wait_until(lambda: open_sockets(volvox.child.pid) < before, 5, "the socket is given up")


def test_without_descriptors_clients_get_1040_and_those_served_go_on(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, server_limit=5, workers=1), max_files=100)
    served, refused = [], None
    with Client(volvox.port) as c:
        c.query("select 1 for update")
    for _ in range(200):
        try:
            served.append(Client(volvox.port))
        except ServerError as e:
            refused = e
            break
    assert refused is not None and refused.code == 1040, f"{len(served)} were served"
    assert len(served) > 10
    for c in served[:5] + served[-5:]:
        assert c.query("select 1").value() == b"1"
    for c in served:
        c.close()
    with wait_until(lambda: Client(volvox.port), 10, "room again") as c:
        assert c.query("select 1").value() == b"1"


def test_the_limits_that_follow_from_the_descriptors_are_logged(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster), max_files=500)
    assert "500" in volvox.log_text()


def test_many_logins_at_once_all_succeed(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster))
    clients = [Client(volvox.port, greet=False, timeout=30) for _ in range(300)]
    for c in clients:
        c.read_greeting()
    for c in clients:
        c.send(c.login_payload())
    for c in clients:
        c.finish_login(c.greeting.scramble)
    for c in clients:
        c.command(COM_QUERY, b"select 1")
    for c in clients:
        assert c.read_result().value() == b"1"
        c.close()
