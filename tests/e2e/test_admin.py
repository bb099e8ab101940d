"""The admin port: who may log in, what tables say, what commands do, and what they refuse."""
import contextlib
import threading
import time

import pymysql
import pytest

from conftest import DIRECT
from processes import free_port, wait_until
from servers import APP
from volvox import Volvox, settings_for
from wire import Client, ServerError

pytestmark = pytest.mark.skipif(DIRECT, reason="needs Volvox")

ADMIN = ("admin", "admin-secret")
LOOKER = ("looker", "looker-secret")
SECRETS = ("admin-secret", "looker-secret", "app-secret", "other-secret", "monitor-secret")
TABLES = ("servers backends clients pools users groups listeners workers tasks digests pins settings "
          "faults events counters").split()


def admin_settings(cluster, **volvox):
    settings = settings_for(cluster, **volvox)
    settings["admin"] = {"address": f"127.0.0.1:{free_port()}", "statement_timeout": "1s"}
    settings["http"] = {"address": ""}
    settings["admin_user admin"] = {"password": ADMIN[1], "access": "full"}
    settings["admin_user looker"] = {"password": LOOKER[1], "access": "read"}
    return settings


class Admin:
    """A Volvox with an admin port."""

    def __init__(self, volvox):
        self.volvox = volvox
        self.port = int(volvox.settings["admin"]["address"].rsplit(":", 1)[1])

    def connect(self, who=ADMIN, **more):
        return pymysql.connect(host="127.0.0.1", port=self.port, user=who[0], password=who[1],
                               connect_timeout=10, read_timeout=20, **more)

    def query(self, sql, who=ADMIN, args=None):
        """Rows as dicts, or None for an OK."""
        with contextlib.closing(self.connect(who)) as c:
            with c.cursor(pymysql.cursors.DictCursor) as cursor:
                cursor.execute(sql, args)
                return list(cursor.fetchall()) if cursor.description else None

    def value(self, sql):
        return next(iter(self.query(sql)[0].values()))

    def refusal(self, sql, who=ADMIN):
        with pytest.raises(pymysql.MySQLError) as e:
            self.query(sql, who)
        return e.value.args

    def raw(self, who=ADMIN, **more):
        return Client(self.port, *who, **more)


@pytest.fixture(scope="module")
def shared(mariadb_place, tmp_path_factory):
    settings = admin_settings(mariadb_place.cluster)
    settings["volvox"]["runtime_file"] = str(tmp_path_factory.mktemp("admin") / "runtime.ini")
    volvox = Volvox(settings).start()
    yield Admin(volvox)
    volvox.stop()


@pytest.fixture
def admin(shared):
    yield shared
    assert shared.volvox.is_running()
    assert shared.volvox.sanitizer_report() is None, shared.volvox.sanitizer_report()


# ---- who may log in ---------------------------------------------------------------------------------

@pytest.mark.parametrize("plugin", ["mysql_native_password", "caching_sha2_password"])
def test_both_plugins_log_in(admin, plugin):
    with admin.raw(plugin=plugin) as c:
        assert c.query("select user()").value().startswith(b"admin@")


def test_a_plugin_that_nobody_knows_is_switched_away_from(admin):
    with admin.raw(plugin="mysql_clear_password") as c:
        assert c.switched_to == "mysql_native_password"
        assert c.ping()


@pytest.mark.parametrize("plugin", ["mysql_native_password", "caching_sha2_password"])
@pytest.mark.parametrize("user", ["admin", "nobody", "app"])
def test_a_wrong_password_and_an_unknown_user_are_told_the_same(admin, plugin, user):
    with pytest.raises(ServerError) as e:
        admin.raw((user, "wrong"), plugin=plugin)
    assert (e.value.code, e.value.state) == (1045, "28000")
    assert f"Access denied for user '{user}'@'127.0.0.1'" in str(e.value)


def test_accounts_of_the_data_port_are_not_accounts_here_and_the_other_way_round(admin):
    with pytest.raises(ServerError):
        admin.raw(APP)
    with pytest.raises(ServerError):
        Client(admin.volvox.port, *ADMIN)


