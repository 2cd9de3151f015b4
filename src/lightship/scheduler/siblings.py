"""Which pods are of one kind with a pod: those of the same Services and of the same ReplicaSet, StatefulSet or ReplicationController.

Pods that say nothing of topology spread are spread among these, softly. Kept by `controller` from the informers, asked by `cluster`.
Pure data. Contract: kube-scheduler's default constraints of PodTopologySpread (helper.DefaultSelector).
"""

from typing import TypeAlias

from lightship.meta import objects, selectors
from lightship.meta.objects import Key, Obj
from lightship.meta.selectors import LabelRequirement, LabelSelector
from lightship.scheduler.snapshot import PodInfo
from lightship.scheduler.terms import selector_of

Handle: TypeAlias = tuple[str, str, str]
"""Namespace, name and value of a label."""
KEPT = 4096
"""Answers that are remembered."""


class Siblings:
    """The selectors of Services and workloads."""

    def __init__(self) -> None:
        self._services: dict[Handle, dict[str, LabelSelector]] = {}
        """By a label that all of its pods have: Services by name."""
        self._handles: dict[Key, Handle] = {}
        self._owners: dict[tuple[str, Key], LabelSelector] = {}
        self._answers: dict[tuple[str, frozenset[tuple[str, str]], Key | None], LabelSelector] = {}

    def selector(self, pod: PodInfo) -> LabelSelector:
        """What the pod has in common with its like; NOTHING when it belongs to nobody."""
        owner = self._owners.get((pod.key.namespace, pod.owner)) if pod.owner else None
        if not self._services and owner is None:
            return selectors.NOTHING
        asked = (pod.key.namespace, frozenset(pod.labels.items()), pod.owner)
        found = self._answers.get(asked)
        if found is None:
            if len(self._answers) >= KEPT:
                self._answers.clear()
            found = self._answers[asked] = self._find(pod, owner)
        return found

    def note_service(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        """A Service has changed: see `Informer.on_change`."""
        wanted = objects.spec(new).get("selector") if new is not None else None
        handle = self._handles.pop(key, None)
        if handle is not None:
            services = self._services[handle]
            del services[key.name]
            if not services:
                del self._services[handle]
        if wanted:
            handle = self._handles[key] = (key.namespace, *min(wanted.items()))
            self._services.setdefault(handle, {})[key.name] = _of_map(wanted)
        self._answers.clear()

    def note_owner(self, kind: str, key: Key, new: Obj | None) -> None:
        """A workload of this kind has changed."""
        where = (key.namespace, Key(kind, key.name))
        wanted = objects.spec(new).get("selector") if new is not None else None
        selector = selectors.NOTHING if not wanted else _of_map(wanted) if kind == "ReplicationController" else selector_of(wanted)
        if self._owners.get(where, selectors.NOTHING) == selector:
            return
        if selector.nothing:
            del self._owners[where]
        else:
            self._owners[where] = selector
        self._answers.clear()

    def _find(self, pod: PodInfo, owner: LabelSelector | None) -> LabelSelector:
        handles = [(pod.key.namespace, label, value) for label, value in pod.labels.items()]
        services = [selector for handle in handles for selector in self._services.get(handle, {}).values()]
        matching = [selector for selector in services if selector.matches(pod.labels)]
        parts = [*matching, *([owner] if owner is not None else [])]
        requirements = sorted({r for part in parts for r in part.requirements}, key=lambda r: (r.key, r.op, sorted(r.values)))
        return selectors.LabelSelector(requirements) if requirements else selectors.NOTHING


def _of_map(wanted: dict[str, str]) -> LabelSelector:
    return selectors.LabelSelector(LabelRequirement(key, "in", frozenset((value,))) for key, value in wanted.items())
