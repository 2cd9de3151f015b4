"""The four ways a reconcile can end, and the pure decision what follows from each.

    return Done()                 nothing to do until something changes
    return RequeueAfter(seconds)  look again then, even if nothing changes
    raise anything                try again, later each time (5 ms up to 1000 s)
    raise Terminal(reason, ...)   trying again cannot help; look again when the object changes

A create that was refused since its namespace is being deleted counts as done. Reconcilers return or raise these; the controller asks
`decide` and does what it says.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from lightship.aio.tasks import leaves
from lightship.meta.errors import StatusError, is_invalid, is_namespace_terminating


@dataclass(frozen=True, slots=True)
class Done:
    """All is as it should be."""


@dataclass(frozen=True, slots=True)
class RequeueAfter:
    """All is as it should be for now; look again after `seconds`."""

    seconds: float


Outcome: TypeAlias = Done | RequeueAfter


class Terminal(Exception):  # noqa: N818  reads as what it is: `raise Terminal(...)`
    """What the object asks for cannot be had until it is changed. `reason` is CamelCase as in conditions, `message` is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class Result(StrEnum):
    """What is counted."""

    DONE = "done"
    REQUEUE = "requeue"
    CONFLICT = "conflict"
    RETRY = "retry"
    TERMINAL = "terminal"


class Decision(NamedTuple):
    """What to do with a key after its reconcile."""

    result: Result
    after: float = 0.0
    """Seconds until the next look, for REQUEUE."""
    error: BaseException | None = None
    """What to show of a failure."""
    traceback: bool = False
    """Is the failure a surprise, of which people need to see where it came from?"""
    refused: bool = False
    """Is the failure that what was to be written is invalid? The next try will not fare better unless something changes."""


def decide(returned: Outcome | None, raised: BaseException | None) -> Decision:
    """(what reconcile returned, what it raised) → what follows."""
    if raised is None:
        if isinstance(returned, RequeueAfter):
            return Decision(Result.REQUEUE, after=max(0.0, returned.seconds))
        return Decision(Result.DONE)
    causes = leaves(raised)
    for cause in causes:
        if isinstance(cause, Terminal):
            return Decision(Result.TERMINAL, error=cause)
    # Where everything is on its way out nothing new is wanted; the deletion of what there is will wake the key again.
    if all(is_namespace_terminating(cause) for cause in causes):
        return Decision(Result.DONE)
    # Somebody else was faster, or the object is still on its way out: everyday life, the next look sees the newer state.
    if all(isinstance(cause, StatusError) and cause.code == 409 for cause in causes):
        return Decision(Result.CONFLICT, error=causes[0])
    surprise = next((cause for cause in causes if not isinstance(cause, StatusError)), None)
    refused = all(is_invalid(cause) for cause in causes)
    return Decision(Result.RETRY, error=raised if surprise else causes[0], traceback=surprise is not None, refused=refused)
