"""Which server a statement reaches, seen in the servers' own general logs."""
import collections
import itertools

import pytest

from processes import wait_until
from servers import APP
from volvox import settings_for
from wire import Client, ServerError

PRIMARY, REPLICA = "primary", "replica"
_marks = itertools.count(1)


@pytest.fixture(scope="module", autouse=True)
def general_logs(request):
    """Every server writes down what it was asked."""
    places = [request.getfixturevalue("mariadb_place")]
    places[0].primary.query("create table if not exists test.lines (a int, b text)")
    for server in places[0].cluster.servers:
        server.query(f"set global general_log_file = '{server.directory}/general.log'")
        server.query("set global general_log = 1")
    yield
    for server in places[0].cluster.servers:
        server.query("set global general_log = 0")
    places[0].primary.query("drop table test.lines")


def reached(cluster, mark):
    """Names of the servers whose log has the mark."""
    return {s.name for s in cluster.servers
            if mark in (s.directory / "general.log").read_bytes()}


def role_reached(place, client, sql, prepared=False):
    """Runs the statement with a mark in it; where it arrived.  That it fails is no matter."""
    mark = b"mark%dend" % next(_marks)
    text = sql.encode() + b" /* " + mark + b" */"
    try:
        if prepared:
            client.execute(client.prepare(text))
        else:
            client.query(text)
    except ServerError:
        pass
    names = wait_until(lambda: reached(place.cluster, mark), 5, f"{sql} in a general log")
    # Replicas get what the primary has run by replication too; a statement may be prepared on one
    # replica and run on another.
    assert "db1" in names or len(names) == 1 or prepared, f"{sql} reached {names}"
    return PRIMARY if "db1" in names else REPLICA


READS = [
    "select 1",
    "select * from shop.items where id = 1",
    "(select 1)",
    "((select id from shop.items) union (select 2))",
    "select 1 union all select 2",
    "with c as (select 1 as a) select * from c",
    "with recursive n (i) as (select 1 union all select i + 1 from n where i < 5) select * from n",
    "values (1, 2), (3, 4)",
    "-- a comment\nselect 1",
    "# a comment\nselect 1",
    "/* select for update */ select 1",
    "select /*+ a hint */ 1",
    "select 'for update', \"lock in share mode\", `name` from shop.items",
    "select 'it''s', 'a \\' quote; update x'",
    "select count(*), max(price), group_concat(name) from shop.items group by price having count(*) > 0",
    "select coalesce(name, 'x'), if(price > 1, 'a', 'b'), case when id then 1 end from shop.items",
    "select cast(price as char(10)), convert(name using utf8) from shop.items",
    "select row_number() over (partition by price order by id) from shop.items",
    "select * from shop.items use index (primary) where id in (1, 2)",
    "select * from shop.items where (id, price) in (select id, price from shop.items)",
    "select now(), curdate(), concat('a', 'b'), rand(), uuid()",
    "SELECT 1;",
    "select 1; select 2",
    "explain select * from shop.items",
    "/*! select */ 1",
    "select /*!99999 for update */ 1",
    "select 1 /*! + 1 */",
    "select @@server_id",
    "select * from information_schema.tables limit 1",
]

