"""program.py - a program that runs beside the test: its output while it runs, signals, its end with
a bound."""
import signal
import subprocess

from harness import wait


class Program:
    """Runs @argv; stdout and stderr go to files in @directory."""

    def __init__(self, directory, argv, environment):
        self.argv = list(map(str, argv))
        self.paths = directory / "stdout", directory / "stderr"
        with open(self.paths[0], "wb") as out, open(self.paths[1], "wb") as err:
            self.process = subprocess.Popen(self.argv, env=environment, stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=err, cwd="/")

    @property
    def stdout(self):
        return self.paths[0].read_text(encoding="utf-8", errors="replace")

    @property
    def stderr(self):
        return self.paths[1].read_text(encoding="utf-8", errors="replace")

    def describe(self):
        return f"{' '.join(self.argv)}\nstdout:\n{self.stdout}\nstderr:\n{self.stderr}"

    def is_running(self):
        return self.process.poll() is None

    def wait_until(self, condition, seconds, what):
        """Waits for condition() while the program runs."""
        def ready():
            return condition() or not self.is_running()
        try:
            wait.until(ready, seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.describe()}") from None
        if not condition():
            raise AssertionError(f"it ended before {what}\n{self.describe()}")

    def wait_for_text(self, text, seconds=30):
        self.wait_until(lambda: text in self.stdout or text in self.stderr, seconds,
                        f"it says '{text}'")

    def signal(self, number):
        self.process.send_signal(number)

    def ended(self, seconds=60):
        """Waits for its end. Return: the exit status, negative when a signal ended it."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end within {seconds} s\n{self.describe()}") from None

    def close(self):
        if self.is_running():
            # a stopped one does not die of anything milder
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
