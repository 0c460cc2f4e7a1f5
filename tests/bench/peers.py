"""peers.py - several nodes as one cache, on hosts of their own (network namespaces) over ucx and tcp;
the backing store is a directory, so that nothing but nodes and links is measured.

peers_cache: a node without a mount (peer_reader.c) reads blocks that lie in a member's memory, as
many in flight as ucx_perftest has messages, over the same loopback.
peers_mount: a file that lies with a member only, in its memory or on its SSD, read through the mount,
beside the same read where it lies.
peers_scale: N nodes read N parts of what lies spread over all of them, each behind a link of
LINK_MBIT: a rate so low that not the processors are what is measured. Only what crosses a link
counts, and the time while all read, beside what all links could carry.
peers_lockstep: eight nodes read one file at once, from nine owners behind such links; with and without
referral to those that have a block by now. The busiest link, beside the mean of all.
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import time

from fabric import UcxPerftest, rotated, use_cubic
from machine import Failed, drop_caches, run, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../integration"))
from harness import cluster, network, node, scratch  # noqa: E402

MIB = 1 << 20
BLOCK_LEN = 4 * MIB
DEPTH = 8
SECONDS = 3
LINK_MBIT = 400
MTU = 9000
LINK_BYTES = LINK_MBIT * 1e6 / 8
SCALES = (2, 4, 8)
LOCKSTEP = 8
PLACED_SECONDS_MAX = 90
READ_SECONDS_MAX = 600
HOT_READERS = {"cenote": 2, "unreferred": 0}


class Hosts(network.Network):
    """With the congestion control of fabric.py, for the same reason, and the long packets that
    networks of clusters have: of 1,500 bytes a twentieth is headers."""

    def __init__(self, count):
        super().__init__(count)
        for host in self.hosts:
            network.ip("-n", host.namespace, "link", "set", "eth0", "mtu", str(MTU))
            network.ip("-n", self.switch, "link", "set", host.port, "mtu", str(MTU))
            network.ip("-n", host.namespace, "route", "replace", "10.77.0.0/16", "dev", "eth0",
                       "src", host.address, "congctl", "cubic")


class Loopback:
    """One host with nothing but its loopback: what fabric.py calls a wire."""

    def __init__(self):
        self.hosts = network.Network(1)
        self.host = self.hosts.hosts[0]
        network.ip("-n", self.host.namespace, "link", "set", "eth0", "down")
        use_cubic(self.host.namespace)

    def command(self, argv):
        return [*self.host.inside, *argv]


class Nodes:
    """Nodes that share one backing directory. It is taken down at the end of a `with`."""

    def __init__(self, bench, data):
        self.bench = bench
        self.data = data
        self.members = []
        self.secret = cluster.make_secret()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in self.members:
            member.node.close()

    def add(self, host, memory_len, directories=(), **settings):
        """One more, started. @settings: with "__" for the dots."""
        name = f"n{len(self.members) + 1}"
        seed = self.members[0].node.config["gossip"]["listen"] if self.members else None
        own = {"node.name": name, "cluster.name": "bench", "log.level": "notice",
               "cache.memory": memory_len, "cache.replicate": "off",
               "gossip.listen": host.address, "fabric.listen": host.address,
               "gossip.join": [seed] if seed else [], **cluster.FAST,
               **{key.replace("__", "."): value for key, value in settings.items()}}
        made = node.Node(self.bench.folder("node"),
                         [{"id": "data", "type": "directory", "directory": self.data}],
                         [{"path": "/", "backing": "data", "attribute_timeout": "1 h",
                           "entry_timeout": "1 h", "listing_timeout": "1 h"}],
                         directories=list(directories), settings=own, launcher=host.inside)
        made.set("cluster.secret_file", made.directory / "secret")
        cluster.write_secret(made.directory / "secret", self.secret)
        self.members.append(cluster.Member(made, host, name))
        self.start(self.members[-1])
        return self.members[-1]

    def start(self, member):
        """As it is some seconds after a start: its memory touched, which it does when idle."""
        member.node.start()
        length = member.node.config["cache"]["memory"]
        wait_for(f"{member.name} to touch its memory",
                 lambda: member.node.counter("cache", "memory_populated") >= length - 4 * MIB,
                 PLACED_SECONDS_MAX)

    def wait_placed(self):
        for member in self.members:
            wait_for(f"{member.name} to know who has what",
                     lambda member=member: member.node.counter("peers", "members")
                     == len(self.members), PLACED_SECONDS_MAX)

    def restart(self):
        """Nothing is in anybody's memory any more."""
        for member in self.members:
            member.node.flush()
        for member in self.members:
            if member.node.stop() != 0:
                raise Failed(f"{member.name} did not stop well: {member.node.log_tail()}")
        drop_caches()
        for member in self.members:
            self.start(member)
        self.wait_placed()

    def sum(self, room, name):
        return sum(member.node.counter(room, name) for member in self.members)

    def fetched(self):
        """Bytes that all have got from others so far."""
        return self.sum("peers", "fetched_bytes")


