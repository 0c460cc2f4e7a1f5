#!/usr/bin/python3
"""deploy_test.py - what is installed beside the programs: mount(8)'s helper, as `mount -t cenote`
and /etc/fstab use it, and the unit of systemd."""
import os
import pathlib
import subprocess

from harness import case, content, node, reader, wait

BOUND_S = 60
HELPER = node.BIN_DIR.parent / "deploy/mount.cenote"
UNIT = node.BIN_DIR.parent / "deploy/cenoted.service"


class Helper(case.Case):
    def setUp(self):
        super().setUp()
        self.data = self.folder("data")
        (self.data / "object").write_bytes(content.random_bytes(1, content.MIB))
        self.made = self.make_node(
            [{"id": "data", "type": "directory", "directory": self.data}],
            [{"path": "/", "backing": "data"}], directories=[])
        self.made.write_config()
        self.log = self.made.log_path
        self.addCleanup(self.unmount)

    def options(self, *more):
        return ",".join((f"config={self.made.config_path}", f"log={self.log}", *more))

    def run_helper(self, *arguments, name="cenote", directory=None, launcher=(HELPER,)):
        return subprocess.run(
            [*launcher, name, directory or self.made.mount, *arguments], stdin=subprocess.DEVNULL,
            env={**node.ENVIRONMENT, "CENOTE_PROGRAMS": str(node.BIN_DIR)}, timeout=BOUND_S,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)

    def unmount(self):
        """umount(8), as people do. The daemon ends by itself."""
        if not self.made.is_mounted():
            return
        subprocess.run(["umount", "-R", self.made.mount], check=True)
        wait.until(lambda: not self.made.status_answers(), BOUND_S, "the daemon ends")

    def check_served(self):
        self.assertTrue(self.made.is_mounted())
        self.assertEqual(reader.read("size", self.made.mount / "object"), content.MIB)

    def test_mount__as_mount_says_it__serves_when_it_comes_back(self):
        done = self.run_helper("-o", f"rw,noatime,_netdev,x-systemd.automount,{self.options()}")
        self.assertEqual(done.returncode, 0, done.stdout + self.made.log())
        self.check_served()
        again = self.run_helper("-v", "-n", "-o", self.options())
        self.assertEqual(again.returncode, 0, again.stdout)
        self.assertIn("no restarts", self.made.cenote("status", "--run-dir",
                                                      self.made.run_dir).stdout)
        self.unmount()
        self.assertFalse(self.made.is_mounted())

    def test_mount__by_mount_and_a_line_of_fstab__mounted_once(self):
        """mount(8) itself, in a mount namespace whose /sbin has the helper."""
        table = self.made.directory / "fstab"
        table.write_text(f"cenote {self.made.mount} cenote {self.options('nofail')} 0 0\n",
                         encoding="utf-8")
        sbin = self.folder("sbin")
        (sbin / "mount.cenote").write_bytes(HELPER.read_bytes())
        (sbin / "mount.cenote").chmod(0o755)
        script = ('mount -t overlay overlay -o "lowerdir=$1:$(realpath /sbin)" "$(realpath /sbin)"'
                  ' && mount -a -T "$2" && mount -a -T "$2" && findmnt -n -o SOURCE,FSTYPE "$3"')
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c",
             f"mount --make-rprivate {os.path.realpath('/sbin')} 2>/dev/null; {script}", "sh",
             sbin, table, self.made.mount], timeout=BOUND_S, check=False, text=True,
            env={**node.ENVIRONMENT, "CENOTE_PROGRAMS": str(node.BIN_DIR)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if "overlay" in done.stdout and done.returncode != 0:
            self.skipTest(f"an overlayfs here is missing: {done.stdout.strip()}")
        self.assertEqual(done.returncode, 0, done.stdout + self.made.log())
        self.assertEqual(done.stdout.split(), ["cenote", "fuse.cenote"])
        self.check_served()

    def test_mount__with_small_files__comes_back_with_all_mounts(self):
        self.made.set("mount.entries",
                      [{"path": path, "backing": "data", "kind": node.SMALL_FILES}
                       for path in ("/a/b", "/images")])
        self.made.write_config()
        for _ in range(2):
            done = self.run_helper("-o", self.options())
            self.assertEqual(done.returncode, 0, done.stdout + self.made.log())
            self.assertEqual(self.made.mounts(), ["/", "/a/b", "/images"])
            for path in ("a/b", "images"):
                self.assertEqual(reader.read("size", self.made.mount / path / "object"),
                                 content.MIB)
        self.unmount()
        self.assertEqual(self.made.mounts(), [])

    def test_mount__worker_killed__goes_on(self):
        done = self.run_helper("-o", self.options())
        self.assertEqual(done.returncode, 0, done.stdout + self.made.log())
        pid = self.made.status()["pid"]
        with open(self.made.mount / "object", "rb") as file:
            os.kill(pid, 9)
            self.assertEqual(len(file.read()), content.MIB)
        self.made.wait_until(lambda: self.made.status_answers()
                             and self.made.status()["pid"] != pid, BOUND_S, "another one serves")

    def test_mount__what_is_wrong__is_named(self):
        elsewhere = self.folder("elsewhere")
        broken = elsewhere / "broken.conf"
        broken.write_text("mount = {", encoding="utf-8")
        for arguments, given, status, text in (
                (["-o", self.options("fast")], {}, 1, "unknown option 'fast'"),
                (["-o", self.options("timeout=soon")], {}, 1, "timeout=soon"),
                (["-o", "config=/nonexistent/a.conf"], {}, 32, "/nonexistent/a.conf"),
                ([], {"name": "absent"}, 32, "/etc/cenote/absent.conf"),
                ([], {"name": broken}, 32, str(broken)),
                (["-o", self.options()], {"directory": elsewhere}, 32, f"mounts {self.made.mount}"),
                (["-x"], {}, 1, "unknown option '-x'"), (["more"], {}, 1, "'more'")):
            with self.subTest(text=text):
                done = self.run_helper(*arguments, **given)
                self.assertEqual(done.returncode, status, done.stdout)
                self.assertIn(text, done.stdout)
                self.assertFalse(self.made.is_mounted())

    def test_mount__daemon_that_ends__says_where_the_reason_is(self):
        self.made.set("backings", [{"id": "data", "type": "directory",
                                    "directory": "/nonexistent/data"}])
        self.made.write_config()
        done = self.run_helper("-o", self.options())
        self.assertEqual(done.returncode, 32, done.stdout)
        self.assertIn(str(self.log), done.stdout)
        self.assertIn("/nonexistent/data", self.made.log())

    def test_mount__fake__mounts_nothing(self):
        done = self.run_helper("-f", "-o", self.options())
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertFalse(self.made.is_mounted())


class Unit(case.Case):
    def test_unit__what_the_keeper_needs__is_said(self):
        lines = UNIT.read_text(encoding="utf-8").splitlines()
        for line in ("Type=notify", "NotifyAccess=all", "OOMPolicy=continue", "KillMode=mixed"):
            self.assertIn(line, lines)
        self.assertTrue(any(line.startswith("FileDescriptorStoreMax=") for line in lines))
        self.assertFalse([line for line in lines if line.startswith(("Private", "Protect"))],
                         "a mount namespace of its own would hide the mount")

    def test_unit__systemd_reads_it__without_complaint(self):
        if not pathlib.Path("/usr/bin/systemd-analyze").exists():
            self.skipTest("systemd-analyze is missing")
        copy = self.folder("unit") / "cenoted.service"
        text = UNIT.read_text(encoding="utf-8").replace("ExecStart=", "ExecStart=/bin/true #", 1)
        copy.write_text(text, encoding="utf-8")
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertNotIn("cenoted.service:", done.stdout)


if __name__ == "__main__":
    case.main()
