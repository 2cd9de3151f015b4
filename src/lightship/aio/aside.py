"""Long computations off the event loop: a large request is worked on in a thread, so that all others go on being answered.

The API server calls `aside` for the pure steps of requests that are large. There are few threads, because they share one interpreter with
the loop; what does not find one waits its turn. What takes more processor time than its budget is interrupted where it is (CPython's
asynchronous exceptions). So functions that are handed over must touch nothing that others change, and leave nothing half done.
"""

import asyncio
import ctypes
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Generic, ParamSpec, TypeVar

from .virtual import VirtualLoop

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 2
BUDGET = 30.0
"""Seconds of processor time for one computation."""
_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_clock_of: Callable[[int], int] | None = getattr(time, "pthread_getcpuclockid", None)
"""Absent on macOS, where seconds on the wall have to do."""


class Overdue(Exception):  # noqa: N818 - it is no error of the computation
    """A computation has used up its budget."""


class _Interrupt(BaseException):
    """What is raised in the thread: nothing that handles mere exceptions may stop it."""


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "aside")


async def aside(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The function's result, or what it raises. About a tenth of a millisecond dearer than a call. Raises `Overdue`."""
    return await bounded(BUDGET, lambda: function(*args, **kwargs))


async def bounded(budget: float, function: Callable[[], T]) -> T:
    """`aside` with a budget of its own. In virtual time there are no threads, and no computation takes any."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualLoop):
        return function()
    job = _Job(function, budget)
    future = _threads().submit(job.run)
    job.watch(loop)
    try:
        return await asyncio.wrap_future(future)
    finally:
        # Whoever asked may have been cancelled: what runs on all the same is still looked after.
        if future.done():
            job.forget()
        # An error holds this frame, and must not hold itself by it.
        del future


class _Job(Generic[T]):
    """One computation, as its thread and the event loop see it."""

    def __init__(self, function: Callable[[], T], budget: float) -> None:
        self._function: Callable[[], T] | None = function
        self._budget = budget
        self._timer: asyncio.TimerHandle | None = None
        self._lock = threading.Lock()
        self._thread = 0
        self._clock = time.CLOCK_MONOTONIC
        self._begun = 0.0
        self._over = False

    def run(self) -> T:
        """In the thread. Raises what the function raises, or `Overdue`."""
        try:
            self._begin()
            try:
                assert self._function is not None
                return self._function()
            finally:
                self._end()
        except _Interrupt:
            self._end()
            raise Overdue from None

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """On the loop: look after it until it is over."""
        self._timer = None if self._over else loop.call_later(max(self._left(), self._budget / 10), self.watch, loop)

    def forget(self) -> None:
        """On the loop: it is over. What it held is let go at once, without a collector."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._function = None

    def _left(self) -> float:
        """How many seconds are left of the budget; what has used it up is interrupted."""
        if not self._lock.acquire(blocking=False):
            return 0.0  # it begins or ends at this very moment
        try:
            if not self._thread:
                return self._budget
            left = self._budget - (time.clock_gettime(self._clock) - self._begun)
            if left <= 0:
                # Again and again: one that arrives in a finalizer is lost.
                _raise_in(ctypes.c_ulong(self._thread), ctypes.py_object(_Interrupt))
            return left
        finally:
            self._lock.release()

    def _begin(self) -> None:
        with self._lock:
            self._thread = threading.get_ident()
            if _clock_of is not None:
                self._clock = _clock_of(self._thread)
            self._begun = time.clock_gettime(self._clock)

    def _end(self) -> None:
        with self._lock:
            # One that has not arrived yet must not meet whatever this thread does next.
            _raise_in(ctypes.c_ulong(threading.get_ident()), None)
            self._thread = 0
            self._over = True
