"""Points of docs/protocol.md that no other file shows: each compared with what the server itself does."""
import contextlib
import struct
import time

import pytest

from servers import APP, OTHER
from volvox import settings_for
from wire import (COM_CHANGE_USER, COM_INIT_DB, COM_RESET, COM_STMT_RESET, MODERN, MULTI_STATEMENTS, Client, Closed,
                  ServerError)

pytestmark = pytest.mark.all_kinds

UCS2 = 35


def outcome(call, *args, **more):
    """What there is to compare: a result, an error, or the end of the connection."""
    try:
        r = call(*args, **more)
    except ServerError as e:
        return e.args
    except (Closed, ConnectionError):
        return "closed"
    return r if r is None or not hasattr(r, "rows") else (r.rows, r.affected, r.warnings, r.status, r.info)


def both(place, talk, **more):
    """talk(client) gives through Volvox what it gives directly."""
    with place.direct(**more) as c:
        theirs = talk(c)
    with place.client(**more) as c:
        assert talk(c) == theirs
    return theirs


# ---- 20: a change of user that is refused ------------------------------------------------------------

REFUSED = {
    "a wrong password": ("other", "wrong", "test"),
    "a wrong password of its own": ("app", "wrong", "test"),
    "an unknown user": ("nobody", "wrong", "test"),
    "an unknown schema": (*OTHER, "no_such_schema"),
    "an unknown schema of its own": (*APP, "no_such_schema"),
    "a character set that is not for clients": (*OTHER, "test", UCS2),
}
STATE = ("select current_user(), database(), @a, @@time_zone, @@autocommit, @@character_set_client,"
         " @@character_set_results, @@collation_connection")


def fill(c):
    """A session with everything that a change of user takes away."""
    c.query("set @a = 5, time_zone = '+05:00', autocommit = 0")
    c.query("set names latin1")
    c.query("create temporary table test.mine (a int)")
    c.query("select get_lock('points', 10)")
    statement = c.prepare("select 7")
    c.query("insert into items (id, name) values (777, 'never')")
    return statement


@pytest.mark.parametrize("why", REFUSED)
def test_a_refused_change_of_user_leaves_what_it_leaves_on_the_server(place, why):
    """MariaDB goes on as who it was, in the same schema, with all else reset; MySQL closes."""
    def talk(c):
        statement = fill(c)
        seen = [outcome(c.change_user, *REFUSED[why]), c.seq if REFUSED[why][-1] == UCS2 else None,
                outcome(c.query, STATE)]
        if seen[-1] == "closed":
            return seen
        seen += [outcome(c.query, "select * from test.mine"), outcome(c.execute, statement)[:2],
                 outcome(c.query, "select count(*) from items where id = 777"),
                 outcome(c.query, "select is_free_lock('points')"),
                 outcome(c.simple, COM_RESET), outcome(c.query, STATE),     # where the reset leads
                 outcome(c.simple, COM_INIT_DB, b"test"),
                 outcome(c.change_user, *OTHER, db="shop"), outcome(c.query, STATE)]
        return seen

    seen = both(place, talk, db="shop", charset=8)
    assert (seen[2] == "closed") == (place.family == "mysql")


def test_a_refused_change_of_user_takes_its_time_on_mariadb(mariadb_place):
    """As there: so that passwords can't be tried out quickly."""
    for port in (mariadb_place.primary.port, mariadb_place.port):
        with Client(port) as c:
            began = time.monotonic()
            assert outcome(c.change_user, "other", "wrong")[0] == 1045
            assert time.monotonic() - began > 0.9
            assert c.query("select 1").value() == b"1"


def test_who_has_failed_three_times_is_not_listened_to_any_more(mariadb):
    """Neither a success nor a reset makes MariaDB forget the failures, and the session goes on."""
    def talk(c):
        seen = [outcome(c.change_user, "other", "wrong"), outcome(c.simple, COM_CHANGE_USER, b"other\0"),
                outcome(c.change_user, *OTHER), outcome(c.change_user, "other", "wrong")]
        c.simple(COM_RESET)
        return seen + [outcome(c.change_user, *APP), outcome(c.query, "select current_user()")]

    assert both(mariadb, talk)[-2][0] == 1047


