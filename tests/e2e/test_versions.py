"""What versions of servers do each in their own way, asked of the servers themselves: session variables
and how they are reported, collations at login, the greeting."""
import contextlib

import pytest

from conftest import DIRECT
from fake import FakeServer, error_payload, ok_payload
from processes import free_port
from volvox import settings_for
from wire import (COM_RESET, STATUS_AUTOCOMMIT, STATUS_STATE_CHANGED, Client, ServerError, frame,
                  lenstr)

pytestmark = [pytest.mark.all_kinds, pytest.mark.skipif(DIRECT, reason="needs Volvox")]

PRIMARY = "/* volvox: primary */ "


@pytest.fixture
def one(place, start_volvox):
    """One worker, and one connection to each server: every session gets the same.  Who would have to wait
    long for it is refused, so that a pinned session is told from others."""
    return start_volvox(settings_for(place.cluster, server_limit=1, workers=1, queue_timeout="300ms"))


# ---- session variables ---------------------------------------------------------------------------

# Of the test's own conversation, different on each connection, or of no session in truth.
NOT_TRIED = {"timestamp", "rand_seed1", "rand_seed2", "sql_slave_skip_counter",
             "autocommit", "session_track_system_variables", "session_track_state_change",
             "session_track_schema", "session_track_transaction_info", "session_track_gtids",
             "last_insert_id", "identity", "character_set_results", "character_set_client",
             "net_write_timeout", "net_read_timeout", "wait_timeout", "interactive_timeout"}
TEXTS = ["ANSI_QUOTES", "+05:00", "SERIALIZABLE", "READ-COMMITTED", "de_DE", "latin1", "latin1_bin",
         "utf8mb4_bin", "MyISAM", "MEMORY", "FORCE", "DEMAND", "DEFAULT", "ALWAYS", "1", "query_plan",
         "admin", "utf8mb4=utf8mb4_bin", "index_merge=off"]


def settable(server):
    if server.family == "mysql":
        return sorted(row[0] for row in server.query("show session variables"))
    return sorted(row[0].lower() for row in server.query(
        "select variable_name from information_schema.system_variables "
        "where variable_scope in ('SESSION', 'SESSION ONLY') and read_only = 'NO'"))


def candidates(value):
    """Other values to try, as SQL."""
    if value in (b"0", b"1", b"ON", b"OFF"):
        yield {b"0": "1", b"1": "0", b"ON": "OFF", b"OFF": "ON"}[value]
    try:
        number = float(value or b"")
    except ValueError:
        number = None
    if number is not None:
        for other in (number + 1, number * 2, number - 1, number / 2, number + 4096, 5):
            yield f"{other:.6f}".rstrip("0").rstrip(".")
    for text in TEXTS:
        yield f"'{text}'"


def read(client, name, front=""):
    return client.query(f"{front}select @@session.{name}").value()


def changed_directly(place, name):
    """(SQL, what the variable is before, then and after a reset) of a SET that a server accepts and that
    changes something."""
    with place.direct() as c:
        try:
            before = read(c, name)
        except ServerError:
            return None
        for value in candidates(before):
            sql = f"set session {name} = {value}"
            try:
                c.query(sql)
            except ServerError:
                continue
            now = read(c, name)
            if now != before:
                c.simple(COM_RESET)
                return sql, before, now, read(c, name)
    return None


def check_variable(place, port, name, sql, before, now, reset):
    with Client(port) as a:
        a.query(sql)
        assert read(a, name, PRIMARY) == now, "the session has lost it"
        assert read(a, name) == now, "it did not go along to another server"
        with Client(port) as b:
            try:
                assert read(b, name, PRIMARY) == before, "another session has got it"
            except ServerError as e:
                assert e.code == 1040               # pinned: nobody gets that connection
        assert read(a, name, PRIMARY) == now, "the session has lost it to another"
        a.simple(COM_RESET)
        assert read(a, name, PRIMARY) in (before, reset), "a reset leaves it"
    with Client(port) as b:
        assert read(b, name, PRIMARY) == before, "it outlives its session"


