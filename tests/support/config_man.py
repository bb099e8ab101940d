#!/usr/bin/env python3
"""docs/volvox.ini.5 from the reference that `volvox --help-config` prints.

    build/release/src/main/volvox --help-config | tests/support/config_man.py >docs/volvox.ini.5

tests/e2e/test_ops.py refuses a page that differs.
"""
import re
import sys

HEAD = r""".\" Made by tests/support/config_man.py from the option table in src/config/options.c
.TH VOLVOX.INI 5 "2026-11-23" "Volvox" "File formats"
.SH NAME
volvox.ini \- configuration of
.BR volvox (8)
.SH DESCRIPTION
"""

TAIL = r"""
.SH FILES
.TP
.I /etc/volvox/volvox.ini
The default; option
.B \-c
of
.BR volvox (8)
names another.
.SH EXAMPLE
.nf
[volvox]
monitor_user = monitor
monitor_password = "change me"

[listener main]
address = 0.0.0.0:6033

[server db1]
address = 10.0.0.1:3306

[server db2]
address = 10.0.0.2:3306

[user app]
password = "change me, too"
.fi
.SH SEE ALSO
.BR volvox (8)
"""


def roff(text):
    """Text that roff takes as it stands, with what stood between backquotes in bold."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    bold = re.sub(r"(`+) ?(.+?) ?\1", r"\\fB\2\\fR", escaped)
    return re.sub(r"^([.'])", r"\\&\1", bold)


def cells(row):
    found = [c.strip() for c in row.strip()[1:-1].split("|")]
    if len(found) != 5:
        sys.exit(f"config_man.py: not a row of five cells: {row}")
    return found


def option(row):
    name, values, default, changed, meaning = row
    lines = [".TP", rf"\fB{roff(name.strip('`'))}\fR = {roff(values)}", roff(meaning)]
    facts = []
    if default == "required":
        facts.append("Required.")
    elif default:
        facts.append(f"Default: {roff(default)}.")
    if changed == "restart":
        facts.append("A change needs a restart.")
    return lines + ([" ".join(facts)] if facts else [])


def blocks(markdown):
    """(kind, lines) of what blank lines separate, tables and lists line by line."""
    for block in re.split(r"\n\s*\n", re.sub(r"<!--.*?-->", "", markdown, flags=re.DOTALL)):
        lines = [line for line in block.splitlines() if line.strip()]
        while lines:
            if lines[0].startswith("#"):
                yield "heading", [lines.pop(0)]
            elif lines[0].startswith("|"):
                yield "table", lines
                lines = []
            elif lines[0].startswith("- "):
                yield "list", lines
                lines = []
            else:
                yield "paragraph", lines
                lines = []


def page(markdown):
    out = []
    for kind, lines in blocks(markdown):
        if kind == "heading":
            title = lines[0].lstrip("# ")
            if not lines[0].startswith("## "):      # the document's own title
                continue
            out.append(".SH " + (title.upper() if not title.startswith("[") else roff(title)))
        elif kind == "table":
            for row in lines[2:]:
                out += option(cells(row))
        elif kind == "list":
            for item in re.split(r"^- ", "\n".join(lines), flags=re.MULTILINE)[1:]:
                out += [r".IP \(bu 2"] + [roff(line.strip()) for line in item.splitlines()]
        else:
            out += ([] if not out or out[-1].startswith(".SH") else [".PP"]) + [roff(l) for l in lines]
    return HEAD + "\n".join(out) + TAIL


if __name__ == "__main__":
    sys.stdout.write(page(sys.stdin.read()))
