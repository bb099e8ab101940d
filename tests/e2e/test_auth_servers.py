"""auth = servers: the servers know the accounts, and volvox.ini has none of their passwords."""
import contextlib
import threading
import time

import pytest

import proofs
from families import Family, families
from processes import free_port, wait_until
from servers import Cluster
from volvox import settings_for
from wire import (BASE, CLEAR, ED25519, MODERN, NATIVE, PLUGIN_AUTH, SHA2, SHA256, Client, Closed, ServerError)

SECRET = "known-to-servers"
SQL = {
    "mariadb": {
        "s_native": f"identified via mysql_native_password using password('{SECRET}')",
        "s_ed25519": f"identified via ed25519 using password('{SECRET}')",
        "s_both": f"identified via ed25519 using password('{SECRET}') "
                  f"or mysql_native_password using password('{SECRET}')",
        "s_empty": "identified by ''",
    },
    "mysql": {
        "s_sha2": f"identified with caching_sha2_password by '{SECRET}'",
        "s_sha256": f"identified with sha256_password by '{SECRET}'",
        "s_empty": "identified with caching_sha2_password by ''",
    },
}
# What Volvox can log in to by itself after a client has, and what only the client can.
POOLED = {"mariadb": ["s_native", "s_empty"], "mysql": ["s_sha2", "s_sha256", "s_empty"]}
BOUND = ["s_ed25519", "s_both"]
USUAL = {"mariadb": "s_native", "mysql": "s_sha2"}


class Accounts(Family):
    def __init__(self, family):
        super().__init__(family, SQL, replicas=1)
        self.usual = USUAL[family]

    def settings(self, users=None, **volvox):
        settings = settings_for(self.cluster, users=(), **volvox)
        settings["group main"]["auth"] = "servers"
        for name, options in (users or {}).items():
            settings[f"user {name}"] = options
        return settings

    def connections(self, user):
        return self.primary.value(
            f"select count(*) from information_schema.processlist where user = '{user}'")

    @contextlib.contextmanager
    def account(self, name, more=""):
        self.create(name, self.words(SECRET, more))
        self.cluster.sync()
        try:
            yield
        finally:
            self.primary.query(f"drop user if exists {name}")

    def set_password(self, name, password):
        if self.family == "mariadb":
            self.primary.query(f"set password for {name} = password('{password}')")
        else:
            self.primary.query(f"alter user {name} identified by '{password}'")
        self.cluster.sync()


mariadb_family, mysql_family, family = families(Accounts)


def refusal(*args, **more):
    with pytest.raises(ServerError) as caught:
        Client(*args, **more).close()
    return caught.value.args


def who(client):
    return client.query("select current_user()").value().decode().split("@")[0]


def password_of(name):
    return "" if name == "s_empty" else SECRET


# ---- coming in -------------------------------------------------------------------------------------

@pytest.mark.parametrize("plugin", [NATIVE, SHA2, SHA256, ED25519, "no_such_plugin"])
def test_accounts_of_the_servers_come_in_whatever_plugin_they_start_with(family, start_volvox, plugin):
    volvox = start_volvox(family.settings())
    for name in SQL[family.family]:
        for _ in range(2):
            with Client(volvox.port, name, password_of(name), plugin=plugin, db="shop", login=False) as c:
                known = plugin in (NATIVE, SHA2, SHA256)
                c.send(c.login_payload(token=None if known else b""))
                c.finish_login(c.greeting.scramble)
                assert who(c) == name
                assert c.query("select database()").value() == b"shop"
    status = volvox.status()
    assert status["logins_ok"] >= 2 * len(SQL[family.family])
    assert status["backends_failed"] == 0


def test_what_a_login_told_is_used_for_pooled_connections_and_replicas(family, start_volvox):
    volvox = start_volvox(family.settings(accounts_recheck="1h"))
    for name in POOLED[family.family]:
        held = [Client(volvox.port, name, password_of(name)) for _ in range(6)]
        assert {c.query("select @@server_id").value() for c in held} == {b"2"}
        for c in held:
            c.query("set @a = 1")                    # each keeps a connection of its own now
        assert {who(c) for c in held} == {name}
        for c in held:
            c.close()
    assert volvox.status()["logins_at_servers"] == len(POOLED[family.family])


