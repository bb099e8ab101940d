"""A server never holds more connections than its limit, whoever comes, changes or leaves."""
import itertools
import threading
import time

import pytest

from fake import FakeServer, greeting_payload, ok_payload
from processes import free_port, wait_until
from wire import COM_QUERY, FOUND_ROWS, MODERN, Client, frame

LIMIT = 3


class Counting(FakeServer):
    """Knows how many connections it has, from their coming until it has closed them.  `slow` runs until
    it is killed, and so does its connection if its client leaves; a goodbye takes a while."""

    def __init__(self):
        self.lock, self.ids = threading.Lock(), itertools.count(1)
        self.here = self.most = 0
        self.running = {}                  # thread id -> ended
        self.killed = []                   # in their order: (verb, thread id)
        super().__init__(self.count_and_serve)

    def count(self, n):
        with self.lock:
            self.here += n
            self.most = max(self.most, self.here)

    def count_and_serve(self, connection):
        self.count(1)
        try:
            connection.thread_id = next(self.ids)
            connection.greet(greeting_payload(thread_id=connection.thread_id))
            connection.accept_login()
            connection.serve(self.answer_to)
            time.sleep(0.02)               # it says goodbye
        finally:
            self.count(-1)

    def answer_to(self, connection, code, payload):
        text = payload.decode()
        if text == "slow":
            ended = self.running[connection.thread_id] = threading.Event()
            assert ended.wait(30)
        elif text.startswith("KILL"):
            verb, thread_id = text.rsplit(" ", 1)
            self.killed.append((verb, int(thread_id)))
            self.running.pop(int(thread_id)).set()
        elif code == COM_QUERY:
            time.sleep(0.002)
        return frame(1, ok_payload())


@pytest.fixture
def server():
    with Counting() as fake:
        yield fake


@pytest.fixture
def volvox(server, start_volvox):
    return start_volvox({
        "volvox": {"workers": 1, "queue_timeout": "30s"},
        "listener main": {"address": f"127.0.0.1:{free_port()}"},
        "group main": {},
        "server primary": {"address": f"127.0.0.1:{server.port}", "role": "primary", "max_connections": LIMIT},
        "user app": {"password": "app-secret"},
        "user other": {"password": "other-secret"}})


KINDS = {"flags": ({}, {"caps": MODERN | FOUND_ROWS}),
         "accounts": ({}, {"user": "other", "password": "other-secret"}),
         "no schema": ({}, {"db": "shop"})}


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_clients_that_need_other_connections_stay_within_the_limit(server, volvox, kinds):
    failures = []

    def work(kind):
        try:
            with Client(volvox.port, timeout=60, **kind) as c:
                for _ in range(20):
                    c.query("do 1")
        except Exception as e:                                                        # noqa: BLE001
            failures.append(e)

    threads = [threading.Thread(target=work, args=(kinds[i % 2],)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    assert server.most == LIMIT


def run_slowly(server, volvox, count):
    clients = [Client(volvox.port, timeout=30) for _ in range(count)]
    for c in clients:
        c.command(COM_QUERY, b"slow")
    wait_until(lambda: len(server.running) == count)
    return clients


def test_who_leaves_in_a_crowd_needs_one_connection_to_end_what_it_ran(server, volvox):
    clients = run_slowly(server, volvox, LIMIT)
    threads = sorted(server.running)
    for c in clients:
        c.close()
    wait_until(lambda: not server.running)
    assert sorted(server.killed) == [("KILL", n) for n in threads]
    assert server.most == LIMIT + 1
    with Client(volvox.port, timeout=10) as c:         # and their places are free
        c.query("do 1")


def test_who_is_interrupted_in_a_crowd_needs_one_connection_for_that(server, volvox):
    clients = run_slowly(server, volvox, LIMIT)
    threads = sorted(server.running)
    killers = [Client(volvox.port, timeout=30) for _ in clients]
    for killer, victim in zip(killers, clients):
        killer.command(COM_QUERY, b"kill query %d" % victim.greeting.thread_id)
    for c in killers + clients:
        c.read_result()
    assert sorted(server.killed) == [("KILL QUERY", n) for n in threads]
    assert server.most == LIMIT + 1
    for c in killers + clients:
        c.close()
