"""What a set says of itself: how many of its groups are there, ready and updated, and which of its conditions hold.

Pure; asked by `sync`. Contract: LeaderWorkerSet 0.9: of the conditions that hold one is written at a time, the first that is new.
"""

from collections.abc import Iterable, Mapping

import msgspec

from lightship.builtin.leaderworkerset import revisions, rollout, rules, terms
from lightship.builtin.notes import Note
from lightship.meta import objects, times
from lightship.meta.objects import Obj

_SAID = {
    terms.AVAILABLE: (terms.ALL_READY, "All replicas are ready"),
    terms.UPDATING: (terms.GROUPS_UPDATING, "Rolling Upgrade is in progress"),
    terms.PROGRESSING: (terms.GROUPS_PROGRESSING, "Replicas are progressing"),
}
_EXCLUSIVE = ({terms.AVAILABLE, terms.PROGRESSING}, {terms.AVAILABLE, terms.UPDATING})
"""Of these only one can hold."""


class Counts(msgspec.Struct):
    ready: int = 0
    updated: int = 0
    ready_wanted: int = 0
    """Of the wanted ones, which the extra ones of an update are not."""
    concerned: int = 0
    """Wanted groups that an update is for: those from the partition on."""
    concerned_updated: int = 0
    concerned_done: int = 0


class Report(msgspec.Struct):
    status: Obj
    is_done: bool
    """Are all groups of the current version and ready?"""
    notes: list[Note] = []


def report(lws: Obj, leader_set: Obj | None, leaders: Iterable[Obj], sets: Mapping[str, Obj], wanted: str, now: float) -> Report:
    """`sets` are the StatefulSets of the namespace by name; `wanted` is the version that groups shall have."""
    counts = count(lws, leaders, sets, wanted)
    before = objects.status(lws)
    conditions, changed = _conditions(lws, holding(lws, counts), now)
    numbers = {
        "replicas": int(objects.status(leader_set or {}).get("replicas") or 0),
        "readyReplicas": counts.ready,
        "updatedReplicas": counts.updated,
        "observedGeneration": objects.generation(lws),
    }
    status: Obj = {**before, "conditions": conditions, "hpaPodSelector": before.get("hpaPodSelector") or selector(lws)}
    for field, value in numbers.items():  # Go leaves out what is 0
        status.pop(field, None)
        if value:
            status[field] = value
    done = rules.partition(lws) == 0 and counts.concerned_done == rules.replicas(lws)
    notes = []
    if changed:
        reason, message = _SAID[holding(lws, counts)[0]]
        tally = f", with {counts.ready} groups ready of total {rules.replicas(lws)} groups"
        notes = [Note("Normal", reason, message + tally)]
    return Report(status, done, notes)


def selector(lws: Obj) -> str:
    """Of the leaders, for autoscalers; labels in the order of their names."""
    return f"{terms.NAME}={objects.name(lws)},{terms.WORKER_INDEX}=0"


def count(lws: Obj, leaders: Iterable[Obj], sets: Mapping[str, Obj], wanted: str) -> Counts:
    found = Counts()
    alone, partition, replicas = rules.size(lws) == 1, rules.partition(lws), rules.replicas(lws)
    for pod in leaders:
        index, workers = rollout.index_of(pod), sets.get(objects.name(pod))
        if index is None or (workers is None and not alone):
            continue
        ready = rollout.is_running(pod) and (alone or rollout.is_complete(workers or {}))
        updated = revisions.key(pod) == wanted and (alone or revisions.key(workers) == wanted)
        is_wanted, is_concerned = index < replicas, partition <= index < replicas
        found.ready += ready
        found.updated += updated
        found.ready_wanted += ready and is_wanted
        found.concerned += is_concerned
        found.concerned_updated += updated and is_concerned
        found.concerned_done += ready and updated and is_concerned
    return found


def holding(lws: Obj, counts: Counts) -> list[str]:
    """The conditions that hold, in the order in which they are said."""
    if counts.concerned_updated < counts.concerned:
        return [terms.UPDATING, terms.PROGRESSING]
    if counts.ready_wanted == rules.replicas(lws) and counts.concerned_done == counts.concerned:
        return [terms.AVAILABLE]
    return [terms.PROGRESSING]


def _conditions(lws: Obj, types: Iterable[str], now: float) -> tuple[list[Obj], bool]:
    """The conditions, and whether there is anything new in them."""
    conditions, generation = [dict(c) for c in objects.status(lws).get("conditions") or ()], objects.generation(lws)
    changed = any(hold(conditions, type, generation, now) for type in types)  # the first that is new, and no further
    for condition in conditions:
        if condition.get("observedGeneration", 0) != generation:
            condition["observedGeneration"] = generation
            changed = True
    return conditions, changed


def hold(conditions: list[Obj], type: str, generation: int, now: float) -> bool:
    """Make a condition hold, in place, and those end that cannot hold beside it. Has anything changed?"""
    reason, message = _SAID[type]
    new: Obj = {"type": type, "status": "True", "reason": reason, "message": message}
    new |= {"lastTransitionTime": times.rfc3339(now), "observedGeneration": generation}
    found = changed = False
    for index, condition in enumerate(conditions):
        if condition["type"] == type:
            found = True
            if condition["status"] != "True" or condition.get("observedGeneration", 0) != generation:
                conditions[index], changed = new, True
        elif condition["status"] == "True" and {condition["type"], type} in _EXCLUSIVE:
            condition |= {"status": "False", "lastTransitionTime": times.rfc3339(now), "observedGeneration": generation}
            changed = True
    if not found:
        conditions.append(new)
    return changed or not found
