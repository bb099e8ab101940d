"""What a suite talks to: a server, or Volvox in front of one.

The ways (of which "direct" is the one that the others are compared with):

    direct     the server itself
    through    Volvox with one server
    split      Volvox with that server as the primary, and once more as its replica: plain reads
               and all else are on different connections, as in a group, but nothing lags
    replica    Volvox with a primary and a real replica: what was just written may be missing
"""
import contextlib
import pathlib
import shutil
import tempfile

from certificates import Authority
from servers import MONITOR, Cluster, MariaDB, MySQL
from volvox import Volvox, settings_for

FAMILIES = {"mariadb": MariaDB, "mysql": MySQL}
WAYS = ("direct", "through", "split", "replica")
ROOT_ACCOUNT = ("root", "")
AGAIN = "127.0.0.2"           # where the one server is its own replica


class Target:
    """Where a suite connects, and the server behind it for what must be there before."""
    host = "127.0.0.1"
    user, password = ROOT_ACCOUNT

    def __init__(self, family, way, server, port, socket):
        self.family, self.way, self.server = family, way, server
        self.port, self.socket = port, str(socket)

    def prepare(self, *statements):
        for sql in statements:
            self.server.query(sql)


def settings(cluster, way, socket):
    """Only what must be said: addresses, and that the servers know the accounts.  All else is as
    it comes."""
    made = settings_for(cluster, users=())
    made["group main"]["auth"] = "servers"
    made["listener socket"] = {"address": socket}
    if way == "split":
        made["server db1"]["role"] = "primary"
        made["server again"] = {"address": f"{AGAIN}:{cluster.primary.port}", "role": "replica"}
    return made


def tls_options(family, directory):
    """MySQL makes its own certificate."""
    if family == "mysql":
        return []
    shown = Authority(pathlib.Path(directory)).issue("suites", ["localhost", "127.0.0.1"])
    return [f"--ssl-cert={shown.certificate}", f"--ssl-key={shown.key}"]


@contextlib.contextmanager
def open_target(family, way, options=()):
    """A new server for each run of a suite: what one leaves behind does not meet the next."""
    with tempfile.TemporaryDirectory(prefix="suite-keys-") as keys, opened(family, way, options, keys) as target:
        yield target


@contextlib.contextmanager
def opened(family, way, options, keys):
    options = [*options, f"--bind-address=127.0.0.1,{AGAIN}", *tls_options(family, keys)]
    with Cluster(int(way == "replica"), FAMILIES[family], options=options) as cluster:
        primary = cluster.primary
        name, password = ROOT_ACCOUNT
        primary.query(f"create user '{name}'@'%' identified by '{password}'")
        primary.query(f"grant all on *.* to '{name}'@'%' with grant option")
        primary.query(f"grant select on mysql.* to '{MONITOR[0]}'@'%'")
        if way == "direct":
            yield Target(family, way, primary, primary.port, primary.socket)
            return
        cluster.sync()
        directory = tempfile.mkdtemp(prefix="volvox-")      # sockets' paths must be short
        try:
            socket = f"{directory}/s"
            with Volvox(settings(cluster, way, socket)) as volvox:
                yield Target(family, way, primary, volvox.port, socket)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
