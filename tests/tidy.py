#!/usr/bin/env python3
"""The form of the sources: rooms, rule marks, sizes, words that must not stand. `tidy.py [ROOT]`.

Prints `file:line: error: ...` for each fault and exits with 1 if there is one; a `note` does not fail.
"""
import os
import re
import sys
from collections import namedtuple

from headers_alone import closures

Finding = namedtuple("Finding", "path line severity text")
File = namedtuple("File", "path lines code")  # `code`: the lines without comments and string literals

# ---- what must hold ---------------------------------------------------------------------------------------

WIDTH = 120
HEADER_ERROR, HEADER_NOTE = 550, 450

OUTSIDE = {"net", "journal"}  # rooms that touch the world
MACHINES = {"protocol", "view_service", "replica", "client"}  # the state machines, and what they say to each other
BANNED = {"thread", "mutex", "shared_mutex", "condition_variable", "future", "random", "iostream", "fstream"}

# A room is a folder. Of each: the rooms that it may include besides itself, and whether it may include Asio and
# nlohmann/json. A header on top, beside the rooms, belongs to none: what it includes counts for those who include it.
Room = namedtuple("Room", "may_include asio json")
ROOMS = {
    "base": Room(set(), False, False),
    "protocol": Room({"base"}, False, False),
    "view_service": Room({"base", "protocol"}, False, False),
    "replica": Room({"base", "protocol"}, False, False),
    "client": Room({"base", "protocol"}, False, False),
    "wire": Room({"base", "protocol", "view_service"}, False, True),
    "kv": Room({"base", "wire"}, False, False),
    "async": Room({"base"}, True, False),
    "net": Room({"base", "protocol", "wire", "async"}, True, False),
    "journal": Room({"base", "protocol", "view_service", "replica", "wire", "async"}, True, False),
    "runtime": Room({"base", "async", "wire"} | MACHINES, True, False),
    "sim": Room({"base", "async", "wire", "kv", "runtime", "journal"} | MACHINES, True, True),
}
# What a host includes: the headers on top, and of the rooms those that it plugs in or tests with.
PUBLIC_ROOMS = {"net", "journal", "sim"}

# What a header uses of these it includes itself, whatever else brings it too: headers_alone.py does not see that.
STANDARD = {
    "algorithm": "min max clamp sort ranges", "array": "array", "atomic": "atomic", "bit": "bit_cast",
    "charconv": "from_chars to_chars", "chrono": "chrono", "concepts": "convertible_to same_as movable",
    "condition_variable": "condition_variable", "cstddef": "size_t ptrdiff_t",
    "cstdint": "int64_t uint8_t uint32_t uint64_t", "deque": "deque",
    "exception": "exception_ptr current_exception rethrow_exception", "functional": "function",
    "limits": "numeric_limits",
    "list": "list", "map": "map multimap", "memory": "unique_ptr shared_ptr weak_ptr make_unique make_shared",
    "mutex": "mutex", "optional": "optional nullopt", "set": "set", "span": "span", "sstream": "ostringstream",
    "stdexcept": "runtime_error logic_error invalid_argument", "string": "string to_string",
    "string_view": "string_view", "system_error": "error_code system_error errc", "thread": "thread",
    "tuple": "tuple tie", "type_traits": "is_same_v decay_t remove_cvref_t", "unordered_map": "unordered_map",
    "utility": "move exchange pair forward swap", "variant": "variant visit holds_alternative get_if",
    "vector": "vector",
}
HEADER_OF = {name: header for header, names in STANDARD.items() for name in names.split()}
FOREIGN = {"asio": "asio", "nlohmann": "nlohmann"}  # a namespace, and the folder of which something must be included

RULES = [f"R{n}" for n in range(8)] + [f"S{n}" for n in range(1, 13)] + [f"C{n}" for n in range(1, 8)]

