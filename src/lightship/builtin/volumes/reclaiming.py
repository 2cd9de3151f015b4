"""What becomes of a volume that its claim has given back: deleted with what is behind it, or wiped by a pod for others. Pure.

Called by `controller` for the volumes that `volumes` names, on what is stored by then. Drivers outside delete theirs themselves; here are
directories of the host only, as tests want them, and only below /tmp.
Contract: deleteVolumeOperation and recycleVolumeOperation of pkg/controller/volume/persistentvolume, the host-path and nfs plugins and
the recycler pod of pkg/volume.
"""

import re
from collections.abc import Iterable

from lightship.builtin.volumes import binding, terms
from lightship.builtin.volumes.steps import Create, Delete, Plan, Step
from lightship.kinds import pods as podlib
from lightship.meta import objects, quantity
from lightship.meta.objects import Key, Obj

HOST_PATH = "kubernetes.io/host-path"
NFS = "kubernetes.io/nfs"
RECYCLES = "lightship.dev/recycles"
"""On a pod: the uid of the volume that it wipes."""
IMAGE = "registry.k8s.io/build-image/debian-base:bookworm-v1.0.6"
WIPE = 'test -e /scrub && find /scrub -mindepth 1 -delete && test -z "$(ls -A /scrub)" || exit 1'
SECONDS_PER_GI = 30
LEAST_SECONDS = {"hostPath": 60, "nfs": 300}
GI = 1 << 30


def host_path(volume: Obj) -> str:
    """The directory to remove; empty when somebody else deletes what is behind the volume. Raises `ValueError` when nobody can."""
    notes, spec = objects.annotations(volume), objects.spec(volume)
    plugin = notes.get(terms.PROVISIONED_BY) or ""
    if plugin and not plugin.startswith(terms.IN_TREE):
        return ""
    if plugin and plugin != HOST_PATH:
        raise ValueError("no deletable volume plugin matched" if plugin == NFS else f"no volume plugin matched name: {plugin}")
    if not plugin and (terms.MIGRATED_TO in notes or spec.get("csi")):
        return ""
    source = spec.get("hostPath")
    if not source:
        why = "no deletable volume plugin matched" if spec.get("nfs") else "no volume plugin matched"
        raise ValueError(f'error getting deleter volume plugin for volume "{objects.name(volume)}": {why}')
    path = str(source.get("path") or "")
    if not re.search("/tmp/.+", path):
        raise ValueError(f"host_path deleter only supports /tmp/.+ but received provided {path}")
    return path


def deleted(volume: Obj) -> list[Step]:
    """What was behind the volume is gone: now itself."""
    plan = Plan()
    finalizers = objects.meta(volume).get("finalizers") or []
    if terms.IN_TREE_FINALIZER in finalizers:
        left = [name for name in finalizers if name != terms.IN_TREE_FINALIZER]
        volume = plan.write({**volume, "metadata": {**objects.meta(volume), "finalizers": left}})
    plan.steps.append(Delete(volume))
    return plan.steps


def failed(volume: Obj, reason: str, message: str) -> list[Step]:
    """The volume is left for its administrator."""
    plan = Plan()
    plan.tell_phase(volume, "Failed", reason, message)
    return plan.steps


def recycle(volume: Obj, users: Iterable[Obj], pod: Obj | None, *, claimed: bool) -> list[Step]:
    """The next step of wiping. `users` are the pods that name the claim, `pod` is the one that wipes; `claimed`: a claim of this name is
    there again, which its pods wait for."""
    plan = Plan()
    names = sorted(f"{objects.namespace(user)}/{objects.name(user)}" for user in users if not podlib.is_terminal(user))
    if names and not claimed:
        plan.say(volume, "Normal", "VolumeFailedRecycle", f"Volume is used by pods: {','.join(names)}")
        return plan.steps
    if not any(source in objects.spec(volume) for source in LEAST_SECONDS):
        return failed(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!")
    if pod is None:
        plan.steps.append(Create(wiper(volume)))
        return plan.steps
    wrong = _verdict(volume, pod)
    if wrong is None:
        return []
    plan.steps.append(Delete(pod))
    if wrong:
        return [*plan.steps, *failed(volume, "VolumeFailedRecycle", f"Recycle failed: {wrong}")]
    return [*plan.steps, *recycled(volume)]


def recycled(volume: Obj) -> list[Step]:
    """The volume is empty, and anybody's."""
    plan = Plan()
    plan.say(volume, "Normal", "VolumeRecycled", "Volume recycled")
    binding.unbind(plan, volume)
    return plan.steps


def _verdict(volume: Obj, pod: Obj) -> str | None:
    """How wiping ended: empty for well; None while it goes on."""
    if objects.annotations(pod).get(RECYCLES) != objects.uid(volume):
        return "old recycler pod found, will retry later"
    phase = objects.status(pod).get("phase")
    if phase == "Failed":
        return f"failed to recycle volume: {objects.status(pod).get('message') or 'pod failed, pod.Status.Message unknown'}"
    return "" if phase == "Succeeded" else None


def wiper_key(volume: Obj) -> Key:
    """The pod that wipes a volume."""
    return Key("default", f"recycler-for-{objects.name(volume)}")


def wiped_by(pod: Obj) -> Iterable[Key]:
    """The volume that a pod wipes, if it does."""
    return (Key("", objects.name(pod).removeprefix("recycler-for-")),) if RECYCLES in objects.annotations(pod) else ()


def wiper(volume: Obj) -> Obj:
    """The pod that removes all that is in a volume. It may take half a minute for every GiB."""
    spec = objects.spec(volume)
    source = "hostPath" if spec.get("hostPath") else "nfs"
    mounted = {"path": spec["hostPath"].get("path")} if source == "hostPath" else spec["nfs"]
    size = quantity.to_int((spec.get("capacity") or {}).get("storage") or 0)
    key = wiper_key(volume)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": key.name, "namespace": key.namespace, "annotations": {RECYCLES: objects.uid(volume)}},
        "spec": {
            "activeDeadlineSeconds": max(LEAST_SECONDS[source], size // GI * SECONDS_PER_GI),
            "restartPolicy": "Never",
            "volumes": [{"name": "vol", source: mounted}],
            "containers": [
                {
                    "name": "pv-recycler",
                    "image": IMAGE,
                    "command": ["/bin/sh"],
                    "args": ["-c", WIPE],
                    "volumeMounts": [{"name": "vol", "mountPath": "/scrub"}],
                }
            ],
        },
    }
