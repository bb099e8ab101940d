"""Other projects' test suites, the quick part of tests/suites/run: PyMySQL's and the Go driver's."""
import pathlib
import subprocess
import sys

import pytest

RUNNER = pathlib.Path(__file__).resolve().parents[1] / "suites/run"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pymysql", "go"])
def test_a_suite_goes_through_volvox_as_without_it(name):
    done = subprocess.run([sys.executable, RUNNER, "--quick", name], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, timeout=300)
    if done.returncode == 2:
        pytest.skip(" ".join(line for line in done.stdout.splitlines() if line.startswith("skipped")))
    assert done.returncode == 0, done.stdout
