"""The scheduling decision: pods that wait and nodes with what is taken of them in, one decision per pod out.

Pure and deterministic: the same input gives the same plan, whatever the order of the pods. `controller` carries plans out; simulations
may call `plan` directly. Pods are planned one after another, by priority and age; a pod that does not fit does not hold up the rest.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec

from lightship.scheduler import filters, reasons, scores
from lightship.scheduler.snapshot import NodeState, PodInfo


class Bind(msgspec.Struct, frozen=True):
    pod: PodInfo
    node: str


class Unschedulable(msgspec.Struct, frozen=True):
    """No node can run the pod now. `cause` says why in kube-scheduler's words, `missing` what would have to change, in ours."""

    pod: PodInfo
    cause: str
    missing: str

    @property
    def message(self) -> str:
        cause = self.cause if self.cause.endswith(".") or not self.missing else f"{self.cause}."
        return f"{cause} {self.missing}".rstrip()


class Gated(msgspec.Struct, frozen=True):
    """The pod asks not to be looked at until its gates are lifted."""

    pod: PodInfo


Decision: TypeAlias = Bind | Unschedulable | Gated


def plan(pods: Iterable[PodInfo], nodes: Sequence[NodeState]) -> list[Decision]:
    """One decision for each pod, in the order in which they were taken. Neither argument is changed."""
    room = [node.copy() for node in nodes]
    return [_decide(pod, room) for pod in sorted(pods, key=lambda p: p.order)]


def _decide(pod: PodInfo, nodes: list[NodeState]) -> Decision:
    """Decide for one pod, and take its room from the chosen node."""
    if pod.gates:
        return Gated(pod)
    objections = [filters.objections(pod, node) for node in nodes]
    feasible = [node for node, against in zip(nodes, objections, strict=True) if not against]
    if not feasible:
        counts = Counter(reason for against in objections for reason in against)
        return Unschedulable(pod, reasons.cause(counts, len(nodes)), reasons.missing(pod, nodes, objections))
    chosen = scores.best(pod, feasible)
    chosen.take(pod)
    return Bind(pod, chosen.name)
