"""Protocol extensions of both families: a client sees what it would see on a connection to the server
itself, whoever shares its server connection, and also where that speaks less."""
import contextlib
import itertools
import struct
import subprocess

import pytest

from conftest import DIRECT
from fake import FakeServer, column_payload, greeting_payload, ok_payload, result_set
from processes import free_port, wait_until
from servers import APP, MYSQL_ROOT
from test_drivers import DRIVERS, compile_with
from volvox import settings_for
from wire import (BASE, BULK, BULK_UNIT_RESULTS, CACHE_METADATA, COMPRESS, COM_QUERY,
                  COM_STMT_BULK_EXECUTE, COM_STMT_EXECUTE, COM_STMT_PREPARE, COM_STMT_RESET,
                  CONNECT_ATTRS, CONNECT_WITH_DB, DEPRECATE_EOF, DIALECTS, EXPIRED_PASSWORDS,
                  EXTENDED_METADATA, FULL, IGNORE_SPACE, INTERACTIVE, LAST_PREPARED, LONG_DATA, MODERN,
                  MULTI_STATEMENTS, ODBC, OPTIONAL_METADATA, PARAMETER_COUNT, PLUGIN_AUTH_LENENC,
                  PROGRESS, QUERY_ATTRIBUTES, SSL, UNIT_RESULTS, ZSTD, Client, ServerError, Statement,
                  frame, lenstr, query_attributes)

MARIADB = PROGRESS | BULK | EXTENDED_METADATA | CACHE_METADATA
PLAIN = BASE | MULTI_STATEMENTS | DEPRECATE_EOF
EOFS = BASE | MULTI_STATEMENTS
LAST = Statement(LAST_PREPARED, [], [], 0)
unique = itertools.count(1)


@pytest.fixture(params=["mariadb", "mariadb-11.8"])
def maria(request, places):
    """What this family does in a later version as well."""
    found = places(request.param)
    yield found
    found.check()


@pytest.fixture
def mysql(mysql_place):
    yield mysql_place
    mysql_place.check()


def error_of(call, *args, **more):
    with pytest.raises(ServerError) as caught:
        call(*args, **more)
    return caught.value.args


def outcome(call, *args, **more):
    """What there is to compare of a result or an error."""
    try:
        r = call(*args, **more)
    except ServerError as e:
        return e.args
    return [(x.rows, x.affected, x.insert_id, x.warnings, x.info) for x in [r, *r.more]]


def heard(client, call, *args, **more):
    """All packets of an answer, with their numbers."""
    client.heard = []
    try:
        call(*args, **more)
    except ServerError:
        pass
    packets, client.heard = client.heard, None
    return [comparable(seq, p, client.caps) for seq, p in packets]


def comparable(seq, payload, caps):
    # The status in an EOF behind definitions is told by servers only at the end.
    if payload[0] == 0xFE and len(payload) == 5 and not caps & DEPRECATE_EOF:
        return seq, payload[:3]
    return seq, payload


def without_id(packets):
    """The answer to a PREPARE."""
    (seq, first), *rest = packets
    return [(seq, first[:1] + first[5:])] + rest


def same_packets(ours, theirs, what):
    """What one method and its arguments bring, on both connections; the packets."""
    name, *args = what
    got, want = (heard(c, getattr(c, name), *args) for c in (ours, theirs))
    assert got == want, what
    return got


def same_prepare(ours, theirs, sql):
    made = []
    packets = [without_id(heard(c, lambda c=c: made.append(c.prepare(sql)))) for c in (ours, theirs)]
    assert packets[0] == packets[1], sql
    return made if len(made) == 2 else None


def same_execute(statements, ours, theirs, *args, **more):
    a, b = statements
    got = heard(ours, ours.execute, a, *args, **more)
    assert got == heard(theirs, theirs.execute, b, *args, **more)
    return got


# ---- what is offered and agreed ------------------------------------------------------------------

def test_clients_are_offered_what_the_servers_have(place):
    with place.client() as ours, place.direct() as theirs:
        known = MARIADB | UNIT_RESULTS | OPTIONAL_METADATA | QUERY_ATTRIBUTES | EXPIRED_PASSWORDS | 1
        assert ours.greeting.caps & known == theirs.greeting.caps & known
        of_the_hop = SSL | COMPRESS | ZSTD
        assert ours.greeting.caps & ~theirs.greeting.caps & ~of_the_hop == 0
        if place.family == "mariadb":
            assert ours.greeting.caps & MARIADB == MARIADB
        else:
            assert ours.greeting.caps >> 32 == 0


def test_what_was_not_offered_is_not_agreed(place):
    """A client that claims everything gets answers in the dialect of what was offered."""
    more = DIALECTS & ~(1 << 33)
    with place.client(login=False, caps=PLAIN) as c:
        claimed = (c.caps | more) & 0xFFFFFFFE
        c.send(struct.pack("<IIB19xI", claimed, 1 << 30, 45, more >> 32) + c.login_payload()[32:])
        c.finish_login(c.greeting.scramble)
        c.caps = PLAIN | (more & c.greeting.caps)
        assert c.query("select 1, 'x'").rows == [[b"1", b"x"]]


def end_of_login(port, whole, cut):
    """What comes of a login packet of so many bytes (beyond its end: of zeroes)."""
    db, attributes = whole
    with Client(port, db=db, attributes=attributes, caps=PLAIN | MARIADB, login=False) as c:
        payload = c.login_payload()
        c.send(payload[:cut] + bytes(max(0, cut - len(payload))))
        try:
            return len(payload), c.finish_login(c.greeting.scramble)
        except ServerError as e:
            return len(payload), e.args


@pytest.mark.parametrize("whole", [(None, {"a": "b"}), ("shop", {"a": "b"}), (None, None)],
                         ids=["attributes", "schema and attributes", "neither"])
def test_a_login_packet_of_any_length_is_taken_as_by_the_server(place, whole):
    place.primary.query("set global max_connect_errors = 1000000")
    length, _ = end_of_login(place.primary.port, whole, 0)
    for cut in range(length + 4):
        got, want = (end_of_login(port, whole, cut)[1] for port in (place.port, place.primary.port))
        assert got == want, cut


@pytest.mark.parametrize("db", [None, "shop"])
def test_the_ok_of_a_login_tells_of_the_schema_as_the_servers_does(place, db):
    with place.client(db=db) as ours, place.direct(db=db) as theirs:
        assert ours.login_ok == theirs.login_ok
        for other in ("", "test"):
            assert ours.change_user(*APP, other) == theirs.change_user(*APP, other)
            assert ours.query("select database()").rows == theirs.query("select database()").rows


