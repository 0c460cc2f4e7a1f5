"""scratch.py - a directory for one test run, and the sweep of what earlier runs left behind.

The directory lies on a disk, not in a tmpfs: the cache wants O_DIRECT. CENOTE_TEST_DIR moves it.
A run that was killed leaves daemons, mounts, loop devices and an S3 server. All of that is taken
down by a process that waits for the run's end (this file as a program: scratch.py DIRECTORY), or,
when that was killed too, by the next run, which finds the directory of an owner who is gone.
"""
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(os.environ.get("CENOTE_TEST_DIR", "/var/tmp/cenote-test"))
S3_SERVER = pathlib.Path(__file__).resolve().parent.parent / "s3-server"
# Below the kernel's ephemeral ports, so that no outgoing connection sits on one of ours.
PORTS = range(20000, 32000, 64)
# Whose a directory is says its name, so that it is known as soon as there is one.
NAME = re.compile(r"run-(\d+)-(\d+)-")
ROUNDS, ROUND_S = 50, 0.1


def mounts_below(directory):
    """Mountpoints below @directory, the innermost first."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8") as stream:
        for line in stream:
            path = line.split()[4].encode().decode("unicode_escape")
            if path.startswith(str(directory) + "/"):
                found.append(path)
    return found[::-1]


def unmount(path):
    """Takes a mount away whatever hangs in it."""
    subprocess.run(["umount", "-l", path], stderr=subprocess.DEVNULL, check=False)


def process_start(pid):
    """The start time of a process in ticks, which tells it from a later one of the same number;
    None when there is none, or only its corpse."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stream:
            fields = stream.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


def end_processes(directory):
    """Ends those that were told of a path below @directory: daemons and their readers. Return: how
    many there were."""
    found = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                words = stream.read()
            if f"{directory}/".encode() in words and int(pid) != os.getpid():
                os.kill(int(pid), signal.SIGKILL)
                found += 1
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def take_down(directory):
    """Ends what runs in and is mounted below @directory, and removes it."""
    for conf in directory.glob("*/ceph.conf"):
        subprocess.run([S3_SERVER, "stop", conf.parent], check=False)
    # Again and again: a part of a daemon starts another one while it is being ended, and one that
    # waits for a mount goes only with it.
    for _ in range(ROUNDS):
        ended, mounts = end_processes(directory), mounts_below(directory)
        for path in mounts:
            unmount(path)
        if not ended and not mounts:
            break
        time.sleep(ROUND_S)
    # not os.path.ismount(), which does not know a bind mount of the same file system
    if str(directory) in mounts_below(directory.parent):
        unmount(directory)
    shutil.rmtree(directory, ignore_errors=True)


def sweep():
    """Takes down what belongs to runs that are over."""
    for directory in TOP.glob("run-*"):
        owner = NAME.match(directory.name)
        if owner and process_start(owner[1]) != owner[2]:
            take_down(directory)


def guard(directory):
    """A process that takes @directory down once this one has ended, however. Return: it; with its
    stdin closed it does that now."""
    return subprocess.Popen([sys.executable, __file__, directory], cwd="/", stdin=subprocess.PIPE,
                            start_new_session=True)


class Scratch:
    """This run's directory. close() takes down all that is in it. It is a shared mount: what a
    daemon mounts here from a mount namespace of its own is seen outside."""

    def __init__(self):
        TOP.mkdir(parents=True, exist_ok=True)
        sweep()
        owner = f"run-{os.getpid()}-{process_start(os.getpid())}-"
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=owner, dir=TOP))
        self.guard = guard(self.path)
        self.path.chmod(0o755)
        if os.geteuid() == 0:
            # private in between: else it shares what is mounted in it with the one that it is of
            for words in (["--bind", self.path], ["--make-private"], ["--make-shared"]):
                subprocess.run(["mount", *words, self.path], check=True)

    def folder(self, name):
        """A new directory whose name begins with @name."""
        path = pathlib.Path(tempfile.mkdtemp(prefix=name + "-", dir=self.path))
        path.chmod(0o755)
        return path

    def close(self):
        take_down(self.path)
        self.guard.communicate()


def free_ports():
    """The first of 64 ports that are free now; a place picked at random, for others look too."""
    def is_free(port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
        return True

    for base in random.sample(PORTS, len(PORTS)):
        if all(is_free(port) for port in range(base, base + 64)):
            return base
    raise RuntimeError(f"no 64 free ports in a row in {PORTS.start}..{PORTS.stop}")


if __name__ == "__main__":
    sys.stdin.read()
    take_down(pathlib.Path(sys.argv[1]))
