"""How many pods a second find their node: the core alone, and end to end against kube-scheduler on the real kube-apiserver.

    python -m benchmarks.scheduling [--nodes 5000] [--pods 10000] [--rounds 3] [--only plain,gangs] [--core | --end-to-end]

End to end, each scheduler gets a fresh kube-apiserver and etcd with the same nodes and the same pods, in turn; it is started when all of
them are there, and the time runs from the first binding that a watching client sees to the last. kube-scheduler's client limits are
raised to 5,000 requests a second, so that it is not they that are measured. A round of both takes about two minutes on two idle cores.
`--core` measures only our planner, in CPU time; gangs (of eight pods, free and in one zone) and devices (a claim for each pod) are measured
there alone.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import uvloop

from benchmarks.contenders import cpu_of
from benchmarks.report import Series, machine, table
from lightship.aio.clock import SystemClock
from lightship.client import Client, kubeconfig
from lightship.client.cache import Cache
from lightship.control import Manager
from lightship.kinds import NODES, PODS, PRIORITY_CLASSES, SERVICE_ACCOUNTS
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.scheduler import controller, reading, together
from lightship.scheduler.claims.desk import Desk, Facts
from lightship.scheduler.claims.devices import Slice
from lightship.scheduler.claims.pools import Inventory
from lightship.scheduler.claims.taken import Taken
from lightship.scheduler.claims.wants import PodClaims
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.plan import Bind, Planner
from lightship.scheduler.snapshot import Gang
from oracle import programs, servers

ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
APP = {"matchLabels": {"app": "bench"}}
OURS, THEIRS = "ours", "kube-scheduler"
LIMIT = 5000
"""Requests a second that kube-scheduler may make."""
SIDE_BY_SIDE = 32


class Workload(NamedTuple):
    """What every pod says beside its requests; `fill`: every node is full of pods of lower priority."""

    spec: Obj
    fill: bool = False


def _term(key: str) -> Obj:
    return {"topologyKey": key, "labelSelector": APP}


WORKLOADS: dict[str, Workload] = {
    "plain": Workload({}),
    "affinity": Workload({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_term(ZONE)]}}}),
    "anti-affinity": Workload(
        {
            "affinity": {
                "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": _term(HOST)}]}
            }
        }
    ),
    "spread": Workload({"topologySpreadConstraints": [{"maxSkew": 5, "whenUnsatisfiable": "DoNotSchedule", **_term(ZONE)}]}),
    "preemption": Workload({"priorityClassName": "high"}, fill=True),
}
CORE_ONLY = ("gangs", "gangs-by-zone", "devices")


def node(number: int) -> Obj:
    allocatable = {"cpu": "4", "memory": "32Gi", "pods": "110"}
    labels = {HOST: f"node-{number:05d}", ZONE: f"zone-{number % 10}"}
    meta = {"name": f"node-{number:05d}", "labels": labels}
    status = {"allocatable": allocatable, "capacity": allocatable, "conditions": [{"type": "Ready", "status": "True"}]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {}, "status": status}


def pod(name: str, workload: Workload, *, filler: str = "") -> Obj:
    """A pod to be placed, or one that fills a node."""
    requests = {"cpu": "4" if workload.fill else "100m", "memory": "500Mi"}
    spec: Obj = {"containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.10", "resources": {"requests": requests}}]}
    spec |= {"terminationGracePeriodSeconds": 0, **({"nodeName": filler} if filler else workload.spec)}
    meta = {"name": name, "namespace": "default", "labels": {"app": "filler" if filler else "bench"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


GANG = 8
"""Pods of a gang."""
DEVICES = 8
"""Devices of a node."""


def _gangs(cluster: Cluster, pods: int, topology: str) -> float:
    """The time that it takes to place gangs, one after another."""
    planner = Planner(cluster)
    waiting = [pod(f"pod-{i}", WORKLOADS["plain"]) for i in range(pods)]
    for i, found in enumerate(waiting):
        found["metadata"]["uid"] = f"pod-{i}"
    begun = time.process_time()
    for at in range(0, pods, GANG):
        gang = Gang(Key("default", f"gang-{at}"), GANG, native=True, topology=topology)
        outcome = together.decide(planner, [reading.pod_info(found) for found in waiting[at : at + GANG]], gang)
        assert outcome.verdict is not None
        assert outcome.verdict.scheduled
    return time.process_time() - begun


def _devices(cluster: Cluster, pods: int) -> float:
    """The time that it takes to place pods that ask for a device each, by a claim."""
    driver, kind = "gpu.example.com", "gpu"
    request = {"name": "one", "exactly": {"deviceClassName": kind, "allocationMode": "ExactCount", "count": 1}}
    selector = {"cel": {"expression": f'device.driver == "{driver}"'}}
    slices = []
    for name in cluster.names():
        pool = {"name": name, "generation": 1, "resourceSliceCount": 1}
        spec = {"driver": driver, "nodeName": name, "pool": pool, "devices": [{"name": f"gpu-{i}"} for i in range(DEVICES)]}
        slices.append(Slice({"metadata": {"name": f"slice-{name}", "uid": name}, "spec": spec}))
    known: dict[str, PodClaims] = {}
    waiting = []
    for i in range(pods):
        found = pod(f"pod-{i}", WORKLOADS["plain"])
        found["metadata"]["uid"] = f"pod-{i}"
        found["spec"]["resourceClaims"] = [{"name": "gpu", "resourceClaimName": f"claim-{i}"}]
        meta = {"name": f"claim-{i}", "namespace": "default", "uid": f"claim-{i}"}
        known[f"pod-{i}"] = PodClaims(found, ({"metadata": meta, "spec": {"devices": {"requests": [request]}}},))
        waiting.append(found)
    desk = Desk(Facts({kind: {"spec": {"selectors": [selector]}}}, {}, Inventory(slices), Taken(), 0.0), known)
    planner = Planner(cluster)
    begun = time.process_time()
    for found in waiting:
        info = reading.pod_info(found)
        decision = planner.decide(info, desk.open(info))
        assert isinstance(decision, Bind)
    return time.process_time() - begun


def core(name: str, nodes: int, pods: int) -> float:
    """Pods a second of CPU time that our planner decides on; reading them from objects is counted."""
    if name in CORE_ONLY:
        cluster = Cluster(reading.node_state(node(i)) for i in range(nodes))
        if name == "devices":
            count = min(pods, 500)
            return count / _devices(cluster, count)
        return pods / _gangs(cluster, pods // GANG * GANG, ZONE if name == "gangs-by-zone" else "")
    workload = WORKLOADS[name]
    cluster = Cluster(reading.node_state(node(i)) for i in range(nodes))
    if workload.fill:
        for i in range(nodes):
            filler = pod(f"filler-{i}", workload, filler=f"node-{i:05d}")
            filler["metadata"]["uid"] = f"filler-{i}"
            cluster.add_pod(reading.pod_info(filler))
        pods = min(pods, nodes)
    waiting = [pod(f"pod-{i}", workload) for i in range(pods)]
    for i, found in enumerate(waiting):
        found["metadata"]["uid"] = f"pod-{i}"
        if workload.fill:
            found["spec"]["priority"] = 1000
    planner = Planner(cluster)
    begun = time.process_time()
    for found in waiting:
        planner.decide(reading.pod_info(found))
    return pods / (time.process_time() - begun)


async def schedule(path: Path) -> None:
    """Our scheduler and nothing else, until ended."""
    client = Client(kubeconfig.load(path).transport())
    manager = Manager(client, component="default-scheduler")
    manager.add(controller.controller(manager))
    await manager.run()


@contextmanager
def _running(contender: str, path: Path, directory: Path) -> Iterator[int]:
    """The scheduler for the length of a block; its process id."""
    if contender == OURS:
        with (directory / "ours.log").open("wb") as log:
            child = subprocess.Popen([sys.executable, "-m", "benchmarks.scheduling", "--schedule", str(path)], stdout=log, stderr=log)
            try:
                yield child.pid
            finally:
                child.kill()
                child.wait()
        return
    config = directory / "scheduler.yaml"
    connection = f"{{kubeconfig: {path}, qps: {LIMIT}, burst: {LIMIT}}}"
    config.write_text(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
        f"leaderElection: {{leaderElect: false}}\nclientConnection: {connection}\n"
    )
    arguments = [*programs.scheduler(path, directory, port=programs.free_port()), "--config", str(config)]
    with programs.running("kube-scheduler", arguments, directory) as process:
        yield process.pid


class Watching:
    """Notes when a client that watches sees the pods of the workload bound."""

    def __init__(self, wanted: int) -> None:
        self.times: list[float] = []
        self.done = asyncio.Event()
        self._wanted = wanted

    def note(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        if new is None or not key.name.startswith("pod-") or not objects.spec(new).get("nodeName"):
            return
        if old is None or not objects.spec(old).get("nodeName"):
            self.times.append(time.monotonic())
            if len(self.times) == self._wanted:
                self.done.set()


async def _create_all(client: Client, make: Callable[[int], Obj], count: int, resource: Any) -> None:
    async def some(numbers: range) -> None:
        for number in numbers:
            wanted = make(number)
            created = await client.create(resource, wanted)
            if resource == NODES and objects.spec(created).get("taints"):  # there is nobody who would find out that it is ready
                await client.patch(resource, objects.name(created), {"spec": {"taints": []}})

    async with asyncio.TaskGroup() as group:
        for start in range(SIDE_BY_SIDE):
            group.create_task(some(range(start, count, SIDE_BY_SIDE)))


async def _end_to_end(name: str, contender: str, path: Path, directory: Path, nodes: int, pods: int) -> tuple[float, float]:
    """(pods a second, CPU seconds of the scheduler for a thousand pods)."""
    workload = WORKLOADS[name]
    client = Client(kubeconfig.load(path).transport())
    await client.apply(
        SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}
    )
    await client.create(
        PRIORITY_CLASSES, {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000}
    )
    await _create_all(client, node, nodes, NODES)
    if workload.fill:
        pods = min(pods, nodes)
        await _create_all(client, lambda i: pod(f"filler-{i}", workload, filler=f"node-{i:05d}"), nodes, PODS)
    await _create_all(client, lambda i: pod(f"pod-{i}", workload), pods, PODS)
    watching = Watching(pods)
    cache = Cache(client, clock=SystemClock(), random=Random(0))
    informer = cache.informer(PODS)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(cache.run())
        await informer.wait_synced()
        informer.on_change(watching.note)
        with _running(contender, path, directory) as pid:
            await asyncio.wait_for(watching.done.wait(), 900)
            cpu = cpu_of(pid)
        task.cancel()
    await client.close()
    return (pods - 1) / (watching.times[-1] - watching.times[0]), 1000 * cpu / pods


def end_to_end(name: str, contender: str, nodes: int, pods: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="scheduling-") as folder:
        directory = Path(folder)
        with servers.started(servers.REAL, directory) as server:
            measured: tuple[float, float] = uvloop.run(_end_to_end(name, contender, server.kubeconfig, directory, nodes, pods))
            return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=3)
    every = ",".join((*WORKLOADS, *CORE_ONLY))
    parser.add_argument("--only", default=every, help="comma-separated: " + every.replace(",", ", "))
    parser.add_argument("--core", action="store_true", help="only the planner, without servers")
    parser.add_argument("--end-to-end", action="store_true", help="only both schedulers with the real server")
    parser.add_argument("--schedule", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.schedule:
        uvloop.run(schedule(options.schedule))
        return
    print(machine())
    names = options.only.split(",")
    if not options.end_to_end:
        print(table(_alone(names, options.nodes, options.pods, options.rounds)), flush=True)
    if options.core or programs.missing("etcd", "kube-apiserver", "kube-scheduler"):
        return
    for name in (name for name in names if name in WORKLOADS):
        print(f"{_beside(name, options.nodes, options.pods, options.rounds)}\n", flush=True)


def _alone(names: list[str], nodes: int, pods: int, rounds: int) -> list[Series]:
    """The planner, in CPU time."""
    alone = [Series(f"{name}, core, pods/s of CPU time") for name in names]
    for _ in range(rounds):
        for name, series in zip(names, alone, strict=True):
            series.add(core(name, nodes, pods))
    return alone


def _beside(name: str, nodes: int, pods: int, rounds: int) -> str:
    """Both schedulers in turn: a table, and the ratios of the medians."""
    rates = {contender: Series(f"{name}, {contender}, pods/s") for contender in (OURS, THEIRS)}
    cpus = {contender: Series(f"{name}, {contender}, CPU s for 1,000 pods") for contender in (OURS, THEIRS)}
    for number in range(rounds):
        for contender in (OURS, THEIRS):
            rate, cpu = end_to_end(name, contender, nodes, pods)
            rates[contender].add(rate)
            cpus[contender].add(cpu)
            print(f"round {number + 1}, {contender}: {rate:.0f} pods/s, {cpu:.2f} CPU s for 1,000 pods", file=sys.stderr, flush=True)
    ratio = f"{name}: {rates[OURS].median / rates[THEIRS].median:.2f} times the pods/s of kube-scheduler"
    return f"{table([*rates.values(), *cpus.values()])}\n{ratio}, {cpus[OURS].median / cpus[THEIRS].median:.2f} times its CPU"


if __name__ == "__main__":
    main()
