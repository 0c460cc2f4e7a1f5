"""report.py - the figures of all runs: medians, ratios, goals; one table and one JSON file.

A line is one thing measured, for Cenote and for whoever stands beside it: a row for each pair. A
goal that is missed is said and fails nothing: figures from a busy machine are no test.
"""
import collections
import json
import statistics

Line = collections.namedtuple("Line", "title unit decimals higher_is_better goals")

MB_S, CPU, FILES_S, MIB, US = "MB/s", "CPU-s/GB", "files/s", "MiB", "us"
WIRE_SIZES = {4 << 10: "4 KiB", 64 << 10: "64 KiB", 1 << 20: "1 MiB", 4 << 20: "4 MiB"}


def rate(title, unit, **goals):
    return Line(title, unit, 0, True, goals)


def cost(title):
    return Line(title, CPU, 2, False, {})


def size(title, **goals):
    return Line(title, MIB, 0, False, goals)


def less(title, unit, decimals):
    """Beside serf, of which we want to be the better or equal."""
    return Line(title, unit, decimals, False, {"serf": 1})


def latency(title, **goals):
    return Line(title, US, 1, False, goals)


def wire_lines():
    """Of the wire: over TCP on this machine, over verbs in the virtual one."""
    found = {}
    for size, text in WIRE_SIZES.items():
        found |= {
            f"tcp_bw_{size}": rate(f"reads over tcp, {text}", MB_S, ucp_get=0.95, ucp_am=0.95),
            f"tcp_bw_{size}_client": cost("  reading side"),
            f"tcp_bw_{size}_server": cost("  owning side"),
            f"tcp_lat_{size}": latency("  one at a time, median", ucp_get=1.1, ucp_am=1.1),
        }
    for size, text in WIRE_SIZES.items():
        found |= {
            f"verbs_bw_{size}": rate(f"reads over verbs (VM), {text}", MB_S, ib_read_bw=0.95)
            ._replace(decimals=1),
            f"verbs_lat_{size}": latency("  one at a time, median", ib_read_lat=1.1),
        }
    return found


def peers_lines():
    """Of several nodes; see peers.py."""
    found = {
        "peers_cache": rate("4 MiB blocks of a peer, without FUSE", MB_S, ucp_get=0.9, ucp_am=0.9),
        "peers_mount": rate("file in a peer's memory, through the mount", MB_S),
        "peers_mount_ssd": rate("file on a peer's SSD, through the mount", MB_S),
    }
    for count in (2, 4, 8):
        found[f"peers_scale_{count}"] = rate(f"{count} nodes read, crossing links", MB_S, links=0.9)
    found["peers_lockstep"] = rate("8 nodes read one file in lockstep", MB_S)
    found["peers_lockstep_busiest"] = Line("  busiest link, of the mean", "x", 2, False, {})
    return found


def mount_lines():
    """Of the mount once all is warm; see mount.py. 1 / 1.2 is the goal of small files beside a
    server that does nothing."""
    found = {}
    for way, title, seq, random, files in (
            ("pass", "passthrough", {"raw": 0.95}, {"raw": 0.8}, {"null": 0.83}),
            ("direct", "direct", {"raw": 0.35, "null": 0.9}, {}, {"null": 0.83}),
            ("small", "small-files", {}, {}, {"null": 0.83, "raw": 0.8})):
        found |= {
            f"mount_{way}_seq": rate(f"{title}: sequential, warm", MB_S, **seq),
            f"mount_{way}_random": rate(f"{title}: 4 KiB random reads", "reads/s", **random),
            f"mount_{way}_many": rate(f"{title}: 64 readers", MB_S),
            f"mount_{way}_files": rate(f"{title}: 110 KiB files", FILES_S, **files),
            f"mount_{way}_loader": rate(f"{title}: PyTorch DataLoader", "samples/s"),
        }
    return found


