#!/usr/bin/python3
"""dataset.py - the dataset of tools/demo: making, uploading, reading and judging it.

usage: dataset.py make DIR SUMS
       dataset.py ports
       dataset.py upload DIR ENV
       dataset.py joined CENOTE RUN_DIR...
       dataset.py read NAME KILLED MOUNT SUMS CENOTE PASSES RUN_DIR...
       dataset.py nodes CENOTE RUN_DIR...
       dataset.py verdict PASSES

SUMS has a line "SHA256  PATH" a file, as sha256sum writes it. PASSES collects one JSON line a pass.
The first RUN_DIR is that of the node which is read on; KILLED is the process group of a node that is
killed in the middle of the pass, or "".
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time

KIB, MIB = 1 << 10, 1 << 20
CLASSES, IMAGES = 8, 50
CLOUD = 256 * MIB
READERS = 4  # as many as a data loader has workers
JOINED_S = 60
PORTS = (0, 1, 2, 3, *range(10, 68))  # from a base: s3-server's up to 60, then the nodes'


def files():
    """(path, size) of every file: images in a directory a class, and one large point cloud."""
    sizes = random.Random(1)
    for kind in range(CLASSES):
        for image in range(IMAGES):
            yield f"images/class{kind}/{image:04}.jpg", sizes.randrange(90 * KIB, 130 * KIB)
    yield "points/scan.bin", CLOUD


def make(directory, sums):
    count = total = 0
    with open(sums, "w", encoding="utf-8") as out:
        for path, size in files():
            target = pathlib.Path(directory, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with open(target, "wb") as file:
                for off in range(0, size, 4 * MIB):
                    piece = os.urandom(min(4 * MIB, size - off))
                    digest.update(piece)
                    file.write(piece)
            out.write(f"{digest.hexdigest()}  {path}\n")
            count, total = count + 1, total + size
    print(f"{count - 1} images of about 110 KiB and one file of {CLOUD // MIB} MiB")


def ports():
    """Prints the base of a range of ports that are free now."""
    for base in random.sample(range(20000, 32000, 100), 40):
        try:
            for port in PORTS:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", base + port))
        except OSError:
            continue
        print(base)
        return
    sys.exit("no free ports")


def upload(directory, env):
    import boto3
    import botocore.client

    with open(env, encoding="utf-8") as stream:
        server = dict(line.rstrip("\n").split("=", 1) for line in stream)
    config = botocore.client.Config(signature_version="s3v4", proxies={},
                                    s3={"addressing_style": "path"}, max_pool_connections=READERS)
    client = boto3.session.Session().client(
        "s3", endpoint_url=server["endpoint"], region_name="us-east-1", config=config,
        aws_access_key_id=server["access_key"], aws_secret_access_key=server["secret_key"])
    client.create_bucket(Bucket="demo")
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        list(pool.map(lambda item: client.upload_file(
            str(pathlib.Path(directory, item[0])), "demo", item[0]), files()))
    print("bucket demo")


def counters(cenote, run_dir):
    """Bytes that a node got from where; None when it does not answer."""
    done = subprocess.run([cenote, "status", "--json", "--run-dir", run_dir], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if done.returncode != 0:
        return None
    status = json.loads(done.stdout)
    found = status["counters"]
    return {"node": status["node"], "backing": found["cache"]["fetch_bytes"],
            "peers": found["peers"]["fetched_bytes"], "ssd": found["store"]["read_bytes"],
            "served": found["peers"]["staged_bytes"], "members": found["peers"]["members"]}


def joined(cenote, *run_dirs):
    """Waits until every node knows where all have their blocks."""
    until = time.monotonic() + JOINED_S
    while time.monotonic() < until:
        known = [counters(cenote, run_dir) for run_dir in run_dirs]
        if all(each and each["members"] == len(run_dirs) for each in known):
            print(f"{len(run_dirs)} nodes, one cache")
            return
        time.sleep(0.1)
    sys.exit(f"the nodes have not found each other within {JOINED_S} s: {known}")


def read_into(view, path, killer):
    """Reads a file. Return: its length."""
    with open(path, "rb", buffering=0) as file:
        off = 0
        while off < len(view):
            got = file.readinto(view[off:off + MIB])
            if not got:
                break
            off += got
            killer.read(got)
        return off


def memory(length):
    """A buffer whose pages are there already: making them is not what is measured."""
    data = bytearray(length)
    data[::4096] = bytes(len(data[::4096]))
    return data


def amount(count):
    return "-" if count < 64 * KIB else f"{count / MIB:.0f} MiB"


class Killer:
    """Ends a process group once half of the bytes have been read; without one it only counts."""

    def __init__(self, group, total):
        self.group, self.left = group and int(group), total // 2
        self.lock = threading.Lock()

    def read(self, count):
        with self.lock:
            self.left -= count
            if self.group and self.left <= 0:
                os.killpg(self.group, signal.SIGKILL)
                self.group = None


def from_where(before, after, total):
    """Bytes of a pass by where they came from; S3 or the directory is asked by all nodes."""
    both = [(old, new) for old, new in zip(before, after) if old and new]
    fetched = sum(new["backing"] - old["backing"] for old, new in both)
    own = {key: both[0][1][key] - both[0][0][key] for key in ("backing", "peers", "ssd")}
    return {"backing": fetched, "peers": own["peers"], "ssd": own["ssd"],
            "memory": max(0, total - sum(own.values()))}


def read(name, killed, mount, sums, cenote, passes, *run_dirs):
    """One pass. The time is that of reading; the checksums are computed afterwards."""
    with open(sums, encoding="utf-8") as stream:
        wanted = dict(reversed(line.rstrip("\n").split("  ", 1)) for line in stream)
    views, data, off = {}, memory(sum(size for _, size in files())), 0
    for path, size in files():
        views[path] = memoryview(data)[off:off + size]
        off += size
    killer = Killer(killed, off)
    before = [counters(cenote, run_dir) for run_dir in run_dirs]
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        total = sum(pool.map(lambda path: read_into(views[path], pathlib.Path(mount, path),
                                                    killer), views))
    seconds = time.monotonic() - start
    after = [counters(cenote, run_dir) for run_dir in run_dirs]
    right = sum(hashlib.sha256(views[path]).hexdigest() == wanted[path] for path in wanted)
    source = from_where(before, after, total)
    columns = " ".join(f"{amount(source[key]):>9}" for key in ("backing", "peers", "ssd",
                                                                "memory"))
    print(f"  {name:<34} {columns}   {right} of {len(wanted)}  {seconds:5.1f} s  "
          f"{total / MIB / seconds:.0f} MiB/s", flush=True)
    with open(passes, "a", encoding="utf-8") as out:
        out.write(json.dumps({"name": name, "right": right == len(wanted), "total": total,
                              "fetched": source["backing"], "killed": bool(killed)}) + "\n")


def nodes(cenote, *run_dirs):
    """What each node has got from where since it was started, and given to the others."""
    for run_dir in run_dirs:
        each = counters(cenote, run_dir)
        if each:
            columns = " ".join(f"{amount(each[key]):>9}" for key in ("backing", "peers", "ssd",
                                                                      "served"))
            print(f"  {each['node']:<34} {columns}")


def verdict(passes):
    """Each byte is fetched once by all nodes together; those of a dead node, once more."""
    with open(passes, encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    wrong = [row["name"] for row in rows if not row["right"]]
    again = [row["name"] for row in rows[1:] if row["fetched"] and not row["killed"]]
    if rows[0]["fetched"] > rows[0]["total"]:
        again.insert(0, rows[0]["name"])
    again += [row["name"] for row in rows if row["killed"] and row["fetched"] > row["total"] / 2]
    if wrong:
        sys.exit(f"\nWRONG BYTES in: {'; '.join(wrong)}")
    if again:
        sys.exit(f"\nBytes were fetched more than once in: {'; '.join(again)}")
    print("\nEvery byte was right, and each was fetched once for all nodes; what only the dead "
          "node had, once more.")


if __name__ == "__main__":
    actions = {action.__name__: action
               for action in (make, ports, upload, joined, read, nodes, verdict)}
    actions[sys.argv[1]](*sys.argv[2:])
