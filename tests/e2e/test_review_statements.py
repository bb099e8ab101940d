"""Prepared statements at the edges: open cursors, shared ids, connections that break."""
import hashlib
import struct

import pytest

from fake import FakeServer, column_payload, ok_payload
from processes import free_port
from volvox import settings_for
from wire import (COM_INIT_DB, COM_STMT_EXECUTE, FULL, LONG_DATA, Client, ServerError, frame)

pytestmark = pytest.mark.all_kinds


@pytest.fixture
def few(place, start_volvox):
    """Few statements are kept on a server's connection."""
    return start_volvox(settings_for(place.cluster, workers=1, statements_per_backend=4))


def test_a_statement_with_an_open_cursor_is_not_thrown_out(place, few):
    with Client(few.port, db="shop") as c:
        opened = c.prepare("select id from items order by id")
        c.execute(opened, cursor=1)
        assert c.fetch(opened, 1).rows == [[1]]
        for i in range(10):
            s = c.prepare(f"select {i}")
            assert c.execute(s).rows == [[i]]
        assert c.fetch(opened, 1).rows == [[2]]
        assert c.fetch(opened, 9).rows == [[3], [4]]


def test_a_statement_with_long_data_is_not_thrown_out(place, few):
    with Client(few.port, db="shop") as c:
        fed = c.prepare("select concat(?, '')")
        c.long_data(fed, 0, b"kept ")
        for i in range(10):
            s = c.prepare(f"select {i}")
            assert c.execute(s).rows == [[i]]
        c.long_data(fed, 0, b"together")
        assert c.execute(fed, [LONG_DATA]).rows == [[b"kept together"]]


def test_two_statements_of_one_text_have_cursors_of_their_own(place, few):
    with Client(few.port, db="shop") as c:
        a, b = (c.prepare("select id from items order by id") for _ in range(2))
        c.execute(a, cursor=1)
        assert c.fetch(a, 1).rows == [[1]]
        c.execute(b, cursor=1)
        assert c.fetch(b, 2).rows == [[1], [2]]
        assert c.fetch(a, 2).rows == [[2], [3]]
        third = c.prepare("select id from items order by id")
        assert c.execute(third).rows == [[1], [2], [3], [4]]
        assert c.fetch(b, 5).rows == [[3], [4]]
        assert c.fetch(a, 5).rows == [[4]]


def test_closing_a_statement_with_a_cursor_frees_the_session(place, few):
    with Client(few.port, db="shop") as c:
        s = c.prepare("select id from items order by id")
        c.execute(s, cursor=1)
        assert few.status()["sessions_pinned"] == 1
        c.close_statement(s)
        assert c.query("select 1").value() == b"1"
        assert few.status()["sessions_pinned"] == 0


def test_types_of_sessions_that_share_a_statement_do_not_mix(place, start_volvox):
    volvox = start_volvox(settings_for(place.cluster, workers=1, server_limit=1))
    with Client(volvox.port) as a, Client(volvox.port) as b:
        text = "/* volvox: primary */ select concat(?, '')"
        sa, sb = a.prepare(text), b.prepare(text)
        assert a.execute(sa, [65]).rows == [[b"65"]]
        assert b.execute(sb, ["AAAAAAA"]).rows == [[b"AAAAAAA"]]
        for _ in range(3):
            assert a.execute(sa, [66], types=False).rows == [[b"66"]]
            assert b.execute(sb, ["BBBBBBB"], types=False).rows == [[b"BBBBBBB"]]
        # What types the server remembers after an execution that failed is its affair.
        b.command(COM_STMT_EXECUTE, struct.pack("<IBI", sb.id, 0, 1) + b"\0\1\xee\0\x01x")
        with pytest.raises(ServerError):
            b.read_result(binary=True)
        b.query("do 0")                               # who may ask for the error keeps the connection
        assert a.execute(sa, [67], types=False).rows == [[b"67"]]
        assert b.execute(sb, ["CCCCCCC"]).rows == [[b"CCCCCCC"]]


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, FULL - 30, FULL - 15, FULL - 11, FULL, FULL + 1,
                                  FULL * 2 - 20])
