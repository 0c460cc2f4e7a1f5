"""wait.py - waiting for an event, with a bound."""
import time

POLL_S = 0.02


def until(condition, seconds, what):
    """Polls until @condition() is true and returns what it returned.

    @what: says in the failure what did not come about ("the mount is gone").
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(POLL_S)
