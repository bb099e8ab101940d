#!/usr/bin/env python3
"""Make collations.inc from what servers say.

usage: collations.py MARIADB.tsv MYSQL.tsv > collations.inc

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


def entry(i, charset, name):
    if name == charset:
        return f"A({i}, {charset})"
    assert name.startswith(charset + "_"), name
    return f"C({i}, {charset}, {name[len(charset) + 1:]})"


def main():
    mariadb, mysql = read(sys.argv[1]), read(sys.argv[2])
    both = {**mariadb, **mysql}
    print("/* Made by collations.py; sorted by id. */")
    line = ""
    for i in sorted(both):
        e = entry(i, *both[i])
        if line and len(line) + 1 + len(e) > 100:
            print(line)
            line = ""
        line += (" " if line else "") + e
    print(line)


main()
