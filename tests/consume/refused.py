#!/usr/bin/env python3
"""A store that lacks a part is refused with one sentence that names the part: `refused.py COMPILER FLAG...`.

Compiles refused.cpp once as it is, and once without each part. Counted are the lines that the compiler prints by
default, without those that only say which header included which ("In file included from", "from") and without those
that only underline the line above (carets)."""

import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("refused.cpp")
MAX_LINES = 10

CASES = {
    "TYPE": "Store: the type `Command`, `Query` or `Reply` is missing",
    "COPY": "Store: it cannot be copied",
    "QUERY": "Store: `Reply query(const Query&) const` is missing",
    "QUERY AS_SERVICE": "Store: `Reply query(const Query&) const` is missing",
    "RESTORE": "Store: `restore(std::string_view)`, or the streaming form of it, is missing",
    "COMMAND_JSON": "Store: `from_json` or `decode_command` of its `Command` is missing",
    "REPLY_JSON": "Store: `to_json` or `encode` of its `Reply` is missing",
    "HEADER": "Store: include <nlohmann/json.hpp> before",
    "COMMAND_JSON AS_CLIENT": "StoreApi: `to_json` or `encode_command` of `Command` is missing",
    "HEADER AS_CLIENT": "StoreApi: include <nlohmann/json.hpp> before",
}


def counted(output):
    """The lines of the output that count."""
    chain = re.compile(r"(In file included from|\s+from) .*")
    underline = re.compile(r"\s*\|[\s~^]*")
    return [line for line in output.splitlines() if not chain.fullmatch(line) and not underline.fullmatch(line)]


def fault(name, compiled, sentence):
    """What is wrong with the outcome of a compilation, or an empty string."""
    if compiled.returncode == 0:
        return f"{name}: was not refused"
    lines = counted(compiled.stderr)
    saying = [line for line in lines if "Store: " in line or "StoreApi: " in line]
    if len(saying) != 1 or sentence not in saying[0]:
        return f"{name}: expected the one sentence '{sentence}':\n{compiled.stderr}"
    if SOURCE.name not in next((line for line in lines if "error: " in line), ""):
        return f"{name}: the error is not at the host's line:\n{compiled.stderr}"
    if len(lines) > MAX_LINES:
        return f"{name}: {len(lines)} lines, more than {MAX_LINES}:\n{compiled.stderr}"
    return ""


def main(command):
    compile_host = [*command, "-std=c++20", "-fsyntax-only", str(SOURCE)]
    whole = subprocess.run([*compile_host, "-DAS_SERVICE"], capture_output=True, text=True)
    faults = [f"the whole store was refused:\n{whole.stderr}"] if whole.returncode else []
    for case, sentence in CASES.items():
        part, *mode = case.split()
        macros = [f"-DWITHOUT_{part}", *(f"-D{one}" for one in mode)]
        compiled = subprocess.run([*compile_host, *macros], capture_output=True, text=True)
        faults.append(fault(case, compiled, sentence))
    for one in filter(None, faults):
        print(one)
    return 1 if any(faults) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
