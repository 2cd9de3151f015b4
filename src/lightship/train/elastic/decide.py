"""How many nodes an elastic job should have: from what its annotations allow, what its pods do, and what is free.

Pure; called by `controller` for each look at a job. Nodes come and go at the high end of the Job's indexes, so the first one, where all
meet, stays. Running it again on what it decided decides nothing new.
Contract: ours, in the words of upstream's proposal KEP-2903; batch/v1 elastic Indexed Jobs.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj
from lightship.train.lasting import Bounds
from lightship.train.parts import index

PATIENCE = 5.0
"""Seconds for which a pod may find no node before the job does without it."""
SETTLE = 10.0
"""Seconds that a job is left in peace after it changed, before it grows."""
LONGEST = 600.0
"""Seconds between attempts to grow where others than the sizes of pods keep it from growing."""
FINISHING = 15.0
"""Seconds that the others have to end after the first node did."""

ASKED, HOMELESS, FREE, OVER = "as asked", "no node has room for more", "there is room for more", "the first node has finished"
TAKEN = "others wait for the place"


class Past(NamedTuple):
    """What is remembered of a job between looks; all of it may be forgotten."""

    changed: float | None = None
    """When it was resized last, in seconds since the epoch."""
    failures: int = 0
    """How often in a row it grew and had to shrink again, as no node took the pods."""


class Size(NamedTuple):
    nodes: int
    why: str = ""
    look_again: float | None = None
    """Seconds until time alone may change the decision."""


def decide(
    bounds: Bounds, size: int, pods: Sequence[Obj], now: float, room: Callable[[], int], past: Past, wanted: Callable[[Obj], float | None]
) -> Size:
    """The size that a job of `size` nodes should have now.

    `pods` are those of its Job; `room` counts how many more would fit; `wanted` says in how many seconds others need the place of one.
    """
    alive = [pod for pod in pods if not objects.is_deleting(pod) and index(pod) < size]
    succeeded = {index(pod) for pod in alive if _phase(pod) == "Succeeded"}
    if succeeded:
        return _finish(size, alive, succeeded, now)
    if size > bounds.wanted or size < bounds.least:
        return Size(bounds.wanted if size > bounds.wanted else bounds.least, ASKED)
    homeless = [since for pod in alive if (since := _homeless_since(pod)) is not None]
    overdue = sum(now - since >= PATIENCE for since in homeless)
    fitting = max(bounds.least, size - overdue)
    if fitting < size:
        return Size(fitting, HOMELESS)
    if homeless and size > bounds.least:
        return Size(size, look_again=max(0.1, min(homeless) + PATIENCE - now))
    if size > bounds.least and not homeless and alive and (left := wanted(max(alive, key=index))) is not None:
        left = max(left, (past.changed or 0.0) + SETTLE - now)  # others may be about to take what was given up last
        return Size(size, look_again=left) if left > 0 else Size(size - 1, TAKEN)
    if size >= bounds.wanted or homeless:
        return Size(size)
    return _grow(bounds, size, alive, now, room, past)


def _grow(bounds: Bounds, size: int, alive: list[Obj], now: float, room: Callable[[], int], past: Past) -> Size:
    """Grow into what is free, when all that should run does, and has for a while."""
    if sum(_phase(pod) == "Running" for pod in alive) < size:
        return Size(size)
    last = max((times.parse(objects.meta(pod)["creationTimestamp"]) for pod in alive), default=0.0)
    since = max(last, past.changed or 0.0)
    left = since + min(LONGEST, SETTLE * 2.0**past.failures) - now
    if left > 0:
        return Size(size, look_again=left)
    more = min(room(), bounds.wanted - size)
    return Size(size + more, FREE) if more > 0 else Size(size)


def _finish(size: int, alive: list[Obj], succeeded: set[int], now: float) -> Size:
    """A job that is ending does not change, but for nodes that came too late to meet the first one: they are not waited for."""
    if 0 not in succeeded:
        return Size(size)
    done = next(number for number in range(size + 1) if number not in succeeded)
    if done >= size:
        return Size(size)
    left = _ended(next(pod for pod in alive if index(pod) == 0 and _phase(pod) == "Succeeded"), now) + FINISHING - now
    return Size(size, look_again=left) if left > 0 else Size(done, OVER)


def next_past(past: Past, size: int, decided: Size, now: float) -> Past:
    """What to remember after a resize from `size`."""
    if decided.why == HOMELESS and past.changed is not None:
        return Past(now, past.failures + 1)
    return Past(now, 0 if decided.nodes < size else past.failures)


def _phase(pod: Obj) -> str:
    return str(objects.status(pod).get("phase") or "Pending")


def _homeless_since(pod: Obj) -> float | None:
    """Since when no node takes a pod."""
    said = conditions.get(pod, "PodScheduled") or {}
    if objects.spec(pod).get("nodeName") or said.get("status") != "False" or said.get("reason") != "Unschedulable":
        return None
    return times.parse(said.get("lastTransitionTime") or objects.meta(pod)["creationTimestamp"])


def _ended(pod: Obj, now: float) -> float:
    ends = [
        times.parse(ended["finishedAt"])
        for status in objects.status(pod).get("containerStatuses") or ()
        if (ended := (status.get("state") or {}).get("terminated")) and ended.get("finishedAt")
    ]
    return max(ends, default=now - FINISHING)
