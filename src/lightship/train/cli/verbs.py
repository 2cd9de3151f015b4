"""What the verbs of `lightship train` have in common: their type, how they are added, how lists of objects are fetched and printed.

Called by every module of this package. Refuses to know any verb.
"""

import argparse
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from lightship.cli.cluster import Cluster, add_cluster_options
from lightship.cli.command import Parser
from lightship.cli.errors import CliError
from lightship.cli.output import render, say
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.train.api import TRAIN_JOBS

Verb: TypeAlias = Callable[[Cluster, argparse.Namespace], Awaitable[int | None]]
if TYPE_CHECKING:
    Verbs: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse has no public name for it


class VerbParser(Parser):
    """Of a verb. One that has `script_args` leaves to the script what is behind `--`, whatever it looks like."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words = list(args or ())
        if self.get_default("script_args") is None:
            return super().parse_known_args(words, namespace)
        at = words.index("--") if "--" in words else len(words)
        found, unknown = super().parse_known_args(words[:at], namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        found.script_args = words[at + 1 :]
        return found, unknown

    def error(self, message: str) -> NoReturn:
        hint = "what is meant for the script goes behind --" if self.get_default("script_args") is not None else f"{self.prog} --help"
        raise CliError(message, hint=hint, code=2)


def verb(
    verbs: "Verbs", name: str, help: str, do: Verb, *, all_namespaces: bool = False, platform: str = "--name"
) -> argparse.ArgumentParser:
    """The parser of one more verb; what every verb has (`-n`, `--context`) is added at the end. `all_namespaces`: it knows `-A`;
    `platform`: what names the platform, where `--name` is something else."""
    parser = verbs.add_parser(name, help=help)
    parser.set_defaults(do=do, platform=platform, **({"all_namespaces": False} if all_namespaces else {}))
    return parser


def finish(parser: argparse.ArgumentParser) -> None:
    """Add what every verb has, behind its own options."""
    across = parser.get_default("all_namespaces") is not None
    add_cluster_options(parser, all_namespaces=across, platform=parser.get_default("platform"))


async def listed(cluster: Cluster, resource: Resource, namespace: str) -> list[Obj]:
    """Objects that say what they are, which items of a list need not."""
    said = {"apiVersion": resource.api_version, "kind": resource.kind}
    return [said | obj for obj in (await cluster.client.list(resource, namespace)).items]


def print_objects(found: list[Obj], output: str) -> None:
    """As `-o name`, `-o json` or `-o yaml` have it."""
    if output == "name":
        for obj in found:
            say(f"{obj['kind'].lower()}.{TRAIN_JOBS.group}/{objects.name(obj)}")
    else:
        say(render({"apiVersion": "v1", "kind": "List", "items": found}, output))
