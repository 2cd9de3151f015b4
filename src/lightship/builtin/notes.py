"""An event that a pure core wants told; its controller records it once what it speaks of has been stored."""

from collections.abc import Iterable
from typing import NamedTuple

from lightship.control import Recorder
from lightship.control.events import EventKind
from lightship.meta.objects import Obj

__all__ = ["EventKind", "Note", "tell"]


class Note(NamedTuple):
    """`type` and `reason` as in core/v1 Event, `message` for people."""

    type: EventKind
    reason: str
    message: str


def tell(recorder: Recorder, obj: Obj, notes: Iterable[Note]) -> None:
    """Record the notes as events about `obj`."""
    for note in notes:
        recorder.event(obj, note.type, note.reason, note.message)
