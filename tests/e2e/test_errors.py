"""Every error of docs/errors.md: provoked here, or tested elsewhere, or with a reason why it can't be.

A test says with @provokes which rows it is about and gets a function `told(call, ...)` for each: it calls,
and the error must have the row's code, SQLSTATE and text.
"""
import hashlib
import pathlib
import re
import select
import struct
import subprocess
import threading
import time

import pytest

from conftest import DIRECT
from fake import FakeServer, error_payload, greeting_payload, ok_payload
from processes import free_port, wait_until
from servers import APP, ROOT
from test_admin import Admin, admin_settings
from volvox import settings_for
from wire import (BASE, COM_INIT_DB, COM_QUERY, COM_STMT_EXECUTE, MODERN, PLUGIN_AUTH, PROTOCOL_41, SHA2, SSL,
                  STATUS_AUTOCOMMIT, STATUS_STATE_CHANGED, Client, ServerError, frame, lenstr)

pytestmark = pytest.mark.skipif(DIRECT, reason="needs Volvox")

COM_FETCH = 28
LONG = "a-password-longer-than-a-short-key-takes" * 3
NATIVE_HASH = "*" + hashlib.sha1(hashlib.sha1(b"app-secret").digest()).hexdigest().upper()


# Words in capitals that are meant.
NAMES = {"KILL", "CONNECTION", "QUERY", "RSA", "PEM"}


class Row:
    def __init__(self, code, state, text):
        self.code, self.state, self.text = int(code), state, text
        # What is filled in stands in capitals: NAME, N, 'USER'@'HOST'.
        words = re.split(r"(\b[A-Z]+\b)", text)
        self.pattern = re.compile("".join(
            ".+?" if re.fullmatch(r"[A-Z]+", w) and w not in NAMES else re.escape(w) for w in words), re.DOTALL)

    def is_ours(self):
        return self.text.startswith("volvox: ")


def document():
    rows = {}
    for line in (ROOT / "docs/errors.md").read_text().splitlines():
        match = re.match(r"\| (\d+) \| (\w{5}) \| `(.+?)` \|", line)
        if match:
            text = match.group(3).replace("\\|", "|")
            rows[text] = Row(match.group(1), match.group(2), text)
    return rows


ROWS = document()
PROVOKED = set()


def row_of(beginning):
    """The row whose text begins so; "...: REASON" is one that has this reason."""
    if beginning.startswith("...: "):
        found = [r for t, r in ROWS.items() if beginning[3:] in t]
    else:
        found = [r for t, r in ROWS.items() if t.startswith(beginning)]
    exact = [r for r in found if r.text == beginning]
    assert len(exact or found) == 1, f"{beginning!r}: {[r.text for r in found]}"
    return (exact or found)[0]


def provokes(*beginnings):
    PROVOKED.update(row_of(b).text for b in beginnings)
    return lambda test: test


def check(error, beginning):
    row = row_of(beginning)
    assert (error.code, error.state) == (row.code, row.state), error
    assert row.pattern.fullmatch(error.message), error
    assert error.message.startswith("volvox: ") == row.is_ours()


def told(beginning, call, *args, **more):
    with pytest.raises(ServerError) as caught:
        call(*args, **more)
    check(caught.value, beginning)


ELSEWHERE = {
    "volvox: no PROXY header is expected from HOST":
        "test_proxy_protocol.py::test_nobody_else_may_send_a_header",
    "Failed to parse proxy header":
        "test_proxy_protocol.py::test_a_header_that_makes_no_sense_is_refused_as_by_mariadb",
    "Invalid zstd compression level":
        "test_compression.py::test_the_level_of_zstd_is_checked_as_mysql_does",
    "Connections using insecure transport": "test_tls.py::test_a_listener_that_requires_tls_refuses_as_servers_do",
    "Aborted connection": "test_charsets.py::test_an_init_connect_that_fails_ends_the_login",
    "Operation KILL USER failed for": "test_kill.py::test_kill_user_asks_the_server_who_may",
    "This command is not supported in the prepared statement protocol yet":
        "test_dialects.py::test_a_client_that_did_not_ask_for_bulk_has_none",
    "The client was disconnected by the server because of inactivity. See":
        "test_suites_found.py::test_a_session_that_sets_wait_timeout_ends_as_on_the_server",
    "volvox: more than 16 MiB for a statement with that many parameters":
        "test_review_statements.py::test_types_that_find_no_room_in_a_long_execution_are_an_error",
}

