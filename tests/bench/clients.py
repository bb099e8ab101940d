"""Many clients at once, and what the C programs beside this one make of them."""
import contextlib
import json
import os
import resource
import subprocess
import time

from common import APP, ROWS, TABLES, compiled
from wire import Client, ServerError

SPARE = 100                            # connections and descriptors that are not the clients'
LEAD = 0.3                             # seconds until those who think are in step
TOO_MANY, NO_THREAD = 1040, 1135       # what a server says that takes no more clients
POINT_SELECT = "SELECT c FROM shop.sbtest1 WHERE id = %u"


def open_files():
    """As many as we may have, for us and for who we start."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def pin(pid, core=0):
    """All threads of a process."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {core})


@contextlib.contextmanager
def logged_in(port, count, kinds=((),)):
    """So many clients, fewer if the server takes no more; the kinds in turn."""
    clients = []
    try:
        for i in range(count):
            try:
                clients.append(Client(port, *APP, db="shop", timeout=60))
            except ServerError as e:
                if e.code not in (TOO_MANY, NO_THREAD):
                    raise
                break
            for sql in kinds[i % len(kinds)]:
                clients[-1].query(sql)
            clients[-1].sock.settimeout(None)
        yield clients
    finally:
        for client in clients:
            client.close()


def think(clients, pause_ms, writes, seconds, meanwhile=lambda: None, at=0.5):
    """Have them work for so long, after a moment to come into step; what think.c counted."""
    fds = [client.sock.fileno() for client in clients]
    child = subprocess.Popen([compiled("think"), *map(str, (pause_ms, LEAD, seconds, writes, TABLES, ROWS))],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=fds)
    child.stdin.write(" ".join(map(str, fds)))
    child.stdin.close()
    time.sleep(LEAD + seconds * at)
    meanwhile()
    with child.stdout as told:
        figures = told.read()
    if child.wait() != 0:
        raise RuntimeError(f"think ended with {child.returncode}")
    return json.loads(figures)


class Crowd:
    """crowd.c at work; with seconds=0 its clients stay until dismissed."""

    def __init__(self, port, count, at_once=None, seconds=0, schema="", sql=POINT_SELECT):
        argv = [compiled("crowd", "-lcrypto"), port, *APP, schema, sql, count, at_once or count, seconds]
        self.child = subprocess.Popen(list(map(str, argv)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def figures(self):
        """As soon as it has them."""
        line = self.child.stdout.readline()
        if not line:
            raise RuntimeError(f"crowd ended with {self.child.wait()}")
        return json.loads(line)

    def dismiss(self):
        """How many had stayed."""
        left = json.loads(self.child.communicate()[0] or "{}")
        if self.child.returncode != 0:
            raise RuntimeError(f"crowd ended with {self.child.returncode}")
        return left.get("stayed", 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.communicate()
