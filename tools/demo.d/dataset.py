#!/usr/bin/python3
"""dataset.py - the dataset of tools/demo: making, uploading, reading and judging it.

usage: dataset.py make DIR SUMS
       dataset.py ports
       dataset.py upload DIR ENV
       dataset.py read NAME MOUNT SUMS CENOTE RUN_DIR PASSES
       dataset.py verdict PASSES

SUMS has a line "SHA256  PATH" a file, as sha256sum writes it. PASSES collects one JSON line a pass.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import time

KIB, MIB = 1 << 10, 1 << 20
CLASSES, IMAGES = 8, 50
CLOUD = 256 * MIB
READERS = 4  # as many as a data loader has workers
PORTS = (0, 1, 2, 3, *range(10, 61))  # what s3-server asks for, from its base


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
    done = subprocess.run([cenote, "status", "--json", "--run-dir", run_dir], check=True,
                          stdout=subprocess.PIPE)
    found = json.loads(done.stdout)["counters"]
    return {"backing": found["cache"]["fetch_bytes"],
            "ssd": found["store"]["read_bytes"]}


def read_into(view, path):
    """Reads a file. Return: its length."""
    with open(path, "rb", buffering=0) as file:
        off = 0
        while off < len(view):
            got = file.readinto(view[off:off + MIB])
            if not got:
                break
            off += got
        return off


def memory(length):
    """A buffer whose pages are there already: making them is not what is measured."""
    data = bytearray(length)
    data[::4096] = bytes(len(data[::4096]))
    return data


def amount(count):
    return "-" if count < 64 * KIB else f"{count / MIB:.0f} MiB"


def read(name, mount, sums, cenote, run_dir, passes):
    """One pass. The time is that of reading; the checksums are computed afterwards."""
    with open(sums, encoding="utf-8") as stream:
        wanted = dict(reversed(line.rstrip("\n").split("  ", 1)) for line in stream)
    views, data, off = {}, memory(sum(size for _, size in files())), 0
    for path, size in files():
        views[path] = memoryview(data)[off:off + size]
        off += size
    before = counters(cenote, run_dir)
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        total = sum(pool.map(lambda path: read_into(views[path], pathlib.Path(mount, path)),
                             views))
    seconds = time.monotonic() - start
    after = counters(cenote, run_dir)
    right = sum(hashlib.sha256(views[path]).hexdigest() == wanted[path] for path in wanted)
    source = {key: min(after[key] - before[key], total) for key in before}
    source["memory"] = max(0, total - source["backing"] - source["ssd"])
    print(f"  {name:<30} {amount(source['backing']):>9} {amount(source['ssd']):>9} "
          f"{amount(source['memory']):>9}   {right} of {len(wanted)}  {seconds:5.1f} s  "
          f"{total / MIB / seconds:.0f} MiB/s", flush=True)
    with open(passes, "a", encoding="utf-8") as out:
        out.write(json.dumps({"name": name, "right": right == len(wanted), "total": total,
                              "fetched": after["backing"] - before["backing"]}) + "\n")


def verdict(passes):
    with open(passes, encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    wrong = [row["name"] for row in rows if not row["right"]]
    again = [row["name"] for row in rows[1:] if row["fetched"]]
    if rows[0]["fetched"] > rows[0]["total"]:
        again.insert(0, rows[0]["name"])
    if wrong:
        sys.exit(f"\nWRONG BYTES in: {'; '.join(wrong)}")
    if again:
        sys.exit(f"\nBytes were fetched more than once in: {'; '.join(again)}")
    print("\nEvery byte was right, and each was fetched once.")


if __name__ == "__main__":
    actions = {action.__name__: action for action in (make, ports, upload, read, verdict)}
    actions[sys.argv[1]](*sys.argv[2:])
