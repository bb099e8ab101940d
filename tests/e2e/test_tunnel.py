"""Replicas and tools that read the binary log, through Volvox: one connection from end to end."""
import contextlib
import shutil
import signal
import struct
import subprocess
import types

import pymysql
import pytest

from conftest import DIRECT
from processes import free_port, wait_until
from servers import (APP, MYSQL_ROOT, OTHER, REPLICATION, Cluster, MariaDB, MySQL)
from volvox import Volvox, settings_for
from wire import Client, Closed

pytestmark = pytest.mark.skipif(DIRECT, reason="needs Volvox")

ADMIN = ("admin", "admin-secret")
COM_REGISTER_SLAVE, COM_BINLOG_DUMP = 21, 18
USERS = (APP, OTHER, REPLICATION)


def tunnel_settings(cluster, **volvox):
    settings = settings_for(cluster, users=USERS, **volvox)
    settings["admin"] = {"address": f"127.0.0.1:{free_port()}"}
    settings["http"] = {"address": ""}
    settings["admin_user admin"] = {"password": ADMIN[1], "access": "full"}
    return settings


class Scene:
    """A primary, and the only way to it."""

    def __init__(self, family, **volvox):
        self.cluster = Cluster(0, family).start()
        self.primary = self.cluster.primary
        self.primary.query("create table shop.t (a int primary key, b varchar(100))")
        for name in ("app", "replication"):
            self.primary.query(f"grant replication slave on *.* to '{name}'@'%'")
        if family is MySQL:
            self.primary.query("grant replication client on *.* to 'app'@'%'")
        else:
            self.primary.query("grant binlog monitor on *.* to 'app'@'%'")
        self.volvox = Volvox(tunnel_settings(self.cluster, **volvox)).start()
        self.port = self.volvox.port
        self.replica_place = self.cluster.directory / "replica"
        self.replica = None

    def start_replica(self, **options):
        self.replica = type(self.primary)(self.replica_place, 9, **options)
        return self.replica.start()

    def admin(self, sql):
        port = int(self.volvox.settings["admin"]["address"].rsplit(":", 1)[1])
        with contextlib.closing(pymysql.connect(host="127.0.0.1", port=port, user=ADMIN[0],
                                                password=ADMIN[1])) as c:
            with c.cursor(pymysql.cursors.DictCursor) as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())

    def dumpers(self):
        """Connections at the server that send the log."""
        return [row for row in self.primary.query("show full processlist") if "Binlog Dump" in row[4]]

    def stop(self):
        try:
            self.volvox.stop()
        finally:
            if self.replica:
                self.replica.kill()
            self.cluster.stop()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
            return
        with contextlib.suppress(AssertionError):
            self.stop()


@pytest.fixture(params=[MariaDB, MySQL], ids=["mariadb", "mysql"])
def scene(request):
    if request.param is MySQL and MySQL.objection():
        pytest.skip(MySQL.objection())
    with Scene(request.param) as found:
        yield found


@pytest.fixture(scope="module")
def mariadb_scene():
    """For those that leave it as it was."""
    with Scene(MariaDB) as found:
        yield found


# ---- replicas -----------------------------------------------------------------------------------

def begin_following(scene, replica):
    """Volvox is all that the replica sees of the primary."""
    replica.follow(types.SimpleNamespace(port=scene.port))
    if scene.primary.family == "mysql":       # 9.x wants TLS unless told otherwise
        replica.stop_replication()
        replica.query("change replication source to source_ssl = 0")
        replica.start_replication()


def follows(scene, replica):
    """What is written now arrives, and so does what is written later."""
    start = scene.primary.value("select coalesce(max(a), 0) from shop.t")
    for a in range(start + 1, start + 4):
        scene.primary.query(f"insert into shop.t values ({a}, repeat('x', 100))")
        wait_until(lambda: replica.query(f"select 1 from shop.t where a = {a}"), 20,
                   "the row has arrived")


@pytest.mark.slow
def test_a_replica_follows_through_volvox(scene):
    replica = scene.start_replica()
    scene.primary.query("insert into shop.t values (0, 'early')")
    begin_following(scene, replica)
    wait_until(replica.replicates, 20, "it replicates")
    follows(scene, replica)
    [row] = scene.admin("select * from clients where pins like '%replication%'")
    assert row["command"].startswith("Binlog Dump") and row["server"] == "db1"
    assert scene.admin("select count(*) n from pins where reason = 'replication' and now = 1")
    assert len(scene.dumpers()) == 1
    replica.stop_replication()
    wait_until(lambda: not scene.admin("select * from clients where pins like '%replication%'"), 20,
               "its session has ended")
    replica.start_replication()
    wait_until(replica.replicates, 20, "it replicates again")
    follows(scene, replica)


