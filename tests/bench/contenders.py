"""contenders.py - the file systems under test, each behind the same few calls: start (mounts, with
its cache directory as it is), stop, wipe (forgets its cache), path, cpu_seconds, memory.

Each one gets what its documentation advises for large read-only data, a cache directory on the
same file system, and lifetimes for attributes and listings longer than a run.
"""
import json
import os
import shutil
import signal
import subprocess

from dataset import BUCKET, REGION
from machine import Failed, cpu_seconds, memory_mib, run, wait_for

START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 60
BLOCK_LEN = 4 << 20
READAHEAD_LEN = 128 << 20  # the default
POPULATE_SECONDS_MAX = 60


def mounted(path):
    """As the kernel's table says: a stat would ask the file system, which may be dead."""
    with open("/proc/self/mounts", encoding="utf-8") as stream:
        return any(line.split()[1] == path for line in stream)


class Contender:
    """One mount by one foreground process."""

    name = ""

    def __init__(self, directory, server):
        self.directory = os.path.join(directory, self.name)
        self.server = server
        self.mount = os.path.join(self.directory, "mount")
        self.cache = os.path.join(self.directory, "cache")
        self.trash = os.path.join(self.directory, "trash")
        self.log = os.path.join(self.directory, "log")
        self.process = None
        if mounted(self.mount):  # by a run that was killed
            run(["umount", "-l", self.mount])
        os.makedirs(self.mount, exist_ok=True)
        self.wipe()

    def command(self):
        raise NotImplementedError

    def environment(self):
        """Without what is meant for other S3 servers than ours."""
        return {name: value for name, value in os.environ.items()
                if not name.startswith(("AWS_", "RCLONE_")) and not name.lower().endswith("_proxy")}

    def start(self):
        with open(self.log, "a", encoding="utf-8") as log:
            try:
                self.process = subprocess.Popen(self.command(), env=self.environment(),
                                                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                start_new_session=True)
            except FileNotFoundError as error:
                raise Failed(f"{self.name}: {error}") from None
        wait_for(f"{self.name} to mount (see {self.log})", lambda: mounted(self.mount),
                 START_SECONDS_MAX, lambda: self.process.poll() is None)

    def stop(self):
        """Unmounts; what was cached stays. Does nothing when not started."""
        if not self.process:
            return
        process, self.process = self.process, None
        self.ask_to_stop(process)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise Failed(f"{self.name} did not stop within {STOP_SECONDS_MAX} s") from None
        finally:
            if mounted(self.mount):
                run(["umount", "-l", self.mount])

    def ask_to_stop(self, process):
        run(["umount", self.mount])

    def wipe(self):
        """Puts the cache aside. It is deleted by clean(), later: ext4 is slow to make files where
        others were deleted a moment ago, which would count for whoever comes next."""
        if os.path.isdir(self.cache):
            os.makedirs(self.trash, exist_ok=True)
            os.rename(self.cache, os.path.join(self.trash, str(len(os.listdir(self.trash)))))
        os.makedirs(self.cache)

    def clean(self):
        shutil.rmtree(self.trash, ignore_errors=True)

    def settle(self):
        """What was read is where a restart finds it, and no write disturbs the next run."""
        os.sync()

    def path(self, key):
        return os.path.join(self.mount, key)

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def memory(self):
        return memory_mib(self.process.pid)


