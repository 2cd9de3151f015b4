"""Empties namespaces that are being deleted, pods first, and lets them go when nothing is left in them.

Woken by namespaces, and by objects in them that take their time to go. Works through the API alone. Nothing but pods is deleted while
there are pods, so that none runs without its policies, secrets and volumes.
Contract: core/v1 Namespace, finalizer `kubernetes` in spec.finalizers and its conditions; ordered deletion (KEP-5080).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lightship.builtin.known_kinds import KnownKinds
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch, itself
from lightship.kinds import NAMESPACES, PODS
from lightship.meta import conditions, errors, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions

FINALIZER = "kubernetes"
AGAIN_SECONDS = 5.0
"""How soon to look again at what is left of kinds that nothing here watches."""
_WHOLE = DeleteOptions(propagation_policy="Background")
"""What depends on a thing goes too, whatever the kind does by itself (Jobs would leave their pods)."""
_FINE = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
    "NamespaceDeletionContentFailure": ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}
"""Reason and message of each condition that a deleted namespace has, as long as it is false."""


@dataclass
class Left:
    """What a look into a namespace has found: how many of each kind, what holds them, and what could not be deleted."""

    kinds: Counter[str] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def controller(manager: Manager, kinds: KnownKinds) -> Controller:
    watched = {resource.bucket: resource for resource in kinds if _can_be_inside(resource)}
    watches = [itself(NAMESPACES), *(Watch(resource, _leaving) for resource in watched.values())]
    return Controller("namespace", NamespaceReconciler(manager, kinds, frozenset(watched)), watches=watches, workers=2)


class NamespaceReconciler:
    def __init__(self, manager: Manager, kinds: KnownKinds, watched: frozenset[str]) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._kinds = kinds
        self._watched = watched
        self._namespaces = manager.cache.informer(NAMESPACES)
        self._rests: dict[Key, float] = {}
        """Until when (monotonic) a namespace is left alone whose kinds could not all be looked at: to tell so is a change that wakes us."""

    async def reconcile(self, key: Key) -> Outcome:
        namespace = self._namespaces.get(key)
        if namespace is None or not objects.is_deleting(namespace) or FINALIZER not in _finalizers(namespace):
            self._rests.pop(key, None)
            return Done()
        if (rest := self._rests.get(key, 0.0) - self._clock.monotonic()) > 0:
            return RequeueAfter(rest)
        left = Left()
        await self._empty(PODS, key.name, left)
        unwatched = False
        if not left.kinds:
            for resource in [kind for kind in self._kinds if _can_be_inside(kind) and kind != PODS]:
                found = await self._empty(resource, key.name, left)
                unwatched = unwatched or (found and resource.bucket not in self._watched)
        if left.failures:
            self._rests[key] = self._clock.monotonic() + AGAIN_SECONDS
        if left.kinds or left.failures:
            await self._report(namespace, left)
            return RequeueAfter(AGAIN_SECONDS) if unwatched or left.failures else Done()
        await self._finalize(namespace)
        return Done()

    async def _empty(self, resource: Resource, namespace: str, left: Left) -> bool:
        """Delete all of a kind; is something still there? What finalizers or grace periods hold wakes us when it goes."""
        try:
            if not (await self._client.list(resource, namespace)).items:
                return False
            if "deletecollection" in resource.verbs:
                await self._client.delete_collection(resource, namespace, options=_WHOLE)
            items = (await self._client.list(resource, namespace)).items
        except errors.StatusError as error:
            if error.code not in (404, 405):
                left.failures.append(error.message)
            return False
        if items:
            left.kinds[f"{resource.plural}.{resource.group}"] += len(items)
            left.finalizers.update(finalizer for item in items for finalizer in objects.meta(item).get("finalizers") or ())
        return bool(items)

    async def _report(self, namespace: Obj, left: Left) -> None:
        status = objects.status(namespace)
        changed = conditions_of(status.get("conditions") or [], left, self._clock.now())
        await self._client.patch_status(NAMESPACES, namespace, {**status, "conditions": changed})

    async def _finalize(self, namespace: Obj) -> None:
        name, rest = objects.name(namespace), [f for f in _finalizers(namespace) if f != FINALIZER]
        wanted = {**namespace, "spec": {**objects.spec(namespace), "finalizers": rest}}
        try:
            await self._client.transport.update(NAMESPACES, "", name, wanted, subresource="finalize")
        except errors.StatusError as error:
            if not errors.is_not_found(error):
                raise


def conditions_of(known: list[Obj], left: Left, now: float) -> list[Obj]:
    """All five conditions of a namespace that still has something in it. `now` in seconds since the epoch."""
    wrong: dict[str, tuple[str, str]] = {}
    if left.failures:
        told = f"Failed to delete all resource types, {len(left.failures)} remaining: {', '.join(sorted(left.failures))}"
        wrong["NamespaceDeletionContentFailure"] = ("ContentDeletionFailed", told)
    if left.kinds:
        listed = ", ".join(f"{kind} has {count} resource instances" for kind, count in sorted(left.kinds.items()))
        wrong["NamespaceContentRemaining"] = ("SomeResourcesRemain", f"Some resources are remaining: {listed}")
    if left.finalizers:
        listed = ", ".join(f"{finalizer} in {count} resource instances" for finalizer, count in sorted(left.finalizers.items()))
        told = f"Some content in the namespace has finalizers remaining: {listed}"
        wrong["NamespaceFinalizersRemaining"] = ("SomeFinalizersRemain", told)
    for type, fine in _FINE.items():
        reason, message = wrong.get(type, fine)
        known = conditions.set_condition(known, type, type in wrong, reason, message, now)
    return known


def _can_be_inside(resource: Resource) -> bool:
    return resource.namespaced and "list" in resource.verbs and "delete" in resource.verbs


def _finalizers(namespace: Obj) -> list[str]:
    return objects.spec(namespace).get("finalizers") or []


def _leaving(obj: Obj) -> Iterable[Key]:
    return (Key("", objects.namespace(obj)),) if objects.is_deleting(obj) else ()
