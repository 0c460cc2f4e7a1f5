#!/usr/bin/python3
"""locate_test.py - cenote locate: who owns the blocks of a file, and who has them."""
import json

from harness import case, cluster, content, node, reader, scratch

BLOCK = 4 * content.MIB
SIZE = 9 * BLOCK + 12345
BLOCKS = 10
PLACED_S = 60


class Locate(case.Case):
    """Three nodes of this machine, each at ports of its own, and one S3 server."""

    @classmethod
    def setUpClass(cls):
        cls.bucket = case.World.s3().make_bucket()
        data = content.random_bytes(1, SIZE)
        cls.etag = case.World.s3().put(cls.bucket, "sets/cat.bin", data)
        case.World.s3().put(cls.bucket, "sets/empty", b"")
        cls.digest = content.sha256(data)

    def setUp(self):
        super().setUp()
        self.secret = cluster.make_secret()
        self.ports = scratch.free_ports()
        self.members = []

    def make(self, settings=None, endpoint=None, entry=None):
        """One more node of the cluster, not started."""
        number = len(self.members) + 1
        gossip, fabric = (f"127.0.0.1:{self.ports + 2 * number + each}" for each in (0, 1))
        own = {"node.name": f"n{number}", "cluster.name": "test", "cache.memory": "128 MiB",
               "gossip.listen": gossip, "fabric.listen": fabric,
               "gossip.join": [f"127.0.0.1:{self.ports + 2}"] if self.members else [],
               **cluster.FAST, **(settings or {})}
        made = self.make_node([node.s3_backing("lake", self.s3, endpoint)],
                              [entry or node.entry(self.bucket, path="/lake")], settings=own)
        made.set("cluster.secret_file", made.directory / "secret")
        cluster.write_secret(made.directory / "secret", self.secret)
        member = cluster.Member(made, None, f"n{number}")
        self.members.append(member)
        return member

    def start(self, settings=None, **arguments):
        """Three nodes that agree on who has which block."""
        for _ in range(3):
            self.make(settings, **arguments).node.start()
        for each in self.members:
            each.node.wait_until(lambda each=each: each.node.counter("peers", "members") == 3,
                                 PLACED_S, f"{each.name} places blocks on all")

    def read(self, member):
        self.assertEqual(reader.read("sha256", member.node.mount / "lake/sets/cat.bin"),
                         self.digest)
        for each in self.members:
            each.node.flush()

    def locate(self, member, path="/lake/sets/cat.bin", *options):
        """What it says, and its members by name."""
        found = json.loads(member.cenote("locate", "--json", *options, str(path)).stdout)
        self.assertEqual(found["blocks"], BLOCKS)
        self.assertEqual(found["members_left"], 0)
        return found, {each["name"]: each for each in found["members"]}

    def refused(self, member, *paths):
        """What it says against the last of @paths."""
        done = member.cenote("locate", *(str(path) for path in paths), good=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stderr

    # --- a file

    def test_read_on_one_node__owners_have_it_and_their_bytes_add_up(self):
        self.start({"cache.replicate": "off"})
        _, nodes = self.locate(self.members[0])
        self.assertEqual(sum(each["owned_bytes"] for each in nodes.values()), SIZE)
        self.assertEqual(sum(each["held_bytes"] for each in nodes.values()), 0)
        self.read(self.members[0])
        for member in self.members:
            found, nodes = self.locate(member, "/lake/sets/cat.bin", "--blocks")
            self.assertEqual(set(nodes), {"n1", "n2", "n3"})
            self.assertEqual([each["name"] for each in nodes.values() if each["self"]],
                             [member.name])
            self.assertEqual(found["version"]["key"], "sets/cat.bin")
            self.assertEqual(found["version"]["etag"].strip('"'), self.etag)
            self.assertTrue(found["confirmed"])
            self.assertEqual(found["size"], SIZE)
            for each in nodes.values():
                self.assertNotIn("problem", each)
                self.assertEqual(each["held_bytes"], each["owned_bytes"])
                self.assertEqual(each["ssd_bytes"], each["owned_bytes"])
                self.assertEqual(each["replica_bytes"], 0)
            self.assertEqual(sum(each["owned_blocks"] for each in nodes.values()), BLOCKS)
            self.assertEqual(nodes["n1"]["memory_bytes"], SIZE)  # it has read it all
            self.check_runs(found)

    def check_runs(self, found):
        """Every block once, in order, as many of each member as it says."""
        owners = []
        for run in found["runs"]:
            self.assertEqual(run["first"], len(owners))
            owners += [run["member"]] * run["count"]
        self.assertEqual(found["runs_left"], 0)
        self.assertEqual([owners.count(index) for index in range(3)],
                         [each["owned_blocks"] for each in found["members"]])

    def test_read_elsewhere__replicas_are_told_apart(self):
        self.start({"cache.replicate": "free"})
        self.read(self.members[0])
        self.read(self.members[1])
        _, nodes = self.locate(self.members[2])
        for name in ("n1", "n2"):
            self.assertEqual(nodes[name]["ssd_bytes"], SIZE)
            self.assertEqual(nodes[name]["replica_bytes"], SIZE - nodes[name]["owned_bytes"])
        self.assertEqual(nodes["n3"]["replica_bytes"], 0)
        self.assertEqual(sum(each["held_bytes"] for each in nodes.values()), SIZE)
        text = self.members[2].cenote("locate", "/lake/sets/cat.bin").stdout
        self.assertIn("(100 %) is with its owners", text)

    def test_evicted_from_memory__the_ssds_have_it(self):
        self.start({"cache.replicate": "off"})
        self.read(self.members[0])
        for each in self.members:  # a new arena
            each.node.restart()
        for each in self.members:
            each.node.wait_until(lambda each=each: each.node.counter("peers", "members") == 3,
                                 PLACED_S, f"{each.name} places blocks on all")
        _, nodes = self.locate(self.members[1])
        for each in nodes.values():
            self.assertEqual(each["memory_bytes"], 0)
            self.assertEqual(each["held_bytes"], each["owned_bytes"])
        self.assertEqual(sum(each["ssd_bytes"] for each in nodes.values()), SIZE)

    def test_overwritten__the_new_version_is_nowhere_yet(self):
        bucket = self.s3.make_bucket()
        self.s3.put(bucket, "sets/cat.bin", content.random_bytes(2, SIZE))
        # the others would give each other what they know for as long as a name may be believed
        entry = node.entry(bucket, path="/lake", entry_timeout="0", listing_timeout="0",
                           attribute_timeout="0")
        self.start(entry=entry)
        reader.read("sha256", self.members[0].node.mount / "lake/sets/cat.bin")
        before, nodes = self.locate(self.members[0])
        self.assertEqual(sum(each["held_bytes"] for each in nodes.values()), SIZE)
        self.s3.put(bucket, "sets/cat.bin", content.random_bytes(3, SIZE))
        after, nodes = self.locate(self.members[0])
        self.assertNotEqual(before["version"]["etag"], after["version"]["etag"])
        self.assertNotEqual(before["version"]["object"], after["version"]["object"])
        self.assertEqual(sum(each["held_bytes"] for each in nodes.values()), 0)

    # --- how a path may be given

    def test_paths__below_the_mount_of_the_namespace_and_relative__are_one_file(self):
        self.start()
        member = self.members[0]
        found, _ = self.locate(member)
        for path in (member.node.mount / "lake/sets/cat.bin",
                     f"{member.node.mount}/lake/./sets//../sets/cat.bin",
                     # relative to the working directory, which is not the mount
                     "../../../../../../../.." + str(member.node.mount / "lake/sets/cat.bin")):
            self.assertEqual(self.locate(member, path)[0]["version"], found["version"])
        both = member.cenote("locate", "/lake/sets/cat.bin", "/lake/sets/empty").stdout
        self.assertIn("/lake/sets/cat.bin  36.0 MiB in 10 blocks of 4.00 MiB", both)
        self.assertIn("/lake/sets/empty  0 B in 0 blocks", both)

    def test_no_file__says_what_is_wrong_and_goes_on_with_the_next(self):
        self.start()
        member = self.members[0]
        mount = member.node.mount
        self.assertIn("/lake/sets/dog.bin: there is no 'dog.bin'",
                      self.refused(member, mount / "lake/sets/dog.bin"))
        self.assertIn("/lake/sets is a directory: name files, such as those of",
                      self.refused(member, mount / "lake/sets"))
        self.assertIn(f"/etc/passwd is neither below the mountpoint {mount}",
                      self.refused(member, "/etc/passwd"))
        self.assertIn("what is before 'x' is not a directory",
                      self.refused(member, mount / "lake/sets/cat.bin/x"))
        done = member.cenote("locate", "/lake/nothing", "/lake/sets/cat.bin", good=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is with its owners", done.stdout)
        done = member.cenote("locate", good=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("of which file?", done.stderr)

    # --- bad luck

    def test_a_member_is_stopped__the_others_answer(self):
        # suspected and dead only after the test
        self.start({"gossip.swim.probe_interval": "10 s", "gossip.swim.probe_timeout": "5 s"})
        self.read(self.members[0])
        _, before = self.locate(self.members[0])
        self.addCleanup(self.members[2].node.close)
        self.members[2].node.freeze()
        found, nodes = self.locate(self.members[0])
        self.assertTrue(nodes["n3"]["problem"])
        self.assertEqual(nodes["n3"]["owned_bytes"], before["n3"]["owned_bytes"])
        self.assertNotIn("ssd_bytes", nodes["n3"])
        for name in ("n1", "n2"):
            self.assertEqual(nodes[name]["held_bytes"], nodes[name]["owned_bytes"])
        self.assertEqual(found["size"], SIZE)
        self.members[2].node.thaw()

    def test_s3_is_down__a_version_that_is_known_is_located(self):
        proxy = self.make_proxy()
        entry = node.entry(self.bucket, path="/lake", entry_timeout="0", negative_timeout="0",
                           listing_timeout="0")
        self.start({"mount.lookup_timeout": "2 s"}, endpoint=proxy.endpoint, entry=entry)
        self.read(self.members[0])
        with open(self.members[0].node.mount / "lake/sets/cat.bin", "rb"):  # the kernel knows it
            proxy.refuse()
            proxy.disconnect()
            found, nodes = self.locate(self.members[0])
            self.assertFalse(found["confirmed"])
            self.assertTrue(found["problem"])
            self.assertEqual(sum(each["held_bytes"] for each in nodes.values()), SIZE)
            text = self.members[0].cenote("locate", "/lake/sets/cat.bin").stdout
            self.assertIn("when it was last looked up, now that fails", text)
        said = self.refused(self.members[1], "/lake/sets/cat.bin")
        self.assertIn("looking up 'sets' of /lake/sets/cat.bin", said)


class Alone(case.Case):
    """A node without a cluster."""

    def test_it_has_what_it_has_read(self):
        bucket = self.s3.make_bucket()
        data = content.random_bytes(1, SIZE)
        self.s3.put(bucket, "a", data)
        each = self.start_node(bucket)
        done = each.cenote("locate", "--json", "--run-dir", each.run_dir, str(each.mount / "a"))
        self.assertEqual(done.returncode, 0, done.stderr)
        (one,) = json.loads(done.stdout)["members"]
        self.assertEqual((one["owned_bytes"], one["held_bytes"]), (SIZE, 0))
        self.assertEqual(reader.read("sha256", each.mount / "a"), content.sha256(data))
        each.flush()
        done = each.cenote("locate", "--json", "--run-dir", each.run_dir, "/a")
        (one,) = json.loads(done.stdout)["members"]
        self.assertEqual((one["held_bytes"], one["ssd_bytes"]), (SIZE, SIZE))
        self.assertEqual(one["replica_bytes"], 0)
        self.check_ended_well(each)


if __name__ == "__main__":
    case.main()
