"""Scripted conversations: both ends of the wire, with the real program in between.

A script (tests/talk/*.talk; docs/contributing.md says what may stand in it) is a list of steps, one per
line, taken one after the other:

    client> query "begin"          the client sends
    server> query "begin"          this is what must reach the server
    server< ok in_trans            the server sends
    client< ok in_trans            this is what must reach the client
    expect pins transaction

'>' is towards the server, '<' towards the client.  Volvox's own affairs with a new connection (login, trackers)
are answered without being mentioned.
"""
import contextlib
import pathlib
import queue
import shlex
import socket
import struct

import pymysql

from fake import FakeServer, column_payload, error_payload, greeting_payload, ok_payload
from processes import free_port, wait_until
from wire import (BASE, COM_INIT_DB, COM_PING, COM_QUERY, COM_QUIT, COM_RESET, COM_SET_OPTION,
                  COM_STATISTICS, COM_STMT_CLOSE, COM_STMT_EXECUTE, COM_STMT_FETCH, COM_STMT_LONG_DATA,
                  COM_STMT_PREPARE, COM_STMT_RESET, CONNECT_ATTRS, CONNECT_WITH_DB, DEPRECATE_EOF, LOCAL_FILES, MODERN, MULTI_STATEMENTS,
                  PLUGIN_AUTH_LENENC, SESSION_TRACK, Client, Closed, Reader, frame, frames, lenenc, lenstr, read_error, read_text_row)

ADMIN = ("admin", "admin-secret")
SECONDS = 10

FLAGS = {"in_trans": 1, "autocommit": 2, "more": 8, "no_index": 0x20, "cursor": 0x40, "last_row": 0x80,
         "db_dropped": 0x100, "no_backslash": 0x200, "metadata_changed": 0x400, "out_params": 0x1000,
         "read_only": 0x2000, "state_changed": 0x4000}
SHAPES = {"plain": BASE, "deprecate_eof": BASE | DEPRECATE_EOF, "modern": MODERN,
          "single": MODERN & ~MULTI_STATEMENTS, "eof": MODERN & ~DEPRECATE_EOF, "untracked": MODERN & ~SESSION_TRACK}
COMMANDS = {"query": COM_QUERY, "prepare": COM_STMT_PREPARE, "init_db": COM_INIT_DB, "ping": COM_PING,
            "quit": COM_QUIT, "reset": COM_RESET, "statistics": COM_STATISTICS}
STATEMENT_COMMANDS = {"execute": COM_STMT_EXECUTE, "fetch": COM_STMT_FETCH, "close_stmt": COM_STMT_CLOSE,
                      "reset_stmt": COM_STMT_RESET, "long_data": COM_STMT_LONG_DATA}
GREETING = MODERN | LOCAL_FILES | CONNECT_WITH_DB | CONNECT_ATTRS | PLUGIN_AUTH_LENENC
QUESTION = b"SELECT @@session.session_track_"
OWN = (QUESTION, b"SET NAMES ", b"SET @@session.redirect_url=")
# What MariaDB reports by itself; how it reads texts is not said; max_allowed_packet.
ANSWER = "autocommit,character_set_client,character_set_connection,character_set_results,time_zone", "ON", "OFF", "OFF", None


class Wrong(AssertionError):
    """What happened is not what the script says."""


# ---- words -------------------------------------------------------------------------------------

class Words:
    """The words of a step: plain ones, and name=value."""

    def __init__(self, words):
        self.plain = [w for w in words if "=" not in w or w[:1] in "'\"" or " " in w.split("=")[0]]
        self.named = dict(w.split("=", 1) for w in words if w not in self.plain)

    def flags(self):
        """Status flags; autocommit is on unless no_autocommit is said."""
        words = set(self.plain) & (set(FLAGS) | {"no_autocommit"})
        self.plain = [w for w in self.plain if w not in words]
        status = 0 if "no_autocommit" in words else 2
        return status | sum(FLAGS[w] for w in words if w in FLAGS)

    def number(self, name):
        return int(self.named.pop(name, 0))

    def text(self, name):
        return self.named.pop(name, "").encode()

    def done(self):
        if self.plain or self.named:
            raise ValueError(f"not understood: {self.plain} {self.named}")