def test_the_second_login_needs_neither_server_nor_key(family, start_volvox):
    volvox = start_volvox(family.settings(accounts_recheck="1h"))
    for asked in (1, 1, 1):
        with Client(volvox.port, family.usual, SECRET) as c:
            assert volvox.status()["logins_at_servers"] == asked
            assert who(c) == family.usual
    if family.family == "mysql":
        with Client(volvox.port, family.usual, SECRET) as c:
            assert not c.used_rsa and c.switched_to is None


@pytest.mark.parametrize("name", BOUND)
def test_an_account_that_tells_nothing_has_the_connection_that_was_proven(mariadb_family, start_volvox, name):
    family = mariadb_family
    volvox = start_volvox(family.settings())
    with Client(volvox.port, name, SECRET, db="shop") as a, Client(volvox.port, name, SECRET) as b:
        assert family.connections(name) == 2
        ids = [c.query("select @@server_id, @@pseudo_thread_id").rows[0] for c in (a, b)]
        assert ids[0][0] == b"1" and ids[0] != ids[1]
        assert a.query("select @@server_id, @@pseudo_thread_id").rows[0] == ids[0]
        a.query("create temporary table t (x int)")
        a.command(31)
        a.read_result()
        with pytest.raises(ServerError) as caught:
            a.query("select * from shop.t")
        assert caught.value.code == 1146
        assert a.query("select @@pseudo_thread_id").value() == ids[0][1]
        assert a.query("select database()").value() == b"shop"
        assert volvox.status()["sessions_pinned"] == 2
    wait_until(lambda: family.connections(name) == 0, 5, "the connections are closed")


def test_the_end_of_such_a_connection_is_the_end_of_the_session(mariadb_family, start_volvox):
    family = mariadb_family
    volvox = start_volvox(family.settings())
    with Client(volvox.port, "s_ed25519", SECRET) as c:
        thread = family.primary.value("select id from information_schema.processlist where user = 's_ed25519'")
        family.primary.query(f"kill {thread}")
        with pytest.raises((ServerError, Closed, OSError)):
            c.query("select 1")
        assert c.is_closed()


def test_a_wrong_password_and_an_unknown_user_are_refused_in_the_servers_words(family, start_volvox):
    volvox = start_volvox(family.settings(login_failures=0, linger="100ms"))
    for user, password in [(family.usual, "wrong"), (family.usual, ""), ("nobody", "x"), ("nobody", ""),
                           ("", "x"), ("x" * 100, "x")]:
        assert refusal(volvox.port, user, password) == refusal(family.primary.port, user, password)
    with Client(volvox.port, family.usual, SECRET):
        pass
    assert refusal(volvox.port, family.usual, "wrong") == refusal(family.primary.port, family.usual, "wrong")
    assert volvox.status()["backends_failed"] == 0


def test_unknown_users_are_asked_what_known_ones_are_asked(family, start_volvox):
    """By the server, which makes something up."""
    volvox = start_volvox(family.settings(login_failures=0, linger="100ms"))

    def answers(user):
        seen = []
        with Client(volvox.port, user, "wrong", login=False) as c:
            c.send(c.login_payload())
            with contextlib.suppress(Closed):
                while True:
                    seq, payload = c.recv_frame()
                    c.seq = seq + 1
                    seen.append((seq, payload[0], len(payload.replace(user.encode(), b"USER"))))
                    if payload[0] == 0xFE:
                        c.send(b"x" * 64 if b"ed25519" in payload else b"x" * 20)
                    elif payload[0] == 0x01:
                        c.send(b"\x02" if len(payload) == 2 else b"x" * 256)
        return str(seen)

    known = {answers(name) for name in SQL[family.family]}
    for i in range(10):
        assert answers(f"nobody{i}") in known


def test_an_old_client_that_cannot_switch_is_told_so(mariadb_family, start_volvox):
    volvox = start_volvox(mariadb_family.settings())
    assert refusal(volvox.port, "s_native", SECRET, caps=BASE & ~PLUGIN_AUTH)[0] == 1251


