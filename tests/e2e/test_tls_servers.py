"""TLS with servers: the pool's connections, those that kill, and the probes go by the same settings."""
import contextlib
import socket
import ssl

import pytest

from certificates import Authority, secured
from conftest import DIRECT
from fake import FakeServer, greeting_payload, ok_payload
from processes import free_port, wait_until
from servers import APP, MONITOR, MariaDB
from volvox import settings_for
from wire import (COM_QUERY, CONNECT_ATTRS, CONNECT_WITH_DB, MODERN, PLUGIN_AUTH_LENENC, SSL, Client,
                  ServerError, frame)

pytestmark = pytest.mark.skipif(DIRECT, reason="needs Volvox")


@pytest.fixture(scope="module")
def cluster(tls_cluster):
    return tls_cluster


def settings_with(cluster, server=None, group=None, **volvox):
    """Options for the server's section and its group's, and an admin port."""
    settings = settings_for(cluster, **volvox)
    settings["server db1"].update(server or {})
    settings["group main"].update(group or {})
    settings["admin"] = {"address": f"127.0.0.1:{free_port()}"}
    settings["admin_user root"] = {"password": "admin-secret", "access": "full"}
    return settings


def admin_query(settings, sql):
    port = int(settings["admin"]["address"].rsplit(":", 1)[1])
    with Client(port, "root", "admin-secret") as c:
        return c.query(sql).rows


def cipher(port, user=APP):
    """What the server says of the connection that serves us: empty in clear."""
    with Client(port, *user) as c:
        return c.query("show session status like 'Ssl_cipher'").rows[0][1]


def is_up(settings):
    return admin_query(settings, "select health from servers") == [[b"up"]]


def failure(port, user=APP):
    with Client(port, *user) as c, pytest.raises(ServerError) as caught:
        c.query("select 1")
    return caught.value


# ---- as far as is asked for ---------------------------------------------------------------------------

def test_by_default_a_server_that_has_tls_is_spoken_to_in_it(cluster, start_volvox):
    settings = settings_with(cluster)
    volvox = start_volvox(settings)
    with Client(volvox.port) as c:
        assert c.query("show session status like 'Ssl_cipher'").rows[0][1].startswith(b"TLS_")
        c.query("begin")
        c.query("select 1")                     # until then there is nothing to begin
        assert admin_query(settings, "select tls, cipher from backends where place = 'leased'") == [
            [b"TLSv1.3", c.query("show session status like 'Ssl_cipher'").rows[0][1]]]
    assert is_up(settings)
    status = volvox.status()
    assert status["tls_to_servers"] >= 1 and status["tls_to_servers_failed"] == 0


def test_by_default_a_server_that_has_none_is_spoken_to_in_clear(mariadb, start_volvox):
    settings = settings_with(mariadb.cluster)
    volvox = start_volvox(settings)
    assert cipher(volvox.port) == b""
    with Client(volvox.port) as c:
        c.query("begin")
        assert [[None, None]] == admin_query(settings,
                                             "select tls, cipher from backends where place = 'leased'")


def test_disabled_is_in_clear(cluster, start_volvox):
    settings = settings_with(cluster, group={"tls": "disabled"})
    volvox = start_volvox(settings)
    assert cipher(volvox.port) == b""
    assert is_up(settings)


@pytest.mark.parametrize("server, group", [
    ({}, {"tls": "required"}),
    ({"tls": "required"}, {"tls": "disabled"}),
    ({}, {"tls": "verify-ca", "tls_ca": "CA"}),
    ({"tls_server_name": "db.test"}, {"tls": "verify-identity", "tls_ca": "CA"}),
    ({"tls": "verify-identity", "tls_ca": "CA"}, {}),
])
def test_a_server_that_is_as_it_should_be_is_used(cluster, authority, start_volvox, server, group):
    def with_file(options):
        return {k: authority.certificate if v == "CA" else v for k, v in options.items()}

    settings = settings_with(cluster, with_file(server), with_file(group))
    volvox = start_volvox(settings)
    assert cipher(volvox.port).startswith(b"TLS_")
    wait_until(lambda: is_up(settings), 10, "the probes go by it, too")
    with contextlib.closing(Client(volvox.port)) as c:      # and so does a kill
        c.command(COM_QUERY, b"select sleep(28)")
        wait_until(lambda: sleeping(cluster) == 1, 10, "it runs")
    wait_until(lambda: sleeping(cluster) == 0, 10, "it has been killed")


