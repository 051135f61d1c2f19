#!/usr/bin/env python3
"""Compares what one operation costs with what is recorded in baseline.json.

check.py PROGRAM COMPILER [--record]: the program of this folder, and the compiler's name and version.
Allocations must be as recorded, instructions (callgrind) and system calls (strace) within 3%. A compiler of which
nothing is recorded is measured and passes. --record writes what was measured.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

BASELINE = pathlib.Path(__file__).with_name("baseline.json")
TOLERANCE = 0.03
FEW, MANY = 2000, 4000


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


def one_more(measure):
    """What one more operation costs: the start and the end of a run cost the same however many are done."""
    return (measure(MANY) - measure(FEW)) / (MANY - FEW)


def allocations(program, what, in_flight):
    return one_more(lambda count: int(output(program, "operation", what, in_flight, str(count))[0]))


def instructions(program, what, in_flight):
    def measure(count):
        _, told = output("valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=/dev/null",
                         program, "operation", what, in_flight, str(count))
        return int(re.search(r"Collected : (\d+)", told).group(1))

    return one_more(measure)


def system_calls(program):
    def measure(count):
        with tempfile.TemporaryDirectory() as folder:
            _, told = output("strace", "-f", "-c", "-U", "calls", program, "sockets", folder, str(count))
            return int(told.strip().splitlines()[-1].split()[0])  # the sum in the last line of the table

    return one_more(measure)


def measure(program):
    figures = {}
    for what in ("put", "get"):
        for in_flight in ("1", "64"):
            name = f"{what}, {in_flight} in flight"
            figures[name + ": allocations"] = round(allocations(program, what, in_flight), 3)
            figures[name + ": instructions"] = round(instructions(program, what, in_flight))
    figures["put over unix sockets: system calls"] = round(system_calls(program), 2)
    return figures


def differs(name, found, recorded):
    if name.endswith("allocations"):
        return found != recorded
    return abs(found - recorded) > TOLERANCE * recorded


def main():
    program, compiler = sys.argv[1:3]
    recorded = json.loads(BASELINE.read_text())
    found = measure(program)
    if "--record" in sys.argv:
        recorded[compiler] = found
        BASELINE.write_text(json.dumps(recorded, indent=2, sort_keys=True) + "\n")
    before = recorded.get(compiler)
    wrong = 0
    for name, figure in found.items():
        print(f"{name}: {figure}" + (f", recorded {before[name]}" if before else ", nothing recorded for " + compiler))
        wrong += bool(before) and differs(name, figure, before[name])
    if wrong:
        sys.exit(f"{wrong} figures differ; if that is meant: cmake --build BUILD --target record_cost")


if __name__ == "__main__":
    main()
