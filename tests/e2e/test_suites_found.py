"""What other projects' test suites found (tests/suites/run): each as a test of its own."""
import contextlib
import struct

import pytest

from servers import APP
from volvox import settings_for
from wire import (BASE, COM_QUERY, COM_RESET, COM_SET_OPTION, COM_STMT_PREPARE, MODERN, MULTI_STATEMENTS, NATIVE, SHA2,
                  SHA256, Client, ServerError)

MULTI_ON, MULTI_OFF = struct.pack("<H", 0), struct.pack("<H", 1)


def one_connection(start_volvox, place):
    """A Volvox all of whose clients come by the same connection to the primary."""
    settings = settings_for(place.cluster, server_limit=1)
    for replica in place.cluster.replicas:
        del settings[f"server {replica.name}"]
    return start_volvox(settings)


def runs_multi(client):
    try:
        return len(client.query("select 1; select 2").more) == 1
    except ServerError as e:
        assert e.args[0] == 1064
        return False


# ---- multi statements: PyMySQL test_nextset ------------------------------------------------------

def test_a_reset_connection_is_not_taken_for_one_that_allows_multi_statements(start_volvox, mariadb):
    """Servers keep the option across COM_RESET_CONNECTION: the next client got error 1064."""
    volvox = one_connection(start_volvox, mariadb)
    with Client(volvox.port, *APP, caps=BASE) as without:
        assert not runs_multi(without)
        without.query("set @a = 1")             # a reason to reset it for the next client
    with Client(volvox.port, *APP, caps=BASE | MULTI_STATEMENTS) as client:
        assert [runs_multi(client) for _ in range(3)] == [True] * 3


@pytest.mark.parametrize("anew", ["reset", "change_user"])
@pytest.mark.parametrize("caps, option", [(BASE, MULTI_ON), (BASE | MULTI_STATEMENTS, MULTI_OFF)])
def test_the_option_outlives_a_reset_and_a_change_of_user_as_on_the_server(place, anew, caps, option):
    def talk(client):
        with client as c:
            c.simple(COM_SET_OPTION, option)
            if anew == "reset":
                c.simple(COM_RESET)
            else:
                c.change_user(*APP)
            return runs_multi(c)

    assert talk(place.client(caps=caps)) == talk(place.direct(caps=caps)) == (option == MULTI_ON)


# ---- the schema of a pooled connection: DBD::MariaDB, all of it -----------------------------------

def collation(client):
    return client.query("select @@collation_database").value()


@pytest.fixture
def unicode_schema(place):
    place.primary.query("create database unicode_schema character set utf8mb4 collate utf8mb4_unicode_ci")
    yield "unicode_schema"
    place.primary.query("drop database if exists unicode_schema")


def test_a_reset_does_not_leave_another_collation_of_the_schema(start_volvox, place, unicode_schema):
    """COM_RESET_CONNECTION keeps the schema, but not its character set and collation."""
    volvox = one_connection(start_volvox, place)
    with Client(volvox.port, *APP, db=unicode_schema) as first:
        assert collation(first) == b"utf8mb4_unicode_ci"
        first.query("set @a = 1")               # a reason to reset it for the next client
    with Client(volvox.port, *APP, db=unicode_schema) as second:
        assert collation(second) == b"utf8mb4_unicode_ci"
        second.query("use test")
        assert collation(second) == place.direct(db="test").query("select @@collation_database").value()


def test_nobody_logs_in_to_a_schema_that_has_been_dropped(start_volvox, place, unicode_schema):
    """... because a pooled connection is still in it."""
    volvox = one_connection(start_volvox, place)
    with Client(volvox.port, *APP, db=unicode_schema) as c:
        c.query("select 1")
    place.primary.query("drop database unicode_schema")
    errors = []
    for port in (volvox.port, place.primary.port):
        with pytest.raises(ServerError) as caught:
            Client(port, *APP, db=unicode_schema)
        errors.append(caught.value.args)
    assert errors[0] == errors[1]
    assert errors[0][0] == 1049



# ---- the EOF after definitions: DBD::mysql 80procs.t -----------------------------------------------

MORE_RESULTS = 0x0008


def packets_of(client, sql, results):
    """All packets of so many result sets, an OK at the end of a CALL included, as they are."""
    client.command(COM_QUERY, sql.encode())
    packets = []
    while results > 0:
        packets.append(client.recv())
        ends = packets[-1][0] == 0xFE and len(packets[-1]) < 9 or packets[-1][0] == 0
        if ends and packets[-1][0] == 0xFE and packets[-2][:4] == b"\x03def":
            continue                            # after definitions
        results -= ends
    return packets


@pytest.mark.parametrize("sql, results", [
    ("select id, name from items order by id", 1),
    ("select 1; select id from items; select 3", 3),
    ("call two_results()", 3),
    ("select 1 from items where id = -1", 1),
    ("select 1 from dual where 1/0", 1),                # a warning before the first row
    ("select 1/0 from items", 1),                       # and with each of them
    ("select 1/0; select 1 from dual where 1/0; select 1", 3),
])
@pytest.mark.parametrize("begin", ["do 1", "set autocommit = 0", "start transaction read only"])
def test_old_clients_get_the_servers_flags_with_each_eof(place, begin, sql, results):
    """We hear OKs where they expect EOFs; the one after the definitions we have to make ourselves."""
    answers = []
    for client in (place.client, place.direct):
        with client(db="shop", caps=BASE | MULTI_STATEMENTS) as c:
            c.query(begin)
            answers.append(packets_of(c, sql, results))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("sql, eofs", [("select id, ? from items where id = ?", 2), ("call out_value(?, @y)", 1),
                                       ("select ? as ' '", 2)])
