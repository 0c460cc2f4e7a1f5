"""content.py - bytes that know where they belong.

versioned() is made of 16-byte records that carry a version and their own offset, so that what a
reader got can be told to be all of one version, another, or a mix. random_bytes() is for what only
has to have the right checksum.
"""
import hashlib
import random
import struct

RECORD = struct.Struct("<QQ")
MIB = 1 << 20


def random_bytes(seed, size):
    return random.Random(seed).randbytes(size)


def versioned(version, size):
    """@size bytes (a multiple of 16) of records (version, offset)."""
    assert size % RECORD.size == 0
    words = bytearray(size)
    tag = struct.pack("<Q", version)
    for off in range(0, size, RECORD.size):
        words[off:off + 8] = tag
        words[off + 8:off + 16] = off.to_bytes(8, "little")
    return bytes(words)


def versions_in(data, off):
    """The set of versions found in @data, read at @off of a versioned() object; both aligned to
    16. A record that is at the wrong place counts as version None."""
    found = set()
    for at in range(0, len(data), RECORD.size):
        version, where = RECORD.unpack_from(data, at)
        found.add(version if where == off + at else None)
    return found


def sha256(data):
    return hashlib.sha256(data).hexdigest()