NOT_PROVOKED = {
    "volvox: the account's plugin 'PLUGIN' may send the password as it is": "needs accounts of the servers",
    "volvox: the password of 'USER' is not known here": "needs accounts of the servers",
    "Failed to parse proxy header": "needs a listener that takes them",
    "Malformed communication packet.": "MySQL's words for MySQL's query attributes",
    "volvox: query attributes beside long values": "MariaDB behind a client with attributes and long data",
    "volvox: more than 16 MiB with query attributes": "as above",
    "volvox: query attributes may have at most N bytes": "as above",
    "volvox: server NAME leaves out definitions": "only a server that lies",
    "volvox: malformed column definition": "only where definitions are rewritten",
    "volvox: server is lost during the TLS handshake: REASON": "a reason is known if the socket breaks between two calls",
    "volvox: connection to server is lost: REASON": "a reason is known if the socket breaks between two calls",
    "volvox: server did not go on in time": "takes 60 s",
    "volvox: server NAME shows its warnings": "only a server that lies",
    "volvox: server NAME is too old": "greeting_read() refuses such servers before",
    "volvox: server NAME can't be brought back to having no schema":
        "leases are chosen so that it does not happen; said if they were not",
    "volvox: the session's group is gone": "needs a reload between two lines of a command",
    "volvox: the account's password is not known in clear": "the configuration has passwords in clear only",
    "volvox: out of memory: the system refuses N bytes for a buffer": "needs a machine without memory",
    "volvox: out of memory: a buffer of N bytes may not grow by N, its limit is N": "guards what other bounds allow",
}


# ---- no server, or none in time -------------------------------------------------------------------

def settings_of_one(role, port):
    return {"volvox": {"workers": 1}, "listener main": {"address": f"127.0.0.1:{free_port()}"}, "group main": {},
            "server one": {"address": f"127.0.0.1:{port}", "role": role}, "user app": {"password": APP[1]}}


@provokes("volvox: no usable primary in group")
def test_no_primary(start_volvox):
    volvox = start_volvox(settings_of_one("replica", free_port()))
    with Client(volvox.port) as c:
        told("volvox: no usable primary", c.query, "insert into t values (1)")


@provokes("volvox: can't connect to ADDRESS: REASON")
def test_a_server_that_does_not_listen(start_volvox):
    volvox = start_volvox(settings_of_one("primary", free_port()))
    with Client(volvox.port) as c:
        told("volvox: can't connect to", c.query, "insert into t values (1)")


@pytest.fixture
def one(mariadb, start_volvox):
    """One connection to each server, and little patience."""
    settings = settings_for(mariadb.cluster, server_limit=1, workers=1, queue_timeout="300ms", max_packet="64K",
                            max_statements=2, idle_timeout="30s")
    settings["user app"]["max_connections"] = 4
    return start_volvox(settings)


@provokes("volvox: Too many connections: none to server")
def test_no_connection_in_time(one):
    with Client(one.port) as a, Client(one.port) as b:
        a.query("begin")
        told("volvox: Too many connections: none", b.query, "insert into nosuch values (1)")


@provokes("volvox: cancelled while waiting for a connection to server")
def test_cancelled_while_waiting_for_a_connection(mariadb, start_volvox):
    """(Who is killed there hears what servers say: nothing, or 1317.)"""
    settings = settings_for(mariadb.cluster, server_limit=1, workers=1, queue_timeout="20s")
    volvox = start_volvox(settings)
    with Client(volvox.port) as a, Client(volvox.port, "other", "other-secret") as b:
        a.query("begin")
        b.command(COM_QUERY, b"insert into nosuch values (1)")
        wait_until(lambda: volvox.status()["sessions_busy"] == 1, 10, "it waits")
        volvox.reload({k: v for k, v in settings.items() if k != "user other"})
        told("volvox: cancelled while waiting for a connection", b.read_result)


