#!/usr/bin/env python3
"""Make the corpus of fuzz_session: real conversations with servers of each kind.

usage: record.py [KIND...]      mariadb, mysql, mariadb-11.8; default: all that are there

Starts the servers, talks to each directly, and writes down both sides as fuzz_session.c reads them;
corpora of other fuzzers get what is theirs: greetings, logins, session state, prepared statements.
"""
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))

from servers import Cluster, MariaDB, MariaDB118, MySQL                             # noqa: E402
from wire import LOCAL_FILES, MODERN, Client, frames                                # noqa: E402

KINDS = {"mariadb": MariaDB, "mysql": MySQL, "mariadb-11.8": MariaDB118}
OLD_CLIENT, OF_MYSQL = 1, 2              # fuzz_session.c: enum choice
SENDS, SENDS_RAW, ANSWER_RAW, LEAVES = 0, 1, 3, 4

TRACKERS = ("set session_track_system_variables = '*', session_track_state_change = on, "
            "session_track_schema = on, session_track_transaction_info = 'CHARACTERISTICS'")

SETUP = ["create database if not exists fuzzed", "use fuzzed",
         "create table t (a int primary key auto_increment, b varchar(20))",
         "insert into t values (1, 'one'), (2, null), (3, '')",
         "create procedure two() begin select a from t; select b from t; end",
         "create procedure inout_(inout x int) begin select a from t; set x = x + 1; end"]

# Text commands, each a conversation; a list is sent in turn.
TALKS = {
    "select": ["select 1", "select a, b from t order by a", "select a from t where a > 9"],
    "error": ["select nosuch from t", "show warnings", "select 1"],
    "write": ["insert into t (b) values ('x')", "select last_insert_id()", "update t set b = 'y' where a = 1"],
    "transaction": ["begin", "select * from t", "insert into t (b) values ('z')", "rollback"],
    "read-only": ["start transaction read only", "select a from t", "commit"],
    "autocommit": ["set autocommit = 0", "select a from t", "rollback", "set autocommit = 1"],
    "state": ["set time_zone = '+03:00'", "set names latin1", "set sql_mode = 'ANSI_QUOTES'", "select 1",
              "use fuzzed", "select a from t", "insert into t (b) values ('s')"],
    "pins": ["set @a = 5", "create temporary table tt (a int)", "select get_lock('l', 0)",
             "prepare s from 'select 1'", "execute s", "deallocate prepare s"],
    "multi": ["select 1; do 1; select 2, 3", "select 1; select nosuch; select 2"],
    "call": ["call two()", "call inout_(@x)"],
    "warnings": ["select 1 / 0, cast('x' as signed)", "show warnings", "show count(*) warnings"],
    "one-shot": ["set transaction isolation level serializable", "begin", "select a from t", "commit"],
    "lock": ["lock tables t read", "select a from t", "unlock tables"],
    "xa": ["xa start 'x'", "insert into t (b) values ('xa')", "xa end 'x'", "xa rollback 'x'"],
}


class Tape:
    """A conversation as fuzz_session reads it."""

    def __init__(self, choices):
        self.data = bytes([choices])

    def piece(self, kind, data):
        self.data += bytes([kind]) + struct.pack("<H", len(data)) + data

    def exchange(self, client, payload):
        """The server's answer, and the command that it belongs to."""
        client.seq = 0
        client.send(payload)
        answer = client.everything()
        if answer is not None:
            self.piece(ANSWER_RAW, answer)
        self.piece(SENDS, payload)
        return answer


class Talker(Client):
    def everything(self):
        """All bytes of an answer: until the server has said nothing more for a moment."""
        self.sock.settimeout(0.15)
        data = b""
        try:
            while True:
                piece = self.sock.recv(1 << 16)
                if not piece:
                    break
                data += piece
        except TimeoutError:
            pass
        self.sock.settimeout(10)
        return data


def keep(corpus, name, data):
    place = HERE / "corpus" / corpus
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(data)


