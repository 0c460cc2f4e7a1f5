#!/usr/bin/python3
"""harness_test.py - shows that the harness breaks what it says it breaks, and counts what it says it
counts: a fault that does nothing would let every test of faults pass.
"""
import errno
import http.client
import os
import pathlib
import signal
import subprocess
import sys
import threading

from harness import case, content, disk, node, scratch, wait

SIZE = 100000
# A run in a directory of its own, with a mount and a process in it, that ends as is said.
RUN = """
import os, signal, subprocess, sys
sys.path.insert(0, sys.argv[1])
from harness import case
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
top = case.World.scratch()
place = top.folder("mount")
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
subprocess.Popen(["tail", "-f", "/dev/null", place / "file"], stdout=subprocess.DEVNULL,
                 stderr=subprocess.DEVNULL)
print(top.path, flush=True)
if sys.argv[2] == "fail":
    raise RuntimeError("on purpose")
if sys.argv[2] == "orphan":
    top.guard.kill()
if sys.argv[2] != "end":
    sys.stdin.read()
"""


class Harness(case.Case):
    def setUp(self):
        super().setUp()
        self.bucket = self.s3.make_bucket()
        self.s3.client.put_bucket_acl(Bucket=self.bucket, ACL="public-read")
        self.s3.client.put_object(Bucket=self.bucket, Key="object", Body=b"x" * SIZE,
                                  ACL="public-read")
        self.proxy = self.make_proxy()

    def get(self, method="GET"):
        """(status, body length) of an unsigned request through the proxy."""
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=30)
        try:
            connection.request(method, f"/{self.bucket}/object")
            answer = connection.getresponse()
            return answer.status, len(answer.read())
        finally:
            connection.close()

    def test_proxy__no_fault__passes_and_counts(self):
        self.assertEqual(self.get(), (200, SIZE))
        self.assertEqual(self.get("HEAD"), (200, 0))
        self.assertEqual([(each.status, each.received) for each in self.proxy.gets()],
                         [(200, SIZE)])

    def test_proxy__each_fault_once__breaks_one_request(self):
        for kind, settings, outcome in (
                ("status", {"status": 503}, lambda: self.assertEqual(self.get()[0], 503)),
                ("truncate", {"after": 1000},
                 lambda: self.assertRaises(http.client.IncompleteRead, self.get)),
                ("reset", {"after": 1000},
                 lambda: self.assertRaises(ConnectionResetError, self.get)),
                ("shorten", {"by": 5}, lambda: self.assertEqual(self.get(), (200, SIZE - 5)))):
            with self.subTest(kind=kind):
                fault = self.proxy.add(kind, times=1, **settings)
                outcome()
                self.assertEqual(fault.seen, 1)
                self.assertEqual(self.get(), (200, SIZE))

    def test_proxy__delay__holds_for_its_time(self):
        fault = self.proxy.add("delay", seconds=1, times=1)
        self.assertEqual(self.get(), (200, SIZE))
        self.assertEqual(fault.seen, 1)
        request = self.proxy.gets()[0]
        wait.until(lambda: request.ended, 30, "the proxy is done with it")
        self.assertGreaterEqual(request.ended - request.started, 1)
        self.assertEqual(request.client, "127.0.0.1")

    def test_proxy__stall__holds_until_removed(self):
        for after in (0, 1000):
            fault = self.proxy.add("stall", after=after, times=1)
            answers = []
            thread = threading.Thread(target=lambda into=answers: into.append(self.get()))
            thread.start()
            wait.until(lambda held=fault: held.seen, 30, "the request is held")
            self.assertEqual(answers, [])
            self.proxy.remove(fault)
            thread.join(30)
            self.assertEqual(answers, [(200, SIZE)])

    def test_proxy__refuse__refuses_until_accept(self):
        self.proxy.refuse()
        self.assertRaises(ConnectionRefusedError, self.get)
        self.proxy.accept()
        self.assertEqual(self.get(), (200, SIZE))

    def test_s3server__kill_and_restart__gone_and_back(self):
        self.s3.kill()
        self.assertRaises(OSError, self.get)
        self.s3.restart()
        self.assertEqual(self.get(), (200, SIZE))

    def test_s3server__object_gets__counted_from_its_log(self):
        for _ in range(3):
            self.get()
        self.get("HEAD")
        self.assertEqual(self.s3.object_gets(self.bucket), 3)

    def test_disk__filled_then_failed__enospc_then_eio(self):
        made = self.make_disk(32 * content.MIB)
        made.fill(leave=64 << 10)
        with self.assertRaises(OSError) as caught:
            (made.path / "more").write_bytes(bytes(content.MIB))
        self.assertEqual(caught.exception.errno, errno.ENOSPC)
        made.unfill()
        (made.path / "more").write_bytes(bytes(content.MIB))
        self.assertGreaterEqual(disk.used_bytes(made.path), content.MIB)
        made.fail()
        with self.assertRaises(OSError) as caught:
            (made.path / "another").write_bytes(b"x")
        self.assertEqual(caught.exception.errno, errno.EIO)

    def run_and_end(self, top, how, number=None):
        """A run below @top that is sent @number. Return: its directory."""
        process = subprocess.Popen([sys.executable, "-c", RUN, str(node.ROOT / "tests/integration"),
                                    how], env={**os.environ, "CENOTE_TEST_DIR": str(top)},
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   stderr=subprocess.DEVNULL)
        with process:
            path = pathlib.Path(process.stdout.readline().strip())
            self.assertEqual(path.parent, top)
            if number:
                process.send_signal(number)
        return path

    def test_scratch__run_ends_fails_or_is_killed__nothing_is_left(self):
        top = self.folder("top")
        for how, number in (("end", None), ("fail", None), ("wait", signal.SIGTERM),
                            ("wait", signal.SIGINT), ("wait", signal.SIGKILL)):
            with self.subTest(how=how, number=number):
                path = self.run_and_end(top, how, number)
                wait.until(lambda: not scratch.mounts_below(top) and not os.listdir(top), 30,
                           "it is taken down")
                self.assertEqual(scratch.end_processes(path), 0)

    def test_scratch__run_and_its_guard_are_killed__the_next_run_takes_it_down(self):
        top = self.folder("top")
        path = self.run_and_end(top, "orphan", signal.SIGKILL)
        self.assertEqual(len(scratch.mounts_below(top)), 2)
        # that of a run that goes on stays
        living = top / f"run-{os.getpid()}-{scratch.process_start(os.getpid())}-x"
        living.mkdir()
        self.run_and_end(top, "end")
        self.assertEqual(scratch.mounts_below(top), [])
        self.assertEqual(os.listdir(top), [living.name])
        self.assertEqual(scratch.end_processes(path), 0)

    def test_content__versions__told_apart(self):
        old, new = content.versioned(1, 4096), content.versioned(2, 4096)
        self.assertEqual(content.versions_in(old, 0), {1})
        self.assertEqual(content.versions_in(old[:64] + new[64:128], 0), {1, 2})
        self.assertEqual(content.versions_in(old[16:32], 0), {1, None})

    def test_libconfig__python_values__as_it_writes_them(self):
        self.assertEqual(node.libconfig({"a": [{"b": 1}], "c": True, "d": 'x"y', "e": 1 << 40}),
                         '{ a = ( { b = 1; } ); c = true; d = "x\\"y"; e = 1099511627776L; }')
        self.assertNotIn("AWS_ACCESS_KEY_ID", node.ENVIRONMENT)


if __name__ == "__main__":
    case.main()
