"""Private database servers: MariaDB from the system, others from roots of their own.

    with Cluster(replicas=2) as cluster:
        cluster.primary.query("create table shop.t (a int)")
        cluster.sync()
        cluster.replicas[0].query("select * from shop.t")

Everything is on loopback, on free ports, in a directory that goes away with the cluster unless
it was given.  Data directories are copies of a template that is made once for each version and
kept in the cache, so that a server is up in about a second.
"""
import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pymysql

from processes import end, free_port, spawn, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("VOLVOX_TEST_CACHE", ROOT / "build" / "cache"))
ROOTS = pathlib.Path(os.environ.get("VOLVOX_SERVER_ROOTS", "/var/lib/volvox-tests"))
MYSQL_ROOT = ROOTS / "mysql"

APP = ("app", "app-secret")            # what applications use
OTHER = ("other", "other-secret")      # a second application
MONITOR = ("monitor", "monitor-secret")
REPLICATION = ("replication", "replication-secret")

# Everything but what would let an application write on a read-only server.
APP_PRIVILEGES = ("select, insert, update, delete, create, drop, index, alter, "
                  "create temporary tables, lock tables, execute, create view, show view, "
                  "create routine, alter routine, trigger, event, process, reload, file")


def accounts_sql(monitor_privilege):
    def account(who, privileges):
        name, password = who
        return [f"create user '{name}'@'%' identified by '{password}'",
                f"grant {privileges} on *.* to '{name}'@'%'"]

    return (["create database if not exists shop", "create database if not exists test"]
            + account(APP, APP_PRIVILEGES) + account(OTHER, APP_PRIVILEGES)
            + account(MONITOR, monitor_privilege) + account(REPLICATION, "replication slave"))


def rows_of(cursor):
    return list(cursor.fetchall()) if cursor.description else []


