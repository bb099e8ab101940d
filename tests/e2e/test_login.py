"""Greeting, passwords, schemas, limits: what happens before the first command."""
import socket
import time

import pytest

from processes import free_port, wait_until
from servers import APP, MONITOR, OTHER
from volvox import settings_for
from wire import (BASE, CONNECT_WITH_DB, DEPRECATE_EOF, LONG_PASSWORD, MODERN, MULTI_STATEMENTS,
                  NATIVE, PLUGIN_AUTH, PROTOCOL_41, SECURE_CONNECTION, SESSION_TRACK, SHA2, SSL,
                  Client, Closed, ServerError, native_token, read_error)

pytestmark = pytest.mark.all_kinds


def refusal(port, *args, **more):
    with pytest.raises(ServerError) as caught:
        Client(port, *args, **more)
    return caught.value.args


def test_the_greeting_is_that_of_the_servers_behind(place):
    with place.client(login=False) as ours, place.direct(login=False) as theirs:
        assert ours.greeting.version == theirs.greeting.version
        assert ours.greeting.charset == theirs.greeting.charset
        # TLS is the client's matter with us, so it may differ; what else we offer they must know.
        # MariaDB leaves out the first flag to announce capabilities of its own.
        assert ours.greeting.caps & ~theirs.greeting.caps & ~(SSL | LONG_PASSWORD) == 0
        wanted = PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH | CONNECT_WITH_DB | DEPRECATE_EOF \
            | SESSION_TRACK | MULTI_STATEMENTS
        assert ours.greeting.caps & wanted == wanted


def test_every_greeting_has_a_scramble_of_its_own_without_nul_bytes(place):
    scrambles = set()
    for _ in range(20):
        with place.client(login=False) as c:
            assert len(c.greeting.scramble) == 20
            assert b"\0" not in c.greeting.scramble
            scrambles.add(c.greeting.scramble)
    assert len(scrambles) == 20


@pytest.mark.parametrize("plugin", [NATIVE, SHA2, "mysql_clear_password", "no_such_plugin"])
def test_a_client_logs_in_whatever_plugin_it_starts_with(mariadb, plugin):
    with mariadb.client(plugin=plugin, login=False) as c:
        token = native_token(c.password, c.greeting.scramble) if plugin == NATIVE else None
        c.send(c.login_payload(token=token))
        c.finish_login(c.greeting.scramble)
        assert c.query("select 5").value() == b"5"


@pytest.mark.parametrize("plugin", [SHA2, "no_such_plugin"])
def test_a_client_of_mysql_logs_in_with_sha2_or_is_switched_to_it(mysql_place, plugin):
    with mysql_place.client(plugin=plugin) as c:
        assert c.query("select 5").value() == b"5"
    mysql_place.check()


def test_logging_in_again_with_sha2_needs_no_key_exchange(mysql_place):
    mysql_place.client(plugin=SHA2).quit()
    with mysql_place.client(plugin=SHA2) as c:
        assert not c.used_rsa
    mysql_place.check()


def test_a_client_without_plugins_logs_in(mariadb):
    with mariadb.client(caps=BASE & ~PLUGIN_AUTH) as c:
        assert c.query("select 5").value() == b"5"


def test_the_session_belongs_to_the_user_that_logged_in(place):
    for who in (APP, OTHER):
        with place.client(*who) as c:
            assert c.query("select user()").value().split(b"@")[0] == who[0].encode()


def test_a_schema_given_at_login_is_in_use(place):
    with place.client(db="shop") as c:
        assert c.query("select database()").value() == b"shop"
        assert c.query("select count(*) from items").value() == b"4"


def test_without_a_schema_there_is_none(place):
    with place.client(db="shop") as first:
        first.query("select 1")
    with place.client() as c:
        assert c.query("select database()").value() is None


def test_an_unknown_schema_is_refused_as_the_server_does(place):
    ours, theirs = (refusal(port, db="no_such_db") for port in (place.port, place.primary.port))
    assert ours == theirs
    assert ours[0] == 1049


@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_password_is_refused_as_the_server_does(place, password):
    ours, theirs = (refusal(port, "app", password) for port in (place.port, place.primary.port))
    assert ours == theirs
    assert ours[0] == 1045


@pytest.mark.parametrize("password", ["wrong", ""])
def test_an_unknown_user_is_refused_as_the_server_does(place, password):
    ours, theirs = (refusal(port, "nobody", password) for port in (place.port, place.primary.port))
    assert ours == theirs
    assert ours[0] == 1045


def answers_to_login(place, user, plugin):
    """Sequence number, length and first bytes of every frame until the connection ends."""
    seen = []
    with place.client(user, "wrong", login=False, plugin=plugin) as c:
        c.send(c.login_payload())
        try:
            while True:
                seq, payload = c.recv_frame()
                c.seq = seq + 1
                known = payload.replace(user.encode(), b"USER")
                seen.append((seq, len(known), known[:20] if known[0] != 0xFE else known[:5]))
                if payload[0] == 0xFE:
                    c.send(b"x" * 32)
                elif payload == b"\x01\x04":
                    c.send(b"\x02")
                elif payload[0] == 0x01:
                    c.send(b"x" * 256)
        except Closed:
            return seen


