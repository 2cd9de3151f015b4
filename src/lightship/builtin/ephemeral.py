"""Claims for the ephemeral volumes of pods: each is made from the pod's template, belongs to the pod, and goes with it.

Woken by pods. Binding and providing are the business of others; the garbage collector removes the claim after its pod.
Contract: kube-controller-manager pkg/controller/volume/ephemeral (names, owners, events).
"""

from collections.abc import Iterable

from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch
from lightship.kinds import PERSISTENT_VOLUME_CLAIMS, PODS
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj

TRY_AGAIN = 10.0
"""Seconds until a claim that could not be made is tried again."""


def controller(manager: Manager) -> Controller:
    reconciler = EphemeralReconciler(manager)
    return Controller("ephemeral-volume", reconciler, watches=[Watch(PODS, _concerned), Watch(PERSISTENT_VOLUME_CLAIMS, _owner)])


class EphemeralReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._recorder = manager.recorder
        self._pods = manager.cache.informer(PODS)
        self._claims = manager.cache.informer(PERSISTENT_VOLUME_CLAIMS)

    async def reconcile(self, key: Key) -> Outcome:
        pod = self._pods.get(key)
        if pod is None or objects.is_deleting(pod):
            return Done()
        outcome: Outcome = Done()
        for volume in objects.spec(pod).get("volumes") or ():
            trouble = await self._provide(pod, volume) if volume.get("ephemeral") is not None else ""
            if trouble:
                self._recorder.event(pod, "Warning", "FailedBinding", f"ephemeral volume {volume['name']}: {trouble}")
                outcome = RequeueAfter(TRY_AGAIN)
        return outcome

    async def _provide(self, pod: Obj, volume: Obj) -> str:
        """Make the claim when it is missing; returns what is in the way."""
        wanted = claim_for(pod, volume)
        found = self._claims.get(objects.key(wanted))
        if found is not None:
            foreign = not objects.is_controlled_by(found, pod)
            return f"PVC {objects.key(wanted)} was not created for pod {objects.key(pod)} (pod is not owner)" if foreign else ""
        try:
            await self._client.create(PERSISTENT_VOLUME_CLAIMS, wanted)
        except errors.StatusError as error:
            if not errors.is_already_exists(error):  # who has made it will be seen when it is here
                return f"create PVC {objects.name(wanted)}: {error.message}"
        return ""


def claim_for(pod: Obj, volume: Obj) -> Obj:
    """The claim that an ephemeral volume of a pod stands for."""
    template = volume["ephemeral"].get("volumeClaimTemplate") or {}
    described = {field: dict(template["metadata"][field]) for field in ("labels", "annotations") if objects.meta(template).get(field)}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": f"{objects.name(pod)}-{volume['name']}",
            "namespace": objects.namespace(pod),
            "ownerReferences": [objects.owner_reference({"apiVersion": "v1", "kind": "Pod", **pod})],
            **described,
        },
        "spec": objects.copy(template.get("spec") or {}),
    }


def _concerned(pod: Obj) -> Iterable[Key]:
    return (objects.key(pod),) if any(v.get("ephemeral") is not None for v in objects.spec(pod).get("volumes") or ()) else ()


def _owner(claim: Obj) -> Iterable[Key]:
    reference = objects.controller_of(claim)
    return (Key(objects.namespace(claim), reference["name"]),) if reference and reference.get("kind") == "Pod" else ()
