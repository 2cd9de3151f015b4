"""Notices plugins by the sockets that they put into the node's `plugins_registry`, asks who they are, and tells whether they are taken.

`desk` runs it. What a plugin can do is its `Takers`' to judge. A plugin that cannot be asked yet, or is refused, is asked again later.
Contract: pluginregistration.v1 of the kubelet (GetInfo, NotifyRegistrationStatus) and its plugin watcher.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from lightship.aio.clock import Clock

from . import channel, protobuf
from .channel import CallError
from .protobuf import WireError
from .watching import watching

log = logging.getLogger(__name__)

SECONDS = 10.0
"""For one question to a plugin."""
KUBELET = "/var/lib/kubelet/"
RETRY, RETRY_LIMIT = 0.5, 120.0
_SERVICE = "/pluginregistration.Registration/"


class RegistrationError(Exception):
    """Why a plugin is not taken; it is told."""


class Plugin(NamedTuple):
    """What a plugin says of itself."""

    kind: str
    """`DRAPlugin`, `DevicePlugin` or `CSIPlugin`."""
    name: str
    endpoint: Path
    versions: list[str]


class Taker(Protocol):
    """Plugins of one kind."""

    async def add(self, plugin: Plugin) -> None:
        """Raises `RegistrationError`."""
        ...

    def remove(self, plugin: Plugin) -> None: ...


class _Seen:
    def __init__(self, identity: tuple[int, int]) -> None:
        self.identity = identity
        self.plugin: Plugin | None = None
        self.retry_at = 0.0
        self.failures = 0


class Registry:
    """The plugins of one node; `takers` by kind. `kubelet` has what plugins call /var/lib/kubelet."""

    def __init__(self, kubelet: Path, takers: Mapping[str, Taker], clock: Clock) -> None:
        self._kubelet = kubelet
        self._directory = kubelet / "plugins_registry"
        self._takers = takers
        self._clock = clock
        self._seen: dict[Path, _Seen] = {}

    async def run(self) -> None:
        """Look after the directory until cancelled."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with watching(self._directory) as changed:
            while True:
                changed.clear()
                due = await self._look()
                try:
                    async with asyncio.timeout(None if due is None else max(0.0, due - self._clock.monotonic())):
                        await changed.wait()
                except TimeoutError:
                    pass

    async def _look(self) -> float | None:
        """Returns when somebody must be asked again."""
        found = dict(sockets(self._directory))
        for path, seen in list(self._seen.items()):
            if found.get(path) != seen.identity:
                del self._seen[path]
                if seen.plugin is not None:
                    log.info("a plugin has gone kind=%s name=%s socket=%s", seen.plugin.kind, seen.plugin.name, path)
                    self._takers[seen.plugin.kind].remove(seen.plugin)
        for path, identity in found.items():
            seen = self._seen.setdefault(path, _Seen(identity))
            if seen.plugin is None and seen.retry_at <= self._clock.monotonic():
                await self._register(path, seen)
        return min((seen.retry_at for seen in self._seen.values() if seen.plugin is None), default=None)

    async def _register(self, path: Path, seen: _Seen) -> None:
        try:
            plugin = _info(path, await channel.call(path, _SERVICE + "GetInfo", b"", SECONDS), self._kubelet)
            try:
                if plugin.kind not in self._takers:
                    raise RegistrationError(f"no handler registered for plugin type: {plugin.kind} at socket {path}")
                await self._takers[plugin.kind].add(plugin)
            except RegistrationError as error:
                await self._notify(path, str(error))
                raise
            seen.plugin = plugin
            log.info("a plugin is registered kind=%s name=%s socket=%s", plugin.kind, plugin.name, path)
            await self._notify(path, "")
        except (CallError, WireError, RegistrationError) as error:
            if seen.plugin is not None:
                return  # it is taken, whether it hears of it or not
            seen.failures += 1
            seen.retry_at = self._clock.monotonic() + min(RETRY_LIMIT, RETRY * 2 ** min(seen.failures, 10))
            log.warning("a plugin cannot be registered socket=%s error=%s", path, error)

    async def _notify(self, path: Path, error: str) -> None:
        status = protobuf.field(1, not error) + protobuf.field(2, error)
        await channel.call(path, _SERVICE + "NotifyRegistrationStatus", status, SECONDS)


def sockets(directory: Path) -> list[tuple[Path, tuple[int, int]]]:
    """Sockets in there, with what tells one from another that had its name before. Hidden ones are being made."""
    found = []
    for path in sorted(directory.iterdir()):
        try:
            if path.is_socket() and not path.name.startswith("."):
                status = path.stat()
                found.append((path, (status.st_ino, status.st_ctime_ns)))
        except OSError:
            continue  # it has gone meanwhile
    return found


def _info(path: Path, answer: bytes, kubelet: Path) -> Plugin:
    """A plugin in a pod names its socket as the pod sees it, where that directory is the node's own."""
    fields = protobuf.parse(answer)
    endpoint = protobuf.text(fields, 3)
    if endpoint.startswith(KUBELET):
        endpoint = str(kubelet / endpoint.removeprefix(KUBELET))
    return Plugin(
        kind=protobuf.text(fields, 1),
        name=protobuf.text(fields, 2),
        endpoint=Path(endpoint) if endpoint else path,
        versions=protobuf.texts(fields, 4),
    )
