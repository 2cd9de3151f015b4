"""Everything that pods of a node ask about devices, in one place: to be given them, to have their claims ready, to see them.

Made by `agent`, asked by the workers of pods. Extended resources are assigned when a pod is let in, claims are made ready before its
sandbox; what containers then see of either is told as `Edits`. Contract: kubelet device manager and DRA manager.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from lightship import kinds
from lightship.aio.clock import Clock
from lightship.client import Client
from lightship.meta import errors, objects, quantity
from lightship.meta.objects import Obj

from . import cdi, edits, own, podclaims
from .cdi import CdiError
from .device import DRIVER, Device, nothing_visible
from .driving import Driver, Given
from .edits import Edits
from .ledger import DevicesExhaustedError, Ledger
from .own import OwnDriver
from .plugins.counted import Counted, PluginError
from .plugins.dra import Drivers
from .plugins.registry import Registry
from .podclaims import ClaimError
from .prepared import Prepared

log = logging.getLogger(__name__)


class AllocationError(Exception):
    """Devices that a pod was promised are not to be had, in the kubelet's words."""


class Desk:
    """The devices of one node. `data` keeps what must outlive a restart; `kubelet` is where plugins look for one."""

    def __init__(
        self, client: Client, clock: Clock, node: str, devices: Iterable[Device], data: Path, kubelet: Path, *, sandboxed: bool
    ) -> None:
        directory = data / "devices"
        self._client = client
        self._node = node
        self._sandboxed = sandboxed
        self.drivers = Drivers(clock, self._wipe)
        self.counted = Counted(kubelet / "device-plugins", directory / "counted.json", clock)
        self._registry = Registry(kubelet, {"DRAPlugin": self.drivers, "DevicePlugin": self.counted}, clock)
        self.ledger = Ledger(devices, directory / "held.json")
        self._own = OwnDriver(node, self.ledger)
        self.prepared = Prepared(client, self.driver, directory / "claims.json")
        self.cdi_directories: Sequence[Path] = (*cdi.SYSTEM, data / "cdi")

    def driver(self, name: str) -> Driver:
        """Who prepares the devices of that driver. Raises `DriverError`."""
        if name == DRIVER:
            return self._own
        return self.drivers.get(name)

    def taken_over(self, name: str) -> bool:
        """Has a driver, or a device plugin for a resource, of that name registered?"""
        return name in self.drivers or name in self.counted

    async def run(self) -> None:
        """Look after plugins until cancelled; a machine that has no room for their sockets does without."""
        try:
            await self._expect()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._registry.run(), name="plugin registry")
                group.create_task(self.counted.run(), name="device plugins")
        except* OSError as group_error:
            log.warning("plugins for devices are not looked after error=%s", group_error.exceptions[0])
        finally:
            self.drivers.close()

    async def _expect(self) -> None:
        """Drivers that were here before this node was restarted."""
        try:
            slices = (await self._client.list(kinds.RESOURCE_SLICES, fields=f"spec.nodeName={self._node}")).items
        except errors.StatusError as error:
            log.warning("drivers of before are not known node=%s message=%s", self._node, error.message)
            return
        self.drivers.expect({objects.spec(s)["driver"] for s in slices} - {DRIVER})

    async def _wipe(self, driver: str) -> None:
        """Contract: the kubelet removes what a driver told that is gone."""
        try:
            await self._client.delete_collection(kinds.RESOURCE_SLICES, fields=f"spec.nodeName={self._node},spec.driver={driver}")
        except errors.StatusError as error:
            log.warning("slices of a driver that is gone are left driver=%s message=%s", driver, error.message)

    async def admit(self, pod: Obj) -> None:
        """Assign the extended resources of a pod. Raises `AllocationError`, and then nothing is assigned."""
        reusable: dict[str, list[str]] = {}
        try:
            for container, passing in _containers(pod):
                for resource, count in _amounts(container).items():
                    if not _by_claim(pod, container, resource):
                        before = reusable.get(resource, [])
                        taken = await self._assign(pod, container, resource, count, before)
                        reusable[resource] = [*before, *taken] if passing else [name for name in before if name not in taken]
        except (DevicesExhaustedError, PluginError) as error:
            self.release(objects.uid(pod))
            raise AllocationError(f"Allocate failed due to {error}, which is unexpected") from error

    async def _assign(self, pod: Obj, container: Obj, resource: str, count: int, reusable: list[str]) -> list[str]:
        uid, name = objects.uid(pod), container["name"]
        if resource in self.counted or self.counted.holds(uid, name, resource):
            return await self.counted.assign(uid, name, resource, count, reusable)
        if any(d.resource == resource for d in self.ledger.devices.values()):
            return [d.name for d in self.ledger.assign(uid, name, resource, count, reusable)]
        return []

    def release(self, pod: str) -> None:
        """Nothing of the pod of this uid uses its extended resources any more; idempotent."""
        self.ledger.release(pod)
        self.counted.release(pod)

    def keep_only(self, pods: Collection[str]) -> None:
        """Forget what pods had by number that are not there any more."""
        self.ledger.keep_only(pods)
        self.counted.keep_only(pods)

    async def prepare_start(self, pod: Obj, container: Obj) -> None:
        """Right before each start of a container. Raises `PluginError`."""
        await self.counted.prepare_start(objects.uid(pod), container["name"])

    def edits(self, pod: Obj, container: Obj) -> Edits:
        """What a container sees of its devices. Raises `ClaimError` for a claim that is not ready, `CdiError`."""
        held = self.ledger.of(objects.uid(pod), container["name"])
        by_plugin = self.counted.edits(objects.uid(pod), container["name"], self.cdi_directories)
        if not held and not podclaims.has_claims(pod):
            found = edits.joined([self._none_given(), by_plugin])
            return found if self._sandboxed else _without_files(found)
        names = list(dict.fromkeys(name for _, given in self.given(pod, container) for name in given.cdi))
        ours = [self._device(name.removeprefix(own.KIND)) for name in names if name.startswith(own.KIND)]
        others = [name for name in names if not name.startswith(own.KIND)]
        mine = own.edits([*held, *ours], sandboxed=self._sandboxed)
        found = edits.joined([self._none_given(), by_plugin, mine, cdi.resolve(others, self.cdi_directories)])
        return found if self._sandboxed else _without_files(found)

    def _device(self, name: str) -> Device:
        if name not in self.ledger.devices:
            raise ClaimError(f"device {name} is not on this node any more")
        return self.ledger.devices[name]

    def _none_given(self) -> Edits:
        if self._sandboxed or not self.ledger.devices:
            return edits.NOTHING
        return Edits(defaults=nothing_visible(list(self.ledger.devices.values())))

    def given(self, pod: Obj, container: Obj) -> Iterator[tuple[str, Given]]:
        """(driver, device) of everything that a container has by claims. Raises `ClaimError`."""
        for name, request in podclaims.wanted(pod, container):
            ready = self.prepared.get(objects.namespace(pod), name.claim)
            if ready is None:
                where = f"in namespace {objects.namespace(pod)}"
                raise ClaimError(f"internal error: unable to get claim info for ResourceClaim {name.claim} {where}")
            for driver, devices in ready.devices.items():
                for device in devices:
                    if not request or not device.requests or podclaims.base(request) in device.requests:
                        yield driver, device

    def health(self, pod: Obj, container: Obj) -> list[Obj]:
        """A container's `allocatedResourcesStatus`: its claimed devices, and how they are."""
        told: dict[str, dict[str, Obj]] = {}
        for resource, states in self.counted.health(objects.uid(pod), container["name"]).items():
            told[resource] = {identity: {"resourceID": identity, "health": health} for identity, health in states}
        for device in self.ledger.of(objects.uid(pod), container["name"]):
            identity = device.uuid or device.name
            told.setdefault(device.resource, {})[identity] = {"resourceID": identity, "health": "Healthy"}
        for entry in (container.get("resources") or {}).get("claims") or ():
            name = f"claim:{entry['name']}" + (f"/{entry['request']}" if entry.get("request") else "")
            only = {**container, "resources": {"claims": [entry]}}
            for driver, given in self.given(pod, only):
                identity = given.cdi[0] if given.cdi else f"{driver}/{given.pool}/{given.device}"
                told.setdefault(name, {}).setdefault(identity, {"resourceID": identity, **self._healthy(driver, given)})
        return [{"name": name, "resources": list(resources.values())} for name, resources in told.items()]

    def _healthy(self, driver: str, device: Given) -> Obj:
        return {"health": "Healthy"} if driver == DRIVER else self.drivers.healthy(driver, device)


