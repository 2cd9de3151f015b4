"""How much of large bodies lies in memory, over all connections: never more than so much.

`connection` tells what it takes in and what it is rid of; small bodies are not counted. Whoever would be too much is refused, unless
somebody has been sending for so long that he goes instead: half a body that never becomes whole takes nobody's place.
"""

from typing import Protocol

ROOM = 256 * 1024 * 1024
COUNTED = 64 * 1024
"""Bytes from which on a body counts."""
SLOW = 5.0
"""Seconds after which who is still sending may have to go."""


class Carrier(Protocol):
    """A connection; `abort` ends it, and it puts down what it has in the same moment."""

    def abort(self) -> None: ...

    def put_down(self) -> None: ...


class Cargo:
    """All of it."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self.size = 0
        self._sending: dict[Carrier, float] = {}

    def take(self, carrier: Carrier, size: int, now: float) -> bool:
        """Is there room for more of the body that is coming in? `now` is loop time."""
        begun = self._sending.setdefault(carrier, now)
        while self.size + size > self._room:
            slowest, since = next(iter(self._sending.items()))
            if since == begun or now - since < SLOW:
                return False
            slowest.put_down()
            slowest.abort()
            self._sending.pop(slowest, None)
        self.size += size
        return True

    def whole(self, carrier: Carrier) -> None:
        """All of a body has come."""
        self._sending.pop(carrier, None)

    def give(self, size: int) -> None:
        """So much is gone."""
        self.size -= size
