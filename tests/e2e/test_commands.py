"""Each command of the protocol, compared with what the server itself answers."""
import struct

import pytest

from servers import OTHER
from wire import (BASE, COM_INIT_DB, COM_PING, COM_QUERY, COM_QUIT, COM_RESET, COM_SET_OPTION,
                  COM_STATISTICS, COM_STMT_PREPARE, DEPRECATE_EOF, FULL, LOCAL_FILES, MODERN, MULTI_STATEMENTS,
                  SESSION_TRACK, STATUS_STATE_CHANGED, Closed, ServerError, frame, read_error, read_ok)

pytestmark = pytest.mark.all_kinds

SHAPES = {"plain": BASE, "deprecate_eof": BASE | DEPRECATE_EOF, "modern": MODERN}


def error_of(call, *args):
    with pytest.raises(ServerError) as caught:
        call(*args)
    return caught.value.args


def same_error(place, talk):
    """talk(client) must fail in the same words through Volvox as directly."""
    with place.client(db="shop") as ours, place.direct(db="shop") as theirs:
        expected = error_of(talk, theirs)
        assert error_of(talk, ours) == expected
        assert ours.query("select 1").value() == b"1"
        return expected


# ---- answers are the server's own, byte for byte -----------------------------------------------

STATEMENTS = [
    "select 1",
    "select * from items order by id",
    "select * from items where id = -1",
    "select id, name, price * 1.5, now() > '2000-01-01', null, '' from items",
    "select 'x' as `a strange name; with -- things`, 0x00ff, 1e300, cast('2026-01-02' as date)",
    "select repeat('long ', 20000)",
    "select * from no_such_table",
    "select nonsense from items",
    "selekt 1",
    "",
    "/* nothing */",
    "do 1",
    "show tables",
    "explain select * from items",
    "update items set price = price where id = 1",
    "insert into items (id, name) values (1, 'double')",
    "delete from items where id = -1",
    "call two_results()",
    "use test",
    "use no_such_db",
    "set @a = 5",
    "set names latin1",
    "set nonsense = 1",
    "start transaction",
    "commit",
    "select 1 into @x",
    "create temporary table temp_t (a int)",
    "select 1/0, 'a' + 1",
]


def frames_of_answer(client, sql):
    """All frames until the server has nothing more to say: a PING behind the query marks it."""
    client.command(COM_QUERY, sql.encode())
    client.send_frame(0, bytes([COM_PING]))
    frames = []
    while True:
        seq, payload = client.recv_frame()
        # The answer to PING is an OK with number 1 that follows a complete answer.
        if seq == 1 and frames:
            return comparable(frames, client.caps)
        frames.append((seq, payload))


def comparable(frames, caps):
    """Without what may differ although both are right."""
    result, definitions_end = [], True
    for seq, payload in frames:
        if payload[0] == 0xFE and len(payload) == 5:
            # The status behind the column definitions cannot be known yet where the server tells
            # it at the end only; clients look at the last one.
            if definitions_end:
                payload = payload[:3]
            definitions_end = not definitions_end
        elif payload[0] in (0x00, 0xFE) and caps & SESSION_TRACK and len(payload) > 8:
            # Entries come in any order; MySQL reports transactions where its variable says OFF.
            ok = read_ok(payload, caps)
            ok.track = sorted(t for t in ok.track if t[0] not in (4, 5))
            ok.status &= ~(0 if ok.track else STATUS_STATE_CHANGED)
            payload = (payload[0], ok)
        result.append((seq, payload))
    return result


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sql", STATEMENTS)
def test_the_answer_is_the_servers_byte_for_byte(place, sql, shape):
    with place.client(db="shop", caps=SHAPES[shape]) as ours, \
            place.direct(db="shop", caps=SHAPES[shape]) as theirs:
        assert frames_of_answer(ours, sql) == frames_of_answer(theirs, sql)


# ---- the simple ones ---------------------------------------------------------------------------

def test_ping_is_answered(place):
    with place.client() as c:
        assert c.ping().affected == 0


def test_quit_is_answered_by_closing(place):
    with place.client() as c:
        c.command(COM_QUIT)
        assert c.is_closed(5)


def test_init_db_changes_the_schema(place):
    with place.client() as c:
        c.simple(COM_INIT_DB, b"shop")
        assert c.query("select database()").value() == b"shop"
        c.simple(COM_INIT_DB, b"test")
        assert c.query("select database()").value() == b"test"


