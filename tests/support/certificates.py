"""Certificates for the tests: an authority and what it signs, in files.

    authority = Authority(directory)
    shown = authority.issue("db.test", ["db.test", "127.0.0.1"])
    shown.certificate, shown.key            paths of PEM files
    authority.certificate                   whom to believe
"""
import dataclasses
import datetime
import hashlib
import ipaddress
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from processes import free_port
from servers import APP, Cluster
from volvox import settings_for

DAY = datetime.timedelta(days=1)


@dataclasses.dataclass
class Issued:
    certificate: pathlib.Path
    key: pathlib.Path
    subject: str                # as servers write it
    serial: int

    @property
    def der(self):
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()).public_bytes(
            serialization.Encoding.DER)

    @property
    def sha256(self):
        return hashlib.sha256(self.der).digest()


def name_of(cn):
    return x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "SE"),
                      x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Volvox Test"),
                      x509.NameAttribute(NameOID.COMMON_NAME, cn)])


def subject_of(cn):
    return f"/C=SE/O=Volvox Test/CN={cn}"


def alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Authority:
    def __init__(self, directory, cn="Test CA"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.cn, self.subject = cn, subject_of(cn)
        self.pair = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._path("ca.pem")
        made = self._build(cn, self.pair, datetime.timedelta(), 100 * DAY)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._write(self.certificate, made.sign(self.pair, hashes.SHA256()))

    def _path(self, name):
        return self.directory / name.replace("/", "_")

    def _build(self, cn, pair, since, until):
        now = datetime.datetime.utcnow() - DAY
        return (x509.CertificateBuilder().subject_name(name_of(cn)).issuer_name(name_of(self.cn))
                .public_key(pair.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now + since).not_valid_after(now + until))

    @staticmethod
    def _write(path, thing):
        path.write_bytes(thing.public_bytes(serialization.Encoding.PEM))
        path.chmod(0o644)

    def issue(self, cn, names=(), file=None, since=datetime.timedelta(), until=90 * DAY):
        """Another one in the same `file` takes the place of the one before."""
        file = file or cn
        pair = ec.generate_private_key(ec.SECP256R1())
        made = self._build(cn, pair, since, until)
        if names:
            names = x509.SubjectAlternativeName([alternative(n) for n in names])
            made = made.add_extension(names, critical=False)
        made = made.sign(self.pair, hashes.SHA256())
        issued = Issued(self._path(f"{file}.pem"), self._path(f"{file}.key"), subject_of(cn),
                        made.serial_number)
        self._write(issued.certificate, made)
        issued.key.write_bytes(pair.private_bytes(serialization.Encoding.PEM,
                                                  serialization.PrivateFormat.PKCS8,
                                                  serialization.NoEncryption()))
        issued.key.chmod(0o644)         # servers may run as somebody else
        return issued

    def revoke(self, *revoked):
        """A list with these; the path of its file."""
        now = datetime.datetime.utcnow()
        made = (x509.CertificateRevocationListBuilder().issuer_name(name_of(self.cn))
                .last_update(now - DAY).next_update(now + DAY))
        for one in revoked:
            made = made.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(one.serial)
                .revocation_date(now - DAY).build())
        path = self._path("crl.pem")
        self._write(path, made.sign(self.pair, hashes.SHA256()))
        return path


def secured(server_class, authority, replicas=0):
    """A cluster whose servers show a certificate of `authority` and believe its others; the names in
    it are db.test and 127.0.0.1."""
    directory = server_class.directory_for_tests()
    cluster = Cluster(replicas, server_class, directory=directory)
    cluster.owns_directory = True
    files = Authority(cluster.directory / "tls")        # where they can read
    files.cn, files.pair, files.subject = authority.cn, authority.pair, authority.subject
    files.certificate.write_bytes(authority.certificate.read_bytes())
    shown = files.issue("db.test", ["db.test", "127.0.0.1"])
    for server in cluster.servers:
        server.options += [f"--ssl-ca={server.inside(files.certificate)}",
                           f"--ssl-cert={server.inside(shown.certificate)}",
                           f"--ssl-key={server.inside(shown.key)}"]
    return cluster.start()


def tls_settings(cluster, authority, socket_path):
    """A Volvox with a certificate in front of a secured cluster: a listener for each way to want TLS,
    and users with the rules of conftest's `tls_cluster`, who work as somebody without any."""
    shown = authority.issue("volvox.test", ["volvox.test", "127.0.0.1"])
    settings = settings_for(cluster, tls_certificate=shown.certificate, tls_key=shown.key,
                            tls_ca=authority.certificate)
    settings["listener strict"] = {"address": f"127.0.0.1:{free_port()}", "tls": "required"}
    settings["listener socket"] = {"address": socket_path, "tls": "required"}
    settings["listener plain"] = {"address": f"127.0.0.1:{free_port()}", "tls": "disabled"}
    rules = {"with_ssl": {"tls": "required"}, "with_x509": {"tls": "x509"},
             "alice": {"tls_subject": subject_of("alice")}, "issued": {"tls_issuer": authority.subject}}
    for name, rule in rules.items():
        settings[f"user {name}"] = {"password": "pw", "server_user": APP[0], "server_password": APP[1],
                                    **rule}
    settings["admin"] = {"address": f"127.0.0.1:{free_port()}"}
    settings["admin_user root"] = {"password": "admin-secret", "access": "full"}
    return settings


def port_of(settings, section):
    return int(str(settings[section]["address"]).rsplit(":", 1)[1])
