"""What other projects' test suites found (tests/suites/run): each as a test of its own."""
import struct

import pytest

from servers import APP
from volvox import settings_for
from wire import BASE, COM_RESET, COM_SET_OPTION, MULTI_STATEMENTS, Client, ServerError

MULTI_ON, MULTI_OFF = struct.pack("<H", 0), struct.pack("<H", 1)


def runs_multi(client):
    try:
        return len(client.query("select 1; select 2").more) == 1
    except ServerError as e:
        assert e.args[0] == 1064
        return False


# ---- multi statements: PyMySQL test_nextset ------------------------------------------------------

def test_a_reset_connection_is_not_taken_for_one_that_allows_multi_statements(start_volvox, mariadb):
    """Servers keep the option across COM_RESET_CONNECTION: the next client got error 1064."""
    settings = settings_for(mariadb.cluster, server_limit=1)
    settings["user app"]["split_reads"] = "no"          # one connection serves all
    volvox = start_volvox(settings)
    with Client(volvox.port, *APP, caps=BASE) as without:
        assert not runs_multi(without)
        without.query("set @a = 1")             # a reason to reset it for the next client
    with Client(volvox.port, *APP, caps=BASE | MULTI_STATEMENTS) as client:
        assert [runs_multi(client) for _ in range(3)] == [True] * 3


@pytest.mark.parametrize("anew", ["reset", "change_user"])
@pytest.mark.parametrize("caps, option", [(BASE, MULTI_ON), (BASE | MULTI_STATEMENTS, MULTI_OFF)])
def test_the_option_outlives_a_reset_and_a_change_of_user_as_on_the_server(place, anew, caps, option):
    def talk(client):
        with client as c:
            c.simple(COM_SET_OPTION, option)
            if anew == "reset":
                c.simple(COM_RESET)
            else:
                c.change_user(*APP)
            return runs_multi(c)

    assert talk(place.client(caps=caps)) == talk(place.direct(caps=caps)) == (option == MULTI_ON)
