"""Turns of large requests: only so much of what strangers sent is decoded at once, however many send.

`operations` takes a turn before it decodes a large body and gives it back with the answer. A decoded body can take a hundred times its
bytes, so this, and not the number of clients, bounds memory; those who wait hold their bytes only. Users are served in turn, so that who
sends much waits for himself. Contract: 429 with Retry-After, as of priority and fairness.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

from lightship.meta.errors import StatusError

ROOM = 6 * 1024 * 1024
"""Bytes of bodies that are worked on at once: two of the largest, or many that are just large."""
PATIENCE = 60.0
"""Seconds that a request waits for its turn, as long as the real server gives it altogether."""

_Waiting: TypeAlias = "tuple[asyncio.Future[None], int]"


class Turns:
    """Nothing is kept of users who do not wait."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._used = 0
        self._queues: OrderedDict[str, deque[_Waiting]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, user: str, size: int) -> AsyncIterator[None]:
        """Room for a body of that size, once it is this user's turn. Raises 429."""
        size = min(size, self._room)
        if self._queues or self._used + size > self._room:
            await self._wait(user, size)
        else:
            self._used += size
        try:
            yield
        finally:
            self._used -= size
            self._next()

    async def _wait(self, user: str, size: int) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(user, deque()).append((waiter, size))
        try:
            async with asyncio.timeout(PATIENCE):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self._used -= size  # the turn came at the very moment of leaving
            self._next()
            if isinstance(error, TimeoutError):
                why = "too many large requests, please try again later"
                raise StatusError(429, "TooManyRequests", why, {"retryAfterSeconds": 1}) from error
            raise

    def _next(self) -> None:
        """Let in whoever is next, as long as there is room. Nobody overtakes one for whom there is none."""
        while self._queues:
            user, queue = next(iter(self._queues.items()))
            waiter, size = queue[0]
            if not waiter.done():
                if self._used + size > self._room:
                    return
                self._used += size
                waiter.set_result(None)
            queue.popleft()
            if queue:
                self._queues.move_to_end(user)
            else:
                del self._queues[user]
