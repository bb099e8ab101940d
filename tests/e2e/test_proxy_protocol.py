"""The PROXY protocol: from load balancers, and to servers."""
import contextlib
import shutil
import socket
import struct
import subprocess

import pymysql
import pytest

from processes import end, free_port, spawn, wait_until
from servers import APP, OTHER
from volvox import settings_for
from wire import BASE, COMPRESS, MODERN, Client, Packets, ServerError, frames, read_error

LOAD_BALANCER, CLIENT, ANOTHER = "127.0.0.2", "127.0.0.5", "127.0.0.6"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(line):
    return b"PROXY " + line + b"\r\n"


def v2(command, kind, body=b""):
    return SIGNATURE + bytes([0x20 | command, kind]) + struct.pack(">H", len(body)) + body


def ends(client, server="10.0.0.1", ports=(51234, 3306)):
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    server = "::1" if ":" in client else server
    return (socket.inet_pton(family, client) + socket.inet_pton(family, server)
            + struct.pack(">HH", *ports))


@pytest.fixture(scope="module")
def running(mariadb_place):
    """A Volvox that believes a load balancer at LOAD_BALANCER, and anybody on its unix socket."""
    from volvox import Volvox
    settings = settings_for(mariadb_place.cluster, audit="yes")
    settings["user check"] = {"password": '""'}
    settings["listener main"]["proxy_protocol"] = f"10.99.0.0/16, {LOAD_BALANCER}, 2001:db8::/32"
    settings["admin"] = {"address": f"127.0.0.1:{free_port()}"}
    settings["admin_user looker"] = {"password": "look", "access": "read"}
    volvox = Volvox(settings)
    volvox.admin_port = int(settings["admin"]["address"].split(":")[1])
    settings["listener local"] = {"address": volvox.directory / "s", "proxy_protocol": "localhost"}
    with volvox:
        yield volvox


@contextlib.contextmanager
def admin_of(volvox):
    with pymysql.connect(host="127.0.0.1", port=volvox.admin_port, user="looker", password="look") as c:
        yield c.cursor()


def host_of(volvox, client):
    """Where Volvox thinks that it comes from, and through whom."""
    with admin_of(volvox) as admin:
        admin.execute(f"select host, through from clients where id = {client.greeting.thread_id}")
        return admin.fetchone()


# ---- in ------------------------------------------------------------------------------------------

