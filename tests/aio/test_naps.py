"""Sleepers by the crowd: nobody wakes too early or much too late, few timers do for many, and who is cancelled disturbs nobody."""

import asyncio

import pytest

from lightship.aio import virtual
from lightship.aio.naps import GRAIN, Naps


def test_nobody_wakes_too_early_or_much_too_late() -> None:
    async def main() -> None:
        naps, loop = Naps(), asyncio.get_running_loop()

        async def sleep(seconds: float) -> None:
            begun = loop.time()
            await naps.take(seconds)
            assert seconds <= loop.time() - begun + 1e-9 < seconds + 2 * GRAIN

        await asyncio.gather(*(sleep(number / 1000) for number in range(40)))

    virtual.run(main())


def test_many_share_one_timer() -> None:
    async def main() -> None:
        naps = Naps()
        tasks = [naps.take(0.1) for _ in range(50)]
        await asyncio.sleep(0)
        assert len(naps._sleepers) == 1
        await asyncio.wait(tasks)
        assert not naps._sleepers

    virtual.run(main())


def test_who_is_cancelled_disturbs_nobody() -> None:
    async def main() -> None:
        naps = Naps()
        one, other = (naps.take(0.1) for _ in range(2))
        await asyncio.sleep(0)
        one.cancel()
        await other
        with pytest.raises(asyncio.CancelledError):
            await one

    virtual.run(main())
