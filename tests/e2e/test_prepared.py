"""Prepared statements: the client's own ids, types and data, wherever they run."""
import struct
import threading

import pytest

from servers import APP
from volvox import settings_for
from wire import (COM_STMT_EXECUTE, COM_STMT_RESET, FULL, LONG_DATA, STATUS_CURSOR, STATUS_LAST_ROW,
                  Client, ServerError, lenstr)

pytestmark = pytest.mark.all_kinds


def error_of(call, *args):
    with pytest.raises(ServerError) as caught:
        call(*args)
    return caught.value.args


def here(place):
    """A statement that a read-only server would refuse runs on the primary only."""
    return place.client(db="shop")


def test_a_statement_tells_its_parameters_and_columns(place):
    with here(place) as ours, place.direct(db="shop") as theirs:
        a, b = (c.prepare("select id, name, ? as x from items where id > ?") for c in (ours, theirs))
        assert [c.raw for c in a.columns] == [c.raw for c in b.columns]
        assert len(a.params) == len(b.params) == 2


def test_a_statement_runs_with_its_values(place):
    with here(place) as c:
        s = c.prepare("select ?, ?, ?")
        assert c.execute(s, ["text", 42, None]).rows == [[b"text", 42, None]]
        assert c.execute(s, ["", -1, "x" * 70000]).rows == [[b"", -1, b"x" * 70000]]


def test_a_statement_without_parameters_runs(place):
    with here(place) as c:
        s = c.prepare("select id, name from items order by id limit 2")
        for _ in range(10):
            assert c.execute(s).rows == [[1, b"apple"], [2, b"pear"]]


def test_types_need_not_be_sent_again(place):
    with here(place) as c:
        s = c.prepare("select ? + 1")
        first = c.execute(s, [41]).rows
        for _ in range(10):
            assert c.execute(s, [41], types=False).rows == first


def test_types_survive_a_change_of_the_server_connection(place):
    """A transaction in between puts the session onto other connections."""
    with here(place) as c:
        s = c.prepare("select concat(?, 'x')")
        assert c.execute(s, ["a"]).rows == [[b"ax"]]
        others = [here(place) for _ in range(5)]
        for o in others:
            o.query("select 1")
        c.query("begin")
        assert c.execute(s, ["b"], types=False).rows == [[b"bx"]]
        for o in others:
            o.close()
        c.query("commit")
        assert c.execute(s, ["c"], types=False).rows == [[b"cx"]]


def test_a_write_can_be_prepared_and_repeated(place):
    with here(place) as c:
        c.query("create table test.written (a int, b varchar(20))")
        s = c.prepare("insert into test.written values (?, ?)")
        for i in range(50):
            assert c.execute(s, [i, f"row {i}"]).affected == 1
        c.query("begin")
        assert c.query("select count(*), sum(a) from test.written").rows == [[b"50", b"1225"]]
        c.query("commit")
        c.query("drop table test.written")


def test_statement_ids_of_clients_do_not_meet(place):
    clients = [here(place) for _ in range(8)]
    statements = [(c, c.prepare(f"select {i}, ?")) for i, c in enumerate(clients)]
    for _ in range(3):
        for i, (c, s) in enumerate(statements):
            assert c.execute(s, [i * 10]).rows == [[i, i * 10]]
    for c in clients:
        c.close()


def test_many_statements_of_one_client_keep_apart(place):
    with here(place) as c:
        statements = [c.prepare(f"select {i} + ?") for i in range(300)]
        for i in reversed(range(300)):
            assert c.execute(statements[i], [1]).rows == [[i + 1]]
        for s in statements[::2]:
            c.close_statement(s)
        for i in range(1, 300, 2):
            assert c.execute(statements[i], [2]).rows == [[i + 2]]


def test_a_closed_statement_is_unknown(place):
    with here(place) as ours, place.direct(db="shop") as theirs:
        errors = []
        for c in (ours, theirs):
            s = c.prepare("select 1")
            c.close_statement(s)
            code, state, _ = error_of(c.execute, s)
            errors.append((code, state))
            assert c.query("select 1").value() == b"1"
        assert errors[0] == errors[1]
        assert errors[0][0] == 1243


def test_a_statement_that_cannot_be_prepared_fails_as_on_the_server(place):
    with here(place) as ours, place.direct(db="shop") as theirs:
        for sql in ("selekt 1", "select * from no_such_table", "select nonsense from items", ""):
            assert error_of(ours.prepare, sql) == error_of(theirs.prepare, sql)
        assert ours.query("select 1").value() == b"1"


def test_a_statement_that_fails_when_run_can_run_again(place):
    with here(place) as c:
        s = c.prepare("insert into items (id, name) values (?, 'x')")
        c.query("begin")
        assert error_of(c.execute, s, [1])[0] == 1062
        assert c.execute(s, [1000]).affected == 1
        c.query("rollback")


def test_long_data_arrives_in_pieces(place):
    with here(place) as c:
        s = c.prepare("select ?, length(?)")
        for n in (1, 3):
            for _ in range(n):
                c.long_data(s, 0, b"piece ")
            c.long_data(s, 1, b"y" * 100000)
            assert c.execute(s, [LONG_DATA, LONG_DATA]).rows == [[b"piece " * n, 100000]]


