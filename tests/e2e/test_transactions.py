"""A transaction stays on one server, whatever began it, and ends when the server says so."""
import threading
import time

import pytest

from processes import wait_until
from wire import ServerError

pytestmark = pytest.mark.all_kinds

WHERE = "select @@server_id"


def error_of(call, *args):
    with pytest.raises(ServerError) as caught:
        call(*args)
    return caught.value.args


def servers_of(client, times=12, sql=WHERE):
    return {int(client.query(sql).value()) for _ in range(times)}


@pytest.fixture(scope="module")
def renewed():
    return set()


@pytest.fixture(autouse=True)
def reads_are_spread(request, renewed):
    """Once somebody's FOUND_ROWS() came too late, that user's sessions keep their connections: an
    earlier file's tests may have been such."""
    if "place" in request.fixturenames:
        place = request.getfixturevalue("place")
        if place.kind not in renewed:
            renewed.add(place.kind)
            place.forget()


@pytest.fixture
def table(place):
    """An empty table of numbers on every server."""
    place.primary.query("create table test.numbers (a int primary key, b int default 0) engine=innodb")
    place.cluster.sync()
    yield "test.numbers"
    place.primary.query("drop table test.numbers")


def numbers_on_primary(place):
    return [a for (a,) in place.primary.query("select a from test.numbers order by a")]


@pytest.mark.parametrize("begin", ["begin", "start transaction", "start transaction read write",
                                   "start transaction with consistent snapshot",
                                   "/* comment */ BEGIN", "begin work"])
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_an_explicit_transaction_stays_on_the_primary(place, begin, end):
    with place.client() as c:
        c.query(begin)
        assert servers_of(c) == {1}
        assert c.ping().in_transaction
        assert not c.query(end).in_transaction


def test_reads_are_spread_again_after_a_transaction(place):
    with place.client() as c:
        c.query("begin")
        c.query(WHERE)
        c.query("commit")
        assert servers_of(c, 40) == place.readers


def test_a_transaction_sees_its_own_writes(place, table):
    with place.client() as c:
        c.query("begin")
        for i in range(10):
            c.query(f"insert into {table} (a) values ({i})")
            assert c.query(f"select count(*) from {table}").value() == b"%d" % (i + 1)
        c.query("rollback")
        assert numbers_on_primary(place) == []


def test_a_commit_is_for_everybody_and_a_rollback_for_nobody(place, table):
    with place.client() as c:
        c.query("begin")
        c.query(f"insert into {table} (a) values (1)")
        c.query("commit")
        c.query("begin")
        c.query(f"insert into {table} (a) values (2)")
        c.query("rollback")
        assert numbers_on_primary(place) == [1]


def test_without_autocommit_everything_is_on_the_primary(place, table):
    with place.client() as c:
        c.query("set autocommit = 0")
        assert servers_of(c) == {1}
        c.query(f"insert into {table} (a) values (5)")
        assert c.query(f"select count(*) from {table}").value() == b"1"
        c.query("rollback")
        c.query(f"insert into {table} (a) values (6)")
        c.query("commit")
        c.query("set autocommit = 1")
        assert numbers_on_primary(place) == [6]
        assert servers_of(c, 40) == place.readers


def test_autocommit_off_is_the_sessions_own(place):
    with place.client() as c, place.client() as other:
        c.query("set autocommit = 0")
        c.query(WHERE)
        assert other.query("select @@autocommit").value() == b"1"
        assert c.query("select @@autocommit").value() == b"0"


def test_a_read_only_transaction_stays_on_one_server(place):
    with place.client() as c:
        used = set()
        for _ in range(12):
            c.query("start transaction read only")
            servers = servers_of(c, 6)
            assert len(servers) == 1
            used |= servers
            c.query("commit")
        assert used <= place.readers | {1} and used & place.readers


def test_a_read_only_transaction_refuses_writes(place, table):
    with place.client() as c:
        c.query("start transaction read only")
        code = error_of(c.query, f"insert into {table} (a) values (1)")[0]
        assert code in (1792, 1290)
        c.query("rollback")
        c.query(f"insert into {table} (a) values (2)")
        assert numbers_on_primary(place) == [2]


