#!/usr/bin/python3
"""bw_test.py - cenote-bw between two hosts, over ucx: what it measures and checks, whom it refuses
and what both sides say, and what it prints when the other side dies, stops or is interrupted."""
import json
import os
import pty
import re
import secrets
import select
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import unittest

from harness import case, network, node, program, wait

PROGRAM = node.BIN_DIR / "cenote-bw"
BOUND_S = 120
MIB = 1 << 20
LISTENING = "0A"  # in /proc/net/tcp
GARBAGE = (b"", b"\0" * 4096, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00" * 100,
           secrets.token_bytes(65536))


class Host:
    """One of the hosts at the bridge. `ip netns exec`: UCX looks for interfaces in /sys, which has to
    be this host's."""

    def __init__(self, host):
        self.namespace, self.address = host.namespace, host.address

    def command(self, argv):
        """@argv as it is run on this host; it dies with us."""
        return ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.namespace,
                "setpriv", "--pdeathsig", "KILL", *map(str, argv)]

    def run(self, *argv, data=b""):
        """Runs a program on this host. Return: what it printed."""
        return subprocess.run(self.command(argv), input=data, check=True, timeout=BOUND_S,
                              stdout=subprocess.PIPE).stdout.decode()

    def received(self):
        """Bytes that came in by the wire so far."""
        return int(self.run("cat", "/sys/class/net/eth0/statistics/rx_bytes"))

    def is_up(self):
        return self.run("cat", "/sys/class/net/eth0/operstate").strip() == "up"

    def listening(self):
        """(address, port) of all that listens at TCP over IPv4 on this host."""
        rows = (line.split() for line in self.run("cat", "/proc/net/tcp").splitlines()[1:])
        places = (row[1].split(":") for row in rows if row[3] == LISTENING)
        return sorted((socket.inet_ntoa(struct.pack("=I", int(address, 16))), int(port, 16))
                      for address, port in places)


class Bw(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        hosts = network.Network(2)
        self.addCleanup(hosts.close)
        self.a, self.b = map(Host, hosts.hosts)
        # UCX leaves out what has no carrier when it is opened
        wait.until(lambda: self.a.is_up() and self.b.is_up(), BOUND_S, "the hosts' links are up")
        self.programs = []
        self.addCleanup(self.check_sanitizers)
        self.secret = self.secret_file()

    def check_sanitizers(self):
        for each in self.programs:
            found = re.search("[A-Za-z]+Sanitizer: .*|runtime error: .*", each.stderr)
            self.assertIsNone(found, each.describe())

    def secret_file(self):
        path = case.World.scratch().folder("secret") / "key"
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32) + "\n", encoding="utf-8")
        return path

    def start(self, host, *arguments, environment=None):
        argv = [PROGRAM, *arguments]
        started = program.Program(case.World.scratch().folder("bw"),
                                  host.command(argv) if host else argv,
                                  {**node.ENVIRONMENT, **(environment or {})})
        self.programs.append(started)
        self.addCleanup(started.close)
        return started

    def serve(self, *arguments, secret=None):
        """A server on host a. Its events are lines of JSON."""
        server = self.start(self.a, "serve", "--json", "--transport=ucx", "--secret-file",
                            secret or self.secret, *arguments)
        server.wait_for_text('"listening"')
        return server

    def client(self, *arguments, secret=None, to=None):
        """A client on host b."""
        return self.start(self.b, to or self.a.address, "--transport=ucx",
                          "--secret-file", secret or self.secret, *arguments)

    def measure(self, *arguments, status=0, **keywords):
        """A client to its end. Return: its JSON object."""
        client = self.client("--json", *arguments, **keywords)
        self.assertEqual(client.ended(BOUND_S), status, client.describe())
        return json.loads(client.stdout)

    def reading(self, *arguments):
        """A client that has read something: it is past connecting, and measures."""
        before = self.b.received()
        client = self.client(*arguments)
        client.wait_until(lambda: self.b.received() - before > 64 * MIB, BOUND_S,
                          "64 MiB have arrived")
        return client

    def refused(self, *arguments, said, **keywords):
        """A client that is refused; @said is on its stderr."""
        client = self.client("-D1", *arguments, **keywords)
        self.assertEqual(client.ended(BOUND_S), 1, client.describe())
        self.assertRegex(client.stderr, said)
        return client

    def events(self, server):
        return [json.loads(line) for line in server.stdout.splitlines()]

    def stop(self, server):
        """Return: the server's last event."""
        server.signal(signal.SIGTERM)
        self.assertEqual(server.ended(BOUND_S), 0, server.describe())
        return self.events(server)[-1]

    def check_serves(self, server):
        """@server still does what it is there for."""
        found = self.measure("--verify", "-s", "4096", "-n", "100")
        self.assertIsNone(found["problem"])
        self.assertTrue(server.is_running())


