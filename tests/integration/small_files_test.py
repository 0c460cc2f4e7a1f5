#!/usr/bin/python3
"""small_files_test.py - mount entries of the kind small-files, each a mount of its own: what is
read and seen there is the same as anywhere, warm files are nothing to ask the daemon for, and
configurations, rights, containers and umount(8) find and leave one mount each. What changes and
dies under readers: small_files_deaths_test.py.
"""
import os
import signal
import stat
import subprocess

from harness import case, container, content, node, reader
from harness.names import errno_of, walk

BOUND_S = 30
PASSES = 5
FEW = 10  # of the 40 that a first pass takes
FROZEN_S = 10
STEADY = 10  # looks, of some hundredths of a second each
LONG = {"attribute_timeout": "10 min", "entry_timeout": "10 min", "listing_timeout": "10 min"}
SIZES = (1, 4095, 4096, 4097, 40961, 110 << 10, 131072, 131073, content.MIB, 3 * content.MIB + 7)
WAYS = ("sha256", "map", "private", "odd")
PARTS = ("/a/b", "/images")  # as in Trees.entries()
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
# A user of whom fusermount3 takes orders. $1: a device to be had as /dev/fuse.
UNPRIVILEGED = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c",
                'mount --make-rprivate /dev 2>/dev/null; mount --bind "$1" /dev/fuse && shift'
                ' && exec "$@"', "sh"]


class Trees(case.Case):
    """A directory as the backing store of two ordinary and two small-files entries."""

    def setUp(self):
        super().setUp()
        self.data = self.folder("data")
        for number, size in enumerate(SIZES):
            for folder in ("plain", "images", "images/x/y", "deep"):
                path = self.data / folder / f"{number:02}-{size}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.random_bytes(f"{folder}{number}", size))
        (self.data / "images/empty").write_bytes(b"")
        (self.data / "images/none").mkdir()

    def backing(self):
        return {"id": "data", "type": "directory", "directory": self.data}

    def entries(self, **settings):
        return [{"path": "/plain", "backing": "data", "prefix": "plain/", **settings},
                {"path": "/a/c", "backing": "data", "prefix": "images/x/", **settings},
                self.part("/images", "images/", **settings), self.part("/a/b", "deep/", **settings)]

    def part(self, path="/", prefix="", **settings):
        return {"path": path, "backing": "data", "prefix": prefix, "kind": node.SMALL_FILES,
                **settings}

    def make(self, entries=None, **arguments):
        return self.make_node([self.backing()], entries or self.entries(), **arguments)

    def expected(self, each):
        """path below the mount -> bytes, as the configuration of @each has it."""
        found = {}
        for entry in each.config["mount"]["entries"]:
            top = self.data / entry["prefix"]
            for path in walk(top):
                found[f"{entry['path'].strip('/')}/{path}".lstrip("/")] = (top / path).read_bytes()
        return found

    def read_all(self, each, ways=WAYS, seconds=BOUND_S):
        """Reads every file in all of @ways, each in a process of its own."""
        files = self.expected(each)
        digests = [content.sha256(data) for data in files.values()]
        for way in ways:
            found = reader.Reader(way, *(each.mount / path for path in files)).results(seconds)
            self.assertEqual(found, digests, way)

    def counters(self, each, *names):
        counters = each.status()["counters"]["fuse"]
        return [counters[name] for name in names]


    def settled(self, each, *names):
        """The counters once they stay: what the kernel reads ahead comes when a reader has gone."""
        seen = [self.counters(each, *names)]

        def stays():
            seen.append(self.counters(each, *names))
            return len(seen) > STEADY and all(one == seen[-1] for one in seen[-STEADY:]) and seen[-1]

        return each.wait_until(stays, BOUND_S, "nothing more is asked")


