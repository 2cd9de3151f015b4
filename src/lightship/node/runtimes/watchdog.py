"""Limits where the kernel does not keep them for us: the memory of a pod's processes is summed, and what has too much is killed.

The `enforcement.Enforcer` of host mode and of sandboxes without control groups. It looks only while something with a memory limit runs:
once a second, more often close to a limit. Shares of processors become niceness. What a process does between two looks goes unseen.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from lightship.aio.clock import Clock

from . import processes
from .processes import Process
from .runtime import ContainerSpec, Limits, SandboxSpec, Usage

_CALM, _TENSE = 1.0, 0.1
"""Seconds between two looks, far from every limit and close to one."""
_CLOSE = 0.6
"""The share of a limit from where it is close."""
_NICE = 5
"""For what was promised no processor."""


class _Container(NamedTuple):
    sandbox_id: str
    pid: int
    limits: Limits


class Watchdog:
    """See `enforcement.Enforcer`. `kill` ends a container, `reason` says why there is nothing better."""

    kind = "watchdog"

    def __init__(self, clock: Clock, kill: Callable[[str], Awaitable[None]], reason: str = "") -> None:
        self.reason = reason
        self._clock = clock
        self._kill = kill
        self._pods: dict[str, Limits] = {}
        self._expected: dict[str, ContainerSpec] = {}
        self._containers: dict[str, _Container] = {}
        self._killed: set[str] = set()
        self._spent: dict[str, int] = {}  # nanoseconds of containers that have ended, by pod; and the most seen of those that run
        self._looking: asyncio.Task[None] | None = None

    def add_sandbox(self, spec: SandboxSpec) -> None:
        self._pods[spec.id] = spec.limits

    def own_pids(self, spec: SandboxSpec) -> int:
        return spec.limits.pids or processes.for_a_pod(os.cpu_count() or 1)

    def add_container(self, spec: ContainerSpec) -> list[int]:
        self._expected[spec.id] = spec
        return []

    def views(self, container_id: str) -> dict[str, str]:
        return {}

    def join(self, container_id: str) -> list[int]:
        return []

    def started(self, container_id: str, pid: int) -> None:
        spec = self._expected.pop(container_id, None)
        if spec is None:
            return
        self._containers[container_id] = _Container(spec.sandbox_id, pid, spec.limits)
        _prefer(pid, spec.limits)
        self._look_if_needed()

    def ended(self, container_id: str) -> bool:
        self._expected.pop(container_id, None)
        container = self._containers.pop(container_id, None)
        if container is not None:
            self._spent[container.sandbox_id] = self._spent.get(container.sandbox_id, 0) + self._spent.pop(container_id, 0)
        killed = container_id in self._killed
        self._killed.discard(container_id)
        self._look_if_needed()
        return killed

    def update(self, id: str, limits: Limits) -> None:
        if id in self._pods:
            self._pods[id] = limits
        elif id in self._containers:
            self._containers[id] = self._containers[id]._replace(limits=limits)
            _prefer(self._containers[id].pid, limits)
        self._look_if_needed()

    async def remove_others(self) -> None:
        pass  # nothing of it outlives its process

    async def remove_sandbox(self, sandbox_id: str) -> None:
        self._pods.pop(sandbox_id, None)
        self._spent.pop(sandbox_id, None)

    async def close(self) -> None:
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    # looking --------------------------------------------------------------------------------------------------------------------------

    def _limited(self) -> bool:
        return any(c.limits.memory or self._pods.get(c.sandbox_id, Limits()).memory for c in self._containers.values())

    def _look_if_needed(self) -> None:
        if self._limited() and self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look(), name="memory watchdog")

    async def _look(self) -> None:
        try:
            while self._limited():
                watched = dict(self._containers)
                found = await asyncio.to_thread(_measure, watched, dict(self._pods))
                for container_id in found.over:
                    if self._containers.get(container_id) is watched[container_id]:
                        self._killed.add(container_id)
                        await self._kill(container_id)
                await self._clock.sleep(_TENSE if found.share > _CLOSE else _CALM)
        finally:
            self._looking = None

    async def usage(self) -> dict[str, Usage]:
        found = await asyncio.to_thread(_usage, dict(self._containers))
        pods: dict[str, list[Usage]] = {id: [] for id in self._pods}
        found = {id: used for id, used in found.items() if id in self._containers}
        for container_id, used in found.items():
            # Processes that nobody waited for take what they have used with them: never count backwards.
            spent = self._spent[container_id] = max(used.cpu, self._spent.get(container_id, 0))
            found[container_id] = msgspec.structs.replace(used, cpu=spent)
            pods.setdefault(self._containers[container_id].sandbox_id, []).append(found[container_id])
        return found | {id: _sum(used, self._spent.get(id, 0)) for id, used in pods.items()}


class _Found(NamedTuple):
    over: list[str]
    share: float
    """The largest part of a limit that is used."""


def _measure(containers: dict[str, _Container], pods: dict[str, Limits]) -> _Found:
    """Who has more than it may have. Blocks."""
    table = processes.scan()
    families = processes.families(table, [c.pid for c in containers.values()])
    rough = {id: processes.resident(families[c.pid], table) for id, c in containers.items()}
    over, share = [], 0.0
    for id, container in containers.items():
        if container.limits.memory:
            used = _exact(rough[id], container.limits.memory, families[container.pid], table)
            share = max(share, used / container.limits.memory)
            over += [id] if used > container.limits.memory else []
    for pod, limits in pods.items():
        ids = [id for id, c in containers.items() if c.sandbox_id == pod]
        if limits.memory and ids:
            everybody = set().union(*(families[containers[id].pid] for id in ids))
            used = _exact(sum(rough[id] for id in ids), limits.memory, everybody, table)
            share = max(share, used / limits.memory)
            if used > limits.memory and not set(over) & set(ids):
                over.append(max(ids, key=rough.__getitem__))
    return _Found(over, share)


def _exact(rough: int, limit: int, family: set[int], table: dict[int, Process]) -> int:
    """Looks closer only when it may matter."""
    return rough if rough <= limit else processes.proportional(family, table)


def _usage(containers: dict[str, _Container]) -> dict[str, Usage]:
    table = processes.scan()
    families = processes.families(table, [c.pid for c in containers.values()])
    return {id: _of(families[c.pid], table) for id, c in containers.items() if families[c.pid]}


def _of(family: set[int], table: dict[int, Process]) -> Usage:
    memory = processes.proportional(family, table)
    members = [table[pid] for pid in family]
    return Usage(
        cpu=sum(p.cpu for p in members),
        memory=memory,
        working_set=memory,
        rss=memory,
        processes=sum(p.threads for p in members),
        page_faults=sum(p.minor_faults + p.major_faults for p in members),
        major_page_faults=sum(p.major_faults for p in members),
    )


def _sum(parts: list[Usage], spent: int) -> Usage:
    return Usage(
        cpu=spent + sum(p.cpu for p in parts),
        memory=sum(p.memory for p in parts),
        working_set=sum(p.working_set for p in parts),
        rss=sum(p.rss for p in parts),
        processes=sum(p.processes for p in parts),
        page_faults=sum(p.page_faults for p in parts),
        major_page_faults=sum(p.major_page_faults for p in parts),
    )


def _prefer(pid: int, limits: Limits) -> None:
    """Who yields to whom when processors are few."""
    with contextlib.suppress(OSError):  # it has ended, or we may only make things worse for it and it had worse already
        os.setpriority(os.PRIO_PROCESS, pid, 0 if limits.cpu_request else _NICE)
