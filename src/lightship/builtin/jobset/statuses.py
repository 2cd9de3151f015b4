"""The Jobs of a JobSet, sorted by what has become of them, and counted for its status. Pure: called by `sync`.

Contract: JobSet 0.12; entries of `replicatedJobsStatus` are in the order in which upstream stores them, by name, the last first.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lightship.builtin.jobset import children, terms
from lightship.builtin.jobset.draft import COUNTED_RESTARTS, RESTARTS, Draft
from lightship.builtin.jobset.errors import JobSetError
from lightship.meta import objects
from lightship.meta.objects import Obj


class Jobs(NamedTuple):
    """The Jobs of a JobSet by what has become of them; `previous` belong to an earlier restart attempt."""

    active: list[Obj]
    successful: list[Obj]
    failed: list[Obj]
    previous: list[Obj]

    def names(self) -> set[str]:
        return {objects.name(job) for group in self for job in group}


def classify(jobs: Iterable[Obj], draft: Draft) -> Jobs:
    """Raises `JobSetError` for a Job whose labels are not those that it was made with."""
    found = Jobs([], [], [], [])
    for job in jobs:
        if _is_previous(job, draft):
            found.previous.append(job)
        else:
            {"Failed": found.failed, "Complete": found.successful, "": found.active}[finished(job)].append(job)
    return found


def finished(job: Obj) -> str:
    """`Failed` or `Complete`, whichever holds of a Job first; empty while it runs."""
    for condition in objects.status(job).get("conditions") or []:
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            ended: str = condition["type"]
            return ended
    return ""


def _is_previous(job: Obj, draft: Draft) -> bool:
    if _number(job, terms.RESTART_ATTEMPT) < draft.restarts:
        return True
    labels = objects.labels(job)
    if not draft.gates.restart_job:
        return False
    if terms.REPLICATED_JOB not in labels:
        raise JobSetError(f"missing label {terms.REPLICATED_JOB}")
    replicated, index = labels[terms.REPLICATED_JOB], _number(job, terms.JOB_INDEX)
    if terms.JOB_RESTART_ATTEMPT not in labels:
        return False  # made before single Jobs could be restarted
    wanted = draft.job_restarts(replicated)
    if index >= len(wanted):
        raise JobSetError(f"job index {index} is out of bounds for replicated job {replicated}")
    return _number(job, terms.JOB_RESTART_ATTEMPT) < wanted[index]


def _number(job: Obj, label: str) -> int:
    text = objects.labels(job).get(label)
    if text is None or not text.isdecimal():
        raise JobSetError(f"job {objects.name(job)}: invalid value for label {label}, must be integer")
    return int(text)


def replicated_jobs_status(draft: Draft, owned: Jobs) -> list[Obj]:
    """One entry for each replicated job."""
    jobset = draft.jobset
    counts = {r["name"]: _entry(draft, r["name"]) for r in children.replicated_jobs(jobset)}
    for job, fields in _tallies(owned):
        entry = counts.get(objects.labels(job).get(terms.REPLICATED_JOB, ""))
        if entry is not None:
            for field in fields:
                entry[field] += 1
    return [counts[name] for name in sorted(counts, reverse=True)]


def _entry(draft: Draft, name: str) -> Obj:
    entry: Obj = {"name": name, "ready": 0, "succeeded": 0, "failed": 0, "active": 0, "suspended": 0}
    if draft.gates.restart_job:
        known = draft.entry(name)
        entry |= {field: known[field] for field in (RESTARTS, COUNTED_RESTARTS) if known.get(field)}
    return entry


def _tallies(owned: Jobs) -> Iterator[tuple[Obj, list[str]]]:
    for job in owned.active:
        facts = {
            "ready": is_ready(job),
            "active": (objects.status(job).get("active") or 0) > 0,
            "suspended": bool(objects.spec(job).get("suspend")),
        }
        yield job, [field for field, holds in facts.items() if holds]
    for job in owned.successful:
        yield job, ["succeeded"]
    for job in owned.failed:
        yield job, ["failed"]


def is_ready(job: Obj) -> bool:
    """Do all the pods that the Job runs at once run, or have they succeeded?"""
    spec, status = objects.spec(job), objects.status(job)
    wanted, completions = spec.get("parallelism"), spec.get("completions")
    wanted = 1 if wanted is None else wanted
    if completions is not None:
        wanted = min(wanted, completions)
    return bool((status.get("succeeded") or 0) + (status.get("ready") or 0) >= wanted)


def all_ready(draft: Draft) -> bool:
    """Is every Job of the JobSet ready, or has it succeeded?"""
    ready = sum(entry["ready"] + entry["succeeded"] for entry in draft.entries)
    return bool(ready == sum(map(children.replicas, children.replicated_jobs(draft.jobset))))
