"""Failed logins by address: who guesses is slowed, and nobody can lock out somebody else."""
import threading
import time

import pytest

from processes import wait_until
from servers import APP, OTHER
from volvox import settings_for
from wire import NATIVE, SHA2, Client, ServerError

ELSEWHERE = "127.0.0.2"


def refusal(*args, **more):
    with pytest.raises(ServerError) as caught:
        Client(*args, **more).close()
    return caught.value.args


def fail(port, times, user="guess", **more):
    for _ in range(times):
        assert refusal(port, user, "wrong", **more)[0] == 1045


def settings(place, **more):
    more = {"login_failures": 3, "login_failures_window": "1h", "login_delay": "300ms", "linger": "100ms",
            **more}
    return settings_for(place.cluster, **more)


def delayed(volvox):
    return volvox.status()["logins_delayed"]


def test_who_was_there_before_does_not_wait_and_who_is_new_does_once(mariadb, start_volvox):
    volvox = start_volvox(settings(mariadb))
    Client(volvox.port, *APP).quit()
    fail(volvox.port, 3)
    assert delayed(volvox) == 0
    with Client(volvox.port, *APP) as c:
        assert c.query("select 1").value() == b"1"
    assert delayed(volvox) == 0
    began = time.monotonic()
    with Client(volvox.port, *OTHER) as c:
        assert c.query("select 1").value() == b"1"
    assert time.monotonic() - began > 0.25
    assert delayed(volvox) == 1
    Client(volvox.port, *OTHER).quit()
    assert delayed(volvox) == 1


def test_the_failures_of_one_address_slow_no_other(mariadb, start_volvox):
    volvox = start_volvox(settings(mariadb))
    fail(volvox.port, 3, user=APP[0], source=ELSEWHERE)
    with Client(volvox.port, *APP) as c:
        assert c.query("select 1").value() == b"1"
    assert delayed(volvox) == 0
    with Client(volvox.port, *APP, source=ELSEWHERE) as c:     # waits, and comes in
        assert c.query("select 1").value() == b"1"
    assert delayed(volvox) == 1
    told = volvox.events("logins are slowed")
    assert [e["host"] for e in told] == [ELSEWHERE]


def test_a_user_who_fails_itself_waits_as_well(mariadb, start_volvox):
    volvox = start_volvox(settings(mariadb))
    Client(volvox.port, *APP).quit()
    fail(volvox.port, 3, user=APP[0])
    Client(volvox.port, *APP).quit()
    assert delayed(volvox) == 1


@pytest.mark.parametrize("plugin", [NATIVE, SHA2])
def test_waiting_comes_before_the_password_is_looked_at(mariadb, start_volvox, plugin):
    """So that guesses are not answered sooner than right passwords, and leaving early saves nothing."""
    volvox = start_volvox(settings(mariadb))
    fail(volvox.port, 3, plugin=plugin)
    times = []
    for user in ("guess", APP[0]):
        began = time.monotonic()
        assert refusal(volvox.port, user, "wrong", plugin=plugin)[0] == 1045
        times.append(time.monotonic() - began)
    assert min(times) > 0.25
    assert delayed(volvox) == 2


def test_only_so_many_of_an_address_wait_and_the_rest_is_told(mariadb, start_volvox):
    volvox = start_volvox(settings(mariadb, login_delay="20s", login_timeout="60s"))
    Client(volvox.port, *APP).quit()
    fail(volvox.port, 3)
    waiting = []
    for _ in range(32):
        c = Client(volvox.port, "guess", "wrong", login=False, timeout=60)
        c.send(c.login_payload())
        waiting.append(c)
    wait_until(lambda: delayed(volvox) == 32, 10, "they wait")
    code, _, words = refusal(volvox.port, "guess", "wrong")
    assert code == 1129 and words.startswith("volvox: too many failed logins from '127.0.0.1'")
    assert volvox.status()["logins_refused"] == 1
    with Client(volvox.port, *APP) as c:                        # all that is no matter to who is known,
        assert c.query("select 1").value() == b"1"
    with Client(volvox.port, *OTHER, source=ELSEWHERE) as c:    # nor to who comes from elsewhere
        assert c.query("select 1").value() == b"1"
    for c in waiting:
        c.close()
    volvox.stop()                                               # those who wait don't hold it up


def test_failures_are_forgotten(mariadb, start_volvox):
    volvox = start_volvox(settings(mariadb, login_failures_window="1s"))
    fail(volvox.port, 3)
    time.sleep(1.1)
    fail(volvox.port, 2)
    assert delayed(volvox) == 0


def test_zero_is_never(mariadb, start_volvox):
    volvox = start_volvox(settings(mariadb, login_failures=0))
    fail(volvox.port, 40)
    assert delayed(volvox) == 0


def test_changes_of_user_count_and_wait_too(mariadb, start_volvox):
    volvox = start_volvox(settings(mariadb))
    for _ in range(3):
        with Client(volvox.port, *APP) as c:
            with pytest.raises(ServerError) as caught:
                c.change_user("guess", "wrong")
            assert caught.value.code == 1045
    with Client(volvox.port, *APP) as c:
        c.change_user(*OTHER)
        assert c.query("select user()").value().startswith(b"other@")
    assert delayed(volvox) == 1


def test_a_storm_of_guesses_leaves_the_others_their_places(mariadb, start_volvox):
    """Those who wait hold a place among max_sessions_logging_in, so there may be few of them."""
    volvox = start_volvox(settings(mariadb, login_delay="10s", max_sessions_logging_in=50, workers=1))
    fail(volvox.port, 3, source=ELSEWHERE)
    ended = threading.Event()

    def guess():
        while not ended.is_set():
            try:
                with Client(volvox.port, "guess", "wrong", source=ELSEWHERE, timeout=3):
                    pass
            except (ServerError, OSError):
                pass

    threads = [threading.Thread(target=guess, daemon=True) for _ in range(60)]
    for t in threads:
        t.start()
    try:
        wait_until(lambda: volvox.status()["logins_refused"] > 20, 20, "the storm is there")
        for _ in range(5):
            began = time.monotonic()
            with Client(volvox.port, *APP) as c:
                assert c.query("select 1").value() == b"1"
            assert time.monotonic() - began < 8
    finally:
        ended.set()
        for t in threads:
            t.join()


def test_operators_are_slowed_by_the_same_count(mariadb, start_volvox):
    from processes import free_port
    more = settings(mariadb)
    port = free_port()
    more["admin"] = {"address": f"127.0.0.1:{port}"}
    more["admin_user root"] = {"password": "admin"}
    volvox = start_volvox(more)
    for _ in range(3):
        assert refusal(port, "root", "wrong")[0] == 1045
    began = time.monotonic()
    with Client(port, "root", "admin"):
        pass
    assert time.monotonic() - began > 0.25
    with Client(port, "root", "admin") as c:
        assert c.query("select 1").value() == b"1"
    assert len(volvox.events("logins are slowed")) == 1
