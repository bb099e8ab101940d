#!/usr/bin/env python3
"""Make collations.inc from what servers say.

usage: collations.py MARIADB_10.tsv MARIADB_11.tsv MYSQL.tsv > collations.inc

Each file is the output of `mariadb -N -e "select ID, CHARACTER_SET_NAME, NAME ..."`:
  MariaDB  select ID, CHARACTER_SET_NAME, FULL_COLLATION_NAME
           from information_schema.COLLATION_CHARACTER_SET_APPLICABILITY
  MySQL    select ID, CHARACTER_SET_NAME, COLLATION_NAME from information_schema.COLLATIONS
"""
import sys


def read(path):
    with open(path, encoding="ascii") as f:
        rows = (line.rstrip("\n").split("\t") for line in f)
        return {int(i): (charset, name) for i, charset, name in rows}


# Who has it: 10.11, 11.8, MySQL.
LETTERS = {(1, 1, 1): "C", (1, 1, 0): "D", (0, 1, 0): "E", (0, 1, 1): "F", (0, 0, 1): "M"}


def entry(i, charset, name, who):
    if name == charset:
        assert who == (1, 1, 1), name
        return f"A({i}, {charset})"
    assert name.startswith(charset + "_"), name
    return f"{LETTERS[who]}({i}, {charset}, {name[len(charset) + 1:]})"


def main():
    servers = [read(path) for path in sys.argv[1:4]]
    every = {**servers[0], **servers[1], **servers[2]}
    print("/* Made by collations.py; sorted by id. */")
    line = ""
    for i in sorted(every):
        e = entry(i, *every[i], tuple(int(i in s) for s in servers))
        if line and len(line) + 1 + len(e) > 100:
            print(line)
            line = ""
        line += (" " if line else "") + e
    print(line)


main()
