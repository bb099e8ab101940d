"""The admin port and the programs that people use: what they ask at their start, and then a query."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from conftest import DIRECT
from servers import CACHE, MYSQL_ROOT, MySQL
from test_admin import ADMIN, Admin, admin_settings
from test_drivers import mysql2                                             # noqa: F401 (a fixture)
from volvox import Volvox

pytestmark = pytest.mark.skipif(DIRECT, reason="needs Volvox")


@pytest.fixture(scope="module")
def admin(mariadb_place):
    volvox = Volvox(admin_settings(mariadb_place.cluster)).start()
    yield Admin(volvox)
    volvox.stop()


def run(argv, text=None, env=None, seconds=60):
    done = subprocess.run([str(a) for a in argv], input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=seconds, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needs(program):
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")


def shell(program, admin, text, *more):
    """What a command line client prints, tab-separated."""
    return run([*program, "--no-defaults", "-h127.0.0.1", f"-P{admin.port}", f"-u{ADMIN[0]}", f"-p{ADMIN[1]}", *more],
               text)


SESSION = """\
status
use volvox;
show tables;
select name, role from servers order by name;
set queue_timeout = 3s;
server db2 weight 50;
select weight from servers where name = 'db2'\\G
start transaction; commit;
help contents;
"""


def check_session(output):
    assert "Volvox" in output or "volvox" in output
    assert "servers\n" in output and "counters\n" in output
    assert "db1\tprimary" in output and "db2\treplica" in output
    assert "weight: 50" in output or "weight\n50" in output


def test_the_mariadb_client(admin):
    needs("mariadb")
    check_session(shell(["mariadb"], admin, SESSION))
    # with completion of names: it asks for every table's columns
    check_session(shell(["mariadb"], admin, SESSION, "--auto-rehash", "-Dvolvox"))


@pytest.mark.skipif(MySQL.objection() is not None, reason=str(MySQL.objection()))
def test_the_mysql_client(admin):
    program = ["chroot", MYSQL_ROOT, "mysql"]
    # since version 9 it has no commands of its own unless asked for
    session = SESSION.replace("status\n", "select version();\n").replace("\\G\n", ";\n")
    check_session(shell(program, admin, session))
    check_session(shell(program, admin, session, "--auto-rehash", "-Dvolvox"))


@pytest.mark.skipif(MySQL.objection() is not None, reason=str(MySQL.objection()))
def test_mysqladmin_and_mysqlshow(admin):
    where = ["--no-defaults", "-h127.0.0.1", f"-P{admin.port}", f"-u{ADMIN[0]}", f"-p{ADMIN[1]}"]
    assert "alive" in run(["chroot", MYSQL_ROOT, "mysqladmin", *where, "ping"])
    assert "Workers: 2" in run(["chroot", MYSQL_ROOT, "mysqladmin", *where, "status"])
    assert "max_allowed_packet" in run(["chroot", MYSQL_ROOT, "mysqladmin", *where, "variables"])
    run(["chroot", MYSQL_ROOT, "mysqladmin", *where, "processlist"])
    if (MYSQL_ROOT / "usr/bin/mysqlshow").exists():
        assert "probe_us" in run(["chroot", MYSQL_ROOT, "mysqlshow", *where, "volvox", "servers"])


def test_mariadb_show(admin):
    needs("mariadb-show")
    where = ["--no-defaults", "-h127.0.0.1", f"-P{admin.port}", f"-u{ADMIN[0]}", f"-p{ADMIN[1]}"]
    assert "volvox" in run(["mariadb-show", *where])
    assert "pins" in run(["mariadb-show", *where, "volvox"])
    assert "probe_us" in run(["mariadb-show", *where, "volvox", "servers"])


def test_mycli(admin):
    needs("mycli")
    output = run(["mycli", "--csv", "--no-warn", "-h", "127.0.0.1", "-P", admin.port, "-u", ADMIN[0], "-p", ADMIN[1],
                  "-e", "select name, role from servers order by name"])
    assert "db1" in output and "primary" in output


@pytest.mark.parametrize("module", ["pymysql", "MySQLdb"])
def test_python(admin, module):
    program = f"""
import {module} as m
c = m.connect(host='127.0.0.1', port={admin.port}, user={ADMIN[0]!r}, password={ADMIN[1]!r}, database='volvox')
cursor = c.cursor()
cursor.execute('select name, weight, null from servers where name = %s', ('db1',))
assert cursor.fetchall() == (('db1', 100, None),)
c.commit(); c.rollback(); c.ping()
try:
    cursor.execute('select nmae from servers')
except Exception as e:
    assert e.args[0] == 1054, e
else:
    raise AssertionError('no error')
