#!/usr/bin/env python3
"""Compares what a host's source files cost to compile with what is recorded in compile.json.

compile.py COMPILER "NAME VERSION" [FLAG...] [--record]: the compiler, as it is recorded, and the flags that its headers
need. CPU seconds and memory are multiples of what units/base.cpp takes in the same run, at -O0; of several runs the
least counts, since what else the machine does only adds to them. A unit fails that takes half as much CPU again as
recorded, or a tenth more memory. A compiler of which nothing is recorded is measured and passes. --record writes what
was measured.
"""
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
BASELINE = HERE / "compile.json"
TOLERANCE = {"cpu": 1.5, "memory": 1.1}
RUNS, MORE_RUNS = 2, 2  # and more where a figure is too high
LONG = "1_embed, headers alone"  # as long as all others: it is compiled once, unless that was too slow

SEPARATE = ["-DUNDERSTUDY_SEPARATE_COMPILATION"]
BASE = (HERE / "units" / "base.cpp", [])
UNITS = {
    "included only, compiled apart": (HERE / "units" / "include.cpp", SEPARATE),
    "1_embed, compiled apart": (ROOT / "examples" / "1_embed.cpp", SEPARATE),
    LONG: (ROOT / "examples" / "1_embed.cpp", []),
}


def compile_once(compiler, flags, unit):
    """CPU seconds and peak memory in KiB."""
    source, more = unit
    command = [compiler, "-std=c++20", "-O0", "-w", "-DASIO_STANDALONE", f"-I{ROOT / 'include'}", *flags, *more, "-c",
               "-o", "/dev/null", str(source)]
    environment = {**os.environ, "CCACHE_DISABLE": "1"}
    child = os.posix_spawnp(compiler, command, environment)
    _, status, used = os.wait4(child, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)}: failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss


class Meter:
    """The least that each unit took so far."""

    def __init__(self, compiler, flags):
        self.compiler, self.flags = compiler, flags
        self.least = {}

    def run(self, leave_out=""):
        for name, unit in {"base": BASE, **UNITS}.items():
            if name == leave_out:
                continue
            took = compile_once(self.compiler, self.flags, unit)
            self.least[name] = [min(pair) for pair in zip(took, self.least.get(name, took))]

    def multiples(self):
        base = self.least["base"]
        return {name: {kind: round(took / of, 2) for kind, took, of in zip(TOLERANCE, self.least[name], base)}
                for name in UNITS}


def grown(found, before):
    return [(name, kind) for name, figures in found.items() for kind, figure in figures.items()
            if name in before and figure > before[name][kind] * TOLERANCE[kind]]


def main():
    compiler, called, *flags = [argument for argument in sys.argv[1:] if argument != "--record"]
    recorded = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    before = recorded.get(called, {})
    meter = Meter(compiler, flags)
    meter.run()
    for _ in range(RUNS - 1):
        meter.run(leave_out=LONG)
    for _ in range(MORE_RUNS):
        if grown(meter.multiples(), before) and "--record" not in sys.argv:
            meter.run()
    found = meter.multiples()
    if "--record" in sys.argv:
        recorded[called] = before = found
        BASELINE.write_text(json.dumps(recorded, indent=2, sort_keys=True) + "\n")
    for name, figures in found.items():
        for kind, figure in figures.items():
            known = f"recorded {before[name][kind]}" if name in before else f"nothing recorded for {called}"
            print(f"{name}: {kind} {figure} x base, {known}")
    if wrong := grown(found, before):
        sys.exit(f"{len(wrong)} figures grew; if that is meant: cmake --build BUILD --target record_compile")


if __name__ == "__main__":
    main()
