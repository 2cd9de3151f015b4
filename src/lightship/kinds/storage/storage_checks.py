"""What can be wrong with StorageClasses, CSI objects, VolumeAttachments and VolumeAttributesClasses, and what is said of accepted ones.

Called through `storage`. Contract: kube 1.36 pkg/apis/storage/validation; pkg/registry/storage strategies; pkg/api/storage.
"""

from lightship.kinds import checking, go_shape, node_labels
from lightship.meta import errors, objects, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

from . import persistent_volume_checks
from .volume_source_checks import csi_driver

_PARAMETERS = 512
_PARAMETERS_SIZE = _METADATA_SIZE = 256 * 1024
_ERROR_SIZE = 1024
_NODE_ID = 256
_RECLAIM = ("Delete", "Retain")
_BINDING = ("Immediate", "WaitForFirstConsumer")
_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
_LIFECYCLES = ("Persistent", "Ephemeral")
_FORBIDDEN = "updates to {} are forbidden."
_UNSET_TOKENS = (
    "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in "
    "volume attributes"
)
_DRIVER = "Name NodeID TopologyKeys? Allocatable?"
_MIN_TOKEN_SECONDS, _MAX_TOKEN_SECONDS = 600, 2**32


def validate_class(storage: Obj, old: Obj | None) -> list[Cause]:
    causes = _check_provisioner("provisioner", storage.get("provisioner") or "")
    causes += _check_parameters(storage.get("parameters") or {})
    causes += checking.one_of("reclaimPolicy", storage.get("reclaimPolicy") or None, _RECLAIM)
    causes += checking.one_of("volumeBindingMode", storage.get("volumeBindingMode"), _BINDING)
    causes += node_labels.check_topologies("allowedTopologies", storage.get("allowedTopologies") or [])
    for field in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode") if old is not None else ():
        causes += checking.immutable(field, storage.get(field), (old or {}).get(field))
    return causes


def warn_of_class(storage: Obj, old: Obj | None) -> list[str]:
    return [
        f"allowedTopologies[{i}].matchLabelExpressions[{j}].key: {node_labels.DEPRECATED[key]}"
        for i, term in enumerate(storage.get("allowedTopologies") or ())
        for j, expression in enumerate(term.get("matchLabelExpressions") or ())
        if (key := expression.get("key") or "") in node_labels.DEPRECATED
    ]


def _check_provisioner(path: str, name: str) -> list[Cause]:
    return checking.check_name(path, name.lower(), "qualified") if name else [errors.required(path)]


def _check_parameters(parameters: dict[str, str], *, needed: bool = False) -> list[Cause]:
    if len(parameters) > _PARAMETERS:
        return [errors.too_long("parameters", _PARAMETERS)]
    causes = [errors.invalid_value("parameters", "", "field can not be empty.")] if "" in parameters else []
    if _size(parameters) > _PARAMETERS_SIZE:
        causes.append(errors.too_long("parameters", _PARAMETERS_SIZE))
    if needed and not parameters:
        causes.append(errors.required("parameters", "must contain at least one key/value pair"))
    return causes


def _size(texts: dict[str, str]) -> int:
    return sum(len(key.encode()) + len(value.encode()) for key, value in texts.items())


def validate_attributes_class(attributes: Obj, old: Obj | None) -> list[Cause]:
    changed = [f for f in ("driverName", "parameters") if old is not None and not same(attributes.get(f), old.get(f))]
    causes = [errors.forbidden_field(field, _FORBIDDEN.format(field)) for field in changed]
    causes += _check_provisioner("driverName", attributes.get("driverName") or "")
    return causes + _check_parameters(attributes.get("parameters") or {}, needed=True)


