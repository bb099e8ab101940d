"""CONNECTION_ID() agrees with the greeting, and nothing else shows that it was not the server's."""
import contextlib

import pytest

from volvox import settings_for
from wire import BASE, COM_RESET, MODERN, Client, ServerError

pytestmark = pytest.mark.all_kinds

# What a client may ask; the answer is what the server gives directly, but for the number.
QUESTIONS = [
    "select connection_id()",
    "SELECT CONNECTION_ID()",
    "select Connection_ID (  ) , 1",
    "select connection_id/* a */( /* b */ )",
    "select connection_id() as x, connection_id() y",
    "select concat('id ', connection_id()), 'connection_id()'",
    "select connection_id() + 0, -connection_id(), not connection_id()",
    "select * from (select connection_id()) t",
    "select t.`connection_id()` from (select connection_id()) t",
    "select (select connection_id()), exists (select connection_id())",
    "select connection_id() union select 1",
    "select id, connection_id() from shop.items where id < connection_id() order by connection_id(), id",
    "with c as (select connection_id()) select * from c",
    "with c (connection_id) as (select 7) select connection_id from c",
    "select distinct connection_id() from shop.items group by connection_id()",
    "select connection_id() for update",
    "select if(connection_id() = @@pseudo_thread_id, 'same', 'different')",
    "select @@pseudo_thread_id",
    "select @@session.pseudo_thread_id, concat(@@Pseudo_Thread_Id)",
    "select json_object('id', connection_id())",
    "select hex(connection_id()) = hex(@@pseudo_thread_id)",
    "explain select connection_id()",
    "select 'it is connection_id()' as `connection_id()`",
]
ERRORS = [
    "select connection_id() - 18446744073709551615",
    "select connection_id() from shop.nowhere",
    "select connection_id() x y from",
    "select 1 from from connection_id()",
    "select connection_id(1)",
    "select shop.connection_id()",
    "select @@global.pseudo_thread_id",
]


def own_id_hidden(value, client):
    mine = str(client.greeting.thread_id).encode()
    return value.replace(mine, b"ID") if isinstance(value, bytes) else "ID" if value in (
        client.greeting.thread_id, -client.greeting.thread_id) else value


def seen(client, result):
    """All of an answer, the id aside."""
    rows = [[own_id_hidden(v, client) for v in row] for row in result.rows or []]
    columns = [c.raw for c in result.columns or []]
    return columns, rows, [seen(client, r) for r in result.more]


@pytest.fixture(params=[MODERN, BASE], ids=["modern", "old"])
def both(request, place):
    """A client through Volvox and one of the server itself."""
    with place.client(caps=request.param) as ours, place.direct(caps=request.param) as direct:
        yield ours, direct


@pytest.mark.parametrize("sql", QUESTIONS)
def test_an_answer_is_the_servers_but_for_the_number(place, both, sql):
    ours, direct = both
    assert seen(ours, ours.query(sql)) == seen(direct, direct.query(sql))


@pytest.mark.parametrize("sql", [q for q in QUESTIONS if not q.startswith("explain")])
def test_so_is_that_of_a_prepared_statement(place, both, sql):
    ours, direct = both
    mine, theirs = ours.prepare(sql), direct.prepare(sql)
    assert [c.raw for c in mine.columns] == [c.raw for c in theirs.columns]
    for _ in range(2):
        assert seen(ours, ours.execute(mine)) == seen(direct, direct.execute(theirs))


@pytest.mark.parametrize("sql", ERRORS)
def test_errors_quote_what_the_client_wrote(place, both, sql):
    said = []
    for client in both:
        with pytest.raises(ServerError) as caught:
            client.query(sql)
        said.append(caught.value.args)
    assert said[0] == said[1]


