"""group.py - a process group. A daemon is one: the keeper that was started as cenoted, and the
worker that serves; either may be replaced by another while the other one goes on."""
import os
import signal


def stat(pid):
    """The fields of /proc/PID/stat behind the name: state, parent, group ..., or None."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


STORER = "cenoted-storer"  # a child of the worker, of the same file


def program(pid):
    """The name of the file that @pid runs, or STORER, or None."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as stream:
            if stream.read().strip() == STORER:
                return STORER
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)")
    except (FileNotFoundError, ProcessLookupError):
        return None


def has_ended(pid, state):
    """Whether it only waits to be reaped. One whose first thread has ended, and others have not,
    looks the same but still holds its files."""
    try:
        return state in "ZX" and len(os.listdir(f"/proc/{pid}/task")) <= 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def members(group):
    """{pid: program} of those that live; None: of one that ends."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        fields = stat(pid)
        if fields and int(fields[2]) == group and not has_ended(pid, fields[0]):
            found[int(pid)] = program(pid)
    return found


def find(group, name):
    """The members that run the program @name, the oldest first."""
    pids = [pid for pid, each in members(group).items() if each == name]
    return sorted(pids, key=lambda pid: (int((stat(pid) or ["0"] * 20)[19]), pid))


def is_stopped(group):
    """Whether each thread of all members stands still: SIGSTOP reaches one after the other."""
    return all(fields is None or fields[0] in "TZX"
               for pid in members(group) for fields in map(stat, threads(pid)))


def threads(pid):
    """Paths below /proc, for stat()."""
    try:
        return [f"{pid}/task/{thread}" for thread in os.listdir(f"/proc/{pid}/task")]
    except (FileNotFoundError, ProcessLookupError):
        return []


def send(group, number):
    """A signal to all at once: none gets to start another in between."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def end(group):
    send(group, signal.SIGKILL)
