#!/usr/bin/python3
"""format.py - every C file is as clang-format 14 with the repository's .clang-format writes it. And
no line of a comment has lost the blank behind its star, which that tool does where it breaks a line
of a drawing, and then takes for right.

usage: format.py ROOT          to mend: clang-format -i FILE; the blank by hand
"""
import os
import re
import sys

import sources


BATCH = 16  # files a process
BROKEN = re.compile(r"^ \*[a-zA-Z@`0-9]")


def broken_comments(paths):
    """"FILE:LINE" of each line of a comment that has lost its blank."""
    found = []
    for path in paths:
        with open(path, encoding="utf-8") as stream:
            found += [f"{path}:{number}" for number, line in enumerate(stream, 1)
                      if BROKEN.match(line)]
    return found


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
    broken = broken_comments(paths)
    for where in broken:
        print(f"{where}: a blank is missing behind the star")
    print(f"{len(paths)} files")
    return 1 if failed or broken or not paths else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
