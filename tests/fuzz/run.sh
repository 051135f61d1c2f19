#!/bin/sh
# Fuzzes for a while: `run.sh SECONDS [TARGET...]` builds the targets with clang's libFuzzer, ASan and UBSan, runs two
# at a time and prints the result. `run.sh keep [TARGET...]` takes the inputs found into the corpus of the tests,
# `run.sh build` only builds.
# Installs nothing (`tests/setup.sh fuzz` does). Builds in build/fuzz, or in UNDERSTUDY_BUILD_DIR; the compiler is
# CLANGXX, or the newest clang that has libFuzzer; UNDERSTUDY_JOBS targets run at a time.
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
build=${UNDERSTUDY_BUILD_DIR:-$source/build/fuzz}
jobs=${UNDERSTUDY_JOBS:-2}
all="frame json view_rules replica_rules clerk_rules snapshot transfer"
kept_files=150    # of each target, and
kept_bytes=200000

usage() {
    echo "usage: run.sh SECONDS [TARGET...] | run.sh keep [TARGET...] | run.sh build; targets: $all" >&2
    exit 2
}
[ $# -ge 1 ] || usage
what=$1
shift
case $what in keep | build) ;; *[!0-9]* | '') usage ;; esac
targets=${*:-$all}
for target in $targets; do
    case " $all " in *" $target "*) ;; *) usage ;; esac
done

# ---- build ------------------------------------------------------------------------------------------------

mkdir -p "$build"
fuzzes() {
    command -v "$1" >/dev/null 2>&1 &&
        echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
        "$1" -fsanitize=fuzzer,address,undefined -x c++ - -o "$build/probe" 2>"$build/probe.log"
}
compiler=
for candidate in ${CLANGXX:-clang++-19 clang++-18 clang++-17 clang++-16 clang++-15 clang++}; do
    if fuzzes "$candidate"; then
        compiler=$candidate
        break
    fi
done
if [ -z "$compiler" ]; then
    echo "No clang with libFuzzer here${CLANGXX:+: CLANGXX is $CLANGXX}." >&2
    echo "On Debian: sh tests/setup.sh fuzz, which installs clang-19 and libclang-rt-19-dev." >&2
    exit 1
fi
ccache=
command -v ccache >/dev/null 2>&1 && ccache=ccache
# Whether the existing binary was built from these sources by this compiler.
up_to_date() {
    [ -e "$build/fuzzer" ] && [ -e "$build/fuzzer.d" ] && [ "$(cat "$build/fuzzer.by" 2>/dev/null)" = "$compiler" ] &&
        ! sed 's/^[^:]*://; s/\\$//' "$build/fuzzer.d" | tr -s ' ' '\n' | while read -r file; do
            [ -z "$file" ] || { [ -e "$file" ] && [ ! "$file" -nt "$build/fuzzer" ]; } || echo "$file"
        done | grep -q .
}
# -O1 and vectors of checks as they are: a fuzzer wants many executions, and each of them looked at.
if ! up_to_date; then
    echo "building with $compiler"
    $ccache "$compiler" -std=c++20 -O1 -g1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
        -fno-sanitize-recover=all -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -MMD -MF "$build/fuzzer.d" \
        -I"$source" -I"$source/include" -c "$source/tests/fuzz/fuzzer.cpp" -o "$build/fuzzer.o"
    "$compiler" -fsanitize=fuzzer,address,undefined "$build/fuzzer.o" -o "$build/fuzzer"
    echo "$compiler" >"$build/fuzzer.by"
fi
[ "$what" != build ] || exit 0

# ---- keep -------------------------------------------------------------------------------------------------

# keep TARGET: keeps the fewest inputs that reach all code that any input reaches; if they are too many, the longest of
# them.
keep() {
    kept=$source/tests/fuzz/corpus/$1
    rm -rf "$build/cover"
    mkdir -p "$build/cover" "$build/corpus/$1" "$kept"
    UNDERSTUDY_FUZZ=$1 "$build/fuzzer" -set_cover_merge=1 "$build/cover" "$kept" "$build/corpus/$1" \
        >"$build/$1.keep.log" 2>&1 || { tail -n 20 "$build/$1.keep.log" >&2; exit 1; }
    find "$kept" -type f ! -name 'found_*' -exec rm {} +    # found_*: showed a bug once, kept for good
    count=0
    bytes=0
    for file in $(ls -S "$build/cover"); do
        size=$(wc -c <"$build/cover/$file")
        [ $((count + 1)) -le "$kept_files" ] && [ $((bytes + size)) -le "$kept_bytes" ] || continue
        count=$((count + 1))
        bytes=$((bytes + size))
        cp "$build/cover/$file" "$kept/$(printf %.12s "$file")"
    done
    echo "$1: kept $count files, $bytes bytes, of $(ls "$build/cover" | wc -l)"
}
if [ "$what" = keep ]; then
    for target in $targets; do keep "$target"; done
    exit 0
fi

# ---- run --------------------------------------------------------------------------------------------------

fuzz() {
    mkdir -p "$build/corpus/$1" "$build/crashes" "$source/tests/fuzz/corpus/$1"
    UNDERSTUDY_FUZZ=$1 "$build/fuzzer" -max_total_time="$what" -max_len=1024 -timeout=20 -rss_limit_mb=2048 \
        -dict="$source/tests/fuzz/json.dict" -artifact_prefix="$build/crashes/$1-" -print_final_stats=1 \
        "$build/corpus/$1" "$source/tests/fuzz/corpus/$1" >"$build/$1.log" 2>&1 || echo "$?" >"$build/$1.failed"
}
# of TARGET NAME: one of the final statistics
of() { sed -n "s/^stat::$2: *//p" "$build/$1.log"; }

set -- $targets
while [ $# -gt 0 ]; do
    together=
    while [ $# -gt 0 ] && [ "$(echo $together | wc -w)" -lt "$jobs" ]; do
        together="$together $1"
        rm -f "$build/$1.failed"
        fuzz "$1" &
        shift
    done
    wait
    for target in $together; do
        coverage=$(sed -n 's/.* cov: \([0-9]*\) ft: \([0-9]*\) .*/\1 edges, \2 features/p' "$build/$target.log" |
            tail -n 1)
        echo "$target: $(of "$target" number_of_executed_units) executions," \
            "$(of "$target" average_exec_per_sec) a second, $coverage, $(of "$target" new_units_added) new files"
    done
done

crashes=0
for target in $targets; do
    [ -e "$build/$target.failed" ] || continue
    crashes=$((crashes + 1))
    echo "$target: FAILED" >&2
    grep -E 'check failed|ERROR: |runtime error|SUMMARY|what\(\)' "$build/$target.log" | head -n 5 >&2
    input=$(sed -n 's/.*Test unit written to //p' "$build/$target.log" | tail -n 1)
    echo "replay it: UNDERSTUDY_FUZZ=$target $build/fuzzer ${input:-$build/corpus/$target}" >&2
done
echo "$crashes crashes"
[ "$crashes" -eq 0 ]
