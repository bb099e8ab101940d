"""A server made of scripts, for answers that a real one never gives."""
import contextlib
import socket
import struct
import threading

from wire import (COM_STMT_CLOSE, COM_STMT_LONG_DATA, CONNECT_ATTRS, CONNECT_WITH_DB, COM_QUIT, LONG_PASSWORD, MODERN, NATIVE,
                  PLUGIN_AUTH_LENENC, STATUS_AUTOCOMMIT, Packets, frame, frames, lenenc, lenstr)


def greeting_payload(version=b"5.5.5-10.11.6-MariaDB", thread_id=1, scramble=b"abcdefgh12345678ijkl",
                     caps=MODERN | CONNECT_WITH_DB | CONNECT_ATTRS | PLUGIN_AUTH_LENENC,
                     charset=45, plugin=NATIVE):
    extended = caps >> 32
    low = caps & 0xFFFFFFFE if extended else caps
    return (b"\x0a" + version + b"\0" + struct.pack("<I", thread_id) + scramble[:8] + b"\0"
            + struct.pack("<HBHHB6xI", low & 0xFFFF, charset, STATUS_AUTOCOMMIT, low >> 16, 21, extended)
            + scramble[8:] + b"\0" + plugin.encode() + b"\0")


def ok_payload(status=STATUS_AUTOCOMMIT, affected=0, insert_id=0, head=0):
    return (bytes([head]) + lenenc(affected) + lenenc(insert_id) + struct.pack("<HH", status, 0))


def error_payload(code, message, state="HY000"):
    return b"\xff" + struct.pack("<H", code) + b"#" + state.encode() + message.encode()


def column_payload(name, type=253):
    return (lenstr(b"def") + lenstr(b"") * 3 + lenstr(name) + lenstr(b"") + b"\x0c"
            + struct.pack("<HIBHBH", 45, 255, type, 0, 0, 0))


def result_set(rows, names=(b"a",), deprecate_eof=True, status=STATUS_AUTOCOMMIT, seq=1):
    """The bytes of a text result set."""
    payloads = [lenenc(len(names))] + [column_payload(n) for n in names]
    if not deprecate_eof:
        payloads.append(b"\xfe" + struct.pack("<HH", 0, status))
    for row in rows:
        payloads.append(b"".join(b"\xfb" if v is None else lenstr(v) for v in row))
    payloads.append(ok_payload(status, head=0xFE) if deprecate_eof
                    else b"\xfe" + struct.pack("<HH", 0, status))
    out = b""
    for payload in payloads:
        data, seq = frames(seq, payload)
        out += data
    return out


class Cut(Exception):
    """The connection has said all it may."""


class FakeConnection(Packets):
    """One accepted connection.  `budget` bytes may be sent, then `at_end` happens: "close",
    "reset" or "stall" (say nothing, keep the socket)."""

    def __init__(self, sock, server):
        super().__init__(sock)
        self.server, self.budget, self.at_end = server, None, "close"
        self.caps = 0

    def send_raw(self, data):
        if self.budget is None:
            return super().send_raw(data)
        piece = data[:self.budget]
        self.budget -= len(piece)
        super().send_raw(piece)
        if len(piece) < len(data) or self.budget == 0:
            raise Cut()

    def greet(self, payload=None):
        self.send(payload or self.server.greeting)

    def accept_login(self):
        """Any password will do."""
        login = self.recv()
        self.caps = int.from_bytes(login[:4], "little")
        if not self.caps & LONG_PASSWORD:
            self.caps |= int.from_bytes(login[28:32], "little") << 32
        self.send(ok_payload())
        return login

    def serve(self, answer=None):
        """Commands until the client leaves; answer(connection, code, payload) gives the bytes of
        an answer or None for the usual OK.  What Volvox asks of a new connection is answered by
        that OK in any case: no rows, so the family's defaults hold."""
        while True:
            self.seq = 0
            packet = self.recv()
            code, payload = packet[0], packet[1:]
            if code == COM_QUIT:
                return
            is_question = payload.startswith(b"SELECT @@session.session_track_")
            data = answer(self, code, payload) if answer and not is_question else None
            if data is None and code not in (COM_STMT_CLOSE, COM_STMT_LONG_DATA):  # these have no answer
                data = frame(1, ok_payload())
            if data is not None:
                self.send_raw(data)


class FakeServer:
    """Listens on a port of its own; every connection runs script(FakeConnection) in a thread.
    The script may be exchanged at any time: it holds for connections accepted later."""

    def __init__(self, script=None, port=0):
        self.script = script or self.friendly
        self.answer = None
        self.greeting = greeting_payload()
        self.accepted = 0
        self.connections = []
        self.listener = socket.create_server(("127.0.0.1", port), backlog=200)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def friendly(self, connection):
        connection.greet()
        connection.accept_login()
        connection.serve(lambda c, code, payload: self.answer(c, code, payload) if self.answer else None)

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = FakeConnection(sock, self)
            self.connections.append(connection)
            threading.Thread(target=self._run, args=(connection, self.script), daemon=True).start()

    def _run(self, connection, script):
        try:
            script(connection)
        except Cut:
            if connection.at_end == "stall":
                return
            if connection.at_end == "reset":
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (OSError, ValueError):
            pass
        connection.close()

    def close_connections(self):
        for connection in self.connections:
            # A close alone would say nothing while the connection's thread is waiting in it.
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.connections.clear()

    def close(self):
        self.listener.close()
        self.close_connections()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
