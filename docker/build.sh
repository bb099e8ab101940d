#!/usr/bin/env bash
# The steps of the Dockerfile, so that they can also be run elsewhere (tests/support/clean-root).
#
#     docker/build.sh packages             what building needs, by apt-get
#     docker/build.sh compile OUT          build a release, lay out what the image gets in OUT
#     docker/build.sh runtime              in the image: libraries, the user, its directories
#
# As root, on Debian 12.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
export DEBIAN_FRONTEND=noninteractive

# Numbers that stay the same, because owners of mounted files are numbers.
id=6033
# What the program was linked with; compile writes it, runtime reads it.
list=/usr/lib/volvox/packages

# The packages that the program's libraries come from, as the packager's own tool sees it.
libraries_of()
{
    local scratch
    scratch=$(mktemp -d)
    mkdir "$scratch/debian"
    touch "$scratch/debian/control"
    (cd "$scratch" && dpkg-shlibdeps -O "$1" 2>/dev/null) |
        sed -n 's/^shlibs:Depends=//p' | tr ',' '\n' | sed 's/ *(.*//; s/^ *//'
    rm -r "$scratch"
}

compile()
{
    local source=$here/.. out=$1 build
    build=$(mktemp -d)
    cmake --preset release -S "$source" -B "$build"
    cmake --build "$build" --target volvox
    install -D "$build/src/main/volvox" "$out/usr/bin/volvox"
    # Function names stay, so that a core or a profile can be read; line numbers go.
    strip --strip-debug "$out/usr/bin/volvox"
    install -D "$here/healthcheck" "$out/usr/lib/volvox/healthcheck"
    install -D -m 644 "$source/conf/volvox.ini" "$out/usr/share/doc/volvox/volvox.ini"
    install -D -m 644 "$source/LICENSE" "$out/usr/share/doc/volvox/copyright"
    libraries_of "$out/usr/bin/volvox" >"$out$list"
    [ -s "$out$list" ]
    rm -r "$build"
}

runtime()
{
    local packages
    mapfile -t packages <"$list"
    apt-get update -q
    apt-get install -y -q --no-install-recommends "${packages[@]}"
    apt-get clean
    rm -rf /var/lib/apt/lists/*
    groupadd --gid "$id" volvox
    useradd --uid "$id" --gid volvox --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin volvox
    install -d -m 755 /etc/volvox
    # For what is changed at run time and saved, and for unix sockets.
    install -d -m 750 -o volvox -g volvox /var/lib/volvox /run/volvox
    volvox --version
}

case ${1-} in
packages) "$here/../tests/support/packages.sh" build ;;
compile) compile "${2:?where to?}" ;;
runtime) runtime ;;
*) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
