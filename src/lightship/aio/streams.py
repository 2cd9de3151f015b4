"""Closing asynchronous iterators for certain, whatever ends the loop that reads them.

A watch or a log that is cancelled in the middle must give back its connection or its place in the store's list of watchers now, not
when the garbage collector comes by. Called by whoever reads a `Transport.watch` or `Transport.logs`.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


@asynccontextmanager
async def closing(stream: AsyncIterator[T]) -> AsyncGenerator[AsyncIterator[T], None]:
    """Yield `stream`, and close it on the way out if it can be closed."""
    try:
        yield stream
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
