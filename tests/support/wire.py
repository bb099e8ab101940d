"""The MySQL protocol as bytes: a client that can also misbehave.  (fake.py has a server.)

Drivers hide what a proxy must get right, so tests that look at packets speak for themselves:

    with Client(port, "app", "app-secret", db="shop") as c:
        c.query("select 1").rows            [[b"1"]]
        c.send_frame(seq=7, payload=b"...")  a wrong number, on purpose
"""
import dataclasses
import hashlib
import socket
import ssl
import struct

import proofs
from compressed import Compressed

LONG_PASSWORD, FOUND_ROWS, LONG_FLAG, CONNECT_WITH_DB = 1, 2, 4, 8
NO_SCHEMA, COMPRESS, ODBC, LOCAL_FILES = 0x10, 0x20, 0x40, 0x80
IGNORE_SPACE, PROTOCOL_41, INTERACTIVE, SSL = 0x100, 0x200, 0x400, 0x800
TRANSACTIONS, SECURE_CONNECTION = 0x2000, 0x8000
MULTI_STATEMENTS, MULTI_RESULTS, PS_MULTI_RESULTS, PLUGIN_AUTH = 1 << 16, 1 << 17, 1 << 18, 1 << 19
CONNECT_ATTRS, PLUGIN_AUTH_LENENC, SESSION_TRACK, DEPRECATE_EOF = 1 << 20, 1 << 21, 1 << 23, 1 << 24
ZSTD = 1 << 26
EXPIRED_PASSWORDS, OPTIONAL_METADATA, QUERY_ATTRIBUTES = 1 << 22, 1 << 25, 1 << 27
# MariaDB's: on the wire they have a place of their own, which counts if LONG_PASSWORD is not set.
PROGRESS, BULK, EXTENDED_METADATA, CACHE_METADATA = 1 << 32, 1 << 34, 1 << 35, 1 << 36
UNIT_RESULTS = 1 << 37
# What is spoken only if the server offered it.
DIALECTS = OPTIONAL_METADATA | QUERY_ATTRIBUTES | 0xFFFFFFFF << 32

BASE = (LONG_PASSWORD | LONG_FLAG | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | PLUGIN_AUTH
        | MULTI_RESULTS | PS_MULTI_RESULTS)
MODERN = BASE | DEPRECATE_EOF | SESSION_TRACK | MULTI_STATEMENTS

STATUS_IN_TRANS, STATUS_AUTOCOMMIT, STATUS_MORE = 1, 2, 8
STATUS_CURSOR, STATUS_LAST_ROW, STATUS_STATE_CHANGED = 0x40, 0x80, 0x4000

COM_QUIT, COM_INIT_DB, COM_QUERY, COM_FIELD_LIST, COM_STATISTICS = 1, 2, 3, 4, 9
COM_PROCESS_KILL, COM_PING, COM_CHANGE_USER = 12, 14, 17
COM_STMT_PREPARE, COM_STMT_EXECUTE, COM_STMT_LONG_DATA = 22, 23, 24
COM_STMT_CLOSE, COM_STMT_RESET, COM_SET_OPTION, COM_STMT_FETCH, COM_RESET = 25, 26, 27, 28, 31
COM_STMT_BULK_EXECUTE = 250
LAST_PREPARED = 0xFFFFFFFF      # MariaDB: the id of whatever was prepared last
BULK_TYPES, BULK_UNIT_RESULTS = 128, 64
PARAMETER_COUNT = 8             # a flag of COM_STMT_EXECUTE

NATIVE, SHA2, SHA256 = "mysql_native_password", "caching_sha2_password", "sha256_password"
CLEAR, ED25519, PARSEC = "mysql_clear_password", "client_ed25519", "parsec"
FULL = 0xFFFFFF


class Closed(ConnectionError):
    """The other side closed the connection."""


class ServerError(Exception):
    def __init__(self, code, state, message):
        super().__init__(code, state, message)
        self.code, self.state, self.message = code, state, message


