"""Authentication: every plugin on both hops, whatever form the file has of a password."""
import contextlib

import pytest

import proofs
from families import Family, families
from processes import free_port, wait_until
from servers import APP, Cluster, MariaDB118
from volvox import settings_for
from wire import (BASE, CLEAR, ED25519, MODERN, NATIVE, PARSEC, PLUGIN_AUTH, SHA2, SHA256, Client,
                  Closed, ServerError)

SECRET = "s3cret-of-many"
SALT = b"salt of 20 \x01\x02\"'\\;\x7f~!"
assert len(SALT) == 20

# Accounts by the plugin that they have on the servers.
ACCOUNTS = {
    "mariadb": {
        "a_native": f"identified via mysql_native_password using password('{SECRET}')",
        "an_ed25519": f"identified via ed25519 using password('{SECRET}')",
        "a_both": f"identified via ed25519 using password('{SECRET}') "
                  f"or mysql_native_password using password('{SECRET}')",
        "an_empty": "identified by ''",
    },
    "mysql": {
        "a_sha2": f"identified with caching_sha2_password by '{SECRET}'",
        "a_sha256": f"identified with sha256_password by '{SECRET}'",
        "an_empty": "identified with caching_sha2_password by ''",
    },
}
NATIVE_HASH = proofs.native_hash(SECRET.encode())
SHA2_HASH = proofs.as_hex(proofs.mysql_hash(SECRET.encode(), SALT))
SHA256_HASH = proofs.as_hex(proofs.sha256_hash(SECRET.encode(), SALT))
ED25519_KEY = proofs.ed25519_key(SECRET.encode())
HASHES = {"native": NATIVE_HASH, "sha2": SHA2_HASH, "sha256": SHA256_HASH, "ed25519": ED25519_KEY}


class Accounts(Family):
    def settings(self, users, **volvox):
        """Users: name -> options of [user name]."""
        settings = settings_for(self.cluster, users=(), **volvox)
        for name, options in users.items():
            settings[f"user {name}"] = options
        return settings


mariadb_family, mysql_family, family = families(lambda family: Accounts(family, ACCOUNTS))


def refusal(*args, **more):
    with pytest.raises(ServerError) as caught:
        Client(*args, **more).close()
    return caught.value.args


def who(client):
    return client.query("select current_user()").value().decode().split("@")[0]


def with_passwords(family, password=SECRET):
    return {name: {"password": "" if name == "an_empty" else password} for name in ACCOUNTS[family.family]}


def password_of(name):
    return "" if name == "an_empty" else SECRET


# ---- passwords in clear in the file ----------------------------------------------------------------

def test_any_plugin_of_the_client_reaches_an_account_of_any_plugin(family, start_volvox):
    path = family.cluster.directory / "sock"
    settings = family.settings(with_passwords(family), log_level="debug")
    settings["listener unix"] = {"address": str(path)}
    volvox = start_volvox(settings)
    for account in ACCOUNTS[family.family]:
        for plugin in (NATIVE, SHA2, SHA256, CLEAR, ED25519, PARSEC, "dialog", "no_such_plugin"):
            for where in ({}, {"path": path}):
                with Client(volvox.port, account, password_of(account), plugin=plugin, login=False,
                            **where) as c:
                    # A client that starts with another plugin has no data for it yet.
                    known = plugin in (NATIVE, SHA2, SHA256) or (plugin == CLEAR and where)
                    c.send(c.login_payload(token=None if known else b""))
                    c.finish_login(c.greeting.scramble)
                    assert who(c) == account, (account, plugin, where)
                    wanted = {NATIVE, SHA2, SHA256} | ({CLEAR} if where else set())
                    # (nor may one that says nothing: Connector/C waits for a switch then)
                    is_silent = account == "an_empty" and plugin in (NATIVE, SHA2) and plugin != c.greeting.plugin
                    if is_silent:
                        assert c.switched_to == c.greeting.plugin, (account, plugin, where)
                    elif plugin in wanted:
                        assert c.switched_to is None, (account, plugin, where)


def test_a_password_never_comes_in_clear_over_tcp(family, start_volvox):
    volvox = start_volvox(family.settings(with_passwords(family)))
    account = next(iter(ACCOUNTS[family.family]))
    with Client(volvox.port, account, SECRET, plugin=CLEAR, login=False) as c:
        c.send(c.login_payload())
        c.finish_login(c.greeting.scramble)
        assert c.switched_to in (NATIVE, SHA2)
        assert who(c) == account


