#!/bin/sh
# Installs the packages that are missing for a build: `setup.sh programs` for the programs and the demo,
# `setup.sh tests` for everything, `setup.sh fuzz` for tests/fuzz/run.sh.
# Uses apt; on other systems it names the missing packages and fails. Does nothing if nothing is missing.
set -eu
what=${1:-tests}

works() { command -v "$1" >/dev/null 2>&1; }
includes() { echo "#include <$1>" | "${CXX:-c++}" -E -x c++ - >/dev/null 2>&1; }

# missing PACKAGE CHECK...: records the Debian package if the check fails
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
    missing valgrind works valgrind
    missing strace works strace
fi
# A clang of version 17 or newer with its libFuzzer; run.sh also accepts an older one if no newer one is available.
fuzzes() {
    for compiler in ${CLANGXX:-clang++-19 clang++-18 clang++-17}; do
        echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
            "$compiler" -fsanitize=fuzzer,address,undefined -x c++ - -o /dev/null 2>/dev/null && return 0
    done
    return 1
}
if [ "$what" = fuzz ]; then
    missing clang-19 fuzzes
    missing libclang-rt-19-dev fuzzes
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
install() {
    case " $packages" in *" clang-19 "*) choose_clang ;; esac
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
}
# If there is no clang-19, chooses the newest one available.
choose_clang() {
    for version in 19 18 17 16 15 14; do
        apt-cache show "clang-$version" "libclang-rt-$version-dev" >/dev/null 2>&1 || continue
        [ "$version" = 19 ] || echo "No clang-19 here; taking clang-$version" >&3
        packages=$(echo "$packages" | sed "s/clang-19/clang-$version/; s/libclang-rt-19-dev/libclang-rt-$version-dev/")
        return
    done
}
exec 3>&1
if ! { { $as_root apt-get update && install; } >"$log" 2>&1; }; then
    cat "$log" >&2
    echo "Could not install: $packages" >&2
    exit 1
fi
