"""TLS with clients: who may come in and how, what is believed, sessions resumed, files replaced."""
import concurrent.futures
import contextlib
import datetime
import hashlib
import os
import random
import re
import socket
import ssl
import struct
import subprocess
import time

import pytest

from certificates import Authority
from conftest import DIRECT
from processes import free_port, resident_bytes, wait_until
from servers import APP, Cluster, MariaDB, MariaDB118, MySQL
from volvox import binary, ini_text, settings_for
from wire import (COM_PING, COM_QUERY, FOUND_ROWS, MODERN, NATIVE, SESSION_TRACK, SHA2, SSL, Client, Closed,
                  ServerError, frame, frames, native_token, read_error, read_ok, trusting)

pytestmark = pytest.mark.skipif(DIRECT, reason="needs Volvox")

ADMIN = {"admin_user root": {"password": "admin-secret", "access": "full"}}


def secured(server_class, authority, replicas=0):
    """A cluster whose servers show a certificate of `authority` and believe its others."""
    directory = server_class.directory_for_tests()
    cluster = Cluster(replicas, server_class, directory=directory)
    cluster.owns_directory = True
    files = Authority(cluster.directory / "tls")
    files.cn, files.pair, files.subject = authority.cn, authority.pair, authority.subject
    files.certificate.write_bytes(authority.certificate.read_bytes())
    shown = files.issue("db.test", ["db.test", "127.0.0.1"])
    for server in cluster.servers:
        server.options += [f"--ssl-ca={server.inside(files.certificate)}",
                           f"--ssl-cert={server.inside(shown.certificate)}",
                           f"--ssl-key={server.inside(shown.key)}"]
    return cluster.start()


RULES = {"with_ssl": "require ssl", "with_x509": "require x509",
         "alice": "require subject '/C=SE/O=Volvox Test/CN=alice'",
         "issued": "require issuer '/C=SE/O=Volvox Test/CN=Test CA'"}


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def cluster(request, authority):
    """One server with TLS, of each family, with accounts that insist on something."""
    server_class = {"mariadb": MariaDB, "mysql": MySQL}[request.param]
    if server_class.objection():
        pytest.skip(server_class.objection())
    cluster = secured(server_class, authority)
    for name, rule in RULES.items():
        cluster.primary.query(f"create user {name}@'%' identified by 'pw'")
        cluster.primary.query(f"grant all on *.* to {name}@'%'")
        cluster.primary.query(f"alter user {name}@'%' {rule}")
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def alice(authority):
    return authority.issue("alice")


@pytest.fixture(scope="module")
def settings(cluster, authority, tmp_path_factory):
    """A Volvox with a certificate; its users have the servers' rules, and there an account without."""
    shown = authority.issue("volvox.test", ["volvox.test", "127.0.0.1"])
    settings = settings_for(cluster, tls_certificate=shown.certificate, tls_key=shown.key,
                            tls_ca=authority.certificate)
    settings["listener strict"] = {"address": f"127.0.0.1:{free_port()}", "tls": "required"}
    settings["listener socket"] = {"address": tmp_path_factory.mktemp("volvox") / "strict.sock",
                                   "tls": "required"}
    settings["listener plain"] = {"address": f"127.0.0.1:{free_port()}", "tls": "disabled"}
    rules = {"with_ssl": {"tls": "required"}, "with_x509": {"tls": "x509"},
             "alice": {"tls_subject": "/C=SE/O=Volvox Test/CN=alice"},
             "issued": {"tls_issuer": authority.subject}}
    for name, rule in rules.items():
        settings[f"user {name}"] = {"password": "pw", "server_user": APP[0], "server_password": APP[1],
                                    **rule}
    settings["admin"] = {"address": f"127.0.0.1:{free_port()}"}
    settings.update(ADMIN)
    return settings


@pytest.fixture
def volvox(settings, start_volvox):
    return start_volvox(settings)


def port_of(settings, section):
    return int(str(settings[section]["address"]).rsplit(":", 1)[1])


