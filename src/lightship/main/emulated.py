"""What `up` is asked about emulated nodes: how many, of which shapes, and who may go there. Read here, done by `platform`.

Called by `up` and `rehearsal.command`. What reads shapes and Stages is loaded when there are some: every `up` passes here.
"""

import argparse
from pathlib import Path
from random import Random
from typing import Any

from lightship.cli.errors import CliError
from lightship.meta.objects import Obj


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--nodes",
        type=node_count,
        metavar="N",
        help="how many nodes are emulated: pods on them run nothing (default: those that there are)",
    )
    parser.add_argument("--node-shapes", default="", metavar="FILE", help="what emulated nodes look like (docs/emulation.md)")
    parser.add_argument(
        "--stages", action="append", default=[], metavar="FILE", help="kwok Stages by which nodes, pods and others live; may be repeated"
    )
    parser.add_argument(
        "--taint-nodes",
        action=argparse.BooleanOptionalAction,
        help="keep pods off emulated nodes that do not tolerate kwok.x-k8s.io/node=fake (default: where other nodes run pods)",
    )


def node_count(text: str) -> int:
    """How many nodes. Raises `ArgumentTypeError`."""
    from lightship.emulation import shapes

    if not text.isascii() or not text.isdigit() or int(text) > shapes.MOST_NODES:
        raise argparse.ArgumentTypeError(f'"{text}": must be a number from 0 to {shapes.MOST_NODES}')
    return int(text)


def asked(args: argparse.Namespace) -> bool:
    """Is this a start with emulated nodes?"""
    return bool(args.nodes or args.node_shapes)


def options(args: argparse.Namespace) -> dict[str, Any]:
    """Fields of `platform.Config`. Raises `CliError`."""
    found = None
    if args.node_shapes:
        from lightship.emulation.cli import read_shapes

        found = tuple(read_shapes(args.node_shapes))
    stages = tuple(stage for path in args.stages for stage in read_stages(path))
    return {"emulated": args.nodes, "shapes": found, "taint_emulated": args.taint_nodes, "stages": stages}


def read_stages(path: str) -> list[Obj]:
    """The Stages of a file, each of which can be used. Raises `CliError`."""
    import yaml

    from lightship.emulation.stages.lifecycle import compiled

    try:
        found = [
            item for document in yaml.safe_load_all(Path(path).read_text()) if document for item in document.get("items") or [document]
        ]
    except OSError as error:
        raise CliError(f"the stages {path} cannot be read: {error.strerror}") from error
    except (ValueError, yaml.YAMLError, AttributeError) as error:
        raise CliError(f"the stages {path} cannot be read: {error}") from error
    stages = [item for item in found if isinstance(item, dict) and item.get("kind") == "Stage"]
    if not stages:
        raise CliError(f"there is no Stage in {path}", hint="a Stage is of kwok.x-k8s.io/v1alpha1 (docs/emulation.md)")
    for name, why in compiled(stages, Random(0)).problems.items():
        raise CliError(f'Stage "{name}" of {path} cannot be used: {why}')
    return stages
