#!/usr/bin/env python3
"""Make the corpora of the protocol's fuzzers from what was recorded of real servers.

usage: seeds.py, in tests/fuzz; reads ../unit/protocol/data
"""
import os
import struct
import sys

sys.path.insert(0, "../support")
import proofs                                                               # noqa: E402
from compressed import frame, squeeze                                       # noqa: E402

seen = set()
KINDS = ["OK", "RESULT", "PREPARE", "FIELDS", "ROWS", "STRING", "STREAM"]
NO_EOF, TRACK, OPTIONAL, CACHE = 0x1000000, 0x800000, 0x2000000, 1 << 36


def put(what, name, data):
    if (what, data) in seen:
        return
    seen.add((what, data))
    os.makedirs(f"corpus/{what}", exist_ok=True)
    with open(f"corpus/{what}/{name}", "wb") as f:
        f.write(data)


def packets(data):
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at:at + 3], "little")
        yield data[at + 4:end]
        at = end


def recorded(name, kind, caps, data):
    if kind == "GREETING":
        put("greeting", name, data[4:])
    elif kind == "LOGIN":
        put("login", name, b"\xff\xff\xff\xff" + data)
    elif len(data) < 600:
        flags = ((1 if caps & NO_EOF else 0) | (2 if caps & TRACK else 0) | (4 if caps & CACHE else 0)
                 | (16 if caps & OPTIONAL else 0))
        put("response", name, bytes([KINDS.index(kind), flags, 7, 3]) + data)
        if flags & 20:
            put("response", name + "_told", bytes([KINDS.index(kind), flags | 32, 7, 3]) + data)
        if name.endswith("new_multi") or name.endswith("new_error"):
            put("packet", name, b"\1\0\0\0" + data)
        last = list(packets(data))[-1]
        if last[0] in (0x00, 0xFE, 0xFF) and len(last) > 7:
            put("reply", name, bytes([flags >> 1 & 1, 0, 0, 0]) + last)
        if name.endswith("new_select_rows"):
            put("rows", name + "_column", b"\2\0\0\0" + list(packets(data))[1])
            put("rows", name + "_row", b"\2\0\0\0" + list(packets(data))[3])


def compressed():
    """Choices: algorithm and round trip, bytes shown at a time, room, level."""
    text = b"\x6b\0\0\0\3select '" + b"abcdefgh" * 12 + b"'"
    for number, algorithm in enumerate(("zlib", "zstd")):
        small = squeeze(algorithm, text)
        for trip, step in ((0, 250), (6, 3)):
            choices = bytes([number | trip, step, 20, 1])
            put("compress", f"{algorithm}_frame_{trip}", choices + frame(0, small, len(text)))
            put("compress", f"{algorithm}_two_{trip}", choices + frame(0, small, len(text))
                + frame(1, small, len(text)))
        choices = bytes([number, 250, 255, 1])
        put("compress", f"{algorithm}_long", choices + frame(0, small, len(text) + 1))
        put("compress", f"{algorithm}_short", choices + frame(0, small, len(text) - 1))
        put("compress", f"{algorithm}_cut", choices + frame(0, small[:-3], len(text)))
        bomb = squeeze(algorithm, bytes(1 << 20))
        put("compress", f"{algorithm}_bomb", choices + frame(0, bomb, 1 << 20))
    put("compress", "stored", bytes([2, 9, 3, 0]) + frame(0, b"\1\0\0\0\x0e") + frame(0, b"") + frame(3, text))
    put("compress", "packets", bytes([6, 1, 3, 0]) + text + b"\1\0\0\0\x0e" + b"\0\0\0\1" + text)


