#!/usr/bin/python3
"""once_test.py - at size, each byte comes from S3 once and each directory is listed once, however
many nodes read, join and restart."""
import scale


class Once(scale.Scale):
    def test_four_nodes_cold_at_once__each_byte_from_s3_once__a_fifth_adds_none(self):
        self.start(4)
        found = self.read_all(self.members, "cold")
        given, counted = self.backing_bytes(), self.sum("s3", "get_bytes")
        lists, heads = self.lists(), self.heads()
        self.figures(f"{self.dataset.total >> 20} MiB in {len(self.dataset.digests)} files on 4 "
                     f"nodes: S3 gave {given / self.dataset.total:.4f} of it, "
                     f"{sum(lists.values())} lists of {len(self.dataset.directories)} directories, "
                     f"{heads} heads; {scale.latencies(found)}")
        self.assertLessEqual(given / self.dataset.total, scale.OVERHEAD_MAX)
        self.assertLessEqual(counted / self.dataset.total, scale.OVERHEAD_MAX)
        self.assertEqual(self.asked_twice_at_once(), [])
        self.check_listed(1)
        self.flush()
        self.start(1)
        found = self.read_all(self.members[4:], "the fifth")
        self.figures(f"a fifth reads all: S3 gave {self.backing_bytes() - given} more bytes; "
                     f"{scale.latencies(found)}")
        self.assertEqual(self.backing_bytes(), given)
        self.check_listed(2)  # a directory that it owns now, anew
        for each in self.members:
            self.check_ended_well(each.node)

    def check_listed(self, most):
        """Each directory @most times, by whoever, through all mounts together."""
        lists = self.lists()
        self.assertEqual({prefix for prefix, _ in lists}, self.dataset.directories)
        self.assertEqual({page: count for page, count in lists.items() if count > most}, {})
        self.assertEqual(self.heads(), 0)

    def test_eight_nodes_open_the_dataset_at_once__it_is_listed_once(self):
        self.start(8)
        one = self.dataset.write(self.folder("expected") / "one",
                                 lambda path: path.endswith("000000"))
        self.read_all(self.members, "listing", expected=one)
        self.figures(f"8 nodes list {len(self.dataset.directories)} directories: "
                     f"{sum(self.lists().values())} lists, {self.heads()} heads")
        self.check_listed(1)

    def test_two_to_eight_nodes_join_under_load__s3_sees_nothing(self):
        self.start(2)
        self.read_all(self.members, "cold")
        self.flush()
        before = self.backing_bytes()
        loads = [self.begin(member, seed, once=False)
                 for seed, member in enumerate(self.members, 1)]
        joined = []
        while len(self.members) < 8:
            self.start(1)
            joined.append(self.begin(self.members[-1], seed=len(self.members)))
        found = [self.check(each, "joined") for each in joined]
        found += [self.check(each, "load") for each in loads]
        files = sum(each["files"] for each in found)
        self.figures(f"2 to 8 nodes: {files} files read meanwhile, S3 gave "
                     f"{self.backing_bytes() - before} more bytes; {scale.latencies(found)}")
        self.assertEqual(self.backing_bytes(), before)


if __name__ == "__main__":
    scale.main()
