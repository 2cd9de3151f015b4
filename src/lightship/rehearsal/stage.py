"""One rehearsal from beginning to end: a virtual platform, a player for its scenario, and the books that are kept of it.

Called by `command`, benchmarks and tests. Raises `CliError` for a step that cannot be done. Nothing of it depends on real time but how
often `progress` is told.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.main.virtual import START, Setup, VirtualPlatform, platform
from lightship.meta import times

from .history import History
from .ledger import Ledger
from .player import Player
from .report import report
from .scenario import Scenario

Progress: TypeAlias = Callable[[float | None, str], None]
"""How far it is, from 0 to 1 if that is known, and what there is to say."""
TICK = 60.0
"""Seconds of virtual time between two looks at how far it is."""


class Done(NamedTuple):
    """What a rehearsal leaves: the report, and all objects that were there at its end, as JSON."""

    summary: dict[str, Any]
    objects: list[bytes]


def rehearse(scenario: Scenario, *, progress: Progress | None = None, history: BinaryIO | None = None) -> Done:
    """Play a scenario; `history` gets a line for each change. Not for use inside an event loop."""
    with _lasting():
        return virtual.run(_whole(scenario, progress, history))


async def _whole(scenario: Scenario, progress: Progress | None, file: BinaryIO | None) -> Done:
    ledger, start = Ledger(), scenario.start or START
    told = History(LoopClock(start), start, ledger, file)
    setup = Setup(seed=scenario.seed, start=start, nodes=scenario.nodes, shapes=scenario.shapes, tell=told.tell)
    async with platform(setup) as there:
        player = Player(there, scenario, ledger)
        looking = asyncio.create_task(_look(there, scenario, ledger, progress))
        try:
            await player.play()
        finally:
            looking.cancel()
        left = [] if scenario.until else ledger.left()
        told.end()
        ledger.close(player.now)
        head = {"scenario": scenario.name, "seed": scenario.seed, "start": times.rfc3339(start)}
        head |= {"changes": told.changes, "history": told.fingerprint}
        return Done(head | report(ledger, player.now, player.refused, left), there.everything())


async def _look(there: VirtualPlatform, scenario: Scenario, ledger: Ledger, progress: Progress | None) -> None:
    """Tell how far it is. Looks whether somebody wants to know or not, so that the order of timers is the same."""
    while True:
        await there.sleep(TICK)
        if progress is not None:
            now = there.clock.monotonic()
            fraction = now / scenario.until if scenario.until else None
            progress(fraction, f"{times.age(now)}, {ledger.open} jobs under way")


@contextmanager
def _lasting() -> Iterator[None]:
    """Most of what is made stays to the end: a collector that walks all of it again and again finds nothing."""
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
