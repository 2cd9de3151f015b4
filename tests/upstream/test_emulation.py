"""The same nodes and pods played by kwok and by us, on one real kube-apiserver, by the same Stages: both have to come to the same."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightship.aio.clock import SystemClock
from lightship.client import Client, kubeconfig
from lightship.control import Manager
from lightship.emulation import api, controller
from lightship.kinds import NODES, PODS, SERVICE_ACCOUNTS
from lightship.meta import errors, objects
from oracle import programs, servers

Obj = dict[str, Any]
SETS = json.loads((Path(__file__).parents[1] / "emulation" / "stages.json").read_text())["sets"]
STAGES = [stage for name in ("node/fast", "node/heartbeat-with-lease", "node/chaos", "pod/general", "pod/chaos") for stage in SETS[name]]
BASE = ("etcd", "kube-apiserver", "kwok")
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.skipif(bool(programs.missing(*BASE)), reason=f"`oracle/build` makes what is missing: {', '.join(programs.missing(*BASE))}"),
]
_QUICK = {"durationMilliseconds": 100, "jitterDurationMilliseconds": 200}
_DROPPED = {
    *("lastTransitionTime", "lastHeartbeatTime", "startTime", "startedAt", "finishedAt", "podIP", "podIPs", "hostIP", "hostIPs"),
    *("addresses", "daemonEndpoints", "nodeInfo", "qosClass", "observedGeneration"),
}
_FAILING = "pod-container-running-failed.stage.kwok.x-k8s.io"
_FAILING_INIT = "pod-init-container-running-failed.stage.kwok.x-k8s.io"
_NOT_READY = "node-not-ready.stage.kwok.x-k8s.io"


def stages() -> list[Obj]:
    """As they are shipped, but in a hurry: what they wait for without being asked to is a fraction of a second."""
    return [{**stage, "spec": {**stage["spec"], "delay": _hurried(stage["spec"].get("delay"))}} for stage in STAGES]


def _hurried(delay: Obj | None) -> Obj:
    if not delay or delay.get("durationMilliseconds", 0) > 60_000:
        return delay or {}
    return {**delay, **{field: value for field, value in _QUICK.items() if field in delay}}


def pods(node: str) -> list[Obj]:
    container = {"name": "c", "image": "registry.invalid/c:1"}
    init = {"initContainers": [{"name": "i", "image": "registry.invalid/i:1"}]}
    job = [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "1"}]
    kinds: dict[str, tuple[Obj, Obj]] = {
        "plain": ({}, {}),
        "init": ({}, init),
        "job": ({"ownerReferences": job}, {}),
        "gated": ({}, {"readinessGates": [{"conditionType": "example.com/gate"}]}),
        "failing": ({"labels": {_FAILING: "true"}, "annotations": {f"{_FAILING}/exit-code": "7"}}, {}),
        "failing-init": ({"labels": {_FAILING_INIT: "true"}}, init),
        "going": ({"finalizers": ["example.com/hold"]}, {}),
    }
    return [
        {
            "metadata": {"name": f"{name}-{node}", "namespace": "default", **meta},
            "spec": {"nodeName": node, "containers": [container], **spec},
        }
        for name, (meta, spec) in kinds.items()
    ]


def plain(value: Any, node: str, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: plain(item, node, name) for name, item in value.items() if name not in _DROPPED and item not in (None, "", {}, [])}
    if isinstance(value, list):
        listed = [plain(item, node) for item in value]
        return sorted(listed, key=lambda item: str(item.get("type", ""))) if key == "conditions" else listed
    return value.replace(node, "NODE") if isinstance(value, str) else value


async def picture(client: Client, node: str) -> Obj:
    """What is said of a node and its pods, by name."""
    found = {
        objects.name(pod).removesuffix(f"-{node}"): [plain(pod.get("status"), node), objects.is_deleting(pod)]
        for pod in (await client.list(PODS, "default")).items
        if objects.spec(pod).get("nodeName") == node
    }
    return found | {"node": plain((await client.get(NODES, node)).get("status"), node)}


@asynccontextmanager
async def playing(path: Path) -> AsyncIterator[Client]:
    """Our emulation beside kwok; a client for the test."""
    client = Client(kubeconfig.load(path).transport())
    own = Client(kubeconfig.load(path).transport())
    manager = Manager(own, component="emulation")
    emulation = controller.controllers(manager)[0]
    emulation.equip(stages(), lambda user: client)
    manager.add(emulation)
    try:
        async with manager.running():
            yield client
    finally:
        await client.close()
        await own.close()


async def compared(path: Path) -> None:
    async with playing(path) as client, asyncio.timeout(120):
        try:
            await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
        except errors.StatusError as error:
            if not errors.is_already_exists(error):
                raise
        room = {"cpu": "4", "memory": "8Gi"}
        for node, player in (("theirs", "kwok"), ("ours", api.FAKE_VALUE), ("theirs-bad", "kwok"), ("ours-bad", api.FAKE_VALUE)):
            labels = {_NOT_READY: "true"} if node.endswith("bad") else {}
            metadata = {"name": node, "annotations": {api.FAKE: player}, "labels": labels}
            await client.create(NODES, {"metadata": metadata, "status": {"capacity": room, "allocatable": room}})
        for pod in [*pods("theirs"), *pods("ours")]:
            await client.create(PODS, pod)
        wanted: dict[str, str | None] = {
            "plain": "Running",
            "init": "Running",
            "job": "Succeeded",
            "gated": "Running",
            "failing": "Failed",
            "failing-init": "Failed",
        }
        await _until_alike(client, "theirs", "ours", wanted)
        for node in ("theirs", "ours"):
            for name in ("plain", "going"):
                await client.delete(PODS, f"{name}-{node}", "default")
        await _until_alike(client, "theirs", "ours", {"plain": None})
        await _until_alike(client, "theirs-bad", "ours-bad", {})


async def _until_alike(client: Client, theirs: str, ours: str, phases: dict[str, str | None]) -> None:
    """Until pods are in these phases under both, and all that is said of them is the same."""
    clock = SystemClock()
    for _ in range(200):
        pictures = [await picture(client, node) for node in (theirs, ours)]
        reached = all((found.get(name) or [{}])[0].get("phase") == phase for found in pictures for name, phase in phases.items())
        if reached and pictures[0] == pictures[1] and _is_settled(pictures[0]):
            return
        await clock.sleep(0.3)
    assert pictures[0] == pictures[1]
    raise AssertionError(f"it never came to {phases}: {pictures}")


def _is_settled(found: Obj) -> bool:
    return bool(found["node"].get("conditions"))


def test_kwok_and_ours_say_the_same(tmp_path: Path) -> None:
    with programs.workplace() as directory, servers.started(servers.REAL, directory) as server:
        config = directory / "stages.yaml"
        config.write_text(yaml.safe_dump_all(stages()))
        arguments = [
            *("--kubeconfig", str(server.kubeconfig), "--config", str(config), "--node-lease-duration-seconds", "40"),
            *(f"--manage-nodes-with-annotation-selector={api.FAKE}=kwok", "--server-address", f"127.0.0.1:{programs.free_port()}"),
        ]
        with programs.running("kwok", arguments, directory):
            asyncio.run(compared(server.kubeconfig))
