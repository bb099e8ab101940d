"""Character sets, collations and sql_mode: what a client sees, and how its texts are read."""

import re

import pytest

from processes import wait_until
from servers import APP, Cluster, MariaDB, MySQL
from volvox import settings_for
from wire import COM_INIT_DB, COM_RESET, IGNORE_SPACE, MODERN, Client, ServerError

pytestmark = pytest.mark.all_kinds

VARIABLES = ("select @@character_set_client, @@character_set_connection, @@character_set_results, "
             "@@collation_connection, @@sql_mode")

# A first byte that takes a backslash along; collations to log in with.
WIDE = {"gbk": (b"\xbf", 28), "sjis": (b"\x83", 13), "cp932": (b"\x83", 95), "big5": (b"\xa5", 1),
        "gb18030": (b"\xfe", 248)}


def has_charset(place, charset):
    return charset != "gb18030" or place.family == "mysql"


def outcome(client, sql):
    try:
        return client.query(sql).rows
    except ServerError as e:
        return e.args


# ---- what a session begins in ------------------------------------------------------------------------

# Ids of one byte at login: MySQL's default on MariaDB, what neither has, what only one has.
LOGINS = [8, 28, 33, 45, 46, 63, 83, 95, 192, 224, 240, 246, 248, 255, 0, 17]
CHANGES = [8, 45, 46, 255, 278, 305, 309, 576, 608, 1069, 2304, 2310, 9999]


@pytest.mark.parametrize("collation", LOGINS)
def test_a_login_begins_in_what_the_server_takes_its_collation_for(place, collation):
    seen = []
    for port in (place.port, place.primary.port):
        try:
            with Client(port, *APP, charset=collation) as c:
                seen.append(outcome(c, VARIABLES))
        except ServerError as e:
            seen.append(e.args)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("collation", CHANGES)
def test_a_change_of_user_may_name_any_collation(place, collation):
    seen = []
    for connect in (place.client, place.direct):
        with connect() as c:
            c.change_user(*APP, charset=collation)
            seen.append(outcome(c, VARIABLES))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("collation", [8, 28, 45, 46, 83, 224])
def test_a_reset_leads_to_where_the_servers_lead(place, collation):
    """MySQL's to the global values, MariaDB's to those of the login."""
    seen = []
    for connect in (place.client, place.direct):
        with connect(charset=collation) as c:
            c.query("set names latin2, sql_mode = 'ANSI_QUOTES'")
            c.simple(COM_RESET)
            seen.append(outcome(c, VARIABLES))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("collation", [35, 54, 56, 60, 90, 101, 128, 159, 160])
def test_character_sets_that_no_client_can_have_are_refused(place, collation):
    seen = []
    for port in (place.port, place.primary.port):
        with pytest.raises(ServerError) as caught:
            Client(port, *APP, charset=collation)
        seen.append(caught.value.args)
    assert seen[0] == seen[1] and seen[0][0] == 1231
    with place.client() as ours, place.direct() as direct:
        for sql in ("set names ucs2", "set character_set_client = utf16", "set names filename"):
            assert outcome(ours, sql) == outcome(direct, sql)
        for c in (ours, direct):
            with pytest.raises(ServerError) as caught:
                c.change_user(*APP, charset=collation)
            assert caught.value.code == 1231


def test_the_flag_ignore_space_is_a_mode(place):
    seen = []
    for connect in (place.client, place.direct):
        with connect(caps=MODERN | IGNORE_SPACE) as c:
            mine = [outcome(c, VARIABLES), outcome(c, "select count (*) from shop.items")]
            c.simple(COM_RESET)
            mine.append(outcome(c, VARIABLES))
            c.change_user(*APP)
            mine.append(outcome(c, VARIABLES))
            c.query("set sql_mode = default")
            seen.append(mine + [outcome(c, VARIABLES), outcome(c, "select count (*) from shop.items")])
    assert seen[0] == seen[1]