def sleeping(cluster):
    return cluster.primary.value("select count(*) from information_schema.processlist "
                                 "where info like 'select sleep(28%'")


@pytest.mark.parametrize("server, words", [
    ({"tls": "verify-ca", "tls_ca": "other"}, "certificate verify failed"),
    ({"tls": "verify-ca"}, "certificate verify failed"),
    ({"tls": "verify-identity", "tls_ca": "right", "tls_server_name": "elsewhere.test"}, "hostname mismatch"),
    ({"tls": "verify-identity", "tls_ca": "right", "tls_server_name": "192.0.2.1"}, "IP address mismatch"),
])
def test_a_server_that_is_not_is_refused_with_the_reason(cluster, authority, start_volvox, tmp_path, server,
                                                         words):
    files = {"right": authority.certificate, "other": Authority(tmp_path).certificate}
    settings = settings_with(cluster, {k: files.get(v, v) for k, v in server.items()})
    volvox = start_volvox(settings)
    wait_until(lambda: admin_query(settings, "select health from servers") == [[b"down"]], 10, "it is down")
    (why,) = admin_query(settings, "select why from servers")[0]
    assert words in why.decode(), why
    error = failure(volvox.port)
    assert "no usable" in error.message or words in error.message
    assert volvox.status()["backends_opened"] == 0


def test_probes_of_a_server_that_is_not_believed_do_not_shut_us_out(authority, start_volvox, tmp_path):
    """Servers count handshakes that are broken off, and refuse the whole host after some; so probes bring
    theirs to an end, a denied login that is nobody's."""
    cluster = secured(MariaDB, authority)
    try:
        start_volvox(settings_with(cluster, {"tls": "verify-ca", "tls_ca": Authority(tmp_path).certificate}))
        before = cluster.primary.status("Aborted_connects"), cluster.primary.status("Aborted_connects_preauth")
        wait_until(lambda: cluster.primary.status("Aborted_connects") >= before[0] + 4, 15, "four more probes")
        assert cluster.primary.status("Aborted_connects_preauth") == before[1]
    finally:
        cluster.stop()


def test_looking_at_a_server_first_is_no_broken_handshake(authority, start_volvox):
    """Where TLS is required, probes see the certificate before their library logs in."""
    cluster = secured(MariaDB, authority)
    try:
        before = cluster.primary.status("Aborted_connects"), cluster.primary.status("Aborted_connects_preauth")
        settings = settings_with(cluster, {"tls": "required"})
        start_volvox(settings)
        wait_until(lambda: is_up(settings), 10, "probed")
        assert cluster.primary.status("Aborted_connects") > before[0], "looked at"
        assert cluster.primary.status("Aborted_connects_preauth") == before[1]
    finally:
        cluster.stop()


def test_a_server_without_tls_is_refused_where_it_is_required(mariadb, start_volvox):
    settings = settings_with(mariadb.cluster)
    for server in mariadb.cluster.servers:
        settings[f"server {server.name}"]["tls"] = "required"
    volvox = start_volvox(settings)
    wait_until(lambda: {row[0] for row in admin_query(settings, "select health from servers")} == {b"down"},
               10, "they are down")
    assert b"offers no TLS" in admin_query(settings, "select why from servers")[0][0]
    failure(volvox.port)
    assert volvox.status()["backends_opened"] == 0


def test_without_probes_the_pool_says_the_same(mariadb, start_volvox):
    """No monitor: the first command finds out."""
    settings = settings_with(mariadb.cluster, {"tls": "required"})
    for name in ("monitor_user", "monitor_password", "monitor_interval"):
        del settings["volvox"][name]
    for server in mariadb.cluster.replicas:
        del settings[f"server {server.name}"]
    settings["server db1"]["role"] = "primary"
    volvox = start_volvox(settings)
    assert failure(volvox.port).code == 2026
    (warned, *_) = volvox.events("connection to server failed")
    assert "offers no TLS" in warned["why"] and warned["code"] == "2026"


