#!/usr/bin/python3
"""includes.py - the directions between the rooms, which neither CMake's link lists nor static
libraries enforce:

    fuse, tools -> cache -> fabric, s3 -> base        each may use what stands to its right

and from outside, a room is its one public header; so are the rooms inside rooms named below.
base/ is open to all. What tests/unit/ROOM includes counts as ROOM's own; fuzz targets and tools for
tests may open any header.

usage: includes.py ROOT          prints each forbidden include; exit 1 if there is one
"""
import pathlib
import re
import sys

import sources

# Which rooms a room may use, besides itself.
USES = {
    "base": (),
    "s3": ("base",),
    "fabric": ("base",),
    "cache": ("fabric", "s3", "base"),
    "fuse": ("cache", "fabric", "s3", "base"),
    "tools": ("fuse", "cache", "fabric", "s3", "base"),
}
# A room's public header is named like the room, with these exceptions. The fabric is open at two
# doors, the wire and the membership, and at what both need to know of the cluster; the cache at two,
# its own and its peers'. The mount's keeper is a program of its own, and the worker has a link to it.
# What nodes ask each other for is the window's, and the peers' too.
PUBLIC = {
    "fuse": ("fuse/mount.h", "fuse/keeper/keeper.h", "fuse/keeper/link.h", "fuse/keeper/board.h"),
    "cache": ("cache/cache.h", "cache/peer/peers.h"),
    "cache/peer": ("cache/peer/peers.h", "cache/peer/fetch.h"),
    "cache/window": ("cache/window/window.h", "cache/window/directory.h", "cache/window/key.h"),
    "fabric": ("fabric/identity.h", "fabric/keyring.h", "fabric/transport/transport.h",
               "fabric/gossip/membership.h"),
    "fabric/auth": ("fabric/auth/greeting.h", "fabric/auth/handshake.h", "fabric/auth/proofs.h"),
    "fabric/gossip": ("fabric/gossip/membership.h",),
}
INNER_ROOMS = ("cache/peer", "cache/placement", "cache/store", "cache/window", "fabric/auth",
               "fabric/gossip", "fabric/transport", "fuse/ledger")
# What is made for tests of other rooms: the transport that stays in the process.
FOR_TESTS = ("fabric/transport/loop.h",)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def public_headers(folder):
    return PUBLIC.get(folder, (f"{folder}/{folder.rsplit('/', 1)[-1]}.h",))


def home(path):
    """The folder a file belongs to: tests/unit/cache/store/x.c tests cache/store."""
    folder = path.rsplit("/", 1)[0] if "/" in path else ""
    return re.sub(r"^tests/unit/", "", folder)


def problem(path, header):
    """Why @path must not include our @header, or None."""
    here, there = home(path), header.rsplit("/", 1)[0]
    room, target = here.split("/")[0], there.split("/")[0]
    if target not in USES:
        return None if path.startswith("tests/") else f"{header} is in no room"
    if room not in USES:
        return None
    if target == room:
        inner = next((name for name in INNER_ROOMS if f"{there}/".startswith(f"{name}/")), room)
        inside = f"{here}/".startswith(f"{inner}/") or path.startswith("tests/unit/")
        if inside or header in public_headers(inner):
            return None
        return f"from outside, {inner}/ is {', '.join(public_headers(inner))}"
    if target not in USES[room]:
        return f"{room}/ must not use {target}/"
    if target == "base" or header in public_headers(target):
        return None
    if header in FOR_TESTS and path.startswith("tests/unit/"):
        return None
    return f"from outside, {target}/ is {', '.join(public_headers(target))}"


def check(root):
    found = 0
    paths = sources.files(root, ".c", ".h")
    if not paths:
        sys.exit(f"{root}: no sources of ours")
    for path in paths:
        text = (pathlib.Path(root) / path).read_text(encoding="utf-8", errors="replace")
        for match in INCLUDE.finditer(text):
            quote, header = match.groups()
            ours = (pathlib.Path(root) / header).is_file() and header.split("/")[0] in USES
            why = None
            if quote == "<" and ours:
                why = "our headers are included with quotes"
            elif quote == '"' and not (pathlib.Path(root) / header).is_file():
                why = "no such file, seen from the root (includes are written from the root)"
            elif quote == '"':
                why = problem(str(path), header)
            if why:
                line = text.count("\n", 0, match.start()) + 1
                print(f"{path}:{line}: includes {header}: {why}")
                found += 1
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(1 if check(sys.argv[1]) else 0)
