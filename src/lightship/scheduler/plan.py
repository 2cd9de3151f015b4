"""The scheduling decision: pods that wait and nodes with what is taken of them in, one decision per pod out.

Pure and deterministic: the same input gives the same plan, whatever the order of the pods. `controller` carries plans out; simulations
may call `plan` directly. Pods are planned one after another, by priority and age; a pod that does not fit does not hold up the rest.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec

from lightship.scheduler import filters, reasons, scores
from lightship.scheduler.claims.desk import AllocationError, Case, Desk, Grant
from lightship.scheduler.snapshot import NodeState, PodInfo


class Bind(msgspec.Struct, frozen=True):
    """The pod goes to this node; `grant` is what its claims get there, for the few pods that have claims."""

    pod: PodInfo
    node: str
    grant: Grant | None = None


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


class Held(msgspec.Struct, frozen=True):
    """Others are still at work for this pod (its claims are being made): it waits without a word."""

    pod: PodInfo


class Broken(msgspec.Struct, frozen=True):
    """The pod cannot be planned at all because something that it names is wrong."""

    pod: PodInfo
    message: str


Decision: TypeAlias = Bind | Unschedulable | Gated | Held | Broken


def plan(pods: Iterable[PodInfo], nodes: Sequence[NodeState], desk: Desk | None = None) -> list[Decision]:
    """One decision for each pod, in the order in which they were taken. `pods` and `nodes` are not changed; `desk` knows of the claims
    of pods, and which devices this plan has given away."""
    room = [node.copy() for node in nodes]
    return [_decide(pod, room, desk.open(pod) if desk is not None else None) for pod in sorted(pods, key=lambda p: p.order)]


def _decide(pod: PodInfo, nodes: list[NodeState], case: Case | None) -> Decision:
    """Decide for one pod, and take its room from the chosen node."""
    if pod.gates:
        return Gated(pod)
    if case is not None and case.refusal:
        return Held(pod) if case.silent else Unschedulable(pod, reasons.refusal(case.refusal, len(nodes)), "")
    try:
        objections = [_objections(pod, node, case) for node in nodes]
    except AllocationError as error:
        return Broken(pod, f'running "DynamicResources" filter plugin: {error}')
    feasible = [node for node, against in zip(nodes, objections, strict=True) if not against]
    if not feasible:
        counts = Counter(reason for against in objections for reason in against)
        return Unschedulable(pod, reasons.cause(counts, len(nodes)), reasons.missing(pod, nodes, objections))
    chosen = scores.best(pod, feasible) if case is None else scores.best(pod, feasible, case.score)
    chosen.take(pod)
    return Bind(pod, chosen.name, case.take(chosen.name) if case is not None else None)


def _objections(pod: PodInfo, node: NodeState, case: Case | None) -> list[str]:
    """Why not this node; claims are looked at last, since they are the dearest to look at."""
    if case is None:
        return filters.objections(pod, node)
    return filters.objections(case.fits(pod, node), node) or case.against(node)
