"""What every store must do, whatever is behind it. A backend's test class inherits `StoreContract` and says how to open one."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lightship import store
from lightship.meta import codec
from lightship.store import Delete, Event, Put, Store
from tests.store.manual_clock import ManualClock


def numbered(text: str) -> Callable[[int], bytes]:
    """An encoder of a small object that holds its own revision."""
    return lambda revision: codec.encode({"text": text, "metadata": {"resourceVersion": str(revision)}})


def put(key: str, text: str = "", expect: int | None = None) -> Put:
    return Put(key, numbered(text), expect)


def delete(key: str, expect: int | None = None) -> Delete:
    return Delete(key, numbered("gone"), expect)


def brief(events: list[Event]) -> list[tuple[str, str, int]]:
    return [(event.type, event.record.key.rpartition("/")[2], event.revision) for event in events]


class StoreContract:
    """Inherit, and implement `opened`."""

    def opened(self, clock: ManualClock, limits: store.Limits) -> Store:
        raise NotImplementedError

    def run(self, test: Callable[[Store], Awaitable[None]], limits: store.Limits | None = None) -> None:
        async def main() -> None:
            self.clock = ManualClock()
            opened = self.opened(self.clock, limits or store.Limits())
            try:
                async with asyncio.timeout(20):
                    await test(opened)
            finally:
                await opened.close()

        asyncio.run(main())

    # Reading and writing

    def test_an_empty_store_begins_at_revision_one(self) -> None:
        async def test(s: Store) -> None:
            assert (s.revision, s.oldest) == (1, 1)
            assert s.get("core/pods/default/a") is None
            assert s.list("core/pods/") == ((), 1, 0, "")

        self.run(test)

    def test_a_committed_record_knows_its_revision(self) -> None:
        async def test(s: Store) -> None:
            (record,) = await s.commit(put("core/pods/default/a", "one"))
            assert s.get("core/pods/default/a") is record
            assert record.revision == s.revision == 2
            assert record.obj == {"text": "one", "metadata": {"resourceVersion": "2"}}
            assert record.obj is record.obj
            assert codec.decode(record.value) == record.obj

        self.run(test)

    def test_every_write_takes_the_next_revision(self) -> None:
        async def test(s: Store) -> None:
            first = await s.commit(put("core/pods/default/a"), put("core/nodes//n"))
            second = await s.commit(put("core/pods/default/a"))
            third = await s.commit(delete("core/nodes//n"))
            assert [r.revision for r in (*first, *second, *third)] == [2, 3, 4, 5]
            assert s.get("core/nodes//n") is None

        self.run(test)

    @pytest.mark.parametrize("expect", [0, 7, 1])
    def test_a_write_that_expects_something_else_changes_nothing(self, expect: int) -> None:
        async def test(s: Store) -> None:
            (held,) = await s.commit(put("core/pods/default/a", "held"))
            with pytest.raises(store.RevisionMismatch) as refused:
                await s.commit(put("core/pods/default/b"), put("core/pods/default/a", "new", expect))
            assert refused.value.current is held
            assert refused.value.key == "core/pods/default/a"
            assert s.get("core/pods/default/b") is None
            assert s.head("core/pods/default/b") is None
            assert s.revision == held.revision
            (after,) = await s.commit(put("core/pods/default/a", "new", held.revision))
            assert after.revision == held.revision + 1

        self.run(test)

    @pytest.mark.parametrize("expect", [None, 0, 3])
    def test_what_is_absent_cannot_be_deleted(self, expect: int | None) -> None:
        async def test(s: Store) -> None:
            with pytest.raises(store.RevisionMismatch) as refused:
                await s.commit(delete("core/pods/default/a", expect))
            assert refused.value.current is None

        self.run(test)

    def test_an_encoder_that_raises_changes_nothing(self) -> None:
        def broken(revision: int) -> bytes:
            raise TypeError("not JSON")

        async def test(s: Store) -> None:
            with pytest.raises(TypeError):
                await s.commit(put("core/pods/default/a"), Put("core/pods/default/b", broken))
            assert s.head("core/pods/default/a") is None
            assert (await s.commit(put("core/pods/default/a")))[0].revision == 2

        self.run(test)

    def test_a_key_without_a_bucket_is_refused(self) -> None:
        async def test(s: Store) -> None:
            with pytest.raises(ValueError, match="names no bucket"):
                await s.commit(put("pods/a"))
            with pytest.raises(ValueError, match="names no bucket"):
                s.list("core/")

        self.run(test)

    def test_writers_build_on_heads_that_readers_cannot_see_yet(self) -> None:
        async def test(s: Store) -> None:
            first = asyncio.ensure_future(s.commit(put("core/pods/default/a", "first", 0)))
            await asyncio.sleep(0)
            head = s.head("core/pods/default/a")
            assert head is not None
            with pytest.raises(store.RevisionMismatch):
                await s.commit(put("core/pods/default/a", "rival", 0))
            await s.commit(put("core/pods/default/a", "second", head.revision))
            assert first.done()
            assert s.revision == 3

        self.run(test)

    def test_one_commit_may_change_a_key_twice(self) -> None:
        async def test(s: Store) -> None:
            await s.commit(put("core/pods/default/a", expect=0), delete("core/pods/default/a", 2), put("core/pods/default/a", "again", 0))
            found = s.get("core/pods/default/a")
            assert found is not None
            assert (found.obj["text"], found.revision) == ("again", 4)

        self.run(test)

    def test_a_cancelled_writer_has_still_written(self) -> None:
        async def test(s: Store) -> None:
            task = asyncio.ensure_future(s.commit(put("core/pods/default/a")))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await s.commit(put("core/pods/default/b"))
            assert s.get("core/pods/default/a") is not None

        self.run(test)

    def test_concurrent_writers_of_one_key_never_lose_an_update(self) -> None:
        async def add_one(s: Store) -> None:
            while True:
                head = s.head("core/pods/default/count")
                value = int(head.obj["text"]) if head else 0
                try:
                    await s.commit(put("core/pods/default/count", str(value + 1), head.revision if head else 0))
                    return
                except store.RevisionMismatch:
                    await asyncio.sleep(0)

        async def test(s: Store) -> None:
            await asyncio.gather(*(add_one(s) for _ in range(50)))
            found = s.get("core/pods/default/count")
            assert found is not None
            assert found.obj["text"] == "50"

        self.run(test)

    # Lists

    def test_lists_are_sorted_and_bounded_by_their_prefix(self) -> None:
        async def test(s: Store) -> None:
            for key in ("core/pods/b/x", "core/pods/a/y", "core/pods/a/x", "core/pods/ab/x", "core/podsets/a/x", "core/nodes//n"):
                await s.commit(put(key))
            want = ["core/pods/a/x", "core/pods/a/y", "core/pods/ab/x", "core/pods/b/x"]
            assert [r.key for r in s.list("core/pods/").records] == want
            assert [r.key for r in s.list("core/pods/a/").records] == want[:2]
            assert [r.key for r in s.list("core/nodes/").records] == ["core/nodes//n"]

        self.run(test)

    def test_pages_count_what_remains(self) -> None:
        async def test(s: Store) -> None:
            for i in range(7):
                await s.commit(put(f"core/pods/default/{i}"))
            page = s.list("core/pods/", limit=3)
            sizes = [(len(page.records), page.remaining)]
            while page.next:
                page = s.list("core/pods/", limit=3, after=page.next, revision=page.revision)
                sizes.append((len(page.records), page.remaining))
            assert sizes == [(3, 4), (3, 1), (1, 0)]

        self.run(test)

    def test_pages_of_one_list_show_one_moment(self) -> None:
        async def test(s: Store) -> None:
            for name in "abcdef":
                await s.commit(put(f"core/pods/default/{name}", "old"))
            first = s.list("core/pods/", limit=2)
            await s.commit(delete("core/pods/default/c"))
            await s.commit(put("core/pods/default/d", "new"))
            await s.commit(put("core/pods/default/d", "newer"))
            await s.commit(put("core/pods/default/ca", "new"))
            await s.commit(delete("core/pods/default/a"))
            second = s.list("core/pods/", limit=2, after=first.next, revision=first.revision)
            third = s.list("core/pods/", limit=2, after=second.next, revision=first.revision)
            assert [(r.key[-1], r.obj["text"]) for r in (*second.records, *third.records)] == [(n, "old") for n in "cdef"]
            assert (second.remaining, third.remaining, third.next) == (2, 0, "")
            assert [r.key.rpartition("/")[2] for r in s.list("core/pods/").records] == ["b", "ca", "d", "e", "f"]

        self.run(test)

    def test_lists_of_other_times_are_refused_by_name(self) -> None:
        async def test(s: Store) -> None:
            for _ in range(5):
                await s.commit(put("core/pods/default/a"))
            s.compact(4)
            assert s.oldest == 4
            assert s.list("core/pods/", revision=4).records[0].revision == 4
            with pytest.raises(store.Compacted):
                s.list("core/pods/", revision=3)
            with pytest.raises(store.Future):
                s.list("core/pods/", revision=7)

        self.run(test)

    # Watches

    def test_a_watch_replays_and_follows(self) -> None:
        async def test(s: Store) -> None:
            await s.commit(put("core/pods/default/a"))
            await s.commit(put("core/pods/default/a"))
            await s.commit(put("core/nodes//n"))
            watch = s.watch("core/pods/", 2)
            await s.commit(put("core/pods/other/b"))
            await s.commit(delete("core/pods/default/a"))
            assert brief(await anext(watch)) == [("MODIFIED", "a", 3), ("ADDED", "b", 5), ("DELETED", "a", 6)]
            watch.close()
            with pytest.raises(StopAsyncIteration):
                await anext(watch)

        self.run(test)

    def test_a_listener_is_told_before_the_writer(self) -> None:
        async def test(s: Store) -> None:
            heard: list[Event] = []
            await s.commit(put("core/pods/default/before"))
            s.listen("core/pods", heard.append)
            assert heard == []
            await s.commit(put("core/pods/default/a"), put("core/nodes//n"))
            assert brief(heard) == [("ADDED", "a", 3)]
            await s.commit(delete("core/pods/default/a"))
            assert brief(heard)[1:] == [("DELETED", "a", 5)]

        self.run(test)

    def test_a_deletion_carries_its_own_revision_and_the_last_state(self) -> None:
        async def test(s: Store) -> None:
            watch = s.watch("core/pods/", 1)
            (before,) = await s.commit(put("core/pods/default/a"))
            await s.commit(delete("core/pods/default/a"))
            event = (await anext(watch))[-1]
            assert event.record.obj["metadata"]["resourceVersion"] == "3"
            assert event.previous is before
            assert event.wire == b'{"type":"DELETED","object":%b}\n' % event.record.value

        self.run(test)

    def test_watchers_share_their_events(self) -> None:
        async def test(s: Store) -> None:
            watches = [s.watch("core/pods/", 1), s.watch("core/pods/default/", 1)]
            await s.commit(put("core/pods/default/a"))
            (first,), (second,) = [await anext(watch) for watch in watches]
            assert first is second
            assert first.wire is second.wire

        self.run(test)

    def test_a_waiting_watch_wakes_with_everything_that_became_visible_together(self) -> None:
        async def test(s: Store) -> None:
            watch = s.watch("core/pods/", 1)
            waiting = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0)
            await s.commit(*(put(f"core/pods/default/{i}") for i in range(5)))
            assert len(await waiting) == 5

        self.run(test)

    def test_a_watch_of_one_namespace_sees_no_other(self) -> None:
        async def test(s: Store) -> None:
            watch = s.watch("core/pods/a/", 1)
            await s.commit(put("core/pods/ab/x"), put("core/pods/a/x"), put("core/podsets/a/x"))
            assert brief(await anext(watch)) == [("ADDED", "x", 3)]

        self.run(test)

    def test_a_slow_watcher_is_cut_off_and_nobody_waits_for_it(self) -> None:
        async def test(s: Store) -> None:
            slow, quick = s.watch("core/pods/", 1, buffer=3), s.watch("core/pods/", 1)
            for i in range(5):
                await s.commit(put(f"core/pods/default/{i}"))
            assert len(await anext(quick)) == 5
            with pytest.raises(store.Overflow):
                await anext(slow)

        self.run(test)

    def test_the_past_is_owed_to_a_watcher_whatever_its_buffer(self) -> None:
        async def test(s: Store) -> None:
            for i in range(10):
                await s.commit(put(f"core/pods/default/{i}"))
            watch = s.watch("core/pods/", 1, buffer=2)
            await s.commit(put("core/pods/default/10"))
            assert len(await anext(watch)) == 11

        self.run(test)

    def test_ready_gives_up_in_time(self) -> None:
        async def test(s: Store) -> None:
            watch = s.watch("core/pods/", 1)
            assert await watch.ready(0.001) == []
            await s.commit(put("core/pods/default/a"))
            assert brief(await watch.ready(10)) == [("ADDED", "a", 2)]
            watch.close()
            assert await watch.ready(10) == []

        self.run(test)

    def test_watches_of_other_times_are_refused_by_name(self) -> None:
        async def test(s: Store) -> None:
            for _ in range(3):
                await s.commit(put("core/pods/default/a"))
            s.compact(3)
            assert len(await anext(s.watch("core/pods/", 3))) == 1
            with pytest.raises(store.Compacted):
                s.watch("core/pods/", 2)
            with pytest.raises(store.Future):
                s.watch("core/pods/", 5)

        self.run(test)

    def test_closing_ends_watches_and_refuses_writes(self) -> None:
        async def test(s: Store) -> None:
            watch = s.watch("core/pods/", 1)
            waiting = asyncio.ensure_future(anext(watch, None))
            await asyncio.sleep(0)
            await s.close()
            assert await waiting is None
            with pytest.raises(store.StoreError, match="closed"):
                await s.commit(put("core/pods/default/a"))

        self.run(test)

    # History

    def test_history_is_kept_for_its_time(self) -> None:
        async def test(s: Store) -> None:
            for i in range(10):
                await s.commit(put("core/pods/default/a", str(i)))
                self.clock.advance(10)
            assert s.oldest == 1
            self.clock.advance(60)
            await s.commit(put("core/pods/default/b"))
            assert s.oldest == 8  # what was current 100 seconds ago

        self.run(test, limits=store.Limits(seconds=100))

    def test_history_ends_without_a_write_too(self) -> None:
        async def test(s: Store) -> None:
            for i in range(10):
                await s.commit(put("core/pods/default/a", str(i)))
                self.clock.advance(10)
            self.clock.advance(200)
            with pytest.raises(store.Compacted):
                s.list("core/pods/", revision=5)
            assert s.list("core/pods/").records
            with pytest.raises(store.Compacted):
                s.watch("core/pods/", 5)

        self.run(test, limits=store.Limits(seconds=100))

    @pytest.mark.parametrize("limits", [store.Limits(events=20), store.Limits(bytes=900)])
    def test_history_is_bounded(self, limits: store.Limits) -> None:
        async def test(s: Store) -> None:
            for i in range(100):
                await s.commit(put("core/pods/default/a", str(i)))
            assert 80 < s.oldest < 101
            assert len(await anext(s.watch("core/pods/", s.oldest))) == 101 - s.oldest

        self.run(test, limits=limits)

    def test_compaction_stops_at_the_present_and_never_goes_back(self) -> None:
        async def test(s: Store) -> None:
            await s.commit(put("core/pods/default/a"))
            s.compact(1000)
            s.compact(1)
            assert s.oldest == s.revision == 2

        self.run(test)
