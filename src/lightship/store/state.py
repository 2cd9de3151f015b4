"""The store as a pure state machine: what is visible, what is in flight, and the history that watches and old lists are served from.

A write goes through three steps, all called by `Store`: `propose` judges its preconditions against the heads and gives it its revisions;
`settle` makes it visible once the journal has it; `abandon` forgets everything in flight when the journal failed. Between the first two
other writers see it through `head`, readers do not. Knows no I/O, no time, no event loop.
"""

from collections.abc import Iterable, Sequence

from .bucket import Bucket
from .errors import Compacted, Future, RevisionMismatch
from .records import ADDED, DELETED, MODIFIED, Event, Op, Page, Put, Record, Row, bucket_of

FIRST_REVISION = 1
"""The revision of an empty store, so that no list is ever at 0, which on the wire means "any"."""


class State:
    """`revision` is the last visible one, `oldest` the first from which a watch can start; `shape` changes whenever a bucket has got
    its first object or lost its last."""

    def __init__(self) -> None:
        self.revision = FIRST_REVISION
        self.oldest = FIRST_REVISION
        self.history_bytes = 0
        self.shape = 0
        self._last_given = FIRST_REVISION
        self._buckets: dict[str, Bucket] = {}
        self._asked: dict[str, Bucket] = {}  # by the few prefixes that `changed` is asked about, several times in every write
        self._heads: dict[str, Event] = {}

    def get(self, key: str) -> Record | None:
        # As `bucket_of` has it, but for keys that name none: those are nowhere.
        bucket = self._buckets.get(key[: key.find("/", key.find("/") + 1)])
        return bucket.records.get(key) if bucket is not None else None

    def changed(self, prefix: str) -> int:
        """The revision of the last visible change in the bucket of `prefix` since the store was opened; 0 when there was none."""
        bucket = self._asked.get(prefix)
        if bucket is None:
            bucket = self._asked[prefix] = self._bucket(prefix)
        return bucket.revision

    def is_empty(self, bucket: str) -> bool:
        """Is there no visible object in a bucket? The answer holds as long as `shape` stays the same."""
        found = self._buckets.get(bucket)
        return found is None or not found.records

    def head(self, key: str) -> Record | None:
        """The newest record of `key`, writes in flight included."""
        event = self._heads.get(key)
        if event is None:
            return self.get(key)
        return None if event.type == DELETED else event.record

    def page(self, prefix: str, after: str, limit: int, revision: int) -> Page:
        """A slice of the keys under `prefix`; `revision` 0 is the present. Raises `Compacted` or `Future`."""
        if revision:
            self.check_reachable(revision)
        bucket = self._buckets.get(bucket_of(prefix))
        if bucket is None:
            return Page((), revision or self.revision, 0, "")
        return bucket.page(prefix, after, limit, revision or self.revision, self.revision)

    def since(self, prefix: str, revision: int) -> list[Event]:
        """The visible events under `prefix` after `revision`. Raises `Compacted` or `Future`."""
        self.check_reachable(revision)
        bucket = self._buckets.get(bucket_of(prefix))
        return [event for event in bucket.since(revision) if event.record.key.startswith(prefix)] if bucket else []

    def check_reachable(self, revision: int) -> None:
        """Raise `Compacted` or `Future` unless history reaches back to `revision`."""
        if revision < self.oldest:
            raise Compacted(revision, self.oldest)
        if revision > self.revision:
            raise Future(revision, self.revision)

    def propose(self, ops: Sequence[Op]) -> tuple[Event, ...]:
        """Give every op its revision and take it in flight, or raise `RevisionMismatch` (or what `encode` raises) and change nothing."""
        staged: dict[str, Event] = {}
        events = []
        for revision, op in enumerate(ops, self._last_given + 1):
            event = self._event(op, revision, staged)
            staged[op.key] = event
            events.append(event)
        self._heads.update(staged)
        self._last_given += len(events)
        return tuple(events)

    def settle(self, events: Iterable[Event]) -> None:
        """Make proposed events visible. They must come in the order in which they were proposed."""
        for event in events:
            bucket = self._bucket(event.record.key)
            was_empty = not bucket.records
            bucket.apply(event)
            if was_empty or not bucket.records:
                self.shape += 1
            self.history_bytes += event.record.size
            self.revision = event.revision
            if self._heads.get(event.record.key) is event:
                del self._heads[event.record.key]

    def cool(self, event: Event) -> None:
        """A visible event is no news any more: keep it in less memory."""
        self._bucket(event.record.key).cool(event)

    def abandon(self) -> None:
        """Forget everything in flight: the revisions that were given are given again."""
        self._heads.clear()
        self._last_given = self.revision

    def compact(self, revision: int) -> list[int]:
        """Let history begin at `revision`, and name the revisions whose values nobody can reach any more."""
        revision = min(revision, self.revision)
        if revision <= self.oldest:
            return []
        self.oldest = revision
        garbage: list[int] = []
        for bucket in self._buckets.values():
            for event in bucket.forget(revision):
                self.history_bytes -= event.record.size
                if event.previous is not None:
                    garbage.append(event.previous.revision)
                if event.type == DELETED:
                    garbage.append(event.revision)
        return sorted(garbage)

    def restore(self, rows: Iterable[Row], revision: int, oldest: int) -> list[int]:
        """Start from what a journal kept: all rows in order, the last revision given, and where history began.

        Returns the revisions that a compaction which was cut short has left behind.
        """
        self.revision = self._last_given = max(revision, FIRST_REVISION)
        self.oldest = max(oldest, FIRST_REVISION)
        garbage: list[int] = []
        for row in rows:
            bucket = self._bucket(row.key)
            if row.revision > self.oldest:
                bucket.load(row)
                self.history_bytes += len(row.value)
            else:
                garbage.extend(bucket.load_past(row))
        for bucket in self._buckets.values():
            bucket.keys = sorted(bucket.records)
        self.shape += 1
        return garbage

    def _event(self, op: Op, revision: int, staged: dict[str, Event]) -> Event:
        if op.key in staged:
            before = staged[op.key]
            current = None if before.type == DELETED else before.record
        else:
            current = self.head(op.key)
        if op.expect is not None and op.expect != (current.revision if current else 0):
            raise RevisionMismatch(op.key, current)
        if isinstance(op, Put):
            bucket_of(op.key)
            record = Record(op.key, op.encode(revision), revision, op.obj)
            return Event(MODIFIED if current else ADDED, record, current)
        if current is None:
            raise RevisionMismatch(op.key, None)
        return Event(DELETED, Record(op.key, op.encode(revision), revision, op.obj), current)

    def _bucket(self, key: str) -> Bucket:
        name = bucket_of(key)
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket()
        return bucket