SETS = ["set names latin1", "set names latin1 collate latin1_bin", "set names 'utf8mb4'", "set names utf8",
        "set names utf8mb4 collate utf8mb4_unicode_ci", "set names default", "set names gbk", "set names swe7",
        "set character set latin2", "set character set default", "set character_set_client = sjis",
        "set character_set_connection = ucs2", "set collation_connection = utf16_bin",
        "set character_set_results = null", "set character_set_results = utf16le", "set character_set_results = binary",
        "set sql_mode = ''", "set sql_mode = 'ansi'", "set sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
        "set sql_mode = 4", "set sql_mode = concat(@@sql_mode, ',PIPES_AS_CONCAT')", "set sql_mode = 'TRADITIONAL'",
        "set sql_mode = 'HIGH_NOT_PRECEDENCE,PIPES_AS_CONCAT,IGNORE_SPACE'", "set sql_mode = 'oracle'"]
LOOKS = [VARIABLES, "select hex('\xe4'), charset('a'), collation('a')", "select 'a' || 'b', not 1 between -5 and 5",
         'select "id" from shop.items where id = 1', "select '\\\\', 'a''b'", "select count (*) from shop.items"]


@pytest.mark.parametrize("sql", SETS)
def test_what_is_set_holds_on_every_connection(place, sql):
    with place.client() as ours, place.direct() as direct:
        assert outcome(ours, sql) == outcome(direct, sql)
        for look in LOOKS:
            expected = outcome(direct, look)
            for where in ("", "/* volvox: primary */ ", ""):
                assert outcome(ours, where + look) == expected, (where, look)


@pytest.mark.parametrize("sql", ["set character_set_results = null", "set character_set_results = utf16",
                                 "set character_set_results = utf32", "set character_set_results = utf16le",
                                 "set names gbk", "set names sjis", "set names cp1251"])
def test_definitions_and_errors_come_in_the_clients_character_set(place, sql):
    with place.client() as ours, place.direct() as direct:
        for c in (ours, direct):
            c.query(sql)
        for text in ("select 'x' as abc, name from shop.items where id = 1", "show tables from shop"):
            a, b = ours.query(text), direct.query(text)
            assert [c.raw for c in a.columns] == [c.raw for c in b.columns] and a.rows == b.rows
        for text in ("select nothing from shop.items", "select * from shop.nowhere", "kill 99999999"):
            errors = []
            for c in (ours, direct):
                c.command(3, text.encode())
                errors.append(c.recv())
            assert errors[0] == errors[1]


def test_errors_of_ours_come_in_the_clients_character_set(place):
    """One that Volvox makes in the server's words."""
    for charset in ("utf16", "utf16le", "utf32", "ucs2", "latin1"):
        said = []
        for connect in (place.client, place.direct):
            with connect() as c:
                c.query(f"set character_set_results = {charset}")
                c.command(3, f"kill query {c.greeting.thread_id}".encode())
                said.append(c.recv())
        codec = {"utf16": "utf-16-be", "ucs2": "utf-16-be", "utf16le": "utf-16-le", "utf32": "utf-32-be"}.get(charset, charset)
        assert said[0][9:].decode(codec) == "Query execution was interrupted"
        assert said[0].startswith(said[1])       # servers' end at the first NUL byte


# ---- second bytes --------------------------------------------------------------------------------------

def ways_into(charset, collation):
    return {
        "login": lambda c: None,
        "set names": lambda c: c.query(f"set names {charset}"),
        "set names collate": lambda c: c.query(f"set names '{charset}' collate {charset}_bin"),
        "set character set": lambda c: c.query(f"set character set {charset}"),
        "character_set_client": lambda c: c.query(f"set character_set_client = '{charset}'"),
        "change user": lambda c: c.change_user(*APP, charset=collation),
    }


def served_by(place, client, text):
    """A text that gives the server's id in its last column; and its rows."""
    rows = client.query(text).rows
    return int(rows[0][-1]), [row[:-1] for row in rows]