@pytest.mark.parametrize("plugin", [NATIVE, SHA2])
def test_unknown_users_and_wrong_passwords_look_the_same_on_the_wire(place, plugin):
    assert answers_to_login(place, "app", plugin) == answers_to_login(place, "nobody", plugin)


@pytest.mark.parametrize("size", [0, 100, 60000])
def test_connection_attributes_are_read_and_do_no_harm(place, size):
    attributes = {"_client_name": "test", "padding": "x" * size}
    with place.client(attributes=attributes, db="shop") as c:
        assert c.query("select database()").value() == b"shop"


@pytest.mark.parametrize("charset,name", [(8, b"latin1"), (33, b"utf8"), (45, b"utf8mb4")])
def test_the_character_set_of_the_login_is_in_force(mariadb, charset, name):
    with mariadb.client(charset=charset) as c:
        row = c.query("select @@character_set_client, @@character_set_results").rows[0]
        assert all(v.startswith(name) for v in row), row


def test_a_user_may_have_another_name_and_password_on_the_servers(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster, users=())
    settings["user web"] = {"password": "web-secret", "server_user": APP[0], "server_password": APP[1]}
    volvox = start_volvox(settings)
    with Client(volvox.port, "web", "web-secret") as c:
        assert c.query("select user()").value().startswith(b"app@")
    assert refusal(volvox.port, *APP)[0] == 1045


def test_a_users_schema_is_used_when_the_client_names_none(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster, users=())
    settings["user app"] = {"password": APP[1], "schema": "shop"}
    volvox = start_volvox(settings)
    with Client(volvox.port) as c:
        assert c.query("select database()").value() == b"shop"
    with Client(volvox.port, db="test") as c:
        assert c.query("select database()").value() == b"test"


def test_too_many_connections_are_refused_as_a_server_does(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, max_connections=3))
    held = [Client(volvox.port) for _ in range(3)]
    code, _, message = refusal(volvox.port)
    assert (code, message) == (1040, "Too many connections")
    assert held[0].query("select 1").value() == b"1"
    held.pop().quit()
    with wait_until(lambda: Client(volvox.port), 5, "room after a client left") as c:
        assert c.query("select 1").value() == b"1"
    for c in held:
        c.close()


def test_a_user_with_too_many_connections_is_refused(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    settings["user app"]["max_connections"] = 2
    volvox = start_volvox(settings)
    held = [Client(volvox.port) for _ in range(2)]
    code, state, _ = refusal(volvox.port)
    assert code in (1203, 1226) and state == "42000"
    Client(volvox.port, *OTHER).quit()
    for c in held:
        c.close()


def test_a_client_that_does_not_log_in_is_closed_at_the_deadline(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, login_timeout="500ms", linger="500ms"))
    began = time.monotonic()
    with Client(volvox.port, login=False) as c:
        assert c.is_closed(5)
    assert 0.4 < time.monotonic() - began < 4


def test_a_probe_that_only_connects_is_no_trouble(mariadb):
    for _ in range(50):
        socket.create_connection(("127.0.0.1", mariadb.port)).close()
    with mariadb.client() as c:
        assert c.query("select 1").value() == b"1"


def test_the_configured_version_is_told_while_no_server_has_answered(start_volvox):
    volvox = start_volvox({
        "volvox": {"server_version": "10.11.1-waiting", "monitor_user": MONITOR[0],
                   "monitor_password": MONITOR[1], "monitor_interval": "100ms"},
        "listener main": {"address": f"127.0.0.1:{free_port()}"},
        "server db1": {"address": f"127.0.0.1:{free_port()}"},       # nobody is there
        "user app": {"password": APP[1]},
    })
    with Client(volvox.port, login=False) as c:
        assert c.greeting.version == b"10.11.1-waiting"
    with Client(volvox.port) as c:
        with pytest.raises(ServerError):
            c.query("select 1")


def test_an_error_before_the_greeting_is_a_packet_that_clients_can_read(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, max_connections=1))
    # whoever looked whether it had started may be on the way out still
    with wait_until(lambda: Client(volvox.port), 5, "the one place is free"):
        with Client(volvox.port, greet=False) as second:
            assert read_error(second.recv()).code == 1040
            assert second.is_closed(5)


def test_what_the_client_may_do_is_agreed_per_client(mariadb):
    for caps in (BASE, BASE | DEPRECATE_EOF, BASE | SESSION_TRACK, MODERN):
        with mariadb.client(caps=caps) as c:
            assert c.query("select 1, 2").rows == [[b"1", b"2"]]