class Reads(Trees):
    # --- what is there

    def check_tree(self, each):
        files = self.expected(each)
        self.read_all(each)
        self.assertEqual(walk(each.mount), sorted(files))
        for path, data in files.items():
            self.assertEqual(os.stat(each.mount / path).st_size, len(data))
        done = subprocess.run(["ls", "-lR", each.mount], stdout=subprocess.PIPE, timeout=60,
                              check=True, text=True).stdout
        for path, data in files.items():
            self.assertRegex(done, rf"-r--r--r-- .* {len(data)} .* {os.path.basename(path)}\n")
        self.assertEqual(each.counter("fuse", "errors"), 0)

    def test_whole_mount__read_in_all_ways__right(self):
        each = self.make([self.part()]).start()
        self.assertEqual(each.mounts(), ["/"])
        self.check_tree(each)
        self.assertEqual(os.listdir(each.mount / "images/none"), [])
        self.check_ended_well(each)

    def test_parts__beside_an_ordinary_entry__each_a_mount_and_right(self):
        each = self.make().start()
        self.assertEqual(each.mounts(), ["/", *PARTS])
        self.assertEqual(sorted(os.listdir(each.mount)), ["a", "images", "plain"])
        self.assertEqual(sorted(os.listdir(each.mount / "a")), ["b", "c"])
        self.check_tree(each)
        self.assertEqual(len({os.stat(f"{each.mount}{path}").st_dev for path in each.mounts()}), 3)
        self.assertEqual([entry["kind"] for entry in each.status()["mount"]["entries"]],
                         ["ordinary", "ordinary", node.SMALL_FILES, node.SMALL_FILES])
        self.check_ended_well(each)

    def test_find__one_file_system__stops_at_parts(self):
        each = self.make().start()
        done = subprocess.run(["find", each.mount, "-xdev", "-type", "f", "-printf", "%P\\n"],
                              stdout=subprocess.PIPE, timeout=60, check=True, text=True)
        self.assertEqual(sorted(done.stdout.split()),
                         [path for path in sorted(self.expected(each))
                          if path.startswith(("plain/", "a/c/"))])

    def test_names__absent_and_impossible__enoent(self):
        each = self.make().start()
        for path in ("images/absent", "images/x/absent", "a/absent", "a/b/absent", "absent",
                     "images/none/absent"):
            self.assertEqual(errno_of(os.stat, each.mount / path), "ENOENT", path)
        self.assertEqual(errno_of(os.stat, each.mount / "images/empty/below"), "ENOTDIR")
        self.assertEqual(errno_of(os.listdir, each.mount / "images/empty"), "ENOTDIR")
        self.assertEqual(errno_of(os.open, each.mount / "images", os.O_WRONLY), "EISDIR")
        self.assertEqual(each.counter("fuse", "errors"), 0)
        self.assertEqual(errno_of(os.stat, each.mount / "images" / ("x" * 256)), "ENAMETOOLONG")

    def test_write__any_way__erofs(self):
        each = self.make().start()
        old, new = each.mount / "images/empty", each.mount / "images/new"
        for action, *arguments in (
                (os.open, old, os.O_WRONLY), (os.open, old, os.O_RDWR),
                (os.open, new, os.O_WRONLY | os.O_CREAT), (os.open, old, os.O_RDONLY | os.O_TRUNC),
                (os.unlink, old), (os.mkdir, new), (os.rename, old, new), (os.symlink, "x", new),
                (os.chmod, old, 0o777), (os.truncate, old, 1), (os.utime, old),
                (os.setxattr, old, "user.a", b"b"), (os.rmdir, each.mount / "images/none"),
                (os.rmdir, each.mount / "images")):
            self.assertEqual(errno_of(action, *arguments), "EROFS", f"{action} {arguments}")

    def test_attributes__xattrs_and_locate__by_both_kinds_of_path(self):
        each = self.make().start()
        size = 110 << 10
        name = f"x/y/{SIZES.index(size):02}-{size}"
        path = each.mount / "images" / name
        self.assertEqual(set(os.listxattr(path)), {f"user.cenote.{name}" for name in
                                                   ("etag", "key", "object", "resident")})
        self.assertEqual(os.getxattr(path, "user.cenote.resident"), b"0")
        self.assertEqual(reader.read("size", path), size)
        self.assertEqual(os.getxattr(path, "user.cenote.resident"), str(size).encode())
        self.assertEqual(os.getxattr(path, "user.cenote.key"), f"data/images/{name}".encode())
        self.assertEqual(os.getxattr(each.mount / "images/x", "user.cenote.key"),
                         b"data/images/x/")
        etag = os.getxattr(path, "user.cenote.etag").decode()
        for said in (path, f"/images/{name}"):
            done = each.cenote("locate", "--run-dir", each.run_dir, said)
            self.assertEqual(done.returncode, 0, done.stderr)
            for word in (f"/images/{name}", f"data/images/{name}", etag, "110 KiB"):
                self.assertIn(word, done.stdout)
        for said in (each.mount / "images/absent", "/images/absent", "/images/x", "/images"):
            done = each.cenote("locate", "--run-dir", each.run_dir, said)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn("/images", done.stderr)

    # --- warm

    def check_warm(self, each):
        """Some pass over all files asks nothing: where a machine gives pages back of its own accord,
        one may have gone before another pass."""
        names = ("reads", "opens", "lookups", "getattrs")
        passes = []
        self.read_all(each)
        while len(passes) < PASSES and (not passes or passes[-1][0] != passes[-1][1]):
            before = self.settled(each, *names)
            self.read_all(each)
            passes.append((before, self.counters(each, *names)))
        self.assertEqual(*passes[-1], passes)
        self.assertEqual(passes[-1][1][1], 0, "no OPEN ever")

    def test_warm__whole_mount__nothing_is_asked(self):
        self.check_warm(self.make([self.part(**LONG)]).start())

    def reads_frozen(self, each):
        each.freeze()
        try:
            self.read_all(each, seconds=FROZEN_S)
            return True
        except AssertionError:
            return False
        finally:
            each.thaw()

    def test_warm__parts__nothing_is_asked_not_even_of_a_daemon_that_stands_still(self):
        entries = [self.part("/images", "images/", **LONG), self.part("/a/b", "deep/", **LONG)]
        each = self.make(entries, settings={"mount.hang_after": 0}).start()
        self.check_warm(each)
        self.assertTrue(any(self.reads_frozen(each) for _ in range(PASSES)))

    def test_warm__other_worker__pages_stay_and_nothing_is_asked(self):
        each = self.make([self.part("/images", "images/", **LONG)]).start()
        self.read_all(each)
        pid = each.kill_worker()
        each.wait_until(lambda: each.worker_pid() != pid and each.status_answers(), BOUND_S,
                        "another worker serves")
        self.read_all(each)
        reads, opens = self.counters(each, "reads", "opens")
        self.assertEqual(opens, 0)
        self.assertLess(reads, FEW, "the pages are the kernel's")
        self.assertEqual(each.mounts(), ["/", "/images"])
        self.check_ended_well(each)

    def test_restart__listed_and_read_again__from_the_ssd(self):
        each = self.make().start()
        self.read_all(each, ["sha256"])
        each.flush()
        each.restart()
        self.assertEqual(each.mounts(), ["/", *PARTS])
        self.assertEqual(walk(each.mount), sorted(self.expected(each)))
        self.read_all(each)
        self.assertEqual(each.counter("cache", "fetch_bytes"), 0)


