#!/usr/bin/python3
"""crash_test.py - kill -9 at any moment: the next start finds what was committed, sweeps what was
not, takes over the dead mount, and serves right bytes.
"""
import random

from harness import case, content, reader, wait

FILES = 300
BIG = 48 * content.MIB
KILLS = 6


class Crash(case.Case):
    @classmethod
    def setUpClass(cls):
        server = case.World.s3()
        cls.bucket = server.make_bucket()
        sizes = random.Random(3)
        cls.objects = {f"small/{number:03}": content.random_bytes(number, sizes.randrange(90000))
                       for number in range(FILES)}
        cls.objects["big"] = content.random_bytes(1000, BIG)
        cls.digests = {key: content.sha256(data) for key, data in cls.objects.items()}
        server.put_all(cls.bucket, cls.objects.items())

    def read(self, node, keys):
        return reader.Reader("sha256", *(node.mount / key for key in keys))

    def check_all(self, node):
        keys = list(self.digests)
        self.assertEqual(self.read(node, keys).results(), list(self.digests.values()))

    def test_kill__when_all_is_written__next_start_is_warm(self):
        node = self.start_node(self.bucket)
        keys = list(self.digests)
        self.read(node, keys).results()
        node.flush()
        node.kill()
        node.start()
        self.assertEqual(self.read(node, keys).results(), [self.digests[key] for key in keys])
        self.assertEqual(node.counter("s3", "gets"), 0)
        self.check_ended_well(node)

    def test_kill__dead_mount_is_left__next_start_takes_it_over(self):
        node = self.start_node(self.bucket)
        self.check_all(node)
        node.kill()
        self.assertTrue(node.is_mounted(), "a crash leaves its mount")
        node.start()
        self.check_all(node)
        self.check_ended_well(node)

    def test_kill__in_the_middle_of_filling_again_and_again__right_bytes(self):
        node = self.start_node(self.bucket)
        chance = random.Random(11)
        total = sum(len(data) for data in self.objects.values())
        for _ in range(KILLS):
            running = self.read(node, chance.sample(list(self.digests), len(self.digests)))
            before, share = node.counter("cache", "read_bytes"), chance.random()
            wait.until(lambda: running.process.poll() is not None
                       or node.counter("cache", "read_bytes") >= before + share * total, 60,
                       "some of it is read")
            node.kill()
            running.kill()
            node.start()
        self.check_all(node)
        self.check_ended_well(node)
        node.start()
        self.check_all(node)
        self.assertEqual(node.counter("store", "bad_checks"), 0, "nothing torn was served or kept")

    def test_start__second_daemon_on_the_same_directory__refused_or_reads_through(self):
        first = self.start_node(self.bucket)
        self.check_all(first)
        shared = first.directory / "cache"
        second = self.start_node(self.bucket, directories=[(shared, "6 GiB")])
        self.check_all(second)
        self.assertEqual(second.counter("store", "reads"), 0, "not from the other's directory")
        self.check_ended_well(second)
        self.check_all(first)
        self.check_ended_well(first)


if __name__ == "__main__":
    case.main()