def admin_query(settings, sql, tls=True):
    port = port_of(settings, "admin")
    with Client(port, "root", "admin-secret", tls=tls) as c:
        return c.query(sql).rows


def refusal(port, *args, **more):
    with pytest.raises(ServerError) as caught:
        Client(port, *args, **more)
    return caught.value.args


# ---- the way in ------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_client_talks_in_tls(cluster, settings, volvox, version):
    with Client(volvox.port, tls=trusting(version=ssl.TLSVersion[version])) as c:
        assert c.greeting.caps & SSL
        assert c.query("select 41 + 1").value() == b"42"
        assert c.query("select user()").value().startswith(b"app@")
        (row,) = admin_query(settings, "select tls, cipher from clients where user = 'app'")
        assert row == [version.replace("_", ".").encode(), c.sock.cipher()[0].encode()]
    with Client(volvox.port) as c:
        assert c.query("select 1").value() == b"1"
        assert admin_query(settings, "select tls, cipher from clients where user = 'app'") == [[None, None]]


def test_a_client_that_verifies_finds_our_certificate_in_order(authority, settings, volvox):
    context = ssl.create_default_context(cafile=authority.certificate)
    with Client(volvox.port, login=False) as c:
        c.send_raw(frame(1, c.ssl_request()))
        c.seq = 2
        c.sock = context.wrap_socket(c.sock, server_hostname="127.0.0.1")
        c.caps |= SSL
        c.login()
        assert c.query("select 1").value() == b"1"


def test_without_a_certificate_one_is_made(cluster, start_volvox):
    volvox = start_volvox(settings_for(cluster))
    with Client(volvox.port, tls=True) as c:
        assert c.query("select 1").value() == b"1"
        first = c.sock.getpeercert(True)
    assert b"Volvox, made at start" in first
    volvox.reload()
    with Client(volvox.port, tls=True) as c:
        assert c.sock.getpeercert(True) == first


def test_a_listener_without_tls_offers_none(settings, volvox):
    with Client(port_of(settings, "listener plain"), login=False) as c:
        assert not c.greeting.caps & SSL
        c.send_raw(frame(1, c.ssl_request()))
        c.seq = 2
        assert read_error(c.recv()).code == 1043


def test_a_listener_that_requires_tls_refuses_as_servers_do(cluster, settings, volvox):
    port = port_of(settings, "listener strict")
    with Client(port, tls=True) as c:
        assert c.query("select 1").value() == b"1"
    cluster.primary.query("set global require_secure_transport = 1")
    try:
        assert refusal(port) == refusal(cluster.primary.port)
    finally:
        cluster.primary.query("set global require_secure_transport = 0")


def test_a_unix_socket_is_safe_enough(settings, volvox):
    greeted = socket.socket(socket.AF_UNIX)
    greeted.connect(str(settings["listener socket"]["address"]))
    with greeted, Client.__new__(Client) as c:
        super(Client, c).__init__(greeted)
        c._begin(*APP, None, MODERN, 45, None, None, True, True, None)
        assert c.query("select 1").value() == b"1"


@pytest.mark.parametrize("user", ["with_ssl", "with_x509", "alice", "issued"])
@pytest.mark.parametrize("how", ["clear", "tls", "alice", "other"])
def test_users_rules_are_those_of_servers(cluster, authority, alice, volvox, user, how):
    def outcome(port):
        shown = {"alice": alice, "other": other}.get(how)
        context = trusting(shown.certificate, shown.key) if shown else trusting()
        try:
            with Client(port, user, "pw", tls=None if how == "clear" else context) as c:
                return c.query("select 1").value()
        except ServerError as e:
            return e.args

    other = authority.issue("bob")
    ours, theirs = outcome(volvox.port), outcome(cluster.primary.port)
    assert ours == theirs
    allowed = {"with_ssl": {"tls", "alice", "other"}, "with_x509": {"alice", "other"},
               "alice": {"alice"}, "issued": {"alice", "other"}}
    assert (ours == b"1") == (how in allowed[user])


