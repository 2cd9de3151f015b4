"""Where the claims of a pod have their data on this machine, or why they cannot be mounted.

Pure but for a look at the directories. `fetch` brings claims and volumes, `volumes` and `mounts` use the result. A volume that an ephemeral
one of the pod stands for is a claim like any other, as long as it was made for this pod.
Contract: kubelet desired state of the world populator, local and hostPath plugins, and the texts of their FailedMount events.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from lightship.meta import objects
from lightship.meta.objects import Obj

from . import hostpaths
from .sources import MissingError

PROVISIONER = "lightship.dev/local"
CLASS = "local"
"""The storage class whose claims get a directory of this machine, see `provisioner`."""
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
CLAIM = "persistentVolumeClaim"
EPHEMERAL = "ephemeral"
_PROTECTED = "kubernetes.io/pvc-protection"
_NO_SOURCE = ("accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy", "storageClassName")
_OTHER = ("volumeMode", "volumeAttributesClassName")


class Claims(msgspec.Struct, frozen=True):
    """Claim name → directory on the host of its bound volume, or the whole text of the event that says why there is none."""

    paths: Mapping[str, Path] = {}
    missing: Mapping[str, str] = {}
    pending: bool = False
    """Some are just being made or bound."""


class Found(NamedTuple):
    """A claim that a pod mounts, with what the API has of it."""

    volume: str
    """The name that the pod gives it."""
    claim: Obj | None
    bound: Obj | None
    """The volume that the claim names."""
    in_use: bool = False
    """By another pod on this node."""


class ClaimError(Exception):
    """The whole text of a FailedMount event."""

    def __init__(self, text: str, *, pending: bool = False) -> None:
        super().__init__(text)
        self.pending = pending


def claim_of(pod: Obj, volume: Obj) -> str:
    """The name of the claim that a volume of a pod stands for; empty for other kinds."""
    if volume.get(CLAIM) is not None:
        return str(volume[CLAIM].get("claimName") or "")
    return f"{objects.name(pod)}-{volume['name']}" if volume.get(EPHEMERAL) is not None else ""


def of(pod: Obj) -> Iterator[tuple[Obj, str]]:
    """The volumes of a pod that are claims, with the names of these."""
    for volume in objects.spec(pod).get("volumes") or ():
        name = claim_of(pod, volume)
        if name:
            yield volume, name


def place(pod: Obj, name: str, found: Found, *, allow_host_path: bool) -> Path:
    """The directory of a claim. Raises `ClaimError`."""
    try:
        volume = _bound(pod, name, found)
    except MissingError as error:
        of_volume = f"[{found.volume}]"
        text = f"unmounted volumes={of_volume}, unattached volumes=[], failed to process volumes={of_volume}: {error}"
        pending = found.claim is None or objects.status(found.claim).get("phase") == "Pending"
        raise ClaimError(f"Unable to attach or mount volumes: {text}", pending=pending) from error
    where = f'for volume "{objects.name(volume)}" : '
    if found.in_use and objects.spec(volume).get("accessModes") == ["ReadWriteOncePod"]:
        raise ClaimError(f"MountVolume failed {where}volume uses the ReadWriteOncePod access mode and is already in use by another pod")
    try:
        return _directory(volume, allow_host_path=allow_host_path)
    except MissingError as error:
        raise ClaimError(f"MountVolume.SetUp failed {where}{error}") from error
    except OSError as error:
        raise ClaimError(f"MountVolume.SetUp failed {where}{(error.strerror or str(error)).lower()}") from error


def shared(pod: Obj, name: str, neighbours: list[Obj]) -> bool:
    """Does another pod of the same node, which came first, hold the claim?"""
    node, own = objects.spec(pod).get("nodeName"), _age(pod)
    for other in neighbours:
        spec = objects.spec(other)
        if objects.uid(other) == objects.uid(pod) or spec.get("nodeName") != node or _age(other) > own:
            continue
        if objects.status(other).get("phase") not in ("Succeeded", "Failed") and any(claimed == name for _, claimed in of(other)):
            return True
    return False


def _age(pod: Obj) -> tuple[str, str]:
    return objects.meta(pod).get("creationTimestamp") or "", objects.uid(pod)


def _bound(pod: Obj, name: str, found: Found) -> Obj:
    """The volume of a claim that is as it should be. Raises `MissingError`."""
    full = f"{objects.namespace(pod)}/{name}"
    wrong = f"error processing PVC {full}: "
    claim, volume = found.claim, found.bound
    if claim is None:
        raise MissingError(f'{wrong}failed to fetch PVC from API server: persistentvolumeclaims "{name}" not found')
    if objects.is_deleting(claim) and _PROTECTED not in (objects.meta(claim).get("finalizers") or ()):
        raise MissingError(f"{wrong}PVC is being deleted")
    if objects.status(claim).get("phase") != "Bound":
        raise MissingError(f"{wrong}PVC is not bound")
    wanted = objects.spec(claim).get("volumeName")
    if not wanted:
        raise MissingError(f"{wrong}PVC has empty pvc.Spec.VolumeName")
    ephemeral = any(v["name"] == found.volume and v.get(EPHEMERAL) is not None for v in objects.spec(pod).get("volumes") or ())
    if ephemeral and not objects.is_controlled_by(claim, pod):
        owner = f"{objects.namespace(pod)}/{objects.name(pod)}"
        raise MissingError(f"PVC {full} was not created for pod {owner} (pod is not owner)")
    if volume is None:
        raise MissingError(f'{wrong}failed to fetch PV {wanted} from API server: persistentvolumes "{wanted}" not found')
    reference = objects.spec(volume).get("claimRef")
    if not reference:
        raise MissingError(f"{wrong}found PV object {wanted} but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim")
    if reference.get("uid") != objects.uid(claim):
        points = f"pv.Spec.ClaimRef.UID {reference.get('uid', '')} does not point to claim.UID {objects.uid(claim)}"
        raise MissingError(f"{wrong}found PV object {wanted} but its {points}")
    if objects.spec(volume).get("volumeMode") == "Block":
        raise MissingError(f"volume {found.volume} has volumeMode Block, but is specified in volumeMounts: this node has no block devices")
    return volume


def _directory(volume: Obj, *, allow_host_path: bool) -> Path:
    spec = objects.spec(volume)
    source = spec.get("hostPath") or spec.get("local")
    if not source:
        kind = next((field for field in spec if field not in (*_NO_SOURCE, *_OTHER)), "unknown")
        raise MissingError(f"volumes of type {kind} are not supported by this node: use a claim of the storage class {CLASS}")
    path = Path(source.get("path") or "/")
    if objects.annotations(volume).get(PROVISIONED_BY) == PROVISIONER:
        if not path.is_dir():  # somebody has removed it
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)  # as `provisioner` does
    elif spec.get("hostPath"):
        hostpaths.check(source, allowed=allow_host_path)
    elif not allow_host_path:
        raise MissingError(f"local path {path} is not allowed on this node: start it with --allow-host-path")
    elif not path.is_dir():
        raise MissingError(f'path "{path}" does not exist')
    return path
