"""node.py - cenoted with its configuration, its status, and ways to end or to lose a part of it."""
import json
import os
import pathlib
import signal
import subprocess

from harness import group, scratch, wait

ROOT = pathlib.Path(__file__).resolve().parents[3]
BIN_DIR = pathlib.Path(os.environ.get("CENOTE_BIN_DIR", ROOT / "build/release/bin"))
KEEPER, WORKER = "cenoted", "cenoted-worker"
SMALL_FILES = "small-files"  # the kind of a mount entry
START_S = 30
STOP_S = 60
# What the programs may see of the environment: no AWS_ or SSL_ settings of whoever runs the tests.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}
# what a sanitized build needs of its preset
ENVIRONMENT |= {name: os.environ[name] for name in
                ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS", "UCX_MEM_MMAP_HOOK_MODE")
                if name in os.environ}


def libconfig(value):
    """A Python value as libconfig writes it: dicts are groups, lists lists."""
    if isinstance(value, dict):
        return "{ " + " ".join(f"{name} = {libconfig(item)};" for name, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "( " + ", ".join(libconfig(item) for item in value) + " )"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}L" if abs(value) > 0x7FFFFFFF else str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def s3_backing(name, server, endpoint=None, **settings):
    """A backing store: @server at @endpoint (or its own)."""
    credentials = {"access_key": server.access_key, "secret_key": server.secret_key}
    credentials = settings.pop("credentials", credentials)
    return {"id": name, "type": "s3",
            "s3": {"endpoint": endpoint or server.endpoint, "region": "us-east-1",
                   "addressing": "path", "credentials": credentials, **settings}}


def entry(bucket, path="/", backing="lake", **settings):
    return {"path": path, "backing": backing, "bucket": bucket, **settings}


