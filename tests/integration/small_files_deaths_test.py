#!/usr/bin/python3
"""small_files_deaths_test.py - small-files mounts under readers: an object that is replaced is seen
whole, a store that stalls costs time, and whatever part of a daemon dies or is upgraded, each mount
is there once, and no reader sees more than a pause.
"""
import contextlib
import errno
import mmap
import os
import random
import signal
import subprocess
import threading

from harness import case, content, group, kills, node, reader, readers, wait
from harness.names import errno_of

BOUND_S = 30
SHORT = {"attribute_timeout": "100 ms", "entry_timeout": "100 ms", "negative_timeout": "100 ms",
         "listing_timeout": "100 ms"}
LONG = {"attribute_timeout": "10 min", "entry_timeout": "10 min", "listing_timeout": "10 min"}
WAYS = ("sha256", "map", "private", "odd")


class Objects(case.Case):
    """One object of S3, in a part."""
    SIZE = 300 * 1024 + 16 * 5

    def setUp(self):
        super().setUp()
        self.bucket = self.s3.make_bucket()
        self.old, self.new = (content.versioned(number, self.SIZE) for number in (1, 2))
        self.s3.put(self.bucket, "object", self.old)

    def make(self, endpoint=None, settings=None, lifetimes=None, **store):
        self.each = self.make_node(
            [node.s3_backing("lake", self.s3, endpoint, **store)],
            [node.entry(self.bucket, path="/small", kind=node.SMALL_FILES,
                        **(lifetimes or SHORT))],
            settings=settings)
        self.path = self.each.mount / "small/object"
        return self.each