def test_one_client_too_many_is_told_so(admin):
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            stack.enter_context(admin.raw())
        with pytest.raises(ServerError) as e:
            admin.raw()
        assert e.value.code == 1040
    wait_until(lambda: admin.query("select 1"), 5, "room again")


def test_an_account_that_a_reload_removes_is_shown_out(start_volvox, mariadb):
    settings = admin_settings(mariadb.cluster)
    admin = Admin(start_volvox(settings))
    with admin.raw(LOOKER) as c:
        assert c.ping()
        without = {k: v for k, v in settings.items() if k != "admin_user looker"}
        admin.volvox.reload(without)
        with pytest.raises(ServerError) as e:
            c.query("select 1")
        assert e.value.code == 1045
        assert c.is_closed()


def test_a_changed_password_ends_what_the_old_one_opened(start_volvox, mariadb):
    settings = admin_settings(mariadb.cluster)
    admin = Admin(start_volvox(settings))
    with admin.raw(LOOKER) as old:
        settings["admin_user looker"] = {"password": "another", "access": "read"}
        admin.query("select 1")
        admin.volvox.reload(settings)
        with pytest.raises(ServerError) as e:
            old.query("select 1")
        assert e.value.code == 1045
    with pytest.raises(ServerError):
        admin.raw(LOOKER)
    with admin.raw(("looker", "another")) as new:
        assert new.ping()


# ---- tables -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("table", TABLES)
def test_every_table_can_be_shown_selected_and_counted(admin, table):
    rows = admin.query(f"show {table}")
    assert [list(r) for r in rows[:1]] == [list(r) for r in admin.query(f"select * from {table} limit 1")][:len(rows)]
    assert admin.value(f"select count(*) from {table}") >= 0
    columns = [r["Field"] for r in admin.query(f"describe {table}")]
    if rows:
        assert list(rows[0]) == columns


def test_show_tables_lists_them(admin):
    assert [r["Tables_in_volvox"] for r in admin.query("show tables")] == TABLES


def test_servers_say_role_health_and_load(admin, mariadb):
    rows = admin.query("select name, role, health, operated from servers order by name")
    assert [tuple(r.values()) for r in rows] == [("db1", "primary", "up", "normal"),
                                                 ("db2", "replica", "up", "normal"),
                                                 ("db3", "replica", "up", "normal")]
    row = admin.query("show servers where name = 'db1'")[0]
    assert row["address"] == f"127.0.0.1:{mariadb.primary.port}"
    assert row["version"] and row["probe_us"] > 0 and row["why"] is not None


def test_a_client_is_seen_with_what_it_holds_and_why(admin):
    with admin.volvox.connect(db="shop") as c, c.cursor() as cursor:
        cursor.execute("begin")
        cursor.execute("select * from items where id = 1 for update")
        (row,) = admin.query("select c.*, b.server as held_server, b.place, b.user as account from clients c "
                             f"join backends b on b.client = c.id where c.id = {c.thread_id()}")
        assert (row["user"], row["schema_name"], row["phase"]) == ("app", "shop", "idle")
        assert (row["server"], row["held_server"], row["place"]) == ("db1", "db1", "leased")
        assert "transaction" in row["pins"]
        assert admin.value(f"select text from digests where digest = '{row['digest']}'").lower().startswith("select")
        cursor.execute("rollback")
    wait_until(lambda: admin.value("select count(*) from clients") == 0, 5, "it is gone")


def test_digests_count_what_ran_without_its_literals(admin):
    with admin.volvox.connect(db="shop") as c, c.cursor() as cursor:
        for i in range(5):
            cursor.execute(f"select name from items where price > {1000 + i} and name <> 'topaz'")
    rows = admin.query("select * from digests where text like '%price >%'")
    assert len(rows) == 1 and rows[0]["count"] == 5 and rows[0]["errors"] == 0
    assert "topaz" not in rows[0]["text"] and rows[0]["max_us"] >= rows[0]["p50_us"] > 0
    assert admin.query("reset stats") is None
    assert admin.query("select * from digests where text like '%price >%'") == []


