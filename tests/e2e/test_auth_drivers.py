"""Logins and changes of user by what people use, to accounts whose password is in the file, whose hash is
in the file, and which only the servers know."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import proofs
from families import Family, families
from servers import CACHE, MySQL
from test_drivers import DRIVERS, compile_with, mysql2, needs               # noqa: F401: a fixture
from volvox import settings_for

SECRET = "for-drivers"
ACCOUNTS = {
    "mariadb": {"d_native": f"identified via mysql_native_password using password('{SECRET}')",
                "d_empty": "identified by ''",
                "d_ed25519": f"identified via ed25519 using password('{SECRET}')"},
    "mysql": {"d_sha2": f"identified with caching_sha2_password by '{SECRET}'",
              "d_empty": "identified with caching_sha2_password by ''",
              "d_sha256": f"identified with sha256_password by '{SECRET}'"},
}
HASHES = [proofs.native_hash(SECRET.encode()),
          proofs.as_hex(proofs.mysql_hash(SECRET.encode(), b"salt of twenty bytes", 10)),
          proofs.ed25519_key(SECRET.encode())]


class Accounts(Family):
    def __init__(self, family):
        super().__init__(family, ACCOUNTS)

    def accounts(self, without=()):
        return [(name, "" if name == "d_empty" else SECRET) for name in ACCOUNTS[self.family]
                if name not in without]


mariadb_family, mysql_family, family = families(Accounts)


@pytest.fixture(params=["clear", "hash", "servers"])
def volvox(request, family, start_volvox):
    settings = settings_for(family.cluster, users=())
    if request.param == "servers":
        settings["group main"]["auth"] = "servers"
    for number, (name, password) in enumerate(family.accounts()):
        if request.param == "clear" or (request.param == "hash" and not password):
            settings[f"user {name}"] = {"password": password}
        elif request.param == "hash":
            # one of a form that tokens of the family's usual plugin don't suffice for
            settings[f"user {name}"] = {"password_hash": HASHES[number]}
    return start_volvox(settings)


def expect(argv, volvox, family, without=(), changes=True, **more):
    """The names that the program must print: of each account, and of the next one."""
    accounts = family.accounts(without)
    flat = [word for account in accounts for word in account]
    done = subprocess.run([str(a) for a in [*argv, "127.0.0.1", volvox.port, *flat]], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, **more)
    names = [f"{name}@%" for name, _ in accounts]
    wanted = names
    if changes:
        wanted = [n for i, name in enumerate(names) for n in (name, names[(i + 1) % len(names)])]
    assert done.returncode == 0, done.stdout
    assert done.stdout.split() == wanted


NO_ED25519 = ("d_ed25519",)               # drivers without it; see the tests of the C client


def test_pymysql(volvox, family):
    expect([sys.executable, DRIVERS / "login_python.py", "pymysql"], volvox, family, NO_ED25519, changes=False)


def test_the_c_client_of_mariadb(volvox, family):
    expect([sys.executable, DRIVERS / "login_python.py", "MySQLdb"], volvox, family)


def test_php_mysqli(volvox, family):
    needs("php")
    expect(["php", DRIVERS / "login.php"], volvox, family, NO_ED25519)


def test_node_mysql2(volvox, family, mysql2):                               # noqa: F811
    # (a change to an empty password is one to the password before, there)
    expect(["node", DRIVERS / "login.js"], volvox, family, (*NO_ED25519, "d_empty"),
           env=dict(os.environ, NODE_PATH=str(mysql2)))


@pytest.fixture(scope="module")
def go_program(tmp_path_factory):
    needs("go")
    if not pathlib.Path("/usr/share/gocode/src/github.com/go-sql-driver/mysql").is_dir():
        pytest.skip("no golang-github-go-sql-driver-mysql-dev here")
    program = tmp_path_factory.mktemp("login") / "login_go"
    env = dict(os.environ, GOPATH="/usr/share/gocode", GO111MODULE="off", GOFLAGS="", GOCACHE=str(CACHE / "go"))
    compile_with(["go", "build", "-o", program, DRIVERS / "login.go"], env)
    return program


def test_go(volvox, family, go_program):
    expect([go_program], volvox, family, NO_ED25519, changes=False)


def clients():
    found = []
    if shutil.which("mariadb"):
        found.append(["mariadb", "--skip-ssl"])
    if MySQL.objection() is None:
        found.append(["chroot", str(MySQL.root), "mysql", "--no-defaults", "--ssl-mode=DISABLED",
                      "--get-server-public-key"])
    return found


@pytest.mark.parametrize("client", clients(), ids=lambda c: "mysql" if "chroot" in c else "mariadb")
def test_command_line_clients(volvox, family, client):
    for name, password in family.accounts(NO_ED25519 if "chroot" in client else ()):
        for _ in range(2):
            done = subprocess.run([*client, "-h127.0.0.1", f"-P{volvox.port}", f"-u{name}", f"-p{password}",
                                   "--skip-column-names", "-e", "select current_user()"],
                                  capture_output=True, text=True, timeout=60)
            assert done.stdout.strip() == f"{name}@%", done.stderr
