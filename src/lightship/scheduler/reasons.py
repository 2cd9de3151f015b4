"""Why a pod cannot be placed, in words: kube-scheduler's summary, and a sentence that says what is missing.

Called by `plan` for pods that fit nowhere. Pure text; decides nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from lightship.scheduler import affinity, filters
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.filters import Verdict
from lightship.scheduler.snapshot import BLOCKING_EFFECTS, NodeState, PodInfo

NO_NODES = "no nodes available to schedule pods"
NOTHING_PREPARED = "not found"
"""What kube-scheduler adds when volumes rule out all nodes at once: its device plugin misses what it would have prepared after them."""
START_A_NODE = "Start a node, or wait until one registers."
GROUP_LABELS = (
    *("lightship.dev/node-shape", "karpenter.sh/nodepool", "cloud.google.com/gke-nodepool", "eks.amazonaws.com/nodegroup"),
    *("kubernetes.azure.com/agentpool", "node.kubernetes.io/instance-type"),
)
"""By the first of these that a node has, it belongs to a group."""
_LISTED = 3
_GROUPS = 4
_LONGEST_NAME = 40
_MANY = 10
"""Nodes without such a label are told apart by what they have where there are so many: of fewer, the counts say enough."""
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


def post_filter(preemption: str, claims: str = "no new claims to deallocate") -> str:
    """What kube-scheduler adds about making room: first of devices, which a pod without claims cannot free, then of pods."""
    return f"{claims}, preemption: {preemption}"


def missing(pod: PodInfo, cluster: Cluster, verdicts: Mapping[str, Verdict]) -> str:
    """What the pod asks for that the nodes do not have; empty when the cause alone says it."""
    short: dict[str, list[NodeState]] = {}
    selected = tainted = False
    for name, verdict in verdicts.items():
        if verdict.cause == "resources":
            for reason in verdict.reasons:
                if reason.startswith(filters.INSUFFICIENT):
                    short.setdefault(reason.removeprefix(filters.INSUFFICIENT), []).append(cluster.nodes[name])
        selected = selected or filters.AFFINITY in verdict.reasons
        tainted = tainted or verdict.cause == "taints"
    sentences = [_resource(name, pod, nodes) for name, nodes in sorted(short.items())]
    if selected:
        sentences.append(_selector(pod))
    if tainted:
        sentences.append(_taints(pod, (cluster.nodes[name] for name, verdict in verdicts.items() if verdict.cause == "taints")))
    sentences.append(by_group(verdicts, cluster))
    return " ".join(sentence for sentence in sentences if sentence)


def by_group(verdicts: Mapping[str, Verdict], cluster: Cluster) -> str:
    """The reasons of each group of nodes, the largest first; empty when there is only one. Never longer than a few hundred characters."""
    if len(verdicts) < 2:
        return ""
    sizes: Counter[str] = Counter()
    found: dict[str, Counter[str]] = {}
    for name, verdict in verdicts.items():
        group = group_of(cluster.nodes[name], by_capacity=len(verdicts) >= _MANY)
        sizes[group] += 1
        found.setdefault(group, Counter()).update(verdict.reasons)
    if len(sizes) < 2:
        return ""
    listed = sorted(sizes, key=lambda group: (-sizes[group], group))
    parts = [f"{_cut(group or 'others')} ({sizes[group]}): {_most(found[group], sizes[group])}" for group in listed[:_GROUPS]]
    if rest := listed[_GROUPS:]:
        parts.append(f"{len(rest)} more groups ({sum(sizes[group] for group in rest)})")
    return f"By node group: {'; '.join(parts)}."


def group_of(node: NodeState, *, by_capacity: bool = True) -> str:
    """What people call the nodes that are like this one: their pool or type; where nothing says so, what they have."""
    for label in GROUP_LABELS:
        if value := node.labels.get(label):
            return value
    if not by_capacity:
        return ""
    named = ("cpu", "memory", *sorted(name for name in node.allocatable if "/" in name))
    return " ".join(f"{show(name, node.allocatable[name])} {name}" for name in named if node.allocatable.get(name))


def _most(reasons: Counter[str], nodes: int) -> str:
    listed = sorted(reasons, key=lambda reason: (-reasons[reason], reason))
    told = [reason if reasons[reason] == nodes else f"{reasons[reason]} {reason}" for reason in listed[:_LISTED]]
    return ", ".join(told) + (f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else "")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"


def show(resource: str, value: int) -> str:
    """An amount for people: `1.5` cores, `16Gi` bytes, `4` devices."""
    if resource == "cpu":
        return f"{value / 1000:g}"
    if resource == "memory" or resource.endswith("storage") or resource.startswith("hugepages-"):
        return _bytes(value)
    return str(value)


def _resource(name: str, pod: PodInfo, nodes: Iterable[NodeState]) -> str:
    """The freest of those that are large enough, else the freest of all."""
    wanted = pod.requests[name]
    freest = min(nodes, key=lambda n: (n.allocatable.get(name, 0) < wanted, -n.free(name), -n.allocatable.get(name, 0), n.name))
    total = freest.allocatable.get(name, 0)
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


def _taints(pod: PodInfo, nodes: Iterable[NodeState]) -> str:
    """Which taints it would have to tolerate; of many different ones, as of nodes with a taint each, the first few."""
    found = {_taint(affinity.untolerated(node, pod.tolerations, BLOCKING_EFFECTS) or {}) for node in nodes}
    listed = sorted(found)
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return f"The pod does not tolerate {', '.join(listed[:_LISTED])}{more}."


def _taint(taint: Mapping[str, str]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key', '')}{value}:{taint.get('effect', '')}"


def _bytes(value: int) -> str:
    scaled, unit = float(value), 0
    while scaled >= 1024 and unit < len(_UNITS) - 1:
        scaled, unit = scaled / 1024, unit + 1
    return f"{round(scaled, 1):g}{_UNITS[unit]}"