@pytest.mark.parametrize("plugin", [NATIVE, SHA2, SHA256, ED25519])
def test_a_wrong_password_is_refused_by_every_plugin(family, start_volvox, plugin):
    path = family.cluster.directory / "sock"
    settings = family.settings(with_passwords(family), login_failures=0, linger="100ms")
    settings["listener unix"] = {"address": str(path)}
    volvox = start_volvox(settings)
    for account in ACCOUNTS[family.family]:
        for where in ({}, {"path": path}):
            code, state, words = refusal(volvox.port, account, "wrong", plugin=plugin, **where)
            assert (code, state) == (1045, "28000")
            assert words.endswith("(using password: YES)")


def test_users_without_a_password_have_none(family, start_volvox):
    volvox = start_volvox(family.settings(with_passwords(family)))
    for plugin in (NATIVE, SHA2, SHA256):
        with Client(volvox.port, "an_empty", "", plugin=plugin) as c:
            assert who(c) == "an_empty"


# ---- hashes in the file ------------------------------------------------------------------------------

@pytest.mark.parametrize("form", HASHES)
@pytest.mark.parametrize("plugin", [NATIVE, SHA2, SHA256, ED25519])
def test_a_hash_is_enough(family, start_volvox, form, plugin):
    """The client's login tells the rest, unless it is native's, which tells what native needs."""
    accounts = [a for a in ACCOUNTS[family.family] if a != "an_empty"]
    volvox = start_volvox(family.settings({a: {"password_hash": HASHES[form]} for a in accounts}))
    for account in accounts:
        assert refusal(volvox.port, account, "wrong", plugin=plugin)[0] == 1045
        with Client(volvox.port, account, SECRET, plugin=plugin) as c:
            native_tells_too_little = (form == "native" and account in ("an_ed25519", "a_both")
                                       and plugin in (NATIVE, ED25519))
            if native_tells_too_little:
                with pytest.raises(ServerError) as caught:
                    c.query("select 1")
                assert caught.value.code == 1045
                assert "client_ed25519" in caught.value.message
                assert caught.value.message.endswith("set server_password")
            else:
                assert who(c) == account
    failures = volvox.status()
    assert failures["backends_failed"] == 0


def test_what_a_login_told_serves_the_next_ones(family, start_volvox):
    account = "a_native" if family.family == "mariadb" else "a_sha2"
    volvox = start_volvox(family.settings({account: {"password_hash": SHA2_HASH}}))
    for expected in (True, False, False):
        with Client(volvox.port, account, SECRET, plugin=SHA2) as c:
            assert c.used_rsa == expected
            assert who(c) == account
    assert refusal(volvox.port, account, "wrong", plugin=SHA2)[0] == 1045


def test_a_password_for_the_servers_spares_the_client_the_telling(mariadb_family, start_volvox):
    volvox = start_volvox(mariadb_family.settings(
        {"an_ed25519": {"password_hash": ED25519_KEY, "server_password": SECRET}}))
    with Client(volvox.port, "an_ed25519", SECRET, plugin=NATIVE, login=False) as c:
        c.send(c.login_payload())
        c.finish_login(c.greeting.scramble)
        assert c.switched_to == ED25519
        assert who(c) == "an_ed25519"
    assert refusal(volvox.port, "an_ed25519", "wrong")[0] == 1045


def test_a_client_that_cannot_switch_is_told_so(mariadb_family, start_volvox):
    volvox = start_volvox(mariadb_family.settings(
        {"an_ed25519": {"password_hash": ED25519_KEY}, "a_native": {"password_hash": NATIVE_HASH}}))
    assert refusal(volvox.port, "an_ed25519", SECRET, caps=BASE & ~PLUGIN_AUTH)[:2] == (1251, "08004")
    with Client(volvox.port, "a_native", SECRET, caps=BASE & ~PLUGIN_AUTH) as c:
        assert who(c) == "a_native"


def test_hashes_of_the_server_itself_are_taken_as_they_are(family, start_volvox):
    server = family.cluster.primary
    account = "a_native" if family.family == "mariadb" else "a_sha2"
    if family.family == "mariadb":
        stored = server.value(f"select authentication_string from mysql.user where user = '{account}'")
    else:
        stored = "0x" + server.value(
            f"select hex(authentication_string) from mysql.user where user = '{account}'")
    volvox = start_volvox(family.settings({account: {"password_hash": stored}}))
    with Client(volvox.port, account, SECRET) as c:
        assert who(c) == account


