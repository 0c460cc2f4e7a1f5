#!/usr/bin/python3
"""checksums_test.py - what is read through the mount is what was uploaded: a 1 GiB object and
10,000 small ones, cold, warm, and after a restart; and only the cold reads ask S3 for bytes.
"""
import random

from harness import case, content, reader

BIG_PARTS = 16
BIG_PART = 64 * content.MIB
SMALL_COUNT = 10000
SMALL_MAX = 100000  # on both sides of the 32 KiB up to which objects are packed
PROCESSES = 4


def small_objects():
    sizes = random.Random(7)
    for number in range(SMALL_COUNT):
        size = 0 if number % 1000 == 0 else sizes.randrange(1, SMALL_MAX)
        yield f"small/{number // 500:02}/{number:05}.bin", content.random_bytes(number, size)


class Checksums(case.Case):
    def read_all(self, node, keys):
        """The digests of @keys through the mount, read by several processes."""
        shares = [keys[index::PROCESSES] for index in range(PROCESSES)]
        readers = [reader.Reader("sha256", *(node.mount / key for key in share))
                   for share in shares]
        found = {}
        for share, each in zip(shares, readers):
            found.update(zip(share, each.results(300)))
        return found

    def check_cold_warm_restarted(self, bucket, expected, **arguments):
        total = sum(size for _, size in expected.values())
        digests = {key: digest for key, (digest, _) in expected.items()}
        node = self.start_node(bucket, **arguments)

        self.assertEqual(self.read_all(node, list(expected)), digests, "cold")
        self.assertEqual(node.counter("s3", "get_bytes"), total, "each byte is fetched once")
        node.flush()
        gets = self.s3.object_gets(bucket)

        self.assertEqual(self.read_all(node, list(expected)), digests, "warm")
        self.assertEqual(self.s3.object_gets(bucket), gets, "no GET on the warm reads")

        node.restart()
        self.assertEqual(self.read_all(node, list(expected)), digests, "restarted")
        self.assertEqual(node.counter("s3", "gets"), 0, "no GET on the restarted reads")
        self.assertEqual(self.s3.object_gets(bucket), gets, "the server saw none either")
        self.check_ended_well(node)

    def test_read__1_gib_object__same_bytes_fetched_once(self):
        bucket = self.s3.make_bucket()
        parts = [content.random_bytes(number, BIG_PART) for number in range(BIG_PARTS)]
        self.s3.put_parts(bucket, "big.bin", parts)
        whole = content.sha256(b"".join(parts))
        self.check_cold_warm_restarted(bucket, {"big.bin": (whole, BIG_PARTS * BIG_PART)})

    def test_read__10000_small_objects__same_bytes_fetched_once(self):
        bucket = self.s3.make_bucket()
        expected = {}

        def remembered():
            for key, data in small_objects():
                expected[key] = content.sha256(data), len(data)
                yield key, data

        self.s3.put_all(bucket, remembered())
        self.check_cold_warm_restarted(bucket, expected)


if __name__ == "__main__":
    case.main()
