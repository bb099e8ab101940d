"""Configuration: checking it, changing it under way, and ending."""
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

from conftest import DIRECT
from processes import free_port, wait_until
from servers import APP, MONITOR, OTHER, ROOT
from volvox import binary, ini_text, settings_for
from wire import Client, ServerError

pytestmark = pytest.mark.skipif(DIRECT, reason="needs Volvox")


def check(text, tmp_path):
    """Exit code and output of --check."""
    path = tmp_path / "volvox.ini"
    path.write_text(text)
    done = subprocess.run([binary(), "-c", path, "--check"], stdout=subprocess.PIPE, timeout=20,
                          stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def server_id(client):
    return int(client.query("select @@server_id").value())


# ---- --check -----------------------------------------------------------------------------------

def test_a_good_file_passes_the_check(mariadb, tmp_path):
    code, output = check(ini_text(settings_for(mariadb.cluster)), tmp_path)
    assert code == 0, output


def test_the_file_that_ships_passes_the_check():
    done = subprocess.run([binary(), "-c", ROOT / "conf/volvox.ini", "--check"], timeout=20,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


def test_all_complaints_are_printed_with_file_and_line(tmp_path):
    text = """\
[volvox]
workers = many
login_timeot = 10s

[listener main]
address = 127.0.0.1:99999

[sevrer db1]
address = 127.0.0.1:3306

[server db2]
weight = 10

[user app]
password = not to be shown
colour = blue
"""
    code, output = check(text, tmp_path)
    assert code != 0
    for line in (2, 3, 6, 8, 16):
        assert re.search(rf"volvox\.ini:{line}\b", output), f"nothing about line {line}:\n{output}"
    assert "login_timeout" in output                # did you mean
    assert "server" in output
    assert "not to be shown" not in output


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path):
    done = subprocess.run([binary(), "-c", tmp_path / "absent.ini", "--check"], timeout=20,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode != 0
    assert "absent.ini" in done.stdout


def test_a_bad_file_does_not_start(mariadb, tmp_path):
    path = tmp_path / "bad.ini"
    path.write_text(ini_text(settings_for(mariadb.cluster)) + "\n[nonsense x]\n")
    done = subprocess.run([binary(), "-c", path], timeout=20, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    assert done.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT, 99)
    assert "nonsense" in done.stdout


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_the_program_tells_about_itself(option):
    done = subprocess.run([binary(), option], timeout=20, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0
    assert "volvox" in done.stdout.lower()


# ---- SIGHUP ------------------------------------------------------------------------------------

def test_a_reload_adds_a_user_without_dropping_anybody(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster, users=[APP])
    volvox = start_volvox(settings)
    with Client(volvox.port) as idle, Client(volvox.port) as busy, Client(volvox.port) as within:
        idle.query("select 1")
        within.query("begin")
        busy.command(3, b"select sleep(1), 7")
        with pytest.raises(ServerError):
            Client(volvox.port, *OTHER)
        settings["user other"] = {"password": OTHER[1]}
        volvox.reload(settings)
        with wait_until(lambda: Client(volvox.port, *OTHER), 5, "the new user logs in") as c:
            assert c.query("select 1").value() == b"1"
        assert busy.read_result().rows == [[b"0", b"7"]]
        assert within.ping().in_transaction
        within.query("rollback")
        assert idle.query("select 5").value() == b"5"


def test_a_reload_adds_and_removes_servers(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    whole = {k: dict(v) for k, v in settings.items()}
    del settings["server db3"]
    volvox = start_volvox(settings)
    with Client(volvox.port) as c:
        assert {server_id(c) for _ in range(30)} == {2}
        volvox.reload(whole)
        wait_until(lambda: {server_id(c) for _ in range(30)} == {2, 3}, 10, "the new replica is used")
        del whole["server db2"]
        volvox.reload(whole)
        wait_until(lambda: {server_id(c) for _ in range(30)} == {3}, 10, "the old replica is left")


def test_a_transaction_outlives_the_removal_of_its_server(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    volvox = start_volvox(settings)
    with Client(volvox.port) as c:
        c.query("start transaction read only")
        where = server_id(c)
        if where == 1:
            pytest.skip("read-only transactions are on the primary here")
        del settings[f"server db{where}"]
        volvox.reload(settings)
        time.sleep(0.5)
        assert server_id(c) == where
        c.query("commit")
        assert where not in {server_id(c) for _ in range(30)}


def test_a_bad_file_changes_nothing_and_says_why(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    volvox = start_volvox(settings)
    with Client(volvox.port) as c:
        c.query("select 1")
        mark = volvox.log_size()
        volvox.reload(ini_text(settings) + "\n[user broken]\ncolour = blue\n")
        text = volvox.log_text(mark)
        assert "colour" in text and "volvox.ini" in text
        assert c.query("select 5").value() == b"5"
        with pytest.raises(ServerError):
            Client(volvox.port, "broken", "")
        with Client(volvox.port) as another:
            assert {server_id(another) for _ in range(30)} == {2, 3}


def test_a_changed_password_holds_for_the_next_login(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    volvox = start_volvox(settings)
    with Client(volvox.port) as c:
        settings["user app"] = {"password": "another", "server_password": APP[1]}
        volvox.reload(settings)
        wait_until(lambda: Client(volvox.port, "app", "another"), 5, "the new password is taken").close()
        with pytest.raises(ServerError):
            Client(volvox.port)
        assert c.query("select 1").value() == b"1"


def test_a_reload_that_needs_a_restart_says_so(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    volvox = start_volvox(settings)
    settings["volvox"]["workers"] = 3
    mark = volvox.log_size()
    volvox.reload(settings)
    wait_until(lambda: "restart" in volvox.log_text(mark), 5, "a word about a restart")
    with Client(volvox.port) as c:
        assert c.query("select 1").value() == b"1"


def test_a_new_listener_opens_and_an_old_one_closes(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    volvox = start_volvox(settings)
    port = free_port()
    settings["listener second"] = {"address": f"127.0.0.1:{port}"}
    mark = volvox.log_size()
    volvox.reload(settings)
    if "restart" in volvox.log_text(mark):
        pytest.skip("listeners need a restart")
    with wait_until(lambda: Client(port), 5, "the new listener answers") as c:
        assert c.query("select 1").value() == b"1"


def test_many_reloads_under_load_disturb_nobody(mariadb, start_volvox):
    settings = settings_for(mariadb.cluster)
    volvox = start_volvox(settings)
    done, trouble, served = threading.Event(), [], []

    def work():
        try:
            while not done.is_set():
                with Client(volvox.port) as c:
                    for i in range(20):
                        c.query("begin")
                        assert c.query(f"select {i}").value() == b"%d" % i
                        c.query("commit")
                        assert c.query(f"select {i}").value() == b"%d" % i
                served.append(1)
        except Exception as e:
            trouble.append(repr(e))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for t in threads:
        t.start()
    for turn in range(15):
        settings["server db3"]["weight"] = 50 + turn
        volvox.reload(settings)
        time.sleep(0.05)
    done.set()
    for t in threads:
        t.join()
    assert trouble == []
    assert served


# ---- logs, ending ------------------------------------------------------------------------------

def test_the_log_file_is_opened_again_after_a_rotation(mariadb, start_volvox, tmp_path):
    log = tmp_path / "the.log"
    volvox = start_volvox(settings_for(mariadb.cluster, log_file=log))
    wait_until(lambda: log.exists() and log.stat().st_size > 0, 5, "a log")
    shutil.move(log, tmp_path / "the.log.1")
    volvox.child.send_signal(signal.SIGUSR1)
    time.sleep(0.3)
    volvox.child.send_signal(signal.SIGUSR2)
    wait_until(lambda: log.exists() and "event=status" in log.read_text(), 5, "the new log is written")


def test_the_counters_tell_what_happened(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster))
    before = volvox.status()
    with Client(volvox.port) as c:
        for _ in range(10):
            c.query("select 1")
        for _ in range(5):
            c.query("select 1 for update")

        def counted():
            after = volvox.status()
            # The last one is counted when its answer is on its way already.
            return after if after["commands"] - before["commands"] >= 15 else None
        after = wait_until(counted, 5, "15 commands are counted")
    assert after["commands_replica"] - before["commands_replica"] == 10
    assert after["commands_primary"] - before["commands_primary"] == 5
    assert after["logins_ok"] - before["logins_ok"] == 1


def test_passwords_are_never_logged(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, log_level="debug"))
    Client(volvox.port).quit()
    with pytest.raises(ServerError):
        Client(volvox.port, "app", "a-wrong-password")
    volvox.reload()
    text = volvox.log_text()
    for secret in (APP[1], OTHER[1], MONITOR[1], "a-wrong-password"):
        assert secret not in text


def test_sigterm_lets_a_transaction_finish(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, drain_timeout="20s"))
    with Client(volvox.port) as c:
        c.query("begin")
        c.query("select 1")
        volvox.child.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert volvox.is_running()
        assert c.query("select 5").value() == b"5"
        c.query("commit")
        wait_until(lambda: not volvox.is_running(), 10, "volvox ends after the commit")
    volvox.stop()


def test_sigterm_ends_idle_clients_at_once(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, drain_timeout="20s"))
    with Client(volvox.port) as c:
        c.query("select 1")
        began = time.monotonic()
        volvox.child.send_signal(signal.SIGTERM)
        assert c.is_closed(10)
        assert time.monotonic() - began < 8
        c.close()
        wait_until(lambda: not volvox.is_running(), 10, "volvox ends")
    volvox.stop()


def test_sigterm_gives_up_at_the_deadline(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, drain_timeout="1s"))
    with Client(volvox.port) as c:
        c.query("begin")
        c.query("select 1")
        volvox.child.send_signal(signal.SIGTERM)
        wait_until(lambda: not volvox.is_running(), 10, "volvox ends")
    volvox.stop()


def test_sigquit_stops_now(mariadb, start_volvox):
    volvox = start_volvox(settings_for(mariadb.cluster, drain_timeout="30s"))
    with Client(volvox.port) as c:
        c.query("begin")
        c.query("select 1")
        volvox.child.send_signal(signal.SIGQUIT)
        wait_until(lambda: not volvox.is_running(), 5, "volvox ends")
    volvox.stop()


def test_a_port_in_use_is_a_clear_error(mariadb, start_volvox, tmp_path):
    volvox = start_volvox(settings_for(mariadb.cluster))
    done = subprocess.run([binary(), "-c", volvox.ini_path], timeout=20, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env=dict(os.environ))
    assert done.returncode not in (0, 99)
    assert str(volvox.port) in done.stdout
