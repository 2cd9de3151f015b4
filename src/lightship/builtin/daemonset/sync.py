"""The decision about one DaemonSet: its pods and all nodes in, what to create and delete, and its status out.

Pure; `controller` reads, calls `sync`, and carries the plan out. Contract: Kubernetes 1.36 daemonset controller.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from lightship.builtin.daemonset import places, rollout
from lightship.builtin.daemonset.manage import Actions, Waits, by_age, manage
from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Obj

AT_ONCE = 250
"""Pods created or deleted in one reconcile; the rest follow in the next."""


class Plan(msgspec.Struct):
    actions: Actions
    status: Obj


def sync(owner: Obj, pods: Iterable[Obj], nodes: Sequence[Obj], hashed: str, waits: Waits, now: float) -> Plan:
    """`pods` are those that the owner has claimed, `hashed` names today's template; `now` is in seconds since the epoch."""
    placed: dict[str, list[Obj]] = defaultdict(list)
    for pod in pods:
        if objects.is_deleting(pod) and podlib.is_terminal(pod):
            continue  # as good as gone
        placed[places.node_of(pod)].append(pod)
    surge = rollout.limits(owner, 1).surge > 0
    actions = manage(owner, nodes, placed, hashed, surge=surge, waits=waits, now=now)
    wanted = [objects.name(node) for node in nodes if places.suits(owner, node)[0]]
    if not (actions.create or actions.delete) and rollout.is_rolling(owner):
        step = rollout.step(owner, placed, wanted, hashed, frozenset(wanted).__contains__, now)
        actions.create, actions.delete = step.create, step.delete
    actions.create, actions.delete = actions.create[:AT_ONCE], actions.delete[:AT_ONCE]
    least = int(objects.spec(owner).get("minReadySeconds") or 0)
    waiting = [wait for listed in placed.values() for pod in listed if (wait := podlib.available_in(pod, least, now))]
    times = [*waiting, *([actions.requeue] if actions.requeue is not None else [])]
    actions.requeue = min(times, default=None)
    return Plan(actions, _status(owner, placed, wanted, nodes, hashed, now))


def _status(owner: Obj, placed: Mapping[str, list[Obj]], wanted: list[str], nodes: Sequence[Obj], hashed: str, now: float) -> Obj:
    least = int(objects.spec(owner).get("minReadySeconds") or 0)
    shown = [by_age(placed[node])[0] for node in wanted if placed.get(node)]
    strangers = {objects.name(node) for node in nodes} - set(wanted)
    ready = sum(1 for pod in shown if podlib.is_ready(pod))
    available = sum(1 for pod in shown if podlib.available_in(pod, least, now) == 0)
    counted = {
        "updatedNumberScheduled": sum(1 for pod in shown if places.is_updated(owner, pod, hashed)),
        "numberAvailable": available,
        "numberUnavailable": len(wanted) - available,
    }
    status = {
        "currentNumberScheduled": len(shown),
        "desiredNumberScheduled": len(wanted),
        "numberMisscheduled": sum(1 for node in strangers if placed.get(node)),
        "numberReady": ready,
        "observedGeneration": objects.generation(owner),
        **{field: number for field, number in counted.items() if number},
    }
    kept: Obj = {field: text for field, text in objects.status(owner).items() if field in ("collisionCount", "conditions")}
    return {**kept, **status}