class Changes(Objects):
    """It is replaced and deleted under who reads it."""

    def setUp(self):
        super().setUp()
        self.make().start()

    def hold(self, data):
        """An open handle and mappings of both kinds, whose pages are there. Return: what reads
        each of them again."""
        handle = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, handle)
        maps = [mmap.mmap(handle, self.SIZE, flags, mmap.PROT_READ)
                for flags in (mmap.MAP_SHARED, mmap.MAP_PRIVATE)]
        found = [lambda: os.pread(handle, self.SIZE + 1, 0)]
        for one in maps:
            self.addCleanup(one.close)
            found.append(lambda one=one: bytes(one))
        self.check_held(found, data)
        return found

    def check_held(self, held, data):
        for read in held:
            self.assertEqual(content.sha256(read()), content.sha256(data))

    def seen(self):
        """The version that an open finds; never a mix, nor anything else."""
        data = self.path.read_bytes()
        self.assertEqual(len(data), self.SIZE)
        found = content.versions_in(data, 0)
        self.assertEqual(len(found), 1, f"a mix: {found}")
        return found.pop()

    def wait_for(self, version):
        wait.until(lambda: self.seen() == version, BOUND_S, f"version {version} is seen")

    def test_overwrite__open_and_mapped__old_bytes_and_new_opens_the_new(self):
        held = self.hold(self.old)
        for version in (2, 3, 4):
            self.s3.put(self.bucket, "object", content.versioned(version, self.SIZE))
            self.wait_for(version)
            self.check_held(held, self.old)
        pid = self.each.kill_worker()
        self.each.wait_until(lambda: self.each.worker_pid() != pid
                             and self.each.status_answers(), BOUND_S, "another worker serves")
        self.check_held(held, self.old)
        self.assertEqual(self.seen(), 4)
        self.assertEqual(self.each.counter("fuse", "errors"), 0)

    def test_overwrite__under_readers__all_old_or_all_new(self):
        digests = {content.sha256(content.versioned(version, self.SIZE)) for version in range(1, 7)}
        for version in range(2, 7):
            readers = [reader.Reader(way, self.path) for way in WAYS]
            self.s3.put(self.bucket, "object", content.versioned(version, self.SIZE))
            for one in readers:
                self.assertIn(one.results()[0], digests)
            self.wait_for(version)

    def test_overwrite__of_a_directory_that_is_listed_and_read__each_file_of_one_version(self):
        """What is stored ahead of a reader is of the version that it then opens."""
        names = [f"many/{number:02}" for number in range(24)]
        sizes = {name: 16 * (100 + 977 * number) for number, name in enumerate(names)}
        top, stop, found = self.each.mount / "small", threading.Event(), []

        def put(version):
            self.s3.put_all(self.bucket, ((name, content.versioned(version, size))
                                          for name, size in sizes.items()))

        def versions():
            """{name: version}, as a reader of the directory sees it; of one that was replaced since
            it was looked up, and is not cached, there is none."""
            seen = {}
            for name in sorted(os.listdir(top / "many")):
                try:
                    data = (top / "many" / name).read_bytes()
                except OSError as error:
                    if error.errno != errno.ESTALE:
                        raise
                    seen[name] = None
                    continue
                right = content.versions_in(data, 0)
                if len(data) != sizes[f"many/{name}"] or len(right) != 1:
                    raise AssertionError(f"{name}: {len(data)} bytes of the versions {right}")
                seen[name] = right.pop()
            return seen

        def read():
            try:
                while not stop.is_set():
                    versions()
            except (AssertionError, OSError) as error:
                found.append(error)

        put(1)
        threads = [threading.Thread(target=read) for _ in range(3)]
        wait.until(lambda: len(versions()) == len(names), BOUND_S, "all are listed")
        for thread in threads:
            thread.start()
        try:
            for version in range(2, 7):
                put(version)
                if version == 4:
                    self.each.kill_worker()
                wait.until(lambda version=version: set(versions().values()) == {version}, BOUND_S,
                           f"version {version} of all is seen")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(found, [])
        self.assertEqual(self.each.mounts(), ["/", "/small"])

    def replace_before_it_is_read(self, version):
        """The object, just after it was looked up. Return: all that is seen until the new one."""
        os.stat(self.path)
        self.s3.put(self.bucket, "object", content.versioned(version, self.SIZE))
        found = set()

        def is_seen():
            try:
                found.add(self.seen())
            except OSError as error:
                found.add(errno.errorcode[error.errno])
            return version in found

        wait.until(is_seen, BOUND_S, "the new version is seen")
        return found

    def test_overwrite__before_it_is_read__old_or_stale_then_new(self):
        for version in range(2, 6):
            self.assertLessEqual(self.replace_before_it_is_read(version),
                                 {version - 1, "ESTALE", version})

    def test_overwrite__before_it_is_read_and_names_live_long__new_after_a_refused_read(self):
        if tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) < (6, 16):
            self.skipTest("FUSE_NOTIFY_INC_EPOCH is missing: Linux 6.16 or later")
        self.make(lifetimes=LONG).start()
        self.assertLessEqual(self.replace_before_it_is_read(2), {"ESTALE", 2})

    def test_overwrite__lifetimes_are_long__seen_once_a_read_was_refused(self):
        each = self.make_node([node.s3_backing("lake", self.s3)],
                              [node.entry(self.bucket, kind=node.SMALL_FILES, **LONG)]).start()
        path = each.mount / "object"
        os.stat(path)
        self.s3.put(self.bucket, "object", self.new)
        self.assertEqual(errno_of(path.read_bytes), "ESTALE")
        self.assertEqual(content.versions_in(path.read_bytes(), 0), {2})

    def test_overwrite__other_size__never_zeros_behind_the_old_end(self):
        held = self.hold(self.old)
        longer = content.versioned(7, 2 * self.SIZE)
        self.s3.put(self.bucket, "object", longer)
        wait.until(lambda: self.path.read_bytes() == longer, BOUND_S, "the longer one is seen")
        self.check_held(held, self.old)
        shorter = content.versioned(8, 4096)
        self.s3.put(self.bucket, "object", shorter)
        wait.until(lambda: self.path.read_bytes() == shorter, BOUND_S, "the shorter one is seen")
        self.check_held(held, self.old)

    def test_delete__new_opens_enoent_and_open_files_go_on(self):
        held = self.hold(self.old)
        self.s3.client.delete_object(Bucket=self.bucket, Key="object")
        wait.until(lambda: errno_of(os.stat, self.path) == "ENOENT", BOUND_S, "it is gone")
        self.assertEqual(errno_of(os.open, self.path, os.O_RDONLY), "ENOENT")
        self.check_held(held, self.old)
        self.s3.put(self.bucket, "object", self.new)
        wait.until(lambda: os.path.exists(self.path), BOUND_S, "it is back")
        self.assertEqual(self.seen(), 2)