class Measuring(Bw):
    def check_result(self, result, size):
        self.assertEqual(result["bytes"], size)
        self.assertTrue(result["complete"])
        self.assertEqual(result["corrupt_reads"], 0)
        self.assertGreaterEqual(result["verified_bytes"], result["iterations"] * size)

    def test_all_sizes__verified__every_byte_is_right(self):
        server = self.serve("--once")
        found = self.measure("--all", "--iters=20", "--verify")
        sizes = [1 << power for power in range(1, 24)]
        self.assertEqual(len(found["results"]), 2 * len(sizes))
        for index, size in enumerate(sizes):
            bandwidth, latency = found["results"][2 * index:2 * index + 2]
            for result in (bandwidth, latency):
                self.check_result(result, size)
                self.assertEqual(result["iterations"], 20)
            self.assertGreater(bandwidth["bw_average_mib_s"], 0)
            self.assertGreaterEqual(bandwidth["bw_peak_mib_s"], bandwidth["bw_average_mib_s"])
            usec = latency["usec"]
            self.assertLessEqual(usec["t_min"], usec["t_typical"])
            self.assertLessEqual(usec["t_typical"], usec["p99"])
            self.assertLessEqual(usec["p99_9"], usec["t_max"])
            self.assertEqual(sum(bucket["count"] for bucket in usec["histogram"]), 20)
        self.assertEqual(server.ended(BOUND_S), 0, server.describe())
        self.assertGreater(self.events(server)[-1]["served_bytes"], 0)

    def test_both_directions__threads_and_connections__every_byte_is_right(self):
        server = self.serve("--threads=2", "--once")
        found = self.measure("-b", "--verify", "--threads=2", "--qp=4", "-D500 ms", "-s64 KiB",
                             "-s1 MiB", "-t4", "--read-timeout=60 s", "--test=bw")
        self.assertEqual(found["connections"], 4)
        for result, size in zip(found["results"], (65536, MIB)):
            self.check_result(result, size)
            self.assertGreater(result["iterations"], 0)
            self.assertGreater(result["reverse_iterations"], 0)
            self.assertIsNotNone(result["server_cpu_s_per_gb"])
        self.assertEqual(server.ended(BOUND_S), 0, server.describe())

    def test_sizes_that_fit_nowhere__verified__every_byte_is_right(self):
        self.serve("--region=4097")
        found = self.measure("--verify", "-s1", "-s4095", "-s4097", "-n50", "-t7")
        for index, size in enumerate((1, 1, 4095, 4095, 4097, 4097)):
            self.check_result(found["results"][index], size)

    def test_table__one_size__perftests_columns(self):
        self.serve()
        client = self.client("-D200 ms", "-H", "-s4096")
        self.assertEqual(client.ended(BOUND_S), 0, client.describe())
        self.assertRegex(client.stdout, r"#bytes +#iterations +BW peak\[MiB/sec\] +"
                                        r"BW average\[MiB/sec\] +MsgRate\[Mpps\]")
        self.assertRegex(client.stdout, r"#bytes +#iterations +t_min\[usec\]")
        self.assertRegex(client.stdout, r"(?m)^ 4096 +[1-9]\d* +[\d.]+ +[\d.]+ +[\d.]+")
        self.assertRegex(client.stdout, r"< +[\d.]+ usec +[\d,]+ #")

    def test_several_clients__at_once_and_one_after_the_other__all_are_served(self):
        server = self.serve()
        clients = [self.client("--verify", "-D500 ms", "-t8") for _ in range(3)]
        for client in clients:
            self.assertEqual(client.ended(BOUND_S), 0, client.describe())
        self.check_serves(server)
        self.assertEqual(self.stop(server)["connections"], 4)

    def test_read_larger_than_the_region__says_what_to_do(self):
        self.serve("--region=64 KiB")
        self.refused("-s1 MiB", said="offers 64.0 KiB .*--region")

    def test_time_is_up_before_all_reads__says_so(self):
        self.serve()
        found = self.measure("-n", 1 << 40, "-D200 ms", "--test=bw", status=1)
        self.assertIn("--duration", found["problem"])
        self.assertFalse(found["results"][0]["complete"])
        self.assertGreater(found["results"][0]["iterations"], 0)


