"""Which nodes a platform starts with that run pods: those that were asked for, else those that there were."""

import argparse
import asyncio
from pathlib import Path

import pytest

from lightship import kinds
from lightship.main import nodes, up
from lightship.main.instance import Instance
from lightship.main.platform import Config, Platform
from lightship.meta import objects
from lightship.meta.objects import Obj

EMULATED: Obj = {"metadata": {"name": "e", "annotations": {"kwok.x-k8s.io/node": "fake"}}}
OURS: Obj = {"metadata": {"name": "o", "annotations": {"lightship.dev/runtime": "sandbox"}}}
OTHER: Obj = {"metadata": {"name": "k"}}


@pytest.mark.parametrize(
    ("words", "want"),
    [
        ("", None),
        ("--stages stages.yaml", None),
        ("--no-node", False),
        ("--nodes 5", False),
        ("--node-shapes shapes.yaml", False),
        ("--nodes 5 --agents 2", True),
        ("--agents 2", True),
        ("--nodes 0", True),
        ("--nodes 0 --no-node", False),
    ],
)
def test_who_says_nothing_of_nodes_has_those_that_were_there(words: str, want: bool | None) -> None:
    parser = argparse.ArgumentParser()
    up.arguments(parser)
    assert up.runs_pods(parser.parse_args(words.split())) is want


@pytest.mark.parametrize(
    ("there", "want"),
    [([], False), ([OURS], False), ([OTHER], False), ([EMULATED], True), ([EMULATED, OTHER], True), ([EMULATED, OURS], False)],
)
def test_nodes_are_emulated_when_some_are_and_none_runs_pods(there: list[Obj], want: bool) -> None:
    assert nodes.are_emulated(there) is want


@pytest.mark.slow
def test_a_cluster_of_emulated_nodes_starts_again_as_one(tmp_path: Path) -> None:
    async def started(node: bool | None, emulated: int | None) -> tuple[list[Obj], tuple[str, ...]]:
        config = Config(instance=Instance("test", str(tmp_path)), node=node, emulated=emulated, runtime="process")
        async with Platform(config) as platform:
            return list((await platform.client.list(kinds.NODES)).items), platform.running.notes

    async def test() -> None:
        await started(False, 2)
        found, notes = await started(None, None)
        assert [objects.name(node) for node in found] == ["emulated-00000", "emulated-00001"]
        assert not any(objects.spec(node).get("taints") for node in found)
        assert nodes.ALL_EMULATED in notes
        found, notes = await started(True, 0)
        assert [objects.name(node) for node in found] == nodes.names(1)
        assert nodes.ALL_EMULATED not in notes

    asyncio.run(test())
