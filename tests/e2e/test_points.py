"""Points of docs/protocol.md that no other file shows: each compared with what the server itself does."""
import contextlib
import struct

import pytest

from servers import APP, OTHER
from volvox import settings_for
from wire import COM_CHANGE_USER, COM_INIT_DB, COM_RESET, COM_STMT_RESET, Client, Closed, ServerError

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
