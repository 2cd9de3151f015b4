"""The seam for what a pod needs beside room on a node, as volumes. Implemented by `volumes`, called by the planner.

A plugin is asked only about pods that it says it wants. It is pure towards the planner: `reserve` and `unreserve` may change its own books
(two pods of one plan must not get the same volume), nothing else; what has to be written to the API before a pod is bound, `controller`
has it do in `before_binding`.
"""

from typing import Protocol

from lightship.scheduler.cluster import Cluster
from lightship.scheduler.filters import Verdict
from lightship.scheduler.snapshot import NodeState, PodInfo


class Plugin(Protocol):
    name: str

    def wants(self, pod: PodInfo) -> bool:
        """Has this pod anything to do with it?"""
        ...

    def version(self) -> int:
        """Changes whenever an answer may have become another."""
        ...

    def refuses(self, pod: PodInfo, cluster: Cluster) -> str:
        """Why no node at all will do, whatever room it has; empty when some may."""
        ...

    def verdict(self, pod: PodInfo, node: NodeState, cluster: Cluster) -> Verdict | None:
        """Why this node will not do."""
        ...

    def reserve(self, pod: PodInfo, node: NodeState) -> None:
        """The pod goes to this node, for which `verdict` had nothing to say."""
        ...

    def unreserve(self, pod: PodInfo) -> None:
        """It does not after all."""
        ...