HEADERS = {
    "none": (b"", None),
    "v1": (v1(b"TCP4 192.0.2.7 10.0.0.1 51234 3306"), "192.0.2.7"),
    "v1 IPv6": (v1(b"TCP6 2001:db8::7 ::1 51234 3306"), "2001:db8::7"),
    "v1 IPv4 in IPv6": (v1(b"TCP6 ::ffff:192.0.2.7 ::1 51234 3306"), "192.0.2.7"),
    # CVE-2026-48772: an address behind UNKNOWN is anybody's
    "v1 unknown": (v1(b"UNKNOWN"), None),
    "v1 unknown with an address": (v1(b"UNKNOWN 192.0.2.7 10.0.0.1 51234 3306"), None),
    "v2": (v2(1, 0x11, ends("192.0.2.7")), "192.0.2.7"),
    "v2 IPv6": (v2(1, 0x21, ends("2001:db8::7")), "2001:db8::7"),
    "v2 unix": (v2(1, 0x31, b"/run/app".ljust(216, b"\0")), "localhost"),
    "v2 with items": (v2(1, 0x11, ends("192.0.2.7") + b"\x04\0\3abc\x20\xff\xffx"), "192.0.2.7"),
    "v2 with much": (v2(1, 0x11, ends("192.0.2.7") + b"\x04\xe0\0" + bytes(0xE000)), "192.0.2.7"),
    "v2 local": (v2(0, 0), None),
    "v2 local with an address": (v2(0, 0x11, ends("192.0.2.7")), None),
    "v2 unspecified": (v2(1, 0, b"whatever"), None),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_trusted_header_names_the_client(running, name):
    header, host = HEADERS[name]
    with Client(running.port, source=LOAD_BALANCER, prelude=header, db="shop") as c:
        assert c.query("select 1").value() == b"1"
        expected = (host, LOAD_BALANCER) if host else (LOAD_BALANCER, None)
        assert host_of(running, c) == expected
        # what follows does not forget it
        c.change_user(*OTHER)
        statement = c.prepare("select 2")
        assert c.execute(statement).value() == 2
        assert host_of(running, c) == expected
    logins = [e for e in running.events("login") if e["session"] == str(c.greeting.thread_id)]
    assert {e["host"] for e in logins} == {host or LOAD_BALANCER} and len(logins) == 2


def test_the_error_names_the_client_too(running, mariadb):
    with pytest.raises(ServerError) as caught:
        Client(running.port, password="wrong", source=LOAD_BALANCER, prelude=HEADERS["v1"][0])
    assert caught.value.args == (1045, "28000",
                                 "Access denied for user 'app'@'192.0.2.7' (using password: YES)")
    wait_until(lambda: running.events("login denied"), 10, "the log says so")
    assert running.events("login denied")[-1]["host"] == "192.0.2.7"


@pytest.mark.parametrize("name", ["v1", "v2", "v2 with items", "v1 unknown"])
def test_a_header_may_come_in_parts_and_together_with_the_login(running, name):
    header, host = HEADERS[name]
    # byte by byte, each a segment of its own
    with Client(running.port, source=LOAD_BALANCER, login=False) as c:
        for i in range(len(header)):
            c.send_raw(header[i:i + 1])
        c.login()
        assert host_of(running, c)[0] == (host or LOAD_BALANCER)
    # with the login in one segment
    with Client(running.port, source=LOAD_BALANCER, login=False) as c:
        login, c.seq = frames(c.seq, c.login_payload())
        c.send_raw(header + login)
        c.finish_login(c.greeting.scramble)
        assert host_of(running, c)[0] == (host or LOAD_BALANCER)


NONSENSE = {
    "v1 garbage": v1(b"TCP4 nonsense"),
    "v1 without end": b"PROXY TCP4 " + b"1" * 200,
    "v2 family": v2(1, 0x12, ends("192.0.2.7")),
    "v2 short": v2(1, 0x11, b"1234"),
    "v2 command": v2(3, 0x11, ends("192.0.2.7")),
    "v2 version": SIGNATURE + b"\x31\x11\0\x0c" + ends("192.0.2.7"),
}


def first_error(port, source, prelude):
    with Client(port, source=source, prelude=prelude, login=False) as c:
        error = read_error(c.recv())
        assert c.is_closed()
        return error.args


@pytest.mark.parametrize("name", NONSENSE)
def test_a_header_that_makes_no_sense_is_refused_as_by_mariadb(running, told, name):
    expected = (1105, "HY000", "Failed to parse proxy header")
    if name != "v1 without end":     # it would wait for more
        assert first_error(told.primary.port, LOAD_BALANCER, NONSENSE[name]) == expected
    assert first_error(running.port, LOAD_BALANCER, NONSENSE[name]) == expected
    assert running.events("PROXY header refused")[-1]["host"] == LOAD_BALANCER


@pytest.mark.parametrize("name", ["v1", "v1 unknown", "v2", "v2 local"])
def test_nobody_else_may_send_a_header(running, name):
    expected = (1043, "08S01", f"volvox: no PROXY header is expected from {CLIENT}")
    assert first_error(running.port, CLIENT, HEADERS[name][0]) == expected
    # ... and a second one is no login either
    with Client(running.port, source=LOAD_BALANCER, prelude=2 * HEADERS[name][0], login=False) as c:
        c.numbers_matter = False         # as a login it has a strange number, which the answer follows
        assert read_error(c.recv()).code in (1153, 1156)


def test_who_leaves_within_a_header_is_forgotten(running):
    for header in (HEADERS["v1"][0], HEADERS["v2"][0]):
        for length in (1, 5, 13, len(header) - 1):
            with Client(running.port, source=LOAD_BALANCER, login=False) as c:
                c.send_raw(header[:length])
    with Client(running.port) as c:
        assert c.query("select 1").value() == b"1"


@contextlib.contextmanager
def through_socket(path, prelude):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(path))
        sock.sendall(prelude)
        c = Client.__new__(Client)
        Packets.__init__(c, sock)
        c._begin(*APP, None, MODERN, 45, None, None, True, True, None)
        yield c


