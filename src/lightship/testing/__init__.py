"""A whole platform inside a test: API server, controllers, scheduler and node in this process, in memory, in milliseconds.

    from lightship.testing import cluster

    def test_mine():
        with cluster() as c:
            kubernetes.config.load_kube_config(c.kubeconfig)
            ...

Or ask pytest for the `lightship_cluster` fixture (`lightship.pytest_plugin`). The platform runs on its own thread, so synchronous clients
work from the test; `c.run(coroutine)` runs async code beside it. Every cluster is its own: its own port, its own data, gone at the end.
For hours that take milliseconds, and always end the same way, see `lightship.testing.virtual`.
"""

import asyncio
import gc
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from lightship.client import Client
from lightship.main.instance import Instance
from lightship.main.loops import new_event_loop
from lightship.main.platform import Config, Platform

from .virtual import VirtualCluster, in_virtual_time, virtual_cluster

T = TypeVar("T")

__all__ = ["Cluster", "VirtualCluster", "cluster", "in_virtual_time", "virtual_cluster"]


class Cluster:
    """A running platform, as tests see it."""

    def __init__(self, platform: Platform, loop: asyncio.AbstractEventLoop) -> None:
        self._platform = platform
        self._loop = loop
        self.api: str = platform.running.api
        """The URL of the API server."""
        self.kubeconfig: str = platform.running.kubeconfig
        """Path of a kubeconfig of the administrator."""
        self.data_dir: str = platform.running.data_dir
        self.client: Client = platform.client
        """The administrator's async client; use it with `run`."""

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 60) -> T:
        """Run a coroutine on the platform's loop and return its result. Raises `TimeoutError` after `timeout` seconds."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)


@contextmanager
def cluster(*, node: bool = True, agents: int = 1, runtime: str = "auto", durable: bool = False) -> Iterator[Cluster]:
    """Start a platform and end it with the block.

    `node=False` leaves pods Pending (API and controllers only); `agents` is how many nodes run them; `runtime` is `auto`, `sandbox` or
    `process`; `durable` keeps objects in SQLite instead of memory.
    """
    with tempfile.TemporaryDirectory(prefix="lightship-", ignore_cleanup_errors=True) as directory:
        config = Config(instance=Instance("test", directory), node=node, agents=agents, runtime=runtime, durable=durable)
        started: Future[tuple[Platform, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        thread = threading.Thread(target=_serve, args=(config, started), name="lightship", daemon=True)
        with _uncollected():
            thread.start()
            platform, loop, stop = started.result()
        try:
            yield Cluster(platform, loop)
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection meanwhile: a start makes much that stays, and walking all that the test's process has takes longer than it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _serve(config: Config, started: "Future[tuple[Platform, asyncio.AbstractEventLoop, asyncio.Event]]") -> None:
    async def main() -> None:
        stop = asyncio.Event()
        async with Platform(config) as platform:
            started.set_result((platform, asyncio.get_running_loop(), stop))
            await stop.wait()

    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main())
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)