MARIADB_SHAPES = {
    "all": PLAIN | MARIADB,
    "all, with EOF packets": EOFS | MARIADB,
    "extended metadata": PLAIN | EXTENDED_METADATA,
    "cached metadata": PLAIN | CACHE_METADATA,
    "cached metadata, with EOF packets": EOFS | CACHE_METADATA,
    "none of them": PLAIN,
    "none of them, with EOF packets": EOFS,
}
TYPED = ("create table if not exists test.typed (id int primary key, i inet6, u uuid, j json, "
         "p point default point(1, 2), v varchar(20))")


@pytest.mark.parametrize("shape", MARIADB_SHAPES)
def test_answers_of_mariadb_are_the_same_byte_for_byte(maria, shape):
    caps = MARIADB_SHAPES[shape]
    maria.primary.query(TYPED)
    maria.primary.query("replace test.typed (id, i, u, j, v) values "
                        "(1, '::1', '123e4567-e89b-12d3-a456-426655440000', '{}', 'x')")
    maria.cluster.sync()
    n = next(unique)
    with maria.client(db="shop", caps=caps) as ours, maria.direct(db="shop", caps=caps) as theirs:
        for sql in ("select 1", "select * from test.typed", "select * from items where id = 0", "do 1",
                    "select 1; select i, j from test.typed; do 1", "call two_results()", "selekt",
                    f"select {', '.join(['1'] * 300)}"):
            same_packets(ours, theirs, ("query", sql))
        same_packets(ours, theirs, ("field_list", "items"))
        s = same_prepare(ours, theirs, f"select {n}, t.*, ? as x from test.typed t where id > ?")
        for values in ([5, 0], [5, 0], ["text", 0], ["more", 1], [None, 0], [7, 0]):
            same_execute(s, ours, theirs, values)
        s = same_prepare(ours, theirs, f"select {n}, id from items")
        for cursor in (0, 1, 1, 0):
            same_execute(s, ours, theirs, cursor=cursor)
        s = same_prepare(ours, theirs, f"call /* {n} */ out_value(?, ?)")
        for _ in range(2):
            same_execute(s, ours, theirs, [3, 4])
        for sql in (f"show /* {n} */ warnings", f"set @{'x' * n} = 1", f"select {n} from nowhere"):
            s = same_prepare(ours, theirs, sql)
            for _ in range(3 if s else 0):
                same_execute(s, ours, theirs)


# ---- cached metadata on connections that are shared ------------------------------------------------

def columns(result):
    return [(c.name, c.type, c.extended) for c in result.columns]


@pytest.fixture
def one(start_cluster, start_volvox):
    """One server, and one connection to it: what clients have prepared is the same statement there."""
    cluster = start_cluster(replicas=0)
    volvox = start_volvox(settings_for(cluster, server_limit=1, workers=1))
    return cluster, volvox


def test_a_client_never_lacks_definitions_that_others_were_sent(one):
    """The server leaves out what it sent to whoever used the statement last."""
    cluster, volvox = one
    caps = MODERN | MARIADB
    values = [7, "text", 8, 9, "more", None, "again"]
    with Client(cluster.primary.port, caps=caps) as alone:
        s = alone.prepare("select ? as x, 1 as y")
        want = [(r.rows, columns(r)) for r in (alone.execute(s, [v]) for v in values)]
    with Client(volvox.port, caps=caps) as a, Client(volvox.port, caps=caps) as b, \
            Client(volvox.port, caps=caps) as c:
        sa, sb, sc = (x.prepare("select ? as x, 1 as y") for x in (a, b, c))
        got = []
        for i, v in enumerate(values):
            r = a.execute(sa, [v])
            got.append((r.rows, columns(r)))
            # The others execute in between, with other types at other times.
            for x, s, other in ((b, sb, values[-1 - i]), (c, sc, v)):
                assert x.execute(s, [other]).rows[0][1] == 1
        assert got == want
        if not DIRECT:
            assert cluster.primary.status("Com_stmt_prepare") <= 4


def test_definitions_that_a_client_has_are_left_out(one):
    """It may be another session that had them sent: what counts is that they are the same."""
    _, volvox = one
    with Client(volvox.port, caps=MODERN | MARIADB) as a, Client(volvox.port, caps=MODERN | MARIADB) as b:
        sa, sb = a.prepare("select 1, 'x' as name"), b.prepare("select 1, 'x' as name")
        for x, s in ((a, sa), (b, sb), (a, sa), (b, sb)):
            r = x.execute(s)
            assert (r.rows, r.has_definitions) == ([[1, b"x"]], False)


def test_definitions_change_with_the_table(one):
    cluster, volvox = one
    cluster.primary.query("create table shop.changing (a int)")
    cluster.primary.query("insert into shop.changing values (1)")
    with Client(volvox.port, db="shop", caps=MODERN | MARIADB) as a, \
            Client(volvox.port, db="shop", caps=MODERN | MARIADB) as b:
        sa, sb = a.prepare("select * from changing"), b.prepare("select * from changing")
        assert a.execute(sa).rows == b.execute(sb).rows == [[1]]
        cluster.primary.query("alter table shop.changing add column b varchar(5) default 'new'")
        assert a.execute(sa).rows == [[1, b"new"]]
        assert b.execute(sb).rows == [[1, b"new"]]
        cluster.primary.query("alter table shop.changing modify column b varbinary(5)")
        for x, s in ((b, sb), (a, sa), (a, sa), (b, sb)):
            r = x.execute(s)
            assert (r.rows, r.columns[1].charset) == ([[1, b"new"]], 63)
        assert not b.execute(sb).has_definitions


def test_definitions_survive_another_connection(one):
    """A statement is prepared anew where it was not known; the client has its definitions already."""
    cluster, volvox = one
    with Client(volvox.port, caps=MODERN | MARIADB) as c:
        s = c.prepare("select ? as x")
        for v in ("text", "again"):
            assert c.execute(s, [v]).rows == [[v.encode()]]
        for row in cluster.primary.query("show processlist"):
            if row[1] == APP[0]:
                cluster.primary.query(f"kill {row[0]}")
        for v in ("third", "fourth", 5, "sixth"):
            expected = v if isinstance(v, int) else v.encode()
            assert c.execute(s, [v], types=v != "fourth").rows == [[expected]]


def test_an_eof_does_not_tell_of_the_cursor_before(place):
    """That before many rows is sent when their end has not been seen yet."""
    with place.client(db="shop", caps=EOFS) as c:
        s, t = c.prepare("select id from items"), c.prepare("select ? as x")
        c.execute(s, cursor=1)
        c.fetch(s, 1)
        for x, n in ((5, 1), ("x" * (3 << 20), 1)):
            assert len(c.execute(t, [x]).rows) == n
        assert c.execute(s, cursor=1).rows == []
        big = c.query("select repeat('x', 3000000) union all select 'y'")
        assert [len(r[0]) for r in big.rows] == [3000000, 1]