print('ok')
"""
    if subprocess.run([sys.executable, "-c", f"import {module}"], stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip(f"no {module} here")
    assert run([sys.executable, "-c", program]) == "ok\n"


def test_node_mysql2(admin, mysql2):                                        # noqa: F811
    program = f"""
const mysql = require('mysql2/promise');
(async () => {{
  const c = await mysql.createConnection({{host: '127.0.0.1', port: {admin.port}, user: '{ADMIN[0]}',
                                           password: '{ADMIN[1]}', database: 'volvox'}});
  const [plain] = await c.query('select name, weight from servers where name = ?', ['db1']);
  const [bound] = await c.execute('select name, weight, ? as x from servers where name = ?', [5, 'db1']);
  if (plain[0].weight !== 100 || bound[0].weight !== 100 || bound[0].name !== 'db1') throw Error(JSON.stringify([plain, bound]));
  await c.execute('reload dry run');
  await c.changeUser({{user: 'looker', password: 'looker-secret'}});
  await c.query('pause').then(() => {{ throw Error('paused'); }}, e => {{ if (e.errno !== 1227) throw e; }});
  await c.end();
  console.log('ok');
}})();
"""
    assert run(["node", "-e", program], env=dict(os.environ, NODE_PATH=str(mysql2))) == "ok\n"


def test_go(admin, tmp_path):
    needs("go")
    if not pathlib.Path("/usr/share/gocode/src/github.com/go-sql-driver/mysql").is_dir():
        pytest.skip("no golang-github-go-sql-driver-mysql-dev here")
    source = tmp_path / "main.go"
    source.write_text(f"""
package main
import (
    "database/sql"
    "fmt"
    _ "github.com/go-sql-driver/mysql"
)
func must(err error) {{ if err != nil {{ panic(err) }} }}
func main() {{
    db, err := sql.Open("mysql", "{ADMIN[0]}:{ADMIN[1]}@tcp(127.0.0.1:{admin.port})/volvox")
    must(err)
    must(db.Ping())
    var name string
    var weight int
    must(db.QueryRow("select name, weight from servers where name = ?", "db1").Scan(&name, &weight))
    must(db.QueryRow("select name, weight from servers limit 1").Scan(&name, &weight))
    if name != "db1" || weight != 100 {{ panic(name) }}
    _, err = db.Exec("set queue_timeout = 3s")
    must(err)
    tx, err := db.Begin()
    must(err)
    must(tx.Commit())
    fmt.Println("ok")
}}
""")
    env = dict(os.environ, GOPATH="/usr/share/gocode", GO111MODULE="off", GOFLAGS="", GOCACHE=str(CACHE / "go"))
    run(["go", "build", "-o", tmp_path / "program", source], env=env, seconds=120)
    assert run([tmp_path / "program"]) == "ok\n"


@pytest.mark.parametrize("emulated", ["true", "false"])
def test_php_pdo(admin, emulated):
    needs("php")
    program = f"""
$c = new PDO('mysql:host=127.0.0.1;port={admin.port};dbname=volvox;charset=utf8mb4', '{ADMIN[0]}', '{ADMIN[1]}',
             [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_EMULATE_PREPARES => {emulated}]);
$st = $c->prepare('select name, weight, null as n from servers where name = ? limit 1');
$st->execute(['db1']);
$row = $st->fetch(PDO::FETCH_ASSOC);
if ($row['name'] !== 'db1' || (int)$row['weight'] !== 100 || $row['n'] !== null) die(var_export($row, true));
$c->beginTransaction(); $c->commit();
try {{ $c->query('selct 1'); die('no error'); }} catch (PDOException $e) {{ if ($e->errorInfo[1] !== 1064) throw $e; }}
echo "ok\\n";
"""
    assert run(["php", "-r", program]) == "ok\n"


def test_perl_dbd_mariadb(admin):
    needs("perl")
    if subprocess.run(["perl", "-MDBD::MariaDB", "-e1"], stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("no DBD::MariaDB here")
    program = f"""
use DBI;
my $c = DBI->connect('DBI:MariaDB:host=127.0.0.1;port={admin.port};database=volvox;mariadb_server_prepare=1', '{ADMIN[0]}',
                     '{ADMIN[1]}', {{ RaiseError => 1, PrintError => 0 }});