def test_group_by_join_and_subqueries_work(admin):
    assert admin.query("select role, count(*) n from servers group by role order by role") == [
        {"role": "primary", "n": 1}, {"role": "replica", "n": 2}]
    assert admin.value("select count(*) from servers s join groups g on g.name = s.group_name") == 3
    assert admin.value("select max(n) from (select length(name) n from servers) x") == 3


def test_values_have_types(admin):
    row = admin.query("select count(*) a, 1.5 b, 'x' c, null d, name e, weight f from servers")[0]
    assert {k: type(v) for k, v in row.items()} == {"a": int, "b": float, "c": str, "d": type(None),
                                                    "e": str, "f": int}


def test_no_secret_is_in_any_table(admin):
    text = repr([admin.query(f"select * from {t}") for t in TABLES])
    assert not [s for s in SECRETS if s in text]
    rows = admin.query("select * from settings where setting = 'password'")
    assert rows and all(r["value"] == "***" for r in rows)


def test_settings_say_where_they_were_set(admin):
    rows = {(r["section"], r["name"], r["setting"]): r for r in admin.query("show settings")}
    assert rows["volvox", None, "workers"]["set_by"].startswith("file ")
    assert rows["volvox", None, "workers"]["reloadable"] == 0
    assert rows["volvox", None, "backlog"]["set_by"] == "default"
    assert rows["admin_user", "looker", "access"]["value"] == "read"


# ---- commands ----------------------------------------------------------------------------------------------

def test_help_lists_every_command_with_a_line(admin):
    rows = admin.query("help")
    assert len(rows) > 15 and all(r["command"] and r["help"] for r in rows)
    assert [r["command"] for r in admin.query("help pause")][0].startswith("PAUSE")


def test_set_changes_a_setting_and_says_so(admin):
    before = admin.value("select value from settings where setting = 'queue_timeout'")
    assert admin.query("set queue_timeout = 7s") is None
    row = admin.query("select * from settings where setting = 'queue_timeout'")[0]
    assert (row["value"], row["set_by"]) == ("7s", "runtime")
    event = admin.query("select * from events where kind = 'admin' order by number desc limit 1")[0]
    assert event["who"] == "admin" and "queue_timeout" in event["text"]
    assert admin.query(f"set queue_timeout = '{before}'") is None


def test_set_of_a_secret_leaves_no_trace_of_it(admin):
    admin.query("set monitor_password = 'monitor-secret'")
    assert "monitor-secret" not in repr(admin.query("show events")) + admin.volvox.log_text()


@pytest.mark.parametrize("sql, code, words", [
    ("set queue_timeot = 5s", 1193, "did you mean"),
    ("set queue_timeout = soon", 1231, ""),
    ("set workers = 3", 1238, "restart"),
    ("set queue_timeout", 1064, "expected ="),
    ("set queue_timeout =", 1064, "expected a value"),
])
def test_set_refuses_in_words(admin, sql, code, words):
    found, text = admin.refusal(sql)
    assert found == code and words in text


def test_reload_tells_the_difference(start_volvox, mariadb):
    settings = admin_settings(mariadb.cluster)
    admin = Admin(start_volvox(settings))
    assert admin.query("reload dry run") == [{"would change": "nothing"}]
    settings["volvox"]["queue_timeout"] = "9s"
    admin.volvox.write_ini(settings)
    (row,) = admin.query("reload dry run")
    assert "queue_timeout" in row["would change"]
    assert admin.value("select value from settings where setting = 'queue_timeout'") != "9s"
    (row,) = admin.query("reload")
    assert "queue_timeout" in row["changed"]
    assert admin.value("select value from settings where setting = 'queue_timeout'") == "9s"
    settings["volvox"]["queue_timeout"] = "soon"
    admin.volvox.write_ini(settings)
    assert "queue_timeout" in admin.refusal("reload")[1]
    assert admin.value("select value from settings where setting = 'queue_timeout'") == "9s"


