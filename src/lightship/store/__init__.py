"""The store: revisioned, watchable, durable before acknowledged; in memory or on SQLite behind one contract.

`memory()` and `sqlite(path)` open one; only the API server (and `main`, which chooses) may. Knows keys and bytes, not kinds.
"""

from os import PathLike

from lightship.aio.clock import Clock, SystemClock

from .errors import Compacted, Future, Overflow, RevisionMismatch, StoreError
from .journal import MemoryJournal, Tell
from .records import Delete, Event, Op, Page, Put, Record
from .retention import Limits
from .sqlite_journal import SqliteJournal, Synchronous
from .store import Store
from .watches import Watch

__all__ = [
    "Compacted",
    "Delete",
    "Event",
    "Future",
    "Limits",
    "Op",
    "Overflow",
    "Page",
    "Put",
    "Record",
    "RevisionMismatch",
    "Store",
    "StoreError",
    "Watch",
    "memory",
    "sqlite",
]


def memory(*, clock: Clock | None = None, limits: Limits = Limits(), tell: Tell | None = None) -> Store:  # noqa: B008 - a value
    """A store that lives as long as the process; `tell` hears of every change before it is visible, and must not raise."""
    return Store(MemoryJournal(tell), clock or SystemClock(), limits)


def sqlite(
    path: str | PathLike[str],
    *,
    synchronous: Synchronous = "FULL",
    clock: Clock | None = None,
    limits: Limits = Limits(),  # noqa: B008 - a value
) -> Store:
    """A store in the SQLite file `path` (created, with its folder, when absent).

    With `synchronous` FULL a write is on disk before it is acknowledged; NORMAL survives kill -9 but not a power cut. Raises `StoreError`
    when another process has it open or the file is damaged; nothing is deleted or repaired behind the operator's back.
    """
    return Store(SqliteJournal(path, synchronous), clock or SystemClock(), limits)
