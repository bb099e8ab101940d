"""BEGIN and SET autocommit = 0 that no server hears of before there is something to do: each answer is compared
with the server's own."""
import pytest

from processes import wait_until
from volvox import Volvox, settings_for
from wire import BASE, COM_INIT_DB, COM_RESET, DEPRECATE_EOF, MODERN, SESSION_TRACK, Client, Closed, ServerError

pytestmark = pytest.mark.all_kinds

SHAPES = {"plain": BASE, "deprecate_eof": BASE | DEPRECATE_EOF, "tracked": BASE | SESSION_TRACK, "modern": MODERN}
TABLE = "test.deferred"


@pytest.fixture
def table(place):
    place.primary.query(f"create table {TABLE} (a int primary key auto_increment, b int unique) engine=innodb")
    clean(place)
    yield TABLE
    place.primary.query(f"drop table {TABLE}")


def knows_its_primary(volvox):
    try:
        with Client(volvox.port) as c:
            c.query("do 1")
        return True
    except ServerError:
        return False


def when_ready(volvox):
    wait_until(lambda: knows_its_primary(volvox), 20, "the primary is known")
    return volvox


@pytest.fixture(autouse=True)
def nobody_keeps_connections(place):
    """Another file's tests may have asked for FOUND_ROWS()."""
    if not hasattr(place, "is_new_for_deferred"):
        place.forget()
        if place.volvox:
            when_ready(place.volvox)
        place.is_new_for_deferred = True


def answer(c, step):
    """All that the client gets for it (several variables come in any order from MariaDB)."""
    try:
        if callable(step):
            return step(c)
        r = c.query(step)
    except ServerError as e:
        return e.args
    except (Closed, ConnectionError):
        return "closed"
    return (r.columns, r.rows, r.affected, r.insert_id, r.status, r.warnings, r.info, sorted(r.track), r.more)


def ping(c):
    return c.ping().status


def prepared(c):
    statement = c.prepare(f"select b from {TABLE} where a = ?")
    r = c.execute(statement, [2])
    c.close_statement(statement)
    return r.rows, r.status, r.track


def init_db(c):
    r = c.simple(COM_INIT_DB, b"shop")
    return r.status, r.track


def reset(c):
    return c.simple(COM_RESET).status


BEGINS = ["begin", "BEGIN WORK;", "start transaction", "/* a */ Start Transaction # b", "begin; ",
          "start transaction read only", "START TRANSACTION READ ONLY;", "set autocommit = 0",
          "set session autocommit=off", "SET LOCAL AUTOCOMMIT=0;"]
# what is not as simple as that
OTHERS = ["start transaction read write", "start transaction with consistent snapshot", "begin;;",
          "start transaction read only, with consistent snapshot", "start transaction foo", "begin work work",
          "start transaction read", "set autocommit = 5", "set autocommit = null", "set autocommit = 0 0",
          "set @@autocommit = 0", "set global autocommit = 'x'", "begin; select 1", "set autocommit=0, autocommit=0",
          "set autocommit = 1", "commit", "rollback", "commit and chain", "set autocommit = default"]
INSERT = f"insert into {TABLE} (b) values (10)"
READ = f"select * from {TABLE} for update"       # on the primary in any case
BEHIND = {
    "nothing": [],
    "commit": ["commit"],
    "rollback": ["rollback"],
    "chain": ["commit and chain", "rollback"],
    "twice": ["begin", "begin", "commit"],
    "read only behind": ["start transaction read only", "start transaction", "start transaction read only", INSERT],
    "savepoint": ["savepoint a", INSERT, "rollback to savepoint a", "commit"],
    "a read": [f"select * from {TABLE}", "commit", READ],
    "a read without a table": ["select 1", "commit"],
    "a write": [INSERT, READ, "rollback", READ],
    "a locking read": [f"select * from {TABLE} where a = 1 for update", "commit"],
    "an error": ["select no_such_column", INSERT, "rollback", READ],
    "an error of a write": [f"insert into {TABLE} values (1, 1)", INSERT, "rollback", READ],
    "no statement": ["nonsense", INSERT, "rollback", READ],
    "counts": ["select row_count()", INSERT, "rollback"],
    "counts of the connection": ["select row_count() + 0", "rollback", "select row_count() + 0"],
    "found rows": ["select found_rows()", "commit"],
    "warnings": ["show warnings", "select @@warning_count", INSERT, "show errors", "rollback"],
    "autocommit": ["select @@autocommit", "set autocommit = 1", "select @@autocommit", INSERT, "rollback",
                   READ],
    "autocommit off": ["set autocommit = 0", INSERT, "rollback", READ],
    "isolation": ["set transaction isolation level serializable", "set session transaction read only", "commit",
                  INSERT],
    "ids": ["select last_insert_id()", INSERT, "select last_insert_id()", "rollback", "select last_insert_id()"],
    "ping": [ping, INSERT, ping, "rollback", ping],
    "prepared": [prepared, "commit", prepared],
    "text prepared": ["prepare p from 'select 1'", "execute p", "commit", "deallocate prepare p"],
    "schema": [init_db, "use test", "select database()", "commit"],
    "variables": ["set @a = 5", "set time_zone = '+01:00'", "select @a, @@time_zone", "commit"],
    "reset": [reset, INSERT, "rollback", READ],
    "definition": ["create temporary table test.temporary_one (a int)", INSERT, "rollback",
                   READ, "drop temporary table test.temporary_one"],
    "lock tables": [f"lock tables {TABLE} write", INSERT, "unlock tables", "rollback", READ],
    "xa": ["xa start 'a'", "xa end 'a'", "xa rollback 'a'"],
    "ddl": [f"alter table {TABLE} comment 'x'", INSERT, "rollback", READ],
    "again and again": [step for _ in range(3) for step in ("begin", INSERT, "rollback", "begin", "commit")],
}
BEFORE = ["set names utf8mb4", f"select a from {TABLE}"]


