#!/usr/bin/python3
"""overwrite_test.py - an object is overwritten in S3 while it is open or mapped: a reader sees all
old, all new, or ESTALE; never a mix.
"""
import errno
import mmap
import os
import signal

from harness import case, content, reader, wait

SIZE = 24 * content.MIB
CHUNK = 1 << 20
FRESH_S = 30  # how long a new version may take to be seen, with the lifetimes below
LIFETIMES = {"attribute_timeout": "100 ms", "entry_timeout": "100 ms",
             "negative_timeout": "100 ms", "listing_timeout": "100 ms"}


class Overwrite(case.Case):
    def setUp(self):
        super().setUp()
        self.bucket = self.s3.make_bucket()
        self.put(1)

    def put(self, version, size=SIZE):
        return self.s3.put(self.bucket, "object", content.versioned(version, size))

    def start(self, **arguments):
        node = self.start_node(self.bucket, entry=LIFETIMES, **arguments)
        self.path = node.mount / "object"
        return node

    def versions_of(self, handle, size, start=0):
        """The versions that a handle's bytes from @start on are of; {"ESTALE"} as soon as a read
        says so."""
        found = set()
        for off in range(start, size, CHUNK):
            try:
                data = os.pread(handle, CHUNK, off)
            except OSError as error:
                self.assertEqual(error.errno, errno.ESTALE)
                return found | {"ESTALE"}
            self.assertEqual(len(data), min(CHUNK, size - off))
            found |= content.versions_in(data, off)
        return found

    def read_whole(self):
        """One open, one read to the end. Return: the version, or "ESTALE"."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            found = self.versions_of(handle, os.fstat(handle).st_size)
        finally:
            os.close(handle)
        self.assertLessEqual(len(found - {"ESTALE"}), 1, f"a mix: {found}")
        return "ESTALE" if "ESTALE" in found else found.pop()

    def wait_for_version(self, version):
        wait.until(lambda: self.read_whole() == version, FRESH_S, f"version {version} is seen")

    def check_open_handle(self, new_size):
        node = self.start()
        handle = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, handle)
        self.assertEqual(content.versions_in(os.pread(handle, CHUNK, 0), 0), {1})
        self.put(2, new_size)
        self.wait_for_version(2)
        self.assertEqual(os.stat(self.path).st_size, new_size)
        self.assertLessEqual(self.versions_of(handle, SIZE), {1, "ESTALE"})
        self.check_ended_well_after_close(node, handle)

    def check_ended_well_after_close(self, node, handle):
        # An open file keeps no daemon from ending; what is left of it gives errors.
        self.assertEqual(node.stop(), 0)
        with self.assertRaises(OSError):
            os.pread(handle, 1, 0)

    def test_overwrite__open_handle_same_size__old_or_estale(self):
        self.check_open_handle(SIZE)

    def test_overwrite__open_handle_new_one_shorter__old_or_estale(self):
        self.check_open_handle(SIZE // 2)

    def test_overwrite__open_handle_new_one_longer__old_or_estale(self):
        self.check_open_handle(SIZE * 2)

    def test_overwrite__open_handle_all_cached__goes_on_with_the_old(self):
        node = self.start()
        self.assertEqual(self.read_whole(), 1)
        node.flush()
        handle = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, handle)
        self.put(2)
        self.wait_for_version(2)
        self.assertLessEqual(self.versions_of(handle, SIZE), {1, "ESTALE"})

    def test_overwrite__mapped__old_or_sigbus(self):
        node = self.start()
        ready, ready_writer = os.pipe()
        go_reader, go = os.pipe()
        child = os.fork()
        if child == 0:
            # Reads the first half, says so, and the rest after the overwrite.
            status = 2
            try:
                handle = os.open(self.path, os.O_RDONLY)
                mapped = mmap.mmap(handle, SIZE, mmap.MAP_SHARED, mmap.PROT_READ)
                found = content.versions_in(mapped[:SIZE // 2], 0)
                os.write(ready_writer, b"x")
                os.read(go_reader, 1)
                found |= content.versions_in(mapped[:], 0)
                status = 0 if found == {1} else 1
            finally:
                os._exit(status)
        os.read(ready, 1)
        self.put(2)
        self.wait_for_version(2)
        os.write(go, b"x")
        _, status = os.waitpid(child, 0)
        ended_by_signal = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGBUS
        self.assertTrue(ended_by_signal or os.WEXITSTATUS(status) == 0, f"status {status}")
        for end in (ready, ready_writer, go_reader, go):
            os.close(end)
        self.assertEqual(reader.read("first", self.path), 2)
        self.check_ended_well(node)

    def test_overwrite__again_and_again_under_readers__never_a_mix(self):
        self.start()
        last = 12
        readers = []
        for _ in range(4):
            pipe_in, pipe_out = os.pipe()
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    while self.read_whole() != last:
                        pass
                    status = 0
                except BaseException as error:  # told through the pipe; we must not return
                    os.write(pipe_out, repr(error).encode()[:4096])
                finally:
                    os._exit(status)
            os.close(pipe_out)
            readers.append((child, pipe_in))
        for version in range(2, last + 1):
            # Sizes change too: what was open ends elsewhere than what is new.
            self.put(version, SIZE + (version % 3) * CHUNK if version != last else SIZE)
        for child, pipe_in in readers:
            with open(pipe_in, "rb") as pipe:
                said = pipe.read().decode()
            _, status = os.waitpid(child, 0)
            self.assertEqual((status, said), (0, ""))

    def test_overwrite__deleted_object__name_is_gone_and_comes_back(self):
        self.start()
        self.assertEqual(self.read_whole(), 1)
        self.s3.client.delete_object(Bucket=self.bucket, Key="object")
        wait.until(lambda: reader.read("first", self.path) == reader.refused("ENOENT"), FRESH_S,
                   "the deleted object is gone")
        self.put(3)
        wait.until(lambda: reader.read("first", self.path) == 3, FRESH_S, "the new one is there")


if __name__ == "__main__":
    case.main()
