"""Binds claims and volumes: reads the caches, asks `claims`, `volumes` and `reclaiming`, and takes their steps.

Woken by claims, volumes, classes, the pods that wait for a claim and those that wipe a volume. Keys with a namespace are claims, the
others volumes. Who makes volumes, and who deletes what drivers have made, is outside.
Contract: kube-controller-manager's persistentvolume-binder-controller. What upstream finds by looking at everything every 15 s is woken by
what has changed here.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from lightship.builtin import children, protection
from lightship.builtin.volumes import claims, reclaiming, terms, volumes
from lightship.builtin.volumes.steps import Create, Delete, Fail, Look, Reclaim, Say, Step, Write
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch
from lightship.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.rest import DeleteOptions

CLAIMED = "builtin/claimed"
FREE = "builtin/free"
WANTING = "builtin/wanting"
SWEEP = "class="
"""Keys that begin so are no volumes: all claims of that class are looked at, because there is something for them."""
TRY_AGAIN = 15.0
"""Seconds until a volume that could not be reclaimed is tried again."""
Remove = Callable[[str], Awaitable[None]]


def controller(manager: Manager, remove: Remove | None = None) -> Controller:
    """`remove` takes away a directory of this machine, and raises `OSError`; without it no volume's directory is removed."""
    binder = Binder(manager, remove)
    watches = [
        Watch(PERSISTENT_VOLUME_CLAIMS, binder.by_claim),
        Watch(PERSISTENT_VOLUMES, binder.by_volume),
        Watch(STORAGE_CLASSES, binder.by_class),
        Watch(PODS, binder.by_pod),
    ]
    found = Controller("persistentvolume-binder", binder, watches=watches, workers=4)
    binder.look = found.enqueue
    return found