def test_a_long_execution_without_types_arrives(mariadb, start_volvox, size):
    volvox = start_volvox(settings_for(mariadb.cluster, workers=1, server_limit=1))
    text = "/* volvox: primary */ select length(?), md5(?)"
    value = b"v" * size
    with Client(volvox.port, timeout=60) as a, Client(volvox.port) as b:
        sa, sb = a.prepare(text), b.prepare(text)
        assert a.execute(sa, ["x", "y"]).rows[0][0] == 1
        b.execute(sb, [12, 13])
        row = a.execute(sa, [value, "y"], types=False).rows[0]
        assert row == [size, hashlib.md5(b"y").hexdigest().encode()]
        assert a.query("select 1").value() == b"1"


# ---- servers that break -----------------------------------------------------------------------

def prepared_answer(number, params, columns=0):
    out = frame(1, b"\0" + struct.pack("<IHHBH", number, columns, params, 0, 0))
    seq = 2
    for _ in range(params + columns):
        out += frame(seq, column_payload(b"?"))
        seq += 1
    return out


class Breaking:
    """A fake server that knows statements, keeps what is executed, and breaks when told."""

    def __init__(self):
        self.executed, self.breaks, self.prepares = [], 0, 0
        self.server = FakeServer()
        self.server.answer = self.answer

    def answer(self, connection, code, payload):
        if code == 22:
            self.prepares += 1
            return prepared_answer(self.prepares, 1)
        if code in (23, 3) and not payload.startswith(b"SET NAMES"):
            self.executed.append((code, payload))
            if self.breaks:
                self.breaks -= 1
                raise OSError("broken on purpose")
        if code == 24 or code == 25:
            return b""
        return None

    def settings(self, **more):
        settings = {
            "volvox": {"workers": 1, "connect_timeout": "1s", "queue_timeout": "1s", **more},
            "listener main": {"address": "127.0.0.1:%d" % free_port()},
            "group main": {},
            "server fake": {"address": f"127.0.0.1:{self.server.port}", "role": "primary"},
            "user app": {"password": "app-secret"},
        }
        return settings


@pytest.fixture
def breaking(start_volvox):
    b = Breaking()
    b.volvox = start_volvox(b.settings())
    yield b
    b.server.close()


def test_a_repeated_execution_carries_its_values(breaking):
    """The types are put in again, for the other connection, not twice."""
    with Client(breaking.volvox.port) as a, Client(breaking.volvox.port) as b:
        sa = a.prepare("select ?")
        a.execute(sa, ["first"])
        sb = b.prepare("select ?")
        b.execute(sb, [5])                            # other types on the shared statement
        breaking.executed.clear()
        breaking.breaks = 1
        a.execute(sa, ["the value"], types=False)
        sent = [p[9:] for code, p in breaking.executed if code == 23]
        assert sent == [b"\0\1\xfd\0\x09the value"] * 2


def test_a_read_that_breaks_every_connection_is_not_tried_for_ever(breaking):
    with Client(breaking.volvox.port, timeout=5) as c:
        breaking.breaks = 10 ** 9
        with pytest.raises(ServerError):
            c.query("select 'poison'")
        assert len(breaking.executed) <= 3
        breaking.breaks = 0
        c.query("select 'fine'")


def test_a_restore_that_breaks_every_connection_is_not_tried_for_ever(breaking):
    with Client(breaking.volvox.port, timeout=5) as c:
        c.query("select 1")
        accepted = breaking.server.accepted

        def answer(connection, code, payload):
            if code == COM_INIT_DB:
                raise OSError("broken on purpose")
            return breaking.answer(connection, code, payload)

        breaking.server.answer = answer
        with pytest.raises((ServerError, ConnectionError)):
            c.simple(COM_INIT_DB, b"shop")
        with pytest.raises((ServerError, ConnectionError)):
            with Client(breaking.volvox.port, db="shop", timeout=5) as d:
                d.query("insert 1")
        assert breaking.server.accepted - accepted < 20


