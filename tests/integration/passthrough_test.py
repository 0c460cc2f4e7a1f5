#!/usr/bin/python3
"""passthrough_test.py - files that are complete on the SSD are read by the kernel itself: when that
begins, that it goes on without a daemon, and what becomes of open and mapped files when the object
is overwritten, evicted or found rotten.
"""
import ctypes
import hashlib
import mmap
import os
import select
import signal
import subprocess

from harness import case, content, reader, scratch, wait
from harness import node as nodes

SIZE = 12 * content.MIB + 16 * 77  # ends inside of a page
SMALL = 200 * 1000
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long]
LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
LIFETIMES = {"attribute_timeout": "100 ms", "entry_timeout": "100 ms",
             "negative_timeout": "100 ms", "listing_timeout": "100 ms"}


def kernel_has_it():
    release = os.uname().release.split("-")[0].split(".")
    return tuple(int(part) for part in release[:2]) >= (6, 9)


class Passthrough(case.Case):
    def setUp(self):
        super().setUp()
        if not kernel_has_it():
            self.skipTest("FUSE passthrough is missing: Linux 6.9 or later")
        self.bucket = self.s3.make_bucket()
        self.data = content.versioned(1, SIZE)
        self.s3.put(self.bucket, "object", self.data)

    def start(self, **arguments):
        arguments.setdefault("settings", {}).setdefault("cache.scrub", 0)
        node = self.start_node(self.bucket, **arguments)
        self.path = node.mount / "object"
        return node

    def state(self, node):
        return node.status()["mount"]["passthrough"]

    def verified(self, node):
        return self.state(node)["verified"]

    def fill(self, node, path=None):
        """Reads it cold and waits until it may be handed to the kernel."""
        before = self.verified(node)
        self.assertEqual(node.counter("fuse", "opens_passthrough"), 0)
        self.assertEqual(reader.read("size", path or self.path), SIZE)
        node.flush()
        node.wait_until(lambda: self.verified(node) > before, 60, "the object is verified")

    def open(self, node, passthrough=True):
        """A handle, in the mode that is expected."""
        before = node.counter("fuse", "opens_passthrough")
        handle = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, handle)
        self.assertEqual(node.counter("fuse", "opens_passthrough"), before + passthrough)
        return handle

    def map(self, handle, flags):
        """A mapping that does not keep the file open, as Python's own does."""
        address = LIBC.mmap(None, SIZE, mmap.PROT_READ, flags, handle, 0)
        self.assertNotEqual(address, ctypes.c_void_p(-1).value, os.strerror(ctypes.get_errno()))
        self.addCleanup(LIBC.munmap, address, SIZE)
        return memoryview((ctypes.c_char * SIZE).from_address(address)).cast("B").toreadonly()

    def read(self, handle):
        return b"".join(os.pread(handle, content.MIB, off) for off in range(0, SIZE, content.MIB))

    def ssd_file(self, node, path=None):
        name = os.getxattr(path or self.path, "user.cenote.object").decode()
        folder = node.directory / "cache" / "objects"
        return folder / name[:2] / name

    def flip(self, path, off):
        """One bit of a file on the SSD, past all that would stop it."""
        with open(path, "r+b", buffering=0) as file:
            old = os.pread(file.fileno(), 1, off)
            os.pwrite(file.fileno(), bytes([old[0] ^ 4]), off)
            os.fsync(file.fileno())

    # --- when it begins

    def test_read__complete_and_verified__the_next_open_needs_no_daemon(self):
        node = self.start()
        ino = os.stat(self.path).st_ino
        self.fill(node)
        handle = self.open(node)
        reads = node.counter("fuse", "reads")
        self.assertEqual(os.fstat(handle).st_ino, ino)
        node.freeze()
        try:
            self.assertEqual(content.sha256(self.read(handle)), content.sha256(self.data))
            self.assertEqual(os.pread(handle, 4096, SIZE - 5), self.data[-5:])
            self.assertEqual(os.pread(handle, 1, SIZE), b"")
        finally:
            node.thaw()
        self.assertEqual(node.counter("fuse", "reads"), reads)
        self.assertEqual(node.counter("fuse", "backing_files"), 1)
        self.assertEqual(node.counter("fuse", "passthrough_bytes"), SIZE)
        self.assertIn("passthrough on", node.cenote("status", "--run-dir", node.run_dir).stdout)

    def test_read__handles_of_both_modes_at_once__both_go_on(self):
        node = self.start()
        old = self.open(node, passthrough=False)
        mapped = self.map(old, mmap.MAP_SHARED)
        self.assertEqual(self.read(old), self.data)
        node.flush()
        node.wait_until(lambda: self.verified(node) > 0, 60, "the object is verified")
        new = self.open(node)
        self.assertEqual(self.read(new), self.data)
        self.assertEqual(self.read(old), self.data)
        self.assertEqual(bytes(mapped), self.data)
        self.assertEqual(bytes(self.map(new, mmap.MAP_SHARED)), self.data)

    def test_open__again_and_again__registered_once(self):
        node = self.start()
        self.fill(node)
        for _ in range(20):
            self.assertEqual(reader.read("sha256", self.path), content.sha256(self.data))
            node.wait_until(lambda: node.counter("fuse", "backing_files") == 0, 30, "it is closed")
        self.assertGreaterEqual(node.counter("fuse", "opens_passthrough"), 20)
        self.assertEqual(node.counter("store", "handouts"), 1)
        # Another worker has it registered anew.
        node.kill_worker()
        self.assertEqual(reader.read("sha256", self.path), content.sha256(self.data))
        self.assertEqual(node.counter("fuse", "errors"), 0)

    def test_map__private_and_shared__outlive_the_handle_and_the_daemon(self):
        node = self.start()
        self.fill(node)
        handle = os.open(self.path, os.O_RDONLY)
        mapped = [self.map(handle, mmap.MAP_PRIVATE), self.map(handle, mmap.MAP_SHARED)]
        os.close(handle)
        node.wait_until(lambda: node.counter("fuse", "backing_files") == 0, 30,
                        "the backing file is given back")
        for each in mapped:
            self.assertEqual(bytes(each[:SIZE // 2]), self.data[:SIZE // 2])
        self.check_ended_well(node)
        for each in mapped:
            self.assertEqual(bytes(each), self.data)

    def test_open__many_at_once__one_backing_file(self):
        node = self.start()
        self.fill(node)
        readers = [reader.Reader("sha256", *[self.path] * 20) for _ in range(8)]
        for each in readers:
            # The same path 20 times is one answer a process.
            self.assertEqual(set(each.results()), {content.sha256(self.data)})
        node.wait_until(lambda: node.counter("fuse", "backing_files") == 0, 30,
                        "the backing file is given back")
        self.assertEqual(node.counter("fuse", "opens_passthrough"), 160)
        self.assertEqual(node.counter("fuse", "errors"), 0)

    def test_open__while_it_becomes_complete__no_open_fails(self):
        node = self.start()
        readers = [reader.Reader("sha256", *[self.path] * 60) for _ in range(6)]
        for each in readers:
            self.assertEqual(set(each.results()), {content.sha256(self.data)})
        self.assertEqual(node.counter("fuse", "errors"), 0)
        node.flush()
        node.wait_until(lambda: self.verified(node) > 0, 60, "the object is verified")
        self.assertEqual(self.read(self.open(node)), self.data)

    def test_restart__verified_anew_before_the_first_hand_out(self):
        node = self.start()
        self.fill(node)
        self.open(node)
        self.assertEqual(node.stop(), 0)
        self.flip(self.ssd_file_of_stopped(node), 5 * content.MIB)
        node.start()
        self.assertEqual(self.verified(node), 0)
        self.open(node, passthrough=False)  # asks for it
        node.wait_until(lambda: node.counter("store", "bad_checks") == 1, 60, "the bit is found")
        self.assertEqual(self.verified(node), 0)
        self.assertEqual(reader.read("sha256", self.path), content.sha256(self.data))
        node.wait_until(lambda: self.complete_again(node), 60, "it is whole again")
        self.assertEqual(self.read(self.open(node)), self.data)

    def complete_again(self, node):
        """Reads it until it is whole and verified: a block is not written while its file is being
        replaced."""
        self.assertEqual(reader.read("size", self.path), SIZE)
        node.flush()
        return self.verified(node) == 1

    def ssd_file_of_stopped(self, node):
        files = [path for path in (node.directory / "cache" / "objects").rglob("*")
                 if path.is_file()]
        self.assertEqual(len(files), 1)
        return files[0]

    def test_flip__before_the_first_hand_out__found_and_repaired(self):
        node = self.start(settings={"mount.passthrough": "off"})
        self.assertEqual(reader.read("size", self.path), SIZE)
        node.flush()
        self.flip(self.ssd_file(node), SIZE - 3)
        node.set("mount.passthrough", "auto")
        node.write_config()
        node.signal(signal.SIGHUP)
        node.wait_until(lambda: self.state(node)["used"], 30, "the setting is taken over")
        self.open(node, passthrough=False)
        node.wait_until(lambda: node.counter("store", "bad_checks") == 1, 60, "the bit is found")
        node.wait_until(lambda: self.complete_again(node), 60, "it is whole again")
        self.assertEqual(self.read(self.open(node)), self.data)

    # --- what changes under open files

    def test_flip__after_the_hand_out__the_scrub_finds_it_and_new_opens_are_right(self):
        node = self.start(settings={"cache.scrub": "256 MiB"})
        self.fill(node)
        handle = self.open(node)
        old = self.ssd_file(node)
        inode = os.stat(old).st_ino
        self.assertEqual(os.stat(old).st_mode & 0o777, 0o400)
        self.flip(old, 9 * content.MIB)
        node.wait_counter("store", "rotten", 1)
        node.wait_counter("store", "replaced", 1)
        self.assertNotEqual(os.stat(old).st_ino, inode)
        self.assertEqual(reader.read("sha256", self.path), content.sha256(self.data))
        node.wait_until(lambda: self.complete_again(node), 60, "it is whole again")
        wait.until(lambda: self.opens_in_passthrough(node), 60, "it is handed out again")
        # The old handle reads its old file: all of it but the bit.
        self.assertEqual(len(self.read(handle)), SIZE)
        self.assertEqual(self.read(handle)[:9 * content.MIB], self.data[:9 * content.MIB])

    def opens_in_passthrough(self, node):
        before = node.counter("fuse", "opens_passthrough")
        self.assertEqual(reader.read("sha256", self.path), content.sha256(self.data))
        return node.counter("fuse", "opens_passthrough") > before

    def test_overwrite__open_and_mapped__old_bytes_and_new_opens_the_new(self):
        node = self.start(entry=LIFETIMES)
        self.fill(node)
        handle = self.open(node)
        mapped = [self.map(handle, mmap.MAP_PRIVATE), self.map(handle, mmap.MAP_SHARED)]
        new = content.versioned(2, SIZE)
        self.s3.put(self.bucket, "object", new)
        wait.until(lambda: reader.read("sha256", self.path) == content.sha256(new), 30,
                   "the new version is seen")
        node.flush()
        wait.until(lambda: self.new_in_passthrough(node, new), 60, "it is handed out too")
        self.assertEqual(self.read(handle), self.data)
        for each in mapped:
            self.assertEqual(bytes(each), self.data)
        self.assertEqual(node.counter("fuse", "errors"), 0)

    def new_in_passthrough(self, node, data):
        before = node.counter("fuse", "opens_passthrough")
        self.assertEqual(reader.read("sha256", self.path), content.sha256(data))
        return node.counter("fuse", "opens_passthrough") > before

    def start_full(self):
        """Where an object is evicted soon."""
        for number in range(30):
            self.s3.put(self.bucket, f"other/{number}", content.random_bytes(number, SIZE))
        return self.start(settings={"cache.policy": "lru"}, entry=LIFETIMES)

    def evict(self, node):
        """Obsolete first: an overwritten version goes before all others."""
        file = self.ssd_file(node)
        self.s3.put(self.bucket, "object", content.versioned(2, SIZE))
        wait.until(lambda: reader.read("first", self.path) == 2, 30, "the new version is seen")
        node.set("cache.high_watermark", 2)
        node.set("cache.low_watermark", 1)
        node.write_config()
        node.signal(signal.SIGHUP)
        for number in range(30):
            self.assertEqual(reader.read("size", node.mount / "other" / str(number)), SIZE)
            node.flush()
        wait.until(lambda: not file.exists(), 60, "the file is evicted")

    def test_evict__open_and_mapped__old_bytes_no_zeros(self):
        node = self.start_full()
        self.fill(node)
        handle = self.open(node)
        mapped = [self.map(handle, mmap.MAP_PRIVATE), self.map(handle, mmap.MAP_SHARED)]
        end = self.watch_end(self.ssd_file(node))
        self.evict(node)
        self.assertEqual(self.read(handle), self.data)
        for each in mapped:
            self.assertEqual(bytes(each), self.data)
        self.assertFalse(end())

    def watch_end(self, path):
        """Returns what says whether the file is gone, and nobody has it open: nor the kernel."""
        events = LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.assertGreaterEqual(events, 0, os.strerror(ctypes.get_errno()))
        self.addCleanup(os.close, events)
        delete_self = 0x400
        watch = LIBC.inotify_add_watch(events, os.fsencode(path), delete_self)
        self.assertGreaterEqual(watch, 0, os.strerror(ctypes.get_errno()))
        return lambda: bool(select.select([events], [], [], 0)[0])

    def test_evict__closed_before__its_space_comes_back(self):
        node = self.start_full()
        self.fill(node)
        for _ in range(3):
            self.assertEqual(reader.read("size", self.path), SIZE)
        self.assertGreater(node.counter("fuse", "opens_passthrough"), 0)
        node.wait_until(lambda: node.counter("fuse", "backing_files") == 0, 30, "it is closed")
        end = self.watch_end(self.ssd_file(node))
        self.evict(node)
        wait.until(end, 30, "nobody has the file open")
        self.assertEqual(node.counter("fuse", "errors"), 0)

    # --- what stands against it

    def test_setting__off__new_opens_only(self):
        node = self.start()
        self.fill(node)
        handle = self.open(node)
        node.set("mount.passthrough", "off")
        node.write_config()
        node.signal(signal.SIGHUP)
        node.wait_until(lambda: not self.state(node)["used"], 30, "the setting is taken over")
        self.assertEqual(self.state(node)["reason"], "mount.passthrough is off")
        node.wait_until(lambda: self.opens_directly(node), 60, "an open goes the ordinary way")
        node.freeze()
        try:
            self.assertEqual(self.read(handle), self.data)
        finally:
            node.thaw()
        self.assertEqual(node.counter("fuse", "errors"), 0)

    def opens_directly(self, node):
        before = node.counter("fuse", "reads")
        self.assertEqual(reader.read("sha256", self.path), content.sha256(self.data))
        return node.counter("fuse", "reads") > before

    def check_ordinary(self, node, reason, launcher=()):
        state = self.state(node)
        self.assertFalse(state["used"])
        self.assertIn(reason, state["reason"])
        for _ in range(2):
            found = subprocess.run([*launcher, "sha256sum", node.mount / "object"], timeout=60,
                                   stdout=subprocess.PIPE, text=True, check=True).stdout
            self.assertEqual(found.split()[0], content.sha256(self.data))
            node.flush()
        self.assertEqual(self.verified(node), 0)
        self.assertEqual(node.counter("fuse", "opens_passthrough"), 0)
        self.assertEqual(node.counter("fuse", "errors"), 0)
        shown = node.cenote("status", "--run-dir", node.run_dir).stdout
        self.assertRegex(shown, f"passthrough off: .*{reason}")

    def test_rights__in_a_user_namespace__served_and_said(self):
        # Its root may mount FUSE there, but not register files with it.
        if subprocess.run(["unshare", "-U", "-r", "-m", "true"], check=False).returncode != 0:
            self.skipTest("user namespaces are missing: kernel.unprivileged_userns_clone, or a "
                          "container without")
        backing = nodes.s3_backing("lake", self.s3)
        here = self.make_node([backing], [nodes.entry(self.bucket)],
                              launcher=["unshare", "-U", "-r", "-m"])
        here.write_config()
        here.launch()
        here.wait_until(here.status_answers, 30, "cenoted serves")
        self.check_ordinary(here, "CAP_SYS_ADMIN",
                            ["nsenter", "-t", str(here.process.pid), "-U", "-m", "--preserve"])

    def test_directory__on_overlayfs__served_and_said(self):
        top = self.folder("overlay")
        for name in ("lower", "upper", "work", "merged"):
            (top / name).mkdir()
        done = subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                               f"lowerdir={top}/lower,upperdir={top}/upper,workdir={top}/work",
                               top / "merged"], stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            self.skipTest(f"an overlayfs here is missing: {done.stderr.strip()}")
        self.addCleanup(scratch.unmount, str(top / "merged"))
        node = self.start(directories=[(top / "merged" / "cache", "1 GiB")])
        self.check_ordinary(node, "overlayfs")


class Sizes(case.Case):
    """Files of one block and of several, with and without a rest behind the last page."""

    def test_read__sizes__right_to_the_last_byte(self):
        if not kernel_has_it():
            self.skipTest("FUSE passthrough is missing: Linux 6.9 or later")
        sizes = (32769, 36864, SMALL, 4 * content.MIB, 4 * content.MIB + 1, 9 * content.MIB - 4095)
        bucket = self.s3.make_bucket()
        data = {}
        for number, size in enumerate(sizes):
            data[f"f{size}"] = content.random_bytes(number, size)
            self.s3.put(bucket, f"f{size}", data[f"f{size}"])
        node = self.start_node(bucket)
        for name, expected in data.items():
            self.assertEqual(reader.read("sha256", node.mount / name), content.sha256(expected))
        node.flush()
        node.wait_until(lambda: node.status()["mount"]["passthrough"]["verified"] == len(sizes),
                        60, "all are verified")
        for name, expected in data.items():
            handle = os.open(node.mount / name, os.O_RDONLY)
            node.freeze()
            try:
                found = hashlib.sha256()
                for off in range(0, len(expected) + 1, 65536):
                    found.update(os.pread(handle, 65536, off))
            finally:
                node.thaw()
                os.close(handle)
            self.assertEqual(found.hexdigest(), content.sha256(expected))
        self.assertEqual(node.counter("fuse", "opens_passthrough"), len(sizes))

    def test_read__in_order__nothing_is_fetched_into_memory(self):
        if not kernel_has_it():
            self.skipTest("FUSE passthrough is missing: Linux 6.9 or later")
        bucket, data = self.s3.make_bucket(), {}
        for number in range(12):
            data[f"f{number:02}"] = content.random_bytes(number, SMALL)
            self.s3.put(bucket, f"f{number:02}", data[f"f{number:02}"])
        node = self.start_node(bucket, settings={"cache.scrub": 0})
        for name in data:
            self.assertEqual(reader.read("size", node.mount / name), SMALL)
        node.flush()
        self.assertEqual(node.stop(), 0)
        node.start()
        self.assertEqual(sorted(os.listdir(node.mount)), sorted(data))
        for name in data:
            os.close(os.open(node.mount / name, os.O_RDONLY))  # asks for it
        node.wait_until(lambda: node.status()["mount"]["passthrough"]["verified"] == len(data),
                        60, "all are verified")
        for name in data:
            wait.until(lambda at=node.mount / name: self.opens_in_passthrough(node, at), 60,
                       "it is handed out")
        for name, expected in data.items():
            self.assertEqual(reader.read("sha256", node.mount / name), content.sha256(expected))
        self.assertEqual(node.counter("fuse", "reads"), 0)
        self.assertEqual(node.counter("cache", "prefetches"), 0)

    def opens_in_passthrough(self, node, path):
        before = node.counter("fuse", "opens_passthrough")
        os.close(os.open(path, os.O_RDONLY))
        return node.counter("fuse", "opens_passthrough") > before


if __name__ == "__main__":
    case.main()
