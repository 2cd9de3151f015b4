"""The garbage collector: finds owners and dependents through the informers of all kinds and carries out what `decide` says.

Its queue holds one key for every object that may have to go, whatever its kind. Informers tell which: the object itself, its owners when
it goes (they may wait for it), its dependents when it goes or starts to wait for them. Whether an owner is really gone is asked of the
server, since a cache may only be late. Kinds that are not known here are never collected, and never count as gone.
"""

from collections.abc import Iterable

from lightship.builtin.garbage import decide as rules
from lightship.builtin.garbage.decide import Decision, Delete, Disown, Finish, Owner, Release
from lightship.builtin.known_kinds import KnownKinds
from lightship.client.informer import Informer
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter
from lightship.kinds import EVENTS
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions

OWNER_INDEX = "builtin/owner"
REMEMBERED = 10_000
"""Owners known to be gone; beyond it they are asked for again."""

UNSEEN_SECONDS = 1.0
"""How soon to look again at an object whose owner the server has and the cache does not: if it goes unseen, nothing else would tell."""


def controller(manager: Manager, kinds: KnownKinds) -> Controller:
    """Collect over these kinds; events come and go by themselves."""
    collector = Collector(manager, kinds)
    controller = Controller("garbagecollector", collector, watches=[], workers=8)
    collector.listen(controller)
    return controller


class Collector:
    """The reconciler. A key is (`<bucket> <namespace>`, name)."""

    def __init__(self, manager: Manager, kinds: KnownKinds) -> None:
        self._client = manager.client
        self._cache = manager.cache
        self._informers: dict[str, Informer] = {}
        self._kinds: dict[tuple[str, str], str] = {}
        self._gone: dict[str, None] = {}
        self._controller: Controller | None = None
        for resource in kinds:
            self._changed(resource, served=True)
        kinds.on_change(lambda resource, served: self._changed(resource, served=served))

    def listen(self, controller: Controller) -> None:
        """From now on changes of objects put keys into the controller's queue."""
        self._controller = controller
        for bucket, informer in self._informers.items():
            informer.on_change(_Listener(self, controller, bucket))

    def _changed(self, resource: Resource, *, served: bool) -> None:
        """Collect a kind from now on, or no longer."""
        bucket = resource.bucket
        if bucket == EVENTS.bucket or "watch" not in resource.verbs:
            return
        if not served:
            self._informers.pop(bucket, None)
            self._kinds.pop((resource.group, resource.kind), None)
            self._cache.drop(resource)
            return
        informer = self._cache.informer(resource)
        informer.add_index(OWNER_INDEX, _owner_uids)
        self._informers[bucket] = informer
        self._kinds[resource.group, resource.kind] = bucket
        if self._controller is not None:
            informer.on_change(_Listener(self, self._controller, bucket))

    async def reconcile(self, key: Key) -> Outcome:
        bucket, _, namespace = key.namespace.partition(" ")
        informer = self._informers.get(bucket)
        obj = informer.glance(Key(namespace, key.name)) if informer is not None else None
        if informer is None or obj is None:
            return Done()
        owners = {ref["uid"]: await self._state(ref, namespace) for ref in objects.owners(obj)}
        matter = objects.is_deleting(obj) or Owner.WAITING in owners.values()
        dependents = [obj for _, obj in self.dependents(objects.uid(obj))] if matter else []
        await self._carry_out(rules.decide(obj, owners, dependents), informer.resource, obj)
        return RequeueAfter(UNSEEN_SECONDS) if self._has_unseen_owner(obj, namespace) else Done()

    def dependents(self, uid: str) -> Iterable[tuple[str, Obj]]:
        """The objects that name `uid` as an owner, each with its bucket."""
        for bucket, informer in self._informers.items():
            for obj in informer.by_index(OWNER_INDEX, uid):
                yield bucket, obj

    def owner_keys(self, obj: Obj) -> Iterable[Key]:
        """The queue's keys for the owners of an object that are of kinds we know."""
        for ref in objects.owners(obj):
            bucket = self._bucket(ref)
            if bucket is not None:
                yield queue_key(bucket, self._owner_key(bucket, ref, objects.namespace(obj)))

    async def _state(self, ref: Obj, namespace: str) -> Owner:
        bucket, uid = self._bucket(ref), ref["uid"]
        if uid in self._gone:
            return Owner.ABSENT
        if bucket is None:
            return Owner.SOLID
        informer = self._informers[bucket]
        key = self._owner_key(bucket, ref, namespace)
        owner = informer.get(key)
        if owner is None or objects.uid(owner) != uid:
            owner = await self._client.get_or_none(informer.resource, key.name, key.namespace)
            if owner is None or objects.uid(owner) != uid:
                self._remember_gone(uid)
                return Owner.ABSENT
        return Owner.WAITING if rules.is_waiting(owner) else Owner.SOLID

    def _has_unseen_owner(self, obj: Obj, namespace: str) -> bool:
        for ref in objects.owners(obj):
            bucket = self._bucket(ref)
            if bucket is not None and ref["uid"] not in self._gone:
                owner = self._informers[bucket].get(self._owner_key(bucket, ref, namespace))
                if owner is None or objects.uid(owner) != ref["uid"]:
                    return True
        return False

    def _bucket(self, ref: Obj) -> str | None:
        group, _ = objects.split_api_version(ref.get("apiVersion", ""))
        return self._kinds.get((group, ref.get("kind", "")))

    def _owner_key(self, bucket: str, ref: Obj, namespace: str) -> Key:
        return Key(namespace if self._informers[bucket].resource.namespaced else "", ref.get("name", ""))

    def _remember_gone(self, uid: str) -> None:
        """A uid never comes back, so that it is gone can be remembered."""
        self._gone[uid] = None
        if len(self._gone) > REMEMBERED:
            self._gone.pop(next(iter(self._gone)))

    async def _carry_out(self, decision: Decision, resource: Resource, obj: Obj) -> None:
        """Every write names the resourceVersion that the decision was made on; what changed meanwhile is decided anew."""
        match decision:
            case Delete():
                if decision.unblock:
                    obj = await self._write(resource, obj, ownerReferences=_unblocked(obj))
                await self._delete(resource, obj, decision.propagation)
            case Disown():
                await self._write(resource, obj, ownerReferences=_without(obj, decision.uids))
            case Finish():
                await self._finish(resource, obj, decision.finalizer)
            case Release():
                uid = frozenset((objects.uid(obj),))
                for bucket, dependent in list(self.dependents(objects.uid(obj))):
                    await self._write(self._informers[bucket].resource, dependent, ownerReferences=_without(dependent, uid))
                await self._finish(resource, obj, rules.ORPHAN)

    async def _delete(self, resource: Resource, obj: Obj, propagation: str) -> None:
        version = objects.meta(obj).get("resourceVersion", "")
        options = DeleteOptions(uid=objects.uid(obj), resource_version=version, propagation_policy=propagation)
        await self._client.delete(resource, objects.name(obj), objects.namespace(obj), options, missing_ok=True)

    async def _finish(self, resource: Resource, obj: Obj, finalizer: str) -> None:
        await self._write(resource, obj, finalizers=[f for f in rules.finalizers(obj) if f != finalizer])

    async def _write(self, resource: Resource, obj: Obj, **metadata: list[str] | list[Obj]) -> Obj:
        """Change metadata; an object that is gone needs no change."""
        patch = {"metadata": {"uid": objects.uid(obj), "resourceVersion": objects.meta(obj).get("resourceVersion"), **metadata}}
        try:
            return await self._client.patch(resource, objects.name(obj), patch, objects.namespace(obj))
        except errors.StatusError as error:
            if not errors.is_not_found(error):
                raise
            return obj