def test_reset_forgets_long_data(place):
    with here(place) as c:
        s = c.prepare("select concat(?, '')")
        c.long_data(s, 0, b"forget me")
        c.simple(COM_STMT_RESET, struct.pack("<I", s.id))
        assert c.execute(s, ["fresh"]).rows == [[b"fresh"]]


def test_reset_of_an_unknown_statement_fails_as_on_the_server(place):
    with here(place) as ours, place.direct(db="shop") as theirs:
        codes = [error_of(c.simple, COM_STMT_RESET, struct.pack("<I", 9999))[:2] for c in (ours, theirs)]
        assert codes[0] == codes[1]


def test_long_data_over_16_mb_arrives(mariadb):
    with here(mariadb) as c:
        s = c.prepare("select length(?)")
        for _ in range(5):
            c.long_data(s, 0, b"z" * (4 << 20))
        assert c.execute(s, [LONG_DATA]).rows == [[20 << 20]]


def test_a_value_over_16_mb_arrives(place):
    with here(place) as c:
        s = c.prepare("select length(?)")
        assert c.execute(s, ["z" * (FULL + 1000)]).rows == [[FULL + 1000]]
        assert c.query("select 1").value() == b"1"


def test_a_cursor_is_read_piece_by_piece(place):
    with here(place) as c:
        s = c.prepare("select id from items order by id")
        opened = c.execute(s, cursor=1)
        assert opened.rows == [] and opened.status & STATUS_CURSOR
        assert c.fetch(s, 3).rows == [[1], [2], [3]]
        # Others may not get between an open cursor and its client.
        for _ in range(5):
            with here(place) as other:
                other.query("select 1")
        last = c.fetch(s, 3)
        assert last.rows == [[4]]
        assert last.status & STATUS_LAST_ROW
        assert c.query("select 1").value() == b"1"


def test_fetching_from_an_unknown_statement_fails(place):
    with here(place) as c:
        s = c.prepare("select 1")
        s.id += 100
        assert error_of(c.fetch, s, 1)[0] == 1243
        assert c.query("select 1").value() == b"1"


def test_a_statement_survives_a_change_of_its_table(place):
    with here(place) as c:
        c.query("create table test.changing (a int)")
        c.query("begin")
        c.query("insert into test.changing values (1)")
        c.query("commit")
        s = c.prepare("select * from test.changing for update")
        assert c.execute(s).rows == [[1]]
        c.query("alter table test.changing add column b int default 7")
        assert c.execute(s).rows == [[1, 7]]
        c.query("drop table test.changing")


def test_a_statement_prepared_in_one_schema_stays_there(place):
    with here(place) as c:
        s = c.prepare("select count(*) from items")
        c.query("use test")
        assert c.execute(s).rows == [[4]]


def test_statements_of_the_text_protocol_are_a_matter_of_the_session(place):
    with here(place) as c, here(place) as other:
        c.query("prepare p from 'select ? * 2'")
        c.query("set @v = 21")
        other.query("select 1")
        assert float(c.query("execute p using @v").value()) == 42
        assert error_of(other.query, "execute p using @v")[0] == 1243
        c.query("deallocate prepare p")
        assert error_of(c.query, "execute p using @v")[0] == 1243


def test_an_execute_with_missing_bytes_is_an_error_and_no_more(place):
    with here(place) as c:
        s = c.prepare("select ?, ?")
        c.command(COM_STMT_EXECUTE, struct.pack("<IBI", s.id, 0, 1) + b"\0\1\xfd\0\xfd\0" + lenstr(b"only one"))
        with pytest.raises(ServerError):
            c.read_result(binary=True)
        assert c.execute(s, [1, 2]).rows == [[1, 2]]


def test_a_client_has_a_limit_of_statements(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, max_statements=10))
    with Client(volvox.port) as c:
        kept = [c.prepare(f"select {i}") for i in range(10)]
        assert error_of(c.prepare, "select 'one too many'")[:2] == (1461, "42000")
        c.close_statement(kept[0])
        assert c.execute(c.prepare("select 5")).rows == [[5]]
        assert c.execute(kept[9]).rows == [[9]]


def test_clients_that_prepare_the_same_text_at_once_each_get_their_answers(place):
    trouble = []

    def work(number):
        try:
            with Client(place.port, *APP, db="shop") as c:
                for i in range(40):
                    s = c.prepare("select ?, name from items where id = ?")
                    row = c.execute(s, [number * 1000 + i, 2]).rows
                    assert row == [[number * 1000 + i, b"pear"]]
                    if i % 2:
                        c.close_statement(s)
        except Exception as e:
            trouble.append(repr(e))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert trouble == []


def test_statements_kept_on_a_server_are_bounded(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster, statements_per_backend=20)
    volvox = start_volvox(settings)
    before = mariadb.primary.status("Prepared_stmt_count")
    with Client(volvox.port, db="shop") as c:
        statements = [c.prepare(f"insert into items (name) select {i} from dual where ? = 'never'")
                      for i in range(200)]
        for s in statements:
            assert c.execute(s, ["x"]).affected == 0
        assert mariadb.primary.status("Prepared_stmt_count") - before <= 100
        assert c.execute(statements[0], ["x"]).affected == 0
