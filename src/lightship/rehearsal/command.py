"""`lightship rehearse`: play a scenario on a cluster that is not there, faster than real time, and say what came of it.

The cluster lives in this process and is gone at the end; a running platform is not touched. `stage.rehearse` does it, this module reads
what is asked and prints. What is printed on standard output is the same, byte for byte, for the same scenario and seed.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lightship.cli.command import add_format_option
from lightship.cli.errors import CliError
from lightship.cli.output import render, say
from lightship.cli.progress import Step
from lightship.emulation.cli import read_shapes
from lightship.main import emulated
from lightship.meta import times

from . import report
from .scenario import Scenario, read, seconds
from .stage import Done, rehearse

DEFAULT_NODES = 10
HISTORY, OBJECTS, REPORT = "history.jsonl", "objects.json", "report.json"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="a Scenario, or manifests; - for standard input (docs/emulation.md)")
    parser.add_argument("--seed", type=int, help="what chance is decided by: the same seed gives the same history (default: 0)")
    parser.add_argument("--until", default="", metavar="TIME", help="when it ends, like 24h (default: when all jobs have)")
    parser.add_argument("--nodes", type=emulated.node_count, metavar="N", help=f"how many emulated nodes (default: {DEFAULT_NODES})")
    parser.add_argument("--node-shapes", default="", metavar="FILE", help="what the nodes look like (docs/emulation.md)")
    parser.add_argument("--save", default="", metavar="DIR", help="write history.jsonl, objects.json and report.json there")
    add_format_option(parser, ("json", "yaml", "wide"))


def run(args: argparse.Namespace) -> int:
    scenario = _asked(args)
    with _saved(args.save) as file:
        with Step(f"rehearse {scenario.name}") as step:
            # Without a terminal nobody watches, and the end comes soon.
            done = rehearse(scenario, progress=step.update if sys.stderr.isatty() else None, history=file)
        if args.save:
            _save(Path(args.save), done)
    if args.output in ("json", "yaml"):
        say(render(done.summary, args.output))
    else:
        say(f"{_heading(done)}\n\n{report.page(done.summary, wide=args.output == 'wide')}")
    return 1 if done.summary["neverEnded"] else 0


def _asked(args: argparse.Namespace) -> Scenario:
    """The scenario, with what the command line says differently. Raises `CliError`."""
    scenario = read(args.files)
    if args.seed is not None:
        scenario = scenario._replace(seed=args.seed)
    if args.until:
        scenario = scenario._replace(until=seconds(args.until, "--until"))
    if args.node_shapes:
        scenario = scenario._replace(shapes=read_shapes(args.node_shapes), nodes=None)
    elif scenario.shapes_file:
        scenario = scenario._replace(shapes=read_shapes(scenario.shapes_file))
    if args.nodes is not None:
        scenario = scenario._replace(nodes=args.nodes)
    elif scenario.nodes is None and scenario.shapes is None:
        scenario = scenario._replace(nodes=DEFAULT_NODES)
    return scenario


def _heading(done: Done) -> str:
    found = done.summary
    what = f"{found['scenario']}: {times.age(found['seconds'])} from {found['start']}, seed {found['seed']}"
    return f"{what}, {found['changes']:,} changes, history {found['history'][:12]}"


@contextmanager
def _saved(directory: str) -> Iterator[BinaryIO | None]:
    """The file of the history, if there is to be one. Raises `CliError`."""
    if not directory:
        yield None
        return
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
        with (Path(directory) / HISTORY).open("wb", buffering=1 << 20) as file:
            yield file
    except OSError as error:
        raise CliError(f"{error.filename or directory} cannot be written: {error.strerror}") from error


def _save(directory: Path, done: Done) -> None:
    (directory / OBJECTS).write_bytes(b'{"apiVersion":"v1","kind":"List","items":[\n%b\n]}\n' % b",\n".join(done.objects))
    (directory / REPORT).write_text(render(done.summary, "json") + "\n")