@pytest.mark.parametrize("way", ways_into("", 0))
@pytest.mark.parametrize("charset", WIDE)
def test_a_second_byte_hides_nothing_and_feigns_nothing(place, charset, way):
    if not has_charset(place, charset):
        pytest.skip(f"no {charset} there")
    first, collation = WIDE[charset]
    at_login = collation if way == "login" else 45
    with place.client(charset=at_login) as ours, place.direct(charset=at_login) as direct:
        for c in (ours, direct):
            ways_into(charset, collation)[way](c)
        # to who takes the backslash for an escape, the string goes on and FOR UPDATE is in it
        hidden = b"select '" + first + b"\\', @@server_id for update -- '"
        # ... and here the statement seems to go on behind the string
        feigned = b"select concat('" + first + first + b"\\' for update -- '), @@server_id"
        for text, reached in ((hidden, {1}), (feigned, place.readers | {1})):
            for _ in range(3):
                where, rows = served_by(place, ours, text)
                assert where in reached, text
                assert rows == served_by(place, direct, text)[1]
        # a name between backticks is like that
        text = b"select 1 as `" + first + b"`, @@server_id for update -- `"
        assert served_by(place, ours, text) == served_by(place, direct, text)


@pytest.mark.parametrize("charset", WIDE)
def test_a_hidden_variable_is_nobody_elses(place, start_volvox, charset):
    if not has_charset(place, charset):
        pytest.skip(f"no {charset} there")
    first, collation = WIDE[charset]
    volvox = start_volvox(settings_for(place.cluster, users=(APP,), server_limit=1, workers=1))
    with Client(volvox.port, *APP, charset=collation) as c:
        c.query(b"select '" + first + b"\\' into @hidden -- '")
        assert c.query("select @hidden").value() == first + b"\\"
    with Client(volvox.port, *APP, charset=collation) as c:
        for where in ("/* volvox: primary */ ", ""):
            assert c.query(where + "select @hidden").value() is None


def test_after_a_reset_texts_are_read_as_the_servers_then_do(place):
    first = WIDE["gbk"][0]
    text = b"select '" + first + b"\\', @@server_id for update -- '"
    with place.client(charset=28) as ours, place.direct(charset=28) as direct:
        for c in (ours, direct):
            c.simple(COM_RESET)
        seen = [outcome(c, text) for c in (ours, direct)]
        if place.family == "mysql":         # utf8mb4 now: all of it is a string
            assert seen[0][0][0] == seen[1][0][0]
        else:
            assert seen[0] == seen[1] and seen[0][0][1] == b"1"


def test_a_blank_from_above_ascii_hides_no_word(place):
    """0xa0 is one in latin1; the word in front of it looks like UTF-8."""
    text = b"select @@server_id \xc3\xa0into @hidden"
    with place.client(charset=8) as ours, place.direct(charset=8) as direct:
        assert outcome(ours, text) == outcome(direct, text)
        assert ours.query("select @hidden").value() == direct.query("select @hidden").value() == b"1"
    with place.client(charset=8) as other:
        assert other.query("/* volvox: primary */ select @hidden").value() is None


def test_what_is_not_read_for_certain_stays_where_it_ran(place, start_volvox):
    """A name that could be two, in swe7: whatever it did is not found by the next client."""
    volvox = start_volvox(settings_for(place.cluster, users=(APP,), server_limit=1, workers=1))
    with Client(volvox.port, *APP, charset=10) as c:
        outcome(c, "select 5 as a]b into @odd")
        c.query("set names utf8mb4")
        assert c.query("select @odd").value() == b"5"
    with Client(volvox.port, *APP) as c:
        assert c.query("/* volvox: primary */ select @odd").value() is None


# ---- sql_mode -------------------------------------------------------------------------------------------

