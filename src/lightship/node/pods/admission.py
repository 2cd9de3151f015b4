"""Who may run on this node: the last look at a pod before anything is made for it, with the amounts that others have been given.

`Admitted` is shared by all workers of a node; each asks it once, before its pod's first step, and again when the pod wants to be resized.
What may not run is failed with the reason returned here. Contract: kubelet lifecycle/predicate.go, allocation (reasons, texts).
"""

from collections.abc import Mapping
from typing import NamedTuple

from lightship.kinds import placement, pods
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj
from lightship.node.runtimes import sysctls

from . import security

AFFINITY = "NodeAffinity"
PORTS = "NodePorts"
SYSCTL = "SysctlForbidden"
UNEXPECTED = "UnexpectedAdmissionError"
"""What a pod was promised is not there."""


class Refusal(NamedTuple):
    """Reason and message, as in the pod's status and the event."""

    reason: str
    message: str


class Admitted:
    """The pods that this node has let in, and what they were given."""

    def __init__(self, allocatable: Mapping[str, str]) -> None:
        self._allocatable = allocatable
        self._pods: dict[str, Obj] = {}
        self.closed: Refusal | None = None
        """Why nobody is let in any more."""

    def admit(self, pod: Obj, node: Obj) -> Refusal | None:
        """Let a pod in, or say why not. `node` is this node's object."""
        refusal = self.closed or _unsafe(pod) or self._unsuited(pod, node) or self.lacking(pod)
        if refusal is None:
            self._pods[objects.uid(pod)] = pod
        return refusal

    def keep(self, pod: Obj) -> None:
        """A pod that is here already, or that was given other amounts."""
        self._pods[objects.uid(pod)] = pod

    def release(self, uid: str) -> None:
        """The pod uses nothing any more."""
        self._pods.pop(uid, None)

    def lacking(self, pod: Obj) -> Refusal | None:
        """The first resource that there is too little of, beside what all others were given."""
        others = [p for uid, p in self._pods.items() if uid != objects.uid(pod)]
        if len(others) + 1 > quantity.to_int(self._allocatable.get("pods", "110")):
            return _short("pods", 1, len(others), quantity.to_int(self._allocatable.get("pods", "110")))
        wanted = pods.total_requests(pod)
        used: Mapping[str, str] = {}
        for other in others:
            used = quantity.add(used, pods.total_requests(other))
        for name, amount in _known(wanted, self._allocatable).items():
            taken, there = _whole(name, used.get(name, "0")), _whole(name, self._allocatable.get(name, "0"))
            if _whole(name, amount) > there - taken:
                return _short(name, _whole(name, amount), taken, there)
        return None

    def never_fits(self, pod: Obj) -> str:
        """Why a pod would not fit here even if it were alone; empty when it would."""
        for name, amount in _known(pods.total_requests(pod), self._allocatable).items():
            there = _whole(name, self._allocatable.get(name, "0"))
            if _whole(name, amount) > there:
                return f"Node didn't have enough capacity: {name}, requested: {_whole(name, amount)}, capacity: {there}"
        return ""

    def _unsuited(self, pod: Obj, node: Obj) -> Refusal | None:
        spec = objects.spec(pod)
        system = (spec.get("os") or {}).get("name")
        if system and system != objects.labels(node).get("kubernetes.io/os", "linux"):
            return Refusal("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
        if not placement.selects(objects.spec(pod), node):
            return Refusal(AFFINITY, f"Predicate {AFFINITY} failed: node(s) didn't match Pod's node affinity/selector")
        taken = {port for uid, other in self._pods.items() if uid != objects.uid(pod) for port in host_ports(other)}
        if any(_collide(port, other) for port in host_ports(pod) for other in taken):
            return Refusal(PORTS, f"Predicate {PORTS} failed: node(s) didn't have free ports for the requested pod ports")
        return None


def _unsafe(pod: Obj) -> Refusal | None:
    name = sysctls.forbidden(security.sysctls(pod))
    return Refusal(SYSCTL, f'forbidden sysctl: "{name}" not allowlisted') if name else None


def asks_for_node(pod: Obj) -> bool:
    """Does it matter which node this is?"""
    spec = objects.spec(pod)
    return bool(spec.get("nodeSelector") or (spec.get("affinity") or {}).get("nodeAffinity") or spec.get("os"))


def host_ports(pod: Obj) -> list[tuple[str, str, int]]:
    """(address, protocol, port) of the ports of the machine that a pod wants."""
    return [
        (port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", int(port["hostPort"]))
        for container in pods.containers(pod)
        for port in container.get("ports") or ()
        if port.get("hostPort")
    ]


def _collide(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    return one[1:] == other[1:] and (one[0] == other[0] or "0.0.0.0" in (one[0], other[0]))


def _known(wanted: Mapping[str, str], allocatable: Mapping[str, str]) -> dict[str, str]:
    """Of extended resources only those that this node has: others may be the cluster's."""
    return {name: amount for name, amount in wanted.items() if name in allocatable or "/" not in name}


def _whole(name: str, amount: str) -> int:
    """Thousandths of processors, and whole units of everything else."""
    return quantity.millis(amount) if name == "cpu" else quantity.to_int(amount)


def _short(name: str, requested: int, used: int, capacity: int) -> Refusal:
    text = f"Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
    return Refusal(f"OutOf{name}", text)
