#!/usr/bin/python3
"""format.py - every C file is as clang-format 14 with the repository's .clang-format writes it.

usage: format.py ROOT          to mend: clang-format -i FILE
"""
import os
import sys

import sources


BATCH = 16  # files a process


def main(root):
    tool = sources.require("clang-format", "clang-format")
    os.chdir(root)
    paths = [str(path) for path in sources.files(root, ".c", ".h")]
    # Only the names: where it differs is what clang-format -i mends anyway.
    names = f"{tool} --dry-run \"$@\" 2>&1 | grep -o '^[^ :]*:[0-9]*:' | cut -d: -f1 | uniq | grep ."
    batches = [paths[at:at + BATCH] for at in range(0, len(paths), BATCH)]
    failed = sources.run_all([("to be formatted with clang-format -i:",
                               ["sh", "-c", f"! {{ {names}; }}", "format", *batch], None)
                              for batch in batches])
    print(f"{len(paths)} files")
    return 1 if failed or not paths else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