def test_a_server_that_loses_tls_is_not_used_any_more(authority, start_cluster, start_volvox):
    cluster = secured(MariaDB, authority)
    try:
        settings = settings_with(cluster, {"tls": "required"})
        volvox = start_volvox(settings)
        assert cipher(volvox.port).startswith(b"TLS_")
        cluster.primary.options = []
        cluster.primary.restart()
        wait_until(lambda: b"offers no TLS" in admin_query(settings, "select why from servers")[0][0], 15,
                   "the probes find out")
        assert not is_up(settings)
        failure(volvox.port)
        settings["server db1"]["tls"] = "preferred"
        volvox.reload(settings)
        wait_until(lambda: is_up(settings), 15, "in clear it will do")
        assert cipher(volvox.port) == b""
    finally:
        cluster.stop()


# ---- accounts that insist -----------------------------------------------------------------------------

def test_accounts_that_require_tls_or_a_certificate_are_served(cluster, authority, start_volvox):
    primary = cluster.primary
    shown = authority.issue("volvox")
    for name, rule in [("must", "require ssl"),
                       ("subject", "require subject '/C=SE/O=Volvox Test/CN=volvox'")]:
        primary.query(f"drop user if exists {name}@'%'")
        primary.query(f"create user {name}@'%' identified by 'pw'")
        primary.query(f"alter user {name}@'%' {rule}")
    primary.query(f"alter user {MONITOR[0]}@'%' require x509")
    try:
        settings = settings_with(cluster)
        for name in ("must", "subject"):
            settings[f"user {name}"] = {"password": "pw"}
        volvox = start_volvox(settings)
        assert cipher(volvox.port, ("must", "pw")).startswith(b"TLS_")
        failure(volvox.port, ("subject", "pw"))
        settings["server db1"].update(tls_certificate=shown.certificate, tls_key=shown.key)
        volvox.reload(settings)
        assert cipher(volvox.port, ("subject", "pw")).startswith(b"TLS_")
        wait_until(lambda: admin_query(settings, "select why from servers") in ([[b""]], [[None]]), 10,
                   "the probes show it as well")
        assert is_up(settings)
    finally:
        primary.query(f"alter user {MONITOR[0]}@'%' require none")


# ---- sessions, reloads ---------------------------------------------------------------------------------

def test_new_connections_resume_the_session_of_earlier_ones(cluster, start_volvox):
    volvox = start_volvox(settings_with(cluster, pool_max_idle=0))      # each command makes one
    for _ in range(12):
        with Client(volvox.port) as c:
            assert c.query("select 1").value() == b"1"
    status = volvox.status()
    assert status["tls_to_servers"] >= 12
    # the very first ones of two workers may have been made side by side
    assert status["tls_to_servers_resumed"] >= status["tls_to_servers"] - 4


def test_a_reload_that_changes_nothing_keeps_the_connections(cluster, start_volvox):
    volvox = start_volvox(settings_with(cluster, workers=1))
    with Client(volvox.port) as c:
        first = c.query("select connection_id()").value()
        volvox.reload()
        assert c.query("select connection_id()").value() == first
    opened = volvox.status()["backends_opened"]
    with Client(volvox.port) as c:
        c.query("select 1")
    assert volvox.status()["backends_opened"] == opened


def test_other_settings_take_effect_with_the_next_connection(cluster, start_volvox):
    settings = settings_with(cluster, {"tls": "disabled"}, workers=1)
    volvox = start_volvox(settings)
    with Client(volvox.port) as held:
        held.query("begin")
        assert held.query("show session status like 'Ssl_cipher'").rows[0][1] == b""
        settings["server db1"]["tls"] = "required"
        volvox.reload(settings)
        assert cipher(volvox.port).startswith(b"TLS_")
        assert held.query("show session status like 'Ssl_cipher'").rows[0][1] == b""    # under way
        held.query("commit")
        assert held.query("show session status like 'Ssl_cipher'").rows[0][1].startswith(b"TLS_")


# ---- servers that are none -------------------------------------------------------------------------------

CAPS = MODERN | SSL | CONNECT_WITH_DB | CONNECT_ATTRS | PLUGIN_AUTH_LENENC


def settings_of(fake, **server):
    return {
        "volvox": {"workers": 1, "queue_timeout": "1s", "connect_timeout": "1s"},
        "listener main": {"address": f"127.0.0.1:{free_port()}"},
        "server db1": {"address": f"127.0.0.1:{fake.port}", "role": "primary", **server},
        "user app": {"password": APP[1]},
    }


def server_context(authority):
    shown = authority.issue("db.test", ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.certificate, shown.key)
    return context