class Operators(Trees):
    # --- configuration

    def refused(self, entries, *words, **settings):
        """cenote check and cenoted say why, with all of @words."""
        each = self.make(entries, settings=settings)
        each.write_config()
        for done in (each.cenote("check", "--config", each.config_path),
                     subprocess.run([node.BIN_DIR / "cenoted", "--config", each.config_path],
                                    env=each.environment, stdout=subprocess.PIPE, text=True,
                                    stderr=subprocess.PIPE, timeout=60, check=False)):
            self.assertNotEqual(done.returncode, 0)
            for word in words:
                self.assertIn(word, done.stdout + done.stderr)
        self.assertEqual(each.mounts(), [])

    def test_configuration__too_many_parts__is_refused(self):
        self.refused([self.part(f"/p{number}") for number in range(9)], "small-files", "9",
                     "at most 8")

    def test_configuration__eight_parts__are_served(self):
        each = self.make([self.part(f"/p{number}", "deep/") for number in range(8)]
                         + [{"path": "/plain", "backing": "data", "prefix": "plain/"}]).start()
        self.assertEqual(each.mounts(), ["/", *(f"/p{number}" for number in range(8))])
        self.read_all(each, ["sha256"])
        pid = each.kill_worker()
        each.wait_until(lambda: each.worker_pid() != pid and each.status_answers(), BOUND_S,
                        "another worker serves")
        self.assertEqual(each.mounts(), ["/", *(f"/p{number}" for number in range(8))])
        self.check_ended_well(each)

    def test_configuration__unknown_kind__is_refused_with_those_there_are(self):
        self.refused([{**self.part(), "kind": "tiny-files"}], "tiny-files", "ordinary",
                     "small-files")

    def test_configuration__one_inside_another__is_refused(self):
        self.refused([self.part("/images"), self.part("/images/x")], "/images/x", "inside")

    def test_upgrade__parts_are_others__refused_and_a_restart_takes_them(self):
        each = self.make().start()
        pid = each.worker_pid()
        for entries, name in (([self.part("/images", "images/"), self.part("/a/c", "deep/")],
                               "mount.entries.path"),
                              ([self.part("/images", "images/")], "mount.entries.kind")):
            each.set("mount.entries", entries)
            each.write_config()
            done = each.cenote("upgrade", "--run-dir", each.run_dir, timeout=90)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn(name, done.stdout + done.stderr)
            self.assertIn("restart", done.stdout + done.stderr)
        self.assertEqual((each.worker_pid(), each.mounts()), (pid, ["/", *PARTS]))
        # a worker that dies goes on with what is in force
        each.kill_worker()
        each.wait_until(lambda: each.worker_pid() != pid and each.status_answers(), BOUND_S,
                        "another worker serves")
        self.assertEqual(each.mounts(), ["/", *PARTS])
        each.restart()
        self.assertEqual(each.mounts(), ["/", "/images"])
        self.read_all(each, ["sha256"])

    def test_reload__parts_are_others__named_and_left(self):
        each = self.make().start()
        each.set("mount.entries", [self.part("/images", "images/")])
        each.set("mount.sibling_max", 0)
        each.write_config()
        each.signal(signal.SIGHUP)
        each.wait_until(lambda: "mount.entries" in each.log(), BOUND_S, "it says what needs more")
        self.assertEqual(each.mounts(), ["/", *PARTS])

    def test_worker_alone__serves_and_ends_as_one_process(self):
        each = self.make(program=node.WORKER).start()
        self.assertEqual(each.mounts(), ["/", *PARTS])
        self.read_all(each, ["sha256"])
        self.check_ended_well(each)

    # --- rights

    def make_unprivileged(self, entries):
        """By a user who may use /dev/fuse, and no more."""
        each = self.make(entries, settings={"mount.allow_other": False, "mount.passthrough": "off"})
        device = each.directory / "fuse"
        os.mknod(device, 0o666 | stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
        subprocess.run(["chown", "-R", "65534:65534", each.directory], check=True)
        device.chmod(0o666)
        each.launcher = [*UNPRIVILEGED, device, *NOBODY]
        each.write_config()
        return each

    def test_rights__without_cap_sys_admin__says_what_to_do(self):
        each = self.make_unprivileged(self.entries())
        each.launch()
        each.wait_ended()
        self.assertIn("CAP_SYS_ADMIN", each.log())
        self.assertIn("small-files", each.log())
        self.assertEqual(each.mounts(), [])

    def test_rights__without_cap_sys_admin__whole_mount_is_served(self):
        each = self.make_unprivileged([self.part()])
        each.launch()
        each.wait_until(lambda: each.mounts() and each.status_answers(), BOUND_S, "it serves")
        name = f"deep/05-{SIZES[5]}"
        done = subprocess.run([*NOBODY, "sha256sum", each.mount / name], timeout=60,
                              stdout=subprocess.PIPE, text=True, check=True)
        self.assertEqual(done.stdout.split()[0], content.sha256((self.data / name).read_bytes()))
        self.check_ended_well(each)

    # --- containers, umount(8)

    def see(self, one):
        """The digest that a container sees of a file in a part."""
        return one.run("sha256sum", one.place / f"mount/images/x/y/05-{SIZES[5]}")[1].split()[0]

    def test_container__before_and_after_and_across_a_restart__sees_the_part(self):
        each = self.make()
        data = (self.data / f"images/x/y/05-{SIZES[5]}").read_bytes()
        boxes = [container.Container(each.directory, self.folder("container"))]
        self.addCleanup(boxes[0].close)
        each.start()
        boxes.append(container.Container(each.directory, self.folder("container")))
        self.addCleanup(boxes[1].close)
        for restart in (False, True):
            if restart:
                each.restart()
            for one in boxes:
                self.assertEqual(self.see(one), content.sha256(data))
                found = one.run("cat", "/proc/self/mountinfo")[1]
                for place in ("", *PARTS):
                    self.assertEqual(found.count(f" {one.place}/mount{place} "), 1, found)
        self.check_ended_well(each)
        for one in boxes:
            self.assertNotIn(f"{one.place}/mount", one.run("cat", "/proc/self/mountinfo")[1])

    def test_umount__of_a_part__the_rest_goes_on_and_ends_well(self):
        each = self.make().start()
        self.read_all(each, ["sha256"])
        self.assertEqual(self.unmounted(each), [])
        subprocess.run(["umount", each.mount / "images"], check=True)
        self.assertEqual(each.mounts(), ["/", "/a/b"])
        for path in ("plain", "a/b"):
            name = f"{path}/05-{SIZES[5]}"
            self.assertEqual(reader.read("size", each.mount / name), SIZES[5])
        # never an empty dataset
        for path in ("images", "images/x", f"images/05-{SIZES[5]}"):
            action = os.listdir if path == "images" else os.stat
            self.assertEqual(errno_of(action, each.mount / path), "ENOTCONN", path)
        each.wait_until(lambda: self.unmounted(each) == ["/images"], BOUND_S, "status says so")
        shown = each.cenote("status", "--run-dir", each.run_dir).stdout
        self.assertRegex(shown, "/images .*small-files.*not mounted")
        each.restart()
        self.assertEqual(each.mounts(), ["/", *PARTS])
        self.read_all(each, ["sha256"])
        self.check_ended_well(each)

    def unmounted(self, each):
        return [entry["path"] for entry in each.status()["mount"]["entries"]
                if not entry["mounted"]]

    def test_umount__lazily__of_a_part_in_use__who_uses_it_goes_on(self):
        each = self.make().start()
        name = f"x/y/05-{SIZES[5]}"
        data = (self.data / "images" / name).read_bytes()
        handle = os.open(each.mount / "images" / name, os.O_RDONLY)
        self.addCleanup(os.close, handle)
        subprocess.run(["umount", "-l", each.mount / "images"], check=True)
        for _ in range(2):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            self.assertEqual(os.pread(handle, len(data), 0), data)
            pid = each.kill_worker()
            each.wait_until(lambda pid=pid: each.worker_pid() != pid and each.status_answers(),
                            BOUND_S, "another worker serves")
        self.assertEqual(reader.read("size", each.mount / f"a/b/05-{SIZES[5]}"), SIZES[5])
        each.restart()
        self.assertEqual(each.mounts(), ["/", *PARTS])
        self.check_ended_well(each)

    def test_umount__of_the_whole__all_of_it_ends(self):
        each = self.make().start()
        done = subprocess.run(["umount", each.mount], stderr=subprocess.PIPE, text=True,
                              check=False)
        self.assertIn("busy", done.stderr, "parts are in it")
        subprocess.run(["umount", "--recursive", each.mount], check=True)
        self.assertEqual(each.wait_ended(), 0)
        self.assertEqual(each.mounts(), [])

    def test_umount__lazily__of_the_whole__all_of_it_ends(self):
        each = self.make().start()
        self.read_all(each, ["sha256"])
        subprocess.run(["umount", "-l", each.mount], check=True)
        self.assertEqual(each.wait_ended(), 0)
        self.assertEqual(each.mounts(), [])


if __name__ == "__main__":
    case.main()