SCENARIOS = [
    "First Primary",
    "First Backup",
    "Backup takes over if primary fails",
    "Restarted server becomes backup",
    "Idle third server becomes backup if primary fails",
    "Restarted primary treated as dead",
    "Dead backup is removed from view",
    "Viewserver waits for primary to ack view",
    "Uninitialized server can't become primary",
    "Single primary, no backup",
    "Add a backup",
    "Count RPCs to viewserver",
    "Primary failure",
    "Kill last server, new one should not be active",
    "at-most-once Append; unreliable",
    "Put() immediately after backup failure",
    "Put() immediately after primary failure",
    "Concurrent Put()s to the same key",
    "Concurrent Append()s to the same key",
    "Concurrent Put()s to the same key; unreliable",
    "Repeated failures/restarts",
    "Repeated failures/restarts with concurrent updates to same key; unreliable",
    "Old primary does not serve Gets",
    "Partitioned old primary does not complete Gets",
]

WORDS = re.compile(r"\b(TODO|FIXME|XXX)\b")
# Words that the library once had of its own, and those of the field that took their place (docs/glossary.md).
FORMER = {
    "Effects": "Output", "ViewRules": "ViewStateMachine", "ReplicaRules": "ReplicaStateMachine",
    "ClerkRules": "ClientStateMachine", "AskRules": "AdminStateMachine", "Situation": "GroupState",
    "Periods": "Timeouts", "Wish": "OperatorRequest", "heir": "successor", "heirs": "successors",
    "shunned": "quarantined", "doubtful": "suspect", "withheld": "deferred", "sendings": "attempts",
    "flying": "in flight", "Switchboard": "ConnectionManager", "switchboard": "connection manager",
    "Doorbell": "ReceiveQueue", "doorbell": "receive queue", "Gone": "Disconnected", "Broken": "ProtocolError",
    "Arrival": "TransportEvent", "Arrivals": "TransportEvents", "Prose": "HumanText", "UsualForm": "FastDecoder",
    "UsualWriter": "FastEncoder", "Chronicle": "CommitHistory", "Testimony": "ClientHistory",
    "Crowd": "SimulatedClients", "Standing": "HardState or NodeState", "Trial": "SoakRun", "TrialLimits": "RunLimits",
    "Habits": "ClientProfile", "LogCut": "LogTruncated", "ServerDiskTrouble": "ServerDiskFault",
    "StoreTrouble": "StoreFault", "PassingViewParty": "RunningViewService", "LastingViewParty": "RunningViewService",
    "Desk": "CommandContext", "FleetRules": "FleetMachine",
    "JournalLife": "JournalProcess",
}
FORMER_WORD = re.compile(rf"\b({'|'.join(FORMER)})\b")
TELLS_HISTORY = {"docs/track-record.md", "CHANGELOG.md"}  # of what was called otherwise then
MACHINE_PATH = re.compile(r"(?<![\w./-])/(home|root|work|farm|Users)/")
SPEAKS_OF_THEM = {"tests/tidy.py", "tests/tidy_test.py"}  # of the words above
SLEEP = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep)\b")
CLOCK = re.compile(r"\b(steady_clock|system_clock|high_resolution_clock|steady_timer|system_timer|clock_gettime)\b")
NOW = re.compile(r"\bnow\s*\(")
CHANCE = re.compile(r"\b(random_device|mt19937(_64)?|minstd_rand0?|default_random_engine|uniform_\w+_distribution|"
                    r"s?rand\s*\()")
SOCKET = re.compile(r"<asio/(ip|local|posix|generic|basic_\w*(socket|timer)\w*|\w*timer)\b")
TEST_CASE = re.compile(r'\bTEST_CASE\w*\(\s*(?:[\w:]+\s*,\s*)?"((?:[^"\\]|\\.)*)"')
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


# ---- reading ----------------------------------------------------------------------------------------------

HEADER = (".hpp", ".ipp")  # an .ipp defines what the .hpp of its name declares
TEXT = (".hpp", ".ipp", ".cpp", ".py", ".sh", ".cmake", ".txt", ".in", ".md", ".json", ".build", ".wrap")
SKIPPED = {"build", "packagecache", "__pycache__"}


def strip_comments(text):
    """The text with comments and the insides of literals blanked out, its lines kept."""
    pattern = re.compile(r'R"(\w*)\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|'
                         r"(?<!\w)'(?:[^'\\\n]|\\.)*'", re.S)
    return pattern.sub(lambda match: "\n" * match.group().count("\n"), text)


