#!/usr/bin/python3
"""peers_test.py - several nodes as one cache: every block comes from S3 once, whoever reads it; and
what happens to the readers when nodes come, go, die or stop."""

from harness import case, cluster, content, network, node, reader, scratch

BIG_COUNT = 6
BIG_PART = 8 * content.MIB
BIG_PARTS = 3
SMALL_COUNT = 200
SMALL_LEN = 110 * 1024
PLACED_S = 60
ALL_S = 300


class Peers(case.Case):
    """Nodes of this machine, each at ports of its own, and one S3 server."""

    @classmethod
    def setUpClass(cls):
        cls.bucket = case.World.s3().make_bucket()
        cls.digests, cls.total = {}, 0
        for number in range(BIG_COUNT):
            parts = [content.random_bytes(100 * number + part, BIG_PART)
                     for part in range(BIG_PARTS)]
            case.World.s3().put_parts(cls.bucket, f"big-{number}", parts)
            cls.remember(f"big-{number}", b"".join(parts))
        small = [(f"small/{number:03}", content.random_bytes(5000 + number, SMALL_LEN + number))
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

    def make(self, settings=None):
        """One more node, not started."""
        number = len(self.members) + 1
        gossip, fabric = (f"127.0.0.1:{self.ports + 2 * number + each}" for each in (0, 1))
        backing = node.s3_backing("lake", self.s3)
        own = {"node.name": f"n{number}", "cluster.name": "test", "cache.memory": "128 MiB",
               "gossip.listen": gossip, "fabric.listen": fabric,
               "gossip.join": [f"127.0.0.1:{self.ports + 2}"] if self.members else [],
               **cluster.FAST, **(settings or {})}
        made = self.make_node([backing], [node.entry(self.bucket)], settings=own)
        made.set("cluster.secret_file", made.directory / "secret")
        cluster.write_secret(made.directory / "secret", self.secret)
        member = cluster.Member(made, None, f"n{number}")
        self.members.append(member)
        return member

    def start(self, count, settings=None):
        """@count more nodes; waits until all agree on who has which block."""
        for _ in range(count):
            self.make(settings).node.start()
        self.wait_placed()

    def wait_placed(self, members=None, count=None):
        members = members or self.members
        for each in members:
            each.node.wait_until(
                lambda each=each: each.node.counter("peers", "members") == (count or len(members)),
                PLACED_S, f"{each.name} places blocks on {count or len(members)} members")

    def fetched(self, members=None):
        """Bytes that came from S3, to all nodes together."""
        return sum(each.node.counter("s3", "get_bytes") for each in members or self.members)

    def begin(self, member, keys=None):
        """A process that reads all (or @keys) on @member."""
        keys = keys or list(self.digests)
        each = reader.Reader("sha256", *(member.node.mount / key for key in keys))
        each.keys = keys
        return each

    def check(self, each, why):
        self.assertEqual(dict(zip(each.keys, each.results(ALL_S))),
                         {key: self.digests[key] for key in each.keys}, why)

    def check_all(self, members, why):
        """All of @members read everything at once, and get the right bytes."""
        readers = [self.begin(member) for member in members]
        for member, each in zip(members, readers):
            self.check(each, f"{why}: {member.name}")

    # --- each byte from S3 once

    def test_four_nodes__cold_at_once__each_byte_from_s3_once(self):
        self.start(4, {"cache.replicate": "off"})
        self.check_all(self.members, "cold")
        self.assertLessEqual(self.fetched() / self.total, 1.01)
        self.assertGreater(sum(each.node.counter("peers", "fetched_bytes")
                               for each in self.members), 2 * self.total)
        self.check_all(self.members, "warm")
        self.assertLessEqual(self.fetched() / self.total, 1.01)
        for each in self.members:
            self.check_ended_well(each.node)

    def test_nodes_join_one_after_the_other__under_load__s3_sees_nothing(self):
        off = {"cache.replicate": "off"}  # or the first two soon have all
        self.start(2, off)
        self.check_all(self.members, "cold")
        for each in self.members:
            each.node.flush()
        before = self.fetched()
        for count in (3, 4, 5):
            readers = [self.begin(member) for member in self.members]
            self.make(off).node.start()
            for each in readers:
                self.check(each, "while another joins")
            self.wait_placed()
            self.check(self.begin(self.members[-1]), f"n{count} reads all")
        self.assertEqual(self.fetched(), before)

    def test_all_restart__one_after_the_other__s3_sees_nothing(self):
        self.start(3)
        self.check_all(self.members, "cold")
        for each in self.members:
            each.node.flush()
        for each in self.members:
            others = [other for other in self.members if other is not each]
            before = self.fetched(others)
            readers = [self.begin(member) for member in others]
            self.assertEqual(each.node.stop(), 0)
            each.node.start()
            for one in readers:
                self.check(one, f"while {each.name} restarts")
            self.wait_placed()
            self.assertEqual(self.fetched(others), before)
            self.assertEqual(each.node.counter("s3", "get_bytes"), 0)

    # --- bad luck

    def test_owner_killed__in_the_middle_of_reads__no_read_fails(self):
        self.start(4)
        self.check_all(self.members[:2], "cold")
        readers = [self.begin(member) for member in self.members[:3]]
        victim = self.members[3]
        self.members[2].node.wait_counter("peers", "fetched_bytes", BIG_PART)
        victim.node.kill()
        for each in readers:
            self.check(each, "while an owner is killed")
        self.wait_placed(self.members[:3])

    def test_owner_stopped__in_the_middle_of_reads__no_read_fails(self):
        self.start(3)
        readers = [self.begin(member) for member in self.members[:2]]
        self.members[0].node.wait_counter("peers", "fetched_bytes", BIG_PART)
        self.members[2].node.freeze()
        self.addCleanup(self.members[2].node.close)
        for each in readers:
            self.check(each, "while an owner is stopped")
        self.members[2].node.thaw()

    def test_all_killed__started_again__the_ssds_serve(self):
        self.start(3)
        self.check_all(self.members, "cold")
        for each in self.members:
            each.node.flush()
        for each in self.members:
            each.node.kill()
        for each in self.members:
            each.node.start()
        self.wait_placed()
        self.check_all(self.members, "after all were killed")
        self.assertEqual(self.fetched(), 0)


class Hosts(case.Case):
    """Nodes on hosts of their own, whose network can be cut; memory only."""
    FILES, FILE_LEN = 12, 6 * content.MIB
    SLOW_FILES, SLOW_MEGABITS = 4, 20  # four blocks under way take seven seconds

    @classmethod
    def setUpClass(cls):
        cls.network = network.Network(3)
        cls.addClassCleanup(cls.network.close)

    def setUp(self):
        super().setUp()
        data = self.folder("dataset")
        self.digests = {}
        for number in range(self.FILES):
            body = content.random_bytes(number, self.FILE_LEN)
            (data / str(number)).write_bytes(body)
            self.digests[str(number)] = content.sha256(body)
        made = cluster.Cluster(self, self.network, 3, {"cache.memory": "192 MiB"}, data=data)
        made.join_all()
        self.members = made.members
        for each in self.members:
            each.node.wait_until(lambda each=each: each.node.counter("peers", "members") == 3,
                                 PLACED_S, f"{each.name} places blocks on all")

    def begin(self, member, count=FILES):
        """Reads @count of the files."""
        return reader.Reader("sha256", *(member.node.mount / name
                                         for name in list(self.digests)[:count]))

    def check(self, begun, count=FILES, message=None):
        self.assertEqual(begun.results(ALL_S), list(self.digests.values())[:count], message)

    def test_owner_cut_off__in_the_middle_of_reads__no_read_fails(self):
        n1, n2, n3 = self.members
        readers = [self.begin(member) for member in (n1, n2)]
        n1.node.wait_counter("peers", "fetched_bytes", self.FILE_LEN)
        self.network.partition([n1.host, n2.host], [n3.host])
        for each in readers:
            self.check(each)
        self.check(self.begin(n3), message="the one cut off reads too")
        for member in self.members:
            member.host.heal()

    def test_slow_links__a_read_takes_seconds__it_is_waited_for(self):
        self.check(self.begin(self.members[0]))
        for member in self.members:
            member.host.limit(self.SLOW_MEGABITS)
            self.addCleanup(member.host.limit_not)
        self.check(self.begin(self.members[1], self.SLOW_FILES), self.SLOW_FILES)
        self.assertEqual(sum(each.node.counter("fabric", "read_timeouts")
                             for each in self.members), 0)


if __name__ == "__main__":
    case.main()
