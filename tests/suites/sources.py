"""Sources of other projects, from Debian: fetched once, unpacked into the cache, never committed.

    tree = unpack("python-mysqldb")                    # its source package
    root = unpack_packages("mariadb-test")             # binary packages, not installed

The machine's own configuration is left alone: it says which mirror to use, but apt gets a sources
list and state of its own below the cache.  A mirror may lack files that its index names; what the
machine's own release does not have there is looked for in later ones.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import time

from servers import CACHE

PLACE = CACHE / "suites"
LATER_RELEASES = ("trixie", "sid")
INDEX_IS_FRESH_S = 24 * 3600
PATIENCE = {"seconds": 600}                     # for fetching what one suite needs
DEBIAN = re.compile(r"/debian(-security)?/?$")


class Unavailable(Exception):
    """This suite cannot be had here; the reason is for people."""


# ---- where Debian is -----------------------------------------------------------------------

class Repository:
    """One deb line: a base URI, its suites, and how it is signed."""

    def __init__(self, uri, suites, signed_by):
        self.uri, self.suites, self.signed_by = uri, suites, signed_by

    def stanza(self):
        lines = ["Types: deb deb-src", f"URIs: {self.uri}", f"Suites: {' '.join(self.suites)}", "Components: main"]
        return "\n".join(lines + ([f"Signed-By: {self.signed_by}"] if self.signed_by else [])) + "\n"


def configured_repositories(etc=pathlib.Path("/etc/apt")):
    """Debian's among the repositories that this machine uses."""
    found = []
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]:
        found += one_line_entries(path.read_text()) if path.exists() else []
    for path in sorted((etc / "sources.list.d").glob("*.sources")):
        found += stanza_entries(path.read_text())
    return [r for r in found if DEBIAN.search(r.uri)]


def one_line_entries(text):
    for match in re.finditer(r"^deb\s+(\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s", text, re.MULTILINE):
        signed = re.search(r"signed-by=(\S+?)[\s\]]", match.group(1) or "", re.IGNORECASE)
        yield Repository(match.group(2), [match.group(3)], signed and signed.group(1))


def stanza_entries(text):
    for stanza in re.split(r"\n\s*\n", re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)):
        fields = {k.lower(): v.split() for k, v in re.findall(r"^([\w-]+):[ \t]*(.*)$", stanza, re.MULTILINE)}
        if "deb" in fields.get("types", []) and fields.get("enabled") != ["no"]:
            signed = fields.get("signed-by")
            for uri in fields.get("uris", []):
                yield Repository(uri, fields.get("suites", []), signed[0] if signed else None)


class Archive:
    """apt with lists of its own, for the machine's release or a later one."""

    def __init__(self, release=None):
        self.name = release or "configured"
        self.place = PLACE / "apt" / self.name
        repositories = configured_repositories()
        if not repositories:
            raise Unavailable("no Debian mirror in /etc/apt")
        if release:
            main = next((r for r in repositories if "security" not in r.uri), repositories[0])
            repositories = [Repository(main.uri, [release], main.signed_by)]
        self.repositories = repositories

    def argv(self, program, *arguments):
        lists, parts = self.place / "lists", self.place / "parts"
        options = {"Dir::Etc::SourceList": "/dev/null", "Dir::Etc::SourceParts": parts,
                   "Dir::State::Lists": lists, "Dir::Cache": self.place / "cache",
                   "APT::Sandbox::User": "", "Acquire::Retries": "1"}
        return [program, *[f"-o{name}={value}" for name, value in options.items()], *arguments]

    def update(self, seconds):
        """Fetch the indexes unless that was done lately."""
        stamp = self.place / "updated"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < INDEX_IS_FRESH_S:
            return
        for directory in ("lists/partial", "parts", "cache/archives/partial"):
            (self.place / directory).mkdir(parents=True, exist_ok=True)
        text = "\n".join(r.stanza() for r in self.repositories)
        (self.place / "parts/suites.sources").write_text(text)
        call(self.argv("apt-get", "-q", "update"), self.place, seconds)
        stamp.touch()


