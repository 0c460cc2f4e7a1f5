"""readers.py - reads a mount in all ways at once (tests/integration/readers), while something
happens to its daemon: every byte is verified, every call is timed, what fails or hangs is told.

A Dataset is what the mount holds: its files have known bytes, see readers/dataset.h.
"""
import collections
import json
import os
import subprocess
import threading
import time

from harness import content, node, wait

BEGUN_S = 60
HANG_S = 120  # more than the program itself waits for a reader that hangs
NS_PER_S = 10**9


def name_hash(name):
    """FNV-1a, as dataset_name_hash()."""
    value = 0xcbf29ce484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001b3 & (1 << 64) - 1
    return value


class Dataset:
    """@sizes: {path: bytes}. Each file has a tag of its own."""

    def __init__(self, sizes):
        self.files = {path: (tag, size) for tag, (path, size) in enumerate(sizes.items(), 1)}

    def items(self):
        """(path, bytes) of all, made one at a time."""
        for path, (tag, size) in self.files.items():
            yield path, content.tagged(tag, size)

    def directories(self):
        """path -> the names in it; "." is the top."""
        found = collections.defaultdict(set)
        for path in self.files:
            parts = path.split("/")
            for depth, name in enumerate(parts):
                found["/".join(parts[:depth]) or "."].add(name)
        return found

    def write(self, path):
        """The list for the program."""
        lines = [f"file {tag} {size} {name}\n" for name, (tag, size) in self.files.items()]
        lines += [f"directory {len(names)} {sum(map(name_hash, names)) & (1 << 64) - 1} {name}\n"
                  for name, names in self.directories().items()]
        path.write_text("".join(lines), encoding="utf-8")
        return path


def program():
    return os.environ.get("CENOTE_MIXED_READERS",
                          node.BIN_DIR.parent / "tests/integration/mixed_readers")


class Readers:
    """@count threads that read what @listing (of Dataset.write()) says is at @mount, in all ways or
    in @kinds of them, until result() is asked for.

    @launcher: words in front of the program's. made: calls that have come back so far.
    """

    def __init__(self, mount, listing, count=16, seed=1, kinds=(), seconds=3600, launcher=()):
        self.mount, self.made, self.last = mount, 0, ""
        self.process = subprocess.Popen(
            [*launcher, program(), mount, listing, str(seconds), str(seed), str(count), *kinds],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.last = line
            else:
                self.made = int(line)

    def wait_made(self, more=1, seconds=BEGUN_S):
        """Until so many calls more have come back."""
        least = self.made + more
        wait.until(lambda: self.made >= least or not self.thread.is_alive(), seconds,
                   f"{more} more calls of the readers of {self.mount} come back")

    def result(self):
        """Ends them. Return: the report of readers/report.h."""
        self.process.stdin.close()
        try:
            status = self.process.wait(HANG_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the readers of {self.mount} do not end") from None
        self.thread.join()
        self.process.stdout.close()
        if status not in (0, 3):
            raise AssertionError(f"the readers of {self.mount} ended with {status}")
        return json.loads(self.last)

    def kill(self):
        """Ends it if it runs. Return: nothing of it is asked for any more."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.thread.join()
        self.process.stdout.close()
        self.process.stdin.close()


def now_ns():
    """The clock of the reports."""
    return time.monotonic_ns()


def pauses(report, moments, until_ns):
    """For each of @moments (ns, ascending; the last ends at @until_ns): how long after it the last
    of those calls came back that it met, in seconds; 0 when none took as long as is listed. A call
    that began up to 20 ms later counts: it met a daemon that was not there yet."""
    found = []
    for moment, end in zip(moments, [*moments[1:], until_ns]):
        met = [start + took - moment for _, start, took in report["slow"]
               if start < min(moment + 20_000_000, end) and start + took > moment]
        found.append(max(met, default=0) / NS_PER_S)
    return found


def share(values, part):
    """A quantile of a list."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]
