"""The work queue, in virtual time."""

import asyncio

import pytest

from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.control.queue import WorkQueue
from lightship.meta.objects import Key

A, B, C = (Key("ns", name) for name in "abc")


async def drain(queue: WorkQueue) -> list[Key]:
    found = []
    while len(queue):
        key = await queue.get()
        found.append(key)
        queue.done(key)
    return found


def test_keys_come_once_and_in_order() -> None:
    async def main() -> None:
        queue = WorkQueue()
        for key in (A, B, A, C, B):
            queue.add(key)
        assert len(queue) == 3
        assert await drain(queue) == [A, B, C]
        assert queue.idle

    virtual.run(main())


def test_a_key_added_while_worked_on_comes_again_but_only_afterwards() -> None:
    async def main() -> None:
        queue = WorkQueue()
        queue.add(A)
        key = await queue.get()
        queue.add(A)
        queue.add(A)
        queue.add(B)
        assert len(queue) == 1, "A is being worked on: no second worker may get it"
        assert await queue.get() == B
        queue.done(B)
        assert len(queue) == 0
        assert not queue.idle
        queue.done(key)
        assert await drain(queue) == [A]
        assert queue.idle

    virtual.run(main())


def test_get_waits_and_a_cancelled_get_loses_nothing() -> None:
    async def main() -> None:
        queue = WorkQueue()
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        queue.add(A)
        assert await queue.get() == A

    virtual.run(main())


def test_add_after_comes_at_its_time_and_the_earliest_counts() -> None:
    async def main() -> None:
        queue, clock = WorkQueue(), LoopClock()
        queue.add_after(A, 10)
        queue.add_after(A, 3)
        queue.add_after(A, 20)
        queue.add_after(B, 0)
        assert (len(queue), queue.delayed) == (1, 1)
        assert await queue.get() == B
        assert await queue.get() == A
        assert clock.monotonic() == 3
        queue.done(A)
        await clock.sleep(60)
        assert len(queue) == 0, "the later wishes were included in the first"

    virtual.run(main())


def test_back_off_doubles_per_key_until_forgotten() -> None:
    async def main() -> None:
        queue, clock = WorkQueue(), LoopClock()
        delays = []
        for _ in range(20):
            delays.append(queue.add_rate_limited(A))
            await queue.get()
            queue.done(A)
        assert delays[:4] == [0.005, 0.01, 0.02, 0.04]
        assert delays[-1] == 1000.0
        assert clock.monotonic() == pytest.approx(sum(delays))
        assert queue.failures(A) == 20
        assert queue.add_rate_limited(B) == 0.005, "one key's failures are not another's"
        queue.forget(A)
        assert queue.add_rate_limited(A) == 0.005

    virtual.run(main())


def test_done_is_called_when_the_work_raises() -> None:
    async def main() -> None:
        queue = WorkQueue()
        queue.add(A)
        key = await queue.get()
        queue.add(A)
        with pytest.raises(ValueError), queue.work(key):
            raise ValueError
        assert queue.working == 0
        assert await queue.get() == A

    virtual.run(main())


def test_no_change_is_lost_among_many_workers() -> None:
    """However adds and workers interleave, the last add of each key is followed by work on it that began later."""

    async def main() -> None:
        queue, clock = WorkQueue(), LoopClock()
        added: dict[Key, float] = {}
        begun: dict[Key, float] = {}
        busy: set[Key] = set()

        async def work() -> None:
            while True:
                key = await queue.get()
                with queue.work(key):
                    assert key not in busy
                    busy.add(key)
                    begun[key] = clock.monotonic()
                    await clock.sleep(0.7)
                    busy.remove(key)

        workers = [asyncio.create_task(work()) for _ in range(3)]
        for step in range(500):
            key = Key("ns", str(step * 7919 % 10))
            queue.add(key)
            added[key] = clock.monotonic()
            await clock.sleep(0.1)
        await clock.sleep(100)
        assert queue.idle
        assert all(begun[key] >= added[key] for key in added)
        for worker in workers:
            worker.cancel()

    virtual.run(main())
