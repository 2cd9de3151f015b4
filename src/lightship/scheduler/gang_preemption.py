"""Whom to evict so that a whole gang finds room: as few and as unimportant as possible, anywhere in the cluster.

Called by `together` for gangs that do not fit. Pure: it is supposed that all who may go are gone; then they are spared one after another,
the most important first, as long as the gang still fits. A group that is only evicted as a whole counts as one.
Contract: kube-scheduler 1.36 workload-aware preemption: who may be evicted, the order in which they are spared, and the words for why it
is no use.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from lightship.scheduler import preemption
from lightship.scheduler.plan import Planner
from lightship.scheduler.snapshot import Gang, PodInfo
from lightship.scheduler.terms import NO_TERMS

NO_VICTIMS = "No preemption victims found for incoming preemptor"
NO_USE = "0/1 placements are available, first placement status: pod group is unschedulable"


class Unit(NamedTuple):
    """Pods that are evicted together."""

    pods: tuple[PodInfo, ...]
    priority: int
    grouped: bool = False
    """Does it stand for, or belong to, a PodGroup?"""

    @property
    def importance(self) -> tuple[float, ...]:
        """Sorts those that are most worth sparing to the front."""
        started = min(pod.started or float("inf") for pod in self.pods)
        return (-self.priority, not self.grouped, -len(self.pods) if self.grouped else 0, started)


def units(pods: Iterable[PodInfo], group_of: Callable[[PodInfo], Gang | None]) -> list[Unit]:
    """The placed pods, those of gangs that are evicted as a whole together."""
    found: list[Unit] = []
    gangs: dict[tuple[object, bool], tuple[Gang, list[PodInfo]]] = {}
    for pod in pods:
        gang = group_of(pod) if pod.native_group else None
        if gang is not None and gang.whole:
            gangs.setdefault((gang.key, gang.native), (gang, []))[1].append(pod)
        else:
            found.append(Unit((pod,), pod.priority, pod.native_group))
    return found + [Unit(tuple(members), gang.priority, grouped=True) for gang, members in gangs.values()]


class GangPreemption:
    """For one gang. `fits` tells where its pods would go now, by uid; None when too few would."""

    def __init__(self, planner: Planner, gang: Gang, waiting: Sequence[PodInfo], fits: Callable[[], dict[str, str] | None]) -> None:
        self._planner = planner
        self._gang = gang
        self._waiting = waiting
        self._fits = fits

    def find(self, candidates: Iterable[Unit]) -> tuple[PodInfo, ...] | str:
        """Whom to evict, or why that is no use. The pods of the gang are nominated for where they would go."""
        if any(pod.never_preempts for pod in self._waiting):
            return preemption.NEVER
        lesser = [unit for unit in candidates if unit.priority < self._gang.priority]
        if not lesser:
            return NO_VICTIMS
        cluster = self._planner.cluster
        with cluster.supposing(gone=[pod for unit in lesser for pod in unit.pods]):
            places = self._fits()
            if places is None:
                return NO_USE
            # Those that are going already need no second telling, and nobody else goes in their place.
            victims, places = self._spare([unit for unit in lesser if not all(pod.deleting for pod in unit.pods)], places)
        for pod in self._waiting:
            cluster.nominate(pod, places.get(pod.uid, ""))
        return tuple(victims)

    def _spare(self, lesser: list[Unit], places: dict[str, str]) -> tuple[list[PodInfo], dict[str, str]]:
        """Let come back who may, those first whose budgets would break."""
        cluster = self._planner.cluster
        breaking, _ = preemption.by_budgets((pod for unit in lesser for pod in unit.pods), cluster.budgets)
        broken = {pod.uid for pod in breaking}
        entangled = any(pod.terms != NO_TERMS or pod.spread or pod.claims or pod.volumes for pod in self._waiting)
        plain = not entangled and not any(True for _ in cluster.foreign)
        victims: list[PodInfo] = []
        ordered = sorted(lesser, key=lambda unit: unit.importance)
        for unit in sorted(ordered, key=lambda unit: not any(pod.uid in broken for pod in unit.pods)):
            for pod in unit.pods:
                cluster.add_pod(pod)
            used = set(places.values())
            if plain and not any(pod.node_name in used for pod in unit.pods):
                continue  # nobody goes where they are
            now = self._fits()
            if now is not None:
                places = now
                continue
            for pod in unit.pods:
                cluster.remove_pod(pod.uid)
            victims.extend(unit.pods)
        return victims, places
