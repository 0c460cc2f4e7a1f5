#!/usr/bin/python3
"""audit_test.py - what a member serves is compared with the backing store: one that has other bytes
is found out and named, and what it served is not kept."""
import re

from harness import case, cluster, content, node, reader, scratch

COUNT = 8
SIZE = 1 << 20  # at most one request: an audit may end between two
PLACED_S = 60
AUDIT_S = 60
# a file at a time and nothing ahead of it: one audit is under way at a time, others are skipped
ONE_BY_ONE = {"peers.audit": 1, "cache.prefetch_max": 0, "cache.replicate": "off"}


class Audit(case.Case):
    """Two nodes of this machine. The first one gets its bytes from S3 by way of a proxy, which may
    change them before their checks are made; the second one gets its own straight from S3."""

    @classmethod
    def setUpClass(cls):
        cls.bucket = case.World.s3().make_bucket()
        objects = [(f"object{number}", content.random_bytes(number, SIZE - number))
                   for number in range(COUNT)]
        case.World.s3().put_all(cls.bucket, objects)
        cls.digests = {key: content.sha256(data) for key, data in objects}

    def setUp(self):
        super().setUp()
        self.secret = cluster.make_secret()
        self.ports = scratch.free_ports()
        self.proxy = self.make_proxy()

    def make(self, number, endpoint=None):
        gossip, fabric = (f"127.0.0.1:{self.ports + 2 * number + each}" for each in (0, 1))
        settings = {"node.name": f"n{number}", "cluster.name": "test", "cache.memory": "64 MiB",
                    "gossip.listen": gossip, "fabric.listen": fabric,
                    "gossip.join": [f"127.0.0.1:{self.ports + 2}"] if number > 1 else [],
                    **cluster.FAST, **cluster.PATIENT, **ONE_BY_ONE}
        made = self.make_node([node.s3_backing("lake", self.s3, endpoint)],
                              [node.entry(self.bucket)], settings=settings)
        made.set("cluster.secret_file", made.directory / "secret")
        cluster.write_secret(made.directory / "secret", self.secret)
        return made

    def start(self):
        """The first one has everything before the second one comes: so all that that one reads
        comes from the first, whoever owns it."""
        self.first = self.make(1, self.proxy.endpoint).start()
        self.wait_members(self.first, 1)
        for key in self.digests:
            self.digest_on(self.first, key)
        self.second = self.make(2).start()
        self.wait_members(self.first, 2)
        self.wait_members(self.second, 2)

    @staticmethod
    def wait_members(made, count):
        made.wait_until(lambda: made.counter("peers", "members") == count, PLACED_S,
                        f"blocks are placed on {count}")

    @staticmethod
    def digest_on(made, key):
        return reader.read("sha256", made.mount / key)

    def read_and_wait(self, key):
        """Reads @key on the second node and waits until it has been looked at."""
        before = self.second.counter("cache", "audits")
        digest = self.digest_on(self.second, key)
        self.second.wait_counter("cache", "audits", before + 1, AUDIT_S)
        return digest

    def test_member_has_the_right_bytes__nothing_is_said(self):
        self.start()
        for key, digest in self.digests.items():
            self.assertEqual(self.read_and_wait(key), digest)
        self.assertEqual(self.second.counter("cache", "peer_fetches"), COUNT)
        self.assertEqual(self.second.counter("cache", "audit_bytes"),
                         sum(SIZE - number for number in range(COUNT)))
        self.assertEqual(self.second.counter("cache", "audit_differences"), 0)
        self.assertNotIn("ALARM", self.second.cenote("status", "--run-dir",
                                                     self.second.run_dir).stdout)
        self.check_ended_well(self.second)
        self.check_ended_well(self.first)

    def test_member_has_other_bytes__is_named_and_later_reads_are_right(self):
        self.proxy.add("flip")
        self.start()
        for key, digest in self.digests.items():
            self.assertNotEqual(self.read_and_wait(key), digest, "else there is nothing to find")
        self.assertEqual(self.second.counter("cache", "audit_differences"), COUNT)
        line = re.search(r"error cache.audit: (.*)", self.second.log()).group(1)
        self.assertIn('name="n1"', line)
        self.assertIn('key="object0"', line)
        self.assertIn(f"bucket={self.bucket}", line)
        self.assertIn(self.s3.endpoint, line)
        self.assertIn("granules=15", line)
        self.assertIn("ALARM", self.second.cenote("status", "--run-dir",
                                                  self.second.run_dir).stdout)
        self.second.flush()
        fetched = self.second.counter("cache", "peer_fetches")
        for key, digest in self.digests.items():
            self.assertEqual(self.digest_on(self.second, key), digest)
        self.assertEqual(self.second.counter("cache", "peer_fetches"), fetched)
        self.assertEqual(self.second.counter("cache", "audit_differences"), COUNT)
        self.check_ended_well(self.second)
        self.check_ended_well(self.first)


if __name__ == "__main__":
    case.main()
