"""Probes: is a container started, ready, alive? Asks over HTTP or TCP at the pod's address and counts the answers.

`worker` runs one `Prober` per run of a container that has probes, and records its verdicts; `sync` decides what follows from them. Knows no
pod object, only the probes of one container. Contract: core/v1 Probe and its defaults; kubelet prober (texts, initial results).
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import msgspec

from lightship.aio.clock import Clock
from lightship.meta.objects import Obj

Kind = Literal["startup", "readiness", "liveness"]
Report = Callable[[Kind, bool, str], None]
"""(which probe, the verdict, why it failed); called when a threshold is reached."""
Failed = Callable[[Kind, str], None]
"""Told of every failed attempt, for an event."""
OpenSocket = Callable[[], Awaitable[socket.socket]]

FIELDS: Mapping[Kind, str] = {"startup": "startupProbe", "readiness": "readinessProbe", "liveness": "livenessProbe"}
EAGER = 1.0
"""Seconds between readiness probes before the first success: nothing is lost by asking more often than the period says."""


class ProbeError(Exception):
    """One attempt that failed, in words."""


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """How a container is reached."""

    address: str
    named_ports: Mapping[str, int]
    real_ports: Mapping[int, int] = {}
    """Host mode: declared port → the one it has on this machine."""
    open_socket: OpenSocket


def has(container: Obj, kind: Kind) -> bool:
    """Does a container have a probe of this kind that we can run?"""
    probe = container.get(FIELDS[kind]) or {}
    return "httpGet" in probe or "tcpSocket" in probe


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

    def __init__(self, container: Obj, where: Where, clock: Clock, report: Report, failed: Failed) -> None:
        self._container = container
        self._where = where
        self._clock = clock
        self._report = report
        self._failed = failed

    async def run(self) -> None:
        """The startup probe first; the others once it has succeeded."""
        began = self._clock.monotonic()
        if has(self._container, "startup"):
            await self._probe("startup", began)
        async with asyncio.TaskGroup() as group:
            for kind in ("readiness", "liveness"):
                if has(self._container, kind):
                    group.create_task(self._probe(kind, began))

    async def _probe(self, kind: Kind, began: float) -> None:
        """One kind, for ever; a startup probe until it succeeds."""
        probe = self._container[FIELDS[kind]]
        period = float(probe.get("periodSeconds") or 10)
        delay = float(probe.get("initialDelaySeconds") or 0) - (self._clock.monotonic() - began)
        await self._clock.sleep(max(0.0, delay))
        streak, ready = Streak(probe), False
        while True:
            success, why = await self._attempt(probe)
            if not success:
                self._failed(kind, why)
            verdict = streak.observe(success)
            if verdict is not None:
                self._report(kind, verdict, why)
                ready |= verdict
            if kind == "startup" and verdict:
                return
            await self._clock.sleep(period if kind != "readiness" or ready else min(EAGER, period))

    async def _attempt(self, probe: Obj) -> tuple[bool, str]:
        try:
            async with asyncio.timeout(float(probe.get("timeoutSeconds") or 1)):
                if "httpGet" in probe:
                    await self._http(probe["httpGet"])
                else:
                    sock = await self._connect(probe["tcpSocket"])
                    sock.close()
        except TimeoutError:
            return False, "context deadline exceeded"
        except (OSError, ProbeError) as error:
            return False, str(error)
        return True, ""

    async def _connect(self, target: Obj) -> socket.socket:
        address, port = target.get("host") or self._where.address, self._port(target.get("port"))
        sock = await self._where.open_socket()
        try:
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except OSError as error:
            sock.close()
            # asyncio puts words of its own in place of the system's.
            why = os.strerror(error.errno).lower() if error.errno else str(error)
            raise ProbeError(f"dial tcp {address}:{port}: connect: {why}") from error
        except BaseException:
            sock.close()
            raise
        return sock

    async def _http(self, target: Obj) -> None:
        secure = target.get("scheme") == "HTTPS"
        reader, writer = await asyncio.open_connection(sock=await self._connect(target), ssl=_trusting() if secure else None)
        try:
            writer.write(request(target, self._where.address, self._port(target.get("port"))))
            status = await reader.readline()
        finally:
            writer.close()
        parts = status.split(None, 2)
        if len(parts) < 2 or not parts[1].isdigit():
            raise ProbeError("malformed HTTP response")
        if not 200 <= int(parts[1]) < 400:
            raise ProbeError(f"HTTP probe failed with statuscode: {int(parts[1])}")

    def _port(self, wanted: object) -> int:
        port = self._where.named_ports.get(wanted, 0) if isinstance(wanted, str) else wanted
        if isinstance(wanted, str) and wanted.isdigit():
            port = int(wanted)
        if not isinstance(port, int) or not port:
            raise ProbeError(f"couldn't find port: {wanted}")
        return self._where.real_ports.get(port, port)


def request(target: Obj, address: str, port: int) -> bytes:
    """The request of an httpGet probe."""
    headers = {
        "Host": f"{target.get('host') or address}:{port}",
        "User-Agent": "kube-probe/lightship",
        "Accept": "*/*",
        "Connection": "close",
    }
    headers |= {header["name"]: header["value"] for header in target.get("httpHeaders") or ()}
    path = target.get("path") or "/"
    lines = [f"GET {path if path.startswith('/') else '/' + path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _trusting() -> ssl.SSLContext:
    """Probes ask whether somebody answers, not who: certificates are not looked at. Contract: httpGet probes with scheme HTTPS."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
