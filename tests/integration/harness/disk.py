"""disk.py - small file systems on loop devices, that can be filled and can fail."""
import fcntl
import os
import struct
import subprocess

from harness import scratch

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
SHUTDOWN_NOLOGFLUSH = 2


class Disk:
    """@size bytes of ext4, mounted at path."""

    def __init__(self, directory, size):
        self.image = directory / "disk.img"
        self.path = directory / "disk"
        self.path.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", self.image],
                       check=True)
        subprocess.run(["mount", "-o", "loop", self.image, self.path], check=True)

    def fill(self, leave):
        """Takes all but @leave bytes of what is free."""
        free = os.statvfs(self.path)
        size = max(free.f_bavail * free.f_frsize - leave, 0)
        with open(self.path / "filler", "wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, max(size, 1))

    def unfill(self):
        (self.path / "filler").unlink()

    def fail(self):
        """From now on every access to it is an I/O error, as when the device is gone."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, struct.pack("I", SHUTDOWN_NOLOGFLUSH))
        finally:
            os.close(handle)

    def close(self):
        if os.path.ismount(self.path):
            scratch.unmount(str(self.path))
        self.image.unlink(missing_ok=True)


def used_bytes(path):
    """What the files below @path occupy on their disk, holes not counted."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total