def test_save_config_outlives_a_restart(start_volvox, mariadb, tmp_path):
    settings = admin_settings(mariadb.cluster)
    admin = Admin(start_volvox(settings))
    assert "runtime_file" in admin.refusal("save config")[1]
    settings = admin_settings(mariadb.cluster, runtime_file=tmp_path / "runtime.ini")
    admin = Admin(start_volvox(settings))
    admin.query("set queue_timeout = 4s")
    admin.query("set server db2.weight = 42")
    admin.query("save config")
    again = Admin(start_volvox(dict(admin_settings(mariadb.cluster, runtime_file=tmp_path / "runtime.ini"))))
    row = again.query("select value, set_by from settings where setting = 'queue_timeout'")[0]
    assert row["value"] == "4s" and "runtime.ini" in row["set_by"]
    assert again.value("select weight from servers where name = 'db2'") == 42


def reads_from(volvox, times=12):
    with volvox.connect() as c, c.cursor() as cursor:
        found = set()
        for _ in range(times):
            cursor.execute("select @@server_id from shop.items limit 1")
            found.add(int(cursor.fetchone()[0]))
        return found


def test_a_drained_server_gets_nothing_until_it_is_enabled(admin):
    admin.query("server db2 drain")
    assert admin.value("select operated from servers where name = 'db2'") == "draining"
    wait_until(lambda: reads_from(admin.volvox) == {3}, 5, "db2 gets no reads")
    admin.query("server db2 enable")
    wait_until(lambda: reads_from(admin.volvox) == {2, 3}, 5, "db2 gets reads")
    admin.query("server 'db3' disable")
    wait_until(lambda: reads_from(admin.volvox) == {2}, 5, "db3 gets no reads")
    admin.query("SERVER db3 ENABLE;")
    wait_until(lambda: reads_from(admin.volvox) == {2, 3}, 10, "db3 gets reads")
    events = admin.query("select text from events where kind = 'admin'")
    assert any("db2" in e["text"] for e in events)


def test_weight_is_set_at_once(admin):
    admin.query("server db2 weight 7")
    assert admin.value("select weight from servers where name = 'db2'") == 7
    admin.query("server db2 weight 100")


def test_paused_commands_wait_and_run_when_resumed(admin):
    with admin.volvox.connect() as c, c.cursor() as cursor:
        cursor.execute("select 1 from shop.items")
        admin.query("pause main")
        done = []
        thread = threading.Thread(target=lambda: (cursor.execute("select 2 from shop.items"), done.append(time.time())))
        thread.start()
        wait_until(lambda: admin.value("select count(*) from clients where phase = 'paused'") == 1, 5, "it waits")
        assert not done
        admin.query("resume main")
        thread.join(5)
        assert done


def test_kill_ends_a_client_and_kill_query_only_its_command(admin):
    with admin.volvox.connect() as c, c.cursor() as cursor:
        outcome = []

        def sleep():
            try:
                cursor.execute("select sleep(20) from shop.items limit 1")
                outcome.append(cursor.fetchall())
            except pymysql.MySQLError as e:
                outcome.append(e.args[0])

        thread = threading.Thread(target=sleep)
        thread.start()
        wait_until(lambda: admin.value(f"select phase from clients where id = {c.thread_id()}") == "busy", 5, "busy")
        admin.query(f"kill query {c.thread_id()}")
        thread.join(10)
        assert outcome
        cursor.execute("select 3")
        assert cursor.fetchone() == (3,)
        admin.query(f"kill {c.thread_id()}")
        with pytest.raises(pymysql.MySQLError):
            for _ in range(2):
                cursor.execute("select 4")
    assert admin.refusal("kill 4000000000") == (1094, "Unknown thread id: 4000000000")


def test_kill_works_on_admin_clients_too(admin):
    with admin.raw() as c:
        admin.query(f"kill {c.greeting.thread_id}")
        assert c.is_closed()


def test_explain_route_tells_the_route_and_the_candidates(admin):
    def explain(sql):
        return {r["item"]: r["value"] for r in admin.query(sql)}

    plain = explain("explain route for user app schema shop select * from items where id = 1")
    assert plain["goes to"] == "replica" and plain["schema"] == "shop"
    assert plain["server db2"] == plain["server db3"] == "may serve"
    assert plain["server db1"] == "serves no reads"
    write = explain("explain route update items set price = 1")
    assert write["goes to"] == "primary" and write["server db1"] == "may serve"
    assert explain("explain route in transaction select 1")["because"] == "transaction"
    assert explain("explain route select 1; delete from items")["goes to"] == "primary"


