"""Running something beside a block of code, and reading what went wrong in groups of tasks.

Tasks are started inside `asyncio.TaskGroup`; this is the one shape of it that `main`, the manager and tests all need. Knows no domain.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run `work` beside the block and cancel it at its end; if it fails first, the block is cancelled and the failure raised.

    A single failure, of the block or of `work`, is raised as it is and not in a group.
    """
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(work)
            try:
                yield task
            finally:
                task.cancel()
    except BaseExceptionGroup as failed:
        causes = leaves(failed)
        if len(causes) > 1:
            raise
        raise causes[0] from None


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions inside a (nested) group, or the one that it is: task groups wrap even a single failure."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]