class Refusing(Bw):
    def test_wrong_secret__both_sides_say_so(self):
        server = self.serve()
        self.refused(secret=self.secret_file(), said="wrong secret.*--secret-file")
        server.wait_for_text("wrong secret")
        self.check_serves(server)
        self.assertGreaterEqual(self.stop(server)["refused"], 1)

    def test_another_cluster__both_sides_say_which(self):
        server = self.serve("--cluster=paris")
        self.refused("--cluster=london", said="another cluster.*paris.*london")
        server.wait_for_text("another cluster")
        self.assertIn("london", server.stderr)

    def test_nobody_listens__says_what_to_do(self):
        self.refused(said="cenote-bw serve")

    def test_no_way_there__ends_in_time(self):
        self.refused("--connect-timeout=500 ms", to="10.77.255.254", said="cannot connect|no way")

    def test_something_else_listens__says_so(self):
        class Chatter(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
                self.request.recv(4096)

        with self.foreign_server(Chatter) as port:
            client = self.start(None, f"127.0.0.1:{port}", "--secret-file", self.secret,
                                "--transport=ucx", "-D1")
            self.assertEqual(client.ended(BOUND_S), 1, client.describe())
            self.assertIn("SSH", client.stderr)

    def test_something_silent_listens__ends_in_time(self):
        class Silence(socketserver.BaseRequestHandler):
            def handle(self):
                while self.request.recv(4096):
                    pass

        with self.foreign_server(Silence) as port:
            client = self.start(None, f"127.0.0.1:{port}", "--secret-file", self.secret,
                                "--transport=ucx", "--connect-timeout=1 s")
            self.assertEqual(client.ended(BOUND_S), 1, client.describe())

    def foreign_server(self, handler):
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)

        class Held:
            def __enter__(self):
                return server.server_address[1]

            def __exit__(self, *_):
                pass
        return Held()

    def test_random_bytes_on_every_port__the_server_goes_on(self):
        server = self.serve("--threads=2")
        places = self.a.listening()
        self.assertGreaterEqual(len(places), 2)
        for place in places:
            for data in GARBAGE:
                self.throw(place, data)
        self.check_serves(server)
        self.assertGreaterEqual(self.stop(server)["foreign"], 1)

    def throw(self, place, data):
        """Sends @data to a place where host a listens, and hangs up."""
        address, port = place
        script = ("import socket, sys\n"
                  "s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)\n"
                  "s.settimeout(10)\n"
                  "try:\n"
                  "    s.sendall(sys.stdin.buffer.read())\n"
                  "except OSError:\n"
                  "    pass\n")
        address = "127.0.0.1" if address == "0.0.0.0" else address
        self.a.run(sys.executable, "-c", script, address, port, data=data)

    def test_port_in_use__the_second_server_says_so(self):
        self.serve()
        second = self.start(self.a, "serve", "--transport=ucx", "--secret-file",
                            self.secret)
        self.assertEqual(second.ended(BOUND_S), 1, second.describe())
        self.assertRegex(second.stderr, "7480.*(in use|EADDRINUSE)")

    def test_no_secret__says_how_to_make_one(self):
        for arguments in (["serve"], ["127.0.0.1"]):
            each = self.start(None, *arguments)
            self.assertEqual(each.ended(BOUND_S), 1, each.describe())
            self.assertIn("--secret-file", each.stderr)

    def test_secret_that_others_may_read__refused(self):
        self.secret.chmod(0o644)
        each = self.start(None, "serve", "--secret-file", self.secret)
        self.assertEqual(each.ended(BOUND_S), 1, each.describe())
        self.assertIn(str(self.secret), each.stderr)


