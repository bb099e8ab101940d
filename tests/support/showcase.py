"""What ./quickstart does once everything is built: servers, Volvox, a demonstration."""
import argparse
import contextlib
import fcntl
import getpass
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from processes import can_listen, free_port
from servers import APP, MONITOR, Cluster
from volvox import Volvox, settings_for

VOLVOX_PORT, ADMIN_PORT, HTTP_PORT = 6033, 6032, 6080
ADMIN = ("admin", "admin-secret")
SERVER_PORTS = (13306, 13307, 13308)

WRITE = """\
INSERT INTO visits (page) VALUES ('/start') RETURNING id, @@server_id, @@port"""
READ = "SELECT COUNT(*) AS visits, @@server_id, @@port FROM visits"
TRANSACTION = """\
START TRANSACTION;
SELECT COUNT(*) AS visits, @@server_id, @@port FROM visits;
UPDATE visits SET page = '/changed' ORDER BY id DESC LIMIT 1;
SELECT COUNT(*) AS visits, @@server_id, @@port FROM visits;
COMMIT"""

# On servers that are not ours nothing is written: a locking read goes where writes go.
FOREIGN_WRITE = "SELECT @@server_id, @@hostname, @@port FOR UPDATE"
FOREIGN_READ = "SELECT @@server_id, @@hostname, @@port"
FOREIGN_TRANSACTION = """\
START TRANSACTION;
SELECT @@server_id, @@hostname, @@port;
SELECT @@server_id, @@hostname, @@port;
ROLLBACK"""


def arguments():
    p = argparse.ArgumentParser(prog="./quickstart")
    p.add_argument("state", type=pathlib.Path)
    p.add_argument("--backends")
    p.add_argument("--user")
    p.add_argument("--password")
    p.add_argument("--monitor-user")
    p.add_argument("--monitor-password")
    p.add_argument("--port", type=int)
    p.add_argument("--demo-only", action="store_true")
    return p.parse_args()


def listening_port(wanted):
    if wanted and not can_listen(wanted):
        sys.exit(f"quickstart: port {wanted} is taken")
    return free_port(wanted or VOLVOX_PORT)


def read_or_ask(given, question, ask=input):
    if given is not None:
        return given
    if not sys.stdin.isatty():
        sys.exit(f"quickstart: {question.strip(': ')} is needed, see --help")
    return ask(question)


def foreign_settings(options, port):
    """Settings in front of servers that exist."""
    user = read_or_ask(options.user, "user on the servers: ")
    password = read_or_ask(options.password, f"password of {user}: ", getpass.getpass)
    monitor = (user, password)
    if options.monitor_user:
        monitor = (options.monitor_user,
                   read_or_ask(options.monitor_password, "the monitor's password: ", getpass.getpass))
    settings = {
        "volvox": {"monitor_user": monitor[0], "monitor_password": monitor[1]},
        "listener main": {"address": f"127.0.0.1:{port}"},
        "group main": {},
    }
    for number, address in enumerate(options.backends.split(","), 1):
        settings[f"server db{number}"] = {"address": address.strip()}
    settings[f"user {user}"] = {"password": password}
    return settings, (user, password)


def add_operators(settings):
    """The admin port and the page with the charts; their addresses."""
    addresses = {what: f"127.0.0.1:{free_port(port)}"
                 for what, port in (("admin", ADMIN_PORT), ("http", HTTP_PORT))}
    for what, address in addresses.items():
        settings[what] = {"address": address}
    settings[f"admin_user {ADMIN[0]}"] = {"password": ADMIN[1], "access": "full"}
    return addresses


def own_cluster(state):
    print("starting a MariaDB primary and two replicas ...")
    ports = [free_port(p) for p in SERVER_PORTS]
    cluster = Cluster(2, directory=state / "servers", ports=ports)
    cluster.start()
    cluster.primary.query("create table if not exists shop.visits "
                          "(id int auto_increment primary key, page varchar(100) not null)")
    cluster.sync()
    return cluster