class Server:
    """One server process.  Subclasses know a family's programs and words."""
    family = None
    daemon = None

    def __init__(self, directory, server_id, port=None, options=()):
        self.directory = pathlib.Path(directory)
        self.server_id = server_id
        self.name = f"db{server_id}"
        self.port = port or free_port()
        self.options = list(options)
        self.log_path = self.directory / "server.log"
        self.data = self.directory / "data"
        self.socket = self.directory / "s"
        self.child = None

    # ---- where it lives: the system's, unless Rooted ----------------------------------

    @staticmethod
    def objection():
        """Why it cannot be used here, or None."""
        return None

    @staticmethod
    def directory_for_tests():
        return tempfile.mkdtemp(prefix="volvox-")

    def template_place(self):
        return CACHE

    def enter(self):
        """What stands before the name of a program."""
        return []

    def inside(self, path):
        """A path as the server sees it."""
        return str(path)

    def version(self):
        return subprocess.check_output([*self.enter(), self.daemon, "--version"], text=True).strip()

    # ---- life -------------------------------------------------------------------------

    def create(self):
        """Make the data directory unless there is one."""
        if self.data.exists():
            return
        template = self.template()
        self.directory.mkdir(parents=True, exist_ok=True)
        unfinished = self.directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(template, unfinished)
        unfinished.rename(self.data)

    def start(self):
        self.launch()
        self.wait_ready()
        return self

    def launch(self):
        self.create()
        self.child = spawn(self.command(), self.log_path)

    def wait_ready(self, seconds=60):
        def ready_or_dead():
            return not self.is_running() or self.query("select 1")

        with contextlib.suppress(TimeoutError):
            wait_until(ready_or_dead, seconds, every=0.05)
            if self.is_running():
                return
        raise RuntimeError(f"{self.family} did not start:\n{self.log_tail()}")

    def is_running(self):
        return self.child is not None and self.child.poll() is None

    def stop(self):
        if self.child:
            end(self.child, signal.SIGTERM, 60)

    def kill(self):
        if self.child:
            end(self.child, signal.SIGKILL)

    def restart(self):
        self.stop()
        self.start()

    def freeze(self):
        """Stop answering without closing anything."""
        self.child.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.child.send_signal(signal.SIGCONT)

    def log_tail(self, lines=25):
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    # ---- talking ----------------------------------------------------------------------

    def connect(self, user="root", password="", db=None, **more):
        """Root through the socket; others through TCP."""
        where = ({"unix_socket": str(self.socket)} if user == "root"
                 else {"host": "127.0.0.1", "port": self.port})
        return pymysql.connect(user=user, password=password, database=db, autocommit=True,
                               charset="utf8mb4", connect_timeout=10, **where, **more)

    def query(self, sql, db=None):
        """Rows of one statement, as root."""
        with contextlib.closing(self.connect(db=db)) as c, c.cursor() as cursor:
            cursor.execute(sql)
            return rows_of(cursor)

    def value(self, sql, db=None):
        return self.query(sql, db)[0][0]

    def status(self, name):
        """A global status counter."""
        return int(self.query(f"show global status like '{name}'")[0][1])

    def set_read_only(self, on):
        self.query(f"set global read_only = {int(on)}")

    # ---- template ---------------------------------------------------------------------

    def template(self):
        """The data directory to copy, made on first use."""
        recipe = "\n".join([self.version(), *self.init_command("D"), *self.accounts()])
        key = hashlib.sha256(recipe.encode()).hexdigest()[:12]
        place = self.template_place() / f"{self.family}-{key}"
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(place.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.exists():
                self.make_template(place)
        return place

    def make_template(self, place):
        unfinished = place.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        data = unfinished / "data"
        done = subprocess.run(self.init_command(data), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{self.family}: no data directory:\n{done.stdout[-3000:]}")
        server = type(self)(unfinished, 1, options=["--skip-log-bin", "--skip-networking"])
        server.start()
        for sql in self.accounts():
            server.query(sql)
        server.stop()
        for leftover in ("auto.cnf", "s.lock"):
            (data / leftover).unlink(missing_ok=True)
        data.rename(place)
        shutil.rmtree(unfinished)

    def accounts(self):
        return accounts_sql(self.monitor_privilege)


def _as_whom():
    return ["--user=root"] if os.geteuid() == 0 else []


# Small and careless about power cuts: the data lives as long as a test.
FAST = ["--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0",
        "--skip-name-resolve", "--performance-schema=OFF", "--key-buffer-size=8M",
        "--max-connections=600", "--max-allowed-packet=1G", "--local-infile=1",
        "--character-set-server=utf8mb4", "--secure-file-priv="]


class Rooted:
    """A server in a root made by tests/setup-servers: chroot needs us to be root."""
    root = None

    @classmethod
    def objection(cls):
        if not (cls.root / "usr/sbin" / cls.daemon).exists():
            return f"no {cls.daemon} in {cls.root} (tests/setup-servers makes it)"
        if os.geteuid() != 0:
            return "a server's private root needs us to be root"
        return None

    @classmethod
    def directory_for_tests(cls):
        """Data must be inside the root."""
        cls._mount_proc()
        (cls.root / "tmp").mkdir(exist_ok=True)
        return tempfile.mkdtemp(prefix="volvox-", dir=cls.root / "tmp")

    @classmethod
    def _mount_proc(cls):
        """Servers look at /proc; a mount of the root's own may be gone after a reboot."""
        if not (cls.root / "proc/self").exists():
            subprocess.run(["mount", "-t", "proc", "proc", cls.root / "proc"], check=True)

    def template_place(self):
        return self.root / "var/lib/volvox-templates"

    def enter(self):
        return ["chroot", str(self.root)]

    def inside(self, path):
        """A path as seen within the root."""
        return "/" + str(pathlib.Path(path).relative_to(self.root)) if path != "D" else path


class MariaDB(Server):
    family = "mariadb"
    monitor_privilege = "slave monitor"
    daemon = "mariadbd"
    defaults = ["--collation-server=utf8mb4_general_ci"]

    def init_command(self, data):
        return [*self.enter(), "mariadb-install-db", "--no-defaults", *_as_whom(),
                f"--datadir={self.inside(data)}", "--auth-root-authentication-method=normal",
                "--skip-test-db", "--force", "--innodb-log-file-size=24M"]

    def command(self):
        return [*self.enter(), self.daemon, "--no-defaults", *_as_whom(),
                f"--datadir={self.inside(self.data)}", f"--socket={self.inside(self.socket)}",
                f"--pid-file={self.inside(self.directory)}/pid", f"--port={self.port}",
                "--bind-address=127.0.0.1", f"--server-id={self.server_id}", "--log-bin=binlog",
                "--gtid-strict-mode=1", "--log-slave-updates=1", "--slave-net-timeout=5",
                "--innodb-log-file-size=24M", *self.defaults, *FAST, *self.options]

    def plugin_options(self, *plugins):
        """For plugins that the -core package leaves out; they are fetched on first use."""
        place = self.template_place() / ("plugins-" + self.version_key())
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(place.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.exists():
                script = (ROOT / "tests/support/mariadb-plugins").read_text()
                subprocess.run([*self.enter(), "bash", "-s", self.inside(place)], input=script,
                               text=True, check=True, stdout=subprocess.DEVNULL)
        return [f"--plugin-dir={self.inside(place)}", f"--plugin-load-add={';'.join(plugins)}"]

    def version_key(self):
        return hashlib.sha256(self.version().encode()).hexdigest()[:12]

    def follow(self, primary):
        """Become a replica of `primary`, from where we are."""
        self.query("stop slave")
        self.query(f"change master to master_host='127.0.0.1', master_port={primary.port}, "
                   f"master_user='{REPLICATION[0]}', master_password='{REPLICATION[1]}', "
                   "master_use_gtid=slave_pos, master_connect_retry=1, "
                   "master_heartbeat_period=1")
        self.query("start slave")
        self.set_read_only(True)

    def stop_replication(self):
        self.query("stop slave")

    def start_replication(self):
        self.query("start slave")

    def forget_primary(self):
        self.query("stop slave")
        self.query("reset slave all")
        self.set_read_only(False)

    def replicates(self):
        rows = self.query("show slave status")
        return bool(rows) and rows[0][10] == "Yes" and rows[0][11] == "Yes"

    def position(self):
        return self.value("select @@gtid_binlog_pos")

    def wait_for_position(self, position, seconds):
        return self.value(f"select master_gtid_wait('{position}', {seconds})") == 0


class MariaDB118(Rooted, MariaDB):
    """With the defaults of its time: TLS with a certificate that it makes itself, uca1400 collations."""
    root = ROOTS / "mariadb-11.8"
    defaults = []


class MySQL(Rooted, Server):
    family = "mysql"
    monitor_privilege = "replication client"
    root = MYSQL_ROOT
    daemon = "mysqld"

    def init_command(self, data):
        return [*self.enter(), self.daemon, "--no-defaults", "--user=root",
                "--initialize-insecure", f"--datadir={self.inside(data)}",
                "--innodb-redo-log-capacity=32M"]

    def command(self):
        return [*self.enter(), self.daemon, "--no-defaults", "--user=root",
                f"--datadir={self.inside(self.data)}", f"--socket={self.inside(self.socket)}",
                f"--pid-file={self.inside(self.directory)}/pid", f"--port={self.port}",
                "--bind-address=127.0.0.1", f"--server-id={self.server_id}", "--mysqlx=OFF",
                "--log-bin=binlog", "--gtid-mode=ON", "--enforce-gtid-consistency=ON",
                "--innodb-redo-log-capacity=32M", *FAST, *self.options]

    def follow(self, primary):
        self.query("stop replica")
        self.query(f"change replication source to source_host='127.0.0.1', "
                   f"source_port={primary.port}, source_user='{REPLICATION[0]}', "
                   f"source_password='{REPLICATION[1]}', source_auto_position=1, "
                   "get_source_public_key=1, source_connect_retry=1, source_heartbeat_period=1")
        self.query("start replica")
        self.set_read_only(True)

    def stop_replication(self):
        self.query("stop replica")

    def start_replication(self):
        self.query("start replica")

    def forget_primary(self):
        self.query("stop replica")
        self.query("reset replica all")
        self.set_read_only(False)

    def replicates(self):
        rows = self.query("show replica status")
        return bool(rows) and rows[0][10] == "Yes" and rows[0][11] == "Yes"

    def position(self):
        return self.value("select @@global.gtid_executed").replace("\n", "")

    def wait_for_position(self, position, seconds):
        return self.value(f"select wait_for_executed_gtid_set('{position}', {seconds})") == 0


class Cluster:
    """A primary and replicas that follow it."""

    def __init__(self, replicas=2, server_class=MariaDB, directory=None, ports=(), options=()):
        self.owns_directory = directory is None
        if directory is None:
            directory = server_class.directory_for_tests()
        self.directory = pathlib.Path(directory)
        ports = list(ports) + [None] * (replicas + 1 - len(ports))
        self.servers = [server_class(self.directory / f"db{i + 1}", i + 1, ports[i], options)
                        for i in range(replicas + 1)]
        self.primary, *self.replicas = self.servers

    def start(self):
        for server in self.servers:
            server.launch()
        for server in self.servers:
            server.wait_ready()
        for replica in self.replicas:
            replica.follow(self.primary)
        for replica in self.replicas:
            wait_until(replica.replicates, 20, f"{replica.name} replicates")
        return self

    def stop(self):
        if self.owns_directory:
            for server in self.servers:
                server.kill()
            shutil.rmtree(self.directory, ignore_errors=True)
            return
        for server in reversed(self.servers):     # replicas first: they need not reconnect
            server.stop()

    def sync(self, seconds=20):
        """Wait until every running replica has what the primary has."""
        position = self.primary.position()
        for replica in self.replicas:
            if not replica.wait_for_position(position, seconds):
                raise TimeoutError(f"{replica.name} has not reached {position}")

    def by_id(self, server_id):
        return self.servers[server_id - 1]

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
