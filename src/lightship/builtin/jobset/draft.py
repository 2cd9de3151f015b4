"""The status of a JobSet while one reconcile works on it, and the events to tell once it is stored.

Used by `policies`, `inplace` and `sync`. Conditions change by the rules of JobSet: a condition appears when it first becomes true, and
every change is an event. Knows no API server; the time is given.
"""

from lightship.builtin.jobset import terms
from lightship.builtin.jobset.children import replicas, replicated_jobs
from lightship.builtin.jobset.gates import NONE, Gates
from lightship.builtin.notes import EventKind, Note
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj

_EXCLUSIVE = {
    terms.STARTUP_IN_PROGRESS: terms.STARTUP_COMPLETED,
    terms.STARTUP_COMPLETED: terms.STARTUP_IN_PROGRESS,
}
RESTARTS = "jobRestarts"
COUNTED_RESTARTS = "jobRestartsCountTowardsMax"


class Draft:
    """A private copy of a JobSet's status that is being worked out."""

    def __init__(self, jobset: Obj, now: float, gates: Gates = NONE) -> None:
        self.jobset = jobset
        self.now = now
        self.gates = gates
        self.status: Obj = objects.copy(objects.status(jobset))
        self.notes: list[Note] = []

    @property
    def restarts(self) -> int:
        found: int = self.status.get("restarts", 0)
        return found

    @property
    def counted_restarts(self) -> int:
        """How many restarts of the whole count towards the limit."""
        found: int = self.status.get("restartsCountTowardsMax", 0)
        return found

    @property
    def conditions(self) -> list[Obj]:
        return self.status.get("conditions") or []

    @property
    def entries(self) -> list[Obj]:
        """What the status says of replicated jobs."""
        return self.status.get("replicatedJobsStatus") or []

    def finished(self) -> Obj:
        """The status to store: what nobody has touched stays as it was, all else says how often it restarted."""
        if self.status != objects.status(self.jobset):
            self.status.setdefault("restarts", 0)
        return self.status

    def set(self, type: str, status: bool, reason: str, message: str, *, event: EventKind = "Normal") -> None:
        """Set a condition, and note the event when that changed something."""
        old = conditions.find(self.conditions, type)
        if old is None and not status:
            return
        new = conditions.set_condition(self.conditions, type, status, reason, message, self.now)
        if status and (other := _EXCLUSIVE.get(type)):
            new = [{**c, "status": "False"} if c["type"] == other and c["status"] == "True" else c for c in new]
        if new != self.conditions:
            self.status["conditions"] = new
            self.notes.append(Note(event, reason, message))

    def complete(self) -> None:
        self.set(terms.COMPLETED, True, terms.ALL_JOBS_COMPLETED, terms.ALL_JOBS_COMPLETED_MESSAGE)
        self.set(terms.RESTARTING, False, terms.RESTARTING_COMPLETED, terms.ALL_JOBS_COMPLETED_MESSAGE)
        self.status["terminalState"] = terms.COMPLETED

    def fail(self, reason: str, message: str) -> None:
        self.set(terms.FAILED, True, reason, message, event="Warning")
        self.set(terms.RESTARTING, False, terms.RESTARTING_FAILED, terms.RESTARTING_FAILED_MESSAGE)
        self.status["terminalState"] = terms.FAILED

    def restart(self, reason: str, message: str, *, event_reason: str, counts: bool) -> None:
        """Begin the next restart attempt; Jobs of earlier attempts are deleted on sight."""
        self.status["restarts"] = self.restarts + 1
        if counts:
            self.status["restartsCountTowardsMax"] = self.counted_restarts + 1
        self.set(terms.RESTARTING, True, reason, message, event="Warning")
        self.notes.append(Note("Warning", event_reason, message))

    def restart_job(self, replicated: str, index: int, message: str, *, event_reason: str, counts: bool) -> None:
        """Begin the next attempt of one Job."""
        entry = self.entry(replicated)
        for field in (RESTARTS, COUNTED_RESTARTS) if counts else (RESTARTS,):
            attempts = self.job_restarts(replicated, field)
            attempts[index] += 1
            entry[field] = attempts
        self.notes.append(Note("Warning", event_reason, message))

    def entry(self, replicated: str) -> Obj:
        """What the status says of a replicated job; an empty one where it says nothing."""
        return next((entry for entry in self.entries if entry["name"] == replicated), {})

    def job_restarts(self, replicated: str, field: str = RESTARTS) -> list[int]:
        """How often each Job of a replicated job was restarted by itself (all, or those that count)."""
        return list(self.entry(replicated).get(field) or []) or self._none_yet(replicated)

    def _none_yet(self, replicated: str) -> list[int]:
        return next(([0] * replicas(r) for r in replicated_jobs(self.jobset) if r["name"] == replicated), [])

    def all_counted_restarts(self) -> int:
        """Restarts of the whole and of single Jobs that count towards the limit."""
        return self.counted_restarts + sum(sum(entry.get(COUNTED_RESTARTS) or ()) for entry in self.entries)

    def finished_at(self) -> float | None:
        """When the JobSet completed or failed, in seconds since the epoch; None while it has not."""
        for condition in self.conditions:
            if condition["type"] in (terms.COMPLETED, terms.FAILED) and condition["status"] == "True":
                return times.parse(condition["lastTransitionTime"])
        return None