def test_a_unix_socket_may_be_a_load_balancer_s(running):
    with through_socket(running.directory / "s", HEADERS["v2"][0]) as c:
        assert host_of(running, c) == ("192.0.2.7", "localhost")
    with through_socket(running.directory / "s", b"") as c:
        assert host_of(running, c) == ("localhost", None)


def test_what_a_load_balancer_passes_on_is_not_private(mariadb, start_volvox, tmp_path):
    """On a unix socket nobody can read along, but before the load balancer somebody may."""
    settings = settings_for(mariadb.cluster)
    settings["listener local"] = {"address": tmp_path / "s", "proxy_protocol": "localhost", "tls": "required"}
    start_volvox(settings)
    for name, is_private in (("none", True), ("v2 local", True), ("v2", False), ("v2 unix", False)):
        with contextlib.ExitStack() as stack:
            if is_private:
                c = stack.enter_context(through_socket(tmp_path / "s", HEADERS[name][0]))
                assert c.query("select 1").value() == b"1"
                continue
            with pytest.raises(ServerError) as caught:
                stack.enter_context(through_socket(tmp_path / "s", HEADERS[name][0]))
            assert caught.value.code == 1045     # as MariaDB 10.11 refuses who needs TLS


@pytest.mark.parametrize("tls", [None, True], ids=["clear", "tls"])
def test_a_header_then_tls_then_compression(running, tls):
    with Client(running.port, source=LOAD_BALANCER, prelude=HEADERS["v2"][0], caps=BASE | COMPRESS,
                tls=tls) as c:
        assert c.query("select repeat('x', 1000)").value() == b"x" * 1000
        assert host_of(running, c)[0] == "192.0.2.7"


