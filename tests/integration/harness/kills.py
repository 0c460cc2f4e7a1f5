"""kills.py - the base of the tests in which a part of a daemon dies under mixed readers: none of
them may see it, but for a pause."""
import os
import random
import shutil
import signal
import subprocess
import sys

from harness import case, cgroup, content, manager, node, readers, wait

READERS = 16
BOUND_S = 30
UPGRADE_S = 150
MEMORY_LEN = 64 * content.MIB
HOG = "kept = []\nwhile True:\n    kept.append(b'x' * (1 << 20))\n"
# So that the kernel asks again and again in place of knowing.
LIFETIMES = {"attribute_timeout": "100 ms", "entry_timeout": "100 ms",
             "negative_timeout": "100 ms", "listing_timeout": "1 s"}
# How files are read: mount.passthrough; or most of them in small-files mounts, and the large ones
# in passthrough.
DIRECT, PASSTHROUGH, SMALL_FILES = "off", "auto", node.SMALL_FILES
KINDS = {"wide": SMALL_FILES, "small": SMALL_FILES, "large": "ordinary"}
# When every reader waits for a request that was taken, a hang shows once those are overdue.
HANGS = {"mount.hang_after": "1 s", "cache.read_timeout": "10 s", "mount.lookup_timeout": "10 s"}
# Nodes of files that have just changed how they are read, and the directories above, are held by
# the daemon itself.
PINNED_MAX = 64 + 12
SOLID_MIN = 32 << 10  # smaller files are kept with others, and not handed to the kernel


def dataset(wide=500, small=120, large=6):
    """A directory that takes many calls to list, small files, and some of several blocks."""
    sizes = {f"wide/{number:08}-{'x' * (number % 40)}": 16 + number for number in range(wide)}
    sizes |= {f"small/d{number % 7}/{number:04}": 1000 + 611 * number for number in range(small)}
    sizes |= {f"large/{number}": (2 << 20) + 700001 * number for number in range(large)}
    return readers.Dataset(sizes | {"small/empty": 0})


