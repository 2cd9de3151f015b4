"""What the scheduler knows of pods and nodes, as plain values.

`reading` makes them of API objects; `cluster` puts placed pods onto their nodes. The plan works on these values only, so the same core
can replay a trace. Knows no API server and no time.
Contract: core/v1 PodSpec and NodeStatus; resource units are milli-cores for cpu and whole units (bytes, devices) for all else.
"""

from typing import NamedTuple

import msgspec

from lightship.meta.objects import Key, Obj
from lightship.scheduler.terms import NO_TERMS, PodTerms, Spread

BLOCKING_EFFECTS = ("NoSchedule", "NoExecute")
ASSUMED_CPU, ASSUMED_MEMORY = 100, 200 * 1024 * 1024
"""What a pod that asks for nothing is reckoned at when nodes are compared, in milli-cores and bytes; it keeps such pods spread."""


CLAIMS = b"\0"
"""Parts the names of a pod's claims from the rest of its shape."""


class Port(NamedTuple):
    """A port that a pod wants on its node."""

    ip: str
    protocol: str
    number: int

    def clashes(self, other: "Port") -> bool:
        anywhere = "0.0.0.0" in (self.ip, other.ip)
        return self[1:] == other[1:] and (anywhere or self.ip == other.ip)


class Disk(NamedTuple):
    """A disk that cannot be attached twice, but where every user only reads and its kind allows that."""

    kind: str
    name: str
    read_only: bool = False
    monitors: frozenset[str] = frozenset()

    def clashes(self, other: "Disk") -> bool:
        if (self.kind, self.name) != (other.kind, other.name):
            return False
        if self.kind == "rbd" and not self.monitors & other.monitors:
            return False
        return self.kind == "awsElasticBlockStore" or not (self.read_only and other.read_only)


class VolumeUse(NamedTuple):
    """A persistent claim that a pod mounts; `ephemeral` ones are made for it."""

    claim: str
    ephemeral: bool = False


class PodInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A pod as the scheduler sees it. `requests` always counts one of the resource `pods`."""

    key: Key
    uid: str
    labels: dict[str, str] = {}
    priority: int = 0
    created: float = 0.0
    started: float = 0.0
    """Seconds since the epoch; 0.0 while no node has said so."""
    requests: dict[str, int] = {}
    weight: tuple[int, int] = (ASSUMED_CPU, ASSUMED_MEMORY)
    """(cpu, memory) with the assumed amounts where nothing was asked: for comparing nodes only, never for admitting."""
    node_selector: dict[str, str] = {}
    required_terms: list[Obj] | None = None
    preferred_terms: list[Obj] = []
    tolerations: list[Obj] = []
    ports: tuple[Port, ...] = ()
    terms: PodTerms = NO_TERMS
    spread: tuple[Spread, ...] = ()
    images: tuple[str, ...] = ()
    containers: int = 1
    volumes: tuple[VolumeUse, ...] = ()
    disks: tuple[Disk, ...] = ()
    drivers: dict[str, int] = {}
    """CSI volumes given in the pod itself, by driver."""
    claims: bool = False
    """Asks for devices by resource claims."""
    owner: Key | None = None
    """(kind, name) of the controller in the pod's namespace."""
    group: str = ""
    """The PodGroup it belongs to, in its namespace."""
    native_group: bool = False
    """Is that one of `scheduling.k8s.io`?"""
    node_name: str = ""
    nominated: str = ""
    """The node where room is being made for it."""
    scheduler: str = ""
    """Which profile it names."""
    gates: tuple[str, ...] = ()
    never_preempts: bool = False
    deleting: bool = False
    preempted: bool = False
    """Being deleted to make room for another."""
    shape: bytes = b""
    """Equal for pods that any node would judge alike, as far as the pod itself can tell."""

    @property
    def order(self) -> tuple[int, float, Key]:
        """Sorts the pods that go first to the front: high priority, then age, then name."""
        return (-self.priority, self.created, self.key)


class NodeState(msgspec.Struct, kw_only=True):
    """A node with what is taken of it. `version` changes with the node itself, not with its pods."""

    name: str
    labels: dict[str, str] = {}
    unschedulable: bool = False
    taints: list[Obj] = []
    allocatable: dict[str, int] = {}
    images: dict[str, int] = {}
    """Bytes by image name."""
    price: float | None = None
    """For an hour, in whatever money; None where nobody says."""
    used: dict[str, int] = {}
    weight: tuple[int, int] = (0, 0)
    ports: list[Port] = []
    pods: dict[str, PodInfo] = {}
    """By uid."""
    version: int = 0

    def free(self, resource: str) -> int:
        return self.allocatable.get(resource, 0) - self.used.get(resource, 0)

    def take(self, pod: PodInfo) -> None:
        used = self.used
        for resource, amount in pod.requests.items():
            used[resource] = used.get(resource, 0) + amount
        self.weight = (self.weight[0] + pod.weight[0], self.weight[1] + pod.weight[1])
        self.ports.extend(pod.ports)
        self.pods[pod.uid] = pod

    def drop(self, pod: PodInfo) -> None:
        """Undo `take`."""
        for resource, amount in pod.requests.items():
            self.used[resource] -= amount
        self.weight = (self.weight[0] - pod.weight[0], self.weight[1] - pod.weight[1])
        for port in pod.ports:
            self.ports.remove(port)
        del self.pods[pod.uid]

    def copy(self) -> "NodeState":
        return msgspec.structs.replace(self, used=dict(self.used), ports=list(self.ports), pods=dict(self.pods))


class Gang(msgspec.Struct, frozen=True):
    """Pods of which `least` must have a node at once; of 0, any number may."""

    key: Key
    least: int
    missing: str = ""
    """Why they all have to wait for the group itself."""
    native: bool = False
    """Is it a PodGroup of `scheduling.k8s.io`?"""
    topology: str = ""
    """All must go where this label has one value, whichever."""
    priority: int = 0
    """Of the group: counts when others are to make room for it, or it for others."""
    whole: bool = False
    """Is it evicted as a whole?"""
    uid: str = ""


class Domain(NamedTuple):
    """The nodes on which a label has a value."""

    key: str
    value: str


def on_node(pod: PodInfo, node: str) -> PodInfo:
    """The pod as if it was placed on a node already."""
    return msgspec.structs.replace(pod, node_name=node)


def without(pod: PodInfo, resources: frozenset[str]) -> PodInfo:
    """The pod as if it did not ask for these."""
    return msgspec.structs.replace(pod, requests={name: asked for name, asked in pod.requests.items() if name not in resources})
