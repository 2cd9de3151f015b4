"""What a store can refuse, one small tree.

    Exception
     ├─ RevisionMismatch   a write's precondition does not hold; nothing was changed
     ├─ Compacted          the asked-for revision is older than the history that is kept
     ├─ Future             the asked-for revision has not happened yet
     ├─ Overflow           a watcher was too slow for its buffer and must list again
     └─ StoreError         the medium failed (in use, damaged, full, closed); the message says what to do

Raised by `Store` and `Watch`; the API server turns the first four into Status answers. Knows nothing of HTTP codes.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .records import Record


class RevisionMismatch(Exception):  # noqa: N818 - what happened, not what went wrong
    """A precondition failed: `current` is the head that the writer did not expect (None: there is no such key)."""

    def __init__(self, key: str, current: "Record | None") -> None:
        found = f"at revision {current.revision}" if current else "absent"
        super().__init__(f"{key} is {found}")
        self.key = key
        self.current = current


class Compacted(Exception):  # noqa: N818 - what happened, not what went wrong
    """History before `oldest` is gone."""

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"revision {asked} is older than the history that is kept, which begins at {oldest}")
        self.asked = asked
        self.oldest = oldest


class Future(Exception):  # noqa: N818 - what happened, not what went wrong
    """`asked` is ahead of `current`."""

    def __init__(self, asked: int, current: int) -> None:
        super().__init__(f"revision {asked} has not happened yet, the current one is {current}")
        self.asked = asked
        self.current = current


class Overflow(Exception):  # noqa: N818 - what happened, not what went wrong
    """The watcher did not take its events in time; what it holds is no longer complete."""


class StoreError(Exception):
    """The store cannot do its work. The message is one line for the operator; nothing that was acknowledged is lost."""