def proxy_headers():
    signature = b"\r\n\r\n\0\r\nQUIT\n"
    ends = bytes([192, 0, 2, 7, 10, 0, 0, 1, 0xC8, 0x22, 0x0C, 0xEA])
    put("proxy_header", "tcp4", b"PROXY TCP4 192.0.2.7 10.0.0.1 51234 3306\r\n")
    put("proxy_header", "tcp6", b"PROXY TCP6 2001:db8::7 ::1 51234 3306\r\n")
    put("proxy_header", "unknown", b"PROXY UNKNOWN 10.9.9.9 10.9.9.8 1 2\r\n")
    put("proxy_header", "v2_tcp4", signature + b"\x21\x11\0\x0c" + ends)
    put("proxy_header", "v2_items", signature + b"\x21\x11\0\x12" + ends + b"\4\0\3xyz")
    put("proxy_header", "v2_tcp6", signature + b"\x21\x21\0\x24" + bytes(range(36)))
    put("proxy_header", "v2_unix", signature + b"\x21\x31\0\xd8" + bytes(216))
    put("proxy_header", "v2_local", signature + b"\x20\0\0\0")


def secrets():
    for name, stored in [("native", b"*14E65567ABDB5135D0CFD9A70B3032C179A49EE7"),
                         ("ed25519", b"ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"),
                         ("sha2", proofs.mysql_hash(b"secret", b"salt of twenty bytes", 1)),
                         ("sha256", proofs.sha256_hash(b"secret", b"salt of twenty bytes"))]:
        put("secret", name, stored)
        if name.startswith("sha"):
            put("secret", name + "_hex", proofs.as_hex(stored).encode())


SCRAMBLE, NONCE = b"01234567890123456789", b"0123456789abcdef0123456789abcdef"
SWITCHES = {"native": b"\xfemysql_native_password\0" + SCRAMBLE + b"\0",
            "sha2": b"\xfecaching_sha2_password\0" + SCRAMBLE + b"\0",
            "sha256": b"\xfesha256_password\0" + SCRAMBLE + b"\0",
            "clear": b"\xfemysql_clear_password\0",
            "ed25519": b"\xfeclient_ed25519\0" + NONCE,
            "parsec": b"\xfeparsec\0" + NONCE}
OK = b"\0\0\0\2\0\0\0"


def auth_clients():
    """Choices, then the server's packets with their lengths."""
    for name, switch in SWITCHES.items():
        for private in (0, 1):
            payloads = [switch, b"\1\4", b"\1P\0saltsaltsaltsaltsa"]
            put("auth_client", f"{name}_{private}", bytes([private, 4, 0, 0])
                + b"".join(bytes([len(p)]) + p for p in payloads))


def relayed_logins():
    """For fuzz_session: the client's own login, and what the server says to it (choices 8 and 16)."""
    def piece(kind, data):
        return bytes([kind]) + struct.pack("<H", len(data)) + data

    def packet(seq, payload):
        return struct.pack("<I", len(payload))[:3] + bytes([seq]) + payload

    caps = 1 | 0x200 | 0x2000 | 0x8000 | 0x80000 | 0x1000000 | 0x800000
    for name, switch in SWITCHES.items():
        for user, plugin in ((b"someone", b"mysql_native_password"), (b"someone", b"caching_sha2_password"),
                             (b"n", b"client_ed25519"), (b"e", b"x"), (b"a", b"sha256_password")):
            login = (struct.pack("<IIB", caps, 1 << 24, 45) + bytes(23) + user + b"\0\x14" + b"t" * 20
                     + plugin + b"\0")
            data = bytes([8 | 16]) + piece(2, switch) + piece(2, OK) + piece(1, packet(1, login))
            data += piece(1, packet(3, b"t" * 20)) + piece(1, packet(5, b"secret\0"))
            data += piece(0, b"\3select 1")
            put("session", f"login-{name}-{user.decode()}-{plugin[:6].decode()}", data)


def text(data):
    return bytes([len(data)]) + data


def entry(kind, data):
    return bytes([kind]) + text(data)


