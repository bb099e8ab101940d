"""What is around the program: service manager, unit, container, compose file, man pages."""
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pymysql
import pytest
import yaml

from conftest import DIRECT
from processes import free_port, spawn, wait_until
from servers import ROOT, MySQL
from volvox import Volvox, binary, is_sanitized
from volvox import settings_for as usual_settings

pytestmark = pytest.mark.skipif(DIRECT, reason="needs Volvox")

DOCKER = ROOT / "docker"
UNIT = ROOT / "conf/volvox.service"


def run(argv, **more):
    """Exit code and output."""
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=60, **more)
    return done.returncode, done.stdout


def settings_for(cluster, **volvox):
    """With operators' ports of its own: other Volvoxes run beside it."""
    settings = usual_settings(cluster, **volvox)
    for section in ("admin", "http"):
        settings[section] = {"address": f"127.0.0.1:{free_port()}"}
    return settings


def program_text(*options):
    return subprocess.check_output([binary(), *options], text=True, timeout=20)


def needs(program):
    if shutil.which(program) is None:
        pytest.skip(f"no {program}")


# ---- the service manager's protocol --------------------------------------------------------

class Manager:
    """The receiving end of sd_notify()."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)

    def next(self, seconds=10):
        """The lines of the next datagram as a dict; {} when none comes in that time."""
        self.socket.settimeout(seconds)
        try:
            text = self.socket.recv(4096).decode()
        except TimeoutError:
            return {}
        return dict(line.split("=", 1) for line in text.splitlines())

    def wait_for(self, name, seconds=10):
        """What came up to and with the first datagram that has the name."""
        deadline, seen = time.monotonic() + seconds, []
        while time.monotonic() < deadline:
            seen.append(self.next(deadline - time.monotonic()))
            if name in seen[-1]:
                return seen
        pytest.fail(f"no {name} within {seconds} s, but {seen}")

    def forget(self):
        while self.next(0.01):
            pass


@pytest.fixture
def manager(tmp_path, monkeypatch):
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    return Manager(address)


def says(seen, name):
    return [d[name] for d in seen if name in d]


def test_the_service_manager_hears_of_readiness_only_when_clients_can_connect(mariadb, start_volvox, manager):
    volvox = start_volvox(settings_for(mariadb.cluster))
    seen = manager.wait_for("READY")
    assert says(seen, "READY") == ["1"]
    assert re.fullmatch(r"serving, \d+ clients", says(seen, "STATUS")[-1])
    assert volvox.greets()


def test_a_reload_is_told_from_beginning_to_end(mariadb, start_volvox, manager):
    volvox = start_volvox(settings_for(mariadb.cluster))
    manager.wait_for("READY")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    volvox.reload()
    seen = manager.wait_for("READY")
    assert says(seen, "RELOADING") == ["1"]
    assert before <= int(says(seen, "MONOTONIC_USEC")[0]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_reload_that_is_refused_ends_for_the_service_manager_too(mariadb, start_volvox, manager):
    volvox = start_volvox(settings_for(mariadb.cluster))
    manager.wait_for("READY")
    volvox.reload("[nonsense]\n")
    assert says(manager.wait_for("READY"), "RELOADING") == ["1"]


def test_the_watchdog_is_patient_while_a_reload_resolves_names(mariadb, start_volvox, manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    volvox = start_volvox(settings_for(mariadb.cluster))
    manager.wait_for("READY")
    volvox.reload()
    lengthened, restored = says(manager.wait_for("READY"), "WATCHDOG_USEC")
    assert int(lengthened) >= 300e6 and int(restored) == 30e6


def test_a_stop_asks_for_the_time_that_draining_may_take(mariadb, start_volvox, manager):
    volvox = start_volvox(settings_for(mariadb.cluster, drain_timeout="20s"))
    manager.wait_for("READY")
    with volvox.connect() as c, c.cursor() as cursor:
        cursor.execute("begin")
        cursor.execute("select 1 for update")
        volvox.child.send_signal(signal.SIGTERM)
        seen = manager.wait_for("STOPPING")
        assert 20e6 <= int(says(seen, "EXTEND_TIMEOUT_USEC")[0]) <= 60e6
        assert says([manager.next()], "STATUS") == ["stopping, 1 clients"]
        cursor.execute("rollback")


def test_the_watchdog_is_fed_while_all_workers_answer(mariadb, start_volvox, manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "600000")
    start_volvox(settings_for(mariadb.cluster))
    manager.wait_for("READY")
    for _ in range(3):
        began = time.monotonic()
        manager.wait_for("WATCHDOG", 5)
        assert time.monotonic() - began < 0.6


def test_a_watchdog_that_is_meant_for_another_process_is_not_fed(mariadb, start_volvox, manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    start_volvox(settings_for(mariadb.cluster))
    manager.wait_for("READY")
    assert says([manager.next(0.4) for _ in range(3)], "WATCHDOG") == []


class FrozenThread:
    """A thread that stands still, as one does that loops for ever.  Linux stops single threads only
    for a debugger, so that is what this is."""
    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
    WALL = 0x40000000

    def __init__(self, thread):
        self.thread = thread
        self.libc = ctypes.CDLL(None, use_errno=True)

    def ptrace(self, request):
        if self.libc.ptrace(request, self.thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def __enter__(self):
        self.ptrace(self.SEIZE)
        self.ptrace(self.INTERRUPT)
        os.waitpid(self.thread, self.WALL)
        return self

    def __exit__(self, *_):
        self.ptrace(self.DETACH)


def busiest_other_thread(pid):
    """With one worker that is the worker: the rest wait."""
    def user_time(thread):
        fields = pathlib.Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    threads = [int(t) for t in os.listdir(f"/proc/{pid}/task") if int(t) != pid]
    return max(threads, key=user_time)


def test_a_worker_that_hangs_starves_the_watchdog(mariadb, start_volvox, manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "600000")
    volvox = start_volvox(settings_for(mariadb.cluster, workers=1, monitor_interval="5s"))
    with volvox.connect() as c, c.cursor() as cursor:
        for _ in range(1500):
            cursor.execute("select 1")
    manager.wait_for("WATCHDOG")
    try:
        with FrozenThread(busiest_other_thread(volvox.child.pid)):
            time.sleep(0.3)
            manager.forget()
            assert manager.next(1.5) == {}
    except PermissionError as e:
        pytest.skip(f"threads can't be stopped here: {e}")
    manager.wait_for("WATCHDOG")


# ---- the unit ----------------------------------------------------------------------------------

def test_the_unit_is_accepted_by_systemd(tmp_path):
    needs("systemd-analyze")
    unit = tmp_path / "volvox.service"
    unit.write_text(UNIT.read_text().replace("/usr/bin/volvox", str(binary())))
    code, output = run(["systemd-analyze", "--man=no", "verify", unit])
    assert code == 0 and output == "", output


def unit_values(name):
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def calls_of(group):
    """System calls of a @group of systemd, with the groups that it names."""
    code, output = run(["systemd-analyze", "syscall-filter", group])
    assert code == 0, output
    found = set()
    for word in re.findall(r"^    (@?[\w-]+)", output, re.MULTILINE):
        found |= calls_of(word) if word.startswith("@") else {word}
    return found


def calls_allowed():
    allowed = set()
    for line in unit_values("SystemCallFilter"):
        words = {c for w in line.lstrip("~").split() for c in (calls_of(w) if w[0] == "@" else {w})}
        allowed = allowed - words if line.startswith("~") else allowed | words
    return allowed


@pytest.mark.slow
def test_the_unit_allows_every_system_call_that_is_made(mariadb, tmp_path, release_program):
    needs("systemd-analyze")
    needs("strace")
    if is_sanitized(release_program):
        pytest.skip("a sanitizer makes calls of its own")
    trace = tmp_path / "trace"
    volvox = Volvox(settings_for(mariadb.cluster, log_file=tmp_path / "log"))
    volvox.program = release_program
    volvox.write_ini()
    strace = spawn(["strace", "-f", "-qq", "-o", trace, release_program, "-c", volvox.ini_path],
                   volvox.log_path)
    volvox.child = strace
    wait_until(lambda: strace.poll() is not None or volvox.greets(), 20, "volvox listens")
    with volvox.connect() as c, c.cursor() as cursor:
        cursor.execute("select count(*) from shop.items")
    pid = int(run(["pgrep", "-P", str(strace.pid)])[1].split()[0])
    for signum in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
        os.kill(pid, signum)
        time.sleep(0.3)
    assert strace.wait(30) == 0, volvox.log_tail()
    made = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE)) - {"execve"}
    assert {"epoll_wait", "sendto", "clone3"} & made, "this is no trace of Volvox"
    assert made - calls_allowed() == set()


def test_the_unit_gives_the_program_time_and_descriptors():
    assert unit_values("Type") == ["notify"]
    assert unit_values("ExecReload")[-1] == "/bin/kill -HUP $MAINPID"
    assert int(unit_values("LimitNOFILE")[0]) >= 65536
    assert float(unit_values("WatchdogSec")[0].rstrip("s")) > 0
    default = re.search(r"`drain_timeout` \| time \| `(\d+)s`", program_text("--help-config"))
    assert float(unit_values("TimeoutStopSec")[0].rstrip("s")) > float(default.group(1)) + 10


# ---- documents ---------------------------------------------------------------------------------

PAGES = [ROOT / "docs/volvox.8", ROOT / "docs/volvox.ini.5"]


def test_the_configuration_page_is_what_the_option_table_makes():
    made = subprocess.run([ROOT / "tests/support/config_man.py"], input=program_text("--help-config"),
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    assert PAGES[1].read_text() == made, \
        "run: volvox --help-config | tests/support/config_man.py >docs/volvox.ini.5"


def test_every_option_is_in_the_configuration_page():
    options = re.findall(r"^\| `(\w+)` \|", program_text("--help-config"), re.MULTILINE)
    page = PAGES[1].read_text()
    assert len(options) > 40
    assert [o for o in options if rf"\fB{o}\fR = " not in page] == []


def test_every_option_of_the_command_line_is_in_the_manual():
    page = PAGES[0].read_text().replace("\\-", "-")
    options = set(re.findall(r"--[a-z-]+", program_text("--help")))
    assert len(options) > 5
    assert [o for o in sorted(options) if o not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_a_manual_page_is_formatted_without_warnings(page):
    needs("man")
    done = subprocess.run(["man", "--warnings=all", "--local-file", page], text=True, timeout=60,
                          env=dict(os.environ, LC_ALL="C.UTF-8", MANROFFSEQ=""),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "NAME" in done.stdout and "SEE ALSO" in done.stdout


def heading_anchors(text):
    """As they are made from headings: lower case, blanks to hyphens, no punctuation."""
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-")
            for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def known_options():
    return set(re.findall(r"^\| `(\w+)` \|", program_text("--help-config"), re.MULTILINE))


@pytest.mark.parametrize("name", ["operations.md", "migration.md"])
def test_a_guide_links_only_to_what_exists(name):
    text = (ROOT / "docs" / name).read_text()
    targets = re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text)
    assert len(targets) > 5
    for target, anchor in targets:
        file = ROOT / "docs" / (target or name)
        assert file.exists(), target
        assert not anchor or anchor in heading_anchors(file.read_text()), f"{target}#{anchor}"


@pytest.mark.parametrize("name", ["operations.md", "migration.md"])
def test_a_guides_examples_have_only_options_that_exist(name):
    text = (ROOT / "docs" / name).read_text()
    used = {o for block in re.findall(r"```ini\n(.*?)```", text, re.DOTALL)
            for o in re.findall(r"^(\w+) *=", block, re.MULTILINE)}
    assert used - known_options() == set()


def test_the_tables_for_those_who_migrate_name_only_options_that_exist():
    """The last column is what Volvox has: options, but for tables of the admin port and a few words."""
    rows = [line for line in (ROOT / "docs/migration.md").read_text().splitlines() if line.startswith("| ")]
    used = {o for row in rows if not row.endswith("| Volvox |")
            for o in re.findall(r"`([a-z_]+)(?: = [^`]*)?`", row.strip("| ").split(" | ")[-1])}
    assert len(used) > 30
    elsewhere = {"backends", "clients", "counters", "digests", "pins", "pools", "servers",
                 "replica", "read_only"}
    assert used - known_options() - elsewhere == set()


def test_the_operations_guide_names_only_metrics_that_exist():
    named = set(re.findall(r"`(volvox_\w+|process_\w+)`", (ROOT / "docs/operations.md").read_text()))
    assert len(named) > 8
    known = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    assert named - known == set()


def guide_statements():
    """What the operations guide tells to ask the admin port."""
    text = (ROOT / "docs/operations.md").read_text()
    inline = re.findall(r"`(SELECT [^`]*|SHOW [^`]*)`", text)
    return [" ".join(s.split()) for s in inline if "@@" not in s]


def test_the_operations_guides_questions_to_the_admin_port_are_answered(mariadb, start_volvox):
    statements = guide_statements()
    assert len(statements) > 8
    settings = settings_for(mariadb.cluster)
    settings["admin_user reader"] = {"password": "look", "access": "read"}
    start_volvox(settings)
    port = int(settings["admin"]["address"].rpartition(":")[2])
    trouble = []
    with pymysql.connect(host="127.0.0.1", port=port, user="reader", password="look",
                         autocommit=None) as c, c.cursor() as cursor:
        for statement in statements:
            try:
                cursor.execute(statement)
                assert cursor.description
            except pymysql.Error as e:
                trouble.append(f"{statement}: {e}")
    assert trouble == []


# ---- container -----------------------------------------------------------------------------------

def compose():
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


def test_the_dockerfile_runs_nothing_but_the_script_that_clean_root_runs():
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    steps = [line.split()[1:] for line in lines if line.startswith("RUN ")]
    assert [s[1] for s in steps] == ["packages", "compile", "runtime"]
    assert all(s[0].endswith("/build.sh") for s in steps)
    exercised = (ROOT / "tests/support/clean-root").read_text()
    for step in steps:
        assert f"{' '.join(step)}\n" in exercised, step
    # Not as root, and with a health check.
    assert any(line.startswith("USER volvox") for line in lines)
    assert any(line.startswith("HEALTHCHECK") for line in lines)


@pytest.mark.parametrize("script", ["build.sh", "healthcheck", "mysql/set-up.sh"])
def test_a_container_script_is_executable_and_good_bash(script):
    assert os.access(DOCKER / script, os.X_OK)
    code, output = run(["bash", "-n", DOCKER / script])
    assert code == 0, output
    if shutil.which("shellcheck"):
        code, output = run(["shellcheck", DOCKER / script])
        assert code == 0, output


def answering(response):
    """A port where the first client gets these bytes."""
    door = socket.create_server(("127.0.0.1", 0))

    def serve():
        with door, door.accept()[0] as client:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += client.recv(1000)
            client.sendall(response)

    threading.Thread(target=serve, daemon=True).start()
    return door.getsockname()[1]


@pytest.mark.parametrize("response, healthy", [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", True),
    (b"HTTP/1.0 200 OK\r\n\r\n", True),
    (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
    (b"HTTP/1.1 404 Not Found\r\n\r\n", False),
    (b"J\0\0\0\n8.4.0", False),
    (b"", False),
])
def test_the_health_check_believes_status_200_only(response, healthy):
    port = answering(response)
    code, output = run([DOCKER / "healthcheck"], env=dict(os.environ, VOLVOX_HTTP=f"127.0.0.1:{port}"))
    assert (code == 0) == healthy, output


def test_the_health_check_fails_where_nobody_listens():
    port = free_port()
    code, output = run([DOCKER / "healthcheck"], env=dict(os.environ, VOLVOX_HTTP=f"127.0.0.1:{port}"))
    assert code != 0 and f"127.0.0.1:{port}: no connection" in output


def test_the_health_check_finds_a_running_volvox_healthy(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    start_volvox(settings)
    code, output = run([DOCKER / "healthcheck"],
                       env=dict(os.environ, VOLVOX_HTTP=settings["http"]["address"]))
    assert code == 0, output


def test_the_compose_file_is_valid_for_compose():
    """With an engine's client that has the compose plugin; no engine is asked."""
    if shutil.which("docker") is None or run(["docker", "compose", "version"])[0] != 0:
        pytest.skip("no docker compose")
    for profile in ([], ["--profile", "metrics"]):
        code, output = run(["docker", "compose", "-f", DOCKER / "compose.yaml", *profile, "config", "-q"])
        assert code == 0, output


