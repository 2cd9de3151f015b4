"""Work beside a block."""

import asyncio

import pytest

from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.aio.tasks import background, leaves


def test_the_work_ends_with_the_block() -> None:
    async def main() -> None:
        clock, steps = LoopClock(), list[str]()

        async def work() -> None:
            try:
                await clock.sleep(1000)
            finally:
                steps.append("ended")

        async with background(work()):
            await clock.sleep(1)
            steps.append("block")
        assert steps == ["block", "ended"]
        assert clock.monotonic() == 1

    virtual.run(main())


def test_work_that_fails_ends_the_block() -> None:
    async def main() -> None:
        clock = LoopClock()

        async def work() -> None:
            await clock.sleep(1)
            raise ValueError("work")

        with pytest.raises(ValueError, match="work"):
            async with background(work()):
                await clock.sleep(1000)
        assert clock.monotonic() == 1

    virtual.run(main())


def test_a_block_that_fails_ends_the_work() -> None:
    async def main() -> None:
        started: list[asyncio.Task[None]] = []

        async def fail() -> None:
            async with background(LoopClock().sleep(1000)) as task:
                started.append(task)
                raise KeyError("block")

        with pytest.raises(KeyError, match="block"):
            await fail()
        assert started[0].done()

    virtual.run(main())


def test_two_failures_stay_a_group() -> None:
    async def main() -> None:
        async def work() -> None:
            try:
                await LoopClock().sleep(1000)
            finally:
                raise ValueError("work")

        async def fail() -> None:
            async with background(work()):
                await asyncio.sleep(0)
                raise KeyError("block")

        with pytest.raises(ExceptionGroup) as failed:
            await fail()
        assert {type(error) for error in leaves(failed.value)} == {KeyError, ValueError}

    virtual.run(main())


def test_leaves() -> None:
    one, two, three = KeyError(), ValueError(), OSError()
    assert leaves(ExceptionGroup("", [one, ExceptionGroup("", [two, three])])) == [one, two, three]
    assert leaves(one) == [one]
