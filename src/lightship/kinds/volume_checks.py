"""What can be wrong with a pod's volumes.

Called by `pod_checks`. Sources that a process node never mounts (cloud disks and their like) are judged by the schema alone.
Contract: kube 1.36 validateVolumeSource; texts compared with kube-apiserver.
"""

from collections.abc import Callable
from functools import lru_cache

from lightship.kinds import checking
from lightship.kinds.downward_checks import field_ref, resource_field_ref
from lightship.meta import codec, errors, names, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_VOLUME_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_MIN_TOKEN_SECONDS, _MAX_TOKEN_SECONDS = 600, 2**32


def check_volumes(path: str, spec: Obj) -> list[Cause]:
    volumes = spec.get("volumes") or []
    has_account = bool(spec.get("serviceAccountName"))
    causes = checking.duplicates(path, volumes)
    for i, volume in enumerate(volumes):
        name = volume.get("name")
        if name and not names.follows(name, "label"):
            causes += checking.check_name(f"{path}[{i}].name", name, "label")
        if not _is_common(volume, has_account=has_account):
            causes += _check_source(f"{path}[{i}]", volume, has_account=has_account)
    return causes


def _is_common(volume: Obj, *, has_account: bool) -> bool:
    """An empty directory, or the projection that every pod has to find its account's token: nothing to look for."""
    if len(volume) != 2 or "name" not in volume:
        return False
    projected = volume.get("projected")
    if projected:
        return _is_right(codec.encode(projected), has_account=has_account)
    return volume.get("emptyDir") == {}


@lru_cache(maxsize=256)
def _is_right(projected: bytes, *, has_account: bool) -> bool:
    """Remembers what was judged: the pods of a cluster differ in the names of these volumes, hardly ever in what is in them."""
    return not _check_projected("", codec.decode(projected), has_account=has_account)


def _check_source(path: str, volume: Obj, *, has_account: bool) -> list[Cause]:
    given = [kind for kind, value in volume.items() if kind != "name" and value is not None]
    if not given:
        return [errors.required(path, "must specify a volume type")]
    if len(given) > 1:
        ordered = sorted(given, key=lambda k: _ORDER.index(k) if k in _ORDER else len(_ORDER))
        return [errors.forbidden_field(f"{path}.{kind}", "may not specify more than 1 volume type") for kind in ordered[1:]]
    kind, at = given[0], f"{path}.{given[0]}"
    if kind == "projected":
        return _check_projected(at, volume[kind], has_account=has_account)
    check = _CHECKS.get(kind)
    return check(at, volume[kind]) if check else []


def _check_empty_dir(path: str, source: Obj) -> list[Cause]:
    limit = source.get("sizeLimit")
    if limit is not None and quantity.parse(limit) < 0:
        return [errors.forbidden_field(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")]
    return []


def _check_secret(path: str, source: Obj) -> list[Cause]:
    causes = [] if source.get("secretName") else [errors.required(f"{path}.secretName")]
    return causes + _check_files(path, source)


def _check_config_map(path: str, source: Obj) -> list[Cause]:
    causes = [] if source.get("name") else [errors.required(f"{path}.name")]
    return causes + _check_files(path, source)


def _check_files(path: str, source: Obj) -> list[Cause]:
    causes = _check_mode(path, "defaultMode", source)
    for i, item in enumerate(source.get("items") or ()):
        at = f"{path}.items[{i}]"
        causes += _check_path(at, item)
        causes += _check_mode(at, "mode", item)
    return causes


def _check_mode(path: str, field: str, source: Obj) -> list[Cause]:
    mode = source.get(field)
    return [errors.invalid_value(f"{path}.{field}", mode, _MODE)] if mode is not None and not 0 <= mode <= 0o777 else []


def _check_path(path: str, item: Obj) -> list[Cause]:
    """Where in its volume a file is to be."""
    found = item.get("path") or ""
    return checking.relative_path(f"{path}.path", found) if found.startswith("/") or ".." in found else []


def _check_host_path(path: str, source: Obj) -> list[Cause]:
    return checking.no_backsteps(f"{path}.path", source["path"]) if source.get("path") else []


def _check_downward(path: str, source: Obj) -> list[Cause]:
    causes = _check_mode(path, "defaultMode", source)
    for item in source.get("items") or ():
        causes += _check_downward_file(path, item)
    return causes


def _check_downward_file(path: str, item: Obj) -> list[Cause]:
    causes = _check_path(path, item)
    field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if field is not None:
        causes += field_ref(f"{path}.fieldRef", field, _VOLUME_FIELDS)
        if resource is not None:
            causes.append(errors.invalid_value(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
    elif resource is not None:
        if not resource.get("containerName"):
            causes.append(errors.required(f"{path}.resourceFieldRef.containerName"))
        causes += resource_field_ref(f"{path}.resourceFieldRef", resource)
    else:
        causes.append(errors.required(path, "one of fieldRef and resourceFieldRef is required"))
    return causes + _check_mode(path, "mode", item)


def _check_projected(path: str, source: Obj, *, has_account: bool) -> list[Cause]:
    causes = _check_mode(path, "defaultMode", source)
    for i, projection in enumerate(source.get("sources") or ()):
        at = f"{path}.sources[{i}]"
        given = [kind for kind, value in projection.items() if value is not None]
        for kind in given[1:]:
            causes.append(errors.forbidden_field(f"{at}.{kind}", "may not specify more than 1 volume type"))
        if given and given[0] == "serviceAccountToken":
            causes += _check_token(f"{at}.serviceAccountToken", projection["serviceAccountToken"], has_account=has_account)
        elif given and given[0] in _PROJECTIONS:
            causes += _PROJECTIONS[given[0]](f"{at}.{given[0]}", projection[given[0]])
    return causes


def _check_token(path: str, token: Obj, *, has_account: bool) -> list[Cause]:
    causes: list[Cause] = []
    seconds = token.get("expirationSeconds")
    if seconds is not None and seconds < _MIN_TOKEN_SECONDS:
        causes.append(errors.invalid_value(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
    if seconds is not None and seconds > _MAX_TOKEN_SECONDS:
        causes.append(errors.invalid_value(f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))
    causes += _check_path(path, token)
    if not has_account:
        causes.append(errors.forbidden_field(path, "must not be specified when serviceAccountName is not set"))
    return causes


def _check_projected_source(path: str, source: Obj) -> list[Cause]:
    causes = [] if source.get("name") else [errors.required(f"{path}.name")]
    return causes + _check_files(path, source)


_ORDER = (
    "emptyDir",
    "hostPath",
    "gitRepo",
    "secret",
    "nfs",
    "persistentVolumeClaim",
    "configMap",
    "downwardAPI",
    "projected",
    "csi",
    "ephemeral",
    "image",
)
_CHECKS: dict[str, Callable[[str, Obj], list[Cause]]] = {
    "emptyDir": _check_empty_dir,
    "secret": _check_secret,
    "configMap": _check_config_map,
    "hostPath": _check_host_path,
    "downwardAPI": _check_downward,
}
_PROJECTIONS: dict[str, Callable[[str, Obj], list[Cause]]] = {
    "secret": _check_projected_source,
    "configMap": _check_projected_source,
    "downwardAPI": _check_downward,
}
