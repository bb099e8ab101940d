#!/usr/bin/env bash
# Installs the Debian packages that a purpose needs, unless all are there.
#
#     tests/support/packages.sh PURPOSE...      build quickstart test bench roots
#
# One list per purpose, so that a quickstart does not drag in what only tests need.
# As root or through sudo; without missing packages it needs neither.
set -eu

build=(build-essential cmake ninja-build pkg-config libev-dev libmariadb-dev libinih-dev
       libssl-dev libsodium-dev zlib1g-dev libzstd-dev libsqlite3-dev libmicrohttpd-dev)
# The -core packages bring the programs without a system service that would start by itself.
quickstart=(mariadb-server-core mariadb-client-core python3 python3-pymysql)
# Compilers' run-time parts and drivers' dependencies that --no-install-recommends leaves out
# are named.
test=("${quickstart[@]}" mariadb-client libcmocka-dev python3-pytest python3-yaml python3-mysqldb
      python3-cryptography python3-zstandard openssl haproxy
      php-cli php-mysql libdbd-mariadb-perl libdbd-mysql-perl golang-go golang-github-go-sql-driver-mysql-dev
      clang libclang-rt-14-dev iproute2 util-linux chromium prometheus valgrind)
bench=("${quickstart[@]}" haproxy sysbench gcc libc6-dev libssl-dev iproute2 valgrind openssl)
roots=(debootstrap)

is_installed()
{
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "packages.sh: neither root nor sudo; please install: ${missing[*]}" >&2
        exit 1
    fi
}

missing=()
for purpose in "$@"; do
    case $purpose in
    build | quickstart | test | bench | roots) ;;
    *) echo "packages.sh: unknown purpose: $purpose" >&2; exit 2 ;;
    esac
    declare -n wanted=$purpose
    for package in "${wanted[@]}"; do
        is_installed "$package" || missing+=("$package")
    done
    # Node may also come from elsewhere than Debian; its packages exclude Debian's npm then.
    if [ "$purpose" = test ]; then
        command -v node >/dev/null || missing+=(nodejs)
        command -v npm >/dev/null || missing+=(npm)
    fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing: ${missing[*]}" >&2
install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends
         "${missing[@]}")
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The lists on the machine may be too old to fetch from, or absent; the update itself may
# fail for a repository that has nothing to do with us.
as_root apt-get update -q >"$log" 2>&1 || true
if ! as_root "${install[@]}" >>"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "packages.sh: apt-get could not install: ${missing[*]}" >&2
    exit 1
fi
