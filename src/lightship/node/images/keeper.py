"""Keeps the store of environments small and the Node honest: what nobody uses goes when the disk is nearly full, and the Node's status
lists what is there.

The agent runs one `Keeper`. Every five minutes it gives back what pods no longer use and looks at the disk: that is all it costs.
Contract: the kubelet's image garbage collection (85 and 80 percent, two minutes) and its `status.images`.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable

import msgspec

from lightship import kinds
from lightship.aio.clock import Clock
from lightship.client import Client
from lightship.control.events import Recorder
from lightship.meta import errors, objects
from lightship.meta.objects import Obj

from .catalogue import Catalogue
from .store import InUseError, Store, Stored

log = logging.getLogger(__name__)

PERIOD = 300.0
"""Seconds between looks at the disk."""
MOST_IMAGES = 50
"""Contract: the kubelet's nodeStatusMaxImages."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """When to remove what. Percent of the disk, seconds of age."""

    high: int = 85
    low: int = 80
    least_age: float = 120.0
    """What was used less than so long ago stays."""


class Disk(msgspec.Struct, frozen=True):
    """Bytes of the disk that the store is on; what is kept back from users belongs to neither."""

    total: int
    free: int

    @property
    def used_percent(self) -> int:
        return 100 - self.free * 100 // self.total if self.total else 0


def measure(store: Store) -> Disk:
    """The disk as it is now. Raises `OSError`."""
    place = store.directory
    while not place.exists():
        place = place.parent
    found = os.statvfs(place)
    return Disk((found.f_blocks - found.f_bfree + found.f_bavail) * found.f_frsize, found.f_bavail * found.f_frsize)


async def collect(store: Store, policy: Policy, now: float, disk: Disk) -> tuple[int, int]:
    """Free space when the disk is too full: (bytes that were wanted, bytes that were freed)."""
    if disk.used_percent < policy.high:
        return 0, 0
    wanted, freed = disk.total * (100 - policy.low) // 100 - disk.free, 0
    await asyncio.to_thread(store.sweep)
    for stored in removable(await asyncio.to_thread(store.listed), now, policy.least_age):
        if freed >= wanted:
            break
        try:
            freed += await store.remove(stored.name)
            log.info("removed an environment to free space name=%s", stored.name)
        except (InUseError, KeyError):
            continue  # used, or removed, since we looked
    return wanted, freed


async def reclaim(store: Store, policy: Policy, now: float) -> int:
    """Remove all that nobody uses, however full the disk is: the bytes that were freed. Raises `OSError`.

    Contract: kubelet DeleteUnusedImages; what has only just been made stays, since a pod is about to use it.
    """
    disk = measure(store)
    return (await collect(store, msgspec.structs.replace(policy, high=0, low=0), now, disk))[1]


def removable(listed: Iterable[Stored], now: float, least_age: float) -> list[Stored]:
    """What nobody uses and could be made again, least recently used first; a time to come was told by a clock that has been set back."""
    idle = [s for s in listed if not s.used_by and not s.record.kept and abs(now - s.last_used) >= least_age]
    return sorted(idle, key=lambda s: s.last_used)


def node_images(listed: Iterable[Stored]) -> list[Obj]:
    """`status.images`, the largest first; a name that once meant another environment counts for the one used last."""
    named = {name: s.record.size for s in sorted(listed, key=lambda s: s.last_used) for name in s.record.images}
    return [{"names": [name], "sizeBytes": size} for name, size in sorted(named.items(), key=lambda n: (-n[1], n[0]))[:MOST_IMAGES]]


class Keeper:
    """The loop of one node."""

    def __init__(
        self, client: Client, recorder: Recorder, clock: Clock, catalogue: Catalogue, node: str, in_use: Callable[[], set[str]]
    ) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._catalogue = catalogue
        self._node = node
        self._policy = Policy()
        catalogue.users.append(in_use)

    async def run(self) -> None:
        """Keep until cancelled."""
        changed = self._catalogue.listen()
        while True:
            try:
                await self._tell()
                await self._tidy()
            except (OSError, errors.StatusError) as error:
                log.warning("environments could not be looked after node=%s error=%s", self._node, error)
            await self._next(changed)

    async def reclaim(self) -> None:
        """Free the disk of what nobody uses, before a pod has to go for it. Raises `OSError`."""
        store = self._catalogue.tidy(self._policy.least_age)
        if store is not None:
            freed = await reclaim(store, self._policy, self._clock.now())
            log.info("removed what no pod uses, since the disk is full node=%s bytes=%d", self._node, freed)

    async def _next(self, changed: asyncio.Event) -> None:
        """Wait for the next look; new images are told of at once."""
        ends = self._clock.monotonic() + PERIOD
        while (left := ends - self._clock.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    await changed.wait()
            except TimeoutError:
                return
            changed.clear()
            await self._tell()

    async def _tell(self) -> None:
        """What fails today (a full disk, an outage) the next look may bring; a node goes on without."""
        try:
            await self._list()
        except (OSError, errors.StatusError) as error:
            log.warning("environments could not be listed node=%s error=%s", self._node, error)

    async def _list(self) -> None:
        images = node_images(await self._catalogue.stored())
        for _ in range(3):
            node = await self._client.get_or_none(kinds.NODES, self._node)
            if node is None or (objects.status(node).get("images") or []) == images:
                return
            try:
                await self._client.patch_status(kinds.NODES, node, {**objects.status(node), "images": images})
            except errors.StatusError as error:
                if not errors.is_conflict(error):
                    raise
            else:
                return

    async def _tidy(self) -> None:
        store = self._catalogue.tidy(self._policy.least_age)
        if store is None:
            return
        disk = measure(store)
        wanted, freed = await collect(store, self._policy, self._clock.now(), disk)
        if freed < wanted:
            message = (
                f"Insufficient free disk space on the node's image filesystem ({disk.used_percent}% of {disk.total / 2**30:.1f} GiB used). "
                f"Failed to free sufficient space by deleting unused images (freed {freed} bytes). "
                "Investigate disk usage, as it could be used by active images, logs, volumes, or other data."
            )
            node = await self._client.get_or_none(kinds.NODES, self._node)
            if node is not None:
                self._recorder.event(node, "Warning", "FreeDiskSpaceFailed", message)
