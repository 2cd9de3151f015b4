"""Device plugins of others: programs that offer devices by number, and say what a container needs to see of those that it was given.

`desk` asks `assign`, `edits` and `prepare_start`; `registry`, or the plugins themselves at `kubelet.sock`, bring them. Which device a
container has is decided here, by the plugin's preference where it has one, and written down.
Contract: device plugin API v1beta1, kubelet device manager (texts, times).
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from lightship.aio.clock import Clock
from lightship.node.machine.devices import cdi, edits, record
from lightship.node.machine.devices.edits import Edits

from . import allocation, channel, protobuf
from .allocation import Answer
from .channel import CallError
from .protobuf import WireError
from .registry import Plugin, RegistrationError
from .serving import RefusedError, serving

log = logging.getLogger(__name__)

VERSION = "v1beta1"
SOCKET = "kubelet.sock"
REGISTER = "/v1beta1.Registration/Register"
_SERVICE = "/v1beta1.DevicePlugin/"
SECONDS = 30.0
"""For a call before a container starts. Contract: kubelet KubeletPreStartContainerRPCTimeoutInSecs."""
ALLOCATE_SECONDS = 300.0
STOPPED_FOR = 300.0
"""Seconds that a plugin has to come back before its resource is no more. Contract: kubelet endpointStopGracePeriod."""


class PluginError(Exception):
    """A device plugin cannot give what was promised; in the kubelet's words."""


class _Source:
    """The plugin of one resource."""

    def __init__(self, endpoint: Path, *, starts: bool, prefers: bool) -> None:
        self.endpoint = endpoint
        self.starts = starts
        self.prefers = prefers
        self.devices: dict[str, bool] = {}
        """Whether each is healthy."""
        self.task: asyncio.Task[None] | None = None


class Taken(msgspec.Struct, kw_only=True):
    """What a container was given of one resource."""

    pod: str
    container: str
    resource: str
    ids: list[str]
    answer: Answer


