#!/usr/bin/env python3
"""Shows that tidy.py finds what it is there for: each test spoils a good tree in one way."""
import os
import tempfile
import unittest

import tidy

ALL_RULES = "".join(f"int rule_{rule}();  // {rule}\n" for rule in tidy.RULES)
RULES, LOG = "include/understudy/protocol/rules.hpp", "include/understudy/replica/log.hpp"
CLERK, NET, SIM = (f"include/understudy/{name}.hpp" for name in ("clerk", "net/tcp", "sim/world/network"))
GOOD = {
    "include/understudy/version.hpp": '// The version.\n#pragma once\n#define UNDERSTUDY_VERSION_STRING "0.1.0"\n',
    RULES: "// Rules.\n#pragma once\n#include <string>\n" + ALL_RULES,
    LOG: "// A log.\n#pragma once\n#include <understudy/protocol/rules.hpp>\n",
    "include/understudy/transport.hpp": "// The seam.\n#pragma once\n#include <asio/awaitable.hpp>\n",
    CLERK: "// A clerk.\n#pragma once\n#include <understudy/transport.hpp>\n",
    NET: "// TCP.\n#pragma once\n#include <asio/ip/tcp.hpp>\n#include <random>\n",
    SIM: "// A network.\n#pragma once\n#include <understudy/transport.hpp>\n",
    "include/understudy/wire/json.hpp": "// JSON.\n#pragma once\n#include <nlohmann/json.hpp>\n",
    "tests/core/rules.test.cpp": "".join(f'TEST_CASE("{rule}: holds") {{}}\n' for rule in tidy.RULES),
    "tests/scenarios.test.cpp": "".join(f'TEST_CASE("{name}") {{}}\n' for name in tidy.SCENARIOS),
    "meson.build": "project('understudy', 'cpp',\n  version: '0.1.0')\n",
    "CHANGELOG.md": "# Changelog\n\n## 0.1.0 (unreleased)\n",
}


def faults(changes):
    """What tidy says of the good tree with `changes`: path -> new text, or a text to append after a `+`."""
    files = dict(GOOD)
    for path, text in changes.items():
        files[path] = files.get(path, "// Why.\n#pragma once\n") + text[1:] if text.startswith("+") else text
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            place = os.path.join(root, path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "w", encoding="utf-8", newline="") as file:
                file.write(text)
        return [f"{f.path}: {f.text}" for f in tidy.findings(root) if f.severity == "error"]