def call(argv, where, seconds):
    try:
        done = subprocess.run([str(a) for a in argv], cwd=where, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds)
    except FileNotFoundError:
        raise Unavailable(f"no {argv[0]} here") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{argv[0]} took more than {seconds:.0f} s") from None
    if done.returncode != 0:
        complaints = [line for line in done.stdout.splitlines() if line.startswith("E: ")]
        raise Unavailable("; ".join(complaints[:2]) or f"{argv[0]} ended with {done.returncode}")
    return done.stdout


# ---- unpacking -------------------------------------------------------------------------------

def unpack(source, only=None):
    """The directory of a source package: patched as Debian does, if its mirror has everything,
    else as its authors released it.  `only`: a folder, if the rest is not worth unpacking."""
    tree = PLACE / "trees" / source
    if tree.exists():
        return tree
    deadline = time.monotonic() + PATIENCE["seconds"]
    trouble = None
    for release in (None, *LATER_RELEASES):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            return unpack_from(Archive(release), source, only, tree, left)
        except Unavailable as e:
            trouble = trouble or e
    raise Unavailable(f"source of {source}: {trouble}")


def unpack_from(archive, source, only, tree, seconds):
    archive.update(seconds)
    shown = call(archive.argv("apt-cache", "showsrc", source), PLACE, seconds)
    versions = list(dict.fromkeys(re.findall(r"^Version: (\S+)$", shown, re.MULTILINE)))
    trouble = Unavailable(f"no {source} in {archive.name}")
    for version in versions:                    # an update may be gone when its index is not
        try:
            return unpack_version(archive, source, version, only, tree, seconds)
        except Unavailable as e:
            trouble = e
    raise trouble


def unpack_version(archive, source, version, only, tree, seconds):
    files = PLACE / "files" / archive.name / f"{source}_{version}"
    files.mkdir(parents=True, exist_ok=True)
    trouble = None
    try:
        call(archive.argv("apt-get", "-q", "--download-only", "source", f"{source}={version}"), files, seconds)
    except Unavailable as e:
        trouble = e                             # the tarball that we want may be there all the same
    tree.parent.mkdir(parents=True, exist_ok=True)
    unfinished = files / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    description = next(files.glob("*.dsc"), None)
    original = next(files.glob("*.orig.tar.*[2z]"), None)
    if description and not trouble and not only:
        call(["dpkg-source", "--no-check", "-x", description.name, str(unfinished)], files, seconds)
    elif original:
        unpack_original(original, only, unfinished)
    else:
        raise trouble or Unavailable(f"no tarball of {source} {version} in {archive.name}")
    unfinished.rename(tree)
    return tree


def unpack_original(original, only, unfinished):
    with tarfile.open(original) as tar:
        if only is None:
            tar.extractall(unfinished)
        else:
            tar.extractall(unfinished, (m for m in tar if f"/{only}/" in f"/{m.name.partition('/')[2]}/"))
    top = list(unfinished.iterdir())
    if len(top) == 1 and top[0].is_dir():       # the release's own folder
        aside = unfinished.with_name(unfinished.name + ".top")
        top[0].rename(aside)
        unfinished.rmdir()
        aside.rename(unfinished)


def unpack_packages(*packages):
    """A directory with the files of binary packages that are not to be installed: their
    dependencies might bring services that start by themselves."""
    root = PLACE / "trees" / ("packages-" + "-".join(packages))
    if root.exists():
        return root
    archive = Archive()
    seconds = PATIENCE["seconds"]
    archive.update(seconds)
    files = PLACE / "files" / archive.name / "packages"
    files.mkdir(parents=True, exist_ok=True)
    call(archive.argv("apt-get", "-q", "download", *packages), files, seconds)
    unfinished = root.with_name(root.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for package in packages:
        newest = max(files.glob(f"{package}_*.deb"), key=os.path.getmtime)
        call(["dpkg-deb", "-x", newest, unfinished], files, seconds)
    unfinished.rename(root)
    return root
