"""`lightship images`: which environment an image name means, and teaching the catalogue new names.

Works on files only, with or without a running platform; a running one reads the table again at the next pull. The table itself is
`images.json` in the data directory (`images.table.Entry`); what is built in is shown but cannot be removed, only mapped over.
"""

import argparse
import asyncio
import os
import re
import shlex
from pathlib import Path

from lightship.aio.clock import SystemClock
from lightship.cli.command import add_format_option, add_instance_options
from lightship.cli.errors import CliError
from lightship.cli.output import render, say, table
from lightship.cli.places import data_directory

from .images import oci, offered, unpacked
from .images import table as images
from .images.builtin import BUILTIN
from .images.environments import Environments, cache_directory
from .images.oci import ImageFileError
from .images.table import Entry, MappingsError

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
    what.add_argument("--program", help="a program on this machine that is shown inside the container, beside the tools of this machine")
    what.add_argument("--oci", metavar="PATH[:TAG]", help="an image on this machine: the directory of an OCI layout, or an archive")
    mapped.add_argument("--at", help="where --program is shown (default: /NAME)")
    mapped.add_argument("--entrypoint", default="", help="what the container's args are given to, as one line (default: --program)")
    mapped.add_argument("--command", default="", help="what runs when a container gives no command, as one line")
    mapped.add_argument("--workdir", default="", help="the directory it starts in")
    mapped.add_argument("--user", default="", help="who it runs as: UID or UID:GID (default: root)")
    mapped.set_defaults(verb="map")
    add_instance_options(mapped)
    loaded = verbs.add_parser("load", help="unpack an image from an archive (`docker save`, OCI), under the names that it has there")
    loaded.add_argument("file", help="the archive, or the directory of an OCI layout")
    loaded.add_argument("--as", dest="called", metavar="IMAGE", help="the name that pods use, where the archive has none")
    loaded.set_defaults(verb="load")
    add_instance_options(loaded)
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
        if args.verb == "load":
            return _load(file, args)
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
    if not re.fullmatch(r"(\d+(:\d+)?)?", args.user):
        raise CliError(f'--user "{args.user}" is no number', hint="--user 1000, or 1000:1000", code=2)
    files, entrypoint = _program(args)
    entry = Entry(
        args.pattern,
        packages,
        _executable(args.python, "give the path of an interpreter, like .venv/bin/python") if args.python else "",
        shlex.split(args.command),
        entrypoint=entrypoint,
        files=files,
        working_dir=args.workdir,
        user=args.user,
        oci=_image(args.oci) if args.oci else "",
    )
    images.write_mapping(file, entry)
    say(f"{args.pattern} means {meaning(entry)}")
    return 0


def _program(args: argparse.Namespace) -> tuple[dict[str, str], list[str]]:
    """What is shown where, and the entry point."""
    entrypoint = shlex.split(args.entrypoint)
    if not args.program:
        if args.at:
            raise CliError("--at without --program", hint="--program ./server --at /server", code=2)
        return {}, entrypoint
    program = _executable(args.program, "give the path of a program")
    at = args.at or "/" + Path(program).name
    if not at.startswith("/") or os.path.normpath(at) != at or at == "/":
        raise CliError(f"--at {at} is no absolute path", hint="--at /server", code=2)
    return {at: program}, entrypoint or [at]


def _image(source: str) -> str:
    """The source with an absolute path, once it is known to be an image."""
    path, tag = unpacked.split_source(source)
    place = path.expanduser().absolute()
    try:
        unpacked.look(place, tag)
    except ImageFileError as error:
        raise CliError(f"{source}: {error}", hint="--oci ./layout:latest, or --oci ./image.tar", code=2) from error
    return f"{place}:{tag}" if tag else str(place)


def _load(file: Path, args: argparse.Namespace) -> int:
    path = Path(args.file).expanduser().absolute()
    environments = Environments(cache_directory(), SystemClock())
    try:
        with oci.opened(path) as blobs:
            found = {name: oci.find(blobs, name) for name in oci.names(blobs)} or {"": oci.find(blobs)}
        called = {args.called or name: image for name, image in found.items()}
        if len(called) < len(found):
            raise CliError(f"{path} has several images: {', '.join(found)}", hint="without --as they keep their names", code=2)
        if not all(":" in name or "/" in name for name in called):
            raise CliError(f"{path} does not say what its image is called", hint="--as team/app:v1", code=2)
        for name, image in called.items():
            made = asyncio.run(unpacked.unpack(environments.store, path, image._replace(names=[name]), say, kept=True))
            images.write_mapping(file, Entry(name, oci=image.id))
            say(f"{name} means {made}")
    except ImageFileError as error:
        raise CliError(f"{path}: {error}") from error
    finally:
        environments.store.close()
    return 0


def _executable(path: str, hint: str) -> str:
    found = str(Path(path).expanduser().absolute())
    if not os.path.isfile(found) or not os.access(found, os.X_OK):
        raise CliError(f"{found} is not there or not executable", hint=hint, code=2)
    return found


def _unmap(file: Path, pattern: str) -> int:
    if not images.remove_mapping(file, pattern):
        raise CliError(f'"{pattern}" is not in {file}', hint="`lightship images list` shows what is")
    say(f"{pattern} forgotten")
    return 0


def _list(file: Path, format: str | None) -> int:
    own = images.read_mappings(file)
    entries = [(entry, "own") for entry in own] + [(entry, "built in") for entry in BUILTIN] + list(offered.entries())
    if format:
        shown = [{"pattern": e.pattern, "packages": e.packages, "python": e.python, "files": e.files, "source": s} for e, s in entries]
        say(render(shown, format))
    else:
        say(table(("image", "means", "source"), [(e.pattern, meaning(e), s) for e, s in entries]))
    return 0


def meaning(entry: Entry) -> str:
    """One entry in words."""
    if entry.python:
        return entry.python
    if entry.oci:
        return entry.oci if not entry.oci.startswith("sha256:") else f"{unpacked.name_of(entry.oci)}, loaded"
    if entry.packages:
        return ", ".join(entry.packages)
    brought = [Path(path).name for path in entry.files.values()] if entry.entrypoint else []
    programs = [*entry.requires, *brought, *([entry.tools] if entry.tools else [])]
    return f"{', '.join(programs)} and this machine's tools" if programs else "this machine's tools and interpreter"
