"""The suites: where each comes from, what must be on the server first, how it is run and read."""
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import outcomes
from servers import CACHE
from sources import Unavailable, unpack, unpack_packages


class Suite:
    name = ""
    about = ""
    families = ("mariadb", "mysql")
    seconds = 300                 # one run
    quick = False                 # leave out what takes long

    def server_options(self, family):
        """More for the server's command line."""
        return ()

    def prepare(self):
        """Fetch and build, once; Unavailable if that can't be done here."""

    def fill(self, target):
        """What the suite expects on the server."""

    def run(self, target, scratch, log):
        """Its outcomes; all output goes to the log, scratch goes away."""
        raise NotImplementedError

    def call(self, argv, log, cwd, title=None, **env):
        """The output of a program, which may fail; one that hangs is killed."""
        with open(log, "a+", errors="replace") as out:
            out.write(f"== {title}\n" if title else "")
            out.flush()
            begin = out.tell()
            child = subprocess.Popen([str(a) for a in argv], cwd=cwd, stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=subprocess.STDOUT, start_new_session=True,
                                     env=dict(os.environ, **{k: str(v) for k, v in env.items()}))
            try:
                child.wait(self.seconds)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                out.write(f"\nkilled after {self.seconds} s\n")
                out.flush()
            out.seek(begin)
            return out.read()


def need_module(name):
    if importlib.util.find_spec(name) is None:
        raise Unavailable(f"no Python module {name} here")


def need_program(name):
    if shutil.which(name) is None:
        raise Unavailable(f"no {name} here")


class PythonSuite(Suite):
    """Run by pytest."""

    def pytest(self, where, log, scratch, paths, **env):
        junit = pathlib.Path(scratch) / "junit.xml"
        self.call([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "--tb=short", "--color=no",
                   f"--junitxml={junit}", *paths], log, where, PYTHONPATH=where, PYTHONDONTWRITEBYTECODE=1, **env)
        return outcomes.from_junit(junit) if junit.exists() else {}


class PyMySQL(PythonSuite):
    name = "pymysql"
    about = "PyMySQL (Python)"

    def prepare(self):
        self.tree = unpack("python-pymysql")
        self.plugins = unpack_packages("mariadb-server") / "usr/lib/mysql/plugin"

    def server_options(self, family):
        return [f"--plugin-dir={self.plugins}"] if family == "mariadb" else []

    def fill(self, target):
        target.prepare("create database test1 default character set utf8mb4",
                       "create database test2 default character set utf8mb4",
                       "create user test2 identified by 'some password'", "grant all on test2.* to test2")
        if target.family == "mariadb":
            target.prepare("install soname 'auth_ed25519'",
                           "create function ed25519_password returns string soname 'auth_ed25519.so'")

    def run(self, target, scratch, log):
        tree = pathlib.Path(scratch) / "tree"
        shutil.copytree(self.tree, tree)
        tcp = {"host": target.host, "port": target.port}
        databases = [
            {**tcp, "user": target.user, "password": target.password, "database": "test1", "use_unicode": True,
             "local_infile": True},
            {**tcp, "user": "test2", "password": "some password", "database": "test2"},
            {**tcp, "host": "localhost", "user": "test2", "password": "some password", "database": "test2",
             "unix_socket": target.socket},
        ]
        (tree / "pymysql/tests/databases.json").write_text(json.dumps(databases))
        return self.pytest(tree, log, scratch, ["pymysql"], USER="nobody")


class MySQLClient(PythonSuite):
    name = "mysqlclient"
    about = "mysqlclient (Python on Connector/C)"

    def prepare(self):
        need_module("MySQLdb")
        self.tree = unpack("python-mysqldb")

    def fill(self, target):
        target.prepare("create database if not exists test")

    def run(self, target, scratch, log):
        tests = pathlib.Path(scratch) / "tests"
        shutil.copytree(self.tree / "tests", tests)         # Debian's module, not the tree's
        (tests / "suite.cnf").write_text(
            f"[MySQLdb-tests]\nhost = {target.host}\nport = {target.port}\nuser = {target.user}\n"
            f"password = {target.password}\ndatabase = test\ndefault-character-set = utf8mb4\n")
        return self.pytest(tests, log, scratch, ["."], TESTDB="suite.cnf")