def validate_driver(driver: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(driver)
    causes = checking.one_of("spec.fsGroupPolicy", spec.get("fsGroupPolicy"), _GROUP_POLICIES)
    causes += _check_tokens("spec.tokenRequests", spec.get("tokenRequests") or [])
    modes = spec.get("volumeLifecycleModes") or []
    causes += [c for mode in modes for c in checking.one_of("spec.volumeLifecycleModes", mode, _LIFECYCLES)]
    seconds = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if seconds is not None and seconds < 10:
        why = "must be greater than or equal to 10 seconds"
        causes.append(errors.invalid_value("spec.nodeAllocatableUpdatePeriodSeconds", seconds, why))
    in_secrets = spec.get("serviceAccountTokenInSecrets")
    if in_secrets is not None and not spec.get("tokenRequests"):
        why = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
        causes.append(errors.invalid_value("spec.serviceAccountTokenInSecrets", in_secrets, why))
    if old is not None:
        before = objects.spec(old)
        causes += checking.immutable("spec.attachedRequired", spec.get("attachRequired"), before.get("attachRequired"))
        causes += checking.immutable("spec.volumeLifecycleModes", modes, before.get("volumeLifecycleModes"))
    return causes


def _check_tokens(path: str, requests: list[Obj]) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, request in enumerate(requests):
        audience, seconds, at = request.get("audience") or "", request.get("expirationSeconds"), f"{path}[{i}].expirationSeconds"
        if audience in seen:
            causes.append(errors.duplicate(f"{path}[{i}].audience", audience))
        elif seconds is not None and seconds < _MIN_TOKEN_SECONDS:
            causes.append(errors.invalid_value(at, seconds, "may not specify a duration less than 10 minutes"))
        elif seconds is not None and seconds > _MAX_TOKEN_SECONDS:
            causes.append(errors.invalid_value(at, seconds, "may not specify a duration larger than 2^32 seconds"))
        seen.add(audience)
    return causes


def warn_of_driver(driver: Obj, old: Obj | None) -> list[str]:
    spec = objects.spec(driver)
    requests = spec.get("tokenRequests")
    if not requests or spec.get("serviceAccountTokenInSecrets") is not None:
        return []
    return [] if old is not None and same(requests, objects.spec(old).get("tokenRequests")) else [_UNSET_TOKENS]


def validate_node(node: Obj, old: Obj | None) -> list[Cause]:
    drivers = objects.spec(node).get("drivers") or []
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, driver in enumerate(drivers):
        causes += _check_node_driver(f"spec.drivers[{i}]", driver, seen)
    for before in objects.spec(old or {}).get("drivers") or ():
        for driver in drivers:
            if driver.get("name") == before.get("name") and not same(_fixed(driver), _fixed(before)):
                causes.append(errors.invalid_value("spec.drivers", go_shape.shown(_fixed(driver), _DRIVER), "field is immutable"))
    return causes


def _fixed(driver: Obj) -> Obj:
    return {**driver, "allocatable": None}


def _check_node_driver(path: str, driver: Obj, seen: set[str]) -> list[Cause]:
    name, identity = driver.get("name") or "", driver.get("nodeID") or ""
    causes = csi_driver(f"{path}.name", name)
    if not identity:
        causes.append(errors.required(f"{path}.nodeID"))
    if len(identity.encode()) > _NODE_ID:
        causes.append(errors.invalid_value(f"{path}.nodeID", identity, f"must be {_NODE_ID} characters or less"))
    causes += checking.not_negative(f"{path}.allocatable.count", (driver.get("allocatable") or {}).get("count"))
    if name in seen:
        causes.append(errors.duplicate(f"{path}.name", name))
    seen.add(name)
    keys = driver.get("topologyKeys") or []
    for i, key in enumerate(keys):
        if not key:
            causes.append(errors.required(path))
        if key in keys[:i]:
            causes.append(errors.duplicate(path, key))
        causes += checking.check_name(path, key, "qualified")
    return causes


def validate_capacity(capacity: Obj, old: Obj | None) -> list[Cause]:
    topology, name, amount = capacity.get("nodeTopology"), capacity.get("storageClassName") or "", capacity.get("capacity")
    any_values = bool(checking.label_selector("", (old or {}).get("nodeTopology")))
    causes = checking.label_selector("nodeTopology", topology, any_values=any_values)
    causes += checking.check_name("storageClassName", name, "subdomain")
    if amount is not None and quantity.parse(amount) < 0:
        causes.append(errors.invalid_value("capacity", quantity.canonical(amount), "must be greater than or equal to 0"))
    if old is not None:
        causes += checking.immutable("nodeTopology", topology, old.get("nodeTopology"))
        causes += checking.immutable("storageClassName", name, old.get("storageClassName") or "")
    return causes


def warn_of_capacity(capacity: Obj, old: Obj | None) -> list[str]:
    topology = capacity.get("nodeTopology") or {}
    warnings = node_labels.warn_of_expressions("nodeTopology", topology)
    return warnings + node_labels.warn_of_labels("nodeTopology.matchLabels", topology.get("matchLabels"))


def validate_attachment(attachment: Obj, old: Obj | None) -> list[Cause]:
    """A VolumeAttachment, or its status: what it attaches never changes."""
    spec, status = objects.spec(attachment), objects.status(attachment)
    source = spec.get("source") or {}
    causes = csi_driver("spec.attacher", spec.get("attacher") or "")
    causes += _check_source("spec.source", source)
    causes += checking.check_name("spec.nodeName", spec.get("nodeName") or "", "subdomain")
    if _size(status.get("attachmentMetadata") or {}) > _METADATA_SIZE:
        causes.append(errors.too_long("status.attachmentMetadata", _METADATA_SIZE))
    for field in ("attachError", "detachError"):
        causes += _check_error(f"status.{field}", status.get(field) or {})
    if source.get("persistentVolumeName") is not None:
        causes += checking.check_name("spec.source.persistentVolumeName", source["persistentVolumeName"], "subdomain")
    if old is not None and not same(spec, objects.spec(old)):
        causes.append(errors.invalid_value("spec", _as_go(spec), "field is immutable"))
    return causes


def _check_source(path: str, source: Obj) -> list[Cause]:
    name, inline = source.get("persistentVolumeName"), source.get("inlineVolumeSpec")
    why = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    if name is None and inline is None:
        return [errors.required(path, why)]
    if name is not None and inline is not None:
        return [errors.forbidden_field(path, why)]
    if inline is not None:
        return persistent_volume_checks.check_spec(f"{path}.inlineVolumeSpec", inline, "", inline=True)
    return [] if name else [errors.required(f"{path}.persistentVolumeName", "must specify non empty persistentVolumeName")]


def _check_error(path: str, error: Obj) -> list[Cause]:
    causes: list[Cause] = []
    if len((error.get("message") or "").encode()) > _ERROR_SIZE:
        causes.append(errors.too_long(f"{path}.message", _METADATA_SIZE))
    return causes + checking.in_range(f"{path}.errorCode", error.get("errorCode"), 0, checking.INT32_MAX)


def _as_go(spec: Obj) -> Obj | None:
    source = go_shape.shown(spec.get("source") or {}, "PersistentVolumeName? InlineVolumeSpec?")
    return go_shape.shown({**spec, "source": source}, "Attacher Source NodeName")
