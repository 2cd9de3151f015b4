"""What can be wrong with PersistentVolumes, as objects and inline in a VolumeAttachment, and what is said of those that are accepted.

Called through `core` and by `storage_checks`; the sources are `volume_source_checks`.
Contract: kube 1.36 pkg/apis/core/validation ValidatePersistentVolume; pkg/volume/validation; pkg/api/persistentvolume.
"""

import posixpath

from lightship.kinds import checking, node_labels
from lightship.meta import errors, names, objects, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

from . import claim_checks
from .volume_source_checks import SOURCES

MOUNT_OPTIONS = "volume.beta.kubernetes.io/mount-options"
_INLINE = "in the context of inline volumes"
_ONE = "may not specify more than 1 volume type"
_RECLAIM = ("Delete", "Recycle", "Retain")
_CEPH = "cephFS"
"""How the real server calls `cephfs` when it is one too many."""
_NO_MOUNT_OPTIONS = frozenset({"hostPath", "flocker", "fc", "flexVolume", "portworxVolume", "scaleIO", "local", "storageos", "csi"})
_DEAD = {
    "cephfs": ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    "photonPersistentDisk": ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    "scaleIO": ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    "storageos": ("storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    "glusterfs": ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    "rbd": ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
}
_OLD_ANNOTATIONS = {
    claim_checks.CLASS_ANNOTATION: 'deprecated since v1.8; use "storageClassName" attribute instead',
    MOUNT_OPTIONS: 'deprecated since v1.31; use "mountOptions" attribute instead',
}


def validate(volume: Obj, old: Obj | None) -> list[Cause]:
    spec, name = objects.spec(volume), objects.name(volume)
    before = objects.spec(old) if old else {}
    any_values = _has_odd_values(before)
    causes = check_spec("spec", spec, name, any_values=any_values)
    if MOUNT_OPTIONS in objects.annotations(volume) and not any(
        spec.get(source) is not None for source in SOURCES.keys() - _NO_MOUNT_OPTIONS
    ):
        why = "may not specify mount options for this volume type"
        causes.append(errors.forbidden_field(f"metadata.annotations.{MOUNT_OPTIONS}", why))
    if old is None:
        return causes
    # The real server asks twice.
    return causes + check_spec("spec", spec, name, any_values=any_values) + _check_change(spec, before)


def check_spec(path: str, spec: Obj, name: str, *, inline: bool = False, any_values: bool = False) -> list[Cause]:
    """A volume's spec; `inline` where it stands in another object and is nobody's to claim."""
    causes = _check_inline(path, spec) if inline else []
    modes = spec.get("accessModes") or []
    if not modes:
        causes.append(errors.required(f"{path}.accessModes"))
    causes += claim_checks.check_access(f"{path}.accessModes", modes)
    if not inline:
        causes += _check_capacity(f"{path}.capacity", spec.get("capacity") or {})
    causes += _check_reclaim(path, spec, inline=inline)
    affinity = spec.get("nodeAffinity")
    if affinity is not None and inline:
        causes.append(errors.forbidden_field(f"{path}.nodeAffinity", f"may not be specified {_INLINE}"))
    elif affinity is not None:
        causes += _check_affinity(f"{path}.nodeAffinity", affinity, any_values=any_values)
    causes += _check_sources(path, spec, name, placed=affinity is not None and not inline)
    return causes + _check_rest(path, spec, inline=inline)


def _check_inline(path: str, spec: Obj) -> list[Cause]:
    causes: list[Cause] = []
    if spec.get("claimRef") is not None:
        causes.append(errors.forbidden_field(f"{path}.claimRef", f"may not be specified {_INLINE}"))
    if spec.get("capacity"):
        causes.append(errors.forbidden_field(f"{path}.capacity", f"may not be specified {_INLINE}"))
    if spec.get("csi") is None:
        causes.append(errors.required(f"{path}.csi", f"has to be specified {_INLINE}"))
    return causes


def _check_capacity(path: str, capacity: Obj) -> list[Cause]:
    causes = [] if capacity else [errors.required(path)]
    shown = {name: quantity.canonical(size) for name, size in sorted(capacity.items())}
    if capacity.keys() != {"storage"}:
        causes.append(errors.not_supported(path, shown or None, ("storage",)))
    for name, size in capacity.items():
        causes += claim_checks.check_amount(f"{path}[{name}]", size)
        if quantity.parse(size) <= 0:
            causes.append(errors.invalid_value(f"{path}[{name}]", shown[name], "must be greater than zero"))
    return causes


def _check_reclaim(path: str, spec: Obj, *, inline: bool) -> list[Cause]:
    policy, at = spec.get("persistentVolumeReclaimPolicy") or None, f"{path}.persistentVolumeReclaimPolicy"
    if not inline:
        return checking.one_of(at, policy, _RECLAIM)
    return [errors.forbidden_field(at, f"may only be Retain {_INLINE}")] if policy not in (None, "Retain") else []


def _check_affinity(path: str, affinity: Obj, *, any_values: bool) -> list[Cause]:
    required = affinity.get("required")
    if required is None:
        return [errors.required(f"{path}.required", "must specify required node constraints")]
    terms = required.get("nodeSelectorTerms") or []
    if not terms:
        return [errors.required(f"{path}.required.nodeSelectorTerms", "must have at least one node selector term")]
    at = f"{path}.required.nodeSelectorTerms"
    return [c for i, term in enumerate(terms) for c in node_labels.check_term(f"{at}[{i}]", term, any_values=any_values)]


def _has_odd_values(spec: Obj) -> bool:
    terms = ((spec.get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or ()
    values = (v for term in terms for e in term.get("matchExpressions") or () for v in e.get("values") or ())
    return any(not names.follows(value, "label-value") for value in values)


def _check_sources(path: str, spec: Obj, name: str, *, placed: bool) -> list[Cause]:
    causes: list[Cause] = []
    found = 0
    for field, (shown, check) in SOURCES.items():
        source = spec.get(field)
        if source is None:
            continue
        if found and field != "flexVolume":
            causes.append(errors.forbidden_field(f"{path}.{_CEPH if field == 'cephfs' else field}", _ONE))
            continue
        found += 1
        causes += check(f"{path}.{shown}", source, name)
        if field == "local" and not placed:
            causes.append(errors.required(f"{path}.nodeAffinity", "Local volume requires node affinity"))
    return causes if found else [*causes, errors.required(path, "must specify a volume type")]


def _check_rest(path: str, spec: Obj, *, inline: bool) -> list[Cause]:
    causes: list[Cause] = []
    host = spec.get("hostPath")
    whole = host is not None and posixpath.normpath(host.get("path") or ".") in ("/", "//")
    if whole and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        why = "may not be 'recycle' for a hostPath mount of '/'"
        causes.append(errors.forbidden_field(f"{path}.persistentVolumeReclaimPolicy", why))
    if spec.get("storageClassName"):
        if inline:
            causes.append(errors.forbidden_field(f"{path}.storageClassName", f"may not be specified {_INLINE}"))
        else:
            causes += checking.check_name(f"{path}.storageClassName", spec["storageClassName"], "subdomain")
    mode = spec.get("volumeMode")
    if not inline:
        causes += checking.one_of(f"{path}.volumeMode", mode, claim_checks.VOLUME_MODES)
        return causes + _check_attributes_class(path, spec)
    if mode not in (None, "Filesystem"):
        causes.append(errors.forbidden_field(f"{path}.volumeMode", f"may not specify volumeMode other than Filesystem {_INLINE}"))
    return causes


def _check_attributes_class(path: str, spec: Obj) -> list[Cause]:
    name, at = spec.get("volumeAttributesClassName"), f"{path}.volumeAttributesClassName"
    if name is None:
        return []
    causes = checking.check_name(at, name, "subdomain") if name else [errors.required(at, "an empty string is disallowed")]
    if spec.get("csi") is None:
        causes.append(errors.required(f"{path}.csi", "has to be specified when using volumeAttributesClassName"))
    return causes


def _check_change(spec: Obj, before: Obj) -> list[Cause]:
    causes: list[Cause] = []
    if not same(_sources(spec, before), _sources(before, before)):
        why = "spec.persistentvolumesource is immutable after creation"
        causes.append(errors.forbidden_field("spec.persistentvolumesource", why))
    causes += checking.immutable("volumeMode", spec.get("volumeMode"), before.get("volumeMode"))
    affinity, had = spec.get("nodeAffinity"), before.get("nodeAffinity")
    if had is not None and not same(affinity, had) and not same(affinity, _renewed(had, affinity or {})):
        why = "field is immutable, except for updating from beta label to GA"
        causes.append(errors.invalid_value("nodeAffinity", affinity, why))
    if before.get("volumeAttributesClassName") is not None and spec.get("volumeAttributesClassName") is None:
        causes.append(errors.forbidden_field("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden"))
    return causes


def _renewed(affinity: Obj, new: Obj) -> Obj:
    """An affinity in which labels that are out of use have the names that `new` calls them by."""
    terms = []
    fresh = (new.get("required") or {}).get("nodeSelectorTerms") or []
    for i, term in enumerate((affinity.get("required") or {}).get("nodeSelectorTerms") or ()):
        asked = fresh[i].get("matchExpressions") or [] if i < len(fresh) else []
        keys = [expression.get("key") for expression in asked]
        expressions = [
            {**e, "key": keys[j]} if j < len(keys) and keys[j] == node_labels.SUCCESSORS.get(e.get("key") or "") else e
            for j, e in enumerate(term.get("matchExpressions") or ())
        ]
        terms.append({**term, **({"matchExpressions": expressions} if expressions else {})})
    return {"required": {"nodeSelectorTerms": terms}}


def _sources(spec: Obj, before: Obj) -> Obj:
    """What a volume is made of; the secret for its growth may be added later."""
    found = {field: spec[field] for field in SOURCES if spec.get(field) is not None}
    had = before.get("csi")
    if "csi" in found and had is not None and had.get("controllerExpandSecretRef") is None:
        found["csi"] = {key: value for key, value in found["csi"].items() if key != "controllerExpandSecretRef"}
    return found


def warn(volume: Obj, old: Obj | None) -> list[str]:
    spec = objects.spec(volume)
    given = objects.annotations(volume)
    warnings = [f"metadata.annotations[{key}]: {why}" for key, why in _OLD_ANNOTATIONS.items() if key in given]
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        why = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."
        warnings.append(f"spec.persistentVolumeReclaimPolicy: {why}")
    terms = ((spec.get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or ()
    for i, term in enumerate(terms):
        warnings += node_labels.warn_of_expressions(f"spec.nodeAffinity.required.nodeSelectorTerms[{i}]", term)
    return warnings + [f"spec.{shown}: {why}" for field, (shown, why) in _DEAD.items() if spec.get(field) is not None]