SERVICE_KEYS = {"image", "build", "command", "environment", "healthcheck", "restart", "stop_grace_period",
                "secrets", "volumes", "depends_on", "ports", "profiles", "read_only", "cap_drop",
                "security_opt", "ulimits", "sysctls"}


def test_what_the_compose_file_names_exists():
    file = compose()
    assert set(file["services"]) == {"primary", "replica1", "replica2", "volvox", "prometheus", "grafana"}
    for name, service in file["services"].items():
        assert set(service) <= SERVICE_KEYS, name
        assert set(service.get("depends_on", [])) <= set(file["services"]), name
        assert set(service.get("secrets", [])) <= set(file["secrets"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in file["volumes"] or (DOCKER / source).exists(), f"{name}: {volume}"
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name}: {port} is open to the world"
    for secret in file["secrets"].values():
        assert (DOCKER / secret["file"]).read_text().strip()
    optional = {n for n, s in file["services"].items() if s.get("profiles")}
    assert optional == {"prometheus", "grafana"}


def test_the_compose_files_volvox_waits_for_the_servers_and_has_time_to_drain():
    volvox = compose()["services"]["volvox"]
    assert {s: d["condition"] for s, d in volvox["depends_on"].items()} == dict.fromkeys(
        ["primary", "replica1", "replica2"], "service_healthy")
    assert int(volvox["stop_grace_period"].rstrip("s")) > 30
    assert (DOCKER / volvox["build"]["context"] / volvox["build"]["dockerfile"]).exists()


def test_the_containers_configuration_is_good(tmp_path):
    """But for the names, which only the containers' network knows, and the place of the secrets."""
    text = (DOCKER / "volvox.ini").read_text().replace("/run/secrets", str(DOCKER / "secrets"))
    hosts = re.findall(r"^address = ([a-z]\w*):3306$", text, re.MULTILINE)
    assert set(hosts) <= set(compose()["services"]) and len(hosts) == 3
    for i, host in enumerate(hosts):
        text = text.replace(f"= {host}:3306", f"= 127.0.0.1:{3306 + i}")
    ini = tmp_path / "volvox.ini"
    ini.write_text(text)
    code, output = run([binary(), "-c", ini, "--check"])
    assert code == 0, output
    secrets = set(re.findall(r"/run/secrets/(\w+)", (DOCKER / "volvox.ini").read_text()))
    assert secrets == set(compose()["services"]["volvox"]["secrets"])


def test_what_prometheus_and_grafana_are_given_is_well_formed():
    prometheus = yaml.safe_load((DOCKER / "prometheus.yml").read_text())
    mounts = compose()["services"]["prometheus"]["volumes"]
    for rules in prometheus["rule_files"]:
        assert any(m.split(":")[1] == rules for m in mounts), rules
    target, = prometheus["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target == "volvox:6080"
    provisioning = DOCKER / "grafana/provisioning"
    source, = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"]
    provider, = yaml.safe_load((provisioning / "dashboards/volvox.yaml").read_text())["providers"]
    assert f"../conf/dashboards:{provider['options']['path']}:ro" in compose()["services"]["grafana"]["volumes"]
    dashboard = json.loads((ROOT / "conf/dashboards/grafana-volvox.json").read_text())
    # A dashboard that is provisioned asks nobody: it names the source, or has a variable to choose.
    text = json.dumps(dashboard)
    variables = {v["name"] for v in dashboard.get("templating", {}).get("list", [])
                 if v["type"] == "datasource"}
    for uid in set(re.findall(r'"uid": "([^"]+)", "type": "prometheus"|"type": "prometheus", "uid": "([^"]+)"', text)):
        uid = uid[0] or uid[1]
        assert uid == source["uid"] or uid.strip("${}") in variables, uid


# ---- replication sets itself up --------------------------------------------------------------------

def image_starts(server, environment, tmp_path):
    """What the MySQL image does with a new data directory: start on the socket alone, set root's
    password, run what lies in its directory, stop, start for good."""
    listening = server.options
    server.options = ["--skip-networking"]
    # With --no-defaults it would not read what SET PERSIST wrote either.
    server.create()
    empty, usual = server.directory / "my.cnf", server.command
    empty.touch()
    server.command = lambda: [f"--defaults-file={server.inside(empty)}" if w == "--no-defaults" else w
                              for w in usual()]
    server.start()
    server.query("set sql_log_bin = 0")
    secret = (DOCKER / "secrets/root").read_text().strip()
    server.query(f"alter user root@localhost identified by '{secret}'")
    server.connect = lambda user="root", password=secret, **more: type(server).connect(
        server, user, password, **more)
    # The image's client finds the socket by itself.
    client = tmp_path / "mysql"
    client.write_text(f'#!/bin/sh\nexec {shutil.which("mysql")} --no-defaults --socket={server.socket} "$@"\n')
    client.chmod(0o755)
    code, output = run([DOCKER / "mysql/set-up.sh"],
                       env=dict(os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}",
                                SECRETS=str(DOCKER / "secrets"), **environment))
    assert code == 0, output
    server.stop()
    server.options = listening
    server.start()


@pytest.mark.slow
def test_replicas_follow_the_primary_without_anybodys_help(tmp_path, start_volvox):
    if MySQL.objection():
        pytest.skip(MySQL.objection())
    needs("mysql")
    place = pathlib.Path(MySQL.directory_for_tests())
    servers = [MySQL(place / f"db{i}", i) for i in (1, 2, 3)]
    primary, *replicas = servers
    # The image starts from nothing; the template has accounts of its own.
    type(primary).accounts, kept = lambda self: [], type(primary).accounts
    try:
        image_starts(primary, {"ROLE": "primary"}, tmp_path)
        for replica in replicas:
            image_starts(replica, {"ROLE": "replica", "PRIMARY": "127.0.0.1",
                                   "PRIMARY_PORT": str(primary.port)}, tmp_path)
        for replica in replicas:
            wait_until(replica.replicates, 20, f"{replica.name} replicates")
            assert replica.value("select @@global.super_read_only") == 1
        primary.query("create table app.t (a int)")
        primary.query("insert into app.t values (1), (2)")
        for replica in replicas:
            assert replica.wait_for_position(primary.position(), 20)
            assert replica.value("select count(*) from app.t") == 2
            extra = replica.value("select gtid_subtract(@@global.gtid_executed, "
                                  f"'{primary.position()}')")
            assert extra == "", "the replica has transactions of its own"
        volvox = start_volvox(compose_settings(servers))
        with volvox.connect(("app", secret("app"))) as c, c.cursor() as cursor:
            cursor.execute("insert into t values (3)")
            cursor.execute("select @@server_id")
            assert cursor.fetchone()[0] in (2, 3)
    finally:
        type(primary).accounts = kept
        for server in servers:
            server.kill()
        shutil.rmtree(place, ignore_errors=True)


def secret(name):
    return (DOCKER / "secrets" / name).read_text().strip()


def compose_settings(servers):
    """The container's configuration, on this machine."""
    text = (DOCKER / "volvox.ini").read_text().replace("/run/secrets", str(DOCKER / "secrets"))
    for name, server in zip(["primary", "replica1", "replica2"], servers):
        text = text.replace(f"= {name}:3306", f"= 127.0.0.1:{server.port}")
    text = re.sub(r"= 0\.0\.0\.0:\d+", lambda _: f"= 127.0.0.1:{free_port()}", text)
    return re.sub(r"runtime_file .*", "", text)