def test_init_db_with_an_unknown_schema_fails_as_on_the_server(place):
    assert same_error(place, lambda c: c.simple(COM_INIT_DB, b"no_such_db"))[0] == 1049


def test_a_failed_init_db_leaves_the_schema_as_it_was(place):
    with place.client(db="shop") as c:
        error_of(c.simple, COM_INIT_DB, b"no_such_db")
        assert c.query("select database()").value() == b"shop"


def test_field_list_tells_the_columns(place):
    with place.client(db="shop") as ours, place.direct(db="shop") as theirs:
        assert [c.raw for c in ours.field_list("items")] == [c.raw for c in theirs.field_list("items")]
        assert ours.query("select 1").value() == b"1"


def test_field_list_of_an_unknown_table_fails_as_on_the_server(place):
    same_error(place, lambda c: c.field_list("no_such_table"))


def test_statistics_is_a_bare_string(place):
    with place.client() as c:
        assert c.statistics().startswith(b"Uptime")
        assert c.query("select 1").value() == b"1"


def test_set_option_turns_multi_statements_on_and_off(place):
    with place.client(caps=BASE) as c:
        assert error_of(c.query, "select 1; select 2")[0] == 1064
        c.simple(COM_SET_OPTION, struct.pack("<H", 0))
        result = c.query("select 1; select 2")
        assert (result.value(), result.more[0].value()) == (b"1", b"2")
        c.simple(COM_SET_OPTION, struct.pack("<H", 1))
        assert error_of(c.query, "select 1; select 2")[0] == 1064


def test_set_option_with_a_wrong_value_fails_as_on_the_server(place):
    same_error(place, lambda c: c.simple(COM_SET_OPTION, struct.pack("<H", 77)))


@pytest.mark.parametrize("code", [0x40, 0x7F, 0xC8])
def test_an_unknown_command_gets_1047_and_the_connection_goes_on(place, code):
    with place.client() as c:
        assert error_of(c.simple, code, b"whatever")[:2] == (1047, "08S01")
        assert c.query("select 5").value() == b"5"


# ---- change user, reset ------------------------------------------------------------------------

def test_change_user_makes_another_session_of_it(place):
    with place.client(db="shop") as c:
        c.query("set @a = 5")
        c.change_user(*OTHER, db="test")
        row = c.query("select substring_index(user(), '@', 1), database(), @a").rows[0]
        assert row == [b"other", b"test", None]


def test_change_user_to_the_same_user_clears_the_state(place):
    with place.client() as c:
        c.query("set @a = 5")
        c.query("create temporary table test.mine (a int)")
        c.change_user(c.user.decode(), c.password.decode(), db="test")
        assert c.query("select @a").value() is None
        assert error_of(c.query, "select * from mine")[0] == 1146


def test_change_user_with_a_wrong_password_is_refused(place):
    with place.client() as ours, place.direct() as theirs:
        expected = error_of(theirs.change_user, "other", "wrong")
        assert error_of(ours.change_user, "other", "wrong") == expected
        # MySQL closes the connection then, MariaDB goes on as the user it was.
        try:
            assert ours.query("select user()").value().startswith(b"app@")
        except (Closed, ConnectionError):
            pass


def test_reset_connection_keeps_user_and_schema_and_clears_the_rest(place):
    with place.client(db="shop") as c:
        c.query("use test")
        c.query("set @a = 5, sql_mode = '', time_zone = '+05:00'")
        statement = c.prepare("select 7")
        c.query("create temporary table test.mine (a int)")
        c.query("begin")
        assert not c.simple(COM_RESET).in_transaction
        row = c.query("select @a, @@sql_mode != '', @@time_zone, database(), user() like 'app@%'").rows[0]
        assert row == [None, b"1", b"SYSTEM", b"test", b"1"]
        assert error_of(c.execute, statement)[0] == 1243
        assert error_of(c.query, "select * from test.mine")[0] == 1146


# ---- several statements, several results -------------------------------------------------------

def test_multi_statements_give_all_their_results(place):
    with place.client(db="shop") as c:
        result = c.query("select 1; do 0; select 2, 3; update items set price = price where id = 1; select 4")
        assert [r.rows for r in [result, *result.more]] == \
            [[[b"1"]], None, [[b"2", b"3"]], None, [[b"4"]]]


