"""User instructions per query of the release build: a limit that only a real loss can pass."""
import pytest

import instructions
from volvox import is_sanitized, settings_for

# A little above what was measured (docs/performance.md).  Who lowers the cost lowers the limit too.
LIMITS = {"text": 11400, "prepared": 10000}


@pytest.fixture
def release(release_program):
    if is_sanitized(release_program):
        pytest.skip("no release build")
    if not instructions.is_possible():
        pytest.skip("no valgrind")
    return release_program


@pytest.mark.parametrize("kind", LIMITS)
def test_a_point_select_stays_within_its_instructions(start_cluster, release, kind, capsys):
    cluster = start_cluster(replicas=0, options=["--skip-log-bin"])
    cluster.primary.query("create table shop.sbtest1 (id int primary key, c varchar(120))")
    cluster.primary.query("insert into shop.sbtest1 values (4711, repeat('c', 119)), (7, repeat('d', 119))")
    settings = settings_for(cluster, workers=1, log_level="warn", monitor_interval="60s")
    counts = instructions.per_query(settings, release, kind)
    each = sum(counts.values())
    with capsys.disabled():
        print(f"\n{kind}: {each:.0f} user instructions a query, at most {LIMITS[kind]}")
    dearest = sorted(counts.items(), key=lambda item: -item[1])[:30]
    assert 1000 < each <= LIMITS[kind], "\n".join(f"{n:8.1f} {name}" for name, n in dearest)
