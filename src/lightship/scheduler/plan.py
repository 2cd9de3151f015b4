"""The scheduling decision: pods that wait and a cluster with what is taken of it in, one decision per pod out.

`Planner` decides for one pod after another and keeps what it has decided in its `Cluster`; `controller` has one for as long as it runs.
`plan` is the same as one pure function, for simulations and tests: equal input gives an equal plan, whatever the order of the pods.
Pods are planned by priority and age; a pod that does not fit does not hold up the rest. No I/O, no clock, no randomness.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from lightship.scheduler import profiles, reasons, snapshot, spacing
from lightship.scheduler.claims.desk import AllocationError, Case, Desk, Grant, Release
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.filters import Verdict
from lightship.scheduler.plugins import Plugin
from lightship.scheduler.preemption import Eviction, Preemption
from lightship.scheduler.profiles import Profile
from lightship.scheduler.ranking import Ranking
from lightship.scheduler.snapshot import CLAIMS, Domain, NodeState, PodInfo
from lightship.scheduler.spacing import Spacing
from lightship.scheduler.tallies import Foreign

SHAPES = 64
"""Shapes of pods whose rankings are kept: a few megabytes each on 5,000 nodes."""
APART = "apart"
"""In the key of a shape: for pods that are kept apart from their like, whoever these are."""


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

    __slots__ = ("adopted", "failed", "fellow", "missing", "preemption", "ranking")

    def __init__(self, ranking: Ranking, preemption: Preemption) -> None:
        self.adopted = False
        """Was its ranking made for the claims of another pod?"""
        self.ranking = ranking
        self.preemption = preemption
        self.missing = ("", "")
        """A cause, and what was said to be missing for it."""
        self.failed: tuple[object, Unschedulable] | None = None
        """When a pod of this shape had no chance lately, and why: until something changes, no other has one."""
        self.fellow: tuple[object, Unschedulable] | None = None
        """The same for pods of gangs."""


class Planner:
    """Decides, and remembers: a pod that it binds is on its node in `cluster` from then on, until somebody takes it away again."""

    def __init__(self, cluster: Cluster, plugins: Sequence[Plugin] = (), named: Mapping[str, Profile] = profiles.DEFAULTS) -> None:
        self.cluster = cluster
        self._plugins = tuple(plugins)
        self._profiles = named
        self._shapes: OrderedDict[object, _Shape] = OrderedDict()
        self._claimed: dict[tuple[object, ...], _Shape] = {}
        """Shapes of pods with claims, of the plan at this desk."""
        self._desk: Desk | None = None

    def decide(self, pod: PodInfo, case: Case | None = None, *, alone: bool = True, within: Domain | None = None) -> Decision:
        """Where the pod goes, or why nowhere; `case` is of a pod that has claims. Nobody is evicted for one that is not `alone`, and
        only nodes `within` a domain count where there is one."""
        if pod.gates:
            return Gated(pod)
        if not self.cluster.nodes:
            return Unschedulable(pod, reasons.NO_NODES, reasons.START_A_NODE, filters=frozenset({"node"}))
        if case is not None and case.refusal and case.silent:
            return Held(pod)
        shape = self._shape(pod, case, within.key if within is not None else "")
        if why := shape.ranking.refusal():
            return self.refused(pod, why, reasons.NOTHING_PREPARED)
        if case is not None and case.refusal:
            return self.refused(pod, case.refusal)
        now = (self.cluster.position, self.cluster.budgets, [plugin.version() for plugin in self._plugins], within)
        known = shape.failed if alone else shape.fellow  # of pods with claims each has its own to tell of
        if case is None and known is not None and known[0] == now and not self.cluster.nomination(pod):
            return msgspec.structs.replace(known[1], pod=pod)
        try:
            decision = self._find(pod, shape, case, alone=alone, within=within)
        except AllocationError as error:
            return Broken(pod, f'running "DynamicResources" filter plugin: {error}')
        if isinstance(decision, Unschedulable) and decision.hopeless and alone:
            shape.failed = (now, decision)
        elif isinstance(decision, Unschedulable) and not alone:
            shape.fellow = (now, decision)
        return decision

    def _find(self, pod: PodInfo, shape: _Shape, case: Case | None, *, alone: bool, within: Domain | None) -> Decision:
        value = within.value if within is not None else None
        node = self._nominated(pod, shape.ranking, within) or shape.ranking.best(value)
        while node is not None and case is not None and not case.knows(node.name) and case.against(node):
            shape.ranking.doubt(node.name)
            node = shape.ranking.best(value)
        if node is None and shape.adopted:
            self._claimed.clear()
            shape = self._shape(pod, case, within.key if within is not None else "")
            node = shape.ranking.best(value)
        if node is None:
            return self._unschedulable(pod, shape, case, alone=alone, within=within)
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

    def verdicts(self, pod: PodInfo, case: Case | None = None) -> dict[str, Verdict]:
        """Why nodes cannot run the pod now, by node; those that can are not in it. For `explain`. Raises `AllocationError`."""
        return self._verdicts(self._shape(pod, case).ranking, pod)

    def outlook(self, pod: PodInfo, case: Case | None = None) -> tuple[dict[str, Verdict], dict[str, tuple[PodInfo, ...]]]:
        """As `verdicts`, and who would have to go from nodes so that they could, where that is of use."""
        shape = self._shape(pod, case)
        verdicts = self._verdicts(shape.ranking, pod)
        victims = {name: shape.preemption.victims(pod, name) for name, verdict in verdicts.items() if verdict.resolvable}
        return verdicts, {name: pods for name, pods in victims.items() if pods}

    def _verdicts(self, ranking: Ranking, pod: PodInfo) -> dict[str, Verdict]:
        ranking.sync()
        found = {node.name: ranking.verdict(node) or ranking.crowded_out(node, pod.uid) for node in self.cluster.nodes.values()}
        return {name: verdict for name, verdict in found.items() if verdict is not None}

    def refusal(self, pod: PodInfo) -> str:
        """Why no node at all will do, whatever room it has; empty when some may."""
        return self._shape(pod).ranking.refusal()

    def _shape(self, pod: PodInfo, case: Case | None = None, topology: str = "") -> _Shape:
        cluster = self.cluster
        foreign = cluster.foreign_to(pod)
        profile = self._profiles.get(pod.scheduler) or profiles.DEFAULTS[profiles.DEFAULT_NAME]
        kind = None if pod.spread else cluster.siblings.selector(pod)
        apart = spacing.siblings(cluster, pod, foreign, kind) if case is None and not topology else None
        rest = (tuple(rule.number for rule in foreign), kind if apart is None else APART, topology, profile.name)
        if case is not None:
            wanted = (pod.shape.partition(CLAIMS)[0], case.kind, *rest) if pod.shape and case.kind is not None else None
            return self._shape_with_claims(pod, foreign, profile, case, topology, wanted)
        key = (pod.shape or pod.uid, *rest)
        found = self._shapes.get(key)
        if found is None:
            spaced = Spacing(cluster, pod) if apart is not None else None
            ranking = Ranking(cluster, pod, foreign, self._plugins, profile, topology=topology, spacing=spaced)
            found = self._shapes[key] = _Shape(ranking, Preemption(cluster, ranking))
            if len(self._shapes) > SHAPES:
                self._shapes.popitem(last=False)
        else:
            self._shapes.move_to_end(key)
        if apart is not None and found.ranking.spacing is not None:
            found.ranking.spacing.siblings = apart
        return found

    def _shape_with_claims(
        self, pod: PodInfo, foreign: list[Foreign], profile: Profile, case: Case, topology: str, key: tuple[object, ...] | None
    ) -> _Shape:
        """Pods of one plan that ask for the same devices share a ranking, as long as only nodes' own devices are at stake."""
        if self._desk is not case.desk:
            self._desk = case.desk
            self._claimed.clear()
        found = self._claimed.get(key) if key is not None else None
        if found is not None:
            found.adopted = True
            found.ranking.adopt(case)
            return found
        ranking = Ranking(self.cluster, pod, foreign, self._plugins, profile, case, topology)
        shape = _Shape(ranking, Preemption(self.cluster, ranking))
        if key is not None:
            self._claimed[key] = shape
        return shape

    def _nominated(self, pod: PodInfo, ranking: Ranking, within: Domain | None) -> NodeState | None:
        """The node where room was made for the pod, if it fits there by now."""
        node = self.cluster.nodes.get(self.cluster.nomination(pod))
        if node is None or (within is not None and node.labels.get(within.key) != within.value):
            return None
        ranking.sync()
        return None if ranking.verdict(node) or ranking.crowded_out(node, pod.uid) else node

    def refused(self, pod: PodInfo, why: str, more: str = "") -> Unschedulable:
        """The decision when it is known before any node was looked at that no one will do."""
        count = len(self.cluster.nodes)
        use = reasons.cause({"Preemption is not helpful for scheduling": count}, count)
        cause = f"{reasons.refusal(why, count)} {more or reasons.post_filter(use)}"
        return Unschedulable(pod, cause, "", hopeless=True, filters=frozenset({"volumes", "claims", "gang"}))

    def _unschedulable(self, pod: PodInfo, shape: _Shape, case: Case | None, *, alone: bool, within: Domain | None = None) -> Unschedulable:
        """Why not, and whether evicting somebody would help."""
        ranking = shape.ranking
        verdicts, kinds = ranking.all_verdicts() if within is None else self._verdicts_within(ranking, within)
        counts: Counter[str] = Counter()
        for verdict, nodes in kinds.items():
            counts.update(dict.fromkeys(verdict.reasons, nodes))
        cause = reasons.cause(counts, len(self.cluster.nodes) if within is None else len(verdicts))
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

    def _verdicts_within(self, ranking: Ranking, within: Domain) -> tuple[dict[str, Verdict], Counter[Verdict]]:
        """As `Ranking.all_verdicts`, of the nodes of a domain."""
        verdicts: dict[str, Verdict] = {}
        for name in self.cluster.members(within.key).get(within.value, ()):
            node = self.cluster.nodes[name]
            verdict = ranking.verdicts.get(node.name) or ranking.rules.verdict(node.labels)
            if verdict is not None:
                verdicts[node.name] = verdict
        return verdicts, Counter(verdicts.values())

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
