"""fabric.py - the wire: cenote-bw beside ucx_perftest over TCP on this machine, and beside perftest
over verbs in the virtual machine with soft-RoCE (tests/vm).

All have the same number of reads of the same length in flight, from and to the same bytes, over one
connection, and poll for completions. A read and ucp_get are a request and an answer that carries the
bytes. ucp_am carries them unasked: beside the latency of a read stand two of its messages, one of
the request's length and one of the answer's. ucx_perftest's side that is read from by ucp_get looks
for requests once a millisecond when it has been idle, which shows in its latencies.

All run in a network namespace whose loopback uses cubic, Linux's default. bbr paces by a timer, which
over a loopback is what one then measures: 64 KiB and a header are one segment and a little one there,
and each pair waited 57 us for the timer, whoever sent it.
"""
import atexit
import json
import os
import random
import re
import secrets
import subprocess

from machine import Failed, run, wait_for

# bytes of a read: how many in flight
DEPTHS = {4 << 10: 64, 64 << 10: 32, 1 << 20: 16, 4 << 20: 8}
SECONDS = 2
WARM_UP_SHARE = 10
LATENCY_READS_MAX = 20000
REQUEST_LEN = 32
UCX = {"UCX_TLS": "tcp", "UCX_WARN_UNUSED_ENV_VARS": "n"}
VM_BOOT = os.path.join(os.path.dirname(__file__), "../vm/boot")
VM_SCRIPT = os.path.join(os.path.dirname(__file__), "../vm/guest/bw_bench")
VM_SECONDS_MAX = 600
SKIPPED = 77


def size_name(size):
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


class Pair:
    """A server and a client, one after the other; what both cost."""

    def __init__(self, wire, server, client, ready):
        """ready(what the server has written to its stdout, its process id): clients may come."""
        self.server, self.client = wire.command(server), wire.command(client)
        self.ready = ready

    def __call__(self):
        """Return: (the client's output, its CPU seconds, the server's)."""
        env = {**os.environ, **UCX}
        with subprocess.Popen(self.server, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=env) as server:
            try:
                os.set_blocking(server.stdout.fileno(), False)
                self.wait_ready(server)
                output, client_cpu = self.run_client(env)
                server_cpu = cpu_of(server, 30)
            finally:
                if server.returncode is None:
                    server.kill()
        return output, client_cpu, server_cpu

    def wait_ready(self, server):
        said = b""

        def is_ready():
            nonlocal said
            said += server.stdout.read() or b""
            return self.ready(said.decode(errors="replace"), server.pid)
        wait_for(f"{self.server[0]} to listen", is_ready, 30, lambda: server.poll() is None)

    def run_client(self, env):
        with subprocess.Popen(self.client, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=env) as client:
            output, error = client.stdout.read().decode(), client.stderr.read().decode()
            cpu = cpu_of(client, 60)
        if client.returncode != 0:
            raise Failed(f"{' '.join(self.client[:6])}...: exit status {client.returncode}: "
                         f"{error.strip()[-400:]}")
        return output, cpu


def cpu_of(process, seconds):
    """Waits for its end. Return: its user and system time."""
    found = []

    def ended():
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            found.append(usage.ru_utime + usage.ru_stime)
        return bool(pid)
    wait_for(f"{process.args[0]} to end", ended, seconds)
    return found[0]


def listens(port, pid):
    try:
        with open(f"/proc/{pid}/net/tcp", encoding="ascii") as stream:
            return any(f":{port:04X} 00000000:0000 0A" in line for line in stream)
    except OSError:
        return False


def use_cubic(namespace):
    """Over its loopback."""
    for address in ("127.0.0.0/8", "127.0.0.1"):
        run(["ip", "-n", namespace, "route", "replace", "table", "local", "local", address, "dev",
             "lo", "src", "127.0.0.1", "congctl", "cubic"])


class Wire:
    """The network namespace."""

    def __init__(self):
        self.name = f"cenote-bench-{os.getpid()}"
        run(["ip", "netns", "add", self.name])
        atexit.register(subprocess.run, ["ip", "netns", "delete", self.name], check=False)
        run(["ip", "-n", self.name, "link", "set", "lo", "up"])
        use_cubic(self.name)

    def command(self, argv):
        return ["ip", "netns", "exec", self.name, *argv]


def free_port():
    return random.randrange(20000, 32000)


