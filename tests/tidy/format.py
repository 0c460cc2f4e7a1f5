#!/usr/bin/python3
"""format.py - every C file is as clang-format 14 with the repository's .clang-format writes it.

usage: format.py ROOT          to mend: clang-format -i FILE
"""
import os
import sys

import sources


def main(root):
    tool = sources.require("clang-format", "clang-format")
    os.chdir(root)
    paths = [str(path) for path in sources.files(root, ".c", ".h")]
    # Only the names: where it differs is what clang-format -i mends anyway.
    quiet = 'test -z "$("$0" --dry-run "$1" 2>&1)"'
    failed = sources.run_all([(path, ["sh", "-c", quiet, tool, path], None) for path in paths])
    return 1 if failed or not paths else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
