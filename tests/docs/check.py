#!/usr/bin/env python3
"""The pages say what the code says: snippets, options, errors, events, rooms, tests, links.

`check.py [--write] [ROOT]` prints `file:line: error: ...` for each fault and exits with 1 if there is one.
`--write` renews the snippets.
"""
import os
import re
import sys
import textwrap

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = next((word for word in sys.argv[1:] if not word.startswith("-")), os.path.dirname(TESTS))
sys.path.insert(0, TESTS)
import tidy  # noqa: E402  for the rooms, and the words that are refused

README_LINES = 150
CUT = re.compile(r"<!-- cut from (\S+): (\w+) -->\n```\w*\n(.*?)```\n", re.S)
LINK = re.compile(r"\]\(([^()\s]+)\)")
COMMAND = re.compile(r"^(?:sh|python3) (\S+)", re.M)
MEMBER = re.compile(r"^    [\w:<>]+ (\w+)(?:\{\}| = ([^;]+))?;", re.M)
OTHER_WORDS = re.compile(r"\.\./shared|\bissue \d", re.I)

faults = []


def fault(path, line, text):
    faults.append(f"{path}:{line}: error: {text}")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def pages():
    names = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
    return names + ["docs/" + name for name in sorted(os.listdir(os.path.join(ROOT, "docs"))) if name.endswith(".md")]


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def rows(text, heading):
    """The cells of each row of the first table after `heading`, with its line; backquotes are taken off."""
    start = text.find(heading)
    found = []
    if start < 0:
        return found
    for number, line in enumerate(text[start:].split("\n"), line_of(text, start)):
        if line.startswith("|"):
            cells = [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
            found.append((number, cells))
        elif found:
            break
    return found[2:]  # without the header row and the rule below it


# ---- what the code says -----------------------------------------------------------------------------------


def shown(default):
    """A default of options.hpp as the pages write it: `64u << 20` is 64 MiB."""
    if default is None:
        return "empty"
    size = re.fullmatch(r"(\d+)u? << (10|20)", default)
    if size:
        return size[1] + (" MiB" if size[2] == "20" else " KiB")
    time = re.fullmatch(r"(\d+)(ms|s|min)", default)
    return f"{time[1]} {time[2]}" if time else default.replace("'", "")


def options():
    """Each struct of options.hpp: its members and their defaults, in order."""
    text = re.sub(r"\s*///?.*", "", read("include/understudy/options.hpp"))
    found = {}
    for struct, body in re.findall(r"^struct (\w+) \{\n(.*?)^\};", text, re.S | re.M):
        found[struct] = {name: shown(default or None) for name, default in MEMBER.findall(body)}
    return found


def errors():
    body = re.search(r"enum class error \{(.*?)\};", read("include/understudy/error.hpp"), re.S)[1]
    return re.findall(r"^    (\w+)", body, re.M)


def events():
    body = re.search(r"using Event =\s*std::variant<(.*?)>;", read("include/understudy/event.hpp"), re.S)[1]
    return re.findall(r"\w+", body)


def rooms():
    yes = {True: "yes", False: "no"}
    return [[name, ", ".join(sorted(room.may_include)) or "nothing else", yes[room.asio], yes[room.json]]
            for name, room in tidy.ROOMS.items()]


# ---- what the pages say -----------------------------------------------------------------------------------


def same(path, heading, found, wanted, what):
    """The first `len(wanted[0])` cells of a table are those wanted, in that order."""
    if not found:
        return fault(path, 1, f"there is no table after {heading!r}")
    cells = [row[1][:len(wanted[0])] for row in found]
    for (line, _), is_there in zip(found, cells):
        if is_there not in wanted:
            fault(path, line, f"{' | '.join(is_there)}: the code has no such {what}")
    for missing in (one for one in wanted if one not in cells):
        fault(path, found[0][0], f"{' | '.join(missing)}: this {what} of the code is missing")
    if sorted(cells) == sorted(wanted) and cells != wanted:
        fault(path, found[0][0], f"each {what} stands in the order of the code")


def check_tables():
    path = "docs/embedding.md"
    text = read(path)
    known = options()
    for struct, members in known.items():
        heading = f"### `{struct}`"
        same(path, heading, rows(text, heading), [list(member) for member in members.items()], "option")
    heading = "## Errors"
    same(path, heading, rows(text, heading), [[name] for name in errors()], "error")

    path = "docs/operations.md"
    text = read(path)
    heading = "### Events"
    same(path, heading, rows(text, heading), [[name] for name in events()], "event")
    limits = rows(text, "## Limits")
    if not limits:
        fault(path, 1, "there is no table of limits")
    for line, (limit, default, *_) in limits:
        struct, _, member = limit.partition("::")
        if known.get(struct, {}).get(member) != default:
            fault(path, line, f"{limit} is {known.get(struct, {}).get(member)} in options.hpp, not {default}")

    path = "docs/architecture.md"
    heading = "## Rooms"
    same(path, heading, rows(read(path), heading), rooms(), "room")


def check_track_record():
    """The tests that are named exist."""
    path = "docs/track-record.md"
    for line, cells in rows(read(path), "# Track record"):
        named = re.fullmatch(r"`?(tests/\S+?)`?, \"(.*)\"", cells[-1])
        if not named and not cells[-1].startswith("none"):
            fault(path, line, "names no test: `FILE`, \"NAME\"")
        elif named and not (os.path.exists(os.path.join(ROOT, named[1])) and named[2] in read(named[1])):
            fault(path, line, f"{named[1]} has no test \"{named[2]}\"")


def snippet(source, mark):
    """What stands between `// [mark]` and `// [/mark]`, moved to the left; None if it is not there."""
    try:
        found = re.search(rf"^ *// \[{mark}\]\n(.*?)^ *// \[/{mark}\]", read(source), re.S | re.M)
    except OSError:
        return None
    return textwrap.dedent(found[1]) if found else None


def check_snippets(path, text, write):
    cuts = list(CUT.finditer(text))
    if path == "README.md" and not any(cut[2] == "embed" for cut in cuts):
        fault(path, 1, "the snippet of examples/1_embed.cpp is missing")
    for cut in reversed(cuts):
        code = snippet(cut[1], cut[2])
        if code is None:
            fault(path, line_of(text, cut.start()), f"{cut[1]} has no part marked [{cut[2]}]")
        elif code != cut[3] and write:
            text = text[:cut.start(3)] + code + text[cut.end(3):]
            with open(os.path.join(ROOT, path), "w", encoding="utf-8") as file:
                file.write(text)
        elif code != cut[3]:
            fault(path, line_of(text, cut.start()), f"differs from {cut[1]} [{cut[2]}]; check.py --write renews it")


def anchors(text):
    """The names that headings have in links."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def check_links(path, text):
    prose = re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.S | re.M)
    for link in LINK.finditer(prose):
        target, _, part = link[1].partition("#")
        line = line_of(prose, link.start())
        if re.match(r"\w+:", target):
            continue
        place = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
        if not os.path.exists(os.path.join(ROOT, place)):
            fault(path, line, f"{link[1]}: there is no such file")
        elif part and part not in anchors(read(place)):
            fault(path, line, f"{link[1]}: there is no such heading")


def check_words(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        for word in (tidy.WORDS, tidy.MACHINE_PATH, OTHER_WORDS):
            if word.search(line):
                fault(path, number, f"must not stand in a page: {word.search(line)[0]}")


def check_readme(text):
    lines = text.count("\n")
    if lines > README_LINES:
        fault("README.md", lines, f"has {lines} lines, {README_LINES} at most")
    commands = COMMAND.findall(text)
    for wanted in ("examples/run.sh", "tests/run.sh"):
        if wanted not in commands:
            fault("README.md", 1, f"the command `sh {wanted}` is missing")
    for command in commands:
        if not os.path.isfile(os.path.join(ROOT, command)):
            fault("README.md", line_of(text, text.find(command)), f"{command}: there is no such file")


def main():
    for path in pages():
        text = read(path)
        check_snippets(path, text, "--write" in sys.argv)
        check_links(path, text)
        check_words(path, text)
    check_readme(read("README.md"))
    check_tables()
    check_track_record()
    print("\n".join(faults) if faults else f"{len(pages())} pages agree with the code")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