# ---- values ------------------------------------------------------------------------------------

def lenenc(n):
    if n < 251:
        return bytes([n])
    if n < 1 << 16:
        return b"\xfc" + struct.pack("<H", n)
    if n < 1 << 24:
        return b"\xfd" + struct.pack("<I", n)[:3]
    return b"\xfe" + struct.pack("<Q", n)


def lenstr(data):
    return lenenc(len(data)) + data


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def take(self, n):
        if n > self.left():
            raise ValueError(f"packet too short: {self.data!r}")
        self.at += n
        return self.data[self.at - n:self.at]

    def rest(self):
        return self.take(self.left())

    def uint(self, n):
        return int.from_bytes(self.take(n), "little")

    def until_nul(self):
        end = self.data.index(b"\0", self.at)
        value = self.data[self.at:end]
        self.at = end + 1
        return value

    def lenenc(self):
        first = self.uint(1)
        return first if first < 251 else self.uint({0xFC: 2, 0xFD: 3, 0xFE: 8}[first])

    def lenstr(self):
        return self.take(self.lenenc())


# ---- results -----------------------------------------------------------------------------------

@dataclasses.dataclass
class Result:
    """An OK (columns is None) or a result set, with what its last packet said."""
    columns: list = None
    rows: list = None
    affected: int = 0
    insert_id: int = 0
    status: int = 0
    warnings: int = 0
    info: bytes = b""
    track: list = dataclasses.field(default_factory=list)   # (type, data)
    more: list = dataclasses.field(default_factory=list)    # further results
    has_definitions: bool = True

    def value(self):
        return self.rows[0][0]

    @property
    def in_transaction(self):
        return bool(self.status & STATUS_IN_TRANS)


@dataclasses.dataclass
class Column:
    schema: bytes
    table: bytes
    name: bytes
    charset: int
    type: int
    flags: int
    raw: bytes
    extended: bytes = b""       # MariaDB: what the data type is called, or its format


@dataclasses.dataclass
class Statement:
    id: int
    params: list
    columns: list
    warnings: int


def read_error(payload):
    r = Reader(payload[1:])
    code = r.uint(2)
    state = b""
    if r.data[2:3] == b"#":
        r.take(1)
        state = r.take(5)
    return ServerError(code, state.decode(), r.rest().decode("utf8", "replace"))


def read_ok(payload, caps):
    r = Reader(payload[1:])
    ok = Result(affected=r.lenenc(), insert_id=r.lenenc(), status=r.uint(2), warnings=r.uint(2))
    if caps & SESSION_TRACK and r.left():
        ok.info = r.lenstr()
        if ok.status & STATUS_STATE_CHANGED:
            entries = Reader(r.lenstr())
            while entries.left():
                ok.track.append((entries.uint(1), entries.lenstr()))
    else:
        ok.info = r.rest()
    return ok


def read_column(payload, caps=0):
    r = Reader(payload)
    r.lenstr()
    schema, table = r.lenstr(), r.lenstr()
    r.lenstr()
    name = r.lenstr()
    r.lenstr()
    extended = r.lenstr() if caps & EXTENDED_METADATA else b""
    r.lenenc()
    charset = r.uint(2)
    r.take(4)
    return Column(schema, table, name, charset, r.uint(1), r.uint(2), payload, extended)


def read_text_row(payload, columns):
    r = Reader(payload)
    row = []
    for _ in columns:
        if r.data[r.at] == 0xFB:
            r.take(1)
            row.append(None)
        else:
            row.append(r.lenstr())
    return row


_FIXED = {1: "b", 2: "h", 13: "h", 3: "i", 9: "i", 8: "q", 4: "f", 5: "d"}


