#!/usr/bin/env python3
"""Tests of headers_alone.py."""
import json
import os
import sys
import tempfile
import unittest

import headers_alone


class Chains(unittest.TestCase):
    def test_each_header_stands_once_and_comes_with_the_next_one(self):
        includes = {"a": set(), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}, "e": set(), "f": {"d"}}
        lists = headers_alone.chains(includes)
        self.assertEqual(sorted(sum(lists, [])), sorted(includes))
        self.assertEqual(len(lists), 3)
        comes_with = headers_alone.closures(includes)
        for found in lists:
            for one, other in zip(found, found[1:]):
                self.assertIn(one, comes_with[other])

    def test_headers_that_include_each_other_do_not_share_a_list(self):
        self.assertEqual(len(headers_alone.chains({"a": {"b"}, "b": {"a"}})), 2)

    def test_lists_share_translation_units_and_the_small_ones_come_first(self):
        lists = [[str(n)] for n in reversed(range(2 * headers_alone.LISTS))]
        odds, evens = headers_alone.groups(lists)
        self.assertEqual(evens, [str(n) for n in range(0, len(lists), 2)])
        self.assertEqual(odds, [str(n) for n in range(1, len(lists), 2)])


class Compiling(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.mkdir(f"{self.folder}/understudy")
        self.compiler = os.environ.get("CXX", "c++")
        command = f"env A=b {self.compiler} -std=c++20 -I {self.folder} -o x.o -c header_alone.cpp"
        with open(f"{self.folder}/compile_commands.json", "w") as file:
            json.dump([{"file": "header_alone.cpp", "command": command}], file)

    def header(self, name, *lines):
        with open(f"{self.folder}/understudy/{name}.hpp", "w") as file:
            file.write("\n".join(["#pragma once", *lines, ""]))

    def main(self):
        return headers_alone.main(f"{self.folder}/compile_commands.json", self.folder, self.compiler)

    def test_headers_that_include_what_they_use_pass(self):
        self.header("a", "struct A {};")
        self.header("b", "#include <understudy/a.hpp>", "struct B { A a; };")
        self.assertEqual(self.main(), 0)

    def test_a_header_that_uses_what_it_does_not_include_is_found(self):
        self.header("a", "struct A {};")
        self.header("b", "struct B { A a; };")
        self.assertEqual(self.main(), 1)

    def test_no_header_at_all_is_a_fault(self):
        self.assertEqual(self.main(), 1)


if __name__ == "__main__":
    sys.exit(unittest.main())
