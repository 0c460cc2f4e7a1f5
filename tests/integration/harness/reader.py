#!/usr/bin/python3
"""reader.py - reads in processes of their own: a read that hangs, or that a signal ends, must not
take the test along.

As a program: reader.py ACTION PATH...    prints one JSON object {"PATH": result, ...} where a
result is what ACTION found, or {"errno": NAME} when the system said no.

    sha256     the digest of the whole file
    size       how many bytes there were to read
    map        the digest of the whole file, read through a shared mapping
    private    the same through a private one
    odd        the same, read from its end to its begin in pieces of odd lengths
    list       the names in a directory, sorted
    first      the first byte's value (a read of one byte)
    ends       the first 16 bytes and the last 16, in hex

A path is bytes: printed with surrogate escapes.
"""
import errno
import hashlib
import json
import mmap
import os
import subprocess
import sys

CHUNK = 1 << 20
ODD = 40961
PATIENCE_S = 120


def pieces(handle):
    while True:
        data = os.read(handle, CHUNK)
        if not data:
            return
        yield data


def with_handle(path, action):
    handle = os.open(path, os.O_RDONLY)
    try:
        return action(handle)
    finally:
        os.close(handle)


def sha256(handle):
    digest = hashlib.sha256()
    for data in pieces(handle):
        digest.update(data)
    return digest.hexdigest()


def sha256_of_map(handle, flags):
    size = os.fstat(handle).st_size
    if size == 0:
        return hashlib.sha256().hexdigest()
    with mmap.mmap(handle, size, flags, mmap.PROT_READ) as mapped:
        return hashlib.sha256(mapped).hexdigest()


def sha256_of_odd(handle):
    size = os.fstat(handle).st_size
    found = [os.pread(handle, ODD, off) for off in reversed(range(0, size, ODD))]
    if os.pread(handle, ODD, size) or os.pread(handle, 1, size + ODD):
        return "bytes behind the end"
    return hashlib.sha256(b"".join(reversed(found))).hexdigest()


def ends(handle):
    size = os.fstat(handle).st_size
    return (os.pread(handle, 16, 0) + os.pread(handle, 16, max(size - 16, 0))).hex()


ACTIONS = {
    "sha256": lambda path: with_handle(path, sha256),
    "size": lambda path: with_handle(path, lambda handle: sum(map(len, pieces(handle)))),
    "map": lambda path: with_handle(path, lambda handle: sha256_of_map(handle, mmap.MAP_SHARED)),
    "private": lambda path: with_handle(path,
                                        lambda handle: sha256_of_map(handle, mmap.MAP_PRIVATE)),
    "odd": lambda path: with_handle(path, sha256_of_odd),
    "list": lambda path: sorted(os.listdir(path)),
    "first": lambda path: with_handle(path, lambda handle: os.read(handle, 1)[0]),
    "ends": lambda path: with_handle(path, ends),
}


def main(action, paths):
    results = {}
    for path in paths:
        try:
            results[path] = ACTIONS[action](path)
        except OSError as error:
            results[path] = {"errno": errno.errorcode[error.errno]}
    json.dump(results, sys.stdout)


class Reader:
    """One process that does @action with @paths."""

    def __init__(self, action, *paths):
        self.paths = [str(path) for path in paths]
        self.process = subprocess.Popen([sys.executable, __file__, action, *self.paths],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def results(self, seconds=PATIENCE_S):
        """Waits for its end. Return: the results in the order of the paths; a process that a
        signal ended, or that did not end (it is killed then), gives an AssertionError."""
        try:
            output, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"a read hangs: {self.paths[:3]} not within {seconds} s") from None
        if self.process.returncode != 0:
            raise AssertionError(f"the reader of {self.paths[:3]} ended with "
                                 f"{self.process.returncode}")
        found = json.loads(output)
        return [found[path] for path in self.paths]

    def kill(self):
        self.process.kill()
        self.process.communicate()


def read(action, path, seconds=PATIENCE_S):
    """What @action finds at @path, or {"errno": NAME}."""
    return Reader(action, path).results(seconds)[0]


def refused(name):
    """The result of an access that the system refused with errno @name."""
    return {"errno": name}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
