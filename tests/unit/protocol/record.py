#!/usr/bin/env python3
"""Record what a real server answers, for response_test.c, greeting_test.c and auth_test.c.

usage: record.py FAMILY PORT USER PASSWORD > data/FAMILY.txt

USER needs all privileges on the database `recorded`, which is dropped and made again.
A line of the output is one response (or greeting, or login):

    name kind caps first_seq steps hex

`steps` is what must be found in it, written down here from the protocol's documentation:
c COLUMNS_END, o OK, r END_OF_ROWS, e ERR, i INFILE, p PREPARED, t text; a capital letter
ends the response.  What only passes is not listed.
"""
import hashlib
import socket
import struct
import sys

LONG_PASSWORD, FOUND_ROWS, LONG_FLAG, WITH_DB, LOCAL_FILES = 1, 2, 4, 8, 0x80
PROTOCOL_41, TRANSACTIONS, SECURE = 0x200, 0x2000, 0x8000
MULTI_STATEMENTS, MULTI_RESULTS, PS_MULTI = 0x10000, 0x20000, 0x40000
PLUGIN_AUTH, LENENC_AUTH, TRACK, NO_EOF = 0x80000, 0x200000, 0x800000, 0x1000000
OPTIONAL_METADATA = 0x2000000
BULK, EXTENDED_METADATA, CACHE_METADATA = 1 << 34, 1 << 35, 1 << 36
COMMON = (LONG_PASSWORD | LONG_FLAG | LOCAL_FILES | PROTOCOL_41 | TRANSACTIONS | SECURE |
          MULTI_STATEMENTS | MULTI_RESULTS | PS_MULTI | PLUGIN_AUTH | LENENC_AUTH)


def sha1(*parts):
    return hashlib.sha1(b"".join(parts)).digest()


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def token(plugin, scramble, password):
    if not password:
        return b""
    if plugin == b"mysql_native_password":
        once = sha1(password)
        return xor(once, sha1(scramble, sha1(once)))
    once = sha256(password)
    return xor(once, sha256(sha256(once), scramble))


class Connection:
    def __init__(self, port, caps):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(20)
        self.caps = caps

    def exactly(self, n):
        data = b""
        while len(data) < n:
            part = self.socket.recv(n - len(data))
            if not part:
                raise EOFError("server left")
            data += part
        return data

    def frame(self):
        header = self.exactly(4)
        payload = self.exactly(int.from_bytes(header[:3], "little"))
        return header + payload

    def send(self, payload, seq=0):
        self.socket.sendall(struct.pack("<I", len(payload))[:3] + bytes([seq]) + payload)

    def everything(self):
        """All that the server says until it has nothing more to say."""
        data = self.socket.recv(1 << 20)
        self.socket.settimeout(0.3)
        try:
            while True:
                part = self.socket.recv(1 << 20)
                if not part:
                    break
                data += part
        except socket.timeout:
            pass
        self.socket.settimeout(20)
        return data