def test_a_refused_change_of_user_keeps_the_place_among_max_connections(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    settings["user app"]["max_connections"] = settings["user other"]["max_connections"] = 1
    volvox = start_volvox(settings)
    with Client(volvox.port) as c:
        for who in (("app", "wrong"), (*OTHER, "no_such_schema")):
            assert outcome(c.change_user, *who)[0] in (1045, 1049)
        assert outcome(Client, volvox.port, *APP)[0] == 1203
        c.change_user(*OTHER)
        with Client(volvox.port, *APP), pytest.raises(ServerError) as caught:
            Client(volvox.port, *OTHER)
        assert caught.value.code == 1203


def test_the_character_set_is_judged_before_the_password(place):
    """Both families say 1231 to who has neither."""
    ours = outcome(place.client, "app", "wrong", charset=UCS2)
    assert ours == outcome(place.direct, "app", "wrong", charset=UCS2)
    assert ours[0] == 1231


# ---- 28: long data that the server refuses ---------------------------------------------------------------

def test_refused_long_data_fails_its_own_session_until_it_is_reset(place):
    """The server's statement goes on failing; other sessions with the same text do not notice."""
    def talk(connect):
        with connect() as first, connect() as second:
            mine, others = first.prepare("select length(?)"), second.prepare("select length(?)")
            first.long_data(mine, 5, b"there is no such parameter")
            seen = [outcome(first.execute, mine, ("x",)), outcome(first.execute, mine, ("x",)),
                    outcome(second.execute, others, ("xy",)),
                    outcome(first.simple, COM_STMT_RESET, struct.pack("<I", mine.id)),
                    outcome(first.execute, mine, ("xyz",))]
            first.long_data(mine, 5, b"nor now")
            seen.append(outcome(first.execute, mine, ("x",)))
            first.close_statement(mine)
            return seen + [outcome(first.execute, first.prepare("select length(?)"), ("x",)),
                           outcome(second.execute, others, ("xy",))]

    seen = talk(place.client)
    assert seen == talk(place.direct)
    assert seen[0] == seen[1] and seen[0][0] == 1210


# ---- 38: warnings are those of the client's last statement -----------------------------------------------

ASKED = {
    "show warnings": lambda c: outcome(c.query, "show warnings"),
    "their number": lambda c: outcome(c.query, "show count(*) warnings"),
    "the variable": lambda c: outcome(c.query, "select @@warning_count"),
    "diagnostics": lambda c: (outcome(c.query, "get diagnostics @n = number"), outcome(c.query, "select @n")),
}
WARNED = ["insert into items (name, price) values ('warned', 'none')",
          "update items set price = 'none' where name = 'warned'",
          "select last_insert_id(5), 'a' + 1"]


@pytest.mark.parametrize("asked", ASKED)
def test_looking_up_an_insert_id_takes_no_warnings_away(place, asked):
    """Sessions of a user that is known to ask for LAST_INSERT_ID() have it looked up."""
    def talk(c):
        c.query("set sql_mode = ''")
        c.query("insert into items (name) values ('warned')")
        assert int(c.query("select last_insert_id()").value()) > 0
        seen = []
        for sql in WARNED:
            c.query(sql)
            seen.append(ASKED[asked](c))
        seen.append(c.query("select last_insert_id()").value())
        inserted = c.query("insert into items (name, price) values ('warned', 'none')")
        seen.append(int(c.query("select last_insert_id()").value()) == inserted.insert_id)
        c.query("delete from items where name = 'warned'")
        return seen

    assert both(place, talk, db="shop")[-1]


@pytest.mark.parametrize("sql", ["select 1/0; select 2", "select 1/0; select 2; do 3",
                                 "select 1/0; select count(*) from items", "select 1; select 1/0"])
def test_warnings_of_a_part_can_be_read(place, sql):
    """MariaDB keeps them across parts that use no table."""
    def talk(c):
        return outcome(c.query, sql), outcome(c.query, "show warnings")

    both(place, talk, db="shop", caps=MODERN | MULTI_STATEMENTS)


@pytest.mark.parametrize("sql", ["set names utf8", " SET NAMES 'utf8mb3'", "set character_set_client = utf8mb3"])
def test_the_warning_of_an_old_character_set_can_be_read(place, sql):
    """MySQL warns of it; Volvox needs the collation that comes with it, and does not ask then."""
    def talk(c):
        c.query("set names latin1 collate latin1_bin")
        seen = [outcome(c.query, sql), outcome(c.query, "show warnings")]
        return seen + [outcome(c.query, "select @@collation_connection, @@character_set_connection from items")]

    both(place, talk, db="shop")


@pytest.mark.all_kinds
def test_who_asks_for_warnings_first_hears_of_none(place, start_volvox):
    """Wherever a hint sends the question, on a connection that is new."""
    for hint in ("", "/* volvox: primary */ ", "/* volvox: replica */ "):
        with Client(start_volvox(settings_for(place.cluster, workers=1)).port) as c:
            assert c.query(f"{hint}show warnings").rows == []
            assert c.query(f"{hint}select @@warning_count").value() == b"0"


def test_what_volvox_sets_itself_leaves_no_warnings(place, start_volvox):
    """MariaDB 11 warns of names that Volvox uses, MySQL of values that a session has set; MariaDB keeps
    warnings across statements without a table."""
    settings = settings_for(place.cluster, workers=1)
    settings["user app"]["split_reads"] = "no"
    volvox = start_volvox(settings)
    sets = "set sql_mode = 'NO_ZERO_DATE'" if place.family == "mysql" else "set big_tables = 1"

    def talk(port):
        with contextlib.ExitStack() as stack:
            first, second = (stack.enter_context(Client(port)) for _ in range(2))
            seen = []
            first.query("do 1")
            seen.append(first.query("show warnings").rows)
            first.query(sets)
            for _ in range(2):
                first.query("select count(*) from shop.items")
                second.query("select count(*) from shop.items")
                first.query("do 1")
                second.query("do 1")
                seen += [first.query("show warnings").rows, second.query("show warnings").rows,
                         first.query("select @@warning_count").value()]
            return seen

    assert talk(volvox.port) == talk(place.primary.port)


def test_counts_are_not_lost_to_the_clearing_of_older_warnings(place, start_volvox):
    """A first ROW_COUNT(), by a user that is not known to ask, on a connection that has had warnings."""
    volvox = start_volvox(settings_for(place.cluster, workers=1))

    def talk(port):
        with Client(port, db="shop") as c:
            c.query("insert into items (id, name) values (800, 'counted'), (801, 'counted')")
            seen = [outcome(c.query, "insert ignore into items (id, name) values (800, 'again')")[2]]
            c.query("delete from items where name = 'counted'")
            return seen + [c.query("select row_count()").value()]

    assert talk(volvox.port) == talk(place.primary.port) == [1, b"2"]


# ---- 35: the X protocol is another port's ---------------------------------------------------------------

def test_a_client_of_the_x_protocol_is_refused_as_by_the_server(place):
    """It speaks first, and not in our frames: CapabilitiesGet."""
    def talk(c):
        c.send_raw(struct.pack("<IB", 1, 1))
        return outcome(c.recv), c.is_closed()

    both(place, talk, login=False)


# ---- 22 and 37: what a session is, whoever used its connections in between -----------------------------------

# Read with each statement: rows, counts, warnings, flags, info and errors are the server's.  Every script
# leaves `items` as it found it.
SESSIONS = {
    "savepoints": """begin; insert into items (id, name) values (900, 'a'); savepoint s
        insert into items (id, name) values (901, 'b'); rollback to s; select count(*) from items where id >= 900
        release savepoint s; rollback; select count(*) from items where id >= 900""",
    "xa": """xa start 'p'; insert into items (id, name) values (900, 'a'); xa end 'p'; select 1; xa prepare 'p'
        select 1; xa rollback 'p'; xa start 'q'; xa end 'q'; xa commit 'q' one phase; select 1""",
    "a snapshot": """start transaction with consistent snapshot; select count(*) from items where id = 900
        commit; select 1""",
    "chains": """begin; insert into items (id, name) values (900, 'a'); commit and chain; select 1
        delete from items where id = 900; rollback and chain; delete from items where id = 900; commit""",
    "completion_type": """set completion_type = 1; begin; select count(*) from items; commit; select 1
        rollback; set completion_type = 0; commit; select 1""",
    "release": "begin; select 1; rollback release; select 1",
    "release by default": "set completion_type = 'RELEASE'; begin; commit no release; commit; select 1",
    "release at the end": "begin; commit and no chain release; select 1",
    "implicit commits": """begin; insert into items (id, name) values (900, 'a')
        create table test.implicit (a int); rollback; delete from items where id = 900; drop table test.implicit""",
    "no autocommit": """set autocommit = 0; insert into items (id, name) values (900, 'a'); select @@autocommit
        rollback; set autocommit = 1; select 1""",
    "table locks": """lock tables items read; select count(*) from items; select * from blobs
        delete from items where id = -1; unlock tables
        select count(*) from blobs; flush tables items with read lock; unlock tables; select 1""",
    "named locks": """select get_lock('points', 0); select is_used_lock('points') is not null
        select release_lock('points'); select is_free_lock('points')""",
    "handlers": """handler items open; handler items read first; handler items read next; handler items close
        handler items read first""",
    "temporary tables": """create temporary table test.temp (a int); insert into test.temp values (1)
        select * from test.temp; drop temporary table test.temp; select * from test.temp""",
    "user variables": """set @x = 1; select @x; select @y := @x + 1; select @y; select 5 into @z; select @z + @y""",
    "text prepare": """prepare s from 'select ? + 1'; set @p = 5; execute s using @p; deallocate prepare s
        execute s using @p; execute immediate 'select 1'""",
    "limits": """set sql_select_limit = 2; select id from items order by id; set sql_select_limit = default
        select count(*) from items; set statement sql_select_limit = 1 for select id from items order by id
        select /*+ SET_VAR(sql_select_limit = 1) */ id from items order by id; select @@sql_select_limit""",
    "modes": r"""set sql_mode = 'ANSI_QUOTES'; select "id" from items where id = 1; select @@sql_mode
        set sql_mode = 'PIPES_AS_CONCAT'; select 'a' || 'b'; set sql_mode = 'NO_BACKSLASH_ESCAPES'
        select 'a\'; select 1 /* ' */; set sql_mode = ''; select 'a\'b', 'x' 'y'""",
    "time": """set timestamp = 1000000000; select now(), unix_timestamp(); set timestamp = default
        set time_zone = '+03:00'; select @@time_zone; set lc_time_names = 'de_DE'; select @@lc_time_names""",
    "random numbers": "set rand_seed1 = 5, rand_seed2 = 7; select rand(); select rand()",
    "roles": "set role none; select current_role(); select 1",
    "schemas": """use test; select database(); create database points; use points; drop database points
        select database(); select 1; use shop; select database(); use nowhere; select database()""",
    "diagnostics": """signal sqlstate '45000' set message_text = 'mine', mysql_errno = 5000; show errors
        show warnings; signal sqlstate '45000' set mysql_errno = 5000
        get diagnostics condition 1 @c = mysql_errno; select @c; explain select * from items where id = 1
        show warnings; select 1; show warnings""",
    "procedures": """call two_results(); call out_value(4, @o); select @o; select 1""",
    "kinds of reads": """with x as (select 1 a) select * from x; (select 1) union (select 2); table blobs
        values row (1, 2); with x as (select 1 a) update items set price = price where id = -1
        select 1 into outfile '/nonexistent/x'; do 1; analyze table items; check table items""",
    "insert ids": """insert into items (name) values ('m1'), ('m2')
        select last_insert_id() - (select min(id) from items where name = 'm1') from items where id = 1 for update
        insert into items (id, name) values (950, 'm3'); select last_insert_id() = 950
        insert into items (id, name) values (950, 'm4') on duplicate key update name = 'm5'
        select last_insert_id() = 950
        insert into items (id, name) values (950, 'm') on duplicate key update id = last_insert_id(id), name = 'm6'
        select last_insert_id(); update items set price = last_insert_id(77) where id = 950
        select last_insert_id(); insert ignore into items (id, name) values (950, 'm7'); select last_insert_id()
        replace into items (id, name) values (950, 'm8'); select last_insert_id(); set last_insert_id = 5
        select last_insert_id(); delete from items where name like 'm_'; select last_insert_id()""",
    "counts": """insert into items (id, name) values (900, 'a'), (901, 'b'); select row_count(); select row_count()
        update items set name = 'c' where id in (900, 901); select row_count()
        select sql_calc_found_rows id from items order by id limit 1; select found_rows() > 1
        delete from items where id in (900, 901); do row_count(); select row_count()""",
}


def statements(script):
    return [sql.strip() for line in script.splitlines() for sql in line.split("; ") if sql.strip()]


def play(port, script, run):
    """Each statement's outcome; two others use the connections in between."""
    with contextlib.ExitStack() as stack:
        client, *others = (stack.enter_context(Client(port, db="shop")) for _ in range(3))
        outcome(client.query, "select row_count()")         # from now on this user is known to ask
        seen = []
        for sql in statements(script):
            seen.append((sql, outcome(run, client, sql)))
            for other in others:
                other.query("select count(*) from items")
                other.query("select 1")
        return seen


def as_prepared(client, sql):
    try:
        statement = client.prepare(sql)
    except ServerError as e:
        if e.code != 1295:                     # MySQL prepares neither BEGIN nor LOCK TABLES
            raise
        return client.query(sql)
    result = client.execute(statement)
    client.close_statement(statement)
    return result


@pytest.mark.parametrize("how", ["text", "prepared"])
@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_is_as_directly_whoever_used_its_connections(place, name, how):
    run = as_prepared if how == "prepared" else Client.query
    theirs = play(place.primary.port, SESSIONS[name], run)
    assert play(place.port, SESSIONS[name], run) == theirs


KEEPER = ("keeper", "keeper-secret")
# The lock, what it keeps others from, how it ends.
WHOLE_SERVER = {
    "mariadb": [("flush tables with read lock", "insert into shop.items (id) values (900)", "unlock tables"),
                ("backup lock shop.items", "alter table shop.items comment = 'x'", "backup unlock")],
    "mysql": [("flush tables with read lock", "insert into shop.items (id) values (900)", "unlock tables"),
              ("lock instance for backup", "create table test.kept_out (a int)", "unlock instance")],
}


@pytest.fixture
def keeper(place, start_volvox):
    """The port of a Volvox that knows an account with all privileges, and a role."""
    for sql in (f"create user {KEEPER[0]} identified by '{KEEPER[1]}'", f"grant all on *.* to {KEEPER[0]}",
                "create role points_role", f"grant points_role to {KEEPER[0]}"):
        place.primary.query(sql)
    place.cluster.sync()
    yield start_volvox(settings_for(place.cluster, users=(APP, KEEPER), workers=1)).port
    place.primary.query("drop role points_role")
    place.primary.query(f"drop user {KEEPER[0]}")


def test_locks_of_the_whole_server_stay_with_their_session(place, keeper):
    with Client(keeper, *KEEPER) as c, Client(keeper, *KEEPER) as other, place.direct() as writer:
        writer.query("set lock_wait_timeout = 1")
        for lock, kept_out, unlock in WHOLE_SERVER[place.family]:
            c.query(lock)
            for client in (other, c, other):
                assert client.query("select 1").value() == b"1"
            assert outcome(writer.query, kept_out)[0] == 1205
            c.query(unlock)
            assert outcome(writer.query, kept_out)[0] is None
        writer.query("delete from shop.items where id = 900")
        writer.query("drop table if exists test.kept_out")


def test_a_role_stays_with_its_session(place, keeper):
    with Client(keeper, *KEEPER) as c, Client(keeper, *KEEPER) as other:
        none = other.query("select current_role()").value()
        c.query("set role points_role")
        for _ in range(3):
            assert b"points_role" in c.query("select current_role()").value()
            assert other.query("select current_role()").value() == none
        c.query("set role none")
        assert c.query("select current_role()").value() == none
