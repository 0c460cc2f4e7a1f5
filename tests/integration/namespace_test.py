#!/usr/bin/python3
"""namespace_test.py - names, attributes and listings as a program sees them, with keys that are no
easy names, several mount entries, and a mount that cannot be written.
"""
import os
import stat
import subprocess

from harness import case, content, node, reader
from harness.names import errno_of, walk

# Keys that are right file names, however odd.
ODD_KEYS = (
    "a b/c d.bin", "plus+sign", "per%cent", "per%20cent", "per%2Fcent", "~tilde", "amp&er=sand?x#y",
    "quote\"'s", "back\\slash", "semi;colon,comma", "(paren)[bracket]{brace}", "*star!at@$dollar",
    "<less>", "ümläut/日本語.txt", "emoji-\U0001F600", ".hidden", "...", "trailing.dot.", "new\nline",
    "tab\there", "colon:colon", "x" * 255, "deep/" + "/".join("abcdefghijklmnopqrst"),
    " leading", "trailing ",
)
# Keys that cannot be file names, and the rule: they are left out, and counted.
IMPOSSIBLE_KEYS = ("a//b", "/leading", "dot/./x", "dotdot/../x", "dots/.", "dots/..", "y" * 256)
MANY = 3500  # several pages of a listing


class Namespace(case.Case):
    def put_keys(self, bucket, keys):
        self.s3.put_all(bucket, ((key, key.encode()) for key in keys))

    def test_lookup__odd_keys__each_is_read_by_its_name(self):
        bucket = self.s3.make_bucket()
        self.put_keys(bucket, ODD_KEYS)
        each = self.start_node(bucket)
        for key in ODD_KEYS:
            with self.subTest(key=key):
                self.assertEqual((each.mount / key).read_bytes(), key.encode())

    def test_readdir__odd_keys__all_are_listed(self):
        bucket = self.s3.make_bucket()
        self.put_keys(bucket, ODD_KEYS)
        each = self.start_node(bucket)
        self.assertEqual(walk(each.mount), sorted(ODD_KEYS))

    def test_readdir__keys_that_cannot_be_names__left_out_and_counted(self):
        bucket = self.s3.make_bucket()
        self.put_keys(bucket, IMPOSSIBLE_KEYS + ("good", "a/good"))
        each = self.start_node(bucket)
        self.assertEqual(walk(each.mount), ["a/good", "good"])
        self.assertGreater(each.counter("fuse", "keys_hidden"), 0)
        self.assertEqual(each.counter("fuse", "errors"), 0)
        self.check_ended_well(each)

    def test_lookup__key_and_prefix_of_one_name__the_directory_wins(self):
        bucket = self.s3.make_bucket()
        self.put_keys(bucket, ("both", "both/inside", "other"))
        for listed_first in (False, True):
            each = self.start_node(bucket)
            if listed_first:
                self.assertEqual(sorted(os.listdir(each.mount)), ["both", "other"])
            self.assertTrue((each.mount / "both").is_dir())
            self.assertEqual(os.listdir(each.mount / "both"), ["inside"])
            self.assertEqual((each.mount / "both/inside").read_bytes(), b"both/inside")
            self.check_ended_well(each)

    def test_readdir__directory_marker__an_empty_directory(self):
        bucket = self.s3.make_bucket()
        self.s3.put(bucket, "empty/", b"")
        self.put_keys(bucket, ("full/", "full/inside"))
        each = self.start_node(bucket)
        self.assertEqual(sorted(os.listdir(each.mount)), ["empty", "full"])
        self.assertEqual(os.listdir(each.mount / "empty"), [])
        self.assertEqual(os.listdir(each.mount / "full"), ["inside"])

    def test_readdir__several_pages__each_name_once(self):
        bucket = self.s3.make_bucket()
        names = [f"name-{number:05}" for number in range(MANY)]
        self.put_keys(bucket, [f"many/{name}" for name in names])
        each = self.start_node(bucket)
        self.assertEqual(reader.read("list", each.mount / "many"), names)
        # Again, while several look at once, and by the attributes as `ls -l` reads them.
        readers = [reader.Reader("list", each.mount / "many") for _ in range(8)]
        self.assertEqual([one.results() for one in readers], [[names]] * 8)
        with os.scandir(each.mount / "many") as entries:
            sizes = {entry.name: entry.stat().st_size for entry in entries}
        self.assertEqual(sizes, {name: len(f"many/{name}") for name in names})

    def test_getattr__object__size_time_owner_and_mode(self):
        bucket = self.s3.make_bucket()
        self.s3.put(bucket, "folder/object", b"12345")
        modified = self.s3.client.head_object(Bucket=bucket, Key="folder/object")["LastModified"]
        each = self.start_node(bucket, entry={"uid": 1234, "gid": 5678, "file_mode": "0440",
                                              "directory_mode": "0550"})
        found = os.stat(each.mount / "folder/object")
        self.assertTrue(stat.S_ISREG(found.st_mode))
        self.assertEqual(stat.S_IMODE(found.st_mode), 0o440)
        self.assertEqual((found.st_size, found.st_uid, found.st_gid), (5, 1234, 5678))
        self.assertEqual(int(found.st_mtime), int(modified.timestamp()))
        self.assertGreater(found.st_ino, 0)
        folder = os.stat(each.mount / "folder")
        self.assertTrue(stat.S_ISDIR(folder.st_mode))
        self.assertEqual(stat.S_IMODE(folder.st_mode), 0o550)
        self.assertEqual(os.stat(each.mount / "folder/object").st_ino, found.st_ino)

    def test_access__other_user__as_the_modes_say(self):
        bucket = self.s3.make_bucket()
        self.s3.put(bucket, "open/object", b"12345")
        for mode, allowed in (("0444", True), ("0400", False)):
            each = self.start_node(bucket, entry={"file_mode": mode, "directory_mode": "0555"},
                                   settings={"mount.allow_other": True})
            # The way to the mountpoint is open to everyone.
            each.directory.chmod(0o755)
            done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                                   "cat", each.mount / "open/object"], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, timeout=60, check=False)
            self.assertEqual(done.stdout, b"12345" if allowed else b"")
            self.check_ended_well(each)

    def test_write__any_way__erofs(self):
        bucket = self.s3.make_bucket()
        self.s3.put(bucket, "folder/object", b"12345")
        mount = self.start_node(bucket).mount
        old, new = mount / "folder/object", mount / "folder/new"
        for action, *arguments in (
                (os.open, old, os.O_WRONLY), (os.open, old, os.O_RDWR),
                (os.open, new, os.O_WRONLY | os.O_CREAT), (os.open, old, os.O_RDONLY | os.O_TRUNC),
                (os.unlink, old), (os.rename, old, new), (os.link, old, new),
                (os.symlink, "x", new), (os.mkdir, new), (os.rmdir, mount / "folder"),
                (os.chmod, old, 0o600), (os.chown, old, 1, 1), (os.utime, old), (os.truncate, old, 0),
                (os.mknod, new), (os.setxattr, old, "user.x", b"y"),
                (os.removexattr, old, "user.cenote.etag")):
            with self.subTest(action=action.__name__, arguments=arguments):
                self.assertEqual(errno_of(action, *arguments), "EROFS")
        self.assertEqual(os.access(old, os.W_OK), False)
        self.assertEqual(os.access(old, os.R_OK), True)
        self.assertEqual(old.read_bytes(), b"12345")

    def test_xattr__object__etag_object_id_and_resident_bytes(self):
        bucket = self.s3.make_bucket()
        size = 9 * content.MIB
        etag = self.s3.put(bucket, "object", content.random_bytes(1, size))
        each = self.start_node(bucket)
        path = each.mount / "object"
        self.assertLessEqual({"user.cenote.etag", "user.cenote.object", "user.cenote.resident"},
                             set(os.listxattr(path)))
        self.assertEqual(os.getxattr(path, "user.cenote.etag").decode(), etag)
        self.assertRegex(os.getxattr(path, "user.cenote.object").decode(), "^[0-9a-f]{32}$")
        self.assertEqual(os.getxattr(path, "user.cenote.resident"), b"0")
        reader.read("sha256", path)
        self.assertEqual(os.getxattr(path, "user.cenote.resident"), str(size).encode())
        self.assertEqual(errno_of(os.getxattr, path, "user.other"), "ENODATA")
        done = subprocess.run(["getfattr", "-d", path], stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.DEVNULL, timeout=60, check=True)
        self.assertIn(etag, done.stdout)

    def test_lookup__names_that_are_not_there__enoent_and_enotdir(self):
        bucket = self.s3.make_bucket()
        self.s3.put(bucket, "folder/object", b"12345")
        mount = self.start_node(bucket).mount
        for path, expected in (("nothing", "ENOENT"), ("folder/nothing", "ENOENT"),
                               ("nothing/below", "ENOENT"), ("folder/object/below", "ENOTDIR"),
                               ("fold", "ENOENT"), ("folder/obj", "ENOENT"),
                               ("z" * 256, "ENAMETOOLONG")):
            with self.subTest(path=path):
                self.assertEqual(errno_of(os.stat, mount / path), expected)
        self.assertEqual(errno_of(os.listdir, mount / "folder/object"), "ENOTDIR")
        self.assertEqual(errno_of(os.open, mount / "folder", os.O_WRONLY), "EISDIR")

    def test_statfs__mount__says_something_sane(self):
        bucket = self.s3.make_bucket()
        found = os.statvfs(self.start_node(bucket).mount)
        self.assertTrue(found.f_flag & os.ST_RDONLY)
        self.assertGreater(found.f_bsize, 0)
        self.assertEqual(found.f_namemax, 255)

    def test_readdir__empty_bucket__empty(self):
        self.assertEqual(os.listdir(self.start_node(self.s3.make_bucket()).mount), [])

    def test_read__at_the_edges__as_from_a_file(self):
        bucket = self.s3.make_bucket()
        data = content.random_bytes(1, 5 * content.MIB + 123)
        self.s3.put(bucket, "object", data)
        self.s3.put(bucket, "nothing", b"")
        mount = self.start_node(bucket).mount
        handle = os.open(mount / "object", os.O_RDONLY)
        self.addCleanup(os.close, handle)
        for off, length in ((0, 1), (len(data) - 1, 1), (len(data) - 1, 100), (len(data), 1),
                            (len(data) + 5, 10), (4 * content.MIB - 1, 2), (65535, 2), (1, 65536),
                            (4 * content.MIB - 4096, 8192), (0, len(data) + 1)):
            with self.subTest(off=off, length=length):
                expected = data[off:off + length]
                found = b""
                while len(found) < len(expected):
                    piece = os.pread(handle, length - len(found), off + len(found))
                    self.assertTrue(piece)
                    found += piece
                self.assertEqual(found, expected)
                self.assertEqual(os.pread(handle, 1, max(off + length, len(data))), b"")
        self.assertEqual((mount / "nothing").read_bytes(), b"")

    def test_entries__two_endpoints_and_prefixes__one_namespace(self):
        images, texts = self.s3.make_bucket("images"), self.s3.make_bucket("texts")
        self.put_keys(images, ("train/cat", "train/dog", "test/cow"))
        self.put_keys(texts, ("book",))
        proxy = self.make_proxy()
        each = self.make_node(
            [node.s3_backing("one", self.s3), node.s3_backing("two", self.s3, proxy.endpoint)],
            [node.entry(images, "/images", "one", prefix="train/"),
             node.entry(images, "/held/out", "one", prefix="test/"),
             node.entry(texts, "/texts", "two")]).start()
        self.assertEqual(walk(each.mount), ["held/out/cow", "images/cat", "images/dog", "texts/book"])
        self.assertEqual((each.mount / "images/dog").read_bytes(), b"train/dog")
        self.assertEqual(len(proxy.gets()), 0)
        self.assertEqual((each.mount / "texts/book").read_bytes(), b"book")
        self.assertEqual(len(proxy.gets()), 1)
        self.check_ended_well(each)

    def test_entries__directory_as_backing__the_same_namespace(self):
        source = self.folder("source")
        (source / "folder").mkdir()
        data = content.random_bytes(4, 6 * content.MIB)
        (source / "folder/object").write_bytes(data)
        (source / "empty").mkdir()
        each = self.make_node([{"id": "local", "type": "directory", "directory": source}],
                              [node.entry("", "/", "local")]).start()
        self.assertEqual(sorted(os.listdir(each.mount)), ["empty", "folder"])
        self.assertEqual(reader.read("sha256", each.mount / "folder/object"), content.sha256(data))
        self.check_ended_well(each)


if __name__ == "__main__":
    case.main()
