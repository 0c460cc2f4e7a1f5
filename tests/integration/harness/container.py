"""container.py - what a container is to a mount: a mount namespace of its own."""
import subprocess


class Container:
    """Sees @top at @place, as `docker run -v TOP:PLACE:rslave` makes it. enter: the words that run
    a program in it."""

    def __init__(self, top, place):
        self.place = place
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "slave", "sh", "-c",
             'mount --rbind "$1" "$2" && echo ready && exec sleep infinity', "sh", top, place],
            stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            self.close()
            raise AssertionError(f"no mount namespace that sees {top}")
        self.enter = ["nsenter", "--mount", "--target", str(self.process.pid)]

    def run(self, *argv):
        """Return: (exit status, output)."""
        done = subprocess.run([*self.enter, *argv], stdin=subprocess.DEVNULL, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        return done.returncode, done.stdout

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
