"""benchmarks.py - the benchmarks, each for one repetition over all contenders; the caller repeats
them, so the runs that are compared lie close together in time.

Cold: an empty cache and dropped page caches. Memory: read once before. SSD: what was read is on the
SSD, then everyone is stopped and started again and all page caches are dropped.
"""
import json
import os
import subprocess
import time

from contenders import BLOCK_LEN, READAHEAD_LEN
from dataset import FILE_LEN, file_key
from fabric import bench_tcp, bench_verbs
from gossip import bench_gossip
from machine import Failed, MemoryPeak, children_cpu_seconds, drop_caches, run
from mount import bench_mount
from peers import bench_peers

OBJECT = "object/large"
CEILING_PARALLEL = 8
RANDOM_LEN = 4096
MEMORY_SLACK_MIB = 64  # what the daemon may take beyond its arena
CROWD_MEMORY_LEN = 256 << 20


class Bench:
    """What a benchmark needs. say() is told of each figure as it comes."""

    def __init__(self, dataset, reader, report, raw, contenders, sizes, say, options):
        self.directory = options.dir
        self.programs = os.path.abspath(options.programs)
        self.repetitions = options.repetitions
        self.dataset = dataset
        self.reader = reader
        self.report = report
        self.raw = raw
        self.contenders = contenders
        self.sizes = sizes
        self.say = say
        self.url = None
        self.file_urls = None
        self.wire = None

    def in_turn(self, repetition, session, contenders=None):
        """session(contender) for each, another one first in each repetition. A competitor that
        fails loses its figures; Cenote failing ends the run."""
        contenders = contenders or self.contenders
        first = repetition % len(contenders)
        for contender in contenders[first:] + contenders[:first]:
            contender.wipe()
            drop_caches()
            try:
                session(contender)
            except Failed as error:
                if contender.name == "cenote":
                    raise
                self.say(f"{contender.name} failed: {error}")
            finally:
                contender.stop()
                contender.wipe()

    def measured(self, contender, *arguments, same):
        """One run of the reader on a mount: (what it found, the server's CPU seconds)."""
        before = contender.cpu_seconds()
        found = self.reader(*arguments, same=same)
        return found, contender.cpu_seconds() - before

    def sequential(self, line, who, found, cpu=None):
        self.report.add_read(line, who, found, cpu)
        self.say(f"{line}: {who} {found['bytes'] / found['seconds'] / 1e6:,.0f} MB/s")

    def files(self, line, who, found, cpu=None):
        self.report.add_files(line, who, found, cpu)
        self.say(f"{line}: {who} {found['files'] / found['seconds']:,.0f} files/s")


# -- one large object ---------------------------------------------------------------------------

