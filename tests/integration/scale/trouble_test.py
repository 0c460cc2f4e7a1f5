#!/usr/bin/python3
"""trouble_test.py - in the middle of four readers, one owner is killed, one stopped, one cut off;
S3 fails every other request, then takes ten seconds for an answer: no read fails, none is late, and
S3 is not asked for a block that is on its way."""

import scale
from harness import wait

READERS = 4
STARTED_SHARE = 0.1  # of the files, when the trouble begins
SLOW_S = 10
SLOW_TIMES = 24


class Trouble(scale.Scale):
    """The gossip has its own, slow times: reads have to find out by themselves."""
    hosts = 7
    settings = {"gossip.swim.reconnect_interval": "1 s", "peers.audit": 0}

    def in_the_middle(self, members, why, trouble, expected=None):
        """All of @members read all; trouble() once they are at it. Return: what they found."""
        loads = [self.begin(member, seed, expected=expected)
                 for seed, member in enumerate(members, 1)]
        begun = max(1, int(len(self.dataset.digests) * STARTED_SHARE))
        wait.until(lambda: all(each.files >= begun or not each.thread.is_alive()
                               for each in loads), scale.ALL_S, "the readers are at it")
        trouble()
        return [self.check(each, f"{why}: {member.name}") for member, each in zip(members, loads)]

    def test_owners_killed_stopped_cut_off__no_read_fails(self):
        self.start(READERS + 3)
        readers, (killed, stopped, cut) = self.members[:READERS], self.members[READERS:]
        self.read_all(self.members, "cold")
        self.flush()
        self.phase("undisturbed", readers, lambda: None, lambda: None, silent=False)
        self.phase("an owner is killed", readers, killed.node.kill, killed.node.start)
        self.phase("an owner is stopped", readers, stopped.node.freeze, stopped.node.thaw)

        def heal():
            for member in self.members:
                member.host.heal()

        others = [member.host for member in self.members if member is not cut]
        self.phase("an owner is cut off", readers,
                   lambda: self.network.partition(others, [cut.host]), heal)

    def phase(self, what, readers, trouble, end, silent=True):
        """One round of all readers. What a lost owner alone had comes from S3, once.

        @silent: reads ask somebody who does not answer."""
        since, before = len(self.proxy.gets()), self.sum("peers", "silent", readers)
        found = self.in_the_middle(readers, what, trouble)
        silences = self.sum("peers", "silent", readers) - before
        self.figures(f"{what}: {scale.latencies(found)}; S3 gave "
                     f"{self.backing_bytes(since) / self.dataset.total:.3f} of the dataset, "
                     f"{self.given_twice(since)} bytes of it twice; "
                     f"{silences} silences")
        if silent:
            self.assertGreater(silences, 0, what)
        self.assertEqual(self.asked_twice_at_once(since), [], what)
        self.assertLessEqual(self.given_twice(since) / self.dataset.total,
                             scale.OVERHEAD_MAX - 1, what)
        end()
        self.wait_placed(self.members)

    def test_s3_fails_every_other_request_then_is_slow__no_read_fails(self):
        self.start(READERS)
        folder = self.folder("expected")
        first = self.dataset.write(folder / "first", lambda path: int(path[-1]) % 2)
        second = self.dataset.write(folder / "second", lambda path: not int(path[-1]) % 2)

        def storm():
            faults.append(self.proxy.add("status", match=lambda request: True, share=0.5))

        def slow():
            faults.append(self.proxy.add("delay", seconds=SLOW_S, times=SLOW_TIMES))

        faults = []
        for what, expected, trouble in (("half of all requests fail", first, storm),
                                        (f"answers after {SLOW_S} s", second, slow)):
            since = len(self.proxy.gets())
            found = self.in_the_middle(self.members, what, trouble, expected)
            self.proxy.clear()
            self.figures(f"S3: {what}, {faults[-1].seen} times: {scale.latencies(found)}; "
                         f"{self.given_twice(since)} bytes were given twice")
            self.assertGreater(faults[-1].seen, 0, what)
            self.assertEqual(self.asked_twice_at_once(since), [], what)
        self.assertLessEqual(self.backing_bytes() / self.dataset.total, scale.OVERHEAD_MAX)


if __name__ == "__main__":
    scale.main()