class CenoteBw:
    name = "cenote"

    def __init__(self, wire, directory, programs):
        self.wire = wire
        self.program = os.path.join(programs, "cenote-bw")
        self.secret = os.path.join(directory, "bw-secret")
        with open(os.open(self.secret, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w",
                  encoding="ascii") as stream:
            stream.write(secrets.token_hex(32) + "\n")

    def measure(self, *arguments):
        port = free_port()
        common = ["--transport=ucx", f"--secret-file={self.secret}", f"--port={port}"]
        pair = Pair(self.wire, [self.program, "serve", "--json", "--once", "--bind=127.0.0.1",
                     "--region=8 MiB", *common],
                    [self.program, "127.0.0.1", "--json", *common, *map(str, arguments)],
                    lambda text, _: "listening" in text)
        return json.loads(pair()[0])["results"][0]

    def bandwidth(self, size, depth):
        """Return: bytes a second, CPU seconds per byte of the client, and of the server."""
        found = self.measure("--test=bw", f"--size={size}", f"--tx-depth={depth}",
                             f"--footprint={size}", f"--duration={SECONDS}")
        return (found["bw_average_mib_s"] * (1 << 20), found["client_cpu_s_per_gb"] / 1e9,
                found["server_cpu_s_per_gb"] / 1e9)

    def latency(self, size):
        """Return: the median, in microseconds."""
        return self.measure("--test=lat", f"--size={size}",
                            f"--duration={SECONDS}")["usec"]["t_typical"]


class UcxPerftest:
    """It counts reads rather than time: a short run tells how many fit."""

    def __init__(self, wire, name, bandwidth_test, latency_test, latency_lens):
        """latency_lens(length): of the transfers whose times together are that of a read."""
        self.name, self.bandwidth_test, self.latency_test = name, bandwidth_test, latency_test
        self.wire, self.latency_lens = wire, latency_lens
        self.fitting = {}

    def measure(self, test, size, depth, count):
        """Return: the last line's numbers, CPU seconds of both per byte."""
        port = free_port()
        pair = Pair(self.wire, ["ucx_perftest", "-p", str(port)],
                    ["ucx_perftest", "127.0.0.1", "-p", str(port), "-t", test, "-s",
                     str(size), "-n", str(count), "-w", str(count // WARM_UP_SHARE), "-O",
                     str(depth), "-f"],
                    lambda _, pid: listens(port, pid))
        output, client_cpu, server_cpu = pair()
        moved = (count + count // WARM_UP_SHARE) * size
        numbers = re.findall(r"[\d.]+", output.splitlines()[-1])
        if len(numbers) != 8:
            raise Failed(f"ucx_perftest printed '{output[-200:]}'")
        return [float(number) for number in numbers], client_cpu / moved, server_cpu / moved

    def count_for(self, test, size, depth):
        if (test, size, depth) not in self.fitting:
            probe = max(100, (16 << 20) // size)
            self.fitting[test, size, depth] = self.measure(test, size, depth, probe)[0][7]
        return max(100, int(self.fitting[test, size, depth] * SECONDS))

    def bandwidth(self, size, depth):
        count = self.count_for(self.bandwidth_test, size, depth)
        numbers, client_cpu, server_cpu = self.measure(self.bandwidth_test, size, depth, count)
        return numbers[5] * (1 << 20), client_cpu, server_cpu

    def latency(self, size):
        total = 0
        for length in self.latency_lens(size):
            count = min(self.count_for(self.latency_test, length, 1), LATENCY_READS_MAX)
            total += self.measure(self.latency_test, length, 1, count)[0][1]
        return total


def rotated(sequence, by):
    by %= len(sequence)
    return sequence[by:] + sequence[:by]


def wire_contenders(bench):
    wire = Wire()
    return [
        CenoteBw(wire, bench.directory, bench.programs),
        UcxPerftest(wire, "ucp_get", "ucp_get", "ucp_get", lambda size: (size,)),
        UcxPerftest(wire, "ucp_am", "ucp_am_bw", "ucp_am_lat", lambda size: (REQUEST_LEN, size)),
    ]


def bench_tcp(bench, repetition):
    """tcp"""
    bench.wire = bench.wire or wire_contenders(bench)
    for size, depth in DEPTHS.items():
        for each in rotated(bench.wire, repetition):
            bandwidth, client_cpu, server_cpu = each.bandwidth(size, depth)
            add(bench, f"tcp_bw_{size}", each.name, bandwidth / 1e6, "MB/s")
            bench.report.add(f"tcp_bw_{size}_client", each.name, client_cpu * 1e9)
            bench.report.add(f"tcp_bw_{size}_server", each.name, server_cpu * 1e9)
        for each in rotated(bench.wire, repetition):
            add(bench, f"tcp_lat_{size}", each.name, each.latency(size), "us")


def bench_verbs(bench, repetition):
    """verbs: all repetitions in one boot of the virtual machine."""
    if repetition > 0:
        return
    done = subprocess.run([VM_BOOT, "--seconds", str(VM_SECONDS_MAX), "--set",
                           f"CENOTE_BW={os.path.join(bench.programs, 'cenote-bw')}", VM_SCRIPT,
                           str(bench.repetitions)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          timeout=2 * VM_SECONDS_MAX + 120, check=False)
    if done.returncode == SKIPPED:
        bench.say(f"verbs: left out: {done.stdout.strip()}")
        return
    if done.returncode != 0:
        raise Failed(f"verbs in the virtual machine: {done.stdout.strip()[-800:]}")
    for line in done.stdout.splitlines():
        match = re.fullmatch(r"RESULT (\S+) (\S+) ([\d.]+) (\S+)", line)
        if match:
            key, who, value, unit = match.groups()
            add(bench, key, who, float(value), unit)


def add(bench, line, who, value, unit):
    bench.report.add(line, who, value)
    bench.say(f"{line}: {who} {value:,.1f} {unit}")