def bench_object(bench, repetition):
    """cold, memory, ssd, random"""
    ceiling(bench, "curl", bench.sizes["object"] // CEILING_PARALLEL)
    ceiling(bench, "curl4m", BLOCK_LEN)
    bench.in_turn(repetition, lambda contender: object_session(bench, contender))
    object_raw(bench)


def object_session(bench, contender):
    name, path = contender.name, contender.path(OBJECT)
    contender.start()
    bench.sequential("cold", name, *bench.measured(contender, "read", path, same="object"))
    contender.settle()
    bench.sequential("memory", name, *bench.measured(contender, "read", path, same="object"))
    random_reads(bench, name, path)
    resident(bench, contender)
    contender.stop()
    drop_caches()
    contender.start()
    bench.sequential("ssd", name, *bench.measured(contender, "read", path, same="object"))


def object_raw(bench):
    path = bench.raw.path(OBJECT)
    drop_caches()
    bench.sequential("ssd", "fio", direct_read(path))
    bench.sequential("ssd", "raw", bench.reader("read", path, same="object"))
    bench.sequential("memory", "raw", bench.reader("read", path, same="object"))
    random_reads(bench, "raw", path)


def ceiling(bench, who, part_len):
    """What the gateway gives to curl: one process, 8 requests in parallel, each of @part_len."""
    bench.url = bench.url or bench.dataset.server.signed_url(OBJECT)
    size = bench.sizes["object"]
    requests = [f'url = "{bench.url}"\nrange = {off}-{min(off + part_len, size) - 1}\n'
                for off in range(0, size, part_len)]
    bench.sequential("cold", who, *curl(requests, size))


def files_ceiling(bench):
    """The same of the small files: every key known, no LIST, no HEAD, no file system."""
    count = bench.sizes["files"]
    server = bench.dataset.server
    bench.file_urls = bench.file_urls or [server.signed_url(file_key(index))
                                          for index in range(count)]
    found, cpu = curl([f'url = "{url}"\n' for url in bench.file_urls], count * FILE_LEN)
    bench.files("files_cold", "curl", found | {"files": count}, cpu)


def curl(requests, total):
    """One process for all, CEILING_PARALLEL at a time: (what it found, its CPU seconds)."""
    config = "next\n".join(f'{request}output = "{os.devnull}"\nfail\n' for request in requests)
    drop_caches()
    started, cpu = time.monotonic(), children_cpu_seconds()
    done = subprocess.run(["curl", "--silent", "--show-error", "--no-progress-meter", "--noproxy",
                           "*", "--parallel", "--parallel-immediate", "--parallel-max",
                           str(CEILING_PARALLEL), "--config", "-"], input=config,
                          capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise Failed(f"curl: exit status {done.returncode}: {done.stderr.strip()[-300:]}")
    found = {"bytes": total, "seconds": time.monotonic() - started}
    return found, children_cpu_seconds() - cpu


def direct_read(path):
    """fio past the page cache, with the block size and as many blocks in flight as Cenote reads
    ahead."""
    result = json.loads(run(["fio", "--name=read", f"--filename={path}", "--rw=read", "--direct=1",
                             "--ioengine=io_uring", f"--bs={BLOCK_LEN}", "--thread",
                             f"--iodepth={READAHEAD_LEN // BLOCK_LEN}", "--readonly",
                             "--output-format=json"]))["jobs"][0]["read"]
    return {"bytes": result["io_bytes"], "seconds": result["io_bytes"] / result["bw_bytes"]}


def random_reads(bench, who, path):
    found = bench.reader("random", path, bench.sizes["random"], RANDOM_LEN, same="random")
    bench.report.add("random", who, bench.sizes["random"] / found["seconds"])
    bench.say(f"random: {who} {bench.sizes['random'] / found['seconds']:,.0f} reads/s")


def resident(bench, contender):
    bench.report.add("resident", contender.name, contender.memory()["VmHWM"])
    if contender.name == "cenote":
        bench.report.add("resident", "bound", bound_mib(contender))


def bound_mib(cenote):
    return (cenote.memory_len >> 20) + MEMORY_SLACK_MIB


# -- many small objects -------------------------------------------------------------------------

def bench_files(bench, repetition):
    """files"""
    files_ceiling(bench)
    bench.in_turn(repetition, lambda contender: files_session(bench, contender))
    path = bench.raw.path("files")
    drop_caches()
    bench.files("files_ssd", "raw", bench.reader("tree", path, same="files"))
    bench.files("files_warm", "raw", bench.reader("tree", path, same="files"))


def files_session(bench, contender):
    name, path = contender.name, contender.path("files")
    contender.start()
    bench.files("files_cold", name, *bench.measured(contender, "tree", path, same="files"))
    contender.settle()
    bench.files("files_warm", name, *bench.measured(contender, "tree", path, same="files"))
    if name != "cenote":  # the others take minutes for it
        return
    contender.stop()
    drop_caches()
    contender.start()
    bench.files("files_ssd", name, *bench.measured(contender, "tree", path, same="files"))


# -- many keys ----------------------------------------------------------------------------------

def bench_find(bench, repetition):
    """find"""
    bench.in_turn(repetition, lambda contender: find_session(bench, contender))


def find_session(bench, contender):
    contender.start()
    for line in ("find_cold", "find_warm"):
        started = time.monotonic()
        found = run(["find", contender.path("keys"), "-type", "f"]).count("\n")
        seconds = time.monotonic() - started
        if found != bench.sizes["keys"]:
            raise Failed(f"{contender.name}: find found {found} keys of {bench.sizes['keys']}")
        bench.report.add(line, contender.name, found / seconds)
        bench.say(f"{line}: {contender.name} {found / seconds:,.0f} keys/s")


# -- many readers at once -----------------------------------------------------------------------

def bench_readers(bench, repetition):
    """readers: Cenote alone, beside its own bound; the others have no bound to be held to."""
    for cenote in bench.contenders:
        if cenote.name == "cenote":
            memory_len, cenote.memory_len = cenote.memory_len, CROWD_MEMORY_LEN
            bench.in_turn(repetition, lambda each: crowd_session(bench, each), [cenote])
            cenote.memory_len = memory_len


def crowd_session(bench, cenote):
    """All with a file open at once: as many small files, then the large object, cold and warm, an
    arena far smaller than what they ask for together."""
    count = bench.sizes["readers"]
    indices = range(min(count, bench.sizes["files"]))
    files = [cenote.path(file_key(index)) for index in indices]
    cenote.start()
    with MemoryPeak(cenote.process.pid) as memory:
        bench.reader("crowd", count, *files, same="crowd files")
        found = bench.reader("crowd", count, cenote.path(OBJECT), same="crowd object")
        bench.reader("crowd", count, cenote.path(OBJECT), same="crowd object")
    report = bench.report
    report.add("readers", "cenote", cenote.memory()["VmHWM"])
    report.add("readers", "bound", bound_mib(cenote))
    report.add("readers_rate", "cenote", found["bytes"] / found["seconds"] / 1e6)
    for kind in ("Anon", "Shmem", "File"):
        report.add("readers_" + kind.lower(), "cenote", memory.peak["Rss" + kind])
    bench.say(f"readers: {count:,} readers, peak {cenote.memory()['VmHWM']:,.0f} MiB of "
              f"{bound_mib(cenote):,}")


# What can be asked for by name; the lines of a name are those that begin with it.
# name: (what it needs of the dataset, the function that measures it)
BENCHMARKS = {
    "cold": (("object",), bench_object),
    "memory": (("object",), bench_object),
    "ssd": (("object",), bench_object),
    "random": (("object",), bench_object),
    "resident": (("object",), bench_object),
    "mount": (("object", "files"), bench_mount),
    "files": (("files",), bench_files),
    "find": (("keys",), bench_find),
    "readers": (("object", "files"), bench_readers),
    "tcp": ((), bench_tcp),
    "verbs": ((), bench_verbs),
    "gossip": ((), bench_gossip),
    "peers": ((), bench_peers),
}
# With a name that stands for several: the wire on this machine and in the virtual one.
TOGETHER = {"fabric": ("tcp", "verbs")}
