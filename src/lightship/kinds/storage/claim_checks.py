"""What can be wrong with PersistentVolumeClaims: their spec, its changes, and the sizes in their status.

Called through `core`; `check_claim_spec` also by every kind with a claim template. What may be bound to a claim is not decided here.
Contract: kube 1.36 pkg/apis/core/validation ValidatePersistentVolumeClaim, …Update, …StatusUpdate; pkg/api/persistentvolumeclaim.
"""

from lightship.kinds import checking
from lightship.meta import errors, names, objects, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_RESIZE = (
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
)
_FIXED = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


def validate(claim: Obj, old: Obj | None) -> list[Cause]:
    before = objects.spec(old) if old else {}
    any_values = bool(checking.label_selector("", before.get("selector")))
    any_group = any((before.get(f) or {}).get("apiGroup") is not None for f in ("dataSource", "dataSourceRef"))
    causes = check_claim_spec("spec", objects.spec(claim), any_values=any_values, any_group=any_group)
    return causes + (_check_change(claim, old) if old else [])


def check_claim_spec(path: str, spec: Obj, *, any_values: bool = False, any_group: bool = False) -> list[Cause]:
    """Of a claim or of a template for claims."""
    causes: list[Cause] = []
    modes = spec.get("accessModes") or []
    if not modes:
        causes.append(errors.required(f"{path}.accessModes", "at least 1 access mode is required"))
    causes += checking.label_selector(f"{path}.selector", spec.get("selector"), any_values=any_values)
    causes += check_access(f"{path}.accessModes", modes)
    causes += _check_size(f"{path}.resources[storage]", _request(spec))
    if spec.get("storageClassName"):
        causes += checking.check_name(f"{path}.storageClassName", spec["storageClassName"], "subdomain")
    causes += checking.one_of(f"{path}.volumeMode", spec.get("volumeMode"), VOLUME_MODES)
    causes += _check_sources(path, spec, any_group=any_group)
    if spec.get("volumeAttributesClassName"):
        causes += checking.check_name(f"{path}.volumeAttributesClassName", spec["volumeAttributesClassName"], "subdomain")
    return causes


