#!/bin/sh
# Whether Clang takes what a host includes, in both forms, without a warning. The compiler is CLANGXX, or the newest
# that there is. Asio before 1.26 does not see that Clang has coroutines, so it is told.
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
for clang in ${CLANGXX:-clang++-19 clang++-18 clang++-17 clang++}; do
    command -v "$clang" >/dev/null 2>&1 && break
done
command -v "$clang" >/dev/null 2>&1 || { echo "No Clang here; on Debian: sh tests/setup.sh fuzz" >&2; exit 1; }

# takes FILE [FLAG...]
takes() {
    file=$1
    shift
    "$clang" -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror \
        -DASIO_STANDALONE -DASIO_HAS_CO_AWAIT -DASIO_HAS_STD_COROUTINE -I"$source/include" "$@" "$source/$file"
    echo "$clang takes $file $*"
}
takes examples/1_embed.cpp
takes tests/consume/own_text.cpp -DUNDERSTUDY_SEPARATE_COMPILATION