def test_every_session_variable_stays_with_its_session(place, one):
    tried, wrong = [], []
    for name in settable(place.primary):
        change = None if name in NOT_TRIED else changed_directly(place, name)
        if change is None:
            continue
        tried.append(name)
        try:
            check_variable(place, one.port, name, *change)
        except (AssertionError, ServerError) as e:
            wrong.append(f"{change[0]} ({change[1]} -> {change[2]}): {str(e).splitlines()[0]}")
    assert not wrong, "\n".join(wrong)
    assert len(tried) > 80, tried


def reported(name, value):
    """OK with a report that this variable has changed."""
    status = STATUS_AUTOCOMMIT | STATUS_STATE_CHANGED
    entry = b"\0" + lenstr(lenstr(name) + lenstr(value))
    return frame(1, ok_payload(status=status) + lenstr(b"") + lenstr(entry))


@pytest.mark.parametrize("sql", ["insert 2", "select 2"])
def test_what_cannot_be_taken_back_is_no_other_sessions_problem(start_volvox, sql):
    """(As MySQL's require_row_format: everybody may set it, few may take it back.)"""
    ran = []

    def answer(connection, code, payload):
        if payload == b"set sticky = 1":
            return reported(b"sticky", b"1")
        if payload.startswith(b"SET @@session.sticky"):
            return frame(1, error_payload(1227, "Access denied", "42000"))
        if payload == sql.encode():
            ran.append(connection)
        return None

    with FakeServer() as server:
        server.answer = answer
        volvox = start_volvox({
            "volvox": {"workers": 1},
            "listener main": {"address": f"127.0.0.1:{free_port()}"},
            "group main": {},
            "server fake": {"address": f"127.0.0.1:{server.port}", "role": "primary", "max_connections": 1},
            "user app": {"password": "app-secret"}})
        with Client(volvox.port) as a, Client(volvox.port) as b:
            a.query("set sticky = 1")
            b.query(sql)
        assert len(ran) == (1 if sql.startswith("insert") else 2)     # a read was sent along


FLAGS = "@@autocommit, @@foreign_key_checks, @@unique_checks, @@sql_notes, @@sql_safe_updates"


@pytest.mark.parametrize("sql", [
    "set foreign_key_checks = 0",
    "set autocommit = 0, unique_checks = 0",
    "set foreign_key_checks = 0, foreign_key_checks = 1, sql_notes = 0",
    "set @@session.sql_safe_updates = 1, autocommit = 1",
    "set autocommit = 0",
])
def test_flags_that_share_a_report_go_along_each_for_itself(place, one, sql):
    with place.direct() as theirs:
        theirs.query(sql)
        expected = theirs.query(f"select {FLAGS}").rows
    with Client(one.port) as a:
        a.query(sql)
        a.query("rollback")
        assert a.query(f"{PRIMARY}select {FLAGS}").rows == expected
        assert a.query(f"select {FLAGS}").rows == expected
        if b"0" != expected[0][0]:
            with Client(one.port) as b:
                assert b.query(f"{PRIMARY}select {FLAGS}").rows == [[b"1", b"1", b"1", b"1", b"0"]]


def test_flags_set_by_a_procedure_are_the_callers(place, one):
    place.primary.query("create or replace procedure test.quiet() set sql_notes = 0, autocommit = 1"
                        if place.family == "mariadb" else
                        "create procedure test.quiet() set sql_notes = 0, autocommit = 1")
    try:
        with Client(one.port) as a:
            a.query("call test.quiet()")
            assert a.query("select @@sql_notes").value() == b"0"
            a.simple(COM_RESET)
            assert a.query(f"{PRIMARY}select @@sql_notes").value() == b"1"
        with Client(one.port) as b:
            assert b.query(f"{PRIMARY}select @@sql_notes").value() == b"1"
    finally:
        place.primary.query("drop procedure test.quiet")