# ---- who is not there looks like who is -----------------------------------------------------------------

def answers(port, user, plugin, password="wrong"):
    """All packets of a login that fails, without what is random or names the user."""
    seen = []
    with Client(port, user, password, login=False, plugin=plugin) as c:
        c.send(c.login_payload())
        with contextlib.suppress(Closed):
            while True:
                seq, payload = c.recv_frame()
                c.seq = seq + 1
                if payload[0] == 0xFE:
                    name = payload[1:payload.index(b"\0")]
                    seen.append((seq, "switch", name, len(payload)))
                    c.send(b"x" * 64 if name == b"client_ed25519" else b"x" * 20)
                elif payload[0] == 0x01:
                    seen.append((seq, "more", len(payload)))
                    c.send(b"\x02" if len(payload) == 2 else b"x" * 256)
                else:
                    seen.append((seq, payload.replace(user.encode(), b"USER")))
    return seen


@pytest.mark.parametrize("plugin", [NATIVE, SHA2, SHA256, ED25519, "no_such_plugin"])
def test_unknown_users_are_asked_what_known_ones_are_asked(family, start_volvox, plugin):
    users = {f"form_{form}": {"password_hash": value} for form, value in HASHES.items()}
    users["form_clear"] = {"password": SECRET}
    volvox = start_volvox(family.settings(users, login_failures=0, linger="100ms"))
    known = {user: answers(volvox.port, user, plugin) for user in users}
    looks = {str(a) for a in known.values()}
    seen = set()
    for i in range(60):
        a = answers(volvox.port, f"nobody{i}", plugin)
        assert str(a) in looks
        seen.add(str(a))
    assert seen == looks           # each way to be asked is one that unknown users are asked, too


def test_an_unknown_user_is_always_asked_the_same(mariadb_family, start_volvox):
    users = {f"form_{form}": {"password_hash": value} for form, value in HASHES.items()}
    settings = mariadb_family.settings(users, login_failures=0, linger="100ms")
    first = start_volvox(settings)
    names = [f"nobody{i}" for i in range(20)]
    before = {n: str(answers(first.port, n, NATIVE)) for n in names}
    assert before == {n: str(answers(first.port, n, NATIVE)) for n in names}
    settings["listener main"] = {"address": f"127.0.0.1:{free_port()}"}
    second = start_volvox(settings)           # another process: no random key of its own
    assert before == {n: str(answers(second.port, n, NATIVE)) for n in names}


def test_the_password_of_another_user_opens_nothing(mariadb_family, start_volvox):
    """Unknown users play the part of known ones; not so far that their passwords would do."""
    volvox = start_volvox(mariadb_family.settings({"a_native": {"password": SECRET}}, login_failures=0, linger="100ms"))
    for plugin in (NATIVE, SHA2, SHA256, ED25519):
        for name in ("nobody1", "*", ""):
            assert refusal(volvox.port, name, SECRET, plugin=plugin)[0] == 1045


# ---- changing user -----------------------------------------------------------------------------------------

def test_users_of_different_plugins_change_into_each_other(family, start_volvox):
    names = [a for a in ACCOUNTS[family.family]]
    users = {a: {"password_hash": HASHES[form]} for a, form in zip(names, ("native", "ed25519", "sha2"))}
    users["an_empty"] = {"password": ""}
    if family.family == "mariadb":
        users["an_ed25519"]["server_password"] = SECRET
    volvox = start_volvox(family.settings(users))
    with Client(volvox.port, "an_empty", "") as c:
        for name in [*names, *reversed(names), "an_empty"]:
            c.change_user(name, password_of(name))
            assert who(c) == name
            assert c.query("select user()").value().split(b"@")[0] == name.encode()
        with pytest.raises(ServerError) as caught:
            c.change_user(names[0], "wrong")
        assert caught.value.code == 1045
        if family.family == "mysql":
            assert c.is_closed()
        else:                              # goes on as who it was
            assert who(c) == "an_empty"
            assert c.query("select user()").value().split(b"@")[0] == b"an_empty"


# ---- what the servers refuse -----------------------------------------------------------------------------------

@contextlib.contextmanager
def temporary(server, name, words):
    server.query(f"create user {name} {words}")
    try:
        yield
    finally:
        server.query(f"drop user if exists {name}")