class _Listener:
    """Puts into the queue whatever a change of an object of one kind may concern."""

    def __init__(self, collector: Collector, controller: Controller, bucket: str) -> None:
        self._collector = collector
        self._controller = controller
        self._bucket = bucket

    def __call__(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        for wake in self._concerned(key, old, new):
            self._controller.enqueue(wake)

    def _concerned(self, key: Key, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if new is not None and (objects.owners(new) or rules.finalizers(new)) and (old is None or _turns(old, new)):
            yield queue_key(self._bucket, key)
        if old is not None and (new is None or objects.owners(old) != objects.owners(new)):
            yield from self._collector.owner_keys(old)
        replaced = old is not None and (new is None or objects.uid(new) != objects.uid(old))
        if replaced and old is not None:
            yield from self._dependents(old)
        if new is not None and rules.is_waiting(new) and not (old is not None and rules.is_waiting(old)):
            yield from self._dependents(new)

    def _dependents(self, obj: Obj) -> Iterable[Key]:
        return [queue_key(bucket, objects.key(child)) for bucket, child in self._collector.dependents(objects.uid(obj))]


def _turns(old: Obj, new: Obj) -> bool:
    """Has anything changed that a decision about the object itself rests on? Most changes are of specs and statuses."""
    before, after = objects.meta(old), objects.meta(new)
    return any(before.get(field) != after.get(field) for field in ("uid", "ownerReferences", "finalizers", "deletionTimestamp"))


def queue_key(bucket: str, key: Key) -> Key:
    """The key of an object of some kind in the collector's queue."""
    return Key(f"{bucket} {key.namespace}", key.name)


def _owner_uids(obj: Obj) -> Iterable[str]:
    return (ref["uid"] for ref in objects.owners(obj) if ref.get("uid"))


def _without(obj: Obj, uids: frozenset[str]) -> list[Obj]:
    return [ref for ref in objects.owners(obj) if ref.get("uid") not in uids]


def _unblocked(obj: Obj) -> list[Obj]:
    return [{**ref, "blockOwnerDeletion": False} for ref in objects.owners(obj)]
