"""Streams are closed however their reader ends."""

from collections.abc import AsyncIterator

import pytest

from lightship.aio import virtual
from lightship.aio.streams import closing


class Numbers:
    """Counts up; knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def count(self) -> AsyncIterator[int]:
        try:
            for number in range(1000):
                yield number
        finally:
            self.closed = True


def test_closed_after_break_and_after_error() -> None:
    async def main() -> None:
        left = Numbers()
        async with closing(left.count()) as stream:
            async for _ in stream:
                break
        assert left.closed
        failed = Numbers()

        async def fail() -> None:
            async with closing(failed.count()) as stream:
                async for _ in stream:
                    raise KeyError

        with pytest.raises(KeyError):
            await fail()
        assert failed.closed

    virtual.run(main())


def test_an_iterator_that_cannot_be_closed_is_fine() -> None:
    class Plain:
        def __aiter__(self) -> "Plain":
            return self

        async def __anext__(self) -> int:
            raise StopAsyncIteration

    async def main() -> None:
        async with closing(Plain()) as stream:
            assert [number async for number in stream] == []

    virtual.run(main())
