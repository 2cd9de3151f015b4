"""`lightship train`: training jobs and the runtimes they run on, in the words of this room.

A table of contents: each module beside this one brings a group of verbs. It has `add(verbs)`, which adds a parser for each verb and names
what carries it out (`do`: an async function of the cluster and the arguments, whose answer is the exit status, None for 0). Built on the
command line kit; a client of any cluster that serves Trainer.
"""

import argparse
from typing import TYPE_CHECKING

from lightship.cli.cluster import Cluster
from lightship.cli.cluster import run as on_cluster
from lightship.cli.command import Parser
from lightship.cli.errors import CliError
from lightship.meta.errors import StatusError, is_not_found
from lightship.train.api import TRAIN_JOBS

from . import describing, life, listing, logs, one, past, script
from .verbs import Verb, VerbParser, finish

if TYPE_CHECKING:
    from .verbs import Verbs

_GROUPS = (script, listing, one, describing, logs, life, past)


def arguments(parser: argparse.ArgumentParser) -> None:
    _add(parser)


def meant(words: list[str]) -> list[str]:
    """`train SCRIPT` is short for `train run SCRIPT`: everything is a script that is no verb."""
    if not words or words[0] in ("-h", "--help") or words[0] in _add(Parser()).choices:
        return words
    return ["run", *words]


def run(args: argparse.Namespace) -> int:
    return on_cluster(args, lambda cluster: _do(cluster, args)) or 0


async def _do(cluster: Cluster, args: argparse.Namespace) -> int | None:
    """A job that is not there may have been, or be elsewhere."""
    do: Verb = args.do
    try:
        return await do(cluster, args)
    except StatusError as error:
        if not is_not_found(error) or (error.details or {}).get("kind") != TRAIN_JOBS.plural:
            raise
        name = (error.details or {}).get("name")
        hint = "lightship train list shows those that are there, lightship train history those that were"
        raise CliError(f'there is no job "{name}" in namespace {cluster.namespace}', hint=hint) from error


def _add(parser: argparse.ArgumentParser) -> "Verbs":
    verbs: Verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=VerbParser)
    for group in _GROUPS:
        group.add(verbs)
    for verb in verbs.choices.values():
        finish(verb)
    return verbs
