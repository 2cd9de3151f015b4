"""DRA drivers of others: programs behind sockets that prepare claims, and tell how their devices are.

`registry` brings and takes them, `prepared` calls them as `driving.Driver`s. Of several instances of one driver the newest is asked:
that is how drivers are updated without a gap.
Contract: DRA plugin API v1 and v1beta1, DRAResourceHealth v1alpha1, kubelet DRA plugin manager.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from lightship.aio.clock import Clock
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.node.machine.devices.driving import Driver, DriverError, Given, Outcome

from . import channel, protobuf
from .channel import CallError
from .protobuf import WireError
from .registry import Plugin, RegistrationError

log = logging.getLogger(__name__)

SECONDS = 45.0
"""For one call. Contract: kubelet defaultClientCallTimeout."""
WIPE_AFTER = 30.0
"""Seconds that a driver has to come back before its ResourceSlices go. Contract: kubelet defaultWipingDelay."""
HEALTH_RETRY = 5.0
HEALTH_TIMEOUT = 30.0
"""Seconds after which nothing is known of a device that nobody has spoken of. Contract: kubelet DefaultHealthTimeout."""
MESSAGE_LIMIT = 1024
SERVICES = {
    "v1.DRAPlugin": "/k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin/",
    "v1beta1.DRAPlugin": "/k8s.io.kubelet.pkg.apis.dra.v1beta1.DRAPlugin/",
}
HEALTH = "v1alpha1.DRAResourceHealth"
_WATCH = "/v1alpha1.DRAResourceHealth/NodeWatchResources"
_STATES = ("Unknown", "Healthy", "Unhealthy")


class Health(NamedTuple):
    state: str
    message: str
    until: float
    """Seconds since the epoch until which this is believed."""


class External:
    """One instance of a driver: a `driving.Driver`."""

    def __init__(self, name: str, endpoint: Path, service: str) -> None:
        self.name = name
        self.endpoint = endpoint
        self._service = service

    async def prepare(self, claims: list[Obj]) -> dict[str, Outcome]:
        """See `driving.Driver`."""
        answer = await self._ask("NodePrepareResources", claims)
        return {uid: _outcome(raw) for uid, raw in answer.items()}

    async def unprepare(self, claims: list[Obj]) -> dict[str, str]:
        """See `driving.Driver`."""
        answer = await self._ask("NodeUnprepareResources", claims)
        return {uid: protobuf.text(protobuf.parse(raw), 1) for uid, raw in answer.items()}

    async def _ask(self, method: str, claims: list[Obj]) -> dict[str, bytes]:
        request = protobuf.repeated(1, (_claim(claim) for claim in claims))
        try:
            answer = await channel.call(self.endpoint, self._service + method, request, SECONDS)
            return protobuf.mapping(protobuf.parse(answer), 1)
        except (CallError, WireError) as error:
            raise DriverError(str(error) if method == "NodePrepareResources" else f"{method}: {error}") from error


def _claim(claim: Obj) -> bytes:
    return protobuf.field(1, objects.namespace(claim)) + protobuf.field(2, objects.uid(claim)) + protobuf.field(3, objects.name(claim))


def _outcome(raw: bytes) -> Outcome:
    fields = protobuf.parse(raw)
    return Outcome(devices=[_device(device) for device in protobuf.messages(fields, 1)], error=protobuf.text(fields, 2))


def _device(raw: bytes) -> Given:
    fields = protobuf.parse(raw)
    return Given(
        requests=protobuf.texts(fields, 1),
        pool=protobuf.text(fields, 2),
        device=protobuf.text(fields, 3),
        cdi=protobuf.texts(fields, 4),
        share=protobuf.text(fields, 5) or None,
    )


class Drivers:
    """The drivers of others on one node: a `registry.Taker`. `wipe` removes a driver's ResourceSlices from the API."""

    def __init__(self, clock: Clock, wipe: Callable[[str], Awaitable[None]]) -> None:
        self._clock = clock
        self._wipe = wipe
        self._instances: dict[str, list[External]] = {}
        self._tasks: dict[Path, asyncio.Task[None]] = {}
        self._wipes: dict[str, asyncio.Task[None]] = {}
        self._health: dict[tuple[str, str, str], Health] = {}
        self.on_change: Callable[[], None] = lambda: None
        """Called when drivers come and go."""
        self.on_health: Callable[[], None] = lambda: None
        """Called when something is known of devices that was not before."""

    def __contains__(self, name: str) -> bool:
        return name in self._instances

    def get(self, name: str) -> Driver:
        """The newest instance. Raises `DriverError`."""
        if name not in self._instances:
            raise DriverError(f"DRA driver {name} is not registered")
        return self._instances[name][-1]

    async def add(self, plugin: Plugin) -> None:
        """See `registry.Taker`."""
        start = f"invalid supported gRPC versions of DRA driver plugin {plugin.name} at endpoint {plugin.endpoint}: "
        if not plugin.versions:
            raise RegistrationError(f"{start}empty list of supported gRPC services (aka supported versions)")
        chosen = next((service for service in SERVICES if service in plugin.versions), None)
        if chosen is None:
            sides = [" ".join(f'"{version}"' for version in side) for side in (plugin.versions, SERVICES)]
            why = f"none of services supported by the plugin ([{sides[0]}]) are supported by the kubelet ([{sides[1]}])"
            raise RegistrationError(start + why)
        instances = self._instances.setdefault(plugin.name, [])
        if any(instance.endpoint == plugin.endpoint for instance in instances):
            raise RegistrationError(f"endpoint {plugin.endpoint} already registered for DRA driver plugin {plugin.name}")
        instances.append(External(plugin.name, plugin.endpoint, SERVICES[chosen]))
        wiping = self._wipes.pop(plugin.name, None)
        if wiping is not None:
            wiping.cancel()
        if HEALTH in plugin.versions:
            self._tasks[plugin.endpoint] = asyncio.create_task(self._listen(plugin), name=f"health of {plugin.name}")
        self.on_change()

    def remove(self, plugin: Plugin) -> None:
        """See `registry.Taker`."""
        left = [i for i in self._instances.get(plugin.name, ()) if i.endpoint != plugin.endpoint]
        listening = self._tasks.pop(plugin.endpoint, None)
        if listening is not None:
            listening.cancel()
        if left:
            self._instances[plugin.name] = left
        else:
            self._instances.pop(plugin.name, None)
            self._wipes[plugin.name] = asyncio.create_task(self._wipe_later(plugin.name), name=f"slices of {plugin.name}")
        self.on_change()

    def expect(self, names: Iterable[str]) -> None:
        """Drivers that were here before this node was: they have the usual time to come again."""
        for name in names:
            if name not in self._instances:
                self._wipes[name] = asyncio.create_task(self._wipe_later(name), name=f"slices of {name}")

    def close(self) -> None:
        for task in (*self._tasks.values(), *self._wipes.values()):
            task.cancel()

    async def _wipe_later(self, name: str) -> None:
        await self._clock.sleep(WIPE_AFTER)
        await self._wipe(name)
        self._wipes.pop(name, None)

    async def _listen(self, plugin: Plugin) -> None:
        """What the driver says of its devices, until it is gone."""
        while True:
            try:
                async for message in channel.stream(plugin.endpoint, _WATCH, b""):
                    for raw in protobuf.messages(protobuf.parse(message), 1):
                        self._hear(plugin.name, raw)
                    self.on_health()
            except (CallError, WireError) as error:
                if isinstance(error, CallError) and error.code == "Unimplemented":
                    return
                log.info("health of devices is not told driver=%s error=%s", plugin.name, error)
            await self._clock.sleep(HEALTH_RETRY)

    def _hear(self, driver: str, raw: bytes) -> None:
        fields = protobuf.parse(raw)
        which = protobuf.parse((protobuf.messages(fields, 1) or [b""])[-1])
        state, seconds = protobuf.integer(fields, 2), protobuf.integer(fields, 4)
        message = protobuf.text(fields, 5)
        if len(message) > MESSAGE_LIMIT:
            message = message[: MESSAGE_LIMIT - 3] + "..."
        self._health[driver, protobuf.text(which, 1), protobuf.text(which, 2)] = Health(
            _STATES[state] if 0 <= state < len(_STATES) else _STATES[0],
            message,
            self._clock.now() + (seconds if seconds > 0 else HEALTH_TIMEOUT),
        )

    def healthy(self, driver: str, device: Given) -> Obj:
        """`health`, and `message` where the driver says something, of a status's `resources`."""
        found = self._health.get((driver, device.pool, device.device))
        if found is None or found.until < self._clock.now():
            return {"health": "Unknown"}
        return {"health": found.state, **({"message": found.message} if found.message else {})}
