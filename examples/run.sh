#!/bin/sh
# The demo: installs what is missing, builds it, and shows a failover. `sh examples/run.sh [--help | options]`.
# Builds in build/demo, or in UNDERSTUDY_BUILD_DIR.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
build=${UNDERSTUDY_BUILD_DIR:-$source/build/demo}
jobs=$(nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)

sh "$source/tests/setup.sh" programs

# The reader waits for this build. Two units of the library, each of less than 1.5 GB, read Asio and nlohmann/json twice
# and not ten times; and -Og takes two thirds of the time of -O2.
# Warnings of this system's compiler are not treated as errors: they do not concern the reader.
configure() {
    set -- -DCMAKE_BUILD_TYPE=Release "-DCMAKE_CXX_FLAGS_RELEASE=-Og -DNDEBUG" -DCMAKE_COMPILE_WARNING_AS_ERROR=OFF \
        -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=6 \
        -DUNDERSTUDY_BUILD_TESTS=OFF -DUNDERSTUDY_BUILD_EXAMPLES=ON
    if command -v ninja >/dev/null 2>&1; then set -- -GNinja "$@"; fi
    rm -f "$build/CMakeCache.txt" # of a configuration that broke off
    cmake -S "$source" -B "$build" "$@"
}
# A folder that is already configured is used as it is.
compile() {
    if [ ! -e "$build/build.ninja" ] && [ ! -e "$build/Makefile" ]; then configure || return 1; fi
    cmake --build "$build" -j "$jobs" --target viewd pbd pbc demo
}

mkdir -p "$build"
log=$build/build.log
start=$(date +%s)
seconds() { echo $(($(date +%s) - start)); }
compile >"$log" 2>&1 &
compiler=$!
trap 'kill "$compiler" 2>/dev/null || true; exit 130' INT TERM HUP
if [ -t 1 ]; then
    while kill -0 "$compiler" 2>/dev/null; do
        # "[2/6] Building ..." of Ninja, "[ 33%] Building ..." of Make
        step=$(sed -n 's/^\(\[[^]]*\]\) [BL].*ing .*/\1/p' "$log" | tail -n 1)
        printf '\rBuilding the servers and the demo, one or two minutes: %s s %s ' "$(seconds)" "$step"
        sleep 1
    done
    printf '\r\033[K'
else
    echo "Building the servers and the demo, one or two minutes ..."
fi
if ! wait "$compiler"; then
    cat "$log" >&2
    echo "The build failed after $(seconds) s; its output is above, and in $log." >&2
    exit 1
fi
trap - INT TERM HUP
[ "$(seconds)" -lt 5 ] || echo "Built in $(seconds) s."

exec "$build/examples/demo" "$@"
