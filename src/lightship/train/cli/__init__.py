"""`lightship train`: training jobs and the runtimes they run on, in the words of this room.

A table of contents: each module beside this one brings a group of verbs. It has `add(verbs)`, which adds a parser for each verb and names
what carries it out (`do`: an async function of the cluster and the arguments, whose answer is the exit status, None for 0). Built on the
command line kit; a client of any cluster that serves Trainer.
"""

import argparse
from typing import TYPE_CHECKING

from lightship.cli.cluster import run as on_cluster
from lightship.cli.command import Parser

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
    do: Verb = args.do
    return on_cluster(args, lambda cluster: do(cluster, args)) or 0


def _add(parser: argparse.ArgumentParser) -> "Verbs":
    verbs: Verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=VerbParser)
    for group in _GROUPS:
        group.add(verbs)
    for verb in verbs.choices.values():
        finish(verb)
    return verbs