LINES = {
    "cold": rate("sequential read, cold", MB_S, curl=0.8, s3fs=2.5, rclone=2.5),
    "cold_cpu": cost("sequential read, cold"),
    "memory": rate("sequential read, warm in memory", MB_S, s3fs=3, rclone=3),
    "memory_cpu": cost("sequential read, warm in memory"),
    "ssd": rate("sequential read, warm on SSD", MB_S, fio=0.85),
    "ssd_cpu": cost("sequential read, warm on SSD"),
    "random": rate("4 KiB random reads, warm", "reads/s"),
    "resident": size("peak resident, sequential reads", bound=1),
    "files_cold": rate("110 KiB files, cold", FILES_S, s3fs=5, rclone=5),
    "files_cold_cpu": cost("110 KiB files, cold"),
    "files_warm": rate("110 KiB files, warm", FILES_S, s3fs=5, rclone=5),
    "files_warm_cpu": cost("110 KiB files, warm"),
    "files_ssd": rate("110 KiB files, warm on SSD", FILES_S),
    "find_cold": rate("find, cold", "keys/s"),
    "find_warm": rate("find, again", "keys/s"),
    "readers": size("peak resident, many readers", bound=1),
    "readers_anon": size("  of it RssAnon"),
    "readers_shmem": size("  of it RssShmem"),
    "readers_file": size("  of it RssFile"),
    "readers_rate": rate("many readers, cold", MB_S),
    "gossip_first": less("24 members, kill -9: the first notices", "s", 2),
    "gossip_all": less("24 members, kill -9: all have noticed", "s", 2),
    "gossip_loss10": less("10 % loss: living members taken for dead", "members", 0),
    "gossip_loss25": less("25 % loss: living members taken for dead", "members", 0),
    "gossip_pause_healthy": less("others paused 2-10 s: healthy ones taken for dead", "members",
                                 0),
    "gossip_pause_paused": less("  paused ones taken for dead, by all observers", "times", 0),
    "gossip_cpu": less("membership, processor time of a member", "ms/s", 2),
    "gossip_bytes": less("membership, received by a member", "bytes/s", 0),
}
LINES |= wire_lines()
LINES |= peers_lines()
LINES |= mount_lines()
SHOWN = {"null": "a null FUSE server", "curl4m": "curl, 4 MiB ranges", "bound": "arena + 64 MiB", "links": "all links",
         "unreferred": "without referral"}
OURS = "cenote"


class Report:
    """@names: whose lines are shown."""

    def __init__(self, names):
        self.names = names
        self.values = collections.defaultdict(list)

    def add(self, line, who, value):
        self.values[line, who].append(value)

    def add_read(self, line, who, found, cpu_seconds=None):
        """A run of the reader: bytes a second and, when known, what the server's CPU paid."""
        self.add(line, who, found["bytes"] / found["seconds"] / 1e6)
        self.add_cpu(line, who, found, cpu_seconds)

    def add_files(self, line, who, found, cpu_seconds=None):
        self.add(line, who, found["files"] / found["seconds"])
        self.add_cpu(line, who, found, cpu_seconds)

    def add_cpu(self, line, who, found, cpu_seconds):
        if cpu_seconds is not None and line + "_cpu" in LINES:
            self.add(line + "_cpu", who, cpu_seconds / found["bytes"] * 1e9)

    def median(self, line, who):
        values = self.values.get((line, who))
        return statistics.median(values) if values else None

    def rows(self):
        """One for each line and each who beside Cenote; for a line nobody else has, one alone."""
        found = []
        for key, line in LINES.items():
            if key.partition("_")[0] not in self.names:
                continue
            others = [who for known, who in self.values if known == key and who != OURS]
            ours = self.median(key, OURS)
            if not others and ours is not None:
                found.append(self.row(key, line, ours, None))
            found += [self.row(key, line, ours, who) for who in others]
        return found

    def row(self, key, line, ours, who):
        value = self.median(key, who) if who else None
        goal = line.goals.get(who)
        ratio = ours / value if ours is not None and value else None
        met = None
        if goal is not None and ratio is not None:
            met = ratio >= goal if line.higher_is_better else ratio <= goal
        elif goal is not None and value == 0 and ours is not None:
            met = ours <= 0 or line.higher_is_better
        sign = ">=" if line.higher_is_better else "<="
        return {"name": line.title, "unit": line.unit, "cenote": ours,
                "beside": SHOWN.get(who, who), "beside_value": value, "ratio": ratio,
                "goal": None if goal is None else f"{sign} {goal:g}", "met": met,
                "runs": [len(self.values.get((key, name), ())) for name in (OURS, who)],
                "decimals": line.decimals, "short_by": goal and ratio and abs(goal - ratio) / goal}

    def write(self, path, about):
        rows = [{name: value for name, value in row.items() if name not in ("decimals", "short_by")}
                for row in self.rows()]
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(about | {"rows": rows}, stream, indent=1)
            stream.write("\n")

    def table(self):
        head = ("", "unit", OURS, "beside", "", "ratio", "goal", "")
        cells, title = [head], None
        for row in self.rows():
            first = (row["name"], row["unit"], number(row["cenote"], row["decimals"]))
            repeated = title == first
            title = first
            cells.append((*(("", "", "") if repeated else first), row["beside"] or "",
                          number(row["beside_value"], row["decimals"]), number(row["ratio"], 2),
                          row["goal"] or "", verdict(row)))
        widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
        left = (0, 1, 3, 6, 7)
        return "\n".join("  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in cells)


def number(value, decimals):
    return "" if value is None else f"{value:,.{decimals}f}"


def verdict(row):
    if row["met"] is None:
        return ""
    if row["met"]:
        return "met"
    return f"short by {row['short_by']:.0%}" if row["short_by"] else "missed"
