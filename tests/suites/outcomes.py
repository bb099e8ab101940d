"""What a suite's run said: {test: "passed" | "failed" | "skipped"}, from the formats that suites write."""
import json
import re
import xml.etree.ElementTree as ElementTree

STATES = ("passed", "failed", "skipped")


def from_junit(path):
    """pytest --junitxml."""
    found = {}
    for case in ElementTree.parse(path).iter("testcase"):
        tags = {child.tag for child in case}
        state = "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"
        found[f"{case.get('classname')}::{case.get('name')}"] = state
    return found


def from_go(text):
    """go test -json."""
    words = {"pass": "passed", "fail": "failed", "skip": "skipped"}
    found = {}
    for line in text.splitlines():
        if not line.startswith("{"):
            continue
        event = json.loads(line)
        if "Test" in event and event["Action"] in words:
            found[event["Test"]] = words[event["Action"]]
        elif "Test" in event and event["Action"] == "run":
            found[event["Test"]] = "failed"     # unless its end is told
    return found


TAP_LINE = re.compile(r"^(not )?ok\b *(\d+)?(?: *- *)?([^#]*)(?:# *(skip|todo)\b.*)?", re.IGNORECASE)


def from_tap(text, name, by_title=False):
    """Test Anything Protocol, top level only: tests are "NAME 1", "NAME 2" (titles may change from
    run to run), or "NAME title"; and "NAME end": as many as were planned."""
    found, planned, number = {}, None, 0
    for line in text.splitlines():
        plan = re.match(r"^1\.\.(\d+)", line)
        match = TAP_LINE.match(line)
        if plan:
            planned = int(plan.group(1))
        elif match:
            number += 1
            bad, told, title, directive = match.groups()
            state = "skipped" if directive else "failed" if bad else "passed"
            found[f"{name} {title.strip() if by_title else told or number}"] = state
    ended = "skipped" if planned == 0 else "passed" if planned == number else "failed"
    found[f"{name} end"] = ended
    return found


def from_php(text):
    """run-tests.php -W."""
    words = {"PASSED": "passed", "FAILED": "failed", "SKIPPED": "skipped", "BORKED": "failed",
             "LEAKED": "failed", "XFAILED": "passed", "XLEAKED": "passed", "WARNED": "failed"}
    found = {}
    for line in text.splitlines():
        word, _, path = line.partition("\t")
        if word in words:
            found["/".join(path.split("/")[-3:]).replace("/tests/", "/")] = words[word]
    return found


def count(outcomes):
    """(passed, failed, skipped)"""
    states = list(outcomes.values())
    return tuple(states.count(s) for s in STATES)


def differences(direct, other):
    """[(test, state there, state here)] of tests that did not end alike."""
    tests = [*direct, *(t for t in other if t not in direct)]
    pairs = [(t, direct.get(t, "absent"), other.get(t, "absent")) for t in tests]
    return [p for p in pairs if p[1] != p[2]]


def group(test):
    """What a test belongs to, if one that fails takes others along: the file of a TAP test."""
    return test.partition(" ")[0]
