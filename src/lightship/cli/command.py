"""What a command is: a module with two functions, loaded only when its name is typed.

`main.commands` builds the parser from a table of `Command`s; a module is imported when its command runs or shows its help, so that
`lightship --help` costs nothing. Refuses to know any command by name.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn, Protocol, cast

from .errors import CliError


class Command(NamedTuple):
    """One verb: its name, the line that `--help` shows, and the module that does it."""

    name: str
    summary: str
    module: str


class CommandModule(Protocol):
    """The two functions of a command's module. `run` returns the exit code. A third one is optional: `meant(words)`, the command line with
    what its short forms stand for."""

    def arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def program() -> str:
    """What people typed to run us: `lightship`, or the set-up script of a fresh clone, which says so in LIGHTSHIP_PROGRAM."""
    return os.environ.get("LIGHTSHIP_PROGRAM") or "lightship"


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and one hint, like all of ours."""

    def error(self, message: str) -> NoReturn:
        raise CliError(message, hint=f"{self.prog} --help", code=2)


def dispatch(argv: Sequence[str], groups: Sequence[tuple[str, Sequence[Command]]], *, version: str) -> int:
    """Run the command that `argv` names. Raises `CliError` for bad usage; returns the command's exit code."""
    known = {command.name: command for _, commands in groups for command in commands}
    if not argv or argv[0] in ("-h", "--help", "help"):
        if len(argv) > 1 and argv[0] == "help":
            return dispatch([argv[1], "--help"], groups, version=version)
        print(overview(groups))
        return 0
    if argv[0] in ("-V", "--version", "version"):
        print(version)
        return 0
    command = known.get(argv[0])
    if command is None:
        raise CliError(f'there is no command "{argv[0]}"', hint=_nearest(argv[0], known), code=2)
    module = cast(CommandModule, importlib.import_module(command.module))
    parser = Parser(prog=f"lightship {command.name}", description=command.summary)
    module.arguments(parser)
    meant: Callable[[list[str]], list[str]] = getattr(module, "meant", list)
    return module.run(parser.parse_args(meant(list(argv[1:]))))


def overview(groups: Sequence[tuple[str, Sequence[Command]]]) -> str:
    """The text of `lightship --help`."""
    lines = ["Usage: lightship COMMAND [OPTIONS]", "", "The whole AI platform in one process, speaking the Kubernetes API."]
    for title, commands in groups:
        lines += ["", f"{title}:"]
        lines += [f"  {command.name:<12} {command.summary}" for command in commands]
    lines += ["", "Use `lightship COMMAND --help` for its options."]
    return "\n".join(lines)


def _nearest(name: str, known: dict[str, Command]) -> str:
    close = sorted(known, key=lambda other: _distance(name, other))[0]
    return f"did you mean `lightship {close}`?" if _distance(name, close) <= 2 else "lightship --help lists them all"


def _distance(a: str, b: str) -> int:
    """Levenshtein distance; difflib would cost every start 5 ms."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def add_instance_options(parser: argparse.ArgumentParser) -> None:
    """`--name` and `--data-dir`: which platform on this machine is meant."""
    parser.add_argument("--name", default="default", help="which platform on this machine (default: default)")
    parser.add_argument("--data-dir", default=None, help="where it keeps its data (default: ~/.lightship/NAME)")


def add_format_option(parser: argparse.ArgumentParser, choices: Sequence[str] = ("json", "yaml", "name", "wide")) -> None:
    parser.add_argument("-o", "--output", choices=choices, default="", help="print as " + ", ".join(choices))


def stdout_is_terminal() -> bool:
    return sys.stdout.isatty()
