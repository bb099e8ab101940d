"""What tests/run does once the packages are there: build, lints, unit, e2e with fuzz behind, one sum."""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
JOBS = str(os.cpu_count() or 2)
KINDS = ("lint", "unit", "fuzz", "e2e", "checker")


class Sum:
    """Passed, failed, skipped; failures are remembered by name."""

    def __init__(self):
        self.passed, self.skipped, self.failed = 0, 0, []

    def fail(self, name, output=""):
        self.failed.append(name)
        print(f"FAILED {name}")
        if output:
            print("    " + "\n    ".join(output.rstrip().splitlines()[-120:]))

    def line(self):
        text = f"{self.passed} passed, {len(self.failed)} failed"
        return text + (f", {self.skipped} skipped" if self.skipped else "")


def run(argv, **more):
    """Exit code and all output."""
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", cwd=ROOT, **more)
    return done.returncode, done.stdout


def heading(text):
    print(f"\n== {text}", flush=True)


def build(preset, total):
    heading(f"build {preset}")
    began = time.monotonic()
    for argv in (["cmake", "--preset", preset], ["cmake", "--build", "--preset", preset, "-j", JOBS]):
        code, output = run(argv)
        if code != 0:
            total.fail(f"build {preset}", output)
            return False
    print(f"built in {time.monotonic() - began:.0f} s")
    return True


def lint(total, pattern):
    heading("lint")
    for check in sorted((ROOT / "tests/lint").iterdir()):
        if not os.access(check, os.X_OK) or check.is_dir() or not matches(check.name, pattern):
            continue
        code, output = run([check])
        if code == 0:
            total.passed += 1
            print(f"{check.name}: {output.strip() or 'ok'}")
        else:
            total.fail(f"lint {check.name}", output)


def matches(name, pattern):
    return pattern is None or re.search(pattern, name) is not None


def cases(junit):
    """The cases of a JUnit file as (name, outcome, output)."""
    for case in ElementTree.parse(junit).iter("testcase"):
        outcome, output = "passed", case.findtext("system-out") or ""
        for child in case:
            if child.tag in ("failure", "error"):
                outcome, output = "failed", (child.text or child.get("message") or "") + output
            elif child.tag == "skipped":
                outcome, output = "skipped", child.get("message") or ""
        yield case.get("name"), outcome, output


def unit(total, pattern):
    heading("unit")
    # Programs that are no longer in a CMakeLists would stay where they are: ctest knows better.
    with tempfile.NamedTemporaryFile(suffix=".xml") as junit:
        argv = ["ctest", "--test-dir", ROOT / "build/asan", "--output-junit", junit.name, "-j", JOBS,
                "--timeout", "120"]
        code, output = run(argv + (["-R", pattern] if pattern else []))
        if not os.path.getsize(junit.name):
            if "No tests were found" not in output:
                total.fail("ctest", output)
            return
        before = total.passed
        for name, outcome, text in cases(junit.name):
            if outcome == "passed":
                total.passed += 1
            elif outcome == "skipped":
                total.skipped += 1
            else:
                total.fail(f"unit {name}", text)
        print(f"{total.passed - before} unit test programs passed")


# Words that a fuzzer's input may be made of.
DICTIONARIES = {"fuzz_lexer": "sql", "fuzz_digest": "sql", "fuzz_session": "sql"}


class Fuzzing:
    """All fuzzers, some at a time, behind everything else: the end-to-end tests wait a lot."""

    def __init__(self, pattern):
        self.seconds = os.environ.get("VOLVOX_FUZZ_SECONDS", "3")
        self.findings = ROOT / "build/fuzz/findings"
        self.findings.mkdir(exist_ok=True)
        self.pool = concurrent.futures.ThreadPoolExecutor(int(JOBS))
        self.runs = {program.name: self.pool.submit(self.run, program)
                     for program in sorted((ROOT / "build/fuzz/tests/fuzz").glob("fuzz_*"))
                     if program.is_file() and os.access(program, os.X_OK) and matches(program.name, pattern)}

    def run(self, program):
        corpus = ROOT / "tests/fuzz/corpus" / program.name.removeprefix("fuzz_")
        words = DICTIONARIES.get(program.name)
        with tempfile.TemporaryDirectory() as scratch:      # the tree's corpus stays as it is
            return run(["nice", "-n", "19", program, f"-max_total_time={self.seconds}", "-timeout=60",
                        f"-artifact_prefix={self.findings}/{program.name}-", "-verbosity=0",
                        "-print_final_stats=1", *([f"-dict=tests/fuzz/dict/{words}.dict"] if words else []),
                        scratch, *([corpus] if corpus.is_dir() else [])])

    def collect(self, total):
        heading(f"fuzz, {self.seconds} s each")
        for name, running in self.runs.items():
            code, output = running.result()
            if code == 0:
                total.passed += 1
                units = re.search(r"number_of_executed_units: (\d+)", output)
                print(f"{name}: {units.group(1) if units else '?'} inputs")
            else:
                total.fail(f"fuzz {name}", output)
        self.pool.shutdown()


