"""What `plan` asks about the claims of pods: may this pod run there, and which devices would it get.

A `Desk` lives for one plan and remembers what it has given away in it, so that two pods planned together never get one device. Pods
without claims have no `Case` and cost one look-up.
Contract: kube-scheduler 1.36 DynamicResources plugin (PreFilter, Filter, Score, Reserve), its reasons word for word.
"""

from typing import NamedTuple

from lightship.meta.objects import Obj
from lightship.scheduler.snapshot import NodeState, PodInfo


class AllocationError(Exception):
    """Something is wrong with a claim, a class or the expressions in them: the pod cannot be planned until that is mended."""


class Grant(NamedTuple):
    """What is to be written on claims before the pod is bound."""

    claims: tuple[Obj, ...] = ()


class Case:
    """One pod's claims. `refusal` says why no node at all will do now; such a pod is `silent` when others are at work for it."""

    refusal: str = ""
    silent: bool = False

    def fits(self, pod: PodInfo, node: NodeState) -> PodInfo:
        """The pod as the other filters shall see it on this node: without the resources that devices stand for there."""
        return pod

    def against(self, node: NodeState) -> list[str]:
        """Why the claims keep the pod off this node; empty when they do not. Raises `AllocationError`."""
        return []

    def score(self, node: NodeState) -> int:
        """How well the node does, from 0, the more the better; compared among the nodes that passed."""
        return 0

    def take(self, node: str) -> Grant:
        """Give the pod what was found for it on this node."""
        return Grant()


class Desk:
    """All claims that a plan needs to know of."""

    def open(self, pod: PodInfo) -> Case | None:
        """The pod's case; None for a pod that has no claims."""
        return None
