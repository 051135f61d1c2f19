#!/usr/bin/env python3
"""Whether each header compiles when it is included first. `headers_alone.py COMPILE_COMMANDS INCLUDE COMPILER`.

A header hides nothing from one that includes it. So headers that each include the one before share a translation
unit: nothing is overlooked, and it takes half of the time. Some such lists share one too, which takes a tenth of the
time that a unit for each header would take. There a header of one list can hide that a header of the next lacks an
include, so the smallest list comes first, and tidy.py looks for missing includes too: by the names of types, and of
what is used of other libraries. The flags are those by which the build compiles header_alone.cpp.
"""
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

INCLUDE = re.compile(r"^#include <(understudy/[^>]+)>", re.MULTILINE)


def read_includes(root):
    """Of each header below `root`: those that it includes itself."""
    found = {}
    for folder, _, names in os.walk(os.path.join(root, "understudy")):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(".hpp"):
                with open(path, encoding="utf-8") as file:
                    found[os.path.relpath(path, root)] = set(INCLUDE.findall(file.read()))
    return found


def closures(includes):
    """Of each header: all that come with it. It is no part of that itself, also where headers include each other."""
    def reach(header):
        seen, todo = set(), [header]
        while todo:
            for other in includes.get(todo.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        return seen - {header}
    return {header: reach(header) for header in includes}


def chains(includes):
    """The fewest lists of headers of which each includes the one before: Dilworth's theorem, by a largest matching."""
    comes_with = closures(includes)

    def goes_before(one, other):
        return one in comes_with[other] and other not in comes_with[one]
    followers = {one: sorted((other for other in includes if goes_before(one, other)),
                             key=lambda other: (len(comes_with[other]), other)) for one in includes}
    before = {}

    def place(one, tried):
        for other in followers[one]:
            if other not in tried:
                tried.add(other)
                if other not in before or place(before[other], tried):
                    before[other] = one
                    return True
        return False
    for one in sorted(includes, key=lambda header: (len(comes_with[header]), header)):
        place(one, set())
    after = {one: other for other, one in before.items()}
    lists = [[header] for header in sorted(includes) if header not in before]
    for found in lists:
        while found[-1] in after:
            found.append(after[found[-1]])
    return sorted(lists, key=lambda found: -len(comes_with[found[-1]]))


def compiler_command(path, compiler):
    """The compiler and its flags, without what starts it, and without what names the source and the object."""
    with open(path, encoding="utf-8") as file:
        (entry,) = [one for one in json.load(file) if os.path.basename(one["file"]) == "header_alone.cpp"]
    words = shlex.split(entry["command"])
    words, kept = iter(words[words.index(compiler):]), []
    for word in words:
        if word in ("-o", "-c", "-MF", "-MT", "-MQ"):
            next(words)
        elif word not in ("-MD", "-MMD") and word != entry["file"]:
            kept.append(word)
    return kept + ["-fsyntax-only"]


def compile_chain(command, headers, folder):
    """What the compiler says against it, or nothing."""
    source = os.path.join(folder, re.sub(r"\W", "_", headers[-1]) + ".cpp")
    with open(source, "w", encoding="utf-8") as file:
        file.writelines(f"#include <{header}>\n" for header in headers)
    done = subprocess.run([*command, source], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return "" if done.returncode == 0 else f"included in this order: {', '.join(headers)}\n{done.stdout}"


LISTS = 12  # in one translation unit


def groups(lists):
    """So many lists each, a small one first: it brings the least that the next ones could lack."""
    count = -(-len(lists) // LISTS)
    return [sum(reversed(lists[first::count]), []) for first in range(count)]


def main(commands, root, compiler):
    includes = read_includes(root)
    lists = groups(chains(includes))
    command = compiler_command(commands, compiler)
    with tempfile.TemporaryDirectory() as folder, \
            concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        faults = [fault for fault in pool.map(lambda one: compile_chain(command, one, folder), lists) if fault]
    print("\n".join([*faults, f"{len(includes)} headers in {len(lists)} translation units, {len(faults)} faults"]))
    return 1 if faults or not includes else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
