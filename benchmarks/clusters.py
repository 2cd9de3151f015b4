"""Two whole control planes with emulated nodes, ready to take work: `lightship up --nodes N`, and upstream's programs with kwok.

Called by benchmarks of workloads. The peer is etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok and the JobSet manager
with its webhooks, each with the rights that it is installed with; the limits of their clients are raised to 5,000 requests a second, so
that it is not they that are measured. Its etcd syncs nothing to disk; ours does.
"""

import asyncio
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import yaml

from benchmarks.contenders import cpu_of
from benchmarks.startup import memory, platform, tree, whole
from benchmarks.tiers import HERE
from lightship.aio.clock import SystemClock
from lightship.client import Client, kubeconfig
from lightship.client.cache import Cache
from lightship.kinds import NODES
from lightship.meta import conditions, objects
from lightship.meta.objects import Key, Obj
from oracle import manifests, programs, servers, worlds

LIMIT = 5000
"""Requests a second that each of the peer's clients may make."""
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "jobset", "kubectl")
SECONDS = 600
"""Within which all nodes must be there."""
SIDE_BY_SIDE = 16
"""Nodes that are created at once."""


@dataclass
class Stack:
    """A control plane; `pids` are all its processes."""

    name: str
    kubeconfig: Path
    pids: list[int]
    nodes: float
    """Seconds until all nodes were ready: ours from the command that starts everything, theirs from the first node that is created."""

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return sum(cpu_of(pid) for pid in self.pids)

    def megabytes(self) -> float:
        """PSS of all processes."""
        return memory(self.pids, "Pss")


def absent(*operators: worlds.Operator) -> list[str]:
    """Programs of the peer that are not here."""
    return programs.missing(*PROGRAMS, *(operator.name for operator in operators))


@contextmanager
def ours(nodes: int, *flags: str) -> Iterator[Stack]:
    """A platform of emulated nodes and no other, all ready."""
    begun = time.monotonic()
    with platform(HERE, "--nodes", str(nodes), "--no-node", *flags) as (status, _):
        path = Path(status["kubeconfig"])
        _until_ready(path, nodes)
        yield Stack("lightship", path, whole(int(status["pid"])), time.monotonic() - begun)


@contextmanager
def theirs(nodes: int, *operators: worlds.Operator) -> Iterator[Stack]:
    """Upstream's programs with the JobSet manager and these, all nodes ready and without taints."""
    with worlds.world(servers.REAL) as world:
        kubeconfig = world.server.kubeconfig
        _start(world)
        for operator in (worlds.JOBSET, *operators):
            world.operator(_raised(operator))
        pids, begun = tree(os.getpid())[1:], time.monotonic()
        _until_ready(kubeconfig, nodes, [worlds.node(f"node-{number:05d}") for number in range(nodes)])
        yield Stack("upstream", kubeconfig, pids, time.monotonic() - begun)


def _start(world: worlds.World) -> None:
    """What `World.control_plane` starts, with raised limits."""
    server, directory = world.server, world.server.directory
    limits = (f"--kube-api-qps={LIMIT}", f"--kube-api-burst={2 * LIMIT}")
    flags = ("--use-service-account-credentials", *limits)
    manager = server.acting_as("system:kube-controller-manager")
    world.start("kube-controller-manager", programs.controller_manager(manager, directory, port=programs.free_port(), flags=flags))
    identity = server.acting_as("system:kube-scheduler")
    config = directory / "scheduler.yaml"
    connection = {"kubeconfig": str(identity), "qps": LIMIT, "burst": 2 * LIMIT}
    kind = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
    config.write_text(yaml.safe_dump({**kind, "leaderElection": {"leaderElect": False}, "clientConnection": connection}))
    world.start("kube-scheduler", [*programs.scheduler(identity, directory, port=programs.free_port()), "--config", str(config)])
    world.apply(manifests.read("kwok"))
    account = server.account("kube-system", "kwok-controller")
    world.start("kwok", programs.kwok(account, manifests.FOLDER / "stages.yaml", port=programs.free_port()))


def _raised(operator: worlds.Operator) -> worlds.Operator:
    def configure(config: dict[str, Any], ports: worlds.Ports, certificates: Path) -> None:
        operator.configure(config, ports, certificates)
        config["clientConnection"] = {"qps": LIMIT, "burst": 2 * LIMIT}

    return worlds.Operator(operator.name, operator.files, operator.namespace, operator.account, operator.service, configure)


def _until_ready(path: Path, nodes: int, to_create: Iterable[Obj] = ()) -> None:
    """Wait until all nodes are ready and pods may go there. (`kubectl` creates and asks for one after the other, a few dozen a second.)"""
    asyncio.run(asyncio.wait_for(_readied(path, nodes, iter(to_create)), SECONDS))


async def _readied(path: Path, nodes: int, to_create: Iterator[Obj]) -> None:
    client = Client(kubeconfig.load(path).transport())
    cache = Cache(client, clock=SystemClock(), random=Random(0))
    informer, done = cache.informer(NODES), asyncio.Event()
    ready: set[Key] = set()

    def note(key: Key, old: Obj | None, new: Obj | None) -> None:
        usable = new is not None and conditions.is_true(new, "Ready") and not objects.spec(new).get("taints")
        (ready.add if usable else ready.discard)(key)
        if len(ready) == nodes:
            done.set()

    async def create() -> None:
        for node in to_create:
            await client.create(NODES, node)

    informer.on_change(note)
    async with asyncio.TaskGroup() as group:
        following = group.create_task(cache.run())
        await asyncio.gather(*(create() for _ in range(SIDE_BY_SIDE)))
        await done.wait()
        following.cancel()
    await client.close()