def test_a_locked_account_is_refused_in_the_servers_words_and_the_server_goes_on(family, start_volvox):
    server = family.cluster.primary
    ok = "a_native" if family.family == "mariadb" else "a_sha2"
    volvox = start_volvox(family.settings({"a_lock": {"password": SECRET}, ok: {"password": SECRET}}))
    with temporary(server, "a_lock", family.words(SECRET, "account lock")):
        direct = refusal(server.port, "a_lock", SECRET)
        with Client(volvox.port, "a_lock", SECRET) as c:
            with pytest.raises(ServerError) as caught:
                c.query("select 1")
        assert caught.value.args == direct
        assert direct[0] in (3118, 4151)
        with Client(volvox.port, ok, SECRET) as c:
            assert who(c) == ok
    status = volvox.status()
    assert status["backends_failed"] == 0
    assert status["accounts_refused"] >= 1


def test_an_account_with_too_many_connections_is_refused_in_the_servers_words(family, start_volvox):
    server = family.cluster.primary
    volvox = start_volvox(family.settings({"a_few": {"password": SECRET}}))
    with temporary(server, "a_few", family.words(SECRET, "with max_user_connections 1")):
        with Client(server.port, "a_few", SECRET):
            direct = refusal(server.port, "a_few", SECRET)
            with Client(volvox.port, "a_few", SECRET) as c:
                with pytest.raises(ServerError) as caught:
                    c.query("select 1")
                assert caught.value.args == direct
        wait_until(lambda: server.value(
            "select count(*) from information_schema.processlist where user = 'a_few'") == 0, 5, "it left")
        with Client(volvox.port, "a_few", SECRET) as c:
            assert who(c) == "a_few"
    assert volvox.status()["backends_failed"] == 0


def test_an_account_that_is_gone_or_has_another_password_is_refused(family, start_volvox):
    server = family.cluster.primary
    volvox = start_volvox(family.settings({"a_guest": {"password": SECRET}}))
    direct = refusal(server.port, "a_guest", SECRET)
    with Client(volvox.port, "a_guest", SECRET) as c:
        with pytest.raises(ServerError) as caught:
            c.query("select 1")
        assert caught.value.args == direct
        with temporary(server, "a_guest", family.words(SECRET)):
            assert who(c) == "a_guest"           # the session went on
    assert volvox.status()["backends_failed"] == 0


EXPIRED = 1 << 22


@pytest.mark.parametrize("caps", [MODERN, MODERN | EXPIRED])
def test_an_expired_password_is_told_as_the_server_tells_it(family, start_volvox, caps):
    server = family.cluster.primary
    volvox = start_volvox(family.settings({"an_old": {"password": SECRET}}))
    sql = ["select 1", "select 2", f"set password = {'password' if family.family == 'mariadb' else ''}('n')"
           if family.family == "mariadb" else "alter user user() identified by 'n'", "select 3", "select 4"]

    def outcome(port):
        told = []
        with temporary(server, "an_old", family.words(SECRET, "password expire")):
            try:
                with Client(port, "an_old", SECRET, caps=caps) as c:
                    for statement in sql:
                        try:
                            told.append(c.query(statement).rows)
                        except ServerError as e:
                            told.append(e.args)
            except ServerError as e:
                told.append(e.args)
        return told

    direct, ours = outcome(server.port), outcome(volvox.port)
    if len(direct) == 1:                          # refused at login; with us at the first command
        assert direct[0][0] == 1862
        assert ours[0] == direct[0]
    else:
        assert ours == direct
        assert direct[0][0] == 1820 and direct[-1] == [[b"4"]]
    assert volvox.status()["backends_failed"] == 0


# ---- parsec: MariaDB 11.6 and later ---------------------------------------------------------------------------------

def test_parsec_accounts_are_reached(start_volvox):
    if MariaDB118.objection():
        pytest.skip(MariaDB118.objection())
    options = MariaDB118("/nonexistent", 1).plugin_options("auth_parsec", "auth_ed25519")
    with Cluster(0, MariaDB118, options=options) as cluster:
        server = cluster.primary
        server.query(f"create user a_parsec identified via parsec using password('{SECRET}')")
        with Client(server.port, "a_parsec", SECRET) as c:
            assert c.switched_to == PARSEC
        settings = settings_for(cluster, users=())
        settings["user a_parsec"] = {"password": SECRET}
        settings["user hashed"] = {"password_hash": SHA2_HASH, "server_user": "a_parsec"}
        volvox = start_volvox(settings)
        for name in ("a_parsec", "hashed"):
            with Client(volvox.port, name, SECRET) as c:
                assert who(c) == "a_parsec"


