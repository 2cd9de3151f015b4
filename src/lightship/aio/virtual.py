"""An event loop whose time jumps: when nothing is ready to run, the clock moves to the next timer instead of waiting for it.

Tests run coroutines with `run()` and assert on `asyncio.get_running_loop().time()`; an hour of back-off takes a millisecond and
always ends the same way. So do whole emulated clusters (`main.virtual`). What would go to a thread is done on the loop at once, so that no
result depends on how fast a thread was. Do not use it where sockets must finish: real I/O takes no virtual time.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: reports how far the loop may jump."""

    jumped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("virtual time stands still: every task waits for something that no timer will bring")
        if not ready and timeout:
            self.jumped += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector loop in virtual time, starting at 0, that has no threads."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.jumped

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        """What `asyncio.to_thread` comes to: done here and now. A thread would make no difference but to the order of things."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