def story(c, steps):
    return [(step if isinstance(step, str) else step.__name__, answer(c, step)) for step in steps]


def both(place, client, steps, caps=MODERN):
    with place.direct(caps=caps) as c:
        theirs = story(c, steps)
    clean(place)
    with client(caps=caps) as c:
        ours = story(c, steps)
    clean(place)
    for mine, other in zip(ours, theirs):
        assert mine == other


def clean(place):
    """Both ways find the same rows and numbers."""
    place.primary.query(f"truncate table {TABLE}")
    place.primary.query(f"insert into {TABLE} values (1, 1), (2, 2)")
    place.cluster.sync()


@pytest.fixture(scope="module")
def undivided(places):
    """undivided(place) -> a Volvox whose reads go to the primary, where transactions that only read run too."""
    made = {}

    def get(place):
        if place.kind not in made:
            settings = settings_for(place.cluster)
            settings["user app"]["split_reads"] = "no"
            made[place.kind] = when_ready(Volvox(settings).start())
        return made[place.kind]

    yield get
    for volvox in made.values():
        volvox.stop()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("begin", BEGINS + OTHERS)
def test_the_answer_is_the_servers(place, table, begin, shape):
    both(place, place.client, [*BEFORE, begin, "select 1", f"select * from {TABLE}", "rollback"], SHAPES[shape])


@pytest.mark.parametrize("begin", ["begin", "start transaction read only", "set autocommit = 0"])
@pytest.mark.parametrize("shape", ["tracked", "modern"])
@pytest.mark.parametrize("behind", BEHIND)
def test_what_comes_behind_is_as_on_the_server(place, undivided, table, behind, shape, begin):
    def client(**more):
        return Client(undivided(place).port, **more)

    both(place, client if "only" in begin else place.client, [*BEFORE, begin, *BEHIND[behind]], SHAPES[shape])


# ---- who hears of it -------------------------------------------------------------------------------

def begun(place):
    """How often the primary was told to begin a transaction."""
    return place.primary.status("Com_begin")


@pytest.mark.parametrize("begin", [b for b in BEGINS if "autocommit" not in b.lower()])
def test_no_server_hears_of_a_transaction_with_nothing_in_it(place, table, begin):
    before = begun(place)
    with place.client() as c:
        story(c, BEFORE)
        assert c.query(begin).in_transaction
        assert c.ping().in_transaction
        assert c.query("select row_count()").value() == b"0"
    with place.client() as c:
        story(c, BEFORE)
        c.query(begin)
        c.simple(COM_RESET)
        assert not c.query("select 1").in_transaction
    assert begun(place) == before


@pytest.mark.parametrize("begin", ["begin", "set autocommit = 0"])
def test_a_transaction_begins_with_its_first_statement(place, table, begin):
    with place.client() as c, place.direct() as other:
        story(c, BEFORE)
        c.query(begin)
        other.query(f"insert into {TABLE} (b) values (77)")
        assert c.query(f"select count(*) from {TABLE} where b = 77").value() == b"1"
        other.query(f"delete from {TABLE} where b = 77")
        assert c.query(f"select count(*) from {TABLE} where b = 77").value() == b"1"
        c.query("rollback")


def test_a_transaction_declared_read_only_goes_to_a_replica(place, table):
    seen = set()
    for _ in range(20):
        with place.client() as c:
            story(c, BEFORE)
            c.query("start transaction read only")
            r = c.query("select @@server_id")
            seen.add(int(r.value()))
            assert r.in_transaction
            assert c.query("select @@server_id").value() == r.value()
            c.query("commit")
    assert seen == place.readers


def test_many_transactions_that_have_not_begun_need_no_connection(mariadb_place, start_volvox):
    """One connection to the primary for all of them."""
    settings = settings_for(mariadb_place.cluster, server_limit=1, queue_timeout="3s", workers=1)
    volvox = when_ready(start_volvox(settings))
    clients = [Client(volvox.port) for _ in range(8)]
    for c in clients:
        c.query("set names utf8mb4")
    for c in clients:
        assert c.query("begin").in_transaction
    for c in clients:
        assert c.query("select @@in_transaction").value() == b"1"
        c.query("commit")
        c.close()