@pytest.mark.parametrize("caps", [PLAIN | MARIADB, EOFS | MARIADB], ids=["", "with EOF packets"])
def test_inserted_definitions_are_numbered_and_followed_as_they_should(one, caps):
    cluster, volvox = one
    with Client(volvox.port, caps=caps) as a, Client(volvox.port, caps=caps) as b, \
            Client(cluster.primary.port, caps=caps) as alone:
        sql = "select ? as x, inet6_aton('::1') as y, ? as z"
        sa, sb, s = (x.prepare(sql) for x in (a, b, alone))
        a.execute(sa, ["text", 1])
        # The server sends b nothing; direct, it sends the definitions now.
        assert heard(b, b.execute, sb, ["text", 1]) == heard(alone, alone.execute, s, ["text", 1])
        assert heard(b, b.execute, sb, ["text", 1], 1) == heard(alone, alone.execute, s, ["text", 1], 1)


# ---- servers made of scripts: what they are told, and what they may not have -------------------------

FAKE_CAPS = MODERN | CONNECT_WITH_DB | CONNECT_ATTRS | PLUGIN_AUTH_LENENC


class Fake:
    """A fake server behind Volvox that remembers what it was sent."""

    def __init__(self, start_volvox, caps, version=b"5.5.5-11.8.2-MariaDB"):
        self.version, self.said, self.answers = version, [], {}
        self.server = FakeServer()
        self.offers(caps)
        self.server.answer = self._answer
        self.volvox = start_volvox({
            "volvox": {"workers": 1, "monitor_interval": "100ms", "queue_timeout": "2s"},
            "listener main": {"address": f"127.0.0.1:{free_port()}"},
            "group main": {},
            "server fake": {"address": f"127.0.0.1:{self.server.port}", "role": "primary"},
            f"user {APP[0]}": {"password": APP[1]},
        })

    def offers(self, caps):
        """From now on; connections that exist are closed."""
        self.server.greeting = greeting_payload(version=self.version, caps=FAKE_CAPS | caps)
        self.server.close_connections()

    def _answer(self, connection, code, payload):
        text = payload[2:] if code == COM_QUERY and connection.caps & QUERY_ATTRIBUTES else payload
        if code == COM_QUERY and text.startswith(b"SET "):
            return None
        self.said.append((code, payload))
        return self.answers.get(code)

    def client(self, caps):
        return Client(self.volvox.port, caps=MODERN | caps)


@pytest.fixture
def fake(start_volvox):
    made = []

    def make(*args, **more):
        made.append(Fake(start_volvox, *args, **more))
        return made[-1]

    yield make
    for f in made:
        f.server.close()


def packets(*payloads, seq=1):
    return b"".join(frame(seq + i, p) for i, p in enumerate(payloads))


def definition(name, extended=None):
    """A definition, as column_payload() makes it, with its description."""
    payload = column_payload(name)
    at = payload.index(b"\x0c", 8)
    return payload if extended is None else payload[:at] + lenstr(extended) + payload[at:]


END = ok_payload(head=0xFE)


def test_servers_are_asked_for_what_the_client_speaks(fake):
    f = fake(MARIADB | UNIT_RESULTS | QUERY_ATTRIBUTES)
    for caps in (0, MARIADB, EXTENDED_METADATA, CACHE_METADATA | PROGRESS):
        with f.client(caps) as c:
            c.query("do 1")
        asked = f.server.connections[-1].caps & (DIALECTS | 1)
        # What only adds commands or packets that we can leave out is always asked.
        assert asked == caps | PROGRESS | BULK | UNIT_RESULTS


def test_extensions_of_mariadb_are_not_asked_of_mysql(fake):
    """Bit 0 is set in its greeting: what is in that place is none of them."""
    f = fake(QUERY_ATTRIBUTES, version=b"9.7.4")
    f.server.greeting = f.server.greeting[:6] + f.server.greeting[6:].replace(bytes(10), b"\xff" * 10, 1)
    f.server.close_connections()
    with f.client(MARIADB) as c:
        assert c.greeting.caps >> 32 == 0
        c.query("do 1")
        assert f.server.connections[-1].caps >> 32 == 0


def test_a_server_may_not_leave_out_what_it_never_sent(fake):
    f = fake(MARIADB)
    f.answers = {COM_STMT_PREPARE: packets(b"\0" + struct.pack("<IHHBH", 1, 0, 0, 0, 0)),
                 COM_STMT_EXECUTE: packets(b"\1\0", b"\0\0\1x", END)}
    with f.client(MARIADB) as c:
        code, _, text = error_of(c.execute, c.prepare("select 1"))
        assert code == 1835 and text.startswith("volvox:")
        assert c.ping()


def other_server(f, client, caps):
    """The client stays; its server is replaced by one that offers this."""
    client.query("do 1")
    f.offers(caps)
    f.said.clear()


def test_a_server_without_extended_metadata_gets_empty_descriptions(fake):
    f = fake(MARIADB)
    with f.client(EXTENDED_METADATA) as c:
        other_server(f, c, 0)
        f.answers = {COM_QUERY: packets(b"\2", definition(b"a"), definition(b"b"), b"\1x\1y", END),
                     COM_STMT_PREPARE: packets(b"\0" + struct.pack("<IHHBH", 1, 1, 1, 0, 0),
                                               definition(b"?"), definition(b"a"))}
        c.heard = []
        r = c.query("select a, b")
        assert [(x.name, x.extended) for x in r.columns] == [(b"a", b""), (b"b", b"")]
        assert r.rows == [[b"x", b"y"]]
        assert c.heard[1][1] == definition(b"a", b"")
        s = c.prepare("select a")
        assert [x.name for x in s.params + s.columns] == [b"?", b"a"]
        f.answers = {4: packets(definition(b"a") + b"\1" + b"5", END)}
        assert [(x.name, x.extended) for x in c.field_list("t")] == [(b"a", b"")]


@pytest.mark.parametrize("family, cap", [("mariadb", CACHE_METADATA), ("mysql", OPTIONAL_METADATA)])
def test_a_server_that_does_not_say_whether_definitions_follow_sends_them(fake, family, cap):
    f = fake(cap, version=b"5.5.5-11.8.2-MariaDB" if family == "mariadb" else b"9.7.4")
    with f.client(cap) as c:
        other_server(f, c, 0)
        f.answers = {COM_QUERY: packets(b"\1", definition(b"a"), b"\1x", END),
                     COM_STMT_PREPARE: packets(b"\0" + struct.pack("<IHHBH", 1, 1, 0, 0, 0),
                                               definition(b"a")),
                     COM_STMT_EXECUTE: packets(b"\1", definition(b"a"), b"\0\0\1x", END)}
        c.heard = []
        assert c.query("select a").rows == [[b"x"]]
        assert c.heard[0] == (1, b"\1\1")
        s = c.prepare("select a")
        for _ in range(2):
            r = c.execute(s)
            assert (r.rows, r.has_definitions) == ([[b"x"]], True)
        # And back: what the client was sent meanwhile is not what this one remembers.
        if cap == CACHE_METADATA:
            f.offers(CACHE_METADATA)
            f.answers[COM_STMT_EXECUTE] = packets(b"\1\0", b"\0\0\1x", END)
            c.heard = []
            assert c.execute(s).rows == [[b"x"]]
            assert c.heard[1] == (2, definition(b"a"))
            assert not c.execute(s).has_definitions