def tracks(words):
    """sysvar=name:value, schema=x, state=1, trx_state=T_______, trx_char=..., as entries in that order."""
    out = b""
    for name, kind in (("sysvar", 0), ("schema", 1), ("state", 2), ("gtid", 3), ("trx_state", 5),
                       ("trx_char", 4)):
        if name not in words.named:
            continue
        value = words.named.pop(name)
        if kind == 0:
            data = b"".join(bytes([0]) + lenstr(lenstr(n.encode()) + lenstr(v.encode()))
                            for n, v in (pair.split(":", 1) for pair in value.split(",")))
            out += data
            continue
        data = value.encode() if kind == 2 else lenstr(value.encode())
        out += bytes([kind]) + lenstr(b"\0" + data if kind == 3 else data)
    return out


def ok_of(words, caps, head=0):
    """The payload of an OK, or of the EOF at the end of rows for who wants one."""
    status, entries = words.flags(), tracks(words)
    affected, insert_id, warnings = (words.number(n) for n in ("affected", "id", "warnings"))
    info = words.text("info")
    words.done()
    if head == 0xFE and not caps & DEPRECATE_EOF:
        return b"\xfe" + struct.pack("<HH", warnings, status)
    if entries:
        status |= FLAGS["state_changed"]
    payload = bytes([head]) + lenenc(affected) + lenenc(insert_id) + struct.pack("<HH", status, warnings)
    if info or entries:
        payload += lenstr(info)
    return payload + lenstr(entries) if entries else payload


def values_of(text):
    """1,two,NULL"""
    return [None if v == "NULL" else v.encode() for v in text.split(",")] if text else []


def row_payload(values):
    return b"".join(b"\xfb" if v is None else lenstr(v) for v in values)