class Binder:
    """Reconciles claims and volumes."""

    look: Callable[[Key], None]
    """Has another key looked at."""

    def __init__(self, manager: Manager, remove: Remove | None) -> None:
        self._client = manager.client
        self._recorder = manager.recorder
        self._remove = remove
        self._given: dict[str, str] = {}
        """Volumes that were just given to a claim, of this uid."""
        self._claims = manager.cache.informer(PERSISTENT_VOLUME_CLAIMS)
        self._volumes = manager.cache.informer(PERSISTENT_VOLUMES)
        self._classes = manager.cache.informer(STORAGE_CLASSES)
        self._pods = manager.cache.informer(PODS)
        self._pods.add_index(protection.CLAIM_INDEX, protection.claims_of_pod)
        self._claims.add_index(WANTING, _wanting)
        self._volumes.add_index(CLAIMED, _claimed)
        self._volumes.add_index(FREE, _free)

    # What wakes whom

    def by_claim(self, claim: Obj) -> Iterable[Key]:
        named = objects.spec(claim).get("volumeName")
        return [
            objects.key(claim),
            *([Key("", named)] if named else ()),
            *self._volumes.keys_by_index(CLAIMED, _text(objects.key(claim))),
        ]

    def by_volume(self, volume: Obj) -> Iterable[Key]:
        key = objects.key(volume)
        found = [key, *self._claims.keys_by_index(WANTING, f"volume {key.name}")]
        if terms.is_taken(volume):
            found.append(terms.claim_key(volume))
        now = self._volumes.get(key)
        if now is not None and not terms.is_taken(now) and objects.status(now).get("phase") == "Available":
            found.append(Key("", SWEEP + terms.class_of(now)))
        return found

    def by_class(self, storage_class: Obj) -> Iterable[Key]:
        return [Key("", SWEEP + objects.name(storage_class)), Key("", SWEEP)]

    def by_pod(self, pod: Obj) -> Iterable[Key]:
        wiped = reclaiming.wiped_by(pod)
        if objects.spec(pod).get("nodeName"):
            return wiped
        mounted = [Key(*text.split("/")) for text in protection.claims_of_pod(pod)]
        return [*wiped, *(key for key in mounted if _is_pending(self._claims.get(key)))]

    # What is done

    async def reconcile(self, key: Key) -> Outcome:
        if key.namespace:
            claim = self._claims.get(key)
            return await self._bind(claim) if claim is not None else Done()
        if key.name.startswith(SWEEP):
            for claim_key in self._claims.keys_by_index(WANTING, f"class {key.name.removeprefix(SWEEP)}"):
                self.look(claim_key)
            return Done()
        volume = self._volumes.get(key)
        if volume is None or terms.is_taken(volume):
            self._given.pop(key.name, None)
        return await self._take(volumes.sync(volume, await self._claim_of(volume))) if volume is not None else Done()

    async def _bind(self, claim: Obj) -> Outcome:
        """The volume that a claim gets is not offered to another one while the caches do not know of it."""
        steps = claims.sync(claim, self._around(claim))
        given = [objects.name(step.obj) for step in steps if isinstance(step, Write) and not objects.namespace(step.obj)]
        self._given |= dict.fromkeys(given, objects.uid(claim))
        try:
            return await self._take(steps)
        except BaseException:
            for name in given:
                self._given.pop(name, None)
            raise

    def _is_free(self, volume: Obj, claim: Obj) -> bool:
        return self._given.get(objects.name(volume)) in (None, objects.uid(claim))

    def _around(self, claim: Obj) -> claims.Surroundings:
        text = _text(objects.key(claim))
        meant = self._volumes.by_index(CLAIMED, text)
        free = self._volumes.by_index(FREE, terms.class_of(claim)) if not objects.spec(claim).get("volumeName") else ()
        return claims.Surroundings(
            volume=self._volumes.get(Key("", objects.spec(claim).get("volumeName") or "")),
            candidates=[*meant, *(volume for volume in free if self._is_free(volume, claim))],
            classes={objects.name(storage_class): storage_class for storage_class in self._classes.list()},
            waiting=[objects.name(pod) for pod in self._pods.by_index(protection.CLAIM_INDEX, text) if _waits(pod)],
        )

    async def _claim_of(self, volume: Obj) -> Obj | None:
        """The claim that a volume says it has. A volume is given back only on the word of the server, not of a cache."""
        reference = objects.spec(volume).get("claimRef") or {}
        if not reference.get("uid"):
            return None
        key = terms.claim_key(volume)
        found = self._claims.get(key)
        if found is None and objects.status(volume).get("phase") in ("Released", "Failed"):
            return None
        if found is not None and objects.uid(found) == reference["uid"]:
            return found
        return await self._client.get_or_none(PERSISTENT_VOLUME_CLAIMS, key.name, key.namespace)

    async def _take(self, steps: Sequence[Step]) -> Outcome:
        """Take the steps in order. Raises `StatusError` at the first that does not succeed."""
        outcome: Outcome = Done()
        versions: dict[str, str] = {}
        for step in steps:
            match step:
                case Write():
                    await self._write(step, versions)
                case Say(obj, type, reason, message):
                    self._recorder.event(obj, type, reason, message)
                case Look(key):
                    self.look(key)
                case Create(obj):
                    await self._client.create(PODS, obj)
                case Delete(obj):
                    await self._delete(obj)
                case Reclaim(volume):
                    outcome = await self._reclaim(volume)
                case Fail(message):
                    raise errors.conflict("persistentvolumeclaims", "", message)
        return outcome

    async def _write(self, step: Write, versions: dict[str, str]) -> None:
        resource = PERSISTENT_VOLUME_CLAIMS if objects.namespace(step.obj) else PERSISTENT_VOLUMES
        uid = objects.uid(step.obj)
        version = versions.get(uid, objects.meta(step.obj).get("resourceVersion"))
        obj = {**step.obj, "metadata": {**objects.meta(step.obj), "resourceVersion": version}}
        write = self._client.update_status if step.part else self._client.update
        versions[uid] = objects.meta(await write(resource, obj))["resourceVersion"]

    async def _delete(self, obj: Obj) -> None:
        if objects.namespace(obj):
            await children.remove_with(self._client, PODS, obj, DeleteOptions(uid=objects.uid(obj), grace_period_seconds=0))
        else:
            await children.remove(self._client, PERSISTENT_VOLUMES, obj)

    async def _reclaim(self, given: Obj) -> Outcome:
        """On what is stored at this moment."""
        volume = await self._client.get_or_none(PERSISTENT_VOLUMES, objects.name(given))
        if volume is None or objects.uid(volume) != objects.uid(given):
            return Done()
        claim = self._claims.get(terms.claim_key(volume))
        if not volumes.is_released(volume, claim):
            return Done()
        if objects.spec(volume).get("persistentVolumeReclaimPolicy") == "Delete":
            return await self._delete_whole(volume)
        pod = self._pods.get(reclaiming.wiper_key(volume))
        users = self._pods.by_index(protection.CLAIM_INDEX, _text(terms.claim_key(volume)))
        steps = reclaiming.recycle(volume, users, pod, claimed=claim is not None)
        await self._take(steps)
        return Done() if pod is None or _succeeds(steps) else RequeueAfter(TRY_AGAIN)

    async def _delete_whole(self, volume: Obj) -> Outcome:
        try:
            path = reclaiming.host_path(volume)
            if not path:
                return Done()
            if self._remove is None:
                raise ValueError(f"host_path deleter may not remove {path}: nobody has allowed paths of the host here")
            await self._remove(path)
        except OSError as error:
            await self._take(reclaiming.failed(volume, "VolumeFailedDelete", f"{error.strerror}: {error.filename}"))
            return RequeueAfter(TRY_AGAIN)
        except ValueError as error:
            return await self._take(reclaiming.failed(volume, "VolumeFailedDelete", str(error)))
        return await self._take(reclaiming.deleted(volume))


def _succeeds(steps: Sequence[Step]) -> bool:
    return not any(isinstance(step, Say) and step.reason == "VolumeFailedRecycle" for step in steps)


def _text(key: Key) -> str:
    return f"{key.namespace}/{key.name}"


def _claimed(volume: Obj) -> Iterable[str]:
    return (_text(terms.claim_key(volume)),) if terms.is_taken(volume) else ()


def _free(volume: Obj) -> Iterable[str]:
    return () if terms.is_taken(volume) else (terms.class_of(volume),)


def _wanting(claim: Obj) -> Iterable[str]:
    """What a claim waits for, or is bound to."""
    named = objects.spec(claim).get("volumeName")
    return (f"volume {named}",) if named else (f"class {terms.class_of(claim)}",)


def _is_pending(claim: Obj | None) -> bool:
    return claim is not None and not objects.spec(claim).get("volumeName")


def _waits(pod: Obj) -> bool:
    return not objects.spec(pod).get("nodeName") and objects.status(pod).get("phase") not in ("Succeeded", "Failed")
