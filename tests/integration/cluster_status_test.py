#!/usr/bin/python3
"""cluster_status_test.py - cenote status --cluster: what all members say of themselves, and what is
said of those that cannot."""
import json

from harness import case, cluster, content, node, reader, scratch

SIZE = 5 * 4 * content.MIB + 12345
PLACED_S = 60
DEAD_S = 120
# Long enough for a member that is stopped to be asked before it is taken for dead.
SLOW = {"gossip.swim.probe_interval": "5 s", "gossip.swim.probe_timeout": "2 s"}


class ClusterStatus(case.Case):
    """Three nodes of this machine, each at ports of its own, and one S3 server."""

    @classmethod
    def setUpClass(cls):
        cls.bucket = case.World.s3().make_bucket()
        data = content.random_bytes(1, SIZE)
        case.World.s3().put(cls.bucket, "cat.bin", data)
        cls.digest = content.sha256(data)

    def setUp(self):
        super().setUp()
        self.secret = cluster.make_secret()
        self.ports = scratch.free_ports()
        self.members = []

    def make(self, settings):
        """One more node of the cluster, not started."""
        number = len(self.members) + 1
        gossip, fabric = (f"127.0.0.1:{self.ports + 2 * number + each}" for each in (0, 1))
        own = {"node.name": f"n{number}", "cluster.name": "test", "cache.memory": "128 MiB",
               "gossip.listen": gossip, "fabric.listen": fabric,
               "gossip.join": [f"127.0.0.1:{self.ports + 2}"] if self.members else [],
               **cluster.FAST, **settings}
        made = self.make_node([node.s3_backing("lake", self.s3)], [node.entry(self.bucket)],
                              settings=own)
        made.set("cluster.secret_file", made.directory / "secret")
        cluster.write_secret(made.directory / "secret", self.secret)
        member = cluster.Member(made, None, f"n{number}")
        self.members.append(member)
        return member

    def start(self, settings=None):
        """Three nodes that agree on who has which block."""
        for _ in range(3):
            self.make(settings or {}).node.start()
        for each in self.members:
            each.node.wait_until(lambda each=each: each.node.counter("peers", "members") == 3,
                                 PLACED_S, f"{each.name} places blocks on all")

    def status(self, member):
        """What it says, and its members by name."""
        found = json.loads(member.cenote("status", "--cluster", "--json").stdout)
        self.assertEqual(found["cluster"], "test")
        self.assertEqual(found["left_out"], 0)
        return found, {each["name"]: each for each in found["members"]}

    def check_answered(self, found, members, names):
        self.assertEqual(found["answered"], len(names))
        for name in names:
            self.assertNotIn("problem", members[name])
            self.assertEqual(members[name]["numbers"]["memory"], 128 * content.MIB)

    def test_three_members__after_a_read__numbers_of_all_whoever_is_asked(self):
        self.start()
        self.assertEqual(reader.read("sha256", self.members[1].node.mount / "cat.bin"),
                         self.digest)
        for each in self.members:
            each.node.flush()
        for each in self.members:
            found, members = self.status(each)
            self.check_answered(found, members, ["n1", "n2", "n3"])
            self.assertEqual([name for name in members if members[name]["self"]], [each.name])
            read = {name: members[name]["numbers"]["read_bytes"] for name in members}
            self.assertEqual(read, {"n1": 0, "n2": SIZE, "n3": 0})
            # sums of what each node says by itself, now that nothing moves
            total = found["total"]
            self.assertEqual(total["read_bytes"], SIZE)
            self.assertEqual(total["fetched_bytes"],
                             sum(one.node.counter("cache", "fetch_bytes")
                                 for one in self.members))
            self.assertEqual(total["served_bytes"],
                             sum(one.node.counter("peers", "staged_bytes")
                                 for one in self.members))
            self.assertGreater(total["peer_bytes"], 0)
            self.assertGreaterEqual(total["ssd_used"], SIZE)
            self.assertEqual(total["read_errors"], 0)
            for name in members:
                self.assertEqual(members[name]["numbers"]["members"], 3)
                self.assertEqual(members[name]["version"], found["members"][0]["version"])

    def test_for_people__a_line_a_member__and_watched(self):
        self.start()
        lines = self.members[0].cenote("status", "--cluster").stdout.splitlines()
        self.assertEqual(lines[0], "CLUSTER test  3 of 3 members answered")
        self.assertEqual([line.split()[0] for line in lines[1:]],
                         ["MEMBER", "n1", "n2", "n3", "TOTAL"])
        watched = self.members[0].cenote("status", "--cluster", "--watch", "--count", "2",
                                         "--interval", "100 ms", "--json").stdout
        self.assertEqual([json.loads(line)["answered"] for line in watched.splitlines()], [3, 3])

    def test_member_stopped__the_others_are_shown__and_why_it_is_not(self):
        self.start(SLOW)
        self.status(self.members[0])
        self.members[2].node.freeze()
        self.addCleanup(self.members[2].node.close)
        found, members = self.status(self.members[0])
        self.assertEqual(found["asked"], 3)
        self.check_answered(found, members, ["n1", "n2"])
        self.assertNotIn("numbers", members["n3"])
        self.assertIn("answer", members["n3"]["problem"])
        text = self.members[0].cenote("status", "--cluster").stdout
        self.assertIn("  no answer: ", text)
        self.members[2].node.thaw()

    def test_member_dead__it_is_not_asked(self):
        self.start()
        self.members[2].node.kill()
        first = self.members[0]
        first.node.wait_until(lambda: first.states()["n3"] == "dead", DEAD_S, "n3 is dead")
        found, members = self.status(first)
        self.assertEqual(found["asked"], 2)
        self.check_answered(found, members, ["n1", "n2"])
        self.assertEqual(members["n3"]["state"], "dead")
        self.assertEqual(members["n3"]["problem"], "not asked, as it is dead")

    def test_node_alone__says_so(self):
        alone = self.start_node(self.bucket)
        done = alone.cenote("status", "--cluster", "--run-dir", alone.run_dir)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not part of a cluster", done.stderr)


if __name__ == "__main__":
    case.main()
