"""What is no news is kept as bytes alone, what somebody reads then stays decoded, and what is gone is neither."""

import asyncio
from collections.abc import Callable

from lightship import store
from lightship.meta import codec
from lightship.meta.objects import Obj
from lightship.store.store import WARM_EVENTS


def _encode(obj: Obj) -> Callable[[int], bytes]:
    return lambda revision: codec.encode({**obj, "at": revision})


async def _put(opened: store.Store, name: str) -> store.Record:
    obj = {"name": name}
    (record,) = await opened.commit(store.Put(f"core/pods/default/{name}", _encode(obj), None, obj))
    return record


async def _pass_by(opened: store.Store) -> None:
    """Enough writes of others that what came before them is no longer warm."""
    for i in range(WARM_EVENTS + 2):
        await _put(opened, f"other-{i}")


def test_what_nobody_read_goes_and_comes_back() -> None:
    async def test() -> None:
        opened = store.memory()
        record = await _put(opened, "a")
        assert record.decoded is not None
        await _pass_by(opened)
        assert record.decoded is None
        assert record.obj == {"name": "a", "at": record.revision}

    asyncio.run(test())


def test_what_was_read_stays_until_it_is_superseded() -> None:
    async def test() -> None:
        opened = store.memory()
        old = await _put(opened, "a")
        await _pass_by(opened)
        assert old.obj["name"] == "a"
        await _pass_by(opened)
        assert old.decoded is not None
        new = await _put(opened, "a")
        assert new.obj["name"] == "a"
        await _pass_by(opened)
        assert old.decoded is None
        assert new.decoded is None, "what is read while it is news is not read again"

    asyncio.run(test())


def test_values_are_packed_and_come_out_as_they_went_in() -> None:
    async def test() -> None:
        opened = store.memory()
        written = {}
        for number in range(40):
            obj = {"name": f"p{number}", "text": "x" * 300}
            (record,) = await opened.commit(store.Put(f"core/pods/default/p{number}", _encode(obj)))
            written[record.key] = record.value
        records = opened.list("core/pods/").records
        assert {record.key: record.value for record in records} == written
        assert [record.size for record in records] == [len(record.value) for record in records]
        assert sum(record.value is not record.value for record in records) >= 40 - WARM_EVENTS - 5

    asyncio.run(test())


def test_a_glance_keeps_nothing() -> None:
    async def test() -> None:
        opened = store.memory()
        record = await _put(opened, "a")
        assert record.glance() is record.obj
        await _pass_by(opened)
        cold = opened.list("core/pods/").records[-1]
        await _pass_by(opened)
        assert cold.glance() == {"name": cold.key.rpartition("/")[2], "at": cold.revision}
        assert cold.decoded is None

    asyncio.run(test())


def test_lines_of_a_watch_are_made_again() -> None:
    async def test() -> None:
        opened = store.memory()
        record = await _put(opened, "a")
        (event,) = await opened.watch("core/pods/default/", record.revision - 1).ready(0)
        line = event.wire
        await _pass_by(opened)
        assert event.wire is not line
        assert event.wire == line

    asyncio.run(test())


def test_a_bucket_tells_when_it_changed() -> None:
    async def test() -> None:
        opened = store.memory()
        assert opened.changed("core/pods/") == 0
        pod = await _put(opened, "a")
        await opened.commit(store.Put("core/nodes//n", _encode({})))
        assert opened.changed("core/pods/") == pod.revision
        await opened.commit(store.Delete(pod.key, _encode({})))
        assert opened.changed("core/pods/") == opened.revision

    asyncio.run(test())
