"""The shell around the claims of pods: reads claims, classes and slices, opens a `Desk` for each plan, and writes what was granted.

Called by the scheduler's bind loop. Decides nothing itself. What could not be written, or whose answer was lost, is asked for before the
next plan, so that no device is given away that somebody has.
Contract: kube-scheduler 1.36 DynamicResources plugin (PreBind, Unreserve, PostFilter).
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import AsyncExitStack
from weakref import WeakValueDictionary

from lightship.control import Manager
from lightship.kinds import DEVICE_CLASSES, PODS, RESOURCE_CLAIMS, RESOURCE_SLICES
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from lightship.scheduler.claims import conditions, extended, wants
from lightship.scheduler.claims.deeds import Deeds, RefusedError, is_trouble
from lightship.scheduler.claims.desk import Desk, Facts, Grant, Release
from lightship.scheduler.claims.devices import Slice
from lightship.scheduler.claims.ledger import Ledger
from lightship.scheduler.claims.pools import Inventory
from lightship.scheduler.claims.wants import PodClaims
from lightship.scheduler.queue import Queue
from lightship.scheduler.snapshot import PodInfo

log = logging.getLogger(__name__)

EXTENDED_INDEX = "scheduler/extended-resource-claim"
KINDS = (RESOURCE_CLAIMS, DEVICE_CLASSES, RESOURCE_SLICES)
"""What the plan must be made again for."""
_IN_BIND = 'running PreBind plugin "DynamicResources": '


class Office:
    """`queue` is told when something has changed that can help pods which wait for devices."""

    def __init__(self, manager: Manager, queue: Queue) -> None:
        self._queue = queue
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._pods = manager.cache.informer(PODS)
        self._claims = manager.cache.informer(RESOURCE_CLAIMS)
        self._classes = manager.cache.informer(DEVICE_CLASSES)
        self._slices = manager.cache.informer(RESOURCE_SLICES)
        self._ledger = Ledger()
        self._deeds = Deeds(manager.client, manager.clock, manager.random, self._wrote)
        self._parsed: dict[Key, tuple[int, Slice]] = {}
        self._inventory: Inventory | None = None
        self._by_name: tuple[dict[str, Obj], dict[str, str]] | None = None
        """Classes by name, and the extended resources that they stand for."""
        self._doubtful: set[Key] = set()
        """Claims of which we do not know whether they were written."""
        self._asking: dict[Key, set[Key]] = {}
        """Pods that were planned in vain, or without their claim, by the claim."""
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._claims.on_change(self._note_claim)
        self._claims.add_index(EXTENDED_INDEX, _extended_for)
        self._classes.on_change(self._forget_classes)
        self._slices.on_change(self._forget_slice)

    def desk(self, pods: Iterable[PodInfo]) -> Desk | None:
        """What a plan for these pods must know of claims; None when none of them has any."""
        resources = self._named()[1]
        concerned = [pod for pod in pods if not pod.gates and (pod.claims or (resources and extended.asked(pod.requests, resources)))]
        known = {pod.uid: claims for pod in concerned if (claims := self._claims_of(pod)) is not None}
        if not known:
            return None
        classes, resources = self._named()
        return Desk(Facts(classes, resources, self._inventory_now(), self._ledger.taken, self._clock.now()), known)

    async def make_certain(self) -> None:
        """Ask how the claims are of which we do not know what became of a write."""
        for key in sorted(self._doubtful):
            live = await self._client.get_or_none(RESOURCE_CLAIMS, key.name, key.namespace)
            if live is not None:
                self._wrote(live)
            self._doubtful.discard(key)

    async def reserve(self, info: PodInfo, node: str, grant: Grant) -> bool:
        """Write what was granted; whether the pod may be bound now, or must wait until its devices are ready.

        Raises `RefusedError` when claims are not what they were taken for, with everything taken back."""
        pod = self._pod(info)
        async with AsyncExitStack() as held:
            # Pods that share a claim have been planned one on the other's allocation, and are written in that order.
            for key in sorted({objects.key(portion.claim) for portion in grant.portions if not portion.extended}):
                await held.enter_async_context(self._locks.setdefault(key, asyncio.Lock()))
            claims = await self._write(pod, grant)
        ready = all(conditions.readiness(claim).ready for claim in claims)
        if not ready:
            said = f"waiting for binding conditions for device on node {node}"
            self._recorder.event(pod, "Normal", "BindingConditionsPending", said)
        return ready

    async def _write(self, pod: Obj, grant: Grant) -> list[Obj]:
        claims: list[Obj] = []
        try:
            for portion in grant.portions:
                claims.append(await self._deeds.make(portion.claim) if portion.extended else self._newest(portion.claim))
                claims[-1] = await self._deeds.reserve(claims[-1], pod, portion)
            if grant.mappings:
                await self._tell_mappings(pod, claims[-1], grant)
        except errors.StatusError as error:
            self._doubtful.update(objects.key(claim) for claim in claims if objects.name(claim))
            if is_trouble(error):
                raise
            await self._take_back(pod, claims, grant)
            raise RefusedError(f"{_IN_BIND}{error.message}") from error
        except RefusedError as refusal:
            await self._take_back(pod, claims, grant)
            raise RefusedError(f"{_IN_BIND}{refusal}") from refusal
        return claims

    async def is_ready(self, info: PodInfo, grant: Grant | None) -> float | None:
        """None when all devices are ready, or the seconds for which to wait at most. Raises `RefusedError` when they never will be."""
        left: list[float] = []
        pod, grant = self._pod(info), grant or Grant(())
        found = [self._reserved_for(pod, portion.claim) for portion in grant.portions]
        for claim in found:
            state = conditions.readiness(claim) if claim is not None else conditions.Readiness(False, "claim is gone")
            now = self._clock.now()
            if state.is_over(now):
                await self._take_back(pod, [claim for claim in found if claim is not None], grant)
                why = state.failure or f"device binding timeout: claim={objects.name(claim or {})}"
                raise RefusedError(f"{_IN_BIND}{why}")
            if not state.ready:
                left.append((state.until or now + conditions.TIMEOUT) - now)
        return max(1.0, min(left)) if left else None

    async def release(self, release: Release) -> None:
        """Let go of a claim that keeps its pod from being planned."""
        try:
            if release.delete:
                await self._deeds.delete(release.claim)
            else:
                await self._deeds.give_up(self._newest(release.claim))
        except errors.StatusError as error:
            self._doubtful.add(objects.key(release.claim))
            if not errors.is_conflict(error) and not errors.is_not_found(error):
                raise

    async def _take_back(self, pod: Obj, claims: Iterable[Obj], grant: Grant) -> None:
        made = any(portion.extended for portion in grant.portions)
        for claim in claims:
            if not objects.name(claim):
                continue
            try:
                if made and objects.annotations(claim).get(wants.EXTENDED) == "true":
                    await self._deeds.delete(claim)
                elif wants.is_reserved(self._newest(claim), objects.uid(pod)):
                    await self._deeds.unreserve(self._newest(claim), pod)
            except (errors.StatusError, RefusedError) as error:
                self._doubtful.add(objects.key(claim))
                log.debug("reservation not taken back claim=%s error=%s", objects.key(claim), error)

    async def _tell_mappings(self, pod: Obj, claim: Obj, grant: Grant) -> None:
        """The node finds out from the pod's status which devices stand for its extended resources."""
        told = {"requestMappings": list(grant.mappings), "resourceClaimName": objects.name(claim)}
        patch = {"status": {"extendedResourceClaimStatus": told}}
        await self._client.patch(PODS, objects.name(pod), patch, objects.namespace(pod), subresource="status")

    def _pod(self, info: PodInfo) -> Obj:
        pod = self._pods.get(info.key)
        if pod is None or objects.uid(pod) != info.uid:
            raise RefusedError(f'pods "{info.key.name}" not found')
        return pod

    def _claims_of(self, info: PodInfo) -> PodClaims | None:
        pod = self._pods.get(info.key)
        if pod is None or objects.uid(pod) != info.uid:
            return None
        for entry in objects.spec(pod).get("resourceClaims") or ():
            if (name := wants.name_of(pod, entry)) is not None:
                self._asking.setdefault(Key(info.key.namespace, name), set()).add(info.key)
        stale = next(iter(self._claims.by_index(EXTENDED_INDEX, info.uid)), None)
        return wants.of_pod(pod, self._find)._replace(extended=stale)

    def _note_claim(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        """Devices that come free can help everybody, any other change those who use the claim."""
        self._ledger.note(key, old, new)
        had, has = (claim is not None and objects.status(claim).get("allocation") is not None for claim in (old, new))
        for pod in self._asking.pop(key, ()):
            self._queue.wake_pod(pod)
        if had and not has:
            self._queue.wake({"claims"})
        for claim in (old, new):
            if claim is not None and objects.annotations(claim).get(wants.EXTENDED) == "true" and (owner := objects.controller_of(claim)):
                self._queue.wake_pod(Key(key.namespace, owner["name"]))

    def _find(self, key: Key) -> Obj | None:
        return self._ledger.newest(key, self._claims.get(key))

    def _newest(self, claim: Obj) -> Obj:
        found = self._find(objects.key(claim))
        return found if found is not None and objects.uid(found) == objects.uid(claim) else claim

    def _reserved_for(self, pod: Obj, claim: Obj) -> Obj | None:
        """The claim as it is; one that was made for extended resources is found by its owner."""
        if objects.name(claim):
            return self._find(objects.key(claim))
        return next(iter(self._claims.by_index(EXTENDED_INDEX, objects.uid(pod))), None)

    def _wrote(self, claim: Obj) -> None:
        self._ledger.wrote(claim, self._claims.get(objects.key(claim)))

    def _named(self) -> tuple[dict[str, Obj], dict[str, str]]:
        if self._by_name is None:
            classes = self._classes.list()
            self._by_name = {objects.name(found): found for found in classes}, extended.mapped(classes)
        return self._by_name

    def _inventory_now(self) -> Inventory:
        """Slices that have not changed keep what was found out about their devices."""
        if self._inventory is None:
            parsed: dict[Key, tuple[int, Slice]] = {}
            for raw in self._slices.list():
                key, revision = objects.key(raw), objects.revision(raw)
                known = self._parsed.get(key)
                parsed[key] = known if known is not None and known[0] == revision else (revision, Slice(raw))
            self._parsed = parsed
            self._inventory = Inventory(slice for _, slice in parsed.values())
        return self._inventory

    def _forget_classes(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        self._by_name = None
        self._queue.wake({"claims", "resources"})

    def _forget_slice(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        self._inventory = None
        self._queue.wake({"claims"})


def _extended_for(claim: Obj) -> Iterable[str]:
    """The uid of the pod that a claim for extended resources was made for."""
    owner = objects.controller_of(claim)
    return (owner["uid"],) if owner and objects.annotations(claim).get(wants.EXTENDED) == "true" else ()
