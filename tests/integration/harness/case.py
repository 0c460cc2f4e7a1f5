"""case.py - the base class of the integration tests, and their main()."""
import atexit
import os
import re
import signal
import sys
import unittest

from harness import disk, node, proxy, s3server, scratch

SKIPPED = 77  # ctest's SKIP_RETURN_CODE
NEEDED = (
    (lambda: os.geteuid() == 0, "root: mounts and loop devices"),
    (lambda: os.path.exists("/dev/fuse"), "/dev/fuse: modprobe fuse, or a container with it"),
    (lambda: os.access(node.BIN_DIR / "cenoted", os.X_OK),
     f"{node.BIN_DIR}/cenoted: build it, or set CENOTE_BIN_DIR"),
)


class World:
    """What the tests of one file share: the scratch directory and one S3 server, each made when
    first asked for."""
    _scratch = None
    _s3 = None

    @classmethod
    def scratch(cls):
        if not cls._scratch:
            cls._scratch = scratch.Scratch()
            atexit.register(cls._scratch.close)
        return cls._scratch

    @classmethod
    def s3(cls):
        if not cls._s3:
            cls._s3 = s3server.S3Server(cls.scratch().folder("s3"))
        return cls._s3


class Case(unittest.TestCase):
    """A test with nodes, proxies, disks and buckets that are closed after it, the last first. When
    it fails, the nodes' last log lines are shown."""
    maxDiff = 2000

    def setUp(self):
        self.nodes = []
        self.addCleanup(self._show_logs)
        self.addCleanup(self._check_logs)

    def _check_logs(self):
        """A sanitizer's report fails the test, also when the daemon went on or was killed."""
        for each in self.nodes:
            found = re.search("[A-Za-z]+Sanitizer: .*|runtime error: .*", each.log())
            self.assertIsNone(found, f"{each.log_path}: {found}")

    def _show_logs(self):
        outcome = self._outcome.result
        if any(test is self for test, _ in outcome.failures + outcome.errors):
            for each in self.nodes:
                print(f"--- {each.log_path}\n{each.log_tail(60)}", flush=True)

    @property
    def s3(self):
        return World.s3()

    def folder(self, name):
        return World.scratch().folder(name)

    def make_node(self, backings, entries, **arguments):
        """A node that is not started yet."""
        made = node.Node(self.folder("node"), backings, entries, **arguments)
        self.nodes.append(made)
        self.addCleanup(made.close)
        return made

    def start_node(self, bucket, endpoint=None, entry=None, s3=None, **arguments):
        """The usual node: @bucket at "/", from the S3 server at @endpoint.

        @entry, @s3: more settings of the mount entry, of the backing store.
        """
        backing = node.s3_backing("lake", self.s3, endpoint, **(s3 or {}))
        return self.make_node([backing], [node.entry(bucket, **(entry or {}))],
                              **arguments).start()

    def make_proxy(self):
        made = proxy.Proxy(self.s3.port)
        self.addCleanup(made.close)
        return made

    def make_disk(self, size):
        if not os.path.exists("/dev/loop-control"):
            self.skipTest("/dev/loop-control is missing: modprobe loop, or a container with it")
        made = disk.Disk(self.folder("disk"), size)
        self.addCleanup(made.close)
        return made

    def check_ended_well(self, each, status=0):
        """SIGTERM ends @each with @status (0, unless its keeper was killed) and without its
        mounts."""
        self.assertEqual(each.stop(), status, each.log_tail())
        self.assertEqual(each.mounts(), [])


class Result(unittest.TextTestResult):
    """Says skips in the form that tests/summary counts."""

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print(f"SKIP: {test.id().split('.', 1)[1]}: {reason}", flush=True)


def main():
    """The main() of every test file: python file_test.py [NAME...]"""
    for is_there, what in NEEDED:
        if not is_there():
            print(f"SKIP: needs {what}")
            sys.exit(SKIPPED)
    # An end by ctest or at the terminal takes down what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    unittest.main(module="__main__", verbosity=2, catchbreak=False,
                  testRunner=unittest.TextTestRunner(sys.stdout, verbosity=2, resultclass=Result))
