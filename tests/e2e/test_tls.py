"""TLS with clients: who may come in and how, what is believed, sessions resumed, files replaced."""
import base64
import datetime
import hashlib
import re
import socket
import ssl
import subprocess

import pytest

from certificates import Authority, port_of, tls_settings
from conftest import DIRECT
from processes import free_port, resident_bytes
from proofs import ed25519_key, ed25519_sign
from servers import APP, MariaDB118
from volvox import Volvox, binary, ini_text, settings_for
from wire import (MODERN, NATIVE, SHA2, SSL, Client, Closed, ServerError, frame, native_token, read_error,
                  read_ok, trusting)

pytestmark = pytest.mark.skipif(DIRECT, reason="needs Volvox")

@pytest.fixture(scope="module")
def cluster(tls_cluster):
    return tls_cluster


@pytest.fixture(scope="module")
def alice(authority):
    return authority.issue("alice")


@pytest.fixture(scope="module")
def settings(cluster, authority, tmp_path_factory):
    return tls_settings(cluster, authority, tmp_path_factory.mktemp("volvox") / "strict.sock")


@pytest.fixture(scope="module")
def one_volvox(settings):
    volvox = Volvox(settings).start()
    yield volvox
    volvox.stop()


@pytest.fixture
def volvox(one_volvox):
    yield one_volvox
    one_volvox.check()


@pytest.fixture
def own_settings(settings):
    """A copy to change, for a Volvox of one's own."""
    copy = {section: dict(options) for section, options in settings.items()}
    for section in ("listener main", "listener strict", "listener plain", "admin"):
        copy[section]["address"] = f"127.0.0.1:{free_port()}"
    del copy["listener socket"]
    return copy


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
    with Client(0, path=settings["listener socket"]["address"]) as c:
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


def test_a_revoked_certificate_is_refused_after_a_reload(own_settings, authority, start_volvox):
    shown = authority.issue("mallory")
    volvox = start_volvox(own_settings)
    context = trusting(shown.certificate, shown.key)
    Client(volvox.port, "with_x509", "pw", tls=context).quit()
    own_settings["volvox"]["tls_crl"] = authority.revoke(shown)
    volvox.reload(own_settings)
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


def native_stored(password):
    return hashlib.sha1(hashlib.sha1(password).digest()).digest()


def proof(stored, scramble, der):
    return b"\1" + hashlib.sha256(stored + scramble + hashlib.sha256(der).digest()).hexdigest().upper().encode()


def test_a_client_of_mariadb_can_verify_us_by_its_password(cluster, volvox):
    with Client(volvox.port, tls=True, plugin=NATIVE, caps=MODERN) as c:
        shown = c.sock.getpeercert(True)
        expected = proof(native_stored(b"app-secret"), c.greeting.scramble, shown)
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
        expected = proof(native_stored(b"app-secret"), c.greeting.scramble, c.sock.getpeercert(True))
        assert c.login_ok.info == expected


def test_a_client_with_an_ed25519_key_can_verify_us_too(cluster, start_volvox):
    if cluster.primary.family == "mysql":
        pytest.skip("MySQL has no such plugin")
    key = ed25519_key(b"ed-secret")
    settings = settings_for(cluster)
    settings["user ed"] = {"password_hash": key, "server_user": APP[0], "server_password": APP[1]}
    volvox = start_volvox(settings)
    with Client(volvox.port, "ed", "ed-secret", tls=True, login=False) as c:
        c.send(c.login_payload(token=b"", plugin="client_ed25519"))
        packet = c.recv()
        assert packet.startswith(b"\xfeclient_ed25519\0")
        c.send(ed25519_sign(b"ed-secret", packet[len(b"\xfeclient_ed25519\0"):][:32]))
        stored = base64.b64decode(key + "=")
        assert read_ok(c.recv(), c.caps).info == proof(stored, c.greeting.scramble, c.sock.getpeercert(True))


def test_an_account_of_the_servers_can_verify_us_too(cluster, start_volvox):
    """The first login is passed on with the server's scramble, the second is not."""
    if cluster.primary.family == "mysql":
        pytest.skip("MySQL's method has no proof")
    settings = settings_for(cluster, users=())
    settings["group main"]["auth"] = "servers"
    settings["user *"] = {}
    volvox = start_volvox(settings)
    for is_known in (False, True):
        with Client(volvox.port, tls=True, login=False, plugin=NATIVE) as c:
            scramble = c.greeting.scramble
            c.send(c.login_payload())
            packet = c.recv()
            if not is_known:
                assert packet.startswith(b"\xfe" + NATIVE.encode() + b"\0")
                scramble = packet[len(NATIVE) + 2:].rstrip(b"\0")
                c.send(native_token(c.password, scramble))
                packet = c.recv()
            expected = proof(native_stored(b"app-secret"), scramble, c.sock.getpeercert(True))
            assert read_ok(packet, c.caps).info == expected


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
    with volvox.counting() as counted:
        resumed, session = reconnect(volvox.port, context, None)
        assert not resumed
        for _ in range(6):
            resumed, session = reconnect(volvox.port, context, session)
            assert resumed
    assert counted["tls_from_clients"] == 7 and counted["tls_from_clients_resumed"] == 6
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

def test_new_files_under_the_same_names_come_with_a_reload(own_settings, authority, start_volvox):
    shown = authority.issue("first", ["127.0.0.1"], file="renewed")
    own_settings["volvox"].update(tls_certificate=shown.certificate, tls_key=shown.key)
    volvox = start_volvox(own_settings)
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

def test_operators_may_use_tls_or_must(own_settings, start_volvox):
    volvox = start_volvox(own_settings)
    port = port_of(own_settings, "admin")
    for tls in (None, True):
        with Client(port, "root", "admin-secret", tls=tls) as c:
            assert c.query("select 1").value() == b"1"
    with Client(port, "root", "admin-secret", plugin=SHA2, login=False, tls=True) as c:
        c.send(c.login_payload(token=b"\1" * 32))
        c.finish_login(c.greeting.scramble)
        assert not c.used_rsa
    own_settings["admin"]["tls"] = "required"
    volvox.reload(own_settings)
    assert refusal(port, "root", "admin-secret")[0] == 3159
    with Client(port, "root", "admin-secret", tls=True) as c:
        assert c.query("select 1").value() == b"1"
    with Client(port, login=False) as c:
        c.send_raw(frame(1, c.ssl_request()) + b"garbage" * 100)
        assert c.is_closed()
    own_settings["admin"]["tls"] = "disabled"
    volvox.reload(own_settings)
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
