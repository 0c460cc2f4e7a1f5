"""machine.py - what the benchmarks ask of the machine: a process run to its end, a process's
processor time and memory, page caches dropped, an event waited for with a bound.
"""
import json
import os
import resource
import subprocess
import threading
import time

RUN_SECONDS_MAX = 900
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
MEMORY_KINDS = ("RssAnon", "RssShmem", "RssFile")


class Failed(Exception):
    """A step that did not do what it is there for; says which and what it printed."""


def wait_for(what, ready, seconds, alive=lambda: True):
    """Waits until ready(); Failed after @seconds or once alive() is not true any more."""
    end = time.monotonic() + seconds
    while not ready():
        if not alive():
            raise Failed(f"{what}: the process ended")
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def run(argv, seconds=RUN_SECONDS_MAX, env=None):
    """Runs a program and returns what it wrote to stdout; Failed when it fails."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=seconds, check=False, env=env)
    except FileNotFoundError:
        raise Failed(f"{argv[0]} is missing: tests/install build run s3 bench") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"{argv[0]}: not done within {seconds} s") from None
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv[:4])}...: exit status {done.returncode}: "
                     f"{done.stderr.strip()[-400:]}")
    return done.stdout


class Reader:
    """tests/bench/reader.c, compiled, and what it is known to find where."""

    def __init__(self, directory):
        self.program = os.path.join(directory, "reader")
        self.known = {}
        source = os.path.join(os.path.dirname(__file__), "reader.c")
        run(["cc", "-O2", "-Wall", "-Werror", "-D_GNU_SOURCE", "-pthread", "-o", self.program,
             source])

    def __call__(self, *arguments, same=None):
        """One run. @same names the content: what was read under one name must be the same each
        time, or the benchmark compared things that differ."""
        found = json.loads(run([self.program, *map(str, arguments)]))
        if same is not None:
            content = (found["files"], found["bytes"], found["fingerprint"])
            if self.known.setdefault(same, content) != content:
                raise Failed(f"wrong bytes: {same} read as {content}, not {self.known[same]}")
        return found


def drop_caches():
    """Writes out what is dirty and drops every clean page, dentry and inode of the machine."""
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as stream:
        stream.write("3")


def family(pid):
    """@pid and its descendants."""
    found = [pid]
    for member in found:
        try:
            for task in os.listdir(f"/proc/{member}/task"):
                with open(f"/proc/{member}/task/{task}/children", encoding="ascii") as stream:
                    found += map(int, stream.read().split())
        except OSError:
            pass
    return found


def cpu_seconds(pid):
    """User and system time of @pid and its descendants so far."""
    ticks = 0
    for member in family(pid):
        try:
            with open(f"/proc/{member}/stat", encoding="utf-8") as stream:
                fields = stream.read().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return ticks / CLOCK_TICKS


def children_cpu_seconds():
    """User and system time of the children waited for so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def memory_mib(pid):
    """VmHWM (the peak), VmRSS and its parts of @pid and its descendants, in MiB."""
    total = dict.fromkeys(("VmHWM", "VmRSS", *MEMORY_KINDS), 0)
    for member in family(pid):
        try:
            with open(f"/proc/{member}/status", encoding="utf-8") as stream:
                for line in stream:
                    name, _, value = line.partition(":")
                    if name in total:
                        total[name] += int(value.split()[0]) / 1024
        except OSError:
            pass
    return total


class MemoryPeak:
    """Samples a process while something runs; .peak is the sample with the highest VmRSS."""

    def __init__(self, pid):
        self.pid = pid
        self.peak = memory_mib(pid)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)

    def sample(self):
        while not self.ended.wait(0.02):
            now = memory_mib(self.pid)
            if now["VmRSS"] > self.peak["VmRSS"]:
                self.peak = now

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
