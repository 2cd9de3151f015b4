"""What the status of a PodGroup of coscheduling is, from the group and its pods alone.

Called by `controller` for every change of a group or its pods; one call is one step of the phase. Knows no clock: `scheduleStartTime`
belongs to whoever writes it.
Contract: `scheduling.x-k8s.io/v1alpha1` PodGroupStatus as scheduler-plugins 0.35 keeps it (its `podgroup_controller`).
"""

from collections import Counter
from collections.abc import Sequence

from lightship.kinds import pod_phase
from lightship.meta import objects, times
from lightship.meta.objects import Obj

LABEL = "scheduling.x-k8s.io/pod-group"
"""The label by which a pod names its group, in its own namespace."""
PATIENCE = 48 * 3600.0
"""Seconds from the making of a group to the start of its scheduling, beyond which its pods may have been collected."""
_COUNTS = {"running": "Running", "succeeded": "Succeeded", "failed": "Failed"}
"""Field of the status, and the phase of the pods that it counts."""


def has_ended(group: Obj) -> bool:
    """Is the phase one that nothing follows upon?"""
    return objects.status(group).get("phase") in ("Finished", "Failed")


def is_too_late(group: Obj) -> bool:
    """Did the scheduling of a group that does not run begin so late that nothing of it is to be believed?"""
    status = objects.status(group)
    began = status.get("scheduleStartTime")
    if not began or status.get("running") or status.get("phase") not in ("Pending", "Scheduling"):
        return False
    return times.parse(began) - times.parse(objects.meta(group)["creationTimestamp"]) > PATIENCE


def advance(group: Obj, pods: Sequence[Obj]) -> Obj:
    """The status that follows upon the one of a group that has not ended, given all its pods. Counts of nothing are left out."""
    before = objects.status(group)
    least = objects.spec(group).get("minMember") or 0
    match before.get("phase") or "":
        case "":
            return {**before, "phase": "Pending"}
        case "Pending":
            if len(pods) < least:
                return before
            return {**before, "phase": "Scheduling", **_occupied(pods)}
        case _:
            counted = Counter(map(pod_phase, pods))
            counts = {field: counted[name] for field, name in _COUNTS.items() if counted[name]}
            rest = {field: value for field, value in before.items() if field not in _COUNTS}
            return {**rest, **counts, "phase": phase_of(counts, len(pods), least)}


def phase_of(counts: dict[str, int], there: int, least: int) -> str:
    """The phase of a group that was complete once, has so many pods, and needs so many."""
    if there < least:
        return "Pending"
    running, succeeded, failed = (counts.get(field, 0) for field in _COUNTS)
    if succeeded >= least:
        return "Finished"
    if failed and failed + running + succeeded >= least:
        return "Failed"
    return "Scheduling" if succeeded + running < least else "Running"


def _occupied(pods: Sequence[Obj]) -> Obj:
    """Whose the pods are: the owners of the first of them, if it has any."""
    first = min(pods, key=objects.name, default={})
    owners = sorted(f"{objects.namespace(first)}/{owner['name']}" for owner in objects.owners(first))
    return {"occupiedBy": ",".join(owners)} if owners else {}