# ---- clients that do not keep to the rules ------------------------------------------------------------------------------

def test_logins_cut_short_anywhere_do_no_harm(family, start_volvox):
    accounts = ACCOUNTS[family.family]
    volvox = start_volvox(family.settings(
        {a: {"password_hash": SHA2_HASH} for a in accounts}, login_failures=0, linger="100ms"))
    account = next(iter(accounts))
    for plugin in (NATIVE, SHA2, SHA256, ED25519):
        with Client(volvox.port, account, SECRET, plugin=plugin, login=False) as c:
            whole = c.login_payload()
        for n in range(len(whole)):
            with Client(volvox.port, account, SECRET, plugin=plugin, login=False) as c:
                c.send(whole[:n])
                with contextlib.suppress(ServerError, Closed, ValueError):
                    c.finish_login(c.greeting.scramble)
    with Client(volvox.port, account, SECRET) as c:
        assert who(c) == account


@pytest.mark.parametrize("size", [0, 1, 19, 20, 21, 31, 32, 33, 63, 64, 65, 255, 256, 257, 1000, 60000])
def test_answers_of_any_size_are_no_proof(family, start_volvox, size):
    users = {f"u_{form}": {"password_hash": value, "server_password": "x"} for form, value in HASHES.items()}
    volvox = start_volvox(family.settings(users, login_failures=0, linger="100ms"))
    for user in users:
        for plugin in (NATIVE, SHA2, SHA256, ED25519):
            with Client(volvox.port, user, SECRET, plugin=plugin, login=False) as c:
                caps = c.caps | 1 << 21            # lengths beyond 255
                payload = c.login_payload(token=b"")
                c.send(payload)
                with pytest.raises((ServerError, Closed)):
                    while True:
                        packet = c.recv()
                        if packet[0] == 0xFF:
                            raise ServerError(int.from_bytes(packet[1:3], "little"), "", "")
                        assert packet[0] != 0x00, (user, plugin, size)
                        c.send(b"\0" * size if size % 2 else b"\xff" * size)
                del caps


def test_packets_out_of_order_end_a_login(family, start_volvox):
    volvox = start_volvox(family.settings({"u": {"password_hash": SHA2_HASH}}))
    with Client(volvox.port, "u", SECRET, plugin=SHA2, login=False) as c:
        c.send(c.login_payload())
        assert c.recv() == b"\x01\x04"
        c.send_frame(c.seq + 3, b"\x02")
        with contextlib.suppress(Closed, ValueError):
            assert c.recv()[0] == 0xFF
        assert c.is_closed()
    assert volvox.is_running()


def test_what_looks_like_a_hash_is_warned_of_and_nonsense_is_refused(mariadb_family, start_volvox):
    import subprocess
    volvox = start_volvox(mariadb_family.settings({"a_native": {"password": SECRET}}))

    def check(options):
        ini = volvox.directory / "check.ini"
        lines = "\n".join(f"{k} = {v}" for k, v in options.items())
        ini.write_text("[server db1]\naddress = 127.0.0.1:1\n[listener main]\naddress = 127.0.0.1:2\n"
                       f"[user u]\n{lines}\n")
        done = subprocess.run([str(volvox.program), "-c", str(ini), "--check"], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    assert check({"password_hash": NATIVE_HASH})[0] == 0
    code, said = check({"password": NATIVE_HASH})
    assert code == 0 and "password_hash" in said
    code, said = check({"password_hash": "secret"})
    assert code != 0 and "password_hash: is none of" in said and "secret" not in said.replace("secret_", "")
    code, said = check({"password_hash": NATIVE_HASH, "password": "x"})
    assert code != 0 and "not both" in said
    code, said = check({"password_hash": ED25519_KEY})
    assert code == 0 and "server_password" in said


def test_app_is_who_it_was(family, start_volvox):
    """The accounts that other tests use, as a direct connection has them."""
    volvox = start_volvox(family.settings({APP[0]: {"password": APP[1]}}))
    with Client(volvox.port, *APP) as c, Client(family.cluster.primary.port, *APP) as direct:
        assert c.query("select current_user()").rows == direct.query("select current_user()").rows
