"""What the scheduler needs to know of pods and nodes, parsed once into plain numbers.

`pod_info` and `node_state` turn API objects into values; `snapshot` puts the placed pods onto their nodes. The plan works on these
values only, so the same core can replay a trace. Knows no API server and no time.
Contract: core/v1 PodSpec and NodeStatus; resource units are milli-cores for cpu and whole units (bytes, devices) for all else.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from lightship.kinds import pods as podlib
from lightship.meta import objects, quantity, times
from lightship.meta.objects import Key, Obj

DEFAULT_SCHEDULER = "default-scheduler"
NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
PRESSURES = {
    "MemoryPressure": {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"},
    "DiskPressure": {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"},
    "PIDPressure": {"key": "node.kubernetes.io/pid-pressure", "effect": "NoSchedule"},
}
"""Taints by the condition that they stand for, counted whether or not somebody has written them into the spec by now."""
BLOCKING_EFFECTS = ("NoSchedule", "NoExecute")
ASSUMED_CPU, ASSUMED_MEMORY = 100, 200 * 1024 * 1024
"""What a pod that asks for nothing is reckoned at when nodes are compared, in milli-cores and bytes; it keeps such pods spread."""


class Port(NamedTuple):
    """A port that a pod wants on its node."""

    ip: str
    protocol: str
    number: int

    def clashes(self, other: "Port") -> bool:
        anywhere = "0.0.0.0" in (self.ip, other.ip)
        return self[1:] == other[1:] and (anywhere or self.ip == other.ip)


class PodInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A pod as the scheduler sees it. `requests` always counts one of the resource `pods`."""

    key: Key
    uid: str
    priority: int = 0
    created: float = 0.0
    requests: dict[str, int] = {}
    weight: tuple[int, int] = (ASSUMED_CPU, ASSUMED_MEMORY)
    """(cpu, memory) with the assumed amounts where nothing was asked: for comparing nodes only, never for admitting."""
    node_selector: dict[str, str] = {}
    required_terms: list[Obj] | None = None
    preferred_terms: list[Obj] = []
    tolerations: list[Obj] = []
    ports: tuple[Port, ...] = ()
    node_name: str = ""
    gates: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[int, float, Key]:
        """Sorts the pods that go first to the front: high priority, then age, then name."""
        return (-self.priority, self.created, self.key)


class NodeState(msgspec.Struct, kw_only=True):
    """A node with what is taken of it. Plans change their own copies."""

    name: str
    labels: dict[str, str] = {}
    unschedulable: bool = False
    taints: list[Obj] = []
    allocatable: dict[str, int] = {}
    used: dict[str, int] = {}
    weight: tuple[int, int] = (0, 0)
    ports: list[Port] = []

    def free(self, resource: str) -> int:
        return self.allocatable.get(resource, 0) - self.used.get(resource, 0)

    def take(self, pod: PodInfo) -> None:
        for resource, amount in pod.requests.items():
            self.used[resource] = self.used.get(resource, 0) + amount
        self.weight = (self.weight[0] + pod.weight[0], self.weight[1] + pod.weight[1])
        self.ports.extend(pod.ports)

    def copy(self) -> "NodeState":
        return msgspec.structs.replace(self, used=dict(self.used), ports=list(self.ports))


def amount(resource: str, value: str | int | float) -> int:
    """A quantity in the scheduler's unit. Raises `ValueError` on a bad quantity."""
    return quantity.millis(value) if resource == "cpu" else quantity.to_int(value)


def amounts(resources: Obj) -> dict[str, int]:
    return {name: amount(name, value) for name, value in resources.items()}


def pod_info(pod: Obj) -> PodInfo:
    spec = objects.spec(pod)
    requests = amounts(podlib.total_requests(pod))
    affinity = objects.get_path(spec, "affinity", "nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return PodInfo(
        key=objects.key(pod),
        uid=objects.uid(pod),
        priority=spec.get("priority") or 0,
        created=_created(pod),
        requests={**requests, "pods": 1},
        weight=(requests.get("cpu") or ASSUMED_CPU, requests.get("memory") or ASSUMED_MEMORY),
        node_selector=spec.get("nodeSelector") or {},
        required_terms=None if required is None else required.get("nodeSelectorTerms") or [],
        preferred_terms=affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or [],
        tolerations=spec.get("tolerations") or [],
        ports=tuple(_host_ports(spec)),
        node_name=spec.get("nodeName") or "",
        gates=tuple(gate.get("name", "") for gate in spec.get("schedulingGates") or []),
    )


def on_node(pod: PodInfo, node: str) -> PodInfo:
    """The pod as if it was placed on a node already."""
    return msgspec.structs.replace(pod, node_name=node)


def node_state(node: Obj) -> NodeState:
    spec, status = objects.spec(node), objects.status(node)
    taints = list(spec.get("taints") or [])
    if _not_ready(status) and not any(taint.get("key") == NOT_READY["key"] for taint in taints):
        taints.append(NOT_READY)
    held = [c["type"] for c in status.get("conditions") or () if c.get("status") == "True" and c["type"] in PRESSURES]
    taints += [PRESSURES[type] for type in held if not any(taint.get("key") == PRESSURES[type]["key"] for taint in taints)]
    return NodeState(
        name=objects.name(node),
        labels=objects.labels(node),
        unschedulable=bool(spec.get("unschedulable")),
        taints=taints,
        allocatable=amounts(status.get("allocatable") or status.get("capacity") or {}),
        used={},
        ports=[],
    )


def snapshot(nodes: Iterable[Obj], placed: Iterable[PodInfo]) -> list[NodeState]:
    """The nodes, in order of their names, with the placed pods on them; pods on unknown nodes take nothing."""
    states = {objects.name(node): node_state(node) for node in nodes}
    for pod in placed:
        if (state := states.get(pod.node_name)) is not None:
            state.take(pod)
    return [states[name] for name in sorted(states)]


def is_ours(pod: Obj) -> bool:
    """Does this pod name us, or nobody, as its scheduler?"""
    return (objects.spec(pod).get("schedulerName") or DEFAULT_SCHEDULER) == DEFAULT_SCHEDULER


def is_waiting(pod: Obj) -> bool:
    """Is this a pod that still wants a node, from us?"""
    return not objects.spec(pod).get("nodeName") and not objects.is_deleting(pod) and not podlib.is_terminal(pod) and is_ours(pod)


def is_placed(pod: Obj) -> bool:
    """Does this pod take up room on a node? A pod that is being deleted does, until it is gone."""
    return bool(objects.spec(pod).get("nodeName")) and not podlib.is_terminal(pod)


def _created(pod: Obj) -> float:
    stamp = objects.meta(pod).get("creationTimestamp")
    return times.parse(stamp) if stamp else 0.0


def _host_ports(spec: Obj) -> Iterable[Port]:
    for container in spec.get("containers") or []:
        for port in container.get("ports") or []:
            if number := port.get("hostPort"):
                yield Port(port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", number)


def _not_ready(status: Obj) -> bool:
    """A node that says it is not ready. One that says nothing about it is taken at its word: it has no agent that would."""
    ready = next((c for c in status.get("conditions") or [] if c.get("type") == "Ready"), None)
    return ready is not None and ready.get("status") != "True"