MODES = {
    # mode: texts that are read differently under it, the last column is the server's id
    "ANSI_QUOTES": ['select "id", @@server_id from shop.items where "id" = 1 for update',
                    """select 'x"', "id", @@server_id from shop.items where "id" = 1 for update -- '"""],
    "NO_BACKSLASH_ESCAPES": ["select '\\', @@server_id for update -- '"],
    "ANSI,NO_BACKSLASH_ESCAPES": ["select '\\', @@server_id for update -- '",
                                  'select count (*), @@server_id from "shop".items for update'],
    "": ["select '\\', @@server_id for update -- ', @@server_id"],
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ["for the session", "in the same text", "by an expression"])
def test_a_mode_that_is_set_is_read_by(place, how, mode):
    with place.client() as ours, place.direct() as direct:
        for text in MODES[mode]:
            for c in (ours, direct):
                c.query("set sql_mode = default")
                if how == "for the session":
                    c.query(f"set sql_mode = '{mode}'")
                elif how == "by an expression":
                    c.query(f"set sql_mode = concat('{mode}', '')")
            if how == "in the same text":
                ours_said, directly = (c.query(f"set sql_mode = '{mode}'; {text}").more[0].rows for c in (ours, direct))
            else:
                ours_said, directly = ours.query(text).rows, direct.query(text).rows
            if mode == "":
                ours_said, directly = [r[:-1] for r in ours_said], [r[:-1] for r in directly]
            assert ours_said == directly


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def moody(request):
    """Servers with modes of their own, global: the primary's on the first, others on the replica."""
    server_class = {"mariadb": MariaDB, "mysql": MySQL}[request.param]
    if server_class is MySQL and MySQL.objection():
        pytest.skip(MySQL.objection())
    cluster = Cluster(1, server_class, options=["--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES"]).start()
    cluster.primary.query("create table shop.items (id int primary key, name varchar(20))")
    cluster.primary.query("insert into shop.items values (1, 'apple')")
    cluster.sync()
    yield cluster
    cluster.stop()


@pytest.mark.parametrize("monitored", [True, False])
def test_a_global_mode_counts_from_the_first_statement_on(moody, start_volvox, monitored):
    more = {} if monitored else {"monitor_user": "", "monitor_password": ""}
    settings = settings_for(moody, users=(APP,), **more)
    if not monitored:
        settings["server db1"]["role"] = "primary"
        settings["server db2"]["role"] = "replica"
    volvox = start_volvox(settings)
    for text in ("select '\\', @@server_id for update -- '",
                 """select 'x"', "id", @@server_id from shop.items where "id" = 1 for update -- '"""):
        with Client(volvox.port, *APP) as c, Client(moody.primary.port, *APP) as direct:
            assert c.query(text).rows == direct.query(text).rows          # on the primary
            assert c.query("select @@sql_mode").value() == b"ANSI_QUOTES,NO_BACKSLASH_ESCAPES"
            assert c.query(text).rows == direct.query(text).rows
        with Client(volvox.port, *APP) as c:
            statement = c.prepare(text)
            assert c.execute(statement).rows[0][-1] == 1
    with Client(volvox.port, *APP) as c:
        c.query("set sql_mode = ''")
        text = "select 'a\\', @@server_id for update -- ', @@server_id"
        assert c.query(text).rows == [[b"a', @@server_id for update -- ", b"2"]]
        c.simple(COM_RESET)
        assert c.query("select @@sql_mode").value() == b"ANSI_QUOTES,NO_BACKSLASH_ESCAPES"
        assert c.query("select '\\', @@server_id for update -- '").rows == [[b"\\", b"1"]]


def test_a_replica_with_another_mode_is_given_the_primarys(moody, start_volvox):
    moody.replicas[0].query("set global sql_mode = ''")
    try:
        volvox = start_volvox(settings_for(moody, users=(APP,)))
        with Client(volvox.port, *APP) as c:
            for _ in range(4):
                assert c.query("select @@sql_mode").value() == b"ANSI_QUOTES,NO_BACKSLASH_ESCAPES"
                assert c.query("select @@server_id").value() == b"2"
    finally:
        moody.replicas[0].query("set global sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")


