"""What a query costs Volvox in user space, counted by callgrind: the same number whatever else the machine does.

Two runs that differ in nothing but the number of queries are subtracted, so that start, logins and end
fall out.  Only the worker's thread counts, and no kernel instructions.
"""
import collections
import pathlib
import re
import shutil
import subprocess
import tempfile

from servers import APP
from volvox import Volvox
from wire import COM_QUERY, COM_STMT_EXECUTE, Client, frame

FEW, MANY = 500, 2500             # queries of the two runs
STATEMENTS = {"text": "SELECT c FROM sbtest1 WHERE id=4711", "prepared": "SELECT c FROM sbtest1 WHERE id=?"}
NAME = re.compile(r"\((\d+)\)(?: (.*))?")
OF_WORKERS = "serve_command"    # a function of theirs only


def is_possible():
    return shutil.which("valgrind") is not None


class Counted(Volvox):
    """Volvox under callgrind, whose files are in its directory after the end."""
    start_seconds = 200

    def start(self):
        key = self.directory / "rsa.pem"        # to make one would take its own time
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        self.settings["volvox"] = {**self.settings["volvox"], "rsa_key_file": str(key)}
        wrapper = self.directory / "counted"
        wrapper.write_text("#!/bin/sh\nexec valgrind --tool=callgrind --separate-threads=yes "
                           f"--callgrind-out-file={self.directory}/counts {self.program} \"$@\"\n")
        wrapper.chmod(0o755)
        self.program, self.owns_directory = wrapper, False
        return super().start()

    def counts(self):
        threads = (own_counts(path) for path in self.directory.glob("counts*"))
        return sum((c for c in threads if OF_WORKERS in c), collections.Counter())


def own_counts(path):
    """{function: instructions of its own} of a thread's file."""
    names, counts = {}, collections.Counter()
    current, is_call = None, False

    def named(text):
        number, name = NAME.match(text).groups()
        return names.setdefault(number, name)

    for line in path.read_text().splitlines():
        if line.startswith("fn="):
            current = named(line[3:])
        elif line.startswith("cfn="):
            named(line[4:])
        elif line.startswith("calls="):
            is_call = True        # the next line is what the callee used
        elif line[:1] in "0123456789+-*" and line and current:
            if not is_call:
                counts[current.partition("'")[0]] += int(line.split()[1])
            is_call = False
    return counts


class Asker:
    """A client that asks the same over and over; the answers are of the same length."""

    def __init__(self, port, kind):
        sql = STATEMENTS[kind]
        self.client = Client(port, *APP, db="shop")
        if kind == "text":
            self.client.query(sql)
            self.request = frame(0, bytes([COM_QUERY]) + sql.encode())
        else:
            statement = self.client.prepare(sql)
            self.client.execute(statement, [7])
            self.request = frame(0, bytes([COM_STMT_EXECUTE])
                                 + self.client.execute_payload(statement, [7], types=False))
        self.length = self.measure()

    def measure(self):
        """From a first answer, whose last packet is an OK that begins with 0xFE."""
        self.ask()
        answer = b""
        while not self.is_over(answer):
            answer += self.client.sock.recv(1 << 16)
        return len(answer)

    @staticmethod
    def is_over(answer):
        at = count = 0
        while at + 4 <= len(answer):
            length = int.from_bytes(answer[at:at + 3], "little")
            if count > 0 and answer[at + 4:at + 5] == b"\xfe":
                return at + 4 + length == len(answer)
            at, count = at + 4 + length, count + 1
        return False

    def ask(self):
        self.client.sock.sendall(self.request)

    def hear(self):
        left = self.length
        while left > 0:
            left -= len(self.client.sock.recv(left))

    def close(self):
        self.client.close()


def run(settings, program, kind, clients, rounds, idle=0):
    with tempfile.TemporaryDirectory() as directory:
        with Counted(dict(settings), program=program, directory=directory) as volvox:
            others = [Client(volvox.port, *APP, db="shop", timeout=60) for _ in range(idle)]
            askers = [Asker(volvox.port, kind) for _ in range(clients)]
            for _ in range(rounds):
                for asker in askers:
                    asker.ask()
                for asker in askers:
                    asker.hear()
            for one in askers + others:
                one.close()
        return volvox.counts()


def per_query(settings, program, kind, clients=1, idle=0):
    """{function: instructions a query}; beside so many clients that say nothing."""
    few, many = (run(settings, program, kind, clients, n // clients, idle) for n in (FEW, MANY))
    queries = (MANY // clients - FEW // clients) * clients
    return {name: (many[name] - few[name]) / queries for name in many | few}