def reports():
    """OKs with entries, for sessions that ask for various things: see fuzz_tell.c."""
    def variable(name, value):
        return entry(0, text(name) + text(value))

    stories = {
        "names": [(0, variable(b"character_set_client", b"latin1") + variable(b"time_zone", b"UTC")
                   + entry(2, b"1"))],
        "schema": [(0, entry(1, text(b"shop")) + entry(2, b"1"))],
        "transaction": [(2, entry(5, text(b"T_______")) + entry(4, text(b"START TRANSACTION;"))),
                        (1, entry(5, text(b"T_R___S_"))), (0, entry(5, text(b"________")) + entry(4, b"\0"))],
        "snapshot": [(0, entry(5, text(b"T_R_____"))
                      + entry(4, text(b"START TRANSACTION WITH CONSISTENT SNAPSHOT;")))],
        "held": [(1, variable(b"time_zone", b"UTC")), (0, b""),
                 (0, variable(b"sql_mode", b"") + variable(b"statement_id", b"5"))],
        "redirect": [(0, variable(b"redirect_url", b"mysql://a:1"))],
        "gtid": [(0, entry(3, b"\0" + text(b"867d159e-e860-11f1-8a9b-02fc00000001:7")))],
        "twice": [(1, variable(b"a", b"1") + variable(b"b", b"2")), (1, variable(b"b", b"3")),
                  (0, variable(b"a", b"4"))],
    }
    for name, oks in stories.items():
        for asks in (0, 4, 9, 13):
            put("tell", f"{name}_{asks}", bytes([asks, 14, 5, 0])
                + b"".join(bytes([choice, len(e), 0]) + e for choice, e in oks))


def main():
    reports()
    compressed()
    secrets()
    auth_clients()
    relayed_logins()
    proxy_headers()
    for family in ("mariadb", "mysql"):
        with open(f"../unit/protocol/data/{family}.txt", encoding="ascii") as f:
            for line in f:
                words = line.split()
                # Without DEPRECATE_EOF or with all: what lies between adds little.
                if words[0] != "token" and not words[0].startswith("untracked_"):
                    recorded(f"{family}_{words[0]}", words[1], int(words[2], 16),
                             bytes.fromhex(words[5]))
    for name, switch in SWITCHES.items():
        put("auth_switch", name, switch)
    put("change_user", "whole", b"\7\0\0\0you\0\3tokdb\0\xff\1plugin\0\4\1a\1b")
    put("change_user", "old", b"\0\0\0\0you\0tok\0db\0")
    fixed = b"\x17\1\0\0\0\0\1\0\0\0"
    put("execute", "types", b"\2\0\0\0" + fixed + b"\0\1\x08\0\xfd\0values")
    put("execute", "again", b"\2\0\0\0" + fixed + b"\0\0values")
    put("execute", "bulk", b"\2\0\0\0\xfa\1\0\0\0\x80\0\x08\0\xfd\0\0value")
    named = b"\x17\1\0\0\0\x08\1\0\0\0"
    put("execute", "named", b"\1\0\1\0" + named + b"\2\0\1\3\0\0\xfd\0\1n" + b"1234\3abc")
    put("execute", "named_again", b"\1\0\1\0" + named + b"\1\0\0" + b"1234")
    put("execute", "nulls", b"\x28\0\1\0" + named + b"\x28\xff\xff\xff\xff\xff\0")
    put("attributes", "none", b"\0\0\0\0\3\0\1select 1")
    put("attributes", "several", b"\0\0\0\0\3\3\1\2\1\3\0\1a\6\0\1b\xfd\0\1c" + b"1234\3abcselect 1")
    put("response", "progress", b"\1\x09\7\3" + b"\x0c\0\0\1\xff\xff\xff\1\1\2\20\0\0\3abc"
        + b"\7\0\0\2\0\0\0\2\0\0\0")
    put("execute", "prepared", b"\0\0\0\0\0\1\0\0\0\1\0\2\0\0\0\0")


main()
