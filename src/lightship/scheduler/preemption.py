"""Whom to evict so that a pod of higher priority finds room: which node, and there as few and as unimportant pods as possible.

Called by `plan` for pods that fit nowhere. Pure: nodes are tried by supposing that pods were gone. What was found out about a node is
kept until the node changes, so that of many pods of one shape only the first has to look around.
Contract: kube-scheduler's DefaultPreemption: who may be evicted, who is spared, which node is preferred, how many nodes are looked at,
and the words for why it does not help.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import NamedTuple

from lightship.scheduler import reasons
from lightship.scheduler.cluster import Budget, Cluster
from lightship.scheduler.filters import Verdict
from lightship.scheduler.ranking import Ranking
from lightship.scheduler.snapshot import NodeState, PodInfo

NEVER = "not eligible due to preemptionPolicy=Never."
ALREADY = "not eligible due to a terminating pod on the nominated node."
NO_VICTIMS = Verdict("preemption", ("No preemption victims found for incoming pod",), False)
NO_HELP = "Preemption is not helpful for scheduling"
ENOUGH_PERCENT, ENOUGH = 10, 100
"""Of the nodes that might do, how many are looked at before the best of them is taken: the larger of both."""
PRIORITIES = 2**31


class Eviction(NamedTuple):
    """These pods must go from this node."""

    node: str
    victims: tuple[PodInfo, ...]


class _Candidate(NamedTuple):
    cost: tuple[float, ...]
    """Smaller is better: budgets broken, highest priority, sum of priorities, number, and how long the most important have run."""
    eviction: Eviction


class Preemption:
    """For pods of one shape and priority: what is known of each node."""

    def __init__(self, cluster: Cluster, ranking: Ranking) -> None:
        self._cluster = cluster
        self._ranking = ranking
        self._known: dict[str, _Candidate | Verdict] = {}
        self._position = -1
        self._budgets: list[Budget] | None = None

    def find(self, pod: PodInfo, verdicts: Mapping[str, Verdict], resolvable: int) -> Eviction | str:
        """Whom to evict, or why that is no use; `verdicts` are those of all nodes, so many of which evicting might change."""
        if why := self._ineligible(pod, verdicts):
            return why
        self._forget_changed()
        names = self._cluster.names() if resolvable else []
        start = _offset(pod, len(names))
        enough = max(resolvable * ENOUGH_PERCENT // 100, ENOUGH)
        found: list[_Candidate] = []
        known = self._known
        for name in chain(islice(names, start, None), islice(names, start)):
            if not verdicts[name].resolvable:
                continue
            if (result := known.get(name)) is None:
                result = known[name] = self._try(pod, self._cluster.nodes[name])
            if isinstance(result, _Candidate):
                found.append(result)
                if len(found) >= enough and not found[0].cost[0]:
                    break
        if found:
            return min(found, key=lambda candidate: (candidate.cost, candidate.eviction.node)).eviction
        return self._no_use(verdicts)

    def victims(self, pod: PodInfo, name: str) -> tuple[PodInfo, ...]:
        """Who would have to go from one node; nobody when that is no use there, or the pod may not ask for it."""
        tried = NO_VICTIMS if pod.never_preempts else self._try(pod, self._cluster.nodes[name])
        return tried.eviction.victims if isinstance(tried, _Candidate) else ()

    def _ineligible(self, pod: PodInfo, verdicts: Mapping[str, Verdict]) -> str:
        if pod.never_preempts:
            return NEVER
        nominated = self._cluster.nodes.get(self._cluster.nomination(pod))
        if nominated is None or (nominated.name in verdicts and not verdicts[nominated.name].resolvable):
            return ""
        return ALREADY if any(p.preempted and p.priority < pod.priority for p in nominated.pods.values()) else ""

    def _forget_changed(self) -> None:
        changed = self._cluster.changed_since(self._position) if self._position >= 0 else None
        if changed is None or self._ranking.rules.any or self._budgets is not self._cluster.budgets:
            self._known.clear()
        else:
            for name in changed:
                self._known.pop(name, None)
        self._budgets = self._cluster.budgets
        self._position = self._cluster.position

    def _try(self, pod: PodInfo, node: NodeState) -> _Candidate | Verdict:
        """Who would have to go from one node, sparing first those whose budgets would break, then the most important."""
        lesser = sorted((there for there in node.pods.values() if there.priority < pod.priority), key=importance)
        if not lesser:
            return NO_VICTIMS
        first = [p for p in self._cluster.nominated.get(node.name, {}).values() if p.priority >= pod.priority and p.uid != pod.uid]
        breaking, harmless = by_budgets(lesser, self._cluster.budgets)
        victims: list[PodInfo] = []
        broken = 0
        with self._ranking.supposing(node, gone=lesser):
            if verdict := self._verdict(node, first):
                return verdict
            for spared in (*breaking, *harmless):
                self._cluster.add_pod(spared)
                self._ranking.rules.sync()
                if self._verdict(node, first):
                    self._cluster.remove_pod(spared.uid)
                    self._ranking.rules.sync()
                    victims.append(spared)
                    broken += spared in breaking
        if not victims:
            return NO_VICTIMS
        victims.sort(key=importance)
        return _Candidate(_cost(victims, broken), Eviction(node.name, tuple(victims)))

    def _verdict(self, node: NodeState, first: list[PodInfo]) -> Verdict | None:
        """With the pods for which room is being made there, and without."""
        if first and (verdict := self._ranking.verdict_supposing(node, there=first)):
            return verdict
        return self._ranking.verdict(node)

    def _no_use(self, verdicts: Mapping[str, Verdict]) -> str:
        counts: Counter[str] = Counter()
        for name, verdict in verdicts.items():
            tried = self._known.get(name) if verdict.resolvable else None
            counts.update(tried.reasons if isinstance(tried, Verdict) else (NO_HELP,))
        return reasons.cause(counts, len(verdicts))


def importance(pod: PodInfo) -> tuple[float, float, str]:
    """Sorts the pods that are most worth sparing to the front: high priority, then long running."""
    return (-pod.priority, pod.started or float("inf"), pod.uid)


def by_budgets(pods: Iterable[PodInfo], budgets: Iterable[Budget]) -> tuple[list[PodInfo], list[PodInfo]]:
    """Pods whose eviction would break a disruption budget, in turn, and those whose would not."""
    left = {budget.key: budget.allowed for budget in budgets}
    breaking: list[PodInfo] = []
    harmless: list[PodInfo] = []
    for pod in pods:
        broken = False
        for budget in budgets if pod.labels else ():
            if budget.key.namespace != pod.key.namespace or budget.selector.empty or pod.key.name in budget.disrupted:
                continue
            if budget.selector.matches(pod.labels):
                left[budget.key] -= 1
                broken = broken or left[budget.key] < 0
        (breaking if broken else harmless).append(pod)
    return breaking, harmless


def _cost(victims: list[PodInfo], broken: int) -> tuple[float, ...]:
    highest = victims[0].priority
    earliest = min(pod.started or float("inf") for pod in victims if pod.priority == highest)
    return (broken, highest, sum(pod.priority + PRIORITIES for pod in victims), len(victims), -earliest)


def _offset(pod: PodInfo, nodes: int) -> int:
    """Where to begin: not always at the same node, yet always the same for the same pod's shape."""
    return sum(pod.shape) % nodes if nodes else 0