def check_access(path: str, modes: list[str]) -> list[Cause]:
    """Known modes, and the one that admits no other."""
    causes = [errors.not_supported(path, mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
    if "ReadWriteOncePod" in modes and any(mode in ACCESS_MODES and mode != "ReadWriteOncePod" for mode in modes):
        causes.append(errors.forbidden_field(path, "may not use ReadWriteOncePod with other access modes"))
    return causes


def _request(spec: Obj) -> str | None:
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    return None if size is None else str(size)


def _check_size(path: str, size: str | None) -> list[Cause]:
    if size is None:
        return [errors.required(path)]
    if quantity.parse(size) <= 0:
        return [errors.invalid_value(path, quantity.canonical(size), "must be greater than zero")]
    return []


def _check_sources(path: str, spec: Obj, *, any_group: bool) -> list[Cause]:
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    causes: list[Cause] = []
    if source is not None:
        causes += _check_source(f"{path}.dataSource", source, any_group=any_group)
    if reference is not None:
        causes += _check_source(f"{path}.dataSourceRef", reference, any_group=any_group)
        if reference.get("namespace"):
            causes += checking.check_name(f"{path}.dataSourceRef.namespace", reference["namespace"], "label")
    if source is not None and reference is not None:
        if reference.get("namespace"):
            causes.append(errors.invalid_value(path, {}, "may not be specified when dataSourceRef.namespace is specified"))
        elif any(source.get(f) != reference.get(f) for f in ("apiGroup", "kind", "name")):
            causes.append(errors.invalid_value(path, {}, "must match dataSourceRef"))
    return causes


def _check_source(path: str, source: Obj, *, any_group: bool) -> list[Cause]:
    causes = [errors.required(f"{path}.{field}") for field in ("name", "kind") if not source.get(field)]
    group, kind = source.get("apiGroup") or "", source.get("kind") or ""
    if not group and kind != "PersistentVolumeClaim":
        causes.append(errors.invalid_value(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
    if group and not any_group:
        causes += checking.check_name(f"{path}.apiGroup", group, "subdomain")
    return causes


def _check_change(claim: Obj, old: Obj) -> list[Cause]:
    spec, before = objects.spec(claim), objects.spec(old)
    causes: list[Cause] = []
    new_class, old_class = spec.get("storageClassName"), before.get("storageClassName")
    noted, kept = objects.annotations(claim).get(CLASS_ANNOTATION), objects.annotations(old).get(CLASS_ANNOTATION)
    named = old_class is None and new_class is not None and kept in (None, new_class)
    if not (named and kept is not None and noted in (None, kept)) and (noted or "") != (kept or ""):
        causes.append(errors.invalid_value(f"metadata.annotations.{CLASS_ANNOTATION}", noted or "", "field is immutable"))
    bound = objects.status(claim).get("phase") == "Bound"
    if not same(_fixed(spec, before, bound=bound, named=named), _fixed(before, before, bound=bound, named=False)):
        causes.append(errors.forbidden_field("spec", _FIXED))
    causes += _check_shrinking(spec, before, objects.status(claim))
    causes += checking.immutable("volumeMode", spec.get("volumeMode"), before.get("volumeMode"))
    return causes + _check_attributes_class(spec, before, objects.status(old))


def _fixed(spec: Obj, before: Obj, *, bound: bool, named: bool) -> Obj:
    """The part of a spec that may not change; what may is taken from the spec before."""
    found = {**spec}
    if not before.get("volumeName"):
        found.pop("volumeName", None)
    if named:
        found.pop("storageClassName", None)
    resources = {**(spec.get("resources") or {})}
    resources["requests"] = {**(resources.get("requests") or {})}
    if bound:
        resources["requests"].pop("storage", None)
        found.pop("volumeAttributesClassName", None)
    elif "storage" in resources["requests"]:
        resources["requests"]["storage"] = quantity.canonical(resources["requests"]["storage"])
    return {**found, "resources": resources}


def _check_shrinking(spec: Obj, before: Obj, status: Obj) -> list[Cause]:
    new, had = quantity.parse(_request(spec) or 0), quantity.parse(_request(before) or 0)
    if new < had and new <= quantity.parse((status.get("capacity") or {}).get("storage") or 0):
        return [errors.forbidden_field("spec.resources.requests.storage", "field can not be less than status.capacity")]
    return []


def _check_attributes_class(spec: Obj, before: Obj, status: Obj) -> list[Cause]:
    name = spec.get("volumeAttributesClassName")
    if name == before.get("volumeAttributesClassName") or name or status.get("currentVolumeAttributesClassName") is None:
        return []
    what = "nil" if name is None else "empty string"
    why = f"update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil"
    return [errors.forbidden_field("spec.volumeAttributesClassName", why)]


def validate_status(claim: Obj, old: Obj | None) -> list[Cause]:
    status = objects.status(claim)
    causes: list[Cause] = []
    for name, size in (status.get("capacity") or {}).items():
        causes += check_amount(f"status.capacity[{name}]", size)
    for name, state in (status.get("allocatedResourceStatuses") or {}).items():
        causes += _check_resource("status.allocatedResourceStatuses", name)
        if state not in _RESIZE:
            causes.append(errors.not_supported("status.allocatedResourceStatuses", name, _RESIZE))
    for name, size in (status.get("allocatedResources") or {}).items():
        path = f"status.allocatedResources[{name}]"
        causes += _check_resource("status.allocatedResources", name) or check_amount(path, size)
    return causes


def check_amount(path: str, size: str) -> list[Cause]:
    amount = quantity.to_int(size)
    return [errors.invalid_value(path, amount, "must be a valid resource quantity")] if amount < 0 else []


def _check_resource(path: str, name: str) -> list[Cause]:
    if not names.follows(name, "qualified"):
        return checking.check_name(path, name, "qualified")
    native = "/" not in name or name.partition("/")[0].endswith("kubernetes.io")
    return [errors.not_supported(path, name, ("storage",))] if native and name != "storage" else []


def warn(claim: Obj, old: Obj | None) -> list[str]:
    warnings = []
    if CLASS_ANNOTATION in objects.annotations(claim):
        why = 'deprecated since v1.8; use "storageClassName" attribute instead'
        warnings.append(f"metadata.annotations[{CLASS_ANNOTATION}]: {why}")
    return warnings + warn_of_spec("spec", objects.spec(claim))


def warn_of_spec(path: str, spec: Obj) -> list[str]:
    """What to say of a claim's or a template's sizes."""
    warnings = []
    for field in ("requests", "limits"):
        size = ((spec.get("resources") or {}).get(field) or {}).get("storage")
        if size is not None and quantity.millis(size) % 1000:
            shown = quantity.canonical(size)
            warnings.append(f'{path}.resources.{field}[storage]: fractional byte value "{shown}" is invalid, must be an integer')
    return warnings