def test_shutdown_is_an_orderly_end(start_volvox, mariadb):
    admin = Admin(start_volvox(admin_settings(mariadb.cluster)))
    assert admin.query("shutdown graceful 5") is None
    wait_until(lambda: not admin.volvox.is_running(), 15, "it has stopped")
    assert admin.volvox.child.returncode == 0


# ---- what is refused ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("sql", ["set queue_timeout = 5s", "reload", "server db1 drain", "server db1 weight 1",
                                 "pause", "resume", "kill 1", "kill query 1", "reset stats", "save config",
                                 "shutdown"])
def test_who_may_only_look_can_change_nothing(admin, sql):
    code, text = admin.refusal(sql, LOOKER)
    assert code == 1227 and "access = full" in text


def test_who_may_only_look_sees_everything(admin):
    for table in TABLES:
        admin.query(f"select * from {table}", LOOKER)
    admin.query("reload dry run", LOOKER)
    admin.query("explain route select 1", LOOKER)


@pytest.mark.parametrize("sql, code, words", [
    ("", 1065, "empty"),
    ("/* nothing */", 1065, "empty"),
    ("selct 1", 1064, "character 1: expected 'select'"),
    ("server", 1064, "expected a server's name, but the statement ends there"),
    ("server db1", 1064, "character 11: expected DRAIN, DISABLE, ENABLE or WEIGHT"),
    ("server db1 drian", 1064, "character 12: expected DRAIN"),
    ("server db1 drain now", 1064, "character 18: expected the end"),
    ("server db9 drain", 1105, "did you mean 'db"),
    ("server db1 weight many", 1064, "character 19: expected a weight"),
    ("pause mian", 1105, "did you mean 'main'"),
    ("kill", 1064, "expected a client's id"),
    ("kill query 99999999999", 1064, "character 12"),
    ("reload dry", 1064, "expected RUN"),
    ("explain route", 1064, "expected a statement"),
    ("explain route for user nobody select 1", 1105, "no user 'nobody'"),
    ("show servrs", 1064, "character 6: expected 'servers'"),
    ("show servers nonsense", 1064, "expected LIKE, WHERE"),
    ("show columns from nowhere", 1146, "doesn't exist"),
    ("show tables from nowhere", 1049, "nowhere"),
    ("use nowhere", 1049, "nowhere"),
    ("select * from srevers", 1146, "did you mean 'servers'"),
    ("select nmae from servers", 1054, "did you mean 'name'"),
    ("select * frm servers", 1064, "character 10"),
    ("select 'abc", 1064, "character 8"),
    ("select nosuch(1)", 1305, "nosuch"),
    ("select @@nosuch", 1193, "nosuch"),
    ("select 1; select 2", 1064, "one statement"),
    ("insert into servers values (1)", 1235, "SELECT"),
    ("delete from servers", 1235, "SELECT"),
    ("create table t (a int)", 1235, "SELECT"),
    ("with x as (select 1) delete from servers", 1235, "SELECT"),
    ("attach '/tmp/x' as y", 1235, ""),
    ("pragma table_list", 1235, ""),
    ("select * from pragma_database_list", 1235, ""),
    ("select * from sqlite_master", 1235, ""),
    ("select load_extension('x')", 1235, ""),
    ("set @x = 1", 1235, "User variables"),
    ("set max_allowed_packet = 1", 1193, ""),
    ("set session max_allowed_packet = 1", 1238, "can't be set"),
    ("set session nosuch = 1", 1193, "nosuch"),
])
def test_nonsense_gets_one_clear_error_and_the_connection_goes_on(admin, sql, code, words):
    with admin.raw() as c:
        with pytest.raises(ServerError) as e:
            c.query(sql)
        assert e.value.code == code, str(e.value)
        assert words in str(e.value)
        assert c.query("select 1").value() == b"1"


def test_a_statement_that_would_never_end_is_ended(admin):
    began = time.time()
    code, text = admin.refusal("with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c")
    assert code == 3024 and time.time() - began < 10


def test_an_answer_without_end_is_refused_in_bounded_memory(admin):
    code, _ = admin.refusal("select a.*, randomblob(100000) from columns a, columns b")
    assert code in (1041, 3024)
    assert admin.volvox.resident_bytes() < 2 << 30