class PeersBench:
    """What the parts have in common. Its files lie in a mount of their own: see scratch."""

    def __init__(self, bench):
        node.BIN_DIR = pathlib.Path(bench.programs)
        scratch.TOP = pathlib.Path(bench.directory) / "peers"
        self.bench = bench
        self.scratch = scratch.Scratch()
        self.folder = self.scratch.folder
        self.object_len = bench.sizes["object"]
        self.part_len = bench.sizes["object"] // 2
        self.program = os.path.join(bench.programs, "../tests/bench/peer_reader")

    def add(self, line, who, value, unit="MB/s", decimals=0):
        self.bench.report.add(line, who, value)
        self.bench.say(f"{line}: {who} {value:,.{decimals}f} {unit}")

    def make_data(self, **files):
        """A directory with files of random bytes, name=length: the same in each repetition, so that
        what is read can be compared."""
        data = self.folder("data")
        for name, length in files.items():
            source = random.Random(name)
            with open(data / name, "wb") as stream:
                while length:
                    length -= stream.write(source.randbytes(min(length, 8 * MIB)))
        return data

    # --- without FUSE

    def cache(self, repetition):
        wire = Loopback()
        try:
            rivals = [UcxPerftest(wire, "ucp_get", "ucp_get", "ucp_get", None),
                      UcxPerftest(wire, "ucp_am", "ucp_am_bw", "ucp_am_lat", None)]
            parts = [(each.name, lambda each=each: each.bandwidth(BLOCK_LEN, DEPTH)[0])
                     for each in rivals] + [("cenote", lambda: self.cache_read(wire))]
            for who, measure in rotated(parts, repetition):
                self.add("peers_cache", who, measure() / 1e6)
        finally:
            wire.hosts.close()

    def cache_read(self, wire):
        """Return: bytes a second."""
        data = self.make_data(object=self.object_len)
        directory = self.folder("reader")
        with Nodes(self, data) as nodes:
            owner = nodes.add(wire.host, self.object_len + 256 * MIB,
                              gossip__listen="127.0.0.1:7472", fabric__listen="127.0.0.1:7471")
            cluster.write_secret(directory / "secret", nodes.secret)
            config = owner.members()[owner.name]["config"]
            found = json.loads(run(wire.command(
                [self.program, str(directory), "127.0.0.1:7482", "127.0.0.1:7481",
                 "127.0.0.1:7472", config, str(data), "object", str(SECONDS), str(DEPTH)])))
        if found["peer_bytes"] < 0.9 * found["bytes"]:
            raise Failed(f"peer_reader read from its own memory: {found}")
        return found["bytes"] / found["seconds"]

    # --- through the mount

    def mount(self):
        data = self.make_data(object=self.object_len)
        hosts = Hosts(2)
        memory_len = self.object_len + 256 * MIB
        try:
            with Nodes(self, data) as nodes:
                # what is lent says who owns what: all but a hundredth lies with the first
                owner = nodes.add(hosts.hosts[0], memory_len, [(self.folder("ssd"), "8 GiB")])
                other = nodes.add(hosts.hosts[1], memory_len, [(self.folder("ssd"), "80 MiB")])
                nodes.wait_placed()
                self.read(owner, "object")
                self.add("peers_mount", "memory", self.read(owner, "object"))
                self.add("peers_mount", "cenote", self.read(other, "object"))
                for who, member in (("ssd", owner), ("cenote", other)):
                    nodes.restart()
                    self.add("peers_mount_ssd", who, self.read(member, "object"))
        finally:
            hosts.close()

    def read(self, member, name):
        """Return: MB/s."""
        found = self.bench.reader("read", member.node.mount / name, same=f"peers {name}")
        return found["bytes"] / found["seconds"] / 1e6

    # --- behind links

    def read_at_once(self, members, names, first=lambda: None):
        """Each its file; first() is called as soon as one has all. Return: the seconds until all
        have."""
        started = time.monotonic()
        readers = [subprocess.Popen([self.bench.reader.program, "read", member.node.mount / name],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                   for member, name in zip(members, names)]
        try:
            wait_for("a reader to end", lambda: any(each.poll() is not None for each in readers),
                     READ_SECONDS_MAX)
            first()
            for member, each in zip(members, readers):
                _, error = each.communicate(timeout=READ_SECONDS_MAX)
                if each.returncode != 0:
                    raise Failed(f"reading on {member.name}: {error}")
        finally:
            for each in readers:
                each.kill()
                each.wait()
        return time.monotonic() - started

    def scale(self, count, data):
        names = [f"part{number}" for number in range(count)]
        hosts = Hosts(count)
        rates = []

        def sample():
            rates.append((sum(link_bytes(hosts, "rx")) - before) / (time.monotonic() - started))

        try:
            with Nodes(self, data) as nodes:
                for host in hosts.hosts:
                    nodes.add(host, 3 * self.part_len + 128 * MIB)
                nodes.wait_placed()
                # The owners have it in their memory after it; so has who read it, so that somebody
                # else is measured.
                self.read_at_once(nodes.members, rotated(names, 1))
                for host in hosts.hosts:
                    host.limit(LINK_MBIT)
                fetched, before = nodes.fetched(), sum(link_bytes(hosts, "rx"))
                started = time.monotonic()
                self.read_at_once(nodes.members, names, sample)
                payload = ((nodes.fetched() - fetched)
                           / (sum(link_bytes(hosts, "rx")) - before))
                late = nodes.sum("fabric", "read_timeouts")
        finally:
            hosts.close()
        self.add(f"peers_scale_{count}", "links", count * LINK_BYTES / 1e6)
        self.add(f"peers_scale_{count}", "cenote", rates[0] * payload / 1e6)
        self.bench.say(f"  {late} reads timed out, {payload:.1%} of what was received was wanted")

    def lockstep(self, who, data):
        hosts = Hosts(LOCKSTEP + 1)
        try:
            with Nodes(self, data) as nodes:
                for host in hosts.hosts:
                    nodes.add(host, self.part_len + 128 * MIB,
                              peers__hot_readers=HOT_READERS[who])
                nodes.wait_placed()
                # by the ninth, who is an owner only afterwards
                self.read_at_once(nodes.members[-1:], ["file"])
                for host in hosts.hosts:
                    host.limit(LINK_MBIT)
                before, sent = nodes.fetched(), link_bytes(hosts, "tx")
                seconds = self.read_at_once(nodes.members[:-1], LOCKSTEP * ["file"])
                moved = nodes.fetched() - before
                sent = [now - then for now, then in zip(link_bytes(hosts, "tx"), sent)]
                referred = nodes.sum("peers", "referred")
        finally:
            hosts.close()
        self.add("peers_lockstep", who, moved / seconds / 1e6)
        self.add("peers_lockstep_busiest", who, max(sent) * len(sent) / sum(sent), "x", 2)
        self.bench.say(f"  {referred:,} referrals")


def link_bytes(hosts, direction):
    """What each has sent (tx) or received (rx) so far, headers too."""
    return [json.loads(run(["ip", "-n", host.namespace, "-s", "-j", "link", "show", "eth0"]))
            [0]["stats64"][direction]["bytes"] for host in hosts.hosts]


def bench_peers(bench, repetition):
    """peers"""
    peers = PeersBench(bench)
    try:
        peers.cache(repetition)
        peers.mount()
        parts = peers.make_data(file=peers.object_len, **{f"part{number}": peers.part_len
                                                          for number in range(max(SCALES))})
        for count in rotated(SCALES, repetition):
            peers.scale(count, parts)
        peers.bench.report.add("peers_lockstep", "links", LOCKSTEP * LINK_BYTES / 1e6)
        for who in rotated(tuple(HOT_READERS), repetition):
            peers.lockstep(who, parts)
    except AssertionError as error:  # of the harness: what did not come about
        raise Failed(str(error)) from None
    finally:
        peers.scratch.close()
