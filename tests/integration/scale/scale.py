"""scale.py - the base of the tests at size: a dataset of images and point clouds, nodes on hosts of
their own (network namespaces, ucx over tcp), and one S3 server behind a proxy that sees every
request of all of them.

CENOTE_SCALE_MIB is the size of the dataset (2048). Each test prints its figures on one line that
begins with "figures:"; none is asserted that depends on how fast the machine is.
"""
import collections
import json
import os
import pathlib
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import case, cluster, content, load, network, node, proxy  # noqa: E402

DATASET_LEN = int(os.environ.get("CENOTE_SCALE_MIB", "2048")) * content.MIB
CLOUD_LEN = 20 * content.MIB
CLOUDS_SHARE = 3 / 4
IMAGE_LEN = 110 << 10
IMAGES_PER_DIRECTORY = 200
# What a node's memory holds is a small part: who reads has to ask.
MEMORY_LEN = max(DATASET_LEN // 16, 64 * content.MIB)
PLACED_S = 90
ALL_S = 900
# Bounds that tell a hang, not a slow machine.
DEADLINE_S = 60
OVERHEAD_MAX = 1.01
LONG = {"attribute_timeout": "1 h", "entry_timeout": "1 h", "listing_timeout": "1 h"}


class Dataset:
    """What lies in the bucket. digests: path -> sha256; expected: the same in files for readers."""

    def __init__(self, server, bucket):
        self.digests, self.total = {}, 0
        self.directories = {""}
        server.put_all(bucket, self.make())

    def make(self):
        for number in range(max(int(DATASET_LEN * CLOUDS_SHARE / CLOUD_LEN), 2)):
            yield self.item(f"clouds/{number:04}", number, CLOUD_LEN + number)
        for number in range(int(DATASET_LEN * (1 - CLOUDS_SHARE) / IMAGE_LEN)):
            yield self.item(f"images/d{number // IMAGES_PER_DIRECTORY:03}/{number:06}",
                            100000 + number, IMAGE_LEN + number % 4096)

    def item(self, path, seed, size):
        data = content.random_bytes(seed, size)
        self.digests[path] = content.sha256(data)
        self.total += size
        parts = path.split("/")[:-1]
        self.directories |= {"".join(f"{part}/" for part in parts[:count + 1])
                             for count in range(len(parts))}
        return path, data

    def write(self, path, keep=lambda name: True):
        """@path: a file for load.py with the digests of those that keep(their path)."""
        path.write_text(json.dumps({name: digest for name, digest in self.digests.items()
                                    if keep(name)}), encoding="utf-8")
        return path


class Scale(case.Case):
    """hosts: how many there are; settings: of every node. Each test has nodes of its own, with empty
    caches."""
    hosts = 8
    settings = cluster.FAST

    @classmethod
    def setUpClass(cls):
        server = case.World.s3()
        cls.bucket = server.make_bucket()
        cls.dataset = Dataset(server, cls.bucket)
        cls.expected = cls.dataset.write(case.World.scratch().folder("expected") / "all")
        cls.network = network.Network(cls.hosts)
        cls.addClassCleanup(cls.network.close)

    def setUp(self):
        super().setUp()
        self.proxy = proxy.Proxy(self.s3.port, address=self.network.gateway,
                                 make_socket=self.network.make_socket)
        self.addCleanup(self.proxy.close)
        self.secret = cluster.make_secret()
        self.members = []
        self.loads = []
        self.addCleanup(lambda: [each.kill() for each in self.loads])

    # --- nodes

    def make(self):
        """One more node, not started. Nodes keep no replicas: what they do not own, they ask for."""
        number = len(self.members) + 1
        host = self.network.hosts[number - 1]
        backing = node.s3_backing("lake", self.s3, self.proxy.endpoint, stall_timeout="30 s")
        own = {"node.name": f"n{number}", "cluster.name": "scale", "log.level": "info",
               "cache.memory": MEMORY_LEN, "cache.replicate": "off",
               "cache.read_timeout": f"{DEADLINE_S} s", "mount.lookup_timeout": f"{DEADLINE_S} s",
               "gossip.listen": host.address, "fabric.listen": host.address,
               "gossip.join": [self.members[0].host.address] if self.members else [],
               **self.settings}
        made = self.make_node([backing], [node.entry(self.bucket, **LONG)], settings=own,
                              launcher=host.inside)
        made.set("cluster.secret_file", made.directory / "secret")
        cluster.write_secret(made.directory / "secret", self.secret)
        self.members.append(cluster.Member(made, host, f"n{number}"))
        return self.members[-1]

    def start(self, count):
        """@count more nodes; waits until all agree on who has which block."""
        for _ in range(count):
            self.make().node.start()
        self.wait_placed(self.members)

    def wait_placed(self, members):
        for each in members:
            each.node.wait_until(
                lambda each=each: each.node.counter("peers", "members") == len(members),
                PLACED_S, f"{each.name} places blocks on {len(members)} members")

    def sum(self, room, name, members=None):
        return sum(each.node.counter(room, name) for each in members or self.members)

    def flush(self):
        for each in self.members:
            each.node.flush()

    # --- readers

    def begin(self, member, seed=0, once=True, expected=None):
        each = load.Load(member.node.mount, expected or self.expected, seed, once)
        self.loads.append(each)
        return each

    def check(self, each, why):
        """Every byte was right and every access ended well and in time. Return: what it found."""
        found = each.result(ALL_S)
        for what in ("errors", "wrong", "missing"):
            self.assertEqual(found[what], [], f"{why}: {what}")
        self.assertGreater(found["files"], 0, why)
        # one that is late is EIO already; this is about those that never were in our hands
        self.assertLess(max(found["reads"] + found["opens"]), 2 * DEADLINE_S, why)
        return found

    def read_all(self, members, why, seeded=False, expected=None):
        """All of @members read everything at once. Return: what each found."""
        loads = [self.begin(member, seed=number if seeded else 0, expected=expected)
                 for number, member in enumerate(members, 1)]
        return [self.check(each, f"{why}: {member.name}")
                for member, each in zip(members, loads)]

    # --- what S3 saw

    def backing_bytes(self, since=0):
        """Bytes of objects that S3 has given out, to all nodes, as the proxy passed them."""
        return sum(request.received for request in self.proxy.gets()[since:])

    def lists(self):
        """The pages that were asked for: a Counter of (prefix, token)."""
        with self.proxy.lock:
            queries = [urllib.parse.parse_qs(request.query) for request in self.proxy.requests
                       if request.is_list]
        return collections.Counter(
            (query.get("prefix", [""])[0], query.get("continuation-token", [""])[0])
            for query in queries)

    def heads(self):
        with self.proxy.lock:
            return sum(request.method == "HEAD" for request in self.proxy.requests)

    def asked_twice_at_once(self, since=0):
        """Pairs of requests for the same bytes of which one came while the other was under way."""
        by_path = collections.defaultdict(list)
        for request in self.proxy.gets()[since:]:
            by_path[request.path].append(request)
        return [(one.path, one.byte_range, other.byte_range)
                for requests in by_path.values()
                for index, one in enumerate(requests) for other in requests[index + 1:]
                if overlap(span(one), span(other))
                and overlap((one.started, one.ended or float("inf")),
                            (other.started, other.ended or float("inf")))]

    def given_twice(self, since=0):
        """Bytes that S3 has given out beyond once each."""
        by_path = collections.defaultdict(list)
        for request in self.proxy.gets()[since:]:
            first, end = span(request)
            if request.received:
                by_path[request.path].append((first, min(end, first + request.received)))
        twice = 0
        for spans in by_path.values():
            reached = 0
            for first, end in sorted(spans):
                twice += max(min(end, reached) - first, 0)
                reached = max(reached, end)
        return twice

    def figures(self, text):
        print(f"figures: {self.id().rsplit('.', 1)[1]}: {text}", flush=True)


def span(request):
    return request.byte_range or (0, 1 << 62)


def overlap(one, other):
    return one[0] < other[1] and other[0] < one[1]


def latencies(found):
    """"p50 1.23 p99 30.1 max 600 ms" of several readers' reads of up to 1 MiB."""
    reads = sorted(seconds for each in found for seconds in each["reads"])
    p50, p99 = (reads[min(int(len(reads) * share), len(reads) - 1)] for share in (0.5, 0.99))
    return f"p50 {1e3 * p50:.2f} p99 {1e3 * p99:.1f} max {1e3 * reads[-1]:.0f} ms"


main = case.main
