"""Probes: is a container started, ready, alive? Asks it by a command, over HTTP, TCP or gRPC, and counts the answers.

`probing` runs one `Prober` per run of a container that has probes, and records its verdicts; `sync` decides what follows from them. Knows
no pod object, only the probes of one container. Contract: core/v1 Probe and its defaults; kubelet prober (texts, ticks, initial results).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

from lightship.aio.clock import Clock
from lightship.meta.objects import Obj
from lightship.node.inputs.env import expand
from lightship.node.runtimes.runtime import ContainerError

from . import grpc, reaching
from .commands import Outcome
from .reaching import ReachError, Where

Kind = Literal["startup", "readiness", "liveness"]
Report = Callable[[Kind, bool, str], None]
"""(which probe, the verdict, why it failed); called when a threshold is reached."""
Tell = Callable[[str, str], None]
"""Told the reason and the message of an event."""
Execute = Callable[[Sequence[str], float], Awaitable[Outcome]]
"""Runs a command in the container, for so many seconds at most."""

FIELDS: Mapping[Kind, str] = {"startup": "startupProbe", "readiness": "readinessProbe", "liveness": "livenessProbe"}
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
EAGER = 1.0
"""Seconds between readiness probes before the first success: nothing is lost by asking more often than the period says."""
TRIES = 3
"""How often a probe that could not even be asked is asked again at once."""


class FailedError(Exception):
    """An attempt that was answered, badly; in words."""


class ErroredError(Exception):
    """An attempt that could not be made: it counts neither way. In words."""


def has(container: Obj, kind: Kind) -> bool:
    """Does a container have a probe of this kind?"""
    probe = container.get(FIELDS[kind]) or {}
    return any(handler in probe for handler in HANDLERS)


class Streak:
    """Counts answers of one kind in a row."""

    def __init__(self, probe: Obj) -> None:
        self._successes = int(probe.get("successThreshold") or 1)
        self._failures = int(probe.get("failureThreshold") or 3)
        self._last = True
        self._count = 0

    def observe(self, success: bool) -> bool | None:
        """The verdict, when the threshold is reached (again)."""
        self._count = self._count + 1 if success == self._last else 1
        self._last = success
        return success if self._count >= (self._successes if success else self._failures) else None


class Prober:
    """Probes one run of a container until cancelled."""

    def __init__(self, container: Obj, where: Where, clock: Clock, report: Report, tell: Tell, execute: Execute) -> None:
        self._container = container
        self._where = where
        self._clock = clock
        self._report = report
        self._tell = tell
        self._execute = execute
        self._ending = False

    async def run(self) -> None:
        """The startup probe first; the others once it has succeeded."""
        began = self._clock.monotonic()
        if has(self._container, "startup") and not await self._probe("startup", began):
            return
        async with asyncio.TaskGroup() as group:
            for kind in ("readiness", "liveness"):
                if has(self._container, kind):
                    group.create_task(self._probe(kind, began))

    def end(self) -> None:
        """The container has been asked to end: whether it is ready still matters, whether it is alive does not."""
        self._ending = True

    async def _probe(self, kind: Kind, began: float) -> bool:
        """One kind, for ever; a startup probe until it succeeds. False when there is nothing to probe any more."""
        probe = self._container[FIELDS[kind]]
        period = float(probe.get("periodSeconds") or 10)
        tick = max(self._clock.monotonic(), began + float(probe.get("initialDelaySeconds") or 0))
        streak, ready = Streak(probe), False
        while True:
            await self._clock.sleep(max(0.0, tick - self._clock.monotonic()))
            if self._ending and kind != "readiness":
                return False
            success, why = await self._attempt(kind, probe)
            verdict = streak.observe(success) if success is not None else None
            if verdict is not None:
                self._report(kind, verdict, why)
                if kind == "startup" or (kind == "liveness" and not verdict):
                    return verdict  # what follows from it is somebody else's business, once
            ready |= bool(success)
            tick += period if kind != "readiness" or ready else min(EAGER, period)
            tick = max(tick, self._clock.monotonic())

    async def _attempt(self, kind: Kind, probe: Obj) -> tuple[bool | None, str]:
        """Success, and why not; None when it could not be asked."""
        why = ""
        for _ in range(TRIES):
            try:
                warning = await self._ask(probe, float(probe.get("timeoutSeconds") or 1))
            except FailedError as error:
                self._tell("Unhealthy", f"{kind.capitalize()} probe failed: {error}")
                return False, str(error)
            except ErroredError as error:
                why = str(error)
            else:
                if warning:
                    self._tell("ProbeWarning", f"{kind.capitalize()} probe warning: {warning}")
                return True, ""
        self._tell("Unhealthy", f"{kind.capitalize()} probe errored and resulted in unknown state: {why}")
        return None, why

    async def _ask(self, probe: Obj, seconds: float) -> str:
        """One attempt; returns a warning, mostly empty. Raises `FailedError`, `ErroredError`."""
        if "exec" in probe:
            await self._run(probe["exec"].get("command") or [], seconds)
            return ""
        if "httpGet" in probe:
            return await self._get(probe["httpGet"], seconds)
        if "tcpSocket" in probe:
            await self._connect(probe["tcpSocket"], seconds)
            return ""
        await self._check(probe["grpc"], seconds)
        return ""

    async def _run(self, command: list[str], seconds: float) -> None:
        known = {e["name"]: e.get("value") or "" for e in self._container.get("env") or () if not e.get("valueFrom")}
        argv = [expand(word, known) for word in command]
        try:
            outcome = await self._execute(argv, seconds)
        except TimeoutError as error:
            shown = " ".join(f'"{word}"' for word in argv)
            raise FailedError(f"command timed out: [{shown}] timed out after {seconds:g}s") from error
        except (ContainerError, OSError) as error:
            raise ErroredError(str(error)) from error
        if outcome.code != 0:
            raise FailedError(outcome.output)

    async def _get(self, target: Obj, seconds: float) -> str:
        port = self._port(target.get("port"))
        try:
            async with asyncio.timeout(seconds):
                reply = await reaching.get(self._where, target, "probe")
        except TimeoutError as error:
            url = reaching.address(target, target.get("host") or self._where.address, port)
            text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            raise FailedError(f'Get "{url}": {text}') from error
        except (OSError, ReachError) as error:
            raise FailedError(str(error)) from error
        if not 200 <= reply.status < 400:
            raise FailedError(f"HTTP probe failed with statuscode: {reply.status}")
        if reply.status < 300:
            return ""
        return f"Probe terminated redirects, Response body: {reply.body.decode(errors='replace')}"

    async def _connect(self, target: Obj, seconds: float) -> None:
        host, port = target.get("host") or self._where.address, self._port(target.get("port"))
        try:
            async with asyncio.timeout(seconds):
                (await reaching.connect(self._where, host, port)).close()
        except TimeoutError as error:
            raise FailedError(f"dial tcp {host}:{port}: i/o timeout") from error
        except (OSError, ReachError) as error:
            raise FailedError(str(error)) from error

    async def _check(self, target: Obj, seconds: float) -> None:
        port = self._port(target.get("port"))
        try:
            async with asyncio.timeout(seconds):
                await grpc.check(self._where, port, target.get("service") or "")
        except TimeoutError as error:
            raise FailedError(f"timeout: health rpc did not complete within {seconds:g}s") from error
        except (OSError, grpc.UnhealthyError) as error:
            raise FailedError(str(error)) from error

    def _port(self, wanted: object) -> int:
        try:
            return self._where.port(wanted)
        except ReachError as error:
            raise ErroredError(str(error)) from error
