#!/bin/sh
# Tries the library with other compilers, standard libraries, Asio and nlohmann/json than the tests do:
# `run.sh [--short] [NAME...]` takes the combinations of the table below, or those named, builds understudy::compiled,
# tests and the first three examples, runs the tests, and prints a row for each. --short: of the tests core alone, and
# no code is made of what a host includes. Exits with 1 if a combination failed, or was named and is skipped.
#
# Needs Debian 12 with what `tests/setup.sh tests` installs, and for
#   clang19...  clang-19, libc++-19-dev, libc++abi-19-dev
#   gcc14...    root and debootstrap: a Debian 13 is made in TRIXIE_DIR, from DEBIAN_MIRROR
#   newest      ASIO_DIR and JSON_DIR, folders with sources of Asio and nlohmann/json
# What is missing is skipped, aloud. Installs nothing outside TRIXIE_DIR. Builds in UNDERSTUDY_BUILD_DIR.
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
build=${UNDERSTUDY_BUILD_DIR:-$source/build/toolchains}
trixie=${TRIXIE_DIR:-$build/trixie}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
jobs=${UNDERSTUDY_JOBS:-1}
asio=${ASIO_DIR:-}
json=${JSON_DIR:-}

# The unit tests whose outcome may depend on a compiler or a package. `few`: the rules, the codec and the sockets. `all`
# adds the completion of calls, files and threads, stores and the simulator. The scenarios, the explorer and the soak
# repeat the same code for long, and are left to tests/run.sh.
few="core wire net"
all="core wire net store service journal sim"
# These try histories by the thousand, which takes minutes without optimization. With it, compiling takes longer than
# all of the tests. The short form leaves out more.
slow="client|replica_slices|.*_random|.*_scale"
short_slow="$slow|replica_journal|replica_joining|replica_pacing"

# NAME, where, compiler, C++ standard, packages, tests, flags. What tests/run.sh builds with anyway is not here: GCC 12
# with C++20 and Debian 12's packages. `debian` are the packages of the Debian in question. A compiler has all tests
# once; what else may differ comes together in few rows, for each costs minutes.
table() {
    cat <<'END'
gcc12-newest    debian12  g++-12      23  newest  few
gcc12-no-rtti   debian12  g++-12      20  debian  few  -fno-rtti -DASIO_NO_TYPEID
gcc14           debian13  g++-14      20  debian  all
gcc14-newest    debian13  g++-14      23  newest  few
clang19         debian12  clang++-19  20  debian  all
clang19-newest  debian12  clang++-19  23  newest  few  -fno-rtti -DASIO_NO_TYPEID
clang19-libc++  debian12  clang++-19  20  debian  few  -stdlib=libc++
libc++-newest   debian12  clang++-19  23  newest  few  -stdlib=libc++
END
}

# ---- one combination --------------------------------------------------------------------------------------

skip() { outcome="skipped: $*"; }
fail() { outcome="FAILED: $*"; }

# holds FOLDER HEADER: where HEADER is found in FOLDER, which is a repository or an include folder.
holds() {
    for folder in "$1/include" "$1/asio/include" "$1"; do
        [ ! -e "$folder/$2" ] || { echo "$folder"; return; }
    done
}

# takes FILE [FLAG]: whether the compiler takes it, by the flags that CMake has for the first example, and that one in
# place of the one for the separate form.
takes() {
    sed -n 's/^ *"command": "\(.*\) -o .*1_embed.*/\1/p' "$build/$name/compile_commands.json" |
        sed 's/\\"/"/g; s/-DUNDERSTUDY_SEPARATE_COMPILATION//' >"$build/$name/flags"
    eval "$(cat "$build/$name/flags")" ${2:-} -fsyntax-only "$source/$1"
}

# The targets that the newest packages are, for CMake to include: nlohmann/json comes without a CMake package.
write_newest() {
    for target in asio::asio "$asio_folder" nlohmann_json::nlohmann_json "$json_folder"; do
        case $target in
        *::*) printf 'add_library(%s INTERFACE IMPORTED)\nset_target_properties(%s' "$target" "$target" ;;
        *) printf ' PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "%s")\n' "$target" ;;
        esac
    done >"$build/newest.cmake"
}

