"""Points of docs/protocol.md that no other file shows: each compared with what the server itself does."""
import pytest

from servers import APP, OTHER
from volvox import settings_for
from wire import COM_CHANGE_USER, COM_INIT_DB, COM_RESET, Client, Closed, ServerError

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
