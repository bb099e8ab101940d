"""What people use: each driver does queries, prepared statements, transactions, errors; in clear, in
TLS, and compressed where it can."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from conftest import DIRECT
from processes import wait_until
from servers import APP, CACHE
from volvox import Volvox, settings_for

pytestmark = pytest.mark.all_kinds

DRIVERS = pathlib.Path(__file__).resolve().parent / "drivers"
MYSQL2_VERSION = "3.11.0"


@pytest.fixture(scope="module")
def in_tls(authority):
    """in_tls(place) -> a Volvox in front of the same servers, with a certificate of `authority`."""
    started = {}

    def get(place):
        if place.kind not in started:
            shown = authority.issue("volvox.test", ["127.0.0.1"])
            settings = settings_for(place.cluster, tls_certificate=shown.certificate, tls_key=shown.key)
            settings["listener main"]["tls"] = "required"
            started[place.kind] = Volvox(settings).start()
        return started[place.kind]

    yield get
    for volvox in started.values():
        volvox.stop()


class Way:
    """To a place: the port to connect to, and what to tell the program by its environment."""

    def __init__(self, port, told, volvox):
        self.port, self.told, self.volvox = port, told, volvox

    def packed_bytes(self):
        return self.volvox.status()["compressed_clients_wire"] if self.volvox else 0


def way_to(place, how, authority, in_tls):
    told, volvox = {}, place.volvox
    if "compressed" in how:
        told["VOLVOX_COMPRESS"] = "1"
    if "tls" not in how or DIRECT:
        return Way(place.port, told, volvox)
    volvox = in_tls(place)
    return Way(volvox.port, {**told, "VOLVOX_TLS_CA": str(authority.certificate)}, volvox)


@pytest.fixture(params=["clear", "tls"])
def way(request, place, authority, in_tls):
    return way_to(place, request.param, authority, in_tls)


@pytest.fixture(params=["clear", "tls", "compressed", "compressed-tls"])
def any_way(request, place, authority, in_tls):
    """For drivers that can compress: they must have done it."""
    way = way_to(place, request.param, authority, in_tls)
    before = way.packed_bytes()
    yield way
    if "VOLVOX_COMPRESS" in way.told and way.volvox:
        wait_until(lambda: way.packed_bytes() > before, 10, "the driver's compressed bytes")


def run(argv, way, **more):
    """The program must say ok, in front of this place."""
    port, told = way.port, way.told
    arguments = ["127.0.0.1", str(port), *APP, "shop"]
    env = dict(os.environ, **told, **more)
    done = subprocess.run([str(a) for a in [*argv, *arguments]], stdout=subprocess.PIPE, timeout=60,
                          stderr=subprocess.STDOUT, text=True, env=env)
    assert (done.returncode, done.stdout.strip()) == (0, "ok"), done.stdout


def needs(program):
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")


def run_python(module, way):
    found = subprocess.run([sys.executable, "-c", f"import {module}"], stderr=subprocess.DEVNULL)
    if found.returncode != 0:
        pytest.skip(f"no {module} here")
    run([sys.executable, DRIVERS / "driver_python.py", module], way)


def test_pymysql(way):
    run_python("pymysql", way)


def test_mysqlclient(any_way):
    run_python("MySQLdb", any_way)


def test_php_pdo(any_way):
    needs("php")
    run(["php", DRIVERS / "driver.php"], any_way)


def test_perl_dbd_mariadb(any_way):
    needs("perl")
    if subprocess.run(["perl", "-MDBD::MariaDB", "-e1"], stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("no DBD::MariaDB here")
    run(["perl", DRIVERS / "driver.pl"], any_way)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return tmp_path_factory.mktemp("drivers")


def compile_with(argv, env=None):
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, env=env)
    assert done.returncode == 0, done.stdout


def test_the_c_client(any_way, built):
    program = built / "driver_c"
    if not program.exists():
        flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", "libmariadb"], text=True).split()
        compile_with(["cc", "-Wall", "-o", program, DRIVERS / "driver.c", *flags])
    run([program], any_way)


def test_go(way, built):
    needs("go")
    sources = pathlib.Path("/usr/share/gocode/src/github.com/go-sql-driver/mysql")
    if not sources.is_dir():
        pytest.skip("no golang-github-go-sql-driver-mysql-dev here")
    program = built / "driver_go"
    if not program.exists():
        # Debian's packages are a GOPATH; modules would want the network.
        env = dict(os.environ, GOPATH="/usr/share/gocode", GO111MODULE="off", GOFLAGS="",
                   GOCACHE=str(CACHE / "go"))
        compile_with(["go", "build", "-o", program, DRIVERS / "driver.go"], env)
    run([program], way)


@pytest.fixture(scope="module")
def mysql2():
    """A directory with mysql2 in it, fetched once into the cache."""
    for program in ("node", "npm"):
        needs(program)
    directory = CACHE / f"mysql2-{MYSQL2_VERSION}"
    if not (directory / "node_modules/mysql2/package.json").exists():
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "package.json").write_text("{}\n")
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts",
                               f"mysql2@{MYSQL2_VERSION}"], cwd=directory, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)
        if done.returncode != 0:
            pytest.skip(f"npm cannot fetch mysql2: {done.stdout.strip().splitlines()[-1:]}")
    return directory / "node_modules"


def test_node_mysql2(any_way, mysql2):
    run(["node", "--no-deprecation", DRIVERS / "driver.js"], any_way, NODE_PATH=str(mysql2))