def test_an_error_ends_a_chain_of_statements(place):
    with place.client(db="shop") as c:
        c.command(COM_QUERY, b"select 1; select * from no_such_table; select 3")
        assert c._one_result(False).value() == b"1"
        assert error_of(c._one_result, False)[0] == 1146
        assert c.query("select 5").value() == b"5"


def test_a_procedure_gives_all_its_results(place):
    with place.client(db="shop") as c:
        result = c.query("call two_results()")
        assert [r.rows for r in [result, *result.more]] == [[[b"1"]], [[b"2", b"3"]], None]


def test_out_parameters_of_a_prepared_call_arrive(place):
    with place.client(db="shop") as c:
        result = c.execute(c.prepare("call out_value(?, ?)"), [21, None])
        assert result.rows == [[21]]
        assert result.more[0].rows == [[42]]
        assert c.query("select 1").value() == b"1"


# ---- what follows a statement ------------------------------------------------------------------

def test_warnings_are_those_of_the_last_statement(place):
    with place.client(db="shop") as c:
        assert c.query("select cast('12abc' as signed)").warnings == 1
        rows = c.query("show warnings").rows
        assert len(rows) == 1 and b"12abc" in rows[0][2]
        assert c.query("select @@warning_count").value() == b"1"


def test_row_count_and_found_rows_speak_of_the_last_statement(place):
    with place.client(db="shop") as c:
        c.query("create temporary table test.counted (a int)")
        c.query("insert into test.counted values (1), (2), (3)")
        assert c.query("select row_count()").value() == b"3"
    with place.client(db="shop") as c:
        c.query("select sql_calc_found_rows id from items limit 1")
        assert c.query("select found_rows()").value() == b"4"


def test_row_count_after_an_update_is_known(place):
    with place.client(db="shop") as c:
        for value in (100, 200, 300):
            c.query(f"update items set price = {value} where id in (2, 3)")
            assert c.query("select row_count()").value() == b"2"


def test_last_insert_id_is_known_after_an_insert(place):
    with place.client(db="shop") as c:
        c.query("create table if not exists test.counter (id int primary key auto_increment, a int)")
        for _ in range(5):
            inserted = c.query("insert into test.counter (a) values (1)").insert_id
            assert c.query("select last_insert_id()").value() == b"%d" % inserted
        c.query("drop table test.counter")


def test_the_info_of_an_update_arrives(place):
    with place.client(db="shop") as c:
        assert c.query("update items set price = price where id < 3").info == \
            b"Rows matched: 2  Changed: 0  Warnings: 0"


# ---- size --------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [FULL - 100, FULL, FULL + 1, 2 * FULL, 20 << 20])
def test_a_value_over_16_mb_comes_whole(place, size):
    with place.client() as c:
        result = c.query(f"select repeat('x', {size})")
        assert len(result.value()) == size
        assert c.query("select 1").value() == b"1"


@pytest.mark.parametrize("length", [FULL - 1, FULL, FULL + 1, 2 * FULL, 33 << 20])
def test_a_command_over_16_mb_goes_whole(place, length):
    """The command's packet has exactly this length, its code byte included."""
    head, tail = b"select length('", b"')"
    filler = length - 1 - len(head) - len(tail)
    with place.client() as c:
        assert c.query(head + b"y" * filler + tail).value() == b"%d" % filler
        assert c.query("select 1").value() == b"1"


def test_a_large_insert_arrives_unchanged(place):
    with place.client(db="shop") as c:
        c.query("start transaction")
        c.query("insert into blobs values (1, '" + "0123456789abcdef" * (1200 << 10) + "')")
        expected = c.query("select sha2(repeat('0123456789abcdef', 1200 * 1024), 256)").value()
        assert c.query("select sha2(data, 256) from blobs where id = 1").value() == expected
        c.query("rollback")


def test_a_row_of_many_columns_arrives(place):
    with place.client() as c:
        columns = ", ".join(f"{i} as c{i}" for i in range(1000))
        assert c.query(f"select {columns}").rows == [[b"%d" % i for i in range(1000)]]


def test_a_result_of_many_rows_arrives_in_order(place):
    with place.client(db="shop") as c:
        sql = ("with recursive n (i) as (select 1 union all select i + 1 from n where i < 900) "
               "select a.i * 1000 + b.i from n a, n b order by 1 limit 200000")
        values = [int(row[0]) for row in c.query(sql).rows]
        assert len(values) == 200000
        assert values == sorted(values)


# ---- pipelining --------------------------------------------------------------------------------

