"""cluster.py - nodes on hosts of a network, members of one cluster."""
import json
import os
import subprocess

from harness import node

JOIN_S = 30
STATE_S = 60
# A second's interval and defaults elsewhere would make minutes of every test.
FAST = {"gossip.swim.probe_interval": "200 ms", "gossip.swim.probe_timeout": "100 ms",
        "gossip.swim.gossip_interval": "50 ms", "gossip.swim.reconnect_interval": "1 s",
        "gossip.swim.push_pull_interval": "5 s",
        # a sample of one in 10,000 would now and then make a test count a byte of S3 too many
        "peers.audit": 0}
# An owner on a busy machine is no dead one: for tests that count where bytes come from.
PATIENT = {"peers.silence": "4 s"}


def make_secret():
    done = subprocess.run([node.BIN_DIR / "cenote", "keys", "generate"], check=True,
                          stdout=subprocess.PIPE, text=True, env=node.ENVIRONMENT)
    return done.stdout


def write_secret(path, secret):
    path.write_text(secret, encoding="utf-8")
    os.chmod(path, 0o600)


class Member:
    """One node: its host, and what it and `cenote` on it say."""

    def __init__(self, made, host, name):
        self.node = made
        self.host = host
        self.name = name

    def cenote(self, *arguments, good=True):
        command, *rest = arguments
        done = self.node.cenote(command, "--run-dir", self.node.run_dir, *rest)
        if good and done.returncode != 0:
            raise AssertionError(f"{self.name}: cenote {' '.join(arguments)}: {done.stdout}"
                                 f"{done.stderr}\n{self.node.log_tail()}")
        return done

    def members(self):
        """name -> what this node knows of that member."""
        answer = json.loads(self.cenote("members", "--json").stdout)
        return {member["name"]: member for member in answer["members"]}

    def states(self):
        return {name: member["state"] for name, member in self.members().items()}

    def counter(self, name):
        return self.node.counter("gossip", name)


class Cluster:
    """@count nodes named n1, n2 ... on the hosts of @network, whose backing store is the directory
    @data (each its own empty one); started, not joined."""

    def __init__(self, test, network, count, settings=None, family=4, data=None):
        self.test = test
        self.data = data
        self.network = network
        self.settings = settings or {}
        self.family = family
        self.secret = make_secret()
        self.members = []
        for number in range(1, count + 1):
            self.members.append(self.make(number, network.hosts[number - 1]).start())

    def make(self, number, host, settings=None, secret=None, name=None):
        """A node that is not started yet. Return: its Member, whose start() does."""
        name = name or f"n{number}"
        backing = {"id": "data", "type": "directory",
                   "directory": self.data or self.test.folder("data")}
        own = {"node.name": name, "cache.memory": "64 MiB", "cluster.name": "test",
               "gossip.listen": host.address if self.family == 4 else host.address6,
               "fabric.listen": host.address if self.family == 4 else host.address6,
               **FAST, **self.settings, **(settings or {})}
        made = self.test.make_node([backing], [{"path": "/", "backing": "data"}], directories=[],
                                   settings=own, launcher=host.inside)
        made.set("cluster.secret_file", made.directory / "secret")
        write_secret(made.directory / "secret", secret or self.secret)
        member = Member(made, host, name)
        member.start = lambda: (made.start(), member)[1]
        return member

    def address(self, member):
        return member.host.address if self.family == 4 else member.host.address6

    def join_all(self):
        """All join the first one."""
        for member in self.members[1:]:
            member.cenote("join", self.address(self.members[0]))
        self.wait_states({member.name: "alive" for member in self.members})

    def wait_states(self, expected, seen_by=None, seconds=STATE_S):
        """Until each of @seen_by (all) has exactly this view: name -> state."""
        for member in seen_by or self.members:
            last = {}

            def agrees(member=member, last=last):
                last["view"] = member.states()
                return last["view"] == expected

            try:
                member.node.wait_until(agrees, seconds, "the view")
            except AssertionError as error:
                raise AssertionError(f"{member.name} sees {last.get('view')}, not {expected}\n"
                                     f"{error}") from None
