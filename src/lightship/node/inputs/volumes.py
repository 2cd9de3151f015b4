"""A pod's volumes on disk, and the mounts of its containers.

The agent calls `prepare` before the sandbox is made and again when something a volume shows has changed; `mounts` when a container starts.
Everything lives below the pod's own directory; nothing of the host is shown unless the node was started with host paths allowed.
Contract: Pod spec volumes and volumeMounts (subPath, subPathExpr, readOnly); texts as the kubelet's FailedMount events.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from lightship.meta import objects, quantity
from lightship.meta.objects import Obj
from lightship.node.runtimes.runtime import Mount

from . import atomic, content
from .content import Inputs
from .env import expand
from .sources import MissingError

CLAIM = "persistentVolumeClaim"


class VolumeError(Exception):
    """A volume that cannot be set up (now); the text is that of a FailedMount event."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What this node lets pods mount."""

    allow_host_path: bool = False
    tmpfs: bool = True
    """May memory-backed volumes be a tmpfs? Host mode cannot mount one and uses the disk."""


class Claims(msgspec.Struct, frozen=True):
    """Claim name → directory on the host of its bound volume, or the reason why there is none."""

    paths: Mapping[str, Path] = {}
    missing: Mapping[str, str] = {}


def prepare(directory: Path, inputs: Inputs, policy: Policy, claims: Claims) -> list[str]:
    """Make all volumes below `directory`, or bring them up to date; returns the names of those that changed. Raises `VolumeError`."""
    changed = []
    for volume in objects.spec(inputs.pod).get("volumes") or ():
        try:
            if _prepare_one(directory / volume["name"], volume, inputs, policy, claims):
                changed.append(volume["name"])
        except (MissingError, OSError, ValueError) as error:
            raise VolumeError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error
    return changed


def _prepare_one(path: Path, volume: Obj, inputs: Inputs, policy: Policy, claims: Claims) -> bool:
    kind = kind_of(volume)
    if kind in content.API_BACKED:
        return atomic.write(path, content.files(volume, inputs))
    if kind == "emptyDir":
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)
        return False
    if kind == "hostPath":
        _check_host_path(volume["hostPath"], policy)
        return False
    if kind == CLAIM:
        name = volume[CLAIM].get("claimName", "")
        if name not in claims.paths:
            raise MissingError(claims.missing.get(name) or f'persistentvolumeclaim "{name}" not found')
        return False
    raise MissingError(f"volumes of type {kind} are not supported by this node: use emptyDir, configMap, secret, projected or a claim")


def kind_of(volume: Obj) -> str:
    """The source of a volume; an empty one is an emptyDir."""
    return next((key for key, value in volume.items() if key != "name" and value is not None), "emptyDir")


def _check_host_path(source: Obj, policy: Policy) -> None:
    path, wanted = Path(source.get("path") or "/"), source.get("type") or ""
    if not policy.allow_host_path:
        raise MissingError(f"hostPath {path} is not allowed on this node: use emptyDir, or start the node with --allow-host-path")
    if wanted == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    elif wanted == "FileOrCreate":
        path.touch(exist_ok=True)
    checks: dict[str, Callable[[], bool]] = {"Directory": path.is_dir, "File": path.is_file, "Socket": path.is_socket, "": path.exists}
    if wanted in checks and not checks[wanted]():
        raise MissingError(f"hostPath type check failed: {path} is not {'there' if not wanted else 'a ' + wanted.lower()}")


def mounts(pod: Obj, container: Obj, directory: Path, env: Mapping[str, str], policy: Policy, claims: Claims) -> list[Mount]:
    """What to show inside one container. Raises `VolumeError` for a mount that names no volume or leaves it."""
    volumes = {v["name"]: v for v in objects.spec(pod).get("volumes") or ()}
    shown = []
    for mount in container.get("volumeMounts") or ():
        volume = volumes.get(mount["name"])
        if volume is None:
            raise VolumeError(f'volumeMount "{mount["name"]}" names no volume of the pod')
        shown.append(_mount(pod, volume, mount, directory / mount["name"], env, policy, claims))
    return shown


def _mount(pod: Obj, volume: Obj, mount: Obj, path: Path, env: Mapping[str, str], policy: Policy, claims: Claims) -> Mount:
    kind = kind_of(volume)
    read_only = bool(mount.get("readOnly")) or kind in content.API_BACKED or bool((volume.get(CLAIM) or {}).get("readOnly"))
    target, sub_path = mount["mountPath"], _sub_path(mount, env)
    if kind == "emptyDir" and policy.tmpfs and not sub_path and in_memory_of_one(pod, volume):
        limit = volume["emptyDir"].get("sizeLimit")
        return Mount(target=target, read_only=read_only, size=quantity.to_int(limit) if limit else None)
    if kind == "hostPath":
        path = Path(volume["hostPath"]["path"])
    elif kind == CLAIM:
        path = claims.paths[volume[CLAIM]["claimName"]]
    return Mount(target=target, source=str(_inside(path, sub_path, kind) if sub_path else path), read_only=read_only)


def in_memory_of_one(pod: Obj, volume: Obj) -> bool:
    """A memory-backed emptyDir that a single container uses can be a tmpfs of that container; shared ones live on disk."""
    if (volume.get("emptyDir") or {}).get("medium") != "Memory":
        return False
    spec = objects.spec(pod)
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    users = [c for c in containers if any(m["name"] == volume["name"] for m in c.get("volumeMounts") or ())]
    return len(users) == 1


def _sub_path(mount: Obj, env: Mapping[str, str]) -> str:
    if mount.get("subPathExpr"):
        return expand(mount["subPathExpr"], env)
    return mount.get("subPath") or ""


def _inside(volume: Path, sub_path: str, kind: str) -> Path:
    """The file or directory below a volume that `sub_path` names; made when it is missing, as the kubelet does."""
    wanted = volume / sub_path
    if not wanted.exists() and kind not in content.API_BACKED:
        wanted.mkdir(parents=True, exist_ok=True)
    real = wanted.resolve()
    if not real.is_relative_to(volume.resolve()):
        raise VolumeError(f'subPath "{sub_path}" leaves the volume: {real}')
    return real