# ---- within TLS ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("plugin", [NATIVE, SHA2, SHA256, CLEAR, ED25519])
def test_accounts_of_the_servers_come_in_within_tls(family, start_volvox, plugin):
    volvox = start_volvox(family.settings(accounts_recheck="1h"))
    for name in SQL[family.family]:
        for _ in range(2):
            with Client(volvox.port, name, password_of(name), plugin=plugin, tls=True, login=False) as c:
                known = plugin in (NATIVE, SHA2, SHA256, CLEAR)
                c.send(c.login_payload(token=None if known else b""))
                c.finish_login(c.greeting.scramble)
                assert not c.used_rsa
                assert who(c) == name
                if plugin == CLEAR:
                    assert c.switched_to is None


def test_clients_of_mariadb_can_verify_us_by_a_password_that_only_the_servers_know(mariadb_family, start_volvox):
    """MariaDB 11.4 and later: in the OK of a login within TLS, whether the servers were asked or not."""
    volvox = start_volvox(mariadb_family.settings(accounts_recheck="1h"))
    stored = proofs.sha1(proofs.sha1(SECRET.encode()))
    for switched in (NATIVE, None):
        with Client(volvox.port, "s_native", SECRET, plugin=NATIVE, tls=True) as c:
            assert c.switched_to == switched
            shown = proofs.sha256(c.sock.getpeercert(True))
            expected = proofs.sha256(stored, c.scramble, shown).hex().upper().encode()
            assert c.login_ok.info == b"\1" + expected
    with Client(volvox.port, "s_ed25519", SECRET, tls=True) as c:
        assert c.login_ok.info == b""


# ---- changes at the servers --------------------------------------------------------------------------

def test_a_new_password_works_at_once_and_the_old_one_no_longer(family, start_volvox):
    volvox = start_volvox(family.settings(accounts_recheck="0s"))
    with family.account("s_change"):
        with Client(volvox.port, "s_change", SECRET) as old:
            assert who(old) == "s_change"
            family.set_password("s_change", "another")
            with Client(volvox.port, "s_change", "another") as c:
                assert who(c) == "s_change"
            assert refusal(volvox.port, "s_change", SECRET) == \
                refusal(family.primary.port, "s_change", SECRET)
            # Who was in stays in, as on a server, with connections that the new password opens.
            old.query("set @a = 1")
            assert who(old) == "s_change"


def test_the_new_password_works_at_once_however_long_old_ones_are_believed(family, start_volvox):
    volvox = start_volvox(family.settings(accounts_recheck="1h"))
    with family.account("s_change"):
        Client(volvox.port, "s_change", SECRET).quit()
        family.set_password("s_change", "another")
        with Client(volvox.port, "s_change", "another") as c:
            assert who(c) == "s_change"
        assert refusal(volvox.port, "s_change", SECRET)[0] == 1045


@pytest.mark.parametrize("change", ["account lock", "drop", "password expire"])
def test_locked_dropped_and_expired_accounts_are_refused_without_a_restart(family, start_volvox, change):
    volvox = start_volvox(family.settings(accounts_recheck="0s"))
    with family.account("s_change"):
        Client(volvox.port, "s_change", SECRET).quit()
        family.primary.query("drop user s_change" if change == "drop" else f"alter user s_change {change}")
        if change == "password expire" and family.family == "mariadb":
            for port in (volvox.port, family.primary.port):
                with Client(port, "s_change", SECRET) as c:
                    with pytest.raises(ServerError) as caught:
                        c.query("select 1")
                    assert caught.value.code == 1820
        else:
            ours = refusal(volvox.port, "s_change", SECRET)
            assert ours == refusal(family.primary.port, "s_change", SECRET)
    with Client(volvox.port, family.usual, SECRET) as c:
        assert who(c) == family.usual
    assert volvox.status()["backends_failed"] == 0


EXPIRED = 1 << 22


def test_an_expired_password_can_be_changed(family, start_volvox):
    volvox = start_volvox(family.settings())
    sql = "set password = password('n')" if family.family == "mariadb" else "alter user user() identified by 'n'"
    with family.account("s_old", "password expire"):
        with Client(volvox.port, "s_old", SECRET, db="information_schema", caps=MODERN | EXPIRED) as c:
            for refused in ("select 1", "select * from tables"):
                with pytest.raises(ServerError) as caught:
                    c.query(refused)
                assert caught.value.code == 1820
            c.query(sql)
            assert c.query("select 1").value() == b"1"
            assert c.query("select database()").value() == b"information_schema"
        with Client(volvox.port, "s_old", "n") as c:
            assert who(c) == "s_old"