def test_the_data_port_goes_on_while_an_admin_computes(admin):
    slow = threading.Thread(target=lambda: admin.refusal(
        "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c"))
    slow.start()
    worst = 0
    with admin.volvox.connect() as c, c.cursor() as cursor:
        while slow.is_alive():
            began = time.time()
            with admin.volvox.connect() as new:       # accepted by the control thread
                new.ping()
            cursor.execute("select 1")
            worst = max(worst, time.time() - began)
    slow.join()
    assert worst < 0.5


# ---- the protocol --------------------------------------------------------------------------------------------

def test_other_commands_are_answered_or_refused(admin):
    with admin.raw() as c:
        assert c.ping() and b"Workers: 2" in c.statistics()
        assert [x.name for x in c.field_list("pins")][0] in ("reason", b"reason")
        assert c.simple(0x02, b"information_schema")
        assert c.query("select database()").value() == b"information_schema"
        assert c.simple(0x1F)
        c.change_user(*LOOKER)
        assert c.query("select user()").value().startswith(b"looker@")
        with pytest.raises(ServerError) as e:
            c.simple(0x12)
        assert (e.value.code, e.value.state) == (1047, "08S01")
        assert c.ping()
        c.command(0x01)
        assert c.is_closed()


def test_change_user_with_a_wrong_password_ends_the_visit(admin):
    with admin.raw() as c:
        with pytest.raises(ServerError) as e:
            c.change_user("looker", "wrong")
        assert e.value.code == 1045 and c.is_closed()


def test_prepared_statements_take_parameters_and_give_binary_rows(admin):
    with admin.raw() as c:
        st = c.prepare("select name, weight, ? as p, ? as q, null as n from servers where name = ?")
        assert len(st.params) == 3 and len(st.columns) == 5
        assert c.execute(st, [5, None, "db1"]).rows == [[b"db1", 100, 5, None, None]]
        assert c.execute(st, ["x", -7, "db2"]).rows == [[b"db2", 100, b"x", -7, None]]
        c.close_statement(st)
        with pytest.raises(ServerError) as e:
            c.execute(st, [1, 2, 3])
        assert e.value.code == 1243
        shown = c.prepare("show servers like ?")
        assert len(c.execute(shown, ["db%"]).rows) == 3
        command = c.prepare("reload dry run")
        assert c.execute(command).rows == [[b"nothing"]]
        with pytest.raises(ServerError):
            c.prepare("selct ?")
        with pytest.raises(ServerError):
            c.prepare("kill ?")
        assert c.ping()


@pytest.mark.parametrize("payload", [b"\x17", b"\x17\1\0\0\0", b"\x17\1\0\0\0\0\1\0\0\0", b"\x17" + b"\xff" * 40,
                                     b"\x18\1", b"\x19", b"\x1a\1\0", b"\x04abc", b"\x1b", b"\x11\xff", b"\xfe", b""])
def test_malformed_commands_do_no_harm(admin, payload):
    with admin.raw() as c:
        c.prepare("select ?")
        c.seq = 0
        c.send(payload)
        c.sock.settimeout(0.3)
        with contextlib.suppress(OSError, EOFError, ServerError):
            c.recv()
    assert admin.query("select 1")


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, b"\xff" * 64, b"\x05\0\0\1hello"])
def test_garbage_instead_of_a_login_does_no_harm(admin, garbage):
    with Client(admin.port, login=False) as c:
        c.send_raw(garbage)
        assert c.is_closed(15)
    assert admin.query("select 1")


def test_clients_that_vanish_leave_nothing_behind(admin):
    for _ in range(8):
        c = admin.raw()
        c.command(0x03, b"select * from columns, columns")
        c.close()
    wait_until(lambda: admin.value("select count(*) from tasks where what like 'admin%'") <= 2, 30, "they are gone")


def test_without_deprecate_eof_the_old_form_is_spoken(admin):
    import wire
    with admin.raw(caps=wire.MODERN & ~wire.DEPRECATE_EOF) as c:
        assert len(c.query("show servers").rows) == 3
        st = c.prepare("select ?")
        assert c.execute(st, [1]).rows == [[1]]
