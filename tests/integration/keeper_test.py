#!/usr/bin/python3
"""keeper_test.py - the process that serves the mount, or the one that keeps it, is killed, stopped,
starved of memory or replaced by another build, under sixteen readers of all kinds: no call fails,
no byte is wrong, nothing is left behind. scale/kills_test.py does the same for longer.
"""
import ctypes
import mmap
import os
import shutil
import signal

from harness import case, container, content, kills, node, reader, readers, wait

KILLS = 12
BOUND_S = 30
SIZE = 9 * content.MIB + 16 * 77  # ends inside of a page
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long]
LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class Deaths(kills.KillCase):
    def test_worker_killed__again_and_again__readers_see_pauses_only(self):
        self.check_worker_kills(kills.DIRECT, KILLS)

    def test_worker_killed__again_and_again_with_passthrough__readers_see_pauses_only(self):
        self.check_worker_kills(kills.PASSTHROUGH, KILLS)

    def test_worker_killed__again_and_again_with_small_files__readers_see_pauses_only(self):
        self.check_worker_kills(kills.SMALL_FILES, KILLS)

    def test_worker_killed__while_it_takes_over__the_next_one_does(self):
        each = self.start_daemon(kills.PASSTHROUGH)
        mixed = self.read_mixed(each)
        for _ in range(6):
            each.kill_worker()  # as soon as there is one
        mixed.wait_made(1000)
        self.check_readers(each, mixed)
        self.check_left(each, 6)
        self.check_ended_well(each)

    def test_worker_stopped__is_replaced(self):
        self.check_hangs(2)

    def test_all_stopped_for_longer_than_hang_after__nothing_is_replaced(self):
        each = self.start_daemon(kills.DIRECT, settings={"mount.hang_after": "1 s"})
        mixed = self.read_mixed(each)
        pid = each.worker_pid()
        each.freeze()
        end = readers.now_ns() + 5 * readers.NS_PER_S // 2
        wait.until(lambda: readers.now_ns() > end, BOUND_S, "more than hang_after is over")
        each.thaw()
        mixed.wait_made(1000)
        self.check_readers(each, mixed)
        self.assertEqual(each.worker_pid(), pid)
        self.check_ended_well(each)

    def test_worker_out_of_memory__killed_by_the_kernel__is_replaced(self):
        self.check_out_of_memory(1)

    def test_keeper_killed__again_and_again__another_one_keeps(self):
        each = self.check_keeper_kills(3, 3)
        self.assertEqual(os.listdir(each.run_dir), [], "nothing is left behind")

    def test_both_killed__the_next_start_serves(self):
        each = self.start_daemon(kills.DIRECT)
        each.kill()
        each.start()
        self.check_readers(each, self.read_mixed(each))
        self.check_ended_well(each)

    def test_both_killed__under_a_service_manager__open_files_go_on(self):
        self.check_managed(kills.PASSTHROUGH)

    # --- another build

    def test_upgrade__under_readers__the_new_programs_serve(self):
        self.check_upgrades([self.install_copy(), node.BIN_DIR / node.KEEPER], 2)

    def test_upgrade__program_that_cannot__is_refused_and_the_old_one_goes_on(self):
        each = self.start_daemon(kills.DIRECT)
        mixed = self.read_mixed(each)
        pid, keeper = each.worker_pid(), each.keeper_pid()
        folder = self.folder("broken")
        self.assertIn(str(folder), self.upgrade(each, folder / node.KEEPER, status=1))
        for name in (node.KEEPER, node.WORKER):
            shutil.copy("/bin/false", folder / name)
        self.upgrade(each, folder / node.KEEPER, status=1)
        mixed.wait_made(1000)
        self.assertEqual((each.worker_pid(), each.keeper_pid()), (pid, keeper))
        self.check_readers(each, mixed)
        self.check_ended_well(each)

    def test_upgrade__configuration_is_broken__is_refused(self):
        each = self.start_daemon(kills.DIRECT)
        each.config_path.write_text("mount = {", encoding="utf-8")
        self.assertIn(str(each.config_path), self.upgrade(each, node.BIN_DIR / node.KEEPER, 1))
        # and a worker that dies now comes back with the one that it had
        self.wait_replaced(each, each.kill_worker())
        self.check_readers(each, self.read_mixed(each))
        self.check_ended_well(each)

    # --- what people see

    def test_status__tells_of_the_keeper_and_of_the_last_death(self):
        each = self.start_daemon(kills.DIRECT)
        keeper = each.status()["keeper"]
        self.assertEqual((keeper["pid"], keeper["restarts"], keeper["end"]),
                         (each.keeper_pid(), 0, "none"))
        self.wait_replaced(each, each.kill_worker())
        keeper = each.status()["keeper"]
        self.assertEqual((keeper["restarts"], keeper["end"], keeper["end_code"]),
                         (1, "signal", signal.SIGKILL))
        shown = each.cenote("status", "--run-dir", each.run_dir).stdout
        self.assertRegex(shown, f"kept by {keeper['pid']}, .*1 restart")

    def test_worker_alone__serves_and_ends_as_one_process(self):
        each = self.make_daemon(kills.DIRECT, program=node.WORKER).start()
        self.assertIsNone(each.status()["keeper"])
        self.check_readers(each, self.read_mixed(each))
        self.check_ended_well(each)

    # --- containers

    def test_container__started_before_and_after__holds_the_mount_across_all(self):
        self.check_containers(kills.PASSTHROUGH)

    def test_container__with_small_files__holds_all_mounts_across_all(self):
        self.check_containers(kills.SMALL_FILES)

    def container(self, top):
        made = container.Container(top, self.folder("container"))
        self.addCleanup(made.close)
        return made

    def check_containers(self, mode):
        each = self.make_daemon(mode)
        before = self.container(each.directory)
        each.start()
        self.fill(each)
        self.before = self.held(each)
        after = self.container(each.directory)
        mixed = [self.read_mixed(each, count=8, launcher=one.enter, mount=one.place / "mount")
                 for one in (before, after)]
        self.kill_workers(each, mixed[0], 2)
        self.replace_keeper(each)
        self.kill_workers(each, mixed[1], 1)
        for one in mixed:
            one.wait_made(500)
            self.check_readers(each, one)
        self.check_ended_well(each, -signal.SIGKILL)
        for one in (before, after):
            found = one.run("cat", "/proc/self/mountinfo")[1]
            self.assertNotIn(f"{one.place}/mount", found, "the mount is gone there, too")