def test_a_change_of_user_must_keep_the_rules(alice, volvox):
    with Client(volvox.port, tls=trusting()) as c:
        assert c.change_user("with_ssl", "pw").status is not None
        with pytest.raises(ServerError) as caught:
            c.change_user("alice", "pw")
        assert caught.value.code == 1045
    with Client(volvox.port, tls=trusting(alice.certificate, alice.key)) as c:
        c.change_user("alice", "pw")
        assert c.query("select 1").value() == b"1"


def test_a_certificate_of_somebody_else_is_no_certificate(volvox, tmp_path):
    shown = Authority(tmp_path, "Nobody").issue("alice")
    with pytest.raises((ssl.SSLError, OSError, Closed)):
        Client(volvox.port, "alice", "pw", tls=trusting(shown.certificate, shown.key))


def test_a_revoked_certificate_is_refused_after_a_reload(cluster, settings, authority, start_volvox):
    shown = authority.issue("mallory")
    settings = {**settings, "volvox": {**settings["volvox"]}}
    volvox = start_volvox(settings)
    context = trusting(shown.certificate, shown.key)
    Client(volvox.port, "with_x509", "pw", tls=context).quit()
    settings["volvox"]["tls_crl"] = authority.revoke(shown)
    volvox.reload(settings)
    with pytest.raises((ssl.SSLError, OSError, Closed)):
        Client(volvox.port, "with_x509", "pw", tls=context)
    good = authority.issue("honest")
    Client(volvox.port, "with_x509", "pw", tls=trusting(good.certificate, good.key)).quit()


# ---- passwords --------------------------------------------------------------------------------------

def test_a_password_comes_in_clear_within_tls(volvox):
    with Client(volvox.port, plugin=SHA2, login=False, tls=True) as c:
        c.send(c.login_payload(token=b"\1" * 32))       # a token that proves nothing
        assert c.finish_login(c.greeting.scramble).status is not None
        assert not c.used_rsa
        assert c.query("select 1").value() == b"1"
    for wrong in ("wrong", "", "app-secret-and-more"):
        with Client(volvox.port, "app", wrong, plugin=SHA2, login=False, tls=True) as c:
            c.send(c.login_payload(token=b"\1" * 32))
            with pytest.raises(ServerError) as caught:
                c.finish_login(c.greeting.scramble)
            assert caught.value.code == 1045


@pytest.mark.parametrize("answer", [b"", b"\0", b"app-secret", b"app-secret\0\0", b"\2", b"x" * 5000 + b"\0"])
def test_odd_passwords_in_clear_are_refused_or_answered(volvox, answer):
    with Client(volvox.port, plugin=SHA2, login=False, tls=True) as c:
        c.send(c.login_payload(token=b"\1" * 32))
        assert c.recv() == b"\x01\x04"
        c.send(answer)
        packet = c.recv()
        if answer == b"\2":
            assert packet.startswith(b"\x01-----BEGIN PUBLIC KEY")
        else:
            assert read_error(packet).code == 1045


def proof(password, scramble, der):
    stored = hashlib.sha1(hashlib.sha1(password).digest()).digest()
    return b"\1" + hashlib.sha256(stored + scramble + hashlib.sha256(der).digest()).hexdigest().upper().encode()


def test_a_client_of_mariadb_can_verify_us_by_its_password(cluster, volvox):
    with Client(volvox.port, tls=True, plugin=NATIVE, caps=MODERN) as c:
        shown = c.sock.getpeercert(True)
        expected = proof(b"app-secret", c.greeting.scramble, shown)
        if cluster.primary.family == "mysql":
            assert c.login_ok.info == b""
        else:
            assert c.login_ok.info == expected
            assert c.change_user(*APP).info == b""      # as MariaDB 11.8
    with Client(volvox.port, plugin=NATIVE) as c:
        assert c.login_ok.info == b""


def test_the_proof_is_that_of_mariadb_itself(places, authority):
    """The same computation holds on a direct connection to one that gives it."""
    place = places("mariadb-11.8")
    with place.direct(tls=True) as c:
        assert c.login_ok.info == proof(b"app-secret", c.greeting.scramble, c.sock.getpeercert(True))


