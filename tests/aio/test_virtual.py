"""The loop whose time jumps, and that has no threads."""

import asyncio
import threading

import pytest

from lightship.aio import virtual
from lightship.aio.aside import bounded


def test_time_jumps_to_the_next_timer() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        ring = asyncio.Event()
        loop.call_later(86_400, ring.set)
        await ring.wait()
        return loop.time()

    assert virtual.run(main()) == 86_400


def test_work_for_threads_is_done_on_the_loop() -> None:
    def here() -> str:
        return threading.current_thread().name

    def fail() -> None:
        raise ValueError("so it is")

    async def main() -> None:
        want_thread = here()
        assert await asyncio.to_thread(here) == want_thread
        assert await bounded(1, here) == want_thread
        with pytest.raises(ValueError, match="so it is"):
            await asyncio.to_thread(fail)
        assert asyncio.get_running_loop().time() == 0

    virtual.run(main())


def test_a_hang_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="stands still"):
        virtual.run(asyncio.Event().wait())