TO_PRIMARY = [
    "insert into test.lines values (1, 'x')",
    "replace into test.lines values (1, 'x')",
    "update test.lines set a = 2 where a = 1",
    "delete from test.lines where a = 77",
    "insert into test.lines select 1, 'y' from dual where 0",
    "with c as (select 1 as a) select * from c for update",
    "truncate table test.lines",
    "create table test.made (a int)",
    "drop table if exists test.made",
    "alter table test.lines comment 'x'",
    "create index i on test.lines (a)",
    "drop index i on test.lines",
    "select * from shop.items for update",
    "select * from shop.items where id = 1 for update skip locked",
    "select * from shop.items where id = 1 for update nowait",
    "select * from shop.items lock in share mode",
    "select * from (select * from shop.items for update) x",
    "(select * from shop.items for update)",
    "select 1 for update",
    "SeLeCt * FrOm shop.items FoR/**/UpDaTe",
    "select * from shop.items /*! for update */",
    "select * from shop.items /*!50000 for update */",
    "select * from shop.items /*M! for update */",
    "select 1 into outfile '/nonexistent/x'",
    "select 1 into dumpfile '/nonexistent/x'",
    "select 1 /*! into outfile '/nonexistent/y' */",
    "select 5 into @x",
    "select @x := 5",
    "set @x = 5",
    "select get_lock('a', 0)",
    "select release_lock('a')",
    "select is_free_lock('a')",
    "select is_used_lock('a')",
    "select nextval(test.no_such_sequence)",
    "select next value for test.no_such_sequence",
    "call shop.two_results()",
    "select shop.some_function(1)",
    "select some_unknown_function(1)",
    "do sleep(0)",
    "begin",
    "start transaction",
    "lock tables test.lines read",
    "flush tables test.lines",
    "analyze table test.lines",
    "analyze update test.lines set a = 1 where 0",
    "explain update test.lines set a = 1",
    "handler test.lines open",
    "prepare p from 'select 1'",
    "create temporary table test.temporary_one (a int)",
    "grant select on test.* to nobody_at_all",
    "set global max_connections = max_connections",
    "xa recover",
    "gibberish that no server understands",
    "select 'unterminated",
    "select 1; insert into test.lines values (1, 'x')",
    "insert into test.lines values (1, 'x'); select 1",
    "show tables from test",
    "set statement max_statement_time = 1 for select 1",
    "delete test.lines from test.lines join shop.items on 0",
    "load data infile '/nonexistent/x' into table test.lines",
    "optimize table test.lines",
    "select last_insert_id(7)",
]


@pytest.mark.parametrize("sql", READS)
def test_a_plain_read_goes_to_a_replica(mariadb, sql):
    with mariadb.client(db="shop") as c:
        assert role_reached(mariadb, c, sql) == REPLICA


@pytest.mark.parametrize("sql", TO_PRIMARY)
def test_everything_else_goes_to_the_primary(mariadb, sql):
    with mariadb.client(db="shop") as c:
        assert role_reached(mariadb, c, sql) == PRIMARY


@pytest.mark.parametrize("sql,role", [
    ("select * from shop.items where id = 3", REPLICA),
    ("(select 1) union (select 2)", REPLICA),
    ("select * from shop.items for update", PRIMARY),
    ("insert into test.lines values (9, 'p')", PRIMARY),
    ("select get_lock('p', 0)", PRIMARY),
    ("call shop.two_results()", PRIMARY),
])
def test_a_prepared_statement_is_judged_by_its_text(mariadb, sql, role):
    with mariadb.client(db="shop") as c:
        assert role_reached(mariadb, c, sql, prepared=True) == role


def test_a_sequence_is_used_on_the_primary(mariadb):
    mariadb.primary.query("create sequence test.seq")
    try:
        with mariadb.client() as c:
            values = [int(c.query("select nextval(test.seq)").value()) for _ in range(5)]
            assert values == [1, 2, 3, 4, 5]
            assert c.query("select lastval(test.seq)").value() == b"5"
    finally:
        mariadb.primary.query("drop sequence test.seq")


# ---- hints -------------------------------------------------------------------------------------

def server_of(client, before=""):
    return int(client.query(f"{before} select @@server_id").value())


def test_a_hint_sends_a_read_to_the_primary(mariadb):
    with mariadb.client() as c:
        assert {server_of(c, "/* volvox: primary */") for _ in range(10)} == {1}


def test_a_hint_names_a_server(mariadb):
    with mariadb.client() as c:
        for name, number in (("db1", 1), ("db2", 2), ("db3", 3)):
            assert {server_of(c, f"/* volvox: server={name} */") for _ in range(5)} == {number}


def test_a_hint_lets_a_read_that_we_do_not_know_go_to_a_replica(mariadb):
    with mariadb.client() as c:
        assert {server_of(c, "/* volvox: replica */") for _ in range(10)} <= {2, 3}


@pytest.mark.parametrize("sql", [
    "/* volvox: replica */ insert into test.lines values (1, 'x')",
    "/* volvox: server=db2 */ insert into test.lines values (1, 'x')",
    "/* volvox: server=nobody */ select 1",
    "/* volvox: nonsense */ select 1",
])
def test_a_hint_that_cannot_be_followed_is_an_error_that_says_why(mariadb, sql):
    with mariadb.client() as c:
        with pytest.raises(ServerError) as caught:
            c.query(sql)
        assert len(caught.value.message) > 20
        assert c.query("select 1").value() == b"1"


