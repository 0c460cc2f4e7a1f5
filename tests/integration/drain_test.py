#!/usr/bin/python3
"""drain_test.py - a node hands over what it has and leaves: S3 sees nothing of it, reads go on, and
what stands in the way is said."""
import json
import subprocess

from harness import case, cluster, content, node, reader, scratch

BIG_COUNT = 3
BIG_PART = 8 * content.MIB
BIG_PARTS = 3
SMALL_COUNT = 60
SMALL_LEN = 110 * 1024
PLACED_S = 60
DRAIN_S = 120
ALL_S = 300


class Drain(case.Case):
    """Nodes of this machine, each at ports of its own, and one S3 server. Each block lies with its
    owner only."""

    @classmethod
    def setUpClass(cls):
        cls.bucket = case.World.s3().make_bucket()
        cls.digests, cls.total = {}, 0
        for number in range(BIG_COUNT):
            parts = [content.random_bytes(900 + 10 * number + part, BIG_PART)
                     for part in range(BIG_PARTS)]
            case.World.s3().put_parts(cls.bucket, f"big-{number}", parts)
            cls.remember(f"big-{number}", b"".join(parts))
        small = [(f"small/{number:03}", content.random_bytes(9000 + number, SMALL_LEN + number))
                 for number in range(SMALL_COUNT)]
        case.World.s3().put_all(cls.bucket, small)
        for key, data in small:
            cls.remember(key, data)

    @classmethod
    def remember(cls, key, data):
        cls.digests[key] = content.sha256(data)
        cls.total += len(data)

    def setUp(self):
        super().setUp()
        self.secret = cluster.make_secret()
        self.ports = scratch.free_ports()
        self.members = []

    def make(self, settings=None, **arguments):
        number = len(self.members) + 1
        gossip, fabric = (f"127.0.0.1:{self.ports + 2 * number + each}" for each in (0, 1))
        own = {"node.name": f"n{number}", "cluster.name": "test", "cache.memory": "128 MiB",
               "cache.replicate": "off", "gossip.listen": gossip, "fabric.listen": fabric,
               "gossip.join": [f"127.0.0.1:{self.ports + 2}"] if self.members else [],
               **cluster.FAST, **(settings or {})}
        made = self.make_node([node.s3_backing("lake", self.s3)], [node.entry(self.bucket)],
                              settings=own, **arguments)
        made.set("cluster.secret_file", made.directory / "secret")
        cluster.write_secret(made.directory / "secret", self.secret)
        member = cluster.Member(made, None, f"n{number}")
        self.members.append(member)
        return member

    def start(self, count):
        for _ in range(count):
            self.make().node.start()
        self.wait_placed(self.members)

    def wait_placed(self, members):
        for each in members:
            each.node.wait_until(
                lambda each=each: each.node.counter("peers", "members") == len(members),
                PLACED_S, f"{each.name} places blocks on {len(members)} members")

    def wait_state(self, seen_by, member, state):
        seen_by.node.wait_until(lambda: seen_by.states().get(member.name) == state, PLACED_S,
                                f"{seen_by.name} sees {member.name} {state}")

    def begin(self, member):
        return reader.Reader("sha256", *(member.node.mount / key for key in self.digests))

    def check(self, each, why):
        self.assertEqual(dict(zip(self.digests, each.results(ALL_S))), self.digests, why)

    def fill(self):
        """Every block is on the SSD of the member that owns it, and there alone."""
        self.check(self.begin(self.members[0]), "filling")
        for each in self.members:
            each.node.flush()
        self.assertGreater(self.used(self.members[-1]), 0, "the last one has its share")

    @staticmethod
    def used(member):
        return member.node.counter("store", "used_bytes")

    def leave(self, member, *arguments, good=True):
        done = member.node.cenote("leave", "--run-dir", member.node.run_dir, "--json", *arguments,
                                  timeout=DRAIN_S)
        if good:
            self.assertEqual(done.returncode, 0, f"{done.stdout}{done.stderr}"
                                                 f"{member.node.log_tail()}")
        return done

    def begin_leave(self, member):
        """The command goes on by itself."""
        command = subprocess.Popen(
            [node.BIN_DIR / "cenote", "leave", "--run-dir", member.node.run_dir, "--json",
             "--drain"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=node.ENVIRONMENT)
        self.addCleanup(command.stdout.close)
        self.addCleanup(command.stderr.close)
        self.addCleanup(command.wait)
        self.addCleanup(command.kill)
        return command

    def gets(self):
        """Of object bytes, as the S3 server counts them."""
        return self.s3.object_gets(self.bucket)

    # --- it works

    def test_drain__under_load__s3_sees_nothing(self):
        self.start(3)
        self.fill()
        leaver, *others = self.members[2], *self.members[:2]
        before = self.gets()
        readers = [self.begin(member) for member in self.members]
        task = json.loads(self.leave(leaver, "--drain").stdout)
        for member, each in zip(self.members, readers):
            self.check(each, f"{member.name}, while n3 hands over")
        self.assertGreater(task["result"]["bytes"], 0)
        self.assertEqual(task["result"]["refused_blocks"], 0)
        for each in others:
            self.wait_state(each, leaver, "left")
        self.assertEqual(leaver.node.stop(), 0)
        for each in others:  # what they have in memory shall not count
            each.node.restart()
        self.wait_placed(others)
        for each in others:
            self.check(self.begin(each), f"{each.name}, without n3")
        self.assertEqual(self.gets(), before)
        for each in others:
            self.check_ended_well(each.node)

    def test_drain__then_join__is_placed_again(self):
        self.start(2)
        self.fill()
        leaver = self.members[1]
        before = self.gets()
        self.members[0].node.restart()  # it has read all, and keeps it in memory
        self.wait_placed(self.members)
        result = json.loads(self.leave(leaver, "--drain").stdout)["result"]
        self.assertGreater(result["bytes"], 0)
        self.assertEqual(result["copied_bytes"], result["bytes"])
        self.wait_state(self.members[0], leaver, "left")
        self.wait_placed(self.members[:1])
        leaver.cenote("join", f"127.0.0.1:{self.ports + 2}")
        self.wait_placed(self.members)
        for each in self.members:
            self.check(self.begin(each), f"{each.name}, after it joined again")
        self.assertEqual(self.gets(), before)

    def test_drain__of_an_empty_node__leaves(self):
        self.start(2)
        task = json.loads(self.leave(self.members[1], "--drain").stdout)
        self.assertEqual(task["result"]["blocks"], 0)
        self.wait_state(self.members[0], self.members[1], "left")

    # --- what stands in the way

    def test_drain__nobody_else__says_so_and_stays(self):
        self.start(1)
        self.fill()
        done = self.leave(self.members[0], "--drain", good=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no other member stores blocks", done.stderr)
        self.assertEqual(self.members[0].states()["n1"], "alive")

    def begin_stuck(self, leaver, victim, seen_by):
        """A drain that cannot end, as one of the new owners stands still."""
        victim.node.freeze()
        self.addCleanup(victim.node.close)
        command = self.begin_leave(leaver)
        self.wait_state(seen_by, leaver, "leaving")
        return command

    def test_drain__new_owner_killed__the_next_takes_its_blocks(self):
        self.start(3)
        self.fill()
        first, victim, leaver = self.members
        command = self.begin_stuck(leaver, victim, first)
        late = leaver.node.cenote("leave", "--run-dir", leaver.node.run_dir, "--drain",
                                  "--timeout", "1 ms")
        self.assertEqual(late.returncode, 1)
        self.assertIn("it goes on", late.stderr, "the one that runs is followed")
        victim.node.kill()
        out, problem = command.communicate(timeout=DRAIN_S)
        self.assertEqual(command.returncode, 0, f"{problem}{leaver.node.log_tail()}")
        leaver_had = json.loads(out)["result"]["bytes"]
        self.assertGreater(leaver_had, 0)
        self.wait_state(first, leaver, "left")
        self.wait_placed([first])
        before = first.node.counter("s3", "get_bytes")
        self.check(self.begin(first), "the one that is left")
        # what only the dead one had comes from S3 again, and nothing of the leaver's
        fetched = first.node.counter("s3", "get_bytes") - before
        self.assertLessEqual(fetched, self.total - leaver_had)

    def test_drain__no_room_at_the_others__is_told_and_reads_are_right(self):
        leaver = self.make()
        small = self.make(directories=[(self.folder("small") / "cache", "64 MiB")])
        for each in self.members:
            each.node.start()
        self.wait_placed(self.members)
        self.check(self.begin(leaver), "filling")
        task = json.loads(self.leave(leaver, "--drain").stdout)
        self.assertGreater(task["result"]["refused_blocks"], 0)
        self.wait_state(small, leaver, "left")
        self.check(self.begin(small), "the small one")

    def test_drain__plain_leave__ends_it_at_once(self):
        self.start(3)
        self.fill()
        first, victim, leaver = self.members
        command = self.begin_stuck(leaver, victim, first)
        self.leave(leaver)
        self.wait_state(first, leaver, "left")
        _, problem = command.communicate(timeout=DRAIN_S)
        self.assertEqual(command.returncode, 1)
        self.assertIn("told to leave", problem)
        self.assertEqual(leaver.states()["n3"], "left")
        victim.node.thaw()
        self.check(self.begin(first), "one that is left")

    def test_drain__join_meanwhile__stays(self):
        self.start(3)
        self.fill()
        first, victim, leaver = self.members
        command = self.begin_stuck(leaver, victim, first)
        leaver.cenote("join", f"127.0.0.1:{self.ports + 2}")
        self.wait_state(first, leaver, "alive")
        command.communicate(timeout=DRAIN_S)
        self.assertEqual(command.returncode, 1)
        victim.node.thaw()
        self.check(self.begin(first), "after it stayed")


if __name__ == "__main__":
    case.main()