def test_a_server_without_query_attributes_gets_the_text_alone(fake):
    f = fake(QUERY_ATTRIBUTES, version=b"9.7.4")
    with f.client(QUERY_ATTRIBUTES) as c:
        c.query("do 1")
        f.said.clear()
        c.query("insert with", x="value", y=None, z=5)
        assert f.said == [(COM_QUERY, query_attributes({"x": "value", "y": None, "z": 5}) + b"insert with")]
        other_server(f, c, 0)
        c.query("insert without", x="value", y=None, z=5)
        c.query("insert plain")
        assert f.said == [(COM_QUERY, b"insert without"), (COM_QUERY, b"insert plain")]
        long = "insert " + "x" * (17 << 20)
        code, _, text = error_of(c.query, long, x="value")
        assert (code, text[:7]) == (1153, "volvox:")
        assert c.ping()


PREPARED_2 = packets(b"\0" + struct.pack("<IHHBH", 9, 0, 2, 0, 0), definition(b"?"), definition(b"?"))


def test_a_server_without_query_attributes_gets_parameters_alone(fake):
    f = fake(QUERY_ATTRIBUTES, version=b"9.7.4")
    f.answers = {COM_STMT_PREPARE: PREPARED_2}
    fixed = struct.pack("<IBI", 9, 0, 1)
    values = struct.pack("<q", 7) + b"\4text"
    with f.client(QUERY_ATTRIBUTES) as c:
        s = c.prepare("insert into t values (?, ?)")
        other_server(f, c, 0)
        c.execute(s, [7, "text"], x="attribute", y=5)
        c.execute(s, [None, "text"], types=False)
        c.execute(s, [7, "text"])
        c.execute(s, [7, "x" * 300000], types=False)
        executed = [p for code, p in f.said if code == COM_STMT_EXECUTE]
        kinds = b"\x08\0\xfd\0"
        assert executed[:3] == [fixed + b"\0\1" + kinds + values, fixed + b"\1\0\4text",
                                fixed + b"\0\1" + kinds + values]
        assert executed[3] == fixed + b"\0\0" + struct.pack("<q", 7) + lenstr(b"x" * 300000)


def test_types_are_put_in_with_empty_names(fake):
    """A server that has attributes reads a name behind each type."""
    f = fake(QUERY_ATTRIBUTES, version=b"9.7.4")
    f.answers = {COM_STMT_PREPARE: PREPARED_2}
    with f.client(QUERY_ATTRIBUTES) as a, f.client(QUERY_ATTRIBUTES) as b:
        sa, sb = (x.prepare("insert into t values (?, ?)") for x in (a, b))
        a.execute(sa, [7, "text"], x="attribute")
        b.execute(sb, [7, "text"])
        f.said.clear()
        a.execute(sa, [8, "more"], types=False)
        assert f.said == [(COM_STMT_EXECUTE, struct.pack("<IBI", 9, PARAMETER_COUNT, 1) + b"\2\0\1"
                           + b"\x08\0\0\xfd\0\0" + struct.pack("<q", 8) + b"\4more")]


# ---- bulk execution -----------------------------------------------------------------------------------

@contextlib.contextmanager
def bulk_tables(place):
    """A table, a client through Volvox and one of the server, both to run the same."""
    for which in ("our", "dir"):
        place.primary.query(f"create or replace table test.bulk_{which} (id int primary key "
                            "auto_increment, name longblob default 'unset', n int unique)")
    with place.client(db="test", caps=PLAIN | MARIADB) as ours, \
            place.direct(db="test", caps=PLAIN | MARIADB) as theirs:
        yield place, ours, theirs
    place.primary.query("drop table test.bulk_our, test.bulk_dir")


@pytest.fixture
def bulk(maria):
    with bulk_tables(maria) as made:
        yield made


def both(ours, theirs, sql):
    return [c.prepare(sql.format(f"bulk_{which}")) for c, which in ((ours, "our"), (theirs, "dir"))]


def same_bulk(statements, ours, theirs, rows, **more):
    got, want = (outcome(c.bulk, s, rows, **more) for s, c in zip(statements, (ours, theirs)))
    assert str(got).replace("bulk_our", "bulk_dir") == str(want)
    return got


def on_primary(client, sql):
    """Not from a replica, which may be behind."""
    client.query("begin")
    rows = client.query(sql).rows
    client.query("rollback")
    return rows


def contents(ours, theirs):
    got, want = (on_primary(c, f"select id, name, n from bulk_{w} order by id")
                 for c, w in ((ours, "our"), (theirs, "dir")))
    assert got == want
    return got


def test_rows_are_inserted_at_once(bulk):
    _, *c = bulk
    s = both(*c, "insert into {} (name, n) values (?, ?)")
    same_bulk(s, *c, [["a", 1], ["b", 2], [None, None]])
    same_bulk(s, *c, [["c", 3]])
    same_bulk(s, *c, [["d", 4], ["e", 5]], types=False)
    assert [r[1] for r in contents(*c)] == [b"a", b"b", None, b"c", b"d", b"e"]
    same_bulk(both(*c, "update {} set name = ? where n = ?"), *c, [["x", 1], ["y", 2], ["z", 99]])
    same_bulk(both(*c, "delete from {} where n = ?"), *c, [[3], [4], [77]])
    same_bulk(both(*c, "replace into {} (n, name) values (?, ?)"), *c, [[1, "new"], [6, "six"]])
    assert len(contents(*c)) == 5


def test_a_row_that_fails_stops_the_rest_as_on_the_server(bulk):
    _, *c = bulk
    s = both(*c, "insert into {} (name, n) values (?, ?)")
    assert same_bulk(s, *c, [["a", 1], ["b", 1], ["c", 2]])[0] == 1062
    contents(*c)
    same_bulk(s, *c, [["d", 4]])
    contents(*c)


def test_defaults_and_ignored_values_keep_their_indicators(bulk):
    _, *c = bulk
    for x, which in zip(c, ("our", "dir")):
        s = x.prepare(f"insert into bulk_{which} (name, n) values (?, ?)")
        x.command(COM_STMT_BULK_EXECUTE, struct.pack("<IH", s.id, 128) + b"\xfd\0\x08\0"
                  + b"\2" + b"\0" + struct.pack("<q", 1) + b"\0\1x" + b"\1")
        assert x.read_result().affected == 2
    assert contents(*c) == [[b"1", b"unset", b"1"], [b"2", b"x", None]]