def shares(files, n):
    """n lists of files; longer files have more tests."""
    parts = [[] for _ in range(n)]
    for file in sorted(files, key=lambda f: f.stat().st_size, reverse=True):
        min(parts, key=lambda p: sum(f.stat().st_size for f in p)).append(file)
    return [p for p in parts if p]


class Pytest:
    """A share of the end-to-end tests, with servers of its own: most of the time they wait."""

    def __init__(self, files, pattern, is_shown):
        self.junit = tempfile.NamedTemporaryFile(suffix=".xml")
        self.output = None if is_shown else tempfile.TemporaryFile("w+", errors="replace")
        env = dict(os.environ, VOLVOX_BIN=str(ROOT / "build/asan/src/main/volvox"),
                   VOLVOX_RELEASE_BIN=str(ROOT / "build/release/src/main/volvox"))
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", "--tb=short",
                "--color=no", "--durations=10", f"--junitxml={self.junit.name}"]
        self.child = subprocess.Popen(argv + (["-k", pattern] if pattern else []) + files, cwd=ROOT, env=env,
                                      stdout=self.output, stderr=subprocess.STDOUT if self.output else None)

    def collect(self, total):
        code = self.child.wait()
        if self.output:
            self.output.seek(0)
            print(self.output.read(), flush=True)
        if not os.path.getsize(self.junit.name):
            total.fail("pytest")
            return
        for name, outcome, _ in cases(self.junit.name):     # pytest has shown the output
            if outcome == "passed":
                total.passed += 1
            elif outcome == "skipped":
                total.skipped += 1
            else:
                total.fail(f"e2e {name}")
        if code not in (0, 1, 5):                           # 5: nothing matched the filter
            total.fail(f"pytest ended with {code}")


def e2e(total, pattern):
    # Bounds and socket counts are judged on what users run.
    if not build("release", total):
        return
    heading("e2e")
    files = sorted((ROOT / "tests/e2e").glob("test_*.py"))
    runs = [Pytest(part, pattern, i == 0) for i, part in enumerate(shares(files, min(int(JOBS), 2)))]
    for run_ in runs:
        run_.collect(total)


# Seconds with each family of servers, and seeds at most, from this one on: the same sessions every time, as far as
# one gets, and none that nobody has seen yet.
CHECKED, FIRST_SEED = {"mariadb": (60, 40), "mysql": (30, 20)}, 100
# What differs once and never again is printed, and fails nothing: servers differ from themselves, too.
AGAIN = 4


def checker(total, pattern):
    heading("checker of sessions")
    env = dict(os.environ, VOLVOX_BIN=str(ROOT / "build/asan/src/main/volvox"))
    for family, (seconds, seeds) in CHECKED.items():
        if not matches(f"checker {family}", pattern):
            continue
        code, output = run([sys.executable, ROOT / "tests/checker/run", "--family", family, "--seed", FIRST_SEED,
                            "--seconds", seconds, "--rounds", seeds, "--most", "1", "--shrink", "--again", AGAIN],
                           env=env)
        if code == 0:
            total.passed += 1
            once_only = "did not come again" in output
            print(f"{family}: {output.strip() if once_only else output.splitlines()[-1]}")
        elif code == 77:
            total.skipped += 1
            print(f"{family}: {output.strip()}")
        else:
            total.fail(f"checker {family}", output)


def arguments():
    p = argparse.ArgumentParser(prog="tests/run")
    p.add_argument("--only", action="append", choices=KINDS)
    p.add_argument("--filter")
    return p.parse_args()


def main():
    options = arguments()
    kinds = options.only or KINDS
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    if shutil.which("cmake") is None:
        sys.exit("tests/run: no cmake")
    total = Sum()
    if "lint" in kinds:
        lint(total, options.filter)
    fuzzing = Fuzzing(options.filter) if "fuzz" in kinds and build("fuzz", total) else None
    if {"unit", "e2e", "checker"} & set(kinds):
        if build("asan", total):
            if "unit" in kinds:
                unit(total, options.filter)
            if "e2e" in kinds:
                e2e(total, options.filter)
            if "checker" in kinds:
                checker(total, options.filter)
    if fuzzing:
        fuzzing.collect(total)
    if total.failed:
        print("\nfailed:\n    " + "\n    ".join(total.failed))
    print(f"\n{total.line()}", flush=True)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    sys.exit(main())