def test_xa_transactions_stay_on_the_primary(place, table):
    with place.client() as c:
        c.query("xa start 'x1'")
        c.query(f"insert into {table} (a) values (1)")
        assert servers_of(c) == {1}
        c.query("xa end 'x1'")
        c.query("xa prepare 'x1'")
        c.query("xa commit 'x1'")
        assert numbers_on_primary(place) == [1]
        assert servers_of(c, 40) == place.readers


def test_savepoints_work(place, table):
    with place.client() as c:
        c.query("begin")
        c.query(f"insert into {table} (a) values (1)")
        c.query("savepoint s")
        c.query(f"insert into {table} (a) values (2)")
        c.query("rollback to savepoint s")
        assert c.query(f"select a from {table}").rows == [[b"1"]]
        c.query("release savepoint s")
        c.query("commit")
        assert numbers_on_primary(place) == [1]


def test_ddl_commits_and_ends_the_transaction(place, table):
    with place.client() as c:
        c.query("begin")
        c.query(f"insert into {table} (a) values (1)")
        assert not c.query("create table test.ddl_in_between (a int)").in_transaction
        c.query("rollback")
        assert numbers_on_primary(place) == [1]
        c.query("drop table test.ddl_in_between")
        assert servers_of(c, 40) == place.readers


def test_commit_and_chain_begins_another(place):
    with place.client() as c:
        c.query("begin")
        assert c.query("commit and chain").in_transaction
        assert servers_of(c) == {1}
        assert not c.query("commit").in_transaction


def test_a_one_shot_isolation_level_holds_for_the_next_transaction(place):
    with place.client() as c, place.client() as other:
        c.query("set transaction isolation level serializable")
        other.query(WHERE)
        c.query("begin")
        # The primary's own books tell which level the transaction has.
        c.query("select * from shop.items")
        level = place.primary.value("select trx_isolation_level from information_schema.innodb_trx "
                                    "order by trx_started desc limit 1")
        assert level == "SERIALIZABLE"
        c.query("commit")


def test_the_isolation_level_of_one_session_is_not_anothers(place):
    name = "tx_isolation" if place.family == "mariadb" else "transaction_isolation"
    with place.client() as c, place.client() as other:
        c.query("set session transaction isolation level read uncommitted")
        for _ in range(6):
            assert c.query(f"select @@{name}").value() == b"READ-UNCOMMITTED"
            assert other.query(f"select @@{name}").value() == b"REPEATABLE-READ"


def test_a_failed_statement_does_not_end_a_transaction(place, table):
    with place.client() as c:
        c.query("begin")
        c.query(f"insert into {table} (a) values (1)")
        error_of(c.query, f"insert into {table} (a) values (1)")
        error_of(c.query, "select * from nowhere.at_all")
        error_of(c.query, "gibberish")
        assert servers_of(c, 6) == {1}
        c.query("commit")
        assert numbers_on_primary(place) == [1]