class OpenFiles(case.Case):
    """One object, whose file is open, and mapped, while the worker dies and the object changes."""

    def setUp(self):
        super().setUp()
        self.bucket = self.s3.make_bucket()
        self.data = content.versioned(1, SIZE)
        self.s3.put(self.bucket, "object", self.data)

    def start(self, mode, endpoint=None, **arguments):
        settings = {"mount.passthrough": mode, "cache.scrub": 0, **arguments.pop("settings", {})}
        each = self.start_node(self.bucket, endpoint, entry=kills.LIFETIMES, settings=settings,
                               **arguments)
        self.path = each.mount / "object"
        return each

    def verified(self, each):
        return each.status()["mount"]["passthrough"]["verified"]

    def fill(self, each):
        self.assertEqual(reader.read("size", self.path), SIZE)
        each.flush()
        if each.status()["mount"]["passthrough"]["used"]:
            each.wait_until(lambda: self.verified(each) > 0, 60, "the object is verified")

    def open(self):
        handle = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, handle)
        return handle

    def map(self, handle, flags):
        """A mapping that does not keep the file open, as Python's own does."""
        address = LIBC.mmap(None, SIZE, mmap.PROT_READ, flags, handle, 0)
        self.assertNotEqual(address, ctypes.c_void_p(-1).value, os.strerror(ctypes.get_errno()))
        self.addCleanup(LIBC.munmap, address, SIZE)
        return memoryview((ctypes.c_char * SIZE).from_address(address)).cast("B").toreadonly()

    def read(self, handle):
        return b"".join(os.pread(handle, content.MIB, off) for off in range(0, SIZE, content.MIB))

    def kill(self, each):
        pid = each.kill_worker()
        each.wait_until(lambda: each.worker_pid() != pid and each.status_answers(), BOUND_S,
                        "another worker serves")

    def test_request_in_hand__worker_killed__is_answered_by_the_next(self):
        for action, match in (("sha256", lambda request: request.is_get),
                              ("sha256", lambda request: True), ("map", lambda request: True)):
            with self.subTest(action=action):
                proxy = self.make_proxy()
                each = self.start(kills.DIRECT, proxy.endpoint,
                                  settings={"cache.read_timeout": "10 min",
                                            "mount.lookup_timeout": "10 min"},
                                  s3={"stall_timeout": "10 min"})
                stall = proxy.add("stall", match=match)
                waiting = reader.Reader(action, self.path)
                self.addCleanup(lambda waiting=waiting: waiting.process.poll() is None
                                and waiting.kill())
                wait.until(lambda stall=stall: stall.seen, BOUND_S, "the request is under way")
                proxy.clear()
                self.kill(each)
                self.assertEqual(waiting.results(BOUND_S), [content.sha256(self.data)])
                each.wait_until(lambda each=each: each.counter("fuse", "handles") == 0, BOUND_S,
                                "the handle is released")
                self.check_ended_well(each)

    def test_reader_killed__while_its_request_is_in_nobodys_hand__goes_away(self):
        each = self.start(kills.DIRECT, settings={"mount.hang_after": 0})
        self.fill(each)
        pid = each.signal_worker(signal.SIGSTOP)
        waiting = reader.Reader("sha256", self.path)
        self.addCleanup(lambda: waiting.process.poll() is None and waiting.kill())
        waiting.process.kill()
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(waiting.process.wait(BOUND_S), -signal.SIGKILL)
        waiting.process.stdout.close()
        self.assertEqual(reader.read("sha256", self.path), content.sha256(self.data))
        self.check_ended_well(each)

    def held(self, each):
        """A handle, and mappings of both kinds, read to their middle."""
        handle = self.open()
        mapped = [self.map(handle, flags) for flags in (mmap.MAP_PRIVATE, mmap.MAP_SHARED)]
        for one in mapped:
            self.assertEqual(bytes(one[:SIZE // 2]), self.data[:SIZE // 2])
        self.kill(each)
        return handle, mapped

    def check_old(self, handle, mapped):
        self.assertEqual(self.read(handle), self.data)
        for one in mapped:
            self.assertEqual(bytes(one), self.data)

    def check_overwrite(self, mode):
        each = self.start(mode)
        self.fill(each)
        handle, mapped = self.held(each)
        new = content.versioned(2, SIZE)
        self.s3.put(self.bucket, "object", new)
        wait.until(lambda: reader.read("sha256", self.path) == content.sha256(new), BOUND_S,
                   "the new version is seen")
        self.kill(each)
        self.check_old(handle, mapped)
        self.assertEqual(reader.read("sha256", self.path), content.sha256(new))
        self.assertEqual(each.counter("fuse", "errors"), 0)

    def test_overwrite__open_and_mapped_across_deaths__old_bytes_and_new_opens_the_new(self):
        self.check_overwrite(kills.DIRECT)

    def test_overwrite__in_passthrough_across_deaths__old_bytes_and_new_opens_the_new(self):
        self.check_overwrite(kills.PASSTHROUGH)

    def test_completion__open_and_mapped_across_deaths__handles_of_both_modes_go_on(self):
        each = self.start(kills.PASSTHROUGH)
        handle, mapped = self.held(each)
        self.fill(each)
        self.kill(each)
        before = each.counter("fuse", "opens_passthrough")
        wait.until(lambda: reader.read("sha256", self.path) == content.sha256(self.data)
                   and self.is_handed_out(each, before), BOUND_S, "it is handed to the kernel")
        new = self.open()
        self.kill(each)
        self.check_old(handle, mapped)
        self.check_old(new, [self.map(new, mmap.MAP_SHARED)])
        self.assertEqual(each.counter("fuse", "errors"), 0)

    def is_handed_out(self, each, before):
        return each.counter("fuse", "opens_passthrough") > before

    def test_evict__in_passthrough_across_deaths__old_bytes_no_zeros(self):
        for number in range(30):
            self.s3.put(self.bucket, f"other/{number}", content.random_bytes(number, SIZE))
        each = self.start(kills.PASSTHROUGH, settings={"cache.policy": "lru"},
                          directories=[(self.folder("cache") / "cache", "128 MiB")])
        self.fill(each)
        name = os.getxattr(self.path, "user.cenote.object").decode()
        handle, mapped = self.held(each)
        # An overwritten version goes before all others.
        self.s3.put(self.bucket, "object", content.versioned(2, SIZE))
        wait.until(lambda: reader.read("first", self.path) == 2, BOUND_S, "the new one is seen")
        for number in range(30):
            self.assertEqual(reader.read("size", each.mount / "other" / str(number)), SIZE)
            each.flush()
        directory = each.config["cache"]["directories"][0]["path"]
        wait.until(lambda: not (directory / "objects" / name[:2] / name).exists(), BOUND_S,
                   "its file is evicted")
        self.kill(each)
        self.check_old(handle, mapped)
        self.assertEqual(each.counter("fuse", "errors"), 0)


if __name__ == "__main__":
    case.main()
