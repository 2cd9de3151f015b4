"""The seam behind the store: a journal makes batches of writes durable, in order, and says when.

`Store` submits batches and hears about each exactly once, through `Settled` on its own event loop. `MemoryJournal` here acknowledges at
once; `sqlite_journal` writes to disk. A journal knows rows, never what they mean.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from .errors import StoreError
from .records import Event, Row


@dataclass(slots=True, eq=False)
class Batch:
    """The writes of one commit: all of them become durable, or none."""

    events: tuple[Event, ...]
    done: asyncio.Future[None]
    epoch: int
    """How many failures the store had seen when it proposed these writes: later epochs do not build on writes that failed."""


class Past(NamedTuple):
    """What a journal found when it was opened."""

    rows: Iterable[Row]
    revision: int
    oldest: int


Settled: TypeAlias = Callable[[Sequence[Batch], StoreError | None], None]
"""Called on the event loop of the batches, in the order of submission, with None when they are durable."""


class Journal(Protocol):
    def open(self, settled: Settled) -> Past:
        """Take the medium and read it. Raises `StoreError` when it is in use or damaged; so may going through the rows."""
        ...

    def submit(self, batch: Batch) -> None:
        """Make a batch durable, after all those submitted before."""
        ...

    def compact(self, oldest: int, garbage: Sequence[int]) -> None:
        """Remember where history begins, and drop these revisions when there is time."""
        ...

    async def close(self) -> None:
        """Finish what was submitted and let go of the medium."""
        ...


Tell: TypeAlias = Callable[[Event], None]
"""Told of each change of each object, in the order of revisions."""


class MemoryJournal:
    """Keeps nothing and acknowledges at once: for tests, and for servers that need not survive. `tell` is who writes the history down."""

    def __init__(self, tell: Tell | None = None) -> None:
        self._tell = tell

    def open(self, settled: Settled) -> Past:
        self._settled = settled
        return Past((), 0, 0)

    def submit(self, batch: Batch) -> None:
        if self._tell is not None:
            for event in batch.events:
                self._tell(event)
        self._settled((batch,), None)

    def compact(self, oldest: int, garbage: Sequence[int]) -> None:
        pass

    async def close(self) -> None:
        pass
