"""Checkpoints: a volume that outlives pods, mounted where `LIGHTSHIP_CHECKPOINT_DIR` says, and time to save before the end.

The claim is one that is there, or one that is made for the TrainJob and goes with it. Shells, which is what the SDK's commands are, keep
the signal that ends a pod to themselves; so a hook passes it on to the programs in the container, which may save then.
Contract: ours (annotation `lightship.dev/checkpoint`); core/v1 PersistentVolumeClaim, lifecycle hooks.
"""

from lightship.kinds import PERSISTENT_VOLUME_CLAIMS
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.train import lasting
from lightship.train.api import names
from lightship.train.lasting import Place

from .plan import Component, Plan, PodSet, env, upsert

_LEAVE = (
    # Only where the first process is the container's own: anywhere else the signal would reach programs that are not the job's.
    f"grep -qz '^{names.CHECKPOINT_DIR}=' /proc/1/environ 2>/dev/null || exit 0; kill -TERM -1; kill -TERM 1; sleep 86400"
)
"""Ends with the container, or with its grace period."""


class Checkpoint:
    name = "Checkpoint"

    def enforce_pod_spec(self, plan: Plan) -> None:
        place, pods, container = lasting.checkpoint(plan.job), plan.trainer, plan.trainer_container
        if place is None or pods is None or container is None:
            return
        _mount(place, pods, container)
        container.setdefault("lifecycle", {"preStop": {"exec": {"command": ["sh", "-c", _LEAVE]}}})

    def build(self, plan: Plan) -> list[Component]:
        place = lasting.checkpoint(plan.job)
        if place is None or not place.made or plan.trainer is None:
            return []
        return [Component(PERSISTENT_VOLUME_CLAIMS, _claim(plan, place), once=True)]


def _mount(place: Place, pods: PodSet, container: Obj) -> None:
    source = {"name": names.CHECKPOINT_VOLUME, "persistentVolumeClaim": {"claimName": place.claim}}
    upsert(pods.pod, "volumes", [source])
    mount: Obj = {"name": names.CHECKPOINT_VOLUME, "mountPath": names.CHECKPOINT_PATH}
    if place.path:
        mount["subPath"] = place.path
    upsert(container, "volumeMounts", [mount], key="mountPath")
    upsert(container, "env", [env(names.CHECKPOINT_DIR, names.CHECKPOINT_PATH)])


def _claim(plan: Plan, place: Place) -> Obj:
    """The claim of a TrainJob's own; deleted with it. Several nodes write to it where there are several."""
    bounds = lasting.elastic(plan.job)
    several = (bounds.most if bounds else plan.trainer.count if plan.trainer else 1) > 1
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": place.claim,
            "namespace": plan.job["metadata"]["namespace"],
            "ownerReferences": [objects.owner_reference(plan.job)],
        },
        "spec": {
            "accessModes": ["ReadWriteMany" if several else "ReadWriteOnce"],
            "resources": {"requests": {"storage": place.size}},
        },
    }