def test_the_client_of_mariadb_11_8_believes_us_by_its_password(cluster, start_volvox):
    """It takes 127.0.0.1 for a place where nobody listens in, but not 127.0.0.2."""
    if MariaDB118.objection():
        pytest.skip(MariaDB118.objection())
    settings = settings_for(cluster)
    settings["listener main"]["address"] = f"127.0.0.1:{free_port()}"
    settings["listener other"] = {"address": f"127.0.0.2:{free_port()}"}
    start_volvox(settings)
    port = port_of(settings, "listener other")

    def status(user, password):
        argv = ["chroot", str(MariaDB118.root), "mariadb", "--no-defaults", "-h127.0.0.2", f"-P{port}",
                f"-u{user}", f"-p{password}", "-e", "status"]
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout

    if cluster.primary.family == "mariadb":
        assert "Cipher in use is TLS" in status(*APP), status(*APP)
    else:                           # as on a direct connection: MySQL's method can't
        assert "self-signed certificate" in status(*APP).lower() or "NOT trusted" in status(*APP)


# ---- what is believed ----------------------------------------------------------------------------------

def databases(cluster):
    return {row[0] for row in cluster.primary.query("show databases")}


@pytest.mark.parametrize("kind", ["query", "login and query", "after the hello"])
def test_what_comes_in_clear_behind_the_request_is_never_executed(cluster, volvox, kind):
    query = frame(0, bytes([COM_QUERY]) + b"create database injected")
    with Client(volvox.port, login=False) as c:
        behind = {"query": query, "login and query": frame(2, c.login_payload()) + query,
                  "after the hello": b""}[kind]
        if kind == "after the hello":
            context = trusting()
            bio_in, bio_out = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(bio_in, bio_out)
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
            c.send_raw(frame(1, c.ssl_request()) + bio_out.read() + query)
            assert c.is_closed()
        else:
            with pytest.raises((ssl.SSLError, OSError, Closed)):
                c.start_tls(behind=behind)
                c.login()
                c.query("select 1")
    assert "injected" not in databases(cluster)
    with Client(volvox.port, tls=True) as c:
        assert c.query("select 1").value() == b"1"
    assert volvox.status()["commands_primary"] <= 1


def test_the_flag_alone_asks_for_tls(cluster, volvox):
    """A login that comes whole in clear, with the flag: servers wait for TLS, and read it again."""
    for port in (volvox.port, cluster.primary.port):
        with Client(port, login=False) as c:
            c.caps |= SSL
            c.send(c.login_payload())
            c.sock.settimeout(0.5)
            with pytest.raises(TimeoutError):
                c.recv()
            c.sock.settimeout(10)
            c.sock = trusting().wrap_socket(c.sock)
            c.login()
            assert c.query("select 1").value() == b"1"


@pytest.mark.parametrize("change", ["same", "no flag", "more flags", "fewer flags", "another collation"])
def test_the_second_packet_counts_and_must_agree_as_servers_want(cluster, volvox, change):
    def outcome(port):
        with Client(port, login=False) as c:
            c.start_tls(**({"charset": 8} if change == "another collation" else {}))
            c.caps = {"no flag": MODERN, "more flags": MODERN | SSL | FOUND_ROWS,
                      "fewer flags": (MODERN | SSL) & ~SESSION_TRACK}.get(change, c.caps)
            try:
                c.login()
                return c.query("select @@collation_connection").value()
            except ServerError as e:
                return e.args

    assert outcome(volvox.port) == outcome(cluster.primary.port)


def test_asking_twice_or_out_of_order_is_refused(cluster, volvox):
    def twice(port):
        with Client(port, login=False) as c:
            c.start_tls()
            c.send(c.ssl_request())
            return read_error(c.recv()).args

    def out_of_order(port):
        with Client(port, login=False) as c:
            c.start_tls()
            c.seq = 7
            c.send(c.login_payload())
            c.seq = c.seq if port == volvox.port else c.seq
            number, payload = c.recv_frame()
            return read_error(payload).args

    assert twice(volvox.port) == twice(cluster.primary.port)
    assert out_of_order(volvox.port) == out_of_order(cluster.primary.port)