def test_a_deadlock_ends_the_transaction_of_its_victim_only(place, table):
    place.primary.query(f"insert into {table} (a) values (1), (2)")
    with place.client() as a, place.client() as b:
        for c, first in ((a, 1), (b, 2)):
            c.query("begin")
            c.query(f"update {table} set b = b + 1 where a = {first}")
        outcome = {}

        def cross(name, c, second):
            try:
                c.query(f"update {table} set b = b + 10 where a = {second}")
                outcome[name] = 0
            except ServerError as e:
                outcome[name] = e.code

        threads = [threading.Thread(target=cross, args=args) for args in (("a", a, 2), ("b", b, 1))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert sorted(outcome.values()) == [0, 1213]
        victim, winner = (a, b) if outcome["a"] else (b, a)
        assert not victim.ping().in_transaction
        assert winner.ping().in_transaction
        winner.query("commit")
        assert victim.query("select 1").value() == b"1"
        assert servers_of(victim, 40) == place.readers


def test_a_lock_wait_timeout_does_not_end_the_transaction(place, table):
    place.primary.query(f"insert into {table} (a) values (1), (2)")
    with place.client() as a, place.client() as b:
        a.query("begin")
        a.query(f"update {table} set b = 1 where a = 1")
        b.query("set innodb_lock_wait_timeout = 1")
        b.query("begin")
        b.query(f"update {table} set b = 2 where a = 2")
        assert error_of(b.query, f"update {table} set b = 2 where a = 1")[0] == 1205
        assert b.query(f"select b from {table} where a = 2").value() == b"2"
        b.query("commit")
        a.query("rollback")
        assert place.primary.query(f"select b from {table} order by a") == [(0,), (2,)]


@pytest.mark.parametrize("leave", ["quit", "close"])
def test_a_client_that_leaves_has_rolled_back(place, table, leave):
    c = place.client()
    c.query("begin")
    c.query(f"insert into {table} (a) values (1)")
    getattr(c, leave)()
    # Nobody else gets to see it, and its lock is gone.
    with place.client() as other:
        def free():
            other.query("begin")
            rows = other.query(f"select a from {table} for update").rows
            other.query("rollback")
            return rows == []
        other.query("set innodb_lock_wait_timeout = 1")
        wait_until(free, 10, "the row is free")
        other.query(f"insert into {table} (a) values (1)")
    assert numbers_on_primary(place) == [1]


def test_prepared_statements_belong_to_the_transaction(place, table):
    with place.client() as c:
        insert = c.prepare(f"insert into {table} (a) values (?)")
        count = c.prepare(f"select count(*) from {table}")
        c.query("start transaction")
        for i in range(5):
            c.execute(insert, [i])
            assert c.execute(count).rows == [[i + 1]]
        c.query("rollback")
        assert numbers_on_primary(place) == []


def test_a_transaction_begun_in_a_procedure_stays(place, table):
    place.primary.query("create procedure test.begin_it() begin start transaction; "
                        "insert into test.numbers (a) values (9); end")
    with place.client() as c:
        c.query("call test.begin_it()")
        assert c.ping().in_transaction
        assert servers_of(c, 6) == {1}
        c.query("rollback")
        assert numbers_on_primary(place) == []
    place.primary.query("drop procedure test.begin_it")


def test_a_transaction_in_a_chain_of_statements_stays(place, table):
    with place.client() as c:
        c.query(f"begin; insert into {table} (a) values (1)")
        assert servers_of(c, 6) == {1}
        c.query(f"insert into {table} (a) values (2); commit")
        assert numbers_on_primary(place) == [1, 2]
        assert servers_of(c, 40) == place.readers


def test_lock_tables_keep_the_session_where_the_locks_are(place, table):
    with place.client() as c:
        c.query(f"lock tables {table} write")
        c.query(f"insert into {table} (a) values (1)")
        assert c.query(f"select count(*) from {table}").value() == b"1"
        assert error_of(c.query, "select * from shop.items")[0] == 1100
        c.query("unlock tables")
        assert servers_of(c, 40) == place.readers


def test_many_transactions_at_once_lose_nothing(place, table):
    place.primary.query(f"insert into {table} (a) values (0)")
    trouble = []

    def work():
        try:
            with place.client() as c:
                for _ in range(25):
                    c.query("begin")
                    c.query(f"select b from {table} where a = 0 for update")
                    c.query(f"update {table} set b = b + 1 where a = 0")
                    c.query("commit")
        except Exception as e:
            trouble.append(repr(e))

    threads = [threading.Thread(target=work) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert trouble == []
    assert place.primary.value(f"select b from {table}") == 300


def test_a_long_pause_in_a_transaction_changes_nothing(mariadb):
    own_thread = "select id from information_schema.processlist where id = connection_id()"
    with mariadb.client() as c:
        c.query("begin")
        number = c.query(own_thread).value()
        for _ in range(5):
            time.sleep(0.2)
            with mariadb.client() as other:
                other.query("select 1 for update")
        assert c.query(own_thread).value() == number
        c.query("commit")
