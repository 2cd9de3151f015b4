"""The table of verbs. Adding a command is one line here; its module is loaded only when its name is typed."""

from collections.abc import Sequence

from lightship import __version__
from lightship.cli.command import Command, dispatch

GROUPS: Sequence[tuple[str, Sequence[Command]]] = (
    (
        "Platform",
        (
            Command("demo", "train a model on two nodes, from nothing to held-out accuracy", "lightship.demo.command"),
            Command("up", "start the platform in the background", "lightship.main.up"),
            Command("down", "stop it; its data stays", "lightship.main.down"),
            Command("rehearse", "play a scenario on emulated nodes, faster than real time", "lightship.rehearsal.command"),
            Command("status", "say whether it runs and how to reach it", "lightship.main.status"),
        ),
    ),
    (
        "Objects",
        (
            Command("get", "list objects of a kind, or show one", "lightship.cli.get"),
            Command("describe", "one object with its conditions and events", "lightship.cli.describe"),
            Command("apply", "create or change objects from files", "lightship.cli.apply"),
            Command("plan", "what a file would create, where it would fit, what it waits for and costs", "lightship.planning.command"),
            Command("delete", "delete objects", "lightship.cli.delete"),
            Command("logs", "print or follow the log of a pod", "lightship.cli.logs"),
            Command("explain-pod", "where a pod could run and, node by node, why not there", "lightship.scheduler.cli"),
            Command("top", "what nodes and pods use at the moment", "lightship.cli.top"),
            Command("nodes", "nodes by shape and zone, and what is free; more or fewer emulated ones", "lightship.emulation.cli"),
            Command("devices", "which GPUs there are, and who has them", "lightship.cli.devices"),
        ),
    ),
    (
        "Capabilities",
        (
            Command("train", "train a script; jobs: list, watch, logs, history, suspend, resume, delete", "lightship.train.cli"),
            Command("images", "which environment an image name means", "lightship.node.cli"),
            Command("env", "the environments that images were turned into", "lightship.node.cli_env"),
        ),
    ),
)


def main(argv: Sequence[str]) -> int:
    """Run one command line without the program's name; returns the exit status."""
    return dispatch(argv, GROUPS, version=f"lightship {__version__}")
