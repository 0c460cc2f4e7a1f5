#!/usr/bin/python3
"""headers.py - every header of ours compiles alone, and twice in one file.

usage: headers.py ROOT BUILD          the flags are those of BUILD/compile_commands.json
"""
import sys

import sources


def main(root, build):
    headers = sources.files(root, ".h")
    flags = sources.preprocessor_flags(build)
    command = ["gcc", "-x", "c", "-fsyntax-only", "-Wall", "-Wextra", "-Wstrict-prototypes",
               "-Werror", *flags, "-"]
    failed = sources.run_all([(header, command, f'#include "{header}"\n' * 2)
                              for header in headers])
    print(f"{len(headers)} headers, {failed} do not stand alone")
    return 1 if failed or not headers else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