def test_a_hint_does_not_tear_a_transaction_apart(mariadb):
    with mariadb.client() as c:
        c.query("begin")
        assert server_of(c, "/* volvox: replica */") == 1
        assert server_of(c, "/* volvox: server=db2 */") == 1
        c.query("commit")


# ---- balancing ---------------------------------------------------------------------------------

def spread(volvox, reads=120, user=APP):
    with Client(volvox.port, *user) as c:
        return collections.Counter(server_of(c) for _ in range(reads))


def with_group(cluster, **options):
    settings = settings_for(cluster)
    settings["group main"].update(options)
    return settings


def test_round_robin_spreads_reads_evenly(mariadb, start_volvox):
    counts = spread(start_volvox(with_group(mariadb.cluster, balance="round-robin")))
    assert set(counts) == {2, 3}
    assert abs(counts[2] - counts[3]) <= 10, counts


def test_the_weights_decide_how_much_a_replica_gets(mariadb, start_volvox):
    settings = with_group(mariadb.cluster, balance="weighted")
    settings["server db2"]["weight"] = 300
    settings["server db3"]["weight"] = 100
    counts = spread(start_volvox(settings), 400)
    assert set(counts) == {2, 3}
    assert 2 < counts[2] / counts[3] < 4.5, counts


def test_weight_zero_is_for_when_nothing_else_is_left(mariadb, start_volvox):
    settings = with_group(mariadb.cluster, balance="weighted")
    settings["server db2"]["weight"] = 0
    assert set(spread(start_volvox(settings))) == {3}


def test_least_outstanding_avoids_a_busy_replica(mariadb, start_volvox):
    volvox = start_volvox(with_group(mariadb.cluster, balance="least-outstanding"))
    busy = [Client(volvox.port) for _ in range(4)]
    for c in busy:
        c.command(3, b"/* volvox: server=db2 */ select sleep(3)")
    wait_until(lambda: len(mariadb.cluster.servers[1].query(
        "select 1 from information_schema.processlist where info like '%sleep(3)%' and command = 'Query'")) >= 4,
        3, "four busy connections")
    counts = spread(volvox)
    assert counts[3] > 100, counts
    for c in busy:
        c.close()


def test_first_available_uses_one_replica_as_long_as_it_lasts(mariadb, start_volvox):
    volvox = start_volvox(with_group(mariadb.cluster, balance="first-available"))
    assert set(spread(volvox)) == {2}


def test_reads_can_include_the_primary(mariadb, start_volvox):
    counts = spread(start_volvox(with_group(mariadb.cluster, reads="all", balance="round-robin")))
    assert set(counts) == {1, 2, 3}


def test_reads_can_stay_on_the_primary(mariadb, start_volvox):
    assert set(spread(start_volvox(with_group(mariadb.cluster, reads="primary")))) == {1}


def test_a_user_can_do_without_splitting(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    settings["user app"]["split_reads"] = "no"
    volvox = start_volvox(settings)
    assert set(spread(volvox)) == {1}
    assert set(spread(volvox, user=("other", "other-secret"))) == {2, 3}


def test_reads_fail_without_replicas_when_the_group_says_so(mariadb, start_volvox):
    settings = with_group(mariadb.cluster, no_replica="error")
    del settings["server db2"], settings["server db3"]
    volvox = start_volvox(settings)
    with Client(volvox.port) as c:
        with pytest.raises(ServerError):
            c.query("select 1")
        assert c.query("select 1 for update").value() == b"1"


def test_reads_go_to_the_primary_without_replicas(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    del settings["server db2"], settings["server db3"]
    assert set(spread(start_volvox(settings))) == {1}


def test_groups_of_users_keep_apart(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    settings["group second"] = {}
    for name, group in (("server db1", "main"), ("server db2", "main"), ("server db3", "second"),
                        ("user app", "main"), ("user other", "second")):
        settings[name]["group"] = group
    volvox = start_volvox(settings)
    assert set(spread(volvox)) == {2}
    assert set(spread(volvox, user=("other", "other-secret"))) == {3}
