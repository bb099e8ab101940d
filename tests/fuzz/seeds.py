#!/usr/bin/env python3
"""Make the corpora of the protocol's fuzzers from what was recorded of real servers.

usage: seeds.py, in tests/fuzz; reads ../unit/protocol/data
"""
import os

seen = set()
KINDS = ["OK", "RESULT", "PREPARE", "FIELDS", "ROWS", "STRING"]
NO_EOF, TRACK = 0x1000000, 0x800000


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
        flags = (1 if caps & NO_EOF else 0) | (2 if caps & TRACK else 0)
        put("response", name, bytes([KINDS.index(kind), flags, 7, 3]) + data)
        if name.endswith("new_multi") or name.endswith("new_error"):
            put("packet", name, b"\1\0\0\0" + data)
        last = list(packets(data))[-1]
        if last[0] in (0x00, 0xFE, 0xFF) and len(last) > 7:
            put("reply", name, bytes([flags >> 1, 0, 0, 0]) + last)
        if name.endswith("new_select_rows"):
            put("rows", name + "_column", b"\2\0\0\0" + list(packets(data))[1])
            put("rows", name + "_row", b"\2\0\0\0" + list(packets(data))[3])


def main():
    for family in ("mariadb", "mysql"):
        with open(f"../unit/protocol/data/{family}.txt", encoding="ascii") as f:
            for line in f:
                words = line.split()
                # Without DEPRECATE_EOF or with all: what lies between adds little.
                if words[0] != "token" and not words[0].startswith("untracked_"):
                    recorded(f"{family}_{words[0]}", words[1], int(words[2], 16),
                             bytes.fromhex(words[5]))
    scramble = b"01234567890123456789"
    put("auth_switch", "sha2", b"\xfecaching_sha2_password\0" + scramble + b"\0")
    put("auth_switch", "clear", b"\xfemysql_clear_password\0")
    put("change_user", "whole", b"\7\0\0\0you\0\3tokdb\0\xff\1plugin\0\4\1a\1b")
    put("change_user", "old", b"\0\0\0\0you\0tok\0db\0")
    fixed = b"\x17\1\0\0\0\0\1\0\0\0"
    put("execute", "types", b"\2\0\0\0" + fixed + b"\0\1\x08\0\xfd\0values")
    put("execute", "again", b"\2\0\0\0" + fixed + b"\0\0values")
    put("execute", "prepared", b"\0\0\0\0\0\1\0\0\0\1\0\2\0\0\0\0")


main()
