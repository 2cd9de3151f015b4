"""How long a watch stream rests after what it has sent, so that what comes meanwhile goes out together.

`rendering.watch_lines` asks for every watch over HTTP. A few watchers are told of everything at once. A crowd told of every single
change as it comes would keep the server busy with nothing else while somebody writes: so the more there are, the longer each rests, and
not all for the same time. In-process watchers never rest. Knows neither connections nor the store.
"""

import asyncio
from collections.abc import Callable

from lightship.aio.naps import Naps

FEW = 32
"""Watches up to which none of them rests."""
EACH = 100e-6
"""Seconds of rest for every watch that is open; a turn of all of them takes about a third of that in work."""
LONGEST = 0.1
_PHASES = 16


class Pace:
    """`watches` tells how many are open."""

    def __init__(self, watches: Callable[[], int]) -> None:
        self._watches = watches
        self._turn = 0
        self._naps = Naps()

    def rest(self) -> "asyncio.Future[None] | None":
        """To be awaited for as long as is right now; None for not at all."""
        seconds = self.seconds()
        return self._naps.take(seconds) if seconds else None

    def seconds(self) -> float:
        """How long that is."""
        count = self._watches()
        if count <= FEW:
            return 0.0
        # In steps through all lengths, so that those who were woken together are not so again.
        self._turn = (self._turn + 1) % _PHASES
        return min(count * EACH, LONGEST) * (0.5 + self._turn / _PHASES)
