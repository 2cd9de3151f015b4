"""Why a pod cannot be placed, in words: kube-scheduler's summary, and a sentence that says what is missing.

Called by `plan` for pods that fit nowhere. Pure text; decides nothing.
"""

from collections.abc import Iterable, Mapping, Sequence

from lightship.scheduler import filters
from lightship.scheduler.snapshot import NodeState, PodInfo

NO_NODES = "no nodes available to schedule pods"
_UNITS = ("", "Ki", "Mi", "Gi", "Ti", "Pi")


def cause(counts: Mapping[str, int], nodes: int) -> str:
    """`0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.`"""
    if not nodes:
        return NO_NODES
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    return f"0/{nodes} nodes are available: {listed}."


def refusal(reason: str, nodes: int) -> str:
    """`0/3 nodes are available: resourceclaim in use.`: what was found out before any node was looked at."""
    return f"0/{nodes} nodes are available: {reason}."


def missing(pod: PodInfo, nodes: Sequence[NodeState], objections: Sequence[list[str]]) -> str:
    """What the pod asks for that the nodes do not have; empty when the cause alone says it."""
    if not nodes:
        return "Start a node, or wait until one registers."
    short = _lacking(objections)
    sentences = [_resource(name, pod, _nodes_lacking(name, nodes, objections)) for name in short]
    if any(filters.AFFINITY in against for against in objections):
        sentences.append(_selector(pod))
    return " ".join(sentence for sentence in sentences if sentence)


def show(resource: str, value: int) -> str:
    """An amount for people: `1.5` cores, `16Gi` bytes, `4` devices."""
    if resource == "cpu":
        return f"{value / 1000:g}"
    if resource == "memory" or resource.endswith("storage") or resource.startswith("hugepages-"):
        return _bytes(value)
    return str(value)


def _lacking(objections: Sequence[list[str]]) -> list[str]:
    prefix = filters.INSUFFICIENT
    return sorted({reason.removeprefix(prefix) for against in objections for reason in against if reason.startswith(prefix)})


def _nodes_lacking(resource: str, nodes: Sequence[NodeState], objections: Sequence[list[str]]) -> list[NodeState]:
    reason = filters.INSUFFICIENT + resource
    return [node for node, against in zip(nodes, objections, strict=True) if reason in against]


def _resource(name: str, pod: PodInfo, nodes: Iterable[NodeState]) -> str:
    freest = max(nodes, key=lambda node: (node.free(name), node.allocatable.get(name, 0)))
    wanted, total = pod.requests[name], freest.allocatable.get(name, 0)
    asked = f"The pod asks for {show(name, wanted)} {name}; "
    if not total:
        return f"{asked}node {freest.name} has none."
    if wanted > total:
        return f"{asked}node {freest.name} has {show(name, total)} in all."
    return f"{asked}node {freest.name} has {show(name, max(0, freest.free(name)))} of {show(name, total)} left."


def _selector(pod: PodInfo) -> str:
    if not pod.node_selector:
        return ""
    wanted = ", ".join(f"{key}={value}" for key, value in sorted(pod.node_selector.items()))
    return f"The pod asks for nodes labelled {wanted}."


def _bytes(value: int) -> str:
    scaled, unit = float(value), 0
    while scaled >= 1024 and unit < len(_UNITS) - 1:
        scaled, unit = scaled / 1024, unit + 1
    return f"{round(scaled, 1):g}{_UNITS[unit]}"
