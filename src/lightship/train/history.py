"""What is kept of a TrainJob that has finished, which logs, for how long; and when the job itself may go.

Pure: objects and time in, objects out; `aftercare` does what is decided here, the command line reads it.
Contract: ours (`api.runs`); the time to live counts as a Job's `ttlSecondsAfterFinished` does, from the end.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from lightship.meta import conditions, objects, times
from lightship.meta.errors import Cause, invalid_value
from lightship.meta.names import follows
from lightship.meta.objects import Obj

from . import parts
from .api import COMPLETE, FAILED, NODE
from .api.runs import JOB_LABEL, LOGS_SUFFIX, PRIORITY_CLASS, TRAIN_JOB_RUNS, TTL

KEPT = 100
"""Runs of a namespace; the oldest go first."""
KEPT_SECONDS = 30 * 86400.0
MOST_PODS = 16
"""Whose logs are kept of one job: those that failed first, then those with the lowest numbers."""
LOG_BYTES, ALL_BYTES = 64 * 1024, 512 * 1024
"""The end of one container's log, and of all of them together: what an object of the API may hold, and no more."""
TAIL_LINES = 4000
_WHOLE = re.compile(r"[0-9]{1,10}")


class Source(NamedTuple):
    """A container whose log is to be kept."""

    step: str
    node: int
    pod: str
    container: str
    exit_code: int | None

    @property
    def key(self) -> str:
        """Where its log is in the ConfigMap."""
        return f"{self.step}-{self.node}.{self.container}"


class Log(NamedTuple):
    source: Source
    text: str
    size: int
    """Bytes that were printed, as far as they were read."""
    problem: str = ""
    """Why there is no text, if so."""


def problems(job: Obj) -> Iterator[Cause]:
    """What is wrong with the annotations of this room's that have to do with a job's end and place."""
    notes = objects.annotations(job)
    ttl, priority = notes.get(TTL), notes.get(PRIORITY_CLASS)
    if ttl is not None and not _WHOLE.fullmatch(ttl):
        yield invalid_value(f"metadata.annotations[{TTL}]", ttl, "must be a number of seconds, 0 or more")
    if priority is not None and not follows(priority, "subdomain"):
        yield invalid_value(f"metadata.annotations[{PRIORITY_CLASS}]", priority, "must be the name of a PriorityClass")


def ended(job: Obj) -> Obj | None:
    """The condition with which a job has ended."""
    return next((conditions.get(job, end) for end in (COMPLETE, FAILED) if conditions.is_true(job, end)), None)


def seconds_left(job: Obj, now: float) -> float | None:
    """Until the job may be deleted, not positive once it may; None when it may stay for ever or has not finished."""
    end, ttl = ended(job), objects.annotations(job).get(TTL)
    if end is None or ttl is None or not _WHOLE.fullmatch(ttl) or objects.is_deleting(job):
        return None
    return times.parse(end["lastTransitionTime"]) + float(ttl) - now


def run_name(job: Obj) -> str:
    """Of the run of this very job: another of the same name has another."""
    return f"{objects.name(job)}-{objects.uid(job)[:8]}"


def sources(pods: Iterable[Obj]) -> list[Source]:
    """The containers whose logs are kept, in the order of their worth."""
    found = [pod for pod in pods if not objects.is_deleting(pod) or objects.status(pod).get("phase") != "Pending"]
    return [_source(pod) for pod in sorted(found, key=_worth)[:MOST_PODS]]


def make(job: Obj, jobset: Obj | None, pods: Sequence[Obj], logs: Sequence[Log]) -> Obj:
    """The run of a job that has ended."""
    end, spec = ended(job) or {}, objects.spec(job)
    trainer = spec.get("trainer") or {}
    ref = spec.get("runtimeRef") or {}
    started = [objects.status(pod)["startTime"] for pod in pods if objects.status(pod).get("startTime")]
    said = objects.status(job)
    status = {
        "state": end.get("type"),
        "reason": end.get("reason"),
        "message": end.get("message"),
        "creationTime": objects.meta(job).get("creationTimestamp"),
        "startTime": min(started, default=None),
        "completionTime": end.get("lastTransitionTime"),
        "restarts": objects.status(jobset or {}).get("restarts"),
        "jobsStatus": said.get("jobsStatus"),
        "trainerStatus": said.get("trainerStatus"),
        "logs": [_told(log) for log in logs],
    }
    given = {
        "trainJob": {"name": objects.name(job), "uid": objects.uid(job)},
        "runtimeRef": {field: ref[field] for field in ("kind", "name") if field in ref},
        "numNodes": trainer.get("numNodes"),
        "image": trainer.get("image"),
    }
    return {
        "apiVersion": TRAIN_JOB_RUNS.api_version,
        "kind": TRAIN_JOB_RUNS.kind,
        "metadata": {"name": run_name(job), "namespace": objects.namespace(job), "labels": {JOB_LABEL: objects.name(job)}},
        "spec": {field: value for field, value in given.items() if value is not None},
        "status": {field: value for field, value in status.items() if value is not None and value != ""},
    }


def logs_of(run: Obj, logs: Iterable[Log]) -> Obj:
    """The ConfigMap with what was printed."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": objects.name(run) + LOGS_SUFFIX,
            "namespace": objects.namespace(run),
            "labels": dict(objects.labels(run)),
            "ownerReferences": [objects.owner_reference({"apiVersion": TRAIN_JOB_RUNS.api_version, "kind": TRAIN_JOB_RUNS.kind, **run})],
        },
        "data": {log.source.key: log.text for log in logs if log.text},
    }


def surplus(runs: Iterable[Obj], now: float) -> list[Obj]:
    """Runs of one namespace that are too many or too old."""
    newest = sorted(runs, key=_completion, reverse=True)
    return [run for number, run in enumerate(newest) if number >= KEPT or _completion(run) < now - KEPT_SECONDS]


class Tail:
    """The end of a text that comes in pieces."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self.size = 0

    def feed(self, piece: bytes) -> None:
        self.size += len(piece)
        self._kept += piece
        if len(self._kept) > 2 * self._limit:
            del self._kept[: -self._limit]

    def text(self) -> str:
        """From the beginning of a line, where something is missing before it."""
        kept = bytes(self._kept[-self._limit :])
        if self.size > len(kept):
            kept = kept.partition(b"\n")[2] or kept
        return kept.decode(errors="replace")


def _worth(pod: Obj) -> tuple[bool, bool, str, int, str]:
    step = parts.step(pod)
    return objects.status(pod).get("phase") != "Failed", step != NODE, step, parts.index(pod), objects.name(pod)


def _source(pod: Obj) -> Source:
    step = parts.step(pod)
    names = [c["name"] for c in objects.spec(pod).get("containers") or ()]
    container = next((name for name in (NODE, step) if name in names), names[0] if names else NODE)
    statuses = objects.status(pod).get("containerStatuses") or ()
    ends = [(s.get("state") or {}).get("terminated") for s in statuses if s.get("name") == container]
    return Source(step, parts.index(pod), objects.name(pod), container, ends[0].get("exitCode") if ends and ends[0] else None)


def _told(log: Log) -> Obj:
    source = log.source
    told = {
        "step": source.step,
        "node": source.node,
        "container": source.container,
        "pod": source.pod,
        "exitCode": source.exit_code,
        "key": source.key if log.text else None,
        "bytes": log.size,
        "problem": log.problem or None,
    }
    return {field: value for field, value in told.items() if value is not None}


def _completion(run: Obj) -> float:
    return times.parse(objects.status(run).get("completionTime") or objects.meta(run)["creationTimestamp"])
