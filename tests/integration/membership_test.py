#!/usr/bin/python3
"""membership_test.py - clusters of real daemons, each on a host (network namespace) of its own:
joining, dying, leaving, restarting, partitions, exchanged keys, strangers and twins, as `cenote
members` on each node shows them."""
import json
import os
import shutil
import subprocess
import threading

from harness import case, cluster, network

FLOOD_RATE = 10000  # packets a second
FLOOD = """
import os, socket, sys, time
address, port, seconds, key, rate = sys.argv[1], *map(str, sys.argv[2:])
head = b"CeGo\\x01\\x00\\x00\\x00"
sent, started = 0, time.monotonic()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
    while time.monotonic() < started + float(seconds):
        while sent < (time.monotonic() - started) * float(rate):
            body = os.urandom(200)
            for packet in (body, head + body, head + bytes.fromhex(key) + body):
                out.sendto(packet, (address, int(port)))
                sent += 1
        time.sleep(0.005)
print(sent)
"""
PORT = 7472


class Membership(case.Case):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("nft"):
            raise case.unittest.SkipTest("nft is missing: tests/install integration")
        cls.network = network.Network(5)
        cls.addClassCleanup(cls.network.close)

    def make_cluster(self, count, settings=None, family=4):
        made = cluster.Cluster(self, self.network, count, settings, family)
        made.join_all()
        return made

    # --- coming and going

    def test_three_nodes__killed_left_restarted_partitioned__all_see_it(self):
        made = self.make_cluster(3, {"gossip.restart_timeout": "60 s"})
        n1, n2, n3 = made.members
        before = n1.members()["n3"]

        n3.node.wait_until((n3.node.directory / "state" / "peers").exists, 30, "n3 remembers")
        n3.node.kill()
        made.wait_states({"n1": "alive", "n2": "alive", "n3": "dead"}, [n1, n2])
        n3.node.start()
        # Nobody told it whom to join: it remembers.
        made.wait_states({"n1": "alive", "n2": "alive", "n3": "alive"})
        after = n1.members()["n3"]
        self.assertEqual(after["id"], before["id"], "the same member")
        self.assertNotEqual(after["boot"], before["boot"], "in another life")
        self.assertGreater(after["incarnation"], before["incarnation"])

        done = n2.cenote("leave", "--drain")
        self.assertIn("what is in memory is not handed over; left the cluster", done.stdout)
        made.wait_states({"n1": "alive", "n2": "left", "n3": "alive"})
        self.assertTrue(n2.node.is_mounted(), "it goes on serving")
        n2.cenote("join", made.address(n3))
        made.wait_states({"n1": "alive", "n2": "alive", "n3": "alive"})

        self.assertEqual(n3.node.stop(), 0)
        made.wait_states({"n1": "alive", "n2": "alive", "n3": "restarting"}, [n1, n2])
        n3.node.start()
        made.wait_states({"n1": "alive", "n2": "alive", "n3": "alive"})
        self.assertEqual(n1.counter("deaths") + n2.counter("deaths"), 2, "only the one killed")

        self.network.partition([n1.host, n2.host], [n3.host])
        made.wait_states({"n1": "alive", "n2": "alive", "n3": "dead"}, [n1, n2])
        made.wait_states({"n1": "dead", "n2": "dead", "n3": "alive"}, [n3])
        for member in made.members:
            member.host.heal()
        made.wait_states({"n1": "alive", "n2": "alive", "n3": "alive"})

    def test_restarting__longer_than_announced__is_missed(self):
        made = self.make_cluster(3, {"gossip.restart_timeout": "2 s"})
        n1, n2, n3 = made.members
        self.assertEqual(n3.node.stop(), 0)
        made.wait_states({"n1": "alive", "n2": "alive", "n3": "restarting"}, [n1])
        made.wait_states({"n1": "alive", "n2": "alive", "n3": "dead"}, [n1, n2])

    def test_stop__restart_timeout_0__leaves(self):
        made = self.make_cluster(2, {"gossip.restart_timeout": "0"})
        n1, n2 = made.members
        self.assertEqual(n2.node.stop(), 0)
        made.wait_states({"n1": "alive", "n2": "left"}, [n1])

    def test_back_with_another_address__is_one_member(self):
        made = self.make_cluster(2)
        n1, n2 = made.members
        n2.node.wait_until((n2.node.directory / "state" / "peers").exists, 30, "n2 remembers n1")
        n2.node.kill()
        n2.host = self.network.hosts[3]
        n2.node.launcher = n2.host.inside
        n2.node.set("gossip.listen", n2.host.address)
        n2.node.set("fabric.listen", n2.host.address)
        n2.node.start()
        made.wait_states({"n1": "alive", "n2": "alive"})
        n1.node.wait_until(lambda: n1.members()["n2"]["gossip"] == f"{n2.host.address}:{PORT}",
                           cluster.STATE_S, "n1 knows the new address")

    def test_ipv6__joins_and_finds_the_dead(self):
        made = self.make_cluster(3, family=6)
        n1, n2, n3 = made.members
        self.assertTrue(n1.members()["n2"]["gossip"].startswith("[fd77::2]"))
        n3.node.kill()
        made.wait_states({"n1": "alive", "n2": "alive", "n3": "dead"}, [n1, n2])

    def test_listening_everywhere__is_known_by_the_address_towards_the_others(self):
        made = self.make_cluster(2, {"gossip.listen": "::"})
        n1, n2 = made.members
        self.assertEqual(n1.members()["n2"]["gossip"], f"{n2.host.address}:{PORT}")
        self.assertEqual(n2.members()["n1"]["gossip"], f"{n1.host.address}:{PORT}")

    def test_join_of_the_config__seed_that_is_down__is_found_when_it_comes(self):
        made = cluster.Cluster(self, self.network, 0)
        seed, late = self.network.hosts[:2]
        n2 = made.make(2, late, {"gossip.join": [seed.address, "nobody.invalid"]}).start()
        self.assertEqual(n2.states(), {"n2": "alive"}, "it serves alone")
        n1 = made.make(1, seed).start()
        made.wait_states({"n1": "alive", "n2": "alive"}, [n1, n2])

    def test_members__watched_and_for_people(self):
        made = self.make_cluster(2)
        n1 = made.members[0]
        done = n1.cenote("members", "--watch", "--count", "2", "--interval", "100 ms", "--json")
        self.assertEqual(len(done.stdout.splitlines()), 2)
        table = n1.cenote("members").stdout
        self.assertRegex(table, r"n2 +alive +.* 10\.77\.0\.2:7472")
        status = n1.cenote("status").stdout
        self.assertIn("CLUSTER test", status)
        self.assertIn("2 alive", status)

    # --- keys

    def test_keys_exchanged__under_traffic__nobody_is_lost(self):
        made = self.make_cluster(3)
        n1, n2, n3 = made.members
        started = {name: member["boot"] for name, member in n1.members().items()}
        seen, ended = [], threading.Event()

        def watch():
            while not ended.is_set():
                for member in made.members:
                    seen.append(member.states())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            for at, member in enumerate((n1, n2, n3)):
                old = self.keys_of(n1)["used"]
                added = member.cenote("keys", "add").stdout.split()[1]
                self.assertEqual({self.keys_of(each)["used"] for each in made.members}, {old})
                made.members[at - 1].cenote("keys", "use", added)
                made.members[at - 2].cenote("keys", "remove", old)
                for each in made.members:
                    self.assertEqual(self.keys_of(each), {"used": added, "others": []})
        finally:
            ended.set()
            watcher.join()
        self.assertEqual({state for view in seen for state in view.values()}, {"alive"})
        self.assertTrue(all(len(view) == 3 for view in seen))
        self.assertEqual(sum(member.counter("deaths") for member in made.members), 0)
        # The files have it: all restart, and are together again.
        for member in made.members:
            member.node.restart()
        made.wait_states({"n1": "alive", "n2": "alive", "n3": "alive"})
        self.assertNotEqual(started, {name: each["boot"] for name, each in n1.members().items()})
        # No key is in any log.
        secrets = {(each.node.directory / "secret").read_text(encoding="utf-8").split()[-1]
                   for each in made.members}
        self.assertEqual(len(secrets), 1)
        for member in made.members:
            self.assertNotIn(secrets.copy().pop(), member.node.log())

    def keys_of(self, member):
        answer = json.loads(member.cenote("keys", "list", "--local", "--json").stdout)
        words = answer["lines"][0]["text"].replace(",", "").split()
        return {"used": words[1], "others": words[3:]}

    def test_keys__a_member_does_not_answer__nothing_is_changed(self):
        made = self.make_cluster(3, {"gossip.swim.probe_interval": "5 s"})
        n1, _, n3 = made.members
        added = n1.cenote("keys", "add").stdout.split()[1]
        n3.node.freeze()
        done = n1.cenote("keys", "use", added, good=False)
        n3.node.thaw()
        self.assertEqual(done.returncode, 1)
        self.assertIn("nothing was changed", done.stderr)
        self.assertIn("n3", done.stdout)
        self.assertNotEqual(self.keys_of(n1)["used"], added)

    # --- strangers

    def test_strangers__foreign_cluster_and_floods__disturb_nobody(self):
        made = self.make_cluster(3)
        n1, n2, _ = made.members
        stranger = made.make(9, self.network.hosts[4], secret=cluster.make_secret(),
                             name="stranger").start()
        done = stranger.cenote("join", made.address(n1), good=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("secret files differ", done.stdout)
        namesake = made.make(8, self.network.hosts[3], {"cluster.name": "other"},
                             name="namesake").start()
        done = namesake.cenote("join", made.address(n1), good=False)
        self.assertEqual(done.returncode, 1)
        n1.node.wait_until(lambda: n1.counter("foreign") > 0 and n1.counter("forged") > 0, 30,
                           "the strangers are counted")

        probes = [member.counter("probes") for member in made.members]
        key = self.keys_of(n1)["used"]
        sent = subprocess.run(
            [*self.network.hosts[4].enter, "/usr/bin/python3", "-c", FLOOD, made.address(n1),
             str(PORT), "8", key, str(FLOOD_RATE)], stdout=subprocess.PIPE, check=True, text=True)
        self.assertGreater(int(sent.stdout), 8 * FLOOD_RATE / 2, "thousands a second")
        for member, before in zip(made.members, probes):
            self.assertGreater(member.counter("probes"), before + 10)
            self.assertEqual(member.counter("suspicions"), 0, member.name)
            self.assertEqual(member.states(), {"n1": "alive", "n2": "alive", "n3": "alive"})
        self.assertGreater(n1.counter("malformed"), 1000)
        self.assertGreater(n1.counter("foreign"), 1000)
        self.assertGreater(n1.counter("forged"), 1000)
        self.assertEqual(n2.counter("malformed"), 0)

    def test_twins__one_state_directory_copied__the_elder_stays_and_both_say_so(self):
        made = self.make_cluster(3)
        n1, n2, n3 = made.members
        twin = made.make(7, self.network.hosts[4], name="twin")
        shutil.copytree(n3.node.directory / "state", twin.node.directory / "state")
        twin.start()
        twin.cenote("join", made.address(n1), good=False)
        twin.node.wait_until(lambda: twin.node.status()["cluster"]["standing"] == "displaced",
                             cluster.STATE_S, "the twin is displaced")
        self.assertIn("member id", twin.cenote("status").stdout)
        self.assertIn("gossip.twin", twin.node.log())
        n3.node.wait_until(lambda: n3.node.status()["cluster"]["problem"], 30, "n3 is told")
        self.assertIn("gossip.twin", n3.node.log())
        made.wait_states({"n1": "alive", "n2": "alive", "n3": "alive"})
        self.assertEqual(n2.members()["n3"]["gossip"], f"{n3.host.address}:{PORT}")
        # As it was advised:
        self.assertEqual(twin.node.stop(), 0)
        (twin.node.directory / "state" / "member").unlink()
        twin.start()
        twin.cenote("join", made.address(n1))
        made.wait_states({"n1": "alive", "n2": "alive", "n3": "alive", "twin": "alive"})

    # --- a node that does not start, or is alone

    def test_start__secret_missing_or_open_to_all__says_what_to_do(self):
        made = cluster.Cluster(self, self.network, 0)
        member = made.make(1, self.network.hosts[0])
        secret = member.node.directory / "secret"
        os.chmod(secret, 0o644)
        for expected in ("secret", "cenote keys generate"):
            member.node.write_config()
            member.node.launch()
            self.assertEqual(member.node.wait_ended(), 1)
            self.assertIn(expected, member.node.log_tail(3))
            secret.unlink(missing_ok=True)

    def test_alone__without_a_cluster__as_ever(self):
        data = self.folder("data")
        each = self.make_node([{"id": "data", "type": "directory", "directory": data}],
                              [{"path": "/", "backing": "data"}]).start()
        done = each.cenote("members", "--run-dir", each.run_dir)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cluster.name", done.stderr)
        self.assertIsNone(each.status()["cluster"])
        self.assertFalse((each.directory / "state").exists())
        self.check_ended_well(each)


if __name__ == "__main__":
    case.main()
