"""Empties namespaces that are being deleted, pods first, and lets them go when nothing is left in them.

Woken by namespaces, and by objects in them that take their time to go. Works through the API alone, so it empties what `main` names and
nothing else.
Contract: core/v1 Namespace, finalizer `kubernetes` in spec.finalizers; condition NamespaceContentRemaining.
"""

from collections.abc import Iterable, Sequence

from lightship.control import Controller, Done, Manager, Outcome, Watch, itself
from lightship.kinds import NAMESPACES, PODS
from lightship.meta import conditions, errors, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions

FINALIZER = "kubernetes"
_WHOLE = DeleteOptions(propagation_policy="Background")
"""What depends on a thing goes too, whatever the kind does by itself (Jobs would leave their pods)."""
REMAINING = "NamespaceContentRemaining"


def controller(manager: Manager, resources: Iterable[Resource]) -> Controller:
    contents = _contents(resources)
    watches = [itself(NAMESPACES), *(Watch(resource, _leaving) for resource in contents)]
    return Controller("namespace", NamespaceReconciler(manager, contents), watches=watches, workers=2)


class NamespaceReconciler:
    def __init__(self, manager: Manager, contents: Sequence[Resource]) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._contents = contents
        self._namespaces = manager.cache.informer(NAMESPACES)

    async def reconcile(self, key: Key) -> Outcome:
        namespace = self._namespaces.get(key)
        if namespace is None or not objects.is_deleting(namespace) or FINALIZER not in _finalizers(namespace):
            return Done()
        left = {resource.plural: count for resource in self._contents if (count := await self._empty(resource, key.name))}
        if left:
            await self._report(namespace, left)
        else:
            await self._finalize(namespace)
        return Done()

    async def _empty(self, resource: Resource, namespace: str) -> int:
        """Delete all of a kind; how many are still there. Those that finalizers or grace periods hold wake us when they go."""
        if not (await self._client.list(resource, namespace)).items:
            return 0
        try:
            await self._client.delete_collection(resource, namespace, options=_WHOLE)
        except errors.StatusError as error:
            if error.code not in (404, 405):
                raise
        return len((await self._client.list(resource, namespace)).items)

    async def _report(self, namespace: Obj, left: dict[str, int]) -> None:
        listed = ", ".join(f"{plural} ({count})" for plural, count in left.items())
        status = objects.status(namespace)
        known = status.get("conditions") or []
        message = f"Some resources are remaining: {listed}"
        changed = conditions.set_condition(known, REMAINING, True, "SomeResourcesRemain", message, self._clock.now())
        await self._client.patch_status(NAMESPACES, namespace, {**status, "conditions": changed})

    async def _finalize(self, namespace: Obj) -> None:
        name, rest = objects.name(namespace), [f for f in _finalizers(namespace) if f != FINALIZER]
        wanted = {**namespace, "spec": {**objects.spec(namespace), "finalizers": rest}}
        try:
            await self._client.transport.update(NAMESPACES, "", name, wanted, subresource="finalize")
        except errors.StatusError as error:
            if not errors.is_not_found(error):
                raise


def _contents(resources: Iterable[Resource]) -> list[Resource]:
    """What can be in a namespace, pods first; kinds that share their storage count once."""
    by_bucket = {resource.bucket: resource for resource in resources if resource.namespaced and "delete" in resource.verbs}
    return sorted(by_bucket.values(), key=lambda resource: resource != PODS)


def _finalizers(namespace: Obj) -> list[str]:
    return objects.spec(namespace).get("finalizers") or []


def _leaving(obj: Obj) -> Iterable[Key]:
    return (Key("", objects.namespace(obj)),) if objects.is_deleting(obj) else ()
