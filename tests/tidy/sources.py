"""sources.py - what the tidy and lint tests have in common: which C files are ours, the flags they
are compiled with, and running one check a file on all processors.
"""
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOMS = ("base", "s3", "fabric", "cache", "fuse", "tools")
SKIPPED = 77  # ctest's SKIP_RETURN_CODE


def files(root, *suffixes, folders=ROOMS + ("tests",)):
    """Our files with one of @suffixes below @folders, as paths relative to @root, sorted."""
    root = pathlib.Path(root)
    return sorted(path.relative_to(root) for folder in folders
                  for path in (root / folder).rglob("*") if path.suffix in suffixes)


def compile_database(build):
    """The entries of @build's compile_commands.json whose source lies in our rooms and tests."""
    path = pathlib.Path(build) / "compile_commands.json"
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def preprocessor_flags(build):
    """Every -I, -isystem, -D and -std that any of our sources is compiled with, once each."""
    flags = []
    for entry in compile_database(build):
        words = iter(shlex.split(entry["command"]))
        for word in words:
            if word == "-isystem":
                flag = (word, next(words))
            elif word.startswith(("-I", "-D", "-std=")):
                flag = (word,)
            else:
                continue
            if flag not in flags:
                flags.append(flag)
    return [word for flag in flags for word in flag]


def require(tool, package):
    """@tool's path, or ends the test as skipped, saying which package is missing."""
    for folder in os.environ["PATH"].split(os.pathsep):
        path = os.path.join(folder, tool)
        if os.access(path, os.X_OK):
            return path
    print(f"SKIP: {tool} is missing (package {package}: tests/install test)")
    sys.exit(SKIPPED)


def run_all(commands):
    """Runs [(what, argv, stdin)] on all processors; prints what failing ones say. Returns how
    many failed."""
    failed = 0

    def run(command):
        what, argv, stdin = command
        done = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        return what, done.returncode, done.stdout

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for what, status, output in pool.map(run, commands):
            if status != 0:
                failed += 1
                print(f"--- {what}\n{output}")
    return failed
