"""Who has which device of this node: containers by extended resource, claims by name. Pure bookkeeping, written down at every change.

`own` (claims) and `handing` (extended resources) ask; `publishing` tells the cluster what is left. The scheduler counts the two ways apart,
so it is here that a device is given once: to one container, or to one claim, which may share it. What is written down outlives a kill -9.
Contract: kubelet device manager (texts, devices of init containers used again).
"""

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from lightship.meta.objects import Obj

from . import record
from .device import Device


class Holder(NamedTuple):
    """Who has a device: a container of a pod, or a claim (`container` empty)."""

    uid: str
    container: str = ""


class DevicesExhaustedError(Exception):
    """Fewer devices are free than were promised, or one is somebody else's."""


class Ledger:
    """`devices` and their holders. `path` keeps the holders; None: nobody does."""

    def __init__(self, devices: Iterable[Device], path: Path | None = None) -> None:
        self.devices = {device.name: device for device in devices}
        self._path = path
        self._held: dict[Holder, list[str]] = {}
        self.promised: set[str] = set()
        """Names of what the scheduler has given to claims, whose pods may still be on their way here."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after every change."""
        self._load()

    def assign(self, pod: str, container: str, resource: str, count: int, reusable: Collection[str] = ()) -> list[Device]:
        """The devices of a container for one resource, the same ones at every restart. `reusable`: names that init containers of its
        pod had. Raises `DevicesExhaustedError`.
        """
        holder = Holder(pod, container)
        mine = [n for n in self._held.get(holder, ()) if n in self.devices and self.devices[n].resource == resource]
        if not mine and count:
            free = [n for n in reusable if self.devices[n].resource == resource]
            free += [d.name for d in self.free() if d.resource == resource and d.name not in free]
            if len(free) < count:
                raise DevicesExhaustedError(
                    f"requested number of devices unavailable for {resource}. Requested: {count}, Available: {len(free)}"
                )
            mine = free[:count]
            self._held[holder] = [*self._held.get(holder, ()), *mine]
            self._changed()
        return [self.devices[n] for n in mine]

    def of(self, pod: str, container: str) -> list[Device]:
        """What a container was assigned, of any resource."""
        return [self.devices[n] for n in self._held.get(Holder(pod, container), ()) if n in self.devices]

    def claim(self, uid: str, names: Collection[str]) -> None:
        """These are a claim's from now on. Raises `DevicesExhaustedError` for what is not there or somebody else's."""
        for name in names:
            if name not in self.devices:
                raise DevicesExhaustedError(f"there is no device {name} on this node")
            other = next((holder for holder, held in self._held.items() if name in held and holder.uid != uid), None)
            if other is not None:
                whose = f"container {other.container} of pod" if other.container else "claim"
                raise DevicesExhaustedError(f"device {name} is in use by {whose} {other.uid}")
        if names and self._held.get(Holder(uid)) != list(names):
            self._held[Holder(uid)] = list(names)
            self._changed()

    def release(self, uid: str) -> None:
        """Give back everything of a pod, or of a claim; idempotent."""
        gone = [holder for holder in self._held if holder.uid == uid]
        for holder in gone:
            del self._held[holder]
        if gone:
            self._changed()

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget pods that are not there any more; claims are `prepared`'s to forget."""
        gone = [holder for holder in self._held if holder.container and holder.uid not in uids]
        for holder in gone:
            del self._held[holder]
        if gone:
            self._changed()

    def free(self) -> list[Device]:
        """What nobody has, nor was promised."""
        taken = self.promised.union(*self._held.values())
        return [d for d in self.devices.values() if d.name not in taken]

    def given_by_count(self) -> set[str]:
        """Names of what containers have as extended resources: no claim may want them."""
        return {name for holder, held in self._held.items() if holder.container for name in held}

    def given_by_claim(self) -> set[str]:
        return {name for holder, held in self._held.items() if not holder.container for name in held}

    def _changed(self) -> None:
        if self._path is not None:
            entries: list[Obj] = [{"uid": h.uid, "container": h.container, "devices": held} for h, held in self._held.items()]
            record.write(self._path, {"held": entries})
        self.on_change()

    def _load(self) -> None:
        if self._path is not None:
            for entry in record.read(self._path).get("held") or ():
                self._held[Holder(entry["uid"], entry["container"])] = list(entry["devices"])
