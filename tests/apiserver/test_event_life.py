"""Events end an hour after they were last written; everything else stays."""

import asyncio
import random

from lightship import kinds, store
from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.apiserver.event_life import LIFE, STEP, EventLife
from lightship.apiserver.server import Server
from lightship.meta.objects import Obj
from lightship.meta.rest import ListOptions, Transport, User

_ADMIN = User("admin", ("system:masters", "system:authenticated"), "admin")


def _event(name: str) -> Obj:
    about = {"kind": "Pod", "namespace": "default", "name": "p"}
    return {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "involvedObject": about, "reason": "R", "type": "Normal"}


async def _names(transport: Transport) -> list[str]:
    found = await transport.list(kinds.EVENTS, "default", ListOptions())
    return [event["metadata"]["name"] for event in found.items]


async def _told() -> None:
    clock = LoopClock()
    objects = store.memory(clock=clock)
    server = Server(objects, kinds.BUILTIN, clock=clock, random=random.Random(7))
    await server.start()
    transport = server.local(_ADMIN)
    life = asyncio.create_task(EventLife(objects, clock).run())
    await clock.sleep(1)
    await transport.create(kinds.EVENTS, "default", _event("old"))
    repeated = await transport.create(kinds.EVENTS, "default", _event("repeated"))
    await transport.create(kinds.CONFIG_MAPS, "default", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}})
    await clock.sleep(LIFE / 2)
    await transport.update(kinds.EVENTS, "default", "repeated", {**repeated, "count": 2})
    await clock.sleep(LIFE / 2 - STEP)
    assert await _names(transport) == ["old", "repeated"]
    watch = objects.watch("core/events/", objects.revision)
    await clock.sleep(3 * STEP)
    assert await _names(transport) == ["repeated"]
    assert [event.type for event in await watch.ready(1)] == ["DELETED"]
    await clock.sleep(LIFE)
    assert await _names(transport) == []
    assert await transport.get(kinds.CONFIG_MAPS, "default", "c")
    life.cancel()


def test_events_end_an_hour_after_their_last_write() -> None:
    virtual.run(_told())


async def _many(count: int) -> int:
    clock = LoopClock()
    objects = store.memory(clock=clock)
    server = Server(objects, kinds.BUILTIN, clock=clock, random=random.Random(7))
    await server.start()
    transport = server.local(_ADMIN)
    life = asyncio.create_task(EventLife(objects, clock).run())
    for i in range(count):
        await transport.create(kinds.EVENTS, "default", _event(f"e{i}"))
    await clock.sleep(LIFE + 3 * STEP)
    life.cancel()
    return len(await _names(transport))


def test_more_than_one_page_of_them_goes() -> None:
    assert virtual.run(_many(520)) == 0
