"""What the scheduler keeps of each pod: those that want a node with what they said last, and those that take up room on one.

The informer of pods tells it of every change; `controller` plans with what it holds. A pod is read when it has changed, and only what the
plan needs is kept, so that pods which have ended, or are somebody else's, cost nothing.
"""

from typing import NamedTuple

from lightship.meta import conditions, objects
from lightship.meta.objects import Key, Obj
from lightship.scheduler import snapshot
from lightship.scheduler.snapshot import PodInfo

SCHEDULED = "PodScheduled"


class Waiting(NamedTuple):
    """A pod without a node; `reason` and `message` are of its condition, which says why it waits."""

    info: PodInfo
    reason: str
    message: str


class Book:
    """All pods that matter, by key."""

    def __init__(self) -> None:
        self.waiting: dict[Key, Waiting] = {}
        self.placed: dict[Key, PodInfo] = {}

    def note(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        """A pod has changed: see `Informer.on_change`."""
        before = self.waiting.pop(key, None)
        known = self.placed.pop(key, None) or (before and before.info)
        if new is None:
            return
        if snapshot.is_waiting(new):
            said = conditions.get(new, SCHEDULED) or {}
            self.waiting[key] = Waiting(_read(known, old, new), said.get("reason") or "", said.get("message") or "")
        elif snapshot.is_placed(new):
            self.placed[key] = _read(known, old, new)


def _read(known: PodInfo | None, old: Obj | None, new: Obj) -> PodInfo:
    """What the plan needs of a pod. Most changes are of its status, which is not among that."""
    if known is not None and old is not None and known.uid == objects.uid(new) and objects.spec(old) == objects.spec(new):
        return known
    return snapshot.pod_info(new)
