"""zlib and zstd, between clients and Volvox and between Volvox and servers, each by itself."""
import hashlib
import os
import shutil
import signal
import subprocess

import pytest

from compressed import FULL, Compressed, frame as packed_frame, squeeze
from processes import wait_until
from servers import APP, MYSQL_ROOT, OTHER
from test_charsets import init_connect                                         # noqa: F401: a fixture
from test_tunnel import Scene, begin_following
from volvox import is_sanitized, settings_for
from wire import (BASE, COM_QUERY, COM_RESET, COMPRESS, CONNECT_ATTRS, LOCAL_FILES, MODERN,
                  MULTI_STATEMENTS, ZSTD, Client, ServerError, frame, frames, read_error)

MB = 1 << 20
CLIENTS = {"plain": 0, "zlib": COMPRESS, "zstd": ZSTD}
SERVERS = ["off", "zlib", "zstd"]


def algorithm_of(client):
    return client.sock.algorithm if isinstance(client.sock, Compressed) else None


def settings_with(place, server="off", listener=None, **volvox):
    settings = settings_for(place.cluster, **volvox)
    for section, options in settings.items():
        if section.startswith("server "):
            options["compression"] = server
    if listener is not None:
        settings["listener main"]["compression"] = listener
    return settings


# ---- both hops, all ways ------------------------------------------------------------------------

FILE = b"".join(b"%d\t%s\n" % (i, b"a name that repeats " * (i % 4)) for i in range(5000))


def conversation(c):
    """What a client sees of many commands, in one order."""
    seen = []

    def note(result):
        for r in [result, *result.more]:
            names = [column.name for column in r.columns or []]
            seen.append((names, r.rows, r.affected, r.warnings, r.info, r.status & ~0x4000))

    def fails(sql):
        with pytest.raises(ServerError) as caught:
            note(c.query(sql))
        seen.append(caught.value.args)

    c.local_file = lambda name: FILE
    note(c.query("select 1"))
    note(c.query("select * from items order by id"))
    note(c.query("select 1; select 2, 3; select repeat('x', 100000); select 5"))
    note(c.query("call two_results()"))
    fails("select 1; selekt 2")
    fails("select * from no_such_table")
    note(c.query("select repeat('long and compressible ', 100000)"))
    note(c.query("select i.id, j.id, repeat('r', 300) from items i, items j, items k, items l, items m"
                 " order by 1, 2"))
    note(c.query("create temporary table files (id int, name varchar(100))"))
    note(c.query("load data local infile 'x' into table files"))
    note(c.query("select 1; load data local infile 'x' into table files; select count(*) from files"))
    note(c.query("select sum(id), sum(length(name)) from files"))
    statement = c.prepare("select ?, length(?), repeat(?, 20000)")
    note(c.execute(statement, (7, "p" * 200000, "q")))
    note(c.execute(statement, (8, None, "s"), types=True))
    c.long_data(statement, 1, b"l" * 70000)
    c.long_data(statement, 1, b"m" * 70000)
    note(c.execute(statement, (9, "", "t")))
    c.close_statement(statement)
    note(c.ping())
    seen.append(c.statistics()[:6])
    note(c.simple(COM_RESET))
    note(c.change_user(*OTHER, db="shop"))
    note(c.query("select user() like 'other@%', count(*) from items"))
    with pytest.raises(ServerError) as caught:
        c.change_user(OTHER[0], "wrong")
    return [*seen, caught.value.args]


@pytest.mark.parametrize("server", SERVERS)
def test_everything_is_as_directly(place, start_volvox, server):
    # MariaDB 10.11 has no zstd
    volvox = start_volvox(settings_with(place, server, "zlib,zstd"))
    for shape in (MODERN | LOCAL_FILES, BASE | MULTI_STATEMENTS | LOCAL_FILES):
        with place.direct(db="shop", caps=shape) as c:
            expected = conversation(c)
        for name, bits in CLIENTS.items():
            with Client(volvox.port, db="shop", caps=shape | bits) as c:
                assert algorithm_of(c) == (name if bits else None)
                assert conversation(c) == expected, name