def shake(connection, context, behind=b""):
    """Read the request, which must hold nothing of the account, and shake hands."""
    # not a byte more: the handshake comes right behind it
    request = connection.sock.recv(36, socket.MSG_WAITALL)
    if request[:4] != b"\x20\0\0\1" or not int.from_bytes(request[4:8], "little") & SSL:
        raise ValueError(f"not the request for TLS: {request!r}")
    connection.seq = 2
    if behind:
        connection.send_raw(behind)
    connection.sock = context.wrap_socket(connection.sock, server_side=True)


def test_a_login_within_tls_is_whole_and_numbered_on(authority, start_volvox):
    seen = []

    def script(connection):
        connection.greet(greeting_payload(caps=CAPS))
        shake(connection, server_context(authority))
        seen.append((connection.seq, connection.accept_login()))
        connection.serve()

    with FakeServer(script) as fake:
        volvox = start_volvox(settings_of(fake, tls="required"))
        with Client(volvox.port) as c:
            c.query("do 1")
        seq, login = seen[0]
        assert seq == 2 and b"app\0" in login and int.from_bytes(login[:4], "little") & SSL


@pytest.mark.parametrize("where", ["behind the greeting", "behind the request"])
def test_what_a_server_says_in_clear_is_not_believed(authority, start_volvox, where):
    """Somebody in between who answers the login before it has been sent."""
    forged = frame(2, ok_payload()) + frame(1, ok_payload()) * 5
    logins = []

    def script(connection):
        greeting = frame(0, greeting_payload(caps=CAPS))
        connection.send_raw(greeting + (forged if where == "behind the greeting" else b""))
        connection.seq = 1
        shake(connection, server_context(authority), forged if where == "behind the request" else b"")
        logins.append(connection.accept_login())
        connection.serve()

    with FakeServer(script) as fake:
        volvox = start_volvox(settings_of(fake, tls="required"))
        failure(volvox.port)
        assert not logins
        assert volvox.status()["backends_opened"] == 0


def test_no_password_is_sent_where_tls_is_missing(start_volvox):
    heard = []

    def script(connection):
        connection.greet(greeting_payload(caps=CAPS & ~SSL))
        connection.sock.settimeout(3)
        with contextlib.suppress(OSError):
            while data := connection.sock.recv(1000):
                heard.append(data)

    with FakeServer(script) as fake:
        volvox = start_volvox(settings_of(fake, tls="verify-identity"))
        failure(volvox.port)
        assert not [data for data in heard if b"app" in data]   # a probe's nobody may have called


@pytest.mark.parametrize("answer", [b"", b"garbage" * 50, frame(2, b"\xff\x15\x04#28000Denied"),
                                    b"\x16\x03\x03\x40\x00", b"\x15\x03\x03\x00\x02\x02\x28"])
def test_a_server_that_shakes_no_hands_fails_in_time(start_volvox, answer):
    def script(connection):
        connection.greet(greeting_payload(caps=CAPS))
        connection.recv()
        connection.sock.settimeout(5)
        with contextlib.suppress(OSError):
            connection.send_raw(answer)
            while connection.sock.recv(1000):
                pass

    with FakeServer(script) as fake:
        volvox = start_volvox(settings_of(fake, tls="preferred"))
        failure(volvox.port)
        assert volvox.status()["tls_to_servers_failed"] >= 1
        assert volvox.status()["sessions"] == 0


def test_an_idle_connection_that_the_server_closes_in_tls_is_noticed(authority, start_volvox):
    """With a goodbye, and with an error before it."""
    held = []

    def script(connection):
        connection.greet(greeting_payload(caps=CAPS))
        shake(connection, server_context(authority))
        connection.accept_login()
        connection.serve(lambda c, code, payload: held.append(c) if payload == b"do 1" else None)

    with FakeServer(script) as fake:
        volvox = start_volvox(settings_of(fake, tls="required"))
        for last_words in (None, b"\xff" + (4031).to_bytes(2, "little") + b"#HY000You were idle"):
            with Client(volvox.port) as c:
                c.query("do 1")
            lost = volvox.status()["backends_lost"]
            connection = held[-1]
            if last_words:
                connection.seq = 0
                connection.send(last_words)
            connection.sock.shutdown(socket.SHUT_RDWR)
            wait_until(lambda: volvox.status()["backends_lost"] > lost, 10, "it is noticed")
        assert "You were idle" in volvox.events("idle connection lost")[-1]["why"]
        with Client(volvox.port) as c:
            c.query("do 1")
