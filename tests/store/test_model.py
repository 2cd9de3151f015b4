"""The pure state against the simplest model there is: a dict per revision. Hypothesis looks for a history in which they differ."""

from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lightship.store.errors import Compacted, Future, RevisionMismatch
from lightship.store.records import Delete, Event, Op, Put, Row
from lightship.store.state import State

KEYS = [f"{bucket}/{namespace}/{name}" for bucket in ("core/pods", "core/nodes") for namespace in ("a", "b") for name in "xy"]
PREFIXES = ["core/pods/", "core/pods/a/", "core/pods/b/", "core/nodes/", "core/nodes/a/", "core/none/"]
EXPECTATIONS = ["head"] * 6 + ["any"] * 6 + ["zero", "wrong"]
OP = st.tuples(st.sampled_from(KEYS), st.sampled_from([False, False, True]), st.sampled_from(EXPECTATIONS))
OPS = st.lists(OP, min_size=1, max_size=3)
FATES = ["durable"] * 4 + ["in flight"] * 3 + ["failed"]
Snapshot = dict[str, int]
"""Key → revision."""


def encode(revision: int) -> bytes:
    return b'{"revision":%d}' % revision


class StoreModel(RuleBasedStateMachine):
    """`snapshots[r]` is what was there at revision r; `flying` are proposals that are not settled yet."""

    @initialize()
    def begin(self) -> None:
        self.state = State()
        self.snapshots: dict[int, Snapshot] = {1: {}}
        self.heads: Snapshot = {}
        self.given = 1
        self.flying: list[tuple[Event, ...]] = []
        self.settled: list[Event] = []

    @rule(ops=OPS, fate=st.sampled_from(FATES))
    def write(self, ops: list[tuple[str, bool, str]], fate: str) -> None:
        self._propose(ops)
        if fate == "durable":
            self.settle(len(self.flying))
        elif fate == "failed":
            self._abandon()

    @rule(ops=OPS)
    def write_durably(self, ops: list[tuple[str, bool, str]]) -> None:
        self.write(ops, "durable")

    @precondition(lambda self: self.flying)
    @rule(count=st.integers(1, 5))
    def settle(self, count: int) -> None:
        for events in self.flying[:count]:
            self.state.settle(events)
            for event in events:
                after = dict(self.snapshots[event.revision - 1])
                if event.type == "DELETED":
                    del after[event.record.key]
                else:
                    after[event.record.key] = event.revision
                self.snapshots[event.revision] = after
                self.settled.append(event)
        del self.flying[:count]

    @precondition(lambda self: self.state.revision > 10)
    @rule(back=st.integers(3, 60))
    def compact(self, back: int) -> None:
        oldest = self.state.oldest
        revision = max(self.state.revision - back, 1)
        garbage = self.state.compact(revision)
        assert self.state.oldest == max(oldest, revision)
        reachable = {r for s in range(self.state.oldest, self.state.revision + 1) for r in self.snapshots[s].values()}
        assert not reachable & set(garbage)

    @precondition(lambda self: self.state.revision > 5)
    @rule()
    def reopen(self) -> None:
        """What a journal would give back, superseded rows of a compaction that never happened included."""
        rows = [Row(e.revision, e.record.key, e.record.value, e.type == "DELETED") for e in self.settled]
        fresh = State()
        fresh.restore(rows, self.state.revision, self.state.oldest)
        self.state = fresh
        self._abandon()

    @rule(prefix=st.sampled_from(PREFIXES), limit=st.integers(0, 3), back=st.integers(-2, 12))
    def read(self, prefix: str, limit: int, back: int) -> None:
        revision = max(self.state.revision - back, 0)
        if self._out_of_reach(revision):
            with pytest.raises((Compacted, Future)):
                self.state.page(prefix, "", limit, revision)
            return
        want = sorted(item for item in self.snapshots[revision or self.state.revision].items() if item[0].startswith(prefix))
        got: list[tuple[str, int]] = []
        page = self.state.page(prefix, "", limit, revision)
        got += [(r.key, r.revision) for r in page.records]
        while page.next:
            assert page.remaining == len(want) - len(got)
            page = self.state.page(prefix, page.next, limit, page.revision)
            got += [(r.key, r.revision) for r in page.records]
        assert got == want

    @rule(prefix=st.sampled_from(PREFIXES), back=st.integers(-2, 12))
    def replay(self, prefix: str, back: int) -> None:
        revision = max(self.state.revision - back, 1)
        if self._out_of_reach(revision):
            with pytest.raises((Compacted, Future)):
                self.state.since(prefix, revision)
            return
        want = [e for e in self.settled if e.revision > revision and e.record.key.startswith(prefix)]
        assert described(self.state.since(prefix, revision)) == described(want)

    @invariant()
    def readers_see_what_is_settled_and_writers_what_is_given(self) -> None:
        visible = self.snapshots[self.state.revision]
        for key in KEYS:
            record, head = self.state.get(key), self.state.head(key)
            assert (record.revision if record else None) == visible.get(key)
            assert (head.revision if head else None) == self.heads.get(key)

    def _propose(self, ops: list[tuple[str, bool, str]]) -> None:
        made: list[Op] = []
        heads = dict(self.heads)
        acceptable = True
        for revision, (key, wants_delete, expectation) in enumerate(ops, self.given + 1):
            head = heads.get(key, 0)
            delete = wants_delete and head > 0
            expect = {"any": None, "head": head, "zero": 0, "wrong": 10_000}[expectation]
            made.append((Delete if delete else Put)(key, encode, expect))
            acceptable = acceptable and expect in (None, head)
            heads[key] = revision
            if delete:
                del heads[key]
        if not acceptable:
            with pytest.raises(RevisionMismatch):
                self.state.propose(made)
            return
        events = self.state.propose(made)
        assert [event.revision for event in events] == list(range(self.given + 1, self.given + 1 + len(ops)))
        self.given += len(ops)
        self.heads = heads
        self.flying.append(events)

    def _abandon(self) -> None:
        self.state.abandon()
        self.flying.clear()
        self.given = self.state.revision
        self.heads = dict(self.snapshots[self.given])

    def _out_of_reach(self, revision: int) -> bool:
        return revision != 0 and not self.state.oldest <= revision <= self.state.revision


def described(events: Sequence[Event]) -> list[tuple[str, str, int, int | None]]:
    return [(e.type, e.record.key, e.revision, e.previous.revision if e.previous else None) for e in events]


TestStoreModel = pytest.mark.slow(StoreModel.TestCase)
TestStoreModel.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
