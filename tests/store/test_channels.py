"""Readers of one prefix share what they read: it is let go when all have it, and who is late is cut off alone."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lightship import store
from lightship.store.watches import _LOOK_EVERY, Channel


def run(test: Callable[[store.Store], Awaitable[None]]) -> None:
    async def main() -> None:
        opened = store.memory()
        await test(opened)
        await opened.close()

    asyncio.run(main())


async def put(opened: store.Store, name: str) -> None:
    await opened.commit(store.Put(f"core/pods/default/{name}", lambda revision: b"%d" % revision))


def channel(opened: store.Store) -> Channel:
    (found,) = opened._hub._channels["core/pods"].values()
    return found


def names(events: list[store.Event]) -> list[str]:
    return [event.record.key.rpartition("/")[2] for event in events]


def test_each_reader_has_its_own_place() -> None:
    async def test(opened: store.Store) -> None:
        early = opened.watch("core/pods/", opened.revision)
        await put(opened, "a")
        late = opened.watch("core/pods/", opened.revision)
        await put(opened, "b")
        assert names(await early.ready(0)) == ["a", "b"]
        await put(opened, "c")
        assert names(await late.ready(0)) == ["b", "c"]
        assert names(await early.ready(0)) == ["c"]

    run(test)


def test_what_all_have_read_is_let_go() -> None:
    async def test(opened: store.Store) -> None:
        watches = [opened.watch("core/pods/", opened.revision) for _ in range(2)]
        for number in range(_LOOK_EVERY + 2):
            await put(opened, f"p{number}")
            for watch in watches:
                assert len(await watch.ready(0)) == 1
        assert len(channel(opened).since(channel(opened)._start)) <= _LOOK_EVERY

    run(test)


def test_only_who_is_late_is_cut_off() -> None:
    async def test(opened: store.Store) -> None:
        slow = opened.watch("core/pods/", opened.revision, buffer=2)
        patient = opened.watch("core/pods/", opened.revision)
        for name in "abc":
            await put(opened, name)
        with pytest.raises(store.Overflow):
            await slow.ready(0)
        assert slow.closed
        assert names(await patient.ready(0)) == ["a", "b", "c"]
        assert len(opened._hub) == 1

    run(test)


def test_readers_that_come_and_go_leave_nothing() -> None:
    async def test(opened: store.Store) -> None:
        staying = opened.watch("core/pods/", opened.revision)
        for _ in range(3):
            watch = opened.watch("core/pods/", opened.revision)
            assert await watch.ready(0) == []
            watch.close()
        assert list(channel(opened).watches) == [staying]
        assert not channel(opened)._waiting
        staying.close()
        assert not opened._hub._channels["core/pods"]

    run(test)