class KillCase(case.Case):
    """The bucket holds a dataset()."""

    @classmethod
    def setUpClass(cls):
        server = case.World.s3()
        cls.bucket = server.make_bucket()
        cls.dataset = dataset()
        server.put_all(cls.bucket, cls.dataset.items())
        cls.listing = cls.dataset.write(case.World.scratch().folder("listing") / "list")

    def setUp(self):
        super().setUp()
        self.chance = random.Random(self.id())

    def make_daemon(self, mode, settings=None, **arguments):
        self.mode, entries, self.places = mode, [node.entry(self.bucket, **LIFETIMES)], ["/"]
        if mode == SMALL_FILES:
            entries = [node.entry(self.bucket, path=f"/{name}", prefix=f"{name}/", kind=kind,
                                  **LIFETIMES) for name, kind in KINDS.items()]
            self.places += sorted(f"/{name}" for name, kind in KINDS.items() if kind == mode)
        settings = {"mount.passthrough": DIRECT if mode == DIRECT else PASSTHROUGH,
                    "cache.scrub": 0, **(settings or {})}
        return self.make_node([node.s3_backing("lake", self.s3)], entries, settings=settings,
                              **arguments)

    def fill(self, each):
        """All is on the SSD; what can be is ready for the kernel. Nothing of it is left open."""
        for path in self.dataset.files:
            (each.mount / path).read_bytes()
        each.flush()
        if self.passthrough(each):
            solid = sum(size > SOLID_MIN for path, (_, size) in self.dataset.files.items()
                        if self.mode != SMALL_FILES or path.startswith("large/"))
            each.wait_until(lambda: each.status()["mount"]["passthrough"]["verified"] >= solid, 60,
                            "all that can be is verified")

    def passthrough(self, each):
        return each.status()["mount"]["passthrough"]["used"]

    def start_daemon(self, mode, **arguments):
        """One that is filled. before: what it holds for the kernel when nobody reads."""
        each = self.make_daemon(mode, **arguments).start()
        self.fill(each)
        self.before = self.held(each)
        return each

    def read_mixed(self, each, **arguments):
        arguments.setdefault("count", READERS)
        made = readers.Readers(arguments.pop("mount", each.mount), self.listing, **arguments)
        self.addCleanup(made.kill)
        made.wait_made(100)
        return made

    # --- what is left behind

    def held(self, each):
        """(handles, backing files, nodes) after the kernel was told to forget what it can: files
        with pages only after those."""
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as stream:
            stream.write("3" if self.mode == SMALL_FILES else "2")
        self.wait_serving(each)
        counters = each.status()["counters"]["fuse"]
        return tuple(counters[name] for name in ("handles", "backing_files", "nodes"))

    def left(self, each):
        """How many more (handles, backing files, nodes) there are than before the readers."""
        return [now - then for now, then in zip(self.held(each), self.before)]

    def check_left(self, each, most):
        """No handle, backing file or node more than before the readers, but for @most of each."""
        def let_go():
            handles, backing_files, nodes = self.left(each)
            return max(handles, backing_files) <= most and nodes <= most + PINNED_MAX

        try:
            each.wait_until(let_go, BOUND_S, "what was read is let go of")
        except AssertionError as error:
            raise AssertionError(f"{self.left(each)} handles, backing files and nodes are left: "
                                 f"{error}") from None

    # --- what happens

    def some_calls(self, mixed, most=3000):
        """A random moment: so many calls come back."""
        mixed.wait_made(self.chance.randrange(1, most))

    def wait_serving(self, each):
        each.wait_until(each.status_answers, BOUND_S, "the daemon answers")

    def wait_replaced(self, each, pid):
        """Until another worker than @pid serves. Return: its process id."""
        each.wait_until(lambda: each.worker_pid() != pid and each.status_answers(), BOUND_S,
                        "another worker serves")
        return each.worker_pid()

    def kill_workers(self, each, mixed, count, most=3000):
        """kill -9 of the worker at @count random moments. Return: the moments, ns."""
        moments = []
        for _ in range(count):
            self.some_calls(mixed, most)
            moments.append(readers.now_ns())
            each.kill_worker()
        return moments

    def check_readers(self, each, mixed):
        """No call failed, no byte was wrong, nothing hangs. Return: the report."""
        report = mixed.result()
        self.assertEqual(report["trouble"], [], each.log_tail(60))
        self.assertEqual(report["hung"], [], each.log_tail(60))
        self.assertGreater(report["bytes"], 0)
        return report

    def figures(self, what, report, moments, until_ns):
        found = readers.pauses(report, moments, until_ns)
        calls = sum(each["count"] for each in report["calls"].values())
        p50, p99 = (1e3 * readers.share(found, part) for part in (0.5, 0.99))
        print(f"figures: {what}: {len(moments)} times under {calls} calls, "
              f"{report['bytes'] >> 20} MiB: pauses p50 {p50:.0f} p99 {p99:.0f} max "
              f"{1e3 * max(found):.0f} ms", flush=True)

    # --- whole courses of events

    def finish(self, what, each, mixed, moments, most):
        """The readers go on for a while, then all is checked. @most: see check_left()."""
        mixed.wait_made(1000)
        self.assertEqual(each.mounts(), self.places)
        until = readers.now_ns()
        self.figures(what, self.check_readers(each, mixed), moments, until)
        self.check_left(each, most)

    def check_worker_kills(self, mode, count):
        each = self.start_daemon(mode)
        mixed = self.read_mixed(each)
        moments = self.kill_workers(each, mixed, count)
        self.finish(f"kill -9 of the worker, {self.reading()}", each, mixed, moments, count)
        self.assertEqual(each.status()["keeper"]["restarts"], count)
        self.assertEqual(self.passthrough(each), mode != DIRECT)
        self.check_swept(each)
        self.check_ended_well(each)

    def reading(self):
        """The mode in words."""
        return self.mode if self.mode == SMALL_FILES else f"passthrough {self.mode}"

    def check_swept(self, each):
        """What may be left behind is found later: for those who have the time."""

    def check_hangs(self, count, mode=DIRECT):
        each = self.start_daemon(mode, settings=HANGS)
        mixed, moments = self.read_mixed(each), []
        for _ in range(count):
            self.some_calls(mixed)
            moments.append(readers.now_ns())
            self.wait_replaced(each, each.signal_worker(signal.SIGSTOP))
        self.finish(f"SIGSTOP of the worker, hang_after 1 s, {self.reading()}", each, mixed,
                    moments, count)
        self.assertEqual(each.status()["keeper"]["end"], "hang")
        self.check_ended_well(each)

    def check_out_of_memory(self, count):
        if not cgroup.hierarchy():
            self.skipTest("a control group of memory is missing: a container that may make some")
        each = self.start_daemon(DIRECT)
        mixed, moments = self.read_mixed(each), []
        for _ in range(count):
            self.some_calls(mixed)
            moments.append(readers.now_ns())
            self.wait_replaced(each, self.starve(each))
            end = each.status()["keeper"]
            self.assertEqual((end["end"], end["end_code"]), ("signal", signal.SIGKILL))
        self.finish("out of memory", each, mixed, moments, count)
        self.check_ended_well(each)

    def starve(self, each):
        """The worker shares a control group with a program that takes all of its memory, and is the
        one that the kernel kills for it. Return: its process id."""
        group = cgroup.MemoryGroup()
        group.limit(MEMORY_LEN)
        pid = each.worker_pid()
        with open(f"/proc/{pid}/oom_score_adj", "w", encoding="ascii") as stream:
            stream.write("1000")
        group.add(pid)
        hog = subprocess.Popen(["sh", "-c", 'echo $$ >"$0" && exec "$@"',
                                group.path / "cgroup.procs", sys.executable, "-c", HOG])
        try:
            wait.until(lambda: str(pid) not in group.pids(), BOUND_S, "the worker is killed")
        finally:
            hog.kill()
            hog.wait()
            wait.until(lambda: not group.pids(), BOUND_S, "the group is empty")
            group.close()
        return pid

    def replace_keeper(self, each):
        """Under a worker that serves: with none, nobody would be left. Return: the process id of
        the one that was killed."""
        self.wait_serving(each)
        pid = each.kill_keeper()
        each.wait_until(lambda: each.keeper_pid() != pid, BOUND_S, "there is another keeper")
        self.wait_serving(each)
        each.wait_until(lambda: each.status()["keeper"]["pid"] == each.keeper_pid(), BOUND_S,
                        "the worker knows the other keeper")
        return pid

    def check_keeper_kills(self, count, worker_kills, mode=PASSTHROUGH):
        """Return: the daemon, which has ended."""
        each = self.start_daemon(mode)
        mixed, worker, moments = self.read_mixed(each), each.worker_pid(), []
        for _ in range(count):
            self.some_calls(mixed)
            moments.append(readers.now_ns())
            self.replace_keeper(each)
        self.assertEqual(each.worker_pid(), worker)
        moments += self.kill_workers(each, mixed, worker_kills)
        self.finish(f"kill -9 of the keeper, then of the worker, {self.reading()}", each, mixed,
                    moments, worker_kills)
        self.check_ended_well(each, -signal.SIGKILL)
        return each

    def install_copy(self):
        """The programs again, in a folder of their own. Return: the path of cenoted."""
        folder = self.folder("release")
        for name in (node.KEEPER, node.WORKER):
            shutil.copy(node.BIN_DIR / name, folder / name)
        return folder / node.KEEPER

    def upgrade(self, each, program, status=0):
        done = each.cenote("upgrade", "--run-dir", each.run_dir, "--program", program,
                           timeout=UPGRADE_S)
        self.assertEqual(done.returncode, status,
                         f"{done.stdout}{done.stderr}{each.log_tail(60)}")
        return done.stdout + done.stderr

    def wait_program(self, each, pid, path):
        each.wait_until(lambda: os.readlink(f"/proc/{pid}/exe") == str(path), BOUND_S,
                        f"{path} runs as {pid}")

    def check_managed(self, mode):
        """Keeper and worker are killed together, under a service manager that keeps descriptors."""
        kept = manager.Manager(self.folder("manager") / "notify")
        self.addCleanup(kept.close)
        each = self.make_daemon(mode)
        kept.attach(each)
        each.start()
        self.fill(each)
        self.before = self.held(each)
        mixed, moments = self.read_mixed(each), []
        pid = self.replace_keeper(each)
        each.wait_until(lambda: kept.was_told("MAINPID", str(each.keeper_pid())), BOUND_S,
                        f"it is told who took the place of {pid}")
        for _ in range(2):
            self.some_calls(mixed)
            moments.append(readers.now_ns())
            each.kill()
            kept.attach(each)
            each.start()
        self.finish(f"kill -9 of both, under a service manager, {self.reading()}", each, mixed,
                    moments, 2)
        self.check_ended_well(each)
        wait.until(lambda: not kept.stored, BOUND_S, "nothing is kept any more")

    def check_upgrades(self, programs, worker_kills, mode=PASSTHROUGH):
        """@programs: paths of cenoted, one after the other."""
        each = self.start_daemon(mode)
        mixed, keeper, moments = self.read_mixed(each), each.keeper_pid(), []
        for program in programs:
            self.some_calls(mixed)
            moments.append(readers.now_ns())
            pid = each.worker_pid()
            self.upgrade(each, program)
            pid = self.wait_replaced(each, pid)
            self.wait_program(each, pid, program.with_name(node.WORKER))
            self.wait_program(each, keeper, program)
        kills = self.kill_workers(each, mixed, worker_kills)
        self.finish(f"cenote upgrade, then kill -9, {self.reading()}", each, mixed,
                    moments + kills, len(kills))
        self.check_ended_well(each)


main = case.main
