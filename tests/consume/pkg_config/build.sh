#!/bin/sh
# For a host with a compiler and pkg-config only: `build.sh COMPILER SOURCE OUTPUT`.
set -eu
flags=$(pkg-config --cflags --libs "understudy >= 0.1")
"$1" -std=c++20 "$2" -o "$3" $flags
