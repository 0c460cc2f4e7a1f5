#!/usr/bin/python3
"""mapping_test.py - files are mapped as numpy, Arrow and safetensors map them."""
import mmap
import os
import random
import subprocess
import sys

from harness import case, content, reader

SIZE = 40 * content.MIB + 777  # ends inside of a page
PAGE = 4096
NUMPY = """
import sys, numpy
array = numpy.memmap(sys.argv[1], dtype=numpy.uint8, mode="r")
print(array.size, int(array.sum(dtype=numpy.uint64)), int(array[::4096].sum(dtype=numpy.uint64)))
"""


class Mapping(case.Case):
    @classmethod
    def setUpClass(cls):
        server = case.World.s3()
        cls.bucket = server.make_bucket()
        cls.data = content.random_bytes(1, SIZE)
        server.put(cls.bucket, "object", cls.data)

    def map(self, path, flags):
        handle = os.open(path, os.O_RDONLY)
        try:
            mapped = mmap.mmap(handle, SIZE, flags, mmap.PROT_READ)
        finally:
            os.close(handle)  # a mapping outlives its handle
        self.addCleanup(mapped.close)
        return mapped

    def check_map(self, flags):
        node = self.start_node(self.bucket)
        mapped = self.map(node.mount / "object", flags)
        pages = list(range(0, SIZE, PAGE))
        random.Random(2).shuffle(pages)
        for off in pages[:500]:
            self.assertEqual(mapped[off:off + PAGE], self.data[off:off + PAGE])
        self.assertEqual(mapped[:], self.data)

    def test_map__shared__the_object(self):
        self.check_map(mmap.MAP_SHARED)

    def test_map__private__the_object(self):
        self.check_map(mmap.MAP_PRIVATE)

    def test_map__several_processes_cold__each_byte_fetched_once(self):
        node = self.start_node(self.bucket)
        readers = [reader.Reader("map", node.mount / "object") for _ in range(8)]
        self.assertEqual({each.results()[0] for each in readers}, {content.sha256(self.data)})
        self.assertEqual(node.counter("s3", "get_bytes"), SIZE)

    def test_map__and_read_of_the_same_file__both_are_right(self):
        node = self.start_node(self.bucket)
        path = node.mount / "object"
        mapped = self.map(path, mmap.MAP_SHARED)
        for off in range(0, SIZE, SIZE // 7):
            self.assertEqual(mapped[off:off + 100], self.data[off:off + 100])
            with open(path, "rb", buffering=0) as file:
                file.seek(off)
                self.assertEqual(file.read(100), self.data[off:off + 100])
        self.assertEqual(reader.read("sha256", path), content.sha256(self.data))

    def test_map__writable__refused(self):
        node = self.start_node(self.bucket)
        handle = os.open(node.mount / "object", os.O_RDONLY)
        self.addCleanup(os.close, handle)
        with self.assertRaises(PermissionError):
            mmap.mmap(handle, SIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)

    def test_map__by_numpy__the_object(self):
        if subprocess.run([sys.executable, "-c", "import numpy"], check=False,
                          stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("numpy is missing (package python3-numpy: tests/install bench)")
        node = self.start_node(self.bucket)
        done = subprocess.run([sys.executable, "-c", NUMPY, node.mount / "object"],
                              stdout=subprocess.PIPE, text=True, timeout=120, check=True)
        self.assertEqual([int(word) for word in done.stdout.split()],
                         [SIZE, sum(self.data), sum(self.data[::PAGE])])


if __name__ == "__main__":
    case.main()
