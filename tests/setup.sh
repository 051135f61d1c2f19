#!/bin/sh
# Installs what is missing to build: `setup.sh programs` for the programs and the demo, `setup.sh tests` for all.
# Knows apt; elsewhere it names what is missing and fails. Touches nothing if nothing is missing.
set -eu
what=${1:-tests}

works() { command -v "$1" >/dev/null 2>&1; }
includes() { echo "#include <$1>" | "${CXX:-c++}" -E -x c++ - >/dev/null 2>&1; }

# missing PACKAGE CHECK...: notes the Debian package if the check fails
packages=
missing() {
    package=$1
    shift
    "$@" || packages="$packages $package"
}

missing g++ works "${CXX:-c++}"
missing cmake works cmake
works make || missing ninja-build works ninja
missing libasio-dev includes asio.hpp
missing nlohmann-json3-dev includes nlohmann/json.hpp
missing libcli11-dev includes CLI/CLI.hpp
if [ "$what" = tests ]; then
    missing ninja-build works ninja
    missing doctest-dev includes doctest/doctest.h
    missing pkg-config works pkg-config
    missing meson works meson
    missing python3 works python3
    missing ccache works ccache
fi
packages=$(printf '%s\n' $packages | sort -u | tr '\n' ' ')
[ -n "${packages% }" ] || exit 0

if ! works apt-get; then
    echo "Missing here, by the names that Debian gives them: $packages" >&2
    echo "Please install them with this system's package manager, then start again." >&2
    exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! works sudo; then
        echo "Missing here: $packages" >&2
        echo "Please run as root: apt-get install $packages" >&2
        exit 1
    fi
    as_root=sudo
fi
echo "Installing: $packages"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages; }
if ! { { $as_root apt-get update && install; } >"$log" 2>&1; }; then
    cat "$log" >&2
    echo "Could not install: $packages" >&2
    exit 1
fi
