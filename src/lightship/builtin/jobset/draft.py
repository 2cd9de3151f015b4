"""The status of a JobSet while one reconcile works on it, and the events to tell once it is stored.

Used by `policies` and `sync`. Conditions change by the rules of JobSet: a condition appears when it first becomes true, and every change
is an event. Knows no API server; the time is given.
"""

from lightship.builtin.jobset import terms
from lightship.builtin.notes import EventKind, Note
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj

_EXCLUSIVE = {
    terms.STARTUP_IN_PROGRESS: terms.STARTUP_COMPLETED,
    terms.STARTUP_COMPLETED: terms.STARTUP_IN_PROGRESS,
}


class Draft:
    """A private copy of a JobSet's status that is being worked out."""

    def __init__(self, jobset: Obj, now: float) -> None:
        self.jobset = jobset
        self.now = now
        self.status: Obj = objects.copy(objects.status(jobset))
        self.status.setdefault("restarts", 0)
        self.notes: list[Note] = []

    @property
    def restarts(self) -> int:
        found: int = self.status["restarts"]
        return found

    @property
    def conditions(self) -> list[Obj]:
        return self.status.get("conditions") or []

    def set(self, type: str, status: bool, reason: str, message: str, *, event: EventKind = "Normal") -> None:
        """Set a condition, and note the event when that changed something."""
        old = conditions.find(self.conditions, type)
        if old is None and not status:
            return
        new = conditions.set_condition(self.conditions, type, status, reason, message, self.now)
        if status and (other := _EXCLUSIVE.get(type)):
            new = [{**c, "status": "False"} if c["type"] == other else c for c in new]
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
            self.status["restartsCountTowardsMax"] = self.status.get("restartsCountTowardsMax", 0) + 1
        self.set(terms.RESTARTING, True, reason, message, event="Warning")
        self.notes.append(Note("Warning", event_reason, message))

    def finished_at(self) -> float | None:
        """When the JobSet completed or failed, in seconds since the epoch; None while it has not."""
        for condition in self.conditions:
            if condition["type"] in (terms.COMPLETED, terms.FAILED) and condition["status"] == "True":
                return times.parse(condition["lastTransitionTime"])
        return None
