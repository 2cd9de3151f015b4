"""A pod's volumes on disk.

`pods.filling` calls `prepare` before the sandbox is made and again when something a volume shows has changed. Everything lives below the
pod's own directory; nothing of the host is shown unless the node was started with host paths allowed. What of it a container sees is
decided in `mounts`. Contract: Pod spec volumes; texts as the kubelet's FailedMount events.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from lightship.meta import objects
from lightship.meta.objects import Obj

from . import atomic, content, hostpaths, memory, ownership
from .claims import CLAIM, ClaimError, Claims, claim_of
from .content import Inputs
from .ownership import Owner
from .sources import MissingError

EVERYBODY = 2**32 - 1
IMAGE = "image"


class VolumeError(Exception):
    """Volumes that cannot be set up (now): `problems` are the texts of FailedMount events."""

    def __init__(self, *problems: str) -> None:
        super().__init__(problems[0] if len(problems) == 1 else "; ".join(problems))
        self.problems = problems


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What this node lets pods mount."""

    allow_host_path: bool = False
    machine: Mapping[str, Path] = {}
    """Directories that pods think are the machine's, and where this node has them."""
    tmpfs: bool = True
    """May memory-backed volumes be a tmpfs? Host mode cannot mount one and uses the disk."""
    ids: int = EVERYBODY
    """Files can be given to users and groups below this number; 1: to nobody, we are not root."""


def prepare(directory: Path, inputs: Inputs, policy: Policy, claims: Claims) -> list[str]:
    """Make all volumes below `directory`, or bring them up to date; returns the names of those that changed.

    One that cannot be set up keeps no other from it. Raises `VolumeError` with what went wrong of each.
    """
    changed, problems = [], []
    for volume in objects.spec(inputs.pod).get("volumes") or ():
        try:
            if _prepare_one(directory / volume["name"], volume, inputs, policy, claims):
                changed.append(volume["name"])
        except ClaimError as error:
            problems.append(str(error))
        except (MissingError, OSError, ValueError) as error:
            problems.append(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {_words(error)}')
    if problems:
        raise VolumeError(*problems)
    return changed


def _words(error: Exception) -> str:
    """Without the paths of the host, which tell a pod's owner nothing."""
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)


def _prepare_one(path: Path, volume: Obj, inputs: Inputs, policy: Policy, claims: Claims) -> bool:
    kind = kind_of(volume)
    if kind in content.API_BACKED:
        changed = atomic.write(path, content.files(volume, inputs), inputs.owner.gid)
        _make_mount_points(path, volume["name"], inputs.pod)
        return changed
    if kind == "emptyDir":
        _make_empty(path, volume["emptyDir"] if volume.get("emptyDir") else {}, inputs.owner)
        return False
    if kind == "hostPath":
        hostpaths.check(hostpaths.placed(volume["hostPath"], policy.machine), allowed=policy.allow_host_path)
        return False
    if kind == IMAGE:
        return False  # pulled like the images of containers
    name = claim_of(inputs.pod, volume)
    if name in claims.paths:
        return False
    if name in claims.missing:
        raise ClaimError(claims.missing[name])
    raise MissingError(_refusal(kind, volume[kind]))


def kind_of(volume: Obj) -> str:
    """The source of a volume; an empty one is an emptyDir."""
    return next((key for key, value in volume.items() if key != "name" and value is not None), "emptyDir")


def owner(pod: Obj, policy: Policy) -> Owner:
    """Who is to have the files of a pod, as far as we may give them away."""
    found = ownership.of(pod)
    return Owner(*(wanted if wanted is not None and wanted < policy.ids and policy.ids > 1 else None for wanted in found))


def give_claims(pod: Obj, owner: Owner, claims: Claims) -> None:
    """Let the pod's group use what its claims hold, in the way that `fsGroupChangePolicy` says. Blocks, long where there are many files."""
    if owner.gid is None:
        return
    lazy = (objects.spec(pod).get("securityContext") or {}).get("fsGroupChangePolicy") == "OnRootMismatch"
    read_only = {v[CLAIM].get("claimName") for v in objects.spec(pod).get("volumes") or () if (v.get(CLAIM) or {}).get("readOnly")}
    for name, path in claims.paths.items():
        if name not in read_only and not (lazy and not ownership.mismatch(path, owner.gid)):
            ownership.apply(path, owner.gid)


def _make_empty(path: Path, source: Obj, owner: Owner) -> None:
    medium = source.get("medium") or ""
    if medium not in ("", memory.MEDIUM):
        raise MissingError(f"storage medium {medium} is not supported by this node: use the default medium or Memory")
    if path.is_dir():
        return  # with what containers have written
    path.mkdir(parents=True)
    path.chmod(0o777)
    if owner.gid is not None:
        ownership.apply(path, owner.gid)


def _make_mount_points(path: Path, name: str, pod: Obj) -> None:
    """Where other volumes are mounted inside this one, which containers see read-only and so cannot make room in."""
    for inner in nested(pod, name):
        os.makedirs(path / inner, mode=0o755, exist_ok=True)


def nested(pod: Obj, name: str) -> list[str]:
    """Paths below the volume `name` that containers mount other volumes at, without those below one another."""
    found = []
    spec = objects.spec(pod)
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        mounts = container.get("volumeMounts") or ()
        if len(mounts) < 2:
            continue
        targets = sorted(os.path.normpath(m["mountPath"]) for m in mounts)
        for top in (os.path.normpath(m["mountPath"]) for m in mounts if m["name"] == name and not m.get("subPath")):
            within = [target for target in targets if target.startswith(top + "/")]
            found += [t[len(top) + 1 :] for t in within if not any(t.startswith(other + "/") for other in within)]
    return found


def _refusal(kind: str, source: Obj) -> str:
    """What is not served here, in the kubelet's words where it has some, and what to use instead."""
    if kind == "csi":
        driver = source.get("driver", "")
        text = f"kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name {driver} not found in the list of registered CSI"
        return f"{text} drivers: this node runs none, use a claim of the storage class local"
    if kind == "gitRepo":
        return "git-repo volume plugin has been disabled: clone into an emptyDir in an init container"
    return f"volumes of type {kind} are not supported by this node: use emptyDir, configMap, secret, projected or a claim"
