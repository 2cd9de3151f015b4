"""How many more pods of one sort would fit on the nodes as they are: by requests, taints and selectors.

Pure; called by `controller` when a job could grow. Only an estimate, for growing to be worth an attempt: what else a scheduler asks of
nodes is found out by trying. Pods of others that wait for a node come first.
Contract: core/v1 Node allocatable, requests of pods.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from lightship.kinds import placement, pods
from lightship.meta import conditions, objects, quantity, times
from lightship.meta.objects import Obj

Amounts = dict[str, Decimal]
WAITING = 10.0
"""Seconds for which a pod of others finds no node before an elastic job makes room; longer than other elastic jobs are patient."""


def count(pod: Obj, nodes: Iterable[Obj], others: Iterable[Obj]) -> int:
    """How many like `pod` would fit beside `others`, all the pods there are."""
    wanted = _amounts(pod)
    used: dict[str, Amounts] = defaultdict(lambda: defaultdict(Decimal))
    waiting = 0
    for other in others:
        if objects.status(other).get("phase") in ("Succeeded", "Failed"):
            continue
        node = objects.spec(other).get("nodeName")
        if not node:
            waiting += not objects.spec(other).get("schedulingGates") and not objects.is_deleting(other)
            continue
        for name, amount in _amounts(other).items():
            used[node][name] += amount
    fitting = sum(_fits(wanted, node, used.get(objects.name(node), {})) for node in nodes if _suits(pod, node))
    return max(0, fitting - waiting)


def is_wanted(pod: Obj, others: Iterable[Obj], nodes: Iterable[Obj], now: float) -> float | None:
    """In how many seconds another pod, no less important, that finds no node, should have the place of `pod`, into which it would fit.

    None when there is no such pod.
    """
    place = objects.spec(pod).get("nodeName")
    node = next((n for n in nodes if place and objects.name(n) == place), None)
    listed = list(others)
    waiting = [(other, since) for other in listed if (since := _waits_since(other)) is not None and _priority(other) >= _priority(pod)]
    if node is None or not waiting:
        return None
    used: Amounts = defaultdict(Decimal)
    for other in listed:
        ended = objects.status(other).get("phase") in ("Succeeded", "Failed")
        if not ended and objects.spec(other).get("nodeName") == place and objects.uid(other) != objects.uid(pod):
            for name, amount in _amounts(other).items():
                used[name] += amount
    fitting = [since for other, since in waiting if _suits(other, node) and _fits(_amounts(other), node, used)]
    return min(fitting) + WAITING - now if fitting else None


def _waits_since(pod: Obj) -> float | None:
    said = conditions.get(pod, "PodScheduled") or {}
    if objects.spec(pod).get("nodeName") or objects.is_deleting(pod) or said.get("reason") != "Unschedulable":
        return None
    return times.parse(said.get("lastTransitionTime") or objects.meta(pod)["creationTimestamp"])


def _priority(pod: Obj) -> int:
    return int(objects.spec(pod).get("priority") or 0)


def _suits(pod: Obj, node: Obj) -> bool:
    spec, of_node = objects.spec(pod), objects.spec(node)
    if of_node.get("unschedulable") or not conditions.is_true(node, "Ready"):
        return False
    if placement.untolerated(of_node.get("taints") or (), spec.get("tolerations") or ()):
        return False
    return placement.selects(spec, node)


def _fits(wanted: Amounts, node: Obj, used: Amounts) -> int:
    has = objects.status(node).get("allocatable") or {}
    counts = [
        int((quantity.parse(has.get(name, 0)) - used.get(name, Decimal())) // amount) for name, amount in wanted.items() if amount > 0
    ]
    return max(0, min(counts, default=0))


def _amounts(pod: Obj) -> Amounts:
    """What a pod takes of a node, itself included."""
    return {"pods": Decimal(1), **{name: quantity.parse(amount) for name, amount in pods.total_requests(pod).items()}}
