#!/usr/bin/env python3
"""The runbook of docs/durability.md, step by step, with real processes and disks. `durability_test.py FOLDER`."""
import os
import re
import shutil
import signal
import sys
import unittest

import programs_test
from programs_test import Case


class Runbook(Case):
    def data(self, name):
        return os.path.join(self.folder, name + ".data")

    def viewd(self):
        self.views = self.start("viewd", self.path("views"), "--data", self.data("views"))
        return self.views

    def pbd(self, name, *more):
        return self.start("pbd", self.path("views"), self.path(name), "--data", self.data(name), *more)

    def pair_with_disks(self):
        self.viewd()
        self.one = self.pbd("one")
        self.one.wait_for("primary in view 1")
        self.two = self.pbd("two")
        self.in_sync(self.two)
        self.pbc("put", "colour", "blue")

    def kill(self, *daemons):
        for daemon in daemons:
            daemon.process.send_signal(signal.SIGKILL)
        for daemon in daemons:
            daemon.process.wait(programs_test.BOUND)

    def expect_colour(self, value=b"blue"):
        self.assertEqual(self.pbc("get", "colour"), value)

    def test_a_lost_server_comes_back_and_catches_up_from_the_log(self):
        self.pair_with_disks()
        self.kill(self.two)
        self.views.wait_for(re.escape(f"lost {self.two.address}"))
        self.pbc("put", "colour", "green")
        self.two = self.pbd("two")
        self.two.wait_for(r"read .*two\.data: \d+ entries")
        self.in_sync(self.two)
        self.assertNotIn("installed a snapshot", self.two.text())
        self.kill(self.one)
        self.expect_colour(b"green")

    def test_a_lost_disk_is_replaced_by_an_empty_one(self):
        self.pair_with_disks()
        self.kill(self.two)
        shutil.rmtree(self.data("two"))
        self.two = self.pbd("two")
        self.in_sync(self.two)
        self.kill(self.one)
        self.expect_colour()

    def test_a_damaged_disk_is_refused_and_named(self):
        self.pair_with_disks()
        self.kill(self.two)
        file = next(os.path.join(self.data("two"), name) for name in sorted(os.listdir(self.data("two")))
                    if name.startswith("log-"))
        with open(file, "r+b") as damaged:
            damaged.seek(70)
            damaged.write(b"?")
        self.program("pbd", self.views.address, self.path("two"), "--data", self.data("two"), code=1)
        self.assertIn(file, self.complaint)
        self.assertIn("docs/durability.md", self.complaint)
        shutil.rmtree(self.data("two"))
        self.two = self.pbd("two")
        self.in_sync(self.two)

    def test_a_lost_view_service_goes_on_from_its_disk(self):
        self.pair_with_disks()
        self.kill(self.views)
        self.viewd()
        self.kill(self.one)
        self.expect_colour()  # its record names the backup to promote
        self.assertNotIn("wrong_cluster", self.two.text())

    def test_a_lost_disk_of_the_view_service_is_answered_by_adopt(self):
        self.pair_with_disks()
        self.kill(self.views)
        shutil.rmtree(self.data("views"))
        self.viewd()
        cluster = re.search(r"has state of cluster ([0-9a-f]{16})", self.views.wait_for("has state of cluster"))[1]
        self.program("pbc", self.views.address, "--timeout", "0.5", "get", "colour", code=5)
        self.pbc("adopt", "main", cluster, "--yes")
        self.expect_colour()
        self.pbc("put", "colour", "green")
        self.kill(self.one)
        self.expect_colour(b"green")

    def test_an_older_copy_of_the_directory_of_the_view_service_is_noticed(self):
        self.viewd()
        self.one = self.pbd("one")
        self.one.wait_for("primary in view 1")
        self.pbc("put", "colour", "old")
        shutil.copytree(self.data("views"), self.data("copy"))
        self.two = self.pbd("two")
        self.in_sync(self.two)
        self.kill(self.one)
        self.two.wait_for("primary in view")
        self.pbc("put", "colour", "new")
        self.kill(self.views)
        shutil.rmtree(self.data("views"))
        shutil.copytree(self.data("copy"), self.data("views"))
        self.viewd()
        for _ in range(2):
            self.one = self.pbd("one")
            self.views.wait_for("R7: the record of this view service ends with view")
            self.program("pbc", self.views.address, "--timeout", "0.5", "get", "colour", code=1)
            self.assertIn("R7: the record", self.complaint)
            self.kill(self.one)
        self.one = self.pbd("one")
        command = re.search(rb"pbc VIEW_SERVICE adopt main ([0-9a-f]{16})", self.pbc("status"))
        self.two.wait_for("refused the ping: R7")  # and reports what it knows
        self.pbc("adopt", "main", command[1].decode(), "--yes")
        self.expect_colour(b"new")
        self.in_sync(self.one)
        self.kill(self.two)
        self.expect_colour(b"new")

    def test_an_older_copy_of_the_directory_of_a_server_does_not_lead(self):
        self.viewd()
        self.one = self.pbd("one")
        self.one.wait_for("primary in view 1")
        self.pbc("put", "colour", "old")
        shutil.copytree(self.data("one"), self.data("copy"))
        self.two = self.pbd("two")
        self.in_sync(self.two)
        self.kill(self.two)
        self.views.wait_for("view 3: primary")
        self.pbc("put", "colour", "new")
        self.kill(self.one)
        os.rename(self.data("one"), self.data("newest"))
        shutil.copytree(self.data("copy"), self.data("one"))
        for _ in range(2):  # also after an incarnation that has learned the present view and stored it
            self.one = self.pbd("one")
            self.one.wait_for("idle in view 3")
            for _ in range(3):
                self.assertIn(b"with an older copy of its state, which ends with view 1", self.pbc("status"))
                self.program("pbc", self.views.address, "--timeout", "0.5", "get", "colour", code=5)
            self.kill(self.one)
        shutil.rmtree(self.data("one"))
        os.rename(self.data("newest"), self.data("one"))
        self.one = self.pbd("one")
        self.expect_colour(b"new")

    def test_everything_is_lost_at_once_and_the_disks_bring_it_back(self):
        self.pair_with_disks()
        self.kill(self.views, self.one, self.two)
        self.two = self.pbd("two")
        self.viewd()
        self.expect_colour()  # one of the servers in sync is enough
        self.one = self.pbd("one")
        self.in_sync(self.one)

    def test_everything_is_lost_with_all_disks_but_the_last_dump(self):
        self.pair_with_disks()
        dump = os.path.join(self.folder, "dump")
        self.pbc("dump", dump)
        self.kill(self.views, self.one, self.two)
        for name in ("views", "one", "two"):
            shutil.rmtree(self.data(name))
        self.viewd()
        self.one = self.pbd("one")
        self.one.wait_for("primary in view 1")
        self.pbc("load", dump)
        self.expect_colour()

    def test_a_copy_of_a_stopped_server_is_a_backup(self):
        self.pair_with_disks()
        self.assertEqual(self.two.end(signal.SIGTERM), 0)
        copy = self.data("copy")
        shutil.copytree(self.data("two"), copy)
        self.two = self.pbd("two")
        self.in_sync(self.two)
        self.pbc("put", "colour", "green")
        self.kill(self.two)
        shutil.rmtree(self.data("two"))
        shutil.copytree(copy, self.data("two"))
        self.two = self.pbd("two")  # its directory is older than its last state, and it catches up
        self.in_sync(self.two)
        self.kill(self.one)
        self.expect_colour(b"green")

    def test_without_waiting_for_the_disk_an_operator_decides(self):
        self.viewd()
        self.one = self.pbd("one", "--sync", "never")
        self.one.wait_for("primary in view 1")
        self.pbc("put", "colour", "blue")
        self.kill(self.one)
        self.one = self.pbd("one", "--sync", "never")
        self.views.wait_for("main: waits for")
        self.program("pbc", self.views.address, "--timeout", "0.5", "get", "colour", code=5)
        self.pbc("force", self.one.address, "--yes")
        self.expect_colour()

    def test_many_starts_and_kills_leave_a_few_files(self):
        self.viewd()
        for n in range(15):
            self.one = self.pbd("one", "--sync", "never")
            self.one.wait_for("primary in view" if n == 0 else r"read .*one\.data")
            self.kill(self.one, self.views)
            self.viewd()
        for name in ("one", "views"):
            files = [os.path.join(self.data(name), file) for file in os.listdir(self.data(name)) if file != "lock"]
            self.assertLessEqual(len(files), 2, files)
            self.assertLessEqual(sum(map(os.path.getsize, files)), 512 << 10, files)

    def test_one_directory_is_for_one_server(self):
        self.pair_with_disks()
        self.program("pbd", self.views.address, self.path("three"), "--data", self.data("two"), code=1)
        self.assertIn("another server", self.complaint)
        self.kill(self.two)
        self.program("pbd", self.views.address, self.path("three"), "--data", self.data("two"), code=1)
        self.assertIn(f"named {self.two.address}", self.complaint)
        self.program("pbd", self.views.address, self.path("two"), "--data", self.data("two"), "--sync", "soon", code=2)
        self.assertIn("expected always, never, or a number of seconds", self.complaint)


if __name__ == "__main__":
    programs_test.PROGRAMS = os.path.abspath(sys.argv.pop(1))
    unittest.main()