class Failing(Bw):
    # by number: its warm-up is 512 reads, 32 MiB, however fast the machine is
    DEEP = ("-s64 KiB", "-t256", "--verify", "--test=bw", "-n1000000")

    def test_server_killed__reads_end_and_no_byte_changes(self):
        server = self.serve()
        client = self.reading(*self.DEEP)
        server.signal(signal.SIGKILL)
        self.assertEqual(client.ended(BOUND_S), 1, client.describe())
        self.assertIn("was lost in the middle", client.stderr)
        failed, changed = map(int, re.search(r"of (\d+) failed reads, (\d+) changed",
                                             client.stderr).groups())
        self.assertGreaterEqual(failed, 200)
        self.assertLessEqual(failed, 256)
        self.assertEqual(changed, 0)
        # what was measured before is shown
        self.assertRegex(client.stdout, r"(?m)^ 65536 +[1-9]")

    def test_server_stopped_for_a_while__goes_on_afterwards(self):
        server = self.serve()
        client = self.reading(*self.DEEP[:-1], "-D4", "--read-timeout=30 s")
        server.signal(signal.SIGSTOP)
        client.wait_for_text("no read has ended for")
        server.signal(signal.SIGCONT)
        self.assertEqual(client.ended(BOUND_S), 0, client.describe())

    def test_server_stopped_for_good__stalled_within_the_time(self):
        server = self.serve()
        client = self.reading(*self.DEEP, "--read-timeout=1 s")
        server.signal(signal.SIGSTOP)
        self.assertEqual(client.ended(BOUND_S), 1, client.describe())
        self.assertIn("stalled", client.stderr)
        self.assertRegex(client.stderr, r"failed reads, 0 changed")

    def test_client_killed__the_server_serves_the_next(self):
        server = self.serve()
        client = self.reading(*self.DEEP)
        client.signal(signal.SIGKILL)
        client.ended()
        server.wait_for_text('"left"')
        self.check_serves(server)

    def test_client_killed_that_the_server_reads_from__the_server_serves_the_next(self):
        server = self.serve()
        client = self.reading(*self.DEEP, "-b")
        client.signal(signal.SIGKILL)
        client.ended()
        server.wait_for_text('"left"')
        self.check_serves(server)
        self.stop(server)

    def test_interrupted__prints_what_was_measured(self):
        self.serve()
        client = self.reading(*self.DEEP)
        client.signal(signal.SIGINT)
        self.assertEqual(client.ended(BOUND_S), 130, client.describe())
        self.assertRegex(client.stdout, r"(?m)^ 65536 +[1-9]")

    def test_interrupted_twice__ends_at_once(self):
        server = self.serve()
        client = self.reading(*self.DEEP, "--read-timeout=300 s")
        server.signal(signal.SIGSTOP)
        client.wait_for_text("no read has ended for")
        client.signal(signal.SIGINT)
        client.wait_for_text("a second time ends at once")
        client.signal(signal.SIGINT)
        self.assertEqual(client.ended(10), -signal.SIGINT, client.describe())

    def test_server_terminated__clients_are_told_in_time(self):
        server = self.serve()
        client = self.reading(*self.DEEP)
        self.stop(server)
        self.assertEqual(client.ended(BOUND_S), 1, client.describe())
        self.assertIn("was lost in the middle", client.stderr)

    def test_server_with_a_timeout__ends_by_itself(self):
        server = self.serve("--timeout=100 ms")
        self.assertEqual(server.ended(BOUND_S), 0, server.describe())


class Talking(Bw):
    def test_devices__each_with_what_to_do(self):
        each = self.start(None, "devices", "--json")
        self.assertEqual(each.ended(BOUND_S), 0, each.describe())
        found = json.loads(each.stdout)
        self.assertIn("trusted networks only", found["note"])
        kinds = {device["kind"] for device in found["devices"]}
        self.assertEqual(kinds, {"verbs", "ucx"})
        for device in found["devices"]:
            self.assertTrue(device["usable"] or device["problem"], device)
        table = self.start(None, "devices")
        self.assertEqual(table.ended(BOUND_S), 0, table.describe())
        self.assertIn("trusted networks only", table.stdout)

    def test_help__every_command(self):
        for arguments, word in ((["--help"], "--tx-depth"), (["help"], "--tx-depth"),
                                (["serve", "--help"], "--once"), (["help", "devices"], "--json"),
                                (["--version"], "cenote-bw ")):
            each = self.start(None, *arguments)
            self.assertEqual(each.ended(BOUND_S), 0, each.describe())
            self.assertIn(word, each.stdout)

    def test_wrong_usage__2_and_why(self):
        for arguments, word in (([], "usage"), (["--nonsense"], "--nonsense"), (["-n5"], "HOST"),
                                (["a", "b"], "'b'"), (["serve", "x"], "'x'"),
                                (["h", "-s64 MiB", "-t4096"], "--memory")):
            each = self.start(None, *arguments)
            self.assertEqual(each.ended(BOUND_S), 2, each.describe())
            self.assertIn(word, each.stderr)

    def test_terminal__a_secret_made_for_once__its_client_line_works(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        with subprocess.Popen([PROGRAM, "serve", "--once", "--transport=ucx", "--port=0",
                               "--bind=127.0.0.1"], env=node.ENVIRONMENT, stdin=slave,
                              stdout=slave, stderr=slave) as server:
            os.close(slave)
            self.addCleanup(server.kill)
            text = self.read_terminal(master, "one time")
            line = re.search(r"CENOTE_BW_SECRET=(\S+) cenote-bw (\S+)", text)
            client = self.start(None, line.group(2), "--transport=ucx", "-n100", "--verify",
                                environment={"CENOTE_BW_SECRET": line.group(1)})
            self.assertEqual(client.ended(BOUND_S), 0, client.describe())
            self.assertNotIn(line.group(1), client.stdout + client.stderr)
            self.assertEqual(server.wait(BOUND_S), 0)

    def read_terminal(self, master, until):
        text = ""

        def has_come():
            nonlocal text
            if select.select([master], [], [], 0)[0]:
                text += os.read(master, 4096).decode()
            return until in text
        wait.until(has_come, BOUND_S, f"the server says '{until}'")
        return text


if __name__ == "__main__":
    case.main()
