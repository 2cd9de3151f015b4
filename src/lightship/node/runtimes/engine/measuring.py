"""What containers of an engine use.

`runtime` calls it when somebody asks. Contract: Docker Engine API, ContainerStats; the working set as the kubelet counts it.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from lightship.node.runtimes.runtime import RuntimeUnavailableError, Usage

from .client import Client, EngineError

_AT_ONCE = 8


async def measure(client: Client, ids: Mapping[str, str]) -> dict[str, Usage]:
    """By our ids, of the engine's; without those that have ended meanwhile."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(id: str) -> Usage | None:
        async with turn:
            try:
                return usage(await client.call("GET", f"/containers/{id}/stats", query={"stream": "0", "one-shot": "1"}))
            except (EngineError, RuntimeUnavailableError):
                return None

    found = await asyncio.gather(*(one(id) for id in ids.values()))
    return {name: used for name, used in zip(ids, found, strict=True) if used is not None}


def usage(told: dict[str, Any]) -> Usage:
    """One container's."""
    memory = told.get("memory_stats") or {}
    details = memory.get("stats") or {}
    total = int(memory.get("usage") or 0)
    idle = int(details.get("total_inactive_file") or details.get("inactive_file") or 0)
    return Usage(
        cpu=int(((told.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage") or 0),
        memory=total,
        working_set=max(0, total - idle),
        rss=int(details.get("total_rss") or details.get("anon") or -1),
        processes=int((told.get("pids_stats") or {}).get("current") or 0),
    )


def with_pods(containers: dict[str, Usage], pods: Mapping[str, str]) -> dict[str, Usage]:
    """Containers, and the sums of those in the same pod; `pods`: the pod's id by the container's."""
    sums: dict[str, Usage] = {}
    for id, used in containers.items():
        so_far = sums.get(pods[id])
        sums[pods[id]] = used if so_far is None else _sum(so_far, used)
    return {**containers, **sums}


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        cpu=one.cpu + other.cpu,
        memory=one.memory + other.memory,
        working_set=one.working_set + other.working_set,
        rss=-1 if -1 in (one.rss, other.rss) else one.rss + other.rss,
        processes=one.processes + other.processes,
    )