def test_what_a_bulk_returns_comes_as_rows(bulk):
    _, *c = bulk
    s = both(*c, "insert into {} (name, n) values (?, ?) returning id, n")
    for first in (1, 3, 5):
        got = same_bulk(s, *c, [["a", first], ["b", first + 1]])
        assert [r[1] for r in got[0][0]] == [first, first + 1]


def test_bulk_and_single_executions_share_their_types(bulk):
    _, *c = bulk
    s = both(*c, "insert into {} (name, n) values (?, ?)")
    same_bulk(s, *c, [["a", 1]])
    for x, st in zip(c, s):
        assert x.execute(st, ["b", 2], types=False).affected == 1
    s = both(*c, "insert into {} (n, name) values (?, ?)")
    for x, st in zip(c, s):
        assert x.execute(st, [3, "c"]).affected == 1
    same_bulk(s, *c, [[4, "d"]], types=False)
    assert [r[1:] for r in contents(*c)] == [[b"a", b"1"], [b"b", b"2"], [b"c", b"3"], [b"d", b"4"]]


def test_types_of_a_bulk_are_the_sessions_own(mariadb):
    """Two sessions share the statement on a connection, with other types."""
    mariadb.primary.query("create or replace table test.shared (v varchar(20))")
    with mariadb.client(db="test", caps=PLAIN | MARIADB) as a, \
            mariadb.client(db="test", caps=PLAIN | MARIADB) as b:
        sa, sb = (x.prepare("insert into shared values (?)") for x in (a, b))
        for _ in range(3):
            a.bulk(sa, [["text"], ["more"]], types=_ == 0)
            b.bulk(sb, [[1], [2]], types=_ == 0)
            a.execute(sa, ["single"], types=False)
        assert on_primary(a, "select v, count(*) from shared group by v order by v") == [
            [v, b"3"] for v in (b"1", b"2", b"more", b"single", b"text")]
    mariadb.primary.query("drop table test.shared")


def sized(payload_bytes, types):
    """Rows of one value each whose command has exactly this many bytes."""
    fixed = 1 + 6 + (2 if types else 0)
    return [["x" * (payload_bytes - fixed - 1 - 9)]] if payload_bytes - fixed > 1 << 24 else \
        [["x" * (payload_bytes - fixed - 1 - 4)]]


@pytest.mark.parametrize("size", [FULL - 1, FULL, FULL + 1, 2 * FULL, 20 << 20])
def test_a_bulk_of_any_length_streams_through(mariadb, size):
    # Another session's types are in force on the connection: ours must be put in.
    with bulk_tables(mariadb) as (_, ours, _), \
            mariadb.client(db="test", caps=PLAIN | MARIADB) as other:
        s = ours.prepare("insert into bulk_our (name) values (?)")
        rows = sized(size, True)
        assert len(ours.bulk_payload(s, rows)) + 1 == size
        assert ours.bulk(s, rows).affected == 1
        t = other.prepare("insert into bulk_our (name) values (?)")
        assert other.bulk(t, [[5], [6]]).affected == 2
        rows = sized(size, False)
        assert ours.bulk(s, rows, types=False).affected == 1
        assert on_primary(ours, "select length(name), md5(name) = md5(repeat('x', length(name))) "
                                "from bulk_our where length(name) > 10 order by id")[-1] == [
            b"%d" % len(rows[0][0]), b"1"]


def test_what_cannot_be_executed_in_bulk_fails_as_on_the_server(mariadb):
    with mariadb.client(caps=PLAIN | MARIADB) as ours, mariadb.direct(caps=PLAIN | MARIADB) as theirs:
        errors = []
        for c in (ours, theirs):
            s, t = c.prepare("select ?"), c.prepare("do 1")
            fresh = c.prepare("insert into shop.items (name) values (?)")
            errors.append([error_of(c.bulk, s, [[1], [2]]), error_of(c.bulk, t, [[]]),
                           error_of(c.bulk, Statement(9999, [], [], 0), [[1]]),
                           error_of(c.bulk, fresh, [[1]], types=False),
                           error_of(c.bulk, s, [[1]], flags=BULK_UNIT_RESULTS)])
            c.command(COM_STMT_BULK_EXECUTE, b"\1\0")
            errors[-1].append(error_of(c.read_result))
            assert c.query("select 1").value() == b"1"
        assert errors[0] == errors[1]


def test_a_client_that_did_not_ask_for_bulk_has_none(place):
    with place.client(caps=PLAIN) as ours, place.direct(caps=PLAIN) as theirs:
        errors = []
        for c in (ours, theirs):
            s = c.prepare("select ?")
            errors.append(error_of(c.bulk, s, [[1]]))
            assert c.query("select 1").value() == b"1"
        assert errors[0] == errors[1]
        assert errors[0][0] == (1295 if place.family == "mariadb" else 1047)


@pytest.mark.parametrize("caps", [PLAIN | MARIADB | UNIT_RESULTS, EOFS | MARIADB | UNIT_RESULTS, PLAIN | MARIADB,
                                  PLAIN | BULK], ids=["", "with EOF packets", "not asked for", "and nothing else"])
def test_results_of_each_row_are_the_same_byte_for_byte(bulk, caps):
    """Before 11.5 servers refuse it, later ones don't mind whether it was negotiated."""
    place = bulk[0]
    with place.client(db="test", caps=caps) as ours, place.direct(db="test", caps=caps) as theirs:
        c = (ours, theirs)
        for sql, rows in (("insert into {} (n) values (?)", [[1], [2], [None]]),
                          ("insert into {} (n) values (?)", [[1], [2]]),
                          ("insert into {} (n) values (?) returning n", [[7], [8]]),
                          ("update {} set name = 'x' where n = ?", [[1], [99]]),
                          ("delete from {} where n = ?", [[1], [99]])):
            s = both(*c, sql)
            for _ in range(2):
                got, want = (heard(x, x.bulk, st, rows, flags=BULK_UNIT_RESULTS) for x, st in zip(c, s))
                assert [(seq, p.replace(b"bulk_our", b"bulk_dir")) for seq, p in got] == want, sql
        contents(*c)


def test_a_result_set_of_row_results_is_passed(fake):
    f = fake(MARIADB | UNIT_RESULTS)
    f.answers = {COM_STMT_PREPARE: packets(b"\0" + struct.pack("<IHHBH", 5, 0, 1, 0, 0), definition(b"?")),
                 COM_STMT_BULK_EXECUTE: packets(b"\2", column_payload(b"Id", 8), column_payload(b"Affected_rows", 3),
                                                b"\0\0" + struct.pack("<qi", 77, 1), END)}
    with f.client(BULK | UNIT_RESULTS) as c:
        s = c.prepare("insert into t values (?)")
        r = c.bulk(s, [["a"]], flags=BULK_UNIT_RESULTS)
        assert r.rows == [[77, 1]]
        assert f.said[-1] == (COM_STMT_BULK_EXECUTE, struct.pack("<IH", 5, 0xC0) + b"\xfd\0\0\1a")