class Demonstration:
    """Statements through the mariadb client, shown with their results."""

    def __init__(self, port, who, database):
        self.command = ["mariadb", "--no-defaults", "--host=127.0.0.1", f"--port={port}",
                        f"--user={who[0]}", "--table"]
        self.database = database
        self.env = dict(os.environ, MYSQL_PWD=who[1])

    def show(self, sql, times=1):
        for line in sql.splitlines():
            print(f"    sql> {line}{'' if line.endswith(';') else ';'}")
        for _ in range(times):
            self.run(sql)

    def run(self, sql):
        done = subprocess.run([*self.command, f"--execute={sql}", *self.database], env=self.env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in done.stdout.splitlines():
            print(f"    {line}")
        if done.returncode != 0:
            raise SystemExit("quickstart: the statement failed")


def demonstrate_own(cluster, volvox):
    primary, *replicas = cluster.servers
    print(f"\nVolvox listens on 127.0.0.1:{volvox.port}.  Behind it:\n")
    print(f"    primary   server_id {primary.server_id}   127.0.0.1:{primary.port}")
    for r in replicas:
        print(f"    replica   server_id {r.server_id}   127.0.0.1:{r.port}")
    demo = Demonstration(volvox.port, APP, ["shop"])
    print("\n1. A write goes to the primary.\n")
    demo.show(WRITE)
    cluster.sync()
    print("\n2. Reads are spread over the replicas (the same statement six times).\n")
    demo.show(READ, times=6)
    print("\n3. A transaction stays on the primary, its reads included.\n")
    demo.show(TRANSACTION)


def demonstrate_foreign(volvox, who):
    print(f"\nVolvox listens on 127.0.0.1:{volvox.port} in front of your servers.")
    demo = Demonstration(volvox.port, who, [])
    print("\n1. A locking read goes where writes go: to the primary.\n")
    demo.show(FOREIGN_WRITE)
    print("\n2. Plain reads are spread over the replicas (the same statement six times).\n")
    demo.show(FOREIGN_READ, times=6)
    print("\n3. A transaction stays on the primary, its reads included.\n")
    demo.show(FOREIGN_TRANSACTION)


def print_dsn(port, who, database):
    user, password = who
    print(f"""
Point your application here:

    mariadb   mariadb -h 127.0.0.1 -P {port} -u {user} -p'{password}' {database}
    JDBC      jdbc:mariadb://127.0.0.1:{port}/{database}?user={user}&password={password}
    PHP PDO   new PDO('mysql:host=127.0.0.1;port={port};dbname={database}', '{user}', '{password}')
    Python    pymysql.connect(host='127.0.0.1', port={port}, user='{user}', password='{password}',
                              database='{database}')
    Go        {user}:{password}@tcp(127.0.0.1:{port})/{database}
""")


def print_operators(addresses):
    host, port = addresses["admin"].split(":")
    print(f"""See what it does:

    mariadb -h {host} -P {port} -u {ADMIN[0]} -p'{ADMIN[1]}' -e 'SHOW SERVERS'     (HELP lists more)
    http://{addresses["http"]}/            charts; /metrics for Prometheus, /healthz, /readyz
""")


def stay(volvox, cluster, settings_path, log_path):
    print(f"settings  {settings_path}   (change, then: kill -HUP {volvox.child.pid})")
    print(f"log       {log_path}")
    print("\nRunning.  Ctrl-C stops Volvox" + (" and the servers." if cluster else "."), flush=True)
    while volvox.is_running():
        time.sleep(0.2)
    raise SystemExit(f"quickstart: volvox ended with {volvox.child.returncode}:\n{volvox.log_tail()}")


def only_one(state):
    """Two of us in one directory would share data directories."""
    lock = open(state / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"quickstart: already running in {state.parent}")
    return lock


def begin_log(state):
    """The log of the last run, if any, is kept as .old."""
    log = state / "volvox.log"
    if log.exists():
        shutil.move(log, state / "volvox.log.old")


def main():
    options = arguments()
    state = options.state
    lock = only_one(state)                                   # held until we end
    begin_log(state)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        cluster = None
        port = listening_port(options.port)
        if options.backends:
            settings, who = foreign_settings(options, port)
            database = ""
        else:
            cluster = own_cluster(state)
            stack.callback(cluster.stop)
            settings, who, database = settings_for(cluster, port, users=[APP]), APP, "shop"
            settings["volvox"] = {"monitor_user": MONITOR[0], "monitor_password": MONITOR[1]}
            # In turn rather than by load, so that a handful of reads shows it.
            settings["group main"]["balance"] = "round-robin"
        operators = add_operators(settings)
        print("starting Volvox ...")
        volvox = Volvox(settings, directory=state).start()
        stack.callback(volvox.stop)
        if cluster:
            demonstrate_own(cluster, volvox)
        else:
            demonstrate_foreign(volvox, who)
        print_dsn(port, who, database)
        print_operators(operators)
        if not options.demo_only:
            try:
                stay(volvox, cluster, volvox.ini_path, volvox.log_path)
            except KeyboardInterrupt:
                print("\nstopping ...", flush=True)
    lock.close()


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except (RuntimeError, TimeoutError, AssertionError) as e:
        sys.exit(f"quickstart: {e}")