@pytest.mark.slow
def test_a_replica_that_goes_by_file_and_position_follows(scene):
    words = (("master", "slave", "show master status", "") if scene.primary.family == "mariadb" else
             ("source", "replica", "show binary log status", "get_source_public_key=1, source_ssl=0, "))
    source, replica_word, status, extra = words
    replica = scene.start_replica()
    file, position = scene.primary.query(status)[0][:2]
    replica.query("create table shop.t (a int primary key, b varchar(100))")
    change = "change master to" if source == "master" else "change replication source to"
    no_gtid = "master_use_gtid=no" if source == "master" else "source_auto_position=0"
    replica.query(f"{change} {source}_host='127.0.0.1', {source}_port={scene.port}, {extra}"
                  f"{source}_user='{REPLICATION[0]}', {source}_password='{REPLICATION[1]}', "
                  f"{source}_log_file='{file}', {source}_log_pos={position}, {no_gtid}")
    replica.query(f"start {replica_word}")
    wait_until(replica.replicates, 20, "it replicates")
    follows(scene, replica)


@pytest.mark.slow
def test_semi_synchronous_replicas_acknowledge_through_volvox(scene):
    """The acknowledgements go the other way, without being asked for."""
    replica = scene.start_replica()
    if scene.primary.family == "mariadb":
        scene.primary.query("set global rpl_semi_sync_master_enabled = 1")
        replica.query("set global rpl_semi_sync_slave_enabled = 1")
        yes, clients = "Rpl_semi_sync_master_yes_tx", "Rpl_semi_sync_master_clients"
    else:
        scene.primary.query("install plugin rpl_semi_sync_source soname 'semisync_source.so'")
        scene.primary.query("set global rpl_semi_sync_source_enabled = 1")
        replica.query("install plugin rpl_semi_sync_replica soname 'semisync_replica.so'")
        replica.query("set global rpl_semi_sync_replica_enabled = 1")
        yes, clients = "Rpl_semi_sync_source_yes_tx", "Rpl_semi_sync_source_clients"
    begin_following(scene, replica)
    wait_until(lambda: scene.primary.status(clients) == 1, 20, "the replica is semi-synchronous")
    before = scene.primary.status(yes)
    follows(scene, replica)
    assert scene.primary.status(yes) >= before + 3


@pytest.mark.slow
def test_a_clone_comes_through_volvox(scene):
    """MySQL's CLONE INSTANCE: another stream that begins with a command."""
    if scene.primary.family != "mysql":
        pytest.skip("MariaDB has no such thing")
    scene.primary.query("insert into shop.t values (1, 'cloned')")
    scene.primary.query("install plugin clone soname 'mysql_clone.so'")
    scene.primary.query("grant backup_admin on *.* to 'app'@'%'")
    recipient = scene.start_replica()
    recipient.query("install plugin clone soname 'mysql_clone.so'")
    recipient.query(f"set global clone_valid_donor_list = '127.0.0.1:{scene.port}'")
    with contextlib.suppress(pymysql.MySQLError):      # it ends by shutting itself down
        recipient.query(f"clone instance from 'app'@'127.0.0.1':{scene.port} "
                        f"identified by '{APP[1]}' require no ssl")
    wait_until(lambda: not recipient.is_running(), 60, "the clone is complete")
    (recipient.data / "auto.cnf").unlink(missing_ok=True)
    recipient.start()
    assert recipient.query("select b from shop.t") == [("cloned",)] or \
        recipient.query("select b from shop.t") == (("cloned",),)


# ---- tools --------------------------------------------------------------------------------------

def binlog_program(family):
    if family == "mysql":
        program = MYSQL_ROOT / "usr/bin/mysqlbinlog"
        return ["chroot", str(MYSQL_ROOT), "mysqlbinlog", "--get-server-public-key",
                "--ssl-mode=DISABLED"] if program.exists() else None
    return ["mariadb-binlog"] if shutil.which("mariadb-binlog") else None


