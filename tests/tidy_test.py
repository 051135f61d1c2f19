#!/usr/bin/env python3
"""Shows that tidy.py finds what it is there for: each test spoils a good tree in one way."""
import os
import tempfile
import unittest

import tidy

RULES_CORE = "".join(f"int rule_{rule}();  // {rule}\n" for rule in tidy.RULES)
GOOD = {
    "include/understudy/version.hpp": '// The version.\n#pragma once\n#define UNDERSTUDY_VERSION_STRING "0.1.0"\n',
    "include/understudy/core/rules.hpp": "// Rules.\n#pragma once\n#include <string>\n" + RULES_CORE,
    "include/understudy/core/log.hpp": "// A log.\n#pragma once\n#include <understudy/core/rules.hpp>\n",
    "include/understudy/transport.hpp": "// The seam.\n#pragma once\n#include <asio/awaitable.hpp>\n",
    "include/understudy/clerk.hpp": "// A clerk.\n#pragma once\n#include <understudy/transport.hpp>\n",
    "include/understudy/net/tcp.hpp": "// TCP.\n#pragma once\n#include <asio/ip/tcp.hpp>\n#include <random>\n",
    "include/understudy/sim/network.hpp": "// A network.\n#pragma once\n#include <understudy/transport.hpp>\n",
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

    def test_layers(self):
        core, clerk = "include/understudy/core/log.hpp", "include/understudy/clerk.hpp"
        net, sim = "include/understudy/net/tcp.hpp", "include/understudy/sim/network.hpp"
        self.fails({core: "+#include <asio/buffer.hpp>\n"}, core, "Asio")
        self.fails({core: "+#include <nlohmann/json.hpp>\n"}, core, "nlohmann")
        self.fails({core: "+#include <mutex>\n"}, core, "<mutex>")
        self.fails({core: "+#include <understudy/wire/json.hpp>\n"}, core, "must not include wire")
        self.fails({"include/understudy/wire/json.hpp": "+#include <asio/buffer.hpp>\n"}, "Asio")
        self.fails({clerk: "+#include <understudy/net/tcp.hpp>\n"}, clerk, "must not include net")
        self.fails({clerk: "+#include <understudy/sim/network.hpp>\n"}, clerk, "must not include sim")
        self.fails({clerk: '+#include "transport.hpp"\n'}, "written <understudy/...>")
        self.fails({clerk: "+#include <understudy/nowhere.hpp>\n"}, "does not exist")
        self.fails({clerk: "+#include <fmt.hpp>\n"}, "no dependency")
        self.fails({net: "+#include <understudy/clerk.hpp>\n"}, "net must not include service")
        self.fails({sim: "+#include <asio/ip/tcp.hpp>\n"}, "no sockets")
        self.fails({"include/understudy/extra/a.hpp": "+\nint a;\n"}, "no layer")
        self.fails({net: "+#include <understudy/core/view_rules.hpp>\n",
                    "include/understudy/core/view_rules.hpp": "// Why.\n#pragma once\n"}, "must not include the rules")

    def test_circles(self):
        self.fails({"include/understudy/core/rules.hpp": "+#include <understudy/core/log.hpp>\n"}, "includes itself")
        part = "// A part of the log.\n#pragma once\n#include <understudy/core/log.hpp>\n"
        whole = "+#include <understudy/core/log_part.hpp>\n"
        self.assertEqual(faults({"include/understudy/core/log.hpp": whole,
                                 "include/understudy/core/log_part.hpp": part}), [])

    def test_what_is_used_is_included(self):
        core, net = "include/understudy/core/log.hpp", "include/understudy/net/tcp.hpp"
        self.assertEqual(faults({core: "+#include <vector>\nstd::vector<int> a;\n"}), [])
        self.fails({core: "+std::vector<int> a;\n"}, core, "uses std::vector and does not include <vector>")
        self.assertEqual(faults({core: "+#include <ranges>\nusing std::ranges::find;\n"}), [])
        self.fails({core: "+using std::ranges::find;\n"}, core, "<algorithm>")
        self.fails({"include/understudy/net/other.hpp": "+asio::io_context a;\n"}, "uses asio:: and includes nothing")
        self.assertEqual(faults({net: "+asio::io_context a;\n"}), [])

    def test_shape(self):
        path = "include/understudy/core/log.hpp"
        self.fails({path: "// Why.\nint a;\n"}, "pragma once")
        self.fails({path: "#pragma once\n"}, "comment")
        self.fails({path: "+" + "int a();\n" * 548}, "lines")

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
        self.assertEqual(faults({path: "// see tcp://home/a and a/home/b\n"}), [])

    def test_time_and_chance(self):
        core, clerk = "include/understudy/core/log.hpp", "include/understudy/clerk.hpp"
        self.fails({"tests/a.cpp": "std::this_thread::sleep_for(1s);\n"}, "sleeps")
        self.fails({clerk: "+#include <chrono>\nauto a = std::chrono::steady_clock::now();\n"}, "steady_clock")
        self.fails({clerk: "+asio::steady_timer a;\n"}, "steady_timer")
        self.fails({core: "+auto a = clock.now();\n"}, "told the time")
        self.fails({clerk: "+std::mt19937 a;\n"}, "random")
        self.fails({clerk: "+#include <random>\n"}, "random")
        self.assertEqual(faults({core: "+// a comment may say now() and mt19937\nauto a = \"now()\";\n"}), [])

    def test_rules(self):
        rules, names = "include/understudy/core/rules.hpp", "tests/core/rules.test.cpp"
        self.fails({rules: GOOD[rules].replace("  // S4", "")}, "S4 is marked nowhere")
        self.fails({rules: GOOD[rules].replace("// S4", "/// documents S4")}, "S4 is marked nowhere")
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
