"""gossip.py - membership beside serf (memberlist): 24 daemons each, on hosts of their own (network
namespaces), one contender after the other on the same machine, same network, same loss, same times.
Both encrypt; both have memberlist's parameters for a LAN, which are the defaults of either.

What is seen of both is their log, read as it grows, with our clock.
"""
import base64
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../integration"))
from harness import network, scratch  # noqa: E402
from machine import Failed, cpu_seconds, run, wait_for  # noqa: E402

COUNT = 24
JOIN_SECONDS_MAX = 60
DEATH_SECONDS_MAX = 60
KILL_ROUNDS = 4
KILLED_TOGETHER = 3
PAUSED_TOGETHER = 4
PAUSE_S = (2, 10)
LOG_POLL_S = 0.02
# Intervals that are measured, equal for each contender: what is counted is what happens in them, so
# there is no event that could end them sooner.
SPREAD_SECONDS = 5  # before the idle one: the rumors of who joined are said often enough by then
IDLE_SECONDS = 20
LOSS_SECONDS = 20
PAUSES_SECONDS = 40
TAIL_SECONDS = 8  # behind the last two: suspicions that began in them may still end in a death


class Watch:
    """Follows the agents' logs. events: (seconds, observer, kind, member)."""

    def __init__(self, agents):
        self.agents = agents
        self.events = []
        self.ended = threading.Event()
        self.offsets = dict.fromkeys(agents, 0)
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        while not self.ended.wait(LOG_POLL_S):
            for agent in self.agents:
                self.look(agent)

    def look(self, agent):
        with open(agent.log, "rb") as stream:
            stream.seek(self.offsets[agent])
            lines = stream.read()
        lines = lines[:lines.rfind(b"\n") + 1]
        if not lines:
            return
        self.offsets[agent] += len(lines)
        now = time.monotonic()
        for line in lines.decode(errors="replace").splitlines():
            found = agent.event(line)
            if found:
                self.events.append((now, agent.name, *found))

    def since(self, start, kind):
        return [event for event in list(self.events) if event[0] >= start and event[2] == kind]

    def close(self):
        self.ended.set()
        self.thread.join()


class Agent:
    """One daemon on one host."""

    def __init__(self, directory, number, host, seed):
        self.name = f"n{number}"
        self.directory = os.path.join(directory, self.name)
        self.host = host
        self.seed = seed
        self.log = os.path.join(self.directory, "log")
        os.makedirs(self.directory)
        self.process = None

    def command(self):
        raise NotImplementedError

    def event(self, line):
        """("dead" | "alive", name) or None."""
        raise NotImplementedError

    def alive(self):
        """How many live members it knows, itself included."""
        raise NotImplementedError

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.host.inside, "setpriv", "--pdeathsig", "KILL", *self.command()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                process_group=0)

    def signal(self, number):
        """To all of its processes."""
        os.killpg(self.process.pid, number)

    def kill(self):
        if self.process:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


