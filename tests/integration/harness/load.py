#!/usr/bin/python3
"""load.py - reads many files and times each access: a process of its own that checks every file it
has read whole.

As a program: load.py MOUNT EXPECTED SEED once|loop     EXPECTED: a JSON file, {"path": sha256}

It finds the files itself, directory by directory, reads them all (once: each once; loop: until its
stdin ends) in an order of its own when SEED is not 0, prints a "." for each file, and at the end one
line of JSON: see Load.
"""
import errno
import hashlib
import json
import os
import random
import select
import subprocess
import sys
import threading
import time

CHUNK = 1 << 20
ERRORS_MAX = 100  # a mount that is gone would yield them for ever


class Reading:
    """What was read so far. reads, opens: the seconds that each system call took."""

    def __init__(self, mount, expected):
        self.mount = mount
        self.expected = expected
        self.found = {"files": 0, "bytes": 0, "wrong": [], "errors": [], "missing": [],
                      "reads": [], "opens": []}

    def timed(self, what, call, *arguments):
        started = time.monotonic()
        try:
            return call(*arguments)
        finally:
            self.found[what].append(time.monotonic() - started)

    def read(self, path):
        digest = hashlib.sha256()
        try:
            handle = self.timed("opens", os.open, os.path.join(self.mount, path), os.O_RDONLY)
            try:
                while data := self.timed("reads", os.read, handle, CHUNK):
                    digest.update(data)
                    self.found["bytes"] += len(data)
            finally:
                os.close(handle)
        except OSError as error:
            self.found["errors"].append(f"{path}: {errno.errorcode[error.errno]}")
            return
        self.found["files"] += 1
        if digest.hexdigest() != self.expected[path]:
            self.found["wrong"].append(path)

    def names(self):
        """All files that the mount shows."""
        def failed(error):
            self.found["errors"].append(f"{error.filename}: {errno.errorcode[error.errno]}")
        return [os.path.relpath(os.path.join(folder, name), self.mount)
                for folder, _, names in os.walk(self.mount, onerror=failed) for name in names]


def main(mount, expected_path, seed, how):
    with open(expected_path, encoding="utf-8") as stream:
        expected = json.load(stream)
    reading = Reading(mount, expected)
    order = random.Random(int(seed))
    ended = False
    while not ended:
        names = sorted(set(reading.names()) & set(expected))
        reading.found["missing"] += sorted(set(expected) - set(names))
        if int(seed):
            order.shuffle(names)
        for name in names:
            reading.read(name)
            print(".", flush=True)
            ended = (how == "loop" and bool(select.select([sys.stdin], [], [], 0)[0])
                     or len(reading.found["errors"]) > ERRORS_MAX)
            if ended:
                break
        ended = ended or how == "once" or not names
    print(json.dumps(reading.found))


class Load:
    """One process that reads all of @expected (a path) below @mount.

    @seed: of its order; 0: sorted. @once: one pass, else until result() is asked for.
    """

    def __init__(self, mount, expected, seed=0, once=True):
        self.mount = mount
        self.files = 0  # so far
        self.process = subprocess.Popen(
            [sys.executable, __file__, mount, expected, str(seed), "once" if once else "loop"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.last = ""
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self):
        for line in self.process.stdout:
            self.files += line == ".\n"
            self.last = line

    def result(self, seconds):
        """Waits for its end. Return: {"files", "bytes": read; "wrong", "missing": paths;
        "errors": texts; "reads", "opens": seconds of each system call}."""
        self.process.stdin.close()
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"a reader of {self.mount} hangs: {self.files} files in "
                                 f"{seconds} s") from None
        self.thread.join()
        if status != 0:
            raise AssertionError(f"the reader of {self.mount} ended with {status}")
        return json.loads(self.last)

    def kill(self):
        """Ends it if it runs. Return: nothing of it is asked for any more."""
        self.process.kill()
        self.process.wait()
        self.thread.join()
        self.process.stdout.close()
        self.process.stdin.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
