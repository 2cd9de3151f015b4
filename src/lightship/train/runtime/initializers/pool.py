"""Threads that do tasks, the most pressing first, until one of them fails.

`transfer` gives them everything that takes time. A task may give more tasks; none may wait for another one.
"""

import itertools
import queue
import threading
from collections.abc import Callable


class StoppedError(Exception):
    """Another task has failed: this one is not worth going on with."""


class Pool:
    """`workers` threads, from the first task on until `close`."""

    def __init__(self, workers: int) -> None:
        self._tasks: queue.PriorityQueue[tuple[int, int, Callable[[], None] | None]] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._open = 0
        self._failure: BaseException | None = None
        self._threads = [threading.Thread(target=self._work, name=f"worker-{n}", daemon=True) for n in range(workers)]
        for thread in self._threads:
            thread.start()

    def put(self, priority: int, task: Callable[[], None]) -> None:
        """Have a task done; small numbers come first."""
        with self._changed:
            self._open += 1
        self._tasks.put((priority, next(self._numbers), task))

    def check(self) -> None:
        """Raise `StoppedError` when something has failed: to be called now and then by what takes long."""
        if self._failure is not None:
            raise StoppedError

    def drain(self, below: int = 1) -> None:
        """Wait until fewer than `below` tasks are left. Raises what a task has raised."""
        with self._changed:
            self._changed.wait_for(lambda: self._open < below or self._failure is not None)
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """End the threads; tasks that run end first."""
        if self._failure is None:
            self._failure = StoppedError()
        for _ in self._threads:
            self._tasks.put((-1, next(self._numbers), None))
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            task = self._tasks.get()[2]
            if task is None:
                return
            try:
                if self._failure is None:
                    task()
            except StoppedError:
                pass
            except BaseException as error:
                self._fail(error)
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._failure = self._failure or error