my ($name, $weight) = $c->selectrow_array('select name, weight from servers where name = ?', undef, 'db1');
die "$name $weight" unless $name eq 'db1' && $weight == 100;
print join(' ', sort map {{ /(\\w+)`?$/ }} $c->tables()) =~ /servers/ ? "ok\\n" : "no tables\\n";
"""
    assert run(["perl", "-e", program]) == "ok\n"


# What graphical tools send when they connect and when they open a table; from their public sources and logs.
QUESTIONS = {
    "Connector/J": [
        "/* mysql-connector-j-8.0.33 */SELECT  @@session.auto_increment_increment AS auto_increment_increment, "
        "@@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, "
        "@@character_set_results AS character_set_results, @@character_set_server AS character_set_server, "
        "@@collation_server AS collation_server, @@collation_connection AS collation_connection, "
        "@@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, "
        "@@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, "
        "@@net_write_timeout AS net_write_timeout, @@performance_schema AS performance_schema, "
        "@@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, "
        "@@transaction_isolation AS transaction_isolation, @@wait_timeout AS wait_timeout",
        "SET character_set_results = NULL", "SET autocommit=1", "SHOW WARNINGS",
        "SET sql_mode=CONCAT(@@sql_mode,',STRICT_TRANS_TABLES')", "select @@session.transaction_read_only",
        "/* ping */ SELECT 1", "SELECT DATABASE()",
    ],
    "DBeaver": [
        "SET SESSION TRANSACTION READ WRITE", "SELECT @@GLOBAL.character_set_server,@@GLOBAL.collation_server",
        "SHOW PLUGINS", "SHOW ENGINES", "SHOW CHARSET", "SHOW COLLATION", "SHOW DATABASES",
        "SHOW VARIABLES LIKE 'lower_case_table_names'", "SHOW FULL TABLES FROM `volvox`",
        "SELECT * FROM information_schema.TABLES t WHERE t.TABLE_SCHEMA = 'information_schema' "
        "AND t.TABLE_NAME = 'CHECK_CONSTRAINTS'",
        "SHOW TABLE STATUS FROM `volvox`",
        "SELECT * FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='volvox' AND TABLE_NAME='servers' "
        "ORDER BY ORDINAL_POSITION",
        "SELECT * FROM INFORMATION_SCHEMA.STATISTICS WHERE TABLE_SCHEMA='volvox' AND TABLE_NAME='servers' "
        "ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
        "SHOW CREATE TABLE volvox.servers", "SELECT DATABASE()", "SET SESSION sql_select_limit=200",
        "SELECT * FROM volvox.servers LIMIT 0, 200",
    ],
    "HeidiSQL": [
        "SELECT CONNECTION_ID()", "SHOW VARIABLES", "SHOW /*!50002 GLOBAL */ STATUS", "SELECT NOW()",
        "SHOW VARIABLES LIKE 'skip_name_resolve'", "SELECT `DEFAULT_COLLATION_NAME` FROM "
        "`information_schema`.`SCHEMATA` WHERE `SCHEMA_NAME`='volvox'", "SHOW TABLE STATUS FROM `volvox`",
        "SHOW FUNCTION STATUS WHERE `Db`='volvox'", "SHOW PROCEDURE STATUS WHERE `Db`='volvox'",
        "SHOW TRIGGERS FROM `volvox`", "SELECT *, EVENT_SCHEMA AS `Db`, EVENT_NAME AS `Name` FROM "
        "information_schema.`EVENTS` WHERE `EVENT_SCHEMA`='volvox'",
        "SELECT * FROM `information_schema`.`COLUMNS` WHERE TABLE_SCHEMA='volvox' AND TABLE_NAME='servers' "
        "ORDER BY ORDINAL_POSITION", "SHOW INDEXES FROM `servers` FROM `volvox`",
        "SELECT * FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA='volvox'",
        "SELECT * FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA='volvox'",
        "SHOW FULL PROCESSLIST", "SHOW CREATE TABLE `volvox`.`servers`",
    ],
    "Workbench": [
        "SET NAMES 'utf8mb4'", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET autocommit=1",
        "SET CHARACTER SET utf8", "SHOW SESSION VARIABLES LIKE 'lower_case_table_names'",
        "SHOW SESSION VARIABLES LIKE 'sql_mode'", "SHOW SESSION STATUS LIKE 'Ssl_cipher'",
        "SELECT current_user()", "SELECT @@version_compile_os, @@hostname, @@version", "SET SQL_SAFE_UPDATES=1",
        "SELECT CONNECTION_ID()", "SHOW GLOBAL VARIABLES", "SHOW GLOBAL STATUS", "SHOW GRANTS",
        "SHOW DATABASES", "SHOW FULL COLUMNS FROM `volvox`.`servers`", "SHOW INDEXES FROM `volvox`.`servers`",
        "SELECT st.* FROM information_schema.tables st WHERE st.table_schema = 'volvox'",
    ],
}


@pytest.mark.parametrize("tool", sorted(QUESTIONS))
def test_the_questions_of_graphical_tools_are_answered(admin, tool):
    with admin.raw() as c:
        for sql in QUESTIONS[tool]:
            try:
                c.query(sql)
            except Exception as e:
                pytest.fail(f"{sql}: {e}")