@pytest.mark.parametrize("begin", ["do 1", "set autocommit = 0", "start transaction read only"])
def test_old_clients_get_the_servers_flags_when_they_prepare(place, begin, sql, eofs):
    """DBD::MariaDB 44call_placeholder.t: "more results" of a PREPARE would be waited for."""
    answers = []
    for client in (place.client, place.direct):
        with client(db="shop", caps=BASE) as c:
            c.query(begin)
            c.command(COM_STMT_PREPARE, sql.encode())
            packets = [c.recv()[5:]]            # MariaDB numbers statements for all connections
            while sum(p[0] == 0xFE for p in packets) < eofs:
                packets.append(c.recv())
            answers.append(packets)
    assert answers[0] == answers[1]


@pytest.mark.parametrize("sql, results", [("select repeat('x', 300000), id from items", 1),
                                          ("call many_rows()", 2)])
def test_a_long_answer_says_before_its_rows_whether_more_follows(place, sql, results):
    """... before its end is known, because the client gets it as it comes."""
    place.primary.query("drop procedure if exists shop.many_rows")
    place.primary.query("create procedure shop.many_rows() select repeat('x', 300000), id from items")
    with place.client(db="shop", caps=BASE) as c:
        packets = packets_of(c, sql, results)
    eofs = [p for p in packets if p[0] == 0xFE]
    assert [bool(struct.unpack("<H", p[3:5])[0] & MORE_RESULTS) for p in eofs] == [results > 1] * 2


# ---- wait_timeout: PyMySQL test_connection_gone_away, DBD::MariaDB rt85919 ------------------------

def last_words(client):
    """What comes before the end of the connection; "reset" if it ends so."""
    client.sock.settimeout(20)
    said = b""
    try:
        while piece := client.sock.recv(4096):
            said += piece
    except ConnectionResetError:
        said += b"reset"
    return said


def test_a_session_that_sets_wait_timeout_ends_as_on_the_server(place):
    befores = ("do 1", "start transaction", "create temporary table t (a int)")
    with contextlib.ExitStack() as stack:
        ours, theirs = ([stack.enter_context(client(db="test", caps=caps)) for _ in befores for caps in (BASE, MODERN)]
                        for client in (place.client, place.direct))
        for clients in (ours, theirs):
            for i, c in enumerate(clients):
                c.query("set wait_timeout = 1")
                c.query(befores[i // 2])
        expected = [last_words(c) for c in theirs]
        assert [last_words(c) for c in ours] == expected


def test_wait_timeout_can_be_taken_back(place):
    with place.client() as waits, place.client() as stays:
        for c in (waits, stays):
            c.query("set wait_timeout = 1")
        stays.query("set wait_timeout = default")
        last_words(waits)
        assert stays.query("select @@wait_timeout").value() == str(place.primary.value("select @@wait_timeout")).encode()


def test_idle_timeout_ends_a_session_as_the_server_would(start_volvox, place):
    volvox = start_volvox(settings_for(place.cluster, idle_timeout="1s"))
    with Client(volvox.port) as c, Client(volvox.port) as waits:
        waits.query("set wait_timeout = 1000")
        expected = b"reset" if place.family == "mariadb" else b"disconnected by the server because of inactivity"
        assert expected in last_words(c)
        assert waits.query("select 1").value() == b"1"


# ---- a login that begins with another plugin: Connector/C test_default_auth ----------------------

def switched_to(port, user, password, plugin):
    """By whom nothing is sent before a scramble for that plugin has come."""
    with Client(port, user, password, plugin=plugin, login=False) as c:
        c.send(c.login_payload(token=b""))
        c.finish_login(c.greeting.scramble)
        assert c.query("select current_user()").value().split(b"@")[0] == user.encode()
        return c.switched_to


@pytest.mark.parametrize("auth", ["file", "servers"])
def test_who_begins_with_another_plugin_and_nothing_is_switched_as_by_the_server(place, start_volvox, auth):
    settings = settings_for(place.cluster, users=() if auth == "servers" else (APP, ("begins", "")))
    settings["group main"]["auth"] = auth
    volvox = start_volvox(settings)
    usual, others = (NATIVE, [SHA2, SHA256]) if place.family == "mariadb" else (SHA2, [NATIVE, SHA256])
    place.primary.query("create user begins identified by ''")
    try:
        place.cluster.sync()
        for user in (APP, ("begins", "")):
            for plugin in others:
                for _ in range(2):              # the second time more is known
                    assert switched_to(volvox.port, *user, plugin) == usual
                assert switched_to(place.cluster.primary.port, *user, plugin) == usual
    finally:
        place.primary.query("drop user begins")


# ---- thread ids that grow: PHP mysqli_class_mysqli_interface --------------------------------------

def test_who_comes_later_has_the_greater_id(place):
    """... whichever worker he comes to."""
    with contextlib.ExitStack() as stack:
        ids = [stack.enter_context(place.client()).greeting.thread_id for _ in range(20)]
    assert ids == sorted(ids)


# ---- ids that are given, and negative: mariadb-test's auto_increment -----------------------------

def test_a_negative_id_that_a_statement_gives_is_no_generated_one(place):
    def talk(client):
        with client(db="shop") as c:
            c.query("drop table if exists negative")
            c.query("create table negative (a int not null auto_increment primary key)")
            seen = []
            for value in ("null", "-1", "null", "-5"):
                c.query(f"insert into negative values ({value})")
                seen.append(c.query("select last_insert_id()").value())
            s = c.prepare("insert into negative values (?)")
            c.execute(s, [-9])
            seen.append(c.query("select last_insert_id()").value())
            c.query("drop table negative")
            return seen

    assert talk(place.client) == talk(place.direct)