def read(root):
    """All source files below `root`, by their paths relative to it."""
    files = {}
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in SKIPPED and (not f.startswith(".") or f == ".ci"))
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")
            if not name.endswith(TEXT) and path != ".ci/run":
                continue
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                text = file.read()
            code = strip_comments(text) if name.endswith((*HEADER, ".cpp")) else text
            files[path] = File(path, text.split("\n"), code.split("\n"))
    return files


PUBLIC = "include/understudy/"


def headers(files):
    return [file for path, file in files.items() if path.startswith(PUBLIC) and path.endswith(HEADER)]


def room_of(path):
    """The folder of a header, or None of one on top."""
    parts = path[len(PUBLIC):].split("/")
    return parts[0] if len(parts) > 1 else None


def includes(file):
    for number, line in enumerate(file.lines, 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


# ---- the checks -------------------------------------------------------------------------------------------

def check_includes(files):
    """What a header includes is ours and there, or of a library that this one depends on."""
    for file in headers(files):
        if room_of(file.path) not in {None, *ROOMS}:
            yield Finding(file.path, 1, "error", "stands in a folder that is no room")
        for number, quote, name in includes(file):
            def error(text):
                return Finding(file.path, number, "error", text)

            top = name.split("/")[0]
            if quote == '"':
                yield error(f'"{name}": includes are written <understudy/...>')
            elif top == "understudy" and "include/" + name not in files:
                yield error(f"<{name}> does not exist")
            elif "/" not in name and name.endswith(HEADER) and name != "asio.hpp":
                yield error(f"<{name}> is no dependency of this library")
            elif name == "random" and room_of(file.path) not in OUTSIDE:
                yield error("only net/ and journal/ draw random numbers")


def reach(files, file, seen):
    """What a header includes, and through which line of its own: headers on top are looked through."""
    for number, _, name in includes(file):
        target = "include/" + name
        if room_of(target) is None and target in files:
            if target not in seen:
                seen.add(target)
                yield from ((number, deep) for _, deep in reach(files, files[target], seen))
        else:
            yield number, name


def check_rooms(files):
    for file in headers(files):
        room = room_of(file.path)
        if room not in ROOMS:
            continue
        law = ROOMS[room]
        for number, name in reach(files, file, set()):
            def error(text):
                return Finding(file.path, number, "error", text)

            top = name.split("/")[0]
            if top == "understudy" and room_of("include/" + name) not in {room, *law.may_include}:
                yield error(f"{room} must not include {room_of('include/' + name)} (<{name}>)")
            elif top in ("asio", "asio.hpp"):
                if not law.asio:
                    yield error(f"{room} must not include Asio (<{name}>)")
                elif room == "sim" and SOCKET.search(f"<{name}>"):
                    yield error(f"the simulator must not include <{name}>: no sockets, no timers")
            elif top == "nlohmann":
                if not law.json:
                    yield error(f"{room} must not include nlohmann/json (<{name}>)")
            elif room in MACHINES and name in BANNED:
                yield error(f"a state machine must not include <{name}>")


def check_programs(files):
    """Programs and examples show how a host uses the library: by what is public."""
    for file in files.values():
        if not file.path.startswith("examples/"):
            continue
        for number, _, name in includes(file):
            room = room_of("include/" + name)
            if name.startswith("understudy/") and room not in {None, *PUBLIC_ROOMS}:
                yield Finding(file.path, number, "error", f"includes <{name}>, which is not public")


def check_cycles(files):
    """Includes only go downward. Not followed is an .ipp: what its header has declared it only defines."""
    edges = {file.path: ["include/" + name for _, _, name in includes(file) if name.endswith(".hpp")]
             for file in headers(files)}
    done, path = set(), []

    def visit(node):
        if node in path:
            circle = " -> ".join(p.removeprefix(PUBLIC) for p in path[path.index(node):] + [node])
            yield Finding(node, 1, "error", f"includes itself: {circle}")
        elif node in edges and node not in done:
            path.append(node)
            for target in edges[node]:
                yield from visit(target)
            path.pop()
            done.add(node)

    for node in edges:
        yield from visit(node)


def check_used_is_included(files):
    for file in headers(files):
        included = {name for _, _, name in includes(file)}
        folders = {name.split("/")[0].removesuffix(".hpp") for name in included}
        missing = {}
        for number, line in enumerate(file.code, 1):
            for name in re.findall(r"\bstd::(\w+)", line):
                header = HEADER_OF.get(name, name)
                enough = {"algorithm", "ranges"} if name == "ranges" else {header}
                if name in HEADER_OF and not enough & included:
                    missing.setdefault(header, (number, f"uses std::{name} and does not include <{header}>"))
            for name, folder in FOREIGN.items():
                if re.search(rf"\b{name}::", line) and folder not in folders and not brings(files, file, folder):
                    missing.setdefault(folder, (number, f"uses {name}:: and includes nothing of it"))
        for number, text in missing.values():
            yield Finding(file.path, number, "error", text)


# A type, alias or concept of a namespace, which stands at the left margin; and whatever a header calls by such a name:
# members, parameters of templates, declarations without a definition, values of an enumeration.
TYPE = (r"(?:template <.*>\s*)?(?:(?:struct|class|enum class|enum|union)\s+([A-Z]\w+)\b(?!;)|"
        r"(?:using|concept)\s+([A-Z]\w+)\s*=)")
FOR_ALL = re.compile("^" + TYPE)
ANYWHERE = re.compile(rf"^\s*{TYPE}|\b(?:struct|class|typename)\s+([A-Z]\w+)\b|^\s*([A-Z]\w+)(?:,|\s*=.*,)$")


def check_own_types_are_included(files):
    """A header brings the header of each type of ours that it uses, or declares that type itself."""
    own = {file.path: file for file in headers(files)}
    comes_with = closures({path: {"include/" + name for _, _, name in includes(file)} & set(own)
                           for path, file in own.items()})

    def declared(pattern, file):
        return {name for line in file.code for found in pattern.finditer(line) for name in found.groups() if name}
    for_all = {path: declared(FOR_ALL, file) for path, file in own.items()}
    anywhere = {path: declared(ANYWHERE, file) for path, file in own.items()}
    for path, file in own.items():
        known = set().union(*(anywhere[other] for other in comes_with[path] | {path}))
        for number, line in enumerate(file.code, 1):
            for name in set(re.findall(r"(?<![\w.])(?<![A-Z]\w::)\b([A-Z]\w+)\b", line)) - known:
                at = [other for other in own if name in for_all[other]]
                if at and not re.search(rf"[A-Z]\w*::{name}\b", line):
                    known.add(name)
                    place = at[0].removeprefix("include/")
                    yield Finding(path, number, "error", f"uses {name} and does not include <{place}>")


def brings(files, file, folder):
    """Whether one of our headers that it includes itself includes something of that folder."""
    own = [files["include/" + name] for _, _, name in includes(file) if "include/" + name in files]
    return any(name.split("/")[0] == folder for one in own for _, _, name in includes(one))


def check_shape(files):
    for file in headers(files):
        lines = len(file.lines) - 1
        if lines > HEADER_ERROR:
            yield Finding(file.path, lines, "error", f"{lines} lines; a header has at most {HEADER_ERROR}")
        elif lines > HEADER_NOTE:
            yield Finding(file.path, lines, "note", f"{lines} lines; could it be two headers?")
        if "#pragma once" not in file.lines:
            yield Finding(file.path, 1, "error", "lacks #pragma once")
        if not file.lines[0].startswith("// "):
            yield Finding(file.path, 1, "error", "must open with a comment that says why the file exists")


def check_text(files):
    for file in files.values():
        source = file.path.endswith((*HEADER, ".cpp", ".py", ".sh", ".cmake"))
        if file.lines[-1] != "" or file.lines[-2:-1] == [""]:
            yield Finding(file.path, len(file.lines), "error", "must end with one line end")
        for number, line in enumerate(file.lines, 1):
            def error(text):
                return Finding(file.path, number, "error", text)

            if source and len(line) > WIDTH:
                yield error(f"{len(line)} columns; at most {WIDTH}")
            if "\t" in line:
                yield error("has a tab")
            if "\r" in line:
                yield error("has a carriage return")
            if line != line.rstrip() and not file.path.endswith(".md"):
                yield error("has trailing spaces")
            if file.path in SPEAKS_OF_THEM:
                continue
            if WORDS.search(line):
                yield error(f"unfinished: {WORDS.search(line).group()}")
            former = None if file.path in TELLS_HISTORY else FORMER_WORD.search(line)
            if former:
                yield error(f"{former.group()}: the field says {FORMER[former.group()]}")
            if MACHINE_PATH.search(line):
                yield error("names a folder of somebody's machine")


def check_time_and_chance(files):
    """Clocks and chance belong to the transport; tests wait for events, not for time."""
    for file in files.values():
        public = file.path.startswith(PUBLIC)
        room = room_of(file.path) if public else None
        if not public and not file.path.startswith("tests/") or not file.path.endswith((*HEADER, ".cpp")):
            continue
        for number, line in enumerate(file.code, 1):
            def error(text):
                return Finding(file.path, number, "error", text)

            if SLEEP.search(line):
                yield error("sleeps: wait for an event instead")
            if public and room not in OUTSIDE and CLOCK.search(line):
                yield error(f"{CLOCK.search(line).group()}: only net/ and journal/ know a clock or a timer")
            if room in MACHINES and NOW.search(line):
                yield error("a state machine is told the time, it does not ask for it")
            if public and room not in OUTSIDE and CHANCE.search(line):
                yield error("only net/ and journal/ draw random numbers")


def test_cases(files):
    """Every test's name with its place; a name is found also where the line breaks after the bracket."""
    for file in files.values():
        if file.path.startswith("tests/") and file.path.endswith((".cpp", ".hpp")):
            text = "\n".join(file.lines)
            for match in TEST_CASE.finditer(text):
                yield file.path, text.count("\n", 0, match.start()) + 1, match.group(1)


def check_rules(files):
    """Each rule stands at the line that enforces it (`reached("S4: ...")` or a `//` comment) and in a test's name."""
    marks = re.compile(r"(?<![/:])//(?![/]).*|\breached\(.*")
    in_machines = "\n".join(found.group() for file in headers(files) if room_of(file.path) in MACHINES
                            for line in file.lines for found in [marks.search(line)] if found)
    in_names = "\n".join(name for _, _, name in test_cases(files))
    for rule in RULES:
        word = re.compile(rf"\b{rule}\b")
        marked, tested = bool(word.search(in_machines)), bool(word.search(in_names))
        if not marked:
            yield Finding(PUBLIC, 0, "error", f"{rule} is marked nowhere")
        if not tested:
            yield Finding("tests", 0, "error", f"{rule} stands in no test's name")


def check_test_names(files):
    seen = {}
    for path, number, name in test_cases(files):
        if name in seen:
            yield Finding(path, number, "error", f'"{name}" is also a test in {seen[name]}')
        seen[name] = path
        if name not in SCENARIOS and ("," in name or ";" in name):
            yield Finding(path, number, "error", f'"{name}": a name with , or ; cannot be selected')
    for name in SCENARIOS:
        if name not in seen:
            yield Finding("tests", 0, "error", f'the scenario "{name}" is no test')


def check_versions(files):
    """The version stands once for each build system."""
    places = {"include/understudy/version.hpp": r'UNDERSTUDY_VERSION_STRING "([\d.]+)"',
              "meson.build": r"version: '([\d.]+)'", "CHANGELOG.md": r"^## ([\d.]+)"}
    found = {}
    for path, pattern in places.items():
        if path in files:
            match = re.search(pattern, "\n".join(files[path].lines), re.M)
            found[path] = match.group(1) if match else "none"
    for path, version in found.items():
        if version != found.get("include/understudy/version.hpp"):
            yield Finding(path, 1, "error", f"version {version} is not that of version.hpp")


CHECKS = [check_includes, check_rooms, check_programs, check_cycles, check_used_is_included,
          check_own_types_are_included, check_shape, check_text, check_time_and_chance, check_rules, check_test_names,
          check_versions]


def findings(root):
    files = read(root)
    if not headers(files):
        return [Finding(PUBLIC, 0, "error", "no headers here")]
    return [finding for check in CHECKS for finding in check(files)]


def main(arguments):
    root = arguments[0] if arguments else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    found = findings(root)
    for finding in found:
        print(f"{finding.path}:{finding.line}: {finding.severity}: {finding.text}")
    errors = sum(finding.severity == "error" for finding in found)
    print(f"{errors} errors, {len(found) - errors} notes")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
