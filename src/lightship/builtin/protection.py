"""Keeps volumes and PodGroups that are in use: puts finalizers there where admission has not, and takes them away once nobody needs them.

A claim waits for the pods on nodes that mount it, a volume until it is no longer bound, an attributes class for the claims and volumes
that name it, a PodGroup for its pods that have not ended. Before a claim is let go the server is asked for pods, too: a cache may be
behind.
Contract: kube-controller-manager pkg/controller/volume/{pvcprotection,pvprotection,vacprotection}, pkg/controller/scheduling.
"""

from collections.abc import Awaitable, Callable, Iterable

from lightship.control import Controller, Done, Manager, Outcome, Watch, finalizers, itself
from lightship.kinds import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, POD_GROUPS, PODS, VOLUME_ATTRIBUTES_CLASSES, pod_phase
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource

CLAIM_INDEX = "builtin/claim"
CLASS_INDEX = "builtin/attributes-class"
GROUP_INDEX = "builtin/pod-group"
InUse = Callable[[Obj], Awaitable[bool]]


def controllers(manager: Manager) -> list[Controller]:
    pods = manager.cache.informer(PODS)
    pods.add_index(CLAIM_INDEX, claims_of_pod)
    claims = manager.cache.informer(PERSISTENT_VOLUME_CLAIMS)
    claims.add_index(CLASS_INDEX, attributes_classes)
    volumes = manager.cache.informer(PERSISTENT_VOLUMES)
    volumes.add_index(CLASS_INDEX, attributes_classes)

    async def mounted(claim: Obj) -> bool:
        name = f"{objects.namespace(claim)}/{objects.name(claim)}"
        if any(mounts(pod, claim) for pod in pods.by_index(CLAIM_INDEX, name)):
            return True
        return any(mounts(pod, claim) for pod in (await manager.client.list(PODS, objects.namespace(claim))).items)

    async def bound(volume: Obj) -> bool:
        return objects.status(volume).get("phase") == "Bound"

    async def named(attributes_class: Obj) -> bool:
        name = objects.name(attributes_class)
        return bool(claims.keys_by_index(CLASS_INDEX, name) or volumes.keys_by_index(CLASS_INDEX, name))

    def claims_of(pod: Obj) -> Iterable[Key]:
        return [Key(*name.split("/")) for name in claims_of_pod(pod)]

    def classes_of(obj: Obj) -> Iterable[Key]:
        return [Key("", name) for name in attributes_classes(obj)]

    return [
        _controller(manager, "pvc-protection", PERSISTENT_VOLUME_CLAIMS, "kubernetes.io/pvc-protection", mounted, Watch(PODS, claims_of)),
        _controller(manager, "pv-protection", PERSISTENT_VOLUMES, "kubernetes.io/pv-protection", bound),
        _controller(
            *(manager, "vac-protection", VOLUME_ATTRIBUTES_CLASSES, "kubernetes.io/vac-protection", named),
            *(Watch(PERSISTENT_VOLUME_CLAIMS, classes_of), Watch(PERSISTENT_VOLUMES, classes_of)),
        ),
    ]


def groups(manager: Manager) -> Controller:
    """For PodGroups, where the server has them."""
    pods = manager.cache.informer(PODS)
    pods.add_index(GROUP_INDEX, _living_in)

    async def in_use(group: Obj) -> bool:
        return bool(pods.keys_by_index(GROUP_INDEX, f"{objects.namespace(group)}/{objects.name(group)}"))

    def group_of(pod: Obj) -> Iterable[Key]:
        name = (objects.spec(pod).get("schedulingGroup") or {}).get("podGroupName")
        return [Key(objects.namespace(pod), name)] if name else ()

    finalizer = "scheduling.k8s.io/podgroup-protection"
    return _controller(manager, "podgroup-protection", POD_GROUPS, finalizer, in_use, Watch(PODS, group_of))


def _controller(manager: Manager, name: str, resource: Resource, finalizer: str, in_use: InUse, *watches: Watch) -> Controller:
    reconciler = ProtectionReconciler(manager, resource, finalizer, in_use)
    return Controller(name, reconciler, watches=[itself(resource), *watches])


class ProtectionReconciler:
    """Keeps `finalizer` on objects of one kind until they are deleted and `in_use` says no."""

    def __init__(self, manager: Manager, resource: Resource, finalizer: str, in_use: InUse) -> None:
        self._client = manager.client
        self._informer = manager.cache.informer(resource)
        self._resource = resource
        self._finalizer = finalizer
        self._in_use = in_use

    async def reconcile(self, key: Key) -> Outcome:
        obj = self._informer.get(key)
        if obj is None:
            return Done()
        if not objects.is_deleting(obj):
            if not finalizers.has(obj, self._finalizer):
                await finalizers.add(self._client, self._resource, obj, self._finalizer)
        elif finalizers.has(obj, self._finalizer) and not await self._in_use(obj):
            await finalizers.remove(self._client, self._resource, obj, self._finalizer)
        return Done()


def mounts(pod: Obj, claim: Obj) -> bool:
    """Does a pod that has a node use the claim? One made for a pod is the pod's own, and free once that has been shut down."""
    if not objects.spec(pod).get("nodeName"):
        return False
    shut_down = objects.is_deleting(pod) and objects.meta(pod).get("deletionGracePeriodSeconds") == 0
    for volume in objects.spec(pod).get("volumes") or ():
        if (volume.get("persistentVolumeClaim") or {}).get("claimName") == objects.name(claim):
            return True
        made = volume.get("ephemeral") is not None and f"{objects.name(pod)}-{volume['name']}" == objects.name(claim)
        if made and not shut_down and objects.is_controlled_by(claim, pod):
            return True
    return False


def claims_of_pod(pod: Obj) -> Iterable[str]:
    """`namespace/name` of the claims that a pod mounts, those made for it alone included."""
    namespace, name = objects.namespace(pod), objects.name(pod)
    for volume in objects.spec(pod).get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            yield f"{namespace}/{volume['persistentVolumeClaim']['claimName']}"
        elif volume.get("ephemeral"):
            yield f"{namespace}/{name}-{volume['name']}"


def attributes_classes(obj: Obj) -> Iterable[str]:
    """The attributes classes that a claim or a volume has, wants, or is just getting."""
    spec, status = objects.spec(obj), objects.status(obj)
    changing = (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName")
    named = (spec.get("volumeAttributesClassName"), status.get("currentVolumeAttributesClassName"), changing)
    return {name for name in named if name}


def _living_in(pod: Obj) -> Iterable[str]:
    """`namespace/name` of the group of a pod that has not ended."""
    group = (objects.spec(pod).get("schedulingGroup") or {}).get("podGroupName")
    return (f"{objects.namespace(pod)}/{group}",) if group and pod_phase(pod) not in ("Succeeded", "Failed") else ()
