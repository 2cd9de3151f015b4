"""What holds pods to their limits and counts what they use: control groups where we may have them, a watchdog elsewhere.

Both runtimes call an `Enforcer` in the same way: around sandboxes, before and after containers start, when they end. `open_enforcer`
chooses, once, by what this machine lets us do. Knows pids and limits; what a pod is it refuses to know.
"""

import asyncio
import functools
import itertools
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Protocol

from lightship.aio.clock import Clock

from . import cgroup_places, scopes
from .groups import Groups
from .runtime import ContainerSpec, Limits, SandboxSpec, Usage
from .watchdog import Watchdog

RESERVED_MEMORY = 100 * 2**20
"""Bytes kept for the platform itself: pods cannot have them."""
OUT_OF_MEMORY = "OOMKilled"

_numbers = itertools.count(1)


class Enforcer(Protocol):
    """All methods are called on the event loop; those that are not coroutines take well under a millisecond each."""

    @property
    def kind(self) -> str:
        """`cgroup v1`, `cgroup v2` or `watchdog`."""
        ...

    @property
    def reason(self) -> str:
        """Why it is none of control groups, and what to do about it; empty when it is, or when that is how it has to be."""
        ...

    def add_sandbox(self, spec: SandboxSpec) -> None:
        """A pod is about to be made. Raises `OSError`. One that is there already is only brought up to date."""
        ...

    def own_pids(self, spec: SandboxSpec) -> int:
        """How many processes the sandbox itself should allow, if it can; 0 when it need not care."""
        ...

    def add_container(self, spec: ContainerSpec) -> list[int]:
        """A container is about to start: descriptors through which its process enters (`launch.entering`); the caller closes them.

        Raises `OSError`.
        """
        ...

    def views(self, container_id: str) -> dict[str, str]:
        """What it may see of its own control groups: names below /sys/fs/cgroup (empty: itself), and directories on the host."""
        ...

    def join(self, container_id: str) -> list[int]:
        """The same for one more program of a container that runs."""
        ...

    def started(self, container_id: str, pid: int) -> None:
        """The process that was announced is known by now, as the host sees it."""
        ...

    def ended(self, container_id: str) -> bool:
        """A container has ended, or never started; was it, or something in it, killed for its memory?"""
        ...

    def update(self, id: str, limits: Limits) -> None:
        """Change what a container or a pod may use. Raises `OSError`; unknown ids are ignored."""
        ...

    async def usage(self) -> dict[str, Usage]:
        """By ids of sandboxes and containers."""
        ...

    async def remove_others(self) -> None:
        """Take away what was made for sandboxes that nobody has added here. Raises `OSError`."""
        ...

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Nothing of the pod is wanted any more. Idempotent."""
        ...

    async def close(self) -> None: ...


Kill = Callable[[str], Awaitable[None]]
"""Ends a container with all that it started."""


def new_name(pid: int) -> str:
    """For an enforcer whose groups are of no use when the process `pid` has ended."""
    return f"{cgroup_places.instance_name(pid)}-{os.getpid()}-{next(_numbers)}" if sys.platform == "linux" else ""


async def settle() -> None:
    """Be where control groups can be had. To be called before anything is started that pods will be started by."""
    if sys.platform == "linux":
        await asyncio.to_thread(scopes.settle)


async def open_enforcer(clock: Clock, kill: Kill, wanted: str = "auto", *, name: str = "") -> Enforcer:
    """`wanted` is `auto`, or `watchdog` to do without control groups; `name` is one of `new_name`, again where pods live on."""
    if wanted == "auto" and sys.platform == "linux":
        name = name or new_name(os.getpid())
        place = await asyncio.to_thread(cgroup_places.open_place, name)
        if place is not None:
            return Groups(place, Limits(cpu_request=float(os.cpu_count() or 1), memory=memory_for_pods(machine_memory())))
        return Watchdog(clock, kill, await asyncio.to_thread(scopes.advice))
    return Watchdog(clock, kill)


@functools.cache
def machine_memory() -> int:
    """Bytes that we and our pods can have: those of the machine, or of the container or unit that the platform runs in."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    own = cgroup_places.own_memory() if sys.platform == "linux" else None
    return total if own is None else min(total, own.limit)


def memory_for_pods(total: int) -> int:
    """Bytes that pods may have of so many."""
    return total - min(RESERVED_MEMORY, total // 10)
