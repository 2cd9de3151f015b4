"""A cluster in virtual time inside a test: hours take milliseconds, and the same seed gives the same history.

    from lightship import kinds
    from lightship.testing import in_virtual_time, virtual_cluster

    @in_virtual_time
    async def test_mine():
        async with virtual_cluster(seed=7, nodes=10, controllers=my_controllers) as c:
            await c.client.create(kinds.JOBS, {...})
            await c.sleep(3600)

API server, controllers and scheduler are the platform's own (`main.virtual`). Controllers under test are clients of `lightship.client`,
on the test's own event loop: what asks over sockets, or waits on threads, knows nothing of virtual time.
"""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from lightship.aio import virtual
from lightship.control import Controller, Manager
from lightship.emulation.shapes import Shape
from lightship.main.virtual import START, Setup, VirtualPlatform, platform

P = ParamSpec("P")
T = TypeVar("T")
VirtualCluster = VirtualPlatform


def virtual_cluster(
    *,
    seed: int = 0,
    nodes: int = 0,
    shapes: Sequence[Shape] | None = None,
    start: float = START,
    controllers: Callable[[Manager], Iterable[Controller]] | None = None,
    without: str = "",
    scheduler: bool = True,
) -> AbstractAsyncContextManager[VirtualCluster]:
    """A cluster that is ready inside `async with`, under `in_virtual_time`.

    `nodes` emulated nodes take the pods, alike or of these `shapes`: pods run as their annotations say (docs/emulation.md).
    `seed` decides on names, uids and jitter, `start` (seconds since the epoch) on timestamps. `controllers` makes those under test, with
    the manager's client, cache, clock and randomness; `without` are names of the platform's own to leave out, with commas between them.
    """
    chosen = ",".join(f"-{name.strip()}" for name in without.split(",") if name.strip()) or "*"
    return platform(Setup(seed=seed, nodes=nodes, shapes=shapes, start=start, controllers=chosen, scheduler=scheduler, more=controllers))


def in_virtual_time(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make a plain function, or test, of an async one: it runs to its end on a loop whose time jumps."""

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return virtual.run(work(*args, **kwargs))

    return run
