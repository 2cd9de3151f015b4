"""Makes pods go when they use more of the disk than they may, or when the machine runs short of something.

The agent runs one `Evicting` beside its heartbeat. Every ten seconds it looks at the machine, which takes microseconds, and measures the
disk of those pods that have limits there; everything else is looked at only under pressure. `machine.pressure` decides.
Contract: kubelet eviction manager: housekeeping interval, reason `Evicted`, events, one pod per round.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from lightship.aio.clock import Clock
from lightship.kinds import pods
from lightship.meta import errors, objects, quantity
from lightship.meta.objects import Obj
from lightship.node.machine import disk, pressure
from lightship.node.machine.pressure import Candidate, Met, Part, Signal, Watch
from lightship.node.runtimes import layout
from lightship.node.runtimes.runtime import Runtime, Usage

from . import sync
from .containers import sandbox_spec
from .jumps import Jumps
from .subject import Subject

log = logging.getLogger(__name__)

INTERVAL = 10.0
"""Seconds between two looks."""
_CRITICAL = 2_000_000_000
"""The priority from which on a pod is never evicted."""
_TOLERATED = "node.kubernetes.io/memory-pressure"
_STORAGE = "ephemeral-storage"


class Evicting:
    """`signals` reads what is left of what; `tell` has the node say which conditions hold; `announce` tells an event of the node;
    `reclaim` frees what no pod uses when a signal needs it, and says whether it could do anything for that signal."""

    def __init__(
        self,
        clock: Clock,
        runtime: Runtime,
        subjects: Callable[[], Iterable[Subject]],
        signals: Callable[[], Mapping[str, Signal]],
        tell: Callable[[frozenset[str]], Awaitable[None]],
        announce: Callable[[str, str], None],
        reclaim: Callable[[str], Awaitable[bool]],
        watch: Watch,
    ) -> None:
        self._clock = clock
        self._runtime = runtime
        self._subjects = subjects
        self.signals = signals
        self._tell = tell
        self._announce = announce
        self.reclaim = reclaim
        self._watch = watch
        self._conditions: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look until cancelled."""
        jumps = Jumps(self._clock)
        while True:
            await self._clock.sleep(INTERVAL)
            if jumps.look():
                for subject in self._subjects():
                    subject.wake()  # each sees for itself
            try:
                await self.look()
            except (OSError, errors.StatusError) as error:
                log.warning("cannot look after the machine reason=%s", error)

    async def look(self) -> None:
        """Once."""
        verdict = self._watch.judge(self.signals(), self._clock.monotonic())
        active = [subject for subject in self._subjects() if subject.state.sandbox and not sync.must_stop(subject.pod, subject.state)]
        if verdict.conditions != self._conditions:
            self._conditions = verdict.conditions
            await self._tell(verdict.conditions)
        if await self._evict_greedy(active) or not verdict.met:
            return
        self._announce("EvictionThresholdMet", f"Attempting to reclaim {verdict.met[0].resource}")
        if not await self._reclaimed(verdict.met[0]):
            await self._evict_for(verdict.met[0], active)

    async def _reclaimed(self, met: Met) -> bool:
        """Whether there is enough of everything again without any pod going. Contract: kubelet reclaimNodeLevelResources."""
        try:
            return await self.reclaim(met.signal) and not self._watch.judge(self.signals(), self._clock.monotonic()).met
        except OSError as error:
            log.warning("what nobody uses could not be removed reason=%s", error)
            return False

    def refuse(self, subject: Subject) -> None:
        """Turn a pod away that has come to a node under pressure, unless it is one that may."""
        pod = subject.pod
        if not self._conditions or subject.state.containers or subject.state.rejected:
            return
        tolerated = any(t.get("key") in (_TOLERATED, None, "") for t in objects.spec(pod).get("tolerations") or ())
        why = pressure.refusal(
            self._conditions,
            best_effort=pods.qos_class(pod) == "BestEffort",
            tolerates_memory=tolerated,
            critical=_priority(pod) >= _CRITICAL,
        )
        if why:
            subject.event("Warning", pressure.EVICTED, why)
            subject.state.failure = (pressure.EVICTED, f"Pod was rejected: {why}")

    async def _evict_greedy(self, active: list[Subject]) -> bool:
        """Those that use more of the disk than they may."""
        evicted = False
        for subject in active:
            quotas = disk.quotas(subject.pod)
            if not quotas:
                continue
            subject.disk = await self.measure(disk_paths(subject))
            if why := disk.excess(quotas, subject.disk):
                evicted |= _evict(subject, why)
        return evicted

    async def _evict_for(self, met: Met, active: list[Subject]) -> None:
        used = await self._runtime.usage()
        if met.resource in (_STORAGE, "inodes"):
            for subject in active:
                subject.disk = await self.measure(disk_paths(subject))
        by_uid = {subject.state.uid: subject for subject in active}
        for candidate in pressure.ranked(met.resource, [_candidate(subject, used) for subject in active]):
            if _evict(by_uid[candidate.uid], pressure.message(met, candidate), disrupted=True):
                return

    async def measure(self, paths: Mapping[str, Path]) -> dict[str, int]:
        """Bytes on disk by name."""
        return await asyncio.to_thread(disk.measure, paths)


