#!/usr/bin/python3
"""restart_test.py - every node is restarted, announced, one after the other, while the others
read."""
import scale

COUNT = 4


class Restart(scale.Scale):
    hosts = COUNT

    def test_all_restart_one_after_the_other_under_load__s3_sees_nothing(self):
        self.start(COUNT)
        self.read_all(self.members, "cold")
        self.flush()
        before, found = self.backing_bytes(), []
        for each in self.members:
            others = [other for other in self.members if other is not each]
            loads = [self.begin(other, seed, once=False) for seed, other in enumerate(others, 1)]
            self.assertEqual(each.node.stop(), 0)
            read = [load.files for load in loads]
            each.node.start()
            self.wait_placed(self.members)
            # all of them got on: with it away, or with it back
            for load, files in zip(loads, read):
                each.node.wait_until(lambda load=load, files=files: load.files > files,
                                     scale.ALL_S, "the others read")
            found += [self.check(load, f"while {each.name} restarts") for load in loads]
        found += self.read_all(self.members, "after it", seeded=True)
        self.figures(f"{COUNT} restarts, {sum(each['files'] for each in found)} files read "
                     f"meanwhile, S3 gave {self.backing_bytes() - before} more bytes; "
                     f"{scale.latencies(found)}")
        self.assertEqual(self.backing_bytes(), before)


if __name__ == "__main__":
    scale.main()
