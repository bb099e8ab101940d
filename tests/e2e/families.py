"""A cluster of each family with accounts of every plugin that it has."""
import pytest

from servers import Cluster, MariaDB, MySQL


class Family:
    """`accounts`: by family, the words behind CREATE USER name."""

    def __init__(self, family, accounts, replicas=0):
        self.family = family
        server_class = MariaDB if family == "mariadb" else MySQL
        options = MariaDB("/nonexistent", 1).plugin_options("auth_ed25519") if family == "mariadb" else []
        self.cluster = Cluster(replicas, server_class, options=options).start()
        self.primary = self.cluster.primary
        for name, words in accounts[family].items():
            self.create(name, words)
        self.cluster.sync()

    def create(self, name, words):
        self.primary.query(f"create user {name} {words}")
        for schema in ("shop", "test"):
            self.primary.query(f"grant all on {schema}.* to {name}")

    def words(self, password, more=""):
        """Behind CREATE USER name: of the plugin that the family has by default."""
        by = "identified by" if self.family == "mariadb" else "identified with caching_sha2_password by"
        return f"{by} '{password}' {more}"


def families(make):
    """Fixtures for a module: of each family what make(family) gives, and one that goes through them."""
    @pytest.fixture(scope="module")
    def mariadb_family():
        family = make("mariadb")
        yield family
        family.cluster.stop()

    @pytest.fixture(scope="module")
    def mysql_family():
        if MySQL.objection():
            pytest.skip(MySQL.objection())
        family = make("mysql")
        yield family
        family.cluster.stop()

    @pytest.fixture(params=["mariadb", "mysql"])
    def family(request):
        return request.getfixturevalue(f"{request.param}_family")

    return mariadb_family, mysql_family, family