def disk_paths(subject: Subject) -> dict[str, Path]:
    """Where a pod's files are, by what has them: see `machine.statistics.Pod`."""
    home, pod = subject.home, subject.pod
    scratch = layout.places(sandbox_spec(pod, home))
    found = {}
    for container in subject.specs():
        found[f"logs/{container['name']}"] = home.log(container["name"], 0).parent
        found[f"rootfs/{container['name']}"] = scratch.scratch(container["name"])
    for volume in objects.spec(pod).get("volumes") or ():
        if "emptyDir" in volume:
            found[f"volume/{volume['name']}"] = home.volumes / volume["name"]
    return found


def _evict(subject: Subject, message: str, *, disrupted: bool = False) -> bool:
    if _priority(subject.pod) >= _CRITICAL:
        return False
    log.info("evicting pod=%s reason=%s", objects.key(subject.pod), message)
    subject.event("Warning", pressure.EVICTED, message)
    subject.state.failure = (pressure.EVICTED, message)
    subject.state.failure_grace = pressure.GRACE
    if disrupted:
        subject.state.disruption = message
    subject.wake()
    return True


def _candidate(subject: Subject, used: Mapping[str, Usage]) -> Candidate:
    pod, whole = subject.pod, used.get(subject.state.uid)
    amounts: dict[str, int] = {}
    if whole is not None:
        amounts = {"memory": whole.working_set, "pids": whole.processes}
    if subject.disk:
        amounts[_STORAGE] = sum(subject.disk.values())
    return Candidate(
        uid=subject.state.uid,
        priority=_priority(pod),
        critical=_priority(pod) >= _CRITICAL,
        used=amounts,
        requested=_requests(pods.total_requests(pod)),
        parts=[_part(subject, container, used) for container in subject.specs()],
    )


def _part(subject: Subject, container: Obj, used: Mapping[str, Usage]) -> Part:
    name = container["name"]
    state = subject.state.containers.get(name)
    found = used.get(state.id) if state is not None and state.running else None
    amounts = {} if found is None else {"memory": found.working_set}
    if subject.disk:
        amounts[_STORAGE] = subject.disk.get(f"logs/{name}", 0) + subject.disk.get(f"rootfs/{name}", 0)
    return Part(name, amounts, _requests((container.get("resources") or {}).get("requests") or {}))


def _requests(amounts: Mapping[str, str]) -> dict[str, int]:
    return {name: quantity.to_int(amounts[name]) for name in ("memory", _STORAGE) if name in amounts}


def _priority(pod: Obj) -> int:
    return int(objects.spec(pod).get("priority") or 0)
