"""What can be wrong with a pod's volumes.

Called by `pods.checks`. Sources that PersistentVolumes have too are judged in `volume_source_checks`; what one volume makes of several
sources, in `projection_checks`.
Contract: kube 1.36 validateVolumeSource; texts compared with kube-apiserver.
"""

from collections.abc import Callable, Iterable

from lightship.kinds import checking
from lightship.meta import errors, names, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import projection_checks, volume_source_checks
from .claim_checks import check_claim_spec
from .volume_files import check_downward_file, check_file, check_mode

_MORE = "may not specify more than 1 volume type"
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_TEMPLATE_FIELDS = frozenset({"labels", "annotations", "creationTimestamp"})
_NAME_LIMIT = 64
_ISCSI_KINDS = ("iqn", "eui", "naa")


def check_volumes(path: str, spec: Obj, pod: str | None = None) -> tuple[dict[str, Obj], list[Cause]]:
    """The volumes that nothing is wrong with, by name, and what is wrong with the others.

    `pod`: its name, where the spec is a pod's own and no template's; "" while it has none.
    """
    volumes = spec.get("volumes") or []
    has_account = pod is None or bool(spec.get("serviceAccountName"))  # pods of a template get one when they are made
    good: dict[str, Obj] = {}
    causes: list[Cause] = []
    for i, volume in enumerate(volumes):
        at, name, found = f"{path}[{i}]", volume.get("name") or "", list[Cause]()
        if not projection_checks.is_common(volume, has_account=has_account):
            found += _check_source(at, volume, has_account=has_account)
            if pod is not None:
                found += _check_of_pod(at, volume, pod)
        if not (name and names.follows(name, "label")):
            found += checking.required_name(f"{at}.name", name, "label")
        if name in good:
            found.append(errors.duplicate(f"{at}.name", name))
        if not found:
            good[name] = volume
        causes += found
        if pod and volume.get("persistentVolumeClaim") is not None:
            causes += _check_not_made(f"{at}.persistentVolumeClaim", volume["persistentVolumeClaim"], pod, volumes)
    return good, causes


def _check_source(path: str, volume: Obj, *, has_account: bool) -> list[Cause]:
    given = [kind for kind, value in volume.items() if kind != "name" and value is not None]
    if not given:
        return [errors.required(path, "must specify a volume type")]
    kind, *others = sorted(given, key=lambda k: _ORDER.index(k) if k in _ORDER else len(_ORDER)) if len(given) > 1 else given
    more = [errors.forbidden_field(f"{path}.{_SHOWN.get(other, other)}", _MORE) for other in others]
    return _check_first(path, kind, volume, has_account=has_account) + more


def _check_first(path: str, kind: str, volume: Obj, *, has_account: bool) -> list[Cause]:
    if kind == "projected":
        return projection_checks.check(f"{path}.projected", volume[kind], has_account=has_account)
    if kind in _CHECKS:
        return _CHECKS[kind](f"{path}.{kind}", volume[kind])
    if kind == "iscsi":
        return _check_iscsi(path, volume[kind], volume.get("name") or "")
    if kind in volume_source_checks.SOURCES:
        shown, check = volume_source_checks.SOURCES[kind]
        return check(f"{path}.{shown}", volume[kind], volume.get("name") or "")
    return []


def _check_of_pod(path: str, volume: Obj, pod: str) -> list[Cause]:
    """Claims that are made for a pod are named after it; and an image must be known by the time there is a pod."""
    name, image = volume.get("name") or "", volume.get("image")
    if image is not None and not image.get("reference"):
        return [errors.required(f"{path}.image.reference")]
    if volume.get("ephemeral") is not None and pod and name:
        wrong = names.problems(f"{pod}-{name}", "subdomain")
        return [errors.invalid_value(f"{path}.name", name, f'PVC name "{pod}-{name}": {why}') for why in wrong]
    return []


def _check_not_made(path: str, claim: Obj, pod: str, volumes: Iterable[Obj]) -> list[Cause]:
    made = {f"{pod}-{v.get('name') or ''}" for v in volumes if v.get("ephemeral") is not None}
    if claim.get("claimName") not in made:
        return []
    why = "must not reference a PVC that gets created for an ephemeral volume"
    return [errors.invalid_value(f"{path}.claimName", claim["claimName"], why)]


