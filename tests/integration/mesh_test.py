#!/usr/bin/python3
"""mesh_test.py - cenote-bw --mesh over running daemons: a slow link is found, limits are kept, what
cannot be measured is told, and the picture is one."""
import json
import pathlib
import xml.etree.ElementTree

from harness import case, cluster, network, node, program

COUNT = 4
SLOW = "n4"
SLOW_MEGABITS = 10
OTHERS_MEGABITS = 200
QUICK = ("--seconds", "500 ms", "--size", "16 KiB", "--depth", "4")
MESH_S = 180
PLACED_S = 60
SVG = "{http://www.w3.org/2000/svg}"


class Mesh(case.Case):
    """Members on hosts of their own, whose links all are limited to what any machine can do."""

    def setUp(self):
        super().setUp()
        self.network = network.Network(COUNT)
        self.addCleanup(self.network.close)
        for host in self.network.hosts:
            host.limit(OTHERS_MEGABITS)
        self.network.hosts[-1].limit(SLOW_MEGABITS)
        self.cluster = cluster.Cluster(self, self.network, COUNT)
        self.members = self.cluster.members
        self.cluster.join_all()
        for each in self.members:
            each.node.wait_until(
                lambda each=each: each.node.counter("peers", "members") == COUNT, PLACED_S,
                f"{each.name} knows all")

    def begin(self, *arguments):
        """cenote-bw --mesh beside the test, asking the first member's daemon."""
        self.reads = {each.name: each.node.counter("fabric", "reads") for each in self.members
                      if each.node.process}
        started = program.Program(
            self.folder("mesh"),
            [node.BIN_DIR / "cenote-bw", "--run-dir", self.members[0].node.run_dir, "--mesh",
             *arguments], node.ENVIRONMENT)
        self.addCleanup(started.close)
        return started

    def mesh(self, *arguments, status=0):
        done = self.begin(*arguments)
        self.assertEqual(done.ended(MESH_S), status, done.describe())
        return done

    def cells(self, done):
        """(reader, target) -> its cell, by names."""
        result = json.loads(done.stdout)
        names = [member["name"] for member in result["members"]]
        return {(names[cell["reader"]], names[cell["target"]]): cell for cell in result["cells"]}

    def wait_reads(self, running, member):
        """Until @member has read something that @running asked for."""
        running.wait_until(lambda: member.node.counter("fabric", "reads") > self.reads[member.name],
                           MESH_S, f"{member.name} reads")

    def test_one_limited_link__is_found_and_nothing_else(self):
        picture = pathlib.Path(self.folder("picture")) / "mesh.svg"
        cells = self.cells(self.mesh(*QUICK, "--json", "--svg", picture))
        names = [member.name for member in self.members]
        self.assertEqual(set(cells), {(a, b) for a in names for b in names if a != b})
        for pair, cell in cells.items():
            self.assertIsNone(cell["problem"], pair)
            self.assertEqual(cell["slow_bandwidth"], SLOW in pair, (pair, cells))
            self.assertGreater(cell["p50_ns"], 0)
            self.assertGreaterEqual(cell["p99_ns"], cell["p50_ns"])
            # a bucket's burst beside the rate
            self.assertLess(cell["bytes_per_s"] * 8, 2e6 * (
                SLOW_MEGABITS if SLOW in pair else OTHERS_MEGABITS), pair)
        root = xml.etree.ElementTree.parse(picture).getroot()
        self.assertEqual(root.tag, f"{SVG}svg")
        tooltips = [group.find(f"{SVG}title").text for group in root.iter(f"{SVG}g")]
        self.assertEqual(len(tooltips), COUNT * (COUNT - 1))
        self.assertEqual(len([text for text in tooltips if f"from {SLOW}:" in text]), COUNT - 1)

    def test_for_people__the_slow_ones_have_stars_and_one_member_in_common(self):
        text = self.mesh(*QUICK).stdout
        rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()
                if line.startswith("n") and "*" in line or line.startswith(SLOW)}
        self.assertIn("BANDWIDTH, MB/s", text)
        self.assertIn("LATENCY of 4 KiB, us", text)
        self.assertIn(SLOW, rows, text)
        self.assertRegex(text, f"n1 reads from {SLOW}: ")
        self.assertRegex(text, rf"{SLOW} takes part in \d+ of these \d+")

    def test_bytes__each_pair_reads_no_more(self):
        limit, small = 1 << 20, 1000 * 4096
        before = [each.node.counter("fabric", "read_bytes") for each in self.members]
        started = [each.node.counter("fabric", "reads") for each in self.members]
        cells = self.cells(self.mesh("--json", "--bytes", str(limit), "--size", "64 KiB",
                                     "--depth", "4", "--seconds", "10"))
        self.assertEqual([cell["problem"] for cell in cells.values()], [None] * len(cells))
        for index, each in enumerate(self.members):
            read = each.node.counter("fabric", "read_bytes") - before[index]
            self.assertGreaterEqual(read, (COUNT - 1) * limit)
            self.assertLessEqual(read, (COUNT - 1) * (limit + small))
            reads = each.node.counter("fabric", "reads") - started[index]
            self.assertLessEqual(reads, (COUNT - 1) * (limit // (64 << 10) + 1000))

    def test_named_members__only_those(self):
        cells = self.cells(self.mesh(*QUICK, "--json", "n3", "n2"))
        self.assertEqual(set(cells), {("n2", "n3"), ("n3", "n2")})
        for arguments, said in ((["n9"], "no member is called 'n9'"), (["n1"], "there is one"),
                                (["--seconds", "11"], "10 s at most")):
            done = self.mesh(*arguments, status=2 if "--seconds" in arguments else 1)
            self.assertIn(said, done.stderr)

    def test_a_member_dies_in_the_middle__the_rest_is_measured(self):
        running = self.begin("--json", "--seconds", "2", "--size", "16 KiB", "--depth", "4")
        dead = self.members[2]
        self.wait_reads(running, dead)
        dead.node.kill()
        self.assertEqual(running.ended(MESH_S), 1, running.describe())
        self.assertIn("not all links could be measured", running.stderr)
        cells = self.cells(running)
        failed = {pair for pair, cell in cells.items() if cell["problem"]}
        self.assertTrue(failed)
        for pair in failed:
            self.assertIn(dead.name, pair, cells[pair])
        for pair, cell in cells.items():
            if dead.name not in pair:
                self.assertGreater(cell["bytes_per_s"], 0, pair)
                self.assertGreater(cell["p50_ns"], 0, pair)

    def test_the_daemon_stops__it_ends_soon_and_says_so(self):
        running = self.begin("--seconds", "10", "--bytes", "64 GiB")
        self.wait_reads(running, self.members[0])
        self.check_ended_well(self.members[0].node)
        self.assertEqual(running.ended(MESH_S), 1, running.describe())
        self.assertTrue(running.stderr.strip())

    def test_a_second_one__is_told_to_wait(self):
        first = self.begin("--seconds", "5", "--bytes", "64 GiB", "--json", "n1", "n2")
        self.wait_reads(first, self.members[0])
        second = self.mesh(status=1)
        self.assertIn("mesh is under way already", second.stderr)
        self.assertEqual(first.ended(MESH_S), 0, first.describe())


if __name__ == "__main__":
    case.main()
