#!/usr/bin/python3
"""faults_test.py - what a reader sees when S3 refuses, hangs, breaks off or is not there: a clear
error within the deadline, and bytes again without a restart when the endpoint is well again.
"""
import os
import re
import time

from harness import case, content, node, reader, wait

SIZE = 16 * content.MIB
DEADLINE_S = 3
# A refusal may take the deadline and, on a busy machine, a good deal more; a hang takes for ever.
BOUND_S = 10 * DEADLINE_S
DEADLINES = {"cache.read_timeout": f"{DEADLINE_S} s", "mount.lookup_timeout": f"{DEADLINE_S} s"}
# Names are looked up again each time, so that each access asks the endpoint.
FORGETFUL = {"attribute_timeout": "0", "entry_timeout": "0", "negative_timeout": "0",
             "listing_timeout": "100 ms"}
FAILED = reader.refused("EIO")


class Faults(case.Case):
    @classmethod
    def setUpClass(cls):
        server = case.World.s3()
        cls.bucket = server.make_bucket()
        cls.data = content.random_bytes(1, SIZE)
        cls.digest = content.sha256(cls.data)
        for number in range(4):
            server.put(cls.bucket, f"object{number}", cls.data)

    def start(self, bucket=None, **arguments):
        """A node behind self.proxy, with deadlines of a few seconds."""
        self.proxy = self.make_proxy()
        arguments.setdefault("entry", FORGETFUL)
        arguments.setdefault("settings", DEADLINES)
        self.node = self.start_node(bucket or self.bucket, self.proxy.endpoint, **arguments)
        self.path = self.node.mount / "object0"
        return self.node

    def check_reads(self, path=None):
        self.assertEqual(reader.read("sha256", path or self.path), self.digest)

    def check_recovers(self):
        """Reads succeed again soon, in the same daemon."""
        wait.until(lambda: reader.read("sha256", self.path) == self.digest, BOUND_S,
                   "reads succeed again")
        self.assertTrue(self.node.is_mounted())

    def check_said(self, pattern):
        """The log, which is where an operator looks, names the cause."""
        self.assertTrue(re.search(pattern, self.node.log()), f"no '{pattern}' in:\n"
                        + self.node.log_tail())

    def test_open__wrong_secret__eacces(self):
        credentials = {"access_key": self.s3.access_key, "secret_key": "wrong" * 8}
        self.start(s3={"credentials": credentials})
        self.assertEqual(reader.read("sha256", self.path, BOUND_S), reader.refused("EACCES"))
        self.assertEqual(reader.read("list", self.node.mount, BOUND_S), reader.refused("EACCES"))
        self.check_said("403|SignatureDoesNotMatch")
        self.assertNotIn("wrongwrong", self.node.log())
        self.check_ended_well(self.node)

    def test_open__missing_bucket__enoent_until_it_is_there(self):
        bucket = "made-later"
        self.start(bucket)
        self.assertEqual(reader.read("sha256", self.path, BOUND_S), reader.refused("ENOENT"))
        self.check_said("404|NoSuchBucket")
        self.s3.client.create_bucket(Bucket=bucket)
        self.s3.put(bucket, "object0", self.data)
        self.check_recovers()

    def test_open__dead_endpoint__error_in_time_and_recovery(self):
        self.proxy = self.make_proxy()
        self.proxy.refuse()
        self.node = self.start_node(self.bucket, self.proxy.endpoint, entry=FORGETFUL,
                                    settings=DEADLINES)
        self.path = self.node.mount / "object0"
        self.assertEqual(reader.read("sha256", self.path, BOUND_S), FAILED)
        self.assertEqual(reader.read("list", self.node.mount, BOUND_S), FAILED)
        self.check_said("(?i)connect|refused")
        self.proxy.accept()
        self.check_recovers()

    def test_open__hanging_endpoint__error_in_time_and_recovery(self):
        self.start()
        self.proxy.add("stall", match=lambda request: True)
        self.assertEqual(reader.read("sha256", self.path, BOUND_S), FAILED)
        self.proxy.clear()
        self.check_recovers()

    def test_read__hanging_storage__error_in_time_and_recovery(self):
        self.start()
        self.s3.freeze("osd")
        try:
            self.assertEqual(reader.read("sha256", self.path, BOUND_S), FAILED)
        finally:
            self.s3.thaw("osd")
        self.check_recovers()

    def test_open__wrong_ca__eio_and_says_why(self):
        other = self.folder("ca")
        ca = other / "ca.crt"
        os.system("openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj '/CN=another CA' "
                  f"-keyout {other}/ca.key -out {ca} 2>/dev/null")
        self.node = self.start_node(self.bucket, self.s3.endpoint_tls, entry=FORGETFUL,
                                    settings=DEADLINES, s3={"ca_file": ca})
        self.path = self.node.mount / "object0"
        self.assertEqual(reader.read("sha256", self.path, BOUND_S), reader.refused("EIO"))
        self.check_said("(?i)certificate")

    def test_read__endpoint_dies_and_is_back_in_time__reader_sees_nothing(self):
        self.start(settings={"cache.read_timeout": "60 s", "mount.lookup_timeout": "60 s"})
        stall = self.proxy.add("stall", after=SIZE // 8)
        running = reader.Reader("sha256", self.path)
        wait.until(lambda: stall.seen, 30, "the fetch is under way")
        self.s3.kill("gateway")
        self.proxy.disconnect()  # first: what is on its way must not arrive
        self.proxy.clear()
        self.s3.restart("gateway")
        self.assertEqual(running.results(), [self.digest])

    def test_read__endpoint_dies__error_in_time_and_recovery(self):
        self.start()
        stall = self.proxy.add("stall", after=SIZE // 8)
        running = reader.Reader("sha256", self.path)
        wait.until(lambda: stall.seen, 30, "the fetch is under way")
        self.s3.kill("gateway")
        try:
            self.proxy.disconnect()
            self.proxy.clear()
            self.assertEqual(running.results(BOUND_S)[0], FAILED)
        finally:
            self.s3.restart("gateway")
        self.check_recovers()

    def test_read__every_other_request_503__all_bytes(self):
        self.start(settings={"cache.read_timeout": "60 s", "mount.lookup_timeout": "60 s"})
        storm = self.proxy.add("status", match=lambda request: True, share=0.5)
        for number in range(4):
            self.check_reads(self.node.mount / f"object{number}")
        self.assertGreater(storm.seen, 0)
        self.assertGreaterEqual(self.node.counter("s3", "throttled"), storm.seen)
        self.assertEqual(self.node.counter("fuse", "errors"), 0)

    def test_read__nothing_but_503__eio_never_enoent_and_recovery(self):
        self.start()
        storm = self.proxy.add("status", match=lambda request: True)
        started = time.monotonic()
        self.assertEqual(reader.read("sha256", self.path, BOUND_S), FAILED)
        self.assertEqual(reader.read("list", self.node.mount, BOUND_S), FAILED)
        seconds = time.monotonic() - started
        self.assertGreater(storm.seen, 2, "it was tried again")
        self.assertLess(storm.seen, 50 * seconds, "but not in a storm of our own")
        self.check_said("503|SlowDown")
        self.proxy.clear()
        self.check_recovers()

    def check_broken_bodies(self, kind, **settings):
        self.start(settings={"cache.read_timeout": "60 s", "mount.lookup_timeout": "60 s"})
        fault = self.proxy.add(kind, share=0.5, **settings)
        for number in range(4):
            self.check_reads(self.node.mount / f"object{number}")
        self.assertGreater(fault.seen, 0)
        self.assertGreater(self.node.counter("s3", "retries"), 0)
        self.assertEqual(self.node.counter("fuse", "errors"), 0)

    def test_read__truncated_bodies__all_bytes(self):
        self.check_broken_bodies("truncate", after=100000)

    def test_read__bodies_cut_by_reset__all_bytes(self):
        self.check_broken_bodies("reset", after=70001)

    def test_read__bodies_of_less_than_asked__error_in_time_and_recovery(self):
        # The headers contradict each other: nothing that an S3 server says, so no reason to ask
        # again and none to believe the rest.
        self.start()
        self.proxy.add("shorten", by=1)
        self.assertEqual(reader.read("sha256", self.path, BOUND_S), FAILED)
        self.check_said("Content-Length and Content-Range")
        self.proxy.clear()
        self.check_recovers()

    def test_read__empty_bodies__all_bytes(self):
        self.check_broken_bodies("truncate", after=0)

    def test_read__internal_errors__all_bytes(self):
        self.check_broken_bodies("status", status=500, code="InternalError")

    def test_read__warm_while_the_endpoint_is_dead__from_the_cache(self):
        lifetimes = {"attribute_timeout": "10 min", "entry_timeout": "10 min",
                     "listing_timeout": "10 min"}
        self.start(entry=lifetimes)
        # Open all the time: whoever drops the machine's caches does not make the name forgotten.
        with open(self.path, "rb"):
            self.check_reads()
            self.node.flush()
            self.proxy.refuse()
            self.check_reads()

    def test_read__one_endpoint_dead__the_other_serves(self):
        proxy = self.make_proxy()
        proxy.refuse()
        each = self.make_node(
            [node.s3_backing("dead", self.s3, proxy.endpoint), node.s3_backing("lake", self.s3)],
            [node.entry(self.bucket, "/dead", "dead", **FORGETFUL),
             node.entry(self.bucket, "/well", "lake", **FORGETFUL)], settings=DEADLINES).start()
        # Names of their own: of lookups of one name, the kernel sends one after the other.
        blocked = [reader.Reader("sha256", each.mount / f"dead/object{number}")
                   for number in range(32)]
        self.assertEqual(reader.read("sha256", each.mount / "well/object0", BOUND_S), self.digest)
        for one in blocked:
            self.assertEqual(one.results(BOUND_S)[0], FAILED)


if __name__ == "__main__":
    case.main()
