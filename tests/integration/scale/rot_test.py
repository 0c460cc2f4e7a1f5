#!/usr/bin/python3
"""rot_test.py - bits flip on the SSDs of owners, at size: whoever reads gets the right bytes, and the
owners mend what they have."""
import os

import scale

COUNT = 3
GRANULE_LEN = 64 << 10


class Rot(scale.Scale):
    hosts = COUNT
    # the kernel does not check what it reads
    settings = {**scale.Scale.settings, "mount.passthrough": "off"}

    def test_granules_flipped_while_peers_read__found_and_mended(self):
        self.start(COUNT)
        self.read_all(self.members, "cold")
        self.flush()
        before = self.backing_bytes()
        loads = [self.begin(member, seed, once=False)
                 for seed, member in enumerate(self.members, 1)]
        flipped = sum(flip(member.node.directory / "cache") for member in self.members)
        self.assertGreater(flipped, 0)
        found = self.read_all(self.members, "flipped", seeded=True)
        found += [self.check(each, "load") for each in loads]
        repaired = self.sum("cache", "repaired")
        self.figures(f"{flipped} granules flipped: {repaired} blocks found and fetched again, "
                     f"{(self.backing_bytes() - before) >> 20} MiB from S3; "
                     f"{scale.latencies(found)}")
        self.assertGreater(repaired, 0)
        self.assertLessEqual(repaired, flipped)
        self.flush()
        mended = self.backing_bytes()
        self.read_all(self.members, "mended", seeded=True)
        self.assertLessEqual(self.sum("cache", "repaired"), flipped)
        self.figures(f"all read again: {self.sum('cache', 'repaired') - repaired} more found, "
                     f"{(self.backing_bytes() - mended) >> 20} MiB from S3")


def flip(directory):
    """Flips a bit of one granule in each file of a cache, in a block that it has. Return: how
    many."""
    count = 0
    for path in sorted((directory / "objects").glob("*/*")):
        with open(path, "r+b") as stream:
            try:
                at = os.lseek(stream.fileno(), 0, os.SEEK_DATA) + GRANULE_LEN + 7
            except OSError:  # no data in it yet
                continue
            byte = os.pread(stream.fileno(), 1, at)
            if not byte:
                continue
            os.pwrite(stream.fileno(), bytes([byte[0] ^ 0x10]), at)
            os.fsync(stream.fileno())
            count += 1
    return count


if __name__ == "__main__":
    scale.main()
