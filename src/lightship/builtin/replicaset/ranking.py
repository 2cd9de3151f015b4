"""Which pods to stop when there are too many: those that are missed least.

Pure; asked by `sync`. Contract: kube-controller-manager `ActivePodsWithRanks` (with LogarithmicScaleDown and PodDeletionCost).
"""

import math
from collections import Counter
from collections.abc import Iterable
from functools import cmp_to_key

from lightship.kinds import pods as podlib
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj

COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def first_to_go(pods: Iterable[Obj], related: Iterable[Obj], count: int, now: float) -> list[Obj]:
    """`count` of the pods. `related` are all active pods of the owner's family: of two on a crowded node one is missed less."""
    crowd = Counter(podlib.node_name(pod) for pod in related)

    def compare(one: Obj, other: Obj) -> int:
        ours, theirs = _standing(one, crowd), _standing(other, crowd)
        if ours != theirs:
            return -1 if ours < theirs else 1
        if podlib.is_ready(one) and (order := _younger(_ready_since(one), _ready_since(other), one, other, now)):
            return order
        if restarts := _restarts(other) - _restarts(one):
            return restarts
        return _younger(_created(one), _created(other), one, other, now)

    return sorted(pods, key=cmp_to_key(compare))[:count]


def _standing(pod: Obj, crowd: Counter[str]) -> tuple[bool, int, bool, int, int]:
    node = podlib.node_name(pod)
    return bool(node), _PHASES.get(podlib.phase(pod), 0), podlib.is_ready(pod), _cost(pod), -crowd[node]


def _cost(pod: Obj) -> int:
    text = objects.annotations(pod).get(COST, "0")
    try:
        return int(text)
    except ValueError:
        return 0


def _younger(one: float, other: float, pod: Obj, beside: Obj, now: float) -> int:
    """Ages are compared by their magnitude only, so that of pods of about one age not always the newest goes."""
    if one == other:
        return 0
    if not one or not other:
        return 1 if one else -1  # of unknown age goes first
    difference = _magnitude(now - one) - _magnitude(now - other)
    if difference:
        return difference
    return -1 if objects.uid(pod) < objects.uid(beside) else 1


def _magnitude(age: float) -> int:
    return int(math.log2(age * 1e9)) if age > 0 else -1


def _ready_since(pod: Obj) -> float:
    stamp = (conditions.get(pod, "Ready") or {}).get("lastTransitionTime")
    return times.parse(stamp) if stamp else 0.0


def _created(pod: Obj) -> float:
    stamp = objects.meta(pod).get("creationTimestamp")
    return times.parse(stamp) if stamp else 0.0


def _restarts(pod: Obj) -> int:
    """The most restarts of one container; `compare` wants those that restart more often to go first."""
    statuses = objects.status(pod).get("containerStatuses") or ()
    return max((int(status.get("restartCount") or 0) for status in statuses), default=0)