# combination COMPILER STANDARD PACKAGES TESTS [FLAG...], as $name: sets $outcome.
combination() {
    compiler=$1 standard=$2 packages=$3 tests=$4
    shift 4
    flags=$*
    command -v "$compiler" >/dev/null 2>&1 || { skip "no $compiler here"; return; }
    echo '#include <vector>' | "$compiler" $flags -fsyntax-only -x c++ - 2>/dev/null ||
        { skip "$compiler $flags does not compile here"; return; }
    set -- -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_STANDARD="$standard" -DCMAKE_CXX_FLAGS="$flags"
    if [ "$packages" = newest ]; then
        asio_folder=$(holds "${asio:-/nonexistent}" asio.hpp)
        json_folder=$(holds "${json:-/nonexistent}" nlohmann/json.hpp)
        [ -n "$asio_folder" ] || { skip "ASIO_DIR has no asio.hpp"; return; }
        [ -n "$json_folder" ] || { skip "JSON_DIR has no nlohmann/json.hpp"; return; }
        write_newest
        set -- "$@" -DCMAKE_PROJECT_INCLUDE="$build/newest.cmake"
    fi
    [ "$tests" = all ] && tests=$all || tests=$few
    targets="understudy_compiled example_1_embed example_2_own_store example_3_unix_sockets"
    left_out=$slow
    [ -z "$short" ] || { tests=core targets= left_out=$short_slow; }
    labels=$(echo $tests | tr ' ' '|')
    for test in $tests; do targets="$targets ${test}_test"; done

    rm -rf "$build/$name"
    cmake -S "$source" -B "$build/$name" -GNinja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0 \
        -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=50 "$@" >"$log" 2>&1 || { fail "cmake"; return; }
    if [ -n "$short" ]; then
        takes examples/1_embed.cpp >>"$log" 2>&1 || { fail "examples/1_embed.cpp"; return; }
        takes tests/consume/own_text.cpp -DUNDERSTUDY_SEPARATE_COMPILATION >>"$log" 2>&1 ||
            { fail "tests/consume/own_text.cpp"; return; }
    fi
    cmake --build "$build/$name" -j "$jobs" --target $targets -- -k 0 >>"$log" 2>&1 ||
        { fail "build"; return; }
    ctest --test-dir "$build/$name" -j "$jobs" --output-on-failure -L "^($labels)\$" -E "^core/($left_out)\$" \
        >>"$log" 2>&1 || { fail "tests"; return; }
    outcome="passed${short:+, short}: $tests"
}

# ---- Debian 13 --------------------------------------------------------------------------------------------

# Sets $missing to what hinders us from a Debian 13, and makes one where there is none.
make_trixie() {
    missing=
    [ "$(id -u)" -eq 0 ] || { missing="a Debian 13 needs root"; return; }
    [ ! -e "$trixie/usr/bin/g++-14" ] || return 0
    command -v debootstrap >/dev/null 2>&1 || { missing="no debootstrap here"; return; }
    echo "making a Debian 13 in $trixie"
    mkdir -p "$trixie"
    packages=cmake,g++-14,libasio-dev,libcli11-dev,doctest-dev,ninja-build,nlohmann-json3-dev,python3-minimal
    debootstrap --variant=minbase --include="$packages" trixie "$trixie" "$mirror" >"$build/trixie.log" 2>&1 ||
        missing="debootstrap failed: see $build/trixie.log"
}

# The same script, within: what it needs is copied there, and its row comes from there.
in_trixie() {
    make_trixie
    [ -z "$missing" ] || { skip "$missing"; return; }
    within=$trixie/understudy
    rm -rf "$within"
    mkdir -p "$within"
    (cd "$source" && cp -R CMakeLists.txt cmake docs examples include tests "$within")
    [ -z "$asio" ] || cp -R "$(holds "$asio" asio.hpp)" "$within/asio"
    [ -z "$json" ] || cp -R "$(holds "$json" nlohmann/json.hpp)" "$within/json"
    # Tests read /proc. It is mounted for these commands alone, so none stays behind.
    unshare --mount sh -c 'mount -t proc proc "$1/proc" && exec chroot "$@"' sh "$trixie" \
        env -u TRIXIE_DIR WITHIN_TRIXIE=yes UNDERSTUDY_BUILD_DIR=/understudy/build UNDERSTUDY_JOBS="$jobs" \
        ${asio:+ASIO_DIR=/understudy/asio} ${json:+JSON_DIR=/understudy/json} \
        sh /understudy/tests/toolchains/run.sh ${short:+--short} "$name" >"$build/within" || true
    cp "$within/build/$name.log" "$log" 2>/dev/null || true
    outcome=$(sed -n "s/^$name  *[0-9]* s  //p" "$build/within")
    [ -n "$outcome" ] || fail "nothing came of it"
}

# ---- all --------------------------------------------------------------------------------------------------

short=
[ "${1:-}" != --short ] || { short=yes; shift; }
for wanted; do
    table | grep -q "^$wanted " || { echo "no combination is called $wanted; there are:" >&2; table >&2; exit 2; }
done
mkdir -p "$build"
table >"$build/table"
status=0
while read -r name where rest <&3; do
    case " ${*:-$name} " in *" $name "*) ;; *) continue ;; esac
    log=$build/$name.log
    began=$(date +%s)
    : >"$log"
    if [ "$where" = debian13 ] && [ -z "${WITHIN_TRIXIE:-}" ]; then
        in_trixie
    else
        combination $rest
    fi
    printf '%-14s %4s s  %s\n' "$name" $(($(date +%s) - began)) "$outcome"
    case $outcome in
    skipped*) [ $# -eq 0 ] || status=1 ;;
    FAILED*)
        status=1
        echo "    the first errors in $log:"
        grep -E 'error:|Error|ERROR|\((Failed|Timeout)\)' "$log" | head -n 5 | cut -c 1-300 | sed 's/^/    /'
        ;;
    esac
done 3<"$build/table"
exit "$status"