class Cenote(Contender):
    """Its memory may hold the whole object, as the kernel's page cache may the others' files."""

    name = "cenote"

    def __init__(self, directory, server, programs):
        super().__init__(directory, server)
        self.programs = programs
        self.config = os.path.join(self.directory, "cenote.conf")
        self.run_dir = os.path.join(self.directory, "run")
        self.memory_len = 2 << 30
        self.passthrough = "off"  # but for what measures it
        self.kind = "ordinary"

    def command(self):
        settings = self.server.settings
        with open(self.config, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), 0o600)
            stream.write(f"""\
node = {{ run_dir = "{self.run_dir}"; }};
cache = {{
	memory = "{self.memory_len}";
	block_len = "{BLOCK_LEN}";
	directories = ( {{ path = "{self.cache}"; }} );
}};
backings = ( {{
	id = "bench"; type = "s3";
	s3 = {{
		endpoint = "{settings["endpoint"]}"; region = "{REGION}"; addressing = "path";
		credentials = {{
			source = "config";
			access_key = "{settings["access_key"]}";
			secret_key = "{settings["secret_key"]}";
		}};
	}};
}} );
mount = {{
	path = "{self.mount}";
	readahead_max = "{READAHEAD_LEN}"; passthrough = "{self.passthrough}";
	entries = ( {{
		path = "/"; backing = "bench"; bucket = "{BUCKET}"; kind = "{self.kind}";
		attribute_timeout = "1 h"; entry_timeout = "1 h"; listing_timeout = "1 h";
	}} );
}};
""")
        return [os.path.join(self.programs, "cenoted"), "--config", self.config]

    def start(self):
        """As it is some seconds after a start: its memory touched, which it does when idle."""
        super().start()
        wait_for("cenote to touch its memory", self.populated, POPULATE_SECONDS_MAX,
                 lambda: self.process.poll() is None)

    def status(self):
        return json.loads(run([os.path.join(self.programs, "cenote"), "status", "--json",
                               "--run-dir", self.run_dir]))

    def wait_verified(self, count):
        wait_for("cenote to verify its files",
                 lambda: self.status()["mount"]["passthrough"]["verified"] >= count,
                 POPULATE_SECONDS_MAX, lambda: self.process.poll() is None)

    def populated(self):
        try:
            status = self.status()
        except Failed:  # the mount is there a moment before the control socket
            return False
        return status["counters"]["cache"]["memory_populated"] >= self.memory_len - (4 << 20)

    def ask_to_stop(self, process):
        process.send_signal(signal.SIGTERM)

    def settle(self):
        run([os.path.join(self.programs, "cenote"), "flush", "--run-dir", self.run_dir])
        super().settle()


class S3fs(Contender):
    """use_cache keeps whole files; the part size and the number of parallel requests are the
    fastest of those tried on this server. It asks for each object's metadata by HEAD, and keeps it:
    there is room for that of all of them. Without kernel_cache: with it an object that was replaced
    is served from old pages."""

    name = "s3fs"

    def command(self):
        secrets = os.path.join(self.directory, "passwd")
        settings = self.server.settings
        with open(secrets, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), 0o600)
            stream.write(f"{settings['access_key']}:{settings['secret_key']}\n")
        options = ["ro", "use_path_request_style", "sigv4", "listobjectsv2",
                   f"url={settings['endpoint']}", f"endpoint={REGION}", f"passwd_file={secrets}",
                   f"use_cache={self.cache}", f"tmpdir={self.cache}", "parallel_count=20",
                   "multipart_size=8", "multireq_max=30", "max_stat_cache_size=1000000",
                   "stat_cache_expire=86400", "list_object_max_keys=1000"]
        return ["s3fs", BUCKET, self.mount, "-f", "-o", ",".join(options)]


class Rclone(Contender):
    """--vfs-cache-mode full is its disk cache; the server's modification time spares it a HEAD for
    each file, the fast fingerprint another."""

    name = "rclone"

    def environment(self):
        settings = self.server.settings
        return super().environment() | {
            "RCLONE_CONFIG_BENCH_TYPE": "s3",
            "RCLONE_CONFIG_BENCH_PROVIDER": "Ceph",
            "RCLONE_CONFIG_BENCH_ENDPOINT": settings["endpoint"],
            "RCLONE_CONFIG_BENCH_REGION": REGION,
            "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID": settings["access_key"],
            "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": settings["secret_key"],
            "RCLONE_CONFIG": os.devnull,
        }

    def command(self):
        return ["rclone", "mount", f"bench:{BUCKET}", self.mount, "--read-only",
                "--vfs-cache-mode", "full", "--cache-dir", self.cache, "--vfs-cache-max-age", "24h",
                "--vfs-read-ahead", "128M", "--vfs-fast-fingerprint", "--dir-cache-time", "24h",
                "--attr-timeout", "60s", "--max-read-ahead", "1M", "--use-server-modtime",
                "--s3-no-check-bucket", "--s3-no-head-object"]


class Raw:
    """The same files on the file system that holds the caches: no network, no FUSE."""

    name = "raw"

    def __init__(self, dataset):
        self.path = dataset.path
