"""Which nodes could run a pod at all, and if not, why: an ordered list of filters that look at one node alone.

A filter takes a pod and a node and returns a verdict (None: it may). The order is declared in `STATIC` and `FILTERS`; the first filter
that objects decides, as in kube-scheduler, so that each node counts under one cause. Reasons are kube-scheduler's, word for word.
What depends on other pods of the cluster is in `rules`, volumes and devices are `plugins`.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from lightship.scheduler import affinity
from lightship.scheduler.snapshot import BLOCKING_EFFECTS, NodeState, PodInfo

UNSCHEDULABLE_TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
PINNED = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
"""Of nodes that are not among those that the pod names."""
UNSCHEDULABLE = "node(s) were unschedulable"
AFFINITY = "node(s) didn't match Pod's node affinity/selector"
PORTS = "node(s) didn't have free ports for the requested pod ports"
TAINT = "node(s) had untolerated taint(s)"
DISK = "node(s) had no available disk"
TOO_MANY_PODS = "Too many pods"
INSUFFICIENT = "Insufficient "


class Verdict(NamedTuple):
    """Why a node cannot run a pod. `cause` names the filter; `resolvable`: it might if pods of lower priority made room."""

    cause: str
    reasons: tuple[str, ...]
    resolvable: bool


Filter: TypeAlias = Callable[[PodInfo, NodeState], Verdict | None]

_PINNED = Verdict("labels", (PINNED,), False)
_UNSCHEDULABLE = Verdict("node", (UNSCHEDULABLE,), False)
_TAINT = Verdict("taints", (TAINT,), False)
_AFFINITY = Verdict("labels", (AFFINITY,), False)
_PORTS = Verdict("ports", (PORTS,), True)
_DISK = Verdict("disks", (DISK,), True)


def named(pod: PodInfo, node: NodeState) -> Verdict | None:
    if pod.required_terms and (pinned := affinity.pinned(pod)) is not None and node.name not in pinned:
        return _PINNED
    return None


def unschedulable(pod: PodInfo, node: NodeState) -> Verdict | None:
    if node.unschedulable and not affinity.tolerates(pod.tolerations, UNSCHEDULABLE_TAINT):
        return _UNSCHEDULABLE
    return None


def taints(pod: PodInfo, node: NodeState) -> Verdict | None:
    if not node.taints or affinity.untolerated(node, pod.tolerations, BLOCKING_EFFECTS) is None:
        return None
    return _TAINT


def node_affinity(pod: PodInfo, node: NodeState) -> Verdict | None:
    return None if affinity.suits(pod, node) else _AFFINITY


def host_ports(pod: PodInfo, node: NodeState) -> Verdict | None:
    if pod.ports and any(port.clashes(other) for port in pod.ports for other in node.ports):
        return _PORTS
    return None


def resources(pod: PodInfo, node: NodeState) -> Verdict | None:
    """Every resource that does not suffice: a pod may lack several at once. Nodes that do not say how many pods they take, take none."""
    allocatable, used = node.allocatable, node.used
    short: tuple[str, ...] = ()
    if allocatable.get("pods", 0) - used.get("pods", 0) < 1:
        short = (TOO_MANY_PODS,)
    resolvable = True
    for name, amount in pod.requests.items():
        if amount > 0 and name != "pods" and amount > (has := allocatable.get(name, 0)) - used.get(name, 0):
            short = (*short, INSUFFICIENT + name)
            resolvable = resolvable and amount <= has
    return Verdict("resources", short, resolvable) if short else None


def disks(pod: PodInfo, node: NodeState) -> Verdict | None:
    if pod.disks and any(disk.clashes(other) for disk in pod.disks for there in node.pods.values() for other in there.disks):
        return _DISK
    return None


STATIC: tuple[Filter, ...] = (named, unschedulable, taints, node_affinity)
"""These do not ask what is on the node."""
FILTERS: tuple[Filter, ...] = (host_ports, resources, disks)


def static(pod: PodInfo, node: NodeState) -> Verdict | None:
    """What no pod that goes can change."""
    for check in STATIC:
        if verdict := check(pod, node):
            return verdict
    return None


def local(pod: PodInfo, node: NodeState) -> Verdict | None:
    """What the pods on the node decide."""
    for check in FILTERS:
        if verdict := check(pod, node):
            return verdict
    return None