def test_the_servers_limit_of_an_account_is_told_in_its_words(mariadb_family, start_volvox):
    family = mariadb_family
    volvox = start_volvox(family.settings())
    with family.account("s_few", "with max_user_connections 1"):
        with Client(family.primary.port, "s_few", SECRET):
            assert refusal(volvox.port, "s_few", SECRET) == refusal(family.primary.port, "s_few", SECRET)
        wait_until(lambda: family.connections("s_few") == 0, 5, "it left")
        with Client(volvox.port, "s_few", SECRET) as c:
            assert who(c) == "s_few"


def test_nobody_is_believed_while_the_servers_are_still_thinking(family, start_volvox):
    """A wrong password that is being asked about must not let in who comes with the same one."""
    volvox = start_volvox(family.settings(connect_timeout="1m", login_timeout="1m", login_failures=0,
                                          accounts_recheck="1h", linger="100ms"))
    Client(volvox.port, family.usual, SECRET).quit()
    outcomes = []

    def guess():
        try:
            Client(volvox.port, family.usual, "wrong", plugin=SHA2, timeout=60).quit()
            outcomes.append("came in")
        except ServerError as e:
            outcomes.append(e.code)

    threads = [threading.Thread(target=guess) for _ in range(4)]
    family.primary.freeze()
    try:
        for t in threads:
            t.start()
        wait_until(lambda: volvox.status()["logins_at_servers"] == 5, 10, "all ask")
        with Client(volvox.port, family.usual, SECRET):       # what is known to be right still is
            pass
    finally:
        family.primary.thaw()
    for t in threads:
        t.join()
    assert outcomes == [1045] * 4


def test_asking_again_leaves_no_connections_behind(family, start_volvox):
    volvox = start_volvox(family.settings(accounts_recheck="0s", workers=1))
    for _ in range(12):
        with Client(volvox.port, family.usual, SECRET) as c:
            assert who(c) == family.usual
    assert volvox.status()["logins_at_servers"] == 12
    assert family.connections(family.usual) <= 2


# ---- changing user -------------------------------------------------------------------------------------

def test_accounts_of_the_servers_change_into_each_other(family, start_volvox):
    volvox = start_volvox(family.settings())
    names = list(SQL[family.family])
    with Client(volvox.port, names[0], password_of(names[0])) as c:
        for name in [*names, *reversed(names), *names]:
            c.change_user(name, password_of(name), db="shop")
            assert who(c) == name
            assert c.query("select database()").value() == b"shop"
        with pytest.raises(ServerError) as caught:
            c.change_user(family.usual, "wrong")
        assert caught.value.code == 1045
        if family.family == "mysql":
            assert c.is_closed()
        else:
            assert who(c) == names[-1]


@pytest.mark.parametrize("name", BOUND)
def test_a_refused_change_of_user_keeps_the_only_connection_of_an_account(mariadb_family, start_volvox, name):
    """Nothing but that connection can serve an account that tells nothing, and MariaDB's session goes on."""
    volvox = start_volvox(mariadb_family.settings())
    for there in ("s_native", *BOUND):
        with Client(volvox.port, name, SECRET, db="shop") as c:
            c.query("set @a = 5")
            for secret, schema in (("wrong", "test"), (SECRET, "no_such_schema")):
                with pytest.raises(ServerError) as caught:
                    c.change_user(there, secret, db=schema)
                assert caught.value.code in (1045, 1049, 1044)
                assert c.query("select substring_index(current_user(), '@', 1), database(), @a").rows == [
                    [name.encode(), b"shop", None]]
            c.change_user(there, SECRET, db="test")
            assert who(c) == there
    wait_until(lambda: mariadb_family.connections(name) <= 1, 10, "connections of the account are left")


# ---- beside the file ----------------------------------------------------------------------------------------

def test_users_of_the_file_come_first_and_may_leave_the_password_to_the_servers(family, start_volvox):
    volvox = start_volvox(family.settings({
        "here": {"password": "of-the-file", "server_user": family.usual, "server_password": SECRET},
        family.usual: {"split_reads": "no", "max_connections": 2, "schema": "shop"},
    }))
    with Client(volvox.port, "here", "of-the-file") as c:
        assert who(c) == family.usual
    assert refusal(volvox.port, "here", SECRET)[0] == 1045
    with Client(volvox.port, family.usual, SECRET) as a, Client(volvox.port, family.usual, SECRET):
        assert a.query("select @@server_id, database()").rows == [[b"1", b"shop"]]
        assert refusal(volvox.port, family.usual, SECRET)[0] == 1203
    assert refusal(volvox.port, "*", SECRET)[0] == 1045


