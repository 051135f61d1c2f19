#!/usr/bin/env python3
"""The programs of an earlier commit and the present ones in one group, with journals and under `kill -9`.
`compat_test.py PROGRAMS SOURCE BUILD COMPILER`.

tests/compat/BASELINE names the commit. Its programs are built from git in a folder of BUILD and kept there. Without
that commit (a shallow clone, no git) nothing can be tried: then this says so, and ends with 77.
"""
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "programs"))
import programs_test  # noqa: E402
from programs_test import BOUND, Case  # noqa: E402

SKIPPED = 77
FORMER, PRESENT = "former", "present"
FOLDERS = {}
FORMER_PROGRAMS = ["viewd", "pbd", "pbc"]


def other(version):
    return PRESENT if version == FORMER else FORMER


class Writer:
    """Appends to one key, one client after the other, until it is told to end; keeps what was answered."""

    def __init__(self, case, version):
        self.case, self.version = case, version
        self.answered, self.unknown, self.complaints = [], [], []
        self.ended, self.progress = False, threading.Condition()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        for number in itertools.count():
            if self.ended:
                return
            done = self.case.command(self.version, "append", "log", f"{number};")
            with self.progress:
                (self.answered if done.returncode == 0 else self.unknown).append(number)
                if done.returncode != 0:
                    self.complaints.append(done.stderr.decode())
                self.progress.notify_all()

    def wait_for_more(self, count=3):
        with self.progress:
            least = len(self.answered) + count
            if not self.progress.wait_for(lambda: len(self.answered) >= least, BOUND):
                raise AssertionError(f"no more writes are answered: {self.complaints}")

    def end(self):
        self.ended = True
        self.thread.join(2 * BOUND)

    def check(self, value):
        found = [int(number) for number in value.decode().split(";")[:-1]]
        self.case.assertEqual(found, sorted(set(found)), "twice, or out of order")
        self.case.assertEqual(set(self.answered) - set(found), set(), "answered, and not there")
        self.case.assertEqual(set(found) - set(self.answered) - set(self.unknown), set(), "there, and never sent")


