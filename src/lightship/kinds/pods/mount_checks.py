"""What can be wrong with where a container sees its volumes: mounts, and block devices.

Called by `container_checks`. Refuses to know what volumes are made of, but for whether they are claims.
Contract: kube 1.36 ValidateVolumeMounts, ValidateVolumeDevices; texts compared with kube-apiserver.
"""

from collections.abc import Mapping

from lightship.kinds import checking
from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_READ_ONLY = ("Disabled", "Enabled", "IfPossible")


def check(path: str, container: Obj, volumes: Mapping[str, Obj]) -> list[Cause]:
    """What is wrong in the container at `path`; `volumes` are those of its pod that nothing is wrong with."""
    return _check_mounts(f"{path}.volumeMounts", container, volumes) + _check_devices(f"{path}.volumeDevices", container, volumes)


def _check_mounts(path: str, container: Obj, volumes: Mapping[str, Obj]) -> list[Cause]:
    causes: list[Cause] = []
    taken: set[str] = set()
    devices = {d.get("name") or "": d.get("devicePath") or "" for d in container.get("volumeDevices") or ()}
    for i, mount in enumerate(container.get("volumeMounts") or ()):
        at, name, target = f"{path}[{i}]", mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            causes.append(errors.required(f"{at}.name"))
        if name not in volumes:
            causes.append(checking.not_found(f"{at}.name", name))
        if not target:
            causes.append(errors.required(f"{at}.mountPath"))
        if target in taken:
            causes.append(errors.invalid_value(f"{at}.mountPath", target, "must be unique"))
        taken.add(target)
        if name in devices:
            causes.append(errors.invalid_value(f"{at}.name", name, "must not already exist in volumeDevices"))
        if target in devices.values():
            causes.append(errors.invalid_value(f"{at}.mountPath", target, "must not already exist as a path in volumeDevices"))
        if len(mount) > 2:
            causes += _check_more(path, at, mount, container)
    return causes


def _check_more(path: str, at: str, mount: Obj, container: Obj) -> list[Cause]:
    """What few mounts say. The real server tells most of it without saying which of them it is."""
    causes: list[Cause] = []
    inside, expression = mount.get("subPath"), mount.get("subPathExpr")
    if inside:
        causes += checking.relative_path(f"{path}.subPath", inside)
    if expression:
        if inside:
            causes.append(errors.invalid_value(f"{at}.subPathExpr", expression, "subPathExpr and subPath are mutually exclusive"))
        causes += checking.relative_path(f"{path}.subPathExpr", expression)
    propagation = mount.get("mountPropagation")
    causes += checking.one_of(f"{path}.mountPropagation", propagation, _PROPAGATIONS)
    if propagation == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        why = "Bidirectional mount propagation is available only to privileged containers"
        causes.append(errors.forbidden_field(f"{path}.mountPropagation", why))
    only = mount.get("recursiveReadOnly")
    causes += checking.one_of(f"{path}.recursiveReadOnly", only, _READ_ONLY)
    if only in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            causes.append(errors.forbidden_field(f"{path}.recursiveReadOnly", "may only be specified when readOnly is true"))
        if propagation not in (None, "None"):
            why = "may only be specified when mountPropagation is None or not specified"
            causes.append(errors.forbidden_field(f"{path}.recursiveReadOnly", why))
    return causes


def _check_devices(path: str, container: Obj, volumes: Mapping[str, Obj]) -> list[Cause]:
    causes: list[Cause] = []
    mounts = {m.get("name") or "": m.get("mountPath") or "" for m in container.get("volumeMounts") or ()}
    names, places = set[str](), set[str]()
    for i, device in enumerate(container.get("volumeDevices") or ()):
        at, name, place = f"{path}[{i}]", device.get("name") or "", device.get("devicePath") or ""
        if not name:
            causes.append(errors.required(f"{at}.name"))
        if name in names:
            causes.append(errors.invalid_value(f"{at}.name", name, "must be unique"))
        volume = volumes.get(name)
        if volume is None:
            causes.append(checking.not_found(f"{at}.name", name))
        elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
            why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            causes.append(errors.invalid_value(f"{at}.name", name, why))
        causes += _check_place(f"{at}.devicePath", place, places)
        if name in mounts:
            causes.append(errors.invalid_value(f"{at}.name", name, "must not already exist in volumeMounts"))
        if place in mounts.values():
            causes.append(errors.invalid_value(f"{at}.devicePath", place, "must not already exist as a path in volumeMounts"))
        if name:
            names.add(name)
    return causes


def _check_place(path: str, place: str, taken: set[str]) -> list[Cause]:
    causes = [] if place else [errors.required(path)]
    if place in taken:
        causes.append(errors.invalid_value(path, place, "must be unique"))
    if ".." in place.split("/"):
        causes.append(errors.invalid_value(path, place, "can not contain backsteps ('..')"))
    else:
        taken.add(place)
    return causes