def test_the_c_client_binds_arrays(mariadb, tmp_path):
    program = tmp_path / "driver_bulk"
    flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", "libmariadb"], text=True).split()
    compile_with(["cc", "-Wall", "-o", program, DRIVERS / "driver_bulk.c", *flags])
    mariadb.primary.query("create or replace table test.t_bulk (id int primary key auto_increment, "
                          "name varchar(50), n int default 42)")
    done = subprocess.run([program, "127.0.0.1", str(mariadb.port), *APP, "test"], timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "ok"), done.stdout
    mariadb.primary.query("drop table test.t_bulk")


# ---- the statement prepared last ------------------------------------------------------------------------

def prepare_and(client, sql, code, payload):
    """Both in one send; what comes of each."""
    client.send_raw(frame(0, bytes([COM_STMT_PREPARE]) + sql.encode()) + frame(0, bytes([code]) + payload))
    client.seq = 1
    statement = first = None
    try:
        statement = client.read_prepared()
        first = (len(statement.params), len(statement.columns))
    except ServerError as e:
        first = e.args
    client.seq = 1
    return first, outcome(client.read_result, True, statement)


def test_a_statement_is_prepared_and_executed_in_one_send(place):
    mariadb = place.family == "mariadb"
    caps = PLAIN | MARIADB
    with place.client(db="shop", caps=caps) as ours, place.direct(db="shop", caps=caps) as theirs:
        for sql, values in (("select 1 + ?", [5]), ("select id, name from items where id < ?", [3]),
                            ("selekt ?", [5]), ("select ? from nowhere", [1]), ("do ?", [1])):
            got = [prepare_and(c, sql, COM_STMT_EXECUTE, c.execute_payload(LAST, values))
                   for c in (ours, theirs)]
            assert got[0] == got[1], sql
        assert got[0][1] == [(None, 0, 0, 0, b"")] if mariadb else got[0][1][0] == 1243


def test_a_bulk_is_prepared_and_executed_in_one_send(bulk):
    _, *c = bulk
    got = [prepare_and(x, f"insert into bulk_{which} (name) values (?)", COM_STMT_BULK_EXECUTE,
                       x.bulk_payload(LAST, [["a"], ["b"], [None]]))
           for x, which in zip(c, ("our", "dir"))]
    assert got[0] == got[1] and got[0][1][0][1] == 3
    got = [prepare_and(x, "insert into nowhere values (?)", COM_STMT_BULK_EXECUTE,
                       x.bulk_payload(LAST, [["a"]])) for x in c]
    assert got[0] == got[1]
    assert (got[0][0][0], got[0][1][0]) == (1146, 1243)
    contents(*c)


def test_all_commands_know_the_statement_prepared_last(place):
    results = []
    for c in (place.client(caps=PLAIN), place.direct(caps=PLAIN)):
        with c:
            found = []
            first = c.prepare("select ?")
            last = c.prepare("select concat(?, '!')")
            this = Statement(LAST_PREPARED, last.params, last.columns, 0)
            found.append(outcome(c.execute, this, ["a"]))
            c.long_data(this, 0, b"long")
            found.append(outcome(c.execute, last, [LONG_DATA]))
            found.append(outcome(c.simple, COM_STMT_RESET, struct.pack("<I", LAST_PREPARED)))
            found.append(outcome(c.execute, this, ["a"], 1))
            found.append(outcome(c.fetch, this, 5))
            error = outcome(c.prepare, "selekt")
            found += [error, outcome(c.execute, this, ["a"]), outcome(c.execute, last, ["b"])]
            last = c.prepare("select concat(?, '?')")
            found.append(outcome(c.execute, this, ["a"]))
            c.close_statement(this)
            found += [outcome(c.execute, this, ["a"])]
            last.id = last.id if place.family == "mysql" else first.id
            found.append(outcome(c.execute, last, ["b"]))
            results.append(found)
    assert results[0] == results[1]


# ---- progress ----------------------------------------------------------------------------------------------

REPORT = b"\xff\xff\xff\x01\x01\x02\x10\x27\x00\x11copy to tmp table"


@pytest.mark.parametrize("caps", [PROGRESS, 0], ids=["asked for", "not asked for"])
def test_progress_is_reported_to_those_who_asked(fake, caps):
    f = fake(MARIADB)
    f.answers = {COM_QUERY: packets(REPORT, REPORT, REPORT, ok_payload(affected=3, status=10))
                 + result_set([[b"x"]], seq=5)}
    with f.client(caps) as c:
        c.progress, c.heard = [], []
        r = c.query("alter table t force")
        assert (r.affected, r.more[0].rows) == (3, [[b"x"]])
        assert c.progress == [REPORT] * (3 if caps else 0)
        assert [seq for seq, _ in c.heard] == list(range(1, len(c.heard) + 1))


def test_real_progress_is_reported(mariadb):
    """A report comes when a statement has taken a second."""
    mariadb.primary.query("create or replace table test.slow (a int) engine=myisam")
    alter = "alter table slow add column {} char(32) as (md5(repeat(a, 10000000))) persistent, algorithm=copy"
    try:
        with mariadb.client(db="test", caps=PLAIN | MARIADB, timeout=100) as c, \
                mariadb.client(db="test", caps=PLAIN, timeout=100) as silent:
            c.progress = []
            for x in (c, silent):
                x.query("set progress_report_time = 1")
            c.query("insert into slow values " + ",".join(["(1)"] * 32))
            for i in range(8):
                c.query(alter.format(f"c{i}"))
                if c.progress:
                    break
                c.query("insert into slow (a) select a from slow")      # a fast machine
            assert c.progress and all(p.startswith(REPORT[:4]) for p in c.progress)
            silent.query(alter.format("last"))
    finally:
        mariadb.primary.query("drop table test.slow")


def test_an_error_of_that_number_is_an_error(mysql):
    with mysql.client(caps=MODERN | PROGRESS) as c:
        assert error_of(c.query, "signal sqlstate '45000' set mysql_errno = 65535, message_text = 'x'") == (
            65535, "45000", "x")
        assert c.query("select 1").value() == b"1"


# ---- MySQL: optional metadata ---------------------------------------------------------------------------------

@pytest.mark.parametrize("caps", [PLAIN | OPTIONAL_METADATA, EOFS | OPTIONAL_METADATA],
                         ids=["", "with EOF packets"])