@pytest.mark.slow
@pytest.mark.parametrize("client", ["zlib", "zstd"])
@pytest.mark.parametrize("server", ["off", "zlib"])
def test_packets_over_16_mb_both_ways(place, start_volvox, client, server):
    volvox = start_volvox(settings_with(place, server, "zlib,zstd"))
    data = os.urandom(MB) + b"easy to compress " * (18 * MB // 17) + os.urandom(100)
    with Client(volvox.port, db="shop", caps=MODERN | CLIENTS[client], timeout=60) as c:
        c.query("start transaction")
        statement = c.prepare("insert into blobs values (77, ?)")
        assert c.execute(statement, (data,)).affected == 1
        back = c.query("select data, sha2(data, 256) from blobs where id = 77").rows[0]
        assert back == [data, hashlib.sha256(data).hexdigest().encode()]
        c.query("rollback")
        # exactly a full frame of SQL, and one byte less
        for length in (FULL, FULL - 1):
            text = b"select length('" + b"y" * (length - 18) + b"')"
            assert len(text) + 1 == length
            assert c.query(text).value() == b"%d" % (length - 18)


@pytest.mark.parametrize("server", SERVERS)
def test_an_init_connect_may_have_many_results(place, init_connect, start_volvox, server):  # noqa: F811
    """The numbers of packets within compressed frames jump between results."""
    set_to, _ = init_connect
    set_to("select 1; select repeat('x', 100000); select 2; set @begun = 5")
    volvox = start_volvox(settings_with(place, server))
    for _ in range(2):
        with Client(volvox.port) as c:
            assert c.query("select @begun").value() == b"5"


# ---- what is agreed -------------------------------------------------------------------------------

@pytest.mark.parametrize("listener,offered", [("off", 0), ("zlib", COMPRESS), ("zstd", ZSTD),
                                              ("zlib,zstd", COMPRESS | ZSTD), (None, None)])
def test_a_listener_offers_what_its_option_says(place, start_volvox, listener, offered):
    volvox = start_volvox(settings_with(place, listener=listener))
    if offered is None:
        with place.direct() as c:
            offered = c.greeting.caps & (COMPRESS | ZSTD)
        assert offered & COMPRESS and (place.family == "mysql") == bool(offered & ZSTD)
    for bits in (0, COMPRESS, ZSTD, COMPRESS | ZSTD):
        with Client(volvox.port, caps=MODERN | bits) as c:
            assert c.greeting.caps & (COMPRESS | ZSTD) == offered
            agreed = bits & offered
            expected = "zlib" if agreed & COMPRESS else "zstd" if agreed else None
            assert algorithm_of(c) == expected
            assert c.query("select repeat('x', 1000)").value() == b"x" * 1000


def test_zlib_is_taken_when_both_are_asked_for(mysql_place):
    """As a server does: what Client takes for granted above."""
    with mysql_place.direct(caps=MODERN | COMPRESS | ZSTD) as c:
        rows = c.query("show session status like 'Compression_algorithm'").rows
        assert rows == [[b"Compression_algorithm", b"zlib"]]


@pytest.mark.parametrize("level", [1, 9, 22, 0, 23, 255, None])
def test_the_level_of_zstd_is_checked_as_mysql_does(mysql_place, level):
    class Levelled(Client):
        zstd_level = 1 if level is None else level

        def login_payload(self, *args, **more):
            payload = super().login_payload(*args, **more)
            return payload[:-1] if level is None else payload

    def outcome(port):
        try:
            with Levelled(port, caps=MODERN | ZSTD) as c:
                return c.query("select repeat('x', 1000)").value()
        except ServerError as e:
            return e.args

    expected = outcome(mysql_place.primary.port)
    assert outcome(mysql_place.port) == expected
    assert (expected == b"x" * 1000) == (level in (1, 9, 22))
    mysql_place.check()


def test_a_server_that_cannot_compress_as_configured_is_used_in_clear(mariadb, start_volvox):
    volvox = start_volvox(settings_with(mariadb, "zstd"))
    with Client(volvox.port) as c:
        assert c.query("show session status like 'Compression'").rows == [[b"Compression", b"OFF"]]
    assert volvox.events("server does not compress as configured")[0]["server"] in ("db1", "db2", "db3")


@pytest.mark.parametrize("server", SERVERS)
def test_the_server_tells_of_its_own_hop(place, start_volvox, server):
    """SHOW STATUS is the server's: it knows Volvox' connection, not the client's."""
    volvox = start_volvox(settings_with(place, server, "zlib,zstd"))
    can = server == "zlib" or (server == "zstd" and place.family == "mysql")
    for bits in CLIENTS.values():
        with Client(volvox.port, caps=MODERN | bits) as c:
            rows = dict(c.query("show session status like 'Compression%'").rows)
            assert rows[b"Compression"] == (b"ON" if can else b"OFF")
            if place.family == "mysql":
                assert rows[b"Compression_algorithm"].decode() == (server if can else "")


def test_a_reload_holds_for_new_connections(mariadb, start_volvox):
    settings = settings_with(mariadb, "off")
    volvox = start_volvox(settings)
    with Client(volvox.port, caps=MODERN | COMPRESS) as old:
        assert old.query("select 1").value() == b"1"
        settings["listener main"]["compression"] = "off"
        for name in ("db1", "db2", "db3"):
            settings[f"server {name}"]["compression"] = "zlib"
            settings[f"server {name}"]["compression_level"] = 9
        assert volvox.reload(settings)["event"] == "reloaded"
        assert old.query("select repeat('y', 5000)").value() == b"y" * 5000
        assert algorithm_of(old) == "zlib"
        with Client(volvox.port, user=OTHER[0], password=OTHER[1], caps=MODERN | COMPRESS) as new:
            assert algorithm_of(new) is None
            # an account of its own: no connection of before
            assert new.query("show session status like 'Compression'").rows[0][1] == b"ON"


@pytest.fixture
def both(place, start_volvox):
    """A Volvox that offers both, whatever the servers have."""
    return start_volvox(settings_with(place, listener="zlib,zstd"))


# ---- frames ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("client", ["zlib", "zstd"])
def test_frames_may_split_packets_anywhere(both, client):
    sql = b"select '" + b"x" * 300 + b"'"
    for piece in (1, 2, 3, 4, 5, 7, 100, 101):
        with Client(both.port, caps=MODERN | CLIENTS[client]) as c:
            c.sock.restart()
            c.sock.piece = piece
            c.sock.sendall(frame(0, b"\x03" + sql))
            # (Compressed itself requires that the answer is numbered as if it were the next frame)
            c.seq = 1
            assert c.read_result().value() == b"x" * 300
            c.sock.piece = FULL
            assert c.query("select 2").value() == b"2"


@pytest.mark.parametrize("who", ["client", "direct"])
def test_commands_that_do_not_wait_have_answers_of_their_own(place, who):
    with getattr(place, who)(caps=MODERN | COMPRESS) as c:
        data = b""
        for i in range(5):
            c.sock.restart()
            data += c.sock.pack(frame(0, b"\x03select %d, repeat('z', 200)" % i))
        c.sock.sock.sendall(data)
        for i in range(5):
            c.sock.seq = c.seq = 1
            assert c.read_result().rows[0][0] == b"%d" % i


@pytest.mark.parametrize("client", ["zlib", "zstd"])
def test_a_command_that_came_with_the_login_is_answered(both, client):
    """Within TLS, behind a login that fills the buffer it is read into to the last byte: the command
    is in Volvox by then, and the socket tells of nothing more."""
    with Client(both.port, caps=MODERN | CONNECT_ATTRS | CLIENTS[client], tls=True, login=False) as c:
        c.attributes = {"filler": "x" * 60000}
        c.attributes["filler"] += "x" * (65532 - len(c.login_payload()))
        login, c.seq = frames(c.seq, c.login_payload())
        assert len(login) == 65536
        command = packed_frame(0, frame(0, b"\x03select 7"))
        c.send_raw(login[:100])
        c.send_raw(login[100:] + command)
        c.finish_login(c.greeting.scramble)
        c.compress()
        c.sock.seq = c.seq = 1
        assert c.read_result().value() == b"7"


def test_frames_that_lie_end_the_connection_and_no_other(both):
    query = frame(0, b"\x03select '" + b"y" * 200 + b"'")
    with Client(both.port) as bystander:
        for algorithm, bits in (("zlib", COMPRESS), ("zstd", ZSTD)):
            small = squeeze(algorithm, query)
            bomb = squeeze(algorithm, b"\xff\xff\xff\0\x03" + b" " * 64 * MB)
            for lie in (packed_frame(0, small, len(query) + 10), packed_frame(0, small, len(query) - 10),
                        packed_frame(0, small[:-5], len(query)), packed_frame(0, b"", 100),
                        packed_frame(0, b"garbage of some length", 100),
                        packed_frame(0, bomb, FULL),
                        packed_frame(0, small, len(query)) + packed_frame(1, small, 3)):
                with Client(both.port, caps=MODERN | bits) as c:
                    c.sock.strict = False
                    c.sock.sock.sendall(lie)
                    assert c.is_closed()
        assert bystander.query("select 1").value() == b"1"


QUERY = frame(0, b"\x03select 7 /* " + b"x" * 100 + b" */")
CLOSE = frame(0, b"\x19\0\0\0\0")             # a command without an answer
# Frames as a client might number them: (number, bytes).
NUMBERED = {
    "right": [(0, QUERY)], "right, in two": [(0, QUERY[:40]), (1, QUERY[40:])],
    "from 1": [(1, QUERY)], "from 5": [(5, QUERY)], "one twice": [(0, QUERY[:40]), (0, QUERY[40:])],
    "one left out": [(0, QUERY[:40]), (2, QUERY[40:])],
    "one left out in a header": [(0, QUERY[:2]), (3, QUERY[2:])],
    "two commands": [(0, QUERY), (0, QUERY)], "counted on to the next": [(0, QUERY), (1, QUERY)],
    "counted on to the next again": [(0, QUERY), (6, QUERY)], "no answer between": [(0, CLOSE), (0, QUERY)],
    "a quit from 1": [(1, frame(0, b"\x01"))],
    "ordinary from 1": [(0, frame(1, b"\x03select 7"))], "ordinary from 77": [(0, frame(77, b"\x03select 7"))],
}


def what_comes(port, numbered):
    """The number of each answer's frame, up to an error, which comes whole and ends the connection."""
    answers = 2 if numbered[0][1] == numbered[-1][1] == QUERY and len(numbered) > 1 else 1
    with Client(port, caps=MODERN | COMPRESS) as c:
        for seq, data in numbered:
            c.sock.sock.sendall(packed_frame(seq, data))
        c.sock.strict, heard = False, []
        for _ in range(answers):
            data = c.sock._next_frame()
            heard.append(c.sock.frames[-1].seq)
            if data[4] == 0xFF:
                return heard, data, c.is_closed()
        return heard


@pytest.mark.parametrize("case", NUMBERED)
def test_frames_that_are_numbered_wrongly_are_told_as_by_the_server(place, case):
    assert what_comes(place.port, NUMBERED[case]) == what_comes(place.primary.port, NUMBERED[case])


def test_a_stored_frame_may_be_long_and_a_compressed_one_short(both):
    for algorithm, bits in (("zlib", COMPRESS), ("zstd", ZSTD)):
        with Client(both.port, caps=MODERN | bits) as c:
            for body in (b"\x03select 1", b"\x03select '" + b"w" * 5000 + b"'"):
                packet = frame(0, body)
                for data in (packed_frame(0, packet), packed_frame(0, b"") + packed_frame(1, packet),
                             packed_frame(0, squeeze(algorithm, packet), len(packet))):
                    c.sock.sock.sendall(data)
                    c.sock.strict = False
                    c.seq = 1
                    assert c.read_result().value() in (b"1", b"w" * 5000)


# ---- endings ---------------------------------------------------------------------------------------

# Comes row by row, and would for a minute.
STREAM = (b"with recursive n (i) as (select 1 union all select i + 1 from n where i < 999) "
          b"select sleep(0.06), repeat('longer than what a server gathers ', 1000) from n")


def rest_of(c):
    while True:
        packet = c.recv()
        if packet[0] == 0xFF:
            return read_error(packet).code
        assert not c._is_end(packet), "the result came to its end"


@pytest.mark.parametrize("server", ["off", "zlib"])
def test_a_query_is_killed_while_it_streams(place, start_volvox, server):
    volvox = start_volvox(settings_with(place, server, "zlib,zstd"))
    with Client(volvox.port, caps=MODERN | COMPRESS) as c, Client(volvox.port) as killer:
        c.command(COM_QUERY, STREAM)
        for _ in range(5):
            c.recv()
        killer.query(f"kill query {c.greeting.thread_id}")
        assert rest_of(c) == 1317
        assert c.query("select 1").value() == b"1"


def test_a_client_that_leaves_while_it_streams_is_forgotten(place, start_volvox):
    # With connections of its own: MariaDB gathers as much as the largest packet was that a connection
    # has carried (with 12 MB it is 22 s before the first of these rows comes, without Volvox too).
    volvox = start_volvox(settings_with(place))
    with Client(volvox.port, caps=MODERN | COMPRESS) as c:
        c.command(COM_QUERY, STREAM)
        for _ in range(5):
            c.recv()

    def runs():
        return any("longer than what" in (row[7] or "") for server in place.cluster.servers
                   for row in server.query("show full processlist") if row[4] == "Query")

    wait_until(lambda: not runs(), 20, "the server has ended it")


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("state", ["", "set sql_mode = 'ANSI_QUOTES'"], ids=["fresh", "restored"])
def test_what_a_server_said_before_the_command_is_no_answer(mysql_place, start_volvox, server, state):
    """MySQL's last word to who was idle for too long lies unread when the command leaves."""
    servers = mysql_place.cluster.servers
    volvox = start_volvox(settings_with(mysql_place, server, workers=1))
    mine = "user = 'app' and id <> connection_id()"

    def is_closed():
        return not any(s.query(f"select 1 from information_schema.processlist where {mine}") for s in servers)

    try:
        for s in servers:                   # holds for connections that are made from here on
            s.query("set global wait_timeout = 1")
            for row in s.query(f"select id from information_schema.processlist where {mine}"):
                s.query(f"kill {row[0]}")
        for _ in range(4):
            with Client(volvox.port) as c, Client(volvox.port) as other:
                if state:
                    c.query(state)
                other.query("/* volvox: primary */ select 1")
                volvox.child.send_signal(signal.SIGSTOP)
                try:
                    wait_until(is_closed, 20, "the server has closed")
                    c.command(COM_QUERY, b"/* volvox: primary */ select 42")
                finally:
                    volvox.child.send_signal(signal.SIGCONT)
                assert c.read_result().value() == b"42"
    finally:
        for s in servers:
            s.query("set global wait_timeout = default")


@pytest.mark.slow
def test_a_slow_reader_of_a_compressed_result_fills_no_memory(mariadb, start_volvox, release_program):
    """What is easy to compress arrives by the hundred times of what leaves."""
    volvox = start_volvox(settings_with(mariadb, workers=1), program=release_program)
    sql = ("with recursive n (i) as (select 1 union all select i + 1 from n where i < 999) "
           "select repeat('x', 1000000) from n")
    with Client(volvox.port, db="shop", caps=MODERN | COMPRESS, receive_buffer=65536, timeout=60) as c:
        c.query("select repeat('x', 100000)")
        before = volvox.resident_bytes()
        c.command(COM_QUERY, sql.encode())
        most = 0
        for _ in range(400):
            c.recv()
            most = max(most, volvox.resident_bytes() - before)
    allowed = (300 if is_sanitized(release_program) else 6) * MB
    assert most < allowed, f"grown by {most / MB:.1f} MB"


# ---- real clients ------------------------------------------------------------------------------------

def mariadb_client(port, *options):
    return ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{port}", f"-u{APP[0]}", f"-p{APP[1]}",
            "--local-infile=1", "-N", "-B", *options, "shop"]


