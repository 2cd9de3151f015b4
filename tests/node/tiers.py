"""The sandbox runtime as root and as somebody else: the same story in both tiers, whoever runs the tests.

As root a story of the rootless tier runs in a forked child that has become another user; `Tier.drive` is all that tests see of it. The
child's runtime is started with the system's interpreter, since the one of the tests may lie in a home that only root can enter.
"""

import asyncio
import concurrent.futures.thread  # noqa: F401 - the child of another user may not be able to read it any more
import functools
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.runtimes import probe
from lightship.node.runtimes.sandbox import SandboxRuntime

from .contract import World, world

NOBODY = 1001
"""A user id that owns nothing."""
PYTHON = "/usr/bin/python3"
"""An interpreter that every sandbox sees."""

Name = Literal["root", "rootless"]
Story = Callable[[World], Coroutine[Any, Any, None]]


class Tier(NamedTuple):
    name: Name
    directory: Path
    """Belongs to the user that the runtime runs as."""

    def drive(self, story: Story) -> None:
        """Run the story in a fresh runtime of this tier."""
        if self.name == "rootless" and os.geteuid() == 0:
            _as_nobody(lambda: self._run(story))
        else:
            self._run(story)

    def _run(self, story: Story) -> None:
        async def main() -> None:
            async with world(SandboxRuntime(clock=SystemClock()), self.directory) as w:
                await story(w)

        asyncio.run(main())


@functools.cache
def _refusal() -> str:
    found = probe.probe()
    return "" if found.sandbox else found.reason


@contextmanager
def tier(name: Name) -> Iterator[Tier]:
    """Skips the test, with the reason, where this tier is not to be had."""
    if _refusal():
        pytest.skip(_refusal())
    if name == "root" and os.geteuid() != 0:
        pytest.skip("the tests do not run as root")
    if name == "rootless" and os.geteuid() == 0 and not os.path.exists(PYTHON):
        pytest.skip(f"no {PYTHON} that everybody may run")
    with tempfile.TemporaryDirectory(prefix="tier-") as directory:
        if name == "rootless" and os.geteuid() == 0:
            os.chown(directory, NOBODY, NOBODY)
        yield Tier(name, Path(directory))


def _as_nobody(run: Callable[[], None]) -> None:
    """Run it in a child with another user's rights; what went wrong there fails the test here."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            sys.executable = PYTHON
            run()
            code = 0
        except BaseException:
            os.write(write, traceback.format_exc()[-60_000:].encode())
        finally:
            os._exit(code)
    os.close(write)
    with open(read) as pipe:
        told = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, told
