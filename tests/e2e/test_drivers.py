"""What people use: each driver does queries, prepared statements, transactions, errors."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from servers import APP, CACHE

pytestmark = pytest.mark.all_kinds

DRIVERS = pathlib.Path(__file__).resolve().parent / "drivers"
MYSQL2_VERSION = "3.11.0"


def run(argv, place, **more):
    """The program must say ok, in front of this place."""
    arguments = ["127.0.0.1", str(place.port), *APP, "shop"]
    done = subprocess.run([str(a) for a in [*argv, *arguments]], stdout=subprocess.PIPE, timeout=60,
                          stderr=subprocess.STDOUT, text=True, **more)
    assert (done.returncode, done.stdout.strip()) == (0, "ok"), done.stdout


def needs(program):
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")


@pytest.mark.parametrize("module", ["pymysql", "MySQLdb"])
def test_python(place, module):
    found = subprocess.run([sys.executable, "-c", f"import {module}"], stderr=subprocess.DEVNULL)
    if found.returncode != 0:
        pytest.skip(f"no {module} here")
    run([sys.executable, DRIVERS / "driver_python.py", module], place)


def test_php_pdo(place):
    needs("php")
    run(["php", DRIVERS / "driver.php"], place)


def test_perl_dbd_mariadb(place):
    needs("perl")
    if subprocess.run(["perl", "-MDBD::MariaDB", "-e1"], stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("no DBD::MariaDB here")
    run(["perl", DRIVERS / "driver.pl"], place)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return tmp_path_factory.mktemp("drivers")


def compile_with(argv, env=None):
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, env=env)
    assert done.returncode == 0, done.stdout


def test_the_c_client(place, built):
    program = built / "driver_c"
    if not program.exists():
        flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", "libmariadb"], text=True).split()
        compile_with(["cc", "-Wall", "-o", program, DRIVERS / "driver.c", *flags])
    run([program], place)


def test_go(place, built):
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
    run([program], place)


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


def test_node_mysql2(place, mysql2):
    run(["node", DRIVERS / "driver.js"], place, env=dict(os.environ, NODE_PATH=str(mysql2)))
