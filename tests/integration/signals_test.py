#!/usr/bin/python3
"""signals_test.py - signals for readers that wait, and for the daemon itself."""
import os
import signal
import subprocess

from harness import case, content, node, reader, wait

SIZE = 16 * content.MIB
BOUND_S = 20
PATIENT = {"cache.read_timeout": "10 min", "mount.lookup_timeout": "10 min"}


class Signals(case.Case):
    @classmethod
    def setUpClass(cls):
        server = case.World.s3()
        cls.bucket = server.make_bucket()
        cls.data = content.random_bytes(1, SIZE)
        for number in range(4):
            server.put(cls.bucket, f"folder/object{number}", cls.data)

    def start(self, settings=None):
        self.proxy = self.make_proxy()
        self.node = self.start_node(self.bucket, self.proxy.endpoint,
                                    settings={**PATIENT, **(settings or {})},
                                    s3={"stall_timeout": "10 min"})
        self.path = self.node.mount / "folder/object0"
        return self.node

    def check_right(self):
        self.assertEqual(reader.read("sha256", self.path), content.sha256(self.data))

    def block(self, action, path, match=lambda request: request.is_get):
        """A reader that waits for S3. Return: the reader."""
        stall = self.proxy.add("stall", match=match)
        blocked = reader.Reader(action, path)
        wait.until(lambda: stall.seen, BOUND_S, "the request is under way")
        self.addCleanup(lambda: blocked.process.poll() is None and blocked.kill())
        return blocked

    def check_goes_away(self, blocked, number):
        blocked.process.send_signal(number)
        self.assertEqual(blocked.process.wait(BOUND_S), -number)
        blocked.process.stdout.close()

    def test_sigkill__blocked_read__reader_goes_away(self):
        self.start()
        self.check_goes_away(self.block("sha256", self.path), signal.SIGKILL)
        self.proxy.clear()
        self.check_right()
        self.check_ended_well(self.node)

    def test_sigkill__blocked_map__reader_goes_away(self):
        self.start()
        self.check_goes_away(self.block("map", self.path), signal.SIGKILL)
        self.proxy.clear()
        self.check_right()
        self.check_ended_well(self.node)

    def test_sigkill__blocked_lookup__reader_goes_away(self):
        self.start()
        blocked = self.block("sha256", self.path, lambda request: True)
        self.check_goes_away(blocked, signal.SIGKILL)
        self.proxy.clear()
        self.check_right()
        self.check_ended_well(self.node)

    def test_sigkill__blocked_listing__reader_goes_away(self):
        self.start()
        blocked = self.block("list", self.path.parent, lambda request: True)
        self.check_goes_away(blocked, signal.SIGKILL)
        self.proxy.clear()
        self.check_right()
        self.check_ended_well(self.node)

    def test_sigterm__blocked_read__interrupted(self):
        self.start()
        self.check_goes_away(self.block("sha256", self.path), signal.SIGTERM)
        self.proxy.clear()
        self.check_right()

    def test_sigkill__many_blocked_readers__all_go_away_and_others_are_served(self):
        self.start()
        self.check_right()
        stall = self.proxy.add("stall")
        blocked = [reader.Reader("sha256", self.node.mount / "folder/object1") for _ in range(100)]
        self.node.wait_counter("fuse", "handles", 100)
        self.assertGreater(stall.seen, 0)
        self.check_right()
        for each in blocked:
            each.process.kill()
        for each in blocked:
            each.process.communicate(timeout=BOUND_S)
        self.node.wait_until(lambda: self.node.counter("fuse", "handles") == 0, BOUND_S,
                             "the handles of killed readers are released")
        self.proxy.clear()
        self.check_ended_well(self.node)

    def test_stop__idle__0_and_unmounted(self):
        self.start()
        self.check_right()
        self.check_ended_well(self.node)

    def test_stop__sigint__0_and_unmounted(self):
        self.start()
        self.node.signal(signal.SIGINT)
        self.assertEqual(self.node.wait_ended(), 0)
        self.assertFalse(self.node.is_mounted())

    def test_stop__read_in_hand__is_finished(self):
        self.start()
        stall = self.proxy.add("stall", after=1000)
        handle = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, handle)
        reading = subprocess.Popen(["dd", "bs=4096", "count=1", "status=none"], stdin=handle,
                                   stdout=subprocess.PIPE)
        wait.until(lambda: stall.seen, BOUND_S, "the fetch is under way")
        self.node.signal(signal.SIGTERM)
        self.node.wait_until(lambda: "daemon.stop" in self.node.log(), BOUND_S,
                             "the daemon says that it stops")
        self.proxy.clear()
        output, _ = reading.communicate(timeout=BOUND_S)
        self.assertEqual(output, self.data[:4096])
        self.assertEqual(self.node.wait_ended(), 0)
        self.assertFalse(self.node.is_mounted())

    def test_stop__read_that_does_not_end__0_after_stop_timeout(self):
        self.start({"node.stop_timeout": "1 s"})
        blocked = self.block("sha256", self.path)
        self.assertEqual(self.node.stop(), 0)
        self.assertFalse(self.node.is_mounted())
        # The reader has its error, or ESTALE's like; it does not hang.
        self.assertIn("errno", blocked.results(BOUND_S)[0])

    def test_stop__files_open_and_a_shell_inside__0_and_unmounted(self):
        self.start()
        handle = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, handle)
        inside = subprocess.Popen(["sleep", "600"], cwd=self.node.mount)
        self.addCleanup(inside.wait)
        self.addCleanup(inside.kill)
        self.check_ended_well(self.node)

    def test_unmount__from_outside__daemon_ends(self):
        self.start()
        self.check_right()
        subprocess.run(["umount", self.node.mount], check=True)
        self.node.wait_ended()

    def test_reload__changed_settings__live_ones_take_effect(self):
        self.start()
        self.check_right()
        self.node.set("mount.readahead_max", "1 MiB")
        self.node.set("cache.memory", "300 MiB")  # not live
        self.node.write_config()
        self.node.signal(signal.SIGHUP)
        self.node.wait_until(lambda: "reload.done" in self.node.log(), BOUND_S,
                             "the reload is logged")
        log = self.node.log()
        self.assertRegex(log, "reload.change.*mount.readahead_max")
        self.assertRegex(log, "reload.needs_restart.*cache.memory")
        self.check_right()
        self.check_ended_well(self.node)

    def test_reload__broken_configuration__goes_on_with_the_old(self):
        self.start()
        self.node.config_path.write_text("cache = { memory = \"12 parsecs\"; };\n")
        self.node.signal(signal.SIGHUP)
        self.node.wait_until(lambda: "12 parsecs" in self.node.log(), BOUND_S,
                             "the mistake is logged")
        self.check_right()
        self.check_ended_well(self.node)

    def test_start__wrong_configurations__refused_with_the_cause(self):
        self.start()
        for change, said in ((("cache.memory", "12 parsecs"), "memory"),
                             (("cache.memry", "1 GiB"), "memry"),
                             (("mount.path", "/nonexistent/mount"), "/nonexistent/mount")):
            with self.subTest(change=change):
                other = self.make_node([node.s3_backing("lake", self.s3)],
                                       [node.entry(self.bucket)], settings=dict([change]))
                other.write_config()
                other.launch()
                self.assertGreater(other.wait_ended(), 0)
                self.assertIn(said, other.log())


if __name__ == "__main__":
    case.main()