def _containers(pod: Obj) -> Iterator[tuple[Obj, bool]]:
    """Containers in the order in which they begin, and whether what one has is free again when the next begins."""
    for container in objects.spec(pod).get("initContainers") or ():
        yield container, container.get("restartPolicy") != "Always"
    for container in objects.spec(pod).get("containers") or ():
        yield container, False


def _amounts(container: Obj) -> dict[str, int]:
    limits = (container.get("resources") or {}).get("limits") or {}
    return {name: quantity.to_int(amount) for name, amount in limits.items() if "/" in name}


def _by_claim(pod: Obj, container: Obj, resource: str) -> bool:
    """Has the scheduler made a claim in place of this resource?"""
    mappings = (objects.status(pod).get("extendedResourceClaimStatus") or {}).get("requestMappings") or ()
    return any(m.get("containerName") == container["name"] and m.get("resourceName") == resource for m in mappings)


def _without_files(found: Edits) -> Edits:
    """A plain process sees all devices of the machine anyway."""
    return msgspec.structs.replace(found, mounts=[m for m in found.mounts if not _is_device(m.source)])


def _is_device(path: str) -> bool:
    file = Path(path)
    return file.is_char_device() or file.is_block_device()


__all__ = ["AllocationError", "CdiError", "ClaimError", "Desk", "PluginError"]