@provokes("volvox: the group is paused and was not resumed in time")
def test_paused_for_too_long(mariadb, start_volvox):
    settings = admin_settings(mariadb.cluster, queue_timeout="300ms")
    admin = Admin(start_volvox(settings))
    with Client(admin.volvox.port) as c:
        admin.query("pause main")
        told("volvox: the group is paused", c.query, "select 1")
        admin.query("resume main")
        assert c.query("select 1").value() == b"1"


@provokes("volvox: the account or the group was removed")
def test_an_account_that_is_removed(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    volvox = start_volvox(settings)
    with Client(volvox.port, "other", "other-secret") as c:
        c.ping()
        volvox.reload({k: v for k, v in settings.items() if k != "user other"})
        c.seq = 0
        told("volvox: the account or the group", c.read_result)


# ---- servers that do strange things -----------------------------------------------------------------

class House:
    """A Volvox in front of one fake server."""

    def __init__(self, start_volvox, with_tls=False):
        self.server = FakeServer()
        tls = {"tls": "required"} if with_tls else {}
        self.volvox = start_volvox({
            "volvox": {"workers": 1, "connect_timeout": "600ms", "queue_timeout": "3s", "max_packet": "64K"},
            "listener main": {"address": f"127.0.0.1:{free_port()}"}, "group main": {},
            "server fake": {"address": f"127.0.0.1:{self.server.port}", "role": "primary", **tls},
            "user app": {"password": "app-secret"},
            "user hashed": {"password_hash": NATIVE_HASH},
            "user long": {"password": LONG}})

    def client(self, *args, **more):
        return Client(self.volvox.port, *args, timeout=8, **more)


@pytest.fixture
def house(start_volvox):
    h = House(start_volvox)
    yield h
    h.server.close()


def when(word, data):
    """Answers the command that has this word with these bytes."""
    return lambda connection, code, payload: data if word in payload else None


ANSWERS = {
    "volvox: the server broke the protocol: WHAT": ("insert", frame(1, b"\xfe")),
    "volvox: the server broke the protocol: packets out of order": ("insert", frame(7, ok_payload())),
    "volvox: malformed answer to a prepare": (None, frame(1, b"\0\1")),
    "volvox: server NAME asked for a file that the client did not allow": ("insert", frame(1, b"\xfb/etc/passwd")),
}


@provokes(*ANSWERS)
@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_that_makes_no_sense(house, text):
    word, data = ANSWERS[text]
    house.server.answer = when((word or "select ?").encode(), data)
    with house.client() as c:
        if word:
            told(text, c.query, "insert into t values (1)")
        else:
            told(text, c.prepare, "select ?")


OWN = {
    "volvox: server NAME gave an answer that makes no sense": frame(1, b"\x33"),
    "volvox: server NAME: REASON": struct.pack("<I", 2 << 20)[:3] + b"\1" + bytes(2 << 20),
}


@provokes(*OWN)
@pytest.mark.parametrize("text", OWN)
def test_an_answer_to_volvox_itself_that_makes_no_sense(house, text):
    house.server.answer = when(b"SET NAMES", OWN[text])
    with house.client() as c:
        told(text, c.query, "insert into t values (1)")


@provokes("volvox: malformed row")
def test_a_row_for_volvox_itself_that_makes_no_sense(house):
    status = STATUS_AUTOCOMMIT | STATUS_STATE_CHANGED
    entry = b"\0" + lenstr(lenstr(b"character_set_connection") + lenstr(b"latin1"))
    reported = frame(1, ok_payload(status=status) + lenstr(b"") + lenstr(entry))
    column = lenstr(b"def") + lenstr(b"") * 5 + b"\x0c" + bytes(12)
    row = (frame(1, b"\3") + b"".join(frame(n, column) for n in (2, 3, 4)) + frame(5, b"\1a")
           + frame(6, ok_payload(head=0xFE)))

    def answer(connection, code, payload):
        return reported if payload == b"set names latin1" else row if payload.startswith(b"SELECT CAST(@@char") else None

    house.server.answer = answer
    with house.client() as c:
        c.query("set names latin1")          # the client has its answer; the question came behind it
        with pytest.raises((ServerError, ConnectionError)) as caught:
            c.query("insert into t values (1)")
        if isinstance(caught.value, ServerError):
            check(caught.value, "volvox: malformed row")


@provokes("volvox: server closed the connection", "volvox: connection to server is lost")
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_server_that_leaves(house, how):
    def answer(connection, code, payload):
        if b"insert" in payload:
            connection.at_end, connection.budget = how, 0
            return b"x"
        return None

    house.server.answer = answer
    with house.client() as c:
        told("volvox: server closed the connection" if how == "close" else "volvox: connection to server is lost",
             c.query, "insert into t values (1)")


@provokes("volvox: cancelled while waiting for server")
def test_cancelled_while_volvox_prepares_the_connection(house):
    started = threading.Event()

    def answer(connection, code, payload):
        if payload.startswith(b"SET NAMES"):
            started.set()
            time.sleep(3)
        return None

    house.server.answer = answer
    with house.client("hashed", "app-secret") as c:
        c.command(COM_QUERY, b"insert into t values (1)")
        assert started.wait(5)
        house.volvox.reload({k: v for k, v in house.volvox.settings.items() if k != "user hashed"})
        told("volvox: cancelled while waiting for server", c.read_result)


# ---- servers that cannot be logged in to --------------------------------------------------------------

def logins(script):
    """A server whose conversation until the login is this."""
    def run(connection):
        script(connection)
        connection.accept_login() if not connection.caps else None
        connection.serve()
    return run


def greets_with(payload):
    return lambda connection: connection.send(payload)


def asks_for(*packets):
    """Greets, reads the login, then says these and reads an answer to each."""
    def script(connection):
        connection.greet(greeting_payload(plugin=SHA2))
        connection.caps = int.from_bytes(connection.recv()[:4], "little")
        for packet in packets:
            connection.send(packet)
            connection.recv()
        connection.send(ok_payload())
    return script


def short_key():
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    key = rsa.generate_private_key(65537, 1024).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


SWITCH = b"\xfe" + SHA2.encode() + b"\0" + b"12345678abcdefghijkl\0"
STRANGERS = {
    "volvox: malformed greeting": lambda: greets_with(b"\x0a11.8"),
    "volvox: the server is too old: it lacks the 4.1 protocol":
        lambda: greets_with(greeting_payload(caps=MODERN & ~PROTOCOL_41)),
    "volvox: the server speaks protocol version N, not 10": lambda: greets_with(b"\x09" + greeting_payload()[1:]),
    "volvox: malformed WHAT packet": lambda: asks_for(b"\xff\1"),
    "...: malformed request to switch authentication": lambda: asks_for(b"\xfeno-end"),
    "...: the server asks for a password in the format before 4.1": lambda: asks_for(b"\xfe"),
    "...: it wants the authentication plugin 'PLUGIN', which Volvox does not have":
        lambda: asks_for(b"\xfedialog\0" + bytes(21)),
    "...: it wants PLUGIN, and the connection to it is not encrypted":
        lambda: asks_for(b"\xfemysql_clear_password\0"),
    "...: it wants a second factor, which Volvox can't give": lambda: asks_for(b"\2authentication_webauthn\0"),
    "...: it sent what its authentication plugin never sends": lambda: asks_for(b"\1\7"),
    "...: the server's public key is not an RSA key in PEM": lambda: asks_for(b"\1\4", b"\1no key"),
    "volvox: the password does not fit the server's RSA key": lambda: asks_for(b"\1\4", b"\1" + short_key()),
    "volvox: server NAME does not finish its login": lambda: asks_for(*[SWITCH] * 20),
    "volvox: no connection to server NAME within connect_timeout": lambda: lambda connection: time.sleep(5),
}


@provokes(*STRANGERS)
@pytest.mark.parametrize("text", STRANGERS)
def test_a_server_that_cannot_be_logged_in_to(house, text):
    house.server.script = STRANGERS[text]()
    with house.client("long", LONG) as c:
        told(text, c.query, "insert into t values (1)")


@provokes("...: it wants PLUGIN, but only WHAT is known of the password: set server_password")
def test_a_server_that_wants_more_than_the_hash(house):
    house.server.script = asks_for(SWITCH)
    with house.client("hashed", "app-secret") as c:
        told("...: it wants PLUGIN, but only WHAT", c.query, "insert into t values (1)")


TLS_ANSWERS = {
    "volvox: TLS handshake with server failed: REASON": lambda connection: connection.send_raw(b"no TLS " * 20),
    "volvox: server closed the connection during the TLS handshake": lambda connection: None,
}


@provokes(*TLS_ANSWERS)
@pytest.mark.parametrize("text", TLS_ANSWERS)
def test_a_server_whose_tls_does_not_come_about(start_volvox, text):
    house = House(start_volvox, with_tls=True)

    def script(connection):
        connection.greet(greeting_payload(caps=MODERN | SSL))
        connection.recv()
        TLS_ANSWERS[text](connection)
        time.sleep(0.3)

    house.server.script = script
    with house.client() as c:
        told(text, c.query, "insert into t values (1)")
    house.server.close()


@provokes("volvox: TLS handshake with server failed: REASON (VERDICT)")
def test_a_server_whose_certificate_is_not_believed(places, start_volvox, tmp_path):
    """MariaDB 11.8 makes one for itself."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-days", "2",
                    "-keyout", tmp_path / "key.pem", "-out", tmp_path / "ca.pem"], check=True, capture_output=True)
    settings = settings_of_one("primary", places("mariadb-11.8").primary.port)
    settings["server one"].update({"tls": "verify-ca", "tls_ca": tmp_path / "ca.pem"})
    with Client(start_volvox(settings).port) as c:
        told("volvox: TLS handshake with server failed: REASON (VERDICT)", c.query, "insert into t values (1)")


@provokes("volvox: server NAME offers no TLS")
def test_a_server_without_tls_where_it_is_required(start_volvox):
    house = House(start_volvox, with_tls=True)
    with house.client() as c:
        told("volvox: server NAME offers no TLS", c.query, "insert into t values (1)")
    house.server.close()


def test_a_login_that_is_out_of_order_is_not_the_clients_fault(house):
    house.server.script = lambda connection: connection.send_raw(
        struct.pack("<I", 100 << 10)[:3] + b"\0" + bytes(100 << 10))
    with house.client() as c:
        told("volvox: server NAME: REASON", c.query, "insert into t values (1)")
        told("volvox: server NAME: REASON", c.query, "insert into t values (1)")


# ---- hints, and where statements may run ----------------------------------------------------------------

HINTS = {
    "volvox: the hint 'TEXT' is not understood": "/* volvox: master */ select 1",
    "volvox: the hint 'replica' is on a statement": "/* volvox: replica */ delete from t",
    "volvox: the hint names server 'NAME'": "/* volvox: server=nosuch */ select 1",
    "volvox: the hint's server 'NAME' can't take this": "/* volvox: server=db2 */ insert into t values (1)",
}


@provokes(*HINTS)
@pytest.mark.parametrize("text", HINTS)
def test_a_hint_that_cannot_be_followed(mariadb, text):
    with mariadb.client(db="shop") as c:
        told(text, c.query, HINTS[text])
        assert c.query("select 1").value() == b"1"


@provokes("volvox: user '")
def test_a_pin_that_is_denied(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    settings["user app"]["pin"] = "deny"
    with Client(start_volvox(settings).port) as c:
        told("volvox: user '", c.query, "select get_lock('a', 0)")


@provokes("volvox: this session can't leave replica")
def test_a_write_of_a_session_that_is_bound_to_a_replica(start_volvox):
    """A replica that reports nothing of a session's state binds it."""
    with FakeServer() as primary, FakeServer() as replica:
        replica.answer = when(b"SET NAMES", frame(1, error_payload(1193, "Unknown system variable")))
        settings = settings_of_one("primary", primary.port)
        settings["server two"] = {"address": f"127.0.0.1:{replica.port}", "role": "replica"}
        with Client(start_volvox(settings).port) as c:
            c.query("select 1")
            told("volvox: this session can't leave replica", c.query, "insert into t values (1)")


@provokes("volvox: the connection that had the diagnostics")
def test_diagnostics_whose_connection_was_needed(one):
    with Client(one.port) as a, Client(one.port) as b:
        with pytest.raises(ServerError):
            a.query("/* volvox: primary */ select nosuch")
        b.query("/* volvox: primary */ select 1")
        assert len(a.query("show warnings").rows) == 1
        told("volvox: the connection that had the diagnostics", a.query, "get diagnostics @n = number")


@provokes("volvox: FOUND_ROWS() or ROW_COUNT() came when")
def test_counts_whose_connection_was_given_away(one):
    with Client(one.port) as a, Client(one.port) as b:
        a.query("/* volvox: primary */ select 1")
        b.query("/* volvox: primary */ select 1 union select 2")
        told("volvox: FOUND_ROWS() or ROW_COUNT()", a.query, "/* volvox: primary */ select found_rows() + 1")


# ---- limits ---------------------------------------------------------------------------------------------

@provokes("volvox: a command of this kind may have at most N bytes")
def test_a_command_that_is_too_long(one):
    with Client(one.port) as c:
        told("volvox: a command of this kind", c.simple, COM_INIT_DB, b"x" * 70000)
        assert c.ping()


@provokes("volvox: out of memory: buffers hold N bytes, all that they may")
def test_more_buffers_than_memory_limit_allows(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, workers=1, memory_limit="1M"))
    with Client(volvox.port, timeout=20) as c:
        told("volvox: out of memory: buffers hold", c.query, "select '" + "x" * 900000 + "'")


