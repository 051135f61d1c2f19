#!/usr/bin/env python3
"""That check.py finds what it is for: the pages of this tree are spoiled in one way after the other."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OPTIONS = "include/understudy/options.hpp"
TESTS = [".test.cpp", "_test.py", ".sh"]
SOURCES = ["error.hpp", "event.hpp", "options.hpp"]

# The fault, the file, the text in it, its replacement, a part of the expected error.
SPOILED = [
    ("a README that is too long", "README.md", r"\Z", "\n" * 150, "150 at most"),
    ("a snippet that differs", "README.md", r"KvStore\{\}", "Store{}", "differs from examples/1_embed.cpp"),
    ("an example without its marks", "examples/1_embed.cpp", r"\[/embed\]", "", "has no part marked"),
    ("a README without the snippet", "README.md", r"cut (.*embed -->)", r"not \1", "snippet of examples/1_embed.cpp"),
    ("a README without a command", "README.md", r"sh tests/run.sh", "make check", "the command `sh tests/run.sh`"),
    ("a command of no file", "README.md", r"sh tests/run.sh", "sh tests/ran.sh", "tests/ran.sh: there is no"),
    ("a link to nowhere", "docs/embedding.md", r"\(stores.md\)", "(shops.md)", "shops.md: there is no such file"),
    ("an image that is missing", "README.md", r"structure\.svg", "none.svg", "none.svg: there is no such file"),
    ("a link to no heading", "README.md", r"#building", "#sleeping", "#sleeping: there is no such heading"),
    ("an option that is missing", "docs/embedding.md", r"\| `max_turn`.*\n", "", "max_turn | 32 KiB: this option"),
    ("an option that differs", "docs/embedding.md", r"`max_dumps` \| 4", "`max_dumps` | 5", "max_dumps | 5"),
    ("an option that the code changed", OPTIONS, r"max_dumps = 4", "max_dumps = 40", "max_dumps | 40"),
    ("options out of order", "docs/embedding.md", r"(.*`max_frame`.*\n)(.*\n)", r"\2\1", "in the order of the code"),
    ("a limit with another default", "docs/operations.md", r"(::window` \|) 1024", r"\1 7", "not 7"),
    ("an error that is missing", "docs/embedding.md", r"\| `superseded`.*\n", "", "superseded: this error"),
    ("an error of no code", "docs/embedding.md", r"`mismatch`", "`mishap`", "mishap: the code has no such error"),
    ("an event that is missing", "docs/operations.md", r"\| `LogTruncated`.*\n", "", "LogTruncated: this event"),
    ("a room that may do more", "docs/architecture.md",
     r"(client \| base, protocol \|) no", r"\1 yes", "client | base, protocol | yes | no"),
    ("a test that does not exist", "docs/track-record.md", r"costs the message", "is free", "has no test"),
    ("a path of one machine", "docs/operations.md", r"\Z", "\nSee /" + "home/me/notes.\n", "must not stand in a page"),
    ("a page that is not finished", "docs/simulation.md", r"\Z", "\nTO" + "DO\n", "must not stand in a page"),
]


def complaints(root):
    done = subprocess.run([sys.executable, os.path.join(HERE, "check.py"), root], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def copy(root):
    """What check.py reads. Files that only have to be there are empty."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name != "build" and not name.startswith(".")]
        place = os.path.join(root, os.path.relpath(folder, ROOT))
        os.makedirs(place, exist_ok=True)
        for name in names:
            if name.endswith((".md", *TESTS)) or name in SOURCES or os.path.basename(folder) == "examples":
                shutil.copy(os.path.join(folder, name), place)
            else:
                open(os.path.join(place, name), "w", encoding="utf-8").close()


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as root:
        copy(root)
        before = complaints(root)[1]
        for what, path, old, new, complaint in SPOILED:
            path = os.path.join(root, path)
            with open(path, encoding="utf-8") as file:
                text = file.read()
            spoiled = re.sub(old, new, text, count=1)
            with open(path, "w", encoding="utf-8") as file:
                file.write(spoiled)
            code, output = complaints(root)
            if spoiled == text or code != 1 or complaint not in output or complaint in before:
                failed += 1
                print(f"{what} was not found:\n{output}")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    print(f"{len(SPOILED) - failed} of {len(SPOILED)} faults found")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