def test_a_global_mode_that_changes_is_for_new_sessions(moody, start_volvox):
    volvox = start_volvox(settings_for(moody, users=(APP,)))
    with Client(volvox.port, *APP) as old:
        assert old.query("select '\\', @@server_id for update -- '").rows == [[b"\\", b"1"]]
        for server in moody.servers:
            server.query("set global sql_mode = ''")
        try:
            def mode_of_a_new_one():
                with Client(volvox.port, *APP) as c:
                    return c.query("/* volvox: primary */ select @@sql_mode").value()
            wait_until(lambda: mode_of_a_new_one() == b"", 10, "a new session has the new mode")
            with Client(volvox.port, *APP) as c:
                for where in ("", "/* volvox: primary */ "):
                    assert c.query(where + "select @@sql_mode, 'a\\'b'").rows == [[b"", b"a'b"]]
            assert old.query("select @@sql_mode").value() == b"ANSI_QUOTES,NO_BACKSLASH_ESCAPES"
            assert old.query("select '\\', @@server_id for update -- '").rows == [[b"\\", b"1"]]
        finally:
            for server in moody.servers:
                server.query("set global sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")


# ---- names of schemas ------------------------------------------------------------------------------------

NAMES = [("latin1", 8, "d\xe9pot"), ("gbk", 28, "\u4e2d\u6587"), ("cp932", 95, "\u4e2d\u6587"),
         ("utf8mb4", 45, "\u4e2d\u6587"), ("cp1251", 51, "\u0441\u043a\u043b\u0430\u0434")]


@pytest.mark.parametrize("charset, collation, name", NAMES)
def test_a_schema_may_have_any_name(place, charset, collation, name):
    place.primary.query(f"create database if not exists `{name}`")
    place.primary.query(f"create table if not exists `{name}`.t (a int)")
    place.cluster.sync()
    codec = {"utf8mb4": "utf8"}.get(charset, charset)
    raw = name.encode(codec)

    class Encoded(str):
        def encode(self, *_):
            return raw

    look = "select hex(convert(database() using utf8mb4)), database()"
    with place.client(charset=collation) as ours, place.direct(charset=collation) as direct:
        for enter in (lambda c: c.query(b"use `" + raw + b"`"), lambda c: c.simple(COM_INIT_DB, raw)):
            said = [enter(c).track for c in (ours, direct)]
            assert said[0] == said[1]
            for where in ("", "/* volvox: primary */ "):
                assert ours.query(where + look).rows == direct.query(look).rows
                assert ours.query(where + "select count(*) from t").rows == [[b"0"]]
            for c in (ours, direct):
                c.query("set names utf8mb4")
            assert ours.query(look).rows == direct.query(look).rows
            for c in (ours, direct):
                c.query("use shop")
                c.query(f"set names {charset}")
    with place.client(charset=collation, db=Encoded(name)) as ours, \
            place.direct(charset=collation, db=Encoded(name)) as direct:
        assert ours.query(look).rows == direct.query(look).rows
        assert ours.query("/* volvox: primary */ " + look).rows == direct.query(look).rows
        ours.simple(COM_RESET)
        assert ours.query("select hex(convert(database() using utf8mb4))").value() == name.encode().hex().upper().encode()
    for port in (place.port, place.primary.port):
        with pytest.raises(ServerError) as caught:
            Client(port, *APP, charset=collation, db=Encoded(name) and type("E", (str,), {
                "encode": lambda self, *_: raw + b"x"})(""))
        assert caught.value.code == 1049


# ---- init_connect ------------------------------------------------------------------------------------------

@pytest.fixture
def init_connect(place):
    """init_connect(text): on all servers, and until Volvox knows."""
    privilege = "connection admin" if place.family == "mariadb" else "connection_admin"
    servers = place.cluster.servers
    place.primary.query(f"grant {privilege} on *.* to monitor@'%'")
    place.cluster.sync()

    def set_to(text, more=""):
        """`more` where something can be written."""
        for server in servers:
            quoted = (text + more if server is place.primary else text).replace("'", "''")
            server.query(f"set global init_connect = '{quoted}'")

    yield set_to, privilege
    set_to("")
    place.primary.query(f"revoke {privilege} on *.* from monitor@'%'")
    if place.volvox:
        def is_gone():
            with place.client() as c:
                return c.query("select @@time_zone").value() == b"SYSTEM" and c.query("select @begun").value() is None
        wait_until(is_gone, 10, "it is gone again")