def test_a_write_is_sent_once(breaking):
    with Client(breaking.volvox.port, timeout=5) as c:
        c.query("insert 1")
        breaking.executed.clear()
        breaking.breaks = 10 ** 9
        with pytest.raises(ServerError):
            c.query("insert 2")
        s = c.prepare("insert into t values (?)")
        with pytest.raises(ServerError):
            c.execute(s, ["3"])
        assert len(breaking.executed) == 2


def test_long_data_of_a_broken_transaction_ends_the_session(breaking):
    """What comes after it would run outside of the transaction."""
    with Client(breaking.volvox.port, timeout=5) as c:
        s = c.prepare("insert into t values (?)")
        breaking.server.answer = lambda conn, code, p: (
            frame(1, ok_payload(status=3)) if p.startswith(b"begin") else breaking.answer(conn, code, p))
        c.query("begin")
        breaking.server.close_connections()
        breaking.executed.clear()
        with pytest.raises((ServerError, ConnectionError)):
            for _ in range(20):
                c.long_data(s, 0, b"x" * 1000)
            c.execute(s, [LONG_DATA])
        with pytest.raises((ServerError, ConnectionError)):
            c.query("insert 1")
            c.query("insert 1")
        assert breaking.executed == []


# ---- what is open on a connection ----------------------------------------------------------------

@pytest.mark.parametrize("what", ["cursor", "long data"])
def test_who_reads_with_something_open_can_still_write(place, what):
    """A cursor or long data keep the session where they are: that must not be a replica."""
    with place.client(db="shop") as c:
        s = c.prepare("select id from items where id > ? order by id")
        if what == "cursor":
            c.execute(s, [0], cursor=1)
            assert c.fetch(s, 1).rows == [[1]]
        else:
            c.long_data(s, 0, b"0")
        c.query("begin")
        c.query("update items set price = price + 1 where id = 1")
        c.query("rollback")
        if what == "cursor":
            assert c.fetch(s, 1).rows == [[2]]
        else:
            assert c.execute(s, [LONG_DATA]).rows == [[1], [2], [3], [4]]


@pytest.mark.parametrize("pin", ["set timestamp = 1000000000", "set session transaction isolation level serializable",
                                 "set transaction isolation level serializable", "set rand_seed1 = 5",
                                 "set @a = 1", "use shop"])
def test_who_got_a_warning_from_a_replica_can_still_write(place, pin):
    with place.client(db="test") as c:
        for _ in range(3):
            c.query("select cast('x' as signed)")
            c.query(pin)
            c.query("update shop.items set price = price where id = 1")


def test_types_that_find_no_room_in_a_long_execution_are_an_error(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, workers=1, server_limit=1))
    count = 2100
    text = "/* volvox: primary */ select length(concat(?" + ", ?" * (count - 1) + "))"
    with Client(volvox.port, timeout=60) as a, Client(volvox.port, timeout=60) as b:
        sa, sb = a.prepare(text), b.prepare(text)
        assert a.execute(sa, ["xx"] * count).rows == [[2 * count]]
        assert b.execute(sb, [7] * count).rows == [[count]]
        with pytest.raises(ServerError) as caught:
            a.execute(sa, ["v" * FULL] + ["x"] * (count - 1), types=False)
        assert caught.value.code == 1153
        assert a.execute(sa, ["yyy"] * count, types=False).rows == [[3 * count]]
        assert b.execute(sb, [8] * count, types=False).rows == [[count]]
        assert a.execute(sa, ["v" * FULL] + ["x"] * (count - 1)).rows == [[FULL + count - 1]]
