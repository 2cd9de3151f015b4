"""Computations in threads of their own: their results, their errors, and that they end."""

import asyncio
import threading

import pytest

from lightship.aio import aside as module
from lightship.aio.aside import Overdue, aside, bounded


def forever() -> None:
    while True:
        try:
            sum(range(100))
        except Exception:  # nothing that ends is one
            pass


def test_results_and_errors_come_back() -> None:
    def fail() -> None:
        raise ValueError("so it is")

    async def main() -> None:
        assert await aside(divmod, 7, 2) == (3, 1)
        with pytest.raises(ValueError, match="so it is"):
            await aside(fail)

    asyncio.run(main())


def test_what_takes_too_long_is_interrupted_and_its_thread_goes_on() -> None:
    async def main() -> None:
        names = set()
        for _ in range(2 * module.THREADS):
            with pytest.raises(Overdue):
                await bounded(0.02, forever)
            names.add(await aside(lambda: threading.current_thread().name))
        assert len(names) <= module.THREADS
        assert await asyncio.gather(*(aside(abs, -i) for i in range(100))) == list(range(100))

    asyncio.run(main())


def test_who_waits_for_a_thread_spends_nothing() -> None:
    async def main() -> None:
        dear = [asyncio.create_task(bounded(0.1, forever)) for _ in range(module.THREADS)]
        waiting = asyncio.create_task(bounded(0.001, lambda: 1))
        results = await asyncio.gather(*dear, return_exceptions=True)
        assert all(isinstance(result, Overdue) for result in results)
        assert await waiting == 1

    asyncio.run(main())


def test_an_interrupt_that_comes_at_the_end_does_no_harm() -> None:
    """Computations of about as long as their budget: some end in time, some do not, and none takes another with it."""

    async def main() -> None:
        async def one(length: int) -> int:
            try:
                return await bounded(0.0005, lambda: sum(1 for _ in range(length)))
            except Overdue:
                return length

        lengths = [5_000 + 200 * i for i in range(100)]
        assert await asyncio.gather(*(one(length) for length in lengths)) == lengths
        assert await aside(abs, -1) == 1

    asyncio.run(main())
