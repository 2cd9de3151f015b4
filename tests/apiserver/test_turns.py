"""Turns of large requests: who gets one when, and what is left when somebody goes away."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from lightship.aio.clock import SystemClock
from lightship.aio.virtual import run
from lightship.apiserver.turns import PATIENCE, Turns
from lightship.meta.errors import StatusError

CLOCK = SystemClock()


def test_users_are_served_in_turn_and_never_beyond_the_room() -> None:
    async def main() -> None:
        turns, served, used = Turns(10), [], 0

        async def one(name: str, size: int) -> None:
            nonlocal used
            async with turns.turn(name[0], size):
                served.append(name)
                used += size
                assert used <= 10 or name == "b2"
                await CLOCK.sleep(1)
                used -= size

        asked = {"a1": 10, "a2": 10, "a3": 10, "b1": 6, "c1": 4, "b2": 99}
        async with asyncio.TaskGroup() as group:
            for name, size in asked.items():
                group.create_task(one(name, size))
        assert served == ["a1", "a2", "b1", "c1", "a3", "b2"]

    run(main())


def test_who_leaves_leaves_no_hole() -> None:
    async def main() -> None:
        turns = Turns(10)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(turns.turn("a", 10))
            gone = asyncio.create_task(stack.enter_async_context(turns.turn("b", 10)))
            next_one = asyncio.create_task(stack.enter_async_context(turns.turn("c", 1)))
            await CLOCK.sleep(1)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        await next_one
        assert gone.cancelled()

    run(main())


def test_patience_ends() -> None:
    async def main() -> None:
        turns, loop = Turns(10), asyncio.get_running_loop()
        async with turns.turn("a", 10):
            begun = loop.time()
            with pytest.raises(StatusError) as refused:
                async with turns.turn("b", 1):
                    pass
            assert refused.value.code == 429
            assert loop.time() - begun == pytest.approx(PATIENCE)
        async with turns.turn("b", 10):
            pass

    run(main())
