"""Lets deleted volumes go when nobody uses them any more: takes away the finalizers that admission has put there.

A claim waits for the pods on nodes that mount it, a volume until it is no longer bound, an attributes class for the claims that name it.
Contract: kube-controller-manager pkg/controller/volume/{pvcprotection,pvprotection,vacprotection}.
"""

from collections.abc import Callable, Iterable

from lightship.control import Controller, Done, Manager, Outcome, Watch, finalizers, itself
from lightship.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTRIBUTES_CLASSES
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource

CLAIM_INDEX = "builtin/claim"
CLASS_INDEX = "builtin/attributes-class"


def controllers(manager: Manager) -> list[Controller]:
    pods = manager.cache.informer(PODS)
    pods.add_index(CLAIM_INDEX, _claims)
    claims = manager.cache.informer(PERSISTENT_VOLUME_CLAIMS)
    claims.add_index(CLASS_INDEX, _attributes_class)

    def mounted(claim: Obj) -> bool:
        name = f"{objects.namespace(claim)}/{objects.name(claim)}"
        return any(objects.spec(pod).get("nodeName") for pod in pods.by_index(CLAIM_INDEX, name))

    def bound(volume: Obj) -> bool:
        return objects.status(volume).get("phase") == "Bound"

    def named(attributes_class: Obj) -> bool:
        return bool(claims.keys_by_index(CLASS_INDEX, objects.name(attributes_class)))

    def claims_of(pod: Obj) -> Iterable[Key]:
        return [Key(*name.split("/")) for name in _claims(pod)]

    def class_of(claim: Obj) -> Iterable[Key]:
        return [Key("", name) for name in _attributes_class(claim)]

    return [
        _controller(manager, "pvc-protection", PERSISTENT_VOLUME_CLAIMS, "kubernetes.io/pvc-protection", mounted, Watch(PODS, claims_of)),
        _controller(manager, "pv-protection", PERSISTENT_VOLUMES, "kubernetes.io/pv-protection", bound),
        _controller(
            *(manager, "vac-protection", VOLUME_ATTRIBUTES_CLASSES, "kubernetes.io/vac-protection", named),
            Watch(PERSISTENT_VOLUME_CLAIMS, class_of),
        ),
    ]


def _controller(
    manager: Manager, name: str, resource: Resource, finalizer: str, in_use: Callable[[Obj], bool], *watches: Watch
) -> Controller:
    reconciler = ProtectionReconciler(manager, resource, finalizer, in_use)
    return Controller(name, reconciler, watches=[itself(resource), *watches])


class ProtectionReconciler:
    """Takes `finalizer` from deleted objects of one kind once `in_use` says no."""

    def __init__(self, manager: Manager, resource: Resource, finalizer: str, in_use: Callable[[Obj], bool]) -> None:
        self._client = manager.client
        self._informer = manager.cache.informer(resource)
        self._resource = resource
        self._finalizer = finalizer
        self._in_use = in_use

    async def reconcile(self, key: Key) -> Outcome:
        obj = self._informer.get(key)
        if obj is not None and objects.is_deleting(obj) and not self._in_use(obj):
            await finalizers.remove(self._client, self._resource, obj, self._finalizer)
        return Done()


def _claims(pod: Obj) -> Iterable[str]:
    """`namespace/name` of the claims that a pod mounts, those made for it alone included."""
    namespace, name = objects.namespace(pod), objects.name(pod)
    for volume in objects.spec(pod).get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            yield f"{namespace}/{volume['persistentVolumeClaim']['claimName']}"
        elif volume.get("ephemeral"):
            yield f"{namespace}/{name}-{volume['name']}"


def _attributes_class(claim: Obj) -> Iterable[str]:
    name = objects.spec(claim).get("volumeAttributesClassName")
    return (name,) if name else ()
