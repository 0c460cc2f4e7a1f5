#!/usr/bin/python3
"""once_test.py - nodes with little memory and a source that is faster than their SSDs: what they
fetch waits in memory for the SSD, and is not dropped there and fetched a second time."""
from harness import case, cluster, content, node, reader, scratch

FILES, FILE = 6, 64 * content.MIB  # six times what a node has in memory
SMALL, SMALL_LEN = 60, 110 * 1024
READERS = 4  # a node
PLACED_S = 60
ALL_S = 120


class Once(case.Case):
    """Three nodes of this machine over one directory in the page cache; their SSDs are one disk."""

    @classmethod
    def setUpClass(cls):
        cls.data = case.World.scratch().folder("dataset")
        cls.digests, cls.sizes = {}, {}
        for number in range(FILES):
            cls.put(f"big-{number}", content.random_bytes(number, FILE))
        for number in range(SMALL):
            cls.put(f"small-{number}", content.random_bytes(100 + number, SMALL_LEN + number))

    @classmethod
    def put(cls, name, data):
        (cls.data / name).write_bytes(data)
        cls.digests[name], cls.sizes[name] = content.sha256(data), len(data)

    def setUp(self):
        super().setUp()
        secret, ports = cluster.make_secret(), scratch.free_ports()
        for number in range(3):
            made = self.make_node(
                [{"id": "lake", "type": "directory", "directory": self.data}], [node.entry("")],
                settings={"node.name": f"n{number}", "cluster.name": "test",
                          "cache.memory": "64 MiB", "cache.read_timeout": "120 s",
                          **cluster.PATIENT,  # and gossip's own settings, for the same reason
                          "gossip.listen": f"127.0.0.1:{ports + 2 * number}",
                          "gossip.join": [f"127.0.0.1:{ports}"] if number else [],
                          "fabric.listen": f"127.0.0.1:{ports + 2 * number + 1}",
                          "peers.audit": 0})
            made.set("cluster.secret_file", made.directory / "secret")
            cluster.write_secret(made.directory / "secret", secret)
            made.start()
        self.wait_placed()

    def wait_placed(self):
        for each in self.nodes:
            each.wait_until(lambda each=each: each.counter("peers", "members") == len(self.nodes),
                            PLACED_S, "it places blocks on all")

    def sum(self, name):
        return sum(each.counter("cache", name) for each in self.nodes)

    def read(self, action, expected, *nodes):
        """All of @nodes read everything at once, each with several processes."""
        names = list(expected)
        begun = [(names[first::READERS], reader.Reader(
            action, *(each.mount / name for name in names[first::READERS])))
            for each in nodes for first in range(READERS)]
        for part, one in begun:
            self.assertEqual(one.results(ALL_S), [expected[name] for name in part])

    def test_read__slower_ssds_and_little_memory__each_byte_is_fetched_once(self):
        # nothing is computed of what comes: the faster it is wanted the less the SSDs keep up
        self.read("size", self.sizes, *self.nodes)
        why = [{name: each.counter(room, name) for room, name in
                (("cache", "store_lost"), ("peers", "failovers"), ("gossip", "deaths"))}
               for each in self.nodes]
        self.assertEqual(self.sum("fetch_bytes"), sum(self.sizes.values()), why)
        for each in self.nodes:
            each.flush()
        for each in self.nodes:  # what they have in memory shall not count
            each.restart()
        self.wait_placed()
        self.read("sha256", self.digests, self.nodes[1])
        self.assertEqual(self.sum("fetch_bytes"), 0)
        self.assertEqual(self.sum("read_errors") + self.sum("read_timeouts"), 0)
        for each in self.nodes:
            self.check_ended_well(each)


if __name__ == "__main__":
    case.main()