@provokes("Too many connections")
def test_more_clients_than_allowed(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, workers=1, max_connections=3))
    clients = []
    with pytest.raises(ServerError) as caught:
        for _ in range(4):
            clients.append(Client(volvox.port))
    assert caught.value.args == (1040, "", "Too many connections")       # nothing is negotiated yet
    for c in clients:
        c.close()


@provokes("volvox: too many failed logins from 'HOST'")
def test_more_wrong_passwords_than_allowed(mariadb, start_volvox):
    """Then logins wait for their turn, some at a time; more are refused."""
    volvox = start_volvox(settings_for(mariadb.cluster, workers=1, login_failures=1, login_delay="5s"))
    for _ in range(2):
        with pytest.raises(ServerError):
            Client(volvox.port, "nobody", "wrong")
    waiting = [Client(volvox.port, "nobody", "wrong", login=False) for _ in range(40)]
    for c in waiting:
        c.send(c.login_payload())
    refused = [c for c in waiting if select.select([c.sock], [], [], 0.05)[0]]
    assert refused
    told("volvox: too many failed logins", refused[0].finish_login, b"")
    for c in waiting:
        c.close()


@provokes("Client does not support authentication protocol")
def test_an_old_client_of_an_account_with_another_plugin(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster, workers=1)
    settings["user newer"] = {"password_hash": "4LH+dBF+G5W2CKTyId8xR3SyDqZoQjUNUVNxx8aWbG4"}
    volvox = start_volvox(settings)
    told("Client does not support", Client, volvox.port, "newer", "secret", caps=BASE & ~PLUGIN_AUTH)


