#!/usr/bin/env python3
"""viewd, pbd and pbc as people run them: real processes over unix sockets and TCP. `programs_test.py FOLDER`.

Nothing is timed: each wait is for an event, and 30 seconds are only the bound after which the test has failed.
"""
import base64
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

BOUND = 30
PROGRAMS = "."


class Daemon:
    """A server program: its address, and its events as they come."""

    def __init__(self, name, *arguments):
        self.lines, self.changed = [], threading.Condition()
        self.process = subprocess.Popen([os.path.join(PROGRAMS, name), *arguments], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        ready, _, _ = select.select([self.process.stdout], [], [], BOUND)
        line = self.process.stdout.readline() if ready else ""
        if not line.startswith("listening on "):
            raise AssertionError(f"{name} did not start: {line!r} {self.text()}")
        self.address = line.split()[-1]

    def read(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()

    def text(self):
        with self.changed:
            return "\n".join(self.lines)

    def wait_for(self, pattern):
        """The first event that matches, also one of the past."""
        found = lambda: next((line for line in self.lines if re.search(pattern, line)), None)
        with self.changed:
            if not self.changed.wait_for(found, BOUND):
                raise AssertionError(f"no event {pattern!r} of {self.process.args} in:\n" + "\n".join(self.lines))
            return found()

    def end(self, how):
        self.process.send_signal(how)
        code = self.process.wait(BOUND)
        self.reader.join(BOUND)
        return code

    def close(self):
        if self.process.poll() is None:
            self.end(signal.SIGKILL)
        self.process.stdout.close()
        self.process.stderr.close()


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return f"unix://{self.folder}/{name}"

    def start(self, name, *arguments):
        daemon = Daemon(name, *arguments)
        self.addCleanup(daemon.close)
        return daemon

    def program(self, *arguments, stdin=b"", stdout=subprocess.PIPE, code=0):
        done = subprocess.run([os.path.join(PROGRAMS, arguments[0]), *arguments[1:]], input=stdin, stdout=stdout,
                              stderr=subprocess.PIPE, timeout=2 * BOUND)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout!r} {done.stderr.decode()}")
        self.complaint = done.stderr.decode()
        return done.stdout

    def pbc(self, *arguments, **more):
        return self.program("pbc", self.views.address, "--timeout", str(BOUND), *arguments, **more)

    def pair(self, first="tcp://127.0.0.1:0", second=None):
        """A view service, a primary and a backup that is in sync. Nobody is found dead by silence: a busy machine
        would make that a matter of luck. A process that ends is noticed by its connection."""
        self.views = self.start("viewd", self.path("views"), "--dead-pings", "1000")
        self.one = self.start("pbd", self.views.address, first)
        self.one.wait_for("primary in view 1")
        self.two = self.start("pbd", self.views.address, second or self.path("two"))
        self.in_sync(self.two)

    def in_sync(self, backup, group="main"):
        """Follows the views until the view service may promote that server."""
        watch = subprocess.Popen([os.path.join(PROGRAMS, "pbc"), self.views.address, "--group", group, "watch"],
                                 stdout=subprocess.PIPE, text=True)
        killer = threading.Timer(BOUND, watch.kill)
        killer.start()
        try:
            for line in watch.stdout:
                if f"{backup.address} (in sync)" in line:
                    break
            else:
                raise AssertionError(f"{backup.address} is never in sync: {self.views.text()}")
            watch.send_signal(signal.SIGINT)
            self.assertEqual(watch.wait(BOUND), 0)
        finally:
            killer.cancel()
            watch.kill()
            watch.wait()
            watch.stdout.close()


class Data(Case):
    """One group for all of them: each has keys of its own."""

    @classmethod
    def setUpClass(cls):
        cls.shared = Case()
        cls.shared.setUp()
        cls.addClassCleanup(cls.shared.doCleanups)
        cls.shared.pair()

    def setUp(self):
        super().setUp()
        self.views = self.shared.views

    def test_values_are_any_bytes(self):
        value = b"a\0b\nc\xff\xfe\n" + bytes(range(256)) * 40
        self.assertEqual(self.pbc("put", "binary", stdin=value), b"")
        self.assertEqual(self.pbc("get", "binary"), value)
        self.pbc("put", "binary", "-", stdin=b"")
        self.assertEqual(self.pbc("get", "binary"), b"")
        self.pbc("append", "binary", "-", stdin=b"\n\0")
        self.assertEqual(self.pbc("get", "binary"), b"\n\0")

    def test_odd_words_are_plain_keys_and_values(self):
        for word in ("put", "{}", "[a]", "[]", "%%", "a b", "'q'", "--x", "-1", "é"):
            self.pbc("put", "--", word, word)
            self.assertEqual(self.pbc("get", "--", word), word.encode(), word)
        self.pbc("put", "empty", "")
        self.assertEqual(self.pbc("get", "empty"), b"")

    def test_append_erase_and_missing_keys(self):
        self.assertEqual(self.pbc("append", "log", "abc"), b"3\n")
        self.assertEqual(self.pbc("append", "log", "de"), b"5\n")
        self.pbc("erase", "log")
        self.pbc("erase", "log", code=3)
        self.pbc("get", "log", code=3)
        self.assertIn("get log: the key does not exist", self.complaint)

    def test_compare_and_set(self):
        self.pbc("cas", "lock", "me")
        self.assertEqual(self.pbc("cas", "lock", "you", code=3), b"me")
        self.pbc("cas", "lock", "you", "--expect", "me")
        self.pbc("cas", "lock", "me", "--expect", "me", code=3)
        self.pbc("cas", "nothing", "v", "--expect", "old", code=3)
        self.assertEqual(self.pbc("get", "lock"), b"you")

    def test_keys_come_in_pages(self):
        for name in ("k/1", "k/2", "k/3", "k/\n"):
            self.pbc("put", name, "v")
        self.assertEqual(self.pbc("keys", "--prefix", "k/", "--limit", "2"), b"k/\n\nk/1\n")
        self.assertIn("more keys", self.complaint)
        self.assertEqual(self.pbc("keys", "--prefix", "k/", "--after", "k/1", "--limit", "2"), b"k/2\nk/3\n")
        self.assertEqual(self.complaint, "")
        listed = self.pbc("keys", "--prefix", "k/", "--all", "--json").decode().splitlines()
        self.assertEqual([json.loads(line) for line in listed], ["k/\n", "k/1", "k/2", "k/3"])

    def test_a_value_longer_than_a_command(self):
        value = os.urandom(1 << 20)  # in base64 larger than --max-command
        self.pbc("put", "large", stdin=value, code=1)
        self.assertRegex(self.complaint, r"larger than the limit.*; with --pieces")
        self.pbc("put", "large", "--pieces", stdin=value)
        self.assertEqual(self.pbc("get", "large"), value)
        self.pbc("erase", "large")
        self.pbc("put", "large", stdin=bytes((2 << 20) + 1), code=1)
        self.assertIn("at most 2097152 bytes", self.complaint)

    def test_a_dump_loads_into_another_group(self):
        copy = self.start("pbd", self.views.address, self.path("copy"), "--group", "copy")
        copy.wait_for("copy: primary in view 1")
        self.pbc("put", "bytes", stdin=b"\0\xff")
        self.pbc("put", "large2", "--pieces", stdin=bytes([255]) * (1 << 20))
        dumped = self.pbc("dump")
        self.assertIn("position", self.complaint)
        records = [json.loads(line) for line in dumped.splitlines()]
        self.assertIn({"key": "bytes", "value": {"b64": base64.b64encode(b"\0\xff").decode()}}, records)
        self.pbc("load", "--group", "copy", stdin=dumped)
        self.assertIn(f"loaded {len(records)} keys", self.complaint)
        self.assertEqual(self.pbc("--group", "copy", "dump"), dumped)
        self.pbc("erase", "large2")

    def test_a_dump_replaces_a_file_only_when_it_is_whole(self):
        file, link = os.path.join(self.folder, "records"), os.path.join(self.folder, "link")
        os.symlink(file, link)
        self.pbc("put", "kept", "v")
        self.assertEqual(self.pbc("dump", file), b"")
        with open(file, "rb") as kept:
            good = kept.read()
        self.assertIn(b'{"key":"kept","value":"v"}', good)
        self.program("pbc", self.path("nobody"), "--timeout", "0.2", "dump", file, code=5)
        self.assertEqual(sorted(os.listdir(self.folder)), ["link", "records"])
        with open(file, "rb") as kept:
            self.assertEqual(kept.read(), good)
        self.pbc("put", "kept", "w")
        self.pbc("dump", link)
        with open(file, "rb") as kept:
            self.assertIn(b'{"key":"kept","value":"w"}', kept.read())
        self.assertEqual(sorted(os.listdir(self.folder)), ["link", "records"])
        self.pbc("load", link)
        self.pbc("dump", self.folder, code=1)
        self.assertIn("is no file that could be replaced", self.complaint)
        self.pbc("dump", os.path.join(self.folder, "none", "records"), code=1)
        self.assertIn("No such file", self.complaint)

    def test_bad_lines_are_named_and_the_others_loaded(self):
        lines = b'{"key":"l1","value":"a"}\nrubbish\n{"key":"l2","value":7}\n{"key":"l1","value":"later"}\n'
        self.pbc("load", stdin=lines, code=1)
        for expected in ("line 2:", "line 3: member 'value'", "loaded 2 keys, left out 2 bad lines"):
            self.assertIn(expected, self.complaint)
        self.assertEqual(self.pbc("get", "l1"), b"later")
        file = os.path.join(self.folder, "records")
        with open(file, "w", encoding="utf-8") as out:
            out.writelines(json.dumps({"key": f"many/{n:04}", "value": str(n)}) + "\n" for n in range(1000))
        self.pbc("load", file)
        self.assertEqual(len(self.pbc("keys", "--prefix", "many/").splitlines()), 1000)
        self.pbc("load", file + ".none", code=1)
        self.assertIn("No such file", self.complaint)

    @unittest.skipUnless(os.path.exists("/dev/full"), "there is no /dev/full here")
    def test_what_could_not_be_printed_is_said(self):
        for name in ("full/1", "full/2"):
            self.pbc("put", name, "v")
        with open("/dev/full", "wb") as full:
            for command in (("get", "full/1"), ("cas", "full/1", "w"), ("keys", "--limit", "1"),
                            ("append", "full/2", "w"), ("dump",), ("status",)):
                self.pbc(*command, stdout=full, code=1)
                self.assertEqual(self.complaint, "pbc: stdout: No space left on device\n", command)

    def test_status_shows_the_pair_in_sync(self):
        text = self.pbc("status").decode()
        self.assertRegex(text, r"(?m)^  primary +tcp://127.0.0.1:\d+ +heard .*committed \d+")
        self.assertRegex(text, r"(?m)^  backup +unix://.*/two +heard .*, in sync, has (\d+) of")
        self.assertIn("recent events", text)
        answer = json.loads(self.pbc("status", "--json"))
        self.assertEqual(answer["view.status"]["groups"][0]["view"]["group"], "main")
        self.assertEqual(answer["pb.status"][0]["role"], "primary")
        self.assertIn("was heard yet", self.pbc("status", "--group", "none").decode())
        self.assertIn("group main", self.pbc("status", "--all").decode())

    def test_status_shows_events_of_its_group(self):
        self.start("pbd", self.views.address, self.path("seen"), "--group", "seen").wait_for("seen: primary in view 1")
        for group, other in (("main", "seen"), ("seen", "main")):
            text = self.pbc("status", "--group", group, "--events", "100").decode()
            self.assertRegex(text, f"ago: {group}: ")
            self.assertNotRegex(text, f"ago: {other}: ")
        self.assertIn("ago: seen: ", self.pbc("status", "--all", "--group", "none", "--events", "100").decode())
        for quiet in (("--group", "none"), ("--events", "0")):
            self.assertNotIn("recent events", self.pbc("status", *quiet).decode())

    def test_a_group_without_servers_says_so(self):
        self.program("pbc", self.views.address, "--group", "none", "--timeout", "0.3", "get", "k", code=5)
        self.assertIn("group none has no server yet", self.complaint)
        lines = b"".join(b'{"key":"%d","value":""}\n' % n for n in range(5))
        self.program("pbc", self.views.address, "--group", "none", "--timeout", "0.3", "load", stdin=lines, code=5)
        self.assertIn("line 1 and 4 after it: ", self.complaint)
        self.assertIn("group none has no server yet", self.complaint)
        self.assertEqual(len(re.findall("^pbc: line ", self.complaint, re.M)), 1)


class Failover(Case):
    def test_a_killed_primary_is_replaced(self):
        self.pair()
        spare = self.start("pbd", self.views.address, "tcp://127.0.0.1:0")
        self.views.wait_for(f"heard {spare.address}")
        spare.wait_for(r"main: idle in view \d")
        self.assertRegex(self.pbc("status").decode(), rf"(?m)^  idle +{re.escape(spare.address)} ")
        self.pbc("put", "k", "v")
        self.one.end(signal.SIGKILL)
        self.assertEqual(self.pbc("get", "k"), b"v")
        self.in_sync(spare)
        text = self.pbc("status").decode()
        self.assertRegex(text, rf"(?m)^  primary +{re.escape(self.two.address)} ")
        self.assertRegex(text, rf"(?m)^  dead +{re.escape(self.one.address)} ")

    def test_a_server_stands_in_for_a_view_service_that_is_gone(self):
        self.pair(second="tcp://127.0.0.1:0")
        self.pbc("put", "k", "v")
        self.views.end(signal.SIGKILL)
        for server in (self.one, self.two):
            self.assertEqual(self.program("pbc", server.address, "get", "k"), b"v")
        self.views = self.start("viewd", self.path("views"))
        self.program("pbc", self.views.address, "--timeout", "0.5", "get", "k", code=5)
        self.assertIn("`pbc SERVER --group main dump FILE`", self.complaint)
        self.assertIn(b'{"key":"k","value":"v"}\n', self.program("pbc", self.two.address, "dump"))
        self.assertNotIn("unknown_method", self.two.text())
        self.program("pbc", self.two.address, "status", code=1)
        self.assertIn("the method belongs to a view service", self.complaint)

    def test_a_primary_that_is_told_to_go_hands_over(self):
        self.pair(second="tcp://127.0.0.1:0")
        self.pbc("put", "k", "v")
        self.assertEqual(self.one.end(signal.SIGTERM), 0)
        self.assertIn("left the group", self.one.text())
        self.two.wait_for("primary in view")
        # The view changed because the server reported that it left, not because it was declared dead after D.
        self.views.wait_for(re.escape(f"primary {self.two.address}"))
        lost = [line for line in self.views.lines if f"lost {self.one.address}" in line]
        self.assertEqual([line.rsplit(": ", 1)[1] for line in lost], ["has left"])
        self.assertEqual(self.pbc("get", "k"), b"v")

    def test_a_second_signal_stops_at_once(self):
        self.views = self.start("viewd", self.path("views"))
        alone = self.start("pbd", self.views.address, self.path("alone"), "--leave-timeout", "1000000")
        alone.wait_for("primary in view 1")
        alone.process.send_signal(signal.SIGINT)
        alone.wait_for("leaving the group")
        self.assertEqual(alone.end(signal.SIGINT), 0)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "alone")))
        self.assertEqual(self.views.end(signal.SIGTERM), 0)

    def test_nobody_to_hand_over_to(self):
        self.views = self.start("viewd", self.path("views"))
        alone = self.start("pbd", self.views.address, self.path("alone"), "--leave-timeout", "0.1")
        alone.wait_for("primary in view 1")
        self.assertEqual(alone.end(signal.SIGTERM), 0)
        self.assertIn("no server took over", alone.text())
        self.assertNotIn("lost", alone.text())  # nothing was ever written

    def test_the_last_server_says_that_it_takes_the_state_along(self):
        self.views = self.start("viewd", self.path("views"))
        for signals in (1, 2):
            alone = self.start("pbd", self.views.address, self.path("alone"), "--group", f"g{signals}",
                               "--leave-timeout", "0.1" if signals == 1 else "1000000")
            alone.wait_for("primary in view 1")
            self.pbc("--group", f"g{signals}", "put", "k", "v")
            alone.process.send_signal(signal.SIGTERM)
            alone.wait_for("has no other server in sync: its state ends with this process")
            if signals == 2:
                alone.process.send_signal(signal.SIGTERM)
            self.assertEqual(alone.process.wait(BOUND), 1)
            alone.wait_for(f"group g{signals} had no other server in sync: its state is lost")
            self.assertEqual(alone.text().count("is lost"), 1)

    def test_promote(self):
        self.pair()
        self.assertIn(f"primary {self.two.address}", self.pbc("promote", self.two.address).decode())
        self.two.wait_for("primary in view")
        self.pbc("promote", "tcp://127.0.0.1:1", code=1)
        self.assertIn("is no backup of", self.complaint)

    def test_force_asks_first(self):
        self.views = self.start("viewd", self.path("views"), "--dead-pings", "30")
        one = self.start("pbd", self.views.address, self.path("one"))
        one.wait_for("primary in view 1")
        self.pbc("put", "k", "v")
        self.pbc("force", "--yes", one.address, code=1)
        self.assertIn("the group does not wait: view 1: ", self.complaint)
        self.assertNotIn("is lost", self.complaint)
        one.end(signal.SIGKILL)
        two = self.start("pbd", self.views.address, self.path("two"))
        self.views.wait_for("waits for")
        self.views.wait_for(f"heard {two.address}")
        text = self.pbc("status").decode()
        self.assertIn(f"WAITS for {one.address}", text)
        self.assertIn("force SERVER", text)

        self.assertIn("only an operator can end the wait", text)

        for server, why in ((one.address, "is dead"), (self.path("none"), "is not known in this group")):
            self.pbc("force", "--yes", server, code=1)
            self.assertIn(why, self.complaint)
            self.assertNotIn("lost", self.complaint)
        self.pbc("force", two.address, code=1)
        self.assertIn("is lost", self.complaint)
        self.assertIn("stdin is no terminal", self.complaint)
        self.assertEqual(self.on_terminal("no", "force", two.address), 1)
        self.assertIn(f"WAITS for {one.address}", self.pbc("status").decode())
        self.assertEqual(self.on_terminal("yes", "force", two.address), 0)
        two.wait_for("primary in view")
        self.pbc("get", "k", code=3)

        two.end(signal.SIGKILL)
        three = self.start("pbd", self.views.address, self.path("three"))
        self.views.wait_for("waits for .*two")
        self.views.wait_for(f"heard {three.address}")  # the wait may begin before its first ping
        self.assertIn(f"primary {three.address}", self.pbc("force", "--yes", three.address).decode())

    def test_view_service_goes_on_from_its_directory(self):
        data = ["--data", os.path.join(self.folder, "views.data")]
        self.views = self.start("viewd", self.path("views"), "--dead-pings", "1000", *data)
        one = self.start("pbd", self.views.address, self.path("one"))
        one.wait_for("primary in view 1")
        two = self.start("pbd", self.views.address, self.path("two"))
        self.in_sync(two)
        self.pbc("put", "k", "v")
        view = self.pbc("status").decode().splitlines()[0]
        self.program("viewd", self.path("second"), *data, code=1)
        self.assertIn("lock", self.complaint)

        for how in (signal.SIGKILL, signal.SIGTERM):
            self.views.end(how)
            self.views = self.start("viewd", self.path("views"), "--dead-pings", "1000", *data)
            self.in_sync(two)
            self.assertEqual(self.pbc("status").decode().splitlines()[0], view)
            self.assertEqual(self.pbc("get", "k"), b"v")
        self.assertEqual(one.end(signal.SIGTERM), 0)  # it leaves once the other server can lead
        two.wait_for("primary in view")
        self.assertEqual(self.pbc("get", "k"), b"v")

    def test_a_directory_that_is_damaged_is_refused(self):
        data = os.path.join(self.folder, "views.data")
        views = self.start("viewd", self.path("views"), "--data", data)
        one = self.start("pbd", views.address, self.path("one"))
        one.wait_for("primary in view 1")
        views.end(signal.SIGTERM)
        name = next(name for name in sorted(os.listdir(data)) if name.endswith(".log"))
        with open(os.path.join(data, name), "r+b") as file:
            content = file.read()
            file.seek(content.index(b"cluster"))
            file.write(b"CLUSTER")
        self.program("viewd", self.path("again"), "--data", data, code=1)
        self.assertIn(f"{name} is damaged at offset", self.complaint)
        self.assertIn("adopt each group", self.complaint)

    def test_adopt(self):
        self.pair(self.path("one"))
        self.pbc("put", "k", "v")
        self.views.end(signal.SIGKILL)
        self.views = self.start("viewd", self.path("views"), "--dead-pings", "30")
        refused = self.views.wait_for("has state of cluster")
        cluster = re.search("state of cluster ([0-9a-f]{16})", refused).group(1)

        self.pbc("adopt", "main", "12", "--yes", code=2)
        self.assertIn("16 hexadecimal digits", self.complaint)
        self.pbc("adopt", "main", cluster, code=1)
        self.assertIn("stdin is no terminal", self.complaint)
        self.pbc("adopt", "other", cluster, "--yes", code=1)
        self.assertIn("no server has reported a view of this group", self.complaint)
        view = self.pbc("adopt", "main", cluster, "--yes").decode()
        self.assertIn(f": primary {self.one.address}, backup {self.two.address} (in sync)", view)
        self.assertRegex(view, r"^view 10000000\d\d: ")
        self.assertIn("never start the former view service again", self.complaint)
        self.assertEqual(self.pbc("get", "k"), b"v")
        self.pbc("put", "k", "w")
        self.one.end(signal.SIGKILL)
        self.two.wait_for("primary in view 10000000")
        self.assertEqual(self.pbc("get", "k"), b"w")
        self.pbc("adopt", "main", cluster, "--yes", code=1)
        self.assertIn("the group has a view of cluster " + cluster, self.complaint)

    def on_terminal(self, answer, *arguments):
        """The exit code of a pbc that somebody answers at a terminal."""
        try:
            person, terminal = pty.openpty()
        except OSError as failure:
            self.skipTest(f"no terminal can be opened here: {failure}")
        try:
            process = subprocess.Popen([os.path.join(PROGRAMS, "pbc"), self.views.address, *arguments], stdin=terminal,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            asked = b""
            while b"Type yes" not in asked:
                ready, _, _ = select.select([process.stderr], [], [], BOUND)
                piece = os.read(process.stderr.fileno(), 4096) if ready else b""
                self.assertNotEqual(piece, b"", f"it did not ask: {asked}")
                asked += piece
            os.write(person, answer.encode() + b"\n")
            code = process.wait(BOUND)
            process.stderr.close()
            return code
        finally:
            os.close(person)
            os.close(terminal)


class Told(Case):
    """What people are told when something is lost, or could be."""

    def test_a_primary_that_takes_the_state_along_says_so_and_fails(self):
        self.views = self.start("viewd", self.path("views"), "--dead-pings", "1000")
        one = self.start("pbd", self.views.address, self.path("one"), "--leave-timeout", "1")
        one.wait_for("primary in view 1")
        self.two = self.start("pbd", self.views.address, self.path("two"))
        self.in_sync(self.two)
        self.pbc("put", "k", "v")
        for daemon in (self.views, self.two):
            daemon.end(signal.SIGKILL)
        self.assertEqual(one.end(signal.SIGTERM), 1)
        self.assertIn("no server took over in time", one.text())

    def test_the_status_says_first_what_loses_nothing(self):
        self.views = self.start("viewd", self.path("views"), "--dead-pings", "1000")
        data = ("--data", self.folder + "/data")
        one = self.start("pbd", self.views.address, self.path("one"), *data)
        one.wait_for("primary in view 1")
        self.pbc("put", "k", "kept")
        one.end(signal.SIGKILL)
        self.views.wait_for("main: waits for")
        text = self.pbc("status").decode()
        self.assertIn(f"Nothing is lost if {one.address} goes on: start it again with its directory", text)
        self.assertLess(text.index("its directory"), text.index("force"))
        self.start("pbd", self.views.address, self.path("one"), *data).wait_for("primary in view 2")
        self.assertEqual(self.pbc("get", "k"), b"kept")
        self.pbc("promote", one.address, code=1)
        self.assertIn("is the primary already", self.complaint)

    def test_servers_of_a_lost_view_service_are_named_with_the_line_that_adopts_them(self):
        self.pair()
        self.pbc("put", "k", "kept")
        self.views.end(signal.SIGKILL)
        self.views = self.start("viewd", self.views.address)
        self.views.wait_for("refused wrong_cluster from .*")
        refused = lambda: self.pbc("status").decode()
        for _ in range(BOUND * 20):
            text = refused()
            if text.count("refused ") == 2:
                break
        line = re.search(rf"pbc {re.escape(self.views.address)} (adopt main [0-9a-f]{{16}})", text).group(1)
        self.assertNotIn("start one", text)
        self.program("pbc", self.views.address, "--timeout", "0.3", "get", "k", code=5)
        self.assertIn(line, self.complaint)
        self.assertNotIn("start one", self.complaint)
        self.start("pbd", self.views.address, self.path("three"))  # it must not found a group over them
        self.views.wait_for("main: heard unix://.*/three")
        self.pbc(*line.split(), "--yes")
        self.assertEqual(self.pbc("get", "k"), b"kept")


class Names(Case):
    def until(self, seen):
        """Asks for the status until it says what it is to say."""
        for _ in range(BOUND * 20):
            text = self.pbc("status").decode()
            if seen(text):
                return text
        raise AssertionError(text)

    def test_a_second_process_under_the_name_of_a_primary_takes_nothing_from_it(self):
        self.views = self.start("viewd", self.path("views"), "--dead-pings", "50")
        one = self.start("pbd", self.views.address, "tcp://127.0.0.1:0")
        one.wait_for("primary in view 1")
        # a group is reported by itself
        idle = self.start("pbd", self.views.address, self.path("two"), "--group", "other")
        idle.wait_for("primary in view 1")
        self.pbc("put", "k", "kept")
        second = self.start("pbd", self.views.address, "tcp://127.0.0.1:0", "--advertise", one.address)
        second.wait_for("name_in_use.*two processes under one name")
        text = self.until(lambda text: "two processes under one name" in text)
        self.assertRegex(text, rf"{re.escape(one.address)}: incarnation .* pings from .*, incarnation .* from ")
        self.pbc("force", one.address, "--yes", code=1)
        self.assertEqual(self.pbc("get", "k"), b"kept")
        one.end(signal.SIGKILL)  # now the name is free
        second.wait_for("idle in view 1")
        self.assertNotIn("two processes", self.until(lambda text: "WAITS" in text))

    def test_a_server_that_is_killed_and_started_at_once_is_not_held_up(self):
        self.views = self.start("viewd", self.path("views"), "--dead-pings", "1000")
        data = ("--data", self.folder + "/data")
        one = self.start("pbd", self.views.address, self.path("one"), *data)
        one.wait_for("primary in view 1")
        for view in range(2, 6):
            self.pbc("put", "k", str(view))
            one.end(signal.SIGKILL)
            one = self.start("pbd", self.views.address, self.path("one"), *data)
            one.wait_for(f"primary in view {view}")
            self.assertEqual(self.pbc("get", "k").decode(), str(view))


class Groups(Case):
    def test_a_group_is_removed_and_made_again_above_its_numbers(self):
        self.views = self.start("viewd", self.path("views"), "--dead-pings", "50", "--data", self.folder + "/views.d")
        one = self.start("pbd", self.views.address, self.path("one"))
        one.wait_for("primary in view 1")
        self.pbc("remove-group", "main", "--yes", code=1)
        self.assertIn("stop every server of the group first", self.complaint)
        one.end(signal.SIGKILL)
        self.views.wait_for("lost .*/one")
        self.assertIn("removed main, last in view 1", self.pbc("remove-group", "main", "--yes").decode())
        self.views.end(signal.SIGKILL)
        self.views = self.start("viewd", self.views.address, "--data", self.folder + "/views.d")
        self.start("pbd", self.views.address, self.path("one")).wait_for("primary in view 2")


class Mistakes(Case):
    def test_wrong_usage(self):
        for arguments in (("pbc",), ("pbc", "tcp://127.0.0.1:1"), ("pbc", "nowhere", "get", "k"),
                          ("pbc", "tcp://127.0.0.1:1", "frob"), ("pbc", "tcp://127.0.0.1:1", "get"),
                          ("pbc", "tcp://127.0.0.1:1", "keys", "--limit", "0"),
                          ("pbc", "tcp://127.0.0.1:1", "get", "k", "--timeout", "0"),
                          ("pbc", "tcp://127.0.0.1:1", "--group", "", "get", "k"),
                          ("viewd",), ("viewd", "tcp://127.0.0.1"), ("viewd", "tcp://0.0.0.0:0"),
                          ("viewd", "tcp://127.0.0.1:0", "--dead-pings", "1"),
                          ("pbd", "tcp://127.0.0.1:1"), ("pbd", "tcp://127.0.0.1:1", "unix://x"),
                          ("pbd", "tcp://127.0.0.1:1", "tcp://127.0.0.1:0", "--log-bytes", "much"),
                          ("viewd", "tcp://127.0.0.1:0", "--backups", "-1"),
                          ("viewd", "tcp://127.0.0.1:0", "--ping-interval", "-100"),
                          ("pbd", "tcp://127.0.0.1:1", "tcp://127.0.0.1:0", "--min-in-sync", "-1"),
                          ("pbd", "tcp://127.0.0.1:1", "tcp://127.0.0.1:0", "--log-bytes", "-5"),
                          ("pbd", "tcp://127.0.0.1:1", "tcp://127.0.0.1:0", "--reads", "stale"),
                          ("pbd", "tcp://127.0.0.1:1", "tcp://127.0.0.1:0", "--max-command", "-1MiB"),
                          ("pbc", "tcp://127.0.0.1:1", "status", "--events", "-1")):
            self.assertEqual(self.program(*arguments, code=2), b"", arguments)
            self.assertTrue(self.complaint.startswith(arguments[0] + ": "), f"{arguments}: {self.complaint}")

    def test_a_mistake_in_the_order_of_words_is_named(self):
        self.program("pbc", "tcp://127.0.0.1:1", "frob", code=2)
        self.assertIn("frob is no command; there are get, put, ", self.complaint)
        for words in (("put", "k", "v"), ("status",)):
            self.program("pbc", *words, code=2)
            self.assertIn(f"VIEW_SERVICE comes first: pbc VIEW_SERVICE {words[0]} ...", self.complaint)
        usage = self.program("pbc", "tcp://127.0.0.1:1", "put", "--help").decode()
        self.assertIn("Usage: pbc VIEW_SERVICE put [OPTIONS] KEY [VALUE]", usage)

    def test_help_teaches(self):
        for name in ("viewd", "pbd", "pbc"):
            text = self.program(name, "--help").decode()
            for expected in ("Examples:\n  viewd tcp://127.0.0.1:7000 &", "Exit codes:", "4  outcome unknown"):
                self.assertIn(expected, text)
            self.assertRegex(self.program(name, "--version").decode(), r"^understudy \d+\.\d+\.\d+\n$")
        self.assertIn("--expect OLD", self.program("pbc", "tcp://127.0.0.1:1", "cas", "--help").decode())

    def test_an_address_in_use(self):
        for address in (self.path("views"), "tcp://127.0.0.1:0"):
            first = self.start("viewd", address)
            for arguments in (("viewd", first.address), ("pbd", first.address, first.address)):
                self.program(*arguments, code=1)
                self.assertIn(first.address, self.complaint)
                self.assertIn("Address already in use", self.complaint)

    def test_nobody_there(self):
        nowhere = self.path("views")
        for command in (("get", "k"), ("put", "k", "v"), ("status",), ("watch",), ("promote", nowhere), ("dump",)):
            self.program("pbc", nowhere, "--timeout", "0.2", *command, code=5)
            self.assertIn(f"no answer from {nowhere} within 0.2 s (is viewd running there?)", self.complaint)

    def test_a_command_ends_within_its_timeout(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections and sends nothing
            address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
            ended = subprocess.run([os.path.join(PROGRAMS, "pbc"), address, "--timeout", "4", "get", "k"],
                                   stderr=subprocess.PIPE, text=True, check=False, timeout=7)
        self.assertEqual(ended.returncode, 5)
        self.assertIn(f"no answer from {address} within 4 s", ended.stderr)

    def test_a_primary_that_does_not_answer_is_named(self):
        self.views = self.start("viewd", self.path("views"))
        one = self.start("pbd", self.views.address, self.path("one"))
        one.wait_for("primary in view 1")
        one.process.send_signal(signal.SIGSTOP)
        self.program("pbc", self.views.address, "--timeout", "0.3", "get", "k", code=5)
        self.assertIn("get k: ", self.complaint)
        self.assertIn(one.address, self.complaint)
        self.assertIn("status` says more", self.complaint)

    def test_the_second_of_two_view_services_answers(self):
        self.views = self.start("viewd", "tcp://127.0.0.1:0")
        both = self.path("nobody") + "," + self.views.address
        self.start("pbd", both, "tcp://127.0.0.1:0").wait_for("primary in view 1")
        self.program("pbc", both, "--timeout", str(BOUND), "put", "k", "v")
        self.assertIn("primary", self.program("pbc", both, "--timeout", "2", "status").decode())


if __name__ == "__main__":
    PROGRAMS = os.path.abspath(sys.argv.pop(1))
    unittest.main()