class Recorder:
    def __init__(self, family, port, user, password):
        self.family, self.port, self.user, self.password = family, port, user, password

    def line(self, name, kind, seq, steps, data):
        print(name, kind, f"{self.caps:08x}", seq, steps or "-", data.hex())

    def login(self, caps, record):
        self.caps = caps
        c = self.c = Connection(self.port, caps)
        greeting = c.frame()
        if record:
            self.line("greeting", "GREETING", 0, "", greeting)
        at = greeting.index(b"\0", 5)
        scramble = greeting[at + 5:at + 13] + greeting[at + 32:at + 44]
        plugin = greeting[at + 45:].split(b"\0")[0]
        auth = token(plugin, scramble, self.password)
        bits = caps & ~LONG_PASSWORD if caps >> 32 else caps
        login = struct.pack("<IIB19xI", bits & 0xFFFFFFFF, 1 << 24, 45, caps >> 32)
        login += self.user + b"\0"
        c.send(login + bytes([len(auth)]) + auth + plugin + b"\0", 1)
        if record:
            self.line("login", "LOGIN", 1, "", login + bytes([len(auth)]) + auth + plugin + b"\0")
        while True:
            answer = c.frame()
            seq, first = answer[3], answer[4]
            if first == 0xFE:
                if record:
                    self.line("switch", "SWITCH", seq, "", answer)
                plugin, scramble = answer[5:].split(b"\0", 1)
                scramble = scramble[:20]
                auth = token(plugin, scramble, self.password)
                c.send(auth, seq + 1)
            elif first == 1 and answer[5] == 3:
                continue
            elif first == 0:
                break
            else:
                raise RuntimeError(answer)
        if record and auth:
            print("token", plugin.decode(), scramble.hex(), auth.hex(), self.password.decode())
        if record:
            self.line("login_ok", "OK", seq, "O", answer)

    def command(self, name, kind, steps, payload, seq=1):
        self.c.send(payload)
        data = self.c.everything()
        if name:
            self.line(name, kind, seq, steps, data)
        return data

    def query(self, name, steps, text):
        return self.command(name, "RESULT", steps, b"\3" + text.encode())

    def prepare(self, name, steps, text):
        answer = self.command(name, "PREPARE", steps, b"\x16" + text.encode())
        return answer[5:9]

    def execute(self, name, steps, statement, cursor=0, types=b"", values=b"", params=0):
        body = b"\x17" + statement + bytes([cursor]) + struct.pack("<I", 1)
        if params:
            body += bytes((params + 7) // 8) + b"\1" + types + values
        return self.command(name, "RESULT", steps, body)

    def bulk(self, name, steps, statement, flags=0x80, types=b"", values=b""):
        self.command(name, "RESULT", steps,
                     b"\xfa" + statement + struct.pack("<H", flags) + types + values)

    def setup(self):
        self.login(COMMON, record=False)
        for text in ("drop database if exists recorded", "create database recorded",
                     "use recorded", "create table t (a int primary key, b varchar(20))",
                     "insert into t values (1,'one'),(2,null),(3,''),(4,'four')",
                     "create procedure two_sets() begin select a from t; select b from t; end",
                     "create procedure out_param(inout x int) begin select a from t; "
                     "set x = x + 1; end"):
            self.query(None, None, text)

    def record_all(self, caps, tag):
        rows = "cR"
        self.setup()
        self.login(caps, record=True)
        self.command(tag + "init_db", "OK", "O", b"\2recorded")
        self.command(tag + "ping", "OK", "O", b"\x0e")
        self.command(tag + "statistics", "STRING", "T", b"\x09")
        self.command(tag + "set_option", "OK", "O", b"\x1b\0\0")
        self.command(tag + "unknown_command", "OK", "E", b"\x77")
        self.command(tag + "debug", "OK", "O", b"\x0d")
        self.command(tag + "field_list", "FIELDS", "R", b"\x04t\0%")
        self.command(tag + "field_list_error", "FIELDS", "E", b"\x04nosuch\0%")
        self.query(tag + "select", rows, "select 1")
        self.query(tag + "select_rows", rows, "select a, b from t order by a")
        self.query(tag + "select_none", rows, "select a, b from t where a > 9")
        self.query(tag + "select_wide", rows,
                   "select " + ",".join(f"{i} as c{i}" for i in range(300)))
        self.query(tag + "error", "E", "select nosuch")
        self.query(tag + "do", "O", "do 1")
        self.query(tag + "insert", "O", "insert into t values (5,'five'),(6,'six')")
        self.query(tag + "update_info", "O", "update t set b = 'x' where a = 5")
        self.query(tag + "use", "O", "use recorded")
        self.query(tag + "set", "O", "set autocommit = 0")
        self.query(tag + "rows_in_transaction", rows, "select a from t")
        self.query(tag + "set_back", "O", "set autocommit = 1")
        self.query(tag + "multi", "cr" + "o" + rows, "select 1; do 1; select 2, 3")
        self.query(tag + "multi_error", "cr" + "E", "select 1; select nosuch; select 2")
        self.query(tag + "call", "cr" "cr" "O", "call two_sets()")
        # The third row fails when some are already on their way.
        self.query(tag + "error_in_rows", "cE",
                   "select a, if(a = 3, (select 1 union select 2), a) from t order by a")
        s = self.prepare(tag + "prepare_both", "pcC", "select ?, a from t where a < ? order by a")
        self.execute(tag + "execute", rows, s, types=b"\x08\0\x08\0",
                     values=struct.pack("<qq", 7, 4), params=2)
        self.command(tag + "stmt_reset", "OK", "O", b"\x1a" + s)
        self.execute(tag + "execute_cursor", "R", s, cursor=1, types=b"\x08\0\x08\0",
                     values=struct.pack("<qq", 7, 4), params=2)
        self.command(tag + "fetch", "ROWS", "R", b"\x1c" + s + struct.pack("<I", 2))
        self.command(tag + "fetch_last", "ROWS", "R", b"\x1c" + s + struct.pack("<I", 9))
        self.command(tag + "fetch_error", "ROWS", "E", b"\x1c\xff\0\xff\0" + struct.pack("<I", 9))
        s = self.prepare(tag + "prepare_columns", "pC", "select a from t order by a")
        self.execute(tag + "execute_columns", rows, s)
        s = self.prepare(tag + "prepare_params", "pC", "do ?")
        self.execute(tag + "execute_do", "O", s, types=b"\x08\0", values=struct.pack("<q", 7),
                     params=1)
        self.prepare(tag + "prepare_neither", "P", "do 1")
        self.prepare(tag + "prepare_error", "E", "select nosuch from t")
        s = self.prepare(None, None, "call out_param(?)")
        self.execute(tag + "execute_out_param", "cr" "cr" "O", s, types=b"\x08\0",
                     values=struct.pack("<q", 7), params=1)
        self.execute(tag + "execute_out_param_cursor", "cr" "cr" "O", s, cursor=1, types=b"\x08\0",
                     values=struct.pack("<q", 7), params=1)
        self.upload(tag)
        self.command(tag + "reset_connection", "OK", "O", b"\x1f")
        self.command(tag + "process_info", "RESULT", rows if self.family == "mariadb" else "E",
                     b"\x0a")
        if caps & TRACK:
            self.trackers()

    def kept(self, tag):
        """MariaDB leaves out the definitions that it has sent before."""
        self.query(tag + "kept_query", "cR", "select a, b from t order by a")
        s = self.prepare(tag + "kept_prepare", "pcC", "select ? as x, a from t where a < 3")
        one, text = struct.pack("<q", 7), b"\3abc"
        for name, kind, value in (("first", 8, one), ("again", 8, one), ("text", 0xFD, text)):
            self.execute(tag + "kept_" + name, "cR", s, types=bytes([kind, 0]), values=value, params=1)
        s = self.prepare(None, None, "select a from t")
        self.execute(tag + "kept_cursor", "R", s, cursor=1)
        self.execute(tag + "kept_cursor_again", "R", s, cursor=1)
        s = self.prepare(None, None, "call out_param(?)")
        self.execute(tag + "kept_call", "crcrO", s, types=b"\x08\0", values=one, params=1)
        s = self.prepare(None, None, "insert into t values (?, 'bulk') returning a")
        self.bulk(tag + "kept_bulk", "cR", s, types=b"\x08\0",
                  values=b"".join(b"\0" + struct.pack("<q", n) for n in (51, 52)))
        self.bulk(tag + "kept_bulk_again", "cR", s, flags=0, values=b"\0" + struct.pack("<q", 53))
        self.query(None, None, "create table typed (i inet6, u uuid, j json)")
        self.query(tag + "typed", "cR", "select * from typed")
        self.command(tag + "typed_fields", "FIELDS", "R", b"\x04typed\0%")

    def optional(self, tag):
        """MySQL leaves out definitions when told to."""
        for which in ("full", "none"):
            self.query(tag + "set_" + which, "O", "set resultset_metadata = " + which)
            self.query(tag + which + "_text", "cR", "select a, b from t order by a")
            self.query(tag + which + "_multi", "cr" "cR", "select 1; select 2")
            s = self.prepare(tag + which + "_prepare", "pcC", "select ?, a from t where a < ?")
            self.execute(tag + which + "_execute", "cR", s, types=b"\x08\0\x08\0",
                         values=struct.pack("<qq", 7, 4), params=2)
            self.execute(tag + which + "_cursor", "R", s, cursor=1, types=b"\x08\0\x08\0",
                         values=struct.pack("<qq", 7, 4), params=2)
            self.prepare(tag + which + "_prepare_params", "pC", "do ?")
            s = self.prepare(None, None, "call out_param(?)")
            self.execute(tag + which + "_call", "cr" "cr" "O", s, types=b"\x08\0",
                         values=struct.pack("<q", 7), params=1)

    def dialects(self):
        mariadb = self.family == "mariadb"
        more = BULK | EXTENDED_METADATA | CACHE_METADATA if mariadb else OPTIONAL_METADATA
        for caps, tag in ((COMMON | NO_EOF | more, "dialect_"), (COMMON | more, "olddialect_")):
            self.setup()
            self.login(caps, record=False)
            self.command(None, None, None, b"\2recorded")
            (self.kept if mariadb else self.optional)(tag)

    def trackers(self):
        gtids = ", session_track_gtids = OWN_GTID" if self.family == "mysql" else ""
        self.query("track_on", "O", "set session_track_system_variables = '*', "
                   "session_track_state_change = on, session_track_schema = on, "
                   "session_track_transaction_info = 'CHARACTERISTICS'" + gtids)
        self.query("track_names", "O", "set names latin1, @@sort_buffer_size = 65536")
        self.query("track_use", "O", "use recorded")
        self.query("track_begin", "O", "start transaction read only")
        self.query("track_rows", "cR", "select a from t")
        self.query("track_commit", "O", "commit")

    def upload(self, tag):
        data = self.query(None, None, "load data local infile 'f' into table t; do 1")
        self.c.send(b"21\ttwenty-one\n", 2)
        self.c.send(b"22\ttwenty-two\n", 3)
        self.c.send(b"", 4)
        self.line(tag + "infile", "RESULT", 1, "ioO", data + self.c.everything())
        data = self.query(None, None, "load data local infile 'f' into table t")
        self.c.send(b"", 2)
        self.line(tag + "infile_empty", "RESULT", 1, "iO", data + self.c.everything())


def main():
    family, port, user, password = sys.argv[1], int(sys.argv[2]), *map(str.encode, sys.argv[3:5])
    r = Recorder(family, port, user, password)
    r.record_all(COMMON | TRACK | NO_EOF, "new_")
    r.record_all(COMMON, "old_")
    r.record_all(COMMON | NO_EOF, "untracked_")
    r.dialects()


if __name__ == "__main__":
    main()