def read_log(scene, port, *more):
    program = binlog_program(scene.primary.family)
    if program is None:
        pytest.skip("no mysqlbinlog")
    done = subprocess.run([*program, "--read-from-remote-server", "--host=127.0.0.1", f"--port={port}",
                           f"--user={REPLICATION[0]}", f"--password={REPLICATION[1]}",
                           "--verbose", *more, "binlog.000001"], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_a_remote_log_reads_the_same_through_volvox(scene):
    for a in range(200):
        scene.primary.query(f"insert into shop.t values ({a}, repeat('{a}', 20))")
    direct = read_log(scene, scene.primary.port)
    assert len(direct) > 10000
    assert read_log(scene, scene.port) == direct


def test_a_log_over_16_mb_in_one_event_reads_the_same_through_volvox(scene):
    scene.primary.query("create table shop.big (a longblob)")
    scene.primary.query("insert into shop.big values ('" + "0123456789abcdef" * (1200 << 10) + "')")
    direct = read_log(scene, scene.primary.port)
    assert len(direct) > 17 << 20
    assert read_log(scene, scene.port) == direct


# ---- by hand ------------------------------------------------------------------------------------

def begin_dump(client, number=77):
    """As replication clients do it; the first event's packet.  The server's pings come after 10 s."""
    prefix = "master" if b"MariaDB" in client.greeting.version else "source"
    client.query(f"set @{prefix}_binlog_checksum = 'NONE', @master_binlog_checksum = 'NONE'")
    client.query("set @mariadb_slave_capability = 4")
    client.query(f"set @master_heartbeat_period = 10000000000, @{prefix}_heartbeat_period = 10000000000")
    client.simple(COM_REGISTER_SLAVE, struct.pack("<I", number) + b"\0\0\0"
                  + struct.pack("<HII", 3306, 0, 0))
    client.command(COM_BINLOG_DUMP, struct.pack("<IHI", 4, 0, number) + b"binlog.000001")
    return client.recv()


def drain(client):
    """Events until the server has no more for now."""
    client.sock.settimeout(0.5)
    events = 0
    with contextlib.suppress(TimeoutError):
        while True:
            client.recv()
            events += 1
    client.sock.settimeout(10)
    return events


def test_an_idle_dump_outlives_the_limits_of_idle_clients():
    with Scene(MariaDB, idle_timeout="1s") as scene, Client(scene.port, *REPLICATION) as c, \
            Client(scene.port) as idle:
        assert begin_dump(c)[0] == 0
        drain(c)
        assert idle.is_closed(10)              # the limit is there, and has passed
        scene.primary.query("insert into shop.t values (1, 'late')")
        assert c.recv()[0] == 0


def test_a_kill_ends_a_dump(mariadb_scene):
    with Client(mariadb_scene.port, *REPLICATION) as c:
        begin_dump(c)
        [row] = mariadb_scene.admin("select id from clients where pins like '%replication%'")
        mariadb_scene.admin(f"kill {row['id']}")
        assert c.is_closed(10)


def test_a_drain_ends_a_dump(mariadb_scene, start_volvox):
    volvox = start_volvox(tunnel_settings(mariadb_scene.cluster))
    with Client(volvox.port, *REPLICATION) as c:
        begin_dump(c)
        volvox.child.send_signal(signal.SIGTERM)
        assert c.is_closed(10)
        wait_until(lambda: not volvox.is_running(), 15, "volvox has ended")


def test_a_dump_ends_when_the_server_ends_it(mariadb_scene):
    with Client(mariadb_scene.port, *REPLICATION) as c:
        begin_dump(c)
        [row] = mariadb_scene.dumpers()
        mariadb_scene.primary.query(f"kill {row[0]}")
        assert c.is_closed(10)


def test_a_connection_that_was_a_dump_is_not_used_again(mariadb_scene):
    with Client(mariadb_scene.port, *REPLICATION) as c:
        begin_dump(c)
        [row] = mariadb_scene.dumpers()
    wait_until(lambda: not mariadb_scene.admin("select * from clients where pins like '%replication%'"),
               10, "the session has ended")
    threads = [b["thread_id"] for b in mariadb_scene.admin("select thread_id from backends")]
    assert row[0] not in threads
    with Client(mariadb_scene.port, *REPLICATION) as c:
        assert c.query("select 1").value() == b"1"


def test_who_only_registered_leaves_no_trace(mariadb_scene):
    with Client(mariadb_scene.port, *REPLICATION) as c:
        c.simple(COM_REGISTER_SLAVE, struct.pack("<I", 78) + b"\0\0\0" + struct.pack("<HII", 3306, 0, 0))
        assert c.query("select 1").value() == b"1"
    wait_until(lambda: not mariadb_scene.admin("select * from clients where user = 'replication'"), 10,
               "the session has ended")
    wait_until(lambda: all(row[0] != 78 for row in mariadb_scene.primary.query("show slave hosts")), 10,
               "it is not registered")


def test_a_refused_dump_leaves_the_session_as_it_was(mariadb_scene):
    with Client(mariadb_scene.port, *OTHER, db="shop") as c:
        c.query("set @a = 5")
        c.command(COM_BINLOG_DUMP, struct.pack("<IHI", 4, 0, 79) + b"binlog.000001")
        assert c.recv()[:3] == b"\xff" + struct.pack("<H", 1227)
        assert c.query("select @a, database()").rows == [[b"5", b"shop"]]


def test_a_slow_reader_of_the_log_costs_no_memory(mariadb_scene):
    scene = mariadb_scene
    scene.primary.query("create table shop.big (a longblob)")
    for _ in range(6):
        scene.primary.query("insert into shop.big values (repeat('0123456789abcdef', 1200 * 1024))")
    with Client(scene.port, *REPLICATION, receive_buffer=4096) as c:
        before = scene.volvox.resident_bytes()
        begin_dump(c)
        wait_until(lambda: scene.admin("select bytes_out n from clients where pins like '%replication%'")
                   [0]["n"] > 0, 10, "events are on their way")
        assert scene.volvox.resident_bytes() < before + (16 << 20)
        with contextlib.suppress(TimeoutError, Closed):
            drain(c)
