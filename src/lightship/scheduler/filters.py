"""Which nodes could run a pod at all, and if not, why: an ordered list of filters.

A filter takes a pod and a node and returns the reasons why not (none: it may). The order is declared in `FILTERS`; the first filter that
objects decides, as in kube-scheduler, so that each node counts under one cause. Reasons are kube-scheduler's, word for word.
"""

from collections.abc import Callable
from typing import TypeAlias

from lightship.scheduler import affinity
from lightship.scheduler.snapshot import BLOCKING_EFFECTS, NodeState, PodInfo

UNSCHEDULABLE_TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
UNSCHEDULABLE = "node(s) were unschedulable"
AFFINITY = "node(s) didn't match Pod's node affinity/selector"
PORTS = "node(s) didn't have free ports for the requested pod ports"
TAINT = "node(s) had untolerated taint"
TOO_MANY_PODS = "Too many pods"
INSUFFICIENT = "Insufficient "

Filter: TypeAlias = Callable[[PodInfo, NodeState], list[str]]


def unschedulable(pod: PodInfo, node: NodeState) -> list[str]:
    if node.unschedulable and not affinity.tolerates(pod.tolerations, UNSCHEDULABLE_TAINT):
        return [UNSCHEDULABLE]
    return []


def taints(pod: PodInfo, node: NodeState) -> list[str]:
    taint = affinity.untolerated(node, pod.tolerations, BLOCKING_EFFECTS)
    if taint is None:
        return []
    return [f"{TAINT} {{{taint.get('key', '')}: {taint.get('value') or ''}}}"]


def node_affinity(pod: PodInfo, node: NodeState) -> list[str]:
    if not affinity.has_labels(node, pod.node_selector):
        return [AFFINITY]
    if pod.required_terms is not None and not affinity.matches_any(node, pod.required_terms):
        return [AFFINITY]
    return []


def host_ports(pod: PodInfo, node: NodeState) -> list[str]:
    taken = any(port.clashes(other) for port in pod.ports for other in node.ports)
    return [PORTS] if taken else []


def resources(pod: PodInfo, node: NodeState) -> list[str]:
    """Every resource that does not suffice: a pod may lack several at once. Nodes that do not say how many pods they take, take any."""
    if "pods" in node.allocatable and node.free("pods") < 1:
        return [TOO_MANY_PODS]
    wanted = pod.requests.items()
    return [INSUFFICIENT + name for name, amount in wanted if name != "pods" and amount > 0 and amount > node.free(name)]


FILTERS: tuple[Filter, ...] = (unschedulable, taints, node_affinity, host_ports, resources)


def objections(pod: PodInfo, node: NodeState) -> list[str]:
    """Why this node cannot run this pod now; empty when it can."""
    for check in FILTERS:
        if reasons := check(pod, node):
            return reasons
    return []