class Tidy(unittest.TestCase):
    def fails(self, changes, *words):
        """One fault, which contains each of `words`."""
        found = faults(changes)
        self.assertEqual(len(found), 1, found)
        for word in words:
            self.assertIn(word, found[0])

    def test_a_good_tree_passes(self):
        self.assertEqual(faults({}), [])

    def test_a_tree_without_headers_fails(self):
        with tempfile.TemporaryDirectory() as root:
            self.assertEqual(tidy.main([root]), 1)

    def test_what_is_included_is_there(self):
        self.fails({CLERK: '+#include "transport.hpp"\n'}, "written <understudy/...>")
        self.fails({CLERK: "+#include <understudy/nowhere.hpp>\n"}, "does not exist")
        self.fails({CLERK: "+#include <fmt.hpp>\n"}, "no dependency")
        self.fails({"include/understudy/extra/a.hpp": "+\nint a;\n"}, "no room")

    def test_rooms(self):
        self.fails({LOG: "+#include <asio/buffer.hpp>\n"}, LOG, "Asio")
        self.fails({LOG: "+#include <nlohmann/json.hpp>\n"}, LOG, "nlohmann")
        self.fails({LOG: "+#include <mutex>\n"}, LOG, "<mutex>")
        self.fails({LOG: "+#include <understudy/wire/json.hpp>\n"}, LOG, "must not include wire")
        self.fails({RULES: "+#include <understudy/wire/json.hpp>\n"}, RULES, "must not include wire")
        self.fails({"include/understudy/wire/json.hpp": "+#include <asio/buffer.hpp>\n"}, "Asio")
        self.fails({SIM: "+#include <asio/ip/tcp.hpp>\n"}, "no sockets")
        self.fails({NET: "+#include <understudy/replica/log.hpp>\n"}, "net must not include replica")

    def test_the_header_of_a_type_of_ours_is_included(self):
        rules = GOOD[RULES] + "struct Rule {};\n"
        self.assertEqual(faults({RULES: rules, LOG: "+Rule rule;\n"}), [])
        self.fails({RULES: rules, SIM: "+Rule rule;\n"}, SIM, "uses Rule", "<understudy/protocol/rules.hpp>")
        for own in ("struct Rule;\nRule* rule;\n", "template <class Rule>\nRule rule;\n", "Store::Rule rule;\n",
                    "    using Rule = int;\n    Rule rule;\n", "// Rule.\n"):
            self.assertEqual(faults({RULES: rules, SIM: "+" + own}), [])

    def test_headers_on_top_are_looked_through(self):
        self.assertEqual(faults({CLERK: "+#include <understudy/net/tcp.hpp>\n"}), [])
        self.fails({LOG: "+#include <understudy/transport.hpp>\n"}, LOG, "must not include Asio")
        found = faults({CLERK: "+#include <understudy/wire/json.hpp>\n", LOG: "+#include <understudy/clerk.hpp>\n"})
        self.assertEqual(len(found), 2, found)
        self.assertIn("replica must not include wire", "".join(found))
        self.assertIn("replica must not include Asio", "".join(found))

    def test_programs_include_what_is_public(self):
        self.assertEqual(faults({"examples/a.cpp": "#include <understudy/net/tcp.hpp>\n"}), [])
        self.fails({"examples/a.cpp": "#include <understudy/replica/log.hpp>\n"}, "not public")

    def test_circles(self):
        self.fails({RULES: "+#include <understudy/protocol/call.hpp>\n",
                    "include/understudy/protocol/call.hpp": "+#include <understudy/protocol/rules.hpp>\n"},
                   "includes itself")
        part = "// What the log declares.\n#pragma once\n#include <understudy/replica/log.hpp>\n"
        self.assertEqual(faults({LOG: "+#include <understudy/replica/log.ipp>\n",
                                 "include/understudy/replica/log.ipp": part}), [])

    def test_what_is_used_is_included(self):
        self.assertEqual(faults({LOG: "+#include <vector>\nstd::vector<int> a;\n"}), [])
        self.fails({LOG: "+std::vector<int> a;\n"}, LOG, "uses std::vector and does not include <vector>")
        self.assertEqual(faults({LOG: "+#include <ranges>\nusing std::ranges::find;\n"}), [])
        self.fails({LOG: "+using std::ranges::find;\n"}, LOG, "<algorithm>")
        self.fails({"include/understudy/net/other.hpp": "+asio::io_context a;\n"}, "uses asio:: and includes nothing")
        self.assertEqual(faults({NET: "+asio::io_context a;\n"}), [])

    def test_shape(self):
        self.fails({LOG: "// Why.\nint a;\n"}, "pragma once")
        self.fails({LOG: "#pragma once\n"}, "comment")
        self.fails({LOG: "+" + "int a();\n" * 548}, "lines")

    def test_text(self):
        path = "tests/a.cpp"
        self.fails({path: "int a;"}, "line end")
        self.fails({path: "int a;\n\n"}, "line end")
        self.fails({path: "\tint a;\n"}, "tab")
        self.fails({path: "int a; \n"}, "trailing")
        self.fails({path: "// " + "a" * 118 + "\n"}, "121 columns")
        self.assertEqual(faults({path: "// " + "ä" * 117 + "\n"}), [])
        self.fails({path: "// TODO\n"}, "TODO")
        self.fails({path: "// see /home/me/a\n"}, "machine")
        self.fails({path: "// the Switchboard\n"}, "ConnectionManager")
        self.assertEqual(faults({"CHANGELOG.md": "+- The Switchboard.\n"}), [])
        self.assertEqual(faults({path: "// see tcp://home/a and a/home/b\n"}), [])

    def test_time_and_chance(self):
        self.fails({"tests/a.cpp": "std::this_thread::sleep_for(1s);\n"}, "sleeps")
        self.fails({CLERK: "+#include <chrono>\nauto a = std::chrono::steady_clock::now();\n"}, "steady_clock")
        self.fails({CLERK: "+asio::steady_timer a;\n"}, "steady_timer")
        self.fails({LOG: "+auto a = clock.now();\n"}, "told the time")
        self.fails({CLERK: "+std::mt19937 a;\n"}, "random")
        self.fails({CLERK: "+#include <random>\n"}, "random")
        self.assertEqual(faults({LOG: "+// a comment may say now() and mt19937\nauto a = \"now()\";\n"}), [])

    def test_rules(self):
        names = "tests/core/rules.test.cpp"
        self.fails({RULES: GOOD[RULES].replace("  // S4", "")}, "S4 is marked nowhere")
        self.fails({RULES: GOOD[RULES].replace("// S4", "/// documents S4")}, "S4 is marked nowhere")
        self.fails({names: GOOD[names].replace("S4:", "S44:")}, "S4 stands in no test's name")

    def test_names(self):
        self.fails({"tests/a.cpp": 'TEST_CASE("R0: holds") {}\n'}, "is also a test")
        self.fails({"tests/a.cpp": 'TEST_CASE("one, two") {}\n'}, "cannot be selected")
        self.fails({"tests/scenarios.test.cpp": GOOD["tests/scenarios.test.cpp"].replace("Add a backup", "Add one")},
                   "Add a backup")

    def test_versions(self):
        self.fails({"meson.build": "project('understudy', 'cpp',\n  version: '0.2.0')\n"}, "0.2.0")


if __name__ == "__main__":
    unittest.main()