@provokes("User USER already has more than")
def test_more_clients_than_the_user_may_have(one):
    clients = [Client(one.port) for _ in range(4)]
    told("User USER already has more", Client, one.port)
    for c in clients:
        c.close()


@provokes("Can't create more than max_prepared_stmt_count statements")
def test_more_statements_than_a_session_may_have(one):
    with Client(one.port) as c:
        c.prepare("select 1")
        c.prepare("select 2")
        told("Can't create more than", c.prepare, "select 3")


@provokes("The client was disconnected by the server because of inactivity.")
def test_a_client_that_is_idle_for_too_long(mysql_place, start_volvox):
    volvox = start_volvox(settings_for(mysql_place.cluster, workers=1, idle_timeout="1s"))
    with Client(volvox.port) as c:
        c.seq = 0
        told("The client was disconnected by the server because of inactivity.", c.read_result)
        assert c.is_closed()


# ---- thread ids -------------------------------------------------------------------------------------------

@provokes("volvox: KILL with the id of a client of Volvox", "You are not owner of thread N",
          "Query execution was interrupted", "Connection was killed")
def test_kill(mariadb):
    with mariadb.client() as c, mariadb.client("other", "other-secret") as d, mariadb.client() as e:
        told("volvox: KILL with the id", c.query, f"do 1; kill {e.greeting.thread_id}")
        told("You are not owner", c.query, f"kill {d.greeting.thread_id}")
        e.command(COM_QUERY, b"update shop.items set price = sleep(20)")
        wait_until(lambda: mariadb.primary.value("select count(*) from information_schema.processlist "
                                                 "where info like 'update shop%'") == 1, 10, "it runs")
        c.query(f"kill query {e.greeting.thread_id}")
        with pytest.raises(ServerError) as caught:
            e.read_result()
        check(caught.value, "Query execution was interrupted")
        told("Connection was killed", e.query, f"kill {e.greeting.thread_id}")     # by itself
        assert e.is_closed()


