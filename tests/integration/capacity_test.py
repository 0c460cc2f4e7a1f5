#!/usr/bin/python3
"""capacity_test.py - datasets larger than the cache: the space on the SSD never goes over its limit,
memory stays within its bound, and no reader sees an error.
"""
import threading

from harness import case, content, disk, node, reader

CAPACITY = 64 * content.MIB
OBJECTS = 80
OBJECT = 8 * content.MIB  # 640 MiB: ten times the capacity
MEMORY_BESIDE_ARENA = 64 * content.MIB


class SpaceWatch:
    """Looks at what a directory occupies until stopped, and keeps the most that it saw."""

    def __init__(self, path):
        self.path = path
        self.most = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        while not self._stop.wait(0.02):
            self.most = max(self.most, disk.used_bytes(self.path))

    def stop(self):
        self._stop.set()
        self._thread.join()
        return self.most


class Capacity(case.Case):
    @classmethod
    def setUpClass(cls):
        server = case.World.s3()
        cls.bucket = server.make_bucket()
        cls.digests = {}
        for number in range(OBJECTS):
            data = content.random_bytes(number, OBJECT)
            cls.digests[f"set{number % 4}/{number:03}"] = content.sha256(data)
            server.put(cls.bucket, f"set{number % 4}/{number:03}", data)

    def read_everything(self, each):
        keys = sorted(self.digests)
        readers = [reader.Reader("sha256", *(each.mount / key for key in keys[index::4]))
                   for index in range(4)]
        for index, one in enumerate(readers):
            self.assertEqual(one.results(300), [self.digests[key] for key in keys[index::4]])

    def check_dataset_10_times_the_cache(self, policy):
        folder = self.folder("cache")
        each = self.start_node(self.bucket, directories=[(folder, CAPACITY)],
                               settings={"cache.policy": policy, "cache.memory": "64 MiB"})
        watch = SpaceWatch(folder)
        for _ in range(2):
            self.read_everything(each)
        most = watch.stop()
        self.assertGreater(most, CAPACITY // 4, "the space was used")
        self.assertLessEqual(most, CAPACITY)
        self.assertLessEqual(each.counter("store", "used_bytes"), CAPACITY)
        self.assertEqual(each.counter("cache", "read_errors"), 0)
        peak = each.resident_memory()[1]
        self.assertLessEqual(peak, 64 * content.MIB + MEMORY_BESIDE_ARENA)
        self.check_ended_well(each)
        self.assertLessEqual(disk.used_bytes(folder), CAPACITY)

    def test_read__dataset_10_times_the_cache_epoch__never_over_the_limit(self):
        self.check_dataset_10_times_the_cache("epoch")

    def test_read__dataset_10_times_the_cache_lru__never_over_the_limit(self):
        self.check_dataset_10_times_the_cache("lru")

    def test_read__a_pass_again_under_epoch__what_was_kept_is_not_fetched(self):
        each = self.start_node(self.bucket, directories=[(self.folder("cache"), CAPACITY * 5)],
                               settings={"cache.memory": "64 MiB"}, entry={"dataset_depth": 0})
        self.read_everything(each)
        before = each.counter("s3", "get_bytes")
        self.read_everything(each)
        fetched = each.counter("s3", "get_bytes") - before
        # Half of the dataset fits: about half is kept, where LRU would keep 15 %.
        self.assertLess(fetched, 0.75 * OBJECTS * OBJECT)

    def test_read__capacity_lowered_for_the_next_start__is_kept_to(self):
        folder = self.folder("cache")
        each = self.start_node(self.bucket, directories=[(folder, CAPACITY * 4)])
        self.read_everything(each)
        self.check_ended_well(each)
        each.set("cache.directories", [{"path": folder, "capacity": CAPACITY}])
        each.start()
        each.wait_until(lambda: disk.used_bytes(folder) <= CAPACITY, 60,
                        "the directory shrinks to its new limit")
        self.read_everything(each)

    def test_start__no_cache_directory__reads_through(self):
        each = self.make_node([node.s3_backing("lake", self.s3)], [node.entry(self.bucket)],
                              directories=[])
        each.start()
        self.read_everything(each)
        self.check_ended_well(each)


if __name__ == "__main__":
    case.main()