def read_binary_row(payload, columns):
    r = Reader(payload)
    r.take(1)
    nulls = r.take((len(columns) + 9) // 8)
    row = []
    for i, column in enumerate(columns):
        if nulls[(i + 2) // 8] >> ((i + 2) % 8) & 1:
            row.append(None)
        elif column.type in _FIXED:
            code = _FIXED[column.type]
            if column.flags & 32:
                code = code.upper() if code in "bhiq" else code
            row.append(struct.unpack("<" + code, r.take(struct.calcsize(code)))[0])
        elif column.type in (7, 10, 11, 12):
            row.append(r.take(r.uint(1)))
        else:
            row.append(r.lenstr())
    return row


def parameter(value):
    """Its type as in COM_STMT_EXECUTE, and its value."""
    if value is None:
        return b"\x06\0", b""
    if value is LONG_DATA:
        return b"\xfc\0", b""
    if isinstance(value, int):
        return b"\x08\0", struct.pack("<q", value)
    return b"\xfd\0", lenstr(value.encode() if isinstance(value, str) else value)


def bitmap(flags):
    bits = bytearray((len(flags) + 7) // 8)
    for i, flag in enumerate(flags):
        bits[i // 8] |= flag << i % 8
    return bytes(bits)


def query_attributes(attributes):
    """What stands before the text of a COM_QUERY under QUERY_ATTRIBUTES."""
    head = lenenc(len(attributes)) + b"\1"
    if not attributes:
        return head
    pairs = [parameter(v) for v in attributes.values()]
    return (head + bitmap([v is None for v in attributes.values()]) + b"\1"
            + b"".join(kind + lenstr(name.encode()) for name, (kind, _) in zip(attributes, pairs))
            + b"".join(data for _, data in pairs))


# ---- proofs of a password ----------------------------------------------------------------------

def _xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def native_token(password, scramble):
    if not password:
        return b""
    once = hashlib.sha1(password).digest()
    return _xor(once, hashlib.sha1(scramble + hashlib.sha1(once).digest()).digest())


def sha2_token(password, scramble):
    if not password:
        return b""
    once = hashlib.sha256(password).digest()
    return _xor(once, hashlib.sha256(hashlib.sha256(once).digest() + scramble).digest())


def token_for(plugin, password, scramble, private=False):
    """A client's first answer; `private`: the password may go as it is."""
    if plugin == SHA256:
        return password + b"\0" if private or not password else b"\1"
    if plugin == CLEAR:
        return password + b"\0"
    if plugin == ED25519:
        return proofs.ed25519_sign(password, scramble)
    if plugin == PARSEC:
        return b""
    return (sha2_token if plugin == SHA2 else native_token)(password, scramble)


def rsa_encrypt(pem, password, scramble):
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding

    key = serialization.load_pem_public_key(pem)
    clear = password + b"\0"
    mixed = _xor(clear, (scramble * (len(clear) // len(scramble) + 1))[:len(clear)])
    return key.encrypt(mixed, padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None))


# ---- packets over a socket ---------------------------------------------------------------------

def frame(seq, payload):
    """One frame as bytes; the payload must be shorter than 16 MiB."""
    return struct.pack("<I", len(payload))[:3] + bytes([seq & 255]) + payload


def frames(seq, payload):
    """A packet as frames."""
    out, at = [], 0
    while True:
        piece = payload[at:at + FULL]
        out.append(frame(seq, piece))
        at += len(piece)
        seq += 1
        if len(piece) < FULL:
            return b"".join(out), seq & 255


class Packets:
    """Framing on a connected socket; `seq` is the number of the next frame, either way."""

    def __init__(self, sock):
        self.sock, self.seq, self.buffer = sock, 0, b""
        self.numbers_matter = True       # within compressed frames servers let them jump
        self.heard = None           # a list to which what recv() gives is added

    def send_raw(self, data):
        self.sock.sendall(data)

    def send_frame(self, seq, payload):
        self.send_raw(frame(seq, payload))

    def send(self, payload):
        data, self.seq = frames(self.seq, payload)
        self.send_raw(data)

    def _exactly(self, n):
        if n > len(self.buffer):
            pieces, have = [self.buffer], len(self.buffer)
            while have < n:
                piece = self.sock.recv(max(65536, min(n - have, 1 << 20)))
                if not piece:
                    raise Closed("closed by the other side")
                pieces.append(piece)
                have += len(piece)
            self.buffer = b"".join(pieces)
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def recv_frame(self):
        header = self._exactly(4)
        return header[3], self._exactly(int.from_bytes(header[:3], "little"))

    def recv(self):
        """A whole packet; its frames must be numbered in order."""
        pieces = []
        while True:
            seq, piece = self.recv_frame()
            if seq != self.seq and self.numbers_matter:
                raise ValueError(f"frame {seq} where {self.seq} was due: {piece[:80]!r}")
            self.seq = (seq + 1) & 255
            pieces.append(piece)
            if len(piece) < FULL:
                if self.heard is not None:
                    self.heard.append((seq, b"".join(pieces)))
                return b"".join(pieces)

    def is_closed(self, seconds=5):
        """Wait until the other side closes; whatever else it still sends is thrown away."""
        self.sock.settimeout(seconds)
        try:
            while self.sock.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- client ------------------------------------------------------------------------------------

@dataclasses.dataclass
class Greeting:
    version: bytes
    thread_id: int
    scramble: bytes
    caps: int
    charset: int
    status: int
    plugin: str
    raw: bytes


def read_greeting(payload):
    if payload[:1] == b"\xff":
        raise read_error(payload)
    r = Reader(payload)
    if r.uint(1) != 10:
        raise ValueError(f"not a greeting: {payload!r}")
    version, thread_id, salt = r.until_nul(), r.uint(4), r.take(8)
    r.take(1)
    caps, charset, status = r.uint(2), r.uint(1), r.uint(2)
    caps |= r.uint(2) << 16
    length = r.uint(1)
    r.take(6)
    caps |= r.uint(4) << 32 if not caps & LONG_PASSWORD else r.uint(4) & 0
    salt += r.take(max(13, length - 8))[:12]
    plugin = r.until_nul().decode() if caps & PLUGIN_AUTH else NATIVE
    return Greeting(version, thread_id, salt, caps, charset, status, plugin, payload)


def trusting(certificate=None, key=None, version=None):
    """A TLS context that believes every server; with a client's certificate, in one version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate, key)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class Client(Packets):
    """Logs in at once unless told not to (login=False: only the greeting was read; greet=False:
    not even that).  `prelude` is sent before anything else; `source` is the address to come from.
    `tls`: True or a context."""

    def __init__(self, port, user="app", password="app-secret", db=None, caps=MODERN, charset=45,
                 attributes=None, plugin=None, login=True, greet=True, host="127.0.0.1", timeout=10,
                 receive_buffer=None, prelude=b"", source=None, tls=None, path=None):
        sock = socket.socket(socket.AF_UNIX) if path else socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(timeout)
        if not path:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock)
        try:
            if source:
                sock.bind((source, 0))
            sock.connect(str(path) if path else (host, port))
            sock.sendall(prelude)
            self._begin(user, password, db, caps, charset, attributes, plugin, greet, login, tls)
        except BaseException:
            sock.close()
            raise

    def _begin(self, user, password, db, caps, charset, attributes, plugin, greet, login, tls):
        self.user, self.password = user.encode(), password.encode()
        self.db, self.caps, self.charset = db, caps, charset
        self.attributes, self.plugin = attributes, plugin
        self.used_rsa, self.switched_to = False, None
        if greet:
            self.read_greeting()
        if tls and greet:
            self.start_tls(None if tls is True else tls)
        if login and greet:
            self.login_ok = self.login()

    # ---- logging in

    def read_greeting(self):
        self.greeting = read_greeting(self.recv())

    def ssl_request(self, caps=None, charset=None):
        """The first part of a login, which asks for TLS."""
        caps = (self.caps if caps is None else caps) | SSL
        if caps >> 32:
            caps &= ~LONG_PASSWORD
        return struct.pack("<IIB19xI", caps & 0xFFFFFFFF, 1 << 30,
                           (self.charset if charset is None else charset) & 255, caps >> 32)

    def start_tls(self, context=None, behind=b"", **request):
        """Ask for TLS and shake hands; `behind` follows the request in clear."""
        data, self.seq = frames(self.seq, self.ssl_request(**request))
        self.send_raw(data + behind)
        self.sock = (context or trusting()).wrap_socket(self.sock)
        self.caps |= SSL

    @property
    def private(self):
        """May the password go as it is?"""
        return self.in_tls or self.sock.family == socket.AF_UNIX

    @property
    def in_tls(self):
        return isinstance(self.sock, ssl.SSLSocket)

    def login_payload(self, token=None, plugin=None):
        plugin = plugin or self.plugin or self.greeting.plugin
        if token is None:
            token = token_for(plugin, self.password, self.greeting.scramble, self.private)
        caps = self.caps
        if self.db is not None:
            caps |= CONNECT_WITH_DB
        if self.attributes is not None:
            caps |= CONNECT_ATTRS
        caps &= self.greeting.caps | ~DIALECTS
        if caps >> 32:
            caps &= ~LONG_PASSWORD
        self.caps = caps
        out = struct.pack("<IIB19xI", caps & 0xFFFFFFFF, 1 << 30, self.charset & 255, caps >> 32)
        out += self.user + b"\0" + bytes([len(token)]) + token
        if self.db is not None:
            out += self.db.encode() + b"\0"
        if caps & PLUGIN_AUTH:
            out += plugin.encode() + b"\0"
        out += self.attributes_payload()
        return out + bytes([self.zstd_level]) if caps & ZSTD else out

    def attributes_payload(self):
        if not self.caps & CONNECT_ATTRS:
            return b""
        return lenstr(b"".join(lenstr(k.encode()) + lenstr(v.encode())
                               for k, v in (self.attributes or {}).items()))

    zstd_level = 3

    def login(self):
        self.send(self.login_payload())
        ok = self.finish_login(self.greeting.scramble)
        self.compress()
        return ok

    def compress(self):
        """From here on in frames, if that was agreed.  Servers take zlib when both were asked for."""
        agreed = self.caps & self.greeting.caps
        if agreed & (COMPRESS | ZSTD):
            algorithm = "zlib" if agreed & COMPRESS else "zstd"
            self.sock = Compressed(self.sock, algorithm, self.zstd_level if algorithm == "zstd" else None,
                                   self.buffer)
            self.buffer = b""

    def finish_login(self, scramble):
        """Answer what the server asks until it says OK."""
        while True:
            self.scramble = scramble                # what the proof was made for
            packet = self.recv()
            head = packet[0]
            if head == 0x00:
                return read_ok(packet, self.caps)
            if head == 0xFF:
                raise read_error(packet)
            if head == 0xFE:
                r = Reader(packet[1:])
                plugin = r.until_nul().decode()
                scramble = r.rest()
                if plugin not in (ED25519, PARSEC):
                    scramble = scramble[:20]
                self.switched_to = plugin
                self.send(token_for(plugin, self.password, scramble, self.private))
            elif packet == b"\x01\x04" and self.private:
                self.send(self.password + b"\0")
            elif packet == b"\x01\x04":
                self.send(b"\x02")
            elif packet.startswith(b"\x01-----BEGIN PUBLIC KEY"):
                self.used_rsa = True
                self.send(rsa_encrypt(packet[1:], self.password, scramble))
            elif self.switched_to == PARSEC and packet[:2] == b"\x01P":
                self.send(proofs.parsec_answer(self.password, scramble, packet[1:], b"s" * 32)[1])
            elif packet != b"\x01\x03":
                raise ValueError(f"unexpected in login: {packet!r}")

    # ---- commands

    def command(self, code, payload=b""):
        """Send only."""
        self.seq = 0
        if isinstance(self.sock, Compressed):
            self.sock.restart()
        self.send(bytes([code]) + payload)

    def query(self, sql, **attributes):
        head = query_attributes(attributes) if self.caps & QUERY_ATTRIBUTES else b""
        self.command(COM_QUERY, head + (sql.encode() if isinstance(sql, str) else sql))
        return self.read_result()

    def simple(self, code, payload=b""):
        """A command that is answered by OK, EOF or ERR."""
        self.command(code, payload)
        return self.read_result()

    def ping(self):
        return self.simple(COM_PING)

    def statistics(self):
        self.command(COM_STATISTICS)
        return self.recv()

    def change_user(self, user, password, db="", charset=45):
        self.user, self.password = user.encode(), password.encode()
        token = token_for(self.greeting.plugin, self.password, self.greeting.scramble)
        payload = (self.user + b"\0" + bytes([len(token)]) + token + db.encode() + b"\0"
                   + struct.pack("<H", charset) + self.greeting.plugin.encode() + b"\0"
                   + self.attributes_payload())
        self.command(COM_CHANGE_USER, payload)
        return self.finish_login(self.greeting.scramble)

    def field_list(self, table):
        self.command(COM_FIELD_LIST, table.encode() + b"\0")
        columns = []
        while True:
            packet = self.recv()
            if packet[0] == 0xFF:
                raise read_error(packet)
            if packet[0] == 0xFE:
                return columns
            columns.append(read_column(packet, self.caps))

    def prepare(self, sql):
        self.command(COM_STMT_PREPARE, sql.encode() if isinstance(sql, str) else sql)
        return self.read_prepared()

    def read_prepared(self):
        packet = self.recv()
        if packet[0] == 0xFF:
            raise read_error(packet)
        r = Reader(packet[1:])
        number, n_columns, n_params = r.uint(4), r.uint(2), r.uint(2)
        r.take(1)
        warnings = r.uint(2)
        follow = r.uint(1) if self.caps & OPTIONAL_METADATA else 1
        params = self._definitions(n_params, follow)
        return Statement(number, params, self._definitions(n_columns, follow), warnings)

    def execute_payload(self, statement, values=(), cursor=0, types=True, **attributes):
        named = self.caps & QUERY_ATTRIBUTES
        flags = cursor | (PARAMETER_COUNT if named else 0)
        payload = struct.pack("<IBI", statement.id, flags, 1)
        names = [""] * len(values) + list(attributes)
        values = [*values, *attributes.values()]
        if named:
            payload += lenenc(len(values))
        if values:
            pairs = [parameter(v) for v in values]
            kinds = b"".join(kind + (lenstr(name.encode()) if named else b"")
                             for name, (kind, _) in zip(names, pairs))
            payload += bitmap([v is None for v in values]) + (b"\1" + kinds if types else b"\0")
            payload += b"".join(data for _, data in pairs)
        return payload

    def execute(self, statement, values=(), cursor=0, types=True, **attributes):
        """Values as strings, integers or None; types=False relies on those sent before."""
        self.command(COM_STMT_EXECUTE,
                     self.execute_payload(statement, values, cursor, types, **attributes))
        return self.read_result(True, statement)

    def bulk_payload(self, statement, rows, types=True, flags=0):
        """The types are those of the first row; None is NULL."""
        out = struct.pack("<IH", statement.id, flags | (BULK_TYPES if types else 0))
        if types:
            out += b"".join(parameter(v)[0] for v in rows[0])
        for row in rows:
            out += b"".join(b"\1" if v is None else b"\0" + parameter(v)[1] for v in row)
        return out

    def bulk(self, statement, rows, types=True, flags=0):
        self.command(COM_STMT_BULK_EXECUTE, self.bulk_payload(statement, rows, types, flags))
        return self.read_result(True, statement)

    def long_data(self, statement, param, data):
        self.command(COM_STMT_LONG_DATA, struct.pack("<IH", statement.id, param) + data)

    def fetch(self, statement, count):
        self.command(COM_STMT_FETCH, struct.pack("<II", statement.id, count))
        return self._rows(statement.columns, binary=True)

    def close_statement(self, statement):
        self.command(COM_STMT_CLOSE, struct.pack("<I", statement.id))

    def quit(self):
        """Say goodbye and leave, as drivers do."""
        self.command(COM_QUIT)
        self.close()

    # ---- answers

    def _definitions(self, count, follow=True):
        columns = [read_column(self.recv(), self.caps) if follow else None for _ in range(count)]
        if count and not self.caps & DEPRECATE_EOF:
            eof = self.recv()
            if eof[0] != 0xFE or len(eof) > 8:
                raise ValueError(f"no EOF after definitions: {eof!r}")
        return columns

    def _is_end(self, packet):
        return packet[0] == 0xFE and len(packet) < (FULL if self.caps & DEPRECATE_EOF else 9)

    def _end(self, packet):
        """The packet that ends a result set or stands for OK."""
        if self.caps & DEPRECATE_EOF and len(packet) > 5:
            return read_ok(packet, self.caps)
        r = Reader(packet[1:])
        return Result(warnings=r.uint(2), status=r.uint(2))

    def _rows(self, columns, binary):
        read_row = read_binary_row if binary else read_text_row
        if binary and None in columns:
            read_row = lambda packet, _: packet         # nobody knows what is in it
        rows = []
        while True:
            packet = self.recv()
            if packet[0] == 0xFF:
                raise read_error(packet)
            if self._is_end(packet):
                result = self._end(packet)
                result.columns, result.rows = columns, rows
                return result
            rows.append(read_row(packet, columns))

    def _column_count(self, packet):
        """How many, and whether their definitions follow."""
        r = Reader(packet)
        count, follow = r.lenenc(), 1
        if self.caps & (CACHE_METADATA | OPTIONAL_METADATA):
            follow = r.uint(1)
        if r.left() or follow > 1:
            raise ValueError(f"not a column count: {packet!r}")
        return count, bool(follow)

    def _first_packet(self):
        while True:
            packet = self.recv()
            if not (self.caps & PROGRESS and packet[:4] == b"\xff\xff\xff\1"):
                return packet
            self.progress.append(packet)

    def _one_result(self, binary, statement=None):
        packet = self._first_packet()
        if packet[0] == 0xFF:
            raise read_error(packet)
        if packet[0] == 0x00:
            return read_ok(packet, self.caps)
        if self._is_end(packet):
            return self._end(packet)
        if packet[0] == 0xFB:
            return self._send_file(packet[1:])
        count, follow = self._column_count(packet)
        if follow:
            columns = [read_column(self.recv(), self.caps) for _ in range(count)]
            if statement:
                statement.columns = columns
        else:
            columns = statement.columns if statement else []
            if self.caps & OPTIONAL_METADATA and len(columns) != count:
                columns = [None] * count
            if len(columns) != count:
                raise ValueError(f"{count} columns, of which {len(columns)} are known")
        if not self.caps & DEPRECATE_EOF:
            eof = self._end(self.recv())
            if eof.status & STATUS_CURSOR:
                eof.columns, eof.rows, eof.has_definitions = columns, [], follow
                return eof
        result = self._rows(columns, binary)
        result.has_definitions = follow
        return result

    local_file = None        # what to send for LOAD DATA LOCAL: name -> bytes
    progress = ()            # a list: the progress reports that came in between

    def _send_file(self, name):
        data = self.local_file(name) if self.local_file else b""
        if data:
            self.send(data)
        self.send(b"")
        return self._one_result(False)

    def read_result(self, binary=False, statement=None):
        """With a statement, definitions of its result that are left out are those that it had before."""
        first = last = self._one_result(binary, statement)
        while last.status & STATUS_MORE:
            last = self._one_result(binary)
            first.more.append(last)
        return first


LONG_DATA = object()      # a parameter that came by COM_STMT_SEND_LONG_DATA
