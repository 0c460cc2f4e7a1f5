"""network.py - hosts: network namespaces, each with one interface at a bridge that has a namespace
of its own, so that nothing of it is seen outside. Links are cut, and lose packets, by nftables in
the hosts.

A run that was killed leaves namespaces behind; the next run removes them, see sweep().
"""
import ctypes
import os
import pathlib
import re
import socket
import subprocess

from harness import scratch

CLONE_NEWNET = 0x40000000
NAME = re.compile(r"cenote-(\d+)-(\d+)-")
NAMESPACES = pathlib.Path("/run/netns")


def ip(*words):
    subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL)


def sweep():
    """Removes the namespaces of runs that are over."""
    if not NAMESPACES.is_dir():
        return
    for name in os.listdir(NAMESPACES):
        match = NAME.match(name)
        if match and scratch.process_start(match[1]) != match[2]:
            subprocess.run(["ip", "netns", "delete", name], check=False)


class Host:
    """One namespace. address, address6: of its interface. enter: the words that run a program in
    it; inside: the same, with this namespace's own interfaces in /sys, where UCX looks for them.
    (Not `ip netns exec`, which would hide the daemon's mount: see scratch.Scratch.)"""

    def __init__(self, network, number):
        self.network = network
        self.port = f"port{number}"
        self.namespace = f"{network.prefix}{number}"
        self.address = f"10.77.{number >> 8}.{number & 255}"
        self.address6 = f"fd77::{number:x}"
        self.enter = ["nsenter", f"--net={NAMESPACES / self.namespace}"]
        self.inside = [*self.enter, "unshare", "--mount", "--propagation", "unchanged", "sh", "-c",
                       'mount --make-private /sys && mount -t sysfs sysfs /sys && exec "$@"', "sh"]
        ip("netns", "add", self.namespace)
        ip("link", "add", "eth0", "netns", self.namespace, "type", "veth", "peer", "name",
           self.port, "netns", network.switch)
        ip("-n", network.switch, "link", "set", self.port, "master", "bridge0", "up")
        ip("-n", self.namespace, "link", "set", "lo", "up")
        ip("-n", self.namespace, "address", "add", f"{self.address}/16", "dev", "eth0")
        ip("-n", self.namespace, "address", "add", f"{self.address6}/64", "dev", "eth0", "nodad")
        ip("-n", self.namespace, "link", "set", "eth0", "up")

    def nft(self, rules):
        subprocess.run([*self.enter, "nft", "-f", "-"], input=rules, text=True, check=True)

    def cut(self, others):
        """Nothing comes in from @others any more."""
        v4 = ", ".join(other.address for other in others)
        v6 = ", ".join(other.address6 for other in others)
        self.nft("table inet cut { chain in { type filter hook input priority 0; "
                 f"ip saddr {{ {v4} }} drop; ip6 saddr {{ {v6} }} drop\n}}\n}}\n")

    def heal(self):
        self.nft("delete table inet cut\n")

    def lose(self, percent):
        """@percent of what comes in is lost."""
        self.nft("table inet loss { chain in { type filter hook input priority 0; "
                 f'iifname "eth0" numgen random mod 100 < {percent} drop\n}}\n}}\n')

    def lose_nothing(self):
        self.nft("table inet loss\ndelete table inet loss\n")

    def limit(self, megabits):
        """What goes out and what comes in: so many Mbit/s each."""
        burst = max(megabits * 1000 // 8, 128 << 10)  # a millisecond's bytes, or two long packets
        for namespace, device in ((self.namespace, "eth0"), (self.network.switch, self.port)):
            subprocess.run(["tc", "-n", namespace, "qdisc", "replace", "dev", device, "root", "tbf",
                            "rate", f"{megabits}mbit", "burst", str(burst), "latency", "50ms"],
                           check=True)

    def limit_not(self):
        for namespace, device in ((self.namespace, "eth0"), (self.network.switch, self.port)):
            subprocess.run(["tc", "-n", namespace, "qdisc", "delete", "dev", device, "root"],
                           check=True)


class Network:
    """A bridge and @count hosts. gateway: the address of this process as the hosts see it, where
    what listens with make_socket() is found."""
    gateway = "10.77.255.254"

    def __init__(self, count):
        sweep()
        self.prefix = f"cenote-{os.getpid()}-{scratch.process_start(os.getpid())}-"
        self.switch = f"{self.prefix}switch"
        self.hosts = []
        ip("netns", "add", self.switch)
        ip("-n", self.switch, "link", "add", "bridge0", "type", "bridge")
        ip("-n", self.switch, "address", "add", f"{self.gateway}/16", "dev", "bridge0")
        ip("-n", self.switch, "link", "set", "bridge0", "up")
        for number in range(1, count + 1):
            self.hosts.append(Host(self, number))

    def make_socket(self):
        """A TCP socket of this process that belongs to the bridge's namespace: a socket stays where
        it was made, a thread comes back."""
        libc = ctypes.CDLL(None, use_errno=True)

        def enter(path):
            with open(path, "rb") as namespace:
                if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"setns {path}")

        with open("/proc/thread-self/ns/net", "rb") as home:
            enter(NAMESPACES / self.switch)
            try:
                return socket.socket()
            finally:
                enter(f"/proc/self/fd/{home.fileno()}")

    def partition(self, *sides):
        """Hosts of different sides hear nothing of each other."""
        for side in sides:
            others = [host for other in sides if other is not side for host in other]
            for host in side:
                host.cut(others)

    def close(self):
        for host in self.hosts:
            subprocess.run(["ip", "netns", "delete", host.namespace], check=False)
        subprocess.run(["ip", "netns", "delete", self.switch], check=False)
