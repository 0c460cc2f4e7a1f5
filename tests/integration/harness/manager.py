"""manager.py - the part of a service manager that a daemon under Type=notify talks to: it is told
of states, and keeps descriptors until the next start (systemd's FDSTORE=1, see sd_notify(3))."""
import os
import socket
import sys
import threading

# What systemd does between fork and exec: the descriptors from 3 on, and their names.
STARTER = """
import fcntl, os, sys
names, numbers = sys.argv[1].split(":"), [int(word) for word in sys.argv[2].split(",")]
high = [fcntl.fcntl(number, fcntl.F_DUPFD, 100 + len(names)) for number in numbers]
for number in numbers:
    os.close(number)
for place, number in enumerate(high, 3):
    os.dup2(number, place)
    os.close(number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)),
                  LISTEN_FDNAMES=":".join(names))
os.execv(sys.argv[3], sys.argv[3:])
"""
FDS_MAX = 253


class Manager:
    """told: all that was said, a dictionary a message, in its order. stored: name -> descriptor."""

    def __init__(self, path):
        self.path = path
        self.told, self.stored = [], {}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        while True:
            data, fds, _, _ = socket.recv_fds(self.socket, 4096, FDS_MAX)
            if not data:
                return
            said = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
            self._store(said, fds)
            self.told.append(said)

    def _store(self, said, fds):
        name = said.get("FDNAME", "stored")
        if said.get("FDSTOREREMOVE") == "1":
            old = self.stored.pop(name, None)
            if old is not None:
                os.close(old)
        for fd in fds:
            if said.get("FDSTORE") == "1" and name not in self.stored:
                self.stored[name] = fd
            else:
                os.close(fd)

    def was_told(self, name, value=None):
        return any(name in said and value in (None, said[name]) for said in self.told)

    def attach(self, node):
        """The next start of @node is this manager's, with what is stored."""
        node.environment["NOTIFY_SOCKET"] = str(self.path)
        node.pass_fds, node.launcher = (), []
        if self.stored:
            node.pass_fds = tuple(self.stored.values())
            node.launcher = [sys.executable, "-c", STARTER, ":".join(self.stored),
                             ",".join(map(str, node.pass_fds))]

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", str(self.path))
        self.thread.join()
        self.socket.close()
        for fd in self.stored.values():
            os.close(fd)
