#!/usr/bin/python3
"""includes_test.py - shows that includes.py finds what it is there to find."""
import pathlib
import tempfile
import unittest

import includes

ALLOWED = (
    ("cache/read.c", "cache/arena.h"),
    ("cache/cache.c", "cache/store/store.h"),
    ("cache/store/index.c", "cache/store/index.h"),
    ("cache/store/index/record.c", "cache/store/directory.h"),
    ("cache/store/index.c", "cache/arena.h"),
    ("cache/backing_s3.c", "s3/s3.h"),
    ("cache/cache.c", "base/log.h"),
    ("cache/peer.c", "fabric/transport/transport.h"),
    ("tools/cenoted.c", "fabric/gossip/membership.h"),
    ("fabric/transport/peer.c", "fabric/auth/greeting.h"),
    ("fabric/gossip/wire.c", "fabric/keyring.h"),
    ("fuse/read.c", "cache/cache.h"),
    ("tools/cenoted.c", "fuse/mount.h"),
    ("tools/cenoted.c", "fuse/keeper/keeper.h"),
    ("tools/daemon/daemon.c", "fuse/keeper/link.h"),
    ("tools/cenote/status.c", "cache/cache.h"),
    ("s3/client.c", "s3/wire/sigv4.h"),
    ("tests/unit/s3/wire/sigv4.c", "s3/wire/sigv4.h"),
    ("tests/unit/cache/arena.c", "cache/store/index.h"),
    ("tests/fuzz/listing_fuzz.c", "s3/listing.h"),
    ("tools/daemon/cluster.c", "cache/peer/peers.h"),
    ("cache/fill.c", "cache/peer/fetch.h"),
    ("cache/peer/reader.c", "cache/window/directory.h"),
    ("tests/unit/cache/peer/reader.c", "fabric/transport/loop.h"),
)
FORBIDDEN = (
    ("base/log.c", "s3/s3.h"),
    ("s3/get.c", "cache/cache.h"),
    ("s3/get.c", "fabric/fabric.h"),
    ("fabric/verbs.c", "s3/s3.h"),
    ("cache/peer.c", "fabric/transport/backend.h"),
    ("fabric/gossip/wire.c", "fabric/transport/backend.h"),
    ("cache/cache.c", "s3/sign.h"),
    ("cache/cache.c", "cache/store/index.h"),
    ("cache/window/window.c", "cache/store/index/record.h"),
    ("cache/cache.c", "fuse/mount.h"),
    ("fuse/read.c", "cache/arena.h"),
    ("fuse/read.c", "tools/cenote.h"),
    ("tools/cenoted.c", "fuse/namespace.h"),
    ("tools/daemon/daemon.c", "fuse/keeper/protocol.h"),
    ("tests/unit/s3/sign.c", "cache/cache.h"),
    ("base/log.c", "other/thing.h"),
    ("tools/daemon/cluster.c", "cache/peer/wire.h"),
    ("cache/fill.c", "cache/peer/reader.h"),
    ("cache/peer/reader.c", "cache/window/buddy.h"),
    ("cache/peer/reader.c", "fabric/transport/loop.h"),
)


class Directions(unittest.TestCase):
    def test_problem__allowed__none(self):
        for path, header in ALLOWED:
            with self.subTest(path=path, header=header):
                self.assertIsNone(includes.problem(path, header))

    def test_problem__forbidden__says_why(self):
        for path, header in FORBIDDEN:
            with self.subTest(path=path, header=header):
                self.assertIsNotNone(includes.problem(path, header))

    def test_check__a_tree_with_each_mistake__counts_them(self):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {
                    "base/log.h": "",
                    "s3/s3.h": '#include "base/log.h"\n',
                    "s3/sign.h": "",
                    "base/log.c": '#include "log.h"\n# include "s3/s3.h"\n',
                    "cache/cache.c": '#include <s3/s3.h>\n#include "s3/sign.h"\n',
            }.items():
                file = pathlib.Path(root) / path
                file.parent.mkdir(exist_ok=True)
                file.write_text(text, encoding="utf-8")
            self.assertEqual(includes.check(root), 4)


if __name__ == "__main__":
    unittest.main()
