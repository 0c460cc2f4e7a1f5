#!/usr/bin/python3
"""commands_test.py - cenote status and cenote check, as people and as programs read them."""
import json
import re

from harness import case, content, node, reader

SIZE = 6 * content.MIB


class Commands(case.Case):
    def setUp(self):
        super().setUp()
        self.bucket = self.s3.make_bucket()
        self.s3.put(self.bucket, "object", content.random_bytes(1, SIZE))

    def check(self, each):
        """cenote check of a node's configuration."""
        each.write_config()
        return each.cenote("check", "--config", each.config_path)

    def make(self, **arguments):
        return self.make_node([node.s3_backing("lake", self.s3, **arguments)],
                              [node.entry(self.bucket)])

    def test_status__running__a_table_and_the_same_as_json(self):
        each = self.start_node(self.bucket)
        reader.read("sha256", each.mount / "object")
        status = each.status()
        self.assertEqual(status["counters"]["cache"]["fetch_bytes"], SIZE)
        text = each.cenote("status", "--config", each.config_path).stdout
        for word in (str(each.mount), self.bucket, "lake"):
            self.assertIn(word, text)
            self.assertIn(word, json.dumps(status))
        self.assertNotIn(self.s3.secret_key, text + json.dumps(status))

    def test_status__no_daemon__says_so(self):
        each = self.make()
        done = each.cenote("status", "--run-dir", each.run_dir)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(str(each.run_dir), done.stderr)

    def test_check__good_configuration__0(self):
        done = self.check(self.make())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(self.bucket, done.stdout)

    def test_check__wrong_secret__says_so(self):
        done = self.check(self.make(credentials={"access_key": self.s3.access_key,
                                                 "secret_key": "wrong" * 8}))
        self.assertNotEqual(done.returncode, 0)
        self.assertTrue(re.search("(?i)403|secret|denied|SignatureDoesNotMatch", done.stdout))
        self.assertNotIn("wrongwrong", done.stdout + done.stderr)

    def test_check__missing_bucket__says_so(self):
        each = self.make_node([node.s3_backing("lake", self.s3)], [node.entry("no-such-bucket")])
        done = self.check(each)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no-such-bucket", done.stdout)

    def test_check__dead_endpoint__says_so_in_time(self):
        proxy = self.make_proxy()
        proxy.refuse()
        done = self.check(self.make_node([node.s3_backing("lake", self.s3, proxy.endpoint)],
                                         [node.entry(self.bucket)]))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(str(proxy.port), done.stdout)

    def test_check__cache_directory_in_the_way__says_so(self):
        each = self.make()
        (each.directory / "cache").write_text("a file")
        done = self.check(each)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(str(each.directory / "cache"), done.stdout)

    def test_check__mistake_in_the_file__names_file_line_and_setting(self):
        each = self.make()
        each.set("cache.memory", "12 parsecs")
        done = self.check(each)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout + done.stderr, rf"{each.config_path}:\d+.*memory")

    def test_help__every_command__names_its_options(self):
        each = self.make()
        overview = each.cenote("--help").stdout
        for command in ("status", "check", "flush", "config"):
            self.assertIn(command, overview)
            done = each.cenote(command, "--help")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("--config", done.stdout)

    def test_status__unknown_option__refused_with_usage(self):
        done = self.make().cenote("status", "--nonsense")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--nonsense", done.stderr)

    def test_flush__nothing_to_write__0(self):
        self.start_node(self.bucket).flush()


if __name__ == "__main__":
    case.main()