def mysql_client(port, *options):
    return ["chroot", MYSQL_ROOT, "mysql", "--no-defaults", "--protocol=tcp", "-h127.0.0.1", f"-P{port}",
            f"-u{APP[0]}", f"-p{APP[1]}", "--ssl-mode=DISABLED", "--get-server-public-key",
            "--local-infile=1", "-N", "-B", *options, "shop"]


def run_sql(argv, sql):
    done = subprocess.run([str(a) for a in argv], input=sql, stdout=subprocess.PIPE, timeout=60,
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


SCRIPT = """
create temporary table loaded (id int, name varchar(100));
load data local infile '/tmp/volvox-load.txt' into table loaded;
select count(*), sum(id), sum(length(name)) from loaded;
select repeat('compress me ', 20000);
call two_results();
select * from items;
"""


@pytest.fixture
def load_file():
    """The same path inside of MySQL's root and outside."""
    paths = ["/tmp/volvox-load.txt"]
    if MYSQL_ROOT.exists():
        paths.append(MYSQL_ROOT / "tmp/volvox-load.txt")
    for path in paths:
        with open(path, "wb") as f:
            f.write(FILE)
    yield
    for path in paths:
        os.unlink(path)


def compressed_figures(volvox):
    status = volvox.status()
    return status["compressed_clients_clear"], status["compressed_clients_wire"]


@pytest.mark.parametrize("options", [["--compress"], []], ids=["compressed", "plain"])
def test_the_mariadb_client(place, load_file, options):
    expected = run_sql(mariadb_client(place.primary.port), SCRIPT)
    before = compressed_figures(place.volvox) if place.volvox else (0, 0)
    assert run_sql(mariadb_client(place.port, *options), SCRIPT) == expected
    if options and place.volvox:
        wait_until(lambda: compressed_figures(place.volvox)[0] - before[0] > len(FILE), 10, "what it sent")
        clear, wire = compressed_figures(place.volvox)
        assert wire - before[1] < (clear - before[0]) / 5


@pytest.mark.parametrize("options", [
    ["--compression-algorithms=zlib"], ["--compression-algorithms=zstd"],
    ["--compression-algorithms=zstd", "--zstd-compression-level=19"],
    ["--compression-algorithms=zstd,zlib,uncompressed"], ["--compression-algorithms=uncompressed"]],
    ids=["zlib", "zstd", "zstd19", "any", "none"])
def test_the_mysql_client(mysql_place, load_file, options):
    expected = run_sql(mysql_client(mysql_place.primary.port), SCRIPT)
    assert run_sql(mysql_client(mysql_place.port, *options), SCRIPT) == expected
    mysql_place.check()


def test_a_dump_compressed_on_both_hops(mariadb, start_volvox):
    if shutil.which("mariadb-dump") is None:
        pytest.skip("no mariadb-dump here")
    volvox = start_volvox(settings_with(mariadb, "zlib"))

    def dump(port, *options):
        return subprocess.check_output(["mariadb-dump", "--no-defaults", "-h127.0.0.1", f"-P{port}",
                                        f"-u{APP[0]}", f"-p{APP[1]}", "--skip-dump-date",
                                        "--skip-comments", *options, "shop"])

    assert dump(volvox.port, "--compress") == dump(mariadb.primary.port)


# ---- for operators ------------------------------------------------------------------------------------

def test_operators_see_who_compresses(mariadb, start_volvox):
    import pymysql
    from processes import free_port
    settings = settings_with(mariadb, "zlib", "zlib,zstd")
    admin_port = free_port()
    settings["admin"] = {"address": f"127.0.0.1:{admin_port}"}
    settings["admin_user looker"] = {"password": "look", "access": "read"}
    volvox = start_volvox(settings)
    with Client(volvox.port, caps=MODERN | ZSTD) as c, Client(volvox.port) as plain, \
            pymysql.connect(host="127.0.0.1", port=admin_port, user="looker", password="look") as admin:
        c.query("select 1")
        plain.query("select 1")
        cursor = admin.cursor()
        cursor.execute("select id, compression from clients")
        assert dict(cursor.fetchall()) == {c.greeting.thread_id: "zstd", plain.greeting.thread_id: None}
        cursor.execute("select distinct compression from backends")
        assert cursor.fetchall() == (("zlib",),)


# ---- replicas -------------------------------------------------------------------------------------------

@pytest.mark.slow
@pytest.mark.parametrize("client", ["plain", "compressed"])
@pytest.mark.parametrize("server", ["off", "zlib"])
def test_a_replica_follows_whoever_compresses(place, server, client):
    """The tunnel: packets pass unread, so their numbers must be right by themselves."""
    with Scene(type(place.primary)) as scene:
        settings = scene.volvox.settings
        settings["server db1"]["compression"] = server
        assert scene.volvox.reload(settings)["event"] == "reloaded"
        replica = scene.start_replica(options=["--slave-compressed-protocol=ON"]
                                      if place.family == "mariadb" and client == "compressed" else [])
        begin_following(scene, replica)
        if place.family == "mysql" and client == "compressed":
            replica.stop_replication()
            replica.query("change replication source to source_compression_algorithms = 'zstd'")
            replica.start_replication()
        wait_until(replica.replicates, 20, "it replicates")
        # several events at a time, longer than a frame, and more than 256 of them
        scene.primary.query("insert into shop.t values (1, 'one'), (2, 'two')")
        scene.primary.query("create table shop.long_rows (a int primary key, b longtext)")
        for a in range(300):
            scene.primary.query(f"insert into shop.long_rows values ({a}, repeat('r', {a * 100}))")
        scene.primary.query("insert into shop.long_rows values (1000, repeat('r', 17000000))")
        wait_until(lambda: replica.value("select count(*) from shop.long_rows") == 301, 60, "all has arrived")
        # the same connection all the time: nothing made the replica begin again
        assert len(scene.dumpers()) == 1
        [row] = scene.admin("select compression from clients where pins like '%replication%'")
        expected = {"plain": None, "compressed": "zlib" if place.family == "mariadb" else "zstd"}[client]
        assert row["compression"] == expected
        assert {row["compression"] for row in scene.admin("select compression from backends "
                                                          "where user = 'replication'")} \
            == {None if server == "off" else server}