def test_there_are_options_for_those_that_have_no_section(family, start_volvox):
    volvox = start_volvox(family.settings({"*": {"split_reads": "no", "max_connections": 1, "schema": "test"}}))
    other = POOLED[family.family][1]
    wait_until(lambda: volvox.events("primary"), 10, "the roles are known")
    with Client(volvox.port, family.usual, SECRET) as a:
        assert a.query("select @@server_id").value() == b"1"
        assert refusal(volvox.port, family.usual, SECRET)[:2] == (1203, "42000")
        with contextlib.suppress(ServerError):       # each has its own limit; no right to that schema
            Client(volvox.port, other, password_of(other), db="shop").quit()


def test_without_auth_servers_nobody_is_asked(family, start_volvox):
    settings = settings_for(family.cluster)
    volvox = start_volvox(settings)
    assert refusal(volvox.port, family.usual, SECRET)[0] == 1045
    assert volvox.status()["logins_at_servers"] == 0


def test_a_reload_that_takes_the_servers_accounts_away_ends_their_sessions(family, start_volvox):
    settings = family.settings({"app": {"password": "app-secret"}})
    volvox = start_volvox(settings)
    with Client(volvox.port, family.usual, SECRET) as theirs, Client(volvox.port) as ours:
        settings["volvox"]["linger"] = "500ms"
        volvox.reload(settings)
        assert who(theirs) == family.usual            # a reload as such ends nothing
        settings["group main"]["auth"] = "file"
        volvox.reload(settings)
        assert theirs.is_closed()
        assert ours.query("select 1").value() == b"1"
        assert refusal(volvox.port, family.usual, SECRET)[0] == 1045


# ---- many accounts, servers that are away ------------------------------------------------------------------------

def test_accounts_that_come_and_go_leave_nothing(family, start_volvox):
    settings = family.settings(pool_idle_timeout="1s", accounts_lifetime="1s", workers=1)
    settings["admin_user root"] = {"password": "admin", "access": "full"}
    port = free_port()
    settings["admin"] = {"address": f"127.0.0.1:{port}"}
    volvox = start_volvox(settings)
    names = [f"s_guest{i}" for i in range(30)]
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(family.account(name))
            with Client(volvox.port, name, SECRET) as c:
                assert who(c) == name

        def pools():
            import pymysql
            admin = pymysql.connect(host="127.0.0.1", port=port, user="root", password="admin")
            with contextlib.closing(admin), admin.cursor() as cursor:
                cursor.execute("select count(*) from pools")
                return cursor.fetchone()[0]

        assert pools() >= len(names)
        wait_until(lambda: pools() == 0, 40, "the pools are gone")
        with Client(volvox.port, names[0], SECRET) as c:
            assert who(c) == names[0]


