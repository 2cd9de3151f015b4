"""Which replicated jobs may begin: those that nobody waits before, in the order of the JobSet. Pure: called by `sync`.

Contract: JobSet 0.12: `dependsOn` (Ready, Complete) and `startupPolicy`.
"""

from collections.abc import Iterator

from lightship.builtin.jobset import children
from lightship.builtin.jobset.draft import Draft
from lightship.meta import objects
from lightship.meta.objects import Obj


def is_in_order(jobset: Obj) -> bool:
    return bool(objects.get_path(jobset, "spec", "startupPolicy", "startupPolicyOrder") == "InOrder")


def unblocked(draft: Draft) -> Iterator[Obj]:
    """The replicated jobs whose dependencies have come far enough."""
    totals: dict[str, int] = {}
    entries = {entry["name"]: entry for entry in draft.entries}
    for replicated in children.replicated_jobs(draft.jobset):
        totals[replicated["name"]] = children.replicas(replicated)
        if are_met(replicated, totals, entries):
            yield replicated


def are_met(replicated: Obj, totals: dict[str, int], entries: dict[str, Obj]) -> bool:
    """Are all dependencies of a replicated job met? `totals` are the replicas of those before it, `entries` of the status by name."""
    return all(_is_met(dependency, totals, entries) for dependency in replicated.get("dependsOn") or [])


def _is_met(dependency: Obj, totals: dict[str, int], entries: dict[str, Obj]) -> bool:
    entry, total = entries.get(dependency["name"]), totals.get(dependency["name"], 0)
    if entry is None:
        return False
    if dependency["status"] == "Complete":
        return bool(entry.get("succeeded", 0) == total)
    return dependency["status"] != "Ready" or _begun(entry) == total


def has_started(replicated: Obj, entry: Obj) -> bool:
    """Are all Jobs of a replicated job ready, or beyond?"""
    return _begun(entry) == children.replicas(replicated)


def _begun(entry: Obj) -> int:
    return sum(entry.get(field) or 0 for field in ("failed", "ready", "succeeded"))