@pytest.mark.parametrize("set_id", ["set last_insert_id = 77", "set @@session.identity = 77"])
def test_an_insert_id_set_by_hand_goes_along(place, one, set_id):
    if "identity" in set_id and place.family == "mysql":
        set_id = "set identity = 77"
    with Client(one.port) as a, Client(one.port, user="other", password="other-secret") as b:
        a.query(set_id)
        with contextlib.suppress(ServerError):      # where a is pinned, nobody gets its connection
            b.query(f"{PRIMARY}select last_insert_id()")
        assert a.query(f"{PRIMARY}select last_insert_id()").value() == b"77"
        assert a.query("select last_insert_id()").value() == b"77"


# ---- what the server is ----------------------------------------------------------------------------

# (One of them is gone in each version: its error is compared too.)
ABOUT = ["select version(), @@version, @@version_comment", "show variables like 'version%'", "select @@tx_isolation",
         "select @@transaction_isolation", "select @@query_cache_size", "select @@default_authentication_plugin",
         "show global variables like 'max_allowed_packet'", "select @@global.collation_server", "status",
         "show character set like 'utf8mb4'", "show collation like 'utf8mb4_0900_ai_ci'", "show engines"]


@pytest.mark.parametrize("sql", ABOUT)
def test_what_is_asked_about_the_server_is_answered_by_one(place, sql):
    def answer(client):
        try:
            return client.query(sql).rows
        except ServerError as e:
            return e.args

    with place.client() as ours, place.direct() as theirs:
        assert answer(ours) == answer(theirs)
        assert ours.greeting.version == theirs.greeting.version


# ---- logging in ----------------------------------------------------------------------------------

CHARSETS = ("select @@character_set_client, @@character_set_connection, @@character_set_results, "
            "@@collation_connection")


def charsets_after_login(client, number):
    try:
        with client(charset=number) as c:
            return c.query(CHARSETS).rows
    except ServerError as e:
        return e.args


# 17 is no character set of clients and in no list; 213 and 245 have another name in MariaDB than in MySQL,
# whose name means another collation in MariaDB (protocol/charset.c).
KNOWN_TO_DIFFER = {17, 213, 245}


def test_every_collation_at_login_means_what_it_means_to_the_server(place):
    wrong = []
    for number in sorted(set(range(1, 256)) - (KNOWN_TO_DIFFER if place.family == "mariadb" else set())):
        a, b = (charsets_after_login(c, number) for c in (place.client, place.direct))
        if a != b:
            wrong.append(f"{number}: {a} instead of {b}")
    assert not wrong, "\n".join(wrong)


def test_set_names_takes_the_default_collation_of_the_server(place):
    for sql in ("set names utf8mb4", "set names utf8mb3", "set names latin1", "set names default",
                "set names utf8mb4 collate utf8mb4_bin", "set character set utf8mb4"):
        with place.client() as ours, place.direct() as theirs:
            ours.query(sql)
            theirs.query(sql)
            assert ours.query(CHARSETS).rows == theirs.query(CHARSETS).rows, sql


def test_a_redirection_is_kept_from_clients(place):
    """Who followed it would go past Volvox."""
    if place.kind != "mariadb-11.8":
        pytest.skip("only MariaDB 11.3 and later redirect")
    place.primary.query("set global redirect_url = 'mysql://127.0.0.1:3306'")
    try:
        with place.direct() as theirs:
            assert b"mysql://" in b"".join(data for _, data in theirs.login_ok.track)
        with place.client() as ours:
            seen = ours.login_ok.track + ours.query("select 1").track + ours.query("do 1").track
            seen += ours.query("set names latin1").track + ours.change_user("app", "app-secret").track
            assert b"mysql://" not in b"".join(data for _, data in seen)
    finally:
        place.primary.query("set global redirect_url = ''")