class GoDriver(Suite):
    name = "go"
    about = "go-sql-driver/mysql (Go)"
    place = pathlib.Path("/usr/share/gocode/src/github.com/go-sql-driver/mysql")
    slow = re.compile(r"Test(LongData|ConnectorReturnsTimeout|StaleConnectionChecks|Concurrent|ContextCancel.*)")

    def prepare(self):
        need_program("go")
        if not (self.place / "driver_test.go").exists():
            raise Unavailable("no golang-github-go-sql-driver-mysql-dev here")
        self.program = CACHE / "suites/go-driver.test"
        if not self.program.exists():
            # Debian's packages are a GOPATH; modules would want the network.
            env = dict(os.environ, GOPATH="/usr/share/gocode", GO111MODULE="off", GOFLAGS="", GOCACHE=str(CACHE / "go"))
            done = subprocess.run(["go", "test", "-c", "-o", str(self.program), "."], cwd=self.place, env=env,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0:
                raise Unavailable(f"go test -c: {done.stdout.strip()[-300:]}")

    def fill(self, target):
        target.prepare("create database if not exists gotest")

    def chosen(self):
        if not self.quick:
            return []
        listed = subprocess.check_output([self.program, "-test.list", "^Test"], text=True).split()
        return ["-test.run", f"^({'|'.join(name for name in listed if not self.slow.fullmatch(name))})$"]

    def run(self, target, scratch, log):
        output = self.call(["go", "tool", "test2json", self.program, "-test.v", *self.chosen()], log, scratch,
                           MYSQL_TEST_USER=target.user, MYSQL_TEST_PASS=target.password, MYSQL_TEST_PROT="tcp",
                           MYSQL_TEST_ADDR=f"{target.host}:{target.port}", MYSQL_TEST_DBNAME="gotest",
                           MYSQL_TEST_CONCURRENT="1")
        return outcomes.from_go(output)


class PerlSuite(Suite):
    """t/*.t of a database driver; the module is Debian's own."""
    driver = package = ""

    def prepare(self):
        need_program("perl")
        found = subprocess.run(["perl", f"-MDBD::{self.driver}", "-e1"], stderr=subprocess.DEVNULL)
        if found.returncode != 0:
            raise Unavailable(f"no {self.package} here")
        self.tree = unpack(self.package)

    def fill(self, target):
        target.prepare("create database if not exists test",
                       "alter database test character set utf8mb4 collate utf8mb4_unicode_ci")

    def run(self, target, scratch, log):
        tree = pathlib.Path(scratch) / "tree"
        shutil.copytree(self.tree, tree)
        dsn = f"DBI:{self.driver}:database=test;host={target.host};port={target.port}"
        values = {"host": target.host, "port": target.port, "user": target.user, "password": target.password,
                  "db": "test", "dsn": dsn}
        lines = [f"$::test_{name} = '{value}';\n" for name, value in values.items()]
        (tree / f"t/{self.driver}.mtest").write_text("".join(lines) + "1;\n")
        found = {}
        for test in sorted((tree / "t").glob("*.t")):
            output = self.call(["perl", "-I.", f"t/{test.name}"], log, tree, title=test.name)
            found.update(outcomes.from_tap(output, test.name))
        return found


class DBDMariaDB(PerlSuite):
    name, driver, package = "dbd-mariadb", "MariaDB", "libdbd-mariadb-perl"
    about = "DBD::MariaDB (Perl on Connector/C)"


class DBDMySQL(PerlSuite):
    name, driver, package = "dbd-mysql", "mysql", "libdbd-mysql-perl"
    about = "DBD::mysql (Perl on Connector/C)"


class ConnectorC(Suite):
    name = "connector-c"
    about = "MariaDB Connector/C's own tests"
    programs = ("basic-t", "bulk1", "charset", "conc336", "connection", "cursor", "errors", "features-10_2", "fetch",
                "misc", "ps", "ps_bugs", "ps_new", "result", "sp", "thread", "view", "async", "logs", "dyncol")

    def prepare(self):
        need_program("cmake")
        need_program("ninja")
        tree = unpack("mariadb", only="libmariadb") / "libmariadb"
        self.built = CACHE / "suites/connector-c"
        if (self.built / "done").exists():
            return
        for argv in (["cmake", "-G", "Ninja", "-S", tree, "-B", self.built, "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                      "-DCMAKE_C_FLAGS=-w", "-DWITH_UNIT_TESTS=ON", "-DWITH_CURL=OFF"],
                     ["cmake", "--build", self.built]):
            done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0:
                raise Unavailable(f"building Connector/C: {done.stdout.strip()[-300:]}")
        (self.built / "done").touch()

    def fill(self, target):
        target.prepare("create database if not exists test")

    def run(self, target, scratch, log):
        found = {}
        where = {"MARIADB_CC_TEST": 1, "MYSQL_TEST_HOST": target.host, "MYSQL_TEST_PORT": target.port,
                 "MYSQL_TEST_USER": target.user, "MYSQL_TEST_PASSWD": target.password, "MYSQL_TEST_DB": "test",
                 "MYSQL_TEST_SOCKET": target.socket, "MYSQL_TEST_PLUGINDIR": self.built,
                 "MARIADB_PLUGIN_DIR": self.built}      # (for its first connection)
        for program in self.programs:
            output = self.call([self.built / "unittest/libmariadb" / program], log, scratch, title=program, **where)
            found.update(outcomes.from_tap(output, program, by_title=True))
        return found


class ClientTest(Suite):
    """MariaDB's program that talks the protocol in 300 ways; a test that fails ends it."""
    name = "client-test"
    about = "mariadb-client-test (from the server's tests)"
    seconds = 60

    def prepare(self):
        self.program = unpack_packages("mariadb-test") / "usr/bin/mariadb-client-test"
        listed = subprocess.run([self.program, "--no-defaults", "--show-tests"], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)
        self.tests = [line for line in listed.stdout.splitlines() if line and " " not in line]
        if listed.returncode not in (0, 1) or not self.tests:
            raise Unavailable(f"mariadb-client-test: {listed.stdout.strip()[-200:]}")

    def run(self, target, scratch, log):
        found = {}
        argv = [self.program, "--no-defaults", f"--host={target.host}", f"--port={target.port}",
                f"--user={target.user}", f"--vardir={scratch}", f"--basedir={scratch}", "--silent"]
        for test in self.tests:
            output = self.call([*argv, test], log, scratch, title=test)
            found[test] = "passed" if "All '1' tests were successful" in output else "failed"
        return found


class PHP(Suite):
    name = "php"
    about = "PHP's mysqli and pdo_mysql (mysqlnd)"
    seconds = 1200

    def prepare(self):
        need_program("php")
        version = subprocess.check_output(["php", "-r", "echo PHP_MAJOR_VERSION, '.', PHP_MINOR_VERSION;"], text=True)
        for extension in ("mysqli", "pdo_mysql"):
            if subprocess.run(["php", "-r", f"exit(extension_loaded('{extension}') ? 0 : 1);"]).returncode != 0:
                raise Unavailable(f"no {extension} in PHP here")
        self.tree = unpack(f"php{version}")

    def fill(self, target):
        target.prepare("create database if not exists test")

    def run(self, target, scratch, log):
        results = pathlib.Path(scratch) / "results"
        places = [pathlib.Path(scratch) / "ext" / extension / "tests" for extension in ("mysqli", "pdo_mysql", "pdo")]
        for place in places:                    # run-tests.php writes beside the tests
            shutil.copytree(self.tree / "ext" / place.parent.name / "tests", place)
        self.call(["php", self.tree / "run-tests.php", "-p", shutil.which("php"), "-q", "--offline", "--no-progress",
                   "--no-color", "--set-timeout", "60", "-W", results, *places[:2]], log, scratch,
                  MYSQL_TEST_HOST=target.host, MYSQL_TEST_PORT=target.port, MYSQL_TEST_USER=target.user,
                  MYSQL_TEST_PASSWD=target.password, MYSQL_TEST_DB="test", MYSQL_TEST_SOCKET=target.socket,
                  PDO_MYSQL_TEST_DSN=f"mysql:host={target.host};port={target.port};dbname=test",
                  PDO_MYSQL_TEST_USER=target.user, PDO_MYSQL_TEST_PASS=target.password,
                  PDO_MYSQL_TEST_HOST=target.host, PDO_MYSQL_TEST_PORT=target.port, PDO_MYSQL_TEST_DB="test",
                  PDO_MYSQL_TEST_SOCKET=target.socket, NO_INTERACTION=1, REPORT_EXIT_STATUS=0)
        return outcomes.from_php(results.read_text()) if results.exists() else {}


class MTR(Suite):
    """The server's own test program, with tests that a server started by others passes."""
    name = "mtr"
    about = "mariadb-test-run --extern, main suite"
    families = ("mariadb",)
    seconds = 60                  # each of them
    packages = ("mariadb-test", "mariadb-test-data", "mariadb-server", "mariadb-server-core", "mariadb-client",
                "mariadb-client-core", "mariadb-common", "libpcre2-posix3")
    tests = """alias auto_increment case cast func_concat func_if func_isnull func_op func_regexp func_set func_timestamp
        get_diagnostics insert_update kill limit prepare ps_10nestset ps_11bugs replace rollback row signal
        signal_demo1 sp-vars type_date type_datetime type_enum type_int type_nchar type_newdecimal type_num
        type_set type_time type_uint type_year user_var""".split()

    def prepare(self):
        need_program("perl")
        self.root = unpack_packages(*self.packages)

    def server_options(self, family):
        return ["--character-set-server=latin1", "--collation-server=latin1_swedish_ci",
                "--default-storage-engine=myisam", "--default-time-zone=+03:00", "--max-allowed-packet=16M",
                "--log-bin-trust-function-creators=1", "--gtid-strict-mode=0", "--skip-log-bin", "--sql-mode="]

    def fill(self, target):
        target.prepare("create database if not exists mtr")

    def run(self, target, scratch, log):
        found = {}
        place = self.root / "usr/share/mysql/mysql-test"
        for test in self.tests:
            target.prepare("drop database if exists test", "create database test")
            output = self.call(["perl", "./mtr", "--extern", f"host={target.host}", "--extern", f"port={target.port}",
                                "--extern", f"user={target.user}", "--extern", f"socket={target.socket}", "--force",
                                "--nowarnings", f"--vardir={scratch}/var", "--testcase-timeout=1", f"main.{test}"],
                               log, place, LD_LIBRARY_PATH=self.root / "usr/lib/x86_64-linux-gnu")
            told = re.search(r"\[ (pass|fail|skipped|disabled) \]", output)
            found[test] = {"pass": "passed", "fail": "failed", None: "failed"}.get(told and told.group(1), "skipped")
        return found


SUITES = {suite.name: suite for suite in (PyMySQL(), MySQLClient(), GoDriver(), DBDMariaDB(), DBDMySQL(),
                                          ConnectorC(), ClientTest(), PHP(), MTR())}