def _check_empty_dir(path: str, source: Obj) -> list[Cause]:
    limit = source.get("sizeLimit")
    if limit is not None and quantity.parse(limit) < 0:
        return [errors.forbidden_field(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")]
    return []


def _check_git(path: str, source: Obj) -> list[Cause]:
    causes = [] if source.get("repository") else [errors.required(f"{path}.repository")]
    return causes + (checking.relative_path(f"{path}.directory", source["directory"]) if source.get("directory") else [])


def _check_secret(path: str, source: Obj) -> list[Cause]:
    causes = [] if source.get("secretName") else [errors.required(f"{path}.secretName")]
    return causes + _check_files(path, source)


def _check_config_map(path: str, source: Obj) -> list[Cause]:
    causes = [] if source.get("name") else [errors.required(f"{path}.name")]
    return causes + _check_files(path, source)


def _check_files(path: str, source: Obj) -> list[Cause]:
    causes = check_mode(path, "defaultMode", source)
    return causes + [c for i, item in enumerate(source.get("items") or ()) for c in check_file(f"{path}.items[{i}]", item)]


def _check_downward(path: str, source: Obj) -> list[Cause]:
    causes = check_mode(path, "defaultMode", source)
    return causes + [c for item in source.get("items") or () for c in check_downward_file(path, item)]


def _check_claim(path: str, source: Obj) -> list[Cause]:
    return [] if source.get("claimName") else [errors.required(f"{path}.claimName")]


def _check_iscsi(path: str, source: Obj, name: str) -> list[Cause]:
    """As a PersistentVolume's, but for what is said of names of no known kind, and of which field is too long."""
    at, portal = f"{path}.iscsi", source.get("targetPortal") or ""
    causes = volume_source_checks.iscsi(at, source, "")
    for field, shown in (("iqn", "iqn"), ("initiatorName", "initiatorname")):
        value = source.get(field)
        if value and value[:3] not in _ISCSI_KINDS:
            causes = [c for c in causes if c.field != f"{at}.{shown}"]
            causes.append(errors.invalid_value(f"{at}.{shown}", value, "must be valid format starting with iqn, eui, or naa"))
    if source.get("initiatorName") is not None and len(f"{name}:{portal}") > _NAME_LIMIT:
        why = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."
        causes = [c for c in causes if c.field != f"{at}.targetportal"]
        causes.append(errors.invalid_value(f"{path}.name", name, why))
    return causes


def _check_cinder(path: str, source: Obj) -> list[Cause]:
    causes = [] if source.get("volumeID") else [errors.required(f"{path}.volumeID")]
    return causes + _check_reference(path, source)


def _check_storage_os(path: str, source: Obj) -> list[Cause]:
    causes = checking.required_name(f"{path}.volumeName", source.get("volumeName"), "label")
    if source.get("volumeNamespace"):
        causes += checking.check_name(f"{path}.volumeNamespace", source["volumeNamespace"], "label")
    return causes + _check_reference(path, source)


def _check_reference(path: str, source: Obj) -> list[Cause]:
    secret = source.get("secretRef")
    return [errors.required(f"{path}.secretRef.name")] if secret is not None and not secret.get("name") else []


def _check_csi(path: str, source: Obj) -> list[Cause]:
    causes = volume_source_checks.csi_driver(f"{path}.driver", source.get("driver") or "")
    secret = source.get("nodePublishSecretRef")
    if secret is not None and not secret.get("name"):
        causes.append(errors.required(f"{path}.nodePublishSecretRef.name"))
    elif secret is not None:
        causes += checking.check_name(f"{path}.name", secret["name"], "subdomain")
    return causes


def _check_ephemeral(path: str, source: Obj) -> list[Cause]:
    at, template = f"{path}.volumeClaimTemplate", source.get("volumeClaimTemplate")
    if template is None:
        return [errors.required(at)]
    metadata = template.get("metadata") or {}
    causes = checking.labels(f"{at}.metadata.labels", metadata.get("labels"))
    for key in metadata.get("annotations") or ():
        causes += checking.check_name(f"{at}.metadata.annotations", key.lower(), "qualified")
    set_too = [field for field, value in metadata.items() if value and field not in _TEMPLATE_FIELDS]
    causes += [errors.forbidden_field(f"{at}.metadata.{field}", "cannot be set") for field in set_too]
    return causes + check_claim_spec(f"{at}.spec", template.get("spec") or {})


def _check_image(path: str, source: Obj) -> list[Cause]:
    return checking.one_of(f"{path}.pullPolicy", source.get("pullPolicy"), _PULL_POLICIES)


_ORDER = (
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
)
"""In which sources are looked for: the first counts."""
_SHOWN = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}
"""How the real server writes some of those that do not count."""
_CHECKS: dict[str, Callable[[str, Obj], list[Cause]]] = {
    "emptyDir": _check_empty_dir,
    "gitRepo": _check_git,
    "secret": _check_secret,
    "persistentVolumeClaim": _check_claim,
    "cinder": _check_cinder,
    "downwardAPI": _check_downward,
    "configMap": _check_config_map,
    "storageos": _check_storage_os,
    "csi": _check_csi,
    "ephemeral": _check_ephemeral,
    "image": _check_image,
}
"""Sources that only pods have, or have otherwise."""
