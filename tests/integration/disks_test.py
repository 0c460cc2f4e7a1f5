#!/usr/bin/python3
"""disks_test.py - SSDs that lie, fill up, fail or vanish: the reader gets right bytes and no error,
and the status says what is wrong.
"""
import os
import shutil

from harness import case, content, reader

SIZE = 16 * content.MIB
COUNT = 8
SMALL_COUNT = 200
SMALL = 20000  # packed
RETRY_S = 150  # a directory that failed or was full is tried again every minute


def flip(path, off):
    """Flips one bit of a file."""
    handle = os.open(path, os.O_RDWR)
    try:
        byte = os.pread(handle, 1, off)[0]
        os.pwrite(handle, bytes([byte ^ 0x10]), off)
        os.fsync(handle)
    finally:
        os.close(handle)


class Disks(case.Case):
    @classmethod
    def setUpClass(cls):
        server = case.World.s3()
        cls.bucket = server.make_bucket()
        objects = {f"big{number}": content.random_bytes(number, SIZE) for number in range(COUNT)}
        objects |= {f"small{number:03}": content.random_bytes(10000 + number, SMALL)
                    for number in range(SMALL_COUNT)}
        cls.digests = {key: content.sha256(data) for key, data in objects.items()}
        cls.total = sum(map(len, objects.values()))
        server.put_all(cls.bucket, objects.items())

    def check_reads(self, each, prefix=""):
        keys = [key for key in self.digests if key.startswith(prefix)]
        running = reader.Reader("sha256", *(each.mount / key for key in keys))
        self.assertEqual(running.results(), [self.digests[key] for key in keys], each.log_tail())
        self.assertEqual(each.counter("fuse", "errors"), 0)

    def start_filled(self, **arguments):
        """A node that has everything on its SSD and nothing in memory."""
        each = self.start_node(self.bucket, **arguments)
        self.check_reads(each)
        each.flush()
        return each.restart()

    def directory_state(self, each, index=0):
        return each.status()["directories"][index]["state"]

    def check_bits_flipped(self, prefix, folder, every):
        each = self.start_filled()
        self.assertEqual(each.stop(), 0)
        flipped = 0
        for at, _, names in os.walk(each.directory / "cache" / folder):
            for name in names:
                path = os.path.join(at, name)
                for off in range(every // 2, os.path.getsize(path), every):
                    flip(path, off)
                    flipped += 1
        self.assertGreater(flipped, 0, f"no files in {folder}/")
        each.start()
        self.check_reads(each, prefix)
        self.assertGreater(each.counter("store", "bad_checks"), 0)
        self.assertGreater(each.counter("cache", "repaired"), 0)
        self.assertGreater(each.counter("s3", "gets"), 0)
        # Repaired means: on the SSD too.
        each.flush()
        each.restart()
        self.check_reads(each, prefix)
        self.assertEqual(each.counter("s3", "gets"), 0)
        self.check_ended_well(each)

    def test_read__bit_flipped_in_object_files__repaired_and_counted(self):
        self.check_bits_flipped("big", "objects", SIZE)

    def test_read__bit_flipped_in_segments__repaired_and_counted(self):
        self.check_bits_flipped("small", "segments", 50000)

    def test_read__object_file_truncated__repaired(self):
        each = self.start_filled()
        self.assertEqual(each.stop(), 0)
        for at, _, names in os.walk(each.directory / "cache/objects"):
            for name in names:
                os.truncate(os.path.join(at, name), SIZE // 2 + 1000)
        each.start()
        self.check_reads(each, "big")
        self.check_ended_well(each)

    def test_start__index_is_garbage__starts_and_reads(self):
        each = self.start_filled()
        self.assertEqual(each.stop(), 0)
        for at, _, names in os.walk(each.directory / "cache/index"):
            for name in names:
                path = os.path.join(at, name)
                with open(path, "r+b") as file:
                    file.write(content.random_bytes(5, os.path.getsize(path)))
        each.start()
        self.check_reads(each)
        self.check_ended_well(each)

    def test_read__disk_smaller_than_the_capacity__reads_through(self):
        disk = self.make_disk(64 * content.MIB)
        each = self.start_node(self.bucket, directories=[(disk.path / "cache", "4 GiB")])
        for _ in range(2):
            self.check_reads(each)
        self.check_ended_well(each)

    def test_read__disk_filled_by_others__reads_through_then_stores_again(self):
        disk = self.make_disk(512 * content.MIB)
        each = self.start_node(self.bucket, directories=[(disk.path / "cache", "400 MiB")],
                               settings={"cache.memory": "64 MiB"})
        disk.fill(leave=2 * content.MIB)
        self.check_reads(each)
        disk.unfill()
        written = each.counter("store", "write_bytes")

        def stores_again():
            self.check_reads(each)
            return each.counter("store", "write_bytes") >= written + self.total // 2

        each.wait_until(stores_again, RETRY_S, "blocks are stored again")
        self.check_ended_well(each)

    def test_read__disk_fails__reads_through_and_says_so(self):
        disk = self.make_disk(512 * content.MIB)
        each = self.start_filled(directories=[(disk.path / "cache", "400 MiB")])
        disk.fail()
        for _ in range(2):
            self.check_reads(each)
        self.assertEqual(self.directory_state(each), "failed")
        self.check_ended_well(each)

    def test_read__directory_removed__reads_through(self):
        each = self.start_filled()
        shutil.rmtree(each.directory / "cache")
        for _ in range(2):
            self.check_reads(each)
        self.check_ended_well(each)

    def test_start__directory_cannot_be_used__reads_through_and_says_so(self):
        nowhere = self.folder("file") / "not-a-directory"
        nowhere.write_text("a file")
        each = self.start_node(self.bucket, directories=[(nowhere, "1 GiB")])
        self.check_reads(each)
        self.assertEqual(self.directory_state(each), "failed")
        self.assertIn(str(nowhere), each.log())
        self.check_ended_well(each)

    def test_read__two_directories__both_are_used_and_one_may_fail(self):
        disk = self.make_disk(512 * content.MIB)
        other = self.folder("cache")
        directories = [(disk.path / "cache", "400 MiB"), (other, "1 GiB")]
        each = self.start_filled(directories=directories)
        self.check_reads(each)
        self.assertEqual(each.counter("s3", "gets"), 0)
        objects = [directory["objects"] for directory in each.status()["directories"]]
        self.assertGreater(min(objects), len(self.digests) // 10)
        disk.fail()
        self.check_reads(each)
        self.assertEqual(self.directory_state(each, 1), "ok")
        self.check_ended_well(each)

    def test_start__one_directory_less_than_before__what_is_left_serves(self):
        first, second = self.folder("cache"), self.folder("cache")
        each = self.start_filled(directories=[(first, "1 GiB"), (second, "1 GiB")])
        self.assertEqual(each.stop(), 0)
        each.set("cache.directories", [{"path": second, "capacity": "1 GiB"}])
        each.start()
        self.check_reads(each)
        fetched = each.counter("s3", "get_bytes")
        self.assertGreater(fetched, 0)
        self.assertLess(fetched, self.total)


if __name__ == "__main__":
    case.main()