def test_commands_in_one_segment_are_answered_in_order(place):
    with place.client() as c:
        c.send_raw(b"".join(frame(0, bytes([COM_QUERY]) + b"select %d" % i) for i in range(200)))
        for i in range(200):
            c.seq = 1
            assert c.read_result().value() == b"%d" % i


def test_different_commands_in_one_segment_are_answered_in_order(place):
    with place.client() as c:
        c.send_raw(frame(0, bytes([COM_PING])) + frame(0, bytes([COM_QUERY]) + b"select 1")
                   + frame(0, bytes([0x7F])) + frame(0, bytes([COM_INIT_DB]) + b"shop")
                   + frame(0, bytes([COM_STMT_PREPARE]) + b"do 1")
                   + frame(0, bytes([COM_QUERY]) + b"select database()"))
        c.seq = 1
        assert c.read_result().rows is None
        c.seq = 1
        assert c.read_result().value() == b"1"
        assert c.recv_frame()[1][:3] == b"\xff" + struct.pack("<H", 1047)
        c.seq = 1
        assert c.read_result().rows is None
        assert c.recv_frame()[1][0] == 0
        c.seq = 1
        assert c.read_result().value() == b"shop"


def test_a_command_that_comes_byte_by_byte_is_answered(mariadb):
    with mariadb.client() as c:
        for byte in frame(0, bytes([COM_QUERY]) + b"select 12345"):
            c.send_raw(bytes([byte]))
        c.seq = 1
        assert c.read_result().value() == b"12345"


def test_a_command_sent_before_the_login_was_answered_is_served(mariadb):
    with mariadb.client(login=False) as c:
        c.send_raw(frame(1, c.login_payload()) + frame(0, bytes([COM_QUERY]) + b"select 77"))
        c.seq = 2
        c.finish_login(c.greeting.scramble)
        c.seq = 1
        assert c.read_result().value() == b"77"


# ---- LOAD DATA LOCAL ---------------------------------------------------------------------------

def load_local(client, rows):
    client.local_file = lambda name: rows
    return client.query("load data local infile 'some name' into table test.loaded (a, b)")


@pytest.mark.parametrize("count", [0, 3, 50000])
def test_a_local_file_is_loaded(place, count):
    with place.client(caps=MODERN | LOCAL_FILES) as c:
        c.query("create table test.loaded (a int, b varchar(100))")
        rows = b"".join(b"%d\trow number %d\n" % (i, i) for i in range(count))
        assert load_local(c, rows).affected == count
        c.query("start transaction")
        assert c.query("select count(*) from test.loaded").value() == b"%d" % count
        c.query("commit")
        c.query("drop table test.loaded")


def test_a_local_file_over_16_mb_is_loaded(mariadb):
    with mariadb.client(caps=MODERN | LOCAL_FILES) as c:
        c.query("create table test.loaded (a int, b varchar(1100))")
        rows = b"".join(b"%d\t%s\n" % (i, b"z" * 1000) for i in range(18000))
        assert len(rows) > FULL
        assert load_local(c, rows).affected == 18000
        c.query("drop table test.loaded")


def test_a_client_that_sends_no_local_files_is_asked_for_none(place):
    with place.client() as c:
        c.query("create table test.loaded (a int, b varchar(100))")
        asked = []
        c.local_file = lambda name: asked.append(name) or b""
        error_of(c.query, "load data local infile 'x' into table test.loaded (a, b)")
        assert asked == []
        c.query("drop table test.loaded")
        assert c.query("select 1").value() == b"1"


def test_statistics_between_queries_do_not_disturb_a_transaction(place):
    with place.client(db="shop") as c:
        c.query("begin")
        c.command(COM_STATISTICS)
        c.recv()
        assert c.ping().in_transaction
        assert c.query("rollback").in_transaction is False


def test_multi_statements_need_the_clients_leave(place):
    with place.client(caps=MODERN & ~MULTI_STATEMENTS) as ours, \
            place.direct(caps=MODERN & ~MULTI_STATEMENTS) as theirs:
        assert error_of(ours.query, "select 1; select 2") == error_of(theirs.query, "select 1; select 2")


def test_an_error_packet_carries_code_state_and_text(place):
    with place.client() as c:
        c.command(COM_QUERY, b"select * from test.nowhere")
        error = read_error(c.recv())
        assert (error.code, error.state) == (1146, "42S02")
        assert "test.nowhere" in error.message
