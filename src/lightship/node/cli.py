"""`lightship images`: which environment an image name means, and teaching the catalogue new names.

Works on files only, with or without a running platform; a running one reads the table again at the next pull. The table itself is
`images.json` in the data directory (`images.Entry`); what is built in is shown but cannot be removed, only mapped over.
"""

import argparse
import os
from pathlib import Path

from lightship.cli.command import add_format_option, add_instance_options
from lightship.cli.errors import CliError
from lightship.cli.output import render, say, table
from lightship.cli.places import data_directory

from .images import catalogue as images
from .images.catalogue import Entry, MappingsError

FILE = "images.json"


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB")
    listed = verbs.add_parser("list", help="show the table, the user's own entries first (the default)")
    listed.set_defaults(verb="list")
    add_instance_options(listed)
    add_format_option(listed, ("json", "yaml"))
    mapped = verbs.add_parser("map", help="say what an image means")
    mapped.add_argument("pattern", help="repository[:tag], with shell wildcards")
    what = mapped.add_mutually_exclusive_group(required=True)
    what.add_argument("--packages", help="Python packages, separated by commas; an environment with them is built at the first use")
    what.add_argument("--python", help="an interpreter on this machine, used as it is")
    what.add_argument("--host", action="store_true", help="the tools of this machine and the interpreter that runs lightship")
    mapped.add_argument("--command", default="", help="what runs when a container gives no command, as one line")
    mapped.set_defaults(verb="map")
    add_instance_options(mapped)
    forgotten = verbs.add_parser("unmap", help="forget an own entry")
    forgotten.add_argument("pattern")
    forgotten.set_defaults(verb="unmap")
    add_instance_options(forgotten)
    # Options belong to the verbs: argparse would let a verb's default silently win over one given before it.
    parser.set_defaults(verb="list", name="default", data_dir=None, output=None)


def run(args: argparse.Namespace) -> int:
    file = table_file(args.name, args.data_dir)
    try:
        if args.verb == "map":
            return _map(file, args)
        if args.verb == "unmap":
            return _unmap(file, args.pattern)
        return _list(file, args.output)
    except MappingsError as error:
        raise CliError(str(error)) from error
    except OSError as error:
        raise CliError(f"{error.filename or file}: {error.strerror or error}", hint="choose another place with --data-dir") from error


def table_file(name: str, data_dir: str | None) -> Path:
    """Where the platform of that name keeps its table."""
    return data_directory(name, data_dir) / FILE


def _map(file: Path, args: argparse.Namespace) -> int:
    packages = [p.strip() for p in (args.packages or "").split(",") if p.strip()]
    if args.packages is not None and not packages:
        raise CliError("--packages names no package", hint="--packages torch,numpy, or --host for none", code=2)
    python = str(Path(args.python).expanduser().absolute()) if args.python else ""
    if python and not os.access(python, os.X_OK):
        raise CliError(f"{python} is not there or not executable", hint="give the path of an interpreter, like .venv/bin/python", code=2)
    images.write_mapping(file, Entry(args.pattern, packages, python, args.command.split()))
    say(f"{args.pattern} means {meaning(Entry(args.pattern, packages, python))}")
    return 0


def _unmap(file: Path, pattern: str) -> int:
    if not images.remove_mapping(file, pattern):
        raise CliError(f'"{pattern}" is not in {file}', hint="`lightship images list` shows what is")
    say(f"{pattern} forgotten")
    return 0


def _list(file: Path, format: str | None) -> int:
    own = images.read_mappings(file)
    entries = [(entry, "own") for entry in own] + [(entry, "built in") for entry in images.BUILTIN]
    if format:
        say(render([{"pattern": e.pattern, "packages": e.packages, "python": e.python, "source": s} for e, s in entries], format))
    else:
        say(table(("image", "means", "source"), [(e.pattern, meaning(e), s) for e, s in entries]))
    return 0


def meaning(entry: Entry) -> str:
    """One entry in words."""
    if entry.python:
        return entry.python
    return ", ".join(entry.packages) or "this machine's tools and interpreter"
