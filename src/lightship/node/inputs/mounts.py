"""What of a pod's volumes one of its containers sees, and where.

Pure. `pods.starting` calls `of` when a container starts; the volumes themselves were made by `volumes`. Sub paths are followed by the
runtime, at the moment of mounting, since containers of the pod may change what is in a volume until then.
Contract: kubelet makeMounts (subPath, subPathExpr, readOnly) and its texts.
"""

import posixpath
from collections.abc import Mapping
from pathlib import Path

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.node.runtimes.runtime import Mount

from . import content, env, hostpaths
from .claims import CLAIM, Claims, claim_of
from .volumes import IMAGE, VolumeError, kind_of


def of(
    pod: Obj,
    container: Obj,
    directory: Path,
    variables: Mapping[str, str],
    claims: Claims,
    images: Mapping[str, Path] | None = None,
    machine: Mapping[str, Path] | None = None,
) -> list[Mount]:
    """The mounts of a container, its pod's volumes being below `directory`, or for image volumes where `images` says by volume name,
    or for directories of the machine where `machine` says (see `volumes.Policy`).

    Raises `VolumeError` for one that is not to be had.
    """
    volumes = {v["name"]: v for v in objects.spec(pod).get("volumes") or ()}
    for device in container.get("volumeDevices") or ():
        raise VolumeError(f'cannot find volume "{device["name"]}" to pass into container "{container["name"]}": no block devices here')
    found = []
    for mount in container.get("volumeMounts") or ():
        volume = volumes.get(mount["name"])
        if volume is None:
            raise VolumeError(f'cannot find volume "{mount["name"]}" to mount into container "{container["name"]}"')
        at = _host_place(volume, machine or {}) or _place(pod, volume, directory, claims, images or {})
        found.append(_mount(volume, mount, at, variables))
    return found


def shown(container: Obj) -> list[Obj]:
    """What a container's status says of its mounts: read-only ones are so for all that is mounted below them, if that was asked for."""
    return [_shown(mount) for mount in container.get("volumeMounts") or ()]


def _shown(mount: Obj) -> Obj:
    status = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        wanted = mount.get("recursiveReadOnly") in ("Enabled", "IfPossible")
        status |= {"readOnly": True, "recursiveReadOnly": "Enabled" if wanted else "Disabled"}
    return status


def _host_place(volume: Obj, machine: Mapping[str, Path]) -> Path | None:
    source = volume.get("hostPath")
    return None if source is None else Path(hostpaths.placed(source, machine)["path"])


def _place(pod: Obj, volume: Obj, directory: Path, claims: Claims, images: Mapping[str, Path]) -> Path:
    if volume["name"] in images:
        return images[volume["name"]]
    claimed = claims.paths.get(claim_of(pod, volume))
    return claimed if claimed is not None else directory / volume["name"]


def _mount(volume: Obj, mount: Obj, path: Path, variables: Mapping[str, str]) -> Mount:
    kind = kind_of(volume)
    if mount.get("mountPropagation") == "Bidirectional":
        raise VolumeError(f'volumeMount "{mount["name"]}": mounts of containers do not propagate on this node, use None or HostToContainer')
    inside = _sub_path(mount, variables)
    if kind == IMAGE and inside and not (path / inside).exists():
        raise VolumeError(f'subPath "{inside}" is not in the image of volume "{mount["name"]}"')
    return Mount(
        name=mount["name"],
        target=posixpath.join("/", mount["mountPath"]),
        source=str(path),
        sub_path=inside,
        read_only=bool(mount.get("readOnly")) or kind in (*content.API_BACKED, IMAGE) or bool((volume.get(CLAIM) or {}).get("readOnly")),
    )


def _sub_path(mount: Obj, variables: Mapping[str, str]) -> str:
    expression = mount.get("subPathExpr")
    if not expression:
        path: str = mount.get("subPath") or ""
    elif missing := env.unknown(expression, variables):
        raise VolumeError(f"missing value for {missing[0]}" if len(missing) == 1 else f"missing value for {', '.join(missing)}")
    else:
        path = env.expand(expression, variables)
    if path.startswith("/"):
        raise VolumeError(f"error SubPath `{path}` must not be an absolute path")
    if ".." in path.split("/"):
        raise VolumeError(f"unable to provision SubPath `{path}`: must not contain '..'")
    return path
