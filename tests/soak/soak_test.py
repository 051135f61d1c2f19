#!/usr/bin/env python3
"""Seeds that are always the same, seeds that nobody has tried yet, and whether every rule was tried by them.

`soak_test.py SIM_SOAK SOURCE [SEEDS]`: fails if a trial of the fixed seeds fails, or one of `found_seeds.txt`, or if a
rule, a place where one decides, or a refusal that has a name, was never reached by the fixed seeds. So the verdict on a
change depends on the change alone.

Fresh seeds look for what nobody has met yet. One that fails says nothing about this change and must not get lost: it is
printed in a frame, and added to `soak_found.txt` beside the program (UNDERSTUDY_FOUND names another file), with the
command that plays it again. Whoever meets one adds the command to `found_seeds.txt`, which makes it a fixed seed, and
mends the fault. UNDERSTUDY_FROM sets where the fresh seeds begin, UNDERSTUDY_FRESH=gate makes them fail the run too.
"""
import glob
import os
import re
import subprocess
import sys
import time

NEVER_SENT = {"internal": "no party says that of itself", "unauthorized": "nothing asks for rights yet"}
# Reached once in a few hundred runs: a test of the state machine alone covers each; here it is only reported.
RARE = {"S8: a transfer of an earlier view is taken up again", "S8: a half-received snapshot is dropped after a while",
        "S6: a refused ping teaches the newer view",
        "S8: the log no longer goes back to the end of the backup's log",
        "R6: a primary that has stopped leads again if no other server can",
        "C4: a call of an expired session is not repeated in the next one",
        "S9: a snapshot that is received ends one that is written",
        "S2: a backup that applies slowly acknowledges no faster than it applies",
        "C4: a session whose results are in the way is closed",
        "C6: a command whose result has no room is refused",
        "C6: a session beyond max_sessions_per_peer is refused",
        "C6: sessions are closed only while the log has room",
        "R0: no group is founded over servers of a former view service that are heard",
        "R7: an adoption waits for servers that know a newer view and have not said which"}
# No fault of the soak forges a view for so long, or restores an older directory of a server: view_behind.test.cpp does.
RARE |= {"R7: a view that no server can have led was forged",
         "R5: an older copy of what a server had stored continues nothing"}


def places(source):
    """Every `reached("...")` of the state machines."""
    found = set()
    rooms = os.path.join(source, "include", "understudy")
    for path in sorted(glob.glob(os.path.join(rooms, "*", "*.[hi]pp"))):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for call in re.findall(r"\breached\((.*?)\);", text, re.S):
            found.update(re.findall(r'"([^"]+)"', call))
    return found


def refusals(source):
    """The names of the errors that travel."""
    with open(os.path.join(source, "include", "understudy", "error.hpp"), encoding="utf-8") as file:
        return set(re.findall(r"ErrorRow\{error::(\w+), -\d+,", file.read()))


def soak(program, *arguments):
    """Runs it; gives what it printed, how it ended, and what was reached, with counts."""
    print("sim_soak", *arguments, flush=True)
    ran = subprocess.run([program, "--quiet", "--coverage", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    told = [line for line in ran.stdout.splitlines() if not line.startswith("reached ")]
    print("\n".join(told), flush=True)
    hits = {}
    for line in ran.stdout.splitlines():
        if line.startswith("reached "):
            _, count, place = line.split(" ", 2)
            hits[place] = int(count)
    return ran.stdout, ran.returncode, hits


def gate(program, *arguments):
    """What has to pass."""
    printed, code, hits = soak(program, *arguments)
    if code != 0:
        sys.exit(code)
    if "--seed" not in arguments and " 0 histories were too hard to check" not in printed:
        sys.exit("not every history was judged: the soak says too little")
    return hits


def look(program, found, *arguments):
    """Fresh seeds. A failure is told and recorded; whether all passed."""
    printed, code, _ = soak(program, *arguments)
    if code == 0:
        return True
    again = re.search(r"^again: +sim_soak (.*)$", printed, re.M)
    line = again.group(1) if again else " ".join(arguments) + f"  # ended with {code}"
    with open(found, "a", encoding="utf-8") as file:
        file.write(line + "\n")
    frame = "#" * 100
    print(f"{frame}\n# A FRESH SEED FAILED. It is no verdict on this change, and it is a fault.\n"
          f"# Play it again: sim_soak {line}\n"
          f"# Recorded in {found}; add the line to tests/soak/found_seeds.txt.\n{frame}", flush=True)
    return False


def found_before(source):
    """The arguments of every seed that once failed."""
    with open(os.path.join(source, "tests", "soak", "found_seeds.txt"), encoding="utf-8") as file:
        return [line.split() for line in file if line.strip() and not line.startswith("#")]


def main():
    program, source = sys.argv[1:3]
    seeds = int(sys.argv[3]) if len(sys.argv) > 3 else 400
    found = os.environ.get("UNDERSTUDY_FOUND") or os.path.join(os.path.dirname(os.path.abspath(program)),
                                                               "soak_found.txt")
    hits = {}
    for arguments in [["--seeds", str(seeds)], ["--store", "ledger", "--seeds", str(seeds // 8)],
                      *found_before(source)]:
        for place, count in gate(program, *arguments).items():
            hits[place] = hits.get(place, 0) + count
    fresh = os.environ.get("UNDERSTUDY_FROM") or str(int(time.time()) * 1000)
    passed = [look(program, found, *arguments)
              for arguments in (["--seeds", str(seeds // 8), "--from", fresh],
                                ["--store", "ledger", "--seeds", str(seeds // 16), "--from", fresh])]
    wanted = places(source) | refusals(source) - set(NEVER_SENT)
    missing = sorted(wanted - set(hits) - RARE)
    for place in sorted(RARE - set(hits)):
        print(f"not reached this time: {place}")
    unknown = sorted(set(hits) - wanted - set(NEVER_SENT) - refusals(source))
    for place in missing:
        print(f"never reached: {place}")
    for place in unknown:
        print(f"reached, but found in no state machine: {place}")
    rarest = sorted((hits[place], place) for place in wanted & set(hits))[:5]
    print(f"{len(wanted) - len(missing)} of {len(wanted)} places and refusals were reached; the rarest: " +
          ", ".join(f"{place} ({count})" for count, place in rarest))
    gated = os.environ.get("UNDERSTUDY_FRESH") == "gate" and not all(passed)
    return 1 if missing or unknown or gated else 0


if __name__ == "__main__":
    sys.exit(main())