def test_answers_with_optional_metadata_are_the_same_byte_for_byte(mysql, caps):
    with mysql.client(db="shop", caps=caps) as ours, mysql.direct(db="shop", caps=caps) as theirs:
        for which in ("full", "none", "full", "none"):
            same_packets(ours, theirs, ("query", f"set resultset_metadata = {which}"))
            for sql in ("select 1", "select * from items where id < 3", "select * from items where id = 0",
                        "select 1; select 2, 3; do 1", "call two_results()", "selekt",
                        "select @@resultset_metadata", f"select {', '.join(['1'] * 300)}"):
                same_packets(ours, theirs, ("query", sql))
            s = same_prepare(ours, theirs, "select ?, id from items where id < ? order by id")
            for cursor in (0, 1, 0):
                same_execute(s, ours, theirs, [5, 3], cursor=cursor)
            same_prepare(ours, theirs, "do ?")
            if caps & DEPRECATE_EOF:      # else MySQL does not say that an OK follows
                s = same_prepare(ours, theirs, "call out_value(?, ?)")
                same_execute(s, ours, theirs, [5, 3])


def test_metadata_left_out_is_a_sessions_own(mysql):
    """It is restored wherever the session goes, and others are not bothered."""
    caps = MODERN | OPTIONAL_METADATA
    mysql.primary.query("create table if not exists test.numbered (id int primary key auto_increment)")
    with mysql.client(db="shop", caps=caps) as a, mysql.client(db="shop", caps=caps) as b, \
            mysql.client(db="shop") as c:
        a.query("set resultset_metadata = none")
        assert {int(a.query("select @@server_id").value()) for _ in range(20)} == mysql.readers
        for _ in range(6):
            for x, definitions in ((a, False), (b, True), (c, True)):
                r = x.query("select id, name from items where id = 1")
                assert (r.rows, r.has_definitions) == ([[b"1", b"apple"]], definitions)
            a.query("set names latin1")           # after which we ask for the collation
            a.query("set names utf8mb4")
            a.query("insert into test.numbered values ()")
            assert int(a.query("select last_insert_id()").value()) > 0
        assert error_of(c.query, "set resultset_metadata = none") == (
            3640, "HY000", "The client doesn't support optional metadata transfer")


# ---- MySQL: query attributes --------------------------------------------------------------------------------------

@pytest.fixture
def attributes(mysql):
    """With the component that shows them."""
    servers = mysql.cluster.servers
    for server in servers:
        server.query("install component 'file://component_query_attributes'")
    yield mysql
    for server in servers:
        server.query("uninstall component 'file://component_query_attributes'")


GET = "mysql_query_attribute_string"


def test_query_attributes_reach_the_server(attributes):
    caps = PLAIN | QUERY_ATTRIBUTES
    with attributes.client(db="shop", caps=caps) as ours, attributes.direct(db="shop", caps=caps) as theirs:
        for more in ({}, {"x": "value"}, {"x": 5, "y": None, "z": ""}, {"x": "v" * 300}, {"x": "v" * 70000},
                     {f"n{i}": i for i in range(100)}):
            for sql in ("select 1", f"select {GET}('x'), {GET}('y')", "do 1", "selekt", "",
                        f"select {GET}('x'); select {GET}('x')"):
                got, want = (heard(c, c.query, sql, **more) for c in (ours, theirs))
                assert got == want, (sql, list(more))
        s = same_prepare(ours, theirs, f"select ?, {GET}('x')")
        for more in ({}, {"x": "value"}, {"x": 5, "y": None}):
            for values in ([1], ["text"], [None]):
                same_execute(s, ours, theirs, values, **more)
        same_execute(s, ours, theirs, [None], types=False)
        s = same_prepare(ours, theirs, f"select {GET}('x')")
        for more in ({}, {"x": "value"}):
            same_execute(s, ours, theirs, **more)
            same_execute(s, ours, theirs, cursor=1, **more)


def test_the_text_behind_attributes_is_what_counts(place):
    """It is routed, and its digest taken, by the text alone, whatever the attributes say."""
    if place.family == "mariadb":
        pytest.skip("MySQL only")
    with place.client(db="shop", caps=MODERN | QUERY_ATTRIBUTES) as c:
        for _ in range(10):
            assert int(c.query("select @@server_id", x="insert into t").value()) in place.readers
            c.query("update items set price = price where id = 1", x="select 1")
        c.query("set @mine = 5", x="select 1")
        assert c.query("select @mine", a="b").value() == b"5"
        c.query("begin")
        assert c.query("select @@server_id").value() == b"1"
        c.query("rollback")
        s = c.prepare("select @@server_id")
        assert {c.execute(s, x="y").rows[0][0] for _ in range(10)} <= {1, *place.readers}
        code, _, text = error_of(c.query, "kill 999999", x="y")
        assert code == 1094


def test_attributes_and_the_clients_own_id_go_together(mysql):
    """The text is another one then, with the same attributes in front."""
    with mysql.client(caps=MODERN | QUERY_ATTRIBUTES) as c:
        for more in ({}, {"x": "value", "y": 5}):
            r = c.query("select connection_id(), connection_id() as again", **more)
            assert r.rows == [[b"%d" % c.greeting.thread_id] * 2]
            assert [x.name for x in r.columns] == [b"connection_id()", b"again"]


def test_malformed_attributes_are_refused_as_by_the_server(mysql):
    with mysql.client(caps=MODERN | QUERY_ATTRIBUTES) as ours, \
            mysql.direct(caps=MODERN | QUERY_ATTRIBUTES) as theirs:
        for payload in (b"select 1", b"", b"\0", b"\0\0select 1", b"\0\2select 1", b"\1\1\0\0select 1",
                        b"\1\1\0\1\xfd\0"):
            for c in (ours, theirs):
                c.command(COM_QUERY, payload)
                assert error_of(c.read_result) == (1835, "HY000", "Malformed communication packet.")
        assert ours.query("select 1", x="y").value() == b"1"


def test_long_statements_with_attributes_stream_through(mysql):
    with mysql.client(db="test", caps=MODERN | QUERY_ATTRIBUTES) as c:
        code, _, text = error_of(c.query, "select 1", name="x" * (2 << 20))
        assert (code, text[:7]) == (1153, "volvox:")
        for n in (FULL - 100, FULL, FULL + 1, 20 << 20):
            r = c.query(f"select length('{'x' * n}')", name="value")
            assert r.value() == b"%d" % n
        s = c.prepare("select length(?)")
        for n in (1 << 20, FULL, 20 << 20):
            assert c.execute(s, ["x" * n], name="value").rows == [[n]]


