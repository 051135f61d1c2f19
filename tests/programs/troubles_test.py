#!/usr/bin/env python3
"""The programs in trouble: full disks, readers that do not read, signals at any time. `troubles_test.py FOLDER`.

Nothing is timed: each wait is for an event, and 30 seconds are only the bound after which the test has failed.
"""
import fcntl
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import unittest

import programs_test
from programs_test import BOUND, Case


def let_nothing_grow(process, folder):
    """From now on no file of the process may become longer than the longest is that it has in this folder."""
    longest = max(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (longest, longest))


class Raw:
    """A program whose stdout and stderr are what the test says."""

    def __init__(self, case, name, *arguments, **more):
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        program = [os.path.join(programs_test.PROGRAMS, name)]
        self.process = subprocess.Popen([*more.pop("under", []), *program, *arguments], **more)
        case.addCleanup(self.close)

    def ready(self):
        ready, _, _ = select.select([self.process.stdout], [], [], BOUND)
        line = self.process.stdout.readline().decode() if ready else ""
        if not line.startswith("listening on "):
            raise AssertionError(f"did not start: {line!r}")
        return line.split()[-1]

    def wait(self):
        return self.process.wait(BOUND)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def full_pipe():
    """A pipe without room, as a reader leaves it that has stopped reading: its two ends."""
    reader, writer = os.pipe()
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        pass
    fcntl.fcntl(writer, fcntl.F_SETFL, flags)
    return reader, writer


class Disks(Case):
    def test_a_view_service_whose_disk_is_full_ends_with_1(self):
        views = self.start("viewd", self.path("views"), "--data", f"{self.folder}/data")
        let_nothing_grow(views.process, f"{self.folder}/data")
        # New groups fill its file; the pings of their servers may be refused.
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(views.address.removeprefix("unix://"))
        self.addCleanup(peer.close)
        for n in range(10_000):
            ping = {"jsonrpc": "2.0", "id": n * 32 + 1, "method": "view.ping", "params": {
                "group": f"group {n} " + "x" * 200,
                "server": "tcp://127.0.0.1:1", "incarnation": "00000000000000aa", "n": 1,
                "viewnum": 0, "protocol": 1}}
            text = json.dumps(ping).encode()
            try:
                peer.sendall(len(text).to_bytes(4, "big") + text)
            except OSError:
                break  # the view service has ended
        self.assertEqual(views.process.wait(BOUND), 1)
        views.reader.join(BOUND)
        self.assertRegex(views.lines[-3], "Z the view store: .*File too large")
        self.assertIn("failed: stable storage failed", views.lines[-2])
        self.assertIn("stopped", views.lines[-1])
        self.assertFalse(os.path.exists(f"{self.folder}/views"))

    def test_a_server_whose_file_may_not_grow_ends_with_1_and_a_sentence(self):
        self.views = self.start("viewd", self.path("views"), "--dead-pings", "1000")
        one = Raw(self, "pbd", self.views.address, self.path("one"), "--data", f"{self.folder}/data")
        one.ready()
        self.pbc("put", "k", "v")
        let_nothing_grow(one.process, f"{self.folder}/data")
        for n in range(100):
            if one.process.poll() is not None:
                break
            subprocess.run([os.path.join(programs_test.PROGRAMS, "pbc"), self.views.address, "--timeout", "1", "put",
                            f"{n}"], input=b"v" * 1_000_000, capture_output=True)
        self.assertEqual(one.wait(), 1)
        self.assertIn("stable storage failed", one.process.stderr.read().decode())


class Readers(Case):
    def test_servers_whose_events_nobody_reads_go_on_and_take_over(self):
        # No server may be declared dead by silence, so that the result does not depend on how busy the machine is: a
        # server that waited for the reader of its output would never report the other one as in sync.
        self.views = self.start("viewd", self.path("views"), "--dead-pings", "1000")
        reader, writer = full_pipe()
        self.addCleanup(os.close, reader)
        servers = {}
        for name in ("one", "two"):
            server = Raw(self, "pbd", self.views.address, self.path(name), stderr=writer)
            servers[server.ready()] = server
        self.views.wait_for(r"view \d+: primary \S+, backup \S+ \(joining\)")
        self.pbc("put", "k", "v")
        primary = self.primary()
        backup = next(address for address in servers if address != primary)
        self.in_sync(type("Backup", (), {"address": backup}))
        servers[primary].process.kill()
        self.views.wait_for(rf"primary {backup}")
        self.assertEqual(self.pbc("get", "k"), b"v")
        # The flags of the shared pipe are unchanged, and once there is room the survivor reports how many lines are
        # missing.
        self.assertFalse(fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK)
        self.assertEqual(fcntl.fcntl(reader, fcntl.F_GETFL) & os.O_NONBLOCK, 0)
        os.close(writer)
        fcntl.fcntl(reader, fcntl.F_SETFL, os.O_NONBLOCK)
        self.drain(reader)
        servers[backup].process.send_signal(signal.SIGINT)
        servers[backup].process.send_signal(signal.SIGINT)
        servers[backup].wait()
        told = self.drain(reader)
        self.assertRegex(told, r"Z \d+ lines? (was|were) dropped: nobody read them\n")
        self.assertIn(" stopped\n", told)

    def primary(self):
        status = json.loads(self.pbc("status", "--json"))
        return status["view.status"]["groups"][0]["view"]["primary"]

    @staticmethod
    def drain(reader):
        text = b""
        while True:
            try:
                piece = os.read(reader, 1 << 16)
            except BlockingIOError:
                return text.decode()
            if not piece:
                return text.decode()
            text += piece