def prepared_talk(tape, client):
    answer = tape.exchange(client, b"\x16select ?, a from t where a < ? order by a")
    number = answer[5:9]

    def execute(statement, cursor=0):
        return (b"\x17" + statement + bytes([cursor]) + struct.pack("<I", 1) + b"\0\1\x08\0\xfd\0"
                + struct.pack("<q", 7) + b"\x014")

    ours = struct.pack("<I", 1)          # the first statement of a session has this number in Volvox
    for cursor in (0, 1):
        client.seq = 0
        client.send(execute(number, cursor))
        tape.piece(ANSWER_RAW, client.everything())
        tape.piece(SENDS, execute(ours, cursor))
    for command in (b"\x1c%b\2\0\0\0", b"\x1a%b", b"\x18%b\1\0long", b"\x19%b"):
        client.seq = 0
        client.send(command % number)
        answer = client.everything()
        if answer:
            tape.piece(ANSWER_RAW, answer)
        tape.piece(SENDS, command % ours)
    return execute(number)


def upload_talk(tape, client):
    tape.exchange(client, b"\3load data local infile 'f' into table t (b)")
    upload, _ = frames(2, b"from a file\n")
    upload += frames(3, b"")[0]
    client.send_raw(upload)
    tape.piece(ANSWER_RAW, client.everything())
    tape.piece(SENDS_RAW, upload)


def other_commands(tape, client):
    for payload in (b"\x09", b"\x02fuzzed", b"\x04t\0%"):
        tape.exchange(client, payload)
    # Volvox answers these by itself.
    for payload in (b"\x0e", b"\x1b\0\0", b"\3kill query 1", b"\3KILL CONNECTION 2", b"\x0c\1\0\0\0",
                    b"\x1f", b"\x77", b"\x11v\0\0fuzzed\0\x2d\0mysql_native_password\0"):
        tape.piece(SENDS, payload)
    tape.piece(SENDS_RAW, frames(3, b"")[0])         # the answer to the switch of plugins


def record(kind, port):
    of_mysql = OF_MYSQL if kind == "mysql" else 0
    for tag, choices in (("", 0), ("-old", OLD_CLIENT)):
        talks = TALKS if tag == "" else {k: TALKS[k] for k in ("select", "multi", "call", "error")}
        # What servers send to Volvox is always the richest dialect.
        with Talker(port, "fuzzer", "secret", db="fuzzed", caps=MODERN | LOCAL_FILES) as c:
            c.query(TRACKERS)
            for name, texts in talks.items():
                tape = Tape(choices | of_mysql)
                for text in texts:
                    tape.exchange(c, b"\3" + text.encode())
                keep("session", f"{kind}-{name}{tag}", tape.data)
            tape = Tape(choices | of_mysql)
            execute = prepared_talk(tape, c)
            keep("session", f"{kind}-prepared{tag}", tape.data)
            if tag:
                continue
            keep("execute", f"{kind}-real", b"\2\0\0\0" + execute)
            for name, talk in (("upload", upload_talk), ("commands", other_commands)):
                tape = Tape(choices | of_mysql)
                talk(tape, c)
                if name == "commands":
                    tape.piece(LEAVES, b"")
                keep("session", f"{kind}-{name}", tape.data)
    with Talker(port, "fuzzer", "secret", db="fuzzed") as c:
        keep("greeting", f"{kind}-greeting", c.greeting.raw)
        keep("login", f"{kind}-login", b"\xff\xff\xff\xff" + c.login_payload())
        c.query(TRACKERS)
        for i, text in enumerate(("set names utf8mb4, time_zone = '+01:00', sql_mode = ''", "begin", "commit",
                                  "set session transaction isolation level serializable", "set @a = 1")):
            c.seq = 0
            c.send(b"\3" + text.encode())
            keep("reply", f"{kind}-track-{i}", b"\1\0\0\0" + c.everything()[4:])


def main():
    for kind in sys.argv[1:] or KINDS:
        if KINDS[kind].objection():
            print(f"{kind}: {KINDS[kind].objection()}")
            continue
        with Cluster(0, KINDS[kind]) as cluster:
            server = cluster.primary
            for sql in SETUP:
                server.query(sql, db=None if sql.startswith(("create database", "use")) else "fuzzed")
            server.query("create user fuzzer@'%' identified by 'secret'")
            server.query("grant all on *.* to fuzzer@'%'")
            record(kind, server.port)
            print(f"{kind}: recorded")


main()