def test_it_agrees_with_the_greeting_everywhere(place):
    with place.client() as c, place.client() as other:
        mine = str(c.greeting.thread_id).encode()
        assert c.query("select connection_id()").value() == mine
        assert c.query("/* volvox: primary */ select connection_id()").value() == mine
        assert c.query("select sleep(0), connection_id() for update").rows == [[b"0", mine]]
        c.query("begin")
        assert c.query("select connection_id()").value() == mine
        c.query("set @a = connection_id(), @b = @@pseudo_thread_id")
        assert c.query("select @a, @b").rows == [[mine, mine]]
        c.query("rollback")
        results = c.query("select 1; select connection_id(); select connection_id() + 1")
        assert results.more[0].value() == mine
        assert int(results.more[1].value()) == c.greeting.thread_id + 1
        c.simple(COM_RESET)
        assert c.query("select connection_id()").value() == mine
        c.change_user("other", "other-secret")
        assert c.query("select connection_id()").value() == mine
        assert other.query("select connection_id()").value() != mine


def test_prepared_statements_of_two_sessions_are_not_mixed_up(place):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(place.client()) for _ in range(6)]
        statements = [c.prepare("select ?, connection_id()") for c in clients]
        for _ in range(3):
            for c, statement in zip(clients, statements):
                assert c.execute(statement, ["x"]).rows == [[b"x", c.greeting.thread_id]]


def test_it_can_be_written(place):
    with place.client(db="test") as c:
        c.query("drop table if exists ids, made")
        c.query("create table ids (a bigint unsigned, b bigint unsigned)")
        c.query("insert into ids values (connection_id(), @@pseudo_thread_id), (1, connection_id())")
        c.query("update ids set a = connection_id() where a = 1")
        c.query("create table made as select connection_id(), 1 + connection_id() as more from ids limit 1")
        me = c.greeting.thread_id
        assert place.primary.query("select * from test.ids") == [(me, me), (me, me)]
        assert place.primary.query("select `connection_id()`, more from test.made") == [(me, me + 1)]
        c.query("drop table ids, made")


def test_what_is_stored_knows_the_servers(place):
    """A view or a routine is everybody's: it must not carry the id of who made it."""
    with place.client(db="test") as c, place.client(db="test") as other:
        c.query("create or replace view who as select connection_id() as id")
        c.query("drop procedure if exists who_p")
        c.query("create procedure who_p() begin select id, connection_id() from who; end")
        for client in (c, other):
            seen_there = client.query("call who_p()").rows[0]
            assert seen_there[0] == seen_there[1] and int(seen_there[0]) < 1 << 30
        assert b"connection_id()" in c.query("show create view who").rows[0][1]
        c.query("drop view who")
        c.query("drop procedure who_p")


def test_ids_that_servers_show_are_compared_with_theirs(place):
    with place.client() as c:
        listed = c.query("select id, connection_id() from information_schema.processlist "
                         "where id = connection_id()").rows
        assert len(listed) == 1 and listed[0][0] == listed[0][1] and int(listed[0][0]) < 1 << 30
        assert c.query("select get_lock('a lock', 1)").value() == b"1"
        assert c.query("select is_used_lock('a lock') = connection_id()").value() == b"1"
        assert c.query("do release_lock('a lock')").rows is None


def test_who_may_set_it_reads_what_was_set(place, start_volvox):
    setter = ("setter", "setter-secret")
    place.primary.query("drop user if exists setter")
    place.primary.query("create user setter@'%' identified by 'setter-secret'")
    privileges = "super" if place.family == "mysql" else "super, binlog replay"
    place.primary.query(f"grant {privileges} on *.* to setter@'%'")
    place.cluster.sync()
    volvox = start_volvox(settings_for(place.cluster, users=(setter,)))
    with Client(volvox.port, *setter) as c:
        assert c.query("select connection_id()").value() == str(c.greeting.thread_id).encode()
        c.query("set pseudo_thread_id = 77")
        assert c.query("select connection_id(), @@pseudo_thread_id").rows == [[b"77", b"77"]]
        assert c.execute(c.prepare("select connection_id()")).rows == [[77]]
        c.simple(COM_RESET)
        assert c.query("select connection_id()").value() == str(c.greeting.thread_id).encode()
        with pytest.raises(ServerError):
            c.query("set global pseudo_thread_id = 5")


def test_ids_are_of_ten_digits_and_no_servers(place):
    with contextlib.ExitStack() as stack:
        ids = [stack.enter_context(place.client()).greeting.thread_id for _ in range(20)]
    assert len(set(ids)) == 20
    assert all(1 << 30 <= i < 1 << 31 for i in ids)
