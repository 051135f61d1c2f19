#!/usr/bin/env python3
"""Seeds that are always the same, seeds that nobody has tried yet, and whether every rule was tried by them.

`soak_test.py SIM_SOAK SOURCE [SEEDS]`: fails if a trial fails, or if a rule, a place where one decides, or a refusal
that has a name, was never reached. UNDERSTUDY_FROM sets where the fresh seeds begin.
"""
import os
import re
import subprocess
import sys
import time

NEVER_SENT = {"internal": "no party says that of itself", "unauthorized": "nothing asks for rights yet"}
# Reached once in some hundred trials: a test of the machine alone shows each; here it is only told.
RARE = {"S8: a transfer of an earlier view is taken up again", "S8: a half-received snapshot is dropped after a while",
        "S6: a refused ping teaches the newer view",
        "S8: the log no longer goes back to what the backup holds",
        "R6: a primary that has stopped leads again if nobody else can",
        "C4: a call of an expired session is not repeated in the next one",
        "S9: a snapshot that is received ends one that is written"}


def places(source):
    """Every `reached("...")` of the core."""
    found = set()
    folder = os.path.join(source, "include", "understudy", "core")
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            text = file.read()
        for call in re.findall(r"\breached\((.*?)\);", text, re.S):
            found.update(re.findall(r'"([^"]+)"', call))
    return found


def refusals(source):
    """The names of the errors that travel."""
    with open(os.path.join(source, "include", "understudy", "error.hpp"), encoding="utf-8") as file:
        return set(re.findall(r"ErrorRow\{error::(\w+), -\d+,", file.read()))


def soak(program, *arguments):
    """Runs it and gives what was reached, with counts."""
    print("sim_soak", *arguments, flush=True)
    ran = subprocess.run([program, "--quiet", "--coverage", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    told = [line for line in ran.stdout.splitlines() if not line.startswith("reached ")]
    print("\n".join(told), flush=True)
    if ran.returncode != 0:
        sys.exit(ran.returncode)
    if " 0 histories were too hard to judge" not in ran.stdout:
        sys.exit("not every history was judged: the soak says too little")
    hits = {}
    for line in ran.stdout.splitlines():
        if line.startswith("reached "):
            _, count, place = line.split(" ", 2)
            hits[place] = int(count)
    return hits


def main():
    program, source = sys.argv[1:3]
    seeds = int(sys.argv[3]) if len(sys.argv) > 3 else 400
    fresh = os.environ.get("UNDERSTUDY_FROM") or str(int(time.time()) * 1000)
    hits = {}
    for arguments in (["--seeds", str(seeds)], ["--seeds", str(seeds // 4), "--from", fresh],
                      ["--store", "ledger", "--seeds", str(seeds // 8), "--from", fresh]):
        for place, count in soak(program, *arguments).items():
            hits[place] = hits.get(place, 0) + count
    wanted = places(source) | refusals(source) - set(NEVER_SENT)
    missing = sorted(wanted - set(hits) - RARE)
    for place in sorted(RARE - set(hits)):
        print(f"not reached this time: {place}")
    unknown = sorted(set(hits) - wanted - set(NEVER_SENT) - refusals(source))
    for place in missing:
        print(f"never reached: {place}")
    for place in unknown:
        print(f"reached, but found nowhere in the core: {place}")
    rarest = sorted((hits[place], place) for place in wanted & set(hits))[:5]
    print(f"{len(wanted) - len(missing)} of {len(wanted)} places and refusals were reached; the rarest: " +
          ", ".join(f"{place} ({count})" for count, place in rarest))
    return 1 if missing or unknown else 0


if __name__ == "__main__":
    sys.exit(main())
