#!/usr/bin/env python3
"""Make the corpora of fuzz_lexer and fuzz_digest from every ninth case of tests/cases/routing.txt
and every third of tests/cases/digest.txt.

usage: seeds_lexer.py, in tests/fuzz
"""
import os
import re

MODES = [0x80, 0xc0, 0x40, 0x00, 0x81, 0x82, 0x88, 0xc1]  # fuzz_lexer.c says which bit is what

def cases(path):
    with open(path, encoding="latin1") as f:
        lines = [line for line in f if "=>" in line and not line.startswith("#")]
    for line in lines:
        sql = line[:line.rindex("=>")].rstrip(" ")
        yield re.sub(r"\{\{([0-9a-f ]+)\}\}", lambda m: bytes.fromhex(m.group(1)).decode("latin1"), sql)


def write(corpus, texts):
    os.makedirs(f"corpus/{corpus}", exist_ok=True)
    for i, sql in enumerate(texts):
        with open(f"corpus/{corpus}/case-{i:02d}", "wb") as f:
            f.write(bytes([MODES[i % len(MODES)], i % 5]) + sql.encode("latin1"))


write("lexer", list(cases("../cases/routing.txt"))[::9])
write("digest", list(cases("../cases/digest.txt"))[::3])
