"""The wheel: one timer for many times."""

import asyncio

from lightship.aio import virtual
from lightship.aio.wheel import GRAIN, Wheel


def test_items_ring_at_their_times_together_and_the_last_wish_counts() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        rung: list[tuple[float, list[str]]] = []
        wheel: Wheel[str] = Wheel(lambda items: rung.append((loop.time(), items)))
        wheel.set("a", 5)
        wheel.set("b", 1)
        wheel.set("c", 1)
        wheel.set("a", 2)
        wheel.set("d", 1)
        wheel.cancel("d")
        assert len(wheel) == 3
        wheel.set("b", 9)
        done = loop.create_future()
        loop.call_later(20, done.set_result, None)
        await done
        assert [items for _, items in rung] == [["c"], ["a"], ["b"]]
        for (when, _), wanted in zip(rung, (1, 2, 9), strict=True):
            assert 0 <= when - wanted <= 2 * GRAIN
        assert not len(wheel)

    virtual.run(work())


def test_a_cleared_wheel_rings_no_more() -> None:
    async def work() -> None:
        rung: list[list[int]] = []
        wheel: Wheel[int] = Wheel(rung.append)
        for number in range(1000):
            wheel.set(number, number / 100)
        wheel.clear()
        done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(20, done.set_result, None)
        await done
        assert rung == []

    virtual.run(work())
