"""The scheduling decision: pods that wait and a cluster with what is taken of it in, one decision per pod out.

`Planner` decides for one pod after another and keeps what it has decided in its `Cluster`; `controller` has one for as long as it runs.
`plan` is the same as one pure function, for simulations and tests: equal input gives an equal plan, whatever the order of the pods.
Pods are planned by priority and age; a pod that does not fit does not hold up the rest. No I/O, no clock, no randomness.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from lightship.scheduler import reasons, scores, snapshot
from lightship.scheduler.claims.desk import AllocationError, Case, Desk, Grant, Release
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.filters import Verdict
from lightship.scheduler.plugins import Plugin
from lightship.scheduler.preemption import Eviction, Preemption
from lightship.scheduler.ranking import Ranking
from lightship.scheduler.scores import Weighted
from lightship.scheduler.snapshot import Gang, NodeState, PodInfo

SHAPES = 64
"""Shapes of pods whose rankings are kept: a few megabytes each on 5,000 nodes."""


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
    eviction: Eviction | None = None
    """Who must go so that it can run; room for it is being made then."""
    hopeless: bool = False
    """No room can be made for it: a nomination, if it has one, no longer holds."""
    filters: frozenset[str] = frozenset()
    """Which filters refused nodes: what has to change before it is worth another look."""
    release: Release | None = None
    """A claim that is given up so that the pod gets another."""

    @property
    def message(self) -> str:
        return f"{self.cause if self.cause.endswith('.') or not self.missing else f'{self.cause}.'} {self.missing}".rstrip()


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


def plan(pods: Iterable[PodInfo], nodes: Iterable[NodeState], desk: Desk | None = None) -> list[Decision]:
    """One decision for each pod, in the order in which they were taken. `pods` and `nodes` are not changed; `desk` knows of the claims
    of pods, and which devices this plan has given away."""
    planner = Planner(Cluster(nodes))
    return [planner.decide(pod, desk.open(pod) if desk is not None else None) for pod in sorted(pods, key=lambda p: p.order)]


class _Shape:
    """What is remembered for all pods of one shape."""

    __slots__ = ("failed", "missing", "preemption", "ranking")

    def __init__(self, ranking: Ranking, preemption: Preemption) -> None:
        self.ranking = ranking
        self.preemption = preemption
        self.missing = ("", "")
        """A cause, and what was said to be missing for it."""
        self.failed: tuple[object, Unschedulable] | None = None
        """When a pod of this shape had no chance lately, and why: until something changes, no other has one."""


class Planner:
    """Decides, and remembers: a pod that it binds is on its node in `cluster` from then on, until somebody takes it away again."""

    def __init__(self, cluster: Cluster, plugins: Sequence[Plugin] = (), local: Sequence[Weighted] = scores.LOCAL) -> None:
        self.cluster = cluster
        self._plugins = tuple(plugins)
        self._local = tuple(local)
        self._shapes: OrderedDict[object, _Shape] = OrderedDict()

    def decide_gang(self, pods: Iterable[PodInfo], gang: Gang, placed: int, desk: Desk | None = None) -> list[Decision]:
        """Where the pods of a gang go that have no node yet, beside the `placed` ones; all of them nowhere when too few can go."""
        waiting = sorted(pods, key=lambda p: p.order)
        if gang.missing or len(waiting) + placed < gang.least:
            found = f"current pods number: {len(waiting) + placed}, minMember of group: {gang.least}"
            return [self._refused(pod, gang.missing or f"cannot find enough sibling pods, {found}") for pod in waiting]
        decisions: list[Decision] = []
        spare = len(waiting) + placed - gang.least
        for pod in waiting:
            decision = self.decide(pod, desk.open(pod) if desk is not None else None, alone=False)
            decisions.append(decision)
            spare -= not isinstance(decision, Bind)
            if spare < 0:
                return self._disband(waiting, gang, decisions)
        return decisions

    def _disband(self, waiting: list[PodInfo], gang: Gang, decisions: list[Decision]) -> list[Decision]:
        """Too few can go: nobody does, and everybody says why the one that was one too many could not."""
        for decision in decisions:
            if isinstance(decision, Bind):
                self.undo(decision.pod)
        last = decisions[-1]
        name, fitting = last.pod.key.name, sum(isinstance(d, Bind) for d in decisions)
        together = f"The pods of group {gang.key.name} are placed together or not at all, {gang.least} at least"
        text = f"{together}; {fitting} would fit, {name} would not."
        if isinstance(last, Unschedulable):
            refusals = last.filters | {"gang"}
            return [Unschedulable(pod, last.cause, f"{last.missing} {text}".strip(), hopeless=True, filters=refusals) for pod in waiting]
        return [last, *(self._refused(pod, f"pod {name} of its group cannot be planned") for pod in waiting if pod is not last.pod)]

    def decide(self, pod: PodInfo, case: Case | None = None, *, alone: bool = True) -> Decision:
        """Where the pod goes, or why nowhere; `case` is of a pod that has claims. Nobody is evicted for one that is not `alone`."""
        if pod.gates:
            return Gated(pod)
        if not self.cluster.nodes:
            return Unschedulable(pod, reasons.NO_NODES, reasons.START_A_NODE, filters=frozenset({"node"}))
        if case is not None and case.refusal and case.silent:
            return Held(pod)
        shape = self._shape(pod, case)
        if why := shape.ranking.refusal():
            return self._refused(pod, why, reasons.NOTHING_PREPARED)
        if case is not None and case.refusal:
            return self._refused(pod, case.refusal)
        now = (self.cluster.position, self.cluster.budgets, [plugin.version() for plugin in self._plugins])
        if shape.failed is not None and shape.failed[0] == now and not self.cluster.nomination(pod):
            return msgspec.structs.replace(shape.failed[1], pod=pod)
        try:
            decision = self._find(pod, shape, case, alone=alone)
            if alone and isinstance(decision, Unschedulable) and decision.hopeless:
                shape.failed = (now, decision)
            return decision
        except AllocationError as error:
            return Broken(pod, f'running "DynamicResources" filter plugin: {error}')

    def _find(self, pod: PodInfo, shape: _Shape, case: Case | None, *, alone: bool) -> Decision:
        node = self._nominated(pod, shape.ranking) or shape.ranking.best()
        if node is None:
            return self._unschedulable(pod, shape, case, alone=alone)
        self.place(pod if case is None else case.fits(pod, node), node)
        return Bind(pod, node.name, case.take(node.name) if case is not None else None)

    def place(self, pod: PodInfo, node: NodeState) -> None:
        """The pod goes to this node."""
        self.cluster.nominate(pod, "")
        for plugin in self._plugins:
            if plugin.wants(pod):
                plugin.reserve(pod, node)
        self.cluster.add_pod(snapshot.on_node(pod, node.name))

    def undo(self, pod: PodInfo) -> None:
        """The pod did not get to the node where it was placed."""
        self.cluster.remove_pod(pod.uid)
        for plugin in self._plugins:
            if plugin.wants(pod):
                plugin.unreserve(pod)

    def verdicts(self, pod: PodInfo) -> Mapping[str, Verdict]:
        """Why nodes cannot run the pod now, by node; those that can are not in it. For `explain`."""
        ranking = self._shape(pod).ranking
        ranking.sync()
        found = {node.name: ranking.verdict(node) or ranking.crowded_out(node, pod.uid) for node in self.cluster.nodes.values()}
        return {name: verdict for name, verdict in found.items() if verdict is not None}

    def refusal(self, pod: PodInfo) -> str:
        """Why no node at all will do, whatever room it has; empty when some may."""
        return self._shape(pod).ranking.refusal()

    def _shape(self, pod: PodInfo, case: Case | None = None) -> _Shape:
        cluster = self.cluster
        foreign = cluster.foreign_to(pod)
        if case is not None:
            ranking = Ranking(cluster, pod, foreign, self._plugins, self._local, case)
            return _Shape(ranking, Preemption(cluster, ranking))
        key = (pod.shape or pod.uid, tuple(rule.number for rule in foreign), None if pod.spread else cluster.siblings.selector(pod))
        found = self._shapes.get(key)
        if found is None:
            ranking = Ranking(cluster, pod, foreign, self._plugins, self._local)
            found = self._shapes[key] = _Shape(ranking, Preemption(cluster, ranking))
            if len(self._shapes) > SHAPES:
                self._shapes.popitem(last=False)
        else:
            self._shapes.move_to_end(key)
        return found

    def _nominated(self, pod: PodInfo, ranking: Ranking) -> NodeState | None:
        """The node where room was made for the pod, if it fits there by now."""
        node = self.cluster.nodes.get(self.cluster.nomination(pod))
        if node is None:
            return None
        ranking.sync()
        return None if ranking.verdict(node) or ranking.crowded_out(node, pod.uid) else node

    def _refused(self, pod: PodInfo, why: str, more: str = "") -> Unschedulable:
        count = len(self.cluster.nodes)
        use = reasons.cause({"Preemption is not helpful for scheduling": count}, count)
        cause = f"{reasons.refusal(why, count)} {more or reasons.post_filter(use)}"
        return Unschedulable(pod, cause, "", hopeless=True, filters=frozenset({"volumes", "claims", "gang"}))

    def _unschedulable(self, pod: PodInfo, shape: _Shape, case: Case | None, *, alone: bool) -> Unschedulable:
        """Why not, and whether evicting somebody would help."""
        ranking = shape.ranking
        verdicts, kinds = ranking.all_verdicts()
        counts: Counter[str] = Counter()
        for verdict, nodes in kinds.items():
            counts.update(dict.fromkeys(verdict.reasons, nodes))
        cause = reasons.cause(counts, len(self.cluster.nodes))
        refused = frozenset(verdict.cause for verdict in kinds)
        if shape.missing[0] != cause:
            shape.missing = (cause, reasons.missing(pod, self.cluster, verdicts))
        if not alone:
            return Unschedulable(pod, cause, shape.missing[1], filters=refused)
        found = shape.preemption.find(pod, verdicts, sum(nodes for verdict, nodes in kinds.items() if verdict.resolvable))
        if case is not None:
            return self._without_devices(pod, case, Unschedulable(pod, cause, shape.missing[1], filters=refused), verdicts, found)
        if isinstance(found, Eviction):
            self.cluster.nominate(pod, found.node)
            return Unschedulable(pod, cause, shape.missing[1], eviction=found, filters=refused)
        hopeless = found.startswith("0/")
        if hopeless:
            self.cluster.nominate(pod, "")
        return Unschedulable(pod, f"{cause} {reasons.post_filter(found)}", shape.missing[1], hopeless=hopeless, filters=refused)

    def _without_devices(
        self, pod: PodInfo, case: Case, plain: Unschedulable, verdicts: Mapping[str, Verdict], found: Eviction | str
    ) -> Unschedulable:
        """As `plain`, with what is to be said and done about the pod's claims."""
        nodes = [self.cluster.nodes[name] for name, verdict in sorted(verdicts.items()) if verdict.cause == "claims"]
        missing = " ".join(text for text in (plain.missing, case.missing(nodes)) if text)
        plain = msgspec.structs.replace(plain, missing=missing, filters=plain.filters | {"claims"}, release=case.release(pod.uid))
        if isinstance(found, Eviction):
            self.cluster.nominate(pod, found.node)
            return msgspec.structs.replace(plain, eviction=found)
        hopeless = found.startswith("0/")
        if hopeless:
            self.cluster.nominate(pod, "")
        cause = f"{plain.cause} {reasons.post_filter(found, case.given_up(plain.release))}"
        return msgspec.structs.replace(plain, cause=cause, hopeless=hopeless)
