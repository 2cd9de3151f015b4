"""What can be wrong with the files that a volume is to have: where they are to be, their modes, and which facts of the pod they hold.

Called by `volume_checks` and `projection_checks`. Contract: kube 1.36 validateKeyToPath, validateDownwardAPIVolumeFile.
"""

from lightship.kinds import checking
from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from .downward_checks import field_ref, resource_field_ref

_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")


def check_file(path: str, item: Obj) -> list[Cause]:
    """A key of a ConfigMap or Secret, and its place."""
    causes = [] if item.get("key") else [errors.required(f"{path}.key")]
    return causes + check_place(f"{path}.path", item.get("path") or "") + check_mode(path, "mode", item)


def check_mode(path: str, field: str, source: Obj) -> list[Cause]:
    mode = source.get(field)
    return [errors.invalid_value(f"{path}.{field}", mode, _MODE)] if mode is not None and not 0 <= mode <= 0o777 else []


def check_place(path: str, place: str) -> list[Cause]:
    """Where in its volume a file is to be."""
    if not place:
        return [errors.required(path)]
    causes = checking.relative_path(path, place) if place.startswith("/") or ".." in place else []
    if place.startswith("..") and not place.startswith("../"):
        causes.append(errors.invalid_value(path, place, "must not start with '..'"))
    return causes


def check_downward_file(path: str, item: Obj) -> list[Cause]:
    causes = check_place(f"{path}.path", item.get("path") or "")
    field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if field is not None:
        causes += field_ref(f"{path}.fieldRef", field, _FIELDS)
        if resource is not None:
            causes.append(errors.invalid_value(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
    elif resource is not None:
        if not resource.get("containerName"):
            causes.append(errors.required(f"{path}.resourceFieldRef.containerName"))
        causes += resource_field_ref(f"{path}.resourceFieldRef", resource)
    else:
        causes.append(errors.required(path, "one of fieldRef and resourceFieldRef is required"))
    return causes + check_mode(path, "mode", item)