class Signals(Case):
    def test_a_hangup_is_an_order_to_go(self):
        self.pair()
        self.assertEqual(self.one.end(signal.SIGHUP), 0)
        self.assertIn("left the group", self.one.text())
        self.assertEqual(self.views.end(signal.SIGHUP), 0)

    def test_a_server_that_is_told_to_go_while_it_starts_ends_in_order(self):
        """Whether it still reads its journal then is the machine's affair: what comes of it is the same."""
        self.views = self.start("viewd", self.path("views"))
        arguments = (self.views.address, self.path("one"), "--data", f"{self.folder}/data")
        one = self.start("pbd", *arguments)
        for n in range(10):
            self.pbc("put", f"{n}", stdin=b"v" * 1_000_000)
        self.assertEqual(one.end(signal.SIGKILL), -signal.SIGKILL)
        os.unlink(f"{self.folder}/one")
        for _ in range(3):
            again = Raw(self, "pbd", *arguments)
            while not self.blocks(again.process.pid, signal.SIGTERM):
                self.assertIsNone(again.process.poll())
            again.process.send_signal(signal.SIGTERM)
            self.assertEqual(again.wait(), 0)
            self.assertIn("stopped", again.process.stderr.read().decode())
            self.assertFalse(os.path.exists(f"{self.folder}/one"))

    @staticmethod
    def blocks(pid, signal):
        with open(f"/proc/{pid}/status") as status:
            masks = [line.split()[1] for line in status if line.startswith("SigBlk:")]
        return bool(masks and int(masks[0], 16) & 1 << (signal - 1))

    def test_a_server_is_told_to_go_also_as_the_first_process_of_a_container(self):
        under = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]
        if subprocess.run([*under, "true"], capture_output=True).returncode != 0:
            self.skipTest("no namespaces here")
        views = Raw(self, "viewd", self.path("views"), under=under)
        views.ready()
        (child,) = self.children(views.process.pid)
        os.kill(child, signal.SIGTERM)
        self.assertEqual(views.wait(), 0)
        self.assertIn("stopped", views.process.stderr.read().decode())

    @staticmethod
    def children(parent):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    # "PID (NAME) STATE PARENT ...", and NAME may contain anything
                    if int(stat.read().rpartition(")")[2].split()[1]) == parent:
                        found.append(int(pid))
            except OSError:
                pass  # the process has ended meanwhile
        return found

    def test_a_limit_of_descriptors_is_raised_to_the_hard_one(self):
        views = Raw(self, "viewd", self.path("views"),
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512)))
        views.ready()
        self.assertEqual(resource.prlimit(views.process.pid, resource.RLIMIT_NOFILE), (512, 512))


class Dumps(Case):
    def test_a_dump_that_is_killed_leaves_nothing_for_ever(self):
        self.views = self.start("viewd", self.path("views"))
        self.one = self.start("pbd", self.views.address, self.path("one"))
        self.pbc("put", "k", "v")
        self.one.process.send_signal(signal.SIGSTOP)  # so that the dump waits
        target = f"{self.folder}/dump"
        dump = Raw(self, "pbc", self.views.address, "--timeout", str(BOUND), "dump", target)
        while not any("dump" in os.path.basename(file) or "deleted" in file for file in self.files(dump.process.pid)):
            self.assertIsNone(dump.process.poll())
        dump.process.kill()
        dump.wait()
        self.one.process.send_signal(signal.SIGCONT)
        # A killed process leaves such a file on systems where files must have names; the file of a live process must
        # stay.
        open(f"{self.folder}/.dump.1.pbc-part", "w").close()
        open(f"{target}.1.part", "w").close()  # a file of another program
        with open(f"{self.folder}/.dump.2.pbc-part", "w") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX)
            self.pbc("dump", target)
            left = sorted(name for name in os.listdir(self.folder) if "dump" in name)
            self.assertEqual(left, [".dump.2.pbc-part", "dump", "dump.1.part"])
        with open(target) as file:
            self.assertEqual(json.loads(file.read()), {"key": "k", "value": "v"})

    @staticmethod
    def files(pid):
        """What a process has open."""
        found = []
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
            except FileNotFoundError:
                pass  # the descriptor was closed meanwhile
        return found


class Names(Case):
    def test_forged_names_reach_neither_log_nor_terminal(self):
        self.views = self.start("viewd", self.path("views"))
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(self.views.address.removeprefix("unix://"))
        self.addCleanup(peer.close)
        forged = "x\n2026-01-01T00:00:00.000Z main: view 7: forged"
        for n, (group, server) in enumerate([(forged, "tcp://127.0.0.1:1"), ("main", "tcp://a\x1b[2J:1"),
                                             ("main", "nowhere"), ("main", "tcp://0.0.0.0:1")] * 3):
            ping = {"jsonrpc": "2.0", "id": n * 32 + 1, "method": "view.ping", "params": {
                "group": group, "server": server, "incarnation": "00000000000000aa", "n": n + 1, "viewnum": 0,
                "protocol": 1}}
            text = json.dumps(ping).encode()
            peer.sendall(len(text).to_bytes(4, "big") + text)
            size = int.from_bytes(peer.recv(4, socket.MSG_WAITALL), "big")
            self.assertIn("error", json.loads(peer.recv(size, socket.MSG_WAITALL)))
        self.views.end(signal.SIGTERM)
        refused = [line for line in self.views.lines if "bad_request" in line]
        self.assertEqual(len(refused), 4, self.views.text())  # each is reported once, however often it is repeated
        self.assertNotIn("\x1b", self.views.text())
        self.assertFalse([line for line in self.views.lines if line.startswith("2026-01-01")])


if __name__ == "__main__":
    programs_test.PROGRAMS = os.path.abspath(sys.argv.pop(1))
    unittest.main()
