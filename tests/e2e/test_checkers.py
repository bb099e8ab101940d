"""Who knocks and goes: health checkers at Volvox's door, and Volvox at the servers'.

Servers count who leaves in the middle of a handshake, and refuse a host after max_connect_errors (100) of
that (status Aborted_connects_preauth); a login that is denied does not count.
"""
import socket

import pytest

from conftest import DIRECT
from fake import FakeServer, error_payload, greeting_payload
from processes import free_port, wait_until
from servers import APP
from volvox import settings_for
from wire import BASE, SHA2, Client, ServerError

pytestmark = pytest.mark.skipif(DIRECT, reason="needs Volvox")


def knock(port):
    """A TCP check, as load balancers and Kubernetes do."""
    socket.create_connection(("127.0.0.1", port), 5).close()


def look(port):
    """Reads the greeting and goes."""
    Client(port, login=False).close()


def reset(port):
    s = socket.create_connection(("127.0.0.1", port), 5)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    s.close()


def half(port):
    with Client(port, login=False) as c:
        c.send_raw(b"\x60\0\0\1half a login")


def mysql_check(port):
    """HAProxy's "option mysql-check user haproxy": a login without a password, then goodbye."""
    with Client(port, "haproxy", "", caps=BASE) as c:
        c.quit()


KNOCKS = [knock, look, reset, half, mysql_check]


@pytest.mark.parametrize("visit", KNOCKS)
def test_a_health_checker_is_no_error_and_shuts_nobody_out(mariadb, start_volvox, visit):
    volvox = start_volvox(settings_for(mariadb.cluster, workers=1) | {"user haproxy": {"password": ""}})
    servers = mariadb.cluster.servers
    before = [s.status("Aborted_connects_preauth") for s in servers]
    log = volvox.log_size()
    for _ in range(120):                             # more than a server's max_connect_errors
        visit(volvox.port)
    with Client(volvox.port) as c:
        assert c.query("select 1").value() == b"1"
    wait_until(lambda: int(volvox.status()["sessions"]) == 0, 10, "all are gone")
    loud = [e for e in volvox.events(since=log) if e["level"] in ("warn", "error")]
    assert not loud
    assert [s.status("Aborted_connects_preauth") for s in servers] == before


def test_a_client_that_says_nothing_is_closed_at_the_login_timeout(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, workers=1, login_timeout="500ms"))
    log = volvox.log_size()
    silent = [Client(volvox.port, login=False) for _ in range(20)]
    assert all(c.is_closed(10) for c in silent)
    assert not [e for e in volvox.events(since=log) if e["level"] in ("warn", "error")]


# ---- Volvox at the servers' doors ------------------------------------------------------------------

def test_looking_at_servers_without_an_account_is_not_counted_against_us(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster, workers=1)
    del settings["volvox"]["monitor_user"], settings["volvox"]["monitor_password"]
    servers = mariadb.cluster.servers
    for server in servers:
        settings[f"server {server.name}"]["role"] = "primary" if server is servers[0] else "replica"
    before = [s.status("Aborted_connects_preauth") for s in servers]
    denied = [s.status("Aborted_connects") for s in servers]
    start_volvox(settings)
    wait_until(lambda: all(s.status("Aborted_connects") > d for s, d in zip(servers, denied)), 15, "looked at")
    assert [s.status("Aborted_connects_preauth") for s in servers] == before


class Door(FakeServer):
    """Switches to a plugin, and notes what it hears."""

    def __init__(self, plugin):
        super().__init__()
        self.plugin, self.heard = plugin, []
        self.script = self.talk

    def talk(self, connection):
        connection.greet(greeting_payload(plugin=SHA2))
        connection.recv()
        connection.send(b"\xfe" + self.plugin + b"\0" + b"12345678abcdefghijkl\0")
        self.heard.append(connection.recv())
        connection.send(error_payload(1045, "Access denied", "28000"))


def test_a_login_that_volvox_cannot_do_is_finished_all_the_same(start_volvox):
    with Door(b"dialog") as server:
        volvox = start_volvox({
            "volvox": {"workers": 1}, "listener main": {"address": f"127.0.0.1:{free_port()}"}, "group main": {},
            "server fake": {"address": f"127.0.0.1:{server.port}", "role": "primary"},
            "user app": {"password": APP[1]}})
        with Client(volvox.port) as c:
            wait_until(lambda: server.heard, 5, "it has looked at the server")
            server.heard.clear()
            with pytest.raises(ServerError) as caught:
                c.query("insert into t values (1)")
            assert caught.value.code == 2059
            assert server.heard == [b""]