# ---- clients that break the protocol ------------------------------------------------------------------------

def said_to(client, payload):
    client.send(payload)
    return client.finish_login(b"")


@provokes("Bad handshake", "Got a packet bigger than 'max_allowed_packet' bytes", "Access denied for user 'USER'@'HOST'",
          "Variable 'character_set_client' can't be set")
def test_logins_that_are_refused(mariadb):
    told("Bad handshake", said_to, mariadb.client(login=False), b"\x85\xa6\xff\x01\0\0")
    told("Got a packet bigger", said_to, mariadb.client(login=False), bytes(140 << 10))
    told("Access denied for user 'USER'@'HOST'", mariadb.client, "nobody", "wrong")
    told("Variable 'character_set_client'", mariadb.client, charset=35)


@provokes("Incorrect arguments to mysqld_stmt_execute")
def test_an_execution_without_types_of_what_cannot_be_prepared_any_more(one):
    with Client(one.port, db="shop") as c:
        s = c.prepare("select name from items where id = ?")
        with Client(one.port, db="shop") as other:
            other.query("create temporary table leaves_a_reset (a int)")
        c.query("create temporary table items (z int)")
        told("Incorrect arguments", c.execute, s, [4], 0, False)


@provokes("Unknown command", "Got packets out of order", "Unknown prepared statement handler", "Malformed communication packet",
          "The statement (N) has no open cursor")
