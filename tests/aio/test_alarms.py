"""Alarms: once per item, the earliest wish winning."""

from lightship.aio import virtual
from lightship.aio.alarms import Alarms
from lightship.aio.clock import LoopClock


def test_each_item_rings_at_its_time() -> None:
    async def main() -> None:
        clock, rung = LoopClock(), list[tuple[str, float]]()
        alarms: Alarms[str] = Alarms(lambda item: rung.append((item, clock.monotonic())))
        alarms.set("late", 10)
        alarms.set("soon", 1)
        assert len(alarms) == 2
        await clock.sleep(20)
        assert rung == [("soon", 1), ("late", 10)]
        assert len(alarms) == 0

    virtual.run(main())


def test_the_earliest_wish_wins() -> None:
    async def main() -> None:
        clock, rung = LoopClock(), list[float]()
        alarms: Alarms[str] = Alarms(lambda item: rung.append(clock.monotonic()))
        alarms.set("a", 10)
        alarms.set("a", 2)
        alarms.set("a", 30)
        await clock.sleep(60)
        assert rung == [2]
        alarms.set("a", 5)
        await clock.sleep(60)
        assert rung == [2, 65]

    virtual.run(main())


def test_nothing_rings_after_clear() -> None:
    async def main() -> None:
        rung: list[str] = []
        alarms: Alarms[str] = Alarms(rung.append)
        alarms.set("a", 1)
        alarms.clear()
        await LoopClock().sleep(5)
        assert rung == []

    virtual.run(main())
