#!/usr/bin/python3
"""sharing_test.py - many readers of one cold object cause each of its bytes to be fetched once."""
from harness import case, content, reader

READERS = 64
SIZE = 96 * content.MIB


def overlaps(requests):
    """Byte ranges that more than one of @requests asked for."""
    ranges = sorted(request.byte_range for request in requests)
    return [(first, second) for first, second in zip(ranges, ranges[1:]) if second[0] < first[1]]


class Sharing(case.Case):
    def setUp(self):
        super().setUp()
        self.bucket = self.s3.make_bucket()
        self.data = content.random_bytes(1, SIZE)
        self.s3.put_parts(self.bucket, "shared.bin", [self.data])
        self.proxy = self.make_proxy()

    def check_fetched_once(self):
        gets = self.proxy.gets()
        self.assertEqual(sum(request.received for request in gets), SIZE)
        self.assertEqual(overlaps(gets), [])

    def test_read__64_processes_one_cold_object__each_byte_fetched_once(self):
        node = self.start_node(self.bucket, self.proxy.endpoint)
        readers = [reader.Reader("sha256", node.mount / "shared.bin") for _ in range(READERS)]
        digests = [each.results()[0] for each in readers]
        self.assertEqual(digests, [content.sha256(self.data)] * READERS)
        self.check_fetched_once()
        self.assertEqual(node.counter("s3", "get_bytes"), SIZE)
        self.check_ended_well(node)

    def test_read__64_processes_while_s3_stalls__each_byte_fetched_once(self):
        node = self.start_node(self.bucket, self.proxy.endpoint)
        stall = self.proxy.add("stall")
        readers = [reader.Reader("sha256", node.mount / "shared.bin") for _ in range(READERS)]
        node.wait_counter("fuse", "handles", READERS)
        self.assertGreater(stall.seen, 0)
        self.proxy.clear()
        digests = {each.results()[0] for each in readers}
        self.assertEqual(digests, {content.sha256(self.data)})
        self.check_fetched_once()

    def test_read__reader_killed_in_mid_fetch__others_get_their_bytes(self):
        node = self.start_node(self.bucket, self.proxy.endpoint)
        self.proxy.add("stall")
        first = reader.Reader("sha256", node.mount / "shared.bin")
        node.wait_counter("fuse", "handles", 1)
        others = [reader.Reader("sha256", node.mount / "shared.bin") for _ in range(4)]
        node.wait_counter("fuse", "handles", 5)
        first.kill()
        self.proxy.clear()
        self.assertEqual({each.results()[0] for each in others}, {content.sha256(self.data)})
        self.check_fetched_once()


if __name__ == "__main__":
    case.main()
