#!/bin/sh
# Installs what is missing, builds everything and runs every test. `sh tests/run.sh [arguments for ctest]`.
# Builds in build/test, or in UNDERSTUDY_BUILD_DIR.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
build=${UNDERSTUDY_BUILD_DIR:-$source/build/test}
jobs=$(nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)

sh "$source/tests/setup.sh" tests

generator=
command -v ninja >/dev/null 2>&1 && [ ! -e "$build/CMakeCache.txt" ] && generator=-GNinja
# Several test files are compiled as one unit, so that the templates that they share are compiled once.
cmake -S "$source" -B "$build" $generator -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0 \
    -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=50
cmake --build "$build" -j "$jobs"

# ctest's output, then its summary once more in one line. A plain pipe would hide ctest's exit code.
status=0
{ ctest --test-dir "$build" -j "$jobs" --output-on-failure "$@" || echo $? >"$build/ctest.status"; } 2>&1 |
    tee "$build/ctest.log"
if [ -e "$build/ctest.status" ]; then
    status=$(cat "$build/ctest.status")
    rm -f "$build/ctest.status"
fi
# "95% tests passed, 1 tests failed out of 20"
summary=$(sed -n 's/.*tests passed, \([0-9]*\) tests failed out of \([0-9]*\).*/\1 \2/p' "$build/ctest.log" | tail -n 1)
if [ -z "$summary" ]; then
    echo "ctest ran no test" >&2
    [ "$status" -ne 0 ] || status=1
    summary="0 0"
fi
# A failure with a fresh seed does not fail the run, and ctest does not show the output of tests that pass; so it is
# printed here.
found=$build/tests/soak_found.txt
if [ -s "$found" ]; then
    echo "#### FRESH SEEDS OF THE SOAK HAVE FAILED (arguments of sim_soak; see tests/soak/soak_test.py):"
    cat "$found"
fi
# Prints the output of the failed tests again, because it is hard to find in the whole output.
if [ "$status" -ne 0 ]; then
    echo "#### WHAT FAILED HAS SAID, THE LAST LINES:"
    awk '/^ *[0-9]+\/[0-9]+ Test +#|^ +Start +[0-9]+: |% tests passed/ { failed = /\*\*\*/ } failed' \
        "$build/ctest.log" | tail -n 100
fi
failed=${summary% *}
total=${summary#* }
echo "$((total - failed)) passed, $failed failed"
exit "$status"