class Waiting(Objects):
    """Requests that wait for a backing store."""
    PATIENT = {"cache.read_timeout": "10 min", "mount.lookup_timeout": "10 min"}

    def stall(self, action="sha256", match=lambda request: True, settings=None):
        """A reader whose request is in hand. Return: it, and the proxy that does not answer."""
        proxy = self.make_proxy()
        self.make(proxy.endpoint, {**self.PATIENT, **(settings or {})},
                  stall_timeout="10 min").start()
        stall = proxy.add("stall", match=match)
        waiting = reader.Reader(action, self.path)
        self.addCleanup(lambda: waiting.process.poll() is None and waiting.kill())
        wait.until(lambda: stall.seen, BOUND_S, "the request is under way")
        return waiting, proxy

    def test_request_in_hand__worker_killed__is_answered_by_the_next(self):
        for action, match in (("sha256", lambda request: request.is_get),
                              ("sha256", lambda request: True), ("map", lambda request: True)):
            with self.subTest(action=action):
                waiting, proxy = self.stall(action, match)
                proxy.clear()
                self.each.kill_worker()
                self.assertEqual(waiting.results(BOUND_S), [content.sha256(self.old)])
                self.check_ended_well(self.each)

    def test_request_in_hand__told_to_stop__ends_in_time_with_an_error(self):
        waiting, _ = self.stall(settings={"node.stop_timeout": "1 s"})
        self.check_ended_well(self.each)
        self.assertIn("errno", waiting.results(BOUND_S)[0])

    def test_request_in_hand__keeper_and_worker_killed__ends_with_an_error(self):
        waiting, proxy = self.stall()
        self.each.kill()
        self.assertIn("errno", waiting.results(BOUND_S)[0])
        proxy.clear()
        self.each.start()
        self.assertEqual(self.each.mounts(), ["/", "/small"])
        self.assertEqual(reader.read("sha256", self.path), content.sha256(self.old))

    def test_start__store_that_does_not_answer__mounted_and_right_once_it_does(self):
        proxy = self.make_proxy()
        proxy.refuse()
        self.make(proxy.endpoint).start()
        self.assertEqual(self.each.mounts(), ["/", "/small"])
        proxy.accept()
        wait.until(lambda: reader.read("sha256", self.path) == content.sha256(self.old), BOUND_S,
                   "it is read")
        self.check_ended_well(self.each)

    def test_stop__with_somebody_inside__nothing_is_left(self):
        self.make().start()
        handle = os.open(self.path, os.O_RDONLY)
        with subprocess.Popen(["sleep", "infinity"], cwd=self.path.parent) as inside:
            self.check_ended_well(self.each)
            inside.kill()
        with contextlib.suppress(OSError):  # there is nobody to tell
            os.close(handle)


class Mounting(case.Case):
    """Eight parts, deep in the namespace, so that mounting them takes a while."""
    PLACES = [f"/p{number}/a/b/c/part" for number in range(8)]
    TRIES = 30

    def setUp(self):
        super().setUp()
        self.chance = random.Random(self.id())
        data = self.folder("data")
        (data / "object").write_bytes(content.random_bytes(1, 5000))
        self.each = self.make_node(
            [{"id": "data", "type": "directory", "directory": data}],
            [{"path": path, "backing": "data", "kind": node.SMALL_FILES} for path in self.PLACES],
            directories=[], settings={"cache.memory": "64 MiB"})
        self.each.write_config()

    def kill_while_it_mounts(self):
        """Return: whether it had not served before, and has ended with its worker."""
        each = self.each
        each.launch()
        each.wait_until(lambda: each.is_mounted() or each.has_ended(), BOUND_S, "a mount")
        end = readers.now_ns() + self.chance.randrange(30_000_000)
        wait.until(lambda: readers.now_ns() > end, BOUND_S, "a moment later")
        for pid in group.find(each.process.pid, node.WORKER):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        each.wait_until(lambda: each.has_ended() or each.status_answers(), BOUND_S,
                        "it serves again, or has ended")
        return each.has_ended()

    def test_worker_killed__while_it_mounts__the_next_start_mounts_each_once(self):
        """As a service manager would, it is started again when it has ended."""
        each, ended = self.each, 0
        for _ in range(self.TRIES):
            if self.kill_while_it_mounts():
                ended += 1
                each.start()
            self.assertEqual(each.mounts(), ["/", *self.PLACES])
            for path in self.PLACES:
                self.assertEqual(os.stat(f"{each.mount}{path}/object").st_size, 5000)
            if self.chance.random() < 0.5:
                self.check_ended_well(each)
            else:
                each.kill()
        print(f"figures: of {self.TRIES} kills while it mounts, {ended} before it has served",
              flush=True)
        each.start()
        self.check_ended_well(each)


class Deaths(kills.KillCase):
    """Under sixteen mixed readers, most of them in two small-files mounts. Kills of the worker:
    keeper_test.py, and scale/kills_test.py."""

    def test_worker_stopped__is_replaced(self):
        self.check_hangs(2, kills.SMALL_FILES)

    def test_keeper_killed__another_one_keeps(self):
        self.check_keeper_kills(2, 2, kills.SMALL_FILES)

    def test_both_killed__under_a_service_manager__open_files_go_on(self):
        self.check_managed(kills.SMALL_FILES)

    def test_upgrade__under_readers__the_new_programs_serve(self):
        self.check_upgrades([self.install_copy(), node.BIN_DIR / node.KEEPER], 1,
                            kills.SMALL_FILES)

    def test_both_killed__the_next_start_serves(self):
        each = self.start_daemon(kills.SMALL_FILES)
        for _ in range(2):
            each.kill()
            each.start()
            self.assertEqual(each.mounts(), self.places)
        self.check_readers(each, self.read_mixed(each))
        self.check_ended_well(each)

    def test_worker_killed__while_it_takes_over__the_next_one_does(self):
        each = self.start_daemon(kills.SMALL_FILES)
        mixed = self.read_mixed(each)
        for _ in range(6):
            each.kill_worker()  # as soon as there is one
        mixed.wait_made(1000)
        self.assertEqual(each.mounts(), self.places)
        self.check_readers(each, mixed)
        self.check_left(each, 6)
        self.check_ended_well(each)


if __name__ == "__main__":
    case.main()
