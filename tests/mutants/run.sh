#!/bin/sh
# Deliberate errors, one at a time: each patch here is applied to a copy, and the tests of the state machines alone must
# find it; if only a whole cluster shows the error, the soak must find it.
# `sh tests/mutants/run.sh [NAME...]` prints which check caught each error (for the soak, after how many seeds), and at
# the end `caught N of N`; exit code 1 if one was missed. UNDERSTUDY_SEEDS sets the most seeds to try (5000).
# UNDERSTUDY_BY=soak asks the soak first, to show what its checks are worth.
# An interrupted run continues: the errors caught so far are recorded in the build folder until the library or the soak
# changes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
build=${UNDERSTUDY_BUILD_DIR:-$source/build/mutants}
seeds=${UNDERSTUDY_SEEDS:-5000}
compiler=${CXX:-c++}
by=${UNDERSTUDY_BY:-tests}
flags="-std=c++20 -Og -DASIO_STANDALONE -DASIO_NO_DEPRECATED -pthread"
if $compiler --version | grep -q "Free Software Foundation"; then
    flags="$flags --param ggc-min-heapsize=600000" # see cmake/Development.cmake
fi

if [ "${1:-}" = --one ]; then # called by itself, for one patch
    name=$2
    work=$build/$name
    sum() { (cd "$source" && find "$@" -type f | LC_ALL=C sort | xargs cat | cksum | cut -d ' ' -f 1); }
    by_tests=$build/caught/$name.tests.$(sum include tests/core tests/support "tests/mutants/$name.patch" 2>/dev/null)
    by_soak=$build/caught/$name.soak.$(sum include tests/soak "tests/mutants/$name.patch" 2>/dev/null)
    for kept in "$by_tests" "$by_soak"; do
        [ ! -e "$kept" ] || exec cat "$kept"
    done
    mkdir -p "$build/caught"
    rm -rf "$work"
    mkdir -p "$work/tests"
    cp -R "$source/include" "$work"
    cp -R "$source/tests/soak" "$source/tests/core" "$source/tests/support" "$source/tests/main.cpp" "$work/tests"
    if [ "$name" != none ] && ! (cd "$work" && patch -s -p1 <"$here/$name.patch") >"$work/log" 2>&1; then
        echo "MISSED $name: the patch does not apply: $(tail -n 1 "$work/log")"
        exit 0
    fi
    # Builds and runs the tests in tests/core of the state machine that the patch changes, or all of them without a
    # patch. The tests of the includes alone are left out, because they find no such error.
    tests_of_machines() {
        case $(sed -n 's|^+++ .*/understudy/||p' "$here/$name.patch" 2>/dev/null) in
            view_service/*) set -- -E 'core/(view_|group_random)' ;;
            client/*) set -- -E 'core/(client|group_random)' ;;
            replica/*) set -- -vE 'core/(view_|client)' ;;
            *) set -- . ;;
        esac
        find "$work/tests/core" -name '*.test.cpp' ! -name 'layers.*' | LC_ALL=C sort | grep "$@" |
            sed 's/.*/#include "&"/' >"$work/tests/machines.cpp"
        set -- "$work/tests/machines.cpp" "$build/tests_main.o" -o "$work/machines"
        $compiler $flags -I"$work/include" -I"$work" "$@" &&
            timeout 900 "$work/machines" --abort-after=1
    }
    if [ "$name" = none ]; then # the code as it is: these tests have to pass
        tests_of_machines >"$work/log" 2>&1 || { tail -n 20 "$work/log"; exit 255; }
        exit 0
    fi
    missed="$(head -n 1 "$here/$name.patch")"
    # Each of these prints a line and records it if the error is caught, and fails otherwise.
    ask_tests() {
        tests_of_machines >"$work/log" 2>&1 && return 1
        test=$(sed -n 's/^TEST CASE:  *//p' "$work/log" | head -n 1)
        if [ -z "$test" ]; then
            missed="the tests of the machines ended without a verdict: $(tail -n 1 "$work/log")"
            return 1
        fi
        echo "caught $name: tests/core, \"$test\"" | tee "$by_tests"
    }
    ask_soak() {
        set -- -I"$work/include" -I"$work" -c "$work/tests/soak/kv.cpp" -o "$work/kv.o"
        if ! $compiler $flags "$@" >"$work/log" 2>&1; then
            missed="it does not compile: $(grep -m 1 error "$work/log")"
            return 1
        fi
        $compiler "$work/kv.o" "$build/main.o" -o "$work/soak" -pthread
        "$work/soak" --quiet --no-shrink --seeds "$seeds" --repeat-each 0 >"$work/log" 2>&1 && return 1
        found=$(sed -n 's/^FAILED: seed \([0-9]*\): \(.*\)/\1 \2/p' "$work/log" | head -n 1 | cut -c 1-160)
        [ -n "$found" ] || found="? $(tail -n 1 "$work/log")"
        echo "caught $name: soak after ${found%% *} seeds: ${found#* }" | tee "$by_soak"
    }
    if [ "$by" = soak ]; then
        ask_soak || ask_tests || echo "MISSED $name: $missed"
    else
        ask_tests || ask_soak || echo "MISSED $name: $missed"
    fi
    rm -rf "$work/include" "$work/tests" "$work/kv.o" "$work/soak" "$work/machines"
    exit 0
fi

for tool in patch "$compiler"; do
    command -v "$tool" >/dev/null 2>&1 || { echo "Missing here: $tool" >&2; exit 1; }
done
mkdir -p "$build"
if [ $# -eq 0 ]; then
    set -- "$here"/*.patch
fi
names=$(for path in "$@"; do basename "$path" .patch; done)
$compiler $flags -I"$source/include" -I"$source" -c "$source/tests/soak/sim_soak.cpp" -o "$build/main.o"
$compiler $flags -I"$source/include" -I"$source" -c "$source/tests/main.cpp" -o "$build/tests_main.o"
UNDERSTUDY_BUILD_DIR=$build sh "$here/run.sh" --one none
printf '%s\n' $names | UNDERSTUDY_BUILD_DIR=$build xargs -P "$(nproc)" -n 1 sh "$here/run.sh" --one | tee "$build/table"
total=$(printf '%s\n' $names | wc -l)
caught=$(grep -c '^caught ' "$build/table" || true)
echo "caught $caught of $total"
[ "$caught" -eq "$total" ]