def test_the_mysql_program_sends_attributes(attributes):
    """A client that always speaks this dialect."""
    done = subprocess.run(
        ["chroot", str(MYSQL_ROOT), "mysql", "--no-defaults", "-h127.0.0.1", f"-P{attributes.port}",
         f"-u{APP[0]}", f"-p{APP[1]}", "--ssl-mode=DISABLED", "--get-server-public-key", "--commands", "-N", "shop"],
        input=f"query_attributes x hello y 5\nselect {GET}('x'), {GET}('y'), count(*) > 0 from items;\n"
              f"select {GET}('x');\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()) == (0, ["hello", "5", "1", "NULL"]), done.stderr


# ---- flags that change what a session begins with -------------------------------------------------------

@pytest.mark.all_kinds
@pytest.mark.parametrize("leave", ["set sql_mode = 'ANSI_QUOTES', wait_timeout = 100", "set @mine = 5"],
                         ids=["restored", "reset"])
def test_a_flag_of_the_login_is_in_force_whoever_was_there_before(place, start_volvox, leave):
    """One connection, used by one after the other; MariaDB forgets these flags with a reset."""
    for server in place.cluster.servers:
        server.query("set global interactive_timeout = 1234")
    volvox = start_volvox(settings_for(place.cluster, server_limit=1, workers=1))
    with Client(volvox.port) as c:          # on a busy machine the roles are not known at once
        wait_until(lambda: isinstance(outcome(c.query, "begin"), list), 20, "a primary")
    flags = MODERN | IGNORE_SPACE | INTERACTIVE
    ask = "select @@wait_timeout, count (*), @@sql_mode like '%IGNORE_SPACE%' from (select 1) x"
    with Client(place.primary.port, caps=flags) as alone:
        want = alone.query(ask).rows
    assert want == [[b"1234", b"1", b"1"]]
    for _ in range(4):
        with Client(volvox.port, caps=flags) as c:
            assert {tuple(c.query(ask).rows[0]) for _ in range(4)} == {tuple(want[0])}
            assert on_primary(c, ask) == want
            c.query(leave)
            c.query("select 1")
    for server in place.cluster.servers:
        server.query("set global interactive_timeout = default")


def test_flags_that_only_clients_mind_do_no_harm(place):
    """IGNORE_SIGPIPE, SSL_VERIFY_SERVER_CERT, REMEMBER_OPTIONS, ODBC: servers take them and do nothing."""
    for flag in (1 << 12, 1 << 30, 1 << 31, ODBC):
        with place.client(db="shop", caps=PLAIN | flag) as ours, place.direct(db="shop", caps=PLAIN | flag) as theirs:
            for sql in ("select * from items where id < 3", "select @@sql_mode, @@sql_auto_is_null"):
                same_packets(ours, theirs, ("query", sql))


# ---- expired passwords -----------------------------------------------------------------------------------------------

OLD = ("expiring", "old-secret")


@pytest.fixture
def expiring(place, start_volvox):
    """An account whose password is about to expire; Volvox with it."""
    primary = place.primary
    primary.query(f"create user '{OLD[0]}'@'%' identified by '{OLD[1]}'")
    primary.query(f"grant select, update on *.* to '{OLD[0]}'@'%'")
    place.cluster.sync()
    volvox = start_volvox(settings_for(place.cluster, users=(APP, OLD)))
    yield place, volvox
    primary.query(f"drop user '{OLD[0]}'@'%'")


def expire(place):
    place.primary.query(f"alter user '{OLD[0]}'@'%' password expire")
    place.cluster.sync()


def change(place):
    return ("set password = password('new-secret')" if place.family == "mariadb"
            else "alter user user() identified by 'new-secret'")


def failures(volvox):
    return volvox.status()["backends_failed"]


def test_an_expired_password_is_no_fault_of_the_servers(expiring):
    """A client that does not know of such things is refused as by the server; others don't notice."""
    place, volvox = expiring
    if place.family == "mariadb":
        place.primary.query("set global disconnect_on_expired_password = 1")
        for replica in place.cluster.replicas:
            replica.query("set global disconnect_on_expired_password = 1")
    expire(place)
    before = failures(volvox)
    want = error_of(Client, place.primary.port, *OLD)
    assert want[0] == 1862
    assert error_of(Client, volvox.port, *OLD, db="shop") == want
    with Client(volvox.port, *OLD) as c, Client(volvox.port, db="shop") as other:
        for _ in range(3):
            assert error_of(c.query, "select 1") == want
            assert error_of(c.query, "update shop.items set price = price") == want
            assert other.query("select count(*) > 0 from items").value() == b"1"
            other.query("update items set price = price where id = 1")
    assert failures(volvox) == before
    for server in place.cluster.servers if place.family == "mariadb" else ():
        server.query("set global disconnect_on_expired_password = 0")


# The last needs a schema.
IN_THE_SANDBOX = ("select 1", "do 1", "select count(*) from items")


@pytest.mark.parametrize("db", [None, "shop"])
def test_an_expired_password_can_be_changed(expiring, db):
    place, volvox = expiring
    expire(place)
    with Client(place.primary.port, *OLD, db=db, caps=MODERN | EXPIRED_PASSWORDS) as direct:
        refused = [error_of(direct.query, sql) for sql in IN_THE_SANDBOX]
    with Client(volvox.port, *OLD, db=db, caps=MODERN | EXPIRED_PASSWORDS) as c:
        assert [error_of(c.query, sql) for sql in IN_THE_SANDBOX] == refused
        assert refused[0][0] == 1820
        assert error_of(c.query, "update shop.items set price = price where id = 1") == refused[0]
        c.query(change(place))
        # It is an ordinary session now, with the state that it should have.
        assert c.query("select database()").value() == (db.encode() if db else None)
        assert c.query("update shop.items set price = price where id = 1").affected == 0
        c.query("set time_zone = '+03:00'")
        assert c.query("select @@time_zone").value() == b"+03:00"
    with Client(volvox.port) as other:
        assert other.query("select 1").value() == b"1"
    # The password that Volvox has is of no use any more, and no connection of before is used.
    with Client(volvox.port, *OLD, caps=MODERN | EXPIRED_PASSWORDS) as c:
        assert error_of(c.query, "update shop.items set price = price where id = 1")[0] == 1045


def test_a_connection_with_an_expired_password_is_not_used_for_others(expiring):
    place, volvox = expiring
    expire(place)
    with Client(volvox.port, *OLD, caps=MODERN | EXPIRED_PASSWORDS) as c:
        for _ in range(3):
            assert error_of(c.query, "select 1")[0] == 1820
            assert error_of(c.query, "update shop.items set price = price where id = 1")[0] == 1820
    place.primary.query(f"alter user '{OLD[0]}'@'%' identified by '{OLD[1]}'")
    place.cluster.sync()
    with Client(volvox.port, *OLD) as c:
        for _ in range(10):
            assert c.query("select 1").value() == b"1"
            assert c.query("update shop.items set price = price where id = 1").affected == 0
