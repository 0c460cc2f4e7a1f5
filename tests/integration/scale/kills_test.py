#!/usr/bin/python3
"""kills_test.py - keeper_test.py for longer: CENOTE_KILLS (200) times kill -9 of the worker in each
mode, and a share of that of everything else, under sixteen mixed readers. No call fails, no byte is
wrong, no handle, backing file or node stays but for one a kill, and those are swept later.

CENOTE_UPGRADE_TO: the folder of another build, which `cenote upgrade` changes to and back from.
"""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import kills, node  # noqa: E402

KILLS = int(os.environ.get("CENOTE_KILLS", "200"))
SOME = max(KILLS // 20, 2)
SWEPT_S = 180  # a minute after the takeover it begins


class Kills(kills.KillCase):
    def check_swept(self, each):
        """Handles whose OPEN may have been answered stay, and with them their nodes."""
        def swept():
            handles, _, nodes = self.left(each)
            return nodes <= handles + kills.PINNED_MAX and (handles, nodes)

        handles, nodes = each.wait_until(swept, SWEPT_S, "what nobody gives back is swept")
        print(f"figures: left behind after {KILLS} kills and the sweep: {handles} handles, "
              f"{nodes} nodes", flush=True)

    def test_worker_killed__direct(self):
        self.check_worker_kills(kills.DIRECT, KILLS)

    def test_worker_killed__passthrough(self):
        self.check_worker_kills(kills.PASSTHROUGH, KILLS)

    def test_worker_killed__small_files(self):
        self.check_worker_kills(kills.SMALL_FILES, KILLS)

    def test_worker_stopped(self):
        self.check_hangs(SOME)

    def test_worker_out_of_memory(self):
        self.check_out_of_memory(SOME)

    def test_keeper_killed(self):
        self.check_keeper_kills(2 * SOME, SOME)

    def test_upgrade__between_two_builds(self):
        other = os.environ.get("CENOTE_UPGRADE_TO")
        other = pathlib.Path(other) / node.KEEPER if other else self.install_copy()
        self.check_upgrades([other, node.BIN_DIR / node.KEEPER] * (SOME // 2), SOME)


if __name__ == "__main__":
    kills.main()