def test_garbage_instead_of_a_handshake_is_refused_as_servers_do(cluster, volvox):
    def told(port):
        with Client(port, login=False) as c:
            c.send_raw(frame(1, c.ssl_request()) + b"garbage, garbage, garbage\n" * 20)
            data = b""
            with contextlib.suppress(OSError):
                while piece := c.sock.recv(4096):
                    data += piece
            return data

    assert told(volvox.port).endswith(told(cluster.primary.port))


def hello():
    """A ClientHello."""
    context, bio = trusting(), ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), bio)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return bio.read()


def test_handshakes_that_break_off_or_go_wrong_harm_nobody(volvox):
    chance = random.Random(27)
    opening = hello()
    with Client(volvox.port, tls=True) as witness:
        for i in range(60):
            with Client(volvox.port, login=False) as c:
                request = frame(1, c.ssl_request())
                data = bytearray(request + opening + chance.randbytes(chance.randrange(300)))
                for _ in range(chance.randrange(4)):
                    data[chance.randrange(len(request), len(data))] = chance.randrange(256)
                c.send_raw(bytes(data[:chance.randrange(len(request), len(data))]))
                if i % 3:
                    c.sock.shutdown(socket.SHUT_WR)
                if i % 2:
                    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for i in range(40):                 # and within TLS, at each stage of the login
            with Client(volvox.port, login=False, tls=True) as c:
                payload = c.login_payload()
                data = bytearray(frame(2, payload))
                for _ in range(1 + chance.randrange(6)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
                with contextlib.suppress(OSError):
                    c.send_raw(bytes(data[:chance.randrange(1, len(data) + 1)]))
        assert witness.query("select 1").value() == b"1"
    status = volvox.status()
    assert status["tls_from_clients_failed"] > 10
    wait_until(lambda: volvox.status()["sessions"] == 0, 15, "all of them are gone")


def test_a_handshake_that_is_not_finished_ends_at_the_deadline(cluster, start_volvox):
    volvox = start_volvox(settings_for(cluster, login_timeout="500ms", linger="300ms"))
    for opening in (b"", hello()):
        with Client(volvox.port, login=False) as c:
            c.send_raw(frame(1, c.ssl_request()) + opening)
            began = time.monotonic()
            assert c.is_closed(10)
            assert time.monotonic() - began > 0.3


# ---- data --------------------------------------------------------------------------------------------

def test_a_command_in_the_same_record_as_the_login_is_served(volvox):
    """Nobody but TLS knows of it: the socket has nothing to tell."""
    for _ in range(20):
        with Client(volvox.port, plugin=NATIVE, login=False, tls=True) as c:
            token = native_token(c.password, c.greeting.scramble)
            login, _ = frames(c.seq, c.login_payload(token=token, plugin=NATIVE))
            c.send_raw(login + frame(0, bytes([COM_PING])) + frame(0, bytes([COM_QUERY]) + b"select 5"))
            answers = []
            while len(answers) < 2:
                _, packet = c.recv_frame()
                if packet[0] == 0x00:
                    answers.append(read_ok(packet, c.caps))
            c.seq = 1
            assert c.read_result().value() == b"5"


def test_many_commands_in_one_record_are_all_served(volvox):
    with Client(volvox.port, tls=True) as c:
        count = 500
        c.send_raw(b"".join(frame(0, bytes([COM_QUERY]) + b"select %d" % i) for i in range(count)))
        for i in range(count):
            c.seq = 1
            assert c.read_result().value() == b"%d" % i


def test_large_packets_pass_both_ways(cluster, volvox):
    size = (1 << 24) + 12345                    # more than one frame
    cluster.primary.query("create table if not exists shop.big (id int primary key, data longblob)")
    with Client(volvox.port, tls=True, db="shop", timeout=60) as c:
        c.query("delete from big")
        text = b"x" * size
        assert c.query(b"insert into big values (1, '" + text + b"')").affected == 1
        assert c.query("select length(data), sha2(data, 256) from big").rows == [
            [b"%d" % size, hashlib.sha256(text).hexdigest().encode()]]
        assert c.query("select data from big").value() == text


def test_a_slow_reader_holds_up_itself_only(volvox):
    with Client(volvox.port, tls=True, receive_buffer=4096) as slow, Client(volvox.port, tls=True) as c:
        slow.command(COM_QUERY, b"select repeat('x', 8000000)")
        for _ in range(20):
            assert c.query("select 1").value() == b"1"
        assert len(slow.read_result().value()) == 8000000


@pytest.mark.parametrize("politely", [True, False])
def test_a_client_that_leaves_in_the_middle_of_a_statement_is_noticed(cluster, volvox, politely):
    def running():
        return cluster.primary.value("select count(*) from information_schema.processlist "
                                     "where info like 'select sleep(27%'")

    c = Client(volvox.port, tls=True)
    c.command(COM_QUERY, b"select sleep(27)")
    wait_until(lambda: running() == 1, 10, "it runs")
    if politely:
        c.sock.settimeout(0.2)
        with contextlib.suppress(OSError):
            c.sock = c.sock.unwrap()            # says goodbye
    c.close()
    wait_until(lambda: running() == 0, 10, "it has been killed")


def test_a_client_that_waits_is_not_taken_for_one_that_left(volvox):
    """Records of TLS's own, such as the half of one, mean nothing."""
    with Client(volvox.port, tls=True) as c:
        c.command(COM_QUERY, b"select sleep(0.5)")
        os.write(c.sock.fileno(), b"\x17\x03\x03")      # the head of a record that never comes
        assert c.read_result().value() == b"0"


def test_many_log_in_at_once(volvox):
    context = trusting()
    count = 150

    def visit(_):
        with Client(volvox.port, tls=context, timeout=60) as c:
            return c.query("select connection_id()").value()

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        ids = list(pool.map(visit, range(count)))
    assert len(set(ids)) == count
    assert volvox.status()["tls_from_clients"] >= count


# ---- sessions -------------------------------------------------------------------------------------------

def reconnect(port, context, session):
    """Whether it was resumed, and the session for the next time."""
    with Client(port, login=False) as c:
        c.send_raw(frame(1, c.ssl_request()))
        c.seq = 2
        c.sock = context.wrap_socket(c.sock, session=session)
        c.caps |= SSL
        c.login()
        assert c.query("select 1").value() == b"1"
        return c.sock.session_reused, c.sock.session


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_client_resumes_its_session_on_any_worker(alice, volvox, version):
    context = trusting(alice.certificate, alice.key, ssl.TLSVersion[version])
    resumed, session = reconnect(volvox.port, context, None)
    assert not resumed
    for _ in range(6):
        resumed, session = reconnect(volvox.port, context, session)
        assert resumed
    assert volvox.status()["tls_from_clients_resumed"] == 6
    with Client(volvox.port, "alice", "pw", login=False) as c:      # the certificate counts all the same
        c.send_raw(frame(1, c.ssl_request()))
        c.seq = 2
        c.sock = context.wrap_socket(c.sock, session=session)
        c.caps |= SSL
        c.login()
        assert c.sock.session_reused


def test_openssl_s_client_resumes(volvox):
    argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{volvox.port}", "-starttls", "mysql", "-reconnect",
            "-tls1_2"]
    out = subprocess.run(argv, input=b"", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60).stdout
    assert len(re.findall(rb"^Reused, TLSv1\.2", out, re.MULTILINE)) == 5, out.decode(errors="replace")