def command_of(word, rest):
    """Code and payload of a command as a client or Volvox sends it."""
    if word in COMMANDS:
        return COMMANDS[word], rest[0].encode() if rest else b""
    if word == "set_option":
        return COM_SET_OPTION, struct.pack("<H", int(rest[0]))
    if word == "command":
        return int(rest[0], 0), bytes.fromhex(rest[1]) if len(rest) > 1 else b""
    number = struct.pack("<I", int(rest[0]))
    if word == "execute":                      # parameters are strings, or NULL
        values = values_of(rest[1]) if len(rest) > 1 else []
        payload = number + b"\0" + struct.pack("<I", 1)
        if values:
            nulls = sum(1 << i for i, v in enumerate(values) if v is None)
            payload += nulls.to_bytes((len(values) + 7) // 8, "little") + b"\1" + b"\xfd\0" * len(values)
            payload += b"".join(lenstr(v) for v in values if v is not None)
        return COM_STMT_EXECUTE, payload
    if word == "fetch":
        return COM_STMT_FETCH, number + struct.pack("<I", int(rest[1]))
    if word == "long_data":
        return COM_STMT_LONG_DATA, number + struct.pack("<H", int(rest[1])) + rest[2].encode()
    return STATEMENT_COMMANDS[word], number


# ---- the server's end ------------------------------------------------------------------------------

class ServerEnd:
    """A fake server whose connections put what reaches them into one queue."""

    def __init__(self):
        self.arrived = queue.Queue()
        self.max_packet = 1 << 24
        self.places, self.current = [], None    # connections, in the order of their first command
        self.server = FakeServer(self._serve)

    def _serve(self, connection):
        connection.greet(greeting_payload(caps=GREETING))
        connection.accept_login()
        is_known = False                        # a visit of the monitor is nobody's business
        while True:
            try:
                number, packet = connection.recv_frame()
            except OSError:
                if is_known:
                    self.arrived.put((connection, 0, None))
                return
            if packet[:1] == bytes([COM_QUERY]) and packet[1:].startswith(QUESTION):
                self._tell_usual(connection)
            elif packet[:1] == bytes([COM_QUERY]) and packet[1:].startswith(OWN):
                connection.send_raw(frame(1, ok_payload()))
            else:
                is_known = True
                self.arrived.put((connection, number, packet))

    def _tell_usual(self, connection):
        values = [v and v.encode() for v in (*ANSWER, str(self.max_packet))]
        payloads = ([lenenc(len(values))] + [column_payload(b"?")] * len(values) + [row_payload(values)]
                    + [ok_of(Words([]), connection.caps, head=0xFE)])
        seq = 1
        for payload in payloads:
            data, seq = frames(seq, payload)
            connection.send_raw(data)

    def next(self):
        """What reaches any connection next; None for its end."""
        try:
            connection, number, packet = self.arrived.get(timeout=SECONDS)
        except queue.Empty:
            raise Wrong("nothing reaches the server") from None
        if connection not in self.places:
            self.places.append(connection)
        self.current, self.seq, self.file_seq = connection, 1, number + 1
        return packet

    def choose(self, number):
        if number is not None:
            if number > len(self.places):
                raise Wrong(f"there is no connection {number} yet")
            self.current = self.places[number - 1]

    def receive(self, number, words):
        packet = self.next()
        if number is not None and self.places.index(self.current) != number - 1:
            raise Wrong(f"it reaches connection {self.places.index(self.current) + 1}: {packet!r}")
        if words == ["closed"]:                # with or without a goodbye
            if packet == bytes([COM_QUIT]):
                packet = self.next()
            if packet is not None:
                raise Wrong(f"reaches the server: {packet!r}")
            return
        if words[0] in ("file", "raw"):
            expected = "".join(words[1:]).encode() if words[0] == "file" else bytes.fromhex("".join(words[1:]))
            if packet != expected:
                raise Wrong(f"reaches the server: {packet!r}")
            self.seq = self.file_seq
            return
        code, payload = command_of(words[0], words[1:])
        if packet != bytes([code]) + payload:
            raise Wrong(f"reaches the server: {packet!r}\ninstead of {bytes([code]) + payload!r}")

    def send(self, number, words):
        self.choose(number)
        word, rest = words[0], words[1:]
        connection = self.current
        if word == "close":
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
            return
        if word == "raw":
            connection.send_raw(bytes.fromhex("".join(rest)))
            return
        for payload in self._payloads(word, rest):
            data, self.seq = frames(0 if word == "unasked" else self.seq, payload)
            connection.send_raw(data)
        if word in ("ok", "err", "rows", "end", "prepared") and "more" not in rest:
            self.seq = 1                       # of the next answer, if commands came together

    def _payloads(self, word, rest):
        caps = self.current.caps
        if word == "ok":
            return [ok_of(Words(rest), caps)]
        if word in ("err", "unasked"):
            rest = rest[1:] if word == "unasked" else rest
            return [error_payload(int(rest[0]), rest[1], rest[2] if len(rest) > 2 else "HY000")]
        if word == "columns":
            return [lenenc(len(rest))] + [column_payload(n.encode()) for n in rest]
        if word == "row":
            return [row_payload(values_of(rest[0]))]
        if word == "end":
            return [ok_of(Words(rest), caps, head=0xFE)]
        if word == "rows":                     # rows a,b 1,2 3,4 [flags]
            names, values = rest[0].split(","), [v for v in rest[1:] if v not in FLAGS and "=" not in v]
            flags = [v for v in rest[1:] if v not in values]
            return ([lenenc(len(names))] + [column_payload(n.encode()) for n in names]
                    + [row_payload(values_of(v)) for v in values] + [ok_of(Words(flags), caps, head=0xFE)])
        if word == "infile":
            return [b"\xfb" + rest[0].encode()]
        if word == "prepared":
            words = Words(rest[1:])
            params, columns = words.number("params"), words.number("columns")
            return ([b"\0" + struct.pack("<IHHBH", int(rest[0]), columns, params, 0, words.number("warnings"))]
                    + [column_payload(b"?")] * (params + columns))
        raise ValueError(f"a server can't send {word}")


# ---- a client's end ----------------------------------------------------------------------------------

class ClientEnd:
    def __init__(self, port, words):
        named = Words(words)
        caps = SHAPES[named.named.pop("shape", "modern")]
        if "local_files" in named.plain:
            named.plain.remove("local_files")
            caps |= LOCAL_FILES
        db = named.named.pop("db", None)
        named.done()
        self.client = Client(port, db=db, caps=caps, login=False, timeout=SECONDS)
        self.ids = {}                          # the script's number of a statement -> Volvox's
        if db is None:
            self.client.login()
        else:                                  # the server is asked, so the script goes on meanwhile
            self.client.send(self.client.login_payload())
        self.goes_on = db is not None          # the next packet is numbered on

    def send(self, words):
        c, word, rest = self.client, words[0], list(words[1:])
        if word == "close":
            c.close()
        elif word == "file":
            c.send(rest[0].encode() if rest else b"")
        elif word == "raw":
            c.send_raw(bytes.fromhex("".join(rest)))
        else:
            if word in STATEMENT_COMMANDS:
                rest[0] = str(self.ids.get(int(rest[0]), int(rest[0])))
            c.command(*command_of(word, rest))

    def receive(self, words):
        c, word, rest = self.client, words[0], words[1:]
        if not self.goes_on:
            c.seq = 1
        self.goes_on = "more" in rest or word in ("columns", "row", "infile")
        if word == "closed":
            if not c.is_closed(SECONDS):
                raise Wrong("the client's connection stays open")
        elif word == "raw":
            self._same(c.recv_frame()[1].hex(), "".join(rest))
        elif word == "rows":
            self._rows(rest)
        elif word == "columns":
            self._columns(rest)
        elif word == "row":
            got = read_text_row(c.recv(), [None] * len(values_of(rest[0])))
            self._same(got, values_of(rest[0]))
        elif word == "prepared":
            self._prepared(rest)
        elif word in ("err", "unasked"):
            rest = rest[1:] if word == "unasked" else rest
            if word == "unasked":
                c.seq = 0
            error = read_error(c.recv())
            self._same((error.code, error.message), (int(rest[0]), rest[1]))
        elif word == "infile":
            self._same(c.recv(), b"\xfb" + rest[0].encode())
        else:
            packet = c.recv()
            self._same(packet, ok_of(Words(rest), c.caps, head=0xFE if word == "end" else 0))

    @staticmethod
    def _same(got, expected):
        if got != expected:
            raise Wrong(f"reaches the client: {got!r}\ninstead of {expected!r}")

    def _columns(self, names):
        c = self.client
        self._same(Reader(c.recv()).lenenc(), len(names))
        self._same([column.name for column in c._definitions(len(names))], [n.encode() for n in names])

    def _rows(self, rest):
        values = [v for v in rest[1:] if v not in FLAGS and "=" not in v]
        flags = [v for v in rest[1:] if v not in values]
        self._columns(rest[0].split(","))
        for v in values:
            self._same(read_text_row(self.client.recv(), [None] * len(values_of(v))), values_of(v))
        self._same(self.client.recv(), ok_of(Words(flags), self.client.caps, head=0xFE))

    def _prepared(self, rest):
        words = Words(rest[1:])
        packet = self.client.recv()
        if packet[0] != 0:
            raise Wrong(f"reaches the client: {packet!r}")
        r = Reader(packet[1:])
        number, columns, params = r.uint(4), r.uint(2), r.uint(2)
        self.ids[int(rest[0])] = number
        self._same((params, columns), (words.number("params"), words.number("columns")))
        for n in (params, columns):
            self.client._definitions(n)


# ---- the script -----------------------------------------------------------------------------------------

class Talk:
    def __init__(self, path, start_volvox):
        self.path, self.start_volvox = pathlib.Path(path), start_volvox
        self.server, self.clients, self.volvox = ServerEnd(), {}, None
        self.options = {}

    def run(self):
        try:
            for number, line in enumerate(self.path.read_text().splitlines(), 1):
                words = shlex.split(line, comments=True)
                if words:
                    self._step(number, line, words)
            self._nothing_is_left()
        finally:
            for end in self.clients.values():
                end.client.close()
            self.server.server.close()

    def _step(self, number, line, words):
        try:
            self._do(words[0], words[1:])
        except (Wrong, ValueError, KeyError, IndexError, OSError, Closed, TimeoutError) as e:
            log = self.volvox.log_tail(8) if self.volvox else ""
            raise AssertionError(f"{self.path.name}:{number}: {line.strip()}\n{e}\n\n{log}") from None

    def _do(self, who, words):
        if who == "volvox":
            self.options.update(w.split("=", 1) for w in words)
            return
        if who == "server" and words[0].startswith("max_allowed_packet="):
            self.server.max_packet = int(words[0].split("=")[1])
            return
        if self.volvox is None:
            self._start()
        name, way = who[:-1], who[-1]
        if who == "expect":
            self._expect(words)
        elif name.startswith("client"):
            self._client(name, way, words)
        elif name.startswith("server"):
            number = int(name[6:]) if name[6:] else None
            (self.server.receive if way == ">" else self.server.send)(number, words)
        else:
            raise ValueError(f"who is {who}?")

    def _start(self):
        self.admin_port = free_port()
        self.volvox = self.start_volvox({
            "volvox": {"workers": 1, **self.options},
            "admin": {"address": f"127.0.0.1:{self.admin_port}"},
            "admin_user admin": {"password": ADMIN[1], "access": "full"},
            "http": {"address": ""},
            "listener main": {"address": f"127.0.0.1:{free_port()}"},
            "group main": {},
            "server fake": {"address": f"127.0.0.1:{self.server.server.port}", "role": "primary"},
            "user app": {"password": "app-secret"},
        })

    def _client(self, name, way, words):
        if name not in self.clients or words[0] == "login":
            login = words[1:] if words[0] == "login" else []
            self.clients[name] = ClientEnd(self.volvox.port, login)
            if words[0] == "login":
                return
        end = self.clients[name]
        if way == ">":
            end.send(words)
        else:
            end.receive(words)

    def _admin(self, sql):
        with contextlib.closing(pymysql.connect(host="127.0.0.1", port=self.admin_port, user=ADMIN[0],
                                                password=ADMIN[1])) as c, c.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def _expect(self, words):
        """pins NAME... | pins none | connections N | idle N | counter NAME N"""
        what, rest = words[0], words[1:]
        if what == "pins":
            expected = "" if rest == ["none"] else " ".join(rest)
            sql = "select group_concat(pins) from clients where pins <> ''"
        elif what == "connections":
            expected, sql = int(rest[0]), "select count(*) from backends"
        elif what == "idle":
            expected, sql = int(rest[0]), "select count(*) from backends where place = 'idle'"
        elif what == "counter":
            expected, sql = int(rest[1]), f"select value from counters where name = 'volvox_{rest[0]}_total'"
        else:
            raise ValueError(f"what is {what}?")
        got = None

        def holds():
            nonlocal got
            got = (self._admin(sql)[0][0] or "") if what == "pins" else int(self._admin(sql)[0][0])
            return got == expected

        with contextlib.suppress(TimeoutError):
            wait_until(holds, SECONDS)
            return
        raise Wrong(f"{what}: {got!r}")

    def _nothing_is_left(self):
        with contextlib.suppress(queue.Empty):
            _, _, packet = self.server.arrived.get(timeout=0.1)
            if packet is not None and packet[:1] != bytes([COM_QUIT]):
                raise AssertionError(f"{self.path.name}: at the end there reaches the server: {packet!r}")