def test_commands_that_are_refused(mariadb):
    with mariadb.client(db="shop") as c:
        told("Unknown command", c.simple, 0x77)
        told("Unknown command", c.simple, 27, b"\7\0")
        told("Unknown prepared statement handler", c.simple, COM_STMT_EXECUTE, struct.pack("<IBI", 77, 0, 1))
        s = c.prepare("select ?")
        told("Malformed communication packet", c.simple, COM_STMT_EXECUTE, struct.pack("<I", s.id) + b"\0\1")
        told("The statement (N)", c.simple, COM_FETCH, struct.pack("<II", s.id, 1))
        assert c.ping()
        c.send_frame(5, b"\x0e")
        c.seq = 1
        told("Got packets out of order", c.read_result)


@provokes("Server shutdown in progress")
def test_idle_clients_of_a_volvox_that_stops(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, workers=1))
    with Client(volvox.port) as c:
        c.ping()
        stopping = threading.Thread(target=volvox.stop)
        stopping.start()
        c.seq = 0
        told("Server shutdown", c.read_result)
        c.close()
        stopping.join()


# ---- the table --------------------------------------------------------------------------------------------

def exists(place):
    file, test = place.split("::")
    return f"def {test}(" in (pathlib.Path(__file__).parent / file).read_text()


def test_every_row_of_the_document_is_tested_or_has_a_reason():
    elsewhere = {row_of(b).text for b in ELSEWHERE}
    reasons = {row_of(b).text for b in NOT_PROVOKED}
    missing = sorted(set(ROWS) - PROVOKED - elsewhere - reasons)
    assert not missing, "no test here and no entry in ELSEWHERE or NOT_PROVOKED:\n" + "\n".join(missing)
    assert not reasons & PROVOKED, "provoked after all"
    assert all(exists(place) for place in ELSEWHERE.values())