class Mixed(Case):
    def data(self, name):
        return os.path.join(self.folder, name + ".data")

    def viewd(self, version):
        self.views = self.start(os.path.join(FOLDERS[version], "viewd"), self.path("views"), "--data",
                                self.data("views"), "--dead-pings", "50")

    def pbd(self, version, name, *more):
        return self.start(os.path.join(FOLDERS[version], "pbd"), self.path("views"), self.path(name), "--data",
                          self.data(name), *more)

    def command(self, version, *arguments):
        return subprocess.run([os.path.join(FOLDERS[version], "pbc"), self.path("views"), "--timeout", str(BOUND),
                               *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=2 * BOUND)

    def ask(self, version, *arguments):
        done = self.command(version, *arguments)
        self.assertEqual(done.returncode, 0, f"{version} {arguments}: {done.stdout!r} {done.stderr.decode()}")
        return done.stdout

    def kill(self, *daemons):
        for daemon in daemons:
            daemon.process.send_signal(signal.SIGKILL)
        for daemon in daemons:
            daemon.process.wait(BOUND)

    def try_group(self, views, first, second, client, *options):
        """A primary and a backup, each killed and started again as the other version; then everything."""
        self.viewd(views)
        one = self.pbd(first, "one", *options)
        one.wait_for("primary in view 1")
        self.ask(client, "put", "colour", "blue")
        writer = Writer(self, client)
        two = self.pbd(second, "two", *options)
        self.in_sync(two)
        writer.wait_for_more()
        self.kill(one)  # then the second server leads
        writer.wait_for_more()
        one = self.pbd(other(first), "one", *options)
        self.in_sync(one)
        writer.wait_for_more()
        self.kill(two)
        writer.wait_for_more()
        two = self.pbd(other(second), "two", *options)
        self.in_sync(two)
        writer.wait_for_more()
        writer.end()
        self.kill(self.views, one, two)
        self.viewd(other(views))
        one, two = self.pbd(first, "one", *options), self.pbd(second, "two", *options)
        for version in (client, other(client)):
            self.assertEqual(self.ask(version, "get", "colour"), b"blue")
            writer.check(self.ask(version, "get", "log"))
        self.assertIn(b"primary", self.ask(client, "status"))
        dump = os.path.join(self.folder, "dump")
        self.ask(client, "dump", dump)
        self.ask(other(client), "load", dump)
        writer.check(self.ask(client, "get", "log"))
        for daemon in (self.views, one, two):
            self.assertNotIn("check failed", daemon.text())

    def test_a_former_view_service_and_a_former_primary(self):
        self.try_group(FORMER, FORMER, PRESENT, PRESENT)

    def test_a_former_view_service_and_a_present_primary(self):
        self.try_group(FORMER, PRESENT, FORMER, FORMER)

    def test_a_present_view_service_and_a_former_primary(self):
        self.try_group(PRESENT, FORMER, PRESENT, FORMER)

    def test_a_present_view_service_and_a_present_primary(self):
        self.try_group(PRESENT, PRESENT, FORMER, PRESENT)

    def test_a_former_view_service_and_present_servers(self):
        self.try_group(FORMER, PRESENT, PRESENT, FORMER)

    def test_a_present_view_service_and_former_servers(self):
        self.try_group(PRESENT, FORMER, FORMER, PRESENT)

    def test_snapshots_go_both_ways_and_into_journals(self):
        self.try_group(PRESENT, FORMER, PRESENT, PRESENT, "--log-bytes", "0", "--journal-bytes", "2000")

    def test_snapshots_go_both_ways_and_into_journals_the_other_way_round(self):
        self.try_group(FORMER, PRESENT, FORMER, FORMER, "--log-bytes", "0", "--journal-bytes", "2000")

    def test_a_whole_group_is_handed_over_one_by_one(self):
        """As an upgrade is done: each is told to end in order, and started as the new version; and back again."""
        self.viewd(FORMER)
        one = self.pbd(FORMER, "one")
        one.wait_for("primary in view 1")
        two = self.pbd(FORMER, "two")
        self.in_sync(two)
        writer = Writer(self, FORMER)
        for version in (PRESENT, FORMER):
            self.assertEqual(self.views.end(signal.SIGTERM), 0)
            self.viewd(version)
            for name in ("one", "two"):
                daemon = one if name == "one" else two
                self.assertEqual(daemon.end(signal.SIGTERM), 0, daemon.text())
                daemon = self.pbd(version, name)
                self.in_sync(daemon)
                one, two = (daemon, two) if name == "one" else (one, daemon)
            writer.wait_for_more()
        writer.end()
        self.assertEqual(writer.unknown, [], writer.complaints)
        writer.check(self.ask(PRESENT, "get", "log"))


def skip(why):
    print(f"SKIPPED: the programs of the baseline are not tried: {why}", flush=True)
    sys.exit(SKIPPED)


def merge_programs(folder):
    """Makes one program of the three, which acts as the one by whose name it is called: what they all use is compiled
    once. Each stands in a namespace of its own, and whatever it includes comes before."""
    includes, bodies, choices = [], [], []
    for name in FORMER_PROGRAMS:
        path = os.path.join(folder, name + ".cpp")
        with open(path, encoding="utf-8") as file:
            includes += re.findall(r"^#include .*$", file.read(), re.MULTILINE)
        shutil.copy(path, path + ".former")
        bodies.append(f'namespace {name} {{\n#include "{name}.cpp.former"\n}}\n')
        choices.append(f'    if (name == "{name}") return {name}::main(argc, argv);\n')
    with open(os.path.join(folder, FORMER_PROGRAMS[0] + ".cpp"), "w", encoding="utf-8") as file:
        file.write("\n".join(["#include <string_view>", *includes, *bodies]) +
                   "int main(int argc, char** argv) {\n    std::string_view name{argv[0]};\n"
                   "    name.remove_prefix(name.rfind('/') + 1);\n" + "".join(choices) + "    return 127;\n}\n")


def build_former(source, build, compiler):
    """Gives the folder with the programs of the baseline."""
    with open(os.path.join(source, "tests", "compat", "BASELINE"), encoding="utf-8") as file:
        commit = file.read().strip()
    git = shutil.which("git")
    if not git:
        skip("there is no git")
    if subprocess.run([git, "-C", source, "cat-file", "-e", commit + "^{commit}"],
                      stderr=subprocess.DEVNULL).returncode != 0:
        skip(f"this clone has no commit {commit}")
    folder = os.path.join(build, "compat", commit)
    programs = os.path.join(folder, "build", "examples")
    whole = os.path.join(folder, "built")
    if os.path.exists(whole):
        return programs
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    archive = os.path.join(folder, "source.tar")
    subprocess.run([git, "-C", source, "archive", "-o", archive, commit], check=True)
    with tarfile.open(archive) as files:
        files.extractall(os.path.join(folder, "source"))
    merge_programs(os.path.join(folder, "source", "examples"))
    configure = ["cmake", "-S", os.path.join(folder, "source"), "-B", os.path.join(folder, "build"),
                 "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0", "-DUNDERSTUDY_BUILD_TESTS=OFF",
                 f"-DCMAKE_CXX_COMPILER={compiler}"]
    for command in (configure, ["cmake", "--build", os.path.join(folder, "build"), "--target", FORMER_PROGRAMS[0]]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stdout[-5000:]}")
    for name in FORMER_PROGRAMS[1:]:
        shutil.copy(os.path.join(programs, FORMER_PROGRAMS[0]), os.path.join(programs, name))
    with open(whole, "w", encoding="utf-8"):
        return programs


if __name__ == "__main__":
    present, source_folder, build_folder, compiler_path = sys.argv[1:5]
    del sys.argv[1:5]
    programs_test.PROGRAMS = FOLDERS[PRESENT] = os.path.abspath(present)
    FOLDERS[FORMER] = build_former(source_folder, build_folder, compiler_path)
    unittest.main()
