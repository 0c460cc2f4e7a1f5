"""cgroup.py - a control group with a limit of memory, in version 1 or 2 of them, for a process that
is to be killed by the kernel for what it takes."""
import os
import pathlib

from harness import scratch

TOP = pathlib.Path("/sys/fs/cgroup")


def hierarchy():
    """(the folder to make groups in, the name of the file with the limit); None: there is none that
    we may make groups in."""
    for folder, name in ((TOP / "memory", "memory.limit_in_bytes"), (TOP, "memory.max")):
        if not os.access(folder, os.W_OK):
            continue
        if name == "memory.max":
            try:
                controllers = (folder / "cgroup.subtree_control").read_text(encoding="ascii")
            except FileNotFoundError:
                continue
            if "memory" not in controllers.split():
                continue
        return folder, name
    return None


class MemoryGroup:
    """Has no members and no limit at first."""

    def __init__(self):
        folder, self.limit_name = hierarchy()
        self.path = folder / f"cenote-{os.getpid()}-{scratch.process_start(os.getpid())}"
        self.path.mkdir()

    def limit(self, size):
        """None: no limit. What is above it is taken back first, where it can be."""
        none = "-1" if self.limit_name == "memory.limit_in_bytes" else "max"
        (self.path / self.limit_name).write_text(none if size is None else str(size),
                                                 encoding="ascii")

    def add(self, pid):
        (self.path / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def pids(self):
        return (self.path / "cgroup.procs").read_text(encoding="ascii").split()

    def close(self):
        """All members have ended."""
        self.path.rmdir()
