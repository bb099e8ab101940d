"""A Volvox process under test: writes its volvox.ini, starts it, watches how it ends.

    with Volvox(settings_for(cluster)) as volvox:
        connection = volvox.connect()

Settings are a dict of sections in the order of the file: {"volvox": {...}, "listener main":
{...}, ...}; a text is taken as it is.
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import tempfile

import pymysql

from processes import end, free_port, resident_bytes, spawn, wait_until
from servers import APP, MONITOR, OTHER, ROOT

SANITIZER = re.compile(rb"(ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer"
                       rb"|runtime error:|SUMMARY: \w+Sanitizer)")
VALUE = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')


def binary(preset=None):
    """Path of the program: of the preset, else $VOLVOX_BIN, else what has been built."""
    if preset is None and os.environ.get("VOLVOX_BIN"):
        return pathlib.Path(os.environ["VOLVOX_BIN"])
    presets = [preset] if preset else ["asan", "release", "debug"]
    found = [ROOT / "build" / p / "src/main/volvox" for p in presets]
    return next((f for f in found if f.exists()), None)


def is_sanitized(program):
    return b"__asan_" in pathlib.Path(program).read_bytes()


def settings_for(cluster, port=None, users=(APP, OTHER), server_limit=None, **volvox):
    """The usual settings for a cluster; other keywords go to the [volvox] section."""
    settings = {
        "volvox": {
            "workers": 2,
            "monitor_user": MONITOR[0],
            "monitor_password": MONITOR[1],
            "monitor_interval": "200ms",
            **volvox,
        },
        "listener main": {"address": f"127.0.0.1:{port or free_port()}"},
        "group main": {},
    }
    for server in cluster.servers:
        settings[f"server {server.name}"] = {"address": f"127.0.0.1:{server.port}"}
        if server_limit is not None:
            settings[f"server {server.name}"]["max_connections"] = server_limit
    for name, password in users:
        settings[f"user {name}"] = {"password": password}
    return settings


def ini_text(settings):
    if isinstance(settings, str):
        return settings
    sections = []
    for section, options in settings.items():
        lines = [f"[{section}]"] + [f"{name} = {value}" for name, value in options.items()]
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


class Volvox:
    start_seconds = 20

    def __init__(self, settings, program=None, directory=None, max_files=None):
        self.settings = settings
        self.program = program or binary()
        self.owns_directory = directory is None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="volvox-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.ini_path = self.directory / "volvox.ini"
        self.log_path = self.directory / "volvox.log"
        self.max_files = max_files
        self.child = None
        self.port = self._port()

    def _port(self):
        match = re.search(r"^\[listener[^\]]*\][^\[]*?^address *= *\S*:(\d+)", ini_text(self.settings),
                          re.MULTILINE)
        return int(match.group(1))

    # ---- life -------------------------------------------------------------------------

    def write_ini(self, settings=None):
        if settings is not None:
            self.settings = settings
        self.ini_path.write_text(ini_text(self.settings))
        self.ini_path.chmod(0o600)

    def start(self):
        self.write_ini()
        env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:exitcode=99:abort_on_error=0",
                   UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
                   TSAN_OPTIONS="exitcode=99")
        self.child = spawn([str(self.program), "-c", str(self.ini_path)], self.log_path, env=env,
                           max_files=self.max_files)
        try:
            wait_until(lambda: not self.is_running() or self.greets(), self.start_seconds, "volvox listens")
        except TimeoutError as e:
            raise RuntimeError(f"{e}\n{self.log_tail()}") from None
        if not self.is_running():
            raise RuntimeError(f"volvox ended with {self.child.returncode}:\n{self.log_tail()}")
        return self

    def greets(self):
        with socket.create_connection(("127.0.0.1", self.port), 2) as s:
            s.settimeout(2)
            return bool(s.recv(5))

    def is_running(self):
        return self.child is not None and self.child.poll() is None

    def stop(self, how=signal.SIGTERM, seconds=40):
        """Stop and say what was wrong with the run: AssertionError for an exit code other than
        0, for a sanitizer's report, for not ending at all."""
        code = end(self.child, how, seconds)
        self.child = None
        report = self.sanitizer_report()
        assert report is None, report
        assert code is not None, f"volvox did not stop within {seconds} s:\n{self.log_tail()}"
        assert code == 0, f"volvox ended with {code}:\n{self.log_tail()}"
        if self.owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def reload(self, settings=None):
        """SIGHUP, and wait until the log tells how it went; that line's values."""
        if settings is not None:
            self.write_ini(settings)
        mark = self.log_size()
        self.child.send_signal(signal.SIGHUP)

        def told():
            return [e for e in self.events(since=mark)
                    if e["event"] == "reloaded" or e["event"].startswith("reload refused")]

        return wait_until(told, 10, "a line about the reload")[-1]

    # ---- what it says -----------------------------------------------------------------

    def log_size(self):
        return self.log_path.stat().st_size

    def log_text(self, since=0):
        with open(self.log_path, "rb") as f:
            f.seek(since)
            return f.read().decode(errors="replace")

    def log_tail(self, lines=40):
        return "\n".join(self.log_text().splitlines()[-lines:])

    def events(self, name=None, since=0):
        """The log's lines as dicts: level, event and the other values."""
        found = []
        for line in self.log_text(since).splitlines():
            values = {k: v[1:-1] if v.startswith('"') else v for k, v in VALUE.findall(line)}
            if "event" in values and name in (None, values["event"]):
                values["level"] = line.split(" ")[1] if " " in line else ""
                found.append(values)
        return found

    def status(self):
        """All counters, as of now."""
        mark = self.log_size()
        self.child.send_signal(signal.SIGUSR2)

        def told():
            merged = {}
            for e in self.events("status", since=mark):
                merged.update((k, int(v)) for k, v in e.items() if v.isdigit())
            return merged if "sessions" in merged else None      # the last line

        return wait_until(told, 10, "the counters in the log")

    @contextlib.contextmanager
    def counting(self):
        """A dict that is filled at the end with what the counters went up by."""
        before, counted = self.status(), {}
        yield counted
        counted.update((name, value - before[name]) for name, value in self.status().items())

    def check(self):
        """It must have survived, and the sanitizers must have nothing to say."""
        report = self.sanitizer_report()
        assert report is None and self.is_running(), report or self.log_tail()

    def sanitizer_report(self):
        data = self.log_path.read_bytes() if self.log_path.exists() else b""
        match = SANITIZER.search(data)
        return data[max(0, match.start() - 200):][:8000].decode(errors="replace") if match else None

    def resident_bytes(self):
        return resident_bytes(self.child.pid)

    # ---- talking ----------------------------------------------------------------------

    def connect(self, who=APP, db=None, **more):
        more.setdefault("autocommit", None)         # as the server has it: no SET at connect
        return pymysql.connect(host="127.0.0.1", port=self.port, user=who[0], password=who[1],
                               database=db, connect_timeout=10, **more)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        elif self.child is not None:                # the first failure is what counts
            end(self.child, signal.SIGKILL)