class Node:
    """One daemon: a process group of its own, whose first process is the keeper; process.poll() is
    about that one. Its directory holds the configuration, the log, the mountpoint (mount), the run
    directory, and cache directories unless others are given.

    @entries, @backings: as in the configuration. @directories: a list of (path, capacity).
    @settings: by dotted name ("cache.policy": "lru"); replaces what is chosen here.
    @launcher: words in front of the daemon's, such as those that put it into a namespace.
    @program: a path, or the name of what is run from BIN_DIR; WORKER: a daemon without a keeper.
    """

    def __init__(self, directory, backings, entries, directories=None, settings=None,
                 launcher=(), program=KEEPER):
        self.directory = directory
        self.launcher = list(launcher)
        self.program = program
        self.pass_fds = ()
        self.mount = directory / "mount"
        self.run_dir = directory / "run"
        self.config_path = directory / "cenote.conf"
        self.log_path = directory / "cenoted.log"
        self.environment = dict(ENVIRONMENT)
        self.process = None
        self.mount.mkdir()
        self.run_dir.mkdir()
        if directories is None:
            directories = [(directory / "cache", "6 GiB")]
        self.config = {
            "node": {"run_dir": self.run_dir, "state_dir": directory / "state"},
            "log": {"level": "debug"},
            "cache": {"memory": "256 MiB",
                      "directories": [{"path": path, "capacity": capacity}
                                      for path, capacity in directories]},
            "backings": list(backings),
            "mount": {"path": self.mount, "entries": list(entries)},
        }
        for name, value in (settings or {}).items():
            self.set(name, value)

    def set(self, name, value):
        """Changes one setting in what write_config() writes."""
        *groups, last = name.split(".")
        at = self.config
        for group in groups:
            at = at.setdefault(group, {})
        at[last] = value

    def write_config(self):
        text = "".join(f"{name} = {libconfig(value)};\n" for name, value in self.config.items())
        self.config_path.write_text(text, encoding="utf-8")

    def start(self):
        """Starts the daemon and waits until it serves its mount."""
        self.write_config()
        self.launch()
        self.wait_until(self.is_serving, START_S, f"cenoted serves {self.mount}")
        return self

    def launch(self):
        """Starts the daemon and does not wait."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self.launcher, BIN_DIR / self.program, "--config", self.config_path],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, cwd="/", process_group=0, pass_fds=self.pass_fds)

    def is_serving(self):
        if self.has_ended():
            raise AssertionError(f"cenoted ended with {self.process.returncode}:\n"
                                 f"{self.log_tail()}")
        return self.is_mounted() and self.status_answers()

    def status_answers(self):
        return self.cenote("status", "--run-dir", self.run_dir).returncode == 0

    def is_mounted(self):
        return str(self.mount) in scratch.mounts_below(self.directory)

    def mounts(self):
        """Where it is mounted: "/", and paths of its namespace that are mounts of their own; one
        that is there twice is told twice."""
        top = str(self.mount)
        return sorted(path[len(top):] or "/" for path in scratch.mounts_below(self.directory)
                      if f"{path}/".startswith(f"{top}/"))

    def cenote(self, *arguments, timeout=60):
        """Runs the command line program. Return: as subprocess.run(), with text."""
        return subprocess.run([BIN_DIR / "cenote", *arguments], env=self.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=timeout, check=False)

    def status(self):
        done = self.cenote("status", "--json", "--run-dir", self.run_dir)
        if done.returncode != 0:
            raise AssertionError(f"cenote status: {done.stderr}\n{self.log_tail()}")
        return json.loads(done.stdout)

    def counter(self, room, name):
        """One counter; see the tables of the rooms. Its name without the room's."""
        counters = self.status()["counters"]
        try:
            return counters[room][name]
        except KeyError:
            raise AssertionError(f"no counter {room}.{name}; there are {counters}") from None

    def wait_until(self, condition, seconds, what):
        """wait.until(), with the log when it does not come about."""
        try:
            return wait.until(condition, seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log_tail()}") from None

    def wait_counter(self, room, name, least, seconds=60):
        """Waits until a counter is @least or more."""
        self.wait_until(lambda: self.counter(room, name) >= least, seconds,
                        f"{room}.{name} is {least} or more")

    def flush(self):
        """Waits until all that was fetched is on the SSD and survives a restart."""
        done = self.cenote("flush", "--run-dir", self.run_dir, "--timeout", "60 s", timeout=90)
        if done.returncode != 0:
            raise AssertionError(f"cenote flush: {done.stderr}\n{self.log_tail()}")

    # --- its processes

    def keeper_pid(self):
        """Who is told to end: the process that was started, or who took its place."""
        if self.process.poll() is None:
            return self.process.pid
        return self.wait_until(lambda: group.find(self.process.pid, KEEPER), START_S,
                               "there is a keeper")[0]

    def worker_pid(self):
        """Who serves; with a program that has no keeper, the process that was started."""
        if self.process.poll() is None and group.program(self.process.pid) == WORKER:
            return self.process.pid
        return self.wait_until(lambda: group.find(self.process.pid, WORKER), START_S,
                               "there is a worker")[0]

    def signal(self, number):
        os.kill(self.keeper_pid(), number)

    def signal_worker(self, number):
        """To the part that serves. Return: its process id."""
        pid = self.worker_pid()
        os.kill(pid, number)
        return pid

    def kill_worker(self):
        """kill -9 of the part that serves: what a crash is. Return: its process id, once it is
        gone."""
        pid = self.signal_worker(signal.SIGKILL)
        self.wait_until(lambda: pid not in group.members(self.process.pid), START_S,
                        "the worker is gone")
        return pid

    def kill_keeper(self):
        """Return: its process id."""
        pid = self.keeper_pid()
        os.kill(pid, signal.SIGKILL)
        if pid == self.process.pid:
            self.process.wait(STOP_S)
        return pid

    def freeze(self):
        """All of it stands still, as on a machine that swaps."""
        group.send(self.process.pid, signal.SIGSTOP)
        wait.until(lambda: group.is_stopped(self.process.pid), STOP_S, "it stands still")

    def thaw(self):
        group.send(self.process.pid, signal.SIGCONT)

    def has_ended(self):
        return self.process.poll() is not None and not group.members(self.process.pid)

    def stop(self):
        """SIGTERM. Return: the exit status; a daemon that a signal ended has a negative one."""
        self.signal(signal.SIGTERM)
        return self.wait_ended()

    def wait_ended(self, seconds=STOP_S):
        """Until none of its processes is left. Return: the exit status of the one that was started;
        of a keeper that took its place nobody gets to know."""
        self.wait_until(self.has_ended, seconds, "cenoted ends")
        status, self.process = self.process.returncode, None
        return status

    def kill(self):
        """kill -9 of all of it: what a power cut leaves. The dead mount stays."""
        group.end(self.process.pid)
        self.wait_ended()

    def restart(self):
        status = self.stop()
        if status != 0:
            raise AssertionError(f"cenoted ended with {status}:\n{self.log_tail()}")
        return self.start()

    def close(self):
        """Ends it whatever state it is in, and takes the mount away."""
        if self.process:
            self.kill()
        if self.is_mounted():
            scratch.unmount(str(self.mount))

    def log(self):
        try:
            return self.log_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def log_tail(self, lines=25):
        return "\n".join(self.log().splitlines()[-lines:])

    def resident_memory(self):
        """VmRSS and its peak of the process that serves, bytes."""
        with open(f"/proc/{self.worker_pid()}/status", encoding="utf-8") as stream:
            fields = dict(line.split(":", 1) for line in stream)
        return tuple(int(fields[name].split()[0]) << 10 for name in ("VmRSS", "VmHWM"))
