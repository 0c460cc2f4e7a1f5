"""mount.py - what the mount costs once all is warm: beside the raw directory, beside a FUSE server
that does nothing (null_mount.c: what the kernel's interface gives), beside s3fs and rclone.

In three ways of reading a file: passthrough (complete on the SSD, read by the kernel from its page
cache), direct (asked of the daemon, which answers from its memory) and small-files (not opened, and
read from the pages that the kernel keeps). Everyone has read all of it before.
"""
import json
import os
import subprocess
import sys

from dataset import file_key
from machine import Failed, run, wait_for

OBJECT = "object/large"
RANDOM_LEN = 4096
READERS = 64
START_SECONDS_MAX = 60
NULL_MODES = {"pass": "passthrough", "direct": "direct", "small": "small-files"}


class NullMount:
    """The raw directory of the dataset, through null_mount."""

    name = "null"

    def __init__(self, bench, mode):
        self.mode = mode
        self.source = bench.raw.path("")
        self.mount = os.path.join(bench.directory, "null")
        self.program = os.path.join(bench.directory, "null_mount")
        self.process = None
        source = os.path.join(os.path.dirname(__file__), "null_mount.c")
        flags = run(["pkg-config", "--cflags", "--libs", "fuse3"]).split()
        run(["cc", "-O2", "-Wall", "-Werror", "-D_GNU_SOURCE", "-o", self.program, source, *flags])
        os.makedirs(self.mount, exist_ok=True)

    def __enter__(self):
        self.process = subprocess.Popen([self.program, self.mode, self.source, self.mount],
                                        stdin=subprocess.DEVNULL)
        wait_for("null_mount to mount", lambda: os.path.ismount(self.mount), START_SECONDS_MAX,
                 lambda: self.process.poll() is None)
        return self

    def __exit__(self, *_):
        run(["umount", self.mount])
        self.process.wait(START_SECONDS_MAX)

    def path(self, key):
        return os.path.join(self.mount, key)


def bench_mount(bench, repetition):
    """mount"""
    bench.in_turn(repetition, lambda contender: session(bench, contender))
    for way, mode in NULL_MODES.items():
        with NullMount(bench, mode) as null:
            measure(bench, (way,), "null", null.path)
    measure(bench, NULL_MODES, "raw", bench.raw.path)


def session(bench, contender):
    if contender.name != "cenote":
        contender.start()
        measure(bench, ("direct", "small"), contender.name, contender.path)
        return
    contender.passthrough = "auto"
    try:
        contender.start()
        bench.reader("read", contender.path(OBJECT), same="object")
        bench.reader("tree", contender.path("files"), same="files")
        contender.settle()
        contender.wait_verified(1 + len(handed_out(bench)))
        measure(bench, ("pass",), "cenote", contender.path)
        check_passthrough(contender)
        contender.stop()
    finally:
        contender.passthrough = "off"
    contender.start()
    measure(bench, ("direct",), "cenote", contender.path)
    contender.stop()
    contender.kind = "small-files"
    try:
        contender.start()
        measure(bench, ("small",), "cenote", contender.path)
        check_small_files(contender)
    finally:
        contender.kind = "ordinary"


def handed_out(bench):
    """The small files that the kernel can read: those above 32 KiB, which all are."""
    return [file_key(index) for index in range(bench.sizes["files"])]


def check_passthrough(cenote):
    counters = cenote.status()["counters"]["fuse"]
    if counters["opens_passthrough"] * 2 < counters["opens"]:
        raise Failed(f"cenote: {counters['opens_passthrough']} of {counters['opens']} opens by "
                     f"passthrough: {cenote.status()['mount']['passthrough']['reason']}")


def check_small_files(cenote):
    counters = cenote.status()["counters"]["fuse"]
    if counters["opens"]:
        raise Failed(f"cenote: {counters['opens']} opens of small files")


def measure(bench, ways, who, path):
    """All lines, each after a run that warms it. @ways: the lines it stands beside."""
    large, files, report = path(OBJECT), path("files"), bench.report
    count = bench.sizes["random"]

    def add(line, value, text):
        for way in ways:
            report.add(f"mount_{way}_{line}", who, value)
        bench.say(f"mount: {'/'.join(ways)} {who}: {line} {text}")

    bench.reader("read", large, same="object")
    found = bench.reader("read", large, same="object")
    rate = found["bytes"] / found["seconds"] / 1e6
    add("seq", rate, f"{rate:,.0f} MB/s")
    found = bench.reader("random", large, count, RANDOM_LEN, same="random")
    add("random", count / found["seconds"], f"{count / found['seconds']:,.0f} reads/s")
    found = bench.reader("crowd", READERS, large, same="crowd mount")
    rate = found["bytes"] / found["seconds"] / 1e6
    add("many", rate, f"{rate:,.0f} MB/s")
    bench.reader("tree", files, same="files")
    found = bench.reader("tree", files, same="files")
    add("files", found["files"] / found["seconds"],
        f"{found['files'] / found['seconds']:,.0f} files/s")
    found = json.loads(run([sys.executable, os.path.join(os.path.dirname(__file__), "loader.py"),
                            files]))
    if found["files"] != bench.sizes["files"]:
        raise Failed(f"{who}: the loader found {found['files']} samples")
    add("loader", found["files"] / found["seconds"],
        f"{found['files'] / found['seconds']:,.0f} samples/s")