def test_init_connect_runs_once_for_each_session(place, init_connect, start_volvox):
    set_to, privilege = init_connect
    place.primary.query("create table if not exists test.begun (who varchar(100), id bigint)")
    place.primary.query("delete from test.begun")
    for sql in ("drop user if exists exempt", "create user exempt@'%' identified by 'exempt-secret'",
                f"grant {privilege}, select on *.* to exempt@'%'" if place.family == "mariadb"
                else "grant select on *.* to exempt@'%'"):
        place.primary.query(sql)
    if place.family == "mysql":
        place.primary.query(f"grant {privilege} on *.* to exempt@'%'")
    place.cluster.sync()
    exempt = ("exempt", "exempt-secret")
    set_to("set time_zone = '+03:00', names latin1, sql_mode = 'ANSI_QUOTES'; set @begun = 5",
           "; insert into test.begun values (user(), connection_id())")
    volvox = start_volvox(settings_for(place.cluster, users=(APP, exempt)))
    look = VARIABLES + ", @@time_zone, @begun"
    place.primary.query("delete from test.begun")
    for _ in range(3):
        with Client(volvox.port, *APP) as ours, place.direct() as direct:
            place.primary.query("delete from test.begun where id < 1 << 30")     # by connections of the pool
            for where in ("/* volvox: primary */ ", ""):
                assert ours.query(where + look).rows == direct.query(look).rows
            assert ours.query('select "id" from shop.items where id = 1 for update').value() == b"1"
            for c in (ours, direct):
                c.simple(COM_RESET)
            assert ours.query(look).rows == direct.query(look).rows
            mine = ours.greeting.thread_id
        assert place.primary.query(f"select count(*) from test.begun where id = {mine}") == [(1,)]
    with Client(volvox.port, *exempt) as ours, Client(place.primary.port, *exempt) as direct:
        assert ours.query(look).rows == direct.query(look).rows


def test_an_init_connect_may_choose_what_is_reported(place, init_connect, start_volvox):
    """Its choice is the client's, and hides nothing from Volvox."""
    set_to, _ = init_connect
    set_to("set session_track_system_variables = 'time_zone', time_zone = '+03:00'")
    volvox = start_volvox(settings_for(place.cluster, users=(APP,)))
    with Client(volvox.port, *APP) as ours, place.direct() as direct:
        for c in (ours, direct):
            c.query("do 1")             # MySQL reports here what init_connect has set
        for sql in ("set sql_mode = 'ANSI_QUOTES'", "set time_zone = '+04:00'", "set names latin1"):
            assert ours.query(sql).track == direct.query(sql).track
        look = VARIABLES + ", @@time_zone, @@session_track_system_variables"
        for where in ("", "/* volvox: primary */ ", ""):
            assert ours.query(where + look).rows == direct.query(look).rows
    with Client(volvox.port, *APP) as other:
        assert other.query("select @@sql_mode <> 'ANSI_QUOTES', @@time_zone").rows == [[b"1", b"+03:00"]]


def test_an_init_connect_that_fails_ends_the_login(place, init_connect, start_volvox):
    set_to, _ = init_connect
    volvox = start_volvox(settings_for(place.cluster, users=(APP,)))
    set_to("select * from test.there_is_none")

    def fails(port):
        try:
            with Client(port, *APP) as c:
                c.query("select 1")
                return False
        except ServerError as e:
            return e.code, e.state, re.sub(r"connection \d+", "connection N", e.message)

    wait_until(lambda: fails(volvox.port), 10, "it fails")
    assert fails(volvox.port) == fails(place.primary.port)
    assert fails(volvox.port)[:2] == (1184, "08S01")
    set_to("")
    wait_until(lambda: not fails(volvox.port), 10, "clients may come again")
