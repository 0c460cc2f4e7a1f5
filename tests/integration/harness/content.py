"""content.py - bytes that know where they belong.

versioned() is made of 16-byte records that carry a version and their own offset, so that what a
reader got can be told to be all of one version, another, or a mix. random_bytes() is for what only
has to have the right checksum.
"""
import functools
import hashlib
import random
import struct

RECORD = struct.Struct("<QQ")
MIB = 1 << 20


def random_bytes(seed, size):
    return random.Random(seed).randbytes(size)


@functools.lru_cache(maxsize=4)
def offsets(size):
    """@size bytes of records of version 0."""
    return b"".join(RECORD.pack(0, off) for off in range(0, size, RECORD.size))


def versioned(version, size):
    """@size bytes (a multiple of 16) of records (version, offset); 0 < version < 256."""
    data = bytearray(offsets(size))
    data[::RECORD.size] = bytes([version]) * (size // RECORD.size)
    return bytes(data)


def tagged(tag, size):
    """@size bytes of records (tag, offset), the last one cut: see readers/dataset.h."""
    data = bytearray(offsets(-(-size // RECORD.size) * RECORD.size))
    for index, byte in enumerate(tag.to_bytes(8, "little")):
        if byte:
            data[index::RECORD.size] = bytes([byte]) * (len(data) // RECORD.size)
    return bytes(data[:size])


def versions_in(data, off):
    """The set of versions found in @data, read at @off of a versioned() object; both aligned to
    16. Records that are at the wrong place add None."""
    found = set(data[::RECORD.size])
    rest = bytearray(data)
    rest[::RECORD.size] = bytes(len(data) // RECORD.size)
    end = off + len(data)
    # One long run of offsets serves all lengths: the next power of two.
    if bytes(rest) != offsets(1 << (end - 1).bit_length())[off:end]:
        found.add(None)
    return found


def sha256(data):
    return hashlib.sha256(data).hexdigest()