# ---- files ----------------------------------------------------------------------------------------------

def test_new_files_under_the_same_names_come_with_a_reload(cluster, settings, authority, start_volvox):
    shown = authority.issue("first", ["127.0.0.1"], file="renewed")
    settings = {**settings, "volvox": {**settings["volvox"], "tls_certificate": shown.certificate,
                                       "tls_key": shown.key}}
    volvox = start_volvox(settings)
    context = trusting()
    with Client(volvox.port, tls=context) as old:
        session = reconnect(volvox.port, context, None)[1]
        first = old.sock.getpeercert(True)
        assert first == shown.der
        renewed = authority.issue("second", ["127.0.0.1"], file="renewed")
        volvox.reload()
        assert any("files of its tls options have changed" in e["text"] for e in volvox.events("reload"))
        with Client(volvox.port, tls=context) as new:
            assert new.sock.getpeercert(True) == renewed.der != first
            assert new.query("select 1").value() == b"1"
        assert old.query("select 2").value() == b"2"            # goes on as it is
        assert not reconnect(volvox.port, context, session)[0]  # another certificate, another session
        renewed.key.write_text("spoilt")
        assert volvox.reload()["event"].startswith("reload refused")
        assert old.query("select 3").value() == b"3"
        with Client(volvox.port, tls=context) as new:
            assert new.sock.getpeercert(True) == renewed.der