def test_a_reload_changes_who_is_trusted(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    volvox = start_volvox(settings)
    header = HEADERS["v1"][0]
    assert first_error(volvox.port, LOAD_BALANCER, header)[0] == 1043
    settings["listener main"]["proxy_protocol"] = "127.0.0.0/8"
    assert volvox.reload(settings)["event"] == "reloaded"
    with Client(volvox.port, source=LOAD_BALANCER, prelude=header) as c:
        assert c.query("select 1").value() == b"1"
    settings["listener main"]["proxy_protocol"] = "127.0.0.0/8 everybody"
    assert volvox.reload(settings)["event"].startswith("reload refused")


# ---- HAProxy ---------------------------------------------------------------------------------------

HAPROXY = """
global
    log stdout format raw local0 warning
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend f
    bind 127.0.0.1:{port}
    default_backend b
backend b
    {check}
    source {source}
    server volvox 127.0.0.1:{target} {send} check inter 100ms fall 1
"""


@pytest.fixture
def run_haproxy(tmp_path):
    """run_haproxy(configuration, port) -> once it listens there."""
    program = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("no haproxy here")
    children = []

    def start(text, port):
        config, log = tmp_path / f"haproxy{port}.cfg", tmp_path / f"haproxy{port}.log"
        config.write_text(text)
        children.append((spawn([program, "-f", str(config)], log), log))
        wait_until(lambda: socket.create_connection(("127.0.0.1", port), 5).close() is None, 10, "haproxy")

    yield start
    for child, log in children:
        end(child)
        # a health check that failed would have taken Volvox out for a while
        assert "DOWN" not in log.read_text()


@pytest.fixture
def haproxy(run_haproxy):
    """haproxy(target, send, check) -> its port."""
    def start(target, send, check=""):
        port = free_port()
        run_haproxy(HAPROXY.format(port=port, target=target, send=send, check=check,
                                   source=LOAD_BALANCER), port)
        wait_until(lambda: _greets(port), 10, "haproxy passes connections on")
        return port

    return start


def _greets(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as s:
        return bool(s.recv(5))
    return False


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl", ""])
@pytest.mark.parametrize("check", ["", "option mysql-check user check"])
def test_haproxy_in_front(running, haproxy, send, check):
    port = haproxy(running.port, send, check)
    with Client(port, source=CLIENT, db="shop") as c, Client(port, source=ANOTHER, db="shop") as d:
        for _ in range(3):
            assert c.query("select count(*) from items").value() == b"4"
            assert d.query("select count(*) from items").value() == b"4"
        hosts = host_of(running, c), host_of(running, d)
    if send:
        assert hosts == ((CLIENT, LOAD_BALANCER), (ANOTHER, LOAD_BALANCER))
    else:
        assert hosts == ((LOAD_BALANCER, None), (LOAD_BALANCER, None))


# ---- out -------------------------------------------------------------------------------------------

ACCOUNTS = ["create user if not exists 'by_host'@'127.0.0.5' identified by 'five'",
            "create user if not exists 'by_host'@'127.0.0.6' identified by 'five'",
            "grant select on shop.* to 'by_host'@'127.0.0.5'",
            "create user if not exists 'only_five'@'127.0.0.5' identified by 'only'"]


@pytest.fixture(scope="module")
def told_cluster():
    from servers import Cluster
    cluster = Cluster(0, options=["--proxy-protocol-networks=127.0.0.0/8,::1"])
    with cluster:
        for sql in ACCOUNTS:
            cluster.primary.query(sql)
        yield cluster


@pytest.fixture
def told(told_cluster):
    """A server that believes headers from Volvox."""
    return told_cluster


def told_settings(cluster, version, **volvox):
    settings = settings_for(cluster, users=(APP, OTHER, ("by_host", "five"), ("only_five", "only")), **volvox)
    settings["server db1"]["proxy_protocol"] = version
    settings["listener main"]["proxy_protocol"] = LOAD_BALANCER
    settings["admin"] = {"address": f"127.0.0.1:{free_port()}"}
    settings["admin_user looker"] = {"password": "look", "access": "read"}
    return settings


def start_told(start_volvox, settings):
    volvox = start_volvox(settings)
    volvox.admin_port = int(settings["admin"]["address"].split(":")[1])
    return volvox


WHO = "select user(), current_user(), (select host from information_schema.processlist where id = connection_id())"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_server_is_told_each_client_s_address(told, start_volvox, version):
    volvox = start_told(start_volvox, told_settings(told, version))
    for source in (CLIENT, ANOTHER, CLIENT):
        with Client(volvox.port, source=source) as c, Client(told.primary.port, source=source) as direct:
            ours, theirs = c.query(WHO).rows[0], direct.query(WHO).rows[0]
            assert ours[:2] == theirs[:2]
            assert ours[0] == f"app@{source}".encode()
            assert ours[2].split(b":")[0] == theirs[2].split(b":")[0] == source.encode()
    # a client of the load balancer's, by its own address
    for name, host in (("v2 IPv6", "2001:db8::7"), ("v1", "192.0.2.7"), ("v2 unix", "127.0.0.1")):
        with Client(volvox.port, source=LOAD_BALANCER, prelude=HEADERS[name][0]) as c:
            assert c.query("select user()").value() == f"app@{host}".encode()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_server_is_told_the_port_of_the_client_that_it_is_for(told, start_volvox, version):
    """Not of another one from the same address, whose connection was the first."""
    volvox = start_told(start_volvox, told_settings(told, version, workers=1))
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            c = stack.enter_context(Client(volvox.port, source=CLIENT))
            c.query("start transaction")        # each needs a connection of its own
            assert c.query(WHO).rows[0][2] == b"%s:%d" % (CLIENT.encode(), c.sock.getsockname()[1])


def test_accounts_with_hosts_work_as_directly(told, start_volvox):
    volvox = start_told(start_volvox, told_settings(told, "v2"))

    def outcome(port, user, password, source):
        try:
            with Client(port, user=user, password=password, source=source) as c:
                return c.query("select current_user()").value(), c.query("show databases").rows
        except ServerError as e:
            return e.args

    for user, password in (("by_host", "five"), ("only_five", "only")):
        for source in (CLIENT, ANOTHER):
            assert (outcome(volvox.port, user, password, source)
                    == outcome(told.primary.port, user, password, source)), (user, source)


def test_connections_are_shared_among_clients_of_one_address_only(told, start_volvox):
    volvox = start_told(start_volvox, told_settings(told, "v2", workers=1))
    threads = {CLIENT: set(), ANOTHER: set()}
    for _ in range(5):
        for source, seen in threads.items():
            with Client(volvox.port, source=source) as c:
                seen.add(c.query("select connection_id() + 0").value())
    with admin_of(volvox) as admin:
        admin.execute("select client_host, thread_id from backends where user = 'app'")
        backends = admin.fetchall()
        assert {host for host, _ in backends} == {CLIENT, ANOTHER} and len(backends) == 2
        admin.execute("select client_host, idle from pools where user = 'app' order by 1")
        assert admin.fetchall() == ((CLIENT, 1), (ANOTHER, 1))


def test_pools_of_addresses_that_do_not_come_back_go(told, start_volvox):
    volvox = start_told(start_volvox, told_settings(told, "v2", pool_idle_timeout="1s", pool_min_idle=4))
    for i in range(20):
        with Client(volvox.port, source=f"127.0.1.{i + 1}") as c:
            assert c.query("select user()").value() == f"app@127.0.1.{i + 1}".encode()
    with admin_of(volvox) as admin:
        def count():
            admin.execute("select count(*) from pools")
            return admin.fetchone()[0]

        assert count() > 0
        wait_until(lambda: count() == 0, 20, "the pools are gone")


def test_a_limit_holds_for_all_addresses_together(told, start_volvox):
    settings = told_settings(told, "v1", workers=1)
    settings["server db1"]["max_connections"] = 2
    volvox = start_told(start_volvox, settings)
    for i in range(6):                                 # idle ones of other addresses give way
        with Client(volvox.port, source=f"127.0.2.{i + 1}") as c:
            assert c.query("select user()").value() == f"app@127.0.2.{i + 1}".encode()
    with admin_of(volvox) as admin:
        admin.execute("select count(*) from backends")
        assert admin.fetchone()[0] <= 2


def test_kill_and_compression_work_with_headers(told, start_volvox):
    settings = told_settings(told, "v2")
    settings["server db1"]["compression"] = "zlib"
    volvox = start_told(start_volvox, settings)
    with Client(volvox.port, source=CLIENT) as c, Client(volvox.port, source=ANOTHER) as killer:
        assert c.query("show session status like 'Compression'").rows[0][1] == b"ON"
        c.command(3, b"select sleep(60)")
        wait_until(lambda: told.primary.query("select 1 from information_schema.processlist "
                                              "where info = 'select sleep(60)'"), 10, "it runs")
        killer.query(f"kill query {c.greeting.thread_id}")
        with pytest.raises(ServerError) as caught:
            c.read_result()
        assert caught.value.code == 1317
        assert c.query("select user()").value() == f"app@{CLIENT}".encode()


INSISTS = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen l
    bind 127.0.0.1:{port} accept-proxy
    server db 127.0.0.1:{target} send-proxy-v2
"""


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_what_insists_on_headers_gets_them(told, run_haproxy, start_volvox, version):
    """Also on Volvox' own connections, as long as those only look at the greeting."""
    settings = told_settings(told, version)
    port = free_port()
    run_haproxy(INSISTS.format(port=port, target=told.primary.port), port)
    settings["server db1"]["address"] = f"127.0.0.1:{port}"
    del settings["volvox"]["monitor_user"], settings["volvox"]["monitor_password"]
    volvox = start_told(start_volvox, settings)
    with admin_of(volvox) as admin:
        def health():
            admin.execute("select health, why from servers")
            return admin.fetchone()

        wait_until(lambda: health()[0] == "up", 10, "the probes get an answer")
    with Client(volvox.port, source=CLIENT) as c:
        assert c.query("select user()").value() == f"app@{CLIENT}".encode()


def test_a_reload_switches_it(told, start_volvox):
    settings = told_settings(told, "off")
    volvox = start_told(start_volvox, settings)

    def user():
        with Client(volvox.port, source=CLIENT) as c:
            return c.query("select user()").value()

    assert user() == b"app@127.0.0.1"
    for version, expected in (("v1", f"app@{CLIENT}".encode()), ("off", b"app@127.0.0.1")):
        settings["server db1"]["proxy_protocol"] = version
        assert volvox.reload(settings)["event"] == "reloaded"
        wait_until(lambda: user() == expected, 10, f"proxy_protocol = {version} is in force")


def test_haproxy_volvox_server(told, start_volvox, haproxy):
    volvox = start_told(start_volvox, told_settings(told, "v2"))
    port = haproxy(volvox.port, "send-proxy-v2")
    for source in (CLIENT, ANOTHER):
        with Client(port, source=source) as c:
            assert c.query("select user()").value() == f"app@{source}".encode()
