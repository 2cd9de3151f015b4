"""Where audit events go: a file of JSON lines that is rotated by size, or a webhook that gets them in batches.

`trail` hands them lines and never waits. Both keep a bounded number of lines on their way; what does not fit is counted, and said once the
way is free again.
Contract: kube-apiserver --audit-log-path, --audit-log-maxsize, --audit-log-maxbackup, --audit-webhook-config-file;
audit.k8s.io/v1 EventList.
"""

import asyncio
import contextlib
import logging
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol

from lightship.aio.clock import Clock
from lightship.apiserver.transport.outbound import CallError, Outbound, Target
from lightship.meta import codec

log = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""Events that are on their way at most."""
BATCH_SECONDS = 1.0
BATCH_EVENTS = 400
_LOG_SECONDS = 0.1
_CALL_SECONDS = 30.0
_ATTEMPTS = 4


class Sink(Protocol):
    def write(self, line: bytes) -> None:
        """Take one event as JSON. Never waits and never raises."""
        ...

    async def close(self) -> None:
        """Carry away what was taken."""
        ...


class _Buffer(ABC):
    """Lines on their way, carried by one task that runs only while there are some."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._lines: list[bytes] = []
        self._lost = 0
        self._carrier: asyncio.Task[None] | None = None

    def write(self, line: bytes) -> None:
        if len(self._lines) >= MOST_WAITING:
            self._lost += 1
            return
        self._lines.append(line)
        if self._carrier is None:
            self._carrier = asyncio.get_running_loop().create_task(self._carry())

    async def close(self) -> None:
        carrier = self._carrier
        if carrier is not None:
            carrier.cancel()
            await asyncio.gather(carrier, return_exceptions=True)
        while self._lines:
            await self._send_some()

    async def _carry(self) -> None:
        try:
            while self._lines:
                await self._clock.sleep(self._seconds)
                await self._send_some()
        finally:
            self._carrier = None

    async def _send_some(self) -> None:
        lines, self._lines = self._lines, []
        await self.send(lines)
        lost, self._lost = self._lost, 0
        if lost:
            log.error("%d audit events were lost: their way was full", lost)

    @abstractmethod
    async def send(self, lines: list[bytes]) -> None:
        """Carry these away. Never raises."""


class LogFile(_Buffer):
    """Lines in a file only its owner can read; at `size` bytes it is put aside, and only the newest `backups` are kept (0: all)."""

    def __init__(self, path: Path, clock: Clock, *, size: int = 100 * 1024 * 1024, backups: int = 0) -> None:
        super().__init__(clock, _LOG_SECONDS)
        self._path = path
        self._size = size
        self._backups = backups
        self._file = _open(path)

    async def send(self, lines: list[bytes]) -> None:
        text = b"\n".join(lines) + b"\n"
        try:
            if os.fstat(self._file).st_size + len(text) > self._size:
                self._rotate()
            os.write(self._file, text)
        except OSError as error:
            log.error("the audit log %s cannot be written: %s", self._path, error)

    async def close(self) -> None:
        await super().close()
        os.close(self._file)

    def _rotate(self) -> None:
        os.close(self._file)
        with contextlib.suppress(FileNotFoundError):
            self._path.rename(self._path.with_name(f"{self._path.stem}-{self._clock.now():.6f}{self._path.suffix}"))
        self._file = _open(self._path)
        if self._backups:
            old = sorted(self._path.parent.glob(f"{self._path.stem}-*{self._path.suffix}"))
            for path in old[: -self._backups]:
                path.unlink(missing_ok=True)


class Webhook(_Buffer):
    """Batches to an HTTPS server, tried again a few times."""

    def __init__(self, target: Target, outbound: Outbound, clock: Clock) -> None:
        super().__init__(clock, BATCH_SECONDS)
        self._target = target
        self._outbound = outbound

    async def send(self, lines: list[bytes]) -> None:
        for start in range(0, len(lines), BATCH_EVENTS):
            await self._post(lines[start : start + BATCH_EVENTS])

    async def _post(self, lines: list[bytes]) -> None:
        document = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": [codec.decode(line) for line in lines]}
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._outbound.post(self._target, document, timeout=_CALL_SECONDS)
                return
            except CallError as error:
                if attempt == _ATTEMPTS or (error.status and error.status < 500 and error.status != 429):
                    log.error("%d audit events were lost: %s", len(lines), error)
                    return
                await self._clock.sleep(0.5 * 2**attempt)


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
