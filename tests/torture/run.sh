#!/bin/sh
# Kills real processes that keep their state on disk, again and again, under load, and checks that every answered write
# is there.
# `sh tests/torture/run.sh [--rounds N] [--seed N] [--tcp] [--help]`; the last line is
# `rounds N, answered X, lost 0, doubled 0`. Builds in build/torture, or in UNDERSTUDY_BUILD_DIR; data is in TMPDIR.
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
build=${UNDERSTUDY_BUILD_DIR:-$source/build/torture}
sh "$source/tests/setup.sh" programs
if [ ! -e "$build/CMakeCache.txt" ]; then
    generator=
    if command -v ninja >/dev/null 2>&1; then generator=-GNinja; fi
    cmake -S "$source" -B "$build" $generator -DCMAKE_BUILD_TYPE=Release >&2
fi
cmake --build "$build" -j "$(nproc)" --target viewd pbd torture >&2
exec "$build/tests/torture" "$build/examples" "$@"
