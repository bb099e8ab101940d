"""What benchmarks need: servers that are quiet, sysbench, programs beside them, a table of numbers."""
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from servers import APP, ROOT, Cluster                                      # noqa: E402
from volvox import Volvox, binary, settings_for                             # noqa: E402

TABLES, ROWS = 4, 10000
TOTALS = {
    "queries": re.compile(r"queries:\s+(\d+)"),
    "transactions": re.compile(r"transactions:\s+(\d+)"),
    "errors": re.compile(r"ignored errors:\s+(\d+)"),
    "reconnects": re.compile(r"reconnects:\s+(\d+)"),
    "seconds": re.compile(r"total time:\s+([\d.]+)s"),
    "p95_ms": re.compile(r"95th percentile:\s+([\d.]+)"),
}


def program():
    """The release build: others say little about speed."""
    found = os.environ.get("VOLVOX_RELEASE_BIN") or binary("release")
    if not found:
        sys.exit("no release build: cmake --preset release && cmake --build --preset release")
    return pathlib.Path(found)


def compiled(name, *libraries):
    """A C program that stands beside the benchmarks, built when its source, or a header there, is newer."""
    source = pathlib.Path(__file__).resolve().parent / f"{name}.c"
    newest = max(p.stat().st_mtime for p in [source, *source.parent.glob("*.h")])
    made = ROOT / "build" / "bench" / name
    if not made.exists() or made.stat().st_mtime < newest:
        made.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", made, source, *libraries],
                       check=True)
    return str(made)


def sysbench_argv(script, port, what, threads=8, seconds=10, ps="auto", **options):
    """more=value becomes --more=value"""
    return ["sysbench", script, f"--threads={threads}", f"--time={seconds}", "--report-interval=0",
            f"--tables={TABLES}", f"--table-size={ROWS}", "--mysql-host=127.0.0.1", f"--mysql-port={port}",
            f"--mysql-user={APP[0]}", f"--mysql-password={APP[1]}", "--mysql-db=shop",
            f"--db-ps-mode={ps}", *(f"--{k.replace('_', '-')}={v}" for k, v in options.items()), what]


def sysbench(script, port, what, **options):
    """Run and return the totals; options as above."""
    argv = sysbench_argv(script, port, what, **options)
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}\n{done.stdout[-3000:]}")
    return {name: float(m.group(1)) for name, pattern in TOTALS.items() if (m := pattern.search(done.stdout))}


def prepare_tables(cluster):
    sysbench("oltp_read_write", cluster.primary.port, "prepare", threads=TABLES)
    cluster.sync(120)


def print_table(head, rows):
    widths = [max(len(str(line[i])) for line in [head, *rows]) for i in range(len(head))]
    for line in [head, *rows]:
        print("  ".join(str(v).ljust(w) if i == 0 else str(v).rjust(w)
                        for i, (v, w) in enumerate(zip(line, widths))))


__all__ = ["APP", "Cluster", "Volvox", "settings_for", "program", "compiled", "sysbench", "sysbench_argv",
           "prepare_tables", "print_table", "TABLES", "ROWS"]