class CenoteAgent(Agent):
    contender = "cenote"
    CHANGE = re.compile(r"gossip\.member: name=(\S+) old=\S+ new=(dead|alive)")

    def command(self):
        path = os.path.join(self.directory, "cenote.conf")
        data, mount = (os.path.join(self.directory, name) for name in ("data", "mount"))
        os.makedirs(data, exist_ok=True)
        os.makedirs(mount, exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(f"""\
node = {{ name = "{self.name}"; run_dir = "{self.directory}/run";
	 state_dir = "{self.directory}/state"; }};
cache = {{ memory = "64 MiB"; }};
backings = ( {{ id = "data"; type = "directory"; directory = "{data}"; }} );
mount = {{ path = "{mount}"; entries = ( {{ path = "/"; backing = "data"; }} ); }};
cluster = {{ name = "bench"; secret_file = "{self.secret_file}"; }};
gossip = {{ listen = "{self.host.address}"; join = [ "{self.seed}" ]; }};
""")
        return [os.path.join(self.programs, "cenoted"), "--config", path]

    def event(self, line):
        match = self.CHANGE.search(line)
        return (match[2], match[1]) if match else None

    def alive(self):
        try:
            answer = run([os.path.join(self.programs, "cenote"), "status", "--json",
                          "--run-dir", f"{self.directory}/run"])
        except Failed:  # it is only just starting
            return 0
        return json.loads(answer)["cluster"]["members"]["alive"]

    def kill(self):
        super().kill()
        subprocess.run(["umount", "-l", os.path.join(self.directory, "mount")], check=False,
                       stderr=subprocess.DEVNULL)


class SerfAgent(Agent):
    contender = "serf"
    CHANGE = re.compile(r"serf: Event(MemberFailed|MemberJoin): (\S+)")

    def command(self):
        return ["serf", "agent", f"-node={self.name}", f"-bind={self.host.address}",
                "-profile=lan", f"-encrypt={self.key}", f"-retry-join={self.seed}",
                "-retry-interval=1s", "-rpc-addr=127.0.0.1:7373", "-log-level=info"]

    def event(self, line):
        match = self.CHANGE.search(line)
        return ("dead" if match[1] == "MemberFailed" else "alive", match[2]) if match else None

    def alive(self):
        last = {self.name: "alive"}
        with open(self.log, encoding="utf-8", errors="replace") as stream:
            for kind, name in filter(None, map(self.event, stream)):
                last[name] = kind
        return sum(kind == "alive" for kind in last.values())


class Round:
    """@count agents of one contender, from start to end."""

    def __init__(self, kind, directory, hosts, report, say):
        self.kind = kind
        self.report = report
        self.say = say
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        self.agents = [kind(directory, number, host, hosts[0].address)
                       for number, host in enumerate(hosts, 1)]
        self.watch = None

    def add(self, line, value, unit):
        self.report.add(line, self.kind.contender, value)
        self.say(f"{line}: {self.kind.contender} {value:,.2f} {unit}")

    def living(self):
        return [agent for agent in self.agents if agent.process]

    def start(self):
        started = time.monotonic()
        for agent in self.agents:
            agent.start()
        self.watch = Watch(self.agents)
        self.wait_together()
        self.say(f"{self.kind.contender}: {len(self.agents)} together after "
                 f"{time.monotonic() - started:.1f} s")

    def wait_together(self):
        for agent in self.agents:
            wait_for(f"{self.kind.contender}: {agent.name} knows all",
                     lambda agent=agent: agent.alive() == len(self.agents), JOIN_SECONDS_MAX)

    def bytes_received(self):
        """The hosts' counters: everything, headers too."""
        total = 0
        for agent in self.agents:
            found = json.loads(run(["ip", "-n", agent.host.namespace, "-s", "-j", "link", "show",
                                    "eth0"]))
            total += found[0]["stats64"]["rx"]["bytes"]
        return total

    def idle(self):
        """What it costs when nothing happens."""
        time.sleep(SPREAD_SECONDS)
        cpu = sum(cpu_seconds(agent.process.pid) for agent in self.agents)
        received, started = self.bytes_received(), time.monotonic()
        time.sleep(IDLE_SECONDS)
        seconds = (time.monotonic() - started) * len(self.agents)
        cpu = sum(cpu_seconds(agent.process.pid) for agent in self.agents) - cpu
        self.add("gossip_cpu", cpu / seconds * 1000, "ms/s a member")
        self.add("gossip_bytes", (self.bytes_received() - received) / seconds, "bytes/s a member")

    def kills(self):
        """kill -9 of some, several times: when do the first and the last of the others know?"""
        firsts, lasts = [], []
        for turn in range(KILL_ROUNDS):
            begin = 1 + turn * KILLED_TOGETHER  # not the seed
            victims = self.agents[begin:begin + KILLED_TOGETHER]
            observers = {agent.name for agent in self.agents if agent not in victims}
            killed = {}
            for victim in victims:
                killed[victim.name] = time.monotonic()
                victim.signal(signal.SIGKILL)
            started = min(killed.values())

            def noticed(name, started=started):
                return {event[1]: event[0] for event in reversed(self.watch.since(started, "dead"))
                        if event[3] == name}

            wait_for(f"{self.kind.contender}: all notice the deaths of {', '.join(killed)}",
                     lambda: all(observers <= set(noticed(name)) for name in killed),
                     DEATH_SECONDS_MAX)
            for name, at in killed.items():
                times = [found - at for who, found in noticed(name).items() if who in observers]
                firsts.append(min(times))
                lasts.append(max(times))
            for victim in victims:
                victim.kill()
                victim.start()
            self.wait_together()
        self.add("gossip_first", statistics.mean(firsts), "s")
        self.add("gossip_all", statistics.mean(lasts), "s")

    def deaths(self, started, members):
        """How many of @members somebody took for dead, and how many times one took another."""
        names = {member.name for member in members}
        found = [event for event in self.watch.since(started, "dead") if event[3] in names]
        return len({event[3] for event in found}), len(found)

    def loss(self, percent):
        """False positives: everybody lives."""
        started = time.monotonic()
        for agent in self.living():
            agent.host.lose(percent)
        time.sleep(LOSS_SECONDS)
        for agent in self.living():
            agent.host.lose_nothing()
        time.sleep(TAIL_SECONDS)
        members, events = self.deaths(started, self.living())
        self.add(f"gossip_loss{percent}", members, "members taken for dead")
        self.say(f"  by {events} observers together")

    def pauses(self):
        """Some stand still for seconds, as a node does that swaps: who is blamed? The same
        sequence for each contender."""
        dice = random.Random(7)
        living = self.living()
        started = now = time.monotonic()
        end = started + PAUSES_SECONDS
        paused, ever = {}, set()  # paused: until when
        while now < end:
            for agent in [agent for agent, until in paused.items() if until <= now]:
                agent.signal(signal.SIGCONT)
                del paused[agent]
            while len(paused) < PAUSED_TOGETHER:
                agent = dice.choice([each for each in living[:10] if each not in paused])
                agent.signal(signal.SIGSTOP)
                paused[agent] = now + dice.uniform(*PAUSE_S)
                ever.add(agent)
            time.sleep(max(0, min(end, *paused.values()) - now))
            now = time.monotonic()
        for agent in paused:
            agent.signal(signal.SIGCONT)
        time.sleep(TAIL_SECONDS)
        healthy = [agent for agent in living if agent not in ever]
        members, _ = self.deaths(started, healthy)
        self.add("gossip_pause_healthy", members, "healthy members taken for dead")
        _, events = self.deaths(started, list(ever))
        self.add("gossip_pause_paused", events, "times a paused one was taken for dead")

    def close(self):
        if self.watch:
            self.watch.close()
        for agent in self.agents:
            agent.kill()
            agent.host.lose_nothing()


def bench_gossip(bench, repetition):
    """gossip: once, whatever the repetitions: it takes its medians itself."""
    if repetition > 0:
        return
    directory = os.path.join(bench.directory, "gossip")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    guard = scratch.guard(directory)
    key = os.urandom(32)
    CenoteAgent.secret_file = os.path.join(directory, "secret")
    CenoteAgent.programs = bench.programs
    SerfAgent.key = base64.b64encode(key).decode()
    with open(CenoteAgent.secret_file, "w", encoding="ascii") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(key.hex() + "\n")
    if not shutil.which("serf") or not shutil.which("nft"):
        raise Failed("serf or nft is missing: tests/install build run s3 bench")
    for kind in (CenoteAgent, SerfAgent):
        hosts = network.Network(COUNT)
        each = Round(kind, os.path.join(directory, kind.contender), hosts.hosts, bench.report,
                     bench.say)
        try:
            each.start()
            each.idle()
            each.kills()
            each.loss(10)
            each.loss(25)
            each.pauses()
        finally:
            each.close()
            hosts.close()
    guard.communicate()