def test_certificates_are_checked_with_the_file(cluster, settings, authority, tmp_path):
    ini = tmp_path / "a.ini"
    old = authority.issue("old", until=datetime.timedelta(hours=1))    # it began a day ago
    for change, told in [({"tls_certificate": old.certificate, "tls_key": old.key}, "has expired on"),
                         ({"tls_key": authority.issue("x").key}, "key values mismatch"),
                         ({"tls_certificate": tmp_path / "none.pem"}, "No such file")]:
        ini.write_text(ini_text({**settings, "volvox": {**settings["volvox"], **change}}))
        done = subprocess.run([binary(), "-c", str(ini), "--check"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        assert re.search(rf"a\.ini:\d+: (warning|error): tls_\w+: .*{told}", done.stdout), done.stdout
        assert (done.returncode == 0) == ("expired" in told)


# ---- the admin port ------------------------------------------------------------------------------------------

def test_operators_may_use_tls_or_must(cluster, settings, start_volvox):
    settings = {**settings, "admin": dict(settings["admin"])}
    volvox = start_volvox(settings)
    port = port_of(settings, "admin")
    for tls in (None, True):
        with Client(port, "root", "admin-secret", tls=tls) as c:
            assert c.query("select 1").value() == b"1"
    with Client(port, "root", "admin-secret", plugin=SHA2, login=False, tls=True) as c:
        c.send(c.login_payload(token=b"\1" * 32))
        c.finish_login(c.greeting.scramble)
        assert not c.used_rsa
    settings["admin"]["tls"] = "required"
    volvox.reload(settings)
    assert refusal(port, "root", "admin-secret")[0] == 3159
    with Client(port, "root", "admin-secret", tls=True) as c:
        assert c.query("select 1").value() == b"1"
    with Client(port, login=False) as c:
        c.send_raw(frame(1, c.ssl_request()) + b"garbage" * 100)
        assert c.is_closed()
    settings["admin"]["tls"] = "disabled"
    volvox.reload(settings)
    with Client(port, "root", "admin-secret") as c:
        assert not c.greeting.caps & SSL


# ---- memory -----------------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_what_an_idle_client_costs(cluster, start_volvox, release_program, capsys):
    if cluster.primary.family == "mysql":
        pytest.skip("the servers have no part in it")
    volvox = start_volvox(settings_for(cluster), program=release_program)
    count, cost = 400, {}

    def grow(tls):
        before = resident_bytes(volvox.child.pid)
        clients = [Client(volvox.port, tls=tls) for _ in range(count)]
        for c in clients:
            c.ping()
        used = resident_bytes(volvox.child.pid) - before
        return used / count, clients

    Client(volvox.port, tls=True).quit()
    cost["clear"], plain = grow(None)
    cost["tls"], secured_ones = grow(trusting())
    with capsys.disabled():
        print(f"\nan idle client: {cost['clear']:.0f} bytes in clear, {cost['tls']:.0f} in TLS")
    for c in plain + secured_ones:
        c.close()
    assert cost["tls"] < 64 << 10
