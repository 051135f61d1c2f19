#!/usr/bin/env python3
"""Compares what one operation costs with what is recorded in baseline.json.

check.py PROGRAM COMPILER [--record]: the program of this folder, and the compiler's name and version. Two things are
measured: one operation over the simulated network, all together; and for several loads what each party does, over Unix
sockets. Simulated allocations must be as recorded; all else (instructions by callgrind, system calls by strace) within
3%. A compiler of which nothing is recorded is measured and passes. --record writes what was measured.
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


PARTIES = ("client", "primary", "backup")
# What the parties do: put or get, connections, calls in flight on each, bytes of a value, how often.
LOADS = {
    "put, 64 connections": ("put", 64, 1, 100, 2048),
    "put, 1 in flight": ("put", 1, 1, 100, 500),
    "put, 1 connection, 64 in flight": ("put", 1, 64, 100, 2048),
    "get, 64 connections": ("get", 64, 1, 100, 2048),
    "put of 64 KiB, 16 connections": ("put", 16, 1, 65536, 160),
}


def run_parties(program, load, *tool):
    """Turns and allocations of each party."""
    with tempfile.TemporaryDirectory(prefix="understudy-cost-") as folder:
        told, _ = output(*tool, program, "parties", folder, *map(str, load))
    rows = (line.split() for line in told.splitlines())
    return {party: (int(turns), int(allocations)) for party, turns, allocations in rows}


def instructions_of_turns(program, load):
    """Of the turns of each party, and under `look_in_vain` of all looks that find nothing."""
    with tempfile.NamedTemporaryFile(prefix="callgrind-") as profile:
        run_parties(program, load, "valgrind", "--tool=callgrind", "--instr-atstart=no",
                    f"--callgrind-out-file={profile.name}")
        listed, _ = output("callgrind_annotate", "--inclusive=yes", "--threshold=100", profile.name)
    found = re.findall(r"^ *([\d,]+) .*:(?:turn_of_(\w+)|(look_in_vain)) ", listed, re.M)
    return {party or look: int(count.replace(",", "")) for count, party, look in found}


def system_calls_of_turns(program, load):
    """The same of system calls. The program marks whose turn it is by calls that fail."""
    with tempfile.NamedTemporaryFile(prefix="strace-", mode="r", encoding="utf-8", errors="replace") as trace:
        run_parties(program, load, "strace", "-o", trace.name)
        calls, whose = {}, ""
        for line in trace:
            if mark := re.match(r'write\(-1, "(\w+)"', line):
                whose = mark.group(1)
                if whose == "begin":
                    calls = {}
            else:
                calls[whose] = calls.get(whose, 0) + 1
    return calls


def measure_parties(program):
    """What one operation costs each party. A turn ends with a look that finds nothing, where a process of its own would
    sleep: that is subtracted."""
    figures = {}
    for load, how in LOADS.items():
        counts = run_parties(program, how)
        all_turns = sum(turns for turns, _ in counts.values())
        for kind, of_turns in (("instructions", instructions_of_turns(program, how)),
                               ("system calls", system_calls_of_turns(program, how))):
            in_vain = of_turns["look_in_vain"] / all_turns
            for party in PARTIES:
                cost = (of_turns[party] - counts[party][0] * in_vain) / how[-1]
                figures[f"{load}: {kind}, {party}"] = round(cost) if kind == "instructions" else round(cost, 2)
        for party in PARTIES:
            figures[f"{load}: allocations, {party}"] = round(counts[party][1] / how[-1], 2)
    return figures


def measure_operation(program):
    """What one operation costs all together, with the simulator."""
    figures = {}
    for what in ("put", "get"):
        for in_flight in ("1", "64"):
            name = f"simulated {what}, {in_flight} in flight"
            figures[name + ": allocations"] = round(allocations(program, what, in_flight), 3)
            figures[name + ": instructions"] = round(instructions(program, what, in_flight))
    return figures


def differs(name, found, recorded):
    if name.startswith("simulated") and name.endswith("allocations"):
        return found != recorded
    least = 30 if "instructions" in name else 0.02  # what a ping in between makes of a small figure
    return abs(found - recorded) > max(TOLERANCE * recorded, least)


def main():
    program, compiler = sys.argv[1:3]
    recorded = json.loads(BASELINE.read_text())
    found = {**measure_operation(program), **measure_parties(program)}
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
