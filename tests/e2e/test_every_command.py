"""Every code that a command may have: what a server alone answers, Volvox answers too."""
import contextlib
import struct

import pytest

from processes import wait_until
from servers import APP, Cluster, MariaDB, MySQL
from volvox import Volvox, settings_for
from wire import Client, Closed

NOBODY = ("nobody", "nobody-secret")       # has no privilege beyond reading shop
BOSS = ("boss", "boss-secret")             # has them all
USERS = {"nobody": NOBODY, "app": APP, "boss": BOSS}

SLAVE_77 = struct.pack("<I", 77) + b"\x04host\x01u\x01p" + struct.pack("<HII", 3306, 0, 0)
GTID_DUMP = struct.pack("<HI", 0, 77) + struct.pack("<I", 0) + struct.pack("<QI", 4, 8) + bytes(8)

# Code and payload.  SHUTDOWN for those who may is in a test of its own.
CASES = {
    "sleep": (0, b""),
    "init db, empty": (2, b""),
    "query, empty": (3, b""),
    "field list, empty": (4, b""),
    "field list": (4, b"items\0"),
    "field list, pattern": (4, b"items\0pr%"),
    "create db": (5, b"newdb"),
    "drop db": (6, b"newdb"),
    "refresh, nothing": (7, b""),
    "refresh, grants": (7, b"\x01"),
    "refresh, tables": (7, b"\x04"),
    "connect": (11, b""),
    "debug": (13, b""),
    "ping with data": (14, b"xx"),
    "time": (15, b""),
    "delayed insert": (16, b""),
    "dump, no checksums": (18, struct.pack("<IHI", 4, 0, 77)),
    "dump, no such file": (18, struct.pack("<IHI", 4, 0, 77) + b"nosuch.000001"),
    "table dump": (19, b"\x04shop\x05items"),
    "connect out": (20, b""),
    "register slave, empty": (21, b""),
    "register slave": (21, SLAVE_77),
    "prepare, empty": (22, b""),
    "execute, empty": (23, b""),
    "execute, short": (23, b"\1"),
    "execute, unknown": (23, struct.pack("<IBI", 5, 0, 1)),
    "long data, short": (24, b"\1"),
    "long data, unknown": (24, struct.pack("<IH", 9, 0) + b"x"),
    "close, short": (25, b"\1"),
    "close, unknown": (25, struct.pack("<I", 9)),
    "reset, short": (26, b"\1"),
    "reset, unknown": (26, struct.pack("<I", 5)),
    "set option, empty": (27, b""),
    "set option, unknown": (27, b"\x4d\0"),
    "set option, longer": (27, b"\0\0xx"),
    "fetch, short": (28, b"\1"),
    "fetch, unknown": (28, struct.pack("<II", 5, 1)),
    "daemon": (29, b""),
    "dump by gtid, empty": (30, b""),
    "dump by gtid": (30, GTID_DUMP),
    "reset connection": (31, b""),
    "clone": (32, b""),
    "subscribe": (33, b""),
    "34": (34, b""),
    "0xF9": (0xF9, b""),
    "0xFB": (0xFB, b""),
    "multi": (0xFE, b"\x02\0\0\x0e"),
    "0xFF": (0xFF, b""),
}


@pytest.fixture(scope="module", params=[MariaDB, MySQL], ids=["mariadb", "mysql"])
def alone(request):
    """A server of its own with a Volvox before it, and accounts that may nothing and everything."""
    if request.param is MySQL and MySQL.objection():
        pytest.skip(MySQL.objection())
    with Cluster(0, request.param) as cluster:
        for (name, password), privileges in ((NOBODY, "select on shop.*"), (BOSS, "all on *.*")):
            cluster.primary.query(f"create user '{name}'@'%' identified by '{password}'")
            cluster.primary.query(f"grant {privileges} to '{name}'@'%'")
        cluster.primary.query("create table shop.items (id int primary key, price int)")
        settings = settings_for(cluster, users=USERS.values())
        with Volvox(settings) as volvox:
            yield cluster.primary, volvox


def answer_of(port, who, code, payload, closes=None):
    """The frames that answer, and what becomes of the connection then.  `closes`: it is known."""
    with Client(port, *who, db="shop") as c:
        c.command(code, payload)
        frames = [] if code in SILENT and len(payload) > 1 else frames_of(c)
        # (What a server alone does is waited for where it may close; of Volvox it is known then.)
        if closes or closes is None and code in STREAMS:
            if c.is_closed(5 if closes else 0.5):
                return frames, "closed"
            c.sock.settimeout(10)
        assert c.ping().columns is None
        return frames, "alive"


def frames_of(c):
    """Up to what ends an answer; a dump that was begun ends as well, by an error or a close."""
    frames = []
    with contextlib.suppress(Closed, ConnectionError):
        while not frames or frames[-1][1][:1] not in (b"\xff", b"\xfe") and not frames[-1][1] == OK:
            seq, data = c.recv_frame()
            frames.append((seq, data[:60]))
    return frames


SILENT = (24, 25)
STREAMS = (18, 30, 32, 33)
OK = b"\0\0\0\2\0\0\0"


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("name", CASES)
def test_the_answer_is_the_servers(alone, name, user):
    server, volvox = alone
    if server.family == "mariadb" and CASES[name][0] in SILENT:
        pytest.skip("no answer to wait for")
    expected = answer_of(server.port, USERS[user], *CASES[name])
    ours = answer_of(volvox.port, USERS[user], *CASES[name], closes=expected[1] == "closed")
    assert ours == expected


@pytest.mark.slow
@pytest.mark.parametrize("family", [MariaDB, MySQL])
def test_a_shutdown_is_the_servers_to_allow(start_cluster, start_volvox, family):
    """Who may not is told so, who may stops the primary: as with the statement SHUTDOWN."""
    if family is MySQL and MySQL.objection():
        pytest.skip(MySQL.objection())
    cluster = start_cluster(0, family)
    cluster.primary.query(f"create user '{BOSS[0]}'@'%' identified by '{BOSS[1]}'")
    cluster.primary.query(f"grant all on *.* to '{BOSS[0]}'@'%'")
    volvox = start_volvox(settings_for(cluster, users=USERS.values()))
    refused = answer_of(cluster.primary.port, APP, 8, b"\0")
    assert answer_of(volvox.port, APP, 8, b"\0") == refused
    with Client(volvox.port, *BOSS) as c:
        c.command(8, b"\0")
        answer = c.recv()
    if family is MySQL:                       # 9.x has only the statement
        assert answer[1:3] == struct.pack("<H", 1047)
    else:
        assert answer[0] == 0xFE
        wait_until(lambda: not cluster.primary.is_running(), 30, "the server has stopped")
