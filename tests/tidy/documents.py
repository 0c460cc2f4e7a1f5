#!/usr/bin/python3
"""documents.py - what README.md and ARCHITECTURE.md say of the programs is so: their configurations
load, and the options, settings and files that they name exist.

usage: documents.py ROOT BIN_DIR
"""
import pathlib
import re
import subprocess
import sys
import tempfile

DOCUMENTS = ("README.md", "ARCHITECTURE.md")
CODE = re.compile(r"```(\w*)\n(.*?)```|`([^`\n]+)`|^ {4}(\S[^\n]*)$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|[`$ (])(cenote-bw|cenoted?)(?: ([a-z]+))?(?=[` ]|$)(.*)")
SETTING = re.compile(r"(?:node|log|cache|mount|cluster|gossip|fabric|peers)\.([a-z_]+)")
FILE = re.compile(r"(?<![\w/.-])(?:\./)?((?:tests|tools|cmake|base|s3|fabric|cache|fuse)/[\w./-]*\w)|\]\(([\w./-]+)\)")

BW_COMMANDS = {("cenote-bw", "serve"), ("cenote-bw", "devices")}


def run(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=30, check=False)
    return done.returncode, done.stdout


def code_of(text):
    """(language, text) of each block and span of code."""
    for language, block, span, indented in CODE.findall(text):
        yield language, block or span or indented


class Documents:
    def __init__(self, root, bin_dir):
        self.root, self.bin_dir = pathlib.Path(root), pathlib.Path(bin_dir)
        self.problems = []
        self.help = {}

    def help_of(self, program, command):
        if (program, command) not in self.help:
            words = [command, "--help"] if command else ["--help"]
            self.help[program, command] = run(self.bin_dir / program, *words)
        return self.help[program, command]

    def check_configuration(self, name, text):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(text)
            file.flush()
            status, output = run(self.bin_dir / "cenote", "config", "--config", file.name)
        if status != 0:
            self.problems.append(f"{name}: a configuration that does not load: {output}")
        return output

    def check_commands(self, name, text):
        """A line that names a command and an option means an option of that command."""
        for program, command, rest in (found for line in text.splitlines()
                                       for found in COMMAND.findall(line)):
            # of cenote-bw, the other words are servers: --help tells of clients
            if program != "cenote" and (program, command) not in BW_COMMANDS:
                command = "--mesh" if program == "cenote-bw" and "--mesh" in rest else ""
            for option in re.findall(r"(--[a-z][a-z-]*)", rest):
                _, output = self.help_of(program, command)
                if option not in output:
                    self.problems.append(f"{name}: {program} {command} has no option {option}")

    def check_settings(self, name, text, known):
        for setting in SETTING.findall(text):
            if not re.search(rf"\b{setting}\b", known):
                self.problems.append(f"{name}: no setting '{setting}'")

    def check_files(self, name, text):
        for path, link in FILE.findall(text):
            if not (self.root / (path or link)).exists():
                self.problems.append(f"{name}: no file {path or link}")

    def check(self):
        example = (self.root / "tools/deploy/cenote.conf").read_text(encoding="utf-8")
        known = self.check_configuration("tools/deploy/cenote.conf", example)
        for name in DOCUMENTS:
            text = (self.root / name).read_text(encoding="utf-8")
            self.check_files(name, text)
            self.check_commands(name, text)
            for language, code in code_of(text):
                if language == "libconfig":
                    known += self.check_configuration(name, code)
            for _, code in code_of(text):
                if re.fullmatch(SETTING, code):
                    self.check_settings(name, code, known)
        return self.problems


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    PROBLEMS = Documents(*sys.argv[1:]).check()
    print("\n".join(PROBLEMS))
    sys.exit(1 if PROBLEMS else 0)
