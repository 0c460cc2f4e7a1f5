#!/usr/bin/python3
"""No two functions of one name. Rooms are static libraries: the linker takes the first it finds,
silently, for the callers of both.

usage: symbols.py NM LIBRARY...
"""

import collections
import subprocess
import sys


def definitions(nm, library):
    """(symbol, library:object) for each strong global definition."""
    listing = subprocess.run(
        [nm, "--defined-only", "--extern-only", "--print-file-name", library],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for line in listing.splitlines():
        place, kind, symbol = line.rsplit(maxsplit=2)
        if kind in "TDBRC":
            yield symbol, place.rpartition(":")[0]


def main(nm, *libraries):
    places = collections.defaultdict(set)
    for library in libraries:
        for symbol, place in definitions(nm, library):
            places[symbol].add(place)
    if not places:
        sys.exit("no symbols found: nothing was shown")
    twice = {symbol: where for symbol, where in places.items() if len(where) > 1}
    for symbol, where in sorted(twice.items()):
        print(f"{symbol}: defined in {' and '.join(sorted(where))}")
    return 1 if twice else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
