"""Servers and proxies for the tests.

A *place* is a cluster with a Volvox in front of it, shared by the tests of a run; there is one for
each kind of server.  After every test its Volvox must be alive and unreported by the sanitizers.
Tests that need settings or servers of their own use `start_volvox` and `start_cluster`.

A test that uses `place` runs with one server of each family, and with MariaDB 11.8 besides if it is
marked `all_kinds`: what may differ between versions is, so that a run does not take half as long
again.

VOLVOX_DIRECT=1 puts the place's clients onto the primary itself: what a server alone must answer
in the same way can be tried without a proxy.
"""
import contextlib
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from certificates import Authority, secured                                # noqa: E402
from servers import APP, Cluster, MariaDB, MariaDB118, MySQL                # noqa: E402
from volvox import Volvox, binary, settings_for                             # noqa: E402
from wire import Client                                                     # noqa: E402

DIRECT = os.environ.get("VOLVOX_DIRECT") == "1"

KINDS = {"mariadb": MariaDB, "mysql": MySQL, "mariadb-11.8": MariaDB118}
FAMILIES = ["mariadb", "mysql"]          # one of each


class Place:
    """A cluster and the way to it."""

    def __init__(self, kind, cluster):
        self.kind, self.cluster = kind, cluster
        self.family = cluster.primary.family
        self.volvox = None if DIRECT else Volvox(settings_for(cluster)).start()

    @property
    def port(self):
        return self.cluster.primary.port if DIRECT else self.volvox.port

    @property
    def primary(self):
        return self.cluster.primary

    @property
    def readers(self):
        """The server_ids that plain reads must be spread over."""
        return {1} if DIRECT else {2, 3}

    def client(self, *args, **more):
        """A raw client through Volvox."""
        return Client(self.port, *args, **more)

    def direct(self, *args, **more):
        """A raw client of the primary itself."""
        return Client(self.primary.port, *args, **more)

    def connect(self, *args, **more):
        """A PyMySQL connection through Volvox."""
        if DIRECT:
            who = args[0] if args else APP
            return self.primary.connect(*who, **more)
        return self.volvox.connect(*args, **more)

    def check(self):
        """What every test must leave behind; a broken Volvox is replaced for the next one."""
        if DIRECT:
            return
        report = self.volvox.sanitizer_report()
        if report is None and self.volvox.is_running():
            return
        text = report or self.volvox.log_tail()
        with contextlib.suppress(AssertionError):
            self.volvox.stop(seconds=5)
        self.volvox = Volvox(self.volvox.settings).start()
        pytest.fail(f"volvox did not survive:\n{text}", pytrace=False)

    def forget(self):
        """A Volvox that has not learned yet whose sessions keep their connections."""
        if not DIRECT:
            self.volvox.stop()
            self.volvox = Volvox(self.volvox.settings).start()

    def stop(self):
        try:
            if self.volvox:
                self.volvox.stop()
        finally:
            self.cluster.stop()


SCHEMA = """
create table shop.items (id int primary key auto_increment, name varchar(100), price int) engine=innodb
insert into shop.items (name, price) values ('apple', 10), ('pear', 20), ('plum', 30), (null, null)
create table shop.blobs (id int primary key, data longblob) engine=innodb
create procedure shop.two_results() begin select 1 as a; select 2 as b, 3 as c; end
create procedure shop.out_value(in x int, out y int) begin set y = x * 2; select x; end
"""


def make_place(kind):
    cluster = Cluster(2, KINDS[kind]).start()
    for sql in SCHEMA.strip().splitlines():
        cluster.primary.query(sql)
    cluster.sync()
    return Place(kind, cluster)


@pytest.fixture(scope="session")
def places():
    """places(kind) -> the place, made when it is first asked for."""
    made = {}

    def get(kind):
        if kind not in made:
            objection = KINDS[kind].objection()
            if objection:
                pytest.skip(objection)
            made[kind] = make_place(kind)
        return made[kind]

    yield get
    for place in made.values():
        place.stop()


@pytest.fixture
def place(request, places):
    """Each kind in turn."""
    found = places(request.param)
    yield found
    found.check()


@pytest.fixture(scope="session")
def mariadb_place(places):
    return places("mariadb")


@pytest.fixture(scope="session")
def mysql_place(places):
    return places("mysql")


@pytest.fixture
def mariadb(mariadb_place):
    """Where one kind will do."""
    yield mariadb_place
    mariadb_place.check()


def pytest_generate_tests(metafunc):
    if "place" in metafunc.fixturenames:
        all_kinds = metafunc.definition.get_closest_marker("all_kinds")
        metafunc.parametrize("place", KINDS if all_kinds else FAMILIES, indirect=True)


@pytest.fixture
def start_volvox():
    """start_volvox(settings, ...) -> a running Volvox that must end well."""
    if DIRECT:
        pytest.skip("needs Volvox")
    started = []

    def start(settings, **more):
        volvox = Volvox(settings, **more)
        started.append(volvox)
        return volvox.start()

    yield start
    complaints = []
    for volvox in started:
        if volvox.child is None:
            continue
        try:
            volvox.stop()
        except AssertionError as e:
            complaints.append(str(e))
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def start_cluster():
    """start_cluster(replicas=...) -> servers that a test may stop and kill."""
    clusters = []

    def start(replicas=2, server_class=MariaDB, **more):
        cluster = Cluster(replicas, server_class, **more)
        clusters.append(cluster)
        return cluster.start()

    yield start
    for cluster in clusters:
        cluster.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Who signs certificates for the tests."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session", params=FAMILIES)
def tls_cluster(request, authority):
    """One server with TLS, of each family, with accounts that insist on something."""
    if KINDS[request.param].objection():
        pytest.skip(KINDS[request.param].objection())
    cluster = secured(KINDS[request.param], authority)
    for name, rule in {"with_ssl": "ssl", "with_x509": "x509",
                       "alice": "subject '/C=SE/O=Volvox Test/CN=alice'",
                       "issued": "issuer '/C=SE/O=Volvox Test/CN=Test CA'"}.items():
        cluster.primary.query(f"create user {name}@'%' identified by 'pw'")
        cluster.primary.query(f"grant all on *.* to {name}@'%'")
        cluster.primary.query(f"alter user {name}@'%' require {rule}")
    yield cluster
    cluster.stop()


@pytest.fixture
def release_program():
    """The build that users run, for what is judged by numbers; else whatever there is."""
    if DIRECT:
        pytest.skip("needs Volvox")
    return pathlib.Path(os.environ.get("VOLVOX_RELEASE_BIN") or binary("release") or binary())


def pytest_collection_modifyitems(items):
    """Family by family within a file would start and stop nothing, but the order of a file tells a
    story: leave it as it is, only put what takes long to the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds")
    config.addinivalue_line("markers", "all_kinds: runs with every kind of server, not one per family")
    if not DIRECT and not (binary() and binary().exists()):
        raise pytest.UsageError("no volvox to test: build one or set VOLVOX_BIN")
