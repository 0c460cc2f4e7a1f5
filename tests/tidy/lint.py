#!/usr/bin/python3
"""lint.py - clang-tidy or cppcheck over the compile database.

usage: lint.py clang-tidy|cppcheck ROOT BUILD

A clang-tidy run costs seconds a file, so that a clean file is remembered in BUILD/lint/ by the
digest of what was checked (the preprocessed text, the command and .clang-tidy) and skipped until
one of these changes.
"""
import hashlib
import os
import pathlib
import shlex
import subprocess
import sys

import sources

# clang-tidy does not know these flags of gcc, or they only change the generated code.
GCC_ONLY = ("-fsanitize", "-fstack-protector", "-fno-omit-frame-pointer", "-Werror")
CPPCHECK = (
    "--enable=warning,performance,portability", "--inline-suppr", "--quiet", "--error-exitcode=1",
    "--std=c11", "--suppress=missingIncludeSystem",
    # uthash's and sys/queue.h's macros, expanded, look like this; clang-tidy sees the real thing.
    "--suppress=*:/usr/include/*",
)


def our_entries(root, build):
    """One entry a source file: what several targets compile is looked at once."""
    root = os.path.realpath(root) + os.sep
    entries = {os.path.realpath(entry["file"]): entry for entry in sources.compile_database(build)}
    return [entry for path, entry in sorted(entries.items()) if path.startswith(root)]


def digest(root, entry):
    """What decides the outcome of a check of this file."""
    words = ["-E" if word == "-c" else word for word in shlex.split(entry["command"])]
    output = words.index("-o")
    del words[output:output + 2]
    text = subprocess.run(words, cwd=entry["directory"], stdout=subprocess.PIPE, check=True).stdout
    rules = (pathlib.Path(root) / ".clang-tidy").read_bytes()
    return hashlib.sha256(text + rules + entry["command"].encode()).hexdigest()


def clang_tidy(root, build):
    tool = sources.require("clang-tidy", "clang-tidy")
    memory = pathlib.Path(build) / "lint"
    memory.mkdir(exist_ok=True)
    entries = our_entries(root, build)
    commands, marks = [], {}
    for entry in entries:
        path = os.path.relpath(entry["file"], os.path.realpath(root))
        mark = memory / digest(root, entry)
        if mark.exists():
            continue
        flags = [word for word in shlex.split(entry["command"])[1:]
                 if not word.startswith(GCC_ONLY)]
        marks[path] = mark
        # Walking all paths is most of the cost; in tests cppcheck's look will do.
        checks = ["--checks=-clang-analyzer-*"] if path.startswith("tests/") else []
        # Marked by the shell only after a clean run.
        run = shlex.join([tool, "--quiet", *checks, entry["file"], "--", *flags])
        commands.append((path, ["sh", "-c", f"{run} && : >{shlex.quote(str(mark))}"], None))
    failed = sources.run_all(commands)
    print(f"clang-tidy: {len(entries)} files, {len(entries) - len(commands)} unchanged, "
          f"{failed} with findings")
    return 1 if failed or not entries else 0


def cppcheck(root, build):
    tool = sources.require("cppcheck", "cppcheck")
    memory = pathlib.Path(build) / "lint-cppcheck"
    memory.mkdir(exist_ok=True)
    command = [tool, *CPPCHECK, f"--project={build}/compile_commands.json",
               f"--cppcheck-build-dir={memory}", f"-j{os.cpu_count()}"]
    return subprocess.run(command, cwd=root, check=False).returncode


if __name__ == "__main__":
    CHECKS = {"clang-tidy": clang_tidy, "cppcheck": cppcheck}
    if len(sys.argv) != 4 or sys.argv[1] not in CHECKS:
        sys.exit(__doc__)
    sys.exit(CHECKS[sys.argv[1]](*sys.argv[2:]))
