#!/usr/bin/python3
"""daemon_test.py - the daemon's own manners: readiness, one daemon a run directory, its control
socket, and a stop that ends in time whatever S3 does."""
import json
import os
import signal
import socket
import stat
import subprocess

from harness import case, content, node, reader, wait

SIZE = 4 * content.MIB
BOUND_S = 20
PATIENT = {"cache.read_timeout": "10 min", "mount.lookup_timeout": "10 min"}


class Daemon(case.Case):
    @classmethod
    def setUpClass(cls):
        server = case.World.s3()
        cls.bucket = server.make_bucket()
        cls.data = content.random_bytes(1, SIZE)
        server.put(cls.bucket, "object", cls.data)

    def make(self, settings=None):
        return self.make_node([node.s3_backing("lake", self.s3)], [node.entry(self.bucket)],
                              settings=settings)

    def ask(self, each, data):
        """Sends bytes to the control socket. Return: the first answer, or None."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(BOUND_S)
            control.connect(str(each.run_dir / "control"))
            control.sendall(data)
            try:
                answer = control.makefile("rb").readline()
            except ConnectionResetError:
                return None
        return json.loads(answer) if answer else None

    def wait_told(self, manager, text):
        """Until the service manager is told @text; it is told of descriptors to keep, too."""
        wait.until(lambda: text in manager.recv(4096).decode(), BOUND_S, f"it is told {text}")

    # --- readiness

    def test_start__under_a_service_manager__says_ready_and_stopping(self):
        each = self.make()
        path = str(each.directory / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(BOUND_S)
            each.environment["NOTIFY_SOCKET"] = path
            each.write_config()
            each.launch()
            self.wait_told(manager, "READY=1")
            # Whoever was told may read at once.
            self.assertEqual(reader.read("sha256", each.mount / "object"),
                             content.sha256(self.data))
            each.signal(signal.SIGHUP)
            self.wait_told(manager, "RELOADING=1")
            self.wait_told(manager, "READY=1")
            each.signal(signal.SIGTERM)
            self.wait_told(manager, "STOPPING=1")
            self.assertEqual(each.wait_ended(), 0)

    def test_start__run_directory_in_use__is_refused_and_names_the_other(self):
        first = self.start_node(self.bucket)
        second = self.make(settings={"node.run_dir": first.run_dir})
        second.write_config()
        second.launch()
        self.assertEqual(second.wait_ended(), 1)
        self.assertIn(f"pid {first.process.pid}", second.log())
        self.assertTrue(first.status_answers())
        self.check_ended_well(first)

    def test_start__after_kill__takes_over(self):
        each = self.start_node(self.bucket)
        each.kill()
        each.start()
        self.assertEqual(reader.read("sha256", each.mount / "object"), content.sha256(self.data))
        self.check_ended_well(each)
        self.assertEqual(os.listdir(each.run_dir), [], "nothing is left behind")

    # --- the control socket

    def test_control__malformed_requests__cost_an_error_answer(self):
        each = self.start_node(self.bucket)
        for request in (b"\n", b"hello\n", b"[[[[[[[[[\n", b'{"protocol": 1}\n', b"\xff\x00\n",
                        b'{"protocol": 1, "command": "flush", "timeout_ms": 1e9}\n'):
            with self.subTest(request=request):
                answer = self.ask(each, request)
                self.assertFalse(answer["ok"])
                self.assertTrue(answer["message"])
        self.assertIsNone(self.ask(each, b"x" * 5000), "an endless request is hung up")
        self.assertTrue(each.status_answers())
        self.check_ended_well(each)

    def test_control__other_users__may_not_ask(self):
        each = self.start_node(self.bucket)
        self.assertEqual(stat.S_IMODE(os.stat(each.run_dir / "control").st_mode), 0o600)
        os.chmod(each.run_dir / "control", 0o666)
        for folder in (each.run_dir, *each.run_dir.parents):
            if str(folder).startswith("/var/tmp/"):
                os.chmod(folder, 0o755)
        done = subprocess.run(
            ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
             node.BIN_DIR / "cenote", "status", "--run-dir", each.run_dir],
            env=each.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=BOUND_S, check=False)
        if "Permission denied" in done.stdout and "/control" not in done.stdout:
            self.skipTest("user nobody cannot reach the programs or the run directory")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertNotIn("running", done.stdout)
        self.assertTrue(each.status_answers())

    def test_status__watched__counts_on(self):
        each = self.start_node(self.bucket)
        done = each.cenote("status", "--watch", "--count", "3", "--interval", "100 ms", "--json",
                           "--run-dir", each.run_dir)
        reports = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(reports), 3)
        self.assertLess(reports[0]["time_ns"], reports[2]["time_ns"])

    def test_config__printed__is_the_same_configuration_without_secrets(self):
        each = self.make()
        each.write_config()
        done = each.cenote("config", "--config", each.config_path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn(self.s3.secret_key, done.stdout)
        again = each.directory / "again.conf"
        again.write_text(done.stdout)
        self.assertEqual(each.cenote("config", "--config", again).stdout.replace(
            "# secret_key is not set", "# secret_key is set (secret)"), done.stdout)

    # --- a stop in time

    def blocked(self, settings, match):
        """A node with a reader that waits for an S3 which does not answer."""
        proxy = self.make_proxy()
        each = self.start_node(self.bucket, proxy.endpoint, settings={**PATIENT, **settings},
                               s3={"stall_timeout": "10 min"})
        stall = proxy.add("stall", match=match)
        waiting = reader.Reader("sha256", each.mount / "object")
        self.addCleanup(lambda: waiting.process.poll() is None and waiting.kill())
        wait.until(lambda: stall.seen, BOUND_S, "the request is under way")
        return each, waiting

    def check_second_signal(self, match):
        each, waiting = self.blocked({"node.stop_timeout": "5 min"}, match)
        each.signal(signal.SIGTERM)
        each.wait_until(lambda: "daemon.stop" in each.log(), BOUND_S, "the daemon stops")
        each.signal(signal.SIGTERM)
        self.assertEqual(each.wait_ended(BOUND_S), 0)
        self.assertFalse(each.is_mounted())
        self.assertIn("errno", waiting.results(BOUND_S)[0])

    def test_stop__second_signal_while_a_read_waits__ends_at_once(self):
        self.check_second_signal(lambda request: request.is_get)

    def test_stop__second_signal_while_a_lookup_waits__ends_at_once(self):
        self.check_second_signal(lambda request: True)

    def test_stop__lookup_that_never_ends__ends_after_stop_timeout(self):
        each, waiting = self.blocked({"node.stop_timeout": "1 s"}, lambda request: True)
        self.assertEqual(each.stop(), 0)
        self.assertFalse(each.is_mounted())
        self.assertIn("errno", waiting.results(BOUND_S)[0])

    def test_stop__data_on_its_way_to_the_ssd__is_kept(self):
        each = self.start_node(self.bucket)
        self.assertEqual(reader.read("sha256", each.mount / "object"), content.sha256(self.data))
        each.restart()
        self.assertEqual(reader.read("sha256", each.mount / "object"), content.sha256(self.data))
        self.assertEqual(each.counter("s3", "gets"), 0, "what was fetched was committed")


if __name__ == "__main__":
    case.main()
