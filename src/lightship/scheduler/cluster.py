"""The cluster as the scheduler sees it: nodes with the pods on them, changed pod by pod and node by node, never added up anew.

`controller` keeps one for as long as it runs, `plan.plan` makes one for a single question. Whoever keeps something per node (`ranking`,
`rules`) reads in `log` which nodes have changed since it looked last. Pure data: no I/O, no clock.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from lightship.meta.objects import Key
from lightship.meta.selectors import LabelSelector
from lightship.scheduler import snapshot
from lightship.scheduler.fullness import Fullness
from lightship.scheduler.siblings import Siblings
from lightship.scheduler.snapshot import NodeState, PodInfo
from lightship.scheduler.tallies import Foreign, ForeignTerms, Labelled, Tallies, Tally, handle_of
from lightship.scheduler.terms import Labels, Selection

LOG = 100_000
"""Changes that are remembered; who has missed more looks at all nodes again."""


class Budget(msgspec.Struct, frozen=True):
    """What a PodDisruptionBudget still allows."""

    key: Key
    selector: LabelSelector
    allowed: int
    disrupted: frozenset[str] = frozenset()


class Cluster:
    """Mutable, but only by its methods."""

    def __init__(self, nodes: Iterable[NodeState] = ()) -> None:
        self.nodes: dict[str, NodeState] = {}
        self.pods: dict[str, PodInfo] = {}
        """Those with a node, by uid, also when we do not know the node (yet)."""
        self.nominated: dict[str, dict[str, PodInfo]] = {}
        """Pods that wait for room on a node, by node and uid."""
        self.namespaces: Mapping[str, Labels] = {}
        self.budgets: list[Budget] = []
        self.images: dict[str, int] = {}
        """How many nodes have an image."""
        self.log: list[str] = []
        """Names of nodes in the order of their changes."""
        self.forgotten = 0
        """How many entries of the log were dropped at its front."""
        self.layout = 0
        """Changes when a node comes, goes or gets other labels or taints."""
        self.foreign = ForeignTerms()
        self.siblings = Siblings()
        self._nominations: dict[str, str] = {}
        self._lost: dict[str, dict[str, PodInfo]] = {}
        """Pods on nodes that we do not know, by node and uid."""
        self._by_namespace: dict[str, dict[str, PodInfo]] = {}
        self._tallies = Tallies()
        self._labelled = Labelled()
        self._names: list[str] | None = None
        self._domains: dict[str, dict[str, int]] = {}
        self._local: dict[str, bool] = {}
        self._members: dict[str, dict[str, list[str]]] = {}
        self._fullness: dict[str, Fullness] = {}
        for node in nodes:
            self.set_node(node)

    @property
    def position(self) -> int:
        """The end of the log, counted from the beginning of time."""
        return self.forgotten + len(self.log)

    def names(self) -> list[str]:
        """Of all nodes, sorted."""
        if self._names is None:
            self._names = sorted(self.nodes)
        return self._names

    def set_node(self, node: NodeState) -> None:
        """A node has come or changed. Pods that `node` carries are put there; those that we know to be on it stay."""
        old = self.nodes.get(node.name)
        brought = list(node.pods.values())
        fresh = msgspec.structs.replace(node, used={}, ports=[], pods={}, weight=(0, 0), version=old.version + 1 if old else 1)
        if old is None or _layout(old) != _layout(fresh):
            self._relayout()
        self._count_images(old, fresh)
        self.nodes[node.name] = fresh
        for pod in old.pods.values() if old else self._lost.pop(node.name, {}).values():
            fresh.take(pod)
        for pod in brought:
            if pod.uid not in self.pods:
                self.add_pod(snapshot.on_node(pod, node.name))
        self._touch(node.name)

    def remove_node(self, name: str) -> None:
        old = self.nodes.pop(name, None)
        if old is not None:
            self._count_images(old, None)
            if old.pods:
                self._lost[name] = old.pods
            self._relayout()
            self._touch(name)

    def add_pod(self, pod: PodInfo) -> None:
        """A pod is on its node now; one that was somewhere else, or differed, is taken from there first."""
        if pod.uid in self.pods:
            self.remove_pod(pod.uid)
        self.pods[pod.uid] = pod
        self._by_namespace.setdefault(pod.key.namespace, {})[pod.uid] = pod
        self._labelled.add(pod)
        if (node := self.nodes.get(pod.node_name)) is not None:
            node.take(pod)
        else:
            self._lost.setdefault(pod.node_name, {})[pod.uid] = pod
        self._count(pod, 1)
        self._touch(pod.node_name)

    def remove_pod(self, uid: str) -> PodInfo | None:
        """The pod that was there."""
        pod = self.pods.pop(uid, None)
        if pod is None:
            return None
        self._labelled.remove(pod)
        fellows = self._by_namespace[pod.key.namespace]
        del fellows[uid]
        if not fellows:
            del self._by_namespace[pod.key.namespace]
            self._labelled.forget(pod.key.namespace)
        if (node := self.nodes.get(pod.node_name)) is not None:
            node.drop(pod)
        else:
            self._find(pod)
        self._count(pod, -1)
        self._touch(pod.node_name)
        return pod

    def renew(self, pod: PodInfo) -> None:
        """A pod on its node has changed in nothing that is counted."""
        self.pods[pod.uid] = self._by_namespace[pod.key.namespace][pod.uid] = pod
        self._labelled.add(pod)
        if (node := self.nodes.get(pod.node_name)) is not None:
            node.pods[pod.uid] = pod
        else:
            self._lost[pod.node_name][pod.uid] = pod

    def nominate(self, pod: PodInfo, node: str) -> None:
        """Room is being made for a pod on a node; `""` when it is not any longer."""
        old = self._nominations.pop(pod.uid, "")
        if old:
            self.nominated[old].pop(pod.uid, None)
            if not self.nominated[old]:
                del self.nominated[old]
            self._touch(old)
        if node:
            self._nominations[pod.uid] = node
            self.nominated.setdefault(node, {})[pod.uid] = pod
            self._touch(node)

    def nomination(self, pod: PodInfo) -> str:
        """The node where room is being made for a pod, whether or not the pod says so by now."""
        return self._nominations.get(pod.uid) or pod.nominated

    @contextmanager
    def supposing(self, *, gone: Iterable[PodInfo] = (), there: Iterable[PodInfo] = ()) -> Iterator[None]:
        """As if some pods were gone, and others there; everything is as before afterwards."""
        gone, there = list(gone), [pod for pod in there if pod.uid not in self.pods]
        for pod in gone:
            self.remove_pod(pod.uid)
        for pod in there:
            self.add_pod(pod)
        try:
            yield
        finally:
            for pod in there:
                self.remove_pod(pod.uid)
            for pod in gone:
                self.add_pod(pod)

    def tally(self, selections: tuple[Selection, ...], *, living: bool = False) -> Tally:
        """How many pods match all selections, by node; kept up to date from now on."""
        found, new = self._tallies.get(selections, living)
        if new:
            handle = handle_of(selections)
            for namespace, pods in self._by_namespace.items() if handle is None else ():
                labels = self.namespace_labels(namespace)
                for pod in pods.values():
                    found.add(pod, labels, 1)
            if handle is not None:
                labels = self.namespace_labels(handle[0])
                for pod in self._labelled.find(handle, self.pods_in(handle[0])):
                    found.add(pod, labels, 1)
        return found

    def foreign_to(self, pod: PodInfo) -> list[Foreign]:
        """The rules of placed pods that mean this pod."""
        labels = self.namespace_labels(pod.key.namespace)
        return [rule for rule in self.foreign if rule.term.selection.matches(pod.key.namespace, pod.labels, labels)]

    def pods_in(self, namespace: str) -> Iterable[PodInfo]:
        """The placed pods of a namespace."""
        return self._by_namespace.get(namespace, {}).values()

    def namespace_labels(self, namespace: str) -> Labels:
        return self.namespaces.get(namespace) or {}

    def set_namespace(self, name: str, labels: Labels) -> None:
        """A namespace has other labels now: whatever was counted by them is counted again."""
        if self.namespace_labels(name) == labels:
            return
        self.namespaces = {**self.namespaces, name: labels}
        self._tallies.clear()
        self._relayout()

    def is_local(self, key: str) -> bool:
        """Does every node have a value of its own for this label?"""
        found = self._local.get(key)
        if found is None:
            found = self._local[key] = max(self.domains(key).values(), default=0) <= 1
        return found

    def members(self, key: str) -> dict[str, list[str]]:
        """The names of nodes by the value of a label, in the order of values and names; those without it are left out. Read only."""
        found = self._members.get(key)
        if found is None:
            by_value: dict[str, list[str]] = {}
            for name in self.names():
                if (value := self.nodes[name].labels.get(key)) is not None:
                    by_value.setdefault(value, []).append(name)
            found = self._members[key] = dict(sorted(by_value.items()))
        return found

    def fullness(self, key: str) -> Fullness:
        """How full the domains of a label are now."""
        found = self._fullness.setdefault(key, Fullness(key))
        found.sync(self.nodes, self.position, self.changed_since)
        return found

    def domains(self, key: str) -> dict[str, int]:
        """The values of a label with the number of nodes that have each."""
        found = self._domains.get(key)
        if found is None:
            found = self._domains[key] = {}
            for node in self.nodes.values():
                if (value := node.labels.get(key)) is not None:
                    found[value] = found.get(value, 0) + 1
        return found

    def changed_since(self, position: int) -> set[str] | None:
        """Names of nodes that have changed; None when that is not known any longer."""
        if position < self.forgotten:
            return None
        return set(self.log[position - self.forgotten :])

    def rewind(self, position: int) -> bool:
        """Forget the end of the log, of which everything was undone; False when it has been cut since."""
        if position < self.forgotten:
            return False
        del self.log[position - self.forgotten :]
        return True

    def _touch(self, node: str) -> None:
        self.log.append(node)
        if len(self.log) > LOG:
            self.forgotten += LOG // 2
            del self.log[: LOG // 2]

    def _relayout(self) -> None:
        self.layout += 1
        self._names = None
        self._domains.clear()
        self._local.clear()
        self._members.clear()

    def _find(self, pod: PodInfo) -> None:
        """Forget a pod that was on an unknown node."""
        lost = self._lost[pod.node_name]
        del lost[pod.uid]
        if not lost:
            del self._lost[pod.node_name]

    def _count(self, pod: PodInfo, step: int) -> None:
        if self._tallies:
            self._tallies.add(pod, self.namespace_labels(pod.key.namespace), step)
        self.foreign.add(pod, step)

    def _count_images(self, old: NodeState | None, new: NodeState | None) -> None:
        before, after = (old.images if old else {}), (new.images if new else {})
        if before is after or before == after:
            return
        for name in before:
            self.images[name] -= 1
            if not self.images[name]:
                del self.images[name]
        for name in after:
            self.images[name] = self.images.get(name, 0) + 1


def _layout(node: NodeState) -> tuple[object, ...]:
    """What of a node is more than its own business."""
    return node.labels, node.taints, node.unschedulable, node.price