class Counted:
    """The device plugins of one node: a `registry.Taker`. `directory` is where their sockets are, `path` keeps who has what."""

    def __init__(self, directory: Path, path: Path, clock: Clock) -> None:
        self._directory = directory
        self._path = path
        self._clock = clock
        self._sources: dict[str, _Source] = {}
        self.on_change: Callable[[], None] = lambda: None
        """Called when amounts or the health of devices have changed."""
        self._taken = [msgspec.convert(entry, Taken) for entry in record.read(path).get("taken") or ()]

    def __contains__(self, resource: str) -> bool:
        return resource in self._sources

    async def run(self) -> None:
        """Take plugins until cancelled. Those that an earlier node knew are told by the new socket to come again."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in self._directory.iterdir():
            if old.is_socket():
                old.unlink()
        try:
            async with serving(self._directory / SOCKET, {REGISTER: self._register}):
                await asyncio.Event().wait()
        finally:
            for source in self._sources.values():
                if source.task is not None:
                    source.task.cancel()

    async def _register(self, request: bytes) -> bytes:
        fields = protobuf.parse(request)
        version, resource = protobuf.text(fields, 1), protobuf.text(fields, 3)
        try:
            _check(version, resource)
        except RegistrationError as error:
            raise RefusedError(str(error)) from error
        options = protobuf.parse((protobuf.messages(fields, 4) or [b""])[-1])
        self._take(resource, self._directory / protobuf.text(fields, 2), options)
        return b""

    async def add(self, plugin: Plugin) -> None:
        """See `registry.Taker`."""
        if VERSION not in plugin.versions:
            _check(next(iter(plugin.versions), ""), plugin.name)
        _check(VERSION, plugin.name)
        try:
            options = protobuf.parse(await channel.call(plugin.endpoint, _SERVICE + "GetDevicePluginOptions", b"", SECONDS))
        except (CallError, WireError) as error:
            raise RegistrationError(f"failed to get device plugin options: {error}") from error
        self._take(plugin.name, plugin.endpoint, options)

    def remove(self, plugin: Plugin) -> None:
        """See `registry.Taker`. Its stream ends by itself, and then its devices are of no use."""

    def _take(self, resource: str, endpoint: Path, options: protobuf.Fields) -> None:
        old = self._sources.get(resource)
        if old is not None and old.task is not None:
            old.task.cancel()
        source = _Source(endpoint, starts=bool(protobuf.integer(options, 1)), prefers=bool(protobuf.integer(options, 2)))
        source.devices = dict.fromkeys(old.devices if old else (), False)
        self._sources[resource] = source
        source.task = asyncio.create_task(self._listen(resource, source), name=f"device plugin {resource}")
        log.info("a device plugin is registered resource=%s socket=%s", resource, endpoint)

    async def _listen(self, resource: str, source: _Source) -> None:
        """What it has, until it ends; then it has nothing that is of use, and after a while nothing at all."""
        try:
            async for message in channel.stream(source.endpoint, _SERVICE + "ListAndWatch", b""):
                devices = [protobuf.parse(raw) for raw in protobuf.messages(protobuf.parse(message), 1)]
                source.devices = {protobuf.text(d, 1): protobuf.text(d, 2) == "Healthy" for d in devices}
                self.on_change()
        except (CallError, WireError) as error:
            log.info("a device plugin has ended resource=%s error=%s", resource, error)
        source.devices = dict.fromkeys(source.devices, False)
        self.on_change()
        await self._clock.sleep(STOPPED_FOR)
        if self._sources.get(resource) is source:
            del self._sources[resource]
            self.on_change()

    def amounts(self) -> tuple[dict[str, int], dict[str, int]]:
        """How many devices there are of each resource, and how many are healthy."""
        all = {resource: len(source.devices) for resource, source in self._sources.items()}
        return all, {resource: sum(source.devices.values()) for resource, source in self._sources.items()}

    # who has what ---------------------------------------------------------------------------------------------------------------------

    async def assign(self, pod: str, container: str, resource: str, count: int, reusable: Collection[str] = ()) -> list[str]:
        """Identities of the devices of a container, the same ones at every restart. Raises `PluginError`."""
        held = self._held(pod, container, resource)
        if held is not None or not count:
            return held.ids if held is not None else []
        source = self._sources.get(resource)
        if source is None:
            raise PluginError(f"cannot allocate unregistered device {resource}")
        ids = await self._choose(source, resource, count, [i for i in reusable if i in source.devices])
        taken = Taken(pod=pod, container=container, resource=resource, ids=ids, answer=Answer())
        self._taken.append(taken)  # before the plugin is asked: nobody else may choose them meanwhile
        try:
            request = protobuf.always(1, protobuf.repeated(1, ids))
            taken.answer = allocation.read(await channel.call(source.endpoint, _SERVICE + "Allocate", request, ALLOCATE_SECONDS))
        except (CallError, WireError) as error:
            self._taken.remove(taken)
            raise PluginError(str(error)) from error
        self._write()
        return ids

    async def _choose(self, source: _Source, resource: str, count: int, first: list[str]) -> list[str]:
        healthy = [identity for identity, well in source.devices.items() if well]
        if not healthy:
            raise PluginError(f"no healthy devices present; cannot allocate unhealthy devices {resource}")
        used = {identity for taken in self._taken if taken.resource == resource for identity in taken.ids}
        free = [identity for identity in healthy if identity not in used]
        needed = count - len(first)
        if len(free) < needed:
            what = f"requested number of devices unavailable for {resource}"
            raise PluginError(f"{what}. Requested: {max(needed, 0)}, Available: {len(free)}")
        if needed <= 0:
            return first[:count]
        if source.prefers:
            chosen = await self._preferred(source, [*first, *free], first, count)
            if len(chosen) == count and set(chosen) <= {*first, *free} and set(first) <= set(chosen):
                return chosen
        return [*first, *free[:needed]]

    async def _preferred(self, source: _Source, free: list[str], must: list[str], count: int) -> list[str]:
        wish = protobuf.repeated(1, free) + protobuf.repeated(2, must) + protobuf.field(3, count)
        try:
            answer = await channel.call(source.endpoint, _SERVICE + "GetPreferredAllocation", protobuf.always(1, wish), SECONDS)
            answers = protobuf.messages(protobuf.parse(answer), 1)
            return list(dict.fromkeys(protobuf.texts(protobuf.parse(answers[0]), 1))) if answers else []
        except (CallError, WireError) as error:
            raise PluginError(f"device plugin GetPreferredAllocation rpc failed with err: {error}") from error

    def _held(self, pod: str, container: str, resource: str) -> Taken | None:
        return next((t for t in self._taken if (t.pod, t.container, t.resource) == (pod, container, resource)), None)

    def holds(self, pod: str, container: str, resource: str) -> bool:
        """Has a container been given some of a resource, whose plugin may be gone by now?"""
        return self._held(pod, container, resource) is not None

    def of(self, pod: str, container: str) -> list[Taken]:
        """All that a container has."""
        return [t for t in self._taken if (t.pod, t.container) == (pod, container)]

    async def prepare_start(self, pod: str, container: str) -> None:
        """Right before a container starts, every time: some plugins reset their devices. Raises `PluginError`."""
        for taken in self.of(pod, container):
            source = self._sources.get(taken.resource)
            if source is None:
                raise PluginError(f"endpoint not found in cache for a registered resource: {taken.resource}")
            if source.starts:
                try:
                    await channel.call(source.endpoint, _SERVICE + "PreStartContainer", protobuf.repeated(1, taken.ids), SECONDS)
                except CallError as error:
                    raise PluginError(f"device plugin PreStartContainer rpc failed with err: {error}") from error

    def edits(self, pod: str, container: str, directories: Collection[Path]) -> Edits:
        """What a container sees of its devices. Raises `CdiError`."""
        answers = [taken.answer for taken in self.of(pod, container)]
        names = list(dict.fromkeys(name for answer in answers for name in answer.cdi))
        own = [Edits(defaults=answer.env, mounts=answer.mounts()) for answer in answers]
        return edits.joined([*own, cdi.resolve(names, directories)])

    def health(self, pod: str, container: str) -> dict[str, list[tuple[str, str]]]:
        """By resource: (identity, health) of what a container has."""
        found: dict[str, list[tuple[str, str]]] = {}
        for taken in self.of(pod, container):
            source = self._sources.get(taken.resource)
            known = source.devices if source is not None else {}
            words = {identity: "Healthy" if well else "Unhealthy" for identity, well in known.items()}
            found[taken.resource] = [(identity, words.get(identity, "Unknown")) for identity in taken.ids]
        return found

    def release(self, pod: str) -> None:
        """Give back everything of a pod; idempotent."""
        left = [t for t in self._taken if t.pod != pod]
        if len(left) != len(self._taken):
            self._taken = left
            self._write()

    def keep_only(self, pods: Collection[str]) -> None:
        """Forget pods that are not there any more."""
        for pod in {t.pod for t in self._taken} - set(pods):
            self.release(pod)

    def _write(self) -> None:
        record.write(self._path, {"taken": [msgspec.to_builtins(taken) for taken in self._taken]})


def _check(version: str, resource: str) -> None:
    """Raises `RegistrationError` for what is no extended resource, or of another time."""
    if version != VERSION:
        raise RegistrationError(f'requested API version "{version}" is not supported by kubelet. Supported version is "{VERSION}"')
    domain, slash, name = resource.partition("/")
    if not slash or not domain or not name or "kubernetes.io" in domain or resource.startswith("requests."):
        raise RegistrationError(f'the ResourceName "{resource}" is invalid')