def test_many_logins_of_one_account_at_once(family, start_volvox):
    volvox = start_volvox(family.settings())
    failed = []

    def come_and_go():
        try:
            for _ in range(5):
                with Client(volvox.port, family.usual, SECRET, timeout=30) as c:
                    assert who(c) == family.usual
        except Exception as e:                        # noqa: BLE001: told by the test
            failed.append(e)

    threads = [threading.Thread(target=come_and_go) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed, failed[0]


def test_without_the_primary_the_replicas_know_the_accounts(family, start_volvox):
    with Cluster(1, type(family.primary)) as cluster:
        cluster.primary.query(f"create user s_one {family.words(SECRET)}")
        cluster.sync()
        settings = settings_for(cluster, users=(), accounts_recheck="0s")
        settings["group main"]["auth"] = "servers"
        volvox = start_volvox(settings)
        Client(volvox.port, "s_one", SECRET).quit()
        cluster.primary.kill()

        def reads():
            with contextlib.suppress(ServerError):
                with Client(volvox.port, "s_one", SECRET) as c:
                    return c.query("select @@server_id").value() == b"2"

        wait_until(reads, 20, "a login by the replica")


def test_without_any_server_nobody_comes_in_and_the_reason_is_told(start_volvox):
    settings = {
        "volvox": {"workers": 1, "connect_timeout": "500ms"},
        "listener main": {"address": f"127.0.0.1:{free_port()}"},
        "group main": {"auth": "servers"},
        "server db1": {"address": f"127.0.0.1:{free_port()}", "role": "primary"},
    }
    volvox = start_volvox(settings)
    code, _, words = refusal(volvox.port, "anybody", "x")
    assert code not in (0, 1045), words


# ---- clients that leave or lie in the middle ---------------------------------------------------------------------

def test_clients_that_leave_in_the_middle_are_no_connection_errors_of_ours(mariadb_family, start_volvox):
    """A server blocks hosts that break off logins (max_connect_errors): all of Volvox."""
    family = mariadb_family
    volvox = start_volvox(family.settings(login_failures=0, linger="100ms"))
    before = family.primary.status("Aborted_connects")
    for name in ("s_native", "s_ed25519"):
        for _ in range(5):
            with Client(volvox.port, name, SECRET, login=False) as c:
                c.send(c.login_payload())
                assert c.recv()[0] == 0xFE
    with Client(volvox.port, "s_native", SECRET) as c:
        assert who(c) == "s_native"
    wait_until(lambda: family.connections("unauthenticated user") == 0, 10, "all are over")
    denied = family.primary.status("Access_denied_errors")
    assert denied >= 10                               # brought to an end, by a wrong answer
    assert before <= family.primary.status("Aborted_connects")


@pytest.mark.parametrize("size", [0, 1, 20, 21, 64, 65, 256, 60000])
def test_answers_of_any_size_are_no_proof(family, start_volvox, size):
    volvox = start_volvox(family.settings(login_failures=0, linger="100ms"))
    for user in [*SQL[family.family], "nobody"]:
        if user == "s_empty" and size < 2:
            continue
        for plugin in (NATIVE, SHA2, ED25519):
            with Client(volvox.port, user, "x", plugin=plugin, login=False) as c:
                c.send(c.login_payload(token=b"x" * 20))
                with pytest.raises((ServerError, Closed)):
                    while True:
                        packet = c.recv()
                        if packet[0] == 0xFF:
                            raise ServerError(int.from_bytes(packet[1:3], "little"), "", "")
                        assert packet[0] != 0x00, (user, plugin, size)
                        c.send(b"y" * size)
    with Client(volvox.port, family.usual, SECRET) as c:
        assert who(c) == family.usual


def test_a_client_that_stalls_is_given_up_at_the_deadline(mariadb_family, start_volvox):
    volvox = start_volvox(mariadb_family.settings(login_timeout="1s", linger="200ms"))
    began = time.monotonic()
    with Client(volvox.port, "s_native", SECRET, login=False) as c:
        c.send(c.login_payload())
        assert c.recv()[0] == 0xFE
        assert c.is_closed(10)
    assert time.monotonic() - began > 0.8
    wait_until(lambda: mariadb_family.connections("unauthenticated user") == 0, 10, "given up there, too")


# ---- drivers -------------------------------------------------------------------------------------------------------

def test_pymysql_logs_in_to_accounts_of_each_plugin(family, start_volvox):
    volvox = start_volvox(family.settings())
    for name in SQL[family.family]:
        if name == "s_ed25519" or name == "s_both":
            continue                                   # needs a package of its own
        for _ in range(2):
            with contextlib.closing(volvox.connect((name, password_of(name)), db="shop")) as c, \
                    c.cursor() as cursor:
                cursor.execute("select current_user(), database()")
                assert cursor.fetchone() == (f"{name}@%", "shop")


def test_the_client_of_mariadb_logs_in_to_accounts_of_each_plugin(family, start_volvox):
    import subprocess
    volvox = start_volvox(family.settings())
    for name in SQL[family.family]:
        for _ in range(2):
            done = subprocess.run(
                ["mariadb", "-h127.0.0.1", f"-P{volvox.port}", f"-u{name}", f"-p{password_of(name)}",
                 "--skip-ssl", "--skip-column-names", "-e", "select current_user()"], capture_output=True, text=True)
            assert done.stdout.strip() == f"{name}@%", done.stderr
