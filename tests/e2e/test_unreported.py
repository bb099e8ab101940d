"""MariaDB's trackers leave out variables that are set as @@name, without a scope: they must not
reach anybody else, and must not get lost."""
import pytest

from volvox import settings_for
from wire import Client


@pytest.fixture(params=[1, 2])
def one(request, place, start_volvox):
    """One worker, and so many connections to the server."""
    settings = settings_for(place.cluster, server_limit=request.param, workers=1)
    settings["group main"]["reads"] = "primary"
    return start_volvox(settings)


@pytest.mark.parametrize("sql", [
    "set @@auto_increment_increment = 5", "set sql_notes = 0, @@auto_increment_increment = 5",
    "set @@AUTO_INCREMENT_increment := 5", "select 1; set @@auto_increment_increment = 5",
])
def test_a_variable_set_without_a_scope_follows_its_session_and_no_other(one, sql):
    with Client(one.port, db="shop") as c:
        c.query(sql)
        for _ in range(3):
            with Client(one.port, db="shop") as other:
                assert other.query("select @@auto_increment_increment").value() == b"1"
            assert c.query("select @@auto_increment_increment").value() == b"5"
    for _ in range(3):
        with Client(one.port, db="shop") as other:
            assert other.query("select @@auto_increment_increment").value() == b"1"


def test_a_prepared_set_without_a_scope_follows_its_session(one):
    with Client(one.port, db="shop") as c:
        c.execute(c.prepare("set @@auto_increment_increment = 5"))
        with Client(one.port, db="shop") as other:
            assert other.query("select @@auto_increment_increment").value() == b"1"
        assert c.query("select @@auto_increment_increment").value() == b"5"
