"""Everything that pods of a node ask about devices, in one place: to be given them, to have their claims ready, to see them.

Made by `agent`, asked by the workers of pods. Extended resources are assigned when a pod is let in, claims are made ready before its
sandbox; what containers then see of either is told as `Edits`. Contract: kubelet device manager and DRA manager.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from lightship.client import Client
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj

from . import cdi, edits, own, podclaims
from .cdi import CdiError
from .device import DRIVER, Device, nothing_visible
from .driving import Driver, DriverError, Given
from .edits import Edits
from .ledger import DevicesExhaustedError, Ledger
from .own import OwnDriver
from .podclaims import ClaimError
from .prepared import Prepared


class AllocationError(Exception):
    """Devices that a pod was promised are not to be had, in the kubelet's words."""


class Desk:
    """The devices of one node. `directory` keeps what must outlive a restart."""

    def __init__(self, client: Client, node: str, devices: Iterable[Device], directory: Path, *, sandboxed: bool) -> None:
        self._sandboxed = sandboxed
        self.ledger = Ledger(devices, directory / "held.json")
        self._own = OwnDriver(node, self.ledger)
        self.prepared = Prepared(client, self.driver, directory / "claims.json")
        self.cdi_directories: Sequence[Path] = cdi.SYSTEM

    def driver(self, name: str) -> Driver:
        """Who prepares the devices of that driver. Raises `DriverError`."""
        if name == DRIVER:
            return self._own
        raise DriverError(f"DRA driver {name} is not registered")

    async def admit(self, pod: Obj) -> None:
        """Assign the extended resources of a pod. Raises `AllocationError`, and then nothing is assigned."""
        known = {d.resource for d in self.ledger.devices.values()}
        reusable: list[str] = []
        try:
            for container, passing in _containers(pod):
                for resource, count in _amounts(container).items():
                    if resource in known and not _by_claim(pod, container, resource):
                        taken = [d.name for d in self.ledger.assign(objects.uid(pod), container["name"], resource, count, reusable)]
                        reusable = [*reusable, *taken] if passing else [name for name in reusable if name not in taken]
        except DevicesExhaustedError as error:
            self.release(objects.uid(pod))
            raise AllocationError(f"Allocate failed due to {error}, which is unexpected") from error

    def release(self, pod: str) -> None:
        """Nothing of the pod of this uid uses its extended resources any more; idempotent."""
        self.ledger.release(pod)

    def edits(self, pod: Obj, container: Obj) -> Edits:
        """What a container sees of its devices. Raises `ClaimError` for a claim that is not ready, `CdiError`."""
        held = self.ledger.of(objects.uid(pod), container["name"])
        if not held and not podclaims.has_claims(pod):
            return self._none_given()
        names = list(dict.fromkeys(name for _, given in self.given(pod, container) for name in given.cdi))
        ours = [self._device(name.removeprefix(own.KIND)) for name in names if name.startswith(own.KIND)]
        others = [name for name in names if not name.startswith(own.KIND)]
        mine = own.edits([*held, *ours], sandboxed=self._sandboxed)
        found = edits.joined([self._none_given(), mine, cdi.resolve(others, self.cdi_directories)])
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
        if not (container.get("resources") or {}).get("claims"):
            return []
        told: dict[str, dict[str, Obj]] = {}
        for entry in container["resources"]["claims"]:
            name = f"claim:{entry['name']}" + (f"/{entry['request']}" if entry.get("request") else "")
            only = {**container, "resources": {"claims": [entry]}}
            for driver, device in self.given(pod, only):
                identity = device.cdi[0] if device.cdi else f"{driver}/{device.pool}/{device.device}"
                told.setdefault(name, {}).setdefault(identity, {"resourceID": identity, **self.healthy(driver, device)})
        return [{"name": name, "resources": list(resources.values())} for name, resources in told.items()]

    def healthy(self, driver: str, device: Given) -> Obj:
        """Health of one device, and what its driver says about it."""
        return {"health": "Healthy" if driver == DRIVER else "Unknown"}


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


__all__ = ["AllocationError", "CdiError", "ClaimError", "Desk"]
