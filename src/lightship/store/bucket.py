"""One bucket of the store: the current records of one kind in key order, and its part of the history.

Called by `state` only. Pure bookkeeping: it never refuses a change, because preconditions were judged when the change was proposed.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from operator import attrgetter

from .packing import Packer
from .records import ADDED, DELETED, MODIFIED, Event, Page, Record, Row

_revision = attrgetter("revision")


class Bucket:
    """`records` by key, `keys` sorted, `history` in revision order; `revision` is that of the last change since the store was opened."""

    __slots__ = ("history", "keys", "packer", "records", "revision")

    def __init__(self) -> None:
        self.packer = Packer()
        self.revision = 0
        self.records: dict[str, Record] = {}
        self.keys: list[str] = []
        self.history: list[Event] = []

    def apply(self, event: Event) -> None:
        """Make one change visible."""
        record = event.record
        self.revision = event.revision
        if event.type == DELETED:
            del self.records[record.key]
            del self.keys[bisect_left(self.keys, record.key)]
        else:
            if event.previous is None:
                insort(self.keys, record.key)
            self.records[record.key] = record
        self.history.append(event)

    def load(self, row: Row) -> None:
        """Take a row of the history from a journal; `keys` are sorted by the caller when all rows are in."""
        record = self._record(row)
        previous = self.records.get(row.key)
        self.history.append(Event(DELETED if row.deleted else MODIFIED if previous else ADDED, record, previous))
        self._replace(row, record)

    def load_past(self, row: Row) -> Iterator[int]:
        """Take a row from before the history, and name what it makes unreachable."""
        previous = self.records.get(row.key)
        if previous is not None:
            yield previous.revision
        if row.deleted:
            yield row.revision
        self._replace(row, self._record(row))

    def cool(self, event: Event) -> None:
        """An event is no news any more: keep it in less memory."""
        event.cool(self.packer)

    def since(self, revision: int) -> list[Event]:
        """The events after `revision`, in order."""
        return self.history[bisect_right(self.history, revision, key=_revision) :]

    def forget(self, revision: int) -> list[Event]:
        """Drop the events up to and including `revision` from the history, and return them."""
        cut = bisect_right(self.history, revision, key=_revision)
        dropped = self.history[:cut]
        del self.history[:cut]
        return dropped

    def page(self, prefix: str, after: str, limit: int, revision: int, current: int) -> Page:
        """The records under `prefix` as they were at `revision`; `current` is the revision of the bucket's present."""
        records = self.records
        keys = self.keys
        if revision < current and (changed := self._changed_since(revision)):
            records = {**self.records, **{key: record for key, record in changed.items() if record is not None}}
            gone = {key for key, record in changed.items() if record is None}
            keys = sorted(key for key in records if key not in gone)
        start = bisect_right(keys, after) if after > prefix else bisect_left(keys, prefix)
        end = bisect_left(keys, _past(prefix))
        stop = min(end, start + limit) if limit else end
        found = [records[key] for key in keys[start:stop]]
        remaining = max(end - stop, 0)
        return Page(found, revision, remaining, keys[stop - 1] if remaining else "")

    def _record(self, row: Row) -> Record:
        record = Record(row.key, row.value, row.revision)
        record.cool(self.packer)
        return record

    def _replace(self, row: Row, record: Record) -> None:
        if row.deleted:
            self.records.pop(row.key, None)
        else:
            self.records[row.key] = record

    def _changed_since(self, revision: int) -> dict[str, Record | None]:
        """What each key that changed after `revision` held at that revision."""
        return {event.record.key: event.previous for event in reversed(self.since(revision))}


def _past(prefix: str) -> str:
    """The least key that sorts behind every key with this prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
